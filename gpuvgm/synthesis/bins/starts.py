"""Which of ascending starts a number comes after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.engines import Engine
from gpuvgm.summary import Floats, Ints

MOST_STARTS = (1 << 16) - 2  # that an engine's codes tell apart


def start_finder(starts: Floats, engine: Engine | None = None) -> Callable[[Floats], Ints]:
    """Return what finds the place of the last of ascending starts that is not above a number; -1 where all are above.

    With an engine, many numbers are found several times as fast as `searchsorted` finds them.
    """
    if engine is None or len(starts) > MOST_STARTS:
        return lambda numbers: _last_not_above(starts, numbers)
    edges, places = np.nextafter(starts, -np.inf), np.arange(len(starts) + 2, dtype=np.uint16)
    places[-1] = len(starts)  # NaN comes last
    return lambda numbers: engine.find_bins(numbers, edges, places).astype(np.int64) - 1


def _last_not_above(starts: Floats, numbers: Floats) -> Ints:
    xp = namespace_of(numbers)
    places: Ints = xp.searchsorted(xp.asarray(starts), numbers, side="right") - 1
    return places
