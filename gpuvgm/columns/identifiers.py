"""Identifiers: columns whose values only tell rows apart. They are not modelled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Column, mixed, on_host
from gpuvgm.codecs import Refuted
from gpuvgm.columns.base import Coded, ColumnPlan, FitRecord
from gpuvgm.columns.digits import digits_of
from gpuvgm.columns.distinct import DistinctValues
from gpuvgm.columns.inference import FILLED, are_unique
from gpuvgm.columns.passthrough import PassthroughColumn, hashes_of_text
from gpuvgm.columns.specs import ColumnRequest, ColumnSpec
from gpuvgm.engines import Engine
from gpuvgm.errors import InputError, declaration
from gpuvgm.io import is_text_type, plain_type, plain_values_of
from gpuvgm.rules import choice, whole

#: An identifier of a sample has at least this share of different values in all rows; the count is approximate.
DIFFERENT = 0.95
_END = 2**63
_DECIMAL_DIGITS = 38


@dataclass(frozen=True, slots=True, repr=False)
class IdColumn(PassthroughColumn):
    """An identifier: no part of the one-hot matrix; compact rows carry it as it is, as a passthrough column.

    Rows that come without it get running numbers, `first` + `step` times the row, or missing values.

    Parameters
    ----------
    name : str
        The column.
    type : pyarrow.DataType
        Its Arrow type.
    fit : FitRecord
        Rows.
    regenerate : {"sequence", "missing", "key"}
        Values of rows that come without the column; those of a key, which several rows may have, are numbers too, but
        samples have new keys.
    first, step : int
        Least training value and distance of neighbouring ones; 0 and 1 for text.
    """

    regenerate: Annotated[str, choice("sequence", "missing", "key")]
    first: Annotated[int, whole(-_END, 2 * _END - 1)]
    step: Annotated[int, whole(1, 2 * _END - 1)]
    kind: ClassVar[str] = "id"
    without_meaning: ClassVar[tuple[str, ...]] = ("fit", "type", "regenerate", "first", "step")

    def absent(self, first_row: int, rows: int) -> Coded:
        """Rows that came without the column.

        Raises
        ------
        InputError
            Where the column's type holds no numbers so large.
        """
        type_: Any = self.decoded_type
        if self.regenerate == "missing":
            return Coded(passthrough=pa.nulls(rows, type_))
        last = self.first + self.step * (first_row + rows - 1)
        if last >= 2 * _END or (self.first < 0 and last >= _END):
            raise self._overflow_error(last)
        kind = np.int64 if last < _END else np.uint64
        places = np.arange(first_row, first_row + rows).astype(kind)
        return Coded(passthrough=self.of_numbers(pa.array(kind(self.first) + places * kind(self.step)), last))

    def of_numbers(self, numbers: Any, largest: int) -> Any:
        """Values of the column's type: whole numbers, or texts of their digits; raises as `absent`."""
        type_: Any = plain_type(self.decoded_type)
        between: Any = pa.string() if is_text_type(type_) else type_
        if pa.types.is_decimal(type_):
            between = pa.decimal128(_DECIMAL_DIGITS, 0)
        try:
            return _coded(numbers.cast(between).cast(type_), self.decoded_type)
        except pa.ArrowInvalid:
            raise self._overflow_error(largest) from None

    @staticmethod
    def digits(values: Any) -> Any:
        """Values as texts: whole numbers of any type with all their digits, and texts as they are; null for others."""
        return digits_of(values)

    def _overflow_error(self, last: int) -> InputError:
        return InputError(
            f'column "{self.name}": its type {self.type} does not hold the running number {last}; declare '
            '{"kind": "id", "regenerate": "missing"}'
        )

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        return PassthroughColumn.describe(self) | {"regenerate": self.regenerate}

    def plan(self) -> IdPlan:
        """Plan for more rows."""
        return IdPlan(self.name, self.type, self.regenerate, unique=False)

    def counted(self) -> IdStatistics:
        """Statistics of the training rows, without their different values."""
        type_: Any = self.decoded_type
        empty = IdStatistics.of(pa.nulls(0, type_))
        first = None if is_text_type(type_) or self.fit.rows == 0 else self.first
        return replace(
            empty, rows=self.fit.rows, missing=self.fit.missing, minimum=first, maximum=first, step=self.step
        )


def _coded(values: Any, type_: Any) -> Any:
    """Values as those of a type, which may have them in a dictionary: Arrow makes none of numbers."""
    if not pa.types.is_dictionary(type_) or is_text_type(values.type):
        return values.cast(type_)
    coded = values.dictionary_encode()
    entries = coded.dictionary.cast(type_.value_type)
    return pa.DictionaryArray.from_arrays(coded.indices.cast(type_.index_type), entries, ordered=type_.ordered)


@dataclass(frozen=True, slots=True)
class IdStatistics:
    """Statistics of an identifier; merging does not depend on the order.

    Parameters
    ----------
    rows, missing : int
        Rows, and those without a value.
    minimum, maximum : int or None
        Ends of whole numbers; None for text, and without a value.
    step : int
        Greatest common divisor of their differences; 0 where there is none.
    different : DistinctValues
        The different values.
    """

    rows: int
    missing: int
    minimum: int | None
    maximum: int | None
    step: int
    different: DistinctValues

    @classmethod
    def of(cls, values: pa.Array[Any]) -> IdStatistics:
        """Statistics of some rows."""
        present = plain_values_of(values).drop_null()
        if not (pa.types.is_integer(present.type) or is_text_type(present.type)):
            present = digits_of(present).drop_null()
        row_counts = len(values), len(values) - len(present)
        if not pa.types.is_integer(present.type):
            return cls(*row_counts, None, None, 0, DistinctValues.of(hashes_of_text(present)))
        numbers = present.to_numpy(zero_copy_only=False)
        different = DistinctValues.of(mixed(numbers.astype(np.int64).view(np.uint64), 0))
        if not len(numbers):
            return cls(*row_counts, None, None, 0, different)
        lowest = numbers.min()
        offsets = numbers.astype(np.uint64) - np.uint64(int(lowest) % 2**64)  # modulo 2^64: exact whatever the signs
        return cls(*row_counts, int(lowest), int(numbers.max()), int(np.gcd.reduce(offsets)), different)

    def merge(self, statistics: IdStatistics) -> IdStatistics:
        """Statistics of both sets of rows."""
        step, with_numbers = (
            math.gcd(self.step, statistics.step),
            [part for part in (self, statistics) if part.minimum is not None],
        )
        if len(with_numbers) == 2:
            step = math.gcd(step, abs((self.minimum or 0) - (statistics.minimum or 0)))
        return IdStatistics(
            self.rows + statistics.rows,
            self.missing + statistics.missing,
            min((part.minimum for part in with_numbers if part.minimum is not None), default=None),
            max((part.maximum for part in with_numbers if part.maximum is not None), default=None),
            step,
            self.different.merge(statistics.different),
        )

    def shifted(self, rows: int) -> IdStatistics:
        """Statistics of the rows at a place further down: no part of them depends on it."""
        return self

    @property
    def filled(self) -> float:
        """Share of the places between the ends that the rows can fill at most; 1 for text."""
        if self.minimum is None or self.maximum is None:
            return 1.0
        return (self.rows - self.missing) / ((self.maximum - self.minimum) // max(self.step, 1) + 1)


@dataclass(frozen=True, slots=True)
class IdPlan(ColumnPlan):
    """An identifier before its rows are read.

    Parameters
    ----------
    name : str
        The column.
    type : pyarrow.DataType
        Its Arrow type.
    regenerate : str
        Values of rows that come without the column.
    unique : bool
        Whether it was taken for one because all values of the sample are different; all rows must confirm it.
    found : str
        Why it was taken for one whose values are keys where they come back in all rows; empty of others.
    """

    name: str
    type: pa.DataType
    regenerate: str
    unique: bool
    found: str = ""

    def statistics(self, engine: Engine, values: Column, first_row: int) -> IdStatistics:
        """Statistics of rows."""
        return IdStatistics.of(on_host(values))

    def fit(self, statistics: IdStatistics) -> IdColumn:
        """The column's model.

        Raises
        ------
        Refuted
            Where the rows are not as the sample was.
        """
        if self.unique:
            self._confirm(statistics)
        record = FitRecord("none", statistics.rows, statistics.missing)
        regenerate = "key" if self._comes_back(statistics) else self.regenerate
        return IdColumn(self.name, self.type, record, regenerate, statistics.minimum or 0, max(statistics.step, 1))

    def final_spec(self, statistics: IdStatistics) -> ColumnSpec | None:
        """A key, where values of all rows come back that do not in the sample; else None."""
        reason = f"{self.found}; values come back in all rows"
        return ColumnSpec(self.name, "id", reason, {"key": True}) if self._comes_back(statistics) else None

    def _comes_back(self, statistics: IdStatistics) -> bool:
        """Whether values of what was found come back in all rows."""
        return bool(self.found) and statistics.different.number < DIFFERENT * (statistics.rows - statistics.missing)

    def _confirm(self, statistics: IdStatistics) -> None:
        present = statistics.rows - statistics.missing
        distinct = statistics.different.number
        if distinct < DIFFERENT * present:
            raise Refuted(
                f'column "{self.name}": about {distinct:,} distinct values in {present:,} rows, though '
                f'all of the sample are different; declare it "id", {declaration([self.name], {"key": True})}, which '
                "makes new ones that repeat, or another kind"
            )
        if statistics.filled < FILLED:
            raise Refuted(
                f'column "{self.name}": whole numbers that fill {statistics.filled:.0%} of their range, though those '
                'of the sample run in steps; declare it "id", or another kind'
            )


def plan_ids(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> IdPlan:
    """Plan of an identifier."""
    spec = request.spec
    if not spec.is_declared and "regenerate" in spec.options:
        return IdPlan(spec.name, sample.type, spec.regenerate, unique=False, found=spec.reason)
    is_numbered = not spec.is_declared and spec.regenerate != "key" and pa.types.is_integer(sample.type)
    return IdPlan(spec.name, sample.type, spec.regenerate, unique=is_numbered and are_unique(sample))
