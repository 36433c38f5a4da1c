"""Tables of parameters that engines work from: of row formulas, of transforms, of inverses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import CACHED_ROWS, namespace_of, widened
from gpuvgm.summary.grid import Floats, Frame, Ints, Keys
from gpuvgm.summary.summary import STRAYS

LOG2_E = 1.4426950408889634


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
            multiples = namespace_of(numbers).rint(numbers if step == 1 else numbers / step)
            products: Floats = multiples if step == 1 else multiples * step
            return (products if parts == 1 else products / parts) + 0.0  # no minus zero

    def is_off(self, numbers: Floats) -> NDArray[np.bool_]:
        """Mask of the numbers that are no multiples of the step, where they lie; NaN counts as a multiple."""
        with np.errstate(over="ignore"):
            multiples = self.nearest(widened(numbers)).astype(self.precision, copy=False)
            values = numbers.astype(self.precision, copy=False)
        mask: NDArray[np.bool_] = (multiples != values) & (values == values)  # NaN differs from itself
        return mask

    def count_off(self, numbers: Floats) -> int:
        """Number of values on the host that are no multiples of the step."""
        parts = (numbers[start : start + CACHED_ROWS] for start in range(0, len(numbers), CACHED_ROWS))
        return sum(int(np.count_nonzero(self.is_off(part))) for part in parts)


@dataclass(frozen=True, slots=True)
class Asinh:
    """The scale asinh(x / 2^exponent): in NumPy the formulas of numbers, and of the values that have them."""

    exponent: int
    formula: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class RowRules:
    """Rules by which a column's values become numbers, and numbers values.

    Parameters
    ----------
    modal : tuple of float
        Different values that are counted apart and lie in no cell; NaN stands for one that no row has.
    step : Step, optional
        Count the other values that are no multiples of it.
    scale : Asinh, optional
        The scale that numbers are on; None: values are numbers.
    """

    modal: tuple[float, ...] = ()
    step: Step | None = None
    scale: Asinh | None = None

    def ordinary(self, values: Floats) -> Floats:
        """The values, with NaN in place of modal ones."""
        return np.asarray(np.where(np.isin(values, self.modal), np.nan, values)) if self.modal else values

    def strays(self, values: Floats) -> tuple[float, ...]:
        """The least different ordinary values off the step, at most `STRAYS`, ascending."""
        assert self.step is not None
        ordinary = self.ordinary(values)
        return least_values(ordinary[self.step.is_off(ordinary)])


def least_values(numbers: Floats) -> tuple[float, ...]:
    """The least different numbers, at most `STRAYS`, ascending."""
    values: list[float] = []
    while len(numbers) and len(values) < STRAYS:
        values.append(float(numbers.min()))
        numbers = numbers[numbers > values[-1]]
    return tuple(values)


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
        """Table of some of the components, in this order."""
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

    @property
    def numbers(self) -> list[float]:
        """The seven parameters of the prior."""
        return [getattr(self, part.name) for part in fields(self)[:7]]


@dataclass(frozen=True, slots=True, eq=False)
class DrawTable:
    """Table that transform draws from: the mixture, active components first, and their codes.

    Parameters
    ----------
    mixture : KernelTable
        Active components in index order, then those that only take part in the posterior.
    widths : ndarray of shape (A,)
        scale * sd of the active components.
    codes : ndarray of shape (A,), float64
        Code of each active component in the onehot order.
    floor : float
        Added to every active component's probability, as a share of the whole posterior.
    limit : float
        Scalars are kept within ±limit.
    missing_code : int
        Code of missing rows; -1 where the column has none.
    """

    mixture: KernelTable
    widths: Floats
    codes: Floats
    floor: float
    limit: float
    missing_code: int


@dataclass(frozen=True, slots=True)
class Draw:
    """Source of the uniforms of a transform.

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


@dataclass(frozen=True, slots=True)
class InverseTable:
    """Mean and width of every code of the onehot order; a missing code has mean NaN and width 0."""

    frame: Frame
    means: Floats
    widths: Floats
    limit: float

    @property
    def complete(self) -> bool:
        """Return whether every code has a number."""
        return not np.isnan(self.means).any()


BITS = 32  # of a word


@dataclass(frozen=True, slots=True)
class Lottery:
    """Entries in blocks, and the shares that words draw them by.

    Parameters
    ----------
    keys : ndarray of shape (entries,), uint64
        For each entry its block times 2^33 and the share of the block up to its end, in 2^-32, ascending; that of the
        last entry of a block is 2^32.
    starts : ndarray of shape (blocks + 1,), int64
        First entry of each block; at the end the number of entries.
    """

    keys: Keys
    starts: Ints

    @classmethod
    def of(cls, table: Floats, starts: Ints) -> Lottery:
        """Shares of the entries of a table in its blocks, in whole numbers of 2^-32.

        Parameters
        ----------
        table : ndarray of shape (entries,)
            Weights; the probabilities of a block are proportional to them.
        starts : ndarray of shape (blocks,), int64
            First entry of each block.
        """
        sizes = np.diff(np.append(starts, len(table)))
        block = np.repeat(np.arange(len(starts), dtype=np.uint64), sizes)
        cumulative = np.cumsum(table)
        base, total = cumulative[starts] - table[starts], np.add.reduceat(table, starts)
        share = (cumulative - np.repeat(base, sizes)) / np.repeat(np.where(total > 0, total, 1.0), sizes)
        ends = np.clip(np.rint(share * 2.0**BITS), 0, 2.0**BITS).astype(np.uint64)
        ends[starts + sizes - 1] = 1 << BITS  # whatever was rounded; a block of zeros draws its last entry
        # A bit more than a word has, since the last share of a block is 2^32 itself.
        return cls((block << np.uint64(BITS + 1)) | ends, np.append(starts, len(table)))

    @property
    def longest(self) -> int:
        """Entries of the longest block."""
        return int(np.max(np.diff(self.starts)))

    def draw(self, blocks: Ints, words: Keys) -> Ints:
        """Entry that each word draws from its block: the first one whose key is above the word."""
        keys = (blocks.astype(np.uint64) << np.uint64(BITS + 1)) | words
        return np.asarray(np.searchsorted(self.keys, keys, side="right"))


@dataclass(frozen=True, slots=True)
class DrawnColumn:
    """Table that rows of a column are drawn from, by the bins of at most two parents.

    Parameters
    ----------
    groups : Lottery
        For each context, a bin of the first parent and what `second` makes of that of the second one, the groups of
        the column's bins; without `inside` the bins themselves.
    inside : Lottery or None
        For each bin of the first parent and each group, its bins.
    pieces : Lottery
        For each bin its pieces.
    low, high : ndarray of shape (pieces,)
        Ends of the pieces.
    width : int
        Contexts of each bin of the first parent.
    second : ndarray of shape (bins of the second parent,), int64
        Which of these contexts a bin belongs to; empty without such a parent.
    """

    groups: Lottery
    inside: Lottery | None
    pieces: Lottery
    low: Floats
    high: Floats
    width: int
    second: Ints


@dataclass(frozen=True, slots=True)
class CountedColumn:
    """Groups that rows of a column are counted in, by the bins of at most two parents.

    Parameters
    ----------
    first : int
        Bins of the first parent; 1 without one.
    second : ndarray of shape (bins of the second parent,), int64
        Group of each; empty without such a parent.
    child : ndarray of shape (bins,), int64
        Group of each bin of the column.
    """

    first: int
    second: Ints
    child: Ints

    @property
    def groups(self) -> int:
        """Groups of the second parent's bins; 1 without one."""
        return int(self.second.max(initial=0)) + 1

    @property
    def children(self) -> int:
        """Groups of the column's bins."""
        return int(self.child.max(initial=0)) + 1
