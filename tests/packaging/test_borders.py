"""A room is entered through its door, which offers what other rooms take and nothing else; names never become more."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import gpuvgm

PACKAGE = Path(gpuvgm.__file__).parent
MOST = 307  # names across borders; may be lowered, and never raised
ONE_SIDE = ("columns", "codecs")  # of borders: what columns alone takes of codecs is not counted among these
MOST_IN_TESTS = 165  # names that tests of one room take from the inside of another; may be lowered as well
MOST_INSIDE = 144  # names across the rooms inside synthesis; may be lowered, and never raised
KERNEL = {"summary", "engines", "mixture"}
GROUND = "ground"
FOR_USERS = {"datasets": {"amount", "mixed_table_rows"}}  # rows to try things with, as notebooks and pages do


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


def door(room: Path) -> Iterator[tuple[str, str]]:
    """Module and name of what a folder's stub offers."""
    stub = room / "__init__.pyi"
    if stub.exists():
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                yield from ((f"gpuvgm.{node.module}", alias.name) for alias in node.names)


def taken() -> Iterator[tuple[str, str, str]]:
    """The room, the module and the name of all that is taken from another room; the package's door takes as well."""
    yield from ((GROUND, module, name) for module, name in door(PACKAGE))
    for file in PACKAGE.rglob("*.py"):
        inside = file.relative_to(PACKAGE).parts
        room = inside[0] if len(inside) > 1 else GROUND
        yield from ((room, module, name) for module, name in taken_by(file) if room_of(module) != room)


def crossings() -> dict[str, dict[str, set[str]]]:
    """By the room that gives a name, and the name: the rooms that take it."""
    given: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for room, module, name in taken():
        given[room_of(module)][name].add(room)
    return given


def test_a_room_is_entered_through_its_door() -> None:
    past = {f"{room}: {module}.{name}" for room, module, name in taken() if module.count(".") > 1}
    assert not past, "import these from their rooms, whose stubs offer them"


def test_a_door_offers_what_other_rooms_take_and_nothing_else() -> None:
    given = crossings()
    for room in (folder for folder in PACKAGE.iterdir() if (folder / "__init__.py").exists()):
        offered, asked = {name for _, name in door(room)}, {*given[room.name]} | FOR_USERS.get(room.name, set())
        assert offered == asked, f"{room.name}: add {sorted(asked - offered)}, take out {sorted(offered - asked)}"


def test_names_across_borders_are_never_more() -> None:
    by_room = crossings()
    inner = [name for name, takers in by_room[ONE_SIDE[1]].items() if takers == {ONE_SIDE[0]}]
    count = sum(map(len, by_room.values())) - len(inner)
    assert count <= MOST, f"{count} names cross borders, {MOST} may: take as many away as were added"
    assert count == MOST, f"{count} names cross borders: lower MOST to that"


def test_tests_of_a_room_take_what_doors_of_others_offer() -> None:
    """A room's own tests may look inside; those of others go through its door, as all but the listed count do."""
    tests = Path(__file__).parents[1]
    inside = {
        (file, module, name)
        for file in tests.rglob("*.py")
        for module, name in taken_by(file)
        if module.count(".") > 1 and room_of(module) != file.relative_to(tests).parts[0]
    }
    assert len(inside) == MOST_IN_TESTS, f"{len(inside)} names are taken past doors: {sorted(map(str, inside))[:20]}"


def taken_inside() -> Iterator[tuple[str, str, str]]:
    """The inner room of synthesis, the module and the name of all that is taken from another inner room."""
    folder = PACKAGE / "synthesis"
    yield from (("", f"gpuvgm.synthesis.{module.removeprefix('gpuvgm.')}", name) for module, name in door(folder))
    for file in folder.rglob("*.py"):
        room = file.relative_to(folder).with_suffix("").parts[0]
        for module, name in taken_by(file):
            if module.startswith("gpuvgm.synthesis.") and module.split(".")[2] != room:
                yield room, module, name


def test_rooms_inside_synthesis_have_doors() -> None:
    inside = {*taken_inside()}
    past = {f"{room}: {module}.{name}" for room, module, name in inside if module.count(".") > 2}
    assert not past, "import these from their rooms, whose stubs offer them"
    for room in (folder for folder in (PACKAGE / "synthesis").iterdir() if (folder / "__init__.py").exists()):
        offered = {name for _, name in door(room)}
        asked = {name for _, module, name in inside if module == f"gpuvgm.synthesis.{room.name}"}
        assert offered == asked, f"{room.name}: add {sorted(asked - offered)}, take out {sorted(offered - asked)}"
    count = len({(module, name) for room, module, name in inside if room})
    assert count == MOST_INSIDE, f"{count} names cross borders inside synthesis: lower MOST_INSIDE, or take some away"


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
