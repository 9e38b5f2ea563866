"""What `benchmarks/sweep.py` measures: the tasks, the contenders, and how the numbers are read."""
