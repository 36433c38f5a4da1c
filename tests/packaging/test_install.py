"""The commands that install gpuvgm: messages take them from one place, and the documentation agrees with it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import gpuvgm
from gpuvgm.errors import RELEASED, pip_command
from tests.docs.pages import PAGES
from tests.packaging.project import EXTRAS, ROOT

PACKAGE = Path(gpuvgm.__file__).parent
#: What `pip install` is given: a package or folder, perhaps quoted, perhaps with extras.
COMMAND = re.compile(r"""pip install (?:--?[a-z-]+ )*"?((?:gpuvgm|\.)(?:\[[a-z0-9,-]+\])?)(?=["`\s]|$)""", re.MULTILINE)


def commands(page):
    return COMMAND.findall(page.read_text(encoding="utf-8"))


def test_messages_take_their_commands_from_one_place():
    files = [
        file.relative_to(PACKAGE).as_posix()
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and re.search("pip install .*gpuvgm", str(node.value))
    ]
    assert set(files) == {"errors.py"}


def test_commands():
    assert pip_command("dask") == 'pip install "gpuvgm[dask]"'
    assert pip_command("cuda") == 'pip install "gpuvgm[cu13]" (or "gpuvgm[cu12]" for a driver of CUDA 12)'
    upgrade, rebuild = pip_command("upgrade"), pip_command("rebuild")
    assert ("--upgrade gpuvgm" in upgrade, "pip install ." in upgrade) == (RELEASED, not RELEASED)
    assert ("--no-binary gpuvgm gpuvgm" in rebuild, " . in the checkout" in rebuild) == (RELEASED, not RELEASED)


def test_documentation_says_whether_there_is_a_release():
    text = " ".join((ROOT / "docs" / "install.md").read_text(encoding="utf-8").split())
    assert ("It is not released yet" in text) is not RELEASED


@pytest.mark.parametrize("page", ["README.md", "docs/install.md", "docs/tutorial.md"])
def test_first_installation(page):
    """Before the first release from the checkout, then from PyPI."""
    assert ("gpuvgm" if RELEASED else ".") in commands(ROOT / page)
    assert RELEASED or "--upgrade gpuvgm" not in (ROOT / page).read_text(encoding="utf-8")


def test_extras_that_are_named_exist():
    named = [Requirement(text.replace(".", "gpuvgm")).extras for page in PAGES for text in commands(page)]
    assert set().union(*named) <= set(EXTRAS)
    assert {"cu12", "cu13", "dask"} <= set().union(*named)


def test_every_extra_for_users_is_explained():
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    explained = [
        name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall("`([^`]+)`", row)
    ]
    (everything,) = map(Requirement, EXTRAS["all"])
    assert sorted(explained) == sorted({*everything.extras, "all", "cu12", "cu13"})


@pytest.mark.parametrize("page", [path for path in (ROOT / "docs").rglob("*.md") if path.name != "install.md"])
def test_pages_that_add_packages_say_where_gpuvgm_itself_comes_from(page):
    text = page.read_text(encoding="utf-8")
    assert RELEASED or 'pip install "gpuvgm[' not in text or "install.md" in text


def test_pages_agree_on_where_gpuvgm_runs():
    install, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/install.md", "README.md"))
    assert "macOS and Windows, where it is not tested" in install
    assert "tested on Linux only" in readme and "runs on Linux only" not in readme
