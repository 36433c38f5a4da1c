"""Tables of parameters that engines work from: rules of values, row formulas, draws of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of, widened
from gpuvgm.engines.whole import difference, is_no_multiple
from gpuvgm.summary import Floats, Frame, Ints, Keys

LOG2_E = 1.4426950408889634
COUNTERS = 1 << 14  # of the generator, worked on at a time, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class Step:
    """A step that a column's numbers lie on.

    Parameters
    ----------
    numerator, denominator : int
        Of the step, both exact as floats.
    precision : {"float64", "float32", "float16", "int64"}
        Of the column: a number is a multiple of the step if both are the same there. Those of whole values, "int64",
        are themselves compared, and the denominator is 1.
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
        if numbers.dtype.kind in "iu":
            return is_no_multiple(numbers, self.numerator)
        with np.errstate(over="ignore"):
            multiples = self.nearest(widened(numbers)).astype(self.precision, copy=False)
            values = numbers.astype(self.precision, copy=False)
        mask: NDArray[np.bool_] = (multiples != values) & (values == values)  # NaN differs from itself
        return mask


@dataclass(frozen=True, slots=True)
class Scale:
    """A function that numbers are of values: asinh(x / 2^exponent), ln x, or ln(1 + x).

    Parameters
    ----------
    name : {"asinh", "log", "log1p"}
        Name of the function.
    exponent : int
        Of asinh; 0 for logarithms.
    formula, inverse : callable
        The function, and its inverse, of arrays of the host, with the bits of all engines.
    """

    name: str
    exponent: int
    formula: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class RowRules:
    """Rules by which a column's values become numbers: scale((value - origin) / unit).

    Parameters
    ----------
    modal : tuple of int or float
        Different values that have codes of their own and lie in no cell; NaN stands for one that no row has.
    step : Step, optional
        The other values that are no multiples of it are counted.
    scale : Scale, optional
        The scale that numbers are on; None: they are (value - origin) / unit themselves.
    origin : int or float
        Subtracted from values; from whole ones in whole numbers.
    unit : float
        Units of the values that make 1.
    infinite_is_missing : bool
        Infinite values are missing ones.
    """

    modal: tuple[int | float, ...] = ()
    step: Step | None = None
    scale: Scale | None = None
    origin: int | float = 0
    unit: float = 1.0
    infinite_is_missing: bool = False

    def numbers(
        self, values: Array, missing: NDArray[np.bool_] | None = None
    ) -> tuple[Floats, NDArray[np.int32], NDArray[np.bool_]]:
        """Numbers of values of the host.

        Parameters
        ----------
        values : ndarray of shape (rows,), float32, float64 or integers
            Values; NaN is missing.
        missing : ndarray of shape (rows,), bool, optional
            Rows whose value is missing, whatever stands there.

        Returns
        -------
        numbers : ndarray of shape (rows,), float64
            NaN where a value is missing or modal.
        modal_index : ndarray of shape (rows,), int32
            Index of each row's modal value, -1 where it has none.
        off_step : ndarray of shape (rows,), bool
            Ordinary rows off the step.
        """
        there = np.ones(len(values), np.bool_) if missing is None else ~missing
        if self.infinite_is_missing:
            there &= ~np.isinf(values)
        modal_index = np.full(len(values), -1, np.int32)
        for index, value in enumerate(self.modal):
            modal_index[there & (values == value)] = index
        there &= modal_index < 0
        off_step = np.zeros(len(values), np.bool_) if self.step is None else there & self.step.is_off(values)
        numbers = difference(values, self.origin) / self.unit
        numbers = np.where(there, numbers if self.scale is None else self.scale.formula(numbers), np.nan)
        return numbers, modal_index, off_step


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

    @classmethod
    def of(cls, frame: Frame, means: Floats, variances: Floats, log_coefficients: Floats) -> KernelTable:
        """Table of components by their variances and the natural logarithms of their coefficients."""
        return cls(frame, means, (0.5 * LOG2_E) / variances, log_coefficients * LOG2_E)

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


@dataclass(frozen=True, slots=True)
class Draw:
    """Source of random numbers of rows: of the uniforms of a transform, or of the words of drawn rows.

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
    numbers : ndarray of shape (rows,), uint64, optional
        Global indices of drawn rows that do not follow each other, in place of `first_row`.
    """

    seed: int = 0
    column: int = 0
    first_row: int = 0
    uniforms: Floats | None = None
    most_probable: bool = False
    numbers: NDArray[np.uint64] | None = None

    def words(self, rows: int) -> NDArray[np.uint64]:
        """Four 32-bit words of each drawn row, of Philox4x32-10 (Salmon et al. 2011) at its number."""
        following = np.arange(self.first_row, self.first_row + rows, dtype=np.uint64)
        return philox_words(following if self.numbers is None else self.numbers, self.column, self.seed)

    def generated(self, rows: int) -> Floats:
        """The generator's uniforms of consecutive rows: the middles of their words' intervals of 2^-32.

        The word of a row is word row % 4 of Philox4x32-10 (Salmon et al. 2011) at counter row // 4.
        """
        first_counter, end_counter = self.first_row >> 2, (self.first_row + rows + 3) >> 2
        words = np.empty((end_counter - first_counter, 4), np.uint64)
        for start in range(0, end_counter - first_counter, COUNTERS):
            part = words[start : start + COUNTERS]
            counter = np.arange(first_counter + start, first_counter + start + len(part), dtype=np.uint64)
            part[:] = philox_words(counter, self.column, self.seed).T
        return np.asarray((words.ravel()[self.first_row & 3 :][:rows].astype(np.float64) + 0.5) * 2.0**-32)


def philox_words(counter: NDArray[np.uint64], column: int, seed: int) -> NDArray[np.uint64]:
    """Four 32-bit words for each counter (Salmon et al. 2011), shape (4, counters)."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c0, c1 = counter & low, counter >> half
    c2, c3 = np.full_like(c0, column & 0xFFFFFFFF), np.full_like(c0, column >> 32)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ np.uint64(k0), p1 & low, (p0 >> half) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3))


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
    groups : Lottery or None
        For each context, a bin of the first parent and what `second` makes of that of the second one, the groups of
        the column's bins; without `inside` the bins themselves. None: a row's bin is that of its one parent.
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

    groups: Lottery | None
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
