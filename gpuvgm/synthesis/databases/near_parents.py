"""Whether parents of a sample, with their children, repeat those of the tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io import TableSource
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.learning import TablesToLearn
from gpuvgm.synthesis.databases.model import DatabaseModel
from gpuvgm.synthesis.databases.references import Reference

NAMES = ("", " of the sample", " of those held out")  # of the tables, for messages


@dataclass(frozen=True, slots=True)
class NearParents:
    """Rows of a parent that have children, with these, in a sample beside those of the tables.

    Parents without children are rows like others, which the comparison of their table judges.

    Parameters
    ----------
    reference : str
        The reference of the children.
    parent, child : str
        Both tables.
    figures : Copies or None
        Shares of parents that repeat one of the tables, as of rows; None for fewer than 20 with children.
    """

    reference: str
    parent: str
    child: str
    figures: Any

    @property
    def stand_out(self) -> bool:
        """True if more of them repeat parents of the tables than chance explains."""
        return self.figures is not None and bool(self.figures.stand_out)

    @property
    def rank(self) -> tuple[bool, float]:
        """What those that repeat most have the largest of."""
        return self.stand_out, 0.0 if self.figures is None else self.figures.excess

    def to_dict(self) -> dict[str, Any]:
        """The figures as a dict that JSON can hold."""
        figures = None if self.figures is None else {"how": self.figures.how, **self.figures.to_dict()}
        return {"reference": self.reference, "stand_out": self.stand_out, "figures": figures}

    def __str__(self) -> str:
        who, figures = f"{self.parent} with their {self.child}", self.figures
        if figures is None:
            return f"{self.reference}: there are too few {who} to judge whether the sample repeats real ones"
        lead = f"sampled {who} repeat {'real ones' if self.stand_out else 'no more real ones than chance explains'}"
        half = "one that comes once in a random half" if figures.once else "one of a random half"
        held_out = "" if figures.held_out_share is None else f" and {figures.held_out_share:.2%} of those held out"
        halves = (
            f"{figures.half_share:.2%} equal {half}, as {figures.other_half_share:.2%} of the other half{held_out} do"
        )
        return f"{self.reference}: {lead}: {figures.share:.2%} equal one {figures.how} ({halves})"


def near_parents(
    model: DatabaseModel, tables: Sequence[TablesToLearn], widened: Sequence[Mapping[str, pa.Table]]
) -> list[NearParents]:
    """By reference whether parents with their children repeat those of the tables, the worst first.

    Parameters
    ----------
    model : DatabaseModel
        What tells which rows refer to which, and kinds of columns.
    tables : sequence of TablesToLearn
        The tables, the sample, and tables that were held out of the fit, if there are any.
    widened : sequence of mapping of str to pyarrow.Table
        Their rows beside what these refer to.

    Raises
    ------
    InputError
        If the tables that were held out are those that were fitted.
    """
    near = list[NearParents]()
    for name in dict.fromkeys(reference.child for reference in model.plan.references):
        references = [reference for reference in model.plan.references if reference.child == name]
        of_name, columns = [tables[name] for tables in widened], _columns(name, model)
        if len(widened) == len(NAMES):
            _check_held_out(name, of_name[0], of_name[2], columns)
        if not of_name[-1].num_rows:  # of those held out; the sample has rows
            of_name = of_name[:2]
        rows = [TableSource(name + of, "pyarrow", table) for of, table in zip(NAMES, of_name, strict=False)]
        keys = {of: [_numbers(of_tables, of) for of_tables in tables[: len(rows)]] for of in references}
        transformer, index = model.parts[name].model.transformer, model.plan.indices.get(name, "")
        figures = transformer._evaluator().near_keys(rows, keys, columns, index)
        near += [NearParents(str(of), of.parent, name, figures[of]) for of in references]
    return sorted(near, key=lambda figures: figures.rank, reverse=True)


def _columns(name: str, model: DatabaseModel) -> Collection[str]:
    """Columns beside the rows of a table that samples repeat if they repeat rows: no keys, which are new in samples."""
    left_out = model.plan.owners(name)
    columns = (of for of in model.parts[name].model.table.columns if of.is_encoded and of.name not in left_out)
    return [of.name for of in columns if not getattr(of, "holds_keys", False)]


def _numbers(tables: TablesToLearn, reference: Reference) -> Ints:
    """Number of the parent of each child; -1 of those whose parent is not there."""
    links = tables.links[reference]
    return np.where(links.is_here, links.rows, -1)


def _check_held_out(name: str, fitted: pa.Table, held_out: pa.Table, columns: Collection[str]) -> None:
    """Refuse tables that were held out if they are those that were fitted, beside which no sample would be near."""
    by_all: Any = [(column, "ascending") for column in columns]
    if by_all and held_out.num_rows == fitted.num_rows:
        first, second = (table.select(columns).sort_by(by_all) for table in (fitted, held_out))
        if first.equals(second):
            remedy = "give tables with other rows, which were not fitted"
            raise InputError(f'held_out: "{name}" has the rows of the tables themselves: {remedy}')
