"""Steps after a transform on the device: rows that their modes cannot hold, and those that the fit had not seen."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.engines.cuda.rows import BLOCKS_EACH, NO_ROW, QUAD, as_read
from gpuvgm.engines.hold import SORTS, HoldTable
from gpuvgm.engines.tables import Step
from gpuvgm.summary.grid import Floats


@cache
def hold_program(x: str, scalar: str, code: str) -> Program:
    """Program of `Engine.hold` for these types of rows, scalars and codes."""
    types = {"X": x, "SCALAR": scalar, "CODE": code}
    return Program(
        name="_".join(["gpuvgm_hold", *map(SHORT.__getitem__, types.values())]),
        sources=("vgm_math.cuh", "vgm_step.cuh", "cuda/block.cuh", "cuda/quad.cuh", "cuda/hold.cuh"),
        constants=tuple((f"GPUVGM_{name}", C_TYPES[type_name]) for name, type_name in types.items()),
        parameters=(
            Parameter(x, "x"),
            value("int64", "rows"),
            Parameter("float64", "parameters"),
            Parameter("uint8", "off_step"),
            value("int32", "masked"),
            written(scalar, "scalar"),
            written(code, "code"),
            written("uint64", "found"),
        ),
    )


def hold(device: Device, numbers: Any, output: tuple[Any, Any], table: HoldTable, off_step: Any) -> Any:
    """Rows on the device; see `Engine.hold`.

    Parameters
    ----------
    device : Device
        Where the rows lie.
    numbers : array of shape (rows,), float32 or float64
        The rows.
    output : (scalar, code)
        Results of the transform; changed in place.
    table : HoldTable
        Modes and training range.
    off_step : array of shape (rows,), bool, or Step, or None
        The rows off the step, or how to find them.
    """
    scalar, code = output[0], as_read(output[1])
    step = off_step if isinstance(off_step, Step) else None
    mask = None if step is not None or off_step is None else off_step.view(np.uint8)
    start = np.array([0, NO_ROW] * len(SORTS), np.uint64)
    parameters = device.xp.asarray(np.concatenate((_pack(table, scalar.dtype, step), start.view(np.float64))))
    counts = parameters[-len(start) :].view(np.uint64)
    quads, program = -(-len(numbers) // QUAD), hold_program(numbers.dtype.name, scalar.dtype.name, code.dtype.name)
    device.run_blocks(
        program,
        min(-(-quads // program.threads), BLOCKS_EACH * device.multiprocessors),
        [
            *(numbers, len(numbers), parameters, parameters.view(np.uint8) if mask is None else mask),
            *(int(mask is not None), scalar, code, counts),
        ],
    )
    return counts


@lru_cache(1024)
def _pack(table: HoldTable, dtype: np.dtype[Any], step: Step | None) -> Floats:
    """Rules, then five numbers of each mode; see cuda/hold.cuh."""
    steps = (0, 1, 64) if step is None else (step.numerator, step.denominator, step.bits)
    limit, coverage = float(dtype.type(table.limit)), table.coverage
    if coverage is None:
        return np.array([limit, 0, 0, table.low, table.high, 1, 0, 0, 0, *steps], np.float64)
    components, frame = coverage.components, coverage.components.frame
    modes, active = len(coverage.means), len(components.means)
    rules = [limit, coverage.limit, 1, table.low, table.high, frame.scale, frame.centre, modes, active, *steps]
    each = np.zeros((modes, 5))
    each[:, 0], each[:, 1], each[:, 4] = coverage.means, coverage.widths, table.codes
    each[:active, 2], each[:active, 3] = components.coefficients, components.half_precisions
    return np.concatenate((np.array(rules, np.float64), each.ravel()))
