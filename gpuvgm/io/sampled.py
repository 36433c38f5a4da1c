"""Sampled rows in memory, which are fitted in the place of the source that they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gpuvgm.io.block import Block
from gpuvgm.io.source import Runs, Source
from gpuvgm.io.tables import TableSource


@dataclass(frozen=True, slots=True)
class SampleSource(Source):
    """Rows of a source as a source of their own.

    Parameters
    ----------
    origin : Source
        Where the rows came from.
    table : pyarrow.Table
        The rows of those columns that are used.
    record : dict
        How the sample was taken: "rows", "of" (None: unknown), "seed" and "stratified"; part of the fingerprint.
    runs : sequence of (int, int), optional
        Where the rows lie in the origin, if all columns have the same rows.
    """

    origin: Source
    table: pa.Table
    record: dict[str, Any]
    runs: Runs | None = None
    flavour: str = "sample"
    repeatable: bool = True

    @property
    def name(self) -> str:
        """Name of the origin, and that it is a sample."""
        return f"sample of {self.origin.name}"

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of the origin."""
        return self.origin.schema

    @property
    def rows(self) -> int:
        """Number of sampled rows."""
        return int(self.table.num_rows)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks."""
        return self._held.blocks(columns, block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Sampled rows by their position in the sample."""
        return self._held.sample(columns, runs)

    def fingerprint(self) -> dict[str, Any]:
        """That of the origin, and how the sample was taken."""
        return self.origin.fingerprint() | {"sample": self.record}

    def locate(self, row: int) -> str:
        """Where a row of the sample lies in the origin, as far as that is known."""
        origin = self.row_of(row)
        return Source.locate(self, row) if origin is None else self.origin.locate(origin)

    def row_of(self, row: int) -> int | None:
        """Row of the origin that a row of the sample is; None where every column has rows of its own."""
        for start, length in self.runs or ():
            if row < length:
                return start + row
            row -= length
        return None

    @property
    def _held(self) -> TableSource:
        return TableSource(self.name, self.flavour, self.table)
