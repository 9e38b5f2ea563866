"""Training and evaluating a cohort by machine code: the backend "native"."""
