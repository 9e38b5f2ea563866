"""What a Python program calls: `run` trains and reads, `look` measures what came of it, `studies` finds a study."""
