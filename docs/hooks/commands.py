"""The reference of the command line, made of the commands' own help while the site is built."""

from __future__ import annotations

import html
from typing import Any

from typer.testing import CliRunner

from gpuvgm.cli.commands import app
from gpuvgm.cli.options import OPTIONS

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page with every command's help in the place of the mark."""
    return markdown.replace(MARK, reference()) if MARK in markdown else markdown


def reference() -> str:
    """A heading and the help of every command."""
    return "\n".join(f"## {name}\n\n<pre><code>{html.escape(_help(name))}</code></pre>\n" for name in OPTIONS)


def _help(*arguments: str) -> str:
    result = CliRunner().invoke(
        app, [*arguments, "--help"], prog_name="gpuvgm", env={"COLUMNS": "100", "TERMINAL_WIDTH": "100"}
    )
    if result.exit_code:
        raise RuntimeError(f"{arguments}: {result.output}")
    return result.stdout.partition("\n  Every option has")[0].strip()
