"""The sample of rows in which laws are looked for, and what searches of several sorts read from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from gpuvgm.columns import NumericColumn
from gpuvgm.engines import AskedColumn
from gpuvgm.io import taken
from gpuvgm.laws.codes import Columns, Mask, Rows, codes_of, numbers_in, spacing_of
from gpuvgm.laws.owners import Owners, OwnersOfKeys, OwnersOfRows
from gpuvgm.laws.units import NUMBER, SPANS, Span, Unit
from gpuvgm.summary import Floats, Ints

LEAST_ROWS = 100  # of a sample, with all columns of a law
LEAST_BROKEN = 20  # of these rows, that break a law where a column has the values of other rows
FEW_ROWS = 20_000  # among which sums, products and orders are looked for
PROBED = 24  # rows that a law is tried on first
MOST_COLUMNS = 64  # of numbers, among which sums and products are looked for
HALF = 0.5 + 1e-6  # of a step, by which a computed number may be off
LEAST_BESIDE_ZERO = 3  # different numbers of a column that is 0 in many rows: with fewer, equations fit by chance
ROWS_BESIDE_ZERO = 4_000  # where it is not, in which they are looked for before they are tried on few rows
LEAST_TELLING = 6  # of these few rows, with a product that is not zero
COMBINED = 128  # columns, or pairs of them, of which sums and products are compared at a time
MOST_PRODUCTS = 1 << 20  # that are compared at a time
NOISE = 1e-9  # of a number without a step, by which it may be
EACH = OwnersOfRows()
Ordering = Callable[[Mapping[str, AskedColumn]], Sequence[str]]


@dataclass(frozen=True)  # no slots: numbers are cached
class LawSample:
    """A sample of rows.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The modelled columns.
    rows : callable
        Gives the rows of a column.
    persons : Owners
        Whose the rows are by numbers of orders alone.
    owners : Owners
        Whose they are by all keys.
    ordering : callable, optional
        Gives the order in which columns would be drawn without laws, by codes of a few rows; as they stand by default.
    as_fitted : callable, optional
        Makes a pyarrow Table of rows a table of the kind that was fitted, which laws that are programs get.
    unmodelled : sequence of str
        Names of further columns, which have no laws.
    beside : collection of str
        Names of columns that rows of other tables have, beside which these rows are.
    """

    columns: Columns
    rows: Rows
    persons: Owners = EACH
    owners: Owners = EACH
    ordering: Ordering = tuple
    as_fitted: Callable[[Any], Any] | None = None
    unmodelled: Sequence[str] = ()
    beside: Collection[str] = ()

    def of_keys(self, hashes: Any) -> LawSample:
        """The same rows, of which those of one key are of one person, by its hash."""
        owners = OwnersOfKeys.of(hashes)
        return replace(self, persons=owners, owners=owners)

    @cached_property
    def codes(self) -> dict[str, Floats]:
        """Codes of all rows, by column."""
        return {name: codes_of(column, self.rows(name)) for name, column in self.columns.items()}

    @cached_property
    def shuffled(self) -> Ints:
        """Places of the rows in a random order, which is the same for samples of the same length."""
        codes = next(iter(self.codes.values()), np.empty(0))
        return np.random.default_rng(0).permutation(len(codes))

    @cached_property
    def order(self) -> Sequence[str]:
        """The columns in the order in which they would be drawn without laws, as few rows say."""
        ranks = {}
        for name, codes in self.codes.items():
            distinct, places = np.unique(codes[self.shuffled[:FEW_ROWS]], return_inverse=True)
            ranks[name] = AskedColumn(places.astype(np.uint16), len(distinct), is_category=False)
        return self.ordering(ranks)

    @cached_property
    def _units(self) -> dict[str, Unit]:
        return {name: unit for name, column in self.columns.items() if (unit := Unit.of(column)) is not None}

    @cached_property
    def _few_rows(self) -> dict[str, Any]:
        return {name: taken(self.rows(name), self.shuffled[:FEW_ROWS]) for name in self._units}

    def few_rows(self, name: str) -> Any:
        """Few rows of a column of numbers, shuffled."""
        return self._few_rows[name]

    def with_shifted(self, shifted: str) -> Rows:
        """The few rows, where one column has the values of other rows."""

        def rows(name: str) -> Any:
            values = self.few_rows(name)
            return taken(values, np.roll(np.arange(len(values)), 1)) if name == shifted else values

        return rows

    @cached_property
    def sorts(self) -> dict[str, str]:
        """Sort of each column of numbers: plain ones, durations, or moments of some zone."""
        return {name: unit.sort for name, unit in self._units.items()}

    @cached_property
    def amounts(self) -> dict[str, Floats]:
        """What the numbers of the few rows mean, by column; nanoseconds for moments and durations."""
        numbers = {name: numbers_in(self.columns[name], self.few_rows(name)) for name in self._units}
        return {
            name: float(unit.factor) * numbers[name] + float(unit.factor * unit.base)
            for name, unit in self._units.items()
        }

    @cached_property
    def number_columns(self) -> list[str]:
        """Columns of plain numbers, of which sums and products may be."""
        return [name for name, sort in self.sorts.items() if sort == NUMBER][:MOST_COLUMNS]

    @cached_property
    def computed_columns(self) -> list[str]:
        """Those of these columns that equations may compute."""
        return self.number_columns

    @cached_property
    def number_targets(self) -> Targets:
        """The first few rows of columns that equations may compute."""
        return Targets.of(self, self.computed_columns)

    def combined(self, count: int) -> Iterator[tuple[list[tuple[str, ...]], Floats]]:
        """Yield each so many columns of plain numbers, many at a time, with the first rows of each.

        Yields
        ------
        operands : list of tuple of str
            The columns.
        amounts : ndarray of shape (operands, count, PROBED)
            What their numbers mean.
        """
        numbers, names = self.first_amounts(self.number_columns), self.number_columns
        every = [*combinations(range(len(names)), count)]
        for first in range(0, len(every), COMBINED):
            places = every[first : first + COMBINED]
            yield [tuple(names[place] for place in one) for one in places], numbers[np.array(places)]

    def with_zeros(self) -> list[str]:
        """Columns of numbers that are 0 in enough of the few rows, and in enough not, with different numbers."""
        names = []
        for name in self.number_columns:
            numbers = self.amounts[name][np.isfinite(self.amounts[name])]
            zeros = np.count_nonzero(numbers == 0)
            if min(zeros, len(numbers) - zeros) >= LEAST_BROKEN and len(np.unique(numbers)) > LEAST_BESIDE_ZERO:
                names.append(name)
        return names

    def beside_zeros(self, target: str) -> LawSample:
        """Those of the few rows where a column is not 0, in which equations are looked for that compute it."""
        rows = np.flatnonzero(self.amounts[target] != 0)[:ROWS_BESIDE_ZERO]
        values = {name: taken(self.few_rows(name), rows) for name in self.number_columns}
        columns = {name: self.columns[name] for name in values}
        order = [name for name in self.order if name in values]
        return _SampleOfTarget(columns, values.__getitem__, ordering=lambda _: order, target=target)

    def numeric(self, names: Sequence[str]) -> list[str]:
        """Those of some columns that are modelled as numbers, as targets of equations are."""
        return [name for name in names if isinstance(self.columns[name], NumericColumn)]

    def first_amounts(self, names: Sequence[str]) -> Floats:
        """What the numbers of the first few rows mean, shape (columns, `PROBED`)."""
        probed = min(PROBED, len(self.shuffled))
        return np.array([self.amounts[name][:PROBED] for name in names]).reshape(len(names), probed)


@dataclass(frozen=True)
class _SampleOfTarget(LawSample):
    """A sample of rows in which only one column may be computed."""

    target: str = ""

    @cached_property
    def computed_columns(self) -> list[str]:
        """The column."""
        return [self.target]


@dataclass(frozen=True, slots=True)
class Targets:
    """The first few rows of columns that equations may compute.

    Parameters
    ----------
    names : sequence of str
        The columns.
    amounts : ndarray of shape (columns, PROBED)
        What their numbers mean.
    tolerances : ndarray of shape (columns, PROBED)
        How far these may be from what is computed, by rounding.
    """

    names: Sequence[str]
    amounts: Floats
    tolerances: Floats

    @classmethod
    def of(cls, sample: LawSample, names: Sequence[str], span: Span = "") -> Targets:
        """The columns of a sample, whose numbers may count the time between dates."""
        amounts = sample.first_amounts(names) * SPANS.get(span, 1)
        tolerances = NOISE * np.abs(amounts)
        for place, name in enumerate(names):
            column = sample.columns[name]
            unit, spacing = Unit.of(column, span), spacing_of(column)
            if spacing and unit is not None:
                tolerances[place] = HALF * spacing * float(unit.factor)
        return cls(names, amounts, tolerances)

    def are_equal(self, results: Floats) -> Mask:
        """Which columns equal a result in all of these rows, the last axis; a missing number equals any."""
        with np.errstate(over="ignore"):  # what is infinite is no number of the table
            equal: Mask = ~np.any(np.abs(results - self.amounts) > self.tolerances, axis=-1)
        return equal

    def products_of(self, left: Floats, right: Floats) -> Iterator[tuple[int, int, str]]:
        """Yield the places of two factors whose product is a column, and the name of this column.

        Enough of the few rows have a product that is not zero: zero is the product of zero and anything.

        Parameters
        ----------
        left, right : ndarray of shape (factors, PROBED)
            Amounts of the factors; NaN where one is missing.
        """
        if not len(right):
            return
        size = max(MOST_PRODUCTS // (len(right) * max(len(self.names), 1)), 1)
        for first in range(0, len(left), size):
            for places in zip(*self._equal_products(left[first : first + size], right), strict=True):
                left_place, right_place, target = map(int, places)
                with np.errstate(over="ignore"):
                    products = left[first + left_place] * right[right_place]
                tells = np.isfinite(products) & (products != 0) & ~np.isnan(self.amounts[target])
                if np.count_nonzero(tells) >= LEAST_TELLING:
                    yield first + left_place, right_place, self.names[target]

    def _equal_products(self, left: Floats, right: Floats) -> tuple[Ints, ...]:
        """Places of two factors and of a column that is their product in all of these rows."""
        places: tuple[Ints, ...] | None = None
        with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is no number of the table
            for row in np.argsort(np.isnan(self.amounts).sum(axis=0), kind="stable"):
                of_row = left[:, row], right[:, row], self.amounts[:, row], self.tolerances[:, row]
                if places is None:
                    first, second, amounts, tolerances = of_row
                    products = first[:, None, None] * second[:, None]
                    places = np.nonzero(~(np.abs(products - amounts) > tolerances))
                    continue
                first, second, amounts, tolerances = (of_row[part][places[min(part, 2)]] for part in range(4))
                is_equal = ~(np.abs(first * second - amounts) > tolerances)
                places = tuple(place[is_equal] for place in places)
        assert places is not None
        return places

    def equal_to(self, results: Floats) -> list[str]:
        """Names of the columns that equal a result."""
        return [self.names[place] for place in np.flatnonzero(self.are_equal(results)).tolist()]
