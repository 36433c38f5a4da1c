"""The functions of the strict device's module: NumPy's, with the names and arguments that CuPy has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.harness.device import real
from tests.harness.device.array import check_dtype, without_subnormals
from tests.harness.device.hardware import Hardware, nested

COPIES = ("array", "asarray", "asanyarray")  # that take what lies on the host
OF_SCALARS = ("result_type", "can_cast", "promote_types", "min_scalar_type", "ndim", "shape", "size", "isscalar",
              "broadcast_shapes", "common_type", "finfo", "iinfo", "dtype", "issubdtype", "get_printoptions",
              "set_printoptions", "format_float_positional", "array_str", "array_repr", "iscomplexobj", "isrealobj",
              "mintypecode")  # fmt: skip
COUNTING = {"argwhere", "bincount", "extract", "flatnonzero", "nonzero", "unique", "unique_values", "unique_counts",
            "unique_inverse", "unique_all", "intersect1d", "union1d", "setdiff1d", "trim_zeros", "array_equal",
            "allclose", "histogram"}  # fmt: skip
MADE = {"arange", "empty", "empty_like", "eye", "full", "full_like", "identity", "linspace", "logspace", "ones",
        "ones_like", "tri", "zeros", "zeros_like", "indices", "meshgrid"}  # fmt: skip
OF_UFUNCS = {"out", "dtype", "casting"}


def functions(hardware: Hardware) -> dict[str, Any]:
    """What the module has: CuPy's names that NumPy has too."""
    found: dict[str, Any] = {}
    names = {name for name in dir(real.cupy()) if not name.startswith("_")}
    for name in sorted(names & set(dir(np))):
        of_numpy, of_cupy = getattr(np, name), getattr(real.cupy(), name)
        if of_cupy is of_numpy or isinstance(of_numpy, type) or not callable(of_numpy):
            found[name] = of_numpy if not isinstance(of_cupy, type(real)) else None
        elif isinstance(of_cupy, real.cupy().ufunc):
            found[name] = Ufunc(hardware, name, of_cupy)
        elif name in OF_SCALARS:
            found[name] = of_numpy
        else:
            found[name] = function(hardware, name, of_numpy)
    tools = hardware.array_tools
    found |= {name: copying(hardware, name) for name in COPIES}
    found["asnumpy"] = lambda a, stream=None, order="C", out=None, *, blocking=True: asnumpy(
        hardware, a, stream=stream, order=order, out=out, blocking=blocking
    )
    found |= {"ndarray": tools.ndarray, "get_array_module": lambda *given: hardware.module}
    found |= {"astype": lambda x, dtype, copy=True: x.astype(dtype, copy=copy)}
    found |= {"from_dlpack": lambda array: from_dlpack(hardware, array)}
    return {name: value for name, value in found.items() if value is not None and name in names}


def asnumpy(hardware: Hardware, a: Any, **options: Any) -> np.ndarray:
    """The array on the host; what lies there stays."""
    if isinstance(a, hardware.array_tools.ndarray):
        return a.get(**options)  # type: ignore[no-any-return]
    return np.asarray(a)


def from_dlpack(hardware: Hardware, array: Any) -> Any:
    """An array of another library on the device, which tests stand for by its attribute `array`."""
    tools = hardware.array_tools
    return array if isinstance(array, tools.ndarray) else hardware.module.asarray(array.array)


def copying(hardware: Hardware, name: str) -> Callable[..., Any]:
    """A function that copies what lies on the host to the device."""
    tools, accepted = hardware.array_tools, real.signature("cupy", name)

    def call(*given: Any, **options: Any) -> Any:
        assert accepted is not None
        bound = accepted.bind(*given, **options).arguments
        (first,) = [bound.pop(key) for key in ("obj", "a") if key in bound]
        bound.pop("blocking", None)
        bound.pop("subok", None)
        if isinstance(first, tools.ndarray):
            copy = name == "array" and bound.pop("copy", True)
            bound.pop("copy", None)
            result = first if bound.get("dtype") is None else first.astype(bound["dtype"], copy=False)
            return result.copy() if copy and result is first else result
        if list(nested(first, tools.ndarray)):
            return hardware.module.stack(list(first)) if name != "asanyarray" else None
        if hasattr(first, "__cuda_array_interface__"):
            if not hasattr(first, "array"):
                return tools.over(first)
            first = first.array
        bound.pop("copy", None)
        host = np.array(first, **bound)
        check_dtype(host.dtype)
        hardware.touch([])
        hardware.ledger.add(bytes_up=host.nbytes)
        return tools.wrap(host)

    call.__name__ = name
    return call


def function(hardware: Hardware, name: str, of_numpy: Callable[..., Any]) -> Callable[..., Any]:
    """A function that works on arrays of the device alone."""
    tools, accepted = hardware.array_tools, real.signature("cupy", name)

    def call(*given: Any, **options: Any) -> Any:
        if accepted is not None:
            accepted.bind(*given, **options)
        tools.refuse_host([given, options])
        arrays = list(nested([given, options], tools.ndarray))
        if not arrays and name not in MADE:
            raise TypeError(f"cupy.{name} was given no array of the device")
        if name in COUNTING or (name == "where" and len(given) == 1):
            hardware.wait(hardware.touch(arrays).clock)
            hardware.ledger.add(bytes_down=8)
        if name in ("empty", "empty_like"):
            made = of_numpy(*[getattr(one, "_host", one) for one in given], **options)
            return tools.ndarray(made.shape, made.dtype)
        out = [options["out"]] if options.get("out") is not None else []
        return tools.run(name, of_numpy, given, options, written=out)

    call.__name__ = name
    return call


class Ufunc:
    """An elementwise function: scalars of Python and NumPy, and arrays of the device."""

    def __init__(self, hardware: Hardware, name: str, of_cupy: Any) -> None:
        self.name = self.__name__ = name
        self.nin, self.nout, self.nargs = of_cupy.nin, of_cupy.nout, of_cupy.nargs
        self._hardware, self._numpy, self._cupy = hardware, getattr(np, name), of_cupy

    def __call__(self, *given: Any, **options: Any) -> Any:
        """What NumPy's function gives, subnormal float32 being 0."""
        self._check(options)
        if not self.nin <= len(given) <= self.nargs:
            raise TypeError(f"Wrong number of arguments for {self.name!r}")
        for one in given:
            self._check_argument(one)
        tools = self._hardware.array_tools
        out = options.pop("out", None) if len(given) == self.nin else given[self.nin]
        inputs = given[: self.nin]

        def apply(*values: Any, **rest: Any) -> Any:
            result = self._numpy(*map(without_subnormals, values), **rest)
            return tuple(map(without_subnormals, result)) if isinstance(result, tuple) else without_subnormals(result)

        if out is None:
            return tools.run(self.name, apply, inputs, options)
        if not isinstance(out, tools.ndarray):
            raise TypeError("return arrays must be of ArrayType")
        return tools.run_into(out, apply, inputs, options)

    def _check(self, options: dict[str, Any]) -> None:
        if set(options) - OF_UFUNCS:
            raise TypeError(f"Wrong arguments {options}")

    def _check_argument(self, value: Any) -> None:
        tools = self._hardware.array_tools
        if not isinstance(value, (tools.ndarray, int, float, complex, np.generic)):
            raise TypeError(f"Unsupported type {type(value)}")
        if isinstance(value, np.generic):
            check_dtype(value.dtype)

    def __getattr__(self, name: str) -> Any:
        if name not in ("accumulate", "at", "outer", "reduce", "reduceat") or not hasattr(self._cupy, name):
            raise AttributeError(name)
        tools = self._hardware.array_tools

        def call(*given: Any, **options: Any) -> Any:
            tools.refuse_host([given, options])
            if name == "at":
                self._hardware.touch(list(nested(given, tools.ndarray)), [given[0]])
            return tools.run(name, getattr(self._numpy, name), given, options)

        return call
