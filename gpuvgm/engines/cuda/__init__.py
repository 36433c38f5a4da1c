"""The CUDA engine: the contract of all engines on a GPU, through CuPy.

Work is done where the arrays lie. Arrays on the device stay there; of the host's arrays the passes over rows
(`summarise`, `encode`, `decode`) are streamed through the device in pieces. EM over
the cells of a summary is a kernel with the bits of the native engine, and single E-steps over arrays of the host run on
that engine: so a fit on summaries gives the same model on every machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, to_numpy
from gpuvgm.engines import multivariate
from gpuvgm.engines.base import PLAIN, CellEM, Codes, Engine, OnehotPart, ReadPart, RunningSummary
from gpuvgm.engines.chunk_sums import ChunkSums
from gpuvgm.engines.cuda import e_step, features, rows, summary, synthesis
from gpuvgm.engines.cuda.device import Device, Lane
from gpuvgm.engines.cuda.em import DeviceEM, LoopsOnDevice, Problem
from gpuvgm.engines.cuda.pieces import in_pieces, uploaded
from gpuvgm.engines.encode import DecodeTable, EncodeTable
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import (
    CountedColumn,
    Draw,
    DrawnColumn,
    KernelTable,
    PriorTable,
    RowRules,
)
from gpuvgm.engines.trees import RULES, AskedColumn, GrowthRules, Places, Trees
from gpuvgm.summary import Cells, Floats, Frame, Grid, Ints, Summary

T = TypeVar("T")
Verb = TypeVar("Verb", bound=Callable[..., Any])
_LOG = logging.getLogger("gpuvgm")


def ranged(verb: Verb) -> Verb:
    """Method of the contract as a range in profiles, for example "gpuvgm.transform"."""

    @wraps(verb)
    def wrapper(self: CudaEngine, *arguments: Any, **options: Any) -> Any:
        with self.device.range(f"gpuvgm.{verb.__name__}"):
            return verb(self, *arguments, **options)

    return cast(Verb, wrapper)


class CudaEngine(Engine):
    """Row loops on a GPU.

    Parameters
    ----------
    host : Engine
        Engine that runs E-steps over arrays of the host.
    device : Device, optional
        Device of all other work; by default CuPy's current one.

    Raises
    ------
    RuntimeError
        Where there is no device.
    """

    name = "cuda"

    def __init__(self, host: Engine, device: Device | None = None) -> None:
        self.device: Device = Device() if device is None else device
        self._host, self._loops, self._tables = host, LoopsOnDevice(self.device), summary.CellTables(self.device)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._host,)

    def copy_to_device(self, array: NDArray[Any]) -> Any | None:
        """Copy of an array; see `Engine.copy_to_device`."""
        return None if self.device.is_forked else uploaded(self.device, array)

    def in_row_order(self, array: Array) -> Array:
        """An array in row order; half as much memory must remain free, for what is computed from the rows."""
        if array.flags.c_contiguous:
            return array
        try:
            reserve = self.device.xp.empty(array.nbytes // 2, np.uint8)
            copy = self.device.xp.ascontiguousarray(array)
            del reserve  # allocated only to see that there is room for it
            return copy
        except self.device.out_of_memory:
            self.device.release_memory()
            return array

    def add_chunks(self, sums: Iterable[tuple[ChunkSums, Array]]) -> None:
        """Add the sums of chunks; see `Engine.add_chunks`."""
        e_step.add_chunks(self.device, sums)

    @ranged
    def summarise(
        self, values: Array, grid: Grid, rules: RowRules = PLAIN, missing: NDArray[np.bool_] | None = None
    ) -> Summary:
        """Summary of a column's values; see `Engine.summarise`."""
        if self.device.is_resident(values):
            return self._tables.summarise(values, grid, rules, missing)

        def on_device() -> Summary:
            with self.device.lanes() as lanes:
                return self._summarise_pieces(values, grid, rules, missing, lanes)

        return self._or_on_host("the cells of a summary", on_device, self._host.summarise, values, grid, rules, missing)

    def running_summary(self, grid: Grid, rules: RowRules = PLAIN) -> RunningSummary:
        """The summary of no rows yet; see `Engine.running_summary`."""
        return summary.DeviceSummary(self, self._tables, grid, rules)

    def _summarise_pieces(
        self,
        values: Array,
        grid: Grid,
        rules: RowRules,
        missing: NDArray[np.bool_] | None,
        lanes: tuple[Lane, Lane],
    ) -> Summary:
        first_lane, second_lane = lanes
        with first_lane:
            table = self._tables.lend(grid, rules)

        def work(lane: Lane, piece: slice) -> None:
            part, mask = lane.upload(values[piece]), _uploaded_piece(lane, missing, piece)
            # Both lanes add to one table: kernels of a piece begin after those of the piece before.
            lane.follow(second_lane if lane is first_lane else first_lane)
            table.add(part, mask)

        in_pieces(self.device, len(values), work, lanes=lanes)
        with first_lane:
            return self._tables.summary(table, len(values))

    @ranged
    def e_step(self, x: Floats, weight: Floats | None, scatter: Floats | None, table: KernelTable) -> Floats:
        """Sums of responsibilities; see `Engine.e_step`."""
        if not self.device.is_resident(x):
            return self._host.e_step(x, weight, scatter, table)
        partials: Floats = e_step.e_step_partials(self.device, x, self._up(weight), self._up(scatter), table)
        return partials

    def em(self, cells: Cells, prior: PriorTable, *, sound: bool) -> CellEM | None:
        """EM over cells, which lie in the host's memory; see `Engine.em`."""
        host = self._host.em(cells, prior, sound=sound)
        if host is None or self.device.is_forked:
            return host
        return DeviceEM(self._loops, host, Problem.of(cells, prior, sound=sound))

    @ranged
    def count_most_probable(self, x: Floats, weight: Floats | None, table: KernelTable) -> Floats:
        """Weight by most probable component; see `Engine.count_most_probable`."""
        if not self.device.is_resident(x):
            return self._host.count_most_probable(x, weight, table)
        return e_step.count_most_probable(self.device, x, self._up(weight), table)

    @ranged
    def e_step_features(self, x: Array, weight: Array | None, table: GaussianTable) -> Array:
        """Sums of responsibilities over several features; see `Engine.e_step_features`."""
        if self.device.is_resident(x):
            if features.has_kernel(table):
                return features.features_partials(self.device, x, self._up(weight), table)
            return multivariate.e_step(x, weight, table)
        return self._host.e_step_features(x, weight, table)

    @ranged
    def log_prob(self, x: Array, table: GaussianTable) -> Array:
        """Log densities over several features; see `Engine.log_prob`."""
        if self.device.is_resident(x):
            return multivariate.log_prob(x, table)
        return self._host.log_prob(x, table)

    @ranged
    def encode(
        self,
        values: Array,
        rules: RowRules,
        table: EncodeTable,
        draw: Draw,
        out: tuple[Floats, NDArray[np.signedinteger]],
        missing: NDArray[np.bool_] | None = None,
    ) -> Ints:
        """Scalar and code of every row; see `Engine.encode`."""
        device = self.device
        if device.is_resident(values):
            resident_draw = replace(draw, uniforms=self._up(draw.uniforms))
            counts: Ints = rows.encode(device, (values, missing), rules, table, resident_draw, out)
            return counts
        parts: list[tuple[int, NDArray[np.uint64]]] = []

        def work(lane: Lane, piece: slice) -> None:
            uniforms = _uploaded_piece(lane, draw.uniforms, piece)
            piece_draw = replace(draw, first_row=draw.first_row + piece.start, uniforms=uniforms)
            written, counts = tuple(self._like(array[piece]) for array in out), rows.NO_COUNTS.copy()
            mask = _uploaded_piece(lane, missing, piece)
            result = rows.encode(device, (lane.upload(values[piece]), mask), rules, table, piece_draw, written)
            for array, target in zip((*written, result), (*(array[piece] for array in out), counts), strict=True):
                lane.download(array, target)
            parts.append((piece.start, counts))

        def on_device() -> Ints:
            in_pieces(device, len(values), work)
            return _counts_of_all(parts)

        return self._or_on_host("rows", on_device, self._host.encode, values, rules, table, draw, out, missing)

    @ranged
    def decode(
        self,
        scalar: Floats,
        code: NDArray[np.signedinteger],
        rules: RowRules,
        table: DecodeTable,
        out: Array,
        missing: NDArray[np.bool_] | None = None,
    ) -> tuple[int, bool]:
        """Value of every row; see `Engine.decode`."""
        device = self.device
        if device.is_resident(scalar):
            wrong_rows = device.to_host(rows.decode(device, (scalar, code), rules, table, out, missing))
            return _first(wrong_rows[0]), bool(wrong_rows[1] == rows.NO_ROW and table.complete)
        wrong: list[tuple[int, NDArray[np.uint64]]] = []

        def work(lane: Lane, piece: slice) -> None:
            written, errors = self._like(out[piece]), rows.NO_ERRORS.copy()
            mask = None if missing is None else self._like(missing[piece])
            coded = lane.upload(scalar[piece]), lane.upload(code[piece])
            result = rows.decode(device, coded, rules, table, written, mask)
            lane.download(written, out[piece])
            lane.download(result, errors)
            if missing is not None:
                lane.download(mask, missing[piece])
            wrong.append((piece.start, errors))

        def on_device() -> tuple[int, bool]:
            in_pieces(device, len(code), work)
            return next((start + _first(errors[0]) for start, errors in wrong if _first(errors[0]) >= 0), -1), False

        return self._or_on_host("rows", on_device, self._host.decode, scalar, code, rules, table, out, missing)

    @ranged
    def fill_onehot(self, parts: Sequence[OnehotPart], out: Floats) -> None:
        """Rows of the onehot layout; see `Engine.fill_onehot`."""
        if not self.device.is_resident(out):
            # The bus is slower than the host's memory.
            self._host.fill_onehot([(_down(scalar), _down(code), width) for scalar, code, width in parts], out)
            return
        parts = [(self._up(scalar), self._up(code), width) for scalar, code, width in parts]
        rows.fill_onehot(self.device, parts, out)

    @ranged
    def read_onehot(self, matrix: Floats, parts: Sequence[ReadPart]) -> None:
        """Scalars and codes of rows of the onehot layout; see `Engine.read_onehot`."""
        if not self.device.is_resident(matrix):
            self._host.read_onehot(matrix, parts)
            return
        rows.read_onehot(self.device, matrix, parts)

    @ranged
    def find_bins(self, numbers: Floats, edges: Floats, codes: Codes) -> Codes:
        """Bin of each number; see `Engine.find_bins`."""
        if not self.device.is_resident(numbers):
            return self._host.find_bins(numbers, edges, codes)
        bins: Codes = synthesis.find_bins(self.device, numbers, edges, codes)
        return bins

    @ranged
    def joint_counts(self, codes: Codes, parents: Sequence[Codes], column: CountedColumn) -> tuple[Ints, Ints | None]:
        """Joint counts of rows; see `Engine.joint_counts`."""
        if not any(map(self.device.is_resident, (codes, *parents))):
            return self._host.joint_counts(codes, parents, column)
        counts: tuple[Ints, Ints | None] = synthesis.count_rows(
            self.device, self._up(codes), [*map(self._up, parents)], column
        )
        return counts

    def joint_entropies(self, columns: Sequence[AskedColumn]) -> Ints:
        """Sums of F of each two columns, on the host; see `Engine.joint_entropies`."""
        return self._host.joint_entropies([replace(column, codes=to_numpy(column.codes)) for column in columns])

    def grow_trees(
        self, target: Codes, ranges: Places, asked: Sequence[AskedColumn], rules: GrowthRules = RULES
    ) -> Trees:
        """Trees of a column, on the host; see `Engine.grow_trees`."""
        columns = [replace(column, codes=to_numpy(column.codes)) for column in asked]
        return self._host.grow_trees(to_numpy(target), ranges, columns, rules)

    @ranged
    def count_in_trees(self, target: Codes, grown: Trees, codes: Sequence[Codes]) -> Ints:
        """Rows at the nodes that answer for them; see `Engine.count_in_trees`."""
        if not any(map(self.device.is_resident, (target, *codes))):
            return self._host.count_in_trees(target, grown, codes)
        counts: Ints = to_numpy(synthesis.count_in_trees(self.device, self._up(target), grown, [*map(self._up, codes)]))
        return counts

    @ranged
    def draw_in_trees(self, grown: Trees, codes: Sequence[Codes], shares: Floats, draw: Draw, rows: int) -> Codes:
        """Codes of consecutive rows, on the device; see `Engine.draw_in_trees`."""

        def on_device() -> Codes:
            sampled: Codes = synthesis.draw_in_trees(self.device, grown, [*map(self._up, codes)], shares, draw, rows)
            return sampled

        def on_host() -> Codes:
            return self._host.draw_in_trees(grown, [*map(to_numpy, codes)], shares, draw, rows)

        return self._or_on_host("drawn rows", on_device, on_host)

    def log_shares_in_trees(self, target: Codes, grown: Trees, codes: Sequence[Codes], log_shares: Floats) -> Floats:
        """Sums of logarithms along the ways of rows, on the host; see `Engine.log_shares_in_trees`."""
        return self._host.log_shares_in_trees(to_numpy(target), grown, [*map(to_numpy, codes)], log_shares)

    @ranged
    def draw_rows(self, column: DrawnColumn, parents: Sequence[Codes], draw: Draw, rows: int) -> tuple[Codes, Floats]:
        """Rows of a column of a synthesizer, on the device; see `Engine.draw_rows`."""

        def on_device() -> tuple[Codes, Floats]:
            result: tuple[Codes, Floats] = synthesis.draw_rows(
                self.device, column, [*map(self._up, parents)], draw, rows
            )
            return result

        def on_host() -> tuple[Codes, Floats]:
            return self._host.draw_rows(column, [*map(to_numpy, parents)], draw, rows)

        return self._or_on_host("drawn rows", on_device, on_host)

    def _or_on_host(self, name: str, on_device: Callable[[], T], on_host: Callable[..., T], *arguments: Any) -> T:
        """Work on arrays of the host: on the device, or by the host engine if that is out of reach or has no room."""
        if self.device.is_forked:
            return on_host(*arguments)
        try:
            return on_device()
        except self.device.out_of_memory:
            self._tables.release()
            self.device.release_memory()
            _LOG.warning("the device has no room for %s: the host does the work", name)
        return on_host(*arguments)

    def _up(self, array: Any) -> Any:
        return None if array is None else self.device.xp.asarray(array)

    def _like(self, array: NDArray[Any]) -> Any:
        return self.device.xp.empty(array.shape, array.dtype)


def started(host: Engine) -> CudaEngine:
    """The engine on CuPy's current device, after it has run one row: a driver or compiler that fails, fails here.

    Parameters
    ----------
    host : Engine
        Engine that runs E-steps over arrays of the host.
    """
    engine, table = CudaEngine(host), DecodeTable(Frame(1.0, 0.0), np.zeros(1), np.ones(1), 1.0)
    number = np.full(1, np.nan)
    engine.decode(np.ones(1, np.float32), np.zeros(1, np.int8), PLAIN, table, number)
    if number[0] != 1.0:
        raise RuntimeError(f"a kernel gave {number[0]} instead of 1.0")
    return engine


def _first(row: np.uint64) -> int:
    """Row number in the contract's form: -1 where there is none."""
    return -1 if int(row) == rows.NO_ROW else int(row)


def _down(array: Any) -> Any:
    return None if array is None else to_numpy(array)


def _uploaded_piece(lane: Lane, array: NDArray[Any] | None, piece: slice) -> Any:
    """A piece of an array of the host that may be None."""
    return None if array is None else lane.upload(array[piece])


def _counts_of_all(parts: Sequence[tuple[int, NDArray[np.uint64]]]) -> Ints:
    """Counts of all rows by those of their parts, each with its first row."""
    merged = rows.NO_COUNTS.copy().reshape(-1, 2)
    for start, counts in parts:
        numbers, first = counts.reshape(-1, 2).T
        merged[:, 0] += numbers
        merged[:, 1] = np.minimum(merged[:, 1], np.where(numbers > 0, first + np.uint64(start), merged[:, 1]))
    return merged.ravel().astype(np.int64)
