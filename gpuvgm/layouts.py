"""The two layouts of encoded rows: compact columns, and the onehot matrix that models train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.encoding import MODE, SCALAR, Encoded, from_compact, from_onehot
from gpuvgm.errors import InputError
from gpuvgm.frames import Block, Source, restore
from gpuvgm.grid import Floats
from gpuvgm.model import TableModel

_ARROW_TYPES: dict[str, pa.DataType] = {"float32": pa.float32(), "float64": pa.float64()}


def onehot_width(model: TableModel) -> int:
    """Columns of the onehot matrix."""
    return sum(1 + column.width for column in model.columns)


def onehot_names(model: TableModel) -> list[str]:
    """Names of the onehot matrix's columns: `<column>.scalar`, then `<column>.mode.<cell>`."""
    names = []
    for column in model.columns:
        names += [column.name + SCALAR, *(f"{column.name}{MODE}.{cell}" for cell in range(column.width))]
    return names


def onehot_matrix(model: TableModel, encoded: Encoded, out: Floats) -> Floats:
    """Encoded rows in the onehot layout, written into `out` of shape (rows, width)."""
    out[:] = 0
    start, row = 0, np.arange(encoded.rows)
    for column in model.columns:
        out[:, start] = encoded.scalars[column.name]
        out[row, start + 1 + encoded.cells[column.name].astype(np.int64)] = 1
        start += 1 + column.width
    return out


class CompactLayout:
    """`<column>.scalar` and `<column>.mode` for each column.

    Parameters
    ----------
    model : TableModel
        The fitted table.
    dtype : str
        Type of the scalars.
    metadata : mapping of str to str
        Metadata of the Arrow schema.
    """

    def __init__(self, model: TableModel, dtype: str, metadata: Mapping[str, str]) -> None:
        fields: list[pa.Field[Any]] = []
        for column in model.columns:
            fields.append(pa.field(column.name + SCALAR, _ARROW_TYPES[dtype]))
            fields.append(pa.field(column.name + MODE, pa.from_numpy_dtype(column.cell_dtype)))
        self.schema = pa.schema(fields, {key.encode(): value.encode() for key, value in metadata.items()})

    def batch(self, encoded: Encoded) -> pa.RecordBatch:
        """A block as Arrow columns."""
        arrays: list[pa.Array[Any]] = []
        for name, scalar in encoded.scalars.items():
            arrays += [pa.array(scalar), pa.array(encoded.cells[name])]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    part = batch

    def join(self, parts: Sequence[pa.RecordBatch], like: Source) -> Any:
        """All blocks as what the caller gave."""
        return restore(pa.Table.from_batches(parts, self.schema), like)


class OnehotLayout:
    """A matrix: for each column its scalar, then one cell a mode; parameters as for `CompactLayout`."""

    def __init__(self, model: TableModel, dtype: str, metadata: Mapping[str, str]) -> None:
        self._model, self._dtype = model, dtype
        self.schema = pa.schema(
            [(name, _ARROW_TYPES[dtype]) for name in onehot_names(model)],
            {key.encode(): value.encode() for key, value in metadata.items()},
        )

    def part(self, encoded: Encoded) -> Floats:
        """A block as a matrix."""
        return onehot_matrix(self._model, encoded, np.empty((encoded.rows, len(self.schema)), self._dtype))

    def batch(self, encoded: Encoded) -> pa.RecordBatch:
        """A block as Arrow columns."""
        columns = np.empty((len(self.schema), encoded.rows), self._dtype)
        onehot_matrix(self._model, encoded, columns.T)
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=self.schema)

    def join(self, parts: Sequence[Floats], like: Source) -> Floats:
        """All blocks as one matrix."""
        return np.concatenate(parts) if parts else np.empty((0, len(self.schema)), self._dtype)


def encoded_reader(model: TableModel, table: Source) -> tuple[list[str], Callable[[Block], Encoded]]:
    """Columns to read from an encoded table, and how a block of them becomes encoded rows.

    Parameters
    ----------
    model : TableModel
        The fitted table.
    table : Source
        Compact columns, onehot columns, or a onehot matrix.

    Raises
    ------
    InputError
        For a matrix of another width.
    """
    matrix = table.flavour == "matrix"
    names = list(table.schema.names) if matrix else onehot_names(model)
    if not matrix and not set(names) <= set(table.schema.names):
        compact = [column.name + part for column in model.columns for part in (SCALAR, MODE)]
        return compact, partial(from_compact, model)
    if len(names) != onehot_width(model):
        raise InputError(f"{table.name}: {len(names)} columns, but the model's onehot layout has {onehot_width(model)}")

    def read(block: Block) -> Encoded:
        columns = [block.table.column(i).to_numpy(zero_copy_only=False) for i in range(len(names))]
        return from_onehot(model, np.stack(columns, axis=1), block.first_row)

    return names, read
