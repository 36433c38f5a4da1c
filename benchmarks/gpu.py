"""The CUDA engine on a device: every kernel beside a copy of the same run, timed by the device's own events."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inputs import COLUMN, CONTINUOUS, amounts, fitted_column, lognormal, plan_for
from benchmarks.measure import Measurement
from gpuvgm import TableTransformer
from gpuvgm.engines import ChunkSums, add_chunks, get_engine, multivariate
from gpuvgm.engines.cuda import CudaEngine
from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import OPTIONS
from gpuvgm.engines.cuda.variants import every_program
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import Draw, DrawTable

REPEATS = 7
COPY = "copy on the device"
BUS = "copy to the device"
PREDICTION, RATIO = "predicted, ms for 1e9 rows", "measured by predicted"
ROW_BYTES = 40  # of a row, in all arrays that are there at a time
DIFFERENT = 1 << 24  # rows that differ; more are these again
QUERY = "driver_version,clocks.max.sm,clocks.max.mem,clocks.sm,power.limit,persistence_mode,ecc.mode.current"
#: Largest milliseconds aimed at for 10^9 rows on an H200, by case.
AIMS = {
    "inverse": 2.4,
    "sampled, float64 rows": 22.0,
    "summary, amounts": 20.0,
    "exact E-step, float32 rows": 18.0,
    "exact E-step, float64 rows": 18.0,
    "whole summary fit, rows on the device": 50.0,
}


#: The program that most of a case's time is spent in, and the case that its prediction is for.
PROGRAMS = {
    "sampled, float64 rows": ("gpuvgm_transform_10_generator_f8_f4_u1", ""),
    "argmax, float64 rows": ("gpuvgm_transform_10_none_f8_f4_u1", ""),
    "inverse": ("gpuvgm_inverse_f4_u1_f8", ""),
    "summary, amounts": ("gpuvgm_summarise_f8", "rows spread over many cells"),
    "summary, lognormal": ("gpuvgm_summarise_f8", "rows spread over many cells"),
    "exact E-step, float64 rows": ("gpuvgm_e_step_10_f8", ""),
}
PREDICTED = Path(__file__).parent / "predicted"
MODELS = re.compile(r"\b(T4|A100|H100|H200|B200|4090)\b")  # devices that predictions are for


Clock = Callable[[Callable[[], object]], float]  # seconds that a call takes


def event_seconds(cuda: Any, function: Callable[[], object]) -> float:
    """Seconds between CUDA events around a call on the current stream."""
    begin, end = cuda.Event(), cuda.Event()
    begin.record()
    function()
    end.record()
    end.synchronize()
    return float(cuda.get_elapsed_time(begin, end)) / 1e3


@dataclass(frozen=True)
class Case:
    """One thing that is measured: what is called, the bytes of a row that it moves, and which copy moves as many."""

    call: Callable[[], object]
    row_bytes: float
    yardstick: str = COPY


def measure(rows: int, device: Device | None = None, clock: Clock | None = None) -> list[Measurement]:
    """Every kernel over `rows` rows.

    Parameters
    ----------
    rows : int
        Rows on the device, or as many as it has room for.
    device : Device, optional
        Where to measure, by default CuPy's current device.
    clock : Clock, optional
        What times it, by default the device's events.
    """
    device = Device() if device is None else device
    clock = partial(event_seconds, device.xp.cuda) if clock is None else clock
    if isinstance(device, Device):
        rows = min(rows, int(0.8 * device.xp.cuda.runtime.memGetInfo()[0]) // ROW_BYTES)
    found: list[Measurement] = []
    for cases in (_transforms, _inverse_and_onehot, _summaries, _e_steps, _several_features, _whole):
        found += [
            _measured(name, rows, case, clock, COPIES[case.yardstick](device, rows, clock), device)
            for name, case in cases(device, rows).items()
        ]
        device.release_memory()
    return found


def _measured(name: str, rows: int, case: Case, clock: Clock, copy: float, device: Device) -> Measurement:
    """Best time of a case; the yardstick is what a copy of as many bytes needs, `copy` seconds a byte."""
    case.call()  # compiled, and memory at hand
    seconds = min(clock(case.call) for _ in range(REPEATS))
    fair = copy * case.row_bytes * rows
    described = describe(device)
    scaled, least = seconds / rows * 1e9, predicted(described["name"]).get(name)
    notes = {} if least is None else {PREDICTION: f"{least:.3g}", RATIO: f"{1e3 * scaled / least:.2f}"}
    details = {
        "seconds_per_1e9_rows": scaled,
        "predicted_milliseconds_per_1e9_rows": least,
        "share_of_copy_bandwidth": fair / seconds,
        "copy_gigabytes_per_second": 1e-9 / copy,
        "aim_milliseconds_per_1e9_rows_h200": AIMS.get(name),
        "kernels": fingerprint(),
        "device": described,
    }
    yardsticks = {case.yardstick: fair}
    return Measurement(name, rows, seconds, yardsticks, row_bytes=case.row_bytes, details=details, notes=notes)


def _model(name: str) -> str | None:
    found = MODELS.search(name)
    return found and found.group()


@cache
def predicted(device: str) -> dict[str, float]:
    """Least milliseconds for 10^9 rows by case, as the newest prediction for a device of this name has them."""
    files = sorted(PREDICTED.glob("*.jsonl"))
    lines = [json.loads(line) for line in files[-1].read_text().splitlines()] if files else []
    found = {
        (line["program"], line["case"]): max(line["predicted_milliseconds"].values())
        for line in lines
        if "program" in line and _model(line["card"]) == _model(device)
    }
    return {case: found[program] for case, program in PROGRAMS.items() if program in found}


def _copy(device: Device, rows: int, clock: Clock) -> float:
    """Seconds that a byte takes to be copied, read or written counting as one."""
    count = min(rows, 1 << 27)
    source, target = device.xp.zeros(count, np.float64), device.xp.empty(count, np.float64)

    def copy() -> None:
        target[...] = source

    copy()
    return min(clock(copy) for _ in range(REPEATS)) / (2 * 8 * count)


def _upload(device: Device, rows: int, clock: Clock) -> float:
    """Seconds that a byte takes to the device, through pinned memory."""
    source = np.zeros(min(rows, 1 << 22))

    def upload() -> None:
        with device.lanes() as (lane, _):
            with lane:
                lane.upload(source)
            lane.wait()

    upload()
    return min(clock(upload) for _ in range(REPEATS)) / source.nbytes


COPIES = {COPY: _copy, BUS: _upload}


def tiled(device: Device, x: np.ndarray, rows: int, dtype: str) -> Any:
    """So many rows on the device, the given ones again and again."""
    out = device.xp.empty(rows, dtype)
    part = device.xp.asarray(x.astype(dtype))
    for start in range(0, rows, len(x)):
        stop = min(start + len(x), rows)
        out[start:stop] = part[: stop - start]
    return out


def ten_components(rows: int) -> DrawTable:
    """A draw among ten active components, as the aims are stated; their weights are those of the fitted amounts."""
    column = fitted_column(rows)
    mixture = column.mixture
    assert mixture is not None
    widths = column.rules.scale * mixture.deviations * mixture.frame.scale
    table = mixture.posterior.kernel_table(mixture.frame)
    return DrawTable(table, widths, np.arange(len(widths), dtype=np.float64), 1e-6, 0.99, len(widths))


def _transforms(device: Device, rows: int) -> Mapping[str, Case]:
    engine, table = CudaEngine(get_engine("reference"), device), ten_components(rows)
    column, x = fitted_column(rows).column_id, amounts(min(rows, DIFFERENT))
    scalar, code = device.xp.empty(rows, np.float32), device.xp.empty(rows, np.uint8)
    wide, narrow = tiled(device, x, rows, "float64"), tiled(device, x, rows, "float32")

    def case(values: Any, draw: Draw) -> Case:
        return Case(lambda: engine.transform(values, table, draw, scalar, code), values.dtype.itemsize + 5)

    sampled, probable = Draw(1, column), Draw(most_probable=True)
    return {
        "sampled, float64 rows": case(wide, sampled),
        "sampled, float32 rows": case(narrow, sampled),
        "argmax, float64 rows": case(wide, probable),
        "argmax, float32 rows": case(narrow, probable),
    }


def _inverse_and_onehot(device: Device, rows: int) -> Mapping[str, Case]:
    engine, fitted = CudaEngine(get_engine("reference"), device), fitted_column(rows)
    scalar, code = device.xp.empty(rows, np.float32), device.xp.empty(rows, np.uint8)
    engine.transform(
        tiled(device, amounts(min(rows, DIFFERENT)), rows, "float64"), fitted.draw_table, Draw(1, 2), scalar, code
    )
    value, inverse = device.xp.empty(rows, np.float64), fitted.inverse_table
    narrow = device.xp.empty(rows, np.float32)
    some = max(1, rows // 8)
    matrix = device.xp.empty((some, 1 + fitted.width), np.float32)
    read = [(device.xp.empty(some, np.float32), device.xp.empty(some, np.uint8), np.arange(fitted.width), False)]
    share, width = some / rows, matrix.shape[1]
    written = [(scalar[:some], code[:some], fitted.width)]
    return {
        "inverse": Case(lambda: engine.inverse_transform(scalar, code, inverse, value), 13),
        "inverse to float32": Case(lambda: engine.inverse_transform(scalar, code, inverse, narrow), 9),
        "onehot written, one row in eight": Case(lambda: engine.fill_onehot(written, matrix), share * (5 + 4 * width)),
        "onehot read, one row in eight": Case(lambda: engine.read_onehot(matrix, read), share * (5 + 4 * width)),
    }


def _summaries(device: Device, rows: int) -> Mapping[str, Case]:
    engine = CudaEngine(get_engine("reference"), device)
    random = np.random.default_rng(0)
    different = min(rows, DIFFERENT)
    crowded = np.where(random.random(different) < 0.7, 50 + 1e-9 * random.random(different), lognormal(different))
    shapes = {"amounts": amounts(different), "lognormal": lognormal(different), "70 % in one cell": crowded}

    def case(x: np.ndarray, dtype: str) -> Case:
        grid, values = plan_for(x).grid, tiled(device, x, rows, dtype)
        return Case(lambda: engine.summarise(values, grid), values.dtype.itemsize)

    cases = {f"summary, {name}": case(x, "float64") for name, x in shapes.items()}
    return {**cases, "summary, amounts, float32 rows": case(shapes["amounts"], "float32")}


def _e_steps(device: Device, rows: int) -> Mapping[str, Case]:
    engine, table = CudaEngine(get_engine("reference"), device), ten_components(rows).mixture
    x = amounts(min(rows, DIFFERENT))

    def case(dtype: str) -> Case:
        values = tiled(device, x, rows, dtype)
        return Case(lambda: _added(engine, engine.e_step(values, None, None, table)), values.dtype.itemsize)

    return {"exact E-step, float64 rows": case("float64"), "exact E-step, float32 rows": case("float32")}


def _added(engine: CudaEngine, partials: Any) -> ChunkSums:
    """The sums of chunks, on the host."""
    total = ChunkSums(partials.shape[1])
    add_chunks(engine, [(total, partials)])
    return total


def _several_features(device: Device, rows: int) -> Mapping[str, Case]:
    """An E-step of ten components and eight features: the kernel, and the array formulas that it stands for."""
    features, random, some = 8, np.random.default_rng(0), max(1, rows // 8)
    factors = np.triu(random.normal(0, 0.1, (10, features, features)), 1) + np.eye(features)
    means = random.normal(0, 3, (10, features))
    table = GaussianTable(np.zeros(features), means, factors, np.full(10, np.log(0.1)))
    different = random.normal(0, 3, features * min(some, DIFFERENT // features))
    x = tiled(device, different, features * some, "float64").reshape(some, features)
    engine = CudaEngine(get_engine("reference"), device)

    def case(e_step: Callable[..., Any]) -> Case:
        return Case(lambda: _added(engine, e_step(x, None, table)), 8 * features * some / rows)

    return {
        "E-step, 8 features, one row in eight": case(engine.e_step_features),
        "E-step, 8 features, one row in eight, array formulas": case(multivariate.e_step),
    }


def _whole(device: Device, rows: int) -> Mapping[str, Case]:
    """What a user calls: a whole fit, and rows of the host."""
    some = max(4096, rows // 10)
    x = amounts(min(some, DIFFERENT))
    values = np.resize(x, some)
    engine, table = CudaEngine(get_engine("reference"), device), ten_components(rows)
    scalar, code = np.empty(some, np.float32), np.empty(some, np.uint8)
    share = some / rows
    grid = plan_for(x).grid
    resident = {COLUMN: tiled(device, x, rows, "float64")}
    fitting = TableTransformer(CONTINUOUS, effort="research", engine="cuda")
    cases = {"whole summary fit, rows on the device": Case(lambda: fitting.fit(resident), 8)}
    return {
        **(cases if isinstance(device, Device) else {}),
        "sampled, rows of the host, one in ten": Case(
            lambda: engine.transform(values, table, Draw(1, 2), scalar, code), share * 13, BUS
        ),
        "summary, rows of the host, one in ten": Case(lambda: engine.summarise(values, grid), share * 8, BUS),
    }


@cache
def fingerprint() -> str:
    """What the kernels were compiled from."""
    digest = hashlib.sha256(" ".join(OPTIONS).encode())
    for program in every_program():
        digest.update((program.preamble() + program.operation).encode())
    return digest.hexdigest()[:16]


def describe(device: Device) -> dict[str, Any]:
    """The device: name, memory, driver, clocks and versions; only the class of a device that is emulated."""
    if not isinstance(device, Device):
        return {"name": type(device).__name__}
    runtime = device.xp.cuda.runtime
    properties = runtime.getDeviceProperties(device.xp.cuda.Device().id)
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_gib": round(properties["totalGlobalMem"] / 2**30, 1),
        "driver_api": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "cupy": device.xp.__version__,
        "smi": _smi(),
    }


def _smi() -> dict[str, str]:
    """What nvidia-smi says of driver and clocks; nothing where it is not there."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return {}
    return dict(zip(QUERY.split(","), [value.strip() for value in line.split(",")], strict=True))
