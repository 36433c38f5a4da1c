"""Rows of CSV files that are reached by their place in the text: those that begin within some bytes, without others.

Where values in quotes hold ends of lines, nobody knows in the middle of a file what ends a row. A line of these has an
odd number of quotes, and files in which one is met are read from their beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.io.block import Runs
from gpuvgm.io.csv import CsvPart, csv_problem, header_of
from gpuvgm.io.source import Part
from gpuvgm.io.text_blocks import BLOCK, BOM, byte_array
from gpuvgm.io.threads import in_order
from gpuvgm.shortage import damage_as

LINE_BYTES = 1 << 10  # that are read beyond a run, for the end of its last line
LINE_END, RETURN, QUOTE = b"\n", b"\r", b'"'
Spans = NDArray[np.int64]  # first byte, and the one after the last, of each line


def has_lines(part: Part) -> bool:
    """Return whether rows of a file are reached from anywhere in it: text on this machine that is not compressed."""
    return isinstance(part, CsvPart) and isinstance(part.path, Path) and part.path.suffix.lower() != ".gz"


def lines_within(part: Part, runs: Runs) -> Spans | None:
    """Lines after the header that begin within runs of bytes; None where one may hold several rows, or part of one."""
    assert isinstance(part, CsvPart) and isinstance(part.path, Path)
    spans: list[Spans] = [np.empty((0, 2), np.int64)]
    with part.path.open("rb") as file:
        _, header = _header(file, part)
        for start, length in runs:
            first, stop = max(start, header), start + length
            file.seek(first - 1)
            text = file.read(stop - first + 1 + LINE_BYTES) if stop > first else b""
            starts = np.flatnonzero(byte_array(text[: max(stop - first, 0)]) == LINE_END[0]) + 1
            if not len(starts):
                continue
            while text.find(LINE_END, starts[-1]) < 0 and (more := file.read(BLOCK)):
                text += more
            ends = np.append(starts[1:], (text.find(LINE_END, starts[-1]) + 1) or len(text))
            if QUOTE in text[starts[0] : ends[-1]]:
                quotes = np.cumsum(byte_array(b"\0" + text) == QUOTE[0])
                if np.any((quotes[ends] - quotes[starts]) % 2):
                    return None
            if np.any(byte_array(text[: ends[-1]]) == RETURN[0]) and _returns_within(text, starts, ends):
                return None
            has_row = [
                high - low > 2 or bool(text[low:high].strip(b"\r\n")) for low, high in zip(starts, ends, strict=True)
            ]
            spans.append(first - 1 + np.column_stack((starts, ends))[has_row])
    return np.concatenate(spans)


def _returns_within(text: bytes, starts: Spans, ends: Spans) -> bool:
    """Whether some line has a carriage return other than before its end, which would end a row."""
    lines = (text[start:end] for start, end in zip(starts, ends, strict=True))
    return any(RETURN in line.rstrip(LINE_END).removesuffix(RETURN) for line in lines)


def read_lines(part: Part, columns: Sequence[str], spans: Spans) -> Iterator[pa.RecordBatch]:
    """Rows of lines, in batches of about 1 MiB of text."""
    assert isinstance(part, CsvPart)
    with damage_as(partial(csv_problem, part.path, part.delimiter, columns)):
        yield from in_order(part.batch_reader(columns), _texts(part, spans))


def _texts(part: CsvPart, spans: Spans) -> Iterator[pa.Buffer]:
    """Text of lines in blocks, each with the header in front."""
    assert isinstance(part.path, Path)
    with part.path.open("rb") as file:
        header, _ = _header(file, part)
        blocks = np.cumsum(spans[:, 1] - spans[:, 0]) // BLOCK
        for lines in np.split(spans, np.flatnonzero(np.diff(blocks)) + 1):
            texts = [header]
            for start, stop in lines.tolist():
                file.seek(start)
                texts.append(file.read(stop - start).rstrip(b"\r\n") + LINE_END)
            yield pa.py_buffer(b"".join(texts))


def _header(file: BinaryIO, part: CsvPart) -> tuple[bytes, int]:
    """The header with what is before it, and the place of the first row."""
    start = file.read(BLOCK)
    text = start.removeprefix(BOM)
    header = header_of(text, part.delimiter)
    return header, len(start) - len(text) + len(header)
