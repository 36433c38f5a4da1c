"""Whole numbers of any type by their digits, which say more of identifiers than their size does."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.codecs import CHECKS, FIRST_ROWS
from gpuvgm.io import is_text_type, plain_values_of

MOST_EXACT = 2.0**53  # up to which floats have all whole numbers
LOOKED_AT = 20_000  # different numbers, by which a column is judged
ENOUGH = 100  # different numbers among the first rows, by which most columns are told to have no check digits
ALIKE = 0.95  # of the values, as nearly all
LEAST_LONG = 21  # different long numbers that are taken for those of persons
_FRACTION, _LONG = r"\.0+\z", r"\A[0-9]{7,}\z"


def digits_of(values: Any) -> Any:
    """Whole numbers as texts of their digits, texts as they are, and UUIDs as people write them; null for other values.

    Parameters
    ----------
    values : pyarrow.Array or pyarrow.ChunkedArray
        Integers, floats, decimals, UUIDs or text, also in dictionaries.
    """
    plain = plain_values_of(values)
    if values.type == pa.uuid():
        texts = pa.array((value and str(UUID(bytes=value)) for value in plain.to_pylist()), pa.string())
        return pa.chunked_array([texts]) if isinstance(plain, pa.ChunkedArray) else texts
    if pa.types.is_floating(plain.type):
        numbers = plain.cast(pa.float64())
        is_exact = pc.less(pc.abs(numbers), pa.scalar(MOST_EXACT))
        is_whole = pc.and_(pc.equal(pc.floor(numbers), numbers), is_exact)
        return pc.if_else(is_whole, numbers, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(pa.string())
    if pa.types.is_decimal(plain.type):
        texts = pc.replace_substring_regex(plain.cast(pa.string()), _FRACTION, "")
        return pc.if_else(pc.match_substring(texts, "."), pa.scalar(None, pa.string()), texts)
    if pa.types.is_integer(plain.type) or is_text_type(plain.type):
        return plain.cast(pa.string())
    return pa.chunked_array([pa.nulls(len(plain), pa.string())])


def _different_digits(values: Any) -> Any:
    """The different texts that `digits_of` gives, of integers without one for every row."""
    plain = plain_values_of(values)
    return digits_of(plain.unique() if pa.types.is_integer(plain.type) else plain).drop_null().unique()


def are_whole(values: Any) -> bool:
    """Return whether nearly all values are whole numbers or text."""
    plain = plain_values_of(values)
    if pa.types.is_integer(plain.type) or is_text_type(plain.type):
        return True
    rows = len(plain) - pc.sum(pc.is_null(plain, nan_is_null=True)).as_py() if len(plain) else 0
    return len(digits_of(values).drop_null()) >= ALIKE * rows


def are_long(values: Any) -> bool:
    """Return whether nearly all values are whole numbers of many digits, and more than a few are different."""
    digits = digits_of(values).drop_null()
    share = float(pc.mean(pc.match_substring_regex(digits, _LONG)).as_py()) if len(digits) else 0.0
    return are_whole(values) and share >= ALIKE and len(digits.unique()) >= LEAST_LONG


def check_digits_of(column: pa.ChunkedArray[Any]) -> str:
    """What check digits nearly all different numbers or texts of a column have, as `Checks.found_in` says it; or ""."""
    first = column.slice(0, FIRST_ROWS)
    if not are_whole(first):
        return ""
    few = _different_digits(first)
    if len(few) >= ENOUGH and not CHECKS.found_in(few.to_pylist()):
        return ""
    different = _different_digits(column)[:LOOKED_AT]
    return CHECKS.found_in(different.to_pylist()) if are_whole(column) else ""
