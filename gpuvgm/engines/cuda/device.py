"""The device that programs run on: CuPy's current one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import import_module
from queue import LifoQueue
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import check_device
from gpuvgm.engines.cuda.programs import OPTIONS, SCALARS, Parameter, Program, value, written
from gpuvgm.errors import EnvironmentProblem

MOST_BLOCKS = (1 << 31) - 1
LANE_PAIRS = 4  # threads that stream rows of the host at a time; each keeps pinned memory, and scratch on the device
#: A chain of operations that wait for each other, by one thread.
CHAIN = Program(
    "gpuvgm_chain",
    (),
    (),
    (value("int64", "steps"), written("float64", "y")),
    operation="double a = y[0]; for (long long k = 0; k < steps; ++k) a = fma(a, 0.5, 1.0); y[0] = a",
)
CHAIN_STEPS = 1 << 18, 1 << 20


class Device:
    """The device that is CuPy's current one when this is made.

    Scratch comes from CuPy's current allocator, RMM's where that was set. Arrays on the device are worked on in the
    caller's thread, on its current stream; those of the host go through lanes, which find the device from any thread.
    Only `to_host` and lanes wait for what was begun.

    Attributes
    ----------
    xp : module
        CuPy.
    number : int
        Number of the device.
    out_of_memory : tuple of type
        Exceptions of its allocators.

    Raises
    ------
    RuntimeError
        Where CuPy is installed but there is no device it can use.
    """

    def __init__(self) -> None:
        self.xp = _cupy()
        if not self.xp.cuda.is_available():
            raise RuntimeError("no CUDA device is usable")
        self.cuda = self.xp.cuda
        self.number = int(self.cuda.Device().id)
        self.out_of_memory: tuple[type[BaseException], ...] = (self.cuda.memory.OutOfMemoryError, MemoryError)
        self._process = os.getpid()
        self._free: dict[int, LifoQueue[tuple[Lane, Lane] | None]] = {}  # by device
        self._lock = Lock()

    @cached_property
    def multiprocessors(self) -> int:
        """Number of multiprocessors."""
        return int(self.cuda.Device(self.number).attributes["MultiProcessorCount"])

    @property
    def current(self) -> int:
        """Number of the current device of this thread."""
        return int(self.cuda.Device().id)

    @property
    def total_memory(self) -> int:
        """Bytes of memory that the current device has in all."""
        return int(self.cuda.Device().mem_info[1])

    @property
    def free_memory(self) -> int:
        """Bytes that new arrays may take: free on the current device or in the pool they come from, up to its limit."""
        free = int(self.cuda.Device().mem_info[0])
        resources = rmm_resources(self.cuda, self.current)
        if resources:
            return _free_of_rmm(resources, free)
        pool = self.xp.get_default_memory_pool()
        free += int(pool.free_bytes())
        return min(free, int(pool.get_limit() - pool.used_bytes())) if pool.get_limit() else free

    def run_rows(self, program: Program, arguments: Sequence[Any], size: int) -> None:
        """Run a row program for i = 0 ... size - 1."""
        self._check(program, arguments)
        if size:
            _row_kernel(program)(*_values(program, arguments), size=size)

    def run_blocks(self, program: Program, blocks: int, arguments: Sequence[Any]) -> None:
        """Run a block program with so many blocks."""
        self._check(program, arguments)
        if blocks:
            _block_kernel(program)((min(blocks, MOST_BLOCKS),), (program.threads,), tuple(_values(program, arguments)))

    def compile(self, program: Program) -> None:
        """Compile a program ahead, or take it from CuPy's cache; CuPy compiles row programs when they are called."""
        if program.is_block:
            _block_kernel(program)
        else:
            self.run_rows(program, [self.xp.zeros(1, p.type) if p.pointer else 0 for p in program.parameters], 1)

    @contextmanager
    def range(self, name: str) -> Iterator[None]:
        """A range of NVTX, which profilers show, for what is begun within."""
        self.cuda.nvtx.RangePush(name)
        try:
            yield
        finally:
            self.cuda.nvtx.RangePop()

    def to_host(self, array: Any) -> NDArray[Any]:
        """Copy of an array in the memory of the host."""
        return np.asarray(self.xp.asnumpy(array))

    def is_resident(self, array: Any) -> bool:
        """Return whether an array is CuPy's."""
        return isinstance(array, self.xp.ndarray)

    @property
    def is_forked(self) -> bool:
        """Return whether this process was forked from the one that the device belongs to, and so cannot use it."""
        return os.getpid() != self._process

    @contextmanager
    def lanes(self, *, on_current: bool = False) -> Iterator[tuple[Lane, Lane]]:
        """Two lanes for a while: as one computes, the other copies. If all of `LANE_PAIRS` are in use, wait for one.

        What they begin comes after the work of the caller's stream: its arrays are complete, and its memory is free.
        They belong to the engine's device, or with `on_current` to the thread's current one.
        """
        number = self.current if on_current else self.number
        free = self._lanes_of(number)
        pair = free.get()
        try:
            pair = pair or (Lane(self.xp, number), Lane(self.xp, number))
            with self.cuda.Device(number):
                callers = self.cuda.get_current_stream().record()
            for lane in pair:
                lane.begin_after(callers)
            yield pair
        finally:
            free.put(pair)

    def lane(self) -> Lane:
        """A lane to keep, for work whose memory belongs to no other stream: it comes after nothing else."""
        return Lane(self.xp, self.number)

    def _lanes_of(self, number: int) -> LifoQueue[tuple[Lane, Lane] | None]:
        with self._lock:
            if number not in self._free:
                self._free[number] = LifoQueue()
                for _ in range(LANE_PAIRS):
                    self._free[number].put(None)  # made when they are needed
            return self._free[number]

    def latencies(self) -> dict[str, float | None]:
        """Microseconds of a launch and of a wait, and what a float64 operation takes that waits for the one before.

        The device should have nothing else to do.
        """
        y, stream = self.xp.zeros(1), self.cuda.get_current_stream()

        def seconds(times: int, steps: int, *, wait: bool) -> float:
            stream.synchronize()
            begin = time.perf_counter()
            for _ in range(times):
                self.run_rows(CHAIN, [steps, y], 1)
                if wait:
                    stream.synchronize()
            return (time.perf_counter() - begin) / times

        seconds(10, 0, wait=True)  # compiles the kernel
        # The fastest of three: other work on the machine only adds time.
        launch = min(seconds(500, 0, wait=False) for _ in range(3))
        wait = min(seconds(200, 0, wait=True) for _ in range(3)) - launch
        short_chain, long_chain = (min(seconds(1, steps, wait=True) for _ in range(3)) for steps in CHAIN_STEPS)
        step = (long_chain - short_chain) / (CHAIN_STEPS[1] - CHAIN_STEPS[0])
        kilohertz = self.cuda.Device().attributes.get("ClockRate")
        return {
            "launch_us": round(1e6 * launch, 2),
            "wait_us": round(1e6 * wait, 2),
            "fp64_ns": round(1e9 * step, 2),
            "fp64_cycles": None if kilohertz is None else round(step * 1e3 * kilohertz, 1),
        }

    def release_memory(self) -> None:
        """Give back what CuPy's pool keeps; pools of others keep theirs."""
        with self.cuda.Device(self.number):
            self.xp.get_default_memory_pool().free_all_blocks()

    def _check(self, program: Program, arguments: Sequence[Any]) -> None:
        program.check(arguments)
        if os.getpid() != self._process:  # as `is_forked`, which launches need not call
            raise EnvironmentProblem(
                "a process that was forked cannot use the GPU of the one it came from: start workers with "
                'multiprocessing.set_start_method("spawn"), or give them rows in the memory of the host'
            )
        current = self.current
        for parameter, argument in zip(program.parameters, arguments, strict=True):
            if parameter.pointer:
                check_device(argument, current)


class Lane:
    """A stream of its own, with pinned buffers that the host's arrays go through in pieces, all free after `wait`.

    Parameters
    ----------
    xp : module
        CuPy.
    number : int
        The device.
    """

    def __init__(self, xp: Any, number: int) -> None:
        self._xp = xp
        self._device = xp.cuda.Device(number)
        with self._device:
            self._stream = xp.cuda.Stream(non_blocking=True)
        self._buffers: list[NDArray[Any]] = []
        self._next_buffer = 0
        self._downloads: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._arrays: list[Any] = []  # in use by the stream until it is waited for

    def __enter__(self) -> Lane:
        self._device.__enter__()
        self._stream.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._stream.__exit__(*problem)
        self._device.__exit__(*problem)

    def upload(self, array: NDArray[Any]) -> Any:
        """Begin to copy to the device, through pinned memory."""
        buffer = self._pinned(array)
        buffer[...] = array
        resident = self._xp.empty(array.shape, array.dtype)
        resident.set(buffer, stream=self._stream)
        self._arrays.append(resident)
        return resident

    def download(self, array: Any, out: NDArray[Any]) -> None:
        """Begin to copy from the device, through pinned memory; it is there after the next `wait`."""
        buffer = self._pinned(out)
        array.get(stream=self._stream, out=buffer, blocking=False)
        self._arrays.append(array)
        self._downloads.append((buffer, out))

    def follow(self, lane: Lane) -> None:
        """Start further work after all that the other lane has been given."""
        self.begin_after(lane._stream.record())

    def begin_after(self, event: Any) -> None:
        """Start further work after an event of another stream."""
        self._stream.wait_event(event)

    def wait(self) -> None:
        """Wait, and copy what was downloaded to its arrays."""
        downloads, self._downloads, self._next_buffer = self._downloads, [], 0
        self._stream.synchronize()
        self._arrays.clear()
        for buffer, out in downloads:
            out[...] = buffer

    def _memory(self, size: int) -> NDArray[np.uint8]:
        """Pinned memory, or plain memory where the system gives no more of it."""
        try:
            return np.frombuffer(self._xp.cuda.alloc_pinned_memory(size), np.uint8, size)
        except (MemoryError, self._xp.cuda.runtime.CUDARuntimeError):
            return np.empty(size, np.uint8)

    def _pinned(self, like: NDArray[Any]) -> NDArray[Any]:
        """A pinned buffer of this shape; buffers are kept, and replaced by longer ones where they are too short."""
        if self._next_buffer == len(self._buffers):
            self._buffers.append(np.empty(0, np.uint8))
        if self._buffers[self._next_buffer].nbytes < like.nbytes:
            self._buffers[self._next_buffer] = self._memory(like.nbytes)
        self._next_buffer += 1
        return np.ndarray(like.shape, like.dtype, self._buffers[self._next_buffer - 1])


def address_of(array: Any) -> int:
    """Address of an array, for tables that kernels read; 0 for None."""
    if array is None:
        return 0
    pointer = getattr(array, "__cuda_array_interface__", None) or array.__array_interface__
    return int(pointer["data"][0])


def rmm_resources(cuda: Any, number: int) -> tuple[Any, ...]:
    """RMM's resources that CuPy takes a device's memory from, each over the next; none where CuPy has other allocators.

    Parameters
    ----------
    cuda : module
        `cupy.cuda`.
    number : int
        The device.
    """
    if getattr(cuda.get_allocator(), "__name__", None) != "rmm_cupy_allocator":
        return ()
    resources = [import_module("rmm").mr.get_per_device_resource(number)]
    while (upstream := getattr(resources[-1], "upstream_mr", None)) is not None:
        resources.append(upstream)
    return tuple(resources)


def _free_of_rmm(resources: Sequence[Any], free: int) -> int:
    """Bytes that RMM has: those that CUDA has free, and those of its pools; half of a pool whose use nobody counts."""
    pools = sum(int(mr.pool_size()) for mr in resources if hasattr(mr, "pool_size"))
    allocated = [int(mr.get_allocated_bytes()) for mr in resources if hasattr(mr, "get_allocated_bytes")]
    if pools:
        free += pools - (allocated[0] if allocated else pools // 2)
    with_limit = [mr for mr in resources if hasattr(mr, "get_allocation_limit")]
    return max(0, min([free, *(int(mr.get_allocation_limit() - mr.get_allocated_bytes()) for mr in with_limit)]))


def _cupy() -> ModuleType:
    import cupy

    module: ModuleType = cupy
    return module


def _values(program: Program, arguments: Sequence[Any]) -> list[Any]:
    """Arguments with values in the type that the kernel reads them in."""
    return [
        value if parameter.pointer else SCALARS[parameter.type](value)
        for parameter, value in zip(program.parameters, arguments, strict=True)
    ]


def declared(parameters: Sequence[Parameter]) -> str:
    """Parameters in the words of `cupy.ElementwiseKernel`."""
    return ", ".join(f"{'raw ' if p.pointer else ''}{p.type} {p.name}" for p in parameters)


def row_kernel_arguments(program: Program) -> dict[str, Any]:
    """Arguments of `cupy.ElementwiseKernel`; arrays that are written are its outputs and come last."""
    outputs = [p for p in program.parameters if p.written]
    return {
        "in_params": declared([p for p in program.parameters if not p.written]),
        "out_params": declared(outputs),
        "operation": program.operation,
        "name": program.name,
        "preamble": program.preamble(),
        "options": OPTIONS,
        "no_return": True,
    }


@cache
def _row_kernel(program: Program) -> Any:
    return _cupy().ElementwiseKernel(**row_kernel_arguments(program))


@cache
def _block_kernel(program: Program) -> Any:
    module = _cupy().RawModule(code=program.preamble(), options=OPTIONS)
    return module.get_function(program.name)
