"""No files of one room import each other in a circle; imports inside functions and for types count."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import gpuvgm

ROOT = Path(gpuvgm.__file__).parent
ROOMS = sorted(folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists())


def modules_of(room: str) -> dict[str, Path]:
    """The modules of a room by their full names."""
    found = {}
    for path in (ROOT / room).rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Names that a module imports, anywhere in its text: modules, and what comes from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_of(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """For each module the other ones that it imports."""
    found = {}
    for name, path in modules.items():
        parents = {part if part in modules else part.rpartition(".")[0] for part in imported(path)}
        found[name] = (parents & modules.keys()) - {name}
    return found


def reachable(imports: Mapping[str, set[str]], start: str) -> set[str]:
    """Modules that one imports, directly or through others."""
    seen: set[str] = set()
    ahead = list(imports[start])
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += imports[name]
    return seen


def circles(imports: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """Strongly connected components of more than one module."""
    reach = {name: reachable(imports, name) for name in imports}
    return {
        frozenset(other for other in reach[name] if name in reach[other]) for name in imports if name in reach[name]
    }


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {frozenset("bc")}


@pytest.mark.parametrize("room", ROOMS)
def test_no_circles(room):
    found = circles(imports_of(modules_of(room)))
    assert not found, [sorted(circle) for circle in found]
