"""How far threads go: fits, transforms and inverses on 1, 2, 4 and more threads, and who holds the interpreter's lock.

By Amdahl's law n threads are 1 / (s + (1 - s) / n) times as fast as one, where s is the share of the work that only one
thread at a time can do. It is told in two ways: from the times by the clock of one thread and of all; and as the share
of the time of one thread in which it held the interpreter's lock (GIL), from samples of stacks that py-spy takes, which
also say where. What the machine itself gives is measured beside it: as many processes at once as it has processors.

``python -m benchmarks.threads FOLDER CASE STAGE THREADS TIMES`` runs a stage in a process of its own, and prints the
seconds that each run took by the clock and of the processor.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import pyarrow.parquet as pq

import gpuvgm
from benchmarks.billion import folder_of_files
from benchmarks.inputs import mixed_table
from benchmarks.machine import ROOT, machine_line
from benchmarks.measure import Measurement
from benchmarks.scaling import powers_up_to
from gpuvgm.execution import available_threads

TABLE_ROWS, TABLE_COLUMNS = 100_000, 50
STAGES = ("fit", "transform", "inverse")
TIMES = 5  # runs of a process, after a first one
SAMPLES_A_SECOND = 100
LOCKED = "GIL held"
TOLD = 3  # functions


class Case(NamedTuple):
    """A table, whether its files or what is in memory are worked on, and the largest share that one thread may have."""

    columns: int
    in_files: bool
    share: float


CASES = {
    "long": Case(1, in_files=True, share=0.10),
    "wide": Case(TABLE_COLUMNS, in_files=False, share=0.25),
}


def measure(rows: int) -> list[Measurement]:
    """A column of so many rows, from Parquet to Parquet, and a wide table of few rows in memory."""
    return list(measurements({"long": rows, "wide": min(rows, TABLE_ROWS)}))


def measurements(rows: dict[str, int]) -> Iterator[Measurement]:
    """Every stage of each case, with that many rows."""
    for name in CASES:
        with folder_of_files() as folder:
            prepare(folder, name, rows[name])
            for stage in STAGES:
                yield _measured(folder, name, stage, rows[name])


def prepare(folder: Path, case: str, rows: int) -> None:
    """Write the table, the model and the encoded table."""
    if CASES[case].in_files:
        gpuvgm.generate(folder / "table.parquet", rows)
    else:
        pq.write_table(mixed_table(rows, CASES[case].columns)[0], folder / "table.parquet")
    model = gpuvgm.TableTransformer().fit(folder / "table.parquet")
    model.save(folder / "model.gpuvgm")
    model.transform(folder / "table.parquet", out=folder / "encoded.parquet")


def _measured(folder: Path, name: str, stage: str, rows: int) -> Measurement:
    case, numbers = CASES[name], powers_up_to(available_threads())
    most = numbers[-1]
    runs = {threads: seconds_of_runs(folder, name, stage, threads) for threads in numbers}
    wall = {threads: statistics.median(run for run, _ in found) for threads, found in runs.items()}
    together = processes_at_once(folder, name, stage, most)
    held = lock_holders(folder, name, stage)
    share = serial_share(wall[1] / wall[most], most)
    details: dict[str, Any] = {
        "columns": case.columns,
        "threads": list(numbers),
        "wall": wall,
        "cpu": {threads: statistics.median(cpu for _, cpu in found) for threads, found in runs.items()},
        "serial": share,
        "processes": most * wall[1] / together,
        "held": held,
    }
    notes = {
        "speed-up": ", ".join(f"{threads}: {wall[1] / wall[threads]:.2f}" for threads in numbers[1:]),
        "as many processes": f"{details['processes']:.2f}",
        "serial": f"{share:.0%}",
        LOCKED: "" if held is None else f"{sum(held.values()):.0%}",
    }
    least = {} if most == 1 else {"one thread": 1 / (case.share + (1 - case.share) / most)}
    title = f"{stage}, {case.columns} {'column' if case.columns == 1 else 'columns'}"
    return Measurement(title, rows, wall[most], {"one thread": wall[1]}, least, details=details, notes=notes)


def serial_share(speed_up: float, threads: int) -> float:
    """The share of Amdahl's law, from 0 to 1; 1 of one thread."""
    return 1.0 if threads == 1 else min(max((threads / speed_up - 1) / (threads - 1), 0.0), 1.0)


def command(folder: Path, name: str, stage: str, threads: int, times: int) -> list[str]:
    """What runs a stage in a process of its own."""
    return [sys.executable, "-m", "benchmarks.threads", str(folder), name, stage, str(threads), str(times)]


def seconds_of_runs(folder: Path, name: str, stage: str, threads: int) -> list[tuple[float, float]]:
    """Seconds by the clock and of the processor of each run but the first."""
    run = command(folder, name, stage, threads, 1 + TIMES)
    printed = subprocess.run(run, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    return [(wall, cpu) for wall, cpu in json.loads(printed)[1:]]


def processes_at_once(folder: Path, name: str, stage: str, processes: int) -> float:
    """Seconds by the clock of a run on one thread while so many processes do the same, with files of their own."""
    started = []
    for number in range(processes):
        own = folder / str(number)
        own.mkdir(exist_ok=True)
        for source in ("table.parquet", "model.gpuvgm", "encoded.parquet"):
            (own / source).unlink(missing_ok=True)
            (own / source).hardlink_to(folder / source)
        started.append(subprocess.Popen(command(own, name, stage, 1, 1 + TIMES), cwd=ROOT, stdout=subprocess.PIPE))
    found = [json.loads(process.communicate()[0])[1:] for process in started]
    return statistics.median(wall for runs in found for wall, _ in runs)


def lock_holders(folder: Path, name: str, stage: str) -> dict[str, float] | None:
    """Share of the time of one thread in which it held the lock, by function.

    None without py-spy, and where it could not take as many samples as it should. The first run is among those that are
    sampled: modules are imported there.
    """
    if (sampler := shutil.which("py-spy", path=str(Path(sys.executable).parent))) is None:
        return None
    stacks = folder / "stacks.txt"
    options = ["--gil", "--rate", str(SAMPLES_A_SECOND), "--format", "raw", "--output", str(stacks)]
    run = [sampler, "record", *options, "--", *command(folder, name, stage, 1, 1 + TIMES)]
    process = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    if "behind in sampling" in process.stdout + process.stderr:
        return None
    seconds = sum(wall for wall, _ in json.loads(process.stdout[process.stdout.index("[[") :].splitlines()[0]))
    return shares_of(stacks.read_text().splitlines(), seconds * SAMPLES_A_SECOND)


def shares_of(stacks: Iterable[str], samples: float) -> dict[str, float]:
    """Share of all samples by the innermost function of gpuvgm, of stacks within a stage, most frequent first.

    A line is a stack, whose frames are separated by semicolons, and how often it was met.
    """
    found: Counter[str] = Counter()
    for line in stacks:
        stack, times = line.rsplit(" ", 1)
        frames = stack.split(";")
        ours = [frame for frame in frames if "(gpuvgm/" in frame]
        is_main = any(frame.startswith("main (benchmarks/threads.py") for frame in frames)
        if ours and (not is_main or any(frame.startswith("run_stage ") for frame in frames)):
            function, _, place = ours[-1].partition(" (")
            found[f"{place.partition(':')[0]}: {function}"] += int(times)
    return {function: times / samples for function, times in found.most_common()}


def table(lines: Iterable[str]) -> Iterator[str]:
    """The last run in Markdown."""
    found = [document for document in map(json.loads, lines) if document["benchmark"] == "threads"]
    if not found:
        return
    yield f"{machine_line(found[-1]['machine'])}."
    yield ""
    numbers = found[-1]["details"]["threads"]
    times = " | ".join(map(_threads, numbers))
    yield f"| | rows | {times} | speed-up | {numbers[-1]} processes | serial | {LOCKED} |"
    yield f"|---|--:|{'--:|' * (len(numbers) + 4)}"
    last = {document["case"]: document for document in found}
    for document in last.values():
        details = document["details"]
        wall = [details["wall"][str(number)] for number in details["threads"]]
        held = "" if details["held"] is None else f"{sum(details['held'].values()):.0%}"
        yield (
            f"| {document['case']} | {document['rows']:,} | {' | '.join(f'{seconds:.2f} s' for seconds in wall)} "
            f"| {wall[0] / wall[-1]:.2f} × | {details['processes']:.2f} × | {details['serial']:.0%} | {held} |"
        )
    yield ""
    yield f"| | {LOCKED} longest by |"
    yield "|---|---|"
    for case, document in last.items():
        longest = list((document["details"]["held"] or {}).items())[:TOLD]
        yield f"| {case} | {', '.join(f'`{name}` {share:.1%}' for name, share in longest)} |"


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def main(folder: Path, name: str, stage: str, threads: int, times: int) -> list[tuple[float, float]]:
    """Seconds by the clock and of the processor of so many runs."""
    model = gpuvgm.load(folder / "model.gpuvgm").set_params(threads=threads)
    sources: dict[str, Any] = {name: folder / f"{name}.parquet" for name in ("table", "encoded")}
    targets: dict[str, Any] = {"out": folder / "written.parquet"}
    if not CASES[name].in_files:
        sources, targets = {name: pq.read_table(path) for name, path in sources.items()}, {}
    works: dict[str, Callable[[], Any]] = {
        "fit": lambda: gpuvgm.TableTransformer(threads=threads).fit(sources["table"]),
        "transform": lambda: model.transform(sources["table"], **targets),
        "inverse": lambda: model.inverse_transform(sources["encoded"], **targets),
    }
    return [run_stage(works[stage]) for _ in range(times)]


def run_stage(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    wall, cpu = perf_counter(), process_time()
    work()
    return perf_counter() - wall, process_time() - cpu


if __name__ == "__main__":
    place, which, what, *counts = sys.argv[1:]
    print(json.dumps(main(Path(place), which, what, *map(int, counts))))
