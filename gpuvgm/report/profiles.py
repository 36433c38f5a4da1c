"""What a page shows of a column of numbers beside its figures: histograms, modes, errors and how the fit went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtr

from gpuvgm.columns.base import FitRecord
from gpuvgm.columns.codecs import Codec, CurvedCodec, LogCodec, Number, plain
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.general import GeneralColumn
from gpuvgm.columns.text import modal_text, rounded_length_text, rounded_mean_text, value_text
from gpuvgm.io.arrow import type_of
from gpuvgm.report.axes import Binning
from gpuvgm.report.distributions import Pieces
from gpuvgm.report.encoded import EncodedCounts
from gpuvgm.report.histogram import ErrorHistogram
from gpuvgm.summary.grid import Floats, Ints, keys_of

_SPIKE_SHARE, _SPIKE_HEIGHT = 0.05, 5.0  # of the rows; times the mean of the bins beside it
_BESIDE = 3
_POINTS, _MOST_POINTS = 8, 64  # of a curve: for each bin, and in all
_VISIBLE = 2e-3  # of a curve's height
_NARROW = 1e-12
KS = 1e-3  # distances of more rows than chance and rounding explain
_FEW_ROWS = 5  # a step of KS is one row: so many change places with their neighbours where no value repeats
_ROUNDINGS = 2  # a place counts from the middle of the frame: the difference and the sum are rounded


@dataclass(frozen=True, slots=True)
class Curve:
    """Rows per length of the axis, averaged over about a bin, at places on the axis from 0 to 1."""

    places: tuple[float, ...]
    heights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows of a column in bins, before and after the round trip, without modal and missing ones.

    Parameters
    ----------
    edges : tuple of float
        Ascending, in the codec's numbers and `base`.
    base : int
        What the numbers count from.
    logarithmic : bool
        Whether the axis is logarithmic.
    places : tuple of float
        The edges on the axis, from 0 to 1.
    before, after : tuple of int
        Rows in each bin.
    below, above : int
        Rows before the round trip that lie outside all bins.
    curves : tuple of Curve
        For each active component, by rising mean, the rows that it expects.
    whole : Curve or None
        The same of the whole mixture, components that are no modes among it.
    """

    edges: tuple[float, ...]
    base: int
    logarithmic: bool
    places: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    below: int
    above: int
    curves: tuple[Curve, ...] = ()
    whole: Curve | None = None


@dataclass(frozen=True, slots=True)
class ModeProfile:
    """One cell of a column.

    Parameters
    ----------
    name : str
        Mean, modal value, or ends of a tail mode, for people.
    sd : str
        Standard deviation, for people; empty for modal values and tail modes.
    weight : float or None
        Fitted weight; None for modal values and tail modes.
    rows : int
        Rows that drew the cell.
    below, above : int
        How many of them were cut at the lower and the upper limit.
    scalars : tuple of int
        Rows by scalar: below -1, in `SCALAR_BINS` even bins, from 1 on; empty for modal values and tail modes.
    scalar_sd : float
        Standard deviation of the scalars of rows that are distributed as the mode.
    tail : bool
        Whether it is a tail mode.
    """

    name: str
    sd: str
    weight: float | None
    rows: int
    below: int
    above: int
    scalars: tuple[int, ...]
    scalar_sd: float = 0.0
    tail: bool = False


@dataclass(frozen=True, slots=True)
class Spike:
    """A value that many rows hold, though it is not modal.

    Parameters
    ----------
    text : str
        The value, for people.
    share : float
        Of the rows.
    declared : str
        How one would write the column's modal values with this one among them.
    options : mapping of str to bool
        What else was declared of the column, as far as its values need it.
    """

    text: str
    share: float
    declared: str
    options: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """Distributions of a continuous, mixed or general column.

    Parameters
    ----------
    type : str
        Arrow type.
    fit : FitRecord
        How the fit went.
    components : int
        Components that the mixture may use.
    tails : str
        "clip", "exact", or empty for general columns.
    histogram : Histogram or None
        None where there are no ordinary rows.
    modes : tuple of ModeProfile
        The cells: components by rising mean, then modal values.
    below, above : int
        Rows that were cut at the lower and the upper limit; of general columns, rows outside the range.
    errors : tuple of int
        Round-trip errors in [2^j, 2^(j + 1)) times `error_unit` sd, for j from -64 on.
    no_errors : int
        Rows that come back exactly.
    error_unit : float
        Unit of `errors`, in sd.
    spike : Spike or None
        The heaviest value that stands out.
    heaviest : float
        Share of the rows that hold the most frequent value, modal ones left out.
    other_weight : float
        Fitted weight of the components that are no modes; modes draw their rows.
    different : float
        Share of different values among the sampled ones, of whole numbers; 0 for others.
    """

    type: str
    fit: FitRecord
    components: int
    tails: str
    histogram: Histogram | None
    modes: tuple[ModeProfile, ...]
    below: int
    above: int
    errors: tuple[int, ...]
    no_errors: int
    error_unit: float
    spike: Spike | None
    heaviest: float = 0.0
    other_weight: float = 0.0
    different: float = 0.0


def plain_of(column: MixtureColumn | GeneralColumn) -> Codec:
    """The codec of a column's values: without the logarithm of log columns."""
    return plain(column.codec)


def histogram_of(column: MixtureColumn | GeneralColumn, before: Pieces, after: Pieces) -> Histogram:
    """Histogram of a column with at least one ordinary row before and after."""
    base = plain_of(column).base
    binning = Binning.of(before, base, has_zero=not _is_moment(type_of(column.type)))
    counts, below, above = binning.counts(before)
    curves = _curves(column, binning, before.rows) if column.mixture is not None else [None]
    return Histogram(
        edges=tuple(binning.edges.tolist()),
        base=base,
        logarithmic=binning.logarithmic,
        places=tuple(binning.places.tolist()),
        before=_whole(counts),
        after=_whole(binning.counts(after)[0]),
        below=round(below),
        above=round(above),
        curves=tuple(curve for curve in curves[:-1] if curve is not None),
        whole=curves[-1],
    )


def _is_moment(type_: pa.DataType) -> bool:
    """Whether the zero of a type is a day like others."""
    return pa.types.is_timestamp(type_) or pa.types.is_date(type_)


def _whole(counts: Floats) -> tuple[int, ...]:
    return tuple(round(count) for count in counts.tolist())


def _curves(column: MixtureColumn | GeneralColumn, binning: Binning, rows: float) -> list[Curve]:
    """Curves of the active components by rising mean, and of the whole mixture, for so many rows."""
    mixture = column.mixture
    assert mixture is not None
    active = components_by_mean(column)
    k = np.concatenate((active, np.flatnonzero(~column.active)))
    means = mixture.frame.invert(mixture.posterior.means)[k, None]
    last = len(binning.edges) - 1
    bins, ends = np.arange(-1, last + 2), np.linspace(-1, last + 1, _POINTS * (last + 2) + 1)
    numbers, places = (np.interp(ends, bins, _extended(edges)) for edges in (binning.edges, binning.places))
    if isinstance(column.codec, CurvedCodec):
        numbers = column.codec.of_inner(numbers)
    shares = column.weights[k, None] * np.diff(ndtr((numbers - means) / column.stds[k, None]))
    heights = np.nan_to_num(rows * _smoothed(shares) / np.maximum(np.diff(places), _NARROW))[:, _POINTS:-_POINTS]
    middles = ((places[:-1] + places[1:]) / 2)[_POINTS:-_POINTS]
    modes = heights[: len(active)]
    return [
        *(_thinned(middles, row) for row in modes),
        _thinned(middles, np.sum(heights, axis=0), 2 * _MOST_POINTS),
    ]


def _smoothed(shares: Floats) -> Floats:
    """Shares of each row averaged with those beside them, by a Hann window as wide as two bins.

    A mode within one bin becomes a bell as high as the bar would be, and a wide one stays as it is.
    """
    window = np.hanning(2 * _POINTS + 1)[1:-1]
    return np.array([np.convolve(row, window / np.sum(window), "same") for row in shares])


def _extended(edges: Floats) -> Floats:
    """Edges with one more bin on either side, as wide as the outermost."""
    return np.concatenate((2 * edges[:1] - edges[1:2], edges, 2 * edges[-1:] - edges[-2:-1]))


def _thinned(places: Floats, heights: Floats, most: int = _MOST_POINTS) -> Curve:
    """The part of a curve that can be seen, with at most about so many points."""
    seen = np.flatnonzero(heights > _VISIBLE * np.max(heights))
    part = np.arange(max(seen[0] - 1, 0), min(seen[-1] + 2, len(places))) if len(seen) else seen
    if len(part) > most:  # the denser, the more the curve bends: then straight lines between them follow it closest
        bend = np.sqrt(np.abs(np.diff(heights[part], 2, prepend=heights[part[0]], append=heights[part[-1]])))
        along = np.cumsum(bend + np.mean(bend) / 2)
        part = part[np.unique(np.searchsorted(along, np.linspace(along[0], along[-1], most)))]
    return Curve(tuple(places[part].tolist()), tuple(heights[part].tolist()))


def components_by_mean(column: MixtureColumn | GeneralColumn) -> Ints:
    """Active components by rising mean."""
    k = column.active_components
    return np.asarray(k[np.argsort(column.means[k], kind="stable")])


def without(pieces: Pieces, numbers: Sequence[float]) -> Pieces:
    """The pieces without those that hold given numbers only, which have pieces of their own."""
    keys = keys_of(pieces.frame.apply(np.array(numbers, np.float64)))
    kept = ~np.isin(pieces.start, keys, kind="sort")  # NumPy 2.0 fails at tables of uint64 above 2^63
    if np.all(kept):
        return pieces
    parts = ("start", "last", "count", "mean", "scatter", "unit")
    left = replace(pieces, **{part: getattr(pieces, part)[kept] for part in parts})
    place = left.places()
    return replace(left, minimum=float(np.min(place, initial=np.inf)), maximum=float(np.max(place, initial=-np.inf)))


def modes_of(column: MixtureColumn, counts: EncodedCounts) -> tuple[ModeProfile, ...]:
    """The cells of a column: components by rising mean, tail modes, then modal values."""
    positions, modal = column.cell_positions(), len(column.modal_values)
    rows = np.sum(counts.scalars, axis=1)
    found = []
    active, weights = column.active_components.tolist(), column.weights
    for k in components_by_mean(column).tolist():
        cell = int(positions[modal + active.index(k)])
        found.append(
            ModeProfile(
                name=rounded_mean_text(column, float(column.means[k]), float(column.stds[k])),
                sd=rounded_length_text(column, float(column.stds[k])),
                weight=float(weights[k]),
                rows=int(rows[cell]),
                below=int(counts.below[cell]),
                above=int(counts.above[cell]),
                scalars=tuple(counts.scalars[cell].tolist()),
                scalar_sd=1 / column.rules.scale,
            )
        )
    for tail in (cell for cell in column.describe_cells() if "tail" in cell):
        cell = tail["cell"]
        below, above = int(counts.below[cell]), int(counts.above[cell])
        found.append(ModeProfile(tail["text"], "", None, int(rows[cell]), below, above, (), tail=True))
    for value, cell in zip(column.modal_values, positions[:modal].tolist(), strict=True):
        found.append(ModeProfile(modal_text(plain_of(column), value), "", None, int(rows[cell]), 0, 0, ()))
    return tuple(found)


def spike_of(column: MixtureColumn, pieces: Pieces, histogram: Histogram, rows: int) -> Spike | None:
    """The heaviest single value, if it stands out of what lies around it."""
    single = np.flatnonzero((pieces.scatter == 0) & (pieces.unit == 0))
    if not len(single):
        return None
    top = single[np.argmax(pieces.count[single])]
    share, number = float(pieces.count[top]) / rows, float(pieces.places()[top])
    bin_ = int(np.searchsorted(histogram.edges, number, side="right")) - 1
    beside = [
        *histogram.before[max(bin_ - _BESIDE, 0) : max(bin_, 0)],
        *histogram.before[bin_ + 1 : bin_ + 1 + _BESIDE],
    ]
    around = sum(beside) / len(beside) if beside else 0.0
    if share < _SPIKE_SHARE or pieces.count[top] < _SPIKE_HEIGHT * around or len(pieces.count) == 1:
        return None
    codec = plain_of(column)
    value = codec.value(number)
    if codec.name == "float":
        value = _shortest(float(value), _ROUNDINGS * np.spacing(max(abs(number), abs(pieces.frame.centre))))
    modal = [_declared(codec, one) for one in (*column.modal_values, value)]
    return Spike(value_text(codec, value), share, f"[{', '.join(modal)}]", _options(column))


def _shortest(value: float, apart: float) -> float:
    """The number of fewest digits that a rounding may have made the value of."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 17))
    return next((float(text) for text in texts if abs(float(text) - value) <= apart), value)


def _declared(codec: Codec, value: Number | None) -> str:
    """A modal value as one would write it, with all its digits."""
    if value is None:
        return '"missing"'
    text = codec.show(value)
    return text if codec.name in ("float", "integer") else repr(text)


def _options(column: MixtureColumn) -> Mapping[str, bool]:
    """What was declared of a column's values."""
    given = {
        "log": isinstance(column.codec, LogCodec),
        "integer": getattr(plain_of(column), "integer", False),
    }
    return {option: True for option, value in given.items() if value}


def heaviest(pieces: Pieces, rows: int) -> float:
    """Share of the rows that hold the most frequent single value."""
    return float(np.max(pieces.count[pieces.scatter == 0], initial=0.0)) / max(rows, 1)


def usual_ks(rows: int) -> float:
    """Kolmogorov-Smirnov distance of so many rows that says nothing."""
    return max(KS, _FEW_ROWS / max(rows, 1))


def hides_values(ks: float, rows: int, heaviest_share: float) -> bool:
    """Whether values lie closer together than their errors: more of them change places than those that are equal."""
    return ks > max(usual_ks(rows), 2 * heaviest_share)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was counted of the rows of a column, as `profile_of` needs it.

    Parameters
    ----------
    before, after : Pieces
        The values before and after the round trip.
    encoded : EncodedCounts
        Scalars and cells.
    errors : ErrorHistogram
        Errors of the round trip.
    error_unit : float
        Their unit, in sd.
    different : float
        Share of different values among the sampled whole numbers.
    """

    before: Pieces
    after: Pieces
    encoded: EncodedCounts
    errors: ErrorHistogram
    error_unit: float
    different: float = 0.0


def profile_of(column: MixtureColumn | GeneralColumn, seen: Evaluated) -> NumberProfile:
    """Profile of a column from what was counted of its rows."""
    mixture: Any = column if column.draws_modes else None
    modal = [plain_of(column).number(value) for value in column.modal_values if value is not None]
    before, after = without(seen.before, modal), without(seen.after, modal)
    with np.errstate(over="ignore", invalid="ignore"):  # at the end of the numbers there is no room for an axis
        histogram = histogram_of(column, before, after) if before.rows and after.rows else None
    rows = round(seen.before.rows)
    return NumberProfile(
        type=column.type,
        fit=column.fit,
        components=len(column.means),
        tails=mixture.rules.tails if mixture else "",
        histogram=histogram,
        modes=modes_of(mixture, seen.encoded) if mixture else (),
        below=int(np.sum(seen.encoded.below)),
        above=int(np.sum(seen.encoded.above)),
        errors=seen.errors.octaves,
        no_errors=int(seen.errors.counts[0]),
        error_unit=seen.error_unit,
        spike=spike_of(mixture, before, histogram, rows) if mixture and histogram else None,
        heaviest=heaviest(before, rows),
        other_weight=float(np.sum(column.weights[~column.active])),
        different=seen.different,
    )
