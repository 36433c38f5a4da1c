"""Which modes hold which rows, and what rows there are that the fit had not seen: what follows a transform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import widened
from gpuvgm.engines.tables import KernelTable, Step
from gpuvgm.summary.grid import Floats, Ints

ROWS = 1 << 16  # that are looked at together
#: Sorts of rows that `hold` counts.
SORTS = INFINITE, MISSING, OUTSIDE, CLIPPED, OFF_STEP = range(5)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The active components and tail modes of a column, and the rows that each can hold.

    A mode holds a row if its scalar lies within ±limit. A row keeps the mode that was drawn for it if that holds it.
    Otherwise it takes, of the components that do, the one with the highest posterior; if none does, the narrowest tail
    mode that holds it; and the mode that ends nearest to it where no mode holds it, as rows beyond the training range.
    Of equal ones the lower index is taken.

    Parameters
    ----------
    components : KernelTable
        The active components.
    means, widths : ndarray of shape (A + T,)
        Of the active components, then of the tail modes: scalar = (y - mean) / width.
    limit : float
        Largest scalar.
    """

    components: KernelTable
    means: Floats
    widths: Floats
    limit: float

    def hold(self, rows: Floats, drawn: Ints) -> tuple[Ints, Floats]:
        """The modes of rows, and their scalars.

        Parameters
        ----------
        rows : ndarray of shape (rows,), float64
            Ordinary numbers of the column, not yet in the frame's coordinates.
        drawn : ndarray of shape (rows,), int64
            The mode that was drawn for each, an index of `means`.
        """
        frame = self.components.frame
        y = rows * frame.scale - frame.centre
        mode, reaches = drawn.copy(), self.limit * self.widths
        left = np.flatnonzero(~(np.abs(y - self.means[drawn]) <= reaches[drawn]))
        for part in (left[at : at + ROWS] for at in range(0, len(left), ROWS)):
            mode[part] = self._others(y[part])
        return mode, np.clip((y - self.means[mode]) / self.widths[mode], -self.limit, self.limit)

    def _others(self, y: Floats) -> Ints:
        """The modes of rows that the drawn ones do not hold."""
        active = len(self.components.means)
        distance, reach = np.abs(y - self.means[:, None]), self.limit * self.widths[:, None]
        holds = distance <= reach
        coefficients, half_precisions = self.components.coefficients[:, None], self.components.half_precisions[:, None]
        squares = distance[:active] * distance[:active]
        density = np.where(holds[:active], coefficients - half_precisions * squares, -np.inf)
        other = np.argmin(distance - reach, 0)
        if len(self.means) > active:
            narrowest = active + np.argmin(np.where(holds[active:], reach[active:], np.inf), 0)
            other = np.where(holds[active:].any(0), narrowest, other)
        found: Ints = np.where(holds[:active].any(0), np.argmax(density, 0), other)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class HoldTable:
    """What `Engine.hold` needs.

    Parameters
    ----------
    coverage : Coverage or None
        Which modes hold which rows; None where every row keeps the mode that was drawn for it.
    codes : ndarray of shape (A + T,), int64
        Code of each mode.
    limit : float
        Scalars that are as large are at the end of their mode.
    low, high : float
        Ends of the training range, and what they allow for; the lower one is above the other where there was none.
    """

    coverage: Coverage | None
    codes: Ints
    limit: float
    low: float
    high: float


def hold_rows(
    numbers: Floats,
    scalar: Floats,
    code: NDArray[np.signedinteger],
    table: HoldTable,
    off_step: NDArray[np.bool_] | Step | None,
) -> Ints:
    """Array code of `Engine.hold`, for rows of the host."""
    assert not isinstance(off_step, Step)  # codecs look at rows of the host
    counts = np.zeros(2 * len(SORTS), np.int64)
    found = counts.reshape(-1, 2)
    outside, missing = None, np.isnan(numbers)
    least, most = (float(end.reduce(numbers)) for end in (np.fmin, np.fmax)) if len(numbers) else (np.nan, np.nan)
    if not -np.inf < table.low <= least <= most <= table.high < np.inf:
        _count(found[INFINITE], np.isinf(numbers))
        wide = widened(numbers)  # bounds must not be rounded to the rows' precision
        outside = ~((wide >= table.low) & (wide <= table.high) | missing)
    clipped = np.abs(scalar) >= scalar.dtype.type(table.limit)
    rows = clipped.nonzero()[0]
    if table.coverage is not None and len(rows):
        modes = np.zeros(int(table.codes.max()) + 1, np.int64)
        modes[table.codes] = np.arange(len(table.codes))
        drawn = modes[code[rows]]
        mode, held = table.coverage.hold(widened(numbers[rows]), drawn)
        moved = mode != drawn
        scalar[rows[moved]] = held[moved].astype(scalar.dtype)
        code[rows[moved]] = table.codes[mode[moved]].astype(code.dtype)
        clipped[rows] = False if outside is None else (np.abs(held) >= table.coverage.limit) & outside[rows]
    for sort, mask in ((MISSING, missing), (OUTSIDE, outside), (CLIPPED, clipped), (OFF_STEP, off_step)):
        _count(found[sort], mask)
    return counts


def _count(found: Ints, rows: NDArray[np.bool_] | None) -> None:
    """Note how many rows there are, and the first of them."""
    if rows is not None and (count := int(np.count_nonzero(rows))):
        found[:] = count, int(rows.argmax())
