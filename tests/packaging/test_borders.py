"""Names that cross the borders of rooms: they are listed in borders.txt, and there are never more of them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import gpuvgm

PACKAGE = Path(gpuvgm.__file__).parent
LIST = Path(__file__).with_name("borders.txt")
MOST = 378  # may be lowered, and never raised
KERNEL = {"summary", "engines", "mixture"}
GROUND = "ground"


def room_of(module: str) -> str:
    """The folder that a module lies in; loose modules are the ground."""
    _, *below = module.split(".")
    return below[0] if below and (PACKAGE / below[0]).is_dir() else GROUND


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def names_of(node: ast.ImportFrom, modules: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Module and name of what is imported; what are modules themselves is noted, by what they are called here."""
    for alias in node.names:
        whole = f"{node.module}.{alias.name}"
        if is_module(whole):
            modules[alias.asname or alias.name] = whole
        else:
            yield str(node.module), alias.name


def taken_by(file: Path) -> Iterator[tuple[str, str]]:
    """Module and name of all that a file takes from gpuvgm, as an import or as an attribute of an imported module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named = {alias.asname: alias.name for alias in node.names if alias.asname}
            modules |= {name: module for name, module in named.items() if module.startswith("gpuvgm.")}
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("gpuvgm."):
            yield from names_of(node, modules)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr


def crossings() -> dict[str, dict[str, set[str]]]:
    """By the room that gives a name, and the name: the rooms that take it."""
    given: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for file in PACKAGE.rglob("*.py"):
        inside = file.relative_to(PACKAGE).parts
        room = inside[0] if len(inside) > 1 else GROUND
        for module, name in taken_by(file):
            if room_of(module) != room:
                given[room_of(module)][name].add(room)
    return given


def test_names_across_borders_are_listed_and_never_more() -> None:
    given = crossings()
    lines = [f"{room} {name}" for room in sorted(given) for name in sorted(given[room])]
    listed = LIST.read_text(encoding="utf-8").split("\n")[:-1]
    added, gone = sorted({*lines} - {*listed}), sorted({*listed} - {*lines})
    assert not added and not gone, f"write these to {LIST.name}: {added}; take these out: {gone}"
    assert len(lines) <= MOST, f"{len(lines)} names cross borders, {MOST} may: take as many away as were added"


def test_the_kernel_takes_nothing_from_rooms_above() -> None:
    above = {
        f"{room}.{name}"
        for room, names in crossings().items()
        if room not in KERNEL | {GROUND, "_native"}
        for name, takers in names.items()
        if takers & KERNEL
    }
    assert not above


def test_no_function_takes_a_source_beside_a_run() -> None:
    functions = [
        f"{file.name}: {node.name}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and {"source", "run"} <= {one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    ]
    assert not functions, "a run is of a source"
