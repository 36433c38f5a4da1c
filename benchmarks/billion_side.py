"""pyarrow's side of one stage: ``python -m benchmarks.billion_side READ [LIKE]``.

Reads a file in batches of a row group; with LIKE it also writes as many rows with the columns, values and file options
of that file, from batches of it that are held in memory, and removes what it wrote.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gpuvgm.io.sink import column_options

BATCH_ROWS = 1 << 20
HELD_BATCHES = 8


def main(read: Path, like: Path | None) -> None:
    """Read, and write beside it."""
    if like is None:
        for _ in batches(read):
            pass
        return
    held = list(islice(batches(like), HELD_BATCHES))
    target = like.with_name("alone.parquet")
    with pq.ParquetWriter(target, held[0].schema, **column_options(held[0].schema)) as writer:
        for source, batch in zip(batches(read), cycle(held), strict=False):
            writer.write_batch(batch.slice(0, source.num_rows))
    target.unlink()


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """A file in batches of a row group, without holding more than one of them."""
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        yield from file.iter_batches(BATCH_ROWS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
