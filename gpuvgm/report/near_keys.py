"""Synthetic keys that repeat original ones, with all of their rows, exactly or but for small changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.report.copies import LEAST, Copies, Rows, column_words, sum_of
from gpuvgm.report.detection import Feature, Features, by_frequency
from gpuvgm.report.near import NearRows, near_rows
from gpuvgm.report.sequences import CATEGORY, OF_ORDER, RowFeatures, WholeKeys, features_of_keys

KEYS_AT_ONCE = 1 << 14  # that are described, so that counts of their categories stay small
Table = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class NearKeys(NearRows):
    """Shares of keys that repeat an original one with its rows; all else as for `NearRows`.

    Parameters
    ----------
    key : str
        The column of the keys; "" where they are rows of another table.

    Notes
    -----
    Without `bins` they repeat it exactly: hardly more do with small changes, or too little tells keys apart.
    """

    key: str = ""
    TITLE: ClassVar[str] = "near keys"
    WHAT: ClassVar[str] = "keys"
    REMEDY: ClassVar[str] = "The generator repeats what belongs to one person or thing."
    _OF_HALF: ClassVar[str] = "repeat one of a half of the original keys so"

    @property
    def how(self) -> str:
        """How these keys repeat original ones, as words."""
        return "but for small changes" if self.bins else "exactly"

    @property
    def what(self) -> str:
        """What these keys do, as words."""
        return f"repeat an original {self.key} with all of its rows {self.how}"

    @classmethod
    def of(cls, keys: Copies, key: str) -> NearKeys:
        """Shares that were counted as those of rows."""
        counted: dict[str, Any] = {field.name: getattr(keys, field.name) for field in fields(keys)}
        return cls(**counted, key=key)


def near_keys(tables: Sequence[RowFeatures], key: str, *, are_ordered: bool) -> NearKeys:
    """Compare keys of tables, by what a classifier of keys sees of them, as rows are compared.

    Parameters
    ----------
    tables : sequence of (WholeKeys, mapping of Feature to ndarray of shape (rows,))
        Rows of the original table, of the synthetic one, and of keys that were held out, if there are any.
    key : str
        The column of the keys; "" where they are rows of another table.
    are_ordered : bool
        Whether the order of rows within a key says anything.

    Returns
    -------
    NearKeys
        Shares of keys that repeat an original one but for small changes; or exactly, if hardly more do with changes
        than without, or if too little tells keys apart.
    """
    keys = [_described(rows, {}, are_ordered=are_ordered) for rows, _ in tables]
    for feature in tables[0][1]:  # one at a time, which rows of many columns need not be held for
        for table, (rows, _), values in zip(keys, tables, _by_frequency(tables, feature), strict=True):
            table |= _described(rows, {feature: values}, are_ordered=are_ordered)
    words = [sum_of(column_words(of_keys, place) for place, of_keys in enumerate(table.values())) for table in keys]
    equal, near = Copies.count([*keys[0]], Rows.of(([of_table] for of_table in words), None)), near_rows(keys, None)
    is_exact = equal.stand_out and (near is None or near.excess - equal.excess < max(LEAST, near.by_chance))
    return NearKeys.of(equal if near is None or is_exact else near, key)


def _by_frequency(tables: Sequence[RowFeatures], feature: Feature) -> list[NDArray[Any]]:
    """A feature of the rows of each table, codes by their frequency in all; see `by_frequency`."""
    original, *compared = (features[feature] for _, features in tables)
    first, together = by_frequency({feature: original}, {feature: np.concatenate(compared)})
    return [first[feature], *np.split(together[feature], np.cumsum([len(of_rows) for of_rows in compared])[:-1])]


def _described(rows: WholeKeys, values: Features, *, are_ordered: bool) -> Table:
    """What each key is like: numbers, and codes of categories."""
    starts = rows.starts
    edges = [*starts[::KEYS_AT_ONCE].tolist(), len(rows.places)]
    parts = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        part = WholeKeys(rows.places[start:stop], rows.keys[start:stop] - rows.keys[start])
        parts.append(dict(features_of_keys("", part, {name: of_rows[start:stop] for name, of_rows in values.items()})))
    return {
        (f"{part} of {column}" if column else part): np.concatenate(
            [of_part[column, part] for of_part in parts]
        ).astype(np.int64 if part == CATEGORY else np.float64)
        for column, part in parts[0]
        if are_ordered or part not in OF_ORDER
    }
