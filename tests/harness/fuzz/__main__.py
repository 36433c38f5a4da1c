"""Spoil what gpuvgm reads and see what comes of it: `python -m tests.harness.fuzz --minutes 30`.

Prints every case that ended as none may, and a table of outcomes; exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from tests.harness.fuzz.harness import ALLOWED, Result, run_target, table
from tests.harness.fuzz.targets import TARGETS

MOST_SHOWN = 20  # cases of a target that ended in one way; the table counts all


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    keep = None if asked.case is None else Path(tempfile.mkdtemp(prefix="fuzz-"))
    results: list[Result] = []
    try:
        for result in _results(asked, keep):
            results.append(result)
            if asked.case is not None or _is_new(result, results):
                print(f"{result.target} --case {result.number}: {result.outcome}\n{result.message}", flush=True)
    finally:
        print(table(results), flush=True)
    if keep is not None:
        print(f"its files are in {keep}")
    return int(any(result.outcome not in ALLOWED for result in results))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.fuzz", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*TARGETS], default=[*TARGETS], metavar="TARGET")
    parser.add_argument("--cases", type=int, help="cases of each target; else as many as the minutes allow")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="shared by all targets evenly")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="run this case alone, and keep its files")
    parser.add_argument("--side-by-side", type=int, default=1, help="cases that run at a time")
    asked = parser.parse_args()
    if asked.case is not None:
        asked.first, asked.cases = asked.case, 1
    if asked.cases is None and asked.minutes == float("inf"):
        parser.error("say --cases or --minutes")
    return asked


def _results(asked: argparse.Namespace, keep: Path | None) -> Iterator[Result]:
    """Run every target that is asked for, each with an even share of the time that is left."""
    end = time.monotonic() + 60 * asked.minutes
    for left, name in zip(range(len(asked.only), 0, -1), asked.only, strict=True):
        until = time.monotonic() + (end - time.monotonic()) / left
        numbers = count(asked.first) if asked.cases is None else range(asked.first, asked.first + asked.cases)
        kept = None if keep is None else keep / name
        yield from run_target(TARGETS[name], numbers, until, side_by_side=asked.side_by_side, keep=kept)


def _is_new(result: Result, results: list[Result]) -> bool:
    """Whether a case ended as none may, and is not the 21st of its target to do so in one way."""
    alike = [other for other in results if (other.target, other.outcome) == (result.target, result.outcome)]
    return result.outcome not in ALLOWED and len(alike) <= MOST_SHOWN


if __name__ == "__main__":
    sys.exit(main())
