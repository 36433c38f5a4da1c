"""Tables on a device: arrays of CuPy, frames of cuDF, and Parquet files that cuDF reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import SHORT, Array, Column, DeviceColumn, check_device, namespace_of
from gpuvgm.errors import EnvironmentProblem, InputError, pip_command
from gpuvgm.io.arrow import with_wide_index
from gpuvgm.io.block import DeviceTable, trimmed
from gpuvgm.io.frames import (
    ArraySource,
    SourceColumn,
    array_column,
    dict_source,
    flat,
    labels_of,
    named_series,
    refused_column,
)
from gpuvgm.io.parquet import ParquetPart, open_parquet
from gpuvgm.io.source import Part, is_loaded, shares_of_runs
from gpuvgm.io.unexposed import buffer_values, nulls_of
from gpuvgm.shortage import reason

CUDA = (2, 13)  # DLPack's numbers of CUDA memory and CUDA managed memory


def array_on_device(values: Array) -> SourceColumn:
    """A column over a one-dimensional array; slices are views, or contiguous copies for a column of a matrix."""
    xp, type_ = namespace_of(values), pa.from_numpy_dtype(values.dtype)
    return SourceColumn(
        type_,
        lambda start, stop: DeviceColumn(xp.ascontiguousarray(values[start:stop]), type_),
        lambda rows: DeviceColumn(xp.take(values, xp.asarray(rows)), type_),
    )


def cudf_column(series: Any) -> SourceColumn:
    """A column over a cuDF Series, typed by its NumPy dtype, or as Arrow converts a slice without rows.

    Its null mask becomes one bool a row, for the rows of a slice alone; the words of categories are on the host.
    """
    type_: Any
    words = None
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufmM":
        type_ = pa.from_numpy_dtype(series.dtype)  # no wait for the device
    else:
        empty = series.iloc[:0].to_arrow()
        type_ = with_wide_index(empty.type)
        words = empty.dictionary if holds_words(type_) else None

    is_on_device = DeviceColumn.is_plain(type_) or holds_words(type_) or is_short_decimal(type_)

    def convert(rows: Any) -> Column:
        if is_on_device:
            return _rows_in_place(rows, type_, words)
        array = flat(rows.to_arrow())
        return array if array.type == type_ else array.cast(type_)

    def take(rows: Any) -> Column:
        if is_on_device:
            _stored_values(series, type_, words)  # those of another device are refused before cuDF reads them
        return convert(series.iloc[rows])

    return SourceColumn(type_, lambda start, stop: convert(series.iloc[start:stop]), take)


def _rows_in_place(series: Any, type_: pa.DataType, words: pa.Array[Any] | None) -> DeviceColumn:
    """Rows of a cuDF Series on the device."""
    values, column = _stored_values(series, type_, words)
    missing = nulls_of(column, usable_cupy()) if series.null_count else None
    # The first word of each value is every other number: engines need contiguous rows.
    return DeviceColumn(values if values.ndim == 1 else values[:, 0].copy(), type_, missing, words)


def _stored_values(series: Any, type_: pa.DataType, words: pa.Array[Any] | None) -> tuple[Array, Any]:
    """Values of a cuDF Series on the device, shape (rows,) or (rows, words of a value), and their column."""
    numbers = series if words is None else series.cat.codes
    column = numbers._column.plc_column
    cupy = usable_cupy()  # cuDF works on the null stream, which the caller's need not wait for
    cupy.cuda.get_current_stream().wait_event(cupy.cuda.Stream.null.record())
    values = buffer_values(column, *_stored_dtype(type_, numbers), cupy)
    check_device(values, cupy.cuda.Device().id)
    return values, column


def _stored_dtype(type_: pa.DataType, numbers: Any) -> tuple[np.dtype[Any], int]:
    """Dtype of cuDF's words for a type, and words in a row; the first word holds all of a short decimal."""
    if pa.types.is_decimal(type_):
        return np.dtype(np.int32 if type_.bit_width == 32 else np.int64), max(1, type_.bit_width // 64)
    if pa.types.is_temporal(type_):
        return np.dtype(np.int64), 1
    return (np.dtype(type_.to_pandas_dtype()) if DeviceColumn.is_plain(type_) else numbers.dtype), 1


def is_short_decimal(type_: pa.DataType) -> bool:
    """Return whether 64 bits hold every decimal of the type."""
    return pa.types.is_decimal(type_) and type_.precision <= SHORT


def holds_words(type_: pa.DataType) -> bool:
    """Return whether cuDF stores the type as codes of a dictionary of words."""
    if not pa.types.is_dictionary(type_):
        return False
    dictionary_type: Any = type_
    return bool(pa.types.is_string(dictionary_type.value_type) or pa.types.is_large_string(dictionary_type.value_type))


def lies_on_device(value: Any) -> bool:
    """Return whether an object is an array on a CUDA device, by DLPack or its type; nothing is imported."""
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
        For an array that cannot be taken, such as one that a gradient is asked of, or one of another device than the
        current one.
    EnvironmentProblem
        Where CuPy is missing or unusable.
    """
    if isinstance(value, np.ndarray):
        return value
    cupy = usable_cupy()
    if type(value).__module__.partition(".")[0] != "cupy":
        try:
            value = cupy.from_dlpack(value) if hasattr(type(value), "__dlpack__") else cupy.asarray(value)
        except Exception as problem:
            raise InputError(f"{name} lies on a device but cannot be read there ({reason(problem)})") from problem
    check_device(value, cupy.cuda.Device().id, name)
    return value


def holds_device_rows(value: Any) -> bool:
    """Return whether an object is an array, a Series or a frame on a CUDA device."""
    return is_loaded("cudf", "Series", value) or is_loaded("cudf", "DataFrame", value) or lies_on_device(value)


def device_rows(name: str, value: Any) -> Array:
    """Numbers on a device as one array of CuPy: an array as it is, columns of cuDF in float64, NaN where missing.

    Raises
    ------
    InputError
        For an array that cannot be taken, or a column that holds no numbers.
    """
    if is_loaded("cudf", "DataFrame", value):
        source = cudf_source(value)
        columns = [_float64_rows(name, label, column.slice(0, source.rows)) for label, column in source.columns.items()]
        return source.arrays.stack(columns, axis=1) if columns else source.arrays.zeros((source.rows, 0))
    if is_loaded("cudf", "Series", value):
        return _float64_rows(name, str(value.name), cudf_column(value).slice(0, len(value)))
    return device_array(name, value)


def _float64_rows(name: str, label: str, column: Column) -> Array:
    """A column in float64 on the device."""
    if not isinstance(column, DeviceColumn) or not column.is_array or pa.types.is_temporal(column.type):
        raise InputError(f'{name}: column "{label}" holds {column.type}: only numbers can be fitted')
    return column.float64()


def usable_cupy() -> Any:
    """CuPy, through which arrays of other libraries are read.

    Raises
    ------
    EnvironmentProblem
        Where its import fails in any way.
    """
    try:
        import cupy
    except Exception as problem:
        raise EnvironmentProblem(
            f"arrays on a device need CuPy, whose import fails ({type(problem).__name__}: {reason(problem)}): "
            f"{pip_command('cuda')}"
        ) from problem
    return cupy


def cudf_source(frame: Any) -> ArraySource:
    """A source over a cuDF DataFrame, which keeps its index for `restore`."""
    name = "cudf.DataFrame"
    columns = {label: cudf_column(series) for label, series in named_series(name, frame).items()}
    labels = labels_of(frame.columns)
    return ArraySource(name, "cudf", columns, len(frame), index=frame.index, labels=labels, arrays=usable_cupy())


def open_column(source: str, name: str, values: Any) -> SourceColumn:
    """A column over an array or a cuDF Series on the device, or over values of the host."""
    if is_loaded("cudf", "Series", values):
        return cudf_column(values)
    if not lies_on_device(values):
        return array_column(source, name, values)
    values = device_array(f'{source}: column "{name}"', values)
    if values.ndim != 1:
        raise InputError(f'{source}: column "{name}" has {values.ndim} dimensions, a column has one')
    if values.dtype.kind not in "fiub":
        return refused_column(source, name, values.dtype)
    return array_on_device(values)


def device_matrix(matrix: Any) -> ArraySource:
    """A source over a two-dimensional array on the device; columns are named "0", "1" and so on."""
    values = device_array("the matrix", matrix)
    name = f"{type(values).__module__.partition('.')[0]}.{type(values).__name__}"
    columns = {str(j): open_column(name, str(j), values[:, j]) for j in range(values.shape[1])}
    return ArraySource(name, "matrix", columns, int(values.shape[0]), matrix=values, arrays=namespace_of(values))


def arrays_source(arrays: Mapping[Any, Any]) -> ArraySource:
    """A source over a dictionary of arrays, any of which may lie on a device."""
    if any(map(lies_on_device, arrays.values())):
        return dict_source(arrays, open_column, usable_cupy())
    return dict_source(arrays)


def cudf_tables(
    part: ParquetPart, columns: Sequence[str], rows: int, start: int, stop: int | None
) -> Iterator[DeviceTable]:
    """Rows [start, stop) of a Parquet file, read by cuDF where it reads the types as Arrow does.

    Row groups that hold any of the rows are read in full.
    """
    part.check()
    length = sum(part.group_rows) if stop is None else stop - start
    groups = [*shares_of_runs([(start, length)], part.group_rows)]
    if not groups:
        return iter(())
    tables = _row_groups(part, columns, groups, rows)
    return trimmed(tables, start - sum(part.group_rows[: groups[0]]), length)


def _row_groups(part: ParquetPart, columns: Sequence[str], numbers: Sequence[int], rows: int) -> Iterator[DeviceTable]:
    """Tables of consecutive row groups with at most `rows` rows together."""
    cudf = import_module("cudf")
    types = {name: part.schema.field(name).type for name in columns}
    number_names = [name for name in columns if DeviceColumn.is_plain(types[name]) or is_short_decimal(types[name])]
    # cuDF has no floats of 16 bits, and reads INT96 in nanoseconds, which no years beyond 1677 and 2262 fit
    device_names = [name for name in number_names if not pa.types.is_float16(types[name]) and name not in part.int96]
    host_names = [name for name in columns if name not in device_names]
    for places in grouped([part.group_rows[group] for group in numbers], rows):
        groups = [numbers[place] for place in places]
        arrays: dict[str, Column] = {}
        if device_names:
            # With pandas' metadata cuDF would also load index columns.
            frame = cudf.read_parquet(
                str(part.path), columns=device_names, row_groups=[groups], use_pandas_metadata=False
            )
            arrays = {name: _of_series(frame[name], types[name]) for name in device_names}
        if host_names:
            with open_parquet(part.path) as file:
                table = file.read_row_groups(groups, columns=host_names)
            arrays |= {name: flat(table.column(name)) for name in host_names}
        yield DeviceTable({name: arrays[name] for name in columns}, sum(part.group_rows[group] for group in groups))


def _of_series(series: Any, type_: pa.DataType) -> Column:
    """A column that cuDF read, with the type that Arrow reads."""
    source = cudf_column(series)
    column = source.slice(0, len(series))
    if isinstance(column, DeviceColumn):
        if _same_digits(source.type, type_):
            return replace(column, type=type_)
        column = column.to_arrow()
    rows: pa.Array[Any] = column if column.type == type_ else column.cast(type_)
    return rows


def _same_digits(stored_type: Any, type_: Any) -> bool:
    """Return whether two types are equal, up to the bits of decimals."""
    if pa.types.is_decimal(stored_type) and pa.types.is_decimal(type_):
        return bool((stored_type.precision, stored_type.scale) == (type_.precision, type_.scale))
    return bool(stored_type == type_)


def grouped(group_rows: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Runs of consecutive row groups with at most `rows` rows together; a longer group is a run of its own."""
    run: list[int] = []
    run_rows = 0
    for group, count in enumerate(group_rows):
        if run and run_rows + count > rows:
            yield run
            run, run_rows = [], 0
        run.append(group)
        run_rows += count
    if run:
        yield run


def reads_with_cudf(parts: Iterable[Part]) -> bool:
    """Return whether cuDF reads files into the device: Parquet files of this machine, where cuDF works."""
    local = all(isinstance(part, ParquetPart) and isinstance(part.path, Path) and not part.keys for part in parts)
    if not local or util.find_spec("cudf") is None:  # Arrow reads files of stores, with retries
        return False
    try:
        import_module("cudf")
    except Exception:  # installed but broken: Arrow reads the files
        return False
    return True
