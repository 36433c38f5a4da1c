"""Kinds of columns: how each is planned, fitted, encoded and decoded."""
