"""What a page shows of columns of numbers, against the rows themselves."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.columns import Histogram
from gpuvgm.datasets import amount
from gpuvgm.report.advice import advice
from gpuvgm.report.profiles import NumberProfile
from tests.report.tables import figures_of, profile_of

ROWS = 20_000
RANDOM = np.random.default_rng(0)


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
    assert found.mixture is not None
    assert len(found.curves) == sum(mode.weight is not None for mode in profile.modes)
    area = np.trapezoid(found.mixture.heights, found.mixture.places)
    assert area == pytest.approx(ROWS, rel=0.03)
    weights = [mode.weight for mode in profile.modes]
    for curve, weight in zip(found.curves, weights, strict=True):
        if weight is not None and weight > 0.1:
            assert np.trapezoid(curve.heights, curve.places) == pytest.approx(weight * ROWS, rel=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_a_mode_narrower_than_a_bin_is_a_smooth_bell_as_high_as_its_bar(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.where(random.random(ROWS) < 0.3, random.normal(50, 0.02, ROWS), random.normal(40, 15, ROWS))
    profile = profile_of(values)
    found = histogram_of(profile)
    mode, narrow = max(zip(profile.modes, found.curves, strict=True), key=lambda drawn: max(drawn[1].heights))
    assert mode.weight == pytest.approx(0.3, rel=0.1), "a few of the wide ones' rows are in it"
    places, heights = np.array(found.places), np.array(narrow.heights)
    assert len(heights) >= 12
    rising = np.diff(heights) > 0
    assert np.sum(np.diff(rising.astype(int)) != 0) == 1, "up, then down"
    assert np.max(np.abs(np.diff(heights))) < 0.3 * np.max(heights), "in small steps"
    bar = mode.weight * ROWS / np.max(np.diff(places))
    assert np.max(heights) == pytest.approx(bar, rel=0.2)
    assert np.trapezoid(heights, narrow.places) == pytest.approx(mode.weight * ROWS, rel=1e-3)

    first, last = np.searchsorted(places, (narrow.places[0], narrow.places[-1])) + (-1, 0)
    assert found.mixture is not None
    within = np.linspace(places[first], places[last], ROWS)
    drawn = np.trapezoid(np.interp(within, found.mixture.places, found.mixture.heights), within)
    assert drawn == pytest.approx(np.sum(found.before[first:last]), rel=0.03), "all modes hold the rows of these bars"


def test_points_of_a_curve_are_dense_where_it_bends() -> None:
    found = histogram_of(profile_of(RANDOM.lognormal(3, 1, ROWS), log=True))
    assert found.mixture is not None
    places, heights = np.array(found.mixture.places), np.array(found.mixture.heights)
    top = places[np.argmax(heights)]
    assert np.sum(np.abs(places - top) < 0.1) > np.sum(np.abs(places - 0.6) < 0.1)


def test_modes() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate((random.normal(0, 1, ROWS), random.normal(50, 2, ROWS), [400.0] * 7))
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
    assert (spike.text, spike.declared) == ("7.25", "[7.25]")
    assert spike.share == pytest.approx(np.mean(values == 7.25))
    assert profile_of(RANDOM.normal(10, 3, ROWS)).spike is None
    assert profile_of(RANDOM.poisson(3, ROWS)).spike is None, "heavy, but so is what lies beside it"


@pytest.mark.parametrize(
    ("spike", "others", "options", "declared"),
    [
        (1234567.891, RANDOM.normal(2e6, 3e5, ROWS), {}, "[1234567.891]"),
        (0.1, RANDOM.normal(60, 10, ROWS), {}, "[0.1]"),
        (7.25, np.where(RANDOM.random(ROWS) < 0.2, 0, RANDOM.normal(9, 3, ROWS)), {"modal": [0]}, "[0, 7.25]"),
        (150, RANDOM.lognormal(3, 1, ROWS), {"log": True}, "[150]"),
        (150, RANDOM.lognormal(3, 1, ROWS), {"asinh": 8.0}, "[150]"),
        (60, np.rint(RANDOM.normal(50, 20, ROWS)), {"integer": True}, "[60]"),
    ],
)
def test_the_column_that_is_advised_takes_the_spike(
    spike: float, others: np.ndarray, options: dict[str, object], declared: str
) -> None:
    values = np.where(RANDOM.random(ROWS) < 0.2, spike, others)
    found = profile_of(values, **options).spike
    assert found is not None
    assert found.declared == declared
    assert dict(found.options) == {name: given for name, given in options.items() if name != "modal"}
    (advised,) = [one for one in advice("x", figures_of(values, **options)) if "columns=" in one.remedy]
    kinds = eval(advised.remedy.partition("columns=")[2].rstrip("."), {"__builtins__": {}})
    fitted = gpuvgm.TableTransformer(kinds, effort="research", n_components=3).fit({"x": values})
    modal = {count.value: count.rows_before for count in fitted.evaluate({"x": values}).columns["x"].modal}
    assert modal[spike] == np.count_nonzero(values == spike)
    assert modal.keys() >= set(options.get("modal", []))  # type: ignore[call-overload]


@pytest.mark.parametrize(("middle", "sd"), [(0, 1e-11), (0, 1e-300), (2.4e9, 0.1)])
def test_bins_are_as_narrow_as_the_values(middle: float, sd: float) -> None:
    found = histogram_of(profile_of(middle + sd * RANDOM.normal(size=ROWS), n_components=2))
    assert len(found.before) > 50
    assert max(found.before) < 0.1 * ROWS


def test_weights_and_curves_of_components_that_are_no_modes() -> None:
    """Such components share a place with others that every row prefers; their rows go to those."""
    draws = np.random.default_rng(3)
    values = np.where(draws.random(5000) < 0.2, 1999, np.floor(draws.normal(5000, 1000, 5000)))
    figures = figures_of(values)
    found = figures.profile
    assert found is not None
    given = [mode.weight or 0.0 for mode in found.modes]
    assert sum(given) + found.other_weight == pytest.approx(1)
    assert found.other_weight > 0.05, "or this tests nothing"
    assert found.modes[0].rows / 5000 == pytest.approx(given[0], abs=0.01)
    whole = histogram_of(found).mixture
    assert whole is not None
    assert np.trapezoid(whole.heights, whole.places) == pytest.approx(5000, rel=0.03)
    assert "fitted weight" not in str(advice("x", figures))


def test_dates_have_no_logarithmic_axis() -> None:
    seconds = pa.array(RANDOM.lognormal(12, 2, ROWS).astype(np.int64), pa.timestamp("s"))
    assert not histogram_of(profile_of(seconds, n_components=2)).logarithmic
