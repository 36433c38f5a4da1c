"""Scalars and codes back to rows: encoded rows read from either layout, and decoded with a fitted model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import and_
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, DeviceColumn, namespace_of, to_numpy, together
from gpuvgm.codecs import float_values
from gpuvgm.columns import MISSING, Coded, FittedColumn, NameTemplate, TableModel
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError, counted
from gpuvgm.execution import Need, Run
from gpuvgm.io import Block, Source, is_plain_number_type, plain_values_of
from gpuvgm.summary import Floats
from gpuvgm.table.encode import Encoded, template_of
from gpuvgm.table.model_file import MODEL_KEY, NAMES_KEY
from gpuvgm.table.unseen import UnseenRows


@dataclass(frozen=True, slots=True)
class Decoded(Block):
    """Decoded rows, and a mask of those within every column's training range; both lie where the encoded rows lay.

    `valid` is None if it was not requested, or if no column has a range.
    """

    valid: Array | None = None

    def valid_rows(self) -> Decoded:
        """The decoded rows that are valid."""
        if self.valid is None or self.valid.all():
            return self
        return replace(self.filter(self.valid), valid=self.valid[self.valid])


def joined_valid(parts: Sequence[Decoded]) -> Array:
    """The masks of valid rows of all blocks as one array."""
    if not parts:
        return np.empty(0, np.bool_)
    masks = together(*(np.ones(len(part.table), np.bool_) if part.valid is None else part.valid for part in parts))
    return namespace_of(masks[0]).concatenate(masks)


def check_origin(table: Source, fingerprint: str, names: str | None) -> NameTemplate:
    """Refuse rows encoded with another model; return the template of names that the caller or the table gives."""
    for name, pairs in table.metadata().items():
        origin = pairs.get(MODEL_KEY)
        if origin is not None and origin != fingerprint:
            raise InputError(f"{name}: encoded with another model; use the one with fingerprint {origin[:16]}…")
        names = names or pairs.get(NAMES_KEY)
    return template_of(names)


# -- readers of the layouts


class CompactReader:
    """Reads encoded rows from compact columns.

    Parameters
    ----------
    model : TableModel
        The fitted table.
    schema : pyarrow.Schema
        Columns of the encoded table; passthrough columns may be absent.
    names : NameTemplate
        Template of the columns' names.
    """

    def __init__(self, model: TableModel, schema: pa.Schema, names: NameTemplate) -> None:
        self._columns = [column for column in model.columns if column.is_encoded or column.name in schema.names]
        self._model, self._names = model, names
        self.names = [name for column in self._columns for name in column.compact_names(names)]
        self.passthrough = {column.name: schema.field(column.name) for column in self._columns if not column.is_encoded}

    def blocks(self, run: Run) -> Iterator[Any]:
        """Blocks to read."""
        stay = run.on_device and all(
            column.is_encoded and column.works_on_device(column.decoded_type) for column in self._columns
        )
        return run.blocks(self.names, resident=int(stay))

    def __call__(self, block: Block) -> Encoded:
        """Encoded rows of a block.

        Raises
        ------
        InputError
            For a mode that is missing or none of the column's one-hot columns, naming column and row.
        """
        columns = {column.name: self._read(column, block) for column in self._columns}
        return Encoded(block.first_row, block.rows, _all_parts(self._model, columns, block))

    def _read(self, column: FittedColumn, block: Block) -> Coded:
        if not column.is_encoded:
            return Coded(passthrough=block.column(column.name))
        scalar = real_scalars(_array_of_column(block, self._names.scalar(column.name))) if column.has_scalar else None
        if not column.has_codes:
            return Coded(scalar)
        if column.width:
            code = column.codes_of(_array_of_column(block, self._names.mode(column.name)), block.first_row)
            return Coded(code=code) if scalar is None else Coded(*together(scalar, code))
        xp = np if scalar is None else namespace_of(scalar)
        return Coded(scalar, xp.zeros(block.rows, dtype=column.code_dtype))


def _all_parts(model: TableModel, columns: dict[str, Coded], block: Block | MatrixBlock) -> dict[str, Coded]:
    """Parts of all columns in order; identifiers that the rows lack get substitutes, if they have any."""
    parts = {
        column.name: columns.get(column.name) or column.absent(block.first_row, block.rows) for column in model.columns
    }
    return {name: part for name, part in parts.items() if part is not None}


def _array_of_column(block: Block, name: str) -> Array:
    """A column of a block as an array on its own device; missing values are NaN."""
    column = block.column(name)
    if not isinstance(column, DeviceColumn) or not column.is_array:
        return float_values(plain_values_of(block.host_column(name)))
    if column.missing is None:
        return column.values
    values = column.values if column.values.dtype.kind == "f" else column.values.astype(np.float64)
    return float_values(DeviceColumn(values, pa.float64(), column.missing))


@dataclass(frozen=True, slots=True)
class MatrixBlock:
    """Consecutive rows of a onehot matrix in memory."""

    first_row: int
    matrix: NDArray[Any]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.matrix)

    def halves(self) -> list[MatrixBlock]:
        """The block as two."""
        half = self.rows // 2
        return [MatrixBlock(self.first_row, self.matrix[:half]), MatrixBlock(self.first_row + half, self.matrix[half:])]


class OnehotReader:
    """Reads encoded rows from a onehot matrix: the largest one-hot column wins.

    Ties go to modal values, then to the lowest component or category.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    model : TableModel
        The fitted table.
    names : sequence of str
        Names of the matrix's columns.
    passthrough : mapping of str to pyarrow.Field
        Passthrough columns beside it.
    matrix : ndarray, optional
        The matrix, where it is in memory.
    """

    def __init__(
        self,
        engine: Engine,
        model: TableModel,
        names: Sequence[str],
        passthrough: Mapping[str, pa.Field[Any]],
        matrix: NDArray[Any] | None = None,
    ) -> None:
        self._engine, self._model, self._matrix, self._onehot = engine, model, matrix, list(names)
        self.passthrough = passthrough
        self.names = [*names, *passthrough]

    def blocks(self, run: Run) -> Iterator[Any]:
        """Blocks to read."""
        return run.blocks(self.names, slices=None if self._matrix is None else partial(_slices, self._matrix))

    def __call__(self, block: Block | MatrixBlock) -> Encoded:
        """Encoded rows of a block."""
        matrix: Array = real_scalars(block.matrix if isinstance(block, MatrixBlock) else _stack(block, self._onehot))
        xp = namespace_of(matrix)
        blank = xp.isnan(matrix)
        if blank.any():
            self._refuse_blank(to_numpy(xp.argwhere(blank)), block.first_row)
        columns = {column.name: _empty(column, matrix) for column in self._model.encoded}
        parts = [
            (columns[column.name].scalar, columns[column.name].code, column.mode_codes(), not column.all_known)
            for column in self._model.encoded
        ]
        self._engine.read_onehot(matrix, parts)
        if isinstance(block, Block):
            columns |= {name: Coded(passthrough=block.column(name)) for name in self.passthrough}
        return Encoded(block.first_row, block.rows, _all_parts(self._model, columns, block))

    def _refuse_blank(self, positions: NDArray[np.int64], first_row: int) -> None:
        """Refuse NaN, except in scalars of columns with a mode for missing values."""
        scalars_with_missing = [
            start
            for name, spans in self._model.spans().items()
            for start, _, activation in spans
            if activation == "tanh" and MISSING in getattr(self._model[name], "modal_values", ())
        ]
        invalid = positions[~np.isin(positions[:, 1], scalars_with_missing)]
        if len(invalid):
            row, at = invalid[0].tolist()
            raise InputError(
                f'the matrix holds NaN in row {first_row + row}, column {at} ("{self._model.onehot_names()[at]}"; '
                f"{len(invalid)} such values); check what made it"
            )


def onehot_parts(engine: Engine, model: TableModel, matrix: NDArray[Any]) -> Mapping[str, Coded]:
    """Encoded parts of the columns of a onehot matrix in memory."""
    return OnehotReader(engine, model, model.onehot_names(), {})(MatrixBlock(0, matrix)).columns


def _slices(matrix: NDArray[Any], rows: int) -> Iterator[MatrixBlock]:
    """A matrix in blocks; it is the device's, or a view that copies slices."""
    return (MatrixBlock(start, matrix[start : start + rows]) for start in range(0, len(matrix), rows))


def _empty(column: FittedColumn, matrix: Floats) -> Coded:
    """Empty scalars and codes of a column, for the rows of a matrix."""
    xp = namespace_of(matrix)
    scalar = xp.empty(len(matrix), dtype=matrix.dtype) if column.has_scalar else None
    return Coded(scalar, xp.empty(len(matrix), dtype=column.code_dtype) if column.has_codes else None)


def _stack(block: Block, names: Sequence[str]) -> NDArray[Any]:
    """Columns of a block as a matrix."""
    columns = [_array_of_column(block, name) for name in names]
    if not columns:
        return np.empty((block.rows, 0))
    stacked: NDArray[Any] = namespace_of(columns[0]).stack(columns, axis=1)
    return stacked


def real_scalars(scalar: Array) -> Floats:
    """Scalars as a contiguous array of float32 or float64, on their own device."""
    is_float = scalar.dtype in (np.float32, np.float64)
    contiguous: Floats = namespace_of(scalar).ascontiguousarray(scalar if is_float else scalar.astype(np.float64))
    return contiguous


def holds_matrices(table: Source) -> bool:
    """Return whether encoded rows are a matrix, or a stream of matrices, whose columns have no names."""
    return "matrix" in (table.flavour, getattr(table, "part_flavour", None))


def _check_numbers(source: str, schema: pa.Schema, names: Sequence[str]) -> None:
    """Refuse scalars and codes that are no numbers."""
    present = set(schema.names)
    for name in names:
        type_ = schema.field(name).type if name in present else pa.null()
        value_type = type_.value_type if pa.types.is_dictionary(type_) else type_
        if not (is_plain_number_type(value_type) or pa.types.is_boolean(value_type) or pa.types.is_null(value_type)):
            raise InputError(f'{source}: column "{name}" holds {type_} values, but transform gives numbers')


# -- in this process, or built anew on workers


@dataclass(frozen=True, slots=True)
class EncodedTable(Source):
    """Name, kind and schema of encoded rows, which is all that a reader needs; see `Source`."""

    name: str
    flavour: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoding of encoded blocks.

    Parameters
    ----------
    engine : str
        Name of the engine.
    model : TableModel
        The fitted table.
    table : EncodedTable
        The encoded rows.
    names : NameTemplate
        Template of their columns' names.
    check : bool
        Whether to check that rows lie within the training range.
    drop : bool
        Whether to leave out rows outside it.
    """

    engine: str
    model: TableModel
    table: EncodedTable
    names: NameTemplate
    check: bool
    drop: bool
    stage: ClassVar[str] = "inverse"

    @property
    def columns(self) -> list[str]:
        """Columns to read. Errors as for `reader`."""
        return self.reader().names

    @property
    def schema(self) -> pa.Schema:
        """Columns of decoded rows. Errors as for `reader`."""
        return self.model.decoded_schema(self.reader().passthrough)

    def need(self, table: Source, *, to_file: bool = False, group_rows: int | None = None) -> Need:
        """Memory that decoding the table takes, to memory or to files."""
        return Need.transform(table.schema, self.schema, to_file=to_file, group_rows=group_rows)

    def asked(self, table: Source) -> dict[str, Any]:
        """Record for a manifest of all that determines the decoded rows."""
        return {
            "command": self.stage,
            "model": self.model.digest(),
            "inputs": table.fingerprint(),
            "drop": self.drop,
        }

    def reader(self, table: Source | None = None) -> CompactReader | OnehotReader:
        """A reader of encoded rows from blocks; for a table in memory also from slices of its matrix.

        Raises
        ------
        InputError
            For a matrix of another width.
        """
        engine, model = get_engine(self.engine), self.model
        table = (table or self.table).as_read(on_device=engine.runs_on_device)
        schema, is_matrix = table.schema, holds_matrices(table)
        present, compact = set(schema.names), CompactReader(model, schema, self.names)
        if not is_matrix and (set(compact.names) <= present or not set(model.onehot_names(self.names)) <= present):
            _check_numbers(table.name, schema, [name for name in compact.names if name not in compact.passthrough])
            return compact
        names = schema.names if is_matrix else model.onehot_names(self.names)
        _check_numbers(table.name, schema, names)
        if len(names) != model.onehot_width:
            width = counted(len(names), "column")
            raise InputError(f"{table.name}: {width}, but the model's onehot layout has {model.onehot_width}")
        passthrough = {} if is_matrix else compact.passthrough
        return OnehotReader(engine, model, names, passthrough, getattr(table, "matrix", None))

    def rows(self, reader: CompactReader | OnehotReader | None = None) -> Callable[[Any], Decoded]:
        """A function from blocks to decoded rows; `reader` is built here if none is given."""
        read_block, engine = reader or self.reader(), get_engine(self.engine)
        check = self.check or self.drop
        decoders = {column.name: column.decoder(engine, check=check) for column in self.model.columns}

        def decode(block: Any) -> Decoded:
            try:
                encoded = read_block(block)
                values = {name: decoders[name](part, encoded.first_row) for name, part in encoded.columns.items()}
            except InputError as problem:
                raise InputError(f"{self.table.name}: {problem}") from problem
            arrays = {name: column.array for name, column in values.items()}
            masks = [column.valid for column in values.values() if column.valid is not None]
            valid = reduce(and_, together(*masks)) if masks else None
            rows = replace(Decoded.of(encoded.first_row, arrays, encoded.rows), valid=valid)
            return rows.valid_rows() if self.drop else rows

        return decode

    def batches(self) -> Callable[[Any], tuple[pa.RecordBatch, UnseenRows]]:
        """A function from blocks to Arrow batches of decoded rows; its second result, of unseen values, is empty."""
        decode = self.rows()
        return lambda block: (decode(block).batch, {})
