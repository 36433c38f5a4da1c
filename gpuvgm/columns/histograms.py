"""The histogram of a column of numbers, with the curves of its modes: what pages and matplotlib draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpuvgm.columns.numbers import NumericColumn
from gpuvgm.io import is_moment_type
from gpuvgm.mixture import normal_cdf
from gpuvgm.summary import Floats, Pieces

HISTOGRAM_BINS = 96
_ENDS = (0.005, 0.5, 0.995)
_SKEWED = 20.0  # times the median lies the upper end
_MOST = 0.9
_SCALES = (1, 10, 100, 1000)
_ROUNDING, _EXACT = 1e-9, 2.0**53
_CLOSE = 0.01  # of a step; what is further from a multiple is none, however large the values are
_STEPS = 2.0**-50  # relative width of the bins of one large number
_NEAR = 0.25  # of the axis: an extreme so close is taken in
_POINTS, _MOST_POINTS = 8, 64  # of a curve: for each bin, and in all
_VISIBLE = 2e-3  # of a curve's height
_NARROW = 1e-12


@dataclass(frozen=True, slots=True)
class Curve:
    """Rows per length of the axis, averaged over about a bin, at places on the axis from 0 to 1."""

    places: tuple[float, ...]
    heights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows of a column in bins, before and after the round trip or of two tables, without modal and missing ones.

    Parameters
    ----------
    edges : tuple of float
        Ascending, in the codec's numbers and `base`.
    base : int
        Origin of the numbers.
    logarithmic : bool
        Whether the axis is logarithmic.
    places : tuple of float
        The edges on the axis, from 0 to 1.
    before, after : tuple of int
        Rows in each bin.
    below, above : int
        Rows before the round trip that lie outside all bins; of two tables those of both.
    curves : tuple of Curve
        For each active component, by rising mean, the rows that it expects.
    mixture : Curve or None
        The rows that the whole mixture expects, with components that are no modes.
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
    mixture: Curve | None = None

    @classmethod
    def of(cls, column: NumericColumn, before: Pieces, after: Pieces | None = None) -> Histogram:
        """Histogram of a column with at least one ordinary row before, and after if that is given."""
        base, type_ = column.codec.plain.base, column.type
        edges, logarithmic = _bin_edges(before, base, has_zero=not is_moment_type(type_))
        places = _places_of(edges, base, logarithmic=logarithmic)
        place, count = before.places(), before.count
        curves = _curves(column, edges, places, before.rows) if column.mixture is not None else [None]
        return cls(
            edges=tuple(edges.tolist()),
            base=base,
            logarithmic=logarithmic,
            places=tuple(places.tolist()),
            before=_rows_in(edges, before),
            after=() if after is None else _rows_in(edges, after),
            below=round(float(np.sum(count[place < edges[0]]))),
            above=round(float(np.sum(count[place > edges[-1]]))),
            curves=tuple(curve for curve in curves[:-1] if curve is not None),
            mixture=curves[-1],
        )

    @classmethod
    def of_two(cls, column: NumericColumn, before: Pieces, after: Pieces) -> Histogram:
        """Histogram of the values of two tables, one of which has some: bins over both, even on the fitted scale.

        Columns that were fitted as they are have a logarithmic axis where they are skewed.
        """
        base, pieces, logarithmic = column.codec.plain.base, _of_both(before, after), False
        edges = _edges_on_scale(column, pieces) if column.codec.formula else None
        if edges is None:
            edges, logarithmic = _bin_edges(pieces, base, has_zero=not is_moment_type(column.type))
            places = _places_of(edges, base, logarithmic=logarithmic)
        else:
            places = _from_0_to_1(column.codec.of_inner(edges))
        place = pieces.places()
        return cls(
            edges=tuple(edges.tolist()),
            base=base,
            logarithmic=logarithmic,
            places=tuple(places.tolist()),
            before=_rows_in(edges, before),
            after=_rows_in(edges, after),
            below=int(np.sum(pieces.count[place < edges[0]])),
            above=int(np.sum(pieces.count[place > edges[-1]])),
        )


def _places_of(edges: Floats, base: int, *, logarithmic: bool) -> Floats:
    """Edges on a linear or a logarithmic axis from 0 to 1."""
    return _from_0_to_1(np.log(edges + base) if logarithmic else edges / np.max(np.abs(edges)))


def _from_0_to_1(at: Floats) -> Floats:
    places: Floats = (at - at[0]) / (at[-1] - at[0])
    return places


def _of_both(before: Pieces, after: Pieces) -> Pieces:
    """Pieces of two tables on one grid, the second one scaled to as many rows as the first, if both have some."""
    scaled = after.count * (before.rows / after.rows if before.rows and after.rows else 1.0)
    names = ("start", "last", "mean", "scatter", "unit")
    parts: dict[str, Any] = {name: np.concatenate([getattr(before, name), getattr(after, name)]) for name in names}
    return replace(
        before,
        **parts,
        count=np.concatenate((before.count, scaled)),
        minimum=min(before.minimum, after.minimum),
        maximum=max(before.maximum, after.maximum),
    )


def _edges_on_scale(column: NumericColumn, pieces: Pieces) -> Floats | None:
    """Bins of one width on the fitted scale over nearly all rows, of whole steps where values lie on them.

    None where the values have no range on the scale.
    """
    codec, place = column.codec, pieces.places()
    at = codec.of_inner(place)
    on_scale = np.isfinite(at)
    if not np.any(on_scale):
        return None
    low, _, high = _axis_quantiles(at[on_scale], pieces.count[on_scale])
    lowest, highest, room = np.min(at[on_scale]), np.max(at[on_scale]), _NEAR * (high - low)
    low, high = lowest if low - lowest <= room else low, highest if highest - high <= room else high
    spare = _ROUNDING * (high - low)  # the way to the scale and back is rounded
    edges = codec.to_inner(np.linspace(low - spare, high + spare, HISTOGRAM_BINS + 1))
    steps = Steps.of(place, pieces.count)
    edges = np.unique(steps.between(edges) if steps else edges)
    edges = edges[np.isfinite(codec.of_inner(edges))]
    return edges if len(edges) > 1 and np.isfinite(edges[-1]) else None


def _rows_in(edges: Floats, pieces: Pieces) -> tuple[int, ...]:
    counts = np.histogram(pieces.places(), edges, weights=pieces.count)[0]
    return tuple(round(count) for count in counts.tolist())


def _bin_edges(pieces: Pieces, base: float, *, has_zero: bool) -> tuple[Floats, bool]:
    """Bins over nearly all rows, and whether their axis is logarithmic, where zeros are left out."""
    place, count = pieces.places(), pieces.count
    low, median, high = _axis_quantiles(place, count)
    steps = Steps.of(place, count)
    if has_zero and pieces.minimum + base >= 0 and median + base > 0 and high + base > _SKEWED * (median + base):
        edges = _even_ratios(place + base, count) - base
        if steps:
            edges = steps.between(np.concatenate((edges[:1] - steps.unit, edges)))
        return _distinct_edges(edges[edges + base > 0]), True
    room = _NEAR * (high - low)
    low = pieces.minimum if low - pieces.minimum <= room else low
    high = pieces.maximum if pieces.maximum - high <= room else high
    if not steps:
        return _distinct_edges(np.linspace(low, high, HISTOGRAM_BINS + 1)), False
    width = steps.unit * max(1.0, np.ceil(((high - low) / steps.unit + 1) / HISTOGRAM_BINS))
    # Half a step from the values, so that none lies on an edge.
    first = steps.between(np.array([low]))[0] - steps.unit
    return _distinct_edges(first + width * np.arange(np.ceil((high - first) / width) + 1)), False


@dataclass(frozen=True, slots=True)
class Steps:
    """Nearly all values are `first` and multiples of `unit`; bins of other widths would hold more or fewer of them."""

    first: float
    unit: float

    @classmethod
    def of(cls, place: Floats, count: Floats) -> Steps | None:
        """The widest steps of at least a thousandth that 90 % of the rows lie on; None without any."""
        usual = np.max(np.abs(_axis_quantiles(place, count)))  # the values of a column may all be tiny
        for scale in _SCALES:
            scaled = place * scale
            integers = np.rint(scaled)
            near = _ROUNDING * np.maximum(min(1.0, usual * scale), np.abs(scaled))
            on_step = np.abs(scaled - integers) <= np.minimum(near, _CLOSE)
            # Beyond 2^53 all floats are whole, which says nothing of a step.
            if np.max(np.abs(scaled)) < _EXACT and np.sum(count[on_step]) >= _MOST * np.sum(count):
                gaps = np.diff(np.sort(integers[on_step])).astype(np.int64)
                return cls(float(integers[on_step][0] / scale), float(np.gcd.reduce(gaps) or 1) / scale)
        return None

    def between(self, values: Floats) -> Floats:
        """Halfway from the steps at or below the values to the next."""
        return np.asarray((np.floor((values - self.first) / self.unit) + 0.5) * self.unit + self.first)


def _distinct_edges(edges: Floats) -> Floats:
    """The edges without those that rounding puts on others, or past the largest number; at least two."""
    distinct = np.unique(edges[np.isfinite(edges)])
    if len(distinct) > 1:
        return distinct
    middle = float(distinct[0]) if len(distinct) else 0.0
    room = max(0.5, _STEPS * abs(middle))
    return np.array([middle - room, middle + room])


def _axis_quantiles(place: Floats, count: Floats) -> Floats:
    order = np.argsort(place, kind="stable")
    cumulative = np.cumsum(count[order])
    return np.asarray(place[order][np.searchsorted(cumulative, cumulative[-1] * np.array(_ENDS))])


def _even_ratios(values: Floats, count: Floats) -> Floats:
    """Edges of even ratios over nearly all values above 0."""
    positive = values > 0
    ends = np.log(_axis_quantiles(values[positive], count[positive])[[0, 2]])
    lowest, highest = np.log(np.min(values[positive])), np.log(np.max(values[positive]))
    room = _NEAR * (ends[1] - ends[0])
    low = lowest if ends[0] - lowest <= room else ends[0]
    # Edges ascend even where all values are equal.
    return np.asarray(np.exp(np.linspace(low, max(highest, np.nextafter(low, np.inf)), HISTOGRAM_BINS + 1)))


def _curves(column: NumericColumn, edges: Floats, places: Floats, rows: float) -> list[Curve]:
    """Curves of the active components by rising mean, and of the whole mixture, scaled to `rows` rows."""
    mixture = column.mixture
    assert mixture is not None
    active = column.components_by_mean
    k = np.concatenate((active, np.flatnonzero(~column.active)))
    means = mixture.frame.invert(mixture.posterior.means)[k, None]
    last = len(edges) - 1
    bins, ends = np.arange(-1, last + 2), np.linspace(-1, last + 1, _POINTS * (last + 2) + 1)
    # With one more bin on either side, so that the window of `_smooth` has shares beyond the ends.
    numbers, at = (np.interp(ends, bins, _with_outer_bins(axis)) for axis in (edges, places))
    shares = column.weights[k, None] * np.diff(
        normal_cdf((column.codec.of_inner(numbers) - means) / column.stds[k, None])
    )
    heights = np.nan_to_num(rows * _smooth(shares) / np.maximum(np.diff(at), _NARROW))[:, _POINTS:-_POINTS]
    middles = ((at[:-1] + at[1:]) / 2)[_POINTS:-_POINTS]
    mixture_curve = _visible_part(middles, np.sum(heights, axis=0), 2 * _MOST_POINTS)
    return [*(_visible_part(middles, row) for row in heights[: len(active)]), mixture_curve]


def _smooth(shares: Floats) -> Floats:
    """Smooth the shares of each row by a Hann window as wide as two bins.

    A mode within one bin becomes a bell as high as the bar would be, and a wide one stays as it is.
    """
    # The window without its ends, which are 0.
    window = np.hanning(2 * _POINTS + 1)[1:-1]
    return np.array([np.convolve(row, window / np.sum(window), "same") for row in shares])


def _with_outer_bins(edges: Floats) -> Floats:
    """Edges with one more bin on either side, as wide as the outermost."""
    return np.concatenate((2 * edges[:1] - edges[1:2], edges, 2 * edges[-1:] - edges[-2:-1]))


def _visible_part(places: Floats, heights: Floats, most_points: int = _MOST_POINTS) -> Curve:
    """Visible part of a curve, with about `most_points` points at most."""
    visible = np.flatnonzero(heights > _VISIBLE * np.max(heights))
    part = np.arange(max(visible[0] - 1, 0), min(visible[-1] + 2, len(places))) if len(visible) else visible
    # The denser, the more the curve bends: then straight lines between the points follow it closest.
    if len(part) > most_points:
        bend = np.sqrt(np.abs(np.diff(heights[part], 2, prepend=heights[part[0]], append=heights[part[-1]])))
        along = np.cumsum(bend + np.mean(bend) / 2)
        part = part[np.unique(np.searchsorted(along, np.linspace(along[0], along[-1], most_points)))]
    return Curve(tuple(places[part].tolist()), tuple(heights[part].tolist()))
