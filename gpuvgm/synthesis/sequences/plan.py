"""What of a table belongs to its keys, and what a row asks of the row before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.io import is_datetime_type, is_number_type, taken
from gpuvgm.laws import Laws, LawSample
from gpuvgm.rules import finite
from gpuvgm.summary import Floats
from gpuvgm.synthesis.sequences.balance import BalancedSum
from gpuvgm.synthesis.sequences.handing import HandedOver
from gpuvgm.synthesis.sequences.names import (
    COUNT,
    HAS_KEY,
    PLACE,
    REMAINING,
    after,
    before,
    pace,
    since,
    span,
)
from gpuvgm.synthesis.sequences.occurrences import Occurrence, occurrences_of
from gpuvgm.synthesis.sequences.periods import CarryOver, Period, periods_of
from gpuvgm.synthesis.sequences.recency import Recency, recencies_of
from gpuvgm.synthesis.sequences.rising import Rise, rises, rises_of_keys
from gpuvgm.synthesis.sequences.rows import KeyRows, amounts_of, codes_of
from gpuvgm.synthesis.sequences.running import LEAST_NUMBERS, RowNumbers, RunningNumber
from gpuvgm.synthesis.sequences.usual import UsualValue, variance_of_spans

LEAST_CONSTANT = 0.98  # of the keys of several rows, that have one value of a constant column
LEAST_CORRELATION = 0.9  # of ranks of such a number and of that of the row before
LEAST_SPREAD = 20  # times the least number is the largest, of positive numbers whose ratios are drawn
LEAST_GROWTH = 0.2  # rank correlation of numbers and of how much they change, of those whose ratios are alike
MOST_COUNTED = 1000  # whole numbers below it are counted by differences, however far they spread
LAW_ROWS = 20_000  # that show which laws numbers of rows have
#: Of the variance of spans beside that which independent steps would have: most where rows have a pace, and least where
#: the mean of its steps is of a key.
MOST_VARIANCE, LEAST_VARIANCE = 1.5, 2.0
LEAST_REPEATS = 30  # within keys, expected by chance, of a column that has none


@dataclass(frozen=True, slots=True)
class SequencePlan:
    """Which columns are of keys, and which of rows.

    Parameters
    ----------
    key : str
        The column of the keys.
    index : str
        The column by which the rows of a key are in order; "" where they are in the order of the source.
    constants : tuple of str
        Columns with one value for each key.
    varying : tuple of str
        All further columns.
    asked : tuple of str
        Varying columns that are modelled.
    differences, ratios : tuple of str
        Numbers that are counted since the row before.
    running : tuple of RunningNumber
        Numbers that are the one of the row before and others of their row, such as balances.
    distinct : tuple of str
        Columns of which no key has a value twice.
    rising : tuple of Rise
        Columns of which no value is below one of the row before.
    usual : tuple of UsualValue
        Columns of which something is usual for each key.
    occurrences : tuple of Occurrence
        Categories of which rows ask whether a row before had them.
    recencies : tuple of Recency
        Columns of categories that come back within a key.
    lacks_keys : bool
        Whether some rows have no key, each of which is a key of one row.
    given : tuple of str
        Columns of keys that are not drawn, as those of a parent table are.
    numbering : mapping of str to str
        By number of lines, such as 1, 2, 3 or 10, 20, 30 in each key, the law by which its place makes it.
    place_periods : tuple of Period
        Within which some of them begin anew.
    above : tuple of str
        Columns of keys above the key, such as the customer of an order, whose the rows are as well.
    first_steps : mapping of str to float
        By number that is counted since the row before, what stands for the step of first rows, which have none.
    forgotten : tuple of str
        Modelled columns of which rows do not ask what the row before has, since it tells nothing.
    is_paced : bool
        Whether keys know the index of their last row, and rows how long the steps up to it would be if all were even.
    handed_over : tuple of HandedOver
        Columns with what another one has in the row before.
    balanced : tuple of BalancedSum
        Columns whose sums over the rows of a key are equal, or 0.
    """

    key: str
    index: str
    constants: tuple[str, ...]
    varying: tuple[str, ...]
    asked: tuple[str, ...]
    differences: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ()
    running: tuple[RunningNumber, ...] = ()
    distinct: tuple[str, ...] = ()
    rising: tuple[Rise, ...] = ()
    usual: tuple[UsualValue, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    recencies: tuple[Recency, ...] = ()
    lacks_keys: bool = False
    given: tuple[str, ...] = ()
    numbering: Mapping[str, str] = field(default_factory=dict)
    place_periods: tuple[Period, ...] = ()
    above: tuple[str, ...] = ()
    first_steps: Mapping[str, Annotated[float, finite]] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()
    is_paced: bool = False
    handed_over: tuple[HandedOver, ...] = ()
    balanced: tuple[BalancedSum, ...] = ()

    @property
    def taken_over(self) -> tuple[str, ...]:
        """Columns that are known once the row before is."""
        return tuple(handed.column for handed in self.handed_over)

    @property
    def passed_on(self) -> frozenset[str]:
        """Columns on which the next row depends by a law."""
        of_running = (number.column for number in self.running)
        return frozenset((*of_running, *(handed.former for handed in self.handed_over)))

    @property
    def remembered(self) -> tuple[str, ...]:
        """Columns of which rows ask what the row before has."""
        return tuple(name for name in self.asked if name not in self.forgotten)

    @property
    def moving(self) -> tuple[str, ...]:
        """Numbers that are counted since the row before."""
        return (*self.differences, *self.ratios)

    @property
    def stepping(self) -> tuple[str, ...]:
        """Numbers of whose steps there is a column."""
        return (*self.moving, *(number.column for number in self.running if number.has_step))

    @property
    def starts(self) -> dict[str, str]:
        """Numbers of which it is known what is before the first row: 0 where it is empty, or a column of keys."""
        return {number.column: number.start for number in self.running if number.start is not None}

    @property
    def drawn(self) -> frozenset[str]:
        """Columns of the table of rows that are drawn: all but the key, and what is known of it and the row before."""
        return frozenset((*self.varying, *self.made_of_rows))

    @property
    def made_of_rows(self) -> tuple[str, ...]:
        """Columns that are drawn, and that the table lacks: steps, what is carried over, and which values come back."""
        recalled = (name for recency in self.recencies for name in recency.drawn)
        return (*map(since, self.stepping), *(one.name for one in self.carry_overs), *recalled)

    @property
    def carry_overs(self) -> tuple[CarryOver, ...]:
        """Columns of what rows take over from the row before if both are of one period."""
        numbers = (CarryOver(before(number.column), number.period, 0) for number in self.running if number.period)
        return (*numbers, *map(CarryOver.of_places, self.place_periods))

    @property
    def laws(self) -> tuple[str, ...]:
        """Laws by which numbers are made of the row before and what is drawn since."""
        sums = (f"{before(name)} + {since(name)} = {name}" for name in self.differences)
        products = (f"{before(name)} * {since(name)} = {name}" for name in self.ratios)
        running = (law for number in self.running for law in number.laws)
        carried = (carry_over.law for carry_over in self.carry_overs)
        return (*sums, *products, *carried, *running, *self.numbering.values())

    @property
    def places(self) -> tuple[str, ...]:
        """Columns of the places of rows within periods."""
        return tuple(CarryOver.of_places(period).name for period in self.place_periods)

    def certain(self, rows: Callable[[str], Any]) -> dict[str, NDArray[np.bool_]]:
        """Which rows of the table of rows have a certain value, by column, once it is known what comes back."""
        masks = (recency.certain(rows(recency.name)) for recency in self.recencies)
        return {name: mask for of_column in masks for name, mask in of_column.items()}

    @property
    def reserved(self) -> frozenset[str]:
        """Names of columns that are made, which none of the table may have."""
        names = (make(name) for make in (before, since) for name in self.varying)
        return frozenset((COUNT, PLACE, REMAINING, HAS_KEY, *names, *self.known, *self.made_of_rows))

    def without_computed_steps(self, rows: KeyRows, columns: Mapping[str, FittedColumn]) -> SequencePlan:
        """The plan in which no number has a step that a law of its rows can only compute."""
        moving = {*self.moving} - {self.index}
        if not moving:
            return self
        few_rows, names = rows.first(LAW_ROWS), [name for name in self.constants if columns[name].is_encoded]
        modelled = {name: columns[name] for name in (*names, *self.asked)}
        # Interest is a share of what is owed before, also in first rows.
        former = {before(name): few_rows.before(name, start) for name, start in self.starts.items()}
        modelled |= {before(name): columns[name] for name in self.starts}
        sample = LawSample(modelled, lambda name: former[name] if name in former else few_rows.column(name))
        found = Laws.find(sample, allows=lambda name, _: name not in former)
        laws = [law for law in found if law.decides and not law.rounds]
        targets = {law.target for law in laws}
        computed = {
            law.target for law in laws if {form.target for form in law.computing_forms(sample)} - targets <= moving
        }
        differences, ratios = (
            tuple(name for name in names if name not in computed) for names in (self.differences, self.ratios)
        )
        return replace(self, differences=differences, ratios=ratios)

    @property
    def known(self) -> tuple[str, ...]:
        """Columns of what is usual for a key, and of what has been in its rows before."""
        usual, occurrences = (tuple(column.name for column in columns) for columns in (self.usual, self.occurrences))
        pace_of_index = (span(self.index), pace(self.index)) if self.is_paced else ()
        places = map(after, self.places)
        return (*usual, *occurrences, *(recency.variety for recency in self.recencies), *pace_of_index, *places)


def plan_of(
    rows: KeyRows,
    key: str,
    index: str | None,
    columns: Mapping[str, FittedColumn],
    given: Sequence[str] = (),
    forgotten: Sequence[str] = (),
) -> SequencePlan:
    """The plan of a table, by a sample of its keys.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    key, index : str
        Columns of keys, and of the order of their rows.
    columns : mapping of str to FittedColumn
        The fitted columns.
    given : sequence of str
        Columns of keys that are not drawn.
    forgotten : sequence of str
        Columns of which the row before tells nothing.
    """
    names = [name for name in rows.table.schema.names if name != key]
    constants = tuple(name for name in names if name in given or (name != index and is_constant(rows, name)))
    varying = tuple(name for name in names if name not in constants)
    asked = [name for name in varying if name in columns and columns[name].is_encoded]
    numbers = {name: column for name in asked if isinstance(column := columns[name], NumericColumn)}
    amounts = {name: amounts_of(columns[name], rows.column(name)) for name in asked if _adds_up(columns[name])}
    of_keys = {
        name: amounts_of(columns[name], taken(rows.column(name), rows.starts))
        for name in constants
        if name in columns and columns[name].is_encoded and _adds_up(columns[name])
    }
    periods = periods_of({name: columns[name] for name in asked}, index)
    handed_over = tuple(HandedOver.each(rows, columns, asked))
    taken_over = [handed.column for handed in handed_over]
    of_rows = RowNumbers(rows, amounts, columns, periods, of_keys, handed_over)
    running = of_rows.running([name for name in numbers if name not in taken_over])
    not_running = tuple(period for period in of_rows.periods if period.column not in running)
    numbering = [*replace(of_rows, periods=not_running).numbering()]
    lines = {name: law for name, law, _ in numbering}
    of_lines = dict.fromkeys(period for *_, period in numbering if period is not None)
    free = [name for name in numbers if name in amounts and name not in (*lines, *taken_over)]
    moving = [name for name in free if _moves_little(rows, amounts[name], is_index=name == index)]
    ratios = tuple(name for name in moving if name not in (index, *running) and _has_ratios(rows, amounts[name]))
    differences = tuple(name for name in moving if name not in (*ratios, *running))
    of_running = (number.period for number in running.values())
    formers = (handed.former for handed in handed_over)
    with_periods = (period.column for period in (*of_running, *of_lines) if period is not None)
    needed = (index, *running, *formers, *moving, *with_periods)
    forgotten = tuple(name for name in asked if name in forgotten and name not in needed)
    told = [name for name in asked if name != index and name not in forgotten]
    usual = [UsualValue.of_rows(rows, columns[name]) for name in told]
    usual += [
        UsualValue.of_rows(rows, columns[name], "ratios" if name in ratios else "steps")
        for name in (*differences, *ratios)
        if name != index and variance_of_spans(rows, columns[name], are_ratios=name in ratios) >= LEAST_VARIANCE
    ]
    fixed = {*taken_over, *lines, *running, *(name for number in running.values() for name in number.terms)}
    distinct = tuple(name for name in asked if name not in taken_over and _is_distinct(rows, name))
    ordered = {name: columns[name] for name in asked if name in numbers or name in amounts}
    rising = (*rises(rows, ordered), *rises_of_keys(rows, numbers, constants, columns))
    # Where keys have a time that no row is after, rows know how much is left without a pace.
    has_end = any(rise.column in constants and rise.former == index for rise in rising)
    may_be_paced = index in numbers and index not in (*running, *lines, *taken_over) and not has_end
    is_paced = may_be_paced and variance_of_spans(rows, columns[str(index)]) < MOST_VARIANCE
    return SequencePlan(
        key,
        index or "",
        constants,
        varying,
        tuple(asked),
        differences,
        ratios,
        running=tuple(running.values()),
        distinct=distinct,
        rising=rising,
        usual=tuple(filter(None, usual)),
        occurrences=occurrences_of(rows, columns, told),
        recencies=recencies_of(rows, columns, [name for name in told if name not in (*distinct, *taken_over)]),
        lacks_keys=rows.column(key).null_count > 0,
        given=tuple(given),
        numbering=lines,
        place_periods=tuple(of_lines),
        forgotten=forgotten,
        is_paced=is_paced,
        handed_over=handed_over,
        balanced=tuple(BalancedSum.each(rows, {name: of for name, of in amounts.items() if name not in fixed})),
    )


def with_counters(
    rows: KeyRows, declared: Mapping[Any, Any], columns: Mapping[str, FittedColumn], index: str | None
) -> dict[Any, Any]:
    """Declared columns, and numbers of few values that begin anew with a period, which are counted as others are."""
    encoded = {name: column for name, column in columns.items() if column.is_encoded}
    amounts = {name: amounts_of(column, rows.column(name)) for name, column in encoded.items() if _adds_up(column)}
    numbers = RowNumbers(rows, amounts, encoded, periods_of(encoded, index))
    return {**dict.fromkeys(numbers.counters(), "continuous"), **declared}


def is_constant(rows: KeyRows, name: str) -> bool:
    """Whether nearly all keys of several rows have one value."""
    several = np.count_nonzero(rows.counts > 1)
    changing = len(np.unique(rows.keys[rows.changes(name)]))
    return bool(several and changing <= (1 - LEAST_CONSTANT) * several)


def _is_distinct(rows: KeyRows, name: str) -> bool:
    """Whether no key has a value twice, which many would by chance."""
    codes = codes_of(rows.table.column(name))
    codes = np.where(codes < 0, codes.max(initial=0) + 1, codes)
    order = np.lexsort((codes, rows.keys))
    repeats = (np.diff(codes[order]) == 0) & (np.diff(rows.keys[order]) == 0)
    shares = np.bincount(codes) / max(len(codes), 1)
    pairs = float(np.sum(rows.counts * (rows.counts - 1) / 2))
    return not repeats.any() and pairs * float(np.sum(shares**2)) >= LEAST_REPEATS


def _adds_up(column: FittedColumn) -> bool:
    """Whether numbers may be counted since those before: datetimes are by themselves, numbers in text are not."""
    has_numbers = isinstance(column, (NumericColumn, CategoricalColumn))
    return has_numbers and bool(is_number_type(column.decoded_type) and not is_datetime_type(column.decoded_type))


def _moves_little(rows: KeyRows, amounts: Floats, *, is_index: bool) -> bool:
    """Whether a number is near that of the row before, so that it is drawn since that one."""
    after = np.flatnonzero(~rows.are_first)
    pairs = _finite_pairs(amounts[after - 1], amounts[after])
    if is_index:
        return bool(pairs.size)
    if len(np.unique(pairs[1])) < LEAST_NUMBERS or len(np.unique(pairs[0])) < LEAST_NUMBERS:
        return False
    return _rank_correlation(pairs) > LEAST_CORRELATION


def _finite_pairs(first: Floats, second: Floats) -> Floats:
    """Pairs of numbers, of shape (2, pairs), of which none is missing."""
    pairs = np.stack([first, second])
    return pairs[:, np.isfinite(pairs).all(axis=0)]


def _rank_correlation(pairs: Floats) -> float:
    """Correlation of the ranks of both sides."""
    return float(np.corrcoef(_ranks(pairs[0]), _ranks(pairs[1]))[0, 1])


def _ranks(numbers: Floats) -> Floats:
    """Mean rank of each number."""
    _, which, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks


def _has_ratios(rows: KeyRows, numbers: Floats) -> bool:
    """Whether positive numbers spread far, and change by the more the larger they are, so that ratios are alike."""
    known = numbers[np.isfinite(numbers)]
    are_counts = bool(np.all(known % 1 == 0)) and known.max() < MOST_COUNTED
    if are_counts or known.min() <= 0 or known.max() <= LEAST_SPREAD * known.min():
        return False
    after = np.flatnonzero(~rows.are_first)
    pairs = _finite_pairs(numbers[after - 1], np.abs(numbers[after] - numbers[after - 1]))
    return _rank_correlation(pairs) > LEAST_GROWTH
