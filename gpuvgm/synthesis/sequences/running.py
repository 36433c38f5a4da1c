"""Numbers that run on: that of the row before, and others of their row that are added or taken off."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.errors import InferenceWarning, warn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.handing import HandedOver
from gpuvgm.synthesis.sequences.names import PLACE, before, since, within
from gpuvgm.synthesis.sequences.periods import LEAST_STEPS, MOSTLY, Period, Restarts
from gpuvgm.synthesis.sequences.rows import KeyRows

LEAST_NUMBERS = 10  # different ones
LEAST_KEYS = 20  # of several rows, that show numbers of lines
PROBED = 256  # rows that pairs of columns are tried on first
NEAR = 1e-9  # of the largest number, by which sums may differ


@dataclass(frozen=True, slots=True)
class RunningNumber:
    """A number that is the one of the row before and one or two others of its row, such as a balance.

    Parameters
    ----------
    column : str
        The column.
    added, taken_off : tuple of str
        Columns that are added to it, and that are taken off.
    start : str, optional
        What is before the first row: a column of keys, such as the sum that is lent; 0 where it is empty.
    period : Period, optional
        Where it is another one than that of the row before, the number begins at 0 again.
    base : str
        Column of its row that it goes on from, such as an opening balance; by default its own one of the row before.
    is_used_up : bool
        Whether it is 0 in all last rows, as what is left to pay is, by its one column that is added or taken off.
    """

    column: str
    added: tuple[str, ...]
    taken_off: tuple[str, ...]
    start: str | None = None
    period: Period | None = None
    base: str = ""
    is_used_up: bool = False

    def __str__(self) -> str:
        added, taken_off = (f" + {name}" for name in self.added), (f" - {name}" for name in self.taken_off)
        return f"{self.former}{''.join(added)}{''.join(taken_off)} = {self.column}"

    @property
    def former(self) -> str:
        """Name of the number that it goes on from."""
        if self.period:
            return within(before(self.column), str(self.period))
        return self.base or before(self.column)

    @property
    def terms(self) -> tuple[str, ...]:
        """Columns that are added to it, or taken off."""
        return (*self.added, *self.taken_off)

    @property
    def has_step(self) -> bool:
        """Whether one is added and one taken off, so that the step is a column of its own."""
        return bool(self.added and self.taken_off)

    @property
    def laws(self) -> tuple[str, ...]:
        """Laws of the row by which it is computed."""
        if not self.has_step:
            return (str(self),)
        step = since(self.column)
        return f"{self.added[0]} - {self.taken_off[0]} = {step}", f"{self.former} + {step} = {self.column}"

    def steps(self, amounts: Mapping[str, Floats], rows: Ints) -> Floats:
        """What is added, less what is taken off, in some rows."""
        steps: Floats = np.zeros(len(rows))
        for name in self.added:
            steps += amounts[name][rows]
        for name in self.taken_off:
            steps -= amounts[name][rows]
        return steps


@dataclass(frozen=True, slots=True)
class RowNumbers:
    """Columns of numbers, which may go on from row to row of a key.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    amounts : mapping of str to ndarray of shape (rows,)
        The columns, NaN where numbers are missing.
    columns : mapping of str to FittedColumn
        These and all others, as they are fitted.
    periods : sequence of Period
        With which numbers may begin anew.
    of_keys : mapping of str to ndarray of shape (keys,)
        Columns of numbers of the keys, with which those of rows may begin.
    handed_over : sequence of HandedOver
        Columns with what the row before ends with.
    """

    rows: KeyRows
    amounts: Mapping[str, Floats]
    columns: Mapping[str, FittedColumn]
    periods: Sequence[Period]
    of_keys: Mapping[str, Floats] = field(default_factory=dict)
    handed_over: Sequence[HandedOver] = ()

    def running(self, targets: Sequence[str]) -> dict[str, RunningNumber]:
        """Numbers that run on in all rows, by column, with a warning of those that do so in nearly all.

        Parameters
        ----------
        targets : sequence of str
            Columns that may run on; others, of few different numbers, are only added. None is handed over.
        """
        found: dict[str, RunningNumber] = {}
        taken_over = [handed.column for handed in self.handed_over]
        openings = {handed.former: handed.column for handed in self.handed_over if not handed.step}
        for name in filter(self.amounts.__contains__, targets):
            possible = self._running_number(name, [*found, *taken_over])
            if possible is None:
                continue
            number, restarts, broken = possible
            if len(broken):
                row, known = int(self.rows.order[broken[0]]), np.count_nonzero(restarts.are_known)
                warn(
                    f'"{number}" holds in all rows but {len(broken):,} of {known:,}, such as row {row:,}, so that '
                    "samples do not keep it: mend these rows, or leave their keys out",
                    InferenceWarning,
                )
            else:
                found[name] = self._opened(number, openings[name]) if openings.get(name) in self.amounts else number
        return found

    def _opened(self, number: RunningNumber, opening: str) -> RunningNumber:
        """The same number, going on from what its row begins with, if it does so in first rows as well."""
        starts = self.rows.starts
        first = self.amounts[opening][starts] + number.steps(self.amounts, starts) - self.amounts[number.column][starts]
        are_near = np.abs(first) <= NEAR * float(np.nanmax(np.abs(self.amounts[number.column])))
        return replace(number, base=opening, start=None) if np.all(are_near | np.isnan(first)) else number

    def numbering(self) -> Iterator[tuple[str, str, Period | None]]:
        """Yield numbers of lines or visits, the law by which the place of a row makes each, and within which period."""
        for name in self.amounts:
            law, period = self._numbering(name, is_number=isinstance(self.columns[name], NumericColumn))
            if law:
                yield name, law, period

    def counters(self) -> Iterator[str]:
        """Yield numbers of few different values that begin anew: as categories, samples could have no more of them."""
        for name in self.amounts:
            if isinstance(self.columns[name], CategoricalColumn) and (
                self._numbering(name, is_number=True)[1] or self._begins_at_zero_again(name)
            ):
                yield name

    def _begins_at_zero_again(self, name: str) -> bool:
        """Whether a number is that of the row before and another one of its row, within periods alone."""
        possible = self._running_number(name, most=1)
        return possible is not None and possible[0].period is not None and not len(possible[2])

    def _numbering(self, name: str, *, is_number: bool) -> tuple[str, Period | None]:
        """The law by which places make a number, empty for none, and the period within which they are counted."""
        rows, numbers = self.rows, self.amounts[name]
        if np.count_nonzero(rows.counts > 1) < LEAST_KEYS:
            return "", None
        law = _law_of_places(rows.places + 1, PLACE, name, numbers, is_number=is_number)
        period = None if law else self._period_of_places(name)
        if period is not None:
            places = period.places(rows, self.columns[period.column])
            law = _law_of_places(places, within(PLACE, str(period)), name, numbers, is_number=is_number)
        return law, period if law else None

    def _period_of_places(self, name: str) -> Period | None:
        """With which a number begins as in first rows, where in all others it is that of the row before and a step."""
        rows, numbers = self.rows, self.amounts[name]
        steps, begins = np.diff(numbers, prepend=np.nan), numbers == numbers[0]
        goes_on = steps == steps[np.argmax(~rows.are_first & ~begins)]
        period, broken = self._period(Restarts(rows, goes_on, begins, ~rows.are_first), [name])
        return None if len(broken) else period

    def _period(self, restarts: Restarts, others: Collection[str]) -> tuple[Period | None, Ints]:
        """See `Restarts.period`; of other columns than some."""
        return restarts.period((period for period in self.periods if period.column not in others), self.columns)

    def _running_number(
        self, name: str, others: Sequence[str] = (), most: int = 2
    ) -> tuple[RunningNumber, Restarts, Ints] | None:
        """How a number runs on in nearly all rows, and the rows that do not; by so many columns at most.

        `others` run on themselves, and may be no part of it.
        """
        rows, amounts, numbers = self.rows, self.amounts, self.amounts[name]
        after = np.flatnonzero(~rows.are_first)
        steps = numbers[after] - numbers[after - 1]
        changes = np.flatnonzero(np.isfinite(steps) & (steps != 0))
        if len(changes) < LEAST_STEPS or len(np.unique(numbers[np.isfinite(numbers)])) < LEAST_NUMBERS:
            return None
        probe = changes[:PROBED]  # of many pairs of columns, few rows refute nearly all
        near = NEAR * float(np.nanmax(np.abs(numbers)))
        tried = [other for other in amounts if other not in (name, *others) and np.any(amounts[other][after])]
        steps_of_probe, numbers_of_probe = steps[probe], numbers[after[probe]]
        possible = list[tuple[RunningNumber, Restarts]]()
        for terms in _terms(tried, most):
            number = RunningNumber(name, *terms)
            own_steps = number.steps(amounts, after[probe])
            goes_on, begins = (np.abs(each - own_steps) <= near for each in (steps_of_probe, numbers_of_probe))
            if np.mean(goes_on | begins) >= MOSTLY:
                restarts = self._restarts(number, near)
                possible.append((number, restarts))
                if restarts.are_few(restarts.broken()):
                    possible = possible[-1:]
                    break
        for number, restarts in possible:
            period, broken = self._period(restarts, [name, *others])
            if restarts.are_few(broken):
                found = replace(
                    number,
                    start=self._start(number, near),
                    period=period,
                    is_used_up=period is None and self._is_used_up(number, near),
                )
                return found, restarts, broken
        return None

    def _restarts(self, number: RunningNumber, near: float) -> Restarts:
        """Where a number is that of the row before and what is added since, or what is added alone."""
        rows, numbers = self.rows, self.amounts[number.column]
        own_steps = number.steps(self.amounts, np.arange(len(numbers)))
        off = np.abs(np.diff(numbers, prepend=np.nan) - own_steps)
        return Restarts(rows, off <= near, np.abs(numbers - own_steps) <= near, np.isfinite(off) & ~rows.are_first)

    def _start(self, number: RunningNumber, near: float) -> str | None:
        """What is before the first rows: 0, a column of keys, or neither."""
        starts = self.rows.starts
        first = self.amounts[number.column][starts] - number.steps(self.amounts, starts)
        known = np.isfinite(first)
        type_ = self.columns[number.column].decoded_type
        can_hold = (
            name for name in self.of_keys if self.columns[name].decoded_type == type_ or pa.types.is_floating(type_)
        )
        starting = {"": np.zeros(len(first)), **{name: self.of_keys[name] for name in can_hold}}
        possible = (name for name, of_keys in starting.items() if np.all(np.abs(first - of_keys)[known] <= near))
        return next(possible, None) if known.any() else None

    def _is_used_up(self, number: RunningNumber, near: float) -> bool:
        """Whether a number that one column changes is 0 in all last rows."""
        last = self.amounts[number.column][self.rows.starts + self.rows.counts - 1]
        has_one = len(number.terms) == 1
        return has_one and len(last) >= LEAST_KEYS and bool(np.all(np.abs(last) <= near))


def _law_of_places(places: Ints, of_place: str, name: str, amounts: Floats, *, is_number: bool) -> str:
    """The law by which the place of a row makes a number in it, as those of lines; empty where it does not.

    Parameters
    ----------
    places : ndarray of shape (rows,), int64
        Places, from 1 on.
    of_place : str
        The column that they are in.
    name : str
        The column.
    amounts : ndarray of shape (rows,)
        Its numbers, NaN where they are missing.
    is_number : bool
        Whether it is modelled as numbers, not as categories, which can but be the place itself.
    """
    row = int(np.argmax(places > 1))
    step = amounts[row] - amounts[row - 1]
    before_first = amounts[row] - step * places[row]
    if not (step and step % 1 == 0 and before_first % 1 == 0 and np.all(step * places + before_first == amounts)):
        return ""
    if (step, before_first) == (1, 0):
        return f"{of_place} = {name}"
    sign = "-" if before_first < 0 else "+"
    return f"{step:.0f} * {of_place} {sign} {abs(before_first):.0f} = {name}" if is_number else ""


def _terms(names: list[str], most: int) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Columns that may be added, and taken off: one, or two."""
    for name in names:
        yield (name,), ()
        yield (), (name,)
    for first, second in combinations(names, 2) if most > 1 else ():
        yield (first, second), ()
        yield (first,), (second,)
        yield (second,), (first,)
        yield (), (first, second)
