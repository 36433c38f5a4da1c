"""Charts of a column as inline SVG: its histogram with the modes, the errors of the round trip, the scalars of a mode.

A path lives in a box of 1000 by 1000 units that is stretched to the chart; labels are placed in per cent of its width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gpuvgm.codecs import DatetimeCodec
from gpuvgm.columns import Histogram
from gpuvgm.errors import counted
from gpuvgm.report.counting import LEAST_EXPONENT, SCALAR_BINS
from gpuvgm.report.figures import NumberFigures
from gpuvgm.report.markup import Child, Markup, join, tag
from gpuvgm.report.measures import share, short
from gpuvgm.report.profiles import ModeProfile, NumberProfile
from gpuvgm.summary import Floats

SIDE = 1000
FEET = 22  # pixels under a chart for the labels of its axis
_RIGHT, _RIGHT_INSIDE = 0.94, 0.8  # labels further right end where they are placed
_NOTHING = 2  # units above the axis below which a curve is not drawn
COLOURS = 10
HEIGHT, ERROR_HEIGHT, SCALAR_HEIGHT, PREVIEW_HEIGHT = 220, 120, 34, 28
PREVIEW_BARS = 32  # at most
_ROOM = 1.12  # of the highest curve or bar
_TALL = 1.6  # times the highest curve: bars beyond are cut
_DWARFING = 4.0  # times the next lower curve
_SPARE = 0.97  # quantile of the bars that always have room
_DAYS = 4 * 86_400.0
_DECADE = 10.0
_MOST_CUT, _WORDS = 5, 0.08  # bars with a mark; length of the axis that the words take
ROW_TICKS, _ROOM_FOR_TICKS = 5, 0.9  # ticks of rows, about; share of the height below which they are
_LONG = 12  # characters of a label under an axis
_SCALARS = (np.arange(SCALAR_BINS) + 0.5) * 2 / SCALAR_BINS - 1  # in the middle of each bin
_SCALAR_PLACES, _SCALAR_EDGES = (_SCALARS + 1) / 2, np.arange(SCALAR_BINS + 1) / SCALAR_BINS
TICKS = 5
_CURVED = 0.02  # distance of a place from that on a linear axis
_DECADES, _ROOM_OF_TICK, _FEW_TICKS = 16, 0.12, 2  # below the largest value; distance of two ticks on a curved axis


@dataclass(frozen=True, slots=True)
class Label:
    """A text on a chart, from 0 to 1 along the axis; `top` in per cent of the chart, None under the axis."""

    place: float
    text: str
    top: float | None = None
    style: str | None = None


def chart(words: tuple[str, str], height: int, paths: Child, labels: Sequence[Label] = (), css: str = "") -> Markup:
    """A chart with its title and description.

    Parameters
    ----------
    words : tuple of str
        Title, and what the chart shows in words.
    height : int
        Height of the part with the paths, in pixels.
    paths : Markup
        Paths in the box.
    labels : sequence of Label
        Texts, those under the axis among them.
    css : str
        Further classes.
    """
    feet = FEET if any(label.top is None for label in labels) else 0
    box = drawing_box(paths, height)
    texts = [_label(label, height) for label in labels]
    return tag(
        "svg", tag("title", words[0]), tag("desc", words[1]), box, texts,
        class_=f"chart {css}".strip(), role="img", width="100%", style=f"height:{height + feet}px",
    )  # fmt: skip


def drawing_box(paths: Child, height: int, left: int = 0) -> Markup:
    """Box of paths, `height` pixels high, with room on the left in per cent of the width."""
    # A style, too: browsers may let that of a notebook overrule the attribute.
    return tag(
        "svg", paths, x=f"{left}%" if left else None, width=f"{100 - left}%", height=height, style=f"height:{height}px",
        viewBox=f"0 0 {SIDE} {SIDE}", preserveAspectRatio="none",
    )  # fmt: skip


def _label(label: Label, height: int) -> Markup:
    low = label.top is None
    y = height + FEET - 7 if label.top is None else round(label.top * height, 1)
    right = _RIGHT if low else _RIGHT_INSIDE
    anchor = "start" if label.place < 1 - _RIGHT else "end" if label.place > right else "middle"
    x = f"{100 * min(max(label.place, 0.0), 1.0):.2f}%"
    return tag("text", label.text, x=x, y=y, text_anchor=anchor, class_=label.style or ("tick" if low else None))


def steps_path(places: Sequence[float] | Floats, heights: Sequence[float] | Floats, *, closed: bool) -> str:
    """Path of a histogram: edges and heights from 0 to 1; closed along the axis, or only its outline."""
    x, y = _units(places), [SIDE - height for height in _units(heights)]
    parts, category = [f"M{x[0]} {SIDE}"], SIDE
    for left, top in zip(x, y, strict=False):
        if top != category:
            parts.append(f"H{left}V{top}")
            category = top
    return f"{''.join(parts)}H{x[-1]}V{SIDE}{'z' if closed else ''}"


def curve(places: Sequence[float] | Floats, heights: Sequence[float] | Floats) -> str:
    """Path through points from 0 to 1, where it is high enough to be seen, closed along the axis; empty elsewhere."""
    x, y = _units(places), _units(heights)
    visible = [i for i, height in enumerate(y) if height >= _NOTHING]
    if not visible:
        return ""
    first, last = max(visible[0] - 1, 0), min(visible[-1] + 1, len(y) - 1)
    x, y = x[first : last + 1], [SIDE - height for height in y[first : last + 1]]
    moves = [f"l{b - a} {d - c}" for a, b, c, d in zip(x, x[1:], y, y[1:], strict=False)]
    return f"M{x[0]} {SIDE}V{y[0]}{''.join(moves)}V{SIDE}"


def _units(values: Sequence[float] | Floats) -> list[int]:
    clipped = np.minimum(np.maximum(values, 0.0), 1.0)
    units: list[int] = np.rint(SIDE * clipped).astype(np.int64).tolist()
    return units


def line(place: float, style: str) -> Markup:
    """A vertical line."""
    return tag("path", d=f"M{_units([place])[0]} 0V{SIDE}", class_=style)


def rule(height: float, style: str) -> Markup:
    """A horizontal line."""
    return tag("path", d=f"M0 {SIDE - _units([height])[0]}H{SIDE}", class_=style)


def path(d: str, style: str, title: str | None = None) -> Markup:
    """A path, with a text that is shown where one points at it."""
    return tag("path", join(None if title is None else tag("title", title)), d=Markup(d), class_=style) if d else join()


def histogram_chart(name: str, profile: NumberProfile, histogram: Histogram) -> Markup:
    """Rows before the round trip as bars, after it as an outline, and the fitted modes over them."""
    width = np.maximum(np.diff(histogram.places), 1e-12)
    before, after = (np.array(counts, np.float64) / width for counts in (histogram.before, histogram.after))
    top = _axis_top(before, _highest(histogram))
    bar = top * float(np.median(width))  # rows of a bar as high as the chart
    ticks = [tick for tick in linear_ticks(0, bar, ROW_TICKS) if 0 < tick < _ROOM_FOR_TICKS * bar]
    paths = [rule(tick / bar, "grid") for tick in ticks]
    paths.append(path(steps_path(histogram.places, before / top, closed=True), "bars"))
    for place, (density, mode) in enumerate(zip(histogram.curves, profile.modes, strict=False), 1):
        heights = np.array(density.heights) / top
        title = f"mode {mode.code}: {mode.name}, sd {mode.sd}, weight {share(mode.weight or 0)}"
        paths.append(path(curve(density.places, heights), f"mode {colour(place)}", title))
    if histogram.mixture:
        paths.append(path(curve(histogram.mixture.places, np.array(histogram.mixture.heights) / top), "whole"))
    paths.append(path(steps_path(histogram.places, after / top, closed=False), "after"))
    labels = [*axis_labels(profile.type, histogram), *_mode_labels(histogram, profile.modes, top)]
    units = [""] * (len(ticks) - 1) + [" rows"]
    labels += [
        Label(1.0, number_text(tick) + unit, 1 - tick / bar - 0.01) for tick, unit in zip(ticks, units, strict=False)
    ]
    labels += _cut_labels(histogram, before, top)
    words = (f"Histogram of {name}", _chart_words(profile, histogram))
    return chart(words, HEIGHT, paths, labels, "histogram")


def colour(place: int) -> str:
    """Class that gives a mode its colour."""
    return f"m{(place - 1) % COLOURS}"


def _highest(histogram: Histogram) -> float:
    """Height of the curves, without one that would dwarf all others."""
    # Two zeros stand for curves where there are fewer than two.
    first, second, *_ = sorted((max(density.heights, default=0.0) for density in histogram.curves), reverse=True) + [
        0.0,
        0.0,
    ]
    if histogram.mixture is None or (second > 0 and first > _DWARFING * second):
        return second * _TALL
    return max(histogram.mixture.heights, default=0.0)


def _axis_top(before: Floats, highest_curve: float) -> float:
    """Upper end of the axis: all curves and bars have room, but for those that would dwarf the others."""
    usual = max(highest_curve, float(np.quantile(before, _SPARE)))
    # Never 0, as heights are divided by it.
    return _ROOM * max(min(float(np.max(before)), _TALL * usual), usual, 1e-300)


def _mode_labels(histogram: Histogram, modes: Sequence[ModeProfile], top: float) -> list[Label]:
    """The number of each mode above its curve, where there is room for it."""
    labels: list[Label] = []
    for place, (density, mode) in enumerate(zip(histogram.curves, modes, strict=False), 1):
        height, at = max(zip(density.heights, density.places, strict=True), default=(0.0, 0.0))
        height /= top
        near = any(abs(at - label.place) < 0.03 and abs(1 - height - (label.top or 0)) < 0.1 for label in labels)
        if height > 0.02 and not near:
            labels.append(Label(at, str(mode.code), max(1 - height - 0.02, 0.06), f"number {colour(place)}"))
    return labels


def _cut_labels(histogram: Histogram, before: Floats, top: float) -> list[Label]:
    """A mark above bars that are higher than the chart: the highest ones, and the highest of all with its rows."""
    bars = np.flatnonzero(before > top)
    bars = bars[np.argsort(-before[bars], kind="stable")[:_MOST_CUT]]
    places = [(histogram.places[i] + histogram.places[i + 1]) / 2 for i in bars]
    words = [Label(places[0], f"▲ {counted(histogram.before[bars[0]], 'row')}", 0.0, "cut")] if places else []
    return words + [Label(place, "▲", 0.0, "cut") for place in places[1:] if abs(place - places[0]) > _WORDS]


def _chart_words(profile: NumberProfile, histogram: Histogram) -> str:
    rows = sum(histogram.before) + histogram.below + histogram.above
    axis = "logarithmic" if histogram.logarithmic else "linear"
    modes = [
        f"mode {mode.code}: {mode.name}, weight {share(mode.weight)}"
        for mode in profile.modes
        if mode.weight is not None
    ]
    return f"{counted(rows, 'row')} on a {axis} axis. {'; '.join(modes)}"


def axis_labels(type_: pa.DataType, histogram: Histogram) -> list[Label]:
    """Ticks of a histogram, in the values of a column of some type."""
    size = 10.0**-type_.scale if pa.types.is_decimal(type_) else 1.0  # decimals are integers without their point
    values, places = (np.array(histogram.edges) + float(histogram.base)) * size, np.array(histogram.places)
    low, high = float(values[0]), float(values[-1])
    if not high > low:
        return []

    is_log, exponent = histogram.logarithmic, -math.frexp(max(abs(low), abs(high)))[1]
    scaled = np.ldexp(values, exponent)  # differences of the largest floats and slopes between the smallest are none

    def place(at: float) -> float:
        if is_log:
            return math.log(at / low) / math.log(high / low)
        return float(np.interp(math.ldexp(at, exponent), scaled, places))

    if pa.types.is_temporal(type_):
        codec = DatetimeCodec(type_, 0)
        moments = [
            low * (high / low) ** at if is_log else float(np.interp(at, places, values))
            for at in spread_ticks(0.0, 1.0)
        ]
        span = (high - low) * codec.tick
        return [Label(place(moment), _moment_label(codec, moment, span)) for moment in moments]
    if is_log:
        width = high - low if high < _DECADE * low else None
        return [Label(place(tick), number_text(tick, width)) for tick in logarithmic_ticks(low, high)]
    ticks = linear_ticks(low, high)
    evenly = (scaled - scaled[0]) / (scaled[-1] - scaled[0])
    if np.max(np.abs(evenly - places)) > _CURVED:
        curved = curved_ticks(place, low, high)
        ticks = curved if len(curved) > _FEW_TICKS else ticks
    return _spaced_labels([Label(place(tick), number_text(tick, high - low)) for tick in ticks])


def _spaced_labels(labels: list[Label]) -> list[Label]:
    """Every label, or every second or third where they are long."""
    longest = max((len(label.text) for label in labels), default=0)
    return labels[:: 1 + longest // _LONG]


def _moment_label(codec: DatetimeCodec, at: float, span: float) -> str:
    """A datetime as short as its axis allows."""
    if pa.types.is_duration(codec.type):
        return codec.length_text(at, 3)
    text = codec.show(round(at))
    if "T" in text:
        return text[:10] if span > _DAYS else text[5:16].replace("T", " ")
    return text.partition(".")[0]


def number_text(value: float, span: float | None = None) -> str:
    """Label of a number on an axis, with enough digits to differ from its neighbours; rounding noise becomes 0."""
    if span is not None and abs(value) < 1e-9 * span:
        return "0"
    size, digits = abs(value), 4
    if span is not None and size > 0:  # ticks are a fifth of the span apart, or more
        digits = min(max(digits, math.floor(math.log10(size)) - math.floor(math.log10(span / 5.1)) + 1), 17)
    if 1e4 <= size < 1e15:
        power, sign = min(int(math.log10(size) + 1e-9) // 3, 4), ("", "", "M", "G", "T")
        if power >= 2:
            return f"{value / 1000.0**power:.{digits}g} {sign[power]}"
        return f"{value:,.{max(digits - 1 - math.floor(math.log10(size)), 0)}f}"
    return f"{value:.{digits}g}"


def preview_chart(
    words: tuple[str, str], before: Sequence[float], after: Sequence[float], styles: tuple[str, str] = ("bars", "after")
) -> Markup:
    """Shares of rows in a few bars, and as an outline afterwards or of another table: as small as a line of a table."""
    bins_per_bar = -(-len(before) // PREVIEW_BARS)
    starts = np.arange(0, len(before), bins_per_bar)
    bars, outline = (np.add.reduceat(np.array(counts, np.float64), starts) for counts in (before, after))
    bars, outline = (counts / (float(np.sum(counts)) or 1.0) for counts in (bars, outline))
    top = _ROOM * max(float(np.max(bars)), float(np.max(outline)), 1e-300)
    edges = np.arange(len(starts) + 1) / len(starts)
    paths = [
        path(steps_path(edges, bars / top, closed=True), styles[0]),
        path(steps_path(edges, outline / top, closed=False), styles[1]),
    ]
    return chart(words, PREVIEW_HEIGHT, paths, (), "spark")


def errors_chart(name: str, column: NumberFigures, profile: NumberProfile) -> Markup | None:
    """Errors of the round trip on logarithmic axes, with median, 99.9th percentile and maximum; None without any."""
    occupied = [i for i, count in enumerate(profile.errors) if count]
    if not occupied or column.maximum_error <= 0:
        return None
    first, slots = occupied[0] - 1, occupied[-1] - occupied[0] + 3
    low = math.log2(profile.error_unit) + LEAST_EXPONENT + first
    exact = max(2, slots // 6) if profile.no_errors else 0  # for rows without an error, the last of them a gap
    total = exact + slots + max(1, slots // 10)  # room for labels

    def place(slot: float) -> float:
        return (exact + slot) / total

    gap = [0] if exact else []
    counts = [profile.no_errors] * (exact - 1) + gap + [0, *profile.errors[occupied[0] : occupied[-1] + 1], 0]
    peak = max(*counts, 10)
    powers = range(1, len(str(peak)))
    paths = [rule(_rows_height(10**power, peak), "grid") for power in powers]
    places = [place(slot) for slot in range(-exact, slots + 1)]
    paths.append(path(steps_path(places, [_rows_height(count, peak) for count in counts], closed=True), "bars"))
    labels = [
        Label(1.0, _power_text(power), 1 - _rows_height(10**power, peak)) for power in powers[:: -(-len(powers) // 3)]
    ]
    labels += [
        Label(place(power / math.log10(2) - low), "1 sd" if power == 0 else _power_text(power))
        for power in _error_ticks(low, slots)
    ]
    labels += [Label(place(-(exact + 1) / 2), "exact")] if exact else []
    quantiles = (("median", column.median_error), ("99.9 %", column.p999_error), ("largest", column.maximum_error))
    for top, (word, value) in enumerate(quantiles):
        if value > 0:
            at = place(math.log2(value) - low)
            paths.append(line(at, "quantile"))
            labels.append(Label(at, word, 0.1 + 0.13 * top, "quantile-name"))
    quantile_words = ", ".join(f"{word} {short(value)}" for word, value in quantiles)
    words = (
        f"Errors of {name}",
        f"Round-trip errors in standard deviations: {quantile_words}. Both axes are logarithmic.",
    )
    return chart(words, ERROR_HEIGHT, paths, labels, "errors")


def _rows_height(count: int, peak: int) -> float:
    """Height of a number of rows on a logarithmic axis; one row can still be seen."""
    return 0.94 * math.log10(1 + count) / math.log10(1 + peak) if count else 0.0


def _error_ticks(low: float, octaves: int) -> Sequence[int]:
    """Powers of ten on an axis of errors."""
    first, last = (low + 0.13 * octaves) * math.log10(2), (low + octaves) * math.log10(2)
    powers = range(math.ceil(first), math.floor(last) + 1)
    return powers[:: -(-len(powers) // 5) or 1]


def _power_text(power: int) -> str:
    superscript = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "10" if power == 1 else f"10{superscript}"


def scalars_chart(place: int, mode: ModeProfile) -> Markup:
    """Chart of the scalars of one mode between -1 and 1, with the normal distribution that the mode expects."""
    below_range, *bins, above_range = mode.scalars
    counts = np.array([bins[0] + below_range, *bins[1:-1], bins[-1] + above_range], np.float64)
    normal = np.exp(-0.5 * (_SCALARS / mode.scalar_sd) ** 2)
    normal *= max(mode.rows, 1) / np.sum(normal)
    top = _ROOM * max(float(np.max(normal)), min(float(np.max(counts)), _TALL * float(np.max(normal))))
    paths = [
        path(steps_path(_SCALAR_EDGES, counts / top, closed=True), f"scalars {colour(place)}"),
        path(curve(_SCALAR_PLACES, normal / top), "whole"),
        line(0.5, "grid"),
    ]
    cut_words = f"; {counted(mode.below, 'row')} cut below and {mode.above:,} above" if mode.below + mode.above else ""
    words = (
        f"Scalars of mode {mode.code}",
        f"From -1 to 1, {counted(mode.rows, 'row')}{cut_words}; dashed: a normal distribution",
    )
    return chart(words, SCALAR_HEIGHT, paths, (), "spark")


def linear_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """About `count` round numbers within a range."""
    size = (high - low) / count
    if not 0 < size < np.inf:
        return []
    power = 10.0 ** np.floor(np.log10(size))
    step = next((float(power * by) for by in (1, 2, 5) if power * by >= size * 0.999), 10.0 * power)
    return [float(k * step) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def logarithmic_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """About `count` powers of ten within a range, or fewer; round numbers where the range is short."""
    first, last = int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9))
    if last - first < 1:
        return [tick for tick in linear_ticks(low, high, count) if tick > 0]
    step = -(-(last - first + 1) // count)
    return [10.0**power for power in range(first, last + 1, step)]


def spread_ticks(low: float, high: float, count: int = TICKS - 1) -> Sequence[float]:
    """Evenly spread places within a range, for values without round numbers."""
    return [low + (high - low) * (k + 0.5) / count for k in range(count)]


def curved_ticks(place: Callable[[float], float], low: float, high: float) -> list[float]:
    """Round numbers of both signs on an axis that is no linear one: 0, powers of ten, then others between them."""
    largest = math.floor(math.log10(max(abs(low), abs(high))))
    powers = [10.0**power for power in range(largest, largest - _DECADES, -1)]
    ticks: dict[float, float] = {}
    for tick in [0.0, *(sign * by * power for by in (1, 3) for power in powers for sign in (1, -1))]:
        at = place(tick)
        if low <= tick <= high and all(abs(at - occupied) >= _ROOM_OF_TICK for occupied in ticks.values()):
            ticks[tick] = at
    return sorted(ticks)
