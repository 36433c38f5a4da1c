"""Generated columns of any length: every value is a function of the seed and its row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor
from gpuvgm.frames import Location, ParquetSink

CHUNK_ROWS = 1 << 16
AMOUNT_WEIGHTS = np.array([0.25, 0.35, 0.25, 0.10, 0.05])
AMOUNT_LOG_MEANS = np.array([0.3, 2.2, 3.4, 4.7, 6.2])
AMOUNT_LOG_SDS = np.array([0.6, 0.5, 0.6, 0.7, 0.8])
AMOUNT_ZEROS = 0.02
AMOUNT_CAP = 25_691.16


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows [first_row, first_row + rows)."""

    first_row: int
    rows: int


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """What was written.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The Parquet file.
    rows, bytes : int
        Its rows and its size.
    """

    path: Location
    rows: int
    bytes: int


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
    check_range(first_row, rows, seed)
    values = np.empty(rows)
    for chunk in range(first_row // CHUNK_ROWS, -(-(first_row + rows) // CHUNK_ROWS) if rows else 0):
        start = chunk * CHUNK_ROWS
        low, high = max(first_row, start), min(first_row + rows, start + CHUNK_ROWS)
        values[low - first_row : high - first_row] = amount_chunk(chunk, seed)[low - start : high - start]
    return values


def amount_chunk(chunk: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rows [chunk, chunk + 1) * CHUNK_ROWS, from a Philox generator of their own with key (seed, chunk)."""
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
    np.minimum(values, AMOUNT_CAP, out=values)
    values *= 100.0
    np.rint(values, out=values)
    values /= 100.0
    return values


KINDS: dict[str, tuple[str, Callable[[int, int, int], np.ndarray[Any, np.dtype[np.float64]]]]] = {
    "amount": ("Amount", amount),
}


def generate(
    path: str | os.PathLike[str],
    rows: int,
    *,
    kind: str = "amount",
    seed: int = 0,
    block_rows: int = 1 << 20,
    executor: LocalExecutor | None = None,
) -> GeneratedFile:
    """Write generated rows to a Parquet file, block by block.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write; nothing is left under this name unless all rows were written.
    rows : int
        Number of rows.
    kind : {"amount"}
        "amount": one column "Amount", see `amount`.
    seed : int
        0 to 2**64 - 1. The value of a row depends on it and on the row's index only.
    block_rows : int
        Rows computed at a time, also the rows of a row group.
    executor : LocalExecutor, optional
        Threads and progress; by default all cores and none.

    Returns
    -------
    GeneratedFile

    Raises
    ------
    InputError
        For an unknown kind, negative rows, or a folder that does not exist.
    """
    if kind not in KINDS:
        raise InputError(f'kind "{kind}" cannot be generated; there is: {", ".join(KINDS)}')
    check_range(0, rows, seed)
    if block_rows < 1:
        raise InputError(f"block_rows must be at least 1, got {block_rows}")
    name, values = KINDS[kind]
    schema = pa.schema([pa.field(name, pa.float64(), nullable=False)])

    def batch(part: RowRange) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.array(values(part.first_row, part.rows, seed))], schema=schema)

    described = {"gpuvgm.kind": kind, "gpuvgm.seed": str(seed)}
    with ParquetSink(path, schema, described, row_group_rows=block_rows, compression="lz4") as sink:
        (executor or LocalExecutor()).map_blocks(batch, ranges(rows, block_rows), sink.write)
    return GeneratedFile(sink.path, sink.rows, sink.bytes)


def ranges(rows: int, block_rows: int) -> Iterator[RowRange]:
    """Consecutive ranges of `block_rows` rows, the last one shorter."""
    return (RowRange(start, min(block_rows, rows - start)) for start in range(0, rows, block_rows))


def check_range(first_row: int, rows: int, seed: int) -> None:
    """Refuse what no range of rows can be."""
    if first_row < 0 or rows < 0:
        raise InputError(f"rows must not be negative, got first_row={first_row}, rows={rows}")
    if not 0 <= seed < 1 << 64:
        raise InputError(f"seed must be in [0, 2**64), got {seed}")
