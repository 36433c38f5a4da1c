"""Sequences: columns that run on from row to row, such as balances, which samples of single rows do not keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import NumericColumn
from gpuvgm.errors import InferenceWarning, warn
from gpuvgm.io import is_plain_number_type, plain_values_of
from gpuvgm.summary import Floats, Ints

SEEN_ROWS = 20_000  # of a sample, in their order
LEAST_ROWS = 20  # that change a column
LEAST_SHARE = 0.9  # of these rows, that change it by another column
LEAST_CHANGES = 5  # different ones
PROBED = 256  # rows that pairs of columns are tried on first
NOISE = 1e-9  # of a number


def tell_of_sequences(columns: Mapping[str, Any], keys: Sequence[str], rows: pa.Table) -> None:
    """Warn of columns of numbers that change by another column from row to row, of all rows or of each key's.

    Parameters
    ----------
    columns : mapping
        The columns by name.
    keys : sequence of str
        Columns of keys.
    rows : pyarrow.Table
        A sample, in the order of the table.
    """
    first = rows.slice(0, SEEN_ROWS)
    numbers = {
        name: np.asarray(plain_values_of(first.column(name).combine_chunks()).cast(pa.float64(), safe=False))
        for name, column in columns.items()
        if isinstance(column, NumericColumn)
        and (is_plain_number_type(column.decoded_type) or pa.types.is_decimal(column.decoded_type))
    }
    warned: set[str] = set()
    for key in (None, *keys):
        hashes = None if key is None else columns[key].hashes(first.column(key).combine_chunks())
        for name, addend in _running(numbers, hashes):
            if name not in warned:
                remedy = "" if key is None else f'fit with sequence_key="{key}", '
                whose = "" if key is None else f' of each "{key}"'
                warned.add(name)
                warn(
                    f'"{name}" runs on from row to row{whose} by "{addend}", and rows of a sample have no order: '
                    f"{remedy}leave it out, or compute it from the sample",
                    InferenceWarning,
                )


def _running(numbers: Mapping[str, Floats], hashes: Ints | None) -> Iterator[tuple[str, str]]:
    """Columns that change by another one, with that one: up or down."""
    if len(numbers) < 2:
        return
    every = np.array([*numbers.values()])
    order = np.arange(every.shape[1]) if hashes is None else np.argsort(hashes, kind="stable")
    follows = np.ones(max(len(order) - 1, 0), np.bool_) if hashes is None else np.diff(hashes[order]) == 0
    before, after = order[:-1][follows], order[1:][follows]
    names = [*numbers]
    with np.errstate(over="ignore", invalid="ignore"):
        for place, name in enumerate(names):
            steps = every[place, after] - every[place, before]
            changed = np.flatnonzero(np.isfinite(steps) & (steps != 0))
            if len(changed) < LEAST_ROWS:
                continue
            for at in (changed[:PROBED], changed):
                size = np.abs(every[place, after[at]]) + np.abs(steps[at])
                equal = np.abs(np.abs(every[:, after[at]]) - np.abs(steps[at])) <= NOISE * size
                equal[place] = False
                shares = equal.mean(axis=1)
                if shares.max() < LEAST_SHARE:
                    break
            else:
                addend = int(np.argmax(shares))
                if len(np.unique(every[addend, after[changed]])) >= LEAST_CHANGES:
                    yield name, names[addend]
