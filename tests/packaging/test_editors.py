"""What editors complete: jedi, of Jupyter, Spyder and vim, reads the doors' stubs and runs nothing."""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import jedi
import pytest

import gpuvgm

PACKAGE = Path(gpuvgm.__file__).parent
DOORS = sorted(stub.parent.relative_to(PACKAGE.parent).as_posix() for stub in PACKAGE.rglob("__init__.pyi"))


@pytest.fixture(scope="module")
def completions(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], set[str]]:
    """What jedi offers at the end of a text, in a copy of the package: the finder of an editable install hides it."""
    folder = tmp_path_factory.mktemp("editor")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "*.so", "kernels"))
    project = jedi.Project(folder)
    environment = jedi.create_environment(sys.base_prefix, safe=False)

    def names(text: str) -> set[str]:
        script = jedi.Script(text, path=folder / "editor.py", project=project, environment=environment)
        return {completion.name for completion in script.complete()}

    return names


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_is_offered(door: str, completions: Callable[[str], set[str]]) -> None:
    stub = ast.parse(PACKAGE.parent.joinpath(door, "__init__.pyi").read_text(encoding="utf-8"))
    names = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names <= completions(f"from {door.replace('/', '.')} import ")


def test_methods_of_public_classes_are_offered(completions: Callable[[str], set[str]]) -> None:
    assert {"fit", "sample", "evaluate", "laws_"} <= completions("import gpuvgm\ngpuvgm.TableSynthesizer().")
    assert {"transform", "iter_batches"} <= completions("from gpuvgm import TableTransformer\nTableTransformer().")
