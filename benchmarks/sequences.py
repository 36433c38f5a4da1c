"""Whether rows that belong together look like those of the table: judges of whole keys, of any generator's tables.

``python -m benchmarks.sequences RESULTS [GENERATOR] [TABLE ...]`` fits a generator to the rows of half of the keys of
each table, three times, and judges a sample of as many keys beside the other half. It prints means of the three halves
with their standard errors, and appends a line for each table to a file of results. The generator "training" gives the
fitted rows themselves: what is told of them is what the judges say of real rows.

- ``keys``, ``pairs``: AUC of a classifier that tells keys of the sample from real ones, by how many rows a key has, and
  by means, spans, steps and most frequent categories of its columns; and of one that tells a row with the row after it.
  A fold has whole keys; classifiers are tested on a second sample. Under 20 keys there is no AUC.
- ``rows``: 1 less the Kolmogorov-Smirnov distance of numbers of rows of a key.
- ``lag``: how far rank correlations of values with the ones before are from real ones, over columns of numbers.
- ``nearer``: share of keys that are nearer to a fitted key than to one that was held out.
- ``unique``, ``order``, ``constant``, ``rising``, ``beyond``: what holds in all rows of the table, in shares of the
  sample: no time twice in a key, rows in the order of time, columns with one value for each key, columns that never
  fall in a key; and the largest share of values of a column that lie beyond the range of the fitted rows.
- ``lag_1``, ``same_channel``, of made-up orders: the correlation of logarithms of amounts with those before, and how
  often a channel is that of the order before.
"""

from __future__ import annotations

import sys
import time as clock
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import gpuvgm
from benchmarks.machine import describe_machine
from benchmarks.measure import append_documents
from benchmarks.sequences_tables import PANELS, Panel, panel

#: Draws so many keys by a seed, as rows.
Sampler = Callable[[int, int], pd.DataFrame]
#: Is fitted to rows, given their key and what orders the rows of a key.
Generator = Callable[[pd.DataFrame, str, str | None], Sampler]
Figures = dict[str, float]
Floats = np.ndarray
Bools = np.ndarray

SPLITS, FOLDS = 3, 3
LEAST_KEYS = 20  # of both sides, or an AUC says nothing
BOOSTED_FROM = 200  # examples a side: boosted trees find no split in fewer
EXTRA_TREES = 200
MOST_PAIRS = 2_000
LISTED_CATEGORIES = 50
LARGE = 140  # keys of a panel


# -- what is judged


@dataclass(frozen=True)
class Coding:
    """Columns as numbers: times in seconds, categories by how frequent they are in all tables that are judged.

    Parameters
    ----------
    ranks : mapping of str to mapping or None
        Place of each category; None for columns of numbers.
    """

    ranks: Mapping[str, Mapping[Any, float] | None]

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame], key: str) -> Coding:
        """The coding of some tables; frequencies are those of all together, so that no side has codes of its own."""
        rows = pd.concat(tables, ignore_index=True)
        return cls({name: None if is_number(rows[name]) else _ranks(rows[name]) for name in rows if name != key})

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers and times."""
        return [name for name, ranks in self.ranks.items() if ranks is None]

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Numbers of some rows."""
        coded = {
            name: as_numbers(rows[name]) if ranks is None else rows[name].astype(object).map(ranks).astype(float)
            for name, ranks in self.ranks.items()
        }
        return pd.DataFrame(coded).reset_index(drop=True)


def is_number(values: pd.Series) -> bool:
    """Whether values are numbers or times; booleans are categories."""
    is_numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return bool(is_numeric or pd.api.types.is_datetime64_any_dtype(values))


def as_numbers(values: pd.Series) -> pd.Series:
    """Numbers as float64, times in seconds."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return (values - pd.Timestamp(0, tz=values.dt.tz)).dt.total_seconds()
    return values.astype(float)


def _ranks(values: pd.Series) -> dict[Any, float]:
    frequent = values.astype(object).value_counts().index[:LISTED_CATEGORIES]
    return {value: float(rank) for rank, value in enumerate(frequent)}


@dataclass(frozen=True)
class Sequences:
    """Rows of keys as numbers, those of a key next to each other, in the order of time.

    Parameters
    ----------
    values : DataFrame
        The columns but for the key.
    keys : ndarray of int
        Number of each row's key, from 0 on.
    """

    values: pd.DataFrame
    keys: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame, key: str, time: str | None, coding: Coding) -> Sequences:
        """The rows of a table; those without a key are keys of one row."""
        keys = numbers_of_keys(rows[key])
        values = coding(rows)
        order = np.lexsort((keys,) if time is None else (values[time].to_numpy(), keys))
        return cls(values.iloc[order].reset_index(drop=True), keys[order])

    @property
    def follows(self) -> Bools:
        """Whether each row but the first is one of the key of the row before."""
        same: Bools = self.keys[1:] == self.keys[:-1]
        return same

    @property
    def counts(self) -> Floats:
        """Rows of each key."""
        return np.bincount(self.keys)

    def steps(self, name: str) -> Floats:
        """Each number less the one before in its key."""
        steps: Floats = np.diff(self.values[name].to_numpy())[self.follows]
        return steps


def numbers_of_keys(keys: pd.Series) -> Floats:
    """A number for each key, in the order in which they come first."""
    numbers = pd.factorize(keys)[0]
    missing = numbers < 0
    numbers[missing] = numbers.max(initial=-1) + 1 + np.arange(np.count_nonzero(missing))
    return numbers


# -- features


@dataclass(frozen=True)
class Examples:
    """What a classifier sees.

    Parameters
    ----------
    features : ndarray of shape (examples, features)
        Numbers.
    keys : ndarray of int
        The key of each example.
    """

    features: Floats
    keys: Floats


def examples_of_keys(sequences: Sequences, coding: Coding) -> Examples:
    """A line for each key: its rows, and what its columns are like."""
    groups, features = sequences.values.groupby(sequences.keys), [sequences.counts.astype(float)]
    for name, ranks in coding.ranks.items():
        values = groups[name]
        features += _of_numbers(values) if ranks is None else _of_categories(sequences, name)
        features.append(values.size() - values.count())
    table = np.column_stack(features)
    return Examples(table, np.arange(len(table)))


def _of_numbers(values: Any) -> list[Floats]:
    """Mean, spread, span and step from the first row to the last, by key."""
    return [values.mean(), values.std(), values.max() - values.min(), values.last() - values.first()]


def _of_categories(sequences: Sequences, name: str) -> list[Floats]:
    """Most frequent category, how many there are, shares of the two most frequent of all, and changes, by key."""
    keys, rows = sequences.keys, sequences.counts
    codes = sequences.values[name].fillna(LISTED_CATEGORIES).to_numpy().astype(int)
    places = keys * (LISTED_CATEGORIES + 1) + codes
    counts = np.bincount(places, minlength=len(rows) * (LISTED_CATEGORIES + 1)).reshape(len(rows), -1)[:, :-1]
    changes = np.bincount(keys[1:], (np.diff(codes) != 0) & sequences.follows, minlength=len(rows))
    return [counts.argmax(axis=1), (counts > 0).sum(axis=1), *(counts[:, :2] / rows[:, None]).T, changes]


def examples_of_pairs(sequences: Sequences, seed: int) -> Examples:
    """Some of the rows that have a next one, each with it, and the difference of both."""
    values, places = sequences.values.to_numpy(), np.flatnonzero(sequences.follows)
    places = np.sort(np.random.default_rng(seed).permutation(places)[:MOST_PAIRS])
    first, second = values[places], values[places + 1]
    return Examples(np.hstack([first, second, second - first]), sequences.keys[places])


# -- judges


def auc(real: Examples, sample: Examples, test: Examples | None, seed: int) -> float:
    """How well keys of a sample are told from real ones: the mean over folds of keys.

    Parameters
    ----------
    real, sample : Examples
        What a classifier learns from, but for the keys of the fold.
    test : Examples, optional
        A second sample, all of which is judged beside the fold's real keys; without one the fold's keys of the sample.
    seed : int
        Of the folds.

    Returns
    -------
    float
        0.5 where nothing tells them apart; NaN for fewer than `LEAST_KEYS` keys.
    """
    if sum(len(np.unique(side.keys)) for side in (real, sample)) < LEAST_KEYS:
        return np.nan
    random = np.random.default_rng(seed)
    real_fold, sample_fold = (random.permutation(side.keys.max() + 1)[side.keys] % FOLDS for side in (real, sample))
    fill = filled_like(real.features, sample.features)
    judged = sample if test is None else test
    scores = []
    for fold in range(FOLDS):
        taught = fill(real.features[real_fold != fold]), fill(sample.features[sample_fold != fold])
        asked = fill(real.features[real_fold == fold]), fill(judged.features)
        if test is None:
            asked = asked[0], asked[1][sample_fold == fold]
        classifier = classifier_for(min(len(real.keys), len(sample.keys)))
        classifier.fit(np.vstack(taught), labels(*taught))
        scores.append(roc_auc_score(labels(*asked), classifier.predict_proba(np.vstack(asked))[:, 1]))
    return float(np.mean(scores))


def filled_like(*tables: Floats) -> Callable[[Floats], Floats]:
    """Replaces what is missing by less than the least number of its column in some tables."""
    rows = np.vstack(tables)
    less = np.min(np.where(np.isfinite(rows), rows, np.inf), axis=0) - 1
    return lambda features: np.where(np.isfinite(features), features, np.where(np.isfinite(less), less, 0))


def classifier_for(examples: int) -> Any:
    """Boosted trees, or for fewer examples extra trees."""
    if examples >= BOOSTED_FROM:
        return HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=0)
    return ExtraTreesClassifier(EXTRA_TREES, random_state=0)


def labels(real: Floats, sample: Floats) -> Floats:
    """0 for real examples, 1 for those of a sample."""
    return np.repeat([0, 1], [len(real), len(sample)])


def nearer(fitted: Floats, held_out: Floats, sample: Floats) -> float:
    """Share of sampled keys that are nearer to a fitted key than to one of as many that were held out.

    A distance is the mean difference of features, each in shares of the real keys that lie between; ties count half.
    """
    count = min(len(fitted), len(held_out))
    fitted, held_out = fitted[:count], held_out[:count]
    fill, real = filled_like(fitted, held_out), np.vstack([fitted, held_out])
    ordered = np.sort(fill(real), axis=0)

    def placed(table: Floats) -> Floats:
        sides = [
            [np.searchsorted(of, values, side) for of, values in zip(ordered.T, fill(table).T, strict=True)]
            for side in ("left", "right")
        ]
        return np.sum(sides, axis=0).T / (2 * len(real))

    near, far = (cdist(placed(sample), placed(side), "cityblock").min(axis=1) for side in (fitted, held_out))
    return float(np.mean(near < far) + np.mean(near == far) / 2)


def similar_rows(counts: Floats, real: Floats) -> float:
    """1 less the Kolmogorov-Smirnov distance of numbers of rows of a key."""
    return float(1 - ks_2samp(counts, real, method="asymp").statistic)


def lags(sequences: Sequences, names: Iterable[str]) -> Floats:
    """Rank correlation of values with those before them in their key, by column."""
    follows = sequences.follows
    pairs = [(sequences.values[name][:-1][follows], sequences.values[name][1:][follows]) for name in names]
    return np.array(
        [before.rank().corr(after.reset_index(drop=True).set_axis(before.index).rank()) for before, after in pairs]
    )


@dataclass(frozen=True)
class Facts:
    """What holds in all rows of a table.

    Parameters
    ----------
    unique : bool
        Whether no key has a time twice.
    constant : tuple of str
        Columns with one value for each key.
    rising : tuple of str
        Columns of numbers that never fall in a key, beside the time, and are not constant.
    """

    unique: bool
    constant: tuple[str, ...]
    rising: tuple[str, ...]

    @classmethod
    def of(cls, table: Panel) -> Facts:
        """The facts of a table."""
        coding = Coding.of([table.rows], table.key)
        sequences = Sequences.of(table.rows, table.key, table.time, coding)
        unique = table.time is not None and not table.rows.duplicated([table.key, table.time]).any()
        shares = shares_of_constant(table.rows, table.key, coding.ranks)
        constant = tuple(name for name, share in shares.items() if share == 1)
        varied = [name for name in coding.numbers if name not in (*constant, table.time)]
        return cls(unique, constant, tuple(name for name in varied if not (sequences.steps(name) < 0).any()))

    def shares(self, rows: pd.DataFrame, fitted: pd.DataFrame, table: Panel) -> Figures:
        """In how much of a sample they hold."""
        coding = Coding.of([rows, fitted], table.key)
        sequences = Sequences.of(rows, table.key, table.time, coding)
        shares: Figures = {"beyond": beyond(coding(rows)[coding.numbers], coding(fitted)[coding.numbers])}
        if table.time is not None:
            shares["order"] = in_order(rows, table.key, coding(rows)[table.time])
        if self.unique:
            shares["unique"] = float(np.mean(sequences.steps(str(table.time)) > 0))
        if self.constant:
            shares["constant"] = min(shares_of_constant(rows, table.key, self.constant).values())
        if self.rising:
            shares["rising"] = float(min(np.mean(~(sequences.steps(name) < 0)) for name in self.rising))
        return shares


def shares_of_constant(rows: pd.DataFrame, key: str, names: Iterable[str]) -> Figures:
    """Share of the keys of two rows and more that have one value, by column; missing ones are values."""
    keys = numbers_of_keys(rows[key])
    several = np.bincount(keys) > 1
    kinds = {name: rows[name].groupby(keys).nunique(dropna=False)[several] for name in names}
    return {name: float((count == 1).mean()) for name, count in kinds.items()}


def in_order(rows: pd.DataFrame, key: str, time: pd.Series) -> float:
    """Share of rows that are not before the row before them of their key, in the order in which they stand."""
    keys = numbers_of_keys(rows[key])
    order = np.argsort(keys, kind="stable")
    steps, follows = np.diff(time.to_numpy()[order]), np.diff(keys[order]) == 0
    return float(np.mean(~(steps[follows] < 0)))


def beyond(values: pd.DataFrame, fitted: pd.DataFrame) -> float:
    """The largest share of a column's values that lie beyond the range of the fitted ones."""
    outside = (values < fitted.min()) | (values > fitted.max())
    return float(outside.mean().max()) if outside.shape[1] else 0.0


def habits(rows: pd.DataFrame) -> Figures:
    """Of made-up orders: how amounts and channels go on."""
    ordered = rows.assign(number=numbers_of_keys(rows.customer)).sort_values(["number", "day"], kind="stable")
    follows = np.diff(ordered.number) == 0
    amount, channel = np.log(ordered.amount.to_numpy().clip(0.01)), ordered.channel.astype(str).to_numpy()
    lag_1 = np.corrcoef(amount[:-1][follows], amount[1:][follows])[0, 1]
    return {"lag_1": float(lag_1), "same_channel": float(np.mean((channel[1:] == channel[:-1])[follows]))}


def judge(
    table: Panel, fitted: pd.DataFrame, held_out: pd.DataFrame, samples: Sequence[pd.DataFrame], seed: int
) -> Figures:
    """All figures of a sample.

    Parameters
    ----------
    table : Panel
        All rows, of which facts are taken.
    fitted, held_out : DataFrame
        Rows of the fitted keys and of the others.
    samples : sequence of DataFrame
        A sample, and a second one where the generator draws one.
    seed : int
        Of folds, and of pairs that are judged.

    Returns
    -------
    dict of str to float
        By name; NaN where there is nothing to judge.
    """
    coding = Coding.of([fitted, held_out, *samples], table.key)
    training, real, *drawn = (
        Sequences.of(rows, table.key, table.time, coding) for rows in (fitted, held_out, *samples)
    )
    by_key = [examples_of_keys(sequences, coding) for sequences in (real, *drawn)]
    by_pair = [examples_of_pairs(sequences, seed) for sequences in (real, *drawn)]
    facts = Facts.of(table)
    varied = [name for name in coding.numbers if name not in facts.constant]
    figures: Figures = {
        "keys": auc(by_key[0], by_key[1], by_key[2] if len(drawn) > 1 else None, seed),
        "pairs": auc(by_pair[0], by_pair[1], by_pair[2] if len(drawn) > 1 else None, seed),
        "rows": similar_rows(drawn[0].counts, real.counts),
        "rows_of_training": similar_rows(training.counts, real.counts),
        "lag": float(np.nanmean(np.abs(lags(drawn[0], varied) - lags(real, varied)))) if varied else np.nan,
        **facts.shares(samples[0], fitted, table),
    }
    if len(drawn) > 1:
        fitted_keys = examples_of_keys(training, coding).features
        figures["nearer"] = nearer(fitted_keys, by_key[0].features, by_key[1].features)
    return figures | (habits(samples[0]) if table.key == "customer" else {})


# -- generators


def today(rows: pd.DataFrame, key: str, time: str | None) -> Sampler:
    """Rows drawn each for itself, with the key declared."""
    del time  # is a column as all
    fitted = gpuvgm.TableSynthesizer({key: {"key": True}}, threads=1).fit(rows)

    def sample(keys: int, seed: int) -> pd.DataFrame:
        drawn: pd.DataFrame = fitted.sample(round(len(rows) * keys / rows[key].nunique()), seed=seed)
        return first_keys(drawn, key, keys)

    return sample


def sequences(rows: pd.DataFrame, key: str, time: str | None) -> Sampler:
    """Rows drawn key after key, each given that before."""
    fitted = gpuvgm.TableSynthesizer(sequence_key=key, sequence_index=time, threads=1).fit(rows)
    return lambda keys, seed: fitted.sample(keys=keys, seed=seed)


def par(rows: pd.DataFrame, key: str, time: str | None) -> Sampler:
    """SDV's network for sequences, with its own settings; keys are text, as it wants them."""
    from sdv.sequential import PARSynthesizer

    table = rows.assign(**{key: rows[key].astype(str)})
    fitted = PARSynthesizer(_metadata(table, key, time), enforce_min_max_values=True)
    fitted.fit({"rows": table})
    return lambda keys, _: fitted.sample_sequences(num_sequences=keys)["rows"]


def hma(rows: pd.DataFrame, key: str, time: str | None) -> Sampler:
    """SDV's hierarchical copula, of a table of keys, which have what is constant in them, and one of their rows."""
    from sdv.metadata import Metadata
    from sdv.multi_table import HMASynthesizer

    table = rows.assign(**{key: rows[key].astype(str)})
    constants = [name for name in table if name not in (key, time) and (table.groupby(key)[name].nunique() <= 1).all()]
    tables = {"keys": table[[key, *constants]].drop_duplicates(key), "rows": table.drop(columns=constants)}
    metadata = Metadata.detect_from_dataframes(tables, infer_keys=None)
    for name in tables:
        metadata.update_column(key, name, sdtype="id")
    metadata.set_primary_key(key, "keys")
    metadata.add_relationship("keys", "rows", key, key)
    fitted = HMASynthesizer(metadata, verbose=False)
    fitted.fit(tables)

    def sample(keys: int, _: int) -> pd.DataFrame:
        drawn = fitted.sample(keys, "keys")
        joined = drawn["rows"].merge(drawn["keys"], on=key)[[*rows]]
        return joined if time is None else joined.sort_values([key, time])

    return sample


def _metadata(table: pd.DataFrame, key: str, time: str | None) -> Any:
    from sdv.metadata import Metadata

    metadata = Metadata.detect_from_dataframes({"rows": table}, infer_keys=None)
    metadata.update_column(key, sdtype="id")
    metadata.set_sequence_key(key)
    if time is not None and metadata.tables["rows"].columns[time]["sdtype"] in ("datetime", "numerical"):
        metadata.set_sequence_index(time)
    return metadata


def first_keys(rows: pd.DataFrame, key: str, count: int) -> pd.DataFrame:
    """Rows of the first keys."""
    return rows[numbers_of_keys(rows[key]) < count].reset_index(drop=True)


#: By name; `None` gives the fitted rows themselves.
GENERATORS: dict[str, Generator | None] = {
    "training": None,
    "today": today,
    "sequences": sequences,
    "par": par,
    "hma": hma,
}


# -- the run


def split(table: Panel, generator: Generator | None, seed: int) -> Figures:
    """Figures of one half of the keys, and the processor time of the fit and of a sample."""
    fitted, held_out = table.halves(seed)
    if generator is None:
        return judge(table, fitted, held_out, [fitted], seed)
    keys, times = held_out[table.key].nunique(), [clock.process_time()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = generator(fitted, table.key, table.time)
        times.append(clock.process_time())
        samples = [sampler(keys, 1)]
        times.append(clock.process_time())
        samples.append(sampler(keys, 2))
    fit, sample = (later - earlier for earlier, later in pairwise(times))
    return judge(table, fitted, held_out, samples, seed) | {"fit_cpu": fit, "sample_cpu": sample}


def mean_and_error(splits: Sequence[Figures]) -> dict[str, tuple[float, float]]:
    """Mean of each figure over halves, and its standard error."""
    values = {name: np.array([of.get(name, np.nan) for of in splits]) for name in splits[0]}
    return {name: (float(np.mean(of)), float(np.std(of, ddof=1) / np.sqrt(len(of)))) for name, of in values.items()}


def results(name: str, tables: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Judge a generator on some tables; print each, and at the end means over large and over small ones."""
    judged: dict[str, dict[str, tuple[float, float]]] = {}
    large = dict[str, bool]()
    for of in tables:
        table = panel(of)
        splits = [split(table, GENERATORS[name], seed) for seed in range(SPLITS)]
        judged[of], large[of] = mean_and_error(splits), table.rows[table.key].nunique() >= LARGE
        print(f"{of}, {name}: {told(judged[of])}", flush=True)
        size = {"table": of, "rows": len(table.rows), "keys": table.rows[table.key].nunique()}
        yield {"generator": name, **size, "mean": judged[of], "splits": splits}
    for is_large, words in ((True, f"tables of {LARGE} keys and more"), (False, "smaller ones")):
        of_size = [judged[of] for of in judged if large[of] == is_large and of != "orders"]
        for figure in ("keys", "pairs"):
            means = [of[figure][0] for of in of_size if np.isfinite(of[figure][0])]
            if means:
                print(f"{name}, {figure}, {len(means)} {words}: {np.mean(means):.3f}")


def told(figures: dict[str, tuple[float, float]]) -> str:
    """Figures as text."""
    finite = {name: of for name, of in figures.items() if np.isfinite(of[0])}
    return ", ".join(f"{name} {mean:.3f} ± {error:.3f}" for name, (mean, error) in finite.items())


def main(path: Path, generator: str = "today", *tables: str) -> None:
    """Judge a generator, and append a line for each table to a file of results."""
    machine = describe_machine()
    for result in results(generator, tables or PANELS):
        append_documents(path, [{"benchmark": "sequences", **_without_nan(result), "machine": machine}])


def _without_nan(result: Any) -> Any:
    """A result as JSON can hold it: without figures that there are none of."""
    if isinstance(result, dict):
        return {name: _without_nan(of) for name, of in result.items() if not _is_nan(of)}
    return [_without_nan(of) for of in result] if isinstance(result, list) else result


def _is_nan(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple) else value
    return isinstance(first, float) and not np.isfinite(first)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
