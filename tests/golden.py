"""Hashes of what gpuvgm fits, encodes and decodes, to compare the code before and after a change of its structure.

``python -m tests.golden write FILE`` notes them; ``compare FILE`` instead exits with 1 where one differs.
Both have to run on one machine with the same libraries: k-means and NumPy's logarithm may round otherwise elsewhere.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
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
UNSTABLE = ("created", "version", "source")  # of a model file; the source's names change with the folder

Table = tuple[pa.Table, dict[str, Any]]  # rows, and arguments of TableTransformer


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
        "float32 arithmetic": _one("x", amounts, precision="float32"),
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


def hashes(table: pa.Table, settings: dict[str, Any]) -> dict[str, str]:
    """Of the model, of both layouts, drawn and most probable, and of what they decode to."""
    transformer = gpuvgm.TableTransformer(**settings).fit(table)
    found = {"model": _of_model(transformer)}
    for mode in ("sample", "argmax"):
        compact = transformer.transform(table, mode=mode)
        found[f"compact, {mode}"] = _of_table(compact)
        found[f"decoded, {mode}"] = _of_table(transformer.inverse_transform(compact))
    # columns that are passed on have no place in a matrix
    if all(column.kind != "pass" for column in transformer.columns_.values()):
        matrix = np.ascontiguousarray(transformer.transform(table, layout="onehot"))
        found["onehot"] = hashlib.sha256(matrix.tobytes()).hexdigest()
        found["decoded, onehot"] = _of_table(transformer.inverse_transform(matrix))
    return found


def _of_model(transformer: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        transformer.save(Path(folder, "model"), summaries=True)
        document = json.loads(Path(folder, "model", "model.json").read_bytes())
        digest = hashlib.sha256(json.dumps(_stable(document), sort_keys=True).encode())
        for file in sorted(Path(folder, "model", "summaries").glob("*")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _stable(document: Any) -> Any:
    """The document without times, versions, and how the rows were read."""
    if isinstance(document, dict):
        return {name: _stable(value) for name, value in document.items() if name not in UNSTABLE}
    return [_stable(value) for value in document] if isinstance(document, list) else document


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
    from tests.device.module import forget_engines, use_strict_device

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


def collect() -> dict[str, dict[str, str]]:
    """The hashes of every table on every way."""
    found = {}
    for way, opened in WAYS.items():
        with opened() as where:
            for name, (table, settings) in tables().items():
                found[f"{name} | {way}"] = hashes(table, settings | where)
        print(way, "done", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Write or compare, as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    found = collect()
    if asked.action == "write":
        asked.file.write_text(json.dumps(found, indent=1))
        return 0
    known = json.loads(asked.file.read_text())
    differing = [
        f"{case}: {what}"
        for case in sorted({*known, *found})
        for what in sorted({*known.get(case, {}), *found.get(case, {})})
        if known.get(case, {}).get(what) != found.get(case, {}).get(what)
    ]
    print("\n".join(differing) or f"all {sum(map(len, found.values()))} hashes are equal")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
