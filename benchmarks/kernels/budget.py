"""What compiled kernels may hold: registers, memory of their own, and which floating-point instructions."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from benchmarks.kernels.compile import compile_program, compile_text
from benchmarks.kernels.disassembly import Instruction, Listing, Resources, disassemble, resources
from gpuvgm.engines.cuda.programs import OPTIONS, Program

#: Programs that give the host's bits, by the beginning of their names.
EXACT = ("gpuvgm_encode", "gpuvgm_decode", "gpuvgm_summar")
#: Registers of a thread, by the beginning of a program's name: of those that must leave room for many threads, and of
#: those whose threads do so much at a time that few of them are enough.
REGISTERS = {
    "gpuvgm_decode": 64,
    "gpuvgm_summar": 64,
    "gpuvgm_encode": 80,
    "gpuvgm_em": 255,
    **{f"gpuvgm_features_{features}_f": 255 for features in range(9, 17)},
}
MOST_REGISTERS = 168  # of all others
#: Divisions and square roots of real numbers for each row, by what is in a program's name.
READING_DIVISIONS = {"encode": 1, "holds": 1, "unit": 1, "step": 2, "asinh": 1, "log": 1, "log1p": 2}
READING_ROOTS = {"asinh": 1}
DECODING_DIVISIONS = {"step": 2, "asinh": 2, "log1p": 2}
#: Rows that a thread takes at a time, where the constant GPUVGM_ROWS does not tell.
ROWS_AT_A_TIME = {"gpuvgm_summarise": 4, "gpuvgm_encode": 4}
_ROUNDED, _DIRECTED = ("DADD", "DMUL", "DFMA", "FADD", "FMUL", "FFMA"), {"RM", "RP", "RZ"}
_SMALLEST = "1.175494350822287508e-38"  # of the normal float32 numbers
_FUSED = re.compile(r"\bfma\((\w+), (\w+), (\w+)\)")
_DIVISION, _ROOT = (
    f'extern "C" __global__ void trial(const double* a, double* b) {{ b[threadIdx.x] = {formula}; }}'
    for formula in ("a[threadIdx.x] / b[threadIdx.x]", "sqrt(a[threadIdx.x])")
)
#: Options under which the compiler contracts products and sums on its own.
CONTRACTING = (*(option for option in OPTIONS if not option.startswith("--fmad")), "--fmad=true")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program, what it occupies, and its instructions on one architecture."""

    program: Program
    architecture: str
    resources: Resources
    listing: Listing


def compiled(program: Program, architecture: str, options: Sequence[str] = OPTIONS) -> Compiled:
    """A program compiled and read."""
    cubin = compile_program(program, architecture, options)
    return Compiled(program, architecture, resources(cubin, program.name), disassemble(cubin, program.name))


def occupied(program: Program, architecture: str) -> Resources:
    """What a program occupies; faster than `compiled`, as nothing is disassembled."""
    return resources(compile_program(program, architecture), program.name)


def rows_a_thread(program: Program) -> int:
    """Rows that a thread takes at a time."""
    known = next((rows for name, rows in ROWS_AT_A_TIME.items() if program.name.startswith(name)), 1)
    return int(dict(program.constants).get("GPUVGM_ROWS", known))


def most_registers(program: Program) -> int:
    """Registers a thread that a program may have."""
    return next((most for name, most in REGISTERS.items() if program.name.startswith(name)), MOST_REGISTERS)


def overspent(program: Program, found: Resources) -> list[str]:
    """What a program has too much of."""
    limits = {"registers": most_registers(program), "stack": 0, "local": 0}
    return [f"{name} {getattr(found, name)} > {most}" for name, most in limits.items() if getattr(found, name) > most]


def spilled(listing: Listing) -> list[str]:
    """Accesses to local memory."""
    return [i.opcode for i in listing.instructions if i.name in ("LDL", "STL")]


def wide_loads(listing: Listing) -> int:
    """Loads of 16 bytes from global memory."""
    return sum(i.name == "LDG" and "128" in i.modifiers for i in listing.own())


def unexplained(code: Compiled, parted: Compiled) -> list[str]:
    """Floating-point instructions of an exact program that its source does not ask for, or a host would not run.

    Special functions may only begin divisions (of integers too) and square roots; contracted instructions may only be
    steps of these once the source has no fma, and there are none in float32 anyway; nothing rounds but to the nearest.

    Parameters
    ----------
    code : Compiled
        The program as it is.
    parted : Compiled
        The program `without_fma`.
    """
    listing, problems = code.listing, []
    special = Counter(i.opcode for i in listing.own() if i.name == "MUFU")
    special -= Counter({"MUFU.RCP": _integer_divisions(listing)})
    allowed: Counter[str] = Counter()
    for seed, most, steps in (
        ("MUFU.RCP64H", most_divisions(code.program), division_steps(code.architecture)),
        ("MUFU.RSQ64H", most_roots(code.program), root_steps(code.architecture)),
    ):
        count = special.pop(seed, 0)
        if count > most or bool(count) != bool(most):  # fewer where a loop is left
            problems.append(f"{count} {seed} for {most} in the source")
        allowed += Counter({name: count * steps[name] for name in ("DFMA", "FFMA")})
    problems += [f"{count} {opcode}" for opcode, count in special.items()]
    for name, where in (("DFMA", parted.listing), ("FFMA", parted.listing), ("FFMA", listing)):
        count = sum(i.name == name for i in where.own())
        if count != allowed[name]:
            problems.append(f"{count} {name} where {allowed[name]} belong to divisions and roots")
    problems += [_text(i) for i in listing.own() if i.name == "FADD" or (i.name == "FMUL" and not _flushes(i))]
    return problems + [_text(i) for i in listing.own() if i.name in _ROUNDED and _DIRECTED & {*i.modifiers}]


def most_divisions(program: Program) -> int:
    """Divisions of real numbers that a thread of a program does."""
    parts, is_decode = {*re.split("_|(?<=step)[0-9]+", program.name)}, "decode" in program.name
    values = next(p.type for p in program.parameters if p.written == is_decode)
    is_whole = not values.startswith("float")
    if is_whole:
        parts -= {"step"}  # in whole numbers, but for the one that numbers are rounded to
    each = DECODING_DIVISIONS if is_decode else READING_DIVISIONS
    count = sum(count for name, count in each.items() if name in parts)
    return rows_a_thread(program) * (count + (is_decode and is_whole))


def most_roots(program: Program) -> int:
    """Square roots that a thread of a program takes."""
    parts = {*program.name.split("_")}
    each = {} if "decode" in parts else READING_ROOTS
    return rows_a_thread(program) * sum(count for name, count in each.items() if name in parts)


def _integer_divisions(listing: Listing) -> int:
    """Divisions of integers; nothing else converts them to real numbers that are not too small."""
    return sum(i.name == "I2F" and "RP" in i.modifiers for i in listing.own())


def _flushes(instruction: Instruction) -> bool:
    """Whether a product makes zero of what was converted to a subnormal float32, as -ftz=true asks."""
    return instruction.operands.endswith(_SMALLEST)


def _text(instruction: Instruction) -> str:
    return f"{instruction.opcode} {instruction.operands}"


@dataclass(frozen=True, slots=True)
class _Parted(Program):
    """A program whose every fma is a product and a sum."""

    whole: Program | None = None

    def preamble(self) -> str:
        return "" if self.whole is None else _FUSED.sub(r"(\1 * \2 + \3)", self.whole.preamble())


def without_fma(program: Program, architecture: str, options: Sequence[str] = OPTIONS) -> Compiled:
    """A program with a product and a sum in place of every fma of its source."""
    fields = {field.name: getattr(program, field.name) for field in dataclasses.fields(Program)}
    return compiled(_Parted(**fields, whole=program), architecture, options)


@cache
def division_steps(architecture: str) -> Counter[str]:
    """Instructions of one division, by name."""
    return _steps(_DIVISION, architecture)


@cache
def root_steps(architecture: str) -> Counter[str]:
    """Instructions of one square root, by name."""
    return _steps(_ROOT, architecture)


def _steps(text: str, architecture: str) -> Counter[str]:
    cubin = compile_text(text, architecture, OPTIONS)
    return Counter(i.name for i in disassemble(cubin, "trial").own())
