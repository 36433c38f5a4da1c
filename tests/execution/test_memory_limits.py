"""A limit of memory: how sizes are read, what blocks and threads come of it, and that results do not depend on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer, generate
from gpuvgm.errors import InputError
from gpuvgm.execution.local import ArrowThreads
from gpuvgm.execution.memory import MIB, Need, limits_of, parse_memory
from gpuvgm.io import ParquetSink, row_bytes
from gpuvgm.table import numeric_fit

SETTINGS = {"effort": "research", "max_iter": 10}
WIDE = pa.schema([(f"x{i}", pa.float64()) for i in range(50)])


@pytest.mark.parametrize(
    "given, size",
    [
        ("512MB", 512_000_000),
        ("1.5GiB", 3 << 29),
        ("1.5g", 3 << 29),
        ("2 GiB", 2 << 30),
        ("1e9", 10**9),
        ("64_000_000", 64_000_000),
        (1 << 30, 1 << 30),
    ],
)
def test_sizes_as_people_write_them(given: int | str, size: int) -> None:
    assert parse_memory(given) == size


@pytest.mark.parametrize("given", ["", "much", "1 XB", "-1GiB", "GiB", 0, -5, True, 1.5, "1e40", None])
def test_nonsense_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="memory"):
        parse_memory(given)


def test_more_memory_gives_longer_blocks_then_more_threads_never_more_than_the_default() -> None:
    need = Need.fit(WIDE)
    found = [limits_of(size * MIB, 4, need) for size in (800, 1000, 2000, 4000, 100_000)]
    assert [one.block_rows % 4096 for one in found] == [0] * 5
    assert sorted((one.threads, one.block_rows) for one in found) == [(one.threads, one.block_rows) for one in found]
    assert found[-1].block_rows == 1 << 20 and found[-1].threads == 4
    for size, one in zip((800, 1000, 2000, 4000), found, strict=False):
        assert need.peak(one.threads, one.block_rows) + one.room == size * MIB


def test_threads_become_fewer_where_short_blocks_do_not_suffice() -> None:
    need = Need.fit(WIDE)
    assert limits_of(need.peak(3, 4096), 8, need).threads == 3
    assert limits_of(need.peak(1, 4096), 8, need).block_rows == 4096


def test_each_of_several_threads_has_a_row_group_to_encode() -> None:
    to_file, to_memory = (Need.transform(WIDE, WIDE, to_file=to_file) for to_file in (True, False))
    group = ParquetSink.rows_of_group(WIDE) * row_bytes(WIDE)
    more = [to_file.peak(threads, 4096) - to_memory.peak(threads, 4096) for threads in (1, 2, 3)]
    assert 3 * group < more[0] < 4 * group
    assert more[0] + 5 * group < more[1] < more[0] + 7 * group
    assert more[1] + 2.5 * group < more[2]
    short = Need.transform(WIDE, WIDE, to_file=True, group_rows=1000)
    assert short.peak(1, 4096) < to_file.peak(1, 4096) - 2 * group


def test_too_little_memory_is_refused_with_the_least(tmp_path: Path) -> None:
    generate(tmp_path / "a.parquet", 5_000)
    with pytest.raises(InputError, match="give at least [0-9]+ MiB") as caught:
        TableTransformer(memory="10MiB", **SETTINGS).fit(tmp_path / "a.parquet")
    least = str(caught.value).split("at least ")[1].split(",")[0]
    TableTransformer(memory=least, **SETTINGS).fit(tmp_path / "a.parquet")


def test_block_rows_win_over_memory() -> None:
    need = Need.fit(WIDE)
    assert limits_of(MIB, 4, need, 1 << 18).block_rows == 1 << 18
    assert limits_of(MIB, 4, need, 1 << 18).threads == 1


def outputs(folder: Path, **settings: object) -> tuple[object, ...]:
    """Model and files of a run with these limits."""
    fitted = TableTransformer(**SETTINGS, **settings).fit(folder / "in.parquet")
    encoded, back = folder / "e.parquet", folder / "b.parquet"
    fitted.transform(folder / "in.parquet", out=encoded)
    fitted.inverse_transform(encoded, out=back)
    batches = np.concatenate(list(fitted.iter_batches(folder / "in.parquet", 1000)))
    report = fitted.evaluate(folder / "in.parquet").to_dict()
    column = fitted.columns_["Amount"]
    return column.means.tobytes(), encoded.read_bytes(), back.read_bytes(), batches.tobytes(), report


def test_results_do_not_depend_on_memory_or_threads(tmp_path: Path) -> None:
    generate(tmp_path / "in.parquet", 60_000)
    plain = outputs(tmp_path)
    for settings in ({"memory": "300MiB", "threads": 1}, {"memory": "1GiB", "threads": 3}):
        assert outputs(tmp_path, **settings) == plain


@pytest.mark.parametrize("effort", ["best", "research"])
def test_exact_fits_over_blocks_have_the_bits_of_those_in_memory(
    effort: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x = np.random.default_rng(0).lognormal(0, 1, 50_000)
    x[::7] = np.nan
    pq.write_table(pa.table({"x": x}), tmp_path / "x.parquet", row_group_size=9_999)

    def fitted(**settings: object) -> TableTransformer:
        transformer = TableTransformer(algorithm="exact", effort=effort, max_iter=10, **settings)
        return transformer.fit(tmp_path / "x.parquet")

    def bits(transformer: TableTransformer) -> list[bytes]:
        column = transformer.columns_["x"]
        return [part.tobytes() for part in (column.means, column.stds, column.weights, column.code_counts)]

    plain = fitted()
    monkeypatch.setattr(numeric_fit, "EXACT_BYTES", 1 << 30)
    short, long = fitted(memory="300MiB", threads=1), fitted(memory="1GiB", block_rows=20_480)
    assert bits(short) == bits(long)
    if effort == "best":
        assert bits(plain) == bits(short)
        return
    assert "k-means runs on a sample" in caplog.text


def test_a_summary_that_is_given_up_has_the_same_bits_over_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path / "a.parquet", 30_000)
    monkeypatch.setattr(numeric_fit.ColumnFit, "is_good", property(lambda _: False))
    plain = TableTransformer(**SETTINGS).fit(tmp_path / "a.parquet")
    monkeypatch.setattr(numeric_fit, "EXACT_BYTES", 1 << 30)
    short = TableTransformer(memory="300MiB", threads=1, **SETTINGS).fit(tmp_path / "a.parquet")
    assert plain.columns_["Amount"].fit.algorithm == short.columns_["Amount"].fit.algorithm == "exact"
    assert np.array_equal(plain.columns_["Amount"].means, short.columns_["Amount"].means)


def test_arrow_keeps_the_smallest_limit_until_all_have_ended() -> None:
    bounded, before = ArrowThreads(), (pa.cpu_count(), pa.io_thread_count())
    one, other = bounded(1), bounded(2)
    try:
        other.__enter__()
        one.__enter__()
        assert (pa.cpu_count(), pa.io_thread_count()) == (1, 1)
        other.__exit__(None, None, None)
        assert pa.cpu_count() == 1
    finally:
        one.__exit__(None, None, None)
    assert (pa.cpu_count(), pa.io_thread_count()) == before
    with bounded(None):
        assert (pa.cpu_count(), pa.io_thread_count()) == before


def test_arrow_is_bounded_during_a_run_only(tmp_path: Path) -> None:
    generate(tmp_path / "a.parquet", 20_000)
    seen = []
    transformer = TableTransformer(threads=1, progress=lambda *_: seen.append(pa.cpu_count()), **SETTINGS)
    before = pa.cpu_count()
    pa.set_cpu_count(5)
    try:
        transformer.fit(tmp_path / "a.parquet")
        assert set(seen) == {1} and pa.cpu_count() == 5
    finally:
        pa.set_cpu_count(before)


THREADS = """
import os, sys, threading, time
import gpuvgm, sklearn.cluster, scipy.special, gpuvgm.table.transformer
gpuvgm.TableTransformer(threads=1, effort="research", max_iter=2, sample_rows=100).fit(sys.argv[1])  # loads the rest
before = len(os.listdir("/proc/self/task"))
most, ended = [0], threading.Event()
def count():
    while not ended.is_set():
        most[0] = max(most[0], len(os.listdir("/proc/self/task")))
        time.sleep(0.0005)
watch = threading.Thread(target=count); watch.start()
t = gpuvgm.TableTransformer(threads=int(sys.argv[2]), effort="research", max_iter=3, block_rows=8192).fit(sys.argv[1])
t.transform(sys.argv[1], out=sys.argv[1] + ".out"); t.evaluate(sys.argv[1])
ended.set(); watch.join()
print(most[0] - before - 1)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_bound_those_of_a_process(threads: int, tmp_path: Path) -> None:
    generate(tmp_path / "a.parquet", 200_000)
    command = [sys.executable, "-c", THREADS, str(tmp_path / "a.parquet"), str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    more = int(done.stdout)
    assert more <= threads + 1 + 2 * threads  # workers, the reader, and Arrow's two pools


SCRIPT = """
import sys
import gpuvgm
stage, file, memory = sys.argv[1:4]
if stage == "fit":
    gpuvgm.TableTransformer(memory=memory, effort="research", max_iter=3).fit(file).save(file + ".gpuvgm")
else:
    t = gpuvgm.load(file + ".gpuvgm").set_params(memory=memory)
    if stage == "transform":
        t.transform(file, out=file + ".e")
    elif stage == "inverse":
        t.inverse_transform(file + ".e", out=file + ".b")
    else:
        t.evaluate(file)
with open("/proc/self/status") as status:  # not ru_maxrss, which starts at what the parent process held
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024)
"""


@pytest.mark.slow
def test_a_wide_file_keeps_to_the_limit(tmp_path: Path, random: np.random.Generator) -> None:
    table = pa.table({f"x{i}": random.lognormal(0, 1, 300_000) for i in range(30)})
    pq.write_table(pa.concat_tables([table] * 3), tmp_path / "w.parquet", row_group_size=100_000)
    for stage in ("fit", "transform", "inverse", "evaluate"):
        command = [sys.executable, "-c", SCRIPT, stage, str(tmp_path / "w.parquet"), "800MiB"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert float(done.stdout) < 800, stage
