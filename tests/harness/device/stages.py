"""What whole stages cost on the strict device, counted: what `python -m benchmarks predict` reckons with.

``python -m tests.harness.device.stages`` counts anew and writes `benchmarks/predicted/ledger.json`. Stages are run at
small sizes, twice or more, so that what a block, a column or an iteration adds is a difference of counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from benchmarks.calls import Calls
from benchmarks.inputs import amounts, clouds
from benchmarks.kernels.prediction import LEDGER
from gpuvgm import BayesianGaussianMixture, TableTransformer
from gpuvgm.engines.cuda.em import Loop, LoopsOnDevice, Run
from gpuvgm.execution import context
from tests.engines.kernels.counting import every_count
from tests.harness.device.frames import DataFrame, dask_frame, use_strict_cudf
from tests.harness.device.ledger import Entry
from tests.harness.device.module import forget_engines, up, use_strict_device

BLOCK_ROWS = 1 << 18  # of a block of these runs; more than a sample has, as ESTIMATOR_ROWS
ESTIMATOR_ROWS = 1 << 18
COMPONENTS, FEATURES = 10, 8
Numbers = dict[str, Any]


@dataclass
class Loops:
    """What launches of EM did: products of iterations, cells and components.

    Attributes
    ----------
    longest, total : float
        Of the longest loop of every launch, and of all.
    iterations : float
        Iterations times components of the longest.
    """

    longest: float = 0.0
    total: float = 0.0
    iterations: float = 0.0

    def note(self, loops: Sequence[tuple[Loop, int]]) -> None:
        """A launch: its loops, and how many iterations each made."""
        steps = [(made * loop.em.problem.cells.shape[1], made) for loop, made in loops]
        sizes = [loop.components for loop, _ in loops]
        work = [cells * k for (cells, _), k in zip(steps, sizes, strict=True)]
        self.longest += max(work)
        self.total += sum(work)
        self.iterations += max(made * k for (_, made), k in zip(steps, sizes, strict=True))


@contextmanager
def watched_loops() -> Iterator[Loops]:
    """Note what launches of EM do."""
    noted, launch = Loops(), LoopsOnDevice._launch

    def watched(self: LoopsOnDevice, runs: Sequence[Run], most: int) -> None:
        before = [loop.iterations for loop, _, _ in runs]
        launch(self, runs, most)
        noted.note(
            [(loop, loop.iterations - iterations) for (loop, _, _), iterations in zip(runs, before, strict=True)]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoopsOnDevice, "_launch", watched)
        yield noted


def counted(cupy: Any, work: Callable[[], Any]) -> Numbers:
    """All that a call costs, as numbers by name."""
    ledger, calls = cupy.hardware.ledger, Calls()
    ledger.stages.pop("counted", None)
    with ledger.stage("counted") as entry, watched_loops() as loops, calls.counted():
        work()
    found = {one.name: getattr(entry, one.name) for one in fields(Entry) if one.name != "names"}
    em = {f"em_{name}": value for name, value in vars(loops).items()}
    return found | em | {"calls": calls.count, "names": dict(entry.names)}


def minus(one: Numbers, other: Numbers) -> Numbers:
    """Differences; programs that are launched as often are left out."""
    names = Counter(one["names"])
    names.subtract(other["names"])
    changed = {name: one[name] - other[name] for name in one if name != "names"}
    return changed | {"names": {name: count for name, count in names.items() if count}}


# -- stages of tables


def frame_of(columns: int, rows: int) -> DataFrame:
    """Columns as cuDF reads them from a file."""
    one = amounts(BLOCK_ROWS)
    return DataFrame.from_arrow(pa.table({f"c{i}": np.resize(one, rows) for i in range(columns)}))


def specs(columns: int) -> dict[str, str]:
    """All continuous."""
    return {f"c{i}": "continuous" for i in range(columns)}


@dataclass(frozen=True)
class Table:
    """A stage of a table: how to make ready for it, and what is counted."""

    prepared: Callable[[int, int], Callable[[], Any]]

    def counts(self, cupy: Any) -> Numbers:
        """What the first block of the first column costs, and what more of either adds.

        What a block adds is taken from the third, as results of several are put together; those of one are not.
        """
        widths: dict[int, int] = {}
        found = {}
        for columns in (1, 2):
            for blocks in (1, 2, 3):
                work = self.prepared(columns, blocks)
                with watched_widths() as width:
                    found[columns, blocks] = counted(cupy, work)
                widths[columns] = max(width, default=columns)
        added = {columns: minus(found[columns, 3], found[columns, 2]) for columns in (1, 2)}
        one, two = (minus(found[columns, 2], added[columns]) for columns in (1, 2))
        block, both = added.values()
        return {
            "lone": found[1, 1],
            "lone column": minus(found[2, 1], found[1, 1]),
            "first": one,
            "column": minus(two, one),
            "block": block,
            "both": minus(both, block),
            "block_rows": BLOCK_ROWS,
            "width": [widths[1], widths[2] - widths[1]],
        }


@contextmanager
def watched_widths() -> Iterator[list[int]]:
    """Note how wide the blocks are taken to be."""
    noted, rows_of = [], context.Run._resident_rows

    def watched(self: context.Run, width: int) -> int:
        noted.append(width)
        return rows_of(self, width)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.Run, "_resident_rows", watched)
        yield noted


def fitting(columns: int, blocks: int, **settings: Any) -> Callable[[], Any]:
    """A fit whose caches are warm."""
    rows = frame_of(columns, blocks * BLOCK_ROWS)
    transformer = TableTransformer(specs(columns), threads=1, **settings)
    transformer.fit(rows)
    return lambda: transformer.fit(rows)


def block_of_a_fit(cupy: Any) -> Numbers:
    """What the third block adds to a fit of a column, whose iterations are as many as with two."""
    two, three = (counted(cupy, fitting(1, blocks, effort="research", max_iter=20)) for blocks in (2, 3))
    return minus(three, two)


def fit_counts(cupy: Any) -> Numbers:
    """A fit, and what one more block adds, from the third and without a search, which other counts lead elsewhere."""
    first, second = (counted(cupy, fitting(columns, 1)) for columns in (1, 2))
    block = block_of_a_fit(cupy)
    if any(name.startswith("gpuvgm_em") for name in block["names"]):
        raise ValueError("three blocks lead to other iterations than two: no difference is that of a block")
    block |= dict.fromkeys(("em_longest", "em_total", "em_iterations"), 0.0)
    block |= dict.fromkeys(("allocated", "bytes_up", "bytes_down"), 0)  # no block waits for a copy: the search does
    return {
        "first": first,
        "column": minus(second, first),
        "block": block,
        "both": block,
        "block_rows": BLOCK_ROWS,
        "width": [1, 0],  # columns that lie there are summarised one by one
    }


def transforming(columns: int, blocks: int, *, layout: str) -> Callable[[], Any]:
    """A transform of a fitted table."""
    rows = frame_of(columns, blocks * BLOCK_ROWS)
    transformer = _fitted(columns)
    transformer.transform(rows, layout=layout)
    return lambda: transformer.transform(rows, layout=layout)


def inverting(columns: int, blocks: int) -> Callable[[], Any]:
    """An inverse of what was encoded."""
    transformer = _fitted(columns)
    encoded = transformer.transform(frame_of(columns, blocks * BLOCK_ROWS))
    transformer.inverse_transform(encoded)
    return lambda: transformer.inverse_transform(encoded)


def _fitted(columns: int) -> TableTransformer:
    return TableTransformer(specs(columns), threads=1, effort="research", max_iter=20).fit(
        frame_of(columns, BLOCK_ROWS)
    )


# -- estimators


def estimating(features: int, iterations: int, *, blocks: int = 1, centres: bool = False) -> Callable[[], Any]:
    """A fit of the estimator over every row, from k-means or from centres."""
    rows = blocks * ESTIMATOR_ROWS
    host = amounts(rows)[:, None] if features == 1 else clouds(rows, features)
    options: dict[str, Any] = {"algorithm": "exact"} if features == 1 else {"covariance_type": "full"}
    if centres:
        options["init_params"] = host[:COMPONENTS]
    x = up(host)

    def fit() -> None:
        mixture = BayesianGaussianMixture(
            n_components=COMPONENTS, tol=0.0, max_iter=iterations, random_state=0, **options
        )
        mixture.fit(x)

    return fit


def estimator_counts(cupy: Any, features: int) -> Numbers:
    """A fit of two iterations, what one more adds, and what as many rows again do."""
    estimating(features, 2)()
    two, four = (counted(cupy, estimating(features, iterations)) for iterations in (2, 4))
    more_rows = counted(cupy, estimating(features, 2, blocks=2))
    few, many = (counted(cupy, estimating(features, 2, blocks=blocks, centres=True)) for blocks in (1, 2))
    change = minus(four, two)
    return {
        "first": two,
        "iteration": {name: value / 2 for name, value in change.items() if name != "names"}
        | {"names": {name: count / 2 for name, count in change["names"].items()}},
        "block": minus(more_rows, two) | {"calls": many["calls"] - few["calls"]},  # k-means calls as often as it likes
        "block_rows": ESTIMATOR_ROWS,
        "iterations": 2,
    }


# -- clusters


@contextmanager
def worker() -> Iterator[None]:
    """A client of one worker in this process, whose device is that of these runs."""
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    )
    with cluster, distributed.Client(cluster) as client, client.as_current():
        yield


def there(lazy: Any) -> Any:
    """A frame of Dask whose partitions the worker has computed."""
    import distributed

    frame = lazy.persist()
    distributed.wait(frame)
    return frame


def on_worker(columns: int, blocks: int, partitions: int) -> Any:
    """Columns as a frame of Dask in the worker's memory."""
    rows, each = frame_of(columns, blocks * BLOCK_ROWS), blocks * BLOCK_ROWS // partitions
    starts = range(0, len(rows), each)
    return there(dask_frame([DataFrame(dict(rows.iloc[i : i + each].items()), range(i, i + each)) for i in starts]))


def clustered(stage: str, columns: int, blocks: int, partitions: int) -> Callable[[], Any]:
    """A stage of a table whose partitions lie with the worker, with warm caches."""
    rows = on_worker(columns, blocks, partitions)
    if stage == "fit":
        transformer = TableTransformer(specs(columns))
        transformer.fit(rows)
        return lambda: transformer.fit(rows)
    model = _fitted(columns)
    encoded = there(model.transform(rows))
    if stage == "transform":
        return lambda: there(model.transform(rows))
    there(model.inverse_transform(encoded))
    return lambda: there(model.inverse_transform(encoded))


HERE: dict[str, Callable[[int, int], Callable[[], Any]]] = {
    "fit": fitting,
    "transform": partial(transforming, layout="compact"),
    "inverse": inverting,
}
ON_WORKER = ("kernels", "operations", "synchronisations", "bytes_up", "bytes_down", "names")


def cluster_counts(cupy: Any, stage: str) -> dict[str, Numbers]:
    """Two blocks of a column in this process, as one partition of a cluster, and as two."""
    work = {"one process": HERE[stage](1, 2)}
    work |= {f"partitions {n}": clustered(stage, 1, 2, n) for n in (1, 2)}
    counts = {name: counted(cupy, one) for name, one in work.items()}
    return {name: {what: found[what] for what in ON_WORKER} for name, found in counts.items()}


COUNTED: dict[str, Callable[[Any], Numbers]] = {
    "fit": fit_counts,
    "transform": Table(partial(transforming, layout="compact")).counts,
    "onehot": Table(partial(transforming, layout="onehot")).counts,
    "inverse": Table(inverting).counts,
    "exact": partial(estimator_counts, features=1),
    "features": partial(estimator_counts, features=FEATURES),
}


@contextmanager
def device_of_small_blocks() -> Iterator[Any]:
    """The strict device, with cuDF, whose blocks have `BLOCK_ROWS` however wide they are."""
    with pytest.MonkeyPatch.context() as patch:
        cupy = use_strict_device(patch)
        use_strict_cudf(patch)
        patch.setattr(context, "DEVICE_BLOCK_ROWS", BLOCK_ROWS)
        patch.setattr(context, "DEVICE_BLOCK_VALUES", 1 << 40)
        patch.setattr(context, "RESIDENT_BLOCK_ROWS", BLOCK_ROWS)
        patch.setattr(context, "RESIDENT_BYTES_A_VALUE", 1)
        gpuvgm.engines.get_engine("cuda")
        try:
            yield cupy
        finally:
            forget_engines()


def main() -> None:
    """Count and write."""
    import warnings

    warnings.simplefilter("ignore")
    with device_of_small_blocks() as cupy:
        stages = {name: count(cupy) for name, count in COUNTED.items()}
        with worker():
            cluster = {name: cluster_counts(cupy, name) for name in HERE}
    ledger = {"stages": stages, "cluster": cluster, "programs": every_count()}
    LEDGER.write_text(json.dumps(ledger, indent=1) + "\n")


if __name__ == "__main__":
    main()
