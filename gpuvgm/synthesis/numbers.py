"""Numbers of rows, which bins are made of: those of the column, or the time since another column of datetimes.

A datetime that is never before another one of its row, such as the end of a start, is counted and drawn as the time
since. So it is never before it in a sample either, and the time between the two is distributed as in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, on_host
from gpuvgm.columns.base import FittedColumn
from gpuvgm.columns.codecs import rows_for
from gpuvgm.columns.codecs.datetimes import nanoseconds_of, sort_of
from gpuvgm.columns.numbers import NumericColumn, ordinary_numbers, rules_for
from gpuvgm.engines import Engine
from gpuvgm.io.arrow import type_of
from gpuvgm.summary.grid import Floats

LEAST_ROWS = 100  # with a datetime, of a sample
ROUNDING = 1e-9  # of a step, by which a number may be too small
Rows = Callable[[str], Column]  # the rows of a column
Modal = NDArray[np.signedinteger[Any]]


def numbers_of_rows(column: NumericColumn, values: Column, engine: Engine) -> tuple[Floats, Modal | None]:
    """Numbers of the plain codec, and the modal value of each row; see `gpuvgm.columns.numbers.ordinary_numbers`."""
    plain, values = column.codec.plain, rows_for(column.codec, on_host(values))
    rules = rules_for(plain, column.modal_numbers, values)
    if rules is None:
        return ordinary_numbers(plain, column.modal_numbers, values)
    return engine.numbers_of(plain.encode(values), replace(rules, step=None))[:2]


def numbers_since(
    column: NumericColumn, origin: FittedColumn | None, rows: Rows, engine: Engine
) -> tuple[Floats, Modal | None]:
    """As `numbers_of_rows`; less those of the origin, if there is one."""
    numbers, which = numbers_of_rows(column, rows(column.name), engine)
    return (numbers if origin is None else numbers - origin_numbers(column, origin, rows, engine)), which


def origin_numbers(column: NumericColumn, origin: FittedColumn, rows: Rows, engine: Engine) -> Floats:
    """Numbers of another column of datetimes, in the unit of this one and from the same base.

    Where this one has the longer step, such as days, they are those of its last step before.
    """
    assert isinstance(origin, NumericColumn)
    factor, shift = unit_of_origin(column, origin)
    numbers = numbers_of_rows(origin, rows(origin.name), engine)[0] * factor + shift
    step = column.codec.plain.spacing
    return numbers if step <= origin.codec.plain.spacing * factor else np.floor(numbers / step + ROUNDING) * step


def unit_of_origin(column: NumericColumn, origin: NumericColumn) -> tuple[float, float]:
    """What numbers of the origin are multiplied by, and what is added, to be numbers of the column."""
    own, other = (nanoseconds_of(type_of(one.type)) for one in (column, origin))
    return other / own, float(Fraction(origin.codec.plain.base * other, own) - column.codec.plain.base)


def step_since(column: NumericColumn, origin: NumericColumn) -> float:
    """What the time since the origin is a multiple of, in the unit of the column."""
    units = [nanoseconds_of(type_of(one.type)) for one in (column, origin)]
    own, other = (int(one.codec.plain.spacing) * unit for one, unit in zip((column, origin), units, strict=True))
    return (own if own > other else gcd(own, other)) / units[0]


def find_origins(
    columns: Sequence[FittedColumn], rows: Rows, engine: Engine
) -> dict[str, tuple[NumericColumn, Floats]]:
    """Columns of datetimes that are counted from another one: this other one, and the time since it.

    In all rows of a sample they are not before it, and the time since varies less than the datetimes themselves. Of
    several such columns it is the one from which the time varies least. It has neither missing nor modal values.

    Parameters
    ----------
    columns : sequence of FittedColumn
        Those that are modelled.
    rows : callable
        Gives a sample of the rows of a column.
    engine : Engine
        Compute engine.
    """
    moments = [one for one in columns if isinstance(one, NumericColumn) and is_moment(one)]
    found = {}
    for place, column in enumerate(moments):
        own = numbers_of_rows(column, rows(column.name), engine)[0]
        if np.count_nonzero(~np.isnan(own)) < LEAST_ROWS:
            continue
        least = float(np.nanstd(own))
        for at, origin in enumerate(moments):
            if at == place or origin.modal_values or _sort(origin) != _sort(column):
                continue
            since = numbers_since(column, origin, rows, engine)[0]
            spread = float(np.nanstd(since))
            are_equal = at > place and not np.any(since > 0)  # of equal columns the first is the origin of the others
            if spread < least and np.nanmin(since) >= 0 and not are_equal:
                least, found[column.name] = spread, (origin, since)
    return found


def is_moment(column: FittedColumn) -> bool:
    """Whether a column has dates or timestamps."""
    type_ = type_of(column.type)
    return pa.types.is_timestamp(type_) or pa.types.is_date(type_)


def _sort(column: FittedColumn) -> str:
    return sort_of(type_of(column.type))
