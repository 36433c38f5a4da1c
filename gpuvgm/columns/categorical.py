"""Categorical columns: categories by falling frequency, each with a one-hot column or an interval of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, is_on_device, namespace_of, to_numpy
from gpuvgm.codecs import Refuted
from gpuvgm.columns.base import (
    MISSING,
    Category,
    Coded,
    ColumnPlan,
    Decoder,
    Encoder,
    EncodingOptions,
    Family,
    FitRecord,
    FittedColumn,
    Slice,
    Values,
    refuse_rows,
)
from gpuvgm.columns.categories import (
    CategoryCounts,
    CategoryIndex,
    StoredCategory,
    array_of,
    categories_of,
    check_categories,
    coded_values,
    parse_categories,
    plain_values,
    value_type,
)
from gpuvgm.columns.inference import MOST_VALUES
from gpuvgm.columns.intervals import MIDDLE, Intervals
from gpuvgm.columns.options import MOST_CATEGORIES, MOST_INTERVALS, MOST_ONEHOT
from gpuvgm.columns.passthrough import handed_back
from gpuvgm.columns.specs import ColumnRequest
from gpuvgm.columns.text import category_text
from gpuvgm.columns.things import number_things
from gpuvgm.columns.unseen import Unseen
from gpuvgm.engines import Draw, Engine
from gpuvgm.errors import InputError
from gpuvgm.io import is_number_type, with_wide_index
from gpuvgm.records import read_as
from gpuvgm.rules import choice, shown, whole
from gpuvgm.summary import Floats, Ints


@dataclass(frozen=True, repr=False)  # no slots: `positions` and `index` are cached
class CategoricalColumn(FittedColumn):
    """A categorical column, one-hot encoded: a column of the matrix for each category.

    Where there are more than `max_categories`, the most frequent ones have a column each but for the last column, which
    all others share; what is encoded there comes back missing.

    Parameters
    ----------
    name : str
        The column.
    type : pyarrow.DataType
        Arrow type of the values.
    categories : tuple
        Categories by falling frequency, of equal frequency in order of first appearance; None is the category
        "missing". Datetimes are integers in their own unit, decimals text.
    counts : tuple of int
        Training rows of each category.
    appearance : tuple of int
        Place of each category in the order in which they first came, from 0; -1 for declared ones that did not occur.
        Numbers of rows are forgotten: they are those of somebody's rows.
    unknown : {"error", "ignore"}
        Treatment of a value that is no category: an error, or encoding as all zeros.
    dictionary : tuple, optional
        For dictionary types: the values of the dictionary, in its own order.
    declared : bool
        Whether the user gave the categories, so that rows added later bring no new ones.
    fit : FitRecord
        Rows and missing rows.
    max_categories : int, optional
        At most so many one-hot columns.
    automatic : bool
        Whether the number of categories chose the encoding, so that rows added later may choose another.
    """

    name: str
    type: pa.DataType
    categories: tuple[StoredCategory, ...]
    counts: tuple[int, ...]
    appearance: tuple[Annotated[int, whole(-1)], ...]
    unknown: Annotated[str, choice("error", "ignore")]
    dictionary: tuple[StoredCategory, ...] | None
    declared: bool
    fit: FitRecord
    max_categories: Annotated[int, whole(1)] | None = None
    automatic: bool = False
    kind: ClassVar[str] = "categorical"
    family: ClassVar[Family] = "categories"
    encoding: ClassVar[str] = "onehot"
    has_codes: ClassVar[bool] = True
    without_meaning: ClassVar[tuple[str, ...]] = ("fit", "counts", "appearance", "declared", "dictionary", "automatic")

    def declared_like(self, spec: Any, *, lacks_some: bool) -> Any:
        """How a further column is declared that has some of these categories."""
        values = [None if category is MISSING else category for category in self.categories]
        return {"kind": "categorical", "categories": [*values, *([None] if lacks_some and None not in values else [])]}

    @property
    def width(self) -> int:
        """One-hot columns."""
        return len(self.own) + bool(self.infrequent)

    @property
    def own(self) -> tuple[Category, ...]:
        """Categories that share their column with no other."""
        limit = self.max_categories
        return self.categories if limit is None or len(self.categories) <= limit else self.categories[: limit - 1]

    @property
    def infrequent(self) -> tuple[Category, ...]:
        """Categories that share the last column."""
        return self.categories[len(self.own) :]

    @property
    def encoding_reason(self) -> str:
        """Note on categories that share a one-hot column, if some do."""
        return "infrequent categories share a one-hot column" if self.infrequent else ""

    @property
    def holds_keys(self) -> bool:
        """True if the categories may each name someone; see `tells_apart` and `numbers_things`."""
        is_apart = self.tells_apart(len(self.categories) - (MISSING in self.categories))
        return not self.declared and is_apart and not self.numbers_things

    @cached_property
    def numbers_things(self) -> bool:
        """True if categories name articles or places, not persons; see `gpuvgm.columns.things`."""
        return number_things(self.name, self.categories)

    @property
    def code_counts(self) -> Floats:
        """Training rows of each one-hot column."""
        own_count = len(self.own)
        return np.array(
            [*self.counts[:own_count], *([sum(self.counts[own_count:])] * bool(self.infrequent))], np.float64
        )

    @cached_property
    def positions(self) -> dict[Category, int]:
        """One-hot column of each category; the column's type distinguishes true from 1."""
        last = self.width - 1
        return {category: min(position, last) for position, category in enumerate(self.categories)}

    @property
    def value_type(self) -> Any:
        """Arrow type of the categories, which may lie in a dictionary."""
        return value_type(self.type)

    @cached_property
    def numbers(self) -> Floats:
        """Categories that are numbers or datetimes, as floats; NaN for missing values."""
        return np.array([np.nan if category is MISSING else float(category) for category in self.categories])

    @cached_property
    def index(self) -> CategoryIndex:
        """Finds the categories of values."""
        return CategoryIndex(self.categories, self.value_type)

    def category_values(self) -> CategoryValues:
        """The categories in the column's own type, by position."""
        return CategoryValues(self, self.categories)

    @property
    def texts(self) -> Iterator[str]:
        """The categories as people read them."""
        return map(self.text_of, self.categories)

    def text_of(self, category: Category) -> str:
        """A category as people read it."""
        return category_text(self.type, category)

    @property
    def order(self) -> tuple[int, ...]:
        """For each one-hot column its category."""
        return tuple(range(self.width))

    @property
    def all_known(self) -> bool:
        """True if every row has a 1 in a one-hot column."""
        return self.unknown != "ignore"

    def parse(self, literal: object) -> Category:
        """A category as a user writes it, in its plain form.

        Raises
        ------
        ValueError
            For a value that is none of the column's type.
        """
        return parse_categories([literal], self.value_type)[0]

    def code_of(self, value: object) -> int | None:
        """One-hot column of a category as a user writes it; None for what is no category."""
        try:
            return self.positions.get(self.parse(value))
        except ValueError:
            return None

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """Return a function that encodes parts of the column; Arrow looks up values, of a device each once."""
        return CategoryEncoder(self, options)

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """Return a function that decodes parts of the column."""
        return partial(self._decode, CategoryValues(self, self.own))

    def _decode(self, values: CategoryValues, part: Coded, first_row: int) -> Values:
        """Values of modes; missing for one that categories share, and for that of no category."""
        assert part.code is not None
        mode = part.code
        last = self.width - (self.unknown != "ignore")
        is_wrong = (mode < 0) | (mode > last)
        if is_wrong.any():
            first = int(is_wrong.argmax())
            self.refuse_code(first_row + first, mode[first].item())
        return Values(values(namespace_of(mode).minimum(mode, len(self.own))))

    @classmethod
    def from_json(cls, document: Mapping[str, Any], where: str) -> FittedColumn:
        """Read a column that `to_json` wrote."""
        kinds = {kind.encoding: kind for kind in (CategoricalColumn, IntervalColumn, ConstantColumn)}
        return read_as(kinds[choice(*kinds)(document.get("encoding"), f"{where}: encoding")], document, where)

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        settings = {"unknown": self.unknown, "declared": self.declared, "dictionary": self.dictionary}
        sharing = {"max_categories": self.max_categories, "infrequent": len(self.infrequent)}
        return super().describe() | settings | {"encoding": self.encoding} | sharing | {"levels": self.describe_codes()}

    def describe_codes(self) -> list[dict[str, Any]]:
        """The categories by falling frequency, with one-hot column each; `appearance` is -1 where one did not occur."""
        parts = zip(self.categories, self.texts, self.counts, self.appearance, strict=True)
        return [
            {"code": self.positions[category], "level": category, "text": text, "rows": rows, "appearance": place}
            for category, text, rows, place in parts
        ]

    def check_parts(self) -> None:
        """Refuse categories that are not distinct values of the column's type."""
        if not len(self.categories) == len(self.counts) == len(self.appearance):
            raise ValueError("the categories do not fit their counts")
        occurring = sorted(place for place in self.appearance if place >= 0)
        if occurring != [*range(len(occurring))]:
            raise ValueError("the places of its categories are no order")
        check_categories(len(self.categories))
        positions = np.arange(len(self.categories))
        values = self.category_values()(positions)
        places = self.index.find(values)
        if not np.array_equal(places, positions):
            raise ValueError(f"its categories are not {len(positions)} different values of {self.type}")

    def plot(self, ax: Any = None, *, rows: Any = None) -> Any:
        """Draw the training rows of the categories; see `FittedColumn.plot`."""
        from gpuvgm.columns.plots import plot_categories

        return plot_categories(self.name, self.texts, self.counts, ax)

    def count_values(self, values: Column, first_row: int) -> CategoryCounts:
        """Rows of each value, of which those that are no category are values too."""
        return CategoryCounts.of(values, first_row)

    def counted(self) -> CategoryCounts:
        """The counts that the model holds."""
        type_ = value_type(self.type)
        return CategoryCounts(type_, self.fit.rows, self.categories, np.array(self.counts), np.array(self.appearance))

    def plan(self) -> CategoricalPlan:
        """The plan that the column came from."""
        categories = self.categories if self.declared else None
        encoding = "auto" if self.automatic else self.encoding
        return CategoricalPlan(
            self.name, self.type, self.unknown, categories, self.dictionary, encoding, self.max_categories
        )


@dataclass(frozen=True, repr=False)
class IntervalColumn(CategoricalColumn):
    """A categorical column as one scalar: each category owns an interval as long as its frequency.

    Parameters
    ----------
    name, type, categories, counts, appearance, unknown, dictionary, declared, fit, max_categories, automatic
        As for `CategoricalColumn`; `max_categories` is None. A value that is no category, where that is no error, has
        the scalar NaN.
    """

    encoding: ClassVar[str] = "interval"
    has_scalar: ClassVar[bool] = True
    has_codes: ClassVar[bool] = False
    without_meaning: ClassVar[tuple[str, ...]] = ("fit", "appearance", "declared", "dictionary", "automatic")

    @property
    def width(self) -> int:
        """One-hot columns: none."""
        return 0

    @property
    def encoding_reason(self) -> str:
        """Note on the single scalar, and why there are no one-hot columns."""
        why = f"more than {MOST_ONEHOT} categories: " if self.automatic else ""
        return f"{why}one scalar, in which each category owns an interval"

    @property
    def takes_uniforms(self) -> bool:
        """Always true: encoding a row takes a uniform."""
        return True

    @property
    def code_counts(self) -> Floats:
        """Empty, since there are no one-hot columns."""
        return np.empty(0)

    @cached_property
    def intervals(self) -> Intervals:
        """The interval of each category."""
        return Intervals.of(self.counts)

    def code_of(self, value: object) -> int | None:
        """None, since there are no one-hot columns."""
        return None

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """Return a function that encodes parts of the column; Arrow looks up values, of a device each once."""
        return IntervalEncoder(self, options)

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """Return a function that decodes parts of the column."""
        return partial(self._decode, self.category_values())

    def _decode(self, values: CategoryValues, part: Coded, first_row: int) -> Values:
        """Values of scalars; missing for NaN, where values that are no category were no error."""
        assert part.scalar is not None
        scalar = part.scalar
        positions, is_missing = self.intervals.find(scalar), namespace_of(scalar).isnan(scalar)
        if is_missing.any():
            if self.unknown == "error":
                problem = "scalars are NaN"
                refuse_rows(
                    self, is_missing, first_row, "row {}".format, problem, "a model writes none; check what made them"
                )
            positions[is_missing] = len(self.categories)
        return Values(values(positions))

    def describe_codes(self) -> list[dict[str, Any]]:
        """The categories by falling frequency, each with its interval; `appearance` is -1 where one did not occur."""
        edges = self.intervals.edges.tolist()
        parts = zip(self.categories, self.texts, self.counts, self.appearance, edges[:-1], edges[1:], strict=True)
        return [
            {"level": category, "text": text, "rows": rows, "appearance": place, "start": start, "stop": stop}
            for category, text, rows, place, start, stop in parts
        ]

    def check_parts(self) -> None:
        """Refuse categories that are not distinct values of the column's type, or too many for intervals."""
        if not self.categories or self.max_categories is not None:
            raise ValueError("intervals belong to one category at least, and to no largest number of them")
        check_categories(len(self.categories), MOST_INTERVALS)
        CategoricalColumn.check_parts(self)


@dataclass(frozen=True, repr=False)
class ConstantColumn(CategoricalColumn):
    """A column that holds one value in all rows, or none: no part of the one-hot matrix.

    Compact rows carry it as it is, as a passthrough column; rows that come without it get its one category. Parameters
    are those of `CategoricalColumn`.
    """

    encoding: ClassVar[str] = "constant"
    has_codes: ClassVar[bool] = False

    @property
    def width(self) -> int:
        """One-hot columns: none."""
        return 0

    @property
    def encoding_reason(self) -> str:
        """Note on the column's absence from the matrix."""
        return "the same in all rows, which takes no column of the matrix"

    @property
    def code_counts(self) -> Floats:
        """Empty, since there are no one-hot columns."""
        return np.empty(0)

    def absent(self, first_row: int, rows: int) -> Coded:
        """Rows that came without the column."""
        return Coded(passthrough=self.category_values()(np.zeros(rows, np.int64)))

    def code_of(self, value: object) -> int | None:
        """None, since there are no one-hot columns."""
        return None

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """Return a function that passes parts of the column through and refuses other categories."""
        return ConstantEncoder(self, options)

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """Return a function that passes parts of the column back."""
        return handed_back

    def describe_codes(self) -> list[dict[str, Any]]:
        """The category, which has no one-hot column."""
        return [{name: value for name, value in CategoricalColumn.describe_codes(self)[0].items() if name != "code"}]

    def check_parts(self) -> None:
        """Refuse more or fewer than one category, and one that is no value of the column's type."""
        if len(self.categories) != 1 or self.unknown != "error":
            raise ValueError("a constant has one category, and no place for unknown ones")
        CategoricalColumn.check_parts(self)


@dataclass(frozen=True, slots=True)
class CategoricalPlan(ColumnPlan):
    """Plan of a categorical column, made before its rows are read.

    Parameters
    ----------
    name : str
        The column.
    type : pyarrow.DataType
        Its Arrow type.
    unknown : str
        Treatment of a value that is no category.
    declared : tuple, optional
        The categories, where the user gave them.
    dictionary : tuple, optional
        For dictionary types: the values of the dictionary, in its own order.
    encoding : {"auto", "onehot", "interval"}
        Encoding; "auto" is one-hot up to 256 categories, and an interval of each beyond; a single category takes
        no column.
    max_categories : int, optional
        One-hot columns at most, whatever `encoding` is.
    few_numbers : bool
        The values are numbers or datetimes, and categories only because the sample has few different ones.
    """

    name: str
    type: Any
    unknown: str
    declared: tuple[Category, ...] | None = None
    dictionary: tuple[Category, ...] | None = None
    encoding: str = "onehot"
    max_categories: int | None = None
    few_numbers: bool = False

    @property
    def counts_codes(self) -> bool:
        """Whether text is counted by its codes: each category is looked at once."""
        return True

    @property
    def limit(self) -> int:
        """Categories that the column may have."""
        return MOST_CATEGORIES if self.encoding == "onehot" or self.max_categories is not None else MOST_INTERVALS

    def statistics(self, engine: Engine, values: Column, first_row: int) -> CategoryCounts:
        """Categories of rows; the column stops where there are too many to number."""
        counts = CategoryCounts.of(values, first_row).of_type(value_type(self.type))
        if self.declared is not None:
            self._check_declared(counts)
            counts = _with_declared(self.declared, counts)
        check_categories(len(counts.categories), self.limit)
        return replace(counts, limit=self.limit)

    def _check_declared(self, counts: CategoryCounts) -> None:
        """Refuse categories that are not among those declared."""
        declared = set(self.declared or ())
        foreign = [i for i, category in enumerate(counts.categories) if category not in declared]
        if foreign and self.unknown == "error":
            first = min(foreign, key=lambda i: counts.first_rows[i])
            raise InputError(
                f"{shown(counts.categories[first])} (first at row {counts.first_rows[first]}) is "
                'none of the declared categories; add it, or pass unknown="ignore"'
            )

    def fit(self, counts: CategoryCounts) -> CategoricalColumn:
        """The column's model from its counts.

        Raises
        ------
        Refuted
            For many different numbers, of which the sample had few.
        """
        sorted_counts = counts.ordered()
        missing = (
            sorted_counts.counts[sorted_counts.categories.index(MISSING)] if MISSING in sorted_counts.categories else 0
        )
        numbers = [category for category in sorted_counts.categories if category != MISSING]
        if self.few_numbers and len(numbers) > MOST_VALUES:
            raise Refuted(
                f'column "{self.name}": {len(numbers):,} distinct values, of which the sample has at most '
                f'{MOST_VALUES}; declare it "categorical", or another kind',
                array_of(numbers[-MOST_VALUES - 1 :], self.type).to_pylist(),
            )
        return _column_class(self, len(sorted_counts.categories))(
            name=self.name,
            type=self._wide_type(sorted_counts.categories),
            categories=sorted_counts.categories,
            counts=tuple(int(count) for count in sorted_counts.counts),
            appearance=sorted_counts.appearance,
            unknown=self.unknown,
            dictionary=self.dictionary,
            declared=self.declared is not None,
            fit=FitRecord("none", counts.rows, int(missing)),
            max_categories=self.max_categories,
            automatic=self.encoding == "auto",
        )

    def _wide_type(self, categories: Sequence[Category]) -> pa.DataType:
        """The column's type, with room for the codes of all entries where rows added later brought new ones."""
        if not pa.types.is_dictionary(self.type):
            return self.type  # type: ignore[no-any-return]
        entries = len({*(self.dictionary or ()), *categories} - {MISSING})
        largest_index = np.iinfo(np.dtype(str(self.type.index_type))).max
        type_: pa.DataType = self.type if entries <= largest_index + 1 else with_wide_index(self.type)
        return type_


def _column_class(plan: CategoricalPlan, categories: int) -> type[CategoricalColumn]:
    """Class of a column with this number of categories."""
    if plan.encoding == "auto" and categories == 1 and plan.unknown == "error":
        return ConstantColumn
    is_interval = plan.encoding == "interval" or (plan.encoding == "auto" and categories > MOST_ONEHOT)
    return IntervalColumn if is_interval and plan.max_categories is None else CategoricalColumn


def plan_categories(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> CategoricalPlan:
    """Plan of a categorical column.

    Raises
    ------
    InputError
        For declared categories that the column's type cannot hold.
    """
    declared = None
    if request.spec.categories is not None:
        try:
            declared = parse_categories(request.spec.categories, value_type(sample.type))
        except ValueError as problem:
            raise InputError(f'column "{request.name}": categories: {problem}') from None
    return CategoricalPlan(
        request.name,
        sample.type,
        request.unknown,
        declared,
        _dictionary_of(sample),
        request.encoding,
        request.max_categories,
        request.learns_steps and not request.is_final and is_number_type(sample.type) and not request.spec.keeps,
    )


def _dictionary_of(sample: Any) -> tuple[Category, ...] | None:
    """The values of the chunks' dictionaries, one behind the other, without those that are missing or there before."""
    if (
        not pa.types.is_dictionary(sample.type)
        or sum(len(chunk.dictionary) for chunk in sample.chunks) > MOST_CATEGORIES
    ):
        return None
    categories = (category for chunk in sample.chunks for category in categories_of(plain_values(chunk.dictionary)))
    return tuple(category for category in dict.fromkeys(categories) if category is not MISSING)


def _with_declared(declared: Sequence[Category], counts: CategoryCounts) -> CategoryCounts:
    """Counts of the declared categories, those that did not occur included, and of no others."""
    places = {category: i for i, category in enumerate(counts.categories)}
    declared_places = [places.get(category) for category in declared]
    return CategoryCounts(
        counts.type,
        counts.rows,
        tuple(declared),
        np.array([0 if i is None else counts.counts[i] for i in declared_places], np.int64),
        np.array([-1 if i is None else counts.first_rows[i] for i in declared_places], np.int64),
    )


class CategoryEncoder:
    """Encodes a categorical column, one-hot.

    Parameters
    ----------
    column : CategoricalColumn
        The fitted column.
    options : EncodingOptions
        Options of the encoding.
    """

    def __init__(self, column: CategoricalColumn, options: EncodingOptions) -> None:
        self._column, self._options = column, options

    def __call__(self, part: Slice) -> Coded:
        """Codes of a part."""
        column = self._column
        positions = self._positions(part)
        xp = namespace_of(positions)
        codes = xp.where(positions < 0, column.width, xp.minimum(positions, column.width - 1))
        return Coded(code=codes.astype(column.code_dtype), unseen=self._unseen(part, positions))

    def _unseen(self, part: Slice, positions: Ints) -> dict[str, Unseen]:
        column = self._column
        is_infrequent = positions >= len(column.own) if column.infrequent else None
        return Unseen.of(part.first_row, unknown=positions < 0, infrequent=is_infrequent)

    def _positions(self, part: Slice) -> Ints:
        """Position of each row's category, where the rows lie; -1 for unknown values, if they are no error."""
        positions = self._column.index.find(part.values)
        unknown = positions < 0
        if self._column.unknown == "error" and unknown.any():
            self._refuse(part, to_numpy(unknown))
        return positions

    def _refuse(self, part: Slice, unknown: NDArray[np.bool_]) -> None:
        entries, places = coded_values(part.values.slice(int(np.argmax(unknown)), 1))
        value = entries[int(places[0])].as_py()
        # NaN does not equal itself.
        blank = value is None or value != value or (isinstance(value, str) and not value.strip())
        problem = "values are missing" if blank else f"values (such as {shown(value)}) are no category"
        where = "in a column that had none missing at fit" if blank else "that was there at fit"
        remedy = 'fit with rows that have them, declare categories, or fit with unknown="ignore"'
        refuse_rows(self._column, unknown, part.first_row, self._options.place, f"{problem} {where}", remedy)


class IntervalEncoder(CategoryEncoder):
    """Encodes a categorical column as places in its categories' intervals; parameters as for `CategoryEncoder`."""

    def __init__(self, column: IntervalColumn, options: EncodingOptions) -> None:
        CategoryEncoder.__init__(self, column, options)
        self._intervals = column.intervals

    def __call__(self, part: Slice) -> Coded:
        """Scalars of a part: all of them float32 numbers, whatever type they have."""
        positions = to_numpy(self._positions(part))
        scalars = self._intervals.place(positions, self._uniforms(part, len(positions)))
        scalars[positions < 0] = np.nan
        return Coded(scalar=scalars.astype(self._options.dtype), unseen=self._unseen(part, positions))

    def _uniforms(self, part: Slice, rows: int) -> Floats | float:
        options = self._options
        if options.most_probable:
            return MIDDLE
        if part.uniforms is not None:
            return part.uniforms
        return Draw(options.seed, self._column.column_id, options.first_row + part.first_row).generated(rows)


class ConstantEncoder(CategoryEncoder):
    """Hands a constant column through; parameters as for `CategoryEncoder`."""

    def __call__(self, part: Slice) -> Coded:
        """The values as they are; others than the one of the fit are refused."""
        self._positions(part)
        return Coded(passthrough=part.values)


class CategoryValues:
    """Values of categories in a column's own type.

    Parameters
    ----------
    column : CategoricalColumn
        The column.
    categories : sequence of Category
        The categories, by position; a position past the last one is missing.
    """

    def __init__(self, column: CategoricalColumn, categories: Sequence[Category]) -> None:
        self._type: Any = column.type
        if not pa.types.is_dictionary(self._type):
            values = array_of(categories, value_type(self._type))
            self._values: Any = pa.concat_arrays([values, pa.nulls(1, values.type)])
            return
        union = dict.fromkeys((*(column.dictionary or ()), *column.categories))  # those at fit, then later ones
        entries = [category for category in union if category is not MISSING]
        code_of: dict[Category, int] = {category: code for code, category in enumerate(entries)}
        codes = np.array([code_of.get(category, -1) for category in (*categories, MISSING)])
        indices: Any = pa.array(codes, self._type.index_type, mask=codes < 0)
        words = array_of(entries, self._type.value_type)
        self._values = pa.DictionaryArray.from_arrays(indices, words, ordered=self._type.ordered)

    def __call__(self, positions: Ints) -> Column:
        """Values of positions, where these lie.

        A device gathers numbers and codes of dictionaries; of other values, such as text, the positions stay there, and
        the host takes the values where it is given the column.
        """
        if not is_on_device(positions):
            taken: pa.Array[Any] = self._values.take(pa.array(positions, pa.int64())).cast(self._type)
            return taken
        rows = DeviceColumn.of(self._values, self._type, namespace_of(positions)).filter(positions)
        # Rows that all have a value need no mask.
        return rows if rows.missing is not None and rows.missing.any() else replace(rows, missing=None)
