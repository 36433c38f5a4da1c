"""From what the estimator's methods are given to rows: validated arrays, memory maps, arrays on disk or a device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.errors import InputError
from gpuvgm.io import device_array, lies_on_device
from gpuvgm.mixture.rows import MAPPED_VALUES, Rows
from gpuvgm.summary.grid import Floats

FLOATS = (np.float64, np.float32)


def training_rows(estimator: Any, x: Any, sample_weight: Any, *, reset: bool = True) -> Rows:
    """Rows to fit on, those of weight 0 left out.

    Parameters
    ----------
    estimator : BaseEstimator
        Keeps the number and the names of the features.
    x : array-like of shape (rows, D)
        A NumPy array, a frame or a list; a memory map, or anything with a shape whose slices NumPy can read; an
        array of another namespace.
    sample_weight : array-like of shape (rows,) or None
        How often each row counts.
    reset : bool
        Whether number and names of the features are taken from these rows, or compared with theirs.

    Raises
    ------
    ValueError
        For rows or weights that cannot be fitted.
    """
    weight = None if sample_weight is None else _checked_weight(sample_weight, x, alone=reset)
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

    if _is_on_disk(x):
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
    named = hasattr(x, "__array_namespace__") or hasattr(x, "__cuda_array_interface__")
    return named and not isinstance(x, np.ndarray)


def _foreign_rows(estimator: Any, x: Any, *, reset: bool) -> Rows:
    x = device_array("X", x) if lies_on_device(x) else x
    xp = namespace_of(x)
    if x.ndim != 2:
        raise InputError(f"Expected 2D array, got {x.ndim}D array instead: reshape it to (rows, features)")
    if x.dtype not in (xp.float32, xp.float64):
        x = xp.astype(x, xp.float64)
    if not bool(xp.all(xp.isfinite(x))):
        raise InputError("Input X contains NaN or infinity: only finite numbers can be fitted")
    _count_features(estimator, x, reset=reset)
    return Rows(x, None, lazy=False, whole=False)


def _count_features(estimator: Any, x: Any, *, reset: bool) -> None:
    from sklearn.utils.validation import _check_n_features

    least = 2 if reset else 1
    if x.shape[0] < least or x.shape[1] == 0:
        raise InputError(f"X has shape {tuple(x.shape)}, but a minimum of {least} rows and 1 feature is required")
    _check_n_features(estimator, x, reset=reset)


def _checked_weight(sample_weight: Any, x: Any, *, alone: bool) -> Floats:
    """Weights in float64: one a row, finite, none negative; more than one row in all where no others were seen."""
    from sklearn.utils.validation import _check_sample_weight

    if not alone and np.shape(sample_weight) == (x.shape[0] if hasattr(x, "shape") else len(x),):
        given = np.asarray(sample_weight)
        if not np.any(given):
            return np.zeros(len(given))
    weight: Floats = _check_sample_weight(sample_weight, x, dtype=np.float64)
    if np.any(weight < 0):
        raise InputError(f"sample_weight is negative at row {int(np.argmax(weight < 0))}: weights count rows")
    total = float(np.sum(weight))
    if alone and total <= 1:
        raise InputError(
            f"sample_weight sums to {total:g}: weights count rows, and a covariance needs more than one; scale "
            "them up, for example by the number of rows over their sum"
        )
    return weight


def host_floats(values: Any) -> NDArray[np.float64]:
    """Centres given as an array of any namespace, in float64 on the host."""
    return np.ascontiguousarray(to_numpy(values) if _is_foreign(values) else values, dtype=np.float64)
