"""Parquet and Arrow files of users, spoilt; what gpuvgm makes of one must be what it makes of the rows pyarrow reads.

Where a flipped bit leaves another valid file, nobody can tell; where a file has checksums pyarrow checks them too.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import plain
from tests.harness.fuzz.harness import WHOLE, Target, WrongResult, taken_if
from tests.harness.fuzz.mutations import spoil
from tests.harness.fuzz.tables import FEW, difference, fitted, table_of_users, unfitted

Read = Callable[[Path, Sequence[str]], pa.Table]
Use = Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Whole files, and models of their rows."""

    files: tuple[Path, ...]
    every: gpuvgm.TableTransformer
    few: gpuvgm.TableTransformer


def prepared_files(files: Sequence[Path]) -> Prepared:
    """Models for files of the table of users."""
    return Prepared(tuple(files), fitted(), fitted(FEW))


def attempt(read: Read, name: str, prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Spoil one of the files, or none, and use it."""
    whole, path = random.random() < WHOLE, folder / name
    body = random.choice(prepared.files).read_bytes()
    path.write_bytes(body if whole else spoil(body, random))
    columns, use = chosen_use(prepared, random)
    with taken_if(whole):
        compare(use, path, partial(read, path, columns))


def compare(use: Use, path: Path, read: Callable[[], pa.Table]) -> None:
    """Use a file and, where it is taken, the rows that pyarrow reads from it."""
    found = use(path)
    try:
        rows = read()
        rows.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as problem:
        raise WrongResult(f"taken, but pyarrow refuses it: {problem}") from problem
    try:
        expected = use(rows)
    except InputError as problem:
        raise WrongResult(f"taken, but its rows are refused: {problem}") from problem
    if found_difference := difference(found, expected):
        raise WrongResult(f"another result than for the rows that pyarrow reads: {found_difference}")


def chosen_use(prepared: Prepared, random: random.Random) -> tuple[Sequence[str], Use]:
    """Something to do with a table, and the columns that it reads."""
    chosen = random.random()
    if chosen < 0.5:
        layout: Any = random.choice(("compact", "onehot"))
        return prepared.every.model_.names, partial(prepared.every.transform, layout=layout)
    if chosen < 0.6:
        return prepared.every.model_.names, partial(_batches, prepared.every)
    if chosen < 0.75:
        return prepared.few.model_.names, partial(_evaluated, prepared.few)
    columns = tuple(random.sample(prepared.every.model_.names, 3))
    return columns, partial(_fitted, columns)


def _batches(transformer: gpuvgm.TableTransformer, source: object) -> pa.Table | None:
    batches = [*transformer.iter_batches(source, 150, layout="compact")]
    return pa.concat_tables(batches) if batches else None


def _evaluated(transformer: gpuvgm.TableTransformer, source: object) -> str:
    return json.dumps(transformer.evaluate(source).to_dict())


def _fitted(columns: tuple[str, ...], source: object) -> str:
    columns_ = unfitted(columns).fit(source).columns_.values()
    return json.dumps(plain([column.to_json() for column in columns_]))


def _write_parquet(folder: Path) -> Prepared:
    """The table as writers with different options write it."""
    rows, files = table_of_users(), []
    for codec, dictionary, checksums, version in product(
        ("snappy", "zstd", "none"), (True, False), (True, False), ("1.0", "2.0")
    ):
        files.append(folder / f"{codec}-{dictionary}-{checksums}-{version}.parquet")
        pq.write_table(
            rows,
            files[-1],
            compression=codec,
            use_dictionary=dictionary,
            write_page_checksum=checksums,
            data_page_version=version,
            row_group_size=150 if dictionary else None,
            data_page_size=512,
            write_batch_size=64,
            write_page_index=checksums,
        )
    return prepared_files(files)


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
        return file.read(list(columns), use_threads=False)


def _write_ipc(opener: Callable[..., Any], folder: Path) -> Prepared:
    """The table as one record batch and as several, with every compression."""
    rows, files = table_of_users(), []
    for codec, length in product((None, "lz4", "zstd"), (None, 150)):
        files.append(folder / f"{codec}-{length}.arrow")
        options = pa.ipc.IpcWriteOptions(compression=codec, emit_dictionary_deltas=length is not None)
        with pa.OSFile(str(files[-1]), "wb") as file, opener(file, rows.schema, options=options) as writer:
            writer.write_table(rows, length)
    return prepared_files(files)


def _read_ipc(path: Path, columns: Sequence[str]) -> pa.Table:
    body = pa.py_buffer(path.read_bytes())
    opener = pa.ipc.open_file if body.to_pybytes().startswith(b"ARROW1") else pa.ipc.open_stream
    with opener(body) as reader:
        fields = [reader.schema.get_field_index(name) for name in columns]
    with opener(body, options=pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)) as reader:
        return reader.read_all().select(list(columns))


TARGETS = (
    Target("parquet", _write_parquet, partial(attempt, _read_parquet, "users.parquet"), named=("users.parquet",)),
    Target(
        "arrow-file",
        partial(_write_ipc, pa.ipc.new_file),
        partial(attempt, _read_ipc, "users.arrow"),
        named=("users.arrow",),
    ),
    Target(
        "arrow-stream",
        partial(_write_ipc, pa.ipc.new_stream),
        partial(attempt, _read_ipc, "users.arrows"),
        named=("users.arrows",),
    ),
)
