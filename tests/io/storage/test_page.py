"""What the page on object stores shows runs against a store."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.cli.running import invoke
from tests.docs.pages import DOCS, blocks
from tests.io.storage.conftest import keys


def test_the_page_on_stores(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(DOCS / "how-to" / "storage.md"):
        for words in block.commands if block.language == "sh" else ():
            invoke(*(word.replace("s3://bucket", bucket) for word in words))
        if block.language == "python":
            Path("page.py").write_text(block.code.replace("s3://bucket", bucket))
            runpy.run_path("page.py")
    assert {"amount.gpuvgm", "encoded.parquet", "again.parquet", "report.json"} <= set(keys(bucket))
