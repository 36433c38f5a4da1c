"""Number columns of CSV files that a few values early in a file make text."""

from __future__ import annotations

import pyarrow as pa

from gpuvgm.io.csv_files import NULLS, CsvPart, open_csv
from gpuvgm.io.files import FileSource
from gpuvgm.io.sampled import SampleSource
from gpuvgm.io.source import Source

LOOKED_AT = 10_000
LEAST_SHARE = 0.9


def stray_text(source: Source, column: str) -> str | None:
    """Why a column of a CSV file is text: its first value that is no number, where nearly all others are numbers.

    Parameters
    ----------
    source : Source
        The source.
    column : str
        One of its text columns.

    Returns
    -------
    str or None
        File, column, row (counted from 1 after the header) and value; None for other sources and for real text.
    """
    source = source.origin if isinstance(source, SampleSource) else source
    if not isinstance(source, FileSource):
        return None
    for part in source.parts:
        if isinstance(part, CsvPart):
            found = _first_stray(part, column)
            if found is not None:
                row, value = found
                return f'{part.path}: column "{column}", row {row}: {value[:60]!r} is not a number, as others there are'
    return None


def _first_stray(part: CsvPart, column: str) -> tuple[int, str] | None:
    values: list[str | None] = []
    with open_csv(part.path, {column: pa.string()}, as_text=True) as reader:
        for batch in reader:
            values += batch.column(0).slice(0, LOOKED_AT - len(values)).to_pylist()
            if len(values) >= LOOKED_AT:
                break
    given = [(row, value) for row, value in enumerate(values, 1) if value is not None and value not in NULLS]
    strays = [(row, value) for row, value in given if not _is_number(value)]
    return strays[0] if strays and len(strays) <= (1 - LEAST_SHARE) * len(given) else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
