"""What stands for cuDF: frames whose columns are arrays of the strict device, worked on by its null stream."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.harness.device.hardware import POISON

HOST = "Implicit conversion to a host NumPy array via __array__ is not allowed"


def _cupy() -> Any:
    return sys.modules["cupy"]


def on_null_stream(method: Callable[..., Any]) -> Callable[..., Any]:
    """libcudf works on CUDA's null stream, whatever CuPy's current one is."""

    @wraps(method)
    def call(*given: Any, **options: Any) -> Any:
        with _cupy().cuda.Stream.null:
            return method(*given, **options)

    return call


def is_array(type_: pa.DataType) -> bool:
    """Whether a column is one array of numbers, with a mask."""
    plain = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_)
    return bool(plain or pa.types.is_timestamp(type_) or pa.types.is_duration(type_))


def _has_zone(type_: pa.DataType) -> bool:
    return pa.types.is_timestamp(type_) and type_.tz is not None


def stored_type(type_: pa.DataType) -> Any:
    """Dtype of the numbers."""
    return np.int64 if pa.types.is_temporal(type_) else type_.to_pandas_dtype()


def unscaled(array: Any) -> np.ndarray:
    """Decimals as integers, those of 128 bits as two words a row; under a null is anything."""
    words = np.frombuffer(array.buffers()[1], np.int32 if array.type.bit_width == 32 else np.int64)
    words = words.reshape(-1, 2) if array.type.bit_width == 128 else words
    return words[array.offset : array.offset + len(array)].copy()


class Owner:
    """Memory that cuDF may spill, unless it is locked or its address was given away."""

    def __init__(self, memory: Any) -> None:
        self.held, self.memory = memory, getattr(memory, "_memory", memory)
        memory = self.memory
        vars(memory).setdefault("exposed", False)
        vars(memory).setdefault("locks", WeakSet())
        vars(memory).setdefault("spilled", None)

    def spill_lock(self, lock: Any) -> None:
        self.unspill()
        self.memory.locks.add(lock)

    def spill(self) -> None:
        """Move the bytes to the host; whoever still has the address finds poison there."""
        assert self.spillable
        root = self.memory.root.reshape(-1).view(np.uint8)
        self.memory.hardware.finish(self.memory.home.clock())
        if self.memory.spilled is None:
            self.memory.spilled = root.copy()
            root[...] = POISON

    def unspill(self) -> None:
        """Bring the bytes back."""
        if self.memory.spilled is not None:
            self.memory.root.reshape(-1).view(np.uint8)[...] = self.memory.spilled
            self.memory.spilled = None

    @property
    def exposed(self) -> bool:
        return bool(self.memory.exposed)

    @property
    def spillable(self) -> bool:
        return not self.exposed and not self.memory.locks


class Buffer:
    """A buffer as cuDF 26.02 and later have it: who asks for its address without a lock exposes it for good."""

    def __init__(self, memory: Any) -> None:
        self.owner = Owner(memory)

    @property
    def ptr(self) -> int:
        self.owner.unspill()
        self.owner.memory.exposed |= not self.owner.memory.locks
        return int(self.owner.memory.root.ctypes.data)


class Column:
    """A column's buffers; rows are counted from the start of both, by an offset."""

    def __init__(self, values: Any, null: Any) -> None:
        host, root = values._host, values._memory.root
        row = host.nbytes // len(host) if len(host) else 1
        first = (host.ctypes.data - root.ctypes.data) // row if len(host) else 0
        self._data, self._mask, self._place = Buffer(values._memory), None, (first, len(host))
        if null is not None:
            cupy = _cupy()
            with values.device:
                bits = cupy.concatenate([cupy.ones(first, bool), ~null])
                self._bits = cupy.packbits(bits, bitorder="little")
            self._mask = Buffer(self._bits._memory)
        self.plc_column = SimpleNamespace(
            data=lambda: self._data, null_mask=lambda: self._mask, offset=lambda: first, size=lambda: len(host)
        )

    def access(self, **_: Any) -> Any:
        raise NotImplementedError


class Series:
    """A column: numbers with a mask of nulls, or anything else in Arrow's form."""

    ndim = 1

    def __init__(self, data: Any, index: Any = None, name: Any = None, nan_as_null: bool = True) -> None:
        if isinstance(data, CategoricalIndex):
            self._set(data.codes._values, data.codes._null, data.type, None, data.categories)
            return
        cupy = _cupy()
        values = data if isinstance(data, cupy.ndarray) else cupy.asarray(np.asarray(data))
        null = cupy.isnan(values) if nan_as_null and values.dtype.kind == "f" else None
        self._set(values, null, pa.from_numpy_dtype(values.dtype), None)
        self.name = name

    def _set(self, values: Any, null: Any, type_: pa.DataType, arrow: Any, words: Any = None) -> Series:
        self._stored, self._null, self._type, self._arrow, self._words = values, null, type_, arrow, words
        self.name, self.index = getattr(self, "name", None), None
        return self

    @property
    def _values(self) -> Any:
        """The numbers, brought back to the device if they were spilled."""
        if self._stored is not None:
            Owner(self._stored._memory).unspill()
        return self._stored

    @classmethod
    def _of(cls, values: Any, null: Any, type_: pa.DataType, words: Any = None) -> Series:
        return object.__new__(cls)._set(values, null, type_, None, words)

    @classmethod
    @on_null_stream
    def from_arrow(cls, array: Any) -> Series:
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
        array = array.cast(pa.string()) if pa.types.is_string_view(array.type) else array
        null = _cupy().asarray(array.is_null().to_numpy(zero_copy_only=False)) if array.null_count else None
        if pa.types.is_dictionary(array.type):
            codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
            return cls._of(_cupy().asarray(codes.astype(f"u{codes.dtype}")), null, array.type, array.dictionary)
        if pa.types.is_decimal(array.type):
            return cls._of(_cupy().asarray(unscaled(array)), null, array.type)
        if not is_array(array.type):
            _cupy().hardware.ledger.add(bytes_up=array.nbytes)
            return object.__new__(cls)._set(None, None, array.type, array)
        stored = array.view(pa.int64()) if pa.types.is_temporal(array.type) else array
        if array.null_count:
            stored = stored.fill_null(False if pa.types.is_boolean(array.type) else 0)
        values = stored.to_numpy(zero_copy_only=False).astype(stored_type(array.type))
        return cls._of(_cupy().asarray(values), null, array.type)

    @property
    @on_null_stream
    def _column(self) -> Any:
        return SimpleNamespace() if self._values is None else Column(self._values, self._null)

    @property
    def buffers(self) -> list[Owner]:
        """The memory of the column, for tests that ask what may be spilled."""
        return [Owner(one._memory) for one in (self._stored, self._null) if one is not None]

    def __len__(self) -> int:
        return len(self._arrow) if self._stored is None else len(self._stored)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(HOST)

    def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002
        raise TypeError("Implicit conversion to a host PyArrow object via __arrow_array__ is not allowed")

    def groupby(self, *_: Any) -> Any:
        raise NotImplementedError

    mean = groupby

    def __iter__(self) -> Any:
        raise TypeError("Series object is not iterable: use .to_arrow()")

    def __getitem__(self, rows: Any) -> Series:
        assert self._null is None
        return Series._of(self._values[_cupy().asarray(rows)], None, self._type)

    def rename(self, name: Any) -> Series:
        renamed = object.__new__(Series)._set(self._values, self._null, self._type, self._arrow, self._words)
        renamed.name = name
        return renamed

    def head(self, rows: int = 5) -> Series:
        return self.iloc[:rows]  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """NumPy's for numbers, booleans and times without a zone; others here are those of Python's objects."""
        return np.dtype(self._type.to_pandas_dtype() if is_array(self._type) and not _has_zone(self._type) else object)

    @property
    def iloc(self) -> Any:
        owner = self

        class Rows:
            @on_null_stream
            def __getitem__(self, rows: Any) -> Series:
                if isinstance(rows, np.ndarray):
                    return owner._gathered(rows)
                if owner._values is None:
                    start, stop, _ = rows.indices(len(owner))
                    return object.__new__(Series)._set(None, None, owner._type, owner._arrow.slice(start, stop - start))
                null = None if owner._null is None else owner._null[rows]
                return Series._of(owner._values[rows], null, owner._type, owner._words)

        return Rows()

    @on_null_stream
    def take(self, places: Series) -> Series:
        """Rows by their numbers on the device, none of them null, with these numbers for an index."""
        assert places._null is None and places._values.dtype.kind in "iu"
        if len(places):
            places._values.max().get()  # cuDF looks whether they are within bounds
        taken = self._gathered(places._values)
        taken.index = places
        return taken

    def reset_index(self, *, drop: bool) -> Series:
        assert drop
        return self._set(self._stored, self._null, self._type, self._arrow, self._words)

    @on_null_stream
    def _gathered(self, rows: Any) -> Series:
        if self._values is None:
            numbers = getattr(rows, "_host", rows)  # text lies on the device as well
            return object.__new__(Series)._set(None, None, self._type, self._arrow.take(pa.array(numbers)))
        there = _cupy().asarray(rows)
        null = None if self._null is None else self._null[there]
        return Series._of(self._values[there], null, self._type, self._words)

    @property
    @on_null_stream
    def null_count(self) -> int:
        if self._values is None:
            return int(self._arrow.null_count)
        return 0 if self._null is None else int(self._null.sum())

    @on_null_stream
    def isna(self) -> Series:
        cupy = _cupy()
        if self._values is None:
            return Series(self._arrow.is_null().to_numpy(zero_copy_only=False))
        null = cupy.zeros(len(self), bool) if self._null is None else self._null
        if self._values.dtype.kind == "f":
            null = null | cupy.isnan(self._values)
        return Series._of(null, None, pa.bool_())

    @on_null_stream
    def fillna(self, value: Any) -> Series:
        null = self.isna()._values
        return Series._of(_cupy().where(null, self._values.dtype.type(value), self._values), None, self._type)

    @on_null_stream
    def astype(self, name: str) -> Series:
        if name == "int64":
            assert self._values.dtype == np.int64
            return Series._of(self._values, self._null, pa.int64())
        kind, _, unit = name.partition("[")
        type_ = {"datetime64": pa.timestamp, "timedelta64": pa.duration}[kind](unit.rstrip("]"))
        return Series._of(self._values, self._null, type_)

    @property
    @on_null_stream
    def values(self) -> Any:
        if self._values is None or self._words is not None or pa.types.is_decimal(self._type):
            raise NotImplementedError(f"CuPy does not support {self._type}")
        self._values._memory.exposed = True
        if self.null_count:
            raise ValueError("Column must have no nulls.")
        return self._values.view()

    @on_null_stream
    def mask(self, rows: Series) -> Series:
        if self._values is None:
            _cupy().hardware.touch([rows._values])
            masked = pc.if_else(pa.array(rows._values._host), pa.scalar(None, self._type), self._arrow)
            return object.__new__(Series)._set(None, None, self._type, masked)
        null = rows._values if self._null is None else self._null | rows._values
        return Series._of(self._values, null, self._type, self._words)

    @property
    @on_null_stream
    def cat(self) -> Any:
        """Codes as pandas has them, with nulls, and categories."""
        kind = next(one for one in ("int8", "int16", "int32") if len(self._words) < np.iinfo(one).max)
        return SimpleNamespace(
            codes=Series._of(self._values.astype(kind), self._null, pa.from_numpy_dtype(np.dtype(kind))),
            categories=SimpleNamespace(to_arrow=lambda: self._words),
            ordered=self._type.ordered,  # type: ignore[attr-defined]
        )

    @on_null_stream
    def to_arrow(self) -> Any:
        if self._values is None:
            _cupy().hardware.ledger.add(bytes_down=self._arrow.nbytes, synchronisations=1)
            return self._arrow
        if not len(self):
            _cupy().hardware.ledger.add(synchronisations=1)  # libcudf waits for its stream
        mask = None if self._null is None else self._null.get()
        values = self._values.get()
        if self._words is not None:  # with the least codes that hold those which occur
            kind = np.min_scalar_type(-1 - int(values.max(initial=0)))
            codes = pa.array(values.astype(kind), mask=mask)
            return pa.DictionaryArray.from_arrays(codes, self._words, ordered=self._type.ordered)  # type: ignore[attr-defined]
        if pa.types.is_decimal(self._type):
            holds = None if mask is None else pa.array(~mask).buffers()[1]
            return pa.Array.from_buffers(self._type, len(values), [holds, pa.py_buffer(values.tobytes())])
        array = pa.array(values, mask=mask)
        return array if array.type == self._type else array.view(self._type)


class CategoricalIndex:
    """Codes on the device and their categories."""

    def __init__(self, codes: Series, categories: Any, type_: pa.DataType) -> None:
        self.codes, self.categories, self.type = codes, categories, type_

    @classmethod
    @on_null_stream
    def from_codes(cls, codes: Series, categories: Any, ordered: bool, name: Any = None) -> CategoricalIndex:
        """Unsigned codes, as few bits as the categories need."""
        kind = np.min_scalar_type(len(categories))
        assert codes._values.dtype.kind in "iu"
        few = Series._of(codes._values.astype(kind), codes._null, pa.from_numpy_dtype(kind))
        return cls(few, categories, pa.dictionary(pa.from_numpy_dtype(kind), categories.type, ordered))


class DataFrame:
    """Columns of one length, and an index."""

    ndim = 2

    def __dask_tokenize__(self) -> Any:
        return "a frame on the device", id(self), id(_cupy())

    def __init__(self, data: Any, index: Any = None, columns: Any = None) -> None:
        if not isinstance(data, dict):
            matrix = _cupy().asarray(data)
            data = {name: _cupy().ascontiguousarray(matrix[:, j]) for j, name in enumerate(columns)}
        self._columns = {name: one if isinstance(one, Series) else Series(one) for name, one in data.items()}
        assert all(one.index is None for one in self._columns.values())  # cuDF would join rows by their index
        self.index = index if index is not None else range(len(self))

    @classmethod
    def from_pandas(cls, frame: Any) -> DataFrame:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        return cls({name: Series.from_arrow(table[name]) for name in table.column_names}, list(frame.index))

    @classmethod
    def from_arrow(cls, table: pa.Table) -> DataFrame:
        return cls({name: Series.from_arrow(table[name]) for name in table.column_names})

    @property
    def columns(self) -> Any:
        import pandas

        return pandas.Index(list(self._columns))

    def __iter__(self) -> Any:
        return iter(self._columns)

    def items(self) -> Any:
        return self._columns.items()

    def head(self, rows: int = 5) -> DataFrame:
        return self.iloc[:rows]  # type: ignore[no-any-return]

    def groupby(self, *_: Any) -> Any:
        raise NotImplementedError

    merge = mean = groupby

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), len(self._columns)

    @property
    def dtypes(self) -> dict[str, Any]:
        return {name: one.dtype for name, one in self._columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(HOST)

    def __getitem__(self, name: Any) -> Any:
        if isinstance(name, list):
            return DataFrame({one: self._columns[one] for one in name}, self.index)
        if isinstance(name, (_cupy().ndarray, np.ndarray)):
            name = _cupy().asarray(name)
            kept = {one: Series._of(c._values[name], None, c._type, c._words) for one, c in self._columns.items()}
            return DataFrame(kept, [label for label, here in zip(self.index, name.tolist(), strict=True) if here])
        return self._columns[name]

    @property
    def iloc(self) -> Any:
        owner = self

        class Cells:
            def __getitem__(self, place: Any) -> Any:
                if isinstance(place, slice):
                    parts = {name: one.iloc[place] for name, one in owner._columns.items()}
                    return DataFrame(parts, owner.index[place])
                rows, column = place
                assert rows == slice(None)
                return owner._columns[owner.columns[column]]

        return Cells()


for _one in (Series, DataFrame):
    _one.__module__ = "cudf.core"


def read_parquet(path: str, columns: Any, row_groups: Any, use_pandas_metadata: bool) -> DataFrame:
    """As cuDF reads, with durations as the integers that Parquet knows, and short decimals in short integers."""
    assert not use_pandas_metadata
    ((groups),) = row_groups
    table = pq.ParquetFile(path).read_row_groups(groups, columns=columns)
    return DataFrame({name: Series.from_arrow(_as_stored(table[name].combine_chunks())) for name in columns})


def decimal_type(bits: int, precision: int, scale: int) -> Any:
    """Decimals of so many bits."""
    return getattr(pa, f"decimal{bits}")(precision, scale)


def _as_stored(array: Any) -> Any:
    type_ = array.type
    if pa.types.is_decimal(type_) and type_.precision <= 18:
        return array.cast(decimal_type(32 if type_.precision <= 9 else 64, type_.precision, type_.scale))
    return array.cast(pa.int64()) if pa.types.is_duration(type_) else array


def use_strict_cudf(monkeypatch: Any) -> Any:
    """Let these frames stand for cuDF's, on the device that stands for CuPy's."""
    cudf: Any = ModuleType("cudf")
    cudf.__spec__ = ModuleSpec("cudf", None)
    cudf.Series, cudf.DataFrame, cudf.read_parquet = Series, DataFrame, read_parquet
    cudf.CategoricalIndex = CategoricalIndex
    monkeypatch.setitem(sys.modules, "cudf", cudf)
    monkeypatch.setitem(sys.modules, "cudf.core", cudf)  # where pickles look for the classes
    for name in ("cudf.comm", "distributed.protocol.cupy"):  # which Dask asks how frames and arrays travel: pickled
        vars(protocol := ModuleType(name))["serialize"] = None
        monkeypatch.setitem(sys.modules, name, protocol)
    monkeypatch.setitem(sys.modules, "dask_cudf", ModuleType("dask_cudf"))  # Dask imports it for what it finds in cudf
    return cudf


def dask_frame(parts: Any) -> Any:
    """A frame of Dask whose partitions are these, as dask-cudf's are cuDF's."""
    import dask
    import dask.dataframe as dd

    register_frames()
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(registered, list(parts), meta=parts[0].iloc[:0])


def registered(part: Any) -> Any:
    """A partition, where Dask knows of these frames."""
    register_frames()
    return part


def register_frames() -> None:
    """Tell Dask of these frames, as dask-cudf does of cuDF's where it is imported."""
    import dask.dataframe as dd
    from dask.dataframe import get_collection_type
    from dask.dataframe.dispatch import (
        concat_dispatch,
        get_parallel_type,
        make_meta_dispatch,
        make_meta_obj,
        meta_nonempty,
    )

    for dispatch in (get_collection_type, get_parallel_type):
        dispatch.register(DataFrame, lambda _: dd.DataFrame)
        dispatch.register(Series, lambda _: dd.Series)
    for kind in (DataFrame, Series):
        make_meta_dispatch.register(kind, lambda one, index=None: one.iloc[:0])
        make_meta_obj.register(kind, lambda given, index=None: Series(_cupy().zeros(0, given[1]), name=given[0]))
        meta_nonempty.register(kind, lambda one: one)
        concat_dispatch.register(kind, _concatenated)


def _concatenated(parts: Any, **_: Any) -> Any:
    if isinstance(parts[0], Series):
        return Series.from_arrow(pa.chunked_array([part.to_arrow() for part in parts]))
    columns = {name: _concatenated([part[name] for part in parts]) for name in parts[0].columns}
    return DataFrame(columns, [label for part in parts for label in part.index])
