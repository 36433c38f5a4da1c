"""The rows of an estimator's X: validated, and read in blocks.

Arrays of any namespace, memory maps, and arrays on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, is_on_device, namespace_of, to_numpy
from gpuvgm.config import BLOCK_ROWS, CHUNK_ROWS
from gpuvgm.engines import ChunkSums, Engine, add_chunks, runs_on_device
from gpuvgm.errors import InputError
from gpuvgm.execution.dask_frames import DaskFrame
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.execution.sources import values_of_series
from gpuvgm.io import Block, Source, device_rows, float64_rows, holds_device_rows
from gpuvgm.summary.grid import Floats, Ints

T = TypeVar("T")
FLOATS = (np.float64, np.float32)
Choice = Callable[[slice], NDArray[np.bool_]]
#: From an engine, the numbers of a block's rows, the rows and their weights to the sums of each chunk. The function may
#: go to the workers of a cluster.
BlockSums = Callable[[Engine, slice, Array, Array | None], Array]

BLOCK_VALUES = 1 << 18  # numbers of a block: 2 MiB as float64
DEVICE_BLOCK_VALUES = 1 << 27  # of a block on a device: an E-step over it outlasts launch and wait by far
SEED_ROWS = 1 << 17  # k-means reads no more rows of what is not an array in memory
REPEATED_ROWS = 1 << 19  # rows with whole weights are repeated for k-means up to so many
HELD_OUT_BITS = 3  # one row in 2^3
LEAST_ROWS = 16  # fewer are not divided
MAPPED_VALUES = 1 << 25  # a memory map of more numbers than this is not read into memory for k-means


def from_centre(x: Array, centre: float | Floats) -> Array:
    """Rows, shape (rows, D), less a centre near them, in float64 where they lie."""
    xp = namespace_of(x)
    return xp.asarray(x, dtype=xp.float64) - xp.asarray(np.atleast_1d(centre))


@dataclass(frozen=True, slots=True)
class Moments:
    """Number of rows, their mean (D,), and their summed squares about it (D, D)."""

    total: float
    mean: Floats
    scatter: Floats

    @property
    def deviations(self) -> Floats:
        """Standard deviations of the features, shape (D,)."""
        return np.asarray(np.sqrt(np.diagonal(self.scatter) / self.total))


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows and their weights.

    Parameters
    ----------
    array : array of shape (rows, D)
        float32 or float64 of any namespace, or anything with a shape whose slices NumPy can read.
    weight : array of shape (rows,), float64, optional
        Positive weights.
    lazy : bool
        Whether blocks have to be converted and checked when they are read.
    whole : bool
        Whether k-means may hold all rows.
    first_row : int
        Number of the first of these rows among those of a cluster; whole chunks lie before it.
    chosen : callable, optional
        Which rows of a block count, by their numbers; all by default.
    pool : Executor, optional
        Threads to share blocks of the host out to.
    """

    array: Any
    weight: Any | None = None
    lazy: bool = False
    whole: bool = False
    first_row: int = 0
    chosen: Choice | None = None
    pool: Executor | None = None
    spread: ClassVar[bool] = False

    @classmethod
    def of(cls, x: NDArray[Any], weight: Floats | None = None) -> Rows:
        """Rows of an array in memory; one of one dimension has one feature."""
        return cls(x if x.ndim == 2 else x[:, None], weight, whole=True)

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.array.shape[0])

    @property
    def features(self) -> int:
        """Number of features."""
        return int(self.array.shape[1])

    @property
    def total(self) -> float:
        """Sum of the weights."""
        weight = self.weights(slice(0, self.count))
        return float(self.count) if weight is None else float(namespace_of(weight).sum(weight))

    @property
    def on_host(self) -> bool:
        """Whether blocks are NumPy arrays."""
        return self.lazy or (isinstance(self.array, np.ndarray) and namespace_of(self.array) is np)

    def stay(self, engine: Engine) -> bool:
        """Whether the rows lie where an engine works on them, other than in the host's memory."""
        return runs_on_device(engine) and not self.on_host

    def parts(self, values: int = BLOCK_VALUES) -> list[slice]:
        """Where blocks of about so many numbers lie: whole chunks each, but for the last."""
        size = max(1, values // (self.features * CHUNK_ROWS)) * CHUNK_ROWS
        return [slice(start, min(start + size, self.count)) for start in range(0, self.count, size)]

    def read(self, part: slice) -> Array:
        """A block of rows, contiguous float32 or float64.

        Raises
        ------
        InputError
            For a value that is not finite in an array on disk.
        """
        if not self.on_host:
            return self.array[part, :]
        block = np.asarray(self.array[part])
        if block.dtype not in FLOATS:
            block = block.astype(np.float64)
        if self.lazy:
            check_finite(block, part.start)
        return np.ascontiguousarray(block)

    def weights(self, part: slice) -> Array | None:
        """Weights of a block of rows, where these lie."""
        own = None if self.weight is None else self.weight[part]
        if self.chosen is None:
            return own
        kept = self.chosen(self.numbers(part)).astype(np.float64)
        weight = kept if own is None else kept * to_numpy(own)
        return weight if self.on_host else namespace_of(self.array).asarray(weight)

    def numbers(self, part: slice) -> slice:
        """Numbers of a block's rows among those of a cluster."""
        return slice(self.first_row + part.start, self.first_row + part.stop)

    def sums(self, engine: Engine, function: BlockSums, width: int, values: int | None = None) -> ChunkSums:
        """A function's sums over all chunks; their bits depend neither on blocks nor on threads.

        Parameters
        ----------
        engine : Engine
            Is handed to the function; rows that stay on its device are read in long blocks, one after the other.
        function : callable
            Gives the sums of each chunk of a block, shape (chunks, width).
        width : int
            Number of sums.
        values : int, optional
            Numbers of a block.
        """
        (total,) = sums_of([self], engine, function, width, values)
        return total

    def merged(self, engine: Engine, function: Callable[..., T]) -> T:
        """What a function, called as that of `sums`, gives for the blocks of all rows, merged in their order."""
        return merged(self.each(partial(function, engine), BLOCK_ROWS))

    def each(self, function: Callable[..., T], values: int = BLOCK_VALUES) -> Iterator[T]:
        """What a function gives for each block: for the numbers of its rows, the rows, and their weights."""

        def apply(part: slice) -> T:
            return function(self.numbers(part), self.read(part), self.weights(part))

        parts = self.parts(values) or [slice(0, 0)]
        return self.pool.map(apply, parts) if self.pool is not None and self.on_host else map(apply, parts)

    def sample(self, most: int) -> Rows:
        """At most so many rows as NumPy arrays, one at a random place in each of as many equal parts.

        The places are the same for every call. Rows with a weight are taken as if they were repeated.
        """
        weight = self.weight
        whole = weight is None or are_whole(weight)
        if weight is not None and not whole:
            weight = to_numpy(weight)  # sums of parts are rounded, on a device in another order
        total = self.total
        step = max(1.0, np.ceil(total / most)) if whole else total / most
        starts = np.arange(0.0, total, step)
        places = starts + step * np.random.Generator(np.random.PCG64(0)).random(len(starts))
        places = places[places < total]
        return Rows.of(self.pick(places.astype(np.int64) if weight is None else _holders(weight, places)))

    def pick(self, places: Ints) -> NDArray[Any]:
        """Some rows, ascending, on the host; no others leave a device."""
        values = BLOCK_VALUES if self.on_host else DEVICE_BLOCK_VALUES  # a device is waited for once
        return np.concatenate(list(self.each(partial(_picked, places), values)))

    def for_seeding(self) -> tuple[Rows, Any]:
        """The rows that k-means runs on, and for each row of these its number among them (None: they are a sample).

        All of an array in memory; rows with whole weights are repeated if these are not too many. Else a sample.
        """
        if not self.whole or (self.weight is not None and not self.on_host):
            return self.sample(SEED_ROWS), None
        if self.weight is None:
            return self, slice(None) if self.on_host else None
        if not are_whole(self.weight) or self.total > max(self.count, REPEATED_ROWS):
            return self, slice(None)
        times = self.weight.astype(np.int64)
        return Rows.of(np.repeat(self.array, times, axis=0)), np.cumsum(times) - times


def sums_of(
    partitions: Sequence[Rows], engine: Engine, function: BlockSums, width: int, values: int | None = None
) -> list[ChunkSums]:
    """`Rows.sums` of each of several partitions; what lies on a device comes from there once for all of them."""
    totals = [ChunkSums(width, rows.first_row // CHUNK_ROWS) for rows in partitions]

    def found() -> Iterator[tuple[ChunkSums, Array]]:
        for rows, total in zip(partitions, totals, strict=True):
            stay = rows.stay(engine)
            for sums in rows.each(partial(function, engine), values or (DEVICE_BLOCK_VALUES if stay else BLOCK_VALUES)):
                yield total, sums if stay else to_numpy(sums)

    add_chunks(engine, found())
    return totals


def _picked(places: Ints, part: slice, x: Array, weight: Array | None) -> NDArray[Any]:
    """Those of some rows that a block holds, on the host."""
    inside = places[np.searchsorted(places, part.start) : np.searchsorted(places, part.stop)] - part.start
    xp = namespace_of(x)
    return np.asarray(to_numpy(xp.take(x, xp.asarray(inside), axis=0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOfSource(Rows):
    """Rows that every scan reads again; memory holds a few blocks only, and `array` knows their number alone.

    Parameters
    ----------
    blocks : callable
        Gives all blocks, of whole chunks.
    numbers_of : callable
        The rows of a block, shape (rows, D).
    executor : Executor
        What works on the blocks.
    """

    blocks: Callable[[], Iterable[Block]]
    numbers_of: Callable[[Block], Array]
    executor: LocalExecutor
    lazy: bool = True

    def each(self, function: Callable[..., T], values: int = BLOCK_VALUES) -> Iterator[T]:
        """What a function gives for each block, by the executor; see `Rows.each`."""

        def apply(block: Block) -> T:
            part = slice(block.first_row, block.first_row + block.rows)
            return function(part, self.numbers_of(block), self.weights(part))

        return self.executor.stream(apply, self.blocks())


def first_feature(x: Array) -> Floats:
    """The first feature of rows, as float64 on the host."""
    return np.ascontiguousarray(to_numpy(x)[:, 0], dtype=np.float64)


def column_for(engine: Engine, x: Array) -> Array:
    """The only feature of rows where an engine works on them: on its device if they lie there, else on the host."""
    if runs_on_device(engine) and is_on_device(x):
        return namespace_of(x).ascontiguousarray(x[:, 0])
    return first_feature(x)


def check_finite(block: Array, first_row: int) -> None:
    """Refuse values that are not finite.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    if not bool(namespace_of(block).isfinite(block).all()):
        block = to_numpy(block)
        row, feature = np.argwhere(~np.isfinite(block))[0]
        raise InputError(
            f"X holds {block[row, feature]} at row {first_row + row}, feature {feature}: "
            "only finite numbers can be fitted; clean them or leave the rows out"
        )


def merged(values: Iterable[T]) -> T:
    """Values that can be merged as one."""
    return reduce(lambda one, other: one.merge(other), values)  # type: ignore[attr-defined]  # merge is all they need


def _holders(weight: Array, places: Floats) -> Ints:
    """The rows that hold some places if rows are laid out with their weights as lengths; the last one is endless."""
    xp = namespace_of(weight)
    ends = (xp.cumsum if hasattr(xp, "cumsum") else xp.cumulative_sum)(weight)  # the standard has the second
    ends[-1] = np.inf
    return np.asarray(to_numpy(xp.searchsorted(ends, xp.asarray(places), side="right")))


def are_whole(weight: Array) -> bool:
    """Whether all weights are whole numbers that count rows exactly."""
    xp = namespace_of(weight)
    return bool(xp.all(weight == xp.floor(weight)) and xp.sum(weight) < 2.0**44)


def training_rows(estimator: Any, x: Any, sample_weight: Any, *, reset: bool = True) -> Rows:
    """Rows to fit on, those of weight 0 left out.

    Parameters
    ----------
    estimator : BaseEstimator
        Keeps the number and the names of the features.
    x : array-like of shape (rows, D)
        A NumPy array, a frame or a list; a memory map, or anything with a shape whose slices NumPy can read; an
        array of another namespace; a frame of cuDF or Dask.
    sample_weight : array-like of shape (rows,) or None
        How often each row counts.
    reset : bool
        Whether number and names of the features are taken from these rows, or compared with theirs.

    Raises
    ------
    ValueError
        For rows or weights that cannot be fitted.
    """
    weight = checked_weight(x, sample_weight, reset=reset)
    rows = read_rows(estimator, x, reset=reset)
    if weight is None:
        return rows
    if not rows.on_host:
        return replace(rows, weight=namespace_of(rows.array).asarray(weight))
    if not rows.whole or np.all(weight > 0):
        return replace(rows, weight=weight)
    return replace(rows, array=rows.array[weight > 0], weight=weight[weight > 0])


def read_rows(estimator: Any, x: Any, *, reset: bool) -> Rows:
    """Rows as they are given; `reset` for those of a fit."""
    from sklearn.utils.validation import validate_data

    if isinstance(x, DaskFrame):
        shape = check_frame(estimator, x, reset=reset)
        block_rows = max(1, BLOCK_VALUES // (shape[1] * CHUNK_ROWS)) * CHUNK_ROWS
        blocks = partial(x.blocks, x.schema.names, block_rows)
        executor, nothing = local_executor(estimator), np.broadcast_to(0.0, shape)
        return RowsOfSource(nothing, blocks=blocks, numbers_of=finite_rows, executor=executor)
    if _is_on_disk(x):
        check_features(estimator, x.shape, None, reset=reset)
        return Rows(x, lazy=True)
    if _is_foreign(x):
        return _foreign_rows(estimator, x, reset=reset)
    if isinstance(x, np.ndarray) and x.dtype.kind in "mM":
        raise InputError(
            f'X holds {x.dtype} values, which are no numbers: give X.astype("int64"), in a unit of your own'
        )
    mapped = isinstance(x, np.memmap) and x.size > MAPPED_VALUES
    array = validate_data(estimator, x, dtype=list(FLOATS), reset=reset, ensure_min_samples=2 if reset else 1)
    return Rows(array, whole=not mapped)


def local_executor(estimator: Any) -> LocalExecutor:
    """Threads of this process, where it does the work."""
    given = estimator.executor
    return given if isinstance(given, LocalExecutor) else LocalExecutor()


def _is_on_disk(x: Any) -> bool:
    """Something larger than memory should hold that only its slices turn into arrays."""
    if isinstance(x, np.memmap):
        return x.ndim == 2 and x.dtype not in FLOATS and x.dtype.kind in "iuf" and x.size > MAPPED_VALUES
    shape, dtype = getattr(x, "shape", ()), getattr(x, "dtype", None)
    numeric = isinstance(dtype, np.dtype) and dtype.kind in "iuf"
    sliced = hasattr(x, "__getitem__") and not isinstance(x, np.ndarray) and not hasattr(x, "tocsr")
    return len(shape) == 2 and numeric and sliced and not _is_foreign(x)


def _is_foreign(x: Any) -> bool:
    named = hasattr(x, "__array_namespace__") or holds_device_rows(x)
    return named and not isinstance(x, np.ndarray)


def _foreign_rows(estimator: Any, x: Any, *, reset: bool) -> Rows:
    names = [str(name) for name in x.columns] if hasattr(x, "columns") else None
    x = device_rows("X", x) if holds_device_rows(x) else x
    xp = namespace_of(x)
    if x.ndim != 2:
        raise InputError(f"Expected 2D array, got {x.ndim}D array instead: reshape it to (rows, features)")
    if x.dtype not in (xp.float32, xp.float64):
        x = xp.astype(x, xp.float64)
    if not bool(xp.all(xp.isfinite(x))):
        raise InputError("Input X contains NaN or infinity: only finite numbers can be fitted")
    check_features(estimator, x.shape, names, reset=reset)
    return Rows(x)


def check_frame(estimator: Any, frame: Source, *, reset: bool) -> tuple[int, int]:
    """Rows and features of a frame of Dask or of a matrix, as `check_features`.

    Raises
    ------
    InputError
        For a column of anything but numbers.
    """
    for field in frame.schema:
        if not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
            raise InputError(f'X: column "{field.name}" holds {field.type}: only numbers can be fitted')
    names = frame.schema.names
    shape = (frame.rows or 0, len(names))
    check_features(estimator, shape, None if frame.flavour == "matrix" else names, reset=reset)
    return shape


def finite_rows(block: Block) -> Array:
    """Rows of columns of numbers as a matrix in float64, where they lie.

    Raises
    ------
    InputError
        For a value that is missing or not finite.
    """
    columns = [_float64_numbers(name, block.column(name)) for name in block.table.schema.names]
    rows = namespace_of(columns[0]).stack(columns, axis=1)
    check_finite(rows, block.first_row)
    return rows


def _float64_numbers(name: str, column: Column) -> Array:
    """A column in float64, NaN where a number is missing."""
    if isinstance(column, DeviceColumn):
        return float64_rows("X", name, column)
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def check_features(estimator: Any, shape: tuple[int, ...], names: Sequence[str] | None, *, reset: bool) -> None:
    """Take number and names of the features, or compare with them.

    Raises
    ------
    ValueError
        For others, or for too few rows or features.
    """
    from sklearn.utils.validation import _check_feature_names, _check_n_features

    if names is not None:
        _check_feature_names(estimator, pa.table({name: pa.nulls(0) for name in names}), reset=reset)
    least = 2 if reset else 1
    if shape[0] < least or shape[1] == 0:
        raise InputError(f"X has shape {tuple(shape)}, but a minimum of {least} rows and 1 feature is required")
    _check_n_features(estimator, np.broadcast_to(0.0, shape), reset=reset)


def checked_weight(x: Any, sample_weight: Any, *, reset: bool) -> Array | None:
    """Weights of the rows to be read, float64, where both lie on a device there, else on the host.

    One a row, finite, none negative; more than one row in all where no others were seen. None where each row counts
    once.
    """
    from sklearn.utils.validation import _check_sample_weight, _num_samples

    if sample_weight is None:
        return None
    count = (x.rows or 0) if isinstance(x, Source) else int(_num_samples(x))
    given = values_of_series(sample_weight)
    if holds_device_rows(given) and holds_device_rows(x):
        there = device_rows("sample_weight", given)
        if there.shape == (count,) and there.dtype.kind in "fiub":
            there = there.astype(np.float64)
            can_count, total, is_one = _look_at(there)
            if can_count and (total > 1 or not reset):
                return None if is_one else there
    given = hosted("sample_weight", given)  # what is wrong with those of a device is said of them there
    if not reset and np.shape(given) == (count,) and not np.any(np.asarray(given)):
        return np.zeros(count)
    weight: Floats = _check_sample_weight(given, np.broadcast_to(0.0, (count, 1)), dtype=np.float64)
    if np.any(weight < 0):
        raise InputError(f"sample_weight is negative at row {int(np.argmax(weight < 0))}: weights count rows")
    total = float(np.sum(weight))
    if reset and total <= 1:
        raise InputError(
            f"sample_weight sums to {total:g}: weights count rows, and a covariance needs more than one; scale "
            "them up, for example by the number of rows over their sum"
        )
    return None if np.all(weight == 1) else weight


def _look_at(weight: Array) -> tuple[bool, float, bool]:
    """Whether all weights are finite and none is negative, their sum, and whether all are 1: one wait for a device."""
    xp = namespace_of(weight)
    can_count = xp.all(xp.isfinite(weight) & (weight >= 0))
    found = to_numpy(xp.stack([can_count.astype(np.float64), xp.sum(weight), xp.all(weight == 1).astype(np.float64)]))
    return bool(found[0]), float(found[1]), bool(found[2])


def hosted(name: str, values: Any) -> Any:
    """What lies on a device as an array of the host; everything else as it is."""
    return to_numpy(device_rows(name, values)) if holds_device_rows(values) else values


def host_floats(values: Any) -> NDArray[np.float64]:
    """Centres given as an array of any namespace, in float64 on the host."""
    return np.ascontiguousarray(to_numpy(values) if _is_foreign(values) else values, dtype=np.float64)


def held_out(part: slice) -> NDArray[np.bool_]:
    """One row in eight, by a hash of its number: every eighth might be all that one of eight sensors says."""
    hashed = np.arange(part.start, part.stop, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(hashed >> np.uint64(64 - HELD_OUT_BITS) == 0)


def learnt(part: slice) -> NDArray[np.bool_]:
    """The other rows."""
    return ~held_out(part)
