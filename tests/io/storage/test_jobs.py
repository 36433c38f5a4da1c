"""The whole job over a store gives, to the bit, what it gives on this machine; and so does the page that shows it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

import gpuvgm
from gpuvgm.io import open_source
from tests.cli.running import invoke
from tests.docs.pages import DOCS, blocks
from tests.io.storage.conftest import keys, store

FILES = ["back.parquet", "encoded.parquet", "model.gpuvgm", "report.json", "rows.parquet"]


def job(root):
    """Fit, save, load, transform, inverse and evaluate; the model and the report."""
    source, model = f"{root}/rows.parquet", f"{root}/model.gpuvgm"
    gpuvgm.TableTransformer(effort="research").fit(source).save(model)
    fitted = gpuvgm.load(model)
    fitted.transform(source, out=f"{root}/encoded.parquet")
    fitted.inverse_transform(f"{root}/encoded.parquet", out=f"{root}/back.parquet")
    invoke("evaluate", source, "--model", model, "--report", f"{root}/report.json", "--quiet")
    return fitted


def report_of(text):
    document = json.loads(text)
    return {key: document[key] for key in document if key not in ("source", "model")}


@pytest.fixture
def local(folder):
    job(folder)
    return folder


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_store_gives_the_same_to_the_bit(local, bucket, server, seed):
    store().put(str(local / "rows.parquet"), f"{bucket}/rows.parquet")
    server.behave(share=0 if seed is None else 0.1, seed=seed)
    fitted = job(bucket)
    assert bool(server.injected) == (seed is not None)
    server.behave()
    assert keys(bucket) == FILES
    for name in ("encoded.parquet", "back.parquet"):
        assert store().cat(f"{bucket}/{name}") == (local / name).read_bytes()
    assert fitted.model_.fingerprint() == gpuvgm.load(local / "model.gpuvgm").model_.fingerprint()
    assert report_of(store().cat(f"{bucket}/report.json")) == report_of((local / "report.json").read_text())


def test_the_memory_of_this_process_is_a_store(local):
    import fsspec

    system = fsspec.filesystem("memory")
    system.put(str(local / "rows.parquet"), "/job/rows.parquet")
    try:
        fitted = job("memory://job")
        assert sorted(system.ls("/job", detail=False)) == [f"/job/{name}" for name in FILES]
        assert system.cat("/job/back.parquet") == (local / "back.parquet").read_bytes()
        assert fitted.model_.fingerprint() == gpuvgm.load(local / "model.gpuvgm").model_.fingerprint()
    finally:
        system.rm("/job", recursive=True)


def test_file_urls_are_paths_of_this_machine(local):
    fitted = gpuvgm.load(f"file://{local}/model.gpuvgm")
    fitted.transform(f"file://{local}/rows.parquet", out=f"file://{local}/again%201.parquet")
    assert (local / "again 1.parquet").read_bytes() == (local / "encoded.parquet").read_bytes()


def test_the_fingerprint_of_a_source_holds_size_and_etag(local, bucket):
    store().put(str(local / "rows.parquet"), f"{bucket}/rows.parquet")
    entry = store().info(f"{bucket}/rows.parquet")
    (file,) = open_source(f"{bucket}/rows.parquet").fingerprint()["files"]
    assert file == {"name": "rows.parquet", "bytes": entry["size"], "etag": entry["ETag"].strip('"')}
    assert json.loads(json.dumps(file)) == file


def test_rows_are_generated_into_a_store(bucket, tmp_path):
    gpuvgm.generate(f"{bucket}/amount.parquet", 5000)
    gpuvgm.generate(tmp_path / "amount.parquet", 5000)
    assert store().cat(f"{bucket}/amount.parquet") == (tmp_path / "amount.parquet").read_bytes()


def test_the_page_on_stores(bucket: str, working_folder: Path) -> None:
    for block in blocks(DOCS / "how-to" / "storage.md"):
        for words in block.commands if block.language == "sh" else ():
            invoke(*(word.replace("s3://bucket", bucket) for word in words))
        if block.language == "python":
            Path("page.py").write_text(block.code.replace("s3://bucket", bucket))
            runpy.run_path("page.py")
    assert {"amount.gpuvgm", "encoded.parquet", "again.parquet", "report.json"} <= set(keys(bucket))
