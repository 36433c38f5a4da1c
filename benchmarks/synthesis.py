"""TableSynthesizer on 15 real tables, chosen before any result, beside other generators.

``python -m benchmarks.synthesis RESULTS GENERATOR ...`` appends a line for each table, seed and generator to a file of
results: those of TableSynthesizer, by default and safer, of CART in sequence and of the training rows where no
generator is named. Half of the rows, 10,000 at most, are trained on, as many others are held out. TVAE and CTGAN are
those of `gpuvgm.integrations.ctgan` with their defaults; the Gaussian copula is SDV's, which has to be installed.
``python -m benchmarks.synthesis`` prints what the files of results hold.

``python -m benchmarks.synthesis --table FILE --held FILE --sample FILE`` judges a sample of your own, Parquet or CSV,
that was made of the table, by rows of the same source that were held out.

``python -m benchmarks synthesizer`` measures time and memory instead: a generated table from Parquet to a model and a
sample of as many rows back to Parquet, each in a process of its own (``python -m benchmarks.synthesis STAGE FOLDER``),
and fits of 20,000 rows.
"""

from __future__ import annotations

import argparse
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
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

import gpuvgm
from benchmarks.billion import PYARROW, folder_of_files
from benchmarks.inputs import real_table
from benchmarks.machine import ROOT, describe_machine, found_by, peak_memory, repeated
from benchmarks.measure import Measurement, append_lines, mebibytes
from benchmarks.plan import newest
from benchmarks.samples_side import MOST_CODES, category_codes, of_categories, utility
from benchmarks.usage import timed
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.datasets import Generator, RowRange, mixed_table_rows
from gpuvgm.execution import LocalExecutor

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
OURS, SAFER, CART, TRAINING_ROWS = "counts", "counts, safer", "CART", "training rows"
TVAE, CTGAN, COPULA = "TVAE", "CTGAN", "Gaussian copula"
GENERATORS = (TRAINING_ROWS, OURS, CART, SAFER, TVAE, CTGAN, COPULA)
ROWS, SMALL, SEEDS = 10_000, 300, 3
LEAF = 5  # rows of a leaf at least
FOLDS = 3
EPOCHS = 300
TARGETS = 4  # columns that are predicted, drawn by the seed
BINS, MOST = 10, 20  # of numbers, and categories of their own
TRIPLE_BINS = 5
MISSING = "missing"  # a category
TRIPLES = 100  # of columns that are judged, drawn by the seed
SMALL_ROWS, SMALL_COLUMNS = 20_000, (10, 100)
STAGES = ("fit", "sample")
TABLE, MODEL, SAMPLE = "table.parquet", "model.gpuvgm", "sample.parquet"
MEMORY = "1GiB"
#: Headings of the figures.
FIGURES = {
    "auc": "AUC",
    "pairs": "pairs",
    "triples": "triples",
    "utility": "utility",
    "spearman": "Spearman error",
    "ks": "KS",
    "tv": "TV",
    "near": "near",
    "equal": "equal",
    "equal_held_out": "held-out equal",
    "cpu_seconds": "CPU, s",
}
OF_TABLES = ("auc", "pairs", "utility", "near")  # figures that are shown by table
DAY = 86_400_000_000  # microseconds


def split(name: str, seed: int, rows: int = ROWS) -> tuple[Any, Any]:
    """Training rows and held-out ones."""
    frame = real_table(name, TABLES[name]).sample(frac=1, random_state=seed).reset_index(drop=True)
    half = min(rows, len(frame) // 2)
    return frame[:half].reset_index(drop=True), frame[half : 2 * half].reset_index(drop=True)


def judge(name: str, seed: int, rows: int, generator: str) -> dict[str, Any]:
    """Figures of what a generator makes of a table; of the training rows themselves in place of a sample."""
    training, held_out = split(name, seed, rows)
    start, used = time.perf_counter(), time.process_time()
    ours = gpuvgm.TableSynthesizer(random_state=seed, threads=1, safer=generator == SAFER)
    model = ours.fit(training) if generator in (OURS, SAFER) else None
    sample = model.sample(len(training)) if model else MAKERS[generator](training, seed)
    taken = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    found = {"table": name, "generator": generator, "seed": seed, "rows": len(training), "limit": rows, **taken}
    if model:
        nats = model.score_samples(held_out)
        found |= {"nats": float(nats.mean()), "lowest": float(nats.min()), "finite": bool(np.isfinite(nats).all())}
    return {**found, **figures(training, held_out, sample, seed)}


def of_cart(training: Any, seed: int) -> Any:
    """A sample of trees in sequence, as synthpop's by default (Nowok et al. 2016).

    The first column is drawn from its rows. Each further one has a tree on all columns before it, down to leaves of
    five rows, and takes its value from a row of the leaf. Trees know categories by their rank in frequency. Missing
    numbers are predicted as one far below all others.
    """
    random, rows = np.random.default_rng(seed), plain(training, training)
    known = matrix(rows, rows)
    donors = random.integers(len(rows), size=known.shape)
    for at, name in enumerate(rows):
        if at:
            sampled = np.take_along_axis(known, donors, axis=0)[:, :at]
            kind = DecisionTreeRegressor if _is_number(rows[name]) else DecisionTreeClassifier
            tree = kind(min_samples_leaf=LEAF, random_state=seed).fit(known[:, :at], filled(known[:, at]))
            donors[:, at] = rows_alike(tree.apply(known[:, :at]), tree.apply(sampled), random)
    return type(training)({name: training[name].to_numpy()[donors[:, at]] for at, name in enumerate(rows)})


def filled(numbers: np.ndarray) -> np.ndarray:
    """Numbers with missing ones below all others."""
    below = np.nanmin(numbers) - np.nanstd(numbers) - 1.0
    return np.where(np.isnan(numbers), below, numbers)


def rows_alike(leaves: np.ndarray, wanted: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """For each leaf that is wanted a row that has it, any with the same chance."""
    rows = np.argsort(leaves, kind="stable")
    first, end = (np.searchsorted(leaves[rows], wanted, side=side) for side in ("left", "right"))
    return rows[random.integers(first, end)]


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
MAKERS: dict[str, Callable[[Any, int], Any]] = {TRAINING_ROWS: lambda training, _: training, CART: of_cart, **RIVALS}


def metadata_of(table: Any) -> dict[str, Any]:
    """The kinds of columns in SDV's words."""
    kinds = {"f": "numerical", "i": "numerical", "u": "numerical", "M": "datetime", "b": "boolean"}
    return {"columns": {name: {"sdtype": kinds.get(table[name].dtype.kind, "categorical")} for name in table}}


# -- figures


@threadpool_limits.wrap(limits=1)  # on more, boosting of few rows waits for its threads
def figures(training: Any, held_out: Any, sample: Any, seed: int) -> dict[str, Any]:
    """How well a sample agrees with held-out rows, what can be learnt from it, and how near to training rows it is."""
    training, held_out, sample = (plain(rows, training) for rows in (training, held_out, sample))
    columns, random = list(training), np.random.default_rng(seed)
    triples = list(combinations(columns, 3))
    triples = [triples[at] for at in random.permutation(len(triples))[:TRIPLES]]
    return {
        "pairs": agreement(held_out, sample, BINS, list(combinations(columns, 2))),
        "triples": agreement(held_out, sample, TRIPLE_BINS, triples),
        "utility": float(np.mean(list(utilities(training, held_out, sample, random).values()))),
        "auc": told_apart(held_out, sample),
        **of_columns(held_out, sample),
        "near": near_share(training, held_out, sample),
        "equal": equal_share(training, sample),
        "equal_held_out": equal_share(training, held_out),
    }


def plain(rows: Any, like: Any) -> Any:
    """Columns of numbers and dates as floats, all others as texts; what is missing stays missing."""
    return type(rows)({name: (_floats if _is_number(like[name]) else _texts)(rows[name]) for name in like})


def _is_number(column: Any) -> bool:
    return column.dtype.kind in "fiuM"


def _floats(column: Any) -> Any:
    if column.dtype.kind == "M":
        column = column.astype("datetime64[us]").astype("int64").where(column.notna())
    return column.astype(float)


def _texts(column: Any) -> Any:
    return column.astype(object).astype(str).where(column.notna())


def matrix(rows: Any, real: Any) -> np.ndarray:
    """Plain rows as floats: numbers, and ranks of categories by their frequency in other rows."""
    columns = [
        rows[name].to_numpy()
        if _is_number(real[name])
        else category_codes(*(one[name].fillna(MISSING).to_numpy() for one in (real, rows)), MOST_CODES)
        for name in real
    ]
    return np.column_stack(columns).astype(float)


def told_apart(held_out: Any, sample: Any) -> float:
    """Area under the ROC curve of boosting that tells sampled rows from held-out ones; 0.5 where it cannot."""
    both = import_module("pandas").concat((held_out, sample), ignore_index=True)
    labels = np.repeat([0, 1], [len(held_out), len(sample)])
    categories = [not _is_number(both[name]) for name in both]
    model = HistGradientBoostingClassifier(categorical_features=categories, early_stopping=False, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return float(cross_val_score(model, matrix(both, both), labels, scoring="roc_auc", cv=folds).mean())


def of_columns(held_out: Any, sample: Any) -> dict[str, float]:
    """Means of single columns' distances, and of the errors of rank correlations of two columns of numbers.

    Kolmogorov-Smirnov distance of numbers, with what is missing below all others, and total variation distance of
    shares of categories. A figure is left out where there is no column of its kind.
    """
    numbers = [name for name in held_out if _is_number(held_out[name])]
    found = {"ks": [], "tv": []}
    for name in held_out:
        real, other = held_out[name], sample[name]
        if name in numbers:
            found["ks"].append(ks_2samp(real.fillna(-np.inf), other.fillna(-np.inf), method="asymp").statistic)
        else:
            found["tv"].append(of_categories(real, other)["tv"])
    # A rank correlation of a column that does not vary is undefined: in a sample it tells nothing, as 0 does.
    real, other = (rows[numbers].corr("spearman").to_numpy() for rows in (held_out, sample))
    errors = np.abs(real - np.nan_to_num(other))[np.triu_indices(len(numbers), 1)]
    found["spearman"] = errors[np.isfinite(errors)]
    return {name: float(np.mean(figures)) for name, figures in found.items() if len(figures)}


def near_share(training: Any, held_out: Any, sample: Any) -> float:
    """Share of sampled rows that are nearer to a training row than to any of as many held-out ones; 0.5 for no copies.

    The distance is Euclidean, of ranks of numbers, scaled to a variance of one, and of categories, where two that
    differ are at a distance of one. Where both distances are equal, a row counts as half.
    """
    count = min(len(training), len(held_out))
    training, held_out = (rows.sample(count, random_state=0) for rows in (training, held_out))
    pool = import_module("pandas").concat((training, held_out), ignore_index=True)
    points, *others = (
        np.hstack([_points(pool[name], rows[name]) for name in pool]) for rows in (sample, training, held_out)
    )
    # Rounded, because rows that are equal come out a rounding apart.
    own, other = (
        np.round(NearestNeighbors(n_neighbors=1).fit(one).kneighbors(points)[0][:, 0] ** 2, 8) for one in others
    )
    return float(np.mean(own < other) + np.mean(own == other) / 2)


def _points(pool: Any, column: Any) -> np.ndarray:
    """Coordinates of a column's values."""
    if not _is_number(pool):
        codes = category_codes(pool.fillna(MISSING).to_numpy(), column.fillna(MISSING).to_numpy(), MOST)
        return np.eye(MOST + 1)[codes] / np.sqrt(2)
    known, missing = np.sort(pool.dropna().to_numpy()), column.isna().to_numpy()
    ranks = sum(np.searchsorted(known, column.fillna(0.0), side=side) for side in ("left", "right"))
    scaled = np.sqrt(12) * (ranks / (2 * max(len(known), 1)) - 0.5)
    return np.stack((np.where(missing, 0.0, scaled), missing), axis=1)


def equal_share(training: Any, rows: Any) -> float:
    """Share of rows that equal a training row in all columns."""
    hashed = [import_module("pandas").util.hash_pandas_object(one, index=False) for one in (rows, training)]
    return float(np.isin(*hashed).mean())


def coded(real: Any, other: Any, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """A column of both tables in bins between quantiles of the real numbers, or frequent categories; missing is one."""
    if real.dtype.kind == "f" and real.nunique() > bins:
        edges = np.unique(np.nanquantile(real, np.arange(1, bins) / bins, method="lower"))
        found = [np.searchsorted(edges, one, side="left") for one in (real, other)]
        return tuple(np.where(one.isna(), bins, code) for one, code in zip((real, other), found, strict=True))  # type: ignore[return-value]
    texts = [one.astype(object).where(one.notna(), MISSING) for one in (real, other)]
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


def utilities(training: Any, held_out: Any, sample: Any, random: np.random.Generator) -> dict[str, float]:
    """What boosting learns from a sample to predict of held-out rows, by target; not below what it knows without any.

    Targets are drawn of numbers and of columns with few categories; rows where a target is missing are left out.
    """
    numbers, known = may_be_targets(training)
    categories = set(training) - numbers
    found = {}
    for target in random.permutation(known)[:TARGETS]:
        real, other = (
            rows[rows[target].notna()].fillna(dict.fromkeys(categories, MISSING)) for rows in (held_out, sample)
        )
        found[target] = guessed(real[target])
        if len(other) > 1:
            found[target] = max(found[target], utility(real, other, categories, target))
    return found


def may_be_targets(rows: Any) -> tuple[set[str], list[str]]:
    """Numbers among plain columns, and the columns that may be predicted: numbers, and what has few categories."""
    numbers = {name for name in rows if _is_number(rows[name])}
    return numbers, [name for name in rows if 2 <= rows[name].nunique() <= (np.inf if name in numbers else MOST)]


def guessed(target: Any) -> float:
    """What is known of a plain target without a sample: nothing of a number's variance; else as `utility` has it.

    The area under the ROC curve of two categories that are guessed; of more the share of the most frequent one.
    """
    if _is_number(target):
        return 0.0
    return 0.5 if target.nunique() == 2 else float(target.value_counts(normalize=True).max())


def figures_of_files(*paths: Path) -> Iterator[str]:
    """Figures of a sample in files: of the table, held-out rows and the sample."""
    pandas = import_module("pandas")
    tables = [(pandas.read_csv if ".csv" in path.suffixes else pandas.read_parquet)(path) for path in paths]
    return (f"{name:14} {figure:.3f}" for name, figure in figures(*tables, 0).items())


def main(path: Path, *generators: str) -> None:
    """Judge all tables that the file does not hold; 300 rows of each too, but for networks and the copula."""
    machine = describe_machine()
    held = path.read_text().splitlines() if path.exists() else []
    done = {_judged(d) for d in map(_details, held)}
    for seed, generator, name, limit in product(range(SEEDS), generators or GENERATORS[:4], TABLES, (ROWS, SMALL)):
        if (name, seed, limit, generator) in done or (limit == SMALL and generator in RIVALS):
            continue
        found = judge(name, seed, limit, generator)
        measurement = Measurement(f"{name}, {generator}", found["rows"], found["seconds"], details=found)
        append_lines(path, "synthesis", machine, [measurement])
        print(name, generator, seed, limit, *(f"{found[part]:.3f}" for part in ("auc", "pairs", "utility")), flush=True)


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
        generator.write(folder / TABLE, RowRange(0, rows), LocalExecutor(), resume=False)
        for stage in STAGES:
            taken = found_by("benchmarks.synthesis", stage, str(folder))
            reads = [sys.executable, "-m", "benchmarks.billion", str(folder / TABLE)]
            alone = timed(reads + [str(folder / SAMPLE)] * (stage == "sample"), ROOT)
            found.append(_timed(stage, rows, taken, {PYARROW: alone.seconds}))
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
    """The means of all tables and seeds in Markdown, then those of each table; the last line of a judgement counts."""
    found = list({_judged(d): d for d in map(_details, lines) if d}.values())
    generators = [one for one in GENERATORS if any(d["generator"] == one for d in found)]
    for limit in (ROWS, SMALL):
        yield f"| {limit:,} rows at most | seeds | {' | '.join(FIGURES.values())} |"
        yield f"|---|--:|{'--:|' * len(FIGURES)}"
        for generator in generators:
            of_limit = [d for d in found if (d["generator"], d["limit"]) == (generator, limit)]
            if of_limit:
                cells = [_shown(of_limit, part) for part in FIGURES]
                yield f"| {generator} | {len({d['seed'] for d in of_limit})} | {' | '.join(cells)} |"
        yield ""
    named = [one for one in GENERATORS[:3] if one in generators]
    yield f"| {', '.join(named)} | rows | {' | '.join(FIGURES[part] for part in OF_TABLES)} | AUC of {SMALL} |"
    yield f"|---|--:|{'---|' * (len(OF_TABLES) + 1)}"
    for name in sorted({d["table"] for d in found}):
        of_table = [[d for d in found if (d["table"], d["generator"]) == (name, one)] for one in named]
        many, few = ([[d for d in one if d["limit"] == limit] for one in of_table] for limit in (ROWS, SMALL))
        cells = [" ".join(_shown(one, part) for one in many) for part in OF_TABLES]
        cells.append(" ".join(_shown(one, "auc") for one in few))
        yield f"| {name} | {max(d['rows'] for one in of_table for d in one):,} | {' | '.join(cells)} |"


def _judged(details: dict[str, Any]) -> tuple[str, int, int, str]:
    """What was judged."""
    return details["table"], details["seed"], details["limit"], details["generator"]


def _shown(found: Sequence[dict[str, Any]], part: str) -> str:
    """Mean of a figure; nothing where there is none."""
    values = [d[part] for d in found if part in d]
    if not values:
        return ""
    return f"{np.mean(values):.2f}" if part in ("nats", "cpu_seconds") else f"{np.mean(values):.3f}"


def run(options: argparse.Namespace) -> None:
    """Do what the command line says."""
    paths = (options.table, options.held, options.sample)
    if all(paths):
        print("\n".join(figures_of_files(*paths)))
    elif options.results in STAGES:
        print(json.dumps(stage(options.results, Path(options.generators[0]))))
    elif options.results:
        main(Path(options.results), *options.generators)
    else:
        print("\n".join(table(newest("results"))))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthesis", description=__doc__)
    parser.add_argument("results", nargs="?", help="file of results to append to")
    parser.add_argument("generators", nargs="*", help=", ".join(GENERATORS))
    for name, meaning in {"table": "trained on", "held": "held out", "sample": "to be judged"}.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"rows {meaning}")
    options = parser.parse_args(arguments)
    if len({bool(path) for path in (options.table, options.held, options.sample)}) > 1:
        parser.error("--table, --held and --sample belong together")
    return options


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(parse())
