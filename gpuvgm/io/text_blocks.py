"""Text of files in blocks of whole rows, and what is told of text without parsing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
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
    """What a file begins with, without a byte-order mark."""
    return bytes(file.read(BLOCK)).removeprefix(BOM)


def text_blocks(file: Any, start: bytes, whole: Callable[[Bytes], int], header: int = 0) -> Generator[pa.Buffer]:
    """The text of a file in blocks of whole rows; if there is none, what was read of it.

    Parameters
    ----------
    file : file of bytes
        What is left to read; the text is copied once, from here to its block.
    start : bytes
        What was read before.
    whole : callable
        Length of the whole rows that a text begins with.
    header : int
        Length of what goes before the rows of each block: the first bytes of `start`.

    Raises
    ------
    LongRowError
        For a row without an end.
    """
    rest, given = start[header:], False
    while True:
        known = start[:header] + rest
        block = pa.allocate_buffer(len(known) + BLOCK)
        view = memoryview(block).cast("B")
        view[: len(known)] = known
        read = file.readinto(view[len(known) :])
        text = view[: len(known) + read]
        rows = whole(byte_array(text)) if read else len(text)
        if rows > header or not (read or given):
            yield block.slice(0, rows)
            given = True
        elif len(rest) > BLOCK:
            raise LongRowError(f"a row is longer than {BLOCK >> 20} MiB")
        if not read:
            break
        rest = bytes(text[rows:])


def first_row(text: bytes, delimiter: str) -> int:
    """Length in bytes of the first row of CSV that is not empty, and of what is before it; 0 where it has no end."""
    found = re.compile(rf"[\r\n]*+{_row_pattern(delimiter)}(?:\r\n|[\r\n])".encode()).match(text)
    return found.end() if found else 0


def _length_of_rows(text: Bytes, delimiter: str) -> int:
    """Length in bytes of the whole rows that a text of CSV begins with.

    As for Arrow, a quote counts where a field begins; line feeds and carriage returns elsewhere end a row.
    """
    found = re.compile(rf"(?:{_row_pattern(delimiter)}[\r\n])*+".encode()).match(text.tobytes())
    return found.end() if found else 0


def _row_pattern(delimiter: str) -> str:
    """Pattern of a row without its end."""
    mark = re.escape(delimiter)
    field = rf'(?:"[^"]*+(?:""[^"]*+)*+"|(?!"))[^{mark}\r\n]*+'
    return rf"{field}(?:{mark}{field})*+"


def are_numbers(text: Any, digits: int, mark: str | None) -> bool:
    """Whether texts are plain numbers, with blanks around them or not; False as well where only patterns can tell.

    Parameters
    ----------
    text : pyarrow.StringArray or ChunkedArray of string
        The texts; missing ones do not count.
    digits : int
        Most digits of whole numbers.
    mark : str, optional
        The decimal mark of others; by default whole numbers alone are such, without exponents and plus signs.
    """
    if _native is None:
        return False
    for chunk in text.chunks if isinstance(text, pa.ChunkedArray) else [text]:
        there = chunk.drop_null()
        _, offsets, texts = there.buffers()
        ends = byte_array(offsets).view(np.int32)[there.offset : there.offset + len(there) + 1]
        if not _native.are_numbers(ends, byte_array(texts or b""), digits, mark):
            return False
    return True


_native: Any = import_module("gpuvgm._native") if native_is_built() else None
length_of_rows: Callable[[Bytes, str], int] = _length_of_rows if _native is None else _native.length_of_rows
