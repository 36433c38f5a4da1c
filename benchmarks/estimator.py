"""The estimator beside scikit-learn's: fits, each in a process of its own, and what a fitted one says of rows.

``python -m benchmarks.estimator SIDE INPUT SETTINGS`` is one fit: SIDE is "gpuvgm" or "scikit-learn", INPUT an .npy
file of rows, SETTINGS the estimator's arguments as JSON. One thread.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.engine import SCIKIT_LEARN
from benchmarks.inputs import FITTED_ROWS, amounts, clouds, columns, plan_for
from benchmarks.machine import aim, found_by, peak_memory
from benchmarks.measure import FLOAT_BYTES, Measurement, mebibytes, median_times, seconds_of, share_text
from gpuvgm.engines import get_engine

COMPONENTS, FEATURES = 10, 8
ITERATIONS, ITERATIONS_OF_ONE = 10, 100
LEAST_OF_SEVERAL = 5.0
LARGEST_MEMORY = 0.25
LARGEST_LOSS = 1e-9  # nats a row that a search may stay below EM from ten starts
SEEN_ROWS = 20_000  # rows that the mixture is fitted to whose outputs are timed
SEARCHED_ROWS = 50_000  # fewer are no more than a trial
RESEARCH = {"n_components": COMPONENTS, "weight_concentration_prior": 0.001, "random_state": 0, "tol": 0.0}
Settings = Mapping[str, Any]


def measure(rows: int) -> list[Measurement]:
    """Fits of several features and of one, and outputs, over `rows` rows; one thread on both sides."""
    return [*several_features(clouds(rows, FEATURES)), *one_feature(amounts(rows)), *outputs(clouds(rows, FEATURES))]


def several_features(x: np.ndarray) -> list[Measurement]:
    """EM alone, from random responsibilities, and whole fits with the k-means start."""
    return [
        row
        for covariance in ("full", "diag")
        for words, start in (("EM alone", "random"), ("whole fit, k-means", "kmeans"))
        for row in beside_scikit_learn(
            x,
            {"n_components": COMPONENTS, "covariance_type": covariance, "init_params": start, "max_iter": ITERATIONS},
            {f"{words}, {covariance}, {FEATURES} features, {ITERATIONS} iterations": {}},
            LEAST_OF_SEVERAL if start == "random" else None,
        )
    ]


def one_feature(x: np.ndarray) -> list[Measurement]:
    """From random responsibilities to a model, by E-steps over every row and over the cells of a summary."""
    return beside_scikit_learn(
        x.reshape(-1, 1),
        {**RESEARCH, "init_params": "random", "max_iter": ITERATIONS_OF_ONE},
        {
            f"EM alone, 1 feature, {ITERATIONS_OF_ONE} iterations, {algorithm}": {"algorithm": algorithm}
            for algorithm in ("exact", "summary")
        },
        aim(40.0, 25.0),
    )


def beside_scikit_learn(
    x: np.ndarray, settings: Settings, cases: Mapping[str, Settings], least: float | None
) -> list[Measurement]:
    """Our fits, each with arguments of its own, and scikit-learn's with the same `settings`; best of runs in turns."""
    settings = {"random_state": 0, "tol": 0.0, **settings}
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as name:
        source = Path(name) / "rows.npy"
        np.save(source, x)
        sides = {SCIKIT_LEARN: settings, **{case: {**settings, **more} for case, more in cases.items()}}
        repeats = 3 if len(x) >= FITTED_ROWS else 1
        runs = [{side: run_side(side, source, arguments) for side, arguments in sides.items()} for _ in range(repeats)]
    best = {side: min((run[side] for run in runs), key=lambda result: result["total"]) for side in sides}
    return [fit_measurement(x, case, best[case], best[SCIKIT_LEARN], least) for case in cases]


def run_side(side: str, source: Path, settings: Settings) -> dict[str, Any]:
    """One fit in a fresh process."""
    library = SCIKIT_LEARN if side == SCIKIT_LEARN else "gpuvgm"
    return found_by("benchmarks.estimator", library, str(source), json.dumps(settings))


def fit_measurement(
    x: np.ndarray, case: str, ours: dict[str, Any], theirs: dict[str, Any], least: float | None
) -> Measurement:
    """Time of a fit, and its peak memory above that of the rows; no aim where k-means has a part in both."""
    share = ours["peak_memory"] / max(theirs["peak_memory"], 1)
    memory = f"{mebibytes(ours['peak_memory'])}, {share_text(share, None if least is None else LARGEST_MEMORY)}"
    return Measurement(
        case,
        len(x),
        ours["total"],
        {SCIKIT_LEARN: theirs["total"]},
        {} if least is None else {SCIKIT_LEARN: least},
        row_bytes=FLOAT_BYTES * x.shape[1],
        details={
            "peak_memory": ours["peak_memory"],
            "memory_share": share,
            "largest_memory_share": None if least is None else LARGEST_MEMORY,
            "sides": {"gpuvgm": ours, SCIKIT_LEARN: theirs},
        },
        notes={f"peak memory above the rows, against {SCIKIT_LEARN}": memory},
    )


def outputs(x: np.ndarray) -> list[Measurement]:
    """Probabilities and log densities of all rows, from mixtures fitted to some of them."""
    settings = {"n_components": COMPONENTS, "random_state": 0, "tol": 0.0, "max_iter": ITERATIONS}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (estimator(side, settings).fit(x[:SEEN_ROWS]) for side in ("gpuvgm", SCIKIT_LEARN))
        return [output(x, method, ours, theirs) for method in ("predict_proba", "score_samples")]


def output(x: np.ndarray, method: str, ours: Any, theirs: Any) -> Measurement:
    """One method of both."""
    functions = {"ours": lambda: getattr(ours, method)(x), "theirs": lambda: getattr(theirs, method)(x)}
    times = median_times(functions, 3)
    case, row_bytes = f"{method}, full, {x.shape[1]} features", FLOAT_BYTES * x.shape[1]
    return Measurement(case, len(x), times["ours"], {SCIKIT_LEARN: times["theirs"]}, row_bytes=row_bytes)


def best_effort(rows: int) -> list[Measurement]:
    """The bound that effort="best" reaches on summaries of columns, beside EM over the rows from ten starts."""
    return [searched(name, x) for name, x in columns(rows).items()]


def searched(name: str, x: np.ndarray) -> Measurement:
    """One column; the time is that of a whole fit, less one pass over the rows."""
    long, grid = len(x) >= SEARCHED_ROWS, plan_for(x).grid
    research = {**RESEARCH, "algorithm": "exact", "n_init": 10 if long else 2, "max_iter": 3000 if long else 20}
    exact, best = (
        estimator("gpuvgm", settings) for settings in (research, {**RESEARCH, "algorithm": "summary", "effort": "best"})
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = seconds_of(lambda: best.fit(x.reshape(-1, 1)))
        theirs = seconds_of(lambda: exact.fit(x.reshape(-1, 1)))
    one_pass = median_times({"pass": lambda: get_engine("auto").summarise(x, grid)})["pass"]
    bounds = {"exact": exact.lower_bound_ / len(x), "best": best.lower_bound_ / len(x)}
    gain = bounds["best"] - bounds["exact"]
    shown = {f"bound a row, {effort}": f"{bound:.6f}" for effort, bound in bounds.items()}
    return Measurement(
        name,
        len(x),
        max(whole - one_pass, 1e-9),
        {"exact": theirs},
        details={"bounds": bounds, "gain": gain, "pass": one_pass, "fit_error": best.fit_error_, "exact": research},
        notes={**shown, "gain": f"{gain:+.2e}{', missed' if gain < -LARGEST_LOSS else ''}"},
    )


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
        from gpuvgm.execution import LocalExecutor

        return BayesianGaussianMixture(executor=LocalExecutor(1), **settings)
    from sklearn.mixture import BayesianGaussianMixture

    return BayesianGaussianMixture(**settings)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))))
