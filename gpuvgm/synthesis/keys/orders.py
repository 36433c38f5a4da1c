"""Orders: columns that nobody declared keys, though the rows of each value share a moment, as the lines of an order do.

A moment of eight rows looks like a frequent one, and is the second at which somebody ordered. A sample of the rows,
which may be in any order, tells which columns may be orders; all rows of the values with the smallest hashes must
confirm it.
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
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import DAY, Rows, Unit, all_numbers
from gpuvgm.synthesis.keys.attributes import MISSING_VALUE, NO_KEY, WITNESSES, Evidence, values_of
from gpuvgm.synthesis.keys.keys import LEAST_REPEATED, Hashes

Moment = tuple[str, ...]  # a column of moments, or one of days and one of times of the day
Orders = Mapping[str, tuple[Moment, ...]]  # columns whose values each have one moment, with these
LEAST_ROWS, MOST_ROWS = 1.2, 50.0  # of a value, on average
CONSTANT = 0.995  # of the rows that repeat a value: of values that have one moment
OWN = 0.8  # of the moments: those of one value
LEAST_WITH = 0.5  # of the values, that have a moment
LEAST_TIMES = 10  # of the day, or moments say no more than their dates
MOST_LEFT_OUT = 64  # columns that a model leaves out, and that may be orders all the same
MOST_PAIRS = 8  # of a column of days and one of times of the day
PROBED = 1 << 14  # rows by which most columns are found to be none
RUNNING = 0.9  # of the steps between values in the order of their moments: those that numbers rise by
SAME_TIME = 0.5  # of a number: by which all are off at most that count time, such as seconds


@dataclass(frozen=True, slots=True)
class OrderEvidence:
    """Whether values have one moment, and moments belong to one value; merging does not depend on the order.

    Parameters
    ----------
    values : dict of str to Evidence
        By column that may be one of orders, on its moments.
    moments : dict of tuple of str to Evidence
        By moment, on all columns that may be of orders.
    """

    values: Mapping[str, Evidence]
    moments: Mapping[Moment, Evidence]

    @classmethod
    def of(
        cls, columns: Mapping[str, FittedColumn], orders: Orders, rows: Rows, most: int = WITNESSES
    ) -> OrderEvidence:
        """Evidence of some rows, given columns that may be orders, a column's rows on the host, and how many values."""
        moments = _all_moments(orders.values())
        names = dict.fromkeys([*orders, *(name for moment in moments for name in moment)])
        hashes = {name: hashes_of_values(columns.get(name), rows(name)) for name in names}
        hashes_of_moments = {moment: _joined([hashes[name] for name in moment]) for moment in moments}
        values = {
            name: Evidence.of(hashes[name], [hashes_of_moments[moment].__getitem__ for moment in own], most)
            for name, own in orders.items()
        }
        others = [hashes[name].__getitem__ for name in orders]
        return cls(values, {moment: Evidence.of(own, others, most) for moment, own in hashes_of_moments.items()})

    def merge(self, other: OrderEvidence) -> OrderEvidence:
        """Evidence of both sets of rows."""
        return OrderEvidence(
            {name: evidence.merge(other.values[name]) for name, evidence in self.values.items()},
            {moment: evidence.merge(other.moments[moment]) for moment, evidence in self.moments.items()},
        )

    def confirmed(self, orders: Orders, least_rows: float = LEAST_ROWS) -> dict[str, tuple[Moment, ...]]:
        """Those that are orders by this evidence, of the columns that it is on."""
        confirmed = dict[str, tuple[Moment, ...]]()
        for place, (name, moments) in enumerate(orders.items()):
            evidence = self.values[name]
            if least_rows <= evidence.rows.sum() / max(len(evidence.rows), 1) <= MOST_ROWS:
                pairs = zip(moments, _are_constant(evidence), strict=True)
                constant = [moment for moment, is_constant in pairs if is_constant]
                own = [moment for moment in constant if _share_of_own(self.moments[moment], place) >= OWN]
                confirmed |= {name: tuple(own)} if own else {}
        return confirmed


def _joined(hashes: list[Hashes]) -> Hashes:
    """Hashes of several values together, 0 where one of them is missing."""
    joined = hashes[0]
    for own in hashes[1:]:
        joined = np.where((joined == NO_KEY) | (own == NO_KEY), NO_KEY, mixed(joined ^ mixed(own, 0), 1) | np.uint64(1))
    return joined


def _are_constant(evidence: Evidence) -> NDArray[np.bool_]:
    """Mask of the columns that have one value in nearly all rows of a key, and any in most keys."""
    repeats, known = evidence.rows - 1, evidence.lowest <= evidence.highest
    several = (evidence.lowest < evidence.highest) @ repeats
    are_constant: NDArray[np.bool_] = several <= (1 - CONSTANT) * (known @ repeats)
    are_constant &= known.sum(axis=1) >= LEAST_WITH * len(repeats)
    return are_constant


def _share_of_own(evidence: Evidence, place: int) -> float:
    """Share of the moments that rows of one value have, by the place of the column of values."""
    lowest, highest = evidence.lowest[place], evidence.highest[place]
    return float(np.count_nonzero(lowest == highest)) / max(len(lowest), 1)


def hashes_of_values(column: FittedColumn | None, array: Any) -> Hashes:
    """Hashes of values, as those of keys: the same for a value of the column wherever it comes, 0 for missing ones.

    Of a column that the model leaves out there is none.
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
    few = rows.slice(0, PROBED)
    numbers, of_few = numbers_of(columns, few), [own[:PROBED] for own in moments.values()]
    names = [name for name in rows.column_names if _may_count(columns.get(name), numbers.get(name), of_few)]
    orders: Orders = {name: (*moments,) for name in names if name not in skipped}
    orders = _not_refuted(columns, orders, few, least_repeated=0)
    return _not_refuted(columns, orders, rows, least_repeated=LEAST_REPEATED, least_rows=LEAST_ROWS if whole else 1.0)


def columns_left_out(model: TableModel, schema: pa.Schema) -> list[str]:
    """Columns of text and whole numbers that a model leaves out, such as dropped ones, and moments that it has."""
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
            numbers[name] = unit.amounts(all_numbers(column, rows.column(name).combine_chunks()))
    return numbers


def _moments_of(columns: Mapping[str, FittedColumn], rows: pa.Table) -> dict[Moment, Floats]:
    """Moments at many times of the day: columns of them, and days with times, each in nanoseconds."""
    types: dict[str, Any] = {name: column.type for name, column in columns.items() if isinstance(column, NumericColumn)}
    times = [name for name, type_ in types.items() if pa.types.is_time(type_)]
    days = [name for name, type_ in types.items() if is_moment_type(type_)]
    numbers = numbers_of({name: columns[name] for name in (*days, *times)}, rows)
    different = {name: len(np.unique(own[~np.isnan(own)] % DAY)) for name, own in numbers.items()}
    moments: dict[Moment, Floats] = {(name,): numbers[name] for name in days if different[name] >= LEAST_TIMES}
    pairs = product(
        [name for name in days if (name,) not in moments], [name for name in times if different[name] >= LEAST_TIMES]
    )
    return moments | {(day, time): numbers[day] + numbers[time] for day, time in islice(pairs, MOST_PAIRS)}


def _may_count(column: FittedColumn | None, numbers: Floats | None, moments: Sequence[Floats]) -> bool:
    """Return whether a column holds text, or whole numbers that do not count the time, as seconds do."""
    if isinstance(column, CategoricalColumn):
        return is_text_type(column.value_type) or pa.types.is_integer(column.value_type)
    if numbers is None or not isinstance(column, NumericColumn):
        return column is None or isinstance(column, PassthroughColumn)
    if not is_plain_number_type(column.type) and not (pa.types.is_decimal(column.type) and column.type.scale == 0):
        return False
    present = numbers[np.isfinite(numbers)]
    is_whole = bool(np.all(present == np.rint(present)))
    return is_whole and not any(_counts_time(numbers, one) for one in moments)


def _counts_time(numbers: Floats, moments: Floats) -> bool:
    """Return whether numbers lie on one straight line over moments."""
    both = np.isfinite(numbers) & np.isfinite(moments)
    x, y = moments[both], numbers[both]
    if not len(x) or np.min(x) == np.max(x):
        return False
    first, last = int(np.argmin(x)), int(np.argmax(x))
    line = y[first] + (y[last] - y[first]) * ((x - x[first]) / (x[last] - x[first]))
    return bool(np.all(np.abs(y - line) <= SAME_TIME))


def _not_refuted(
    columns: Mapping[str, FittedColumn], orders: Orders, rows: pa.Table, *, least_repeated: int, least_rows: float = 1.0
) -> Orders:
    """Columns that may still be orders after some rows, of which so many repeat a value.

    Without such a number few rows say nothing, as of a long table in any order.
    """
    most = max(rows.num_rows, 1)
    evidence = OrderEvidence.of(columns, orders, lambda name: rows.column(name).combine_chunks(), most)
    confirmed = evidence.confirmed(orders, least_rows)
    repeated = {name: int((one.rows - 1).sum()) for name, one in evidence.values.items()}
    remaining = {name: confirmed.get(name, ()) for name in orders if repeated[name] >= least_repeated}
    if not least_repeated:
        remaining |= {name: orders[name] for name in orders if repeated[name] < LEAST_REPEATED}
    return {name: moments for name, moments in remaining.items() if moments}


def without_amounts(columns: Mapping[str, FittedColumn], orders: Orders, rows: pa.Table) -> Orders:
    """Orders without whole numbers that may be amounts, such as the sum of an order, where others share their moments.

    Text is no amount, and neither are numbers that run on with the moments. Where there are none of these, the column
    of the most values stays.
    """
    hashes = {name: hashes_of_values(columns[name], rows.column(name).combine_chunks()) for name in orders}
    firsts = {name: np.unique(own, return_index=True)[1] for name, own in hashes.items()}
    moments = _all_moments(orders.values())
    named = {name: columns[name] for name in [*orders, *(name for moment in moments for name in moment)]}
    numbers, kept = numbers_of(named, rows), set[str]()
    for moment in moments:
        names, times = [name for name, own in orders.items() if moment in own], sum(numbers[one] for one in moment)
        sure = [
            name
            for name in names
            if name not in numbers or _run_on(numbers[name][firsts[name]], np.asarray(times)[firsts[name]])
        ]
        kept |= {*sure} or {max(names, key=lambda name: len(firsts[name]))}
    return {name: own for name, own in orders.items() if name in kept}


def _run_on(numbers: Floats, moments: Floats) -> bool:
    """Return whether numbers hardly ever fall while moments rise."""
    return bool(np.mean(np.diff(numbers[np.argsort(moments, kind="stable")]) >= 0) >= RUNNING)


def _all_moments(of_orders: Iterable[Collection[Moment]]) -> dict[Moment, None]:
    return dict.fromkeys(moment for own in of_orders for moment in own)


# -- what is said of them


def describe_orders(model: TableModel, orders: Orders) -> str:
    """Which columns that nobody declared may be keys, as their rows share moments, and the remedy; else empty."""
    declared = {spec.name for spec in model.schema.columns if spec.is_declared}
    proposed = [name for name in orders if name not in declared]
    if not proposed:
        return ""
    moments = dict.fromkeys(name for moment in _all_moments(orders[own] for own in proposed) for name in moment)
    number = "a key" if len(proposed) == 1 else "keys"
    return (
        f"{listed(proposed)} may be {number}: rows with the same value share their {listed(moments)}; declare "
        f"{declaration(proposed, {'key': True})}, so that samples have new values in as many rows, which share it too"
    )


def tell_of_orders(model: TableModel, orders: Orders) -> None:
    """Warn of columns that nobody declared and that may be keys."""
    if told := describe_orders(model, orders):
        warn(told, InferenceWarning, ("orders", *orders))


def orders_of_file(orders: Any, model: TableModel) -> dict[str, tuple[Moment, ...]]:
    """Orders of a model file; raises ValueError where they are no columns of the model."""
    read = {name: tuple(map(tuple, moments)) for name, moments in dict(orders).items()}
    if not {*model.names}.issuperset([*read, *(name for own in read.values() for moment in own for name in moment)]):
        raise ValueError("its orders are no columns of the model")
    return read
