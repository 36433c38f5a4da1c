"""``gpuvgm`` and ``python -m gpuvgm``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Entry point; Ctrl-C while modules are loaded is as quiet as later."""
    try:
        from gpuvgm.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("gpuvgm: interrupted; nothing partial was left\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
