"""Private synthesizers: an audit, the accounting beside another library's, figures and times.

``python -m benchmarks.private canary|accounting|tables|peers|speed RESULTS [...]`` prints results and appends them to
a file.

- ``canary RESULTS [FITS]``: 60 rows, and the same with the rows of one person more, thousands of fits each. Both are
  told apart by the likelihood ratio of all that is released, the best test that there is. How often it is right may not
  lie above what the promise allows, beyond chance; and a twin whose noise is half as wide has to be found.
- ``accounting RESULTS PYTHON``: the epsilon of the same noise by Google's dp-accounting, which PYTHON can import.
- ``tables RESULTS [EPSILON]``: pairs and utility on public tables, with domains declared beforehand.
- ``peers RESULTS PYTHON [TABLE]``: processor time and pairs beside the MST of dpmm, which PYTHON can import, on the
  same rows and declared cells; of all tables, or of one.
- ``speed RESULTS [ROWS]``: processor time and memory of fits.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
from scipy.stats import norm, rankdata

import gpuvgm
from benchmarks.machine import describe_machine
from benchmarks.measure import print_and_append
from benchmarks.private_tables import DOMAINS, TARGETS, declared_rows
from benchmarks.samples_side import utility
from gpuvgm.datasets.mixed_table import CITIES
from gpuvgm.synthesis.private import mechanism
from gpuvgm.synthesis.private.account import Promise, Release
from gpuvgm.synthesis.private.cells import declared_cells
from gpuvgm.synthesis.private.declared import CELLS, FAN, Counted, DeclaredNumbers, Domain
from gpuvgm.synthesis.private.model import ColumnCounts, releases_of

ROWS, FITS, SURE = 60, 4000, 4  # standard errors that chance explains
CANARY_DOMAIN = {
    "a": {"kind": "number", "low": 0, "high": 9, "step": 1},
    "b": {"kind": "category", "categories": ["x", "y", "z"], "other": "other"},
    "c": {"kind": "category", "categories": ["p", "q", "r", "s"]},
}
CANARY = {"a": 9, "b": "other", "c": "s"}
Result = dict[str, Any]


# -- the audit


def canary(fits: int = FITS) -> Iterator[Result]:
    """How well tables with and without a person are told apart, with the promised noise and with half of it."""
    for epsilon, rows in ((1, 1), (3, 1), (3, 3)):
        for broken in (False, True):
            yield audit(epsilon, 1e-6, rows, fits, broken=broken)


def audit(epsilon: float, delta: float, rows: int, fits: int, *, broken: bool) -> Result:
    """The audit of one promise."""
    random, domain = np.random.default_rng(2), Domain.of(CANARY_DOMAIN)
    without = pd.DataFrame(
        {"a": random.integers(0, 3, ROWS), "b": random.choice(["x", "y"], ROWS), "c": random.choice(["p", "q"], ROWS)}
    )
    with_one = pd.concat([without, pd.DataFrame([CANARY] * rows)], ignore_index=True)
    releases = releases_of(domain, Promise.of(epsilon, delta, rows))
    noise = mechanism.discrete_gaussian
    if broken:
        mechanism.discrete_gaussian = lambda scale, factor, size: noise(scale, max(1, factor // 4), size)
    try:
        scores = [
            np.array([log_ratio(domain, releases, table, without, rows) for _ in range(fits)])
            for table in (without, with_one)
        ]
    finally:
        mechanism.discrete_gaussian = noise
    spent = float(sum(release.rho for release in releases))
    ideal, measured = (
        float(norm.cdf(sqrt(spent))),
        area(*scores),
    )  # mu is the root of 2 rho, the area that of mu / sqrt 2
    error = sqrt(1 / (6 * fits))
    return {
        "case": "canary",
        "epsilon": epsilon,
        "delta": delta,
        "rows_per_person": rows,
        "noise": "a half" if broken else "as promised",
        "fits": 2 * fits,
        "rho": spent,
        "area": round(measured, 4),
        "ideal": round(ideal, 4),
        "chance": round(SURE * error, 4),
        "found": measured > ideal + SURE * error,
    }


def log_ratio(
    domain: Domain, releases: tuple[Release, ...], table: pd.DataFrame, without: pd.DataFrame, rows: int
) -> float:
    """Logarithm of how much likelier all that a fit releases is with the person than without."""
    columns = domain.counted
    bins: dict[str, Any] = {}

    def bins_of(counts: Any) -> Mapping[str, Any]:
        bins.update(ColumnCounts.of(domain, counts, releases).bins)
        return bins

    released = mechanism.release(table, columns, releases, bins_of, (None, 1))
    cells = {name: declared_cells(column, pyarrow.array(without[name])) for name, column in columns.items()}
    own = {name: int(declared_cells(column, pyarrow.array([CANARY[name]]))[0]) for name, column in columns.items()}
    ratio, counts = 0.0, iter(released.columns)
    for name, column in columns.items():
        for level in range(len(column.level_sizes)):
            place = own[name] // FAN**level
            expected = np.sum(cells[name] // FAN**level == place)
            ratio += gain(next(counts)[place] - expected, rows, releases[0])
    for (first, second), noisy in zip(combinations(columns, 2), released.pairs, strict=True):
        place = bins[first][own[first]], bins[second][own[second]]
        same = [bins[name][cells[name]] == at for name, at in zip((first, second), place, strict=True)]
        ratio += gain(noisy[place] - np.sum(same[0] & same[1]), rows, releases[1])
    return ratio


def gain(excess: float, rows: int, release: Release) -> float:
    """Logarithm of the ratio of the two discrete Gaussian probabilities of a count."""
    return (2 * rows * excess - rows**2) / (2 * release.variance)


def area(lower: np.ndarray, higher: np.ndarray) -> float:
    """Area under the curve: the probability that the second kind of score is higher."""
    ranks = rankdata(np.concatenate((lower, higher)))[len(lower) :]
    return float((ranks.mean() - (len(higher) + 1) / 2) / len(lower))


# -- the accounting

ACCOUNTING = """
import json, math, sys
from importlib.metadata import version
from dp_accounting.pld import privacy_loss_distribution as pld
epsilons = []
for releases, delta in json.loads(sys.argv[1]):
    total = None
    for tables, variance in releases:
        sigma = math.sqrt(variance)
        one = pld.from_discrete_gaussian_mechanism(sigma, sensitivity=1, value_discretization_interval=1e-4)
        loss = one.self_compose(tables)
        total = loss if total is None else total.compose(loss)
    epsilons.append(total.get_epsilon_for_delta(delta))
print(json.dumps({"version": version("dp-accounting"), "epsilons": epsilons}))
"""
WIDE = {f"x{at}": {"kind": "number", "low": 0, "high": 1000, "step": 1} for at in range(10)}


def accounting(python: str) -> Iterator[Result]:
    """Epsilons that another library finds for the noise of ours."""
    cases = [(epsilon, delta) for epsilon in (0.3, 1, 3, 10) for delta in (1e-6, 1e-9)]
    releases = [releases_of(Domain.of(WIDE), Promise.of(*case, 1)) for case in cases]
    tables = [[(one.tables, one.variance) for one in own] for own in releases]
    text = json.dumps([(own, delta) for own, (_, delta) in zip(tables, cases, strict=True)])
    output = subprocess.run([python, "-c", ACCOUNTING, text], capture_output=True, text=True, check=True).stdout
    found = json.loads(output)
    for (epsilon, delta), own, other in zip(cases, tables, found["epsilons"], strict=True):
        yield {
            "case": "accounting",
            "epsilon": epsilon,
            "delta": delta,
            "tables and variances": own,
            "dp-accounting": found["version"],
            "its epsilon": round(other, 5),
        }


# -- figures


def figures(epsilon: float = 1.0) -> Iterator[Result]:
    """Agreement of pairs with rows that were held out, and utility of a classifier that is trained on samples."""
    cases = [(name, 20_000, seed) for name in DOMAINS for seed in range(5 if name == "flights" else 2)]
    cases += [("flights", 100_000, seed) for seed in range(5)]
    cases += [(name, 1_000_000, 0) for name in ("payments", "flights")]
    for name, rows, seed in cases:
        fitted, held_out = declared_rows(name, rows, seed)
        for noise in (True, False) if len(fitted) > 100_000 else (True,):
            start = time.process_time()
            with contextlib.nullcontext() if noise else noiseless():
                made = gpuvgm.PrivateSynthesizer(DOMAINS[name], epsilon=epsilon, delta=1e-6).fit(fitted)
            seconds = time.process_time() - start
            drawn = made.sample(min(len(fitted), 100_000), seed=seed).to_pandas()
            yield {
                "case": "tables",
                "table": name,
                "rows": len(fitted),
                "seed": seed,
                "epsilon": epsilon if noise else None,
                "delta": 1e-6,
                "pairs": round(agreement(name, held_out, drawn), 4),
                "utility": round(utility_of(name, held_out, drawn[:20_000]), 3),
                "cpu seconds of the fit": round(seconds, 3),
            }


@contextlib.contextmanager
def noiseless() -> Iterator[None]:
    """Counts without noise, to compare with."""
    noisy = mechanism._noisy
    mechanism._noisy = lambda tables, _: tuple(tables)
    try:
        yield
    finally:
        mechanism._noisy = noisy


def agreement(name: str, real: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """1 less the total variation distance of pairs, mean of all: tenths of numbers, the 20 most frequent categories."""
    codes = {column: coded(real[column], drawn[column], DOMAINS[name][column]["kind"]) for column in real}
    distances = []
    for first, second in combinations(codes, 2):
        shares = [
            np.bincount(codes[first][at] * 21 + codes[second][at], minlength=441) / len(rows)
            for at, rows in enumerate((real, drawn))
        ]
        distances.append(np.abs(shares[0] - shares[1]).sum() / 2)
    return 1 - float(np.mean(distances))


def coded(real: pd.Series, drawn: pd.Series, kind: str) -> list[np.ndarray]:
    """Codes of a column in both tables."""
    if kind == "number":
        edges = np.unique(np.nanquantile(real, np.arange(1, 10) / 10, method="lower"))
        return [
            np.where(np.isnan(own), 11, np.searchsorted(edges, own))
            for own in (real.to_numpy(float), drawn.to_numpy(float))
        ]
    rank = {value: place for place, value in enumerate(real.value_counts().index[:20])}
    return [np.array([rank.get(value, 20) for value in own]) for own in (real, drawn)]


def utility_of(name: str, held_out: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """How well a model that is trained on drawn rows predicts real ones, as in the study of samples."""
    categories = {column for column, own in DOMAINS[name].items() if own["kind"] == "category"}
    return float(utility(held_out, drawn.dropna(subset=[TARGETS[name]]), categories, TARGETS[name]))


# -- beside another library

PEER_BINS = 64  # of even width, of a column of numbers
PEER_WAYS = ("bins", "bins and 500 steps", "PrivTree")
MST = """
import os
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
import json, sys, time, warnings
from importlib.metadata import version
import numpy as np, pandas as pd
from dpmm.models.mst import MSTGM
from dpmm.pipelines import MSTPipeline
warnings.simplefilter("ignore")
path, way, sizes, numbers = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4].split(",")
with np.load(path) as file:
    table = pd.DataFrame({name: file[name] for name in file.files})
if way.startswith("bins"):
    model = MSTGM(epsilon=1, delta=1e-6, n_jobs=1, n_iters=500 if "steps" in way else 5000)
    model.set_domain(sizes)
    model.set_random_state(np.random.RandomState())
    fit = lambda: model.fit(table)
else:
    model = MSTPipeline(epsilon=0.9, proc_epsilon=0.1, delta=1e-6, n_jobs=1)
    table = table.astype({name: "category" for name in table if name not in numbers})
    ends = {name: {"lower": 0, "upper": sizes[name]} for name in numbers}
    categories = {name: {"categories": [*range(sizes[name])]} for name in table if name not in numbers}
    fit = lambda: model.fit(table, ends | categories)
times = [time.process_time()]
fit()
times.append(time.process_time())
drawn = model.generate(n_records=len(table))
times.append(time.process_time())
np.savez(path, **{name: drawn[name].to_numpy().astype(int) for name in drawn})
print(json.dumps({"version": version("dpmm"), "seconds": [times[1] - times[0], times[2] - times[1]]}))
"""


def peers(python: str, *names: str) -> Iterator[Result]:
    """Fits and samples of the same rows by MST and by ours, in turns, one thread each.

    MST takes the numbers of declared cells: in even bins, with the 5,000 steps of its defaults and with a tenth of
    them; or all of them with private bins of its own (PrivTree), on which its pipeline spends a tenth of epsilon. The
    clock does not run while values are drawn from its bins.
    """
    for name in names or DOMAINS:
        fitted, held_out = declared_rows(name, 20_000, 0)
        _ours(name, fitted[:100])  # loads what it needs
        for way in PEER_WAYS:
            before = _ours(name, fitted)
            drawn, peer = _mst(python, name, fitted, way)
            ours = [before, _ours(name, fitted)]
            result: Result = {
                "case": "peers",
                "table": name,
                "rows": len(fitted),
                "epsilon": 1,
                "delta": 1e-6,
                "cpu seconds of fit and sample": [[round(seconds, 3) for seconds in one[1]] for one in ours],
                "pairs": [round(agreement(name, held_out, one[0]), 4) for one in ours],
                "peer": f"MST with {way}",
                **peer,
            }
            if drawn is not None:
                seconds = [sum(own) for _, own in ours]
                result["its pairs"] = round(agreement(name, held_out, drawn), 4)
                result["ratio"] = round(sum(peer["its cpu seconds of fit and sample"]) / float(np.mean(seconds)), 1)
            yield result


def _ours(name: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[float]]:
    """Rows that are drawn, and the processor time of the fit and of the sample."""
    times = [time.process_time()]
    made = gpuvgm.PrivateSynthesizer(DOMAINS[name], epsilon=1, delta=1e-6, threads=1).fit(rows)
    times.append(time.process_time())
    drawn = made.sample(len(rows))
    times.append(time.process_time())
    return drawn.to_pandas(), np.diff(times).tolist()


def _mst(python: str, name: str, rows: pd.DataFrame, way: str) -> tuple[pd.DataFrame | None, Result]:
    """Rows that MST draws, and what its process tells; no rows where it fails."""
    columns = Domain.of(DOMAINS[name]).counted
    bins = {own: _even_bins(column, CELLS if way == "PrivTree" else PEER_BINS) for own, column in columns.items()}
    codes = {own: bins[own][declared_cells(column, _arrow(rows[own]))] for own, column in columns.items()}
    sizes = json.dumps({own: int(places[-1]) + 1 for own, places in bins.items()})
    numeric = ",".join(own for own, column in columns.items() if isinstance(column, DeclaredNumbers))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.npz"
        np.savez(path, **codes)  # type: ignore[arg-type]  # names of columns are no options of savez
        output = subprocess.run([python, "-c", MST, str(path), way, sizes, numeric], capture_output=True, text=True)
        if output.returncode:
            return None, {"its error": output.stderr.strip().splitlines()[-1]}
        told = json.loads(output.stdout.splitlines()[-1])
        with np.load(path) as drawn:
            values = {own: _values(column, bins[own], drawn[own]) for own, column in columns.items()}
    times = [round(seconds, 3) for seconds in told["seconds"]]
    return pd.DataFrame(values), {"dpmm": told["version"], "its cpu seconds of fit and sample": times}


def _arrow(values: pd.Series) -> Any:
    return pyarrow.array(values, from_pandas=True)


def _even_bins(column: Counted, most: int) -> np.ndarray:
    """Bin of each cell of a column: categories, special values and missing ones have their own."""
    if not isinstance(column, DeclaredNumbers) or column.ordinary <= most:
        return np.arange(column.cells)
    return np.append(np.arange(column.ordinary) * most // column.ordinary, most + np.arange(len(column.modal_values)))


def _values(column: Counted, bins: np.ndarray, codes: np.ndarray) -> Any:
    """Values of a column for bins: each from any of its cells, and of any place there."""
    random, first = np.random.default_rng(0), np.searchsorted(bins, np.arange(bins[-1] + 2))
    codes = np.clip(codes, 0, bins[-1])
    cells = random.integers(first[codes], first[codes + 1])
    if not isinstance(column, DeclaredNumbers):
        return np.array(column.categories, object)[cells]
    numbers = random.uniform(*(ends[cells] for ends in column.ends))
    step = column.codec.spacing
    numbers = np.rint(numbers / step) * step if step else numbers
    special = [*map(column.codec.number, column.modal_numbers), *[np.nan] * column.has_missing]
    single = np.append(np.full(column.ordinary, np.nan), special)
    return np.where(cells < column.ordinary, numbers, single[cells])


# -- times


def speed(rows: int = 10_000_000) -> Iterator[Result]:
    """Processor time of a fit of 20,000 rows, and time and memory of a fit of a large Parquet file."""
    for name in ("diamonds", "payments"):
        fitted, _ = declared_rows(name, 20_000, 0)
        gpuvgm.PrivateSynthesizer(DOMAINS[name], epsilon=1, delta=1e-6).fit(fitted[:100])  # loads what it needs
        times = []
        for _ in range(5):
            start = time.process_time()
            gpuvgm.PrivateSynthesizer(DOMAINS[name], epsilon=1, delta=1e-6).fit(fitted)
            times.append(time.process_time() - start)
        yield {
            "case": "speed",
            "table": name,
            "rows": len(fitted),
            "columns": len(DOMAINS[name]),
            "cpu seconds": min(times),
        }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        gpuvgm.generate(path, rows, kind="mixed-table")
        command = [sys.executable, "-c", FIT, str(path), json.dumps(MIXED)]  # a process of its own, for its memory
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield {
            "case": "speed",
            "table": "mixed-table, Parquet",
            "rows": rows,
            "columns": len(MIXED),
            **json.loads(output),
        }


FIT = """
import json, resource, sys, time
import gpuvgm
made = gpuvgm.PrivateSynthesizer(json.loads(sys.argv[2]), epsilon=1, delta=1e-9)
start, cpu = time.perf_counter(), time.process_time()
made.fit(sys.argv[1])
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "cpu seconds": cpu, "peak MiB": peak}))
"""
MIXED = {
    "id": {"kind": "id"},
    "when": {"kind": "datetime", "low": "2000-01-01", "high": "2040-01-01", "step": "1s", "missing": True},
    "amount": {
        "kind": "number",
        "low": 0,
        "high": 100_000,
        "step": 0.01,
        "scale": "log",
        "special": [0],
        "missing": True,
    },
    "balance": {"kind": "number", "low": -1e5, "high": 1e6, "step": 0.01, "scale": "log", "unit": 100, "missing": True},
    "quantity": {"kind": "number", "low": 0, "high": 100, "step": 1, "missing": True},
    "channel": {"kind": "category", "categories": ["app", "web", "store", "phone"], "other": "other", "missing": True},
    "city": {"kind": "category", "categories": [*CITIES], "other": "other", "missing": True},
    "active": {"kind": "boolean", "missing": True},
    "score": {"kind": "number", "low": 0, "high": 100, "missing": True},
    "rate": {"kind": "number", "low": 0, "high": 10, "missing": True},
}
CASES: Mapping[str, tuple[Callable[..., Iterator[Result]], Callable[[str], Any]]] = {
    "canary": (canary, int),
    "accounting": (accounting, str),
    "tables": (figures, float),
    "peers": (peers, str),
    "speed": (speed, int),
}


def main(name: str, results: str, *arguments: str) -> None:
    """Print the results of a part, and append them to a file."""
    function, convert = CASES[name]
    print_and_append(Path(results), "private", describe_machine(), function(*map(convert, arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
