"""Encoded rows of every kind against the specification's formulas, written as loops over rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns.base import FittedColumn
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.general import GeneralColumn
from tests.columns.tables import DECLARED, ENCODED, table

ROWS = 3000


def number_of(column: FittedColumn, value: Any) -> float:
    """A value as the number that the formulas work on, in plain Python."""
    if column.name == "when":
        return float(int(value.value) // 1 - column.codec.base)  # type: ignore[union-attr]
    if column.name == "income":
        return math.log1p(value - 0.0) if column.codec.low is not None else math.log(value)  # type: ignore[union-attr]
    return float(value - column.codec.base)  # type: ignore[union-attr]


def mixture_row(column: MixtureColumn, value: Any, uniform: float) -> np.ndarray:
    """Posterior of all K, restricted to the active ones, plus 1e-6, renormalised; inverse-CDF draw; clip; one-hot."""
    assert column.mixture is not None
    out, codes = np.zeros(1 + column.width), list(column.order)
    plain = value.as_py() if column.name != "when" else value
    for index, modal in enumerate(column.modal_values):
        if (plain is None and modal is None) or (modal is not None and plain == modal):
            out[1 + codes.index(index)] = 1
            return out
    posterior, frame, active = column.mixture.posterior, column.mixture.frame, column.active_components
    y = number_of(column, plain) * frame.scale - frame.centre
    log_p = posterior.log_coefficients() - (y - posterior.means) ** 2 / (2 * posterior.covariances)
    p = np.exp(log_p - np.logaddexp.reduce(log_p))[active] + 1e-6
    mode = int(np.sum(np.cumsum(p / p.sum())[:-1] <= uniform))
    scalar = (y - posterior.means[active[mode]]) / (4 * np.sqrt(posterior.covariances[active[mode]]))
    out[0] = np.clip(scalar, -0.99, 0.99)
    out[1 + codes.index(len(column.modal_values) + mode)] = 1
    return out


def expected(transformer: TableTransformer, rows: pa.Table, uniforms: dict[str, np.ndarray]) -> np.ndarray:
    """The onehot matrix of some rows."""
    blocks = []
    for column in transformer.model_.encoded:
        values = rows.column(column.name)
        if isinstance(column, MixtureColumn):
            block = [mixture_row(column, v, u) for v, u in zip(values, uniforms[column.name], strict=True)]
        elif isinstance(column, CategoricalColumn):
            block = [np.array([category == v.as_py() for category in column.categories], float) for v in values]
        else:
            assert isinstance(column, GeneralColumn)
            ends = np.array([column.minimum, column.maximum], float) + [-column.margin, column.margin]
            block = [np.array([2 * (v.as_py() - ends[0]) / (ends[1] - ends[0]) - 1]) for v in values]
        blocks.append(np.array(block).reshape(len(values), -1))
    return np.concatenate(blocks, axis=1).astype(np.float32)


@pytest.fixture(scope="module", params=[0, 1, 2])
def fitted(request: pytest.FixtureRequest) -> tuple[TableTransformer, pa.Table]:
    """A transformer for each of three seeds, and its rows."""
    rows = table(ROWS, request.param)
    return TableTransformer(DECLARED, random_state=request.param, effort="research").fit(rows), rows


def drawn(transformer: TableTransformer, rows: int) -> dict[str, np.ndarray]:
    mixtures = [column.name for column in transformer.model_.columns if isinstance(column, MixtureColumn)]
    random = np.random.default_rng(5)
    return {name: random.random(rows) for name in mixtures}


def test_matrix_equals_the_formulas(fitted: tuple[TableTransformer, pa.Table]) -> None:
    transformer, rows = fitted
    uniforms = drawn(transformer, ROWS)
    found = transformer.transform(rows, layout="onehot", uniforms=uniforms)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected(transformer, rows, uniforms))


def test_unseen_rows_equal_the_formulas_and_decode(fitted: tuple[TableTransformer, pa.Table]) -> None:
    transformer, _ = fitted
    rows = table(500, 99)
    uniforms = drawn(transformer, 500)
    np.testing.assert_array_equal(
        transformer.transform(rows, layout="onehot", uniforms=uniforms), expected(transformer, rows, uniforms)
    )
    back = transformer.inverse_transform(transformer.transform(rows, mode="argmax"))
    assert back.column("city").equals(rows.column("city"))
    assert back.column("age").equals(rows.column("age"))
    assert back.column("count").equals(rows.column("count"))
    np.testing.assert_allclose(back["ratio"].to_numpy(), rows["ratio"].to_numpy(), rtol=1e-14, atol=1e-14)


def test_seven_batches_equal_one(fitted: tuple[TableTransformer, pa.Table]) -> None:
    transformer, rows = fitted
    cuts = [0, 1, 2, 700, 701, 1500, 2999, ROWS]
    for layout in ("compact", "onehot"):
        whole = transformer.transform(rows, layout=layout)
        parts = [
            transformer.transform(rows.slice(a, b - a), layout=layout, first_row=a)
            for a, b in zip(cuts[:-1], cuts[1:], strict=True)
        ]
        if layout == "onehot":
            np.testing.assert_array_equal(np.concatenate(parts), whole)
        else:
            assert pa.concat_tables(parts).combine_chunks().equals(whole.combine_chunks())


def test_both_layouts_say_the_same(fitted: tuple[TableTransformer, pa.Table]) -> None:
    transformer, rows = fitted
    compact, matrix = (transformer.transform(rows, layout=form, dtype="float64") for form in ("compact", "onehot"))
    for name, spans in transformer.layout_.items():
        for start, stop, activation in spans:
            if activation == "tanh":
                np.testing.assert_array_equal(matrix[:, start], compact[f"{name}.scalar"].to_numpy())
            else:
                code = compact[f"{name}.mode"].to_numpy()
                np.testing.assert_array_equal(matrix[:, start:stop], np.eye(stop - start)[code])
    assert list(transformer.layout_) == [name for name in rows.schema.names if name in ENCODED]
    from_matrix, from_compact = transformer.inverse_transform(matrix), transformer.inverse_transform(compact)
    assert set(from_compact.schema.names) - set(from_matrix.schema.names) == {"note"}
    assert from_matrix.equals(from_compact.select(from_matrix.schema.names))


def test_columns_that_pass_ride_along_and_dropped_ones_go(fitted: tuple[TableTransformer, pa.Table]) -> None:
    transformer, rows = fitted
    encoded = transformer.transform(rows)
    assert encoded["note"].equals(rows["note"])
    assert not [name for name in encoded.schema.names if name.startswith("key")]
    assert transformer.inverse_transform(encoded)["note"].equals(rows["note"])
    assert "note" not in transformer.inverse_transform(encoded.drop_columns(["note"])).schema.names


def test_modal_rows_have_scalar_zero_and_come_back_exactly(fitted: tuple[TableTransformer, pa.Table]) -> None:
    transformer, rows = fitted
    encoded = transformer.transform(rows)
    for name, modal in (("delay", [0.0, -1.0, None]), ("count", [7, None])):
        column = transformer.columns_[name]
        assert isinstance(column, MixtureColumn)
        assert list(column.modal_values) == modal
        held = np.array([value in modal for value in rows[name].to_pylist()])
        assert np.all(encoded[f"{name}.scalar"].to_numpy()[held] == 0)
        back = transformer.inverse_transform(encoded)[name].to_pylist()
        assert [value for value, is_modal in zip(back, held, strict=True) if is_modal] == [
            value for value, is_modal in zip(rows[name].to_pylist(), held, strict=True) if is_modal
        ]


def test_layout_order_is_by_falling_training_count(fitted: tuple[TableTransformer, pa.Table]) -> None:
    transformer, _ = fitted
    for column in transformer.model_.columns:
        if column.width:
            assert np.all(np.diff(column.code_counts) <= 0), column.name
            assert np.sum(column.code_counts) == ROWS
