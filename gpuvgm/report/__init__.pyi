from .comparison import Comparison
from .distance import ModelDistance
from .figures import RunFacts
from .original_table import OriginalTable
from .report import Report
from .round_trip import evaluate_table
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
