"""What fits and transforms cost on the device, counted: kernels, waits and bytes over the bus."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpuvgm
from gpuvgm import BayesianGaussianMixture
from gpuvgm.arrays import to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import GaussianTable, RowRules, Step, rmm_resources
from gpuvgm.engines.cuda.device import _free_of_rmm
from gpuvgm.execution import Run, context
from gpuvgm.execution.local import CallerExecutor
from gpuvgm.io import open_source
from gpuvgm.io.frames import ArraySource
from gpuvgm.mixture import Rows, accumulate, rows as rows_module
from tests.engines.kernels.building import needs_compiler
from tests.engines.test_em import column, starts
from tests.harness.device.module import LimitingResourceAdaptor, TrackingResourceAdaptor, up, use_strict_rmm
from tests.summary.test_grid import grid_of

pytestmark = [needs_compiler, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]
ROWS = 20_000


@pytest.fixture(name="engine", autouse=True)
def _engine(strict_cupy: Any) -> Any:
    """The engine, which starts with a row that no test counts."""
    return gpuvgm.engines.get_engine("cuda")


@pytest.fixture(name="x")
def _x(engine: Any) -> Any:
    random = np.random.default_rng(0)
    return up(np.concatenate((random.normal(0, 1, ROWS // 2), random.normal(8, 0.5, ROWS // 2))))


def exact(x: Any, iterations: int) -> None:
    centres = np.array([[-1.0], [0.5], [8.0]])
    given: dict[str, Any] = {"tol": 0.0, "algorithm": "exact", "init_params": centres, "max_iter": iterations}
    BayesianGaussianMixture(n_components=3, random_state=0, **given).fit(x[:, None])


def test_an_iteration_of_exact_em_is_two_kernels_and_one_wait(strict_cupy: Any, x: Any) -> None:
    """Parameters go down, sums of the components come up for chunks that fill no tile of 256, and nothing else."""
    ledger = strict_cupy.hardware.ledger
    with ledger.stage("10") as ten:
        exact(x, 10)
    with ledger.stage("30") as thirty:
        exact(x, 30)
    assert thirty.kernels - ten.kernels == 20 * 2
    assert thirty.synchronisations - ten.synchronisations == 20
    chunks = -(-len(x) // CHUNK_ROWS)
    assert thirty.bytes_down - ten.bytes_down == 20 * chunks * 8 * (3 * 3 + 1)
    assert thirty.bytes_up - ten.bytes_up == 20 * 8 * 3 * 3
    assert thirty.operations == ten.operations and thirty.allocations - ten.allocations == 20 * 3


@pytest.mark.parametrize(("covariance_type", "moments"), [("full", 3), ("tied", 3), ("diag", 2), ("spherical", 2)])
def test_an_iteration_over_two_features_is_two_kernels_and_one_wait(
    strict_cupy: Any, covariance_type: str, moments: int
) -> None:
    x = up(np.random.default_rng(0).normal(size=(3 * CHUNK_ROWS + 5, 2)))
    centres = np.array([[-1.0, 0.0], [0.5, 1.0], [1.0, -1.0]])
    given: dict[str, Any] = {"tol": 0.0, "init_params": centres, "covariance_type": covariance_type}
    ledger = strict_cupy.hardware.ledger
    for iterations in (5, 15):
        with ledger.stage(str(iterations)):
            BayesianGaussianMixture(n_components=3, max_iter=iterations, **given).fit(x)
    few, many = ledger.stages["5"], ledger.stages["15"]
    assert many.kernels - few.kernels == 10 * 2
    assert many.synchronisations - few.synchronisations == 10
    assert many.bytes_down - few.bytes_down == 10 * 4 * 8 * (3 * (1 + 2 + moments) + 1), "of four chunks"
    assert many.bytes_up - few.bytes_up == 10 * 8 * 4 * 6
    assert many.operations == few.operations and many.allocations - few.allocations == 10 * 3
    assert many.names[f"gpuvgm_features_2_f8{'' if moments == 3 else '_diagonal'}"] >= 15


@pytest.mark.parametrize("features", [1, 2])
def test_rows_in_column_order_are_put_in_row_order_once(strict_cupy: Any, features: int) -> None:
    """As cuDF's own `to_cupy` gives them; a column may be one of a matrix."""
    host = np.random.default_rng(0).normal(size=(2 * CHUNK_ROWS, 3))
    x, ledger = up(host)[:, 1:2] if features == 1 else up(host.T.copy()).T, strict_cupy.hardware.ledger
    assert not x.flags.c_contiguous
    centres = host[:3, : x.shape[1]]
    for iterations in (2, 7):
        with ledger.stage(str(iterations)):
            BayesianGaussianMixture(
                n_components=3, tol=0.0, algorithm="exact", init_params=centres, max_iter=iterations
            ).fit(x)
    assert ledger.stages["7"].operations == ledger.stages["2"].operations


def test_a_copy_in_row_order_leaves_room_for_the_fit(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = np.random.default_rng(0).normal(size=(64 * CHUNK_ROWS, 2))
    there = up(host.T.copy()).T
    for module, part in ((rows_module, "DEVICE_BLOCK_VALUES"), (accumulate, "START_VALUES")):
        monkeypatch.setattr(module, part, 8 * CHUNK_ROWS)
    strict_cupy.hardware.memory = strict_cupy.hardware.used[0] + host.nbytes + (1 << 17)
    BayesianGaussianMixture(n_components=3, max_iter=3, init_params=host[:3]).fit(there)


def test_rows_in_column_order_without_room_for_a_copy(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = gpuvgm.engines.get_engine("cuda")
    host = np.random.default_rng(0).normal(size=(16 * CHUNK_ROWS, 2))
    there = up(host.T.copy()).T
    monkeypatch.setattr(rows_module, "DEVICE_BLOCK_VALUES", 2 * CHUNK_ROWS)
    strict_cupy.hardware.memory = strict_cupy.hardware.used[0] + host.nbytes // 2
    table = GaussianTable(np.zeros(2), np.zeros((1, 2)), np.ones((1, 2)), np.zeros(1))
    rows = Rows.of(there).near(engine)
    assert not rows.array.flags.c_contiguous
    assert accumulate.sums_over(engine, rows, table).counts == len(host)


@pytest.mark.parametrize("features", [1, 2])
def test_only_a_sample_of_the_rows_comes_to_the_host(strict_cupy: Any, features: int) -> None:
    x = up(np.random.default_rng(0).normal(size=(600_000, features)))
    centres = np.arange(2.0 * features).reshape(2, features)
    mixture = BayesianGaussianMixture(n_components=2, max_iter=2, algorithm="exact", init_params=centres)
    with strict_cupy.hardware.ledger.stage("fit") as fit:
        mixture.fit(x)
    assert fit.bytes_down < 8 * features * (Rows.SEED_ROWS + 3 * CHUNK_ROWS) < x.nbytes / 3


@pytest.mark.parametrize("features", [1, 2])
def test_more_rows_cost_predict_no_more_operations(strict_cupy: Any, features: int) -> None:
    host = np.random.default_rng(0).normal(size=(9 << 16, features))
    mixture = BayesianGaussianMixture(n_components=2, max_iter=3, random_state=0).fit(host[:1000])
    ledger = strict_cupy.hardware.ledger
    for rows in (1 << 16, len(host)):
        x = up(host[:rows])
        with ledger.stage(str(rows)):
            labels = mixture.predict(x)
        np.testing.assert_array_equal(labels.get(), mixture.predict(host[:rows]))
    few, many = (ledger.stages[str(rows)] for rows in (1 << 16, len(host)))
    assert (few.operations, few.allocations) == (many.operations, many.allocations) and many.operations < 30


def test_rows_that_lie_there_are_not_uploaded(strict_cupy: Any, x: Any) -> None:
    ledger = strict_cupy.hardware.ledger
    with ledger.stage("fit"):
        model = gpuvgm.TableTransformer({"x": "continuous"}, effort="research", max_iter=20).fit({"x": x})
    with ledger.stage("transform"):
        encoded = model.transform({"x": x})
    with ledger.stage("inverse"):
        model.inverse_transform(encoded)
    for stage, kernels in (("transform", 1), ("inverse", 1)):
        entry = ledger.stages[stage]
        assert entry.bytes_up < 4096 and entry.bytes_down <= 80, entry
        assert sum(entry.names.values()) == entry.kernels == kernels, entry
    fit = ledger.stages["fit"]
    assert fit.names["gpuvgm_summarise_f8"] == 1
    assert not any(name.startswith("gpuvgm_e_step") for name in fit.names), "EM runs over cells, on the host"


def test_a_block_of_a_transform_waits_once_whatever_its_columns(strict_cupy: Any) -> None:
    """The counts of all columns come to the host together: of the rows' sorts, modal values and steps among them."""
    random = np.random.default_rng(1)
    cents = random.normal(500, 90, ROWS).round(2)
    given = {
        "plain": random.normal(size=ROWS),
        "cents": cents,
        "gaps": np.where(random.uniform(size=ROWS) < 0.1, np.nan, cents),
        "zeros": np.where(random.uniform(size=ROWS) < 0.3, 0.0, cents),
        "whole": random.integers(-(10**9), 10**9, ROWS),
        "fives": 5 * random.integers(0, 10**6, ROWS),
    }
    table = {name: up(values) for name, values in given.items()}
    model = gpuvgm.TableTransformer({"zeros": {"kind": "mixed", "modal": [0.0]}}, engine="native").fit(given)
    host, seen = model.transform(given, return_unseen=True)
    model.engine = "auto"
    ledger = strict_cupy.hardware.ledger
    counts = []
    for blocks in (1, 2):
        model.block_rows = -(-ROWS // blocks // CHUNK_ROWS) * CHUNK_ROWS
        with ledger.stage(str(blocks)):
            encoded, unseen = model.transform(table, return_unseen=True)
        counts.append(ledger.stages[str(blocks)].synchronisations)
    assert counts == [1, 2], ledger.stages["2"]
    assert unseen == seen
    for name in host:
        np.testing.assert_array_equal(to_numpy(encoded[name]), host[name])


def test_a_block_of_a_fit_waits_for_nothing(strict_cupy: Any) -> None:
    """A column's cells, modal values, rows off a step and ends stay on the device until the last block."""
    random = np.random.default_rng(1)
    cents = random.normal(500, 90, ROWS).round(2)
    given = {
        "plain": random.normal(size=ROWS),
        "cents": cents,
        "zeros": np.where(random.uniform(size=ROWS) < 0.3, 0.0, cents),
        "whole": random.integers(-(10**9), 10**9, ROWS),
        "fives": 5 * random.integers(0, 10**6, ROWS),
        "large": random.integers(2**60, 2**60 + 10**17, ROWS),
    }
    table = {name: up(values) for name, values in given.items()}
    specs: dict[str, Any] = dict.fromkeys(given, "continuous") | {"zeros": {"kind": "mixed", "modal": [0.0]}}
    options: dict[str, Any] = {"effort": "research", "max_iter": 5}
    options["threads"] = 1  # columns of several threads share launches of EM by chance
    expected = gpuvgm.TableTransformer(specs, engine="native", **options).fit(given)
    ledger = strict_cupy.hardware.ledger

    def fit(blocks: int) -> Any:
        block_rows = -(-ROWS // blocks // CHUNK_ROWS) * CHUNK_ROWS
        return gpuvgm.TableTransformer(specs, block_rows=block_rows, **options).fit(table)

    fit(1)  # grids, and memory for cells
    for blocks in (1, 2, 5):
        with ledger.stage(str(blocks)):
            found = fit(blocks)
        assert [repr(column.to_json()) for column in found.columns_.values()] == [
            repr(column.to_json()) for column in expected.columns_.values()
        ]
        one, entry = ledger.stages["1"], ledger.stages[str(blocks)]
        added = _summaries(entry) - _summaries(one)
        assert entry.names["gpuvgm_gather"] == len(given) and added == (blocks - 1) * len(given), entry
        assert entry.synchronisations == one.synchronisations, entry
        assert entry.bytes_down - one.bytes_down <= 8 * (blocks - 1) * (2 + 1 + 2), entry


def _summaries(entry: Any) -> int:
    return sum(count for name, count in entry.names.items() if name.startswith("gpuvgm_summarise"))


def test_another_block_of_a_column_allocates_and_uploads_little(strict_cupy: Any, x: Any) -> None:
    """The grid and the memory for its cells are there; the rules go up, occupied cells and the rest come down."""
    engine, grid = gpuvgm.engines.get_engine("cuda"), grid_of(to_numpy(x)[::4])[0]
    ledger = strict_cupy.hardware.ledger
    with ledger.stage("first"):
        engine.summarise(x[:8192], grid)
    with ledger.stage("second"):
        summary = engine.summarise(x[8192:16384], grid, RowRules(step=Step(1, 100, "float64")))
    assert summary.off_step == 8192
    first, second = ledger.stages["first"], ledger.stages["second"]
    assert first.bytes_up > 1 << 20 and first.allocated > 1 << 27, first
    assert (second.bytes_up, second.allocations, second.operations, second.synchronisations) == (88, 1, 1, 1), second
    assert second.names["gpuvgm_summarise_f8_step"] == 1 and second.bytes_down < 1.2 * 40 * len(summary.cell), second


def test_a_batch_of_em_is_a_kernel_and_a_wait_whatever_its_loops(
    strict_cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy each way; memory for all loops is one array, and cells are uploaded once."""
    monkeypatch.setattr("gpuvgm.engines.cuda.em.LEAST_CELLS", 0)
    engine, ledger = gpuvgm.engines.get_engine("cuda"), strict_cupy.hardware.ledger
    cells, prior = column("cents", 4_000)
    loops = engine.em(cells, prior.table(), sound=False)
    assert loops is not None
    start = starts(cells, 3)[0]
    batch: list[Any] = loops.ascents([[start.reference, start.counts, start.first, start.second]] * 7)
    batch.append(loops.plain(prior.update(start).arrays(), 4))
    for name in ("first", "second"):
        with ledger.stage(name):
            loops.run(batch, 5, 0.0)
            assert len(batch[-1].oldest) == 6
    first, second = ledger.stages["first"], ledger.stages["second"]
    assert first.kernels == second.kernels == first.synchronisations == second.synchronisations == 1, first
    assert (first.allocations, second.allocations) == (4, 2), first
    assert first.bytes_up - second.bytes_up == 24 * len(cells.mean)
    assert second.bytes_up < 1024 * len(batch) and second.bytes_down < 1024 * len(batch), second


def test_rows_that_come_to_the_host_come_in_shorter_blocks(
    strict_cupy: Any, x: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's memory says how long the others are: a range of logarithms is encoded on the host."""
    monkeypatch.setattr(context, "DEVICE_BLOCK_ROWS", 2 * CHUNK_ROWS)
    noted, blocks = dict[tuple[str, ...], int](), ArraySource.blocks

    def watched(self: ArraySource, columns: Sequence[str], block_rows: int) -> Any:
        noted[tuple(columns)] = block_rows
        return blocks(self, columns, block_rows)

    monkeypatch.setattr(ArraySource, "blocks", watched)
    table = {"plain": x, "log": strict_cupy.exp(x)}
    specs: dict[str, Any] = {"plain": "continuous", "log": {"kind": "general", "log": True}}
    both = gpuvgm.TableTransformer(specs, effort="research", max_iter=5).fit(table)
    assert noted[("log",)] > 64 * ROWS and noted[("plain",)] > 64 * ROWS  # the summary of logarithms has a kernel
    both.transform(table)
    assert noted[("plain", "log")] == 2 * CHUNK_ROWS
    model = gpuvgm.TableTransformer({"plain": "continuous"}, effort="research", max_iter=5).fit({"plain": x})
    noted.clear()
    model.evaluate({"plain": x})
    assert noted[("plain",)] == 2 * CHUNK_ROWS
    encoded = model.transform({"plain": x})
    assert noted[("plain",)] > 64 * ROWS
    model.inverse_transform(encoded)
    assert noted[("plain.scalar", "plain.mode")] > 64 * ROWS


def test_what_others_hold_of_a_device_makes_blocks_shorter(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that trains beside the transform, or a limit of the pool."""
    device, pool = gpuvgm.engines.get_engine("cuda").device, strict_cupy.get_default_memory_pool()
    free = device.free_memory
    held = strict_cupy.empty(1 << 20, np.uint8)
    assert device.free_memory == free - held.nbytes
    pool.limit = 3 << 20
    assert device.free_memory == (3 << 20) - pool.used_bytes()
    assert gpuvgm.engines.get_engine("cuda").device_memory == strict_cupy.hardware.memory, "what others free counts"
    monkeypatch.setattr(context, "DEVICE_BLOCK_VALUES", 1)
    run = Run(open_source({"x": strict_cupy.empty(1 << 18)}), "cuda", CallerExecutor(1))
    pool.limit = pool.used_bytes() + (1 << 20)
    assert next(run.blocks(["x"], resident=1)).rows == (1 << 20) // context.RESIDENT_BYTES_A_VALUE


GIBIBYTE = 1 << 30


def test_blocks_are_sized_by_what_is_free_in_a_pool_of_rmm(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime sees a tenth of the device free: the rest is the pool's, used or not."""
    hardware = strict_cupy.hardware
    pool = int(0.9 * hardware.memory)
    use_strict_rmm(monkeypatch, strict_cupy, TrackingResourceAdaptor, pool=pool)
    device = gpuvgm.engines.get_engine("cuda").device
    assert strict_cupy.cuda.Device().mem_info[0] == hardware.memory - pool
    free = device.free_memory
    assert free == hardware.memory - hardware.used[0]
    held = strict_cupy.empty(GIBIBYTE, np.uint8)
    assert device.free_memory == free - held.nbytes
    with strict_cupy.cuda.Device(1):
        assert device.free_memory == hardware.memory - hardware.used[1] > free - held.nbytes, "each device has its own"
    monkeypatch.setattr(context, "DEVICE_BLOCK_VALUES", 1)
    monkeypatch.setattr(context, "RESIDENT_BYTES_A_VALUE", free // (1 << 17))
    run = Run(open_source({"x": strict_cupy.empty(1 << 18)}), "cuda", CallerExecutor(1))
    rows = next(run.blocks(["x"], resident=1)).rows
    expected = device.free_memory // context.RESIDENT_BYTES_A_VALUE
    assert expected <= rows < expected + CHUNK_ROWS and rows > (1 << 17) // 2


def test_a_pool_that_nobody_counts_is_taken_to_be_half_used(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use_strict_rmm(monkeypatch, strict_cupy, pool=GIBIBYTE)
    free = strict_cupy.cuda.Device().mem_info[0]
    assert gpuvgm.engines.get_engine("cuda").device.free_memory == free + GIBIBYTE // 2


def test_a_limit_over_a_pool_counts(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limited, _ = use_strict_rmm(monkeypatch, strict_cupy, LimitingResourceAdaptor, pool=GIBIBYTE)
    limited.limit = 3 << 20
    device = gpuvgm.engines.get_engine("cuda").device
    assert device.free_memory == (3 << 20) - strict_cupy.hardware.used[0]
    held = strict_cupy.empty(3 << 20, np.uint8)
    assert device.free_memory == 0, held.nbytes


def test_a_pool_of_rmm_that_is_full_gives_no_more(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the device has more than that free."""
    use_strict_rmm(monkeypatch, strict_cupy, pool=GIBIBYTE)
    with pytest.raises(strict_cupy.cuda.memory.OutOfMemoryError):
        strict_cupy.empty(GIBIBYTE + 1, np.uint8)


def test_rmm_has_what_is_asked_of_it() -> None:
    """Its resources can be made without a device, as long as nothing is allocated."""
    mr = pytest.importorskip("rmm").mr
    resource = mr.get_per_device_resource(0)
    limited = mr.LimitingResourceAdaptor(mr.TrackingResourceAdaptor(resource), 100)
    allocators = pytest.importorskip("rmm.allocators.cupy")
    cuda = SimpleNamespace(get_allocator=lambda: allocators.rmm_cupy_allocator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mr, "get_per_device_resource", {0: limited}.__getitem__)
        resources = rmm_resources(cuda, 0)
    assert [type(one).__name__ for one in resources] == [
        "LimitingResourceAdaptor",
        "TrackingResourceAdaptor",
        "CudaMemoryResource",
    ]
    assert _free_of_rmm(resources, 1000) == 100
    assert callable(mr.PoolMemoryResource.pool_size)


def test_a_wide_table_has_as_few_summaries_as_a_narrow_one(
    strict_cupy: Any, x: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of several columns are shorter, but columns that lie there are summarised one by one."""
    memory = gpuvgm.engines.get_engine("cuda").free_device_memory
    assert memory is not None
    monkeypatch.setattr(context, "DEVICE_BLOCK_VALUES", 4 * CHUNK_ROWS)
    monkeypatch.setattr(context, "RESIDENT_BYTES_A_VALUE", memory // (4 * CHUNK_ROWS))
    table, done = {name: x for name in "abcdef"}, []
    with strict_cupy.hardware.ledger.stage("fit") as fit:
        gpuvgm.TableTransformer(
            dict.fromkeys(table, "continuous"),
            effort="research",
            max_iter=5,
            progress=lambda stage, rows, total: done.append((stage, rows)),
        ).fit(table)
    assert [step for step in done if step[0] != "search modes"] == [
        ("fit", ROWS * column // len(table)) for column in range(1, len(table) + 1)
    ]
    assert fit.names["gpuvgm_summarise_f8"] == len(table) * -(-ROWS // (4 * CHUNK_ROWS)), fit
    assert fit.names["gpuvgm_gather"] == len(table), fit
