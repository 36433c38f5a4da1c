"""`open_source` makes a `Source` of whatever the caller gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import IOBase
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io.device import device_source, lies_on_device
from gpuvgm.io.files import file_source
from gpuvgm.io.frames import (
    TableSource,
    dict_source,
    matrix_source,
    pandas_source,
    polars_source,
)
from gpuvgm.io.scans import dataset_source, iterator_source, lazy_source, relation_source, stream_source
from gpuvgm.io.source import Source, TextOptions, is_loaded

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    from pyarrow.dataset import Dataset

    class _ArrowStream(Protocol):
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

    #: What `open_source` and `any_source` open; frames, lists of paths and iterators of tables are iterable.
    TableLike = (
        str | os.PathLike[str] | Mapping[Any, Any] | Iterable[Any]
        | _ArrowStream | pl.LazyFrame | duckdb.DuckDBPyRelation | Dataset | Source
    )  # fmt: skip
else:
    TableLike = Any  # no library of frames is loaded for its type
Opener = Callable[[object], Source]
ACCEPTED = (
    "a path, glob, folder, URL or list of paths (Parquet, CSV, Arrow IPC), a pandas, polars or pyarrow "
    "table, a polars LazyFrame, a DuckDB relation, a pyarrow dataset, "
    "a dict of one-dimensional arrays, a two-dimensional array (of the host or of a CUDA device), a cuDF DataFrame, a "
    "DataFrame or Array of Dask, an object with __arrow_c_stream__, or an iterator of these"
)
_OF_LIBRARIES: tuple[tuple[str, str, Callable[[Any], Source]], ...] = (
    ("polars", "DataFrame", polars_source),
    ("polars", "LazyFrame", lazy_source),
    ("duckdb", "DuckDBPyRelation", relation_source),
    ("pyarrow.dataset", "Dataset", dataset_source),
)


def open_source(
    source: object, open_part: Opener | None = None, *, delimiter: str | None = None, as_text: bool = False
) -> Source:
    """Open anything that holds a table.

    Parameters
    ----------
    source : object
        A path to a file, a glob, a folder (searched through, sorted), the URL of one in a store (s3://, gs://, abfs://,
        memory://), or a list of these: Parquet, CSV and TSV (also gzipped), or Arrow IPC; a pandas
        DataFrame; a pyarrow Table, RecordBatch or RecordBatchReader; a polars DataFrame; a polars LazyFrame, a DuckDB
        relation or a pyarrow Dataset, which are scanned in batches, and counted first; anything else with
        `__arrow_c_stream__`; a dict of one-dimensional arrays; a two-dimensional array (columns "0", "1", …), also of
        another library that has DLPack, such as PyTorch; an
        iterator of any of those, which can be read once. A Source is returned as it is.
        On a CUDA device: a cuDF DataFrame, a dict of arrays some of which lie there, or a two-dimensional array; arrays
        of CuPy, and of any library that has DLPack or `__cuda_array_interface__` (PyTorch, Numba, JAX).
    open_part : callable, optional
        Opens what an iterator gives; by default this function.
    delimiter : str, optional
        The character between two fields of CSV files; by default the one that splits each file's header.
    as_text : bool
        Whether the columns of CSV files are text, whatever their values, which are not read before.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        For files that cannot be read and objects that are no tables; the message says what to do.
    """
    if delimiter is not None and not isinstance(source, (str, os.PathLike, list, tuple)):
        raise InputError("a delimiter is given, but the source is not a CSV file; leave it out")
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        return file_source([source], TextOptions(delimiter, as_text))
    if isinstance(source, (list, tuple)):
        return _from_list(source, delimiter, as_text=as_text)
    return _from_memory(source, open_part or open_source)


def _from_list(parts: Any, delimiter: str | None, *, as_text: bool) -> Source:
    if parts and all(isinstance(part, (str, os.PathLike)) for part in parts):
        return file_source(parts, TextOptions(delimiter, as_text))
    if not parts:
        raise InputError("an empty list was given as source; give at least one path")
    raise InputError("a list as source must hold paths only; for a list of frames pass iter(frames)")


def _from_memory(source: object, open_part: Opener) -> Source:
    if is_loaded("pandas", "DataFrame", source):
        return pandas_source(source)
    source = _of_host(source)
    refuse_no_table(source)
    if is_loaded("pyspark.sql", "DataFrame", source):
        raise InputError(
            "a DataFrame of Spark is not brought to this process: gpuvgm.integrations.spark has fit, encode and "
            "decode, which work where its rows are; frame.toArrow() is all of them here"
        )
    # Before dictionaries: some of their arrays may lie on a device.
    table = device_source(source) or _from_frame(source)
    if table is not None:
        return table
    if isinstance(source, Mapping):
        return dict_source(source)
    if isinstance(source, np.ndarray):
        return matrix_source(source)
    if isinstance(source, Iterator):
        return iterator_source(source, open_part)
    if hasattr(source, "collect"):
        raise InputError(f"a lazy {type(source).__name__} has no rows yet; pass the result of its collect()")
    raise InputError(f"{type(source).__name__} cannot be read as a table; give {ACCEPTED}")


def _of_host(source: Any) -> Any:
    """An array of NumPy in place of one of the host by another library, such as a tensor of PyTorch."""
    is_array = hasattr(type(source), "__dlpack_device__") and not isinstance(source, (np.ndarray, pa.Array))
    if not is_array or lies_on_device(source):
        return source
    try:
        return np.from_dlpack(source)
    except (BufferError, RuntimeError, TypeError) as problem:
        raise InputError(
            f"{type(source).__name__}: its numbers cannot be read ({problem}); pass a NumPy array of them, of a tensor "
            "of PyTorch tensor.detach().numpy()"
        ) from problem


def _from_frame(source: Any) -> Source | None:
    for module, kind, opener in _OF_LIBRARIES:
        if is_loaded(module, kind, source):
            return opener(source)
    if isinstance(source, pa.Table):
        return TableSource("pyarrow.Table", "pyarrow", source)
    if isinstance(source, pa.RecordBatch):
        return TableSource("pyarrow.RecordBatch", "pyarrow", pa.Table.from_batches([source]))
    if isinstance(source, pa.RecordBatchReader):
        return stream_source("pyarrow.RecordBatchReader", source)
    if hasattr(source, "__arrow_c_stream__"):
        return stream_source(type(source).__name__, source)
    return None


def refuse_no_table(source: Any) -> None:
    """Refuse objects that look like a table but are none, above all single columns.

    Raises
    ------
    InputError
        With the expression that makes it one.
    """
    kind = type(source).__name__
    if isinstance(source, IOBase):
        raise InputError(f"an open file ({kind}) is not read as a table; pass its path")
    if any(is_loaded(library, "Series", source) for library in ("pandas", "polars", "cudf")):
        raise InputError(f"a {kind} is one column, not a table; pass series.to_frame() (with a name)")
    if isinstance(source, np.ndarray) and source.dtype.names:
        raise InputError(
            "a structured array is not read as a table; pass {name: array[name] for name in array.dtype.names}"
        )
    is_array = isinstance(source, np.ndarray) or lies_on_device(source)
    dimensions = getattr(source, "ndim", 2) if is_array else 2
    if isinstance(source, (pa.Array, pa.ChunkedArray)) or dimensions == 1:
        raise InputError(f'a one-dimensional {kind} has no column name; pass {{"name": array}}')
    if dimensions != 2:
        raise InputError(f"an array with {dimensions} dimensions is not a table; pass two: rows and columns")
