"""Text of files in blocks of complete rows, and checks of text without parsing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.engines import native_is_built

BLOCK = 1 << 20  # bytes that are read at a time
BOM = b"\xef\xbb\xbf"
Bytes = NDArray[np.uint8]


class LongRowError(pa.ArrowInvalid):
    """A row is longer than what is read of a file at a time."""


def byte_array(text: Any) -> Bytes:
    """The bytes of a buffer, which are not copied."""
    return np.frombuffer(text, np.uint8)


def first_text(file: Any) -> bytes:
    """First bytes of a file, without a byte-order mark."""
    return bytes(file.read(BLOCK)).removeprefix(BOM)


def text_blocks(file: Any, start: bytes, length_of: Callable[[Bytes], int], header: int = 0) -> Generator[pa.Buffer]:
    """Text of a file in blocks of complete rows; where it has none, all that was read.

    Parameters
    ----------
    file : file of bytes
        File with the remaining text, which is copied once, into its block.
    start : bytes
        Text that was read before.
    length_of : callable
        Length of the complete rows at the beginning of a text.
    header : int
        Length of what goes before the rows of each block: the first bytes of `start`.

    Raises
    ------
    LongRowError
        For a row without an end.
    """
    remainder, has_block = start[header:], False
    while True:
        prefix = start[:header] + remainder
        block = pa.allocate_buffer(len(prefix) + BLOCK)
        view = memoryview(block).cast("B")
        view[: len(prefix)] = prefix
        count = file.readinto(view[len(prefix) :])
        text = view[: len(prefix) + count]
        rows = length_of(byte_array(text)) if count else len(text)
        if rows > header or not (count or has_block):
            yield block.slice(0, rows)
            has_block = True
        elif len(remainder) > BLOCK:
            raise LongRowError(f"a row is longer than {BLOCK >> 20} MiB")
        if not count:
            break
        remainder = bytes(text[rows:])


def first_row(text: bytes, delimiter: str) -> int:
    """Length in bytes of the first CSV row that is not empty, with what is before it; 0 where it does not end."""
    match = re.compile(rf"[\r\n]*+{_row_pattern(delimiter)}(?:\r\n|[\r\n])".encode()).match(text)
    return match.end() if match else 0


def _length_of_rows(text: Bytes, delimiter: str) -> int:
    """Length in bytes of the complete rows at the beginning of CSV text.

    As for Arrow, a quote counts where a field begins; line feeds and carriage returns elsewhere end a row.
    """
    match = re.compile(rf"(?:{_row_pattern(delimiter)}[\r\n])*+".encode()).match(text.tobytes())
    return match.end() if match else 0


def _row_pattern(delimiter: str) -> str:
    """Pattern of a row without its line end."""
    mark = re.escape(delimiter)
    # Possessive quantifiers: no backtracking in a row without an end.
    field = rf'(?:"[^"]*+(?:""[^"]*+)*+"|(?!"))[^{mark}\r\n]*+'
    return rf"{field}(?:{mark}{field})*+"


def are_plain(text: Any, most: int, form: str | None) -> bool:
    """Return whether texts are plainly numbers, moments or booleans; False too where only a parser can decide.

    Parameters
    ----------
    text : pyarrow.StringArray or ChunkedArray of string
        The texts; missing ones do not count.
    most : int
        Most digits of whole numbers, or characters of a moment.
    form : str, optional
        The decimal mark of numbers, which may have exponents, plus signs, and blanks around them; by default whole
        numbers alone are such, without exponents and plus signs. "d" for days, with or without a time, "z" for moments
        of UTC with a Z, and "b" for booleans.
    """
    if _native is None:
        return False
    for chunk in text.chunks if isinstance(text, pa.ChunkedArray) else [text]:
        values = chunk.drop_null()
        _, offsets, texts = values.buffers()
        ends = byte_array(offsets).view(np.int32)[values.offset : values.offset + len(values) + 1]
        if not _native.are_plain(ends, byte_array(texts or b""), most, form):
            return False
    return True


Rule = tuple[int, str | None]  # most digits or characters, and the form, of `are_plain`


def plain_columns(rows: Bytes, delimiter: str, rules: Sequence[Rule | None]) -> list[bool]:
    """Which columns of CSV hold nothing but what `are_plain` tells, or nothing.

    Parameters
    ----------
    rows : ndarray of shape (bytes,), uint8
        Complete rows without their header.
    delimiter : str
        Separator of fields.
    rules : sequence of (int, str or None) or None
        For each column of the file what `are_plain` takes; None for those that are not asked for.

    Returns
    -------
    list of bool
        False also where only parsing can decide: for quoted fields, words for a missing value, and all columns of rows
        that have another number of fields.
    """
    if _native is None or not any(rules):
        return [False] * len(rules)
    plain: list[bool] = _native.plain_columns(rows, delimiter, [rule or (0, None) for rule in rules])
    return plain


_native: Any = import_module("gpuvgm._native") if native_is_built() else None
length_of_rows: Callable[[Bytes, str], int] = _length_of_rows if _native is None else _native.length_of_rows
