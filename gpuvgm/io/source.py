"""What every source offers, and the checks that all of them make on columns."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from gpuvgm.errors import InputError, listed, printable
from gpuvgm.io.block import Block

Runs = Sequence[tuple[int, int]]
MOST_SAID = 250  # letters of a message of another library


@runtime_checkable
class Source(Protocol):
    """A table that can be read through in blocks, whatever it came from."""

    @property
    def name(self) -> str:
        """For messages: the path, or the type of the object given."""

    @property
    def flavour(self) -> str:
        """What the caller gave: "pandas", "polars", "pyarrow", "cudf", "dict", "matrix", "path" or "stream"."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and Arrow types as given."""

    @property
    def rows(self) -> int | None:
        """Number of rows; None when unknown without reading."""

    @property
    def repeatable(self) -> bool:
        """Whether `blocks` can be called again."""

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through, in blocks of `block_rows` rows (the last one may be shorter).

        Blocks of sources on a device hold a `DeviceTable`, of all others Arrow batches.
        """

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows [start, start + length) of each run, one after the other; only where `rows` is known."""

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the source later; JSON-able."""


def reason(problem: Exception) -> str:
    """What a library said, on one line; it may repeat a value of any length."""
    said = printable(" ".join(str(problem).split()).rstrip("."))
    return said if len(said) <= MOST_SAID else f"{said[: MOST_SAID - 1]}…"


def text_of_metadata(name: str, pairs: Mapping[bytes, bytes]) -> dict[str, str]:
    """Metadata as text.

    Raises
    ------
    InputError
        For a key or value that is no UTF-8, naming what holds it.
    """
    try:
        return {key.decode(): value.decode() for key, value in pairs.items()}
    except UnicodeDecodeError as problem:
        raise InputError(f"{name}: its metadata is no text in UTF-8 ({reason(problem)}); write it without") from problem


def check_names(source: str, names: Iterable[str]) -> None:
    """Refuse duplicate column names.

    Raises
    ------
    InputError
        Naming the columns that occur more than once.
    """
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise InputError(f"{source}: duplicate column names: {listed(double)}; rename them, every name must be unique")


def check_request(source: str, schema: pa.Schema, columns: Sequence[str], block_rows: int = 1) -> None:
    """Refuse columns that are not there and impossible block lengths.

    Raises
    ------
    InputError
        Naming the column, close names and the columns there are.
    """
    if block_rows < 1:
        raise InputError(f"block_rows must be at least 1, got {block_rows}")
    for column in columns:
        if column not in schema.names:
            close = difflib.get_close_matches(column, schema.names, n=3)
            hint = f"; did you mean {listed(close)}?" if close else ";"
            raise InputError(f'{source}: no column "{column}"{hint} columns: {listed(schema.names)}')


def check_runs(source: str, rows: int | None, runs: Runs) -> None:
    """Refuse runs of rows outside the source, or any where the number of rows is unknown."""
    if rows is None:
        raise InputError(f"{source}: rows cannot be picked by position, their number is unknown; read blocks instead")
    for start, length in runs:
        if start < 0 or length < 0 or start + length > rows:
            raise InputError(f"{source}: rows {start} to {start + length} were asked for, there are {rows}")


def check_same(source: str, first: str, expected: pa.Schema, schema: pa.Schema) -> None:
    """Refuse a part (file, element) whose columns or types differ from those of the first part.

    Raises
    ------
    InputError
        Naming the part and the first column that differs.
    """
    missing = [name for name in expected.names if name not in schema.names]
    if missing:
        raise InputError(f'{source}: column "{missing[0]}" is missing, {first} has it; all parts need the same columns')
    extra = [name for name in schema.names if name not in expected.names]
    if extra:
        raise InputError(f'{source}: column "{extra[0]}" is not in {first}; all parts need the same columns')
    for field in expected:
        got = schema.field(field.name).type
        if got != field.type:
            raise InputError(
                f'{source}: column "{field.name}" has type {got}, in {first} {field.type}; cast it so that all agree'
            )
