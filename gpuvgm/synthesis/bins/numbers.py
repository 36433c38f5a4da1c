"""Numbers of rows, which bins are made of: those of the column, or the time between it and another column of datetimes.

Datetimes that are never before others of their row, such as an end and its start, are counted and drawn as the time
between the two. So they are in order in a sample too, and the time between is distributed as in the table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import rel_entr

from gpuvgm.arrays import Column, namespace_of
from gpuvgm.codecs import DatetimeCodec
from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.engines import Engine
from gpuvgm.io import is_moment_type
from gpuvgm.laws import Unit
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons

DAY = 86_400 * 10**9  # nanoseconds
HOURS = 24
LEAST_OF_HOURS = (
    0.2  # nats that these tell: where half of them have twice the rows of the others .06, where they have all .7
)
LEAST_ROWS = 100  # of a sample, that have both datetimes
OUT_OF_ORDER = 0.002  # of these rows, at most: they are taken for errors
PROBED = 1000  # rows that already show of most pairs of datetimes that they are out of order
FARTHEST = 1.2  # standard deviations of the datetimes, for the time between to have one at most
NEAR = 0.25  # of these at most, where datetimes lie before their origin, too
BACK = 1.25  # times as far as forward counts a distance back: what began in a range may end after it
SAME = 1e-12  # of a number without a step: its twin may differ by so much
ROUNDING = 1e-9  # of a step: a number may be too small by so much
Rows = Callable[[str], Column]  # the rows of a column
Modal = NDArray[np.signedinteger[Any]]
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


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a column of datetimes: another column that they are counted from.

    Parameters
    ----------
    column : NumericColumn
        The datetimes that are counted.
    first : NumericColumn
        The datetimes that they are counted from.
    back : bool
        Whether they are not after it, and counted back.
    by_days : bool
        Whether they are counted from the beginning of its day: then their time of day is part of the time between.
    ahead : float
        How far before it they lie at most: then the time between is counted from so far before it.
    """

    column: NumericColumn
    first: NumericColumn
    back: bool
    by_days: bool = False
    ahead: float = 0.0

    @property
    def scale(self) -> tuple[float, float]:
        """Factor and shift that turn numbers of the origin into numbers of the column."""
        unit, unit_of_first = Unit.of(self.column), Unit.of(self.first)
        assert unit is not None and unit_of_first is not None
        return unit_of_first.scale_to(unit)

    @property
    def step(self) -> float:
        """Step of the column, of which the time between is a multiple."""
        return self.column.codec.plain.spacing

    @property
    def has_longer_step(self) -> bool:
        """True if the step of the column is longer than that of its origin, to which the time between is rounded."""
        return bool(self.step > self.first.codec.plain.spacing * self.scale[0])

    @property
    def nests(self) -> bool:
        """True if the step of one column divides that of the other."""
        steps = [int(plain.spacing) * plain.nanoseconds for plain in (self.column.codec.plain, self.first.codec.plain)]
        return max(steps) % min(steps) == 0

    def numbers(self, rows: Rows) -> Floats:
        """Numbers of the origin in the unit of the column, rounded down to its step where that is longer.

        A missing origin is replaced by the first number of both columns, or by the last where it is counted back.
        """
        numbers = self.scaled(self.first.plain_numbers(rows(self.first.name))[0]) - self.ahead
        if self.first.modal_values:
            xp = namespace_of(numbers)
            numbers = xp.where(xp.isnan(numbers), self._end, numbers)
        return numbers - self.since_midnight(numbers) if self.by_days else numbers

    @property
    def day(self) -> float:
        """A day in the unit of the column; 0 where days are none of it: of times with a zone, and of whole days."""
        plain = self.column.codec.plain
        assert isinstance(plain, DatetimeCodec)
        has_zone = plain.type.tz is not None if pa.types.is_timestamp(plain.type) else True
        length = DAY // plain.nanoseconds
        is_on_steps = not has_zone and length % plain.step == 0 and plain.base % plain.step == 0
        return float(length) if is_on_steps and plain.step < length else 0.0

    def since_midnight(self, numbers: Floats) -> Floats:
        """The time of day of numbers of the column."""
        day = self.day
        times: Floats = (numbers + float(self.column.codec.plain.base % int(day))) % day
        return times

    def has_hours(self, rows: Rows) -> bool:
        """Whether datetimes that are counted forward have hours of their own, as of a house that is open by day."""
        if self.back or not self.day:
            return False
        times = self.since_midnight(self.column.plain_numbers(rows(self.column.name))[0])
        hours = np.bincount((times[~np.isnan(times)] * HOURS // self.day).astype(np.int64), minlength=HOURS)
        shares = hours / max(int(np.sum(hours)), 1)
        return float(np.sum(rel_entr(shares, 1 / HOURS))) > LEAST_OF_HOURS

    @property
    def _end(self) -> float:
        """The first number of both columns, or the last one if they are counted back."""
        (first, last), (factor, shift) = self.first.plain_range, self.scale
        if self.back:
            return max(self.column.plain_range[1], float(np.ceil((last * factor + shift) / self.step)) * self.step)
        return min(self.column.plain_range[0], float(np.floor((first * factor + shift) / self.step)) * self.step)

    def scaled(self, numbers: Floats) -> Floats:
        """Numbers of the origin, as `numbers` gives them, from its plain numbers."""
        factor, shift = self.scale
        scaled = numbers * factor + shift
        return namespace_of(scaled).floor(scaled / self.step + ROUNDING) * self.step if self.has_longer_step else scaled

    def between(self, numbers: Floats, first: Floats) -> Floats:
        """The time between numbers of the column and those of the origin."""
        between = (first - numbers if self.back else numbers - first) / self.step
        steps: Floats = namespace_of(between).rint(between)
        return steps * self.step

    def datetimes(self, between: Floats, first: Floats) -> Floats:
        """Numbers of the column that lie so far from those of the origin."""
        return first - between if self.back else first + between


def twin_numbers(first: FittedColumn, column: FittedColumn) -> Callable[[Rows], Floats]:
    """Return what gives the numbers of one column in the unit of another one; NaN for modal and missing values.

    Raises
    ------
    ValueError
        Where they are of another sort.
    """
    unit_of_first, unit_of_column = Unit.of(first), Unit.of(column)
    if (
        not isinstance(first, NumericColumn)
        or unit_of_first is None
        or unit_of_column is None
        or unit_of_first.sort != unit_of_column.sort
    ):
        raise ValueError(f'"{first.name}" has no numbers that "{column.name}" may have')
    factor, shift = unit_of_first.scale_to(unit_of_column)
    return lambda rows: first.plain_numbers(rows(first.name))[0] * factor + shift


def twin_finder(first: FittedColumn, column: FittedColumn) -> Callable[[Rows], NDArray[np.bool_]]:
    """Return what marks rows in which both columns have the same number, to the second one's step, and no modal one."""
    firsts_of = twin_numbers(first, column)
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> NDArray[np.bool_]:
        numbers = column.plain_numbers(rows(column.name))[0]
        return are_same(column, namespace_of(numbers).asarray(firsts_of(rows)), numbers)

    return of_rows


def are_same(column: NumericColumn, firsts: Floats, numbers: Floats) -> NDArray[np.bool_]:
    """Which of a column's numbers are those of its twin, to the column's step."""
    half = column.codec.plain.spacing / 2
    with np.errstate(over="ignore", invalid="ignore"):  # of the largest floats; infinite ones are no twins
        are_near: NDArray[np.bool_] = np.abs(firsts - numbers) <= (half or SAME * np.abs(numbers))
    return are_near


def numbers_since(column: NumericColumn, origin: Origin | None, rows: Rows) -> tuple[Floats, Modal | None]:
    """Numbers as `plain_numbers` of a column gives them, or the time between it and its origin if there is one."""
    numbers, which = column.plain_numbers(rows(column.name))
    return (numbers if origin is None else origin.between(numbers, origin.numbers(rows))), which


def possible_origins(
    columns: Sequence[FittedColumn], rows: Rows, given: Set[str], persons: Persons
) -> tuple[list[Origin], list[Origin]]:
    """Origins that columns of datetimes may be counted from, the nearest first: those of the row, and those given.

    In a sample, but for errors in few rows, the two are in order, though their ranges overlap, and the time between
    varies hardly more than the datetimes themselves. The origin has no modal values. Where there are given ones, such
    as those of the row before, which first rows of keys lack, the row's own may also lie before and after.

    Parameters
    ----------
    columns : sequence of FittedColumn
        The modelled columns.
    rows : callable
        Gives a sample of the rows of a column.
    given : set of str
        Columns that are not drawn.
    persons : Persons
        Whose the rows are.
    """
    moments = [column for column in columns if isinstance(column, NumericColumn) and is_moment_type(column.type)]
    numbers = {column.name: column.plain_numbers(rows(column.name))[0] for column in moments}
    origins = [
        Origin(column, first, back)
        for column in moments[::-1]
        for first in moments
        if column is not first and not first.modal_numbers and _sort(column) == _sort(first)
        for back in (False, True)
    ]
    distances = [_distance(origin, numbers[origin.column.name], numbers[origin.first.name]) for origin in origins]
    possible = [origins[place] for place in np.argsort(distances, kind="stable") if distances[place] < np.inf]
    of_row = [origin for origin in possible if origin.first.name not in given]
    of_given = [origin for origin in possible if origin.column.name not in given and origin.first.name in given]
    drawn = [origin for origin in origins if given.isdisjoint((origin.column.name, origin.first.name))]
    return [*of_row, *_near_origins(drawn if given else [], numbers, persons)], of_given


def _near_origins(origins: Sequence[Origin], numbers: Mapping[str, Floats], persons: Persons) -> list[Origin]:
    """Those of the origins that datetimes lie near to, before them and after them, the nearest first.

    A bus leaves minutes after it is due, and some leave before. The time between varies far less than the datetimes.
    """
    near, distances = list[Origin](), list[float]()
    for origin in origins:
        between = origin.between(numbers[origin.column.name], origin.scaled(numbers[origin.first.name]))
        has_both = ~np.isnan(between)
        between = between[has_both]
        if origin.back or origin.has_longer_step or not origin.nests or len(between) < LEAST_ROWS:
            continue
        first = _least_of_several(between, persons.at(has_both))
        distance = float(np.std(between) / np.nanstd(numbers[origin.column.name]))
        if first < 0 and distance <= NEAR:
            near.append(replace(origin, ahead=-first))
            distances.append(distance)
    return [near[place] for place in np.argsort(distances, kind="stable")]


def _least_of_several(between: Floats, persons: Persons) -> float:
    """The least time between that several persons do not exceed, beside errors in few rows; infinite for few persons.

    So no single person's rows say how far before their origin datetimes lie.
    """
    order = np.argsort(between, kind="stable")
    rows = range(max(LEAST_KEYS, int(OUT_OF_ORDER * len(between)) + 1), len(between) + 1)
    place = bisect_left(rows, LEAST_KEYS, key=lambda least: _persons(persons.at(order[:least]), least))
    return float(between[order[rows[place] - 1]]) if place < len(rows) else np.inf


def _persons(persons: Persons, rows: int) -> int:
    """How many persons rows are of, `LEAST_KEYS` at most."""
    return int(persons.counts(np.zeros(rows, np.int64), 1)[0])


def _distance(origin: Origin, numbers: Floats, first: Floats) -> float:
    """Root mean square of the time between, in standard deviations; infinite where it is no origin."""
    if not origin.nests or _is_out_of_order(origin, numbers[:PROBED], first[:PROBED], len(numbers)):
        return np.inf
    start = origin.scaled(first)
    has_both = ~np.isnan(numbers - start)
    if np.count_nonzero(has_both) < LEAST_ROWS:
        return np.inf
    numbers, start = numbers[has_both], start[has_both]
    between = origin.between(numbers, start)
    early, late = (numbers, start) if origin.back else (start, numbers)
    deviation = float(np.std(numbers))
    is_apart, is_far = np.max(early) <= np.min(late), np.std(between) > FARTHEST * deviation
    if is_apart or is_far or np.mean(between < 0) > OUT_OF_ORDER:
        return np.inf
    return float(np.sqrt(np.mean(between**2))) / deviation * (BACK if origin.back else 1)


def _is_out_of_order(origin: Origin, numbers: Floats, first: Floats, rows: int) -> bool:
    """Return whether the first rows alone have too many out of order, of all rows."""
    return bool(np.count_nonzero(origin.between(numbers, origin.scaled(first)) < 0) > OUT_OF_ORDER * rows)


def _sort(column: NumericColumn) -> str:
    codec = column.codec.plain
    assert isinstance(codec, DatetimeCodec)
    return codec.sort
