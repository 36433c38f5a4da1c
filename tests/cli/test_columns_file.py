"""The file of columns that `gpuvgm kinds` writes, and `--columns` takes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import gpuvgm
from tests.cli.running import document, invoke

ROWS = 2_000
pytestmark = pytest.mark.filterwarnings("ignore::gpuvgm.errors.InferenceWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A table as Parquet and as CSV with semicolons."""
    folder, random = tmp_path_factory.mktemp("kinds"), np.random.default_rng(0)
    table = pa.table(
        {
            "amount": random.lognormal(3, 1.5, ROWS),
            "grade": random.integers(1, 6, ROWS),
            "a colour": random.choice(["red", "blue"], ROWS),
            "note": [f"note {i % 900}" for i in range(ROWS)],
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    pa.csv.write_csv(table, folder / "rows.csv", pa.csv.WriteOptions(delimiter=";"))
    return folder


@pytest.mark.parametrize(("name", "delimiter"), [("rows.parquet", ()), ("rows.csv", ("--delimiter", ";"))])
def test_a_model_with_the_file_is_the_model_without(place, tmp_path, name, delimiter):
    source, file = place / name, tmp_path / "kinds.toml"
    shown = invoke("kinds", source, "--out", file, *delimiter, env={"COLUMNS": "80"}).stdout
    for part in ("a colour", "categorical", "continuous", "pass", "identifiers or free text", "--columns"):
        assert part in " ".join(shown.split())
    invoke("fit", source, "--model", tmp_path / "with.gpuvgm", "--columns", file, *delimiter)
    invoke("fit", source, "--model", tmp_path / "without.gpuvgm", *delimiter)
    both = [gpuvgm.load(tmp_path / f"{model}.gpuvgm") for model in ("with", "without")]
    assert both[0]._fingerprint() == both[1]._fingerprint()
    assert both[0].schema_ == both[1].schema_
    file.write_text(file.read_text().replace('grade = {kind = "categorical"', 'grade = {kind = "general"'))
    invoke("fit", source, "--model", tmp_path / "changed.gpuvgm", "--columns", file, *delimiter)
    changed = gpuvgm.load(tmp_path / "changed.gpuvgm").schema_
    assert [(spec.kind, spec.is_declared) for spec in changed.columns] == [
        ("continuous", False),
        ("general", True),
        ("categorical", False),
        ("pass", False),
    ]


def test_the_document_has_kinds_and_reasons(place):
    found = document("kinds", place / "rows.parquet", "--effort", "research")
    assert found["out"] is None
    assert found["columns"]["grade"] == {"kind": "categorical", "reason": "5 distinct values in 2,000 sampled rows"}
    assert "asinh" not in found["columns"]["amount"]
    assert "asinh" in document("kinds", place / "rows.parquet")["columns"]["amount"]


def test_what_cannot_be_read_or_written_is_refused_in_one_line(place, tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing PAR1")
    (tmp_path / "mine.toml").write_text("[columns]\n")
    rows = place / "rows.parquet"
    for arguments, message in [
        ((tmp_path / "broken.parquet",), "broken.parquet"),
        ((tmp_path / "none.parquet",), "none.parquet"),
        ((rows, "--out", tmp_path / "mine.toml"), "mine.toml: exists, perhaps with changes of yours"),
        ((rows, "--out", tmp_path / "kinds.json"), "kinds.json: a file of columns is TOML"),
        ((rows, "--out", tmp_path / "absent" / "kinds.toml"), "absent"),
    ]:
        told = invoke("kinds", *arguments, code=2).stderr
        assert message in told and len(told.splitlines()) == 1
    assert (tmp_path / "mine.toml").read_text() == "[columns]\n"
