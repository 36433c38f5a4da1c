"""Latencies of a device: of launches, of waits, and of operations in float64."""

from __future__ import annotations

import time

from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import Program, value, written

#: A chain of operations that wait for each other, by one thread.
CHAIN = Program(
    "gpuvgm_chain",
    (),
    (),
    (value("int64", "steps"), written("float64", "y")),
    operation="double a = y[0]; for (long long k = 0; k < steps; ++k) a = fma(a, 0.5, 1.0); y[0] = a",
)
CHAIN_STEPS = 1 << 18, 1 << 20


def latencies(device: Device) -> dict[str, float | None]:
    """Microseconds of a launch and of a wait, and what a float64 operation takes that waits for the one before.

    Parameters
    ----------
    device : Device
        The device; it should have nothing else to do.
    """
    y, stream = device.xp.zeros(1), device.cuda.get_current_stream()

    def seconds(times: int, steps: int, *, wait: bool) -> float:
        stream.synchronize()
        begin = time.perf_counter()
        for _ in range(times):
            device.run_rows(CHAIN, [steps, y], 1)
            if wait:
                stream.synchronize()
        return (time.perf_counter() - begin) / times

    seconds(10, 0, wait=True)  # compiles the kernel
    # The fastest of three: other work on the machine only adds time.
    launch = min(seconds(500, 0, wait=False) for _ in range(3))
    wait = min(seconds(200, 0, wait=True) for _ in range(3)) - launch
    short_chain, long_chain = (min(seconds(1, steps, wait=True) for _ in range(3)) for steps in CHAIN_STEPS)
    step = (long_chain - short_chain) / (CHAIN_STEPS[1] - CHAIN_STEPS[0])
    kilohertz = device.cuda.Device().attributes.get("ClockRate")
    return {
        "launch_us": round(1e6 * launch, 2),
        "wait_us": round(1e6 * wait, 2),
        "fp64_ns": round(1e9 * step, 2),
        "fp64_cycles": None if kilohertz is None else round(step * 1e3 * kilohertz, 1),
    }
