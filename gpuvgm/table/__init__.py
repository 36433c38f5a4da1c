"""Whole tables: fit, transform, inverse, model files."""
