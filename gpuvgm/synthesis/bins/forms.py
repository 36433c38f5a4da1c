"""Forms of numbers: which of the steps between values come more often than others.

Prices end in .99, working times are whole hours or halves, salaries are multiples of 50. The steps of such a column
repeat: of some remainders by a period there are far more rows than of their neighbours, and more of multiples of 10 or
100. Rows of these remainders and multiples are counted, and numbers are drawn so within their pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from gpuvgm.arrays import distinct_values, mixed
from gpuvgm.engines import Engine
from gpuvgm.records import LARGEST_WHOLE
from gpuvgm.rules import finite, whole
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons
from gpuvgm.synthesis.bins.starts import start_finder

MULTIPLES = (1, 2, 3, 4, 5, 6, 8, 12, 15, 25)  # of powers of ten: periods that are tried
CLOCK = (24, 60, 300, 900, 1440, 1800, 3600, 86_400)  # periods, too
ROUND = (1, *(multiple * 10**power for power in range(6) for multiple in (5, 10)))  # whose multiples are counted
LONGEST_PERIOD = 100_000  # steps
MOST_REMAINDERS = 64  # that are counted
PERIODS = 3  # at least, in the middle eight tenths of the numbers
LEAST_VALUES = 3  # different ones of a remainder that is counted
OFTEN = 2.0  # times as many rows as other remainders of their multiple
CHOICE = 8.0  # nats that the choice of a period costs
TRIED_ROWS = 1 << 12  # from which a period is chosen
MOST_PLACES = 9  # decimal places of numbers without a common step
DIGITS = 15  # of a float
DUST = 8  # distances of neighbouring floats that rounding adds at most
DUSTY = 200  # times as long at least is a decimal place
FAR = 10_000  # steps of a column in a decimal place that is taken in their stead
LEAST_SHARE = 0.02  # of the rows, on the decimal places
LARGEST = 2**53  # steps that a float holds
UNSEEN_ROWS = 0.5  # of the multiples that no row has
DAYS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # of each month
FIRST_YEAR, LAST_YEAR = 1600, 2199
LEAST_HOURS = 6  # different ones, of times
_MONTHS = tuple(range(1, 13))
_MINUTES = tuple(range(60))
#: For each way to write dates and times as a whole number: the least different ones, and the ends that they have.
Moments: TypeAlias = Literal["YYYYMMDD", "YYYYMM", "HHMM", "HHMMSS"]
MOMENTS: dict[Moments, tuple[int, tuple[int, ...]]] = {
    "YYYYMMDD": (12, tuple(100 * month + day for month in _MONTHS for day in range(1, DAYS[month] + 1))),
    "YYYYMM": (20, _MONTHS),
    "HHMM": (60, _MINUTES),
    "HHMMSS": (60, tuple(100 * minute + second for minute in _MINUTES for second in _MINUTES)),
}


@dataclass(frozen=True)  # no slots: weights are cached
class Forms:
    """Rows of a column's steps by their remainder.

    Parameters
    ----------
    step : float
        Distance of the steps, in numbers.
    base : int
        Steps by which the number 0 lies above the value 0.
    period : int
        Steps after which remainders repeat.
    multiples : tuple of int
        Divisors of the period, each one of the next, from 1 on.
    rows_of_multiples : tuple of int
        Rows by the greatest of these that divides their remainder, without the rows of frequent remainders.
    remainders : tuple of int
        Frequent remainders, ascending: those that many more rows have than others.
    rows : tuple of int
        Rows of each frequent remainder.
    rows_between : int
        Rows that lie on no step.
    moments : str, optional
        How whole numbers are written that are dates, months or times, of `MOMENTS`; no other remainders are drawn.
    """

    step: Annotated[float, finite]
    base: Annotated[int, whole(-LARGEST_WHOLE, LARGEST_WHOLE)]
    period: Annotated[int, whole(1, LONGEST_PERIOD)]
    multiples: tuple[Annotated[int, whole(1)], ...]
    rows_of_multiples: tuple[Annotated[int, whole()], ...]
    remainders: tuple[Annotated[int, whole()], ...]
    rows: tuple[Annotated[int, whole()], ...]
    rows_between: Annotated[int, whole()]
    moments: Moments | None = None

    def check(self) -> None:
        """Raise ValueError where the parts do not fit together."""
        lengths = len(self.remainders) == len(self.rows), len(self.multiples) == len(self.rows_of_multiples) > 0
        divides = all(self.period % multiple == 0 for multiple in self.multiples) and self.multiples[:1] == (1,)
        below = all(remainder < self.period for remainder in self.remainders)
        if not (self.step > 0 and all(lengths) and divides and below):
            raise ValueError("its forms are inconsistent")

    @cached_property
    def _weights(self) -> Floats:
        """Weight of each remainder; 1 on average."""
        multiple = _greatest_multiple(np.arange(self.period), self.multiples)
        is_rest = np.ones(self.period, np.bool_)
        is_rest[list(self.remainders)] = False
        sizes = np.maximum(np.bincount(multiple[is_rest], minlength=len(self.multiples)), 1)
        rows = np.array(self.rows_of_multiples) + (0 if self.moments else UNSEEN_ROWS / len(self.multiples))
        weights = (rows / sizes)[multiple]
        weights[list(self.remainders)] = np.array(self.rows) + (UNSEEN_ROWS / self.period if self.moments else 0)
        return np.asarray(weights / np.mean(weights))

    @cached_property
    def _below(self) -> Floats:
        """Sum of the weights below each remainder, and at the end that of all."""
        return np.concatenate(([0.0], np.cumsum(self._weights)))

    @property
    def share_between(self) -> float:
        """Share of the rows that lie on no step."""
        return self.rows_between / max(sum((*self.rows, *self.rows_of_multiples, self.rows_between)), 1)

    def weight(self, low: Floats, high: Floats) -> Floats:
        """Mean weight of the steps from low numbers to high ones."""
        first, start = self._split(low)
        last, stop = self._split(high)
        weight = (last - first) * self._below[-1] + self._sum_below(stop) - self._sum_below(start)
        steps = np.maximum((last - first) * self.period + stop - start, np.finfo(float).tiny)
        return np.asarray(self.share_between + (1 - self.share_between) * np.maximum(weight, 0) / steps)

    def share_below(self, numbers: Floats, low: Floats, high: Floats) -> Floats:
        """Share of the pieces from `low` to `high` that lies below numbers."""
        shares = (numbers - low) / (high - low)
        weight, of_piece = self.weight(low, numbers), self.weight(low, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(of_piece > 0, np.clip(shares * weight / of_piece, 0, 1), shares)

    def placing(self, low: Floats, high: Floats, engine: Engine) -> Callable[[Floats, Ints], Floats]:
        """Return what puts numbers that lie evenly in their pieces on steps, as often on each as its weight says.

        It takes the numbers, and the piece of each. A number goes to the step below which lies the share of its piece's
        weight that the number's place in the piece is of its width. As many as `share_between` says stay.

        Parameters
        ----------
        low, high : ndarray of shape (pieces,)
            Ends of the pieces.
        engine : Engine
            Engine that finds steps.
        """
        first, start = self._split(low)
        last, stop = self._split(high)
        begin, period_weight = self._sum_below(start), self._below[-1]
        weight = (last - first) * period_weight + self._sum_below(stop) - begin
        width, remainder_of = high - low, start_finder(self._below, engine)

        def place(numbers: Floats, pieces: Ints) -> Floats:
            target = begin[pieces] + (numbers - low[pieces]) / width[pieces] * weight[pieces]
            periods = np.floor(target / period_weight)
            remainders = np.clip(remainder_of(target - periods * period_weight), 0, self.period - 1)
            steps = (first[pieces] + periods) * self.period + remainders - self.base % self.period
            if self.moments == "YYYYMMDD":
                steps -= _are_missing_leap_days((steps + self.base) * self.step) / self.step
            if not self.rows_between:
                return self.on_step(steps * self.step)
            stays = mixed(numbers.view(np.uint64), 0) * 2.0**-64 < self.share_between
            return np.where(stays, numbers, self.on_step(steps * self.step))

        return place

    def on_step(self, numbers: Floats) -> Floats:
        """The nearest steps, as the floats that their decimal digits stand for."""
        steps, parts = np.rint(numbers / self.step), np.rint(1 / self.step)
        # 45099 / 100 is nearer to 450.99 than 45099 * 0.01.
        return np.asarray(steps / parts if parts * self.step == 1 else steps * self.step)

    def _split(self, numbers: Floats) -> tuple[Floats, Floats]:
        """Whole periods below numbers, and the steps beyond them; each step reaches half a step down and up."""
        steps = numbers / self.step + 0.5 + self.base % self.period
        periods = np.floor(steps / self.period)
        return periods, np.clip(steps - periods * self.period, 0, self.period)

    def _sum_below(self, steps: Floats) -> Floats:
        """Sum of the weights below steps, which may be fractions, of a period."""
        whole_steps = np.minimum(steps.astype(np.int64), self.period - 1)
        return np.asarray(self._below[whole_steps] + (steps - whole_steps) * self._weights[whole_steps])


def _are_missing_leap_days(dates: Floats) -> NDArray[np.bool_]:
    """Mask of the 29th of February of other years, as YYYYMMDD."""
    year = dates // 10_000
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return np.asarray((dates % 10_000 == 229) & ~is_leap)


def _moments_in(values: Ints) -> Moments | None:
    """How different whole numbers are written, if all of them are dates, months or times; see `MOMENTS`."""
    if not len(values) or values[0] < 0 or values[-1] >= 10**8:
        return None
    for name, (least, _) in MOMENTS.items():
        parts = np.array([values // 10 ** (len(name) - 2 * part - 2) % 100 for part in range(1, len(name) // 2)])
        first = values // 10 ** (2 * len(parts))
        if name.startswith("Y"):
            first, parts = values // 10 ** (len(name) - 4), parts[1:]
            fits = (first >= FIRST_YEAR) & (first <= LAST_YEAR) & (parts[0] >= 1) & (parts[0] <= 12)
            if len(parts) > 1:
                fits &= (parts[1] >= 1) & (parts[1] <= np.array(DAYS)[np.clip(parts[0], 1, 12)])
                fits &= ~_are_missing_leap_days(values.astype(np.float64))
        else:
            fits = (first < 24) & np.all(parts < 60, axis=0) | (first == 24) & np.all(parts == 0, axis=0)
            fits &= len(np.unique(first)) >= LEAST_HOURS
        if len(values) >= least and fits.all():
            return name
    return None


def _forms_of_moments(name: Moments, steps: Ints, persons: Persons, step: int, base: int) -> Forms | None:
    """Forms of dates, months or times, with the rows of each day of a month, month, minute or second."""
    remainders = np.array(MOMENTS[name][1])
    period = 10_000 if remainders[-1] > 100 else 100
    if period % step:
        return None
    remainders = remainders[remainders % step == 0]
    values, rows = _evened(steps, persons)
    # The last two digits say which day, month, minute or second it is.
    rows_of_endings = np.bincount(values * step % 100, rows, 100).astype(np.int64)
    rows_of_remainders = tuple(rows_of_endings[remainders % 100].tolist())
    in_steps = tuple((remainders // step).tolist())
    return Forms(float(step), base, period // step, (1,), (0,), in_steps, rows_of_remainders, 0, name)


def _greatest_multiple(remainders: Ints, multiples: tuple[int, ...]) -> Ints:
    """Place of the greatest of the multiples that divides each remainder; the first multiple is 1."""
    places = np.zeros(len(remainders), np.int64)
    for place, multiple in enumerate(multiples):
        places[remainders % multiple == 0] = place
    return places


def forms_of(
    numbers: Floats, persons: Persons, are_rare: NDArray[np.bool_], step: float, base: int, precision: Any | None
) -> Forms | None:
    """Forms of a column, None where no step comes more often than others.

    Parameters
    ----------
    numbers : ndarray of shape (rows,)
        Numbers of a sample.
    persons : Persons
        Whose the rows of the sample are: a remainder that is counted needs several.
    are_rare : ndarray of shape (rows,), bool
        Whether their values are not drawn by their counts: these numbers are drawn in the forms.
    step : float
        Distance of neighbouring values; 0 where they may lie anywhere.
    base : int
        Value of the number 0, a multiple of the step.
    precision : type, optional
        Floating-point type of the values, or of whole numbers any; None for others.
    """
    lattice, is_on = _lattice_of(numbers, step, None if base or not are_rare.any() else precision)
    if not lattice:
        return None
    origin = base // int(lattice) if base else 0
    steps_of_rows = np.rint(numbers / lattice)
    is_on = is_on & (np.abs(steps_of_rows) < LARGEST)
    shift = origin if abs(origin) < LARGEST else origin % math.lcm(*_periods(LONGEST_PERIOD))
    steps, persons = steps_of_rows[is_on].astype(np.int64) + shift, persons.at(is_on)
    if lattice >= 1 and precision is not None:
        name = _moments_in(distinct_values(steps * int(lattice))[0])
        moments = None if name is None else _forms_of_moments(name, steps, persons, int(lattice), origin)
        if moments is not None:  # also where no number is rare: what lies between others is none of the rest
            return moments
    rows_on = int(np.count_nonzero(are_rare[is_on]))
    if rows_on < max(LEAST_KEYS, LEAST_SHARE * np.count_nonzero(are_rare)):
        return None
    period = _best_period(steps, persons)
    if period is None and lattice == step:
        return None
    remainders = _Remainders.of(_Steps.of(steps, persons), period or 1)
    # Rows between steps are counted among the rare values alone, but remainders by all rows.
    rows_between = np.count_nonzero(~is_on & are_rare) * remainders.all_rows // rows_on
    return remainders.forms(lattice, origin, int(rows_between))


def _lattice_of(numbers: Floats, step: float, precision: Any | None) -> tuple[float, NDArray[np.bool_]]:
    """Distance of the steps on which most numbers lie, and a mask of these; 0 where there is none.

    It is that of the column's values, or a power of ten where most numbers have few decimal places.
    """
    if precision is not None and step < 1:
        places, on_places = _decimal_places(numbers, precision)
        if on_places.any() and (not step or FAR * step <= 10.0**-places):
            return 10.0**-places, on_places
    return step, np.ones(len(numbers), np.bool_)


def _best_period(steps: Ints, persons: Persons) -> int | None:
    """The period by which the rows of remainders gain most; None where none gains."""
    every_few = slice(None, None, -(-len(steps) // TRIED_ROWS))
    few = _Steps.of(steps[every_few], persons.at(every_few))
    low, high = np.quantile(steps, [0.1, 0.9])
    trials = [_Remainders.of(few, period) for period in _periods((high - low) / PERIODS)]
    best = max(trials, key=lambda trial: trial.gain, default=None)
    return best.period if best is not None and best.gain > 0 else None


def _evened(steps: Ints, persons: Persons) -> tuple[Ints, Ints]:
    """Different steps and their rows, without what a few values or persons add.

    The most frequent steps have as many rows as the next one; steps that few persons have, as many as these.
    """
    distinct, rows = distinct_values(steps)
    if persons.keys:
        rows = persons.weights(np.searchsorted(distinct, steps), len(distinct))
    return distinct, np.minimum(rows, np.sort(rows)[-LEAST_VALUES:][0])


def _decimal_places(numbers: Floats, precision: Any) -> tuple[int, NDArray[np.bool_]]:
    """Decimal places that most numbers have, with as few places as possible; and which numbers have no more.

    Where the largest number has hardly any digits behind the point, none has.
    """
    with np.errstate(over="ignore"):  # of the largest float
        spacing = float(np.spacing(precision(np.max(np.abs(numbers)))))
    masks = [
        np.abs(np.rint(numbers * 10.0**places) / 10.0**places - numbers) <= DUST * spacing
        for places in range(MOST_PLACES + 1)
        if 10.0**-places >= DUSTY * DUST * spacing
    ] or [np.zeros(len(numbers), np.bool_)]
    digits = [np.count_nonzero(mask) * (DIGITS - places) for places, mask in enumerate(masks)]
    places = int(np.argmax(digits))
    return places, masks[places]


def _periods(longest: float) -> Iterator[int]:
    """Periods that are tried, ascending."""
    powers = [multiple * 10**power for multiple in MULTIPLES for power in range(6)]
    yield from sorted(period for period in {*powers, *CLOCK} if 1 < period <= min(longest, LONGEST_PERIOD))


def _multiples_in(period: int) -> tuple[int, ...]:
    """Round numbers that divide a period, each a multiple of the one before."""
    multiples = [1]
    for number in sorted({*ROUND, *CLOCK, period}):
        if period % number == 0 and number % multiples[-1] == 0 and number > multiples[-1]:
            multiples.append(number)
    return tuple(multiples)


def _with_values(multiples: tuple[int, ...], remainders: Ints, values: Ints) -> tuple[int, ...]:
    """The round numbers that divide several different values which the next round number does not divide."""
    while len(multiples) > 1:
        counts = np.bincount(_greatest_multiple(remainders, multiples), values, len(multiples))
        rare = np.flatnonzero((counts < LEAST_VALUES) & (counts > 0) & (np.arange(len(counts)) > 0))
        if not len(rare):
            break
        multiples = (*multiples[: rare[0]], *multiples[rare[0] + 1 :])
    return multiples


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps of the rows of a sample.

    Parameters
    ----------
    every : ndarray of shape (rows,), int64
        The step of each row.
    persons : Persons
        Whose the rows are.
    distinct, rows : ndarray of shape (steps,), int64
        The different steps, and their rows as `_evened` has them.
    """

    every: Ints
    persons: Persons
    distinct: Ints
    rows: Ints

    @classmethod
    def of(cls, steps: Ints, persons: Persons) -> _Steps:
        """Steps of rows, of which at least one is there."""
        return cls(steps, persons, *_evened(steps, persons))

    def are_shared(self, remainders: Ints, period: int) -> NDArray[np.bool_]:
        """Mask of the remainders by a period, ascending, that several persons have."""
        if not self.persons.keys:
            return np.ones(len(remainders), np.bool_)
        place = np.searchsorted(remainders, self.every % period)
        return self.persons.counts(place, len(remainders)) >= LEAST_KEYS


@dataclass(frozen=True, slots=True)
class _Remainders:
    """Frequent remainders of steps by a period, and what their counts gain.

    Parameters
    ----------
    gain : float
        Log-likelihood of the rows, in nats, beyond that of even remainders, less what the choice costs.
    period : int
        The period.
    multiples : tuple of int
        Round numbers that divide it, each one of the next.
    remainders, rows : ndarray of shape (remainders,), int64
        The frequent ones, and their rows.
    rows_of_multiples : ndarray of shape (multiples,), int64
        Rows of all others, by the greatest round number that divides them.
    """

    gain: float
    period: int
    multiples: tuple[int, ...]
    remainders: Ints
    rows: Ints
    rows_of_multiples: Ints

    @classmethod
    def of(cls, steps: _Steps, period: int) -> _Remainders:
        """Remainders with far more rows than others of their multiple, in several values of several persons."""
        distinct, place = np.unique(steps.distinct % period, return_inverse=True)
        counts, values = np.bincount(place, steps.rows).astype(np.int64), np.bincount(place)
        multiples, rows = _multiples_in(period), int(np.sum(steps.rows))
        multiples = _with_values(multiples, distinct, values)
        of_distinct = _greatest_multiple(distinct, multiples)
        sizes = np.array([period // multiple for multiple in multiples])
        sizes = sizes - np.append(sizes[1:], 0)
        is_frequent, cost = np.zeros(len(counts), np.bool_), np.log(period) + np.log(rows) / 2
        may_be_frequent = (counts >= LEAST_KEYS) & (values >= LEAST_VALUES) & steps.are_shared(distinct, period)
        for _ in range(3):  # until counts of the others are without the frequent ones
            rest = np.bincount(of_distinct, counts * ~is_frequent, len(multiples))
            number = np.bincount(of_distinct, is_frequent, len(multiples))
            expected = ((rest + UNSEEN_ROWS) / np.maximum(sizes - number, 1))[of_distinct]
            gains = counts * np.log(counts / expected) - (counts - expected) - cost
            gains = np.where(may_be_frequent & (counts > OFTEN * expected), gains, 0.0)
            is_frequent = gains > max(np.sort(gains)[-MOST_REMAINDERS - 1 : -MOST_REMAINDERS].max(initial=0.0), 0.0)
        rest = np.bincount(of_distinct, counts * ~is_frequent, len(multiples))
        room = np.maximum(sizes - np.bincount(of_distinct, is_frequent, len(multiples)), 1)
        frequent = counts[is_frequent]
        likelihood = np.sum(xlogy(frequent, frequent / rows)) + np.sum(xlogy(rest, rest / rows / room))
        cost = cost * len(frequent) + np.count_nonzero(rest) * np.log(rows) / 2 + CHOICE
        gain = float(likelihood + rows * np.log(period) - cost)
        return cls(gain, period, multiples, distinct[is_frequent], frequent, rest.astype(np.int64))

    @property
    def all_rows(self) -> int:
        """Rows of all remainders."""
        return int(np.sum(self.rows) + np.sum(self.rows_of_multiples))

    def forms(self, step: float, base: int, rows_between: int) -> Forms:
        """The remainders as forms of a column."""
        of_multiples, remainders, rows = (
            tuple(part.tolist()) for part in (self.rows_of_multiples, self.remainders, self.rows)
        )
        return Forms(step, base, self.period, self.multiples, of_multiples, remainders, rows, rows_between)
