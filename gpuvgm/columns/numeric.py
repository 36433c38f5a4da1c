"""Plans of columns of numbers, and how a fit on their summary becomes a continuous or mixed column."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, ascending, namespace_of, to_numpy
from gpuvgm.codecs import (
    MOST_STRAYS,
    SCALES,
    Codec,
    CurvedCodec,
    DatetimeCodec,
    Number,
    OfText,
    Refuted,
    UnreadText,
    are_dust,
    codec_for,
    ends_of,
    read_column,
    rounding_in,
    rounding_variance,
    unit_of,
    with_learned_step,
)
from gpuvgm.columns.base import MISSING, ColumnPlan, FitRecord
from gpuvgm.columns.continuous import MixtureColumn, falling
from gpuvgm.columns.coverage import Stretches, modes_of_tails, tail_modes, with_needed
from gpuvgm.columns.general import GeneralColumn, column_of_range
from gpuvgm.columns.mixture_model import FAR_OUT, EncodingRules, MixtureModel, Quantiles
from gpuvgm.columns.numbers import range_of
from gpuvgm.columns.specs import ColumnRequest
from gpuvgm.config import FitConfig
from gpuvgm.engines import Coverage, Engine, RowRules
from gpuvgm.errors import InferenceWarning, warn
from gpuvgm.mixture import ColumnFit, MixturePlan, Posterior, Rows, Seeds, StickBreaking, SummaryConfig
from gpuvgm.summary import STRAYS, Cells, Floats, Frame, Grid, Masses, Summary

_LOG = logging.getLogger("gpuvgm")
WIDENING = 0.1  # quartile ranges: one row so many times farther out than there are rows widens them so much
SEEDING_ROWS = 1 << 15  # rows of the sample that k-means runs on before a search
CORRECT = 'correct them, name those that mean a missing value in na_values, or declare the column "categorical"'
ROUNDING = 1e-12  # of the distance between centres: what k-means on shifted numbers moves them by


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPlan(MixturePlan, ColumnPlan):
    """What is settled about a column of numbers before its rows are read.

    Parameters
    ----------
    grid, starts, refinements, trusted
        As for `MixturePlan`; there is no start where centres are not needed, or come later.
    name, kind : str
        The column; "general", "continuous" or "mixed".
    codec : Codec
        Values to numbers and back.
    modal : tuple
        Listed modal values in the codec's unit; None for "missing".
    config : FitConfig
        How to fit.
    rules : EncodingRules
        How scalars are made.
    clip : bool
        For general columns: keep values within the range.
    spread : float
        Of numbers on the plain scale: the sample's quartile range; 0 where no row can be too far out.
    sampled_range : tuple of float
        The sample's smallest and largest number.
    is_final : bool
        Whether no other plan is made where the rows refute this one.
    strays : tuple of float
        Numbers of the plain scale that are floating-point dust beside a multiple of the step, and rounded to it.
    """

    name: str
    kind: str
    codec: Codec
    modal: tuple[Number | None, ...]
    config: FitConfig
    rules: EncodingRules
    clip: bool = False
    spread: float = 0.0
    sampled_range: tuple[float, float] = (np.inf, -np.inf)
    is_final: bool = True
    strays: tuple[float, ...] = ()
    fitted_together: ClassVar[bool] = True

    @classmethod
    def of_fitted(cls, column: MixtureColumn | GeneralColumn, request: ColumnRequest, summary: Summary) -> NumberPlan:
        """Plan of a fitted column: the grid and the strays of its summary, and the centres it would start from."""
        plan = partial(
            cls, name=column.name, kind=column.kind, codec=column.codec, config=request.config, grid=summary.grid
        )
        if isinstance(column, GeneralColumn):
            return plan(modal=(), rules=request.rules, clip=column.clip)
        mixture = column.mixture
        return plan(
            modal=column.modal_values,
            rules=column.rules,
            starts=() if mixture is None else (Seeds(mixture.centres),),
            trusted=mixture is not None and summary.grid.is_split_between(mixture.centres, ROUNDING),
            strays=summary.strays,
        )

    @property
    def ranged(self) -> bool:
        """Whether the column needs its range only."""
        return self.kind == "general"

    @property
    def settings(self) -> SummaryConfig:
        """How to fit; see `MixturePlan.settings`."""
        return SummaryConfig.of_column(self.config, self.grid.frame, len(self.centres), _least_variance(self))

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Whether rows of a type that lie on a device are summarised there; see `Codec.works_on_device`."""
        return self.codec.works_on_device(type_)

    def running(self, engine: Engine, type_: pa.DataType) -> RunningNumbers | None:
        """The summary of rows of a device that stay there; see `ColumnPlan.running`."""
        rules = self.codec.modal_rules(type_, self.modal, on_device=True)
        return None if rules is None or not self.works_on_device(type_) else RunningNumbers(engine, self, rules)

    def statistics(self, engine: Engine, values: Column, first_row: int) -> Summary:
        """Summary of rows, with the rows of each modal value counted apart."""
        values = _readable_rows(self, values, first_row)
        rules = self.codec.modal_rules(values.type, self.modal, on_device=isinstance(values, DeviceColumn))
        if rules is not None:
            rows, missing = self.codec.stored_rows(values)
            summary = engine.summarise(rows, self.grid, rules, missing)
            if not summary.off_step:
                return summary
            return self._with_strays(summary, values, self.codec.ordinary_numbers(values, self.modal, engine)[0])
        numbers, which = self.codec.ordinary_numbers(values, self.modal, engine)
        summary = engine.summarise(numbers, self.grid)
        summary = replace(summary, ends=ends_of(self.codec, values, numbers, summary.minimum, summary.maximum))
        summary = self._with_strays(summary, values, numbers)
        if not self.modal:
            return summary
        modal = [0] * len(self.modal)
        if which is not None:
            modal = to_numpy(namespace_of(which).bincount(which + 1, minlength=len(modal) + 1))[1:].tolist()
        return replace(summary, missing=summary.missing - sum(modal), modal=tuple(modal))

    def _with_strays(self, summary: Summary, values: Column, numbers: Floats) -> Summary:
        """The summary with the rows off the step, if there are any, and the least of their values."""
        off = self.codec.off_step_rows(values, numbers)
        if off is None or not off.any():
            return summary
        strays = _least_values(self.codec.plain.encode(values)[off])
        return replace(summary, off_step=int(off.sum()), strays=strays)

    def reseeded(self, summary: Summary) -> NumberPlan:
        """The plan, with centres from the summary's cells where the sample had too few ordinary values for them."""
        if self.ranged or len(self.centres) >= min(self.config.n_components, summary.ordinary):
            return self
        cells = summary.cells()
        repeats = np.minimum(cells.weight, self.config.n_components).astype(np.int64)
        rows = np.repeat(cells.mean, repeats)
        seeds = Seeds.of(rows, self.config.n_components, self.config.random_state)
        return replace(self, starts=(seeds,), trusted=False)

    def confirmed(self, summary: Summary) -> NumberPlan:
        """The plan as all rows confirm or change it.

        A general column that has missing rows becomes a mixed one, since a range has no place for them. A step that
        some row is no multiple of is given up where the plan is final and does not know the value as one to be rounded.

        Raises
        ------
        Refuted
            For rows off the step, where another plan is made: few different ones can have modes of their own; with
            more, another step or none is right.
        """
        plan = replace(self, kind="mixed") if self.ranged and summary.missing else self
        if summary.off_step and plan.codec != plan.codec.without_step():
            rows, step = summary.off_step, plan.codec.step_text
            are = "value is no multiple" if rows == 1 else "values are no multiples"
            message = f'column "{plan.name}": {rows:,} {are} of {step}, as those of the sample are'
            if set(summary.strays) <= set(plan.strays):
                _LOG.info("%s; rounded to it", message)
                return plan
            if not plan.is_final:
                strays: Any = plan.codec.without_step().plain.decode(np.array(summary.strays))
                raise Refuted(message, strays.to_pylist())
            warn(f"{message}; it has no step", InferenceWarning, ("step", plan.name))
            plan = replace(plan, codec=plan.codec.without_step())
        return plan

    def check_reach(self, summary: Summary) -> None:
        """Tell of a row so far out that the prior, which is as wide as all rows, widens every component.

        Raises
        ------
        Refuted
            Where the sample had no such row and another plan is made: with it another scale may be likelier.
        """
        reach, rows = summary.maximum - summary.minimum, summary.ordinary
        if not self.spread or reach <= FAR_OUT * self.spread or reach <= WIDENING * self.spread * rows:
            return
        low, high = map(self.codec.value_text, range_of(self.codec, summary))
        half = f"half of them lie within {self.spread / unit_of(self.codec):.3g}"
        message = f'column "{self.name}": values reach from {low} to {high}, {half}'
        least, most = self.sampled_range
        if not self.is_final and not least <= summary.minimum <= summary.maximum <= most:
            values: Any = self.codec.decode(np.array([summary.minimum, summary.maximum]))
            raise Refuted(f"{message}; declare a scale", values.to_pylist())
        remedy = 'clean the extreme ones, or declare {"asinh": SIZE}'
        warn(f"{message}, which widens all modes: {remedy}", InferenceWarning, ("reach", self.name))

    def fitted(self, engine: Engine, column: ColumnFit[NumberPlan]) -> MixtureColumn | GeneralColumn:
        """The column's model from its summary and its fit, which a column without an ordinary value has not."""
        summary, outcome = column.sums, column.outcome
        if self.ranged:
            return column_of_range(self.name, self.codec, summary, clip=self.clip)
        if outcome is None:
            return _column(self, summary, None, FitRecord("none", summary.rows, summary.missing))
        cells = summary.cells()
        record = FitRecord(
            algorithm="exact" if outcome.exact else "summary",
            rows=summary.rows,
            missing=summary.missing,
            iterations=len(outcome.fit.bounds),
            converged=outcome.fit.converged,
            lower_bound=outcome.fit.bounds[-1],
            fit_error=outcome.error,
            effort=self.config.effort,
            bound_with_fewer=None if outcome.search is None else outcome.search.bound_with_fewer,
            cells=len(cells.mean),
            refinements=self.refinements,
        )
        posterior = outcome.fit.posterior
        if self.config.effort != "research":
            posterior = before_rounding(self.codec, self.grid.frame, posterior)
            concentration = StickBreaking.of(FitConfig.SPARSE, posterior.counts)  # weights: rows alone
            posterior = replace(posterior, concentration=concentration)
        model = _column(self, summary, _mixture(engine, self, summary, cells, posterior), record)
        return replace(model, quantiles=Quantiles.of(cells, self.grid.frame))


def _least_values(numbers: Array) -> tuple[float, ...]:
    """The least different numbers, at most `STRAYS`, ascending."""
    values: list[float] = []
    while len(numbers) and len(values) < STRAYS:
        values.append(float(numbers.min()))
        numbers = numbers[numbers > values[-1]]
    return tuple(values)


def _readable_rows(plan: NumberPlan | LowestPlan, values: Column, first_row: int) -> Column:
    """Rows where and as the plan's codec works; text that it cannot read is refused with its place."""
    try:
        return plan.codec.rows_of(values)
    except UnreadText as problem:
        raise problem.at(plan.name, f"row {first_row + problem.row}", CORRECT) from problem


class RunningNumbers:
    """What `NumberPlan.statistics` gives for all blocks of a device, merged, without a look at them between blocks.

    Parameters
    ----------
    engine : Engine
        Who sums up.
    plan : NumberPlan
        What is settled about the column.
    rules : RowRules
        How its values become numbers.
    """

    def __init__(self, engine: Engine, plan: NumberPlan, rules: RowRules) -> None:
        self._codec, self._sums = plan.codec, engine.running_summary(plan.grid, rules)

    def add(self, values: DeviceColumn) -> None:
        """Add a block of rows; where this fails, none of them is added."""
        self._sums.add(*self._codec.stored_rows(values))

    def statistics(self) -> Summary | None:
        """Summary of all rows; None where rows off the step are to be named."""
        summary = self._sums.summary()
        return None if summary.off_step else summary


@dataclass(frozen=True, slots=True)
class Lowest:
    """The smallest ordinary value of some rows in the codec's unit; None where there is none."""

    rows: int
    value: Number | None

    def merge(self, lowest: Lowest) -> Lowest:
        """The smaller one."""
        values = [value for value in (self.value, lowest.value) if value is not None]
        return Lowest(self.rows + lowest.rows, min(values, default=None))


@dataclass(frozen=True, slots=True)
class LowestPlan(ColumnPlan):
    """Looks for the smallest ordinary value of a column, which decides the logarithm that it gets."""

    request: ColumnRequest
    codec: Codec
    modal: tuple[Number | None, ...]
    comes_first: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The column."""
        return self.request.name

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Whether rows of a type that lie on a device are looked at there; see `Codec.works_on_device`."""
        return self.codec.works_on_device(type_)

    def statistics(self, engine: Engine, values: Column, first_row: int) -> Lowest:
        """Smallest ordinary number of rows."""
        values = _readable_rows(self, values, first_row)
        numbers, _ = self.codec.ordinary_numbers(values, self.modal, engine)
        finite = numbers[namespace_of(numbers).isfinite(numbers)]
        low, high = (float(finite.min()) + 0.0, float(finite.max())) if len(finite) else (np.inf, -np.inf)  # no -0.0
        ends = ends_of(self.codec, values, numbers, low, high)
        return Lowest(len(numbers), None if ends is None else ends[0])

    def next_plan(self, statistics: Lowest, sample: pa.ChunkedArray[Any]) -> NumberPlan:
        """The column's own plan, with the logarithm for the smallest value."""
        return plan_numbers(replace(self.request, lowest=statistics.value), sample)


def plain_codec(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> Codec:
    """Codec of a column without its step and its logarithm."""
    spec = request.spec
    rules = {"infinite_is_missing": request.infinite_is_missing, "integer": spec.integer}
    return codec_for(request.name, sample, **rules, parse=spec.parse, na_values=spec.na_values)


def first_plan(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> NumberPlan | LowestPlan:
    """Plan of a column of numbers, or of the scan that it needs before."""
    if not request.spec.needs_lowest:
        return plan_numbers(request, sample)
    codec = plain_codec(request, sample)
    return LowestPlan(request, codec, codec.modal_values(request.name, request.spec.modal))


def plan_numbers(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> NumberPlan:
    """Codec, centres and grid of a column from a sample of its values.

    Parameters
    ----------
    request : ColumnRequest
        What is asked for.
    sample : pyarrow.ChunkedArray
        A sample of its values.
    """
    codec = plain_codec(request, sample)
    modal = codec.modal_values(request.name, request.spec.modal)
    numbers = numbers_of(codec, modal, sample)
    plain = codec
    sample = read_column(codec, sample)
    strays: tuple[float, ...] = ()
    if request.learns_steps:
        ordinary, keeps = np.isfinite(numbers), request.keeps_dust or isinstance(codec, OfText)
        stepped, off = with_learned_step(codec, sample, ordinary, 0 if keeps else MOST_STRAYS)
        if not np.all(are_dust(stepped, off)):
            stepped, off = with_learned_step(codec, sample, ordinary, 0)
        codec, strays = stepped, tuple(stepped.number(value) for value in off)
    if request.spec.curve is not None:
        name, setting = request.spec.curve
        codec = SCALES[name].around(codec, setting, request.lowest)
    if codec != plain:
        numbers = numbers_of(codec, modal, sample)
    frame = Frame.around(numbers, keep_small=request.config.standardize is False)
    ordinary = numbers[np.isfinite(numbers)]
    y = frame.apply(ordinary)
    starts: tuple[Seeds, ...] = ()
    centres = np.empty(0)
    if len(y) and (request.spec.kind != "general" or len(y) < len(numbers)):
        config, rows, most = request.config, y, Rows.SEED_ROWS  # as exact EM starts, where the sample is all rows
        if config.effort != "research":
            rows, most = ascending(y), SEEDING_ROWS  # the order of rows decides nothing
        seeds = Seeds.of(rows, config.n_components, config.random_state, most)
        starts, centres = (seeds,), seeds.centres
    grid = Grid.of(frame, Masses.of_sample(y), centres)
    kind, clip = "mixed" if plain.word_values else request.spec.kind, request.spec.clip
    plan = NumberPlan(
        name=request.name,
        kind=kind,
        codec=codec,
        modal=modal,
        config=request.config,
        rules=request.rules,
        grid=grid,
        starts=starts,
        clip=clip,
        is_final=request.is_final,
        strays=strays,
    )
    has_scale = kind != "general" and not isinstance(codec, (CurvedCodec, DatetimeCodec))
    if request.config.effort == "research" or not has_scale or not len(y):
        return plan
    low, lower, upper, high = np.quantile(ordinary, [0, 0.25, 0.75, 1]).tolist()
    return replace(plan, spread=upper - lower, sampled_range=(low, high))


def numbers_of(codec: Codec, modal: tuple[Number | None, ...], sample: pa.ChunkedArray[Any]) -> Floats:
    """Numbers of a sample, NaN for its missing and modal rows."""
    parts = [codec.ordinary_numbers(chunk, modal)[0] for chunk in sample.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])


def _least_variance(plan: NumberPlan) -> float:
    """Variance that no component's is below in the fit, where it is the same everywhere.

    That of a component as narrow as rounding makes a value, and as much again, which rounding adds: the density at a
    value is then near the probability of its interval, which a narrower one exceeds by half and more.
    """
    if plan.config.effort == "research" or isinstance(plan.codec, CurvedCodec):
        return 0.0
    return 2 * float(rounding_variance(plan.codec, np.zeros(1))[0])


def before_rounding(codec: Codec, frame: Frame, posterior: Posterior) -> Posterior:
    """The posterior of numbers before they were rounded to the step, no component narrower than rounding makes a value.

    Rounding adds its variance (Sheppard 1898): the fit sees it in the values, and decoding adds it anew.
    """
    rounding = rounding_in(codec, frame, posterior.means)
    return replace(posterior, covariances=np.maximum(posterior.covariances - rounding, rounding), slack=0.0)


def _mixture(engine: Engine, plan: NumberPlan, summary: Summary, cells: Cells, posterior: Posterior) -> MixtureModel:
    """Activity and mode counts, per cell at its mean, and tail modes."""
    table = posterior.kernel_table()
    counts = engine.count_most_probable(cells.mean, cells.weight, table)
    active = posterior.weights > plan.config.weight_threshold
    if plan.config.active_by == "rows":
        active &= counts > 0
    if not np.any(active):
        active = np.arange(len(counts)) == np.argmax(posterior.weights)
    centres = plan.centres
    if plan.rules.tails == "modes":
        active, tails, rows = _covering(plan, summary, cells, posterior, active)
        ends = np.split(rows, [np.count_nonzero(active)])
        return MixtureModel(plan.grid.frame, posterior, centres, counts, active, ends[0], tails, ends[1])
    active_counts = engine.count_most_probable(cells.mean, cells.weight, table.take(np.flatnonzero(active)))
    return MixtureModel(plan.grid.frame, posterior, centres, counts, active, active_counts)


def _covering(
    plan: NumberPlan, summary: Summary, cells: Cells, posterior: Posterior, active: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Active components and tail modes that hold every row, and the rows of each, by cells at their means."""
    frame, limit = plan.grid.frame, plan.rules.scalar_limit
    widths = plan.rules.scale * np.sqrt(posterior.covariances)
    minimum, maximum = frame.apply(np.array([summary.minimum, summary.maximum])).tolist()
    rows = Stretches.of(summary.masses(), minimum, maximum)
    active = with_needed(active, posterior.weights, posterior.means, limit * widths, rows)
    means, widths = posterior.means[active], widths[active]
    tails = tail_modes(means, limit * widths, rows, minimum, maximum)
    table = posterior.kernel_table().take(np.flatnonzero(active))
    further, wider = modes_of_tails(tails, limit)
    coverage = Coverage(table, np.concatenate((means, further)), np.concatenate((widths, wider)), limit)
    distance = cells.mean - means[:, None]
    likeliest = np.argmax(table.coefficients[:, None] - table.half_precisions[:, None] * distance**2, axis=0)
    mode, _ = coverage.hold(cells.mean, likeliest)
    return active, tails, np.bincount(mode, cells.weight, len(coverage.means)).astype(np.float64)


def _column(plan: NumberPlan, summary: Summary, mixture: MixtureModel | None, record: FitRecord) -> MixtureColumn:
    """Modal values, order and bounds around the mixture."""
    modal, counts = plan.modal, [*summary.modal, *[0] * (len(plan.modal) - len(summary.modal))]
    if summary.missing and MISSING not in modal:
        modal, counts = (*modal, MISSING), [*counts, 0]
    if MISSING in modal:
        counts[modal.index(MISSING)] = summary.missing
    minimum, maximum = range_of(plan.codec, summary)
    rows = [*counts, *([] if mixture is None else [*mixture.active_counts, *mixture.tail_counts])]
    column = MixtureColumn(
        name=plan.name,
        kind="mixed" if modal else "continuous",
        codec=plan.codec,
        rules=plan.rules,
        mixture=mixture,
        modal_values=modal,
        modal_counts=tuple(counts),
        order=falling(rows) if plan.config.active_by == "rows" else tuple(range(len(rows))),
        minimum=minimum,
        maximum=maximum,
        fit=record,
    )
    steps = plan.config.effort != "research" and plan.codec.step_text
    return replace(column, wide_scalars=True) if steps and column.resolution else column
