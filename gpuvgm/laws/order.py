"""Orders: columns of which no row has the left one above the right one, such as a start and an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import NumericColumn
from gpuvgm.laws.codes import (
    NEAR_STEP,
    Columns,
    Mask,
    Rows,
    choose,
    numbers_in,
    read_columns,
    rounded_to_steps,
    values_of_codes,
)
from gpuvgm.laws.law import Law, Outcome
from gpuvgm.laws.numeric import NumericLaw
from gpuvgm.laws.sample import NOISE, LawSample
from gpuvgm.summary import Floats

ROUNDED = 2.0**-51  # of a number of steps, by which it may be off


class Order(NumericLaw):
    """The operand is no more than the target. Rows with the two the wrong way round are put in order."""

    sign = "<="
    examples = ("a <= b",)
    turn = 4  # columns that something computes are in no order
    decides = False
    takes = "an order takes columns of one sort"

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Order]]:
        """Yield orders of columns whose ranges overlap."""
        names = sample.numeric([*sample.sorts])
        ranges, probes = {name: _range(sample.amounts[name]) for name in names}, sample.first_amounts(names)
        for low, lower in zip(names, probes, strict=True):
            for high in (names[place] for place in np.flatnonzero(_are_in_order(lower, probes))):
                are_alike = low != high and sample.sorts[low] == sample.sorts[high]
                if not are_alike or ranges[low][1] <= ranges[high][0]:
                    continue
                order = cls((low,), high)
                if _is_strict_order(sample.amounts[low], sample.amounts[high]) and order.is_evident(sample):
                    yield [order]

    @classmethod
    def without_implied(cls, laws: Sequence[Law], sample: LawSample) -> Sequence[Law]:
        """Laws without the orders that follow from two others, in all rows in which both of their numbers are known."""
        pairs = {(law.operands[0], law.target) for law in laws if isinstance(law, cls)}
        chains = ((low, middle, high) for low, middle in pairs for lower, high in pairs if middle == lower)
        implied = {
            (low, high) for low, middle, high in chains if (low, high) in pairs and _links(low, middle, high, sample)
        }
        return [law for law in laws if not isinstance(law, cls) or (law.operands[0], law.target) not in implied]

    @property
    def arranged(self) -> tuple[str, ...]:
        """Both columns."""
        return (self.target, *self.operands)

    def score(self, columns: Columns, rows: Rows) -> Outcome:
        """Rows break an order by more than rounding; it makes nothing certain."""
        lower, upper = read_columns(numbers_in, columns, self.names, rows)
        expected = self.amounts(columns, [lower])
        xp = namespace_of(upper)
        none, column = xp.zeros(len(upper), np.bool_), columns[self.target]
        assert isinstance(column, NumericColumn)
        step, largest = column.codec.plain.spacing, xp.maximum(xp.abs(expected), xp.abs(lower))
        tolerance = NEAR_STEP * step + ROUNDED * largest if step else 0.0
        return Outcome(upper < expected - tolerance, none, none)

    def compute(self, columns: Columns, rows: Rows, sampled: Rows) -> tuple[dict[str, Any], Mask]:
        """Both columns, their values swapped in rows that break the order; and which rows these are.

        Columns of different types or steps take each other's values rounded to their own steps: the lower column down,
        the upper one up.
        """
        broken = self.score(columns, rows).broken
        if not broken.any():
            return {}, broken
        (low,), high = self.operands, self.target
        lower, upper = rows(low), rows(high)
        raised, lowered = lower, upper
        if not self.exchanges(columns):
            raised = self._as_target(columns, lower, np.ceil)
            lowered = Order((high,), low)._as_target(columns, upper, np.floor)
        return {low: choose(broken, lowered, lower), high: choose(broken, raised, upper)}, broken

    def exchanges(self, columns: Columns) -> bool:
        """Whether the columns take each other's values as they are, by their types and their steps."""
        lower, upper = (columns[name] for name in self.names)
        assert isinstance(lower, NumericColumn) and isinstance(upper, NumericColumn)
        # Columns of text may write their numbers in different ways.
        same_type = lower.decoded_type == lower.type == upper.type == upper.decoded_type
        return bool(same_type and lower.codec.plain.spacing == upper.codec.plain.spacing)

    def _as_target(self, columns: Columns, values: Any, rounded: Callable[[Floats], Floats]) -> Any:
        """Values of the operand as those of the target, rounded to its steps."""
        (name,), target = self.operands, columns[self.target]
        assert isinstance(target, NumericColumn)
        numbers = self.amounts(columns, [numbers_in(columns[name], values)])
        if step := target.codec.plain.spacing:
            numbers = rounded_to_steps(numbers, step, rounded)
        return values_of_codes(target, numbers)


def _links(low: str, middle: str, high: str, sample: LawSample) -> bool:
    """Whether the middle number is known wherever both others are."""
    lower, between, upper = (np.isnan(sample.amounts[name]) for name in (low, middle, high))
    return not np.any(between & ~lower & ~upper)


def _range(amounts: Floats) -> tuple[float, float]:
    """Least and largest amount; of none, the ends that no range overlaps."""
    present = amounts[~np.isnan(amounts)]
    return present.min(initial=np.inf), present.max(initial=-np.inf)


def _are_in_order(lower: Floats, upper: Floats) -> Any:
    """Whether no lower amount exceeds the upper one by more than moments are rounded, along the last axis."""
    with np.errstate(over="ignore"):  # of the largest floats
        return ~np.any(lower - upper > NOISE * np.abs(upper), axis=-1)


def _is_strict_order(lower: Floats, upper: Floats) -> bool:
    """Whether all amounts are in order, and some differ: equal columns are in no order."""
    with np.errstate(over="ignore"):  # of the largest floats
        differ = bool(np.any(upper - lower > NOISE * np.abs(upper)))
    return differ and bool(_are_in_order(lower, upper))
