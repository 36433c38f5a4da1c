"""Laws between columns: sums, products, orders and columns that decide others, which samples keep in every row.

A law that a sample of the rows suggests is proven on all of them: the scan that counts the rows counts those that break
it, too. The column on its right is computed from those on its left; columns in order are made equal, or swapped,
where they are not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import combinations, permutations
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from gpuvgm.arrays import beside, namespace_of
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn, Engine
from gpuvgm.errors import InputError, counted, listed
from gpuvgm.io import taken
from gpuvgm.rules import whole
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import (
    LISTED,
    LISTED_ROWS,
    MOST_CATEGORIES,
    NUMBER,
    SPANS,
    Bins,
    Persons,
    Rows,
    Span,
    Unit,
    all_numbers,
    range_of,
    restricted,
    restricted_to,
    restricted_without,
    row_finder,
)
from gpuvgm.synthesis.counts import Dependence, order_of
from gpuvgm.synthesis.drawing import replaced_rows

_LOG = logging.getLogger("gpuvgm")
LEAST_ROWS = 100  # of a sample, with all columns of a law
LEAST_BROKEN = 20  # of these rows, that break a law where a column has the values of other rows
LEAST_SHARE = 0.02  # of these rows, that do
FEW_ROWS = 20_000  # between which sums, products and orders are looked for
PROBED = 24  # rows that a law is tried on first
LEAST_ADDENDS = 3  # of sums that are found by weights, not by trying all pairs
SOLVED = 1000  # rows from which weights of addends are learnt
NEAR = 0.1  # how far these are from 1 at most, before they are tested
MOST_COLUMNS = 64  # of numbers, between which sums and products are looked for
MOST_KEYS = 1 << 14  # values that decide another column
PROBED_KEYS = 480  # rows that a column that decides another is tried on first
PROBED_REPEATS = 2000  # rows of a column of numbers, of which some repeat others if it decides any
REPEATS = 0.02  # of these rows, that do
LEAST_RISING = 8  # numbers that rise or fall with those which decide them, hardly by chance
HALF = 0.5 + 1e-6  # of a step, by which a computed number may be off
NEAR_STEP = 1e-6  # of a step, by which numbers in order may be off
ROUNDED = 2.0**-51  # of a number of steps, by which it may be off
NOISE = 1e-9  # of a number without a step
WIDE = 0.5  # of the widest column of a sum: what others are computed from is no narrower
FEW_VALUES = 0.5  # of another column's different values, of one that is drawn rather than computed
MOST_POWER = 6  # of ten, as a factor of a product
MISSING = np.inf  # as a number that decides, or is decided
Mask = NDArray[np.bool_]
Sign = Literal["=", "+", "-", "*", "<=", "->"]
AMOUNTS: frozenset[Sign] = frozenset({"=", "+", "-", "*"})
DURATIONS, MOMENTS = "durations", "moments"  # sorts of numbers beside NUMBER, and how those of moments begin


@dataclass(frozen=True, slots=True)
class Law:
    """A law between columns.

    Parameters
    ----------
    sign : {"=", "+", "-", "*", "<=", "->"}
        What makes the target of the operands: the same number, a sum, a difference (of the first one and all others)
        or a product, to the target's step; or "<=", where it is no less; or "->", where each value of the operand has
        one of the target.
    operands : tuple of str
        One or two columns; of sums and differences, two or more.
    target : str
        The column on the right.
    span : {"", "days", "hours", "minutes", "seconds"}
        What numbers count that are the time between dates.
    power : int
        Of "*": the power of ten that the product is multiplied with, -2 where an operand is in percent.
    keys, values : tuple of float
        Of "->": numbers of the operand, ascending, and those of the target; see `codes_of`.
    breaches : int
        Rows that break it.
    apart : int
        Rows where the target is missing and the operands are not, or the other way round.
    """

    sign: Sign
    operands: tuple[str, ...]
    target: str
    span: Span = ""
    power: Annotated[int, whole(-MOST_POWER, MOST_POWER)] = 0
    keys: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    breaches: int = 0
    apart: int = 0

    def __str__(self) -> str:
        if self.sign in ("<=", "->"):
            return f"{self.operands[0]} {self.sign} {self.target}"
        factor = f" {'*' if self.power > 0 else '/'} {10 ** abs(self.power)}" if self.power else ""
        left = f" {self.sign} ".join(self.operands) + factor
        return f"{left} = {self.target}{f' in {self.span}' if self.span else ''}"

    @property
    def holds(self) -> bool:
        """Whether no row breaks it."""
        return not self.breaches

    @property
    def decides(self) -> bool:
        """Whether the target is computed."""
        return self.sign != "<="

    @property
    def is_learnt(self) -> bool:
        """Whether trees draw the target nearly as it is computed, whichever of both columns comes first."""
        return self.sign == "->" and len(self.keys) <= MOST_CATEGORIES

    @property
    def forms(self) -> Iterator[Law]:
        """The law, and others that say the same of each operand."""
        yield self
        first, *others = self.operands
        if self.sign == "=":
            yield replace(self, operands=(self.target,), target=first)
        if self.sign == "+":
            yield replace(self, sign="-", operands=(self.target, *others), target=first)
        if self.sign == "-":
            yield replace(self, sign="+", operands=(self.target, *others), target=first)
        for at, other in enumerate(others if self.sign in ("+", "-") else ()):
            remaining = (*others[:at], *others[at + 1 :])
            operands = (self.target, first, *remaining) if self.sign == "+" else (first, self.target, *remaining)
            yield replace(self, sign="-", operands=operands, target=other)

    @property
    def uncounted(self) -> Law:
        """The law without what rows say of it."""
        return replace(self, breaches=0, apart=0)

    def merge(self, other: Law) -> Law:
        """The law with the counts of both sets of rows."""
        return replace(self, breaches=self.breaches + other.breaches, apart=self.apart + other.apart)

    def counted(self, columns: Mapping[str, FittedColumn], rows: Rows) -> Law:
        """The law with the counts of some rows."""
        outcome = Rule(self, columns).outcome(rows)
        return replace(self, breaches=int(outcome.broken.sum()), apart=int(outcome.apart.sum()))

    def check(self, columns: Mapping[str, FittedColumn]) -> None:
        """Raise ValueError where a law that was loaded is none of the columns."""
        names = (*self.operands, self.target)
        if not all(name in columns and columns[name].is_encoded for name in names) or len({*names}) < len(names):
            raise ValueError(f'the law "{self}" is not of modelled columns')
        is_summed, count = self.sign in ("+", "-"), len(self.operands)
        if (count < 2 if is_summed else count != 1 + (self.sign == "*")) or len(self.keys) != len(self.values):
            raise ValueError(f'the law "{self}" has other parts than such laws')
        if self.power and self.sign != "*":
            raise ValueError(f'the law "{self}" has a factor, but is no product')
        if (self.sign == "->") != bool(self.keys) or list(self.keys) != sorted({*self.keys}):
            raise ValueError(f'the numbers of "{self}" do not ascend')
        _check_kinds(self, columns)


def _check_kinds(law: Law, columns: Mapping[str, FittedColumn]) -> None:
    """Raise InputError, a ValueError, where columns are of a kind that such laws are not of."""
    units = {name: Unit.of(columns[name], law.span) for name in (*law.operands, law.target)}
    if law.sign == "->":
        return
    without = [name for name, unit in units.items() if unit is None]
    without += [law.target] * (not isinstance(columns[law.target], NumericColumn))
    without += [law.operands[0]] * (law.sign == "<=" and not isinstance(columns[law.operands[0]], NumericColumn))
    if without:
        raise InputError(f'laws: "{law}": column "{without[0]}" is not modelled as numbers: declare it "continuous"')
    sorts = [unit.sort for unit in units.values() if unit is not None]
    moments = [sort for sort in sorts if sort.startswith(MOMENTS)]
    if law.sign in ("+", "-") and moments:
        between = NUMBER if law.span else DURATIONS
        letters = "".join("m" if sort in moments else "b" if sort == between else "?" for sort in sorts)
        fits = law.sign + letters in ("+mbm", "+bmm", "-mmb", "-mbm") and len({*moments}) == 1
    else:
        summed = {"*": (NUMBER,), "+": (NUMBER, DURATIONS), "-": (NUMBER, DURATIONS)}.get(law.sign, sorts)
        fits = len({*sorts}) == 1 and sorts[0] in summed and not law.span
    if not fits:
        raise InputError(
            f'laws: "{law}": dates and times have orders, and a time between: "end - start = stay in days", where stay '
            "is a number, and without a unit where it is a duration"
        )


# -- numbers of columns


def codes_of(column: FittedColumn, values: Any) -> Floats:
    """Numbers that tell a column's values apart: places of categories, or numbers, `MISSING` without one.

    They lie where the values do.
    """
    if isinstance(column, CategoricalColumn):
        return column.index.find(values).astype(np.float64)
    numbers = numbers_in(column, values)
    xp = namespace_of(numbers)
    codes: Floats = xp.where(xp.isnan(numbers), MISSING, numbers)
    return codes


def numbers_in(column: FittedColumn, values: Any) -> Floats:
    """Numbers of a column's values, NaN without one, where the values lie."""
    if isinstance(column, CategoricalColumn):
        amounts = np.array([np.nan if category is None else float(category) for category in (*column.categories, None)])
        places = column.index.find(values)
        of_rows: Floats = namespace_of(places).asarray(amounts)[places]
        return of_rows
    assert isinstance(column, NumericColumn)
    return all_numbers(column, values).astype(np.float64) + 0.0  # no minus zero


def values_of_codes(column: FittedColumn, numbers: Floats) -> Any:
    """Values of codes, as `codes_of` gives them, or of numbers with NaN for missing ones."""
    if isinstance(column, CategoricalColumn):
        return column.category_values()(numbers.astype(np.int64))
    assert isinstance(column, NumericColumn)
    return column.codec.plain.decode(np.where(np.isinf(numbers), np.nan, numbers))


def _chosen(mask: Mask, values: Any, others: Any) -> Any:
    """Values where a mask says so, and others elsewhere."""
    if mask.all():
        return values
    places = np.flatnonzero(mask)
    return replaced_rows(others, places, taken(values, places))


# -- laws of rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """What rows say of a law.

    Parameters
    ----------
    broken : ndarray of shape (rows,), bool
        Whether the row breaks it.
    apart : ndarray of shape (rows,), bool
        Whether only one side is missing.
    certain : ndarray of shape (rows,), bool
        Whether the target is what the operands decide.
    """

    broken: Mask
    apart: Mask
    certain: Mask


@dataclass(frozen=True)  # no slots: numbers are cached
class Rule:
    """A law on rows of fitted columns."""

    law: Law
    columns: Mapping[str, FittedColumn]

    @property
    def target(self) -> FittedColumn:
        """The column on the right."""
        return self.columns[self.law.target]

    def outcome(self, rows: Rows) -> Outcome:
        """What rows say of the law."""
        names = (*self.law.operands, self.law.target)
        if self.law.sign == "->":
            operand, codes = self._read(codes_of, names, rows)
            numbers = self.decided(operand)
            xp = namespace_of(numbers)
            is_known = ~xp.isnan(numbers)
            apart = is_known & xp.isinf(codes) & ~xp.isinf(numbers)
            broken = is_known & ~apart & (numbers != codes)
            return Outcome(broken, apart, is_known & ~apart & ~broken)
        *sides, numbers = self._read(numbers_in, names, rows)
        expected = self._amounts(sides)
        xp = namespace_of(numbers)
        is_sum = self.law.sign in {"+", "-", "<="}
        # A difference of nearly equal numbers is off by as much as they are.
        largest = xp.maximum(xp.abs(expected), xp.abs(sides[0])) if is_sum else xp.abs(expected)
        if self.law.sign == "<=":
            none = xp.zeros(len(numbers), np.bool_)
            return Outcome(numbers < expected - self._tolerance(largest), none, none)
        apart = xp.isnan(numbers) != xp.isnan(expected)
        broken = xp.abs(numbers - expected) > self._tolerance(largest)
        both_missing = xp.isnan(numbers) & xp.isnan(expected) & (self.law.apart == 0)
        return Outcome(broken, apart, ~apart & ~broken & (~xp.isnan(numbers) | both_missing))

    def numbers(self, rows: Rows) -> Floats:
        """Numbers of the target that the operands decide, as `numbers_in` or, of "->", as `codes_of` gives them.

        NaN stands where they are missing; of "->", where it decides nothing.
        """
        if self.law.sign == "->":
            return self.decided(*self._read(codes_of, self.law.operands, rows))
        return self._amounts(self._read(numbers_in, self.law.operands, rows))

    def _read(self, read: Callable[[FittedColumn, Any], Floats], names: Sequence[str], rows: Rows) -> list[Floats]:
        """What a function reads of columns, where the first of them lies."""
        first, *others = (read(self.columns[name], rows(name)) for name in names)
        return [first, *(beside(numbers, first) for numbers in others)]

    @property
    def leaves_rows(self) -> bool:
        """Whether what is drawn of the target stands in some rows: where it is missing, or the operand's value rare."""
        operand = self.columns[self.law.operands[0]]
        has_every_key = isinstance(operand, CategoricalColumn) and len(self.law.keys) == len(operand.categories)
        return self.law.apart > 0 or (self.law.sign == "->" and not has_every_key)

    def decided(self, codes: Floats) -> Floats:
        """Numbers of the target by codes of the operand; NaN by those that the law does not know."""
        xp = namespace_of(codes)
        keys, values = map(xp.asarray, self._table)
        places = xp.minimum(xp.searchsorted(keys, codes), len(keys) - 1)
        decided: Floats = xp.where(keys[places] == codes, values[places], np.nan)
        return decided

    def between(self, rows: Rows) -> Floats:
        """Numbers of the target by those of the operand that the law does not know, between those of neighbours.

        NaN unless all that it knows rise with those of the operand, or all fall: else neighbours say nothing.
        """
        (codes,) = self._read(codes_of, self.law.operands, rows)
        keys, values = (table[np.all(np.isfinite(self._table), axis=0)] for table in self._table)
        steps = np.diff(values)
        columns = [self.columns[name] for name in (*self.law.operands, self.law.target)]
        are_numbers = all(isinstance(column, NumericColumn) for column in columns)
        if not are_numbers or len(keys) < LEAST_RISING or not (np.all(steps > 0) or np.all(steps < 0)):
            return np.full(len(codes), np.nan)
        slopes, finite = steps / np.diff(keys), np.where(np.isfinite(codes), codes, keys[0])
        beyond = slopes[0] * np.minimum(finite - keys[0], 0) + slopes[-1] * np.maximum(finite - keys[-1], 0)
        numbers = np.clip(np.interp(finite, keys, values) + beyond, *self.range)
        return np.where(np.isfinite(codes), numbers, np.nan)

    def rare_bins(self, bins: Bins) -> Mask:
        """Which bins of the target hold rare categories alone, which are not to stand beside those of the operand."""
        operand, target = self.columns[self.law.operands[0]], self.target
        if not isinstance(operand, CategoricalColumn) or not isinstance(target, CategoricalColumn):
            return np.zeros(len(bins), np.bool_)
        are_rare = np.array(target.counts)[bins.low.astype(np.int64)] < LISTED_ROWS
        rare: Mask = np.logical_and.reduceat(are_rare, bins.first[:-1])
        return rare

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        return np.array(self.law.keys), np.array(self.law.values)

    def _amounts(self, sides: Sequence[Floats]) -> Floats:
        """The left side in numbers of the target, of those of the operands."""
        units = [Unit.of(self.columns[name], self.law.span) for name in (*self.law.operands, self.law.target)]
        assert all(units)
        *of_sides, own = [unit for unit in units if unit is not None]
        if self.law.sign == "*":
            product, other = (unit.amounts(side) for unit, side in zip(of_sides, sides, strict=True))
            of_both: Floats = product * other / float(own.factor / Fraction(10) ** self.law.power) - own.base
            return of_both
        signs = (1, *([-1 if self.law.sign == "-" else 1] * (len(of_sides) - 1)))
        # Bases are added exactly: only differences between numbers may be rounded.
        weights = [sign * unit.factor / own.factor for sign, unit in zip(signs, of_sides, strict=True)]
        shift = sum((weight * unit.base for weight, unit in zip(weights, of_sides, strict=True)), Fraction(-own.base))
        total: Floats = float(weights[0]) * sides[0]
        for weight, side in zip(weights[1:], sides[1:], strict=True):
            total = total + float(weight) * side
        return total + float(shift) + 0.0

    def _tolerance(self, numbers: Floats) -> Floats | float:
        """By how much numbers of the target may be off, by the largest numbers that they are made of."""
        assert isinstance(self.target, NumericColumn)
        plain = self.target.codec.plain
        if self.law.sign == "<=":
            return NEAR_STEP * plain.spacing + ROUNDED * numbers if plain.spacing else 0.0
        return HALF * plain.spacing if plain.spacing else NOISE * numbers

    @cached_property
    def range(self) -> tuple[float, float]:
        """Least and largest number of the target in the training rows."""
        column = self.target
        if not isinstance(column, NumericColumn) or column.minimum is None or column.maximum is None:
            return -np.inf, np.inf
        ends = [*range_of(column), *map(column.codec.plain.number, column.modal_numbers)]
        return float(np.nanmin(ends)), float(np.nanmax(ends))

    @property
    def is_on_steps(self) -> bool:
        """Whether sums or differences of any values of the operands lie on the target's steps."""
        own, *steps = (self._step(name) for name in (self.law.target, *self.law.operands))
        if not own:
            return isinstance(self.target, NumericColumn)
        return all(step >= own / 2 and abs(step / own - np.rint(step / own)) < NOISE * step / own for step in steps)

    def _step(self, name: str) -> float:
        """Distance of a column's neighbouring values in a common unit; 0 where they lie anywhere, or are categories."""
        column, unit = self.columns[name], Unit.of(self.columns[name], self.law.span)
        step = column.codec.plain.spacing if isinstance(column, NumericColumn) else 0
        return 0.0 if unit is None else float(unit.factor) * step

    def as_target(self, values: Any, way: Callable[[Floats], Floats]) -> Any:
        """Values of an order's operand as those of the target, on the next of its steps some way."""
        assert isinstance(self.target, NumericColumn)
        numbers = self._amounts([numbers_in(self.columns[self.law.operands[0]], values)])
        if step := self.target.codec.plain.spacing:
            steps = numbers / step
            nearest = np.rint(steps)
            numbers = np.where(np.abs(steps - nearest) < NEAR_STEP, nearest, way(steps)) * step
        return values_of_codes(self.target, numbers)

    @property
    def swaps(self) -> bool:
        """Whether the two columns of an order can take each other's values."""
        one, other = (self.columns[name] for name in (*self.law.operands, self.law.target))
        assert isinstance(one, NumericColumn) and isinstance(other, NumericColumn)
        same_type = one.decoded_type == one.type == other.type == other.decoded_type  # text may be written otherwise
        return bool(same_type and one.codec.plain.spacing == other.codec.plain.spacing)


@dataclass(frozen=True)  # no slots: rules are cached
class LawKeeper:
    """Makes drawn rows keep laws.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The columns.
    laws : sequence of Law
        The laws.
    origins : mapping of str to str
        Columns whose values are made of another one's, each with that one; see `origins_of`.
    """

    columns: Mapping[str, FittedColumn]
    laws: Sequence[Law]
    origins: Mapping[str, str]

    @cached_property
    def _orders(self) -> list[Rule]:
        return [Rule(law, self.columns) for law in self.laws if not law.decides]

    @cached_property
    def _deciding(self) -> dict[str, Rule]:
        """Laws that compute, by their target, each after those that its operands are computed by."""
        return {law.target: Rule(law, self.columns) for law in _in_order(self.laws)}

    @cached_property
    def changed(self) -> frozenset[str]:
        """Columns whose values may be others than those drawn."""
        of_orders = (name for rule in self._orders for name in (*rule.law.operands, rule.law.target))
        return self.computed | {*of_orders}

    @property
    def computed(self) -> frozenset[str]:
        """Columns whose values are computed."""
        return frozenset(self._deciding)

    def in_turn(self, order: Sequence[str]) -> LawKeeper:
        """The same with the laws alone that can be kept when the turn of their target comes, in an order of columns.

        Then all that it is made of is drawn, and final: of columns that trees draw nearly as they are computed, what is
        drawn is as good.
        """
        place = {name: at for at, name in enumerate(order)}
        laws, late = [rule.law for rule in self._orders], set[str]()
        for name, rule in self._deciding.items():
            keeper = replace(self, laws=(*laws, rule.law))
            sources = keeper.sources(name)
            if late.isdisjoint(sources) and all(place[one] < place[name] for one in sources):
                laws.append(rule.law)
            elif not rule.law.is_learnt:
                late.add(name)
        return replace(self, laws=laws)

    def sources(self, name: str) -> set[str]:
        """Columns that the values of a column are made of in the end."""
        return Dependence(made_of=made_of(self.laws)).counted_from(self.origins).sources(name)

    def is_circular(self, name: str) -> bool:
        """Whether a computed column is made of what is counted from it."""
        return name in self.sources(name)

    def restricted(self, bins: Mapping[str, Bins], name: str, condition: Any) -> dict[str, Bins]:
        """Bins such that a computed column may meet a condition: those of the values that decide it, or its own.

        Drawn rows are to be tested.

        Raises
        ------
        InputError
            Where no value that may be drawn decides one that meets the condition.
        """
        root, target = self.root(name), self.columns[name]
        if root is not None and bins[root[0]].since is None:
            first, keys, codes = root
            known = np.flatnonzero(~np.isnan(codes))
            meets = row_finder(target, condition)(values_of_codes(target, codes[known]))
            if bins[first].clock is None:
                own = restricted_without(self.columns[first], bins[first], keys[known[~meets]])
            else:
                own = restricted_to(self.columns[first], bins[first], keys[known[meets]])
            if not np.any(own.mass > 0):
                law = next(law for law in self.laws if law.target == name)
                raise InputError(f'conditions: column "{name}": no row meets {condition!r} and keeps the law "{law}"')
            return {first: own}
        return {name: restricted(target, bins[name], condition)} if root is None else {}

    def root(self, name: str) -> tuple[str, Floats, Floats] | None:
        """The column that decides another one, in the end, with its codes and those of the other; None without one.

        Codes of the other are NaN where those of the column decide none.
        """
        path = list[Rule]()
        while name in self._deciding and self._deciding[name].law.sign == "->":
            path.append(self._deciding[name])
            name = path[-1].law.operands[0]
        if not path:
            return None
        column = self.columns[name]
        if isinstance(column, CategoricalColumn):
            keys = np.arange(len(column.categories), dtype=np.float64)
        else:
            keys = np.array(path[-1].law.keys)
        codes = keys
        for rule in reversed(path):
            codes = rule.decided(codes)
        return name, keys, codes

    def ordered(self, rows: Rows, names: Collection[str] | None = None) -> tuple[dict[str, Any], Mask | bool]:
        """Columns of orders, put in order, and rows that break an order still.

        Of some columns alone, and those that they are in order with.
        """
        beside = None if names is None else set[str]().union(*map(self._in_order_with.sources, names))
        rules = [rule for rule in self._orders if beside is None or rule.law.target in beside]
        arrays: dict[str, Any] = {}

        def current(name: str) -> Any:
            return arrays[name] if name in arrays else rows(name)

        unordered: Mask | bool = False
        for _ in (None, *rules):  # as often as a value may move along them, and once to see
            unordered = False
            for rule in rules:
                changed, broken = _put_in_order(rule, current)
                arrays |= changed
                unordered = unordered | broken
            if not np.any(unordered):
                break
        return arrays, unordered

    @cached_property
    def _in_order_with(self) -> Dependence:
        return Dependence(made_of=made_of([rule.law for rule in self._orders]))

    def values(self, name: str, rows: Rows, drawn: Rows) -> tuple[Any, Mask]:
        """Values of a computed column, and which of them lie beyond its range.

        Parameters
        ----------
        name : str
            The column.
        rows : callable
            Gives the values of what it is computed from.
        drawn : callable
            Gives what was drawn of it; asked only where laws leave some rows to that.
        """
        rule = self._deciding[name]
        ordered, _ = self.ordered(rows, rule.law.operands)
        return _computed(rule, lambda one: ordered[one] if one in ordered else rows(one), drawn)


def made_of(laws: Iterable[Law]) -> dict[str, set[str]]:
    """Columns that values of others are made of by laws: what computes them, and what they are in order with."""
    columns: dict[str, set[str]] = {}
    for law in laws:
        columns.setdefault(law.target, set()).update(law.operands)
        if not law.decides:
            columns.setdefault(law.operands[0], set()).add(law.target)
    return columns


def _in_order(laws: Iterable[Law]) -> list[Law]:
    """Laws that compute, each after those that its operands are computed by.

    Raises
    ------
    ValueError
        Where columns are computed from each other.
    """
    remaining, ordered = {law.target: law for law in laws if law.decides}, list[Law]()
    while remaining:
        ready = [law for law in remaining.values() if not any(name in remaining for name in law.operands)]
        if not ready:
            raise ValueError(f"laws compute {listed([*remaining])} from each other")
        ordered += ready
        for law in ready:
            del remaining[law.target]
    return ordered


def check_laws(laws: Sequence[Law], columns: Mapping[str, FittedColumn]) -> None:
    """Raise ValueError where laws that were loaded do not fit the columns, or each other."""
    for law in laws:
        law.check(columns)
    if len(_in_order(laws)) < sum(law.decides for law in laws):
        raise ValueError("two laws compute the same column")


def _put_in_order(rule: Rule, rows: Rows) -> tuple[dict[str, Any], Mask]:
    """Columns of an order, swapped in the rows that break it if they can be; and these rows.

    On other steps they are rounded.
    """
    broken = rule.outcome(rows).broken
    if not broken.any():
        return {}, broken
    name, other = *rule.law.operands, rule.law.target
    own, others = one, another = rows(name), rows(other)
    if not rule.swaps:
        back = Rule(replace(rule.law, operands=(other,), target=name), rule.columns)
        own, others = rule.as_target(one, np.ceil), back.as_target(another, np.floor)
    return {name: _chosen(broken, others, one), other: _chosen(broken, own, another)}, broken


def _computed(rule: Rule, rows: Rows, drawn: Rows) -> tuple[Any, Mask]:
    """Values of a law's target, and which of them lie beyond its range."""
    numbers, (low, high) = rule.numbers(rows), rule.range
    if not rule.leaves_rows:
        return values_of_codes(rule.target, numbers), _beyond(numbers, low, high)
    own = drawn(rule.law.target)
    codes = codes_of(rule.target, own)
    if rule.law.apart:  # which values are missing is drawn
        numbers = np.where(np.isinf(codes), np.nan, numbers)
    if rule.law.sign == "->":
        numbers = np.where(np.isnan(numbers) & ~np.isinf(codes), rule.between(rows), numbers)
    decided = np.flatnonzero(~np.isnan(numbers))
    values = replaced_rows(own, decided, values_of_codes(rule.target, numbers[decided]))
    return values, _beyond(numbers, low, high)


def _beyond(numbers: Floats, low: float, high: float) -> Mask:
    """Which numbers lie beyond a range; an infinite one is a missing one."""
    return np.isfinite(numbers) & ((numbers < low) | (numbers > high))


# -- which laws there are


@dataclass(frozen=True)  # no slots: numbers are cached
class LawSearch:
    """Looks for laws in a sample of rows.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The modelled columns.
    rows : callable
        Gives the rows of a column in this sample.
    dependence : Dependence
        Which columns may depend on which.
    drawn : sequence of str
        Columns that are to have conditions, which no sum or product is then.
    engine : Engine
        Compute engine.
    persons : Persons
        Whose the rows are: a value that decides another needs rows of several.
    """

    columns: Mapping[str, FittedColumn]
    rows: Rows
    dependence: Dependence
    drawn: Sequence[str]
    engine: Engine
    persons: Persons

    def laws(self, wanted: str | Sequence[str], refuted: Set[str]) -> tuple[Law, ...]:
        """Laws of the rows.

        Parameters
        ----------
        wanted : str or sequence of str
            As `laws` of `TableSynthesizer`.
        refuted : set of str
            Laws that some row breaks, whatever the sample says.

        Raises
        ------
        InputError
            For what is no law of the columns, or cannot be kept beside others.
        """
        texts = texts_of(wanted)
        without = [self._parse(text.removeprefix("not ")) for text in texts if text.startswith("not ")]
        declared = [self._parse(text) for text in texts if not text.startswith("not ") and text not in ("auto", "off")]
        chosen: list[Law] = []
        for law in declared:
            if str(law) not in refuted and not self._fits(law, chosen):
                why = "is computed already, is to have conditions, or is one of those of a key"
                raise InputError(f'laws: "{law}" cannot be kept beside the others: "{law.target}" {why}')
            self._choose(chosen, [law], refuted)
        if "auto" in texts and len(self._shuffled) >= LEAST_ROWS:
            forbidden = {*refuted, *(str(form) for law in without for form in law.forms)}
            for search in (self._deciders, self._products, self._sums, self._orders):  # sums have several forms
                for forms in search():
                    self._choose(chosen, forms, forbidden)
        return _without_implied(chosen)

    def _choose(self, chosen: list[Law], forms: Iterable[Law], forbidden: Set[str]) -> None:
        """Add the first of some forms of a law that fits the others, unless it is forbidden or there already."""
        law = next((form for form in forms if self._fits(form, chosen)), None)
        if law is not None and str(law) not in {*forbidden, *map(str, chosen)}:
            chosen.append(law)

    def _fits(self, law: Law, chosen: Sequence[Law]) -> bool:
        """Return whether a law's target can be made so beside other laws."""
        decided = {one.target: one for one in chosen if one.decides}
        if not law.decides:
            pair = (*law.operands, law.target)
            both_ways = self.dependence.allows(*pair) and self.dependence.allows(*pair[::-1])
            return both_ways and not any(name in decided for name in pair)
        drawn = self.drawn if law.sign in AMOUNTS else ()
        is_free = law.target not in {*decided, *drawn, *_sources(law.operands, decided)}
        return is_free and all(self.dependence.allows(law.target, name) for name in law.operands)

    @cached_property
    def _order(self) -> list[str]:
        """The columns in the order in which they would be drawn without laws, by few rows."""
        ranks = {}
        for name, codes in self._codes.items():
            distinct, places = np.unique(codes[self._shuffled[:FEW_ROWS]], return_inverse=True)
            ranks[name] = AskedColumn(places.astype(np.uint16), len(distinct), is_category=False)
        return order_of(ranks, replace(self.dependence, first=tuple(self.drawn)), self.engine)

    # -- columns that decide others

    @cached_property
    def _codes(self) -> dict[str, Floats]:
        return {name: codes_of(column, self.rows(name)) for name, column in self.columns.items()}

    @cached_property
    def _shuffled(self) -> Ints:
        """The rows in another order, the same for equally many."""
        some = next(iter(self._codes.values()), np.empty(0))
        return np.random.default_rng(0).permutation(len(some))

    def _deciders(self) -> Iterator[list[Law]]:
        """Yield laws of columns that others decide, the one drawn last first: by the one with the fewest values.

        Numbers decide categories only where these do not decide them, because new numbers may be drawn.
        """
        groups = {name: keys for name in self.columns if (keys := self._keys(name)) is not None}
        fewest_first = sorted(groups, key=lambda name: len(groups[name].distinct))
        names, few = [*self.columns], self._shuffled[:PROBED_KEYS]
        probes = np.array([codes[few] for codes in self._codes.values()])
        pairs = (
            (name, names[at])
            for name in fewest_first
            for at in np.flatnonzero(groups[name].at(few).may_decide(probes)).tolist()
            if name != names[at]
        )
        laws = [law for name, target in pairs if (law := self._decided(target, name, groups[name])) is not None]

        def rank(law: Law) -> tuple[bool, int]:
            is_category = [isinstance(self.columns[name], CategoricalColumn) for name in (*law.operands, law.target)]
            return is_category == [False, True], -self._order.index(law.target)

        yield from ([law] for law in sorted(laws, key=rank))

    def _keys(self, name: str) -> _Keys | None:
        """The values of a column, and those of the rows; None where they are too many, or come back in too few rows."""
        codes, is_category = self._codes[name], isinstance(self.columns[name], CategoricalColumn)
        probe = codes[self._shuffled[:PROBED_REPEATS]]
        if not is_category and len(np.unique(probe)) > (1 - REPEATS) * len(probe):
            return None
        keys = _Keys(*np.unique(codes, return_inverse=True), self.persons)
        come_back = is_category or np.mean(keys.usual(np.zeros(len(codes)))[keys.of_rows]) >= LISTED
        return keys if come_back and len(keys.distinct) <= MOST_KEYS else None

    def _decided(self, target: str, name: str, keys: _Keys) -> Law | None:
        """The law that a column decides another one, if the rows obey it and tell of it."""
        codes = self._codes[target]
        values = keys.values(codes)
        if np.any(np.isfinite(codes) & (values[keys.of_rows] != codes)):
            return None
        others, usual = codes[self._shuffled], keys.usual(codes)
        broken = np.count_nonzero(np.isfinite(others) & (values[keys.of_rows] != others))
        if isinstance(self.columns[name], NumericColumn):
            broken = np.minimum(broken, keys.told_from_next(codes))
        if broken < LEAST_BROKEN or np.mean(usual[keys.of_rows]) < LISTED:
            return None
        return Law(
            "->", (name,), target, keys=tuple(keys.distinct[usual].tolist()), values=tuple(values[usual].tolist())
        )

    # -- sums, products and orders

    @cached_property
    def _numbers(self) -> dict[str, tuple[str, Floats]]:
        """Sort and values of the columns of numbers, the latter of few rows for tests on pairs of columns."""
        units = {name: unit for name, column in self.columns.items() if (unit := Unit.of(column)) is not None}
        numbers = {name: numbers_in(self.columns[name], self._few(name)) for name in units}
        return {
            name: (unit.sort, float(unit.factor) * numbers[name] + float(unit.factor * unit.base))
            for name, unit in units.items()
        }

    @cached_property
    def _few_rows(self) -> dict[str, Any]:
        """Few rows of the columns of numbers, shuffled."""
        amounts = {name: column for name, column in self.columns.items() if Unit.of(column) is not None}
        return {name: taken(self.rows(name), self._shuffled[:FEW_ROWS]) for name in amounts}

    def _few(self, name: str) -> Any:
        return self._few_rows[name]

    def _holds(self, law: Law) -> bool:
        """Return whether few rows obey a law, and would not if a column on its left had the values of other rows."""
        rule = Rule(law, self.columns)
        outcome = rule.outcome(self._few)
        present = [~np.isnan(self._numbers[name][1]) for name in (*law.operands, law.target)]
        rows = np.count_nonzero(np.all(present, axis=0))
        if outcome.broken.any() or rows < LEAST_ROWS:
            return False
        least = max(LEAST_BROKEN, LEAST_SHARE * rows)
        return all(np.count_nonzero(rule.outcome(self._with_others(name)).broken) >= least for name in law.operands)

    def _with_others(self, shifted: str) -> Rows:
        """Few rows, in which a column has the values of other ones."""

        def rows(name: str) -> Any:
            values = self._few(name)
            return taken(values, np.roll(np.arange(len(values)), 1)) if name == shifted else values

        return rows

    def _tolerances(self, names: Sequence[str], numbers: Floats, span: Span = "") -> Floats:
        """How far numbers of columns may be from computed ones, by rounding."""
        tolerances = NOISE * np.abs(numbers)
        for at, name in enumerate(names):
            column: Any = self.columns[name]
            unit, spacing = Unit.of(column, span), column.codec.plain.spacing
            if spacing and unit is not None:
                tolerances[at] = HALF * spacing * float(unit.factor)
        return tolerances

    def _candidates(self, sign: Sign) -> Iterator[Law]:
        """Yield laws of two operands, or one, that the first few rows obey."""
        names = [name for name, (sort, _) in self._numbers.items() if sort == NUMBER][:MOST_COLUMNS]
        numbers = {name: self._numbers[name][1][:PROBED] for name in names}
        targets = [name for name in names if isinstance(self.columns[name], NumericColumn)]
        own = np.array([numbers[name] for name in targets]).reshape(len(targets), PROBED)
        tolerances = self._tolerances(targets, own)
        for operands in combinations(names, 1 if sign == "=" else 2):
            parts = [numbers[name] for name in operands]
            with np.errstate(over="ignore"):  # what is infinite is no number of the table
                results = np.prod(parts, axis=0) if sign == "*" else np.sum(parts, axis=0)
                are_off = np.any(np.abs(results - own) > tolerances, axis=1)
            for at in np.flatnonzero(~are_off):
                if targets[at] not in operands:
                    yield Law(sign, operands, targets[at])
            if sign == "*":
                powers = _powers(results, own)
                with np.errstate(over="ignore"):
                    off = np.abs(results * 10.0 ** powers[:, None] - own) > tolerances
                for at in np.flatnonzero((powers != 0) & ~np.any(off, axis=1)):
                    if targets[at] not in operands:
                        yield Law(sign, operands, targets[at], power=int(powers[at]))

    def _times_between(self) -> Iterator[Law]:
        """Yield laws of two dates and the time between them, that the first few rows obey."""
        probes = {name: (sort, own[:PROBED]) for name, (sort, own) in self._numbers.items()}
        moments = [(name, *one) for name, one in probes.items() if one[0].startswith(MOMENTS)]
        for span in ("", *SPANS) if len(moments) > 1 else ():
            sort = NUMBER if span else DURATIONS
            targets = [name for name, column in self.columns.items() if isinstance(column, NumericColumn)]
            targets = [name for name in targets if probes[name][0] == sort]
            spans = np.array([probes[name][1] * SPANS.get(span, 1) for name in targets]).reshape(len(targets), PROBED)
            tolerances = self._tolerances(targets, spans, span)
            for (name, own_sort, numbers), (other, other_sort, others) in permutations(moments, 2):
                if own_sort == other_sort:
                    for at in np.flatnonzero(~np.any(np.abs(numbers - others - spans) > tolerances, axis=1)):
                        yield Law("-", (name, other), targets[at], span)

    def _sums(self) -> Iterator[list[Law]]:
        """Yield the forms of equal columns and of sums that compute a wide column; see `_rank`."""
        found = set[str]()
        for law in (*self._candidates("="), *self._candidates("+"), *self._times_between()):
            if self._holds(law):
                found |= {law.target} if law.sign != "-" else set()
                yield self._wide_forms(law)
        yield from map(self._wide_forms, self._long_sums(found))

    def _wide_forms(self, law: Law) -> list[Law]:
        """The forms of a law that compute a column which is not narrow beside the others, the best first."""
        numbers = {form.target: self._numbers[form.target][1] for form in law.forms}
        scales = {name: SPANS.get(law.span, 1) if self._numbers[name][0] == NUMBER else 1 for name in numbers}
        widths = {name: float(np.nanstd(own)) * scales[name] for name, own in numbers.items()}
        wide = [
            form
            for form in law.forms
            if widths[form.target] >= WIDE * max(widths.values())
            and isinstance(self.columns[form.target], NumericColumn)
            and self._holds(form)
        ]
        return sorted(wide, key=self._rank)

    def _rank(self, form: Law) -> tuple[bool, bool, bool, int]:
        """Which form of a law is best: where what is missing says itself, and the column that is drawn last.

        Of three addends and more none is computed: it would often lie beyond its range. Nor is a column with few
        different values beside another one: sums would be others.
        """
        is_addend = len(form.operands) >= LEAST_ADDENDS and form.sign == "-"
        says_missing = not Rule(form, self.columns).outcome(self._few).apart.any()
        distinct = [len(np.unique(self._numbers[name][1])) for name in (form.target, *form.operands)]
        has_few_values = distinct[0] < FEW_VALUES * max(distinct)
        return is_addend, not says_missing, has_few_values, -self._order.index(form.target)

    def _long_sums(self, sums: Collection[str]) -> Iterator[Law]:
        """Yield sums of three columns and more, whose least squares on few rows have a weight of 1 for each addend.

        Weights are not negative, as by `scipy.optimize.nnls`. What is a sum already is no addend, for weights might be
        shared between both.
        """
        names = [name for name, (sort, _) in self._numbers.items() if sort == NUMBER][:MOST_COLUMNS]
        if len(names) <= LEAST_ADDENDS:
            return
        targets, found, more = [name for name in names if isinstance(self.columns[name], NumericColumn)], {*sums}, True
        squares = _LeastSquares.of({name: self._numbers[name][1][:SOLVED] for name in names})
        while more:
            more = False
            for target in (name for name in targets if name not in found):
                addends = squares.addends(target, [name for name in names if name not in found and name != target])
                law = Law("+", addends, target)
                if len(addends) >= LEAST_ADDENDS and self._holds(law):
                    found.add(target)
                    more = True
                    yield law

    def _products(self) -> Iterator[list[Law]]:
        """Yield products."""
        yield from ([law] for law in self._candidates("*") if self._holds(law))

    def _orders(self) -> Iterator[list[Law]]:
        """Yield orders of columns whose ranges overlap."""
        own = {name: one for name, one in self._numbers.items() if isinstance(self.columns[name], NumericColumn)}
        present = {name: numbers[~np.isnan(numbers)] for name, (_, numbers) in own.items()}
        lowest = {name: numbers.min(initial=np.inf) for name, numbers in present.items()}
        highest = {name: numbers.max(initial=-np.inf) for name, numbers in present.items()}
        names, probes = [*own], np.array([numbers[:PROBED] for _, numbers in own.values()])
        for name, (sort, numbers) in own.items():
            for other in (names[at] for at in np.flatnonzero(_are_in_order(numbers[:PROBED], probes))):
                other_sort, others = own[other]
                if name == other or sort != other_sort or highest[name] <= lowest[other]:
                    continue
                with np.errstate(over="ignore"):  # of the largest floats
                    differ = bool(np.any(others - numbers > NOISE * np.abs(others)))
                if differ and _are_in_order(numbers, others) and self._holds(Law("<=", (name,), other)):
                    yield [Law("<=", (name,), other)]

    # -- laws that users write

    def _parse(self, text: str) -> Law:
        """The law of a text."""
        sides: tuple[Sign, ...] = ("<=", "->")
        for sign in sides:
            for left, right in _splits(text, sign):
                if left in self.columns and right in self.columns:
                    return self._complete(Law(sign, (left,), right))
        between = re.fullmatch(r"(.*) in (days|hours|minutes|seconds)", text)
        span: Any = between[2] if between and text.rpartition(" = ")[2].strip() not in self.columns else ""
        for left, right in _splits(between[1] if between and span else text, "="):
            if left in self.columns and right in self.columns:
                return self._complete(Law("=", (left,), right))
            for other, operands, power in _left_sides(left):
                if {*operands, right} <= {*self.columns}:
                    return self._complete(Law(other, operands, right, span, power))
        raise InputError(
            f"laws: {text!r} is no law of the modelled columns {', '.join(self.columns)}; laws are written "
            '"a + b = c", "a - b = c", "a * b = c", "a * b / 100 = c", "a = b", "a <= b", "a -> b" and '
            '"end - start = stay in days", with blanks around the signs'
        )

    def _complete(self, law: Law) -> Law:
        """A law that a user wrote, which is of columns that have such laws; with the values that a column decides."""
        _check_kinds(law, self.columns)
        if law.sign != "->":
            return law
        codes, own = (self._codes[name] for name in (*law.operands, law.target))
        keys = _Keys(*np.unique(codes, return_inverse=True), self.persons)
        values, usual = keys.values(own), keys.usual(own)
        if not usual.any():
            whose = " that are not of fewer keys" if self.persons.keys else ""
            raise InputError(
                f'laws: "{law}": no value of "{law.operands[0]}" has {LISTED_ROWS} rows of the sample{whose}'
            )
        return replace(law, keys=tuple(keys.distinct[usual].tolist()), values=tuple(values[usual].tolist()))


def _are_in_order(lower: Floats, upper: Floats) -> Any:
    """Whether no number is above another one by more than moments are rounded, along the last axis."""
    with np.errstate(over="ignore"):  # of the largest floats
        return ~np.any(lower - upper > NOISE * np.abs(upper), axis=-1)


def _powers(products: Floats, numbers: Floats) -> Ints:
    """Powers of ten that make products nearest to numbers, on average.

    Parameters
    ----------
    products : ndarray of shape (rows,)
        Products of two columns, NaN where one is missing.
    numbers : ndarray of shape (columns, rows)
        Numbers of the columns that they may make.

    Returns
    -------
    ndarray of shape (columns,), int64
        The power for each column; 0 where all are zero.
    """
    both = ~(np.isnan(products) | np.isnan(numbers))
    with np.errstate(over="ignore"):
        sums = [
            np.minimum(np.where(both, np.abs(some), 0).sum(axis=1), np.finfo(float).max) for some in (numbers, products)
        ]
    logarithms = [np.log10(np.where(np.minimum(*sums) > 0, some, 1)) for some in sums]
    powers: Ints = np.rint(np.clip(logarithms[0] - logarithms[1], -MOST_POWER, MOST_POWER)).astype(np.int64)
    return powers


@dataclass(frozen=True, slots=True)
class _Keys:
    """The different codes of a column, which of them each row has, and whose the rows are."""

    distinct: Floats
    of_rows: Ints
    persons: Persons

    def at(self, places: Ints) -> _Keys:
        """The same values, and which of them some rows have."""
        return _Keys(self.distinct, self.of_rows[places], self.persons.at(places))

    def may_decide(self, others: Floats) -> Mask:
        """Which other columns, shape (columns, rows), have one code in rows of a key, as neighbours of these say."""
        order = np.argsort(self.of_rows, kind="stable")
        same = np.diff(self.of_rows[order]) == 0
        one, next_one = others[:, order[:-1][same]], others[:, order[1:][same]]
        decided: Mask = ~np.any(np.isfinite(one) & np.isfinite(next_one) & (one != next_one), axis=1)
        return decided

    def values(self, own: Floats) -> Floats:
        """By each value the code of another column, in the last row that has one; `MISSING` where none has."""
        present, values = np.isfinite(own), np.full(len(self.distinct), MISSING)
        values[self.of_rows[present]] = own[present]
        return values

    def usual(self, own: Floats) -> Mask:
        """Which values have one of another column in rows of enough persons, or are without it in as many."""
        with_one = np.bincount(self.of_rows[np.isfinite(own)], minlength=len(self.distinct)) > 0
        counted = np.where(np.isfinite(own) | ~with_one[self.of_rows], self.of_rows, -1)
        return self.persons.counts(counted, len(self.distinct)) >= LISTED_ROWS

    def told_from_next(self, own: Floats) -> int:
        """Rows that agree with another of their value on a code of another column that the next value does not have.

        Only these tell that numbers decide a column, not that it hardly differs between numbers as near: where a
        threshold parts numbers with a few rows each, hardly any rows of one number could lie on both of its sides.
        """
        values, with_one = self.values(own), np.bincount(self.of_rows[np.isfinite(own)], minlength=len(self.distinct))
        differs = np.isfinite(values[1:]) & np.isfinite(values[:-1]) & (values[1:] != values[:-1])
        return int(np.sum(np.maximum(with_one[:-1] - 1, 0)[differs]))


@dataclass(frozen=True, slots=True)
class _LeastSquares:
    """Columns of numbers, of which some may be sums of others.

    Parameters
    ----------
    places : dict of str to int
        Which column of `numbers` each is.
    numbers : ndarray of shape (rows, columns)
        Their numbers, each divided by its scale; NaN where there is none.
    scales : ndarray of shape (columns,)
        Their largest absolute numbers.
    triangles : dict of bytes to ndarray of shape (columns or fewer, columns)
        By rows, R of the QR decomposition of the numbers there, 0 for NaN: distances are the same, of few rows.
    """

    places: dict[str, int]
    numbers: Floats
    scales: Floats
    triangles: dict[bytes, Floats]

    @classmethod
    def of(cls, columns: Mapping[str, Floats]) -> _LeastSquares:
        """The columns."""
        numbers = np.stack(list(columns.values()), axis=1)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        scales = np.maximum(np.max(np.abs(np.nan_to_num(numbers)), axis=0), np.finfo(np.float64).tiny)
        return cls({name: at for at, name in enumerate(columns)}, numbers / scales, scales, {})

    def addends(self, target: str, names: Sequence[str]) -> tuple[str, ...]:
        """Columns with a weight of 1 or near it, where the weighted sum of some is nearest to another column."""
        own, others = self.places[target], [self.places[name] for name in names]
        rows = ~np.isnan(self.numbers[:, own])
        if len(names) < LEAST_ADDENDS or np.sum(rows) <= len(names):  # of no columns, nnls would overrun its memory
            return ()
        if rows.tobytes() not in self.triangles:
            triangle: Any = np.linalg.qr(np.nan_to_num(self.numbers[rows]), mode="r")
            self.triangles[rows.tobytes()] = triangle
        triangle = self.triangles[rows.tobytes()]
        try:
            weights, _ = nnls(triangle[:, others], triangle[:, own])
        except RuntimeError:  # it has not converged
            return ()
        with np.errstate(over="ignore"):  # of numbers of very different size
            near = np.abs(weights * self.scales[own] / self.scales[others] - 1) < NEAR
        return tuple(name for name, is_near in zip(names, near, strict=True) if is_near)


def texts_of(wanted: str | Sequence[str]) -> list[str]:
    """Texts of laws, which a single text has between semicolons."""
    return [text.strip() for text in (wanted.split(";") if isinstance(wanted, str) else wanted)]


def _splits(text: str, sign: str) -> Iterator[tuple[str, str]]:
    """Yield what stands on both sides of a sign with blanks, wherever it stands."""
    parts = text.split(f" {sign} ")
    for at in range(1, len(parts)):
        yield f" {sign} ".join(parts[:at]).strip(), f" {sign} ".join(parts[at:]).strip()


def _left_sides(text: str) -> Iterator[tuple[Sign, tuple[str, ...], int]]:
    """Yield what the left side of a law that computes may be: a sign, columns and a power of ten."""
    signs: tuple[Sign, ...] = ("+", "-", "*")
    for sign in signs:
        yield from ((sign, pair, 0) for pair in _splits(text, sign))
        if len(parts := text.split(f" {sign} ")) > 2 and sign != "*":
            yield sign, tuple(map(str.strip, parts)), 0
    scaled = re.fullmatch(rf"(.*) ([*/]) 1(0{{1,{MOST_POWER}}})", text)
    if scaled:
        power = len(scaled[3]) * (1 if scaled[2] == "*" else -1)
        yield from (("*", pair, power) for pair in _splits(scaled[1], "*"))


def merged_laws(laws: Sequence[Law], others: Sequence[Law]) -> tuple[Law, ...]:
    """Laws with the counts of both sets of rows, those that the others are the first to break told."""
    merged = tuple(map(Law.merge, laws, others))
    tell_of_broken(laws, merged)
    return merged


def tell_of_broken(before: Sequence[Law], after: Sequence[Law]) -> list[Law]:
    """Laws that rows break which were counted between, each told in a warning."""
    broken = [law for old, law in zip(before, after, strict=True) if old.holds and not law.holds]
    for law in broken:
        _LOG.warning('the law "%s" is broken by %s: samples do not keep it', law, counted(law.breaches, "row"))
    return broken


def columns_to_restrict(laws: Sequence[Law], names: Sequence[str]) -> tuple[str, ...]:
    """Columns whose values decide whether some columns meet conditions: these, or those that decide them."""
    deciders = {law.target: law.operands for law in laws if law.sign == "->"}
    while any(name in deciders for name in names):
        names = [one for name in names for one in deciders.get(name, (name,))]
    return tuple(dict.fromkeys(names))


def laws_under(laws: Sequence[Law], names: Collection[str], columns: Mapping[str, FittedColumn]) -> tuple[Law, ...]:
    """Laws that compute none of some columns, where others of a sum, of steps as fine, can be computed instead."""
    chosen = list(laws)
    for at, law in enumerate(laws):
        if law.sign in AMOUNTS and law.target in names:
            others = {one.target: one for one in (*chosen[:at], *chosen[at + 1 :]) if one.decides}
            forms = (
                form
                for form in law.forms
                if form.target not in {*names, *others, *_sources(form.operands, others)}
                and Rule(form, columns).is_on_steps
                and not any(form.target in (*one.operands, one.target) for one in chosen if not one.decides)
            )
            if (form := next(forms, None)) is not None:  # which of its values are missing, the law does not say
                chosen[at] = replace(form, apart=law.apart + 1)
    return tuple(chosen)


def _sources(names: Iterable[str], decided: Mapping[str, Law]) -> Iterator[str]:
    """Columns, and those that they are computed from."""
    for name in names:
        yield name
        if name in decided:
            yield from _sources(decided[name].operands, decided)


def _without_implied(laws: Sequence[Law]) -> tuple[Law, ...]:
    """Laws without the orders that follow from two others."""
    pairs = {(law.operands[0], law.target) for law in laws if not law.decides}
    implied = {(low, high) for low, middle in pairs for other, high in pairs if middle == other}
    return tuple(law for law in laws if law.decides or (law.operands[0], law.target) not in implied)
