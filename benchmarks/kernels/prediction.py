"""Times that kernels would take, from their compiled instructions and the published speeds of devices.

Each unit of a device is taken to work without a pause and beside all others, so a predicted time is the least that is
possible; which unit needs longest says where to look. Nothing here is measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.kernels.budget import Compiled, compiled, division_steps, most_divisions, rows_a_thread
from benchmarks.kernels.cards import CARDS, ISSUED, SHARED_ATOMICS, Card
from benchmarks.kernels.disassembly import Instruction, Listing
from benchmarks.kernels.flow import Loop, instructions_of, loops, ordinary_way
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines.cuda.programs import Parameter, Program

ROWS = 1e9
CHUNKED = ("gpuvgm_e_step",)  # a block takes CHUNK_ROWS rows at a time
#: What an ordinary row has no part in, by the beginning of a program's name and the case that is predicted: in
#: summaries it lies in a cell that no midpoint splits, that was touched before, and is not that of the row before it.
CASES: dict[str, dict[str, tuple[str, ...]]] = {
    "gpuvgm_summar": {
        "rows spread over many cells": ("LOOP", "ATOMG", "ATOMS"),
        "rows in frequent cells": ("LOOP", "ATOMG", "REDG", "RED"),
    }
}
#: What is predicted, by the beginning of names, and for how many components.
PREDICTED, COMPONENTS = (
    ("gpuvgm_transform", "gpuvgm_inverse", "gpuvgm_summar", "gpuvgm_off_step", "gpuvgm_e_step"),
    10,
)
SIZES = {"float64": 8, "float32": 4, "int64": 8, "uint64": 8, "int32": 4, "uint32": 4, "uint16": 2, "uint8": 1}
LEAST_INSTRUCTIONS = 60
SEEDS = ("MUFU.RCP", "MUFU.RCP64H")
#: Arrays with an element for each row, by the name of their parameter.
ROW_ARRAYS = ("x", "scalar", "code", "given", "value", "weight", "scatter")
_FP64 = ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX")
_FP32 = ("FADD", "FMUL", "FFMA", "FADD2", "FMUL2", "FFMA2")
_SPECIAL = ("MUFU", "POPC", "FLO", "BREV", "I2F", "F2I", "F2F", "FRND", "I2I")
_CONTROL = tuple(
    "ACQBULK BAR BMOV BRA BREAK BSSY BSYNC CALL CCTL CS2R DEPBAR ERRBAR EXIT LDC LDCU MEMBAR NANOSLEEP NOP R2UR RET "
    "S2R S2UR VOTE VOTEU WARPSYNC YIELD".split()
)
_LOADS, _STORES, _SHARED = ("LDG", "LD", "LDL"), ("STG", "ST", "STL"), ("LDS", "STS")
_ATOMICS, _SHARED_ATOMICS = ("RED", "REDG", "ATOM", "ATOMG"), ("ATOMS",)
CLASSES = (
    ("fp64", "fp32", "multiply", "integer", "special", "conversion", "load", "store", "shared")
    + ("atomic", "shared atomic", "uniform", "control")
)  # fmt: skip


def is_predictable(program: Program) -> bool:
    """Whether what a row costs can be read from a program: 10 components at most, whose loops are all unrolled."""
    if not program.name.startswith(PREDICTED):
        return False
    parts = program.name.split("_")
    return "any" not in parts and all(int(part) <= COMPONENTS for part in parts if part.isdigit())


def class_of(instruction: Instruction) -> str:
    """What kind of instruction it is: the pipe that runs it, or what it does with memory."""
    name, modifiers = instruction.name, set(instruction.modifiers)
    if name in ("F2F", "I2F", "F2I", "FRND") and {"F64", "S64", "U64"} & modifiers:
        return "conversion"
    named = {
        "fp64": _FP64, "fp32": _FP32, "special": _SPECIAL, "control": _CONTROL, "load": _LOADS, "store": _STORES,
        "shared": _SHARED, "atomic": _ATOMICS, "shared atomic": _SHARED_ATOMICS,
    }  # fmt: skip
    for kind, names in named.items():
        if name in names:
            return kind
    if name == "IMAD":
        return "multiply"
    return "uniform" if name.startswith("U") else "integer"


def lanes_of(instruction: Instruction) -> int:
    """Accesses of four bytes that a memory instruction is; what is narrower, or the same for all threads, is one."""
    return 4 if "128" in instruction.modifiers else 1


@dataclass(frozen=True, slots=True)
class Work:
    """What a row costs: bytes of memory, instructions by class, and accesses of four bytes through the cache."""

    program: Program
    case: str
    architecture: str
    registers: int
    row_bytes: float
    instructions: Mapping[str, float]
    accesses: float

    @property
    def total(self) -> float:
        """Instructions of every class."""
        return sum(self.instructions.values())


def cases_of(program: Program) -> dict[str, tuple[str, ...]]:
    """Cases that are predicted of a program, and what is avoided in each."""
    return next((cases for name, cases in CASES.items() if program.name.startswith(name)), {"": ()})


def work_of(code: Compiled, case: str = "") -> Work:
    """What a row costs a compiled program."""
    counted: defaultdict[str, float] = defaultdict(float)
    accesses = 0.0
    for instruction, times in instructions_a_row(code, cases_of(code.program)[case]):
        kind = class_of(instruction)
        if kind == "atomic" and not code.program.is_block:
            kind = "control"  # of a row that does not belong here: issued, and not executed
        counted[kind] += times
        if kind in ("load", "store", "shared"):
            accesses += times * lanes_of(instruction)
    per_row = {kind: counted[kind] for kind in CLASSES}
    registers, size = code.resources.registers, row_bytes(code.program)
    return Work(code.program, case, code.architecture, registers, size, per_row, accesses)


def instructions_a_row(code: Compiled, avoided: Sequence[str] = ()) -> list[tuple[Instruction, float]]:
    """Instructions that an ordinary thread runs, and how often for each of its rows.

    CuPy starts as many threads as a row program has groups of rows, so that all of it counts. Of block programs the
    loop over rows counts, and what the loop around it does once a chunk; loops in there count as one turn.
    """
    program, listing = code.program, code.listing
    if not program.is_block:
        way = ordinary_way(listing)
        repeated, turns = turns_inside(code, way)
        counted = [(i, turns if i.address in repeated else 1.0) for i in way]
        if sum(times for i, times in counted if i.opcode in SEEDS) != most_divisions(program):
            raise ValueError(f"{program.name} is read wrongly: its divisions are not those of its rows")
        return [(i, times / rows_a_thread(program)) for i, times in counted]
    loop, around = row_loop(listing)
    way = ordinary_way(listing, loop, avoided)
    counted = [(i, 1 / rows_a_turn(program, way)) for i in way]
    if around is not None and program.name.startswith(CHUNKED):
        rows, inner = CHUNK_ROWS / program.threads, {i.address for i in way}
        counted += [(i, 1 / rows) for i in ordinary_way(listing, around) if i.address not in inner]
    return counted


def turns_inside(code: Compiled, way: Sequence[Instruction]) -> tuple[set[int], float]:
    """Addresses of the loop inside of a row program, if there is one, and how many turns it takes.

    A row is divided once and each of its densities takes one fma. So divisions tell how many rows a turn of a loop
    over rows takes, and the contracted instructions how many densities a turn of a loop over components.

    Raises
    ------
    ValueError
        For other loops, whose lengths nobody knows.
    """
    found = loops(code.listing)
    inner = [one for one in found if any(one.blocks < other.blocks for other in found)]
    if not inner:
        return set(), 1.0
    repeated = {i.address for i in instructions_of(code.listing, inner[0])}
    divisions, fmas = ([i.address in repeated for i in way if i.name == name] for name in ("MUFU", "DFMA"))
    if len(inner) == 1 and any(divisions):
        return repeated, most_divisions(code.program) / sum(divisions)
    if len(inner) == 1 and any(fmas):
        before = len(fmas) - sum(fmas) - len(divisions) * division_steps(code.architecture)["DFMA"]
        return repeated, (components_of(code.program) * rows_a_thread(code.program) - before) / sum(fmas)
    raise ValueError(f"{code.program.name} has loops of unknown length")


def components_of(program: Program) -> int:
    """Number of components that a program was made for, from its name."""
    return next(int(part) for part in program.name.split("_") if part.isdigit())


def rows_a_turn(program: Program, way: Sequence[Instruction]) -> float:
    """Rows that a turn of the loop over rows takes: four at a time, or as many as it loads from each array."""
    rows = rows_a_thread(program)
    return rows if rows > 1 else sum(i.name == "LDG" for i in way) / len(row_arrays(program))


def row_loop(listing: Listing) -> tuple[Loop, Loop | None]:
    """The loop over rows of a block program, and the one around it.

    Among the loops that read global memory and hold no other such loop it is the one with the most instructions; those
    with less than `LEAST_INSTRUCTIONS` are no loops over rows.
    """
    found = loops(listing)
    reading = [loop for loop in found if any(i.name == "LDG" for i in instructions_of(listing, loop))]
    ordinary = [loop for loop in reading if len(instructions_of(listing, loop)) >= LEAST_INSTRUCTIONS]
    innermost = [one for one in ordinary if not any(other.blocks < one.blocks for other in ordinary)]
    if not innermost:
        raise ValueError("no loop reads rows")
    chosen = max(innermost, key=lambda loop: len(instructions_of(listing, loop)))
    around = [loop for loop in found if chosen.blocks < loop.blocks]
    return chosen, around[-1] if around else None


def row_arrays(program: Program) -> list[Parameter]:
    """Arrays of a program with an element for each row."""
    unused = () if "_given_" in program.name else ("given",)
    return [p for p in program.parameters if p.pointer and p.name in ROW_ARRAYS and p.name not in unused]


def row_bytes(program: Program) -> float:
    """Bytes of memory that a row of a program takes, in and out."""
    return float(sum(SIZES[p.type] for p in row_arrays(program)))


@dataclass(frozen=True, slots=True)
class Prediction:
    """Milliseconds that each unit of a card needs for 10^9 rows of a program."""

    work: Work
    card: Card
    milliseconds: Mapping[str, float]

    @property
    def limit(self) -> str:
        """The unit that needs longest."""
        return max(self.milliseconds, key=lambda unit: self.milliseconds[unit])

    @property
    def time(self) -> float:
        """Milliseconds of that unit."""
        return self.milliseconds[self.limit]


def predict(work: Work, card: Card, rows: float = ROWS) -> Prediction:
    """Time of each unit."""
    count = work.instructions
    cycles = {
        "fp64": count["fp64"] / card.fp64,
        "fp32": (count["fp32"] + count["multiply"]) / card.fp32,
        "multiply": count["multiply"] / card.multiply,
        "integer": count["integer"] / card.integer,
        "special": count["special"] / card.special,
        "conversion": count["conversion"] / card.conversion,
        "load/store": work.accesses / card.lanes,
        "shared atomics": count["shared atomic"] / SHARED_ATOMICS,
        "issue": work.total / ISSUED,
    }
    seconds = {unit: rows * each / card.cycles for unit, each in cycles.items()}
    seconds["memory"] = rows * work.row_bytes / (card.bandwidth * 1e9)
    seconds["atomics"] = rows * count["atomic"] / (card.slices * card.clock * 1e9)
    return Prediction(work, card, {unit: 1e3 * each for unit, each in seconds.items()})


def predictions(programs: Iterable[Program], cards: Iterable[Card] = CARDS) -> list[Prediction]:
    """Every case of every program on every card."""
    jobs = [(program, case, card) for program in programs for case in cases_of(program) for card in cards]

    def predicted(job: tuple[Program, str, Card]) -> Prediction:
        program, case, card = job
        return predict(work_of(compiled(program, card.architecture), case), card)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(predicted, jobs))
