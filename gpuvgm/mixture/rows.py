"""The rows of an estimator's X: validated, and read in blocks.

Arrays of any namespace, memory maps, and arrays on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.execution.sources import frame_matrix, lazy_frame, values_of_series
from gpuvgm.io import device_rows, holds_device_rows
from gpuvgm.summary.grid import Floats

T = TypeVar("T")

BLOCK_VALUES = 1 << 18  # numbers of a block: 2 MiB as float64
SEED_ROWS = 1 << 17  # k-means reads no more rows of what is not an array in memory
REPEATED_ROWS = 1 << 19  # rows with whole weights are repeated for k-means up to so many
HELD_OUT_BITS = 3  # one row in 2^3
LEAST_ROWS = 16  # fewer are not divided
MAPPED_VALUES = 1 << 25  # a memory map of more numbers than this is not read into memory for k-means


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a fit works: y = x - centre, with a centre near the rows."""

    centre: Floats

    def apply(self, x: Array) -> Array:
        """Coordinates of rows, in float64."""
        xp = namespace_of(x)
        return xp.asarray(x, dtype=xp.float64) - xp.asarray(self.centre)


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
    """

    array: Any
    weight: Any | None
    lazy: bool
    whole: bool

    @classmethod
    def of(cls, x: NDArray[Any], weight: Floats | None = None) -> Rows:
        """Rows of an array in memory; one of one dimension has one feature."""
        return cls(x if x.ndim == 2 else x[:, None], weight, lazy=False, whole=True)

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
        return float(self.count) if self.weight is None else float(namespace_of(self.weight).sum(self.weight))

    @property
    def on_host(self) -> bool:
        """Whether blocks are NumPy arrays."""
        return self.lazy or (isinstance(self.array, np.ndarray) and namespace_of(self.array) is np)

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
        if block.dtype not in (np.float32, np.float64):
            block = block.astype(np.float64)
        if self.lazy and not np.all(np.isfinite(block)):
            row, feature = np.argwhere(~np.isfinite(block))[0]
            raise InputError(
                f"X holds {block[row, feature]} at row {part.start + row}, feature {feature}: "
                "only finite numbers can be fitted; clean them or leave the rows out"
            )
        return np.ascontiguousarray(block)

    def weights(self, part: slice) -> Array | None:
        """Weights of a block of rows."""
        return None if self.weight is None else self.weight[part]

    def column_weights(self, part: slice) -> Floats | None:
        """Weights of a block of rows on the host."""
        return None if self.weight is None else np.ascontiguousarray(to_numpy(self.weight[part]))

    def column(self, part: slice) -> Floats:
        """The only feature of a block of rows, as float64 on the host."""
        return np.ascontiguousarray(to_numpy(self.read(part))[:, 0], dtype=np.float64)

    def resident_column(self, part: slice) -> Array:
        """The only feature of a block of rows, contiguous on the device that it lies on."""
        block = self.array[part, 0]
        return namespace_of(block).ascontiguousarray(block)

    def sample(self, most: int) -> Rows:
        """At most so many rows as NumPy arrays, one at a random place in each of as many equal parts.

        The places are the same for every call. Rows with a weight are taken as if they were repeated.
        """
        weight = None if self.weight is None else to_numpy(self.weight)
        whole = weight is None or are_whole(weight)
        total = self.total
        step = max(1.0, np.ceil(total / most)) if whole else total / most
        starts = np.arange(0.0, total, step)
        places = starts + step * np.random.Generator(np.random.PCG64(0)).random(len(starts))
        places = places[places < total]
        chosen = places.astype(np.int64) if weight is None else np.searchsorted(_ends(weight), places, side="right")
        blocks = []
        for part in self.parts() if self.on_host else [slice(0, self.count)]:  # a device is waited for once
            inside = chosen[np.searchsorted(chosen, part.start) : np.searchsorted(chosen, part.stop)]
            if len(inside):
                blocks.append(self._picked(part, inside - part.start))
        return Rows.of(np.concatenate(blocks))

    def _picked(self, part: slice, places: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows of a block on the host; no others leave a device."""
        block = self.read(part)
        if self.on_host:
            return np.asarray(block[places])
        xp = namespace_of(block)
        return np.asarray(to_numpy(xp.take(block, xp.asarray(places), axis=0)))

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

    def taken(self, kept: Any) -> Rows:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[kept]
        return replace(self, array=self.array[kept], weight=weight)


def _ends(weight: Floats) -> Floats:
    """Where each row ends if rows are laid out with their weights as lengths; the last end holds every place."""
    ends = np.cumsum(weight)
    ends[-1] = np.inf
    return np.asarray(ends)


def are_whole(weight: Floats) -> bool:
    """Whether all weights are whole numbers that count rows exactly."""
    return bool(np.all(weight == np.floor(weight)) and np.sum(weight) < 2.0**44)


def in_order(function: Callable[[slice], T], parts: Iterable[slice], pool: Executor | None) -> Iterator[T]:
    """Results of all blocks, in their order."""
    return map(function, parts) if pool is None else iter(pool.map(function, parts))


FLOATS = (np.float64, np.float32)


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
    weight = None if sample_weight is None else _checked_weight(sample_weight, _count_rows(x), alone=reset)
    rows = read_rows(estimator, x, reset=reset)
    if weight is None or np.all(weight == 1):
        return rows
    if not rows.on_host:
        return replace(rows, weight=namespace_of(rows.array).asarray(weight))
    weighted = replace(rows, weight=weight)
    return weighted if not rows.whole or np.all(weight > 0) else weighted.taken(weight > 0)


def read_rows(estimator: Any, x: Any, *, reset: bool) -> Rows:
    """Rows as they are given; `reset` for those of a fit."""
    from sklearn.utils.validation import validate_data

    matrix = frame_matrix(x)
    if matrix is not None:
        _check_names(estimator, matrix.names, reset=reset)
        x = matrix
    if matrix is not None or _is_on_disk(x):
        _count_features(estimator, x, reset=reset)
        return Rows(x, None, lazy=True, whole=False)
    if _is_foreign(x):
        return _foreign_rows(estimator, x, reset=reset)
    mapped = isinstance(x, np.memmap) and x.size > MAPPED_VALUES
    array = validate_data(estimator, x, dtype=list(FLOATS), reset=reset, ensure_min_samples=2 if reset else 1)
    return Rows(array, None, lazy=False, whole=not mapped)


def _is_on_disk(x: Any) -> bool:
    """Something larger than memory should hold that only its slices turn into arrays."""
    if isinstance(x, np.memmap):
        return x.ndim == 2 and x.dtype not in FLOATS and x.dtype.kind in "iuf" and x.size > MAPPED_VALUES
    shape, dtype = getattr(x, "shape", ()), getattr(x, "dtype", None)
    numeric = isinstance(dtype, np.dtype) and dtype.kind in "iuf"
    sliced = hasattr(x, "__getitem__") and not isinstance(x, np.ndarray) and not hasattr(x, "tocsr")
    return len(shape) == 2 and numeric and sliced and not _is_foreign(x)


def _is_foreign(x: Any) -> bool:
    named = hasattr(x, "__array_namespace__") or hasattr(x, "__cuda_array_interface__") or holds_device_rows(x)
    return named and not isinstance(x, np.ndarray)


def _foreign_rows(estimator: Any, x: Any, *, reset: bool) -> Rows:
    if hasattr(x, "columns"):
        _check_names(estimator, [str(name) for name in x.columns], reset=reset)
    x = device_rows("X", x) if holds_device_rows(x) else x
    xp = namespace_of(x)
    if x.ndim != 2:
        raise InputError(f"Expected 2D array, got {x.ndim}D array instead: reshape it to (rows, features)")
    if x.dtype not in (xp.float32, xp.float64):
        x = xp.astype(x, xp.float64)
    if not bool(xp.all(xp.isfinite(x))):
        raise InputError("Input X contains NaN or infinity: only finite numbers can be fitted")
    _count_features(estimator, x, reset=reset)
    return Rows(x, None, lazy=False, whole=False)


def _check_names(estimator: Any, names: Sequence[str], *, reset: bool) -> None:
    """Take the names of the features, or compare with them."""
    from sklearn.utils.validation import _check_feature_names

    _check_feature_names(estimator, pa.table({name: pa.nulls(0) for name in names}), reset=reset)


def _count_features(estimator: Any, x: Any, *, reset: bool) -> None:
    from sklearn.utils.validation import _check_n_features

    least = 2 if reset else 1
    if x.shape[0] < least or x.shape[1] == 0:
        raise InputError(f"X has shape {tuple(x.shape)}, but a minimum of {least} rows and 1 feature is required")
    _check_n_features(estimator, x, reset=reset)


def _count_rows(x: Any) -> int:
    """Rows of what is yet to be read."""
    from sklearn.utils.validation import _num_samples

    frame = lazy_frame(x)
    return int(_num_samples(x)) if frame is None else frame.rows


def _checked_weight(sample_weight: Any, count: int, *, alone: bool) -> Floats:
    """Weights on the host: one a row, finite, none negative; more than one row in all where no others were seen."""
    from sklearn.utils.validation import _check_sample_weight

    given = hosted("sample_weight", values_of_series(sample_weight))
    if not alone and np.shape(given) == (count,) and not np.any(np.asarray(given)):
        return np.zeros(count)
    weight: Floats = _check_sample_weight(given, np.broadcast_to(0.0, (count, 1)), dtype=np.float64)
    if np.any(weight < 0):
        raise InputError(f"sample_weight is negative at row {int(np.argmax(weight < 0))}: weights count rows")
    total = float(np.sum(weight))
    if alone and total <= 1:
        raise InputError(
            f"sample_weight sums to {total:g}: weights count rows, and a covariance needs more than one; scale "
            "them up, for example by the number of rows over their sum"
        )
    return weight


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
