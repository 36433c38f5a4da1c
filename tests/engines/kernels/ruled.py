"""Values of every type, and rules by which they become numbers: for tests of kernels that read or write values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.codecs import AsinhCodec, FloatCodec, LogCodec
from gpuvgm.engines.base import Engine
from gpuvgm.engines.cuda.programs import Program
from gpuvgm.engines.cuda.values import reading_of
from gpuvgm.engines.encode import Coverage, DecodeTable, EncodeTable
from gpuvgm.engines.tables import KernelTable, RowRules, Step
from gpuvgm.summary import Floats, Frame

ROWS = 1_203
REFERENCE = Engine()
_DOUBLE = FloatCodec(pa.float64())
ASINH = {exponent: AsinhCodec(_DOUBLE, exponent).scale for exponent in (-3, 4)}
LOG, LOG1P = LogCodec(_DOUBLE, None).scale, LogCodec(_DOUBLE, 0.0).scale


@dataclass(frozen=True)
class Ruled:
    """Values of a type, their rules, and the rows that are missing."""

    values: np.ndarray
    rules: RowRules
    missing: np.ndarray | None = None

    def numbers(self) -> Floats:
        """The finite numbers of the rows, ascending."""
        with np.errstate(all="ignore"):
            numbers = self.rules.numbers(self.values, self.missing)[0]
        return np.sort(numbers[np.isfinite(numbers)])


def floats(dtype: str) -> np.ndarray:
    """Amounts in cents, most of them; a few of everything else."""
    random = np.random.default_rng(0)
    x = np.round(random.lognormal(2, 1.5, ROWS), 2)
    x[random.random(ROWS) < 0.1] *= -1
    x[random.random(ROWS) < 0.1] += 0.003
    for value in (3.25, 900.0, 0.0, -0.0, 12.5, np.nan, np.inf, -np.inf):
        x[random.random(ROWS) < 0.06] = value
    x[[10, 11, 12, 13]] = 1e-42, -1e-42, 1e30, -1e30
    with np.errstate(over="ignore"):  # 1e30 is infinite in 16 bits
        return x.astype(dtype)


def wholes(dtype: str, middle: int, apart: int = 1) -> np.ndarray:
    """Values around one of the type's, so far apart, most of them; its ends too."""
    limits, random = np.iinfo(dtype), np.random.default_rng(1)
    spread = random.integers(0, 60, ROWS) * random.integers(1, 3, ROWS)
    x = np.array([min(max(middle + apart * (int(s) - 60), limits.min), limits.max) for s in spread], dtype)
    x[::101], x[1::103], x[2::105] = limits.max, limits.min, middle
    return x


def masked(values: np.ndarray, rules: RowRules) -> Ruled:
    """Some rows are missing, whatever their value is."""
    return Ruled(values, rules, np.random.default_rng(2).random(ROWS) < 0.1)


def _whole(dtype: str, middle: int, origin: int, *, step: int = 1, apart: int = 1, **rules: Any) -> Ruled:
    of_step = None if step == 1 else Step(step, 1, "int64")
    return masked(wholes(dtype, middle, apart), RowRules(origin=origin, step=of_step, **rules))


FAR = 2**63  # one more than the largest of int64
CENTS = Step(1, 100, "float64")
RULED: dict[str, Ruled] = {
    "float64": Ruled(floats("float64"), RowRules()),
    "float32": Ruled(floats("float32"), RowRules()),
    "step": Ruled(floats("float64"), RowRules(step=CENTS)),
    "step of float32": Ruled(floats("float32"), RowRules(step=Step(1, 100, "float32"))),
    "step of float32 in float64": Ruled(floats("float32").astype(float), RowRules(step=Step(1, 100, "float32"))),
    "step of float16": Ruled(floats("float16").astype("float32"), RowRules(step=Step(1, 4, "float16"))),
    "step of float16 in float64": Ruled(floats("float16").astype(float), RowRules(step=Step(1, 4, "float16"))),
    "modal": Ruled(floats("float64"), RowRules((np.nan, 12.5, 0.0, np.inf))),
    "modal in float32": Ruled(floats("float32"), RowRules((float(np.float32(0.1)), 12.5))),
    "infinite is missing": Ruled(floats("float64"), RowRules(infinite_is_missing=True)),
    "missing": masked(floats("float64"), RowRules((np.inf, 12.5, 0.0), infinite_is_missing=True)),
    "asinh": Ruled(floats("float64"), RowRules(scale=ASINH[-3])),
    "asinh, step": Ruled(floats("float64"), RowRules((), CENTS, ASINH[-3])),
    "asinh, modal, step": Ruled(floats("float64"), RowRules((0.0, 12.5), CENTS, ASINH[4])),
    "asinh of float32, all": masked(
        floats("float32"),
        RowRules((np.nan, 12.5, 0.0), Step(1, 100, "float32"), ASINH[-3], 0, 1.0, infinite_is_missing=True),
    ),
    "log": Ruled(floats("float64"), RowRules(scale=LOG)),
    "log1p": Ruled(floats("float64"), RowRules((12.5, 0.0), CENTS, LOG1P, -3.25)),
    "origin and unit": Ruled(floats("float32"), RowRules((), None, LOG1P, -1e3, 100.0)),
    "int8": _whole("int8", 3, 5, modal=(3, -128), step=2),
    "uint8": _whole("uint8", 100, 90, modal=(100, 3000, np.nan, 97), step=7),
    "int16": Ruled(wholes("int16", -300), RowRules(origin=-300)),
    "uint16": _whole("uint16", 9_000, 2**53 + 1, step=3),
    "int32": _whole("int32", 10**9, 10**9 + 7, modal=(10**9, 10**9 + 4), step=5),
    "uint32": _whole("uint32", 2**32 - 90, 17, step=2**40),
    "int64": _whole("int64", 10**15, 10**15 - 3, modal=(10**15, 2.5, 10**15 + 2), step=3),
    "int64 without rules": Ruled(wholes("int64", 100), RowRules(origin=90)),
    "int64 with a step": _whole("int64", 100, 90, step=7),
    "int64 that overflow": _whole("int64", 0, -FAR + 1, modal=(0, 2**54), apart=2**52),
    "int64 off a step that none holds": _whole("int64", 100, 90, step=2**63 + 2),
    "int64 from beyond": Ruled(wholes("int64", 100, 2**52), RowRules(origin=FAR + 5)),
    "uint64": _whole("uint64", 2**63 + 100, 2**63 + 90, modal=(2**63 + 100, 2**63 + 94), step=11),
    "uint64 without rules": Ruled(wholes("uint64", 2**63), RowRules(origin=2**63 - 20)),
    "uint64 from below": Ruled(wholes("uint64", 10, 2**52), RowRules(origin=-5)),
    "decimals on a scale": _whole("int64", 12_345, 0, scale=ASINH[4], unit=100.0, modal=(12_345, 12_350)),
    "log of whole numbers": _whole("int32", 100, 0, scale=LOG),
    "log1p of whole numbers": _whole("uint16", 100, 20, scale=LOG1P, step=2),
}
#: The same types, counted from so far that differences are those of floats.
RULED |= {
    f"{name} from afar": replace(of, rules=replace(of.rules, origin=-5 if of.values.dtype == np.uint64 else FAR + 5))
    for name, of in RULED.items()
    if of.values.dtype.kind != "f" and "from" not in name and "log" not in name  # which has no numbers below 0
}


def ruled_of(program: Program) -> Ruled:
    """Values that a program reads, with rules that it is compiled for."""
    constants = set(program.constants)
    readings = {
        name: reading_of(of.values.dtype, of.rules, missing=of.missing is not None) for name, of in RULED.items()
    }
    return RULED[next(name for name, reading in readings.items() if constants.issuperset(reading.constants))]


def encode_table(of: Ruled, components: int = 10, *, tails: int | None = None) -> EncodeTable:
    """Modes over the numbers, and codes of modal values first; with a coverage where there are tails, if only 0."""
    numbers, random = of.numbers(), np.random.default_rng(components)
    frame, active = Frame.around(numbers), max(1, components - 3)
    ends = frame.apply(np.quantile(numbers, [0.05, 0.9]))
    width = float(ends[1] - ends[0]) + 1e-3
    means, deviations = random.uniform(*ends, components), random.uniform(0.02, 0.3, components) * width
    mixture = KernelTable(frame, means, 0.72 / deviations**2, -random.uniform(0, 3, components))
    modes, modal = active + (tails or 0), len(of.rules.modal)
    coverage = None
    if tails is not None:
        far = random.uniform(ends[0] - 9 * width, ends[1] + 9 * width, tails)
        coverage = Coverage(
            mixture.take(np.arange(active)),
            np.append(means[:active], far),
            np.append(np.resize([6, 0.5], active) * deviations[:active], random.uniform(1, 9, tails) * width),
            0.99,
        )
    return EncodeTable(
        *(mixture, 4 * deviations[:active], random.permutation(modes) + modal, 1e-6, 0.99, modes + modal),
        *(np.arange(modal), float(numbers[len(numbers) // 20]), float(numbers[-1 - len(numbers) // 20]), coverage),
    )


def decode_table(of: Ruled, codes: int = 6) -> DecodeTable:
    """Modes over the numbers, then a missing code, then those of modal values that the type has."""
    numbers, dtype = of.numbers(), of.values.dtype
    frame, ends = Frame.around(numbers), np.quantile(numbers, [0.05, 0.9])
    values = [value for value in of.rules.modal if value == value and np.isin(value, of.values)]
    means, widths = np.full(codes + 1 + len(values), np.nan), np.zeros(codes + 1 + len(values))
    means[:codes] = frame.apply(np.linspace(*ends, codes))
    widths[:codes] = np.linspace(0.5, 3.0, codes) * (frame.apply(ends)[1] - frame.apply(ends)[0])
    is_whole = dtype.kind != "f"
    ordered = np.sort(of.values[np.isfinite(of.values)])
    low, high = (ordered[place].item() for place in (len(ordered) // 10, -len(ordered) // 10))
    step = None if is_whole and of.rules.step and of.rules.step.numerator > high else of.rules.step
    return DecodeTable(
        frame, means, widths, 0.99, tuple((codes + 1 + i, value) for i, value in enumerate(values)), step, low, high
    )


def decoded(numbers: Floats, code: np.ndarray, of: Ruled, table: DecodeTable) -> tuple[np.ndarray, np.ndarray]:
    """Values of rows with these numbers, and which are missing, by the reference: each row has a code of its own."""
    modal = dict(table.modal)
    own = tuple((row, modal[place]) for row, place in enumerate(code.tolist()) if place in modal)
    rows = replace(table, frame=Frame(1.0, 0.0), means=numbers, widths=np.zeros(len(numbers)), modal=own)
    values, missing = np.zeros(len(numbers), of.values.dtype), np.zeros(len(numbers), np.bool_)
    with np.errstate(all="ignore"):
        REFERENCE.decode(np.zeros(len(numbers)), np.arange(len(numbers)), of.rules, rows, values, missing)
    return values, missing
