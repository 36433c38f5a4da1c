"""Training rows on the disk: damaged, of other tables, killed, written by two processes, and without room."""

from __future__ import annotations

import errno
import os
import pickle
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gpuvgm
from gpuvgm.errors import InputError
from tests.harness.fuzz.encoded import QUICK, rows_of_every_kind
from tests.harness.fuzz.harness import WHOLE, Target, WrongResult, taken_if
from tests.harness.fuzz.mutations import spoil
from tests.harness.fuzz.runs import WHOLE_DISK, limit_files, mounted

ROWS = 9_000
FILES = ("gpuvgm-rows", "gpuvgm-index")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model, two tables of the same shape, and what is drawn from the rows of each."""

    model: gpuvgm.TableTransformer
    tables: tuple[Any, Any]
    drawn: tuple[bytes, bytes]


def prepare(_: Path) -> Prepared:
    """Fit, and draw from rows in memory."""
    one, other = (rows_of_every_kind(ROWS, seed=seed).select(QUICK) for seed in (0, 1))
    model = gpuvgm.TableTransformer(effort="research", threads=1).fit(one)
    in_memory = (gpuvgm.TrainingRows(model, table) for table in (one, other))
    return Prepared(model, (one, other), tuple(map(drawn, in_memory)))  # type: ignore[arg-type]


def drawn(rows: gpuvgm.TrainingRows) -> bytes:
    """All rows, and a batch that their index answers."""
    arrays = (rows.matrix(np.arange(len(rows))), *rows.batch(500, step=3))
    return b"".join(array.tobytes() for array in arrays)


def write(prepared: Prepared, number: int, folder: Path) -> gpuvgm.TrainingRows:
    """Keep the rows of a table in a folder."""
    return gpuvgm.TrainingRows(prepared.model, prepared.tables[number], place="disk", folder=folder)


def check(prepared: Prepared, number: int, rows: gpuvgm.TrainingRows) -> None:
    """Refuse other rows than those of the table."""
    if drawn(rows) != prepared.drawn[number]:
        whose = "the other table's" if drawn(rows) == prepared.drawn[1 - number] else "nobody's"
        raise WrongResult(f"the rows are {whose}")


def check_files(folder: Path) -> None:
    """Refuse anything in a folder but the rows."""
    left = {path.name for path in folder.iterdir()} - set(FILES)
    if left:
        raise WrongResult(f"left behind: {sorted(left)}")


def in_process(action: Callable[[], object]) -> int:
    """A forked process that does something: its end without an error is 0, a refusal 1, a full disk 3."""
    child = os.fork()
    if child == 0:
        code = 70
        with suppress(BaseException):
            code = refusal(action)
        os._exit(code)
    return child


def refusal(action: Callable[[], object]) -> int:
    """Do something; 1 where it is refused as others do it now, and 3 where there is no room."""
    try:
        action()
    except InputError:
        return 1
    except OSError as problem:
        return 3 if problem.errno in (errno.ENOSPC, errno.EFBIG) and str(problem.filename).endswith("kept") else 71
    return 0


def ended(child: int) -> int:
    """Exit code of a process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def damage(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Spoil a file of rows that were pickled, or none; those that are mapped already stay."""
    kept = folder / "kept"
    rows = write(prepared, 0, kept)
    stored, file = pickle.dumps(rows), kept / random.choice(FILES)
    whole = random.random() < WHOLE
    if not whole:
        chosen = random.random()
        if chosen < 0.7:
            body = spoil(file.read_bytes(), random)
            file.unlink()
            file.write_bytes(body)
        elif chosen < 0.8:
            file.unlink()
        else:
            write(prepared, 1, folder / "other")
            shutil.copy2(folder / "other" / file.name, file.with_name("new"))
            file.with_name("new").replace(file)
    check(prepared, 0, rows)
    with taken_if(whole):
        check(prepared, 0, pickle.loads(stored))


def several(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Two or three processes keep rows of two tables in one folder, and read them back from pickles."""
    kept, numbers = folder / "kept", random.choices((0, 1), k=random.choice((2, 3)))

    def write_and_read(number: int, place: int) -> None:
        rows = write(prepared, number, kept)
        (folder / f"{place}.pickle").write_bytes(pickle.dumps(rows))
        check(prepared, number, rows)

    children = []
    for place, number in enumerate(numbers):
        children.append(in_process(lambda number=number, place=place: write_and_read(number, place)))  # type: ignore[misc]
        time.sleep(random.choice((0, random.uniform(0, 0.05))))
    codes = [ended(child) for child in children]
    if not set(codes) <= {0, 1} or 0 not in codes:
        raise WrongResult(f"processes side by side ended with {codes}")
    check_files(kept)
    good = 0
    for place, number in enumerate(numbers):
        if (folder / f"{place}.pickle").exists():
            with suppress(InputError):
                check(prepared, number, pickle.loads((folder / f"{place}.pickle").read_bytes()))
                good += 1
    if not good:
        raise WrongResult("none of the pickles can be read")


def kill(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Kill a process that replaces rows; a pickle of the older ones gives them or is refused, and the next replaces."""
    kept = folder / "kept"
    stored = pickle.dumps(write(prepared, 0, kept))
    child = in_process(lambda: write(prepared, 1, kept))
    time.sleep(random.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    ended(child)
    with suppress(InputError):
        check(prepared, 0, pickle.loads(stored))
    rows = write(prepared, 1, kept)
    check_files(kept)
    check(prepared, 1, pickle.loads(pickle.dumps(rows)))


def fill(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Let the disk be full after some bytes, or files be limited to some; then make room."""
    kept = folder / "disk" / "kept"
    kept.parent.mkdir()
    size = sum(gpuvgm.TrainingRows(prepared.model, prepared.tables[1]).nbytes for _ in range(1))
    on_disk = random.random() < 0.75 and mounted(kept.parent, (random.randrange(2 * size) // 4096 + 2) * 4096)
    older = random.random() < 0.5 and refusal(lambda: write(prepared, 0, kept)) == 0
    stored = pickle.dumps(write(prepared, 0, kept)) if older and not on_disk else None

    def limited() -> None:
        if not on_disk:
            limit_files(random.randrange(size))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        check(prepared, 1, write(prepared, 1, kept))

    code = ended(in_process(limited))
    if code not in (0, 3):
        raise WrongResult(f"on a full disk the process ended with {code}")
    if kept.exists():
        check_files(kept)
    if stored is not None:
        with suppress(InputError):
            check(prepared, 0, pickle.loads(stored))
    mounted(kept.parent, WHOLE_DISK, 0x20)
    check(prepared, 1, write(prepared, 1, kept))


def attempt(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """One of these."""
    random.choice((damage, damage, several, kill, fill))(prepared, random, folder)


TARGETS = (Target("training-rows", prepare, attempt, memory=None, named=("kept",)),)
