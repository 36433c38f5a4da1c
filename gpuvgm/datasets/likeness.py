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

from gpuvgm.arrays import decimals
from gpuvgm.columns.inference import (
    LEAST_ROWS_PER_VALUE,
    MOST_VALUES,
    Recognised,
    are_unique,
    infer_kind,
)
from gpuvgm.datasets.ranges import CHUNK_ROWS, rows_of_chunks, stream_of
from gpuvgm.errors import InputError
from gpuvgm.execution.sources import open_source
from gpuvgm.io import join_batches
from gpuvgm.io.arrow import is_text_type, is_view, taken

MOST_ROWS = 1 << 24  # of the small table, which is held in memory
RANKS_SD = 12**-0.5  # standard deviation of uniform ranks
MOST_PLACES = 6  # decimal places that floats are looked through for
ROWS_STREAM = 0

Array = Any  # a pyarrow.Array: the stubs know no array of any type


class Likeness:
    """A table whose rows are those of a small one, drawn with replacement, with noise on numbers and moments in time.

    Noise moves the ranks of numbers among those of their column, so that each column keeps its distribution, with its
    zeros, median, ends and skewness; new numbers lie between neighbouring ones, on the column's own step (cents, whole
    hours, multiples of 5). Missing values, infinities, text, booleans, dictionaries, nested values, numbers that are
    categories (at most 20 values in at least ten rows each), and decimals of more than 18 digits stay as they are.
    Identifiers (a column of that kind whose values all differ) are numbered by row, so that they differ again.

    Parameters
    ----------
    source : object
        Whatever `TableTransformer.fit` takes; of at most 2^24 rows.
    noise : float
        Standard deviation of the noise, in those of the ranks, at least 0; with 0 rows are only drawn.

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
        held = _read_small_table(source)
        self.digest = digest_of_values(held)
        self._columns = {name: blurred(column, noise) for name, column in held.items()}
        self._rows = len(next(iter(self._columns.values())).values)
        self.schema = pa.schema([(name, column.values.type) for name, column in self._columns.items()])

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Rows of the large table; any partition of a range gives the same values."""
        return rows_of_chunks(self._chunk, self.schema, first_row, rows, seed)

    def _chunk(self, chunk: int, seed: int) -> pa.RecordBatch:
        drawn = (stream_of(seed, chunk, ROWS_STREAM).random(CHUNK_ROWS) * self._rows).astype(np.int64)
        arrays = [
            column.drawn(drawn, chunk * CHUNK_ROWS, stream_of(seed, chunk, column_number(name)))
            for name, column in self._columns.items()
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def digest_of_values(columns: Mapping[str, Array]) -> str:
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


def _read_small_table(source: object) -> dict[str, Array]:
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
        From drawn rows and a generator to new values; None leaves them.
    numbered : callable, optional
        From the numbers of the new rows to their identifiers, whichever rows are drawn.
    """

    values: Array
    move: Callable[[NDArray[np.int64], np.random.Generator], Array] | None = None
    numbered: Callable[[NDArray[np.int64]], Array] | None = None

    def drawn(self, rows: NDArray[np.int64], first_row: int, draws: np.random.Generator) -> Array:
        """New values from `first_row` on, those of drawn rows moved."""
        if self.numbered is not None:
            return self.numbered(first_row + np.arange(len(rows)))
        values: Array = taken(self.values, rows) if self.move is None else self.move(rows, draws)
        return values


class Ranks:
    """Numbers whose ranks are moved: the new numbers have the same distribution, ties, median and ends included.

    The rank of a drawn number is uniform in [0, 1), within those of equal numbers; normal noise is added, and ranks
    beyond an end are reflected there, which leaves them uniform. Between neighbouring numbers values are interpolated.

    Parameters
    ----------
    numbers : numpy.ndarray of float64 or int64
        The small table's numbers.
    noise : float
        Size of the noise, in standard deviations of the ranks.
    """

    def __init__(self, numbers: NDArray[Any], noise: float) -> None:
        distinct, which, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        self._ordered = np.repeat(distinct, counts)
        self._which = which.astype(np.int32)  # of the distinct numbers, for every number
        self._counts = counts
        self._first = np.cumsum(counts) - counts
        self._size = noise * RANKS_SD
        self._step = np.gcd.reduce(distinct - distinct[0]) if distinct.dtype.kind == "i" else None

    def drawn(self, rows: NDArray[np.integer[Any]], draws: np.random.Generator) -> NDArray[Any]:
        """The numbers that drawn rows become; integers stay on their common step."""
        which = self._which[rows]
        last = len(self._ordered) - 1
        rank = (self._first[which] + self._counts[which] * draws.random(len(rows))) / (last + 1)
        rank = np.mod(rank + self._size * draws.standard_normal(len(rows)), 2)
        place = np.clip(np.minimum(rank, 2 - rank) * (last + 1) - 0.5, 0, last)
        below = place.astype(np.int64)
        part, low, high = place - below, self._ordered[below], self._ordered[np.minimum(below + 1, last)]
        if self._step is None:
            moved: NDArray[Any] = np.where(low == high, low, (1 - part) * low + part * high)
            return moved
        step = max(int(self._step), 1)
        steps = (high - low) // step
        moved = low + np.minimum(np.rint(part * steps).astype(np.int64), steps) * step
        return moved


def blurred(values: Array, noise: float) -> Blurred:
    """How a column of this type is blurred."""
    type_ = values.type
    if noise == 0 or values.null_count == len(values):
        return Blurred(values)
    numbered = _identifiers(values)
    if numbered is not None:
        return Blurred(values, numbered=numbered)
    if pa.types.is_floating(type_) and not pa.types.is_float16(type_):
        return _blur_floats(values, noise)
    stored = _whole_number_type(type_)
    return Blurred(values) if stored is None else _blur_integers(values, noise, stored)


def _whole_number_type(type_: pa.DataType) -> pa.DataType | None:
    """Type of whole numbers that values are kept as; None where they are not moved."""
    if pa.types.is_integer(type_):
        return type_
    if pa.types.is_date32(type_) or pa.types.is_time32(type_):
        return pa.int32()
    if pa.types.is_temporal(type_) and not pa.types.is_interval(type_):
        return pa.int64()
    return pa.int64() if pa.types.is_decimal128(type_) and type_.precision <= 18 else None


def _identifiers(values: Array) -> Callable[[NDArray[np.int64]], Array] | None:
    """Identifiers of rows by their numbers, where a column of different values is told to be identifiers.

    Integers go on in their steps, and begin again where their type ends; text is that of the small table's rows one
    after the other, with "-1" after it in the second round, "-2" in the third and so on.
    """
    type_, text = values.type, is_text_type(values.type)
    if not text and not pa.types.is_integer(type_):
        return None
    held = pa.chunked_array([values.cast(pa.large_string()) if text else values])
    if not are_unique(held) or infer_kind(held, recognised=Recognised(identifiers=True)).kind != "id":
        return None
    if text:

        def texts(numbers: NDArray[np.int64]) -> Array:
            rounds, rows = np.divmod(numbers, len(held))
            endings = np.where(rounds > 0, np.char.add("-", rounds.astype(str)), "")
            joined: Any = pc.binary_join_element_wise(
                taken(held.chunk(0), rows), pa.array(endings).cast(held.type), pa.scalar("", held.type)
            )
            return pa.array(joined.to_pylist(), type_) if is_view(type_) else joined.cast(type_)

        return texts
    numbers = held.to_numpy()
    if int(numbers.max()) > np.iinfo(np.int64).max:
        return None
    ordered = np.sort(numbers.astype(np.int64))
    least, step = int(ordered[0]), int(np.gcd.reduce(ordered - ordered[0]))
    room = (min(int(np.iinfo(numbers.dtype).max), int(np.iinfo(np.int64).max)) - least) // step + 1
    most = min(room, int(np.iinfo(np.int64).max))

    def integers(numbers: NDArray[np.int64]) -> Array:
        return pa.array(least + numbers % most * step).cast(type_)

    return integers


def _are_categories(numbers: NDArray[Any]) -> bool:
    """Whether numbers are so few that they are categories, by the rule that kinds are inferred with."""
    distinct = len(np.unique(numbers))
    return distinct <= MOST_VALUES and len(numbers) >= LEAST_ROWS_PER_VALUE * distinct


def _blur_floats(values: Array, noise: float) -> Blurred:
    numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
    finite = np.isfinite(numbers)
    if not np.any(finite) or _are_categories(numbers[finite]):
        return Blurred(values)
    places = _decimal_places(numbers[finite], values.type)
    scale = 1.0 if places is None else 10.0**places
    known = numbers[finite] if places is None else np.rint(numbers[finite] * scale).astype(np.int64)
    ranks, position = Ranks(known, noise), _positions(finite)

    def move(rows: NDArray[np.int64], draws: np.random.Generator) -> Array:
        new, there = numbers[rows], finite[rows]
        new[there] = ranks.drawn(position[rows], draws)[there] / scale
        return pa.array(new, mask=_null_rows(taken(values, rows))).cast(values.type)

    return Blurred(values, move)


def _decimal_places(numbers: NDArray[np.float64], type_: pa.DataType) -> int | None:
    """Decimal places that all numbers have at most; None for more than six, or for numbers of more than 53 bits."""
    own = type_.to_pandas_dtype()
    for places in range(MOST_PLACES + 1):
        units = np.rint(numbers * 10.0**places)
        if np.max(np.abs(units)) > 2.0**53:
            break
        if np.all((units / 10.0**places).astype(own) == numbers):
            return places
    return None


def _positions(there: NDArray[np.bool_]) -> NDArray[np.int32]:
    """For every row its position among those that are there; any one for the others."""
    return np.maximum(np.cumsum(there, dtype=np.int32) - 1, 0)


def _blur_integers(values: Array, noise: float, stored: pa.DataType) -> Blurred:
    """Whole numbers of some unit; what does not fit 64 bits with a sign stays as it is."""
    there = ~_null_rows(values)
    known = whole_numbers(values, stored)[there]
    unsigned = pa.types.is_uint64(values.type) and bool(np.any(known < 0))
    if _are_categories(known) or unsigned or float(known.max()) - float(known.min()) > 2.0**62:
        return Blurred(values)
    ranks, position = Ranks(known, noise), _positions(there)

    def move(rows: NDArray[np.int64], draws: np.random.Generator) -> Array:
        return of_whole_numbers(ranks.drawn(position[rows], draws), values.type, stored, ~there[rows])

    return Blurred(values, move)


def whole_numbers(values: Array, stored: pa.DataType) -> NDArray[np.int64]:
    """Values as 64-bit whole numbers of their own unit; anything where they are missing."""
    if pa.types.is_decimal128(values.type):
        return np.frombuffer(values.buffers()[1], np.int64, 2 * len(values), 16 * values.offset)[::2]
    plain = values.view(stored) if values.type != stored else values
    return np.asarray(plain.fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64)


def of_whole_numbers(
    numbers: NDArray[np.int64], type_: pa.DataType, stored: pa.DataType, missing: NDArray[np.bool_]
) -> Array:
    """The values again."""
    if pa.types.is_decimal128(type_):
        return decimals(numbers, type_, missing)
    kept: Array = pa.array(numbers, mask=missing).cast(stored)
    return kept if type_ == stored else kept.view(type_)


def _null_rows(values: Array) -> NDArray[np.bool_]:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))
