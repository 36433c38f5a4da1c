"""What noise costs: zero-concentrated differential privacy (Bun & Steinke 2016), in exact fractions.

Counts of rows in T tables, each row in one cell of each, change by at most k in a cell of each when k rows are added or
removed, so that noise of variance s makes them rho-zCDP with rho = T k^2 / (2 s) (Canonne, Kamath & Steinke 2020,
theorem 14). What is released one after the other adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np

from gpuvgm.errors import InputError
from gpuvgm.rules import whole
from gpuvgm.synthesis.private.noise import variance_of

MOST_EPSILON, MOST_DELTA = Fraction(20), Fraction(1, 10**5)
WEAK_EPSILON = 3  # above it somebody may be nearly sure that a person is in the table
_DIGITS = 60
_DUST = Decimal("1e-40")  # by which what is computed with so many digits is off, at most
_PARTS = 1 << 80  # of which rho is a whole number
_ORDERS = 1 + np.geomspace(1e-4, 1e12, 1 << 12)  # that bounds are tried with
_ROWS = whole(1, 1 << 20)


@dataclass(frozen=True, slots=True)
class Release:
    """Tables of counts that were released with one noise.

    Parameters
    ----------
    name : str
        What was counted.
    tables : int
        Number of tables; each row is in one cell of each.
    variance : int
        Variance parameter of the noise of each count.
    scale : int
        Scale that it is drawn by, a factor of the variance.
    rows : int
        Rows by which neighbouring tables differ, at most.
    """

    name: str
    tables: int
    variance: int
    scale: int
    rows: int

    @classmethod
    def within(cls, name: str, tables: int, rho: Fraction, rows: int) -> Release:
        """The release with the least noise that costs no more than `rho`."""
        scale, factor = variance_of(tables * rows**2 / (2 * rho))
        return cls(name, tables, scale * factor, scale, rows)

    @property
    def rho(self) -> Fraction:
        """What it costs."""
        return Fraction(self.tables * self.rows**2, 2 * self.variance)


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise of (epsilon, delta)-differential privacy for persons.

    Parameters
    ----------
    epsilon, delta : Fraction
        The promise.
    rows : int
        Rows that a person has, at most.
    """

    epsilon: Fraction
    delta: Fraction
    rows: int = 1

    @classmethod
    def of(cls, epsilon: object, delta: object, rows_per_person: object) -> Promise:
        """Read a promise.

        Raises
        ------
        InputError
            For what is no number, and where the promise would be none.
        """
        promise = cls(_number(epsilon, "epsilon"), _number(delta, "delta"), _ROWS(rows_per_person, "rows_per_person"))
        if not 0 < promise.epsilon <= MOST_EPSILON:
            raise InputError(f"epsilon must be more than 0 and at most 20, got {epsilon!r}: above 3 it is weak already")
        if not 0 < promise.delta <= MOST_DELTA:
            raise InputError(f"delta must be more than 0 and at most 1e-5, got {delta!r}: 1e-9 suits most tables")
        return promise

    @property
    def rho(self) -> Fraction:
        """The largest zCDP that keeps the promise, to 2^-80 or less of what is due: never more."""
        low, high = 0, int(self.epsilon * _PARTS)
        while high - low > max(low >> 40, 1):
            middle = (low + high) // 2
            if delta_of(Fraction(middle, _PARTS), self.epsilon) <= self.delta:
                low = middle
            else:
                high = middle
        if not low:
            raise InputError("epsilon is too small for noise that can be drawn")
        return Fraction(low, _PARTS)


def delta_of(rho: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound of the delta with which rho-zCDP is (epsilon, delta)-differentially private.

    It is exp((a - 1) (a rho - epsilon)) (1 - 1 / a)^a / (a - 1) for every a > 1 (Canonne, Kamath & Steinke 2020,
    proposition 12 and corollary 13), so that an a that is only nearly the best gives a bound too. The bound is computed
    with 60 digits and rounded up.
    """
    logarithms = (_ORDERS - 1) * (_ORDERS * float(rho) - float(epsilon)) + _ORDERS * np.log1p(-1 / _ORDERS)
    order, unit = Decimal(float(_ORDERS[np.argmin(logarithms - np.log(_ORDERS - 1))])), Decimal(1)
    with localcontext(Context(prec=_DIGITS)):
        exponent = (order - unit) * (order * _decimal(rho) - _decimal(epsilon)) + order * (unit - unit / order).ln()
        return Fraction(exponent.exp() / (order - unit) * (unit + _DUST))


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def _number(value: object, name: str) -> Fraction:
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{name} must be a number, got {value!r}") from None
