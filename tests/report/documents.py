"""Pages read with html.parser, as trees that tests can ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link"}


@dataclass
class Node:
    name: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    parts: list[str | Node] = field(default_factory=list)

    def all(self, name: str, css: str | None = None) -> list[Node]:
        """All elements of a name below this one, and of a class."""
        found = []
        for child in self.children:
            if child.name == name and (css is None or css in (child.attributes.get("class") or "").split()):
                found.append(child)
            found += child.all(name, css)
        return found

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        self.open[-1].parts.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def parsed(text: str) -> Node:
    """The tree of a page; elements that are not closed, or in another order, fail."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert [node.name for node in parser.open] == ["document"]
    return parser.open[0]
