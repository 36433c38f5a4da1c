"""Pages of the built site on a phone: none is wider than the screen. Checked where Chromium is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import get_plugin_logger

WIDTH = 390  # pixels of a phone's screen
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
_MEASURE = """<!doctype html>
<style>iframe { width: WIDTHpx; height: 800px; border: 0 }</style>
<pre id="found"></pre>
FRAMES
<script>
onload = () => {
  const widths = [...document.querySelectorAll("iframe")].map((one) => one.contentDocument.documentElement.scrollWidth);
  document.getElementById("found").textContent = JSON.stringify(widths);
};
</script>"""


def on_post_build(config: Any) -> None:
    """Stop the build where a page is wider than a phone."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        get_plugin_logger(__name__).info("widths of pages are not checked: Chromium is not installed")
        return
    problems = list(too_wide(Path(config["site_dir"]), browser))
    if problems:
        raise PluginError("\n".join(problems))


def too_wide(site: Path, browser: str) -> Iterator[str]:
    """Pages of a site that have to be scrolled sideways, one line each."""
    pages = sorted(site.resolve().rglob("*.html"))
    frames = "\n".join(f'<iframe src="{page.as_uri()}"></iframe>' for page in pages)
    with TemporaryDirectory(prefix="gpuvgm-widths-", ignore_cleanup_errors=True) as folder:
        measure = Path(folder) / "measure.html"
        measure.write_text(_MEASURE.replace("WIDTH", str(WIDTH)).replace("FRAMES", frames), encoding="utf-8")
        options = ("--headless", "--no-sandbox", f"--user-data-dir={folder}/profile", *QUIET)
        command = [browser, *options, "--allow-file-access-from-files", "--dump-dom", measure.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)
    if not found or not found[1]:
        raise PluginError(f"{browser} did not measure the pages: {done.stderr[-500:]}")
    for page, width in zip(pages, json.loads(found[1]), strict=True):
        if width > WIDTH:
            yield f"{page.relative_to(site.resolve())}: {width} pixels wide, {WIDTH} on a phone"
