"""Rows and models to measure with."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

import gpuvgm
from gpuvgm.config import EncodingRules, FitConfig
from gpuvgm.generation import amount
from gpuvgm.kinds.mixture import Plan, plan_column
from gpuvgm.model import ColumnModel
from gpuvgm.table_fit import sample_runs

COLUMN = "Amount"
FITTED_ROWS = 1_000_000


@cache
def amounts(rows: int) -> np.ndarray:
    """Generated payment amounts in cents."""
    return amount(0, rows)


def lognormal(rows: int) -> np.ndarray:
    """Values with all their digits, unlike cents."""
    return np.random.default_rng(0).lognormal(3.0, 1.2, rows)


def plan_for(x: np.ndarray, config: FitConfig | None = None) -> Plan:
    """Grid and centres of a column, from the sample that a fit would take."""
    sample = np.concatenate([x[start : start + length] for start, length in sample_runs(len(x), 0)])
    return plan_column(
        COLUMN, pa.chunked_array([sample]), config or FitConfig(), EncodingRules(), infinite_is_missing=False
    )


@cache
def fitted_column(rows: int) -> ColumnModel:
    """The model of generated amounts, fitted on at most a million rows."""
    transformer = gpuvgm.TableTransformer(threads=1).fit({COLUMN: amounts(min(rows, FITTED_ROWS))})
    return transformer.columns_[COLUMN]
