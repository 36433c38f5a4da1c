"""Validating X and sample_weight, and making rows of the kernel of arrays, memory maps, frames and sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, namespace_of, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.execution import DaskExecutor, LocalExecutor, Run, rows_on_workers
from gpuvgm.io import Block, Source, device_rows, holds_device_rows, is_loaded
from gpuvgm.mixture import Rows
from gpuvgm.summary import Floats

T = TypeVar("T")
MAPPED_VALUES = 1 << 25  # a memory map of more numbers than this is not read into memory for k-means


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOfSource(Rows):
    """Rows that every scan reads again; memory holds a few blocks only, and `array` has only their shape.

    Parameters
    ----------
    blocks : callable
        Gives all blocks, of whole chunks.
    numbers_of : callable
        The rows of a block, shape (rows, D).
    executor : Executor
        Executor that works on the blocks.
    """

    blocks: Callable[[], Iterable[Block]]
    numbers_of: Callable[[Block], Array]
    executor: LocalExecutor
    lazy: bool = True

    def each(self, function: Callable[[Rows], T], values: int = Rows.block_values) -> Iterator[T]:
        """Results of a function for each block, by the executor; see `Rows.each`."""

        def apply(block: Block) -> T:
            part = slice(block.first_row, block.first_row + block.rows)
            return function(self.block(part, self.numbers_of(block)))

        return self.executor.stream(apply, self.blocks())


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
    return rows if weight is None else rows.weighted(weight)


def read_rows(estimator: Any, x: Any, *, reset: bool) -> Rows:
    """Read rows with all weights; `reset` for those of a fit."""
    from sklearn.utils.validation import validate_data

    if isinstance(x, Source):  # a frame of Dask
        shape = check_frame(estimator, x, reset=reset)
        block_rows = max(1, Rows.block_values // (shape[1] * CHUNK_ROWS)) * CHUNK_ROWS
        blocks = partial(x.blocks, x.schema.names, block_rows)
        executor, placeholder = local_executor(estimator), np.broadcast_to(0.0, shape)
        return RowsOfSource(placeholder, blocks=blocks, numbers_of=finite_rows, executor=executor)
    if _is_on_disk(x):
        check_features(estimator, x.shape, None, reset=reset)
        return Rows(x, lazy=True)
    if _is_foreign(x):
        return _foreign_rows(estimator, x, reset=reset)
    if isinstance(x, np.ndarray) and x.dtype.kind in "mM":
        raise InputError(
            f'X holds {x.dtype} values, which are no numbers: give X.astype("int64"), in a unit of your own'
        )
    is_mapped = isinstance(x, np.memmap) and x.size > MAPPED_VALUES
    array = validate_data(estimator, x, dtype=list(Rows.TYPES), reset=reset, ensure_min_samples=2 if reset else 1)
    return Rows(array, whole=not is_mapped)


def local_executor(estimator: Any) -> LocalExecutor:
    """Threads of this process, where it does the work."""
    executor = estimator.executor
    return executor if isinstance(executor, LocalExecutor) else LocalExecutor()


def _is_on_disk(x: Any) -> bool:
    """Return whether rows are larger than memory should hold and only their slices turn into arrays."""
    if isinstance(x, np.memmap):
        return x.ndim == 2 and x.dtype not in Rows.TYPES and x.dtype.kind in "iuf" and x.size > MAPPED_VALUES
    shape, dtype = getattr(x, "shape", ()), getattr(x, "dtype", None)
    numeric = isinstance(dtype, np.dtype) and dtype.kind in "iuf"
    has_slices = hasattr(x, "__getitem__") and not isinstance(x, np.ndarray) and not hasattr(x, "tocsr")
    return len(shape) == 2 and numeric and has_slices and not _is_foreign(x)


def _is_foreign(x: Any) -> bool:
    has_namespace = hasattr(x, "__array_namespace__") or holds_device_rows(x)
    return has_namespace and not isinstance(x, np.ndarray)


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
    return Rows.of(x)


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
    Rows.check_finite(rows, block.first_row)
    return rows


def _float64_numbers(name: str, column: Column) -> Array:
    """A column in float64, NaN where a number is missing."""
    if isinstance(column, DeviceColumn):
        return column.float64()
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def check_features(estimator: Any, shape: tuple[int, ...], names: Sequence[str] | None, *, reset: bool) -> None:
    """Record number and names of the features, or compare with those of the fit.

    Raises
    ------
    ValueError
        For others, or for too few rows or features.
    """
    from sklearn.utils.validation import _check_feature_names, _check_n_features

    if names is not None:
        # A table without rows is enough: scikit-learn looks at the names of its columns alone.
        _check_feature_names(estimator, pa.table({name: pa.nulls(0) for name in names}), reset=reset)
    least_rows = 2 if reset else 1
    if shape[0] < least_rows or shape[1] == 0:
        raise InputError(f"X has shape {tuple(shape)}, but a minimum of {least_rows} rows and 1 feature is required")
    # Only its shape is looked at, so an array that takes no memory stands for the rows.
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
    weights = _computed(sample_weight)
    if holds_device_rows(weights) and holds_device_rows(x):
        device_weights = device_rows("sample_weight", weights)
        if device_weights.shape == (count,) and device_weights.dtype.kind in "fiub":
            device_weights = device_weights.astype(np.float64)
            can_count, total, is_one = _look_at(device_weights)
            if can_count and (total > 1 or not reset):
                return None if is_one else device_weights
    weights = hosted("sample_weight", weights)  # what is wrong with those of a device is said of them there
    if not reset and np.shape(weights) == (count,) and not np.any(np.asarray(weights)):
        return np.zeros(count)
    weight: Floats = _check_sample_weight(weights, np.broadcast_to(0.0, (count, 1)), dtype=np.float64)
    if np.any(weight < 0):
        raise InputError(f"sample_weight is negative at row {int(np.argmax(weight < 0))}: weights count rows")
    total = float(np.sum(weight))
    if reset and total <= 1:
        raise InputError(
            f"sample_weight sums to {total:g}: weights count rows, and a covariance needs more than one; scale "
            "them up, for example by the number of rows over their sum"
        )
    return None if np.all(weight == 1) else weight


def _computed(values: Any) -> Any:
    """A Series or an Array of Dask, computed; everything else as it is."""
    lazy = is_loaded("dask.array", "Array", values) or is_loaded("dask.dataframe", "Series", values)
    return values.compute() if lazy else values


def _look_at(weight: Array) -> tuple[bool, float, bool]:
    """Return whether weights are finite and not negative, their sum, and whether all are 1; waits for a device once."""
    xp = namespace_of(weight)
    can_count = xp.all(xp.isfinite(weight) & (weight >= 0))
    answers = to_numpy(xp.stack([can_count.astype(np.float64), xp.sum(weight), xp.all(weight == 1).astype(np.float64)]))
    return bool(answers[0]), float(answers[1]), bool(answers[2])


def hosted(name: str, values: Any) -> Any:
    """Return values of a device as an array of the host; everything else as it is."""
    return to_numpy(device_rows(name, values)) if holds_device_rows(values) else values


def host_floats(values: Any) -> NDArray[np.float64]:
    """Centres given as an array of any namespace, in float64 on the host."""
    return np.ascontiguousarray(to_numpy(values) if _is_foreign(values) else values, dtype=np.float64)


@contextmanager
def rows_on_cluster(
    estimator: Any, source: Source, executor: DaskExecutor, sample_weight: Any, *, reset: bool
) -> Iterator[Rows]:
    """Rows of a frame of Dask or a matrix, which the workers of a cluster hold until the context ends.

    Parameters
    ----------
    estimator : BayesianGaussianMixture
        Keeps the number and the names of the features.
    source : Source
        The rows.
    executor : DaskExecutor
        The cluster.
    sample_weight, reset
        As for `training_rows`.
    """
    weight = checked_weight(source, sample_weight, reset=reset)
    shape = check_frame(estimator, source, reset=reset)
    run = Run.over(source, estimator.engine, executor)
    with rows_on_workers(_matrix_of, run.blocks(source.schema.names), run, shape, weight) as rows:
        yield rows


def _matrix_of(blocks: Iterator[Block]) -> Array:
    """The rows of a partition, where they lie."""
    parts = list(map(finite_rows, blocks))
    return namespace_of(parts[0]).concatenate(parts)
