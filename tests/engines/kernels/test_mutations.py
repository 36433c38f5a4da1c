"""Faults put into the kernels are found: each barrier taken out, borders that are not looked at, atomics that are none.

A barrier that is not missed is not needed, or not tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gpuvgm.config import CHUNK_ROWS, FitConfig
from gpuvgm.engines.chunk_sums import ChunkSums
from gpuvgm.engines.cuda import e_step, features, programs, rows
from gpuvgm.engines.cuda.em import DeviceEM, Loop, LoopsOnDevice, Problem
from gpuvgm.engines.cuda.programs import Program
from gpuvgm.engines.kernels import source
from gpuvgm.engines.tables import Draw
from gpuvgm.mixture import Prior
from gpuvgm.mixture.search import quantile_start
from gpuvgm.summary import Cells, Frame
from tests.engines.kernels.compiled import PROGRAMS
from tests.engines.kernels.emulated import Resident
from tests.engines.kernels.executed import ARCHITECTURE, ExecutedDevice
from tests.engines.kernels.ruled import RULED, decode_table, encode_table, ruled_of
from tests.engines.kernels.test_rows import coded, encoded
from tests.engines.kernels.test_summarise import table_of
from tests.engines.test_engines import mixture
from tests.engines.test_onehot import parts, room
from tests.harness.ptx.interpreter import KernelFault
from tests.harness.ptx.programs import kernel_of
from tests.mixture.test_multivariate import gaussian_rows, gaussian_table
from tests.summary.test_grid import grid_of

pytestmark = pytest.mark.ptx
ROWS = 4999  # more than a chunk, and no multiple of what a thread takes


class OneBlock(ExecutedDevice):
    """A device on which one block does the work of all, so that it uses its shared memory again."""

    def run_blocks(self, program: Program, blocks: int, arguments: Sequence[Any]) -> None:
        super().run_blocks(program, 1, arguments)


def resident(array: np.ndarray, dtype: str = "float64") -> np.ndarray:
    return array.astype(dtype).view(Resident)


def numbers(program: Program) -> np.ndarray:
    return resident(np.random.default_rng(1).lognormal(2, 1, ROWS), program.parameters[0].type)


# ---- what runs a program --------------------------------------------------------------------------------------------


def run_e_step(device: ExecutedDevice, program: Program) -> None:
    constants, g = dict(program.constants), np.random.default_rng(1)
    x, table = numbers(program), mixture(int(constants["GPUVGM_COMPONENTS"]) or 20)
    weight = resident(g.uniform(0, 3, ROWS)) if int(constants["GPUVGM_WEIGHTED"]) else None
    scatter = resident(g.uniform(0, 1e-3, ROWS)) if int(constants["GPUVGM_CELLS"]) else None
    e_step.e_step_partials(device, x, weight, scatter, table)


def run_most_probable(device: ExecutedDevice, program: Program) -> None:
    weight = resident(np.ones(ROWS)) if int(dict(program.constants)["GPUVGM_WEIGHTED"]) else None
    e_step.count_most_probable(device, numbers(program), weight, mixture(10))


def run_totals(device: ExecutedDevice, program: Program) -> None:
    """Two whole tiles, with a part of one before them and one after."""
    e_step.add_chunks(device, [(ChunkSums(5, 200), resident(np.random.default_rng(1).normal(size=(600, 5))))])


def run_features(device: ExecutedDevice, program: Program) -> None:
    """Shared memory is used again for another chunk, or for tasks that outnumber the threads."""
    constants = dict(program.constants)
    d, diagonal = int(constants["GPUVGM_FEATURES"]), bool(int(constants["GPUVGM_DIAGONAL"]))
    many = d == features.MOST_FEATURES and not diagonal
    table = gaussian_table(26 if many else 5, d, diagonal)  # the last turn has a task less than the others
    x = gaussian_rows(300 if many else CHUNK_ROWS + 300, table)
    weight = resident(np.random.default_rng(1).uniform(0, 3, len(x))) if int(constants["GPUVGM_WEIGHTED"]) else None
    features.features_partials(device, resident(x, program.parameters[0].type), weight, table)


def run_summarise(device: ExecutedDevice, program: Program) -> None:
    of = ruled_of(program)
    values, missing = np.resize(of.values, ROWS), None if of.missing is None else np.resize(of.missing, ROWS)
    table = table_of(device, grid_of(of.numbers())[0], 2000, 1000, of.rules)
    table.add(values.view(Resident), None if missing is None else missing.view(Resident))


def run_encode(device: ExecutedDevice, program: Program) -> None:
    of, constants = ruled_of(program), dict(program.constants)
    values, missing = np.resize(of.values, 1001), None if of.missing is None else np.resize(of.missing, 1001)
    tails = 2 if int(constants["GPUVGM_HOLDS"]) else None
    table = encode_table(of, int(constants["GPUVGM_COMPONENTS"]), tails=tails)
    given = resident(np.random.default_rng(1).uniform(size=1001))
    draws = {"GENERATOR": Draw(7, 9), "GIVEN": Draw(uniforms=given), "NONE": Draw(most_probable=True)}
    draw = draws[constants["GPUVGM_RANDOMNESS"].partition("::")[2]]
    types = tuple(p.type.replace("uint", "int") for p in program.parameters if p.name in ("scalar", "code"))
    encoded(device, values, table, draw, types, 1, of.rules, missing)


def run_decode(device: ExecutedDevice, program: Program) -> None:
    """Values that a case has, by its own rules; of a type that no case has, by none."""
    types = [p.type for p in program.parameters if p.name in ("scalar", "code", "value")]
    for of in RULED.values():
        table = decode_table(of)
        scalar, code = coded(100, len(table.means), (types[0], types[1].replace("u", "")))
        code[::9] = -1
        for mask in (None, resident(np.zeros(100), "bool")):
            out = resident(np.zeros(100), of.values.dtype.name)
            rows.decode(device, (resident(scalar, types[0]), code.view(Resident)), of.rules, table, out, mask)
            if program.name in [name for name, _ in device.launches]:
                return


def run_fill(device: ExecutedDevice, program: Program) -> None:
    given = [(scalar.view(Resident), code.view(Resident), width) for scalar, code, width in parts([(True, 4)], 50, 0)]
    rows.fill_onehot(device, given, resident(np.zeros((50, 5)), "float32"))


def run_read(device: ExecutedDevice, program: Program) -> None:
    written = room(300, [(True, 4)], "float32", 0)
    given = [(scalar.view(Resident), code.view(Resident), order, zero) for scalar, code, order, zero in written]
    rows.read_onehot(device, resident(np.zeros((300, 5)), "float32"), given)


def run_em(device: ExecutedDevice, program: Program) -> None:
    """A column of more than one chunk, for as many steps as the accelerated ones need."""
    components = 3 if program.name == "gpuvgm_em_12" else 13
    x, ones = np.sort(np.random.default_rng(1).lognormal(size=ROWS)), np.ones(ROWS)
    cells = Cells(x, ones, 1e-6 * ones, ones.astype(int), ones.astype(int), ones)
    moments, config = Cells.of_values(x, ones).mean_and_variance(), FitConfig(n_components=components)
    prior = Prior.of_column(*moments, Frame.around(x), config)
    start = quantile_start(cells, components)
    host: Any = None  # of few cells the host would run it
    em = DeviceEM(LoopsOnDevice(device), host, Problem.of(cells, prior.table(), sound=False))
    loop = Loop(em, [start.reference, start.counts, start.first, start.second])
    em.run([loop], 6, 0.0)


RUN: dict[str, Callable[[ExecutedDevice, Program], None]] = {
    "gpuvgm_e_step": run_e_step,
    "gpuvgm_most_probable": run_most_probable,
    "gpuvgm_chunk_totals": run_totals,
    "gpuvgm_features": run_features,
    "gpuvgm_summarise": run_summarise,
    "gpuvgm_encode": run_encode,
    "gpuvgm_em": run_em,
    "gpuvgm_decode": run_decode,
    "gpuvgm_fill": run_fill,
    "gpuvgm_read": run_read,
}
HAVE_BARRIERS = tuple(RUN)[:6]


def run(device: ExecutedDevice, program: Program) -> None:
    next(work for start, work in RUN.items() if program.name.startswith(start))(device, program)
    assert program.name in [name for name, _ in device.launches]


# ---- barriers --------------------------------------------------------------------------------------------------------

WITH_BARRIERS = [name for name in PROGRAMS if name.startswith(HAVE_BARRIERS)]


def test_other_programs_have_no_barriers() -> None:
    others = [program for name, program in PROGRAMS.items() if not name.startswith(("gpuvgm_em_", *HAVE_BARRIERS))]
    assert [program.name for program in others if ExecutedDevice().kernel(program).barriers()] == []


@pytest.mark.parametrize("name", WITH_BARRIERS)
def test_every_barrier_is_missed(name: str) -> None:
    device = OneBlock()
    kernel = device.kernel(PROGRAMS[name])
    run(device, PROGRAMS[name])
    assert kernel.barriers()
    for barrier in kernel.barriers():
        file, _, line = kernel.lines[barrier].partition(":")
        assert source(file).splitlines()[int(line) - 1].strip() == "__syncthreads();"
        device.changed[name] = kernel.without(barrier)
        with pytest.raises(KernelFault, match=rf"{name}: (race|read of shared memory)"):
            run(device, PROGRAMS[name])


# ---- the text --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutation:
    """A change to a file, and the fault that it makes in a program."""

    program: str
    file: str
    before: str
    after: str
    fault: str


MUTATIONS = [
    # A team waits before and after each of its steps: where one step follows another, one of two barriers is enough.
    *(
        Mutation(
            "gpuvgm_em_12", "cuda/em.cuh", text, text.replace("__syncthreads();", ""), "(race|read of shared memory)"
        )
        for text in (
            "{\n        __syncthreads();\n        if",
            "}\n        __syncthreads();\n    }\n    template",
            "__syncthreads();\n                weigh(",
            "room + t);\n                __syncthreads();",
            "}\n            __syncthreads();\n#pragma unroll",
            "__syncthreads();\n            if (t < columns) {",
            "}\n        __syncthreads();\n    }\n\n    // What cell i",
        )
    ),
    Mutation(
        "gpuvgm_chunk_totals",
        "cuda/chunk_totals.cuh",
        "if (column < width) {",
        "if (column <= width) {",
        "(race|outside of every array)",
    ),
    Mutation(
        "gpuvgm_most_probable_f4",
        "cuda/most_probable.cuh",
        "if (t < GROUP && k + t < components)",
        "if (t < GROUP)",
        "(outside of every array|only read)",  # as the host's allocator laid out the arrays
    ),
    Mutation(
        "gpuvgm_features_2_f8",
        "cuda/features.cuh",
        "row < rows ? widened(x[i])",
        "row <= rows ? widened(x[i])",
        "outside of every array",
    ),
    Mutation(
        "gpuvgm_features_5_f4_weighted",
        "cuda/features.cuh",
        "tile + t < size ? weight[",
        "tile + t <= size ? weight[",
        "outside of every array",
    ),
    Mutation(
        "gpuvgm_features_5_f4_weighted",
        "cuda/features.cuh",
        "tile[feature * STRIDE + t] = 0.0;",
        "",
        "read of shared memory that nobody wrote",
    ),
    Mutation(
        "gpuvgm_features_16_f8_weighted", "cuda/features.cuh", "if (at >= 0)", "if (true)", "outside of every array"
    ),
    Mutation(
        "gpuvgm_features_16_f8_diagonal_weighted",
        "cuda/features.cuh",
        "mixture + (1 + task.component) * WIDTH",
        "mixture + (2 + task.component) * WIDTH",
        "outside of every array",
    ),
    Mutation(
        "gpuvgm_e_step_10_f8",
        "cuda/e_step.cuh",
        "given.x[start + (i + THREADS < size ? i + THREADS : 0)]",
        "given.x[start + i + THREADS]",
        "outside of every array",
    ),
    Mutation(
        "gpuvgm_e_step_any_f4_weighted",
        "cuda/e_step.cuh",
        "double value = i < given.rows ?",
        "double value = i <= given.rows ?",
        "outside of every array",
    ),
    Mutation(
        "gpuvgm_encode_10_generator_f8_f4_u1",
        "cuda/quad.cuh",
        "on_border(from + first, border_of<From>())",
        "true",
        "misaligned",
    ),
    Mutation(
        "gpuvgm_encode_10_generator_f4_f4_u1",
        "cuda/quad.cuh",
        "to[j] = row >= 0 && row < rows ?",
        "to[j] = row >= 0 ?",
        "outside of every array",
    ),
    Mutation(
        "gpuvgm_encode_10_generator_f4_f4_u1",
        "cuda/quad.cuh",
        "if (row >= 0 && row < rows) {",
        "if (row >= 0) {",
        "outside of every array",
    ),
    Mutation(
        "gpuvgm_decode_f4_u1_f4",
        "cuda/decode.cuh",
        "codes[j] = 0;",
        "",
        "outside of every array",
    ),
    Mutation("gpuvgm_decode_f4_u1_f4", "cuda/decode.cuh", "atomicMin(found, ", "*found = (", "race"),
    Mutation(
        "gpuvgm_encode_10_generator_f8_f4_u1",
        "cuda/encode.cuh",
        "atomicAdd(found + 2 * thread, (u64)counts.rows[thread]);",
        "found[2 * thread] += (u64)counts.rows[thread];",
        "race",
    ),
    Mutation(
        "gpuvgm_encode_10_generator_f8_f4_u1",
        "cuda/encode.cuh",
        "atomicAdd(&counts.rows[sort], 1u);",
        "++counts.rows[sort];",
        "race",
    ),
    Mutation(
        "gpuvgm_summarise_f8_asinh_modal_step",
        "cuda/summarise.cuh",
        "atomicAdd(of_block + index, rows);",
        "of_block[index] += rows;",
        "race",
    ),
    Mutation(
        "gpuvgm_fill_onehot_f4",
        "cuda/onehot.cuh",
        "row < TILE_ROWS && first + row < rows;",
        "row < TILE_ROWS;",
        "outside of every array",
    ),
    Mutation("gpuvgm_fill_onehot_f4", "cuda/onehot.cuh", "columns[owner[column]]", "columns[column]", "outside"),
    Mutation(
        "gpuvgm_read_onehot_f4", "cuda/onehot.cuh", "row < rows; row += step", "row <= rows; row += step", "outside"
    ),
    Mutation(
        "gpuvgm_summarise_f8",
        "cuda/cell_table.cuh",
        "atomicAdd(sums, count_and_first);",
        "*sums += count_and_first;",
        "race",
    ),
    Mutation(
        "gpuvgm_summarise_f4",
        "cuda/summarise.cuh",
        "sums.second[0][s] = sums.second[1][s] = 0;",
        "sums.second[0][s] = 0;",
        "read of shared memory that nobody wrote",
    ),
    Mutation(
        "gpuvgm_summarise_f8",
        "cuda/summarise.cuh",
        "const bool there = start + j >= 0 && start + j < count;",
        "const bool there = start + j >= 0;",
        "outside of every array",
    ),
]


@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=lambda number: MUTATIONS[number].program)
def test_changes_to_the_text_are_found(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    mutation = MUTATIONS[number]
    program, original = PROGRAMS[mutation.program], programs.pasted

    def changed(name: str) -> str:
        if name != mutation.file:
            return original(name)
        assert original(name).count(mutation.before) == 1
        return original(name).replace(mutation.before, mutation.after)

    run(ExecutedDevice(), program)
    monkeypatch.setattr(programs, "pasted", changed)
    kernel = kernel_of.__wrapped__(program, ARCHITECTURE)
    with pytest.raises(KernelFault, match=rf"{program.name}: {mutation.fault}") as caught:
        run(ExecutedDevice(changed={program.name: kernel}), program)
    assert re.search(r"block \d+, thread \d+ at (cuda/|vgm_math|vgm_em|onehot_codes)\S*:\d+ ", str(caught.value))
