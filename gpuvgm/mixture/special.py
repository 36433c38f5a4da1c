"""Logarithm, exponential, digamma and log-gamma from IEEE operations only.

NumPy's and libm's versions change their last bit with the instruction set of the machine; a fit would then depend on
where it ran. These use + - * / alone and are accurate to a few units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines import native_is_built

Vector = NDArray[np.float64]

LOG_2 = 0.6931471805599453
LOG_2_PI = 1.8378770664093453
_SHIFT = 10  # arguments are moved up by recurrence until the asymptotic series hold
_HUGE = 1e25  # from here on the product would overflow, and a shift changes nothing
_STEPS = np.arange(float(_SHIFT))
_ODD_RECIPROCALS = [1 / odd for odd in range(19, 0, -2)]
LOG_2_PARTS = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has trailing zeros
_FURTHEST = 800.0  # the exponential is 0, or infinite, from here on
_RECIPROCAL_FACTORIALS = [1 / math.factorial(n) for n in range(12, -1, -1)]


def _log(x: Vector) -> Vector:
    """Natural logarithm of positive numbers.

    Exponent times ln 2 plus 2 artanh((m - 1) / (m + 1)) for the mantissa m in [1/sqrt 2, sqrt 2].
    """
    mantissa, exponent = np.frexp(np.asarray(x, dtype=np.float64))
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, 2 * mantissa, mantissa)
    exponent = exponent - low
    f = (mantissa - 1) / (mantissa + 1)
    q = f * f
    series = np.full_like(q, 1 / 21)
    for coefficient in _ODD_RECIPROCALS:
        series *= q
        series += coefficient
    high, low_part = LOG_2_PARTS  # the product of the first with the exponent is exact
    return np.asarray(exponent * high + (2 * f * series + exponent * low_part))


def _exp(x: Vector) -> Vector:
    """Exponential function; NaN of NaN.

    A power of two times the Taylor series of what is left, at most half of ln 2.
    """
    x = np.clip(np.asarray(x, dtype=np.float64), -_FURTHEST, _FURTHEST)
    power = np.rint(x * 1.4426950408889634)
    high, low = LOG_2_PARTS
    r = (x - power * high) - power * low
    series = np.full_like(r, 1 / math.factorial(13))
    for coefficient in _RECIPROCAL_FACTORIALS:
        series *= r
        series += coefficient
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(series, np.nan_to_num(power).astype(np.int32)))


def _digamma(x: Vector) -> Vector:
    """Derivative of log gamma for positive numbers (Abramowitz & Stegun 6.3.5 and 6.3.18)."""
    x = np.asarray(x, dtype=np.float64)
    recurrence = np.add.accumulate(1 / _shifted(x)[::-1])[-1]
    y = x + _SHIFT
    q = 1 / y / y
    series = q * (1 / 12 - q * (1 / 120 - q * (1 / 252 - q * (1 / 240 - q * (1 / 132 - q * (691 / 32760 - q / 12))))))
    return np.asarray(_log(y) - 0.5 / y - series - recurrence)


def _gammaln(x: Vector) -> Vector:
    """Logarithm of the gamma function for positive numbers (Abramowitz & Stegun 6.1.15 and 6.1.41)."""
    x = np.asarray(x, dtype=np.float64)
    product = np.multiply.accumulate(_shifted(np.where(x < _HUGE, x, 1.0)))[-1]
    y = np.where(x < _HUGE, x + _SHIFT, x)
    q = 1 / y / y
    series = (
        1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q * (1 / 1188 - q * (691 / 360360 - q / 156)))))
    ) / y
    log_y, log_product = _log(np.stack((y, product)))
    stirling = (y - 0.5) * log_y - y + 0.5 * LOG_2_PI + series
    return np.asarray(np.where(x < _HUGE, stirling - log_product, stirling))


def _shifted(x: Vector) -> Vector:
    """x, x + 1, ... along a new first axis."""
    return np.asarray(x + _STEPS.reshape((-1,) + (1,) * x.ndim))


class Functions(NamedTuple):
    """The functions of one implementation."""

    log: Callable[[Vector], Vector]
    exp: Callable[[Vector], Vector]
    digamma: Callable[[Vector], Vector]
    gammaln: Callable[[Vector], Vector]


@cache
def native_kernels() -> Any:
    """Loops in C++ of one instruction set; all have the same bits."""
    native = import_module("gpuvgm._native")
    return native.Kernels(native.instruction_sets()[0])


def _native() -> Functions:
    """The C++ functions, of vectors alone: the same operations in the same order, in a twentieth of the time."""
    kernels = native_kernels()
    return Functions(kernels.log, kernels.exp, kernels.digamma, kernels.gammaln)


def normal_cdf(x: Vector) -> Vector:
    """Distribution function of the standard normal distribution: libm's erfc, which has no vectors."""
    arguments = np.asarray(x, dtype=np.float64) * -math.sqrt(0.5)
    return 0.5 * np.array([math.erfc(value) for value in arguments.ravel().tolist()]).reshape(arguments.shape)


IN_NUMPY = Functions(_log, _exp, _digamma, _gammaln)
log, exp, digamma, gammaln = _native() if native_is_built() else IN_NUMPY
