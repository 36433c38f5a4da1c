"""The benchmark `peers` for people: a table a job."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measurement
from benchmarks.output import mebibytes, ratio_text
from benchmarks.peers import ROW_LOOP, STAGES, TRAINING
from benchmarks.peers_list import KNOWN


def show(title: str, measurements: Sequence[Measurement], console: Console) -> None:
    """One table a job: times and speeds relative to RDT's or CTGAN's, errors, clipped rows, likelihood and memory."""
    console.print(title, soft_wrap=True, highlight=False)
    for job in dict.fromkeys(row.details["job"] for row in measurements):
        rows = [row for row in measurements if row.details["job"] == job]
        console.print(training_table(rows) if job == TRAINING else job_table(job, rows))


def job_table(job: str, measurements: Sequence[Measurement]) -> Table:
    """Sides below each other, stages beside each other."""
    title = f"{job}, {measurements[0].rows:,} rows, one core"
    table = Table(title=title, title_justify="left", caption=aims_text(measurements), caption_justify="left")
    table.add_column("side", overflow="fold")
    for heading in (*STAGES, "error", "99.9 %", "clipped", "log-likelihood", "fitted on", "memory"):
        table.add_column(heading, justify="right")
    for side in dict.fromkeys(row.details["side"] for row in measurements):
        own = [row for row in measurements if row.details["side"] == side]
        accuracy = own[0].details["accuracy"]
        table.add_row(
            KNOWN[side].words,
            *(timed(row) for row in own),
            f"{accuracy['median_error_sd']:.1e} sd",
            f"{accuracy['p999_error_sd']:.1e} sd",
            f"{100 * accuracy['clipped']:.3f} %",
            f"{accuracy['log_likelihood']:.5f}",
            f"{own[0].details['fitted_rows']:,}",
            mebibytes(own[0].details["peak_memory"]),
        )
        loop = own[0].details.get("row_loop")
        if loop:
            table.add_row(f"{ROW_LOOP}, from {loop['rows']:,} rows", "", seconds_text(loop["seconds"]))
    for side, reason in measurements[0].details["left_out"].items():
        table.add_row(KNOWN[side].words, f"not run: {reason}")
    return table


def timed(row: Measurement) -> str:
    """Seconds, and the speed relative to the first yardstick; an aim that was missed is marked."""
    text = seconds_text(row.seconds)
    if row.yardsticks:
        text += f", {round_ratio(row.ratio(next(iter(row.yardsticks))))}"
    return text + (" (missed)" if row.missed() else "")


def round_ratio(ratio: float) -> str:
    """A ratio of speeds, without a power of ten."""
    return f"{ratio:,.0f}×" if ratio >= 1000 else ratio_text(ratio)


def aims_text(measurements: Sequence[Measurement]) -> str:
    """What is aimed at."""
    aims = {
        f"{row.details['stage']} {least:g}× as fast as {peer}": None
        for row in measurements
        for peer, least in row.least.items()
    }
    return f"aims: {', '.join(aims)}" if aims else ""


def seconds_text(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def training_table(measurements: Sequence[Measurement]) -> Table:
    """A whole fit with either transformer."""
    table = Table(title=f"flights, {measurements[0].rows:,} rows, {TRAINING}, one core", title_justify="left")
    table.add_column("transformer")
    for heading in ("whole fit", "transformer's fit", "and transform", "share of the whole", "memory"):
        table.add_column(heading, justify="right")
    for row in measurements:
        seconds = row.details["seconds"]
        table.add_row(
            KNOWN[row.details["side"]].words,
            timed(row),
            seconds_text(seconds["fit"]),
            seconds_text(seconds["transform"]),
            f"{100 * row.details['share']:.2f} %",
            mebibytes(row.details["peak_memory"]),
        )
    return table
