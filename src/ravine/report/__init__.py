"""What a person looks at: results as tables, in the terminal, in Jupyter and as one HTML page."""

from ravine.report.figures import FIGURES
from ravine.report.page import write
from ravine.report.results import Results

__all__ = ["FIGURES", "Results", "write"]
