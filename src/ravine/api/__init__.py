"""What a Python program calls: `run` trains and reads, `look` measures trained runs, `studies` finds a study."""
