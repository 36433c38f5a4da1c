"""HTML from text, which is escaped, and from other HTML, which is not: pieces of `page.html`, and single elements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib import resources

from gpuvgm.errors import printable

# Controls and lone surrogates, which HTML and UTF-8 cannot hold, and marks that reorder the text that is shown.
_HIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_SHOWN = re.compile(f"[{_HIDDEN}]")
_CHANGED = re.compile(f"[&<>\"'{_HIDDEN}]")
_PIECE = re.compile(r"^<!-- (\w+) -->$", re.MULTILINE)  # the line above each piece, with its name


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Iterable[str] | None


def resource(name: str) -> str:
    """Text of a file beside this one."""
    return resources.files("gpuvgm.report").joinpath(name).read_text(encoding="utf-8").strip()


@cache
def _pieces() -> dict[str, str]:
    """Pieces of `page.html` by their names; line breaks and indentation are no part of them."""
    _, *parts = _PIECE.split(resource("page.html"))
    texts = ["".join(map(str.strip, text.splitlines())) for text in parts[1::2]]
    return dict(zip(parts[::2], texts, strict=True))


def piece(name: str, /, **parts: Child) -> Markup:
    """A piece of `page.html`.

    Parameters
    ----------
    name : str
        Its name.
    **parts : str, Markup, iterable of these, or None
        What stands in the place of each name in braces; text is escaped, Markup is not, None is nothing.
    """
    return Markup(_pieces()[name].format_map({key: join(part) for key, part in parts.items()}))


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
    return Markup(f"<{start_tag}>{join(*children)}</{name}>")


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
            texts += [part if isinstance(part, Markup) else join(part) for part in child]
    return Markup("".join(texts))
