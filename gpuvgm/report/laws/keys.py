"""Laws over the rows of a key: totals, sums that balance, numbers that run on, and what a row takes over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, permutations
from typing import Literal

import numpy as np

from gpuvgm.columns import NumericColumn
from gpuvgm.report.laws.rows import Mask, RowsOfKeys, SomeRows
from gpuvgm.report.laws.rules import MOST_COLUMNS, Rule, Share
from gpuvgm.summary import Floats, Ints

Form = Literal["count", "sum", "balance", "added", "taken off", "handed over"]
#: How laws are written, given the column that they make and another one.
TEXTS: dict[Form, str] = {
    "count": "{made} = count()",
    "sum": "{made} = sum({of})",
    "balance": "sum({made}) = sum({of})",
    "added": "previous({made}) + {of} = {made}",
    "taken off": "previous({made}) - {of} = {made}",
    "handed over": "previous({of}) = {made}",
}
LEAST_SHOWN = 20  # keys, or rows after another one, that show a law
LEAST_COUNTS, LEAST_NUMBERS = 3, 10  # different numbers of rows of keys, and other numbers that a law makes
LEAST_KEPT = 0.99  # of what a law judges in the original table
LEAST_CONSTANT = 0.98  # of the keys, that have one value of a column which is a number of theirs
HALF, NEAR = 0.5 + 1e-6, 1e-9  # of a step, and of the largest number, by which numbers may be off


@dataclass(frozen=True, slots=True)
class OverRows(Rule):
    """A law over the rows of a key.

    Parameters
    ----------
    columns : tuple of str
        The key, the column that the law makes, and what it makes it of; of a count the first two.
    form : str
        What that is: the number of the key's rows, the sum of a column, a sum like that of another one, its number of
        the row before with another one of the row added or taken off, or another column of the row before.
    index : str
        Column by which the rows of a key are in order; empty where they are as they stand.
    """

    columns: tuple[str, ...]
    form: Form
    index: str = ""

    @classmethod
    def find(cls, rows: SomeRows, key: str, index: str) -> Iterator[OverRows]:
        """Yield the laws of whole keys, of which each column is made by one.

        Parameters
        ----------
        rows : SomeRows
            Rows of the original table: of all of them, since some rows are no whole keys.
        key, index : str
            Columns of the keys, and of the order of their rows; empty for none.
        """
        if not key or rows.rows.num_rows < rows.total:
            return
        of_keys, found = rows.of_keys(key, index), set[str]()
        names = [name for name in rows.columns if name != key][:MOST_COLUMNS]
        numbers = [name for name in names if name in of_keys.amounts]
        pairs = [*permutations(numbers, 2)]
        laws = chain(
            (cls((key, name), "count", index) for name in numbers),
            (cls((key, *pair), "sum", index) for pair in pairs),
            (cls((key, *pair), "balance", index) for pair in combinations(numbers, 2)),
            (cls((key, *pair), sign, index) for pair in pairs for sign in ("added", "taken off")),
            (cls((key, *pair), "handed over", index) for pair in permutations(names, 2)),
        )
        for law in laws:
            if law.columns[1] not in found and law._is_shown(of_keys):
                found.add(law.columns[1])
                yield law

    @property
    def text(self) -> str:
        """The law, as people write it."""
        key, made, *of = self.columns
        return f"{TEXTS[self.form].format(made=made, of=of[0] if of else '')} in each {key}"

    def share(self, rows: SomeRows) -> Share:
        """Keys are judged, or rows after another one of their key; of some rows of a table none."""
        if rows.rows.num_rows < rows.total:
            return 0, 0
        kept, judged, _ = self._outcome(rows.of_keys(self.columns[0], self.index))
        return int(np.count_nonzero(kept & judged)), int(np.count_nonzero(judged))

    def _is_shown(self, rows: RowsOfKeys) -> bool:
        """Whether a table keeps the law nearly always, and enough of it shows that."""
        kept, judged, shows = self._outcome(rows)
        least = LEAST_CONSTANT * len(judged) if self.form in ("count", "sum") else 1
        if np.count_nonzero(judged) < least or np.count_nonzero(kept & judged) < LEAST_KEPT * np.count_nonzero(judged):
            return False
        return bool(np.count_nonzero(shows & kept & judged) >= LEAST_SHOWN)

    def _outcome(self, rows: RowsOfKeys) -> tuple[Mask, Mask, Mask]:
        """Which keys, or rows after another one, keep the law, which it judges, and which of these show it."""
        if self.form in ("added", "taken off", "handed over"):
            return self._of_steps(rows)
        made, starts = rows.amounts[self.columns[1]], rows.starts
        if self.form == "balance":
            first, second = (rows.sums[name] for name in self.columns[1:])
            differs = np.add.reduceat(made != rows.amounts[self.columns[2]], starts) > 0
            judged = rows.counts > 1
            return self._are_near(rows, first, second), judged, differs & (first != 0) & _are_many(first)
        of_keys, is_constant = made[starts], np.minimum.reduceat(made, starts) == np.maximum.reduceat(made, starts)
        if self.form == "count":
            return of_keys == rows.counts, is_constant, (rows.counts > 1) & _are_many(rows.counts, LEAST_COUNTS)
        sums = rows.sums[self.columns[2]]
        differs = sums != np.nan_to_num(rows.amounts[self.columns[2]])[starts]
        return self._are_near(rows, of_keys, sums), is_constant, differs & _are_many(sums)

    def _of_steps(self, rows: RowsOfKeys) -> tuple[Mask, Mask, Mask]:
        """The outcome in rows after another one of their key."""
        made, of, later = self.columns[1], self.columns[2], rows.later
        if self.form == "handed over":
            now, others = (rows.hashes(name) for name in (made, of))
            judged = (now[later] != 0) | (others[later - 1] != 0)
            return (
                now[later] == others[later - 1],
                judged,
                (now[later] != now[later - 1]) & (now[later] != others[later]),
            )
        numbers, added = rows.amounts[made], rows.amounts[of][later]
        expected = numbers[later - 1] + (added if self.form == "added" else -added)
        kept = self._are_near(rows, numbers[later], expected)
        return kept, ~np.isnan(expected - numbers[later]), (added != 0) & _are_many(numbers)

    def _are_near(self, rows: RowsOfKeys, numbers: Floats, expected: Floats) -> Mask:
        """Which numbers are what is expected of them, to half a step of their column."""
        column = rows.rows.columns[self.columns[1]]
        step = column.codec.plain.spacing if isinstance(column, NumericColumn) else 0.0
        near = max(HALF * step, NEAR * float(np.nanmax(np.abs(numbers), initial=0)))
        return np.abs(numbers - expected) <= near


def _are_many(numbers: Floats | Ints, least: int = LEAST_NUMBERS) -> bool:
    """Whether there are many different numbers, which agree with others by chance in few places."""
    return len(np.unique(numbers)) >= least
