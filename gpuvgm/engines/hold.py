"""Steps after a transform: give rows to modes that hold them, and count rows that the fit had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import widened
from gpuvgm.engines.tables import KernelTable, Step
from gpuvgm.summary.grid import Floats, Ints

ROWS = 1 << 16  # of a block, whose distances to all modes are in memory
GAP = 1 + 2**-10  # reaches of a mode: within the training range a row that lies farther away is clipped
#: Sorts of rows that `hold` counts.
SORTS = INFINITE, MISSING, OUTSIDE, CLIPPED, OFF_STEP = range(5)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The active components and tail modes of a column, and the rows that each can hold.

    A mode holds a row if its scalar lies within ±limit. A row keeps the mode that was drawn for it if that holds it.
    Otherwise it takes, of the components that do, the one with the highest posterior; if none does, the narrowest tail
    mode that holds it; and the mode that ends nearest to it where none does, as rows beyond the training range and rows
    in a gap of it.
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

    def hold(self, rows: Floats, draw: Ints) -> tuple[Ints, Floats]:
        """The modes of rows, and their scalars, which are beyond the limit where no mode holds a row.

        Parameters
        ----------
        rows : ndarray of shape (rows,), float64
            Ordinary numbers of the column, not yet in the frame's coordinates.
        draw : ndarray of shape (rows,), int64
            The mode that was drawn for each, an index of `means`.
        """
        frame = self.components.frame
        y = rows * frame.scale - frame.centre
        mode, reaches = draw.copy(), self.limit * self.widths
        misfits = np.flatnonzero(~(np.abs(y - self.means[draw]) <= reaches[draw]))
        for part in (misfits[start : start + ROWS] for start in range(0, len(misfits), ROWS)):
            mode[part] = self._other_modes(y[part])
        return mode, (y - self.means[mode]) / self.widths[mode]

    def _other_modes(self, y: Floats) -> Ints:
        """The modes of rows that the drawn ones do not hold."""
        active = len(self.components.means)
        distance, reach = np.abs(y - self.means[:, None]), self.limit * self.widths[:, None]
        holds = distance <= reach
        coefficients, half_precisions = self.components.coefficients[:, None], self.components.half_precisions[:, None]
        squares = distance[:active] * distance[:active]
        density = np.where(holds[:active], coefficients - half_precisions * squares, -np.inf)
        fallback = np.argmin(distance - reach, 0)
        if len(self.means) > active:
            narrowest = active + np.argmin(np.where(holds[active:], reach[active:], np.inf), 0)
            fallback = np.where(holds[active:].any(0), narrowest, fallback)
        mode: Ints = np.where(holds[:active].any(0), np.argmax(density, 0), fallback)
        return mode


@dataclass(frozen=True, slots=True, eq=False)
class HoldTable:
    """Table that `Engine.hold` works from.

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

    def outside(self, numbers: Floats) -> NDArray[np.bool_]:
        """Rows with a number outside the training range."""
        wide = widened(numbers)  # bounds must not be rounded to the rows' precision
        is_outside: NDArray[np.bool_] = (wide < self.low) | (wide > self.high)
        return is_outside


def hold_rows(
    numbers: Floats,
    scalar: Floats,
    code: NDArray[np.signedinteger],
    table: HoldTable,
    off_step: NDArray[np.bool_] | Step | None,
) -> Ints:
    """Array code of `Engine.hold`, for rows of the host."""
    counts = np.zeros((len(SORTS), 2), np.int64)
    for sort, rows in ((INFINITE, np.isinf(numbers)), (MISSING, np.isnan(numbers)), (OUTSIDE, table.outside(numbers))):
        _count(counts[sort], rows)
    at_end = np.flatnonzero(np.abs(scalar) >= scalar.dtype.type(table.limit))
    return all_counts(counts, hold_ends(at_end, numbers, scalar, code, table), off_step)


def hold_ends(at_end: Ints, numbers: Floats, scalar: Floats, code: NDArray[np.signedinteger], table: HoldTable) -> Ints:
    """Give rows at an end of their mode to modes that hold them; return the rows that none holds."""
    if table.coverage is None or not len(at_end):
        return at_end
    modes = np.zeros(int(table.codes.max()) + 1, np.int64)
    modes[table.codes] = np.arange(len(table.codes))
    draw = modes[code[at_end]]
    mode, place = table.coverage.hold(widened(numbers[at_end]), draw)
    changes, limit, size = mode != draw, table.coverage.limit, np.abs(place)
    scalar[at_end[changes]] = np.clip(place[changes], -limit, limit).astype(scalar.dtype)
    code[at_end[changes]] = table.codes[mode[changes]].astype(code.dtype)
    return at_end[size >= np.where(table.outside(numbers[at_end]), limit, GAP * limit)]


def all_counts(counts: Ints, clipped_rows: Ints, off_step: NDArray[np.bool_] | Step | None) -> Ints:
    """Counts of every sort, with the clipped rows and those off their step entered."""
    assert not isinstance(off_step, Step)  # codecs look at rows of the host
    if len(clipped_rows):
        counts[CLIPPED] = len(clipped_rows), clipped_rows[0]
    if off_step is not None:
        _count(counts[OFF_STEP], off_step)
    return counts.ravel()


def _count(entry: Ints, rows: NDArray[np.bool_]) -> None:
    """Note how many rows there are, and the first of them."""
    if count := int(np.count_nonzero(rows)):
        entry[:] = count, int(rows.argmax())
