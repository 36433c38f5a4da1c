"""Judging rows of a device: they are counted there, and every figure equals that of the host."""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.arrays import DeviceColumn
from gpuvgm.engines import get_engine
from gpuvgm.engines.cuda import summary
from gpuvgm.execution import sampling
from gpuvgm.io.frames import ArraySource
from gpuvgm.report import detection, pair_trends
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.frames import DataFrame
from tests.report.test_sequences import bookings, spoilt
from tests.table.test_device import in_stage_of

pytestmark = needs_compiler
ROWS = 600_000
LOG, ASINH = ({"kind": "continuous", "log": True}, {"kind": "continuous", "asinh": 4.0})
#: Columns, and how they are declared.
COLUMNS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "floats": (lambda random: random.normal(5, 2, ROWS), None),
    "single": (lambda random: random.normal(5, 2, ROWS).astype(np.float32), None),
    "cents": (lambda random: skewed(random).round(2), None),
    "log": (lambda random: skewed(random), LOG),
    "log1p": (lambda random: with_zeros(random), LOG),
    "asinh": (lambda random: random.standard_t(2, ROWS), ASINH),
    "zeros": (lambda random: with_zeros(random), {"kind": "mixed", "modal": [0.0]}),
    "missing": (lambda random: with_gaps(skewed(random)), None),
    "whole": (lambda random: random.integers(0, 10 * ROWS, ROWS), None),
    "large": (lambda random: random.integers(2**63, 2**63 + 5000, ROWS, dtype=np.uint64), None),
    "log of whole": (lambda random: 1 + random.integers(0, 10 * ROWS, ROWS), LOG),
    "moments": (lambda random: np.datetime64("2024-01-01", "us") + random.integers(0, 10**13, ROWS), None),
    "range": (lambda random: random.uniform(-3, 8, ROWS), "general"),
    "truth": (lambda random: random.random(ROWS) < 0.4, None),
    "few": (lambda random: random.integers(0, 7, ROWS), "categorical"),
    "words": (lambda random: pd.Categorical(random.choice(["Bern", "Rome", "Oslo"], ROWS)), None),
}
JUDGES: dict[str, Callable[[TableTransformer, Any, Any], Any]] = {
    "evaluate": lambda model, rows, _: model.evaluate(rows),
    "validate": lambda model, _, others: model.validate(others),
    "compare": lambda model, rows, others: model.evaluate(rows, compare=others),
}


def skewed(random: np.random.Generator) -> np.ndarray:
    return np.exp(random.normal(3, 1.2, ROWS))


def with_zeros(random: np.random.Generator) -> np.ndarray:
    return np.where(random.random(ROWS) < 0.3, 0.0, skewed(random).round(2))


def with_gaps(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)) % 9 == 0, np.nan, values)


@pytest.fixture(name="device")
def _device(strict_cupy: Any, cudf: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The strict device, which counts samples and cells of summaries apart."""
    get_engine("cuda")  # it starts with a row
    hardware = strict_cupy.hardware
    monkeypatch.setattr(sampling, "SAMPLE_RUNS", 4)
    monkeypatch.setattr(sampling, "RUN_ROWS", 128)
    monkeypatch.setattr(pair_trends, "ROWS", 512)
    monkeypatch.setattr(detection, "MOST_ROWS", detection.LEAST_ROWS)
    for owner, method in ((ArraySource, "sample"), (summary.CellTables, "lend"), (summary.CellTable, "summary")):
        monkeypatch.setattr(owner, method, partialmethod(in_stage_of, hardware.ledger, getattr(owner, method)))
    return hardware


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.covering(1)
def test_the_host_touches_no_rows(device: Any, name: str, judge: str) -> None:
    """Counts alone cross the bus, beside the sample."""
    make, declared = COLUMNS[name]
    frames = [pd.DataFrame({name: make(np.random.default_rng(seed))}) for seed in (3, 4)]
    kinds = None if declared is None else {name: declared}
    model = TableTransformer(kinds, effort="research", max_iter=20, engine="native").fit(frames[0])
    expected = JUDGES[judge](model, *map(host_table, frames)).to_dict()
    given = [*map(DataFrame.from_pandas, frames)]
    model.set_params(engine="auto")
    with device.ledger.stage(judge) as judging:
        found = JUDGES[judge](model, *given).to_dict()
    assert found == expected
    apart = device.ledger.stages["apart"]
    allowed = max(frames[0][name].nbytes // 50, 1)
    assert judging.bytes_down - apart.bytes_down <= allowed and judging.bytes_up - apart.bytes_up <= allowed


def test_rounded_categories_are_compared_where_they_lie(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 numbers that are a rounding away from a category of float64 count as it."""
    random = np.random.default_rng(6)
    original, rounded = (random.choice([0.1, 0.7, 2.3, np.nan], ROWS) for _ in range(2))
    frames = [pd.DataFrame({"few": values}) for values in (original, rounded.astype(np.float32))]
    model = TableTransformer({"few": "categorical"}, engine="native").fit(frames[0])
    expected = model.evaluate(host_table(frames[0]), compare=host_table(frames[1])).to_dict()
    assert expected["columns"]["few"]["new_rows"] == 0
    model.set_params(engine="auto")
    given, to_arrow, lengths = [*map(DataFrame.from_pandas, frames)], DeviceColumn.to_arrow, list[int]()
    monkeypatch.setattr(DeviceColumn, "to_arrow", lambda self: lengths.append(len(self)) or to_arrow(self))
    assert model.evaluate(given[0], compare=given[1]).to_dict() == expected
    assert lengths and max(lengths) <= 4 * 128


def host_table(frame: pd.DataFrame) -> pa.Table:
    """The rows on the host, typed as on the device."""
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in frame.items()})


def odd_rows(seed: int, *, odd: bool) -> pd.DataFrame:
    """Rows of many kinds, on request with values that no model of the others has seen."""
    random = np.random.default_rng(seed)
    count = 3000
    log = np.where(random.random(count) < 0.2, 5.0, np.exp(random.normal(2, 1, count)).round(2))
    steps = np.exp(random.normal(2, 1, count)).round(1)
    words = np.array(["Bern", "Rome", "Oslo"])
    log[::50], steps[3::70] = np.nan, np.nan
    if odd:
        log[1:9], steps[5:40] = [0.0, -1.0, np.inf, -np.inf, 1e-300, 1e300, 5.0, np.nan], 0.123
        words = np.append(words, "Atlantis")
    return pd.DataFrame(
        {
            "log": log,
            "steps": steps,
            "asinh": random.standard_t(2, count) * np.where(random.random(count) < 0.1, 1e-320, 1.0),
            "single": np.append(np.full(7, 1e-40), random.normal(size=count - 7)).astype(np.float32),
            "half": random.normal(size=count).astype(np.float16) if not odd else np.full(count, np.inf, np.float16),
            "days": pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 900, count), unit="D")),
            "few": random.integers(0, 4 + 2 * odd, count),
            "city": pd.Categorical(random.choice(words, count)),
            "text": random.choice(words, count),
            "key": [f"k{number}" for number in range(count)],
        }
    )


ODD = {
    "log": LOG | {"modal": [5.0, None]},
    "steps": LOG | {"modal": [None]},
    "asinh": ASINH,
    "few": "categorical",
    "city": "categorical",
    "text": "categorical",
    "key": "pass",
}


@pytest.mark.parametrize("places", ["both", "first", "second"])
@pytest.mark.parametrize("judge", ["validate", "compare"])
def test_rows_that_the_fit_had_not_seen(device: Any, judge: str, places: str) -> None:
    """Of two tables either may lie on the host."""
    frames = [odd_rows(3, odd=False), odd_rows(4, odd=judge == "validate")]
    model = TableTransformer(ODD, effort="research", max_iter=20, unknown="ignore", engine="native").fit(frames[0])
    expected = JUDGES[judge](model, *map(host_table, frames)).to_dict()
    on_device = {"both": (True, True), "first": (True, False), "second": (False, True)}[places]
    given = [
        DataFrame.from_pandas(frame) if there else host_table(frame)
        for frame, there in zip(frames, on_device, strict=True)
    ]
    assert JUDGES[judge](model.set_params(engine="auto"), *given).to_dict() == expected


def test_rows_of_a_device_that_belong_to_keys(device: Any) -> None:
    """Keys of a sample, which the model lacks, are told apart where they lie."""
    frames = [bookings(270, seed=0), spoilt("rows", 270)]
    kinds = {"account": "categorical"}
    model = TableTransformer(kinds, effort="research", max_iter=5, engine="native").fit(frames[0])
    expected = model.evaluate(host_table(frames[0]), compare=host_table(frames[1])).to_dict()
    assert expected["sequences"]["keys"]["synthetic_rows"] == 270
    given = [*map(DataFrame.from_pandas, frames)]
    assert model.set_params(engine="auto").evaluate(given[0], compare=given[1]).to_dict() == expected
