"""The first rows of a table before and after the round trip, as texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from gpuvgm.arrays import on_host
from gpuvgm.columns.text import texts_of
from gpuvgm.io import Block
from gpuvgm.report.markup import Markup, join, tag
from gpuvgm.report.sections import table

ROWS, COLUMNS = 10, 50  # at most
DECODED = "decoded"
Texts = Mapping[str, tuple[str, ...]]  # values by column
Became = Callable[[str, "pa.Array[Any]"], "pa.Array[Any]"]


@dataclass(frozen=True, slots=True)
class FirstRows:
    """Some rows of a table from its first on, beside what became of them.

    Parameters
    ----------
    first_row : int
        Global index of the first one.
    before, after : dict of str to tuple of str
        Values of each column.
    """

    first_row: int
    before: Texts
    after: Texts

    @classmethod
    def of(cls, block: Block, names: Iterable[str], became: Became | None = None) -> FirstRows:
        """Those of the first rows that a block holds; `became` gives, for a column's name and values, those after."""
        before: dict[str, tuple[str, ...]] = {}
        after: dict[str, tuple[str, ...]] = {}
        if block.first_row < ROWS:
            few = block.batch[: ROWS - block.first_row]
            for name in islice(names, COLUMNS):
                values = few.column(name)
                before[name] = tuple(texts_of(on_host(values)))
                if became is not None:
                    after[name] = tuple(texts_of(became(name, values)))
        return cls(block.first_row, before, after)

    def merge(self, other: FirstRows) -> FirstRows:
        """Rows of both in the order of the table."""
        one, more = sorted((self, other), key=lambda rows: rows.first_row)
        before, after = (
            {name: texts + later.get(name, ()) for name, texts in first.items()}
            for first, later in ((one.before, more.before), (one.after, more.after))
        )
        return FirstRows(one.first_row, before or more.before, after or more.after)


def first_rows_table(shown: FirstRows, after: str, caption: str, columns: int) -> Markup:
    """The rows as a table that scrolls in its own box.

    Parameters
    ----------
    shown : FirstRows
        The rows.
    after : str
        What the second value of a pair is; those decoded that are not as before are bold.
    caption : str
        What the table shows.
    columns : int
        Columns of the report, which may be more.
    """
    titles = ["row", *chain.from_iterable((name, after) for name in shown.before)]
    pairs = [
        [
            (one, tag("b", other) if after == DECODED and one != other else other)
            for one, other in zip(before, shown.after[name], strict=True)
        ]
        for name, before in shown.before.items()
    ]
    rows = [(f"{place:,}", *chain.from_iterable(cells)) for place, cells in enumerate(zip(*pairs, strict=True), 1)]
    left = f" Shown are the first {len(pairs)} of {columns:,} columns." if columns > len(pairs) else ""
    return join(tag("h2", "First rows"), table(titles, rows, caption + left, text=len(titles)))
