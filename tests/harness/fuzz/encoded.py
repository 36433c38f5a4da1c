"""Files and folders that gpuvgm wrote, spoilt and read again: nothing that was written may come back as another.

What is encoded is decoded; what was decoded is encoded again, evaluated and read in batches.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import sink as sinks
from gpuvgm.io.manifest import MANIFEST
from tests.harness.fuzz.harness import WHOLE, Target, WrongResult, taken_if
from tests.harness.fuzz.mutations import spoil
from tests.harness.fuzz.tables import difference

ROWS = 9_000
PART_ROWS = ROWS // 3 + 1
GROUP_ROWS = 2_000  # so that files have several row groups
PAGE_BYTES = 2048  # and these several pages
METADATA = b"gpuvgm.model"
QUICK = ("amount", "count", "word", "yes")  # columns that are fitted in a moment
Use = Callable[[gpuvgm.TableTransformer, Path, Path], Any]
SpoilCopy = Callable[["Written", random.Random, Path], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What gpuvgm wrote, what can be done with it, and what comes of it while it is whole.

    Parameters
    ----------
    model : TableTransformer
        The model.
    whole : pathlib.Path
        A file or a folder.
    other : pathlib.Path
        The same of another run, with other rows.
    uses : tuple of callable
        Called with model, path and a place for results.
    expected : tuple
        What they return.
    """

    model: gpuvgm.TableTransformer
    whole: Path
    other: Path
    uses: tuple[Use, ...]
    expected: tuple[Any, ...]


def rows_of_every_kind(rows: int = ROWS, *, seed: int = 0) -> pa.Table:
    """Numbers, decimals, times, text to pass on, and categories; most of them with gaps."""
    random = np.random.default_rng(seed)
    gaps = random.random(rows) < 0.1
    return pa.table(
        {
            "amount": random.lognormal(2, 1, rows).round(2),
            "count": pa.array(random.integers(0, 500, rows), mask=gaps),
            "share": random.random(rows),
            "price": pa.array(random.integers(1, 10**6, rows), mask=gaps).cast(pa.decimal128(19, 0)),
            "when": pa.array(random.integers(0, 10**9, rows), mask=gaps).cast(pa.timestamp("ms", "UTC")),
            "day": pa.array(random.integers(0, 20_000, rows), pa.int32()).cast(pa.date32()),
            "word": pa.array(random.choice(["a", "bb", "ccc"], rows), mask=gaps),
            "note": pa.array([f"note {row}" for row in range(rows)], mask=gaps),
            "yes": random.random(rows) < 0.3,
        }
    )


def prepare(write: Callable[..., Path], uses: tuple[Use, ...], suffix: str, folder: Path) -> Written:
    """Write rows with a model, use them while they are whole, and write those of another run."""
    columns = {"share": "general"}
    model = gpuvgm.TableTransformer(columns, effort="research", threads=1).fit(rows_of_every_kind())
    small_pages = partial(pq.ParquetWriter, data_page_size=PAGE_BYTES, write_batch_size=256)
    with (
        mock.patch.object(pq, "ParquetWriter", small_pages),
        mock.patch.object(sinks.ParquetSink, "rows_of_group", return_value=GROUP_ROWS),
    ):
        whole = write(model, rows_of_every_kind(), folder / f"written{suffix}")
        other = write(model, rows_of_every_kind(seed=1), folder / f"other{suffix}")
    (folder / "results").mkdir()
    return Written(model, whole, other, uses, tuple(use(model, whole, folder / "results") for use in uses))


def write_encoded(model: gpuvgm.TableTransformer, rows: pa.Table, path: Path) -> Path:
    """Encoded rows."""
    model.transform(rows, out=path, part_rows=PART_ROWS)
    return path


def write_decoded(model: gpuvgm.TableTransformer, rows: pa.Table, path: Path) -> Path:
    """Decoded rows."""
    model.inverse_transform(model.transform(rows), out=path, part_rows=PART_ROWS)
    return path


def decoded_in_memory(model: gpuvgm.TableTransformer, path: Path, folder: Path) -> Any:
    """Decode to a table."""
    return model.inverse_transform(path)


def decoded_to_file(model: gpuvgm.TableTransformer, path: Path, folder: Path) -> Any:
    """Decode to a file."""
    model.inverse_transform(path, out=folder / "back.parquet")
    return pq.read_table(folder / "back.parquet")


def decoded_to_folder(model: gpuvgm.TableTransformer, path: Path, folder: Path) -> Any:
    """Decode to a folder."""
    model.inverse_transform(path, out=folder / "back", part_rows=PART_ROWS // 2)
    return pa.concat_tables(map(pq.read_table, sorted((folder / "back").glob("*.parquet"))))


def evaluated(model: gpuvgm.TableTransformer, path: Path, folder: Path) -> Any:
    """Figures of fidelity."""
    return json.dumps(model.evaluate(path).to_dict())


def batches(model: gpuvgm.TableTransformer, path: Path, folder: Path) -> Any:
    """Batches for a training."""
    return np.concatenate([*model.iter_batches(path, 1000)])


def encoded_to_file(model: gpuvgm.TableTransformer, path: Path, folder: Path) -> Any:
    """Encode to a file."""
    model.transform(path, out=folder / "again.parquet")
    return pq.read_table(folder / "again.parquet")


def attempt(spoil_copy: SpoilCopy, written: Written, random: random.Random, folder: Path) -> None:
    """Spoil a copy, or copy what is whole, use it and compare."""
    whole, copy = random.random() < WHOLE, folder / written.whole.name
    copy_of(written.whole, copy)
    if not whole:
        spoil_copy(written, random, copy)
    number = random.randrange(len(written.uses))
    with taken_if(whole), nothing_left(folder, copy):
        found = written.uses[number](written.model, copy, folder)
    if found_difference := difference(found, written.expected[number]):
        raise WrongResult(f"{written.uses[number].__name__}: {found_difference}")


def copy_of(whole: Path, copy: Path) -> None:
    """Copy a file or a folder."""
    if whole.is_dir():
        shutil.copytree(whole, copy)
    else:
        shutil.copyfile(whole, copy)


@contextmanager
def nothing_left(folder: Path, copy: Path) -> Iterator[None]:
    """After an error there must be no result; what is hidden is there to be resumed."""
    try:
        yield
    except InputError as problem:
        left = [path.name for path in folder.iterdir() if path != copy and not path.name.startswith(".")]
        if left:
            raise WrongResult(f"{', '.join(left)} is there after an error: {problem}") from problem
        raise


def spoil_file(written: Written, random: random.Random, copy: Path) -> None:
    """One fault in a file."""
    copy.write_bytes(spoil(copy.read_bytes(), random, near=METADATA))


def spoil_folder(written: Written, random: random.Random, copy: Path) -> None:
    """One fault in a file of a folder, its manifest among them, or a folder that does not hold what it says."""
    if random.random() < 0.3:
        random.choice(LIES)(written, random, copy)
        return
    file = random.choice(sorted(copy.iterdir()))
    file.write_bytes(spoil(file.read_bytes(), random, near=METADATA))


def exchange_parts(written: Written, random: random.Random, copy: Path) -> None:
    """Two parts under each other's names."""
    one, other = random.sample(sorted(copy.glob("*.parquet")), 2)
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def repeat_part(written: Written, random: random.Random, copy: Path) -> None:
    """A part under the name of another."""
    one, other = random.sample(sorted(copy.glob("*.parquet")), 2)
    other.write_bytes(one.read_bytes())


def take_part_of_another_run(written: Written, random: random.Random, copy: Path) -> None:
    """A part of a run with other rows."""
    part = random.choice(sorted(copy.glob("*.parquet")))
    part.write_bytes((written.other / part.name).read_bytes())


def remove_part(written: Written, random: random.Random, copy: Path) -> None:
    """A part that is missing."""
    random.choice(sorted(copy.glob("*.parquet"))).unlink()


def add_part(written: Written, random: random.Random, copy: Path) -> None:
    """A part more than the manifest lists."""
    part = random.choice(sorted(copy.glob("*.parquet")))
    part.with_name(random.choice(("a", "zzz", part.stem + "-copy")) + ".parquet").write_bytes(part.read_bytes())


def take_manifest_of_another_run(written: Written, random: random.Random, copy: Path) -> None:
    """A manifest that belongs to other files."""
    (copy / MANIFEST).write_bytes((written.other / MANIFEST).read_bytes())


LIES = (exchange_parts, repeat_part, take_part_of_another_run, remove_part, add_part, take_manifest_of_another_run)
DECODE: tuple[Use, ...] = (decoded_in_memory, decoded_to_file, decoded_to_folder)
ENCODE: tuple[Use, ...] = (evaluated, batches, encoded_to_file)


def _target(name: str, write: Callable[..., Path], uses: tuple[Use, ...]) -> Target:
    suffix, spoil_copy = (".parquet", spoil_file) if name.endswith("file") else ("", spoil_folder)
    return Target(name, partial(prepare, write, uses, suffix), partial(attempt, spoil_copy), named=("written",))


TARGETS = (
    _target("encoded-file", write_encoded, DECODE),
    _target("encoded-folder", write_encoded, DECODE),
    _target("decoded-file", write_decoded, ENCODE),
    _target("decoded-folder", write_decoded, ENCODE),
)
