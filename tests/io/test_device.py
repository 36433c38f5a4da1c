"""Sources on a device: told by their type, read in blocks that stay there, sampled and given back."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.arrays import DeviceColumn
from gpuvgm.errors import EnvironmentProblem, InputError, SourceChangedError
from gpuvgm.execution import Run
from gpuvgm.execution.local import CallerExecutor
from gpuvgm.io import Source, device as device_frames, open_source, restore
from gpuvgm.io.block import DeviceTable, host_table, joined
from gpuvgm.io.device import grouped, lies_on_device
from gpuvgm.io.frames import ArraySource
from tests.harness.device import real
from tests.harness.device.frames import DataFrame, Series, decimal_type, read_parquet, use_strict_cudf
from tests.harness.device.module import is_strict, up

pytestmark = pytest.mark.usefixtures("strict_cupy")
ROWS = 10


class Tensor:
    """An array of another library, which names its place by DLPack."""

    def __init__(self, values: Any, place: int) -> None:
        self.array, self.place = np.asarray(values), place
        self.ndim, self.dtype = self.array.ndim, self.array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def __dlpack_device__(self) -> tuple[int, int]:
        if self.place < 0:
            raise BufferError("no memory")
        return self.place, 0

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("taken by the module that stands for CuPy")


class Interface:
    """An array that has CUDA's array interface alone."""

    def __init__(self, values: Any) -> None:
        self.array = np.asarray(values)
        self.ndim, self.dtype = self.array.ndim, self.array.dtype

    def __len__(self) -> int:
        return len(self.array)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.array.shape}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros(3), False),
        (lambda: up(np.zeros(3)), True),
        (Tensor([1.0], 1), False),
        (Tensor([1.0], 2), True),
        (Tensor([1.0], 13), True),
        (Tensor([1.0], 3), False),
        (Tensor([1.0], -1), False),
        (Interface([1.0]), True),
        (pa.array([1.0]), False),
        ([1.0], False),
        ("text", False),
        (7, False),
    ],
)
def test_what_lies_on_a_device(value: Any, expected: bool) -> None:
    assert lies_on_device(value() if callable(value) else value) is expected


@pytest.mark.parametrize("wrap", [lambda x: Tensor(x, 2), Interface])
def test_arrays_of_other_libraries_are_taken_through_cupy(wrap: Any) -> None:
    source = open_source({"x": wrap([1.0, 2.0]), "host": np.array([3, 4])})
    assert isinstance(source, ArraySource) and source.lies_on_device
    (block,) = source.blocks(["x", "host"], 10)
    assert is_strict(block.column("x").values)
    assert block.column("host").equals(pa.array([3, 4]))
    matrix = open_source(wrap([[1.0, 2.0], [3.0, 4.0]]))
    assert isinstance(matrix, ArraySource) and matrix.lies_on_device
    assert matrix.schema.names == ["0", "1"]


def test_an_array_that_cannot_be_taken(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_cupy, "from_dlpack", Mock(side_effect=RuntimeError("requires grad")))
    with pytest.raises(InputError, match=r'column "x" lies on a device but cannot be read there \(requires grad\)'):
        open_source({"x": Tensor([1.0], 2)})


@pytest.mark.parametrize("failure", [ImportError("no cupy"), AttributeError("module 'numpy' has no row_stack")])
def test_a_broken_cupy_is_told(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == "cupy":
                raise failure

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(EnvironmentProblem, match=r"need CuPy.*gpuvgm\[cu13\]"):
        open_source({"x": Tensor([1.0], 2)})
    assert open_source({"x": np.zeros(3)}).rows == 3


def test_tables_of_the_host_import_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_frames, "usable_cupy", lambda: pytest.fail("CuPy was asked for"))
    assert not open_source({"x": np.zeros(3)}).lies_on_device
    assert not open_source(np.zeros((3, 2))).lies_on_device


def source(rows: int = ROWS) -> ArraySource:
    opened = open_source({"x": up(np.arange(rows) * 0.5), "n": up(np.arange(rows, dtype=np.int16))})
    assert isinstance(opened, ArraySource) and opened.lies_on_device
    return opened


def test_blocks_are_views_and_samples_are_copies() -> None:
    given = source()
    assert given.schema == pa.schema([("x", pa.float64()), ("n", pa.int16())])
    assert (given.rows, given.flavour, given.repeatable) == (ROWS, "dict", True)
    blocks = list(given.blocks(["n", "x"], 4))
    assert [(block.first_row, block.rows) for block in blocks] == [(0, 4), (4, 4), (8, 2)]
    column, whole = blocks[1].column("x"), given.columns["x"].slice(0, ROWS)
    assert isinstance(column, DeviceColumn) and isinstance(whole, DeviceColumn)
    assert column.values.data.mem is whole.values.data.mem
    assert column.to_arrow().to_pylist() == [2.0, 2.5, 3.0, 3.5]
    sample = given.sample(["x"], [(1, 2), (8, 2)])
    assert sample.column("x").to_pylist() == [0.5, 1.0, 4.0, 4.5]
    assert given.sample(["n"], []).schema == pa.schema([("n", pa.int16())])
    assert given.fingerprint() == {"kind": "dict", "rows": ROWS, "columns": 2}


def test_hosted_blocks_are_batches() -> None:
    blocks = list(source().as_read(on_device=False).blocks(["x"], 4))
    assert all(isinstance(block.table, pa.RecordBatch) for block in blocks)
    assert [value for block in blocks for value in block.column("x").to_pylist()] == [0.5 * i for i in range(ROWS)]
    assert next(iter(source().as_read(on_device=False).blocks([], 4))).rows == 4


def test_columns_of_a_matrix_are_contiguous() -> None:
    matrix = up(np.arange(12.0).reshape(6, 2))
    opened = open_source(matrix)
    assert isinstance(opened, ArraySource) and opened.lies_on_device
    assert opened.name == "cupy.ndarray"
    (block,) = opened.blocks(["1"], 10)
    assert block.column("1").values.flags.c_contiguous
    assert block.column("1").to_arrow().to_pylist() == [1.0, 3.0, 5.0, 7.0, 9.0, 11.0]
    np.testing.assert_array_equal(opened.as_read(on_device=False).matrix[2:4], [[4.0, 5.0], [6.0, 7.0]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: up(np.zeros(3)), r'one-dimensional ndarray has no column name; pass \{"name": array\}'),
        (lambda: up(np.zeros((2, 2, 2))), "3 dimensions"),
        (lambda: {"x": up(np.zeros((2, 2)))}, 'column "x" has 2 dimensions'),
        (lambda: {"x": up(np.zeros(2)), "y": up(np.zeros(3))}, 'column "y" has 3 rows, column "x" has 2'),
        (lambda: {"x": up(np.zeros(2)), "y": np.zeros(3)}, 'column "y" has 3 rows, column "x" has 2'),
        (lambda: {1: up(np.zeros(2)), "1": up(np.zeros(2))}, "duplicate column names"),
    ],
)
def test_what_is_no_table(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(given())


def test_a_type_that_is_not_worked_on() -> None:
    opened = open_source({"z": up(np.zeros(2, np.complex128)), "x": up(np.zeros(2))})
    assert list(opened.blocks(["x"], 5))[0].rows == 2
    with pytest.raises(InputError, match='column "z" has dtype complex128'):
        list(opened.blocks(["z"], 5))


def test_wrong_requests() -> None:
    with pytest.raises(InputError, match='no column "y"'):
        source().blocks(["y"], 5)
    with pytest.raises(InputError, match="rows 8 to 12"):
        source().sample(["x"], [(8, 4)])


def test_slices_and_masks_of_a_table() -> None:
    words = pa.array(["a", "b", None, "d"])
    number = DeviceColumn(up(np.arange(4)), pa.int64(), up(np.array([False, True, False, False])))
    table = DeviceTable({"n": number, "w": words}, 4)
    assert table[1:3].to_arrow().to_pydict() == {"n": [None, 2], "w": ["b", None]}
    kept = table.filter(up(np.array([True, False, False, True])))
    assert (kept.num_rows, kept.to_arrow().to_pydict()) == (2, {"n": [0, 3], "w": ["a", "d"]})
    assert len(table[4:2]) == 0


def test_blocks_are_joined_with_their_missing_rows() -> None:
    whole = DeviceColumn(up(np.arange(3)), pa.int64())
    holed = DeviceColumn(up(np.arange(2)), pa.int64(), up(np.array([True, False])))
    schema = pa.schema([("n", pa.int64()), ("w", pa.string())])
    words = [pa.array(["a", "b", "c"]), pa.array([None, "e"])]
    parts = [DeviceTable({"n": n, "w": w}, len(n)) for n, w in zip((whole, holed), words, strict=True)]
    table = joined(parts, schema)
    assert isinstance(table, DeviceTable)
    assert host_table(table).to_pydict() == {"n": [0, 1, 2, None, 1], "w": ["a", "b", "c", None, "e"]}
    assert isinstance(joined([], schema), pa.Table)
    arrays = restore(table, source(5))
    np.testing.assert_array_equal(arrays["n"].get(), [0.0, 1.0, 2.0, np.nan, 1.0])
    assert arrays["w"].tolist() == ["a", "b", "c", None, "e"]
    assert restore(table, source(5), flavour="pyarrow").to_pydict() == host_table(table).to_pydict()


def test_integers_that_floats_do_not_hold_come_to_the_host_beside_missing_ones() -> None:
    far, missing = up(np.array([2**60 + 3, 5], np.int64)), up(np.array([False, True]))
    table = DeviceTable({"n": DeviceColumn(far, pa.int64(), missing), "m": DeviceColumn(far, pa.int64(), ~missing)}, 2)
    arrays = restore(table, source(2))
    assert arrays["n"].tolist() == [2**60 + 3, None]
    assert arrays["m"].dtype == np.float64 and arrays["m"].get()[1] == 5.0


def test_missing_categories_stay_missing_beside_arrays_on_the_device() -> None:
    column = pa.array(["a", None, "b"]).dictionary_encode()
    numbers = DeviceColumn(up(np.arange(3.0)), pa.float64(), None)
    assert restore(DeviceTable({"x": numbers, "c": column}, 3), source(3))["c"].tolist() == ["a", None, "b"]


def test_cudf_frames(cudf: Any) -> None:
    columns = {
        "n": pa.array([1, None, 2**62], pa.int64()),
        "f": pa.array([1.5, None, float("nan")], pa.float32()),
        "t": pa.array([0, None, 10**18], pa.timestamp("ns")),
        "d": pa.array([0, 5, 7], pa.duration("ms")),
        "z": pa.array([0, None, 10**18], pa.timestamp("ns", "UTC")),
        "w": pa.array(["a", None, "c"]),
        "b": pa.array([True, None, False]),
    }
    frame = DataFrame({name: Series.from_arrow(array) for name, array in columns.items()}, ["r", "s", "t"])
    opened = open_source(frame)
    assert isinstance(opened, ArraySource) and opened.lies_on_device
    assert (opened.flavour, opened.arrays) == ("cudf", sys.modules["cupy"])
    assert opened.schema == pa.schema([(name, array.type) for name, array in columns.items()])
    (block,) = opened.blocks(list(columns), 10)
    on_device = [name for name in columns if isinstance(block.column(name), DeviceColumn)]
    assert on_device == ["n", "f", "t", "d", "b"]
    for name in ("n", "t", "d", "z", "w", "b"):
        assert block.batch.column(name).equals(columns[name]), name
    assert block.column("f").missing.get().tolist() == [False, True, False]  # NaN is itself
    back = restore(joined([block.table], opened.schema), opened)
    assert back.index == ["r", "s", "t"]
    assert all(back[name].to_arrow().equals(columns[name]) for name in columns if name != "f")
    assert str(back["f"].to_arrow().to_pylist()) == "[1.5, None, nan]"
    shorter = restore(opened.sample(["w"], [(0, 2)]), opened)
    assert isinstance(shorter, DataFrame) and len(shorter) == 2 and shorter.index != frame.index


def digits(type_: Any, values: Any) -> pa.Array:
    """Decimals of a type."""
    return pa.array(values, pa.decimal128(type_.precision, type_.scale)).cast(type_)


LATER = {
    "d32": digits(decimal_type(32, 9, 2), [D("1.25"), None, D("-7")] * 8),
    "d64": digits(decimal_type(64, 12, 3), [None, D("1.125"), D("-7")] * 8),
    "d128": digits(pa.decimal128(10, 2), [D("1.25"), D("-0.5"), D("99.99")] * 8),
    "wide": digits(pa.decimal128(30, 2), [D("1.25"), None, D(10) ** 25] * 8),
    "n": pa.array([1, None, 2**62] * 8),
    "f": pa.array([0.5, 1.5, None, 2.5] * 6),
    "b": pa.array([True, None, False] * 8),
    "t": pa.array([0, None, 10**18] * 8, pa.timestamp("ns")),
    "whole": pa.array(range(24)),
    "word": pa.array(["a", None, "b"] * 8).dictionary_encode(),
    "many": pa.array([str(i) for i in range(300)])[276:].dictionary_encode(),
}
HOSTED = ["wide"]
SHORT = [name for name, column in LATER.items() if pa.types.is_decimal128(column.type) and name not in HOSTED]
COPIED = [*SHORT, "word", "many"]  # the lower halves, and codes with the sign that pandas has


def later() -> dict[str, pa.Array]:
    """The columns, with the words that cuDF has: those of no row among them."""
    words = pa.DictionaryArray.from_arrays(pa.array(range(276, 300), pa.int32()), pa.array(map(str, range(300))))
    return LATER | {"many": words}


@pytest.mark.parametrize("block_rows", [24, 5])
def test_buffers_are_read_in_place_and_may_be_spilled_again(cudf: Any, block_rows: int) -> None:
    columns = later()
    frame = DataFrame({name: Series.from_arrow(array) for name, array in columns.items()})
    opened = open_source(frame)
    assert opened.schema == pa.schema([(name, array.type) for name, array in columns.items()])
    ledger = sys.modules["cupy"].hardware.ledger
    with ledger.stage("read") as entry:
        blocks = list(opened.blocks([name for name in columns if name not in HOSTED], block_rows))
    assert entry.bytes_down <= 8 * len(columns) * len(blocks)  # how many are null
    held = {name: frame[name].buffers[0] for name in columns if name not in HOSTED}
    assert [name for name, owner in held.items() if owner.spillable] == COPIED
    for name in blocks[0].table.columns:
        assert all(isinstance(block.column(name), DeviceColumn) for block in blocks), name
        assert pa.concat_arrays([block.batch.column(name) for block in blocks]).equals(columns[name]), name
    slices = [block.column("whole").values[1:3] for block in blocks if block.rows > 2]
    del blocks
    assert not frame["whole"].buffers[0].spillable, "a view of the rows is still there"
    del slices
    assert all(owner.spillable for owner in held.values())
    (block,) = opened.blocks(HOSTED, 100)
    assert all(block.column(name).equals(columns[name]) for name in HOSTED)


def test_restored_decimals_and_words(cudf: Any) -> None:
    columns = later()
    opened = open_source(DataFrame({name: Series.from_arrow(array) for name, array in columns.items()}))
    table = joined([block.table for block in opened.blocks(list(columns), 7)], opened.schema)
    back = restore(table, opened)
    assert all(back[name].to_arrow().cast(array.type).equals(array) for name, array in columns.items())
    arrays = restore(table, source(24))
    assert arrays["d32"].tolist() == columns["d32"].to_pylist()
    assert arrays["word"].tolist() == columns["word"].to_pylist()


def test_a_series_is_no_table(cudf: Any) -> None:
    with pytest.raises(InputError, match=r"to_frame\(\)"):
        open_source(Series([1.0]))
    assert open_source({"x": Series([1.0]), "y": up(np.zeros(1))}).schema.names == ["x", "y"]


def parquet(folder: Any) -> Any:
    """Two files of row groups of 4 and 3 rows."""
    for number, rows in enumerate((10, 5)):
        first = 100 * number
        table = pa.table(
            {
                "n": pa.array([None if i == 2 else first + i for i in range(rows)], pa.int64()),
                "w": [str(i) for i in range(rows)],
                "t": pa.array(range(rows), pa.timestamp("ms")),
                "d": pa.array(range(rows), pa.duration("us")),
                "f": pa.array(range(rows), pa.float32()),
                "c": pa.array([None if i == 3 else D(i) / 4 for i in range(rows)], pa.decimal128(12, 2)),
                "v": pa.array([D(i) for i in range(rows)], pa.decimal128(30, 2)),
            }
        )
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=4 - number)
    return folder


@pytest.mark.parametrize("block_rows", [1, 3, 4, 7, 100])
def test_parquet_files_through_cudf(tmp_path: Any, cudf: Any, block_rows: int) -> None:
    files = open_source(parquet(tmp_path))
    read = files.as_read(on_device=True)
    assert read.lies_on_device and not files.lies_on_device
    assert (read.schema, read.rows, read.fingerprint()) == (files.schema, 15, files.fingerprint())
    names = ["f", "w", "n", "d", "t", "c", "v"]
    found, expected = list(read.blocks(names, block_rows)), list(files.blocks(names, block_rows))
    assert [(block.first_row, block.rows) for block in found] == [(block.first_row, block.rows) for block in expected]
    for here, there in zip(found, expected, strict=True):
        assert here.batch.equals(there.batch)
        assert [isinstance(here.column(name), DeviceColumn) for name in names] == [
            True,
            False,
            True,
            False,
            True,
            True,
            False,
        ]
    assert read.sample(["n"], [(8, 4)]).equals(files.sample(["n"], [(8, 4)]))
    with pytest.raises(InputError, match='no column "x"'):
        read.blocks(["x"], 5)


@pytest.mark.parametrize("block_rows", [1, 4, 100])
@pytest.mark.parametrize(("start", "stop"), [(0, 15), (3, 4), (4, 8), (5, 9), (7, 13), (10, 12), (14, 15), (6, 6)])
def test_rows_of_parquet_files_through_cudf(tmp_path: Any, cudf: Any, block_rows: int, start: int, stop: int) -> None:
    files, names = open_source(parquet(tmp_path)), ["f", "w", "n"]
    found = list(files.as_read(on_device=True).between(names, start, stop, block_rows))
    expected = list(files.between(names, start, stop, block_rows))
    assert [(block.first_row, block.rows) for block in found] == [(block.first_row, block.rows) for block in expected]
    for here, there in zip(found, expected, strict=True):
        assert here.batch.equals(there.batch)
        assert isinstance(here.column("n"), DeviceColumn)


@pytest.fixture(name="ordinary")
def _ordinary(tmp_path: Any) -> Any:
    """Files as others write them: row groups of one length but the last, which no cut of equal partitions meets."""
    for number, rows in enumerate((1000, 1700, 300)):
        table = pa.table({"x": np.arange(rows) + 1e4 * number, "n": pa.array(range(rows), pa.int32())})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=128)
    return tmp_path


@pytest.mark.parametrize("cuts", [None, range(0, 3001, 50)])
def test_all_partitions_of_ordinary_files_are_read_by_cudf(
    ordinary: Any, cudf: Any, monkeypatch: pytest.MonkeyPatch, cuts: range | None
) -> None:
    """Row groups once each, whatever the rows of partitions; pieces of them where files of so many rows are written."""
    source = open_source(ordinary)
    run, read = Run(source, "cuda", CallerExecutor(1)), []

    def noted(path: str, columns: Any, row_groups: Any, use_pandas_metadata: bool) -> Any:
        read.extend((path, group) for group in row_groups[0])
        return read_parquet(path, columns, row_groups, use_pandas_metadata)

    monkeypatch.setattr(cudf, "read_parquet", noted)
    cut = list(run.partitions(["x", "n"], cuts=cuts, most=300))
    opened = [partition.read() for partition in cut]
    assert len(cut) == (60 if cuts else 12)
    assert all(one.on_device for one in opened)
    blocks = [block for one in opened for block in one.blocks]
    assert all(isinstance(block.column(name), DeviceColumn) for block in blocks for name in ("x", "n"))
    expected = [block.batch for block in source.blocks(["x", "n"], 3000)]
    assert pa.Table.from_batches([block.batch for block in blocks]).equals(pa.Table.from_batches(expected))
    if not cuts:
        assert max(partition.rows for partition in cut) <= 300
        assert len(read) == len(set(read)) == 8 + 14 + 3


def test_a_row_group_that_is_longer_than_a_partition_is_one(ordinary: Any) -> None:
    run = Run(open_source(ordinary), "cuda", CallerExecutor(1))
    assert [one.rows for one in run.partitions(["x"], most=100)][:8] == [128] * 7 + [104]
    assert [one.rows for one in replace(run, engine="native").partitions(["x"], most=1000)] == [1000] * 3


def test_row_groups_are_taken_together_up_to_a_block() -> None:
    assert list(grouped((4, 4, 2, 9, 1), 6)) == [[0], [1, 2], [3], [4]]
    assert list(grouped((), 6)) == []


def test_a_file_that_changes_is_refused(tmp_path: Any, cudf: Any) -> None:
    read = open_source(parquet(tmp_path)).as_read(on_device=True)
    assert read.lies_on_device
    blocks = read.blocks(["n"], 4)
    next(blocks)
    with (tmp_path / "1.parquet").open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceChangedError, match=r"1.parquet"):
        list(blocks)


def on_device(given: Source) -> bool:
    """Whether engines of a device get blocks that lie there."""
    return given.as_read(on_device=True).lies_on_device


def test_other_sources_are_not_read_by_cudf(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not on_device(open_source(parquet(tmp_path)))
    use_strict_cudf(monkeypatch)
    (tmp_path / "a.csv").write_text("x\n1\n")
    assert not on_device(open_source(tmp_path / "a.csv"))
    assert not on_device(open_source({"x": np.zeros(3)}))


def test_cupy_has_every_function_that_is_asked_of_a_namespace() -> None:
    cupy = real.cupy()
    package = Path(gpuvgm.__file__).parent
    files = [package / "arrays.py"]
    files += [
        file for room in ("codecs", "columns", "io", "mixture", "table") for file in (package / room).rglob("*.py")
    ]
    called = re.compile(r"(?:\bxp|namespace_of\([^()]*\)|namespace)\.(\w+)\(")
    names = {name for file in files for name in called.findall(file.read_text())}
    assert {"where", "isnan", "concatenate", "asarray", "divmod"} <= names
    assert [name for name in sorted(names) if not hasattr(cupy, name)] == []
