"""What the log, progress and reports hear of a run: stages, and the parts that they are made of."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor, RunSettings, any_source
from gpuvgm.execution.stages import MOST_PARTS, PartTime, Stage, Stages
from gpuvgm.io import Source

ROWS = 12_288


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two files of Parquet, of which the second one is twice as long."""
    folder = tmp_path_factory.mktemp("stages")
    values = np.random.default_rng(0).lognormal(size=ROWS)
    for name, rows in [("a", slice(0, 4096)), ("b", slice(4096, ROWS))]:
        pq.write_table(pa.table({"x": values[rows], "n": np.arange(ROWS)[rows] % 5}), folder / f"{name}.parquet")
    return folder


def told(caplog, event=None):
    records = [record for record in caplog.records if hasattr(record, "stage")]
    return [record for record in records if event in (None, record.event)]


def test_a_stage_is_told_when_it_begins_and_when_it_ends(folder, caplog):
    with caplog.at_level(logging.INFO, "gpuvgm"):
        gpuvgm.TableTransformer(threads=2, memory="1GiB").fit(folder)
    begin, end, *_ = told(caplog)
    assert (begin.event, begin.stage, begin.rows, begin.columns, begin.memory) == ("begin", "fit", ROWS, 2, 2**30)
    assert (begin.source, begin.engine, begin.threads) == (str(folder), "native", 2)
    assert begin.getMessage() == (
        f"stage fit begins: {folder}, 12,288 rows, 2 columns, engine native, 2 threads, memory 1 GiB"
    )
    assert (end.event, end.stage, end.rows) == ("end", "fit", ROWS)
    assert end.rows_per_second == pytest.approx(ROWS / end.seconds)
    speed = f"{end.rows_per_second:,.0f} rows a second"
    assert end.getMessage() == f"stage fit: 12,288 rows in {end.seconds:.2f} s, {speed}"
    assert not told(caplog, "part")


def test_parts_are_told_at_the_level_of_details(folder, caplog):
    with caplog.at_level(logging.DEBUG, "gpuvgm"):
        gpuvgm.TableTransformer(threads=2, block_rows=4096).fit(folder)
    parts = [record for record in told(caplog, "part") if record.stage == "fit"]
    assert [(record.part, record.first_row, record.rows) for record in parts] == [
        ("a.parquet", 0, 4096),
        ("b.parquet", 4096, 4096),
        ("b.parquet", 8192, 4096),
    ]
    assert all(record.seconds > 0 and record.levelno == logging.DEBUG for record in parts)
    assert parts[1].getMessage() == f"stage fit: b.parquet, rows 4096 to 8191 in {parts[1].seconds:.3f} s"


def test_a_sample_is_a_stage_of_its_own(folder, caplog):
    with caplog.at_level(logging.INFO, "gpuvgm"):
        gpuvgm.TableTransformer(sample_rows=1000).fit(folder)
    sample, fit, _ = told(caplog, "end")
    assert (sample.stage, sample.rows, fit.stage, fit.rows) == ("take a sample", 1000, "fit", 1000)


def test_samples_of_counts_are_a_stage(caplog):
    fitted = gpuvgm.TableSynthesizer().fit({"x": np.arange(500) % 9})
    with caplog.at_level(logging.INFO, "gpuvgm"):
        fitted.sample(700)
    begin, end = told(caplog)
    assert (begin.event, begin.stage, begin.rows) == ("begin", "sample", 700)
    assert (end.event, end.stage, end.rows) == ("end", "sample", 700)


def test_a_stage_that_fails_is_told(caplog):
    with caplog.at_level(logging.INFO, "gpuvgm"), pytest.raises(InputError):
        gpuvgm.TableTransformer().fit({"x": []})
    begin, failure = told(caplog)
    assert (begin.event, failure.event, failure.stage) == ("begin", "failure", "fit")
    assert failure.getMessage().startswith("stage fit failed: 0 rows in ")


def test_nobody_is_told_who_has_not_asked(folder, caplog, capfd):
    with caplog.at_level(logging.WARNING, "gpuvgm"):
        gpuvgm.TableTransformer().fit(folder)
        with RunSettings("native", None, None, None, None).run("fit", any_source(folder), None) as run:
            assert run.executor.progress is None  # workers are not asked for single partitions
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_the_executors_own_progress_is_heard_beside_the_log(folder, caplog):
    heard = []
    with caplog.at_level(logging.INFO, "gpuvgm"):
        gpuvgm.TableTransformer(executor=LocalExecutor(2, heard.append)).fit(folder)
    assert heard[-1] == ROWS == told(caplog, "end")[0].rows


def test_parts_are_added_up_where_there_are_many():
    stage = Stage("fit", 0, source=Rows())
    for first in range(0, Rows.rows, 100):
        stage.add(PartTime(first, 100, 0.5))
    parts = stage.parts_done()
    assert len(parts) == MOST_PARTS == 1024
    assert sum(part["seconds"] for part in parts) == Rows.rows / 100 * 0.5
    assert [part["first_row"] for part in parts[1:]] == [part["first_row"] + part["rows"] for part in parts[:-1]]
    assert {part["part"] for part in parts} == {"rows"}


def test_rows_that_are_read_again_add_their_seconds():
    stage = Stage("fit", 0, source=Rows())
    for seconds, worker in [(1.0, "one"), (2.0, "two")]:
        stage.add(PartTime(0, 100, seconds, worker))
    assert stage.parts_done() == [{"part": "rows", "first_row": 0, "rows": 100, "seconds": 3.0, "worker": "two"}]


def test_rows_that_a_search_reads_again_are_no_parts():
    stages = Stages()
    with stages.stage("fit", Rows(), {}) as stage:
        stages.take(PartTime(0, 100, 1.0))
        stages("search modes", 0, 2)
        stages.take(PartTime(0, 100, 1.0))
    assert [part["seconds"] for part in stage.parts_done()] == [1.0]


class Rows(Source):
    """A source that is not read."""

    name, rows, schema = "rows", 409_600, pa.schema([])
