"""Keys of several columns of tables that refer to others: no student takes a course twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa

from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.databases.joins import Links, codes_of, codes_together
from gpuvgm.synthesis.databases.references import Reference

LEAST_REPEATS = 30  # expected by chance, of a key that none has
MOST_PARTS = 3  # of a key

Key = tuple[str, ...]


def keys_of(child: pa.Table, links: Sequence[Links], keys: Collection[Key]) -> tuple[Key, ...]:
    """Columns of which no two rows of a child have the same values, as many rows would by chance.

    A key has two or three parts, all of them references but for one, which may be a column. None of its parts alone or
    two of them are a key. Of a child of one parent the model of its rows says what no parent has twice.

    Parameters
    ----------
    child : pyarrow.Table
        Columns of the child that refer to no rows.
    links : sequence of Links
        Which rows its rows refer to.
    keys : collection of tuple of str
        Keys that other tables refer to, which are such whatever is by chance.
    """
    codes = {of.reference.columns: of.rows for of in links}
    if len(links) == 1:
        return keys_of_several(links[0].reference, keys)
    alone = {(name,): codes_of(child.column(name).combine_chunks()) for name in child.schema.names}
    alone = {columns: rows for columns, rows in alone.items() if not _is_key([rows])}
    found = [key for key in keys if len(key) > 1]
    found += [columns for columns, rows in codes.items() if _is_key([rows])]
    for size in range(1, MOST_PARTS):
        for former in combinations(codes, size):
            for last in (*codes, *alone):
                key = tuple(name for columns in (*former, last) for name in columns)
                if last not in former and not any({*known} <= {*key} for known in found):
                    if _is_key([codes[columns] for columns in former] + [(codes | alone)[last]]):
                        found.append(key)
    return tuple(key for key in found if key not in codes)


def keys_of_several(first: Reference, keys: Collection[Key]) -> tuple[Key, ...]:
    """Keys of several columns that are not the reference of a child of one parent."""
    return tuple(key for key in sorted(keys) if len(key) > 1 and key != first.columns)


def _is_key(parts: Sequence[Ints]) -> bool:
    """Whether no rows have the same codes, as some would by chance; a single part needs no chance."""
    known = np.logical_and.reduce([codes >= 0 for codes in parts])
    *former, last = (codes[known] for codes in parts)
    if len(last) < 2:
        return False
    owners = codes_together(former) if former else np.zeros(len(last), np.int64)
    if former and _pairs(owners) * float(np.sum((np.bincount(last) / len(last)) ** 2)) < LEAST_REPEATS:
        return False
    return not len(repeated([owners, last]))


def _pairs(owners: Ints) -> float:
    """Pairs of rows of one owner."""
    rows: Floats = np.bincount(owners).astype(np.float64)
    return float(np.sum(rows * (rows - 1) / 2))


def repeated(parts: Sequence[Ints]) -> Ints:
    """Rows that have the same codes as a row before; what is missing, below 0, repeats nothing."""
    known = np.flatnonzero(np.logical_and.reduce([codes >= 0 for codes in parts]))
    _, first = np.unique(codes_together([codes[known] for codes in parts]), return_index=True)
    again: Ints = np.delete(known, first)
    return again


def with_free_parents(numbers: Ints, parts: Sequence[Ints], weights: Floats, refused: Ints, seed: int) -> Ints:
    """Parents of rows, of which those that repeat a key are replaced by some that their owners have not, if there are.

    Parameters
    ----------
    numbers : ndarray of shape (rows,), int64
        The parent's row of each row.
    parts : sequence of ndarray of shape (rows,), int64
        The other parts of the key.
    weights : ndarray of shape (parents,)
        How often a parent is taken.
    refused : ndarray of shape (rows,), int64
        A parent that each row is not to have; -1 for none.
    seed : int
        The seed.
    """
    numbers, again = numbers.copy(), repeated([*parts, numbers])
    owners = codes_together([np.maximum(codes, -1) + 1 for codes in parts])
    random = np.random.default_rng(seed)
    for row, rows in zip(again, _rows_of(owners, owners[again]), strict=True):
        free = weights > 0
        had = np.append(numbers[rows], refused[row])
        free[had[(had >= 0) & (had < len(free))]] = False
        chances = weights * free
        if chances.any():
            numbers[row] = random.choice(len(weights), p=chances / chances.sum())
    return numbers


def _rows_of(owners: Ints, asked: Ints) -> Iterator[Ints]:
    """All rows of each of some owners."""
    order = np.argsort(owners, kind="stable")
    starts, stops = (np.searchsorted(owners[order], asked, side=side) for side in ("left", "right"))
    return (order[start:stop] for start, stop in zip(starts, stops, strict=True))
