"""The tables of docs/explanation/samples.md: results of the study `samples` by table, model and encoding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.machine import machine_line
from benchmarks.samples_tables import COUNTS, CTGAN, EPOCHS, NO_MODEL, ROWS, TABLES, TRAINING_ROWS, TVAE

#: Headings of the measures.
MEASURES = {
    "ks": "KS",
    "ks_rounded": "KS, rounded",
    "wasserstein": "Wasserstein, sd",
    "tv": "TV",
    "above": "above, ‰",
    "below": "below, ‰",
    "tails": "tail error, ‰",
    "pairs": "pairs",
    "utility": "utility",
}
HIGHER = ("pairs", "utility")  # is better; of all others lower is
DESCRIBED = ("above", "below")  # neither is better than the other
ERRORS = 2.0  # standard errors of a mean difference, below which there is none
Documents = list[dict[str, Any]]
Seeds = Mapping[int, Mapping[str, Any]]
Cell = tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """A measure of samples less that of the samples that they are compared with, both of the same seeds.

    Parameters
    ----------
    mean, error : float
        Mean over the seeds and its standard error.
    seeds : int
        How many there are.
    higher_is_better : bool
        What is good.
    """

    mean: float
    error: float
    seeds: int
    higher_is_better: bool

    @classmethod
    def of(cls, measure: str, ours: Seeds, theirs: Seeds) -> Difference:
        """The difference over the seeds that both have."""
        seeds = sorted({*ours} & {*theirs})
        differences = np.array([ours[seed][measure] - theirs[seed][measure] for seed in seeds])
        mean = float(np.mean(differences)) if seeds else np.nan
        error = float(np.std(differences, ddof=1) / np.sqrt(len(seeds))) if len(seeds) > 1 else np.nan
        return cls(mean, error, len(seeds), measure in HIGHER)

    @property
    def verdict(self) -> str:
        """Whether it is better, worse or neither; nothing can be said of one seed."""
        if self.seeds < 2:
            return "open"
        if abs(self.mean) < ERRORS * self.error or self.mean == 0:
            return "no difference"
        return "better" if (self.mean > 0) == self.higher_is_better else "worse"

    def __str__(self) -> str:
        if self.verdict in ("better", "worse"):
            return f"{self.verdict} by {abs(self.mean):.3f} ± {self.error:.3f}"
        return self.verdict


def of_size(lines: Iterable[str], epochs: int, rows: int) -> Documents:
    """Details of all trainings with so many epochs and rows, and of as many training rows themselves."""
    documents = [one["details"] for one in map(json.loads, lines) if one["benchmark"] == "samples"]
    return [one for one in documents if one["rows"] == rows and one["epochs"] in (epochs, 0)]


def by_seed(documents: Documents, model: str, table: str, variant: str, kind: str = "measures") -> Seeds:
    """Measures by seed."""
    wanted = (model, table, variant)
    found = [one for one in documents if (one["model"], one["table"], one["variant"]) == wanted and kind in one]
    return {one["seed"]: one[kind] for one in found}


def tables(documents: Documents) -> Iterator[tuple[str, list[list[Cell]]]]:
    """For each model rows of cells: table, encoding, number of seeds, and a mean and a difference for each measure."""
    for model in (TVAE, CTGAN):
        rows = [row for table in TABLES for row in rows_of(documents, model, table)]
        if rows:
            yield model, rows


def rows_of(documents: Documents, model: str, table: str) -> Iterator[list[Cell]]:
    """Training rows, then encodings, the first of which the others are compared with."""
    variants = TABLES[table].variants
    found = {variant: by_seed(documents, model, table, variant) for variant in variants}
    held = {variant: seeds for variant, seeds in found.items() if seeds}
    if not held:
        return
    yield _row(table, TRAINING_ROWS, by_seed(documents, NO_MODEL, table, TRAINING_ROWS), None)
    for variant, seeds in held.items():
        yield _row(table, variant, seeds, found[variants[0]] if variant != variants[0] else None)


def _row(table: str, variant: str, seeds: Seeds, reference: Seeds | None) -> list[Cell]:
    cells = [_cell(measure, seeds, reference) for measure in MEASURES]
    return [(table,), (variant,), (str(len(seeds)),), *cells]


def _cell(measure: str, seeds: Seeds, reference: Seeds | None) -> Cell:
    values = [one[measure] for one in seeds.values() if measure in one]
    if not values:
        return ("",)
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    mean = f"{np.mean(values):.3f}{spread}"
    if reference is None or measure in DESCRIBED:
        return (mean,)
    return (mean, str(Difference.of(measure, seeds, reference)))


def differences(documents: Documents, model: str, variant: str) -> list[Difference]:
    """Of an encoding, over all tables and measures."""
    found = []
    for table, study in TABLES.items():
        seeds = by_seed(documents, model, table, variant)
        reference = by_seed(documents, model, table, study.variants[0])
        if seeds and variant != study.variants[0]:
            found += [Difference.of(measure, seeds, reference) for measure in MEASURES if measure not in DESCRIBED]
    return found


def expected_by_chance(found: Sequence[Difference]) -> float:
    """How many of these would be called better or worse on average if none were, were the differences normal."""
    judged = [one for one in found if one.verdict != "open"]
    return float(sum(2 * student.sf(ERRORS, one.seeds - 1) for one in judged))


VERDICTS = ("better", "worse", "no difference", "open")
ENCODED = ("ks", "ks_rounded", "wasserstein", "above", "below", "tails")  # by the encoding of numbers alone
DRAWN = ("ks_rounded", "tv", "tails", "pairs", "utility")  # that depend on the modes and categories of rows
FREQUENCIES = ("tv", "pairs", "utility")  # that depend on the categories that are conditioned on


def sections(lines: Sequence[str]) -> dict[str, list[str]]:
    """Text of the page by marker; none before anything was trained."""
    documents = of_size(lines, EPOCHS, ROWS)
    if not documents:
        return {}
    of_counts, others = ([line for line in lines if (training_model(line) == COUNTS) == ours] for ours in (True, False))
    found = {"samples-machine": [machine_text(others)], "samples-counts": list(counts(documents))}
    if of_counts:
        found["samples-synthesizer"] = [machine_text(of_counts), "", *synthesizer_table(documents)]
    found |= {f"samples-{model}": list(model_table(rows)) for model, rows in tables(documents)}
    found["samples-encoded"] = list(measures_table(documents, TVAE, "round_trip", ENCODED))
    found["samples-drawn"] = list(measures_table(documents, TVAE, "drawn", DRAWN, compared=True))
    return found | {
        "samples-frequency": list(measures_table(documents, CTGAN, "by_frequency", FREQUENCIES, compared=True))
    }


def training_model(line: str) -> str:
    """The model that a line of results is of."""
    return str(json.loads(line).get("details", {}).get("model", ""))


def machine_text(lines: Iterable[str]) -> str:
    """Machine, versions and commits."""
    found = [one for one in map(json.loads, lines) if one["benchmark"] == "samples"]
    dates, commits = (sorted({str(one["machine"][name]) for one in found}) for name in ("date", "commit"))
    versions = found[-1]["details"]["versions"].items()
    others = ", ".join(f"{name} {version}" for name, version in versions)
    days = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    named = f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"
    return f"Measured on {days}, {named}: {machine_line(found[-1]['machine'])}; {others}."


def model_table(rows: Iterable[Sequence[tuple[str, ...]]]) -> Iterator[str]:
    """The rows of one model in Markdown."""
    yield f"| table | encoding | seeds | {' | '.join(MEASURES.values())} |"
    yield "|---|---|--:|" + "--:|" * len(MEASURES)
    for row in rows:
        yield f"| {' | '.join('<br>'.join(cell) for cell in row)} |"


def counts(documents: Documents) -> Iterator[str]:
    """How many differences of an encoding are for the better, for the worse, or none."""
    yield f"| model | encoding | {' | '.join(VERDICTS)} | better or worse by chance |"
    yield "|---|---|" + "--:|" * (len(VERDICTS) + 1)
    variants = dict.fromkeys(variant for study in TABLES.values() for variant in study.variants)
    for model in (TVAE, CTGAN):
        for variant in variants:
            found = differences(documents, model, variant)
            if found:
                told = [str(sum(one.verdict == verdict for one in found)) for verdict in VERDICTS]
                yield f"| {model} | {variant} | {' | '.join(told)} | {expected_by_chance(found):.1f} |"


SYNTHESIZER = ("ks_rounded", "tv", "tails", "pairs", "utility")


def synthesizer_table(documents: Documents) -> Iterator[str]:
    """TableSynthesizer between the training rows and the encodings whose pairs agree best, with seconds of each."""
    yield f"| table | rows of | seeds | {' | '.join(MEASURES[name] for name in SYNTHESIZER)} | fit and sample, s |"
    yield "|---|---|--:|" + "--:|" * (len(SYNTHESIZER) + 1)
    for table, study in TABLES.items():
        candidates = [(NO_MODEL, TRAINING_ROWS, TRAINING_ROWS), (COUNTS, COUNTS, "TableSynthesizer")]
        for model in (TVAE, CTGAN):
            held = {variant: by_seed(documents, model, table, variant) for variant in study.variants}
            pairs = {v: np.mean([one["pairs"] for one in seeds.values()]) for v, seeds in held.items() if seeds}
            if pairs:
                best = max(pairs, key=lambda variant: pairs[variant])
                candidates.append((model, best, f"{model}, {best}"))
        for model, variant, told in candidates:
            seeds = by_seed(documents, model, table, variant)
            if seeds:
                cells = [_cell(name, seeds, None)[0] for name in SYNTHESIZER]
                spent = [one["seconds"] for one in documents if (one["model"], one["table"]) == (model, table)]
                seconds = np.mean([sum(s.get(part, 0.0) for part in ("fit", "sample")) for s in spent])
                yield f"| {table} | {told} | {len(seeds)} | {' | '.join(cells)} | {seconds:,.1f} |"


def measures_table(
    documents: Documents, model: str, kind: str, measures: Sequence[str], *, compared: bool = False
) -> Iterator[str]:
    """Measures of one kind by table and encoding.

    Means, as of training rows that were encoded and decoded with no model in between; or compared with samples that
    the same model draws itself.
    """
    yield f"| table | encoding | seeds | {' | '.join(MEASURES[name] for name in measures)} |"
    yield "|---|---|--:|" + "--:|" * len(measures)
    for table, study in TABLES.items():
        for variant in study.variants:
            seeds = by_seed(documents, model, table, variant, kind)
            if not seeds:
                continue
            if compared:
                reference = by_seed(documents, model, table, variant)
                cells = [str(Difference.of(name, seeds, reference)) for name in measures]
            else:
                cells = [f"{np.mean([one[name] for one in seeds.values()]):.3f}" for name in measures]
            yield f"| {table} | {variant} | {len(seeds)} | {' | '.join(cells)} |"
