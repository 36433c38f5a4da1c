"""What tests of compiled kernels share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from benchmarks.kernels.compile import missing
from gpuvgm.engines.cuda.programs import Parameter, Program
from gpuvgm.engines.cuda.variants import every_program

_MISSING = missing()
needs_tools = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))
PROGRAMS = {program.name: program for program in every_program()}


def of_architectures(names: Iterable[str]) -> pytest.MarkDecorator:
    """A test for each architecture, all but Hopper's exhaustive."""
    each = [name if name == "90" else pytest.param(name, marks=pytest.mark.exhaustive) for name in names]
    return pytest.mark.parametrize("architecture", each)


@dataclass(frozen=True, slots=True)
class Text(Program):
    """A program whose text is given."""

    body: str = ""

    def preamble(self) -> str:
        return self.body


def kernel(body: str, name: str = "gpuvgm_decode_trial") -> Text:
    """A block program that takes x, y and its own place i."""
    head = f'extern "C" __global__ void {name}(const double* x, double* y) {{ const int i = threadIdx.x;\n'
    parameters = (Parameter("float64", "x"), Parameter("float64", "y", written=True))
    return Text(name, (), (), parameters, body=head + body + " }")
