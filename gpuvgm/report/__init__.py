"""Figures of fidelity: what a transform and its inverse do to the rows of a table."""

from gpuvgm.report.distance import ModelDistance, model_distance
from gpuvgm.report.evaluation import evaluate_table
from gpuvgm.report.report import Report

__all__ = ["ModelDistance", "Report", "evaluate_table", "model_distance"]
