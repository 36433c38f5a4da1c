"""Refuse a limit of address space that is too small for OpenBLAS, before it is imported and hangs or ends the process.

Measured with ``ulimit -v`` on Linux, two cores, NumPy 2 and SciPy 1 with an OpenBLAS of their own each: the command
line maps 450 MiB, and 80 MiB for every thread of OpenBLAS (in each of the two a stack of 8 MiB and a buffer of 32 MiB).
Below that imports fail, or OpenBLAS waits for memory, for a minute or for ever. With two threads a fit still hung at
900 MiB; from 950 MiB on it succeeded or ended with a clear error.
"""

from __future__ import annotations

import os

from gpuvgm.errors import EnvironmentProblem, counted

try:
    import resource
except ImportError:  # Windows
    LIMITS = False
else:
    LIMITS = True

MIB = 1 << 20
BASE, WORK, PER_THREAD = 450 * MIB, 400 * MIB, 80 * MIB
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def check_address_space() -> None:
    """Refuse a limit in which OpenBLAS does not find enough memory.

    Raises
    ------
    EnvironmentProblem
        Naming the limit, and what is needed.
    """
    if not LIMITS:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    threads = _blas_threads()
    if limit == resource.RLIM_INFINITY or limit >= needed(threads):
        return
    problem = f"the address space limit (ulimit -v) is {limit // MIB} MiB, but {needed(threads) // MIB} MiB are needed"
    fewer = f", or set OPENBLAS_NUM_THREADS=1, which needs {needed(1) // MIB} MiB" if threads > 1 else ""
    raise EnvironmentProblem(f"{problem} for {counted(threads, 'OpenBLAS thread')}; raise the limit{fewer}")


def needed(threads: int) -> int:
    """Bytes of address space below which OpenBLAS with so many threads hangs or ends the process."""
    return BASE + WORK + threads * PER_THREAD


def _blas_threads() -> int:
    """Threads that OpenBLAS starts: one for each core that the process may use, or fewer on request."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = [int(value) for name in _THREADS if (value := os.environ.get(name, "")).isdecimal() and int(value)]
    return min([cores, *settings[:1]])
