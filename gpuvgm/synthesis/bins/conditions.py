"""Conditions on columns: the bins, pieces of bins and rows that meet them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.codecs import is_null
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.errors import InputError, suggestion
from gpuvgm.io import is_datetime_type, is_plain_number_type
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins.bins import Bins, origin_of
from gpuvgm.synthesis.bins.numbers import ROUNDING

Interval = tuple[float, float]
Finder = Callable[[Any], NDArray[np.bool_]]  # marks rows of a column, on the host


def restricted(column: FittedColumn, bins: Bins, condition: Any) -> Bins:
    """Bins of a column with the pieces, or parts of pieces, whose values meet a condition.

    Parameters
    ----------
    column : FittedColumn
        The column.
    bins : Bins
        Its bins.
    condition : object
        A value; a list, set or array of values; or a tuple (low, high) of numbers, datetimes or their text, both ends
        included and None for no end. None as a value stands for missing ones.

    Raises
    ------
    InputError
        For a condition that is no value of the column, and where none of its values meets the condition.
    """
    if isinstance(column, CategoricalColumn):
        meets = np.isin(bins.low, categories_that_meet(column, condition))
        restricted_bins = replace(bins, mass=np.where(meets, bins.mass, 0.0))
    else:
        restricted_bins = _restrict_numbers(_numeric(column), bins, read_intervals(_numeric(column), condition))
    return _with_mass(column, restricted_bins, condition)


def restricted_to(column: FittedColumn, bins: Bins, codes: Floats) -> Bins:
    """Bins of a column with the pieces of some values alone, given their codes; see `codes_of`."""
    if isinstance(column, CategoricalColumn):
        return replace(bins, mass=np.where(np.isin(bins.low, codes), bins.mass, 0.0))
    if not len(codes):
        return replace(bins, mass=np.zeros_like(bins.mass))
    numbers: list[Interval | None] = [(code, code) for code in codes[np.isfinite(codes)].tolist()]
    return _restrict_numbers(_numeric(column), bins, [*numbers, *[None] * int(np.isinf(codes).any())])


def restricted_without(column: FittedColumn, bins: Bins, codes: Floats) -> Bins:
    """Bins of a column without the pieces of some values, given their codes; see `codes_of`."""
    values = bins.low
    if isinstance(column, NumericColumn):
        modal = _modal_of_pieces(column, bins)
        values = np.where(np.isposinf(modal), np.where(bins.low == bins.high, bins.low, np.nan), modal)
        values = np.where(np.isnan(modal), np.inf, values)
    return replace(bins, mass=np.where(np.isin(values, codes), 0.0, bins.mass))


def bins_with_mass(bins: Bins, restricted_bins: Bins) -> Bins:
    """Bins of a column with all the mass of those of which a condition leaves some, and none of the others."""
    has_mass = restricted_bins.shares > 0
    return replace(bins, mass=np.where(np.repeat(has_mass, np.diff(bins.first)), bins.mass, 0.0))


def restricted_or_whole(bins: Bins, restricted_bins: Bins) -> Bins:
    """Restricted bins; where a condition leaves a bin no mass, all its pieces, without mass.

    A value that is drawn in such a bin all the same, before the condition is tested, lies where the bin has its values.
    """
    sides = (restricted_bins, replace(bins, mass=np.zeros(len(bins.mass))))
    has_mass = restricted_bins.shares > 0
    bin_of_piece = [np.repeat(np.arange(len(bins)), np.diff(side.first)) for side in sides]
    kept = [np.flatnonzero(has_mass[bin_of_piece[0]]), np.flatnonzero(~has_mass[bin_of_piece[1]])]

    def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([part[pieces] for part, pieces in zip(parts, kept, strict=True)])

    order = np.argsort(joined(bin_of_piece), kind="stable")
    counts = np.where(has_mass, *(np.diff(side.first) for side in sides))
    return replace(
        restricted_bins,
        first=np.append(0, np.cumsum(counts)),
        mass=joined([side.mass for side in sides])[order],
        low=joined([side.low for side in sides])[order],
        high=joined([side.high for side in sides])[order],
    )


def _with_mass(column: FittedColumn, bins: Bins, condition: Any) -> Bins:
    """Bins with mass; InputError where none has any."""
    if not np.any(bins.mass > 0):
        range_text = ""
        if isinstance(column, NumericColumn) and column.minimum is not None and column.maximum is not None:
            ends, step = (column.codec.show(end) for end in (column.minimum, column.maximum)), column.codec.step_text
            range_text = f"; its values reach from {' to '.join(ends)}" + (f" in steps of {step}" if step else "")
        raise InputError(
            f'conditions: column "{column.name}": no value of the model meets {_in_words(condition)}{range_text}'
        )
    return bins


def _in_words(condition: Any) -> str:
    """A condition as a command line has it."""
    return " or ".join(map(_value_in_words, _as_list(condition)))


def _value_in_words(value: Any) -> str:
    if not isinstance(value, tuple):
        return "missing values" if value is None else f"= {value}"
    ends = zip((">=", "<="), value, strict=True)
    return " and ".join(f"{sign} {end}" for sign, end in ends if end is not None) or "any value"


def restricted_since(
    columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], name: str, condition: Any
) -> dict[str, Bins]:
    """Bins of datetimes that are counted from an origin, and of their first origin, where rows may meet a condition.

    Missing and modal values that do not meet it are left out, and datetimes of the first origin from which no datetime
    that does is reached. All else stays, so that sampled rows have to be tested.

    Raises
    ------
    InputError
        As `restricted`.
    """
    column, bins_of_column = _numeric(columns[name]), bins[name]
    intervals = read_intervals(column, condition)
    number_intervals = [interval for interval in intervals if interval is not None]
    lowest, highest = _drawable_range(columns, bins, name)
    reachable = [(low, high) for low, high in number_intervals if low <= highest and high >= lowest]
    modal = _modal_of_pieces(column, bins_of_column)
    ordinary = np.isposinf(modal)
    meets = (ordinary & bool(reachable)) | (np.isnan(modal) & (None in intervals))
    for low, high in number_intervals:
        meets |= ~ordinary & (modal >= low) & (modal <= high)
    restricted_bins = {name: _with_mass(column, replace(bins_of_column, mass=bins_of_column.mass * meets), condition)}
    if not reachable or np.any(meets & ~ordinary):
        return restricted_bins
    low, high = reachable[0][0], reachable[-1][1]
    while (origin := origin_of(columns, bins[name])) is not None:
        lowest, highest = origin.column.plain_range
        highest_of_pieces = bins[name].high[np.isposinf(_modal_of_pieces(origin.column, bins[name]))]
        longest = float(np.max(highest_of_pieces[highest_of_pieces < origin.first_reading], initial=0.0))
        low = -np.inf if low <= lowest else low - (0 if origin.back else longest)  # what is cut off lies at the ends
        high = (
            np.inf
            if high >= highest
            else high + origin.step + origin.ahead + (longest if origin.back else origin.day if origin.by_days else 0)
        )
        factor, shift = origin.scale
        low, high, name = (low - shift) / factor, (high - shift) / factor, origin.first.name
    first = _restrict_numbers(_numeric(columns[name]), bins[name], [(low, high)])
    return restricted_bins | {name: _with_mass(column, first, condition)}


def _drawable_range(columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], name: str) -> Interval:
    """Range of the numbers that may be drawn: datetimes are never on the wrong side of their origin."""
    low, high = _numeric(columns[name]).plain_range
    origin = origin_of(columns, bins[name])
    if origin is None:
        return low, high
    factor, shift = origin.scale
    first, last = (end * factor + shift for end in _drawable_range(columns, bins, origin.first.name))
    return (min(low, first), high) if origin.back else (low, max(high, last))


def check_names(names: Iterable[str], modelled: Collection[str], asked: str = "conditions") -> None:
    """Refuse conditions, or what else is asked, on columns that are not modelled."""
    unknown = [name for name in names if name not in modelled]
    if unknown:
        near = suggestion(unknown[0], [*modelled])
        raise InputError(f'{asked}: there is no modelled column "{unknown[0]}"; there are {", ".join(modelled)}{near}')


def row_finder(column: FittedColumn, condition: Any) -> Finder:
    """Return a function that marks rows of a column, on the host, that meet a condition; see `restricted` for these.

    Raises
    ------
    InputError
        For what is no value of the column.
    """
    return finder_of(column, read_condition(column, condition))


def row_finders(columns: Mapping[str, FittedColumn], conditions: Mapping[str, Any]) -> dict[str, Finder]:
    """What `row_finder` gives for each condition, which must be on one of the columns."""
    check_names(conditions, columns)
    return {name: row_finder(columns[name], condition) for name, condition in conditions.items()}


def read_condition(column: FittedColumn, condition: Any) -> tuple[Any, ...]:
    """What meets a condition: places of categories, or intervals of numbers as `read_intervals` gives them.

    Raises
    ------
    InputError
        For what is no value of the column.
    """
    if isinstance(column, CategoricalColumn):
        return tuple(categories_that_meet(column, condition))
    return tuple(read_intervals(_numeric(column), condition))


def finder_of(column: FittedColumn, met: Sequence[Any]) -> Finder:
    """Return a function that marks rows of the host that meet a condition, which `read_condition` has read."""
    if isinstance(column, CategoricalColumn):
        return lambda values: np.isin(column.index.find(values), met)
    numeric = _numeric(column)

    def meets(values: Any) -> NDArray[np.bool_]:
        numbers = numeric.all_numbers(values)
        matches = [
            np.isnan(numbers) if interval is None else (numbers >= interval[0]) & (numbers <= interval[1])
            for interval in met
        ]
        return np.asarray(np.any(np.reshape(matches, (len(matches), len(numbers))), axis=0))

    return meets


@contextmanager
def _name_column(column: FittedColumn) -> Iterator[None]:
    try:
        yield
    except ValueError as problem:
        raise InputError(f'conditions: column "{column.name}": {problem}') from None


def _numeric(column: FittedColumn) -> NumericColumn:
    assert isinstance(column, NumericColumn)
    return column


def _as_list(condition: Any) -> list[Any]:
    """Values of a condition as a list; a range counts as one value."""
    is_single = isinstance(condition, (str, tuple)) or not isinstance(condition, (Collection, np.ndarray))
    return [_or_none(value) for value in ([condition] if is_single else condition)]


def _or_none(value: Any) -> Any:
    """The value, or None for the missing values of NumPy and pandas, also as an end of a range."""
    if isinstance(value, tuple):
        return tuple(map(_or_none, value))
    # NaN and NaT do not equal themselves; the texts "nan" and "NaT" do.
    is_nan = str(value) in ("nan", "NaT") and value != value
    return None if is_null(value) or is_nan else value


def read_intervals(column: NumericColumn, condition: Any) -> list[Interval | None]:
    """Disjoint ascending intervals of numbers that meet a condition; a last None stands for missing values.

    Raises
    ------
    InputError
        For what is no value of the column.
    """
    with _name_column(column):
        intervals = [_interval(column, value) for value in _as_list(condition)]
    merged: list[Interval] = []
    for low, high in sorted(interval for interval in intervals if interval is not None):
        if merged and low <= merged[-1][1]:
            low, high = merged[-1][0], max(high, merged.pop()[1])
        merged.append((low, high))
    return [*merged, None] if None in intervals else [*merged]


def categories_that_meet(column: CategoricalColumn, condition: Any) -> list[int]:
    """Places of the categories that meet a condition, which is as for `restricted`; ranges are of numbers.

    Raises
    ------
    InputError
        For a value that is no category, and for a range where categories are no numbers.
    """
    with _name_column(column):
        return _find_categories(column, condition)


def _find_categories(column: CategoricalColumn, condition: Any) -> list[int]:
    places = {category: place for place, category in enumerate(column.categories)}
    if isinstance(condition, tuple):
        if not is_plain_number_type(column.value_type):
            raise ValueError("its categories are no numbers, and have no range: list them")
        low, high = (None if end is None else column.parse(end) for end in _two_ends(condition))
        numbers: dict[Any, int] = {category: place for category, place in places.items() if category is not None}
        return [
            place
            for category, place in numbers.items()
            if (low is None or category >= low) and (high is None or category <= high)
        ]
    categories = [_category_value(column, value) for value in _as_list(condition)]
    unknown = [value for value in categories if value not in places]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of its categories")
    return [places[value] for value in categories]


def _two_ends(ends: tuple[Any, ...]) -> tuple[Any, Any]:
    if len(ends) != 2:
        raise ValueError(f"a range has two ends, (low, high), got {ends!r}")
    return ends[0], ends[1]


def _category_value(column: CategoricalColumn, value: Any) -> Any:
    try:
        return column.parse(value)
    except ValueError:
        raise ValueError(f"{value!r} is no value of type {column.value_type}") from None


def _interval(column: NumericColumn, value: Any) -> Interval | None:
    """Ends of the numbers that a value or a range stands for; None for missing values."""
    low, high = _two_ends(value) if isinstance(value, tuple) else (value, value)
    if low is None and high is None and not isinstance(value, tuple):
        return None
    for end in (low, high):
        if isinstance(end, Number) and is_datetime_type(column.type):
            raise ValueError(f'{end!r} is no value of type {column.type}; write it as text, such as "2024-01-31"')
    ends = [np.nan if end is None else column.number_of(end) for end in (low, high)]
    if ends[0] > ends[1]:
        raise ValueError(f"the range {value!r} ends before it begins")
    lowest, highest = column.codec.plain.ends
    return (lowest if np.isnan(ends[0]) else ends[0], highest if np.isnan(ends[1]) else ends[1])


def _modal_of_pieces(column: NumericColumn, bins: Bins) -> Floats:
    """Modal value of each piece as a number, NaN for missing values; infinite where it is one of an interval."""
    modal_numbers = [*[np.nan] * bins.has_missing, *map(column.codec.plain.number, column.modal_numbers)]
    modal = np.full(len(bins), np.inf)
    modal[bins.codes[: len(modal_numbers)]] = modal_numbers
    return np.repeat(modal, np.diff(bins.first))


def _restrict_numbers(column: NumericColumn, bins: Bins, intervals: list[Interval | None]) -> Bins:
    """Bins with the parts of pieces that lie in intervals of numbers; None stands for missing values."""
    clock, half = bins.clock, column.codec.plain.spacing / 2
    piece_bins = np.repeat(np.arange(len(bins)), np.diff(bins.first))
    modal_of_piece = _modal_of_pieces(column, bins)
    is_modal = ~np.isposinf(modal_of_piece)
    if clock is not None:
        modal_readings = clock.readings(np.where(is_modal, modal_of_piece, np.nan))
        half, modal_of_piece = 0.0, np.where(is_modal, modal_readings, np.inf)
        intervals = [interval and clock.interval(*interval) for interval in intervals]
    parts = [_restrict_bin(bins, modal_of_piece, is_modal, interval, half) for interval in intervals]
    order = np.argsort(np.concatenate([piece_bins] * len(parts)), kind="stable")
    mass, low, high = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
    # Without `single`: numbers that are rounded to floats of 32 bits might leave the intervals.
    return replace(bins, first=bins.first * len(parts), mass=mass, low=low, high=high, single=None)


def _restrict_bin(
    bins: Bins, modal_of_piece: Floats, is_modal: Any, interval: Interval | None, half: float
) -> tuple[Floats, Floats, Floats]:
    """Mass and ends of the part of each piece that lies in an interval."""
    if interval is None:
        return np.where(np.isnan(modal_of_piece), bins.mass, 0.0), bins.low, bins.high
    place = np.where(is_modal, modal_of_piece, bins.low)
    point = is_modal | (bins.low == bins.high)
    meets = (place >= interval[0]) & (place <= interval[1])
    first, last = interval
    if half:  # only whole steps lie in it
        first, last = np.ceil(first / half / 2 - ROUNDING) * half * 2, np.floor(last / half / 2 + ROUNDING) * half * 2
    low = np.clip(bins.low, first - half, last + half)
    high = np.clip(bins.high, first - half, last + half)
    with np.errstate(over="ignore"):
        ends = np.where(point, bins.low + np.maximum(1e-9 * np.abs(bins.low), 1), bins.high)  # points have no parts
    below, above = (bins.share_below(end, bins.low, ends) for end in (low, high))
    mass = bins.mass * np.where(point, meets, above - below if first <= last else 0.0)
    return mass, np.where(point, bins.low, low), np.where(point, bins.high, high)
