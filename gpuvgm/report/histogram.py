"""Histograms of errors in logarithmic bins: small, exact counts, merged in any order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gpuvgm.summary.grid import Floats, Ints

MANTISSA_BITS = 4  # a bin of the histogram spans 2^-4 of its lower end
LEAST_EXPONENT, MOST_EXPONENT = -64, 64
BINS = (MOST_EXPONENT - LEAST_EXPONENT) << MANTISSA_BITS
_SHIFT = 52 - MANTISSA_BITS
_FIRST_BIN = (LEAST_EXPONENT + 1023) << MANTISSA_BITS


@dataclass(frozen=True, slots=True)
class ErrorHistogram:
    """Counts of errors in logarithmic bins, read off the bits of the float64 values.

    A bin is 2^-4 of its lower end wide, so a quantile is at most 6.25 % too high; the maximum is exact. Errors below
    2^-64 fall into the first bin, those of 2^64 and more into the last one.

    Parameters
    ----------
    counts : ndarray of shape (BINS + 1,), int64
        Rows without an error, then the bins.
    maximum : float
        The largest error.
    """

    counts: Ints = field(default_factory=lambda: np.zeros(BINS + 1, np.int64))
    maximum: float = 0.0

    @classmethod
    def of(cls, errors: Floats) -> ErrorHistogram:
        """Histogram of non-negative errors, shape (rows,)."""
        bits = np.ascontiguousarray(errors, dtype=np.float64).view(np.int64)
        bins = np.where(errors > 0, np.clip((bits >> _SHIFT) - (_FIRST_BIN - 1), 1, BINS), 0)
        return cls(np.bincount(bins, minlength=BINS + 1), float(np.max(errors, initial=0.0)))

    def merge(self, other: ErrorHistogram) -> ErrorHistogram:
        """Histogram of both sets of errors."""
        return ErrorHistogram(self.counts + other.counts, max(self.maximum, other.maximum))

    @property
    def octaves(self) -> tuple[int, ...]:
        """Errors in [2^j, 2^(j + 1)) for j from -64 on."""
        return tuple(np.sum(self.counts[1:].reshape(-1, 1 << MANTISSA_BITS), axis=1).tolist())

    def quantile(self, share: float) -> float:
        """Upper end of the bin that holds this quantile, or the maximum where that is less; 0 without errors."""
        cumulative = np.cumsum(self.counts)
        if cumulative[-1] == 0:
            return 0.0
        at = int(np.searchsorted(cumulative, min(max(share * cumulative[-1], 1), cumulative[-1])))
        if at == 0:
            return 0.0
        upper = np.array([(_FIRST_BIN + at) << _SHIFT], np.int64).view(np.float64)[0]
        return min(float(upper), self.maximum)
