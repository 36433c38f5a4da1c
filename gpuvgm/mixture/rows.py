"""Rows to fit, read in blocks: of arrays of any namespace, memory maps, and arrays on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, beside, is_on_device, namespace_of, to_numpy
from gpuvgm.config import BLOCK_ROWS, CHUNK_ROWS
from gpuvgm.engines import ChunkSums, Engine, GaussianTable
from gpuvgm.errors import InputError
from gpuvgm.mixture.statistics import gaussian_statistics
from gpuvgm.summary import Floats, Frame, Ints

T = TypeVar("T")
Choice = Callable[[slice], NDArray[np.bool_]]

BLOCK_VALUES = 1 << 18  # numbers of a block: 2 MiB as float64
DEVICE_BLOCK_VALUES = 1 << 27  # of a block on a device: an E-step over it outlasts launch and wait by far
DENSITY_VALUES = 1 << 25  # log densities of a block on a device, 256 MiB
REPEATED_ROWS = 1 << 19  # rows with whole weights are repeated for k-means up to so many
HELD_OUT_BITS = 3  # one row in 2^3
LEAST_ROWS = 16  # fewer are not divided
OFFSET_DEVIATIONS = 1e3  # rows further from 0 than this many sd are centred before k-means


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

    @property
    def covariance(self) -> Floats:
        """Covariance of the rows, with ddof = 1, shape (D, D)."""
        return np.asarray(self.scatter / (self.total - 1))

    @property
    def origin(self) -> Floats:
        """Where sums are taken about, shape (D,): 0, as scikit-learn has it, or the mean if the offset costs digits."""
        return self.mean if self.are_far_from_zero else np.zeros(len(self.mean))

    @property
    def are_far_from_zero(self) -> bool:
        """Whether the offset of a feature would cost k-means its digits."""
        return is_far_from_zero(self.mean, self.deviations)


def is_far_from_zero(mean: Floats, deviation: Floats) -> bool:
    """Return whether the offset of a feature would cost k-means its digits; a constant feature does no harm."""
    offset = np.abs(mean)
    return bool(np.any((offset > OFFSET_DEVIATIONS * deviation) & (deviation > 1e-14 * offset)))


@dataclass(frozen=True, slots=True)
class ColumnMoments:
    """Rows with a number, their mean, and their variance with ddof = 1 (1 for a single row), in the frame."""

    rows: int
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the host and their weights; those of another namespace are `DeviceRows`.

    Parameters
    ----------
    array : array of shape (rows, D)
        float32 or float64, or anything with a shape whose slices NumPy can read.
    weight : array of shape (rows,), float64, optional
        Positive weights.
    lazy : bool
        Whether blocks have to be converted and checked when they are read.
    whole : bool
        Whether k-means may hold all rows.
    first_row : int
        Number of the first of these rows among those of a cluster; whole chunks lie before it.
    choice : callable, optional
        Mask of the rows of a block that count, by their numbers; all by default.
    pool : Executor, optional
        Threads to share blocks of the host out to.
    """

    array: Any
    weight: Any | None = None
    lazy: bool = False
    whole: bool = False
    first_row: int = 0
    choice: Choice | None = None
    pool: Executor | None = None
    spread: ClassVar[bool] = False  # whether workers hold the rows
    foreign: ClassVar[bool] = False  # whether they lie in another namespace
    block_values: ClassVar[int] = BLOCK_VALUES
    SEED_ROWS: ClassVar[int] = 1 << 17  # k-means reads no more rows of what is not an array in memory
    TYPES: ClassVar = (np.float64, np.float32)

    @classmethod
    def of(cls, x: Array, weight: Array | None = None) -> Rows:
        """Rows of an array in memory, of any namespace; one of one dimension has one feature."""
        array = x if x.ndim == 2 else x[:, None]
        return DeviceRows(array, weight) if is_on_device(x) else cls(array, weight, whole=True)

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

    def stay(self, engine: Engine) -> bool:
        """Return whether the rows lie on the device that an engine works on."""
        return False

    def near(self, engine: Engine) -> Rows:
        """The rows where an engine reads them fastest: those in memory are copied to its device, if they fit."""
        if not engine.runs_on_device or not self.whole:
            return self
        array = engine.copy_to_device(self.array)
        weight = None if self.weight is None or array is None else engine.copy_to_device(self.weight)
        fits = array is not None and (weight is None) == (self.weight is None)
        return DeviceRows(array, weight, first_row=self.first_row, choice=self.choice) if fits else self

    def weighted(self, weight: Array) -> Rows:
        """The rows with a weight each, those in memory without the ones of weight 0."""
        if not self.whole or np.all(weight > 0):
            return replace(self, weight=weight)
        return replace(self, array=self.array[weight > 0], weight=weight[weight > 0])

    def with_threads(self, pool: Executor) -> Rows:
        """The rows, whose blocks are shared out to threads."""
        return replace(self, pool=pool)

    @property
    def numbers(self) -> slice:
        """Numbers of the rows among those of a cluster."""
        return slice(self.first_row, self.first_row + self.count)

    def density_values(self, components: int) -> int:
        """Numbers of a block of rows that get a density of each component."""
        return self.block_values

    def parts(self, values: int = BLOCK_VALUES) -> list[slice]:
        """Slices of blocks of about so many numbers: whole chunks each, but for the last."""
        size = max(1, values // (self.features * CHUNK_ROWS)) * CHUNK_ROWS
        return [slice(start, min(start + size, self.count)) for start in range(0, self.count, size)]

    def read(self, part: slice) -> Array:
        """A block of rows, contiguous float32 or float64.

        Raises
        ------
        InputError
            For a value that is not finite in an array on disk.
        """
        block = np.asarray(self.array[part])
        if block.dtype not in self.TYPES:
            block = block.astype(np.float64)
        if self.lazy:
            self.check_finite(block, part.start)
        return np.ascontiguousarray(block)

    @staticmethod
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

    def weights(self, part: slice) -> Array | None:
        """Weights of a block of rows, where these lie."""
        block_weight = None if self.weight is None else self.weight[part]
        if self.choice is None:
            return block_weight
        choice = self.choice(slice(self.first_row + part.start, self.first_row + part.stop)).astype(np.float64)
        return choice if block_weight is None else choice * to_numpy(block_weight)

    def block(self, part: slice, x: Array) -> Rows:
        """The rows of a slice, which were read, with their weights and numbers."""
        return replace(Rows.of(x), weight=self.weights(part), first_row=self.first_row + part.start)

    def sums(
        self, engine: Engine, function: Callable[[Engine, Rows], Array], width: int, values: int | None = None
    ) -> ChunkSums:
        """A function's sums over all chunks; their bits depend neither on blocks nor on threads.

        Parameters
        ----------
        engine : Engine
            Is handed to the function; rows that stay on its device are read in long blocks, one after the other.
        function : callable
            Gives the sums of each chunk of a block, shape (chunks, width); it may go to the workers of a cluster.
        width : int
            Number of sums.
        values : int, optional
            Numbers of a block.
        """
        (total,) = Rows.sums_of_each([self], engine, function, width, values)
        return total

    @staticmethod
    def sums_of_each(
        partitions: Sequence[Rows],
        engine: Engine,
        function: Callable[[Engine, Rows], Array],
        width: int,
        values: int | None = None,
    ) -> list[ChunkSums]:
        """`sums` of each of several partitions; what lies on a device comes from there once for all of them."""
        totals = [ChunkSums(width, rows.first_row // CHUNK_ROWS) for rows in partitions]

        def chunk_sums() -> Iterator[tuple[ChunkSums, Array]]:
            for rows, total in zip(partitions, totals, strict=True):
                stay = rows.stay(engine)
                size = values or (DEVICE_BLOCK_VALUES if stay else BLOCK_VALUES)
                for sums in rows.each(partial(function, engine), size):
                    yield total, sums if stay else to_numpy(sums)

        engine.add_chunks(chunk_sums())
        return totals

    def feature_sums(self, engine: Engine, table: GaussianTable) -> Floats:
        """Sums of an E-step over all rows, of any number of features; shape (1, table.width)."""
        return self.sums(engine, partial(_feature_sums, table), table.width).total

    def moments(self, engine: Engine) -> Moments:
        """Moments of the rows.

        On the engine, for several features and weights: one component without a density has all responsibility. Moments
        are taken about the mean of a sample, so that nothing cancels.
        """
        centre = np.asarray(np.mean(self.sample(CHUNK_ROWS).array, axis=0, dtype=np.float64))
        features = self.features
        table = GaussianTable(centre, np.zeros((1, features)), np.zeros((1, features, features)), np.zeros(1))
        statistics = gaussian_statistics(self.feature_sums(engine, table), table)
        shift = statistics.first[0] / statistics.counts[0]
        scatter = statistics.second[0] - np.outer(shift, statistics.first[0])
        if not np.all(np.isfinite(scatter)):
            raise InputError("X reaches so far from its mean that squares overflow; scale the features down")
        # Rounding leaves the outer product not quite symmetric.
        return Moments(float(statistics.counts[0]), centre + shift, np.asarray(0.5 * (scatter + scatter.T)))

    def column_moments(self, engine: Engine, frame: Frame) -> ColumnMoments:
        """Moments of the rows of one feature in two scans: the mean, and squares about it, corrected for its rounding.

        Chunk by chunk, so that bits depend neither on blocks nor on workers; squares about the mean itself, as of
        `Cells.mean_and_variance`, would take a third scan. Chan, Golub & LeVeque 1983, The American Statistician 37
        (3), equation 1.7.
        """
        count, total, _ = self.sums(engine, partial(_sums, frame, 0.0), 3, BLOCK_VALUES).total[0]
        rough = total / max(count, 1.0)
        _, shift, squares = self.sums(engine, partial(_sums, frame, rough), 3, BLOCK_VALUES).total[0]
        squares -= shift * shift / max(count, 1.0)
        return ColumnMoments(
            int(count), float(rough + shift / max(count, 1.0)), float(squares / (count - 1) if count > 1 else 1.0)
        )

    def merged(self, engine: Engine, function: Callable[..., T]) -> T:
        """Results of a function for the blocks of all rows, called as that of `sums`, merged in their order."""
        parts = self.partial_results(engine, function)
        return reduce(lambda total, part: total.merge(part), parts)  # type: ignore[attr-defined]  # merge is all they need

    def partial_results(self, engine: Engine, function: Callable[..., T]) -> Iterable[T]:
        """What `merged` merges: the results for each block, or what was merged of them already."""
        return self.each(partial(function, engine), BLOCK_ROWS)

    def each(self, function: Callable[[Rows], T], values: int = BLOCK_VALUES) -> Iterator[T]:
        """Results of a function for each block."""

        def apply(part: slice) -> T:
            return function(self.block(part, self.read(part)))

        parts = self.parts(values) or [slice(0, 0)]
        return map(apply, parts) if self.pool is None else self.pool.map(apply, parts)

    def sample(self, most: int) -> Rows:
        """At most so many rows as NumPy arrays, one at a random place in each of as many equal parts.

        The places are the same for every call. Rows with a weight are taken as if they were repeated.
        """
        weight = self.weight
        whole_weights = weight is None or are_whole(weight)
        if weight is not None and not whole_weights:
            weight = to_numpy(weight)  # sums of parts are rounded, on a device in another order
        places = random_places(self.total, most, whole_steps=whole_weights)
        return Rows.of(self.pick(places.astype(np.int64) if weight is None else _holders(weight, places)))

    def pick(self, places: Ints) -> NDArray[Any]:
        """Some rows, ascending, on the host; no others leave a device."""
        return np.concatenate(list(self.each(partial(_rows_at, places), self.block_values)))

    def for_seeding(self) -> tuple[Rows, Any]:
        """The rows that k-means runs on, and for each row of these its number among them (None: they are a sample).

        All of an array in memory; rows with whole weights are repeated if these are not too many. Else a sample.
        """
        if not self.whole:
            return self.sample(self.SEED_ROWS), None
        if self.weight is None:
            return self, slice(None)
        if not are_whole(self.weight) or self.total > max(self.count, REPEATED_ROWS):
            return self, slice(None)
        times = self.weight.astype(np.int64)
        return Rows.of(np.repeat(self.array, times, axis=0)), np.cumsum(times) - times


@dataclass(frozen=True, slots=True)
class DeviceRows(Rows):
    """Rows in an array of another namespace than NumPy's, which are worked on where they lie.

    Parameters are those of `Rows`. A device's current stream is that of the caller's thread, so that there is no pool.
    """

    foreign: ClassVar[bool] = True
    block_values: ClassVar[int] = DEVICE_BLOCK_VALUES  # a device is waited for once

    def stay(self, engine: Engine) -> bool:
        """Return whether the rows lie on the device that an engine works on."""
        return engine.runs_on_device

    def near(self, engine: Engine) -> Rows:
        """The rows, brought in row order once, not in every E-step."""
        return replace(self, array=engine.in_row_order(self.array)) if engine.runs_on_device else self

    def weighted(self, weight: Array) -> Rows:
        """The rows with a weight each, which is copied to where they lie."""
        return replace(self, weight=namespace_of(self.array).asarray(weight))

    def with_threads(self, pool: Executor) -> Rows:
        """The rows: no threads share their blocks."""
        return self

    def density_values(self, components: int) -> int:
        """Numbers of a block of rows that get a density of each component."""
        return max(1, DENSITY_VALUES // max(components, self.features)) * self.features

    def read(self, part: slice) -> Array:
        """A block of rows."""
        return self.array[part, :]

    def weights(self, part: slice) -> Array | None:
        """Weights of a block of rows, where these lie."""
        weight = Rows.weights(self, part)
        return None if weight is None else namespace_of(self.array).asarray(weight)

    def for_seeding(self) -> tuple[Rows, Any]:
        """A sample of the rows; see `Rows.for_seeding`."""
        return self.sample(self.SEED_ROWS), None


def random_places(total: float, most: int, *, whole_steps: bool = True) -> Floats:
    """A random place, the same for every call, in each of at most so many equal parts, of whole lengths by default."""
    step = max(1.0, np.ceil(total / most)) if whole_steps else total / most
    starts = np.arange(0.0, total, step)
    places = starts + step * np.random.Generator(np.random.PCG64(0)).random(len(starts))
    return places[places < total]  # the last part may reach beyond the rows


def _rows_at(places: Ints, block: Rows) -> NDArray[Any]:
    """Rows of a block at some places, on the host."""
    first, last = np.searchsorted(places, [block.numbers.start, block.numbers.stop])
    xp = namespace_of(block.array)
    offsets = xp.asarray(places[first:last] - block.first_row)
    return np.asarray(to_numpy(xp.take(block.array, offsets, axis=0)))


def _feature_sums(table: GaussianTable, engine: Engine, block: Rows) -> Array:
    """Sums of an E-step over some rows of several features."""
    return engine.e_step_features(block.array, block.weight, table)


def _sums(frame: Frame, centre: float, engine: Engine, block: Rows) -> Array:
    """Count, and sums of the distance to a centre and of its square, of each chunk, where the rows lie."""
    xp, y = namespace_of(block.array), in_chunks(frame.apply(block.array[:, 0]))
    return xp.stack(sums_where(xp.isfinite(y), y, centre), axis=1)


def sums_where(mask: Array, y: Array, centre: float) -> list[Array]:
    """Count, and sums of the distance to a centre and of its square, of some rows of each chunk; shape (chunks,)."""
    xp = namespace_of(y)
    d = xp.where(mask, y - centre, 0.0)
    return [xp.sum(part, axis=1) for part in (mask.astype(np.float64), d, d * d)]


def in_chunks(x: Array) -> Array:
    """Rows by chunks, shape (chunks, 4096), the last one filled up with NaN."""
    chunks = -(-len(x) // CHUNK_ROWS)
    full = namespace_of(x).full(chunks * CHUNK_ROWS, np.nan)
    full[: len(x)] = x
    return full.reshape(chunks, CHUNK_ROWS)


def first_feature(x: Array) -> Floats:
    """The first feature of rows, as float64 on the host."""
    return np.ascontiguousarray(to_numpy(x)[:, 0], dtype=np.float64)


def column_for(engine: Engine, block: Rows) -> tuple[Array, Array | None]:
    """The only feature of rows, and their weights, where an engine works: on its device if they lie there, or here."""
    x, weight = block.array, block.weight
    stays = engine.runs_on_device and is_on_device(x)
    numbers = namespace_of(x).ascontiguousarray(x[:, 0]) if stays else first_feature(x)
    return numbers, None if weight is None else beside(weight, numbers)


def _holders(weight: Array, places: Floats) -> Ints:
    """The rows that hold some places if rows are laid out with their weights as lengths; the last one is endless."""
    xp = namespace_of(weight)
    ends = (xp.cumsum if hasattr(xp, "cumsum") else xp.cumulative_sum)(weight)  # the standard has the second
    ends[-1] = np.inf
    return np.asarray(to_numpy(xp.searchsorted(ends, xp.asarray(places), side="right")))


def are_whole(weight: Array) -> bool:
    """Return whether all weights are whole numbers that count rows exactly."""
    xp = namespace_of(weight)
    # Sums of as many positions of 20 bits fit a word of 64.
    return bool(xp.all(weight == xp.floor(weight)) and xp.sum(weight) < 2.0**44)


def held_out(part: slice) -> NDArray[np.bool_]:
    """One row in eight, by a hash of its number: every eighth might be all that one of eight sensors says."""
    # Multiplicative hashing: 2^64 over the golden ratio.
    hashes = np.arange(part.start, part.stop, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(hashes >> np.uint64(64 - HELD_OUT_BITS) == 0)


def learnt(part: slice) -> NDArray[np.bool_]:
    """Rows that are not in `held_out`."""
    return ~held_out(part)
