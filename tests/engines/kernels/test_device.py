"""What the engine asks CuPy for: how kernels are made and called, and streams on the strict device."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from gpuvgm.engines import get_engine
from gpuvgm.engines.base import PLAIN
from gpuvgm.engines.cuda import device as module
from gpuvgm.engines.cuda.device import Device, Lane
from gpuvgm.engines.cuda.programs import OPTIONS, Program
from gpuvgm.engines.cuda.variants import every_program
from gpuvgm.engines.encode import DecodeTable
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.summary import Frame
from tests.engines.test_em import column, starts
from tests.harness.device.module import up

PROGRAMS = every_program()


@pytest.fixture
def kernels(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """CuPy's classes of kernels, which note what they are made and called with."""
    noted = Mock()
    for name in ("ElementwiseKernel", "RawModule"):
        monkeypatch.setattr(strict_cupy, name, getattr(noted, name))
    return noted


def arguments(program: Program) -> list[Any]:
    return [up(np.zeros(4, p.type)) if p.pointer else 3 for p in program.parameters]


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
def test_kernels_get_their_arguments_in_order_and_type(kernels: Mock, program: Program) -> None:
    given, device = arguments(program), Device()
    if program.is_block:
        device.run_blocks(program, 7, given)
        kernels.RawModule.assert_called_once_with(code=program.preamble(), options=OPTIONS)
        get_function = kernels.RawModule.return_value.get_function
        get_function.assert_called_once_with(program.name)
        grid, block, values = get_function.return_value.call_args.args
        assert (grid, block) == ((7,), (program.threads,))
        assert f"GPUVGM_NAME {program.name}" in program.preamble()
    else:
        device.run_rows(program, given, 5)
        kernels.ElementwiseKernel.assert_called_once()
        made = kernels.ElementwiseKernel.call_args.kwargs
        values, size = kernels.ElementwiseKernel.return_value.call_args
        assert size == {"size": 5}
        assert (made["name"], made["operation"], made["options"]) == (program.name, program.operation, OPTIONS)
        words = f"{made['in_params']}, {made['out_params']}".split(", ")
        assert [word.split()[-1] for word in words] == [parameter.name for parameter in program.parameters]
        for word, parameter in zip(words, program.parameters, strict=True):
            assert word.startswith("raw ") == parameter.pointer and parameter.type in word
    for parameter, value, original in zip(program.parameters, values, given, strict=True):
        if parameter.pointer:
            assert value is original
        else:
            assert value.dtype == parameter.type and value == 3


def test_kernels_are_made_once_and_not_called_for_nothing(kernels: Mock) -> None:
    rows = next(program for program in PROGRAMS if not program.is_block)
    blocks = next(program for program in PROGRAMS if program.is_block)
    device = Device()
    for _ in range(2):
        device.run_rows(rows, arguments(rows), 1)
        device.run_blocks(blocks, 1, arguments(blocks))
    device.run_rows(rows, arguments(rows), 0)
    device.run_blocks(blocks, 0, arguments(blocks))
    kernels.ElementwiseKernel.assert_called_once()
    kernels.RawModule.assert_called_once()
    assert kernels.ElementwiseKernel.return_value.call_count == 2
    assert kernels.RawModule.return_value.get_function.return_value.call_count == 2


def test_names_of_programs_are_their_own() -> None:
    names = [program.name for program in PROGRAMS]
    assert len(set(names)) == len(names) == len({program.preamble() + program.operation for program in PROGRAMS})


def test_written_arrays_of_row_programs_come_last() -> None:
    for program in PROGRAMS:
        written = [parameter.written for parameter in program.parameters]
        assert program.is_block or written == sorted(written)


def test_lanes_reuse_pinned_memory_after_they_were_waited_for(strict_cupy: Any) -> None:
    lane, x = Lane(strict_cupy, 0), np.arange(1000.0)
    assert lane._stream.is_non_blocking
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


def test_lanes_wait_for_each_other(strict_cupy: Any) -> None:
    with strict_cupy.cuda.Device(1):
        device, callers = Device(), strict_cupy.hardware.current_timeline()
        up(np.zeros(3)).fill(1.0)
    with device.lanes() as (first, second):
        lines = first._stream.timeline, second._stream.timeline
        assert [line.device for line in lines] == [1, 1], "streams belong to the device that was current"
        assert all(line.is_after(callers, callers.now) for line in lines) and callers.now > callers.done
        with first:
            strict_cupy.zeros(3).fill(1.0)
        assert not lines[1].is_after(lines[0], lines[0].now)
        second.follow(first)
        assert lines[1].is_after(lines[0], lines[0].now) and not lines[0].done


@pytest.mark.usefixtures("strict_cupy")
def test_lanes_are_borrowed_and_kept() -> None:
    device, seen = Device(), []
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


def test_lanes_are_found_from_any_thread(strict_cupy: Any) -> None:
    with strict_cupy.cuda.Device(1):
        device = Device()
    with device.lanes() as (lane, _):
        with lane:
            assert strict_cupy.cuda.Device().id == 1
            assert strict_cupy.cuda.get_current_stream() is lane._stream
        assert strict_cupy.cuda.Device().id == 0


def test_plain_memory_serves_where_no_more_can_be_pinned(strict_cupy: Any) -> None:
    strict_cupy.cuda.alloc_pinned_memory = Mock(side_effect=strict_cupy.cuda.runtime.CUDARuntimeError)
    lane, out = Lane(strict_cupy, 0), np.zeros(10)
    with lane:
        lane.download(lane.upload(np.arange(10.0)), out)
    lane.wait()
    np.testing.assert_array_equal(out, np.arange(10.0))


def test_rows_of_another_device_are_refused(strict_cupy: Any, kernels: Mock) -> None:
    for program in (next(p for p in PROGRAMS if p.is_block is block) for block in (False, True)):
        given, device = arguments(program), Device()
        first = next(number for number, parameter in enumerate(program.parameters) if parameter.pointer)
        with strict_cupy.cuda.Device(1):
            given[first] = arguments(program)[first]
        with pytest.raises(InputError, match="device 1, but device 0 is the current one"):
            if program.is_block:
                device.run_blocks(program, 1, given)
            else:
                device.run_rows(program, given, 1)
    assert not kernels.mock_calls


@pytest.mark.usefixtures("strict_cupy")
def test_a_forked_process_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    device, program = Device(), PROGRAMS[0]
    assert not device.is_forked
    monkeypatch.setattr(device, "_process", -1)
    with pytest.raises(EnvironmentProblem, match="spawn"):
        device.run_rows(program, arguments(program), 1)


def test_memory_is_given_back_on_the_engines_device(strict_cupy: Any) -> None:
    with strict_cupy.cuda.Device(1):
        device = Device()
    pool = strict_cupy.get_default_memory_pool()
    freed: list[int] = []
    pool.free_all_blocks = lambda: freed.append(strict_cupy.cuda.Device().id)
    device.release_memory()
    assert freed == [1]


def test_a_device_that_cannot_be_used_is_refused(strict_cupy: Any) -> None:
    strict_cupy.cuda.is_available = lambda: False
    with pytest.raises(RuntimeError, match="no CUDA device is usable"):
        Device()


def test_calls_are_ranges_in_profiles_that_end_with_them(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuvgm.engines.cuda.em.LEAST_CELLS", 0)
    engine, ranges = get_engine("cuda"), strict_cupy.hardware.ranges
    ranges.clear()
    table = DecodeTable(Frame(1.0, 0.0), np.zeros(1), np.ones(1), 1.0)
    scalar, code, out = up(np.ones(4, np.float32)), up(np.zeros(4, np.int8)), up(np.zeros(4))
    engine.decode(scalar, code, PLAIN, table, out)
    assert ranges == ["gpuvgm.decode", None]
    ranges.clear()
    with pytest.raises(TypeError, match="must be contiguous"):
        engine.decode(scalar, up(np.zeros(8, np.int8))[::2], PLAIN, table, out)
    assert ranges == ["gpuvgm.decode", None], "a call that fails leaves none open"
    ranges.clear()
    cells, prior = column("cents", 1000)
    loops = engine.em(cells, prior.table(), sound=False)
    start = starts(cells, 3)[0]
    assert loops is not None
    loops.run(loops.ascents([[start.reference, start.counts, start.first, start.second]]), 2, 0.0)
    assert ranges == ["gpuvgm.em", None]
