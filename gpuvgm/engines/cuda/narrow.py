"""A mixture in the numbers of float32, for E-steps without FP64 arithmetic in their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.tables import FLOAT32_EXPONENTS, KernelTable
from gpuvgm.summary.grid import Floats


@dataclass(frozen=True, slots=True)
class NarrowMixture:
    """Parameters of e_step.cuh in float32.

    Parameters
    ----------
    components : ndarray of shape (K, 4), float32
        Mean in two parts, root precision and coefficient, the coefficients relative to the largest.
    exponent : int
        Rows are multiplied by two to this power, so that the narrowest deviation is near 1.
    unit : float
        The frame's coordinates in that scale.
    largest : float
        The largest coefficient.
    """

    components: NDArray[np.float32]
    exponent: int
    unit: float
    largest: float

    @classmethod
    def of(cls, table: KernelTable) -> NarrowMixture | None:
        """Parameters of a table, or None where float32 cannot hold its components beside each other."""
        roots = np.sqrt(table.half_precisions)
        frame = int(np.frexp(table.frame.scale)[1]) - 1
        shift = int(np.frexp(np.max(roots))[1])
        exponent = shift + frame
        means: Floats = np.ldexp(table.means + table.frame.centre, shift)
        roots = np.ldexp(roots, -shift)
        largest = float(np.max(table.coefficients))
        coefficients = table.coefficients - largest
        held = np.all(np.abs(means) < 2.0**60) and np.all(roots > 2.0**-60) and np.all(coefficients > -(2.0**60))
        if not held or not FLOAT32_EXPONENTS[0] <= exponent <= FLOAT32_EXPONENTS[1]:
            return None
        high = means.astype(np.float32)
        low = (means - high).astype(np.float32)
        columns = (high, low, roots.astype(np.float32), coefficients.astype(np.float32))
        return cls(np.stack(columns, axis=1), exponent, float(np.ldexp(1.0, -shift)), largest)
