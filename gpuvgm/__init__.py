"""Synthetic tables from counts, and the encoding of tables for neural networks, at any size.

The public names are resolved on first use (PEP 562), so that ``import gpuvgm`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuvgm.cli.doctor import doctor
    from gpuvgm.datasets import generate
    from gpuvgm.estimator.estimator import BayesianGaussianMixture
    from gpuvgm.execution.cluster import cluster
    from gpuvgm.execution.dask import DaskExecutor
    from gpuvgm.summary.summary import Summary
    from gpuvgm.synthesis.private.synthesizer import PrivateSynthesizer
    from gpuvgm.synthesis.synthesizer import TableSynthesizer, load
    from gpuvgm.table.conditions import Conditions
    from gpuvgm.table.training import TrainingRows
    from gpuvgm.table.transformer import TableTransformer

__version__ = "0.1.0"

__all__ = [
    "BayesianGaussianMixture",
    "Conditions",
    "DaskExecutor",
    "PrivateSynthesizer",
    "Summary",
    "TableSynthesizer",
    "TableTransformer",
    "TrainingRows",
    "__version__",
    "cluster",
    "doctor",
    "generate",
    "load",
]

_HOMES = {
    "BayesianGaussianMixture": "gpuvgm.estimator.estimator",
    "Conditions": "gpuvgm.table.conditions",
    "DaskExecutor": "gpuvgm.execution.dask",
    "PrivateSynthesizer": "gpuvgm.synthesis.private.synthesizer",
    "Summary": "gpuvgm.summary.summary",
    "TableSynthesizer": "gpuvgm.synthesis.synthesizer",
    "TableTransformer": "gpuvgm.table.transformer",
    "TrainingRows": "gpuvgm.table.training",
    "cluster": "gpuvgm.execution.cluster",
    "doctor": "gpuvgm.cli.doctor",
    "generate": "gpuvgm.datasets",
    "load": "gpuvgm.synthesis.synthesizer",
}


if not TYPE_CHECKING:  # a type checker sees the imports above, and that other names do not exist

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value


def __dir__() -> list[str]:
    return list(__all__)
