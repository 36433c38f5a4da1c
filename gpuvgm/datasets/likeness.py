"""A small table blown up: every row one of the table's own, with noise on its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.datasets.ranges import CHUNK_ROWS, decimals_of, rows_of_chunks, stream_of
from gpuvgm.errors import InputError
from gpuvgm.execution.sources import open_source
from gpuvgm.io import join_batches
from gpuvgm.io.arrow import taken

MOST_ROWS = 1 << 24  # of the small table, which is held in memory
FEW_VALUES = 20  # whole numbers with so many values are categories, and stay as they are
MOST_PLACES = 6  # decimal places that floats are looked through for
ROWS_STREAM = 0

Array = Any  # a pyarrow.Array: the stubs know no array of any type


class Likeness:
    """A table whose rows are those of a small one, drawn with replacement, with noise on numbers and moments in time.

    Numbers get normal noise of `noise` times their column's standard deviation, rounded to the column's own places or
    unit, and stay between its smallest and largest value. Missing values, infinities, text, booleans, dictionaries,
    nested values, whole numbers with at most 20 values, and decimals of more than 18 digits stay as they are.

    Parameters
    ----------
    source : object
        Whatever `TableTransformer.fit` takes; of at most 2^24 rows.
    noise : float
        At least 0; with 0 rows are only drawn.

    Attributes
    ----------
    digest : str
        SHA-256 of the small table's values.

    Raises
    ------
    InputError
        For a table without rows or with too many, or negative noise.
    """

    def __init__(self, source: object, noise: float) -> None:
        if not 0 <= noise < np.inf:
            raise InputError(f"noise must be a number of at least 0, got {noise}")
        held = _held(source)
        self.digest = digest_of(held)
        self._columns = {name: blurred(column, noise) for name, column in held.items()}
        self._rows = len(next(iter(self._columns.values())).values)
        self.schema = pa.schema([(name, column.values.type) for name, column in self._columns.items()])

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Rows of the large table; any partition of a range gives the same values."""
        return rows_of_chunks(self._chunk, self.schema, first_row, rows, seed)

    def _chunk(self, chunk: int, seed: int) -> pa.RecordBatch:
        drawn = (stream_of(seed, chunk, ROWS_STREAM).random(CHUNK_ROWS) * self._rows).astype(np.int64)
        arrays = [
            column.drawn(drawn, stream_of(seed, chunk, column_number(name))) for name, column in self._columns.items()
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def digest_of(columns: Mapping[str, Array]) -> str:
    """SHA-256 over names, types and values; what lies in memory where values are missing does not count."""
    digest = hashlib.sha256()
    for name, column in columns.items():
        digest.update(f"{name}\0{column.type}\0{len(column)}\0".encode())
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        digest.update(np.packbits(valid).tobytes())
        digest.update(pa.record_batch({"": taken(column, np.flatnonzero(valid))}).serialize())
    return digest.hexdigest()


def column_number(name: str) -> int:
    """Number of a column's stream: 64 bits of the SHA-256 of its name, so that other columns change nothing."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") | 1


def _held(source: object) -> dict[str, Array]:
    table = open_source(source)
    if table.rows is not None and table.rows > MOST_ROWS:
        raise InputError(f"{table.name}: {table.rows:,} rows; blow up a sample of at most {MOST_ROWS:,} rows instead")
    names = table.schema.names
    blocks, rows = [], 0
    for block in table.blocks(names, CHUNK_ROWS):
        blocks.append(block.batch)
        rows += block.rows
        if rows > MOST_ROWS:
            raise InputError(f"{table.name}: more than {MOST_ROWS:,} rows; blow up a sample of it instead")
    if not rows:
        raise InputError(f"{table.name}: there are no rows to blow up")
    held = join_batches(blocks)
    return {name: held.column(name) for name in names}


@dataclass(frozen=True, slots=True)
class Blurred:
    """A column, and what moves the values that are drawn from it.

    Parameters
    ----------
    values : pyarrow.Array
        The small table's values.
    move : callable, optional
        From drawn values and standard normal numbers to new values; None leaves them.
    """

    values: Array
    move: Callable[[Array, NDArray[np.float64]], Array] | None = None

    def drawn(self, rows: NDArray[np.int64], draws: np.random.Generator) -> Array:
        """Values of drawn rows, moved."""
        values: Array = taken(self.values, rows)
        return values if self.move is None else self.move(values, draws.standard_normal(len(rows)))


def blurred(values: Array, noise: float) -> Blurred:
    """How a column of this type is blurred."""
    type_ = values.type
    if noise == 0 or values.null_count == len(values):
        return Blurred(values)
    if pa.types.is_floating(type_) and not pa.types.is_float16(type_):
        return _floats(values, noise)
    stored = _storage(type_)
    return Blurred(values) if stored is None else _integers(values, noise, stored)


def _storage(type_: pa.DataType) -> pa.DataType | None:
    """Type of whole numbers that values are kept as; None where they are not moved."""
    if pa.types.is_integer(type_):
        return type_
    if pa.types.is_date32(type_) or pa.types.is_time32(type_):
        return pa.int32()
    if pa.types.is_temporal(type_) and not pa.types.is_interval(type_):
        return pa.int64()
    return pa.int64() if pa.types.is_decimal128(type_) and type_.precision <= 18 else None


def _floats(values: Array, noise: float) -> Blurred:
    numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return Blurred(values)
    size, low, high, places = noise * float(np.std(finite)), finite.min(), finite.max(), _places(finite)

    def move(drawn: Array, normal: NDArray[np.float64]) -> Array:
        x = drawn.to_numpy(zero_copy_only=False).astype(np.float64)
        moved = np.clip(x + size * normal, low, high)
        moved = moved if places is None else np.round(moved, places)
        new = np.where(np.isfinite(x), moved, x)
        return pa.array(new, mask=_missing(drawn)).cast(drawn.type)

    return Blurred(values, move)


def _places(numbers: NDArray[np.float64]) -> int | None:
    """Decimal places that all numbers have at most; None for more than six."""
    return next((places for places in range(MOST_PLACES + 1) if np.all(np.round(numbers, places) == numbers)), None)


def _integers(values: Array, noise: float, stored: pa.DataType) -> Blurred:
    """Whole numbers of some unit; what does not fit 64 bits with a sign stays as it is."""
    numbers = whole_numbers(values, stored)
    known = numbers[~_missing(values)]
    few = pa.types.is_integer(values.type) and len(np.unique(known)) <= FEW_VALUES
    unsigned = pa.types.is_uint64(values.type) and bool(np.any(known < 0))
    if few or unsigned or float(known.max()) - float(known.min()) > 2.0**62:
        return Blurred(values)
    size, low, high = noise * float(np.std(known.astype(np.float64) - float(known[0]))), known.min(), known.max()

    def move(drawn: Array, normal: NDArray[np.float64]) -> Array:
        x = whole_numbers(drawn, stored)
        step = np.rint(np.clip(size * normal, -(2.0**62), 2.0**62)).astype(np.int64)
        step = np.clip(step, low - x, high - x)
        return of_whole_numbers(x + step, drawn.type, stored, _missing(drawn))

    return Blurred(values, move)


def whole_numbers(values: Array, stored: pa.DataType) -> NDArray[np.int64]:
    """Values as 64-bit whole numbers of their own unit; anything where they are missing."""
    if pa.types.is_decimal128(values.type):
        words = np.frombuffer(values.buffers()[1], np.int64)
        return words[2 * values.offset : 2 * (values.offset + len(values)) : 2]
    plain = values.view(stored) if values.type != stored else values
    return np.asarray(plain.fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64)


def of_whole_numbers(
    numbers: NDArray[np.int64], type_: pa.DataType, stored: pa.DataType, missing: NDArray[np.bool_]
) -> Array:
    """The values again."""
    if pa.types.is_decimal128(type_):
        return pc.if_else(pa.array(missing), pa.scalar(None, type_), decimals_of(numbers, type_))
    kept: Array = pa.array(numbers, mask=missing).cast(stored)
    return kept if type_ == stored else kept.view(type_)


def _missing(values: Array) -> NDArray[np.bool_]:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))
