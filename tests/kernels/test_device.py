"""What the engine asks CuPy for, with a stand-in for CuPy that writes it down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpuvgm.engines.cuda import device as module
from gpuvgm.engines.cuda import every_program
from gpuvgm.engines.cuda.device import CupyDevice, CupyLane
from gpuvgm.engines.cuda.programs import OPTIONS, Program
from gpuvgm.errors import EnvironmentProblem, InputError

PROGRAMS = every_program()


class Stream:
    """Notes what is done to it."""

    def __init__(self, log: list[Any], non_blocking: bool = False) -> None:
        self.log, self.non_blocking = log, non_blocking

    def __enter__(self) -> Stream:
        self.log.append(("enter", self))
        return self

    def __exit__(self, *problem: object) -> None:
        self.log.append(("exit", self))

    def record(self) -> str:
        return f"event of {id(self)}"

    def wait_event(self, event: str) -> None:
        self.log.append(("wait for", event))

    def synchronize(self) -> None:
        self.log.append(("synchronize", self))


class FakeDevice:
    """A device that notes when it is made the current one."""

    def __init__(self, log: list[Any], number: int) -> None:
        self.log, self.id, self.attributes = log, number, {"MultiProcessorCount": 132}

    def __enter__(self) -> FakeDevice:
        self.log.append(("device", self.id))
        return self

    def __exit__(self, *problem: object) -> None:
        pass


class Array(np.ndarray):
    """A CuPy array whose copies to the host arrive with the stream."""

    device: Any = SimpleNamespace(id=1)

    def set(self, values: np.ndarray, stream: Any) -> None:
        assert stream.non_blocking
        self[...] = values

    def get(self, stream: Any, out: np.ndarray, blocking: bool) -> None:
        assert stream.non_blocking and not blocking
        np.copyto(out, self)


class FakeCupy:
    """As much of CuPy as the device uses."""

    ndarray = Array

    def __init__(self, usable: bool = True) -> None:
        self.log: list[Any] = []
        self.kernels: list[dict[str, Any]] = []
        memory = SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {}))
        self.cuda = SimpleNamespace(
            is_available=lambda: usable,
            memory=memory,
            Stream=lambda non_blocking: Stream(self.log, non_blocking),
            Device=lambda number=1: FakeDevice(self.log, number),
            get_current_stream=lambda: SimpleNamespace(record=lambda: "event of the caller"),
            alloc_pinned_memory=lambda size: bytearray(size),
            runtime=SimpleNamespace(CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {})),
        )

    def ElementwiseKernel(self, **arguments: Any) -> Any:  # noqa: N802
        self.kernels.append(arguments)
        return lambda *values, size: self.log.append((arguments["name"], values, size))

    def RawModule(self, code: str, options: tuple[str, ...]) -> Any:  # noqa: N802
        self.kernels.append({"code": code, "options": options})
        return SimpleNamespace(
            get_function=lambda name: lambda grid, block, values: self.log.append((name, grid, block, values))
        )

    def get_default_memory_pool(self) -> Any:
        return SimpleNamespace(free_all_blocks=lambda: self.log.append("freed"))

    def empty(self, shape: Any, dtype: Any) -> Any:
        return np.empty(shape, dtype).view(Array)

    def asnumpy(self, array: Any) -> np.ndarray:
        return np.array(array, subok=False)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> FakeCupy:
    fake = FakeCupy()
    monkeypatch.setattr(module, "_cupy", lambda: fake)
    for cached in (module._row_kernel, module._block_kernel):
        cached.cache_clear()
    yield fake
    for cached in (module._row_kernel, module._block_kernel):
        cached.cache_clear()


def arguments(program: Program) -> list[Any]:
    return [np.zeros(4, p.type).view(Array) if p.pointer else 3 for p in program.parameters]


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
def test_kernels_get_their_arguments_in_order_and_type(cupy: FakeCupy, program: Program) -> None:
    given, device = arguments(program), CupyDevice()
    if program.is_block:
        device.run_blocks(program, 7, given)
        name, grid, block, values = cupy.log[0]
        assert (name, grid, block) == (program.name, (7,), (program.threads,))
        assert cupy.kernels == [{"code": program.preamble(), "options": OPTIONS}]
        assert f"GPUVGM_NAME {program.name}" in program.preamble()
    else:
        device.run_rows(program, given, 5)
        name, values, size = cupy.log[0]
        (kernel,) = cupy.kernels
        assert (name, size, kernel["operation"], kernel["options"]) == (program.name, 5, program.operation, OPTIONS)
        words = f"{kernel['in_params']}, {kernel['out_params']}".split(", ")
        assert [word.split()[-1] for word in words] == [parameter.name for parameter in program.parameters]
        for word, parameter in zip(words, program.parameters, strict=True):
            assert word.startswith("raw ") == parameter.pointer and parameter.type in word
    for parameter, value, original in zip(program.parameters, values, given, strict=True):
        if parameter.pointer:
            assert value is original
        else:
            assert value.dtype == parameter.type and value == 3


def test_kernels_are_made_once_and_not_called_for_nothing(cupy: FakeCupy) -> None:
    rows = next(program for program in PROGRAMS if not program.is_block)
    blocks = next(program for program in PROGRAMS if program.is_block)
    device = CupyDevice()
    for _ in range(2):
        device.run_rows(rows, arguments(rows), 1)
        device.run_blocks(blocks, 1, arguments(blocks))
    device.run_rows(rows, arguments(rows), 0)
    device.run_blocks(blocks, 0, arguments(blocks))
    assert len(cupy.kernels) == 2 and len(cupy.log) == 4


def test_names_of_programs_are_their_own() -> None:
    names = [program.name for program in PROGRAMS]
    assert len(set(names)) == len(names) == len({program.preamble() + program.operation for program in PROGRAMS})


def test_written_arrays_of_row_programs_come_last() -> None:
    for program in PROGRAMS:
        written = [parameter.written for parameter in program.parameters]
        assert program.is_block or written == sorted(written)


def test_lanes_reuse_pinned_memory_after_they_were_waited_for(cupy: FakeCupy) -> None:
    lane, x = CupyLane(cupy, 0), np.arange(1000.0)
    out = np.zeros(1000)
    with lane:
        first = lane.upload(x)
        lane.download(first, out)
    assert not np.any(out), "nothing arrives before it is waited for"
    buffers = [buffer.ctypes.data for buffer in lane._buffers]
    assert len(buffers) == 2
    lane.wait()
    np.testing.assert_array_equal(out, x)
    with lane:
        lane.upload(x[:10].astype(np.float32))
        lane.upload(np.zeros(2000))
    after = [buffer.ctypes.data for buffer in lane._buffers]
    assert after[0] == buffers[0] and len(after) == 2 and lane._buffers[1].nbytes == 16_000


def test_lanes_wait_for_each_other(cupy: FakeCupy) -> None:
    with CupyDevice().lanes() as (first, second):
        assert cupy.log[:2] == [("device", 1)] * 2, "streams belong to the device that was current"
        assert cupy.log[2:] == [("device", 1)] + [("wait for", "event of the caller")] * 2
        cupy.log.clear()
        second.follow(first)
        assert cupy.log == [("wait for", f"event of {id(first._stream)}")]  # type: ignore[attr-defined]


def test_lanes_are_borrowed_and_kept(cupy: FakeCupy) -> None:
    device, seen = CupyDevice(), []
    with device.lanes() as one, device.lanes() as other:
        assert not set(one) & set(other)
    with ThreadPoolExecutor(1) as pool, device.lanes() as again:
        assert again is one, "the pair that was given back last"
        taken = [device.lanes() for _ in range(module.LANE_PAIRS - 1)]
        for pair in taken:
            pair.__enter__()
        late = pool.submit(lambda: seen.append(device.lanes().__enter__()))
        assert not wait([late], 0.05).done, "all pairs are borrowed"
        taken[0].__exit__(None, None, None)
        late.result(5)
    assert len(seen) == 1 and not set(seen[0]) & set(again)


def test_lanes_are_found_from_any_thread(cupy: FakeCupy) -> None:
    device = CupyDevice()
    with device.lanes() as (lane, _):
        cupy.log.clear()
        with lane:
            pass
    assert cupy.log[0] == ("device", 1) and [what for what, _ in cupy.log[1:]] == ["enter", "exit"]


def test_plain_memory_serves_where_no_more_can_be_pinned(cupy: FakeCupy) -> None:
    def fail(size: int) -> None:
        raise cupy.cuda.runtime.CUDARuntimeError

    cupy.cuda.alloc_pinned_memory = fail
    lane, out = CupyLane(cupy, 0), np.zeros(10)
    with lane:
        lane.download(lane.upload(np.arange(10.0)), out)
    lane.wait()
    np.testing.assert_array_equal(out, np.arange(10.0))


def test_rows_of_another_device_are_refused(cupy: FakeCupy) -> None:
    for program in (next(p for p in PROGRAMS if p.is_block is block) for block in (False, True)):
        given, device = arguments(program), CupyDevice()
        next(value for value in given if isinstance(value, Array)).device = FakeDevice([], 3)
        with pytest.raises(InputError, match="device 3, but device 1 is the current one"):
            if program.is_block:
                device.run_blocks(program, 1, given)
            else:
                device.run_rows(program, given, 1)
    assert not cupy.kernels


def test_a_forked_process_is_told_so(cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    device, program = CupyDevice(), PROGRAMS[0]
    assert not device.is_forked
    monkeypatch.setattr(device, "_process", -1)
    with pytest.raises(EnvironmentProblem, match="spawn"):
        device.run_rows(program, arguments(program), 1)


def test_memory_is_given_back_on_the_engines_device(cupy: FakeCupy) -> None:
    CupyDevice().release_memory()
    assert cupy.log == [("device", 1), "freed"]


def test_a_device_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cupy", lambda: FakeCupy(usable=False))
    with pytest.raises(RuntimeError, match="no CUDA device is usable"):
        CupyDevice()
