"""Models: what a study file may ask for, how it is built, and layers whose randomness the engine keys."""
