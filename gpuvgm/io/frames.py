"""Tables in memory as sources: pandas, polars, Arrow, dicts and matrices of arrays, and iterators."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, on_host, to_numpy
from gpuvgm.errors import InputError
from gpuvgm.io.arrow import LARGEST_WHOLE, is_datetime_type, joined_arrays, with_wide_index
from gpuvgm.io.block import Block, DeviceTable, Runs, rows_only
from gpuvgm.io.source import Source, check_lengths, check_unique, is_loaded
from gpuvgm.io.units import exact_moments, first_failure, type_of_moments
from gpuvgm.shortage import ARROW_PROBLEMS, reason

IN_ONE_TYPE = (
    "for categories column.astype(str), for numbers pandas.to_numeric(column, errors='coerce'), which makes all else "
    "missing"
)
IN_ONE_UNIT = (
    "for datetimes numpy.array(column, 'datetime64[us]'), which cuts off what is finer, for durations 'timedelta64[us]'"
)


@dataclass(frozen=True, slots=True)
class TableSource(Source):
    """A pyarrow table in memory; blocks are slices of it.

    Parameters
    ----------
    name, flavour : str
        See `Source`.
    table : pyarrow.Table
        The rows.
    dtypes : dict of str to dtype, optional
        Dtypes of the columns whose Arrow type does not say them: polars' Enum, and its Categories that have a name.
    """

    name: str
    flavour: str
    table: pa.Table
    dtypes: Mapping[str, Any] | None = None
    in_memory: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_unique(self.name, self.table.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """Columns and Arrow types as given."""
        return self.table.schema

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks; these are slices where they lie within one chunk."""
        self.check_request(columns, block_rows)
        return Block.cut(self.table.select(list(columns)).to_batches(), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; slices, no copy."""
        self.check_sample(columns, runs)
        table = self.table.select(list(columns))
        # The empty slice has the schema where there are no runs.
        return pa.concat_tables([table.slice(0, 0), *(table.slice(start, length) for start, length in runs)])


def arrow_source(rows: pa.Table | pa.RecordBatch) -> TableSource:
    """A source over a table or a batch of Arrow."""
    if isinstance(rows, pa.RecordBatch):
        return TableSource("pyarrow.RecordBatch", "pyarrow", pa.Table.from_batches([rows]))
    return TableSource("pyarrow.Table", "pyarrow", rows)


def polars_source(frame: Any, name: str = "polars.DataFrame") -> TableSource | ArraySource:
    """A source over a polars DataFrame, through Arrow's C streams; types that Arrow lacks are refused when read.

    A table of Arrow's reads many chunks faster, a column by itself says which one Arrow has no type for.
    """
    if "Object" not in map(str, frame.dtypes):
        dtypes = {label: dtype for label, dtype in frame.schema.items() if has_own_categories(dtype)}
        with suppress(*ARROW_PROBLEMS):
            return TableSource(name, "polars", pa.table(frame), dtypes)
    columns = {series.name: stream_column(name, series.name, series) for series in frame.get_columns()}
    return ArraySource(name, "polars", columns, len(frame))


def has_own_categories(dtype: Any) -> bool:
    """Return whether a dtype is of polars and has categories of its own: an Enum, or Categories that have a name."""
    polars = sys.modules["polars"]
    is_categorical = isinstance(dtype, polars.Categorical)
    return isinstance(dtype, polars.Enum) or (is_categorical and not dtype.categories.is_global())


infer_type: Any = pa.infer_type  # its stub asks for a mask


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column in memory, of the host or of a device.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow type of every slice.
    slice : callable
        (start, stop) -> those rows, an Arrow array or a `DeviceColumn`; zero-copy where the memory allows it.
    take : callable, optional
        For columns of a device: rows by their numbers, put together there.
    """

    type: pa.DataType
    slice: Callable[[int, int], Column]
    take: Callable[[NDArray[np.int64]], Column] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource(Source):
    """Named columns in memory, of the host or of a device; converted to Arrow only where they are asked for.

    Parameters
    ----------
    name, flavour : str
        See `Source`.
    columns : mapping of str to SourceColumn
        In the order given.
    rows : int
        Rows of every column.
    index, dtypes : object
        For pandas and cuDF: the frame's index, and for pandas the dtype of each column, which `restore` gives back.
    labels : mapping, optional
        By name: labels that are no text, such as 0 and 1, which `restore` gives back too.
    matrix : array of shape (rows, columns), optional
        The columns as one array, where that is what was given.
    arrays : module
        Namespace of the arrays: NumPy, or CuPy where some of the columns lie on a device.
    hosted : bool
        Whether blocks of a device are copied to the host, for engines that run there.
    """

    name: str
    flavour: str
    columns: Mapping[str, SourceColumn]
    rows: int
    index: Any = None
    dtypes: Mapping[str, Any] | None = None
    labels: Mapping[str, Any] | None = None
    matrix: Array | None = None
    arrays: Any = np
    hosted: bool = False
    in_memory: ClassVar[bool] = True

    @property
    def schema(self) -> pa.Schema:
        """Columns and their Arrow types."""
        return self._schema_of(self.columns)

    @property
    def lies_on_device(self) -> bool:
        """True if blocks lie on a device, and are not copied to the host."""
        return self.arrays is not np and not self.hosted

    def as_read(self, *, on_device: bool) -> ArraySource:
        """The source; for engines of the host, rows on a device are copied there block by block."""
        if on_device or not self.lies_on_device:
            return self
        return replace(self, hosted=True, matrix=None if self.matrix is None else _HostSlices(self.matrix))

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks of Arrow batches, or of `DeviceTable` where they lie on a device."""
        self.check_request(columns, block_rows)
        if self.hosted:  # the host reads from another thread: it waits for what the caller's stream still writes
            self.arrays.cuda.get_current_stream().synchronize()
        table = self._device_table if self.lies_on_device else self._batch
        starts = range(0, self.rows, block_rows)
        return (Block(start, table(columns, start, min(start + block_rows, self.rows))) for start in starts)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other, in the memory of the host."""
        self.check_sample(columns, runs)
        if self.arrays is np:
            # The empty run gives the schema where there are no others.
            return pa.Table.from_batches([self._batch(columns, start, start + rows) for start, rows in [*runs, (0, 0)]])
        starts, lengths = np.array(runs, np.int64).reshape(-1, 2).T
        rows = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        arrays = [self._sample_column(name, runs, rows) for name in columns]
        return pa.Table.from_arrays(arrays, schema=self._schema_of(columns))

    def _sample_column(self, name: str, runs: Runs, rows: NDArray[np.int64]) -> pa.Array[Any]:
        """Rows of runs; on a device they are collected there, and the host waits once."""
        column = self.columns[name]
        if column.take is not None:
            return on_host(column.take(rows))
        parts: Any = [on_host(self._slice(name, start, start + length)) for start, length in runs]
        array: pa.Array[Any] = joined_arrays(parts, column.type)
        return array

    def _device_table(self, columns: Sequence[str], start: int, stop: int) -> DeviceTable:
        return DeviceTable({name: self._slice(name, start, stop) for name in columns}, stop - start)

    def _batch(self, columns: Sequence[str], start: int, stop: int) -> pa.RecordBatch:
        if not columns:
            return rows_only(stop - start)
        arrays = [on_host(self._slice(name, start, stop)) for name in columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema_of(columns))

    def _schema_of(self, columns: Iterable[str]) -> pa.Schema:
        return pa.schema([(name, self.columns[name].type) for name in columns])

    def _slice(self, name: str, start: int, stop: int) -> Column:
        column = self.columns[name]
        try:
            return column.slice(start, stop)
        except InputError:
            raise
        except (*ARROW_PROBLEMS, TypeError, ValueError, OverflowError) as problem:
            row = first_failure(column.slice, start, stop)
            where = f'{self.name}: column "{name}", row {row}'
            if isinstance(problem, UnicodeError):
                raise InputError(
                    f"{where} holds text with half of a character, which UTF-8 cannot hold ({reason(problem)}); "
                    "replace such halves: column.str.encode('utf-8', 'replace').str.decode('utf-8')"
                ) from problem
            rows_before = " of the rows before" if row else ""
            remedy = IN_ONE_UNIT if is_datetime_type(column.type) else IN_ONE_TYPE
            raise InputError(
                f"{where} does not fit the type {column.type}{rows_before} ({reason(problem)}); convert the column to "
                f"one type: {remedy}"
            ) from problem


class _HostSlices:
    """A matrix on a device whose slices are copied to the host."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix

    def __len__(self) -> int:
        return int(self._matrix.shape[0])

    def __getitem__(self, rows: slice) -> Any:
        return to_numpy(self._matrix[rows])


def array_column(source: str, name: str, values: Any) -> SourceColumn:
    """A column over a NumPy or Arrow array, a pandas or polars Series, or anything that becomes an array.

    Raises
    ------
    InputError
        For more than one dimension or a dtype that has no Arrow type.
    """
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return SourceColumn(values.type, lambda start, stop: flat(values.slice(start, stop - start)))
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
    if array.dtype.kind in "mM":
        missing: Any = np.array("NaT", array.dtype)[()]
        array = np.ma.filled(array, missing)  # where rows are masked
        return moment_column(array) or refused_column(source, name, array.dtype)
    native = array.dtype.newbyteorder("=")  # Arrow refuses other byte orders
    try:
        arrow_type = pa.from_numpy_dtype(native)
    except ARROW_PROBLEMS:
        return refused_column(source, name, array.dtype)

    def convert(start: int, stop: int) -> pa.Array[Any]:
        return flat(pa.array(array[start:stop].astype(native, copy=False), type=arrow_type))

    return SourceColumn(arrow_type, convert)


def stream_column(source: str, name: str, values: Any) -> SourceColumn:
    """A column over an Arrow stream, such as a polars Series; polars' objects are refused, as it gives addresses."""
    dtype = str(getattr(values, "dtype", type(values).__name__))
    if dtype != "Object":
        with suppress(*ARROW_PROBLEMS):  # of Int128, which Arrow does not have
            return array_column(source, name, pa.chunked_array(values))
    return refused_column(source, name, dtype)


def _as_array(values: Any) -> np.ndarray[Any, Any]:
    """The values as an array; Python integers that floats would round, and moments of several units, stay objects."""
    if hasattr(values, "dtype"):
        return np.asanyarray(values)
    try:
        array: np.ndarray[Any, Any] = np.asanyarray(values)
    except (TypeError, OverflowError):  # NumPy has no unit for all of them
        return np.array(values, dtype=object)
    if array.dtype.kind in "mM" and len({getattr(value, "dtype", None) for value in values}) == 1:
        return array
    is_rounded = array.dtype.kind == "f" and any(
        isinstance(value, int) and abs(value) > LARGEST_WHOLE for value in values
    )
    return np.array([*values, None], dtype=object)[:-1] if is_rounded or array.dtype.kind in "mM" else array


def moment_column(array: np.ndarray[Any, Any], inferred: pa.DataType | None = None) -> SourceColumn | None:
    """A column over datetimes or durations, brought to one unit without loss; None where they are no such objects."""
    arrow_type = type_of_moments(array, inferred)
    if arrow_type is None:
        return None
    return SourceColumn(arrow_type, lambda start, stop: exact_moments(array[start:stop], arrow_type))


def object_column(array: np.ndarray[Any, Any]) -> SourceColumn:
    """A column over Python objects: one Arrow type for all rows, None and NaN are missing."""
    try:
        arrow_type = infer_type(array, from_pandas=True)
    except (*ARROW_PROBLEMS, TypeError):
        # Arrow finds no type for mixed values; reading names the first row that differs in type.
        first = next((value for value in array if value is not None and value == value), None)
        arrow_type = infer_type([first]) if isinstance(first, (bool, int, float, str, bytes)) else pa.string()

    def convert(start: int, stop: int) -> pa.Array[Any]:
        return flat(pa.array(array[start:stop], type=arrow_type, from_pandas=True))

    return moment_column(array, arrow_type) or SourceColumn(arrow_type, convert)


def refused_column(source: str, name: str, dtype: object) -> SourceColumn:
    """A column that cannot be read; reading it raises the error, so it may be left out."""

    def refuse(_start: int, _stop: int) -> pa.Array[Any]:
        raise InputError(
            f'{source}: column "{name}" has dtype {dtype}, which is not supported; convert or leave it out'
        )

    return SourceColumn(pa.null(), refuse)


def series_column(source: str, name: str, series: Any) -> SourceColumn:
    """A column over a pandas Series: NumPy memory as it is, extension types through Arrow."""
    if isinstance(series.dtype, np.dtype):
        return array_column(source, name, series.to_numpy())
    return extension_column(source, name, series.array)


def extension_column(source: str, name: str, values: Any) -> SourceColumn:
    """A column over an array of pandas' extension types, through Arrow."""
    try:
        categories = getattr(values, "categories", None)
        to_arrow: Callable[[Any], Any] = _arrow_array
        if categories is not None:
            to_arrow = partial(_encode, _entries_of(values))
            if are_labelled_numbers(categories):
                to_arrow = _texts_of(to_arrow)

        def convert(start: int, stop: int) -> pa.Array[Any]:
            return flat(to_arrow(values[start:stop]))

        return SourceColumn(convert(0, 0).type, convert)
    except (*ARROW_PROBLEMS, TypeError, ValueError):
        return refused_column(source, name, values.dtype)


def _arrow_array(values: Any) -> Any:
    """An array of pandas' extension types as one of Arrow; categories have indices that hold any number of them.

    pandas' own, and Arrow's dictionaries, may be as short as the categories of one frame allow, so that frames of one
    table differ. What no other library has is what it may be taken for: a period the moment at which it begins, an
    interval its text; `gpuvgm.io.restoring` makes periods and intervals again.
    """
    dtype = getattr(values, "dtype", None)
    if is_loaded("pandas", "PeriodDtype", dtype):
        values = values.to_timestamp()
    elif is_loaded("pandas", "IntervalDtype", dtype):
        values = sys.modules["pandas"].Categorical(values)
        return _encode(_entries_of(values), values)
    array = pa.array(values, from_pandas=True)
    return array.cast(with_wide_index(array.type)) if pa.types.is_dictionary(array.type) else array


def _entries_of(values: Any) -> pa.Array[Any]:
    """The categories of pandas' categorical values, shared by all slices of a column."""
    categories = arrow_categories(values.categories)  # text without any has no type in pandas 2
    return pa.array(categories, None if categories is values.categories else pa.string(), from_pandas=True)


def _encode(entries: pa.Array[Any], values: Any) -> pa.Array[Any]:
    """Pandas' categorical values as a dictionary array over these entries."""
    indices = pa.array(values.codes.astype(np.int32), mask=values.codes < 0)
    array: pa.Array[Any] = pa.DictionaryArray.from_arrays(indices, entries, ordered=values.ordered)
    return array


def _texts_of(encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Encoding of values as their texts, each for itself: numbers beside labels are no categories of a few values."""
    return lambda values: encode(values).cast(pa.string())


def are_labelled_numbers(categories: Any) -> bool:
    """Return whether categories are numbers and texts, as pandas reads them where a file of SPSS labels some codes."""
    if categories.dtype != object:
        return False
    is_text = [isinstance(category, str) for category in categories]
    are_numbers = all(
        text or type(category) in (int, float) for text, category in zip(is_text, categories, strict=True)
    )
    return are_numbers and any(is_text) and not all(is_text)


def arrow_categories(categories: Any) -> Any:
    """An index of categories; intervals, periods, and numbers beside texts become text, as Arrow has none of these."""
    foreign = any(is_loaded("pandas", name, categories.dtype) for name in ("IntervalDtype", "PeriodDtype"))
    return categories.astype(str) if foreign or are_labelled_numbers(categories) else categories


def flat(values: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.Array[Any]:
    """One contiguous array of an array or a chunked array."""
    chunks: list[pa.Array[Any]] = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    array: pa.Array[Any] = chunks[0] if len(chunks) == 1 else joined_arrays(chunks, values.type)
    return array


def pandas_source(frame: Any) -> ArraySource:
    """A source over a pandas DataFrame, which keeps its index and dtypes for `restore`."""
    name = "pandas.DataFrame"
    series = named_series(name, frame)
    columns = {label: series_column(name, label, column) for label, column in series.items()}
    dtypes = {label: column.dtype for label, column in series.items()}
    labels = labels_of(frame.columns)
    return ArraySource(name, "pandas", columns, len(frame), index=frame.index, dtypes=dtypes, labels=labels)


def labels_of(labels: Iterable[Any]) -> dict[str, Any]:
    """Labels that are no text, by their names as text."""
    return {str(label): label for label in labels if not isinstance(label, str)}


def named_series(source: str, frame: Any) -> dict[str, Any]:
    """Series of a pandas or cuDF DataFrame by their names as text."""
    names = [str(label) for label in frame.columns]
    check_unique(source, names)
    return {name: frame.iloc[:, position] for position, name in enumerate(names)}


def dict_source(
    arrays: Mapping[Any, Any],
    open_column: Callable[[str, str, Any], SourceColumn] = array_column,
    namespace: Any = np,
) -> ArraySource:
    """A source over a dictionary of one-dimensional arrays of equal length.

    Parameters
    ----------
    arrays : mapping
        The arrays by their names.
    open_column : callable
        From the source, the name and an array to a column; by default for arrays of the host.
    namespace : module
        NumPy, or CuPy where some of the arrays lie on a device.

    Raises
    ------
    InputError
        For an empty dictionary, arrays of different lengths or of more than one dimension.
    """
    name = "dict"
    if not arrays:
        raise InputError("dict: no columns; give at least one name and array")
    check_unique(name, [str(key) for key in arrays])
    columns, rows = {}, {}
    for key, values in arrays.items():
        array = values if hasattr(values, "__len__") else np.atleast_1d(values)
        columns[str(key)] = open_column(name, str(key), array)
        rows[str(key)] = len(array)
    return ArraySource(name, "dict", columns, check_lengths(name, rows), labels=labels_of(arrays), arrays=namespace)


def matrix_source(matrix: np.ndarray[Any, Any]) -> ArraySource:
    """A source over a two-dimensional array; columns are named "0", "1" and so on."""
    name = "numpy.ndarray"
    columns = {str(j): array_column(name, str(j), matrix[:, j]) for j in range(matrix.shape[1])}
    numbers = np.ma.filled(matrix.astype(np.float64), np.nan) if np.ma.is_masked(matrix) else np.asarray(matrix)
    return ArraySource(name, "matrix", columns, matrix.shape[0], matrix=numbers)
