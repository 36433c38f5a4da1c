"""The CUDA engine on a device: every kernel beside a copy of the same run, timed by the device's own events."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.inputs import COLUMN, CONTINUOUS, amounts, fitted_column, lognormal, plan_for
from benchmarks.measure import Measurement
from gpuvgm import TableTransformer
from gpuvgm.codecs import AsinhCodec, FloatCodec
from gpuvgm.engines import (
    ChunkSums,
    Device,
    Draw,
    EncodeTable,
    GaussianTable,
    RowRules,
    Step,
    every_program,
    get_engine,
    multivariate,
)
from gpuvgm.engines.base import PLAIN
from gpuvgm.engines.cuda import CudaEngine
from gpuvgm.engines.cuda.programs import OPTIONS
from gpuvgm.summary import Frame, Grid

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
    "whole fit, research": 90.0,
    "whole fit, auto": 150.0,
    "whole transform, research": 26.0,
    "whole transform, auto": 22.0,
    "whole inverse, research": 8.0,
    "whole inverse, auto": 12.0,
}


#: The program that most of a case's time is spent in, and the case that its prediction is for.
PROGRAMS = {
    "sampled, float64 rows": ("gpuvgm_encode_10_generator_f8_f4_u1", ""),
    "argmax, float64 rows": ("gpuvgm_encode_10_none_f8_f4_u1", ""),
    "inverse": ("gpuvgm_decode_f4_u1_f8", ""),
    "summary, amounts": ("gpuvgm_summarise_f8", "rows spread over many cells"),
    "summary, lognormal": ("gpuvgm_summarise_f8", "rows spread over many cells"),
    "exact E-step, float64 rows": ("gpuvgm_e_step_10_f8", ""),
    "sampled on a scale": ("gpuvgm_encode_10_generator_f8_asinh_step_f4_u1", ""),
    "inverse from a scale": ("gpuvgm_decode_f4_u1_f8_asinh_step", ""),
    "summary on a scale": ("gpuvgm_summarise_f8_asinh_step", ""),
}
#: Amounts in cents on a scale, as the default has them.
ON_SCALE = RowRules(step=Step(1, 100, "float64"), scale=AsinhCodec(FloatCodec(pa.float64()), 3).scale)
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


def ten_components(rows: int) -> EncodeTable:
    """A draw among ten active components, as the aims are stated; their weights are those of the fitted amounts."""
    column = fitted_column(rows)
    mixture = column.mixture
    assert mixture is not None
    widths = column.rules.scale * mixture.deviations * mixture.frame.scale
    table = mixture.posterior.kernel_table(mixture.frame)
    low, high = column.bounds
    return EncodeTable(table, widths, np.arange(len(widths)), 1e-6, 0.99, len(widths), low=low, high=high)


def _transforms(device: Device, rows: int) -> Mapping[str, Case]:
    engine, table = CudaEngine(get_engine("reference"), device), ten_components(rows)
    column, x = fitted_column(rows).column_id, amounts(min(rows, DIFFERENT))
    coded = device.xp.empty(rows, np.float32), device.xp.empty(rows, np.int8)
    wide, narrow = tiled(device, x, rows, "float64"), tiled(device, x, rows, "float32")

    def case(values: Any, draw: Draw, rules: RowRules = PLAIN, of: EncodeTable = table) -> Case:
        return Case(lambda: engine.encode(values, rules, of, draw, coded), values.dtype.itemsize + 5)

    sampled, probable = Draw(1, column), Draw(most_probable=True)
    return {
        "sampled, float64 rows": case(wide, sampled),
        "sampled, float32 rows": case(narrow, sampled),
        "argmax, float64 rows": case(wide, probable),
        "argmax, float32 rows": case(narrow, probable),
        "sampled on a scale": case(wide, sampled, ON_SCALE, on_scale(table)),
    }


def on_scale(table: EncodeTable) -> EncodeTable:
    """The same components around the numbers that amounts have on their scale."""
    means = np.linspace(0.0, 6.0, len(table.widths))
    shape = np.full(len(means), 2.0)
    mixture = replace(table.mixture, frame=Frame(1.0, 0.0), means=means, half_precisions=shape, coefficients=0 * shape)
    return replace(table, mixture=mixture, widths=np.full(len(means), 2.0), low=-10.0, high=20.0)


def _inverse_and_onehot(device: Device, rows: int) -> Mapping[str, Case]:
    engine, fitted = CudaEngine(get_engine("reference"), device), fitted_column(rows)
    scalar, code = device.xp.empty(rows, np.float32), device.xp.empty(rows, np.int8)
    x, inverse = tiled(device, amounts(min(rows, DIFFERENT)), rows, "float64"), fitted.decode_table
    engine.encode(x, PLAIN, fitted.encode_table, Draw(1, 2), (scalar, code))
    value = device.xp.empty(rows, np.float64)
    curved = replace(inverse, frame=Frame(1.0, 0.0), step=ON_SCALE.step, low=-1e300, high=1e300)
    narrow = device.xp.empty(rows, np.float32)
    some = max(1, rows // 8)
    matrix = device.xp.empty((some, 1 + fitted.width), np.float32)
    read = [(device.xp.empty(some, np.float32), device.xp.empty(some, np.int8), np.arange(fitted.width), False)]
    share, width = some / rows, matrix.shape[1]
    written = [(scalar[:some], code[:some], fitted.width)]
    return {
        "inverse": Case(lambda: engine.decode(scalar, code, PLAIN, inverse, value), 13),
        "inverse to float32": Case(lambda: engine.decode(scalar, code, PLAIN, inverse, narrow), 9),
        "inverse from a scale": Case(lambda: engine.decode(scalar, code, ON_SCALE, curved, value), 13),
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
    values, scale = tiled(device, shapes["amounts"], rows, "float64"), ON_SCALE.scale
    assert scale is not None
    grid = Grid.around(scale.formula(shapes["amounts"][: 1 << 17]))
    return {
        **cases,
        "summary, amounts, float32 rows": case(shapes["amounts"], "float32"),
        "summary on a scale": Case(lambda: engine.summarise(values, grid, ON_SCALE), 8),
    }


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
    engine.add_chunks([(total, partials)])
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
    coded = np.empty(some, np.float32), np.empty(some, np.int8)
    share = some / rows
    grid = plan_for(x).grid
    return {
        **(_whole_calls(device, rows) if isinstance(device, Device) else {}),
        "sampled, rows of the host, one in ten": Case(
            lambda: engine.encode(values, PLAIN, table, Draw(1, 2), coded), share * 13, BUS
        ),
        "summary, rows of the host, one in ten": Case(lambda: engine.summarise(values, grid), share * 8, BUS),
    }


def _whole_calls(device: Device, rows: int) -> dict[str, Case]:
    """Fit, transform and inverse of rows on the device at both efforts; a skewed column has a scale by default."""
    cases: dict[str, Case] = {}
    for effort, x in (("research", amounts), ("auto", lognormal)):
        resident = {COLUMN: tiled(device, x(min(rows, DIFFERENT)), rows, "float64")}
        transformer = TableTransformer(CONTINUOUS, effort=effort, engine="cuda").fit(resident)
        encoded = transformer.transform(resident)
        cases |= {
            f"whole fit, {effort}": Case(partial(transformer.fit, resident), 8),
            f"whole transform, {effort}": Case(partial(transformer.transform, resident), 13),
            f"whole inverse, {effort}": Case(partial(transformer.inverse_transform, encoded), 13),
        }
    return cases


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
