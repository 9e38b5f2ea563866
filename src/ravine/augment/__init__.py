"""Augmentation: examples of a batch changed at random while a run is trained, each draw a function of its key."""
