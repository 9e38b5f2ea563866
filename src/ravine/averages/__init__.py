"""Averages of the weights that are made when a run is over, out of what it stored along its way."""
