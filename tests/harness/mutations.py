"""Faults put into functions by lot: do the tests of their room find them?

`python -m tests.harness.mutations --seed 76 --count 40 --out build/mutations.jsonl` picks functions of the package by
the seed, puts one simple fault into each (a comparison turned, a whole number one more, a branch negated, an argument
returned as it came) and runs the tests of the function's room with `-x`. It writes a line for each: "found", with the
test that failed; "not found"; "stopped", at the end of the minutes that a run may take. Functions that no test executed
are not counted, nor are those of `EQUIVALENT`.

`--again build/mutations.jsonl` puts in those that were not found there, to ask another state of the tests. Files of the
tree that the command stands in are changed, and changed back: let nothing else use it meanwhile.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGE = Path("gpuvgm")
OPPOSITES = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
#: Faults that change nothing that a caller can see, and why.
EQUIVALENT: dict[str, str] = {}
#: Rooms whose tests lie in another folder than their own.
FOLDERS = {"estimator": "mixture"}


@dataclass(frozen=True)
class Mutation:
    """A fault: what stands in a function in the place of what."""

    function: str  # gpuvgm/io/csv.py:Dialect.of
    line: int
    before: str
    after: str

    @property
    def path(self) -> Path:
        return Path(self.function.partition(":")[0])

    @property
    def tests(self) -> Path:
        """Folder with the tests of the room."""
        room = self.path.parts[1]
        return Path("tests", FOLDERS.get(room, room))


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(path: Path) -> Iterator[tuple[str, Function]]:
    """Functions and methods of a file by their names, without those within functions."""

    def walk(node: ast.AST, name: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from walk(child, f"{name}{child.name}.")
            elif isinstance(child, Function):
                yield f"{path.as_posix()}:{name}{child.name}", child

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), "")


def all_functions() -> dict[str, Function]:
    """Functions of all rooms that have a folder of tests."""
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if len(path.parts) > 2]
    functions = {name: node for path in paths for name, node in functions_of(path)}
    return {name: node for name, node in functions.items() if Mutation(name, 0, "", "").tests.is_dir()}


def faults_in(function: Function) -> list[tuple[ast.expr, str]]:
    """Expressions of a function's body, and what may stand in their places."""
    faults = []
    for statement in body_of(function):
        for node in ast.walk(statement):
            faults += faults_at(node, arguments_of(function))
    return faults


def faults_at(node: ast.AST, arguments: list[str]) -> list[tuple[ast.expr, str]]:
    """What may stand in the place of an expression, or of one below a statement."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        turned = ast.Compare(node.left, [OPPOSITES[type(node.ops[0])]()], node.comparators)
        return [(node, f"({ast.unparse(turned)})")]
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return [(node, str(node.value + 1))]
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        return [(node.test, f"(not ({ast.unparse(node.test)}))")]
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Name | ast.Constant):
        names = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
        return [(node.value, name) for name in arguments if name in names]
    return []


def body_of(function: Function) -> list[ast.stmt]:
    """Statements without the docstring."""
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def arguments_of(function: Function) -> list[str]:
    """Names of arguments but of the object itself."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return [name for name in names if name not in ("self", "cls")]


def mutations_by_lot(seed: int) -> Iterator[Mutation]:
    """A mutation of each function that has a place for it, in an order by lot."""
    lot, functions = random.Random(seed), all_functions()
    for name in lot.sample(sorted(functions), len(functions)):
        faults = faults_in(functions[name])
        if faults:
            node, after = lot.choice(faults)
            yield Mutation(name, node.lineno, ast.unparse(node), after)


@contextmanager
def put_in(mutation: Mutation, mark: Path) -> Iterator[None]:
    """The fault in its file within; the function makes the file `mark` when it is called."""
    text = mutation.path.read_text(encoding="utf-8")
    function = dict(functions_of(mutation.path))[mutation.function]
    node = next(
        node
        for node, after in faults_in(function)
        if (node.lineno, ast.unparse(node), after) == (mutation.line, mutation.before, mutation.after)
    )
    changed = replaced(text, node, mutation.after).splitlines(keepends=True)
    first = body_of(function)[0]
    indent = " " * first.col_offset
    changed.insert(first.lineno - 1, f"{indent}__import__('pathlib').Path({os.fspath(mark)!r}).touch()\n")
    mutation.path.write_text("".join(changed), encoding="utf-8")
    try:
        yield
    finally:
        mutation.path.write_text(text, encoding="utf-8")


def replaced(text: str, node: ast.expr, after: str) -> str:
    """A file's text with something else in the place of an expression."""
    lines = text.encode().splitlines(keepends=True)  # columns are counted in bytes
    assert node.end_lineno is not None and node.end_col_offset is not None
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    stop = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    return (text.encode()[:start] + after.encode() + text.encode()[stop:]).decode()


def files_of(mutation: Mutation) -> list[str]:
    """Files with tests of the room: those that speak of the function or its module come first."""
    name, module = (
        mutation.function.rpartition(":")[2].rpartition(".")[2],
        ".".join(mutation.path.with_suffix("").parts),
    )

    def distance(path: Path) -> tuple[bool, bool, int]:
        text = path.read_text(encoding="utf-8")
        return not re.search(rf"\b{name}\b", text), module not in text, len(text)

    return [os.fspath(path) for path in sorted(mutation.tests.rglob("test_*.py"), key=distance)]


def outcome_of(mutation: Mutation, minutes: float, options: list[str]) -> dict[str, str | int | None]:
    """Whether tests find the fault, and which."""
    with tempfile.TemporaryDirectory() as folder:
        mark, log = Path(folder, "called"), Path(folder, "log")
        with put_in(mutation, mark):
            code = run_tests([*options, *files_of(mutation)], log, minutes)
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", log.read_text(encoding="utf-8"), re.MULTILINE)
        outcome = {0: "not found", 5: "not executed", None: "stopped"}.get(code, "found")
        if outcome == "not found" and not mark.exists():
            outcome = "not executed"
    return {**asdict(mutation), "outcome": outcome, "test": failed[0] if failed else None}


def run_tests(arguments: list[str], log: Path, minutes: float) -> int | None:
    """Exit code of pytest; None where it took too long."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not exhaustive", *arguments]
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) as run,
    ):
        try:
            return run.wait(60 * minutes)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with_children(run)


def with_children(run: subprocess.Popen[bytes]) -> None:
    """End a process and what it started."""
    try:
        os.killpg(run.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main() -> None:
    """Put the faults in one after the other; the file of results grows, and what stands there is not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=76)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--again", type=Path)
    settings, options = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the fault is taken out
    done = read(settings.out)
    counted = sum(line["outcome"] != "not executed" for line in done)
    for mutation in asked_for(settings):
        if counted >= settings.count:
            break
        if mutation.function in EQUIVALENT or any(line["function"] == mutation.function for line in done):
            continue
        result = outcome_of(mutation, settings.minutes, options)
        with settings.out.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(result)}\n")
        counted += result["outcome"] != "not executed"
        print(result["outcome"], mutation.function, mutation.line, mutation.before, "->", mutation.after, flush=True)


def asked_for(settings: argparse.Namespace) -> Iterator[Mutation]:
    """Mutations by lot, or those of a file that no test found."""
    if settings.again is None:
        yield from mutations_by_lot(settings.seed)
        return
    for line in read(settings.again):
        if line.pop("outcome") in ("not found", "stopped"):
            line.pop("test")
            yield Mutation(**line)


def read(path: Path) -> list[dict[str, str | int | None]]:
    """Lines of a file of results."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
