"""Sources over Arrow memory: pyarrow tables and batches, polars frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gpuvgm.io.block import Block, reblock
from gpuvgm.io.memory import ArraySource, stream_column
from gpuvgm.io.source import Runs, Source, check_names, check_request, check_runs
from gpuvgm.shortage import ARROW_PROBLEMS


@dataclass(frozen=True, slots=True)
class TableSource(Source):
    """A pyarrow table in memory; blocks are slices of it.

    Parameters
    ----------
    name, flavour : str
        See `Source`.
    table : pyarrow.Table
        The rows.
    """

    name: str
    flavour: str
    table: pa.Table
    repeatable: bool = True

    def __post_init__(self) -> None:
        check_names(self.name, self.table.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """Columns and Arrow types as given."""
        return self.table.schema

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks; slices where a block lies within one chunk."""
        check_request(self.name, self.schema, columns, block_rows)
        return reblock(self.table.select(list(columns)).to_batches(), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; slices, no copy."""
        check_request(self.name, self.schema, columns)
        check_runs(self.name, self.rows, runs)
        table = self.table.select(list(columns))
        return pa.concat_tables([table.slice(0, 0), *(table.slice(start, length) for start, length in runs)])

    def fingerprint(self) -> dict[str, Any]:
        """Kind and shape."""
        return {"kind": self.name, "rows": self.rows, "columns": len(self.schema.names)}


def polars_source(frame: Any) -> TableSource | ArraySource:
    """A source over a polars DataFrame, through the Arrow C stream; what Arrow has no type for is refused when read."""
    name = "polars.DataFrame"
    if "Object" not in map(str, frame.dtypes):
        with suppress(*ARROW_PROBLEMS):
            return TableSource(name, "polars", pa.table(frame))
    columns = {one.name: stream_column(name, one.name, one) for one in frame.get_columns()}
    return ArraySource(name, "polars", columns, len(frame))
