"""Columns whose numbers are logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from gpuvgm.codecs.base import Codec, Number
from gpuvgm.codecs.curves import CurvedCodec
from gpuvgm.codecs.types import check_value, value_codec_of
from gpuvgm.engines import Scale
from gpuvgm.mixture import exp, log
from gpuvgm.summary import Floats

LEAST = -1 + 2.0**-53  # of what has a logarithm once 1 is added


@dataclass(frozen=True, slots=True)
class LogCodec(CurvedCodec):
    """Columns whose numbers are natural logarithms of the values; decimals count with their decimal point.

    Numbers are -inf at and below the limit of the domain.

    Parameters
    ----------
    inner : Codec
        The column without its logarithm.
    low : int, float or None
        None: numbers are ln(x), for columns above 0. Otherwise they are ln(1 + (x - low)), with `low` in the column's
        own unit.
    """

    inner: Annotated[Codec, value_codec_of]
    low: Number | None
    name: ClassVar[str] = "log"
    needs_lowest: ClassVar[bool] = True
    infinite: ClassVar[str] = "values are infinite, or too small for the logarithm that the column was fitted with"

    @classmethod
    def around(cls, inner: Codec, setting: object, lowest: Number | None) -> Codec:
        """The codec with a logarithm: of x for columns above 0, else of 1 + x - lowest; without values as it is."""
        if lowest is None:
            return inner
        return cls(inner, None if lowest > 0 else lowest)

    def is_comparable(self, codec: Codec) -> bool:
        """Return whether both are logarithms of the values, or both of their distance above an origin."""
        is_same_function = isinstance(codec, LogCodec) and (self.low is None) == (codec.low is None)
        return is_same_function and self.type == codec.type

    def converted(self, numbers: Floats, codec: Codec) -> Floats:
        """Numbers as those of a codec with another origin."""
        assert isinstance(codec, LogCodec)
        if self.origin == codec.origin:
            return numbers
        shift = (self.origin - codec.origin) / self.unit  # ln(1 + x - low)
        return np.asarray(_log1p(np.maximum(_expm1(numbers) + shift, LEAST)))

    @property
    def origin(self) -> Number:
        """0, or `low`."""
        return 0 if self.low is None else self.low

    @property
    def formula(self) -> str:
        """The function for people."""
        return "log"

    @property
    def length_mark(self) -> str:
        """Empty: differences of logarithms are ratios."""
        return ""

    def mean_text(self, mean: float, sd: float) -> str:
        """A logarithm as the power that it stands for."""
        return f"exp({mean:.6g})"

    def check(self) -> None:
        """Refuse an end of the domain that is no value of the column."""
        if self.low is not None:
            check_value(self.inner, self.low, "low")

    @property
    def scale(self) -> Scale:
        """The scale for engines."""
        return Scale("log" if self.low is None else "log1p", 0, self.curve, self.linear)

    def curve(self, numbers: Floats) -> Floats:
        """Logarithms, with the same bits on every processor."""
        return _log(numbers) if self.low is None else _log1p(numbers)

    def linear(self, numbers: Floats) -> Floats:
        """Values with these logarithms."""
        return exp(np.ascontiguousarray(numbers)) if self.low is None else _expm1(numbers)

    def slope(self, numbers: Floats) -> Floats:
        """The exponential function."""
        return exp(np.ascontiguousarray(numbers))


def _log(x: Floats) -> Floats:
    """Natural logarithm: -inf of 0 and less."""
    with np.errstate(invalid="ignore"):
        has_logarithm = (x > 0) & (x < np.inf)
        return np.where(has_logarithm, log(np.where(has_logarithm, x, 1.0)), np.where(x <= 0, -np.inf, x))


def _log1p(x: Floats) -> Floats:
    """ln(1 + x), also where 1 + x is rounded: ln(u) and what was rounded away as a part of u (as in fdlibm)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        u = 1.0 + x
        y, rest = _log(u), (x - (u - 1.0)) / u
        return np.where((u > 0.0) & (u < np.inf), y + rest, y)


def _expm1(x: Floats) -> Floats:
    """exp(x) - 1, also near 0: (u - 1) x / ln(u) of the rounded exponential u (Kahan 1982)."""
    u = exp(np.ascontiguousarray(x))
    rest = u - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rest == 0.0, x, np.where((rest == -1.0) | (u == np.inf), rest, rest * (x / _log(u))))
