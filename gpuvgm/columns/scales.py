"""Scale and spikes of a column of numbers that make a mixture of a few Gaussians likeliest for a sample of it.

Amounts of money need most components for the long tail of their values, and none for that of their logarithms.
Candidates are compared by the log-likelihood of values that they were not fitted to, in the unit of the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import ascending, distinct_values
from gpuvgm.codecs import (
    MOST_STRAYS,
    AsinhCodec,
    Codec,
    CurvedCodec,
    DatetimeCodec,
    FloatCodec,
    IntegerCodec,
    Number,
    are_dust,
    codec_for,
    rounding_in,
    rounding_variance,
    unit_of,
    with_learned_step,
)
from gpuvgm.columns.mixture_model import FAR_OUT
from gpuvgm.columns.sentinels import find_sentinels, least_rows
from gpuvgm.config import FitConfig
from gpuvgm.mixture import Posterior, Prior, fit_from_quantiles, normal_cdf
from gpuvgm.summary import Cells, Floats, Frame

LEAST_VALUES = 200  # but zeros: fewer are too few to compare scales by
MOST_VALUES = 1 << 12  # one half is fitted to, the other decides
LEAST_TAIL = 2.4  # of the outermost 0.5 % in quartile ranges; 1.9 for a Gaussian, 4.2 for an exponential distribution
LEAST_STEPS = 16  # in the median: shorter columns are counts, whose logarithms are few far apart values
MOST_STEPS = 1 << 43  # from zero: on a logarithmic scale float64 does not tell more of them apart
LEAST_GAIN, LEAST_MORE = 5e-3, 1e-3  # nats a row: over the plain scale, over another one
ITERATIONS, QUIET = 20, 1e-4
FAR_BELOW = 8  # a scale that is a logarithm for all values turns so far below the smallest
MOST_SPIKES = 8
LEAST_ZEROS = 1e-3  # of the rows
LEAST_SPIKE = 0.02  # of the rows
LEAST_SPIKE_RATIO = 3  # to what the mixture gives to the value
LEAST_SHARE_NAMED = 1e-3  # of the rows: of values that lie apart and get no one-hot column
NEIGHBOURS = 16  # whose median distance is the local one
LEAST_SPIKE_GAIN = 0.02  # nats a row: a spike costs a one-hot column


@dataclass(frozen=True, slots=True)
class Shape:
    """Scale and modal values that suit a column.

    Parameters
    ----------
    scale : mapping of str to float
        The option that declares the scale; empty for the plain one.
    modal : tuple of int, float or str
        Values that get one-hot columns of their own, as a user writes them (decimals and dates as text): those that lie
        apart, those off the step that all others lie on, and those that are much more frequent than their neighbours.
    reason : str
        Why, in words; "" where there is nothing to say.
    """

    scale: Mapping[str, float]
    modal: tuple[int | float | str, ...]
    reason: str


def shape_of(
    sample: pa.ChunkedArray[Any], modal: Sequence[int | float], components: int, *, is_exact: bool = False
) -> Shape:
    """Scale and modal values of a column of numbers; of dates and times those that lie apart or off a step alone.

    Parameters
    ----------
    sample : pyarrow.ChunkedArray
        Values of a sample of its rows.
    modal : sequence of int or float
        Values that have one-hot columns of their own already.
    components : int
        Components that the mixture will have.
    is_exact : bool
        Whether every row shall come back as it is, floating-point dust too.
    """
    codec = codec_for("", sample)
    numbers = codec.encode_chunks(sample)
    ordinary = np.isfinite(numbers) & ~np.isin(numbers, [codec.number(codec.parse(value)) for value in modal])
    values, counts = distinct_values(numbers[ordinary])
    sentinels = _values_by_number(sample, numbers, find_sentinels(values, counts), max(0, MOST_SPIKES - len(modal)))
    rare_sentinels = _values_by_number(
        sample, numbers, np.setdiff1d(find_sentinels(values, counts, LEAST_SHARE_NAMED), [*sentinels])
    )
    apart = [*sentinels, *rare_sentinels]
    shares = counts[np.searchsorted(values, apart)] / counts.sum()
    shape = _with_sentinels(codec, sentinels, rare_sentinels, dict(zip(apart, shares.tolist(), strict=True)))
    ordinary &= ~np.isin(numbers, [*sentinels])
    codec, strays = with_learned_step(codec, sample, ordinary, MOST_STRAYS)
    all_numbers = codec.encode_chunks(sample)
    numbers = all_numbers[ordinary]
    is_stray = np.isin(numbers, [codec.number(value) for value in strays])
    if strays:
        shape = _with_strays(shape, codec, strays, numbers[is_stray], is_exact=is_exact)
    numbers = ascending(numbers[~is_stray])
    if isinstance(codec, DatetimeCodec):
        return shape
    is_zero = numbers == codec.number(0)
    zeros, room = np.count_nonzero(is_zero), max(0, MOST_SPIKES - len(shape.modal) - len(modal))
    if len(numbers) - zeros < LEAST_VALUES:
        if not least_rows(len(numbers), LEAST_SPIKE) <= zeros < len(numbers):
            return shape
        spikes = _find_spikes(_Trial.on(codec, numbers, components), codec, numbers, room)
        spikes = spikes[spikes == codec.number(0)]  # of few, no other is sure
        return _shape_with_spikes(shape, codec, codec, 0.0, _values_by_number(sample, all_numbers, spikes), numbers)
    best, gain = _best(codec, numbers[~is_zero], components)
    is_curved, spikes = best.codec is not codec, np.empty(0)
    if is_curved and zeros >= least_rows(len(numbers), LEAST_ZEROS):
        spikes = numbers[is_zero][:1]
    elif zeros:
        best = _Trial.on(best.codec, numbers, components)
    further_spikes = _find_spikes(best, codec, numbers, MOST_SPIKES)
    further_spikes = further_spikes[~np.isin(further_spikes, spikes)][: max(0, room - len(spikes))]
    if len(further_spikes):
        spikes = np.concatenate((spikes, further_spikes))
        best, gain = _best(codec, numbers[~np.isin(numbers, spikes)], components)
    return _shape_with_spikes(shape, codec, best.codec, gain, _values_by_number(sample, all_numbers, spikes), numbers)


def _values_by_number(
    sample: pa.ChunkedArray[Any], numbers: Floats, candidates: Floats, limit: int = MOST_SPIKES
) -> dict[float, Number]:
    """Values of some numbers in the sample, of the first few numbers that stand for one value each.

    Far from a codec's base float64 does not tell whole numbers apart.
    """
    values: dict[float, Number] = {}
    for number in candidates.tolist():
        rows = sample.filter(pa.array(numbers == number))
        nearby = codec_for("", rows)
        nearby_numbers = nearby.encode_chunks(rows)
        if len(values) < limit and not np.ptp(nearby_numbers):
            values[number] = nearby.value(float(nearby_numbers[0]) + 0.0)  # zero without a sign
    return values


def _values_as_written(codec: Codec, values: Sequence[Number]) -> tuple[int | float | str, ...]:
    """Values of a column as a user writes them."""
    return tuple(v if isinstance(codec, (FloatCodec, IntegerCodec)) else codec.show(v) for v in values)


def _with_sentinels(
    codec: Codec,
    sentinels: Mapping[float, Number],
    rare_sentinels: Mapping[float, Number],
    shares: Mapping[float, float],
) -> Shape:
    """Values that lie apart as modal ones; those that too few rows hold are named alone. All are given by number."""
    reasons = []
    for values, words in ((sentinels, "lie apart"), (rare_sentinels, "lie apart in few rows: modal if declared")):
        if values:
            texts = ", ".join(f"{codec.show(value)} ({100 * shares[number]:.2g} %)" for number, value in values.items())
            reasons.append(f"{texts} {words if len(values) > 1 else words.replace('lie', 'lies', 1)}")
    return Shape({}, _values_as_written(codec, [*sentinels.values()]), "; ".join(reasons))


def _with_strays(shape: Shape, codec: Codec, strays: Sequence[Number], numbers: Floats, *, is_exact: bool) -> Shape:
    """Shape with values off the step added as modal ones; floating-point dust is rounded to the step."""
    counts = np.array([np.count_nonzero(numbers == codec.number(value)) for value in strays])
    is_modal = is_exact | ~are_dust(codec, strays)
    reasons, modal = (
        [shape.reason] * bool(shape.reason),
        [v for v, is_chosen in zip(strays, is_modal, strict=True) if is_chosen],
    )
    for mask, outcome in ((is_modal, ""), (~is_modal, ": rounded to one")):
        texts = [codec.show(value) for value, is_chosen in zip(strays, mask, strict=True) if is_chosen]
        rows = int(counts[mask].sum())
        are = "is no multiple" if len(texts) == 1 else "are no multiples"
        text = f"{', '.join(texts)} ({rows:,} row{'s' * (rows != 1)}) {are} of {codec.step_text}, as all others are"
        reasons += [text + outcome] * bool(texts)
    return Shape({}, (*shape.modal, *_values_as_written(codec, modal)), "; ".join(reasons))


def _shape_with_spikes(
    shape: Shape, plain: Codec, codec: Codec, gain: float, spikes: Mapping[float, Number], numbers: Floats
) -> Shape:
    """Shape with a scale and spikes added to `shape`, with their reasons; spikes are values by number."""
    reasons = [shape.reason] if shape.reason else []
    if codec.formula:
        reasons.append(f"fitted as {codec.formula}, likelier by {gain:.2g} nats a row")
    texts = [f"{plain.show(value)} ({100 * np.mean(numbers == spike):.2g} %)" for spike, value in spikes.items()]
    if texts:
        reasons.append(f"{', '.join(texts)} stand{'s' * (len(texts) == 1)} out")
    return Shape(codec.declared, (*shape.modal, *_values_as_written(plain, [*spikes.values()])), "; ".join(reasons))


@dataclass(frozen=True, slots=True)
class _Trial:
    """A mixture fitted to some numbers on one scale.

    Parameters
    ----------
    codec : Codec
        The scale.
    frame : Frame
        Coordinates of the mixture.
    posterior : Posterior
        The mixture; no component is narrower than the rounding of the values.
    """

    codec: Codec
    frame: Frame
    posterior: Posterior

    @classmethod
    def on(cls, codec: Codec, numbers: Floats, components: int) -> _Trial:
        """Mixture on the scale of a codec; the numbers are those of the plain one, ascending."""
        inner = codec.of_inner(numbers)
        frame, config = Frame.around(inner), FitConfig(components, effort="research")  # whose prior wants few modes
        y, counts = distinct_values(frame.apply(inner))
        cells = Cells.of_values(y, counts.astype(np.float64))
        least_variance = 0.0 if isinstance(codec, CurvedCodec) else float(rounding_variance(codec, np.zeros(1))[0])
        prior = Prior.of_column(*cells.mean_and_variance(), frame, config, least_variance)
        posterior = fit_from_quantiles(cells, prior, components, ITERATIONS, QUIET)
        variances = np.maximum(posterior.covariances, rounding_in(codec, frame, posterior.means))
        return cls(codec, frame, replace(posterior, covariances=variances, slack=0.0))

    def log_density(self, numbers: Floats) -> Floats:
        """Logarithm of the density of numbers of the plain scale, in their unit."""
        inner = self.codec.of_inner(numbers)
        means, variances = self.posterior.means[:, None], self.posterior.covariances[:, None]
        parts = -0.5 * (self.frame.apply(inner) - means) ** 2 / variances - 0.5 * np.log(2 * np.pi * variances)
        top = np.max(parts, axis=0)
        shares = self.posterior.weights[:, None] * np.exp(parts - top)
        density = np.log(np.sum(shares, axis=0)) + top + np.log(self.frame.scale)
        if isinstance(self.codec, CurvedCodec):
            density -= np.log(self.codec.slope(inner) * self.codec.unit)
        return np.asarray(density)

    def below(self, numbers: Floats) -> Floats:
        """Distribution function at numbers of the plain scale."""
        y = self.frame.apply(self.codec.of_inner(numbers))
        component_shares = normal_cdf(
            (y - self.posterior.means[:, None]) / np.sqrt(self.posterior.covariances[:, None])
        )
        return np.asarray(self.posterior.weights @ component_shares)


def _best(codec: Codec, numbers: Floats, components: int) -> tuple[_Trial, float]:
    """Likeliest scale of ascending numbers, and its gain over the plain one in nats a row."""
    sample = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), MOST_VALUES)).astype(np.int64)]
    training, held_out = np.append(sample[::2], sample[-1:][len(sample) % 2 :]), sample[1::2]  # both ends are learnt
    # One row may lie anywhere.
    with np.errstate(over="ignore"):
        width = np.clip(sample[-1] - sample[0], np.finfo(float).tiny, np.finfo(float).max)
    floor = np.log(1 / len(sample)) - np.log(width)
    best = _Trial.on(codec, training, components)
    plain = highest = float(np.mean(np.logaddexp(best.log_density(held_out), floor)))
    for size in _sizes(codec, sample):
        trial = _Trial.on(AsinhCodec.around(codec, size), training, components)
        likelihood = float(np.mean(np.logaddexp(trial.log_density(held_out), floor)))
        if likelihood > highest + (LEAST_GAIN if highest == plain else LEAST_MORE):
            best, highest = trial, likelihood
    return best, highest - plain


def _sizes(codec: Codec, numbers: Floats) -> list[float]:
    """Sizes where a scale may turn into a logarithm, the largest first; none for columns that need no such scale."""
    low, lower, middle, upper, high = np.quantile(numbers, [0.005, 0.25, 0.5, 0.75, 0.995])
    with np.errstate(over="ignore"):  # what is infinitely wide has no tail that is wider
        quartile_range, full_range = upper - lower, numbers[-1] - numbers[0]
        has_tail = max(high - middle, middle - low) > LEAST_TAIL * quartile_range
        if not (has_tail or full_range > FAR_OUT * quartile_range):
            return []
    unit = unit_of(codec)
    values = np.abs(numbers + codec.base) / unit
    smallest, small, size = np.quantile(values[values > 0], [0.001, 0.05, 0.5])
    step = codec.spacing / unit
    if size < LEAST_STEPS * step or values.max() > MOST_STEPS * step > 0:
        return []
    return [float(size), float(small), float(smallest) / FAR_BELOW]


def _find_spikes(trial: _Trial, codec: Codec, numbers: Floats, limit: int) -> Floats:
    """Numbers that many more rows hold than the mixture gives to them, the most frequent first; numbers ascend.

    The gain of a spike must pay for its one-hot column, and in few rows for telling which of the values it is and how
    frequent (the length of a description in two parts: Rissanen, 1978). One of a hundred values is always frequent by
    chance.
    """
    values, counts = distinct_values(numbers)
    shares = counts / len(numbers)
    frequent = np.flatnonzero(counts >= least_rows(len(numbers), LEAST_SPIKE))
    candidates = frequent[np.argsort(-shares[frequent], kind="stable")][:limit]
    if len(values) < 2 or not len(candidates):
        return np.empty(0)
    half = np.maximum(codec.spacing, _local_spacing(values, candidates)) / 2
    p = shares[candidates]
    q = np.clip(trial.below(values[candidates] + half) - trial.below(values[candidates] - half), 1e-12, 1 - 1e-12)
    gain = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    description_length = (np.log(len(values)) + np.log(len(numbers)) / 2) / len(numbers)
    return np.asarray(
        values[candidates][(p >= LEAST_SPIKE_RATIO * q) & (gain > max(LEAST_SPIKE_GAIN, description_length))]
    )


def _local_spacing(values: Floats, places: NDArray[np.int64]) -> Floats:
    """Median distance of neighbours around some of different values, which ascend."""
    gaps = np.diff(values)
    starts = np.clip(places - NEIGHBOURS // 2, 0, max(0, len(gaps) - NEIGHBOURS))
    neighbours = np.minimum(starts[:, None] + np.arange(NEIGHBOURS), len(gaps) - 1)
    return np.asarray(np.median(gaps[neighbours], axis=1))
