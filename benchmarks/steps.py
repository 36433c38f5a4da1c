"""The steps of docs/explanation/steps.md, from the loop over rows to gpuvgm, as the code of that page does them.

``python -m benchmarks.steps STEP ROWS [MIXTURE]`` is one of them, with the mixture of another one where it has no fit;
``python -m benchmarks.steps merged ROWS`` is the fit of parts whose mixtures are merged, and that of a sample.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.inputs import amounts
from benchmarks.machine import ONE_THREAD, bind_to_one_core, found_by, machine_line, peak_memory
from benchmarks.measure import Measurement, mebibytes, seconds_text
from benchmarks.peers_side import log_likelihood
from benchmarks.peers_sides import Mixture
from benchmarks.picture import blocks
from gpuvgm import TableTransformer

PAGE = "explanation/steps.md"
LEAST_ROWS = 10_000


class Step(NamedTuple):
    """A step of the page: its name, and the most rows that it is measured with."""

    name: str
    most_rows: int


STEPS = (
    Step("a loop over rows", 1_000_000),
    Step("whole columns", 1_000_000),
    Step("batches", 10_000_000),
    Step("a scan of sums", 1_000_000),
    Step("cells", 10_000_000),
    Step("kernels", 100_000_000),
)
FIRST, BATCHES, SUMS = 0, 2, 3  # steps whose fit, or whose transform and inverse, others take
PARTS, SAMPLE = 8, 20_000
Arrays = tuple[np.ndarray, ...]  # weights, means and variances


def measure(rows: int) -> list[Measurement]:
    """All steps with 10,000 rows, ten times as many, and so on; merged models, and a sample, with a million at most."""
    found, size, before = [], min(LEAST_ROWS, rows), ""
    while size <= rows:
        of_size: dict[int, dict[str, Any]] = {}
        for number, step in enumerate(STEPS):
            if size <= step.most_rows:
                of_size[number] = found_by("benchmarks.steps", str(number), str(size), before, **ONE_THREAD)
                before = json.dumps(of_size[number]["mixture"]) if number == FIRST else before
        found += [of_step(STEPS[number].name, size, taken, of_size) for number, taken in of_size.items()]
        size *= 10
    most = min(rows, STEPS[SUMS].most_rows)
    for case, details in found_by("benchmarks.steps", "merged", str(most), **ONE_THREAD).items():
        found.append(Measurement(case, most, details["seconds"], details=details))
    return found


def of_step(name: str, rows: int, taken: dict[str, Any], of_size: dict[int, dict[str, Any]]) -> Measurement:
    """A measurement: what the step itself takes, and `whole`, with the fit or the rows of the step that has them."""
    fits, ways = (one.get(part) for one, part in ((taken, "fit"), (taken, "rows")))
    fit = fits or of_size.get(FIRST, {}).get("fit")
    way = ways or of_size[BATCHES]["rows"]
    notes = {
        "fit": seconds_text(fits) if fits else "",
        "transform and inverse": seconds_text(ways) if ways else "",
        "peak memory": mebibytes(taken["peak_memory"]),
    }
    details = taken | {"whole": fit + way if fit else None}
    return Measurement(name, rows, (fits or 0) + (ways or 0), details=details, notes=notes)


def code_of(number: int) -> dict[str, Any]:
    """The functions of a step."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(blocks(PAGE)[number], names)
    return names


def run(number: int, rows: int, mixture: Arrays) -> dict[str, Any]:
    """CPU seconds and peak memory of a step, then its errors."""
    code, x, taken = code_of(number), amounts(rows), {}
    if "fit" in code:
        start = time.process_time()
        mixture = code["fit"](x)
        taken["fit"] = time.process_time() - start
    round_trip = code.get("round_trip") or code_of(BATCHES)["round_trip"]
    if "round_trip" in code:
        start = time.process_time()
        back = round_trip(x, mixture)
        taken["rows"] = time.process_time() - start
        taken["peak_memory"] = peak_memory()
    else:
        taken["peak_memory"] = peak_memory()
        back = round_trip(x, mixture)
    if not isinstance(mixture, tuple):
        column = mixture.columns_["x"]
        mixture = column.weights, column.means, column.stds**2
    return taken | errors(x, back, mixture) | {"mixture": [part.tolist() for part in mixture]}


def errors(x: np.ndarray, back: np.ndarray, mixture: Arrays) -> dict[str, float]:
    """Errors of a round trip in standard deviations, and the log-likelihood of a row."""
    error, deviation = np.abs(back - x), x.std()
    return {
        "mean_error": float(error.mean() / deviation),
        "largest_error": float(error.max() / deviation),
        "log_likelihood": likelihood(x, mixture),
    }


def likelihood(x: np.ndarray, mixture: Arrays) -> float:
    """Mean log-likelihood of the rows, a million at a time."""
    weights, means, variances = mixture
    fitted = Mixture(weights, means, np.sqrt(variances))
    parts = [x[start : start + 1_000_000] for start in range(0, len(x), 1_000_000)]
    return sum(len(part) * log_likelihood(part, fitted) for part in parts) / len(x)


def merged(rows: int) -> dict[str, dict[str, float]]:
    """A fit of all rows, fits of eight parts whose mixtures are merged in two ways, and a fit on a sample."""
    x, found = amounts(rows), {}
    fit, round_trip = code_of(SUMS)["fit"], code_of(BATCHES)["round_trip"]

    def keep(case: str, mixture: Arrays, seconds: float) -> None:
        figures = errors(x, round_trip(x, mixture), mixture)
        found[case] = {"seconds": seconds, "components": len(mixture[0]), **figures}

    start = time.process_time()
    keep("all rows", fit(x), time.process_time() - start)
    for order, sources in (("parts that are alike", x), ("parts of sorted rows", np.sort(x))):
        start = time.process_time()
        mixtures = [in_order(fit(part)) for part in np.array_split(sources, PARTS)]
        seconds = time.process_time() - start
        weights, means, variances = (np.array(parts) for parts in zip(*mixtures, strict=True))
        keep(f"{order}, averaged", (weights.mean(axis=0), means.mean(axis=0), variances.mean(axis=0)), seconds)
        keep(f"{order}, all components", (weights.ravel() / PARTS, means.ravel(), variances.ravel()), seconds)
    sample = np.random.default_rng(0).choice(x, min(SAMPLE, rows), replace=False)
    start = time.process_time()
    keep(f"a sample of {len(sample):,} rows", fit(sample), time.process_time() - start)
    for case, sample_rows in (("all rows, gpuvgm", None), (f"a sample of {len(sample):,} rows, gpuvgm", len(sample))):
        start = time.process_time()
        transformer = TableTransformer({"x": "continuous"}, threads=1, sample_rows=sample_rows).fit({"x": x})
        seconds, column = time.process_time() - start, transformer.columns_["x"]
        back = np.asarray(transformer.inverse_transform(transformer.transform({"x": x}))["x"])
        figures = errors(x, back, (column.weights, column.means, column.stds**2))
        found[case] = {"seconds": seconds, "components": int(np.count_nonzero(column.active)), **figures}
    return found


def in_order(mixture: Arrays) -> Arrays:
    """Components by their means; those without rows have no weight."""
    weights, means, variances = (np.nan_to_num(part) for part in mixture)
    order = np.argsort(means)
    return weights[order], means[order], np.maximum(variances[order], 1e-6)


def sections(lines: Iterable[str]) -> dict[str, Iterator[str]]:
    """Tables of the page, from what is committed."""
    documents = [json.loads(line) for line in lines]
    of_steps = [document for document in documents if document["benchmark"] == "steps"]
    return {"steps": table(of_steps), "merged": merged_table(of_steps), "parents": parents_table(documents)}


def table(documents: list[dict[str, Any]]) -> Iterator[str]:
    """All steps and numbers of rows."""
    if documents:
        yield f"{machine_line(documents[-1]['machine'])}."
        yield ""
    yield "| step | rows | fit | transform and inverse | peak memory | mean error | largest error | log-likelihood |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for document in last_of(documents):
        taken = document["details"]
        if "peak_memory" in taken:
            seconds = " | ".join(seconds_text(taken[part]) if part in taken else "" for part in ("fit", "rows"))
            yield (
                f"| {document['case']} | {document['rows']:,} | {seconds} | {mebibytes(taken['peak_memory'])} "
                f"| {_figures(taken)} |"
            )


def merged_table(documents: list[dict[str, Any]]) -> Iterator[str]:
    """What became of merged models, and of a sample."""
    yield "| fit of | components | CPU time | mean error | largest error | log-likelihood |"
    yield "|---|--:|--:|--:|--:|--:|"
    for document in last_of(documents):
        found = document["details"]
        if "components" in found:
            seconds = seconds_text(found["seconds"])
            yield f"| {document['case']} | {found['components']} | {seconds} | {_figures(found)} |"


def _figures(found: dict[str, Any]) -> str:
    return f"{found['mean_error']:.2g} sd | {found['largest_error']:.2g} sd | {found['log_likelihood']:.4f}"


def last_of(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The last measurement of each step with each number of rows."""
    return iter({(document["case"], document["rows"]): document for document in documents}.values())


GENERATORS = ("training rows", "two parents", "counts", "CART")


def parents_table(documents: list[dict[str, Any]]) -> Iterator[str]:
    """Samples of the network of two parents beside those of trees, means over tables of the first seed."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for document in documents:
        details = document["details"] if document["benchmark"] == "synthesis" else {}
        if details.get("limit") == 10_000 and details["seed"] == 0:
            found[details["generator"]][details["table"]] = details
    yield "| | tables | pairs | triples | utility |"
    yield "|---|--:|--:|--:|--:|"
    for name in GENERATORS:
        tables = list(found[name].values())
        means = " | ".join(f"{np.mean([one[kind] for one in tables]):.3f}" for kind in ("pairs", "triples", "utility"))
        yield f"| {name} | {len(tables)} | {means} |"


def main(step: str, rows: str, before: str = "") -> dict[str, Any]:
    """One step, or what is merged."""
    bind_to_one_core()
    with threadpool_limits(1):
        if step == "merged":
            return merged(int(rows))
        return run(int(step), int(rows), tuple(map(np.array, json.loads(before or "[]"))))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
