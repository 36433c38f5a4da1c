"""Discrete Gaussian noise, drawn exactly: integers alone, from the generator of the operating system.

Canonne, Kamath & Steinke (2020), "The Discrete Gaussian for Differential Privacy", algorithms 1 to 3: a uniform number
makes a Bernoulli variable of exp(-x), these make a discrete Laplace variable, and one of these is accepted as a
discrete Gaussian variable. No floating number is made, and there is no seed.
"""

from __future__ import annotations

import os
from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from gpuvgm.errors import InputError
from gpuvgm.summary import Ints

#: Of a variance, so that no integer below leaves 64 bits; see `discrete_gaussian`.
MOST_VARIANCE = 1 << 44
#: Of the whole part of a Laplace variable in units of its scale: it is reached once in e^128 draws.
MOST_WHOLE = 128
_WINDOW = 64  # scales on either side of the root that are tried, as a variance is a product of two integers


def variance_of(least: Fraction) -> tuple[int, int]:
    """Return a scale and a factor whose product is a variance of at least so much, and hardly more.

    Parameters
    ----------
    least : Fraction
        The least variance.

    Raises
    ------
    InputError
        For a variance of more than 2^44.
    """
    whole = -(-least.numerator // least.denominator)
    if whole > MOST_VARIANCE - (1 << 24):
        raise InputError("epsilon: this promise would need noise of more than 2^22; raise epsilon, or declare less")
    root = max(isqrt(whole), 1)
    scales = range(root - min(root // 2, _WINDOW), root + min(root // 2, _WINDOW) + 2)
    return min(((scale, -(-whole // scale)) for scale in scales), key=lambda pair: pair[0] * pair[1])


def discrete_gaussian(scale: int, factor: int, size: int) -> Ints:
    """Draws of the discrete Gaussian distribution with variance parameter ``scale * factor``.

    A discrete Laplace variable y of the scale t is accepted with probability exp(-(|y| - s / t)^2 / (2 s)), s the
    variance parameter (algorithm 3). With s = t w that is exp(-(|y| - w)^2 / (2 t w)), in integers. With s at most
    2^44, and t and w about its root, |y| is below 2^30, so that numerators are below 2^61; denominators are below
    2^46, and those that count further trials below 2^53.

    Parameters
    ----------
    scale, factor : int
        From `variance_of`.
    size : int
        Number of draws.
    """
    out, todo = np.empty(size, np.int64), np.arange(size)
    while todo.size:
        draws = _discrete_laplace(scale, todo.size)
        accepted = _bernoulli_exp((np.abs(draws) - factor) ** 2, 2 * scale * factor)
        out[todo[accepted]] = draws[accepted]
        todo = todo[~accepted]
    return out


def _uniform(bounds: Ints) -> Ints:
    """Uniform integers from 0 to below each bound, which is less than 2^62."""
    out, todo = np.empty(len(bounds), np.int64), np.arange(len(bounds))
    limits = bounds.astype(np.uint64)
    largest = np.uint64(1 << 63) // limits * limits  # numbers from there on would favour small remainders
    while todo.size:
        words = np.frombuffer(os.urandom(8 * todo.size), np.uint64) >> np.uint64(1)
        kept = words < largest[todo]
        out[todo[kept]] = (words[kept] % limits[todo[kept]]).astype(np.int64)
        todo = todo[~kept]
    return out


def _bernoulli_exp_below_one(numerators: Ints, denominator: int) -> NDArray[np.bool_]:
    """Bernoulli variables of exp(-numerator / denominator), of quotients from 0 to 1 (algorithm 1).

    The trial k succeeds with probability quotient / k; the number of the first that fails is odd with probability
    exp(-quotient).
    """
    trials, todo = np.ones(len(numerators), np.int64), np.arange(len(numerators))
    while todo.size:
        todo = todo[_uniform(denominator * trials[todo]) < numerators[todo]]
        trials[todo] += 1
    return np.asarray(trials % 2 == 1)


def _bernoulli_exp(numerators: Ints, denominator: int) -> NDArray[np.bool_]:
    """Bernoulli variables of exp(-numerator / denominator), for any quotients that are not negative."""
    whole, successes = numerators // denominator, np.ones(len(numerators), np.bool_)
    while (todo := np.flatnonzero(successes & (whole > 0))).size:
        successes[todo] = _bernoulli_exp_below_one(np.ones(todo.size, np.int64), 1)
        whole[todo] -= 1
    rest = np.flatnonzero(successes)
    successes[rest] = _bernoulli_exp_below_one(numerators[rest] % denominator, denominator)
    return successes


def _discrete_laplace(scale: int, size: int) -> Ints:
    """Draws of the discrete Laplace distribution: each y has probability proportional to exp(-|y| / scale)."""
    out, todo = np.empty(size, np.int64), np.arange(size)
    while todo.size:
        rest = _uniform(np.full(todo.size, scale))
        accepted, whole = _bernoulli_exp_below_one(rest, scale), np.zeros(todo.size, np.int64)
        counting = np.flatnonzero(accepted)
        while counting.size:
            counting = counting[_bernoulli_exp_below_one(np.ones(counting.size, np.int64), 1)]
            whole[counting] += 1
            if np.any(whole[counting] > MOST_WHOLE):  # whatever the rows are
                raise OverflowError("the generator of the operating system gives no random numbers")
        sizes, is_negative = rest + scale * whole, _uniform(np.full(todo.size, 2)) == 1
        accepted &= ~(is_negative & (sizes == 0))  # or 0 would be drawn twice as often
        out[todo[accepted]] = np.where(is_negative, -sizes, sizes)[accepted]
        todo = todo[~accepted]
    return out
