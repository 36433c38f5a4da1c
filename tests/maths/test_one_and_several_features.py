"""M-step and lower bound for one feature equal those for several where these are given one."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm.engines import get_engine
from gpuvgm.mixture.accumulate import moments_of, over_features, over_rows, start_statistics
from gpuvgm.mixture.initialization import CentreStart
from gpuvgm.mixture.posterior_nd import (
    FORMS,
    Array,
    CovarianceType,
    GaussianPrior,
    coordinates_of,
    flat_statistics,
    from_one,
    one_posterior,
    one_prior,
)
from gpuvgm.mixture.rows import Rows
from gpuvgm.summary.grid import Frame

CENTRES = np.array([[-2.0], [0.5], [3.0]])


def prior_of(covariance_type: CovarianceType, concentration_type: str, variance: Array) -> GaussianPrior:
    shapes = {"full": variance.reshape(1, 1), "tied": variance.reshape(1, 1), "diag": variance.reshape(1)}
    return GaussianPrior(
        covariance_type=covariance_type,
        concentration_type=concentration_type,
        weight_concentration=0.3,
        mean=np.array([0.1]),
        mean_precision=1.0,
        degrees_of_freedom=1.0,
        covariance=shapes.get(covariance_type, variance.reshape(())),
        reg_covar=1e-6,
        origin=np.zeros(1),
    )


@pytest.mark.parametrize("concentration_type", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("covariance_type", FORMS)
def test_one_feature_is_the_same_in_both_forms(covariance_type: CovarianceType, concentration_type: str) -> None:
    random = np.random.default_rng(0)
    rows = Rows.of(np.concatenate((random.normal(-2, 0.5, 300), random.normal(2, 1, 500))))
    engine, frame = get_engine("reference"), Frame(1.0, 0.0)
    moments = moments_of(engine, rows)
    several = prior_of(covariance_type, concentration_type, moments.scatter / (moments.total - 1))
    one = one_prior(several)
    start = start_statistics(engine, rows, CentreStart(CENTRES), coordinates_of(frame), several.form, moments)
    theirs, ours = several.update(start), one.update(flat_statistics(start))
    e_step, e_step_of_one = over_features(engine, rows, np.zeros(1)), over_rows(engine, rows, frame)
    for _ in range(5):
        sums, sums_of_one = e_step(theirs), e_step_of_one(ours)
        np.testing.assert_allclose(sums_of_one.counts, sums.counts, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(sums_of_one.entropy, sums.entropy, rtol=1e-9)
        theirs, ours = several.update(sums), one.update(sums_of_one)
        np.testing.assert_allclose(ours.means, theirs.means[:, 0], rtol=1e-9)
        np.testing.assert_allclose(ours.covariances, one_posterior(theirs).covariances, rtol=1e-9)
        np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-9)
        bounds = ours.lower_bound(sums_of_one.entropy), theirs.lower_bound(sums.entropy)
        np.testing.assert_allclose(*bounds, rtol=1e-9)
    back = from_one(ours, covariance_type)
    np.testing.assert_allclose(back.precisions_cholesky, theirs.precisions_cholesky, rtol=1e-9)
    assert np.shape(back.degrees_of_freedom) == np.shape(theirs.degrees_of_freedom)
