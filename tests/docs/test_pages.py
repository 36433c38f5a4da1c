"""What README and documentation show runs as it stands there."""

from __future__ import annotations

import ast
import inspect
import logging
import re
import shutil
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.exceptions import ConvergenceWarning

import gpuvgm
from gpuvgm.cli.options import OPTIONS, OTHER_VARIABLES
from gpuvgm.columns import TableSchema
from tests.cli.running import invoke
from tests.conftest import needs, needs_gpu
from tests.docs.pages import DEVICE, DOCS, PAGES, ROOT, Block, blocks, python_blocks, run_page, run_python

STORES = DOCS / "how-to" / "storage.md"  # run by tests/io/storage, which has a store
TUTORIAL = DOCS / "tutorial.md"  # run with what it shows
RUN = [page for page in PAGES if page not in (STORES, TUTORIAL) and blocks(page)]
NUMBERS = ("amount", "income", "balance", "year", "id")
TEXTS = ("grade", "price", "born")
ROWS = pa.schema([(name, pa.float64()) for name in NUMBERS] + [(name, pa.string()) for name in TEXTS])


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


ON_A_GPU = [
    pytest.param(block, id=f"{name(block.page)}:{block.line}", marks=[needs(one) for one in block.imported & DEVICE])
    for block in python_blocks(DEVICE)
]


@pytest.fixture(scope="session")
def your_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's own file."""
    path = tmp_path_factory.mktemp("rows") / "your.parquet"
    gpuvgm.generate(path, 5000, kind="mixed-table")
    return path


@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_code_of_a_page_runs(
    page: Path, your_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("gpuvgm"), "handlers", [])
    caplog.set_level(logging.NOTSET, "gpuvgm")  # afterwards the level is as before
    shutil.copy(your_rows, tmp_path)
    for _ in run_page(page):
        pass


def test_the_tutorial_shows_what_comes_out(working_folder: Path) -> None:
    printed = ""
    for block in blocks(TUTORIAL):
        if block.language == "python":
            run_python(block)
        else:
            printed += "".join(invoke(*words).stdout for words in block.commands)
    printed += "".join(path.read_text(encoding="utf-8") for path in working_folder.glob("*.csv"))
    shown = [line for block in blocks(TUTORIAL, "text") for line in block.code.splitlines()]
    assert len(shown) > 10
    for line in shown:
        assert re.sub(r"in \d+\.\d+ s$", "in ", line) in printed


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("block", ON_A_GPU)
def test_code_for_a_gpu_runs(block: Block, working_folder: Path) -> None:
    import cupy

    gpuvgm.generate("amount.parquet", 10_000)
    allocator = cupy.cuda.get_allocator()
    try:
        run_python(block)
    finally:
        cupy.cuda.set_allocator(allocator)


def test_some_code_is_for_a_gpu() -> None:
    assert python_blocks(DEVICE)


def test_both_ways_to_declare_columns_say_the_same() -> None:
    page = DOCS / "how-to" / "kinds.md"
    (toml,) = blocks(page, "toml")
    given: dict[str, Any] = {}
    exec(next(block.code for block in blocks(page, "python") if "columns = {" in block.code), given)
    specs = given["columns"], tomllib.loads(toml.code)["columns"]
    in_python, in_toml = (TableSchema.declare(spec, ROWS, "rows") for spec in specs)
    for spec in in_toml.columns:
        assert spec.kind in ("infer", in_python[spec.name].kind)


def test_both_sides_of_the_diff_give_the_same_labels() -> None:
    x = np.random.default_rng(0).normal(size=(500, 2)) + np.repeat([[0.0, 0.0], [8.0, 3.0]], 250, axis=0)
    (diff,) = blocks(DOCS / "how-to" / "scikit-learn.md", "diff")
    lines = diff.code.splitlines()
    assert {line[:1] for line in lines} <= {"-", "+", " ", ""}
    theirs, ours = ([line[1:] for line in lines if line[:1] in (side, " ")] for side in "-+")
    labels = [labels_of(code, x) for code in (theirs, ours)]
    np.testing.assert_array_equal(*labels)
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "how-to" / "sdv.md"], ids=name)
def test_our_lines_beside_those_of_sdv_run(page: Path) -> None:
    (diff,) = blocks(page, "diff")
    ours = [line[1:] for line in diff.code.splitlines() if line.startswith("+")]
    assert len(ours) == sum(line.startswith("-") for line in diff.code.splitlines()) == 3
    names: dict[str, Any] = {"gpuvgm": gpuvgm, "people": {"age": np.arange(18, 90).repeat(4)}}
    exec("\n".join(ours), names)
    assert len(names["rows"]["age"]) == 1_000


def labels_of(lines: list[str], x: np.ndarray) -> np.ndarray:
    names: dict[str, Any] = {"x": x}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exec("\n".join(lines), names)
    return names["labels"]


def test_what_make_is_told_to_do_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        assert set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)$", page.read_text(), re.MULTILINE)) <= targets, page


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name)
def test_links_outside_the_site_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (ROOT / target).exists(), target


def test_the_page_of_the_environment_has_every_variable_apart_from_options() -> None:
    text = (DOCS / "reference" / "environment.md").read_text()
    assert all(f"`{variable}`" in text for variable in OTHER_VARIABLES)


def test_commands_shown_in_text_are_there() -> None:
    for page in PAGES:
        shown = set(re.findall(r"`gpuvgm ([a-z]+)", page.read_text()))
        assert shown <= {*OPTIONS, "serve"}, page


def test_every_default_is_listed_as_it_is() -> None:
    page = (DOCS / "reference" / "defaults.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", page, re.M))
    parameters = inspect.signature(gpuvgm.TableTransformer).parameters.values()
    assert {name: ast.literal_eval(value) for name, value in listed.items()} == {p.name: p.default for p in parameters}
    assert list(listed) == [p.name for p in parameters]
