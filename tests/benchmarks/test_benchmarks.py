"""Every benchmark runs once, at a tiny size; its figures are shaped right, whatever they are."""

from __future__ import annotations

import inspect
import json
import re
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as main_module, billion, estimator, inputs, picture, scaling
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.measure import Measurement, median_times, seconds_of
from benchmarks.usage import Usage
from tests.docs.pages import DOCS, PAGES

ROWS = {name: 300 if name in ("effort", "defaults") else 20_000 for name in BENCHMARKS}
TESTED_APART = ("table", "peers", "gpu", "training", "resources", "steps")
WITHOUT_YARDSTICKS = ("sample of 10 columns in memory", "sample of 100 columns in memory")
TAKE_LONG = dict.fromkeys(
    ("billion", "defaults", "estimator", "import", "scaling", "synthesizer", "threads"), [pytest.mark.exhaustive]
)


@pytest.mark.parametrize(
    "benchmark",
    [pytest.param(name, marks=TAKE_LONG.get(name, [])) for name in BENCHMARKS if name not in TESTED_APART],
)
def test_benchmark_prints_a_table_and_writes_json_lines(
    benchmark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "results" / "lines.jsonl"
    assert main([benchmark, "--rows", str(ROWS[benchmark]), "--json", str(lines)]) == 0
    measured = [json.loads(line) for line in lines.read_text().splitlines()]
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(f"{benchmark}: ")
    for row in measured:
        assert row["benchmark"] == benchmark
        assert row["seconds"] > 0
        assert row["ratios"].keys() == row["yardsticks"].keys()
        assert row["yardsticks"] or row["case"] in WITHOUT_YARDSTICKS
        assert row["machine"]["cores"] >= 1
        assert row["case"].split()[0] in printed


def test_a_billion_rows_on_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The engine is the fit's, every command has a worker for each GPU, and the run counts as another benchmark."""
    commands: list[list[str]] = []
    monkeypatch.setattr(main_module, "cuda_problem", lambda: None)
    monkeypatch.setattr(billion, "timed", lambda command, folder: commands.append(list(command)) or Usage(1.0, 1, 1.0))
    lines = tmp_path / "lines.jsonl"
    assert main(["billion", "--rows", "1e3", "--engine", "cuda", "--gpus", "4", "--json", str(lines)]) == 0
    fit, *others = [command for command in commands if "--memory" in command]
    assert fit[fit.index("--engine") + 1] == "cuda" and not any("--engine" in command for command in others)
    assert all(command[command.index("--workers") + 1] == "4" for command in (fit, *others))
    assert {json.loads(line)["benchmark"] for line in lines.read_text().splitlines()} == {"billion, cuda"}


@pytest.mark.parametrize(
    ("engine", "gpus", "expected"),
    [("auto", None, [(1, False), (2, False)]), ("cuda", 6, [(1, True), (2, True), (4, True), (6, True)])],
)
def test_scaling_on_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str, gpus: int | None, expected: list[tuple[int, bool]]
) -> None:
    started: list[tuple[int, bool]] = []
    settings: list[dict[str, Any]] = []

    def cluster(workers: int, threads: int, gpus: bool) -> Any:
        started.append((workers, gpus))
        return nullcontext(SimpleNamespace(run=lambda function: None))

    def watch(client: Any, workers: int, rows: int, work: partial[None]) -> scaling.Watched:
        settings.append(work.keywords)
        return scaling.Watched(rows, workers, 1.0, 1.0, 1.0)

    monkeypatch.setattr(scaling.gpuvgm, "cluster", cluster)
    monkeypatch.setattr(scaling.gpuvgm, "DaskExecutor", lambda client: "executor")
    monkeypatch.setattr(scaling, "watch", watch)
    runs = list(scaling.runs_of(1000, tmp_path, engine, scaling.numbers_of_workers(engine, gpus)))
    assert started == expected
    assert [run.workers for _, run in runs] == [workers for workers, _ in expected for _ in scaling.STAGES]
    assert all(given == {"executor": "executor", "engine": engine} for given in settings)


@pytest.mark.exhaustive
def test_what_partitions_cost_the_client(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    assert main(["scaling", "--partitions", "12", "--json", str(lines)]) == 0
    fit, iteration = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {fit["benchmark"], iteration["benchmark"]} == {"scaling, 12 partitions"}
    assert fit["details"]["tasks"] > 12 and iteration["details"]["tasks"] == 2  # one a worker
    assert iteration["seconds"] < fit["seconds"]


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["billion", "--engine", "cuda"], 1, "nothing is measured: no GPU"),
        (["scaling", "--engine", "cuda", "--gpus", "2"], 1, "nothing is measured: no GPU"),
        (["scaling", "--gpus", "2"], 2, "--gpus is for --engine cuda"),
        (["fit", "--partitions", "2"], 2, "fit has no --partitions"),
        (["fit", "--engine", "cuda"], 2, "fit has no --engine"),
    ],
)
def test_gpus_that_are_not_there(
    words: list[str], code: int, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main_module, "cuda_problem", lambda: "no GPU")
    try:
        assert main(words) == code
    except SystemExit as end:
        assert end.code == code
    printed = capsys.readouterr()
    assert reason in printed.out + printed.err


def test_both_estimators_do_the_same_work_and_say_what_memory_it_takes() -> None:
    x = inputs.clouds(60_000, 3)
    (row,) = estimator.beside_scikit_learn(
        x, {"n_components": 3, "max_iter": 4, "init_params": "random"}, {"em": {}}, 5.0
    )
    ours, theirs = row.details["sides"]["gpuvgm"], row.details["sides"]["scikit-learn"]
    assert ours["iterations"] == theirs["iterations"] == 4
    assert ours["lower_bound"] == pytest.approx(theirs["lower_bound"], rel=1e-9)
    assert theirs["peak_memory"] > x.nbytes  # the responsibilities alone
    assert row.least == {"scikit-learn": 5.0}
    assert row.row_bytes == x.nbytes / len(x)
    assert "aim 25 %" in row.notes["peak memory above the rows, against scikit-learn"]


def test_outputs_are_timed_on_both_sides() -> None:
    rows = estimator.outputs(inputs.clouds(4_000, 3))
    assert [row.case.split(",")[0] for row in rows] == ["predict_proba", "score_samples"]
    assert all(row.seconds > 0 and row.yardsticks.keys() == {"scikit-learn"} for row in rows)


def test_columns_of_a_search_have_a_bound_from_either_side() -> None:
    columns = inputs.columns(5_000)
    assert len(columns) in (3, 10)
    assert all(np.isfinite(x).all() and x.dtype == np.float64 and len(x) == 5_000 for x in columns.values())
    row = estimator.searched("lognormal", columns["lognormal"])
    assert row.details["bounds"].keys() == {"exact", "best"}
    assert row.details["gain"] == row.details["bounds"]["best"] - row.details["bounds"]["exact"]


def test_a_missed_aim_is_named() -> None:
    row = Measurement("x", 100, 2.0, {"numpy.sum": 1.0, "copy": 4.0}, {"numpy.sum": 0.6})
    assert row.missed() == ["numpy.sum"]
    assert (row.rows_per_second, row.ratio("copy")) == (50.0, 2.0)


def test_functions_take_turns() -> None:
    called: list[str] = []
    median_times({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 3)
    assert called == ["a", "b"] * 3


def test_a_function_takes_the_median_of_the_seconds_of_its_clock() -> None:
    told = iter([0.0, 9.0, 10.0, 12.0, 20.0, 21.0])
    assert median_times({"a": lambda: None}, 3, clock=lambda: next(told)) == {"a": 2.0}


def test_times_are_those_of_the_processor() -> None:
    """Minima on the wall favour short calls where others work too."""
    clocks = {inspect.signature(function).parameters["clock"].default for function in (median_times, seconds_of)}
    assert clocks == {time.process_time}


def test_picture_is_the_same_twice(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (one,), (two,) = (picture.draw(tmp_path / name, ["joint"]) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert b"<svg" in one.read_bytes()


def test_pages_show_all_pictures() -> None:
    shown = set(
        re.findall(r"!\[[^\]]{40,}\]\((?:[./]*|docs/)(\w+)\.svg\)", "".join(page.read_text() for page in PAGES))
    )
    assert shown == {*picture.PICTURES, "peers"}
    assert all((DOCS / f"{name}.svg").stat().st_size < 400_000 for name in picture.PICTURES)
