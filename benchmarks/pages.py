"""The tables of pages of docs/, and the picture of docs/peers.md, from the results that are committed.

``python -m benchmarks pages`` writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import peers_page, plan, resources, samples_page, steps, synthesis, threads
from benchmarks.billion import PYARROW

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = (
    DOCS / "scaling.md",
    DOCS / "peers.md",
    DOCS / "explanation" / "samples.md",
    DOCS / "explanation" / "counts.md",
    DOCS / "how-to" / "resources.md",
    DOCS / "explanation" / "steps.md",
)
PICTURE = DOCS / "peers.svg"


def write() -> list[Path]:
    """Put the tables into the pages, and draw the picture."""
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
    lines = plan.newest("results")
    return [*PAGES, peers_page.draw(lines, PICTURE)] if peers_page.last_run(lines) else [*PAGES]


def with_tables(page: str) -> str:
    """A page with the tables of what is committed."""
    lines = plan.newest("results")
    tables = {
        "billion": billion(lines),
        "scaling": scaling(lines),
        "threads": threads.table(lines),
        "plan": plan.text().splitlines(),
        **peers_page.sections(lines),
        **samples_page.sections(lines),
        "synthesis": synthesis.table(lines),
        "resources": resources.table(lines),
        **steps.sections(lines),
    }
    for name, table in tables.items():
        body = "\n".join(table).rstrip()
        page = re.sub(
            rf"<!-- {name} -->\n.*?<!-- /{name} -->",
            f"<!-- {name} -->\n{body}\n<!-- /{name} -->",
            page,
            flags=re.DOTALL,
        )
    return page


def billion(lines: Iterable[str]) -> Iterator[str]:
    """The last run of a billion rows."""
    found = {document["case"]: document for document in _of("billion", lines)}
    yield "| | time | rows/s | peak memory | pyarrow alone | ratio |"
    yield "|---|--:|--:|--:|--:|--:|"
    for case, document in found.items():
        alone, peak = document["yardsticks"][PYARROW], document["details"]["peak_memory"] / 2**20
        yield (
            f"| {case} | {document['seconds']:.1f} s | {document['rows_per_second'] / 1e6:.1f} M | {peak:,.0f} MiB "
            f"| {alone:.1f} s | {document['seconds'] / alone:.2f} × |"
        )


def scaling(lines: Iterable[str]) -> Iterator[str]:
    """The last run of each size, and the models."""
    found = {(document["case"], document["rows"]): document for document in _of("scaling", lines)}
    yield "| | rows | time | rows/s | scheduler's overhead |"
    yield "|---|--:|--:|--:|--:|"
    for (case, rows), document in found.items():
        if not case.startswith("model of"):
            yield (
                f"| {case} | {rows:,} | {document['seconds']:.2f} s | {document['rows_per_second'] / 1e6:.1f} M "
                f"| {document['details']['overhead']:.1%} |"
            )
    yield ""
    yield "| | fixed | a row and worker | the steps alone | largest error of the model |"
    yield "|---|--:|--:|--:|--:|"
    for (case, _), document in found.items():
        if case.startswith("model of"):
            yield _model(case, document["details"])


def _model(case: str, details: dict[str, Any]) -> str:
    steps = {name: unit for name, unit in details["units"].items() if not name.startswith("merge")}
    alone = " + ".join(f"{name} {unit['seconds'] * 1e9:.1f}" for name, unit in steps.items())
    return (
        f"| {case.removeprefix('model of ')} | {details['fixed_seconds']:.2f} s "
        f"| {details['row_seconds'] * 1e9:.1f} ns | {alone} ns | {details['largest_error']:.0%} |"
    )


def _of(benchmark: str, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    documents = (json.loads(line) for line in lines)
    return (document for document in documents if document["benchmark"] == benchmark)
