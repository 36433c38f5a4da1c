"""The interpreter of PTX in machine.cpp: compiled when it is first needed, and called."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from tests.engines.kernels.building import build, fused_flags

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
MOST_FAULTS = 64  # of a launch that are told
LONGEST = 10**10  # instructions of a launch that is not taken for endless

INSTRUCTION = np.dtype(
    [
        ("rule", "u2"),
        *[(name, "u1") for name in ("space", "bytes", "count", "is_signed", "atomic", "wanted")],
        ("predicate", "i4"),
        ("results", "i4", 4),
        *[(name, "i4") for name in ("a", "b", "c", "e")],
        ("offset", "i8"),
        ("allocation", "i4"),
    ],
    align=True,
)
SPACES = {"global": 0, "shared": 1, "const": 2, "param": 3, "generic": 4}  # Space in memory.hpp
ATOMICS = {"add": 0, "min": 1, "max": 2, "exch": 3, "cas": 4, "and": 5, "or": 6}
FAULTS = (
    "outside of every array",
    "misaligned",
    "write to an array that is only read",
    "read of shared memory that nobody wrote",
    "race",
    "barrier that not all threads reach",
    "NaN made an integer",
    "division by zero",
    "endless loop",
)
ORDERS = ("forwards", "backwards", "shuffled")


class Launch(ctypes.Structure):
    """`Launch` of machine.cpp."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("blocks", "threads", "registers")),
        *((name, ctypes.c_int32) for name in ("tid", "ntid", "ctaid", "nctaid")),
        *((name, ctypes.c_uint32) for name in ("shared_bytes", "shared_grain", "parameter_bytes", "constant_bytes")),
        *((name, ctypes.c_uint32) for name in ("order", "turn", "seed")),
        ("approximation", ctypes.c_int32),
        ("longest", ctypes.c_uint64),
    )


class Fault(ctypes.Structure):
    """`Fault` of memory.hpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "pc", "block", "thread")),
        *((f"other_{name}", ctypes.c_int32) for name in ("pc", "block", "thread")),
        ("bytes", ctypes.c_int32),
        ("address", ctypes.c_uint64),
    )


class Allocation(ctypes.Structure):
    """`Allocation` of memory.hpp."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("base", "size")),
        *((name, ctypes.c_uint32) for name in ("writable", "grain")),
    )


class KernelFault(AssertionError):
    """What a kernel did and must not do; the message names thread, block, instruction and line."""


@dataclass(frozen=True)
class Schedule:
    """In which order threads run, and what approximate instructions give.

    Parameters
    ----------
    order : {"forwards", "backwards", "shuffled"}
        Of the blocks of a launch and the threads of a block.
    turn : int
        A thread runs for between 1 and so many instructions before another one does; 0: until its next barrier.
    approximation : {-1, 0, 1, 2}
        Results of instructions such as `rcp.approx`: as low as the manual allows, the nearest, as high, or any of
        these.
    """

    order: str = "forwards"
    turn: int = 0
    approximation: int = 0


#: Every run is also one with other results of approximate instructions.
SCHEDULES = {
    "forwards": Schedule("forwards"),
    "backwards": Schedule("backwards", approximation=-1),
    "shuffled": Schedule("shuffled", turn=37, approximation=2),
}


@dataclass
class Kernel:
    """A decoded kernel, see `decoding.decode`.

    Parameters
    ----------
    name : str
        Its name.
    parameters : list of (int, int)
        Offset and size of each argument in the memory that arguments are handed over in.
    shared_bytes, shared_grain : int
        Shared memory, and the bytes of the narrowest access to it.
    constants : bytes
        Constant memory.
    code : ndarray of INSTRUCTION
        The instructions.
    initial : ndarray of uint64
        Registers of a thread as it begins; immediates and addresses lie there too.
    special : dict
        Which registers hold `tid`, `ntid`, `ctaid` and `nctaid`.
    text : list of str
        The instructions as PTX.
    lines : list of str
        Where in the CUDA text each instruction comes from.
    executed : ndarray of uint64
        How often each instruction was executed, in all launches.
    longest_way : ndarray of uint64, shape (1,)
        Instructions of the slowest threads of all blocks one after the other: those with the most between two barriers.
    """

    name: str
    parameters: list[tuple[int, int]] = field(default_factory=list)
    shared_bytes: int = 0
    shared_grain: int = 8
    constants: bytes = b""
    code: np.ndarray = field(default_factory=lambda: np.zeros(0, INSTRUCTION))
    initial: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    special: dict[str, int] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    executed: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    longest_way: np.ndarray = field(default_factory=lambda: np.zeros(1, np.uint64))

    def barriers(self) -> list[int]:
        """Places of barriers in the code."""
        return np.flatnonzero(self.code["rule"] == rules()["bar.sync"]).tolist()

    def without(self, place: int) -> Kernel:
        """The kernel with a jump to the next instruction instead of the one at `place`."""
        code = self.code.copy()
        code[place]["rule"], code[place]["offset"] = rules()["bra"], place + 1
        zero = {name: np.zeros_like(getattr(self, name)) for name in ("executed", "longest_way")}
        return replace(self, code=code, **zero)


@dataclass(frozen=True)
class Memory:
    """An array that a launch may read, and write if it is `writable`."""

    array: np.ndarray
    writable: bool = True


def machine_sources() -> str:
    """Text of the interpreter."""
    return "\n".join((HERE / name).read_text() for name in ("memory.hpp", "machine.hpp", "rules.hpp", "machine.cpp"))


@cache
def machine() -> ctypes.CDLL:
    """The compiled interpreter."""
    key = hashlib.sha256(machine_sources().encode()).hexdigest()[:20]
    library = ctypes.CDLL(str(build(f"ptx-{key}", HERE / "machine.cpp", (*FLAGS, *fused_flags()))))
    library.ptx_rule.restype = ctypes.c_char_p
    library.ptx_launch.restype = ctypes.c_uint32
    here = [INSTRUCTION.itemsize, *map(ctypes.sizeof, (Launch, Fault, Allocation))]
    assert here == [library.ptx_size(which) for which in range(4)], "structures differ from those of machine.cpp"
    return library


@cache
def rules() -> dict[str, int]:
    """Numbers of the instructions that the interpreter knows, by name."""
    numbers: dict[str, int] = {}
    while (name := machine().ptx_rule(len(numbers))) is not None:
        numbers[name.decode()] = len(numbers)
    return numbers


def launch(
    kernel: Kernel,
    shape: tuple[int, int],
    arguments: Sequence[bytes],
    memory: Sequence[Memory],
    schedule: Schedule = SCHEDULES["forwards"],
    *,
    seed: int = 0,
    longest: int = LONGEST,
    allowed: Sequence[str] = (),
) -> None:
    """Run a kernel.

    Parameters
    ----------
    kernel : Kernel
        What to run.
    shape : (int, int)
        Blocks, and threads of a block.
    arguments : sequence of bytes
        As they lie in memory.
    memory : sequence of Memory
        What it may touch.
    schedule : Schedule
        Order of threads.
    seed : int
        Of shuffled orders.
    longest : int
        Instructions after which a launch is taken for endless.
    allowed : sequence of str
        Those of `FAULTS` that are none here.

    Raises
    ------
    KernelFault
        With every fault that was found.
    """
    described = Launch(
        *shape,
        len(kernel.initial),
        *(kernel.special.get(name, -1) for name in ("tid", "ntid", "ctaid", "nctaid")),
        kernel.shared_bytes,
        kernel.shared_grain,
        sum(kernel.parameters[-1]) if kernel.parameters else 0,
        len(kernel.constants),
        ORDERS.index(schedule.order),
        schedule.turn,
        seed,
        schedule.approximation,
        longest,
    )
    table, faults = allocations(memory), (Fault * MOST_FAULTS)()
    count = machine().ptx_launch(
        ctypes.byref(described),
        ctypes.c_void_p(kernel.code.ctypes.data),
        ctypes.c_void_p(kernel.initial.ctypes.data),
        _packed(kernel, arguments),
        kernel.constants,
        table,
        ctypes.c_uint32(len(table)),
        faults,
        ctypes.c_uint32(MOST_FAULTS),
        ctypes.c_void_p(kernel.executed.ctypes.data),
        ctypes.c_void_p(kernel.longest_way.ctypes.data),
    )
    found = [_told(kernel, fault) for fault in faults[:count] if FAULTS[fault.kind] not in allowed]
    if found:
        raise KernelFault("\n".join(found))


def _packed(kernel: Kernel, arguments: Sequence[bytes]) -> bytes:
    packed = bytearray()
    for (offset, size), argument in zip(kernel.parameters, arguments, strict=True):
        assert len(argument) == size, f"{kernel.name}: an argument of {len(argument)} bytes, not {size}"
        packed = packed.ljust(offset, b"\0") + argument
    return bytes(packed)


def allocations(memory: Sequence[Memory]) -> ctypes.Array[Allocation]:
    """Arrays in the order of their addresses. Those that overlap are one, written to if one of them is."""
    merged: list[Allocation] = []
    for one in sorted(memory, key=lambda one: one.array.ctypes.data):
        base, size, grain = one.array.ctypes.data, one.array.nbytes, one.array.itemsize
        if merged and base < merged[-1].base + merged[-1].size:
            last = merged[-1]
            last.size = max(last.size, base + size - last.base)
            last.writable |= one.writable
            last.grain = min(last.grain, grain)
        elif size:
            merged.append(Allocation(base, size, one.writable, grain))
    return (Allocation * len(merged))(*merged)


def _told(kernel: Kernel, fault: Fault) -> str:
    def where(block: int, thread: int, pc: int) -> str:
        of = f"block {block}" if block >= 0 else "another block"
        return f"{of}, thread {thread} at {kernel.lines[pc]} ({kernel.text[pc]})"

    told = f"{kernel.name}: {FAULTS[fault.kind]}: {where(fault.block, fault.thread, fault.pc)}"
    if fault.bytes:
        told += f", {fault.bytes} bytes at {fault.address:#x}"
    if fault.other_pc >= 0:
        told += f", after {where(fault.other_block, fault.other_thread, fault.other_pc)}"
    return told
