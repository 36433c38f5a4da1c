"""Tables of parameters that engines work from: of row formulas, of transforms in float64 and float32, of inverses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import CACHED_ROWS, namespace_of, widened
from gpuvgm.config import Precision
from gpuvgm.errors import InputError
from gpuvgm.summary.grid import Floats, Frame

LOG2_E = 1.4426950408889634
Floats32 = NDArray[np.float32]
#: In float32 the narrowest component's root precision lies in [2^19, 2^20): sds are near 2^-20.
ROOT_EXPONENT = 20
LARGEST_EXPONENT = 949  # of the scale; subnormal doubles then count as 0
FLOAT32_EXPONENTS = -126, 53  # of a scale that a float is multiplied by exactly
LEAST_NUMBER, MOST_NUMBER = 2.0**-73, 2.0**126
LEAST_ROOT = 2.0**-126
MOST_COEFFICIENT, LEAST_COEFFICIENT = -(2.0**-60), -(2.0**100)
LEAST_FLOOR = 2.0**-60
MOST_ROUNDING = 1e-2  # of a scalar, from numbers that lie far from zero for the width of their mode
UNIFORM_BITS = 24


@dataclass(frozen=True, slots=True)
class Step:
    """A step that a column's numbers lie on.

    Parameters
    ----------
    numerator, denominator : int
        Of the step, both exact as floats.
    precision : {"float64", "float32", "float16"}
        Of the column: a number is a multiple of the step if both are the same there.
    """

    numerator: int
    denominator: int
    precision: str

    @property
    def bits(self) -> int:
        """Of a number of the column."""
        return np.dtype(self.precision).itemsize * 8

    def nearest(self, numbers: Floats) -> Floats:
        """Multiples of the step nearest to numbers, each the float nearest to the exact product; where these lie."""
        step, parts = self.numerator, self.denominator
        with np.errstate(over="ignore"):  # of rows so large that they are on no step
            numbers = numbers if parts == 1 else numbers * parts
            whole = namespace_of(numbers).rint(numbers if step == 1 else numbers / step)
            snapped: Floats = whole if step == 1 else whole * step
            return (snapped if parts == 1 else snapped / parts) + 0.0  # no minus zero

    def is_off(self, numbers: Floats) -> NDArray[np.bool_]:
        """Which numbers are no multiples of the step, where they lie; NaN is one."""
        with np.errstate(over="ignore"):
            snapped = self.nearest(widened(numbers)).astype(self.precision, copy=False)
            own = numbers.astype(self.precision, copy=False)
        off: NDArray[np.bool_] = (snapped != own) & (own == own)
        return off

    def count_off(self, numbers: Floats) -> int:
        """How many numbers of the host are no multiples of the step."""
        parts = (numbers[start : start + CACHED_ROWS] for start in range(0, len(numbers), CACHED_ROWS))
        return sum(int(np.count_nonzero(self.is_off(part))) for part in parts)


@dataclass(frozen=True, slots=True)
class KernelTable:
    """Parameters of the row formulas, to base 2.

    log2 of weight times density at y is coefficient - half_precision (y - mean)^2.

    Parameters
    ----------
    frame : Frame
        Rows x enter as y = x * scale - centre; cells are in y already (``Frame(1, 0)``).
    means, half_precisions, coefficients : ndarray of shape (K,)
        Parameters of the components.
    """

    frame: Frame
    means: Floats
    half_precisions: Floats
    coefficients: Floats

    def take(self, components: NDArray[np.int64]) -> KernelTable:
        """The same for some of the components, in the order given."""
        return KernelTable(
            self.frame, self.means[components], self.half_precisions[components], self.coefficients[components]
        )


@dataclass(frozen=True, slots=True)
class PriorTable:
    """Prior of a mixture of one feature, as an engine's EM takes it; see `gpuvgm.mixture.posterior.Prior`.

    Parameters
    ----------
    weight_concentration, mean, mean_precision, covariance, degrees_of_freedom, reg_covar, least_covariance : float
        Parameters of the prior.
    origin : float or None
        Where components without rows lie; None for where they were.
    dirichlet : bool
        Whether the weights have a Dirichlet distribution; else those of a Dirichlet process.
    tied : bool
        Whether the components share one variance.
    """

    weight_concentration: float
    mean: float
    mean_precision: float
    covariance: float
    degrees_of_freedom: float
    reg_covar: float
    least_covariance: float
    origin: float | None
    dirichlet: bool
    tied: bool


@dataclass(frozen=True, slots=True, eq=False)
class DrawTable:
    """What transform needs: the mixture with the components that may be drawn first, and their cells.

    Parameters
    ----------
    mixture : KernelTable
        Active components in index order, then those that only take part in the posterior.
    widths : ndarray of shape (A,)
        scale * sd of the active components.
    cells : ndarray of shape (A,), float64
        Cell of each active component in the onehot order.
    floor : float
        Added to every active component's probability, as a share of the whole posterior.
    limit : float
        Scalars are kept within ±limit.
    missing_cell : int
        Cell of missing rows; -1 where the column has none.
    precision : {"float64", "float32"}
        Which specification the rows follow: "float32" is that of `Float32Table`.
    """

    mixture: KernelTable
    widths: Floats
    cells: Floats
    floor: float
    limit: float
    missing_cell: int
    precision: Precision = "float64"


@dataclass(frozen=True, slots=True)
class Float32Table:
    """What transform needs by the float32 specification, which has no FP64 arithmetic in its rows.

    Rows enter as x 2^exponent in two parts, ``high = float32(x 2^exponent)`` and
    ``low = float32(x 2^exponent - high)``: numbers count to 2^-49 of themselves. Both are 0 below 2^-73 and ±2^126 and
    0 from there on; the exponent puts the smallest standard deviation near 2^-20, so that neither matters. With float32
    arithmetic, operation by operation, and fma where it is written:

    - ``d_k = ((high - mean_high_k) - mean_low_k) + low``, ``t_k = d_k root_precision_k``,
      ``l_k = fma(-t_k, t_k, coefficient_k)``, log2 of weight times density but for a constant;
    - ``e_k = 2^max(l_k - max(l), -100)`` by a polynomial of degree 5, to 2e-7;
    - ``threshold = u fma(A, f, e_1 + ... + e_A)`` over the A active components, with f the floor times the sum of all
      e, and u the generator's word as ``(word // 2^9 + 1/2) 2^-23``, or the caller's uniform cut down to a multiple of
      2^-24;
    - the mode is the number of sums ``(e_1 + f) + (e_2 + f) + ...``, but for the last, that do not exceed the
      threshold; or the first active component with the largest l;
    - ``scalar = d_mode / width_mode`` within ±limit, and 0 where it is below 2^-100.

    Rows so far from every mode that all l overflow, some 2^64 standard deviations, take any mode.

    Parameters
    ----------
    exponent : int
        Rows are multiplied by two to this power.
    mean_high, mean_low : ndarray of shape (K,), float32
        Means as rows are: in two parts.
    root_precisions : ndarray of shape (K,), float32
        Square roots of half the precisions, to base 2.
    coefficients : ndarray of shape (K,), float32
        Coefficients less the largest of them; at most -2^-60, so that no density is near 0.
    widths, cells : ndarray of shape (A,), float32
        As in `DrawTable`; widths in the rows' scale.
    floor, limit : float
        As in `DrawTable`, rounded to float32; a floor below 2^-60 is 0.
    missing_cell : int
        As in `DrawTable`.
    """

    exponent: int
    mean_high: Floats32
    mean_low: Floats32
    root_precisions: Floats32
    coefficients: Floats32
    widths: Floats32
    cells: Floats32
    floor: float
    limit: float
    missing_cell: int

    @classmethod
    def of(cls, table: DrawTable) -> Float32Table:
        """Parameters of a table.

        Raises
        ------
        InputError
            For a mixture whose means, deviations or widths float32 cannot hold beside each other.
        """
        mixture = table.mixture
        roots = np.sqrt(mixture.half_precisions)
        frame = _power_of(mixture.frame.scale)
        exponent = min(_exponent_of(roots) + frame, LARGEST_EXPONENT)
        shift = exponent - frame  # from the frame's coordinates to those of float32
        with np.errstate(over="ignore", under="ignore"):
            roots = np.ldexp(roots, -shift)
            means = np.ldexp(mixture.means + mixture.frame.centre, shift)
            widths = np.ldexp(table.widths, shift)
        if not (
            np.all((roots >= LEAST_ROOT) & (roots < 2.0**45))
            and np.all(np.abs(means) < MOST_NUMBER)
            and np.all((widths >= LEAST_ROOT) & (widths < MOST_NUMBER))
            and np.all(2.0**-48 * np.abs(means[: len(widths)]) <= MOST_ROUNDING * widths)
        ):
            raise InputError(
                "the modes lie too far apart or from zero, or differ too much in width, or are too narrow, for "
                'float32: pass precision="float64"'
            )
        high, low = parts_of(means)
        coefficients = mixture.coefficients - np.max(mixture.coefficients)
        return cls(
            exponent=exponent,
            mean_high=high,
            mean_low=low,
            root_precisions=roots.astype(np.float32),
            coefficients=np.clip(coefficients, LEAST_COEFFICIENT, MOST_COEFFICIENT).astype(np.float32),
            widths=widths.astype(np.float32),
            cells=table.cells.astype(np.float32),
            floor=float(np.float32(table.floor)) if table.floor >= LEAST_FLOOR else 0.0,
            limit=float(np.float32(table.limit)),
            missing_cell=table.missing_cell,
        )

    @property
    def takes_float32(self) -> bool:
        """Whether rows of float32 may be multiplied by 2^exponent in float32, subnormal ones being flushed to 0."""
        least, most = FLOAT32_EXPONENTS
        return least <= self.exponent <= most


@dataclass(frozen=True, slots=True)
class Draw:
    """Where the uniforms of a transform come from.

    Parameters
    ----------
    seed, column : int
        Key and column part of the Philox counter, 64 bits each.
    first_row : int
        Global index of the first row.
    uniforms : ndarray of shape (rows,), optional
        Uniforms in [0, 1) to use instead of the generator's.
    most_probable : bool
        No draw: take the most probable active component.
    """

    seed: int = 0
    column: int = 0
    first_row: int = 0
    uniforms: Floats | None = None
    most_probable: bool = False


def parts_of(scaled: Floats) -> tuple[Floats32, Floats32]:
    """High and low part of numbers in the scale of a `Float32Table`."""
    size = np.abs(scaled)
    high = np.where(size < LEAST_NUMBER, 0.0, np.clip(scaled, -MOST_NUMBER, MOST_NUMBER)).astype(np.float32)
    within = (size >= LEAST_NUMBER) & (size < MOST_NUMBER)
    low = np.subtract(scaled, high, out=np.zeros(len(scaled)), where=within).astype(np.float32)
    return high, low


def float32_uniforms(uniforms: Floats) -> Floats32:
    """Uniforms for the float32 specification: cut to multiples of 2^-24, hence below 1.

    Parameters
    ----------
    uniforms : ndarray of shape (rows,)
        Uniforms in [0, 1).
    """
    steps = 2.0**UNIFORM_BITS
    cut: Floats32 = (uniforms * steps // 1.0 / steps).astype(np.float32)  # on the array's own device
    return cut


def _power_of(scale: float) -> int:
    """The whole number p with scale = 2^p."""
    mantissa, exponent = math.frexp(scale)
    if mantissa != 0.5:
        raise ValueError("a frame's scale is a power of two")
    return exponent - 1


def _exponent_of(roots: Floats) -> int:
    """Exponent of the scale that puts the largest root precision into [2^19, 2^20)."""
    return math.frexp(float(np.max(roots)))[1] - ROOT_EXPONENT


@dataclass(frozen=True, slots=True)
class InverseTable:
    """Mean and width of every cell of the onehot order; a missing cell has mean NaN and width 0."""

    frame: Frame
    means: Floats
    widths: Floats
    limit: float

    @property
    def complete(self) -> bool:
        """Whether every cell has a number."""
        return not np.isnan(self.means).any()
