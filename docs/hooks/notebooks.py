"""The notebooks as pages with their outputs: they lie outside of docs/, and links to them are as in the repository."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
FOLDER = "notebooks/"
_TO_NOTEBOOK = re.compile(r"\]\((?P<folder>(?:\.\./notebooks/)?)(?P<name>\d\d-[\w-]+)\.ipynb\)")
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_CARD = re.compile(r"^- (?=\[[^]]*\]\(notebooks/(?P<name>\d\d-[\w-]+)\.md\))", re.MULTILINE)
GALLERY = "notebooks.md"


def on_files(files: Any, config: Any) -> Any:
    """Files of the site with a page, its pictures and the file itself for every notebook."""
    for path in sorted((ROOT / FOLDER).glob("*.ipynb")):
        files.append(File.generated(config, FOLDER + path.name, abs_src_path=str(path)))
        text, pictures = page_of(path)
        files.append(File.generated(config, f"{FOLDER}{path.stem}.md", content=text))
        for name, picture in pictures.items():
            files.append(File.generated(config, FOLDER + name, content=picture))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """A page at the top of docs/ whose links lead to the notebooks' pages; their list has a picture of each."""
    if "/" in page.file.src_uri:
        return markdown
    text = _TO_NOTEBOOK.sub(rf"]({FOLDER}\g<name>.md)", markdown)
    return _CARD.sub(lambda item: _card(item["name"], files), text) if page.file.src_uri == GALLERY else text


def _card(name: str, files: Any) -> str:
    """The start of a list's item that shows the last picture of a notebook, where it has one."""
    pictures = [file.src_uri for file in files if re.fullmatch(rf"{FOLDER}{name}-\d+\.png", file.src_uri)]
    return f"- [![]({pictures[-1]})]({FOLDER}{name}.md)<br>" if pictures else "- "


def page_of(path: Path) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook, and its pictures by file name."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    pictures: dict[str, bytes] = {}
    parts: list[str] = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_TO_NOTEBOOK.sub(r"](\g<name>.md)", source).replace("](../docs/", "](../"))
            continue
        parts.append(_fenced(source, "python"))
        for output in cell["outputs"]:
            parts.extend(_shown(output, path.stem, pictures))
    parts.append(f"[Download this notebook]({path.name})")
    return "\n\n".join(parts) + "\n", pictures


def _shown(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """One output of a cell: a picture, a table, or text."""
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode(data["image/png"])
        yield f"![{data['text/plain']}]({name})"
    elif "text/html" in data:
        lines = _STYLE.sub("", data["text/html"]).splitlines()
        yield '<div class="output">' + "\n".join(line.strip() for line in lines if line.strip()) + "</div>"
    elif text := "".join(output.get("text", "")) or data.get("text/plain"):
        yield _fenced(text.rstrip(), "text")


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text}\n````"
