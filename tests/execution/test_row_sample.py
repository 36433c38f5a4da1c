"""Samples for fits: runs of rows where these differ, single rows where neighbours are alike, of any source."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from gpuvgm.execution import RowSample, Sampled, row_sample
from gpuvgm.execution.row_sample import MOST_EFFECT, design_effect
from gpuvgm.io import FileSource, open_source

ROWS, COUNT = 400_000, 10_000
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def ordered() -> pa.Table:
    """A sorted column of amounts: rows are longer the later they come in text."""
    return pa.table({"x": np.sort(np.round(RANDOM.lognormal(3, 1.2, ROWS), 2))})


@pytest.fixture(scope="module")
def folder(ordered: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ordered")
    pq.write_table(ordered, target / "t.parquet", row_group_size=50_000)
    csv.write_csv(ordered, target / "t.csv")
    (target / "t.csv.gz").write_bytes(gzip.compress((target / "t.csv").read_bytes(), 1))
    return target


def ks(sample: np.ndarray, rows: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two sets of rows."""
    points = np.unique(rows)
    first, second = (np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (sample, rows))
    return float(np.abs(first - second).max())


def taken(source: Any, names: list[str], count: int = COUNT, seed: int = 0, *, stratified: bool = False) -> pa.Table:
    return RowSample(count, stratified=stratified).take(open_source(source), names, seed).table


SOURCES: dict[str, Callable[[Path, pa.Table], Any]] = {
    "Parquet": lambda folder, _: folder / "t.parquet",
    "CSV": lambda folder, _: folder / "t.csv",
    "CSV, compressed": lambda folder, _: folder / "t.csv.gz",
    "iterator": lambda _, table: iter(table.to_batches(max_chunksize=30_001)),
    "table": lambda _, table: table,
}


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("kind", SOURCES)
def test_samples_of_sorted_rows_are_like_all_rows(
    folder: Path, ordered: pa.Table, kind: str, stratified: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in (0, 1):
        sample = taken(SOURCES[kind](folder, ordered), ["x"], seed=seed, stratified=stratified)
        assert sample.num_rows == COUNT
        assert ks(sample["x"].to_numpy(), ordered["x"].to_numpy()) <= 0.014
    assert not caplog.text


def test_rows_in_random_order_are_sampled_in_runs(tmp_path: Path) -> None:
    table = pa.table({"x": RANDOM.lognormal(0, 1, 100_000), "word": RANDOM.choice(["a", "b", None], 100_000)})
    pq.write_table(table, tmp_path / "t.parquet")
    runs = Sampled.runs(100_000, 5, 3_000)
    expected = pa.concat_tables(table.slice(start, length) for start, length in runs)
    assert taken(tmp_path / "t.parquet", ["x", "word"], 3_000, 5).equals(expected)


@pytest.mark.parametrize("name", ["x", "word", "day"])
def test_one_column_whose_neighbours_are_alike_is_enough(tmp_path: Path, name: str) -> None:
    """Such as text that a table is sorted by, or a time of day that goes up and down with the rows."""
    day = np.tile(np.arange(500), 200) + RANDOM.random(100_000)
    columns = {"x": np.sort(RANDOM.random(100_000)), "word": np.sort(RANDOM.choice(["a", "b", "c"], 100_000))}
    table = pa.table({"random": RANDOM.random(100_000), name: (columns | {"day": day})[name], "row": range(100_000)})
    pq.write_table(table, tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    sample = RowSample(2_000, stratified=False).take(source, ["random", name], 0)
    assert sample.places is not None and np.diff(sample.places).min() >= 1
    assert np.array_equal(sample.places * 2_000 // 100_000, np.arange(2_000))  # one of each equal part
    assert sample.table.equals(table.select(["random", name]).take(pa.array(sample.places)))
    assert sample.locate(7).endswith(f"t.parquet, row {sample.places[7] + 1}")


def test_the_design_effect_is_one_for_random_rows_and_the_length_of_runs_for_equal_ones() -> None:
    runs = [(100 * number, 50) for number in range(40)]

    def effect(values: Any) -> float:
        return design_effect(pa.chunked_array([pa.array(values)]), runs)

    effects = [effect(RANDOM.lognormal(0, 2, 2_000)) for _ in range(200)]
    assert 0.95 < np.mean(effects) < 1.05 and max(effects) < MOST_EFFECT
    assert effect(np.repeat(RANDOM.random(40), 50)) == pytest.approx(50)
    assert effect(np.arange(2_000)) == pytest.approx(50, rel=0.1)
    assert effect(np.repeat([f"day {number}" for number in range(40)], 50)) == pytest.approx(50)
    assert effect(np.repeat([None, 1.0], 1_000)) > 10  # missing values are as alike as others
    assert effect(np.tile(np.arange(50), 40)) < 0.1  # runs that are all alike
    assert effect(np.ones(2_000)) == effect([[1]] * 2_000) == 1.0
    assert design_effect(pa.chunked_array([pa.array([1.0, 2.0])]), [(0, 1), (9, 1)]) == 1.0


def test_an_effect_is_that_of_an_analysis_of_variance() -> None:
    """(B - W) / (B + (m - 1) W) of the mean squares, in Kish's 1 + (m - 1) ρ."""
    values = np.argsort(np.argsort(RANDOM.normal(0, 1, (30, 20)) + RANDOM.normal(0, 0.5, (30, 1)), axis=None)) + 1
    groups = values.reshape(30, 20).astype(float)
    between, within = 20 * groups.mean(axis=1).var(ddof=1), groups.var(axis=1, ddof=1).mean()
    correlation = (between - within) / (between + 19 * within)
    column = pa.chunked_array([pa.array(groups.ravel())])
    assert design_effect(column, [(50 * i, 20) for i in range(30)]) == pytest.approx(1 + 19 * correlation)


def test_tables_too_long_to_be_read_for_a_sample_have_short_runs_and_a_warning(
    folder: Path, ordered: pa.Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(row_sample, "READ_THROUGH", ROWS - 1)
    for stratified in (False, True):
        caplog.clear()
        sample = RowSample(COUNT, stratified=stratified).take(open_source(folder / "t.parquet"), ["x"], 0)
        assert ks(sample.table["x"].to_numpy(), ordered["x"].to_numpy()) <= 0.002
        assert f'neighbouring rows are alike in "x", and {ROWS} rows are too many' in caplog.text
        assert "it has 2000 runs" in caplog.text  # of 5 rows or 20, which are all of one length
    caplog.clear()
    assert ks(taken(ordered, ["x"])["x"].to_numpy(), ordered["x"].to_numpy()) <= 0.001  # they are in memory
    assert not caplog.text


# -- rows whose number is unknown


def test_a_reservoir_does_not_depend_on_batches_and_every_row_has_the_same_chance() -> None:
    table = pa.table({"row": np.arange(20_000)})
    samples = [
        taken(iter(table.to_batches(max_chunksize=length)), ["row"], 500, 3)["row"].to_numpy() for length in (7, 20_000)
    ]
    assert np.array_equal(*samples) and np.all(np.diff(samples[0]) > 0)
    chosen = [taken(iter(table.to_batches()), ["row"], 500, seed)["row"].to_numpy() for seed in range(40)]
    parts = np.bincount(np.concatenate(chosen) // 2_000, minlength=10)
    assert np.abs(parts - 2_000).max() < 5 * np.sqrt(2_000 * 0.9)


def test_a_reservoir_of_dictionaries_that_differ_and_of_rows_that_are_fewer() -> None:
    parts = [
        pa.table({"word": pa.array([word] * 70_000).dictionary_encode(), "n": range(start, start + 70_000)})
        for start, word in ((0, "a"), (70_000, "b"))
    ]
    sample = RowSample(1_000, stratified=False).take(open_source(iter(parts)), ["word", "n"], 0)
    words = sample.table["word"].to_pylist()
    assert words == ["a" if n < 70_000 else "b" for n in sample.table["n"].to_pylist()] and {*words} == {"a", "b"}
    assert sample.record == {"rows": 1_000, "of": 140_000, "seed": 0, "stratified": False}
    few = RowSample(1_000, stratified=False).take(open_source(iter([parts[0].slice(0, 9)])), ["n"], 0)
    assert few.table["n"].to_pylist() == list(range(9)) and few.record["of"] == 9


def text_of(rows: int, line: Callable[[int], str], header: str = "n,word") -> str:
    return header + "\n" + "".join(line(row) for row in range(rows))


def sample_of_text(folder: Path, text: str, count: int = 500, name: str = "t.csv") -> pa.Table:
    (folder / name).write_bytes(text.encode())
    return taken(folder / name, ["n", "word"], count)


LINES: dict[str, Callable[[int], str]] = {
    "plain": lambda row: f"{row},w{row}\n",
    "carriage returns": lambda row: f"{row},w{row}\r\n",
    "quotes": lambda row: f'{row},"w{row}"\n',
    "commas in quotes": lambda row: f'"{row}","w{row}"\n' + "\n" * (row % 5 == 0),
    "lines of any length": lambda row: f"{row},w{row}{'z' * (5_000 * (row % 97 == 0))}\n",
}


@pytest.mark.parametrize("kind", LINES)
def test_lines_are_reached_by_their_place(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*_: object) -> None:
        raise AssertionError("the file is read through")

    monkeypatch.setattr(FileSource, "blocks", unread)
    sample = sample_of_text(tmp_path, "\ufeff" + text_of(60_000, LINES[kind]).rstrip())
    numbers = sample["n"].to_numpy()
    assert len(numbers) == 500 and np.all(np.diff(numbers) > 0)
    assert [word.rstrip("z") for word in sample["word"].to_pylist()] == [f"w{number}" for number in numbers]
    assert ks(numbers, np.arange(60_000)) < 0.06


@pytest.mark.parametrize(
    "line",
    [
        lambda row: f"{row},w{row}\r",
        lambda row: f'{row},"w{row}\n{row},{row}\n{row},"\n',
        lambda row: f'{row},"w{row}\nw\nw"\n',
        lambda row: f'{row},w{row} 3"\n',
    ],
)
def test_text_whose_rows_have_no_certain_ends_is_read_through(
    tmp_path: Path, line: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    blocks = FileSource.blocks
    monkeypatch.setattr(FileSource, "blocks", lambda *given: read.append(given) or blocks(*given))
    sample = sample_of_text(tmp_path, text_of(30_000, line))
    numbers = sample["n"].to_numpy()
    assert read and len(numbers) == 500 and ks(numbers, np.arange(30_000)) < 0.09
    assert [word.split()[0].rstrip("\"',0123456789") for word in sample["word"].to_pylist()] == ["w"] * 500


def test_lines_of_several_files_and_of_their_folders(tmp_path: Path) -> None:
    for part in range(4):
        (tmp_path / f"year={2020 + part}").mkdir()
        text = text_of(10_000 * (part + 1), lambda row: f"{row};w{row}\n", "n;word")
        (tmp_path / f"year={2020 + part}" / "t.csv").write_text(text)
    sample = taken(tmp_path, ["word", "year", "n"], 1_000)
    assert sample.schema.names == ["word", "year", "n"] and sample.num_rows == 1_000
    assert sample["word"].to_pylist() == [f"w{number}" for number in sample["n"].to_pylist()]
    years = np.bincount(sample["year"].to_numpy().astype(int) - 2020)
    assert np.abs(years - [100, 200, 300, 400]).max() < 40


def test_rows_are_met_as_often_however_long_their_lines_are(tmp_path: Path) -> None:
    text = text_of(60_000, lambda row: f"{row},w{'z' * (200 if row < 20_000 else 3)}\n")
    numbers = sample_of_text(tmp_path, text, 2_000)["n"].to_numpy()
    assert abs(np.mean(numbers < 20_000) - 1 / 3) < 0.03
