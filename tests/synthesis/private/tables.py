"""Tables for tests of private synthesizers: the same columns with rows of any kind."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd

from gpuvgm.synthesis.private.declared import Domain

DOMAIN = {
    "number": {"kind": "id", "first": 100},
    "age": {"kind": "number", "low": 0, "high": 120, "step": 1, "missing": True},
    "amount": {"kind": "number", "low": -50, "high": 10_000, "step": 0.01, "scale": "log", "special": [0, 99.5]},
    "score": {"kind": "number", "low": -1.5, "high": 2.5},
    "city": {"kind": "category", "categories": ["Bern", "Graz", "Köln"], "other": "elsewhere", "missing": True},
    "level": {"kind": "category", "categories": [1, 2, 3]},
    "active": {"kind": "boolean"},
    "born": {"kind": "date", "low": "1950-01-01", "high": "2005-12-31", "missing": True},
    "seen": {"kind": "datetime", "low": "2024-01-01", "high": "2024-02-01", "step": "15min"},
}
COLUMNS = Domain.of(DOMAIN).counted
SECRETS = ("s3cr3t", "Zürich-17", "98765432", "1e+300", "31415", "4711.25")


def ordinary_rows(rows=300, seed=0):
    """Rows that are as declared, and some of other cities."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 90, rows)
    return pd.DataFrame(
        {
            "age": np.where(draw.random(rows) < 0.1, np.nan, age),
            "amount": np.where(draw.random(rows) < 0.3, 0, draw.lognormal(3, 1, rows).round(2)),
            "score": draw.normal(0, 0.5, rows),
            "city": draw.choice(["Bern", "Graz", "Köln", "Paris"], rows),
            "level": draw.integers(1, 4, rows),
            "active": age > 50,
            "born": pd.to_datetime("1950-01-01") + pd.to_timedelta(draw.integers(0, 20_000, rows), unit="D"),
            "seen": pd.to_datetime("2024-01-01") + pd.to_timedelta(draw.integers(0, 2_600_000, rows), unit="s"),
            "note": "not declared",
        }
    )


def odd_rows():
    """Rows with missing, huge and unknown values, and with objects of any type."""
    return pd.DataFrame(
        {
            "age": pd.Series(
                [None, "98765432", Decimal("12.5"), 10**400, b"s3cr3t", [1, 2], float("inf")], dtype=object
            ),
            "amount": [1e300, -1e300, np.inf, -np.inf, np.nan, 4711.25, 0.0],
            "score": [np.nan] * 7,
            "city": pd.Series(["Zürich-17", None, "Bern", 7, "s3cr3t\ud800", float("nan"), ""], dtype=object),
            "level": [31415, 1, 2, 3, 4, -1, 0],
            "active": pd.Series([True, "s3cr3t", None, 1, "false", 0, 2.5], dtype=object),
            "born": pd.Series(
                ["s3cr3t", None, "1700-01-01", datetime.date(9999, 12, 31), "2001-02-03", 17, "1999-01-01T10:00"],
                dtype=object,
            ),
            "seen": pd.Series(
                [datetime.datetime(2024, 1, 5, tzinfo=datetime.UTC), "2024-01-06 07:08:09", "2024-01-05T10:00+02:00"]
                + [None, pd.NaT, "s3cr3t", 4711.25],
                dtype=object,
            ),
        }
    )
