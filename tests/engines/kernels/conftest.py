"""The devices that kernels are tested on where there is no GPU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.kernels import compile as compiling
from tests.engines.kernels.building import kept, needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice
from tests.engines.kernels.executed import ExecutedDevice
from tests.harness import covering
from tests.harness.ptx import coverage
from tests.harness.ptx.programs import key_of, problem


@pytest.fixture(
    params=[
        pytest.param("emulated", marks=needs_compiler),
        pytest.param("executed", marks=pytest.mark.ptx),
    ]
)
def device(request: pytest.FixtureRequest) -> EmulatedDevice:
    """Kernels as the host's compiler makes them, and as the PTX that NVRTC makes of them."""
    return EmulatedDevice() if request.param == "emulated" else ExecutedDevice()


@pytest.fixture(scope="session", autouse=True)
def _cubins_are_kept() -> Iterator[None]:
    """What NVRTC compiles once need not be compiled by the next run."""
    compile_text = compiling.compile_text

    def cubin_of(text: str, architecture: str, options: Sequence[str]) -> bytes:
        def compile_to(path: Path) -> None:
            path.write_bytes(compile_text(text, architecture, options))

        return kept(f"{key_of(text, (*options, architecture))}.cubin", compile_to).read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "compile_text", cubin_of)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is executed as PTX where that cannot be; mark what of it `make test` leaves out."""
    ptx = [item for item in items if item.get_closest_marker("ptx")]
    if ptx and (reason := problem()) is not None:
        for item in ptx:
            item.add_marker(pytest.mark.skip(reason=reason))
    leave_out(ptx)


def leave_out(items: list[pytest.Item]) -> None:
    """Mark all sets of parameters exhaustive but for those that together hold every value."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if "device" in covering.values_of(item) and not item.get_closest_marker("exhaustive"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        chosen = covering.chosen_cases([covering.values_of(case) for case in cases], 1)
        for number, case in enumerate(cases):
            if number not in chosen:
                case.add_marker(pytest.mark.exhaustive)


def pytest_sessionfinish() -> None:
    """Keep what was executed, for a report on what was not."""
    if coverage.FOLDER is not None and ExecutedDevice.kernels:
        coverage.save(coverage.FOLDER)
