"""Figures of fidelity: what a transform and its inverse do to the rows of a table."""

from gpuvgm.report.evaluation import evaluate_table
from gpuvgm.report.report import Report

__all__ = ["Report", "evaluate_table"]
