"""Rows of a synthesizer on the device: bins of numbers, joint counts of bins, and rows that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuvgm.arrays import widened
from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import Parameter, Program, value, written
from gpuvgm.engines.tables import CountedColumn, Draw, DrawnColumn
from gpuvgm.engines.trees import Trees
from gpuvgm.summary import Floats, Ints

SOURCES = ("vgm_math.cuh", "vgm_draw.cuh", "vgm_trees.cuh", "cuda/synthesis.cuh")
BINS = Program(
    name="gpuvgm_find_bins",
    sources=SOURCES,
    constants=(),
    parameters=(
        Parameter("float64", "x"),
        Parameter("float64", "edges"),
        value("int64", "count"),
        value("int32", "steps"),
        Parameter("uint16", "codes"),
        written("uint16", "found"),
    ),
    operation="found[i] = codes[gpuvgm::interval_of(x[i], &edges[0], count, steps)]",
)
COUNTS = Program(
    name="gpuvgm_count_rows",
    sources=SOURCES,
    constants=(),
    parameters=(
        value("int64", "rows"),
        *(Parameter("uint16", name) for name in ("own", "first", "second")),
        *(Parameter("int64", name) for name in ("shape", "second_of", "group_of")),
        written("uint64", "pairs"),
        written("uint64", "triples"),
    ),
    operation="gpuvgm::count_row(i, rows, &own[0], &first[0], &second[0], &shape[0], &second_of[0], &group_of[0], "
    "&pairs[0], &triples[0])",
)
_RANDOMNESS = (
    *(value("uint64", name) for name in ("seed", "column", "first_row")),
    Parameter("uint64", "numbers"),
    value("int32", "scattered"),
)
_RANDOM = "seed, column, gpuvgm::number_of(i, first_row, &numbers[0], scattered)"
ROWS = Program(
    name="gpuvgm_draw_rows",
    sources=SOURCES,
    constants=(),
    parameters=(
        value("int64", "rows"),
        Parameter("uint16", "first"),
        Parameter("uint16", "second"),
        Parameter("int64", "shape"),
        Parameter("uint64", "keys"),
        Parameter("int64", "starts"),
        Parameter("int64", "second_of"),
        Parameter("float64", "ends"),
        *_RANDOMNESS,
        written("uint16", "code"),
        written("float64", "number"),
    ),
    operation="gpuvgm::draw_row(i, rows, &first[0], &second[0], &shape[0], &keys[0], &starts[0], &second_of[0], "
    f"&ends[0], {_RANDOM}, &code[0], &number[0])",
)

_TREES = (
    Parameter("int32", "ranges"),
    value("int32", "cuts"),
    Parameter("int32", "root"),
    Parameter("int32", "nodes"),
    Parameter("uint8", "sides"),
)
_WALKED = "gpuvgm::walked(&ranges[0], cuts, &root[0], &nodes[0], &sides[0])"
TREE_COUNTS = Program(
    name="gpuvgm_count_in_trees",
    sources=SOURCES,
    constants=(),
    parameters=(
        value("int64", "rows"),
        Parameter("uint16", "own"),
        Parameter("uint16", "asked"),
        *_TREES,
        value("int32", "node_count"),
        written("uint64", "counts"),
    ),
    operation=f"gpuvgm::count_in_trees(i, rows, &own[0], &asked[0], {_WALKED}, node_count, &counts[0])",
)
TREE_ROWS = Program(
    name="gpuvgm_draw_in_trees",
    sources=SOURCES,
    constants=(),
    parameters=(
        value("int64", "rows"),
        Parameter("uint16", "asked"),
        *_TREES,
        Parameter("float64", "shares"),
        *_RANDOMNESS,
        written("uint16", "codes"),
    ),
    operation=f"gpuvgm::draw_in_trees(i, rows, &asked[0], {_WALKED}, &shares[0], {_RANDOM}, &codes[0])",
)


def find_bins(device: Device, numbers: Any, edges: Floats, codes: Any) -> Any:
    """Bin of each number on the device, of float32 too; see `Engine.find_bins`."""
    bins = device.xp.empty(len(numbers), np.uint16)
    arguments = [
        widened(numbers),
        _never_empty(device, edges),
        len(edges),
        _steps(len(edges)),
        device.xp.asarray(codes),
        bins,
    ]
    device.run_rows(BINS, arguments, len(numbers))
    return bins


def count_rows(device: Device, codes: Any, parents: Sequence[Any], column: CountedColumn) -> tuple[Any, Any]:
    """Joint counts of rows on the device; see `Engine.joint_counts`."""
    xp, has_second = device.xp, column.groups > 1
    pairs = xp.zeros((column.first, len(column.child)), np.uint64)
    triples = xp.zeros((column.first, column.groups, column.children) if has_second else 1, np.uint64)
    shape = np.array([1 + has_second if parents else 0, len(column.child), column.groups, column.children])
    first_parent, second_parent = (*parents, codes, codes)[:2]
    maps = [xp.asarray(shape), _never_empty(device, column.second), xp.asarray(column.child)]
    device.run_rows(
        COUNTS, [len(codes), codes, first_parent, second_parent, *maps, pairs.ravel(), triples.ravel()], len(codes)
    )
    return pairs.astype(np.int64), triples.astype(np.int64) if has_second else None


def draw_rows(device: Device, column: DrawnColumn, parents: Sequence[Any], draw: Draw, rows: int) -> tuple[Any, Any]:
    """Rows of a column on the device; see `Engine.draw_rows`."""
    xp = device.xp
    lotteries = [lottery for lottery in (column.groups, column.inside, column.pieces) if lottery is not None]
    keys, starts = (np.concatenate([getattr(lottery, name) for lottery in lotteries]) for name in ("keys", "starts"))
    ends = np.stack((column.low, column.high), axis=1).ravel()
    code, number = xp.empty(rows, np.uint16), xp.empty(rows, np.float64)
    first_parent, second_parent = (*parents, code, code)[:2]
    tables = [xp.asarray(_shape(column, len(parents))), xp.asarray(keys), xp.asarray(starts)]
    tables += [_never_empty(device, column.second), xp.asarray(ends)]
    arguments = [rows, first_parent, second_parent, *tables, *_random(device, draw), code, number]
    device.run_rows(ROWS, arguments, rows)
    return code, number


def count_in_trees(device: Device, target: Any, grown: Trees, codes: Sequence[Any]) -> Any:
    """Rows at the nodes that answer for them, on the device; see `Engine.count_in_trees`."""
    counts = device.xp.zeros((2, len(grown.nodes)), np.uint64)
    trees = _trees_on(device, grown)
    arguments = [len(target), target, _one_after_the_other(device, codes), *trees, len(grown.nodes), counts.ravel()]
    if counts.size:
        device.run_rows(TREE_COUNTS, arguments, len(target))
    return counts.astype(np.int64)


def draw_in_trees(device: Device, grown: Trees, codes: Sequence[Any], shares: Floats, draw: Draw, rows: int) -> Any:
    """Codes of consecutive rows on the device; see `Engine.draw_in_trees`."""
    sampled = device.xp.empty(rows, np.uint16)
    tables = [_one_after_the_other(device, codes), *_trees_on(device, grown), _never_empty(device, shares)]
    device.run_rows(TREE_ROWS, [rows, *tables, *_random(device, draw), sampled], rows)
    return sampled


def _random(device: Device, draw: Draw) -> list[Any]:
    """Arguments of `_RANDOMNESS`."""
    numbers = np.empty(0, np.uint64) if draw.numbers is None else draw.numbers
    return [draw.seed, draw.column, draw.first_row, _never_empty(device, numbers), int(draw.numbers is not None)]


def _trees_on(device: Device, grown: Trees) -> list[Any]:
    """Arguments of `_TREES`."""
    ranges, root, nodes, sides = (_never_empty(device, part.ravel()) for part in grown.walked)
    return [ranges, len(grown.ranges), root, nodes, sides]


def _one_after_the_other(device: Device, codes: Sequence[Any]) -> Any:
    """Codes of several columns in one array."""
    return _never_empty(device, device.xp.concatenate([*codes, device.xp.zeros(0, np.uint16)]))


def _shape(column: DrawnColumn, parents: int) -> Ints:
    """Numbers of a DrawnShape of cuda/synthesis.cuh."""
    groups = 0 if column.groups is None else int(column.groups.starts[1])
    shape, keys, starts = [parents, column.width, groups, len(column.pieces.starts) - 1], 0, 0
    for lottery in (column.groups, column.inside, column.pieces):
        if lottery is None:
            shape += [0, 0, 0, 0]
            continue
        shape += [keys, starts, len(lottery.keys), _steps(lottery.longest)]
        keys, starts = keys + len(lottery.keys), starts + len(lottery.starts)
    return np.array(shape, np.int64)


def _steps(count: int) -> int:
    """Halvings that find one of so many keys, or their end."""
    return max(count.bit_length() - 1, 0)


def _never_empty(device: Device, table: Any) -> Any:
    """Table on the device; one number in place of an empty table, which kernels cannot take."""
    return device.xp.asarray(table if len(table) else np.zeros(1, table.dtype))
