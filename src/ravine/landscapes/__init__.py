"""The loss around trained weights: its curvature there, and its shape between runs and along their paths."""
