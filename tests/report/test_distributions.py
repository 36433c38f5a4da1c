"""Distances, moments and quantiles of summaries against those of the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from gpuvgm.datasets import amount
from gpuvgm.engines import get_engine
from gpuvgm.report.figures import SHARES
from gpuvgm.summary import Distances, Grid, Pieces, Summary

ROWS = 30_000
SAMPLE = 5000
ROUNDING = 1e-12


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows and what became of them."""
    random = np.random.default_rng(0)
    normal, skewed = random.normal(size=ROWS), amount(0, ROWS, seed=1)
    whole = random.poisson(20, ROWS).astype(float)
    zeros = np.where(random.random(ROWS) < 0.4, 0.0, random.gamma(2, 1000, ROWS))
    apart = random.normal(0, 1, ROWS) + 1e6 * (random.random(ROWS) < 0.5)
    return {
        "the same": (normal, normal),
        "noise": (normal, normal + 0.1 * random.normal(size=ROWS)),
        "clipped": (normal, np.clip(normal, -1.5, 1.5)),
        "apart": (normal, normal + 100),
        "skewed": (skewed, skewed * 1.001),
        "repeated values a rounding beside": (whole, whole * (1 + 1e-9 * random.normal(size=ROWS))),
        "zeros gone": (zeros, zeros + 1e-6),
        "narrow clusters": (apart, apart + 0.01),
        "huge": (normal * 1e300, normal * 1.01e300),
        "tiny": (normal * 1e-300, normal * 1.01e-300),
        "constant": (np.full(ROWS, 7.0), np.full(ROWS, 7.0)),
        "fewer rows": (normal, normal[: ROWS // 3]),
        "one row": (np.array([3.25]), np.array([3.5])),
        "an outlier": (np.append(normal, 1e9), np.append(normal, 1e8)),
    }


def pieces_of(before: np.ndarray, after: np.ndarray, *, whole: bool = False) -> tuple[Pieces, Pieces]:
    grid = Pieces.grid_around(before[:SAMPLE], np.empty(0))
    engine = get_engine("auto")
    return tuple(Pieces.of(engine.summarise(x, grid), whole=whole) for x in (before, after))


FINE = ("the same", "noise", "clipped", "skewed", "repeated values a rounding beside", "zeros gone")


@pytest.mark.parametrize("case", pairs())
def test_distances_lie_within_their_resolution(case: str) -> None:
    before, after = pairs()[case]
    found = Distances.of(*pieces_of(before, after))
    exact = stats.ks_2samp(before, after).statistic
    assert found.ks - ROUNDING <= exact <= found.ks + found.ks_resolution + ROUNDING
    scale = np.max(np.abs(before))  # the exact one overflows on huge rows
    exact = stats.wasserstein_distance(before / scale, after / scale)
    assert abs(found.wasserstein / scale - exact) <= found.wasserstein_resolution / scale + ROUNDING
    if case in FINE:
        assert found.ks_resolution < 2e-3
        assert found.wasserstein_resolution < 2e-3 * np.std(before)


def test_whole_numbers_are_exact(random: np.random.Generator) -> None:
    before = random.poisson(300, ROWS).astype(float)
    after = before + (random.random(ROWS) < 0.01)
    found = Distances.of(*pieces_of(before, after, whole=True))
    assert found.ks == pytest.approx(stats.ks_2samp(before, after).statistic, abs=ROUNDING)
    assert found.ks_resolution == 0
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(before, after), rel=1e-12)
    assert found.wasserstein_resolution == 0


@pytest.mark.parametrize("case", pairs())
def test_moments(case: str) -> None:
    before, _ = pairs()[case]
    found = pieces_of(before, before)[0].moments()
    scale = np.max(np.abs(before))
    x = before / scale
    assert found.mean / scale == pytest.approx(np.mean(x), rel=1e-6, abs=1e-6 * np.std(x))
    assert found.sd / scale == pytest.approx(np.std(x), rel=1e-6)
    if np.std(x) == 0:
        assert found.skewness is found.kurtosis is None
    else:
        assert found.skewness == pytest.approx(stats.skew(x), rel=1e-4, abs=1e-4)
        assert found.kurtosis == pytest.approx(stats.kurtosis(x), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("case", pairs())
def test_quantiles_lie_in_the_piece_of_the_exact_ones(case: str) -> None:
    before, _ = pairs()[case]
    pieces, _ = pieces_of(before, before)
    found = pieces.quantiles(SHARES)
    exact = np.quantile(before, SHARES, method="inverted_cdf")
    assert (found[0], found[-1]) == (np.min(before), np.max(before))
    cells = [np.searchsorted(pieces.start, pieces_of_value(pieces, x), side="right") for x in (np.array(found), exact)]
    assert np.max(np.abs(cells[0] - cells[1])) <= 1  # rounding at a border
    assert np.all(np.diff(found) >= 0)


def pieces_of_value(pieces: Pieces, values: np.ndarray) -> np.ndarray:
    from gpuvgm.summary.grid import keys_of

    return keys_of(pieces.frame.apply(values))


def test_pieces_lie_side_by_side_and_merge_in_any_order() -> None:
    before, after = pairs()["repeated values a rounding beside"]
    grid = Pieces.grid_around(before[:SAMPLE], np.array([20.0, -1e5]))
    assert_side_by_side(Pieces.of(Summary.from_array(after, grid), whole=False))
    parts = [get_engine("auto").summarise(part, grid) for part in np.array_split(after, 7)]
    one, other = parts[0], parts[-1]
    for part in parts[1:]:
        one = one.merge(part)
    for part in parts[-2::-1]:
        other = part.merge(other)
    first, second = (Pieces.of(summary, whole=False) for summary in (one, other))
    for name in ("start", "count", "mean", "scatter"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def assert_side_by_side(pieces: Pieces) -> None:
    assert np.all(pieces.start[1:] > pieces.start[:-1])
    assert np.all(np.diff(pieces.mean) >= 0)


def test_a_grid_of_nothing() -> None:
    grid: Grid = Pieces.grid_around(np.array([np.nan, np.inf]), np.empty(0))
    pieces = Pieces.of(Summary.from_array(np.array([1.0, 2.0]), grid), whole=False)
    assert pieces.rows == 2
    assert pieces.moments().mean == pytest.approx(1.5, rel=1e-3)


NUMBERS = (
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, -1.0, 5.0]), min_size=1, max_size=60)
    .map(np.array)
    .map(lambda x: np.round(x * 1024) / 1024)  # exact when the median is subtracted
)


@given(NUMBERS, NUMBERS)
def test_any_rows_keep_to_the_resolution(before: np.ndarray, after: np.ndarray) -> None:
    found = Distances.of(*pieces_of(before, after))
    below = [np.searchsorted(np.sort(x), np.r_[before, after], side="right") / len(x) for x in (before, after)]
    exact = np.max(np.abs(below[0] - below[1]))
    assert found.ks - ROUNDING <= exact <= found.ks + found.ks_resolution + ROUNDING
    exact = stats.wasserstein_distance(before, after)
    assert abs(found.wasserstein - exact) <= found.wasserstein_resolution + 1e-9
