"""Expressions of trades: products and quotients with a constant, rounded, and what is clipped at a number.

Examples are floor(0.92 * must / size) = bottles, max(0, days(returned) - days(due)) = late, min(10, rate * days) = fee.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.laws.codes import NEAR_STEP, Columns, Mask, numbers_in, read_columns, rounded_to_steps, spacing_of
from gpuvgm.laws.days import WITHOUT_ZONE, days_of
from gpuvgm.laws.law import MOST_POWER, Law
from gpuvgm.laws.line import LEAST_FACTOR, MOST_FACTOR, digits_of, shortest_decimal
from gpuvgm.laws.numeric import LEAST_SHARE, Equation, step_of
from gpuvgm.laws.product import reciprocals
from gpuvgm.laws.sample import HALF, LEAST_BROKEN, NOISE, PROBED, LawSample
from gpuvgm.laws.texts import decimal_text, equations, splits
from gpuvgm.laws.unary import CEIL, FLOOR, PLAIN, ROUNDINGS, Rounding, different_rows, tolerances_of
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
LONGEST_FACTOR = (
    10  # letters before the operands: of longer ones the reciprocal is written behind them, if it is shorter
)
FIRST = 4  # of the rows, on which all columns are tried
_NUMBER = r"(-?\d{1,15}(?:\.\d{1,15})?)"


class Expression(Equation):
    """The target is what the operands make, times a constant, rounded down or up to its step, or clipped at a number.

    The function of the law says both: what is done in the end, and the sign of what operands make.
    """

    sign = "expression"
    examples = ("floor(0.92 * a / b) = c", "floor(a / 2) = b", "max(0, days(a) - days(b)) = c", "min(10, a * b) = c")
    arity = range(1, 4)
    has_line = has_shift = True
    takes = "such a law takes numbers, or in days() dates without a time zone"
    functions = frozenset(f"{outer}:{inner}" for outer in (PLAIN, *ROUNDED, *CLIPPED) for inner in INNER)

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield products and quotients with a constant, and what is clipped at the end of a column's numbers.

        Equations without a constant that are not clipped are found before.
        """
        for law in _with_constants(sample):
            if law.is_evident(sample):
                yield [law]
        yield from cls._of_one(sample)
        for law in _clipped(sample):
            if law.is_evident(sample) and law.clips(sample):
                yield [law]

    @classmethod
    def _of_one(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield one column times a constant that is rounded down or up in enough rows; others are lines."""
        for law in _rounded_alone(sample):
            operand, step = sample.few_rows(law.operands[0]), step_of(sample.columns[law.target])
            results = law._inner(sample.columns, [numbers_in(sample.columns[law.operands[0]], operand)])
            rounded = np.abs(results - sample.amounts[law.target]) > NEAR_STEP * step
            if np.count_nonzero(rounded) >= max(LEAST_BROKEN, LEAST_SHARE * len(rounded)) and law.is_evident(sample):
                yield [law]

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield expressions, whose numbers are no names of columns."""
        for left, right, span in equations(text, names):
            for outer, bound, inner in () if span else _read_outer(left):
                for sign, factor, operands in _read_inner(inner):
                    law = cls(operands, right, function=f"{outer}:{sign}", factor=factor, shift=bound)
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
        bound = f"{decimal_text(self.shift)}, " if outer in CLIPPED else ""
        return f"{f'{outer}({bound}{inner})' if outer else inner} = {self.target}"

    @property
    def problem(self) -> str:
        """What is wrong with the parts of the law; empty where nothing is."""
        (outer, sign), count = self._parts, len(self.operands)
        is_factor = self.factor == 1 or (sign in WITH_FACTOR and LEAST_FACTOR <= abs(self.factor) <= MOST_FACTOR)
        if not is_factor:
            return "has no such factor"
        if count == 1 and (sign != "*" or outer == PLAIN or (outer in ROUNDED and self.factor == 1)):
            return "is a law of one column"
        if count == 3 and sign != "*":
            return "has too many columns"
        if outer == PLAIN and (self.factor == 1 or sign == DAYS):
            return "is an equation without a constant"
        return "has a number that clips nothing" if self.shift and outer not in CLIPPED else ""

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The expression in numbers of the target, from numbers of the operands."""
        *_, target = self._units(columns)
        results, outer = self._inner(columns, sides), self._parts[0]
        if outer in ROUNDED:
            step = spacing_of(columns[self.target]) * float(target.factor) or 1.0
            results = rounded_to_steps(results, step, ROUNDED[outer])
        elif outer in CLIPPED:
            xp = namespace_of(results)
            results = xp.maximum(results, self.shift) if outer == MAX else xp.minimum(results, self.shift)
        numbers: Floats = results / float(target.factor) - target.base + 0.0
        return numbers

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
        sides = read_columns(numbers_in, sample.columns, self.operands, sample.few_rows)
        beyond = CLIPPED[self._parts[0]] * (self.shift - self._inner(sample.columns, sides))
        clipped = np.count_nonzero(beyond > NOISE * abs(self.shift) + HALF * step_of(sample.columns[self.target]))
        return bool(clipped >= max(LEAST_BROKEN, LEAST_SHARE * np.count_nonzero(np.isfinite(beyond))))

    def with_factor(self, sample: LawSample, rounding: Rounding) -> Iterator[Expression]:
        """Yield the law with the constant of the fewest digits that keeps few rows, if there is one.

        It may be one over a number that has fewer digits, such as 45.
        """
        sides = read_columns(numbers_in, sample.columns, self.operands, sample.few_rows)
        amounts, step = sample.amounts[self.target], step_of(sample.columns[self.target])
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
            if not max(LEAST_BROKEN, LEAST_SHARE * len(present)) <= len(at_end) < len(present):
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

    def alone(self, amounts: Floats) -> Iterator[int]:
        """Yield places of single columns, of shape (columns, rows), that may be clipped to make the column."""
        count = len(self.numbers)
        with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is no number of the table
            agree = ~np.any(np.abs(amounts[:, :count] - self.numbers) > self.tolerance, axis=1)
        yield from (place for place in np.flatnonzero(agree).tolist() if self._tells(amounts[place]))

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
    targets = {name: rows for name in sample.numeric(sample.number_columns) if len(rows := _tried(sample, name))}
    for sign, (target, rows) in product(WITH_FACTOR, targets.items()):
        names = [name for name in sample.number_columns if name != target]
        values = np.array([sample.amounts[name][rows] for name in names]).reshape(len(names), len(rows))
        numbers, step = sample.amounts[target][rows], step_of(sample.columns[target])
        left, right = _pairs(len(names), sign)
        for places in (slice(0, None, len(rows) // FIRST), slice(None)):
            agree = _are_proportional(sign, (values[left, places], values[right, places]), numbers[places], step)
            left, right = left[agree], right[agree]
        for operands, rounding in product(zip(left.tolist(), right.tolist(), strict=True), ROUNDINGS):
            law = Expression(tuple(names[place] for place in operands), target, function=f"{rounding.outer}:{sign}")
            yield from law.with_factor(sample, rounding)


def _rounded_alone(sample: LawSample) -> Iterator[Expression]:
    """Yield single columns that are rounded down or up with a constant, as few rows say; plain ones are lines."""
    targets = {name: rows for name in sample.numeric(sample.number_columns) if len(rows := _tried(sample, name))}
    for target, rows in targets.items():
        numbers, step = sample.amounts[target][rows], step_of(sample.columns[target])
        names = [name for name in sample.number_columns if name != target]
        values = np.array([sample.amounts[name][rows] for name in names]).reshape(len(names), len(rows))
        agree = _are_proportional("*", (values, np.ones(1)), numbers, step)
        for place, rounding in product(np.flatnonzero(agree).tolist(), ROUNDINGS[1:]):
            law = Expression((names[place],), target, function=f"{rounding.outer}:*")
            yield from law.with_factor(sample, rounding)


def _tried(sample: LawSample, target: str) -> Ints:
    """Places of few rows with different positive numbers of a column; none where it has no steps, or few of these."""
    amounts = sample.amounts[target]
    rows = different_rows(np.where(amounts > 0, amounts, np.nan))
    return rows if step_of(sample.columns[target]) and len(rows) >= LEAST_DIFFERENT else rows[:0]


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


def _clipped(sample: LawSample) -> Iterator[Expression]:
    """Yield expressions that are clipped, as a few rows say."""
    moments = [name for name, sort in sample.sorts.items() if sort == WITHOUT_ZONE]
    for target in sample.number_columns:
        for clipped in Clipped.of(sample, target):
            names = [name for name in sample.number_columns if name != target]
            shape = len(names), len(clipped.rows)
            numbers = np.array([sample.amounts[name][clipped.rows] for name in names]).reshape(shape)
            for place in clipped.alone(numbers):
                yield Expression((names[place],), target, function=f"{clipped.outer}:*", shift=clipped.bound)
            operands = {sign: names for sign in INNER} | {DAYS: moments}
            for sign, columns in operands.items():
                if len(columns) < 2:
                    continue
                amounts = np.array([sample.amounts[name][clipped.rows] for name in columns])
                amounts = np.floor(amounts / SPANS["days"]) if sign == DAYS else amounts
                for places in clipped.operands(sign, amounts):
                    pair, function = tuple(columns[place] for place in places), f"{clipped.outer}:{sign}"
                    yield Expression(pair, target, function=function, shift=clipped.bound)


def _read_outer(text: str) -> Iterator[tuple[str, float, str]]:
    """Yield what is done in the end, the number at which results are clipped, and the text of what operands make."""
    yield PLAIN, 0.0, text
    if (match := re.fullmatch(r"(floor|ceil)\((.*)\)", text)) is not None:
        yield match[1], 0.0, match[2]
    for pattern, bound, inner in ((rf"(max|min)\({_NUMBER}, (.*)\)", 2, 3), (rf"(max|min)\((.*), {_NUMBER}\)", 3, 2)):
        if (match := re.fullmatch(pattern, text)) is not None:
            yield match[1], float(match[bound]), match[inner].strip()


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
