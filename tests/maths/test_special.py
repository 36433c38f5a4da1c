"""K-vector functions against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special as scipy_special

from gpuvgm.mixture import special

ARGUMENTS = np.concatenate([10.0 ** np.linspace(-6, 12, 4001), np.linspace(0.5, 3, 1001), [1.0, 2.0]])


def test_log_is_within_two_ulp() -> None:
    ours, theirs = special.log(ARGUMENTS), np.log(ARGUMENTS)
    assert np.max(np.abs(ours - theirs) / np.maximum(np.spacing(np.abs(theirs)), 2.0**-54)) <= 2


def test_log_of_subnormal_and_huge() -> None:
    x = np.array([5e-324, 2.2e-308, 1.7e308, 1.0])
    np.testing.assert_allclose(special.log(x), np.log(x), rtol=3e-16, atol=0)


@pytest.mark.parametrize(("name", "tolerance"), [("digamma", 4e-15), ("gammaln", 3e-14)])
def test_against_scipy(name: str, tolerance: float) -> None:
    ours, theirs = getattr(special, name)(ARGUMENTS), getattr(scipy_special, name)(ARGUMENTS)
    assert np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))) < tolerance


def test_recurrences() -> None:
    x = np.array([0.3, 1.7, 25.0])
    np.testing.assert_allclose(special.digamma(x + 1), special.digamma(x) + 1 / x, rtol=1e-14)
    np.testing.assert_allclose(special.gammaln(x + 1), special.gammaln(x) + np.log(x), rtol=1e-13, atol=1e-14)
