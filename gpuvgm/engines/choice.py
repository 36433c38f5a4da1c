"""The choice of an engine, by name and by where rows lie."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib import import_module, util
from pathlib import Path
from typing import get_args

from gpuvgm.config import EngineName, environment
from gpuvgm.engines.base import Engine
from gpuvgm.errors import EnvironmentProblem, pip_command

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
FIND_DEVICE = (
    "install the driver until nvidia-smi lists the GPU, pass the GPU in to a container (docker run --gpus all), or "
    f"{pip_command('cu12')} where the driver is one of CUDA 12"
)
_LOG = logging.getLogger("gpuvgm")


def native_is_built() -> bool:
    """Return whether the C++ extension is installed."""
    return util.find_spec("gpuvgm._native") is not None


@cache
def get_engine(name: str = "auto") -> Engine:
    """Engine by name.

    Parameters
    ----------
    name : {"auto", "reference", "native", "cuda"}
        "auto" is the native engine where it was built, else the reference engine (said once in the log); whether a job
        is one for a device is decided by `choose_engine`, which knows where its rows lie.

    Raises
    ------
    EnvironmentProblem
        For an engine that is unknown, not built, or not usable on this machine.
    """
    if name not in ENGINES:
        raise EnvironmentProblem(f'engine "{name}" is unknown: choose from {", ".join(ENGINES)}')
    if name == "auto":
        name = _host_engine()
        if name == "reference":
            _LOG.warning("%s", _why_not_native())
    if name == "native":
        if not native_is_built():
            raise EnvironmentProblem('engine "native" was not built: install a C++ compiler and reinstall gpuvgm')
        engine: Engine = import_module("gpuvgm.engines.native").NativeEngine(environment("instruction_set"))
        return engine
    if name == "cuda":
        return _cuda_engine()
    return Engine()


def choose_engine(name: str, *, on_device: bool = False) -> str:
    """Name of the engine for a job.

    Parameters
    ----------
    name : str
        What the user asked for; anything but "auto" is that.
    on_device : bool
        Whether the rows lie on a device already.

    Returns
    -------
    str
        For "auto": "cuda" where it is usable and the rows lie there, else "native" where it was built, else
        "reference". Rows of the host and of files stay on the host: an H200 with 16 cores beside it took 3.7 times as
        long as the cores to fit a file of 10^9 rows with the default effort.
    """
    if name != "auto":
        return name
    if on_device and cuda_problem() is None and _cuda_starts():
        return "cuda"
    return "auto" if _host_engine() == "reference" else "native"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Reason why an engine cannot be used, and its remedy."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}"


@cache
def cuda_problem() -> Hindrance | None:
    """Reason why the CUDA engine cannot be used; None where it can.

    That CuPy can be imported does not make it usable: it imports on machines without a GPU too.
    """
    if util.find_spec("cupy") is None:
        return Hindrance('engine "cuda" needs CuPy, which is not installed', pip_command("cuda"))
    try:
        cuda = import_module("cupy").cuda
        usable = bool(cuda.is_available())
    except Exception as problem:  # a broken installation fails in any way
        return Hindrance(
            f'engine "cuda" needs CuPy, which fails here ({_named(problem)})', f"reinstall, {pip_command('cuda')}"
        )
    if usable:
        return None
    try:
        detail = f"{cuda.runtime.getDeviceCount()} devices"
    except Exception as problem:
        detail = str(problem)
    return Hindrance(f'engine "cuda" needs an NVIDIA GPU, and CuPy finds none that it can use ({detail})', FIND_DEVICE)


def _named(problem: Exception) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


@cache
def _cuda_starts() -> bool:
    """Return whether the CUDA engine runs a kernel; if not, the log says why."""
    try:
        get_engine("cuda")
    except EnvironmentProblem as problem:
        _LOG.warning("%s; the host works instead", problem)
        return False
    return True


def _host_engine() -> str:
    return "native" if native_is_built() else "reference"


def _why_not_native() -> str:
    """Say why the slower NumPy engine is used, and what to do.

    Where Python starts in a clone, its sources come before an installed gpuvgm.
    """
    sources = Path(__file__).parents[2]
    if not (sources / "pyproject.toml").exists():
        return (
            "gpuvgm was installed without its C++ extension and runs on NumPy, up to 20 times slower: install a C++ "
            "compiler and reinstall gpuvgm"
        )
    return (
        f"gpuvgm is imported from its sources in {sources}, without the C++ extension, and runs on NumPy, up to 20 "
        "times slower: start Python in another folder if gpuvgm is installed, or run make install in this one and "
        "take .venv/bin/python"
    )


def _cuda_engine() -> Engine:
    problem = cuda_problem()
    if problem is not None:
        raise EnvironmentProblem(str(problem))
    try:
        engine: Engine = import_module("gpuvgm.engines.cuda").started(get_engine(_host_engine()))
    except Exception as failure:
        raise EnvironmentProblem(
            f'engine "cuda" cannot start ({_named(failure)}): free its memory, or reinstall CuPy with the toolkit that '
            f"fits the driver, {pip_command('cuda')}; `gpuvgm doctor` shows devices and versions"
        ) from failure
    return engine
