"""Programs: the kernels of the CUDA engine as text, whoever compiles and runs them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from gpuvgm.engines.kernels import source

#: Options of the compiler beside CuPy's own: products and sums are contracted nowhere but where the source says fma.
OPTIONS = ("--std=c++17", "--fmad=false")
_PASTED = re.compile(r'^#pragma once$|^#include ".*"$', re.MULTILINE)
#: C names of elements by NumPy name.
C_TYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "long long",
    "uint64": "unsigned long long",
    "int32": "int",
    "uint32": "unsigned int",
    "int16": "short",
    "uint16": "unsigned short",
    "int8": "signed char",
    "uint8": "unsigned char",
}
#: What programs' names call these types.
SHORT = {name: f"{name[0]}{np.dtype(name).itemsize}" for name in C_TYPES}
#: NumPy's types of single values.
SCALARS = {name: np.dtype(name).type for name in C_TYPES}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a kernel.

    Parameters
    ----------
    type : str
        NumPy name of the element.
    name : str
        What the kernel calls it.
    pointer : bool
        An array, not a value.
    written : bool
        An array that the kernel writes to.
    """

    type: str
    name: str
    pointer: bool = True
    written: bool = False


def value(kind: str, name: str) -> Parameter:
    """A parameter that is passed by value."""
    return Parameter(kind, name, pointer=False)


def written(kind: str, name: str) -> Parameter:
    """An array that the kernel writes to."""
    return Parameter(kind, name, written=True)


@dataclass(frozen=True, slots=True)
class Program:
    """A kernel as text: files pasted into one, because includes are not part of the key of CuPy's cache.

    Parameters
    ----------
    name : str
        Name of the kernel, another for every variant.
    sources : tuple of str
        Files of `gpuvgm.engines.kernels`, in the order they build on each other.
    constants : tuple of (str, str)
        Names that the text is compiled with.
    parameters : tuple of Parameter
        Arguments, in order.
    operation : str
        For row programs: what is done for every i below the size, as in `cupy.ElementwiseKernel`. Block programs have
        none; their sources hold an ``extern "C"`` kernel called GPUVGM_NAME.
    threads : int
        Threads of a block, for block programs.
    """

    name: str
    sources: tuple[str, ...]
    constants: tuple[tuple[str, str], ...]
    parameters: tuple[Parameter, ...]
    operation: str = ""
    threads: int = 256

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_block(self) -> bool:
        """Return whether the kernel knows its blocks and threads."""
        return not self.operation

    def preamble(self) -> str:
        """Constants and sources as one text."""
        lines = [f"#define {name} {text}" for name, text in (("GPUVGM_NAME", self.name), *self.constants)]
        return "\n".join([*lines, *map(pasted, self.sources)])

    def check(self, arguments: Any) -> None:
        """Refuse arguments that the kernel would misread.

        Raises
        ------
        TypeError
            For a wrong number of arguments, or an array of another type or with gaps.
        """
        if len(arguments) != len(self.parameters):
            raise TypeError(f"{self.name} takes {len(self.parameters)} arguments, {len(arguments)} are given")
        for parameter, value in zip(self.parameters, arguments, strict=True):
            if parameter.pointer and (value.dtype != parameter.type or not value.flags.c_contiguous):
                raise TypeError(f"{self.name}: {parameter.name} must be contiguous {parameter.type}, not {value.dtype}")


@cache
def pasted(name: str) -> str:
    """Source file without its includes, which are pasted in front of it."""
    return _PASTED.sub("", source(name))
