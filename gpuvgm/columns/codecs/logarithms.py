"""Columns whose numbers are logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpuvgm.columns.codecs.base import Codec, Number
from gpuvgm.columns.codecs.curves import CurvedCodec
from gpuvgm.summary.grid import Floats


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

    inner: Codec
    low: Number | None
    name: ClassVar[str] = "log"

    @property
    def origin(self) -> Number:
        """0, or `low`."""
        return 0 if self.low is None else self.low

    @property
    def formula(self) -> str:
        """The function for people."""
        return "log"

    def curve(self, numbers: Floats) -> Floats:
        """Logarithms."""
        with np.errstate(divide="ignore"):
            if self.low is None:
                return np.asarray(np.log(np.maximum(numbers, 0.0)))
            return np.asarray(np.log1p(np.maximum(numbers, -1.0)))

    def linear(self, numbers: Floats) -> Floats:
        """What has these logarithms."""
        return np.asarray(np.exp(numbers) if self.low is None else np.expm1(numbers))

    def slope(self, numbers: Floats) -> Floats:
        """The exponential function."""
        return np.asarray(np.exp(numbers))
