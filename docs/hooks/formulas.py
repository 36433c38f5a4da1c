"""Formulas of the pages as MathML, made while the site is built: browsers show it without a script."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<text>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)


def on_page_content(content: str, **_: Any) -> str:
    """A page's HTML with MathML where formulas were."""
    return _FORMULA.sub(_mathml, content)


def _mathml(found: re.Match[str]) -> str:
    tag, display = found["tag"], "block" if found["open"] == "[" else "inline"
    formula = convert(html.unescape(found["text"]).strip(), display=display)
    formula = formula.replace("<mi>&#x02032;</mi>", '<mi class="prime">&#x02032;</mi>')
    if "<mi>&</mi>" in formula:
        raise PluginError(f"a formula aligns outside of align*: {found['text']}")
    return f'<{tag} class="arithmatex" data-search-exclude>{formula}</{tag}>'
