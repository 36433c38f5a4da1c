"""What an undeclared column is: an ordered list of small recognisers, `RECOGNISERS`, at the end of this file.

Each looks at a sample of the column, and says what the column is or declines; the first that answers is right. Text of
dates, times and numbers is read before (`codecs/texts.py`), so that the recognisers of these see its values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import distinct_values
from gpuvgm.codecs import (
    FIRST_ROWS,
    TextForm,
    are_blank,
    are_like_values,
    different_texts,
    form_of,
    may_be_values,
    unread_values,
)
from gpuvgm.columns.categories import is_category_type, plain_values, value_type
from gpuvgm.columns.digits import are_long, check_digits_of, digits_of
from gpuvgm.columns.options import Setting
from gpuvgm.columns.text import type_name
from gpuvgm.columns.things import number_persons, number_things
from gpuvgm.errors import counted, listed
from gpuvgm.io import is_datetime_type, is_number_type, is_plain_number_type, is_text_type, plain_values_of

Column: TypeAlias = "pa.ChunkedArray[Any]"

#: At most so many different numbers make a column categorical, where each is there often enough on average.
MOST_VALUES = 20
LEAST_ROWS_PER_VALUE = 10
#: A modal value has at least this share, and is so many times as frequent as the first that is none.
MOST_SPIKES = 3
LEAST_SHARE = 0.05
LEAST_RATIO = 5
#: Text with more different values than this, nearly all of them different, is an identifier or free text.
MANY_TEXTS = 100
DIFFERENT_TEXTS = 0.95
#: The same of tables with few rows, but for the research code.
MANY_IN_FEW, DIFFERENT_IN_FEW = 30, 0.9
#: Text with more different values than this is free text if there are fewer than ten rows for each.
MANY_FREE, SHARE_OF_FREE = 256, 0.1
#: Where so many rows of a random sample bring a text that no other row has, texts are free or too many to count.
NEW_TEXTS = 0.6
#: Identifiers: whole numbers that fill so much of their range, of so many rows; text that is different in so many.
FILLED = 0.9
LEAST_ROWS_PER_THING = 5  # on average, with which numbers of articles and books are categories
LEAST_REPEATED = 10  # rows of a part of a table that repeat a value, where its values come back
LEAST_NUMBERED = 100
LEAST_NAMED = 1_000
#: Whole numbers between these that run in steps may be years, which are quantities.
FIRST_YEAR, LAST_YEAR = 1600, 2100
TRIMMED_ROWS = 1 << 13  # of text, copied without its blanks at a time
LARGE_SAMPLE = 1 << 24  # bytes of a column, beyond which memory counts for more than time
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_PARQUET_INDEX = re.compile(r"__index_level_\d+__")
NO_VALUE = "no value in the sample"


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """Settings of inference: what is recognised beside the types of columns.

    Parameters
    ----------
    texts : bool
        Dates, times and numbers in text.
    identifiers : bool
        Identifiers.
    categorical : bool
        Whether a column of few different numbers is categorical.
    spikes : bool
        Whether a column with a few very frequent numbers is mixed.
    rows : int or None
        Rows of the source, where they are known.
    components : int or None
        Components of the mixtures that scales are tried with; None: values are fitted as they are.
    is_exact : bool
        Whether every row shall come back, those that are off a step too.
    parse : str or None
        Reading of text that can be read in several ways.
    na_values : tuple of str
        Text that means a missing value.
    """

    texts: bool = False
    identifiers: bool = False
    categorical: bool = True
    spikes: bool = True
    rows: int | None = None
    components: int | None = None
    is_exact: bool = False
    parse: str | None = None
    na_values: tuple[str, ...] = ()

    @property
    def constants(self) -> bool:
        """Whether numbers, dates and times that are all equal, or all missing, are categorical."""
        return self.texts and self.categorical


@dataclass(frozen=True, slots=True)
class Finding:
    """What a column is, by a sample.

    Parameters
    ----------
    kind : str
        "continuous", "mixed", "categorical", "id" or "pass".
    reason : str
        Why, in words.
    options : mapping
        Options that suit the column: its modal values, the most frequent first, and its scale.
    remark : str, optional
        Of text whose kind all rows decide: what its reason says beside the numbers, or "".
    """

    kind: str
    reason: str
    options: Mapping[str, Setting] = field(default_factory=dict)
    remark: str | None = None


@dataclass(frozen=True, eq=False)  # no slots: what several recognisers look at is cached
class Sample:
    """Sample of a column, as recognisers look at it.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Some of its values.
    settings : InferenceSettings
        What is recognised.
    name : str or None
        The column; None where its name tells nothing.
    """

    column: Column
    settings: InferenceSettings = InferenceSettings()
    name: str | None = None

    @cached_property
    def form(self) -> TextForm | None:
        """Form of text that is dates, times or numbers, if text is recognised at all; None for other columns."""
        if not self.settings.texts or not is_text_type(self.column.type):
            return None
        return form_of(self.column, self.settings.parse, self.settings.na_values)

    @cached_property
    def values(self) -> Column | None:
        """Numbers, dates or times: the column, or what its text says, without words; None for other columns."""
        if self.form is None:
            return self.column if is_number_type(self.column.type) else None
        form = replace(self.form, words=())
        return pa.chunked_array([form.read(chunk)[0] for chunk in self.column.chunks], form.value_type)

    @cached_property
    def numbers(self) -> Numbers | None:
        """Integers or floats, also those of text; None for other columns, dates and decimals among them."""
        values = self.values
        if values is not None and self.form is not None and pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        return None if values is None or not is_plain_number_type(values.type) else Numbers(values)

    @cached_property
    def texts(self) -> Texts | None:
        """The text, also that of a dictionary; None for other columns."""
        column = plain_values_of(self.column)
        return Texts.of(column) if is_text_type(column.type) else None

    @property
    def label(self) -> str:
        """The column's type, or what its text is like."""
        if self.form is None:
            return type_name(self.column.type)
        words = f" beside {listed(self.form.words)}" if self.form.words else ""
        return f'text such as "{self.form.example}"{words}'

    @cached_property
    def has_value(self) -> bool:
        """Whether some row has a value; NaN and blank text are none."""
        if self.column.null_count == len(self.column):
            return False
        if self.numbers is not None:
            return len(self.numbers.present) > 0
        return self.form is not None or self.texts is None or len(self.texts.present) > 0

    @cached_property
    def range(self) -> tuple[int, float] | None:
        """Step of whole numbers that are all different, and the share of their range that all rows fill; else None."""
        values, rows = self.values, len(self.column)
        if not self.settings.identifiers or rows < LEAST_NUMBERED or values is None:
            return None
        if not pa.types.is_integer(values.type) or not are_unique(values):
            return None
        numbers = values.to_numpy()
        offsets = numbers.astype(np.uint64) - numbers.min().astype(np.uint64)  # modulo 2^64, which no difference has
        step, span = int(np.gcd.reduce(offsets)), int(offsets.max())
        return step, max(self.settings.rows or 0, rows) / (span // step + 1)

    @property
    def doubt(self) -> str:
        """Why whole numbers that are all different may be no identifiers; empty where nothing speaks against it."""
        if self.range is None or self.numbers is None:
            return ""
        share, numbers = self.range[1], self.numbers.present
        if share < FILLED:
            return f'all different, and {_percent(share)} of their range: declare it "id" if it tells rows apart'
        if FIRST_YEAR <= numbers.min() and numbers.max() <= LAST_YEAR:
            return 'all different, and perhaps years: declare it "id" if it tells rows apart'
        return ""

    @cached_property
    def check_digits(self) -> str:
        """What check digits whole numbers or texts have; empty without."""
        is_number = is_number_type(plain_values_of(self.column).type)
        is_read = self.settings.identifiers and (is_number or self.texts is not None)
        return check_digits_of(self.column) if is_read else ""

    @property
    def remark(self) -> str | None:
        """Of text whose kind all rows decide: what its reason says beside the numbers; None for other columns."""
        return self.unread if self.settings.identifiers and self.texts is not None else None

    @cached_property
    def unread(self) -> str:
        """Remedy where most of many texts may be numbers, dates or times but are in no readable form; else empty."""
        if self.texts is None or not self.settings.texts or self.texts.distinct <= MANY_TEXTS:
            return ""
        is_open = may_be_values(self.texts.present, self.texts.distinct)
        return unread_values(different_texts(self.texts.column)) if is_open else ""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Integers or floats of a sample."""

    column: Column

    @cached_property
    def present(self) -> NDArray[Any]:
        """Numbers that are neither null nor NaN."""
        numbers: NDArray[Any] = self.column.drop_null().to_numpy()
        return numbers if numbers.dtype.kind != "f" else numbers[~np.isnan(numbers)]

    @cached_property
    def by_frequency(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Different finite numbers and their counts, the most frequent first; among equals the smaller number."""
        values, counts = distinct_values(self.present[np.isfinite(self.present)])
        order = np.argsort(-counts, kind="stable")
        # Negative zero is shown as 0.
        return np.where(values == 0, values.dtype.type(0), values)[order], counts[order]

    @property
    def are_few(self) -> bool:
        """Whether there are few different numbers, none of them infinite, each in several rows on average."""
        (values, counts), rows = self.by_frequency, len(self.present)
        infinite = int(np.sum(counts)) < rows
        return not infinite and len(values) <= MOST_VALUES and rows >= LEAST_ROWS_PER_VALUE * len(values)

    @property
    def distinct(self) -> str:
        """How many different numbers there are, in words."""
        return counted(len(self.by_frequency[0]), "distinct value")


@dataclass(frozen=True, slots=True)
class Texts:
    """Text of a sample.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        All rows.
    present : pyarrow.ChunkedArray
        Those that are neither missing nor blank.
    counts : ndarray of shape (distinct,), int64
        How often each different text occurs.
    has_blank : bool
        Whether there is blank text.
    """

    column: Column
    present: Column
    counts: NDArray[np.int64]
    has_blank: bool

    @classmethod
    def of(cls, column: Column) -> Texts:
        """Text of a column."""
        text = column.drop_null()
        parts = pa.table([text], ["text"]).to_batches(max_chunksize=TRIMMED_ROWS)
        is_blank = pa.chunked_array([are_blank(part.column(0)) for part in parts], pa.bool_())
        has_blank = bool(pc.any(is_blank).as_py())
        if has_blank:  # else nothing is copied
            text = text.filter(pc.invert(is_blank))
        return cls(column, text, _counts_of(text), has_blank)

    @property
    def distinct(self) -> int:
        """How many different texts there are."""
        return len(self.counts)


# -- recognisers, in their order


def index_of_pandas(sample: Sample) -> Finding | None:
    """The index that pandas writes beside a table's columns."""
    if sample.name is None:
        return None
    if _PARQUET_INDEX.fullmatch(sample.name):
        return Finding("pass", "the index of a pandas table")
    if sample.name or not pa.types.is_integer(sample.column.type) or not are_unique(sample.column):
        return None
    return Finding("id", "whole numbers without a name, all different: the index of a pandas table")


def other_types(sample: Sample) -> Finding | None:
    """Lists, binary values and other types that no kind can hold."""
    if is_category_type(sample.column.type):
        return None
    return Finding("pass", f"{type_name(sample.column.type)} values, which only pass through")


def no_value(sample: Sample) -> Finding | None:
    """Columns without a value."""
    if sample.has_value:
        return None
    is_quantity = is_number_type(sample.column.type) and not sample.settings.constants
    return Finding("continuous" if is_quantity else "categorical", NO_VALUE, remark=sample.remark)


def constant(sample: Sample) -> Finding | None:
    """Numbers, dates or times that are all equal."""
    values = sample.values
    if values is None or not sample.settings.constants:
        return None
    if sample.form is not None and sample.numbers is not None or not _are_equal(values):
        return None  # whether numbers in text are few depends on their rows
    if sample.form is not None:
        return categories(sample)
    return Finding("categorical", f"1 distinct value in {len(sample.column):,} sampled rows")


def numbered_rows(sample: Sample) -> Finding | None:
    """Whole numbers that are all different and run in steps."""
    if sample.range is None or sample.doubt:
        return None
    rows, step = len(sample.column), sample.range[0]
    return Finding("id", f"{sample.label}, all {rows:,} sampled values different, in steps of {step:,}")


def check_digits(sample: Sample) -> Finding | None:
    """Whole numbers and texts with check digits: an ordinary number has the right one by chance alone, in few rows.

    Those of articles and books that come back are categories, all others name someone.
    """
    if not sample.check_digits:
        return None
    what = f"check digits: {sample.check_digits}"
    first = digits_of(sample.column.slice(0, FIRST_ROWS)).drop_null()
    if number_things(sample.name or "", first.to_pylist()):
        different, rows = _different_numbers(sample)
        if different * LEAST_ROWS_PER_THING <= rows:
            reason = f"{type_name(sample.column.type)} with {different:,} distinct values in {rows:,}, with {what}"
            return Finding("categorical", f"{reason}, of things, not of persons", {"keep": True})
    return _someones(sample, what)


def numbers_of_persons(sample: Sample) -> Finding | None:
    """Long whole numbers, also in text, in a column whose name says that they are someone's, such as phone numbers."""
    is_number = sample.values is not None and not is_datetime_type(sample.values.type)
    if not (sample.settings.identifiers and is_number and number_persons(sample.name or "")):
        return None
    return (
        _someones(sample, "7 digits and more, of persons by the name of the column")
        if are_long(sample.column)
        else None
    )


def _someones(sample: Sample, what: str) -> Finding:
    """Numbers or texts that name someone: keys, where they come back in several rows."""
    different, rows = _different_numbers(sample)
    is_whole = sample.settings.rows is not None and sample.settings.rows <= len(sample.column)
    come_back = different < DIFFERENT_TEXTS * rows if is_whole else different <= rows - LEAST_REPEATED
    # No example: it would be someone's.
    reason = f"{type_name(sample.column.type)}, {different:,} distinct values in {rows:,} sampled, with {what}"
    return Finding("id", reason, {"key": True} if come_back else {"regenerate": "sequence"})


def _different_numbers(sample: Sample) -> tuple[int, int]:
    """Different numbers or texts of a sample, and the rows that have one."""
    present = sample.texts.present if sample.texts else sample.column.drop_null()
    return len(digits_of(present).unique()), len(present)


def moments_and_decimals(sample: Sample) -> Finding | None:
    """Dates, times and durations, also in text, and decimals."""
    if sample.values is None or sample.numbers is not None:
        return None
    return _quantity(sample, type_name(sample.values.type))


def few_numbers(sample: Sample) -> Finding | None:
    """Few different numbers; text of them is categorical as it is."""
    numbers = sample.numbers
    if numbers is None or not sample.settings.categorical or not numbers.are_few:
        return None
    if sample.form is not None:
        return categories(sample)
    rows = len(sample.column)
    missing = rows - len(numbers.present)
    lacking = f", {missing:,} of them missing" if missing else ""
    return Finding("categorical", f"{numbers.distinct} in {rows:,} sampled rows{lacking}")


def spikes(sample: Sample) -> Finding | None:
    """Numbers of which a few are far more frequent than all others."""
    numbers = sample.numbers
    if numbers is None or not sample.settings.spikes:
        return None
    (values, counts), rows = numbers.by_frequency, len(numbers.present)
    spike_count = _spikes(counts, rows)
    if not spike_count:
        return None
    reason = _shown_shares(values, counts, spike_count, rows) + _missing(numbers.column, numbers.present)
    return _quantity(sample, reason, values[:spike_count].tolist())


def other_numbers(sample: Sample) -> Finding | None:
    """Numbers that are nothing else."""
    numbers = sample.numbers
    if numbers is None:
        return None
    reason = f"{type_name(numbers.column.type)} with {numbers.distinct} in {len(numbers.present):,}"
    if numbers.are_few:
        reason += "; its options are not for categorical columns"
    return _quantity(sample, "; ".join(filter(None, (reason, sample.doubt))))


def uuids(sample: Sample) -> Finding | None:
    """UUIDs."""
    texts = sample.texts
    if texts is None or not sample.settings.identifiers:
        return None
    are_many = texts.distinct > MANY_TEXTS or 1 < texts.distinct == len(texts.present)
    return Finding("id", "UUIDs") if are_many and are_uuids(texts.present) else None


def distinct_texts(sample: Sample) -> Finding | None:
    """Text that is another one in nearly all of many rows, and that nobody would read as a number, a date or a time."""
    texts = sample.texts
    if texts is None or not sample.settings.identifiers:
        return None
    rows = len(texts.present)
    if rows < LEAST_NAMED or texts.distinct < DIFFERENT_TEXTS * rows:
        return None
    if sample.unread or are_like_values(texts.present):
        return None
    reason = f"{type_name(sample.column.type)} with {texts.distinct:,} distinct values in {rows:,} sampled"
    return Finding("id", reason, remark=sample.remark)


def free_text(sample: Sample) -> Finding | None:
    """Text of which nearly all values are different, or many rows bring values that no other row has.

    Of a sample these estimate how many further rows bring values of their own (Good 1953).
    """
    texts = sample.texts
    if texts is None:
        return None
    distinct, rows = texts.distinct, len(texts.present)
    if sample.settings.identifiers:
        is_free = distinct > MANY_IN_FEW and distinct > DIFFERENT_IN_FEW * rows
        is_free |= distinct > MANY_FREE and int(np.count_nonzero(texts.counts == 1)) > NEW_TEXTS * rows
    else:
        is_free = distinct > MANY_TEXTS and distinct > DIFFERENT_TEXTS * rows
    if not is_free:
        return None
    reason = f"{type_name(sample.column.type)} with {distinct:,} distinct values in {rows:,}: identifiers or free text"
    return Finding("pass", "; ".join(filter(None, (reason, sample.unread))), remark=sample.remark)


def are_uuids(texts: Column) -> bool:
    """Return whether all texts are UUIDs, but for missing and blank ones."""
    parts = (texts.slice(0, 1), texts)
    return all(pc.all(pc.match_substring_regex(part, rf"\A({UUID}|\s*)\z")).as_py() is not False for part in parts)


def is_free_text(distinct: int, rows: int) -> bool:
    """Return whether so many different texts in all rows that have one are identifiers or free text."""
    is_one_each = distinct > MANY_IN_FEW and distinct > DIFFERENT_IN_FEW * rows
    return is_one_each or (distinct > MANY_FREE and distinct > SHARE_OF_FREE * rows)


def categories(sample: Sample) -> Finding | None:
    """Other text, booleans and dictionaries."""
    name, texts = type_name(sample.column.type), sample.texts
    if texts is None:
        return Finding("categorical", name)
    values = counted(texts.distinct, "distinct value")
    reason = f"{name} with {values}{_missing(texts.column, texts.present)}{' or blank' * texts.has_blank}"
    return Finding("categorical", "; ".join(filter(None, (reason, sample.unread))), remark=sample.remark)


Recogniser = Callable[[Sample], Finding | None]
#: The first that answers says what a column is. A new kind is recognised by an entry before those that would claim it.
RECOGNISERS: tuple[Recogniser, ...] = (
    index_of_pandas,  # id or pass
    other_types,  # pass
    no_value,  # categorical, or continuous
    constant,  # categorical
    numbered_rows,  # id
    check_digits,  # id
    numbers_of_persons,  # id
    moments_and_decimals,  # continuous, or mixed
    few_numbers,  # categorical
    spikes,  # mixed
    other_numbers,  # continuous, or mixed
    uuids,  # id
    distinct_texts,  # id
    free_text,  # pass
    categories,  # categorical: all that is left
)


def recognise(sample: Sample) -> Finding:
    """What a column is, with the reason."""
    return next(finding for recogniser in RECOGNISERS if (finding := recogniser(sample)) is not None)


def _quantity(sample: Sample, reason: str, modal: Sequence[int | float] = ()) -> Finding:
    """A continuous or mixed column, with the scale and further modal values that make the sample likeliest."""
    form, settings = sample.form, sample.settings
    reasons = [reason if form is None else f"{sample.label}: {reason}"]
    options: dict[str, Setting] = {"modal": [*modal]} if modal else {}
    if settings.components is not None:
        from gpuvgm.columns.scales import shape_of

        assert sample.values is not None
        is_exact = settings.is_exact or form is not None  # text comes back letter by letter
        shape = shape_of(sample.values, modal, settings.components, is_exact=is_exact)
        options |= shape.scale
        if shape.modal:
            options["modal"] = [*modal, *shape.modal]
        reasons.append(shape.reason)
    is_mixed = options.get("modal") or form is not None and form.words
    return Finding("mixed" if is_mixed else "continuous", "; ".join(filter(None, reasons)), options)


def are_unique(column: Column) -> bool:
    """Whether all values are there and different."""
    for part in (column.slice(0, FIRST_ROWS), column):
        if part.null_count or len(_counts_of(part)) < len(part):
            return False
    return True


def _are_equal(column: Column) -> bool:
    """Return whether all values of numbers or datetimes are equal, or all are missing."""
    column = column.cast(value_type(column.type))  # Arrow, or older ones, have no distinct values of rare types
    return all(len(plain_values(part.unique()).unique()) <= 1 for part in (column.slice(0, FIRST_ROWS), column))


def _counts_of(values: Column) -> NDArray[np.int64]:
    """How often each different value occurs.

    A table of hashes is three times as large as the values; their order is not.
    """
    if values.nbytes <= LARGE_SAMPLE:
        return np.asarray(pc.value_counts(values).field("counts"))
    return np.bincount(pc.rank(values, tiebreaker="dense").to_numpy().astype(np.int64) - 1)


def _spikes(counts: NDArray[np.int64], rows: int) -> int:
    """Number of leading values that stand out from the first that does not."""
    for spike_count in range(min(MOST_SPIKES, len(counts) - 1), 0, -1):
        rarest = counts[spike_count - 1]
        if rarest >= LEAST_SHARE * rows and rarest >= LEAST_RATIO * counts[spike_count]:
            return spike_count
    return 0


def _shown_shares(values: NDArray[Any], counts: NDArray[np.int64], spike_count: int, rows: int) -> str:
    spikes = [(_percent(counts[i] / rows), str(values[i]).removesuffix(".0")) for i in range(spike_count)]
    first = f"{spikes[0][0]} of the sampled values are {spikes[0][1]}"
    further_spikes = "".join(f", {share} are {value}" for share, value in spikes[1:])
    return f"{first}{further_spikes}, the next most frequent value has {_percent(counts[spike_count] / rows)}"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 0.1 else f"{percent:.1g} %"


def _missing(column: Column, present: Any) -> str:
    """Text on the number of missing values; empty if there are none."""
    missing = len(column) - len(present)
    return f", {missing:,} of {len(column):,} missing" if missing else ""
