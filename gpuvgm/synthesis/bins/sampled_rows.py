"""Rows of a sample, whose they are, and values of which all rows are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

import numpy as np

from gpuvgm.arrays import Column, namespace_of, to_numpy
from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.engines import Engine
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.numbers import Rows
from gpuvgm.synthesis.bins.persons import Persons
from gpuvgm.synthesis.bins.starts import start_finder


@dataclass(frozen=True, slots=True)
class SampledRows:
    """A sample of rows, and whose they are.

    Parameters
    ----------
    rows : callable
        Gives the rows of a column.
    persons : Persons
        Whose they are.
    few : ndarray of shape (few,), int64
        Places of fewer rows for what takes long: short runs, from all over the sample.
    known : mapping of str to ndarray of shape (values,), int64
        By column of numbers, how many persons have each of its values in all rows, in the order of `AskedValues`; -1
        for values that are not asked about.
    made : set of str
        Columns that are no columns of the user's table, of which no record tells.
    """

    rows: Rows
    persons: Persons
    few: Ints
    known: Mapping[str, Ints] = field(default_factory=dict)
    made: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AskedValues:
    """Values of a column of numbers of which a sample does not show that several persons have them.

    Parameters
    ----------
    starts : ndarray of shape (values - 1,)
        Borders between the different values of the column.
    places : ndarray of shape (values,), int64
        For each value its number among those that are asked about; -1 for others.
    """

    starts: Floats
    places: Ints

    def __len__(self) -> int:
        return int(np.max(self.places, initial=-1)) + 1

    def finder(self, column: FittedColumn, engine: Engine) -> Callable[[Column], Ints]:
        """Return what gives the number of each row's value, on the host."""
        assert isinstance(column, NumericColumn)
        start_of = start_finder(self.starts, engine)

        def of_values(values: Column) -> Ints:
            numbers = column.plain_numbers(values)[0]
            cells = to_numpy(start_of(numbers)) + 1
            is_missing = to_numpy(namespace_of(numbers).isnan(numbers))
            places: Ints = np.where(is_missing, -1, self.places[cells])
            return places

        return of_values

    def known(self, persons: Ints) -> Ints:
        """How many persons have each value, by those of the values that are asked about; -1 for others."""
        return np.where(self.places >= 0, np.append(persons, -1)[self.places], -1)
