"""E-steps over several features on the device."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.e_step import by_chunk, e_step_partials
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import KernelTable
from gpuvgm.summary import Floats, Frame, Ints

MOST_FEATURES = 16
_THREADS, _ROOM = 128, 6144  # rows of a tile, and doubles of shared memory, as in the kernel
_LOG2_E, _LN_2 = float(np.log2(np.e)), float(np.log(2.0))


@cache
def features_program(features: int, x: str, *, diagonal: bool, weighted: bool) -> Program:
    """Program of E-steps over rows of several features, for any number of components that it `has_kernel` for.

    Parameters
    ----------
    features : int
        D, from 2 to `MOST_FEATURES`.
    x : str
        Type of the rows.
    diagonal : bool
        Whether the features are independent inside each component.
    weighted : bool
        Whether rows have weights.
    """
    ending = f"{'_diagonal' * diagonal}{'_weighted' * weighted}"
    return Program(
        name=f"gpuvgm_features_{features}_{SHORT[x]}{ending}",
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/features.cuh"),
        constants=(
            ("GPUVGM_VALUE", C_TYPES[x]),
            ("GPUVGM_FEATURES", str(features)),
            ("GPUVGM_DIAGONAL", str(int(diagonal))),
            ("GPUVGM_WEIGHTED", str(int(weighted))),
        ),
        parameters=(
            Parameter(x, "x"),
            *[Parameter("float64", "weight")] * weighted,
            Parameter("float64", "mixture"),
            value("int32", "components"),
            value("int64", "rows"),
            value("int64", "first_chunk"),
            written("float64", "partials"),
        ),
        threads=_THREADS,
    )


def has_kernel(table: GaussianTable) -> bool:
    """Return whether there is a kernel for so many features whose shared memory holds a tile."""
    features = table.features
    if features == 1:
        return True
    if features > MOST_FEATURES:
        return False
    groups = -(-features // 4)
    rows = groups * -(-features // groups) * (_THREADS + (15 + features) // features)
    return rows + table.components * _THREADS + _THREADS <= _ROOM


def features_partials(device: Device, x: Any, weight: Any | None, table: GaussianTable) -> Any:
    """Sums of responsibilities of every chunk of 4,096 rows, on the device; see `Engine.e_step_features`.

    Parameters
    ----------
    device : Device
        Where the rows lie.
    x : array of shape (rows, D), float32 or float64
        Rows.
    weight : array of shape (rows,), optional
        Weights.
    table : GaussianTable
        A mixture that `has_kernel`.
    """
    if table.features == 1:
        return _one_feature_partials(device, x, weight, table)
    xp = device.xp
    program = features_program(table.features, x.dtype.name, diagonal=table.diagonal, weighted=weight is not None)
    rows = [xp.ascontiguousarray(x)]
    if weight is not None:
        rows.append(xp.ascontiguousarray(weight, dtype=np.float64))
    arguments = [*rows, xp.asarray(_parameters(table)), table.components]
    return by_chunk(device, program, arguments, x.shape[0], table.width)


def _one_feature_partials(device: Device, x: Any, weight: Any | None, table: GaussianTable) -> Any:
    """Sums of `features_partials` by the kernel of one feature, whose log densities are to base 2."""
    xp, (centre,) = device.xp, table.centre
    half_precisions = 0.5 * _LOG2_E * table.precisions.reshape(-1) ** 2
    flat = KernelTable(Frame(1.0, centre), table.means[:, 0], half_precisions, _LOG2_E * table.coefficients)
    rows = xp.ascontiguousarray(x[:, 0])
    weight = None if weight is None else xp.ascontiguousarray(weight, dtype=np.float64)
    partials = e_step_partials(device, rows, weight, None, flat)
    xp.multiply(partials[:, -1], _LN_2, out=partials[:, -1])
    return partials


def _parameters(table: GaussianTable) -> Floats:
    """The mixture as the kernel reads it, to base 2, shape (1 + K, W) with W even.

    A row holds a component's coefficient, then feature by feature its mean and the row of the upper triangle of P_k, or
    its mean and half the precision; factors hold the unit of the logarithm. The means of the first row are the centre.
    """
    width, of_means, of_factors, factors = _places(table.features, diagonal=table.diagonal)
    precisions = table.precisions.reshape(table.components, -1)[:, factors]
    numbers = np.zeros((1 + table.components, width))
    numbers[1:, 0] = _LOG2_E * table.coefficients
    numbers[0, of_means], numbers[1:, of_means] = table.centre, table.means
    numbers[1:, of_factors] = 0.5 * _LOG2_E * precisions**2 if table.diagonal else np.sqrt(0.5 * _LOG2_E) * precisions
    return numbers


@cache
def _places(features: int, *, diagonal: bool) -> tuple[int, Ints, Ints, Ints]:
    """Width of a row of `_parameters`, where in it means and factors are, and which of D x D or D factors they are."""
    lengths = np.ones(features, np.int64) if diagonal else np.arange(features, 0, -1)
    ends = 1 + np.cumsum(1 + lengths)
    means = ends - 1 - lengths
    factors = np.arange(features) if diagonal else np.flatnonzero(np.triu(np.ones((features, features))))
    return int(ends[-1] + ends[-1] % 2), means, np.setdiff1d(np.arange(1, ends[-1]), means), factors
