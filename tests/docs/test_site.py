"""What `make docs` checks sees what is wrong; formulas and commands get into the pages."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gpuvgm
from gpuvgm.cli.options import COMMON, OPTIONS
from tests.docs.pages import DOCS, ROOT

pytest.importorskip("mkdocs", reason='the site is not built here: pip install -e ".[docs]"')
pytest.importorskip("latex2mathml", reason='the site is not built here: pip install -e ".[docs]"')


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"<html><body>{body}</body></html>", encoding="utf-8")


def test_what_is_wrong_with_links_is_found(tmp_path: Path) -> None:
    page(tmp_path, "a.html", '<a href="b.html#there">fine</a><a href="https://example.org">fine, too</a>')
    page(tmp_path, "b.html", '<h1 id="there">b</h1><a href="#there">here</a><a href="/a.html">root</a>')
    assert list(hook("links").broken(tmp_path)) == []
    page(tmp_path, "c.html", '<a href="d.html"></a><a href="b.html#gone"></a><script src="//cdn.example/x"></script>')
    (tmp_path / "s.css").write_text('@font-face { src: url("https://fonts.example/f.woff2") }')
    assert list(hook("links").broken(tmp_path)) == [
        "c.html: loads //cdn.example/x from elsewhere",
        "c.html: d.html leads nowhere",
        "c.html: b.html#gone names an anchor that is not there",
        "s.css: loads https://fonts.example/f.woff2 from elsewhere",
    ]


def test_formulas_become_mathml() -> None:
    formulas = hook("formulas")
    made = formulas.on_page_content(r'<p>so <span class="arithmatex">\(x &lt; \mu_k\)</span></p>')
    assert made.startswith('<p>so <span class="arithmatex" data-search-exclude><math ')
    assert "<mo>&#x0003C;</mo>" in made
    with pytest.raises(Exception, match="align"):
        formulas.on_page_content(r'<div class="arithmatex">\[\begin{aligned} a &amp;= b \end{aligned}\]</div>')


def test_the_reference_lists_no_methods_for_python_itself() -> None:
    """What mkdocstrings leaves out: names that a pattern with ! matches, unless a later one without matches them."""
    (patterns,) = re.findall(r"^ *filters: (\[.*\])$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    listed = set()
    for name in vars(gpuvgm.TrainingRows):
        kept = True
        for pattern in json.loads(patterns):
            if re.search(pattern.removeprefix("!"), name):
                kept = not pattern.startswith("!")
        listed |= {name} if kept else set()
    assert {"batch", "__getitem__"} <= listed and "__getstate__" not in listed


def test_every_command_is_described() -> None:
    text = hook("commands").reference()

    def names(section: str) -> set[str]:
        part = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
        return set(re.findall(r"^│ (?:\*  |   )?--([a-z-]+)", part, re.MULTILINE))

    common = {name.replace("_", "-") for name in COMMON}
    assert names("Options of every command") == common
    for command, options in OPTIONS.items():
        assert names(command) == {"help"} | {option.replace("_", "-") for option in options} - common, command


def test_a_notebook_becomes_a_page_with_its_outputs(tmp_path: Path) -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["20,000 ", "rows\n"]},
        {"data": {"text/plain": ["a table"], "text/html": ["<style scoped>\n td {}\n</style>\n<table>\n\n</table>"]}},
        {"data": {"text/plain": ["<Figure>"], "image/png": base64.b64encode(b"pixels").decode()}},
    ]
    links = "[read](../docs/how-to/kinds.md), [next](04-more.ipynb)"
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", links]},
        {"cell_type": "code", "source": ["print(rows)"], "outputs": outputs},
    ]
    path = tmp_path / "03-some.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    text, pictures = hook("notebooks").page_of(path)
    assert text.split("\n\n") == [
        "# Title\n[read](../how-to/kinds.md), [next](04-more.md)",
        "````python\nprint(rows)\n````",
        "````text\n20,000 rows\n````",
        '<div class="output"><table>\n</table></div>',
        "![<Figure>](03-some-1.png)",
        "[Download this notebook](03-some.ipynb)\n",
    ]
    assert pictures == {"03-some-1.png": b"pixels"}


@pytest.mark.skipif(not any(map(shutil.which, hook("overflow").BROWSERS)), reason="no Chromium is installed")
def test_pages_wider_than_a_phone_are_found(tmp_path: Path) -> None:
    page(tmp_path, "a.html", '<div style="width: 500px">wide</div>')
    page(tmp_path, "b.html", '<div style="overflow: auto"><div style="width: 500px">scrolls</div></div>')
    overflow = hook("overflow")
    browser = next(filter(None, map(shutil.which, overflow.BROWSERS)))
    assert [line.partition(":")[0] for line in overflow.too_wide(tmp_path, browser)] == ["a.html"]
