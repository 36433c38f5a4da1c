"""Clocks of datetimes that keep to a calendar, and parts of dates that trees ask for.

Most rows of a bank lie on working days, some on the first of a month at six. Bins of datetimes know nothing of that, so
that values within a bin would lie at any hour of any day. A clock runs fast where rows are dense, and hardly at all
where there are none. So rows are spread evenly over its readings, and these are what is counted and drawn: operational
time, as actuaries call it. Days and times are local; a day has the offset from UTC that it has at noon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import NumericColumn
from gpuvgm.engines import Engine
from gpuvgm.rules import finite, whole
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons
from gpuvgm.synthesis.bins.starts import start_finder

DAY = 86_400 * 10**9  # nanoseconds
MOST_DAYS = 1 << 16  # of a clock
FARTHEST_DAY = 1 << 22  # from 1970-01-01
MOMENTS = 1 << 9  # intervals of equal shares of the rows, that tell when datetimes with an origin are
ATOM_ROWS = 8  # of a time of the day, a day or a moment that is counted by itself
OFTEN = 4  # times as many rows as the clock lets expect has a moment that is counted by itself
PartName = Literal[
    "weekday",
    "day",
    "day from the end",
    "working day",
    "working day from the end",
    "month",
    "time",
    "moment",
    "missing",
    "same",
    "rare",
]
PARTS: tuple[PartName, ...] = get_args(PartName)[:-3]
MOMENT: PartName = "moment"
TWIN: PartName = "same"
RARE: PartName = "rare"
PartCodes = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Part:
    """What trees of other columns ask for beside bins, such as a part of datetimes, or whether a row lacks a key.

    Parameters
    ----------
    column : str
        The column; of keys the first one.
    name : str
        The part, one of `PARTS`; of keys "missing"; "same" where a row has the number of the column's twin; "rare"
        where it has one of few rows, in a column that decides others.
    """

    column: str
    name: PartName


@dataclass(frozen=True, eq=False)  # no slots: sums are cached
class Clock:
    """A clock of a column of datetimes.

    Numbers are those of the plain codec.

    Parameters
    ----------
    first : int
        Days from 1970-01-01 to the first day.
    starts : ndarray of shape (days + 1,)
        Number at which each day begins, and the one at which the last ends.
    tick : float
        Step of the values, a day at most.
    kinds : ndarray of shape (days,), int64
        Kind of each day.
    rows : ndarray of shape (days,)
        Rows of each day, by which the clock runs.
    cells : ndarray of shape (cells,)
        Where cells of a day begin, in numbers since its start.
    shares : ndarray of shape (kinds * cells,)
        Share of a kind's rows in each cell.
    """

    first: Annotated[int, whole(-FARTHEST_DAY, FARTHEST_DAY)]
    starts: Annotated[Floats, finite]
    tick: Annotated[float, finite]
    kinds: Annotated[Ints, whole()]
    rows: Annotated[Floats, finite]
    cells: Annotated[Floats, finite]
    shares: Annotated[Floats, finite]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clock) and all(
            np.array_equal(getattr(self, part.name), getattr(other, part.name)) for part in fields(self)
        )

    def check(self) -> None:
        """Raise ValueError where the parts of a loaded clock do not fit together."""
        days, cells = len(self.kinds), len(self.cells)
        fits = 0 < days == len(self.rows) == len(self.starts) - 1 and 0 < cells < 1 << 8 and self.tick > 0
        fits = fits and len(self.shares) % cells == 0 and int(self.kinds.max()) < len(self.shares) // cells
        fits = fits and bool(np.all(np.diff(self.starts) > 0) and np.all(np.diff(self.cells) > 0) and not self.cells[0])
        if not fits or not np.all(self.rows > 0) or not np.all(self.shares > 0):
            raise ValueError("a clock's days and cells do not fit together")

    @cached_property
    def length(self) -> float:
        """Length of the longest day."""
        return float(np.max(np.diff(self.starts)))

    @cached_property
    def below(self) -> Floats:
        """Reading at which each day begins, and at the end of the last."""
        return np.concatenate(([0.0], np.cumsum(self.rows)))

    @cached_property
    def _widths(self) -> Floats:
        """Widths of the cells."""
        return np.diff(np.append(self.cells, self.length))

    @cached_property
    def _share_of_cell(self) -> Floats:
        """Share of a kind's rows in each cell."""
        shares = self.shares.reshape(-1, len(self.cells))
        share: Floats = (shares / np.sum(shares, axis=1, keepdims=True)).ravel()
        return share

    @cached_property
    def _shares_below(self) -> Floats:
        """Kind plus the share of its rows before each cell, ascending."""
        shares = self._share_of_cell.reshape(-1, len(self.cells))
        below: Floats = np.cumsum(shares, axis=1) - shares + np.arange(len(shares))[:, None]
        return below.ravel()

    @property
    def _kinds(self) -> int:
        """Number of kinds."""
        return len(self.shares) // len(self.cells)

    @cached_property
    def parts(self) -> dict[str, PartCodes]:
        """Code of each part that a day has, by day; 0 is no code."""
        return {name: codes + np.uint16(1) for name, codes in parts_of_days(self.first, len(self.kinds)).items()}

    @property
    def odd_weeks(self) -> Ints:
        """Whether the week of each day is odd: each half of the weeks is judged by the other half."""
        return odd_weeks(self.first, len(self.kinds))

    def size(self, part: str) -> int:
        """Codes of a part, and one for rows that have none."""
        if part in ("time", MOMENT):
            return (len(self.cells) if part == "time" else MOMENTS) + 1
        return int(self.parts[part].max()) + 1

    def readings(self, numbers: Floats) -> Floats:
        """Readings of numbers, in the middle of their step; NaN for NaN."""
        return self.spans(numbers)[0]

    def spans(self, numbers: Floats) -> tuple[Floats, Floats]:
        """Readings in the middle of the step of each number, and half of what the clock runs in it."""
        return self.read(numbers)[:2]

    def read(self, numbers: Floats) -> tuple[Floats, Floats, Ints, Ints]:
        """What `spans` gives, and the day and the cell of each number."""
        xp = namespace_of(numbers)
        day = self._days(xp.nan_to_num(numbers, nan=float(self.starts[0])))
        elapsed = xp.clip(xp.nan_to_num(numbers - xp.asarray(self.starts)[day], nan=0.0), 0, self.length)
        time = xp.clip(xp.floor(elapsed / self.tick) * self.tick, 0, self.length - self.tick)
        cell = xp.searchsorted(xp.asarray(self.cells), time, side="right") - 1
        kind, rows = xp.asarray(self.kinds)[day], xp.asarray(self.rows)[day]
        place = kind * len(self.cells) + cell
        speed = rows * xp.asarray(self._share_of_cell / np.tile(self._widths, self._kinds))[place]
        below = xp.asarray(self.below)[day] + rows * (xp.asarray(self._shares_below)[place] - kind)
        half = speed * (self.tick / 2)  # a step lies in one cell
        readings = below + speed * (time - xp.asarray(self.cells)[cell]) + half
        return *self._extended(numbers, readings, half), day, cell

    def _extended(self, numbers: Floats, readings: Floats, half: Floats) -> tuple[Floats, Floats]:
        """Readings and half steps, also of numbers before the first day and after the last: there at the mean speed."""
        xp, first, last = namespace_of(numbers), float(self.starts[0]), float(self.starts[-1])
        beyond = xp.minimum(numbers - first, 0.0) + xp.maximum(numbers - last, 0.0)
        is_outside = (beyond != 0) | xp.isnan(numbers)
        if not is_outside.any():
            return readings, half
        mean_speed = self.below[-1] / (last - first)
        half = xp.where(is_outside, mean_speed * self.tick / 2, half)
        with np.errstate(over="ignore"):  # of an open range, which ends at the largest float
            extended = xp.where(beyond < 0, 0.0, self.below[-1]) + beyond * mean_speed + half
        return xp.where(is_outside, extended, readings), half

    def interval(self, low: float, high: float) -> tuple[float, float]:
        """Readings at which the steps that begin in an interval of numbers start and end."""
        (begin, end), half = self.spans(np.array([low, high]))
        is_inside = not low > self.numbers(np.array([begin]))[0]
        return begin - half[0] if is_inside else begin + half[0], end + half[1]

    def _days(self, numbers: Floats) -> Ints:
        """Day of each number; of numbers before and after all days, the first and the last."""
        xp, starts, last = namespace_of(numbers), self.starts, len(self.kinds) - 1
        usual = float(np.median(np.diff(starts)))
        days: Ints = xp.clip(xp.floor((numbers - starts[0]) / usual), 0, last).astype(np.int64)
        if np.all(np.diff(starts) == usual):
            return days
        edges = xp.asarray(starts)
        days = xp.clip(days - (numbers < edges[days]), 0, last)
        days = xp.clip(days + (numbers >= edges[days + 1]), 0, last)
        return days

    def places(self, readings: Floats, engine: Engine | None = None) -> tuple[Ints, Ints]:
        """Day and cell of readings."""
        return self._place(readings, engine)[:2]

    def _place(self, readings: Floats, engine: Engine | None) -> tuple[Ints, Ints, Floats]:
        """Day and cell of readings, and the share of the cell before them."""
        xp = namespace_of(readings)
        day = xp.clip(start_finder(self.below, engine)(readings), 0, len(self.kinds) - 1)
        kind = xp.asarray(self.kinds)[day]
        share = kind + xp.clip((readings - xp.asarray(self.below)[day]) / xp.asarray(self.rows)[day], 0, 1)
        places = start_finder(self._shares_below, engine)(share)
        places = xp.minimum(places, kind * len(self.cells) + len(self.cells) - 1)
        inside = (share - xp.asarray(self._shares_below)[places]) / xp.asarray(self._share_of_cell)[places]
        return day, places - kind * len(self.cells), xp.clip(inside, 0, 1)

    def numbers(self, readings: Floats, engine: Engine | None = None) -> Floats:
        """Numbers of readings, at the start of their step."""
        day, cell, inside = self._place(readings, engine)
        time = self.cells[cell] + inside * self._widths[cell]
        steps = np.floor(time / self.tick) * self.tick
        numbers: Floats = self.starts[day] + np.minimum(steps, self.length - self.tick)
        return numbers

    def borders(self, readings: Floats) -> Floats:
        """The nearest readings at which one step ends and the next begins."""
        middle, half = self.spans(self.numbers(readings))
        return np.where(readings < middle, middle - half, middle + half)

    def with_parts(self, names: Sequence[str], numbers: Floats) -> tuple[Floats, list[PartCodes]]:
        """Readings of numbers, and codes of parts of them."""
        readings, _, days, cells = self.read(numbers)
        return readings, self.codes(names, readings, (days, cells), namespace_of(numbers).isnan(numbers))

    def codes(
        self, names: Sequence[str], readings: Floats, places: tuple[Ints, Ints], missing: NDArray[np.bool_]
    ) -> list[PartCodes]:
        """Codes of parts of readings, of which days and cells are known; 0 where they are missing."""
        (days, cells), xp = places, namespace_of(readings)

        def of_part(name: str) -> PartCodes:
            if name == MOMENT:
                share = xp.nan_to_num(readings / self.below[-1], nan=0.0)
                return self._from_one(xp.clip(xp.floor(share * MOMENTS), 0, MOMENTS - 1))
            return self._from_one(cells) if name == "time" else xp.asarray(self.parts[name])[days]

        return [xp.where(missing, np.uint16(0), of_part(name)) for name in names]

    @staticmethod
    def _from_one(places: Any) -> PartCodes:
        """Codes of places from 0 on: 0 is no code."""
        codes: PartCodes = (places + 1).astype(np.uint16)
        return codes


def odd_weeks(first: int, count: int) -> Ints:
    """Whether the week of each of some consecutive days is odd."""
    return (first + np.arange(count) + 3) // 7 % 2


def parts_of_days(first: int, count: int) -> dict[str, PartCodes]:
    """Parts of consecutive days, each from 0: their weekday from Monday, place in the month from both ends, and month.

    Working days are those from Monday to Friday; other days have none, which is 0.
    """
    asked = first + np.arange(count)
    days = np.arange(first - 31, first + count + 31)  # so that months are whole
    month = days.astype("M8[D]").astype("M8[M]")
    next_month = month + np.timedelta64(1, "M")
    starts, ends = (begin.astype("M8[D]").astype(np.int64) for begin in (month, next_month))
    weekday = (days + 3) % 7
    works = weekday < 5
    sums = np.concatenate(([0], np.cumsum(works)))
    at_start, at_end = np.maximum(starts - days[0], 0), np.minimum(ends - days[0], len(days))
    places = np.arange(len(days))
    parts = {
        "weekday": weekday,
        "day": days - starts,
        "day from the end": ends - 1 - days,
        "working day": np.where(works, sums[places + 1] - sums[at_start], 0),
        "working day from the end": np.where(works, sums[at_end] - sums[places], 0),
        "month": month.astype(np.int64) % 12,
    }
    return {name: codes[asked - days[0]].astype(np.uint16) for name, codes in parts.items()}


def days_of(column: NumericColumn, low: float, high: float) -> tuple[int, Floats]:
    """The first local day of a range of numbers, and the numbers at which its days begin and the last one ends."""
    codec: Any = column.codec.plain
    unit = codec.nanoseconds
    length = DAY // unit
    first, last = ((codec.base + int(end)) // length for end in (low, high))
    days = np.arange(first - 2, last + 4)  # in UTC, from which local days begin a day earlier or later at most
    starts = days * length - codec.base - _offsets(codec.type, days) // unit
    begin, end = np.searchsorted(starts, low, side="right") - 1, np.searchsorted(starts, high, side="right")
    return int(days[begin]), starts[begin : end + 1].astype(np.float64)


def _offsets(type_: Any, days: Ints) -> Ints:
    """Nanoseconds by which local time is ahead of UTC, at noon of each day."""
    if not pa.types.is_timestamp(type_) or type_.tz is None:
        return np.zeros(len(days), np.int64)
    noon = days * (DAY // 10**9) + DAY // 10**9 // 2
    moments: Any = pa.array(noon).cast(pa.timestamp("s", type_.tz))
    local: Any = pc.local_timestamp(moments)
    offsets: Ints = (local.cast(pa.int64()).to_numpy() - noon) * 10**9
    return offsets


def moments_with_own_counts(clock: Clock, numbers: Floats, persons: Persons) -> Floats:
    """Numbers that several persons have, and far more rows than the clock lets expect, ascending."""
    distinct, place, rows = np.unique(numbers, return_inverse=True, return_counts=True)
    expected = clock.spans(distinct)[1] * 2 * len(numbers) / clock.below[-1]
    is_frequent = (rows >= ATOM_ROWS) & (rows >= OFTEN * expected)
    is_frequent &= persons.counts(place, len(distinct)) >= LEAST_KEYS
    moments: Floats = distinct[is_frequent]
    return moments
