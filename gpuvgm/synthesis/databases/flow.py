"""Samples that are written as they are drawn: parents in blocks, their children after them, and sums over these.

Rows wait for their children alone: those of a block of parents are drawn, handed to their own children, and written
once the totals of their parents are known. Further parents refer to none, and are drawn before. Rows are those of
`DatabaseSampler.tables`, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.datasets import RowRange
from gpuvgm.io import ParquetSink, is_text_type, plain_type, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.joins import hashes_of_keys, keys_in
from gpuvgm.synthesis.databases.model import DatabaseModel
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.sampler import (
    FURTHER,
    PARENTS,
    DatabaseSampler,
    FurtherParents,
    Owners,
    counts_in,
)
from gpuvgm.synthesis.databases.writing import path_of_table, unfinished_folder, write_table


def can_flow(model: DatabaseModel) -> bool:
    """Whether tables of a model can be drawn in blocks: further parents refer to none, and keys are of one parent."""
    plan = model.plan
    return (
        not plan.same
        and not any(of.parent in plan.first for of in plan.references if of != plan.first[of.child])
        and not any(map(plan.keys_of_several, model.parts))
        and all(plan.is_of_owner(key, name) for name, part in model.parts.items() for key in part.record.unique)
        and all(_have_one_type(model, reference) for reference in plan.references)
    )


def _have_one_type(model: DatabaseModel, reference: Reference) -> bool:
    """Whether the child has all keys of the parent as that has them."""
    if not {*reference.key} <= {*model.parts[reference.parent].sampler.schema.names}:
        return False  # keys that are references themselves
    types = [plain_type(model.schemas[reference.child].field(name).type) for name in reference.columns]
    of_parent = [model.parts[reference.parent].sampler.schema.field(name).type for name in reference.key]
    pairs = zip(types, map(plain_type, of_parent), strict=True)
    return all(one == other or (is_text_type(one) and is_text_type(other)) for one, other in pairs)


def written_in_blocks(folder: Path, sampler: DatabaseSampler) -> dict[str, Path]:
    """Draw tables, write them to a new folder, and return the paths of their files."""
    model = sampler.model
    with unfinished_folder(folder) as unfinished, ExitStack() as sinks:
        for name, table in model.kept.items():
            write_table(unfinished, name, table)
        flows, firsts, further = dict[str, Flow](), model.plan.first, sampler.drawn_before()
        for name in reversed([*model.parts]):
            schema = _schema_of(model, name)
            sink = sinks.enter_context(ParquetSink(path_of_table(unfinished, name), schema))
            below = [child for child in model.parts if child in firsts and firsts[child].parent == name]
            of_rows = sampler.further_parents(name, further)
            flows[name] = Flow(sampler, name, schema, sink, [flows[child] for child in below], of_rows)
        for flow in flows.values():
            if flow.first is None:
                flow.draw_all()
    return {name: path_of_table(folder, name) for name in model.names}


def _schema_of(model: DatabaseModel, name: str) -> pa.Schema:
    """Columns of a table that is written."""
    drawn, referring, fields = model.parts[name].sampler.schema, model.plan.referring(name), model.schemas[name]
    return pa.schema(
        [(of.name, plain_type(of.type) if of.name in referring else drawn.field(of.name).type) for of in fields]
    )


@dataclass(slots=True)
class Flow:
    """Rows of a table from where they are drawn to its file.

    Parameters
    ----------
    sampler : DatabaseSampler
        What draws them.
    name : str
        The table.
    schema : pyarrow.Schema
        Columns of the file.
    sink : ParquetSink
        The file.
    children : list of Flow
        Tables whose first parent this is.
    further : mapping of Reference to FurtherParent
        Further parents.
    """

    sampler: DatabaseSampler
    name: str
    schema: pa.Schema
    sink: ParquetSink
    children: list[Flow]
    further: FurtherParents
    waiting: list[tuple[Ints, Ints, pa.Table]] = field(default_factory=list)  # parents: numbers, counts, what is given
    parents: int = 0  # rows of the parent that were handed to this table
    parents_drawn: int = 0  # of those with children, whose children are drawn
    children_here: int = 0  # of all parents
    rows: int = 0  # that are drawn
    final: int = 0  # rows, whose children are drawn
    open_rows: pa.Table | None = None  # rows that are drawn, and not final
    ready: pa.Table | None = None  # final rows, whose parents are not
    hashes: dict[Reference, list[Any]] = field(default_factory=dict)  # of keys, where children have further ones
    keys: dict[Reference, pa.Table] = field(default_factory=dict)  # of further parents

    @property
    def first(self) -> Reference | None:
        """The reference to the first parent."""
        return self.sampler.model.plan.first.get(self.name)

    @property
    def part(self) -> Any:
        """What is learnt of the table."""
        return self.sampler.model.parts[self.name]

    # -- drawing

    def draw_all(self) -> None:
        """Draw the rows of a table without parents, and all below it."""
        rows = self.sampler.rows_of_root(self.name)
        for block in RowRange(0, rows).ranges(PARENTS):
            drawn = self.sampler.rows_by_number(self.name, block)
            self._add(self.sampler.beside_others(self.name, drawn, self.rows, {}))
            self._settle()
            self._write_root()
        self._end()
        self._write_root()

    def _end(self) -> None:
        """Draw what is left of all tables below, of which all rows of this one are known."""
        for child in self.children:
            child._add_parents_elsewhere()
            child._draw(1)
            child._end()
        self._settle()
        for child in self.children:
            child._write_elsewhere(self)

    def _add(self, rows: pa.Table) -> None:
        """Take rows that are drawn, and hand them to the children."""
        for child in self.children:
            child._add_parents(rows, self.rows)
        self.rows += rows.num_rows
        self.open_rows = _joined(self.open_rows, rows)

    def _add_parents(self, rows: pa.Table, first_row: int) -> None:
        """Take rows of the parent, of which the first has a number, and draw children while there are enough."""
        assert self.first is not None
        counts, of = counts_in(rows.column(self.first.count)), self.part.given(self.first)
        places = np.flatnonzero(counts)
        given = pa.table({beside: taken(rows.column(name).combine_chunks(), places) for beside, name in of.items()})
        self.waiting.append((first_row + places, counts[places], given))
        self.parents, self.children_here = first_row + rows.num_rows, self.children_here + int(counts.sum())
        self._draw(PARENTS)

    def _add_parents_elsewhere(self) -> None:
        """Take parents that are not there, and rows without one as parents of one row."""
        assert self.first is not None
        elsewhere, alone = self.part.record.children_elsewhere(self.children_here, self.sampler.scale)
        counts = np.concatenate([elsewhere, np.ones(alone, np.int64)])
        numbers = np.concatenate([self.parents + np.arange(len(elsewhere)), np.full(alone, -1)])
        columns = self.part.sampler.sequences.columns
        types = {name: columns[name].decoded_type for name in self.part.given(self.first)}
        if self.waiting:
            types |= zip(self.waiting[0][2].schema.names, self.waiting[0][2].schema.types, strict=True)
        given = pa.table({name: pa.nulls(len(counts), type_) for name, type_ in types.items()})
        self.waiting.append((numbers, counts, given))

    def _draw(self, least: int) -> None:
        """Draw children of parents that wait, of a block at a time, as long as there are so many."""
        assert self.first is not None
        numbers, counts = (np.concatenate([waiting[which] for waiting in self.waiting]) for which in (0, 1))
        if len(numbers) < least:
            return
        given, start = pa.concat_tables([waiting[2] for waiting in self.waiting]), 0
        while len(numbers) - start >= least:
            stop = start + min(PARENTS, len(numbers) - start)
            block = given.slice(start, stop - start)
            arrays = {name: block.column(name).combine_chunks() for name in block.schema.names}
            owners = Owners(self.parents_drawn, numbers[start:stop], counts[start:stop], arrays)
            rows = self.sampler.children_of(self.name, owners, self.rows, self.further)
            self.parents_drawn, start = self.parents_drawn + stop - start, stop
            self.waiting = [(numbers[start:], counts[start:], given.slice(start))]
            self._add(rows)
            self._settle()

    # -- rows that are final

    def _settle(self) -> None:
        """Put totals into the rows whose children are all final, and write these children."""
        complete = min([child._complete_parents() for child in self.children], default=self.rows)
        if self.open_rows is None or complete <= self.final:
            return
        rows = self.open_rows.slice(0, complete - self.final).combine_chunks()
        self.open_rows = self.open_rows.slice(complete - self.final)
        taken_of = [(child, child._take(complete, self.final)) for child in self.children]
        for child, of_child in reversed(taken_of):
            if of_child.num_rows or child.part.record.of_none:
                assert child.first is not None
                tables = {child.name: of_child, self.name: rows}
                self.sampler.sum_up(child.first, tables)
                rows = tables[self.name]
        for child, of_child in taken_of:
            child._write(of_child, rows)
            if child.first is not None and child.part.record.elsewhere:
                self.hashes.setdefault(child.first, []).append(hashes_of_keys(keys_in(rows, child.first)))
        self.ready, self.final = _joined(self.ready, rows), complete

    def _complete_parents(self) -> int:
        """How many rows of the parent, from the first on, have children that are all final."""
        assert self.first is not None
        if self.open_rows is not None and self.open_rows.num_rows:
            number = int(self.open_rows.column(self.first.number)[0].as_py())
            return self.parents if number < 0 else min(number, self.parents)
        undrawn = [int(numbers[0]) for numbers, _, _ in self.waiting if len(numbers)]
        return min(undrawn[0], self.parents) if undrawn and undrawn[0] >= 0 else self.parents

    def _take(self, stop: int, first: int) -> pa.Table:
        """Rows whose parents have numbers below one, which are numbered from another one on."""
        assert self.first is not None
        if self.ready is None:
            empty: pa.Table = self.part.sampler.schema.empty_table()
            return empty
        numbers = np.asarray(self.ready.column(self.first.number).combine_chunks())
        mine = int(np.count_nonzero((numbers >= 0) & (numbers < stop)))  # the first ones
        rows, self.ready = self.ready.slice(0, mine), self.ready.slice(mine)
        place = rows.schema.get_field_index(self.first.number)
        numbered: pa.Table = rows.set_column(place, self.first.number, pa.array(numbers[:mine] - first))
        return numbered.combine_chunks()

    def _write(self, rows: pa.Table, parents: pa.Table) -> None:
        """Write final rows with the keys of their parents."""
        assert self.first is not None
        if not rows.num_rows:
            return
        arrays: dict[str, Any] = {name: rows.column(name) for name in rows.schema.names}
        for reference, of_parents in {self.first: parents, **self._keys_of_further()}.items():
            numbers = np.asarray(rows.column(reference.number).combine_chunks())
            places = pa.array(numbers, mask=(numbers < 0) | (numbers >= of_parents.num_rows))
            for name, of in zip(reference.columns, reference.key, strict=True):
                arrays[name] = taken(of_parents.column(of).combine_chunks(), places)
        self._write_columns(arrays)

    def _keys_of_further(self) -> dict[Reference, pa.Table]:
        """Keys of further parents, and after them those of rows that these lack."""
        if not self.keys:
            self.keys = {
                of: self.sampler.keys_of(of, parent.rows, parent.elsewhere) for of, parent in self.further.items()
            }
        return self.keys

    def _write_elsewhere(self, parent: Flow) -> None:
        """Write rows whose parents are not there, each with a key that no row has, or with none."""
        if self.ready is None or not self.ready.num_rows:
            return
        assert self.first is not None
        numbers = np.asarray(self.ready.column(self.first.number).combine_chunks())
        wanted = int(numbers.max(initial=-1)) + 1 - self.parents
        keys = parent._further_keys(self.first, max(wanted, 0))
        place = self.ready.schema.get_field_index(self.first.number)
        numbered = np.where(numbers < 0, -1, numbers - self.parents)
        self._write(self.ready.set_column(place, self.first.number, pa.array(numbered)), keys)
        self.ready = None

    def _further_keys(self, reference: Reference, wanted: int) -> pa.Table:
        """So many keys that no row has."""
        drawn = self.sampler.rows_by_number(self.name, RowRange(self.rows, FURTHER * wanted))
        keys = drawn.select(list(reference.key))
        if not wanted:
            return keys
        hashes = np.asarray(hashes_of_keys(keys_in(keys, reference)).fill_null(0))
        known = np.concatenate([np.zeros(1, np.uint64), *(of.fill_null(0) for of in self.hashes.get(reference, ()))])
        _, first = np.unique(hashes, return_index=True)
        new: pa.Table = taken(keys, np.sort(first[~np.isin(hashes[first], known)])[:wanted])
        return new

    def _write_root(self) -> None:
        """Write final rows of a table without parents."""
        if self.ready is not None:
            self._write_columns({name: self.ready.column(name) for name in self.ready.schema.names})
            self.ready = None

    def _write_columns(self, arrays: Mapping[str, Any]) -> None:
        rows = pa.table({name: arrays[name] for name in self.schema.names}).cast(self.schema)
        for batch in rows.to_batches():
            self.sink.write(batch)


def _joined(rows: pa.Table | None, more: pa.Table) -> pa.Table:
    """Rows, and further ones."""
    return more if rows is None or not rows.num_rows else pa.concat_tables([rows, more.cast(rows.schema)])
