"""cuDF's own spill manager over memory of the host: what is read in place is pinned for as long, and no longer."""

from __future__ import annotations

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from gpuvgm.io.unexposed import buffer_values, nulls_of

ROWS = 1000


class HostAsDevice:
    """An allocation of RMM, in memory of the host."""

    def __init__(self, rows: Any) -> None:
        self.memory = np.frombuffer(rows, np.uint8).copy()
        self.ptr, self.size = self.memory.ctypes.data, self.memory.nbytes

    def __del__(self) -> None:
        self.memory[:] = 0xFF  # whoever still has its address finds this

    @classmethod
    def to_device(cls, rows: Any) -> HostAsDevice:
        return cls(rows)


class OverMemory:
    """`cupy.asarray` of memory of the host, which keeps who tells the address."""

    @staticmethod
    def asarray(holder: Any) -> np.ndarray:
        interface = holder.__cuda_array_interface__
        size = int(np.prod(interface["shape"])) * np.dtype(interface["typestr"]).itemsize
        memory = (ctypes.c_uint8 * size).from_address(interface["data"][0])
        memory.holder = holder  # type: ignore[attr-defined]
        return np.frombuffer(memory, interface["typestr"]).reshape(interface["shape"])

    unpackbits = staticmethod(np.unpackbits)
    waited: ClassVar[list[str]] = []  # what the null stream has waited for
    cuda = SimpleNamespace(
        Device=nullcontext,
        get_current_stream=lambda: SimpleNamespace(ptr=1, record=lambda: "work"),
        Stream=SimpleNamespace(null=SimpleNamespace(wait_event=waited.append)),
    )


@pytest.fixture(name="buffers")
def _buffers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """cuDF's classes of buffers, and a manager that spills them."""
    buffers = pytest.importorskip("cudf.core.buffer")
    spilling = pytest.importorskip("cudf.core.buffer.spillable_buffer")
    manager = pytest.importorskip("cudf.core.buffer.spill_manager")

    def copy_to_host(address: int, host: Any) -> None:
        np.frombuffer(host, np.uint8)[:] = (ctypes.c_uint8 * len(host)).from_address(address)

    monkeypatch.setattr(spilling.rmm, "DeviceBuffer", HostAsDevice)
    monkeypatch.setattr(spilling.rmm.pylibrmm.device_buffer, "copy_ptr_to_host", copy_to_host)
    monkeypatch.setattr(spilling, "host_memory_allocation", lambda size: memoryview(bytearray(size)))
    manager.set_global_manager(manager.SpillManager())
    yield SimpleNamespace(as_buffer=buffers.as_buffer, manager=manager.get_global_manager())
    manager.set_global_manager(None)


def test_what_is_read_in_place_is_pinned_while_it_is_used_and_spills_again(buffers: Any) -> None:
    rows = np.arange(ROWS, dtype=float)
    data = buffers.as_buffer(memoryview(rows).cast("B"))
    mask = buffers.as_buffer(memoryview(np.full(ROWS // 8, 0b01111111, np.uint8)))
    column = SimpleNamespace(data=lambda: data, null_mask=lambda: mask, offset=lambda: 8, size=lambda: ROWS - 8)
    for _ in range(2):
        assert data.owner.is_spilled and mask.owner.is_spilled
        values = buffer_values(column, np.dtype(float), 1, OverMemory)
        np.testing.assert_array_equal(np.flatnonzero(nulls_of(column, OverMemory)), np.arange(7, ROWS - 8, 8))
        part = values[100:200]
        del values
        assert not data.owner.spillable and buffers.manager.spill_device_memory(1 << 30) == mask.size
        np.testing.assert_array_equal(part, rows[108:208])
        del part
        assert data.owner.spillable and not data.owner.exposed
        assert buffers.manager.spill_device_memory(1 << 30) == data.size
    assert OverMemory.waited == ["work"] * 4, "memory is freed after the work on it"
