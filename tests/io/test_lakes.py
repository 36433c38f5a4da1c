"""Tables of Delta Lake, Iceberg and Hudi are refused however their files are named; others are read as before."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.io import open_source
from gpuvgm.io.files import file_source
from tests.cli.running import invoke
from tests.io.conftest import rows_of

ERASED, ROWS = 2000, 50
DELTA, ICEBERG, HUDI = "Delta Lake", "Iceberg", "Hudi"
KEPT = "part-00000-d1be4645-de26-4e6d-aa44-886c90b96ee3-c000.snappy.parquet"


def parquet(rows: int) -> bytes:
    body = io.BytesIO()
    pq.write_table(pa.table({"x": [float(row) for row in range(rows)]}), body)
    return body.getvalue()


#: Names as deltalake 1.6.6, pyiceberg 0.12.0 and Hudi 1.0 give them, after an overwrite of 2,000 rows by 50.
LAYOUTS: Mapping[str, Mapping[str, bytes]] = {
    DELTA: {
        "_delta_log/00000000000000000000.json": b'{"commitInfo":{"operation":"WRITE"}}\n',
        "_delta_log/00000000000000000001.json": b'{"commitInfo":{"operation":"WRITE"}}\n',
        "part-00000-de67f86d-0ed8-4501-845b-12b5e71e37a1-c000.snappy.parquet": parquet(ERASED),
        KEPT: parquet(ROWS),
    },
    ICEBERG: {
        "metadata/00000-6704361d-4314-4814-a822-216835f33d94.metadata.json": b'{"format-version": 2}',
        "metadata/00001-4ae8b0df-e2af-4758-b15f-5499d1e83c33.metadata.json": b'{"format-version": 2}',
        "metadata/a85788ab-f91f-4b08-b3ea-499d4a196898-m0.avro": b"Obj\x01",
        "metadata/snap-2735320413585146061-0-718f8308-e737-4512-abeb-e129de40959e.avro": b"Obj\x01",
        "data/00000-0-a85788ab-f91f-4b08-b3ea-499d4a196898.parquet": parquet(ERASED),
        "data/00000-0-ebc3984e-bd40-4421-991b-b7ae7c798014.parquet": parquet(ROWS),
    },
    HUDI: {
        ".hoodie/hoodie.properties": b"hoodie.table.name=t\n",
        ".hoodie/timeline/20240101000000000_20240101000001000.commit": b"Obj\x01",
        ".hoodie_partition_metadata": b"depth=0\n",
        "5f3c0a4e-0_0-11-0_20240101000000000.parquet": parquet(ERASED),
        "5f3c0a4e-0_0-27-0_20240102000000000.parquet": parquet(ROWS),
    },
}
PARTITIONED = {
    "_delta_log/00000000000000000000.json": b"{}",
    **{f"date=2024-01-0{day}/part-00000-{day}-c000.snappy.parquet": parquet(ERASED) for day in (1, 2, 3)},
}


def put(root: Path | str, files: Mapping[str, bytes]) -> str:
    """Write files below a folder of this machine, or a URL."""
    for name, body in files.items():
        if isinstance(root, Path):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(body)
        else:
            import fsspec

            system, path = fsspec.url_to_fs(f"{root}/{name}")
            system.pipe_file(path, body)
    return str(root)


@pytest.fixture(params=["local", "file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Where a table lies: a folder, and what begins its names."""
    if request.param == "memory":
        fsspec = pytest.importorskip("fsspec")
        yield f"memory://{tmp_path.name}", f"memory://{tmp_path.name}"
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)
    else:
        yield tmp_path, f"file://{tmp_path}" if request.param == "file" else str(tmp_path)


def below(root: Any, name: str) -> Any:
    return root / name if isinstance(root, Path) else f"{root}/{name}"


@pytest.mark.parametrize("lake", LAYOUTS)
@pytest.mark.parametrize("given", ["{}", "{}/", "{}/**/*.parquet", "{}/*", "file", "files"])
def test_a_table_is_refused_with_what_reads_it(root: Any, lake: str, given: str) -> None:
    place, start = root
    put(below(place, "t"), LAYOUTS[lake])
    files = [f"{start}/t/{name}" for name in LAYOUTS[lake] if name.endswith(".parquet")]
    source: Any = {"file": files[1], "files": files}.get(given, given.format(f"{start}/t"))
    read = {DELTA: "to_pyarrow_dataset()", ICEBERG: ".scan().to_arrow()", HUDI: ".build().read())"}[lake]
    with pytest.raises(InputError, match=rf"/t.* a table of {lake}, .*pass .*{re.escape(read)}.* instead of the path"):
        open_source(source)


@pytest.mark.parametrize(
    "given", ["t/date=2024-01-01", "t/date=*", "t/date=2024-01-01/*.parquet", "t", "t/date=2024-01-01/{}", "*/*/*"]
)
def test_partitions_of_a_table_are_refused(root: Any, given: str) -> None:
    place, start = root
    put(below(place, "t"), PARTITIONED)
    with pytest.raises(InputError, match=rf'a table of Delta Lake, .*DeltaTable\("\S*{re.escape(str(place))}/t"\)'):
        open_source(f"{start}/{given.format('part-00000-1-c000.snappy.parquet')}")


def test_a_folder_of_tables_is_refused(root: Any) -> None:
    place, start = root
    for lake in LAYOUTS:
        put(below(place, f"all/{lake[:5]}/t"), LAYOUTS[lake])
    put(below(place, "all"), {"plain.parquet": parquet(ROWS)})
    with pytest.raises(InputError, match=r"all: holds \S*all/\S*, a table of "):
        open_source(f"{start}/all")
    with pytest.raises(InputError, match=r"all/Delta: holds \S*all/Delta/t, a table of Delta Lake"):
        open_source(f"{start}/all/*")
    with pytest.raises(InputError, match="a table of Hudi"):
        open_source([f"{start}/all/plain.parquet", f"{start}/all/Hudi/t/5f3c0a4e-0_0-27-0_20240102000000000.parquet"])
    assert open_source(f"{start}/all/plain.parquet").rows == ROWS


def test_other_folders_are_read(root: Any) -> None:
    place, start = root
    named = {"metadata/notes.json": b"{}", "metadata/a.metadata.json.bak": b"", "metadata/b/c.metadata.json": b"{}"}
    put(below(place, "plain"), {**named, "data/a.parquet": parquet(ROWS), "_delta_log_of_old/a.json": b"{}"})
    put(below(place, "plain"), {"hoodie/b.parquet": parquet(3), "metadata.json": b"{}"})
    put(below(place, "lake"), LAYOUTS[DELTA])  # beside it
    for given, rows in [("plain", ROWS + 3), ("plain/*/*.parquet", ROWS + 3), ("plain/data/a.parquet", ROWS)]:
        assert open_source(f"{start}/{given}").rows == rows


def test_text_in_the_folder_of_a_table_is_none_of_it(root: Any) -> None:
    place, start = root
    put(below(place, "t"), {**LAYOUTS[DELTA], "export/rows.csv": b"x,y\n1,2\n"})
    assert rows_of(f"{start}/t/export/rows.csv").to_pydict() == {"x": [1], "y": [2]}
    assert rows_of(f"{start}/t/export").num_rows == 1


def test_the_root_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names, links to files and folders, and files without an ending."""
    put(tmp_path / "t", {**PARTITIONED, "date=2024-01-01/part": parquet(ERASED)})
    monkeypatch.chdir(tmp_path / "t/date=2024-01-01")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/one.parquet").symlink_to(tmp_path / "t/date=2024-01-02/part-00000-2-c000.snappy.parquet")
    (tmp_path / "day").symlink_to(tmp_path / "t/date=2024-01-02")
    (tmp_path / "t/date=2024-01-04").symlink_to(put(tmp_path / "elsewhere", {"a.parquet": parquet(ROWS)}))
    assert open_source(tmp_path / "elsewhere").rows == ROWS
    links = [tmp_path / "links", tmp_path / "links/one.parquet", tmp_path / "links/*.parquet", tmp_path / "day"]
    for given in [".", "part", "*.parquet", *links, tmp_path / "day/*", tmp_path / "t/date=2024-01-04/a.parquet"]:
        with pytest.raises(InputError, match="a table of Delta Lake"):
            open_source(given)


def test_folders_above_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {f"a={i % 5}/{i:04}.parquet": b"" for i in range(500)})
    seen: list[str] = []
    is_folder = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: seen.append(str(path)) or is_folder(path))
    with pytest.raises(InputError, match="is empty"):
        file_source([str(path) for path in tmp_path.rglob("*.parquet")])
    logs = [path for path in seen if path.endswith(("/_delta_log", "/metadata", "/.hoodie"))]
    assert len(logs) == len(set(logs)) == 3 * (5 + 1 + len(tmp_path.parents))


@pytest.mark.parametrize("filesystem", ["arrow", "fsspec"])
def test_frames_of_dask_over_a_table_are_refused(tmp_path: Path, filesystem: Any) -> None:
    dd = pytest.importorskip("dask.dataframe")
    put(tmp_path / "t", PARTITIONED)
    put(tmp_path / "plain", {"a.parquet": parquet(ROWS)})
    assert any_source(dd.read_parquet(tmp_path / "plain", filesystem=filesystem)).rows == ROWS
    files = [str(file) for file in sorted((tmp_path / "t").rglob("*.parquet"))]
    for given in (tmp_path / "t", tmp_path / "t/date=2024-01-01", files[0]):
        frame = dd.read_parquet(given, filesystem=filesystem)
        with pytest.raises(InputError, match="a table of Delta Lake"):
            any_source(frame[frame["x"] > 1])


def test_a_dataset_of_a_table_is_read(tmp_path: Path) -> None:
    """As deltalake makes it: of the files that count, with the table's schema."""
    put(tmp_path, LAYOUTS[DELTA])
    form, schema = ds.ParquetFileFormat(), pa.schema({"x": pa.float64()})
    place = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    dataset = ds.FileSystemDataset([form.make_fragment(KEPT, place)], schema, form, place)
    assert rows_of(dataset).equals(pa.table({"x": [float(row) for row in range(ROWS)]}))
    assert gpuvgm.TableTransformer().fit(dataset).model_.rows == ROWS


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "{t}", "--model", "{tmp}/m.gpuvgm"],
        ["transform", "{t}", "{tmp}/o.parquet", "--model", "{tmp}/there.gpuvgm"],
        ["evaluate", "{t}", "--model", "{tmp}/there.gpuvgm"],
        ["evaluate", "{tmp}/plain.parquet", "--compare", "{t}", "--model", "{tmp}/there.gpuvgm"],
        ["validate", "{t}", "--model", "{tmp}/there.gpuvgm"],
        ["train", "{t}", "--model", "{tmp}/m.gpuvgm"],
        ["inverse", "{t}", "{tmp}/o.parquet", "--model", "{tmp}/there.gpuvgm"],
        ["sample", "{tmp}/network.gpuvgm", "{t}/more", "--rows", "5"],
        ["generate", "{t}", "--rows", "5"],
        ["generate", "{t}/new.parquet", "--rows", "5"],
        ["transform", "{tmp}/plain.parquet", "{t}/o.parquet", "--model", "{tmp}/there.gpuvgm"],
        ["transform", "{tmp}/plain.parquet", "{t}/o", "--model", "{tmp}/there.gpuvgm"],
        ["fit", "{tmp}/plain.parquet", "--model", "{t}/m.gpuvgm"],
        ["evaluate", "{tmp}/plain.parquet", "--model", "{tmp}/there.gpuvgm", "--report", "{t}/r.json"],
    ],
)
def test_commands_neither_read_nor_write_there(tmp_path: Path, command: list[str]) -> None:
    put(tmp_path / "t", LAYOUTS[DELTA])
    put(tmp_path, {"plain.parquet": parquet(ROWS)})
    gpuvgm.TableTransformer().fit(tmp_path / "plain.parquet").save(tmp_path / "there.gpuvgm")
    gpuvgm.TableSynthesizer().fit(tmp_path / "plain.parquet").save(tmp_path / "network.gpuvgm")
    before = sorted(tmp_path.rglob("*"))
    arguments = [part.format(t=tmp_path / "t", tmp=tmp_path) for part in command]
    assert " a table of Delta Lake" in " ".join(invoke(*arguments, code=2).stderr.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_that_tells_of_no_folders_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders above those that one may list are often closed."""
    fsspec = pytest.importorskip("fsspec")
    put(f"memory://{tmp_path.name}", {"a/b.parquet": parquet(ROWS)})
    is_folder = fsspec.filesystem("memory").isdir

    def closed(self: Any, path: str) -> bool:
        if path.endswith("_delta_log"):
            raise PermissionError("Access Denied")
        return bool(is_folder(path))

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "isdir", closed)
    assert open_source(f"memory://{tmp_path.name}/a/b.parquet").rows == ROWS


def test_what_a_server_lists_is_refused(tmp_path: Path) -> None:
    """Over HTTP where it shows folders as pages; else nothing is known of them."""
    pytest.importorskip("aiohttp")
    put(tmp_path / "t", PARTITIONED)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/t/date=2024-01-01/part-00000-1-c000.snappy.parquet"
        with pytest.raises(InputError, match="/t, a table of Delta Lake"):
            open_source(url)
        server.shutdown()
