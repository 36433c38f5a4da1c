from .comparison import Comparison as Comparison
from .description import TableDescription as TableDescription
from .distance import ModelDistance as ModelDistance
from .evaluator import Evaluator as Evaluator
from .fit import FitReport as FitReport
from .hold_out import HoldOut as HoldOut
from .report import Report as Report
from .validation import Validation as Validation
