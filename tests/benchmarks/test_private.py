"""The audit of private synthesizers: its arithmetic, and that it runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import private
from gpuvgm.synthesis.private import mechanism
from gpuvgm.synthesis.private.account import Promise, Release


def test_the_area_counts_pairs_in_order():
    lower, higher = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0])
    pairs = [0.5 if low == high else float(low < high) for low in lower for high in higher]
    assert private.area(lower, higher) == pytest.approx(np.mean(pairs))


def test_the_gain_is_the_ratio_of_two_gaussian_densities():
    release, noisy, expected, rows = Release("pairs", 1, 12, 3, 2), 7, 4, 2
    densities = [-((noisy - expected - more) ** 2) / (2 * release.variance) for more in (rows, 0)]
    assert private.gain(noisy - expected, rows, release) == pytest.approx(densities[0] - densities[1])


@pytest.mark.parametrize("rows", [1, 3])
def test_an_audit_finds_noise_that_is_far_too_small(rows, monkeypatch):
    noise = mechanism.discrete_gaussian
    honest = private.audit(3, 1e-6, rows, 60, broken=False)
    assert mechanism.discrete_gaussian is noise
    monkeypatch.setattr(mechanism, "discrete_gaussian", lambda scale, factor, size: np.zeros(size, np.int64))
    without_noise = private.audit(3, 1e-6, rows, 60, broken=False)
    assert without_noise["area"] == 1
    assert without_noise["found"]
    assert honest["area"] < 0.97  # ideally .66; .97 is beyond seven standard errors
    assert 0.6 < honest["ideal"] < 0.7


def test_the_promise_of_an_audit_is_that_of_a_fit():
    audit = private.audit(1, 1e-6, 1, 1, broken=False)
    assert 0.9 * float(Promise.of(1, 1e-6, 1).rho) < audit["rho"] <= float(Promise.of(1, 1e-6, 1).rho)
