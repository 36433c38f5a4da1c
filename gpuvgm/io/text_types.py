"""What text is read as: the one table of types for CSV, JSON lines and columns of text, and the parser of all three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.shortage import ARROW_PROBLEMS

Text = Any  # an Arrow array of texts
Chains = Sequence[Sequence[pa.DataType]]
#: Types of moments; within a chain every type holds what those before it hold. Finer ones than "us" end in 2262.
MOMENTS: Chains = (
    (pa.date32(), pa.timestamp("s"), pa.timestamp("us")),
    (pa.timestamp("s", "UTC"), pa.timestamp("us", "UTC")),
)
#: Types that text without quotes may be read as. No text is of two chains, so the order of rows does not matter.
CHAINS: Chains = ((pa.int64(), pa.float64()), (pa.bool_(),), *MOMENTS)
#: How text of a type begins, beside what Arrow takes: codes with leading zeros are no numbers, 0 and 1 no booleans.
_NO_CODE = r"\A[+-]?([^0]|0([^0-9]|\z))"
_WRITTEN: Mapping[pa.DataType, str] = {
    pa.int64(): _NO_CODE,
    pa.float64(): _NO_CODE,
    pa.bool_(): r"\A(true|True|TRUE|false|False|FALSE)\z",
}


def parse(text: Text, type_: Any) -> Text:
    """Text as values of a type; a time of the day as well, which Arrow casts no text to.

    Raises
    ------
    pyarrow.ArrowInvalid
        For text that is none.
    """
    if not pa.types.is_time(type_):
        return text.cast(type_)
    moments: Any = pc.binary_join_element_wise("1970-01-01", text, " ")
    stored = pa.int32() if type_.bit_width == 32 else pa.int64()
    return moments.cast(pa.timestamp(type_.unit)).cast(pa.int64()).cast(stored).cast(type_)


def parse_or_null(text: Text, type_: Any) -> Text:
    """Text as values of a type, null where it is none, which is found by halving."""
    try:
        return parse(text, type_)
    except ARROW_PROBLEMS:
        if len(text) == 1:
            return pa.nulls(1, type_)
        half = len(text) // 2
        return pa.concat_arrays([parse_or_null(text[:half], type_), parse_or_null(text[half:], type_)])


def type_of_text(text: Text, before: pa.DataType, chains: Chains = CHAINS, decimal_point: str = ".") -> pa.DataType:
    """The narrowest type that holds the text, and all text before.

    Parameters
    ----------
    text : pyarrow array of text
        Some values of a column.
    before : pyarrow.DataType
        The type of the values before; null where there were none.
    chains : sequence of sequences of pyarrow.DataType
        Types that the text may be read as.
    decimal_point : str
        A point or a comma.
    """
    if text.null_count == len(text):
        return before
    for chain in chains:
        left = chain if pa.types.is_null(before) else chain[chain.index(before) :] if before in chain else ()
        for type_ in left:
            if _are(text, type_, decimal_point):
                return type_
    return pa.string()


def _are(text: Text, type_: pa.DataType, decimal_point: str) -> bool:
    """Whether all text can be read as a type; white space around it counts where CSV's reader lets it count."""
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_date(type_):
        text = pc.utf8_trim_whitespace(text)
    if type_ in _WRITTEN and not pc.all(pc.match_substring_regex(text, _WRITTEN[type_])).as_py():
        return False
    if decimal_point != "." and pa.types.is_floating(type_):
        text = pc.replace_substring(text, decimal_point, ".")
    try:
        parse(text, type_)
    except ARROW_PROBLEMS:
        return False
    return True
