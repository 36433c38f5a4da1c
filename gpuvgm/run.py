"""Where and how the work on a table is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuvgm.config import BLOCK_ROWS, CHUNK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor
from gpuvgm.frames import Block, Source

BLOCK_VALUES = 1 << 25  # of a block: 256 MiB of float64
SMALL_BLOCK_VALUES = 1 << 22  # encoded together where batches are smaller


@dataclass(frozen=True, slots=True)
class Run:
    """Where and how the work is done.

    Parameters
    ----------
    engine : str
        Name of the engine.
    executor : LocalExecutor
        What runs blocks.
    block_rows : int
        Rows of a block, rounded up to whole chunks of 4,096.
    """

    engine: str
    executor: LocalExecutor
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        if self.block_rows < 1:
            raise InputError(f"block_rows must be at least 1, got {self.block_rows}")

    @property
    def rows_per_block(self) -> int:
        """Rows of a block in whole chunks."""
        return _in_chunks(self.block_rows)

    def rows_of_batches(self, batch_rows: int, width: int) -> int:
        """Rows of a block that holds whole batches `width` columns wide: several small ones, one large one."""
        if batch_rows < 1:
            raise InputError(f"batch_rows must be at least 1, got {batch_rows}")
        return batch_rows * max(1, min(self.block_rows, SMALL_BLOCK_VALUES // max(width, 1)) // batch_rows)

    def blocks(self, source: Source, columns: Sequence[str], width: int = 0) -> Iterator[Block]:
        """Blocks of some columns of a source; `width` is the number of columns of what becomes of them."""
        return source.blocks(columns, self.rows_of(source, max(len(columns), width)))

    def rows_of(self, source: Source, width: int) -> int:
        """Rows of a source's blocks: few enough that every thread gets some, and that wide ones fit the memory."""
        rows = min(self.rows_per_block, max(CHUNK_ROWS, _in_chunks(BLOCK_VALUES // max(width, 1))))
        if source.rows is None:
            return rows
        return min(rows, max(CHUNK_ROWS, _in_chunks(-(-source.rows // self.executor.threads))))


def _in_chunks(rows: int) -> int:
    return -(-rows // CHUNK_ROWS) * CHUNK_ROWS
