"""Stages from tables to a model of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.io import Source, TableSource, is_datetime_type, is_number_type, plain_type
from gpuvgm.synthesis.databases.checks import is_declared
from gpuvgm.synthesis.databases.joins import ELSEWHERE, HERE, NOWHERE, Links
from gpuvgm.synthesis.databases.model import DatabaseModel, TablePart, TableRecord
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.telling import forgotten
from gpuvgm.synthesis.databases.uniqueness import keys_of
from gpuvgm.synthesis.learning import SynthesizerSettings, learn
from gpuvgm.synthesis.sequences import SequenceModel, learn_sequences


@dataclass(frozen=True, slots=True)
class TablesToLearn:
    """Tables, and which rows refer to which.

    Parameters
    ----------
    sources : mapping of str to Source
        The tables as they were given.
    rows : mapping of str to pyarrow.Table
        Their rows.
    links : mapping of Reference to Links
        Which row refers to which.
    plan : DatabasePlan
        How they are drawn.
    """

    sources: Mapping[str, Source]
    rows: Mapping[str, pa.Table]
    links: Mapping[Reference, Links]
    plan: DatabasePlan

    @classmethod
    def of(
        cls,
        sources: Mapping[str, Source],
        references: Sequence[Reference],
        keep: Sequence[str],
        indices: Mapping[str, Any],
    ) -> TablesToLearn:
        """The tables, read."""
        rows, links = _read_all(sources, references)
        return cls(sources, rows, links, DatabasePlan.of(references, rows, links, keep, indices))

    @classmethod
    def by(cls, plan: DatabasePlan, sources: Mapping[str, Source]) -> TablesToLearn:
        """Further tables, by the plan of a model."""
        rows, links = _read_all(sources, (*plan.references, *plan.to_kept))
        return cls(sources, rows, links, plan)

    def widened(self, parts: Mapping[str, TablePart]) -> dict[str, pa.Table]:
        """The tables beside what their rows refer to, of a model that was fitted."""
        rows = dict(self.rows)
        for name in parts:
            rows[name] = pa.table(_widened(name, replace(self, rows=rows), parts, {}).arrays)
        return rows


@dataclass(frozen=True, slots=True)
class WidenedTable:
    """Rows of a table without what refers to others, and with what stands beside them.

    Parameters
    ----------
    arrays : dict of str to Array
        Its columns.
    columns : dict of str to object
        How they are declared.
    given : tuple of str
        Those of its first parent, which are not drawn.
    """

    arrays: dict[str, Any]
    columns: dict[str, Any]
    given: list[str] = field(default_factory=list)

    def forgotten(self, first: Links, index: str | None) -> tuple[str, ...]:
        """Columns of which a row tells nothing of the next one of its first parent."""
        dropped = {name for name, kind in self.columns.items() if is_declared(kind, "drop")}
        left_out = {*self.given, first.reference.number, *dropped} - {index}
        drawn = {name: column for name, column in self.arrays.items() if name not in left_out}
        return forgotten(first, pa.table(drawn), [*drawn], index)

    def put_beside(self, links: Links, parent: pa.Table, model: TableModel) -> list[str]:
        """Put modelled columns of a parent beside the rows, and return what they are called."""
        reference, lacks_some = links.reference, not links.is_here.all()
        left_out = {*reference.key, reference.count}
        modelled = [column for column in model.columns if column.is_encoded and column.name not in left_out]
        self.arrays.update(links.beside(parent, [column.name for column in modelled]))
        for column in modelled:
            spec = model.schema[column.name]
            self.columns[reference.beside(column.name)] = column.declared_like(spec, lacks_some=lacks_some)
        return [reference.beside(column.name) for column in modelled]


def learn_database(
    tables: TablesToLearn, columns: Mapping[str, Any], indices: Mapping[str, Any], settings: SynthesizerSettings
) -> DatabaseModel:
    """A model of some tables.

    Parameters
    ----------
    tables : TablesToLearn
        The tables.
    columns : mapping of str to mapping
        By table, columns that are declared.
    indices : mapping of str to label
        By table, the column that orders the children of a parent.
    settings : SynthesizerSettings
        What the user asks for.
    """
    plan, parts, rows = tables.plan, dict[str, TablePart](), dict(tables.rows)
    for name in plan.in_order(tables.sources):
        first, source = plan.first.get(name), tables.sources[name]
        widened = _widened(name, replace(tables, rows=rows), parts, columns.get(name, {}))
        table = TableSource(name, source.flavour, pa.table(widened.arrays), getattr(source, "dtypes", None))
        made = tuple(column for column in widened.arrays if column not in source.schema.names)
        of_table = replace(settings, columns=widened.columns, made=made)
        if first is None:
            model: Any = learn(table, of_table)
        else:
            index = None if indices.get(name) is None else str(indices[name])
            of_key = replace(of_table, sequence_key=first.number, sequence_index=index, given=tuple(widened.given))
            untold = widened.forgotten(tables.links[first], index)
            model = learn_sequences(table, replace(of_key, forgotten=untold))
        # Labels that are no text, and dtypes of columns that refer to others, are those of the source.
        model.transformer.labels_ = dict(getattr(source, "labels", None) or {})
        model.transformer.pandas_dtypes_ = dict(getattr(source, "dtypes", None) or {})
        parts[name] = TablePart(model, of_table, _record_of(name, tables))
        rows[name] = table.table
    kept = {name: tables.rows[name] for name in plan.kept}
    schemas = {name: _sampled_schema(tables.rows[name].schema, columns.get(name, {})) for name in tables.sources}
    return DatabaseModel(plan, parts, kept, schemas, {name: of.flavour for name, of in tables.sources.items()})


def _sampled_schema(schema: pa.Schema, declared: Mapping[Any, Any]) -> pa.Schema:
    """Columns that samples have: those that are not dropped."""
    dropped = {str(name) for name, kind in declared.items() if is_declared(kind, "drop")}
    return pa.schema([field for field in schema.remove_metadata() if field.name not in dropped])


def _widened(
    name: str, tables: TablesToLearn, parts: Mapping[str, TablePart], declared: Mapping[str, Any]
) -> WidenedTable:
    """A table as it is learnt, given the models of the tables that come before it."""
    plan, links, rows = tables.plan, tables.links, tables.rows
    referring, first = plan.referring(name), plan.first.get(name)
    names = (column for column in rows[name].schema.names if column not in referring)
    referring_to_any = referring.union(*(reference.columns for reference in plan.to_kept if reference.child == name))
    # Metadata calls them identifiers, which they are not in their own table.
    declared = {
        str(column): kind
        for column, kind in declared.items()
        if column not in referring_to_any or not is_declared(kind, "id")
    }
    widened = WidenedTable({column: rows[name].column(column) for column in names}, declared)
    for reference in plan.counted(name):
        widened.arrays[reference.count] = pa.array(links[reference].counts)
        widened.columns[reference.count] = {"kind": "continuous", "integer": True}
        if len(reference.key) == 1 and reference.key[0] not in referring:
            widened.columns.setdefault(reference.key[0], "id")
    for reference in (*([first] if first else []), *plan.seconds(name)):
        beside = widened.put_beside(links[reference], rows[reference.parent], parts[reference.parent].model.table)
        if reference == first:
            owners = plan.owners(first.parent)
            widened.arrays.update(links[reference].beside(rows[first.parent], owners))
            widened.columns.update(dict.fromkeys(map(first.beside, owners), {"key": True}))
            widened.given.extend([*beside, *map(first.beside, owners)])
            widened.arrays[reference.number] = links[reference].keys
        elif not links[reference].is_here.all():
            widened.arrays[reference.target] = pa.array(links[reference].targets, pa.string())
            widened.columns[reference.target] = {"kind": "categorical", "categories": [HERE, ELSEWHERE, NOWHERE]}
    shown = [column for column in widened.arrays if not is_declared(widened.columns.get(column), "drop")]
    drawn = [column for column in shown if first and column not in (*widened.given, first.number)]
    if first and all(links[first].decides(widened.arrays[column]) for column in drawn):
        # Rows that a parent has alike are told from each other by their place.
        widened.arrays[first.place] = pa.array(links[first].places)
    for reference in plan.kept_beside(name):
        widened.columns.setdefault(reference.name, "categorical")
        parent = rows[reference.parent]
        widened.arrays.update(links[reference].beside(parent, _amounts_in(parent, reference.key)))
    return widened


def _amounts_in(table: pa.Table, key: Sequence[str]) -> list[str]:
    """Columns of numbers and times that are no key."""
    types = zip(table.schema.names, map(plain_type, table.schema.types), strict=True)
    return [name for name, type_ in types if name not in key and (is_number_type(type_) or is_datetime_type(type_))]


def _record_of(name: str, tables: TablesToLearn) -> TableRecord:
    """What a table is beside its model."""
    first, links = tables.plan.first.get(name), tables.links
    rows, seconds = tables.rows[name].num_rows, tables.plan.seconds(name)
    if first is None:
        return TableRecord(rows)
    return TableRecord(
        rows,
        elsewhere=_children_elsewhere(links[first]),
        lacking=links[first].lacking,
        further={str(second): len(links[second].counts_elsewhere) for second in seconds},
        unique=keys_of(
            tables.rows[name],
            [links[reference] for reference in (first, *seconds)],
            tables.plan.referring(name),
            tables.plan.keys_of_several(name),
        ),
        here=int(np.count_nonzero(links[first].is_here)),
        apart=tuple(str(second) for second in seconds if links[second].is_apart(links[first])),
    )


def _children_elsewhere(links: Links) -> tuple[tuple[int, int], ...]:
    """How many children rows have that are not there, and how many such rows; numbers that few have are grouped."""
    sizes, keys = np.unique(links.counts_elsewhere, return_counts=True)
    if not len(sizes):
        return ()
    layout = SequenceModel.layout_of(dict(zip(sizes.tolist(), keys.tolist(), strict=True)), links.reference.name)
    return tuple(zip(layout.sizes, layout.keys, strict=True))


def _read_all(
    sources: Mapping[str, Source], references: Sequence[Reference]
) -> tuple[dict[str, pa.Table], dict[Reference, Links]]:
    """All rows of some tables, and which refer to which."""
    rows = {name: _read(source) for name, source in sources.items()}
    return rows, {of: Links.of(of, rows[of.child], rows[of.parent]) for of in references}


def _read(source: Source) -> pa.Table:
    """All rows of a table."""
    blocks = [block.batch for block in source.blocks(source.schema.names, BLOCK_ROWS)]
    return pa.Table.from_batches(blocks, source.schema)
