"""What a user says of a column: its logarithm, its modal values, that it holds whole numbers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

rdt = pytest.importorskip("rdt", reason="needs RDT, which is not installed")

from gpuvgm.integrations.rdt import ClusterBasedNormalizer  # noqa: E402
from tests.integrations.rdt.columns import fitted, two_modes  # noqa: E402

MODAL = [0.0, -9999.0]


def amounts(rows: int = 2_000) -> pd.DataFrame:
    """Lognormal amounts, a third of them modal values."""
    draws = np.random.default_rng(0)
    x = draws.lognormal(3, 2, rows)
    x[::6], x[1::6] = MODAL
    return pd.DataFrame({"a": x})


@pytest.mark.parametrize("algorithm", ["summary", "exact"])
@pytest.mark.parametrize("log", [False, True])
def test_modal_values_have_components_after_the_mixtures_and_come_back_exactly(algorithm: str, log: bool) -> None:
    data = amounts()
    ours = fitted(data, modal=MODAL, log=log, algorithm=algorithm)
    encoded, components = ours.transform(data), ours.valid_component_indicator.sum()
    assert encoded.columns.tolist() == ["a.normalized", "a.component"]
    for place, value in enumerate(MODAL):
        rows = data["a"] == value
        assert set(encoded["a.component"][rows]) == {components + place}
        assert set(encoded["a.normalized"][rows]) == {0.0}
    ordinary = ~data["a"].isin(MODAL)
    assert encoded["a.component"][ordinary].max() < components
    back = ours.reverse_transform(encoded)
    pd.testing.assert_series_equal(back["a"][~ordinary], data["a"][~ordinary], check_exact=True)
    assert not back["a"][ordinary].isin(MODAL).any()


def test_modal_rows_do_not_move_the_mixture() -> None:
    data = amounts()
    ordinary = data[~data["a"].isin(MODAL)]
    ours, plain = fitted(data, modal=MODAL), fitted(ordinary)
    np.testing.assert_array_equal(ours._bgm_transformer.means_, plain._bgm_transformer.means_)


@pytest.mark.parametrize("modal", [[], [1e6], [1e6, -1e6]])
def test_modal_values_that_no_row_holds_change_nothing(modal: list[float], data: pd.DataFrame) -> None:
    encoded = fitted(data, modal=modal).transform(data)
    pd.testing.assert_frame_equal(encoded, fitted(data).transform(data))


def test_a_column_of_modal_values_alone() -> None:
    data = pd.DataFrame({"a": [0.0, 7.5] * 20})
    ours = fitted(data, modal=[0, 7.5], log=True)
    encoded = ours.transform(data)
    components = ours.valid_component_indicator.sum()
    assert set(encoded["a.component"]) == {components, components + 1}
    pd.testing.assert_frame_equal(ours.reverse_transform(encoded), data)


def test_modal_values_are_of_the_columns_precision() -> None:
    data = pd.DataFrame({"a": np.append(two_modes(), [0.1] * 100).astype(np.float32)})
    ours = fitted(data, modal=[0.1])
    encoded = ours.transform(data)
    assert (encoded["a.component"] == ours.valid_component_indicator.sum()).sum() >= 100


@pytest.mark.parametrize("least", [-5.0, 0.0, 2.0])
def test_logarithms_are_those_of_the_least_value(least: float) -> None:
    x = least + np.append(0.0, np.random.default_rng(0).lognormal(2, 1, 999))
    ours = fitted(pd.DataFrame({"a": x}), log=True, max_clusters=1)
    expected = np.log(x) if least > 0 else np.log(x - least + 1)
    np.testing.assert_allclose(ours._bgm_transformer.means_[0, 0], expected.mean(), rtol=1e-3)


def test_logarithms_suit_a_lognormal_column() -> None:
    data = pd.DataFrame({"a": np.random.default_rng(0).lognormal(0, 3, 2_000)})
    errors = []
    for log in (True, False):
        ours = fitted(data, log=log)
        back = ours.reverse_transform(ours.transform(data))
        errors.append(np.mean(np.abs(back["a"] / data["a"] - 1) > 1e-6))
    assert errors[0] < errors[1] / 2


def test_values_too_small_for_the_logarithm_are_refused() -> None:
    ours = fitted(pd.DataFrame({"a": [1.0, 2.0, 3.0] * 20}), log=True)
    with pytest.raises(ValueError, match=r'column "a": 1 value is .*too small for the logarithm.*at row 1.*fit'):
        ours.transform(pd.DataFrame({"a": [1.0, 0.0]}))


def test_whole_numbers_come_back_whole_and_half_to_even() -> None:
    ours = fitted(pd.DataFrame({"a": [0.0, 10.0] * 100}), integer=True, max_clusters=1)
    mixture = ours._bgm_transformer
    wanted = np.array([2.5, 3.5, 4.2])
    normalized = (wanted - mixture.means_[0, 0]) / (4 * np.sqrt(mixture.covariances_[0, 0, 0]))
    back = ours.reverse_transform(pd.DataFrame({"a.normalized": normalized, "a.component": [0.0] * 3}))
    assert back["a"].tolist() == [2.0, 4.0, 4.0]


@pytest.mark.parametrize("log", [False, True])
def test_with_rounding_bounds_and_missing_values_of_rdt(log: bool) -> None:
    data = amounts().round(2)
    data.loc[2::6, "a"] = np.nan
    settings = {"learn_rounding_scheme": True, "enforce_min_max_values": True}
    ours = fitted(data, modal=MODAL, log=log, missing_value_generation="from_column", **settings)
    encoded = ours.transform(data)
    assert encoded.columns.tolist() == ["a.normalized", "a.component", "a.is_null"]
    back = ours.reverse_transform(encoded)["a"]
    modal = data["a"].isin(MODAL)
    assert back.isna().equals(data["a"].isna())
    assert back[modal].equals(data["a"][modal])
    assert back.round(2).equals(back)
    assert back.min() >= data["a"].min()
    assert back.max() <= data["a"].max()


def test_draws_are_those_of_the_random_state_and_of_pickles() -> None:
    data = amounts()
    ours = fitted(data, modal=MODAL, log=True, integer=True)
    twin = pickle.loads(pickle.dumps(ours))
    first = ours.transform(data)
    assert not ours.transform(data).equals(first)
    pd.testing.assert_frame_equal(twin.transform(data), first)
    pd.testing.assert_frame_equal(twin.reverse_transform(first), ours.reverse_transform(first))
    ours.reset_randomization()
    pd.testing.assert_frame_equal(ours.transform(data), first)


def test_hyper_transformer_round_trip() -> None:
    data = amounts().round()
    table = rdt.HyperTransformer()
    table.detect_initial_config(data)
    table.update_transformers({"a": ClusterBasedNormalizer(modal=MODAL, log=True, integer=True)})
    encoded = table.fit_transform(data)
    assert encoded.columns.tolist() == ["a.normalized", "a.component"]
    assert (table.reverse_transform(encoded)["a"] == data["a"]).mean() > 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log": "yes"}, "log must be true or false, got 'yes'"),
        ({"integer": 1}, "integer must be true or false, got 1"),
        ({"modal": ["zero"]}, "the modal value 'zero' is no value of a column of type double; list values"),
        ({"modal": [True]}, "modal holds True: a modal value is a number"),
        ({"modal": {0.0}}, "modal must be a list of numbers"),
        ({"modal": [0, 0.0]}, "modal holds 0 more than once; list every value once"),
        ({"modal": [np.inf]}, "modal holds inf: infinities cannot be listed"),
        ({"modal": [np.nan]}, "modal holds the missing value; leave it out"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str, data: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=f'column "a": {message}'):
        fitted(data, **options)


@given(
    values=st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=40),
    modal=st.lists(st.integers(-(10**6), 10**6), max_size=3, unique=True),
    log=st.booleans(),
)
def test_whole_numbers_within_four_deviations_come_back(values: list[int], modal: list[int], log: bool) -> None:
    data = pd.DataFrame({"a": np.array([*values, *modal], np.float64)})
    ours = fitted(data, modal=modal, log=log, integer=True)
    encoded = ours.transform(data)
    back = ours.reverse_transform(encoded)
    inside = encoded["a.normalized"].abs() < 0.99
    pd.testing.assert_series_equal(back["a"][inside], data["a"][inside])
    assert inside[data["a"].isin(modal)].all()
