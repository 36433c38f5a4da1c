"""Rows in, rows out on the device: transform, inverse, and the onehot layout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from gpuvgm.engines.base import OnehotPart, ReadPart
from gpuvgm.engines.cuda.device import Device, address_of
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.engines.tables import Draw, DrawTable, InverseTable
from gpuvgm.summary.grid import Floats

QUAD = 4  # rows a thread
BLOCKS_EACH = 16  # blocks of a grid-stride kernel per multiprocessor
TILE_ROWS = 32  # of the onehot matrix, see cuda/onehot.cuh
NO_ROW = (1 << 64) - 1


@cache
def transform_program(components: int, randomness: str, types: tuple[str, str, str]) -> Program:
    """Program of `Engine.transform`.

    Parameters
    ----------
    components : int
        K.
    randomness : {"generator", "given", "none"}
        Where uniforms come from.
    types : (str, str, str)
        Types of rows, scalars and codes.
    """
    x, scalar, code = types
    return Program(
        name="_".join(["gpuvgm_transform", str(components), randomness, *(SHORT[name] for name in types)]),
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/quad.cuh", "cuda/transform.cuh"),
        constants=(("GPUVGM_ROWS", str(QUAD)),),
        parameters=(
            Parameter(x, "x"),
            value("int64", "rows"),
            Parameter("float64", "parameters"),
            Parameter("float64", "given"),
            *(value("uint64", name) for name in ("seed", "column", "first_row")),
            written(scalar, "scalar"),
            written(code, "code"),
        ),
        operation=f"gpuvgm::transform_quad<{components}, gpuvgm::{randomness.upper()}>"
        "(i, &x[0], rows, &parameters[0], &given[0], seed, column, first_row, &scalar[0], &code[0])",
    )


@cache
def inverse_program(scalar: str, code: str, number: str) -> Program:
    """Program of `Engine.inverse_transform` for these types of scalars, codes and numbers."""
    return Program(
        name=f"gpuvgm_inverse_{SHORT[scalar]}_{SHORT[code]}_{SHORT[number]}",
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/quad.cuh", "cuda/inverse.cuh"),
        constants=(("GPUVGM_ROWS", str(QUAD)),),
        parameters=(
            Parameter(scalar, "scalar"),
            Parameter(code, "code"),
            value("int64", "rows"),
            Parameter("float64", "parameters"),
            value("uint32", "codes"),
            written(number, "value"),
            written("uint64", "found"),
        ),
        operation="gpuvgm::inverse_quad(i, &scalar[0], &code[0], rows, &parameters[0], codes, &value[0], &found[0])",
    )


@cache
def fill_program(real: str) -> Program:
    """Program of `Engine.fill_onehot` for matrices of this type."""
    return Program(
        name=f"gpuvgm_fill_onehot_{SHORT[real]}",
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/quad.cuh", "onehot_codes.cuh", "cuda/onehot.cuh"),
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
        sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/quad.cuh", "onehot_codes.cuh", "cuda/onehot.cuh"),
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


def transform(device: Device, x: Any, table: DrawTable, draw: Draw, out: tuple[Any, Any]) -> None:
    """Scalar and code of rows on the device; see `Engine.transform`.

    Parameters
    ----------
    device : Device
        Where the rows lie.
    x : array of shape (rows,), float32 or float64
        The rows.
    table, draw : DrawTable, Draw
        Table and draw; uniforms on the device.
    out : (scalar, code)
        Arrays to write.
    """
    scalar, code = out[0], as_read(out[1])
    is_certain = draw.most_probable or len(table.widths) == 1
    randomness = "none" if is_certain else "generator" if draw.uniforms is None else "given"
    parameters = device.xp.asarray(_draw_parameters(table))
    names = (x.dtype.name, scalar.dtype.name, code.dtype.name)
    device.run_rows(
        transform_program(len(table.mixture.means), randomness, names),
        [
            *(x, len(x), parameters, draw.uniforms if randomness == "given" else parameters),
            *(draw.seed, draw.column, draw.first_row, scalar, code),
        ],
        -(-(len(x) + draw.first_row % QUAD) // QUAD) if len(x) else 0,
    )


@lru_cache(1024)
def _draw_parameters(table: DrawTable) -> Floats:
    """Rules, and six numbers of each component; see cuda/transform.cuh."""
    mixture, active = table.mixture, len(table.widths)
    rules = [table.limit, active, max(table.missing_code, 0), table.floor, mixture.frame.scale, mixture.frame.centre]
    components = np.ones((len(mixture.means), 6))
    components[:, :3] = np.stack((mixture.means, mixture.half_precisions, mixture.coefficients), axis=1)
    components[:active, 3:5] = np.stack((table.widths, table.codes), axis=1)
    return np.concatenate((np.array([*rules, 0, 0], np.float64), components.ravel()))


def as_read(code: Any) -> Any:
    """Codes as kernels read them, in the same memory: unsigned, so that a negative one is past the last."""
    return code.view(f"u{code.dtype.itemsize}")


def inverse_transform(device: Device, scalar: Any, code: Any, table: InverseTable, out: Any) -> Any:
    """Numbers of rows on the device; see `Engine.inverse_transform`. Of float32, they are rounded to the nearest.

    Returns
    -------
    array of shape (2,), uint64
        On the device: the first row whose code does not exist, and the first whose scalar is NaN, or `NO_ROW`.
    """
    code = as_read(code)
    frame = table.frame
    codes = np.stack((table.means, table.widths), axis=1).ravel()
    rules = np.array([frame.centre, 1.0 / frame.scale, table.limit])
    parameters = device.xp.asarray(np.concatenate((rules, codes)))
    errors = device.xp.asarray(np.full(2, NO_ROW, np.uint64))
    device.run_rows(
        inverse_program(scalar.dtype.name, code.dtype.name, out.dtype.name),
        [scalar, code, len(code), parameters, len(table.means), out, errors],
        -(-len(code) // QUAD),
    )
    return errors


def fill_onehot(device: Device, parts: Sequence[OnehotPart], out: Any) -> None:
    """Rows of the onehot layout on the device; see `Engine.fill_onehot`."""
    rows, width = out.shape
    table, owner, start = [], [], 0
    for index, (scalar, code, codes) in enumerate(parts):
        table.append([address_of(scalar), address_of(code), _size(scalar), _size(code), start, codes, 0, 0])
        columns = codes + (scalar is not None)
        owner += [index] * columns
        start += columns
    if start != width:
        raise ValueError("the matrix needs one column for each scalar and code")
    if not rows or not width:
        return
    arguments = [_table_of(device, table), device.xp.asarray(np.array(owner, np.int32)), rows, width, out]
    blocks = min(-(-rows // TILE_ROWS), BLOCKS_EACH * device.multiprocessors)
    device.run_blocks(fill_program(out.dtype.name), blocks, arguments)


def read_onehot(device: Device, matrix: Any, parts: Sequence[ReadPart]) -> None:
    """Scalars and codes of rows of the onehot layout on the device; see `Engine.read_onehot`."""
    rows, width = matrix.shape
    table, orders, start, order_start = [], [np.empty(0, np.int64)], 0, 0
    for scalar, code, order, zero_is_none in parts:
        sizes = [_size(scalar), _size(code)]
        table.append([address_of(scalar), address_of(code), *sizes, start, len(order), order_start, int(zero_is_none)])
        orders.append(np.asarray(order, np.int64))
        start += len(order) + (scalar is not None)
        order_start += len(order)
    if start != width:
        raise ValueError("the matrix needs one column for each scalar and code")
    if not rows or not parts:
        return
    program = read_program(matrix.dtype.name)
    each = max(1, min(-(-rows // program.threads), BLOCKS_EACH * device.multiprocessors // len(parts) + 1))
    order = device.xp.asarray(np.concatenate(orders) if order_start else np.zeros(1, np.int64))
    arguments = [_table_of(device, table), order, rows, width, len(parts), matrix]
    device.run_blocks(program, each * len(parts), arguments)


def _table_of(device: Device, parts: list[list[int]]) -> Any:
    return device.xp.asarray(np.array(parts, np.int64).ravel())


def _size(array: Any) -> int:
    return 0 if array is None else int(array.dtype.itemsize)
