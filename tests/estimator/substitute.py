"""A pytest plugin that puts `gpuvgm.BayesianGaussianMixture` in the place of scikit-learn's class.

It is loaded by name, before any test is collected, in a process of its own: ``-p tests.estimator.substitute``.
"""

from __future__ import annotations

import functools
from collections import Counter

import pytest
import sklearn.mixture

from gpuvgm import BayesianGaussianMixture

ORIGINAL = sklearn.mixture.BayesianGaussianMixture
calls: Counter[str] = Counter()


def _counted(name: str):
    method = getattr(BayesianGaussianMixture, name)

    @functools.wraps(method)
    def wrapper(*arguments, **settings):
        calls[name] += 1
        return method(*arguments, **settings)

    return wrapper


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
