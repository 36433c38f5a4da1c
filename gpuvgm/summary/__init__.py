"""Summaries of columns: counts and moments on an adaptive grid."""
