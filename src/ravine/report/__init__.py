"""What a person looks at: studies as tables, in the terminal, in Jupyter and as one HTML page."""

from ravine.report.figures import FIGURES
from ravine.report.page import write

__all__ = ["FIGURES", "write"]
