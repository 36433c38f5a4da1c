"""Programs compiled just as CuPy compiles them, for any architecture and without a device."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from gpuvgm.engines.cuda.device import row_kernel_arguments
from gpuvgm.engines.cuda.programs import OPTIONS, Parameter, Program

#: Turing, Ampere, Ampere of games, Ada, Hopper, Blackwell, Blackwell of games.
ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")
#: One of each generation's instruction set: 86 and 89 have that of 80, and 100 that of 120.
INSTRUCTION_SETS = ("75", "80", "90", "120")
#: What CuPy adds between its public functions and the compiler (cupy.cuda.compiler, read in CuPy 14.0 to 14.2).
ADDED = ("-ftz=true", "--device-as-default-execution-space")
COMMAND = 'pip install "gpuvgm[kernels]"'
_lock = threading.Lock()


class CompilationError(RuntimeError):
    """NVRTC refused a program; the message holds its log."""


def missing() -> str | None:
    """Why programs cannot be compiled and read here, None if they can."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed: {COMMAND}"
    from benchmarks.kernels.disassembly import tool_folder

    try:
        _nvrtc().getVersion()
        tool_folder()
    except Exception as error:  # CuPy raises what its loader met
        return f"{error}: {COMMAND}"
    return None


def versions() -> dict[str, str]:
    """Versions of what compiles."""
    import cupy

    return {"cupy": cupy.__version__, "nvrtc": ".".join(map(str, _nvrtc().getVersion()))}


def compile_program(program: Program, architecture: str, options: Sequence[str] = OPTIONS) -> bytes:
    """Cubin of a program.

    Parameters
    ----------
    program : Program
        A row program is wrapped into CuPy's elementwise kernel first.
    architecture : str
        Compute capability without its point, as "90".
    options : sequence of str
        Options beside those that CuPy adds.

    Raises
    ------
    CompilationError
        With the compiler's log.
    """
    return _compiled(program, architecture, tuple(options))


def compile_programs(programs: Iterable[Program], architectures: Sequence[str] = ARCHITECTURES) -> None:
    """Compile ahead, two at a time, so that later calls of `compile_program` find the cubins."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: compile_program(*job), [(p, a) for p in programs for a in architectures]))


@cache
def _compiled(program: Program, architecture: str, options: tuple[str, ...]) -> bytes:
    header, around = _surroundings()
    if program.is_block:
        return compile_text(program.preamble(), architecture, (*around, *options))
    return compile_text(header + element_source(program), architecture, (*around, *options))


def compile_text(text: str, architecture: str, options: Sequence[str]) -> bytes:
    """Cubin of CUDA C++ text."""
    nvrtc = _nvrtc()
    handle = nvrtc.createProgram(text, "", (), ())
    try:
        nvrtc.compileProgram(handle, (*options, *ADDED, f"-arch=sm_{architecture}"))
        return bytes(nvrtc.getCUBIN(handle)) + b"\0"  # CuPy drops the last byte, which cuobjdump needs
    except nvrtc.NVRTCError as error:
        raise CompilationError(f"sm_{architecture}: {error}\n{nvrtc.getProgramLog(handle)}") from error
    finally:
        nvrtc.destroyProgram(handle)


def element_source(program: Program, *, wide: bool = False) -> str:
    """CUDA text that `cupy.ElementwiseKernel` makes of a row program.

    CuPy makes it when a kernel is called with arrays of a device; without one only its private functions do. Everything
    that rests on them is here and in `_surroundings`.

    Parameters
    ----------
    program : Program
        A row program.
    wide : bool
        As for arrays of 2^31 elements and more.

    Raises
    ------
    RuntimeError
        Where this CuPy has other private functions.
    """
    import cupy
    import numpy as np

    kernel = cupy.ElementwiseKernel(**row_kernel_arguments(program))
    written = [p for p in program.parameters if p.written]
    read = [p for p in program.parameters if not p.written]
    try:
        from cupy._core import _carray, _kernel, _scalar

        array, index, scalar, contiguous = 1, 2, 3, True

        def argument(p: Parameter) -> Any:
            kind, of = (array, cupy.ndarray) if p.pointer else (scalar, _scalar.CScalar)
            return _kernel._ArgInfo(kind, of, np.dtype(p.type), int(p.pointer), contiguous, not wide)

        described = [argument(p) for p in (*read, *written)]
        described.append(_kernel._ArgInfo(index, _carray.Indexer, None, 1, contiguous, not wide))
        types = [tuple(np.dtype(p.type) for p in group) for group in (read, written)]
        *_, types_of_names = _kernel._decide_params_type(kernel.in_params, kernel.out_params, *types)
        parts = (kernel.params, kernel.operation, kernel.name, kernel.preamble)
        return str(_kernel._get_elementwise_kernel_code(tuple(described), types_of_names, *parts, **kernel.kwargs))
    except (ImportError, AttributeError, TypeError) as error:
        raise RuntimeError(_unknown_cupy(error)) from error


@cache
def _surroundings() -> tuple[str, tuple[str, ...]]:
    """Text that CuPy puts in front of elementwise kernels, and the include paths it compiles everything with.

    The function that would look for the compiled module in CuPy's cache is replaced for one call and notes what it
    is given.
    """
    given: list[Any] = []

    def note(source: str, options: tuple[str, ...] = (), *others: Any, **named: Any) -> None:
        given.append((source, tuple(options)))

    with _lock:
        try:
            from cupy._core import core
            from cupy.cuda import compiler

            original = compiler._compile_module_with_cache
            compiler._compile_module_with_cache = note
            try:
                core.compile_with_cache("", ())
            finally:
                compiler._compile_module_with_cache = original
            (source, options) = given[0]
        except (ImportError, AttributeError, TypeError, IndexError) as error:
            raise RuntimeError(_unknown_cupy(error)) from error
    return source, options


def _unknown_cupy(error: Exception) -> str:
    import cupy

    return f"CuPy {cupy.__version__} makes its kernels in another way than this reader knows ({error!r})"


def _nvrtc() -> Any:
    from cupy.cuda import nvrtc

    return nvrtc
