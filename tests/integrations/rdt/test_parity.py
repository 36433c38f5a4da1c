"""The drop-in beside RDT's own class: parameters, encoded rows, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

rdt = pytest.importorskip("rdt", reason="compares with RDT, which is not installed")

from gpuvgm.integrations.rdt import ClusterBasedNormalizer  # noqa: E402
from tests.integrations.rdt.columns import COLUMNS, fitted, frame_of, two_modes, with_gaps  # noqa: E402

Original = rdt.transformers.ClusterBasedNormalizer
GENERATIONS = ("random", "from_column", None)


def pair(data: pd.DataFrame, **settings: Any) -> tuple[Any, Any]:
    """RDT's class and the drop-in, fitted alike."""
    theirs = Original(**settings)
    theirs.fit(data, "a")
    return theirs, fitted(data, **settings, algorithm="exact")


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", COLUMNS)
def test_every_kind_of_column_as_rdt_has_it(kind: str, generation: str | None) -> None:
    data = frame_of(COLUMNS[kind])
    theirs, ours = pair(data, missing_value_generation=generation)
    np.testing.assert_array_equal(ours.valid_component_indicator, theirs.valid_component_indicator)
    np.testing.assert_allclose(ours._bgm_transformer.means_, theirs._bgm_transformer.means_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours._bgm_transformer.weights_, theirs._bgm_transformer.weights_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours._bgm_transformer.covariances_, theirs._bgm_transformer.covariances_, rtol=1e-6)
    assert ours.get_output_columns() == theirs.get_output_columns()
    assert ours.get_output_sdtypes() == theirs.get_output_sdtypes()
    assert ours.get_next_transformers() == theirs.get_next_transformers()
    encoded = theirs.transform(data)
    pd.testing.assert_frame_equal(ours.transform(data), encoded, rtol=1e-6, atol=1e-7)  # the same rows' draws included
    pd.testing.assert_frame_equal(ours.reverse_transform(encoded), theirs.reverse_transform(encoded), rtol=1e-6)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("replacement", ["mean", "mode", "random", 0.5])
def test_every_replacement_of_missing_values(replacement: str | float, generation: str | None) -> None:
    data = pd.DataFrame({"a": with_gaps()})
    theirs, ours = (
        Original(missing_value_generation=generation),
        ClusterBasedNormalizer(missing_value_generation=generation, algorithm="exact"),
    )
    for transformer in (theirs, ours):
        transformer.missing_value_replacement = replacement
        transformer.fit(data, "a")
    encoded = theirs.transform(data)
    pd.testing.assert_frame_equal(ours.transform(data), encoded, rtol=1e-6, atol=1e-7)
    pd.testing.assert_frame_equal(ours.reverse_transform(encoded), theirs.reverse_transform(encoded), rtol=1e-6)


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("enforce", [True, False])
def test_rounding_and_bounds_are_learned(learn: bool, enforce: bool, data: pd.DataFrame) -> None:
    theirs, ours = pair(data, learn_rounding_scheme=learn, enforce_min_max_values=enforce)
    shifted = theirs.transform(data) + [0.3, 0]
    back = ours.reverse_transform(shifted)
    pd.testing.assert_frame_equal(back, theirs.reverse_transform(shifted), rtol=1e-6)
    assert (back["a"].max() <= data["a"].max()) == enforce
    assert np.array_equal(back["a"], back["a"].round(2)) == learn


@pytest.mark.parametrize(("components", "threshold"), [(1, 0.005), (3, 0.2), (10, 0.3), (20, 0.0)])
def test_number_of_components_and_threshold(components: int, threshold: float, data: pd.DataFrame) -> None:
    theirs, ours = pair(data, max_clusters=components, weight_threshold=threshold)
    np.testing.assert_array_equal(ours.valid_component_indicator, theirs.valid_component_indicator)
    pd.testing.assert_frame_equal(ours.transform(data), theirs.transform(data), rtol=1e-6, atol=1e-7)


def test_more_components_than_a_byte_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pd.DataFrame({"a": np.arange(600.0)})
    theirs, ours = pair(data, max_clusters=300, weight_threshold=-1)
    pd.testing.assert_frame_equal(ours.transform(data), theirs.transform(data), rtol=1e-6, atol=1e-7)
    monkeypatch.setattr("gpuvgm.integrations.rdt.RESEARCH_FLOOR", 1e3)  # every component is drawn
    encoded = ours.transform(data)
    assert encoded["a.component"].max() > 255
    pd.testing.assert_frame_equal(ours.reverse_transform(encoded), theirs.reverse_transform(encoded), rtol=1e-6)


def test_rows_beyond_the_column_and_new_gaps(data: pd.DataFrame) -> None:
    theirs, ours = pair(data)
    new = pd.DataFrame({"a": [np.nan, 1e6, -1e6, 0.0]})
    encoded = ours.transform(new)
    pd.testing.assert_frame_equal(encoded, theirs.transform(new), rtol=1e-6, atol=1e-7)
    assert encoded["a.normalized"].abs().max() == 0.99


@pytest.mark.parametrize(
    ("normalized", "component"),
    [
        ([0.0, 2.0, -3.0, np.inf], [0.0, 0.0, 1.0, 1.0]),
        ([0.1, 0.1, 0.1, 0.1], [0.4, 0.5, 0.6, 1.5]),
        ([0.1, 0.1, 0.1, 0.1], [7.0, -1.0, -0.6, 1e9]),
        ([0, 0, 1, 1], [0, 1, 0, 1]),
        ([], []),
    ],
)
def test_what_a_synthesizer_may_make_of_encoded_rows(
    normalized: list[float], component: list[float], data: pd.DataFrame
) -> None:
    theirs, ours = pair(data)
    encoded = pd.DataFrame({"a.normalized": normalized, "a.component": component})
    pd.testing.assert_frame_equal(ours.reverse_transform(encoded), theirs.reverse_transform(encoded), rtol=1e-6)


def test_draws_follow_the_posterior_after_one_pass() -> None:
    data = pd.DataFrame({"a": two_modes(50_000)})
    ours = fitted(data, algorithm="summary")
    valid = ours.valid_component_indicator
    share = ours._bgm_transformer.predict_proba(data.to_numpy())[:, valid] + 1e-6
    share /= share.sum(axis=1, keepdims=True)
    drawn = np.bincount(ours.transform(data)["a.component"].astype(int), minlength=valid.sum())
    spread = np.sqrt((share * (1 - share)).sum(axis=0))
    assert np.all(np.abs(drawn - share.sum(axis=0)) < 4.5 * spread)


def test_one_pass_is_close_to_every_row_from_the_same_centres() -> None:
    x = two_modes(16_000)  # all of them in the sample that k-means runs on
    summary, exact = (fitted(pd.DataFrame({"a": x}), algorithm=algorithm) for algorithm in ("summary", "exact"))
    assert summary._bgm_transformer.fit_error_ <= 1e-6
    one, other = summary._bgm_transformer, exact._bgm_transformer
    apart = np.abs(one.means_ - other.means_)[:, 0] / np.sqrt(other.covariances_[:, 0, 0])
    assert np.max(apart[exact.valid_component_indicator]) < 1e-5
    np.testing.assert_allclose(one.weights_, other.weights_, rtol=1e-4, atol=1e-6)


def test_where_cells_cost_too_much_the_estimator_fits_as_it_does(
    monkeypatch: pytest.MonkeyPatch, data: pd.DataFrame
) -> None:
    monkeypatch.setattr("gpuvgm.integrations.rdt.LARGEST_END_ERROR", -1.0)
    ours = fitted(data, algorithm="summary")
    assert ours._bgm_transformer.fit_error_ <= 1e-8


def test_the_summary_serves_many_rows() -> None:
    data = pd.DataFrame({"a": two_modes(200_000)})
    ours = ClusterBasedNormalizer()
    encoded = ours.fit_transform(data, "a")
    assert 0 < ours._bgm_transformer.fit_error_ <= 1e-6
    far = encoded["a.normalized"].abs() >= 0.99
    back = ours.reverse_transform(encoded)
    assert far.mean() < 1e-3
    np.testing.assert_allclose(back["a"][~far], data["a"][~far], atol=1e-9)


@pytest.mark.skipif(rdt.__version__ >= "2", reason="RDT 2 has no model_missing_values")
def test_model_missing_values_comes_first() -> None:
    data = pd.DataFrame({"a": with_gaps()})
    with pytest.warns(FutureWarning, match="model_missing_values"):
        by_place, by_name = ClusterBasedNormalizer(True), ClusterBasedNormalizer(model_missing_values=True)
    for ours in (by_place, by_name):
        assert ours.fit_transform(data, "a").columns.tolist() == ["a.normalized", "a.component", "a.is_null"]


@pytest.mark.skipif(rdt.__version__ < "2", reason="RDT 1 takes model_missing_values")
def test_model_missing_values_is_unknown() -> None:
    with pytest.raises(TypeError, match="model_missing_values"):
        ClusterBasedNormalizer(model_missing_values=True)
