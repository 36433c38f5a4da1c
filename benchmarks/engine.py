"""Engine calls over rows in memory beside numpy.sum, a NumPy formula and scikit-learn, and times of imports."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

import gpuvgm
from benchmarks.inputs import COLUMN, CONTINUOUS, FITTED_ROWS, amounts, fitted_column, lognormal, plan_for
from benchmarks.machine import aim, instruction_sets
from benchmarks.measure import Measurement, beside_yardsticks, median_times, seconds_of
from gpuvgm.config import FitConfig
from gpuvgm.engines import Draw, Engine, get_engine
from gpuvgm.engines.base import PLAIN
from gpuvgm.mixture import Prior, Rows
from gpuvgm.mixture.accumulate import hard_start, over_rows
from gpuvgm.mixture.em import MixtureFit, Objective, Stopping, fit_mixture
from gpuvgm.summary import Cells

SCIKIT_LEARN = "scikit-learn"
LEAST_OF_SUM = 0.10
LEAST_OF_SCIKIT_LEARN = 200.0


def measure_fit(rows: int) -> list[Measurement]:
    """Summary passes over `rows` rows, and whole fits of at most a million."""
    return [
        *summary_pass("summary pass, cents", amounts(rows)),
        *summary_pass("summary pass, lognormal", lognormal(rows)),
        whole_fit(amounts(min(rows, FITTED_ROWS))),
    ]


def summary_pass(case: str, x: np.ndarray) -> list[Measurement]:
    """One engine call over all rows; grid and centres come from a sample, before."""
    engine, grid = get_engine("auto"), plan_for(x).grid
    return beside_yardsticks(x, {case: lambda: engine.summarise(x, grid)}, {case: LEAST_OF_SUM})


def whole_fit(x: np.ndarray) -> Measurement:
    """From an array in memory to a model, one thread each; one start, k-means included on both sides."""
    transformer = gpuvgm.TableTransformer(CONTINUOUS, threads=1, effort="research")
    with threadpool_limits(1):
        ours = median_times({"fit": lambda: transformer.fit({COLUMN: x})})["fit"]
        theirs = seconds_of(lambda: scikit_learn_fit(x, "kmeans"))
    case = "whole fit, cents, 100 iterations"
    return Measurement(case, len(x), ours, {SCIKIT_LEARN: theirs}, {SCIKIT_LEARN: LEAST_OF_SCIKIT_LEARN})


def scikit_learn_fit(x: np.ndarray, start: str, iterations: int = 100, tol: float = 0.0) -> object:
    """scikit-learn's mixture with the arguments that CTGAN and RDT give it, and no early end where `tol` is 0."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    mixture = BayesianGaussianMixture(
        n_components=10,
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=0.001,
        max_iter=iterations,
        init_params=start,
        tol=tol,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x.reshape(-1, 1))


ITERATIONS = 100


def measure_exact(rows: int) -> list[Measurement]:
    """An E-step over `rows` rows, and 100 iterations over at most a million."""
    return [*e_step(amounts(rows)), expectation_maximisation(amounts(min(rows, FITTED_ROWS)))]


def e_step(x: np.ndarray) -> list[Measurement]:
    """One E-step with ten components."""
    mixture = fitted_column(len(x)).mixture
    assert mixture is not None
    engine, table = get_engine("auto"), mixture.posterior.kernel_table(mixture.frame)
    case = "exact E-step, 10 components"
    return beside_yardsticks(x, {case: lambda: engine.e_step(x, None, None, table)}, {case: aim(0.04, 0.025)})


def expectation_maximisation(x: np.ndarray) -> Measurement:
    """EM alone, k-means apart: scikit-learn starts from random responsibilities, which costs it next to nothing."""
    with threadpool_limits(1):
        ours = median_times({"em": exact_em(x)}, 3)["em"]
        theirs = seconds_of(lambda: scikit_learn_fit(x, "random", ITERATIONS))
    case = f"exact EM, {ITERATIONS} iterations"
    return Measurement(case, len(x), ours, {SCIKIT_LEARN: theirs}, {SCIKIT_LEARN: aim(40.0, 25.0)})


def exact_em(x: np.ndarray) -> Callable[[], MixtureFit]:
    """EM over every row from settled centres, ready to be called."""
    engine, config = get_engine("auto"), FitConfig(effort="research", tol=0.0, max_iter=ITERATIONS)
    plan = plan_for(x, config)
    frame = plan.grid.frame
    y = frame.apply(x)
    (seeds,) = plan.starts
    start = hard_start(y, np.ones(len(y)), np.zeros(len(y)), seeds.nearest(y), seeds.centres)
    prior = Prior.of_column(*Cells.of_values(y, np.ones(len(y))).mean_and_variance(), frame, config)
    stopping = Stopping.of(config, len(x))
    objective = Objective(over_rows(engine, Rows.of(x), frame), prior, len(x))
    return lambda: fit_mixture(objective, prior.update(start), stopping)


NUMPY = "NumPy formula"
BLOCK_ROWS = 1 << 20


def measure_transform(rows: int) -> list[Measurement]:
    """Drawn, most probable and onehot over `rows` rows; the NumPy formula over at most a million."""
    x = amounts(rows)
    run = Transform(x, get_engine("auto"))
    cases = {"sampled": run.sampled, "argmax": run.argmax, "sampled, onehot matrix": run.onehot}
    aims = {"sampled": aim(0.03, 0.02), "argmax": 0.04}
    others = {f"sampled, {name}": Transform(x, engine_with(name)).sampled for name in instruction_sets()[1:]}
    return [*beside_yardsticks(x, {**cases, **others}, aims), beside_numpy(x[:FITTED_ROWS])]


def beside_numpy(x: np.ndarray) -> Measurement:
    """A million rows by the engine and by the formula in NumPy."""
    formula = Transform(x, get_engine("reference"))
    times = median_times({"sampled": Transform(x, get_engine("auto")).sampled, NUMPY: formula.sampled}, 3)
    return Measurement("sampled", len(x), times["sampled"], {NUMPY: times[NUMPY]})


def engine_with(instruction_set: str) -> Engine:
    """The native engine on an instruction set."""
    engine: Any = import_module("gpuvgm.engines.native").NativeEngine(instruction_set)
    return engine  # type: ignore[no-any-return]


class Transform:
    """An engine's encoding into buffers that are there already."""

    def __init__(self, x: np.ndarray, engine: Engine) -> None:
        self.column = fitted_column(len(x))
        self.x, self.engine = x, engine
        self.scalar, self.code = np.zeros(len(x), np.float32), np.zeros(len(x), np.int8)
        self.table = self.column.encode_table
        self.matrix = np.zeros((min(len(x), BLOCK_ROWS), 1 + self.column.width), np.float32)

    def sampled(self) -> None:
        """Modes drawn from the posterior."""
        self.engine.encode(self.x, PLAIN, self.table, self._draw(0), (self.scalar, self.code))

    def argmax(self) -> None:
        """Most probable modes."""
        draw = Draw(0, self.column.column_id, most_probable=True)
        self.engine.encode(self.x, PLAIN, self.table, draw, (self.scalar, self.code))

    def onehot(self) -> None:
        """Modes drawn, and the matrix of scalar and one-hot columns, block by block into the same matrix."""
        for start in range(0, len(self.x), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            x, scalar, code = self.x[part], self.scalar[part], self.code[part]
            self.engine.encode(x, PLAIN, self.table, self._draw(start), (scalar, code))
            self.engine.fill_onehot([(scalar, code, self.column.width)], self.matrix[: len(x)])

    def _draw(self, first_row: int) -> Draw:
        return Draw(0, self.column.column_id, first_row)


LEAST_OF_INVERSE = 0.20


def measure_inverse(rows: int) -> list[Measurement]:
    """Scalars and modes of `rows` rows back to values; the NumPy formula over at most a million."""
    x = amounts(rows)
    encoded = Transform(x, get_engine("auto"))
    encoded.sampled()
    table, values = encoded.column.decode_table, np.empty(rows)

    def inverse(engine: str, count: int) -> None:
        rows_of = slice(0, count)
        get_engine(engine).decode(encoded.scalar[rows_of], encoded.code[rows_of], PLAIN, table, values[rows_of])

    few = min(rows, FITTED_ROWS)
    pair = median_times({"native": lambda: inverse("auto", few), NUMPY: lambda: inverse("reference", few)})
    return [
        *beside_yardsticks(x, {"inverse": lambda: inverse("auto", rows)}, {"inverse": LEAST_OF_INVERSE}),
        Measurement("inverse", few, pair["native"], {NUMPY: pair[NUMPY]}),
    ]


LARGEST_SECONDS = 0.2
AIM = f"{LARGEST_SECONDS} s"
IMPORT_NUMPY, IMPORT_ALONE = "import numpy", "import gpuvgm"
FRESH_RUNS = 7
BEFORE = "BENCHMARK_BEFORE"  # a variable that may name an interpreter with another build of gpuvgm, which takes turns
_BUILD_BEFORE = ", before"


def measure_imports(rows: int) -> list[Measurement]:
    """CPU seconds of fresh interpreters: imports, and the command that fits `rows` rows of three columns."""
    cases = {
        IMPORT_NUMPY: ["-c", IMPORT_NUMPY],
        IMPORT_ALONE: ["-c", IMPORT_ALONE],
        f"{IMPORT_ALONE}, first use of TableTransformer": ["-c", "import gpuvgm; gpuvgm.TableTransformer"],
        f"{IMPORT_ALONE}, first use of TableSynthesizer": ["-c", "import gpuvgm; gpuvgm.TableSynthesizer"],
        f"command fit, {rows:,} rows, 3 columns": ["-m", "gpuvgm", "fit", "rows.parquet", "--model", "model"],
    }
    builds = {"": sys.executable} | ({_BUILD_BEFORE: os.environ[BEFORE]} if BEFORE in os.environ else {})
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as name:
        table = {"amount": amounts(rows), "size": lognormal(rows), "letter": np.resize([*"abc"], rows)}
        pq.write_table(pa.table(table), Path(name) / "rows.parquet")
        functions = {
            case + build: partial(run_fresh, [interpreter, *arguments], name)
            for case, arguments in cases.items()
            for build, interpreter in builds.items()
        }
        times = median_times(functions, FRESH_RUNS, seconds_of_children)
    measured = []
    for case in [*cases][1:]:
        yardsticks = {IMPORT_NUMPY: times[IMPORT_NUMPY]}
        if _BUILD_BEFORE in builds:
            yardsticks["the build before"] = times[case + _BUILD_BEFORE]
        aim = {AIM: 1.0} if case == IMPORT_ALONE else {}
        measured.append(Measurement(case, 1, times[case], yardsticks | dict.fromkeys(aim, LARGEST_SECONDS), aim))
    return measured


def run_fresh(command: Sequence[str], folder: str) -> None:
    """Run a command in a folder; compiled modules are kept, as they are of what is installed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.DEVNULL)


def seconds_of_children() -> float:
    """CPU seconds of all processes that this one has started and that have ended."""
    used = os.times()
    return used.children_user + used.children_system
