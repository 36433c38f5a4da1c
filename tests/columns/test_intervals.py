"""Categories as intervals of one scalar, and infrequent categories in one column."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from gpuvgm import TableTransformer, TrainingRows
from gpuvgm.columns.categorical import CategoricalColumn, IntervalColumn
from gpuvgm.columns.intervals import END, INNER, Intervals
from gpuvgm.columns.model import column_from_json
from gpuvgm.errors import InputError
from gpuvgm.io import from_plain, plain
from tests.harness.device.module import up

ROWS = 60_000
LAST = np.nextafter(1.0, 0.0)  # the largest uniform


def zipf_counts(categories: int) -> np.ndarray:
    return np.maximum(1, 2_000_000 / np.arange(1, categories + 1) ** 1.2).astype(np.int64)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """A column of 3,000 Zipf categories, some missing, and one of 40."""
    random = np.random.default_rng(3)
    city = np.array([f"city {i}" for i in random.zipf(1.2, ROWS) % 3_000], object)
    city[random.random(ROWS) < 0.01] = None
    return pa.table({"city": pa.array(city), "shop": pa.array([f"s{i}" for i in random.integers(0, 40, ROWS)])})


@pytest.fixture(scope="module")
def fitted(table: pa.Table) -> TableTransformer:
    return TableTransformer().fit(table)


@pytest.mark.parametrize("counts", [zipf_counts(5_000), np.ones(2**18, np.int64), np.array([10**12, 1, 1, 0]), [7]])
def test_every_category_is_found_again_at_both_ends_of_u(counts: Any) -> None:
    intervals, every = Intervals.of(counts), np.arange(len(counts))
    assert intervals.edges.dtype == np.float32
    assert (intervals.edges[0], intervals.edges[-1]) == (np.float32(-END), np.float32(END))
    assert np.all(np.diff(intervals.edges.astype(np.float64)) > 1.4e-6)
    for uniform in (0.0, 2.0**-33, 0.5, 1 - 2.0**-33, LAST):
        scalars = intervals.place(every, uniform)
        assert scalars.dtype == np.float32
        assert np.all(np.abs(scalars) <= np.float32(0.99))
        np.testing.assert_array_equal(intervals.find(scalars), every)
        np.testing.assert_array_equal(intervals.find(scalars.astype(np.float64)), every)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50), st.floats(0, LAST))
def test_places_lie_in_the_inner_part_of_their_interval(counts: list[int], uniform: float) -> None:
    intervals, every = Intervals.of(counts), np.arange(len(counts))
    start, stop = intervals.edges[:-1].astype(float), intervals.edges[1:].astype(float)
    share = (intervals.place(every, uniform) - start) / (stop - start)
    step = 2.0**-24 / (stop - start)  # half a float32 step at most
    assert np.all(np.abs(share - ((1 - INNER) / 2 + INNER * uniform)) <= step)
    np.testing.assert_array_equal(intervals.find(intervals.place(every, uniform)), every)


def test_scalars_of_text_are_found() -> None:
    intervals, every = Intervals.of(np.ones(2**18, np.int64)), np.arange(2**18)
    for uniform in (0.0, LAST):
        texts = [str(scalar) for scalar in intervals.place(every, uniform)]  # the shortest that float32 tells apart
        np.testing.assert_array_equal(intervals.find(np.array(texts, np.float64)), every)


def test_lengths_are_frequencies() -> None:
    lengths = np.diff(Intervals.of([60, 30, 10]).edges.astype(float))
    np.testing.assert_allclose(lengths / (2 * END), [0.6, 0.3, 0.1], atol=1e-6)
    rare = np.diff(Intervals.of([10**9, 1]).edges.astype(float)) / (2 * END)
    np.testing.assert_allclose(rare[1], 2.0**-20 / (1 + 2.0**-20), rtol=0.05)  # two float32 steps are 4 % of it


def test_scalars_beyond_the_ends_belong_to_the_outermost() -> None:
    assert Intervals.of([3, 2, 1]).find(np.array([-5.0, -1.0, 1.0, 5.0])).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("strict_cupy")
def test_scalars_of_a_device_are_found_as_on_the_host(dtype: Any) -> None:
    intervals = Intervals.of([3, 3])  # with a border at 0, which devices take subnormal float32 for
    scalars = np.array([-1e-40, -0.0, 0.0, 1e-40, -0.5, 1e300 if dtype == np.float64 else 1e30, -2], dtype)
    found = intervals.find(up(scalars))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found.get(), intervals.find(scalars))
    assert found.get().tolist() == [0, 1, 1, 1, 0, 1, 0]


def test_the_place_is_drawn_evenly_and_tells_nothing_of_the_row(fitted: TableTransformer, table: pa.Table) -> None:
    column = fitted.columns_["city"]
    scalar = fitted.transform(table)["city.scalar"].to_numpy().astype(float)
    scaled = np.sort((scalar + END) / (2 * END))
    assert (
        np.max(np.abs(scaled - (np.arange(ROWS) + 0.5) / ROWS)) < 0.01
    )  # Kolmogorov-Smirnov, frequencies being lengths
    assert len(np.unique(scalar)) > 0.95 * ROWS
    assert isinstance(column, IntervalColumn)


@pytest.mark.parametrize("layout", ["compact", "onehot"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["sample", "argmax"])
def test_every_row_comes_back(fitted: TableTransformer, table: pa.Table, layout: Any, dtype: Any, mode: Any) -> None:
    encoded = fitted.transform(table, layout=layout, dtype=dtype, mode=mode)
    back = fitted.inverse_transform(encoded)
    assert list(back["city"].to_pylist()) == table["city"].to_pylist()
    assert list(back["shop"].to_pylist()) == table["shop"].to_pylist()


def test_the_column_is_one_column_of_the_matrix(fitted: TableTransformer, table: pa.Table) -> None:
    assert fitted.layout_ == {"city": [(0, 1, "tanh")], "shop": [(1, 41, "softmax")]}
    encoded = fitted.transform(table)
    assert encoded.column_names == ["city.scalar", "shop.mode"]
    assert encoded.schema.field("city.scalar").type == pa.float32()
    assert list(fitted.get_feature_names_out(layout="onehot"))[:2] == ["city.scalar", "shop.mode.0"]
    middle = fitted.transform(table.slice(0, 5), mode="argmax")["city.scalar"].to_numpy()
    column = fitted.columns_["city"]
    for scalar, city in zip(middle, table["city"].to_pylist()[:5], strict=True):
        code = column.describe_codes()[column.categories.index(city)]
        assert scalar == np.float32((code["start"] + code["stop"]) / 2)


def test_the_schema_says_so(table: pa.Table) -> None:
    fitted = TableTransformer({"shop": {"max_categories": 5}}).fit(table)
    words = "more than 256 categories: one scalar, in which each category owns an interval"
    for _ in range(2):
        assert fitted.schema_["city"].reason.endswith(f" missing; {words}")
        assert fitted.schema_["shop"].reason.endswith("; infrequent categories share a one-hot column")
        assert fitted.schema_["city"].reason.count(words) == 1
        fitted.partial_fit(table)


def test_float64_scalars_are_the_same_numbers(fitted: TableTransformer, table: pa.Table) -> None:
    narrow, wide = (fitted.transform(table, dtype=dtype)["city.scalar"].to_numpy() for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(narrow.astype(np.float64), wide)


def test_blocks_order_of_rows_and_parts_change_nothing(fitted: TableTransformer, table: pa.Table) -> None:
    encoded = fitted.transform(table)
    shorter = TableTransformer(block_rows=7_001).fit(table)
    assert shorter.columns_["city"] == fitted.columns_["city"]
    assert shorter.transform(table).equals(encoded)
    first = fitted.transform(table.slice(0, 20_001))
    second = fitted.transform(table.slice(20_001), first_row=20_001)
    assert pa.concat_tables([first, second]).combine_chunks().equals(encoded.combine_chunks())
    halves = pa.concat_tables([table.slice(30_000), table.slice(0, 30_000)])
    other = TableTransformer().fit(halves).columns_["city"]
    assert dict(zip(other.categories, other.counts, strict=True)) == dict(
        zip(fitted.columns_["city"].categories, fitted.columns_["city"].counts, strict=True)
    )


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_engines_give_the_same_places(fitted: TableTransformer, table: pa.Table, engine: str) -> None:
    other = TableTransformer(engine=engine).fit(table)
    assert other.columns_ == fitted.columns_
    assert other.transform(table).equals(fitted.transform(table))


@pytest.mark.parametrize("layout", ["compact", "onehot"])
def test_files_give_the_same_rows(fitted: TableTransformer, table: pa.Table, layout: Any, tmp_path: Any) -> None:
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=9_000)
    fitted.transform(tmp_path / "rows.parquet", layout=layout, out=tmp_path / "encoded.parquet")
    fitted.inverse_transform(tmp_path / "encoded.parquet", out=tmp_path / "back.parquet")
    assert pq.read_table(tmp_path / "back.parquet").cast(table.schema).equals(table)
    if layout == "compact":
        encoded = pq.read_table(tmp_path / "encoded.parquet")
        assert encoded["city.scalar"].equals(fitted.transform(table)["city.scalar"])


def test_partitions_of_dask_give_the_same(fitted: TableTransformer, table: pa.Table) -> None:
    dask = pytest.importorskip("dask.dataframe")
    frame = table.to_pandas()
    parted = dask.from_pandas(frame, npartitions=4)
    other = TableTransformer().fit(parted)
    assert other.columns_["city"].counts == fitted.columns_["city"].counts
    encoded = other.transform(parted)
    np.testing.assert_array_equal(encoded.compute()["city.scalar"], fitted.transform(table)["city.scalar"])
    back = other.inverse_transform(encoded).compute()
    assert back["city"].astype(object).where(back["city"].notna(), None).tolist() == table["city"].to_pylist()


def test_uniforms_of_the_caller_take_the_generators_place(fitted: TableTransformer, table: pa.Table) -> None:
    few = table.slice(0, 100)
    middle = fitted.transform(few, uniforms={"city": np.full(100, 0.5)})
    assert middle["city.scalar"].equals(fitted.transform(few, mode="argmax")["city.scalar"])
    with pytest.raises(InputError, match='column "shop", which draws nothing'):
        fitted.transform(few, uniforms={"shop": np.full(100, 0.5)})


def test_models_are_saved_and_loaded(fitted: TableTransformer, table: pa.Table, reloaded: Any) -> None:
    loaded = reloaded(fitted, summaries=True)
    assert loaded.columns_ == fitted.columns_
    assert loaded.transform(table).equals(fitted.transform(table))
    loaded.inverse_transform(fitted.transform(table))
    document = json.loads(json.dumps(plain(fitted.columns_["city"].to_json())), object_hook=from_plain)
    assert document["encoding"] == "interval"
    assert column_from_json(document) == fitted.columns_["city"]
    assert fitted.columns_["shop"].to_json()["encoding"] == "onehot"


def test_other_frequencies_are_another_model(fitted: TableTransformer, table: pa.Table) -> None:
    other = TableTransformer().fit(pa.concat_tables([table, table.slice(0, 1_000)]))
    assert other.columns_["city"].meaning() != fitted.columns_["city"].meaning()
    path_of = fitted.transform(table)
    with pytest.raises(InputError, match="encoded with another model"):
        other.inverse_transform(path_of)


def test_unknown_values_are_nan_or_an_error(table: pa.Table) -> None:
    new = pa.table({"city": ["city 1", "nowhere", "city 1"], "shop": ["s1"] * 3})
    with pytest.raises(InputError, match=r"column \"city\": 1 value \(such as 'nowhere'\) is no category .* row 1"):
        TableTransformer().fit(table).transform(new)
    lenient = TableTransformer(unknown="ignore").fit(table)
    encoded = lenient.transform(new)
    assert np.isnan(encoded["city.scalar"].to_numpy()).tolist() == [False, True, False]
    assert lenient.inverse_transform(encoded)["city"].to_pylist() == ["city 1", None, "city 1"]
    with pytest.raises(
        InputError, match=r'column "city": 1 value is not among the categories .* row 1\).* max_categories'
    ):
        lenient.transform(new, layout="onehot")
    figures = lenient.evaluate(new).columns["city"]
    assert (figures.unknown_rows, figures.level_agreement) == (1, 2 / 3)


def test_nan_where_nothing_is_unknown_is_an_error(fitted: TableTransformer, table: pa.Table) -> None:
    encoded = fitted.transform(table.slice(0, 5)).to_pandas()
    encoded.loc[3, "city.scalar"] = np.nan
    with pytest.raises(InputError, match=r'column "city": 1 scalar is NaN \(first at row 3\)'):
        fitted.inverse_transform(encoded)


def test_the_encoding_may_be_chosen(table: pa.Table) -> None:
    chosen = TableTransformer({"city": {"encoding": "onehot"}, "shop": {"encoding": "interval"}}).fit(table)
    city, shop = chosen.columns_["city"], chosen.columns_["shop"]
    assert (type(city), city.width) == (CategoricalColumn, len(city.categories))
    assert (type(shop), shop.width, len(shop.categories)) == (IntervalColumn, 0, 40)
    assert chosen.inverse_transform(chosen.transform(table)).equals(table)
    research = TableTransformer(effort="research").fit(table).columns_["city"]
    assert research == TableTransformer({"city": {"encoding": "onehot"}}, effort="research").fit(table).columns_["city"]
    assert (research.encoding, research.automatic, research.max_categories) == ("onehot", False, None)


@pytest.mark.parametrize(("categories", "class_"), [(256, CategoricalColumn), (257, IntervalColumn)])
def test_beyond_256_categories_are_intervals(categories: int, class_: type) -> None:
    rows = {"x": np.array([f"c{i % categories}" for i in range(10 * categories)])}
    fitted = TableTransformer().fit(rows)
    assert type(fitted.columns_["x"]) is class_
    assert fitted.inverse_transform(fitted.transform(rows))["x"].tolist() == rows["x"].tolist()


def test_rows_added_later_decide_anew() -> None:
    rows = np.array([f"c{i % 300}" for i in range(3_000)])
    part, whole = {"x": rows[:200]}, TableTransformer({"x": "categorical"}).fit({"x": rows}).columns_["x"]
    grown = TableTransformer({"x": "categorical"}).fit(part)
    assert type(grown.columns_["x"]) is CategoricalColumn
    grown.partial_fit({"x": rows[200:]})
    assert grown.columns_["x"] == whole
    chosen = TableTransformer({"x": {"encoding": "onehot"}}).fit(part).partial_fit({"x": rows[200:]})
    assert chosen.columns_["x"].width == 300


@pytest.mark.parametrize(
    "values",
    [
        pa.array(np.arange(3_000) * 7 - 5_000),
        pa.array(np.arange(3_000) * 7 - 5_000).cast(pa.timestamp("us", "UTC")),
        pa.array([f"v{i}" for i in range(3_000)]).dictionary_encode(),
        pa.array([None if i == 5 else i / 8 for i in range(3_000)]),
    ],
    ids=str,
)
def test_values_of_any_type_come_back(values: Any) -> None:
    table = pa.table({"x": pa.concat_arrays([values, values.slice(1, 500)])})
    fitted = TableTransformer({"x": "categorical"}).fit(table)
    assert isinstance(fitted.columns_["x"], IntervalColumn)
    back = fitted.inverse_transform(fitted.transform(table))
    assert back.schema.field("x").type == values.type
    assert back["x"].to_pylist() == table["x"].to_pylist()


def test_it_is_no_condition(fitted: TableTransformer, table: pa.Table) -> None:
    rows = table.slice(0, 100)
    assert TrainingRows(fitted, rows).conditions.names == ("shop",)
    with pytest.raises(
        InputError, match='column "city" is a categorical column, which has no one-hot columns .* max_categories'
    ):
        TrainingRows(fitted, rows, columns=["city"])


def test_models_of_both_encodings_have_a_distance(fitted: TableTransformer, table: pa.Table) -> None:
    onehot = TableTransformer({"city": {"encoding": "onehot"}}).fit(table)
    assert fitted.distance_to(onehot).columns["city"].total_variation == 0


def test_evaluation_finds_every_row(fitted: TableTransformer, table: pa.Table) -> None:
    figures = fitted.evaluate(table).columns["city"]
    assert (figures.rows, figures.level_agreement, figures.total_variation) == (ROWS, 1, 0)
    assert figures.missing == table["city"].null_count
    assert figures.level_count == len(fitted.columns_["city"].categories)


# -- max_categories


def test_infrequent_categories_share_the_last_column(table: pa.Table) -> None:
    fitted = TableTransformer(max_categories=20).fit(table)
    city, shop = fitted.columns_["city"], fitted.columns_["shop"]
    assert (city.width, len(city.own), shop.width) == (20, 19, 20)
    assert fitted.layout_["city"] == [(0, 20, "softmax")]
    counts = np.array(city.counts)
    np.testing.assert_array_equal(city.code_counts, [*counts[:19], counts[19:].sum()])
    matrix = np.asarray(fitted.transform(table, layout="onehot"))
    np.testing.assert_array_equal(matrix[:, :20].sum(axis=0), city.code_counts)
    back = fitted.inverse_transform(matrix)["city"]
    frequent = set(city.own)
    expected = [value if value in frequent else None for value in table["city"].to_pylist()]
    assert list(back.to_pylist()) == expected
    figures = fitted.evaluate(table).columns["city"]
    assert figures.infrequent_rows == counts[19:].sum()
    coming_back = sum(a == b for a, b in zip(expected, table["city"].to_pylist(), strict=True))
    assert figures.level_agreement <= coming_back / ROWS
    assert TrainingRows(fitted, table.slice(0, 100)).conditions.names == ("city", "shop")


def test_categories_are_those_of_scikit_learn(table: pa.Table) -> None:
    from sklearn.preprocessing import OneHotEncoder

    column = table["city"].drop_null().to_numpy(zero_copy_only=False)
    counts = np.unique(column, return_counts=True)[1]
    most = int(np.flatnonzero(np.diff(np.sort(counts)[::-1]))[4]) + 2  # no tie lies between frequent and infrequent
    encoder = OneHotEncoder(max_categories=most, sparse_output=False).fit(column[:, None])
    fitted = TableTransformer(max_categories=most).fit({"city": column})
    assert set(fitted.columns_["city"].infrequent) == set(encoder.infrequent_categories_[0])
    assert (
        np.asarray(fitted.transform({"city": column}, layout="onehot")).shape
        == encoder.transform(column[:, None]).shape
    )


@pytest.mark.parametrize(("most", "width"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_the_number_of_columns_includes_the_shared_one(most: int, width: int) -> None:
    rows = {"x": np.array(["a"] * 5 + ["b"] * 3 + ["c"])}
    fitted = TableTransformer({"x": {"max_categories": most}}).fit(rows)
    assert fitted.columns_["x"].width == width
    back = fitted.inverse_transform(fitted.transform(rows))["x"].tolist()
    own = {"a", "b", "c"} if most > 2 else {"a"} if most == 2 else set()
    assert back == [value if value in own else None for value in rows["x"]]


def test_infrequent_categories_are_known_and_others_are_not() -> None:
    rows = {"x": np.array(["a"] * 5 + ["b"] * 3 + ["c", "d"])}
    fitted = TableTransformer(max_categories=2).fit(rows)
    assert fitted.transform(rows)["x.mode"].tolist() == [0] * 5 + [1] * 5
    with pytest.raises(InputError, match="no category"):
        fitted.transform({"x": np.array(["e"])})
    lenient = TableTransformer(max_categories=2, unknown="ignore").fit(rows)
    np.testing.assert_array_equal(lenient.transform({"x": np.array(["c", "e"])}, layout="onehot"), [[0, 1], [0, 0]])
    assert TrainingRows(fitted, rows).conditions.given("x", "d", 1).code.tolist() == [1]


def test_infrequent_categories_survive_files_and_more_rows(reloaded: Any) -> None:
    first, more = np.array(["a"] * 5 + ["b"] * 3 + ["c", "d"]), np.array(["d"] * 9 + ["e"])
    fitted = TableTransformer(max_categories=2).fit({"x": first})
    loaded = reloaded(fitted, summaries=True)
    assert loaded.columns_ == fitted.columns_
    loaded.partial_fit({"x": more})
    assert loaded.columns_ == TableTransformer(max_categories=2).fit({"x": np.concatenate((first, more))}).columns_
    assert loaded.columns_["x"].own == ("d",)


def test_columns_win_over_the_table(table: pa.Table) -> None:
    own = {"city": {"encoding": "interval"}, "shop": {"max_categories": None}}
    fitted = TableTransformer(own, max_categories=5).fit(table)
    assert isinstance(fitted.columns_["city"], IntervalColumn)
    assert fitted.columns_["shop"].width == 40
    with pytest.raises(InputError, match='column "city": .*"max_categories" .*"interval"'):
        TableTransformer({"city": {"encoding": "interval", "max_categories": 5}}).fit(table)


def test_too_many_categories_name_the_remedies() -> None:
    rows = pa.table({"x": pa.array(np.arange(2**18 + 1))})
    with pytest.raises(InputError, match="more than 262,144 categories: .*pass.* or give max_categories"):
        TableTransformer({"x": "categorical"}, block_rows=100_000).fit(rows)
    wide = TableTransformer({"x": {"kind": "categorical", "encoding": "onehot"}}).fit(rows)
    encoded = wide.transform(rows)
    assert encoded.schema.field("x.mode").type == pa.int32()
    assert wide.inverse_transform(encoded).equals(rows)


OF_TWO = TableTransformer({"x": {"encoding": "interval"}}).fit({"x": np.array(["a", "b", "a"])}).columns_["x"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoding": "uniform"}, 'encoding must be "onehot", "interval" or "constant"'),
        ({"encoding": "constant"}, "a constant has one category"),
        ({"max_categories": 2}, "no largest number"),
        ({"max_categories": 0}, "max_categories must be a whole number"),
        ({"automatic": "yes"}, "automatic must be true or false"),
        ({"categories": [], "counts": [], "appearance": []}, "one category at least"),
        ({"categories": ["a", "b"], "counts": [1], "appearance": [0, 1]}, "do not fit their counts"),
        ({"categories": ["a", 1]}, 'column "x"'),
    ],
)
def test_wrong_documents_are_refused(changed: dict[str, Any], message: str) -> None:
    document = json.loads(json.dumps(plain(OF_TWO.to_json())), object_hook=from_plain)
    column_from_json(document).check()
    with pytest.raises(ValueError, match=message):
        column_from_json(document | changed).check()
