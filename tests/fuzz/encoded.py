"""Encoded rows, as one file and as a folder, that are decoded after they were spoilt."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import gpuvgm
from tests.fuzz.harness import Target, WrongResult
from tests.fuzz.mutations import spoil

ROWS = 3_000


def rows_of_every_kind(rows: int = ROWS) -> pa.Table:
    """Numbers, whole numbers with gaps, text with gaps and booleans."""
    random = np.random.default_rng(0)
    return pa.table(
        {
            "amount": random.lognormal(2, 1, rows).round(2),
            "count": pa.array(random.integers(0, 500, rows), mask=random.random(rows) < 0.1),
            "word": pa.array(random.choice(["a", "bb", "ccc"], rows), mask=random.random(rows) < 0.1),
            "yes": random.random(rows) < 0.3,
        }
    )


def prepare(folder: Path) -> Path:
    """A model, rows encoded as a file and as a folder, and what they decode to."""
    pq.write_table(rows_of_every_kind(), folder / "rows.parquet")
    transformer = gpuvgm.TableTransformer(effort="research").fit(folder / "rows.parquet")
    transformer.save(folder / "model.gpuvgm")
    transformer.transform(folder / "rows.parquet", out=folder / "encoded.parquet")
    transformer.transform(folder / "rows.parquet", out=folder / "encoded", part_rows=ROWS // 3 + 1)
    transformer.inverse_transform(folder / "encoded.parquet", out=folder / "back.parquet")
    return folder


def decode(prepared: Path, encoded: Path, folder: Path) -> None:
    """Decode and compare with what the whole file gives."""
    gpuvgm.load(prepared / "model.gpuvgm").inverse_transform(encoded, out=folder / "back.parquet")
    if not pq.read_table(folder / "back.parquet").equals(pq.read_table(prepared / "back.parquet")):
        raise WrongResult("decoded rows differ from those of the whole file")


def spoilt_file(prepared: Path, random: random.Random, folder: Path) -> None:
    """One encoded file."""
    encoded = folder / "encoded.parquet"
    encoded.write_bytes(spoil((prepared / "encoded.parquet").read_bytes(), random))
    decode(prepared, encoded, folder)


def spoilt_folder(prepared: Path, random: random.Random, folder: Path) -> None:
    """One file of an encoded folder, its manifest among them."""
    shutil.copytree(prepared / "encoded", folder / "encoded")
    file = random.choice(sorted((folder / "encoded").iterdir()))
    file.write_bytes(spoil(file.read_bytes(), random))
    decode(prepared, folder / "encoded", folder)


TARGETS = (
    Target("encoded-file", prepare, spoilt_file),
    Target("encoded-folder", prepare, spoilt_folder),
)
