"""The tables of docs/explanation/samples.md from the JSON lines of ``python -m benchmarks samples``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmarks.machine import machine_line
from benchmarks.samples_summary import (
    MEASURES,
    Difference,
    Documents,
    by_seed,
    differences,
    expected_by_chance,
    of_size,
    tables,
)
from benchmarks.samples_tables import CTGAN, EPOCHS, ROWS, TABLES, TVAE

VERDICTS = ("better", "worse", "no difference", "open")
ENCODED = ("ks", "ks_rounded", "wasserstein", "above", "below", "tails")  # by the encoding of numbers alone
DRAWN = ("ks_rounded", "tv", "tails", "pairs", "utility")  # that depend on the modes and categories of rows
FREQUENCIES = ("tv", "pairs", "utility")  # that depend on the categories that are conditioned on


def sections(lines: Sequence[str]) -> dict[str, list[str]]:
    """Text of the page by marker; none before anything was trained."""
    documents = of_size(lines, EPOCHS, ROWS)
    if not documents:
        return {}
    found = {"samples-machine": [machine_text(lines)], "samples-counts": list(counts(documents))}
    found |= {f"samples-{model}": list(model_table(rows)) for model, rows in tables(documents)}
    found["samples-encoded"] = list(encoded_table(documents))
    found["samples-drawn"] = list(sampled_again_table(documents, TVAE, "drawn", DRAWN))
    return found | {"samples-frequency": list(sampled_again_table(documents, CTGAN, "by_frequency", FREQUENCIES))}


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


def sampled_again_table(documents: Documents, model: str, kind: str, measures: Sequence[str]) -> Iterator[str]:
    """Samples that were drawn in another way, compared with those that the same model samples itself."""
    yield f"| table | encoding | seeds | {' | '.join(MEASURES[name] for name in measures)} |"
    yield "|---|---|--:|" + "--:|" * len(measures)
    for table, study in TABLES.items():
        for variant in study.variants:
            ours, theirs = by_seed(documents, model, table, variant, kind), by_seed(documents, model, table, variant)
            if ours:
                told = (str(Difference.of(name, ours, theirs)) for name in measures)
                yield f"| {table} | {variant} | {len(ours)} | {' | '.join(told)} |"


def encoded_table(documents: Documents) -> Iterator[str]:
    """Training rows that were encoded and decoded, with no model in between."""
    yield f"| table | encoding | seeds | {' | '.join(MEASURES[name] for name in ENCODED)} |"
    yield "|---|---|--:|" + "--:|" * len(ENCODED)
    for table, study in TABLES.items():
        for variant in study.variants:
            seeds = by_seed(documents, TVAE, table, variant, "round_trip")
            if seeds:
                means = (np.mean([one[name] for one in seeds.values()]) for name in ENCODED)
                yield f"| {table} | {variant} | {len(seeds)} | {' | '.join(f'{mean:.3f}' for mean in means)} |"
