"""Folders of parts: the same bytes however they were made, and nothing lost or doubled when the making is cut short."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import threading
from itertools import count

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.datasets import mixed_table_rows
from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io import Manifest, ParquetSink
from tests.cli.running import invoke, run, start
from tests.table.recovery.conftest import bodies, cut_short, damage, kill_after, written_by

ROWS, PART_ROWS = 50_000, 8192
COLUMNS = ["amount", "balance", "city"]
PARTS = -(-ROWS // PART_ROWS)
BEGINS_AGAIN = "--resume: one file is written as a whole; it begins again"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    table = pa.Table.from_batches([mixed_table_rows(0, ROWS, 3)]).select(COLUMNS)
    (folder / "data").mkdir()
    for number, (low, high) in enumerate(((0, 20_001), (20_001, 20_001), (20_001, 30_000), (30_000, ROWS))):
        pq.write_table(table.slice(low, high - low), folder / "data" / f"{number}.parquet", row_group_size=3000)
    transformer = gpuvgm.TableTransformer(effort="research").fit(folder / "data")
    transformer.save(folder / "model.gpuvgm")
    transformer.transform(folder / "data", out=folder / "whole", part_rows=PART_ROWS)
    return folder


@pytest.fixture
def transformer(place):
    return gpuvgm.load(place / "model.gpuvgm")


def test_parts_hold_the_rows_of_one_file(place, transformer):
    transformer.transform(place / "data", out=place / "one.parquet")
    assert pq.read_table(place / "whole").equals(pq.read_table(place / "one.parquet"))
    assert [pq.read_metadata(path).num_rows for path in sorted((place / "whole").glob("*.parquet"))] == [
        *[PART_ROWS] * (PARTS - 1),
        ROWS - PART_ROWS * (PARTS - 1),
    ]
    manifest = Manifest.read(place / "whole" / "_manifest.json")
    assert manifest.complete and len(manifest.done) == PARTS
    assert not (place / ".whole.unfinished").exists()


@pytest.mark.parametrize("settings", [{"threads": 1}, {"threads": 3, "block_rows": 4096}, {"block_rows": 30_000}])
def test_threads_and_blocks_change_nothing(place, transformer, tmp_path, settings):
    run = transformer.set_params(**settings).transform(place / "data", out=tmp_path / "e", part_rows=PART_ROWS)
    assert bodies(tmp_path / "e") == bodies(place / "whole")
    assert (run.rows, run.files) == (ROWS, PARTS)
    assert run.bytes == sum(size for size, _ in bodies(tmp_path / "e").values())


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_files_are_ended_while_others_are_begun(place, transformer, tmp_path, monkeypatch, threads):
    """Files of one row group each: all but one of the threads end files at a time."""
    at_once = max(1, min(threads - 1, 3))
    end, ending, together = ParquetSink._finish, count(), threading.Barrier(at_once)

    def waiting(sink):
        if next(ending) < at_once:
            together.wait(60)
        end(sink)

    monkeypatch.setattr(ParquetSink, "_finish", waiting)
    transformer.set_params(threads=threads, block_rows=4096)
    transformer.transform(place / "data", out=tmp_path / "e", part_rows=PART_ROWS)
    assert bodies(tmp_path / "e") == bodies(place / "whole")


def test_row_groups_of_parts_are_those_of_any_number_of_threads(place, transformer, tmp_path):
    for threads in (1, 4):
        transformer.set_params(threads=threads, block_rows=4096).transform(
            place / "data", out=tmp_path / f"e{threads}", part_rows=PART_ROWS, row_group_rows=1000
        )
    assert bodies(tmp_path / "e1") == bodies(tmp_path / "e4")
    assert pq.read_metadata(tmp_path / "e1" / "part-00000.parquet").num_row_groups == 9
    assert pq.read_table(tmp_path / "e4").equals(pq.read_table(place / "whole"))


@pytest.mark.parametrize("step", ["write", "_finish"])
def test_a_part_that_lacks_rows_is_never_complete(place, transformer, tmp_path, monkeypatch, step):
    """The second part cannot be written, or ended; the first stays."""
    carry_on = getattr(ParquetSink, step)

    def failing(sink, *batch):
        if sink.path.name == "part-00001.parquet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(sink.path))
        carry_on(sink, *batch)

    transformer.set_params(threads=8, block_rows=4096)
    with monkeypatch.context() as patched:
        patched.setattr(ParquetSink, step, failing)
        with pytest.raises(OSError, match="No space left"):
            transformer.transform(place / "data", out=tmp_path / "e", part_rows=PART_ROWS)
    assert sorted(os.listdir(tmp_path / ".e.unfinished")) == ["_manifest.json", *read_done(tmp_path)]
    assert "part-00000.parquet" in read_done(tmp_path)
    assert "part-00001.parquet" not in read_done(tmp_path)
    resume(transformer, place, tmp_path / ".e.unfinished")
    assert bodies(tmp_path / "e") == bodies(place / "whole")


def read_done(folder):
    """Names of the complete files of an unfinished run."""
    return sorted(Manifest.read(folder / ".e.unfinished" / "_manifest.json").done)


def test_sources_of_every_form_give_the_same_parts(place, transformer, tmp_path):
    table = pq.read_table(place / "data")
    pa.csv.write_csv(table.combine_chunks(), tmp_path / "t.csv")  # Arrow 22 writes rows twice beside an empty part
    for name, source in {
        "table": table,
        "stream": iter(table.to_batches(777)),
        "csv": tmp_path / "t.csv",
    }.items():
        transformer.transform(source, out=tmp_path / name, part_rows=PART_ROWS)
        assert bodies(tmp_path / name) == bodies(place / "whole"), name


def test_workers_write_the_same_parts(place, transformer, tmp_path):
    with gpuvgm.cluster(workers=2, threads=1, gpus=False) as client:
        spread = transformer.set_params(executor=gpuvgm.DaskExecutor(client))
        spread.transform(place / "data", out=tmp_path / "e", part_rows=PART_ROWS)
        spread.inverse_transform(tmp_path / "e", out=tmp_path / "b", part_rows=PART_ROWS)
    assert bodies(tmp_path / "e") == bodies(place / "whole")
    back = transformer.set_params(executor=None).inverse_transform(place / "whole")
    assert pq.read_table(tmp_path / "b").equals(back)


def arguments(place, out, *more):
    return ["transform", place / "data", out, "--model", place / "model.gpuvgm", "--part-rows", "1024", *more]


@pytest.mark.parametrize("parts", [pytest.param(1, marks=pytest.mark.exhaustive), 20])
def test_a_killed_process_is_resumed_to_the_same_bytes(place, tmp_path, parts):
    run(*arguments(place, tmp_path / "whole"))
    process = start(*arguments(place, tmp_path / "cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    manifest = tmp_path / ".cut.unfinished" / "_manifest.json"
    kill_after(process, manifest, parts)
    assert not (tmp_path / "cut").exists(), "killed before the end"
    kept = {path.name: path.stat().st_mtime_ns for path in manifest.parent.glob("*.parquet")}
    done = set(Manifest.read(manifest).done)
    assert len(done) >= parts
    run(*arguments(place, tmp_path / "cut", "--resume"))
    assert bodies(tmp_path / "cut") == bodies(tmp_path / "whole")
    assert all((tmp_path / "cut" / name).stat().st_mtime_ns == kept[name] for name in done)
    assert not list(tmp_path.glob(".*"))


def full():
    """What a full disk raises."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "e")


@pytest.fixture
def cut(place, transformer, tmp_path):
    """A folder of which three parts were written."""
    cut_short(transformer, place / "data", tmp_path / "e", part_rows=PART_ROWS, after=3, problem=full())
    assert not (tmp_path / "e").exists()
    assert len(Manifest.read(tmp_path / ".e.unfinished" / "_manifest.json").done) == 3
    return tmp_path / ".e.unfinished"


def resume(transformer, place, cut, **options):
    return transformer.transform(
        place / "data", **{"out": cut.with_name("e"), "part_rows": PART_ROWS, "resume": True} | options
    )


def test_complete_files_are_not_forgotten(place, transformer, cut):
    """Neither by the same run again, nor by another one."""
    before = {path.name: path.read_bytes() for path in cut.iterdir()}
    left = f"{cut.parent}/e: a run that was cut short left 3 complete files in {cut}"
    anew = "remove that folder to begin again"
    for options, told in (
        ({}, f"{left}, of {PARTS}: go on with resume=True, or {anew}"),
        ({"seed": 5}, f"{left}: the run to resume had seed 0, this one has 5; run as before, or {anew}"),
        (
            {"seed": 5, "resume": True},
            f"{left}: the run to resume had seed 0, this one has 5; run as before, or {anew}",
        ),
    ):
        with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
            resume(transformer, place, cut, **{"resume": False} | options)
        assert {path.name: path.read_bytes() for path in cut.iterdir()} == before
    said = invoke(*arguments(place, cut.with_name("e")), code=2).stderr
    assert said.startswith(f"gpuvgm: {left}: ") and said.endswith(f"or {anew}\n")
    shutil.rmtree(cut)
    resume(transformer, place, cut, resume=False)
    assert bodies(cut.with_name("e")) == bodies(place / "whole")


def test_complete_files_that_only_lack_the_last_step_are_not_forgotten(place, transformer, tmp_path):
    shutil.copytree(place / "whole", tmp_path / ".e.unfinished")
    with pytest.raises(InputError, match=f"left {PARTS} complete files in .*, of {PARTS}: go on with resume=True"):
        resume(transformer, place, tmp_path / ".e.unfinished", resume=False)
    resume(transformer, place, tmp_path / ".e.unfinished")
    assert os.listdir(tmp_path) == ["e"] and bodies(tmp_path / "e") == bodies(place / "whole")


@pytest.mark.parametrize("goes_on", [False, True])
def test_files_without_a_manifest_are_not_removed(place, transformer, cut, goes_on):
    (cut / "_manifest.json").unlink()
    with pytest.raises(
        InputError, match=r"unfinished: holds part-00000.parquet, but no whole manifest of a run; remove"
    ):
        resume(transformer, place, cut, resume=goes_on)
    assert len(bodies(cut)) == 3


def test_a_run_that_was_cut_short_before_its_first_file_is_begun_again(place, transformer, cut):
    manifest = Manifest.read(cut / "_manifest.json")
    manifest.done = {}
    manifest.write()
    for name in bodies(cut):
        (cut / name).rename(cut / f".{name}.21d01dd8.partial")
    resume(transformer, place, cut, resume=False)
    assert bodies(cut.with_name("e")) == bodies(place / "whole")


def test_rows_in_memory_say_that_they_do_not_go_on(place, transformer, tmp_path):
    rows, place_left = pq.read_table(place / "data"), tmp_path / ".e.unfinished"
    problem = cut_short(transformer, rows, tmp_path / "e", part_rows=PART_ROWS, after=2, problem=full())
    assert problem.__notes__ == [f"2 files are complete in {place_left}: remove that folder to begin again"]
    told = f"left 2 complete files in {place_left}, of {PARTS}: remove that folder to begin again"
    with pytest.raises(InputError, match=f"{re.escape(told)}$"):
        transformer.transform(rows, out=tmp_path / "e", part_rows=PART_ROWS)
    assert len(bodies(place_left)) == 2


def test_complete_files_in_a_store_are_not_forgotten(place, transformer):
    options = {"out": "memory://cut/e", "part_rows": PART_ROWS}
    out = options["out"]
    cut_short(transformer, place / "data", after=3, **options)
    told = (
        f"{out}: a run that was cut short left 3 complete files in {out}, of {PARTS}: go on with resume=True, or remove"
    )
    with pytest.raises(InputError, match=f"^{re.escape(told)}"):
        transformer.transform(place / "data", **options)
    made = written_by(transformer, place / "data", **options)
    assert made == [f"part-{number:05d}.parquet" for number in range(3, PARTS)]
    assert len(written_by(transformer, place / "data", resume=False, **options)) == PARTS, "over a complete folder"


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_damaged_part_is_written_again(place, transformer, cut, harm):
    damage(cut / "part-00001.parquet", harm)
    resume(transformer, place, cut)
    assert bodies(cut.with_name("e")) == bodies(place / "whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 5}, "had seed 0, this one has 5"),
        ({"mode": "argmax"}, "had mode 'sample', this one has 'argmax'"),
        ({"layout": "onehot"}, "had layout 'compact'"),
        ({"dtype": "float64"}, "had dtype 'float32'"),
        ({"part_rows": 4096}, "had part_rows 8192, this one has 4096"),
    ],
)
def test_another_run_is_not_resumed(place, transformer, cut, options, message):
    with pytest.raises(InputError, match=message):
        resume(transformer, place, cut, **options)
    assert len(Manifest.read(cut / "_manifest.json").done) == 3


@pytest.mark.parametrize("change", ["touch", "grow", "remove", "add"])
def test_changed_inputs_are_named(place, transformer, tmp_path, change):
    data = shutil.copytree(place / "data", tmp_path / "data")
    cut_short(transformer, data, tmp_path / "e", part_rows=PART_ROWS, after=0, problem=RuntimeError)
    if change == "touch":
        os.utime(data / "2.parquet", ns=(1, 1))
    elif change == "grow":
        pq.write_table(pa.concat_tables([pq.read_table(data / "2.parquet")] * 2), data / "2.parquet")
    elif change == "remove":
        (data / "2.parquet").unlink()
    else:
        (data / "2b.parquet").write_bytes((data / "2.parquet").read_bytes())
    with pytest.raises(SourceChangedError, match=r"2b?\.parquet was (changed|removed|added) since the run began"):
        transformer.transform(data, out=tmp_path / "e", part_rows=PART_ROWS, resume=True)


def test_what_is_complete_is_not_done_again(place, transformer, monkeypatch):
    monkeypatch.setattr(ParquetSink, "__enter__", lambda self: pytest.fail("a file was written"))
    run = transformer.transform(place / "data", out=place / "whole", part_rows=PART_ROWS, resume=True)
    assert (run.rows, run.files) == (ROWS, PARTS)


def test_a_new_run_replaces_an_old_one_when_it_is_complete(place, transformer, tmp_path):
    out = tmp_path / "e"
    transformer.transform(place / "data", out=out, part_rows=PART_ROWS, mode="argmax")
    first = bodies(out)
    cut_short(transformer, place / "data", out, part_rows=PART_ROWS, after=0, problem=RuntimeError)
    assert bodies(out) == first
    transformer.transform(place / "data", out=out, part_rows=PART_ROWS)
    assert bodies(out) == bodies(place / "whole") and sorted(os.listdir(tmp_path)) == ["e"]


def test_one_file_begins_again(place, transformer, tmp_path, caplog):
    transformer.transform(place / "data", out=tmp_path / "e.parquet")
    before = (tmp_path / "e.parquet").read_bytes()
    (tmp_path / "e.parquet").write_bytes(b"")
    transformer.transform(place / "data", out=tmp_path / "e.parquet", resume=True)
    transformer.inverse_transform(tmp_path / "e.parquet", out=tmp_path / "b.csv", resume=True)
    assert [line.message for line in caplog.records if "resume" in line.message] == [BEGINS_AGAIN] * 2
    assert (tmp_path / "e.parquet").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["b.csv", "e.parquet"]


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("mine", {}, "did not write is not replaced"),
        ("no/where", {}, "does not exist; create it first"),
        ("e", {"part_rows": 0}, "part_rows must be at least 1"),
    ],
)
def test_other_folders_are_not_replaced(place, transformer, tmp_path, out, options, message):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match=message):
        transformer.transform(place / "data", out=tmp_path / out, **options)
    with pytest.raises(InputError, match="lies in"):
        transformer.transform(place / "data", out=place / "data" / "inside")
    assert os.listdir(tmp_path) == ["mine"]


def test_the_inverse_resumes_and_may_leave_rows_out(place, transformer, tmp_path):
    one = transformer.inverse_transform(place / "whole")
    transformer.inverse_transform(place / "whole", out=tmp_path / "b", part_rows=PART_ROWS)
    assert pq.read_table(tmp_path / "b").equals(one)
    encoded = pq.read_table(place / "whole")
    scalar = np.array(encoded.column("amount.scalar"))
    scalar[::100] = 0.99
    changed = encoded.set_column(0, "amount.scalar", pa.array(scalar))
    kept, valid = transformer.inverse_transform(changed, return_valid=True, invalid="drop")
    run = transformer.inverse_transform(changed, out=tmp_path / "d", invalid="drop", part_rows=PART_ROWS)
    assert run.rows == kept.num_rows == valid.sum()
    assert pq.read_table(tmp_path / "d").equals(kept)


def test_a_manifest_says_what_it_is(place):
    document = json.loads((place / "whole" / "_manifest.json").read_text())
    assert document["library"] == "gpuvgm" and document["complete"] is True
    assert document["asked"]["inputs"]["files"][0].keys() == {"name", "bytes", "changed_ns"}
    entry = document["done"]["part-00000.parquet"]
    assert entry.keys() == {"first_row", "rows", "bytes", "sha256", "unseen", "seconds"}
    assert 0 < entry["seconds"] < 60


def test_a_summary_has_the_seconds_of_every_file(place, transformer, tmp_path):
    summary = transformer.transform(place / "data", out=tmp_path / "e", part_rows=PART_ROWS)
    done = Manifest.read(tmp_path / "e" / "_manifest.json").done
    assert summary.parts == [
        {"part": name, **{key: entry[key] for key in ("first_row", "rows", "seconds")}} for name, entry in done.items()
    ]
    assert [part["rows"] for part in summary.parts][:2] == [PART_ROWS, PART_ROWS] and len(summary.parts) == PARTS


def test_a_summary_of_one_file_has_the_seconds_of_what_was_read(place, transformer, tmp_path):
    transformer.block_rows = PART_ROWS
    summary = transformer.transform(place / "data", out=tmp_path / "e.parquet")
    assert [part["part"][0] for part in summary.parts] == ["0", "0", "0", "2", "3", "3", "3"]
    assert sum(part["rows"] for part in summary.parts) == ROWS and all(part["seconds"] > 0 for part in summary.parts)


@pytest.mark.parametrize("change", [{"seconds": 1e6}, None])
def test_seconds_do_not_matter_where_a_run_goes_on(place, transformer, tmp_path, change):
    shutil.copytree(place / "whole", tmp_path / "e")
    manifest = Manifest.read(tmp_path / "e" / "_manifest.json")
    for name, entry in manifest.done.items():  # none had them before they were kept
        manifest.done[name] = {key: entry[key] for key in entry if key != "seconds"} | (change or {})
    manifest.write()
    summary = transformer.transform(place / "data", out=tmp_path / "e", part_rows=PART_ROWS, resume=True)
    assert [part.get("seconds") for part in summary.parts] == [change and 1e6] * PARTS
    assert bodies(tmp_path / "e") == bodies(place / "whole")


@pytest.mark.parametrize("disk", ["size=200k"], indirect=True)
def test_a_disk_that_is_really_full(place, disk, tmp_path):
    _, told = run(*arguments(place, disk / "e"), code=3)
    assert "No space left" in told
    assert not (disk / "e").exists()
    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
    run(*arguments(place, disk / "e", "--resume"))
    run(*arguments(place, tmp_path / "e"))
    assert bodies(disk / "e") == bodies(tmp_path / "e")
