"""How the drop-in behaves as an RDT transformer: random states, pickles, HyperTransformer, what it says."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest

rdt = pytest.importorskip("rdt", reason="needs RDT, which is not installed")

from gpuvgm.integrations.rdt import ClusterBasedNormalizer  # noqa: E402
from tests.integrations.rdt.columns import fitted, with_gaps  # noqa: E402

Original = rdt.transformers.ClusterBasedNormalizer


def test_transforms_differ_until_randomization_is_reset(data: pd.DataFrame) -> None:
    ours, other = fitted(data), fitted(data)
    first, second = ours.transform(data), ours.transform(data)
    assert not first.equals(second)
    pd.testing.assert_frame_equal(other.transform(data), first)
    ours.reset_randomization()
    pd.testing.assert_frame_equal(ours.transform(data), first)
    pd.testing.assert_frame_equal(ours.transform(data), second)


def test_a_random_state_may_be_set(data: pd.DataFrame) -> None:
    ours, other = fitted(data), fitted(data)
    for transformer in (ours, other):
        transformer.set_random_state(np.random.RandomState(5), "transform")
    pd.testing.assert_frame_equal(ours.transform(data), other.transform(data))


def test_the_state_of_numpy_is_left_alone(data: pd.DataFrame) -> None:
    np.random.seed(3)
    before = np.random.get_state()
    ours = fitted(data)
    ours.reverse_transform(ours.transform(data))
    after = np.random.get_state()
    assert before[2] == after[2]
    np.testing.assert_array_equal(before[1], after[1])


def test_the_callers_frame_is_left_alone(data: pd.DataFrame) -> None:
    before = data.copy()
    fitted(data).transform(data)
    pd.testing.assert_frame_equal(data, before)


def test_pickles_and_copies_draw_the_same(data: pd.DataFrame) -> None:
    ours = fitted(data)
    twins = [pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)]
    expected = ours.transform(data)
    for twin in twins:
        pd.testing.assert_frame_equal(twin.transform(data), expected)
    assert pickle.loads(pickle.dumps(ClusterBasedNormalizer(effort="best"))).effort == "best"


def test_a_second_fit_is_as_a_first(data: pd.DataFrame) -> None:
    ours = ClusterBasedNormalizer(missing_value_generation="from_column")
    ours.fit(pd.DataFrame({"a": with_gaps()}), "a")
    ours.fit(data, "a")
    expected = fitted(data, missing_value_generation="from_column")
    pd.testing.assert_frame_equal(ours.transform(data), expected.transform(data))


def test_signature_is_that_of_rdt_and_the_new_settings() -> None:
    theirs, ours = inspect.signature(Original), inspect.signature(ClusterBasedNormalizer)
    assert list(ours.parameters.values())[: len(theirs.parameters)] == list(theirs.parameters.values())
    assert list(ours.parameters)[len(theirs.parameters) :] == [
        *("effort", "standardize", "algorithm", "log", "modal", "integer")
    ]


def test_stands_where_rdt_has_its_own() -> None:
    ours = ClusterBasedNormalizer(max_clusters=5)
    assert isinstance(ours, Original)
    assert ours.get_supported_sdtypes() == ["numerical"]
    assert not ours.is_generator()
    assert repr(ours) == repr(Original(max_clusters=5))


def test_settings_by_place_and_by_name() -> None:
    places = len(inspect.signature(Original).parameters) - 4  # RDT 1 has one more in front
    given = (None,) * (places - 1) + (True, True, 4, 0.1, None)
    ours = ClusterBasedNormalizer(*given, standardize="auto")
    assert (ours.learn_rounding_scheme, ours.enforce_min_max_values, ours.max_clusters) == (True, True, 4)
    assert (ours.weight_threshold, ours.missing_value_generation, ours.standardize) == (0.1, None, "auto")


def test_hyper_transformer_round_trip(data: pd.DataFrame) -> None:
    data["b"] = np.arange(2_000) % 7
    table = rdt.HyperTransformer()
    table.detect_initial_config(data)
    table.update_transformers(
        {
            "a": ClusterBasedNormalizer(learn_rounding_scheme=True),
            "b": ClusterBasedNormalizer(learn_rounding_scheme=True, enforce_min_max_values=True),
        }
    )
    encoded = table.fit_transform(data)
    assert {"a.normalized", "a.component", "b.normalized", "b.component"} == set(encoded.columns)
    back = table.reverse_transform(encoded)
    assert back.dtypes.equals(data.dtypes)
    assert (back["a"] == data["a"]).mean() > 0.99
    assert (back["b"] == data["b"]).mean() > 0.99


def test_integers_come_back_as_integers() -> None:
    data = pd.DataFrame({"a": np.random.default_rng(1).poisson(20, 500)})
    ours = fitted(data)
    pd.testing.assert_frame_equal(ours.reverse_transform(ours.transform(data)), data)


@pytest.mark.parametrize("setting", ["effort", "standardize", "algorithm"])
def test_unknown_settings_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=f"{setting} must be one of .*, not 'fast'"):
        ClusterBasedNormalizer(**{setting: "fast"})


def test_errors_of_rdt_stay(data: pd.DataFrame) -> None:
    with pytest.raises(rdt.errors.TransformerInputError, match="missing_value_generation"):
        ClusterBasedNormalizer(missing_value_generation="sometimes")
    with pytest.raises(KeyError, match="not present"):
        ClusterBasedNormalizer().fit(data, "c")
    with pytest.raises(ValueError, match="n_components"):
        ClusterBasedNormalizer(max_clusters=0).fit(data, "a")
    with pytest.raises(TypeError, match="convert string"):
        ClusterBasedNormalizer().fit(pd.DataFrame({"a": ["x", "y"]}), "a")
