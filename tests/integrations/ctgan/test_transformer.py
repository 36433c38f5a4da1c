from __future__ import annotations

import pickle
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from sklearn.exceptions import NotFittedError

from gpuvgm.errors import InputError
from gpuvgm.integrations import ctgan as drop_in
from gpuvgm.integrations.ctgan import DataTransformer

DISCRETE = ["carrier", "late", "stops"]
CONTINUOUS = ["delay", "distance", "time"]


def test_says_how_to_get_ctgan(monkeypatch):
    monkeypatch.delitem(sys.modules, "ctgan.data_transformer", raising=False)
    monkeypatch.setitem(sys.modules, "ctgan", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "gpuvgm\[ctgan\]"'):
        DataTransformer()
    with pytest.raises(ModuleNotFoundError, match=r'pip install "gpuvgm\[ctgan\]"'), drop_in.installed():
        pass


def fitted(rows, discrete=(), **settings):
    transformer = DataTransformer(**settings)
    transformer.fit(rows, discrete)
    return transformer


@pytest.fixture(scope="module")
def stock(ctgan, flights):
    transformer = ctgan.DataTransformer()
    transformer.fit(flights, DISCRETE)
    return transformer


@pytest.fixture(scope="module")
def ours(ctgan, flights):
    return fitted(flights, DISCRETE, algorithm="exact")


@pytest.fixture(scope="module")
def summarised(ctgan, flights):
    return fitted(flights, DISCRETE)


def spans(transformer):
    """(column, start of its codes, their number) of each column."""
    start = 0
    for column in transformer._column_transform_info_list:
        start += column.column_type == "continuous"
        codes = column.output_info[-1].dim
        yield column.column_name, start, codes
        start += codes


def test_layout(ours, summarised, stock):
    assert ours.output_info_list == stock.output_info_list == summarised.output_info_list
    assert ours.output_dimensions == stock.output_dimensions == summarised.output_dimensions
    assert ours.dataframe is stock.dataframe is True
    for mine, theirs in zip(ours._column_transform_info_list, stock._column_transform_info_list, strict=True):
        assert type(mine) is type(theirs)
        assert (mine.column_name, mine.column_type) == (theirs.column_name, theirs.column_type)
        assert (mine.output_info, mine.output_dimensions) == (theirs.output_info, theirs.output_dimensions)


def test_mixtures_are_ctgans(ours, stock):
    for mine, theirs in zip(ours._column_transform_info_list, stock._column_transform_info_list, strict=True):
        if mine.column_type == "continuous":
            mixture = theirs.transform._bgm_transformer
            np.testing.assert_array_equal(mine.transform.active, theirs.transform.valid_component_indicator)
            np.testing.assert_allclose(mine.transform.means, mixture.means_.ravel(), rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(mine.transform.stds, np.sqrt(mixture.covariances_.ravel()), rtol=1e-6)


@pytest.mark.parametrize("which", ["ours", "summarised"])
def test_matrix(which, stock, flights, request):
    transformer = request.getfixturevalue(which)
    matrix, theirs = transformer.transform(flights), stock.transform(flights)
    assert matrix.dtype == theirs.dtype and matrix.shape == theirs.shape and matrix.flags.c_contiguous
    for name, start, codes in spans(transformer):
        block = matrix[:, start : start + codes]
        assert set(np.unique(block)) <= {0.0, 1.0}
        np.testing.assert_array_equal(block.sum(axis=1), 1)
        share, their_share = block.mean(axis=0), theirs[:, start : start + codes].mean(axis=0)
        if name in DISCRETE:
            np.testing.assert_array_equal(block, theirs[:, start : start + codes])
        else:
            np.testing.assert_allclose(share, their_share, atol=0.05)
            assert np.max(np.abs(matrix[:, start - 1])) <= 0.99


def test_scalars_are_positions_in_the_component_drawn(ours, stock, flights):
    matrix = ours.transform(flights)
    for (name, start, codes), theirs in zip(spans(ours), stock._column_transform_info_list, strict=True):
        if name in CONTINUOUS:
            valid = theirs.transform.valid_component_indicator
            drawn = np.flatnonzero(valid)[np.argmax(matrix[:, start : start + codes], axis=1)]
            mixture = theirs.transform._bgm_transformer
            mean, deviation = mixture.means_.ravel()[drawn], np.sqrt(mixture.covariances_.ravel())[drawn]
            expected = np.clip((flights[name] - mean) / (4 * deviation), -0.99, 0.99)
            np.testing.assert_allclose(matrix[:, start - 1], expected, atol=1e-6)


def test_inverse_gives_the_rows_back(summarised, stock, flights):
    np.random.seed(0)
    mine = summarised.inverse_transform(summarised.transform(flights))
    theirs = stock.inverse_transform(stock.transform(flights))
    assert list(mine.columns) == list(flights.columns)
    assert dict(mine.dtypes) == dict(flights.dtypes) == dict(theirs.dtypes)
    pd.testing.assert_index_equal(mine.index, theirs.index)
    for name in [*DISCRETE, "distance"]:
        assert (mine[name].to_numpy() == flights[name].to_numpy()).all()
    for name in CONTINUOUS:
        error = np.abs(mine[name].to_numpy() - flights[name].to_numpy()).mean()
        assert error <= max(np.abs(theirs[name].to_numpy() - flights[name].to_numpy()).mean() * 1.5, 1e-4)


def test_inverse_of_ctgans_matrix(ours, stock, flights):
    theirs = stock.transform(flights)
    expected, found = stock.inverse_transform(theirs), ours.inverse_transform(theirs)
    for name in ["delay", "time"]:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-4)


def test_inverse_of_what_a_network_gives(ours, stock):
    random = np.random.default_rng(2)
    generated = random.normal(0, 0.7, (300, ours.output_dimensions)).astype(np.float32)
    expected, found = stock.inverse_transform(generated), ours.inverse_transform(generated)
    np.testing.assert_allclose(found["delay"], expected["delay"], rtol=1e-5, atol=1e-4)
    assert dict(found.dtypes) == dict(expected.dtypes)


def test_sigmas_add_ctgans_noise(ours, stock, flights):
    matrix = stock.transform(flights)
    sigmas = np.full(ours.output_dimensions, 0.05, np.float32)
    np.random.seed(3)
    expected = stock.inverse_transform(matrix, sigmas)
    np.random.seed(3)
    found = ours.inverse_transform(matrix, sigmas)
    for name in ["delay", "time"]:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-3)


def test_draws_follow_the_global_generator(summarised, flights):
    np.random.seed(11)
    first, second = summarised.transform(flights), summarised.transform(flights)
    np.random.seed(11)
    again = summarised.transform(flights)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


def test_every_component_above_the_threshold_is_a_mode(ctgan, random):
    rows = pd.DataFrame({f"x{i}": random.standard_t(3, 2_000) * 10**i for i in range(6)})
    transformer = fitted(rows, weight_threshold=0.001)
    columns = [column.transform for column in transformer._column_transform_info_list]
    for column in columns:
        np.testing.assert_array_equal(column.active, column.weights > 0.001)
    assert any(np.any(column.active & (column.mixture.counts == 0)) for column in columns)


@pytest.mark.parametrize("column", DISCRETE)
def test_conditions_point_at_the_code_of_the_value(summarised, flights, column):
    matrix = summarised.transform(flights)
    starts = {name: start for name, start, _ in spans(summarised)}
    for value in flights[column].unique():
        found = summarised.convert_column_name_value_to_id(column, value)
        assert found["column_id"] == list(flights.columns).index(column)
        assert found["discrete_column_id"] == DISCRETE.index(column)
        code = matrix[:, starts[column] + found["value_id"]]
        np.testing.assert_array_equal(code == 1, (flights[column] == value).to_numpy())


@pytest.mark.parametrize(
    ("categories", "value"),
    [
        (["x", None, "y"], None),
        (["x", None, "y"], np.nan),
        (["x", None, "y"], "y"),
        (pd.to_datetime(["2024-03-01", "2024-03-02", None]), pd.Timestamp("2024-03-02")),
        (pd.to_datetime(["2024-03-01", "2024-03-02", None]), np.datetime64("2024-03-02")),
        (pd.to_datetime(["2024-03-01", "2024-03-02", None]), pd.NaT),
        (pd.Categorical([3, 1, 2]), np.int64(1)),
        ([0.5, 1.0, 2.5], 1),
        ([1, 2, 3], 3.0),
    ],
)
def test_conditions_in_other_words(ctgan, categories, value):
    rows = pd.DataFrame({"x": np.arange(6.0), "c": np.tile(np.asarray(categories, object), 2)}).infer_objects()
    rows["c"] = rows["c"].astype(getattr(categories, "dtype", rows["c"].dtype))
    transformer = fitted(rows, ["c"])
    code = transformer.convert_column_name_value_to_id("c", value)["value_id"]
    back = transformer.inverse_transform(transformer.transform(rows))["c"]
    start = next(start for name, start, _ in spans(transformer) if name == "c")
    found = back[transformer.transform(rows)[:, start + code] == 1]
    assert len(found) == 2
    assert found.isna().all() if pd.isna(value) else (found == value).all()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("carrier", "ZZ", "carrier.*ZZ.*AA"),
        ("stops", 2.5, r"stops.*2\.5"),
        ("stops", "two", "stops.*two"),
        ("delay", 1.0, "delay.*continuous.*carrier"),
        ("nothing", 1.0, "The column_name `nothing` doesn't exist in the data.*carrier"),
    ],
)
def test_refuses_conditions_on_nothing(summarised, column, value, message):
    with pytest.raises(ValueError, match=message):
        summarised.convert_column_name_value_to_id(column, value)


def test_iterators_lose_no_rows(ctgan, flights):
    def parts():
        return (flights[start : start + 100] for start in range(0, len(flights), 100))

    whole, again = fitted(flights, DISCRETE), fitted(parts(), DISCRETE)
    assert again._table.model_["carrier"].categories == whole._table.model_["carrier"].categories
    assert again._table.model_["delay"].fit.rows == len(flights)
    np.random.seed(4)
    expected = whole.transform(flights)
    np.random.seed(4)
    np.testing.assert_array_equal(whole.transform(parts()), expected)
    assert len(whole.rows(parts())) == len(flights)


def test_pickles_without_the_rows(summarised, flights):
    stored = pickle.dumps(summarised)
    again = pickle.loads(stored)
    np.random.seed(4)
    expected = summarised.transform(flights)
    np.random.seed(4)
    np.testing.assert_array_equal(again.transform(flights), expected)
    assert again.output_info_list == summarised.output_info_list
    assert not again._table.summaries_
    assert len(stored) < 50_000


@pytest.mark.parametrize(
    ("rows", "discrete"),
    [
        (np.random.default_rng(0).normal(size=(200, 2)), ()),
        (np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32), ()),
        (np.random.default_rng(0).integers(0, 5, (200, 2)), [1]),
        (np.random.default_rng(0).integers(0, 5, (200, 2)), ["1"]),
        (np.array([[1.5, "x"], [2.5, "y"], [8.0, "x"]] * 50, object), [1]),
        (np.array([["a", "x"], ["b", "y"], ["b", "x"]] * 50), [0, 1]),
        (np.array([[b"a", b"x"], [b"b", b"y"]] * 50), [0, 1]),
        (np.array([[True, False], [False, False], [False, True]] * 50), [1]),
    ],
    ids=["float64", "float32", "int64", "int64 by text", "object", "text", "bytes", "bool"],
)
def test_arrays_come_back_as_arrays(ctgan, rows, discrete):
    before = rows.copy()
    transformer = fitted(rows, discrete)
    back = transformer.inverse_transform(transformer.transform(rows))
    np.testing.assert_array_equal(rows, before)
    assert not transformer.dataframe
    assert back.dtype == (object if rows.dtype.kind == "U" else rows.dtype)
    if rows.dtype.kind == "f":
        np.testing.assert_allclose(back, rows, atol=1e-5)
    elif rows.dtype == object:
        np.testing.assert_allclose(back[:, 0].astype(float), rows[:, 0].astype(float), atol=1e-5)
        np.testing.assert_array_equal(back[:, 1], rows[:, 1])
    else:
        np.testing.assert_array_equal(back, rows)


@pytest.mark.parametrize(
    ("values", "discrete"),
    [
        (pd.array(np.arange(200) % 7, dtype="Int64"), False),
        (pd.array(np.arange(200) % 7, dtype="Float64"), False),
        (np.arange(200) % 3 == 0, False),
        ((np.arange(200) % 5).astype(np.uint8), False),
        (pd.Categorical(["x", "y"] * 100, categories=["unused", "y", "x"]), True),
        (pd.date_range("2024-01-01", periods=2).repeat(100), True),
        (pd.array(["x", "y"] * 100, dtype="string"), True),
        (np.array([None, "x", "y", "x"] * 50, object), True),
        (np.array([np.nan, 1.0, 2.0, 1.0] * 50), True),
        (pd.array([None, 1, 2, 1] * 50, dtype="Int64"), True),
        (pd.array([None, True, False, True] * 50, dtype="boolean"), True),
    ],
    ids=[
        "Int64",
        "Float64",
        "bool",
        "uint8",
        "category",
        "datetime",
        "string",
        "object",
        "float categories",
        "Int64 categories",
        "boolean categories",
    ],
)
def test_dtypes_come_back(ctgan, values, discrete):
    rows = pd.DataFrame({"x": values, 1: np.linspace(0, 9, 200)})
    transformer = fitted(rows, ["x"] if discrete else [])
    back = transformer.inverse_transform(transformer.transform(rows))
    pd.testing.assert_series_equal(back["x"], rows["x"], check_exact=discrete, atol=1e-4)
    assert list(back.columns) == ["x", 1]


def test_the_best_fit_is_searched_for(ctgan, flights):
    research, best = fitted(flights[["delay"]]), fitted(flights[["delay"]], effort="best")
    fewer = [one._column_transform_info_list[0].transform.fit.bound_with_fewer for one in (research, best)]
    assert fewer[0] is None
    assert fewer[1] < best._column_transform_info_list[0].transform.fit.lower_bound


def test_few_rows(ctgan):
    transformer = fitted(pd.DataFrame({"x": [4.0]}))
    np.testing.assert_array_equal(transformer.transform(pd.DataFrame({"x": [4.0]})), [[0.0, 1.0]])
    assert transformer.transform(pd.DataFrame({"x": []}, dtype=float)).shape == (0, 2)
    assert len(transformer.inverse_transform(np.empty((0, 2)))) == 0


@pytest.mark.parametrize(
    ("discrete", "columns", "message"),
    [
        (["late", "stops"], None, "carrier"),
        (["carier"], None, 'no column "carier"; did you mean "carrier"'),
        ("carrier", None, "give a list"),
        (DISCRETE, {"late": "continuous"}, "column \"late\" is discrete, and columns says that it is 'continuous'"),
        (DISCRETE, {"delay": "id"}, "column \"delay\" can be .continuous.*columns says that it is 'id'"),
        (DISCRETE, {"dely": {"log": True}}, 'no column "dely"; did you mean "delay"'),
        (DISCRETE, {"delay": {"logs": True}}, '"delay": option "logs" is unknown; did you mean "log"'),
    ],
)
def test_refuses_what_it_cannot_fit(ctgan, flights, discrete, columns, message):
    with pytest.raises(InputError, match=message):
        fitted(flights, discrete, columns=columns)


def test_missing_numbers_have_a_one_hot_column(ctgan, flights):
    rows = flights.assign(delay=flights["delay"].where(np.arange(len(flights)) % 500 != 17))
    transformer = fitted(rows, DISCRETE)
    back = transformer.inverse_transform(transformer.transform(rows))
    assert back["delay"].isna().tolist() == rows["delay"].isna().tolist()


def test_refuses_infinite_values(ctgan, flights):
    with pytest.raises(InputError, match='column "delay": 1 value is infinite'):
        fitted(flights.assign(delay=np.where(np.arange(len(flights)) == 17, np.inf, flights["delay"])), DISCRETE)


def test_refuses_what_it_cannot_transform(summarised, flights):
    with pytest.raises(InputError, match="delay.*missing"):
        summarised.transform(flights.assign(delay=np.nan))
    with pytest.raises(InputError, match="carrier"):
        summarised.transform({"delay": np.zeros(3)})
    with pytest.raises(InputError, match=f"give {summarised.output_dimensions} columns"):
        summarised.inverse_transform(np.zeros((3, 2)))


def test_columns_say_what_is_known(ctgan):
    random = np.random.default_rng(4)
    amount = np.where(random.random(2_000) < 0.4, 0.0, random.lognormal(3, 2, 2_000))
    rows = pd.DataFrame(
        {
            "amount": amount,
            "count": random.poisson(40, 2_000).astype(float),
            "share": random.random(2_000),
            "shop": random.integers(0, 300, 2_000).astype(str),
            "town": random.integers(0, 300, 2_000).astype(str),
            "gap": np.where(random.random(2_000) < 0.1, np.nan, amount),
        }
    )
    columns = {
        "amount": {"modal": [0], "log": True},
        "count": {"integer": True},
        "share": "general",
        "shop": {"encoding": "interval"},
        "town": {"max_categories": 20},
        "gap": {"modal": [None, 0]},
    }
    transformer = fitted(rows, ["shop", "town"], columns=columns)
    shapes = {
        one.column_name: [(span.dim, span.activation_fn) for span in one.output_info]
        for one in transformer._column_transform_info_list
    }
    assert shapes["share"] == shapes["shop"] == [(1, "tanh")] and shapes["town"] == [(20, "softmax")]
    assert shapes["amount"][0] == shapes["gap"][0] == (1, "tanh")
    matrix = transformer.transform(rows)
    assert (
        matrix.shape[1] == transformer.output_dimensions == sum(sum(dim for dim, _ in one) for one in shapes.values())
    )
    zeros = matrix[:, 1][amount == 0]
    assert (zeros == 1).all() and (matrix[:, 0][amount == 0] == 0).all()
    back = transformer.inverse_transform(matrix)
    assert (back["amount"][amount == 0] == 0).all() and (back["count"] == rows["count"]).all()
    np.testing.assert_allclose(back["share"], rows["share"], atol=1e-6)
    assert (back["shop"] == rows["shop"]).all() and (back["gap"].isna() == rows["gap"].isna()).all()
    assert transformer.convert_column_name_value_to_id("town", rows["town"].mode()[0])["discrete_column_id"] == 0
    with pytest.raises(InputError, match="`shop` is continuous. Discrete columns: town"):
        transformer.convert_column_name_value_to_id("shop", "1")
    plain = fitted(rows[["amount"]])
    held = amount > 0
    errors = [np.abs(one.inverse_transform(one.transform(rows))["amount"] / amount - 1) for one in (transformer, plain)]
    assert errors[0][held].mean() < 0.5 * errors[1][held].mean()


@pytest.mark.parametrize("kind", ["path", "pyarrow", "polars", "dict"])
def test_tables_of_other_kinds(ctgan, flights, tmp_path, kind, summarised):
    path = tmp_path / "flights.parquet"
    flights.to_parquet(path, index=False)
    source = {
        "path": lambda: path,
        "pyarrow": lambda: pyarrow.parquet.read_table(path),
        "polars": lambda: pytest.importorskip("polars").read_parquet(path),
        "dict": lambda: {name: flights[name].to_numpy() for name in flights},
    }[kind]()
    transformer = fitted(source, DISCRETE)
    np.random.seed(2)
    matrix = transformer.transform(source)
    np.random.seed(2)
    np.testing.assert_array_equal(matrix, summarised.transform(flights))
    back = transformer.inverse_transform(matrix)
    expected = summarised.inverse_transform(matrix)
    assert type(back).__module__.startswith("polars" if kind == "polars" else "pandas")
    for name in flights:
        assert (back[name].to_numpy() == expected[name].to_numpy()).all()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("transform", [{"delay": np.zeros(3)}]),
        ("inverse_transform", [np.zeros((1, 1))]),
        ("convert_column_name_value_to_id", ["carrier", "AA"]),
    ],
)
def test_says_that_it_is_not_fitted(ctgan, method, arguments):
    with pytest.raises(NotFittedError, match="call fit"):
        getattr(DataTransformer(), method)(*arguments)
