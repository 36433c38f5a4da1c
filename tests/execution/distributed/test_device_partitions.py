"""Partitions on a device: frames of Dask whose parts lie there, fitted, encoded and decoded by workers' engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import ColumnsFailed
from gpuvgm.mixture import ColumnFit
from tests.engines.kernels.building import needs_compiler
from tests.execution.distributed.working import parts_of
from tests.harness.device import stages, worker
from tests.harness.device.frames import DataFrame, dask_frame
from tests.harness.device.module import up
from tests.mixture.closeness import assert_same_parameters

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
pytestmark = needs_compiler
ROWS = 20_000
CUTS = [3000, 3000, 11_000, 11_001]
SETTINGS: dict[str, Any] = {"algorithm": "exact", "effort": "research", "max_iter": 20}


def rows() -> pd.DataFrame:
    random = np.random.default_rng(5)
    two = np.where(random.random(ROWS) < 0.4, random.normal(-3, 0.5, ROWS), random.normal(4, 2, ROWS))
    gaps = random.normal(1e5, 3, ROWS)
    gaps[::50] = np.nan
    return pd.DataFrame({"two": two, "gaps": gaps, "count": random.integers(0, 900, ROWS)})


def on_device(frame: pd.DataFrame) -> list[DataFrame]:
    """The rows as frames on the device."""
    return [
        DataFrame({name: up(part[name].to_numpy()) for name in part}, list(part.index))
        for part in parts_of(frame, *CUTS)
    ]


@dataclass(frozen=True)
class Scheduler:
    """Where tasks are run, and which kernels were launched there."""

    on_workers: bool
    launched: Callable[[], set[str]]


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """A client of two workers in processes of their own, with a device each."""
    with gpuvgm.cluster(workers=2, threads=1, memory="2GiB", gpus=False, preload=[worker.__name__]) as client:
        yield client


@pytest.fixture(params=["threads", "workers"])
def scheduler(request: pytest.FixtureRequest, cudf: Any, strict_cupy: Any) -> Iterator[Scheduler]:
    """Dask's threads, or workers; tells which kernels were launched there."""
    if request.param == "threads":
        with dask.config.set(scheduler="threads"):
            yield Scheduler(False, lambda: {name for name, _ in strict_cupy.hardware.launches})
        return
    client = request.getfixturevalue("workers")

    def launched() -> set[str]:
        found = client.run(worker.hardware_of).values()
        assert not any(faults for _, faults in found)
        return set().union(*(names for names, _ in found))

    launched()
    with client.as_current():
        yield Scheduler(True, launched)
    launched()


@pytest.mark.parametrize("effort", ["research", "best"])
def test_exact_fits_are_those_of_one_process(scheduler: Scheduler, strict_cupy: Any, effort: str) -> None:
    settings = SETTINGS | {"effort": effort}
    expected = gpuvgm.TableTransformer(**settings).fit(rows())
    frame = dask_frame(on_device(rows()))
    found = gpuvgm.TableTransformer(**settings).fit(frame)
    for name, column in expected.columns_.items():
        there, here = column.mixture.posterior, found.columns_[name].mixture.posterior
        held = there.counts > 0.5  # a row; the others are all but flat
        np.testing.assert_allclose(here.means[held], there.means[held], rtol=1e-9)
        np.testing.assert_allclose(here.covariances[held], there.covariances[held], rtol=1e-9)
        np.testing.assert_allclose(here.weights, there.weights, rtol=1e-9, atol=1e-9)
    assert any(name.startswith("gpuvgm_e_step") for name in scheduler.launched()) == scheduler.on_workers


def launched(cupy: Any, name: str) -> int:
    return sum(one.startswith(name) for one, _ in cupy.hardware.launches)


@pytest.fixture
def worker_here(cudf: Any) -> Iterator[None]:
    """A worker in this process, whose device is that of the test."""
    with stages.worker():
        yield


@pytest.mark.parametrize("settings", [{"effort": "research", "max_iter": 20}, {"effort": "auto"}])
def test_fits_on_summaries_are_those_of_one_process_to_the_bit(scheduler: Scheduler, settings: dict[str, Any]) -> None:
    """EM runs where the rows are."""
    expected = gpuvgm.TableTransformer(algorithm="summary", engine="native", **settings).fit(rows())
    found = gpuvgm.TableTransformer(algorithm="summary", **settings).fit(dask_frame(on_device(rows())))
    for name, column in expected.columns_.items():
        there, here = column.mixture.posterior, found.columns_[name].mixture.posterior
        for one, other in zip(there.arrays(), here.arrays(), strict=True):
            np.testing.assert_array_equal(other, one)
    assert any(name.startswith("gpuvgm_em") for name in scheduler.launched()) == scheduler.on_workers


def test_a_partition_is_one_block_unless_others_are_asked_for(worker_here: None, strict_cupy: Any) -> None:
    table = rows()[["two"]]
    for block_rows, blocks in ((None, 4), (4096, 1 + 2 + 1 + 3)):
        before = launched(strict_cupy, "gpuvgm_summarise")
        gathered = launched(strict_cupy, "gpuvgm_gather")
        gpuvgm.TableTransformer(
            {"two": "continuous"}, algorithm="summary", effort="research", max_iter=2, block_rows=block_rows
        ).fit(dask_frame(on_device(table)))
        assert launched(strict_cupy, "gpuvgm_summarise") - before == blocks
        assert launched(strict_cupy, "gpuvgm_gather") - gathered == 4, "one summary of each partition that has rows"


def test_a_column_that_fails_on_a_worker_stops_alone(worker_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fit_cells = ColumnFit.fit_cells

    def failing(column: Any, engine: Any) -> Any:
        assert engine.name == "cuda"
        if column.sums.missing:
            raise ValueError("no fit today")
        return fit_cells(column, engine)

    monkeypatch.setattr(ColumnFit, "fit_cells", failing)
    transformer = gpuvgm.TableTransformer(algorithm="summary", effort="research", max_iter=2)
    with pytest.raises(ColumnsFailed, match='column "gaps": ValueError: no fit today .2 other columns') as caught:
        transformer.fit(dask_frame(on_device(rows())))
    assert list(caught.value.failed) == ["gaps"]


@pytest.mark.parametrize("layout", ["compact", "onehot"])
def test_partitions_are_encoded_and_decoded_lazily(scheduler: Scheduler, layout: str) -> None:
    model = gpuvgm.TableTransformer(effort="research", max_iter=20, engine="native").fit(rows())
    expected = model.transform(rows(), layout=layout)
    model.set_params(engine="auto")
    encoded = model.transform(dask_frame(on_device(rows())), layout=layout)
    back = model.inverse_transform(encoded)
    whole = encoded.compute()
    there = model.inverse_transform(expected)
    if layout == "onehot":
        expected = dict(zip(whole.columns, expected.T, strict=True))
        there = {name: there[name] for name in back.columns}
    for name in whole.columns:
        np.testing.assert_array_equal(whole[name].to_arrow().to_numpy(), np.asarray(expected[name]))
    returned = back.compute()
    for name in returned.columns:
        array = returned[name].to_arrow().to_pandas().to_numpy()
        np.testing.assert_array_equal(array, np.asarray(there[name]))


def test_rows_outside_the_range_are_told_or_dropped_lazily(scheduler: Scheduler) -> None:
    table = rows()[["two", "count"]]
    model = gpuvgm.TableTransformer(effort="research", max_iter=20, engine="native").fit(table)
    encoded = model.transform(table)
    encoded.loc[:3999, "two.scalar"] = 0.99
    there, valid = model.inverse_transform(encoded, return_valid=True)
    assert 0 < np.count_nonzero(~valid)
    lazy = dask_frame(on_device(encoded))
    model.set_params(engine="auto")
    values, told = model.inverse_transform(lazy, return_valid=True)
    np.testing.assert_array_equal(told.compute().to_arrow().to_numpy(zero_copy_only=False), valid)
    kept = model.inverse_transform(lazy, invalid="drop").compute()
    for name in table.columns:
        np.testing.assert_array_equal(values.compute()[name].to_arrow().to_numpy(), there[name])
        np.testing.assert_array_equal(kept[name].to_arrow().to_numpy(), np.asarray(there[name])[valid])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_estimator_fits_and_predicts_partitions(scheduler: Scheduler) -> None:
    table = rows()[["two", "count"]]
    settings: dict[str, Any] = {"n_components": 2, "max_iter": 3, "random_state": 0, "algorithm": "exact"}
    frame = dask_frame(on_device(table))
    found, expected = (gpuvgm.BayesianGaussianMixture(**settings).fit(one) for one in (frame, table))
    assert_same_parameters(found, expected, 1e-9)
    np.testing.assert_array_equal(found.predict(frame).compute().to_arrow().to_numpy(), expected.predict(table))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns", [["two"], ["two", "count"]])
def test_rows_of_the_estimator_stay_on_the_workers_device(
    worker_here: None, strict_cupy: Any, columns: list[str], weighted: bool
) -> None:
    table = pd.concat([rows()[columns]] * 4, ignore_index=True)
    weight = np.random.default_rng(4).integers(0, 3, len(table)) if weighted else None
    centres = table.to_numpy(np.float64)[:3]
    settings: dict[str, Any] = {"n_components": 3, "max_iter": 8, "tol": 0, "init_params": centres}
    cuts = [table.iloc[first : first + 9000] for first in range(0, len(table), 9000)]
    lazy = stages.there(dask_frame([DataFrame({name: up(part[name].to_numpy()) for name in part}) for part in cuts]))
    moved, waits, made = [], [], []
    gpuvgm.BayesianGaussianMixture(**settings).fit(lazy)  # counts rows, and copies constants
    for iterations in (2, 8):
        with strict_cupy.hardware.ledger.stage(f"{iterations} iterations") as entry:
            found = gpuvgm.BayesianGaussianMixture(**settings | {"max_iter": iterations}).fit(
                lazy, sample_weight=weight
            )
        moved.append((entry.bytes_down, entry.bytes_up))
        waits.append(entry.synchronisations)
        made.append(found.n_iter_)
    assert_same_parameters(found, gpuvgm.BayesianGaussianMixture(**settings).fit(table, sample_weight=weight), 1e-9)
    kernels = {name for name, _ in strict_cupy.hardware.launches}
    assert any(name.startswith(("gpuvgm_e_step", "gpuvgm_features")) for name in kernels), kernels
    for few, many in zip(*moved, strict=True):
        assert many - few < 6 * table.size * 8 / 20, "an iteration moves tables and sums"
    assert waits[1] - waits[0] == made[1] - made[0] > 0, "the sums of all partitions of a worker come in one copy"


def test_sums_over_partitions_stay_on_the_device(cudf: Any, strict_cupy: Any) -> None:
    """Moments, starts and E-steps of a partition: what comes to the host are sums of chunks."""
    from gpuvgm.engines import get_engine
    from gpuvgm.execution.worker_rows import RowsOnWorkers, in_whole_chunks
    from gpuvgm.mixture import Seeds
    from gpuvgm.mixture.accumulate import start_over
    from gpuvgm.summary import Frame
    from tests.execution.distributed.test_worker_rows import InThisProcess

    numbers, frame = rows()["gaps"].to_numpy(), Frame(0.5, 49_999.0)
    seeds = Seeds(np.array([3.0, -2.0, 0.0, 3.0]))
    cuts = [8192, 12_288]
    found = []
    for place, name in ((np.asarray, "reference"), (up, "cuda")):
        held: Any = InThisProcess(list(map(place, np.split(numbers, cuts))))
        there, engine = RowsOnWorkers(np.empty((0, 1)), shares=in_whole_chunks(held), engine=name), get_engine(name)
        with strict_cupy.hardware.ledger.stage("sums") as entry:
            moments, start = there.column_moments(engine, frame), start_over(engine, there, frame, seeds)
        found.append((moments, start))
    (expected, expected_start), (moments, start) = found
    assert moments.rows == expected.rows
    assert (moments.mean, moments.variance) == pytest.approx((expected.mean, expected.variance), rel=1e-12)
    for name in ("counts", "first", "second"):
        np.testing.assert_allclose(getattr(start, name), getattr(expected_start, name), rtol=1e-11, atol=1e-9)
    assert 0 < entry.bytes_down < numbers.nbytes / 50
    assert entry.operations < 3 * (2 * 10 + 8 * 4 + 10) + 3, "of three partitions twice their moments, and the start"
    assert entry.synchronisations == 3, "one for the sums of all partitions"
