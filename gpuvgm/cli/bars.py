"""Progress as bars on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress as Bars,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from gpuvgm.cli.record import speed
from gpuvgm.execution import Progress, Stages


class RateColumn(ProgressColumn):
    """Rows done, and rows a second; columns in the search for modes, steps of a training."""

    def render(self, task: Task) -> Text:
        """The column's text for a stage."""
        if task.description in Stages.UNITS:
            return Text(f"{task.completed:,.0f} of {task.total:,.0f} {Stages.UNITS[task.description]}")
        rate = f", {speed(task.speed, 1)}" if task.speed else ""
        return Text(f"{task.completed:,.0f} rows{rate}")


@contextmanager
def draw_bars(console: Console | None = None) -> Iterator[Progress]:
    """Draw bars of the stages of a run, one for each stage.

    Parameters
    ----------
    console : rich.console.Console, optional
        Console to draw on; by default standard error. Lines written there meanwhile appear above the bars.
    """
    console = console or Console(stderr=True, soft_wrap=True)  # the terminal breaks lines, as it does without bars
    # One line for each bar: rich leaves a line behind if the height changes while another thread writes above the bars.
    one_line = Column(no_wrap=True)
    columns = (
        SpinnerColumn(table_column=one_line),
        TextColumn("{task.description}", table_column=one_line),
        BarColumn(),
        RateColumn(table_column=one_line),
        TimeRemainingColumn(table_column=one_line),
    )
    tasks: dict[str, TaskID] = {}

    def show(stage: str, count: int, total: int | None) -> None:
        if stage not in tasks:
            for task in tasks.values():
                progress.stop_task(task)
            tasks[stage] = progress.add_task(stage, total=total)
        elif count < progress.tasks[tasks[stage]].completed:  # another scan of the rows
            progress.reset(tasks[stage])
        progress.update(tasks[stage], completed=count, total=total)

    # rich would print on the console, standard error, what is meant for a file or pipe.
    with Bars(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        yield show
