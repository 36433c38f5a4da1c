"""What gpuvgm fits, counts, encodes, decodes and judges, to compare the code before a change with that after it.

``python -m tests.harness.golden write FILE`` notes it; ``compare FILE`` instead exits with 1 where something differs.
Parameters and figures are kept as exact numbers, rows and the sums of summaries as hashes; nothing depends on the form
of a file.
``--tolerance 1e-12`` allows parameters and figures to differ by so much of the largest number beside them.
Both have to run on one machine with the same libraries: k-means and NumPy's logarithm may round otherwise elsewhere.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm

ROWS = 7_001
BLOCK_ROWS = ROWS // 7 + 1
COLUMN = ("kind", "type", "means", "stds", "weights", "active", "order", "modal_values", "modal_counts", "minimum")
COLUMN += ("maximum", "resolution", "scalar_dtype", "width", "code_counts", "categories", "counts", "appearance")
COLUMN += ("unknown", "dictionary", "encoding", "max_categories", "low", "high", "start", "step")
FIT = ("algorithm", "rows", "missing", "iterations", "converged", "lower_bound", "fit_error", "cells", "refinements")
SUMMARY = ("cell", "count", "first", "second", "second_high", "missing", "infinite", "minimum", "maximum", "modal")
SUMMARY += ("ends", "off_step", "strays")
MIXTURE = ("weights_", "means_", "covariances_", "precisions_cholesky_", "weight_concentration_", "mean_precision_")
MIXTURE += ("degrees_of_freedom_", "lower_bound_", "n_iter_", "converged_", "fit_error_")
PASSTHROUGH = ("pass", "passthrough")  # two names of one kind

Table = tuple[pa.Table, dict[str, Any]]  # rows, and arguments of TableTransformer
Results = dict[str, Any]  # numbers, texts and hashes, or lists of them


def _amounts(random: np.random.Generator) -> np.ndarray[Any, Any]:
    return np.exp(random.normal(random.choice([0.3, 2.2, 4.7], ROWS), 0.6)).round(2)


def _one(name: str, values: Any, spec: Any = "continuous", **settings: Any) -> Table:
    return pa.table({name: values}), {"columns": {name: spec}, "effort": "research", **settings}


def tables() -> dict[str, Table]:
    """Tables that have every kind, codec, effort and option between them."""
    random = np.random.default_rng(14)
    amounts, normal = _amounts(random), random.normal(0, 1, ROWS)
    gaps = random.random(ROWS) < 0.1
    whole = random.integers(0, 10**6, ROWS)
    words = random.choice(["a", "bb", "ccc", "é"], ROWS)
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(int(d)) for d in whole % 900]
    return {
        "amounts, inferred, best": (pa.table({"x": amounts}), {"effort": "best"}),
        "amounts, inferred, auto": (pa.table({"x": amounts}), {}),
        "amounts, exact": _one("x", amounts, algorithm="exact"),
        "amounts, exact, best": _one("x", amounts, algorithm="exact", effort="best"),
        "float32 input": _one("x", normal.astype(np.float32)),
        "float64 gaps": _one("x", pa.array(normal, mask=gaps), "mixed"),
        "modal values": _one("x", np.where(gaps, 0.0, amounts), {"kind": "mixed", "modal": [0.0, None, 1.5]}),
        "logarithms": _one("x", amounts + 0.01, {"kind": "continuous", "log": True}),
        "logarithms of negatives": _one("x", amounts - 3, {"kind": "continuous", "log": True}),
        "exact tails": _one("x", random.standard_cauchy(ROWS), tails="exact", floor=0.0),
        "tiny scale": _one("x", normal * 1e-9 + 1e-3),
        "huge numbers": _one("x", normal * 1e300),
        "integers past 2^53": _one("x", pa.array(whole + 2**60, mask=gaps)),
        "unsigned": _one("x", pa.array(whole.astype(np.uint64) + np.uint64(2**63))),
        "decimals": _one("x", pa.array([Decimal(int(c)).scaleb(-2) for c in whole], pa.decimal128(12, 2))),
        "moments": (
            pa.table(
                {
                    "stamp": pa.array(whole * 10**9 + 1_700_000_000 * 10**9, pa.timestamp("ns", "Europe/Berlin")),
                    "day": pa.array(days),
                    "time": pa.array(whole * 80_000, pa.time64("us")),
                    "span": pa.array(whole, pa.duration("s")),
                }
            ),
            {"columns": dict.fromkeys(("stamp", "day", "time", "span"), "continuous"), "effort": "research"},
        ),
        "general": (
            pa.table({"x": normal, "day": pa.array(days), "same": np.ones(ROWS)}),
            {"columns": {"x": "general", "day": "general", "same": "general"}},
        ),
        "categories": (
            pa.table(
                {
                    "word": pa.array(words, mask=gaps),
                    "dictionary": pa.array(words).dictionary_encode(),
                    "yes": normal > 1,
                    "few": whole % 5,
                    "note": [[int(value)] for value in whole % 3],
                }
            ),
            {"columns": {"few": "categorical", "note": "pass"}},
        ),
        "awkward": (
            pa.table({"none": pa.nulls(ROWS, pa.float64()), "same": np.full(ROWS, 7.0), "two": whole % 2 * 1.5}),
            {"columns": {"none": "mixed", "same": "continuous", "two": "continuous"}, "effort": "research"},
        ),
        "payments": (_payments(), {"effort": "research"}),
    }


def _payments() -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        gpuvgm.generate(Path(folder, "rows.parquet"), ROWS, kind="mixed-table", seed=3)
        return pq.read_table(Path(folder, "rows.parquet"))


def table_results(table: pa.Table, settings: dict[str, Any]) -> Results:
    """Parameters, summaries, figures, and hashes of both layouts, drawn and most probable, and what they decode to."""
    transformer = gpuvgm.TableTransformer(**settings).fit(table)
    results: Results = {}
    for name, column in transformer.columns_.items():
        results |= _parameters(f"parameters of {name}", column, COLUMN)
        results |= _parameters(f"fit of {name}", column.fit, FIT)
    for name, summary in transformer.summaries_.items():
        results[f"summary of {name}"] = _of_summary(summary)
    for mode in ("sample", "argmax"):
        compact = transformer.transform(table, mode=mode)
        results[f"rows, compact, {mode}"] = _of_table(compact)
        results[f"rows, decoded, {mode}"] = _of_table(transformer.inverse_transform(compact))
    # columns that are passed on have no place in a matrix
    if all(column.kind not in PASSTHROUGH for column in transformer.columns_.values()):
        matrix = np.ascontiguousarray(transformer.transform(table, layout="onehot"))
        results["rows, onehot"] = hashlib.sha256(matrix.tobytes()).hexdigest()
        results["rows, decoded, onehot"] = _of_table(transformer.inverse_transform(matrix))
    half = table.slice(0, ROWS // 2)
    results |= _figures("figures, evaluate", transformer.evaluate(table).to_dict())
    results |= _figures("figures, compare", transformer.evaluate(table, compare=half).to_dict())
    results |= _figures("figures, validate", transformer.validate(half).to_dict())
    return results


def samples() -> dict[str, tuple[np.ndarray[Any, Any], dict[str, Any]]]:
    """Rows for the estimator, with its arguments: every algorithm, effort and type of covariance between them."""
    random = np.random.default_rng(15)
    several = random.normal(random.choice([-4.0, 0.0, 3.0], (ROWS, 1)), 1.0, (ROWS, 3)) @ random.normal(0, 1, (3, 3))
    one = _amounts(random).reshape(-1, 1)
    usual = {"n_components": 5, "random_state": 0, "max_iter": 40}
    features = {
        f"{kind}, {prior}": (several, usual | {"covariance_type": kind, "weight_concentration_prior_type": prior})
        for kind in ("full", "tied", "diag", "spherical")
        for prior in ("dirichlet_process", "dirichlet_distribution")
    }
    efforts = {
        f"one feature, {algorithm}, {effort}": (one, usual | {"algorithm": algorithm, "effort": effort})
        for algorithm in ("exact", "summary")
        for effort in ("research", "best")
    }
    return features | efforts | {"several features, best": (several, usual | {"effort": "best"})}


def mixture_results(rows: np.ndarray[Any, Any], settings: dict[str, Any]) -> Results:
    """Parameters of the estimator, and hashes of what it says of rows."""
    mixture = gpuvgm.BayesianGaussianMixture(**settings).fit(rows)
    results = _parameters("parameters", mixture, MIXTURE)
    for method in ("predict", "predict_proba", "score_samples"):
        found = np.ascontiguousarray(getattr(mixture, method)(rows))
        results[f"rows, {method}"] = hashlib.sha256(found.tobytes()).hexdigest()
    return results


def _parameters(prefix: str, thing: Any, names: tuple[str, ...]) -> Results:
    """The attributes that a thing has, as JSON can hold them; long lists of what is no floating-point number hashed."""
    values = {f"{prefix}: {name}": _plain(getattr(thing, name)) for name in names if hasattr(thing, name)}
    return {name: value for name, value in values.items() if value not in (None, [])}


def _plain(value: Any) -> Any:
    """Lists of numbers and texts; exact, as JSON writes the shortest decimals that are read back equal."""
    if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
        value = np.concatenate(value)
    if isinstance(value, tuple):
        value = [part if isinstance(part, (int, float)) else str(part) for part in value]
    value = value.ravel().tolist() if isinstance(value, np.ndarray) else value
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list) and len(value) > 100 and not isinstance(value[0], float):
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()
    if isinstance(value, str) and value in PASSTHROUGH:
        return PASSTHROUGH[-1]
    return value if value is None or isinstance(value, (bool, int, float, list)) else str(value)


def _of_summary(summary: Any) -> str:
    digest = hashlib.sha256(summary.grid.fingerprint.encode())
    for name in SUMMARY:
        value = getattr(summary, name)
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()


def _figures(prefix: str, document: Mapping[str, Any]) -> Results:
    """All numbers of a report by their place in it; one list for each column."""
    lists: dict[str, list[float]] = {}

    def collect_numbers(place: str, value: Any) -> None:
        parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, part in parts:
            collect_numbers(f"{place}: {key}" if isinstance(value, Mapping) and place.count(": ") < 2 else place, part)
        if isinstance(value, (int, float)):
            lists.setdefault(place, []).append(float(value))

    collect_numbers(prefix, {name: part for name, part in document.items() if name != "facts"})
    return dict(lists)


def _of_table(table: Any) -> str:
    if isinstance(table, dict):
        table = {name: pa.array(values) for name, values in table.items()}
        table = pa.table(table)
    file = pa.BufferOutputStream()
    with pa.ipc.new_stream(file, table.schema.remove_metadata()) as stream:
        stream.write_table(table.replace_schema_metadata().combine_chunks())
    return hashlib.sha256(file.getvalue()).hexdigest()


@contextmanager
def _emulated() -> Iterator[dict[str, Any]]:
    from tests.harness.device.module import forget_engines, use_strict_device

    with pytest.MonkeyPatch.context() as patch:
        strict = use_strict_device(patch)
        yield {"engine": "cuda"}
        assert not strict.hardware.faults
    forget_engines()


@contextmanager
def _local(engine: str, block_rows: int) -> Iterator[dict[str, Any]]:
    yield {"engine": engine, "block_rows": block_rows}


@contextmanager
def _workers(count: int) -> Iterator[dict[str, Any]]:
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0", processes=False)
    with cluster, Client(cluster) as client:
        yield {"executor": client}


WAYS: dict[str, Callable[[], Any]] = {
    "native, one block": lambda: _local("native", ROWS),
    "native, seven blocks": lambda: _local("native", BLOCK_ROWS),
    "reference": lambda: _local("reference", ROWS),
    "emulated CUDA": _emulated,
    "1 worker": lambda: _workers(1),
    "3 workers": lambda: _workers(3),
}


def collect() -> dict[str, Results]:
    """The results of every table on every way, and those of the estimator in this process."""
    results = {}
    for way, start in WAYS.items():
        with start() as where:
            for name, (table, settings) in tables().items():
                results[f"{name} | {way}"] = table_results(table, settings | where)
        print(way, "done", file=sys.stderr, flush=True)
    for engine in ("native", "reference"):
        for name, (rows, settings) in samples().items():
            results[f"estimator, {name} | {engine}"] = mixture_results(rows, settings | {"engine": engine})
    return results


def differences(known: dict[str, Results], found: dict[str, Results], tolerance: float) -> list[str]:
    """What differs, a line for each; numbers may differ by `tolerance` of the largest number beside them."""
    lines = []
    for case in sorted({*known, *found}):
        old, new = known.get(case, {}), found.get(case, {})
        for what in sorted({*old, *new}):
            if what not in old or what not in new:
                lines.append(f"{case}: {what} is only {'after' if what in new else 'before'}")
            elif (off := _distance(old[what], new[what])) > tolerance:
                lines.append(f"{case}: {what}" + (f", by {off:.1e}" if math.isfinite(off) else ""))
    return lines


def _distance(old: Any, new: Any) -> float:
    """The largest difference as a share of the largest number; infinite for what are no numbers, or not as many."""
    if old == new:
        return 0.0
    if not _is_numeric(old) or not _is_numeric(new):
        return math.inf
    one, other = (np.atleast_1d(np.asarray(value, np.float64)) for value in (old, new))
    if one.shape != other.shape or not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return math.inf
    held = np.isfinite(one)
    if not np.array_equal(one[~held], other[~held], equal_nan=True):
        return math.inf
    gap, largest = np.max(np.abs(one[held] - other[held]), initial=0), np.max(np.abs(one[held]), initial=0)
    return float(gap / largest) if largest else math.inf if gap else 0.0


def _is_numeric(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(part, (int, float)) for part in values)


def main() -> int:
    """Write or compare, as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.0, help="for parameters and figures")
    asked = parser.parse_args()
    found = json.loads(json.dumps(collect()))
    if asked.action == "write":
        asked.file.write_text(json.dumps(found, indent=1))
        return 0
    lines = differences(json.loads(asked.file.read_text()), found, asked.tolerance)
    print("\n".join(lines) or f"all {sum(map(len, found.values()))} results are equal")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
