"""What rows that belong together cost at size: fits and samples with `sequence_key`, beside those without.

``python -m benchmarks.sequences_large RESULTS [ROWS] [CASE ...]`` writes a table of orders to Parquet files: so many
lines, a million by default, of ten columns, about five lines an order. One file is in the order of the orders; in
another, lines of 200,000 orders at a time are in any order. Each stage is a process of its own on one core, its start
and imports included. Figures go to a file of results as JSON lines: processor seconds, seconds, peak memory, the
largest size of its temporary files, and ratios of processor seconds.

- ``fit``: without a sequence key, with one of the sorted rows, and with one of the unsorted rows.
- ``sample``: as many rows, to Parquet, without a key and with one.
- ``long``: fit and sample of a million rows of one key among 100,000 short ones, without a key and with one, and of as
  many rows of short keys alone.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.billion import folder_of_files
from benchmarks.machine import bind_to_one_core, describe_machine
from benchmarks.measure import print_and_append
from benchmarks.usage import timed

ROWS = 1_000_000
CASES = ("fit", "sample", "long")
LINES = 5  # of an order, on average
BLOCK_ORDERS = 200_000  # whose lines are shuffled together
LONG_KEY, SHORT_KEYS = 1_000_000, 100_000
CATEGORIES = [f"category {letter}" for letter in "abcdefghijkl"]
CHANNELS, COUNTRIES = ["web", "shop", "phone"], ["AT", "CH", "DE", "DK", "FR", "IT", "NL", "PL"]
FIRST_MOMENT = 1_735_689_600  # seconds: 2025
WATCHED_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """What a process needed.

    Parameters
    ----------
    processor_seconds, seconds : float
        Of the processor, of itself and of the system, and of the clock.
    peak_memory, temporary_bytes : int
        Largest resident memory, and size of its temporary files.
    """

    processor_seconds: float
    seconds: float
    peak_memory: int
    temporary_bytes: int


# -- the table


def write_orders(path: Path, counts_of_blocks: Iterator[np.ndarray], *, is_sorted: bool) -> None:
    """Write lines of orders, of blocks of orders with so many lines each."""
    random, order = np.random.default_rng(0), 0
    writer = None
    for counts in counts_of_blocks:
        rows = lines_of_orders(random, order, counts)
        rows = rows if is_sorted else rows.take(np.random.default_rng(order).permutation(rows.num_rows))
        writer = writer or pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
        order += len(counts)
    if writer is not None:
        writer.close()


def lines_of_orders(random: np.random.Generator, first: int, counts: np.ndarray) -> pa.Table:
    """Lines of consecutive orders, of which the first has a number, with so many lines each."""
    orders, lines = len(counts), int(counts.sum())
    starts = np.cumsum(counts) - counts
    channel = random.choice(len(CHANNELS), orders, p=[0.6, 0.3, 0.1])
    country = random.choice(len(COUNTRIES), orders, p=[0.1, 0.1, 0.4, 0.05, 0.15, 0.1, 0.05, 0.05])
    order = np.repeat(np.arange(orders), counts)
    waited = np.round(random.exponential(60, lines)) + 1
    begun = np.repeat(random.integers(0, 31_536_000, orders), counts)
    moments = FIRST_MOMENT + begun + (np.cumsum(waited) - np.repeat(np.cumsum(waited)[starts], counts)).astype(int)
    category = (random.integers(0, 4, lines) + 4 * channel[order]) % len(CATEGORIES)
    pieces = 1 + random.poisson(1.0 + channel[order])
    cents = np.round(100 * random.lognormal(2.5 + 0.1 * category, 0.6)).astype(np.int64) + 1
    net = cents * pieces
    return pa.table(
        {
            "order": 1_000_000_000 + 3 * first + 3 * np.arange(orders)[order],
            "line": np.arange(lines) - starts[order] + 1,
            "time": pa.array(moments).cast(pa.timestamp("s")),
            "category": pa.DictionaryArray.from_arrays(category.astype(np.int32), CATEGORIES).cast(pa.string()),
            "price": cents / 100,
            "pieces": pieces,
            "net": net / 100,
            "channel": pa.array(CHANNELS).take(pa.array(channel[order])),
            "country": pa.array(COUNTRIES).take(pa.array(country[order])),
            "total": np.add.reduceat(net, starts)[order] / 100,
        }
    )


def usual_counts(rows: int) -> Iterator[np.ndarray]:
    """Lines of orders by blocks, of so many lines in all."""
    random = np.random.default_rng(1)
    while rows > 0:
        counts = np.minimum(random.geometric(1 / LINES, BLOCK_ORDERS), 40)
        stop = int(np.searchsorted(np.cumsum(counts), rows)) + 1
        yield counts[:stop]
        rows -= int(counts[:stop].sum())


def counts_with_long_key() -> Iterator[np.ndarray]:
    """Lines of short orders, and of a long one among them."""
    short = np.minimum(np.random.default_rng(2).geometric(1 / LINES, SHORT_KEYS), 40)
    yield np.insert(short, SHORT_KEYS // 2, LONG_KEY)


# -- stages


def fit(table: str, model: str, key: str) -> None:
    """Fit to a file, with the key of sequences or without one."""
    import gpuvgm

    keys: dict[str, Any] = {"sequence_key": key, "sequence_index": "line"} if key else {}
    gpuvgm.TableSynthesizer(threads=1, random_state=0, progress=None, **keys).fit(table).save(model)


def sample(model: str, rows: str, out: str) -> None:
    """Write a sample."""
    import gpuvgm

    gpuvgm.load(model).set_params(threads=1, progress=None).sample(int(rows), out=out)


def write(path: str, kind: str, rows: str) -> None:
    """Write a table: `sorted`, `unsorted`, or with a `long` key."""
    counts = counts_with_long_key() if kind == "long" else usual_counts(int(rows))
    write_orders(Path(path), counts, is_sorted=kind != "unsorted")


STAGES = {"fit": fit, "sample": sample, "write": write}


def cost(folder: Path, stage: str, *arguments: object, of: str = "benchmarks.sequences_large") -> Cost:
    """What a stage of a benchmark needs as a process of its own, in the folder of the files."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", of, "--stage", stage, *map(str, arguments)]
        largest, is_over = [0], threading.Event()
        watch = threading.Thread(target=_watch, args=(Path(temporary), largest, is_over))
        watch.start()
        try:
            usage = timed(command, folder, TMPDIR=temporary, OMP_NUM_THREADS="1")
        finally:
            is_over.set()
            watch.join()
    return Cost(usage.cpu_seconds, usage.seconds, usage.peak_memory, largest[0])


def _watch(folder: Path, largest: list[int], is_over: threading.Event) -> None:
    while not is_over.wait(WATCHED_SECONDS):
        largest[0] = max(largest[0], sum(map(_size, folder.glob("**/*"))))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # removed in the meantime
        return 0


# -- cases


def measured(rows: int, cases: list[str]) -> Iterator[dict[str, Any]]:
    """Figures of each case."""
    with folder_of_files() as folder:
        if {"fit", "sample"} & {*cases}:
            yield from _usual(folder, rows, with_fits="fit" in cases, with_samples="sample" in cases)
        if "long" in cases:
            yield from _long(folder)


def _usual(folder: Path, rows: int, *, with_fits: bool, with_samples: bool) -> Iterator[dict[str, Any]]:
    cost(folder, "write", "sorted.parquet", "sorted", rows)
    size = (folder / "sorted.parquet").stat().st_size
    plain = cost(folder, "fit", "sorted.parquet", "plain.gpuvgm", "")
    in_order = cost(folder, "fit", "sorted.parquet", "sequences.gpuvgm", "order")
    if with_fits:
        cost(folder, "write", "unsorted.parquet", "unsorted", rows)
        unsorted = cost(folder, "fit", "unsorted.parquet", "unsorted.gpuvgm", "order")
        yield _figures("fit without a sequence key", rows, plain, file_bytes=size)
        yield _figures("fit, sorted", rows, in_order, plain)
        disk = unsorted.temporary_bytes / (folder / "unsorted.parquet").stat().st_size
        yield _figures("fit, unsorted", rows, unsorted, plain, disk_to_file=disk, to_sorted=_ratio(unsorted, in_order))
    if with_samples:
        alone = cost(folder, "sample", "plain.gpuvgm", rows, "plain.parquet")
        yield _figures("sample without a sequence key", rows, alone)
        keys = cost(folder, "sample", "sequences.gpuvgm", rows, "sequences.parquet")
        yield _figures("sample", rows, keys, alone)


def _long(folder: Path) -> Iterator[dict[str, Any]]:
    cost(folder, "write", "long.parquet", "long", 0)
    rows = pq.read_metadata(folder / "long.parquet").num_rows
    cost(folder, "write", "short.parquet", "sorted", rows)
    fits, samples = {}, {}
    for name, table, key in (("plain", "long", ""), ("short", "short", "order"), ("long", "long", "order")):
        fits[name] = cost(folder, "fit", f"{table}.parquet", f"{name}.gpuvgm", key)
        samples[name] = cost(folder, "sample", f"{name}.gpuvgm", rows, f"{name}-sample.parquet")
    for stage, costs in (("fit", fits), ("sample", samples)):
        yield _figures(f"{stage} without a sequence key, a long key", rows, costs["plain"])
        yield _figures(f"{stage}, short keys", rows, costs["short"], costs["plain"])
        to_short = _ratio(costs["long"], costs["short"])
        yield _figures(f"{stage}, a long key among short ones", rows, costs["long"], costs["plain"], to_short=to_short)


def _figures(case: str, rows: int, needed: Cost, plain: Cost | None = None, **more: float) -> dict[str, Any]:
    ratios = {} if plain is None else {"to_plain": _ratio(needed, plain)}
    return {"case": case, "rows": rows, **asdict(needed), **ratios, **more}


def _ratio(needed: Cost, other: Cost) -> float:
    return needed.processor_seconds / other.processor_seconds


def main(results: str, rows: str = str(ROWS), *cases: str) -> None:
    """Measure, print and append."""
    print_and_append(Path(results), "sequences_large", describe_machine(), measured(int(rows), [*(cases or CASES)]))


if __name__ == "__main__":
    if sys.argv[1] == "--stage":
        warnings.simplefilter("ignore")
        bind_to_one_core()
        STAGES[sys.argv[2]](*sys.argv[3:])
    else:
        main(*sys.argv[1:])
