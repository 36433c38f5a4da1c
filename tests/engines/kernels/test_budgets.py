"""What compiled programs may hold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.kernels import budget
from benchmarks.kernels.budget import Compiled, compiled, without_fma
from benchmarks.kernels.compile import ARCHITECTURES, INSTRUCTION_SETS
from gpuvgm.engines.cuda.programs import Program
from tests.engines.kernels.compiled import PROGRAMS, kernel, needs_tools, of_architectures

pytestmark = needs_tools
EXACT = [program for name, program in PROGRAMS.items() if name.startswith(budget.EXACT)]


def trial(body: str, architecture: str = "90") -> list[str]:
    """What is found in a program that divides nothing."""
    program = kernel(body)
    return budget.unexplained(compiled(program, architecture), without_fma(program, architecture))


@of_architectures(ARCHITECTURES)
def test_registers_and_memory_of_threads(architecture: str) -> None:
    found = {name: budget.overspent(p, budget.occupied(p, architecture)) for name, p in PROGRAMS.items()}
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_limits_of_registers() -> None:
    limits = {name: budget.most_registers(program) for name, program in PROGRAMS.items()}
    assert {limit for name, limit in limits.items() if "decode" in name or "summarise" in name} == {64}
    assert {limit for name, limit in limits.items() if "encode" in name} == {80}
    assert {limit for name, limit in limits.items() if "e_step" in name} == {168}


def test_spills_and_too_many_registers_are_seen() -> None:
    array = "double a[200]; for (int k = 0; k < 200; ++k) a[k] = x[k * 32 + i]; y[i] = a[(int)x[i]];"
    program = kernel(array)
    code = compiled(program, "90")
    assert [problem.split()[0] for problem in budget.overspent(program, code.resources)] == ["stack"]
    assert budget.spilled(code.listing)
    sums = "double a[40]; for (int k = 0; k < 40; ++k) a[k] = x[k * 32 + i]; __syncthreads();"
    sums += "double p = 1, s = 0; for (int k = 0; k < 40; ++k) p *= a[k]; for (int k = 0; k < 40; ++k) s += a[k] / p;"
    crowded = kernel(f"#pragma unroll\n{sums} y[i] = s;")
    assert budget.overspent(crowded, budget.occupied(crowded, "90"))[0].startswith("registers")


@of_architectures(INSTRUCTION_SETS)
def test_arithmetic_is_what_the_source_asks_for(architecture: str) -> None:
    def look(program: Program) -> tuple[Compiled, list[str]]:
        code = compiled(program, architecture)
        return code, budget.unexplained(code, without_fma(program, architecture))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(look, EXACT))
    assert {code.program.name: problems for code, problems in found if problems} == {}
    for code, _ in found:
        assert budget.spilled(code.listing) == []
        assert budget.wide_loads(code.listing) > 0 or budget.rows_a_thread(code.program) < 4


@pytest.mark.parametrize("kind", ["encode_10_generator", "encode_10_none", "decode_f4"])
def test_contraction_is_seen(kind: str) -> None:
    program = next(p for name, p in PROGRAMS.items() if kind in name)
    contracted = without_fma(program, "90", budget.CONTRACTING)
    problems = budget.unexplained(compiled(program, "90"), contracted)
    assert any("DFMA where" in problem for problem in problems)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("y[i] = exp2f((float)x[i]);", "MUFU.EX2"),
        ("y[i] = __frcp_rn((float)x[i]);", "MUFU.RCP"),
        ("y[i] = rsqrtf((float)x[i]);", "MUFU.RSQ"),
        ("y[i] = sqrt(x[i]);", "MUFU.RSQ64H for 0 in the source"),
        ("y[i] = x[i] / y[i];", "MUFU.RCP64H for 0 in the source"),
        ("y[i] = (float)x[i] + (float)y[i];", "FADD"),
        ("y[i] = x[i]; y[i + 32] = ((const float*)x)[i];", "FMUL.FTZ"),
        ("y[i] = __dmul_rz(x[i], y[i]);", "DMUL.RZ"),
        ("y[i] = __fmaf_rn((float)x[i], (float)y[i], (float)y[i]);", "FFMA where 0"),
        ("y[i] = __fma_rn(x[i], y[i], y[i]);", "DFMA where 0"),
    ],
)
def test_forbidden_instruction_is_seen(body: str, problem: str) -> None:
    found = trial(body)
    assert any(problem in text for text in found), found


def test_allowed_arithmetic_passes() -> None:
    assert trial("y[i] = fma(a, b, c);".replace("a, b, c", "x[i], y[i], y[i]")) != []  # not in the form of a source
    assert trial("const double a = x[i], b = y[i], c = a - b; y[i] = fma(a, b, c) * c;") == []
    assert trial("((float*)y)[i] = (float)x[i];") == []
    assert trial("y[i] = x[i / (int)gridDim.x];") == []
