"""One fit of an estimator in a process of its own: ``python -m benchmarks.estimator_side SIDE INPUT SETTINGS``.

SIDE is "gpuvgm" or "scikit-learn", INPUT an .npy file of rows, SETTINGS the estimator's arguments as JSON. One thread.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.machine import peak_memory

SIDES = ("gpuvgm", "scikit-learn")
WARM_ROWS = 2_000  # a fit of so many rows loads what is loaded on first use


def main(side: str, source: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the fit, the memory that it took above the rows, and what it found."""
    rows = np.load(source)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator(side, settings | {"max_iter": 2}).fit(rows[:WARM_ROWS])
        mixture, before = estimator(side, settings), peak_memory()
        start = time.perf_counter()
        mixture.fit(rows)
        seconds = time.perf_counter() - start
    return {
        "side": side,
        "seconds": {"fit": seconds},
        "total": seconds,
        "peak_memory": peak_memory() - before,
        "iterations": mixture.n_iter_,
        "lower_bound": mixture.lower_bound_,
        "fit_error": getattr(mixture, "fit_error_", 0.0),
    }


def estimator(side: str, settings: dict[str, Any]) -> Any:
    """An estimator of one side."""
    if side == "gpuvgm":
        from gpuvgm import BayesianGaussianMixture
        from gpuvgm.execution.local import LocalExecutor

        return BayesianGaussianMixture(executor=LocalExecutor(1), **settings)
    from sklearn.mixture import BayesianGaussianMixture

    return BayesianGaussianMixture(**settings)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))))
