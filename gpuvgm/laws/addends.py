"""Addends of long sums, by least squares with weights that are not negative, or with any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuvgm.summary import Floats

LEAST_ADDENDS = 3  # of sums that are found by weights, not by trying all pairs
NEAR = 0.1  # how far weights are from 1 at most, before the sum is tested
NONE = 1e-6  # how far they are from 0, of columns that are no addends
ANY = 0  # in the place of a sign: weights may have either
EXACT = 1e-3  # of a target's length, by which a weighted sum is off that equals it but for rounding
SAME = 1e-9  # with any weights, by which it is off that equals it: more sums would come near it
MOST_LEFT_OUT = 16  # columns that share the weights of others, such as prices in another currency


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

    def addends(self, target: str, names: Sequence[str], sign: int = 1) -> dict[str, int]:
        """Signs of columns with a weight near 1 in the weighted sum of all named columns that is nearest to a target.

        With a sign of -1 it is nearest to what the target lacks of 0; with `ANY`, weights may be near -1, too. Where
        the sum equals the target, but with other weights, columns are left out without which it still does: they share
        the weights of others.
        """
        place, places = self.places[target], [self.places[name] for name in names]
        rows = ~np.isnan(self.numbers[:, place])
        if not names or np.sum(rows) <= len(names):  # of no columns, nnls would overrun its memory
            return {}
        if rows.tobytes() not in self.triangles:
            decomposed: Any = np.linalg.qr(np.nan_to_num(self.numbers[rows]), mode="r")
            self.triangles[rows.tobytes()] = decomposed
        triangle = self.triangles[rows.tobytes()]
        exact = (EXACT if sign else SAME) * float(np.linalg.norm(triangle[:, place]))
        weights, distance = self._weights(triangle, place, places, sign)
        needed = set[int]()
        for _ in range(min(MOST_LEFT_OUT, len(places) - 1)):
            off = {addend: abs(abs(weight) - 1) for addend, weight in weights.items() if abs(weight) > NONE}
            far = [addend for addend in off if off[addend] >= NEAR and addend not in needed]
            if not far or distance > exact:
                break
            farthest = max(far, key=off.__getitem__)
            remaining = [addend for addend in places if addend != farthest]
            without = self._weights(triangle, place, remaining, sign)
            if without[1] > exact:
                needed.add(farthest)
            else:
                places, (weights, distance) = remaining, without
        named = {name: weights.get(self.places[name], 0.0) for name in names}
        return {name: 1 if weight > 0 else -1 for name, weight in named.items() if abs(abs(weight) - 1) < NEAR}

    def _weights(
        self, triangle: Floats, place: int, places: Sequence[int], sign: int
    ) -> tuple[dict[int, float], float]:
        """Weight of each column, and how far their weighted sum is from a target."""
        from scipy.optimize import nnls  # not for reports without laws

        columns = triangle[:, places]
        try:
            if sign == ANY:
                # Of all solutions the shortest: without scales it gives a total more weight than each of its addends.
                scales = self.scales[places] / np.max(self.scales[places])
                weights: Any = np.linalg.lstsq(columns * scales, triangle[:, place])[0] * scales
                distance = float(np.linalg.norm(columns @ weights - triangle[:, place]))
            else:
                weights, distance = nnls(columns, sign * triangle[:, place])
        except (RuntimeError, np.linalg.LinAlgError):  # it has not converged
            return {}, np.inf
        with np.errstate(over="ignore"):  # of numbers of very different size
            weights = weights * self.scales[place] / self.scales[places]
        return dict(zip(places, weights.tolist(), strict=True)), float(distance)
