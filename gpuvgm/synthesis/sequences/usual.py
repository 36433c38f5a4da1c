"""What is usual for a key: the group of the mean of its numbers or of their steps, or its most frequent category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.io import taken
from gpuvgm.rules import finite
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.names import since
from gpuvgm.synthesis.sequences.rows import KeyRows, amounts_of

LEAST_OF_GROUP = 20  # keys of each group of means
MOST_GROUPS = 8  # of means
MOST_CATEGORIES = 16  # of a column of which a key has a most frequent one
NONE = -1  # of a key without a number
LEAST_KEYS, FEW_ROWS = 40, 2  # keys that show how far apart first and last rows are, and rows of those that do not
GROUPS_OF_KEYS = 8  # of about as many rows each

Counted = Literal["numbers", "steps", "ratios"]


@dataclass(frozen=True, slots=True)
class UsualValue:
    """A column of which something is usual for each key.

    Parameters
    ----------
    column : str
        The column.
    edges : tuple of float
        Of numbers: ascending means at which the next group begins; of datetimes in nanoseconds.
    of : str
        Which numbers means are of: "numbers" of the column, their "steps" since the row before, or the logarithms of
        their "ratios" to it.
    """

    column: str
    edges: tuple[Annotated[float, finite], ...] = ()
    of: Counted = "numbers"

    @property
    def name(self) -> str:
        """Name of the column of keys that has it."""
        name = self.column if self.of == "numbers" else since(self.column)
        return f"usual({name})"

    @classmethod
    def of_rows(cls, rows: KeyRows, column: FittedColumn, of: Counted = "numbers") -> UsualValue | None:
        """Groups of about as many keys each; None where there are few keys, or many categories."""
        if len(rows.starts) < 2 * LEAST_OF_GROUP:
            return None
        if isinstance(column, CategoricalColumn):
            return cls(column.name) if len(column.categories) <= MOST_CATEGORIES else None
        means = _means(rows, column, of)
        means = np.sort(means[np.isfinite(means)])
        groups = min(MOST_GROUPS, len(means) // LEAST_OF_GROUP)
        edges = np.unique(means[np.arange(1, groups) * len(means) // max(groups, 1)])
        return cls(column.name, tuple(edges.tolist()), of) if len(edges) else None

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
        means = _means(rows, column, self.of)
        groups = np.where(np.isnan(means), NONE, np.searchsorted(np.array(self.edges), means, side="right"))
        return taken(texts, groups - NONE)


def variance_of_spans(rows: KeyRows, column: FittedColumn, *, are_ratios: bool = False) -> float:
    """Variance of the differences of last and first rows of keys, beside that which independent steps would have.

    The variance of a sum of independent steps is the sum of their variances; that is compared within groups of keys of
    about as many rows, whose steps may be of another length. NaN where too few keys have several rows.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    column : FittedColumn
        A column of numbers.
    are_ratios : bool
        Whether logarithms are compared.
    """
    amounts = _amounts(rows, column, are_ratios=are_ratios)
    steps, several = rows.counts - 1, rows.counts > FEW_ROWS
    of_rows = np.where(rows.are_first, 0.0, np.diff(amounts, prepend=amounts[:1]))
    spans, squares = (np.add.reduceat(sums, rows.starts) for sums in (of_rows, of_rows**2))
    several &= np.isfinite(spans)
    if np.count_nonzero(several) < LEAST_KEYS:
        return np.nan
    of_spans = of_steps = 0.0
    for keys in np.array_split(np.flatnonzero(several)[np.argsort(steps[several], kind="stable")], GROUPS_OF_KEYS):
        mean = spans[keys].sum() / steps[keys].sum()
        of_spans += np.sum((spans[keys] - steps[keys] * mean) ** 2)
        of_steps += np.sum(squares[keys]) - np.sum(steps[keys]) * mean**2
    return float(of_spans / of_steps) if of_steps > 0 else np.nan


def _most_frequent(rows: KeyRows, column: CategoricalColumn) -> Ints:
    """The most frequent category of each key, the first one of several."""
    size = len(column.categories) + 1  # one for values that are no categories
    codes = np.asarray(column.index.find(rows.column(column.name)), np.int64) % size
    counts = np.bincount(rows.keys * size + codes, minlength=len(rows.starts) * size).reshape(-1, size)
    most: Ints = np.argmax(counts, axis=1)
    return most


def _means(rows: KeyRows, column: FittedColumn, of: Counted) -> Floats:
    """Mean of each key's numbers, or of their steps; NaN where it has none."""
    assert isinstance(column, NumericColumn)
    amounts = _amounts(rows, column, are_ratios=of == "ratios")
    if of != "numbers":
        amounts = np.where(rows.are_first, np.nan, np.diff(amounts, prepend=np.nan))
    known, keys = np.isfinite(amounts), len(rows.starts)
    counts = np.bincount(rows.keys[known], minlength=keys)
    sums = np.bincount(rows.keys[known], amounts[known], keys)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _amounts(rows: KeyRows, column: FittedColumn, *, are_ratios: bool) -> Floats:
    """Numbers of a column, or their logarithms; NaN where they have none."""
    amounts = amounts_of(column, rows.column(column.name))
    if not are_ratios:
        return amounts
    logarithms: Floats = np.log(np.where(amounts > 0, amounts, np.nan))
    return logarithms
