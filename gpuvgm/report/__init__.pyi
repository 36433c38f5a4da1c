from .comparison import Comparison
from .distance import ModelDistance
from .evaluator import Evaluator
from .hold_out import HoldOut
from .report import Report
from .text import WIDTH, aligned, widths_line
from .validation import Validation

__all__ = [
    "Comparison",
    "Evaluator",
    "HoldOut",
    "ModelDistance",
    "Report",
    "Validation",
    "WIDTH",
    "aligned",
    "widths_line",
]
