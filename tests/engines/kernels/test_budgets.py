"""What compiled programs may hold, and the times predicted from it, against the bounds they were written for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import predict, stages
from benchmarks.__main__ import main
from benchmarks.kernels import budget, prediction
from benchmarks.kernels.budget import Compiled, compiled, without_fma
from benchmarks.kernels.cards import CARDS, H200
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
    assert {limit for name, limit in limits.items() if "inverse" in name or "summarise" in name} == {64}
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


@pytest.mark.parametrize("kind", ["transform_10_generator", "transform_10_none", "inverse_f4"])
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
        ("y[i] = x[i] / y[i];", "MUFU.RCP64H for 0 divisions"),
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


def of(name: str, **types: str) -> Callable[[Program], bool]:
    def fits(program: Program) -> bool:
        has = {parameter.name: parameter.type for parameter in program.parameters}
        return name in program.name and types.items() <= has.items()

    return fits


#: Milliseconds for 10^9 rows with 10 components on an H200 that the kernels were written to reach.
BOUNDS = {
    "most probable mode, float64": (of("transform_10_none", x="float64"), 3.0),
    "inverse to float32": (of("inverse", scalar="float32", code="uint8", value="float32"), 2.4),
    "inverse to float64": (of("inverse", scalar="float32", code="uint8", value="float64"), 2.4),
    "drawn mode, float64": (of("transform_10_generator", x="float64"), 22.0),
    "drawn mode, float32 rows in float64": (of("transform_10_generator", x="float32"), 22.0),
    "summary, float64": (of("summarise", x="float64"), 20.0),
    "summary, float32": (of("summarise", x="float32"), 20.0),
    "E-step, float64": (of("e_step_10", x="float64"), 18.0),
    "E-step, float32 rows in float64": (of("e_step_10", x="float32"), 18.0),
}
#: What is predicted where a bound is not met, and why.
MISSED = {
    "most probable mode, float64": "5.0 ms: 168 instructions a row are issued, 64 of them in float64 (3.8 ms)",
    "inverse to float64": "2.7 ms: 13 bytes a row at the bandwidth of the data sheet",
}


def missed(what: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(strict=True, raises=AssertionError, reason=MISSED[what])] if what in MISSED else []


@pytest.mark.parametrize("case", ["rows spread over many cells", "rows in frequent cells"])
def test_rows_of_a_turn_of_a_summary(case: str) -> None:
    """Each row is scaled once, and added up once in either memory: two words, or four halves."""
    for x in ("f4", "f8"):
        counts = prediction.work_of(compiled(PROGRAMS[f"gpuvgm_summarise_{x}"], "90"), case).instructions
        assert counts["fp64"] == 3.0
        assert (counts["atomic"], counts["shared atomic"]) == ((2, 0) if "spread" in case else (0, 4))


@pytest.mark.parametrize("what", [pytest.param(name, marks=missed(name)) for name in BOUNDS])
def test_predicted_time_on_an_h200(what: str) -> None:
    fits, most = BOUNDS[what]
    programs = [program for program in PROGRAMS.values() if fits(program)]
    found = prediction.predictions(programs, [H200])
    slower = [f"{one.work.program.name} {one.work.case}: {one.time:.2f} ms, {one.limit}" for one in found]
    if not found:
        pytest.fail("there is no such program")
    assert all(one.time <= most for one in found), slower


def test_everything_of_ten_components_is_predicted_on_every_card() -> None:
    programs = predict.programs()
    kinds = ("transform_10_none", "transform_10_generator", "inverse", "summarise", "e_step_10")
    assert all(any(kind in program.name for program in programs) for kind in kinds)
    assert len(CARDS) == 6


def test_predictions_say_that_they_are_none_of_measurements(tmp_path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import json

    chosen = [program for program in predict.programs() if "inverse_f4_u1_f8" in program.name]
    monkeypatch.setattr(predict, "programs", lambda: chosen)
    monkeypatch.setattr(stages, "executed_works", lambda architecture: [])
    monkeypatch.setattr(stages, "predictions", list)
    lines = tmp_path / "results" / "lines.jsonl"
    assert main(["predict", "--json", str(lines)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("predicted, not measured")
    written = [row for row in map(json.loads, lines.read_text().splitlines()) if "program" in row]
    assert [row["card"] for row in written] == [card.name for card in CARDS]
    for row in written:
        assert (row["benchmark"], row["predicted"], row["program"]) == ("predict", True, chosen[0].name)
        assert row["predicted_milliseconds"][row["limit"]] == max(row["predicted_milliseconds"].values())
        assert "seconds" not in row
        assert row["card"] in printed
