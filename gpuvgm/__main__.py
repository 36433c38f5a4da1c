"""``gpuvgm`` and ``python -m gpuvgm``."""

from __future__ import annotations

import sys
from typing import NoReturn

from gpuvgm.cli.address_space import check_address_space
from gpuvgm.errors import EnvironmentProblem


def main() -> NoReturn:
    """Entry point; Ctrl-C while modules are loaded is as quiet as later."""
    try:
        check_address_space()
        from gpuvgm.cli.commands import main as run

        run()
    except EnvironmentProblem as problem:
        sys.stderr.write(f"gpuvgm: {problem}\n")
        sys.exit(3)
    except KeyboardInterrupt:
        sys.stderr.write("gpuvgm: interrupted; no partial files are left\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
