"""The strict device beside the installed CuPy: no name that it lacks, no argument, and its refusals."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.harness.device import real
from tests.harness.device.module import up
from tests.harness.device.streams import DeviceFault

OWN = {"hardware", "strict"}  # of the strict device alone


def public(place: Any) -> set[str]:
    return {name for name in dir(place) if not name.startswith("_")} - OWN


def dunder(place: Any) -> set[str]:
    return {name for name in dir(place) if name.startswith("__") and name.endswith("__")}


@pytest.mark.parametrize("place", ["", "ndarray", "cuda", "cuda.runtime", "cuda.memory", "cuda.Device", "cuda.Event"])
def test_it_has_no_name_that_cupy_lacks(strict_cupy: Any, place: str) -> None:
    strict, there = strict_cupy, real.cupy()
    for part in filter(None, place.split(".")):
        strict, there = getattr(strict, part), getattr(there, part)
    assert public(strict) - public(there) == set()


def test_arrays_have_no_protocol_that_cupys_lack(strict_cupy: Any) -> None:
    of_python = {"slots", "weakref", "dict", "annotations", "annotate", "firstlineno", "static_attributes"}
    own = dunder(strict_cupy.ndarray) - dunder(real.cupy().ndarray)
    assert {name.strip("_").removesuffix("_func").removesuffix("_cache") for name in own} <= of_python
    missing = {"__array_namespace__", "__array_interface__", "__index__", "__contains__", "ctypes"}
    assert not missing & set(dir(strict_cupy.ndarray))
    assert strict_cupy.ndarray.__module__ == real.cupy().ndarray.__module__
    assert not issubclass(strict_cupy.ndarray, np.ndarray)


def test_streams_have_what_cupys_have(strict_cupy: Any) -> None:
    assert public(strict_cupy.cuda.Stream) - public(real.cupy().cuda.Stream) <= {"device_id", "ptr", "timeline"}


REFUSED: dict[str, Any] = {
    "__array__": lambda x, _: np.asarray(x),
    "a function of NumPy that makes an array": lambda x, _: np.array([1.0, x[0]]),
    "host on the right": lambda x, host: x + host,
    "host on the left": lambda x, host: host + x,
    "a host array without dimensions": lambda x, host: x * np.array(2.0),
    "where": lambda x, host: x.__class__ and np.where(x > 1, x, host),
    "concatenate": lambda x, host: np.concatenate((x, host)),
    "a list": lambda x, _: x + [1.0] * 4,
    "items": lambda x, host: x.__setitem__(slice(None), host),
    "range": lambda x, _: range(x.astype(np.int64)[3]),
    "in place": lambda x, host: host.__iadd__(x),
    "hash": lambda x, _: {x},
    "ufuncs with where": lambda x, _: np.add(x, x, where=x > 1),
    "an argument that CuPy lacks": lambda x, _: x.sum(where=x > 1),
    "contiguous": lambda x, host: np.ascontiguousarray(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cupy_refuses(strict_cupy: Any, name: str) -> None:
    host = np.arange(4.0)
    if name == "contiguous":  # NumPy asks __array_function__, which is CuPy's
        assert isinstance(strict_cupy.ascontiguousarray(up(host)), strict_cupy.ndarray)
        with pytest.raises(TypeError):
            strict_cupy.ascontiguousarray(host)
        return
    with pytest.raises(TypeError):
        REFUSED[name](up(host), host)


def test_what_cupy_takes(strict_cupy: Any) -> None:
    x = up(np.arange(4.0))
    for found, expected in [
        (x + 1, [1, 2, 3, 4]),
        (np.float64(2) * x, [0, 2, 4, 6]),
        (np.sqrt(x * x), [0, 1, 2, 3]),
        (np.where(x > 1, x, 0.0), [0, 0, 2, 3]),
        (x[x > 1], [2, 3]),
        (x[up(np.array([3, 0]))], [3, 0]),
        (strict_cupy.concatenate((x, x[:1])), [0, 1, 2, 3, 0]),
        (strict_cupy.divmod(x, 2)[1], [0, 1, 0, 1]),
        (pickle.loads(pickle.dumps(x)), [0, 1, 2, 3]),
    ]:
        assert isinstance(found, strict_cupy.ndarray)
        assert found.tolist() == expected
    assert isinstance(x.sum(), strict_cupy.ndarray) and x.sum().shape == () and float(x.sum()) == 6.0
    assert isinstance(x[2], strict_cupy.ndarray) and x[2].item() == 2.0
    x[1:3] = 7.0
    x += 1
    assert x.tolist() == [1, 8, 8, 4]


def test_views_share_memory_and_copies_do_not(strict_cupy: Any) -> None:
    x = up(np.arange(6.0).reshape(2, 3))
    for view in (x[0], x.T, x.reshape(6), x.ravel(), x.view(np.uint64), x[:, None], strict_cupy.asarray(x)):
        assert view.data.mem is x.data.mem
    for copy in (x + 0, x.copy(), x[:, up(np.array([0]))], x.astype(np.float32), strict_cupy.array(x), x.flatten()):
        assert copy.data.mem is not x.data.mem
    assert x[0].data.ptr == x.data.ptr and not x.T.flags.c_contiguous and x.T.flags["F_CONTIGUOUS"]


def test_arithmetic_of_float32_takes_subnormal_numbers_for_zero(strict_cupy: Any) -> None:
    tiny = up(np.array([1e-40, 2.0**-126], np.float32))
    assert (tiny > 0).tolist() == [False, True]
    assert (tiny * np.float32(0.5)).tolist() == [0.0, 0.0]
    assert tiny.astype(np.float64).tolist() == [0.0, 2.0**-126]
    assert tiny.view(np.uint32).get()[0] == np.float32(1e-40).view(np.uint32)
    assert strict_cupy.where(up(np.array([True, False])), tiny, tiny).get()[0] == np.float32(1e-40)


def test_memory_that_was_not_written_is_not_zero(strict_cupy: Any) -> None:
    assert np.isnan(strict_cupy.empty(3).get()).all()
    assert strict_cupy.empty_like(up(np.zeros(2, np.uint8))).tolist() == [255, 255]


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "O", "U3", np.longdouble])
def test_types_that_cupy_lacks(strict_cupy: Any, dtype: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported dtype"):
        up(np.zeros(2, dtype))


def stream_after_null(cuda: Any) -> Any:
    """A stream that waits for what the null stream has been given so far."""
    stream = cuda.Stream(non_blocking=True)
    stream.wait_event(cuda.Stream.null.record())
    return stream


class TestStreams:
    """What a GPU gets wrong in silence."""

    @pytest.fixture(autouse=True)
    def _meant(self, strict_cupy: Any) -> Iterator[None]:
        """Faults of these tests are meant, and looked at where they happen."""
        yield
        strict_cupy.hardware.faults.clear()

    def test_another_stream_must_wait(self, strict_cupy: Any) -> None:
        cuda = strict_cupy.cuda
        x, other = up(np.arange(3.0)), cuda.Stream(non_blocking=True)
        with other, pytest.raises(DeviceFault, match="may still be writing"):
            _ = x + 1
        other.wait_event(cuda.Stream.null.record())
        with other:
            y = x + 1
        with pytest.raises(DeviceFault, match="may still be writing"):
            _ = y + 1
        other.synchronize()
        assert (y + 1).tolist() == [2, 3, 4]

    def test_blocking_streams_wait_for_the_null_stream(self, strict_cupy: Any) -> None:
        x = up(np.arange(3.0))
        with strict_cupy.cuda.Stream():
            y = x + 1
        assert (y * 2).tolist() == [2, 4, 6]

    def test_what_is_read_is_not_written(self, strict_cupy: Any) -> None:
        cuda = strict_cupy.cuda
        x = up(np.zeros(3))
        other = stream_after_null(cuda)
        with other:
            y = x + 1
        with pytest.raises(DeviceFault, match="may still be reading"):
            x[:] = 5.0
        other.synchronize()
        x[:] = 5.0
        assert y.data.mem.home is other.timeline

    def test_memory_is_not_freed_under_another_stream(self, strict_cupy: Any) -> None:
        cuda = strict_cupy.cuda
        x = up(np.zeros(3))
        other = stream_after_null(cuda)
        with other:
            _ = x + 1
        del x
        (fault,) = strict_cupy.hardware.faults
        assert "freed while" in str(fault)

    def test_freed_memory_is_not_used(self, strict_cupy: Any) -> None:
        x = up(np.zeros(3))
        x.data.mem.free()
        with pytest.raises(DeviceFault, match="freed"):
            _ = x + 1

    def test_copies_arrive_when_they_are_waited_for(self, strict_cupy: Any) -> None:
        cuda, x = strict_cupy.cuda, up(np.arange(3.0))
        pinned = np.frombuffer(cuda.alloc_pinned_memory(24), np.float64)
        stream = stream_after_null(cuda)
        x.get(stream=stream, out=pinned, blocking=False)
        assert list(pinned) == [0, 0, 0]
        stream.synchronize()
        assert list(pinned) == [0, 1, 2]
        with stream:
            y = strict_cupy.empty(3)
            y.set(pinned, stream=stream)
            pinned[:] = 9
        stream.synchronize()
        (fault,) = strict_cupy.hardware.faults
        assert "changed while it was copied" in str(fault)

    def test_a_stream_works_when_somebody_waits_for_it(self, strict_cupy: Any) -> None:
        """Streams that nothing puts in order do nothing for each other; an event brings what comes before it."""
        cuda = strict_cupy.cuda
        one, other = cuda.Stream(non_blocking=True), cuda.Stream(non_blocking=True)
        pinned = np.frombuffer(cuda.alloc_pinned_memory(24), np.float64)
        pinned[:] = 1.0
        with one:
            x = strict_cupy.empty(3)
            x.set(pinned)
        other.synchronize()
        assert np.isnan(x._host).all()
        other.wait_event(one.record())
        assert np.isnan(x._host).all()
        other.synchronize()
        assert list(x._host) == [1, 1, 1]

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_memory_that_another_stream_frees_is_poison_for_kernels_that_know_its_address(
        self, strict_cupy: Any, order: Any
    ) -> None:
        hardware, cuda = strict_cupy.hardware, strict_cupy.cuda
        x, read = up(np.ones((3, 2), order=order)), []
        kernel = cuda.Stream(non_blocking=True)
        hardware.begin(hardware.touch([], line=kernel.timeline, later=True), lambda host=x._host: read.append(host[0]))
        assert x._host.flags[f"{order}_CONTIGUOUS"]
        del x
        kernel.synchronize()
        assert np.isnan(read).all()

    def test_what_python_frees_in_the_midst_of_a_kernel_begins_nothing_after_it(
        self, strict_cupy: Any, request: pytest.FixtureRequest
    ) -> None:
        """Garbage is collected at any time; a copy that comes after the kernel would copy what it has not written."""
        request.addfinalizer(gc.enable)
        gc.disable()  # or another garbage's end does the kernel's work, in the midst of a collection
        hardware, x, garbage = strict_cupy.hardware, strict_cupy.empty(3), [up(np.zeros(3))]
        garbage.append(garbage)  # type: ignore[arg-type]
        freed = weakref.ref(garbage[0])
        del garbage

        def kernel(host: Any = x._host) -> None:
            assert gc.collect() and freed() is None
            host[...] = 1

        hardware.begin(hardware.touch([], [x], later=True), kernel)
        assert x.get().tolist() == [1, 1, 1]

    def test_whoever_waits_is_told_of_a_kernel_that_failed(self, strict_cupy: Any) -> None:
        hardware, done = strict_cupy.hardware, []
        problem = strict_cupy.cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress")

        def fail() -> None:
            raise problem

        x, stream = up(np.zeros(3)), strict_cupy.cuda.Stream(non_blocking=True)
        for call in (fail, lambda: done.append(True)):
            hardware.begin(hardware.touch([], line=stream.timeline, later=True), call)
        assert x.get().tolist() == [0, 0, 0]  # the null stream knows nothing of it yet
        for later in (stream.synchronize, x.get, lambda: x + 1, lambda: strict_cupy.empty(3)):
            with pytest.raises(type(problem), match="IllegalAddress"):
                later()
        assert not done

    def test_arrays_belong_to_one_device_and_threads_begin_on_the_first(self, strict_cupy: Any) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with strict_cupy.cuda.Device(1):
            x = up(np.zeros(3))
            assert x.device.id == 1 and (x + 1).device.id == 1
            with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="array device = 1 while current = 0"):
                pool.submit(lambda: x + 1).result()
        with pytest.raises(ValueError, match="Array device must be same"):
            _ = x + 1


class Anything:
    """No array of NumPy."""


@pytest.mark.parametrize(
    ("out", "problem", "message"),
    [
        (Anything(), TypeError, "Only numpy.ndarray"),
        (np.empty((2, 3), np.float32), TypeError, "float32 array cannot be obtained from float64 array"),
        (np.empty(6), ValueError, "Expected shape: .2, 3., actual shape: .6,."),
        (np.empty((2, 6))[:, ::2], RuntimeError, "non-contiguous"),
    ],
)
def test_arrays_of_the_host_that_cupy_does_not_copy_into(
    strict_cupy: Any, out: Any, problem: type[Exception], message: str
) -> None:
    x = up(np.arange(6.0).reshape(2, 3))
    with pytest.raises(problem, match=message):
        x.get(out=out)
    with pytest.raises(ValueError, match="unsupported order: K"):
        x.get(order="K")


def test_another_layout_costs_a_copy_on_the_device(strict_cupy: Any) -> None:
    x = up(np.arange(6.0).reshape(2, 3))
    cases: list[Any] = [
        (x, {}, 0),
        (x.T, {}, 1),
        (x.T, {"order": "A"}, 0),
        (x.T, {"order": "F"}, 0),
        (x, {"order": "F"}, 1),
        (x.T, {"out": np.empty((3, 2), order="F")}, 0),
        (x.T, {"out": np.empty((3, 2))}, 1),
        (x[:, ::2], {}, 1),
    ]
    for number, (array, options, copies) in enumerate(cases):
        with strict_cupy.hardware.ledger.stage(f"copy {number}") as entry:
            found = array.get(**options)
        assert found.tolist() == array._host.tolist()
        assert found.flags.f_contiguous == array.flags.f_contiguous or copies
        assert (entry.operations, entry.allocations, entry.synchronisations) == (copies, copies, 1)


def test_the_ledger_counts_by_stage(strict_cupy: Any) -> None:
    ledger = strict_cupy.hardware.ledger
    with ledger.stage("up") as rose:
        x = up(np.zeros(100))
    with ledger.stage("work") as work:
        y = x + 1
        with ledger.stage("down") as down:
            float(y.sum())
    assert (rose.bytes_up, rose.allocations, rose.allocated, rose.synchronisations) == (800, 1, 1024, 0)
    assert (work.operations, work.bytes_down, work.synchronisations) == (2, 8, 1)
    assert (down.operations, down.bytes_down) == (1, 8)
    assert ledger.all.bytes_up == 800 and "bytes_down 8" in str(ledger.all)


def test_the_ledger_knows_what_cupys_own_kernels_touch(strict_cupy: Any) -> None:
    ledger, x = strict_cupy.hardware.ledger, up(np.zeros(1000))
    with ledger.stage("new") as new:
        y = x + x[::2].repeat(2)
    assert (new.operations, new.touched, new.allocations) == (2, (500 + 1000 + 3 * 1000) * 8, 2)
    places = up(np.arange(10))
    with ledger.stage("taken") as taken:
        strict_cupy.take(x, places)
    assert (taken.operations, taken.touched) == (1, 3 * 10 * 8)
    with ledger.stage("in place") as there:
        y += x
        y[:100] = 1.0
        y.fill(2.0)
    assert (there.operations, there.touched, there.allocations) == (3, (3 * 1000 + 100 + 1000) * 8, 0)
    assert float(y[0]) == 2.0
    with ledger.stage("views") as views:
        assert len(x.reshape(10, 100).ravel().view(np.int64)[5:].T) == 995
    assert (views.operations, views.touched, views.allocations) == (0, 0, 0)


def test_memory_runs_out_and_comes_back(strict_cupy: Any) -> None:
    hardware = strict_cupy.hardware
    hardware.memory = 4096
    x = strict_cupy.zeros(256)
    with pytest.raises(strict_cupy.cuda.memory.OutOfMemoryError):
        strict_cupy.zeros(512)
    assert hardware.used[0] == 2048
    del x
    assert hardware.used[0] == 0


def test_kernels_take_the_types_that_they_read(strict_cupy: Any) -> None:
    from gpuvgm.engines.cuda.summary import CARRY
    from tests.engines.kernels import building

    if building.COMPILER is None:
        pytest.skip("no compiler")
    from gpuvgm.engines.cuda.programs import OPTIONS

    program = CARRY
    kernel = strict_cupy.RawModule(code=program.preamble(), options=OPTIONS).get_function(program.name)
    tables, totals = strict_cupy.zeros((1, 4, 2), np.uint64), strict_cupy.zeros(((1 << 22) + 4, 4), np.uint64)
    kernel((1,), (256,), (np.uint32(4), np.int32(1), tables, totals))
    with pytest.raises(AssertionError, match="takes arguments of other types"):
        kernel((1,), (256,), (np.uint64(4), np.int32(1), tables, totals))
    with pytest.raises(AttributeError, match="named symbol not found"):
        strict_cupy.RawModule(code=program.preamble(), options=OPTIONS).get_function("other")
    strict_cupy.hardware.faults.clear()
