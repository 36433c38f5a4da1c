from __future__ import annotations

import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.integrations.ctabgan import DataTransformer

ROWS = 3_000
LISTS = {
    "categorical_list": ["region", "codes"],
    "mixed_dict": {"mortgage": [0.0, -1.0]},
    "general_list": ["share", "codes"],
    "non_categorical_list": ["codes"],
}


@pytest.fixture(scope="module")
def loans():
    random = np.random.default_rng(7)
    mode = random.integers(0, 3, ROWS)
    return pd.DataFrame(
        {
            "amount": random.normal(np.array([50.0, 400.0, 410.0])[mode], np.array([5.0, 60.0, 4.0])[mode]),
            "region": random.choice(["north", "south", "east"], ROWS, p=[0.2, 0.7, 0.1]),
            "mortgage": np.where(random.random(ROWS) < 0.4, 0.0, random.normal(200.0, 30.0, ROWS)),
            "share": random.random(ROWS) * 5 + 2,
            "codes": random.integers(0, 900, ROWS),
            "age": random.integers(18, 90, ROWS),
        }
    )


@pytest.fixture(scope="module")
def transformer(loans):
    fitted = DataTransformer(loans, **LISTS)
    fitted.fit()
    return fitted


@pytest.fixture(scope="module")
def matrix(transformer, loans):
    return transformer.transform(loans)


def fitted_on(rows, **lists):
    transformer = DataTransformer(rows, **lists)
    transformer.fit()
    return transformer


def block(transformer, name, matrix):
    """Scalar and codes of a column."""
    start = 0
    for column in transformer.model:
        stop = start + column.has_scalar + column.width
        if column.name == name:
            return matrix[:, start], matrix[:, start + column.has_scalar : stop], column
        start = stop
    raise KeyError(name)


def test_kinds(transformer):
    kinds = {column.name: column.kind for column in transformer.model}
    assert kinds == {
        "amount": "continuous",
        "region": "categorical",
        "mortgage": "mixed",
        "share": "general",
        "codes": "general",
        "age": "continuous",
    }


def test_is_the_onehot_layout_of_the_table_transformer(matrix, loans):
    kinds = {
        "region": "categorical",
        "mortgage": {"kind": "mixed", "modal": [0.0, -1.0]},
        "share": "general",
        "codes": "general",
        "amount": "continuous",
        "age": "continuous",
    }
    table = TableTransformer(kinds, effort="research").fit(loans)
    np.testing.assert_array_equal(matrix, table.transform(loans, layout="onehot", dtype="float64"))


def test_output_info(transformer, matrix):
    codes = {column.name: column.width for column in transformer.model}
    assert transformer.output_info == [
        (1, "tanh", "no_g"),
        (codes["amount"], "softmax"),
        (3, "softmax"),
        (1, "tanh", "no_g"),
        (codes["mortgage"], "softmax"),
        (1, "tanh", "yes_g"),
        (1, "tanh", "yes_g"),
        (1, "tanh", "no_g"),
        (codes["age"], "softmax"),
    ]
    assert transformer.output_dim == matrix.shape[1] == sum(part[0] for part in transformer.output_info)
    assert [order is None for order in transformer.ordering] == [False, True, False, True, True, False]
    assert [active is None for active in transformer.components] == [False, True, False, True, True, False]
    assert len(transformer.ordering[2]) == 2 + np.sum(transformer.components[2])


def test_continuous_columns(transformer, loans, matrix):
    scalar, codes, column = block(transformer, "amount", matrix)
    np.testing.assert_array_equal(codes.sum(axis=1), 1)
    drawn = column.active_components[np.array(column.order)[np.argmax(codes, axis=1)]]
    expected = (loans["amount"].to_numpy() - column.means[drawn]) / (4 * column.stds[drawn])
    np.testing.assert_allclose(scalar, np.clip(expected, -0.99, 0.99), atol=1e-9)


def test_mode_is_the_number_of_cumulative_probabilities_up_to_the_uniform(loans):
    """The draw, from the fitted mixture of equal columns through scikit-learn's posterior."""
    rows = loans[["amount"]]
    transformer = fitted_on(rows, algorithm="exact", standardize=False)
    uniforms = np.random.default_rng(0).random(ROWS)
    scalar, codes, column = block(transformer, "amount", transformer.transform(rows, uniforms={"amount": uniforms}))
    table = column.mixture.posterior
    log = (
        table.log_coefficients()
        - 0.5 * (column.mixture.frame.apply(rows["amount"].to_numpy())[:, None] - table.means) ** 2 / table.covariances
    )
    likely = np.exp(log - log.max(axis=1, keepdims=True))
    likely = (likely / likely.sum(axis=1, keepdims=True))[:, column.active] + 1e-6
    cumulative = np.cumsum(likely / likely.sum(axis=1, keepdims=True), axis=1)
    mode = np.minimum((cumulative <= uniforms[:, None]).sum(axis=1), cumulative.shape[1] - 1)
    np.testing.assert_array_equal(np.array(column.order)[np.argmax(codes, axis=1)], mode)


def test_modal_rows(transformer, loans, matrix):
    scalar, codes, column = block(transformer, "mortgage", matrix)
    modal = loans["mortgage"].to_numpy() == 0
    index = np.array(column.order)[np.argmax(codes, axis=1)]
    np.testing.assert_array_equal(index == 0, modal)
    assert not np.any(index == 1), "the second modal value is listed, but absent"
    np.testing.assert_array_equal(scalar[modal], 0)
    assert np.all(scalar[~modal] != 0)
    assert column.minimum > 0, "bounds are those of the ordinary values"


def test_codes_by_falling_frequency(transformer, loans):
    matrix = transformer.transform(loans, mode="argmax")
    for name in ["amount", "mortgage", "region", "age"]:
        counts = block(transformer, name, matrix)[1].sum(axis=0)
        assert np.all(np.diff(counts) <= 0), name


def test_general_columns(transformer, loans, matrix):
    for name, margin in [("share", 0.0), ("codes", 0.001)]:
        values = loans[name].to_numpy()
        low, high = values.min() - margin, values.max() + margin
        scalar, codes, _ = block(transformer, name, matrix)
        assert codes.shape[1] == 0
        np.testing.assert_allclose(scalar, 2 * (values - low) / (high - low) - 1, atol=1e-12)


def test_categorical_columns(transformer, loans, matrix):
    _, codes, column = block(transformer, "region", matrix)
    assert column.categories == ("south", "north", "east")
    for code, category in enumerate(column.categories):
        np.testing.assert_array_equal(codes[:, code] == 1, (loans["region"] == category).to_numpy())


def test_round_trip(transformer, loans, matrix):
    back, invalid = transformer.inverse_transform(matrix)
    assert dict(back.dtypes) == dict(loans.dtypes)
    for name in ["region", "codes", "age"]:
        np.testing.assert_array_equal(back[name], loans[name])
    np.testing.assert_allclose(back["share"], loans["share"], rtol=1e-9)
    np.testing.assert_array_equal(back["mortgage"][loans["mortgage"] == 0], 0)
    inside = np.abs(block(transformer, "amount", matrix)[0]) < 0.99
    np.testing.assert_allclose(back["amount"][inside], loans["amount"][inside], rtol=1e-9)
    assert len(back) == ROWS and len(invalid) < 0.01 * ROWS
    for row in (loans["amount"].idxmin(), loans["share"].idxmin(), loans["share"].idxmax(), loans["age"].idxmax()):
        assert row not in invalid or np.abs(block(transformer, "amount", matrix)[0][row]) == 0.99


def test_invalid_rows_are_kept_and_named(transformer, loans):
    matrix = transformer.transform(loans.iloc[:50], mode="argmax")
    column = next(column for column in transformer.model if column.name == "amount")
    lowest = np.argmin(column.means[column.active])
    matrix[[3, 17], 0] = -1
    matrix[[3, 17], 1 : 1 + column.width] = 0
    matrix[[3, 17], 1 + np.argsort(column.order)[lowest]] = 1
    back, invalid = transformer.inverse_transform(matrix)
    assert len(back) == 50
    assert list(invalid) == [3, 17]
    kept, ids = transformer.inverse_transform(matrix, invalid="drop")
    assert len(kept) == 48 and list(ids) == [3, 17]
    with pytest.raises(InputError, match="invalid"):
        transformer.inverse_transform(matrix, invalid="remove")


def test_a_second_batch_decodes_as_well_as_the_first(transformer, loans):
    """The order of modes and the place of modal rows are those of the rows given, whatever went before."""
    transformer.transform(loans)
    for batch in (loans.iloc[::-1].reset_index(drop=True), loans[loans["mortgage"] == 0].reset_index(drop=True)):
        back, _ = transformer.inverse_transform(transformer.transform(batch))
        np.testing.assert_array_equal(back["mortgage"] == 0, batch["mortgage"] == 0)
        np.testing.assert_allclose(back["mortgage"], batch["mortgage"], rtol=0.05)
        np.testing.assert_array_equal(back["codes"], batch["codes"])


def test_transforms_repeat(transformer, loans, matrix):
    np.testing.assert_array_equal(transformer.transform(loans), matrix)
    assert not np.array_equal(transformer.transform(loans, seed=1), matrix)


def test_the_sentinel_is_a_number_unless_listed():
    random = np.random.default_rng(3)
    values = np.where(random.random(1_000) < 0.3, -9_999_999.0, random.normal(10, 1, 1_000))
    rows = pd.DataFrame({"x": values})
    (plain,) = fitted_on(rows).model
    assert plain.kind == "continuous" and plain.minimum == -9_999_999
    listed = fitted_on(rows, mixed_dict={"x": [-9_999_999]})
    (column,) = listed.model
    assert column.kind == "mixed" and column.minimum > 0
    assert np.max(column.stds[column.active]) < 10
    back, invalid = listed.inverse_transform(listed.transform(rows))
    np.testing.assert_array_equal(back["x"] == -9_999_999, rows["x"] == -9_999_999)
    assert not set(invalid) & set(np.flatnonzero(values == -9_999_999))


def test_missing_values_need_no_sentinel():
    random = np.random.default_rng(4)
    rows = pd.DataFrame(
        {
            "x": np.where(random.random(500) < 0.2, np.nan, random.normal(10, 1, 500)),
            "c": np.where(random.random(500) < 0.2, None, random.choice(["a", "b"], 500)),
        }
    )
    transformer = fitted_on(rows, categorical_list=["c"], mixed_dict={"x": [np.nan]})
    assert transformer.model[0].modal_values == (None,)
    back, invalid = transformer.inverse_transform(transformer.transform(rows))
    np.testing.assert_array_equal(back["x"].isna(), rows["x"].isna())
    np.testing.assert_array_equal(back["c"].isna(), rows["c"].isna())
    assert not len(invalid)


def test_a_constant_general_column():
    rows = pd.DataFrame({"x": np.full(20, 3.5), "y": np.arange(20.0)})
    transformer = fitted_on(rows, general_list=["x", "y"])
    matrix = transformer.transform(rows)
    np.testing.assert_array_equal(matrix[:, 0], 0)
    back, _ = transformer.inverse_transform(matrix)
    np.testing.assert_array_equal(back["x"], 3.5)


def test_general_rows_outside_the_range():
    transformer = fitted_on(pd.DataFrame({"x": [0.0, 1.0, 10.0]}), general_list=["x"])
    np.testing.assert_allclose(transformer.transform(pd.DataFrame({"x": [-5.0, 15.0]})), [[-2.0], [2.0]])
    back, invalid = transformer.inverse_transform(np.array([[-2.0], [2.0], [0.0]]))
    np.testing.assert_allclose(back["x"], [0, 10, 5])
    assert not len(invalid)


def test_equal_levels_by_first_appearance():
    transformer = fitted_on(pd.DataFrame({"c": ["z", "a", "m", "a", "z", "m", "q"]}), categorical_list=["c"])
    assert transformer.model[0].categories == ("z", "a", "m", "q")
    with pytest.raises(InputError, match='"c".*new'):
        transformer.transform(pd.DataFrame({"c": ["a", "new"]}))


@pytest.mark.parametrize("by", ["name", "position", "numpy"])
def test_columns_by_name_or_position(loans, by, matrix):
    place = list(loans.columns).index
    as_named = {"name": str, "position": place, "numpy": lambda name: np.int64(place(name))}[by]
    lists = {
        key: {as_named(name): values for name, values in given.items()}
        if isinstance(given, dict)
        else [as_named(name) for name in given]
        for key, given in LISTS.items()
    }
    before = deepcopy(lists)
    np.testing.assert_array_equal(fitted_on(loans, **lists).transform(loans), matrix)
    assert lists == before


def test_whole_numbers_are_labels_where_there_are_such():
    rows = pd.DataFrame({1: ["a", "b", "a"], 0: [1.0, 2.0, 5.0], "x": [1, 2, 3]})
    transformer = fitted_on(rows, categorical_list=[1], general_list=[2])
    assert [column.kind for column in transformer.model] == ["categorical", "continuous", "general"]
    back, _ = transformer.inverse_transform(transformer.transform(rows))
    assert list(back.columns) == [1, 0, "x"]


def test_inputs_are_not_modified(loans):
    rows, lists = loans.copy(), deepcopy(LISTS)
    transformer = fitted_on(rows, **lists)
    transformer.inverse_transform(transformer.transform(rows))
    pd.testing.assert_frame_equal(rows, loans)
    assert lists == LISTS


def test_arrays_by_position(transformer, loans, matrix):
    """The research code fits a frame and transforms its values."""
    np.testing.assert_array_equal(transformer.transform(loans.to_numpy()), matrix)
    numbers = loans.drop(columns="region")
    from_array = fitted_on(numbers.to_numpy(), mixed_dict={1: [0.0, -1.0]}, general_list=[2, 3])
    found = from_array.transform(numbers.to_numpy())
    back, invalid = from_array.inverse_transform(found)
    assert isinstance(back, np.ndarray) and back.dtype == np.float64
    assert back.shape == (ROWS, 5)
    np.testing.assert_allclose(back[:, 2], numbers["share"], rtol=1e-9)


def test_pickles_without_the_summaries(transformer, loans, matrix):
    again = pickle.loads(pickle.dumps(transformer))
    np.testing.assert_array_equal(again.transform(loans), matrix)
    assert not again._table.summaries_


def test_options_of_the_table_transformer(loans):
    rows = loans[["amount"]]
    exact = fitted_on(rows, tails="exact", random_state=3, n_clusters=4, eps=0.01)
    assert len(exact.model[0].means) == 4
    back, _ = exact.inverse_transform(exact.transform(rows))
    np.testing.assert_allclose(back["amount"], rows["amount"], rtol=1e-9)
    with pytest.raises(TypeError, match="nothing"):
        DataTransformer(rows, nothing=1)


@pytest.mark.parametrize("effort", ["research", "auto"])
def test_many_categories_are_one_hot_whatever_the_effort(effort):
    rows = pd.DataFrame({"code": [f"c{i % 300}" for i in range(600)]})
    transformer = DataTransformer(rows, categorical_list=["code"], effort=effort)
    transformer.fit()
    assert transformer.output_info == [(300, "softmax")]
    pd.testing.assert_frame_equal(transformer.inverse_transform(transformer.transform(rows))[0], rows)


def test_empty_batches(transformer, loans):
    empty = transformer.transform(loans.iloc[:0])
    assert empty.shape == (0, transformer.output_dim)
    back, invalid = transformer.inverse_transform(empty)
    assert len(back) == 0 and len(invalid) == 0


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"categorical_list": ["regon"]}, "categorical_list.*'regon'.*'region'"),
        ({"general_list": [99]}, "general_list.*99"),
        ({"categorical_list": ["region"], "mixed_dict": {"mortgage": [0], 2: [1]}}, "by its label and by its position"),
        ({}, "region"),
    ],
)
def test_refused_lists(loans, lists, message):
    with pytest.raises(InputError, match=message):
        fitted_on(loans, **lists)


def test_refusals(transformer):
    with pytest.raises(InputError, match="train_data"):
        DataTransformer().fit()
    with pytest.raises(InputError, match="DataFrame"):
        fitted_on({"x": np.arange(3.0)})
    with pytest.raises(InputError, match="6 were fitted"):
        transformer.transform(np.zeros((3, 2)))
    with pytest.raises(InputError, match=f"give {transformer.output_dim} columns"):
        transformer.inverse_transform(np.zeros((3, 2)))


def test_says_that_it_is_not_fitted(loans):
    with pytest.raises(NotFittedError, match="call fit"):
        DataTransformer(loans).transform(loans)
    with pytest.raises(NotFittedError, match="call fit"):
        DataTransformer(loans).inverse_transform(np.zeros((1, 1)))
