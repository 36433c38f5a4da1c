"""Rows in, rows out on the device: encode, decode, and the onehot layout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from gpuvgm.engines.base import SMALLEST_FLOAT32, OnehotPart, ReadPart
from gpuvgm.engines.cuda.device import Device, address_of
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.engines.cuda.values import RULE_WORDS, SOURCES, Reading, modal_words, reading_of, rule_words, word_of
from gpuvgm.engines.encode import SORTS, DecodeTable, EncodeTable
from gpuvgm.engines.tables import Draw, RowRules, Step
from gpuvgm.summary import Floats

QUAD = 4  # rows a thread
BLOCKS_EACH = 16  # blocks of a grid-stride kernel per multiprocessor
ENCODE_THREADS = 128
ENCODE_BLOCKS = 128  # per multiprocessor, which has a few at a time: the last ones to end are a small part of all
TILE_ROWS = 32  # of the onehot matrix, see cuda/onehot.cuh
NO_ROW = (1 << 64) - 1
NO_COUNTS, NO_ERRORS = np.array([0, NO_ROW] * len(SORTS), np.uint64), np.full(2, NO_ROW, np.uint64)
_NO_COUNTS, _NO_ERRORS = NO_COUNTS.view(np.float64), NO_ERRORS.view(np.float64)  # as they follow parameters
DECODE_FLAGS = ("unit", "step", "modal", "missing")
MODAL_WIDTH = -1.0  # of a code whose mean holds the bits of a modal value


@cache
def encode_program(reading: Reading, draw: tuple[int, str], types: tuple[str, str], *, holds: bool) -> Program:
    """Program of `Engine.encode`.

    Parameters
    ----------
    reading : Reading
        What values are read.
    draw : (int, {"generator", "given", "none"})
        Number of components, and where uniforms come from.
    types : (str, str)
        Types of scalars and codes.
    holds : bool
        Whether rows are given to modes that hold them.
    """
    components, randomness = draw
    constants = {
        "SCALAR": C_TYPES[types[0]],
        "CODE": C_TYPES[types[1]],
        "COMPONENTS": str(components),
        "RANDOMNESS": f"gpuvgm::{randomness.upper()}",
        "HOLDS": str(int(holds)),
    }
    parts = ["gpuvgm_encode", str(components), randomness, reading.name, *map(SHORT.__getitem__, types)]
    return Program(
        name="_".join([*parts, "holds"] if holds else parts),
        sources=(*SOURCES, "cuda/values.cuh", "cuda/encode.cuh"),
        constants=(*reading.constants, *((f"GPUVGM_{name}", text) for name, text in constants.items())),
        parameters=(
            Parameter(reading.value, "values"),
            Parameter("uint8", "missing"),
            value("int64", "rows"),
            Parameter("float64", "parameters"),
            Parameter("float64", "given"),
            *(value("uint64", name) for name in ("seed", "column", "first_row")),
            written(types[0], "scalar"),
            written(types[1], "code"),
            written("uint64", "found"),
        ),
        threads=ENCODE_THREADS,
    )


@cache
def decode_program(types: tuple[str, str, str], scale: str, flags: frozenset[str]) -> Program:
    """Program of `Engine.decode`.

    Parameters
    ----------
    types : (str, str, str)
        Types of scalars, codes and values.
    scale : str
        Scale of the numbers; "linear" for none.
    flags : set of {"unit", "step", "modal", "missing"}
        What there is: a unit other than 1, a step of floats, modal values, a mask to write.
    """
    names = [name for name in DECODE_FLAGS if name in flags]
    scales = [] if scale == "linear" else [scale]
    template = ", ".join([f"gpuvgm::{scale.upper()}", *(str(name in flags).lower() for name in DECODE_FLAGS)])
    scalar, code, number = types
    return Program(
        name="_".join(["gpuvgm_decode", *map(SHORT.__getitem__, types), *scales, *names]),
        sources=(*SOURCES, "cuda/decode.cuh"),
        constants=(("GPUVGM_ROWS", str(QUAD)),),
        parameters=(
            Parameter(scalar, "scalar"),
            Parameter(code, "code"),
            value("int64", "rows"),
            Parameter("float64", "parameters"),
            value("uint32", "codes"),
            written(number, "value"),
            written("uint8", "missing"),
            written("uint64", "found"),
        ),
        operation=f"gpuvgm::decode_quad<{template}>"
        "(i, &scalar[0], &code[0], rows, &parameters[0], codes, &value[0], &missing[0], &found[0])",
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


def encode(
    device: Device, rows: tuple[Any, Any], rules: RowRules, table: EncodeTable, draw: Draw, out: tuple[Any, Any]
) -> Any:
    """Scalar and code of rows on the device; see `Engine.encode`.

    Parameters
    ----------
    device : Device
        Where the rows lie.
    rows : (values, missing)
        The rows, and the mask of those that are missing or None.
    rules, table, draw, out
        As for `Engine.encode`; all arrays on the device.

    Returns
    -------
    array of shape (10,), uint64
        The counts, on the device.
    """
    (values, missing), scalar, code = rows, out[0], as_read(out[1])
    is_certain = draw.most_probable or len(table.widths) == 1
    randomness = "none" if is_certain else "generator" if draw.uniforms is None else "given"
    program = encode_program(
        reading_of(values.dtype, rules, missing=missing is not None),
        (len(table.mixture.means), randomness),
        (scalar.dtype.name, code.dtype.name),
        holds=table.coverage is not None,
    )
    words = _encode_words(table, rules, values.dtype, scalar.dtype)
    parameters = device.xp.asarray(np.concatenate((words, _NO_COUNTS)))
    counts = parameters[-len(NO_COUNTS) :].view(np.uint64)
    quads = -(-(len(values) + draw.first_row % QUAD) // QUAD) if len(values) else 0
    device.run_blocks(
        program,
        min(-(-quads // program.threads), ENCODE_BLOCKS * device.multiprocessors),
        [
            *(values, parameters.view(np.uint8) if missing is None else missing.view(np.uint8), len(values)),
            *(parameters, draw.uniforms if randomness == "given" else parameters),
            *(draw.seed, draw.column, draw.first_row, scalar, code, counts),
        ],
    )
    return counts


@lru_cache(1024)
def _encode_words(table: EncodeTable, rules: RowRules, dtype: np.dtype[Any], scalar: np.dtype[Any]) -> Floats:
    """Rules, draw table, coverage and modal values; see cuda/encode.cuh."""
    mixture, active = table.mixture, len(table.widths)
    largest = np.finfo(np.float64).max
    header = [table.limit, active, max(table.missing_code, 0), table.floor, mixture.frame.scale, mixture.frame.centre]
    ends = [table.low, table.high, max(table.low, -largest), min(table.high, largest)]
    below = np.nextafter(scalar.type(table.limit), scalar.type(0))
    usual = upper_word(float(below)) - upper_word(SMALLEST_FLOAT32)
    components = np.ones((len(mixture.means), 6))
    components[:, :3] = np.stack((mixture.means, mixture.half_precisions, mixture.coefficients), axis=1)
    components[:active, 3:5] = np.stack((table.widths, table.codes[:active]), axis=1)
    parts = [
        *(np.array(header + ends, np.float64), np.array([max(usual, 0)], np.uint64).view(np.float64)),
        *(components.ravel(), _coverage_words(table)),
    ]
    modal_at = RULE_WORDS + sum(map(len, parts))
    modal = modal_words(rules, dtype, table.modal_codes.tolist())
    words = rule_words(rules, dtype, modal_at)
    return np.concatenate((words.view(np.float64), *parts, modal.view(np.float64)))


def upper_word(number: float) -> int:
    """Upper word of the bits of a number that is not negative."""
    return word_of(number) >> 32


def _coverage_words(table: EncodeTable) -> Floats:
    """Rules of the coverage, then five numbers of each mode; nothing without a coverage."""
    if table.coverage is None:
        return np.empty(0)
    coverage, components, frame = table.coverage, table.coverage.components, table.coverage.components.frame
    modes, active = len(coverage.means), len(components.means)
    mode_numbers = np.zeros((modes, 5))
    mode_numbers[:, 0], mode_numbers[:, 1], mode_numbers[:, 4] = coverage.means, coverage.widths, table.codes
    mode_numbers[:active, 2], mode_numbers[:active, 3] = components.coefficients, components.half_precisions
    return np.concatenate(([coverage.limit, frame.scale, frame.centre, modes, active, 0.0], mode_numbers.ravel()))


def as_read(code: Any) -> Any:
    """Codes as kernels read them, in the same memory: unsigned, so that a negative one is past the last."""
    return code.view(f"u{code.dtype.itemsize}")


def decode(device: Device, coded: tuple[Any, Any], rules: RowRules, table: DecodeTable, out: Any, missing: Any) -> Any:
    """Values of rows on the device; see `Engine.decode`. Of float32, they are rounded to the nearest.

    Returns
    -------
    array of shape (2,), uint64
        On the device: the first row whose code does not exist, and the first whose value is missing for a scalar that
        is, or `NO_ROW`.
    """
    scalar, code = coded[0], as_read(coded[1])
    has_step = table.step is not None and out.dtype.kind == "f"  # whole numbers have one of 1 at least
    needs = {"unit": rules.unit != 1, "step": has_step, "modal": table.modal, "missing": missing is not None}
    program = decode_program(
        (scalar.dtype.name, code.dtype.name, out.dtype.name),
        "linear" if rules.scale is None else rules.scale.name,
        frozenset(name for name, is_needed in needs.items() if is_needed),
    )
    parameters = device.xp.asarray(np.concatenate((_decode_words(table, rules, out.dtype), _NO_ERRORS)))
    errors = parameters[-len(NO_ERRORS) :].view(np.uint64)
    marks = parameters.view(np.uint8) if missing is None else missing.view(np.uint8)
    arguments = [scalar, code, len(code), parameters, len(table.means), out, marks, errors]
    device.run_rows(program, arguments, -(-len(code) // QUAD))
    return errors


@lru_cache(1024)
def _decode_words(table: DecodeTable, rules: RowRules, dtype: np.dtype[Any]) -> Floats:
    """How values are made, then mean and width of each code; see cuda/decode.cuh."""
    frame, is_whole, step = table.frame, dtype.kind != "f", table.step or Step(1, 1, "float64")
    header = [
        *(frame.centre, 1.0 / frame.scale, table.limit),
        *(2.0 ** ((0 if rules.scale is None else rules.scale.exponent) - 1), rules.unit, rules.origin),
        *(table.low, table.high, step.numerator, step.denominator),
    ]
    codes = np.stack((table.means, table.widths), axis=1)
    for place, number in table.modal:
        bits = word_of(int(number) if is_whole else float(number))
        codes[place] = np.array([bits], np.uint64).view(np.float64)[0], MODAL_WIDTH
    multiples = _rounding(table, int(rules.origin), step.numerator) if is_whole else [0] * 8
    words = np.array([*map(word_of, [*map(float, header), *multiples])], np.uint64)
    return np.concatenate((words.view(np.float64), codes.ravel()))


def _rounding(table: DecodeTable, base: int, step: int) -> list[int | float]:
    """What `nearest_multiple` of vgm_whole.cuh reads, as `nearest_multiples` of engines/whole.py has it."""
    least, largest, whole = -(-int(table.low) // step), int(table.high) // step, base // step
    ends = float(least - whole), float(largest - whole)
    return [float(base % step), float(step), *ends, whole, step, least, largest]


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
    blocks = max(1, min(-(-rows // program.threads), BLOCKS_EACH * device.multiprocessors // len(parts) + 1))
    order = device.xp.asarray(np.concatenate(orders) if order_start else np.zeros(1, np.int64))
    arguments = [_table_of(device, table), order, rows, width, len(parts), matrix]
    device.run_blocks(program, blocks * len(parts), arguments)


def _table_of(device: Device, parts: list[list[int]]) -> Any:
    return device.xp.asarray(np.array(parts, np.int64).ravel())


def _size(array: Any) -> int:
    return 0 if array is None else int(array.dtype.itemsize)
