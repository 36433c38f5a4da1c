"""Figures of fidelity: what a transform and its inverse do to the rows of a table."""

from gpuvgm.report.comparison import (
    Comparison,
    compare_counts,
    count_held_out,
    count_original,
    count_synthetic,
)
from gpuvgm.report.distance import ModelDistance, model_distance
from gpuvgm.report.evaluation import evaluate_table
from gpuvgm.report.figures import RunFacts
from gpuvgm.report.report import Report
from gpuvgm.report.validation import Validation, validate_table

__all__ = [
    "Comparison",
    "ModelDistance",
    "Report",
    "RunFacts",
    "Validation",
    "compare_counts",
    "count_held_out",
    "count_original",
    "count_synthetic",
    "evaluate_table",
    "model_distance",
    "validate_table",
]
