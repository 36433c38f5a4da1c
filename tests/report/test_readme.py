"""What the README shows runs as it stands there."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.exceptions import ConvergenceWarning

from gpuvgm import generate
from gpuvgm.schema import TableSchema
from tests.conftest import needs_gpu

ROOT = Path(__file__).resolve().parents[2]
ROWS = pa.schema([(name, pa.float64()) for name in ("amount", "income", "year", "id")] + [("grade", pa.string())])
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_python_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, columns, samples, training, *drop_ins, device, spread = blocks("python")
    assert len(drop_ins) == 2, "run beside the libraries that they replace"
    assert "import cudf" in device, "runs on a GPU"
    names = [run_block(tmp_path, code) for code in (first, columns, training, samples)]
    assert {path.name for path in tmp_path.iterdir()} >= {"encoded.parquet", "back.parquet", "amount.gpuvgm"}
    np.testing.assert_allclose(names[0]["batch"][:, -2:].sum(axis=1), 1)
    assert names[2]["real"].shape == (500, names[2]["matrix"].shape[1])
    assert len(run_block(tmp_path, spread)["rows"]) == 50_000
    (toml,) = blocks("toml")
    declared = [
        TableSchema.declare(spec, ROWS, "rows") for spec in (names[1]["columns"], tomllib.loads(toml)["columns"])
    ]
    for spec in declared[1].columns:
        assert spec.kind in ("infer", declared[0][spec.name].kind)


@pytest.mark.gpu
@needs_gpu
def test_the_code_for_a_gpu_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cudf = pytest.importorskip("cudf", reason="cudf is not installed")
    monkeypatch.chdir(tmp_path)
    generate("amount.parquet", 10_000)
    assert isinstance(run_block(tmp_path, blocks("python")[-2])["encoded"], cudf.DataFrame)


def run_block(folder: Path, code: str) -> dict[str, Any]:
    """The names that a block of code leaves behind."""
    (folder / "readme.py").write_text(code)
    return runpy.run_path("readme.py")


def test_both_sides_of_the_diff_give_the_same_labels() -> None:
    x = np.random.default_rng(0).normal(size=(500, 2)) + np.repeat([[0.0, 0.0], [8.0, 3.0]], 250, axis=0)
    (diff,) = blocks("diff")
    lines = diff.splitlines()
    assert {line[:1] for line in lines} <= {"-", "+", " ", ""}
    theirs, ours = ([line[1:] for line in lines if line[:1] in (side, " ")] for side in "-+")
    labels = [run(code, x)["labels"] for code in (theirs, ours)]
    np.testing.assert_array_equal(*labels)
    assert len(np.unique(labels)) > 1


def run(lines: list[str], x: np.ndarray) -> dict[str, Any]:
    """The names that some lines of code leave behind."""
    names: dict[str, Any] = {"x": x}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exec("\n".join(lines), names)
    return names


def test_the_commands_run(tmp_path: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("gpuvgm ")]
    assert len(lines) >= 7
    for line in lines:
        command = [sys.executable, "-m", *shlex.split(line)]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=_environment())


def test_the_first_commands_are_targets_of_make() -> None:
    first = blocks("sh")[0].splitlines()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[:2] for line in first] == [["make", "demo"], ["make", "test"]]
    assert {"demo", "test"} <= set(targets)


def test_pictures_and_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
