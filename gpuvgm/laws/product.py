"""Products of two columns and three, with a power of ten or a rate as the last factor, and quotients."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import ClassVar, TypeVar

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.laws.codes import Columns, spacing_of
from gpuvgm.laws.law import MOST_POWER, Law
from gpuvgm.laws.numeric import PlainEquation
from gpuvgm.laws.sample import LawSample
from gpuvgm.laws.texts import equations, splits
from gpuvgm.summary import Floats, Ints

AnyMultiple = TypeVar("AnyMultiple", bound="_Multiple")
PERCENT = -2  # power of ten of a rate in percent


class _Multiple(PlainEquation):
    """The target is a product of two columns or three, or a quotient."""

    turn = 1  # before sums, which have several forms
    arity = range(2, 4)
    has_factor = has_zeros = True


class Product(_Multiple):
    """The target is the product of the operands, times a power of ten."""

    sign = "*"
    examples = ("a * b = c", "a * b / 100 = c")

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield quotients and products of two columns; and of others those with a rate and those of three columns.

        All are looked for here, because what is a product of two columns is one of three in several ways. Quotients
        come first that a product would be too coarse for.
        """
        quotients = [law for law in _quotients(sample) if law.is_evident(sample)]
        yield from ([law] for law in quotients if law.is_finer(sample))
        products = [law for law in cls._candidates(sample) if law.is_evident(sample)]
        yield from ([law] for law in products)
        computed = {law.target for law in (*products, *quotients)}
        yield from ([law] for law in quotients)
        for law in _further_candidates(sample):
            if law.target not in computed and law.is_evident(sample):
                computed.add(law.target)
                yield [law]

    @classmethod
    def _candidates(cls, sample: LawSample) -> Iterator[Product]:
        """Yield products of two, as the first few rows say: without a factor, and with one."""
        targets = sample.number_targets
        for pairs, sides in sample.combined(2):
            with np.errstate(over="ignore"):  # what is infinite is no number of the table
                products = np.prod(sides, axis=1)[:, None]
                powers = _powers(products, targets.amounts)
                scaled = products * 10.0 ** powers[:, :, None]
            are_equal, are_scaled = targets.are_equal(products), (powers != 0) & targets.are_equal(scaled)
            for pair in np.flatnonzero(np.any(are_equal | are_scaled, axis=1)).tolist():
                operands, places = pairs[pair], np.flatnonzero(are_scaled[pair]).tolist()
                laws = [cls(operands, targets.names[place]) for place in np.flatnonzero(are_equal[pair]).tolist()]
                laws += [cls(operands, targets.names[place], power=int(powers[pair, place])) for place in places]
                yield from (law for law in laws if law.target not in operands)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield products without a factor, and with one at the end of the left side."""
        for left, right, span in equations(text, names):
            yield from (cls(factors, right, span) for factors in _factors(left))
            scaled = re.fullmatch(rf"(.*) ([*/]) 1(0{{1,{MOST_POWER}}})", left)
            if scaled:
                power = len(scaled[3]) * (1 if scaled[2] == "*" else -1)
                yield from (cls(factors, right, span, power) for factors in _factors(scaled[1]))

    @property
    def text(self) -> str:
        """The operands, the factor unless it is 1, and the target."""
        factor = f" {'*' if self.power > 0 else '/'} {10 ** abs(self.power)}" if self.power else ""
        return f"{' * '.join(self.operands)}{factor}{self._equals}"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The product in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        first, *following = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        for factor in following:
            first = first * factor
        product: Floats = first / float(target.factor / Fraction(10) ** self.power) - target.base
        return product


class Quotient(_Multiple):
    """The target is the first operand over the second one, times 100 where it is in percent."""

    sign = "/"
    examples = ("a / b = c", "a / b * 100 = c")
    arity = range(2, 3)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield quotients, and those in percent."""
        for left, right, span in equations(text, names):
            yield from (cls(operands, right, span) for operands in splits(left, cls.sign))
            if left.endswith(" * 100"):
                operands_of_percent = splits(left.removesuffix(" * 100"), cls.sign)
                yield from (cls(operands, right, span, -PERCENT) for operands in operands_of_percent)

    @property
    def text(self) -> str:
        """The operands, 100 where the target is in percent, and the target."""
        return f"{' / '.join(self.operands)}{' * 100' if self.power else ''}{self._equals}"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The quotient in numbers of the target, from numbers of the operands; NaN where the second one is zero."""
        *units, target = self._units(columns)
        dividend, divisor = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        quotient = dividend * 10.0**self.power * reciprocals(divisor)
        return quotient / float(target.factor) - target.base

    def is_finer(self, sample: LawSample) -> bool:
        """Whether the first operand, made of the second one and the target, would be too coarse to tell the target."""
        units, divisors = self._units(sample.columns), sample.amounts[self.operands[1]]
        steps = [
            spacing_of(sample.columns[name]) * float(unit.factor) for name, unit in zip(self.names, units, strict=True)
        ]
        return steps[0] > steps[2] / 10.0**self.power * float(np.nanmedian(np.abs(divisors)))


class _WithRate(_Multiple):
    """The last operand is a rate by which the product of the others rises or falls."""

    direction: ClassVar[int]  # 1 where it rises
    least: ClassVar[float]  # rate that is found

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield products with a rate in brackets, in percent or not, at the end of the left side."""
        for left, right, span in equations(text, names):
            match = re.fullmatch(rf"(.*) {re.escape(cls.sign)} (.*)\)", left)
            if match is None:
                continue
            percent = None if match[2] in names else re.fullmatch(r"(.*?) ?/ ?100", match[2])
            rate, power = (match[2], 0) if percent is None else (percent[1], PERCENT)
            yield from (cls((*factors, rate), right, span, power) for factors in ((match[1],), *_factors(match[1])))

    @property
    def text(self) -> str:
        """The operands, the rate in brackets, and the target."""
        *factors, rate = self.operands
        return f"{' * '.join(factors)} {self.sign} {rate}{' / 100' if self.power else ''}){self._equals}"

    @classmethod
    def multipliers(cls, rates: Floats, power: int) -> Floats:
        """What rates multiply by; they are so many powers of ten too large."""
        whole = 10.0**-power
        multipliers: Floats = (whole + cls.direction * rates) / whole
        return multipliers

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The product in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        *factors, rates = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        product = self.multipliers(rates, self.power)
        for factor in factors:
            product = product * factor
        return product / float(target.factor) - target.base


class Increase(_WithRate):
    """The target is the product of the operands, the last of which is a rate that is added, such as a tax."""

    sign = "* (1 +"
    examples = ("a * (1 + b / 100) = c",)
    direction, least = 1, -1.0


class Decrease(_WithRate):
    """The target is the product of the operands, the last of which is a rate that is taken off, such as a discount."""

    sign = "* (1 -"
    examples = ("a * b * (1 - c) = d",)
    direction, least = -1, 0.0


def reciprocals(numbers: Floats) -> Floats:
    """1 over numbers; NaN for zero."""
    xp = namespace_of(numbers)
    with np.errstate(divide="ignore", over="ignore"):
        reciprocals: Floats = xp.where(numbers == 0, np.nan, 1 / numbers)
    return reciprocals


def _quotients(sample: LawSample) -> Iterator[Quotient]:
    """Yield quotients of two columns, as the first few rows say."""
    names = sample.number_columns
    targets, numbers = sample.number_targets, sample.first_amounts(names)
    for power in (0, -PERCENT):
        with np.errstate(over="ignore"):  # what is infinite is no number of the table
            dividends = numbers * 10.0**power
        for left, right, target in targets.products_of(dividends, reciprocals(numbers)):
            yield from _of_different(Quotient((names[left], names[right]), target, power=power))


def _factors(text: str) -> Iterator[tuple[str, ...]]:
    """Yield two factors, whose names may hold the sign, and three."""
    yield from splits(text, Product.sign)
    factors = tuple(map(str.strip, text.split(f" {Product.sign} ")))
    if len(factors) == 3:
        yield factors


def _further_candidates(sample: LawSample) -> Iterator[_Multiple]:
    """Yield products with a rate, of two columns and of three, then products of three, as the first few rows say."""
    names, rates = sample.number_columns, [*_rates(sample)]
    if len(names) < 3:
        return
    targets, numbers = sample.number_targets, sample.first_amounts(names)
    multipliers = np.array([sort.multipliers(numbers[names.index(rate)], power) for sort, rate, power in rates])
    pairs = [*combinations(names, 2)]
    with np.errstate(over="ignore"):  # what is infinite is no number of the table
        products = np.prod([sample.first_amounts(pair) for pair in pairs], axis=1)
    for factors, amounts in ([(name,) for name in names], numbers), (pairs, products):
        for left, right, target in targets.products_of(amounts, multipliers):
            sort, rate, power = rates[right]
            yield from _of_different(sort((*factors[left], rate), target, power=power))
    for left, right, target in targets.products_of(products, numbers):
        if names.index(pairs[left][1]) < right:  # each three columns once
            yield from _of_different(Product((*pairs[left], names[right]), target))


def _of_different(law: AnyMultiple) -> Iterator[AnyMultiple]:
    """Yield a law, unless one of its columns comes twice."""
    if len({*law.names}) == len(law.names):
        yield law


def _rates(sample: LawSample) -> Iterator[tuple[type[_WithRate], str, int]]:
    """Yield columns whose numbers may be rates, each with its sort of law and power of ten."""
    for name in sample.number_columns:
        amounts = sample.amounts[name][np.isfinite(sample.amounts[name])]
        low, high = amounts.min(initial=np.inf), amounts.max(initial=-np.inf)
        for sort in (Increase, Decrease) if low < high else ():
            powers = [power for power in (0, PERCENT) if sort.least <= low * 10.0**power <= high * 10.0**power <= 1]
            yield from ((sort, name, power) for power in powers)


def _powers(products: Floats, numbers: Floats) -> Ints:
    """Powers of ten that make products nearest to numbers, on average.

    Parameters
    ----------
    products : ndarray of shape (pairs, 1, rows)
        Products of two columns, NaN where one is missing.
    numbers : ndarray of shape (columns, rows)
        Numbers of the columns that they may make.

    Returns
    -------
    ndarray of shape (pairs, columns), int64
        The power for each pair and column; 0 where all are zero.
    """
    present, largest = ~(np.isnan(products) | np.isnan(numbers)), np.finfo(float).max
    with np.errstate(over="ignore"):
        sums = [
            np.minimum(np.where(present, np.abs(factor), 0).sum(axis=-1), largest) for factor in (numbers, products)
        ]
    logarithms = [np.log10(np.where(np.minimum(*sums) > 0, total, 1)) for total in sums]
    powers: Ints = np.rint(np.clip(logarithms[0] - logarithms[1], -MOST_POWER, MOST_POWER)).astype(np.int64)
    return powers
