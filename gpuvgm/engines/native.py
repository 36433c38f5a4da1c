"""The native engine: the C++ row loops of `kernels/`, on the best instruction set of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuvgm import _native
from gpuvgm.arrays import Array
from gpuvgm.engines.base import AcceleratedLoop, CellEM, Codes, EMLoop, Engine, OnehotPart, PlainEM, ReadPart
from gpuvgm.engines.hold import INFINITE, MISSING, OUTSIDE, SORTS, HoldTable, all_counts, hold_ends
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import (
    Draw,
    DrawnColumn,
    DrawTable,
    InverseTable,
    KernelTable,
    Lottery,
    PriorTable,
    RowRules,
    Step,
)
from gpuvgm.errors import EnvironmentProblem
from gpuvgm.summary.grid import Floats, Grid, Ints, Keys
from gpuvgm.summary.summary import Cells, Summary, check_range


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

    def summarise(self, x: Floats, grid: Grid, step: Step | None = None) -> Summary:
        """Summary of rows; see `Engine.summarise`."""
        return replace(self._summary_of(x, grid, RowRules(step=step)), ends=None)

    def summarise_values(self, values: Floats, grid: Grid, rules: RowRules) -> Summary:
        """Summary of a column's values; see `Engine.summarise_values`."""
        summary = self._summary_of(values, grid, rules)
        return replace(summary, strays=rules.strays(values)) if summary.off_step else summary

    def _summary_of(self, values: Floats, grid: Grid, rules: RowRules) -> Summary:
        """Summary of a column's values, without `strays`."""
        frame = (grid.frame.scale, grid.frame.centre, grid.hot_key)
        windows, splits = grid.windows.view(np.uint8), grid.splits
        sums, counts, off_step, modal, ends = self._kernels.summarise(
            values, frame, windows, splits.midpoint, splits.parent, grid.inner_cells, _column_rules(rules)
        )
        missing, infinite, minimum, maximum = counts
        summary = Summary(
            grid,
            *sums,
            missing - sum(modal),
            infinite,
            minimum,
            maximum,
            modal=tuple(modal),
            ends=ends if minimum <= maximum else None,
            off_step=off_step,
        )
        check_range(summary.ordinary, len(values) - missing - infinite)
        return summary

    def numbers_of(
        self, values: Floats, rules: RowRules
    ) -> tuple[Floats, NDArray[np.int32] | None, NDArray[np.bool_] | None]:
        """Numbers of a column's values; see `Engine.numbers_of`."""
        numbers, rows = np.empty(len(values)), len(values)
        modal_index = np.full(rows, -1, np.int32) if rules.modal else None
        off_step = np.empty(rows, np.bool_) if rules.step is not None else None
        modal_rows, off_rows = self._kernels.numbers_of(values, _column_rules(rules), numbers, modal_index, off_step)
        return numbers, modal_index if any(modal_rows) else None, off_step if off_rows else None

    def values_of(self, numbers: Floats, rules: RowRules, limits: tuple[float, float]) -> Floats:
        """Values of a column's numbers; see `Engine.values_of`."""
        self._kernels.values_of(numbers, _column_rules(rules), limits)
        return numbers

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

    def transform(
        self, x: Floats, table: DrawTable, draw: Draw, scalar: Floats, code: NDArray[np.signedinteger]
    ) -> None:
        """Scalar and code of every row; see `Engine.transform`."""
        randomness = (draw.seed, draw.column, draw.first_row, draw.most_probable)
        self._kernels.transform(x, _drawn(table), randomness, draw.uniforms, scalar, code)

    def hold(
        self,
        numbers: Floats,
        scalar: Floats,
        code: NDArray[np.signedinteger],
        table: HoldTable,
        off_step: NDArray[np.bool_] | Step | None,
    ) -> Ints:
        """Rows given to other modes, and those that the fit had not seen; see `Engine.hold`."""
        sorts, at_end = self._kernels.look_at(numbers, scalar, (table.low, table.high, table.limit))
        counts = np.zeros((len(SORTS), 2), np.int64)
        counts[[INFINITE, MISSING, OUTSIDE]] = sorts
        return all_counts(counts, hold_ends(at_end, numbers, scalar, code, table), off_step)

    def inverse_transform(
        self, scalar: Floats, code: NDArray[np.signedinteger], table: InverseTable, out: Floats
    ) -> tuple[int, bool]:
        """Numbers of every row; see `Engine.inverse_transform`."""
        frame = (table.frame.scale, table.frame.centre, table.limit)
        return self._kernels.inverse_transform(scalar, code, frame, table.means, table.widths, out), False

    def fill_onehot(self, parts: Sequence[OnehotPart], out: Floats) -> None:
        """Rows of the onehot layout; see `Engine.fill_onehot`."""
        _native.fill_onehot(list(parts), out)

    def read_onehot(self, matrix: Floats, parts: Sequence[ReadPart]) -> None:
        """Scalars and codes of rows of the onehot layout; see `Engine.read_onehot`."""
        _native.read_onehot(matrix, list(parts))

    def find_bins(self, numbers: Floats, edges: Floats, codes: Codes) -> Codes:
        """Bin of each number; see `Engine.find_bins`."""
        return self._kernels.find_bins(numbers, edges, codes)

    def draw_rows(self, column: DrawnColumn, parents: Sequence[Codes], draw: Draw, rows: int) -> tuple[Codes, Floats]:
        """Rows of a column of a synthesizer; see `Engine.draw_rows`."""
        groups, inside, pieces = column.groups, column.inside, column.pieces
        first_parent, second_parent = (*parents, None, None)[:2]
        return self._kernels.draw_rows(
            (_entries(groups), None if inside is None else _entries(inside), _entries(pieces)),
            (column.low, column.high),
            (column.width, column.second),
            (first_parent, second_parent),
            (draw.first_row, rows),
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
        self._problem = _native.EMProblem(
            kernels, mean, weight, scatter, prior.numbers, prior.origin, prior.dirichlet, prior.tied, sound
        )

    def bound(self, sums: Sequence[Floats], entropy: float) -> float:
        """Lower bound after some sums; see `CellEM.bound`."""
        return self._problem.bound(list(map(np.ascontiguousarray, sums)), entropy)

    def ascents(self, starts: Sequence[Sequence[Floats]]) -> list[AcceleratedLoop]:
        """Accelerated EM from several starts; see `CellEM.ascents`."""
        return [_native.Ascent(self._problem, list(map(np.ascontiguousarray, start))) for start in starts]

    def plain(self, start: Sequence[Floats], remembered: int) -> PlainEM:
        """Variational EM; see `CellEM.plain`."""
        return _native.PlainEM(self._problem, list(map(np.ascontiguousarray, start)), remembered)

    def run(self, batch: Sequence[EMLoop], iterations: int, tolerance: float) -> None:
        """Go on with a batch; see `CellEM.run`."""
        _native.run_em(list(batch), iterations, tolerance, 1)  # of several columns each has a thread


def _column_rules(rules: RowRules) -> _native.ColumnRules:
    step, scale = rules.step, rules.scale
    return (
        np.array(rules.modal, np.float64),
        None if step is None else (step.numerator, step.denominator, step.bits),
        None if scale is None else scale.exponent,
    )


def _mixture(table: KernelTable) -> _native.Mixture:
    return _native.Mixture(
        table.frame.scale, table.frame.centre, table.means, table.half_precisions, table.coefficients
    )


def _drawn(table: DrawTable) -> _native.DrawMixture:
    rules = (table.floor, table.limit, float(max(table.missing_code, 0)))
    return _native.DrawMixture(_mixture(table.mixture), table.widths, table.codes, rules)


def _gaussians(table: GaussianTable) -> _native.Gaussians:
    return _native.Gaussians(table.centre, table.means, table.precisions, table.coefficients)


def _entries(lottery: Lottery) -> tuple[Keys, Ints]:
    return lottery.keys, lottery.starts
