"""Which PTX instructions of all programs no test executed.

Tests write what they executed into the folder that PTX_COVERAGE names, each process a file of its own.
`python -m tests.harness.ptx.coverage FOLDER` adds these up, lists the lines of CUDA that were not reached, and fails
where less than 98 % of the instructions of an architecture were executed.

Not all can be: compilers make code for mixtures without a component, for loops over the components of a mixture of one,
and for the rest of an unrolled loop whose length always divides by four.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gpuvgm.engines import every_program
from tests.engines.kernels.executed import ExecutedDevice
from tests.harness.ptx.interpreter import Kernel
from tests.harness.ptx.programs import kernel_of

FOLDER = os.environ.get("PTX_COVERAGE")
LEAST = 98.0  # percent
Key = tuple[str, str, bool]  # program, architecture, and whether for arrays of 2^31 elements and more


def save(folder: str) -> None:
    """Write what this process executed."""
    kernels = [
        {"key": key, "text": kernel.text, "lines": kernel.lines, "executed": kernel.executed.tolist()}
        for key, kernel in ExecutedDevice.kernels.items()
    ]
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"{uuid.uuid4().hex}.json").write_text(json.dumps(kernels))


def executed(folder: Path) -> dict[Key, Kernel]:
    """Kernels that any process executed, with the sums of all."""
    kernels: dict[Key, Kernel] = {}
    for path in folder.glob("*.json"):
        for one in json.loads(path.read_text()):
            name, architecture, wide = one["key"]
            counts = np.array(one["executed"], np.uint64)
            key = name, architecture, wide
            if key in kernels:
                kernels[key].executed += counts
            else:
                kernels[key] = Kernel(name, text=one["text"], lines=one["lines"], executed=counts)
    return kernels


def report(kernels: dict[Key, Kernel], least: float = LEAST) -> tuple[str, bool]:
    """What was executed of each architecture, and whether that is enough of every one.

    Programs of `every_program` count whether a test ran them or not; those that tests ran besides count, too.
    """
    lines, enough = [], True
    for architecture in sorted({key[1] for key in kernels}, key=int):
        here = {key: kernel for key, kernel in kernels.items() if key[1] == architecture}
        for program in every_program():
            kernel = kernel_of(program, architecture)
            unexecuted = replace(kernel, executed=np.zeros_like(kernel.executed))
            here.setdefault((program.name, architecture, False), unexecuted)
        total = sum(len(kernel.text) for kernel in here.values())
        reached = sum(int(np.count_nonzero(kernel.executed)) for kernel in here.values())
        times = sum(int(kernel.executed.sum()) for kernel in here.values())
        share = 100 * reached / total
        enough &= share >= least
        lines.append(
            f"compute_{architecture}: {reached:,} of {total:,} PTX instructions of {len(here)} kernels were executed "
            f"({share:.2f} %), {times:,} times in all"
        )
        lines += sorted(unreached(here))
    return "\n".join(lines), enough and bool(kernels)


def unreached(kernels: dict[Key, Kernel]) -> Iterator[str]:
    """Lines of CUDA of which instructions were not executed, with the programs that have them."""
    missed: dict[str, Counter[str]] = defaultdict(Counter)
    for (name, _, wide), kernel in kernels.items():
        for line, count in zip(kernel.lines, kernel.executed.tolist(), strict=True):
            if count == 0:
                missed[line][name + (" (wide)" if wide else "")] += 1
    for line, programs in missed.items():
        named = ", ".join(f"{name} {count}" for name, count in programs.most_common(4))
        more = f" and {len(programs) - 4} more" if len(programs) > 4 else ""
        yield f"  {line}: {sum(programs.values())} not executed ({named}{more})"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--least", type=float, default=LEAST, help="percent of the instructions of an architecture")
    options = parser.parse_args()
    text, enough = report(executed(options.folder), options.least)
    print(text or f"nothing was executed, or PTX_COVERAGE was not {options.folder}")
    sys.exit(0 if enough else 1)


if __name__ == "__main__":
    main()
