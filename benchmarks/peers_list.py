"""The sides by name: what they are called in tables, and what they need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from benchmarks.peers_drawn import Dask, Polars, Research, ScikitLearn
from benchmarks.peers_sides import Matrix, Normalizer, Side, Table
from benchmarks.peers_spark import Spark
from benchmarks.peers_torch import TorchMixture

SLOW_ROWS = 500_000  # more are not given to sides that take minutes for them


class Known(NamedTuple):
    """A side."""

    words: str
    make: Callable[[list[str], list[str]], Side]
    packages: tuple[str, ...] = ()
    ours: bool = False
    is_slow: bool = False


def _of(kind: Callable[..., Side], **options: str) -> Callable[[list[str], list[str]], Side]:
    return lambda names, discrete: kind(names, discrete, **options)


KNOWN: dict[str, Known] = {
    "scikit-learn": Known("scikit-learn", ScikitLearn),
    "rdt": Known("RDT", _of(Normalizer, module="rdt.transformers"), ("rdt",), is_slow=True),
    "ctgan": Known("CTGAN", _of(Matrix, module="ctgan.data_transformer"), ("ctgan",), is_slow=True),
    "research": Known("NumPy formula", Research),
    "torchgmm": Known("torchgmm", TorchMixture, ("torch", "torchgmm")),
    "spark": Known("Spark ML", Spark, ("pyspark", "pandas"), is_slow=True),
    "polars": Known("Polars, sample", Polars, ("polars",)),
    "dask": Known("Dask, sample", Dask, ("dask", "pandas")),
    "rdt drop-in": Known("drop-in for RDT", _of(Normalizer, module="gpuvgm.integrations.rdt"), ("rdt",), ours=True),
    "ctgan drop-in": Known("drop-in for CTGAN", _of(Matrix, module="gpuvgm.integrations.ctgan"), ("ctgan",), ours=True),
    "compact": Known("TableTransformer, research", Table, ours=True),
    "onehot": Known("TableTransformer, research, onehot", _of(Table, layout="onehot"), ours=True),
    "auto": Known("TableTransformer, auto", _of(Table, effort="auto"), ours=True),
    "best": Known("TableTransformer, best", _of(Table, effort="best"), ours=True),
}


def side_of(side: str, names: list[str], discrete: list[str]) -> Side:
    """A side by name; `names` are the continuous columns."""
    return KNOWN[side].make(names, discrete)


def missing_packages(side: str) -> list[str]:
    """Packages that a side lacks here."""
    return [package for package in KNOWN[side].packages if not find_spec(package)]


def reason_not_to_run(side: str, rows: int) -> str | None:
    """Why a side is left out, None where it can run."""
    if missing := missing_packages(side):
        return f"no {missing[0]}"
    if side == "spark" and not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        return "no Java"
    if KNOWN[side].is_slow and rows > SLOW_ROWS:
        return f"more than {SLOW_ROWS:,} rows"
    return None
