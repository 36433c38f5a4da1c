"""The arrays of the strict device: what `cupy.ndarray` has, and nothing that NumPy's arrays have beside it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.harness.device import real
from tests.harness.device.hardware import Borrowed, Hardware, Memory, mapped, nested
from tests.harness.device.streams import is_pinned

DTYPES = "?bhilqBHILQefdFD"  # that CuPy has kernels for
IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
)
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift", "divmod": "divmod", "matmul": "matmul",
}  # fmt: skip
COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
UNARY = {"neg": "negative", "abs": "absolute", "invert": "invert", "pos": "positive"}
#: Methods that give what NumPy's of the same name gives.
METHODS = (
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "clip", "conj", "copy", "cumprod", "cumsum",
    "diagonal", "dot", "flatten", "max", "mean", "min", "prod", "ptp", "ravel", "repeat", "reshape", "round",
    "squeeze", "std", "sum", "swapaxes", "take", "trace", "transpose", "var",
)  # fmt: skip
COUNTING = {"nonzero", "compress"}  # the host has to know how long the result is
IN_PLACE = ("fill", "sort", "partition", "put")


def check_dtype(dtype: Any) -> None:
    """Refuse what CuPy has no kernels for."""
    if np.dtype(dtype).char not in DTYPES:
        raise ValueError(f"Unsupported dtype {np.dtype(dtype)}")


def without_subnormals(values: Any) -> Any:
    """Float32 as CuPy's arithmetic sees it, which is compiled with -ftz=true."""
    if isinstance(values, (np.ndarray, np.generic)) and values.dtype == np.float32:
        small = np.abs(values) < np.float32(2.0**-126)
        if np.any(small):
            return np.where(small, np.copysign(np.float32(0), values), values)
    return values


def bytes_of(values: Iterable[Any]) -> int:
    """What some arrays and numbers of NumPy take."""
    return sum(np.asarray(one).nbytes for one in values)


def order_of(array: Any, order: str, out: Any) -> str:
    """The layout in which an array goes to the host, or into an array there; refuses what CuPy refuses."""
    if out is None:
        if array.size and order.upper() not in ("C", "F", "A"):
            raise ValueError(f"unsupported order: {order.upper()}")
        return "F" if order.upper() == "F" or (order.upper() == "A" and array.flags.f_contiguous) else "C"
    if not isinstance(out, np.ndarray):
        raise TypeError("Only numpy.ndarray can be obtained fromcupy.ndarray")
    if out.dtype != array.dtype:
        raise TypeError(f"{out.dtype} array cannot be obtained from {array.dtype} array")
    if out.shape != array.shape:
        raise ValueError(f"Shape mismatch. Expected shape: {array.shape}, actual shape: {out.shape}")
    if not (out.flags.c_contiguous or out.flags.f_contiguous):
        raise RuntimeError("`out` cannot be specified when copying to non-contiguous ndarray")
    return "C" if out.flags.c_contiguous and (array.flags.c_contiguous or not out.flags.f_contiguous) else "F"


def _from_host(host: np.ndarray) -> Any:
    """An array that was pickled."""
    return sys.modules["cupy"].asarray(host)


def array_class(hardware: Hardware) -> type:
    """The class `cupy.ndarray` on these devices."""

    class ndarray:  # noqa: N801
        __array_priority__ = 100
        __hash__ = None  # type: ignore[assignment]
        __slots__ = ("__weakref__", "_host", "_memory")
        strict = True
        _host: np.ndarray
        _memory: Memory | Borrowed

        def __new__(
            cls, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
        ) -> Any:
            check_dtype(dtype)
            if memptr is not None or strides is not None:
                raise NotImplementedError("arrays over memory of others")
            made = np.empty(shape, dtype, order)  # type: ignore[call-overload]
            made.reshape(-1, order="A").view(np.uint8)[...] = 0xFF
            return wrap(made)

        # -- what it is

        dtype = property(lambda self: self._host.dtype)
        shape = property(lambda self: self._host.shape)
        strides = property(lambda self: self._host.strides)
        ndim = property(lambda self: self._host.ndim)
        size = property(lambda self: self._host.size)
        itemsize = property(lambda self: self._host.itemsize)
        nbytes = property(lambda self: self._host.nbytes)
        T = property(lambda self: view(self, self._host.T))
        mT = property(lambda self: view(self, self._host.mT))  # noqa: N815
        real = property(lambda self: view(self, self._host.real))
        imag = property(lambda self: view(self, self._host.imag))

        @property
        def device(self) -> Any:
            return hardware.module.cuda.Device(self._memory.device)

        @property
        def data(self) -> Any:
            return SimpleNamespace(
                ptr=self._host.ctypes.data, mem=self._memory, device_id=self._memory.device, device=self.device
            )

        @property
        def base(self) -> Any:
            return None if self._host is self._memory.root else self

        @property
        def flags(self) -> Any:
            return Flags(self._host)

        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            hardware.touch([self])
            host = self._host
            data = host.ctypes.data if host.size else 0
            strides = None if host.flags.c_contiguous else host.strides
            return {
                "shape": host.shape,
                "typestr": host.dtype.str,
                "strides": strides,
                "data": (data, False),
                "version": 3,
            }

        def __len__(self) -> int:
            return len(self._host)

        def __repr__(self) -> str:
            return f"strict {self._host!r}"

        # -- to the host

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise TypeError(IMPLICIT)

        def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
            order = order_of(self, order, out)
            if out is None and not self.size:
                return np.empty(self.shape, self.dtype)  # CuPy waits for nothing then
            source = self
            if not (self.flags.c_contiguous if order == "C" else self.flags.f_contiguous):
                with nullcontext() if stream is None else stream:
                    source = run("ascontiguousarray", lambda x: np.array(x, order=order), (self,))  # type: ignore[call-overload]
            host, to = source._host, np.empty(self.shape, self.dtype, order) if out is None else out  # type: ignore[call-overload]
            line = hardware.touch([source], line=None if stream is None else stream.timeline, later=True)
            hardware.begin(line, lambda: np.copyto(to, host))
            hardware.ledger.add(bytes_down=host.nbytes)
            if blocking or not is_pinned(to):
                hardware.wait(line.clock)
            return to  # type: ignore[no-any-return]

        def set(self, arr: Any, stream: Any = None) -> None:
            if not isinstance(arr, np.ndarray):
                raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
            if arr.dtype != self.dtype:
                raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
            if arr.shape != self.shape:
                raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
            if not self._host.flags.c_contiguous:
                raise RuntimeError("Cannot set to non-contiguous array")
            line = hardware.touch([], [self], None if stream is None else stream.timeline, later=True)
            hardware.ledger.add(bytes_up=arr.nbytes)
            hardware.uploads.append(len(arr) if arr.ndim else 1)
            host, before = self._host, arr.copy()
            there = arr if is_pinned(arr) else before  # CUDA has read other memory when the call returns

            def copy() -> None:
                if before.tobytes() != there.tobytes():
                    hardware.fault("pinned memory was changed while it was copied to the device", raises=False)
                np.copyto(host, there)

            hardware.begin(line, copy)

        def item(self) -> Any:
            if self.size != 1:
                raise ValueError("can only convert an array of size 1 to a Python scalar")
            return self.get().item()

        def tolist(self) -> Any:
            return self.get().tolist()

        def tobytes(self, order: str = "C") -> bytes:
            return self.get().tobytes(order)  # type: ignore[arg-type]

        def __bool__(self) -> bool:
            return bool(self.get())

        def __int__(self) -> int:
            return int(self.get())

        def __float__(self) -> float:
            return float(self.get())

        def __complex__(self) -> complex:
            return complex(self.get())

        def __format__(self, spec: str) -> str:
            return format(self.item(), spec) if self.ndim == 0 else format(self.get(), spec)

        def __iter__(self) -> Any:
            if self.ndim == 0:
                raise TypeError("iteration over a 0-d array")
            return (self[i] for i in range(len(self)))

        def __reduce__(self) -> Any:
            return _from_host, (self.get(),)

        def __copy__(self) -> Any:
            return self.copy()

        def __deepcopy__(self, memory: object) -> Any:
            return self.copy()

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, self._memory.device

        def __dlpack__(self, **_: Any) -> Any:
            raise BufferError("memory of a device")

        # -- NumPy's protocols, as CuPy's arrays answer them

        def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
            if "out" in options:
                (options["out"],) = options["out"]
            found = getattr(hardware.module, function.__name__, None)
            if found is None:
                return NotImplemented
            if method == "__call__":
                return found(*inputs, **options)
            return getattr(found, method)(*inputs, **options)

        def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
            place: Any = hardware.module
            for part in function.__module__.split(".")[1:]:
                place = getattr(place, part, None)
            found = getattr(place, function.__name__, None)
            if found is None or any(kind not in (ndarray, np.ndarray) for kind in types):
                return NotImplemented
            return found(*given, **options)

        # -- views, copies and items

        def view(self, dtype: Any = None, type: Any = None) -> Any:  # noqa: A002
            if type is not None:
                raise NotImplementedError("other classes of arrays")
            return view(self, self._host.view() if dtype is None else self._host.view(dtype))

        def astype(
            self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
        ) -> Any:
            if casting is not None or subok is not None:
                raise TypeError("casting and subok are not supported yet")
            check_dtype(dtype)
            if np.dtype(dtype) == self.dtype:
                return self.copy() if copy else self
            with np.errstate(all="ignore"):
                return run("astype", lambda x: without_subnormals(without_subnormals(x).astype(dtype)), (self,))

        def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Any:
            return hardware.module.searchsorted(self, v, side, sorter)

        def __getitem__(self, key: Any) -> Any:
            refuse_host(key)
            if any(part.dtype == bool for part in nested(key, ndarray)):
                hardware.wait(hardware.touch(list(nested(key, ndarray))).clock)
                hardware.ledger.add(bytes_down=8)
            if any(True for _ in nested(key, ndarray)):
                return run("getitem", lambda x, place: x[place], (self, key))
            places = key if isinstance(key, tuple) else (key,)
            return view(self, self._host[key if ... in places else (*places, ...)])

        def __setitem__(self, key: Any, value: Any) -> None:
            refuse_host(key)
            refuse_host(value)
            read = [*nested(key, ndarray), *nested(value, ndarray)]
            hardware.touch(read, [self])
            place = mapped(key, ndarray, plain)
            hardware.ledger.add(operations=1, touched=bytes_of([*map(plain, read), self._host[place]]))
            with np.errstate(all="ignore"):
                self._host[place] = mapped(value, ndarray, plain)

    class Flags:
        def __init__(self, host: np.ndarray) -> None:
            self.c_contiguous, self.f_contiguous = host.flags.c_contiguous, host.flags.f_contiguous
            self.owndata = host.base is None

        def __getitem__(self, name: str) -> bool:
            return bool(getattr(self, name.lower()))

    def plain(array: Any) -> np.ndarray:
        return array._host  # type: ignore[no-any-return]

    def adopted(host: np.ndarray, memory: Memory | Borrowed) -> Any:
        made = object.__new__(ndarray)
        made._host, made._memory = host, memory
        return made

    def over(holder: Any) -> Any:
        """An array over memory that an object tells the address of, and that it keeps."""
        interface = holder.__cuda_array_interface__
        dtype, (address, _) = np.dtype(interface["typestr"]), interface["data"]
        size = int(np.prod(interface["shape"])) * dtype.itemsize
        if not size:
            return wrap(np.empty(interface["shape"], dtype))
        memory = hardware.memory_at(address)
        if memory is None:
            hardware.fault("an array over memory that is none of the device's")
            raise AssertionError
        start = address - memory.root.ctypes.data
        host = memory.root.reshape(-1).view(np.uint8)[start : start + size].view(dtype)
        if host.nbytes < size:
            hardware.fault("an array that reaches beyond its memory")
        return adopted(host.reshape(interface["shape"]), Borrowed(memory, holder))

    def wrap(host: Any) -> Any:
        """A new array on the device."""
        host = np.asarray(host)
        check_dtype(host.dtype)
        if host.base is not None:
            host = host.copy(order="K")
        return adopted(host, Memory(hardware, host))

    def view(array: Any, host: Any) -> Any:
        """Other rows, or another type, of the same memory."""
        if array._memory.freed:
            hardware.fault("an array is used after its memory was freed")
        return adopted(host, array._memory) if host.size else wrap(host)

    def root_of(host: np.ndarray) -> Any:
        while isinstance(host.base, np.ndarray):
            host = host.base
        return host

    def run(name: str, function: Callable[..., Any], given: Any, options: Any = None, *, written: Any = ()) -> Any:
        """What NumPy's function makes of arrays of the device, on the device."""
        arrays = list(nested([given, options or {}], ndarray))
        hardware.touch(arrays, written)
        with np.errstate(all="ignore"):
            result = function(*mapped(given, ndarray, plain), **mapped(options or {}, ndarray, plain))
        roots = {id(one._memory.root): one for one in arrays}
        hosts = {id(one._host): one for one in [*arrays, *written]}

        def owner_of(host: Any) -> Any:
            return roots.get(id(root_of(np.asarray(host))))

        made = result if isinstance(result, (tuple, list)) else [result]
        if any(owner_of(one) is None or any(one is to._host for to in written) for one in made):  # views are no kernels
            read = made if name in ("take", "getitem") else []  # the rows that are taken, and no others
            hardware.ledger.add(operations=1, touched=bytes_of([*map(plain, arrays[len(read) :]), *read, *made]))

        def back(host: Any) -> Any:
            if id(host) in hosts:
                return hosts[id(host)]
            owner = owner_of(host)
            return wrap(host) if owner is None else adopted(host, owner._memory)

        if isinstance(result, tuple):
            return tuple(map(back, result))
        return [*map(back, result)] if isinstance(result, list) else back(result)

    def run_into(out: Any, function: Callable[..., Any], given: Any, options: Any) -> Any:
        """The same into an array that is there: nothing is allocated."""
        arrays = list(nested(given, ndarray))
        hardware.touch(arrays, [out])
        hardware.ledger.add(operations=1, touched=bytes_of(map(plain, [*arrays, out])))
        with np.errstate(all="ignore"):
            np.copyto(out._host, function(*mapped(given, ndarray, plain), **options), casting="same_kind")
        return out

    def refuse_host(value: Any) -> None:
        """Refuse arrays of the host where arrays of the device are worked on."""
        for found in nested(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(found)}")

    def method(name: str) -> Callable[..., Any]:
        accepted = real.signature("ndarray", name)

        def call(self: Any, *given: Any, **options: Any) -> Any:
            refuse_host([given, options])
            if accepted is not None and not any(
                p.kind is inspect.Parameter.VAR_POSITIONAL for p in accepted.parameters.values()
            ):
                accepted.bind(self, *given, **options)
            if name in IN_PLACE:
                hardware.touch(list(nested(given, ndarray)), [self])
                hardware.ledger.add(operations=1, touched=self.nbytes)
                getattr(self._host, name)(*mapped(given, ndarray, plain), **options)
                return None
            out = [options["out"]] if options.get("out") is not None else []
            if name in COUNTING:
                hardware.wait(hardware.touch([self]).clock)
            return run(
                name, lambda x, *more, **rest: getattr(x, name)(*more, **rest), (self, *given), options, written=out
            )

        call.__name__ = name
        return call

    def operator(ufunc: str, *, swapped: bool) -> Callable[..., Any]:
        def call(self: Any, other: Any) -> Any:
            if other is None or isinstance(other, (str, list, tuple, dict)):
                return NotImplemented if not isinstance(other, (list, tuple)) else refuse_list(other)
            pair = (other, self) if swapped else (self, other)
            return getattr(hardware.module, ufunc)(*pair)

        return call

    def refuse_list(value: Any) -> Any:
        raise TypeError(f"Unsupported type {type(value)}")

    def in_place(ufunc: str) -> Callable[..., Any]:
        def call(self: Any, other: Any) -> Any:
            getattr(hardware.module, ufunc)(self, other, out=self)
            return self

        return call

    def unary(ufunc: str) -> Callable[..., Any]:
        return lambda self: getattr(hardware.module, ufunc)(self)

    for name in (*METHODS, *COUNTING, *IN_PLACE):
        setattr(ndarray, name, method(name))
    for name, ufunc in OPERATORS.items():
        setattr(ndarray, f"__{name}__", operator(ufunc, swapped=False))
        setattr(ndarray, f"__r{name}__", operator(ufunc, swapped=True))
        if name not in ("divmod", "matmul"):
            setattr(ndarray, f"__i{name}__", in_place(ufunc))
    for name, ufunc in COMPARISONS.items():
        setattr(ndarray, f"__{name}__", operator(ufunc, swapped=False))
    for name, ufunc in UNARY.items():
        setattr(ndarray, f"__{name}__", unary(ufunc))
    ndarray.__module__, ndarray.__qualname__ = "cupy", "ndarray"
    hardware.array_tools = SimpleNamespace(
        ndarray=ndarray,
        run=run,
        run_into=run_into,
        wrap=wrap,
        refuse_host=refuse_host,
        plain=plain,
        adopted=adopted,
        over=over,
    )
    return ndarray
