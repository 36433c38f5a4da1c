"""Orders: columns that nobody declared keys, though the rows of each value share a moment, as the lines of an order do.

A moment of eight rows looks like a frequent one, and is the second at which somebody ordered. A sample of the rows, in
any order, shows which columns may be orders; all rows of the values with the smallest hashes must confirm it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, NumericColumn, PassthroughColumn, TableModel
from gpuvgm.errors import InferenceWarning, declaration, listed, warn
from gpuvgm.io import is_datetime_type, is_moment_type, is_plain_number_type, is_text_type, plain_type
from gpuvgm.laws import Unit
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import Rows
from gpuvgm.synthesis.keys.attributes import MISSING_VALUE, NO_KEY, WITNESSES, Evidence, values_of
from gpuvgm.synthesis.keys.key_search import LEAST_REPEATED
from gpuvgm.synthesis.keys.keys import Hashes

Moment = tuple[str, ...]  # a column of moments, or a column of days and a column of times of the day
Orders = Mapping[str, tuple[Moment, ...]]  # moments by column whose values have a single one each
LEAST_ROWS, MOST_ROWS = 1.2, 50.0  # of a value, on average
CONSTANT = 0.995  # least share of the rows that repeat a value and its moment, of those that repeat a value
OF_ONE_VALUE = 0.8  # least share of the moments whose rows all have the same value
LEAST_WITH = 0.5  # least share of the values that have a moment
LEAST_TIMES = 10  # of the day: with fewer, moments say no more than their dates
MOST_LEFT_OUT = 64  # columns that a model leaves out and that are tried all the same
MOST_PAIRS = 8  # of a column of days and a column of times of the day
PROBED = 1 << 14  # rows that already show of most columns that they are no orders
RUNNING = 0.9  # least share of the steps, in the order of moments, by which numbers that run on do not fall
SAME_TIME = 0.5  # numbers that count time, such as seconds, are off a straight line by so much at most


@dataclass(frozen=True, slots=True)
class OrderEvidence:
    """Whether values have one moment, and moments belong to one value; merging does not depend on the order.

    Parameters
    ----------
    values : dict of str to Evidence
        By column that may be orders: whether its values determine its moments.
    moments : dict of tuple of str to Evidence
        By moment: whether it determines the values of each column that may be orders.
    """

    values: Mapping[str, Evidence]
    moments: Mapping[Moment, Evidence]

    @classmethod
    def of(
        cls, columns: Mapping[str, FittedColumn], orders: Orders, rows: Rows, most: int = WITNESSES
    ) -> OrderEvidence:
        """Evidence of rows.

        Parameters
        ----------
        columns : mapping of str to FittedColumn
            The columns by name, but for those that the model leaves out.
        orders : mapping of str to tuple of tuple of str
            Columns that may be orders, with their moments.
        rows : callable
            Gives the rows of a column, on the host.
        most : int
            Values, and moments, whose rows are evidence: those with the smallest hashes.
        """
        moments = _all_moments(orders.values())
        names = dict.fromkeys([*orders, *(name for moment in moments for name in moment)])
        hashes = {name: hashes_of_values(columns.get(name), rows(name)) for name in names}
        hashes_of_moments = {moment: _joined([hashes[name] for name in moment]) for moment in moments}
        on_moments = {
            name: Evidence.of(hashes[name], [hashes_of_moments[moment].__getitem__ for moment in moments_of_name], most)
            for name, moments_of_name in orders.items()
        }
        values = [hashes[name].__getitem__ for name in orders]
        on_values = {moment: Evidence.of(of_rows, values, most) for moment, of_rows in hashes_of_moments.items()}
        return cls(on_moments, on_values)

    def merge(self, other: OrderEvidence) -> OrderEvidence:
        """Evidence of both sets of rows."""
        return OrderEvidence(
            {name: evidence.merge(other.values[name]) for name, evidence in self.values.items()},
            {moment: evidence.merge(other.moments[moment]) for moment, evidence in self.moments.items()},
        )

    def confirmed(self, orders: Orders, least_rows: float = LEAST_ROWS) -> dict[str, tuple[Moment, ...]]:
        """Columns that are orders by this evidence, with the moments that confirm it.

        Parameters
        ----------
        orders : mapping of str to tuple of tuple of str
            The columns that it is on, with their moments.
        least_rows : float
            Rows of a value on average, or the column has no orders.
        """
        confirmed = dict[str, tuple[Moment, ...]]()
        for place, (name, moments) in enumerate(orders.items()):
            evidence = self.values[name]
            if least_rows <= evidence.rows.sum() / max(len(evidence.rows), 1) <= MOST_ROWS:
                pairs = zip(moments, _are_constant(evidence), strict=True)
                constant = [moment for moment, is_constant in pairs if is_constant]
                shares = {moment: _share_of_one_value(self.moments[moment], place) for moment in constant}
                kept = tuple(moment for moment, share in shares.items() if share >= OF_ONE_VALUE)
                confirmed |= {name: kept} if kept else {}
        return confirmed


def _joined(hashes: list[Hashes]) -> Hashes:
    """Hashes of the values of several columns together, 0 where one of them is missing."""
    joined = hashes[0]
    for column in hashes[1:]:
        together = mixed(joined ^ mixed(column, 0), 1) | np.uint64(1)
        joined = np.where((joined == NO_KEY) | (column == NO_KEY), NO_KEY, together)
    return joined


def _are_constant(evidence: Evidence) -> NDArray[np.bool_]:
    """Mask of the columns that are nearly always the same in all rows of a key, and not missing for most keys."""
    repeats, has_value = evidence.rows - 1, evidence.lowest <= evidence.highest
    differing = (evidence.lowest < evidence.highest) @ repeats
    are_constant: NDArray[np.bool_] = differing <= (1 - CONSTANT) * (has_value @ repeats)
    are_constant &= has_value.sum(axis=1) >= LEAST_WITH * len(repeats)
    return are_constant


def _share_of_one_value(evidence: Evidence, place: int) -> float:
    """Share of the moments whose rows all have the same value, in the column of values at a place."""
    lowest, highest = evidence.lowest[place], evidence.highest[place]
    return float(np.count_nonzero(lowest == highest)) / max(len(lowest), 1)


def hashes_of_values(column: FittedColumn | None, array: Any) -> Hashes:
    """Hashes of values, as those of keys: the same for a value wherever it comes, 0 for missing ones.

    `column` is None where the model leaves it out.
    """
    if column is None or isinstance(column, PassthroughColumn):
        return PassthroughColumn.hashes(array)
    values = values_of(column, array, np.arange(len(array)))
    are_missing = values == MISSING_VALUE
    if isinstance(column, CategoricalColumn) and MISSING in column.categories:
        are_missing |= values == np.uint64(column.categories.index(MISSING))
    return np.where(are_missing, NO_KEY, mixed(values, 0) | np.uint64(1))


# -- which columns they are


def find_orders(
    columns: Mapping[str, FittedColumn], skipped: Collection[str], rows: pa.Table, *, whole: bool
) -> Orders:
    """Columns that may be orders by a sample: text or whole numbers, each with its moments.

    Parameters
    ----------
    columns : mapping
        The columns by name, but for those that the model leaves out.
    skipped : collection of str
        Columns that are none: text of dates and times that are not read.
    rows : pyarrow.Table
        The sample, in any order.
    whole : bool
        Whether it is the whole table.
    """
    columns = {name: columns[name] for name in rows.column_names if name in columns}
    moments = _moments_of(columns, rows)
    if not moments:
        return {}
    probed = rows.slice(0, PROBED)
    numbers, probed_moments = numbers_of(columns, probed), [moment[:PROBED] for moment in moments.values()]
    names = [name for name in rows.column_names if _may_count(columns.get(name), numbers.get(name), probed_moments)]
    orders: Orders = {name: (*moments,) for name in names if name not in skipped}
    orders = _not_refuted(columns, orders, probed, keeps_few=True)
    return _not_refuted(columns, orders, rows, keeps_few=False, least_rows=LEAST_ROWS if whole else 1.0)


def columns_left_out(model: TableModel, schema: pa.Schema) -> list[str]:
    """Columns of text and whole numbers that a model leaves out, such as dropped ones, and its columns of datetimes.

    Empty where it leaves none out or has no datetimes.
    """
    moments, known = [column.name for column in model.numeric if is_datetime_type(column.type)], {*model.names}
    types: dict[str, Any] = {name: plain_type(schema.field(name).type) for name in schema.names if name not in known}
    left_out = [name for name, type_ in types.items() if is_text_type(type_) or pa.types.is_integer(type_)]
    return [*left_out[:MOST_LEFT_OUT], *moments] if left_out and moments else []


def numbers_of(columns: Mapping[str, FittedColumn], rows: pa.Table) -> dict[str, Floats]:
    """Numbers of each column of numbers: what they mean, in nanoseconds of moments and times."""
    numbers = dict[str, Floats]()
    for name, column in columns.items():
        unit = Unit.of(column)
        if isinstance(column, NumericColumn) and unit is not None:
            numbers[name] = unit.amounts(column.all_numbers(rows.column(name).combine_chunks()))
    return numbers


def _moments_of(columns: Mapping[str, FittedColumn], rows: pa.Table) -> dict[Moment, Floats]:
    """Moments at many times of the day, in nanoseconds: columns of them, and columns of days with one of times."""
    types: dict[str, Any] = {name: column.type for name, column in columns.items() if isinstance(column, NumericColumn)}
    times = [name for name, type_ in types.items() if pa.types.is_time(type_)]
    days = [name for name, type_ in types.items() if is_moment_type(type_)]
    numbers = numbers_of({name: columns[name] for name in (*days, *times)}, rows)
    different = {name: len(np.unique(Unit.times_of_day(column[~np.isnan(column)]))) for name, column in numbers.items()}
    moments: dict[Moment, Floats] = {(name,): numbers[name] for name in days if different[name] >= LEAST_TIMES}
    only_days = [name for name in days if (name,) not in moments]
    pairs = product(only_days, [name for name in times if different[name] >= LEAST_TIMES])
    return moments | {(day, time): numbers[day] + numbers[time] for day, time in islice(pairs, MOST_PAIRS)}


def _may_count(column: FittedColumn | None, numbers: Floats | None, moments: Sequence[Floats]) -> bool:
    """Return whether a column may number orders: text, or whole numbers that do not count the time, as seconds do.

    Parameters
    ----------
    column : FittedColumn or None
        The column; None where the model leaves it out.
    numbers : ndarray of shape (rows,) or None
        Its numbers in a sample, if it is a column of numbers.
    moments : sequence of ndarray of shape (rows,)
        The moments of the sample.
    """
    if isinstance(column, CategoricalColumn):
        return is_text_type(column.value_type) or pa.types.is_integer(column.value_type)
    if numbers is None or not isinstance(column, NumericColumn):
        return column is None or isinstance(column, PassthroughColumn)
    if not is_plain_number_type(column.type) and not (pa.types.is_decimal(column.type) and column.type.scale == 0):
        return False
    present = numbers[np.isfinite(numbers)]
    is_whole = bool(np.all(present == np.rint(present)))
    return is_whole and not any(_counts_time(numbers, moment) for moment in moments)


def _counts_time(numbers: Floats, moments: Floats) -> bool:
    """Return whether numbers lie on one straight line over moments."""
    present = np.isfinite(numbers) & np.isfinite(moments)
    x, y = moments[present], numbers[present]
    if not len(x) or np.min(x) == np.max(x):
        return False
    first, last = int(np.argmin(x)), int(np.argmax(x))
    line = y[first] + (y[last] - y[first]) * ((x - x[first]) / (x[last] - x[first]))
    return bool(np.all(np.abs(y - line) <= SAME_TIME))


def _not_refuted(
    columns: Mapping[str, FittedColumn], orders: Orders, rows: pa.Table, *, keeps_few: bool, least_rows: float = 1.0
) -> Orders:
    """Columns that may still be orders after rows.

    Columns of which hardly a row repeats a value are none, or stay where `keeps_few`: a few rows of a long table say
    nothing. Evidence is only made of columns whose number of rows of a value leaves them open, as it costs much for
    each column with each moment.
    """
    few, remaining = {}, {}
    for name, moments in orders.items():
        hashes = hashes_of_values(columns.get(name), rows.column(name).combine_chunks())
        present = hashes[hashes != NO_KEY]
        different = len(np.unique(present))
        if len(present) - different < LEAST_REPEATED:
            few[name] = moments
        elif least_rows <= len(present) / different <= MOST_ROWS:
            remaining[name] = moments
    most = max(rows.num_rows, 1)
    evidence = OrderEvidence.of(columns, remaining, lambda name: rows.column(name).combine_chunks(), most)
    kept = evidence.confirmed(remaining, least_rows) | (few if keeps_few else {})
    return {name: kept[name] for name in orders if name in kept}


def without_amounts(columns: Mapping[str, FittedColumn], orders: Orders, rows: pa.Table) -> Orders:
    """Orders without whole numbers that may be amounts, such as the sum of an order, where others share their moments.

    Text is no amount, and neither are numbers that run on with the moments. Where there are none of these, the column
    of the most values stays.
    """
    hashes = {name: hashes_of_values(columns[name], rows.column(name).combine_chunks()) for name in orders}
    firsts = {name: np.unique(of_rows, return_index=True)[1] for name, of_rows in hashes.items()}
    all_moments = _all_moments(orders.values())
    used = {name: columns[name] for name in [*orders, *(name for moment in all_moments for name in moment)]}
    numbers, kept = numbers_of(used, rows), set[str]()
    for moment in all_moments:
        times = np.sum([numbers[name] for name in moment], axis=0)
        names = [name for name, moments in orders.items() if moment in moments]
        sure = {
            name for name in names if name not in numbers or _run_on(numbers[name][firsts[name]], times[firsts[name]])
        }
        kept |= sure or {max(names, key=lambda name: len(firsts[name]))}
    return {name: moments for name, moments in orders.items() if name in kept}


def _run_on(numbers: Floats, moments: Floats) -> bool:
    """Return whether numbers hardly ever fall while moments rise."""
    return bool(np.mean(np.diff(numbers[np.argsort(moments, kind="stable")]) >= 0) >= RUNNING)


def _all_moments(of_orders: Iterable[Collection[Moment]]) -> dict[Moment, None]:
    return dict.fromkeys(moment for moments in of_orders for moment in moments)


# -- what is said of them


def describe_orders(model: TableModel, orders: Orders) -> str:
    """Which columns that nobody declared may be keys, as their rows share moments, and the remedy; else empty."""
    declared = {spec.name for spec in model.schema.columns if spec.is_declared}
    proposed = [name for name in orders if name not in declared]
    if not proposed:
        return ""
    moments = dict.fromkeys(name for moment in _all_moments(orders[key] for key in proposed) for name in moment)
    number = "a key" if len(proposed) == 1 else "keys"
    return (
        f"{listed(proposed)} may be {number}: rows with the same value share their {listed(moments)}; declare "
        f"{declaration(proposed, {'key': True})}, so that samples have new values in as many rows, which share it too"
    )


def tell_of_orders(model: TableModel, orders: Orders) -> None:
    """Warn of columns that nobody declared and that may be keys."""
    if text := describe_orders(model, orders):
        warn(text, InferenceWarning, ("orders", *orders))


def orders_of_file(orders: Any, model: TableModel) -> dict[str, tuple[Moment, ...]]:
    """Orders of a model file; raises ValueError where they are no columns of the model."""
    read = {name: tuple(map(tuple, moments)) for name, moments in dict(orders).items()}
    moments = _all_moments(read.values())
    if not {*model.names}.issuperset([*read, *(name for moment in moments for name in moment)]):
        raise ValueError("its orders are no columns of the model")
    return read
