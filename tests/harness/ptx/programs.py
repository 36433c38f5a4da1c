"""Programs as the PTX that NVRTC makes of them, from the text and with the options that CuPy gives it."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from benchmarks.kernels import compile as compiling
from gpuvgm.engines.cuda import programs
from gpuvgm.engines.cuda.programs import OPTIONS, Program
from tests.engines.kernels.building import COMPILER, kept
from tests.harness.ptx.decoding import decode
from tests.harness.ptx.interpreter import Kernel

#: NVRTC holds two compilers: one for architectures before Blackwell, one from there on; compute_90 is Hopper's.
ARCHITECTURES = ("75", "90", "120")
MAIN_FILE = "default_program"  # what NVRTC calls the text itself


def problem() -> str | None:
    """Why programs cannot be executed as PTX here, None if they can."""
    if COMPILER is None:
        return "no C++ compiler for the interpreter of PTX"
    return compiling.missing()


@dataclass(frozen=True)
class Origins:
    """Files that a text was pasted from, and the line of the text that each begins at."""

    names: tuple[str, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str, sources: Sequence[str]) -> Origins:
        found = sorted((text.index(programs.pasted(name)), name) for name in sources)
        return cls(tuple(name for _, name in found), tuple(text.count("\n", 0, at) + 1 for at, _ in found))

    def named(self, line: str) -> str:
        """A line as the decoder names it, by its file."""
        file, _, number = line.rpartition(":")
        if not file.endswith(MAIN_FILE):
            return line.rpartition("/")[2]
        place = bisect(self.starts, int(number)) - 1
        if place < 0:
            return f"line {number}"
        return f"{self.names[place]}:{int(number) - self.starts[place] + 1}"


@cache
def kernel_of(program: Program, architecture: str, *, wide: bool = False) -> Kernel:
    """A program, compiled and decoded.

    Parameters
    ----------
    program : Program
        A row program is wrapped into CuPy's elementwise kernel first.
    architecture : str
        Virtual architecture, as "75".
    wide : bool
        As for arrays of 2^31 elements and more; for row programs.
    """
    header, around = compiling._surroundings()
    text = program.preamble() if program.is_block else header + compiling.element_source(program, wide=wide)
    return compiled(text, architecture, (*around, *OPTIONS), program.sources)


def compiled(text: str, architecture: str, options: Sequence[str] = OPTIONS, sources: Sequence[str] = ()) -> Kernel:
    """The kernel of CUDA C++ text that was pasted from `sources` and more."""
    kernel, origins = decode(ptx_of(text, architecture, options)), Origins.of(text, sources)
    return replace(kernel, lines=[origins.named(line) for line in kernel.lines])


def key_of(text: str, options: Sequence[str]) -> str:
    """What NVRTC's result is kept by; headers are those of a version of CuPy, wherever they lie."""
    anywhere = [option for option in options if not option.startswith("-I")]
    return hashlib.sha256("\0".join([text, *anywhere, str(compiling.versions())]).encode()).hexdigest()[:20]


def ptx_of(text: str, architecture: str, options: Sequence[str]) -> str:
    """PTX of CUDA C++ text, with the lines that instructions come from; the same in whatever environment CuPy lies."""
    given = (*options, *compiling.ADDED, "-lineinfo", f"-arch=compute_{architecture}")
    return kept(f"{key_of(text, given)}.ptx", lambda path: path.write_text(_compiled(text, given))).read_text()  # type: ignore[arg-type, return-value]


def _compiled(text: str, options: Sequence[str]) -> str:
    nvrtc = compiling._nvrtc()
    handle = nvrtc.createProgram(text, "", (), ())
    try:
        nvrtc.compileProgram(handle, tuple(options))
        ptx = nvrtc.getPTX(handle)
        return ptx if isinstance(ptx, str) else ptx.decode()
    except nvrtc.NVRTCError as error:
        raise compiling.CompilationError(f"{error}\n{nvrtc.getProgramLog(handle)}") from error
    finally:
        nvrtc.destroyProgram(handle)
