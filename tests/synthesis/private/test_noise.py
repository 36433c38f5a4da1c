"""Noise: the sampler against its exact law, and integers that stay in 64 bits."""

from __future__ import annotations

from fractions import Fraction
from math import exp, floor, isqrt

import numpy as np
import pytest
from scipy.stats import chi2

from gpuvgm.errors import InputError
from gpuvgm.synthesis.private import noise

#: So small that a right sampler fails once in a billion runs: its randomness cannot be seeded.
LEAST_P = 1e-9
DRAWS = 200_000


def p_value(draws, weights, first):
    """Probability of draws as unlikely as these by a law on consecutive integers, those with few draws put together."""
    expected = np.array(weights) / sum(weights) * len(draws)
    counts = np.bincount(np.clip(draws - first, 0, len(expected) - 1), minlength=len(expected))
    usual = expected >= 20
    counts = np.append(counts[usual], counts[~usual].sum())
    expected = np.append(expected[usual], expected[~usual].sum())
    counts, expected = counts[expected > 0], expected[expected > 0]
    statistic = np.sum((counts - expected) ** 2 / expected)
    return chi2.sf(statistic, len(counts) - 1)


def gaussian_weights(variance):
    reach = 12 * (isqrt(variance) + 1)
    return [exp(-(y * y) / (2 * variance)) for y in range(-reach, reach + 1)], -reach


@pytest.mark.parametrize("variance", [1, 2, 3, 29, 30, 825, 12_345])
def test_draws_have_the_law_of_the_discrete_gaussian(variance):
    scale, factor = noise.variance_of(Fraction(variance))
    draws = noise.discrete_gaussian(scale, factor, DRAWS)
    assert p_value(draws, *gaussian_weights(scale * factor)) > LEAST_P


@pytest.mark.parametrize("scale", [1, 2, 7])
def test_the_law_is_the_same_whatever_scale_it_is_drawn_by(scale):
    draws = noise.discrete_gaussian(scale, 6, DRAWS)
    assert p_value(draws, *gaussian_weights(6 * scale)) > LEAST_P


def test_the_test_finds_a_law_that_is_nearly_the_same():
    draws = noise.discrete_gaussian(5, 6, DRAWS)
    assert p_value(draws, *gaussian_weights(33)) < LEAST_P
    assert p_value(np.where(draws == 0, 1, draws), *gaussian_weights(30)) < LEAST_P


@pytest.mark.parametrize("scale", [1, 3, 40])
def test_laplace_variables_have_their_law(scale):
    reach = 40 * scale
    weights = [exp(-abs(y) / scale) for y in range(-reach, reach + 1)]
    assert p_value(noise._discrete_laplace(scale, DRAWS), weights, -reach) > LEAST_P


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 1), (1, 3), (1, 1), (7, 2), (19, 4)])
def test_bernoulli_variables_have_their_probability(numerator, denominator):
    drawn = noise._bernoulli_exp(np.full(DRAWS, numerator), denominator)
    share = exp(-numerator / denominator)
    assert p_value(drawn.astype(int), [1 - share, share], 0) > LEAST_P if numerator else drawn.all()


@pytest.mark.parametrize("bound", [2, 3, 7, 16, 2**61 + 16])
def test_uniform_numbers_have_no_favourites(bound):
    draws = noise._uniform(np.full(DRAWS, bound))
    assert draws.min() >= 0
    assert draws.max() < bound
    parts = min(bound, 16)
    assert p_value(draws // (bound // parts), [1] * parts, 0) > LEAST_P


def test_numbers_that_would_favour_some_are_drawn_again(monkeypatch):
    # 2^63 numbers are 3 times some, and 2 more: of them 2^63 - 2 and 2^63 - 1 must not count.
    words = iter([np.array([2**64 - 1, 2**64 - 3, 4], np.uint64), np.array([2, 8], np.uint64)])
    monkeypatch.setattr(noise.os, "urandom", lambda size: next(words).tobytes())
    assert noise._uniform(np.array([3, 3, 3])).tolist() == [1, 1, 2]


def test_noise_comes_from_the_generator_of_the_operating_system(monkeypatch):
    asked = []
    urandom = noise.os.urandom
    monkeypatch.setattr(noise.os, "urandom", lambda size: asked.append(size) or urandom(size))
    np.random.seed(0)  # noqa: NPY002 - the state that noise must not depend on
    first = noise.discrete_gaussian(30, 30, 1000)
    np.random.seed(0)  # noqa: NPY002
    second = noise.discrete_gaussian(30, 30, 1000)
    assert len(asked) > 10
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("least", [Fraction(1, 10**9), 1, Fraction(5, 2), 37, 10**6 + 1, Fraction(10**18 + 1, 10**7)])
def test_variances_are_products_of_at_least_what_is_asked_and_hardly_more(least):
    scale, factor = noise.variance_of(Fraction(least))
    product = scale * factor
    assert scale >= 1
    assert least <= product <= max(floor(least) + 1, 1) * 1.04 + 3


def test_the_largest_noise_stays_in_64_bits(monkeypatch):
    scale, factor = noise.variance_of(Fraction(noise.MOST_VARIANCE - (1 << 24)))
    largest = scale * (noise.MOST_WHOLE + 2)
    assert (largest + factor) ** 2 < 2**62
    assert 2 * scale * factor * 2**10 < 2**62  # a trial's number is so large with a probability of 1 / 1024!
    draws = noise.discrete_gaussian(scale, factor, 20_000)
    assert abs(draws.std() / isqrt(scale * factor) - 1) < 0.1
    with pytest.raises(InputError, match="epsilon"):
        noise.variance_of(Fraction(noise.MOST_VARIANCE))


def test_a_broken_generator_is_refused_whatever_the_rows(monkeypatch):
    monkeypatch.setattr(noise.os, "urandom", lambda size: bytes(size))
    monkeypatch.setattr(noise, "_bernoulli_exp_below_one", lambda numerators, _: np.ones(len(numerators), bool))
    with pytest.raises(OverflowError, match="random"):
        noise._discrete_laplace(3, 5)
