"""E-steps on the device, over rows and over cells, and the counts of most probable components."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines.chunk_sums import ChunkSums
from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.engines.tables import KernelTable
from gpuvgm.summary import Floats

MOST_IN_REGISTERS = 12  # components whose sums a thread keeps in registers
TILE_LEVEL, TILE_COLUMNS = 8, 8  # 2^8 chunks, and of how many sums, go to a block of chunk_totals.cuh
BLOCKS_EACH = 24  # blocks per multiprocessor, which take chunks in turn
_SOURCES = ("vgm_math.cuh", "cuda/block.cuh", "cuda/block_rows.cuh")
_CHUNKS = (value("int64", "rows"), value("int64", "first_chunk"), written("float64", "partials"))


def _row_parameters(x: str, *names: str) -> tuple[Parameter, ...]:
    rows = (Parameter(x, "x"), *(Parameter("float64", name) for name in (*names, "mixture")))
    return (*rows, value("int32", "components"), value("float64", "scale"), value("float64", "centre"))


@cache
def e_step_program(components: int, x: str, *, weighted: bool, cells: bool = False) -> Program:
    """Program of E-steps over rows or cells.

    Parameters
    ----------
    components : int
        K, at most `MOST_IN_REGISTERS`; 0 for a program that takes any number.
    x : str
        Type of the rows.
    weighted : bool
        Whether rows have weights.
    cells : bool
        Cells of a summary instead of rows, for any number of components; they have weights.
    """
    ending = "_cells" if cells else "_weighted" if weighted else ""
    names = [*["weight"] * weighted, *["scatter"] * cells]
    return Program(
        name=f"gpuvgm_e_step_{components or 'any'}_{SHORT[x]}{ending}",
        sources=(*_SOURCES, "cuda/exp2_table.cuh", "cuda/e_step.cuh"),
        constants=(
            ("GPUVGM_VALUE", C_TYPES[x]),
            ("GPUVGM_COMPONENTS", str(components)),
            ("GPUVGM_WEIGHTED", str(int(weighted))),
            ("GPUVGM_CELLS", str(int(cells))),
        ),
        parameters=(*_row_parameters(x, *names), *_CHUNKS),
        threads=128 if components else 256,
    )


@cache
def most_probable_program(x: str, *, weighted: bool) -> Program:
    """Program of `Engine.count_most_probable`, chunk by chunk."""
    return Program(
        name=f"gpuvgm_most_probable_{SHORT[x]}{'_weighted' if weighted else ''}",
        sources=(*_SOURCES, "cuda/most_probable.cuh"),
        constants=(("GPUVGM_VALUE", C_TYPES[x]), ("GPUVGM_WEIGHTED", str(int(weighted)))),
        parameters=(*_row_parameters(x, *["weight"] * weighted), *_CHUNKS),
    )


#: Brings tiles of chunks to a node each.
TOTALS = Program(
    name="gpuvgm_chunk_totals",
    sources=("vgm_math.cuh", "cuda/block.cuh", "cuda/chunk_totals.cuh"),
    constants=(),
    parameters=(
        Parameter("float64", "partials"),
        value("int64", "chunks"),
        value("int64", "head"),
        value("int32", "width"),
        written("float64", "nodes"),
    ),
)


def e_step_partials(device: Device, x: Any, weight: Any | None, scatter: Any | None, table: KernelTable) -> Any:
    """Sums of responsibilities of every chunk, shape (chunks, 3 K + 1), on the device; see `Engine.e_step`.

    Parameters
    ----------
    device : Device
        Where the rows lie.
    x : array of shape (rows,), float32 or float64
        Rows, or the means of cells.
    weight, scatter : array of shape (rows,), float64, optional
        Weights, and the scatter of cells.
    table : KernelTable
        The mixture.
    """
    components, cells = len(table.means), scatter is not None
    if cells and weight is None:
        weight = device.xp.zeros(len(x)) + 1.0
    in_registers = 0 if cells or components > MOST_IN_REGISTERS else components
    program = e_step_program(in_registers, x.dtype.name, weighted=weight is not None, cells=cells)
    return _in_frame(device, program, (x, weight, scatter), table, 3 * components + 1)


def add_chunks(device: Device, sums: Iterable[tuple[ChunkSums, Any]]) -> None:
    """Add sums of chunks; of those on the device whole tiles come to the host as one node each, all in one copy.

    Parameters
    ----------
    device : Device
        Where they lie.
    sums : iterable of (ChunkSums, array of shape (chunks, width))
        As for `Engine.add_chunks`; bits as those of `ChunkSums.add`.
    """
    waiting: list[tuple[ChunkSums, int, int, Any]] = []
    following: dict[int, int] = {}  # chunk that follows those of each total, once all before are added
    for total, partials in sums:
        if not device.is_resident(partials):
            total.add(partials)
            continue
        first_chunk = following.get(id(total), total.next)
        following[id(total)] = first_chunk + len(partials)
        waiting.append((total, *_tiles(device, first_chunk, partials)))
    if not waiting:
        return
    nodes = [nodes for *_, nodes in waiting]
    on_host = device.to_host(nodes[0] if len(nodes) == 1 else device.xp.concatenate(nodes))
    for (total, head, tiles, _), part in zip(
        waiting, np.split(on_host, np.cumsum([*map(len, nodes)])[:-1]), strict=True
    ):
        total.add(part[:head])
        total.add(part[head : head + tiles], TILE_LEVEL)
        total.add(part[head + tiles :])


def _tiles(device: Device, first_chunk: int, partials: Any) -> tuple[int, int, Any]:
    """Nodes of consecutive chunks on the device: how many before the first tile, how many tiles, and all nodes."""
    chunks, width = partials.shape
    size = 1 << TILE_LEVEL
    head = min(-first_chunk % size, chunks)
    tiles, tail = divmod(chunks - head, size)
    nodes = device.xp.empty((head + tiles + tail, width))
    blocks = (1 + tiles + (tail > 0)) * -(-width // TILE_COLUMNS)
    if chunks:
        device.run_blocks(TOTALS, blocks, [partials, chunks, head, width, nodes])
    return head, tiles, nodes


def count_most_probable(device: Device, x: Any, weight: Any | None, table: KernelTable) -> Floats:
    """Weight by most probable component, on the host; see `Engine.count_most_probable`."""
    program = most_probable_program(x.dtype.name, weighted=weight is not None)
    counts = _in_frame(device, program, (x, weight), table, len(table.means))
    total = ChunkSums(len(table.means))
    add_chunks(device, [(total, counts)])
    return np.asarray(total.total[0])


def _in_frame(device: Device, program: Program, row_arrays: tuple[Any, ...], table: KernelTable, width: int) -> Any:
    """Results for every chunk of a program that takes rows, a mixture and its frame, shape (chunks, width)."""
    mixture = device.xp.asarray(np.stack((table.means, table.half_precisions, table.coefficients)))
    arrays = [array for array in row_arrays if array is not None]
    arguments = [*arrays, mixture, len(table.means), table.frame.scale, table.frame.centre]
    return by_chunk(device, program, arguments, len(row_arrays[0]), width)


def by_chunk(device: Device, program: Program, arguments: Sequence[Any], rows: int, width: int) -> Any:
    """Results of a program for every chunk of 4,096 rows, shape (chunks, width).

    Parameters
    ----------
    device : Device
        Where the rows lie.
    program : Program
        A program whose last parameters are rows, first chunk and partials.
    arguments : sequence
        Arguments of the parameters before these.
    rows, width : int
        Number of rows, and of sums.
    """
    chunks = -(-rows // CHUNK_ROWS)
    partials = device.xp.empty((chunks, width))
    if chunks:
        blocks = min(chunks, BLOCKS_EACH * device.multiprocessors)
        device.run_blocks(program, blocks, [*arguments, rows, 0, partials])
    return partials
