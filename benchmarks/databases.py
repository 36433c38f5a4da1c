"""Whether tables that refer to each other look like those that were fitted: DatabaseSynthesizer, HMA, TabularARGN.

``python -m benchmarks.databases RESULTS [GENERATOR] [DATABASE ...]`` fits a generator to half of the rows of the table
that all others belong to, with all of their children, and compares a sample with the other half. It appends a line for
each database to a file of results. The generator "training" gives the fitted tables themselves. "hma" needs SDV 2, and
"mostly" mostlyai-engine, each in an environment of its own; the latter draws "pair" alone, whose children have one
parent.

- ``here``: by reference, the largest difference of the shares of rows that refer to a row that is there.
- ``keys``: whether all keys of parents are unique.
- ``children``: by reference, 1 less the Kolmogorov-Smirnov distance of the numbers of children, and that of the fitted
  tables.
- ``told``: by first reference, AUC of a classifier that tells parents of the sample from real ones, by their columns,
  how many children they have, and by means, spans and most frequent categories of their children's columns.
- ``laws``: of the shop, in how many rows totals are sums of lines, and prices times pieces their amounts.
- ``fit_cpu``, ``sample_cpu``: processor time in seconds.
"""

from __future__ import annotations

import sys
import time as clock
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gpuvgm
from benchmarks.inputs import real_table
from benchmarks.machine import describe_machine
from benchmarks.measure import append_documents
from benchmarks.sequences import Coding, Sequences, auc, examples_of_keys, is_number, similar_rows

Tables = dict[str, pd.DataFrame]
#: Draws as many rows as were fitted, by a seed.
Sampler = Callable[[int], Tables]

SPLITS = 3
CUSTOMERS, PRODUCTS, FLIGHTS = 3_000, 240, 60_000
CENT = 0.006


@dataclass(frozen=True)
class Reference:
    """A column that refers to a table.

    Parameters
    ----------
    child, column, parent, key : str
        The column, and the key that it refers to.
    """

    child: str
    column: str
    parent: str
    key: str


@dataclass(frozen=True)
class Database:
    """Tables, of which one is halved.

    Parameters
    ----------
    tables : dict of str to DataFrame
        The tables.
    references : tuple of Reference
        Those to tables that are drawn; the first ones of each child decide which half its rows are of.
    root : str
        The table that is halved.
    keep : tuple of str
        Tables that are kept.
    index : dict of str to str
        By table the column that orders children.
    """

    tables: Tables
    references: tuple[Reference, ...]
    root: str
    keep: tuple[str, ...] = ()
    index: Mapping[str, str] | None = None

    def halves(self, seed: int) -> tuple[Tables, Tables]:
        """Tables of two random halves of the root's rows; rows that refer to none go to the first or the second."""
        random, halves = np.random.default_rng(seed), (dict(self.tables), dict(self.tables))
        is_first = random.permutation(len(self.tables[self.root])) % 2 == 0
        for half, chosen in zip(halves, (is_first, ~is_first), strict=True):
            half[self.root] = self.tables[self.root][chosen].reset_index(drop=True)
        belonging = {self.root}
        for reference in self.references:
            if reference.parent in belonging and reference.child not in belonging:
                belonging.add(reference.child)
                rows = self.tables[reference.child]
                lots = dict(zip(pd.unique(rows[reference.column]), random.permutation(1 << 20), strict=False))
                lost = ~rows[reference.column].isin(self.tables[reference.parent][reference.key])
                for number, half in enumerate(halves):
                    mine = rows[reference.column].isin(half[reference.parent][reference.key])
                    by_lot = rows[reference.column].map(lots).fillna(0) % 2 == number
                    half[reference.child] = rows[mine | (lost & by_lot)].reset_index(drop=True)
        return halves


def shop() -> Database:
    """Customers, products, orders, and their lines: totals are sums, amounts are prices times pieces."""
    rng = np.random.default_rng(79)
    segments = rng.choice(["private", "business"], CUSTOMERS, p=[0.7, 0.3])
    since = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, CUSTOMERS), "D")
    ids = [f"C{number:06}" for number in range(CUSTOMERS)]
    customers = pd.DataFrame({"id": ids, "segment": segments, "since": since})
    categories = rng.choice([*"abcde"], PRODUCTS)
    prices = rng.lognormal(3, 0.8, PRODUCTS).round(2)
    products = pd.DataFrame({"sku": np.arange(5_000, 5_000 + PRODUCTS), "category": categories, "price": prices})
    chances = {"private": np.full(PRODUCTS, 1 / PRODUCTS), "business": 1.0 + 4 * (categories == "a")}
    chances["business"] /= chances["business"].sum()
    orders, lines = list[Any](), list[Any]()
    for customer, segment, joined in zip(ids, segments, since, strict=True):
        is_business = segment == "business"
        for _ in range(rng.poisson(6 if is_business else 1.5)):
            bought = rng.choice(PRODUCTS, 1 + rng.poisson(3 if is_business else 1), replace=False, p=chances[segment])
            pieces = 1 + rng.geometric(0.15 if is_business else 0.5, len(bought))
            nets = (prices[bought] * pieces).round(2)
            channel = rng.choice(["web", "shop"], p=[0.2, 0.8] if is_business else [0.8, 0.2])
            day = joined + pd.Timedelta(days=int(rng.integers(0, 700)))
            order = f"O-{len(orders) + 1:07}"
            orders.append((order, customer, day, channel, round(float(nets.sum()), 2)))
            of_order = zip(products.sku[bought], pieces, nets, strict=True)
            lines += [(order, number + 1, *line) for number, line in enumerate(of_order)]
    tables = {
        "customers": customers,
        "products": products,
        "orders": pd.DataFrame(orders, columns=["order", "customer", "ordered", "channel", "total"]),
        "lines": pd.DataFrame(lines, columns=["order", "line", "product", "pieces", "net"]),
    }
    references = (
        Reference("orders", "customer", "customers", "id"),
        Reference("lines", "order", "orders", "order"),
        Reference("lines", "product", "products", "sku"),
    )
    return Database(tables, references, "customers", index={"lines": "line"})


def pair() -> Database:
    """Customers and orders of the shop alone, the shape of SDV's own example."""
    of_shop = shop()
    tables = {name: of_shop.tables[name] for name in ("customers", "orders")}
    return Database(tables, of_shop.references[:1], "customers")


def flights() -> Database:
    """Flights of 2013 from New York and their planes, of which some are not in the table (nycflights13)."""
    rows = real_table("flights", "nycflights13").sample(FLIGHTS, random_state=79).sort_index()
    names = [
        "month",
        "day",
        "sched_dep_time",
        "dep_delay",
        "arr_delay",
        "carrier",
        "tailnum",
        "origin",
        "dest",
        "distance",
    ]
    planes = real_table("planes", "nycflights13").drop(columns=["rownames", "speed"], errors="ignore")
    airlines = real_table("airlines", "nycflights13")[["carrier", "name"]]
    tables = {"planes": planes, "airlines": airlines, "flights": rows[names].reset_index(drop=True)}
    references = (Reference("flights", "tailnum", "planes", "tailnum"),)
    return Database(tables, references, "planes", keep=("airlines",))


DATABASES = {"pair": pair, "shop": shop, "flights": flights}


# -- generators


def ours(tables: Tables, database: Database) -> Sampler:
    """DatabaseSynthesizer by default."""
    keys = {f"{of.child}.{of.column}": f"{of.parent}.{of.key}" for of in database.references}
    if "airlines" in database.keep:
        keys["flights.carrier"] = "airlines.carrier"
    fitted = gpuvgm.DatabaseSynthesizer(keep=database.keep, sequence_index=database.index, threads=1)
    fitted.fit(tables, keys=keys)
    return lambda seed: fitted.sample(seed=seed)


def hma(tables: Tables, database: Database) -> Sampler:
    """SDV's hierarchical copula, by default."""
    from sdv.metadata import Metadata
    from sdv.multi_table import HMASynthesizer

    drawn = {name: rows.copy() for name, rows in tables.items() if name not in database.keep}
    for of in database.references:
        for name, column in ((of.child, of.column), (of.parent, of.key)):
            drawn[name][column] = drawn[name][column].astype(str)
    metadata = Metadata.detect_from_dataframes(drawn, infer_keys=None)
    for of in database.references:
        metadata.update_column(of.column, of.child, sdtype="id")
        metadata.update_column(of.key, of.parent, sdtype="id")
        metadata.set_primary_key(of.key, of.parent)
    for of in database.references:
        metadata.add_relationship(of.parent, of.child, of.key, of.column)
    fitted = HMASynthesizer(metadata, verbose=False)
    fitted.fit(drawn)

    def sample(_: int) -> Tables:
        return {**tables, **fitted.sample(len(tables[database.root]), database.root)}

    return sample


def mostly(tables: Tables, database: Database) -> Sampler:
    """TabularARGN of mostlyai-engine, by default: parents alone, and their children with the parents as context."""
    from mostlyai.engine import TabularARGN

    (of,) = database.references
    parents, children = tables[of.parent], tables[of.child]
    of_parents = TabularARGN(tgt_primary_key=of.key, random_state=0).fit(parents)
    context = {"ctx_data": parents, "ctx_primary_key": of.key, "tgt_context_key": of.column}
    texts = [name for name in children if name != of.column and not is_number(children[name])]
    numbers = next((name for name in texts if children[name].is_unique), None)
    of_children = TabularARGN(**context, tgt_primary_key=numbers, random_state=0).fit(children)

    def sample(_: int) -> Tables:
        drawn = of_parents.sample(n_samples=len(parents))
        rows = of_children.sample(ctx_data=drawn)
        # Numbers of samples are of pandas' types for missing values.
        amounts = {name: float for name in rows if pd.api.types.is_float_dtype(rows[name])}
        return {**tables, of.parent: drawn, of.child: rows.astype(amounts)}

    return sample


GENERATORS: dict[str, Callable[[Tables, Database], Sampler] | None] = {
    "training": None,
    "ours": ours,
    "hma": hma,
    "mostly": mostly,
}
LIBRARIES = {"hma": "sdv", "mostly": "mostlyai-engine"}


# -- what is judged


def shares_here(tables: Tables, of: Reference) -> float:
    """Share of the rows that refer to a row that is there."""
    return float(tables[of.child][of.column].isin(tables[of.parent][of.key]).mean())


def children(tables: Tables, of: Reference) -> Any:
    """Numbers of children of the parent's rows."""
    return tables[of.child][of.column].value_counts().reindex(tables[of.parent][of.key]).fillna(0).to_numpy()


def joined(tables: Tables, of: Reference, keys: set[str]) -> pd.DataFrame:
    """Children beside their parents, without further keys."""
    parent = tables[of.parent].rename(columns=lambda name: f"{of.parent}.{name}")
    rows = tables[of.child].merge(parent, left_on=of.column, right_on=f"{of.parent}.{of.key}")
    return rows.drop(columns=[name for name in rows if name.rpartition(".")[2] in keys and name != of.column])


def judge(database: Database, fitted: Tables, real: Tables, samples: list[Tables], seed: int) -> dict[str, Any]:
    """All figures of a sample."""
    keys = {of.key for of in database.references} | {of.column for of in database.references}
    first = {of.child: of for of in reversed(database.references)}
    told = {}
    for of in first.values():
        frames = [joined(tables, of, keys) for tables in (real, *samples)]
        coding = Coding.of(frames, of.column)
        examples = [examples_of_keys(Sequences.of(frame, of.column, None, coding), coding) for frame in frames]
        told[f"{of.child}.{of.column}"] = auc(
            examples[0], examples[1], examples[2] if len(examples) > 2 else None, seed
        )
    sample = samples[0]
    here = {
        f"{of.child}.{of.column}": abs(shares_here(sample, of) - shares_here(fitted, of)) for of in database.references
    }
    alike = {
        f"{of.child}.{of.column}": similar_rows(children(sample, of), children(real, of))
        - similar_rows(children(fitted, of), children(real, of))
        for of in database.references
    }
    unique = all(sample[of.parent][of.key].is_unique for of in database.references)
    laws = laws_of_shop(sample) if "products" in sample else {}
    return {"told": told, "here": max(here.values()), "children": alike, "keys": unique, "laws": laws}


def laws_of_shop(tables: Tables) -> dict[str, float]:
    """In how many rows laws of the shop hold."""
    sums = tables["lines"].groupby("order").net.sum().reindex(tables["orders"].order)
    lines = tables["lines"].merge(tables["products"], left_on="product", right_on="sku")
    return {
        "total = sum(net)": float(np.mean(np.abs(sums.to_numpy() - tables["orders"].total.to_numpy()) < CENT)),
        "price * pieces = net": float(np.mean(np.abs(lines.price * lines.pieces - lines.net) < CENT)),
    }


# -- the run


def split(database: Database, name: str, seed: int) -> dict[str, Any]:
    """Figures of one half, and the processor time of the fit and of a sample."""
    fitted, real = database.halves(seed)
    generator = GENERATORS[name]
    if generator is None:
        return judge(database, fitted, real, [fitted], seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = [clock.process_time()]
        sampler = generator(fitted, database)
        times.append(clock.process_time())
        samples = [sampler(1)]
        times.append(clock.process_time())
        samples.append(sampler(2))
    fit, sample = (later - earlier for earlier, later in pairwise(times))
    return judge(database, fitted, real, samples, seed) | {"fit_cpu": fit, "sample_cpu": sample}


def results(name: str, databases: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Judge a generator on some databases, and print each."""
    for of in databases:
        database = DATABASES[of]()
        splits = [split(database, name, seed) for seed in range(SPLITS)]
        rows = {table: len(frame) for table, frame in database.tables.items()}
        for number, figures in enumerate(splits):
            print(of, name, number, figures, flush=True)
        library = f"{LIBRARIES[name]} {version(LIBRARIES[name])}" if name in LIBRARIES else "gpuvgm"
        yield {"generator": name, "library": library, "database": of, "rows": rows, "splits": splits}


def main(path: Path, generator: str = "ours", *databases: str) -> None:
    """Judge a generator, and append a line for each database to a file of results."""
    machine = describe_machine()
    for result in results(generator, databases or (*DATABASES,)):
        append_documents(path, [{"benchmark": "databases", **result, "machine": machine}])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
