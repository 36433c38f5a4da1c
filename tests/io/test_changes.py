"""Files of this machine that change while they are read: refused, or read as they were."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm.errors import SourceChangedError
from gpuvgm.io import open_source

ROWS, BLOCK_ROWS = 100_000, 4096


def write(path, value):
    pq.write_table(
        pa.table({"x": np.full(ROWS, value)}), path, row_group_size=BLOCK_ROWS, use_dictionary=False, compression=None
    )
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "rows.parquet", 0.0)


def values_read(file, change):
    """All values of a file that changes after the first block."""
    found = []
    for block in open_source(file).blocks(["x"], BLOCK_ROWS):
        if not found:
            change()
        found.append(np.asarray(block.batch.column(0)))
    return set(np.concatenate(found))


def test_a_file_that_is_written_to_between_two_row_groups_is_refused(file, tmp_path):
    other = write(tmp_path / "other", 1.0).read_bytes()

    def overwrite():
        with file.open("r+b") as opened:
            opened.write(other)

    with pytest.raises(SourceChangedError, match=r"rows\.parquet: the file was changed while it was in use"):
        values_read(file, overwrite)


@pytest.mark.parametrize("change", ["replace", "remove"])
def test_a_file_that_loses_its_name_is_read_to_its_end(file, tmp_path, change):
    other = write(tmp_path / "other", 1.0)
    assert values_read(file, file.unlink if change == "remove" else lambda: os.replace(other, file)) == {0.0}
