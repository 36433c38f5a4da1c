"""Signals end a command once, and not while names are made or removed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from gpuvgm import TableTransformer, files as interruptions
from gpuvgm.cli import console
from gpuvgm.files import SIGNALS, HungUp, Signals, Terminated, partial_of
from gpuvgm.io import ParquetSink


@pytest.fixture
def signals(monkeypatch):
    """What receives signals, for this test alone; they are not sent."""
    for name, value in vars(Signals()).items():
        monkeypatch.setattr(SIGNALS, name, value)
    return SIGNALS


def test_a_signal_waits_for_what_must_not_be_disturbed(signals):
    done = []
    with pytest.raises(Terminated), signals.deferred(), signals.deferred():
        signals.receive(signal.SIGTERM, None)
        done.append(1)
    assert done


def test_what_comes_while_a_run_clears_up_changes_nothing(signals, monkeypatch):
    with pytest.raises(HungUp):
        signals.receive(signal.SIGHUP, None)
    signals.receive(signal.SIGINT, None)
    monkeypatch.setattr(interruptions, "PATIENCE", 0.0)
    with pytest.raises(KeyboardInterrupt):
        signals.receive(signal.SIGINT, None)


def test_before_and_after_the_work_a_signal_ends_the_process(signals):
    ended = []
    signals.idle_handler = ended.append
    with signals.working(), pytest.raises(KeyboardInterrupt):
        signals.receive(signal.SIGINT, None)
    signals.last = None
    signals.receive(signal.SIGTERM, None)
    assert [type(problem) for problem in ended] == [Terminated]


def test_a_signal_while_a_partial_file_is_made_leaves_none(signals, tmp_path, monkeypatch):
    opened = os.open

    def interrupted(*arguments):
        signals.receive(signal.SIGINT, None)
        return opened(*arguments)

    monkeypatch.setattr("gpuvgm.files.os.open", interrupted)
    with pytest.raises(KeyboardInterrupt), partial_of(tmp_path / "x"):
        pytest.fail("the body ran")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("row_group_rows", "kept"), [(100, []), (None, ["_manifest.json", "part-00000.parquet"])])
def test_a_signal_while_a_thread_starts_to_write_is_no_reason_to_leave_it(
    signals, tmp_path, monkeypatch, row_group_rows, kept
):
    """Python's pool of threads does not know the thread yet, which encodes a row group or ends a file."""
    started, written = threading.Thread.start, ParquetSink._encode_group

    def interrupted(thread):
        started(thread)
        if thread.name.startswith("gpuvgm-write"):
            signals.receive(signal.SIGINT, None)

    def slowly(*arguments):
        time.sleep(0.3)
        return written(*arguments)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    monkeypatch.setattr(ParquetSink, "_encode_group", slowly)
    table = {"x": np.arange(1_000.0)}
    fitted = TableTransformer(effort="research", max_iter=3, threads=2).fit(table)
    with pytest.raises(KeyboardInterrupt):
        fitted.transform(table, out=tmp_path / "e", part_rows=500, row_group_rows=row_group_rows)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("gpuvgm-write")]
    assert os.listdir(tmp_path) == [".e.unfinished"] * bool(kept)
    assert sorted(path.name for path in tmp_path.glob(".e.unfinished/*")) == kept


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), Terminated(), HungUp()])
def test_signals_are_answered_while_pyarrow_is_imported(monkeypatch, problem):
    monkeypatch.setitem(sys.modules, "gpuvgm.shortage", None)  # an import of it fails
    assert console.exit_code(problem) in (129, 130, 143)
    assert console.explain(problem).endswith("no partial files are left")
