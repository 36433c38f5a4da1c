from .comparison import Comparison as Comparison
from .distance import ModelDistance as ModelDistance
from .evaluator import Evaluator as Evaluator
from .fit import FitReport as FitReport
from .hold_out import HoldOut as HoldOut
from .page import page_of_tables as page_of_tables
from .report import Report as Report
from .validation import Validation as Validation
