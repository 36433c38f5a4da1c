"""The border at which what a user hands in becomes a `Source`: which kinds of objects hold tables, and who opens them.

Behind it nobody asks again what it was. A library whose tables are read is a line of `OPENERS`, the table at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import IOBase
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io.device import arrays_source, cudf_source, device_matrix, lies_on_device
from gpuvgm.io.files import file_source
from gpuvgm.io.formats import READ_FORMATS
from gpuvgm.io.frames import arrow_source, matrix_source, pandas_source, polars_source
from gpuvgm.io.scans import dataset_source, iterator_source, lazy_source, relation_source, stream_source
from gpuvgm.io.source import BY_HEADER, Source, TextOptions, is_loaded

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
Recogniser = Callable[[Any], bool]
#: How objects of a kind are recognised, and what opens one, or refuses it with what to do instead.
Opener = tuple[Recogniser, Callable[[Any], Source]]
ACCEPTED = (
    f"a path, glob, folder, URL or list of paths ({READ_FORMATS}), a pandas, polars or pyarrow "
    "table, a polars LazyFrame, a DuckDB relation, a pyarrow dataset, "
    "a dict of one-dimensional arrays, a two-dimensional array (of the host or of a CUDA device), a cuDF DataFrame, a "
    "DataFrame or Array of Dask, an object with __arrow_c_stream__, or an iterator of these"
)


def open_source(
    source: object, openers: Sequence[Opener] = (), *, delimiter: str | None = None, as_text: bool = False
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
    openers : sequence of (callable, callable)
        More kinds of objects, which are asked for before those of `OPENERS`, also of what an iterator gives.
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
    if delimiter is not None or as_text:
        if not isinstance(source, (str, os.PathLike, list, tuple)):
            raise InputError("a delimiter is given, but the source is not a CSV file; leave it out")
        return _open_files(source, TextOptions(delimiter, as_text))
    for recognises, opens in (*openers, *OPENERS):
        if recognises(source):
            return opens(source)
    if isinstance(source, Iterator):
        return iterator_source(source, partial(open_source, openers=openers))
    raise _no_table(source)


def _no_table(source: object) -> InputError:
    """The error for an object of no known kind."""
    kind = type(source).__name__
    if hasattr(source, "collect"):
        return InputError(f"a lazy {kind} has no rows yet; pass the result of its collect()")
    return InputError(f"{kind} cannot be read as a table; give {ACCEPTED}")


# -- files


def _open_files(source: Any, text: TextOptions = BY_HEADER) -> Source:
    """A source over a path, or a list of paths."""
    paths = [source] if isinstance(source, (str, os.PathLike)) else source
    if not paths:
        raise InputError("an empty list was given as source; give at least one path")
    if not all(isinstance(path, (str, os.PathLike)) for path in paths):
        raise InputError("a list as source must hold paths only; for a list of frames pass iter(frames)")
    return file_source(paths, text)


# -- arrays


def _is_array(source: Any) -> bool:
    """Return whether an object is an array of NumPy, or of another library that has DLPack or lies on a device."""
    return isinstance(source, np.ndarray) or hasattr(type(source), "__dlpack_device__") or lies_on_device(source)


def _open_array(array: Any) -> Source:
    """A source over an array of rows and columns, of the host or of a device."""
    on_device = lies_on_device(array)
    array = array if on_device else _of_host(array)
    dimensions = getattr(array, "ndim", 2)
    if dimensions == 1:
        _refuse(NO_NAME)(array)
    if dimensions != 2:
        raise InputError(f"an array with {dimensions} dimensions is not a table; pass two: rows and columns")
    return device_matrix(array) if on_device else matrix_source(array)


def _of_host(array: Any) -> Any:
    """An array of NumPy, also in place of one of another library, such as a tensor of PyTorch."""
    try:
        host_array = array if isinstance(array, np.ndarray) else np.from_dlpack(array)
    except (BufferError, RuntimeError, TypeError) as problem:
        raise InputError(
            f"{type(array).__name__}: its numbers cannot be read ({problem}); pass a NumPy array of them, of a tensor "
            "of PyTorch tensor.detach().numpy()"
        ) from problem
    if host_array.dtype.names:
        raise InputError(
            "a structured array is not read as a table; pass {name: array[name] for name in array.dtype.names}"
        )
    return host_array


# -- the table


def _is(*kinds: type) -> Recogniser:
    """Recognises instances of classes."""
    return lambda source: isinstance(source, kinds)


def _named(module: str, name: str) -> Recogniser:
    """Recognises instances of a class of a library, which is not loaded for it."""
    return partial(is_loaded, module, name)


def _has(method: str) -> Recogniser:
    """Recognises objects with a method."""
    return lambda source: hasattr(source, method)


def _refuse(message: str) -> Callable[[Any], NoReturn]:
    """Opens nothing: raises an error that says what to pass instead, in which {} is the object's class."""

    def refuse(source: Any) -> NoReturn:
        raise InputError(message.format(type(source).__name__))

    return refuse


ONE_COLUMN = "a {} is one column, not a table; pass series.to_frame() (with a name)"
NO_NAME = 'a one-dimensional {} has no column name; pass {{"name": array}}'
OPEN_FILE = "an open file ({}) is not read as a table; pass its path"
ROWS_OF_SPARK = (
    "a DataFrame of Spark is not brought to this process: gpuvgm.integrations.spark has fit, encode and decode, which "
    "work where its rows are; frame.toArrow() is all of them here"
)
TABLE_OF_A_LOG = "a {} is not read by itself: pass "  # of a table whose log says which of its files count
#: In the order in which they are asked for: a kind that is a case of another stands before it.
OPENERS: tuple[Opener, ...] = (
    (_is(Source), lambda source: source),
    (_is(str, os.PathLike, list, tuple), _open_files),
    (_named("pandas", "DataFrame"), pandas_source),
    (_named("cudf", "DataFrame"), cudf_source),
    (_named("polars", "DataFrame"), polars_source),
    (_named("polars", "LazyFrame"), lazy_source),
    (_named("duckdb", "DuckDBPyRelation"), relation_source),
    (_named("pyarrow.dataset", "Dataset"), dataset_source),
    (_named("pyspark.sql", "DataFrame"), _refuse(ROWS_OF_SPARK)),
    (_named("deltalake", "DeltaTable"), _refuse(TABLE_OF_A_LOG + "table.to_pyarrow_dataset()")),
    (_named("pyiceberg.table", "Table"), _refuse(TABLE_OF_A_LOG + "table.scan().to_arrow()")),
    (_named("pyiceberg.table", "TableScan"), _refuse(TABLE_OF_A_LOG + "scan.to_arrow()")),
    (_named("pandas", "Series"), _refuse(ONE_COLUMN)),
    (_named("polars", "Series"), _refuse(ONE_COLUMN)),
    (_named("cudf", "Series"), _refuse(ONE_COLUMN)),
    (_is(IOBase), _refuse(OPEN_FILE)),
    (_is(pa.Array, pa.ChunkedArray), _refuse(NO_NAME)),
    (_is_array, _open_array),
    (_is(pa.Table, pa.RecordBatch), arrow_source),
    (_has("__arrow_c_stream__"), stream_source),
    (_is(Mapping), arrays_source),
)
