"""M-step and lower bound of one feature are those of several that are but one, to the bit but for matrices."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest

from gpuvgm.mixture.posterior import CovarianceType, Posterior, Prior
from gpuvgm.mixture.statistics import Statistics

K = 4


def statistics(seed: int = 0) -> Statistics:
    random = np.random.default_rng(seed)
    counts, first = random.uniform(1, 100, K), random.normal(0, 10, K)
    return Statistics(random.normal(0, 3, K), counts, first, first**2 / counts + random.uniform(1, 50, K), 12.5)


def with_features(sums: Statistics, shape: tuple[int, ...]) -> Statistics:
    arrays = (sums.reference.reshape(K, 1), sums.counts, sums.first.reshape(K, 1), sums.second.reshape(shape))
    return Statistics(*arrays, sums.entropy)


@pytest.mark.parametrize("concentration_type", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("covariance_type", get_args(CovarianceType))
def test_one_feature_is_the_same_with_an_axis_of_features(
    covariance_type: CovarianceType, concentration_type: str
) -> None:
    matrices = covariance_type in ("full", "tied")
    kinds = {"covariance_type": covariance_type, "concentration_type": concentration_type}
    one = Prior(0.3, 0.1, 1.0, 2.0, 1.0, 1e-6, origin=0.0, **kinds)  # type: ignore[arg-type]
    covariance = np.full((1, 1) if matrices else (1,), 2.0)
    several = replace(one, mean=np.array([0.1]), covariance=covariance, origin=np.zeros(1))
    sums = statistics()
    found, expected = one.update(sums), several.update(with_features(sums, (K, 1, 1) if matrices else (K, 1)))
    tolerance = 1e-13 if matrices else 0.0
    for name in ("weights", "mean_precision", "means", "degrees_of_freedom", "covariances", "precisions_cholesky"):
        theirs = getattr(expected, name).ravel()
        np.testing.assert_allclose(getattr(found, name), theirs, rtol=tolerance, err_msg=name)
    np.testing.assert_allclose(found.log_coefficients(), expected.log_coefficients(), rtol=tolerance)
    np.testing.assert_allclose(found.lower_bound(sums.entropy), expected.lower_bound(sums.entropy), rtol=tolerance)


@pytest.mark.parametrize("shape", [(K, 1), (K, 1, 1)])
def test_sums_of_one_feature_move_and_split_as_those_of_several(shape: tuple[int, ...]) -> None:
    one, step = statistics(), np.random.default_rng(1).normal(0, 0.3, 3 * K)
    several = with_features(one, shape)
    np.testing.assert_allclose(one.coordinates(), several.coordinates(), rtol=1e-13)
    np.testing.assert_allclose(one.metric(), several.metric(), rtol=1e-13)
    points = (one.reference + 1, several.reference + 1)
    pairs = [(one.about(points[0]), several.about(points[1])), (one.moved(step), several.moved(step))]
    pairs += [
        (one.split(2), several.split(2)),
        (one.plus(statistics(1)), several.plus(with_features(statistics(1), shape))),
    ]
    for found, expected in pairs:
        for part in fields(Statistics):
            theirs = np.ravel(getattr(expected, part.name))
            np.testing.assert_allclose(np.ravel(getattr(found, part.name)), theirs, rtol=1e-11, atol=1e-11)


def test_a_posterior_goes_to_other_coordinates_and_back() -> None:
    posterior: Posterior = Prior(0.3, 0.1, 1.0, 2.0, 1.0, 1e-6).update(statistics())
    assert posterior.within(2.0).outside(2.0).means == pytest.approx(posterior.means)
