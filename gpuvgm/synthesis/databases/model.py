"""What is learnt of tables that refer to each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from gpuvgm.io import TableSource, restore
from gpuvgm.rules import whole
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.held_out import HeldOutRows
from gpuvgm.synthesis.databases.joins import Bools
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings, table_maker
from gpuvgm.synthesis.sequences import SequenceModel, sampler_of


@dataclass(frozen=True, slots=True)
class TableRecord:
    """What is known of a table beside its model.

    Parameters
    ----------
    rows : int
        Its rows.
    elsewhere : tuple of (int, int)
        Numbers of children of rows that its first parent lacks, and how many such rows.
    lacking : int
        Its rows without a first parent.
    further : mapping of str to int
        By further reference, as text, how many rows its parent lacks.
    unique : tuple of tuple of str
        Keys of several columns, each of which no two rows have.
    here : int
        Its rows whose first parent is there.
    apart : tuple of str
        Further references, as text, to the table of the first parent, which lead to another row than that.
    of_none : tuple of str
        Columns of the first parent that are a sum over children and another column, which rows without any have alone.
    """

    rows: Annotated[int, whole(0)]
    elsewhere: tuple[tuple[int, ...], ...] = ()
    lacking: Annotated[int, whole(0)] = 0
    further: Mapping[str, int] | None = None
    unique: tuple[tuple[str, ...], ...] = ()
    here: Annotated[int, whole(0)] = 0
    apart: tuple[str, ...] = ()
    of_none: tuple[str, ...] = ()

    def children_elsewhere(self, here: int, scale: float) -> tuple[Ints, int]:
        """Children of each row that its first parent lacks, and how many have none, by how many have one.

        Parameters
        ----------
        here : int
            Children whose parent is there.
        scale : float
            How many times as many there are as in the table, where it had none whose parent is there.
        """
        times, grouped = here / self.here if self.here else scale, sum(size * keys for size, keys in self.elsewhere)
        of_each = times * (self.rows - self.here - self.lacking) / max(grouped, 1)
        sizes, keys = np.array(self.elsewhere, np.int64).reshape(-1, 2).T
        # Ends are rounded, not numbers of keys, whose differences would add up.
        stops = np.rint(np.cumsum(keys) * of_each).astype(np.int64)
        return np.repeat(sizes, np.diff(stops, prepend=0)), round(self.lacking * times)


@dataclass(frozen=True)  # no slots: the sampler is cached
class TablePart:
    """What is learnt of one table.

    Parameters
    ----------
    model : RowModel or SequenceModel
        Of its rows beside those of its parents; of children their parents are the keys.
    settings : SynthesizerSettings
        Where and how the work is done.
    record : TableRecord
        What is known beside.
    """

    model: RowModel | SequenceModel
    settings: SynthesizerSettings
    record: TableRecord

    @cached_property
    def sampler(self) -> Any:
        """What draws its rows."""
        return self.sampler_under({})

    def sampler_under(self, conditions: Mapping[str, Any]) -> Any:
        """What draws rows of a table without parents that meet conditions."""
        return sampler_of(self.model, self.settings).under(conditions)

    def given(self, first: Reference) -> dict[str, str]:
        """Columns of its first parent beside its rows, each with its name there."""
        assert isinstance(self.model, SequenceModel)
        return {name: name.removeprefix(first.beside("")) for name in self.model.plan.given}

    def recomputed(self, rows: pa.Table, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Changed columns of rows, and what laws compute from them."""
        arrays = {name: rows.column(name).combine_chunks() for name in rows.schema.names} | dict(changed)
        return {**changed, **self.model.kept_laws.recomputed(self.model.columns, arrays, changed)}

    def laws_on(self, changed: Collection[str], names: Collection[str]) -> list[Any]:
        """Laws that say which values changed columns may have beside others of these names.

        What laws make of changed columns is as these are: a law with that alone says nothing of what may be chosen.
        """
        made, laws = {*changed}, self.model.kept_laws
        for law in laws.in_order():
            if law.decides and {*law.operands} <= made:
                made.add(law.target)
        between = (law for law in laws if {*law.names} <= {*names} and not {*law.names} <= made)
        return [law for law in between if not law.decides or law.target in changed]

    def breaking(self, laws: Sequence[Any], rows: pa.Table) -> Bools:
        """Which rows break one of some laws."""
        arrays = {name: rows.column(name).combine_chunks() for law in laws for name in law.names}
        broken: Bools = np.logical_or.reduce([law.score(self.model.columns, arrays.__getitem__).broken for law in laws])
        return broken


@dataclass(frozen=True, slots=True)
class DatabaseModel:
    """What is learnt of tables that refer to each other.

    Parameters
    ----------
    plan : DatabasePlan
        How they are drawn.
    parts : mapping of str to TablePart
        The tables that are drawn, parents before their children.
    kept : mapping of str to pyarrow.Table
        Tables that samples have as they are.
    schemas : mapping of str to pyarrow.Schema
        Columns of all tables that samples have, in the order in which the tables were given.
    flavours : mapping of str to str
        What kinds of object they were, as sources call them.
    held_out : HeldOutRows
        Rows of the tables that the fit did not see.
    """

    plan: DatabasePlan
    parts: Mapping[str, TablePart]
    kept: Mapping[str, pa.Table]
    schemas: Mapping[str, pa.Schema]
    flavours: Mapping[str, str]
    held_out: HeldOutRows

    @property
    def names(self) -> tuple[str, ...]:
        """All tables."""
        return (*self.schemas,)

    def made(self, name: str, rows: pa.Table) -> Any:
        """Rows of a table as the kind of object that was fitted."""
        if name in self.parts:
            return table_maker(self.parts[name].model.transformer)(rows)
        return restore(rows, TableSource(name, self.flavours[name], pa.table({})))

    def summed(self, name: str) -> set[str]:
        """Columns of a table that are computed of its children's rows, and what its own laws make of these."""
        summed = set[str]()
        for first in (first for first in self.plan.first.values() if first.parent == name):
            model: Any = self.parts[first.child].model
            summed |= {law.target.removeprefix(first.beside("")) for law in model.totals}
        for law in self.parts[name].model.kept_laws.in_order():
            if summed.intersection(law.operands):
                summed.add(law.target)
        return summed

    def document_of(self, name: str) -> dict[str, Any]:
        """What is known of a table, as a dict that JSON can hold."""
        if name in self.kept:
            return {"rows": self.kept[name].num_rows, "kept": True, "references": [], "laws": []}
        part = self.parts[name]
        references = [str(reference) for reference in self.plan.references if reference.child == name]
        laws = [*part.model.law_texts, *map(str, getattr(part.model, "totals", ()))]
        return {"rows": part.record.rows, "kept": False, "references": references, "laws": laws}

    def describe(self, name: str) -> str:
        """A table in a line."""
        known = self.document_of(name)
        if known["kept"]:
            return f"{name}: {known['rows']:,} rows, kept as they are"
        first = self.plan.first.get(name)
        whose = f', by "{first.name}" rows of {first.parent}' if first else ""
        others = "".join(
            f', by "{of.name}" each of one of {of.parent}' + (", often one again" * (str(of) in self.plan.returning))
            for of in self.plan.seconds(name)
        )
        laws = f"; laws: {'; '.join(known['laws'])}" if known["laws"] else ""
        return f"{name}: {known['rows']:,} rows{whose}{others}{laws}"
