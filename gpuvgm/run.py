"""Where and how the work on a table is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS, CHUNK_ROWS
from gpuvgm.engines import Engine, choose_engine, get_engine, runs_on_device
from gpuvgm.errors import InputError
from gpuvgm.execution import CallerExecutor, LocalExecutor
from gpuvgm.frames import Block, CudfFiles, DeviceSource, Source, device_files
from gpuvgm.memory import Need, limits_of

BLOCK_VALUES = 1 << 25  # of a block: 256 MiB of float64
SMALL_BLOCK_VALUES = 1 << 22  # encoded together where batches are smaller
#: Blocks of rows that lie on a device: each costs launches and merges, not memory of the host.
DEVICE_BLOCK_ROWS, DEVICE_BLOCK_VALUES = 1 << 26, 1 << 27
#: Blocks of the host that go through a device: several pieces, so that copies and kernels overlap.
STREAMED_BLOCK_ROWS = 1 << 22


def engine_for(name: str, source: Source) -> str:
    """Name of the engine that runs the rows of a source, which "auto" leaves open.

    Parameters
    ----------
    name : str
        What the user asked for.
    source : Source
        The rows.
    """
    values = None if source.rows is None else source.rows * len(source.schema.names)
    return choose_engine(name, values, on_device=isinstance(source, DeviceSource))


def as_read_by(engine: Engine, source: Source) -> Source:
    """The source as an engine reads it.

    For engines of the host, rows of a device are copied in blocks. For engines of a device, cuDF reads Parquet files
    there, if it is installed.
    """
    if not runs_on_device(engine):
        return source.on_host() if isinstance(source, DeviceSource) else source
    return device_files(source) or source


@dataclass(frozen=True, slots=True)
class Run:
    """Where and how the work is done.

    Parameters
    ----------
    engine : str
        Name of the engine.
    executor : LocalExecutor
        What runs blocks.
    block_rows : int, optional
        Rows of a block, rounded up to whole chunks of 4,096; by default 2^20, 2^22 where they go through a device, and
        2^26 where they lie on one.
    room : int, optional
        Bytes that the user's limit of memory leaves beside the blocks.
    """

    engine: str
    executor: LocalExecutor
    block_rows: int | None = None
    room: int | None = None

    def __post_init__(self) -> None:
        if self.block_rows is not None and self.block_rows < 1:
            raise InputError(f"block_rows must be at least 1, got {self.block_rows}")

    @classmethod
    def over(
        cls,
        source: Source,
        engine: str,
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
        block_rows: int | None = None,
    ) -> Run:
        """How the rows of a source are worked on: by which engine, and in which threads.

        Rows on a device that the engine works on there stay in the caller's thread, whose stream they belong to.
        """
        name = engine_for(engine, source)
        reading = as_read_by(get_engine(name), source)
        here = isinstance(reading, CudfFiles) or (isinstance(reading, DeviceSource) and not reading.hosted)
        return cls(name, (CallerExecutor if here else LocalExecutor)(threads, progress), block_rows)

    def within(self, memory: int, need: Need) -> Run:
        """The same with blocks and threads that keep to a limit of the host's memory.

        Parameters
        ----------
        memory : int
            Bytes.
        need : Need
            What the stage holds.

        Raises
        ------
        InputError
            Where the least is too much.
        """
        if self.on_device:
            return self
        limits = limits_of(memory, self.executor.threads, need, self.block_rows)
        executor = LocalExecutor(limits.threads, self.executor.progress)
        return Run(self.engine, executor, limits.block_rows, limits.room)

    @property
    def on_device(self) -> bool:
        """Whether rows lie where the engine works on them."""
        return isinstance(self.executor, CallerExecutor)

    @property
    def rows_per_block(self) -> int:
        """Rows of a block in whole chunks."""
        if self.block_rows:
            return _in_chunks(self.block_rows)
        if self.on_device:
            return DEVICE_BLOCK_ROWS
        return STREAMED_BLOCK_ROWS if runs_on_device(get_engine(self.engine)) else BLOCK_ROWS

    def rows_of_batches(self, batch_rows: int, width: int) -> int:
        """Rows of a block that holds whole batches `width` columns wide: several small ones, one large one."""
        if batch_rows < 1:
            raise InputError(f"batch_rows must be at least 1, got {batch_rows}")
        rows = min(self.block_rows or BLOCK_ROWS, SMALL_BLOCK_VALUES // max(width, 1))
        return batch_rows * max(1, rows // batch_rows)

    def reading(self, source: Source) -> Source:
        """The source as the engine reads it."""
        return as_read_by(get_engine(self.engine), source)

    def blocks(self, source: Source, columns: Sequence[str], width: int = 0) -> Iterator[Block]:
        """Blocks of some columns of a source; `width` is the number of columns of what becomes of them."""
        return self.reading(source).blocks(columns, self.rows_of(source, max(len(columns), width)))

    def rows_of(self, source: Source, width: int) -> int:
        """Rows of a source's blocks: few enough that every thread gets some, and that wide ones fit the memory."""
        values = DEVICE_BLOCK_VALUES if self.on_device else BLOCK_VALUES
        rows = min(self.rows_per_block, max(CHUNK_ROWS, _in_chunks(values // max(width, 1))))
        if self.on_device:
            numbers = all(pa.types.is_primitive(field.type) for field in source.schema)
            return rows if numbers else min(rows, STREAMED_BLOCK_ROWS)  # an Arrow array of text has 2^31 bytes at most
        if source.rows is None:
            return rows
        return min(rows, max(CHUNK_ROWS, _in_chunks(-(-source.rows // self.executor.threads))))


def _in_chunks(rows: int) -> int:
    return -(-rows // CHUNK_ROWS) * CHUNK_ROWS
