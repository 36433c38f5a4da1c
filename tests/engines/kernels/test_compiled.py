"""Every program compiles for every architecture, from the text that CuPy would compile, without a device."""

from __future__ import annotations

import inspect

import pytest

from benchmarks.kernels import compile as compiling
from benchmarks.kernels.compile import ADDED, ARCHITECTURES, CompilationError, compile_program, element_source
from benchmarks.kernels.disassembly import disassemble, resources
from gpuvgm.engines.cuda.programs import OPTIONS, Program
from gpuvgm.engines.cuda.variants import every_program
from tests.engines.kernels.compiled import PROGRAMS, kernel, needs_tools, of_architectures

pytestmark = needs_tools
ROW_PROGRAMS = [name for name, program in PROGRAMS.items() if not program.is_block]


def test_names_are_unique() -> None:
    assert len(PROGRAMS) == len(every_program())
    assert len(ROW_PROGRAMS) > 5
    assert len(PROGRAMS) - len(ROW_PROGRAMS) > 5


@of_architectures(ARCHITECTURES)
def test_every_program_compiles(architecture: str) -> None:
    compiling.compile_programs(PROGRAMS.values(), (architecture,))
    for program in PROGRAMS.values():
        cubin = compile_program(program, architecture)
        assert cubin[:4] == b"\x7fELF"
        assert resources(cubin, program.name).registers > 0  # it has a kernel of this name


@pytest.mark.parametrize("name", ROW_PROGRAMS)
def test_row_program_compiles_for_arrays_of_more_than_32_bits(name: str) -> None:
    text = element_source(PROGRAMS[name], wide=True)
    assert text != element_source(PROGRAMS[name])
    header, options = compiling._surroundings()
    assert compiling.compile_text(header + text, "90", (*options, *OPTIONS))


@pytest.mark.parametrize("name", ROW_PROGRAMS)
def test_source_is_an_elementwise_kernel(name: str) -> None:
    text, program = element_source(PROGRAMS[name]), PROGRAMS[name]
    assert text.count(f"void {name}(") == 1
    assert "CUPY_FOR(i, _ind.size())" in text
    assert program.operation in text
    for parameter in program.parameters:
        changeable = "" if parameter.written else "const "
        assert any(f"{start}{changeable}" in text and f" {parameter.name}" in text for start in ("(", ", "))


def test_options_are_those_that_cupy_adds() -> None:
    from cupy.cuda import compiler

    text = inspect.getsource(compiler)
    assert [option for option in ADDED if option not in text] == []
    header, options = compiling._surroundings()
    assert "#include <cupy/carray.cuh>" in header
    assert {option for option in options if not option.startswith("-I")} <= {"--std=c++17"}
    assert len(options) > 1


def test_refused_program_shows_the_compilers_log() -> None:
    with pytest.raises(CompilationError, match=r"sm_80(.|\n)*no_such_function"):
        compile_program(kernel("y[i] = no_such_function(x[i]);"), "80")


def test_unknown_cupy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from cupy._core import _kernel

    monkeypatch.delattr(_kernel, "_ArgInfo")
    with pytest.raises(RuntimeError, match=r"CuPy [\d.]+ makes its kernels in another way"):
        element_source(PROGRAMS[ROW_PROGRAMS[0]])


def test_tools_read_what_was_compiled() -> None:
    program: Program = kernel("__shared__ double s[32]; s[i] = x[i]; __syncthreads(); y[i] = s[31 - i] + 1;")
    for architecture in ARCHITECTURES:
        cubin = compile_program(program, architecture)
        found = resources(cubin, program.name)
        assert (found.stack, found.local) == (0, 0)
        assert found.shared >= 256
        opcodes = [instruction.name for instruction in disassemble(cubin, program.name).own()]
        assert [opcodes.count(name) for name in ("LDG", "STS", "BAR", "LDS", "DADD", "STG")] == [1] * 6
