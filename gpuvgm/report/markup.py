"""HTML elements from text, which is escaped, and from other elements, which are not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from html import escape

from gpuvgm.errors import printable

# Controls and lone surrogates, which HTML and UTF-8 cannot hold, and marks that reorder the text that is shown.
_HIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_SHOWN = re.compile(f"[{_HIDDEN}]")
_CHANGED = re.compile(f"[&<>\"'{_HIDDEN}]")
VOID = frozenset({"meta", "link"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Iterable[str] | None


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """One element.

    Parameters
    ----------
    name : str
        Its name.
    *children : str, Markup, iterable of these, or None
        Content of the element; text is escaped, Markup is not.
    **attributes : object
        A trailing underscore is dropped, others become hyphens; None leaves an attribute out, True gives it no value.
        Markup is taken as it is: it may hold no quotation mark.
    """
    start_tag = name
    for key, value in attributes.items():
        if value is True:
            start_tag += f" {_word(key)}"
        elif value is not None and value is not False:
            text = value if isinstance(value, Markup) else escaped(str(value))
            start_tag += f' {_word(key)}="{text}"'
    return Markup(f"<{start_tag}>" if name in VOID else f"<{start_tag}>{join(*children)}</{name}>")


@cache
def _word(key: str) -> str:
    """Name of an attribute."""
    return key.rstrip("_").replace("_", "-")


def escaped(text: str) -> str:
    """Escape text for HTML; control characters, lone surrogates and marks of writing direction become visible."""
    if _CHANGED.search(text) is None:  # as nearly all is
        return text
    return escape(_SHOWN.sub(lambda match: printable(match[0]), text))


def join(*children: Child) -> Markup:
    """Several pieces, one behind the other."""
    texts: list[str] = []
    for child in children:
        if isinstance(child, str):
            texts.append(child if isinstance(child, Markup) else escaped(child))
        elif child is not None:
            texts += [piece if isinstance(piece, Markup) else join(piece) for piece in child]
    return Markup("".join(texts))
