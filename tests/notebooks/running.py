"""Running notebooks as `make notebooks` does, at a small size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT = 900  # seconds


def run_notebook(number: str, folder: Path, **sizes: str) -> str:
    """Everything that the cells of a notebook print; the source stays as it is."""
    command = [sys.executable, str(ROOT / "notebooks" / "execute.py"), "--into", str(folder), number]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **sizes}, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr
    (written,) = folder.glob(f"{number}*.ipynb")
    return "".join(text for cell in code_cells(written) for text in printed(cell))


def code_cells(path: Path) -> list[dict[str, Any]]:
    """The cells with code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def printed(cell: dict[str, Any]) -> list[str]:
    """What a cell writes to its standard output."""
    streams = [output for output in cell["outputs"] if output["output_type"] == "stream"]
    return ["".join(output["text"]) for output in streams if output["name"] == "stdout"]
