"""What all laws have in common.

A sort of law is a subclass of `Law` in a file of this folder, and a line of `LAWS` in `sorts.py`. Its five verbs:

- `find` looks for such laws in a sample of the rows,
- `refute` counts the rows that break the law,
- `compute` changes sampled rows so that they keep it,
- `text` writes it, and `read` reads what users write,
- `score` tells which rows break it, and in which ones its target is certain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.errors import InputError, listed
from gpuvgm.io import replaced_rows
from gpuvgm.laws.codes import (
    Columns,
    Mask,
    Rows,
    beyond_range,
    codes_of,
    is_missing,
    places_in,
    read_columns,
    values_of_codes,
)
from gpuvgm.laws.sample import LEAST_ROWS, LawSample
from gpuvgm.laws.texts import splits
from gpuvgm.laws.units import Span
from gpuvgm.rules import finite, shown, whole
from gpuvgm.summary import Floats

MOST_POWER = 6  # of ten, as a factor of a product
AnyLaw = TypeVar("AnyLaw", bound="Law")


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


@dataclass(frozen=True)  # no slots: tables are cached
class Law(ABC):
    """A law between columns.

    All sorts have the same parts, because a model's file has them of every law. A sort leaves those that it does not
    use at their defaults.

    Parameters
    ----------
    operands : tuple of str
        The columns on the left.
    target : str
        The column on the right.
    span : {"", "days", "hours", "minutes", "seconds"}
        Unit of a column of numbers that is the time between two dates.
    power : int
        Of a law with a factor: its power of ten, -2 where an operand is in percent.
    keys, values : tuple of float
        Of a law with a table: codes of the operand, ascending, and the target's code for each; see `codes_of`. Of
        several operands the codes of each combination follow each other, and the combinations ascend.
    limits : tuple of float
        Of a law with steps: for each key the words of the target's text that are limits below and above; see `limits`.
        Of an expression that is clipped: the number at which it is.
    function : str
        Of a law of one operand: the name of its function. Of a difference: the sign of each operand, as in "++-".
    factor, shift : float
        Of a law with a factor of its own, or a constant: these numbers.
    or_zero : bool
        Whether the target is 0 in some rows instead, whatever the operands are, as where a fee is waived.
    breaches : int
        Rows that break it.
    apart : int
        Rows where the target is missing and the operands are not, or the other way round.
    """

    operands: tuple[str, ...]
    target: str
    span: Span = ""
    power: Annotated[int, whole(-MOST_POWER, MOST_POWER)] = 0
    keys: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    limits: tuple[float, ...] = ()
    function: str = ""
    factor: Annotated[float, finite] = 1.0
    shift: Annotated[float, finite] = 0.0
    or_zero: bool = False
    breaches: int = 0
    apart: int = 0

    sign: ClassVar[str]  # of the sort, in texts and files
    examples: ClassVar[tuple[str, ...]]  # how such laws are written
    least_rows: ClassVar[int] = LEAST_ROWS  # of a sample in which such laws are looked for
    turn: ClassVar[int] = 2  # of the sort in the search: the lowest is looked for first
    arity: ClassVar[range] = range(1, 2)  # how many operands there may be
    decides: ClassVar[bool] = True  # whether the target is computed; else it and the operands change together
    changes: ClassVar[bool] = True  # whether rows are changed to keep it; those that break another are drawn again
    rounds: ClassVar[bool] = False  # whether the target is rounded alone, so that columns of an order may be too
    has_factor: ClassVar[bool] = False
    has_shift: ClassVar[bool] = False
    has_line: ClassVar[bool] = False  # so that it has a factor of its own
    functions: ClassVar[Collection[str]] = ("",)  # which it may have
    has_keys: ClassVar[bool] = False
    has_limits: ClassVar[bool] = False
    has_zeros: ClassVar[bool] = False  # so that its target may be 0 instead
    has_table: ClassVar[bool] = False  # so that a condition on the target says which values the operand may have

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield the laws that a sample of the rows suggests, each as its forms, the best form first.

        Of these the first one is taken that fits the laws found before. A sort whose laws are forms of another sort's
        yields none, because they are found there.
        """
        return iter(())

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield the laws that a text may mean, of columns with these names or of others."""
        return (cls((left,), right) for left, right in splits(text, cls.sign))

    def learnt(self, sample: LawSample) -> Law:
        """The law that a user wrote, with what only rows can tell.

        Raises
        ------
        InputError
            Where the sample does not tell it.
        """
        return self

    @property
    def text(self) -> str:
        """The law as users write it."""
        return f"{self.operands[0]} {self.sign} {self.target}"

    @abstractmethod
    def score(self, columns: Columns, rows: Rows) -> Outcome:
        """What rows say of the law."""

    @abstractmethod
    def numbers(self, columns: Columns, rows: Rows) -> Floats:
        """Numbers of the target that the operands decide, as `values_of_codes` takes them; NaN for none."""

    def refute(self, columns: Columns, rows: Rows) -> Law:
        """The law with the rows that break it, or that have one side alone, counted."""
        outcome = self.score(columns, rows)
        return replace(self, breaches=int(outcome.broken.sum()), apart=int(outcome.apart.sum()))

    def compute(self, columns: Columns, rows: Rows, sampled: Rows) -> tuple[dict[str, Any], Mask]:
        """Columns with which rows keep the law, and the rows in which more is to be done.

        Parameters
        ----------
        columns : mapping of str to FittedColumn
            The columns.
        rows : callable
            Gives the values of the operands.
        sampled : callable
            Gives sampled values of the target. It is called only where the law leaves some rows to them.

        Returns
        -------
        arrays : dict of str to Array
            Values of the columns that the law changes.
        remaining : ndarray of shape (rows,), bool
            Of a law that decides: whether the computed value lies beyond the training range; such a row is sampled
            again. Of an order: whether the row broke it; then all orders are tried again.
        """
        column, numbers = columns[self.target], self.numbers(columns, rows)
        if not self.leaves_rows(columns):
            return {self.target: values_of_codes(column, numbers)}, beyond_range(column, numbers)
        values = sampled(self.target)
        numbers = self._beside_sampled(numbers, codes_of(column, values), columns, rows)
        known = np.flatnonzero(~np.isnan(numbers))
        values = replaced_rows(values, known, values_of_codes(column, numbers[known]))
        return {self.target: values}, beyond_range(column, numbers)

    def values_of(self, columns: Columns, codes: Floats) -> Any:
        """Values of the target that have codes of its table."""
        return values_of_codes(columns[self.target], codes)

    def _beside_sampled(self, numbers: Floats, codes: Floats, columns: Columns, rows: Rows) -> Floats:
        """Computed numbers, NaN in rows that keep their sampled values, whose codes these are."""
        are_missing = is_missing(columns[self.target], codes)
        return np.where(are_missing, np.nan, numbers) if self.apart else numbers  # sampling says which are missing

    def leaves_rows(self, columns: Columns) -> bool:
        """Whether some rows keep the target's sampled values, as where these are missing apart from the operands."""
        return self.apart > 0 or self.or_zero

    def known(self, columns: Columns, rows: Rows) -> Floats:
        """What the law's table has for the operands of each row; NaN where it lacks them."""
        return self.looked_up(*read_columns(codes_of, columns, self.operands, rows))

    def looked_up(self, *codes: Floats) -> Floats:
        """Codes of the target in the law's table, by the codes of each operand; NaN for those that the table lacks."""
        xp = namespace_of(codes[0])
        *of_operands, combined, values = map(xp.asarray, self._table)
        places = places_in(combined, _combined([*map(places_in, of_operands, codes)], [*map(len, of_operands)]))
        decided: Floats = xp.where(places < 0, np.nan, values[places])
        return decided

    @cached_property
    def _table(self) -> tuple[Any, ...]:
        """The different codes of each operand in the table, the keys as numbers made of their places, and the values.

        Keys ascend, and so do these numbers.
        """
        by_operand = np.array(self._codes_of_keys).T
        distinct = [np.unique(codes) for codes in by_operand]
        places = [*map(places_in, distinct, by_operand)]
        return *distinct, _combined(places, [*map(len, distinct)]), np.array(self.values)

    @property
    def _codes_of_keys(self) -> list[tuple[float, ...]]:
        """The keys of the law's table, each a code of every operand."""
        count = len(self.operands)
        return [self.keys[place : place + count] for place in range(0, len(self.keys), count)]

    def exchanges(self, columns: Columns) -> bool:
        """Whether the columns, which the law puts in order, take each other's values as they are."""
        return False

    def lacks_keys(self, columns: Columns) -> bool:
        """Whether the law's table lacks values of the operands, as rare ones: of these it says nothing."""
        return False

    def bars_rare(self, columns: Columns) -> bool:
        """Whether sampling must not place rare categories of the target beside rare values of the operands."""
        return False

    def is_on_steps(self, columns: Columns) -> bool:
        """Whether numbers that are computed of any values of the operands lie on the target's steps."""
        return True

    @property
    def is_learnt(self) -> bool:
        """Whether trees draw the target nearly as it is computed, whichever of both columns comes first."""
        return False

    @property
    def forms(self) -> Iterator[Law]:
        """The law, and laws that say the same and compute one of its operands."""
        yield self

    def computing_forms(self, sample: LawSample) -> Sequence[Law]:  # noqa: ARG002
        """The forms that may well compute their target, as a sample says, the best one first."""
        return [*self.forms]

    def _form(self, sort: type[AnyLaw], operands: tuple[str, ...], target: str) -> AnyLaw:
        """A law of a sort with these columns and all further parts of this one."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return sort(**parts | {"operands": operands, "target": target})

    def renamed(self, new: Callable[[str], str]) -> Law:
        """The law of columns with other names."""
        return self._form(type(self), tuple(map(new, self.operands)), new(self.target))

    @classmethod
    def without_implied(cls, laws: Sequence[Law], sample: LawSample) -> Sequence[Law]:  # noqa: ARG003
        """Laws without those of this sort that follow from the rest."""
        return laws

    def __str__(self) -> str:
        return self.text

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from others that are written alike, as where a column is called "steps(a)" or "a + b"."""
        return (self.sign, self.text, *self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Its operands and its target."""
        return (*self.operands, self.target)

    @property
    def holds(self) -> bool:
        """Whether no row breaks it."""
        return not self.breaches

    @property
    def uncounted(self) -> Law:
        """The law without what rows say of it."""
        return replace(self, breaches=0, apart=0)

    def merge(self, law: Law) -> Law:
        """The law with the counts of two sets of rows: its own, and those of the same law counted elsewhere."""
        return replace(self, breaches=self.breaches + law.breaches, apart=self.apart + law.apart)

    def with_program(self, programs: Mapping[str, Any], as_fitted: Callable[[Any], Any]) -> Law:
        """The law with the code that a file does not hold: an object of its name, if there is one."""
        return self

    @property
    def has_function(self) -> bool:
        """Whether its function is one that the sort has."""
        return self.function in self.functions

    def check(self, columns: Columns) -> None:
        """Raise ValueError where a law from a file is not one of these columns."""
        if not self.has_function:
            raise ValueError(f"a law of {listed(self.names)} has an unknown function, {shown(self.function)}")
        names = self.names
        if not all(name in columns and columns[name].is_encoded for name in names) or len({*names}) < len(names):
            raise ValueError(f'the law "{self}" is not of modelled columns')
        if len(self.operands) not in self.arity or len(self.keys) != len(self.operands) * len(self.values):
            raise ValueError(f'the law "{self}" has other parts than such laws')
        if self.power and not self.has_factor:
            raise ValueError(f'the law "{self}" has a factor, but is no product')
        if (self.factor != 1 and not self.has_line) or (self.shift and not self.has_shift):
            raise ValueError(f'the law "{self}" has a factor or a shift, which such laws have not')
        if bool(self.keys) != self.has_keys or self._codes_of_keys != sorted({*self._codes_of_keys}):
            raise ValueError(f'the numbers of "{self}" do not ascend')
        if self.or_zero and not self.has_zeros:
            raise ValueError(f'the law "{self}" may not be 0 instead')
        if self.limits and not self.has_limits:
            raise ValueError(f'the law "{self}" has limits, which such laws have not')
        self.check_kinds(columns)

    def check_kinds(self, columns: Columns) -> None:
        """Raise InputError, a ValueError, where columns are of kinds that the sort does not take."""
        if problem := self.kinds_problem(columns):
            raise InputError(f'laws: "{self}": {problem}')

    def kinds_problem(self, columns: Columns) -> str:
        """What is wrong with the kinds of the columns for such a law; empty where nothing is."""
        return ""


def _sources(names: Iterable[str], computing: Mapping[str, Law]) -> Iterator[str]:
    """Yield columns, and those that they are computed from by laws, which are given by their targets."""
    for name in names:
        yield name
        if name in computing:
            yield from _sources(computing[name].operands, computing)


def is_free(law: Law, laws: Sequence[Law]) -> bool:
    """Whether other laws neither compute the target of a law nor need it before nor put it in order."""
    computing = {one.target: one for one in laws if one.decides}
    arranged = {name for one in laws if not one.decides for name in one.names}
    return law.target not in {*computing, *arranged, *_sources(law.operands, computing)}


def _combined(places: Sequence[Any], sizes: Sequence[int]) -> Any:
    """One number for the places of several codes, each of so many; -1 where one of them is."""
    combined = places[0]
    for following, size in zip(places[1:], sizes[1:], strict=True):
        xp = namespace_of(following)
        combined = xp.where(xp.minimum(combined, following) < 0, -1, combined * size + following)
    return combined
