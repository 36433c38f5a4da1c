"""Kinds of columns: how each is fitted."""
