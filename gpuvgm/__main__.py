"""``gpuvgm`` and ``python -m gpuvgm``."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from gpuvgm.cli import check_address_space
from gpuvgm.errors import EnvironmentProblem


def open_closed_descriptors() -> None:
    """Open the null device for closed standard streams (``>&-``); else files of the run get their descriptors."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest descriptor that is free, which is this one
            setattr(sys, name, os.fdopen(nowhere, "r" if name == "stdin" else "w", closefd=False))


def main() -> NoReturn:
    """Entry point; Ctrl-C while modules are loaded is as quiet as later."""
    open_closed_descriptors()
    gc.disable()  # what is imported stays; `run_command` enables it
    try:
        check_address_space()
        from gpuvgm.cli import main as run

        run()
    except EnvironmentProblem as problem:
        sys.stderr.write(f"gpuvgm: {problem}\n")
        sys.exit(3)
    except KeyboardInterrupt:
        sys.stderr.write("gpuvgm: interrupted; no partial files are left\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
