"""A network as an Arrow file: the counts that are not 0, and the rest as JSON in its metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from gpuvgm.columns.records import Count, document_of, read_record
from gpuvgm.columns.rules import finite, whole
from gpuvgm.io.plain_json import from_plain, plain
from gpuvgm.summary.grid import Ints
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.network import JointCounts, Network, Structure
from gpuvgm.synthesis.structure import Node

KEY = b"gpuvgm.network"
_CELLS = pa.schema([("table", pa.int32()), ("cell", pa.int64()), ("rows", pa.int64())])


@dataclass(frozen=True, slots=True)
class _NodeRecord:
    name: str
    parents: tuple[str, ...]
    gains: tuple[Annotated[float, finite], ...]


@dataclass(frozen=True, slots=True)
class _NetworkRecord:
    """Record in the file's metadata: rows, bins, and the parents of each column."""

    rows: Count
    bins: tuple[Bins, ...]
    nodes: tuple[_NodeRecord, ...]
    shapes: tuple[tuple[Annotated[int, whole(1)], ...], ...]


def write_network(network: Network) -> bytes:
    """A network as the bytes of an Arrow file."""
    structure, counts = network.structure, network.counts
    tables = [*counts.pairs, *counts.triples]
    nodes = tuple(_NodeRecord(node.name, node.parents, node.gains) for node in structure.nodes)
    document = document_of(_NetworkRecord(counts.rows, structure.bins, nodes, tuple(table.shape for table in tables)))
    cells = [np.flatnonzero(table) for table in tables]
    numbers = np.repeat(np.arange(len(tables), dtype=np.int32), [len(cell) for cell in cells])
    rows = [table.ravel()[cell] for table, cell in zip(tables, cells, strict=True)]
    empty = [np.empty(0, np.int64)]
    columns = [pa.array(numbers), *(pa.array(np.concatenate(empty + parts)) for parts in (cells, rows))]
    schema = _CELLS.with_metadata({KEY: json.dumps(plain(document), allow_nan=False).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return sink.getvalue().to_pybytes()


def read_network(body: bytes) -> Network:
    """Network from what `write_network` gave.

    Raises
    ------
    ValueError
        Where its parts do not fit together.
    """
    table = pa.ipc.open_file(pa.BufferReader(body)).read_all()
    if table.schema.remove_metadata() != _CELLS or KEY not in (table.schema.metadata or {}):
        raise ValueError("the network is no table of counts")
    text = json.loads(table.schema.metadata[KEY], object_hook=from_plain)
    document = read_record(_NetworkRecord, text, "the network")
    number, cell, rows = (table.column(name).to_numpy() for name in _CELLS.names)
    tables = []
    for place, shape in enumerate(document.shapes):
        in_table = number == place
        tables.append(_fill_table(shape, cell[in_table], rows[in_table]))
    nodes = tuple(Node(node.name, node.parents, node.gains) for node in document.nodes)
    structure, half = Structure(document.bins, nodes), len(nodes)
    counts = JointCounts(document.rows, tuple(tables[:half]), tuple(tables[half:]))
    structure.check(counts)
    return Network(structure, counts)


def _fill_table(shape: tuple[int, ...], cell: Ints, rows: Ints) -> Ints:
    """A table with rows in some cells."""
    size = int(np.prod(shape))
    # Checked before memory is taken, as files may be damaged: 2^28 counts take 2 GiB.
    if size > 1 << 28 or np.any((cell < 0) | (cell >= size)) or np.any(rows < 0):
        raise ValueError("the network counts rows where it has no cell")
    counts = np.zeros(size, np.int64)
    counts[cell] = rows
    return counts.reshape(shape)
