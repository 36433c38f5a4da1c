"""Payment amounts: a column whose every value is a function of the seed and its row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.datasets.ranges import CHUNK_ROWS, RowRange, chunks_of

AMOUNT_WEIGHTS = np.array([0.25, 0.35, 0.25, 0.10, 0.05])
AMOUNT_LOG_MEANS = np.array([0.3, 2.2, 3.4, 4.7, 6.2])
AMOUNT_LOG_SDS = np.array([0.6, 0.5, 0.6, 0.7, 0.8])
AMOUNT_ZEROS = 0.02
AMOUNT_CAP = 25_691.16
AMOUNT_SCHEMA = pa.schema([pa.field("Amount", pa.float64(), nullable=False)])


def amount(first_row: int, rows: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Payment amounts: a lognormal mixture with 2 % zeros, capped and rounded to cents.

    Weights .25 .35 .25 .10 .05, log-means .3 2.2 3.4 4.7 6.2, log-sds .6 .5 .6 .7 .8, cap 25,691.16.

    Parameters
    ----------
    first_row, rows : int
        The range of rows; any partition of a range gives the same values.
    seed : int
        0 to 2**64 - 1.

    Returns
    -------
    numpy.ndarray of float64, shape (rows,)

    Raises
    ------
    InputError
        For negative rows or a seed out of range.
    """
    RowRange(first_row, rows).check(seed)
    values = np.empty(rows)
    for chunk, part, place in chunks_of(first_row, rows):
        values[place] = amount_chunk(chunk, seed)[part]
    return values


def amount_chunk(chunk: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rows [chunk, chunk + 1) * CHUNK_ROWS, from a Philox generator with key (seed, chunk)."""
    draws = np.random.Generator(np.random.Philox(key=np.array([seed, chunk], dtype=np.uint64)))
    uniform = draws.random(CHUNK_ROWS)
    component = np.zeros(CHUNK_ROWS, dtype=np.intp)
    for edge in AMOUNT_ZEROS + (1 - AMOUNT_ZEROS) * np.cumsum(AMOUNT_WEIGHTS)[:-1]:
        component += uniform >= edge
    values = draws.standard_normal(CHUNK_ROWS)
    values *= AMOUNT_LOG_SDS[component]
    values += AMOUNT_LOG_MEANS[component]
    np.exp(values, out=values)
    values[uniform < AMOUNT_ZEROS] = 0.0
    return to_cents(values)


def to_cents(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Cap values and round them to cents, in place."""
    np.minimum(values, AMOUNT_CAP, out=values)
    values *= 100.0
    np.rint(values, out=values)
    values /= 100.0
    return values


def amount_rows(first_row: int, rows: int, seed: int) -> pa.RecordBatch:
    """Rows of the column "Amount"."""
    return pa.RecordBatch.from_arrays([pa.array(amount(first_row, rows, seed))], schema=AMOUNT_SCHEMA)
