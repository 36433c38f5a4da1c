"""Some rows of a table in which laws are looked for and judged, and what stands out of the values of each."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import to_numpy
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn, PassthroughColumn
from gpuvgm.io import is_plain_number_type, is_text_type, plain_values_of, taken
from gpuvgm.report.detection import date_parts
from gpuvgm.report.pair_trends import even_steps
from gpuvgm.report.sequences import WholeKeys
from gpuvgm.summary import Floats, Ints

FEW_ROWS = 1 << 15  # of which features are taken
MOST_VALUES = 1 << 12  # different ones of a column on which others may depend
MOST_PLACES = 7  # decimal places; numbers with more have no such form
NEAR = 1e-9  # of a number, by which its decimal places may be off
LEAST_DIGITS = 8  # of a number with a check digit
MOST_CHECKED = 4_096  # different texts whose check digits are tried
VALUE, MISSING, FORM, SHAPE, DECIMALS, CODE = "", "missing", "form", "shape", "decimals", "code"
MOST_CODES = 64  # different letters and signs of texts without their digits, such as a letter that stands for a colour
NO_NUMBER = -1  # decimal places of a text that is none
PARTS_OF_DATES = {"hour": 24, "weekday": 7, "day of the month": 28}  # and how many there are; all months have 28 days
_NUMBER = r"[<>]?-?\d[\d,' ]*"  # without decimal places
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Feature:
    """What stands out of a column's values, such as the weekday, in some rows.

    Parameters
    ----------
    column : str
        The column.
    part : str
        What it is; empty for the values themselves.
    codes : ndarray of shape (rows,), int64
        Place of each row's label; -1 where the row has no value.
    labels : list
        The different labels.
    """

    column: str
    part: str
    codes: Ints
    labels: Sequence[Hashable]

    @classmethod
    def of(cls, column: str, part: str, labels_of_rows: Any, present: Mask) -> Feature:
        """The feature of the labels of all rows, those of rows without a value aside."""
        distinct, codes = np.unique(labels_of_rows, return_inverse=True)
        return cls(column, part, np.where(present, codes, -1), distinct.tolist())

    @property
    def text(self) -> str:
        """The feature as laws name it."""
        return f"{self.part}({self.column})" if self.part else self.column


@dataclass(frozen=True)  # no slots: features are cached
class SomeRows:
    """Some rows of a table, in runs from all over it.

    Parameters
    ----------
    rows : pyarrow.Table
        The rows.
    total : int
        All rows of the table.
    columns : mapping of str to FittedColumn
        The columns.
    """

    rows: pa.Table
    total: int
    columns: Mapping[str, FittedColumn]

    @cached_property
    def _arrays(self) -> dict[str, pa.Array[Any]]:
        return {name: plain_values_of(self.rows.column(name).combine_chunks()) for name in self.columns}

    def column(self, name: str) -> pa.Array[Any]:
        """Values of a column."""
        return self._arrays[name]

    @cached_property
    def hashes(self) -> dict[str, NDArray[np.uint64]]:
        """Hashes of the values, by column; 0 for missing ones."""
        return {name: PassthroughColumn.hashes(array) for name, array in self._arrays.items()}

    @cached_property
    def occurrences(self) -> dict[str, Ints]:
        """Rows of each different value, by column."""
        return {name: np.unique(one[one != 0], return_counts=True)[1] for name, one in self.hashes.items()}

    @cached_property
    def unknown(self) -> dict[str, Mask]:
        """Rows with a value that is no category, by column of categories."""
        categorical = (column for column in self.columns.values() if isinstance(column, CategoricalColumn))
        places = {column.name: np.asarray(column.index.find(self.column(column.name))) for column in categorical}
        return {name: (of_rows < 0) & (self.hashes[name] != 0) for name, of_rows in places.items()}

    @cached_property
    def numbers(self) -> dict[str, Floats]:
        """Numbers of each column that has them, in the unit of its codec or type; NaN for missing ones."""
        numbers = ((name, self._numbers_of(column)) for name, column in self.columns.items())
        return {name: values for name, values in numbers if values is not None}

    @cached_property
    def amounts(self) -> dict[str, Floats]:
        """Columns of plain numbers as they stand, NaN for missing ones."""
        columns = self._arrays.items()
        return {name: _floats(values) for name, values in columns if is_plain_number_type(values.type)}

    def of_keys(self, key: str, index: str) -> RowsOfKeys:
        """The rows, key after key; see `RowsOfKeys`."""
        if (key, index) not in self._of_keys:
            hashes = self.hashes[key]
            numbers = np.where(hashes == 0, -1, np.unique(hashes, return_inverse=True)[1])
            keys = WholeKeys.all_of(numbers)
            if index in self.numbers:
                keys = keys.sorted_by(self.numbers[index][keys.places])
            self._of_keys[key, index] = RowsOfKeys(self, keys)
        return self._of_keys[key, index]

    @cached_property
    def _of_keys(self) -> dict[tuple[str, str], RowsOfKeys]:
        return {}

    def _numbers_of(self, column: FittedColumn) -> Floats | None:
        """Numbers of a column, also of categories and identifiers that are numbers; None where it has none."""
        values: Any = self.column(column.name)
        if isinstance(column, NumericColumn):
            return np.asarray(to_numpy(column.all_numbers(values)))
        return _floats(values) if is_plain_number_type(values.type) else None

    @cached_property
    def _places(self) -> Ints:
        return even_steps(self.rows.num_rows, FEW_ROWS)

    @cached_property
    def features(self) -> dict[tuple[str, str], Feature]:
        """Features of the few rows, by column and part."""
        found = (feature for name in self.columns for feature in self._features_of(name))
        return {(feature.column, feature.part): feature for feature in found}

    def without(self, key: tuple[str, str]) -> Feature:
        """A feature that no row of this table has: nothing is missing, or no label is one of another table."""
        column, part = key
        present = self.few_hashes(column) != 0
        return Feature(column, part, np.where(present, 0, -1), [False if part == MISSING else None])

    def few_values(self, name: str) -> pa.Array[Any]:
        """Values of the few rows."""
        few: pa.Array[Any] = taken(self.column(name), self._places)
        return few

    def few_hashes(self, name: str) -> NDArray[np.uint64]:
        """Hashes of the few rows."""
        return self.hashes[name][self._places]

    def few_numbers(self, name: str) -> Floats:
        """Numbers of the few rows."""
        return self.numbers[name][self._places]

    def _features_of(self, name: str) -> Iterator[Feature]:
        """Yield the features of a column."""
        column, values = self.columns[name], self.few_values(name)
        present = self.few_hashes(name) != 0
        if not present.all():
            yield Feature(name, MISSING, (~present).astype(np.int64), [False, True])
        coded: Any = _encodable(values).dictionary_encode() if _has_dictionaries(values.type) else None
        if coded is not None and 0 < len(coded.dictionary) <= MOST_VALUES:
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            # Hashes: Python has not all values, such as moments beyond the year 9999.
            labels = PassthroughColumn.hashes(coded.dictionary).tolist()
            yield Feature(name, VALUE, np.where(present, codes, -1), labels)
        if isinstance(column, NumericColumn):
            yield from self._features_of_numbers(column, present)
        if coded is not None and is_text_type(values.type) and not isinstance(column, CategoricalColumn):
            yield from _features_of_texts(name, coded, present)

    def _features_of_numbers(self, column: NumericColumn, present: Mask) -> Iterator[Feature]:
        """Yield parts of dates, or the decimal places of other numbers."""
        plain, numbers = column.codec.plain, self.few_numbers(column.name)
        parts = date_parts(plain, numbers)
        if not parts and pa.types.is_floating(column.type):
            parts = {DECIMALS: _places_of(numbers)}
        for part, labels in parts.items():
            has_part = present & ~np.isnan(labels)
            if has_part.any():
                yield Feature.of(column.name, part, np.where(has_part, labels, 0).astype(np.int64), has_part)


@dataclass(frozen=True)  # no slots: what follows from the keys is cached
class RowsOfKeys:
    """Rows in the order of their keys, those of a key as they stand, or in the order of an index.

    Parameters
    ----------
    rows : SomeRows
        The rows.
    keys : WholeKeys
        Which of them have a key, key after key.
    """

    rows: SomeRows
    keys: WholeKeys

    @cached_property
    def starts(self) -> Ints:
        """First row of each key."""
        return self.keys.starts

    @cached_property
    def counts(self) -> Ints:
        """Rows of each key."""
        return self.keys.counts

    @cached_property
    def later(self) -> Ints:
        """Rows that have another one of their key before them."""
        return self.keys.successors

    @cached_property
    def amounts(self) -> dict[str, Floats]:
        """Columns of plain numbers, NaN where missing."""
        return {name: of_rows[self.keys.places] for name, of_rows in self.rows.amounts.items()}

    @cached_property
    def sums(self) -> dict[str, Floats]:
        """Sums of these by key; missing ones add nothing."""
        return {name: np.add.reduceat(np.nan_to_num(of_rows), self.starts) for name, of_rows in self.amounts.items()}

    def hashes(self, name: str) -> NDArray[np.uint64]:
        """Hashes of a column's values, 0 for missing ones."""
        return self.rows.hashes[name][self.keys.places]


def _floats(values: Any) -> Floats:
    """Plain numbers as floats, NaN for missing ones."""
    return np.asarray(values.cast(pa.float64(), safe=False).fill_null(np.nan))


def _has_dictionaries(type_: pa.DataType) -> bool:
    """Whether the different values of a type are found by Arrow."""
    return not (pa.types.is_nested(type_) or pa.types.is_float16(type_))


def _encodable(values: Any) -> Any:
    """Values as Arrow finds different ones: of decimals only those of 128 bits and more."""
    type_ = values.type
    is_short = pa.types.is_decimal(type_) and type_.bit_width < 128
    return values.cast(pa.decimal128(type_.precision, type_.scale)) if is_short else values


def _places_of(numbers: Floats) -> Floats:
    """Decimal places of numbers, `MOST_PLACES` for those with more; NaN for missing ones."""
    places = np.where(np.isnan(numbers), np.nan, float(MOST_PLACES))
    with np.errstate(over="ignore", invalid="ignore"):
        for place in range(MOST_PLACES - 1, -1, -1):
            scaled = numbers * 10.0**place
            places = np.where(np.abs(scaled - np.rint(scaled)) <= NEAR * np.maximum(np.abs(scaled), 1), place, places)
    return places


def _features_of_texts(name: str, coded: Any, present: Mask) -> Iterator[Feature]:
    """Yield the forms of texts, with runs of digits and letters and without, and what they say as numbers."""
    texts: Any = coded.dictionary.cast(pa.string())
    codes = np.where(present, coded.indices.fill_null(0).to_numpy(zero_copy_only=False), 0).astype(np.int64)
    if not len(texts):
        return
    forms = forms_of(texts)
    for part, of_texts in ((FORM, forms), (SHAPE, _with_runs_as_one(forms))):
        labels: Any = of_texts.dictionary_encode()
        of_rows = np.where(present, labels.indices.to_numpy()[codes], -1).astype(np.int64)
        yield Feature(name, part, of_rows, labels.dictionary.to_pylist())
    letters: Any = pc.replace_substring_regex(texts, r"\d+", "9").dictionary_encode()
    if 1 < len(letters.dictionary) <= MOST_CODES:
        of_rows = np.where(present, letters.indices.to_numpy()[codes], -1).astype(np.int64)
        yield Feature(name, CODE, of_rows, letters.dictionary.to_pylist())
    are_numbers = np.asarray(pc.match_substring_regex(texts, rf"\A{_NUMBER}(\.\d+)?\z"))
    if are_numbers.any():
        behind: Any = pc.utf8_length(pc.replace_substring_regex(texts, rf"\A{_NUMBER}(\.|\z)", ""))
        yield Feature.of(name, DECIMALS, np.where(are_numbers, behind.to_numpy(), NO_NUMBER)[codes], present)
    digits = [[*map(int, text)] for text in pc.replace_substring_regex(texts[:MOST_CHECKED], r"\D", "").to_pylist()]
    if max(map(len, digits)) >= LEAST_DIGITS:
        is_checked = present & (codes < MOST_CHECKED)
        for part, is_right in CHECKS.items():
            are_right = np.array([len(one) >= LEAST_DIGITS and is_right(one) for one in digits])
            yield Feature.of(name, part, are_right[np.where(is_checked, codes, 0)], is_checked)


def forms_of(texts: Any) -> Any:
    """What the characters of texts are: 9 for digits, A and a for letters, others as they are."""
    for pattern, replacement in ((r"\d", "9"), (r"\p{Lu}", "\x00"), (r"\p{L}", "a"), ("\x00", "A")):
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return texts


def _with_runs_as_one(forms: Any) -> Any:
    """Forms of which each run of digits or letters counts as one."""
    for character in "9Aa":
        forms = pc.replace_substring_regex(forms, f"{character}{{2,}}", f"{character}+")
    return forms


def luhn(digits: Sequence[int]) -> bool:
    """Whether the last digit is the one of ISO/IEC 7812-1, as of cards."""
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def ean(digits: Sequence[int]) -> bool:
    """Whether the last digit is the one of ISO/IEC 15420, as of articles and books."""
    return (sum(digits[-1::-2]) + 3 * sum(digits[-2::-2])) % 10 == 0


#: Check digits that are told, by the name of their part.
CHECKS = {"check digit": luhn, "EAN check digit": ean}
