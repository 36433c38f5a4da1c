"""Figures of fidelity: what a transform and its inverse do to the rows of a table."""

from gpuvgm.report.comparison import Comparison, OriginalTable
from gpuvgm.report.distance import ModelDistance
from gpuvgm.report.evaluation import evaluate_table
from gpuvgm.report.figures import RunFacts
from gpuvgm.report.report import Report
from gpuvgm.report.validation import Validation

__all__ = [
    "Comparison",
    "ModelDistance",
    "OriginalTable",
    "Report",
    "RunFacts",
    "Validation",
    "evaluate_table",
]
