"""The engine: trains cohorts of runs and yields records; it knows no disk and no screen."""
