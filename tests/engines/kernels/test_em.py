"""EM as a kernel: the bits of the native engine's loops, alone, in a batch and gathered from threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpuvgm.engines import Engine, native_is_built
from gpuvgm.engines.cuda import CudaEngine
from gpuvgm.engines.cuda.em import MOST_COMPONENTS, LoopsOnDevice
from gpuvgm.mixture.cell_em import cell_objective, fit_batch
from gpuvgm.mixture.em import Stopping
from tests.conftest import make_engine, native_names
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice
from tests.engines.kernels.executed import ExecutedDevice
from tests.engines.test_em import POINTS, PRIORS, ROUNDS, column, points, run, starts

pytestmark = [needs_compiler, pytest.mark.skipif(not native_is_built(), reason="the C++ extension was not built")]


@pytest.fixture(autouse=True)
def _few_cells_are_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are in tables, so that tests are quick."""
    monkeypatch.setattr("gpuvgm.engines.cuda.em.LEAST_CELLS", 0)


def engines(device: EmulatedDevice) -> tuple[Engine, CudaEngine]:
    """The native engine, and the device's beside it."""
    native = make_engine(native_names()[0])
    return native, CudaEngine(native, device)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(
    ("name", "most"), [("cents", MOST_COMPONENTS), ("two close spikes", MOST_COMPONENTS - 3), ("constant", 14)]
)
def test_ascents_have_the_bits_of_the_native_engine(device: EmulatedDevice, name: str, most: int, prior: str) -> None:
    cells, of_column = column(name, 4_000)
    own = replace(of_column, **PRIORS[prior])
    native, cuda = engines(device)
    # PTX is slow to execute: fewer rows, of two chunks yet, and fewer iterations, which are taken up again too.
    least, rounds = (5000, (4, 0, 8)) if isinstance(device, ExecutedDevice) else (POINTS, ROUNDS)
    for there in (cells, points(cells, least)):
        begin = [starts(there, many)[0] for many in (most, 10, 3, 1)]
        assert run(cuda, there, own, begin, rounds) == run(native, there, own, begin, rounds)
    assert {name for name, _ in device.launches} == {"gpuvgm_em_12", "gpuvgm_em_16"}


@pytest.mark.parametrize("rows", [1e-2, 1e5])
def test_ascents_of_few_and_of_many_rows_are_the_same(device: EmulatedDevice, rows: float) -> None:
    """From sticks of ten million rows on, the bound takes another formula."""
    cells, prior = column("cents", 4_000)
    weighed = replace(cells, weight=cells.weight * rows, scatter=cells.scatter * rows)
    native, cuda = engines(device)
    begin = [starts(weighed, many)[0] for many in (MOST_COMPONENTS, 12)]
    assert run(cuda, weighed, prior, begin) == run(native, weighed, prior, begin)


@pytest.mark.parametrize(("iterations", "components"), [(1, 10), (33, 10), (33, MOST_COMPONENTS - 1)])
def test_plain_em_has_the_bits_of_the_native_engine(device: EmulatedDevice, iterations: int, components: int) -> None:
    cells, prior = column("cents", 4_000)
    start = prior.update(starts(cells, components)[0])
    objectives = [cell_objective(engine, cells, prior) for engine in engines(device)]
    fits = [fit_batch([(objective, start)], Stopping(iterations, 0.0), 20)[0] for objective in objectives]
    assert fits[0].bounds == fits[1].bounds
    for one, other in ((fits[0].posterior, fits[1].posterior), (fits[0].earlier, fits[1].earlier)):
        assert [a.tobytes() for a in one.arrays()] == [a.tobytes() for a in other.arrays()]
    stopping = Stopping(10**12, 1e-1 * cells.rows)
    ended = [fit_batch([(objective, start)], stopping)[0] for objective in objectives]
    assert ended[0].converged and ended[0].bounds == ended[1].bounds


def test_empty_components_are_the_same(device: EmulatedDevice) -> None:
    """With `sound`, components of negative counts are empty."""
    cells, prior = column("two close spikes", 4_000)
    wide = replace(cells, scatter=cells.scatter + 9 * cells.weight)
    (start,) = starts(cells)[:1]
    found = []
    for engine in engines(device):
        loops: Any = engine.em(wide, prior.table(), sound=True)
        (ascent,) = loops.ascents([[start.reference, start.counts, start.first, start.second]])
        loops.run([ascent], 30, 0.0)
        assert np.any(ascent.statistics[0][1] == 0)
        found.append([np.array(ascent.bounds).tobytes(), *(array.tobytes() for array in ascent.posterior)])
    assert found[0] == found[1]


def test_mixtures_of_many_components_are_left_to_the_host(device: EmulatedDevice) -> None:
    cells, prior = column("cents", 4_000)
    native, cuda = engines(device)
    begin = [starts(cells, MOST_COMPONENTS + 1)[0], starts(cells, 2)[0]]
    assert run(cuda, cells, prior, begin) == run(native, cells, prior, begin)
    launches = device.launches
    assert len(launches) == 3 and all(blocks == 1 for _, blocks in launches)


def test_few_cells_are_left_to_the_host_even_within_a_batch(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the cells of a fit, twice as wide ones and unevenly filled ones, those twice as wide are fewer."""
    cells, prior = column("cents", 4_000)
    monkeypatch.setattr("gpuvgm.engines.cuda.em.LEAST_CELLS", len(cells.mean))
    start, stopping = prior.update(starts(cells)[0]), Stopping(7, 0.0)
    fits = [
        fit_batch([(cell_objective(engine, some, prior), start) for some in (cells.coarsen(), cells)], stopping)
        for engine in engines(device)
    ]
    assert [fit.bounds for fit in fits[0]] == [fit.bounds for fit in fits[1]]
    assert device.launches == [("gpuvgm_em_12", 1)]


def test_searches_are_left_to_the_host(device: EmulatedDevice) -> None:
    cells, prior = column("two close spikes", 4_000)
    levels, extent = [cells.coarsen(), cells], ((1e-5, 1e-4, 3e-4), [100, 40, 15, 10, 2, 3])
    arrays = [[start.reference, start.counts, start.first, start.second] for start in starts(levels[0])]
    rows, found = [float(np.sum(level.weight)) for level in levels], list[Any]()
    for engine in engines(device):
        coarse, loops = (engine.em(level, prior.table(), sound=True) for level in levels)
        assert coarse is not None and loops is not None
        found.append(loops.search([coarse], rows, [[(arrays[0], 0.0)], [], [], []], extent, 0.005, None))
    assert found[0].bounds == found[1].bounds and len(found[0].bounds) and not device.launches
    for one, other in zip(*(end.statistics for end in found), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_of_several_threads_are_one_launch(device: EmulatedDevice) -> None:
    cells, prior = column("cents", 2_000)
    native, cuda = engines(device)
    alone = run(native, cells, prior, starts(cells, 3)[:1])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: run(cuda, cells, prior, starts(cells, 3)[:1]), range(8)))
    assert found == [alone] * 8
    launches = device.launches
    assert len(launches) < 3 * 8 and sum(blocks for _, blocks in launches) == 3 * 8


def test_what_goes_wrong_is_told_to_all_who_wait(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(runs: Any, most: int) -> None:
        raise ValueError(f"{len(runs)} loops")

    cells, prior = column("cents", 2_000)
    _, cuda = engines(device)
    monkeypatch.setattr(LoopsOnDevice, "_launch", lambda self, runs, most: fail(runs, most))
    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(run, cuda, cells, prior, starts(cells, 3)[:1]) for _ in range(3)]:
            with pytest.raises(ValueError, match="loops"):
                future.result()
