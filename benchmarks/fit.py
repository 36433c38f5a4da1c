"""The summary pass beside numpy.sum, and a whole fit beside scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

import gpuvgm
from benchmarks.inputs import COLUMN, CONTINUOUS, FITTED_ROWS, amounts, lognormal, plan_for
from benchmarks.measure import Measurement, beside_yardsticks, best_times, seconds_of
from gpuvgm.engines import get_engine

SCIKIT_LEARN = "scikit-learn"
LEAST_OF_SUM = 0.10
LEAST_OF_SCIKIT_LEARN = 200.0


def measure(rows: int) -> list[Measurement]:
    """Summary passes over `rows` rows, and whole fits of at most a million."""
    return [
        *summary_pass("summary pass, cents", amounts(rows)),
        *summary_pass("summary pass, lognormal", lognormal(rows)),
        whole_fit(amounts(min(rows, FITTED_ROWS))),
    ]


def summary_pass(case: str, x: np.ndarray) -> list[Measurement]:
    """One engine call over all rows; grid and centres come from a sample, before."""
    engine, grid = get_engine("auto"), plan_for(x).grid
    return beside_yardsticks(x, {case: lambda: engine.summarise(x, grid)}, {case: LEAST_OF_SUM})


def whole_fit(x: np.ndarray) -> Measurement:
    """From an array in memory to a model, one thread each; one start, k-means included on both sides."""
    transformer = gpuvgm.TableTransformer(CONTINUOUS, threads=1, effort="research")
    with threadpool_limits(1):
        ours = best_times({"fit": lambda: transformer.fit({COLUMN: x})})["fit"]
        theirs = seconds_of(lambda: scikit_learn_fit(x, "kmeans"))
    case = "whole fit, cents, 100 iterations"
    return Measurement(case, len(x), ours, {SCIKIT_LEARN: theirs}, {SCIKIT_LEARN: LEAST_OF_SCIKIT_LEARN})


def scikit_learn_fit(x: np.ndarray, start: str, iterations: int = 100) -> object:
    """scikit-learn's mixture with the arguments that CTGAN and RDT give it, and no early end."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    mixture = BayesianGaussianMixture(
        n_components=10,
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=0.001,
        max_iter=iterations,
        init_params=start,
        tol=0.0,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x.reshape(-1, 1))
