"""Sequences: columns that run on from row to row, and rows of a key that are in an order.

Samples of single rows keep neither: the fit says so, and names what `sequence_key` would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import NumericColumn
from gpuvgm.errors import InferenceWarning, warn
from gpuvgm.io import is_datetime_type, is_plain_number_type, is_text_type, plain_type, plain_values_of
from gpuvgm.summary import Floats, Ints

SEEN_ROWS = 20_000  # of a sample, in their order
LEAST_ROWS = 20  # that change a column
LEAST_SHARE = 0.9  # of these rows, that change it by another column
LEAST_CHANGES = 5  # different ones
PROBED = 256  # rows that pairs of columns are tried on first
NOISE = 1e-9  # of a number
LEAST_KEYS = 20  # that have several rows
LEAST_STEPS = 100  # from row to row of a key
IN_ORDER = 0.99  # of these, by which an index rises


def tell_of_sequences(columns: Mapping[str, Any], keys: Sequence[str], rows: pa.Table) -> None:
    """Warn of numbers that run on from row to row, of all rows or of each key's, and of keys whose rows are in order.

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
    hashes = {key: columns[key].hashes(first.column(key).combine_chunks()) for key in keys}
    warned = _tell_of_running(columns, hashes, first)
    for key, index in _in_order(columns, hashes, first):
        if key not in warned:
            warn(
                f'rows of "{key}" are in the order of "{index}", and each row of a sample is drawn for itself: '
                f'sequence_key="{key}", sequence_index="{index}" draw a key\'s rows one after the other',
                InferenceWarning,
                ("sequences", key, index),
            )


def _in_order(columns: Mapping[str, Any], hashes: Mapping[str, Ints], rows: pa.Table) -> Iterator[tuple[str, str]]:
    """Keys whose rows are in an order, each with the first datetime, or number, that rises along them.

    Where no column of keys has such rows, the column of the most values that follow each other may be one.
    """
    numbers = _rising(columns, rows)

    def index_of(key: str, of_rows: Ints) -> str | None:
        order = np.argsort(of_rows, kind="stable")
        follows = np.diff(of_rows[order]) == 0
        of_several = np.count_nonzero(follows & ~np.append(False, follows)[: len(follows)])
        if of_several < LEAST_KEYS or np.count_nonzero(follows) < LEAST_STEPS:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            rising = [name for name in numbers if np.mean(np.diff(numbers[name][order])[follows] > 0) >= IN_ORDER]
        return next((name for name in rising if name != key), None)

    indices = {key: index for key, of_rows in hashes.items() if (index := index_of(key, of_rows))}
    if not indices:
        for name, of_rows in _contiguous(rows, columns):
            if name not in hashes and (index := index_of(name, of_rows)):
                indices[name] = index
                break
    yield from indices.items()


def _rising(columns: Mapping[str, Any], rows: pa.Table) -> dict[str, Floats]:
    """Numbers of columns that may be an index: datetimes first, then whole numbers."""
    moments, whole = dict[str, Floats](), dict[str, Floats]()
    for name in filter(columns.__contains__, rows.schema.names):
        column, values = columns[name], rows.column(name).combine_chunks()
        if is_datetime_type(column.decoded_type):
            if isinstance(column, NumericColumn):
                moments[name] = np.asarray(column.all_numbers(values), np.float64)
        elif pa.types.is_integer(plain_type(values.type)):
            whole[name] = np.asarray(plain_values_of(values).cast(pa.float64(), safe=False))
    return moments | whole


def _contiguous(rows: pa.Table, columns: Mapping[str, Any]) -> list[tuple[str, Ints]]:
    """Codes of columns whose rows of one value follow each other, those of the most values first."""
    contiguous = []
    for name in filter(columns.__contains__, rows.schema.names):
        values = plain_values_of(rows.column(name).combine_chunks())
        if is_text_type(values.type):
            values = values.cast(pa.large_string())
        elif not pa.types.is_integer(values.type):
            continue
        codes = np.asarray(values.dictionary_encode().indices.fill_null(-1))
        changes = np.count_nonzero(np.diff(codes))
        if LEAST_KEYS <= changes + 1 == len(np.unique(codes)) < len(codes):
            contiguous.append((changes, name, codes))
    return [(name, codes) for _, name, codes in sorted(contiguous, key=lambda column: -column[0])]


def _tell_of_running(columns: Mapping[str, Any], hashes: Mapping[str, Ints], first: pa.Table) -> set[str]:
    """Warn of columns that change by another one; returns the keys whose rows show it."""
    numbers = {
        name: np.asarray(plain_values_of(first.column(name).combine_chunks()).cast(pa.float64(), safe=False))
        for name, column in columns.items()
        if isinstance(column, NumericColumn)
        and (is_plain_number_type(column.decoded_type) or pa.types.is_decimal(column.decoded_type))
    }
    warned: set[str] = set()
    keys: set[str] = set()
    for key in (None, *hashes):
        for name, addend in _running(numbers, None if key is None else hashes[key]):
            if name not in warned:
                keys |= {key} if key is not None else set()
                remedy = "" if key is None else f'fit with sequence_key="{key}", '
                whose = "" if key is None else f' of each "{key}"'
                warned.add(name)
                warn(
                    f'"{name}" runs on from row to row{whose} by "{addend}", and rows of a sample have no order: '
                    f"{remedy}leave it out, or compute it from the sample",
                    InferenceWarning,
                )
    return keys


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
