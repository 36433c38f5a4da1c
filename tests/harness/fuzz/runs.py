"""Runs that are killed, interrupted, too large for the disk, that lose their source, or are started twice."""

from __future__ import annotations

import atexit
import ctypes
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.harness.fuzz.encoded import QUICK, rows_of_every_kind
from tests.harness.fuzz.harness import Target, WrongResult
from tests.harness.fuzz.jobs import (
    FILES,
    ROWS,
    Healthy,
    Job,
    Process,
    Snapshot,
    StepHook,
    Unclean,
    again,
    check_readers,
    check_right,
    finish,
    healthy,
    lay,
    must,
    of,
    snapshot,
    start,
    steps_of_the_last,
)

DRAWS = 8  # moments that are tried until one comes before the end of the run
CODES = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated"), signal.SIGHUP: (129, "terminated")}
LEAST_DISK, PAGE = 8 << 10, 4 << 10
WHOLE_DISK = 64 << 20
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_REMOUNT = 0x20000, 0x4000, 0x40000, 0x20

FIT = ("fit", "../inputs/rows", "--effort", "research", "--quiet", "--model")
MODEL = ("--model", "../inputs/model.gpuvgm", "--quiet")
PARTS = ("--part-rows", "2500")
OTHER_COUNT = ("--columns", "amount,word")  # a fit of other columns is another model
JOBS: dict[str, tuple[Job, ...]] = {
    "fit": (
        Job((*FIT, "m.gpuvgm"), ("m.gpuvgm",), OTHER_COUNT),
        Job((*FIT, "m", "--summaries"), ("m",), OTHER_COUNT),
    ),
    "transform": (
        Job(("transform", "../inputs/rows", "e", *MODEL, *PARTS), ("e",), resume=True),
        Job(("transform", "../inputs/rows.csv", "e", *MODEL, *PARTS), ("e",), resume=True),
        Job(("transform", "../inputs/rows", "e.parquet", *MODEL, "--layout", "onehot"), ("e.parquet",)),
    ),
    "inverse": (
        Job(("inverse", "../inputs/encoded", "b", *MODEL, *PARTS), ("b",), ("--part-rows", "4000"), resume=True),
        Job(("inverse", "../inputs/encoded.parquet", "b.parquet", *MODEL), ("b.parquet",), ("--threads", "1")),
    ),
    "generate": (
        Job(
            ("generate", "g", "--rows", "2e4", "--kind", "mixed-table", "--file-rows", "3000", "--quiet"),
            ("g",),
            resume=True,
        ),
        Job(("generate", "g.parquet", "--rows", "2e5", "--quiet"), ("g.parquet",)),
    ),
    "evaluate": (
        Job(
            ("evaluate", "../inputs/rows", *MODEL, "--report", "r.json", "--html", "p.html"),
            ("r.json", "p.html"),
            ("--against", "../inputs/model.gpuvgm"),
        ),
    ),
}


Prepared = tuple[Path, list[Healthy]]

# -- inputs, and what comes of them


def lay_inputs(inputs: Path) -> None:
    """Rows as a folder of files and as CSV, a model of them, and encoded rows."""
    table, folder = rows_of_every_kind(ROWS).select(QUICK), inputs / "rows"
    folder.mkdir(parents=True)
    for number in range(FILES):
        low, high = (ROWS * part // FILES for part in (number, number + 1))
        pq.write_table(table.slice(low, high - low), folder / f"{number}.parquet", row_group_size=3_000)
    table.to_pandas().to_csv(inputs / "rows.csv", index=False)
    work = inputs.with_name("work")
    work.mkdir()
    must((*FIT, "../inputs/model.gpuvgm"), work)
    steps_of_the_last(work.parent)
    for out in ("encoded", "encoded.parquet"):
        must(("transform", "../inputs/rows", f"../inputs/{out}", *MODEL, "--part-rows", "6000"), work)
    work.rmdir()


@cache
def inputs_of_all() -> Path:
    """The inputs of every target, laid once; they are removed where this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-runs-"))
    atexit.register(_remove_in, os.getpid(), folder)
    lay_inputs(folder / "inputs")
    return folder / "inputs"


def _remove_in(process: int, folder: Path) -> None:
    if os.getpid() == process:  # and not in its forks
        shutil.rmtree(folder, ignore_errors=True)


@cache
def healthy_runs(command: str) -> tuple[Healthy, ...]:
    """Healthy runs of the jobs of a command, once for all targets."""
    return tuple(healthy(job, inputs_of_all().parent) for job in JOBS[command])


def prepare(*commands: str) -> Prepared:
    """The inputs, and healthy runs of the jobs of some commands."""
    return inputs_of_all(), [run for command in commands for run in healthy_runs(command)]


def chosen_run(prepared: Prepared, random: random.Random, folder: Path) -> tuple[Healthy, Path]:
    """A run, and the folder to work in, in half of the cases with an older output; inputs lie beside."""
    run = random.choice(prepared[1])
    (folder / "inputs").symlink_to(prepared[0])
    old = run.old if random.random() < 0.5 and run.job.command != "generate" else {}
    return run, emptied(folder / "work", old)


def emptied(work: Path, contents: Snapshot) -> Path:
    """The folder to work in with nothing else in it."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    lay(contents, work)
    return work


def check_end(run: Healthy, work: Path) -> None:
    """Refuse other results than a healthy run's, and anything left behind, in the folder or among temporary files."""
    check_right(snapshot(work), run.right)
    left = sorted(snapshot(work.with_name("tmp")))
    if left:
        raise Unclean(f"left among temporary files: {left}")


# -- at a moment


def disturbed(
    run: Healthy, arguments: tuple[str, ...], work: Path, random: random.Random, disturb: Callable[[int], None]
) -> Process | None:
    """A run that `disturb(pid)` is called for: right before a step on the file system, or at any moment of it.

    None where it was over before.
    """
    if random.random() < 0.5:
        number = random.randint(1, max(1, run.steps))
        return start(arguments, work, StepHook(number, lambda: disturb(os.getpid())))
    process = start(arguments, work)
    if process.ends_within(random.uniform(0, run.seconds)):
        process.wait()
        return None
    disturb(process.pid)
    return process


def signalled(
    run: Healthy, arguments: tuple[str, ...], work: Path, random: random.Random, *numbers: int
) -> tuple[int, str] | None:
    """A run that gets signals: exit code and what it said; None where it was over before."""

    def send(pid: int) -> None:
        for number in numbers:
            os.kill(pid, number)
            time.sleep(0 if number == numbers[-1] else random.uniform(0, 0.02))

    process = disturbed(run, arguments, work, random, send)
    return None if process is None else (process.wait(), process.said)


# -- kills


def kill(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Kill a run, once or several times, and let the next one end."""
    run, work = chosen_run(prepared, random, folder)
    begun, resume = snapshot(work), random.random() < 0.8
    kills = random.choice((1, 1, 2, 3))
    for _ in range(DRAWS * kills):
        ended = signalled(run, again(run, work, resume=resume), work, random, signal.SIGKILL)
        if ended is None or ended[0] != -signal.SIGKILL:  # over before: from the start
            check_right(snapshot(work), run.right)
            emptied(work, begun)
            continue
        check_readers(snapshot(work), run)
        kills -= 1
        if not kills:
            break
    must(again(run, work, resume=resume), work)
    check_end(run, work)


# -- signals


def interrupt(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Send a run SIGINT, once or twice, SIGTERM or SIGHUP, and let the next one end."""
    run, work = chosen_run(prepared, random, folder)
    begun = snapshot(work)
    numbers = random.choice(([signal.SIGINT], [signal.SIGINT] * 2, [signal.SIGTERM], [signal.SIGHUP]))
    for _ in range(DRAWS):
        ended = signalled(run, run.job.arguments, work, random, *numbers)
        if ended is not None and ended[0] != 0:
            check_interrupted(run, numbers[0], *ended)
            check_left(run, work, begun, ended[1])
            break
        check_right(snapshot(work), run.right)
        emptied(work, begun)
    must(again(run, work, resume=True), work)
    check_end(run, work)


def check_interrupted(run: Healthy, number: int, code: int, said: str) -> None:
    """Refuse any other end of an interrupted run than one line and its exit code."""
    expected, word = CODES[signal.Signals(number)]
    if code == -number and not said:  # before the command line listens
        return
    if code != expected or not re.fullmatch(rf"gpuvgm: {word}; .*\n", said):
        raise Unclean(f"{' '.join(run.job.arguments)}: exit code {code}, expected {expected}\n{said}")


def check_left(run: Healthy, work: Path, begun: Snapshot, said: str) -> None:
    """Refuse anything that a run which ended itself has left, but whole results and what it says that it keeps."""
    found = snapshot(work)
    check_readers(found, run)
    partial = [name for name in found if name.endswith((".partial", ".old", "/lock"))]
    if partial:
        raise Unclean(f"left behind: {partial}\n{said}")
    known = {*begun, *(name for output in run.job.outputs for name in of(run.right, output))}
    kept = [name for name in found if name not in known]
    if kept and "go on with --resume" not in said:
        raise Unclean(f"left behind without a word: {kept}\n{said}")
    if sorted(snapshot(work.with_name("tmp"))):
        raise Unclean(f"left among temporary files: {sorted(snapshot(work.with_name('tmp')))}")


# -- full disks


def fill(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Let the disk be full after some bytes, or files be limited to some; then make room."""
    run, work = chosen_run(prepared, random, folder)
    begun = snapshot(work)
    size = sum(len(body or b"") for body in run.right.values())
    if random.random() < 0.75 and mounted(work, LEAST_DISK + disk_of(begun) + random.randrange(size)):
        lay(begun, work)
        code, said = finish(run.job.arguments, work)
    else:
        most = random.randrange(max(len(body or b"") for body in run.right.values()))
        code, said = finish(run.job.arguments, work, partial(limit_files, most))
    if code:
        check_full(run, code, said)
        check_left(run, work, begun, said)
    else:
        check_right(snapshot(work), run.right)
    mounted(work, WHOLE_DISK, MS_REMOUNT)
    must(again(run, work, resume=True), work)
    check_end(run, work)


def check_full(run: Healthy, code: int, said: str) -> None:
    """Refuse any other end of a run on a full disk than one line that says so and names the output."""
    names = "|".join(map(re.escape, run.job.outputs))
    if code != 3 or not re.fullmatch(rf"gpuvgm: (disk full: .*({names}).*|.*({names}).*: File too large.*)\n", said):
        raise Unclean(f"{' '.join(run.job.arguments)}: exit code {code}, expected 3\n{said}")


def disk_of(contents: Snapshot) -> int:
    """Bytes of disk that a snapshot takes."""
    return sum(-(-len(body or b"") // PAGE) * PAGE for body in contents.values())


def limit_files(most: int) -> None:
    """No file of this process may be larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def mounted(place: Path, size: int, more: int = 0) -> bool:
    """Mount a file system of so many bytes that this process and its children see; False where that is not allowed."""
    system = ctypes.CDLL(None, use_errno=True)
    if not more and (system.unshare(CLONE_NEWNS) or system.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)):
        return False
    return not system.mount(b"tmpfs", os.fsencode(place), b"tmpfs", more, f"size={size}".encode())


# -- sources that change


def change(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Change a file of the source in the middle of a run: it is refused, or the result is that of one of the two."""
    run = random.choice([run for run in prepared[1] if run.job.command != "generate"])
    shutil.copytree(prepared[0], folder / "inputs", copy_function=shutil.copy2)
    work = emptied(folder / "work", {})
    source = folder / "inputs" / Path(run.job.arguments[1]).name
    file = source if source.is_file() else random.choice(sorted(source.glob("*.parquet")))
    alter, body, now = random.choice(CHANGES), changed_content(file, random), random.randrange(1 << 30)
    process = disturbed(run, run.job.arguments, work, random, lambda _: alter(file, body, now))
    if process is None:
        return check_right(snapshot(work), run.right)
    code, said = process.wait(), process.said
    if code:
        if code != 2 or not re.fullmatch(r"gpuvgm: .*\n", said) or source.name not in said:
            raise Unclean(f"{' '.join(run.job.arguments)}, {alter.__name__}: exit code {code}\n{said}")
        check_left(run, work, {}, f"{said}; go on with --resume where the source comes back")
        code, said = finish(run.job.arguments, work)
        left = [name for name in snapshot(work) if name.startswith(".")]
        if not code and left:
            raise Unclean(f"left behind by the run after a refused one: {left}")
        return None
    check_old_or_new(run, snapshot(work), work, alter.__name__)
    return None


def check_old_or_new(run: Healthy, found: Snapshot, work: Path, alteration: str) -> None:
    """Refuse what neither the source before nor that after its change gives.

    Raises
    ------
    WrongResult
        For a mixture.
    """
    if values(found) == values(run.right):
        return
    emptied(work, {})
    code, said = finish(run.job.arguments, work)
    if code or values(snapshot(work)) != values(found):
        raise WrongResult(f"{' '.join(run.job.arguments)}, {alteration}: neither the old nor the new\n{said}")


def changed_content(file: Path, random: random.Random) -> bytes:
    """Some of the rows, others of them twice, in another order."""
    if file.suffix == ".csv":
        head, *lines = file.read_bytes().splitlines(keepends=True)
        return b"".join([head, *random.choices(lines, k=len(lines))])
    table = pq.read_table(file)
    sink = pa.BufferOutputStream()
    pq.write_table(table.take(random.choices(range(len(table)), k=len(table))), sink, row_group_size=3_000)
    return sink.getvalue().to_pybytes()


def values(contents: Snapshot) -> Snapshot:
    """What was made of rows, without the names and times of change of their files."""
    found = {}
    for name, body in contents.items():
        if name.endswith(".gpuvgm"):
            with zipfile.ZipFile(io.BytesIO(body or b"")) as archive:
                found[name] = without_source(archive.read("model.json"))
        elif name.endswith("model.json"):
            found[name] = without_source(body or b"")
        elif not name.endswith("manifest.json"):
            found[name] = body
    return found


def without_source(model: bytes) -> bytes:
    """What a model says beside where its rows came from."""
    return json.dumps({**json.loads(model), "source": None}).encode()


def replace(file: Path, body: bytes, _: int) -> None:
    """Another file takes the name."""
    other = file.with_name(f".{file.name}.new")
    other.write_bytes(body)
    other.replace(file)


def overwrite(file: Path, body: bytes, _: int) -> None:
    """Other bytes into the same file."""
    with file.open("r+b") as opened:
        opened.write(body)
        opened.truncate()


def truncate(file: Path, _: bytes, number: int) -> None:
    """The end is lost."""
    os.truncate(file, number % file.stat().st_size)


def grow(file: Path, body: bytes, _: int) -> None:
    """More bytes at the end."""
    with file.open("ab") as opened:
        opened.write(body[len(body) // 2 :])


def touch(file: Path, *_: object) -> None:
    """Another time of change, the same bytes."""
    file.touch()


def remove(file: Path, *_: object) -> None:
    """The file goes."""
    file.unlink()


CHANGES = (replace, replace, overwrite, overwrite, truncate, grow, touch, remove)


# -- several at once


def several(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Start the same run twice or three times at once: one at least ends well, and says the others where not."""
    run, work = chosen_run(prepared, random, folder)
    began = []
    for _ in range(random.choice((2, 3))):
        began.append(start(run.job.arguments, work))
        time.sleep(random.choice((0, random.uniform(0, run.seconds))))
    ends = [(process.wait(), process.said) for process in began]
    refused = [said for code, said in ends if code]
    if len(refused) == len(ends) or not all(re.fullmatch(BUSY, said) for said in refused):
        raise Unclean(f"{' '.join(run.job.arguments)}: {ends}")
    check_end(run, work)


BUSY = r"gpuvgm: .*(process( \d+)? works there|there already).*\n"


def target(name: str, attempt: Callable[[Prepared, random.Random, Path], None], *commands: str) -> Target:
    """A target over the jobs of some commands."""
    return Target(name, lambda _: prepare(*commands), attempt, memory=None)


TARGETS = (
    *(target(f"kill-{command}", kill, command) for command in JOBS),
    target("signals", interrupt, *JOBS),
    target("disk-full", fill, *JOBS),
    target("source-change", change, *JOBS),
    target("two-runs", several, *JOBS),
)
