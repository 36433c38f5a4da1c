"""TableSynthesizer on 15 real tables that its development did not look at, beside other generators.

``python -m benchmarks.synthesis FILE GENERATOR ...`` appends a line for each table, seed and generator to a file of
results. Half of the rows, 10,000 at most, are trained on, as many others are held out. TVAE and CTGAN are those of
`gpuvgm.integrations.ctgan` with their defaults; the Gaussian copula is SDV's, which has to be installed, as SDMetrics
has for each. ``python -m benchmarks.synthesis`` prints what the files of results hold.

``python -m benchmarks synthesizer`` measures time and memory instead: a generated table from Parquet to a model and a
sample of as many rows back to Parquet, each in a process of its own (``python -m benchmarks.synthesis STAGE FOLDER``),
and fits of 20,000 rows.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import gpuvgm
from benchmarks.billion import PYARROW, folder_of_files, timed
from benchmarks.inputs import real_table
from benchmarks.machine import ROOT, describe_machine, found_by, peak_memory, repeated
from benchmarks.measure import Measurement, append_lines, mebibytes
from benchmarks.plan import newest
from benchmarks.samples_side import utility
from gpuvgm.datasets.mixed_table import mixed_table_rows
from gpuvgm.datasets.ranges import RowRange
from gpuvgm.datasets.writing import BLOCK_ROWS, FILE_ROWS, Generator, write_generated
from gpuvgm.engines import get_engine
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.synthesis.bins import Codes
from gpuvgm.synthesis.density import density_finder

#: Chosen by their size and kinds of columns alone, before any result: R package of each.
TABLES = {
    "HealthInsurance": "AER",
    "HMDA": "AER",
    "DoctorVisits": "AER",
    "MplsStops": "carData",
    "storms": "dplyr",
    "txhousing": "ggplot2",
    "Computers": "Ecdat",
    "Wage": "ISLR",
    "credit_data": "modeldata",
    "mlc_churn": "modeldata",
    "stackoverflow": "modeldata",
    "lending_club": "modeldata",
    "wa_churn": "modeldata",
    "covid_testing": "medicaldata",
    "nassCDS": "DAAG",
}
OURS = "two parents"
NETWORKS = {"independent": 0, "tree": 1, OURS: 2}
TRAINING_ROWS, TVAE, CTGAN, COPULA = "training rows", "TVAE", "CTGAN", "Gaussian copula"
GENERATORS = (*NETWORKS, TVAE, CTGAN, COPULA, TRAINING_ROWS)
ROWS, SMALL, SEEDS = 10_000, 300, 1
EPOCHS = 300
TARGETS = 4  # columns that are predicted, drawn by the seed
BINS, MOST = 10, 20  # of numbers, and categories of their own
TRIPLE_BINS = 5
TRIPLES = 100  # of columns that are judged, drawn by the seed
SMALL_ROWS, SMALL_COLUMNS = 20_000, (10, 100)
STAGES = ("fit", "sample")
TABLE, MODEL, SAMPLE = "table.parquet", "model.gpuvgm", "sample.parquet"
MEMORY = "1GiB"
DAY = 86_400_000_000  # microseconds


def split(name: str, seed: int, rows: int = ROWS) -> tuple[Any, Any]:
    """Training rows and held-out ones."""
    frame = real_table(name, TABLES[name]).sample(frac=1, random_state=seed).reset_index(drop=True)
    half = min(rows, len(frame) // 2)
    return frame[:half].reset_index(drop=True), frame[half : 2 * half].reset_index(drop=True)


def coded(real: Any, other: Any, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """A column of both tables in bins between quantiles of the real numbers, or frequent categories; missing is one."""
    if real.dtype.kind in "fiu" and real.nunique() > bins:
        edges = np.unique(np.nanquantile(real.astype(float), np.arange(1, bins) / bins, method="lower"))
        found = [np.searchsorted(edges, one.astype(float), side="left") for one in (real, other)]
        return tuple(np.where(one.isna(), bins, code) for one, code in zip((real, other), found, strict=True))  # type: ignore[return-value]
    texts = [_texts(one) for one in (real, other)]
    rank = {value: at for at, value in enumerate(texts[0].value_counts().index[:MOST])}
    return tuple(np.array([rank.get(value, MOST) for value in one]) for one in texts)  # type: ignore[return-value]


def agreement(real: Any, sample: Any, bins: int, groups: Sequence[tuple[str, ...]]) -> float:
    """One minus the total variation distance of joint shares, the mean over groups of columns."""
    codes = {name: coded(real[name], sample[name], bins) for name in real}
    found = []
    for names in groups:
        joint = [np.zeros(len(rows), np.int64) for rows in (real, sample)]
        for name in names:
            joint = [one * (MOST + 1) + code for one, code in zip(joint, codes[name], strict=True)]
        both = np.unique(np.concatenate(joint), return_inverse=True)[1]
        shares = [np.bincount(one, minlength=both.max() + 1) / len(one) for one in np.split(both, [len(real)])]
        found.append(1 - np.abs(shares[0] - shares[1]).sum() / 2)
    return float(np.mean(found))


def codes_of(synthesizer: gpuvgm.TableSynthesizer, rows: Any) -> list[Codes]:
    """Bins of rows, by node."""
    table = pa.Table.from_pandas(rows, preserve_index=False).combine_chunks()
    columns = synthesizer.transformer_.model_.by_name
    return [
        density_finder(columns, bins, get_engine())(lambda name: table.column(name).combine_chunks())[0]
        for bins in synthesizer.network_.structure.bins
    ]


def copied(training: list[Codes], rows: list[Codes]) -> float:
    """Share of rows that equal a training row in all bins."""
    known = {row.tobytes() for row in np.stack(training, axis=1)}
    return float(np.mean([row.tobytes() in known for row in np.stack(rows, axis=1)]))


def judge(name: str, seed: int, rows: int, generator: str) -> dict[str, Any]:
    """Figures of what a generator makes of a table; of the training rows themselves in place of a sample."""
    training, held_out = split(name, seed, rows)
    start = time.perf_counter()
    if generator in NETWORKS:
        sample, more = of_network(training, held_out, seed, NETWORKS[generator])
    else:
        sample, more = training if generator == TRAINING_ROWS else RIVALS[generator](training, seed), {}
    found = {"table": name, "generator": generator, "seed": seed, "rows": len(training), "limit": rows}
    return {**found, "seconds": time.perf_counter() - start, **figures(training, held_out, sample, seed), **more}


def of_network(training: Any, held_out: Any, seed: int, parents: int) -> tuple[Any, dict[str, Any]]:
    """A sample of TableSynthesizer, log-likelihoods of held-out rows, and shares of copies."""
    model = gpuvgm.TableSynthesizer(parents=parents, random_state=seed, threads=1).fit(training)
    sample = model.sample(len(training))
    own, others, drawn = (codes_of(model, one) for one in (training, held_out, sample))
    nats = model.network_.log_probability(others, len(held_out))
    finite = bool(np.isfinite(model.score_samples(held_out)).all())
    copies = {"copied": copied(own, drawn), "copied_held_out": copied(own, others)}
    return sample, {"nats": float(nats.mean()), "lowest": float(nats.min()), "finite": finite, **copies}


def of_ctgan(training: Any, seed: int, *, model: str) -> Any:
    """A sample of CTGAN or TVAE on our encoding, on one thread."""
    import_module("torch").set_num_threads(1)
    made = getattr(import_module("gpuvgm.integrations.ctgan"), model)(epochs=EPOCHS, enable_gpu=False)
    np.random.seed(seed)
    made.set_random_state(seed)
    made.fit(training)
    return made.sample(len(training))


def of_copula(training: Any, seed: int) -> Any:
    """A sample of SDV's GaussianCopulaSynthesizer."""
    metadata = import_module("sdv.metadata").Metadata.load_from_dict({"tables": {"table": metadata_of(training)}})
    np.random.seed(seed)
    made = import_module("sdv.single_table").GaussianCopulaSynthesizer(metadata)
    made.fit({"table": training})
    return made.sample(num_rows=len(training))["table"]


RIVALS = {TVAE: partial(of_ctgan, model=TVAE), CTGAN: partial(of_ctgan, model=CTGAN), COPULA: of_copula}


def metadata_of(table: Any) -> dict[str, Any]:
    """The kinds of columns in SDV's words."""
    kinds = {"f": "numerical", "i": "numerical", "u": "numerical", "M": "datetime", "b": "boolean"}
    return {"columns": {name: {"sdtype": kinds.get(table[name].dtype.kind, "categorical")} for name in table}}


def figures(training: Any, held_out: Any, sample: Any, seed: int) -> dict[str, Any]:
    """How well a sample agrees with held-out rows, and what can be learnt from it."""
    columns, random = list(training), np.random.default_rng(seed)
    triples = list(combinations(columns, 3))
    triples = [triples[at] for at in random.permutation(len(triples))[:TRIPLES]]
    report = import_module("sdmetrics.reports.single_table").QualityReport()
    report.generate(held_out, sample, metadata_of(training), verbose=False)
    return {
        "pairs": agreement(held_out, sample, BINS, list(combinations(columns, 2))),
        "triples": agreement(held_out, sample, TRIPLE_BINS, triples),
        "utility": float(np.mean(list(utilities(training, held_out, sample, random).values()))),
        "quality": float(report.get_score()),
    }


def utilities(training: Any, held_out: Any, sample: Any, random: np.random.Generator) -> dict[str, float]:
    """What boosting learns from a sample to predict of held-out rows, by target; not below what it knows without any.

    Targets are drawn of numbers and of columns with few categories; rows where a target is missing are left out.
    """
    numbers = {name for name in training if training[name].dtype.kind in "fiuM"}
    known = [name for name in training if 2 <= training[name].nunique() <= (np.inf if name in numbers else MOST)]
    found = {}
    for target in random.permutation(known)[:TARGETS]:
        real, other = (plain_rows(one, numbers)[one[target].notna().to_numpy()] for one in (held_out, sample))
        found[target] = 0.0 if target in numbers else _hits_without_sample(real[target])
        if len(other) > 1:
            found[target] = max(found[target], utility(real, other, set(training) - numbers, target))
    return found


def _hits_without_sample(categories: Any) -> float:
    """The area under the ROC curve of two categories that are guessed; of more the share of the most frequent one."""
    return 0.5 if categories.nunique() == 2 else float(categories.value_counts(normalize=True).max())


def plain_rows(rows: Any, numbers: set[str]) -> Any:
    """Rows with numbers as floats, dates among them, and texts, one of which is for missing categories."""
    columns = {name: _floats(rows[name]) if name in numbers else _texts(rows[name]) for name in rows}
    return rows.assign(**columns)


def _floats(column: Any) -> Any:
    if column.dtype.kind == "M":
        column = column.astype("int64").where(column.notna())
    return column.astype(float)


def _texts(column: Any) -> Any:
    return column.astype(str).where(column.notna(), "missing")


def main(path: Path, *generators: str) -> None:
    """Judge all tables that the file does not hold; 300 rows of each by the networks too."""
    machine = describe_machine()
    held = path.read_text().splitlines() if path.exists() else []
    done = {(d["table"], d["seed"], d["limit"], d["generator"]) for d in map(_details, held)}
    for seed, generator, name, limit in product(range(SEEDS), generators or GENERATORS, TABLES, (ROWS, SMALL)):
        if (name, seed, limit, generator) in done or (limit == SMALL and generator in RIVALS):
            continue
        found = judge(name, seed, limit, generator)
        measurement = Measurement(f"{name}, {generator}", found["rows"], found["seconds"], details=found)
        append_lines(path, "synthesis", machine, [measurement])
        print(name, generator, seed, limit, round(found["pairs"], 3), f"{found['seconds']:.0f} s", flush=True)


# -- time and memory


def payments(first_row: int, rows: int, seed: int) -> pa.RecordBatch:
    """Rows of six columns of numbers, two of dates and two of text, all of which depend on others."""
    batch = mixed_table_rows(first_row, rows, seed)
    names = ("amount", "balance", "quantity", "score", "rate", "when", "city", "channel")
    amount, balance, quantity, score, rate, when, city, channel = (batch[name] for name in names)
    percent, often = rate.cast(pa.float64()), pc.add(quantity.cast(pa.float64()), 1.0)
    days = pc.multiply(quantity.cast(pa.int64()), 30 * DAY).cast(pa.duration("us"))
    columns = {
        "amount": amount,
        "fee": pc.round(pc.multiply(amount, pc.divide(percent, 100.0)), 2),
        "quantity": quantity,
        "balance": pc.round(pc.multiply(balance, often), 2),
        "score": pc.add(score, pc.multiply(pc.add(pc.log10(pc.add(amount, 1.0)), often), 10.0)),
        "rate": rate,
        "when": when,
        "due": pc.add(when, days).cast(pa.date32(), safe=False),
        "city": pc.if_else(pc.less(often, pa.scalar(3.0)), city, pc.utf8_slice_codeunits(city, 0, 7)),
        "channel": channel.cast(pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def measure(rows: int) -> list[Measurement]:
    """Fit and sample of a table of so many rows, Parquet to Parquet, then fits of few rows of 10 and 100 columns."""
    found = []
    with folder_of_files() as folder:
        generator = Generator(payments, payments(0, 1, 0).schema, 0, BLOCK_ROWS, {})
        write_generated(generator, folder / TABLE, RowRange(0, rows), FILE_ROWS, LocalExecutor(), resume=False)
        for stage in STAGES:
            taken = found_by("benchmarks.synthesis", stage, str(folder))
            reads = [sys.executable, "-m", "benchmarks.billion", str(folder / TABLE)]
            alone, _ = timed(reads + [str(folder / SAMPLE)] * (stage == "sample"), ROOT)
            found.append(_timed(stage, rows, taken, {PYARROW: alone}))
    for columns in SMALL_COLUMNS:
        found += _in_memory(rows, columns)
    return found


def _in_memory(rows: int, columns: int) -> Iterator[Measurement]:
    """Fit and sample of a table in memory by one thread, the fit beside that of the columns alone."""
    few, many = min(rows, SMALL_ROWS), min(rows, BLOCK_ROWS * 10 // columns)
    parts = [payments(few * part, few, 0) for part in range(columns // 10)]
    table = pa.table({f"{name} {i}": part[name] for i, part in enumerate(parts) for name in part.schema.names})
    of_columns = _call(gpuvgm.TableTransformer(threads=1).fit, table)
    alone = {"TableTransformer.fit": of_columns["seconds"]}
    synthesizer = gpuvgm.TableSynthesizer(threads=1)
    yield _timed(f"fit of {columns} columns in memory", few, _call(synthesizer.fit, table), alone)
    yield _timed(f"sample of {columns} columns in memory", many, _call(synthesizer.sample, many), {})


def stage(name: str, folder: Path) -> dict[str, Any]:
    """One stage, in a process of its own."""
    if name == "fit":
        synthesizer = gpuvgm.TableSynthesizer(memory=MEMORY)
        return _call(lambda: synthesizer.fit(folder / TABLE).save(folder / MODEL))
    loaded = gpuvgm.load(folder / MODEL)
    assert isinstance(loaded, gpuvgm.TableSynthesizer)
    return _call(lambda: loaded.sample(loaded.network_.counts.rows, out=folder / SAMPLE))


def _call(function: Callable[..., object], *arguments: Any) -> dict[str, Any]:
    taken = repeated(lambda: function(*arguments), 1)
    return {"seconds": taken.seconds, "cpu_seconds": taken.processor_seconds, "peak_memory": peak_memory()}


def _timed(case: str, rows: int, taken: dict[str, Any], yardsticks: dict[str, float]) -> Measurement:
    """A measurement with nanoseconds of the processor a row, and memory."""
    notes = {
        "ns of CPU a row": f"{taken['cpu_seconds'] / rows * 1e9:,.0f}",
        "peak memory": mebibytes(taken["peak_memory"]),
    }
    return Measurement(case, rows, taken["seconds"], yardsticks, details=taken, notes=notes, shown_as_time=True)


# -- results


def _details(line: str) -> dict[str, Any]:
    document = json.loads(line)
    return dict(document["details"]) if document["benchmark"] == "synthesis" else {}


def table(lines: Sequence[str]) -> Iterator[str]:
    """The means of all tables and seeds in Markdown, then those of each table."""
    found = [one for one in map(_details, lines) if one]
    generators = [one for one in GENERATORS if any(d["generator"] == one for d in found)]
    figures = ("pairs", "triples", "utility", "quality", "nats")
    yield "| mean of all tables | pairs | triples | utility | quality | held-out nats |"
    yield "|---|--:|--:|--:|--:|--:|"
    for generator in generators:
        means = [_mean(found, part, generator, ROWS, None) for part in figures]
        cells = ["" if np.isnan(mean) else f"{mean:.2f}" if mean < 0 else f"{mean:.3f}" for mean in means]
        yield f"| {generator} | {' | '.join(cells)} |"
    others = [one for one in generators if one not in NETWORKS or one == OURS]
    yield ""
    columns = ["table", "rows", f"pairs: {', '.join(others)}", "utility of these", f"nats: {', '.join(NETWORKS)}"]
    yield f"| {' | '.join([*columns, 'copied', 'of 300'])} |"
    yield "|---|--:|---|---|---|---|---|"
    for name in sorted({d["table"] for d in found}):
        cells = [
            " ".join(f"{_mean(found, part, generator, ROWS, name):.3f}".replace("nan", "–") for generator in others)
            for part in ("pairs", "utility")
        ]
        cells.append(" ".join(f"{_mean(found, 'nats', network, ROWS, name):.2f}" for network in NETWORKS))
        for limit in (ROWS, SMALL):
            both = (_mean(found, part, OURS, limit, name) for part in ("copied", "copied_held_out"))
            cells.append(" ".join(f"{one:.3f}" for one in both))
        yield f"| {name} | {_mean(found, 'rows', OURS, ROWS, name):,.0f} | {' | '.join(cells)} |"


def _mean(found: Sequence[dict[str, Any]], part: str, generator: str, limit: int, name: str | None) -> float:
    """Mean of a figure; NaN where there is none."""
    chosen = [
        d[part]
        for d in found
        if part in d and d["generator"] == generator and d["limit"] == limit and name in (None, d["table"])
    ]
    return float(np.mean(chosen)) if chosen else np.nan


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(sys.argv) > 1 and sys.argv[1] in STAGES:
            print(json.dumps(stage(sys.argv[1], Path(sys.argv[2]))))
        elif len(sys.argv) > 1:
            main(Path(sys.argv[1]), *sys.argv[2:])
        else:
            print("\n".join(table(newest("results"))))
