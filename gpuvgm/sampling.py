"""Samples of a source: what kinds, grids and centres are settled from before all rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from gpuvgm.frames import Block, Source
from gpuvgm.run import Run

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


def sample_runs(rows: int, seed: int) -> list[tuple[int, int]]:
    """Runs (start, length) of a sample: one at a random place in each of 32 equal parts; all rows of a short source."""
    if rows <= SAMPLE_RUNS * RUN_ROWS:
        return [(0, rows)] if rows else []
    random = np.random.Generator(np.random.PCG64(seed))
    borders = [i * rows // SAMPLE_RUNS for i in range(SAMPLE_RUNS + 1)]
    return [
        (low + int(random.integers(0, high - low - RUN_ROWS + 1)), RUN_ROWS)
        for low, high in zip(borders[:-1], borders[1:], strict=True)
    ]
