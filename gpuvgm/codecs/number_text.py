"""Single numbers as people read them, with the digits that are of interest."""

from __future__ import annotations

import math
import re

LONGEST_FLOAT = 10  # characters; longer ones are rounded to six digits
_FRACTION = re.compile(r"(:\d\d)\.\d+")  # of a second, in texts of datetimes
_LEAST_SD = 1e-12
_SIX_DIGITS, _LONGEST_WHOLE = 1e6, 1e16  # between them numbers are written without a power of ten
_FLOAT_DIGITS = 15  # beyond the first


def shorten_float(value: object, text: str) -> str:
    """The text of a value; of a float with many digits its first six."""
    if not isinstance(value, float) or len(text) <= LONGEST_FLOAT:
        return text
    return f"{value:.0f}" if _SIX_DIGITS <= abs(value) < _LONGEST_WHOLE else f"{value:.6g}"


def number_beside(value: float, sd: float) -> str:
    """A number of six digits, or of as many as tell it from those a hundredth of a standard deviation away."""
    decimals = _decimals_beside(value, sd)
    return f"{value:.6g}" if decimals is None else f"{value:.{max(0, decimals)}f}"


def rounded_beside(value: float, sd: float) -> str:
    """A number with the digits that a standard deviation leaves of interest."""
    decimals = _decimals_beside(value, sd)
    if decimals is not None:
        return f"{round(value, decimals):,.{max(0, decimals)}f}"
    is_usual = _LEAST_SD < sd < 1 / _LEAST_SD
    return plain_number(round(value, 2 - math.floor(math.log10(sd)))) if is_usual else f"{value:.6g}"


def _decimals_beside(value: float, sd: float) -> int | None:
    """Place of the third digit of the standard deviation; None where six digits of the value reach it."""
    if not _LEAST_SD < sd < 1 / _LEAST_SD or not 1 <= abs(value) < _LONGEST_WHOLE:
        return None
    size, decimals = math.floor(math.log10(abs(value))), 2 - math.floor(math.log10(sd))
    return min(decimals, _FLOAT_DIGITS - size) if size + 1 + decimals > 6 else None


def plain_number(value: float) -> str:
    """A number of six digits, without a power of ten up to a billion."""
    # Adding 0.0 turns negative zero into 0.
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value + 0.0:.6g}"


def without_fractions(text: str) -> str:
    """A datetime without fractions of its seconds."""
    return _FRACTION.sub(r"\1", text)
