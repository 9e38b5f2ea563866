"""What a Python program calls: `run` trains and reads, `look` measures trained runs, `ensembles` pools them, `studies`
finds a study."""
