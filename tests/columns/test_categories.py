"""Categories: one form of every value, counts that merge in any order, and the way back."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm import TableTransformer, load
from gpuvgm.arrays import DeviceColumn, decimals, on_host
from gpuvgm.columns.base import Coded
from gpuvgm.columns.categorical import CategoricalPlan
from gpuvgm.columns.categories import CategoryCounts, CategoryIndex, array_of, categories_of, plain_values
from gpuvgm.columns.text import category_text
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.io import Block, from_plain, open_source, plain, restore, taken
from tests.harness.device.frames import DataFrame, decimal_type, unscaled
from tests.harness.device.module import up

CASES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), ["b", "a", None, "b", "", "  ", "ä"]),
    "large text": (pa.large_string(), ["b", "a", None, "b"]),
    "whole": (pa.int16(), [3, None, -3, 3]),
    "float": (pa.float64(), [0.5, float("nan"), -0.0, 0.0, None, float("inf")]),
    "float32": (pa.float32(), [0.1, None, 0.1]),
    "bool": (pa.bool_(), [True, None, False, True]),
    "date": (pa.date32(), [dt.date(2020, 1, 1), None, dt.date(1900, 5, 5)]),
    "timestamp": (pa.timestamp("ns", "UTC"), [10**18, 1, None, 10**18]),
    "time": (pa.time32("s"), [1, None, 86_399]),
    "duration": (pa.duration("us"), [5, -5, None]),
    "decimal": (pa.decimal128(20, 2), [Decimal("1.50"), None, Decimal("-1.50")]),
}


@pytest.mark.parametrize("name", CASES)
def test_levels_come_back(name: str) -> None:
    type_, values = CASES[name]
    plain = plain_values(pa.array(values, type_))
    categories = categories_of(plain)
    assert all(category is None or isinstance(category, (str, int, float, bool)) for category in categories)
    assert array_of(categories, type_).equals(plain)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("as_dictionary", [False, True])
def test_every_value_finds_its_level(name: str, as_dictionary: bool) -> None:
    type_, values = CASES[name]
    given_ = pa.array(values, type_)
    counts = CategoryCounts.of(given_.dictionary_encode() if as_dictionary else given_, 100).ordered()
    index = CategoryIndex(counts.categories, type_)
    codes = index.find(given_.dictionary_encode() if as_dictionary else given_)
    assert codes.min() >= 0
    assert array_of(counts.categories, type_).take(pa.array(codes)).equals(plain_values(given_))
    np.testing.assert_array_equal(np.bincount(codes), counts.counts)
    for code, row in enumerate(counts.first_rows):
        assert np.flatnonzero(codes == code)[0] + 100 == row


def test_blank_text_nan_and_negative_zero_are_one_level_each() -> None:
    assert CategoryCounts.of(pa.array(["", " ", None, "\t", "x"]), 0).categories == (None, "x")
    assert CategoryCounts.of(pa.array([-0.0, 0.0, None, float("nan")]), 0).categories == (0.0, None)
    views = pa.DictionaryArray.from_arrays([1, None, 0], pa.array(["x", "y"], pa.string_view()))
    assert CategoryCounts.of(views, 0).ordered().categories == ("y", None, "x")


def test_slices_of_dictionaries() -> None:
    values = pa.array(["a", "b", None, "c", "b"]).dictionary_encode()
    counts = CategoryCounts.of(values.slice(1, 3), 1)
    assert dict(zip(counts.categories, counts.counts.tolist(), strict=True)) == {"b": 1, None: 1, "c": 1}
    assert CategoryIndex(("c", None, "b"), pa.string()).find(values.slice(1, 3)).tolist() == [2, 1, 0]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=30), st.data())
def test_counts_merge_in_any_order(values: list[str | None], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    borders = [0, *cuts, len(values)]
    parts = [
        CategoryCounts.of(pa.array(values[a:b], pa.string()), a) for a, b in zip(borders[:-1], borders[1:], strict=True)
    ]
    whole = CategoryCounts.of(pa.array(values, pa.string()), 0).ordered()
    merged = reduce(CategoryCounts.merge, data.draw(st.permutations(parts))).ordered()
    assert merged.categories == whole.categories
    np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_array_equal(merged.first_rows, whole.first_rows)


@pytest.mark.usefixtures("strict_cupy")
@pytest.mark.parametrize("gaps", [(), (0, 3), range(9)], ids=["no", "some", "all"])
@pytest.mark.parametrize(
    "values",
    [
        pa.DictionaryArray.from_arrays([4, 1, 0, 2, 2, 3, 1, 4, 0], ["b", None, " ", "b", "a", "unused"]),
        pa.array([7, -1, 7, 0, 0, 2**62, 7, -1, 5]),
        pa.array([True, True, False, True, False, True, True, True, False]),
        pa.array(np.array([0.0, -0.0, np.nan, -np.nan, 1e-40, 2e-40, 0.5, 1e-40, 0.5], np.float32)),
        pa.array(np.array([0.0, -0.0, np.nan, 5e-324, 1e-310, 0.5, 0.5, 5e-324, np.inf])),
        pa.array(np.array([0.0, -0.0, np.nan, 6e-8, 0.5, 0.5, 1, 2, 3], np.float16)),
        pa.array([5, 7, 5, -1, 2**62, 0, 0, 1, 5], pa.timestamp("ns")),
        pa.array([5, 7, 5, -1, 2**62, 0, 0, 1, 5], pa.duration("us")),
        decimals(np.array([5, 7, 5, -1, 2**59, 0, 0, 1, 5]), decimal_type(64, 18, 2), None),
        decimals(np.array([5, 7, 5, -1, 2**29, 0, 0, 1, 5]), decimal_type(32, 9, 2), None),
    ],
    ids=["words", "integers", "booleans", "singles", "doubles", "halves", "moments", "lengths", "decimals", "shorter"],
)
def test_counts_of_a_device_are_those_of_the_host(values: Any, gaps: Any) -> None:
    missing = np.isin(np.arange(9), gaps)
    coded = pa.types.is_dictionary(values.type)
    stored = values.indices if coded else values.view(pa.int64()) if pa.types.is_temporal(values.type) else values
    stored = unscaled(values) if pa.types.is_decimal(values.type) else stored
    mask = up(missing) if missing.any() else None
    column = DeviceColumn(up(stored), values.type, mask, values.dictionary if coded else None)
    expected, found = CategoryCounts.of(column.to_arrow(), 50).ordered(), CategoryCounts.of(column, 50).ordered()
    assert (found.type, found.rows, found.categories) == (expected.type, expected.rows, expected.categories)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.first_rows, expected.first_rows)
    index = CategoryIndex(expected.categories[1:], expected.type)
    np.testing.assert_array_equal(index.find(column).get(), index.find(column.to_arrow()))


ON_DEVICES: dict[str, pa.Array] = {name: pa.array(values, type_) for name, (type_, values) in CASES.items()} | {
    "bytes": pa.array([7, 0, 7], pa.uint8()),
    "large whole": pa.array([2**63 + 1, None, 5], pa.uint64()),
    "beyond floats": pa.array([2**60 + 1, None, 5]),
    "half": pa.array(np.array([0.5, 3.0, np.nan], np.float16)),
    "subnormal": pa.array(np.array([1e-40, 0.0, -1e-40], np.float32)),
    "naive": pa.array([10**9, None, 5], pa.timestamp("ms")),
    "view": pa.array(["b", None, "a"], pa.string_view()),
    "short decimal": pa.array([Decimal("1.50"), None, Decimal("-1.50")]).cast(decimal_type(64, 12, 2)),
    "wide decimal": pa.array([Decimal("1.50"), None], pa.decimal128(30, 2)),
    "words": pa.array(["b", None, "a", " "]).dictionary_encode(),
    "ordered": pa.DictionaryArray.from_arrays([0, 2, None], pa.array([9, 8, 7]), ordered=True),
    "nothing": pa.nulls(3),
}


@pytest.mark.parametrize("encoding", ["onehot", "interval"])
@pytest.mark.parametrize("name", ON_DEVICES)
def test_values_are_gathered_on_a_device_as_on_the_host(cudf: Any, name: str, encoding: str) -> None:
    values = ON_DEVICES[name]
    column = CategoricalPlan("x", values.type, "ignore", encoding=encoding).fit(CategoryCounts.of(values, 0))
    decode = column.decoder(get_engine("reference"), check=False)
    codes = np.array([0, column.width, len(column.categories) - 1, 0], np.int8)
    scalars = np.array([-0.99, np.nan, 0.99, 0.0], np.float32)
    (there, here), likes = (
        [decode(Coded(scalar=place(scalars), code=place(codes)), 0).array for place in (np.asarray, up)],
        [open_source({"x": up(codes)}), open_source(DataFrame({"x": up(codes)}))],
    )
    assert isinstance(here, DeviceColumn)
    assert (here.type, len(here)) == (there.type, 4)
    assert on_host(here).equals(there)
    assert on_host(here.filter(up(np.array([True, False, True, False])))).equals(taken(there, [0, 2]))
    for rows in ([0, 1, 2, 3], [0, 2]):  # with a row that is missing, and perhaps without
        parts = here.filter(up(np.array(rows))), taken(there, rows)
        tables = [Block.joined([Block.of(0, {"x": x}, len(x))], pa.schema([("x", x.type)])) for x in parts]
        (found, expected), frames = ([restore(table, like)["x"] for table in tables] for like in likes)
        assert isinstance(found, np.ndarray) == isinstance(expected, np.ndarray)
        assert str((found.dtype, found.tolist())) == str((expected.dtype, expected.tolist()))
        assert frames[0].to_arrow().cast(frames[1].to_arrow().type).equals(frames[1].to_arrow())


@pytest.mark.usefixtures("strict_cupy")
def test_modes_of_no_category_are_refused_on_a_device() -> None:
    for unknown, wrong in (("error", 127), ("ignore", -1)):
        column = CategoricalPlan("x", pa.int64(), unknown).fit(CategoryCounts.of(pa.array(range(127)), 0))
        decode = column.decoder(get_engine("reference"), check=False)
        with pytest.raises(InputError, match=f'"x.mode": {wrong} at row 12 is none of the 127 modes'):
            decode(Coded(code=up(np.array([126, 0, wrong], np.int8))), 10)


def test_levels_that_never_occurred_have_no_first_row() -> None:
    one = CategoryCounts(pa.string(), 3, ("a", "b"), np.array([3, 0]), np.array([2, -1]))
    other = CategoryCounts(pa.string(), 1, ("b", "c", "a"), np.array([0, 0, 1]), np.array([-1, -1, 7]))
    for merged in (one.merge(other).ordered(), other.merge(one).ordered()):
        assert merged.rows == 4
        assert merged.categories[0] == "a"
        assert merged.counts.tolist() == [4, 0, 0]
        assert merged.first_rows.tolist() == [2, -1, -1]


@pytest.mark.parametrize(
    ("type_", "category", "text"),
    [
        (pa.string(), None, "missing"),
        (pa.string(), "x" * 40, "x" * 40),
        (pa.string(), "x" * 41, "x" * 37 + "..."),
        (pa.dictionary(pa.int8(), pa.date32()), 1, "1970-01-02"),
        (pa.timestamp("s"), 60, "1970-01-01T00:01:00"),
        (pa.int64(), -7, "-7"),
        (pa.bool_(), True, "True"),
    ],
)
def test_texts_of_levels(type_: pa.DataType, category: Any, text: str) -> None:
    assert category_text(type_, category) == text


def test_order_is_by_count_then_first_appearance() -> None:
    rows = ["c", "a", "b", "b", "a", None]
    column = TableTransformer().fit({"x": np.array(rows, object)}).columns_["x"]
    assert column.categories == ("a", "b", "c", None)


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=2, max_size=30), st.data())
def test_a_model_goes_on_in_the_order_of_one_fit(values: list[str | None], data: st.DataObject) -> None:
    """It knows the order in which categories came, and not in which rows; what is added comes after them."""
    cut, plan = data.draw(st.integers(1, len(values) - 1)), CategoricalPlan("x", pa.string(), "error")
    counts = [CategoryCounts.of(pa.array(part, pa.string()), 0) for part in (values, values[:cut], values[cut:])]
    whole, column = plan.fit(counts[0]), plan.fit(counts[1])
    stored = type(column).from_json(json.loads(json.dumps(plain(column.to_json())), object_hook=from_plain), "x")
    assert plan.fit(stored.counted().merge(counts[2].shifted(cut))).to_json() == whole.to_json()
    assert sorted(whole.appearance) == [*range(len({*values}))]


@pytest.mark.parametrize("kind", ["onehot", "interval"])
def test_a_model_holds_no_number_of_a_row(kind: str, tmp_path: Path) -> None:
    rows = np.resize(np.array(["a", "b"], object), 7000)
    rows[[5741, 6173, 6174]] = "rare", "rarer", None
    table = {"x": rows}
    transformer = TableTransformer({"x": {"kind": "categorical", "encoding": kind}}).fit(table)
    transformer.save(tmp_path / "model")
    told = (tmp_path / "model" / "model.json").read_text() + str(transformer.fit_report_)
    told += json.dumps(transformer.columns_["x"].describe())
    assert not re.search(r"574[12]|617[3-5]|5,74[12]|6,17[3-5]", told)
    parts = TableTransformer({"x": {"kind": "categorical", "encoding": kind}}).fit({"x": rows[:6000]})
    parts.save(tmp_path / "parts")
    more = load(tmp_path / "parts").partial_fit({"x": rows[6000:]})
    assert more.columns_["x"].to_json() == transformer.columns_["x"].to_json()


def test_an_order_that_is_none_is_refused() -> None:
    column = CategoricalPlan("x", pa.string(), "error").fit(CategoryCounts.of(pa.array(["a", "b"]), 0))
    document = json.loads(json.dumps(plain(column.to_json())), object_hook=from_plain)
    for appearance in ([0, 7], [0, 0], [1, 2]):
        with pytest.raises(ValueError, match="no order"):
            type(column).from_json(document | {"appearance": appearance}, "x").check_parts()


def test_a_new_level_is_refused_or_has_no_code() -> None:
    known, new = {"x": np.array(["a", "b", "a"])}, {"x": np.array(["b", "q", "a"])}
    with pytest.raises(InputError, match=r"column \"x\": 1 value \(such as 'q'\) is no category .* row 1"):
        TableTransformer().fit(known).transform(new)
    lenient = TableTransformer(unknown="ignore").fit(known)
    np.testing.assert_array_equal(lenient.transform(new, layout="onehot"), [[0, 1], [0, 0], [1, 0]])
    encoded = lenient.transform(pa.table(new))
    assert encoded["x.mode"].to_pylist() == [1, None, 0]
    assert lenient.inverse_transform(encoded)["x"].to_pylist() == ["b", None, "a"]
    assert lenient.inverse_transform(lenient.transform(new, layout="onehot"))["x"].tolist() == ["b", None, "a"]


def test_missing_is_a_level_only_if_it_was_there() -> None:
    with pytest.raises(InputError, match='column "x": 1 value is missing in a column that had none'):
        TableTransformer().fit({"x": np.array(["a", "b"])}).transform({"x": np.array(["a", None], object)})


def test_declared_categories_stand_whether_they_occur_or_not() -> None:
    spec = {"x": {"kind": "categorical", "categories": ["low", "mid", "high", None]}}
    transformer = TableTransformer(spec).fit({"x": np.array(["high", "low", "high"])})
    column = transformer.columns_["x"]
    assert column.categories == ("high", "low", "mid", None)
    assert column.counts == (2, 1, 0, 0)
    assert column.describe_codes()[0] == {"code": 0, "level": "high", "text": "high", "rows": 2, "appearance": 0}
    assert column.describe_codes()[3] == {"code": 3, "level": None, "text": "missing", "rows": 0, "appearance": -1}
    assert transformer.transform({"x": np.array(["mid", None], object)})["x.mode"].tolist() == [2, 3]
    with pytest.raises(InputError, match=r"column \"x\": 'top' \(first at row 1\) is none of the declared"):
        TableTransformer(spec).fit({"x": np.array(["low", "top"])})
    transformer.partial_fit({"x": np.array(["mid", "mid", "mid"])})
    assert transformer.columns_["x"].categories == ("mid", "high", "low", None)


def test_categories_of_another_type_are_refused() -> None:
    with pytest.raises(InputError, match='column "x": categories: not all are values of a column of type int64'):
        TableTransformer({"x": {"kind": "categorical", "categories": ["a"]}}).fit({"x": np.arange(5)})


def test_the_dictionary_comes_back_in_its_own_order() -> None:
    rows = pa.DictionaryArray.from_arrays(pa.array([2, 0, 2, None], pa.int8()), ["z", "unused", "a"], ordered=True)
    table = pa.table({"x": rows})
    transformer = TableTransformer().fit(table)
    back = transformer.inverse_transform(transformer.transform(table))
    assert back["x"].type == rows.type
    assert back["x"].chunk(0).dictionary.to_pylist() == ["z", "unused", "a"]
    assert back["x"].to_pylist() == rows.to_pylist()
