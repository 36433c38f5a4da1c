"""Blocks of rows to scalars and cells, and back, with a fitted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, beside, is_on_device, namespace_of, on_host, to_numpy
from gpuvgm.columns.base import Coded, EncodingOptions, Slice
from gpuvgm.columns.model import TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError, naming
from gpuvgm.io import Block, DeviceTable, device_array, host_batch, kept_rows, lies_on_device
from gpuvgm.summary.grid import Floats


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded rows: what each column has of scalar, cell, and values handed through."""

    first_row: int
    rows: int
    columns: dict[str, Coded]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded rows, and which of them lie within every column's training range; where the encoded ones lay."""

    table: pa.RecordBatch | DeviceTable
    valid: Array

    @property
    def batch(self) -> pa.RecordBatch:
        """The rows in the memory of the host."""
        return host_batch(self.table)

    def kept(self) -> Decoded:
        """The valid rows alone."""
        if self.valid.all():
            return self
        table = self.table
        kept = table.filter(self.valid) if isinstance(table, DeviceTable) else kept_rows(table, to_numpy(self.valid))
        return Decoded(kept, self.valid[self.valid])


class TableEncoder:
    """Encodes blocks of rows.

    Parameters
    ----------
    engine : str
        Name of the engine.
    model : TableModel
        The fitted columns.
    options : EncodingOptions
        How to encode.
    uniforms : mapping of str to ndarray, optional
        Uniforms for columns that shall not use the generator, one a row of the source.
    """

    def __init__(
        self,
        engine: str,
        model: TableModel,
        options: EncodingOptions,
        uniforms: Mapping[str, Floats] | None = None,
    ) -> None:
        rows = get_engine(engine)
        self._encoders = {column.name: column.encoder(rows, options) for column in model.columns}
        self._uniforms = uniforms or {}
        self._place = options.place

    def __call__(self, block: Block) -> Encoded:
        """Scalars and cells of a block.

        Raises
        ------
        InputError
            For a value that the model has no place for: the message names column and row.
        """
        columns = {}
        for name, encoder in self._encoders.items():
            part = Slice(block.column(name), block.first_row, self._drawn(name, block))
            try:
                columns[name] = encoder(part)
            except InputError as problem:
                named = naming(name, problem)
                if named is not problem:  # of a codec, which knows no rows
                    named = InputError(f"{named} (in the rows from {self._place(block.first_row)} on)")
                raise named from None
        return Encoded(block.first_row, block.rows, columns)

    def _drawn(self, name: str, block: Block) -> Floats | None:
        """The caller's uniforms for a block of a column."""
        if name not in self._uniforms:
            return None
        uniforms = self._uniforms[name][block.first_row : block.first_row + block.rows]
        if len(uniforms) != block.rows:
            raise InputError(f'column "{name}": uniforms has fewer values than the source has rows')
        return uniforms


class TableDecoder:
    """Decodes encoded rows into values of the columns' own types.

    Parameters
    ----------
    engine : str
        Name of the engine.
    model : TableModel
        The fitted columns.
    check : bool
        Whether to look at bounds; without, all rows count as valid.
    """

    def __init__(self, engine: str, model: TableModel, *, check: bool = True) -> None:
        rows = get_engine(engine)
        self._decoders = {column.name: column.decoder(rows, check=check) for column in model.columns}

    def __call__(self, encoded: Encoded) -> Decoded:
        """Values of encoded rows; columns that are not there are left out."""
        arrays: dict[str, Column] = {}
        valid: Array = np.ones(encoded.rows, np.bool_)
        for name, part in encoded.columns.items():
            values = self._decoders[name](part, encoded.first_row)
            arrays[name] = values.array
            if values.valid is not None:
                there = values.valid if is_on_device(values.valid) else valid
                valid = beside(valid, there) & beside(values.valid, there)
        return Decoded(_table_of(arrays, encoded.rows), valid)


def _table_of(columns: dict[str, Column], rows: int) -> pa.RecordBatch | DeviceTable:
    """Decoded columns as one table, on the device if any of them lies there."""
    if any(isinstance(column, DeviceColumn) for column in columns.values()):
        return DeviceTable(columns, rows)
    return pa.RecordBatch.from_arrays([on_host(column) for column in columns.values()], names=list(columns))


def joined_valid(parts: Sequence[Decoded]) -> Array:
    """Which rows of all blocks are valid, as one array."""
    if not parts:
        return np.empty(0, np.bool_)
    there = next((part.valid for part in parts if is_on_device(part.valid)), parts[0].valid)
    return namespace_of(there).concatenate([beside(part.valid, there) for part in parts])


def checked_uniforms(
    model: TableModel, uniforms: Mapping[str, NDArray[Any]] | None, rows: int | None
) -> dict[str, Floats]:
    """Uniforms as float64, one a row of the source.

    Raises
    ------
    InputError
        For columns that draw no modes, a wrong number of values, or values outside [0, 1).
    """
    checked = {}
    drawn = [column.name for column in model.columns if column.draws_modes]
    for name, given in (uniforms or {}).items():
        if name not in drawn:
            why = "whose kind draws no modes" if name in model.names else "which was not fitted"
            raise InputError(f'uniforms are given for column "{name}", {why}')
        here = to_numpy(device_array(f'uniforms of column "{name}"', given)) if lies_on_device(given) else given
        values = np.ascontiguousarray(here, dtype=np.float64)
        if values.ndim != 1 or (rows is not None and len(values) != rows):
            raise InputError(f'column "{name}": uniforms need one value a row ({rows}), not shape {values.shape}')
        wrong = np.flatnonzero(~((values >= 0) & (values < 1)))
        if len(wrong):
            raise InputError(f'column "{name}": the uniform {values[wrong[0]]} at row {wrong[0]} is not in [0, 1)')
        checked[name] = values
    return checked
