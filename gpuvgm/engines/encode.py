"""Tables to encode and decode a column by, rows that modes cannot hold, and rows that the fit had not seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.tables import KernelTable, Step
from gpuvgm.summary import Floats, Frame, Ints

ROWS = 1 << 16  # of a block, whose distances to all modes are in memory
GAP = 1 + 2**-10  # reaches of a mode: within the training range a row that lies farther away is clipped
#: Sorts of rows that `Engine.encode` counts.
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
class EncodeTable:
    """Table that `Engine.encode` works from.

    Parameters
    ----------
    mixture : KernelTable
        The A active components in index order, then those that only take part in the posterior.
    widths : ndarray of shape (A,)
        scale * sd of the active components.
    codes : ndarray of shape (A + T,), int64
        Code of each active component, then of each tail mode, in the onehot order.
    floor : float
        Added to every active component's probability, as a share of the whole posterior.
    limit : float
        Scalars are kept within ±limit; those that are as large are at the end of their mode.
    missing_code : int
        Code of missing rows; -1 where the column has none.
    modal_codes : ndarray of shape (modal values,), int64
        Code of each modal value of the rules.
    low, high : float
        Ends of the training range of numbers, and what they allow for; the lower one is above the other where there
        was none.
    coverage : Coverage, optional
        Which modes hold which rows; None where every row keeps the mode that was drawn for it.
    """

    mixture: KernelTable
    widths: Floats
    codes: Ints
    floor: float
    limit: float
    missing_code: int
    modal_codes: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    low: float = -np.inf
    high: float = np.inf
    coverage: Coverage | None = None

    def outside(self, numbers: Floats) -> NDArray[np.bool_]:
        """Rows with a number outside the training range."""
        is_outside: NDArray[np.bool_] = (numbers < self.low) | (numbers > self.high)
        return is_outside


@dataclass(frozen=True, slots=True, eq=False)
class DecodeTable:
    """Table that `Engine.decode` works from.

    Parameters
    ----------
    frame : Frame
        Frame of the means and widths.
    means, widths : ndarray of shape (codes,)
        Mean and width of every code of the onehot order; NaN and 0 of a missing or modal one.
    limit : float
        Scalars are kept within ±limit.
    modal : tuple of (int, int or float)
        Codes of modal values, and these.
    step : Step, optional
        The step that decoded values lie on.
    low, high : int or float
        Least and largest value of a column of whole numbers, or on a scale; not looked at for others.
    """

    frame: Frame
    means: Floats
    widths: Floats
    limit: float
    modal: tuple[tuple[int, int | float], ...] = ()
    step: Step | None = None
    low: int | float = -np.inf
    high: int | float = np.inf

    @property
    def complete(self) -> bool:
        """Return whether every code has a value."""
        return int(np.count_nonzero(np.isnan(self.means))) == len(self.modal)


def hold_ends(
    at_end: Ints, numbers: Floats, scalar: Floats, code: NDArray[np.signedinteger], table: EncodeTable
) -> Ints:
    """Give rows at an end of their mode to modes that hold them; return the rows that none holds.

    Parameters
    ----------
    at_end : ndarray of shape (ends,), int64
        The rows.
    numbers : ndarray of shape (ends,), float64
        Their numbers.
    scalar, code : ndarray of shape (rows,)
        Of all rows; changed in place.
    table : EncodeTable
        Modes and training range.
    """
    if table.coverage is None or not len(at_end):
        return at_end
    modes = np.zeros(int(table.codes.max()) + 1, np.int64)
    modes[table.codes] = np.arange(len(table.codes))
    draw = modes[code[at_end]]
    mode, place = table.coverage.hold(numbers, draw)
    changes, limit, size = mode != draw, table.coverage.limit, np.abs(place)
    scalar[at_end[changes]] = np.clip(place[changes], -limit, limit).astype(scalar.dtype)
    code[at_end[changes]] = table.codes[mode[changes]].astype(code.dtype)
    return at_end[size >= np.where(table.outside(numbers), limit, GAP * limit)]


def counts_of(*sorts: NDArray[np.bool_]) -> Ints:
    """How many rows of each sort there are, and the first, one sort after the other."""
    return np.array([(np.count_nonzero(rows), rows.argmax() if len(rows) else 0) for rows in sorts], np.int64).ravel()
