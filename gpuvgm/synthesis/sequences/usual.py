"""What is usual for a key: the group of the mean of its numbers, or its most frequent category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.io import taken
from gpuvgm.rules import finite
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.rows import KeyRows, amounts_of

LEAST_OF_GROUP = 20  # keys of each group of means
MOST_GROUPS = 8  # of means
MOST_CATEGORIES = 16  # of a column of which a key has a most frequent one
NONE = -1  # of a key without a number


@dataclass(frozen=True, slots=True)
class UsualValue:
    """A column of which something is usual for each key.

    Parameters
    ----------
    column : str
        The column.
    edges : tuple of float
        Of numbers: ascending means at which the next group begins; of datetimes in nanoseconds.
    """

    column: str
    edges: tuple[Annotated[float, finite], ...] = ()

    @property
    def name(self) -> str:
        """Name of the column of keys that has it."""
        return f"usual({self.column})"

    @classmethod
    def of_rows(cls, rows: KeyRows, column: FittedColumn) -> UsualValue | None:
        """Groups of about as many keys each; None where there are few keys, or many categories."""
        if len(rows.starts) < 2 * LEAST_OF_GROUP:
            return None
        if isinstance(column, CategoricalColumn):
            return cls(column.name) if len(column.categories) <= MOST_CATEGORIES else None
        means = _means(rows, column)
        means = np.sort(means[np.isfinite(means)])
        groups = min(MOST_GROUPS, len(means) // LEAST_OF_GROUP)
        edges = np.unique(means[np.arange(1, groups) * len(means) // max(groups, 1)])
        return cls(column.name, tuple(edges.tolist())) if len(edges) else None

    def texts(self, column: FittedColumn) -> list[str]:
        """All that keys may have."""
        if isinstance(column, CategoricalColumn):
            return [f"value {code}" for code in range(len(column.categories) + 1)]
        return [f"group {group}" for group in range(NONE, len(self.edges) + 1)]

    def of_keys(self, rows: KeyRows, column: FittedColumn) -> Any:
        """Text for each key."""
        texts = pa.array(self.texts(column), pa.string())
        if isinstance(column, CategoricalColumn):
            return taken(texts, _most_frequent(rows, column))
        means = _means(rows, column)
        groups = np.where(np.isnan(means), NONE, np.searchsorted(np.array(self.edges), means, side="right"))
        return taken(texts, groups - NONE)


def _most_frequent(rows: KeyRows, column: CategoricalColumn) -> Ints:
    """The most frequent category of each key, the first one of several."""
    size = len(column.categories) + 1  # one for values that are no categories
    codes = np.asarray(column.index.find(rows.column(column.name)), np.int64) % size
    counts = np.bincount(rows.keys * size + codes, minlength=len(rows.starts) * size).reshape(-1, size)
    most: Ints = np.argmax(counts, axis=1)
    return most


def _means(rows: KeyRows, column: FittedColumn) -> Floats:
    """Mean of each key's numbers, NaN where it has none."""
    assert isinstance(column, NumericColumn)
    amounts = amounts_of(column, rows.column(column.name))
    known, keys = np.isfinite(amounts), len(rows.starts)
    counts = np.bincount(rows.keys[known], minlength=keys)
    sums = np.bincount(rows.keys[known], amounts[known], keys)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
