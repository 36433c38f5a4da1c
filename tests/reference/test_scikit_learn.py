"""algorithm="exact" against scikit-learn's BayesianGaussianMixture from the same random_state."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture
from threadpoolctl import threadpool_limits

from gpuvgm import TableTransformer
from gpuvgm.columns import MixtureColumn, TableSchema
from gpuvgm.execution import LocalExecutor, Run, Sampled
from gpuvgm.io import open_source
from gpuvgm.table.fit import Stopwatch, fit_table
from tests.harness.shapes import SHAPES, each_shape, shape

ROWS = 8_000


def fit(x: np.ndarray, random_state: int = 0, **settings: object) -> MixtureColumn:
    settings |= {"algorithm": "exact", "effort": "research", "standardize": False, "random_state": random_state}
    run = Run(open_source({"x": x}), "auto", LocalExecutor(1))
    schema = TableSchema.declare({"x": "continuous"}, run.source.schema, "x")
    sampled = Sampled.of(run, ["x"], random_state)
    fitted = fit_table(sampled, schema, TableTransformer().get_params() | settings, Stopwatch())
    assert not fitted.failed
    column = fitted.columns["x"]
    assert isinstance(column, MixtureColumn)
    return column


def scikit_learn(x: np.ndarray, random_state: int = 0, **settings: object) -> BayesianGaussianMixture:
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = BayesianGaussianMixture(
            n_components=10, weight_concentration_prior=1e-3, random_state=random_state, **settings
        )
        return model.fit(x[:, None])


def compare(ours: MixtureColumn, theirs: BayesianGaussianMixture, shift: float = 0.0) -> None:
    """To 1e-6 of sigma; components without a row are compared in their weight only."""
    sd = np.sqrt(theirs.covariances_.ravel())
    held = theirs.weight_concentration_[0] > 1.5
    assert np.max(np.abs(ours.means - shift - theirs.means_.ravel())[held] / sd[held]) < 1e-6
    assert np.max(np.abs(ours.stds / sd - 1)[held]) < 1e-6
    assert np.max(np.abs(ours.weights - theirs.weights_)) < 1e-6
    assert ours.fit.lower_bound == pytest.approx(theirs.lower_bound_, rel=1e-6)
    assert ours.fit.iterations == theirs.n_iter_
    assert ours.fit.converged == theirs.converged_


OFFSET = ("1e12 +- 1", "timestamps", "constant")  # more than 1e3 sd from 0: compared with the centre subtracted


# 1e300 overflows inside scikit-learn
@each_shape(name for name in SHAPES if name not in ("1e300", *OFFSET))
def test_every_shape(name: str) -> None:
    x = shape(name, ROWS)
    compare(fit(x), scikit_learn(x))


@pytest.mark.parametrize("name", OFFSET)
def test_offsets_beyond_scikit_learns_digits(name: str) -> None:
    x = shape(name, ROWS)
    centre = float(np.sort(x)[(len(x) - 1) // 2])
    model = fit(x)
    theirs = scikit_learn(x - centre)
    assert model.mixture is not None
    held = theirs.weight_concentration_[0] > 1.5
    sd = np.sqrt(theirs.covariances_.ravel())
    assert np.max(np.abs(model.mixture.posterior.means - theirs.means_.ravel())[held] / sd[held]) < 1e-6
    assert np.max(np.abs(model.stds / sd - 1)[held]) < 1e-6
    assert np.max(np.abs(model.weights - theirs.weights_)) < 1e-6


@pytest.mark.parametrize("random_state", [1, 2, 3])
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.covering(1)
def test_seeds_and_offsets(random_state: int, offset: float) -> None:
    x = shape("lognormal", ROWS, random_state) + offset
    compare(fit(x, random_state), scikit_learn(x, random_state))


def test_tolerance_and_iterations() -> None:
    x = shape("t3 returns", 2_000) * 100
    compare(fit(x, max_iter=500, tol=10.0), scikit_learn(x, max_iter=500, tol=10.0))
    compare(fit(x, max_iter=7), scikit_learn(x, max_iter=7))
