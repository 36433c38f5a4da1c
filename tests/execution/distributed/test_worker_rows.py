"""Exact EM over partitions: the bits of one process for any column and any cut, without a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import gpuvgm
from gpuvgm.config import CHUNK_ROWS, FitConfig
from gpuvgm.engines import get_engine
from gpuvgm.errors import SourceChangedError
from gpuvgm.execution.dask import Passing
from gpuvgm.execution.worker_rows import RowsOnWorkers, completions, fill_chunks, in_whole_chunks
from gpuvgm.mixture import Prior, Rows, Seeds
from gpuvgm.mixture.accumulate import over_rows, start_over
from gpuvgm.summary import Frame
from gpuvgm.table import numeric_fit

ROWS = 9000


@dataclass(frozen=True)
class InThisProcess:
    """What stands in for `HeldPartitions`."""

    values: Sequence[Any]

    @property
    def rows(self) -> list[int]:
        """Rows of each value."""
        return list(map(len, self.values))

    def map(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What a function gives for each value."""
        return [function(value, *arguments) for value in self.values]

    def map_shares(self, function: Callable[..., list[Any]], *arguments: Any) -> list[Any]:
        """What a function gives for all values, one for each."""
        return function(self.values, *arguments)

    def passing(
        self, passings: Sequence[Passing], given: Callable[..., Any], taken: Callable[..., Any]
    ) -> InThisProcess:
        """Values in the place of these, after parts went from one to the other."""
        pairs = list(zip(self.values, passings, strict=True))
        gifts = [given(value, one.gives) for value, one in pairs]
        values = [
            taken(value, one.gives, [gifts[i] for i in one.takes_from]) if one != Passing(0, ()) else value
            for value, one in pairs
        ]
        return replace(self, values=values)

    def by_worker(self, function: Callable[..., Any], *others: Sequence[Any]) -> InThisProcess:
        """Values in the place of these."""
        return replace(self, values=list(map(function, self.values, *others)))


def two_modes(random: np.random.Generator, rows: int = ROWS) -> np.ndarray:
    return np.concatenate([random.normal(-1, 0.2, rows // 2), random.normal(1, 0.3, rows - rows // 2)])


def spikes(random: np.random.Generator) -> np.ndarray:
    return random.choice([0.0, 1e3, 1e6, 1e6 + 1], ROWS) + 1e-3 * random.normal(size=ROWS)


def whole_cents(random: np.random.Generator) -> np.ndarray:
    return np.round(random.lognormal(3, 1, ROWS), 2)


def zeros_of_both_signs(random: np.random.Generator) -> np.ndarray:
    x = two_modes(random)
    x[random.random(ROWS) < 0.7] = 0.0
    return np.where(random.random(ROWS) < 0.5, x, -x)


COLUMNS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "1e9 ± 6e5": lambda random: 1e9 + 6e5 * two_modes(random),
    "1e12 ± 1": lambda random: 1e12 + two_modes(random),
    "nanoseconds": lambda random: 1.7e18 + 1e12 * two_modes(random),
    "heavy tails": lambda random: random.lognormal(0, 3, ROWS),
    "tiny": lambda random: 1e-300 * two_modes(random),
    "subnormal": lambda random: random.integers(0, 1000, ROWS) * 5e-324,
    "zeros": zeros_of_both_signs,
    "spikes": spikes,
    "cents": whole_cents,
    "float32": lambda random: two_modes(random).astype(np.float32),
    "one value": lambda random: np.full(ROWS, 0.1),
}

CUTS = {
    "1": [],
    "2": [4097],
    "7, uneven, some empty": [0, 100, 101, 101, 4095, 8999],
    "many, smaller than a chunk": list(range(71, ROWS, 71)),
    "whole chunks": [4096, 4096, 8192],
}


def settings(effort: str) -> dict[str, Any]:
    return {"columns": {"x": "continuous"}, "algorithm": "exact", "effort": effort, "n_components": 5}


def bits(column: Any) -> list[Any]:
    """Everything that a fit decides."""
    posterior = column.mixture.posterior
    parts = (posterior.means, posterior.covariances, posterior.weights, posterior.counts, column.mixture.centres)
    return [column.fit, *(part.tobytes() for part in parts)]


def fitted_over(monkeypatch: pytest.MonkeyPatch, x: np.ndarray, cuts: Sequence[int], effort: str) -> Any:
    """The column, fitted over partitions cut at these rows."""

    def fit(run: Any, column: Any) -> Any:
        held: Any = InThisProcess(np.split(x.astype(np.float64), cuts))
        rows = RowsOnWorkers(np.empty((0, 1)), shares=in_whole_chunks(held), engine=run.engine)
        return numeric_fit.fit_over_workers(get_engine(run.engine), rows, column)

    with monkeypatch.context() as patch:
        patch.setattr(numeric_fit, "fit_exactly", fit)
        return gpuvgm.TableTransformer(**settings(effort)).fit({"x": x}).columns_["x"]


@pytest.mark.parametrize("name", COLUMNS)
def test_hard_columns_have_the_bits_of_one_process(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    x = COLUMNS[name](np.random.default_rng(0))
    one = gpuvgm.TableTransformer(**settings("research")).fit({"x": x}).columns_["x"]
    assert one.fit.algorithm == "exact"
    for cuts in ("2", "7, uneven, some empty"):
        assert bits(fitted_over(monkeypatch, x, CUTS[cuts], "research")) == bits(one)


@pytest.mark.parametrize("cuts", CUTS)
def test_missing_rows_and_best_effort(monkeypatch: pytest.MonkeyPatch, cuts: str) -> None:
    x = whole_cents(np.random.default_rng(1))
    x[np.random.default_rng(2).random(ROWS) < 0.3] = np.nan
    x[60:300] = np.nan  # partitions of nothing else
    for effort in ("best", "research"):
        one = gpuvgm.TableTransformer(**settings(effort)).fit({"x": x}).columns_["x"]
        assert bits(fitted_over(monkeypatch, x, CUTS[cuts], effort)) == bits(one)


def test_more_rows_than_a_sample_start_from_the_samples_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rows, "SEED_ROWS", ROWS - 1)
    x = two_modes(np.random.default_rng(0))
    found = [bits(fitted_over(monkeypatch, x, cuts, "research")) for cuts in CUTS.values()]
    assert all(other == found[0] for other in found)


def test_rows_that_became_fewer_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fewer(engine: Any, rows: Any, *given: Any, original: Any = numeric_fit.fit_over_workers) -> Any:
        short: Any = InThisProcess(rows.shares.values[:-1])
        return original(engine, RowsOnWorkers(np.empty((0, 1)), shares=short, engine=rows.engine), *given)

    monkeypatch.setattr(numeric_fit, "fit_over_workers", fewer)
    with pytest.raises(SourceChangedError, match='column "x" changed while it was read'):
        fitted_over(monkeypatch, two_modes(np.random.default_rng(0)), [5000], "best")


def cuttings() -> Iterator[list[int]]:
    """Rows of partitions: empty, tiny, longer than a chunk, and of whole chunks."""
    random = np.random.default_rng(4)
    sizes = [0, 1, 5, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS]
    for partitions in (1, 2, 3, 8, 30):
        for _ in range(20):
            yield [int(random.choice([*sizes, random.integers(2 * CHUNK_ROWS)])) for _ in range(partitions)]


def test_partitions_come_to_hold_whole_chunks() -> None:
    for counts in cuttings():
        rows = np.arange(float(sum(counts)))
        partitions = np.split(rows, np.cumsum(counts)[:-1])
        held: Any = in_whole_chunks(InThisProcess(partitions))  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.concatenate([chunks.numbers for chunks in held.values]), rows)
        filled = [chunks for chunks in held.values if len(chunks.numbers)]
        assert all(len(chunks.numbers) % CHUNK_ROWS == 0 for chunks in filled[:-1])
        assert all(chunks.numbers[0] == chunks.first * CHUNK_ROWS for chunks in filled)


def test_a_worker_sends_few_nodes_of_the_tree_and_the_bits_are_those_of_one_process() -> None:
    """By the logarithm of a partition's chunks, in every iteration, whatever the partitions are."""
    count, frame = 1000, Frame(1.0, 0.5)
    x = two_modes(np.random.default_rng(0), count * CHUNK_ROWS - 5)
    x[::7] = np.nan
    engine, seeds = get_engine("auto"), Seeds(np.array([-1.0, 1.0]))
    one = Rows.of(x)
    start = start_over(engine, one, frame, seeds)
    posterior = Prior.of_column(0.0, 1.0, frame, FitConfig(n_components=2)).update(start)
    sums = (one.column_moments(engine, frame), start, over_rows(engine, one, frame)(posterior))
    expected = [pickle.dumps(what) for what in sums]
    size = 8 * (1 + 3 * len(seeds.centres) + 1)  # of a node: its level and its sums
    for cuts in ([], [300 * CHUNK_ROWS], [5000, 5001, 20_000, 3 * 10**6], range(0, len(x), 10**5)):
        came: list[int] = []
        held: Any = in_whole_chunks(Watched(np.split(x, list(cuts)), came))  # type: ignore[arg-type]
        rows = RowsOnWorkers(np.empty((0, 1)), shares=held, engine=engine.name)
        found = [pickle.dumps(rows.column_moments(engine, frame)), pickle.dumps(start_over(engine, rows, frame, seeds))]
        came.clear()
        found.append(pickle.dumps(over_rows(engine, rows, frame)(posterior)))
        assert found == expected
        chunks = [-(-len(partition.numbers) // CHUNK_ROWS) for partition in held.values]
        nodes = [2 * np.log2(max(1, n)) + 1 for n in chunks]
        assert sum(chunks) == count and len(came) == len(chunks)
        assert all(bytes_ <= size * most + 300 for bytes_, most in zip(came, nodes, strict=True))


@dataclass(frozen=True)
class Watched(InThisProcess):
    """Nothing as long as the rows of a partition may come to this process."""

    came: list[int]

    def map(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What a function gives for each value."""
        return [self._watched(found) for found in super().map(function, *arguments)]

    def map_shares(self, function: Callable[..., list[Any]], *arguments: Any) -> list[Any]:
        """What a function gives for all values, one for each."""
        return [self._watched(found) for found in super().map_shares(function, *arguments)]

    def _watched(self, found: Any) -> Any:
        self.came.append(len(pickle.dumps(found)))
        return found


def test_no_rows_come_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for whole chunks, nor for k-means where they are more than a sample: counts and sums of chunks do."""
    monkeypatch.setattr(Rows, "SEED_ROWS", ROWS - 1)
    x, came = two_modes(np.random.default_rng(0)), list[int]()
    held: Any = Watched(np.split(x, [5000, 7000]), came)

    def fit(run: Any, column: Any) -> Any:
        rows = RowsOnWorkers(np.empty((0, 1)), shares=in_whole_chunks(held), engine=run.engine)
        return numeric_fit.fit_over_workers(get_engine(run.engine), rows, column)

    monkeypatch.setattr(numeric_fit, "fit_exactly", fit)
    gpuvgm.TableTransformer(**settings("research")).fit({"x": x})
    assert len(came) > 100
    assert max(came) < 2000 * x.itemsize / 4


def test_partitions_of_whole_chunks_stay_where_they_are() -> None:
    partitions = [np.zeros(CHUNK_ROWS), np.zeros(2 * CHUNK_ROWS), np.zeros(7)]
    held: Any = InThisProcess(partitions)
    shares: Any = in_whole_chunks(held)
    assert all(chunks.numbers is other for chunks, other in zip(shares.values, partitions, strict=True))
    assert completions([len(part) for part in partitions]) == [Passing(0, ())] * 3
    assert fill_chunks(partitions[2], 2, [np.ones(1), 2 * np.ones(1)]).tolist() == [0.0] * 5 + [1.0, 2.0]
