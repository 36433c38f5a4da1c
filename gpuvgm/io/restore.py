"""Tables back to the type the caller gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io.arrow_values import joined_arrays, plain_column, tidied
from gpuvgm.io.device import DeviceSource
from gpuvgm.io.device_results import Table, host_table, to_device
from gpuvgm.io.numpy_arrays import loses_digits, numpy_array
from gpuvgm.io.source import Source, reason
from gpuvgm.shortage import ARROW_PROBLEMS


def restore(table: Table, like: Source, dtypes: Mapping[str, object] | None = None, flavour: str | None = None) -> Any:
    """Give a table back as what the source was.

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
        For pandas: dtypes to give these columns, where their values fit.
    flavour : {"pandas", "polars", "pyarrow"}, optional
        What to give instead of what the source was.

    Returns
    -------
    object
        Missing values are NaN in floats, pandas.NA in integers and booleans of pandas; of arrays see `numpy_array`.

    Raises
    ------
    InputError
        For values that the library of the result cannot have.
    """
    if flavour is None and isinstance(like, DeviceSource):
        return to_device(table, like)
    table = host_table(table)
    makers: dict[str, Callable[[], Any]] = {
        "pandas": lambda: to_pandas(table, like, dtypes or {}),
        "polars": lambda: to_polars(table),
        "dict": lambda: to_arrays(table),
        "matrix": lambda: to_arrays(table),
    }
    return makers.get(flavour or like.flavour, lambda: table)()


def to_polars(table: pa.Table) -> Any:
    """A polars DataFrame; it gets plain text, not the views of text that some of its versions cannot take."""
    import polars

    frames = [_polars_column(name, table.column(name)) for name in table.schema.names]
    return polars.concat(frames, how="horizontal") if frames else polars.from_arrow(table)


def _polars_column(name: str, column: pa.ChunkedArray[Any]) -> Any:
    """A polars DataFrame of one column."""
    import polars

    try:
        column = plain_column(column) if pa.types.is_run_end_encoded(column.type) else column
        try:
            return polars.from_arrow(_polars_table(name, column))
        except polars.exceptions.ComputeError:  # older versions have no extension types, but what these are stored as
            return polars.from_arrow(_polars_table(name, plain_column(column)))
    except (*ARROW_PROBLEMS, polars.exceptions.PolarsError) as problem:
        raise InputError(
            f'column "{name}" holds {column.type} values that polars cannot have ({reason(problem)}); '
            "take the result as a pyarrow table"
        ) from problem


def _polars_table(name: str, column: pa.ChunkedArray[Any]) -> pa.Table:
    return pa.Table.from_arrays([column.cast(_polars_type(column.type))], [name])


def _polars_type(type_: Any) -> pa.DataType:
    """The type that polars can take: no views, of which 1.20 crashes, no seconds (it multiplies them unchecked)."""
    if pa.types.is_dictionary(type_):
        entries: Any = _polars_type(type_.value_type)
        return pa.dictionary(type_.index_type, entries, type_.ordered)
    if pa.types.is_decimal256(type_):
        return pa.decimal128(38, type_.scale)
    if pa.types.is_timestamp(type_) and type_.unit == "s":
        return pa.timestamp("ms", type_.tz)
    if pa.types.is_binary_view(type_):
        return pa.large_binary()
    taken: pa.DataType = pa.large_string() if pa.types.is_string_view(type_) else type_
    return pa.duration("ms") if pa.types.is_duration(type_) and type_.unit == "s" else taken


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
    columns = {name: pandas.Series(one.array, index, one.dtype, copy=False) for name, one in series.items()}
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
    plain = _plain_series(column)
    if dtype is None:
        return plain
    try:
        if isinstance(dtype, pandas.CategoricalDtype) and not set(plain.cat.categories) <= set(dtype.categories):
            return plain
        if hasattr(dtype, "__from_arrow__"):
            return pandas.Series(dtype.__from_arrow__(column))
        return plain.astype(dtype)
    except (TypeError, ValueError, AttributeError, *ARROW_PROBLEMS):
        return plain


def _dtype_of(dtype: Any, type_: pa.DataType) -> Any:
    """The dtype of a name, or None where pandas knows none of that name."""
    import pandas

    try:
        return pandas.api.types.pandas_dtype(dtype)
    except (TypeError, ValueError, NotImplementedError):
        return pandas.ArrowDtype(type_) if str(dtype).endswith("[pyarrow]") else None


def _one_dictionary(column: pa.ChunkedArray[Any]) -> Any:
    """A column with one dictionary, without missing or double entries; with wider indices where it needs them."""
    try:
        return tidied(joined_arrays(column.chunks, column.type))
    except pa.ArrowInvalid:
        wide: Any = pa.dictionary(pa.int64(), column.type.value_type, column.type.ordered)
        return tidied(joined_arrays([chunk.cast(wide) for chunk in column.chunks], wide))


def _nested_categories(whole: Any, dtype: Any) -> Any:
    """Categories such as intervals, by their codes where the dtype knows them; else the entries as dicts."""
    import pandas

    if isinstance(dtype, pandas.CategoricalDtype) and dtype.categories is not None:
        codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        if len(whole.dictionary) == len(dtype.categories):
            return pandas.Series(pandas.Categorical.from_codes(codes, dtype=dtype))
    return whole.dictionary.take(whole.indices).to_pandas()


def _plain_series(column: pa.ChunkedArray[Any]) -> Any:
    """A Series of pandas' own dtype for the values, or of Arrow's where pandas has none that holds them."""
    import pandas

    if pa.types.is_run_end_encoded(column.type) or _is_of_integers(column.type):
        column = plain_column(column)
    if pa.types.is_dictionary(column.type) and getattr(column.type.value_type, "tz", None):
        return _zoned_categories(column.chunk(0))
    if column.null_count and pa.types.is_integer(column.type):
        return pandas.Series(_nullable(str(column.type)).__from_arrow__(column))
    if column.null_count and pa.types.is_boolean(column.type):
        return pandas.Series(_nullable("boolean").__from_arrow__(column))
    try:
        if not loses_digits(column):
            return column.to_pandas()
    except (*ARROW_PROBLEMS, NotImplementedError, ValueError, OverflowError):  # such as dates after the year 9999
        pass
    return pandas.Series(pandas.arrays.ArrowExtensionArray(column))


def _zoned_categories(whole: Any) -> Any:
    """Categories of datetimes in their time zone, which Arrow's own conversion leaves out."""
    import pandas

    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = pandas.Index(_plain_series(pa.chunked_array([whole.dictionary])))
    return pandas.Series(pandas.Categorical.from_codes(codes, categories, ordered=whole.type.ordered))


def _is_of_integers(type_: pa.DataType) -> bool:
    """Whether an extension type, of which pandas knows nothing, stands for integers."""
    if not isinstance(type_, pa.BaseExtensionType) or not pa.types.is_integer(type_.storage_type):
        return False
    try:
        return not hasattr(type_.to_pandas_dtype(), "__from_arrow__")
    except NotImplementedError:
        return True


def _nullable(name: str) -> Any:
    import pandas

    return pandas.api.types.pandas_dtype(name.replace("uint", "UInt") if name[0] == "u" else name.replace("int", "Int"))
