"""Stages from tables to a model of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.io import Source, TableSource, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.checks import is_declared
from gpuvgm.synthesis.databases.held_out import HeldOutRows
from gpuvgm.synthesis.databases.joins import Bools, Links, alone_unless, codes_of, keys_in, recencies, whole_array
from gpuvgm.synthesis.databases.keyed import SortedTable, children_elsewhere, places_in_order, read, rows_of
from gpuvgm.synthesis.databases.large import LargeTables
from gpuvgm.synthesis.databases.model import DatabaseModel, TablePart, TableRecord
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.telling import forgotten
from gpuvgm.synthesis.databases.uniqueness import keys_of
from gpuvgm.synthesis.databases.widening import Widening
from gpuvgm.synthesis.learning import SynthesizerSettings, learn
from gpuvgm.synthesis.sequences import SequenceModel, learn_sequences

MOST_HELD = 1 << 20  # rows of a table that is held in memory
MOST_LOOKED_UP = 1 << 22  # rows of a further parent of a table that is not


class ToLearn(Protocol):
    """Tables that are learnt, held in memory or not."""

    @property
    def sources(self) -> Mapping[str, Source]:
        """The tables as they were given."""

    @property
    def plan(self) -> DatabasePlan:
        """How they are drawn."""

    @property
    def held_out(self) -> HeldOutRows:
        """Which rows are not among them."""

    @property
    def kept(self) -> Mapping[str, pa.Table]:
        """Those that samples have as they are."""

    @property
    def counts(self) -> Mapping[Reference, Ints]:
        """Numbers of children of each row that is drawn, by reference."""

    def beside_parents(
        self, name: str, parts: Mapping[str, TablePart], declared: Mapping[str, Any]
    ) -> tuple[Source, Widening]:
        """A table beside what its rows refer to, given the models of those that come before it."""

    def record_of(self, name: str, rows: int) -> TableRecord:
        """What a table of so many rows is beside its model."""


@dataclass(frozen=True, slots=True)
class TablesToLearn:
    """Tables that are held in memory, and which rows refer to which.

    Parameters
    ----------
    sources : mapping of str to Source
        The tables as they were given.
    rows : dict of str to pyarrow.Table
        Their rows, with what stands beside them once a table is learnt.
    links : mapping of Reference to Links
        Which row refers to which.
    plan : DatabasePlan
        How they are drawn.
    held_out : HeldOutRows
        Which rows of the sources are not among them.
    """

    sources: Mapping[str, Source]
    rows: dict[str, pa.Table]
    links: Mapping[Reference, Links]
    plan: DatabasePlan
    held_out: HeldOutRows = field(default_factory=HeldOutRows)

    @classmethod
    def of(
        cls,
        sources: Mapping[str, Source],
        references: Sequence[Reference],
        keep: Sequence[str],
        indices: Mapping[str, Any],
        hold_out: tuple[float, int] = (0.0, 0),
    ) -> TablesToLearn:
        """The tables, read, their rows in the order of hashes of keys, as `LargeTables` has them.

        Of these a share of the rows is held out by a seed.
        """
        rows, links = _read_all(sources, references)
        plan = DatabasePlan.of(references, _as_sources(rows), links, keep, indices)
        held_out = HeldOutRows.of(plan, rows, *hold_out) if hold_out[0] else HeldOutRows()
        if held_out.rules:
            chosen = held_out.chosen(rows, links)
            fitted = cls(sources, rows, links, plan)._part(chosen, are_chosen=False)
            rows, links = fitted.rows, dict(fitted.links)
            plan = DatabasePlan.of(references, _as_sources(rows), links, keep, indices)
        places = dict[str, Ints]()
        for name in plan.in_order(sources):
            reference = plan.ordering(name)
            if reference is not None:
                of_child = reference.child == name
                keys = keys_in(rows[name], reference, rows[reference.parent].schema if of_child else None)
                places[name] = places_in_order(rows[name], keys, plan.indices.get(name) if of_child else None)
        rows |= {name: taken(rows[name], order) for name, order in places.items()}
        links = {of: of_rows.reordered(places.get(of.child), places.get(of.parent)) for of, of_rows in links.items()}
        return cls(sources, rows, links, plan, held_out)

    @classmethod
    def by(cls, plan: DatabasePlan, sources: Mapping[str, Source]) -> TablesToLearn:
        """Further tables, by the plan of a model."""
        rows, links = _read_all(sources, (*plan.references, *plan.to_kept))
        return cls(sources, rows, links, plan)

    def parted(self, held_out: HeldOutRows) -> tuple[Self, Self]:
        """These tables as two: the rows that are fitted, and those that are held out."""
        chosen = held_out.chosen(self.rows, self.links)
        return self._part(chosen, are_chosen=False), self._part(chosen, are_chosen=True)

    def _part(self, chosen: Mapping[str, Bools], *, are_chosen: bool) -> Self:
        """The rows that are chosen, or all others, beside tables of which none are."""
        part = {name: self.rows[name].filter(pa.array(of_rows == are_chosen)) for name, of_rows in chosen.items()}
        rows = {**self.rows, **part}
        return replace(self, rows=rows, links=_links_between(rows, [*self.links]))

    @property
    def kept(self) -> Mapping[str, pa.Table]:
        """Tables that samples have as they are."""
        return {name: self.rows[name] for name in self.plan.kept}

    @property
    def counts(self) -> Mapping[Reference, Ints]:
        """Numbers of children of each row that is drawn, by reference."""
        return {reference: self.links[reference].counts for reference in self.plan.references}

    def widened(self, parts: Mapping[str, TablePart]) -> dict[str, pa.Table]:
        """The tables beside what their rows refer to, of a model that was fitted."""
        beside = replace(self, rows=dict(self.rows))
        for name in parts:
            beside.beside_parents(name, parts, {})
        return beside.rows

    def beside_parents(
        self, name: str, parts: Mapping[str, TablePart], declared: Mapping[str, Any]
    ) -> tuple[Source, Widening]:
        """A table beside what its rows refer to, given the models of those that come before it."""
        schemas, links = {table: of.schema for table, of in self.rows.items()}, self.links
        widening = Widening.of(
            name, self.plan, schemas, parts, declared, lambda reference: not links[reference].is_here.all()
        )
        arrays: dict[str, Any] = {column: self.rows[name].column(column) for column in widening.own}
        arrays |= {of.count: pa.array(links[of].counts) for of in self.plan.counted(name)}
        for reference, names in widening.beside.items():
            if reference in self.plan.kept_beside(name):
                continue
            arrays |= links[reference].beside(self.rows[reference.parent], names)
            if reference == widening.first:
                arrays |= links[reference].beside(self.rows[reference.parent], widening.owners)
                arrays[reference.number] = links[reference].keys
                continue
            if reference in widening.targets:
                arrays[reference.target] = pa.array(links[reference].targets, pa.string())
            if str(reference) in self.plan.returning:
                arrays[reference.recency.name] = self._recency(reference)
        first = widening.first
        if first and all(links[first].decides(arrays[column]) for column in widening.drawn([*arrays])):
            # Rows that a parent has alike are told from each other by their place.
            arrays[first.place] = pa.array(links[first].places)
        for reference in self.plan.kept_beside(name):
            arrays |= links[reference].beside(self.rows[reference.parent], widening.beside[reference])
        source = self.sources[name]
        kind = TableSource if self.plan.ordering(name) is None else SortedTable
        table = kind(name, source.flavour, pa.table(arrays), getattr(source, "dtypes", None))
        self.rows[name] = table.table
        return table, widening

    def _recency(self, reference: Reference) -> Any:
        """Which of the rows of a further parent that rows of their first parent refer to comes back."""
        owners, links = self.links[self.plan.first[reference.child]].keys, self.links[reference]
        index = self.plan.indices.get(reference.child)
        order = places_in_order(self.rows[reference.child], [owners], index)
        ranks = recencies(reference, np.asarray(owners)[order], alone_unless(links.is_here, links.rows)[order])
        return taken(ranks, np.argsort(order))

    def record_of(self, name: str, rows: int) -> TableRecord:
        """What a table of so many rows is beside its model."""
        first, links, seconds = self.plan.first.get(name), self.links, self.plan.seconds(name)
        if first is None:
            return TableRecord(rows)
        sizes, keys = np.unique(links[first].counts_elsewhere, return_counts=True)
        return TableRecord(
            rows,
            elsewhere=children_elsewhere(dict(zip(sizes.tolist(), keys.tolist(), strict=True)), first),
            lacking=links[first].lacking,
            further={str(second): len(links[second].counts_elsewhere) for second in seconds},
            unique=keys_of([self._codes(name)], (first, *seconds), self.plan.keys_of_several(name)),
            here=int(np.count_nonzero(links[first].is_here)),
            apart=tuple(str(second) for second in seconds if links[second].is_apart(links[first])),
        )

    def _codes(self, name: str) -> dict[tuple[str, ...], Ints]:
        """Codes of the rows that a table refers to, and of its other columns."""
        rows, own = self.rows[name], self.plan.own(name, self.sources[name].schema.names)
        of_references = {of.columns: self.links[of].rows for of in (self.plan.first[name], *self.plan.seconds(name))}
        return of_references | {(column,): codes_of(whole_array(rows.column(column))) for column in own}


@contextmanager
def tables_to_learn(
    sources: Mapping[str, Source],
    references: Sequence[Reference],
    keep: Sequence[str],
    indices: Mapping[str, Any],
    hold_out: tuple[float, int] = (0.0, 0),
) -> Iterator[ToLearn]:
    """Tables in memory if they are few rows; else sorted in files until the end, if that can be.

    Further parents of a table are held then: those of more than `MOST_LOOKED_UP` rows cannot be.
    They are in memory, too, where rows are held out, as `evaluate` has them.

    Parameters
    ----------
    sources : mapping of str to Source
        The tables.
    references : sequence of Reference
        Which refers to which.
    keep : sequence of str
        Tables that samples have as they are.
    indices : mapping of str to label
        By table, the column that orders the children of a parent.
    hold_out : (float, int)
        Share of the rows that are held out, and the seed by which they are chosen.

    Raises
    ------
    InputError
        For a table without rows.
    """
    for name, source in sources.items():
        if source.rows == 0 or (source.rows is None and source.repeatable and _is_empty(source)):
            # Its columns may have no types.
            raise InputError(f"{name}: there are no rows to fit on")
    are_few = all(
        source.rows is not None and source.rows <= MOST_HELD for name, source in sources.items() if name not in keep
    )
    plan = None if are_few or hold_out[0] else _plan_of_large(sources, references, keep, indices)
    if plan is None:
        yield TablesToLearn.of(sources, references, keep, indices, hold_out)
    else:
        with LargeTables.of(sources, plan) as tables:
            yield tables


def _is_empty(source: Source) -> bool:
    """Whether a table that does not say how many rows it has has none."""
    return next(iter(source.blocks(source.schema.names[:1], 1)), None) is None


def _plan_of_large(
    sources: Mapping[str, Source], references: Sequence[Reference], keep: Sequence[str], indices: Mapping[str, Any]
) -> DatabasePlan | None:
    """How tables are drawn that are sorted in files; None for those that cannot be."""
    children = [reference.child for reference in references if reference.parent not in keep]
    several = {of for of in references if of.parent not in keep and children.count(of.child) > 1}
    if not all(sources[table].repeatable for of in several for table in (of.child, of.parent)):
        return None
    plan = DatabasePlan.of(references, sources, {}, keep, indices)
    further = {of.parent for of in several if of != plan.first[of.child]}
    if any(rows_of(sources[table]) > MOST_LOOKED_UP for table in further) or any(plan.maybe_same()):
        return None
    return plan


def learn_database(tables: ToLearn, columns: Mapping[str, Any], settings: SynthesizerSettings) -> DatabaseModel:
    """A model of some tables.

    Parameters
    ----------
    tables : ToLearn
        The tables.
    columns : mapping of str to mapping
        By table, columns that are declared.
    settings : SynthesizerSettings
        What the user asks for.
    """
    plan, parts, learnt = tables.plan, dict[str, TablePart](), dict[str, Source]()
    for name in plan.in_order(tables.sources):
        table, widening = tables.beside_parents(name, parts, columns.get(name, {}))
        first, source = plan.first.get(name), tables.sources[name]
        made = tuple(column for column in table.schema.names if column not in source.schema.names)
        of_table = replace(settings, columns=widening.columns, made=made)
        if first is None:
            model: Any = learn(table, of_table)
        else:
            index = plan.indices.get(name)
            untold = forgotten(table, first.number, widening.drawn(table.schema.names), index)
            of_key = replace(of_table, sequence_key=first.number, sequence_index=index, given=widening.given)
            model = learn_sequences(table, replace(of_key, forgotten=untold))
            model = model.free_of_laws(parts[first.parent].model.kept_laws, first.beside)
        # Labels that are no text, and dtypes of columns that refer to others, are those of the source.
        model.transformer.labels_ = dict(getattr(source, "labels", None) or {})
        model.transformer.pandas_dtypes_ = dict(getattr(source, "dtypes", None) or {})
        record = tables.record_of(name, model.network.counts.rows)
        if first is not None:
            record = replace(record, of_none=_kept_without_children(model, first, learnt[first.parent]))
        parts[name], learnt[name] = TablePart(model, of_table, record), table
    schemas = {name: _sampled_schema(of.schema, columns.get(name, {})) for name, of in tables.sources.items()}
    flavours = {name: of.flavour for name, of in tables.sources.items()}
    return DatabaseModel(plan, parts, tables.kept, schemas, flavours, tables.held_out)


def _kept_without_children(model: SequenceModel, first: Reference, parent: Source) -> tuple[str, ...]:
    """Columns of a parent that are a sum over children and another column, which rows without any have alone."""
    laws, kept = [law for law in model.totals if law.addend], list[str]()
    for law in laws:
        names = {name: name.removeprefix(first.beside("")) for name in (law.target, law.addend)}
        known = 0
        for block in parent.blocks([*dict.fromkeys((first.count, *names.values()))], BLOCK_ROWS):
            rows = np.flatnonzero(np.asarray(block.host_column(first.count)) == 0)
            known += len(rows)
            keys = {name: taken(block.host_column(of), rows) for name, of in names.items()}
            if not law.is_kept_without_rows(model.columns, keys):
                break
        else:
            kept += [law.target] if known else []
    return tuple(kept)


def _sampled_schema(schema: pa.Schema, declared: Mapping[Any, Any]) -> pa.Schema:
    """Columns that samples have: those that are not dropped."""
    dropped = {str(name) for name, kind in declared.items() if is_declared(kind, "drop")}
    return pa.schema([field for field in schema.remove_metadata() if field.name not in dropped])


def _read_all(
    sources: Mapping[str, Source], references: Sequence[Reference]
) -> tuple[dict[str, pa.Table], dict[Reference, Links]]:
    """All rows of some tables, and which refer to which."""
    rows = {name: read(source) for name, source in sources.items()}
    return rows, _links_between(rows, references)


def _links_between(rows: Mapping[str, pa.Table], references: Sequence[Reference]) -> dict[Reference, Links]:
    """Which rows of some tables refer to which."""
    return {of: Links.of(of, rows[of.child], rows[of.parent]) for of in references}


def _as_sources(rows: Mapping[str, pa.Table]) -> dict[str, Source]:
    """Tables in memory as sources."""
    return {name: TableSource(name, "pyarrow", of) for name, of in rows.items()}
