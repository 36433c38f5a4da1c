"""The notebooks run from a clean kernel, and what they keep is small and comes from one run in order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.conftest import needs_gpu
from tests.engines.kernels.building import needs_compiler
from tests.notebooks.running import LIMIT, NOTEBOOKS, ROOT, code_cells, printed, run_notebook

LARGEST = 300_000  # bytes of a notebook
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
exhaustive = pytest.mark.exhaustive
PAGE = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "rows", "said"),
    [
        ("01", 20_000, "same rows: True"),
        pytest.param("03", 200_000, "16 of 16 files are the same", marks=exhaustive),
        pytest.param("04", 20_000, "flights, auto: 20 of 20 columns come back exactly", marks=exhaustive),
        pytest.param("05", 20_000, "transform on the CPU", marks=exhaustive),
        pytest.param("07", 5_000, "same rows: True", marks=exhaustive),
        pytest.param("08", 3_000, "    0 totals that are not the sum of their lines", marks=exhaustive),
        pytest.param("09", 3_000, "0 planes of the table among those of the sample", marks=exhaustive),
    ],
    ids=["01", "03", "04", "05", "07", "08", "09"],
)
def test_runs_from_a_clean_kernel(number: str, rows: int, said: str, tmp_path: Path) -> None:
    assert said in run_notebook(number, tmp_path, GPUVGM_NOTEBOOK_ROWS=str(rows))


def test_a_kernel_takes_the_checkout_last(tmp_path: Path) -> None:
    """Whose gpuvgm has no compiled extension: an installed one comes before it."""
    scripts = tmp_path / "clone" / "notebooks"
    scripts.mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "execute.py", scripts)
    cell = nbformat.v4.new_code_cell("import os, sys; print([sys.path.index(os.environ['CLONE']), len(sys.path)])")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), scripts / "paths.ipynb")
    environment = {**os.environ, "CLONE": str(scripts.parent)}
    command = [sys.executable, "notebooks/execute.py", "--into", "done"]
    subprocess.run(command, cwd=scripts.parent, env=environment, check=True, capture_output=True, timeout=LIMIT)
    (text,) = printed(code_cells(scripts.parent / "done" / "paths.ipynb")[0])
    place, length = json.loads(text)
    assert place == length - 1


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("strict_cupy")
def test_the_gpu_is_used_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The strict device stands for it, so that cells for CuPy run; the others name the package that they lack."""
    monkeypatch.setenv("GPUVGM_NOTEBOOK_ROWS", "5000")
    (path,) = [path for path in NOTEBOOKS if path.name.startswith("05")]
    names: dict[str, Any] = {"__name__": "notebook"}
    for cell in code_cells(path):
        exec(compile("".join(cell["source"]), path.name, "exec"), names)
    names["workplace"].cleanup()
    said = capsys.readouterr().out
    for expected in (
        "memory from CuPy's own pool",
        "has the same bits as on the CPU: True",
        "transform on the GPU",
    ):
        assert expected in said
    assert "bits as on the CPU: False" not in said
    assert "a GPU that CuPy can use" not in said


@pytest.mark.gpu
@needs_gpu
def test_runs_on_a_gpu(tmp_path: Path) -> None:
    said = run_notebook("05", tmp_path, GPUVGM_NOTEBOOK_ROWS="20000")
    assert "has the same bits as on the CPU: True" in said and "bits as on the CPU: False" not in said
    assert "a GPU that CuPy can use" not in said


@each
def test_outputs_are_of_one_run_in_order(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == [number for number, _ in zip(count(1), cells, strict=False)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []


@each
def test_is_small_and_without_metadata(path: Path) -> None:
    assert path.stat().st_size <= LARGEST
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["metadata"] == METADATA
    assert [cell["metadata"] for cell in document["cells"] if cell["metadata"]] == []


@each
def test_says_nothing_of_the_machine_that_ran_it(path: Path) -> None:
    assert re.findall(r"/tmp/|/home/|/root/|/work/|site-packages", path.read_text(encoding="utf-8")) == []


@each
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)[^)]*\)", path.read_text(encoding="utf-8"))
    assert targets, "it ends with what to read next"
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_page_lists_every_notebook() -> None:
    assert re.findall(r"\]\(\.\./notebooks/([^)]+)\)", PAGE) == [path.name for path in NOTEBOOKS]
