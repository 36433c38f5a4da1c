"""What tables that refer to each other cost at size, beside the same tables fitted and sampled alone.

``python -m benchmarks.databases_large RESULTS [PARENTS]`` writes orders, a million by default, and their lines, about
five of each, to two Parquet files: the lines of 200,000 orders at a time are in any order. Each stage is a process of
its own on one core, its start and imports included. Figures go to a file of results as JSON lines: processor seconds,
seconds, peak memory, the largest size of temporary files, and ratios of processor seconds to both tables alone.

- ``fit``: orders alone, lines alone without a key and with the order as `sequence_key`, and both as a database.
- ``sample``: as many rows to Parquet, from each of these models.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.billion import folder_of_files
from benchmarks.machine import bind_to_one_core, describe_machine
from benchmarks.measure import print_and_append
from benchmarks.sequences_large import LINES, Cost, cost, lines_of_orders, usual_counts

PARENTS = 1_000_000
OF_ORDERS = ("order", "channel", "country", "total")
KEYS = {"lines.order": "orders.order"}
TABLES = {"orders": "orders.parquet", "lines": "lines.parquet"}
ALONE = {"orders": ("orders.parquet", ""), "rows": ("lines.parquet", ""), "lines": ("lines.parquet", "order")}


def write(folder: str, parents: str) -> None:
    """Write orders, and their lines."""
    random, shuffled, order = np.random.default_rng(0), np.random.default_rng(1), 0
    writers = list[pq.ParquetWriter]()
    for counts in usual_counts(LINES * int(parents)):
        rows = lines_of_orders(random, order, counts)
        starts = np.cumsum(counts) - counts
        lines = rows.drop_columns([*OF_ORDERS[1:]]).take(shuffled.permutation(rows.num_rows))
        tables = dict(zip(TABLES.values(), (rows.select(OF_ORDERS).take(starts), lines), strict=True))
        writers = writers or [pq.ParquetWriter(Path(folder) / name, of.schema) for name, of in tables.items()]
        for writer, table in zip(writers, tables.values(), strict=True):
            writer.write_table(table)
        order += len(counts)
    for writer in writers:
        writer.close()


def fit(table: str, model: str, key: str) -> None:
    """Fit a table alone, with the key of sequences or without one."""
    import gpuvgm

    keys: dict[str, Any] = {"sequence_key": key, "sequence_index": "line"} if key else {}
    gpuvgm.TableSynthesizer(threads=1, random_state=0, progress=None, **keys).fit(table).save(model)


def fit_both(model: str) -> None:
    """Fit both tables."""
    import gpuvgm

    synthesizer = gpuvgm.DatabaseSynthesizer(threads=1, sequence_index={"lines": "line"})
    synthesizer.fit(TABLES, keys=KEYS).save(model)


def sample(model: str, rows: str, out: str) -> None:
    """Write a sample of a table alone."""
    import gpuvgm

    gpuvgm.load(model).set_params(threads=1, progress=None).sample(int(rows), out=out)


def sample_both(model: str, out: str) -> None:
    """Write a sample of both tables."""
    import gpuvgm

    gpuvgm.load(model).set_params(threads=1).sample(out=out)


STAGES: dict[str, Any] = {
    "write": write,
    "fit": fit,
    "fit_both": fit_both,
    "sample": sample,
    "sample_both": sample_both,
}


def measured(parents: int) -> Iterator[dict[str, Any]]:
    """Figures of each stage."""
    with folder_of_files() as folder:
        of_stage(folder, "write", ".", parents)
        rows = {name: pq.read_metadata(folder / path).num_rows for name, path in TABLES.items()}
        rows["rows"] = rows["lines"]
        fits, samples = dict[str, Cost](), dict[str, Cost]()
        for name, (path, key) in ALONE.items():
            fits[name] = of_stage(folder, "fit", path, f"{name}.gpuvgm", key)
            yield figures(f"fit, {name} alone", rows, fits[name])
        yield figures("fit", rows, of_stage(folder, "fit_both", "shop.gpuvgm"), fits)
        for name in ALONE:
            samples[name] = of_stage(folder, "sample", f"{name}.gpuvgm", rows[name], f"{name}-sample.parquet")
            yield figures(f"sample, {name} alone", rows, samples[name])
        yield figures("sample", rows, of_stage(folder, "sample_both", "shop.gpuvgm", "sample"), samples)


def of_stage(folder: Path, stage: str, *arguments: object) -> Cost:
    """What a stage needs."""
    return cost(folder, stage, *arguments, of="benchmarks.databases_large")


def figures(case: str, rows: dict[str, int], needed: Cost, alone: dict[str, Cost] | None = None) -> dict[str, Any]:
    """What a stage needs, and how often what the tables alone do: lines with a sequence key, and without one."""
    ratios = {}
    for name, of in (("to_alone", "lines"), ("to_plain", "rows")) if alone is not None else ():
        assert alone is not None
        ratios[name] = needed.processor_seconds / (alone["orders"].processor_seconds + alone[of].processor_seconds)
    return {"case": case, "parents": rows["orders"], "children": rows["lines"], **asdict(needed), **ratios}


def main(results: str, parents: str = str(PARENTS)) -> None:
    """Measure, print and append."""
    print_and_append(Path(results), "databases_large", describe_machine(), measured(int(parents)))


if __name__ == "__main__":
    if sys.argv[1] == "--stage":
        warnings.simplefilter("ignore")
        bind_to_one_core()
        STAGES[sys.argv[2]](*sys.argv[3:])
    else:
        main(*sys.argv[1:])
