"""Tables on a device: arrays of CuPy, frames of cuDF, Parquet read there, and results that lie there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module, util
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import SHORT, Array, Column, DeviceColumn, is_array, namespace_of, on_host, to_numpy, widened
from gpuvgm.errors import INSTALL_CUDA, EnvironmentProblem, InputError, counted
from gpuvgm.io.arrow import joined_arrays
from gpuvgm.io.block import Block, DeviceTable, joined, reblock
from gpuvgm.io.files import FileSource, check_unchanged
from gpuvgm.io.frames import array_column, flat, refused_column
from gpuvgm.io.parquet import ParquetPart, open_parquet
from gpuvgm.io.remote import RemoteFile
from gpuvgm.io.source import Runs, Source, check_names, check_request, check_runs
from gpuvgm.io.unexposed import buffers_of, nulls_of, values_of
from gpuvgm.shortage import reason

CUDA = (2, 13)  # DLPack's numbers of CUDA memory and CUDA managed memory
NUMBERS = "fiu"  # kinds of NumPy's dtypes that engines work on


class Held(Protocol):
    """One column on a device."""

    @property
    def type(self) -> pa.DataType:
        """Arrow type of every slice."""

    def slice(self, start: int, stop: int) -> Column:
        """Rows [start, stop): on the device where engines and cuDF have the type, else on the host."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldArray:
    """A one-dimensional array on the device; slices are views of it, or contiguous copies of columns of a matrix."""

    values: Array

    @property
    def type(self) -> pa.DataType:
        """Arrow type of the array's dtype."""
        found: pa.DataType = pa.from_numpy_dtype(self.values.dtype)
        return found

    def slice(self, start: int, stop: int) -> Column:
        """Rows [start, stop)."""
        return DeviceColumn(namespace_of(self.values).ascontiguousarray(self.values[start:stop]), self.type)

    def take(self, rows: NDArray[np.int64]) -> Column:
        """Some rows by their numbers."""
        xp = namespace_of(self.values)
        return DeviceColumn(xp.take(self.values, xp.asarray(rows)), self.type)


@dataclass(frozen=True, slots=True, eq=False)
class HeldSeries:
    """A cuDF Series; its null mask becomes one bool a row, for the rows of a slice alone.

    Parameters
    ----------
    series : cudf.Series
        The rows.
    type : pyarrow.DataType
        Arrow type of every slice.
    words : pyarrow.Array, optional
        For categories of text: the words, on the host.
    """

    series: Any
    type: pa.DataType
    words: pa.Array[Any] | None = None

    @classmethod
    def of(cls, series: Any) -> HeldSeries:
        """A Series, by what Arrow makes of none of its rows."""
        none = series.iloc[:0]
        empty = none.to_arrow()
        if not pa.types.is_dictionary(empty.type):
            return cls(series, empty.type)
        codes = pa.from_numpy_dtype(none.cat.codes.dtype)  # those of no rows are always of 8 bits
        type_: Any = pa.dictionary(codes, empty.type.value_type, empty.type.ordered)
        return cls(series, type_, empty.dictionary if holds_words(type_) else None)

    def slice(self, start: int, stop: int) -> Column:
        """Rows [start, stop)."""
        part = self.series.iloc[start:stop]
        column = self._on_device(part) if is_held(self.type) else None
        if column is not None:
            return column
        rows = flat(part.to_arrow())
        return rows if rows.type == self.type else rows.cast(self.type)

    def take(self, rows: NDArray[np.int64]) -> Column:
        """Some rows by their numbers."""
        return replace(self, series=self.series.iloc[rows]).slice(0, len(rows))

    def _on_device(self, part: Any) -> DeviceColumn | None:
        """Rows where they lie; None for those that only newer versions of cuDF give there."""
        stored = part if self.words is None else part.cat.codes
        column, nulls = buffers_of(stored), part.null_count
        if column is None:
            return None if pa.types.is_decimal(self.type) else self._exposed(part, stored)
        cupy = usable_cupy()  # cuDF works on the null stream, which the caller's need not wait for
        cupy.cuda.get_current_stream().wait_event(cupy.cuda.Stream.null.record())
        dtype, width = _words_of(self.type, stored)
        values = values_of(column, dtype, width, cupy)
        missing = nulls_of(column, cupy) if nulls else None
        return DeviceColumn(values if width == 1 else values[:, 0].copy(), self.type, missing, self.words)

    def _exposed(self, part: Any, stored: Any) -> DeviceColumn:
        """Rows by public names alone, which keeps cuDF from spilling them again."""
        missing = part.isna().values if part.null_count else None
        if pa.types.is_temporal(self.type):
            stored = stored.astype("int64")
        values = (stored if missing is None else stored.fillna(0)).values
        cuda = usable_cupy().cuda
        cuda.get_current_stream().wait_event(cuda.Stream.null.record())
        return DeviceColumn(values, self.type, missing, self.words)


def _words_of(type_: pa.DataType, stored: Any) -> tuple[np.dtype[Any], int]:
    """Dtype of what cuDF stores of a type, and how many such a row has; the first holds all of a short decimal."""
    if pa.types.is_decimal(type_):
        return np.dtype(np.int32 if type_.bit_width == 32 else np.int64), max(1, type_.bit_width // 64)
    if pa.types.is_temporal(type_):
        return np.dtype(np.int64), 1
    return (np.dtype(type_.to_pandas_dtype()) if is_plain(type_) else stored.dtype), 1


def is_held(type_: pa.DataType) -> bool:
    """Whether rows of a type stay on the device."""
    return is_plain(type_) or holds_words(type_) or is_short_decimal(type_)


def is_short_decimal(type_: pa.DataType) -> bool:
    """Whether 64 bits hold every decimal of the type."""
    return pa.types.is_decimal(type_) and type_.precision <= SHORT


def holds_words(type_: pa.DataType) -> bool:
    """Whether cuDF holds the type as places in a dictionary of words."""
    if not pa.types.is_dictionary(type_):
        return False
    coded: Any = type_
    return bool(pa.types.is_string(coded.value_type) or pa.types.is_large_string(coded.value_type))


def is_plain(type_: pa.DataType) -> bool:
    """Whether cuDF holds the type as one array of numbers that engines work on."""
    if pa.types.is_timestamp(type_):
        return type_.tz is None
    numbers = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_)
    return bool(numbers or pa.types.is_duration(type_))


@dataclass(frozen=True, slots=True, eq=False)
class DeviceSource(Source):
    """Named columns on a device.

    Parameters
    ----------
    name, flavour : str
        See `Source`; the flavours are "cudf", "dict" and "matrix".
    columns : mapping of str to Held
        In the order given.
    rows : int
        Rows of every column.
    namespace : module
        Functions of the device's arrays: CuPy.
    index : object, optional
        The frame's index, which `restore` gives back.
    matrix : array of shape (rows, columns), optional
        The columns as one array, where that is what was given.
    hosted : bool
        Whether blocks are copied to the host, for engines that run there.
    """

    name: str
    flavour: str
    columns: Mapping[str, Held]
    rows: int
    namespace: Any
    index: Any = None
    matrix: Array | None = None
    hosted: bool = False
    repeatable: bool = True

    @property
    def schema(self) -> pa.Schema:
        """Columns and their Arrow types."""
        return pa.schema([(name, column.type) for name, column in self.columns.items()])

    @property
    def lies_on_device(self) -> bool:
        """Whether blocks lie on the device, and are not copied to the host."""
        return not self.hosted

    @property
    def arrays(self) -> Any:
        """Functions of the device's arrays."""
        return self.namespace

    def as_read(self, *, on_device: bool) -> DeviceSource:
        """The rows; for engines of the host in blocks that are copied there."""
        return self if on_device else self.on_host()

    def on_host(self) -> DeviceSource:
        """The same rows, in blocks that are copied to the host one by one."""
        matrix = None if self.matrix is None else _HostSlices(self.matrix)
        return replace(self, hosted=True, matrix=matrix)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks of `DeviceTable`, or of Arrow batches where these are to be hosted."""
        check_request(self.name, self.schema, columns, block_rows)
        if self.hosted:
            self._finish()
        return (self._block(columns, start, block_rows) for start in range(0, self.rows, block_rows))

    def _block(self, columns: Sequence[str], start: int, rows: int) -> Block:
        table = self._table(columns, start, min(start + rows, self.rows))
        return Block(start, table.to_arrow() if self.hosted else table)

    def _table(self, columns: Sequence[str], start: int, stop: int) -> DeviceTable:
        return DeviceTable({name: self.columns[name].slice(start, stop) for name in columns}, stop - start)

    def _finish(self) -> None:
        """Wait for what the caller's stream still writes: the host reads from another thread."""
        cuda = getattr(self.namespace, "cuda", None)
        if cuda is not None:
            cuda.get_current_stream().synchronize()

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other, in the memory of the host."""
        check_request(self.name, self.schema, columns)
        check_runs(self.name, self.rows, runs)
        schema = pa.schema([self.schema.field(name) for name in columns])
        starts, lengths = np.array(runs, np.int64).reshape(-1, 2).T
        rows = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        parts = [_sampled(self.columns[name], runs, rows) for name in columns]
        return pa.Table.from_arrays(parts, schema=schema)

    def fingerprint(self) -> dict[str, Any]:
        """Kind and shape."""
        return {"kind": self.name, "rows": self.rows, "columns": len(self.columns)}


def _sampled(column: Held, runs: Runs, rows: NDArray[np.int64]) -> pa.Array[Any]:
    """Rows of runs in the memory of the host; those of a device are put together there, which waits once."""
    if isinstance(column, (HeldArray, HeldSeries)):
        return on_host(column.take(rows))
    parts: Any = [on_host(column.slice(start, start + length)) for start, length in runs]
    whole: pa.Array[Any] = joined_arrays(parts, column.type)
    return whole


class _HostSlices:
    """A matrix on the device whose rows are copied to the host slice by slice."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix

    def __len__(self) -> int:
        return int(self._matrix.shape[0])

    def __getitem__(self, rows: slice) -> Any:
        return to_numpy(self._matrix[rows])


def lies_on_device(value: Any) -> bool:
    """Whether an object is an array on a CUDA device, asked of DLPack or of its type; nothing is imported."""
    kind = type(value)
    if kind is np.ndarray or kind.__module__.partition(".")[0] in ("pyarrow", "pandas", "polars"):
        return False
    if hasattr(kind, "__dlpack_device__"):
        try:
            return int(value.__dlpack_device__()[0]) in CUDA
        except Exception:  # an array without memory, such as one that only has a shape
            return False
    return hasattr(kind, "__cuda_array_interface__")


def device_array(name: str, value: Any) -> Array:
    """An array of CuPy over an array on the device, without a copy.

    Raises
    ------
    InputError
        For an array that cannot be taken, such as one that a gradient is asked of.
    EnvironmentProblem
        Where CuPy is not there or not usable.
    """
    if isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "cupy":
        return value
    cupy = usable_cupy()
    try:
        return cupy.from_dlpack(value) if hasattr(type(value), "__dlpack__") else cupy.asarray(value)
    except Exception as problem:
        raise InputError(f"{name} lies on a device but cannot be read there ({reason(problem)})") from problem


def holds_device_rows(value: Any) -> bool:
    """Whether an object is an array, a Series or a frame on a CUDA device."""
    return _is_series(value) or _is_frame(value) or lies_on_device(value)


def device_rows(name: str, value: Any) -> Array:
    """Numbers on a device as one array of CuPy: an array as it is, columns of cuDF in float64, NaN where missing.

    Raises
    ------
    InputError
        For an array that cannot be taken, or a column that holds no numbers.
    """
    if _is_frame(value):
        source = frame_source(value)
        columns = [_numbers(name, label, column.slice(0, source.rows)) for label, column in source.columns.items()]
        return source.namespace.stack(columns, axis=1) if columns else source.namespace.zeros((source.rows, 0))
    if _is_series(value):
        series: Held = HeldSeries.of(value)
        return _numbers(name, str(value.name), series.slice(0, len(value)))
    return device_array(name, value)


def _numbers(name: str, label: str, column: Column) -> Array:
    """A column in float64 on the device."""
    if not isinstance(column, DeviceColumn) or not is_array(column) or pa.types.is_temporal(column.type):
        raise InputError(f'{name}: column "{label}" holds {column.type}: only numbers can be fitted')
    xp = namespace_of(column.values)
    values = widened(column.values)
    return values if column.missing is None else xp.where(column.missing, np.float64(np.nan), values)


def usable_cupy() -> Any:
    """CuPy, through which arrays of other libraries are read.

    Raises
    ------
    EnvironmentProblem
        Where importing it fails in any way.
    """
    try:
        import cupy
    except Exception as problem:
        raise EnvironmentProblem(
            f"arrays on a device need CuPy, whose import fails ({type(problem).__name__}: {reason(problem)}): "
            f"{INSTALL_CUDA}"
        ) from problem
    return cupy


def frame_source(frame: Any) -> DeviceSource:
    """A source over a cuDF DataFrame; its index is remembered for `restore`."""
    name = "cudf.DataFrame"
    names = [str(label) for label in frame.columns]
    check_names(name, names)
    series = [frame.iloc[:, position] for position in range(len(names))]
    columns = {label: HeldSeries.of(one) for label, one in zip(names, series, strict=True)}
    return DeviceSource(name, "cudf", columns, len(frame), usable_cupy(), index=frame.index)


def arrays_source(arrays: Mapping[Any, Any]) -> DeviceSource:
    """A source over a dictionary of one-dimensional arrays of equal length, some of which lie on a device.

    Raises
    ------
    InputError
        For arrays of different lengths or of more than one dimension.
    """
    name = "dict"
    check_names(name, [str(key) for key in arrays])
    columns: dict[str, Held] = {}
    lengths: dict[str, int] = {}
    namespace: Any = None
    for key, values in arrays.items():
        label = str(key)
        if lies_on_device(values) and not _is_series(values):
            values = device_array(f'{name}: column "{label}"', values)
            namespace = namespace or namespace_of(values)
        columns[label], lengths[label] = held(name, label, values), len(values)
    (first, length), *others = lengths.items()
    for other, count in others:
        if count != length:
            raise InputError(
                f'{name}: column "{other}" has {counted(count, "row")}, column "{first}" has {length:,}; '
                "cut them to one length"
            )
    return DeviceSource(name, "dict", columns, length, namespace or usable_cupy())


def held(source: str, name: str, values: Any) -> Held:
    """A column over an array or a cuDF Series on the device, or over anything that the host can read."""
    if _is_series(values):
        return HeldSeries.of(values)
    if not lies_on_device(values):
        return array_column(source, name, values)
    if values.ndim != 1:
        raise InputError(f'{source}: column "{name}" has {values.ndim} dimensions, a column has one')
    if values.dtype.kind not in NUMBERS + "b":
        return refused_column(source, name, values.dtype)
    return HeldArray(values)


def _is_series(value: Any) -> bool:
    loaded = sys.modules.get("cudf")
    return loaded is not None and isinstance(value, getattr(loaded, "Series", ()))


def _is_frame(value: Any) -> bool:
    loaded = sys.modules.get("cudf")
    return loaded is not None and isinstance(value, getattr(loaded, "DataFrame", ()))


def matrix_source(matrix: Any) -> DeviceSource:
    """A source over a two-dimensional array on the device; columns are named "0", "1" and so on."""
    values = device_array("the matrix", matrix)
    name = f"{type(values).__module__.partition('.')[0]}.{type(values).__name__}"
    columns = {str(j): held(name, str(j), values[:, j]) for j in range(values.shape[1])}
    return DeviceSource(name, "matrix", columns, int(values.shape[0]), namespace_of(values), matrix=values)


def device_source(source: Any) -> DeviceSource | None:
    """A source over what lies on a device; None for everything else.

    Raises
    ------
    InputError
        For a single column or an array that is no table.
    """
    if _is_series(source):
        raise InputError("a Series is one column, not a table; pass series.to_frame() (with a name)")
    if _is_frame(source):
        return frame_source(source)
    if isinstance(source, Mapping):
        on_device = any(lies_on_device(value) for value in source.values())
        return arrays_source(source) if on_device else None
    if not lies_on_device(source):
        return None
    kind, dimensions = type(source).__name__, getattr(source, "ndim", 2)
    if dimensions == 1:
        raise InputError(f'a one-dimensional {kind} has no column name; pass {{"name": array}}')
    if dimensions != 2:
        raise InputError(f"an array with {dimensions} dimensions is not a table; pass two: rows and columns")
    return matrix_source(source)


@dataclass(frozen=True, slots=True, eq=False)
class CudfFiles(Source):
    """Parquet files whose blocks lie on a device.

    Parameters
    ----------
    files : FileSource
        The files.
    cudf : module
        cuDF.
    """

    files: FileSource
    cudf: Any
    flavour: str = "path"
    repeatable: bool = True

    @property
    def lies_on_device(self) -> bool:
        """Blocks lie on the device."""
        return True

    @property
    def name(self) -> str:
        """The path or pattern as given."""
        return self.files.name

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of every file."""
        return self.files.schema

    @property
    def rows(self) -> int | None:
        """Rows of all files."""
        return self.files.rows

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks, across the borders of row groups and files."""
        check_request(self.name, self.schema, columns, block_rows)
        return reblock(self._tables(columns, block_rows), block_rows, _together)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other, in the memory of the host."""
        return self.files.sample(columns, runs)

    def fingerprint(self) -> dict[str, Any]:
        """File names, sizes and times of change."""
        return self.files.fingerprint()

    def _tables(self, columns: Sequence[str], rows: int) -> Iterator[DeviceTable]:
        for part, stamp in zip(self.files.parts, self.files.stamps, strict=True):
            assert isinstance(part, ParquetPart)
            check_unchanged(part.path, stamp)
            part.check()
            for groups in grouped(part.group_rows, rows):
                yield self._read(part, columns, groups)

    def _read(self, part: ParquetPart, columns: Sequence[str], groups: list[int]) -> DeviceTable:
        """Row groups of a file."""
        rows = sum(part.group_rows[group] for group in groups)
        types = {name: self.schema.field(name).type for name in columns}
        here = [name for name in columns if _is_read_there(types[name])]
        found: dict[str, Column] = {}
        if here:
            frame = self.cudf.read_parquet(str(part.path), columns=here, row_groups=[groups], use_pandas_metadata=False)
            found = {name: _of_series(frame[name], types[name]) for name in here}
        others = [name for name in columns if name not in found]
        if others:
            with open_parquet(part.path) as file:
                table = file.read_row_groups(groups, columns=others)
            found |= {name: flat(table.column(name)) for name in others}
        return DeviceTable({name: found[name] for name in columns}, rows)


def _is_read_there(type_: pa.DataType) -> bool:
    """Whether cuDF's reading of Parquet gives the type as Arrow's does, as far as it is worked on there."""
    return (is_plain(type_) or is_short_decimal(type_)) and not pa.types.is_float16(type_)


def _of_series(series: Any, type_: pa.DataType) -> Column:
    """A column that cuDF read; where it took another type for it, as Arrow would have read it."""
    held = HeldSeries.of(series)
    column = held.slice(0, len(series))
    if isinstance(column, DeviceColumn):
        if _same_digits(held.type, type_):
            return replace(column, type=type_)
        column = column.to_arrow()
    rows: pa.Array[Any] = column if column.type == type_ else column.cast(type_)
    return rows


def _same_digits(held: Any, type_: Any) -> bool:
    """Whether two types are the same but for the bits of decimals."""
    if pa.types.is_decimal(held) and pa.types.is_decimal(type_):
        return bool((held.precision, held.scale) == (type_.precision, type_.scale))
    return bool(held == type_)


def grouped(group_rows: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Consecutive row groups of at most `rows` rows together; a longer one stands alone."""
    taken: list[int] = []
    held = 0
    for group, count in enumerate(group_rows):
        if taken and held + count > rows:
            yield taken
            taken, held = [], 0
        taken.append(group)
        held += count
    if taken:
        yield taken


def _together(tables: list[DeviceTable]) -> DeviceTable:
    """Tables as one; a single one is returned as it is."""
    if len(tables) == 1:
        return tables[0]
    table = joined(tables, tables[0].schema)
    assert isinstance(table, DeviceTable)
    return table


def device_files(source: Source) -> CudfFiles | None:
    """Files that cuDF reads into the device; None where it is not there or broken, and for everything else."""
    if not isinstance(source, FileSource) or not all(isinstance(part, ParquetPart) for part in source.parts):
        return None
    if any(isinstance(part.path, RemoteFile) for part in source.parts):
        return None  # Arrow reads them, with retries
    if util.find_spec("cudf") is None:
        return None
    try:
        return CudfFiles(source, import_module("cudf"))
    except Exception:  # installed but broken: Arrow reads the files
        return None
