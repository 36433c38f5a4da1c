"""Tables back to the type the caller gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.frames.device import DeviceSource
from gpuvgm.frames.device_results import Table, host_table, to_device
from gpuvgm.frames.source import Source
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
        Missing values are NaN in floats, pandas.NA in integers and booleans of pandas.
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

    return polars.from_arrow(table.cast(pa.schema([(field.name, _plain_text(field.type)) for field in table.schema])))


def _plain_text(type_: Any) -> pa.DataType:
    """The type with text in the place of views of text."""
    if pa.types.is_dictionary(type_):
        plain: Any = _plain_text(type_.value_type)
        return pa.dictionary(type_.index_type, plain, type_.ordered)
    plain_type: pa.DataType = pa.large_string() if pa.types.is_string_view(type_) else type_
    return plain_type


def to_arrays(table: pa.Table) -> dict[str, np.ndarray[Any, Any]]:
    """A dict of NumPy arrays; numbers with missing values become float64 with NaN."""
    return {name: to_array(table.column(name)) for name in table.schema.names}


def to_array(column: pa.ChunkedArray[Any]) -> np.ndarray[Any, Any]:
    """A NumPy array of the column's own dtype where nothing is missing."""
    if pa.types.is_time64(column.type):  # Python's times have no nanoseconds
        column = column.cast(pa.time64("us"), safe=False)
    values = np.asarray(column.to_numpy())
    return values if values.flags.writeable else values.copy()


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
    entry = column.type.value_type if pa.types.is_dictionary(column.type) else None
    if isinstance(entry, pa.BaseExtensionType) or (entry is not None and pa.types.is_nested(entry)):
        return _nested_categories(column, dtype)
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


def _nested_categories(column: pa.ChunkedArray[Any], dtype: Any) -> Any:
    """Categories such as intervals, by their codes where the dtype knows them; else the entries as dicts."""
    import pandas

    whole: Any = column.combine_chunks()
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    if isinstance(dtype, pandas.CategoricalDtype) and dtype.categories is not None:
        codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        if len(whole.dictionary) == len(dtype.categories):
            return pandas.Series(pandas.Categorical.from_codes(codes, dtype=dtype))
    return whole.dictionary.take(whole.indices).to_pandas()


def _plain_series(column: pa.ChunkedArray[Any]) -> Any:
    import pandas

    if column.null_count and pa.types.is_integer(column.type):
        return pandas.Series(_nullable(str(column.type)).__from_arrow__(column))
    if column.null_count and pa.types.is_boolean(column.type):
        return pandas.Series(_nullable("boolean").__from_arrow__(column))
    return column.to_pandas()


def _nullable(name: str) -> Any:
    import pandas

    return pandas.api.types.pandas_dtype(name.replace("uint", "UInt") if name[0] == "u" else name.replace("int", "Int"))
