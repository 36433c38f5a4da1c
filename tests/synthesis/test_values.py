"""What bins turn into: values where rows lie, as often as in the table, and in its forms."""

from __future__ import annotations

import numpy as np
import pytest

import gpuvgm
from gpuvgm.summary.grid import Floats


def _sample(values: Floats, rows: int = 20_000, **conditions: object) -> Floats:
    """Sampled values of a table of one column."""
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": values})
    return np.asarray(synthesizer.sample(rows, conditions=conditions or None)["x"])


@pytest.mark.parametrize("places", [1, 0, 12], ids=["tenths", "whole", "no step"])
def test_nothing_is_drawn_between_an_outlier_and_the_others(places: int) -> None:
    """One typing error among 300 weights comes as often as it did, near its value, and no value between."""
    weights = np.random.default_rng(0).normal(60, 10, 300).round(places)
    weights[17] = 60_000
    sample = _sample(weights)
    far = sample > 2 * np.sort(weights)[-2]
    assert np.mean(far) == pytest.approx(1 / 300, rel=0.35)
    assert np.all(np.abs(sample[far] - 60_000) < 30)
    assert not np.any(sample == 60_000)


def test_nothing_is_drawn_between_two_groups_of_values() -> None:
    """A gap within a column stays one, also where no bin ends there."""
    random = np.random.default_rng(1)
    values = np.concatenate((random.normal(0, 1, 397), random.normal(1000, 1, 203)))
    sample = _sample(values)
    assert np.mean(sample < 500) == pytest.approx(397 / 600, abs=0.015)
    assert not np.any((sample > 10) & (sample < 990))


def test_values_in_a_gap_have_a_density() -> None:
    """They are hardly likely, and can be conditions."""
    values = np.append(np.random.default_rng(0).normal(60, 10, 300).round(1), 60_000)
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": values})
    inside, gap = synthesizer.score_samples({"x": [60.0, 10_000.0]})
    assert -60 < gap < inside - 12
    assert np.all(np.asarray(synthesizer.sample(50, conditions={"x": (100, 50_000)})["x"]) <= 50_000)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("rows", [[5, 5, 5, 5], [3, 10, 10, 3], [2, 4, 6, 4, 2], [7, 20, 30, 9, 6]], ids=str)
def test_few_values_come_as_often_as_in_the_table(rows: list[int], dtype: type) -> None:
    """Outermost values lose no half of their step, and rare ones nothing to frequent ones beside them."""
    values = np.repeat(np.arange(1, len(rows) + 1), rows).astype(dtype)
    sample = _sample(values)
    shares = np.bincount(sample.astype(int), minlength=len(rows) + 1)[1:] / len(sample)
    np.testing.assert_allclose(shares, np.array(rows) / sum(rows), atol=0.04)


def test_the_ends_of_few_rows_are_drawn_as_the_law_has_it() -> None:
    """Of 1, 2, 3, 4 in a row each the ends are drawn half as often as the normal law's middle, not a quarter."""
    sample = _sample(np.array([1, 2, 3, 4]))
    assert np.mean(sample == 1) == pytest.approx(0.16, abs=0.015)
    assert np.mean(sample == 4) == pytest.approx(0.16, abs=0.015)


@pytest.mark.parametrize("rows", [300, 1000])
def test_tails_reach_as_far_as_those_of_other_rows(rows: int) -> None:
    """Beyond the first and last per cent a heavy-tailed law keeps its shape."""
    random = np.random.default_rng(rows)
    table, others = random.standard_t(3, rows), random.standard_t(3, 100_000)
    sample = _sample(table, 50_000)
    for low, high in ((-np.inf, np.quantile(others, 0.01)), (np.quantile(others, 0.99), np.inf)):
        places = np.linspace(max(low, sample.min()), min(high, sample.max()), 200)
        difference = np.searchsorted(np.sort(sample), places) / 50_000 - np.searchsorted(np.sort(others), places) / 1e5
        assert np.max(np.abs(difference)) < 0.012
