"""The audit of private synthesizers: its arithmetic, and that it runs."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import private
from gpuvgm.synthesis.private import cells, mechanism
from gpuvgm.synthesis.private.account import Promise, Release
from gpuvgm.synthesis.private.declared import Domain


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


PEER_DOMAIN = {
    "amount": {
        "kind": "number",
        "low": 0,
        "high": 10_000,
        "step": 0.01,
        "scale": "log",
        "special": [-1],
        "missing": True,
    },
    "age": {"kind": "number", "low": 0, "high": 9, "step": 1},
    "city": {"kind": "category", "categories": ["Bern", "Graz"], "other": "elsewhere"},
}


@pytest.mark.parametrize("most", [64, 1 << 16])
def test_a_peer_sees_bins_of_declared_cells_and_its_values_come_from_them(most):
    values = {"amount": [0.0, 12.34, 10_000.0, -1.0, np.nan], "age": [0, 3, 9, 4, 4], "city": ["Bern", "Graz", "?"]}
    for name, column in Domain.of(PEER_DOMAIN).counted.items():
        bins = private._even_bins(column, most)
        assert len(bins) == column.cells
        assert np.array_equal(np.unique(bins), np.arange(bins[-1] + 1))
        codes = bins[cells.declared_cells(column, private._arrow(pd.Series(values[name])))]
        again = private._values(column, bins, codes)
        assert np.array_equal(bins[cells.declared_cells(column, private._arrow(pd.Series(again)))], codes)
    assert again.tolist() == ["Bern", "Graz", "elsewhere"]


def test_a_peer_that_fails_is_told_of_with_its_error(monkeypatch):
    frame = pd.DataFrame({"amount": [1.0, 2.0], "age": [3.0, 4.0], "city": ["Bern", "Graz"]})
    monkeypatch.setitem(private.DOMAINS, "people", PEER_DOMAIN)
    monkeypatch.setattr(private, "declared_rows", lambda *_: (frame, frame))
    monkeypatch.setattr(private, "MST", "raise MemoryError('of the peer')")
    results = [*private.peers(sys.executable, "people")]
    assert [result["peer"] for result in results] == [f"MST with {way}" for way in private.PEER_WAYS]
    assert {result["its error"] for result in results} == {"MemoryError: of the peer"}
    assert "ratio" not in results[0]


def test_a_peer_is_compared_on_the_same_rows(monkeypatch):
    frame = pd.DataFrame({"amount": [-1.0, np.nan] * 50, "age": [3.0, 4.0] * 50, "city": ["Bern", "Graz"] * 50})
    monkeypatch.setitem(private.DOMAINS, "people", PEER_DOMAIN)
    monkeypatch.setattr(private, "declared_rows", lambda *_: (frame, frame))
    monkeypatch.setattr(private, "MST", 'print(\'{"version": "7", "seconds": [40, 2]}\')')  # rows as they are
    result, *_ = private.peers(sys.executable, "people")
    assert result["its pairs"] > 0.9
    ours = np.mean([sum(seconds) for seconds in result["cpu seconds of fit and sample"]])
    assert result["ratio"] == pytest.approx(42 / ours, rel=0.1)
    assert result["dpmm"] == "7"
