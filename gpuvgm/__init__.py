"""Mode-specific normalisation of table columns: variational Gaussian mixtures, fitted in one pass.

The public names are resolved on first use (PEP 562), so that ``import gpuvgm`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuvgm.conditions import Conditions
    from gpuvgm.diagnosis import doctor
    from gpuvgm.distributed import DaskExecutor, cluster
    from gpuvgm.generation import generate
    from gpuvgm.mixture import BayesianGaussianMixture
    from gpuvgm.summary import Summary
    from gpuvgm.transformer import TableTransformer, load

__version__ = "0.1.0"

__all__ = [
    "BayesianGaussianMixture",
    "Conditions",
    "DaskExecutor",
    "Summary",
    "TableTransformer",
    "__version__",
    "cluster",
    "doctor",
    "generate",
    "load",
]

_HOMES = {
    "BayesianGaussianMixture": "gpuvgm.mixture",
    "Conditions": "gpuvgm.conditions",
    "DaskExecutor": "gpuvgm.distributed",
    "Summary": "gpuvgm.summary",
    "TableTransformer": "gpuvgm.transformer",
    "cluster": "gpuvgm.distributed",
    "doctor": "gpuvgm.diagnosis",
    "generate": "gpuvgm.generation",
    "load": "gpuvgm.transformer",
}


if not TYPE_CHECKING:  # a type checker sees the imports above, and that other names do not exist

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
