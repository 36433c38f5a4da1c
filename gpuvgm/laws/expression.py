"""Expressions of trades: products and quotients with a constant, rounded, and what is clipped at a number.

Examples are floor(0.92 * must / size) = bottles, ceil(1.6 * cost) - 0.01 = price, min(10, rate * days) = fee and
max(0, hours - 40) = overtime.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.laws.codes import (
    MOST_PLACES,
    NEAR_STEP,
    Columns,
    Mask,
    numbers_in,
    read_columns,
    rounded_to_steps,
    spacing_of,
)
from gpuvgm.laws.days import WITHOUT_ZONE, days_of
from gpuvgm.laws.law import MOST_POWER, Law
from gpuvgm.laws.line import (
    LEAST_FACTOR,
    MOST_FACTOR,
    ROOM,
    SAME,
    digits_of,
    least_squares,
    line_through,
    precision,
    read_shift,
    shortest_decimal,
)
from gpuvgm.laws.numeric import LEAST_SHARE, Equation, step_of
from gpuvgm.laws.product import reciprocals
from gpuvgm.laws.sample import HALF, LEAST_BROKEN, NOISE, PROBED, LawSample
from gpuvgm.laws.texts import decimal_text, equations, splits
from gpuvgm.laws.unary import CEIL, FLOOR, PLAIN, ROUNDINGS, Probe, Rounding, different_rows, tolerances_of
from gpuvgm.laws.units import NUMBER, SPANS
from gpuvgm.summary import Floats, Ints

LEAST_NUMBERS = 3  # different ones that are not clipped: with two, columns of zeros and ones agree by chance
DAYS = "days"
#: What operands make, by its sign.
INNER: dict[str, Callable[[Floats, Floats], Floats]] = {
    "*": lambda left, right: left * right,
    "/": lambda left, right: left * reciprocals(right),
    "-": lambda left, right: left - right,
    "+": lambda left, right: left + right,
    DAYS: lambda left, right: left - right,
}
COMMUTATIVE, WITH_FACTOR = ("*", "+"), ("*", "/")
MAX, MIN = "max", "min"
ROUNDED: dict[str, Callable[[Any], Any]] = {FLOOR: np.floor, CEIL: np.ceil}
CLIPPED = {MAX: 1, MIN: -1}  # and the direction in which results are moved
LEAST_DIFFERENT = 8  # numbers of a target that has a constant: through few, some constant fits
MOST_DIGITS = 5  # of a constant that is found
WHOLE = 1.0  # what results are rounded to where parts of whole numbers are added to them
LONGEST_FACTOR = (
    10  # letters before the operands: of longer ones the reciprocal is written behind them, if it is shorter
)
FIRST = 4  # of the rows, on which all columns are tried
_NUMBER = r"(-?\d{1,15}(?:\.\d{1,15})?)"


class Expression(Equation):
    """The target is what the operands make, times a constant, rounded down or up to its step, or clipped at a number.

    The function of the law says both: what is done in the end, and the sign of what operands make. The shift is added
    to what is rounded, or to what is clipped; the limit is the number at which that is.
    """

    sign = "expression"
    examples = (
        "floor(0.92 * a / b) = c",
        "floor(a / 2) = b",
        "ceil(1.6 * a) - 0.01 = b",
        "max(0, days(a) - days(b)) = c",
        "max(20, 0.85 * a) = b",
        "min(10, a * b) = c",
    )
    arity = range(1, 4)
    has_line = has_shift = has_limits = has_zeros = True
    takes = "such a law takes numbers, or in days() dates without a time zone"
    functions = frozenset(f"{outer}:{inner}" for outer in (PLAIN, *ROUNDED, *CLIPPED) for inner in INNER)

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield products and quotients with a constant, and of two columns what is clipped at the end of numbers.

        Equations without a constant that are not clipped are found before, and so is what is clipped of one column.
        """
        for law in _with_constants(sample):
            if law.is_evident(sample):
                yield [law]
        yield from cls._of_one(sample)
        yield from cls._that_clip(sample, _clipped_pairs(sample))

    @classmethod
    def clipped_lines(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield single columns, and lines of them, that are clipped at the end of a column's numbers."""
        yield from cls._that_clip(sample, _clipped_lines(sample))

    @staticmethod
    def _that_clip(sample: LawSample, laws: Iterator[Expression]) -> Iterator[Sequence[Law]]:
        """Yield those of which few rows are evidence, and that clip enough of them."""
        return ([law] for law in laws if law.is_evident(sample) and law.clips(sample))

    @classmethod
    def _of_one(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield one column times a constant that is rounded down or up in enough rows; others are lines.

        Of two laws of the same columns the shorter one comes first: longer constants make up for a wrong rounding.
        """
        places = sample.number_columns.index
        for law in sorted(_rounded_alone(sample), key=lambda law: (*map(places, law.names), len(law.text))):
            operand, step = sample.few_rows(law.operands[0]), step_of(sample.columns[law.target])
            results = law._inner(sample.columns, [numbers_in(sample.columns[law.operands[0]], operand)])
            rounded = np.abs(results + law.shift - sample.amounts[law.target]) > NEAR_STEP * step
            if np.count_nonzero(rounded) >= max(LEAST_BROKEN, LEAST_SHARE * len(rounded)) and law.is_evident(sample):
                yield [law]

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield expressions, whose numbers are no names of columns."""
        for left, right, span in equations(text, names):
            for outer, limits, shift, inner in () if span else _read_outer(left, names):
                for sign, factor, operands in _read_inner(inner):
                    function = f"{outer}:{sign}"
                    law = cls(operands, right, limits=limits, function=function, factor=factor, shift=shift)
                    if not law.problem:
                        yield law

    @property
    def _parts(self) -> tuple[str, str]:
        """What is done in the end, and the sign of what the operands make."""
        outer, _, inner = self.function.partition(":")
        return outer, inner

    @property
    def text(self) -> str:
        """The expression and the target."""
        outer, sign = self._parts
        factor, divisor = f"{decimal_text(self.factor)} * " if self.factor != 1 else "", ""
        reciprocal = float(f"{1 / self.factor:.{LONGEST_FACTOR}g}") if len(factor) > LONGEST_FACTOR else 0.0
        if reciprocal and 1 / reciprocal == self.factor:
            factor, divisor = "", f" / {decimal_text(reciprocal)}"
        names = [f"days({name})" for name in self.operands] if sign == DAYS else self.operands
        inner = factor + f" {'-' if sign == DAYS else sign} ".join(names) + divisor
        added = f" {'-' if self.shift < 0 else '+'} {decimal_text(abs(self.shift))}" if self.shift else ""
        if outer in CLIPPED:
            return f"{outer}({', '.join([*map(decimal_text, self.limits), f'{inner}{added}'])}){self._equals}"
        return f"{f'{outer}({inner})' if outer else inner}{added}{self._equals}"

    @property
    def problem(self) -> str:
        """What is wrong with the parts of the law; empty where nothing is."""
        (outer, sign), count = self._parts, len(self.operands)
        is_factor = self.factor == 1 or (sign in WITH_FACTOR and LEAST_FACTOR <= abs(self.factor) <= MOST_FACTOR)
        if not is_factor:
            return "has no such factor"
        is_function = outer in ROUNDED and self.factor == 1 and not self.shift
        if count == 1 and (sign != "*" or outer == PLAIN or is_function):
            return "is a law of one column"
        if count == 3 and sign != "*":
            return "has too many columns"
        if outer == PLAIN and (self.factor == 1 or sign == DAYS):
            return "is an equation without a constant"
        if self.shift and (outer == PLAIN or (outer in CLIPPED and count > 1)):
            return "has a number that is added"
        has_limit = len(self.limits) == 1 and np.isfinite(self.limits[0])
        return "" if has_limit == (outer in CLIPPED) and (has_limit or not self.limits) else "has no such limit"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The expression in numbers of the target, from numbers of the operands."""
        *_, target = self._units(columns)
        results, outer = self._inner(columns, sides), self._parts[0]
        if outer in ROUNDED:
            step = self._grain(spacing_of(columns[self.target]) * float(target.factor) or 1.0)
            results = rounded_to_steps(results, step, ROUNDED[outer]) + self.shift
        elif outer in CLIPPED:
            xp, results = namespace_of(results), results + self.shift
            results = xp.maximum(results, self.limits[0]) if outer == MAX else xp.minimum(results, self.limits[0])
        numbers: Floats = results / float(target.factor) - target.base + 0.0
        return numbers

    def _grain(self, step: float) -> float:
        """What results are rounded to: a column's step, or whole numbers where a part of these is added."""
        return WHOLE if self.shift else step

    def _inner(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """What the operands make, before it is rounded or clipped."""
        *units, _ = self._units(columns)
        sign, of_unit = self._parts[1], days_of if self._parts[1] == DAYS else lambda unit, side: unit.amounts(side)
        first, *following = (of_unit(unit, side) for unit, side in zip(units, sides, strict=True))
        with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is no number of the table
            results = first * self.factor
            for side in following:
                results = INNER[sign](results, side)
        return results

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether the operands are plain numbers, or datetimes without a zone, and the target a number."""
        operand = WITHOUT_ZONE if self._parts[1] == DAYS else NUMBER
        return [*sorts] == [operand] * len(self.operands) + [NUMBER] and not self.span

    def _largest(self, expected: Floats, sides: Sequence[Floats]) -> Floats:
        """A difference of nearly equal numbers is off by as much as they are."""
        largest: Floats = namespace_of(expected).maximum(super()._largest(expected, sides), abs(sides[0]))
        return largest

    def clips(self, sample: LawSample) -> bool:
        """Whether enough of the few rows have results beyond the number at which they are clipped."""
        sides, (limit,) = read_columns(numbers_in, sample.columns, self.operands, sample.few_rows), self.limits
        beyond = CLIPPED[self._parts[0]] * (limit - self.shift - self._inner(sample.columns, sides))
        clipped = np.count_nonzero(beyond > NOISE * abs(limit) + HALF * step_of(sample.columns[self.target]))
        return bool(clipped >= LEAST_BROKEN)

    def with_factor(self, sample: LawSample, rounding: Rounding) -> Iterator[Expression]:
        """Yield the law with the constant of the fewest digits that keeps few rows, if there is one.

        It may be one over a number that has fewer digits, such as 45.
        """
        sides = read_columns(numbers_in, sample.columns, self.operands, sample.few_rows)
        amounts, step = sample.amounts[self.target] - self.shift, self._grain(step_of(sample.columns[self.target]))
        low, high = map(float, rounding.factors(amounts, step, self._inner(sample.columns, sides)))
        ends = ((low, high), (1 / high, 1 / low)) if 0 < low <= high < np.inf else ()
        decimals = [shortest_decimal(*pair, MOST_DIGITS) for pair in ends]
        constants = [(digits_of(one), place, one) for place, one in enumerate(decimals) if one is not None]
        _, is_divisor, constant = min(constants, default=(0, 0, None))
        factor = 1 / constant if constant is not None and is_divisor else constant
        law = self if factor is None else replace(self, factor=float(factor))
        is_power = law.factor in (10.0**power for power in range(-MOST_POWER, MOST_POWER + 1))
        if factor is not None and not law.problem and not (rounding.outer == PLAIN and is_power):
            yield law

    def check(self, columns: Columns) -> None:
        """Raise ValueError where a law from a file has parts that do not go together."""
        super().check(columns)
        if self.problem:
            raise ValueError(f'the law "{self}" {self.problem}')


@dataclass(frozen=True, slots=True)
class Clipped:
    """A column of which many rows have its least number, or its largest one, and rows that show what is clipped there.

    Parameters
    ----------
    target : str
        The column.
    outer : str
        What is done with results.
    bound : float
        The number.
    rows : ndarray of shape (rows,)
        Places of few rows with different numbers, then of few that have the bound.
    numbers, tolerance : ndarray of shape (rows,)
        What the numbers of the first of these mean, and by how much they may be off.
    """

    target: str
    outer: str
    bound: float
    rows: Ints
    numbers: Floats
    tolerance: Floats

    @classmethod
    def of(cls, sample: LawSample, target: str) -> Iterator[Clipped]:
        """Yield the ends of a column's numbers that many rows have."""
        amounts, step = sample.amounts[target], step_of(sample.columns[target])
        present = amounts[np.isfinite(amounts)]
        for outer, end in ((MAX, present.min(initial=np.inf)), (MIN, present.max(initial=-np.inf))):
            at_end = np.flatnonzero(amounts == end)
            if not LEAST_BROKEN <= len(at_end) < len(present):
                continue
            rows = different_rows(np.where(amounts == end, np.nan, amounts))
            if len(rows) >= LEAST_NUMBERS:
                of_rows = tolerances_of(amounts[rows], step)
                yield cls(target, outer, float(end), np.append(rows, at_end[:PROBED]), amounts[rows], of_rows)

    def operands(self, sign: str, amounts: Floats) -> Iterator[tuple[int, ...]]:
        """Yield places of one or two of several columns, of shape (columns, rows), that may make the column."""
        left, right = _pairs(len(amounts), sign)
        for rows in (slice(0, min(FIRST, len(self.numbers))), slice(0, len(self.numbers))):
            with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is no number of the table
                off = np.abs(INNER[sign](amounts[left, rows], amounts[right, rows]) - self.numbers[rows])
            agree = ~np.any(off > self.tolerance[rows], axis=1)
            left, right = left[agree], right[agree]
        for first, second in zip(left.tolist(), right.tolist(), strict=True):
            if self._tells(INNER[sign](amounts[first], amounts[second])):
                yield first, second

    def lines(self, sample: LawSample, names: Sequence[str]) -> Iterator[Expression]:
        """Yield those of some columns that are clipped to make the column, or a line of them."""
        amounts = np.array([sample.amounts[name][self.rows] for name in names]).reshape(len(names), len(self.rows))
        numbers, step = sample.amounts[self.target], step_of(sample.columns[self.target])
        numbers = np.where(numbers == self.bound, np.nan, numbers)
        probe = Probe(self.target, self.numbers, self.tolerance, step, names, amounts[:, : len(self.numbers)])
        for name in probe.equal(least_squares(probe), LEAST_NUMBERS, ROOM):
            line = line_through(sample.amounts[name], numbers, *precision(numbers, step))
            if line is None or (line != SAME and len(self.numbers) < LEAST_DIFFERENT):
                continue
            factor, shift = map(float, line)
            if self._tells(amounts[names.index(name)] * factor + shift):
                function = f"{self.outer}:*"
                yield Expression(
                    (name,), self.target, limits=(self.bound,), function=function, factor=factor, shift=shift
                )

    def _tells(self, results: Floats) -> bool:
        """Whether results that make the numbers are enough, and lie beyond the end where the column has it."""
        with np.errstate(over="ignore", invalid="ignore"):
            at_end = CLIPPED[self.outer] * (results[len(self.numbers) :] - self.bound)
        tells = np.count_nonzero(~np.isnan(results[: len(self.numbers)])) >= LEAST_NUMBERS
        return bool(tells and not np.any(at_end > np.max(self.tolerance)))


def _with_constants(sample: LawSample) -> Iterator[Expression]:
    """Yield products with a constant that has few digits, then quotients, as few rows say.

    A quotient may be a product that is rounded, and would be too coarse then.
    """
    for sign, (target, rows, step, shift) in product(WITH_FACTOR, _targets(sample)):
        names = [name for name in sample.number_columns if name != target]
        values = np.array([sample.amounts[name][rows] for name in names]).reshape(len(names), len(rows))
        numbers, roundings = sample.amounts[target][rows] - shift, ROUNDINGS[1:] if shift else ROUNDINGS
        left, right = _pairs(len(names), sign)
        for places in (slice(0, None, len(rows) // FIRST), slice(None)):
            agree = _are_proportional(sign, (values[left, places], values[right, places]), numbers[places], step)
            left, right = left[agree], right[agree]
        for operands, rounding in product(zip(left.tolist(), right.tolist(), strict=True), roundings):
            function = f"{rounding.outer}:{sign}"
            law = Expression(tuple(names[place] for place in operands), target, function=function, shift=shift)
            yield from law.with_factor(sample, rounding)


def _rounded_alone(sample: LawSample) -> Iterator[Expression]:
    """Yield single columns that are rounded down or up with a constant, as few rows say; plain ones are lines."""
    for target, rows, step, shift in _targets(sample):
        numbers = sample.amounts[target][rows] - shift
        names = [name for name in sample.number_columns if name != target]
        values = np.array([sample.amounts[name][rows] for name in names]).reshape(len(names), len(rows))
        agree = _are_proportional("*", (values, np.ones(1)), numbers, step)
        for place, rounding in product(np.flatnonzero(agree).tolist(), ROUNDINGS[1:]):
            law = Expression((names[place],), target, function=f"{rounding.outer}:*", shift=shift)
            yield from law.with_factor(sample, rounding)


def _targets(sample: LawSample) -> list[tuple[str, Ints, float, float]]:
    """Columns whose numbers may be rounded results, each with places of few different ones, their grain and a shift.

    The grain is what results are rounded to, and the shift is added to that then. Of a column without steps, and of few
    positive numbers, there is none.
    """
    targets = []
    for name in sample.numeric(sample.computed_columns):
        amounts = sample.amounts[name]
        rows = different_rows(np.where(amounts > 0, amounts, np.nan))
        if step_of(sample.columns[name]) and len(rows) >= LEAST_DIFFERENT:
            targets += [(name, rows, *grid) for grid in _grids(amounts, step_of(sample.columns[name]))]
    return targets


def _grids(amounts: Floats, step: float) -> list[tuple[float, float]]:
    """What a column's numbers may be rounded to, with what is added to that then.

    All numbers may have the same part behind whole ones, such as prices that end in 0.99.
    """
    parts = amounts[np.isfinite(amounts)] % WHOLE
    if step < WHOLE and NEAR_STEP < parts[0] < WHOLE - NEAR_STEP and np.ptp(parts) < NEAR_STEP:
        part = round(float(parts[0]), MOST_PLACES)
        return [(WHOLE, round(part - WHOLE, MOST_PLACES)), (WHOLE, part)]
    return [(step, 0.0)]


def _are_proportional(sign: str, sides: tuple[Floats, Floats], numbers: Floats, step: float) -> Mask:
    """Which two columns, of shape (pairs, rows), make numbers with some constant, however these are rounded."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is no number of the table
        results = INNER[sign](*sides)
    low, high = Rounding(PLAIN, 1, 1).factors(numbers, step, results)
    agree: Mask = (low <= high) & np.isfinite(low) & (np.count_nonzero(results > 0, axis=1) >= FIRST)
    return agree


def _pairs(count: int, sign: str) -> tuple[Ints, Ints]:
    """Places of each two of so many columns, both ways round where that is not the same."""
    left, right = np.triu_indices(count, 1)
    return (left, right) if sign in COMMUTATIVE else (np.append(left, right), np.append(right, left))


def _clipped_lines(sample: LawSample) -> Iterator[Expression]:
    """Yield lines of single columns that are clipped, as a few rows say."""
    for target in sample.computed_columns:
        for clipped in Clipped.of(sample, target):
            names = [name for name in sample.number_columns if name != target]
            yield from clipped.lines(sample, names)


def _clipped_pairs(sample: LawSample) -> Iterator[Expression]:
    """Yield expressions of two columns that are clipped, as a few rows say."""
    moments = [name for name, sort in sample.sorts.items() if sort == WITHOUT_ZONE]
    for target in sample.computed_columns:
        names = [name for name in sample.number_columns if name != target]
        operands = {sign: moments if sign == DAYS else names for sign in INNER}
        for clipped, (sign, columns) in product(Clipped.of(sample, target), operands.items()):
            if len(columns) < 2:
                continue
            amounts = np.array([sample.amounts[name][clipped.rows] for name in columns])
            amounts = np.floor(amounts / SPANS["days"]) if sign == DAYS else amounts
            for places in clipped.operands(sign, amounts):
                pair, function = tuple(columns[place] for place in places), f"{clipped.outer}:{sign}"
                yield Expression(pair, target, limits=(clipped.bound,), function=function)


def _read_outer(text: str, names: Collection[str]) -> Iterator[tuple[str, tuple[float, ...], float, str]]:
    """Yield what is done in the end, where results are clipped, what is added, and the text of what operands make."""
    yield PLAIN, (), 0.0, text
    for rounded, shift in read_shift(text, names):
        if (match := re.fullmatch(r"(floor|ceil)\((.*)\)", rounded)) is not None:
            yield match[1], (), float(shift), match[2]
    for pattern, bound, inner in ((rf"(max|min)\({_NUMBER}, (.*)\)", 2, 3), (rf"(max|min)\((.*), {_NUMBER}\)", 3, 2)):
        if (match := re.fullmatch(pattern, text)) is not None:
            for line, shift in read_shift(match[inner].strip(), names):
                yield match[1], (float(match[bound]),), float(shift), line


def _read_inner(text: str) -> Iterator[tuple[str, float, tuple[str, ...]]]:
    """Yield the sign of what operands make, the constant factor and the operands."""
    if (match := re.fullmatch(r"days\((.*)\) - days\((.*)\)", text)) is not None:
        yield DAYS, 1.0, (match[1], match[2])
    scaled, divided = re.fullmatch(rf"{_NUMBER} \* (.*)", text), re.fullmatch(rf"(.*) / {_NUMBER}", text)
    with_factor = [] if scaled is None else [(float(scaled[1]), scaled[2])]
    with_factor += [] if divided is None or not float(divided[2]) else [(1 / float(divided[2]), divided[1])]
    for factor, rest in ((1.0, text), *with_factor):
        yield "*", factor, (rest.strip(),)
        factors = tuple(map(str.strip, rest.split(" * ")))
        yield from (("*", factor, factors) for factors in ([factors] if len(factors) == 3 else []))
        for sign in INNER:
            yield from ((sign, factor, pair) for pair in splits(rest, sign) if sign != DAYS)
