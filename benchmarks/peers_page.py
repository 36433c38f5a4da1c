"""The tables and the picture of docs/peers.md from the JSON lines of ``python -m benchmarks peers``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.machine import machine_line
from benchmarks.measure import Measurement, against, mebibytes, seconds_text
from benchmarks.peers import ROW_LOOP, STAGES, TRAINING
from benchmarks.peers_sides import KNOWN

BESIDE = "auto"  # whose time the others' are compared with
HEADINGS = (*STAGES, "time", "memory", "log-likelihood", "mean error", "99.9 %", "clipped", "fitted on", "iterations")
OURS, OTHERS, TEXT = "#1a9c8c", "#8c8c8c", "#808080"  # seen on light and on dark ground
MARKS = {"fit": "o", "transform": "s", "inverse": "D"}
PICTURE_LINES = [
    "![Times of fit, transform and inverse, and the log-likelihood of what was fitted, of every side](peers.svg)",
    "",
    "*Green: gpuvgm. Hollow: fitted on a sample.*",
]
Results = dict[str, dict[str, Any]]


def sections(lines: Iterable[str]) -> dict[str, list[str]]:
    """Text of the page by marker."""
    documents = last_run(lines)
    if not documents:
        return {}
    return {
        "peers-machine": [machine_text(documents)],
        "peers-picture": PICTURE_LINES,
        "peers": list(tables(documents)),
    }


def last_run(lines: Iterable[str]) -> list[dict[str, Any]]:
    """What was measured last on one day and commit, a document a case and number of rows."""
    documents = [one for one in map(json.loads, lines) if one["benchmark"] == "peers" and "left_out" in one["details"]]
    last = [one for one in documents if one["machine"] == documents[-1]["machine"]]
    return list({(one["case"], one["rows"]): one for one in last}.values())


def machine_text(documents: list[dict[str, Any]]) -> str:
    """Machine, versions and commit."""
    machine = documents[0]["machine"]
    versions: dict[str, str] = {}
    for document in documents:
        versions |= document["details"]["versions"]
    others = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return f"Measured on {machine['date']}, commit {machine['commit']}: {machine_line(machine)}; {others}."


def by_job(documents: list[dict[str, Any]]) -> dict[tuple[str, int], Results]:
    """Results by job and number of rows, then by side."""
    found: dict[tuple[str, int], Results] = {}
    for document in documents:
        details = document["details"]
        found.setdefault((details["job"], document["rows"]), {})[details["side"]] = details
    return found


def tables(documents: list[dict[str, Any]]) -> Iterator[str]:
    """A table for each job, in Markdown."""
    for (job, rows), sides in by_job(documents).items():
        yield f"### {job[0].upper() + job[1:]}, {rows:,} rows"
        yield ""
        yield from training_table(sides) if job == TRAINING else job_table(sides, rows)
        yield ""


def show(title: str, measurements: Sequence[Measurement], console: Console) -> None:
    """The tables of the page, and what is measured against an aim or the row loop."""
    console.print(title, soft_wrap=True, highlight=False)
    console.print(Markdown("\n".join(tables([row.to_dict() for row in measurements]))))
    for row in measurements:
        for name in row.yardsticks:
            if name in row.least or name == ROW_LOOP:
                console.print(f"{row.case}: {against(row, name)} against {name}", soft_wrap=True, highlight=False)


def job_table(sides: Results, rows: int) -> Iterator[str]:
    """Sides below each other; those left out with the reason."""
    yield f"| | {' | '.join(HEADINGS)} |"
    yield "|---|" + "--:|" * len(HEADINGS)
    unit = whole(sides[BESIDE])
    for side, details in sides.items():
        accuracy, iterations = details["accuracy"], details["iterations"]
        cells = (
            *(seconds_text(details["seconds"][stage]) for stage in STAGES),
            f"{whole(details) / unit:.2g} ×" if whole(details) < 10 * unit else f"{whole(details) / unit:,.0f} ×",
            mebibytes(details["peak_memory"]),
            f"{accuracy['log_likelihood']:.4f}",
            error_text(accuracy["mean_error_sd"]),
            error_text(accuracy["p999_error_sd"]),
            f"{100 * accuracy['clipped']:.3f} %",
            f"{details['fitted_rows']:,}" if details["fitted_rows"] < rows else "all",
            "" if iterations is None else str(iterations),
        )
        yield f"| {page_words(side)} | {' | '.join(cells)} |"
    for side, reason in next(iter(sides.values()))["left_out"].items():
        yield f"| {page_words(side)} | not run: {reason} |" + " |" * (len(HEADINGS) - 1)


def training_table(sides: Results) -> Iterator[str]:
    """A whole fit with either transformer."""
    yield "| | whole fit | transformer's fit | and transform | share of the whole | memory |"
    yield "|---|--:|--:|--:|--:|--:|"
    for side, details in sides.items():
        seconds = details["seconds"]
        parts = map(seconds_text, (details["total"], seconds["fit"], seconds["transform"]))
        memory = mebibytes(details["peak_memory"])
        yield f"| {page_words(side)} | {' | '.join(parts)} | {100 * details['share']:.2f} % | {memory} |"


def whole(details: dict[str, Any]) -> float:
    """Seconds of all stages."""
    return float(sum(details["seconds"][stage] for stage in STAGES))


def page_words(side: str) -> str:
    """Name of a side; ours in bold."""
    return f"**{KNOWN[side].words}**" if KNOWN[side].ours else KNOWN[side].words


def error_text(error: float) -> str:
    """An error in standard deviations."""
    return "0" if error == 0 else f"{error:.3f} sd" if error >= 1e-3 else f"{error:.0e} sd"


def draw(lines: Iterable[str], path: Path) -> Path:
    """Times and log-likelihoods of all sides, a row of panels for each column of numbers."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    documents = last_run(lines)
    columns = {key: sides for key, sides in by_job(documents).items() if "scikit-learn" in sides}
    grey = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), TEXT)
    quiet = {"svg.hashsalt": "gpuvgm", "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(grey | quiet):
        size = {"figsize": (9, 3.9 * len(columns)), "layout": "constrained"}
        figure, panels = pyplot.subplots(len(columns), 2, squeeze=False, width_ratios=(3, 2), sharey="row", **size)
        for (times, likelihoods), ((job, rows), sides) in zip(panels, columns.items(), strict=True):
            draw_times(times, f"{job}, {rows:,} rows", sides, rows)
            draw_likelihoods(likelihoods, sides, rows)
        handles = [pyplot.Line2D([], [], linestyle="", marker=mark, color=OTHERS) for mark in MARKS.values()]
        figure.legend(handles, list(MARKS), frameon=False, fontsize="small", ncols=3, loc="outside upper left")
        metadata = {"Date": None, "Description": machine_text(documents)}
        figure.savefig(path, transparent=True, metadata=metadata)
        pyplot.close(figure)
    return path


def draw_times(panel: Any, title: str, sides: Results, rows: int) -> None:
    """Seconds of the stages on a logarithmic axis, the quickest whole above."""
    order = ranked(sides)
    for stage, mark in MARKS.items():
        for height, side in enumerate(order):
            panel.plot(sides[side]["seconds"][stage], height, mark, **paint(side, sides[side], rows))
    panel.set_yticks(range(len(order)), [KNOWN[side].words for side in order])
    panel.set(xscale="log", xlabel="seconds")
    panel.set_title(title, loc="left", fontsize="medium")
    panel.grid(axis="y", color=TEXT, alpha=0.2)


def draw_likelihoods(panel: Any, sides: Results, rows: int) -> None:
    """Mean log-likelihoods in the same order."""
    for height, side in enumerate(ranked(sides)):
        panel.plot(sides[side]["accuracy"]["log_likelihood"], height, "o", **paint(side, sides[side], rows))
    panel.set(xlabel="log-likelihood a row, nats")
    panel.tick_params(left=False)
    panel.locator_params(axis="x", nbins=4)
    panel.grid(axis="y", color=TEXT, alpha=0.2)


def ranked(sides: Results) -> list[str]:
    """The slowest first."""
    return sorted(sides, key=lambda side: -whole(sides[side]))


def paint(side: str, details: dict[str, Any], rows: int) -> dict[str, Any]:
    """Colour of a side; hollow where a sample was fitted."""
    colour = OURS if KNOWN[side].ours else OTHERS
    hollow = details["fitted_rows"] < rows
    return {"color": colour, "markerfacecolor": "none" if hollow else colour, "markersize": 6}
