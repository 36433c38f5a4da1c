"""Outputs in folders `key=value`, as the input: the same rows in the same folders, gone on with, and checked."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from tests.cli.running import invoke
from tests.io.conftest import rows_of
from tests.table.recovery.conftest import PARTS as PART_ROWS, cut_short, damage, written_by

ROWS = 5000


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows in folders of two keys: text with characters that are escaped, and a missing value."""
    random, place = np.random.default_rng(0), tmp_path_factory.mktemp("hive") / "rows"
    frame = pd.DataFrame({"amount": random.lognormal(3, 1, ROWS).round(2), "colour": random.choice(list("rgb"), ROWS)})
    frame["year"], frame["code"] = random.choice([2019, 2020], ROWS, p=[0.9, 0.1]), random.choice(["01", "a/b c"], ROWS)
    frame.loc[:50, "code"] = None
    frame.to_parquet(place, partition_cols=["year", "code"])
    return place


@pytest.fixture(scope="module")
def transformer(rows):
    return gpuvgm.TableTransformer(columns={"code": "pass"}).fit(rows)


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))


@pytest.mark.parametrize(
    "options", [{}, {"layout": "onehot"}, {"keep_original": True, "names": "{column}_Transformed"}]
)
def test_folders_hold_the_rows_that_they_held(transformer, rows, tmp_path, options):
    encoded, back = tmp_path / "encoded", tmp_path / "back"
    run = transformer.transform(rows, out=encoded, partitioned=True, part_rows=PART_ROWS // 4, **options)
    assert run.rows == ROWS
    assert run.files == len(files_of(encoded))
    assert {name.rpartition("/")[0] for name in files_of(encoded)} == {
        path.relative_to(rows).parent.as_posix().replace("a%2Fb%20c", "a%2Fb c") for path in rows.rglob("*.parquet")
    }
    stored = pq.read_schema(encoded / files_of(encoded)[0]).names
    assert "year" not in stored
    assert "code" not in stored
    alone = transformer.transform(rows, **options | {"keep_original": False})
    expected = alone if isinstance(alone, pa.Table) else pa.table({str(i): column for i, column in enumerate(alone.T)})
    names = transformer.get_feature_names_out(layout=options.get("layout"), names=options.get("names")).tolist()
    found = rows_of(open_source(encoded), names)
    assert [column.to_pylist() for column in found.columns] == [column.to_pylist() for column in expected.columns]
    transformer.inverse_transform(encoded, out=back, partitioned=True)
    assert {name.rpartition("/")[0] for name in files_of(back)} == {n.rpartition("/")[0] for n in files_of(encoded)}
    assert pq.read_schema(back / files_of(back)[0]).names == ["amount", "colour"]
    decoded, original = open_source(back), open_source(rows)
    assert rows_of(decoded, original.schema.names).equals(rows_of(original))


def test_other_readers_find_the_columns_of_folders(transformer, rows, tmp_path):
    transformer.transform(rows, out=tmp_path / "encoded", partitioned=True, keep_original=True)
    frame = pq.read_table(tmp_path / "encoded")
    assert sorted(frame.column("code").to_pylist(), key=str) == sorted(
        rows_of(open_source(rows), ["code"])["code"].to_pylist(), key=str
    )


@pytest.mark.parametrize("workers", [False, True], ids=["threads", "cluster"])
def test_a_run_that_was_cut_short_is_gone_on_with(request, transformer, rows, tmp_path, workers):
    options = {"partitioned": True, "part_rows": PART_ROWS}
    transformer.transform(rows, out=tmp_path / "whole", **options)
    expected = {name: (tmp_path / "whole" / name).read_bytes() for name in files_of(tmp_path / "whole")}
    out = tmp_path / "out"
    if workers:
        pytest.importorskip("distributed")
        from distributed import Client

        with Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as client:
            spread = gpuvgm.TableTransformer(executor=client)
            spread.model_ = transformer.model_
            spread.transform(rows, out=out, **options)
    else:
        cut_short(transformer, rows, out, after=3, partitioned=True)
        (tmp_path / ".out.unfinished" / "year=2019" / ".part-00000.parquet.0123abcd.partial").write_text("half")
        names = written_by(transformer, rows, out=out, partitioned=True)
        assert 0 < len(names) < len(expected)
    assert {name: (out / name).read_bytes() for name in files_of(out)} == expected
    assert {path.name for path in out.rglob("*") if path.is_file()} == {"_manifest.json", *map(basename, expected)}


def basename(name):
    return name.rpartition("/")[2]


def test_what_was_damaged_in_a_folder_is_refused_and_written_again(transformer, rows, tmp_path):
    out, options = tmp_path / "out", {"partitioned": True, "part_rows": PART_ROWS}
    transformer.transform(rows, out=out, **options)
    name = files_of(out)[-1]
    body = (out / name).read_bytes()
    for harm in ("flip", "cut", "remove"):
        damage(out / name, harm)
        with pytest.raises(InputError, match="part-0000"):
            transformer.inverse_transform(out)
        transformer.transform(rows, out=out, resume=True, **options)
        assert (out / name).read_bytes() == body
    foreign = (out / name).with_name("other.parquet")
    foreign.write_bytes(body)
    with pytest.raises(InputError, match=r"other\.parquet: gpuvgm did not write it there"):
        transformer.inverse_transform(out)
    with pytest.raises(InputError, match=r"also holds .*other\.parquet, which gpuvgm did not write"):
        transformer.transform(rows, out=out, **options)
    foreign.unlink()
    transformer.transform(rows, out=out)  # the folders are replaced
    assert files_of(out) == ["part-00000.parquet"]


def test_rows_of_the_same_folder_in_two_places_do_not_replace_each_other(transformer, rows, tmp_path):
    """Files are numbered through where a folder comes again, and files without rows are left out."""
    other = tmp_path / "other"
    for name in files_of(rows):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        table = pq.read_table(rows / name, partitioning=None)
        pq.write_table(table.slice(0, 0), other / name)
        pq.write_table(table.slice(0, 10), (other / name).with_name("z.parquet"))
    run = transformer.transform([rows, other], out=tmp_path / "out", partitioned=True)
    assert run.rows == open_source([rows, other]).rows == open_source(tmp_path / "out").rows
    assert sorted({basename(name) for name in files_of(tmp_path / "out")}) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    entries = json.loads((tmp_path / "out" / "_manifest.json").read_text())["done"]
    assert all(entry["rows"] for entry in entries.values())


def test_a_column_that_files_have_too_stays_in_the_files(tmp_path):
    for key in (1, 2):
        (tmp_path / f"rows/k={key}").mkdir(parents=True)
        pq.write_table(pa.table({"k": [key] * 30, "x": ["a", "b", "c"] * 10}), tmp_path / f"rows/k={key}/f.parquet")
    transformer = gpuvgm.TableTransformer(columns={"k": "pass"}).fit(tmp_path / "rows")
    transformer.transform(tmp_path / "rows", out=tmp_path / "out", partitioned=True)
    assert pq.read_schema(tmp_path / "out/k=1/part-00000.parquet").names == ["k", "x.mode"]


def test_what_cannot_be_partitioned_is_refused(transformer, rows, tmp_path):
    with pytest.raises(InputError, match=r"o\.parquet: one file cannot be partitioned"):
        transformer.transform(rows, out=tmp_path / "o.parquet", partitioned=True)
    table = rows_of(open_source(rows))
    pq.write_table(table, tmp_path / "plain.parquet")
    for source in (table, tmp_path / "plain.parquet"):
        with pytest.raises(InputError, match="does not lie in folders key=value"):
            transformer.transform(source, out=tmp_path / "out", partitioned=True)
    (tmp_path / "csv/year=2019/code=01").mkdir(parents=True)
    (tmp_path / "csv/year=2019/code=01/f.csv").write_text("amount,colour\n1.5,r\n")
    with pytest.raises(InputError, match="CSV does not say how many rows a folder has"):
        transformer.transform(tmp_path / "csv", out=tmp_path / "out", partitioned=True)
    assert not (tmp_path / "out").exists()


def test_the_command_line_writes_folders(transformer, rows, tmp_path):
    transformer.save(tmp_path / "m.gpuvgm")
    model = ("--model", tmp_path / "m.gpuvgm", "--partitioned")
    invoke("transform", rows, tmp_path / "encoded", *model)
    invoke("inverse", tmp_path / "encoded", tmp_path / "back", *model)
    decoded, original = open_source(tmp_path / "back"), open_source(rows)
    assert rows_of(decoded, original.schema.names).equals(rows_of(original))


def test_folders_of_a_store(transformer, rows, tmp_path):
    out = "memory://partitioned/out"
    for _ in range(2):  # the second replaces the first
        transformer.transform(rows, out=out, partitioned=True)
    expected = transformer.transform(rows)
    assert rows_of(open_source(out), expected.column_names).equals(expected.replace_schema_metadata(None))


@pytest.fixture
def parts(tmp_path):
    """Files of different lengths, one of them without rows."""
    folder, start = tmp_path / "parts", 0
    folder.mkdir()
    table = pa.table({"amount": np.arange(900) / 8, "code": ["a", "b", "c"] * 300, "colour": ["r", "g", "b"] * 300})
    for number, length in enumerate([300, 7, 0, 500, 93]):
        pq.write_table(table.slice(start, length), folder / f"{number}.parquet")
        start += length
    return folder


def lengths_of(folder):
    return {name: pq.read_metadata(folder / name).num_rows for name in files_of(folder)}


FILES = {"part-00000.parquet": 300, "part-00001.parquet": 7, "part-00003.parquet": 500, "part-00004.parquet": 93}


@pytest.mark.parametrize("workers", [False, True], ids=["threads", "cluster"])
def test_each_file_becomes_a_file(parts, tmp_path, workers):
    with gpuvgm.cluster(workers=1, threads=1, gpus=False) if workers else nullcontext() as client:
        write_each(parts, tmp_path, gpuvgm.TableTransformer(executor=client, random_state=0).fit(parts))


def write_each(parts, tmp_path, fitted):
    run = fitted.transform(parts, out=tmp_path / "encoded", part_rows="file")
    assert lengths_of(tmp_path / "encoded") == FILES and run.files == 4
    assert rows_of(open_source(tmp_path / "encoded")).equals(fitted.transform(parts))
    fitted.inverse_transform(tmp_path / "encoded", out=tmp_path / "back", part_rows="file")
    assert list(lengths_of(tmp_path / "back").values()) == [300, 7, 500, 93]
    (tmp_path / "encoded" / "part-00001.parquet").unlink()
    fitted.transform(parts, out=tmp_path / "encoded", part_rows="file", resume=True)
    assert lengths_of(tmp_path / "encoded") == FILES


def test_files_of_folders_become_files_of_folders(transformer, rows, tmp_path):
    pq.write_table(pq.ParquetFile(open_source(rows).paths[0]).read(), rows / "year=2019" / "code=01" / "second.parquet")
    try:
        transformer.transform(rows, out=tmp_path / "out", part_rows="file", partitioned=True)
        assert len(files_of(tmp_path / "out")) == len(files_of(rows))
        assert "year=2019/code=01/part-00001.parquet" in files_of(tmp_path / "out")
        assert sorted(lengths_of(tmp_path / "out").values()) == sorted(lengths_of(rows).values())
    finally:
        (rows / "year=2019" / "code=01" / "second.parquet").unlink()


def test_files_for_files_that_cannot_be_written_are_refused(parts, tmp_path):
    fitted = gpuvgm.TableTransformer(random_state=0).fit(parts)
    with pytest.raises(InputError, match=r"o\.parquet: is one file, and the source may have several; give a folder"):
        fitted.transform(parts, out=tmp_path / "o.parquet", part_rows="file")
    with pytest.raises(InputError, match="has no files to write one for each; give part_rows a number"):
        fitted.transform(pq.read_table(parts), out=tmp_path / "out", part_rows="file")
    pa.csv.write_csv(pq.read_table(parts), tmp_path / "rows.csv")
    with pytest.raises(InputError, match="CSV does not say how many rows a file has"):
        fitted.transform(tmp_path / "rows.csv", out=tmp_path / "out", part_rows="file")


def test_the_command_writes_a_file_for_a_file(parts, tmp_path):
    invoke("fit", parts, "--model", tmp_path / "m.gpuvgm")
    invoke("transform", parts, tmp_path / "out", "--model", tmp_path / "m.gpuvgm", "--part-rows", "file")
    assert lengths_of(tmp_path / "out") == FILES
    told = invoke("transform", parts, tmp_path / "two", "--model", tmp_path / "m.gpuvgm", "--part-rows", "x", code=2)
    assert "--part-rows" in told.stderr
