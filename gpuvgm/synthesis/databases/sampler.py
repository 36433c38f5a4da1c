"""Tables that are drawn one after the other: parents, then their children, then what sums up over these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS
from gpuvgm.datasets import RowRange
from gpuvgm.engines import philox_words
from gpuvgm.errors import InferenceWarning, warn
from gpuvgm.io import plain_type, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.choice import FurtherParent
from gpuvgm.synthesis.databases.joins import Links, codes_of, codes_together
from gpuvgm.synthesis.databases.model import DatabaseModel, TablePart
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.uniqueness import Key, repeated, with_free_parents

PARENTS = 1 << 14  # rows whose children are drawn together
MOST_TRIED = 16  # times as many rows are drawn, of which those are left that have keys of their own
FURTHER = 2  # times as many rows are drawn as keys are needed that a table lacks

Tables = dict[str, pa.Table]
FurtherParents = dict[Reference, FurtherParent]


@dataclass(frozen=True, slots=True)
class Owners:
    """Consecutive rows of a parent that have children.

    Parameters
    ----------
    first : int
        How many of them come before these.
    numbers : ndarray of shape (rows,), int64
        Their numbers; -1 for rows of the child without a parent.
    counts : ndarray of shape (rows,), int64
        Children of each.
    given : mapping of str to array
        Their columns beside the rows of the child.
    """

    first: int
    numbers: Ints
    counts: Ints
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DatabaseSampler:
    """Draws the tables of a model.

    Parameters
    ----------
    model : DatabaseModel
        What they are drawn from.
    scale : float
        How many times as many rows the tables without parents have.
    seed : int
        The seed.
    conditions : mapping of str to mapping
        By table without parents, conditions that its rows meet.
    """

    model: DatabaseModel
    scale: float
    seed: int
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def tables(self) -> Tables:
        """All tables, with the columns that users have."""
        widened, done = self._widened(), Tables()
        for name in self.model.parts:
            arrays: dict[str, Any] = {column: widened[name].column(column) for column in widened[name].schema.names}
            for reference, above in self.model.plan.referring_to(name):
                numbers = np.asarray(widened[name].column((self.model.plan.first[name] if above else reference).number))
                if above:
                    parent, columns = done[above.child], above.columns
                else:
                    wanted = int(numbers.max(initial=-1)) + 1 - done[reference.parent].num_rows
                    parent, columns = self.keys_of(reference, done[reference.parent], wanted), reference.key
                places = pa.array(numbers, mask=(numbers < 0) | (numbers >= parent.num_rows))
                of_parent = [taken(parent.column(column).combine_chunks(), places) for column in columns]
                types = [self.model.schemas[name].field(column).type for column in reference.columns]
                arrays |= zip(reference.columns, map(_of_type, of_parent, types), strict=True)
            done[name] = pa.table({column: arrays[column] for column in self.model.schemas[name].names})
        return {name: self.model.kept[name] if name in self.model.kept else done[name] for name in self.model.names}

    def _widened(self) -> Tables:
        """The tables that are drawn, with what stands beside their rows and the numbers of rows that they refer to."""
        plan, tables = self.model.plan, Tables()
        for name, part in self.model.parts.items():
            first = plan.first.get(name)
            further = self.further_parents(name, tables)
            tables[name] = self._roots(name) if first is None else self._children(first, part, tables, further)
        for name, part in self.model.parts.items():
            across = (key for key in part.record.unique if not plan.is_of_owner(key, name))
            known = (self._parts_of(key, name, tables[name]) for key in across)
            self._drop(name, np.unique(np.concatenate([[], *map(repeated, filter(None, known))])).astype(int), tables)
        for name in reversed([*self.model.parts]):
            if name in plan.first:
                self.sum_up(plan.first[name], tables)
        for name, first in ((name, plan.first[name]) for name in self.model.parts if name in plan.first):
            numbers = np.asarray(tables[name].column(first.number))
            tables[name] = _with_columns(
                tables[name], _columns_beside(tables[name], numbers, first, tables[first.parent])
            )
        return tables

    def further_parents(self, name: str, tables: Mapping[str, pa.Table]) -> FurtherParents:
        """Further parents of the rows of a table, by the tables that are drawn."""
        part, further = self.model.parts[name], FurtherParents()
        for of in self.model.plan.seconds(name) if name in self.model.plan.first else ():
            rows, elsewhere = tables[of.parent], (part.record.further or {}).get(str(of), 0)
            beside = {of.beside(column): column for column in rows.schema.names}
            laws = part.laws_on(beside, part.sampler.schema.names)
            decided = frozenset(beside[law.target] for law in laws if law.decides)
            further[of] = FurtherParent(of, rows, self.seed_of(of), elsewhere, decided)
        return further

    def drawn_before(self) -> Tables:
        """Tables that refer to none, and of whose rows some are chosen for others."""
        seconds = {of.parent for name in self.model.plan.first for of in self.model.plan.seconds(name)}
        return {name: self._roots(name) for name in self.model.parts if name in seconds}

    def beside_others(self, name: str, rows: pa.Table, first_row: int, further: FurtherParents) -> pa.Table:
        """A block of rows beside those of tables that are kept and of further parents, which are chosen for them.

        Rows that have a key of others of their first parent are left out.

        Parameters
        ----------
        name : str
            The table.
        rows : pyarrow.Table
            The rows; of children all of some parents.
        first_row : int
            How many there are before them.
        further : mapping of Reference to FurtherParent
            Further parents, which are told what is chosen.
        """
        part = self.model.parts[name]
        for reference in self.model.plan.kept_beside(name):
            kept = self.model.kept[reference.parent]
            rows = beside_rows(rows, Links.of(reference, rows, kept).rows, reference, kept, part)
        for parent in further.values():
            rows = self._with_parents(rows, first_row, part, parent)
        for key in part.record.unique:
            parts = self._parts_of(key, name, rows) if self.model.plan.is_of_owner(key, name) else None
            if parts is not None and len(again := repeated(parts)):
                rows = taken(rows, np.delete(np.arange(rows.num_rows), again))
        for reference, parent in further.items():
            parent.settle(np.asarray(rows.column(reference.number)))
        return rows

    def _with_parents(self, child: pa.Table, first_row: int, part: TablePart, further: FurtherParent) -> pa.Table:
        """A block of rows with the rows of a further parent that they refer to, and what laws make of these."""
        reference, parent, record = further.reference, further.rows, part.record
        first = self.model.plan.first[reference.child]
        owners = np.asarray(child.column(first.number))
        with_reference = (key for key in record.unique if {*reference.columns} <= {*key})
        known = (self._parts_of(key, reference.child, child, reference) for key in with_reference)
        keys = [others for others in known if others is not None]
        laws = part.laws_on([reference.beside(name) for name in parent.schema.names], child.schema.names)

        def wrong(rows: Ints, numbers: Ints) -> Ints:
            """Rows that break a law with their parent, and those that have one which they may not have, too."""
            broken = np.zeros(len(rows), np.bool_)
            if laws:
                broken |= part.breaking(laws, beside_rows(child.take(rows), numbers[rows], reference, parent, part))
            if str(reference) in record.apart:
                broken |= numbers[rows] == owners[rows]
            again = (repeated([*others, numbers]) for others in keys)
            return np.unique(np.concatenate([rows[broken], *again]))

        numbers = further.chosen(child, first_row, owners, wrong)
        refused = owners if str(reference) in record.apart else -np.ones_like(owners)
        for others in keys:
            numbers = with_free_parents(numbers, others, further.weights, refused, [further.seed, first_row])
        return beside_rows(child.append_column(reference.number, pa.array(numbers)), numbers, reference, parent, part)

    def _parts_of(self, key: Key, name: str, rows: pa.Table, but: Reference | None = None) -> list[Ints] | None:
        """Codes of the parts of a key but for one reference; None where some are not drawn, or not yet."""
        plan = self.model.plan
        references = [of for of in (plan.first[name], *plan.seconds(name)) if {*of.columns} & {*key} and of != but]
        columns = [column for column in key if column not in plan.referring(name)]
        if not {*columns, *(of.number for of in references)} <= {*rows.schema.names}:
            return None
        numbers = [np.asarray(rows.column(of.number)) for of in references]
        return [*numbers, *(codes_of(rows.column(column).combine_chunks()) for column in columns)]

    def _drop(self, name: str, dropped: Ints, tables: Tables) -> None:
        """Take rows out of a table, and what refers to them out of others."""
        if not len(dropped):
            return
        rows = tables[name].num_rows
        is_left = np.ones(rows, np.bool_)
        is_left[dropped] = False
        tables[name], places = tables[name].filter(pa.array(is_left)), np.cumsum(is_left) - 1
        for of in self.model.plan.references:
            if of.parent == name and of.number in tables[of.child].schema.names:
                numbers = np.asarray(tables[of.child].column(of.number))
                is_here = (numbers >= 0) & (numbers < rows)
                at = np.where(is_here, numbers, 0)
                others = np.where(numbers < 0, numbers, numbers - len(dropped))
                moved = pa.array(np.where(is_here, places[at], others))
                tables[of.child] = _with_columns(tables[of.child], {of.number: moved})
                self._drop(of.child, np.flatnonzero(is_here & ~is_left[at]), tables)

    def seed_of(self, drawn: str | Reference) -> int:
        """Seed of the rows of a table, or of the rows of a further parent that are chosen."""
        place = sorted((*self.model.names, *map(str, self.model.plan.references))).index(str(drawn))
        high, low, *_ = philox_words(np.array([place], np.uint64), 0, self.seed)[:, 0].tolist()
        return int(high << 32 | low)

    def rows_of_root(self, name: str) -> int:
        """How many rows a table without parents has."""
        return max(round(self.model.parts[name].record.rows * self.scale), 1)

    def _roots(self, name: str) -> pa.Table:
        """Rows of a table without parents."""
        rows, keys = self.rows_of_root(name), self.model.plan.keys_of_several(name)
        drawn = self.rows_by_number(name, RowRange(0, rows))
        for attempt in range(1, MOST_TRIED + 1) if keys else ():
            for key in keys:
                drawn = drawn.take(np.sort(_first_of_each(drawn.select(list(key)))))
            if drawn.num_rows >= rows:
                break
            if attempt < MOST_TRIED:
                drawn = pa.concat_tables([drawn, self.rows_by_number(name, RowRange(attempt * rows, rows))])
        if drawn.num_rows < rows:
            listed_keys = " and ".join(", ".join(key) for key in keys)
            fact = f"{name}: {drawn.num_rows:,} rows in place of {rows:,}, each with another key of {listed_keys}"
            warn(f"{fact}: there are hardly more such keys; ask for a smaller scale", InferenceWarning)
        return self.beside_others(name, drawn.slice(0, rows), 0, {})

    def rows_by_number(self, name: str, rows: RowRange) -> pa.Table:
        """Rows of a table by their numbers, without a parent if it has one."""
        part, seed, first = self.model.parts[name], self.seed_of(name), self.model.plan.first.get(name)
        if first is not None:  # rows without a parent
            given: dict[str, Any] = {
                beside: pa.nulls(rows.rows, part.sampler.sequences.columns[beside].decoded_type)
                for beside in part.given(first)
            }
            alone = np.ones(rows.rows, np.int64)
            return pa.Table.from_batches([part.sampler.of_parents(rows, rows.first_row, given, alone, seed)])
        sampler = part.sampler_under(self.conditions[name]) if name in self.conditions else part.sampler
        batches = [sampler.rows(block.first_row, block.rows, seed) for block in rows.ranges(BLOCK_ROWS)]
        return pa.Table.from_batches(batches, sampler.schema)

    def _children(self, reference: Reference, part: TablePart, tables: Tables, further: FurtherParents) -> pa.Table:
        """Rows of a table, parent after parent; then those whose parent is elsewhere, and those without one."""
        parents = tables[reference.parent]
        counts = counts_in(parents.column(reference.count))
        elsewhere, alone = part.record.children_elsewhere(int(counts.sum()), self.scale)
        counts = np.concatenate([counts, elsewhere, np.ones(alone, np.int64)])
        places, blocks, row = np.flatnonzero(counts), list[pa.Table](), 0
        numbers = np.where(places < len(counts) - alone, places, -1)
        for first in range(0, len(places), PARENTS):
            block = places[first : first + PARENTS]
            known = pa.array(block, mask=block >= parents.num_rows)
            given = {
                beside: taken(parents.column(of).combine_chunks(), known)
                for beside, of in part.given(reference).items()
            }
            mine = Owners(first, numbers[first : first + PARENTS], counts[block], given)
            blocks.append(self.children_of(reference.child, mine, row, further))
            row += blocks[-1].num_rows
        if not blocks:
            return self.beside_others(reference.child, part.sampler.schema.empty_table(), 0, further)
        return pa.concat_tables(blocks)

    def children_of(self, name: str, owners: Owners, first_row: int, further: FurtherParents) -> pa.Table:
        """All rows of some parents, beside what else they refer to; `first_row` rows are before them."""
        part, first = self.model.parts[name], self.model.plan.first[name]
        keys = RowRange(owners.first, len(owners.counts))
        batch = part.sampler.of_parents(keys, first_row, owners.given, owners.counts, self.seed_of(name))
        rows, place = pa.Table.from_batches([batch]), batch.schema.get_field_index(first.number)
        numbers = pa.array(np.repeat(owners.numbers, owners.counts))
        return self.beside_others(name, rows.set_column(place, first.number, numbers), first_row, further)

    def sum_up(self, reference: Reference, tables: Tables) -> None:
        """Put what laws say of the rows of a child into its parent, and what the parent's own laws make of that."""
        part, child, parent = self.model.parts[reference.child], tables[reference.child], tables[reference.parent]
        numbers = np.asarray(child.column(reference.number))
        here = np.flatnonzero((numbers >= 0) & (numbers < parent.num_rows))
        rows = {name: taken(child.column(name).combine_chunks(), here) for name in child.schema.names}
        places, counts = np.unique(numbers[here], return_counts=True)
        of = {beside: name for beside, name in part.given(reference).items() if name in parent.schema.names}
        columns = {beside: parent.column(name).combine_chunks() for beside, name in of.items()}
        keys = {beside: taken(column, places) for beside, column in columns.items()}
        totals = part.sampler.totals(keys, rows, counts) if len(places) else {}
        summed = {beside: _replaced(columns[beside], places, column) for beside, column in totals.items()}
        model: Any = part.model
        for law in model.totals:
            if law.target in part.record.of_none:
                alone = np.setdiff1d(np.arange(parent.num_rows), places)
                of_none = {name: taken(columns[name], alone) for name in (law.target, law.addend)}
                values = law.of_sums(model.columns, np.zeros(len(alone)), of_none)
                summed[law.target] = _replaced(summed.get(law.target, columns[law.target]), alone, values)
        summed = {of[beside]: column for beside, column in summed.items()}
        tables[reference.parent] = _with_columns(parent, self.model.parts[reference.parent].recomputed(parent, summed))

    def keys_of(self, reference: Reference, parent: pa.Table, wanted: int) -> pa.Table:
        """Keys of a parent, and after these so many that it lacks."""
        keys = parent.select(list(reference.key))
        if wanted <= 0:
            return keys
        drawn = self.rows_by_number(reference.parent, RowRange(parent.num_rows, FURTHER * wanted))
        unlike = Reference(reference.parent, reference.key, reference.parent, reference.key)
        links = Links.of(unlike, drawn, keys).rows
        _, first = np.unique(links, return_index=True)
        new = np.sort(first[links[first] >= parent.num_rows])[:wanted]
        return pa.concat_tables([keys, drawn.select(list(reference.key)).take(new)])


def _of_type(keys: Any, type_: pa.DataType) -> Any:
    """Keys of a parent as a child has them; as the parent has them where they are too large for that."""
    try:
        return keys.cast(plain_type(type_))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return keys


def _first_of_each(keys: pa.Table) -> Ints:
    """The first row of each key."""
    codes = codes_together([codes_of(column.combine_chunks()) for column in keys.columns])
    return np.unique(codes, return_index=True)[1]


def beside_rows(child: pa.Table, numbers: Ints, reference: Reference, parent: pa.Table, part: TablePart) -> pa.Table:
    """Rows of a child beside the parent's rows that they refer to, and what laws make of that."""
    return _with_columns(child, part.recomputed(child, _columns_beside(child, numbers, reference, parent)))


def _columns_beside(child: pa.Table, numbers: Ints, reference: Reference, parent: pa.Table) -> dict[str, Any]:
    """Columns of the parent's rows that rows of a child refer to; others stay as they were drawn."""
    here = np.flatnonzero((numbers >= 0) & (numbers < parent.num_rows))
    names = [name for name in parent.schema.names if reference.beside(name) in child.schema.names]
    return {
        reference.beside(name): _replaced(
            child.column(reference.beside(name)).combine_chunks(),
            here,
            taken(parent.column(name).combine_chunks(), numbers[here]),
        )
        for name in names
    }


def counts_in(column: Any) -> Ints:
    """Whole numbers of children."""
    counts: Ints = np.maximum(np.rint(np.asarray(column.to_numpy(), np.float64)), 0).astype(np.int64)
    return counts


def _with_columns(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """A table with other values in some columns."""
    arrays = dict(zip(table.schema.names, table.columns, strict=True))
    return pa.table(arrays | dict(columns))


def _replaced(column: Any, places: Ints, values: Any) -> Any:
    """A column with other values in some rows."""
    order = np.arange(len(column))
    order[places] = len(column) + np.arange(len(places))
    return taken(pa.concat_arrays([column, values.cast(column.type)]), order)
