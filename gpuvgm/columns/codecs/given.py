"""Single numbers as users write them: exact decimals and integers."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from numbers import Integral, Real

import numpy as np

MOST_DIGITS = 100


def decimal_of(given: object) -> Decimal:
    """Exact decimal of an integer, a float, a Decimal or a text; a float that is not whole counts as it is printed.

    Raises
    ------
    ValueError
        For anything else, and for what is not finite.
    """
    if isinstance(given, str):
        try:
            number = Decimal(given.strip())
        except InvalidOperation:
            raise ValueError(f'"{given}" is no number') from None
    elif isinstance(given, Decimal):
        number = given
    elif isinstance(given, (bool, np.bool_)) or not isinstance(given, Real):
        raise ValueError(f"a {type(given).__name__} is no number")
    elif isinstance(given, Integral):
        number = Decimal(int(given))
    else:
        real = float(given)
        number = Decimal(real) if real.is_integer() else Decimal(str(given))
    if not number.is_finite():
        raise ValueError(f"{given} is not finite")
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
    whole, rest = int("".join(map(str, digits))), 0
    if power >= 0:
        whole *= 10**power
    else:
        whole, rest = divmod(whole, 10**-power) if -power <= len(digits) else (0, 1)
    if rest:
        raise ValueError(f"{number} has more than {max(scale, 0)} decimal places")
    return -whole if number.is_signed() else whole


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
