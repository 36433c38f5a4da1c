"""The kernels of E-steps on the host, against the reference."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines.base import Engine
from gpuvgm.engines.chunk_sums import ChunkSums
from gpuvgm.engines.cuda.e_step import (
    MOST_IN_REGISTERS,
    add_chunks,
    count_most_probable,
    e_step_partials,
    e_step_program,
    most_probable_program,
)
from gpuvgm.engines.tables import KernelTable
from gpuvgm.summary import Frame
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, resident
from tests.engines.test_engines import mixture
from tests.harness.shapes import with_gaps

pytestmark = needs_compiler
REFERENCE = Engine()
SIZES = [0, 1, 7, 255, 257, 4095, 4096, 4097, 9000]
FRAME = Frame(0.5, 1.25)


def weights(size: int) -> np.ndarray:
    found = np.random.default_rng(1).uniform(0, 3, size)
    found[::5] = 0.0
    return found


def e_step(device: EmulatedDevice, *given) -> np.ndarray:  # type: ignore[no-untyped-def]
    return device.to_host(e_step_partials(device, *given))


def check(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal to 1e-12 of themselves or of a chunk's rows: exponentials are good to 1.4e-14, sums of 4,096 rows to less.

    Coefficients of some hundred, to base 2, round densities by 1e-13 at most.
    """
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * CHUNK_ROWS)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("components", [1, 2, 10, 14, 15, 16, 37])
def test_rows(device: EmulatedDevice, size: int, components: int) -> None:
    x, table = with_gaps(size), mixture(components, FRAME)
    x[3::50] = np.inf
    check(e_step(device, resident(x), None, None, table), REFERENCE.e_step(x, None, None, table))
    weight = weights(size)
    found = e_step(device, resident(x), resident(weight), None, table)
    check(found, REFERENCE.e_step(x, weight, None, table))


@pytest.mark.parametrize("components", [MOST_IN_REGISTERS + more for more in range(5)])
def test_float32_rows_are_those_of_the_same_numbers(device: EmulatedDevice, components: int) -> None:
    x, table = with_gaps(5000).astype(np.float32), mixture(components, FRAME)
    wide = resident(x.astype(np.float64))
    for weight in (None, resident(weights(5000))):
        found = e_step(device, resident(x), weight, None, table)
        np.testing.assert_array_equal(found, e_step(device, wide, weight, None, table))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("components", [1, 2, 3, 10, 12, 37])
def test_cells(device: EmulatedDevice, size: int, components: int) -> None:
    g, table = np.random.default_rng(2), mixture(components)
    x = g.normal(10, 20, size)
    weight, scatter = g.integers(1, 50, size).astype(float), g.uniform(0, 1e-3, size)
    found = e_step(device, resident(x), resident(weight), resident(scatter), table)
    expected = REFERENCE.e_step(x, weight, scatter, table)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11 * max(1, size))


def test_cells_of_one_row_each_need_no_weight(device: EmulatedDevice) -> None:
    x, scatter, table = with_gaps(300), np.full(300, 1e-4), mixture()
    x[np.isnan(x)] = 1.0
    found = e_step(device, resident(x), None, resident(scatter), table)
    np.testing.assert_allclose(found, REFERENCE.e_step(x, None, scatter, table), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("components", [10, 37])
def test_far_rows_do_not_overflow(device: EmulatedDevice, components: int) -> None:
    x = np.array([1e6, -1e6, 1e150, 3.0])
    found = e_step(device, resident(x), None, None, mixture(components))
    assert np.all(np.isfinite(found[:, :components]))
    assert found[0, :components].sum() == pytest.approx(4)


def test_sums_do_not_depend_on_the_launch(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many chunks a block as there are, or one: the same bits."""
    x, table = resident(with_gaps(9 * CHUNK_ROWS + 77)), mixture()
    whole = e_step_partials(device, x, None, None, table)
    for start in range(0, len(x), CHUNK_ROWS):
        one = e_step_partials(device, x[start : start + CHUNK_ROWS], None, None, table)
        np.testing.assert_array_equal(one[0], whole[start // CHUNK_ROWS])
    run = device.run_blocks
    monkeypatch.setattr(
        device, "run_blocks", lambda program, blocks, arguments: run(program, min(blocks, 3), arguments)
    )
    np.testing.assert_array_equal(e_step_partials(device, x, None, None, table), whole)


@pytest.mark.parametrize("first", [0, 1, 255, 256, 700])
@pytest.mark.parametrize("chunks", [0, 1, 255, 256, 257, 1000])
@pytest.mark.parametrize("width", [1, 8, 31])
@pytest.mark.covering(2)
def test_sums_of_chunks_have_the_bits_of_numpy(device: EmulatedDevice, first: int, chunks: int, width: int) -> None:
    partials = np.random.default_rng(chunks).normal(size=(chunks, width)) * 10.0 ** np.arange(width)
    partials[:, 0] = -0.0
    found, expected = ChunkSums(width, first), ChunkSums(width, first)
    add_chunks(device, [(found, resident(partials))])
    expected.add(partials)
    assert found.next == expected.next
    np.testing.assert_array_equal(found.nodes.view(np.int64), expected.nodes.view(np.int64))
    np.testing.assert_array_equal(found.total.view(np.int64), expected.total.view(np.int64))


def test_few_sums_come_to_the_host(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of each tile of 256 chunks, and the chunks of tiles that others have a part of, in one copy."""
    came, to_host = [], device.to_host
    monkeypatch.setattr(device, "to_host", lambda array: came.append(len(array)) or to_host(array))
    add_chunks(device, [(ChunkSums(2, 250), resident(np.ones((6 + 20 * 256 + 3, 2))))])
    assert came == [6 + 20 + 3]


def test_fractional_weights_are_counted_over_many_tiles(device: EmulatedDevice) -> None:
    x, weight = with_gaps(300 * CHUNK_ROWS), np.random.default_rng(1).uniform(0, 3, 300 * CHUNK_ROWS)
    expected = REFERENCE.count_most_probable(x, weight, mixture(2, FRAME))
    found = count_most_probable(device, resident(x), resident(weight), mixture(2, FRAME))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("components", [1, 2, 3, 12, 37])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_most_probable(device: EmulatedDevice, size: int, components: int, dtype: str) -> None:
    x, table = with_gaps(size).astype(dtype), mixture(components, FRAME)
    x[3::50] = np.inf
    weight = np.random.default_rng(1).integers(1, 9, size).astype(float)
    for w in (None, weight):
        expected = REFERENCE.count_most_probable(x.astype(np.float64), w, table)
        given = None if w is None else resident(w)
        np.testing.assert_array_equal(count_most_probable(device, resident(x), given, table), expected)


def test_of_equal_densities_the_first_counts(device: EmulatedDevice) -> None:
    same = mixture(3).take(np.array([1, 1, 1]))
    np.testing.assert_array_equal(count_most_probable(device, resident(with_gaps(100)), None, same), [90, 0, 0])


@pytest.mark.parametrize("components", [10, 37])
def test_rows_are_counted_in_64_bits(device: EmulatedDevice, components: int) -> None:
    """A chunk beyond row 2^31 of memory that is reserved but not there."""
    chunk, rest = 2**31 // CHUNK_ROWS + 1, 1_000
    count = chunk * CHUNK_ROWS + rest
    memory = mmap.mmap(-1, 4 * count, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
    x = np.frombuffer(memory, np.float32)
    x[-rest:] = with_gaps(rest)
    table, end = mixture(components, FRAME), x[-rest:].astype(np.float64)
    parameters = resident(np.stack((table.means, table.half_precisions, table.coefficients)))
    few = components <= MOST_IN_REGISTERS
    program = e_step_program(components if few else 0, "float32", weighted=False)
    wanted = REFERENCE.e_step(end, None, None, table)
    check(last_chunk(device, program, x, parameters, table, 3 * components + 1), wanted)
    program = most_probable_program("float32", weighted=False)
    counts = last_chunk(device, program, x, parameters, table, components)
    np.testing.assert_array_equal(counts[0], REFERENCE.count_most_probable(end, None, table))


def last_chunk(device, program, x, parameters, table: KernelTable, width: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """What a program writes for the last chunk alone of more than 2^31 rows."""
    chunks = -(-len(x) // CHUNK_ROWS)
    memory = mmap.mmap(-1, 8 * chunks * width, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    partials = np.frombuffer(memory, np.float64).reshape(chunks, width)
    frame = [len(table.means), table.frame.scale, table.frame.centre]
    arguments = [resident(x), parameters, *frame, len(x), chunks - 1, resident(partials)]
    device.run_blocks(program, 1, arguments)
    return partials[-1:]
