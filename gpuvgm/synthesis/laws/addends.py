"""Addends of long sums, by least squares with weights that are not negative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from gpuvgm.summary import Floats

LEAST_ADDENDS = 3  # of sums that are found by weights, not by trying all pairs
NEAR = 0.1  # how far weights are from 1 at most, before the sum is tested


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """Columns of numbers, of which some may be sums of others.

    Parameters
    ----------
    places : dict of str to int
        Which column of `numbers` each is.
    numbers : ndarray of shape (rows, columns)
        Their numbers, each divided by its scale; NaN where there is none.
    scales : ndarray of shape (columns,)
        Their largest absolute numbers.
    triangles : dict of bytes to ndarray of shape (columns or fewer, columns)
        By rows, R of the QR decomposition of the numbers there, 0 for NaN. Least squares are the same with it, and it
        has few rows.
    """

    places: dict[str, int]
    numbers: Floats
    scales: Floats
    triangles: dict[bytes, Floats]

    @classmethod
    def of(cls, columns: Mapping[str, Floats]) -> LeastSquares:
        """The columns."""
        numbers = np.stack(list(columns.values()), axis=1)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        scales = np.maximum(np.max(np.abs(np.nan_to_num(numbers)), axis=0), np.finfo(np.float64).tiny)
        return cls({name: place for place, name in enumerate(columns)}, numbers / scales, scales, {})

    def addends(self, target: str, names: Sequence[str], sign: int = 1) -> tuple[str, ...]:
        """Columns with a weight near 1 in the weighted sum of all named columns that is nearest to a target.

        With a sign of -1 it is nearest to what the target lacks of 0.
        """
        place, places = self.places[target], [self.places[name] for name in names]
        rows = ~np.isnan(self.numbers[:, place])
        if not names or np.sum(rows) <= len(names):  # of no columns, nnls would overrun its memory
            return ()
        if rows.tobytes() not in self.triangles:
            decomposed: Any = np.linalg.qr(np.nan_to_num(self.numbers[rows]), mode="r")
            self.triangles[rows.tobytes()] = decomposed
        triangle = self.triangles[rows.tobytes()]
        try:
            weights, _ = nnls(triangle[:, places], sign * triangle[:, place])
        except RuntimeError:  # it has not converged
            return ()
        with np.errstate(over="ignore"):  # of numbers of very different size
            near = np.abs(weights * self.scales[place] / self.scales[places] - 1) < NEAR
        return tuple(name for name, is_near in zip(names, near, strict=True) if is_near)
