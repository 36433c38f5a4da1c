"""The modules of the strict device, and how they come to stand for CuPy's."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from gpuvgm.engines import choice
from gpuvgm.engines.cuda import device as cuda_device
from tests.harness.device.array import array_class
from tests.harness.device.functions import functions
from tests.harness.device.hardware import Hardware
from tests.harness.device.kernels import kernel_classes
from tests.harness.device.streams import Pinned, stream_classes


class CUDARuntimeError(RuntimeError):
    """What CUDA's functions raise."""


class OutOfMemoryError(MemoryError):
    """What the pool raises."""


CUDARuntimeError.__module__, OutOfMemoryError.__module__ = "cupy.cuda.runtime", "cupy.cuda.memory"


def strict_cupy(hardware: Hardware | None = None) -> Any:
    """A module that stands for CuPy on devices of its own; its attribute `hardware` is their state."""
    hardware = Hardware() if hardware is None else hardware
    hardware.runtime_error, hardware.out_of_memory = CUDARuntimeError, OutOfMemoryError
    module = _module("cupy")
    hardware.module = module
    array_class(hardware)
    vars(module).update(functions(hardware), **kernel_classes(hardware))
    vars(module).update(cuda=_cuda(hardware), hardware=hardware)
    pool = MemoryPool(hardware)
    module.cuda.get_allocator = lambda: pool.malloc
    vars(module).update(get_default_memory_pool=lambda: pool, get_default_pinned_memory_pool=lambda: pool)
    return module


def _module(name: str) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None, is_package=True)
    return made


class MemoryPool:
    """CuPy's own pool, as far as it can be asked."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware, self.limit = hardware, 0

    def malloc(self, size: int) -> Any:
        """Memory that belongs to no array."""
        raise NotImplementedError("the strict device gives memory to arrays alone")

    def free_all_blocks(self, stream: Any = None) -> None:
        """Nothing is kept."""

    def used_bytes(self) -> int:
        return self._hardware.used[self._hardware.threads.device]

    def total_bytes(self) -> int:
        return self.used_bytes()

    def free_bytes(self) -> int:
        return 0

    def get_limit(self) -> int:
        return self.limit

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        assert fraction is None
        self.limit = self._hardware.limit = size or 0


class CudaMemoryResource:
    """RMM's resource that takes memory of the runtime."""


class PoolMemoryResource:
    """RMM's pool, which knows how large it is, and not what is used of it."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware, self.upstream_mr = hardware, CudaMemoryResource()

    def pool_size(self) -> int:
        return self._hardware.pool


class TrackingResourceAdaptor:
    """RMM's count of what a device's resource has given."""

    def __init__(self, hardware: Hardware, upstream: Any, device: int) -> None:
        self._hardware, self.upstream_mr, self._device = hardware, upstream, device

    def get_allocated_bytes(self) -> int:
        return self._hardware.used[self._device]


class LimitingResourceAdaptor(TrackingResourceAdaptor):
    """RMM's limit of what a device's resource may give."""

    limit = 0

    def get_allocation_limit(self) -> int:
        return self.limit


def use_strict_rmm(monkeypatch: Any, cupy: Any, *adaptors: type, pool: int) -> list[Any]:
    """Let all memory come from a pool of RMM with so many bytes, under these adaptors; gives each device's resource."""
    hardware, rmm = cupy.hardware, _module("rmm")
    hardware.pool = pool

    def resource_of(device: int) -> Any:
        resource: Any = PoolMemoryResource(hardware)
        for adaptor in adaptors:
            resource = adaptor(hardware, resource, device)
        return resource

    def rmm_cupy_allocator(size: int) -> Any:
        raise NotImplementedError("the strict device gives memory to arrays alone")

    resources = [resource_of(device) for device in range(hardware.devices)]
    vars(rmm)["mr"] = SimpleNamespace(get_per_device_resource=resources.__getitem__)
    monkeypatch.setitem(sys.modules, "rmm", rmm)
    cupy.cuda.get_allocator = lambda: rmm_cupy_allocator
    return resources


def _cuda(hardware: Hardware) -> ModuleType:
    cuda, runtime, memory = _module("cupy.cuda"), _module("cupy.cuda.runtime"), _module("cupy.cuda.memory")
    device, stream, event = stream_classes(hardware)

    def current_stream(device_id: int | None = None) -> Any:
        number = hardware.threads.device if device_id is None else device_id
        return hardware.threads.streams.get(number) or stream.null

    def properties(number: int) -> dict[str, Any]:
        return {"name": b"a strict device", "multiProcessorCount": hardware.multiprocessors, "major": 9, "minor": 0,
                "totalGlobalMem": hardware.memory}  # fmt: skip

    vars(memory).update(OutOfMemoryError=OutOfMemoryError)
    vars(runtime).update(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=lambda: hardware.devices,
        getDevice=lambda: hardware.threads.device,
        getDeviceProperties=properties,
        memGetInfo=lambda: device().mem_info,
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13000,
        deviceSynchronize=lambda: device().synchronize(),
    )
    vars(cuda).update(
        Device=device, Stream=stream, Event=event, runtime=runtime, memory=memory,
        is_available=lambda: True, get_current_stream=current_stream, get_device_id=lambda: hardware.threads.device,
        alloc_pinned_memory=Pinned, nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
        nvtx=SimpleNamespace(RangePush=hardware.ranges.append, RangePop=lambda: hardware.ranges.append(None)),
    )  # fmt: skip
    return cuda


def use_strict_device(monkeypatch: Any, hardware: Hardware | None = None) -> Any:
    """Let a strict module stand for CuPy, so that engine="cuda" runs on it through gpuvgm's own CuPy device."""
    module = strict_cupy(hardware)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cupy", module)
    for name in ("cuda", "cuda.runtime", "cuda.memory"):
        place: Any = module
        for part in name.split("."):
            place = getattr(place, part)
        monkeypatch.setitem(sys.modules, f"cupy.{name}", place)
    forget_engines()
    return module


def forget_engines() -> None:
    """Forget engines and kernels that were made with another CuPy."""
    for cached in (choice.get_engine, choice.cuda_problem, choice._cuda_starts):
        cached.cache_clear()
    cuda_device._row_kernel.cache_clear()
    cuda_device._block_kernel.cache_clear()


def up(values: Any) -> Any:
    """An array of the host as one of the device that stands for CuPy."""
    return sys.modules["cupy"].asarray(np.asarray(values))


def is_strict(value: Any) -> bool:
    """Whether a value is an array of the strict device."""
    return hasattr(type(value), "strict")
