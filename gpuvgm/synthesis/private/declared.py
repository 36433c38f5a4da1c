"""Columns as they are declared before a row is read: which values there may be, and the cells that rows count in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from math import ceil, floor
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.codecs import Codec, DatetimeCodec, FloatCodec, IntegerCodec, Number
from gpuvgm.columns import MISSING, CategoricalColumn, FitRecord, IdColumn, NumericColumn, TableModel, TableSchema
from gpuvgm.errors import InputError, listed
from gpuvgm.summary import Floats

CELLS = 2048  # of a column of numbers that has no fewer steps
MOST_CATEGORIES = 1 << 15  # which two bytes number
LARGEST = 2**53  # floats hold all whole numbers up to it
FAN = 16  # cells of a level that make one cell of the next
COARSEST = 64  # cells of the last level, at most
DIGITS = 12  # to which borders of cells are rounded, so that they are the same on all machines
DUST = 1e-9  # of a step: a bound may be off it by so much
UNITS = {"us": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}  # microseconds
NO_ROWS = FitRecord("none", 0, 0)
REQUIRED = object()
_SPREAD: Mapping[str, Any] = {"low": REQUIRED, "high": REQUIRED, "missing": False}
#: Options of each kind, with their defaults.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "number": {**_SPREAD, "step": 0, "scale": "linear", "unit": 1, "special": []},
    "date": _SPREAD,
    "datetime": {**_SPREAD, "step": REQUIRED, "tz": None},
    "category": {"categories": REQUIRED, "other": None, "missing": False},
    "boolean": {"missing": False},
    "id": {"first": 1},
}


@dataclass(frozen=True, repr=False)  # no slots: cells are cached
class DeclaredNumbers(NumericColumn):
    """A column of numbers, dates or datetimes between declared bounds.

    Its cells are the ordinary ones between the bounds, ascending, then those of special values, then one for missing
    values if there may be some.

    Parameters
    ----------
    name : str
        The column.
    codec : Codec
        From values to numbers and back.
    minimum, maximum : int or float
        The bounds, in the codec's unit.
    modal_values : tuple
        Values with cells of their own: missing ones first, then special ones.
    unit : float
        Of a logarithmic scale asinh(x / unit), on which cells are equal; 0 for a linear one.
    """

    name: str
    codec: Codec
    minimum: Number
    maximum: Number
    modal_values: tuple[Number | None, ...]
    unit: float
    kind: ClassVar[str] = "declared"
    mixture: ClassVar[None] = None
    rest: ClassVar[int] = 0  # the cell of what is no number, where no missing values are declared

    @cached_property
    def edges(self) -> Floats:
        """Borders of the ordinary cells, in numbers; those of a column with steps lie between its values."""
        low, high = self.codec.number(self.minimum), self.codec.number(self.maximum)
        step = self.codec.spacing
        first, last = (ceil(low / step - DUST), floor(high / step + DUST)) if step else (0, CELLS)
        if last - first < CELLS:
            return np.asarray(np.arange(first, last + 2) * step - step / 2, np.float64)
        low, high = (low, high) if not self.unit else (np.arcsinh(low / self.unit), np.arcsinh(high / self.unit))
        even = np.linspace(low, high, CELLS + 1)
        edges = np.sinh(even) * self.unit if self.unit else even
        edges = np.array([float(f"{edge:.{DIGITS}g}") for edge in edges.tolist()], np.float64)
        if not step:
            return np.unique(edges)
        inner = np.rint(edges[1:-1] / step)
        between = inner[(inner > first) & (inner <= last)]
        return np.unique(np.concatenate(([first], between, [last + 1]))) * step - step / 2

    @property
    def has_missing(self) -> bool:
        """Whether values may be missing."""
        return MISSING in self.modal_values

    @property
    def ordinary(self) -> int:
        """Number of cells between the bounds."""
        return len(self.edges) - 1

    @property
    def cells(self) -> int:
        """Number of all cells."""
        return self.ordinary + len(self.modal_values)

    @property
    def level_sizes(self) -> list[int]:
        """Cells of each level: all cells, runs of `FAN` of them, runs of these runs, and so on."""
        sizes = [self.cells]
        while sizes[-1] > COARSEST:
            sizes.append(-(-sizes[-1] // FAN))
        return sizes

    @property
    def ends(self) -> tuple[Floats, Floats]:
        """Ends of what is drawn in each cell: equal for single values; special values are drawn as their number."""
        low, high, step = self.edges[:-1], self.edges[1:], self.codec.spacing
        is_single = high - low < 1.5 * step
        low, high = (np.where(is_single, (low + high) / 2, end) for end in (low, high))
        places = np.arange(len(self.modal_values), dtype=np.float64)
        return np.concatenate((low, places)), np.concatenate((high, places))


@dataclass(frozen=True, repr=False)
class DeclaredCategories(CategoricalColumn):
    """A column of declared categories, each with a cell; the last one is that of missing values, if there may be some.

    Parameters
    ----------
    rest : int
        Cell of values that are no category.
    """

    rest: int = 0

    @property
    def has_missing(self) -> bool:
        """Whether values may be missing."""
        return MISSING in self.categories

    @property
    def cells(self) -> int:
        """Number of all cells."""
        return len(self.categories)

    @property
    def level_sizes(self) -> list[int]:
        """Cells of each level, of which there is one: categories next to each other are no alike."""
        return [self.cells]

    @property
    def ends(self) -> tuple[Floats, Floats]:
        """Ends of what is drawn in each cell: its place."""
        places = np.arange(self.cells, dtype=np.float64)
        return places, places


Counted = DeclaredNumbers | DeclaredCategories


@dataclass(frozen=True, slots=True)
class Domain:
    """The columns of a table, as they are declared.

    Parameters
    ----------
    model : TableModel
        The columns in their order, fitted to no rows.
    document : dict
        The declaration, as a file of JSON has it.
    """

    model: TableModel
    document: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, domain: Any) -> Domain:
        """Read a domain: a mapping of columns to their declarations, or the path of a file of JSON that holds one.

        Raises
        ------
        InputError
            Naming the column, and what is wrong with its declaration.
        """
        if isinstance(domain, (str, PathLike)):
            try:
                domain = json.loads(Path(domain).read_text(encoding="utf-8"))
            except (OSError, ValueError) as problem:
                raise InputError(f"domain: {domain}: is no file of JSON that can be read ({problem})") from None
        if not isinstance(domain, Mapping):
            raise InputError('domain: declare columns: {"age": {"kind": "number", "low": 0, "high": 120, "step": 1}}')
        document = {str(name): declaration for name, declaration in domain.items()}
        columns = tuple(_column_of(name, declaration) for name, declaration in document.items())
        if not any(isinstance(column, Counted) for column in columns):
            raise InputError("domain: declare a column that is counted, not running numbers alone")
        return cls(TableModel(columns, 0, 0, {}, TableSchema(())), json.loads(json.dumps(document, default=str)))

    @property
    def counted(self) -> dict[str, Counted]:
        """Columns that rows are counted by."""
        return {column.name: column for column in self.model.columns if isinstance(column, Counted)}


def _column_of(name: str, declaration: Any) -> Counted | IdColumn:
    """The column of a declaration."""
    where, kind = f'domain: column "{name}"', str(declaration.get("kind")) if isinstance(declaration, Mapping) else ""
    if kind not in OPTIONS:
        raise InputError(
            f"{where}: declare its kind, {listed(OPTIONS)}; leave out free text and identifiers of persons"
        )
    options = dict(OPTIONS[kind]) | {option: value for option, value in declaration.items() if option != "kind"}
    if unknown := [option for option in options if option not in OPTIONS[kind]]:
        raise InputError(f'{where}: "{unknown[0]}" is no option of a {kind}; there are {listed(OPTIONS[kind])}')
    if lacking := [option for option, value in options.items() if value is REQUIRED]:
        raise InputError(f"{where}: declare {listed(lacking)} too; nothing is read from rows")
    if not isinstance(options.get("missing", False), bool):
        raise InputError(f"{where}: missing must be true or false, got {options['missing']!r}")
    try:
        column: Counted | IdColumn = _READERS[kind](name, **options)
    except (ValueError, TypeError, OverflowError) as problem:
        raise InputError(f"{where}: {problem}") from None
    return column


def _number_column(name: str, *, step: Any, scale: Any, unit: Any, special: Any, **ends: Any) -> DeclaredNumbers:
    exact = Decimal(str(FloatCodec(pa.float64()).parse(step)))
    if exact < 0 or scale not in ("linear", "log") or FloatCodec(pa.float64()).parse(unit) <= 0:
        raise ValueError('a step must not be negative, a scale is "linear" or "log", and a unit is positive')
    is_whole = exact > 0 and exact == int(exact)
    codec: Codec = FloatCodec(pa.float64(), step=f"{exact:f}" if exact else None)
    codec = IntegerCodec(pa.int64(), 0, int(exact)) if is_whole else codec
    own_unit = float(unit) if scale == "log" else 0.0
    return DeclaredNumbers(name, codec, *_between(codec, special=special, **ends), own_unit)


def _datetime_column(name: str, *, low: Any, step: Any = "1d", tz: Any = None, **options: Any) -> DeclaredNumbers:
    number, unit = re.fullmatch(r"(\d*)(\D*)", str(step)).groups()  # type: ignore[union-attr]  # matches any text
    if unit not in UNITS or not number or not int(number):
        raise ValueError(f'step must be a whole number of {listed(UNITS)}, such as "15min", got {step!r}')
    ticks = int(number) * UNITS[unit]
    codec = DatetimeCodec(pa.timestamp("us", tz), 0, ticks)
    codec = DatetimeCodec(codec.type, int(codec.parse(low)) // ticks * ticks, ticks)
    return DeclaredNumbers(name, codec, *_between(codec, low=low, **options), 0.0)


def _date_column(name: str, *, low: Any, **options: Any) -> DeclaredNumbers:
    codec = DatetimeCodec(pa.date32(), int(DatetimeCodec(pa.date32(), 0).parse(low)))
    return DeclaredNumbers(name, codec, *_between(codec, low=low, **options), 0.0)


def _between(
    codec: Codec, *, low: Any, high: Any, missing: bool, special: Any = ()
) -> tuple[Number, Number, tuple[Any, ...]]:
    """The bounds and the modal values of a declaration."""
    if not isinstance(special, Sequence) or isinstance(special, str):
        raise ValueError(f"special must be a list, got {special!r}")
    minimum, maximum, *values = map(codec.parse, (low, high, *special))
    if not minimum < maximum or codec.spacing > maximum - minimum or len({*values}) < len(values):
        raise ValueError("low must be less than high, by a step at least, and special values must differ")
    if max(abs(codec.number(value)) for value in (minimum, maximum, *values)) > LARGEST or len(values) > CELLS:
        raise ValueError(f"values must be at most 2^53 apart from 0, and at most {CELLS} of them special")
    return minimum, maximum, (*[MISSING] * missing, *sorted(values))


def _category_column(name: str, *, categories: Any, other: Any, missing: bool) -> DeclaredCategories:
    if not isinstance(categories, Sequence) or isinstance(categories, str):
        raise ValueError(f"categories must be a list, got {categories!r}")
    values = (*categories, *([] if other is None else [other]))
    kinds = {type(category) for category in values}
    if kinds not in ({str}, {int}, {bool}):
        raise ValueError("categories, and what stands for others, must be all texts, or all whole numbers")
    if (
        len({*values}) < len(values)
        or len(values) > MOST_CATEGORIES
        or (kinds == {int} and max(map(abs, values)) > LARGEST)
    ):
        raise ValueError(f"categories must differ, {MOST_CATEGORIES:,} at most, and numbers be at most 2^53")
    type_ = pa.string() if kinds == {str} else pa.int64() if kinds == {int} else pa.bool_()
    entries = (*values, *[MISSING] * missing)
    zeros, rest = (0,) * len(entries), len(categories) if other is not None else 0
    return DeclaredCategories(name, type_, entries, zeros, zeros, "ignore", None, True, NO_ROWS, rest=rest)  # noqa: FBT003


def _running_column(name: str, *, first: Any) -> IdColumn:
    return IdColumn(name, pa.int64(), NO_ROWS, "sequence", int(IntegerCodec(pa.int64(), 0).parse(first)), 1)


_READERS: Mapping[str, Any] = {
    "number": _number_column,
    "date": _date_column,
    "datetime": _datetime_column,
    "category": _category_column,
    "boolean": partial(_category_column, categories=[False, True], other=None),
    "id": _running_column,
}
