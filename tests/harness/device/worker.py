"""Workers of Dask in processes of their own that have the software device: this module's name is their `preload`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.device.frames import use_strict_cudf
from tests.harness.device.module import use_strict_device


def dask_setup(worker: Any) -> None:
    """Let the software device stand for CuPy and cuDF until the process ends."""
    patch = pytest.MonkeyPatch()
    use_strict_device(patch)
    use_strict_cudf(patch)


def hardware_of(dask_worker: Any) -> Any:
    """Kernels that a worker launched, bytes that it copied to the host, and faults, since it was last asked."""
    import cupy

    hardware: Any = cupy.hardware  # type: ignore[attr-defined]
    launched = {name for name, _ in hardware.launches}
    hardware.launches.clear()
    return launched, list(map(str, hardware.faults))
