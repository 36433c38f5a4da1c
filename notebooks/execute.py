"""Run the notebooks from clean kernels: ``python notebooks/execute.py [--update] [NAME …]``.

Without ``--update`` the executed copies go to ``build/notebooks``, and the sources stay as they are.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

NOTEBOOKS = Path(__file__).parent
BUILD = NOTEBOOKS.parent / "build" / "notebooks"
# Notebooks import `benchmarks` from the checkout; gpuvgm is the installed one, as the checkout's has no C++ extension.
CHECKOUT_LAST = f"import sys; sys.path.append({str(NOTEBOOKS.parent)!r})"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(source: Path, target: Path) -> None:
    """Run a notebook in a kernel of this interpreter, without anybody's settings, and write it with its outputs.

    Parameters
    ----------
    source, target : pathlib.Path
        The notebook, and where to write what came out; nothing is written where a cell fails.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        With the cell and its traceback.
    """
    notebook = nbformat.read(source, as_version=4)
    with TemporaryDirectory(prefix="gpuvgm-kernel-") as folder:
        startup = Path(folder, "profile_default", "startup", "checkout.py")
        startup.parent.mkdir(parents=True)
        startup.write_text(CHECKOUT_LAST, encoding="utf-8")
        NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            record_timing=False,
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}}),  # no port is opened
            resources={"metadata": {"path": folder}},
            startup_timeout=600,
            coalesce_streams=True,
        ).execute(env=os.environ | {"IPYTHONDIR": folder})
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def main() -> None:
    """Run the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description="Run the notebooks from clean kernels.")
    parser.add_argument("names", nargs="*", help="beginnings of file names, 03 for example; by default all")
    parser.add_argument("--update", action="store_true", help="write the outputs into the notebooks themselves")
    parser.add_argument("--into", type=Path, default=BUILD, help="folder for the executed copies")
    arguments = parser.parse_args()
    sources = sorted(NOTEBOOKS.glob("*.ipynb"))
    chosen = [path for path in sources if path.name.startswith(tuple(arguments.names or [""]))]
    if not chosen:
        parser.error(f"no notebook begins with {', '.join(arguments.names)}")
    for source in chosen:
        target = source if arguments.update else arguments.into / source.name
        start = time.perf_counter()
        execute(source, target)
        print(f"{source.name}  {time.perf_counter() - start:.1f} s, {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
