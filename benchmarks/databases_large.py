"""What tables that refer to each other cost at size, beside the same tables fitted and sampled alone.

``python -m benchmarks.databases_large RESULTS [PARENTS [CASE ...]]`` writes orders, a million by default, and their
lines, about five of each, to two Parquet files: the lines of 200,000 orders at a time are in any order. Each stage is a
process of its own on one core, its start and imports included. Figures go to a file of results as JSON lines: processor
seconds, seconds, peak memory, the largest size of temporary files, and ratios of processor seconds.

- ``alone``: orders alone, lines alone without a key and with the order as `sequence_key`.
- ``both``: both as a database, beside the tables alone if these are among the cases.
- ``articles``: lines that refer to one of 20,000 articles as well, which have their category and price, and all three
  tables as a database, beside both.

Each is fitted, and samples of as many rows are written to Parquet.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.billion import folder_of_files
from benchmarks.machine import bind_to_one_core, describe_machine
from benchmarks.measure import print_and_append
from benchmarks.sequences_large import CATEGORIES, LINES, Cost, cost, lines_of_orders, usual_counts

PARENTS = 1_000_000
OF_ORDERS = ("order", "channel", "country", "total")
KEYS = {"lines.order": "orders.order"}
TABLES = {"orders": "orders.parquet", "lines": "lines.parquet"}
ARTICLES = 20_000
STAR_KEYS = {**KEYS, "lines.article": "articles.id"}
STAR = {"orders": "star-orders.parquet", "lines": "star-lines.parquet", "articles": "articles.parquet"}
DATABASES = {"both": (TABLES, KEYS), "articles": (STAR, STAR_KEYS)}
CASES = ("alone", "both", "articles")
ALONE = {"orders": ("orders.parquet", ""), "rows": ("lines.parquet", ""), "lines": ("lines.parquet", "order")}


def write(folder: str, parents: str, case: str) -> None:
    """Write orders, and their lines."""
    random, shuffled, order = np.random.default_rng(0), np.random.default_rng(1), 0
    writers, articles = list[pq.ParquetWriter](), articles_sold() if case == "articles" else None
    if articles is not None:
        pq.write_table(articles, Path(folder) / STAR["articles"])
    for counts in usual_counts(LINES * int(parents)):
        rows = lines_of_orders(random, order, counts)
        starts = np.cumsum(counts) - counts
        rows = rows if articles is None else with_articles(random, rows, articles, starts)
        lines = rows.drop_columns([*OF_ORDERS[1:]]).take(shuffled.permutation(rows.num_rows))
        tables = dict(zip(DATABASES[case][0].values(), (rows.select(OF_ORDERS).take(starts), lines), strict=False))
        writers = writers or [pq.ParquetWriter(Path(folder) / name, of.schema) for name, of in tables.items()]
        for writer, table in zip(writers, tables.values(), strict=True):
            writer.write_table(table)
        order += len(counts)
    for writer in writers:
        writer.close()


def articles_sold() -> pa.Table:
    """Articles, whose prices go with their category."""
    random = np.random.default_rng(2)
    category = random.integers(0, len(CATEGORIES), ARTICLES)
    prices = np.round(random.lognormal(2.5 + 0.1 * category, 0.6), 2) + 0.01
    ids = pa.array(7 * np.arange(ARTICLES) + 100_000)
    return pa.table({"id": ids, "category": pa.array(CATEGORIES).take(pa.array(category)), "price": prices.round(2)})


def with_articles(random: np.random.Generator, rows: pa.Table, articles: pa.Table, starts: np.ndarray) -> pa.Table:
    """Lines of which each has an article of its category, some of them far more often than others."""
    categories, prices = (np.asarray(articles.column(name)) for name in ("category", "price"))
    order = np.argsort(categories, kind="stable")
    wanted = np.asarray(rows.column("category"))
    first, stop = (np.searchsorted(categories[order], wanted, side=side) for side in ("left", "right"))
    chosen = order[first + ((stop - first) * random.random(len(wanted)) ** 3).astype(np.int64)]
    net = np.round(100 * prices[chosen] * np.asarray(rows.column("pieces"))).astype(np.int64)
    totals = np.repeat(np.add.reduceat(net, starts), np.diff(starts, append=len(net)))
    made = {"article": np.asarray(articles.column("id"))[chosen], "net": net / 100, "total": totals / 100}
    left = rows.drop_columns(["category", "price"])
    return pa.table({name: left.column(name) for name in left.schema.names} | made)


def fit(table: str, model: str, key: str) -> None:
    """Fit a table alone, with the key of sequences or without one."""
    import gpuvgm

    keys: dict[str, Any] = {"sequence_key": key, "sequence_index": "line"} if key else {}
    gpuvgm.TableSynthesizer(threads=1, random_state=0, progress=None, **keys).fit(table).save(model)


def fit_database(case: str, model: str) -> None:
    """Fit tables that refer to each other."""
    import gpuvgm

    tables, keys = DATABASES[case]
    gpuvgm.DatabaseSynthesizer(threads=1, sequence_index={"lines": "line"}).fit(tables, keys=keys).save(model)


def sample(model: str, rows: str, out: str) -> None:
    """Write a sample of a table alone."""
    import gpuvgm

    gpuvgm.load(model).set_params(threads=1, progress=None).sample(int(rows), out=out)


def sample_database(model: str, out: str) -> None:
    """Write a sample of tables that refer to each other."""
    import gpuvgm

    gpuvgm.load(model).set_params(threads=1).sample(out=out)


STAGES: dict[str, Any] = {
    "write": write,
    "fit": fit,
    "fit_database": fit_database,
    "sample": sample,
    "sample_database": sample_database,
}


def measured(parents: int, cases: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Figures of each stage."""
    with folder_of_files() as folder:
        of_stage(folder, "write", ".", parents, "both")
        rows = {name: pq.read_metadata(folder / path).num_rows for name, path in TABLES.items()}
        rows["rows"] = rows["lines"]
        alone = dict[str, dict[str, Cost]](fit={}, sample={})
        for name, (path, key) in ALONE.items() if "alone" in cases else ():
            alone["fit"][name] = of_stage(folder, "fit", path, f"{name}.gpuvgm", key)
            yield figures(f"fit, {name} alone", rows, alone["fit"][name])
            out = f"{name}-sample.parquet"
            alone["sample"][name] = of_stage(folder, "sample", f"{name}.gpuvgm", rows[name], out)
            yield figures(f"sample, {name} alone", rows, alone["sample"][name])
            (folder / out).unlink()
        of_both = dict[str, Cost]()
        for case in (case for case in DATABASES if case in cases):
            if case == "articles":
                of_stage(folder, "write", ".", parents, case)
            for stage in ("fit", "sample"):
                given = (case, f"{case}.gpuvgm") if stage == "fit" else (f"{case}.gpuvgm", f"{case}-sample")
                needed = of_stage(folder, f"{stage}_database", *given)
                beside = {"to_both": of_both[stage]} if case == "articles" and stage in of_both else {}
                if case == "both":
                    of_both[stage] = needed
                yield figures(stage if case == "both" else f"{stage}, {case}", rows, needed, alone[stage], beside)


def of_stage(folder: Path, stage: str, *arguments: object) -> Cost:
    """What a stage needs."""
    return cost(folder, stage, *arguments, of="benchmarks.databases_large")


def figures(
    case: str,
    rows: Mapping[str, int],
    needed: Cost,
    alone: Mapping[str, Cost] | None = None,
    others: Mapping[str, Cost] | None = None,
) -> dict[str, Any]:
    """What a stage needs, and how often what the tables alone do, with a sequence key and without one, or others."""
    beside = {name: of.processor_seconds for name, of in (others or {}).items()}
    for name, lines in (("to_alone", "lines"), ("to_plain", "rows")) if alone else ():
        beside[name] = sum((alone or {})[table].processor_seconds for table in ("orders", lines))
    ratios = {name: needed.processor_seconds / seconds for name, seconds in beside.items()}
    return {"case": case, "parents": rows["orders"], "children": rows["lines"], **asdict(needed), **ratios}


def main(results: str, parents: str = str(PARENTS), *cases: str) -> None:
    """Measure, print and append."""
    print_and_append(Path(results), "databases_large", describe_machine(), measured(int(parents), cases or CASES))


if __name__ == "__main__":
    if sys.argv[1] == "--stage":
        warnings.simplefilter("ignore")
        bind_to_one_core()
        STAGES[sys.argv[2]](*sys.argv[3:])
    else:
        main(*sys.argv[1:])
