"""A pytest plugin that puts `gpuvgm.BayesianGaussianMixture` in the place of scikit-learn's class.

It is loaded by name, before any test is collected, in a process of its own: ``-p tests.mixture.substitute``.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import sklearn.mixture

from gpuvgm import BayesianGaussianMixture
from gpuvgm.estimator.reading import training_rows
from gpuvgm.mixture.em import Stopping
from gpuvgm.mixture.estimator_fit import Problem

ORIGINAL = sklearn.mixture.BayesianGaussianMixture
calls: Counter[str] = Counter()


def _counted(name: str):
    method = getattr(BayesianGaussianMixture, name)

    @functools.wraps(method)
    def wrapper(*arguments, **settings):
        calls[name] += 1
        return method(*arguments, **settings)

    return wrapper


def _problem_of(estimator: BayesianGaussianMixture, x: np.ndarray) -> Problem:
    rows = training_rows(estimator, x, None)
    return estimator._problem(rows)


def _check_parameters(estimator: BayesianGaussianMixture, X: np.ndarray) -> None:
    """Set the priors for these rows; scikit-learn's tests look at them before a fit."""
    estimator._keep_prior(_problem_of(estimator, X).prior)


def _initialize_parameters(estimator: BayesianGaussianMixture, X: np.ndarray, random_state: object) -> None:
    """Set the parameters that a fit starts from; scikit-learn's tests look at them."""
    problem = replace(_problem_of(estimator, X), random=random_state, starts=1, stopping=Stopping(0, 0.0))
    estimator._keep(estimator._estimate(problem), problem.prior)


BayesianGaussianMixture._check_parameters = _check_parameters
BayesianGaussianMixture._initialize_parameters = _initialize_parameters
for method_name in ("fit", "fit_predict"):
    setattr(BayesianGaussianMixture, method_name, _counted(method_name))
sklearn.mixture.BayesianGaussianMixture = BayesianGaussianMixture


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse modules that still hold scikit-learn's class."""
    for module in {item.getparent(pytest.Module).obj for item in items}:
        assert ORIGINAL not in vars(module).values(), module
    for item in items:
        for value in getattr(getattr(item, "callspec", None), "params", {}).values():
            assert type(value) is not ORIGINAL, item.nodeid


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often the class was fitted."""
    terminalreporter.write_line(f"substituted fits: {calls.total()}")
