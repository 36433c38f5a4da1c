"""The contract of an engine: the row loops of fit, transform and inverse over arrays of one device.

The contract is a class, whose methods hold the formulas in NumPy float64, as printed: the reference that every other
engine is tested against.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import multivariate, trees
from gpuvgm.engines.chunk_sums import ChunkSums
from gpuvgm.engines.encode import DecodeTable, EncodeTable, counts_of, hold_ends
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import (
    BITS,
    CountedColumn,
    Draw,
    DrawnColumn,
    KernelTable,
    PriorTable,
    RowRules,
)
from gpuvgm.engines.trees import RULES, AskedColumn, GrowthRules, Places, Trees
from gpuvgm.engines.whole import nearest_multiples
from gpuvgm.summary import Cells, Floats, Grid, Ints, Summary

LN_2 = np.log(2.0)
SMALLEST_FLOAT32 = float(np.finfo(np.float32).tiny)
Codes = NDArray[np.uint16]
OnehotPart = tuple[Floats | None, NDArray[np.signedinteger] | None, int]
ReadPart = tuple[Floats | None, NDArray[np.signedinteger] | None, Ints, bool]


class EMLoop(Protocol):
    """EM over the cells of one problem, by an engine's own loop, which has the bits of that in `gpuvgm.mixture.em`."""

    @property
    def statistics(self) -> tuple[tuple[Floats, Floats, Floats, Floats], float]:
        """Sums that the posterior was updated from: points of reference, counts, first and second moments; entropy."""

    @property
    def posterior(self) -> tuple[Floats, ...]:
        """Parameters of weights (two), mean precisions, means, degrees of freedom and covariances, shape (K,) each."""

    @property
    def bound(self) -> float:
        """The last lower bound, of accelerated EM the highest."""

    @property
    def bounds(self) -> list[float]:
        """The lower bound after each iteration."""

    @property
    def converged(self) -> bool:
        """Return whether the last run ended by its tolerance."""


class PlainEM(EMLoop, Protocol):
    """Variational EM from a posterior (`fit_mixture`), which remembers those that its last iterations began with."""

    @property
    def oldest(self) -> tuple[Floats, ...]:
        """The oldest of them, as `posterior`, once an iteration is made."""


class AcceleratedLoop(EMLoop, Protocol):
    """Accelerated EM (`AcceleratedEM`)."""

    def begin(self) -> None:
        """Make the first iteration, unless it has been made."""


class SearchEnd(NamedTuple):
    """Result of a search; see `gpuvgm.mixture.search.SearchResult`.

    Parameters
    ----------
    statistics : tuple or None
        Sums of the best fit, as `EMLoop.statistics`; None where no start gets above the least evidence.
    posterior : tuple of ndarray or None
        Its posterior, as `EMLoop.posterior`; None where it is one of the fits that were handed in.
    bounds : list of float
        Bounds of its last ascent.
    converged : bool
        Whether this ended by its tolerance.
    modes : int
        Its components with more weight than the threshold, and a row.
    bound_with_fewer : float or None
        The highest bound found with fewer modes; None where there is one mode.
    """

    statistics: tuple[tuple[Floats, Floats, Floats, Floats], float] | None
    posterior: Sequence[Floats] | None
    bounds: list[float]
    converged: bool
    modes: int
    bound_with_fewer: float | None


class CellEM(Protocol):
    """EM for mixtures of one feature over the cells of a summary, a batch of problems at a time."""

    def bound(self, sums: Sequence[Floats], entropy: float) -> float:
        """The lower bound of the posterior updated from sums as `EMLoop.statistics`."""

    def ascents(self, starts: Sequence[Sequence[Floats]]) -> list[AcceleratedLoop]:
        """Accelerated EM from sums of assignments of the rows: reference, counts, first and second moments each."""

    def plain(self, start: Sequence[Floats], remembered: int) -> PlainEM:
        """Variational EM from a posterior, as `EMLoop.posterior`; the last `remembered` posteriors are kept."""

    def run(self, batch: Sequence[EMLoop], iterations: int, tolerance: float) -> None:
        """Go on with every loop of a batch.

        Parameters
        ----------
        batch : sequence of EMLoop
            Loops over these cells or others.
        iterations : int
            Most iterations of each.
        tolerance : float
            Gain of the bound below which one ends.
        """

    def search(
        self,
        coarser: Sequence[CellEM],
        rows: Sequence[float],
        starts: Sequence[Sequence[tuple[Sequence[Floats], float]]],
        extent: tuple[tuple[float, ...], list[int]],
        weight_threshold: float,
        least: tuple[float, float] | None,
    ) -> SearchEnd:
        """Search for the best fit in one call, with the bits of `gpuvgm.mixture.search.search_in_python`.

        Parameters
        ----------
        coarser : sequence of CellEM
            The levels before this one, the coarsest first.
        rows : sequence of float
            Rows of each level.
        starts : sequence of sequence of tuple
            Coarse starts, full ones, fits and sparse starts, as `EMLoop.statistics`.
        extent : tuple
            `Effort.numbers`.
        weight_threshold : float
            A mode is a component with more weight than this.
        least : tuple of float, optional
            Evidence that a start must get above on the coarsest level, and the logarithm of the strength of the prior.
        """


PLAIN = RowRules()  # of values that are numbers


class RunningSummary:
    """The summary of rows that come one block after the other.

    Parameters
    ----------
    engine : Engine
        Engine that summarises the blocks.
    grid : Grid
        Cells to sum over.
    rules : RowRules
        How values become numbers.
    """

    def __init__(self, engine: Engine, grid: Grid, rules: RowRules) -> None:
        self._engine, self._grid, self._rules = engine, grid, rules
        self._merged = Summary.empty(grid)

    def add(self, values: Array, missing: Array | None = None) -> None:
        """Add rows, as for `Engine.summarise`; nobody waits for those of a device."""
        self._merged = self._merged.merge(self._engine.summarise(values, self._grid, self._rules, missing))

    def summary(self) -> Summary:
        """Summary of all rows added, which is asked for once."""
        return self._merged


class Engine:
    """Row loops, here those of the reference engine: slow, short, and right by inspection.

    Attributes
    ----------
    name : str
        Name of the engine.
    device : gpuvgm.engines.cuda.device.Device or None
        Where the arrays that it takes may lie, if it is not the memory of the host alone.
    """

    name: ClassVar[str] = "reference"
    device: Any = None

    @property
    def runs_on_device(self) -> bool:
        """Whether it takes arrays of a device as they are."""
        return self.device is not None

    @property
    def device_memory(self) -> int | None:
        """Bytes of memory of the device that it works on; None where it works on the host."""
        return None if self.device is None else int(self.device.total_memory)

    @property
    def free_device_memory(self) -> int | None:
        """Bytes of that memory that new arrays may take; None where it works on the host."""
        return None if self.device is None else int(self.device.free_memory)

    def copy_to_device(self, array: NDArray[Any]) -> Any | None:
        """Copy of an array on the device that it works on; None where there is no room for it, or no device."""
        return None

    def in_row_order(self, array: Array) -> Array:
        """An array where the engine works, its rows one after the other; as it is if no copy has room."""
        return array

    def add_chunks(self, sums: Iterable[tuple[ChunkSums, Array]]) -> None:
        """Add the sums of chunks, which lie where an engine left them, to totals in the host's memory.

        Parameters
        ----------
        sums : iterable of (ChunkSums, array of shape (chunks, width))
            Totals, each with the sums of its next chunks. Those on a device come in one copy, once all are computed.
        """
        for total, partials in sums:
            total.add(partials)

    def summarise(
        self, values: Array, grid: Grid, rules: RowRules = PLAIN, missing: NDArray[np.bool_] | None = None
    ) -> Summary:
        """Summary of a column's values, with the rows of each modal value, the rows off the step and both ends.

        Parameters
        ----------
        values : ndarray of shape (rows,), float32, float64 or integers
            Values; NaN is missing.
        grid : Grid
            Cells to sum their numbers over.
        rules : RowRules
            How values become numbers.
        missing : ndarray of shape (rows,), bool, optional
            Rows without a value, whatever stands there.
        """
        numbers, modal_index, off_step = rules.numbers(values, missing)
        summary = Summary.from_array(numbers, grid)
        modal = np.bincount(modal_index[modal_index >= 0], minlength=len(rules.modal))
        ordinary = values[np.isfinite(numbers)]
        return replace(
            summary,
            missing=summary.missing - int(modal.sum()),
            modal=tuple(modal.tolist()),
            ends=(_end(np.min(ordinary)), _end(np.max(ordinary))) if len(ordinary) else None,
            off_step=int(np.count_nonzero(off_step)),
        )

    def running_summary(self, grid: Grid, rules: RowRules = PLAIN) -> RunningSummary:
        """The summary of no rows, to add blocks of rows to; parameters as for `summarise`."""
        return RunningSummary(self, grid, rules)

    def e_step(self, x: Floats, weight: Floats | None, scatter: Floats | None, table: KernelTable) -> Floats:
        """Sums of responsibilities, 4,096 rows at a time.

        Parameters
        ----------
        x : ndarray of shape (rows,), float64
            Rows (NaN counts for nothing), or the means of cells.
        weight : ndarray of shape (rows,), optional
            Weight of each row, 1 by default, or the number of rows in each cell.
        scatter : ndarray of shape (rows,), optional
            Sum of squared deviations inside each cell; given, the sums are those of the cells' rows to second order.
        table : KernelTable
            The mixture.

        Returns
        -------
        ndarray of shape (chunks, 3 K + 1)
            Per chunk the sums of r_k, of r_k (y - mean_k), of r_k (y - mean_k)^2, and of log2 of the density; on the
            device where the rows lie there.
        """
        weight = np.ones(len(x)) if weight is None else weight
        chunks = []
        for start in range(0, len(x), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            ordinary = np.isfinite(x[part])
            y, n = table.frame.apply(x[part][ordinary]), weight[part][ordinary]
            m2 = np.zeros(len(y)) if scatter is None else scatter[part][ordinary]
            chunks.append(_sums_of_cells(y, n, m2, table))
        return np.array(chunks).reshape(len(chunks), 3 * len(table.means) + 1)

    def em(self, cells: Cells, prior: PriorTable, *, sound: bool) -> CellEM | None:
        """EM over cells in loops of the engine's own; None: a loop over `e_step` in Python takes its place.

        Parameters
        ----------
        cells : Cells
            The cells, in the coordinates of the prior.
        prior : PriorTable
            Prior of the mixture.
        sound : bool
            Components of negative counts are empty: the expansion within cells far wider than a component.
        """
        return None

    def count_most_probable(self, x: Floats, weight: Floats | None, table: KernelTable) -> Floats:
        """Weight of the rows whose most probable component is k, shape (K,); ties go to the lower index."""
        ordinary = np.isfinite(x)
        best = np.argmax(_log2_density(table.frame.apply(x[ordinary]), table), axis=0)
        weight = np.ones(len(x)) if weight is None else weight
        return np.bincount(best, weight[ordinary], len(table.means)).astype(np.float64)

    def e_step_features(self, x: Array, weight: Array | None, table: GaussianTable) -> Array:
        """Sums of responsibilities over several features, 4,096 rows at a time.

        Parameters
        ----------
        x : ndarray of shape (rows, D), float32 or float64
            Finite rows.
        weight : ndarray of shape (rows,), optional
            Weight of each row, 1 by default. A row of weight 0 adds nothing, whatever its values are.
        table : GaussianTable
            The mixture, K components.

        Returns
        -------
        ndarray of shape (chunks, table.width)
            Per chunk the sums of r_k, of r_k d_k, of the upper triangle of r_k d_k d_k^T (its diagonal if diagonal),
            and of ln of the density, with d_k = (x - centre) - mean_k.
        """
        return multivariate.e_step(x, weight, table)

    def log_prob(self, x: Array, table: GaussianTable) -> Array:
        """Logarithm of weight times density of every row (as in `e_step_features`) and component, shape (rows, K)."""
        return multivariate.log_prob(x, table)

    def encode(
        self,
        values: Array,
        rules: RowRules,
        table: EncodeTable,
        draw: Draw,
        out: tuple[Floats, NDArray[np.signedinteger]],
        missing: NDArray[np.bool_] | None = None,
    ) -> Ints:
        """Write scalar and code of every row, and count the rows that the fit had not seen.

        A modal row gets scalar 0 and the code of its value, a missing or infinite one 0 and the missing code. A row
        that the mode drawn for it cannot hold is given to another; see `Coverage`.

        Parameters
        ----------
        values, rules, missing
            As for `summarise`.
        table : EncodeTable
            Modes, codes and training range.
        draw : Draw
            How modes are drawn.
        out : (scalar, code)
            Arrays of shape (rows,) to write: float32 or float64, int8 or int16.

        Returns
        -------
        ndarray of shape (10,), int64 or uint64
            For each sort of `gpuvgm.engines.encode.SORTS` how many rows there are, and the first (anything where there
            is none): infinite ones, missing ones, those outside the training range, those at the end of the mode that
            was drawn where no mode holds them (all at the end of their mode where the table has no coverage), those off
            their step. On the device where the rows lie there, and nobody has waited for it.
        """
        scalar, code = out
        numbers, modal_index, off_step = rules.numbers(values, missing)
        is_modal = modal_index >= 0
        ordinary = np.isfinite(numbers)
        y = table.mixture.frame.apply(np.where(ordinary, numbers, 0.0))
        mode = self._modes(y, table, draw)
        z = (y - table.mixture.means[mode]) / table.widths[mode]
        z = np.clip(z, -table.limit, table.limit)
        z[np.abs(z) < SMALLEST_FLOAT32] = 0.0  # CuPy flushes subnormal float32 numbers to 0
        scalar[:] = np.where(ordinary, z, 0.0)
        # a missing row of a column without a missing code is refused by the caller: 0 is only a placeholder
        code[:] = np.where(ordinary, table.codes[mode], max(table.missing_code, 0)).astype(code.dtype)
        code[is_modal] = table.modal_codes[modal_index[is_modal]]
        at_end = np.flatnonzero(ordinary & (np.abs(scalar) >= scalar.dtype.type(table.limit)))
        clipped = np.zeros(len(numbers), np.bool_)
        clipped[hold_ends(at_end, numbers[at_end], scalar, code, table)] = True
        return counts_of(
            np.isinf(numbers), np.isnan(numbers) & ~is_modal, ~is_modal & table.outside(numbers), clipped, off_step
        )

    def _modes(self, y: Floats, table: EncodeTable, draw: Draw) -> NDArray[np.int64]:
        active = len(table.widths)
        density = _log2_density(y, table.mixture)
        if draw.most_probable:
            return np.asarray(np.argmax(density[:active], axis=0))
        share = np.exp2(density - np.max(density, axis=0))
        share = share[:active] + table.floor * np.sum(share, axis=0)
        cumulative = np.cumsum(share, axis=0)
        uniforms = draw.generated(len(y)) if draw.uniforms is None else draw.uniforms
        # Without the last sum, no rounding leads past the last component.
        return np.asarray(np.sum(cumulative[:-1] <= uniforms * cumulative[-1], axis=0))

    def decode(
        self,
        scalar: Floats,
        code: NDArray[np.signedinteger],
        rules: RowRules,
        table: DecodeTable,
        out: Array,
        missing: NDArray[np.bool_] | None = None,
    ) -> tuple[int, bool]:
        """Write the value of every row: NaN for missing ones, anything among whole numbers.

        Parameters
        ----------
        scalar, code : ndarray of shape (rows,)
            What `encode` gives.
        rules : RowRules
            How values became numbers; modal values and the step are those of the table.
        table : DecodeTable
            Modes, modal values and step.
        out : ndarray of shape (rows,), float32, float64 or integers
            Where values are written. Whole numbers are rounded half to even, to multiples of the step, and kept within
            the table's limits, as are floats on a scale.
        missing : ndarray of shape (rows,), bool, optional
            Where rows without a value are marked.

        Returns
        -------
        wrong : int
            The first row whose code does not exist, or -1.
        complete : bool
            Whether every row is known to have a value; False where none was looked at.
        """
        unknown = np.flatnonzero((code < 0) | (code >= len(table.means)))
        if len(unknown):
            return int(unknown[0]), False
        z = np.clip(scalar.astype(np.float64), -table.limit, table.limit)
        numbers = table.frame.invert(z * table.widths[code] + table.means[code])
        is_modal = np.isin(code, [place for place, _ in table.modal])
        lost = np.isnan(numbers) & ~is_modal
        if missing is not None:
            missing[:] = lost
        with np.errstate(over="ignore", under="ignore"):
            values = numbers if rules.scale is None else rules.scale.inverse(numbers)
            values = values * rules.unit
        if out.dtype.kind in "iu":
            step = 1 if table.step is None else table.step.numerator
            limits = int(table.low), int(table.high)
            values = np.where(np.isnan(values), 0.0, values)
            out[:] = nearest_multiples(values, int(rules.origin), step, limits, out.dtype)
        else:
            if rules.scale is not None:
                values = np.clip(values + rules.origin, table.low, table.high)  # which makes no minus zero
            with np.errstate(over="ignore"):
                out[:] = values if table.step is None else table.step.nearest(values)
        for place, value in table.modal:
            out[code == place] = value
        return -1, False

    def fill_onehot(self, parts: Sequence[OnehotPart], out: Floats) -> None:
        """Write encoded columns as rows of the onehot layout.

        Parameters
        ----------
        parts : sequence of (scalar, code, width)
            For each column its scalars and its codes, shape (rows,) or None, and its number of one-hot columns; a code
            that it does not have leaves the row's block zero. They may lie elsewhere than the matrix.
        out : ndarray of shape (rows, width), float32 or float64
            The matrix, C-contiguous.
        """
        out[:] = 0
        start = 0
        for scalar, code, width in parts:
            if scalar is not None:
                out[:, start] = scalar
                start += 1
            if code is not None:
                row = np.flatnonzero(code < width)
                out[row, start + code[row].astype(np.int64)] = 1
            start += width

    def read_onehot(self, matrix: Floats, parts: Sequence[ReadPart]) -> None:
        """Read rows of the onehot layout; of its one-hot columns the largest counts, NaN being the largest.

        Parameters
        ----------
        matrix : ndarray of shape (rows, width), float32 or float64
            The rows, C-contiguous.
        parts : sequence of (scalar, code, order, zero_is_none)
            For each column where its scalars (of the matrix's dtype) and its codes (int8, int16 or int32) are
            written, shape (rows,) or None; all its codes, int64, in the order that ties go by; and whether a row of
            zeros has no code, which is written as the number of codes.
        """
        start = 0
        for scalar, code, order, zero_is_none in parts:
            if scalar is not None:
                scalar[:] = matrix[:, start]
                start += 1
            if code is not None:
                columns = matrix[:, start : start + len(order)]
                largest = order[np.argmax(columns[:, order], axis=1)]
                code[:] = np.where(zero_is_none & ~np.any(columns != 0, axis=1), len(order), largest).astype(code.dtype)
            start += len(order)

    def find_bins(self, numbers: Floats, edges: Floats, codes: Codes) -> Codes:
        """Bin of each number.

        Parameters
        ----------
        numbers : ndarray of shape (rows,), float64
            Numbers; NaN is missing.
        edges : ndarray of shape (intervals - 1,), float64
            Borders between intervals, ascending; each belongs to the lower one.
        codes : ndarray of shape (intervals + 1,), uint16
            Bin of each interval, and of missing numbers.
        """
        interval = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers))
        return np.asarray(codes[interval])

    def joint_counts(self, codes: Codes, parents: Sequence[Codes], column: CountedColumn) -> tuple[Ints, Ints | None]:
        """Rows of each pair of bins of a column and its first parent, and of groups of it and of both its parents.

        Parameters
        ----------
        codes : ndarray of shape (rows,), uint16
            Bins of the column.
        parents : sequence of ndarray of shape (rows,), uint16
            Bins of the parents, at most two.
        column : CountedColumn
            The groups.

        Returns
        -------
        pairs : ndarray of shape (column.first, bins), int64
            By bin of the first parent.
        triples : ndarray of shape (column.first, column.groups, column.children), int64, or None
            By bin of the first parent and group of the second one; None where that has one group.
        """
        inner, bins = codes.astype(np.int64), len(column.child)
        outer = parents[0].astype(np.int64) if parents else np.zeros(len(inner), np.int64)
        pairs = np.bincount(outer * bins + inner, minlength=column.first * bins).reshape(column.first, bins)
        if column.groups == 1:
            return pairs, None
        shape = (column.first, column.groups, column.children)
        place = (outer * column.groups + column.second[parents[1]]) * column.children + column.child[inner]
        return pairs, np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)

    def grow_trees(
        self, target: Codes, ranges: Places, asked: Sequence[AskedColumn], rules: GrowthRules = RULES
    ) -> Trees:
        """Trees that say which half of each range of codes a row lies in, by its codes of other columns.

        Parameters
        ----------
        target : ndarray of shape (rows,), uint16
            Codes of a column.
        ranges : ndarray of shape (cuts, 5), int32
            Ranges of its codes, as `Trees` has them.
        asked : sequence of AskedColumn
            The other columns.
        rules : GrowthRules
            What splits may be.
        """
        return trees.grow_trees(to_numpy(target), ranges, asked, rules)

    def joint_entropies(self, columns: Sequence[AskedColumn]) -> Ints:
        """Sums of F, as trees have it, over the rows of each pair of codes.

        Parameters
        ----------
        columns : sequence of AskedColumn
            Columns of at most 1,024 codes.

        Returns
        -------
        ndarray of shape (columns, columns), int64
            The sum for each two columns; of a column with itself that over its codes.
        """
        return trees.joint_entropies(columns)

    def information(self, columns: Sequence[AskedColumn]) -> Ints:
        """Rows times mutual information of each two columns, in whole numbers of 2^-20 nats.

        It is less its bias by chance (Miller 1955), so that it may be negative.

        Parameters
        ----------
        columns : sequence of AskedColumn
            As for `joint_entropies`.
        """
        joint = self.joint_entropies(columns)
        single = np.diagonal(joint)
        kinds = np.array([np.count_nonzero(np.bincount(to_numpy(column.codes))) for column in columns])
        freedom = np.multiply.outer(kinds - 1, kinds - 1)
        of_all = trees.entropies(max((len(column.codes) for column in columns), default=0))[-1]
        information: Ints = joint - np.add.outer(single, single) + of_all - freedom * trees.NAT // 2
        return information

    def count_in_trees(self, target: Codes, grown: Trees, codes: Sequence[Codes]) -> Ints:
        """Rows of both halves at the nodes that answer for them.

        Parameters
        ----------
        target : ndarray of shape (rows,), uint16
            Codes of the trees' column.
        grown : Trees
            The trees.
        codes : sequence of ndarray of shape (rows,), uint16
            Codes of the columns that they ask.

        Returns
        -------
        ndarray of shape (2, nodes), int64
            Rows of the left and of the right half.
        """
        return trees.count_in_trees(to_numpy(target), grown, [*map(to_numpy, codes)])

    def draw_in_trees(self, grown: Trees, codes: Sequence[Codes], shares: Floats, draw: Draw, rows: int) -> Codes:
        """Codes of rows, by the first two words of Philox4x32-10 (Salmon et al. 2011) at their numbers.

        Parameters
        ----------
        grown : Trees
            The trees.
        codes : sequence of ndarray of shape (rows,), uint16
            Codes of the columns that they ask.
        shares : ndarray of shape (nodes,)
            Probability of the right half at each node.
        draw : Draw
            Seed, column, and first row or numbers.
        rows : int
            Number of rows.

        Returns
        -------
        ndarray of shape (rows,), uint16
            The codes.
        """
        high, low, *_ = draw.words(rows)
        uniforms = ((high << np.uint64(20) | low >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        return trees.draw_in_trees(grown, [*map(to_numpy, codes)], shares, uniforms)

    def log_shares_in_trees(self, target: Codes, grown: Trees, codes: Sequence[Codes], log_shares: Floats) -> Floats:
        """Sums of logarithms along the ways of rows, shape (rows,); as `count_in_trees`.

        log_shares: (2, nodes) logarithms of the probabilities of both halves.
        """
        return trees.log_shares_in_trees(to_numpy(target), grown, [*map(to_numpy, codes)], log_shares)

    def draw_rows(self, column: DrawnColumn, parents: Sequence[Codes], draw: Draw, rows: int) -> tuple[Codes, Floats]:
        """Rows of a column of a synthesizer.

        A row takes the four words of Philox4x32-10 (Salmon et al. 2011) at its number: for the group of its bin, the
        bin in it, a piece of the bin, and the place in the piece.

        Parameters
        ----------
        column : DrawnColumn
            What they are drawn from.
        parents : sequence of ndarray of shape (rows,), uint16
            Bins of the parents, at most two.
        draw : Draw
            Seed, column, and first row or numbers.
        rows : int
            Number of rows.

        Returns
        -------
        codes : ndarray of shape (rows,), uint16
            Bin of each row.
        numbers : ndarray of shape (rows,)
            Its place.
        """
        words = draw.words(rows)
        outer = parents[0].astype(np.int64) if parents else np.zeros(rows, np.int64)
        context = outer * column.width + (column.second[parents[1]] if len(parents) > 1 else 0)
        code, bins = outer, len(column.pieces.starts) - 1
        if column.groups is not None:
            groups = int(column.groups.starts[1])
            code = column.groups.draw(context, words[0]) - context * groups
            if column.inside is not None:
                code = column.inside.draw(outer * groups + code, words[1]) - outer * bins
        piece = column.pieces.draw(code, words[2])
        low = column.low[piece]
        return code.astype(np.uint16), low + (column.high[piece] - low) * ((words[3] + 0.5) * 2.0**-BITS)


def _end(value: Any) -> int | float:
    """The least or largest value; no minus zero, which would depend on the order of the rows."""
    return int(value) if value.dtype.kind in "iu" else float(value) + 0.0


def _log2_density(y: Floats, table: KernelTable) -> Floats:
    """log2 of weight times density, shape (K, rows)."""
    deviation = y - table.means[:, None]
    return np.asarray(table.coefficients[:, None] - table.half_precisions[:, None] * deviation * deviation)


def _sums_of_cells(y: Floats, n: Floats, m2: Floats, table: KernelTable) -> Floats:
    """One chunk's row of `Engine.e_step`, to second order in the scatter m2."""
    density = _log2_density(y, table)
    top = np.max(density, axis=0, initial=-np.inf)
    share = np.exp2(density - top)
    total = np.sum(share, axis=0)
    r = share / total
    precision = (2 * LN_2 * table.half_precisions)[:, None]
    d = y - table.means[:, None]
    slope = -precision * d
    mean_slope = np.sum(r * slope, axis=0)
    curve = np.sum(r * (slope**2 - precision), axis=0)
    r1 = r * (slope - mean_slope)
    r2 = r * (slope**2 - precision) - 2 * mean_slope * r1 - r * curve
    count = n * r + 0.5 * m2 * r2
    first = d * count + m2 * r1
    second = d**2 * count + 2 * d * m2 * r1 + m2 * r
    log_norm = n * (top + np.log2(total)) + 0.5 * m2 * (curve - mean_slope**2) / LN_2
    return np.concatenate((count.sum(axis=1), first.sum(axis=1), second.sum(axis=1), [log_norm.sum()]))
