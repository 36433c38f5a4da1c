"""The CUDA engine: the contract of all engines on a GPU, through CuPy.

Work is done where the arrays lie. Arrays on the device stay there; of the host's arrays the passes over rows
(`summarise`, `transform`, `inverse_transform`, the onehot layout) are streamed through the device in pieces. EM over
the cells of a summary is a kernel with the bits of the native engine, and single E-steps over arrays of the host run on
that engine: so a fit on summaries gives the same model on every machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, to_numpy
from gpuvgm.engines import multivariate
from gpuvgm.engines.base import CellEM, Codes, Engine, OnehotPart, ReadPart, RunningSummary
from gpuvgm.engines.cuda import e_step, features, rows, summary, synthesis
from gpuvgm.engines.cuda import hold as holds
from gpuvgm.engines.cuda.device import Device, Lane
from gpuvgm.engines.cuda.em import DeviceEM, LoopsOnDevice, Problem
from gpuvgm.engines.cuda.pieces import in_pieces
from gpuvgm.engines.hold import HoldTable
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import (
    CountedColumn,
    Draw,
    DrawnColumn,
    DrawTable,
    InverseTable,
    KernelTable,
    PriorTable,
    RowRules,
    Step,
)
from gpuvgm.summary.grid import Floats, Frame, Grid, Ints
from gpuvgm.summary.summary import Cells, Summary

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

    @ranged
    def summarise(self, x: Floats, grid: Grid, step: Step | None = None) -> Summary:
        """Summary of rows; see `Engine.summarise`."""
        if self.device.is_resident(x):
            return self._tables.summarise(x, grid, step)

        def on_device() -> Summary:
            with self.device.lanes() as lanes:
                return self._summarise_pieces(x, grid, step, lanes)

        return self._or_on_host("the cells of a summary", on_device, self._host.summarise, x, grid, step)

    def numbers_of(
        self, values: Floats, rules: RowRules
    ) -> tuple[Floats, NDArray[np.int32] | None, NDArray[np.bool_] | None]:
        """Numbers of values of the host, by the host engine; see `Engine.numbers_of`."""
        return self._host.numbers_of(values, rules)

    def values_of(self, numbers: Floats, rules: RowRules, limits: tuple[float, float]) -> Floats:
        """Values of numbers of the host, by the host engine; see `Engine.values_of`."""
        return self._host.values_of(numbers, rules, limits)

    def running_summary(self, grid: Grid, step: Step | None = None) -> RunningSummary:
        """The summary of no rows yet; see `Engine.running_summary`."""
        return summary.DeviceSummary(self, self._tables, grid, step)

    def _summarise_pieces(self, x: Floats, grid: Grid, step: Step | None, lanes: tuple[Lane, Lane]) -> Summary:
        first_lane, second_lane = lanes
        with first_lane:
            table = self._tables.lend(grid, step)

        def work(lane: Lane, piece: slice) -> None:
            part = lane.upload(x[piece])
            # Both lanes add to one table: kernels of a piece begin after those of the piece before.
            lane.follow(second_lane if lane is first_lane else first_lane)
            table.add(part)

        in_pieces(self.device, len(x), work, lanes=lanes)
        with first_lane:
            return self._tables.summary(table, len(x))

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
    def transform(
        self, x: Floats, table: DrawTable, draw: Draw, scalar: Floats, code: NDArray[np.signedinteger]
    ) -> None:
        """Scalar and code of every row; see `Engine.transform`."""
        device = self.device
        if device.is_resident(x):
            uniforms = None if draw.uniforms is None else device.xp.asarray(draw.uniforms)
            rows.transform(device, x, table, replace(draw, uniforms=uniforms), (scalar, code))
            return

        def work(lane: Lane, piece: slice) -> None:
            uniforms = None if draw.uniforms is None else lane.upload(draw.uniforms[piece])
            piece_draw = replace(draw, first_row=draw.first_row + piece.start, uniforms=uniforms)
            out = self._like(scalar[piece]), self._like(code[piece])
            rows.transform(device, lane.upload(x[piece]), table, piece_draw, out)
            lane.download(out[0], scalar[piece])
            lane.download(out[1], code[piece])

        on_device = partial(in_pieces, device, len(x), work)
        self._or_on_host("rows", on_device, self._host.transform, x, table, draw, scalar, code)

    @ranged
    def hold(
        self,
        numbers: Floats,
        scalar: Floats,
        code: NDArray[np.signedinteger],
        table: HoldTable,
        off_step: NDArray[np.bool_] | Step | None,
    ) -> Ints:
        """Modes that hold their rows; see `Engine.hold`."""
        if not self.device.is_resident(numbers):
            return self._host.hold(numbers, scalar, code, table, off_step)
        counts: Ints = holds.hold(self.device, numbers, (scalar, code), table, off_step)
        return counts

    @ranged
    def inverse_transform(
        self, scalar: Floats, code: NDArray[np.signedinteger], table: InverseTable, out: Floats
    ) -> tuple[int, bool]:
        """Numbers of every row; see `Engine.inverse_transform`."""
        device = self.device
        if device.is_resident(scalar):
            code_less, scalar_less = device.to_host(rows.inverse_transform(device, scalar, code, table, out))
            return _first(code_less), bool(scalar_less == rows.NO_ROW and table.complete)
        wrong: list[tuple[int, NDArray[np.uint64]]] = []

        def work(lane: Lane, piece: slice) -> None:
            value, errors = self._like(out[piece]), np.zeros(2, np.uint64)
            result = rows.inverse_transform(device, lane.upload(scalar[piece]), lane.upload(code[piece]), table, value)
            lane.download(value, out[piece])
            lane.download(result, errors)
            wrong.append((piece.start, errors))

        def on_device() -> tuple[int, bool]:
            in_pieces(device, len(code), work)
            return next((start + _first(errors[0]) for start, errors in wrong if _first(errors[0]) >= 0), -1), False

        return self._or_on_host("rows", on_device, self._host.inverse_transform, scalar, code, table, out)

    @ranged
    def fill_onehot(self, parts: Sequence[OnehotPart], out: Floats) -> None:
        """Rows of the onehot layout; see `Engine.fill_onehot`."""
        if not self.device.is_resident(out):
            self._host.fill_onehot(parts, out)  # the bus is slower than the host's memory
            return
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
    engine, table = CudaEngine(host), InverseTable(Frame(1.0, 0.0), np.zeros(1), np.ones(1), 1.0)
    number = np.full(1, np.nan)
    engine.inverse_transform(np.ones(1, np.float32), np.zeros(1, np.uint8), table, number)
    if number[0] != 1.0:
        raise RuntimeError(f"a kernel gave {number[0]} instead of 1.0")
    return engine


def _first(row: np.uint64) -> int:
    """Row number in the contract's form: -1 where there is none."""
    return -1 if int(row) == rows.NO_ROW else int(row)
