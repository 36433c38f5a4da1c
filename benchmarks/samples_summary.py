"""What the lines of ``python -m benchmarks samples`` say: means over seeds, and paired differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.samples_tables import CTGAN, NO_MODEL, TABLES, TRAINING_ROWS, TVAE

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
