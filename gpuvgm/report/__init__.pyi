from .comparison import Comparison as Comparison
from .distance import ModelDistance as ModelDistance
from .evaluator import Evaluator as Evaluator
from .hold_out import HoldOut as HoldOut
from .report import Report as Report
from .text import WIDTH as WIDTH, aligned as aligned, widths_line as widths_line
from .validation import Validation as Validation
