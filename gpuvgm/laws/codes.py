"""Numbers and codes of a column's values, which laws compare and compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Column, beside, namespace_of
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.io import replaced_rows, taken
from gpuvgm.summary import Floats

MISSING = np.inf  # code of a missing value
NO_CATEGORY = -1.0  # code of a number that is no category of its column
MOST_PLACES = 9  # decimal places of categories that are numbers
NEAR_STEP = 1e-6  # of a step, by which numbers that lie on steps may be off
Columns = Mapping[str, FittedColumn]
Rows = Callable[[str], Column]  # the rows of a column
Mask = NDArray[np.bool_]
Reader = Callable[[FittedColumn, Any], Floats]


def codes_of(column: FittedColumn, values: Any) -> Floats:
    """Codes that tell a column's values apart, where the values lie.

    The code of a category is its place, that of a number the number itself, and that of a missing number `MISSING`.
    """
    if isinstance(column, CategoricalColumn):
        return column.index.find(values).astype(np.float64)
    numbers = numbers_in(column, values)
    xp = namespace_of(numbers)
    codes: Floats = xp.where(xp.isnan(numbers), MISSING, numbers)
    return codes


def numbers_in(column: FittedColumn, values: Any) -> Floats:
    """Numbers of a column's values, where the values lie; NaN for missing ones."""
    if isinstance(column, CategoricalColumn):
        places = column.index.find(values)
        numbers: Floats = namespace_of(places).asarray(np.append(column.numbers, np.nan))[places]
        return numbers
    assert isinstance(column, NumericColumn)
    return column.all_numbers(values).astype(np.float64) + 0.0  # no minus zero


def spacing_of(column: FittedColumn) -> float:
    """Distance of neighbouring numbers of a column; 0 where they lie anywhere.

    That of categories is the largest power of ten, up to 1, of which all are multiples.
    """
    if not isinstance(column, CategoricalColumn):
        assert isinstance(column, NumericColumn)
        return float(column.codec.plain.spacing)
    numbers = column.numbers
    numbers = numbers[np.isfinite(numbers)]
    places = (place for place in range(MOST_PLACES + 1) if np.array_equal(np.round(numbers, place), numbers))
    return next((10.0**-place for place in places), 0.0)


def codes_of_numbers(column: FittedColumn, numbers: Floats, tolerance: Floats | float) -> Floats:
    """Codes of numbers, as `values_of_codes` takes them; those of categories that are no farther than a tolerance."""
    if not isinstance(column, CategoricalColumn):
        return numbers
    categories, xp = column.numbers, namespace_of(numbers)
    order = np.argsort(categories)
    ascending, missing = xp.asarray(categories[order]), np.flatnonzero(np.isnan(categories))
    nearest = xp.searchsorted((ascending[1:] + ascending[:-1]) / 2, numbers)
    is_near = xp.abs(ascending[nearest] - numbers) <= tolerance
    codes = xp.where(is_near, xp.asarray(order)[nearest], NO_CATEGORY)
    code_of_missing = float(missing[0]) if len(missing) else np.nan
    of_numbers: Floats = xp.where(xp.isnan(numbers), code_of_missing, codes)
    return of_numbers


def is_missing(column: FittedColumn, codes: Floats) -> Mask:
    """Which codes, as `codes_of` gives them, are those of missing values."""
    if isinstance(column, CategoricalColumn):
        categories = [*column.categories]
        missing: Mask = codes == (categories.index(None) if None in categories else NO_CATEGORY)
        return missing
    is_infinite: Mask = np.isinf(codes)
    return is_infinite


def read_columns(read: Reader, columns: Columns, names: Sequence[str], rows: Rows) -> list[Floats]:
    """Numbers or codes of several columns; all lie where those of the first do."""
    first, *following = (read(columns[name], rows(name)) for name in names)
    return [first, *(beside(numbers, first) for numbers in following)]


def places_in(ascending: Any, codes: Any) -> Any:
    """Place of each code among different ones that ascend; -1 for those that are none of them."""
    xp = namespace_of(codes)
    places = xp.minimum(xp.searchsorted(ascending, codes), len(ascending) - 1)
    return xp.where(ascending[places] == codes, places, -1)


def values_of_codes(column: FittedColumn, numbers: Floats) -> Any:
    """Values of codes, as `codes_of` gives them, or of numbers with NaN for missing ones."""
    if isinstance(column, CategoricalColumn):
        return column.category_values()(np.maximum(np.nan_to_num(numbers), 0).astype(np.int64))
    assert isinstance(column, NumericColumn)
    return column.codec.plain.decode(np.where(np.isinf(numbers), np.nan, numbers))


def rounded_to_steps(numbers: Floats, step: float, rounded: Callable[[Floats], Floats]) -> Floats:
    """Numbers rounded to multiples of a step in a way of their own, such as down; those near a multiple to this one."""
    steps = numbers / step
    nearest = np.rint(steps)
    multiples: Floats = namespace_of(steps).where(np.abs(steps - nearest) < NEAR_STEP, nearest, rounded(steps)) * step
    return multiples


def choose(mask: Mask, values: Any, alternatives: Any) -> Any:
    """Values where a mask is true, alternatives elsewhere."""
    if mask.all():
        return values
    places = np.flatnonzero(mask)
    return replaced_rows(alternatives, places, taken(values, places))


def training_range(column: FittedColumn) -> tuple[float, float]:
    """Least and largest number of a column in the training rows."""
    if not isinstance(column, NumericColumn) or column.minimum is None or column.maximum is None:
        return -np.inf, np.inf
    ends = [*column.plain_range, *map(column.codec.plain.number, column.modal_numbers)]
    return float(np.nanmin(ends)), float(np.nanmax(ends))


def largest_number(column: FittedColumn) -> float:
    """The largest number of a column in the training rows, also of one with categories that are numbers."""
    if isinstance(column, CategoricalColumn):
        return float(np.nanmax(column.numbers))
    return training_range(column)[1]


def beyond_range(column: FittedColumn, numbers: Floats) -> Mask:
    """Which numbers lie beyond a column's training range, or are none of its categories; NaN and `MISSING` do not."""
    if isinstance(column, CategoricalColumn):
        no_category: Mask = numbers < 0
        return no_category
    low, high = training_range(column)
    beyond: Mask = np.isfinite(numbers) & ((numbers < low) | (numbers > high))
    return beyond
