"""Tables in memory as sources: pandas, polars, Arrow, dicts and matrices of arrays, iterators, and samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError, counted
from gpuvgm.io.arrow import LARGEST_WHOLE, exactly_cast, joined_arrays
from gpuvgm.io.block import Block, reblock, rows_only
from gpuvgm.io.source import Runs, Source, check_names, check_request, check_runs, check_same
from gpuvgm.shortage import ARROW_PROBLEMS, reason


@dataclass(frozen=True, slots=True)
class TableSource(Source):
    """A pyarrow table in memory; blocks are slices of it.

    Parameters
    ----------
    name, flavour : str
        See `Source`.
    table : pyarrow.Table
        The rows.
    """

    name: str
    flavour: str
    table: pa.Table
    repeatable: bool = True

    def __post_init__(self) -> None:
        check_names(self.name, self.table.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """Columns and Arrow types as given."""
        return self.table.schema

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks; slices where a block lies within one chunk."""
        check_request(self.name, self.schema, columns, block_rows)
        return reblock(self.table.select(list(columns)).to_batches(), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; slices, no copy."""
        check_request(self.name, self.schema, columns)
        check_runs(self.name, self.rows, runs)
        table = self.table.select(list(columns))
        return pa.concat_tables([table.slice(0, 0), *(table.slice(start, length) for start, length in runs)])

    def fingerprint(self) -> dict[str, Any]:
        """Kind and shape."""
        return {"kind": self.name, "rows": self.rows, "columns": len(self.schema.names)}


def polars_source(frame: Any, name: str = "polars.DataFrame") -> TableSource | ArraySource:
    """A source over a polars DataFrame, through the Arrow C stream; what Arrow has no type for is refused when read."""
    if "Object" not in map(str, frame.dtypes):
        with suppress(*ARROW_PROBLEMS):
            return TableSource(name, "polars", pa.table(frame))
    columns = {one.name: stream_column(name, one.name, one) for one in frame.get_columns()}
    return ArraySource(name, "polars", columns, len(frame))


infer_type: Any = pa.infer_type  # its stub asks for a mask


@dataclass(frozen=True, slots=True)
class Column:
    """One column in memory.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow type of every slice.
    slice : callable
        (start, stop) -> pyarrow.Array of those rows; zero-copy where the memory allows it.
    """

    type: pa.DataType
    slice: Callable[[int, int], pa.Array[Any]]


@dataclass(frozen=True, slots=True)
class ArraySource(Source):
    """Named columns in memory, converted to Arrow only where they are asked for.

    Parameters
    ----------
    name, flavour : str
        See `Source`.
    columns : mapping of str to Column
        In the order given.
    rows : int
        Rows of every column.
    index, dtypes : object
        For pandas: the frame's index and the dtype of each column, which `restore` gives back.
    matrix : ndarray of shape (rows, columns), optional
        The columns as one array, where that is what was given.
    """

    name: str
    flavour: str
    columns: Mapping[str, Column]
    rows: int
    index: Any = None
    dtypes: Mapping[str, Any] | None = None
    matrix: np.ndarray[Any, Any] | None = None
    repeatable: bool = True

    @property
    def schema(self) -> pa.Schema:
        """Columns and their Arrow types."""
        return pa.schema([(name, column.type) for name, column in self.columns.items()])

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks."""
        check_request(self.name, self.schema, columns, block_rows)
        starts = range(0, self.rows, block_rows)
        return (Block(start, self._batch(columns, start, min(start + block_rows, self.rows))) for start in starts)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other."""
        check_request(self.name, self.schema, columns)
        check_runs(self.name, self.rows, runs)
        batches = [self._batch(columns, start, start + length) for start, length in [*runs, (0, 0)]]
        return pa.Table.from_batches(batches)

    def fingerprint(self) -> dict[str, Any]:
        """Kind and shape."""
        return {"kind": self.name, "rows": self.rows, "columns": len(self.columns)}

    def _batch(self, columns: Sequence[str], start: int, stop: int) -> pa.RecordBatch:
        if not columns:
            return rows_only(stop - start)
        arrays = [self._slice(name, start, stop) for name in columns]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([(n, self.columns[n].type) for n in columns]))

    def _slice(self, name: str, start: int, stop: int) -> pa.Array[Any]:
        column = self.columns[name]
        try:
            return column.slice(start, stop)
        except InputError:
            raise
        except (*ARROW_PROBLEMS, TypeError, ValueError, OverflowError) as problem:
            row = first_failure(column, start, stop)
            raise InputError(
                f'{self.name}: column "{name}", row {row} does not fit the type {column.type} of the rows before '
                f"({reason(problem)}); convert the column to one type: for categories column.astype(str), for numbers "
                "pandas.to_numeric(column, errors='coerce'), which makes all else missing"
            ) from problem


def first_failure(column: Column, start: int, stop: int) -> int:
    """First row in [start, stop) that cannot be converted, found by halving."""
    while stop - start > 1:
        middle = (start + stop) // 2
        try:
            column.slice(start, middle)
        except (*ARROW_PROBLEMS, TypeError, ValueError, OverflowError):
            stop = middle
        else:
            start = middle
    return start


def array_column(source: str, name: str, values: Any) -> Column:
    """A column over a NumPy or Arrow array, a pandas or polars Series, or anything that becomes an array.

    Raises
    ------
    InputError
        For more than one dimension or a dtype that has no Arrow type.
    """
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return Column(values.type, lambda start, stop: flat(values.slice(start, stop - start)))
    if hasattr(values, "iloc"):
        return series_column(source, name, values)
    if hasattr(values, "__arrow_c_stream__"):
        return stream_column(source, name, values)
    if hasattr(values, "__arrow_array__"):
        return extension_column(source, name, values)
    array = _as_array(values)
    if array.ndim != 1:
        raise InputError(f'{source}: column "{name}" has {array.ndim} dimensions, a column has one')
    if array.dtype.hasobject:
        return object_column(array)
    native = array.dtype.newbyteorder("=")
    try:
        arrow_type = pa.from_numpy_dtype(native)
    except ARROW_PROBLEMS:
        return refused_column(source, name, array.dtype)
    if native.kind in "mM" and np.datetime_data(native)[1] != 1:  # such as datetime64[10s], of which Arrow sees [s]
        return refused_column(source, name, array.dtype)

    def convert(start: int, stop: int) -> pa.Array[Any]:
        return flat(pa.array(array[start:stop].astype(native, copy=False), type=arrow_type))

    return Column(arrow_type, convert)


def stream_column(source: str, name: str, values: Any) -> Column:
    """A column over what gives a stream of Arrow's, such as a polars Series; of objects polars gives the addresses."""
    dtype = str(getattr(values, "dtype", type(values).__name__))
    if dtype != "Object":
        with suppress(*ARROW_PROBLEMS):  # of Int128, which Arrow does not have
            return array_column(source, name, pa.chunked_array(values))
    return refused_column(source, name, dtype)


def _as_array(values: Any) -> np.ndarray[Any, Any]:
    """The values as an array; integers of a list that floats would change stay Python's."""
    array: np.ndarray[Any, Any] = np.asanyarray(values)
    if array.dtype.kind != "f" or hasattr(values, "dtype"):
        return array
    changed = any(isinstance(value, int) and abs(value) > LARGEST_WHOLE for value in values)
    return np.array(values, dtype=object) if changed else array


def object_column(array: np.ndarray[Any, Any]) -> Column:
    """A column over Python objects: one Arrow type for all rows, None and NaN are missing."""
    try:
        arrow_type = infer_type(array, from_pandas=True)
    except (*ARROW_PROBLEMS, TypeError):
        known = next((value for value in array if value is not None and value == value), None)
        arrow_type = infer_type([known]) if isinstance(known, (bool, int, float, str, bytes)) else pa.string()
    return Column(arrow_type, lambda start, stop: flat(pa.array(array[start:stop], type=arrow_type, from_pandas=True)))


def refused_column(source: str, name: str, dtype: object) -> Column:
    """A column that may be there but cannot be read; reading it says so."""

    def refuse(_start: int, _stop: int) -> pa.Array[Any]:
        raise InputError(
            f'{source}: column "{name}" has dtype {dtype}, which is not supported; convert or leave it out'
        )

    return Column(pa.null(), refuse)


def series_column(source: str, name: str, series: Any) -> Column:
    """A column over a pandas Series: NumPy memory as it is, extension types through Arrow."""
    if isinstance(series.dtype, np.dtype):
        return array_column(source, name, series.to_numpy())
    return extension_column(source, name, series.array)


def extension_column(source: str, name: str, values: Any) -> Column:
    """A column over an array of pandas' extension types, through Arrow."""

    def convert(start: int, stop: int) -> pa.Array[Any]:
        return flat(_arrow_array(values[start:stop]))

    try:
        return Column(convert(0, 0).type, convert)
    except (*ARROW_PROBLEMS, TypeError, ValueError):
        return refused_column(source, name, values.dtype)


def _arrow_array(values: Any) -> Any:
    """An array of pandas' extension types as one of Arrow; Arrow 18 leaves out the time zone of categories."""
    if getattr(getattr(values, "categories", None), "tz", None) is None:
        return pa.array(values, from_pandas=True)
    entries, codes = pa.array(values.categories, from_pandas=True), values.codes
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), entries, ordered=values.ordered)


def flat(values: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.Array[Any]:
    """One contiguous array."""
    chunks: list[pa.Array[Any]] = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    whole: pa.Array[Any] = chunks[0] if len(chunks) == 1 else joined_arrays(chunks, values.type)
    return whole


def pandas_source(frame: Any) -> ArraySource:
    """A source over a pandas DataFrame; its index and dtypes are remembered for `restore`."""
    name = "pandas.DataFrame"
    names = [str(label) for label in frame.columns]
    check_names(name, names)
    series = [frame.iloc[:, position] for position in range(len(names))]
    columns = {label: series_column(name, label, one) for label, one in zip(names, series, strict=True)}
    dtypes = {label: one.dtype for label, one in zip(names, series, strict=True)}
    return ArraySource(name, "pandas", columns, len(frame), index=frame.index, dtypes=dtypes)


def dict_source(arrays: Mapping[Any, Any]) -> ArraySource:
    """A source over a dictionary of one-dimensional arrays of equal length.

    Raises
    ------
    InputError
        For an empty dictionary, arrays of different lengths or of more than one dimension.
    """
    name = "dict"
    if not arrays:
        raise InputError("dict: no columns; give at least one name and array")
    check_names(name, [str(key) for key in arrays])
    columns, rows = {}, {}
    for key, values in arrays.items():
        held = values if hasattr(values, "__len__") else np.atleast_1d(values)
        columns[str(key)] = array_column(name, str(key), held)
        rows[str(key)] = len(held)
    (first, length), *others = rows.items()
    for other, count in others:
        if count != length:
            raise InputError(
                f'{name}: column "{other}" has {counted(count, "row")}, column "{first}" has {length:,}; '
                "cut them to one length"
            )
    return ArraySource(name, "dict", columns, length)


def matrix_source(matrix: np.ndarray[Any, Any]) -> ArraySource:
    """A source over a two-dimensional array; columns are named "0", "1" and so on."""
    name = "numpy.ndarray"
    columns = {str(j): array_column(name, str(j), matrix[:, j]) for j in range(matrix.shape[1])}
    whole = np.ma.filled(matrix.astype(np.float64), np.nan) if np.ma.is_masked(matrix) else np.asarray(matrix)
    return ArraySource(name, "matrix", columns, matrix.shape[0], matrix=whole)


class IteratorSource(Source):
    """An iterator of tables, or of anything else `open_source` takes; read once.

    Parameters
    ----------
    parts : iterator
        Tables of the same columns and types; types may differ where the cast to those of the first loses nothing.
    opener : callable
        `open_source`.
    """

    flavour = "stream"
    repeatable = False
    rows: int | None = None
    name: str
    schema: pa.Schema

    def __init__(self, parts: Iterator[Any], opener: Callable[[object], Source]) -> None:
        self.name = type(parts).__name__
        self._opener = opener
        first = next(parts, None)
        if first is None:
            raise InputError(f"{self.name}: the iterator gave nothing; it may have been read before, give a new one")
        opened = self._opened(0, first)
        self.schema, self.part_flavour = opened.schema, opened.flavour
        self._parts: Iterator[Any] | None = chain([opened], parts)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks, across the borders of the parts."""
        check_request(self.name, self.schema, columns, block_rows)
        parts, self._parts = self._parts, None
        if parts is None:
            raise read_once(self.name)
        return reblock(self._batches(parts, columns, block_rows), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Refused: the number of rows is unknown."""
        check_runs(self.name, None, runs)
        raise AssertionError

    def fingerprint(self) -> dict[str, Any]:
        """Kind and number of columns."""
        return {"kind": self.name, "columns": len(self.schema.names)}

    def _opened(self, number: int, part: Any) -> Source:
        try:
            return self._opener(part)
        except InputError as problem:
            raise InputError(f"{self.name}, part {number}: {problem}") from problem

    def _batches(self, parts: Iterator[Any], columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for number, part in enumerate(parts):
            source = self._opened(number, part)
            check_request(f"{self.name}, part {number}", source.schema, columns)
            for block in source.blocks(columns, batch_rows):
                yield self._fitted(number, block.batch, wanted)

    def _fitted(self, number: int, batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
        if batch.schema.types == wanted.types:
            return batch if batch.schema.equals(wanted) else pa.RecordBatch.from_arrays(batch.columns, schema=wanted)
        try:
            columns = [exactly_cast(*pair) for pair in zip(batch.columns, wanted.types, strict=True)]
            return pa.RecordBatch.from_arrays(columns, schema=wanted)
        except ARROW_PROBLEMS:
            check_same(f"{self.name}, part {number}", "part 0", wanted, batch.schema)
            raise


def read_once(name: str) -> InputError:
    """The refusal of a second reading."""
    return InputError(f"{name}: can be read only once; give a file, a table or a new iterator")


@dataclass(frozen=True, slots=True)
class SampleSource(Source):
    """Rows of a source as a source of their own.

    Parameters
    ----------
    origin : Source
        Where the rows came from.
    table : pyarrow.Table
        The rows of those columns that are used.
    record : dict
        How the sample was taken: "rows", "of" (None: unknown), "seed" and "stratified"; part of the fingerprint.
    runs : sequence of (int, int), optional
        Where the rows lie in the origin, if all columns have the same rows.
    """

    origin: Source
    table: pa.Table
    record: dict[str, Any]
    runs: Runs | None = None
    flavour: str = "sample"
    repeatable: bool = True

    @property
    def name(self) -> str:
        """Name of the origin, and that it is a sample."""
        return f"sample of {self.origin.name}"

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of the origin."""
        return self.origin.schema

    @property
    def rows(self) -> int:
        """Number of sampled rows."""
        return int(self.table.num_rows)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks."""
        return self._held.blocks(columns, block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Sampled rows by their position in the sample."""
        return self._held.sample(columns, runs)

    def fingerprint(self) -> dict[str, Any]:
        """That of the origin, and how the sample was taken."""
        return self.origin.fingerprint() | {"sample": self.record}

    def locate(self, row: int) -> str:
        """Where a row of the sample lies in the origin, as far as that is known."""
        origin = self.row_of(row)
        return Source.locate(self, row) if origin is None else self.origin.locate(origin)

    def row_of(self, row: int) -> int | None:
        """Row of the origin that a row of the sample is; None where every column has rows of its own."""
        for start, length in self.runs or ():
            if row < length:
                return start + row
            row -= length
        return None

    @property
    def _held(self) -> TableSource:
        return TableSource(self.name, self.flavour, self.table)
