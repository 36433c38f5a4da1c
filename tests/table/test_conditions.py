"""Conditional vectors against what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer, TrainingRows
from gpuvgm.errors import InputError
from gpuvgm.table.conditions import Conditions
from tests.columns.tables import DECLARED, table

ROWS = 4000


@pytest.fixture(scope="module")
def transformer() -> TableTransformer:
    return TableTransformer(DECLARED, effort="research").fit(table(ROWS, 0))


@pytest.fixture(scope="module")
def conditions(transformer: TableTransformer) -> Conditions:
    return Conditions(transformer, ["city", "delay"])


def test_categorical_columns_by_default(transformer: TableTransformer) -> None:
    assert Conditions(transformer).names == ("city",)


def test_spans_cover_the_vector_and_point_into_the_matrix(
    transformer: TableTransformer, conditions: Conditions
) -> None:
    assert conditions.spans == {"city": (0, 5), "delay": (5, conditions.width)}
    for name, (start, stop) in conditions.matrix_spans.items():
        assert (start, stop, "softmax") in transformer.layout_[name]


def test_vectors_and_masks_say_the_same_as_the_numbers(conditions: Conditions) -> None:
    drawn = conditions.draw(1000, seed=3)
    np.testing.assert_array_equal(drawn.vectors.sum(axis=1), 1)
    np.testing.assert_array_equal(drawn.mask, np.eye(2)[drawn.column])
    for i, (start, stop) in enumerate(conditions.spans.values()):
        held = drawn.column == i
        np.testing.assert_array_equal(np.argmax(drawn.vectors[held, start:stop], axis=1), drawn.code[held])
    again, other = conditions.draw(1000, seed=3), conditions.draw(1000, seed=4)
    np.testing.assert_array_equal(again.vectors, drawn.vectors)
    assert np.any(other.vectors != drawn.vectors)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_draws_follow_the_counts(transformer: TableTransformer, logarithmic: bool) -> None:
    conditions = Conditions(transformer)
    counts = transformer.columns_["city"].code_counts
    weight = np.log(1 + counts) if logarithmic else counts
    np.testing.assert_allclose(conditions.probabilities("city", logarithmic=logarithmic), weight / weight.sum())
    drawn = conditions.draw(200_000, seed=0, logarithmic=logarithmic)
    share = np.bincount(drawn.code, minlength=len(counts)) / 200_000
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.005)


def test_picked_rows_answer_their_conditions(transformer: TableTransformer, conditions: Conditions) -> None:
    matrix = transformer.transform(table(ROWS, 0), layout="onehot")
    index = TrainingRows(transformer, table(ROWS, 0), columns=conditions.names).index
    drawn = conditions.draw(3000, seed=1)
    picked = index.pick(drawn, seed=2)
    starts = np.array([start for start, _ in conditions.matrix_spans.values()])
    np.testing.assert_array_equal(matrix[picked, starts[drawn.column] + drawn.code], 1)
    np.testing.assert_array_equal(index.pick(drawn, seed=2), picked)
    assert len(np.unique(picked)) > 1000


def test_a_value_may_be_asked_for(transformer: TableTransformer, conditions: Conditions) -> None:
    column = transformer.columns_["city"]
    for value in ("Köln", None):
        drawn = conditions.given("city", value, 3)
        assert drawn.code.tolist() == [column.categories.index(value)] * 3
    zero = conditions.given("delay", 0, 1)
    delay = transformer.columns_["delay"]
    assert delay.order[zero.code[0]] == delay.modal_values.index(0)
    assert conditions.at("delay", 3, 2).code.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("method", "name", "value", "message"),
    [
        ("given", "city", "Rome", "'Rome' has no one-hot column of its own"),
        ("given", "delay", 12.5, r"12\.5 has no one-hot column of its own"),
        ("given", "price", 1.0, "is not conditioned on"),
        ("at", "city", 99, "one-hot columns, but no number 99"),
    ],
)
def test_what_has_no_code_is_refused(conditions: Conditions, method: str, name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        getattr(conditions, method)(name, value, 1)


def test_columns_without_codes_are_refused(transformer: TableTransformer) -> None:
    with pytest.raises(InputError, match="general column, which has no one-hot columns to condition on"):
        Conditions(transformer, ["ratio"])
    with pytest.raises(InputError, match='"nowhere" was not fitted'):
        Conditions(transformer, ["nowhere"])
    alone = TableTransformer({"price": "continuous"}, effort="research").fit(table(50, 0).select(["price"]))
    with pytest.raises(InputError, match="no categorical column"):
        Conditions(alone).draw(5, seed=0)


def test_a_code_without_rows_is_named(transformer: TableTransformer, conditions: Conditions) -> None:
    matrix = transformer.transform(table(ROWS, 0), layout="onehot")
    start, stop = conditions.matrix_spans["city"]
    few = table(ROWS, 0).filter(pa.array(matrix[:, stop - 1] == 0))
    index = TrainingRows(transformer, few, columns=conditions.names).index
    with pytest.raises(InputError, match="no row has a 1 in one-hot column 4"):
        index.pick(conditions.at("city", stop - start - 1, 1), seed=0)
