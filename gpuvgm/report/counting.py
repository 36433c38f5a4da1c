"""Counts of the rows of a table for reports, merged over blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial, reduce
from itertools import islice
from operator import and_
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, namespace_of, to_numpy, together, usable_rows
from gpuvgm.codecs import UnreadText, cached_parts
from gpuvgm.columns import TableModel, texts_of
from gpuvgm.errors import InputError
from gpuvgm.execution import Run
from gpuvgm.io import Block, Source
from gpuvgm.summary import Floats, Ints

FIRST_ROWS, FIRST_COLUMNS = 10, 50  # at most
MANTISSA_BITS = 4  # a bin of errors spans 2^-4 of its lower end
LEAST_EXPONENT, MOST_EXPONENT = -64, 64
ERROR_BINS = (MOST_EXPONENT - LEAST_EXPONENT) << MANTISSA_BITS
_SHIFT = 52 - MANTISSA_BITS
_FIRST_BIN = (LEAST_EXPONENT + 1023) << MANTISSA_BITS
SCALAR_BINS = 64  # even ones over [-1, 1); one more on either side for scalars beyond
_WIDTH = SCALAR_BINS + 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of some rows; merging is commutative to the last bit."""

    def merge(self, counts: Self) -> Self:
        """Counts of both sets of rows: each part merged or added; a part that is None stays so."""
        parts = [part.name for part in fields(self)]
        return replace(self, **{name: _merge_parts(getattr(self, name), getattr(counts, name)) for name in parts})


def _merge_parts(left: Any, right: Any) -> Any:
    if isinstance(left, dict):
        return {name: _merge_parts(counts, right[name]) for name, counts in left.items()}
    if left is None:
        return None
    return left.merge(right) if hasattr(left, "merge") else left + right


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first rows of a table as texts, before and after the round trip.

    Parameters
    ----------
    first_row : int
        Global index of the first one.
    before, after : dict of str to tuple of str
        Values of each column.
    """

    first_row: int
    before: Mapping[str, tuple[str, ...]]
    after: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, block: Block, counters: Mapping[str, Counter]) -> FirstRows:
        """First rows of the table that lie in a block, and their decoded values where they are decoded."""
        before: dict[str, tuple[str, ...]] = {}
        after: dict[str, tuple[str, ...]] = {}
        if block.first_row < FIRST_ROWS:
            first_rows = block.between(0, FIRST_ROWS - block.first_row).batch
            for name, counter in islice(counters.items(), FIRST_COLUMNS):
                values = first_rows.column(name)
                before[name] = tuple(texts_of(values))
                decoded = counter.decoded(values, block.first_row)
                if decoded is not None:
                    after[name] = tuple(texts_of(decoded))
        return cls(block.first_row, before, after)

    def merge(self, first_rows: FirstRows) -> FirstRows:
        """Rows of both in the order of the table."""
        earlier, later = sorted((self, first_rows), key=lambda rows: rows.first_row)
        before, after = (
            {name: texts + second.get(name, ()) for name, texts in first.items()}
            for first, second in ((earlier.before, later.before), (earlier.after, later.after))
        )
        return FirstRows(earlier.first_row, before or later.before, after or later.after)


@dataclass(frozen=True, slots=True)
class TableCounts(Counts):
    """Counts of the rows of a table.

    Parameters
    ----------
    rows : int
        All rows.
    columns : dict of str to object
        Counts of each column.
    first : FirstRows
        The first rows.
    invalid : int
        Rows with an invalid value in any column.
    """

    rows: int
    columns: dict[str, Any]
    first: FirstRows
    invalid: int


class Counter(ABC):
    """Counts the rows of one column."""

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are counted where they lie on a device; if not, they come to the host."""
        return True

    @abstractmethod
    def count(self, values: Column, first_row: int) -> tuple[Any, NDArray[np.bool_] | None]:
        """Counts of consecutive rows, which come to the host, and which of the rows are valid (None: all)."""

    def decoded(self, values: pa.Array[Any], first_row: int) -> pa.Array[Any] | None:
        """Consecutive rows of the host after encoding and decoding; None if the counter does not decode."""
        return None


def rows_of_places(places: Ints, count: int) -> Ints:
    """Number of rows at each of so many places, on the host."""
    return np.asarray(to_numpy(namespace_of(places).bincount(places, minlength=count)), np.int64)


def refuse_types(model: TableModel, source: Source) -> None:
    """Raise InputError for columns of other types than were fitted."""
    for column in model.encoded:
        column.refuse_type(source.name, source.schema.field(column.name).type)


def _count_block(
    counters: Mapping[str, Counter], place: Callable[[int], str], block: Block, *, on_device: bool
) -> TableCounts:
    """Count a block; text that cannot be read is an error that names column and place."""
    table = block.table if on_device else block.batch
    counts: dict[str, Any] = {}
    valid: list[NDArray[np.bool_]] = []
    for name, counter in counters.items():
        try:
            counts[name], valid_here = counter.count(usable_rows(counter, table.column(name)), block.first_row)
        except UnreadText as problem:
            raise problem.at(name, place(block.first_row + problem.row), "correct them first") from None
        if valid_here is not None:
            valid.append(valid_here)
    invalid = block.rows - int(reduce(and_, together(*valid)).sum()) if valid else 0
    return TableCounts(block.rows, counts, FirstRows.of(block, counters), invalid)


def count_table(
    run: Run,
    counters: Mapping[str, Counter],
    purpose: str,
    blocks: Iterable[Any] | None = None,
    *,
    keeps_rows: bool = False,
) -> TableCounts:
    """Count all blocks of a table: on the device of this process that its rows lie on, else on the host.

    Workers of a cluster count on their hosts, with the engine of this process.

    Parameters
    ----------
    run : Run
        Its rows, and where and how they are counted.
    counters : mapping of str to Counter
        Counter of each column.
    purpose : str
        Purpose of the rows, such as "evaluate", for the error message.
    blocks : iterable, optional
        All rows of a table that can be read only once, and has been begun.
    keeps_rows : bool
        Whether counts keep rows; those of files, which a device may not hold, come to the host then.

    Raises
    ------
    InputError
        For a table without rows.
    """
    counts = counts_of_table(run, counters, blocks, keeps_rows=keeps_rows)
    if counts is None:
        raise InputError(f"{run.source.name}: there are no rows to {purpose}")
    return counts


def counts_of_table(
    run: Run, counters: Mapping[str, Counter], blocks: Iterable[Any] | None = None, *, keeps_rows: bool = False
) -> TableCounts | None:
    """Count as `count_table` does; None for a table without rows."""
    read = run.blocks([*counters]) if blocks is None else blocks
    on_device = run.on_device and not (keeps_rows and run.source.paths)
    count = partial(_count_block, counters, run.source.place, on_device=on_device)
    counts = run.executor.map_merge(count, read, TableCounts.merge)
    return counts if counts is not None and counts.rows else None


@dataclass(frozen=True, slots=True)
class EncodedCounts(Counts):
    """Counts of encoded rows.

    Parameters
    ----------
    scalars : ndarray of shape (modes, SCALAR_BINS + 2), int64
        Rows of each mode by scalar: below -1, in even bins, from 1 on.
    below, above : ndarray of shape (modes,), int64
        Rows of each mode that were cut at the lower and at the upper limit.
    """

    scalars: Ints
    below: Ints
    above: Ints

    @classmethod
    def of_modes(
        cls, scalar: NDArray[np.floating], mode: NDArray[np.signedinteger], limit: float, modes: int
    ) -> EncodedCounts:
        """Counts of rows of a mixture: scalars and modes of shape (rows,), cut at ±limit."""
        edge, half, xp = scalar.dtype.type(limit), SCALAR_BINS // 2, namespace_of(scalar)
        counts, ends = np.zeros(modes * _WIDTH, np.int64), np.zeros(2 * modes, np.int64)
        for part in cached_parts(scalar):
            scalars, modes_of_part = scalar[part], mode[part].astype(np.int64)
            cut = xp.flatnonzero(xp.abs(scalars) >= edge)
            ends += rows_of_places((scalars[cut] > 0) * modes + modes_of_part[cut], len(ends))
            place = scalars * half
            place += half + 1
            # Scalars below a limit under 1 never leave the bins.
            if edge >= 1:
                xp.clip(place, 0, _WIDTH - 1, out=place)
            bins = place.astype(np.int64)
            bins += modes_of_part * _WIDTH
            counts += rows_of_places(bins, len(counts))
        return cls(counts.reshape(modes, _WIDTH), ends[:modes], ends[modes:])

    @classmethod
    def of_range(cls, numbers: Floats, low: float, high: float) -> EncodedCounts:
        """Counts of rows of a general column, which has no modes: those outside its range."""
        below, above = (np.array([int(is_outside.sum())]) for is_outside in (numbers < low, numbers > high))
        return cls(np.zeros((0, _WIDTH), np.int64), below, above)

    @property
    def clipped(self) -> int:
        """Rows that were cut."""
        return int(np.sum(self.below) + np.sum(self.above))


@dataclass(frozen=True, slots=True)
class ErrorHistogram:
    """Counts of errors in logarithmic bins, read off the bits of the float64 values.

    A bin is 2^-4 of its lower end wide, so a quantile is at most 6.25 % too high; the maximum is exact. Errors below
    2^-64 fall into the first bin, those of 2^64 and more into the last one.

    Parameters
    ----------
    counts : ndarray of shape (ERROR_BINS + 1,), int64
        Rows without an error, then the bins.
    maximum : float
        The largest error.
    """

    counts: Ints = field(default_factory=lambda: np.zeros(ERROR_BINS + 1, np.int64))
    maximum: float = 0.0

    @classmethod
    def of(cls, errors: Floats) -> ErrorHistogram:
        """Histogram of non-negative errors, shape (rows,)."""
        xp = namespace_of(errors)
        bits = xp.ascontiguousarray(errors, dtype=np.float64).view(np.int64)
        bins = xp.where(errors > 0, xp.clip((bits >> _SHIFT) - (_FIRST_BIN - 1), 1, ERROR_BINS), 0)
        return cls(rows_of_places(bins, ERROR_BINS + 1), float(errors.max()) if len(errors) else 0.0)

    def merge(self, histogram: ErrorHistogram) -> ErrorHistogram:
        """Histogram of both sets of errors."""
        return ErrorHistogram(self.counts + histogram.counts, max(self.maximum, histogram.maximum))

    @property
    def octaves(self) -> tuple[int, ...]:
        """Errors in [2^j, 2^(j + 1)) for j from -64 on."""
        return tuple(np.sum(self.counts[1:].reshape(-1, 1 << MANTISSA_BITS), axis=1).tolist())

    def quantile(self, share: float) -> float:
        """Upper end of the bin that holds this quantile, or the maximum where that is less; 0 without errors."""
        cumulative = np.cumsum(self.counts)
        if cumulative[-1] == 0:
            return 0.0
        # At least one row: the quantile of share 0 is in the first bin that has rows.
        at = int(np.searchsorted(cumulative, min(max(share * cumulative[-1], 1), cumulative[-1])))
        if at == 0:
            return 0.0
        upper = np.array([(_FIRST_BIN + at) << _SHIFT], np.int64).view(np.float64)[0]
        return min(float(upper), self.maximum)
