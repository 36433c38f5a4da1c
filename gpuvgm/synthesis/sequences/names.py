"""Names of the columns that are made of keys and of the rows before."""

from __future__ import annotations

COUNT = "count()"  # rows of a key
PLACE = "place()"  # of a row among those of its key, from 1 on
HAS_KEY = "has_key()"  # whether a key of one row has a value, where some have none
REMAINING = "remaining()"  # rows of its key that follow a row


def before(name: str) -> str:
    """Name of what a column has in the row before."""
    return f"previous({name})"


def after(name: str) -> str:
    """Name of what a number of rows is if it goes on."""
    return f"next({name})"


def within(name: str, period: str) -> str:
    """Name of what a column has that begins anew with each period."""
    return f"{name} within {period}"


def span(name: str) -> str:
    """Name of the difference of a number in the last and in the first row of a key."""
    return f"span({name})"


def pace(name: str) -> str:
    """Name of the step by which even steps from the row before would reach the span of the key."""
    return f"pace({name})"


def since(name: str) -> str:
    """Name of the difference of a number and that of the row before, or of their ratio."""
    return f"step({name})"
