"""Tables that are learnt without being held in memory: parents and children are merged in the order of their keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.io import Block, Source, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.held_out import HeldOutRows
from gpuvgm.synthesis.databases.joins import (
    NONE,
    Links,
    are_apart,
    check_known,
    codes_of,
    keys_in,
    number_alone,
    number_elsewhere,
    repeated_keys,
    whole_array,
)
from gpuvgm.synthesis.databases.keyed import (
    HASH,
    READ_ROWS,
    ROW,
    FurtherRows,
    KeyedSource,
    children_elsewhere,
    hashes_in,
    pieces_of_keys,
    read,
)
from gpuvgm.synthesis.databases.model import TablePart, TableRecord
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.telling import MOST_ROWS
from gpuvgm.synthesis.databases.uniqueness import keys_of
from gpuvgm.synthesis.databases.widening import Widening


@dataclass(frozen=True, slots=True)
class Children:
    """How many children rows of a parent have.

    Parameters
    ----------
    counts : ndarray of int32 or int64
        Of each row of the parent, in its order; the smaller type where all children together fit it.
    here, lacking : int
        Children whose parent is there, and those without a key.
    elsewhere : mapping of int to int
        How many rows that are not there have so many children.
    """

    counts: Any
    here: int
    lacking: int
    elsewhere: Mapping[int, int]

    @property
    def rows(self) -> int:
        """All children."""
        return self.here + self.lacking + sum(size * keys for size, keys in self.elsewhere.items())

    @property
    def keys_elsewhere(self) -> int:
        """How many rows are not there."""
        return sum(self.elsewhere.values())


@dataclass(frozen=True, slots=True)
class MergedRows:
    """Consecutive children, all of their keys, beside rows of their parent.

    Parameters
    ----------
    children, parents : pyarrow.Table
        Rows of both.
    starts : ndarray of shape (keys,), int64
        First child of each key; those without one are keys of one row.
    places : ndarray of shape (keys,), int64
        Place of the row among those of the parent; -1 where it is not there.
    are_known : ndarray of shape (keys,), bool
        Which have a key.
    """

    children: pa.Table
    parents: pa.Table
    starts: Ints
    places: Ints
    are_known: Any

    @property
    def counts(self) -> Ints:
        """Children of each key."""
        return np.diff(self.starts, append=self.children.num_rows)


def merged(
    child: Source, columns: Sequence[str], parent: Source, columns_of_parent: Sequence[str]
) -> Iterator[MergedRows]:
    """Children beside rows of their parent, both in the order of hashes, which stand for keys."""
    names = [*dict.fromkeys((HASH, *columns_of_parent))]
    rows_of_parent = parent.blocks(names, READ_ROWS)
    ahead, is_over = parent.fields(names).empty_table(), False
    for children in pieces_of_keys(child, columns):
        hashes = hashes_in(children)
        last = hashes.max()
        while not is_over and (not ahead.num_rows or hashes_in(ahead.slice(ahead.num_rows - 1))[0] < last):
            block = next(rows_of_parent, None)
            is_over = block is None
            if block is not None:
                ahead = pa.concat_tables([ahead, pa.Table.from_batches([block.batch])])
        of_parents = hashes_in(ahead)
        cut = int(np.searchsorted(of_parents, last, side="right"))
        starts = np.flatnonzero(np.append(True, (hashes[1:] != hashes[:-1]) | (hashes[1:] == 0)))
        wanted = hashes[starts]
        places = np.minimum(np.searchsorted(of_parents[:cut], wanted), max(cut - 1, 0))
        is_here = of_parents[places] == wanted if cut else np.zeros(len(wanted), np.bool_)
        yield MergedRows(children, ahead.slice(0, cut), starts, np.where(is_here, places, -1), wanted != 0)
        ahead = ahead.slice(cut)


@dataclass(frozen=True, slots=True)
class WideTable(Source):
    """A table in the order of its keys, beside what its rows refer to, which is merged with it whenever it is read.

    Parameters
    ----------
    name, flavour, dtypes : object
        Of the table, and of the source that was given.
    ordered : Source
        Its rows in order, with hashes of keys.
    columns : tuple of str, optional
        Which there are; by default those of the rows.
    counts : mapping of str to ndarray of int32 or int64
        Numbers of children of its rows, by the name of their column.
    first : Reference, optional
        The reference to its first parent.
    parent : Source, optional
        That one's rows, in the order of hashes.
    beside : mapping of str to str
        Columns of the parent, by their name beside the rows.
    further : mapping of Reference to FurtherRows
        Further parents, with the columns that stand beside the rows.
    kept : mapping of Reference to (pyarrow.Table, list of str)
        Tables that are kept, and which of their columns stand beside the rows.
    """

    name: str
    flavour: str
    dtypes: Any
    ordered: Source
    columns: tuple[str, ...] | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    first: Reference | None = None
    parent: Source | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[Reference, FurtherRows] = field(default_factory=dict)
    kept: Mapping[Reference, tuple[pa.Table, list[str]]] = field(default_factory=dict)
    repeatable: ClassVar[bool] = True
    reordered: ClassVar[bool] = True

    @property
    def rows(self) -> int | None:
        """Of the table."""
        return self.ordered.rows

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Types of all columns that there may be."""
        made = [ROW, *self.counts, *(() if self.first is None else (self.first.number, self.first.place))]
        types = dict(zip(self.ordered.schema.names, self.ordered.schema.types, strict=True))
        types |= dict.fromkeys(made, pa.int64())
        if self.parent is not None:
            types |= {name: self.parent.schema.field(of).type for name, of in self.beside.items()}
        for reference, parent in self.further.items():
            types |= {reference.beside(of.name): of.type for of in parent.rows.schema}
            types |= {reference.number: pa.int64(), reference.target: pa.string(), reference.recency.name: pa.string()}
        for reference, (table, names) in self.kept.items():
            types |= {reference.beside(name): table.schema.field(name).type for name in names}
        return types

    @property
    def schema(self) -> pa.Schema:
        """The columns that there are."""
        types = self.types
        return pa.schema([(name, types[name]) for name in self.columns or self.ordered.schema.names])

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks."""
        self.check_request(columns, block_rows)
        return Block.cut(self._batches(columns), block_rows)

    def sample(self, columns: Sequence[str], runs: Sequence[tuple[int, int]]) -> pa.Table:
        """Rows of each run; see `Source.sample_of_blocks`."""
        return self.sample_of_blocks(columns, runs, READ_ROWS)

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns, in batches of any length."""
        schema, row = self.fields(columns), 0
        referring = {name for reference in (*self.further, *self.kept) for name in reference.columns}
        own = [name for name in self.ordered.schema.names if name in {*columns, *referring}]
        for rows, beside in self._merged(own, columns):
            arrays = dict(zip(rows.schema.names, map(whole_array, rows.columns), strict=True)) | beside
            stop = row + rows.num_rows
            counted = {name: counts[row:stop] for name, counts in self.counts.items() if name in columns}
            arrays |= {name: pa.array(counts.astype(np.int64)) for name, counts in counted.items()}
            arrays[ROW] = pa.array(np.arange(row, stop))
            for reference, parent in self.further.items():
                arrays |= parent.beside(reference, rows, columns)
            for reference, (table, names) in self.kept.items():
                asked = [name for name in names if reference.beside(name) in columns]
                arrays |= Links.of(reference, rows, table).beside(table, asked) if asked else {}
            yield pa.RecordBatch.from_arrays([arrays[name] for name in columns], schema=schema)
            row = stop

    def _merged(self, own: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Columns of the rows, and those of their parent."""
        first, parent = self.first, self.parent
        beside = {name: of for name, of in self.beside.items() if name in columns}
        recencies = {of.recency.name for of in self.further}
        if first is None or parent is None or not {*beside, first.number, first.place, *recencies} & {*columns}:
            for block in self.ordered.blocks(own or self.ordered.schema.names[:1], READ_ROWS):
                yield pa.Table.from_batches([block.batch]), {}
            return
        parents, elsewhere, alone = int(parent.rows or 0), 0, 0
        for piece in merged(self.ordered, own, parent, [ROW, *beside.values()]):
            counts, are_here = piece.counts, piece.places >= 0
            are_elsewhere, are_alone = piece.are_known & ~are_here, ~piece.are_known
            numbers = np.zeros(len(counts), np.int64)
            numbers[are_here] = _numbers(piece.parents.column(ROW))[piece.places[are_here]]
            numbers[are_elsewhere] = number_elsewhere(parents, elsewhere + np.arange(np.count_nonzero(are_elsewhere)))
            numbers[are_alone] = number_alone(parents, alone + np.arange(np.count_nonzero(are_alone)))
            elsewhere += int(np.count_nonzero(are_elsewhere))
            alone += int(np.count_nonzero(are_alone))
            places = pa.array(np.repeat(piece.places, counts), mask=np.repeat(~are_here, counts))
            arrays = {name: taken(whole_array(piece.parents.column(of)), places) for name, of in beside.items()}
            arrays[first.number] = pa.array(np.repeat(numbers, counts))
            arrays[first.place] = pa.array(1 + np.arange(piece.children.num_rows) - np.repeat(piece.starts, counts))
            yield piece.children, arrays


@dataclass(frozen=True, slots=True)
class LargeTables:
    """Tables of which each refers to one that is drawn at most; what is sorted lies in files until the end.

    Parameters
    ----------
    sources : mapping of str to Source
        The tables as they were given.
    plan : DatabasePlan
        How they are drawn.
    kept : mapping of str to pyarrow.Table
        Tables that samples have as they are.
    tables : dict of str to WideTable
        Tables that are drawn, in the order of their keys; once they are learnt with all that stands beside their rows.
    children : mapping of Reference to Children
        Children of the rows of each parent.
    files : ExitStack
        Removes the files.
    """

    sources: Mapping[str, Source]
    plan: DatabasePlan
    kept: Mapping[str, pa.Table]
    tables: dict[str, WideTable]
    children: dict[Reference, Children]
    files: ExitStack

    @property
    def held_out(self) -> HeldOutRows:
        """None: tables of which rows are held out are held in memory."""
        return HeldOutRows()

    @classmethod
    @contextmanager
    def of(cls, sources: Mapping[str, Source], plan: DatabasePlan) -> Iterator[LargeTables]:
        """The tables, sorted, and the numbers of their children.

        Raises
        ------
        InputError
            For a key that a parent has twice, or lacks in a row, and for columns of other types.
        """
        with ExitStack() as files:
            kept = {name: read(sources[name]) for name in plan.kept}
            large = cls(sources, plan, kept, {}, {}, files)
            for name in plan.in_order(sources):
                if plan.ordering(name) is not None:
                    large._sort(name, plan.indices.get(name))
            for reference in plan.references:
                large.children[reference] = large._children(reference)
            for name, table in large.tables.items():
                counts = {of.count: large.children[of].counts for of in plan.counted(name)}
                large.tables[name] = replace(table, counts=counts)
            yield large

    @property
    def counts(self) -> Mapping[Reference, Any]:
        """Numbers of children of each row that is drawn, by reference."""
        return {reference: children.counts for reference, children in self.children.items()}

    def beside_parents(
        self, name: str, parts: Mapping[str, TablePart], declared: Mapping[str, Any]
    ) -> tuple[Source, Widening]:
        """A table beside what its rows refer to, given the models of those that come before it."""
        schemas, children = {table: source.schema for table, source in self.sources.items()}, self.children
        widening = Widening.of(
            name, self.plan, schemas, parts, declared, lambda of: children[of].here < children[of].rows
        )
        if name not in self.tables:
            return self.sources[name], widening
        kept = {of: (self.kept[of.parent], widening.beside[of]) for of in self.plan.kept_beside(name)}
        table, first = replace(self.tables[name], kept=kept), widening.first
        columns = [*widening.own, *table.counts]
        if first is not None:
            names = [*widening.beside[first], *widening.owners]
            beside = {first.beside(column): column for column in names}
            table = replace(table, first=first, parent=self._in_order_of(first, names), beside=beside)
            columns += [*beside, first.number]
            further = {of: self._further(of, widening.beside[of]) for of in self.plan.seconds(name)}
            table = replace(table, further=further)
            for of, rows in further.items():
                columns += [*map(of.beside, rows.rows.schema.names), *([of.target] if of in widening.targets else [])]
                columns += [of.recency.name] if str(of) in self.plan.returning else []
            drawn = widening.drawn(columns)
            if _are_alike(replace(table, columns=(first.number, *drawn)), drawn):
                # Rows that a parent has alike are told from each other by their place.
                columns.append(first.place)
        columns += [of.beside(column) for of, (_, names) in kept.items() for column in names]
        self.tables[name] = replace(table, columns=(*columns,))
        return self.tables[name], widening

    def record_of(self, name: str, rows: int) -> TableRecord:
        """What a table of so many rows is beside its model."""
        first = self.plan.first.get(name)
        if first is None:
            return TableRecord(rows)
        of_first, seconds = self.children[first], self.plan.seconds(name)
        return TableRecord(
            rows,
            elsewhere=children_elsewhere(of_first.elsewhere, first),
            lacking=of_first.lacking,
            further={str(second): self.children[second].keys_elsewhere for second in seconds},
            unique=keys_of(self._codes(name), (first, *seconds), self.plan.keys_of_several(name)),
            here=of_first.here,
            apart=tuple(str(second) for second in seconds if self._is_apart(second, first)),
        )

    def _codes(self, name: str) -> Iterator[dict[tuple[str, ...], Ints]]:
        """Codes of what rows of a table refer to, and of its other columns, of some parents at a time."""
        table, references = self.tables[name], [self.plan.first[name], *self.plan.seconds(name)]
        own, waiting = self.plan.own(name, self.sources[name].schema.names), list[pa.Table]()
        columns = [*own, *(column for of in references for column in of.columns)]
        for piece in pieces_of_keys(table.ordered, columns):
            waiting.append(piece)
            if sum(rows.num_rows for rows in waiting) >= MOST_ROWS:
                yield _codes_in(pa.concat_tables(waiting), references, table.further, own)
                waiting = []
        if waiting:
            yield _codes_in(pa.concat_tables(waiting), references, table.further, own)

    def _is_apart(self, reference: Reference, first: Reference) -> bool:
        """Whether no child has one row of a table as this and as its first parent; see `Links.is_apart`."""
        if reference.parent != first.parent:
            return False
        columns, parents = [first.number, reference.number], len(self.children[first].counts)
        both = equal = 0
        for block in replace(self.tables[first.child], columns=(*columns,)).blocks(columns, READ_ROWS):
            one, other = (np.asarray(block.host_column(name).fill_null(NONE), np.int64) for name in columns)
            is_here = (one < parents) & (other != NONE)
            both, equal = both + int(np.count_nonzero(is_here)), equal + int(np.count_nonzero(is_here & (one == other)))
        return are_apart(self.children[reference].counts, self.children[first].counts, both, equal)

    def _sort(self, name: str, index: Any) -> None:
        """Put the rows of a table in order, and refuse those that lack a key."""
        reference, source = self.plan.ordering(name), self.sources[name]
        assert reference is not None
        of_parents = [of for of in self.plan.references if of.parent == name]
        parent = self.sources[reference.parent].schema if reference.child == name else None

        def keys(batch: pa.RecordBatch, first_row: int) -> list[Any]:
            for of in of_parents:
                known = np.logical_and.reduce([np.asarray(column.is_valid()) for column in keys_in(batch, of)])
                check_known(of, known, first_row)
            return keys_in(batch, reference, parent)

        ordered = KeyedSource(source, keys).sorted(reference, index if parent is not None else None)
        dtypes = getattr(source, "dtypes", None)
        self.tables[name] = WideTable(name, source.flavour, dtypes, self.files.enter_context(ordered))

    def _in_order_of(self, reference: Reference, names: Sequence[str]) -> Source:
        """Numbers of the rows of a parent, and some of its columns, in the order of hashes of its key."""
        parent, ordering = self.tables[reference.parent], self.plan.ordering(reference.parent)
        if ordering is not None and (ordering.parent, ordering.key) == (reference.parent, reference.key):
            return replace(parent, columns=(HASH, ROW, *names))
        unsorted = replace(parent, columns=(*dict.fromkeys((ROW, *reference.key, *names)),))
        keyed = KeyedSource(unsorted, lambda batch, _: keys_in(batch, reference), (ROW, *names))
        return self.files.enter_context(keyed.sorted(reference))

    def _children(self, reference: Reference) -> Children:
        """How many children the rows of a parent have."""
        parent = self._in_order_of(reference, [])
        self._check_different(reference, parent)
        if reference != self.plan.first[reference.child]:
            return self._children_of_further(reference, parent)
        counts, elsewhere = self._no_children(reference), Counter[int]()
        here = lacking = 0
        for piece in merged(self.tables[reference.child].ordered, [], parent, [ROW]):
            of_keys, are_here = piece.counts, piece.places >= 0
            counts[_numbers(piece.parents.column(ROW))[piece.places[are_here]]] = of_keys[are_here]
            elsewhere.update(of_keys[piece.are_known & ~are_here].tolist())
            here, lacking = here + int(of_keys[are_here].sum()), lacking + int(np.count_nonzero(~piece.are_known))
        return Children(counts, here, lacking, elsewhere)

    def _no_children(self, reference: Reference) -> Any:
        """No children of any row of a parent."""
        children, parents = (int(self.tables[name].rows or 0) for name in (reference.child, reference.parent))
        return np.zeros(parents, np.int32 if children <= np.iinfo(np.int32).max else np.int64)

    def _children_of_further(self, reference: Reference, ordered: Source) -> Children:
        """How many children the rows of a further parent have, which are held."""
        parent = FurtherRows.of(ordered, [], self.sources[reference.parent].schema)
        counts, lacking = self._no_children(reference), 0
        elsewhere, sizes = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        for block in self.tables[reference.child].ordered.blocks(reference.columns, READ_ROWS):
            hashes = parent.hashes_of(reference, block.batch)
            places = parent.places(hashes)
            counts += np.bincount(parent.numbers[places[places >= 0]], minlength=len(counts)).astype(counts.dtype)
            lacking += int(np.count_nonzero(hashes == 0))
            new, of_new = np.unique(hashes[(places < 0) & (hashes != 0)], return_counts=True)
            elsewhere, places = np.unique(np.append(elsewhere, new), return_inverse=True)
            sizes = np.bincount(places, np.append(sizes, of_new), len(elsewhere)).astype(np.int64)
        return Children(counts, int(counts.sum()), lacking, Counter(sizes.tolist()))

    def _further(self, reference: Reference, names: Sequence[str]) -> FurtherRows:
        """Some columns of a further parent, held."""
        return FurtherRows.of(self._in_order_of(reference, names), names, self.sources[reference.parent].schema)

    def _check_different(self, reference: Reference, parent: Source) -> None:
        """Refuse keys that come twice."""
        last = np.zeros(1, np.uint64)
        for block in parent.blocks([HASH], READ_ROWS):
            hashes = np.append(last, hashes_in(pa.Table.from_batches([block.batch])))
            repeated = np.flatnonzero(hashes[1:] == hashes[:-1])
            if len(repeated):
                is_there = self.sources[reference.parent].repeatable
                rows = self._rows_with(reference, hashes[repeated[0]]) if is_there else []
                raise repeated_keys(reference, rows)
            last = hashes[-1:]

    def _rows_with(self, reference: Reference, hash_: Any) -> list[int]:
        """The first two rows of a parent that have a key of this hash."""
        keyed = KeyedSource(self.sources[reference.parent], lambda batch, _: keys_in(batch, reference))
        rows = list[int]()
        for block in keyed.blocks([HASH], READ_ROWS):
            rows += (block.first_row + np.flatnonzero(np.asarray(block.host_column(HASH)) == hash_)).tolist()
        return rows[:2]


def _are_alike(table: WideTable, drawn: Sequence[str]) -> bool:
    """Whether all children of a parent have one value in each of some columns, and any parent has several."""
    assert table.first is not None
    number, has_several, last = table.first.number, False, table.schema.empty_table()
    for block in table.blocks(table.schema.names, READ_ROWS):
        rows = pa.concat_tables([last, pa.Table.from_batches([block.batch])])
        follows = np.diff(_numbers(rows.column(number))) == 0
        if any(np.any(follows & (np.diff(codes_of(whole_array(rows.column(name)))) != 0)) for name in drawn):
            return False
        has_several = has_several or bool(np.any(follows))
        last = rows.slice(rows.num_rows - 1)
    return has_several


def _numbers(column: Any) -> Ints:
    """A column of whole numbers."""
    return np.asarray(column.combine_chunks(), np.int64)


def _codes_in(
    rows: pa.Table, references: Sequence[Reference], further: Mapping[Reference, FurtherRows], own: Sequence[str]
) -> dict[tuple[str, ...], Ints]:
    """Codes of what rows refer to, of the first parent before others, and of their other columns."""
    first, *seconds = references
    hashes = {first.columns: hashes_in(rows)} | {of.columns: further[of].hashes_of(of, rows) for of in seconds}
    codes = {columns: np.where(of == 0, NONE, (of >> np.uint64(1)).astype(np.int64)) for columns, of in hashes.items()}
    return codes | {(name,): codes_of(whole_array(rows.column(name))) for name in own}
