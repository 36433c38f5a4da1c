"""Single values as users write them: as JSON can hold them, and numbers as exact decimals and integers."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from numbers import Integral, Real
from typing import Any

import numpy as np

from gpuvgm.codecs.moments import ATOMS, nanoseconds_text

Value = str | int | float | bool | None

MOST_DIGITS = 100
_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def is_null(value: object) -> bool:
    """Return whether a value is None, or pandas' NA or NaT."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def json_value(value: object) -> Value:
    """One value as JSON can hold it: missing ones None, dates and times ISO text, decimals text with all digits.

    Raises
    ------
    ValueError
        For what is no value of a column, with the reason in words.
    """
    if is_null(value):
        return None
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return _numpy_time(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (str, bool)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        # pandas' Timedelta has nanoseconds beside the parts of a timedelta.
        seconds = 86_400 * value.days + value.seconds
        return nanoseconds_text(10**9 * seconds + 1_000 * value.microseconds + getattr(value, "nanoseconds", 0))
    if not isinstance(value, (Real, Decimal)):
        raise ValueError(f"holds {value!r}, a {type(value).__name__}: give numbers, text, dates or times")
    return _json_number(value)


def _json_number(value: Real | Decimal) -> Value:
    if isinstance(value, Integral):
        return int(value)
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise ValueError(f"holds {value}: infinities cannot be listed")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return float(value)


def _numpy_time(value: np.datetime64 | np.timedelta64) -> str | None:
    if np.isnat(value):
        return None
    unit, ticks = np.datetime_data(value.dtype)
    if isinstance(value, np.timedelta64):
        if unit not in ATOMS:
            raise ValueError(f"{value!r} has no length in nanoseconds; give it in a unit from weeks to nanoseconds")
        return nanoseconds_text(int(value.astype(np.int64)) * ticks * ATOMS[unit])
    # NumPy's text of years and months has no day, that of hours no minutes.
    finer = {"Y": "D", "M": "D", "h": "m"}.get(unit, unit)
    moment: Any = None
    with suppress(OverflowError):  # since NumPy 2.5; before, moments wrapped around
        moment = value.astype(f"datetime64[{finer}]")
    if moment is None or moment.astype(value.dtype) != value:
        raise ValueError(f"{value!r} lies beyond what a datetime can be")
    return str(moment)


def decimal_of(literal: object) -> Decimal:
    """Exact decimal of an integer, a float or a text; a float that is not whole counts as it is printed.

    Raises
    ------
    ValueError
        For anything else, and for what is not finite.
    """
    if isinstance(literal, str):
        try:
            number = Decimal(literal.strip())
        except InvalidOperation:
            raise ValueError(f'"{literal}" is no number') from None
    elif isinstance(literal, bool) or not isinstance(literal, (int, float)):
        raise ValueError(f"a {type(literal).__name__} is no number")
    else:
        # Through its shortest text: 0.1 shall be 0.1, not 0.1000000000000000055.
        number = Decimal(literal) if isinstance(literal, int) or literal.is_integer() else Decimal(str(literal))
    if not number.is_finite():
        raise ValueError(f"{literal} is not finite")
    return number


def scaled(number: Decimal, scale: int = 0) -> int:
    """The number times 10^scale.

    Raises
    ------
    ValueError
        Where this is not whole.
    """
    if not number:
        return 0
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # it is a letter in what is not finite
    power = exponent + scale
    if len(digits) + power > MOST_DIGITS:
        raise ValueError(f"{number} is too large")
    if power < 0 and any(digits[max(len(digits) + power, 0) :]):
        raise ValueError(f"{number} has more than {max(scale, 0)} decimal places")
    return int(number.scaleb(scale, _WIDE))


def within(value: int, limits: tuple[int, int], type_: str) -> int:
    """The value, if it lies within the limits.

    Raises
    ------
    ValueError
        Otherwise.
    """
    if not limits[0] <= value <= limits[1]:
        raise ValueError(f"{value} lies outside the range of {type_}")
    return value
