"""Results as tables of the type that the caller gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.arrays import DeviceColumn, on_host
from gpuvgm.errors import InputError
from gpuvgm.io.arrow import LARGEST_WHOLE, joined_arrays, plain_values_of, tidied
from gpuvgm.io.block import Table, host_table
from gpuvgm.io.frames import ArraySource, are_labelled_numbers, arrow_categories, has_own_categories
from gpuvgm.io.source import Source
from gpuvgm.shortage import ARROW_PROBLEMS, reason


def restore(
    table: Table,
    like: Source,
    dtypes: Mapping[str, object] | None = None,
    flavour: str | None = None,
    labels: Mapping[str, Any] | None = None,
) -> Any:
    """Return a table as the type that the source had.

    Parameters
    ----------
    table : pyarrow.Table or DeviceTable
        The result.
    like : Source
        The source the caller gave. pandas gives pandas (with its index where the number of rows is the same, and with
        the dtype of columns of the same name and Arrow type), polars polars, a dict or a matrix a dict of arrays;
        everything else stays a pyarrow Table. What lay on a device goes there: cuDF gives cuDF (with its index where
        the number of rows is the same), a dict or a matrix a dict of the device's arrays.
    dtypes : mapping of str to dtype, optional
        For pandas and polars: dtypes to give these columns, where their values fit; of polars' own those alone that
        have categories of their own.
    flavour : {"pandas", "polars", "pyarrow"}, optional
        Type of the result, if not that of the source.
    labels : mapping, optional
        By name: labels that pandas, cuDF and dicts get in place of names, such as 0 for "0".

    Returns
    -------
    object
        Missing values are NaN in floats, pandas.NA in integers and booleans of pandas; of arrays see `numpy_array`.

    Raises
    ------
    InputError
        For values that the library of the result cannot have.
    """
    if flavour is None and isinstance(like, ArraySource) and like.arrays is not np:
        return _labelled(to_device(table, like), labels or {})
    table = host_table(table)
    makers: dict[str, Callable[[], Any]] = {
        "pandas": lambda: to_pandas(table, like, dtypes or {}),
        "polars": lambda: to_polars(table, dtypes or {}),
        "dict": lambda: to_arrays(table),
        "matrix": lambda: to_arrays(table),
    }
    return _labelled(makers.get(flavour or like.flavour, lambda: table)(), labels or {})


def _labelled(result: Any, labels: Mapping[str, Any]) -> Any:
    """A dict or a frame of pandas or cuDF with its own labels; Arrow and polars have names alone."""
    if isinstance(result, dict):
        return {labels.get(name, name): values for name, values in result.items()}
    if hasattr(result, "iloc") and not labels.keys().isdisjoint(result.columns):
        import pandas

        result.columns = pandas.Index([labels.get(name, name) for name in result.columns])  # of tuples: a MultiIndex
    return result


def to_polars(table: pa.Table, dtypes: Mapping[str, object]) -> Any:
    """A polars DataFrame, whose columns have the dtypes that have categories of their own."""
    import polars

    frames = [_polars_column(name, table.column(name)) for name in table.schema.names]
    frame: Any = polars.concat(frames, how="horizontal") if frames else polars.from_arrow(table)
    categorical = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    return frame.cast({name: dtypes[name] for name in categorical if has_own_categories(dtypes.get(name))})


def _polars_column(name: str, column: pa.ChunkedArray[Any]) -> Any:
    """A polars DataFrame of one column."""
    import polars

    try:
        column = plain_values_of(column) if pa.types.is_run_end_encoded(column.type) else column
        return polars.from_arrow(pa.Table.from_arrays([column.cast(_polars_type(column.type))], [name]))
    except (*ARROW_PROBLEMS, polars.exceptions.PolarsError) as problem:
        raise InputError(
            f'column "{name}" holds {column.type} values that polars cannot have ({reason(problem)}); '
            "take the result as a pyarrow table"
        ) from problem


def _polars_type(type_: Any) -> pa.DataType:
    """Type that polars can take: no views (some versions crash), no seconds (it multiplies them unchecked)."""
    if pa.types.is_dictionary(type_):
        entries: Any = _polars_type(type_.value_type)
        return pa.dictionary(type_.index_type, entries, type_.ordered)
    if pa.types.is_decimal256(type_):
        return pa.decimal128(38, type_.scale)
    if pa.types.is_timestamp(type_) and type_.unit == "s":
        return pa.timestamp("ms", type_.tz)
    if pa.types.is_binary_view(type_):
        return pa.large_binary()
    arrow_type: pa.DataType = pa.large_string() if pa.types.is_string_view(type_) else type_
    return pa.duration("ms") if arrow_type == pa.duration("s") else arrow_type


def to_arrays(table: pa.Table) -> dict[str, np.ndarray[Any, Any]]:
    """A dict of NumPy arrays, as `numpy_array` makes them."""
    return {name: numpy_array(name, table.column(name)) for name in table.schema.names}


def to_pandas(table: pa.Table, like: Source, dtypes: Mapping[str, object]) -> Any:
    """A pandas DataFrame with the index and dtypes of the source where they fit."""
    import pandas

    original = getattr(like, "dtypes", None) or {}
    series = {}
    for name in table.schema.names:
        column = table.column(name)
        dtype = dtypes.get(name)
        if dtype is None and name in original and like.schema.field(name).type == column.type:
            dtype = original[name]
        series[name] = to_series(column, dtype)
    index = getattr(like, "index", None)
    if index is None or len(index) != table.num_rows:
        index = pandas.RangeIndex(table.num_rows)
    columns = {name: pandas.Series(s.array, index, s.dtype, copy=False) for name, s in series.items()}
    return pandas.DataFrame(columns, index=index, copy=False)


def to_series(column: pa.ChunkedArray[Any], dtype: Any) -> Any:
    """A pandas Series, with `dtype` where the values fit it."""
    import pandas

    dtype = None if dtype is None else _dtype_of(dtype, column.type)
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array([_one_dictionary(column)])
        entry = column.type.value_type
        if isinstance(entry, pa.BaseExtensionType) or pa.types.is_nested(entry):
            return _nested_categories(column.chunk(0), dtype)
    series = _plain_series(column)
    if dtype is None:
        return series
    try:
        if pa.types.is_null(column.type):
            return series.astype(dtype)
        if isinstance(dtype, pandas.PeriodDtype):
            return series.dt.to_period(dtype.freq)
        if isinstance(dtype, pandas.IntervalDtype):
            return _intervals(series, dtype)
        if isinstance(dtype, pandas.CategoricalDtype) and dtype.categories is not None:
            is_labelled = are_labelled_numbers(dtype.categories)
            return _labelled_numbers(series, dtype) if is_labelled else _as_categories(series, dtype)
        if hasattr(dtype, "__from_arrow__"):
            return pandas.Series(dtype.__from_arrow__(column))
        return _as_dtype(series, dtype)
    except (TypeError, ValueError, AttributeError, *ARROW_PROBLEMS):
        return series


def _as_dtype(series: Any, dtype: Any) -> Any:
    """A Series of a dtype; objects are None where they are missing."""
    import pandas

    result = series.astype(dtype)
    return result.where(result.notna(), None) if pandas.api.types.is_object_dtype(result) else result


def _as_categories(series: Any, dtype: Any) -> Any:
    """Categories with a dtype, whose intervals or periods may be present as text; else as they are."""
    import pandas

    categories, labels = arrow_categories(dtype.categories), series.cat.categories
    if not set(labels) <= set(categories):
        return series
    # The code of missing values, -1, takes the last entry.
    codes = np.append(categories.get_indexer(labels), -1)[series.cat.codes]
    return pandas.Series(pandas.Categorical.from_codes(codes, dtype=dtype))


def _labelled_numbers(series: Any, dtype: Any) -> Any:
    """Numbers and texts as the categories that they were; numbers that are none become further ones."""
    import pandas

    number = next(type(category) for category in dtype.categories if not isinstance(category, str))
    by_text = dict(zip(arrow_categories(dtype.categories), dtype.categories, strict=True))
    texts = series.astype("category").cat
    further = {text: number(text) for text in texts.categories if text not in by_text}
    categories = pandas.Index([*dtype.categories, *further.values()], dtype=object)
    places = {text: place for place, text in enumerate([*by_text, *further])}
    codes = np.array([*(places[text] for text in texts.categories), -1])[texts.codes]
    return pandas.Series(pandas.Categorical.from_codes(codes, categories, ordered=dtype.ordered))


def _intervals(series: Any, dtype: Any) -> Any:
    """Parse intervals from their text."""
    import pandas

    categories = series.astype("category").cat
    ends = [str(text)[1:-1].split(", ") for text in categories.categories]
    left, right = (pandas.array([pair[side] for pair in ends], "str").astype(dtype.subtype) for side in (0, 1))
    intervals = pandas.arrays.IntervalArray.from_arrays(left, right, dtype.closed)
    return pandas.Series(intervals.take(categories.codes, allow_fill=True))


def _dtype_of(dtype: Any, type_: pa.DataType) -> Any:
    """The dtype with a name; None where pandas knows no such name."""
    import pandas

    try:
        return pandas.api.types.pandas_dtype(dtype)
    except (TypeError, ValueError, NotImplementedError):
        return pandas.ArrowDtype(type_) if str(dtype).endswith("[pyarrow]") else None


def _one_dictionary(column: pa.ChunkedArray[Any]) -> Any:
    """A column with one dictionary, without missing or duplicate entries; with wider indices where needed."""
    try:
        return tidied(joined_arrays(column.chunks, column.type))
    except pa.ArrowInvalid:
        wide: Any = pa.dictionary(pa.int64(), column.type.value_type, column.type.ordered)
        return tidied(joined_arrays([chunk.cast(wide) for chunk in column.chunks], wide))


def _nested_categories(array: Any, dtype: Any) -> Any:
    """Categories such as intervals, by code where the dtype has them; else entries as dicts."""
    import pandas

    if isinstance(dtype, pandas.CategoricalDtype) and dtype.categories is not None:
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        if len(array.dictionary) == len(dtype.categories):
            return pandas.Series(pandas.Categorical.from_codes(codes, dtype=dtype))
    return array.dictionary.take(array.indices).to_pandas()


def _plain_series(column: pa.ChunkedArray[Any]) -> Any:
    """A Series of pandas' own dtype for the values, or of Arrow's where no such dtype holds them."""
    import pandas

    if pa.types.is_run_end_encoded(column.type) or _is_of_integers(column.type):
        column = plain_values_of(column)
    if pa.types.is_dictionary(column.type) and getattr(column.type.value_type, "tz", None):
        return _zoned_categories(column.chunk(0))
    # pyarrow would make them floats or objects.
    if column.null_count and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        return pandas.Series(_nullable(column.type).__from_arrow__(column))
    try:
        if not loses_digits(column):
            return column.to_pandas()
    except (*ARROW_PROBLEMS, NotImplementedError, ValueError, OverflowError):  # such as dates after the year 9999
        pass
    return pandas.Series(pandas.arrays.ArrowExtensionArray(column))


def _zoned_categories(array: Any) -> Any:
    """Categories of datetimes in their time zone, which Arrow's own conversion leaves out."""
    import pandas

    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = pandas.Index(_plain_series(pa.chunked_array([array.dictionary])))
    return pandas.Series(pandas.Categorical.from_codes(codes, categories, ordered=array.type.ordered))


def _is_of_integers(type_: pa.DataType) -> bool:
    """Return whether an extension type that pandas does not know stores integers."""
    if not isinstance(type_, pa.BaseExtensionType) or not pa.types.is_integer(type_.storage_type):
        return False
    try:
        return not hasattr(type_.to_pandas_dtype(), "__from_arrow__")
    except NotImplementedError:
        return True


def _nullable(type_: pa.DataType) -> Any:
    """Dtype of pandas for integers or booleans with missing values."""
    import pandas

    name = str(type_).replace("uint", "UInt").replace("int", "Int").replace("bool", "boolean")
    return pandas.api.types.pandas_dtype(name)


# -- NumPy's arrays


def numpy_array(name: str, column: Any) -> np.ndarray[Any, Any]:
    """A NumPy array of a column, which the caller may write to.

    Parameters
    ----------
    name : str
        The column, for messages.
    column : pyarrow.ChunkedArray or pyarrow.Array
        Its values; dictionaries, runs and extension types give the values that they stand for.

    Returns
    -------
    ndarray of shape (rows,)
        The column's own dtype where nothing is missing. Missing is NaN in numbers, NaT in datetimes and durations, and
        None in all others. Integers with missing values are float64 while all lie from -2^53 to 2^53, else objects
        (int and None); times of the day are `datetime.time`, those in nanoseconds timedelta64 from midnight.

    Raises
    ------
    InputError
        For values that neither NumPy nor Python has.
    """
    column = plain_values_of(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]))
    if column.type == pa.time64("ns"):  # Python's times have no nanoseconds
        column = column.cast(pa.int64()).cast(pa.duration("ns"))
    try:
        if loses_digits(column):
            # np.array would make lists of one length a matrix.
            return np.fromiter(column.to_pylist(), dtype=object, count=len(column))
        values = np.asarray(column.to_numpy())
    except (*ARROW_PROBLEMS, ValueError, OverflowError) as problem:
        raise InputError(
            f'column "{name}" holds {column.type} values that NumPy cannot have ({reason(problem)}); '
            "take the result as a pyarrow table"
        ) from problem
    return values if values.flags.writeable else values.copy()  # Arrow's memory is read-only


def loses_digits(column: pa.ChunkedArray[Any]) -> bool:
    """Return whether integers, also in lists and structs, would become floats that differ from them."""
    if not column.null_count and not pa.types.is_nested(column.type):
        return False
    return any(_beyond_floats(leaf) for chunk in column.chunks for leaf in _leaves(chunk))


def _leaves(values: Any) -> Iterator[Any]:
    """Arrays of the values within lists, maps and structs; an array of none of these as it is."""
    type_ = values.type
    if not pa.types.is_nested(type_) or pa.types.is_union(type_):
        yield values
        return
    for part in values.flatten() if pa.types.is_struct(type_) else [values.flatten()]:
        yield from _leaves(part)


def _beyond_floats(values: Any) -> bool:
    if not values.null_count or values.type not in (pa.int64(), pa.uint64()):
        return False
    ends: Any = pc.min_max(values).as_py()
    return ends["min"] is not None and bool(max(-ends["min"], ends["max"]) > LARGEST_WHOLE)


# -- what lies on a device


def to_device(table: Table, like: ArraySource) -> Any:
    """A table as the type that was given on the device: a cuDF frame with its index, or a dict of arrays.

    A dict has the device's arrays for numbers (float64 with NaN where values are missing) and NumPy's, as
    `numpy_array` makes them, for everything that the device's arrays cannot hold.
    """
    if like.flavour == "cudf":
        return to_cudf(table, like)
    return {name: to_array(name, table.column(name), like.arrays) for name in table.schema.names}


def to_array(name: str, column: Any, namespace: Any) -> Any:
    """A column as an array on the device, where that can hold it."""
    if not isinstance(column, DeviceColumn):
        values = numpy_array(name, column)
        return namespace.asarray(values) if values.dtype.kind in "fiub" else values
    if pa.types.is_temporal(column.type) or not column.is_array or _needs_objects(column):
        return to_array(name, column.to_arrow(), namespace)
    values = column.values
    if column.missing is None or not column.missing.any():
        return values
    wide = values if values.dtype.kind == "f" else values.astype(np.float64)
    return namespace.where(column.missing, wide.dtype.type(np.nan), wide)


def _needs_objects(column: DeviceColumn) -> bool:
    """Return whether a column has missing values beside booleans, or beside integers that float64 may not hold."""
    values, missing = column.values, column.missing
    if missing is None or values.dtype.kind == "f" or not missing.any():
        return False
    if values.dtype.itemsize < 8:
        return pa.types.is_boolean(column.type)
    beyond = values > LARGEST_WHOLE
    if values.dtype.kind == "i":
        beyond |= values < -LARGEST_WHOLE
    return bool((beyond & ~missing).any())


def to_cudf(table: Table, like: ArraySource) -> Any:
    """A cuDF DataFrame, with the source's index where the number of rows is the same."""
    import cudf

    cuda = like.arrays.cuda  # cuDF works on the null stream, after what the caller's is still writing
    cuda.Stream.null.wait_event(cuda.get_current_stream().record())
    frame = cudf.DataFrame({name: to_cudf_series(table.column(name)) for name in table.schema.names})
    if like.index is not None and len(like.index) == table.num_rows:
        frame.index = like.index
    return frame


def to_cudf_series(column: Any) -> Any:
    """A column as a cuDF Series; rows on the device are not copied through the host, unscaled decimals excepted."""
    import cudf

    type_, words = column.type, getattr(column, "dictionary", None)
    if not isinstance(column, DeviceColumn) or (words is None and not DeviceColumn.is_plain(type_)):
        return cudf.Series.from_arrow(on_host(column))
    # NaN stays NaN; missing rows are masked at the end.
    series = cudf.Series(column.values, nan_as_null=False)
    if words is not None and not pa.types.is_dictionary(type_):
        series = cudf.Series.from_arrow(words.cast(type_)).take(series).reset_index(drop=True)
    elif pa.types.is_temporal(type_):
        series = series.astype(str(type_).replace("timestamp", "datetime64").replace("duration", "timedelta64"))
    series = series if column.missing is None else series.mask(cudf.Series(column.missing))
    if pa.types.is_dictionary(type_):
        return cudf.Series(cudf.CategoricalIndex.from_codes(series, words, ordered=type_.ordered))
    return series
