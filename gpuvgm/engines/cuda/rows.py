"""Rows in, rows out on the device: transform, inverse, and the onehot layout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.config import Precision
from gpuvgm.engines.base import OnehotPart, ReadPart
from gpuvgm.engines.cuda.device import Device, address_of
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.engines.tables import Draw, DrawTable, Float32Table, InverseTable, float32_uniforms

QUAD = 4  # rows a thread
BLOCKS_EACH = 16  # blocks of a grid-stride kernel per multiprocessor
TILE_ROWS = 32  # of the onehot matrix, see cuda/onehot.cuh
NO_ROW = (1 << 64) - 1


@cache
def transform_program(
    components: int,
    randomness: str,
    types: tuple[str, str, str],
    *,
    precision: Precision = "float64",
    wide: bool = False,
) -> Program:
    """Program of `Engine.transform`.

    Parameters
    ----------
    components : int
        K.
    randomness : {"generator", "given", "none"}
        Where uniforms come from.
    types : (str, str, str)
        Types of rows, scalars and cells.
    precision : {"float64", "float32"}
        Which specification the rows follow, see `DrawTable.precision`.
    wide : bool
        By the float32 specification, take rows of float32 as float64, see `Float32Table.takes_float32`.
    """
    x, scalar, cell = types
    name = "transform32" if precision == "float32" else "transform"
    taken = "double" if wide or precision == "float64" else C_TYPES[x]
    return Program(
        name="_".join(["gpuvgm", name, str(components), randomness, *(SHORT[one] for one in types), *["wide"] * wide]),
        sources=("vgm_math.cuh", "vgm_math32.cuh", "cuda/block.cuh", "cuda/quad.cuh", "cuda/transform.cuh"),
        constants=(("GPUVGM_REAL", C_TYPES[precision]), ("GPUVGM_ROWS", str(QUAD))),
        parameters=(
            Parameter(x, "x"),
            value("int64", "rows"),
            Parameter(precision, "parameters"),
            Parameter(precision, "given"),
            *(value("uint64", name) for name in ("seed", "column", "first_row")),
            written(scalar, "scalar"),
            written(cell, "cell"),
        ),
        operation=f"gpuvgm::transform_quad<{components}, gpuvgm::{randomness.upper()}, {taken}, GPUVGM_REAL>"
        "(i, &x[0], rows, &parameters[0], &given[0], seed, column, first_row, &scalar[0], &cell[0])",
    )


@cache
def inverse_program(scalar: str, cell: str, number: str) -> Program:
    """Program of `Engine.inverse_transform` for these types of scalars, cells and numbers."""
    return Program(
        name=f"gpuvgm_inverse_{SHORT[scalar]}_{SHORT[cell]}_{SHORT[number]}",
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/quad.cuh", "cuda/inverse.cuh"),
        constants=(("GPUVGM_ROWS", str(QUAD)),),
        parameters=(
            Parameter(scalar, "scalar"),
            Parameter(cell, "cell"),
            value("int64", "rows"),
            Parameter("float64", "parameters"),
            value("uint32", "cells"),
            written(number, "value"),
            written("uint64", "found"),
        ),
        operation="gpuvgm::inverse_quad(i, &scalar[0], &cell[0], rows, &parameters[0], cells, &value[0], &found[0])",
    )


@cache
def fill_program(real: str) -> Program:
    """Program of `Engine.fill_onehot` for matrices of this type."""
    return Program(
        name=f"gpuvgm_fill_onehot_{SHORT[real]}",
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/quad.cuh", "onehot_cells.cuh", "cuda/onehot.cuh"),
        constants=(("GPUVGM_FILL", C_TYPES[real]),),
        parameters=(
            Parameter("int64", "parts"),
            Parameter("int32", "owner"),
            value("int64", "rows"),
            value("int32", "width"),
            written(real, "out"),
        ),
    )


@cache
def read_program(real: str) -> Program:
    """Program of `Engine.read_onehot` for matrices of this type."""
    return Program(
        name=f"gpuvgm_read_onehot_{SHORT[real]}",
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/quad.cuh", "onehot_cells.cuh", "cuda/onehot.cuh"),
        constants=(("GPUVGM_READ", C_TYPES[real]),),
        parameters=(
            Parameter("int64", "parts"),
            Parameter("int64", "order"),
            value("int64", "rows"),
            value("int32", "width"),
            value("int32", "count"),
            Parameter(real, "matrix"),
        ),
    )


def programs() -> list[Program]:
    """The variants that compile tests look at: every type and source of uniforms, and numbers of components."""
    transforms = [
        transform_program(components, randomness, (x, scalar, cell))
        for components, randomness, x, scalar, cell in (
            (10, "generator", "float64", "float32", "uint8"),
            (10, "generator", "float32", "float32", "uint8"),
            (10, "generator", "float64", "float64", "uint16"),
            (10, "given", "float64", "float32", "uint8"),
            (10, "none", "float64", "float32", "uint8"),
            (10, "none", "float32", "float32", "uint8"),
            (1, "none", "float64", "float32", "uint8"),
            (16, "generator", "float64", "float32", "uint8"),
            (17, "generator", "float64", "float32", "uint8"),
        )
    ]
    in_float32 = [
        transform_program(components, randomness, (x, "float32", "uint8"), precision="float32")
        for components, randomness, x in (
            (10, "generator", "float32"),
            (10, "generator", "float64"),
            (10, "given", "float32"),
            (10, "none", "float32"),
            (16, "generator", "float32"),
            (17, "generator", "float32"),
        )
    ]
    inverses = [inverse_program(s, c, v) for s, c in _ENCODED for v in _REALS]
    return [*transforms, *in_float32, *inverses, *map(fill_program, _REALS), *map(read_program, _REALS)]


_REALS = ("float32", "float64")
_ENCODED = (("float32", "uint8"), ("float32", "uint16"), ("float64", "uint8"))


def transform(device: Device, x: Any, table: DrawTable, draw: Draw, out: tuple[Any, Any]) -> None:
    """Scalar and cell of rows on the device; see `Engine.transform`.

    Parameters
    ----------
    device : Device
        Where the rows lie.
    x : array of shape (rows,), float32 or float64
        The rows.
    table, draw : DrawTable, Draw
        What to draw from and how; uniforms on the device.
    out : (scalar, cell)
        What is written.
    """
    scalar, cell = out
    chosen = draw.most_probable or len(table.widths) == 1
    randomness = "none" if chosen else "generator" if draw.uniforms is None else "given"
    if table.precision == "float32":
        table32 = Float32Table.of(table)
        parameters = device.xp.asarray(_float32_parameters(table32))
        wide = x.dtype == np.float32 and not table32.takes_float32
        given: Any = None if draw.uniforms is None else float32_uniforms(draw.uniforms)
    else:
        parameters = device.xp.asarray(_draw_parameters(table))
        wide, given = False, draw.uniforms
    names = (x.dtype.name, scalar.dtype.name, cell.dtype.name)
    components = len(table.mixture.means)
    program = transform_program(components, randomness, names, precision=table.precision, wide=wide)
    device.run_rows(
        program,
        [
            *(x, len(x), parameters, given if randomness == "given" else parameters),
            *(draw.seed, draw.column, draw.first_row, scalar, cell),
        ],
        -(-(len(x) + draw.first_row % QUAD) // QUAD) if len(x) else 0,
    )


@lru_cache(1024)
def _draw_parameters(table: DrawTable) -> NDArray[Any]:
    mixture = table.mixture
    shapes = (mixture.means, mixture.half_precisions, mixture.coefficients)
    return _packed(table, (mixture.frame.scale, mixture.frame.centre), shapes)


def _float32_parameters(table: Float32Table) -> NDArray[Any]:
    power = 2.0**table.exponent if table.takes_float32 else 0.0
    shapes = (table.mean_high, table.mean_low, table.root_precisions, table.coefficients)
    return _packed(table, (power, table.exponent), shapes)


def _packed(
    table: DrawTable | Float32Table, frame: tuple[float, float], shapes: tuple[NDArray[Any], ...]
) -> NDArray[Any]:
    """The rules, and twice as many numbers of each component as shapes; see cuda/transform.cuh."""
    active, count = len(table.widths), len(shapes)
    rules = [table.limit, active, max(table.missing_cell, 0), table.floor, *frame, 0, 0]
    components = np.ones((len(shapes[0]), 2 * count), shapes[0].dtype)
    components[:, :count] = np.stack(shapes, axis=1)
    components[:active, count : count + 2] = np.stack((table.widths, table.cells), axis=1)
    return np.concatenate((np.array(rules, components.dtype), components.ravel()))


def inverse_transform(device: Device, scalar: Any, cell: Any, table: InverseTable, out: Any) -> Any:
    """Numbers of rows on the device; see `Engine.inverse_transform`. Of float32, they are rounded to the nearest.

    Returns
    -------
    array of shape (2,), uint64
        On the device: the first row whose cell does not exist, and the first whose scalar is NaN, or `NO_ROW`.
    """
    frame = table.frame
    cells = np.stack((table.means, table.widths), axis=1).ravel()
    rules = np.array([frame.centre, 1.0 / frame.scale, table.limit])
    parameters = device.xp.asarray(np.concatenate((rules, cells)))
    found = device.xp.asarray(np.full(2, NO_ROW, np.uint64))
    device.run_rows(
        inverse_program(scalar.dtype.name, cell.dtype.name, out.dtype.name),
        [scalar, cell, len(cell), parameters, len(table.means), out, found],
        -(-len(cell) // QUAD),
    )
    return found


def fill_onehot(device: Device, parts: Sequence[OnehotPart], out: Any) -> None:
    """Rows of the onehot layout on the device; see `Engine.fill_onehot`."""
    rows, width = out.shape
    described, owner, start = [], [], 0
    for index, (scalar, cell, cells) in enumerate(parts):
        described.append([address_of(scalar), address_of(cell), _size(scalar), _size(cell), start, cells, 0, 0])
        here = cells + (scalar is not None)
        owner += [index] * here
        start += here
    if start != width:
        raise ValueError("the matrix needs one column for each scalar and cell")
    if not rows or not width:
        return
    arguments = [_described(device, described), device.xp.asarray(np.array(owner, np.int32)), rows, width, out]
    blocks = min(-(-rows // TILE_ROWS), BLOCKS_EACH * device.multiprocessors)
    device.run_blocks(fill_program(out.dtype.name), blocks, arguments)


def read_onehot(device: Device, matrix: Any, parts: Sequence[ReadPart]) -> None:
    """Scalars and cells of rows of the onehot layout on the device; see `Engine.read_onehot`."""
    rows, width = matrix.shape
    described, orders, start, placed = [], [np.empty(0, np.int64)], 0, 0
    for scalar, cell, order, zero_is_none in parts:
        sizes = [_size(scalar), _size(cell)]
        described.append([address_of(scalar), address_of(cell), *sizes, start, len(order), placed, int(zero_is_none)])
        orders.append(np.asarray(order, np.int64))
        start += len(order) + (scalar is not None)
        placed += len(order)
    if start != width:
        raise ValueError("the matrix needs one column for each scalar and cell")
    if not rows or not parts:
        return
    program = read_program(matrix.dtype.name)
    each = max(1, min(-(-rows // program.threads), BLOCKS_EACH * device.multiprocessors // len(parts) + 1))
    order = device.xp.asarray(np.concatenate(orders) if placed else np.zeros(1, np.int64))
    arguments = [_described(device, described), order, rows, width, len(parts), matrix]
    device.run_blocks(program, each * len(parts), arguments)


def _described(device: Device, parts: list[list[int]]) -> Any:
    return device.xp.asarray(np.array(parts, np.int64).ravel())


def _size(array: Any) -> int:
    return 0 if array is None else int(array.dtype.itemsize)
