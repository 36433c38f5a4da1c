"""Keys of several columns of tables that refer to others: no student takes a course twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.databases.joins import codes_together
from gpuvgm.synthesis.databases.references import Reference

LEAST_REPEATS = 30  # expected by chance, of a key that none has
MOST_PARTS = 3  # of a key

Key = tuple[str, ...]


def keys_of(
    rows: Iterable[Mapping[Key, Ints]], references: Sequence[Reference], keys: Collection[Key]
) -> tuple[Key, ...]:
    """Columns of which no two rows of a child have the same values, as many rows would by chance.

    A key has two or three parts, all of them references but for one, which may be a column. None of its parts alone or
    two of them are a key. Where rows come in several parts, one of the references is the first. Of a child of one
    parent the model of its rows says what no parent has twice.

    Parameters
    ----------
    rows : iterable of mapping of tuple of str to ndarray of int64
        Codes of what the child's references lead to and of its other columns, below 0 where missing; in several parts,
        each with all rows of some first parents. What is by chance is judged by the first part.
    references : sequence of Reference
        The child's, to its first parent before others.
    keys : collection of tuple of str
        Keys that other tables refer to, which are such whatever is by chance.
    """
    if len(references) == 1:
        return keys_of_several(references[0], keys)
    parts = iter(rows)
    head, following = next(parts), next(parts, None)
    referring = [of.columns for of in references]
    single = {columns for columns, codes in head.items() if _are_different(codes)}
    lasts = [*referring, *(columns for columns in head if columns not in single and columns not in referring)]
    open_keys = {
        tuple(name for columns in (*former, last) for name in columns): Candidate(former, last, _chance(head[last]))
        for size in range(1, MOST_PARTS)
        for former in combinations(referring, size)
        for last in lasts
        if last not in former and (following is None or referring[0] in (*former, last))
    }
    least = LEAST_REPEATS if following is None else 0  # of a part alone others may still add to what is by chance
    for part in chain([head], () if following is None else [following], parts):
        open_keys = {key: of for key, of in open_keys.items() if of.is_key_of(part, least)}
    found = [*(key for key in keys if len(key) > 1), *single.intersection(referring)]
    for key, candidate in open_keys.items():
        if candidate.repeats_by_chance >= LEAST_REPEATS and not any({*known} <= {*key} for known in found):
            found.append(key)
    return tuple(key for key in found if key not in referring)


@dataclass(slots=True)
class Candidate:
    """What may be a key of several parts.

    Parameters
    ----------
    former : tuple of tuple of str
        All parts but the last one.
    last : tuple of str
        The last one.
    chance : float
        How often two rows have the same of it by chance.
    """

    former: tuple[Key, ...]
    last: Key
    chance: float
    pairs: float = 0.0  # of rows that have the same but for the last part

    @property
    def repeats_by_chance(self) -> float:
        """How many rows would repeat the key by chance."""
        return self.pairs * self.chance

    def is_key_of(self, rows: Mapping[Key, Ints], least: float) -> bool:
        """Whether no row has the key of another one, where so many would by chance; counts pairs of rows that might."""
        parts = [rows[columns] for columns in (*self.former, self.last)]
        known = np.logical_and.reduce([codes >= 0 for codes in parts])
        *former, last = (codes[known] for codes in parts)
        owners = codes_together(former)
        of_owners: Floats = np.bincount(owners).astype(np.float64)
        self.pairs += float(np.sum(of_owners * (of_owners - 1) / 2))
        return self.repeats_by_chance >= least and not len(repeated([owners, last]))


def keys_of_several(first: Reference, keys: Collection[Key]) -> tuple[Key, ...]:
    """Keys of several columns that are not the reference of a child of one parent."""
    return tuple(key for key in sorted(keys) if len(key) > 1 and key != first.columns)


def _are_different(codes: Ints) -> bool:
    """Whether no two rows that are not missing have the same code."""
    known = codes[codes >= 0]
    return len(known) > 1 and len(np.unique(known)) == len(known)


def _chance(codes: Ints) -> float:
    """How often two rows have the same code by chance."""
    _, counts = np.unique(codes[codes >= 0], return_counts=True)
    return float(np.sum((counts / max(counts.sum(), 1)) ** 2))


def repeated(parts: Sequence[Ints]) -> Ints:
    """Rows that have the same codes as a row before; what is missing, below 0, repeats nothing."""
    known = np.flatnonzero(np.logical_and.reduce([codes >= 0 for codes in parts]))
    _, first = np.unique(codes_together([codes[known] for codes in parts]), return_index=True)
    again: Ints = np.delete(known, first)
    return again


def with_free_parents(
    numbers: Ints, parts: Sequence[Ints], weights: Floats, refused: Ints, seed: Sequence[int]
) -> Ints:
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
    seed : sequence of int
        The seed of these rows.
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
