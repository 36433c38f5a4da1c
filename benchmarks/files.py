"""Fits of files with the default effort, beside one read of them by pyarrow: text, words, and many small files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import gpuvgm
from benchmarks.machine import repeated
from benchmarks.measure import Measurement

READ = "pyarrow's read"
ROWS_OF_SMALL = 5_000
COLOURS = np.array(["red", "green", "blue", "yellow"])


def measure(rows: int) -> list[Measurement]:
    """Five columns in one file of text, words in a Parquet file, and amounts in files of 5,000 rows."""
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
        return [*text(rows, Path(folder)), *words(rows, Path(folder)), *small_files(rows, Path(folder))]


def text(rows: int, folder: Path) -> Iterator[Measurement]:
    """CSV of amounts, normal numbers, counts, words and days."""
    random = np.random.default_rng(1)
    table = {
        "amount": random.lognormal(3, 1, rows).round(2),
        "x": random.normal(size=rows),
        "count": random.integers(0, 1000, rows),
        "colour": COLOURS[random.integers(0, len(COLOURS), rows)],
        "day": np.datetime64("2020-01-01") + random.integers(0, 2000, rows),
    }
    csv = folder / "table.csv"
    pyarrow.csv.write_csv(pa.table(table), csv)
    yield beside_a_read("CSV", rows, csv, lambda: pyarrow.csv.read_csv(csv))


def words(rows: int, folder: Path) -> Iterator[Measurement]:
    """A Parquet file of 40 different words, which pyarrow's writer stores as codes of a dictionary."""
    file = folder / "words.parquet"
    names = pa.array([f"category {number}" for number in range(40)])
    pq.write_table(pa.table({"word": names.take(pa.array(np.random.default_rng(3).integers(0, 40, rows)))}), file)
    yield beside_a_read("words in Parquet", rows, file, lambda: list(pq.ParquetFile(file).iter_batches(1 << 20)))


def small_files(rows: int, folder: Path) -> Iterator[Measurement]:
    """Folders of Parquet and CSV files."""
    amounts = np.random.default_rng(2).lognormal(3, 1, rows).round(2)
    for ending, write, read in (
        ("parquet", pq.write_table, lambda path: list(pq.ParquetFile(path).iter_batches(1 << 20))),
        ("csv", pyarrow.csv.write_csv, pyarrow.csv.read_csv),
    ):
        place = folder / ending
        place.mkdir()
        for number, start in enumerate(range(0, rows, ROWS_OF_SMALL)):
            write(pa.table({"amount": amounts[start : start + ROWS_OF_SMALL]}), place / f"{number:06}.{ending}")
        paths = sorted(place.iterdir())
        case = f"{len(paths)} {ending} files of {ROWS_OF_SMALL:,} rows"
        yield beside_a_read(case, rows, place, lambda read=read, paths=paths: [read(path) for path in paths])


def beside_a_read(case: str, rows: int, source: Path, read: Callable[[], object]) -> Measurement:
    """The fit of a file or folder and a read of it, files warm."""
    other, fit = repeated(read), repeated(lambda: gpuvgm.TableTransformer(random_state=0).fit(source))
    processor = {"cpu_seconds": fit.processor_seconds, "read_cpu_seconds": other.processor_seconds}
    notes = {"s above it": f"{fit.seconds - other.seconds:.3g}"}
    return Measurement(
        case, rows, fit.seconds, {READ: other.seconds}, details=processor, notes=notes, shown_as_time=True
    )
