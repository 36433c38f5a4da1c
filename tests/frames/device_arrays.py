"""Arrays that stand for those of a device: NumPy's inside, but strict as CuPy's are about what they meet."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from gpuvgm import engines
from gpuvgm.engines.cuda import CudaEngine
from tests.kernels.emulated import EmulatedDevice, Resident


class OnDevice(Resident):
    """An array of the device: it meets no array of the host, and no function of NumPy."""

    def __array_namespace__(self, **_: Any) -> Any:
        return NAMESPACE

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def get(self) -> np.ndarray:
        return np.array(self, subok=False)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if out is not None:
            options["out"] = tuple(_plain(one) for one in out)
        result = getattr(function, method)(*map(_plain, inputs), **options)
        return _wrapped(result) if out is None else out[0]

    def __array_function__(self, function: Any, _: Any, given: Any, options: Any) -> Any:
        if function is np.copyto:  # how the emulated device copies to the host
            return np.copyto(*(np.asarray(one) for one in given), **options)
        raise TypeError(f"numpy.{function.__name__} was given an array of the device")

    def __getitem__(self, key: Any) -> Any:
        return _wrapped(np.asarray(self)[_plain(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        np.asarray(self)[_plain(key)] = _plain(value)


def _plain(value: Any) -> Any:
    """NumPy's array inside; an array of the host is refused."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list):
        return list(map(_plain, value))
    if isinstance(value, OnDevice):
        return value.view(np.ndarray)
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("an array of the host was given where arrays of the device are worked on")
    return value


def _wrapped(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(map(_wrapped, result))
    return result.view(OnDevice) if isinstance(result, np.ndarray) else result


class Namespace(ModuleType):
    """The functions of `OnDevice`; `asarray` and `array` copy from the host."""

    ndarray = OnDevice

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, type) or not callable(found):
            return found

        def call(*given: Any, **options: Any) -> Any:
            if name in ("asarray", "array", "ascontiguousarray"):
                first = given[0].view(np.ndarray) if isinstance(given[0], OnDevice) else np.array(given[0])
                return _wrapped(found(first, *given[1:], **options))
            return _wrapped(found(*map(_plain, given), **options))

        return call


NAMESPACE = Namespace("emulated")


def up(values: Any) -> Any:
    """An array of the host as one of the device."""
    return np.array(values).view(OnDevice)


def use_emulated_device(monkeypatch: Any) -> EmulatedDevice:
    """Let engine="cuda" run on an emulated device whose arrays are `OnDevice`."""
    device = EmulatedDevice(xp=NAMESPACE)
    host = engines.get_engine("auto")
    engines.get_engine.cache_clear()
    monkeypatch.setattr(engines, "_cuda_engine", lambda: CudaEngine(host, device))
    monkeypatch.setattr(engines, "cuda_problem", lambda: None)
    return device


class FakeSeries:
    """What is used of a cuDF Series, over NumPy arrays; `mask` tells its nulls."""

    def __init__(self, values: Any, nan_as_null: bool = True, null: Any = None, arrow: Any = None) -> None:
        import pyarrow as pa

        self._arrow = arrow
        if arrow is None:
            array = np.array(values, subok=False)
            self._arrow = pa.array(array, mask=None if null is None else np.asarray(null))

    @classmethod
    def from_arrow(cls, array: Any) -> FakeSeries:
        return cls(None, arrow=array)

    def __len__(self) -> int:
        return len(self._arrow)

    @property
    def dtype(self) -> Any:
        return self._arrow.type.to_pandas_dtype()

    @property
    def iloc(self) -> Any:
        owner = self

        class Rows:
            def __getitem__(self, rows: slice) -> FakeSeries:
                start, stop, _ = rows.indices(len(owner))
                return FakeSeries(None, arrow=owner._arrow.slice(start, stop - start))

        return Rows()

    @property
    def null_count(self) -> int:
        return int(self._arrow.null_count)

    def isna(self) -> FakeSeries:
        return FakeSeries.from_arrow(self._arrow.is_null(nan_is_null=True))

    def fillna(self, value: Any) -> FakeSeries:
        return FakeSeries.from_arrow(self._arrow.fill_null(value))

    def astype(self, name: str) -> FakeSeries:
        import pyarrow as pa

        if name == "int64":
            return FakeSeries.from_arrow(self._arrow.view(pa.int64()))
        kind, _, unit = name.partition("[")
        type_ = {"datetime64": pa.timestamp, "timedelta64": pa.duration}[kind](unit.rstrip("]"))
        return FakeSeries.from_arrow(self._arrow.view(type_))

    @property
    def values(self) -> Any:
        assert not self._arrow.null_count
        return self._arrow.to_numpy(zero_copy_only=False).copy().view(OnDevice)

    def mask(self, rows: FakeSeries) -> FakeSeries:
        import pyarrow as pa
        import pyarrow.compute as pc

        return FakeSeries.from_arrow(pc.if_else(rows._arrow, pa.scalar(None, self._arrow.type), self._arrow))

    def to_arrow(self) -> Any:
        return self._arrow


class FakeFrame:
    """What is used of a cuDF DataFrame."""

    def __init__(self, columns: dict[str, FakeSeries], index: Any = None) -> None:
        self._columns = columns
        self.index = index if index is not None else range(len(self))

    @classmethod
    def from_pandas(cls, frame: Any) -> FakeFrame:
        import pyarrow as pa

        table = pa.Table.from_pandas(frame, preserve_index=False)
        series = {name: FakeSeries.from_arrow(table[name].combine_chunks()) for name in table.column_names}
        return cls(series, list(frame.index))

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def __getitem__(self, name: str) -> FakeSeries:
        return self._columns[name]

    @property
    def iloc(self) -> Any:
        owner = self

        class Cells:
            def __getitem__(self, place: Any) -> FakeSeries:
                rows, column = place
                assert rows == slice(None)
                return owner._columns[owner.columns[column]]

        return Cells()


def read_parquet(path: str, columns: Any, row_groups: Any, use_pandas_metadata: bool) -> FakeFrame:
    """As cuDF reads, with durations as the integers that Parquet knows."""
    import pyarrow.parquet as pq

    assert not use_pandas_metadata
    ((groups),) = row_groups
    table = pq.ParquetFile(path).read_row_groups(groups, columns=columns)
    series = {name: table[name].combine_chunks() for name in columns}
    return FakeFrame({name: FakeSeries.from_arrow(_as_stored(array)) for name, array in series.items()})


def _as_stored(array: Any) -> Any:
    import pyarrow as pa

    return array.cast(pa.int64()) if pa.types.is_duration(array.type) else array


def use_fake_cudf(monkeypatch: Any) -> ModuleType:
    """Modules that stand for cuDF and CuPy."""
    cudf = ModuleType("cudf")
    cudf.__spec__ = ModuleSpec("cudf", None)
    cudf.Series, cudf.DataFrame = FakeSeries, FakeFrame  # type: ignore[attr-defined]
    cudf.read_parquet = read_parquet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cudf", cudf)
    monkeypatch.setitem(sys.modules, "cupy", NAMESPACE)
    return cudf
