"""What a page shows of columns of numbers, against the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

import gpuvgm
from gpuvgm.generation import amount
from gpuvgm.report.profiles import Histogram, NumberProfile

ROWS = 20_000
RANDOM = np.random.default_rng(0)


def profile_of(values: np.ndarray, **options: object) -> NumberProfile:
    fitted = gpuvgm.TableTransformer({"x": {"kind": "continuous", **options}}, effort="research").fit({"x": values})
    profile = fitted.evaluate({"x": values}).columns["x"].profile
    assert isinstance(profile, NumberProfile)
    return profile


def histogram_of(profile: NumberProfile) -> Histogram:
    assert profile.histogram is not None
    return profile.histogram


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        (RANDOM.normal(5, 1, ROWS), False),
        (amount(0, ROWS), True),
        (RANDOM.poisson(4, ROWS), False),
        (np.floor(RANDOM.lognormal(3, 2, ROWS)), True),
        (RANDOM.integers(10**12, 10**12 + 10**6, ROWS), False),
    ],
    ids=["bell", "skewed", "counts", "skewed counts", "far from zero"],
)
def test_histograms_hold_all_rows(values: np.ndarray, logarithmic: bool) -> None:
    found = histogram_of(profile_of(values))
    assert found.logarithmic == logarithmic
    assert sum(found.before) + found.below + found.above == len(values)
    edges = np.array(found.edges)
    exact = np.histogram(np.asarray(values, np.float64) - found.base, edges)[0]
    # a piece of the grid holds about 2^-14 of the rows, and lies in one bin
    assert np.sum(np.abs(exact - found.before)) < 0.02 * len(values)
    assert (found.below + found.above) < 0.02 * len(values) or logarithmic
    assert found.places[0] == 0
    assert found.places[-1] == 1
    assert np.all(np.diff(found.places) > 0)


def test_whole_numbers_are_exact_and_lie_in_the_middle_of_bins() -> None:
    values = RANDOM.poisson(4, ROWS)
    found = histogram_of(profile_of(values))
    edges = np.array(found.edges) + found.base
    assert np.all(edges % 1 == 0.5)
    np.testing.assert_array_equal(found.before, np.histogram(values, edges)[0])
    assert np.sum(np.abs(np.subtract(found.after, found.before))) <= 2 * 5, "but for a few that are cut"


@pytest.mark.parametrize("options", [{}, {"log": True}])
def test_curves_hold_the_rows_that_modes_expect(options: dict[str, object]) -> None:
    values = RANDOM.lognormal(1, 0.5, ROWS)
    profile = profile_of(values, **options)
    found = histogram_of(profile)
    assert found.whole is not None
    assert len(found.curves) == sum(mode.weight is not None for mode in profile.modes)
    area = np.trapezoid(found.whole.heights, found.whole.places)
    assert area == pytest.approx(ROWS, rel=0.03)
    weights = [mode.weight for mode in profile.modes]
    for curve, weight in zip(found.curves, weights, strict=True):
        if weight is not None and weight > 0.1:
            assert np.trapezoid(curve.heights, curve.places) == pytest.approx(weight * ROWS, rel=0.05)


def test_modes() -> None:
    values = np.concatenate((RANDOM.normal(0, 1, ROWS), RANDOM.normal(50, 2, ROWS), [400.0] * 7))
    profile = profile_of(values, n_components=2)
    low, high = profile.modes
    assert (low.rows, high.rows) == (ROWS, ROWS + 7)
    assert low.weight == pytest.approx(0.5, abs=1e-2)
    assert (high.below, high.above, profile.above) == (0, 7, 7)
    assert sum(low.scalars) == low.rows
    assert sum(profile.errors) + profile.no_errors == len(values)


def test_modal_values_are_left_out_of_the_histogram() -> None:
    values = np.where(RANDOM.random(ROWS) < 0.3, 0.0, RANDOM.normal(10, 1, ROWS))
    profile = profile_of(values, modal=[0])
    found, zeros = histogram_of(profile), int(np.count_nonzero(values == 0))
    assert sum(found.before) + found.below + found.above == ROWS - zeros
    assert found.edges[0] > 4
    assert (profile.modes[-1].name, profile.modes[-1].rows, profile.modes[-1].weight) == ("0", zeros, None)
    assert profile.spike is None


def test_a_spike_is_found() -> None:
    values = np.where(RANDOM.random(ROWS) < 0.2, 7.25, RANDOM.normal(10, 3, ROWS))
    spike = profile_of(values).spike
    assert spike is not None
    assert (spike.text, spike.declared) == ("7.25", "7.25")
    assert spike.share == pytest.approx(np.mean(values == 7.25))
    assert profile_of(RANDOM.normal(10, 3, ROWS)).spike is None
    assert profile_of(RANDOM.poisson(3, ROWS)).spike is None, "heavy, but so is what lies beside it"
