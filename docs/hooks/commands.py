"""The reference of the command line, made of the commands' own help while the site is built."""

from __future__ import annotations

import html
import re
from typing import Any

from typer.testing import CliRunner

from gpuvgm.cli.commands import app
from gpuvgm.cli.options import OPTIONS

MARK = "<!-- commands -->"
COMMON = re.compile(r"^╭─ Output and settings .*\n(│.*\n)+╰.*\n", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page with every command's help in the place of the mark."""
    return markdown.replace(MARK, reference()) if MARK in markdown else markdown


def reference() -> str:
    """A heading and the help of every command; the options that all have stand once, at the end."""
    helps = {name: _help(name) for name in OPTIONS}
    common = next(filter(None, map(COMMON.search, helps.values())))[0]
    sections = {name: COMMON.sub("", text) for name, text in helps.items()} | {"Options of every command": common}
    return "\n".join(
        f"## {name}\n\n<pre><code>{html.escape(text.strip())}</code></pre>\n" for name, text in sections.items()
    )


def _help(*arguments: str) -> str:
    # Not TERMINAL_WIDTH as well: Typer reads it once, at its import, for all help that the process prints later.
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="gpuvgm", env={"COLUMNS": "100"})
    if result.exit_code:
        raise RuntimeError(f"{arguments}: {result.output}")
    text = "\n".join(line.rstrip() for line in result.stdout.partition("\n Every option can")[0].splitlines())
    return f"{text}\n"
