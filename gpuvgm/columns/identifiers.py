"""Identifiers: columns whose values only tell rows apart. They are not modelled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, mixed, on_host
from gpuvgm.columns.base import Coded, ColumnPlan, FitRecord
from gpuvgm.columns.codecs import Refuted
from gpuvgm.columns.inference import FILLED, are_unique
from gpuvgm.columns.passthrough import PassthroughColumn, hashes_of_text
from gpuvgm.columns.rules import one_of, whole
from gpuvgm.columns.specs import ColumnRequest
from gpuvgm.engines import Engine
from gpuvgm.errors import InputError
from gpuvgm.io import is_text_type, plain_values_of

#: An identifier of a sample has at least this share of different values in all rows; the count is approximate.
DIFFERENT = 0.95
REGISTER_BITS = 12
_END = 2**63


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

    regenerate: Annotated[str, one_of("sequence", "missing", "key")]
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
        numbers: Any = pa.array(kind(self.first) + places * kind(self.step))
        try:
            return Coded(passthrough=numbers.cast(pa.string() if is_text_type(type_) else type_).cast(type_))
        except pa.ArrowInvalid:
            raise self._overflow_error(last) from None

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
        """Statistics of the training rows, without the registers of their values."""
        type_: Any = self.decoded_type
        empty = IdStatistics.of(pa.nulls(0, type_))
        first = None if is_text_type(type_) or self.fit.rows == 0 else self.first
        return replace(
            empty, rows=self.fit.rows, missing=self.fit.missing, minimum=first, maximum=first, step=self.step
        )


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
    registers : bytes
        Of HyperLogLog (Flajolet et al. 2007): for each of 2^12 classes of hashes the most leading zeros plus one.
    """

    rows: int
    missing: int
    minimum: int | None
    maximum: int | None
    step: int
    registers: bytes

    @classmethod
    def of(cls, values: pa.Array[Any]) -> IdStatistics:
        """Statistics of some rows."""
        present = plain_values_of(values).drop_null()
        row_counts = len(values), len(values) - len(present)
        if not pa.types.is_integer(present.type):
            return cls(*row_counts, None, None, 0, _registers(hashes_of_text(present)))
        numbers = present.to_numpy(zero_copy_only=False)
        registers = _registers(mixed(numbers.astype(np.int64).view(np.uint64), 0))
        if not len(numbers):
            return cls(*row_counts, None, None, 0, registers)
        lowest = numbers.min()
        offsets = numbers.astype(np.uint64) - np.uint64(int(lowest) % 2**64)  # modulo 2^64: exact whatever the signs
        return cls(*row_counts, int(lowest), int(numbers.max()), int(np.gcd.reduce(offsets)), registers)

    def merge(self, other: IdStatistics) -> IdStatistics:
        """Statistics of both sets of rows."""
        step, with_numbers = (
            math.gcd(self.step, other.step),
            [part for part in (self, other) if part.minimum is not None],
        )
        if len(with_numbers) == 2:
            step = math.gcd(step, abs((self.minimum or 0) - (other.minimum or 0)))
        registers, other_registers = (np.frombuffer(part.registers, np.uint8) for part in (self, other))
        return IdStatistics(
            self.rows + other.rows,
            self.missing + other.missing,
            min((part.minimum for part in with_numbers if part.minimum is not None), default=None),
            max((part.maximum for part in with_numbers if part.maximum is not None), default=None),
            step,
            np.maximum(registers, other_registers).tobytes(),
        )

    def shifted(self, rows: int) -> IdStatistics:
        """Statistics of the rows at a place further down: no part of them depends on it."""
        return self

    @property
    def distinct(self) -> float:
        """About how many different values there are; the standard error is 1.6 %."""
        registers = np.frombuffer(self.registers, np.uint8)
        size = len(registers)
        # The bias correction of HyperLogLog, and below 2.5 values a register its linear counting.
        estimate = 0.7213 / (1 + 1.079 / size) * size**2 / float(np.sum(2.0 ** -registers.astype(np.float64)))
        empty = int(np.count_nonzero(registers == 0))
        return size * math.log(size / empty) if empty and estimate <= 2.5 * size else estimate

    @property
    def filled(self) -> float:
        """Share of the places between the ends that the rows can fill at most; 1 for text."""
        if self.minimum is None or self.maximum is None:
            return 1.0
        return (self.rows - self.missing) / ((self.maximum - self.minimum) // max(self.step, 1) + 1)


def _registers(hashes: NDArray[np.uint64]) -> bytes:
    """For each class of hashes by their first bits, the largest number of leading zeros of the other bits, plus 1."""
    registers = np.zeros(1 << REGISTER_BITS, np.uint8)
    low_bits = hashes << np.uint64(REGISTER_BITS) | np.uint64(1 << (REGISTER_BITS - 1))  # never 0
    zeros = 54 - np.frexp((low_bits >> np.uint64(11)).astype(np.float64))[1]  # of 53 bits, which floats hold
    np.maximum.at(registers, (hashes >> np.uint64(64 - REGISTER_BITS)).astype(np.int64), zeros.astype(np.uint8))
    return registers.tobytes()


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
    """

    name: str
    type: pa.DataType
    regenerate: str
    unique: bool

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
        return IdColumn(self.name, self.type, record, self.regenerate, statistics.minimum or 0, max(statistics.step, 1))

    def _confirm(self, statistics: IdStatistics) -> None:
        present = statistics.rows - statistics.missing
        if statistics.distinct < DIFFERENT * present:
            raise Refuted(
                f'column "{self.name}": about {statistics.distinct:,.0f} distinct values in {present:,} rows, though '
                'all of the sample are different; declare it "id", or another kind'
            )
        if statistics.filled < FILLED:
            raise Refuted(
                f'column "{self.name}": whole numbers that fill {statistics.filled:.0%} of their range, though those '
                'of the sample run in steps; declare it "id", or another kind'
            )


def plan_ids(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> IdPlan:
    """Plan of an identifier."""
    spec = request.spec
    unique = not spec.is_declared and are_unique(plain_values_of(sample))
    return IdPlan(spec.name, sample.type, spec.regenerate, unique)
