"""Samples of a source: what kinds, grids and centres are settled from before all rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from gpuvgm.execution.context import Run
from gpuvgm.io import Block, Source

SAMPLE_RUNS = 32
RUN_ROWS = 4096
UNKNOWN_SAMPLE_ROWS = 1 << 18  # sampled from the start of a source that does not know its length


@dataclass(frozen=True, slots=True)
class Sampled:
    """A source and a sample of its rows.

    Parameters
    ----------
    source : Source
        The source.
    rows : pyarrow.Table
        The sample.
    blocks : callable
        Names of columns to all blocks of these columns, those read for the sample included; once where the source can
        be read only once.
    """

    source: Source
    rows: pa.Table
    blocks: Callable[[Sequence[str]], Iterator[Block]]


def take_sample(source: Source, names: Sequence[str], run: Run, seed: int) -> Sampled:
    """A sample of some columns.

    Where the number of rows is known: 32 runs of 4,096 rows at seeded global positions. Elsewhere: the first 2^18 rows.
    """

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        return run.passing(source, columns)

    if source.rows is not None and source.repeatable:
        return Sampled(source, source.sample(names, sample_runs(source.rows, seed)), blocks)
    stream = run.first_blocks(source, names)
    head: list[Block] = []
    for block in stream:
        head.append(block)
        if block.first_row + block.rows >= UNKNOWN_SAMPLE_ROWS:
            break
    schema = pa.schema([source.schema.field(name) for name in names])
    rows = pa.Table.from_batches([block.batch for block in head], schema).slice(0, UNKNOWN_SAMPLE_ROWS)
    return Sampled(source, rows, blocks if source.repeatable else lambda _: chain(head, stream))


def sample_runs(rows: int, seed: int, count: int | None = None) -> list[tuple[int, int]]:
    """Runs (start, length) of a sample of `count` rows: one at a random place in each of equal parts of all rows.

    There are at least 32 runs, if there are as many rows, of 4,096 rows at most, and by default so many of so many; a
    short source is one run.
    """
    count = SAMPLE_RUNS * RUN_ROWS if count is None else count
    if rows <= count:
        return [(0, rows)] if rows else []
    random = np.random.Generator(np.random.PCG64(seed))
    parts = max(min(SAMPLE_RUNS, count), -(-count // RUN_ROWS))
    borders = [i * rows // parts for i in range(parts + 1)]
    room = np.diff(borders)
    lengths = np.full(parts, count // parts)
    lengths[np.argsort(-room, kind="stable")[: count % parts]] += 1  # the longer runs lie in the longer parts
    return [
        (low + int(random.integers(0, width - length + 1)), int(length))
        for low, width, length in zip(borders[:-1], room, lengths, strict=True)
    ]
