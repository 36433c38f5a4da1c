"""Categorical columns: levels by falling frequency, one cell each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, on_host, to_numpy
from gpuvgm.columns.base import Coded, ColumnRequest, EncodingOptions, Slice, Values, refuse, refuse_cell
from gpuvgm.columns.categories import (
    MOST_LEVELS,
    LevelCounts,
    LevelIndex,
    array_of,
    check_levels,
    levels_of,
    parsed,
    plain_values,
    value_type,
)
from gpuvgm.columns.model import MISSING, CategoricalColumn, FitRecord, Level
from gpuvgm.engines import Engine
from gpuvgm.errors import InputError
from gpuvgm.io.arrow_types import type_of


@dataclass(frozen=True, slots=True)
class LevelPlan:
    """What is settled about a categorical column before its rows are read.

    Parameters
    ----------
    name, type : str
        The column and its Arrow type.
    unknown : str
        What a value that is no level does.
    declared : tuple, optional
        The levels, where the user gave them.
    dictionary : tuple, optional
        For dictionary types: the values of the dictionary, in its own order.
    """

    name: str
    type: str
    unknown: str
    declared: tuple[Level, ...] | None = None
    dictionary: tuple[Level, ...] | None = None

    def tally(self, engine: Engine, values: Column, first_row: int) -> LevelCounts:
        """Levels of rows; the column stops where there are too many to number."""
        counts = LevelCounts.of(on_host(values), first_row).of_type(value_type(type_of(self.type)))
        if self.declared is not None:
            self._check_declared(counts)
            counts = counts.only(set(self.declared))
        check_levels(len(counts.levels))
        return counts

    def _check_declared(self, counts: LevelCounts) -> None:
        """Refuse levels that are not among those declared."""
        declared = set(self.declared or ())
        foreign = [i for i, level in enumerate(counts.levels) if level not in declared]
        if foreign and self.unknown == "error":
            first = min(foreign, key=lambda i: counts.first_rows[i])
            raise InputError(
                f"{_shown(counts.levels[first])} (first at row {counts.first_rows[first]}) is "
                'none of the declared categories; add it, or pass unknown="ignore"'
            )


def plan_levels(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> LevelPlan:
    """Plan of a categorical column.

    Raises
    ------
    InputError
        For declared categories that the column's type cannot hold.
    """
    declared = None
    if request.spec.categories is not None:
        try:
            declared = parsed(request.spec.categories, value_type(sample.type))
        except ValueError as problem:
            raise InputError(f'column "{request.name}": categories: {problem}') from None
    return LevelPlan(request.name, str(sample.type), request.unknown, declared, _dictionary_of(sample))


def _dictionary_of(sample: Any) -> tuple[Level, ...] | None:
    """The values of the chunks' dictionaries, one behind the other, without those that are missing or there before."""
    if not pa.types.is_dictionary(sample.type) or sum(len(chunk.dictionary) for chunk in sample.chunks) > MOST_LEVELS:
        return None
    levels = (level for chunk in sample.chunks for level in levels_of(plain_values(chunk.dictionary)))
    return tuple(level for level in dict.fromkeys(levels) if level is not MISSING)


def column_of_levels(plan: LevelPlan, counts: LevelCounts) -> CategoricalColumn:
    """The column's model from its counts."""
    if plan.declared is not None:
        counts = _with_declared(plan.declared, counts)
    ordered = counts.ordered()
    missing = ordered.counts[ordered.levels.index(MISSING)] if MISSING in ordered.levels else 0
    return CategoricalColumn(
        name=plan.name,
        type=_roomy(plan, ordered.levels),
        levels=ordered.levels,
        counts=tuple(int(count) for count in ordered.counts),
        first_rows=tuple(int(row) for row in ordered.first_rows),
        unknown=cast('Literal["error", "ignore"]', plan.unknown),
        dictionary=plan.dictionary,
        declared=plan.declared is not None,
        fit=FitRecord("none", counts.rows, int(missing)),
    )


def _roomy(plan: LevelPlan, levels: Sequence[Level]) -> str:
    """The column's type, with room for the codes of all entries where rows added later brought new ones."""
    type_: Any = type_of(plan.type)
    if not pa.types.is_dictionary(type_):
        return plan.type
    entries = len({*(plan.dictionary or ()), *levels} - {MISSING})
    most = np.iinfo(type_.index_type.to_pandas_dtype()).max
    return plan.type if entries <= most + 1 else str(pa.dictionary(pa.int32(), type_.value_type, type_.ordered))


def _with_declared(declared: Sequence[Level], counts: LevelCounts) -> LevelCounts:
    """Counts of the declared levels, those that did not occur included, and of no others."""
    at = {level: i for i, level in enumerate(counts.levels)}
    found = [at.get(level) for level in declared]
    return LevelCounts(
        counts.type,
        counts.rows,
        tuple(declared),
        np.array([0 if i is None else counts.counts[i] for i in found], np.int64),
        np.array([-1 if i is None else counts.first_rows[i] for i in found], np.int64),
    )


def counts_of(column: CategoricalColumn) -> LevelCounts:
    """The counts that a column's model holds."""
    type_ = str(value_type(type_of(column.type)))
    return LevelCounts(type_, column.fit.rows, column.levels, np.array(column.counts), np.array(column.first_rows))


def plan_again(column: CategoricalColumn) -> LevelPlan:
    """The plan that a fitted column came from."""
    levels = column.levels if column.declared else None
    return LevelPlan(column.name, column.type, column.unknown, levels, column.dictionary)


class LevelEncoder:
    """Encodes a categorical column.

    Parameters
    ----------
    engine : Engine
        Not used: levels are found by Arrow, on the host.
    column : CategoricalColumn
        The fitted column.
    options : EncodingOptions
        How to encode.
    """

    def __init__(self, engine: Engine, column: CategoricalColumn, options: EncodingOptions) -> None:
        self._column, self._place = column, options.place
        self._index = LevelIndex(column.levels, value_type(type_of(column.type)))

    def __call__(self, part: Slice) -> Coded:
        """Cells of a part."""
        column = self._column
        values = on_host(part.values)
        cells = self._index.find(values)
        unknown = cells < 0
        if np.any(unknown):
            if column.unknown == "error":
                self._refuse(values, part.first_row, unknown)
            cells[unknown] = column.width
        return Coded(cell=cells.astype(column.cell_dtype))

    def _refuse(self, values: pa.Array[Any], first_row: int, unknown: NDArray[np.bool_]) -> None:
        value = values[int(np.argmax(unknown))].as_py()
        blank = value is None or value != value or (isinstance(value, str) and not value.strip())
        problem = "values are missing" if blank else f"values (such as {_shown(value)}) are no level"
        where = "in a column that had none missing at fit" if blank else "that was there at fit"
        remedy = 'fit with rows that have them, declare categories, or fit with unknown="ignore"'
        refuse(self._column, unknown, partial(_offset_place, self._place, first_row), f"{problem} {where}", remedy)


def _offset_place(place: Any, first_row: int, row: int) -> str:
    return str(place(first_row + row))


def _shown(level: object) -> str:
    text = repr(level)
    return text if len(text) <= 60 else text[:57] + "…'"


class LevelDecoder:
    """Decodes a categorical column; parameters as for `LevelEncoder`."""

    def __init__(self, engine: Engine, column: CategoricalColumn) -> None:
        self._column = column
        type_: Any = type_of(column.type)
        self._index = LevelIndex(column.levels, value_type(type_))
        self._type, self._entries, self._codes = type_, None, np.empty(0, np.int64)
        if pa.types.is_dictionary(type_):
            entries = self._dictionary(column)
            self._entries = array_of(entries, type_.value_type)
            at = {level: code for code, level in enumerate(entries)}
            self._codes = np.array([at.get(level, -1) for level in (*column.levels, MISSING)])

    @staticmethod
    def _dictionary(column: CategoricalColumn) -> tuple[Level, ...]:
        """The entries at fit, and levels that came after."""
        known = column.dictionary or ()
        held = set(known)
        return (*known, *(level for level in column.levels if level is not MISSING and level not in held))

    def __call__(self, part: Coded, first_row: int) -> Values:
        """Values of cells."""
        assert part.cell is not None
        column, cell = self._column, to_numpy(part.cell)
        last = column.width if column.unknown == "ignore" else column.width - 1
        wrong = np.flatnonzero(cell > last)
        if len(wrong):
            refuse_cell(column, first_row + int(wrong[0]), cell[wrong[0]])
        if self._entries is None:
            return Values(self._index.take(cell).cast(self._type))
        codes = self._codes[cell]
        indices: Any = pa.array(codes, self._type.index_type, mask=codes < 0)
        return Values(pa.DictionaryArray.from_arrays(indices, self._entries, ordered=self._type.ordered))
