"""Finished runs as one predictor: members, their pool, how much it gains, and whether that is real."""
