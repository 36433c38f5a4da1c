"""One small table in every form a caller may give it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from gpuvgm.io import open_source

ROWS = 1003


def rows_of(given: object, columns: list[str] | None = None, block_rows: int = 1000) -> pa.Table:
    """All rows of a source, or of what can be opened as one, read in blocks."""
    source = open_source(given)
    blocks = source.blocks(columns or source.schema.names, block_rows)
    return pa.Table.from_batches([block.batch for block in blocks])


def write_file(table: pa.Table, path: Path, rows: int | None = None) -> Path:
    """A file in the format of its ending, with row groups or record batches of so many rows."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        opened = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
        with opened(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=rows)
    return path


class FullDisk(pa.OSFile):
    """A file that has room for a few bytes."""

    def write(self, data: Any) -> None:
        """Fail, but for the first bytes of a format."""
        if len(data) > 16:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(data)


@pytest.fixture
def table() -> pa.Table:
    draws = np.random.default_rng(5)
    values = draws.normal(size=ROWS)
    return pa.table({"x": values, "n": draws.integers(-(2**40), 2**40, ROWS), "f": values.astype(np.float32)})


def polars_frame(table: pa.Table) -> Any:
    """A polars DataFrame, where polars is installed."""
    return pytest.importorskip("polars").DataFrame(table)


class Forms:
    """Builds a form of the table by name."""

    def __init__(self, table: pa.Table, folder: Path) -> None:
        self.table, self.folder = table, folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def parquet(self) -> Path:
        return write_file(self.table, self.path("t.parquet"), 130)

    def parquet_text(self) -> str:
        return str(self.parquet())

    def parquet_without_ending(self) -> Path:
        return self.parquet().rename(self.path("t"))

    def folder_of_parquet(self) -> Path:
        inner = self.path("many")
        (inner / "b").mkdir(parents=True)
        (inner / "_temporary").mkdir()
        pq.write_table(self.table.slice(0, 400), inner / "a.parquet", row_group_size=100)
        pq.write_table(self.table.slice(400, 1), inner / "b" / "c.parquet")
        pq.write_table(self.table.slice(401), inner / "b" / "d.PARQUET", row_group_size=250)
        (inner / "_temporary" / "x.parquet").write_bytes(b"unfinished")
        (inner / ".hidden.parquet").write_bytes(b"unfinished")
        (inner / "README.txt").write_text("not a table")
        return inner

    def glob(self) -> str:
        return str(self.folder_of_parquet()) + "/**/[acd].[pP]*"

    def list_of_paths(self) -> list[Path]:
        inner = self.folder_of_parquet()
        pyarrow.feather.write_feather(self.table.slice(401), inner / "d.feather", chunksize=100)
        return [inner / "a.parquet", inner / "b" / "c.parquet", inner / "d.feather"]

    def arrow_file(self) -> Path:
        return write_file(self.table, self.path("t.arrow"), 77)

    def arrow_stream(self) -> Path:
        return write_file(self.table, self.path("t.arrows"), 77)

    def feather_lz4(self) -> Path:
        pyarrow.feather.write_feather(self.table, self.path("t.feather"), compression="lz4", chunksize=300)
        return self.path("t.feather")

    def pandas(self) -> pd.DataFrame:
        return self.table.to_pandas()

    def pandas_one_matrix(self) -> pd.DataFrame:
        frame = self.table.to_pandas()
        return frame.iloc[::-1].iloc[::-1]

    def polars(self) -> Any:
        return polars_frame(self.table)

    def polars_chunked(self) -> Any:
        return polars_frame(self.table.slice(0, 333)).vstack(polars_frame(self.table.slice(333)))

    def pyarrow(self) -> pa.Table:
        return pa.concat_tables([self.table.slice(0, 10), self.table.slice(10, 600), self.table.slice(610)])

    def record_batch(self) -> pa.RecordBatch:
        return self.table.combine_chunks().to_batches()[0]

    def reader(self) -> pa.RecordBatchReader:
        return self.table.to_reader(max_chunksize=90)

    def capsule(self) -> object:
        return Capsule(self.table)

    def foreign_reader(self) -> object:
        return Reader(self.table)

    def dataset(self) -> Any:
        return ds.dataset(sorted(self.folder_of_parquet().rglob("[a-d].*")))

    def filtered_dataset(self) -> Any:
        left_out = self.table.slice(0, 90).set_column(1, "n", pa.nulls(90, pa.int64()))
        halves = [self.table.slice(0, 500), left_out, self.table.slice(500)]
        return ds.dataset(pa.concat_tables(halves)).filter(ds.field("n").is_valid())

    def relation(self) -> Any:
        return pytest.importorskip("duckdb").from_arrow(self.table)

    def lazy_frame(self) -> Any:
        return polars_frame(self.table).lazy()

    def lazy_scan(self) -> Any:
        return pytest.importorskip("polars").scan_parquet(self.parquet())

    def dict_of_arrays(self) -> dict[str, np.ndarray]:
        return {name: self.table.column(name).to_numpy() for name in self.table.schema.names}

    def dict_of_strided(self) -> dict[str, np.ndarray]:
        return {name: np.repeat(values, 3)[1::3] for name, values in self.dict_of_arrays().items()}

    def dict_of_big_endian(self) -> dict[str, np.ndarray]:
        return {name: v.astype(v.dtype.newbyteorder(">")) for name, v in self.dict_of_arrays().items()}

    def dict_of_arrow(self) -> dict[str, object]:
        return {name: self.table.column(name) for name in self.table.schema.names}

    def iterator_of_frames(self) -> object:
        frame = self.table.to_pandas()
        return (frame.iloc[start : start + 101] for start in range(0, ROWS, 101))

    def iterator_of_mixed(self) -> object:
        pq.write_table(self.table.slice(0, 50), self.path("part.parquet"))
        return iter([self.path("part.parquet"), self.table.slice(50, 200), polars_frame(self.table.slice(250))])


class Capsule:
    """A table of an unknown library."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Reader(Capsule):
    """A stream as nanoarrow's `ArrayStream` and arro3's readers are: it can be taken once."""

    def __init__(self, table: pa.Table) -> None:
        self.stream = table.to_reader()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        if self.stream is None:
            raise RuntimeError("array stream is released")
        stream, self.stream = self.stream, None
        return stream.__arrow_c_stream__(requested_schema)

    def read_all(self) -> object:
        raise NotImplementedError


@pytest.fixture
def forms(table: pa.Table, tmp_path: Path) -> Forms:
    return Forms(table, tmp_path)
