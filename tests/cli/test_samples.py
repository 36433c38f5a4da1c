"""Samples, limits of memory, and distances between models on the command line."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq

from tests.cli.conftest import ROWS
from tests.cli.running import document, invoke


def test_a_sample_fit_says_so_in_fit_and_info(folder, tmp_path):
    model = tmp_path / "s.gpuvgm"
    options = ("--sample", "1e3", "--stratified", "--columns", "x,n", "--effort", "research")
    assert f"fitted on a sample of 1,000 of {ROWS:,} rows" in invoke(
        "fit", folder / "table.parquet", "--model", model, *options
    ).stdout.replace("\n", " ")
    assert f"fitted on a sample of 1,000 of {ROWS:,} rows" in invoke("info", model).stdout.replace("\n", " ")
    sample = document("info", model)["source"]["sample"]
    assert sample == {"rows": 1000, "of": ROWS, "seed": 0, "stratified": True}


def test_a_sample_of_an_unknown_number_of_rows(tmp_path):
    (tmp_path / "t.csv").write_text("x\n" + "".join(f"{row / 4}\n" for row in range(50_000)))
    text = invoke("fit", tmp_path / "t.csv", "--model", tmp_path / "s.gpuvgm", "--sample", "100").stdout
    assert "fitted on a sample of 100 of an unknown number of rows in" in text


def test_evaluate_tells_the_distance_to_another_model(folder, tmp_path):
    model = tmp_path / "s.gpuvgm"
    invoke("fit", folder / "table.parquet", "--model", model, "--sample", "1000", "--columns", "x,n")
    options = ("evaluate", folder / "table.parquet", "--model", model, "--against", folder / "m.gpuvgm")
    found = document(*options)["against"]
    assert (found["rows"], found["other_rows"], found["model"]) == (1000, ROWS, str(folder / "m.gpuvgm"))
    assert 0 < found["columns"]["x"]["ks"] < 0.2
    assert "Kolmogorov-Smirnov distance between the fitted" in invoke(*options).stdout
    assert "against" not in document("evaluate", folder / "table.parquet", "--model", model)


def test_memory_and_threads_change_no_result(folder, tmp_path):
    limits = ("--memory", "400MB", "--threads", "1")
    columns = ("--columns", "x,n")
    invoke("fit", folder / "table.parquet", "--model", tmp_path / "m.gpuvgm", *columns, *limits)
    for name, model, more in (("a", folder / "m.gpuvgm", ()), ("b", tmp_path / "m.gpuvgm", limits)):
        encoded, back = tmp_path / f"{name}.parquet", tmp_path / f"{name}.back.parquet"
        invoke("transform", folder / "table.parquet", encoded, "--model", model, *more)
        invoke("inverse", encoded, back, "--model", model, *more)
        report = document("evaluate", folder / "table.parquet", "--model", model, *more)
        kept = {key: value for key, value in report.items() if key not in ("model", "run")}
        if name == "a":
            first = (pq.read_table(encoded), pq.read_table(back), kept)
    assert np.array_equal(first[0]["x.scalar"], pq.read_table(encoded)["x.scalar"])
    assert first[0].equals(pq.read_table(encoded)) and first[1].equals(pq.read_table(back)) and first[2] == kept


def test_wrong_limits_are_one_line(folder, tmp_path):
    options = ("fit", folder / "table.parquet", "--model", tmp_path / "m.gpuvgm")
    assert "give bytes, or a size such as" in invoke(*options, "--memory", "lots", code=2).stderr
    assert "give at least" in invoke(*options, "--memory", "1MB", code=2).stderr
    assert (
        "--stratified is a way to take a sample: give --sample too" in invoke(*options, "--stratified", code=2).stderr
    )
