"""Whether a row of the key before had a category: paid, diagnosed, cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import xlogy

from gpuvgm.columns import CategoricalColumn, FittedColumn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.rows import KeyRows

MOST_CATEGORIES = 16  # of a column whose earlier categories are asked for
MOST_OCCURRENCES = 16  # of a table: those that tell most
YES, NO = "yes", "no"  # as text, which has the same bins whatever rows are counted

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A category of which rows ask whether one of the rows before had it.

    Parameters
    ----------
    column : str
        The column.
    code : int
        Place of the category among those of the column.
    """

    column: str
    code: int

    @property
    def name(self) -> str:
        """Name of the column that says so."""
        return f"occurred({self.column}, {self.code})"

    def of_rows(self, rows: KeyRows, column: FittedColumn) -> Any:
        """Text for each row, of the rows of its key before."""
        return as_text(self.before(rows, self.is_in(rows.column(self.column), column)))

    def is_in(self, values: Any, column: FittedColumn) -> Bools:
        """Whether values are the category."""
        are_it: Bools = codes_in(column, values) == self.code
        return are_it

    def before(self, rows: KeyRows, are_it: Bools) -> Bools:
        """Whether some row before is one of these."""
        sums: Ints = np.cumsum(are_it) - are_it
        occurred: Bools = sums > sums[rows.starts][rows.keys]
        return occurred


def as_text(occurred: Bools) -> Any:
    """As columns of rows have it."""
    return pc.if_else(pa.array(occurred), YES, NO)


def is_yes(texts: Any) -> Bools:
    """Which rows of such a column say so."""
    return np.array([text == YES for text in texts.to_pylist()], np.bool_)


def codes_in(column: FittedColumn, values: Any) -> Ints:
    """Places of the categories of values, -1 for others."""
    assert isinstance(column, CategoricalColumn)
    return np.asarray(column.index.find(values), np.int64)


def occurrences_of(rows: KeyRows, columns: Mapping[str, FittedColumn], names: Sequence[str]) -> tuple[Occurrence, ...]:
    """The categories whose occurrence tells most of a row beyond what the row before tells.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    columns : mapping of str to FittedColumn
        The fitted columns.
    names : sequence of str
        Columns that differ among the rows of a key.
    """
    few = {
        name: codes_in(column, rows.column(name)) + 1
        for name in names
        if isinstance(column := columns[name], CategoricalColumn) and len(column.categories) <= MOST_CATEGORIES
    }
    gains = {occurrence: gain for occurrence, gain in _gains(rows, few) if gain > 0}
    most = sorted(gains, key=lambda occurrence: (-gains[occurrence], occurrence.name))[:MOST_OCCURRENCES]
    return tuple(most)


def _gains(rows: KeyRows, few: Mapping[str, Ints]) -> Iterator[tuple[Occurrence, float]]:
    """By how much each occurrence makes the likeliest column of a row likelier."""
    after = np.flatnonzero(~rows.are_first)
    for name, codes in few.items():
        for code in range(codes.max(initial=0)):
            occurrence = Occurrence(name, code)
            occurred = occurrence.before(rows, codes == code + 1)[after]
            if occurred.any() and not occurred.all():
                gains = (
                    _gain(codes[after - 1] * (MOST_CATEGORIES + 1) + of_rows[after - 1], occurred, of_rows[after])
                    for of_rows in few.values()
                )
                yield occurrence, max(gains)


def _gain(given: Ints, occurred: Bools, values: Ints) -> float:
    """By how much values are likelier given both than given the first, in nats, less a penalty.

    The penalty is that of Schwarz (1978), of the further distributions that are fitted to rows.
    """
    _, given = np.unique(given, return_inverse=True)
    size = int(values.max()) + 1
    counts = np.zeros((2, int(given.max()) + 1, size))
    np.add.at(counts, (occurred.astype(np.int64), given, values), 1.0)
    further = _log_likelihood(counts) - _log_likelihood(counts.sum(axis=0))
    are_split = (counts.sum(axis=2) > 0).all(axis=0)
    free = np.count_nonzero(counts.sum(axis=0)[are_split], axis=1) - 1
    return float(further - np.log(len(values)) / 2 * free.sum())


def _log_likelihood(counts: Floats) -> float:
    """Of values, by their shares in each row of a table of counts."""
    return float(xlogy(counts, counts).sum() - xlogy(totals := counts.sum(axis=-1), totals).sum())
