"""One side of the benchmark `peers` in a process of its own, on one core.

``python -m benchmarks.peers_side transformer SIDE INPUT`` times fit, transform and inverse of a transformer over the
rows of a Parquet file, its text columns discrete; ``… training SIDE INPUT`` times a whole fit of CTGAN with one epoch.
What it found is printed as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from benchmarks.machine import bind_to_one_core, peak_memory, peak_memory_of_all, repeated, versions_of
from benchmarks.peers_sides import Mixture, numbers_of, side_of

WARM_ROWS = 1_000  # a run over so many rows loads what is loaded on first use
WARM_ITERATIONS = 10
LOOP_ROWS = 20_000  # that are drawn one by one
PACKAGES = ("rdt", "ctgan", "torch", "torchgmm", "pyspark", "polars", "dask", "pandas", "joblib")
TRANSFORMERS = {"ctgan": "ctgan.data_transformer", "ctgan drop-in": "gpuvgm.integrations.ctgan"}


def main(job: str, side: str, source: Path) -> dict[str, Any]:
    """Seconds by stage, peak memory, and figures of what came out."""
    bind_to_one_core()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = (transformer if job == "transformer" else training)(side, pq.read_table(source))
    return {"side": side, **result, "versions": versions_of(PACKAGES)}


def transformer(side: str, table: pa.Table) -> dict[str, Any]:
    """Fit, transform and inverse, and their accuracy."""
    names, discrete = columns_of(table)
    warm_up(side_of(side, names, discrete), table.slice(0, WARM_ROWS))
    peer = side_of(side, names, discrete)
    rows, before = peer.prepare(table), peak_memory_of_all()
    fit = repeated(lambda: peer.fit(rows))
    transform = repeated(lambda: peer.transform(rows))
    encoded = transform.result
    inverse = repeated(lambda: peer.inverse(encoded))
    after = max(before, peak_memory_of_all())  # Linux counts pages by core, so a peak can be lower some pages later
    stages = {"fit": fit, "transform": transform, "inverse": inverse}
    result = {
        "seconds": {stage: timed.seconds for stage, timed in stages.items()},
        "processor_seconds": {stage: timed.processor_seconds for stage, timed in stages.items()},
        "peak_memory": after,
        "added_memory": after - before,
        "accuracy": accuracy_of(table, peer.collected(inverse.result)) | fit_of(table, peer, encoded),
        "iterations": peer.iterations,
        "fitted_rows": min(peer.sample or table.num_rows, table.num_rows),
    }
    return result | (row_loop(peer, rows) if side == "research" else {})


def fit_of(table: pa.Table, peer: Any, encoded: Any) -> dict[str, float]:
    """Share of scalars that were cut, and the log-likelihood of all rows."""
    cut = [np.mean(np.abs(np.asarray(scalar)) > 0.99 - 1e-6) for scalar in peer.scalars(encoded)]
    likelihood = sum(log_likelihood(numbers_of(table, name), fitted) for name, fitted in peer.mixtures().items())
    return {"clipped": float(np.mean(cut)), "log_likelihood": float(likelihood)}


def row_loop(peer: Any, rows: Any) -> dict[str, Any]:
    """Seconds of the draws row by row, as if for all rows."""
    few = first(rows, LOOP_ROWS)
    seconds = repeated(lambda: peer.transform_row_by_row(few), 3).seconds
    return {"row_loop": {"seconds": seconds * len(rows) / len(few), "measured_seconds": seconds, "rows": len(few)}}


def first(rows: Any, count: int) -> Any:
    """The first rows."""
    return rows.slice(0, count) if isinstance(rows, pa.Table) else rows[:count]


def warm_up(peer: Any, table: pa.Table) -> None:
    """A run over few rows, of few iterations where that can be told."""
    peer.most_iterations = WARM_ITERATIONS
    rows = peer.prepare(table)
    peer.fit(rows)
    peer.inverse(peer.transform(rows))


def columns_of(table: pa.Table) -> tuple[list[str], list[str]]:
    """Names of the columns of numbers, and of the others."""
    is_number = [pa.types.is_floating(field.type) for field in table.schema]
    names = table.schema.names
    return (
        [name for name, number in zip(names, is_number, strict=True) if number],
        [name for name, number in zip(names, is_number, strict=True) if not number],
    )


def accuracy_of(table: pa.Table, back: Any) -> dict[str, float]:
    """Errors over all columns of numbers, and the share of discrete values kept.

    Errors are relative to values other than 0, and, with `_sd` in their names, in standard deviations of their column.
    """
    names, discrete = columns_of(table)
    relative, scaled = [], []
    for name in names:
        x = numbers_of(table, name)
        error = np.abs(numbers_of(back, name) - x)
        relative.append(error[x != 0] / np.abs(x[x != 0]))
        scaled.append(error / np.std(x))
    found = {}
    for ending, errors in (("", relative), ("_sd", scaled)):
        median, p999 = np.quantile(np.concatenate(errors), (0.5, 0.999))
        found |= {f"median_error{ending}": float(median), f"p999_error{ending}": float(p999)}
    found["mean_error_sd"] = float(np.mean(np.concatenate(scaled)))
    kept = [np.mean(table[name].to_numpy() == texts_of(back[name])) for name in discrete]
    return found | ({"discrete_kept": float(np.mean(kept))} if kept else {})


def texts_of(column: Any) -> np.ndarray:
    """A column of text as objects."""
    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else np.asarray(column, dtype=object)


def log_likelihood(x: np.ndarray, mixture: Mixture) -> float:
    """Mean logarithm of the mixture's density, in nats a row."""
    kept = mixture.weights > 0
    weights, means, deviations = (part[kept] for part in mixture)
    z = (x[:, None] - means) / deviations
    constants = np.log(weights / np.sum(weights)) - np.log(deviations) - 0.5 * np.log(2 * np.pi)
    return float(np.mean(logsumexp(constants - 0.5 * z * z, axis=1)))


def training(side: str, table: pa.Table) -> dict[str, Any]:
    """CTGAN's whole fit with one epoch, and what of it is its transformer's fit and transform."""
    import torch
    from ctgan import CTGAN

    torch.set_num_threads(1)
    rows, (_, discrete) = table.to_pandas(), columns_of(table)
    seconds: dict[str, float] = defaultdict(float)
    with installed(side):
        CTGAN(epochs=1, enable_gpu=False).fit(rows[:WARM_ROWS], discrete)
        synthesizer, before = CTGAN(epochs=1, enable_gpu=False), peak_memory()
        synthesizer.set_random_state(0)
        with watched(import_module(TRANSFORMERS[side]).DataTransformer, ("fit", "transform"), seconds):
            start, used = time.perf_counter(), time.process_time()
            synthesizer.fit(rows, discrete)
            total, used = time.perf_counter() - start, time.process_time() - used
    within = sum(seconds.values())
    return {
        "seconds": {**seconds, "rest": total - within},
        "total": total,
        "processor_seconds": used,
        "share": within / total,
        "peak_memory": peak_memory(),
        "added_memory": peak_memory() - before,
        "width": int(synthesizer._transformer.output_dimensions),
    }


def installed(side: str) -> Any:
    """CTGAN with its own transformer, or with ours."""
    if side == "ctgan":
        return nullcontext()
    return import_module("gpuvgm.integrations.ctgan").installed(threads=1)


@contextmanager
def watched(owner: Any, methods: tuple[str, ...], seconds: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of some methods of a class."""

    def timed(method: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[method] += time.perf_counter() - start

        return call

    with patch.multiple(owner, **{method: timed(method, getattr(owner, method)) for method in methods}):
        yield


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
