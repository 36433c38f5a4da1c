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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from benchmarks.machine import peak_memory
from benchmarks.one_core import bind_to_one_core, repeated, versions_of
from benchmarks.peers_sides import Mixture, numbers_of, side_of

WARM_ROWS = 1_000  # a run over so many rows loads what is loaded on first use
LOOP_ROWS = 20_000  # that are drawn one by one
PACKAGES = ("rdt", "ctgan", "torch", "pandas", "joblib")
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
    rows = table.to_pandas() if find_spec("pandas") else table
    warm_up(side_of(side, names, discrete), first(rows, WARM_ROWS))
    peer, before = side_of(side, names, discrete), peak_memory()
    fit = repeated(lambda: peer.fit(rows))
    transform = repeated(lambda: peer.transform(rows))
    encoded = transform.result
    inverse = repeated(lambda: peer.inverse(encoded))
    after, stages = peak_memory(), {"fit": fit, "transform": transform, "inverse": inverse}
    accuracy = accuracy_of(table, inverse.result) | {
        "clipped": float(np.mean([np.mean(np.abs(scalar) > 0.99 - 1e-6) for scalar in peer.scalars(encoded)])),
        "log_likelihood": float(sum(log_likelihood(numbers_of(table, n), m) for n, m in peer.mixtures().items())),
    }
    result = {
        "seconds": {stage: timed.seconds for stage, timed in stages.items()},
        "processor_seconds": {stage: timed.processor_seconds for stage, timed in stages.items()},
        "peak_memory": after,
        "added_memory": after - before,
        "accuracy": accuracy,
    }
    return result | (row_loop(peer, rows) if side == "research" else {})


def row_loop(peer: Any, rows: Any) -> dict[str, Any]:
    """Seconds of the draws row by row, as if for all rows."""
    few = first(rows, LOOP_ROWS)
    seconds = repeated(lambda: peer.transform_row_by_row(few), 3).seconds
    return {"row_loop": {"seconds": seconds * len(rows) / len(few), "measured_seconds": seconds, "rows": len(few)}}


def first(rows: Any, count: int) -> Any:
    """The first rows."""
    return rows.slice(0, count) if isinstance(rows, pa.Table) else rows[:count]


def warm_up(peer: Any, rows: Any) -> None:
    """A run over few rows."""
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
    """Errors relative to values other than 0, over all columns of numbers, and the share of discrete values kept."""
    names, discrete = columns_of(table)
    errors = []
    for name in names:
        x = numbers_of(table, name)
        errors.append(np.abs(numbers_of(back, name) - x)[x != 0] / np.abs(x[x != 0]))
    median, p999 = np.quantile(np.concatenate(errors), (0.5, 0.999))
    kept = [np.mean(table[name].to_numpy() == texts_of(back[name])) for name in discrete]
    return {"median_error": float(median), "p999_error": float(p999)} | (
        {"discrete_kept": float(np.mean(kept))} if kept else {}
    )


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
    originals = {method: getattr(owner, method) for method in methods}

    def timed(method: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return originals[method](*args, **kwargs)
            finally:
                seconds[method] += time.perf_counter() - start

        return call

    for method in methods:
        setattr(owner, method, timed(method))
    try:
        yield
    finally:
        for method, original in originals.items():
            setattr(owner, method, original)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
