"""A network as an Arrow file of one row: bins, counts that are not 0, trees, and the rest as JSON in its metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrow_bytes import ArrowBytes
from gpuvgm.engines import Trees
from gpuvgm.io import from_plain, plain
from gpuvgm.records import document_of, read_as
from gpuvgm.rules import finite, whole
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import Bins, Clock, Forms, Part
from gpuvgm.synthesis.counts.network import JointCounts, Network, Structure
from gpuvgm.synthesis.counts.structure import Node
from gpuvgm.synthesis.counts.trees import NodeTrees
from gpuvgm.synthesis.keys import Habit

KEY = b"gpuvgm.network"
_Types = dict[str, Any]  # Arrow's
_TREES: _Types = {
    "ranges": pa.int32(),
    "root": pa.int32(),
    "nodes": pa.int32(),
    "sides": pa.uint8(),
    "answers": pa.int64(),
}
_BINS: _Types = {
    "edges": pa.float64(),
    "codes": pa.int64(),
    "bin_rows": pa.int64(),
    "first": pa.int64(),
    "mass": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
}
_CELLS: _Types = {"table": pa.int32(), "cell": pa.int64(), "rows": pa.int64()}
_SCHEMA = pa.schema(
    {name: pa.large_list(type_) for name, type_ in _CELLS.items()}
    | {name: pa.list_(pa.large_list(type_)) for name, type_ in (_TREES | _BINS).items()}
)


@dataclass(frozen=True, slots=True)
class _BinsRecord:
    """Bins without their arrays."""

    name: str
    has_missing: bool
    since: str | None
    back: bool
    by_days: bool
    ahead: Annotated[float, finite]
    clock_of_first: Clock | None
    single: str | None
    clock: Clock | None
    forms: Forms | None
    twin: str | None


@dataclass(frozen=True, slots=True)
class _NetworkRecord:
    """Record in the file's metadata: rows, and the columns and their parents."""

    rows: int
    bins: tuple[_BinsRecord, ...]
    nodes: tuple[Node, ...]
    order: tuple[Annotated[int, whole()], ...]
    asked: tuple[tuple[Annotated[int, whole()], ...], ...]
    parts: tuple[Part, ...]
    habits: tuple[Habit, ...]


def write_network(network: Network) -> bytes:
    """A network as the bytes of an Arrow file."""
    structure, counts = network.structure, network.counts
    tables = [*counts.pairs, *counts.triples]
    asked = tuple(node.asked for node in structure.trees)
    names = [part.name for part in fields(_BinsRecord)]
    bins = tuple(
        replace(_BinsRecord(*(getattr(column, name) for name in names)), clock=column.clock_of_parts)
        for column in structure.bins
    )
    nodes, order = structure.nodes, structure.order
    record = _NetworkRecord(counts.rows, bins, nodes, order, asked, structure.parts, structure.habits)
    document = document_of(record)
    cells = [np.flatnonzero(table) for table in tables]
    numbers = np.repeat(np.arange(len(tables), dtype=np.int32), [len(cell) for cell in cells])
    rows = [table.ravel()[cell] for table, cell in zip(tables, cells, strict=True)]
    empty = [np.empty(0, np.int64)]
    lists: list[Any] = [[numbers], *([np.concatenate(empty + parts)] for parts in (cells, rows))]
    for name in _TREES:
        arrays = counts.answers if name == "answers" else [getattr(node.trees, name) for node in structure.trees]
        lists.append([[array.ravel() for array in arrays]])
    lists += [[[getattr(column, name.removeprefix("bin_")) for column in structure.bins]] for name in _BINS]
    schema = _SCHEMA.with_metadata({KEY: json.dumps(plain(document), allow_nan=False).encode()})
    columns = [pa.array(values, type_) for values, type_ in zip(lists, _SCHEMA.types, strict=True)]
    return file_of(pa.Table.from_arrays(columns, schema=schema))


def file_of(table: pa.Table) -> bytes:
    """A table as the bytes of an Arrow file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def read_network(body: bytes) -> Network:
    """Network from what `write_network` gave.

    Raises
    ------
    ValueError
        Where its parts do not fit together.
    """
    table = ArrowBytes.of(body).table(_SCHEMA)
    if KEY not in (table.schema.metadata or {}) or len(table) != 1:
        raise ValueError("the network is no table of counts")
    text = json.loads(table.schema.metadata[KEY], object_hook=from_plain)
    document = read_as(_NetworkRecord, text, "the network")
    number, cell, rows = (_array_of(table.column(name)[0]) for name in _CELLS)
    arrays_of_trees = {name: _arrays_of(table.column(name)[0]) for name in _TREES}
    answers = tuple(array.reshape(2, -1) for array in arrays_of_trees.pop("answers"))
    trees = tuple(
        NodeTrees(asked, _trees_of(*arrays))
        for asked, arrays in zip(document.asked, zip(*arrays_of_trees.values(), strict=True), strict=True)
    )
    arrays_of_bins = zip(*(_arrays_of(table.column(name)[0]) for name in _BINS), strict=True)
    bins = tuple(_bins_of(record, arrays) for record, arrays in zip(document.bins, arrays_of_bins, strict=True))
    structure = Structure(bins, document.nodes, document.order, trees, document.parts, document.habits)
    structure.check()
    shapes = [*structure.pair_shapes, *structure.triple_shapes]
    most = ArrowBytes.most_unpacked(len(body))
    if sum(map(math.prod, shapes)) * rows.itemsize > most:  # before memory is taken
        raise ValueError(f"its tables would take more than {most:,} bytes")
    tables = [_fill_table(shape, cell[number == place], rows[number == place]) for place, shape in enumerate(shapes)]
    counts = JointCounts(document.rows, tuple(tables[: len(bins)]), tuple(tables[len(bins) :]), answers)
    structure.check_answers(counts)
    return Network(structure, counts)


def _array_of(values: Any) -> NDArray[Any]:
    """The values of a list."""
    array: NDArray[Any] = values.values.to_numpy(zero_copy_only=False)
    return array


def _arrays_of(lists: Any) -> list[NDArray[Any]]:
    """The values of each of several lists."""
    return [_array_of(values) for values in lists]


def _bins_of(record: _BinsRecord, arrays: Sequence[NDArray[Any]]) -> Bins:
    """Bins from their record and their arrays, in the order of `_BINS`."""
    for name, array in zip(_BINS, arrays, strict=True):
        if not np.all(np.isfinite(array)) or (name not in ("edges", "low", "high") and np.any(array < 0)):
            raise ValueError(f'the bins of "{record.name}" have numbers that none can have')
    parts: dict[str, Any] = dict(zip((name.removeprefix("bin_") for name in _BINS), map(np.copy, arrays), strict=True))
    bins = Bins(**parts, **{part.name: getattr(record, part.name) for part in fields(record)})
    return bins if record.since is None else replace(bins, clock=None, calendar=record.clock)


def _trees_of(ranges: NDArray[Any], root: NDArray[Any], nodes: NDArray[Any], sides: NDArray[Any]) -> Trees:
    """Trees from arrays of one dimension."""
    return Trees(ranges.reshape(-1, 5).copy(), root.copy(), nodes.reshape(-1, 4).copy(), sides.copy())


def _fill_table(shape: tuple[int, ...], cell: Ints, rows: Ints) -> Ints:
    """A table with rows in some cells."""
    size = math.prod(shape)
    if np.any((cell < 0) | (cell >= size)) or np.any(rows < 0):
        raise ValueError("the network counts rows where it has no cell")
    counts = np.zeros(size, np.int64)
    counts[cell] = rows
    return counts.reshape(shape)
