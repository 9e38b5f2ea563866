"""What came out of a study: its runs as stored, their scores per example, the verdict on them. No pictures."""

from ravine.outcomes.results import Results

__all__ = ["Results"]
