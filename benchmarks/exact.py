"""The exact E-step beside numpy.sum, and EM over every row beside scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.fit import SCIKIT_LEARN, scikit_learn_fit
from benchmarks.inputs import FITTED_ROWS, amounts, fitted_column, plan_for
from benchmarks.machine import aim
from benchmarks.measure import Measurement, beside_yardsticks, best_times, seconds_of
from gpuvgm.columns.numeric import nearest_seeds, row_start
from gpuvgm.config import FitConfig
from gpuvgm.engines import get_engine
from gpuvgm.mixture.accumulate import mean_and_variance, over_rows
from gpuvgm.mixture.em import MixtureFit, Stopping, fit_mixture
from gpuvgm.mixture.posterior import Posterior, prior_of
from gpuvgm.mixture.rows import Rows

ITERATIONS = 100


def measure(rows: int) -> list[Measurement]:
    """An E-step over `rows` rows, and 100 iterations over at most a million."""
    return [*e_step(amounts(rows)), expectation_maximisation(amounts(min(rows, FITTED_ROWS)))]


def e_step(x: np.ndarray) -> list[Measurement]:
    """One E-step with ten components."""
    mixture = fitted_column(len(x)).mixture
    assert mixture is not None
    engine, table = get_engine("auto"), mixture.posterior.kernel_table(mixture.frame)
    case = "exact E-step, 10 components"
    return beside_yardsticks(x, {case: lambda: engine.e_step(x, None, None, table)}, {case: aim(0.04, 0.025)})


def expectation_maximisation(x: np.ndarray) -> Measurement:
    """EM alone, k-means apart: scikit-learn starts from random responsibilities, which costs it next to nothing."""
    with threadpool_limits(1):
        ours = best_times({"em": exact_em(x)}, 3)["em"]
        theirs = seconds_of(lambda: scikit_learn_fit(x, "random", ITERATIONS))
    case = f"exact EM, {ITERATIONS} iterations"
    return Measurement(case, len(x), ours, {SCIKIT_LEARN: theirs}, {SCIKIT_LEARN: aim(40.0, 25.0)})


def exact_em(x: np.ndarray) -> Callable[[], MixtureFit[Posterior]]:
    """EM over every row from settled centres, ready to be called."""
    engine, config = get_engine("auto"), FitConfig(effort="research", tol=0.0, max_iter=ITERATIONS)
    plan = plan_for(x, config)
    frame = plan.grid.frame
    y = frame.apply(x)
    start = row_start(replace(plan, seeds=nearest_seeds(plan, y)), y)
    prior = prior_of(*mean_and_variance(y, np.ones(len(y)), np.zeros(len(y))), frame, config)
    stopping = Stopping.of(config, len(x))
    return lambda: fit_mixture(over_rows(engine, Rows.of(x), frame), prior, prior.update(start), stopping)
