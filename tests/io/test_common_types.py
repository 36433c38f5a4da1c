"""Parts of a table whose types differ: unified where nothing is lost, else refused."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from gpuvgm.io.arrow import common_type, is_valueless, promoted
from tests.io.conftest import rows_of

CODED = pa.dictionary(pa.int32(), pa.string())
COMMON: list[tuple[Any, Any, Any]] = [
    (pa.null(), pa.string(), pa.string()),
    (pa.null(), pa.int16(), pa.int16()),
    (pa.null(), CODED, CODED),
    (pa.dictionary(pa.int8(), pa.null()), CODED, CODED),
    (pa.dictionary(pa.int8(), pa.null()), pa.int64(), pa.int64()),
    (pa.int32(), pa.int64(), pa.int64()),
    (pa.uint8(), pa.int8(), pa.int16()),
    (pa.uint32(), pa.int64(), pa.int64()),
    (pa.int32(), pa.float64(), pa.float64()),
    (pa.int32(), pa.float32(), pa.float64()),
    (pa.float32(), pa.float64(), pa.float64()),
    (pa.float16(), pa.float32(), pa.float32()),
    (pa.int64(), pa.decimal128(38, 10), pa.decimal128(38, 10)),
    (pa.decimal128(10, 2), pa.decimal128(12, 6), pa.decimal128(14, 6)),
    (pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ns")),
    (pa.timestamp("s", "UTC"), pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC")),
    (pa.duration("s"), pa.duration("ms"), pa.duration("ms")),
    (pa.time32("s"), pa.time64("us"), pa.time64("us")),
    (pa.date32(), pa.date64(), pa.date64()),
    (pa.string(), pa.large_string(), pa.large_string()),
    (pa.string(), pa.string_view(), pa.large_string()),
    (CODED, pa.string(), pa.string()),
    (CODED, pa.large_string(), pa.large_string()),
    (pa.list_(pa.null()), pa.list_(pa.string()), pa.list_(pa.string())),
    (pa.struct([("a", pa.int8())]), pa.struct([("a", pa.int64())]), pa.struct([("a", pa.int64())])),
]
NONE: list[tuple[Any, Any]] = [
    (pa.int64(), pa.float64()),
    (pa.int64(), pa.uint64()),
    (pa.int64(), pa.decimal128(20, 4)),
    (pa.float64(), pa.decimal128(10, 2)),
    (pa.decimal128(38, 0), pa.decimal128(38, 10)),
    (pa.bool_(), pa.int8()),
    (pa.string(), pa.int64()),
    (pa.string(), pa.binary()),
    (pa.date32(), pa.timestamp("s")),
    (pa.timestamp("us"), pa.timestamp("us", "UTC")),
    (pa.struct([("a", pa.int8())]), pa.struct([("b", pa.int8())])),
]


@pytest.mark.parametrize(("one", "other", "expected"), COMMON, ids=str)
def test_types_have_one_in_common_in_any_order(one: Any, other: Any, expected: Any) -> None:
    for types in itertools.permutations([one, other, pa.null(), one]):
        assert common_type(types) == expected


@pytest.mark.parametrize(("one", "other"), NONE, ids=str)
def test_types_that_would_lose_values_have_none(one: Any, other: Any) -> None:
    assert common_type([one, other]) is None
    assert common_type([other, pa.null(), one]) is None


def extremes(type_: Any) -> list[Any]:
    """Values at both ends of a type, and a missing one."""
    if pa.types.is_integer(type_):
        low = -(1 << type_.bit_width - 1) if pa.types.is_signed_integer(type_) else 0
        return [low, low + (1 << type_.bit_width) - 1, None]
    if pa.types.is_decimal(type_):
        most = decimal.Decimal(10**type_.precision - 1).scaleb(-type_.scale, decimal.Context(prec=80))
        return [most, most.copy_negate(), None]
    if pa.types.is_date(type_):
        return [dt.date(1, 1, 1), dt.date(9999, 12, 31), None]
    if pa.types.is_timestamp(type_):
        return [dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1, 23, 59, 58), None]
    if pa.types.is_time(type_):
        return [dt.time(23, 59, 58), None]
    if pa.types.is_duration(type_):
        return [dt.timedelta(days=-7, seconds=1), None]
    largest = {16: 65504.0, 32: 3.4028234663852886e38, 64: 1.7976931348623157e308}
    return [largest[type_.bit_width], 0.1 if type_.bit_width == 64 else 0.125, None]


@pytest.mark.parametrize(("one", "other", "expected"), [row for row in COMMON if row[2].num_fields == 0], ids=str)
def test_the_common_type_holds_the_extremes_of_both(one: Any, other: Any, expected: Any) -> None:
    for type_ in (one, other):
        if is_valueless(type_):
            assert promoted(pa.nulls(2, type_), expected).to_pylist() == [None, None]
            continue
        text = pa.types.is_dictionary(type_) or "string" in str(type_)
        values = pa.array(["é", "", None], pa.string()) if text else pa.array(extremes(type_), type_)
        cast = promoted(values.dictionary_encode() if pa.types.is_dictionary(type_) else values.cast(type_), expected)
        assert cast.type == expected
        listed = [value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value for value in cast.to_pylist()]
        assert listed == [v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for v in values.to_pylist()]


PARTS: dict[str, list[pa.Array[Any]]] = {
    "without values": [pa.nulls(40), pa.array(["a", "b"] * 60), pa.nulls(40, pa.string())],
    "integers": [pa.array([1, 2, 3, 500] * 20, pa.int32()), pa.array([4, 2**40] * 60), pa.array([7] * 40, pa.uint8())],
    "floats": [pa.array([0.5, 0.1] * 40, pa.float32()), pa.array([0.1, 2.5] * 60), pa.array([3, 9] * 20, pa.int32())],
    "units": [
        pa.array([10**6, 5 * 10**9] * 40, pa.timestamp("us")),
        pa.array([10**9 + 1, 7 * 10**12] * 60, pa.timestamp("ns")),
        pa.array([1, 70] * 20, pa.timestamp("s")),
    ],
    "dictionary": [
        pa.array(["a", "b"] * 40).dictionary_encode(),
        pa.array(["b", "c"] * 60),
        pa.array(["d"] * 40, pa.large_string()),
    ],
}


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
@pytest.mark.parametrize("case", PARTS)
def test_files_give_what_one_table_of_the_common_type_gives(tmp_path: Any, case: str, ending: str) -> None:
    type_ = common_type([part.type for part in PARTS[case]])
    for order in [(0, 1, 2), (2, 1, 0), (1, 2, 0)]:
        parts = [PARTS[case][number] for number in order]
        folder = tmp_path / "".join(map(str, order))
        folder.mkdir()
        for number, part in enumerate(parts):
            table = pa.table({"x": part})
            path = folder / f"{number}{ending}"
            pq.write_table(table, path) if ending == ".parquet" else _write_ipc(table, path)
        whole = pa.table({"x": pa.concat_arrays([promoted(part, type_) for part in parts])})
        assert open_source(folder).schema == whole.schema
        assert rows_of(folder).equals(whole)
        assert (
            open_source(folder)
            .sample(["x"], [(75, 50), (190, 9)])
            .equals(pa.concat_tables([whole.slice(75, 50), whole.slice(190, 9)]))
        )
        transformer, expected = (gpuvgm.TableTransformer().fit(source) for source in (folder, whole))
        assert transformer.model_.digest() == expected.model_.digest()
        assert transformer.transform(folder).equals(expected.transform(whole))


def _write_ipc(table: pa.Table, path: Any) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def test_csv_beside_parquet_has_the_type_of_both(tmp_path: Any) -> None:
    (tmp_path / "a.csv").write_text("n,t,x\n1,,0.5\n2,,\n")
    pq.write_table(
        pa.table({"n": pa.array([7], pa.int16()), "t": ["u"], "x": pa.array([1.5], pa.float32())}),
        tmp_path / "b.parquet",
    )
    expected = {"n": [1, 2, 7], "t": [None, None, "u"], "x": [0.5, None, 1.5]}
    assert rows_of(tmp_path).equals(pa.table(expected))


def test_a_year_beyond_the_finer_unit_is_refused_with_its_file(tmp_path: Any) -> None:
    pq.write_table(pa.table({"t": pa.array([0, -(10**16)], pa.timestamp("us"))}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"t": pa.array([1], pa.timestamp("ns"))}), tmp_path / "b.parquet")
    message = r'a\.parquet: column "t" has type timestamp\[us\], other parts timestamp\[ns\], which does not hold all'
    with pytest.raises(InputError, match=message):
        gpuvgm.TableTransformer().fit(tmp_path)


def test_the_part_that_clashes_is_named(tmp_path: Any) -> None:
    for name, type_ in (("a", pa.int32()), ("b", pa.int64()), ("c", pa.float64())):
        pq.write_table(pa.table({"n": pa.array([1], type_)}), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r'b\.parquet: column "n" has type int64, in .*a\.parquet int32; cast it'):
        open_source(tmp_path)


def test_dtypes_of_pandas_are_those_of_a_file_with_the_common_type(tmp_path: Any) -> None:
    import pandas as pd

    pd.DataFrame({"n": pd.array([1, None], "Int32")}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"n": pd.array([2, None], "Int64")}).to_parquet(tmp_path / "b.parquet")
    assert open_source(tmp_path).dtypes == {"n": "Int64"}
