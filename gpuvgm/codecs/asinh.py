"""Columns whose numbers are logarithmic far from zero and linear near to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from gpuvgm.codecs.base import Codec, Number
from gpuvgm.codecs.curves import CurvedCodec
from gpuvgm.codecs.types import value_codec_of
from gpuvgm.engines import Scale
from gpuvgm.mixture import LOG_2_PARTS, exp, log
from gpuvgm.rules import whole
from gpuvgm.summary import Floats

LARGEST_EXPONENT = 1000
_LARGE = 2.0**28  # from here on asinh(t) is ln(2 t) to the last bit


@dataclass(frozen=True, slots=True)
class AsinhCodec(CurvedCodec):
    """Columns whose numbers are asinh(x / 2^exponent); decimals count with their decimal point.

    Values far above 2^exponent become their logarithms but for a constant, those far below -2^exponent the opposites
    of theirs; values in between are nearly as they are. Every finite value has a number.

    Parameters
    ----------
    inner : Codec
        The column without the function.
    exponent : int
        Exponent of the power of two where the function turns from a line to a logarithm.
    """

    inner: Annotated[Codec, value_codec_of]
    exponent: Annotated[int, whole(-LARGEST_EXPONENT, LARGEST_EXPONENT)]
    name: ClassVar[str] = "asinh"

    @classmethod
    def around(cls, inner: Codec, setting: float, lowest: Number | None = None) -> AsinhCodec:
        """The codec with asinh(x / 2^n) around it, 2^n the power of two nearest to a size in the column's values."""
        exponent = int(np.rint(np.log2(setting)))
        return cls(inner, min(max(exponent, -LARGEST_EXPONENT), LARGEST_EXPONENT))

    @property
    def declared(self) -> dict[str, float]:
        """The option that gives where the function turns from a line to a logarithm."""
        return {self.name: 2.0**self.exponent}

    @property
    def formula(self) -> str:
        """The function for people."""
        return f"asinh(x / {2.0**self.exponent:g})"

    @property
    def scale(self) -> Scale:
        """The scale for engines."""
        return Scale("asinh", self.exponent, self.curve, self.linear)

    def curve(self, numbers: Floats) -> Floats:
        """Inverse hyperbolic sine, ln(t + sqrt(t^2 + 1)) for t >= 0; the same bits on every processor."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            t = np.abs(numbers) * 2.0**-self.exponent
            if not np.max(t, initial=0.0) <= _LARGE:  # or some are missing
                return self._curve_of_any(numbers, t)
            y = log(np.ascontiguousarray(t + np.sqrt(t * t + 1.0)))
        return np.copysign(y, numbers)

    def _curve_of_any(self, numbers: Floats, t: Floats) -> Floats:
        """`curve` of numbers whose squares may be too large, that are missing or infinite."""
        large = t > _LARGE
        near = np.where(large, 1.0, t)
        # For large t: ln(2 t) = ln |x| + (1 - exponent) ln 2, without t, which may be infinite.
        doublings = np.where(large, 1 - self.exponent, 0)
        argument = np.where(large, np.abs(numbers), near + np.sqrt(near * near + 1.0))
        y = (log(np.ascontiguousarray(argument)) + doublings * LOG_2_PARTS[0]) + doublings * LOG_2_PARTS[1]
        return np.copysign(np.where(np.isinf(numbers), np.inf, y), numbers)

    def linear(self, numbers: Floats) -> Floats:
        """Hyperbolic sine, times 2^exponent."""
        rising, falling = self._halves(numbers)
        return np.copysign(rising - falling, numbers)

    def slope(self, numbers: Floats) -> Floats:
        """Hyperbolic cosine, times 2^exponent."""
        return np.add(*self._halves(numbers))

    def _halves(self, numbers: Floats) -> tuple[Floats, Floats]:
        """Half of the exponential function of their sizes, and of its inverse, times 2^exponent."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            root = exp(np.ascontiguousarray(0.5 * np.abs(numbers)))  # its square may be infinite where the rest is not
            half = 2.0 ** (self.exponent - 1)
            return half * root * root, half / root / root
