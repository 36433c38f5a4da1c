"""The state of the devices: memory, streams, what was launched, and the faults that were found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from threading import RLock
from typing import Any
from weakref import WeakSet

import numpy as np

from tests.harness.device.ledger import Ledger
from tests.harness.device.streams import Clock, DeviceFault, Threads, Timeline, Work, next_work

GRAIN = 512  # bytes that CuPy's pool rounds up to
POISON = 0xFF  # NaN as a float, the largest unsigned integer, -1 as a signed one
QUARANTINE = 1 << 26  # bytes of freed memory that stay, poisoned, for kernels that still have their address


class Hardware:
    """Devices, and all that happens on them.

    Parameters
    ----------
    devices : int
        How many.
    multiprocessors : int
        What the engine chooses numbers of blocks by.
    memory : float
        Bytes of each device.

    Attributes
    ----------
    pool : int
        Bytes of each device that a pool has taken, which all memory comes from then; 0 without one.
    limit : int
        Bytes that the pool gives at most; 0 without a limit.
    """

    def __init__(self, devices: int = 2, multiprocessors: int = 2, memory: float = float(1 << 33)) -> None:
        self.devices, self.multiprocessors, self.memory = devices, multiprocessors, int(memory)
        self.ledger, self.lock, self.threads = Ledger(), RLock(), Threads()
        self.launches: list[tuple[str, int]] = []
        self.ranges: list[str | None] = []  # that were begun, and None for each that ended
        self.uploads: list[int] = []  # rows that lanes copied to the device
        self.faults: list[DeviceFault] = []
        self.used = [0] * devices
        self.pool = self.limit = 0
        self.module: Any = None  # what stands for CuPy
        self.array_tools: Any = None
        self.runtime_error: type[Exception] = RuntimeError
        self.out_of_memory: type[Exception] = MemoryError
        self._nulls = [Timeline(device, "the null stream", blocking=True) for device in range(devices)]
        self._lines = list(self._nulls)
        self._quarantine: list[np.ndarray] = []
        self.memories: WeakSet[Memory] = WeakSet()
        self.breaking = ""  # kernels whose names begin so read what they may not
        self.broken: Exception | None = None  # what a kernel did, which whoever waits is told from then on
        self._at_work = False
        self._orders = count()

    # -- streams

    def new_timeline(self, device: int, *, blocking: bool) -> Timeline:
        """A stream's work."""
        with self.lock:
            line = Timeline(device, f"stream {len(self._lines)}", blocking=blocking)
            self._lines.append(line)
            return line

    def null_timeline(self, device: int) -> Timeline:
        """The work of a device's null stream."""
        return self._nulls[device]

    def timelines(self, device: int) -> list[Timeline]:
        """The work of all streams of a device."""
        return [line for line in self._lines if line.device == device]

    def current_timeline(self) -> Timeline:
        """The work of the thread's current stream."""
        device = self.threads.device
        stream = self.threads.streams.get(device)
        return self._nulls[device] if stream is None else stream.timeline  # type: ignore[no-any-return]

    def begun(self, line: Timeline) -> Timeline:
        """The stream, after the null stream and streams that wait for it were waited for."""
        null = self._nulls[line.device]
        if line is null:
            for other in self.timelines(line.device):
                if other.blocking:
                    line.follow(other.clock())
        elif line.blocking:
            line.follow(null.clock())
        return line

    def begin(self, line: Timeline, call: Callable[[], None]) -> None:
        """Put work, which `touch` has numbered, at the end of a stream."""
        with self.lock:
            line.queue.append(Work(next(self._orders), line.now, call))

    def finish(self, clock: Clock) -> None:
        """Do what comes before, in the order in which it was begun; of other streams nothing is done.

        Python may free memory in the midst of a kernel, as it collects garbage: what comes after that kernel waits.
        """
        with self.lock:
            if self._at_work:
                return
            self._at_work = True
            try:
                while (found := next_work(clock)) is not None:
                    self._do(*found)
            finally:
                self._at_work = False

    def _do(self, line: Timeline, work: Work) -> None:
        line.queue.remove(work)
        if self.broken is None:
            try:
                work.call()
            except self.runtime_error as problem:
                self.broken = problem

    def wait(self, clock: Callable[[], Clock]) -> None:
        """The host waits for work of streams.

        Raises
        ------
        Exception
            CUDA's error, where a kernel failed before: no later work is done.
        """
        self.ledger.add(synchronisations=1)
        with self.lock:
            waited = clock()
            self.finish(waited)
            self.check()
            for line, position in waited.items():
                line.done = max(line.done, position)

    def check(self) -> None:
        """Tell of a kernel that failed."""
        if self.broken is not None:
            raise self.broken

    # -- memory

    def room(self, device: int) -> int:
        """Bytes that the runtime sees free: it does not know what is free within a pool."""
        return self.memory - (self.pool or self.used[device])

    def grains(self, size: int) -> int:
        """What an allocation takes."""
        return -(-size // GRAIN) * GRAIN

    def take(self, size: int) -> None:
        """Take memory of the current device."""
        self.check()
        size = self.grains(size)
        device = self.threads.device
        if size > min(self.pool or self.memory, self.limit or self.memory) - self.used[device]:
            raise self.out_of_memory(f"Out of memory allocating {size:,} bytes (so far: {self.used[device]:,})")
        self.used[device] += size
        self.ledger.add(allocations=1, allocated=size)

    def free(self, memory: Memory) -> None:
        """Take memory back, after what its stream was given; whoever still has its address finds poison."""
        self.used[memory.device] -= self.grains(memory.root.nbytes)
        for line, position in memory.used.items():
            home = memory.home
            if not self.begun(home).is_after(line, position):
                self.fault(f"memory of {home!r} was freed while {line!r} may still be at work on it", raises=False)
        self.begin(memory.home, partial(self._poison, memory.root))
        self.finish(memory.home.clock())

    def _poison(self, root: np.ndarray) -> None:
        if not root.flags.writeable or root.nbytes > QUARANTINE:
            return
        root.reshape(-1, order="A").view(np.uint8)[...] = POISON  # a view, whether rows or columns follow each other
        self._quarantine.append(root)
        while sum(one.nbytes for one in self._quarantine) > QUARANTINE:
            self._quarantine.pop(0)

    def memory_at(self, address: int) -> Memory | None:
        """The memory that an address lies in."""
        with self.lock:
            for memory in self.memories:
                if 0 <= address - memory.root.ctypes.data < memory.root.nbytes:
                    return memory
        return None

    # -- faults

    def fault(self, text: str, *, raises: bool = True) -> None:
        """Note a fault, and raise it where somebody can hear it."""
        problem = DeviceFault(text)
        self.faults.append(problem)
        if raises:
            raise problem

    def touch(
        self, read: Iterable[Any], written: Iterable[Any] = (), line: Timeline | None = None, *, later: bool = False
    ) -> Timeline:
        """Work on arrays of this device begins on a stream; those that it writes are written then.

        All that comes before it is done, unless the work itself is done `later`.

        Raises
        ------
        ValueError
            For arrays of another device, as CuPy's functions do.
        DeviceFault
            For memory that was freed, or that another stream may be writing (or reading, where it is written).
        """
        with self.lock:
            self.check()
            line = self.begun(self.current_timeline() if line is None else line)
            if not later:
                self.finish(line.clock())
            line.now += 1
            for array in read:
                array._memory.read(self, line)
            for array in written:
                array._memory.write(self, line)
            return line


class Memory:
    """Memory on a device: who wrote it, and who used it since.

    Parameters
    ----------
    hardware : Hardware
        Where it is.
    root : ndarray
        NumPy's array that the numbers are kept in.
    """

    def __init__(self, hardware: Hardware, root: np.ndarray) -> None:
        self.hardware, self.root, self.freed = hardware, root, True
        with hardware.lock:
            hardware.take(root.nbytes)
            self.freed, self.device = False, hardware.threads.device
            self.home = hardware.begun(hardware.current_timeline())
            self.written: tuple[Timeline, int] = (self.home, self.home.now)
            self.used: Clock = {}
            hardware.memories.add(self)

    def check(self, line: Timeline) -> None:
        """Refuse what cannot be worked on."""
        if self.freed:
            self.hardware.fault("an array is used after its memory was freed")
        if self.device != line.device:
            raise ValueError(
                f"Array device must be same as the current device: array device = {self.device} while current = "
                f"{line.device}"
            )
        if not line.is_after(*self.written):
            self.hardware.fault(
                f"{line!r} uses an array that {self.written[0]!r} may still be writing: wait for it, or for an event"
            )

    def read(self, hardware: Hardware, line: Timeline) -> None:
        """A stream reads."""
        self.check(line)
        self.used[line] = line.now

    def write(self, hardware: Hardware, line: Timeline) -> None:
        """A stream writes."""
        self.check(line)
        for other, position in self.used.items():
            if not line.is_after(other, position):
                hardware.fault(f"{line!r} writes an array that {other!r} may still be reading")
        self.written, self.used = (line, line.now), {line: line.now}

    def free(self) -> None:
        """Give it back."""
        with self.hardware.lock:
            if not self.freed:
                self.freed = True
                self.hardware.free(self)

    def __del__(self) -> None:
        self.free()


class Borrowed:
    """Memory of somebody else's, whom arrays over it keep alive as CuPy's do."""

    def __init__(self, memory: Memory, holder: Any) -> None:
        self._memory, self._holder = memory, holder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)


def nested(value: Any, kind: type) -> Iterator[Any]:
    """The values of a kind in lists, tuples and dicts."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from nested(one, kind)
    elif isinstance(value, dict):
        for one in value.values():
            yield from nested(one, kind)


def mapped(value: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """The same lists, tuples and dicts with the values of a kind changed."""
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, (list, tuple)):
        changed = [mapped(one, kind, function) for one in value]
        return changed if isinstance(value, list) else tuple(changed)
    if isinstance(value, dict):
        return {name: mapped(one, kind, function) for name, one in value.items()}
    return value
