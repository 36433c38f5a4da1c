"""Columns that are small, strange or wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("rdt", reason="needs RDT, which is not installed")

from gpuvgm.integrations.rdt import ClusterBasedNormalizer  # noqa: E402
from tests.integrations.rdt.columns import fitted  # noqa: E402


@pytest.mark.parametrize("algorithm", ["summary", "exact"])
@pytest.mark.parametrize("values", [[1.5], [1.5, 2.5], [0.0, 0.0], [1.0, 2.0, 3.0, 4.0, 50.0]])
def test_fewer_rows_than_components(values: list[float], algorithm: str) -> None:
    data = pd.DataFrame({"a": values})
    ours = ClusterBasedNormalizer(algorithm=algorithm)
    encoded = ours.fit_transform(data, "a")
    assert len(ours.valid_component_indicator) == len(ours._bgm_transformer.means_) <= len(values)
    pd.testing.assert_frame_equal(ours.reverse_transform(encoded), data, atol=1e-9)


def test_no_component_above_the_threshold_leaves_the_heaviest(data: pd.DataFrame) -> None:
    ours = ClusterBasedNormalizer(weight_threshold=1.5)
    assert set(ours.fit_transform(data, "a")["a.component"]) == {0.0}
    assert np.argmax(ours._bgm_transformer.weights_) == np.flatnonzero(ours.valid_component_indicator)


def test_no_rows_to_transform(data: pd.DataFrame) -> None:
    encoded = fitted(data).transform(data.iloc[:0])
    assert encoded.shape == (0, 2)
    assert encoded.dtypes.tolist() == [np.float64, np.float64]


@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide:RuntimeWarning")  # RDT's own, of 0 rows
def test_no_rows_to_fit_are_refused() -> None:
    with pytest.raises(ValueError, match='column "a" has no row to fit a mixture to'):
        ClusterBasedNormalizer().fit(pd.DataFrame({"a": []}, dtype=float), "a")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_are_refused(value: float, data: pd.DataFrame) -> None:
    ours = fitted(data)
    data.loc[7, "a"] = value
    message = 'column "a": 1 value is infinite or missing \\(first at row 7\\)'
    with pytest.raises(ValueError, match=message):
        ours.transform(data)
    with pytest.raises(ValueError, match=message):
        ClusterBasedNormalizer().fit(data, "a")


def test_gaps_without_replacement_are_refused() -> None:
    ours = ClusterBasedNormalizer()
    ours.missing_value_replacement = None
    with pytest.raises(ValueError, match="missing_value_replacement"):
        ours.fit(pd.DataFrame({"a": [1.0, np.nan] * 20}), "a")


@pytest.mark.parametrize("standardize", [True, "auto"])
def test_columns_of_small_numbers_keep_their_modes_when_standardized(standardize: bool | str) -> None:
    draws = np.random.default_rng(0)
    data = pd.DataFrame({"a": 1e-5 * np.concatenate([draws.normal(0, 0.1, 500), draws.normal(5, 0.1, 500)])})
    ours = ClusterBasedNormalizer(standardize=standardize)
    encoded = ours.fit_transform(data, "a")
    assert ours.valid_component_indicator.sum() >= 2
    assert encoded["a.normalized"].std() > 0.1
    constant = pd.DataFrame({"a": [3.0] * 30})
    pd.testing.assert_frame_equal(ours.reverse_transform(ours.fit_transform(constant, "a")), constant)


def test_a_search_finds_the_modes(data: pd.DataFrame) -> None:
    best = fitted(data, effort="best")
    assert best.valid_component_indicator.sum() == 2
    assert best.transform(data)["a.normalized"].abs().max() <= 0.99


def test_integers_of_nineteen_digits() -> None:
    data = pd.DataFrame({"a": (np.arange(100, dtype=np.uint64) + np.uint64(5)) * np.uint64(10**17)})
    ours = ClusterBasedNormalizer()
    back = ours.reverse_transform(ours.fit_transform(data, "a"))
    assert back["a"].dtype == np.uint64
    np.testing.assert_allclose(back["a"].astype(float), data["a"].astype(float), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:The 'missing_value_generation' parameter is set:UserWarning")  # RDT's own
@pytest.mark.parametrize("dtype", ["bool", "boolean"])
def test_truth_values_come_back_from_rows_near_them(dtype: str) -> None:
    data = pd.DataFrame({"a": pd.Series([True, False, False, True] * 20, dtype=dtype)})
    ours = ClusterBasedNormalizer()
    encoded = ours.fit_transform(data, "a")
    encoded["a.normalized"] += 0.01
    pd.testing.assert_frame_equal(ours.reverse_transform(encoded), data)


@pytest.mark.filterwarnings("ignore:The 'missing_value_generation' parameter is set:UserWarning")  # RDT's own
def test_a_component_that_is_missing_gives_a_missing_value(data: pd.DataFrame) -> None:
    ours = fitted(data)
    back = ours.reverse_transform(pd.DataFrame({"a.normalized": [0.0, np.nan, 0.0], "a.component": [np.nan, 0.0, 0.0]}))
    assert back["a"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("algorithm", ["summary", "exact"])
def test_numbers_whose_squares_overflow_are_refused(algorithm: str) -> None:
    ours = ClusterBasedNormalizer(algorithm=algorithm)
    data = pd.DataFrame({"a": [1e100, -1e100] * 20})
    pd.testing.assert_frame_equal(ours.reverse_transform(ours.fit_transform(data, "a")), data)
    with pytest.raises(ValueError, match='column "a" has numbers beyond 1e\\+150'):
        ours.fit(1e100 * data, "a")
