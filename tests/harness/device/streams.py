"""Streams, events and devices: what comes after what, and which of them a thread works on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tests.harness.device.hardware import Hardware


class DeviceFault(AssertionError):
    """What a GPU would not report, and pay for with wrong numbers."""


Clock = dict["Timeline", int]  # how far each stream has come


class Timeline:
    """The work of one stream.

    Attributes
    ----------
    now : int
        How much was begun.
    done : int
        How much is known to be done because the host waited for it.
    seen : dict
        What of the other streams comes before all that is begun from now on.
    """

    def __init__(self, device: int, name: str, *, blocking: bool) -> None:
        self.device, self.name, self.blocking = device, name, blocking
        self.now = self.done = 0
        self.seen: Clock = {}
        self.queue: list[Work] = []  # what was begun, and is not done

    def __repr__(self) -> str:
        return f"{self.name} of device {self.device}"

    def clock(self) -> Clock:
        """What comes before the work that is begun next."""
        return {**self.seen, self: self.now}

    def follow(self, clock: Clock) -> None:
        """Begin what comes next after all that."""
        for other, position in clock.items():
            if other is not self:
                self.seen[other] = max(self.seen.get(other, 0), position)

    def is_after(self, other: Timeline, position: int) -> bool:
        """Whether what is begun next comes after that work of that stream."""
        return other is self or position <= other.done or position <= self.seen.get(other, 0)


@dataclass(frozen=True, slots=True)
class Work:
    """What a stream does when its turn comes.

    Parameters
    ----------
    order : int
        When it was begun, among the work of all streams.
    position : int
        When it was begun, among the work of its stream.
    call : callable
        What it does.
    """

    order: int
    position: int
    call: Callable[[], None]


def next_work(clock: Clock) -> tuple[Timeline, Work] | None:
    """What was begun first of all that is not done of this."""
    heads = [(line.queue[0], line) for line, position in clock.items()
             if line.queue and line.queue[0].position <= position]  # fmt: skip
    work, line = min(heads, key=lambda head: head[0].order, default=(None, None))
    return None if work is None or line is None else (line, work)


class Threads(threading.local):
    """What a thread works on: device 0 and its null stream at first, as in CUDA."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Any] = {}
        self.before: list[Any] = []


def stream_classes(hardware: Hardware) -> tuple[type, type, type]:
    """The classes Device, Stream and Event of `cupy.cuda`."""
    current = hardware.threads

    class Device:
        def __init__(self, device: int | Device | None = None) -> None:
            self.id = current.device if device is None else int(device)
            if not 0 <= self.id < hardware.devices:
                raise hardware.runtime_error("cudaErrorInvalidDevice: invalid device ordinal")
            self._before: list[int] = []

        def __int__(self) -> int:
            return self.id

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Device) and other.id == self.id

        def __hash__(self) -> int:
            return self.id

        def __repr__(self) -> str:
            return f"<CUDA Device {self.id}>"

        def use(self) -> None:
            current.device = self.id

        def __enter__(self) -> Device:
            self._before.append(current.device)
            current.device = self.id
            return self

        def __exit__(self, *_: object) -> None:
            current.device = self._before.pop()

        def synchronize(self) -> None:
            hardware.wait(lambda: {line: line.now for line in hardware.timelines(self.id)})

        @property
        def attributes(self) -> dict[str, int]:
            return {"MultiProcessorCount": hardware.multiprocessors, "ComputeCapabilityMajor": 9}

        @property
        def compute_capability(self) -> str:
            return "90"

        @property
        def mem_info(self) -> tuple[int, int]:
            return hardware.room(self.id), hardware.memory

    class Event:
        def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
            self._clock: Clock = {}

        def record(self, stream: Any = None) -> None:
            with hardware.lock:
                self._clock = hardware.begun(_line(stream)).clock()

        def synchronize(self) -> None:
            hardware.wait(lambda: self._clock)

        @property
        def done(self) -> bool:
            return all(position <= line.done for line, position in self._clock.items())

    class Stream:
        null: Any = None

        def __init__(
            self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
        ) -> None:
            self.is_non_blocking = non_blocking
            self._null = null
            if not null:
                self._line = hardware.new_timeline(current.device, blocking=not non_blocking)

        @property
        def device_id(self) -> int:
            return -1 if self._null else self._line.device

        @property
        def ptr(self) -> int:
            return 0 if self._null else id(self)

        @property
        def timeline(self) -> Timeline:
            return hardware.null_timeline(current.device) if self._null else self._line

        def use(self) -> Stream:
            self._check()
            current.streams[current.device] = self
            return self

        def __enter__(self) -> Stream:
            self._check()
            current.before.append((current.device, current.streams.get(current.device)))
            current.streams[current.device] = self
            return self

        def __exit__(self, *_: object) -> None:
            device, before = current.before.pop()
            current.streams[device] = before or Stream.null

        def _check(self) -> None:
            if not self._null and self._line.device != current.device:
                raise RuntimeError(
                    f"This stream was not created in the current device ({current.device}), but in {self._line.device}"
                )

        def record(self, event: Any = None) -> Any:
            event = Event() if event is None else event
            event.record(self)
            return event

        def wait_event(self, event: Any) -> None:
            with hardware.lock:
                self.timeline.follow(event._clock)

        def synchronize(self) -> None:
            hardware.wait(lambda: hardware.begun(self.timeline).clock())

        @property
        def done(self) -> bool:
            return self.timeline.now <= self.timeline.done

        def __repr__(self) -> str:
            return f"<Stream {self.timeline!r}>"

    def _line(stream: Any) -> Timeline:
        return hardware.current_timeline() if stream is None else stream.timeline

    Stream.null = Stream(null=True)
    return Device, Stream, Event


class Pinned(bytearray):
    """Page-locked memory of the host, which copies read and write while the host goes on."""


def is_pinned(array: np.ndarray) -> bool:
    """Whether an array lies in page-locked memory."""
    owner: Any = array
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return isinstance(owner, Pinned)
