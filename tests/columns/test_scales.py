"""Scale and modal values: chosen where they make the rows likelier, and nowhere else."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import ndtr

from gpuvgm import TableTransformer
from gpuvgm.codecs import AsinhCodec
from gpuvgm.columns.scales import MOST_SPIKES, shape_of
from gpuvgm.datasets import mixed_table_rows
from gpuvgm.errors import InferenceWarning, InputError

ROWS = 20_000


def shape(values: Any, modal: tuple[float, ...] = ()) -> Any:
    """What is found for a column."""
    return shape_of(pa.chunked_array([pa.array(values)]), modal, 10)


def draws() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(draws().normal(100, 5, ROWS), id="normal"),
        pytest.param(draws().random(ROWS), id="uniform"),
        pytest.param(np.r_[draws().normal(-5, 1, ROWS), draws().normal(5, 1, ROWS)], id="two modes"),
        pytest.param(draws().poisson(3, ROWS), id="counts"),
        pytest.param(draws().lognormal(3, 1, 100), id="few"),
        pytest.param(np.full(ROWS, 3.5), id="constant"),
        pytest.param(np.full(ROWS, np.nan), id="missing"),
    ],
)
def test_most_columns_stay_as_they_are(values: Any) -> None:
    found = shape(values)
    assert (found.scale, found.modal, found.reason) == ({}, (), "")


@pytest.mark.parametrize("sign", [1, -1])
def test_amounts_are_fitted_as_logarithms(sign: int) -> None:
    values = sign * np.round(draws().lognormal(3, 1.5, ROWS), 2)
    found = shape(values)
    assert found.scale["asinh"] < np.median(np.abs(values))
    assert "likelier by" in found.reason
    assert shape(values[::-1]) == found == shape(draws().permutation(values))
    texts = pa.array([Decimal(f"{value:.2f}") for value in values])
    assert shape(texts).scale == found.scale


def test_a_step_that_a_logarithm_loses_keeps_the_plain_scale() -> None:
    values = np.round(draws().lognormal(3, 1.5, ROWS), 2)
    assert shape(np.append(values, 1e9)).scale and not shape(np.append(values, 1e12)).scale


def test_debts_and_credits_share_a_scale() -> None:
    sign = np.where(draws().random(ROWS) < 0.3, -1, 1)
    assert shape(sign * draws().lognormal(6, 1, ROWS)).scale
    assert shape(draws().standard_cauchy(ROWS)).scale


def test_zeros_beside_logarithms_and_spikes_are_modal() -> None:
    random = draws()
    amounts = np.round(random.lognormal(3, 1.5, ROWS), 2)
    assert shape(np.where(random.random(ROWS) < 0.01, 0.0, amounts)).modal == (0.0,)
    prices = np.where(random.random(ROWS) < 0.06, 9.99, amounts)
    assert shape(prices).modal == (9.99,)
    assert shape(prices, (9.99,)).modal == ()
    spiky = random.normal(50, 10, ROWS)
    spiky[: ROWS // 2] = np.repeat(np.arange(45.0, 55.0), ROWS // 20)
    assert len(shape(spiky).modal) == MOST_SPIKES


def test_what_is_frequent_by_chance_in_few_rows_is_no_spike() -> None:
    rows = 220
    columns = [np.round(np.random.default_rng(seed).lognormal(2, 0.8, rows), 1) for seed in range(20)]
    assert sum(bool(shape(values).modal) for values in columns) == 0
    for values in columns:
        values[: rows * 6 // 100] = values[-1]
        assert shape(values).modal == (values[-1],)


def test_of_few_rows_zero_alone_is_a_spike() -> None:
    amounts = [np.round(np.random.default_rng(seed).gamma(2, 1, 150), 2) for seed in range(20)]
    assert not any(shape(values).modal for values in amounts)
    for values in amounts:
        values[:25] = values[-1]
        assert shape(values).modal == ()
        values[:25] = 0
        found = shape(values)
        assert found.modal == (0,) and found.reason.endswith("stands out") and not found.scale
        assert shape(values, (0,)).modal == ()


BULK = {
    "normal": lambda random, rows: random.normal(20, 5, rows),
    "uniform": lambda random, rows: random.random(rows),
    "amounts": lambda random, rows: np.round(random.lognormal(2, 0.7, rows), 2),
    "ages": lambda random, rows: random.integers(18, 80, rows),
}


@pytest.mark.parametrize("bulk", BULK)
@pytest.mark.parametrize("sentinels", [(-999,), (9999,), (997, 998, 999), (-99, -98, -97)])
@pytest.mark.parametrize(("rows", "share"), [(300, 0.12), (2_000, 0.03), (20_000, 0.018), (100_000, 0.2)])
def test_sentinels_are_modal_and_leave_the_scale_alone(
    bulk: str, sentinels: tuple[int, ...], rows: int, share: float
) -> None:
    values = BULK[bulk](draws(), rows)
    ordinary = shape(values)
    some = values[: int(share * rows)]
    some[:] = np.resize(sentinels, len(some))
    found = shape(values)
    assert {int(float(value)) for value in found.modal} >= set(sentinels)
    assert bool(found.scale) == bool(ordinary.scale)
    assert "apart" in found.reason


def test_what_lies_apart_in_few_rows_is_named_and_stays_a_number() -> None:
    values = draws().normal(20, 5, ROWS)
    values[:40] = -999.5
    assert shape(values).modal == ()
    assert shape(values).reason.startswith("-999.5 (0.2 %) lies apart in few rows")


def test_a_grid_whose_steps_grow_has_no_sentinels() -> None:
    prices = np.round(1.3 ** np.arange(60), 2)
    assert "apart" not in shape(draws().choice(prices, ROWS)).reason
    few = draws().choice([1, 2, 3, 5, 10, 20, 50, 100, 1_000], ROWS)
    assert "apart" not in shape(few).reason


def test_a_date_that_stands_for_none_is_modal() -> None:
    days = np.datetime64("2020-01-01") + draws().integers(0, 2_000, ROWS)
    days[: ROWS // 50] = np.datetime64("9999-12-31")
    assert shape(days.astype("datetime64[s]")).modal == ("9999-12-31T00:00:00",)


@pytest.mark.parametrize(
    ("rare", "bulk"),
    [
        pytest.param(np.datetime64("9999-12-31T23:59:59.999999"), np.datetime64("2020-01-01", "us"), id="latest date"),
        pytest.param(np.datetime64("0001-01-01", "us"), np.datetime64("2020-01-01", "us"), id="earliest date"),
        pytest.param(np.int64(2**63 - 1), np.int64(0), id="largest"),
        pytest.param(np.int64(-1), np.int64(2**60), id="far from the others"),
        pytest.param(np.uint64(2**64 - 1), np.uint64(0), id="unsigned"),
    ],
)
def test_values_that_lie_apart_are_those_of_rows(rare: Any, bulk: Any) -> None:
    """They may lie so far from the others that a float64 does not tell them from their neighbours."""
    values = bulk + draws().integers(0, 10**14, ROWS).astype(np.asarray(bulk - bulk).dtype)
    values[: ROWS // 50] = rare
    table = {"x": values}
    transformer = TableTransformer().fit(table)
    assert len(transformer.columns_["x"].modal_values) == 1
    back = transformer.inverse_transform(transformer.transform(table))["x"]
    np.testing.assert_array_equal(back, values)


def test_values_that_numbers_do_not_tell_apart_are_not_modal() -> None:
    both = np.r_[draws().integers(0, 1_000, ROWS), 2**62 + draws().integers(0, 1_000, ROWS)]
    assert shape(both).modal == ()


def test_decimals_have_modal_values_too() -> None:
    random = draws()
    cents = np.round(random.lognormal(3, 1.5, ROWS), 2)
    cents[random.random(ROWS) < 0.05] = 9.99
    cents[:400] = 0
    table = pa.table({"x": pa.array([Decimal(f"{value:.2f}") for value in cents])})
    assert shape(table["x"].combine_chunks()).modal == ("0.00", "9.99")
    transformer = TableTransformer(random_state=0).fit(table)
    assert transformer.columns_["x"].modal_values == (0, 999)
    assert pa.table(transformer.inverse_transform(transformer.transform(table))).cast(table.schema).equals(table)


def test_the_mixture_agrees_with_payments() -> None:
    """Kolmogorov-Smirnov agreement of the fitted mixture with the column's rows, modal values included."""
    table = pa.Table.from_batches([mixed_table_rows(0, 50_000, 1)]).select(["amount", "balance"])
    transformer = TableTransformer(random_state=0).fit(table)
    for name, column in transformer.columns_.items():
        values, counts = np.unique(table[name].drop_null().to_numpy(), return_counts=True)
        numbers = column.codec.of_inner(values + 0.005)
        below = column.weights @ ndtr((numbers - column.means[:, None]) / column.stds[:, None])
        zeros = counts[values == 0].sum() / counts.sum()
        fitted = (1 - zeros) * below + zeros * (values >= 0)
        assert np.max(np.abs(np.cumsum(counts) / counts.sum() - fitted)) < 0.01
        assert column.modal_values[0] == 0
        assert "asinh" in transformer.schema_[name].reason


def test_rows_come_back_equal_and_no_mode_is_narrower_than_a_step(reloaded: Any) -> None:
    table = pa.Table.from_batches([mixed_table_rows(0, 20_000, 3)]).select(["amount", "balance"])
    transformer = TableTransformer(random_state=0).fit(table)
    encoded = transformer.transform(table)
    back = pa.table(transformer.inverse_transform(encoded))
    assert back.select(table.column_names).cast(table.schema).equals(table)
    for column in transformer.columns_.values():
        narrow = 0.01 / column.codec.slope(column.means[column.active]) / np.sqrt(12)
        assert np.all(column.stds[column.active] >= narrow * (1 - 1e-12))
    loaded = reloaded(transformer)
    assert loaded.schema_ == transformer.schema_
    assert pa.table(loaded.transform(table)).equals(pa.table(encoded))


def test_what_the_sample_does_not_show_comes_back() -> None:
    """Zeros, and values of the other sign, of a column whose first rows are amounts."""
    amounts = np.round(draws().lognormal(3, 1.5, ROWS), 2)
    transformer = TableTransformer({"x": {"asinh": 0.125}}, random_state=0)
    frame = pd.DataFrame({"x": np.r_[amounts, 0.0, -5.25, -amounts.max()]})
    back = transformer.inverse_transform(transformer.fit_transform(frame))
    pd.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize("far", [1e9, 1e12, -1e15])
def test_one_row_far_out_leaves_the_others_apart(far: float) -> None:
    frame = pd.DataFrame({"x": np.r_[far, draws().normal(size=500)]})
    transformer = TableTransformer(random_state=0).fit(frame)
    back = transformer.inverse_transform(transformer.transform(frame))
    assert np.max(np.abs(back["x"] - frame["x"])[1:]) < 1e-6
    plain = TableTransformer({"x": "continuous"}, random_state=0).fit(frame).evaluate(frame)
    assert plain.columns["x"].comes_back == (far == 1e9)


def test_tiny_numbers_and_those_of_64_bits_without_a_sign_are_fitted() -> None:
    random = draws()
    frame = pd.DataFrame({"tiny": random.normal(size=3_000) * 1e-160})
    frame["wide"] = random.integers(0, 2**64, 3_000, dtype=np.uint64)
    report = TableTransformer(random_state=0).fit(frame).evaluate(frame)
    assert report.verdict.startswith("1 of 2 columns comes back, 1 of them to within a rounding; look at wide (")
    assert report.columns["wide"].unequal_rows > 0


def test_who_declares_a_kind_or_research_is_left_alone() -> None:
    frame = pd.DataFrame({"x": np.round(draws().lognormal(3, 1.5, 4_000), 2)})
    for arguments in ({"columns": {"x": "continuous"}}, {"columns": {"x": {"modal": [1.0]}}}, {"effort": "research"}):
        fitted = TableTransformer(random_state=0, **arguments).fit(frame)
        assert fitted.columns_["x"].codec.name == "float"
    fitted = TableTransformer({"x": {"asinh": 2.0}}, random_state=0, effort="research").fit(frame)
    assert fitted.columns_["x"].codec.exponent == 1


def test_a_scale_for_what_has_none_is_refused() -> None:
    days = pd.DataFrame({"x": pd.date_range("2020-01-01", periods=50)})
    with pytest.raises(InputError, match='"asinh" is for amounts'):
        TableTransformer({"x": {"kind": "continuous", "asinh": 1.0}}).fit(days)
    amounts = pd.DataFrame({"x": np.arange(1.0, 51.0)})
    with pytest.raises(InputError, match='not for option "log"'):
        TableTransformer({"x": {"asinh": 1.0, "log": True}}).fit(amounts)
    with pytest.raises(InputError, match="asinh"):
        TableTransformer({"x": {"asinh": 0}}).fit(amounts)


def with_one_far_out(rows=400_000, at=300_001):
    """Rows of which one lies so far out that it would widen every mode; no sample of the default size has it."""
    x = np.random.default_rng(0).normal(50, 10, rows)
    x[at] = 1e9
    return x


def test_a_row_far_out_that_the_sample_lacks_gives_the_column_another_plan(caplog):
    caplog.set_level("INFO")
    x = with_one_far_out()
    transformer = TableTransformer(random_state=0).fit({"x": x})
    (column,) = transformer.model_.columns
    assert isinstance(column.codec, AsinhCodec)
    assert "values reach from 4.0601 to 1000000000, half of them lie within 13.5" in transformer.schema_["x"].reason
    assert any('it is planned again as "continuous"' in record.getMessage() for record in caplog.records)
    scalar = np.asarray(transformer.transform({"x": x})["x.scalar"])
    assert np.std(np.delete(scalar, 300_001)) > 0.1  # one mode of all rows would have 0.001


def test_decimals_are_told_of_in_their_own_unit():
    amounts = [Decimal(5_000 + i % 1_000).scaleb(-2) for i in range(140_000)]
    table = pa.table({"x": pa.array([*amounts, Decimal("90000000"), *amounts], pa.decimal128(14, 2))})
    transformer = TableTransformer(random_state=0).fit(table)
    assert "values reach from 50.00 to 90000000.00, half of them lie within 4." in transformer.schema_["x"].reason
    assert transformer.inverse_transform(transformer.transform(table))["x"].equals(table["x"])


def test_what_cannot_be_planned_again_is_told_of():
    x = with_one_far_out()
    for columns, source in (({"x": "continuous"}, {"x": x}), (None, iter([pa.table({"x": x})]))):
        with pytest.warns(InferenceWarning, match="which widens all modes: clean the extreme ones, or declare") as told:
            (column,) = TableTransformer(columns, random_state=0).fit(source).model_.columns
        assert not isinstance(column.codec, AsinhCodec) and len(told) == 1
    days = np.datetime64("2024-01-01") + np.r_[np.arange(5_000) % 300, 2_900_000]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableTransformer(random_state=0).fit({"last": days})  # a year that stands for "none": dates have no other scale
        TableTransformer(effort="research", random_state=0).fit({"x": x})
        TableTransformer({"x": {"asinh": 1.0}}, random_state=0).fit({"x": x})
