"""Spoil what gpuvgm reads and see what comes of it: `python -m tests.fuzz --minutes 30`.

Prints a table of outcomes and every case that ended as none may; exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import count

from tests.fuzz.harness import ALLOWED, Result, run_target, table
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*TARGETS], default=[*TARGETS], metavar="TARGET")
    parser.add_argument("--cases", type=int, help="cases of each target; else as many as the minutes allow")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="shared by all targets evenly")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="run this case alone")
    asked = parser.parse_args()
    if asked.case is not None:
        asked.first, asked.cases = asked.case, 1
    if asked.cases is None and asked.minutes == float("inf"):
        parser.error("say --cases or --minutes")
    results: list[Result] = []
    end = time.monotonic() + 60 * asked.minutes
    for left, name in zip(range(len(asked.only), 0, -1), asked.only, strict=True):
        until = time.monotonic() + (end - time.monotonic()) / left
        numbers = count(asked.first) if asked.cases is None else range(asked.first, asked.first + asked.cases)
        for result in run_target(TARGETS[name], numbers, until):
            results.append(result)
            if result.outcome not in ALLOWED or asked.case is not None:
                print(f"{name} --case {result.number}: {result.outcome}\n{result.message}", flush=True)
    print(table(results), flush=True)
    return int(any(result.outcome not in ALLOWED for result in results))


if __name__ == "__main__":
    sys.exit(main())
