"""What the page on reports shows runs as it stands there."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from gpuvgm import generate
from tests.cli.running import invoke

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "report.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_python_code_runs(working_folder: Path) -> None:
    pytest.importorskip("matplotlib").use("agg")
    for code in blocks("python"):
        (working_folder / "block.py").write_text(code)
        runpy.run_path("block.py")
    assert {path.name for path in working_folder.iterdir()} >= {"report.html", "amount.png"}


def test_the_commands_run(working_folder: Path) -> None:
    generate("amount.parquet", 5000)
    for line in "".join(blocks("sh")).splitlines():
        invoke(*shlex.split(line)[1:])
    assert (working_folder / "report.html").stat().st_size > 10_000
