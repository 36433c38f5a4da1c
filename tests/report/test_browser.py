"""The page in a real browser: no message on its console, no scrolling sideways on a phone, and it sorts."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
PHONE = 390
COLUMNS = 50
SECONDS = 10.0  # far above what was measured: another machine may be busy

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed")

# The page is put into a frame as wide as a phone; what is measured there becomes the text of the outer page.
WRAPPER = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" style="border:0;width:{width}px;height:800px"></iframe><pre id="found"></pre>
<script type="application/json" id="text">{text}</script>
<script>
const frame = document.getElementById("page"), start = performance.now();
frame.onload = () => {{
  const inner = frame.contentDocument, root = inner.documentElement;
  const found = {{width: root.clientWidth, needed: root.scrollWidth, seconds: (performance.now() - start) / 1000}};
  found.background = frame.contentWindow.getComputedStyle(inner.querySelector(".gpuvgm")).backgroundColor;
  const body = inner.querySelector(".overview tbody");
  const order = () => [...body.rows].map((row) => row.cells[0].textContent);
  found.before = order();
  const heads = [...inner.querySelectorAll(".overview th[scope=col]")];
  const at = heads.findIndex((head) => head.textContent === "clipped");
  heads[at].querySelector("button").click();
  found.clipped = [...body.rows].map((row) => row.cells[at].dataset.v);
  found.sorted = heads[at].getAttribute("aria-sort");
  heads[0].querySelector("button").click();
  found.names = order();
  const box = inner.querySelector(".tools input"), buttons = [...inner.querySelectorAll(".tools button")];
  const sections = [...inner.querySelectorAll("details.column")];
  box.value = "COLUMN 1";
  box.dispatchEvent(new Event("input"));
  found.rows = [...body.rows].filter((row) => !row.hidden).map((row) => row.cells[0].textContent);
  found.sections = sections.filter((one) => !one.hidden).map((one) => one.querySelector("h2").textContent);
  box.value = "";
  box.dispatchEvent(new Event("input"));
  found.open = buttons.map((one) => {{ one.click(); return sections.filter((column) => column.open).length; }});
  document.getElementById("found").textContent = JSON.stringify(found);
}};
frame.srcdoc = JSON.parse(document.getElementById("text").textContent);
</script>"""


@pytest.fixture(scope="module")
def page() -> str:
    random = np.random.default_rng(0)
    wide = {f"a long name of column {i:02}": random.lognormal(0, 1 + i / 20, 3000) for i in range(COLUMNS - 2)}
    table = pa.table({**wide, "day": random.integers(0, 7, 3000), "city": random.choice(["a", "b" * 60], 3000)})
    return gpuvgm.TableTransformer(effort="research", max_iter=20).fit(table).evaluate(table).to_html()


def opened(page: str, folder: Path, width: int, *options: str, wrapper: str = WRAPPER) -> tuple[dict, str]:
    """What is found of a page in a frame of a width, and what the browser wrote to its console."""
    text = json.dumps(page).replace("<", "\\u003c")
    (folder / "wrapper.html").write_text(wrapper.format(width=width, text=text))
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", *options]
    command += [f"--user-data-dir={folder}", "--dump-dom"]
    run = subprocess.run(
        [*command, (folder / "wrapper.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found, run.stderr
    assert found[1], "the page did not load"
    console = "\n".join(line for line in run.stderr.splitlines() if ":CONSOLE" in line)
    return json.loads(html.unescape(found[1])), console


def test_on_a_phone(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, console = opened(page, tmp_path, PHONE)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(page) / 1e6:.2f} MB, {COLUMNS} columns, loaded in {found['seconds']:.2f} s\n")
    assert console == ""
    assert found["needed"] <= found["width"] <= PHONE, "tables scroll in boxes of their own"
    assert found["seconds"] < SECONDS


def test_the_overview_sorts(page: str, tmp_path: Path) -> None:
    found, console = opened(page, tmp_path, 1200)
    assert console == ""
    assert len(found["before"]) == COLUMNS
    assert found["sorted"] == "descending"
    values = [float(value) for value in found["clipped"] if value]
    assert values == sorted(values, reverse=True)
    assert max(values) > min(values)
    assert found["clipped"][-2:] == ["", ""], "columns without the figure come last"
    assert found["names"] == sorted(found["before"])


def test_columns_are_filtered_by_name_and_folded(page: str, tmp_path: Path) -> None:
    found, console = opened(page, tmp_path, 1200)
    assert console == ""
    expected = [name for name in found["before"] if "column 1" in name]
    assert len(expected) == 10
    assert sorted(found["rows"]) == sorted(found["sections"]) == sorted(expected)
    assert found["open"] == [0, COLUMNS]  # after "fold all", then after "unfold all"


UNPACK = """<!doctype html><meta charset="utf-8"><iframe id="page"></iframe><pre id="found"></pre>
<script type="application/json" id="text">{text}</script>
<script>
const frame = document.getElementById("page");
frame.onload = async () => {{
  const sections = [...frame.contentDocument.querySelectorAll("details.column")];
  const before = sections.map((one) => one.children.length);
  sections[3].open = true;
  while (sections[3].children.length === 1) await new Promise((done) => setTimeout(done, 10));
  const found = {{before: Math.max(...before), after: sections.map((one) => one.children.length > 1).indexOf(true)}};
  found.charts = sections[3].querySelectorAll("svg.histogram").length;
  document.getElementById("found").textContent = JSON.stringify(found);
}};
frame.srcdoc = JSON.parse(document.getElementById("text").textContent);
</script>"""


def test_a_packed_column_is_written_out_when_it_is_opened(tmp_path: Path, random: np.random.Generator) -> None:
    table = {f"x{i}": random.lognormal(size=300) for i in range(COLUMNS + 1)}
    page = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(table).evaluate(table).to_html()
    found, console = opened(page, tmp_path, 800, "--virtual-time-budget=20000", wrapper=UNPACK)
    assert console == ""
    assert found == {"before": 1, "after": 3, "charts": 1}


WIDTH = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" style="border:0;width:{width}px;height:800px"></iframe><pre id="found"></pre>
<script type="application/json" id="text">{text}</script>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const inner = frame.contentDocument, root = inner.documentElement, all = (css) => [...inner.querySelectorAll(css)];
  all("details").forEach((one) => {{ one.open = true; }});
  const found = {{width: root.clientWidth, needed: root.scrollWidth}};
  found.cut = all("th, td, dt, dd, p").filter((one) => one.scrollWidth > one.clientWidth + 1).length;
  found.scrolling = all(".scroll").filter((one) => one.scrollWidth > one.clientWidth).length;
  found.labels = Math.min(...all("tbody th, dt").map((one) => one.clientWidth));
  const drawn = all("svg.chart > svg").map((one) => [one, one.parentElement]);
  found.charts = drawn.filter(([box, outer]) => box.querySelector("path").getBoundingClientRect().bottom
    > outer.getBoundingClientRect().bottom - (outer.querySelector("text.tick") ? 20 : -1)).length;
  document.getElementById("found").textContent = JSON.stringify(found);
}};
frame.srcdoc = JSON.parse(document.getElementById("text").textContent);
</script>"""
# What notebooks say of the same elements, and more strictly than JupyterLab does.
NOTEBOOK = """<style>
.output:not(.x) table {{ table-layout: fixed; margin: auto; }}
.output:not(.x) td, .output:not(.x) th, .output:not(.x) tr {{ text-align: right; white-space: normal; padding: 1em; }}
.output svg {{ max-width: 100%; height: auto; }}
</style><div class="output" style="width:500px">{}</div>"""


@pytest.fixture(scope="module")
def compared() -> gpuvgm.report.Comparison:
    random = np.random.default_rng(0)
    table = {f"a long name of column {i}": random.lognormal(size=300) for i in range(20)}
    table |= {"c": ["b" * 60, "a"] * 150, "when": np.datetime64("2024-01-01", "s") + random.integers(0, 10**7, 300)}
    fitted = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(table)
    return fitted.evaluate(table, compare=table)


def test_a_comparison_on_a_phone(compared: gpuvgm.report.Comparison, tmp_path: Path) -> None:
    found, console = opened(compared.to_html(), tmp_path, PHONE, wrapper=WIDTH)
    assert console == ""
    assert found["needed"] <= found["width"] <= PHONE, "tables scroll in boxes of their own"


def test_nothing_of_a_comparison_is_cut_at_1280_pixels(compared: gpuvgm.report.Comparison, tmp_path: Path) -> None:
    found, console = opened(compared.to_html(), tmp_path, 1280, wrapper=WIDTH)
    assert console == ""
    assert found["needed"] <= found["width"]
    assert found["cut"] == found["charts"] == found["scrolling"] == 0
    assert found["labels"] > 100


def test_a_comparison_under_the_style_of_a_notebook(compared: gpuvgm.report.Comparison, tmp_path: Path) -> None:
    """Labels keep their width in a narrow cell, and charts their axes."""
    found, console = opened(NOTEBOOK.format(compared._repr_html_()), tmp_path, 1280, wrapper=WIDTH)
    assert console == ""
    assert found["needed"] <= found["width"]
    assert found["cut"] == found["charts"] == 0
    assert found["labels"] > 100


def test_dark_mode(page: str, tmp_path: Path) -> None:
    light, _ = opened(page, tmp_path, 800, "--blink-settings=preferredColorScheme=1")
    dark, _ = opened(page, tmp_path, 800, "--blink-settings=preferredColorScheme=0")
    assert light["background"] == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", dark["background"]))) < 60
