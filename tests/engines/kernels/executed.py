"""A device for tests: programs as the PTX that NVRTC makes of them, executed on the host with every access checked."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from gpuvgm.engines.cuda.programs import Parameter, Program
from tests.engines.kernels.emulated import EmulatedDevice, Resident
from tests.harness.ptx.interpreter import SCHEDULES, Kernel, Memory, Schedule, launch
from tests.harness.ptx.programs import kernel_of

#: What tests are executed for: one of `ptx.programs.ARCHITECTURES`, and one of `SCHEDULES`.
ARCHITECTURE = os.environ.get("PTX_ARCHITECTURE", "75")
SCHEDULE = os.environ.get("PTX_SCHEDULE", "backwards")
ROW_THREADS = 128  # of a block of CuPy's elementwise kernels
_EXECUTING = Lock()


@dataclass
class ExecutedDevice(EmulatedDevice):
    """Runs programs as PTX.

    Parameters
    ----------
    architecture : str
        Virtual architecture that programs are compiled for.
    schedule : Schedule
        Order of threads, and results of approximate instructions.
    wide : bool
        Take row programs as CuPy compiles them for arrays of 2^31 elements and more.
    changed : dict
        Kernels to run instead of those of the programs of these names.
    """

    architecture: str = ARCHITECTURE
    schedule: Schedule = SCHEDULES[SCHEDULE]
    wide: bool = False
    changed: dict[str, Kernel] = field(default_factory=dict)

    #: All kernels that any device was asked for, by program, architecture and `wide`.
    kernels: ClassVar[dict[tuple[str, str, bool], Kernel]] = {}

    def kernel(self, program: Program) -> Kernel:
        """The program, decoded."""
        wide = self.wide and not program.is_block
        kernel = kernel_of(program, self.architecture, wide=wide)
        self.kernels[program.name, self.architecture, wide] = kernel
        return self.changed.get(program.name, kernel)

    def _run(self, program: Program, arguments: Sequence[Any], size: int) -> None:
        program.check(arguments)
        self.launches.append((program.name, size))
        if size == 0:
            return
        given = list(zip(program.parameters, arguments, strict=True))
        assert all(isinstance(value, Resident) for parameter, value in given if parameter.pointer)
        if program.is_block:
            shape, packed = (size, program.threads), [_plain(*one) for one in given]
        else:
            shape, packed = (-(-size // ROW_THREADS), min(size, ROW_THREADS)), _elementwise(given, size)
        with _EXECUTING:
            kernel, seed = self.kernel(program), len(self.launches)
            launch(kernel, shape, packed, _memory(given), self.schedule, seed=seed)


def _memory(given: list[tuple[Parameter, Any]]) -> list[Memory]:
    memory = [Memory(value, parameter.written) for parameter, value in given if parameter.pointer]
    named = {parameter.name: value for parameter, value in given}
    if "parts" in named:  # a table of the onehot layout, which holds addresses
        memory += [Memory(array, "matrix" in named) for array in _told(named["parts"])]
    if "problems" in named:  # those of EM: cells, which are read, and what loops keep
        memory += [Memory(array, writable=False) for array in _told(named["problems"][:, :3])]
        memory += [Memory(array, writable=True) for array in _told(named["problems"][:, 3:5])]
    return memory


def _told(addresses: np.ndarray) -> list[Resident]:
    """The arrays that addresses of a table lie in; of views of one memory the widest."""
    wanted, widest = np.ravel(addresses), dict[int, Resident]()
    for array in list(Resident.living.values()):
        first = array.ctypes.data
        if np.any((wanted >= first) & (wanted < first + array.nbytes)):
            widest[first] = max(widest.get(first, array), array, key=lambda one: one.nbytes)
    return list(widest.values())


def _plain(parameter: Parameter, value: Any) -> bytes:
    """An argument of a block program."""
    return struct.pack("<Q", value.ctypes.data) if parameter.pointer else np.array([value], parameter.type).tobytes()


def _elementwise(given: list[tuple[Parameter, Any]], size: int) -> list[bytes]:
    """Arguments of an elementwise kernel of CuPy: arrays that are read, arrays that are written, and an index.

    An array is a `CArray<T, 1>`: address, size, shape and stride; the index a `CIndexer<1>`: size, shape and place.
    """
    packed = []
    for parameter, value in sorted(given, key=lambda one: one[0].written):
        if parameter.pointer:
            packed.append(struct.pack("<Qqqq", value.ctypes.data, value.size, value.size, value.itemsize))
        else:
            packed.append(_plain(parameter, value))
    return [*packed, struct.pack("<qqq", size, size, 0)]
