"""A format and a library of their own: each is what opens it, entered in one line, and goes the whole way."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.io import ParquetSink, formats, open as opening, open_source
from gpuvgm.io.frames import arrow_source
from gpuvgm.io.locations import Location, open_binary
from gpuvgm.io.source import Format, Part, one_by_one
from tests.io.conftest import rows_of

ROWS = pa.table({"x": [number / 8 for number in range(400)], "colour": ["red", "blue"] * 200})


# -- a format: lines of "label:value", with tabs between


@dataclass(frozen=True, slots=True)
class LabelledPart(Part):
    """A file of labelled values, which is read from its beginning."""

    def read(
        self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        with open_binary(self.path) as file:
            rows = [dict(pair.split(":") for pair in line.decode().split("\t")) for line in file.read().splitlines()]
        yield pa.RecordBatch.from_pydict(
            {name: pa.array([row[name] for row in rows]).cast(self.schema.field(name).type) for name in columns}
        )


def labelled_part(path: Location) -> LabelledPart:
    with open_binary(path) as file:
        names = [pair.partition(b":")[0].decode() for pair in file.readline().split(b"\t")]
    return LabelledPart(path, pa.schema([(name, pa.float64() if name == "x" else pa.string()) for name in names]))


LABELLED = Format("LTSV", (".ltsv",), one_by_one(labelled_part), b"x:0.")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A table of which one half is a file of the new format."""
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, LABELLED))
    pairs = zip(ROWS["x"].to_pylist()[:200], ROWS["colour"].to_pylist()[:200], strict=True)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/1.LTSV").write_text("\n".join(f"x:{x}\tcolour:{colour}" for x, colour in pairs))
    pq.write_table(ROWS.slice(200), tmp_path / "rows/2.parquet")
    return tmp_path / "rows"


def test_a_format_is_read_in_folders_and_by_its_first_bytes(folder: Path) -> None:
    assert rows_of(folder).equals(ROWS)
    (folder / "1.LTSV").rename(folder / "rows")
    assert rows_of(folder / "rows").equals(ROWS.slice(0, 200))


def test_a_format_goes_the_whole_way(folder: Path) -> None:
    fitted = gpuvgm.TableTransformer(random_state=0).fit(folder)
    assert fitted.transform(folder, seed=1).equals(
        gpuvgm.TableTransformer(random_state=0).fit(ROWS).transform(ROWS, seed=1)
    )
    with pytest.raises(InputError, match="1\\.LTSV: is read as part of"):
        fitted.transform(folder, out=folder / "1.LTSV")
    with pytest.raises(InputError, match="a delimiter is given, but this is not a CSV file"):
        open_source(folder / "1.LTSV", delimiter=";")


def test_what_is_read_in_a_format_of_its_own_is_not_written_as_parquet() -> None:
    """All endings that are read stand in one table, from which those that are refused for Parquet are taken."""
    endings = {ending for form in formats.FORMATS for ending in form.endings}
    assert endings.isdisjoint(formats.FOREIGN_ENDINGS)
    assert endings - {".parquet", ".parq", ".pq"} == {ending for ending in formats.NOT_PARQUET if ending in endings}
    for ending in formats.NOT_PARQUET:
        with pytest.raises(InputError, match="gpuvgm writes Parquet"):
            ParquetSink(f"rows{ending}", ROWS.schema)


# -- a library


class Book:
    """A table of a library that is not imported for it."""

    def rows(self) -> pa.Table:
        return ROWS


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("rowbooks")
    module.Book = Book  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rowbooks", module)
    row = (opening._named("rowbooks", "Book"), lambda book: arrow_source(book.rows()))
    monkeypatch.setattr(opening, "OPENERS", (*opening.OPENERS, row))
    return module


@pytest.mark.parametrize("opener", [open_source, any_source])
def test_a_library_is_a_line_of_the_table(library: Any, opener: Any) -> None:
    assert opener(Book()).rows == 400
    parts = opener(iter([Book(), ROWS.to_pandas(), Book()]))
    assert sum(block.rows for block in parts.blocks(["x"], 1000)) == 1200


def test_rows_in_front_are_asked_first_also_for_what_an_iterator_gives() -> None:
    renamed = ROWS.rename_columns(["y", "colour"])
    rows = [(lambda source: isinstance(source, pd.DataFrame), lambda _: arrow_source(renamed))]
    assert open_source(iter([ROWS.to_pandas()]), rows).schema.names == ["y", "colour"]
    assert open_source(iter([ROWS]), rows).schema.names == ["x", "colour"]


@pytest.mark.parametrize(
    ("module", "name", "remedy"),
    [
        ("deltalake", "DeltaTable", r"table\.to_pyarrow_dataset\(\)"),
        ("pyiceberg.table", "Table", r"table\.scan\(\)\.to_arrow\(\)"),
        ("pyiceberg.table", "TableScan", r"scan\.to_arrow\(\)"),
    ],
)
def test_tables_with_a_log_are_refused_with_what_reads_them(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, remedy: str
) -> None:
    library = ModuleType(module)
    setattr(library, name, type(name, (), {}))
    monkeypatch.setitem(sys.modules, module, library)
    with pytest.raises(InputError, match=f"^a {name} is not read by itself: pass {remedy}$"):
        open_source(getattr(library, name)())
