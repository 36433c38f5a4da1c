"""The notebooks beside the pages: they lie outside of docs/, and pages link to them as they lie in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
FOLDER = "notebooks/"


def on_files(files: Any, config: Any) -> Any:
    """Files of the site with the notebooks, to be downloaded."""
    for path in sorted((ROOT / FOLDER).glob("*.ipynb")):
        files.append(File.generated(config, FOLDER + path.name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page at the top of docs/ whose links lead to the site's copies."""
    return markdown.replace(f"](../{FOLDER}", f"]({FOLDER}") if "/" not in page.file.src_uri else markdown
