"""The one exit for rows: which cell a row counts in, how far neighbours differ, and that nothing else gets out."""

from __future__ import annotations

import datetime
import enum
import io
import logging
import traceback
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings, strategies as st

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.synthesis.private import cells, mechanism
from gpuvgm.synthesis.private.account import Promise, Release
from gpuvgm.synthesis.private.declared import Domain
from gpuvgm.synthesis.private.model import ColumnCounts, releases_of
from tests.synthesis.private.tables import COLUMNS, DOMAIN, SECRETS, odd_rows, ordinary_rows

RELEASES = releases_of(Domain.of(DOMAIN), Promise.of(1, 1e-9, 1))


def cells_of(name, values):
    values = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
    return cells.declared_cells(COLUMNS[name], values).tolist()


def counts_of(source, monkeypatch, machine=(None, 1)):
    """What is counted of rows before there is noise, with the same bins for all tables."""
    seen = []

    def canned(tables, _):
        seen.append([table.copy() for table in tables])
        return tuple(np.arange(table.size).reshape(table.shape) * 7919 % 97 + 5 for table in tables)

    with monkeypatch.context() as patch:
        patch.setattr(mechanism, "_noisy", canned)
        mechanism.release(
            source, COLUMNS, RELEASES, lambda noisy: ColumnCounts.of(Domain.of(DOMAIN), noisy, RELEASES).bins, machine
        )
    return [table for tables in seen for table in tables]


def test_one_module_alone_asks_for_cells_of_rows():
    package = Path(gpuvgm.__file__).parent
    asking = [file.name for file in package.rglob("*.py") if "gpuvgm.synthesis.private.cells" in file.read_text()]
    assert asking == ["mechanism.py"]


# -- cells


@pytest.mark.parametrize(
    "values",
    [
        [0, 17, 120, -1, 121, None],
        pa.array([0, 17, 120, -1, 121, None], pa.int8()),
        pa.array([0, 17, 120, -(2**62), 2**62, None]),
        pa.array([0.2, 16.7, 119.6, -np.inf, np.inf, np.nan]),
        pa.array([Decimal("0.2"), Decimal("17"), Decimal("120"), Decimal("-7"), Decimal("1e20"), None]),
        pa.array([" 0", "17.0", "1.2e2", "-1e999", "1e999", "s3cr3t"]),
        pa.array(["0", "17", "120", "-5", "500", ""]).dictionary_encode(),
        pa.array([0, 17, 120, -1, 121, None], pa.float16()),
    ],
)
def test_numbers_of_any_type_lie_in_their_cells(values):
    assert cells_of("age", values) == [0, 17, 120, 0, 120, 121]


@pytest.mark.parametrize(
    "values",
    [
        [datetime.date(2000, 1, 1)] * 2,
        [[1], [2]],
        [{"a": 1}, {"a": 2}],
        [b"12", b"13"],
        pa.nulls(2),
        [datetime.timedelta(1)] * 2,
    ],
)
def test_values_that_are_no_numbers_are_missing_or_the_least(values):
    assert cells_of("age", values) == [121, 121]
    assert cells_of("score", values) == [0, 0]
    assert cells_of("level", values) == [0, 0]


def test_special_values_have_cells_of_their_own_whatever_the_bounds():
    column = COLUMNS["amount"]
    assert cells_of("amount", [0.0, 99.5, -0.0, 99.51])[:3] == [column.ordinary, column.ordinary + 1, column.ordinary]
    beyond = Domain.of({"x": {"kind": "number", "low": 0, "high": 1, "special": [-999]}}).counted["x"]
    assert cells.declared_cells(beyond, pa.array([-999.0, -998.0])).tolist() == [beyond.ordinary, 0]


def test_every_value_between_the_bounds_lies_in_the_cell_that_draws_it():
    column, draw = COLUMNS["amount"], np.random.default_rng(0)
    values = np.unique(np.round(draw.uniform(-50, 10_000, 5000), 2))
    values = values[~np.isin(values, (0, 99.5))]
    low, high = column.ends
    cells = np.array(cells_of("amount", values))
    assert np.all((low[cells] - 1e-6 <= values) & (values <= high[cells] + 1e-6))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Bern", "Graz", "Köln", "elsewhere", "Paris", None], [0, 1, 2, 3, 3, 4]),
        (pa.array(["Graz", None, "Paris", "Graz"]).dictionary_encode(), [1, 4, 3, 1]),
        (pa.array(["Köln"], pa.string_view()), [2]),
        ([1, None], [3, 4]),
        ([1.5, np.nan], [3, 4]),
        (pa.array([Decimal("1.5")]), [3]),
        ([True, False], [3, 3]),
        ([datetime.date(2000, 1, 1)], [3]),
        ([b"Bern"], [3]),
        ([[1, 2]], [3]),
    ],
)
def test_categories_of_any_type_lie_in_their_cells(values, expected):
    assert cells_of("city", values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, None], [0, 1, 2, 0, 0]),
        ([1.0, 2.0, 2.5, np.nan, np.inf], [0, 1, 0, 0, 0]),
        (["3", "2.0", "two"], [2, 1, 0]),
        ([True, False], [0, 0]),
    ],
)
def test_categories_of_numbers_are_found_by_value(values, expected):
    assert cells_of("level", values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, None], [1, 0, 0]),
        ([1, 0, 2], [1, 0, 0]),
        (["true", "false", "1", "0", "yes"], [1, 0, 1, 0, 0]),
        (["True", "FALSE"], [1, 0]),
    ],
)
def test_booleans_of_any_type_lie_in_their_cells(values, expected):
    assert cells_of("active", values) == expected


MOMENT = datetime.datetime(2024, 1, 5, 10, 15)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([MOMENT, None], pa.timestamp("us")),
        pa.array([MOMENT, None], pa.timestamp("ns")),
        pa.array([MOMENT, None], pa.timestamp("s", "UTC")),
        pa.array([MOMENT, None], pa.timestamp("ms")),
        pa.array(["2024-01-05 10:15", "s3cr3t"]),
        pa.array(["2024-01-05T12:15+02:00", ""]),
        pa.array(["2024-01-05T10:15:00Z", None]),
        pa.array(["2024-01-05 10:15:00.5", "2024-13-01"]),
    ],
)
def test_datetimes_of_any_type_lie_in_their_cells(values):
    column = COLUMNS["seen"]
    place = int((MOMENT - datetime.datetime(2024, 1, 1)) / datetime.timedelta(minutes=15))
    low = column.ends[0][place] if column.ordinary > 2900 else None
    found = cells_of("seen", values)
    edges = column.edges
    number = place * 900 * 10**6
    assert low is None
    assert edges[found[0]] <= number <= edges[found[0] + 1]
    assert found[1] == 0  # nothing is declared for missing values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([datetime.date(1950, 1, 1), datetime.date(1, 1, 1), None]), ["first", "first", "missing"]),
        (pa.array([datetime.date(9999, 12, 31)], pa.date64()), ["last"]),
        (pa.array([-(2**63) + 1, 2**63 - 1], pa.timestamp("s")), ["first", "last"]),
        (pa.array([-(2**62), 2**62], pa.timestamp("ns")), ["first", "last"]),
        (pa.array([17, 3]), ["missing", "missing"]),
    ],
)
def test_dates_beyond_the_bounds_count_at_these(values, expected):
    column = COLUMNS["born"]
    places = {"first": 0, "last": column.ordinary - 1, "missing": column.cells - 1}
    assert cells_of("born", values) == [places[word] for word in expected]


@pytest.mark.parametrize("name", [*COLUMNS])
def test_cells_are_the_same_for_any_partitions(name):
    values = pa.array(cells._texts_of(odd_rows()[name]))
    whole = cells.declared_cells(COLUMNS[name], values)
    parts = [cells.declared_cells(COLUMNS[name], values.slice(at, 1)) for at in range(len(values))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert whole.max() < COLUMNS[name].cells


SAME = [0.1, 1.0, 7.0, -2.5, 1e300, 3.0]


@pytest.mark.parametrize("name", ["age", "amount", "score", "level", "city", "active"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "bool", "Int64", "object"])
def test_what_a_row_is_does_not_depend_on_other_rows(name, dtype):
    """A row that makes objects of a column, such as a text among numbers, leaves all others where they are."""
    column = COLUMNS[name]
    if name == "city":
        column = Domain.of({"city": {"kind": "category", "categories": ["7", "1", "0"], "other": "?"}}).counted["city"]
    with np.errstate(all="ignore"):
        typed = pd.Series([1, 7, 0, 3]) if "nt" in dtype else pd.Series(SAME)
        typed = typed.astype(dtype)
    mixed = pd.Series([*typed, "s3cr3t"], dtype=object)
    alone, beside = (cells.declared_cells(column, cells.arrow_array(own)) for own in (typed.to_frame()[0], mixed))
    if dtype not in ("bool", "Int64"):
        alone = cells.declared_cells(column, pa.array(typed.to_numpy())) if dtype != "object" else alone
    assert alone.tolist() == beside[:-1].tolist()
    listed = cells.declared_cells(column, pa.array(cells.arrow_array([*typed.tolist(), "s3cr3t"])))
    assert listed[:-1].tolist() == alone.tolist()


def test_a_moment_is_the_same_in_a_column_of_objects():
    moments = pd.Series(
        pd.to_datetime(["2024-01-05 10:15:00.123456789", "2024-01-31", "2023-05-05 01:02:03.5"], format="ISO8601")
    )
    mixed = pd.Series([*moments, "s3cr3t"], dtype=object)
    alone, beside = (cells.declared_cells(COLUMNS["seen"], cells.arrow_array(own)) for own in (moments, mixed))
    assert alone.tolist() == beside[:-1].tolist()


# -- neighbours

UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")


class Colour(str, enum.Enum):  # noqa: UP042 - StrEnum writes itself as its value
    RED = "Bern"


ODD = [
    *("Bern", "elsewhere", "2024-01-05", "0", "99.5", "True", "\ud800", "\uffff", 0, 99.5, 3, 0.0, -0.0, 10**400),
    *(np.float16(0.1), np.float32(0.1), np.longdouble("0.1"), np.uint64(2**64 - 1), np.bool_(1), np.complex64(1)),
    *(np.datetime64(unit_ticks, unit) for unit in UNITS for unit_ticks in (5, -7)),
    *(np.datetime64("NaT", "s"), np.datetime64(2**40, "Y"), np.datetime64(-(2**40), "D"), np.datetime64(2**62, "s")),
    *(np.timedelta64(5, "s"), datetime.timedelta(1), datetime.time(1, 2), pd.Timedelta(1, "s"), uuid.UUID(int=5)),
    *(pd.NA, pd.NaT, pd.Period("2024-01"), pd.Interval(0, 1), pd.Timestamp("2024-01-05 10:15:00.123456789")),
    *(pd.Timestamp("1600-01-05").as_unit("s"), pd.Timestamp("2024-01-05 10:15", tz="Europe/Zurich")),
    datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=19, seconds=32))),
    *(Decimal("1.50"), Decimal("0.1"), Decimal("sNaN"), Fraction(1, 3), Colour.RED, {"a": 1}, [1], np.array([5])),
]
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(ODD),
    st.dates(),
    st.datetimes(),
    st.decimals(),
    st.binary(max_size=3),
    st.tuples(st.integers()),
)
ROW = st.tuples(*[ANYTHING] * len(COLUMNS))


#: Values of one sort, of which containers make a type of their own.
ALIKE = st.one_of(
    *(st.just(values) for values in ([0, 1, 3], [0.0, -0.0, 0.1], [True, False], ["Bern", "1", ""])),
    *(st.just(values) for values in ([datetime.date(2000, 1, 5)], [datetime.datetime(1650, 1, 5, 10, 15)])),
    *(st.just([np.datetime64("2024-01-05T10:15", unit), np.datetime64("1650-01-01", unit)]) for unit in "DhmMs"),
    st.just([pd.Timestamp("2024-01-05 10:15", tz="UTC")]),
    st.lists(ANYTHING, min_size=1, max_size=3),
)


def objects(values):
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def promoted(values):
    """An array of NumPy's type for all values, where it has one that holds them."""
    with suppress(ValueError, TypeError, ArithmeticError):
        array = np.array(values)
        if array.ndim == 1 and array.dtype.kind in "biufc":
            return array
    return objects(values)


CONTAINERS = {
    "list": dict,
    "frame": lambda table: pd.DataFrame({name: pd.Series([*values]) for name, values in table.items()}),
    "frame of objects": lambda table: pd.DataFrame({name: pd.Series(objects(own)) for name, own in table.items()}),
    "arrays": lambda table: {name: promoted(values) for name, values in table.items()},
    "categories": lambda table: pd.DataFrame({name: pd.Categorical(map(str, own)) for name, own in table.items()}),
    "matrix": lambda table: np.stack([objects(values) for values in table.values()], axis=1),
}


def cells_in(source, columns):
    """Cells of all rows by column, as both scans find them."""
    table, find = mechanism._opened(source, columns)
    blocks = [block.batch for block in table.blocks([*columns], 1 << 16)]
    return {
        name: [cell for batch in blocks for cell in find(column, batch.column(name)).tolist()]
        for name, column in columns.items()
    }


@pytest.mark.filterwarnings("ignore")  # of pandas and NumPy, about what they make of such values
@pytest.mark.parametrize("container", CONTAINERS)
@settings(deadline=None)
@given(st.data())
def test_no_row_changes_the_cell_of_another_one(container, data):
    """Whatever types a list, a frame or an array chooses for a table, and for the same table with one more row."""
    columns = {str(number): column for number, column in enumerate(COLUMNS.values())}  # as those of a matrix
    rows, table, larger = data.draw(st.integers(0, 3)), {}, {}
    for name in columns:
        values = data.draw(ALIKE)
        table[name] = [values[data.draw(st.integers(0, len(values) - 1))] for _ in range(rows)]
        larger[name] = [*table[name], data.draw(ANYTHING)]
    try:
        sources = [CONTAINERS[container](own) for own in (table, larger)]
    except (ValueError, TypeError, ArithmeticError):  # pandas does not take such values side by side
        return
    before, after = (cells_in(source, columns) for source in sources)
    assert before == {name: cells[:-1] for name, cells in after.items()}


def test_one_moment_in_nanoseconds_leaves_all_others_of_a_list_where_they_are(monkeypatch):
    moments = [np.datetime64("1650-01-01") + np.timedelta64(day, "D") for day in range(500)]
    columns = {name: COLUMNS["born"] for name in ("day", "again")}
    before = cells_in(dict.fromkeys(columns, moments), columns)
    after = cells_in(dict.fromkeys(columns, [*moments, np.datetime64(1, "ns")]), columns)
    assert before["day"] == after["day"][:-1] == [0] * 500


@pytest.mark.parametrize("unit", [*UNITS, "10s", "7D", "100ns"])
def test_moments_of_any_unit_are_read(unit):
    moments = np.array([50 if unit in "YM" else 7, "NaT"], f"M8[{unit}]")
    column = COLUMNS["born"]
    days = int(moments[:1].astype("M8[us]").astype("M8[D]").astype(int)[0])
    expected = [int(np.searchsorted(column.edges[1:-1], days - column.codec.base, "right")), column.cells - 1]
    scalars = [np.asarray(moment) for moment in moments]
    for values in (list(moments), moments, np.ma.asarray(moments), objects(moments), [*moments, "s3cr3t"], scalars):
        assert cells_in({"born": values}, {"born": column})["born"][:2] == expected


TENTHS = [Decimal("0.1"), Decimal("99.5"), None]
SAME_VALUES = [
    [pa.array([0, 1, 3], type_) for type_ in (pa.int8(), pa.uint64(), pa.float16(), pa.decimal128(5, 2))],
    [pa.array(TENTHS, type_) for type_ in (pa.decimal128(5, 2), pa.decimal128(38, 20), pa.decimal256(60, 30))]
    + [pa.array([0.1, 99.5, None])],
    [
        pa.array([datetime.date(2000, 1, 5), datetime.date(9999, 12, 31)]).cast(type_)
        for type_ in (pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("us", "UTC"))
    ],
    [
        pa.array([datetime.datetime(2024, 1, 5, 10, 15), None]).cast(type_)
        for type_ in (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ms", "Europe/Zurich"))
    ],
    [pa.array(["Bern", "1", "", None]).cast(type_) for type_ in (pa.string(), pa.large_string())],
    *([pa.array(values)] for values in ([True, None], [b"Bern"], [datetime.timedelta(1)], [datetime.time(1)], [[1]])),
]


@pytest.mark.parametrize("same", SAME_VALUES, ids=lambda same: str(same[0].type))
def test_values_lie_in_the_same_cells_whatever_their_type(same):
    """Arrow's types, pandas' of NumPy and of Arrow, categories, lists and objects that came beside a text."""
    columns = {name: column for name, column in COLUMNS.items() if name != "note"}
    made = []
    for array in same:
        values, arrow = array.to_pylist(), pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array])))
        sources = [array, values, arrow, pd.array(objects(values), object)]
        with suppress(pa.ArrowNotImplementedError):  # of lists, and by older releases of halves
            sources.append(array.dictionary_encode())
        made += [cells_in(dict.fromkeys(columns, own), columns) for own in sources]
        mixed = pd.concat([arrow.astype(object), pd.Series(["s3cr3t"], dtype=object)])
        for own in (mixed, [*values, "s3cr3t"]):
            made.append({name: cells[:-1] for name, cells in cells_in(dict.fromkeys(columns, own), columns).items()})
    assert all(cells == made[0] for cells in made)


def test_a_decimal_is_the_nearest_number_whatever_its_scale():
    """Arrow makes other floats of decimals with other scales, and a special value is one float."""
    columns = {"amount": Domain.of({"amount": {**DOMAIN["amount"], "special": [0.1, 99.5]}}).counted["amount"]}
    first = columns["amount"].ordinary
    for type_ in (pa.decimal128(5, 2), pa.decimal128(38, 25), pa.decimal256(70, 50)):
        assert cells_in({"amount": pa.array(TENTHS[:2], type_)}, columns)["amount"] == [first, first + 1]


def frame_of(rows):
    values = [[row[at] for row in rows] for at in range(len(COLUMNS))]
    series = [np.empty(len(rows), object) for _ in COLUMNS]
    for array, own in zip(series, values, strict=True):
        array[:] = [*own, None][: len(rows)]
    return pd.DataFrame({name: pd.Series(array, dtype=object) for name, array in zip(COLUMNS, series, strict=True)})


@settings(deadline=None)
@given(st.lists(ROW, max_size=4), ROW)
def test_neighbours_change_each_table_by_one_row_in_one_cell(rows, one_more):
    with pytest.MonkeyPatch.context() as patch:
        before, after = counts_of(frame_of(rows), patch), counts_of(frame_of([*rows, one_more]), patch)
    levels = sum(len(column.level_sizes) for column in COLUMNS.values())
    assert (
        len(before)
        == len(after)
        == levels + len(COLUMNS) * (len(COLUMNS) - 1) // 2
        == sum(release.tables for release in RELEASES)
    )
    for table, other in zip(before, after, strict=True):
        assert sorted((other - table).ravel().tolist())[-2:] == [0, 1]
        assert np.abs(other - table).sum() == 1


def test_every_row_counts_once_in_each_table(monkeypatch):
    assert {int(table.sum()) for table in counts_of(ordinary_rows(300), monkeypatch)} == {300}
    assert {int(table.sum()) for table in counts_of(odd_rows(), monkeypatch)} == {7}


def test_counts_are_the_same_for_any_source(monkeypatch, tmp_path):
    frame = ordinary_rows(5000)
    expected = counts_of(frame, monkeypatch)
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    (tmp_path / "folder").mkdir()
    for part in range(3):
        pa.parquet.write_table(
            arrow.slice(part * 1700, 1700), tmp_path / "folder" / f"{part}.parquet", row_group_size=99
        )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with pa.ipc.new_file(tmp_path / "rows.arrow", arrow.schema) as writer:
        writer.write_table(arrow, max_chunksize=777)
    sources = [arrow, tmp_path / "folder", tmp_path / "rows.csv", str(tmp_path / "rows.arrow"), dict(frame.items())]
    sources += [[tmp_path / "folder" / f"{part}.parquet" for part in range(3)], frame.astype({"city": "category"})]
    sources.append(frame.convert_dtypes())
    sources.append({name: column.to_numpy() for name, column in frame.items()})
    for source in sources:
        for machine in ((None, 1), (None, 3)):
            for table, other in zip(expected, counts_of(source, monkeypatch, machine), strict=True):
                assert np.array_equal(table, other), source


def test_counts_are_the_same_for_polars_and_dask(monkeypatch):
    pl, dask, dd = (pytest.importorskip(name) for name in ("polars", "dask", "dask.dataframe"))
    for frame in (ordinary_rows(500), odd_rows()):
        expected = counts_of(frame, monkeypatch)
        with dask.config.set({"dataframe.convert-string": False}):  # it would refuse objects before rows are read
            parts = [dd.from_pandas(frame, npartitions=parts) for parts in (1, 3)]
        others = [pl.from_pandas(frame)] if "note" in frame else []
        for source in [*parts, *others]:
            for table, other in zip(expected, counts_of(source, monkeypatch), strict=True):
                assert np.array_equal(table, other)


def test_columns_that_are_not_declared_are_not_read(monkeypatch):
    class Untouchable:
        def __str__(self):
            raise AssertionError("read")

    frame = ordinary_rows(10)
    frame["note"] = [Untouchable()] * 10
    counts_of(frame, monkeypatch)


def test_counts_near_the_largest_integers_do_not_overflow():
    most = mechanism.MOST_COUNTED
    sums = mechanism._sums([np.array([most, most - 5, 3])], [np.array([most, 3, 4])])
    assert sums[0].tolist() == [most, most - 2, 7]
    column = Domain.of({"x": {"kind": "number", "low": 0, "high": 100, "step": 1}}).counted["x"]
    levels = mechanism._levels(np.full(101, most), column)
    assert [level.max() for level in levels] == [most, most]
    noisy = mechanism._noisy(levels, Release("columns", 2, 10**12, 10**6, 1))
    assert all(np.all((table > most - 2**24) & (table < most + 2**24)) for table in noisy)


def test_noise_is_that_of_the_release_and_drawn_once_for_all_tables():
    tables = [np.full((50, 40), 7), np.zeros(1000, np.int64)]
    noisy = mechanism._noisy(tables, Release("pairs", 2, 900, 30, 1))
    assert [table.shape for table in noisy] == [(50, 40), (1000,)]
    assert [table.dtype for table in noisy] == [np.int64, np.int64]
    spread = np.concatenate([(noisy[0] - 7).ravel(), noisy[1]])
    assert 22 < spread.std() < 39  # 30, with a chance of 10^-30 or so to lie outside
    assert abs(spread.mean()) < 10
    assert np.all(tables[0] == 7)


# -- nothing else gets out


def synthesizer():
    return gpuvgm.PrivateSynthesizer(DOMAIN, epsilon=1, delta=1e-9)


def all_told(function, caplog, capsys):
    """All text that a call gives: messages, causes and contexts, logs, warnings and output."""
    caplog.clear()
    texts = []
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        try:
            result = function()
            texts += [repr(result), str(result)]
        except Exception as problem:  # noqa: BLE001
            assert problem.__cause__ is None
            assert problem.__context__ is None
            texts += [type(problem).__name__, str(problem), repr(problem.args)]
            texts.append("".join(traceback.format_exception_only(problem)))
    texts += [str(warning.message) for warning in warned]
    texts += [record.getMessage() for record in caplog.records]
    return "\n".join([*texts, *capsys.readouterr()])


class Loud:
    """An object that tells its value wherever it is looked at."""

    def __init__(self, text="s3cr3t"):
        self.text = text

    def __str__(self):
        raise ValueError(self.text)

    __repr__ = __float__ = __eq__ = __hash__ = __bool__ = __str__


def failing_sources(folder, secret):
    """Tables that cannot be read because of what their rows hold, by what is wrong."""
    ragged = folder / "ragged.csv"
    header = ",".join(COLUMNS)
    ragged.write_text(f"{header}\n{secret},2\n" + ",".join(["1"] * len(COLUMNS)) + f",{secret}\n")
    foreign = folder / "foreign.csv"
    foreign.write_bytes(f"{header}\n".encode() + (b"\xff" + secret.encode() + b",") * len(COLUMNS) + b"\n")
    unclosed = folder / "unclosed.csv"
    unclosed.write_text(f'{header}\n"{secret}' + "x" * 3_000_000)
    damaged = folder / "damaged.parquet"
    pa.parquet.write_table(pa.Table.from_pandas(ordinary_rows(4096)), damaged, compression="zstd")
    body = bytearray(damaged.read_bytes())
    body[200:2000] = secret.encode() * (1800 // len(secret)) + b"x" * (1800 % len(secret))
    damaged.write_bytes(body)
    return {"ragged": ragged, "foreign": foreign, "unclosed": unclosed, "damaged": damaged}


def test_tables_that_cannot_be_read_are_told_of_with_the_same_words(tmp_path, caplog, capsys):
    told = set()
    for secret in ("s3cr3t", "98765432"):
        folder = tmp_path / secret
        folder.mkdir()
        for kind, path in failing_sources(folder, secret).items():
            text = all_told(lambda path=path: synthesizer().fit(path), caplog, capsys)
            assert "cannot be read" in text, kind
            told.add(text)
    assert len(told) == 1
    assert not any(secret in text for text in told for secret in SECRETS)


@pytest.mark.parametrize("make", [ordinary_rows, odd_rows, lambda: ordinary_rows(300)[:0], lambda: ordinary_rows(1)])
def test_a_fit_tells_the_same_of_all_tables(make, tmp_path, caplog, capsys, monkeypatch):
    monkeypatch.setattr(mechanism, "_noisy", lambda tables, _: tuple(table * 0 + 9 for table in tables))
    frame = make()
    frame = frame.reindex(columns=[*COLUMNS, "note"])
    arrow = pa.table({name: cells._texts_of(frame[name]) for name in COLUMNS})
    pa.parquet.write_table(arrow, tmp_path / "rows.parquet")
    pa.csv.write_csv(arrow, tmp_path / "rows.csv")
    expected = all_told(lambda: synthesizer().fit(ordinary_rows(17)), caplog, capsys)
    for source in (frame, arrow, tmp_path / "rows.parquet", tmp_path / "rows.csv"):
        assert all_told(lambda source=source: synthesizer().fit(source), caplog, capsys) == expected


def test_objects_that_raise_their_value_are_no_error(caplog, capsys):
    frame = ordinary_rows(20).astype({"city": object, "age": object})
    frame.at[3, "city"] = frame.at[4, "age"] = Loud()
    text = all_told(lambda: synthesizer().fit(frame), caplog, capsys)
    assert "differentially private" in text
    assert "s3cr3t" not in text


def test_absent_columns_are_told_of_without_those_that_are_there(tmp_path, caplog, capsys):
    headless = tmp_path / "headless.csv"  # whose first row is taken for the names of columns
    headless.write_text("98765432,Zürich-17\n1,2\n")
    for source in (headless, pd.DataFrame({"s3cr3t": [1]}), {"s3cr3t": [1]}, pa.table({"s3cr3t": [1]})):
        text = all_told(lambda source=source: synthesizer().fit(source), caplog, capsys)
        assert "no column" in text
        assert "age" in text
        assert not any(secret in text for secret in SECRETS)


def test_a_path_of_nothing_is_told_of(tmp_path):
    with pytest.raises(InputError, match=r"absent\.parquet: there is no such file"):
        synthesizer().fit(tmp_path / "absent.parquet")


def test_rows_that_can_be_read_only_once_are_refused():
    with pytest.raises(InputError, match="only once"):
        synthesizer().fit(iter([ordinary_rows(5)]))
    reader = pa.Table.from_pandas(ordinary_rows(5)).to_reader()
    with pytest.raises(InputError, match="only once"):
        synthesizer().fit(reader)


def test_the_log_speaks_again_after_a_fit(caplog):
    log = logging.getLogger("gpuvgm")
    filters = list(log.filters)
    synthesizer().fit(ordinary_rows(5))
    assert log.filters == filters
    with pytest.raises(InputError):
        synthesizer().fit(io.StringIO("age\n1"))
    assert log.filters == filters
    log.warning("a word")
    assert "a word" in caplog.text


def test_a_row_that_stops_the_user_stops_the_fit():
    class Interrupting:
        def __str__(self):
            raise KeyboardInterrupt

    frame = ordinary_rows(5).astype({"city": object})
    frame.at[1, "city"] = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        synthesizer().fit(frame)


def test_a_wish_to_stop_tells_nothing_of_the_row_at_which_it_came():
    class Interrupting:
        def __str__(self):
            try:
                raise ValueError("s3cr3t")
            except ValueError:
                raise KeyboardInterrupt("s3cr3t")  # noqa: B904 - as where a key is pressed while a text is parsed

    frame = ordinary_rows(5).astype({"city": object})
    frame.at[1, "city"] = Interrupting()
    with pytest.raises(KeyboardInterrupt) as stopped:
        synthesizer().fit(frame)
    assert stopped.value.__context__ is None
    assert stopped.value.args == ()


def test_the_progress_of_a_run_is_not_told(monkeypatch):
    told = []
    settings_of = mechanism.RunSettings
    monkeypatch.setattr(
        mechanism, "RunSettings", lambda *arguments: told.append(arguments[4]) or settings_of(*arguments)
    )
    synthesizer().fit(ordinary_rows(5))
    assert told == [mechanism._tell_nothing] * 2


def test_fits_side_by_side_are_silent_until_each_has_ended(monkeypatch, caplog):
    log, noisy = logging.getLogger("gpuvgm"), mechanism._noisy

    def telling(tables, release):
        log.warning("a word of the rows")
        return noisy(tables, release)

    monkeypatch.setattr(mechanism, "_noisy", telling)
    with ThreadPoolExecutor(3) as pool:
        made = [*pool.map(lambda seed: synthesizer().fit(ordinary_rows(50, seed)), range(6))]
    assert len(made) == 6
    assert "a word" not in caplog.text
    assert not any(record.name == "gpuvgm" for record in caplog.records)
    log.warning("another word")
    assert "another word" in caplog.text
