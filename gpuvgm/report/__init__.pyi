from .comparison import Comparison, OriginalTable
from .distance import ModelDistance
from .evaluation import evaluate_table
from .figures import RunFacts
from .report import Report
from .text import WIDTH, aligned, widths_line
from .validation import Validation

__all__ = [
    "Comparison",
    "ModelDistance",
    "OriginalTable",
    "Report",
    "RunFacts",
    "Validation",
    "WIDTH",
    "aligned",
    "evaluate_table",
    "widths_line",
]
