"""The checks of `gpuvgm doctor --gpu`: what a GPU must do for gpuvgm.

`CHECKS` is the list. A check is a function without arguments. It raises where something is wrong, and returns what it
found. Each runs in a process of its own: so none stops the others, whether it fails, crashes or hangs, and each can
choose where memory comes from.
"""

from __future__ import annotations

import copy
import json
import logging
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import partial, reduce, wraps
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

import gpuvgm
from gpuvgm.arrays import decimals
from gpuvgm.cli.console import BOUND_FAILED, DONE, CommandOutcome
from gpuvgm.cli.machine_checks import OPTIONAL, version_of
from gpuvgm.cli.record import commit, versions
from gpuvgm.engines import (
    DecodeTable,
    Device,
    Draw,
    EncodeTable,
    KernelTable,
    Lane,
    RowRules,
    Step,
    cuda_problem,
    every_program,
    get_engine,
    native_is_built,
)
from gpuvgm.errors import EnvironmentProblem, pip_command
from gpuvgm.io import with_wide_index
from gpuvgm.summary import Frame, Grid, Summary

Found = Mapping[str, Any]
Columns = dict[str, Any]

OK, FAILED, NOT_RUN = "ok", "failed", "not run"
#: What the process of a check runs; tests put the software device here.
START = "from gpuvgm.cli.gpu_checks import main"
TIMEOUT = 600.0  # seconds of a check

LEAST_CAPABILITY = (7, 5)
ROWS = 9_001
FILES = 20
PAST_2_31_BYTES = (1 << 28) + (1 << 20)  # rows of float64: the last 2^20 lie beyond
ROW_BYTES = 32  # of a row, of what is made of it, and room beside
SUMMARY_BYTES = 1 << 28  # of the cells of a summary, and some more
ONEHOT_CODES = 10
SETTINGS: dict[str, Any] = {"effort": "research", "max_iter": 30}
COLUMNS: dict[str, Any] = {
    "amount": {"kind": "mixed", "modal": [0.0]},
    "category": "categorical",
    "truth": "categorical",
    "logs": {"kind": "continuous", "log": True},
    "scaled": {"kind": "mixed", "modal": [0.0], "asinh": 8.0, "tails": "modes"},
    "counted": {"kind": "mixed", "modal": [0], "tails": "modes"},
    "range": "general",
    "small": "continuous",
    "half": "continuous",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Parameters
    ----------
    name : str
        Name of the check.
    needs : tuple of str
        Packages beside CuPy, by the names that they are imported by.
    run : callable
        Raises where something is wrong; else gives what it found.
    gpus : int
        Number of GPUs that it needs.
    cluster : bool
        Whether it belongs to `--cluster`.
    """

    name: str
    needs: tuple[str, ...]
    run: Callable[[], Found]
    gpus: int = 1
    cluster: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a check.

    Parameters
    ----------
    name : str
        Name of the check.
    status : {"ok", "failed", "not run"}
        Whether it succeeded.
    seconds : float
        Seconds that its process ran.
    found : mapping
        Figures that it returned.
    error : str
        Why it failed, or was not run.
    traceback : str
        Traceback of the failure, for reports.
    """

    name: str
    status: str
    seconds: float = 0.0
    found: Found = field(default_factory=dict)
    error: str = ""
    traceback: str = ""


# -- running


def run_check(check: Check) -> Result:
    """Run a check in a process of its own, if this machine has what it needs."""
    lack = lack_of(check)
    if lack is not None:
        return Result(check.name, NOT_RUN, error=lack)
    begin = time.perf_counter()
    # The process imports the same modules as this one.
    code = f"import sys; sys.path[:] = {sys.path!r}; {START}; main({check.name!r})"
    try:
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return Result(check.name, FAILED, TIMEOUT, error=f"it had not ended after {TIMEOUT:g} s")
    seconds = time.perf_counter() - begin
    try:
        answer = json.loads(process.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last_line = (process.stderr.splitlines() or [""])[-1]
        error = f"its process ended with exit code {process.returncode}: {last_line}"
        return Result(check.name, FAILED, seconds, error=error, traceback=process.stderr)
    return Result(check.name, FAILED if answer["error"] else OK, seconds, **answer)


def lack_of(check: Check) -> str | None:
    """Describe what this machine lacks for a check; None where it has all."""
    for package in check.needs:
        if util.find_spec(package) is None:
            return f"{package} is not installed: {pip_command('cuda')}"
    gpus = import_module("cupy").cuda.runtime.getDeviceCount()
    return f"it needs {check.gpus} GPUs, and finds {gpus}" if gpus < check.gpus else None


def main(name: str) -> None:
    """Run a check in its process, and print its result as one line of JSON, the last of the output."""
    from gpuvgm.table import jsonable

    (check,) = [check for check in CHECKS if check.name == name]
    figures: Found = {}
    error = trace = ""
    try:
        figures = check.run()
    except Exception as problem:
        error, trace = _describe_error(problem), traceback.format_exc()
    answer = jsonable({"found": figures, "error": error, "traceback": trace})
    sys.stdout.write(f"\n{json.dumps(answer, allow_nan=False)}\n")


def _describe_error(problem: Exception) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


def examine(tell: Callable[[str], None], *, cluster: bool, compile_only: bool) -> CommandOutcome:
    """Run the checks one after the other, whether or not they succeed.

    Parameters
    ----------
    tell : callable
        Called with a line for each check when it ends.
    cluster : bool
        Whether those of clusters are among them.
    compile_only : bool
        Compile the kernels, and check nothing else.

    Raises
    ------
    EnvironmentProblem
        Without a GPU that CuPy can use.
    """
    problem = cuda_problem()
    if problem is not None:
        raise EnvironmentProblem(str(problem))
    checks = [check for check in CHECKS if check.run is compile_kernels] if compile_only else CHECKS
    results = []
    for check in checks:
        if cluster or not check.cluster:
            results.append(run_check(check))
            tell(f"{check.name}: {results[-1].status} ({results[-1].seconds:.1f} s)")
    faults = [result.name for result in results if result.status == FAILED]
    document = {
        "device": next((result.found for result in results if result.name == CHECKS[0].name), {}),
        "versions": {**versions(), **{name: version_of(names) for name, names in OPTIONAL.items()}},
        "commit": commit(),
        "system": platform.platform(),
        "checks": [asdict(result) for result in results],
    }
    return CommandOutcome(
        document, [_results_table(results)], BOUND_FAILED if faults else DONE, [f"failed: {name}" for name in faults]
    )


def _results_table(results: Sequence[Result]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("check", "result"):
        table.add_column(heading, no_wrap=True)
    table.add_column("s", justify="right")
    table.add_column("found", overflow="fold")
    for result in results:
        figures = {name: value for name, value in result.found.items() if not isinstance(value, Mapping)}
        text = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        table.add_row(result.name, result.status, f"{result.seconds:.1f}", result.error or text)
    return table


# -- the device and its compiler


def look_at_device() -> Found:
    """Versions of driver and compiler, and architecture."""
    cuda = _cuda().device.cuda
    runtime, number = cuda.runtime, int(cuda.Device().id)
    properties = runtime.getDeviceProperties(number)
    capability, driver = (int(properties["major"]), int(properties["minor"])), int(runtime.driverGetVersion())
    if capability < LEAST_CAPABILITY:
        raise RuntimeError(f"compute capability {_dotted(capability)} is older than {_dotted(LEAST_CAPABILITY)}")
    compiler = tuple(map(int, cuda.nvrtc.getVersion()))
    if compiler[0] > driver // 1000:
        raise RuntimeError(
            f"the driver is one of CUDA {driver // 1000}, CuPy's compiler of {compiler[0]}: {pip_command('cuda')}"
        )
    free_bytes, total_bytes = cuda.Device().mem_info
    name = properties["name"]
    return {
        "device": name.decode() if isinstance(name, bytes) else str(name),
        "gpus": int(runtime.getDeviceCount()),
        "compute_capability": _dotted(capability),
        "memory_gib": round(int(total_bytes) / 2**30, 1),
        "free_gib": round(int(free_bytes) / 2**30, 1),
        "driver": driver,
        "runtime": int(runtime.runtimeGetVersion()),
        "nvrtc": _dotted(compiler),
    }


def _dotted(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


def compile_kernels() -> Found:
    """Every kernel, compiled or from CuPy's cache."""
    device, seconds = _cuda().device, {}
    for program in every_program():
        begin = time.perf_counter()
        device.compile(program)
        seconds[program.name] = round(time.perf_counter() - begin, 3)
    device.cuda.get_current_stream().synchronize()
    slowest = max(seconds, key=lambda name: seconds[name])
    total = round(sum(seconds.values()), 1)
    return {"kernels": len(seconds), "total_seconds": total, "slowest": slowest, "seconds": seconds}


def measure_latencies() -> Found:
    """Latencies of the device."""
    figures: Found = _cuda().device.latencies()
    return figures


# -- the engine against the host's


def check_summary() -> Found:
    """Summaries of rows on the device, of rows of the host, and block by block."""
    engine, host, x, rules = _cuda(), _host(), _skewed_numbers(), RowRules(step=Step(1, 100, "float64"))
    x[:9] = [np.inf, -np.inf, -0.0, 5e-324, 1e-40, 1e308, -1e300, 1e22, 0.07]
    grid = Grid.around(x)
    expected = host.summarise(x, grid, rules)
    _check_same_summary("rows on the device", engine.summarise(engine.device.xp.asarray(x), grid, rules), expected)
    _check_same_summary("rows of the host", engine.summarise(x, grid, rules), expected)
    accumulator = engine.running_summary(grid, rules)
    for block in np.array_split(x, 3):
        accumulator.add(engine.device.xp.asarray(block))
    _check_same_summary("block by block", accumulator.summary(), expected)
    return {"cells": len(expected.cell), "host": host.name}


def check_past_2_31_bytes() -> Found:
    """Encode, decode, summary and one-hot rows over arrays of more than 2^31 bytes, or as far as memory goes."""
    engine, host = _cuda(), _host()
    xp, room = engine.device.xp, max(1 << 14, int(engine.device.free_memory) - SUMMARY_BYTES) // ROW_BYTES
    tile = _skewed_numbers(min(1 << 20, room // 4))
    size = len(tile)
    tiles = min(PAST_2_31_BYTES // size, room // size)
    rows, table, draw = tiles * size, _draw_table(), Draw(3, 5)
    x = xp.empty(rows, np.float64)
    for start in range(0, rows, size):
        x[start : start + size] = xp.asarray(tile)
    scalar, code, decoded = xp.empty(rows, np.float32), xp.empty(rows, np.int8), xp.empty(rows, np.float64)
    engine.encode(x, RowRules(), table, draw, (scalar, code))
    means, widths = np.append(table.mixture.means[:7], np.nan), np.append(table.widths, 0.0)
    inverse = DecodeTable(table.mixture.frame, means, widths, table.limit)
    engine.decode(scalar, code, RowRules(), inverse, decoded)
    for part in (slice(0, size), slice(rows - size, rows)):
        host_rows: Any = np.empty(size, np.float32), np.empty(size, np.int8), np.empty(size)
        host.encode(tile, RowRules(), table, Draw(3, 5, part.start), host_rows[:2])
        host.decode(*host_rows[:2], RowRules(), inverse, host_rows[2])
        for name, actual, expected in zip(("scalar", "code"), (scalar, code), host_rows, strict=False):
            _check_equal(f"{name} of rows {part.start} to {part.stop}", actual[part], expected)
        _check_equal("the inverse", decoded[part], host_rows[2], _inverse_tolerance())
    grid = Grid.around(tile)
    expected = reduce(Summary.merge, [host.summarise(tile, grid)] * tiles)
    _check_same_summary("the summary", engine.summarise(x, grid), expected)
    del x, decoded
    width = 4 * (1 + ONEHOT_CODES)
    wide = min(rows, 8 * PAST_2_31_BYTES // width, int(engine.device.free_memory) // (2 * width))
    matrix = xp.empty((wide, 1 + ONEHOT_CODES), np.float32)
    engine.fill_onehot([(scalar[:wide], code[:wide], ONEHOT_CODES)], matrix)
    columns = xp.empty(wide, np.float32), xp.empty(wide, np.int8)
    engine.read_onehot(matrix, [(*columns, np.arange(ONEHOT_CODES), True)])
    for name, actual, expected in zip(("scalar", "code"), columns, (scalar, code), strict=True):
        _check_equal(f"the last {name} of one-hot rows", actual[-size:], _download(expected[wide - size : wide]))
    return {"rows": rows, "bytes": 8 * rows, "onehot_bytes": int(matrix.nbytes)}


def check_lack_of_memory() -> Found:
    """With a mebibyte of memory left, the host does the work and logs it; with more, the device does."""
    engine, host, x = _cuda(), _host(), _skewed_numbers()
    pool, grid = engine.device.xp.get_default_memory_pool(), Grid.around(x)
    expected = host.summarise(x, grid)
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + (1 << 20))
    try:
        with _log_messages() as messages:
            _check_same_summary("with a mebibyte left", engine.summarise(x, grid), expected)
    finally:
        pool.set_limit(size=0)
    _check_same_summary("with memory again", engine.summarise(engine.device.xp.asarray(x), grid), expected)
    if not messages:
        raise AssertionError("the log does not say that the host does the work")
    return {"told": messages}


@contextmanager
def _log_messages() -> Iterator[list[str]]:
    """Messages that gpuvgm logs in the body."""
    messages: list[str] = []
    handler, logger = logging.Handler(logging.WARNING), logging.getLogger("gpuvgm")
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


# -- tables against the host's


def check_fit() -> Found:
    """EM over cells: models of columns of every type of arrays, and of the default search, are those of the host."""
    rows = columns_of_arrays()
    _check_same_models(_fit(rows), _fit(_columns_on_device(rows), engine="cuda"))
    few_columns = {name: rows[name] for name in ("amount", "gaps", "single")}
    search = {"effort": "auto", "max_iter": 100}
    _check_same_models(_fit(few_columns, **search), _fit(_columns_on_device(few_columns), engine="cuda", **search))
    return {"columns": len(rows), "host": _host().name}


def check_em_over_rows() -> Found:
    """Exact EM over rows on the device and rows of the host, one feature and three, equal to 1e-9."""
    features = np.stack([_skewed_numbers(seed=seed, missing=False) for seed in range(3)], axis=1)
    for count in (1, 3):
        x = np.ascontiguousarray(features[:, :count])
        expected = _estimator(_host().name, x).fit(x)
        for place in (x, _upload(x)):
            _check_same_mixtures(f"{count} features", _estimator("cuda", x).fit(place), expected)
    return {}


def check_transform() -> Found:
    """Modes, scalars and modes that hold their rows: of rows on the device and of the host."""
    model, device_model = _models()
    rows = columns_of_arrays(seed=1)
    for mode in ("sample", "argmax"):
        for dtype in ("float32", "float64"):
            expected = model.transform(rows, mode=mode, dtype=dtype)
            for place in (rows, _columns_on_device(rows)):
                _check_same_columns(device_model.transform(place, mode=mode, dtype=dtype), expected)
    return {}


def check_inverse() -> Found:
    """Decoded columns."""
    model, device_model = _models()
    encoded = model.transform(columns_of_arrays(seed=1))
    expected, valid = model.inverse_transform(encoded, return_valid=True)
    for place in (encoded, _columns_on_device(encoded)):
        actual, actual_valid = device_model.inverse_transform(place, return_valid=True)
        _check_same_columns(actual, expected, _inverse_tolerance())
        _check_equal("valid", actual_valid, valid)
    return {}


def check_onehot() -> Found:
    """Rows of the one-hot matrix, written and read."""
    model, device_model = _models()
    rows = columns_of_arrays(seed=1)
    expected = model.transform(rows, layout="onehot")
    matrix = device_model.transform(_columns_on_device(rows), layout="onehot")
    _check_equal("the matrix", matrix, expected)
    _check_same_columns(device_model.inverse_transform(matrix), model.inverse_transform(expected), _inverse_tolerance())
    return {"columns": int(expected.shape[1])}


def check_synthesizer() -> Found:
    """Joint counts of a table's columns, and rows that are drawn."""
    rows = columns_of_arrays()
    kinds = {name: kind for name, kind in COLUMNS.items() if name in rows}
    expected = gpuvgm.TableSynthesizer(kinds, engine=_host().name).fit(rows)
    for place in (rows, _columns_on_device(rows)):
        actual = gpuvgm.TableSynthesizer(kinds, engine="cuda").fit(place)
        _check_same_counts(expected, actual)
        _check_same_columns(actual.sample(ROWS), expected.sample(ROWS))
    return {}


def check_within(place: Callable[[Any], Any]) -> Found:
    """Fit, transform and inverse, after the engine was started elsewhere.

    Parameters
    ----------
    place : callable
        Gives a stream or a device of `cupy.cuda`.
    """
    with place(_cuda().device.cuda):
        rows = columns_of_arrays()
        _check_same_models(_fit(rows), _fit(_columns_on_device(rows), engine="cuda"))
        check_transform()
        check_inverse()
    return {}


# -- cuDF


def check_cudf(resource: Callable[[Any], Any] | None = None) -> Found:
    """Frames with a column of each type, without and with nulls, from an offset on: fitted, encoded and decoded.

    Parameters
    ----------
    resource : callable or None
        Gives the resource of `rmm.mr` that both libraries take memory from; by default each has a pool of its own.
    """
    if resource is not None:
        mr = import_module("rmm").mr
        mr.set_current_device_resource(resource(mr))
        import_module("cupy").cuda.set_allocator(import_module("rmm.allocators.cupy").rmm_cupy_allocator)
    columns = _arrow_columns()
    columns |= {f"{name} with nulls": _with_nulls(array) for name, array in columns.items()}
    try:
        _check_types(columns)
    except Exception as problem:
        wrong = "; ".join(_wrong_types(columns))
        raise RuntimeError(wrong or f"columns together, not apart: {_describe_error(problem)}") from problem
    return {"columns": len(columns), "allocator": _first_allocator()}


def _check_types(columns: Mapping[str, pa.Array[Any]]) -> None:
    table = pa.table({**columns})
    frame = import_module("cudf").DataFrame.from_arrow(table).iloc[7:]
    _check_same_tables(_arrow_of(frame), table.slice(7))
    _check_cudf_frame(frame)


def _wrong_types(columns: Mapping[str, pa.Array[Any]]) -> Iterator[str]:
    """Problems of columns, each checked alone."""
    for name, array in columns.items():
        try:
            _check_types({name: array})
        except Exception as problem:
            yield f"{name}: {_describe_error(problem)}"


def _check_cudf_frame(frame: Any) -> None:
    """A frame of cuDF against the table that it gives."""
    table = _arrow_of(frame)
    fields = [field.with_type(with_wide_index(field.type)) for field in table.schema]
    table = table.cast(pa.schema(fields))
    model, device_model = _fit(table, kinds=None), _fit(frame, kinds=None, engine="cuda")
    _check_same_models(model, device_model)
    encoded, expected = device_model.transform(frame), model.transform(table)
    _check_same_tables(_arrow_of(encoded), expected)
    _check_same_tables(_arrow_of(device_model.inverse_transform(encoded)), model.inverse_transform(expected))
    if repr(encoded.index) != repr(frame.index):
        raise AssertionError(f"index {encoded.index!r} in the place of {frame.index!r}")


def check_parquet() -> Found:
    """A file that cuDF reads into the device, against Arrow's reading."""
    table = pa.table({name: _with_nulls(array) for name, array in _arrow_columns().items()})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(table, path, row_group_size=2500)
        model, device_model = _fit(path, kinds=None), _fit(path, kinds=None, engine="cuda")
        _check_same_models(model, device_model)
        actual, expected = device_model.transform(path), model.transform(path)
    _check_same_tables(actual, expected)
    return {"columns": len(table.column_names)}


def check_spilling() -> Found:
    """The checks of frames with cuDF's spilling on; columns that were read may be spilled again."""
    cudf = import_module("cudf")
    cudf.set_option("spill", val=True)
    figures = check_cudf()
    frame = cudf.DataFrame({"x": np.arange(1000.0)})
    owner = frame["x"]._column.plc_column.data().owner
    (block,) = gpuvgm.io.open_source(frame).blocks(["x"], 1000)
    if owner.spillable:
        raise RuntimeError("cuDF may spill a column that is being read")
    del block  # and with it the lock on its buffer
    if owner.exposed or not owner.spillable:
        raise RuntimeError("a column that was read can be spilled no more")
    owner.spill(target="cpu")
    _check_cudf_frame(frame)
    return figures


def _rmm_pool(mr: Any) -> Any:
    return mr.PoolMemoryResource(mr.CudaMemoryResource(), initial_pool_size=1 << 30)


def _first_allocator() -> str:
    return gpuvgm.doctor().devices[0].allocator


# -- clusters


def check_cluster(workers: int | None) -> Found:
    """Twenty small files by workers with a GPU each: fit, exact fit, transform, inverse and the estimator.

    Parameters
    ----------
    workers : int or None
        Number of workers; by default one for every GPU.
    """
    random = np.random.default_rng(5)
    rows = FILES * 1500
    mixture = np.where(random.random(rows) < 0.4, random.normal(-3, 0.5, rows), random.normal(4, 2, rows))
    table = pa.table({"two": pa.array(mixture), "gaps": _with_nulls(pa.array(_skewed_numbers(rows, missing=False)))})
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            pq.write_table(table.slice(number * 1500, 1500), Path(folder) / f"part-{number:02}.parquet")
        with gpuvgm.cluster(workers=workers, gpus=True) as client:
            for allocator in client.run(_first_allocator).values():
                if not allocator.startswith("RMM, TrackingResourceAdaptor over PoolMemoryResource"):
                    raise RuntimeError(f"CuPy on a worker takes memory from {allocator}")
            client.run(start_counting)
            frame = import_module("dask_cudf").read_parquet(folder)
            _check_lazy(table, frame)
            counts = client.run(stop_counting)
    return {"workers": len(counts), **{str(worker): costs for worker, costs in counts.items()}}


def _check_lazy(table: pa.Table, frame: Any) -> None:
    """A frame of Dask against the same rows in this process."""
    model = _fit(table, kinds=None)
    device_model = _fit(frame, kinds=None, engine="auto")
    _check_same_models(model, device_model)
    encoded, expected = device_model.transform(frame), model.transform(table)
    _check_same_tables(_arrow_of(encoded.compute()), expected)
    _check_same_tables(_arrow_of(device_model.inverse_transform(encoded).compute()), model.inverse_transform(expected))
    exact: Any = _fit(table, kinds=None, algorithm="exact")
    actual: Any = _fit(frame, kinds=None, engine="auto", algorithm="exact")
    for name, column in exact.columns_.items():
        _check_equal(f"means of {name}, exact", actual.columns_[name].means, column.means, 1e-9)
    x = table["two"].to_numpy()[:, None]
    _check_same_mixtures("the estimator", _estimator("auto", x).fit(frame[["two"]]), _estimator(_host().name, x).fit(x))


_COUNTED: Counter[str] = Counter()
_WATCHED: list[tuple[Any, str, Any]] = []


def start_counting() -> None:
    """Count bytes across the bus, waits of the host, and reads of files in this process."""
    if _WATCHED:
        return
    _watch(Device, "to_host", lambda _, array: {"waits": 1, "bytes_down": array.nbytes})
    _watch(Lane, "wait", lambda *_: {"waits": 1})
    _watch(Lane, "upload", lambda _, array: {"bytes_up": array.nbytes})
    _watch(Lane, "download", lambda _, array, out: {"bytes_down": out.nbytes})
    _watch(import_module("cudf"), "read_parquet", lambda *_, **__: {"reads_by_cudf": 1})
    _watch(pq.ParquetFile, "iter_batches", lambda *_, **__: {"reads_by_arrow": 1})


def stop_counting() -> dict[str, int]:
    """Return the counts since `start_counting`."""
    while _WATCHED:
        owner, name, function = _WATCHED.pop()
        setattr(owner, name, function)
    return dict(_COUNTED)


def _watch(owner: Any, name: str, costs: Callable[..., Mapping[str, int]]) -> None:
    function = getattr(owner, name)

    @wraps(function)
    def watched(*arguments: Any, **options: Any) -> Any:
        _COUNTED.update(costs(*arguments, **options))
        return function(*arguments, **options)

    _WATCHED.append((owner, name, function))
    setattr(owner, name, watched)


# -- rows and models


def _cuda() -> Any:
    return get_engine("cuda")


def _arrow_of(frame: Any) -> pa.Table:
    """A frame of cuDF as a table of Arrow."""
    return pa.table({name: frame[name].to_arrow() for name in frame.columns})


def _host() -> Any:
    """The engine whose results are correct: the native one, or the reference where that was not built."""
    return get_engine("native" if native_is_built() else "reference")


def _inverse_tolerance() -> float:
    """Tolerance of decoded numbers, which the reference engine rounds twice."""
    return 0.0 if native_is_built() else 1e-12


def _upload(values: np.ndarray) -> Any:
    return _cuda().device.xp.asarray(values)


def _download(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _download(array) for name, array in values.items()}
    return values.get() if hasattr(values, "get") else values


def _columns_on_device(columns: Mapping[str, np.ndarray]) -> Columns:
    return {name: _upload(values) for name, values in columns.items()}


def _skewed_numbers(rows: int = ROWS, seed: int = 0, *, missing: bool = True) -> np.ndarray:
    """A skewed column."""
    x = np.random.default_rng(seed).lognormal(2, 1, rows)
    if missing:
        x[::11] = np.nan
    return x


def columns_of_arrays(seed: int = 0, rows: int = ROWS) -> dict[str, np.ndarray]:
    """A column of every type of arrays; of scales, of modal values with tails, and of subnormal numbers."""
    random = np.random.default_rng(seed)
    amount = np.round(np.exp(random.normal(2, 1, rows)), 2)
    amount[::7] = 0.0
    gaps = random.normal(0, 1, rows) + 5 * random.integers(0, 2, rows)
    gaps[5::11] = np.nan
    return {
        "amount": amount,
        "gaps": gaps,
        "single": random.normal(1e3, 1, rows).astype(np.float32),
        "half": random.normal(0, 1, rows).astype(np.float16),
        "large": random.integers(2**60, 2**60 + 10**6, rows),
        "small": random.integers(0, 120, rows).astype(np.int8),
        "wide": random.integers(2**63, 2**63 + 5000, rows, dtype=np.uint64),
        "category": random.integers(0, 4, rows),
        "truth": random.integers(0, 2, rows).astype(np.bool_),
        "logs": np.exp(random.normal(0, 1, rows)),
        "scaled": np.append(0.0, np.round(np.exp(random.normal(1, 2, rows - 1)), 2)),
        "counted": random.negative_binomial(1, 0.01, rows).astype(np.int32),
        "range": random.uniform(-3, 8, rows),
        "subnormal": 1e-310 * random.normal(3, 1, rows),
        "subnormal single": (1e-39 * random.normal(3, 1, rows)).astype(np.float32),
    }


def _arrow_columns() -> dict[str, pa.Array[Any]]:
    """A column of every type that cuDF has."""
    random = np.random.default_rng(8)
    ints = random.integers(0, 120, ROWS)
    cents, seconds = random.integers(10**5, 10**6, ROWS), random.integers(10**9, 2 * 10**9, ROWS)
    numbers = {name: pa.array(ints.astype(name)) for name in ("int8", "int16", "int32", "uint8", "uint16", "uint32")}
    units: dict[Any, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    moments = {f"timestamp {unit}": pa.array(seconds * n).cast(pa.timestamp(unit)) for unit, n in units.items()}
    lengths = {f"duration {unit}": pa.array(ints * n).cast(pa.duration(unit)) for unit, n in units.items()}
    decimal_types: Any = {f"decimal{bits}": getattr(pa, f"decimal{bits}") for bits in (32, 64, 128)}
    decimal_columns = {name: decimals(cents, make(9, 2), None) for name, make in decimal_types.items()}
    return {
        **numbers,
        "int64": pa.array(2**60 + ints),
        "uint64": pa.array(2**63 + ints.astype(np.uint64)),
        "float32": pa.array(random.normal(5, 2, ROWS).astype(np.float32)),
        "float64": pa.array(random.normal(5, 2, ROWS)),
        "bool": pa.array(random.random(ROWS) < 0.3),
        "string": pa.array(random.choice(["a", "b", "c"], ROWS)),
        "category": pa.array(random.choice(["x", "yy", "z"], ROWS)).dictionary_encode(),
        "many categories": pa.array([f"word {number % 300}" for number in range(ROWS)]).dictionary_encode(),
        **moments,
        "zoned": pa.array(seconds * 10**6).cast(pa.timestamp("us", tz="Europe/Berlin")),
        **lengths,
        **decimal_columns,
        "wide decimal128": decimals(cents, pa.decimal128(30, 2), None),
    }


def _with_nulls(array: pa.Array[Any]) -> pa.Array[Any]:
    rows = np.arange(len(array))
    places: Any = pa.array(rows, mask=rows % 5 == 1)
    return array.take(places)


def _draw_table() -> EncodeTable:
    """Ten components, of which seven may be drawn."""
    k = np.arange(10.0)
    mixture = KernelTable(Frame(1.0, 0.0), k * k * 2.0 - 3.0, 0.7 / (1.0 + k * k) ** 1.5, -0.3 * k)
    widths = 4 * np.sqrt(0.7 / mixture.half_precisions[:7])
    return EncodeTable(mixture, widths, np.arange(7), 1e-6, 0.99, 7)


def _fit(rows: Any, kinds: Any = COLUMNS, **settings: Any) -> gpuvgm.TableTransformer:
    if isinstance(kinds, Mapping):
        kinds = {name: kind for name, kind in kinds.items() if name in rows}
    return gpuvgm.TableTransformer(kinds, **{"engine": _host().name, **SETTINGS, **settings}).fit(rows)


def _models() -> tuple[gpuvgm.TableTransformer, gpuvgm.TableTransformer]:
    """A model on the host, and its copy on the device."""
    model = _fit(columns_of_arrays())
    return model, copy.deepcopy(model).set_params(engine="cuda")


def _estimator(engine: Any, x: np.ndarray) -> gpuvgm.BayesianGaussianMixture:
    """An estimator whose first centres are the first rows."""
    return gpuvgm.BayesianGaussianMixture(
        n_components=3, max_iter=10, tol=0.0, algorithm="exact", init_params=x[:3], engine=engine
    )


# -- comparisons


def _check_equal(label: str, actual: Any, expected: Any, tolerance: float = 0.0) -> None:
    """Refuse arrays that differ by more than a tolerance; without one, in type or any bit but those of NaN."""
    actual, expected = np.asarray(_download(actual)), np.asarray(expected)
    if tolerance:
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, err_msg=label)
        return
    if actual.dtype != expected.dtype:
        raise AssertionError(f"{label}: {actual.dtype} in the place of {expected.dtype}")
    np.testing.assert_array_equal(actual, expected, err_msg=label)
    if expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(actual[numbers]), np.signbit(expected[numbers]), err_msg=label)


def _check_same_columns(actual: Mapping[str, Any], expected: Mapping[str, np.ndarray], tolerance: float = 0.0) -> None:
    if list(actual) != list(expected):
        raise AssertionError(f"columns {list(actual)} in the place of {list(expected)}")
    for name, values in expected.items():
        _check_equal(name, actual[name], values, tolerance if values.dtype.kind == "f" else 0.0)


def _check_same_tables(actual: pa.Table, expected: pa.Table) -> None:
    """Refuse a table with other columns, or other values in them."""
    if actual.column_names != expected.column_names:
        raise AssertionError(f"columns {actual.column_names} in the place of {expected.column_names}")
    for name in expected.column_names:
        values = actual[name].to_pylist(), expected[name].to_pylist()
        if values[0] == values[1]:
            continue
        for row, (value, reference) in enumerate(zip(*values, strict=True)):
            if repr(value) != repr(reference):  # NaN differs from NaN
                raise AssertionError(f"{name}: {value!r} in the place of {reference!r} in row {row}")


def _check_same_models(expected: gpuvgm.TableTransformer, actual: gpuvgm.TableTransformer) -> None:
    for name, column in expected.columns_.items():
        if repr(actual.columns_[name].to_json()) != repr(column.to_json()):
            raise AssertionError(f'the model of column "{name}" differs')


def _check_same_counts(expected: gpuvgm.TableSynthesizer, actual: gpuvgm.TableSynthesizer) -> None:
    for part in ("pairs", "triples"):
        for place, counts in enumerate(getattr(expected.network_.counts, part)):
            _check_equal(f"{part} of node {place}", getattr(actual.network_.counts, part)[place], counts)


def _check_same_mixtures(label: str, actual: Any, expected: Any) -> None:
    for name in ("means_", "covariances_", "weights_"):
        _check_equal(f"{name}, {label}", getattr(actual, name), getattr(expected, name), 1e-9)


def _check_same_summary(label: str, actual: Summary, expected: Summary) -> None:
    for part in fields(Summary):
        if part.name != "grid":
            np.testing.assert_array_equal(
                getattr(actual, part.name), getattr(expected, part.name), err_msg=f"{label}: {part.name}"
            )


RAPIDS = ("cudf", "rmm")
CLUSTER = ("cudf", "rmm", "dask_cudf", "dask_cuda")
CHECKS: Sequence[Check] = (
    Check("driver, NVRTC and architecture", (), look_at_device),
    Check("every kernel compiles", (), compile_kernels),
    Check("launch, wait and FP64 latency", (), measure_latencies),
    Check("summary", (), check_summary),
    Check("EM over cells: fit", (), check_fit),
    Check("EM over rows: exact, estimator", (), check_em_over_rows),
    Check("transform and hold", (), check_transform),
    Check("inverse", (), check_inverse),
    Check("one-hot", (), check_onehot),
    Check("joint counts and drawn rows", (), check_synthesizer),
    Check("past 2^31 bytes", (), check_past_2_31_bytes),
    Check("lack of memory", (), check_lack_of_memory),
    Check("another stream", (), partial(check_within, lambda cuda: cuda.Stream(non_blocking=True))),
    Check("a second device", (), partial(check_within, lambda cuda: cuda.Device(1)), gpus=2),
    Check("cuDF, CuPy's pool", RAPIDS, check_cudf),
    Check("cuDF, RMM's pool", RAPIDS, partial(check_cudf, _rmm_pool)),
    Check("cuDF, asynchronous memory", RAPIDS, partial(check_cudf, lambda mr: mr.CudaAsyncMemoryResource())),
    Check("cuDF, spilling", RAPIDS, check_spilling),
    Check("cuDF reads Parquet", RAPIDS, check_parquet),
    Check("cluster of one GPU", CLUSTER, partial(check_cluster, 1), cluster=True),
    Check("cluster of all GPUs", CLUSTER, partial(check_cluster, None), gpus=2, cluster=True),
)
