"""Transform beside numpy.sum, beside a NumPy formula, and on every instruction set."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.inputs import FITTED_ROWS, amounts, fitted_column
from benchmarks.machine import aim, instruction_sets
from benchmarks.measure import Measurement, beside_yardsticks, best_times
from gpuvgm.engines import Engine, get_engine
from gpuvgm.engines.tables import Draw

NUMPY = "NumPy formula"
BLOCK_ROWS = 1 << 20


def measure(rows: int) -> list[Measurement]:
    """Drawn, most probable and onehot over `rows` rows; the NumPy formula over at most a million."""
    x = amounts(rows)
    run = Transform(x, get_engine("auto"))
    cases = {"sampled": run.sampled, "argmax": run.argmax, "sampled, onehot matrix": run.onehot}
    aims = {"sampled": aim(0.03, 0.02), "argmax": 0.04}
    others = {f"sampled, {name}": Transform(x, engine_with(name)).sampled for name in instruction_sets()[1:]}
    return [*beside_yardsticks(x, {**cases, **others}, aims), beside_numpy(x[:FITTED_ROWS])]


def beside_numpy(x: np.ndarray) -> Measurement:
    """A million rows by the engine and by the formula in NumPy."""
    formula = Transform(x, get_engine("reference"))
    times = best_times({"sampled": Transform(x, get_engine("auto")).sampled, NUMPY: formula.sampled}, 3)
    return Measurement("sampled", len(x), times["sampled"], {NUMPY: times[NUMPY]})


def engine_with(instruction_set: str) -> Engine:
    """The native engine on an instruction set."""
    engine: Any = import_module("gpuvgm.engines.native").NativeEngine(instruction_set)
    return engine  # type: ignore[no-any-return]


class Transform:
    """An engine's transform into buffers that are there already."""

    def __init__(self, x: np.ndarray, engine: Engine) -> None:
        self.column = fitted_column(len(x))
        self.x, self.engine = x, engine
        self.scalar, self.cell = np.zeros(len(x), np.float32), np.zeros(len(x), np.uint8)
        self.table = self.column.draw_table()
        self.matrix = np.zeros((min(len(x), BLOCK_ROWS), 1 + self.column.width), np.float32)

    def sampled(self) -> None:
        """Modes drawn from the posterior."""
        self.engine.transform(self.x, self.table, self._draw(0), self.scalar, self.cell)

    def argmax(self) -> None:
        """Most probable modes."""
        draw = Draw(0, self.column.column_id, most_probable=True)
        self.engine.transform(self.x, self.table, draw, self.scalar, self.cell)

    def onehot(self) -> None:
        """Modes drawn, and the matrix of scalar and one-hot cells, block by block into the same matrix."""
        for start in range(0, len(self.x), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            x, scalar, cell = self.x[part], self.scalar[part], self.cell[part]
            self.engine.transform(x, self.table, self._draw(start), scalar, cell)
            self.engine.fill_onehot([(scalar, cell, self.column.width)], self.matrix[: len(x)])

    def _draw(self, first_row: int) -> Draw:
        return Draw(0, self.column.column_id, first_row)
