"""The native engine: the C++ row loops of `kernels/`, on the best instruction set of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuvgm import _native
from gpuvgm.arrays import Array
from gpuvgm.engines.base import (
    PLAIN,
    AcceleratedLoop,
    CellEM,
    Codes,
    EMLoop,
    Engine,
    OnehotPart,
    PlainEM,
    ReadPart,
    SearchEnd,
)
from gpuvgm.engines.encode import (
    CLIPPED,
    INFINITE,
    MISSING,
    OFF_STEP,
    OUTSIDE,
    SORTS,
    DecodeTable,
    EncodeTable,
    counts_of,
    hold_ends,
)
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import Draw, DrawnColumn, KernelTable, Lottery, PriorTable, RowRules
from gpuvgm.engines.trees import RULES, AskedColumn, GrowthRules, Places, Trees, entropies
from gpuvgm.errors import EnvironmentProblem
from gpuvgm.summary import Cells, Floats, Grid, Ints, Keys, Summary

NO_CODES = np.empty(0, np.int64)


class NativeEngine(Engine):
    """Row loops in C++, for which the GIL is released; what is no loop is the reference engine's.

    Parameters
    ----------
    instruction_set : str, optional
        "avx512", "avx2" or "baseline"; by default the fastest that the machine has. All give the same bits.

    Raises
    ------
    EnvironmentProblem
        For an instruction set that the machine lacks.
    """

    name = "native"

    def __init__(self, instruction_set: str | None = None) -> None:
        usable = _native.instruction_sets()
        name = instruction_set or usable[0]
        if name not in usable:
            raise EnvironmentProblem(f'instruction set "{name}" is not usable here: choose from {", ".join(usable)}')
        self.instruction_set = name
        self._kernels = _native.Kernels(name)

    def __reduce__(self) -> tuple[type[NativeEngine], tuple[str | None]]:
        return type(self), (None,)  # another machine takes its own instruction set; the bits are the same

    def summarise(
        self, values: Array, grid: Grid, rules: RowRules = PLAIN, missing: NDArray[np.bool_] | None = None
    ) -> Summary:
        """Summary of a column's values; see `Engine.summarise`."""
        if not _has_loops(values, rules, missing):
            return super().summarise(values, grid, rules, missing)
        frame = (grid.frame.scale, grid.frame.centre, grid.hot_key)
        windows, splits = grid.windows.view(np.uint8), grid.splits
        sums, counts, off_step, modal, ends = self._kernels.summarise(
            values, frame, windows, splits.midpoint, splits.parent, grid.inner_cells, _column_rules(rules)
        )
        missing_rows, infinite, minimum, maximum = counts
        return Summary(
            grid,
            *sums,
            missing_rows - sum(modal),
            infinite,
            minimum,
            maximum,
            modal=tuple(modal),
            ends=ends if minimum <= maximum else None,
            off_step=off_step,
        ).of_all(len(values))

    def e_step(self, x: Floats, weight: Floats | None, scatter: Floats | None, table: KernelTable) -> Floats:
        """Sums of responsibilities; see `Engine.e_step`."""
        return self._kernels.e_step(x, weight, scatter, _mixture(table))

    def em(self, cells: Cells, prior: PriorTable, *, sound: bool) -> CellEM | None:
        """EM over cells; see `Engine.em`."""
        return NativeEM(self._kernels, cells, prior, sound=sound)

    def count_most_probable(self, x: Floats, weight: Floats | None, table: KernelTable) -> Floats:
        """Weight by most probable component; see `Engine.count_most_probable`."""
        return self._kernels.count_most_probable(x, weight, _mixture(table))

    def e_step_features(self, x: Array, weight: Array | None, table: GaussianTable) -> Array:
        """Sums of responsibilities over several features; see `Engine.e_step_features`."""
        return self._kernels.e_step_features(x, weight, _gaussians(table))

    def log_prob(self, x: Array, table: GaussianTable) -> Array:
        """Log densities over several features; see `Engine.log_prob`."""
        return self._kernels.log_prob(x, _gaussians(table))

    def encode(
        self,
        values: Array,
        rules: RowRules,
        table: EncodeTable,
        draw: Draw,
        out: tuple[Floats, NDArray[np.signedinteger]],
        missing: NDArray[np.bool_] | None = None,
    ) -> Ints:
        """Scalar and code of every row, and the rows that the fit had not seen; see `Engine.encode`."""
        scalar, code = out
        if not _has_loops(values, rules, missing):
            numbers, modal_index, off_step = rules.numbers(values, missing)
            counts = self.encode(numbers, PLAIN, replace(table, modal_codes=NO_CODES), draw, out).reshape(-1, 2)
            is_modal = modal_index >= 0
            code[is_modal] = table.modal_codes[modal_index[is_modal]]
            counts[[MISSING, OFF_STEP]] = counts_of(np.isnan(numbers) & ~is_modal, off_step).reshape(-1, 2)
            return counts.ravel()
        randomness = (draw.seed, draw.column, draw.first_row, draw.most_probable)
        sorts, at_end, numbers = self._kernels.encode(
            values, _column_rules(rules), _encoded_modes(table), randomness, draw.uniforms, scalar, code
        )
        counts = np.zeros((len(SORTS), 2), np.int64)
        counts[[INFINITE, MISSING, OUTSIDE, OFF_STEP]] = sorts
        clipped = hold_ends(at_end, numbers, scalar, code, table)
        if len(clipped):
            counts[CLIPPED] = len(clipped), clipped[0]
        return counts.ravel()

    def decode(
        self,
        scalar: Floats,
        code: NDArray[np.signedinteger],
        rules: RowRules,
        table: DecodeTable,
        out: Array,
        missing: NDArray[np.bool_] | None = None,
    ) -> tuple[int, bool]:
        """Values of every row; see `Engine.decode`."""
        if not _has_loops(out, rules, missing):
            return super().decode(scalar, code, rules, table, out, missing)
        exact = np.full(len(table.means), np.nan)
        for place, value in table.modal:
            exact[place] = value
        return self._kernels.decode(
            scalar,
            code,
            _column_rules(replace(rules, modal=(), step=table.step)),
            (table.frame.scale, table.frame.centre, table.limit),
            (table.means, table.widths, exact),
            (table.low, table.high),
            out,
        )

    def fill_onehot(self, parts: Sequence[OnehotPart], out: Floats) -> None:
        """Rows of the onehot layout; see `Engine.fill_onehot`."""
        _native.fill_onehot(list(parts), out)

    def read_onehot(self, matrix: Floats, parts: Sequence[ReadPart]) -> None:
        """Scalars and codes of rows of the onehot layout; see `Engine.read_onehot`."""
        _native.read_onehot(matrix, list(parts))

    def find_bins(self, numbers: Floats, edges: Floats, codes: Codes) -> Codes:
        """Bin of each number; see `Engine.find_bins`."""
        return self._kernels.find_bins(numbers, edges, codes)

    def grow_trees(
        self, target: Codes, ranges: Places, asked: Sequence[AskedColumn], rules: GrowthRules = RULES
    ) -> Trees:
        """Trees of a column; see `Engine.grow_trees`."""
        codes, sizes = [column.codes for column in asked], [column.size for column in asked]
        categories = [column.is_category for column in asked]
        grown = _native.grow_trees(target, ranges, codes, sizes, categories, entropies(len(target)), rules.numbers)
        return Trees(ranges, *grown)

    def joint_entropies(self, columns: Sequence[AskedColumn]) -> Ints:
        """Sums of F of each two columns; see `Engine.joint_entropies`."""
        codes, sizes = [column.codes for column in columns], [column.size for column in columns]
        return _native.joint_entropies(codes, sizes, entropies(max(map(len, codes), default=0)))

    def count_in_trees(self, target: Codes, grown: Trees, codes: Sequence[Codes]) -> Ints:
        """Rows at the nodes that answer for them; see `Engine.count_in_trees`."""
        return _native.count_in_trees(target, grown.walked, codes)

    def draw_in_trees(self, grown: Trees, codes: Sequence[Codes], shares: Floats, draw: Draw, rows: int) -> Codes:
        """Codes of rows; see `Engine.draw_in_trees`."""
        numbered = draw.first_row, rows, draw.numbers
        return _native.draw_in_trees(grown.walked, codes, shares, numbered, (draw.column, draw.seed))

    def log_shares_in_trees(self, target: Codes, grown: Trees, codes: Sequence[Codes], log_shares: Floats) -> Floats:
        """Sums of logarithms along the ways of rows; see `Engine.log_shares_in_trees`."""
        return _native.log_shares_in_trees(target, grown.walked, codes, log_shares)

    def draw_rows(self, column: DrawnColumn, parents: Sequence[Codes], draw: Draw, rows: int) -> tuple[Codes, Floats]:
        """Rows of a column of a synthesizer; see `Engine.draw_rows`."""
        groups, inside = (None if lottery is None else _entries(lottery) for lottery in (column.groups, column.inside))
        first_parent, second_parent = (*parents, None, None)[:2]
        return self._kernels.draw_rows(
            (groups, inside, _entries(column.pieces)),
            (column.low, column.high),
            (column.width, column.second),
            (first_parent, second_parent),
            (draw.first_row, rows, draw.numbers),
            (draw.column, draw.seed),
        )


class NativeEM:
    """EM over cells in C++; the GIL is released while a batch runs.

    Parameters
    ----------
    kernels : Kernels
        Row loops.
    cells : Cells
        The cells.
    prior : PriorTable
        Prior of the mixture.
    sound : bool
        Components of negative counts are empty.
    """

    def __init__(self, kernels: _native.Kernels, cells: Cells, prior: PriorTable, *, sound: bool) -> None:
        scatter = np.ascontiguousarray(cells.scatter) if np.any(cells.scatter) else None
        mean, weight = np.ascontiguousarray(cells.mean), np.ascontiguousarray(cells.weight)
        self.problem = _native.EMProblem(
            kernels, mean, weight, scatter, prior.numbers, prior.origin, prior.dirichlet, prior.tied, sound
        )

    def bound(self, sums: Sequence[Floats], entropy: float) -> float:
        """Lower bound after some sums; see `CellEM.bound`."""
        return self.problem.bound(list(map(np.ascontiguousarray, sums)), entropy)

    def ascents(self, starts: Sequence[Sequence[Floats]]) -> list[AcceleratedLoop]:
        """Accelerated EM from several starts; see `CellEM.ascents`."""
        return [_native.Ascent(self.problem, list(map(np.ascontiguousarray, start))) for start in starts]

    def plain(self, start: Sequence[Floats], remembered: int) -> PlainEM:
        """Variational EM; see `CellEM.plain`."""
        return _native.PlainEM(self.problem, list(map(np.ascontiguousarray, start)), remembered)

    def run(self, batch: Sequence[EMLoop], iterations: int, tolerance: float) -> None:
        """Go on with a batch; see `CellEM.run`."""
        _native.run_em(list(batch), iterations, tolerance, 1)  # of several columns each has a thread

    def search(
        self,
        coarser: Sequence[CellEM],
        rows: Sequence[float],
        starts: Sequence[Sequence[tuple[Sequence[Floats], float]]],
        extent: tuple[tuple[float, ...], list[int]],
        weight_threshold: float,
        least: tuple[float, float] | None,
    ) -> SearchEnd:
        """Search for the best fit; see `CellEM.search`."""
        levels = [level.problem for level in (*coarser, self) if isinstance(level, NativeEM)]
        sums = [[(list(map(np.ascontiguousarray, arrays)), entropy) for arrays, entropy in sort] for sort in starts]
        return SearchEnd(*_native.search_cells(levels, list(rows), sums, *extent, weight_threshold, least))


def _has_loops(values: Array, rules: RowRules, missing: NDArray[np.bool_] | None) -> bool:
    """Return whether the loops know values and rules: rows of the host seldom have others."""
    return values.dtype == np.float64 and missing is None and rules.unit == 1 and not rules.infinite_is_missing


def _column_rules(rules: RowRules) -> _native.ColumnRules:
    step, scale = rules.step, rules.scale
    return (
        np.array(rules.modal, np.float64),
        None if step is None else (step.numerator, step.denominator, step.bits),
        ("linear", 0) if scale is None else (scale.name, scale.exponent),
        rules.origin,
    )


def _mixture(table: KernelTable) -> _native.Mixture:
    return _native.Mixture(
        table.frame.scale, table.frame.centre, table.means, table.half_precisions, table.coefficients
    )


def _encoded_modes(table: EncodeTable) -> _native.EncodedModes:
    return _native.EncodedModes(
        _mixture(table.mixture),
        table.widths,
        table.codes[: len(table.widths)].astype(np.float64),
        table.modal_codes.astype(np.float64),
        (table.floor, table.limit, max(table.missing_code, 0)),
        (table.low, table.high),
    )


def _gaussians(table: GaussianTable) -> _native.Gaussians:
    return _native.Gaussians(table.centre, table.means, table.precisions, table.coefficients)


def _entries(lottery: Lottery) -> tuple[Keys, Ints]:
    return lottery.keys, lottery.starts
