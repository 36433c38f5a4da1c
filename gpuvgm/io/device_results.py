"""Results on a device: blocks put together, and given back as cuDF frames or dicts of the device's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Array, Column, DeviceColumn, namespace_of
from gpuvgm.io.arrow_values import joined_arrays
from gpuvgm.io.block import DeviceTable
from gpuvgm.io.device import DeviceSource, is_plain
from gpuvgm.io.numpy_arrays import LARGEST_WHOLE, numpy_array

Table = pa.Table | DeviceTable


def joined(parts: Sequence[pa.RecordBatch | DeviceTable], schema: pa.Schema) -> Table:
    """Blocks as one table: of the host where all lie there, else on the device, column by column."""
    if not any(isinstance(part, DeviceTable) for part in parts):
        return pa.Table.from_batches(parts, schema)  # type: ignore[arg-type]
    columns = {name: _joined([part.column(name) for part in parts]) for name in schema.names}
    return DeviceTable(columns, sum(part.num_rows for part in parts))


def _joined(parts: Sequence[Column]) -> Column:
    if len(parts) == 1:
        return parts[0]
    here = [part for part in parts if isinstance(part, DeviceColumn)]
    if len(here) < len(parts):
        together: Any = parts
        whole: Column = joined_arrays(together, parts[0].type)
        return whole
    xp = namespace_of(here[0].values)
    missing = None
    if any(part.missing is not None for part in here):
        missing = xp.concatenate([_mask(part) for part in here])
    return DeviceColumn(xp.concatenate([part.values for part in here]), here[0].type, missing)


def _mask(column: DeviceColumn) -> Array:
    none = namespace_of(column.values).zeros(len(column), dtype=np.bool_)
    return none if column.missing is None else column.missing


def host_table(table: Table) -> pa.Table:
    """The table in the memory of the host."""
    return pa.Table.from_batches([table.to_arrow()]) if isinstance(table, DeviceTable) else table


def to_device(table: Table, like: DeviceSource) -> Any:
    """A table as what lay on the device: a cuDF frame with its index, or a dict of arrays.

    A dict has the device's arrays for numbers (float64 with NaN where values are missing) and NumPy's, as
    `numpy_array` makes them, for everything that the device's arrays cannot hold.
    """
    if like.flavour == "cudf":
        return to_cudf(table, like)
    return {name: to_array(name, table.column(name), like.namespace) for name in table.schema.names}


def to_array(name: str, column: Any, namespace: Any) -> Any:
    """One column as an array of the device, where the device has such."""
    if not isinstance(column, DeviceColumn):
        values = numpy_array(name, column)
        return namespace.asarray(values) if values.dtype.kind in "fiub" else values
    if pa.types.is_temporal(column.type) or _beyond_floats(column):
        return numpy_array(name, column.to_arrow())
    values = column.values
    if column.missing is None or not column.missing.any():
        return values
    wide = values if values.dtype.kind == "f" else values.astype(np.float64)
    return namespace.where(column.missing, wide.dtype.type(np.nan), wide)


def _beyond_floats(column: DeviceColumn) -> bool:
    """Whether a column has missing values, and integers that float64 may not hold."""
    values, missing = column.values, column.missing
    if missing is None or values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or not missing.any():
        return False
    beyond = values > LARGEST_WHOLE
    if values.dtype.kind == "i":
        beyond |= values < -LARGEST_WHOLE
    return bool((beyond & ~missing).any())


def to_cudf(table: Table, like: DeviceSource) -> Any:
    """A cuDF DataFrame, with the source's index where the number of rows is the same."""
    import cudf

    frame = cudf.DataFrame({name: to_series(table.column(name)) for name in table.schema.names})
    if like.index is not None and len(like.index) == table.num_rows:
        frame.index = like.index
    return frame


def to_series(column: Any) -> Any:
    """One column as a cuDF Series: arrays of the device without a copy through the host."""
    import cudf

    if not isinstance(column, DeviceColumn) or not is_plain(column.type):
        return cudf.Series.from_arrow(column.to_arrow() if isinstance(column, DeviceColumn) else column)
    series = cudf.Series(column.values, nan_as_null=False)
    if pa.types.is_temporal(column.type):
        series = series.astype(str(column.type).replace("timestamp", "datetime64").replace("duration", "timedelta64"))
    return series if column.missing is None else series.mask(cudf.Series(column.missing))
