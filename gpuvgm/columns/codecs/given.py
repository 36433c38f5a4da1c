"""Single numbers as users write them: exact decimals and integers."""

from __future__ import annotations

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation

MOST_DIGITS = 100
_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


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
