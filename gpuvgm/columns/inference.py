"""The kind of a column, from its Arrow type and a sample of its values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import distinct_values
from gpuvgm.columns.categories import plain_values, value_type
from gpuvgm.columns.codecs.texts import (
    FIRST_ROWS,
    TextForm,
    are_blank,
    are_like_values,
    different_texts,
    form_of,
    may_be_values,
    unread_values,
)
from gpuvgm.errors import InputError, counted, listed
from gpuvgm.io import is_datetime_type, is_number_type, is_plain_number_type, is_text_type, plain_type, plain_values_of

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
#: Text of so many rows with so many different values is free text if so many rows bring one that no other row has.
LEAST_FREE, MANY_FREE, NEW_TEXTS = 2_000, 256, 0.3
#: Identifiers: whole numbers that fill so much of their range, of so many rows; text that is different in so many.
FILLED = 0.9
LEAST_NUMBERED = 100
#: Whole numbers between these that run in steps may be years, which are quantities.
FIRST_YEAR, LAST_YEAR = 1600, 2100
LEAST_NAMED = 1_000
TRIMMED_ROWS = 1 << 13  # of text, copied without its blanks at a time
LARGE_SAMPLE = 1 << 24  # bytes of a column, beyond which memory counts for more than time
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_PARQUET_INDEX = re.compile(r"__index_level_\d+__")
NO_VALUE = "no value in the sample"


@dataclass(frozen=True, slots=True)
class Finding:
    """Kind of a column, inferred from a sample.

    Parameters
    ----------
    kind : str
        "continuous", "mixed", "categorical", "id" or "pass".
    reason : str
        Why, in words.
    modal : tuple of int or float
        The modal values of a mixed column, the most frequent first.
    distinct : int
        Different values of a text column; 0 where they were not counted.
    """

    kind: str
    reason: str
    modal: tuple[int | float, ...] = ()
    distinct: int = 0


@dataclass(frozen=True, slots=True)
class Recognised:
    """Settings of inference: what is recognised beside the types of columns.

    Parameters
    ----------
    texts : bool
        Dates, times and numbers in text.
    identifiers : bool
        Identifiers.
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
    rows: int | None = None
    components: int | None = None
    is_exact: bool = False
    parse: str | None = None
    na_values: tuple[str, ...] = ()


class Refuted(InputError):
    """All rows contradict what a sample showed of a column.

    Parameters
    ----------
    message : str
        What the rows show instead.
    values : sequence of object
        Values that the sample lacked, of the column's own type.
    """

    def __init__(self, message: str, values: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.values = values

    def __reduce__(self) -> tuple[type[Refuted], tuple[str, Sequence[Any]]]:
        return type(self), (str(self), self.values)


def can_identify(type_: pa.DataType) -> bool:
    """Return whether an identifier can hold the type: whole numbers and text."""
    values = plain_type(type_)
    return is_text_type(values) or bool(pa.types.is_integer(values))


def are_unique(column: Column) -> bool:
    """Whether all values are there and different."""
    for part in (column.slice(0, FIRST_ROWS), column):
        if part.null_count or len(_counts_of(part)) < len(part):
            return False
    return True


def is_category_type(type_: pa.DataType) -> bool:
    """Return whether a categorical column can hold the type: numbers, datetimes, booleans, text, dictionaries."""
    if pa.types.is_dictionary(type_):
        return not pa.types.is_dictionary(type_.value_type) and is_category_type(type_.value_type)
    return is_number_type(type_) or is_text_type(type_) or bool(pa.types.is_boolean(type_))


def type_name(type_: pa.DataType) -> str:
    """A type for people: "float64" where Arrow says "double"."""
    if pa.types.is_dictionary(type_):
        return f"dictionary of {type_name(type_.value_type)}"
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(type_), str(type_))


def infer_kind(
    column: Column, *, categorical: bool = True, spikes: bool = True, recognised: Recognised = Recognised()
) -> Finding:
    """Kind of a column, with the reason.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        A sample of its values.
    categorical : bool
        Whether a column of few different numbers is categorical.
    spikes : bool
        Whether a column with a few very frequent numbers is mixed.
    recognised : Recognised
        Whether identifiers, and dates and numbers in text, are told apart.

    Returns
    -------
    Finding
        The kind. Booleans, text and dictionaries are categorical, text of which nearly every value is another one is an
        identifier or passed on, datetimes and decimals are continuous; what no kind can hold is passed on.
    """
    type_ = column.type
    if not is_category_type(type_):
        return Finding("pass", f"{type_name(type_)} values, which only pass through")
    plain = plain_values_of(column)
    if is_text_type(plain.type):
        form = form_recognised(column, recognised)
        finding = None if form is None else _of_form(form, plain, recognised, categorical=categorical, spikes=spikes)
        return finding or _of_text(plain, type_name(type_), recognised)
    if not is_number_type(type_):
        return Finding("categorical", NO_VALUE if column.null_count == len(column) else type_name(type_))
    if categorical and recognised.texts and _are_equal(column):
        value = len(plain_values(column.slice(0, 1).combine_chunks()).drop_null())
        return Finding("categorical", f"1 distinct value in {len(column):,} sampled rows" if value else NO_VALUE)
    if pa.types.is_null(type_) or column.null_count == len(column):
        return Finding("continuous", NO_VALUE)
    if not is_plain_number_type(type_):
        return Finding("continuous", type_name(type_))
    numbered, hint = _numbered(column, recognised, type_name(type_))
    finding = _of_numbers(column, categorical=categorical, spikes=spikes)
    return numbered or replace(finding, reason=finding.reason + hint)


def _are_equal(column: Column) -> bool:
    """Return whether all values of numbers or datetimes are equal, or all are missing."""
    column = column.cast(value_type(column.type))  # Arrow, or older ones, have no distinct values of rare types
    return all(len(plain_values(part.unique()).unique()) <= 1 for part in (column.slice(0, FIRST_ROWS), column))


def _numbered(column: Column, recognised: Recognised, name: str) -> tuple[Finding | None, str]:
    """Whole numbers that are all different and run in steps (None for others), and a hint where they do not run."""
    row_count = len(column)
    if not recognised.identifiers or row_count < LEAST_NUMBERED or not pa.types.is_integer(column.type):
        return None, ""
    if not are_unique(column):
        return None, ""
    numbers = column.to_numpy()
    offsets = numbers.astype(np.uint64) - numbers.min().astype(np.uint64)  # modulo 2^64, which no difference reaches
    step, span = int(np.gcd.reduce(offsets)), int(offsets.max())
    share_filled = max(recognised.rows or 0, row_count) / (span // step + 1)
    if share_filled < FILLED:
        return (
            None,
            f'; all different, and {_percent(share_filled)} of their range: declare it "id" if it tells rows apart',
        )
    if FIRST_YEAR <= numbers.min() and numbers.max() <= LAST_YEAR:
        return None, '; all different, and perhaps years: declare it "id" if it tells rows apart'
    return Finding(
        "id", f"{name}, all {row_count:,} sampled values different, in steps of {step:,}", distinct=row_count
    ), ""


def _of_form(
    form: TextForm, column: Column, recognised: Recognised, *, categorical: bool, spikes: bool
) -> Finding | None:
    """Kind of text that is dates, times or numbers; None where it is categorical as numbers, too."""
    values = values_of_texts(form, column)
    description = f'text such as "{form.example}"'
    if form.words:
        description += f" beside {listed(form.words)}"
    if is_datetime_type(values.type):
        if categorical and _are_equal(values):
            return None
        return Finding("mixed" if form.words else "continuous", f"{description}: {type_name(values.type)}")
    numbered, hint = _numbered(values, recognised, description)
    if numbered is not None:
        return numbered
    numbers = values if pa.types.is_integer(values.type) else values.cast(pa.float64())
    finding = _of_numbers(numbers, categorical=categorical, spikes=spikes)
    kind = "mixed" if form.words and finding.kind == "continuous" else finding.kind
    return (
        None if kind == "categorical" else replace(finding, kind=kind, reason=f"{description}: {finding.reason}{hint}")
    )


def form_recognised(column: Column, recognised: Recognised) -> TextForm | None:
    """Form of text that is dates, times or numbers, if text is recognised at all; None for other columns."""
    if not recognised.texts or not is_text_type(column.type):
        return None
    return form_of(column, recognised.parse, recognised.na_values)


def values_of_texts(form: TextForm, column: Column) -> Column:
    """A column of text of a form as its values; words among them are missing."""
    form = replace(form, words=())
    return pa.chunked_array([form.read(chunk)[0] for chunk in column.chunks], form.value_type)


def index_of_pandas(name: str, column: Column) -> Finding | None:
    """Kind of the index that pandas writes beside a table's columns; None for other columns."""
    if _PARQUET_INDEX.fullmatch(name):
        return Finding("pass", "the index of a pandas table")
    if name or not pa.types.is_integer(column.type) or not are_unique(column):
        return None
    return Finding("id", "whole numbers without a name, all different: the index of a pandas table")


def _of_text(column: Column, name: str, recognised: Recognised) -> Finding:
    """Categorical, or an identifier or passed on where nearly every value is another one; blank text is missing."""
    text = column.drop_null()
    parts = pa.table([text], ["text"]).to_batches(max_chunksize=TRIMMED_ROWS)
    is_blank = pa.chunked_array([are_blank(part.column(0)) for part in parts], pa.bool_())
    has_blank = bool(pc.any(is_blank).as_py())
    if has_blank:  # else nothing is copied
        text = text.filter(pc.invert(is_blank))
    if len(text) == 0:
        return Finding("categorical", NO_VALUE)
    counts = _counts_of(text)
    distinct, blank = len(counts), " or blank" * has_blank
    if recognised.identifiers and (distinct > MANY_TEXTS or 1 < distinct == len(text)) and _are_uuids(text):
        return Finding("id", "UUIDs", distinct=distinct)
    open_ = recognised.texts and distinct > MANY_TEXTS and may_be_values(text, distinct)
    hint = unread_values(different_texts(column)) if open_ else ""
    more = f"; {hint}" if hint else ""
    if recognised.identifiers and distinct == len(text) >= LEAST_NAMED and not (hint or are_like_values(text)):
        return Finding("id", f"{name}, all {distinct:,} sampled values different", distinct=distinct)
    if _is_free(counts, len(text), recognised):
        reason = f"{name} with {distinct:,} distinct values in {len(text):,}: identifiers or free text{more}"
        return Finding("pass", reason, distinct=distinct)
    values = counted(distinct, "distinct value")
    return Finding("categorical", f"{name} with {values}{_missing(column, text)}{blank}{more}", distinct=distinct)


def _counts_of(values: Column) -> NDArray[np.int64]:
    """How often each different value occurs.

    A table of hashes is three times as large as the values; their order is not.
    """
    if values.nbytes <= LARGE_SAMPLE:
        return np.asarray(pc.value_counts(values).field("counts"))
    return np.bincount(pc.rank(values, tiebreaker="dense").to_numpy().astype(np.int64) - 1)


def _is_free(counts: NDArray[np.int64], rows: int, recognised: Recognised) -> bool:
    """Whether text is free text: nearly all values are different, or many rows bring values that no other row has.

    Of a whole table the different values count as such, of a sample those that only one row has: they estimate how many
    further rows bring values of their own (Good 1953).
    """
    distinct = len(counts)
    if distinct > MANY_TEXTS and distinct > DIFFERENT_TEXTS * rows:
        return True
    if not recognised.identifiers or distinct <= MANY_IN_FEW:
        return False
    if distinct > DIFFERENT_IN_FEW * rows:
        return True
    if rows < LEAST_FREE or distinct <= MANY_FREE:
        return False
    is_whole = recognised.rows is not None and recognised.rows <= rows
    return (distinct if is_whole else int(np.count_nonzero(counts == 1))) > NEW_TEXTS * rows


def _are_uuids(text: Column) -> bool:
    """Whether all texts are UUIDs."""
    return all(
        bool(pc.all(pc.match_substring_regex(part, rf"\A{UUID}\z")).as_py()) for part in (text.slice(0, 1), text)
    )


def _of_numbers(column: Column, *, categorical: bool, spikes: bool) -> Finding:
    """Categorical for few different numbers, mixed for a few very frequent ones, else continuous."""
    numbers = _drop_missing(column)
    if len(numbers) == 0:
        return Finding("continuous", NO_VALUE)
    values, counts = _by_frequency(numbers[np.isfinite(numbers)])
    rows, missing = len(numbers), len(column) - len(numbers)
    infinite = int(np.sum(counts)) < rows
    distinct = counted(len(values), "distinct value")
    has_few_values = not infinite and len(values) <= MOST_VALUES and rows >= LEAST_ROWS_PER_VALUE * len(values)
    if has_few_values and categorical:
        lacking = f", {missing:,} of them missing" if missing else ""
        return Finding("categorical", f"{distinct} in {len(column):,} sampled rows{lacking}")
    spike_count = _spikes(counts, rows) if spikes else 0
    if spike_count:
        reason = _shown_shares(values, counts, spike_count, rows) + _missing(column, numbers)
        return Finding("mixed", reason, tuple(value.item() for value in values[:spike_count]))
    why = "; its options are not for categorical columns" if has_few_values else ""
    return Finding("continuous", f"{type_name(column.type)} with {distinct} in {rows:,}{why}")


def _drop_missing(column: Column) -> NDArray[Any]:
    """Numbers that are neither null nor NaN."""
    numbers: NDArray[Any] = column.drop_null().to_numpy()
    return numbers if numbers.dtype.kind != "f" else numbers[~np.isnan(numbers)]


def _by_frequency(numbers: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Different numbers and their counts, the most frequent first; among equals the smaller number."""
    values, counts = distinct_values(numbers)
    order = np.argsort(-counts, kind="stable")
    zero = values.dtype.type(0)
    # Negative zero is shown as 0.
    return np.where(values == 0, zero, values)[order], counts[order]


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
