"""Memory of a run: rows of a block and number of threads that keep to the user's limit.

What a stage needs was measured with ``python -m benchmarks.memory`` (peak resident memory of fresh processes on Linux,
two cores, pyarrow's mimalloc) over a file of 20 M amounts and one of 2 M rows with 30 floats, 10 integers and 10 texts,
blocks of 4,096 to 1,048,576 rows, one thread and two:

- 228 to 250 MiB whatever the stage, with scikit-learn, scipy and pyarrow loaded: `BASE`.
- 1 MiB a column for the buffer that a Parquet file is read through: `READ_BUFFER`.
- Of a fit 5.5 MiB a column of numbers, for its grid and the summary of all rows: `COLUMN_OF_NUMBERS`; twice the values
  of the sample; and 3,900 and 5,200 bytes a row of a block with one thread and two, for rows of 400 bytes, nearly all
  of it the blocks' own summaries: 40 bytes a cell, one cell a row and column at most, and 50,000 cells: `CELL`,
  `MOST_CELLS`.
- Of transform 1,300 and 1,800 bytes a row of a block (read: 400, written: 210), of the inverse 2,300 and 2,500 (read:
  210, written: 400), of evaluate 2,300 and 2,950; and what the file's row group takes, twice. The statistics of
  evaluate have 105 to 150 bytes a cell (30 columns of continuous values): `EVALUATED_CELL`.
- Of one column, 20 M amounts, blocks of 1,048,576 rows on two threads: fit 316 MiB, transform 291, inverse 306,
  evaluate 411: `WORK`, `COLUMN_WORK`.
- Exact EM in memory: 117 bytes a row and column, most of it k-means' (`table.numeric_fit.EXACT_BYTES`).
- Of transform and inverse to a file or a folder, 1 M rows with 20 floats and 5 texts: 438 to 537 MiB of 550, 441 to 503
  of 600 and 567 to 636 of 800 on two threads; 20 M amounts, 277 to 316 MiB of 300 on one, 363 and 364 of 400 on two.
  Each of several threads encodes a row group, and holds its bytes in a buffer that grows by doubling: `Need.file`;
  three more are gathered, wait and are written.
- What allocators keep makes equal runs differ: eight fits of 30 columns in 800 MiB peaked at 785 to 815 MiB: `KEPT`.

`Need.peak` is a little above each of these. Fit, transform, inverse and evaluate of 30 columns peaked at 668, 759, 759
and 1,064 MiB with Arrow's mimalloc and at 756, 771, 813 and 1,100 with the system's allocator, so the pool is left as
it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS, CHUNK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.io import ParquetSink, row_bytes

MIB = 1 << 20
BASE = 256 * MIB
READ_BUFFER = MIB
COLUMN_OF_NUMBERS = 6 * MIB
LAW_VALUE = 24  # bytes of a sampled value of which laws are judged: its hash, number and code
SAMPLE_ROWS = 1 << 17  # as `sampling.sample_runs` takes them
CELL, EVALUATED_CELL, MOST_CELLS = 40, 150, 50_000
WORK, COLUMN_WORK = 24, 80  # bytes a row, of the one column that a thread fits or evaluates
SORTED = 6  # copies of a column while two tables are compared
JUDGED = 64 * MIB  # of the rows that a classifier tells, with scikit-learn's modules
KEPT = 1.05  # of what lies above `BASE`
ENCODER = 24 * MIB  # of pyarrow's writer in a thread, its tables and what their memory leaves between
PER_THREAD = 8 * MIB  # stacks, scratch of the engines, and what EM of one column holds

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40} | {
    f"{prefix}{suffix}": (1000 if suffix == "B" else 1024) ** power
    for power, prefix in enumerate("KMGT", 1)
    for suffix in ("B", "IB")
}
_SIZE = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:E[0-9]+)?)\s*([A-Z]*)")


def parse_memory(memory: int | str) -> int:
    """Bytes of a size as people write it.

    Parameters
    ----------
    memory : int or str
        Bytes, or a number with a unit: "512MB" is 512,000,000, "1.5GiB" and "1.5G" are 1.5 · 2^30 bytes.

    Raises
    ------
    InputError
        For anything else.
    """
    if isinstance(memory, int) and not isinstance(memory, bool):
        size = float(memory)
    else:
        match = _SIZE.fullmatch(memory.strip().upper()) if isinstance(memory, str) else None
        if match is None or match[2] not in _UNITS:
            raise InputError(f'memory is {memory!r}: give bytes, or a size such as "512MB" or "1.5GiB"')
        size = float(match[1]) * _UNITS[match[2]]
    if not 1 <= size < 2**63:
        raise InputError(f"memory must be at least one byte, and less than 2^63, got {memory!r}")
    return int(size)


@dataclass(frozen=True, slots=True)
class Need:
    """Memory that a stage needs.

    Parameters
    ----------
    read, result, work : float
        Bytes of a row as it is read, of its result, and of the scratch of a thread.
    columns : int
        Columns that are read.
    numbers : int
        Columns that are summarised.
    fixed : int
        Bytes that do not depend on blocks or threads.
    file : int
        Bytes of a file that each thread holds, where several encode it.
    cell : int
        Bytes of a cell that is counted.
    """

    read: float
    result: float = 0.0
    work: float = 0.0
    columns: int = 0
    numbers: int = 0
    fixed: int = 0
    file: int = 0
    cell: int = CELL

    @classmethod
    def fit(cls, schema: pa.Schema, sample_bytes: int = 0) -> Need:
        """The need of a fit of these columns; `sample_bytes` of sampled rows are in memory."""
        row_size = row_bytes(schema)
        numbers = sum(pa.types.is_primitive(field.type) or pa.types.is_decimal(field.type) for field in schema)
        fixed = round(2 * SAMPLE_ROWS * row_size) + numbers * COLUMN_OF_NUMBERS + sample_bytes
        return cls(row_size, work=WORK, columns=len(schema), numbers=numbers, fixed=fixed)

    @classmethod
    def transform(
        cls, schema: pa.Schema, result: pa.Schema, *, to_file: bool = False, group_rows: int | None = None
    ) -> Need:
        """The need of a transform or an inverse of these columns, to memory or to files."""
        row_size, result_size = row_bytes(schema), row_bytes(result)
        if not to_file:
            return cls(row_size, result_size, result_size, len(schema))
        group = round(ParquetSink.rows_of_group(result, group_rows) * result_size)
        return cls(row_size, 3 * result_size, result_size, len(schema), fixed=3 * group, file=5 * group // 2 + ENCODER)

    @classmethod
    def evaluate(cls, schema: pa.Schema) -> Need:
        """The need of a transform and an inverse of these columns, and of counts of the decoded values."""
        need = cls.fit(schema)
        return replace(need, work=2 * need.read + COLUMN_WORK, cell=EVALUATED_CELL)

    @classmethod
    def compare(cls, schema: pa.Schema, rows: int) -> Need:
        """The need of a comparison of these columns of two tables; numbers and codes are kept, and sorted by column.

        Of each a sample is taken, in which laws are judged.
        """
        need, columns = cls.fit(schema), len(schema)
        samples = need.fixed + LAW_VALUE * min(rows, 2 * SAMPLE_ROWS) * columns
        return replace(need, fixed=need.fixed + samples + JUDGED + 8 * rows * (columns + SORTED))

    def peak(self, threads: int, block_rows: int) -> int:
        """Peak of resident memory, in bytes."""
        cells = self.numbers * self.cell * min(block_rows, MOST_CELLS)
        # As many blocks are in flight as `LocalExecutor` allows: one a thread, and READ_AHEAD.
        blocks = block_rows * ((threads + 2) * self.read + (threads + 1) * self.result + threads * self.work)
        file = self.file if threads > 1 else 0
        fixed = self.fixed + self.columns * READ_BUFFER + threads * (file + PER_THREAD)
        return BASE + round(KEPT * (fixed + blocks + (threads + 1) * cells))


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """Rows of a block and threads that fit the memory, and the bytes that are left beside them."""

    block_rows: int
    threads: int
    room: int


def limits_of(memory: int, threads: int, need: Need, block_rows: int | None = None) -> BlockLimits:
    """The longest blocks, with as many threads as they leave room for.

    Parameters
    ----------
    memory : int
        Bytes.
    threads : int
        Most threads.
    need : Need
        The need of the stage.
    block_rows : int, optional
        Rows of a block, if they are fixed; the threads alone are chosen then.

    Raises
    ------
    InputError
        Where even one thread and the shortest blocks need more; it names how much.
    """
    shortest = block_rows or CHUNK_ROWS
    fitting = [count for count in range(threads, 0, -1) if need.peak(count, shortest) <= memory]
    if not fitting and block_rows is None:
        least = -(-need.peak(1, CHUNK_ROWS) // MIB)
        limit = f"memory of {memory / MIB:,.0f} MiB"
        raise InputError(f"{limit} is too little for these columns: give at least {least} MiB, or fewer columns")
    count = fitting[0] if fitting else 1
    rows = block_rows or _longest(memory, count, need)
    return BlockLimits(rows, count, max(0, memory - need.peak(count, rows)))


def _longest(memory: int, threads: int, need: Need) -> int:
    """Rows of the longest block that fits, in whole chunks, by bisection."""
    low, high = 1, BLOCK_ROWS // CHUNK_ROWS
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if need.peak(threads, middle * CHUNK_ROWS) <= memory else (low, middle - 1)
    return low * CHUNK_ROWS
