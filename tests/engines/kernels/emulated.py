"""A device for tests: programs compiled by the host's compiler, blocks as fibres, NumPy as the array namespace."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock, RLock
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np

from gpuvgm.engines.cuda.programs import C_TYPES, Parameter, Program
from tests.engines.kernels.building import build, fused_flags

HERE = Path(__file__).parent
SLOW = "gpuvgm_em_"  # kernels that run for longer than the compiler takes to optimise them
FLAGS = ("-std=c++17", "-ffp-contract=off", "-fPIC", "-shared", "-w")


class Resident(np.ndarray):
    """An array that stands for one on the device: NumPy takes it, but the engine can tell it from the host's."""

    #: All that there are, because kernels may find the addresses of arrays in tables.
    living: ClassVar[WeakValueDictionary[int, Resident]] = WeakValueDictionary()

    def __array_finalize__(self, _source: np.ndarray | None) -> None:
        self.living[id(self)] = self


def resident(array: np.ndarray | None) -> Any:
    """An array of the host as one of the device, in the same memory."""
    return None if array is None else array.view(Resident)


class ResidentNamespace:
    """NumPy with `Resident` arrays: what CuPy is to the engine."""

    ndarray = Resident

    def empty(self, *arguments: Any, **options: Any) -> Any:
        """Memory as an allocator leaves it."""
        array = np.empty(*arguments, **options)
        array.reshape(-1).view(np.uint8)[:] = 0xA5
        return array.view(Resident)

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, type) or not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            result = found(*arguments, **options)
            return result.view(Resident) if isinstance(result, np.ndarray) else result

        return call


class OutOfMemory(Exception):
    """What `EmulatedDevice` raises where an upload is larger than its memory."""


@dataclass
class EmulatedLane:
    """A lane whose copies happen as late as they may: whoever does not wait sees old numbers."""

    memory: float
    uploads: list[int]
    xp: Any
    arriving: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def __enter__(self) -> EmulatedLane:
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def upload(self, array: np.ndarray) -> Any:
        assert not isinstance(array, Resident)
        if array.nbytes > self.memory:
            raise OutOfMemory
        self.uploads.append(len(array))
        return self.xp.asarray(np.array(array))

    def download(self, array: Any, out: np.ndarray) -> None:
        assert isinstance(array, Resident) and not isinstance(out, Resident)
        self.arriving.append((array, out))

    def follow(self, other: EmulatedLane) -> None:
        assert other is not self

    def wait(self) -> None:
        for array, out in self.arriving:
            np.copyto(out, array)
        self.arriving.clear()


@dataclass
class EmulatedDevice:
    """Runs programs on the host, checks their arguments and keeps a list of launches.

    Parameters
    ----------
    multiprocessors : int
        What the engine chooses numbers of blocks by.
    memory : float
        Bytes of the longest upload that finds room.
    """

    multiprocessors: int = 2
    memory: float = np.inf
    launches: list[tuple[str, int]] = field(default_factory=list)
    uploads: list[int] = field(default_factory=list)
    xp: Any = field(default_factory=ResidentNamespace)
    out_of_memory: tuple[type[BaseException], ...] = (OutOfMemory,)

    is_forked: bool = False
    current: int = 0
    total_memory: int = 1 << 40
    free_memory: int = 1 << 40

    def __post_init__(self) -> None:
        self._busy = RLock()
        self._lanes = tuple(EmulatedLane(self.memory, self.uploads, self.xp) for _ in range(2))

    @contextmanager
    def lanes(self, *, on_current: bool = False) -> Iterator[tuple[EmulatedLane, EmulatedLane]]:
        with self._busy:
            yield self._lanes

    def lane(self) -> EmulatedLane:
        return EmulatedLane(self.memory, self.uploads, self.xp)

    def release_memory(self) -> None:
        pass

    def range(self, name: str) -> Any:
        return nullcontext()

    def run_rows(self, program: Program, arguments: Sequence[Any], size: int) -> None:
        assert not program.is_block
        self._run(program, arguments, size)

    def run_blocks(self, program: Program, blocks: int, arguments: Sequence[Any]) -> None:
        assert program.is_block
        self._run(program, arguments, blocks)

    def _run(self, program: Program, arguments: Sequence[Any], size: int) -> None:
        program.check(arguments)
        self.launches.append((program.name, size))
        held = [_held(parameter, value) for parameter, value in zip(program.parameters, arguments, strict=True)]
        addresses = (ctypes.c_void_p * len(held))(*[one.ctypes.data for one in held])
        library(program).gpuvgm_run(ctypes.c_longlong(size), addresses)

    def to_host(self, array: Any) -> np.ndarray:
        assert isinstance(array, Resident)
        return np.array(array, subok=False)

    def is_resident(self, array: Any) -> bool:
        return isinstance(array, Resident)


def _held(parameter: Parameter, value: Any) -> np.ndarray:
    """Where the kernel's wrapper reads an argument: the address of an array, or the value."""
    if parameter.pointer:
        assert isinstance(value, Resident), f"{parameter.name} does not lie on the device"
        return np.array([value.ctypes.data], np.uint64)
    return np.array([value], parameter.type)


def host_text(program: Program) -> str:
    """The program as a file for the host's compiler, with one entry that takes the addresses of all arguments."""
    reads = [_read(index, parameter) for index, parameter in enumerate(program.parameters)]
    names = ", ".join(parameter.name for parameter in program.parameters)
    if program.is_block:
        body = f"emulation::launch((unsigned)size, {program.threads}, [&] {{ {program.name}({names}); }});"
    else:
        body = f"for (long long i = 0; i < size; ++i) {{ {program.operation}; }}"
    lines = ['#include "emulation.hpp"', program.preamble()]
    lines += ['extern "C" void gpuvgm_run(long long size, void** arguments) {', *reads, body, "}"]
    return "\n".join(lines)


def _read(index: int, parameter: Parameter) -> str:
    kind = C_TYPES[parameter.type]
    if parameter.pointer:
        kind += "*" if parameter.written else " const*"
    return f"{kind} {parameter.name} = *({kind}*)arguments[{index}];"


_COMPILING = Lock()


def library(program: Program) -> ctypes.CDLL:
    """The program, compiled for the host; once, whatever the threads."""
    with _COMPILING:
        return _library(program)


@cache
def _library(program: Program) -> ctypes.CDLL:
    text, flags = host_text(program), ["-O2" if program.name.startswith(SLOW) else "-O1", *FLAGS, *fused_flags()]
    key = hashlib.sha256(" ".join([text, *flags, (HERE / "emulation.hpp").read_text()]).encode()).hexdigest()[:20]
    return ctypes.CDLL(str(build(f"{program.name}-{key}", text, [*flags, f"-I{HERE}"])))
