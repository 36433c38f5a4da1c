"""Figures of fidelity: what a transform and its inverse do to the rows of a table."""
