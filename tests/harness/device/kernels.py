"""gpuvgm's kernels on the strict device, compiled for the host; their arguments must be of the kernel's own types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuvgm.engines.cuda.programs import C_TYPES, OPTIONS, Parameter
from tests.engines.kernels import emulated
from tests.harness.device.hardware import Hardware

#: The kernel must take exactly these types: a GPU would read the bytes of another one.
EXACT = """
namespace strict {{
template <class T> struct bare {{ using type = T; }};
template <class T> struct bare<const T> {{ using type = typename bare<T>::type; }};
template <class T> struct bare<T*> {{ using type = typename bare<T>::type*; }};
template <class... A> struct types {{}};
template <class... P> types<typename bare<P>::type...> of(void (*)(P...));
template <class A, class B> struct same {{ static constexpr bool value = false; }};
template <class A> struct same<A, A> {{ static constexpr bool value = true; }};
static_assert(same<decltype(of(&{name})), types<{types}>>::value, "{name} takes arguments of other types");
}}
"""


@dataclass(frozen=True, slots=True)
class Text:
    """What `tests.engines.kernels.emulated` compiles: the part of a `Program` that it looks at."""

    name: str
    code: str
    parameters: tuple[Parameter, ...]
    operation: str = ""
    threads: int = 256

    @property
    def is_block(self) -> bool:
        """Whether the kernel knows its blocks and threads."""
        return not self.operation

    def preamble(self) -> str:
        """The text, and for kernels of blocks a check of the types."""
        if not self.is_block:
            return self.code
        types = [C_TYPES[one.type] + "*" * one.pointer for one in self.parameters]
        return self.code + EXACT.format(name=self.name, types=", ".join(types))


def run(hardware: Hardware, text: Text, size: int, arguments: Sequence[Any]) -> None:
    """Launch on the current stream."""
    tools = hardware.array_tools
    pairs = list(zip(text.parameters, arguments, strict=True))
    arrays = [value for parameter, value in pairs if parameter.pointer]
    for parameter, value in pairs:
        if parameter.pointer and not isinstance(value, tools.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")
        if parameter.pointer and (value.dtype != parameter.type or not value.flags.c_contiguous):
            hardware.fault(f"{text.name}: {parameter.name} is {value.dtype}, or has gaps")
    written = [value for parameter, value in pairs if parameter.pointer and parameter.written]
    line = hardware.touch(arrays, written, later=True)
    hardware.launches.append((text.name, size))
    hardware.ledger.launched(text.name)
    held = [
        np.array([value._host.ctypes.data], np.uint64) if parameter.pointer else np.array([value], parameter.type)
        for parameter, value in pairs
    ]
    library = emulated.library(text)  # type: ignore[arg-type]

    def launch() -> None:
        if hardware.breaking and text.name.startswith(hardware.breaking):
            raise hardware.runtime_error("cudaErrorIllegalAddress: an illegal memory access was encountered")
        addresses = (emulated.ctypes.c_void_p * len(held))(*[one.ctypes.data for one in held])
        library.gpuvgm_run(emulated.ctypes.c_longlong(size), addresses)

    hardware.begin(line, launch)


def kernel_classes(hardware: Hardware) -> dict[str, type]:
    """The classes ElementwiseKernel and RawModule of `cupy`."""

    class ElementwiseKernel:
        def __init__(self, in_params: str, out_params: str, operation: str, name: str = "kernel",
                     reduce_dims: bool = True, preamble: str = "", no_return: bool = False,
                     return_tuple: bool = False, *, options: Sequence[str] = ()) -> None:  # fmt: skip
            assert no_return and tuple(options) == OPTIONS
            given = [(text.split(), False) for text in in_params.split(",") if text.strip()]
            given += [(text.split(), True) for text in out_params.split(",") if text.strip()]
            parameters = tuple(
                Parameter(words[-2], words[-1], pointer=words[0] == "raw", written=written) for words, written in given
            )
            self._text = Text(name, preamble, parameters, operation)

        def __call__(self, *arguments: Any, size: int) -> None:
            if any(p.written and not p.pointer for p in self._text.parameters):
                raise NotImplementedError("results that are not raw")
            run(hardware, self._text, size, arguments)

    class RawModule:
        def __init__(self, *, code: str, options: Sequence[str] = (), backend: str = "nvrtc") -> None:
            assert tuple(options) == OPTIONS
            self._code = code

        def get_function(self, name: str) -> Any:
            return RawKernel(self._code, name)

    class RawKernel:
        def __init__(self, code: str, name: str, options: Sequence[str] = OPTIONS) -> None:
            self._code, self.name = code, name
            if not re.search(r'extern "C"[^;]*GPUVGM_NAME', code, re.DOTALL) or f"GPUVGM_NAME {name}\n" not in code:
                raise AttributeError(f"named symbol not found: {name}")

        def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            parameters = []
            for number, value in enumerate(args):
                pointer = hasattr(value, "_memory")
                if not pointer and not isinstance(value, np.generic):
                    raise TypeError(f"a kernel's argument has no type of C: {type(value)}")
                parameters.append(Parameter(value.dtype.name, f"p{number}", pointer=pointer, written=pointer))
            ((blocks,), (threads,)) = (tuple(grid), tuple(block))
            run(hardware, Text(self.name, self._code, tuple(parameters), threads=threads), int(blocks), args)

    return {"ElementwiseKernel": ElementwiseKernel, "RawModule": RawModule, "RawKernel": RawKernel}
