"""Folders of files: they are read and fitted as one file of the same rows is, or refused with the name of a file."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source, plain
from tests.harness.fuzz.harness import WHOLE, Target, WrongResult, taken_if
from tests.harness.fuzz.tables import difference
from tests.io.conftest import rows_of

ROWS = 400
KEYS: Sequence[tuple[str, list[str | None]]] = (
    ("year", ["2023", "2024", None]),
    ("month", ["01", "02", "12"]),
    ("place", ["a/b", "ä ö", "x=y", None]),
)


def table_of_users(seed: int = 0) -> pa.Table:
    """What every format holds."""
    random = np.random.default_rng(seed)
    gaps = random.random(ROWS) < 0.1
    return pa.table(
        {
            "whole": pa.array(random.integers(-500, 500, ROWS), mask=gaps),
            "number": pa.array(random.normal(0, 100, ROWS).round(3) + 0.0005, mask=gaps),
            "large": pa.array(random.integers(2**53, 2**62, ROWS)),
            "word": pa.array(random.choice(["a", "b,b", "ä ö"], ROWS), mask=gaps),
            "yes": random.random(ROWS) < 0.4,
            "day": pa.array(random.integers(0, 20_000, ROWS).astype(np.int32)).cast(pa.date32()),
        }
    )


def write_parquet(rows: pa.Table, path: Path, random: random.Random) -> None:
    pq.write_table(rows, path, row_group_size=random.choice((7, 1000)), compression=random.choice(("zstd", "snappy")))


def write_csv(rows: pa.Table, path: Path, random: random.Random) -> None:
    options = pa.csv.WriteOptions(delimiter=random.choice(",;\t|"))
    pa.csv.write_csv(rows, path, options)


def write_ipc(rows: pa.Table, path: Path, random: random.Random) -> None:
    opener = random.choice((pa.ipc.new_file, pa.ipc.new_stream))
    with pa.OSFile(str(path), "wb") as file, opener(file, rows.schema) as writer:
        writer.write_table(rows, random.choice((7, 1000)))


WRITERS: dict[str, Callable[[pa.Table, Path, random.Random], None]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "arrow": write_ipc,
}


def laid(rows: pa.Table, folder: Path, ending: str, random: random.Random) -> tuple[pa.Table, list[Path]]:
    """The rows in files of a folder, in folders of it and in such as Hive writes; and the table that they are."""
    keys = random.sample(KEYS, random.choice((0, 0, 1, 2)))
    cuts = sorted(random.choices(range(len(rows) + 1), k=random.randint(0, 5)))
    parts, files = [], []
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        part, place = rows.slice(start, stop - start), folder
        for name, values in keys:
            value = random.choice(values)
            shown = "__HIVE_DEFAULT_PARTITION__" if value is None else value.replace("/", "%2F").replace("=", "%3D")
            place /= f"{name}={shown}"
            part = part.append_column(name, pa.array([value] * len(part), pa.string()))
        place /= random.choice(("", "", "deep", "deep/er"))
        place.mkdir(parents=True, exist_ok=True)
        files.append(place / f"part-{number}.{ending}")
        stored = part.select(rows.column_names)
        order = random.sample(rows.column_names, rows.num_columns) if random.random() < 0.2 else rows.column_names
        WRITERS[ending](stored.select(order), files[-1], random)
        parts.append((files[-1].relative_to(folder).parts, part))
    table = pa.concat_tables([part for _, part in sorted(parts, key=lambda pair: pair[0])])
    for name, _ in keys:
        found = [value for value in table.column(name).unique().to_pylist() if value is not None]
        if all(value.isdigit() and value == str(int(value)) for value in found):
            table = table.set_column(table.column_names.index(name), name, table.column(name).cast(pa.int64()))
    return table, files


# -- faults


def rewrite(rows: pa.Table, file: Path, random: random.Random) -> None:
    """Write another file of the same name; the older one may be mapped."""
    file.unlink()
    WRITERS[file.suffix[1:]](rows, file, random)


def has_rows(file: Path) -> bool:
    """Whether a file has a row; a header alone is not split where there is no other file."""
    source = open_source(file)
    return "day" in source.schema.names and any(block.rows for block in source.blocks(["day"], ROWS))


def remove_file(files: list[Path], random: random.Random) -> None:
    """A file that is missing."""
    random.choice(files).unlink()


def empty_file(files: list[Path], random: random.Random) -> None:
    """A file without a byte."""
    random.choice(files).write_bytes(b"")


def cut_file(files: list[Path], random: random.Random) -> None:
    """A file without its end."""
    file = random.choice(files)
    body = file.read_bytes()
    file.write_bytes(body[: random.randrange(len(body))])


def other_column(files: list[Path], random: random.Random) -> None:
    """A file with a column under another name, or under that of one that it has."""
    file = random.choice([*filter(has_rows, files)])
    rows = rows_of(file)
    first, *others = rows.column_names
    others[random.randrange(len(others))] = first if random.random() < 0.5 else "other"
    rewrite(rows.rename_columns([first, *others]), file, random)


def other_type(files: list[Path], random: random.Random) -> None:
    """A file with a column of text instead of numbers."""
    file = random.choice([*filter(has_rows, files)])
    rows = rows_of(file)
    name = random.choice(("whole", "number", "day"))
    at = rows.column_names.index(name)
    rewrite(rows.set_column(at, name, pa.array(["soon"] * len(rows), pa.string())), file, random)


def repeat_file(files: list[Path], random: random.Random) -> None:
    """A file twice."""
    file = random.choice(files)
    shutil.copyfile(file, file.with_stem(f"{file.stem}-copy"))


def write_again(files: list[Path], random: random.Random) -> None:
    """Other rows in a file."""
    file = random.choice([*filter(has_rows, files)])
    rewrite(table_of_users(1).slice(0, max(1, rows_of(file).num_rows)), file, random)


FAULTS = (remove_file, empty_file, cut_file, other_column, other_type, repeat_file, write_again)


def attempt(model: gpuvgm.TableTransformer, random: random.Random, folder: Path) -> None:
    """Read, fit and encode a folder, with others' files in it; then again with a fault in one of its files."""
    ending, place = random.choice([*WRITERS]), folder / "users"
    table, files = laid(table_of_users(), place, ending, random)
    for name in (".hidden", "_temporary", "notes.txt", "_SUCCESS", f".{files[0].name}.crc"):
        (files[0].parent / name).write_bytes(b"no table")
    with taken_if(whole=True):
        check(model, place, table)
    if random.random() < WHOLE:
        return
    source = open_source(place)
    fault = random.choice(FAULTS)
    fault(files, random)
    opened = random.random() < 0.5
    try:
        found = rows_of(source if opened else place)
    except InputError as problem:
        if opened or fault in (empty_file, cut_file, other_column, other_type, remove_file):
            raise
        raise WrongResult(f"{fault.__name__}: refused, though all files are whole: {problem}") from problem
    left = [*place.rglob(f"*.{ending}")]
    if opened and difference(found.select(table.column_names), table) is not None:
        raise WrongResult(f"{fault.__name__}: a source that was opened before gives neither its rows nor an error")
    if not opened and fault in (remove_file, repeat_file):
        expected = sum(block.rows for file in left for block in open_source(file).blocks(["day"], ROWS))
        if len(found) != expected:
            raise WrongResult(f"{fault.__name__}: {len(found)} rows, and the files hold {expected}")
    if not opened and fault is other_column and len(left) > 1:
        raise WrongResult(f"{fault.__name__}: taken")


def check(model: gpuvgm.TableTransformer, place: Path, table: pa.Table) -> None:
    """Refuse other rows, another fit and other codes than those of the table in one piece."""
    if text := difference(rows_of(place).select(table.column_names), table.combine_chunks()):
        raise WrongResult(f"another table than that of its files: {text}")
    whole = table.combine_chunks()
    kinds = {name: "pass" for name in whole.column_names if name not in ("whole", "word", "year", "place")}
    fits = [
        gpuvgm.TableTransformer(kinds, effort="research", max_iter=2, threads=1).fit(source)  # type: ignore[arg-type]
        for source in (place, whole)
    ]
    of_folder, of_table = (
        json.dumps(plain([fit.columns_[name].to_json() for name in whole.column_names])) for fit in fits
    )
    if text := difference(of_folder, of_table):
        raise WrongResult(f"another fit than that of one table: {text}")
    if text := difference(model.transform(place), model.transform(whole)):
        raise WrongResult(f"other codes than those of one table: {text}")


def prepare(_: Path) -> gpuvgm.TableTransformer:
    """A model of the rows."""
    return gpuvgm.TableTransformer(effort="research", threads=1).fit(table_of_users())


TARGETS = (Target("folders", prepare, attempt, named=("users", "part-")),)
