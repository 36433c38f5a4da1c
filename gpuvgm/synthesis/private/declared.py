"""Columns as they are declared before a row is read: which values there may be, and the cells that rows count in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.errors import InputError, listed
from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.synthesis.bins import Codes

CELLS = 2048  # of a column of numbers, where its steps are more
MOST_CATEGORIES = 1 << 15
LARGEST = 2**53  # floats hold all whole numbers up to it
MISSING_AT = 2.0**55  # where missing values are drawn, far from all others
DIGITS = 12  # of borders on a logarithmic scale, which so are the same on all machines
EPOCH = datetime(1970, 1, 1)
TICK = timedelta(microseconds=1)
UNITS = {"us": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}  # microseconds


@dataclass(frozen=True)  # no slots: cells are cached
class NumberColumn:
    """A column of numbers, dates or datetimes between declared bounds.

    Parameters
    ----------
    name : str
        The column.
    low, high : float
        Its bounds; of dates and datetimes in steps from the lower one.
    step : float
        Distance of neighbouring values; 0 where they may lie anywhere.
    unit : float
        Of a logarithmic scale asinh(x / unit), on which cells are equal; 0 for a linear one.
    special : tuple of float
        Values with cells of their own, in the bounds or not.
    missing : bool
        Whether values may be missing.
    type : pyarrow.DataType
        Type of its values.
    start, ticks : int
        Of dates and datetimes, the lower bound and the step in microseconds.
    """

    name: str
    low: float
    high: float
    step: float
    unit: float
    special: tuple[float, ...]
    missing: bool
    type: Any
    start: int = 0
    ticks: int = 0
    is_ordered: ClassVar[bool] = True

    @cached_property
    def edges(self) -> Floats:
        """Borders of the cells; those of a column with steps lie between its values."""
        if self.step and self.steps < CELLS:
            return self.low + self.step * (np.arange(self.steps + 2) - 0.5)
        ends = np.linspace(*(np.arcsinh(end / self.unit) if self.unit else end for end in (self.low, self.high)), CELLS + 1)
        edges = np.sinh(ends) * self.unit if self.unit else ends
        edges = np.array([float(f"{edge:.{DIGITS}g}") for edge in edges.tolist()])
        edges[0], edges[-1] = self.low, self.high
        if self.step:
            edges = self.low + self.step * (np.rint((edges - self.low) / self.step) - 0.5)
            edges[-1] = self.low + self.step * (self.steps + 0.5)
        return np.unique(edges)

    @property
    def steps(self) -> int:
        """Steps from the lower bound to the last value that is no more than the upper one."""
        return int((self.high - self.low) / self.step * (1 + 1e-12) + 1e-9)

    @property
    def ordinary(self) -> int:
        """Cells between the bounds, which come first; special values and missing ones follow."""
        return len(self.edges) - 1

    @property
    def cells(self) -> int:
        """All cells."""
        return self.ordinary + len(self.special) + self.missing

    @property
    def rest(self) -> int:
        """Cell of what is no number, where none is declared for missing values."""
        return 0

    @property
    def pieces(self) -> tuple[Floats, Floats]:
        """Ends of what is drawn in each cell; equal for single values, and for special and missing ones."""
        low, high = self.edges[:-1], self.edges[1:]
        if self.step:
            is_single = high - low < 1.5 * self.step
            low, high = (np.where(is_single, (low + high) / 2, end) for end in (low, high))
        others = np.array([*self.special, *[MISSING_AT] * self.missing])
        return np.concatenate((low, others)), np.concatenate((high, others))

    def values(self, cells: Ints, numbers: Floats) -> Any:
        """Values of drawn cells, and of numbers that were drawn in them.

        Parameters
        ----------
        cells : ndarray of shape (rows,), int64
            The cell of special and missing values; -1 for others.
        numbers : ndarray of shape (rows,), float64
            Numbers between the bounds, which are rounded to the step.
        """
        lacks = cells == self.ordinary + len(self.special) if self.missing else None
        if not self.step:
            found = np.clip(numbers, self.low, self.high)
        else:
            found = self._of_steps(np.clip(np.rint((numbers - self.low) / self.step), 0, self.steps))
        for place, value in enumerate(self.special, self.ordinary):
            found[cells == place] = value
        if lacks is not None:
            found[lacks] = 0
        if not self.ticks:
            return pa.array(found.astype(np.int64 if self.type == pa.int64() else np.float64), self.type, mask=lacks)
        stored = pa.array(found.astype(np.int64) * self.ticks + self.start, pa.timestamp("us"), mask=lacks)
        return stored.cast(self.type)

    def _of_steps(self, steps: Floats) -> Any:
        """Values of whole numbers of steps above the lower bound, each the float nearest to the exact one."""
        low, step = Fraction(str(self.low)), Fraction(str(self.step))
        parts = low.denominator * step.denominator
        numerators = steps * int(step * parts) + int(low * parts)
        exact = abs(numerators) <= LARGEST
        return np.where(exact, numerators / parts, self.low + steps * self.step)

    def read(self, value: Any) -> float:
        """Number of a value of a condition.

        Raises
        ------
        ValueError
            For what is no value of the column.
        """
        if not self.ticks:
            if isinstance(value, (str, bool)) or not isfinite(float(value)):
                raise ValueError(f"{value!r} is no number")
            return float(value)
        return (_microseconds(value, self.name) - self.start) / self.ticks

    def piece_of(self, value: Any) -> int:
        """Cell of a special value, or -1."""
        number = self.read(value)
        return self.ordinary + self.special.index(number) if number in self.special else -1


@dataclass(frozen=True)  # no slots, as for columns of numbers
class CategoryColumn:
    """A column of declared categories.

    Parameters
    ----------
    name : str
        The column.
    categories : tuple of str, int or bool
        They come first; what is none of them counts as the last one where that is `other`, else as the first.
    has_other : bool
        Whether the last category stands for all other values.
    missing : bool
        Whether values may be missing.
    type : pyarrow.DataType
        Type of its values.
    """

    name: str
    categories: tuple[Any, ...]
    has_other: bool
    missing: bool
    type: Any
    is_ordered: ClassVar[bool] = False

    @property
    def ordinary(self) -> int:
        """Cells of categories; one for missing values follows."""
        return len(self.categories)

    @property
    def cells(self) -> int:
        """All cells."""
        return self.ordinary + self.missing

    @property
    def rest(self) -> int:
        """Cell of values that are no category."""
        return self.ordinary - 1 if self.has_other else 0

    @property
    def pieces(self) -> tuple[Floats, Floats]:
        """Ends of what is drawn in each cell: its place."""
        places = np.arange(self.cells, dtype=np.float64)
        return places, places

    def values(self, _: Ints, numbers: Floats) -> Any:
        """Values of drawn cells."""
        places, entries = numbers.astype(np.int64), [*self.categories, *[None] * self.missing]
        return pa.array(entries, self.type).take(pa.array(places))

    def read(self, value: Any) -> Any:
        """A category of a condition.

        Raises
        ------
        ValueError
            For what is none.
        """
        if value not in self.categories or isinstance(value, bool) is not isinstance(self.categories[0], bool):
            raise ValueError(f"{value!r} is none of its categories")
        return value

    def piece_of(self, value: Any) -> int:
        """Cell of a category."""
        return self.categories.index(self.read(value))


@dataclass(frozen=True, slots=True)
class RunningColumn:
    """A column of running numbers, which is not read.

    Parameters
    ----------
    name : str
        The column.
    first : int
        Number of the first row.
    """

    name: str
    first: int
    type: ClassVar[Any] = pa.int64()


Counted = NumberColumn | CategoryColumn
Declared = Counted | RunningColumn


@dataclass(frozen=True)  # no slots: columns are cached
class Domain:
    """The columns of a table, as they are declared.

    Parameters
    ----------
    columns : tuple
        The columns in their order.
    document : dict
        The declaration, as a file of JSON has it.
    """

    columns: tuple[Declared, ...]
    document: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, given: Any) -> Domain:
        """Read a domain: a mapping of columns to their declarations, or the path of a file of JSON that holds one.

        Raises
        ------
        InputError
            Naming the column, and what is wrong with its declaration.
        """
        document = _read_file(given) if isinstance(given, (str, PathLike)) else given
        if not isinstance(document, Mapping) or not document:
            raise InputError('domain: declare columns: {"age": {"kind": "number", "low": 0, "high": 120, "step": 1}}')
        plain = {str(name): dict(own) if isinstance(own, Mapping) else own for name, own in document.items()}
        columns = tuple(_column_of(name, own) for name, own in plain.items())
        if not any(isinstance(column, Counted) for column in columns):
            raise InputError("domain: declare a column other than running numbers")
        return cls(columns, json.loads(json.dumps(plain, default=str)))

    @cached_property
    def counted(self) -> dict[str, Counted]:
        """Columns that rows are counted by."""
        return {column.name: column for column in self.columns if isinstance(column, Counted)}

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of the rows that are drawn."""
        return pa.schema([(column.name, column.type) for column in self.columns])


def _read_file(path: Any) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(f"domain: {path}: is no readable file of JSON ({problem})") from None


def _column_of(name: str, own: Any) -> Declared:
    """The column of a declaration."""
    if not isinstance(own, Mapping) or own.get("kind") not in _READERS:
        raise InputError(
            f'domain: column "{name}": give a kind: {listed(_READERS)}; a kind is not read from rows, and free text '
            "cannot be declared: leave such columns out"
        )
    reader, options = _READERS[own["kind"]]
    unknown = [option for option in own if option not in ("kind", *options)]
    if unknown:
        raise InputError(f'domain: column "{name}": "{unknown[0]}" is no option; there are: {listed(options)}')
    try:
        return reader(name, own)
    except (ValueError, TypeError, OverflowError, KeyError) as problem:
        lack = f"{problem} is not declared" if isinstance(problem, KeyError) else problem
        raise InputError(f'domain: column "{name}": {lack}') from None


def _number(own: Mapping[str, Any], option: str, default: Any = None) -> float:
    value = own[option] if default is None else own.get(option, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        raise ValueError(f"{option} must be a number of at most 2^53, got {value!r}")
    return float(value)


def _flag(own: Mapping[str, Any], option: str) -> bool:
    value = own.get(option, False)
    if not isinstance(value, bool):
        raise ValueError(f"{option} must be true or false, got {value!r}")
    return value


def _number_column(name: str, own: Mapping[str, Any]) -> NumberColumn:
    low, high, step = _number(own, "low"), _number(own, "high"), _number(own, "step", 0.0)
    special = own.get("special", [])
    if not isinstance(special, Sequence) or isinstance(special, str):
        raise ValueError(f"special must be a list of numbers, got {special!r}")
    values = tuple(_number({"special": value}, "special") for value in special)
    scale = own.get("scale", "linear")
    if scale not in ("linear", "log"):
        raise ValueError(f'scale must be "linear" or "log", got {scale!r}')
    unit = _number(own, "unit", 1.0) if scale == "log" else 0.0
    if low >= high or step < 0 or step > high - low or (scale == "log" and unit <= 0):
        raise ValueError("low must be less than high, a step must fit between them, and a unit must be positive")
    if step and (high - low) / step > LARGEST:
        raise ValueError("there are more than 2^53 steps between its bounds; declare a larger step")
    if len({*values}) < len(values) or len(values) > CELLS:
        raise ValueError(f"special values must be different, and {CELLS} at most")
    is_whole = bool(step) and all(value == int(value) for value in (low, step, *values))
    type_ = pa.int64() if is_whole else pa.float64()
    return NumberColumn(name, low, high, step, unit, values, _flag(own, "missing"), type_)


def _datetime_column(name: str, own: Mapping[str, Any]) -> NumberColumn:
    is_date = own["kind"] == "date"
    low, high = _microseconds(own["low"], name), _microseconds(own["high"], name)
    ticks = UNITS["d"] if is_date else _step_of(own["step"])
    steps = (high - low) // ticks
    if not 0 < steps <= LARGEST:
        raise ValueError("low must come before high, by at least a step and at most 2^53 steps")
    zone = own.get("tz")
    if zone is not None:
        ZoneInfo(zone)
    type_ = pa.date32() if is_date else pa.timestamp("us", zone)
    return NumberColumn(name, 0.0, float(steps), 1.0, 0.0, (), _flag(own, "missing"), type_, low, ticks)


def _step_of(text: Any) -> int:
    """Microseconds of a step such as "1s", "15min" or "1d"."""
    number = str(text).rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = UNITS.get(str(text)[len(number) :])
    if unit is None or not number.isdecimal() or int(number) < 1:
        raise ValueError(f'step must be a whole number of {listed(UNITS)}, such as "15min", got {text!r}')
    return int(number) * unit


def _microseconds(value: Any, name: str) -> int:
    """Microseconds since 1970 of a date or datetime, or of its text; of datetimes with a zone those of UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if not isinstance(moment, datetime):
        raise ValueError(f'{value!r} is no datetime; write it as text, such as "2024-01-31"')
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - EPOCH) // TICK


def _category_column(name: str, own: Mapping[str, Any]) -> CategoryColumn:
    given, other = own["categories"], own.get("other")
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ValueError(f"categories must be a list, got {given!r}")
    categories = (*given, *([] if other is None else [other]))
    kinds = {type(category) for category in categories}
    if not categories or len(kinds) > 1 or not kinds <= {str, int}:
        raise ValueError("categories, and what stands for others, must be all texts or all whole numbers")
    if len({*categories}) < len(categories) or len(categories) > MOST_CATEGORIES:
        raise ValueError(f"categories must be different, and {MOST_CATEGORIES:,} at most")
    if kinds == {int} and max(map(abs, categories)) > LARGEST:
        raise ValueError("categories must be at most 2^53")
    type_ = pa.string() if kinds == {str} else pa.int64()
    return CategoryColumn(name, categories, other is not None, _flag(own, "missing"), type_)


def _boolean_column(name: str, own: Mapping[str, Any]) -> CategoryColumn:
    return CategoryColumn(name, (False, True), has_other=False, missing=_flag(own, "missing"), type=pa.bool_())


def _running_column(name: str, own: Mapping[str, Any]) -> RunningColumn:
    first = _number(own, "first", 1)
    if first != int(first):
        raise ValueError(f"first must be a whole number, got {own['first']!r}")
    return RunningColumn(name, int(first))


Reader = Callable[[str, Mapping[str, Any]], Declared]
_READERS: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "number": (_number_column, ("low", "high", "step", "scale", "unit", "special", "missing")),
    "category": (_category_column, ("categories", "other", "missing")),
    "boolean": (_boolean_column, ("missing",)),
    "date": (_datetime_column, ("low", "high", "missing")),
    "datetime": (_datetime_column, ("low", "high", "step", "tz", "missing")),
    "id": (_running_column, ("first",)),
}
