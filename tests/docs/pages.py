"""Pages of the documentation, the README among them: their blocks of code, and how these are run."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.running import invoke

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
DEVICE = {"cudf", "cupy", "rmm"}
REPLACED = {"ctgan", "rdt"}
BESIDE = {"torch", "pyspark", "sdv"}  # what gpuvgm works with and does not need
FOREVER = {"serve"}  # commands that end only when they are told to

_BLOCK = re.compile(r"(?P<mark><!-- not run[^\n]*-->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, its language, and what it holds."""

    page: Path
    line: int
    language: str
    code: str

    @property
    def imported(self) -> set[str]:
        """Packages that a block of Python imports."""
        nodes = list(ast.walk(ast.parse(self.code)))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        drop_ins = {name.rpartition(".")[2] for name in names if name.startswith("gpuvgm.integrations.")}
        return {name.partition(".")[0] for name in names} | (drop_ins & REPLACED)

    @property
    def commands(self) -> list[list[str]]:
        """Commands of gpuvgm in a block of the shell that end by themselves."""
        lines = [shlex.split(line, comments=True) for line in self.code.replace("\\\n", " ").splitlines()]
        commands = [words[1:] for words in lines if words and words[0].removeprefix(".venv/bin/") == "gpuvgm"]
        return [words for words in commands if words[0] not in FOREVER]


def blocks(page: Path, *languages: str) -> list[Block]:
    """Blocks of a page, but for those that a comment before them says are not run, and why."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("code")), found["language"], found["code"])
        for found in _BLOCK.finditer(text)
        if not found["mark"] and found["language"] in (languages or ("python", "sh"))
    ]


def python_blocks(packages: set[str]) -> list[Block]:
    """Blocks of Python, of all pages, that import one of some packages."""
    return [block for page in PAGES for block in blocks(page, "python") if block.imported & packages]


def run_python(block: Block) -> dict[str, Any]:
    """The names that a block leaves behind; it runs as a file of the working folder."""
    file = Path(f"line_{block.line}.py")
    file.write_text(block.code, encoding="utf-8")
    return runpy.run_path(str(file))


def run_page(page: Path) -> Iterator[tuple[Block, dict[str, Any]]]:
    """Run the blocks of a page one after the other; every block of Python with names of its own."""
    for block in blocks(page):
        if block.language == "sh":
            for words in block.commands:
                invoke(*words)
        elif not block.imported & (DEVICE | REPLACED | BESIDE):
            yield block, run_python(block)
