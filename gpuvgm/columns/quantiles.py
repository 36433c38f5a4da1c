"""Where the ordinary training values of a column lay, which other tables are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from gpuvgm.columns.rules import finite, not_negative, share
from gpuvgm.mixture.accumulate import mean_and_variance
from gpuvgm.summary.grid import Frame
from gpuvgm.summary.summary import Cells

TAILS = (0.001, 0.01)
FAR_OUT = 100.0  # quartile ranges from end to end: a row so far out may widen every component
SHARES = np.unique([*TAILS, *(np.arange(1, 32) / 32), *(1 - tail for tail in TAILS)])


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Moments and quantiles of the ordinary training values of a column, in numbers of its codec.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation.
    numbers : tuple of float
        Numbers between values, ascending, near the quantiles of `SHARES`; none where all values are equal.
    shares : tuple of float
        Share of the ordinary rows that lie below each.
    """

    mean: Annotated[float, finite]
    sd: Annotated[float, not_negative]
    numbers: tuple[Annotated[float, finite], ...]
    shares: tuple[Annotated[float, share], ...]

    @classmethod
    def of(cls, cells: Cells, frame: Frame) -> Quantiles:
        """Quantiles of the rows of a summary; at least one."""
        mean, variance = mean_and_variance(cells.mean, cells.weight, cells.scatter)
        below = np.cumsum(cells.weight)[:-1] / cells.rows
        at = np.unique(np.searchsorted(below, SHARES))
        at = at[at < len(below)]
        between = frame.invert((cells.mean[at] + cells.mean[at + 1]) / 2) if len(at) else np.empty(0)
        place, sd = float(frame.invert(np.array([mean]))[0]), float(np.sqrt(variance)) / frame.scale
        return cls(place, sd, tuple(between.tolist()), tuple(below[at].tolist()))

    def check(self) -> None:
        """Raise ValueError where numbers or shares do not ascend, or differ in length."""
        numbers, shares = self.numbers, self.shares
        if len(numbers) != len(shares) or sorted(numbers) != [*numbers] or sorted(shares) != [*shares]:
            raise ValueError("the quantiles do not ascend")
