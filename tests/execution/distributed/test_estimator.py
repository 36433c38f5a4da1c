"""The estimator over a cluster: fits of frames of Dask are computed on the workers, and are those of their rows."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpuvgm import BayesianGaussianMixture
from gpuvgm.errors import InputError
from tests.mixture.cases import blobs
from tests.mixture.closeness import assert_same_parameters

dd = pytest.importorskip("dask.dataframe")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ROWS, HERE = 20_000, os.getpid()


def frame_of(features: int) -> pd.DataFrame:
    return pd.DataFrame(blobs(np.random.default_rng(3), ROWS, features), columns=[f"c{j}" for j in range(features)])


def lazy(frame: pd.DataFrame) -> Any:
    """A frame of partitions that are no whole chunks, one without rows, which no process but the workers may make."""
    cuts = [0, 2500, 2500, 2501, 9000, ROWS]

    def part(pair: tuple[int, int]) -> pd.DataFrame:
        assert os.getpid() != HERE, "only the workers may read rows"
        return frame.iloc[pair[0] : pair[1]]

    return dd.from_map(part, list(zip(cuts[:-1], cuts[1:], strict=True)), meta=frame.iloc[:0])


class Slices:
    """Rows in this process that are read in blocks, as those of workers are: draws are from a sample of them."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, part: slice) -> np.ndarray:
        return self._array[part]


@pytest.mark.parametrize(
    ("features", "settings"),
    [
        (1, {"algorithm": "exact"}),
        (1, {"algorithm": "summary"}),
        (3, {"covariance_type": "full"}),
        (3, {"covariance_type": "diag", "init_params": "random_from_data"}),
        (1, {"effort": "best", "algorithm": "summary"}),
    ],
)
def test_fits_over_workers_are_those_of_the_rows(client: Any, features: int, settings: dict[str, Any]) -> None:
    frame = frame_of(features)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "init_params": frame.to_numpy()[:3]}
    expected = BayesianGaussianMixture(**given | settings).fit(Slices(frame.to_numpy()))
    found = BayesianGaussianMixture(**given | settings).fit(lazy(frame))
    assert_same_parameters(found, expected, 1e-10)
    assert list(found.feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize("features", [1, 3])
def test_weights_and_later_rows_go_to_the_workers(client: Any, features: int) -> None:
    frame, weight = frame_of(features), np.random.default_rng(4).integers(0, 3, ROWS)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "init_params": frame.to_numpy()[:3]}
    expected = BayesianGaussianMixture(**given).fit(Slices(frame.to_numpy()), sample_weight=weight)
    assert_same_parameters(BayesianGaussianMixture(**given).fit(lazy(frame), sample_weight=weight), expected, 1e-10)
    found, expected = BayesianGaussianMixture(**given), BayesianGaussianMixture(**given)
    for times in (weight, None, weight):  # of several features the third replaces the first
        found.partial_fit(lazy(frame), sample_weight=times)
        expected.partial_fit(frame, sample_weight=times)
        assert_same_parameters(found, expected, 1e-9)


def test_a_search_over_workers_is_no_worse_than_over_the_rows(client: Any) -> None:
    frame = frame_of(2)
    given = {"n_components": 3, "effort": "best", "random_state": 0}
    expected = BayesianGaussianMixture(**given).fit(Slices(frame.to_numpy()))
    found = BayesianGaussianMixture(**given).fit(lazy(frame))
    assert found.lower_bound_ == pytest.approx(expected.lower_bound_, rel=1e-9)
    assert found.explanation_.held_out_score == pytest.approx(expected.explanation_.held_out_score, rel=1e-6)


def test_what_is_not_finite_is_named_by_its_row(client: Any) -> None:
    frame = frame_of(2)
    frame.iloc[9004, 1] = np.nan
    with pytest.raises(InputError, match="X holds nan at row 9004, feature 1"):
        BayesianGaussianMixture().fit(lazy(frame))
