"""Lines: a column in another unit, such as pounds and kilograms, percent and shares, Fahrenheit and Celsius."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from gpuvgm.columns import NumericColumn
from gpuvgm.laws.codes import Columns, numbers_in, read_columns
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import step_of
from gpuvgm.laws.sample import HALF, NOISE, LawSample
from gpuvgm.laws.texts import decimal_text, equations
from gpuvgm.laws.unary import ROUNDINGS, SHORT_NOISE, Probe, Unary, have_32_bits
from gpuvgm.summary import Floats

SAME = Fraction(1), Fraction(0)  # the line of equal columns
TIMES, OVER = "*", "/"
LEAST_NUMBERS = 8  # different ones of a target: a line with a shift is through any two, by rounding through a few
MOST_DIGITS = 8  # of a factor that is found; with more it is hardly one that somebody wrote
MOST_OF_32_BITS = 5  # where the target has 32 bits and no step: factors of 7 digits are as near as it can tell
EXACT = 2.0**-43  # of the largest number of 64 bits without a step, by which numbers may be off the line
LONGEST = 15  # digits of a factor that somebody wrote, in which floats are exact
LEAST_FACTOR, MOST_FACTOR = 1e-15, 1e15
LEAST_ROUNDED = 0.1  # of a step, by which rounded numbers are beside a line; with all fractions alike it is .29
ROOM = 3.0  # tolerances, by which numbers may be off a line of least squares
_NUMBER = r"(-?\d{1,30}(?:\.\d{1,30})?)"
Parts = Iterator[tuple[str, Fraction, Fraction]]  # an operand, the factor before it and the number added


class Line(Unary):
    """The target is the operand times a factor and a shift, or the operand less a shift over a factor.

    A law has the second notation if its numbers are decimals there alone.
    """

    sign = "line"
    examples = ("1.8 * a + 32 = b",)
    turn = 2  # as sums, which come first in the table, so that they say which of two columns is computed
    functions = frozenset({TIMES, OVER})
    has_shift = has_line = has_zeros = True

    @classmethod
    def of(cls, operand: str, target: str, slope: Fraction, intercept: Fraction) -> Line:
        """The line, in its notation."""
        factor, shift = 1 / slope, -intercept / slope
        if _is_decimal(factor) and _is_decimal(shift) and not (_is_decimal(slope) and _is_decimal(intercept)):
            return cls((operand,), target, function=OVER, factor=float(factor), shift=float(shift))
        return cls((operand,), target, function=TIMES, factor=float(slope), shift=float(intercept))

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield lines and the forms that compute their operands."""
        return iter(cls._of_pairs(sample))

    @classmethod
    def one_way(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield those of which the one column is computed from the other better than the other way round."""
        for forms in cls._of_pairs(sample):
            ranks = {form.target: form.exactness(sample) for form in reversed(forms)}  # the best one of each target
            if len(ranks) == 1 or len({*ranks.values()}) > 1:
                yield forms

    @classmethod
    def _of_pairs(cls, sample: LawSample) -> list[list[Line]]:
        """The lines of each two columns, the best one first; of rounded numbers each may be on a line of the other."""
        pairs: dict[frozenset[str], list[Line]] = {}
        for law in cls._candidates(sample):
            forms = pairs.setdefault(frozenset(law.names), [])
            if law not in forms and law.is_evident(sample):
                forms += [form for form in law.evident_forms(sample) if form not in forms]
        return [
            sorted(forms, key=lambda form: form.rank(sample))
            for forms in pairs.values()
            if any(form.is_of_coarser(sample) or form._rounds(sample) for form in forms)
        ]

    def _rounds(self, sample: LawSample) -> bool:
        """Whether the target is rounded, as it is beside the line of least squares by more than noise.

        Else, whatever the factor is that made a column of all digits, the line back would be one of few digits.
        """
        column = sample.columns[self.target]
        assert isinstance(column, NumericColumn)
        operand, numbers = read_columns(numbers_in, sample.columns, self.names, sample.few_rows)
        expected = self.amounts(sample.columns, [operand])
        present = ~np.isnan(expected) & ~np.isnan(numbers)
        line = np.polynomial.Polynomial.fit(expected[present], numbers[present], 1)
        off = numbers[present] - line(expected[present])
        return bool(np.std(off) > LEAST_ROUNDED * column.codec.plain.spacing > 0)

    @classmethod
    def _candidates(cls, sample: LawSample) -> Iterator[Line]:
        """Yield lines that keep few rows."""
        for probe in Probe.of_targets(sample, LEAST_NUMBERS):
            for operand in probe.equal(least_squares(probe), LEAST_NUMBERS, ROOM):
                target = sample.amounts[probe.target]
                line = line_through(sample.amounts[operand], target, *precision(target, probe.step))
                # With a shift of less than a step the target is rounded, which is no line, or equal to the operand.
                if line is None or (line[0] == 1 and abs(line[1]) <= probe.step):
                    continue
                if not cls._is_rounded_one_way(line[1], sample.amounts[operand], target, probe.step):
                    yield cls.of(operand, probe.target, *line)

    @staticmethod
    def _is_rounded_one_way(shift: Fraction, operand: Floats, target: Floats, step: float) -> bool:
        """Whether a shift of less than a step stands for rounding down or up, which is no line."""
        if not 0 < abs(shift) < step or np.any(operand < 0):
            return False
        ends = (rounding.factors(target, step, operand) for rounding in ROUNDINGS[1:])
        return any(low <= high for low, high in ends)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield lines, whose numbers are no names of columns."""
        for left, right, span in equations(text, names):
            for operand, slope, intercept in () if span else _read_line(left, names):
                if LEAST_FACTOR <= abs(slope) <= MOST_FACTOR and (slope, intercept) != SAME:
                    yield cls.of(operand, right, slope, intercept)

    @property
    def line(self) -> tuple[Fraction, Fraction]:
        """Factor and shift of the operand, exactly as their decimal digits say."""
        factor, shift = Fraction(repr(self.factor)), Fraction(repr(self.shift))
        return (factor, shift) if self.function == TIMES else (1 / factor, -shift / factor)

    @property
    def text(self) -> str:
        """The operand with its factor and shift, and the target."""
        (operand,), factor = self.operands, decimal_text(self.factor)
        shift = self.shift if self.function == TIMES else -self.shift
        added = f" {'-' if shift < 0 else '+'} {decimal_text(abs(shift))}" if shift else ""
        if self.function == TIMES:
            left = f"{operand}{added}" if self.factor == 1 else f"{factor} * {operand}{added}"
        else:
            left = f"({operand}{added}) / {factor}" if added else f"{operand} / {factor}"
        return f"{left}{self._equals}"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The line in numbers of the target, from numbers of the operand."""
        unit, target = self._units(columns)
        slope, intercept = self.line
        weight = slope * unit.factor / target.factor
        # A fraction: bases may be too large for floats, only their difference is not.
        shift = weight * unit.base + intercept / target.factor - target.base
        return float(weight) * sides[0] + float(shift) + 0.0

    def _largest(self, expected: Floats, sides: Sequence[Floats]) -> Floats:
        """Numbers near 0 that are made with a shift are off as much as it is."""
        return super()._largest(expected, sides) + abs(float(self.line[1]))

    @property
    def forms(self) -> Iterator[Line]:
        """The law, and the line back."""
        slope, intercept = self.line
        yield self
        inverse = Line.of(self.target, self.operands[0], 1 / slope, -intercept / slope)
        if not self.or_zero:
            yield replace(inverse, breaches=self.breaches, apart=self.apart)

    def preference(self, sample: LawSample) -> int:
        """The target is best drawn late."""
        return -sample.order.index(self.target)

    def is_on_steps(self, columns: Columns) -> bool:
        """Whether the line takes steps of the operand to steps of the target."""
        operand, target = (step_of(columns[name]) for name in self.names)
        if not target:
            return super().is_on_steps(columns)
        slope, intercept = map(float, self.line)
        steps = np.abs([slope * operand / target, intercept / target])
        return bool(steps[0] > 0.5 and np.all(np.abs(steps - np.rint(steps)) <= NOISE * steps))

    def check(self, columns: Columns) -> None:
        """Raise ValueError where a law from a file is no line, or has another notation than it would be written in."""
        super().check(columns)
        has_factor = LEAST_FACTOR <= abs(self.factor) <= MOST_FACTOR
        plain = replace(self.uncounted, or_zero=False)
        if not has_factor or plain != Line.of(self.operands[0], self.target, *self.line):
            raise ValueError(f'the law "{self}" is no line in the notation of lines')


def least_squares(probe: Probe) -> Floats:
    """For each operand the line of least squares through the target's numbers, at those of the operand."""
    present = ~np.isnan(probe.operands)
    with np.errstate(all="ignore"):  # of an operand that is missing, or does not vary, or is very large
        rows = np.count_nonzero(present, axis=1, keepdims=True)
        means = np.nansum(probe.operands, axis=1, keepdims=True) / rows
        of_target = np.sum(probe.numbers * present, axis=1, keepdims=True) / rows
        deviations = np.where(present, probe.operands - means, 0)
        products = np.sum(deviations * (probe.numbers - of_target), axis=1, keepdims=True)
        slopes = products / np.sum(deviations**2, axis=1, keepdims=True)
        line: Floats = of_target + slopes * (probe.operands - means)
    return line


def precision(target: Floats, step: float) -> tuple[float, int]:
    """How far amounts of a target may be from a line, and how many digits this may have at most."""
    if step:
        return HALF * step, MOST_DIGITS
    present = target[np.isfinite(target)]
    largest = float(np.max(np.abs(present)))
    is_short = bool(np.all(have_32_bits(present)))
    return (SHORT_NOISE * largest, MOST_OF_32_BITS) if is_short else (EXACT * largest, MOST_DIGITS)


def line_through(
    operand: Floats, target: Floats, tolerance: float, most_digits: int
) -> tuple[Fraction, Fraction] | None:
    """The factor and the shift with the fewest digits that take an operand to a target, to a tolerance.

    Either they have few decimal digits, or those do that take the target back to the operand.
    """
    present = np.isfinite(operand) & np.isfinite(target)
    parts = operand[present], target[present], tolerance, most_digits
    with np.errstate(all="ignore"):  # of the largest numbers
        slope = _proportion(*parts)
        return _shifted_line(*parts) if slope is None else (slope, Fraction(0))


def _proportion(operand: Floats, target: Floats, tolerance: float, most_digits: int) -> Fraction | None:
    """The factor with the fewest digits that lies between all factors which are too small and too large."""
    is_zero = operand == 0
    if np.all(is_zero) or np.any(np.abs(target[is_zero]) > tolerance):
        return None
    ends = (target[~is_zero] + np.array([[-tolerance], [tolerance]])) / operand[~is_zero]
    low, high = float(np.max(np.min(ends, axis=0))), float(np.min(np.max(ends, axis=0)))
    if not low <= high or low <= 0 <= high:
        return None
    times, over = shortest_decimal(low, high, most_digits), shortest_decimal(1 / high, 1 / low, most_digits)
    candidates = [factor for factor in (times, None if over is None else 1 / over) if factor is not None]
    return min(candidates, key=lambda factor: min(digits_of(factor), digits_of(1 / factor)), default=None)


def _shifted_line(
    operand: Floats, target: Floats, tolerance: float, most_digits: int
) -> tuple[Fraction, Fraction] | None:
    """The factor of least squares, or the one back, to the fewest digits with which some shift keeps all rows."""
    deviations, of_target = operand - np.mean(operand), target - np.mean(target)
    slope = float(np.sum(deviations * of_target) / np.sum(deviations**2))
    is_near = np.all(np.abs(of_target - slope * deviations) <= ROOM * tolerance)
    if not is_near or not LEAST_FACTOR <= abs(slope) <= MOST_FACTOR:
        return None
    for digits in range(1, most_digits + 1):
        times, over = _rounded(slope, digits), _rounded(1 / slope, digits)
        for factor, scale in ((times, Fraction(1)), (1 / over, over)):
            remaining = target - float(factor) * operand
            low, high = float(np.max(remaining - tolerance)), float(np.min(remaining + tolerance))
            first, last = sorted([low * float(scale), high * float(scale)])
            shift = shortest_decimal(first, last, most_digits) if low <= high else None
            if shift is not None:
                return factor, shift / scale
    return None


def shortest_decimal(low: float, high: float, most_digits: int) -> Fraction | None:
    """The decimal number with the fewest digits from one number to another; None where it has too many."""
    if low <= 0 <= high:
        return Fraction(0)
    largest = max(abs(low), abs(high))
    if not LEAST_FACTOR <= largest <= MOST_FACTOR:
        return None
    middle, places = (Fraction(low) + Fraction(high)) / 2, int(np.floor(np.log10(largest)))
    for place in range(places, places - most_digits, -1):
        unit = Fraction(10) ** place
        number = round(middle / unit) * unit
        if low <= number <= high:
            return number
    return None


def _rounded(number: float, digits: int) -> Fraction:
    """A number, rounded to so many digits."""
    return Fraction(f"{number:.{digits - 1}e}")


def _is_decimal(number: Fraction) -> bool:
    """Whether a number has few decimal digits."""
    return digits_of(number) <= LONGEST


def digits_of(number: Fraction) -> float:
    """How many digits a number has between its first and its last one that is not 0; infinite if it is no decimal."""
    with localcontext(prec=2 * LONGEST):
        decimal = Decimal(number.numerator) / Decimal(number.denominator)
    return len(decimal.normalize().as_tuple().digits) if Fraction(decimal) == number else np.inf


def _read_line(text: str, names: Collection[str]) -> Parts:
    """Yield the lines that a text may mean."""
    for inner, shift in read_shift(text, names):
        for operand, factor in _read_factor(inner, names):
            yield operand, factor, shift
    if (whole := re.fullmatch(rf"\((.*)\) / {_NUMBER}", text)) and whole[2] not in names and Fraction(whole[2]):
        factor = 1 / Fraction(whole[2])
        yield from ((operand, factor, shift * factor) for operand, shift in read_shift(whole[1], names))


def read_shift(text: str, names: Collection[str]) -> Iterator[tuple[str, Fraction]]:
    """Yield a text without a number that is added at its end, and the number; first the text as it is."""
    yield text, Fraction(0)
    if (parts := re.fullmatch(rf"(.*) ([+-]) {_NUMBER}", text)) and parts[3] not in names:
        yield parts[1], Fraction(parts[3]) * (1 if parts[2] == "+" else -1)


def _read_factor(text: str, names: Collection[str]) -> Iterator[tuple[str, Fraction]]:
    """Yield a text without a number that it is multiplied with or divided by, and the factor; first as it is."""
    yield text, Fraction(1)
    if (parts := re.fullmatch(rf"{_NUMBER} \* (.*)", text)) and parts[1] not in names:
        yield parts[2], Fraction(parts[1])
    if (parts := re.fullmatch(rf"(.*) \* {_NUMBER}", text)) and parts[2] not in names:
        yield parts[1], Fraction(parts[2])
    if (parts := re.fullmatch(rf"(.*) / {_NUMBER}", text)) and parts[2] not in names and Fraction(parts[2]):
        yield parts[1], 1 / Fraction(parts[2])
