"""Launching a study: plan, train what is missing, write it to the store, go on after an interruption."""
