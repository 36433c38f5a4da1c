"""Tables on a device: nothing of the numbers leaves it, and everything equals what the host gives, to the bit."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm import TableTransformer
from gpuvgm.arrays import DeviceColumn, decimals
from gpuvgm.engines.cuda import device as cuda_device, em, summary
from gpuvgm.errors import InputError
from gpuvgm.execution import Run, local, sampling
from gpuvgm.io import with_wide_index
from gpuvgm.io.frames import ArraySource
from gpuvgm.table import decode
from tests.conftest import needs, needs_gpu
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.frames import DataFrame, decimal_type, use_strict_cudf
from tests.harness.device.ledger import Ledger
from tests.harness.device.module import is_strict, up

pytestmark = needs_compiler
ROWS = 9_000
WORDS = pa.dictionary(pa.int32(), pa.string())  # as sources have the categories of frames
SETTINGS: dict[str, Any] = {"effort": "research", "max_iter": 30, "block_rows": 4096}
KINDS: dict[str, Any] = {
    "amount": {"kind": "mixed", "modal": [0.0]},
    "category": "categorical",
    "truth": "categorical",
    "logs": {"kind": "continuous", "log": True},
    "range": "general",
    "small": "continuous",
    "half": "continuous",
}


def arrays() -> dict[str, np.ndarray]:
    """Columns of every type that arrays of a device have."""
    random = np.random.default_rng(3)
    amount = np.exp(random.normal(2, 1, ROWS)).round(2)
    gaps = random.normal(5 * random.integers(0, 2, ROWS), 1)
    amount[::7], gaps[5::11] = 0.0, np.nan
    return {
        "amount": amount,
        "gaps": gaps,
        "single": random.normal(1e3, 1, ROWS).astype(np.float32),
        "half": random.normal(size=ROWS).astype(np.float16),
        "large": 2**60 + random.integers(0, 10**6, ROWS),
        "small": random.integers(0, 120, ROWS).astype(np.int8),
        "wide": random.integers(2**63, 2**63 + 5000, ROWS, dtype=np.uint64),
        "category": random.integers(0, 4, ROWS),
        "truth": random.random(ROWS) < 0.5,
        "logs": random.lognormal(size=ROWS),
        "range": random.uniform(-3, 8, ROWS),
    }


@pytest.fixture(name="device")
def _device(strict_cupy: Any) -> Any:
    """The strict device, for tests that look into it."""
    gpuvgm.engines.get_engine("cuda")  # it starts with a row
    strict_cupy.hardware.uploads.clear()
    return strict_cupy.hardware


class Place:
    """Where arrays are put: on the strict device, or on a GPU."""

    def __init__(self, namespace: Any, launches: list[Any]) -> None:
        self.kind, self._up, self.launches = namespace.ndarray, namespace.asarray, launches

    def up(self, values: Any) -> Any:
        return self._up(values)

    def resident(self, columns: dict[str, np.ndarray]) -> dict[str, Any]:
        return {name: self._up(values) for name, values in columns.items()}


@pytest.fixture(name="place", params=["strict", pytest.param("gpu", marks=[pytest.mark.gpu, needs_gpu])])
def _place(request: pytest.FixtureRequest) -> Any:
    """Every device in turn."""
    if request.param == "gpu":
        import cupy

        return Place(cupy, [])
    cupy = request.getfixturevalue("strict_cupy")
    return Place(cupy, cupy.hardware.launches)


def fitted(source: Any, **settings: Any) -> TableTransformer:
    return TableTransformer(KINDS, **SETTINGS | settings).fit(source)


def resident(columns: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: up(values) for name, values in columns.items()}


def host(values: Any) -> np.ndarray:
    return values.get() if hasattr(values, "get") else values


def assert_same(found: dict[str, Any], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert host(found[name]).dtype == values.dtype, name
        np.testing.assert_array_equal(host(found[name]), values, err_msg=name)


def columns_of(transformer: TableTransformer) -> list[Any]:
    return [repr(column.to_json()) for column in transformer.columns_.values()]


@pytest.fixture(scope="module", name="baseline")
def _baseline() -> TableTransformer:
    return fitted(arrays(), engine="native" if gpuvgm.engines.native_is_built() else "reference")


@pytest.mark.parametrize("engine", ["cuda", "auto", "native"])
def test_fit_of_a_dict_of_arrays(place: Any, baseline: TableTransformer, engine: str) -> None:
    found = fitted(place.resident(arrays()), engine=engine)
    assert columns_of(found) == columns_of(baseline)
    if hasattr(place.kind, "strict"):
        assert bool(place.launches) == (engine != "native")


@pytest.mark.parametrize("mode", ["sample", "argmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compact_transform_and_inverse(place: Any, baseline: TableTransformer, mode: str, dtype: str) -> None:
    expected = baseline.transform(arrays(), mode=mode, dtype=dtype)
    here = clone_on(baseline, "cuda")
    found = here.transform(place.resident(arrays()), mode=mode, dtype=dtype)
    assert all(isinstance(values, place.kind) for values in found.values())
    assert_same(found, expected)
    back, valid = here.inverse_transform(found, return_valid=True)
    expected_back, expected_valid = baseline.inverse_transform(expected, return_valid=True)
    assert isinstance(valid, place.kind)
    np.testing.assert_array_equal(host(valid), expected_valid)
    assert_same(back, expected_back)


@pytest.mark.parametrize("layout", ["compact", "onehot"])
def test_no_mask_is_made_where_nobody_asks(
    place: Any, baseline: TableTransformer, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, rows = [], decode.Decoding.rows

    def noted(*of: Any) -> Any:
        decoded = rows(*of)
        return lambda block: blocks.append(decoded(block)) or blocks[-1]

    monkeypatch.setattr(decode.Decoding, "rows", noted)
    here = clone_on(baseline, "cuda")
    encoded = here.transform(place.resident(arrays()), layout=layout)
    here.inverse_transform(encoded)
    assert blocks and all(block.valid is None for block in blocks)
    blocks.clear()
    here.inverse_transform(encoded, invalid="drop")
    assert blocks and all(isinstance(block.valid, place.kind) for block in blocks)


def clone_on(transformer: TableTransformer, engine: str) -> TableTransformer:
    import copy

    return copy.deepcopy(transformer).set_params(engine=engine)


def test_onehot_transform_and_inverse(place: Any, baseline: TableTransformer) -> None:
    expected = baseline.transform(arrays(), layout="onehot")
    here = clone_on(baseline, "cuda")
    matrix = here.transform(place.resident(arrays()), layout="onehot")
    assert isinstance(matrix, place.kind)
    np.testing.assert_array_equal(host(matrix), expected)
    assert_same(here.inverse_transform(matrix), baseline.inverse_transform(expected))


def test_rows_outside_the_range_are_dropped(place: Any, baseline: TableTransformer) -> None:
    encoded = baseline.transform(arrays())
    encoded["single.scalar"] = encoded["single.scalar"].copy()
    encoded["single.scalar"][:100] = 0.99
    expected = baseline.inverse_transform(encoded, invalid="drop")
    assert len(expected["single"]) < ROWS
    assert_same(clone_on(baseline, "cuda").inverse_transform(place.resident(encoded), invalid="drop"), expected)


def test_batches(place: Any, baseline: TableTransformer) -> None:
    here, given = clone_on(baseline, "cuda"), place.resident(arrays())
    expected = baseline.transform(arrays(), layout="onehot")
    batches = list(here.iter_batches(given, 1000))
    assert all(isinstance(batch, place.kind) for batch in batches)
    np.testing.assert_array_equal(np.concatenate([host(batch) for batch in batches]), expected)
    compact = list(here.iter_batches(given, 1000, layout="compact"))
    whole = baseline.transform(arrays())
    for name, values in whole.items():
        np.testing.assert_array_equal(np.concatenate([host(batch[name]) for batch in compact]), values)


def test_an_engine_of_the_host_gives_back_arrays_of_the_device(place: Any, baseline: TableTransformer) -> None:
    given = place.resident(arrays())
    found = baseline.transform(given)
    assert all(isinstance(values, place.kind) for values in found.values())
    assert_same(found, baseline.transform(arrays()))
    matrix = baseline.transform(given, layout="onehot")
    assert isinstance(matrix, place.kind)
    assert_same(baseline.inverse_transform(matrix), baseline.inverse_transform(host(matrix)))
    assert_same(baseline.inverse_transform(found), baseline.inverse_transform(baseline.transform(arrays())))
    assert not place.launches


def test_numbers_never_leave_the_device(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the sample of the fit, occupied cells and small results are copied."""
    monkeypatch.setattr(sampling, "SAMPLE_RUNS", 4)
    monkeypatch.setattr(sampling, "RUN_ROWS", 16)
    to_arrow = DeviceColumn.to_arrow

    def checked(self: DeviceColumn) -> Any:
        assert len(self) <= 4 * 16 or not is_strict(self.values), "a column was copied to the host"
        return to_arrow(self)

    monkeypatch.setattr(DeviceColumn, "to_arrow", checked)
    names = ["amount", "gaps", "single", "large", "wide", "range", "logs"]
    columns = {name: KINDS[name] for name in names if name in KINDS}
    given = {name: values for name, values in resident(arrays()).items() if name in names}
    here = TableTransformer(columns, engine="cuda", **SETTINGS).fit(given)
    device.uploads.clear()  # cells of summaries
    with device.ledger.stage("rows") as rows:
        encoded = here.transform(given)
        here.inverse_transform(encoded, return_valid=True)
        here.inverse_transform(here.transform(given, layout="onehot"))
    assert rows.kernels and rows.bytes_down < 2 * ROWS  # of 56 bytes a row
    assert not device.uploads
    ranged = TableTransformer({"logs": {"kind": "general", "log": True}}, engine="cuda", **SETTINGS)
    encoded = ranged.fit({"logs": given["logs"]}).transform({"logs": given["logs"]})
    assert_same(encoded, ranged.transform({"logs": arrays()["logs"]}))
    assert is_strict(encoded["logs.scalar"])
    with pytest.raises(AssertionError, match="copied to the host"):
        DeviceColumn(given["logs"], pa.float64()).to_arrow()


def test_exact_fits_of_logarithms_read_the_rows_where_they_lie(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SAMPLE_RUNS", 4)
    monkeypatch.setattr(sampling, "RUN_ROWS", 64)
    logs = np.exp(np.random.default_rng(5).normal(2, 1, 1 << 16))
    settings: dict[str, Any] = {"algorithm": "exact", "effort": "auto", "max_iter": 5, "block_rows": 1 << 14}
    transformer = TableTransformer({"logs": {"kind": "continuous", "log": True}}, engine="cuda", **settings)
    to_arrow, lengths = DeviceColumn.to_arrow, list[int]()
    with monkeypatch.context() as patch:
        patch.setattr(DeviceColumn, "to_arrow", lambda self: lengths.append(len(self)) or to_arrow(self))
        found = transformer.fit({"logs": up(logs)})
    assert lengths and max(lengths) <= 4 * 64
    host_model = TableTransformer({"logs": {"kind": "continuous", "log": True}}, engine="native", **settings)
    (mixture,), (expected,) = (model.columns_.values() for model in (found, host_model.fit({"logs": logs})))
    assert mixture.fit.algorithm == expected.fit.algorithm == "exact"
    np.testing.assert_allclose(mixture.means, expected.means, rtol=1e-9)


def skewed(random: np.random.Generator) -> np.ndarray:
    return np.exp(random.normal(3, 1.2, LEDGER_ROWS))


def with_gaps_of(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)) % 9 == 0, np.nan, values)


LEDGER_ROWS = 40_000
#: Columns as tables have them, none declared.
USUAL: dict[str, Any] = {
    "floats": lambda random: random.normal(5, 2, LEDGER_ROWS),
    "skewed": skewed,
    "cents": lambda random: skewed(random).round(2),
    "log": lambda random: random.lognormal(9, 2, LEDGER_ROWS),
    "zeros": lambda random: np.where(random.random(LEDGER_ROWS) < 0.3, 0.0, skewed(random).round(2)),
    "missing": lambda random: with_gaps_of(skewed(random)),
    "whole": lambda random: random.integers(0, 40_000, LEDGER_ROWS),
    "moments": lambda random: np.datetime64("2024-01-01", "us") + random.integers(0, 10**13, LEDGER_ROWS),
    "truth": lambda random: random.random(LEDGER_ROWS) < 0.4,
    "few": lambda random: random.integers(0, 7, LEDGER_ROWS),
}


@pytest.mark.parametrize("name", USUAL)
def test_the_host_touches_no_rows_by_default(
    device: Any, cudf: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Beside the sample and the sums of a fit hardly a byte crosses the bus."""
    values = USUAL[name](np.random.default_rng(7))
    monkeypatch.setattr(sampling, "SAMPLE_RUNS", 4)
    monkeypatch.setattr(sampling, "RUN_ROWS", 512)
    for owner, method in (
        (ArraySource, "sample"),
        (summary.CellTables, "lend"),
        (summary.CellTable, "summary"),
        (em.LoopsOnDevice, "run"),
    ):
        monkeypatch.setattr(owner, method, partialmethod(in_stage_of, device.ledger, getattr(owner, method)))
    kinds = {"log": {"kind": "continuous", "log": True}} if name == "log" else None
    given = DataFrame.from_pandas(pd.DataFrame({name: values}))
    with device.ledger.stage("fit") as fit:
        transformer = TableTransformer(kinds, engine="cuda").fit(given)
    with device.ledger.stage("transform") as transform:
        encoded = transformer.transform(given)
    with device.ledger.stage("inverse") as inverse:
        back = transformer.inverse_transform(encoded)
    allowed, apart = values.nbytes // 50, device.ledger.stages["apart"]
    assert fit.bytes_down - apart.bytes_down <= allowed and fit.bytes_up - apart.bytes_up <= allowed
    for stage in (transform, inverse):
        assert stage.bytes_down + stage.bytes_up <= allowed
    host_model = TableTransformer(kinds, engine="native").fit(pa.table({name: pa.array(values, from_pandas=True)}))
    assert columns_of(transformer) == columns_of(host_model)
    expected = host_model.inverse_transform(host_model.transform(pa.table({name: pa.array(values, from_pandas=True)})))
    assert_frames(back, expected)


def in_stage_of(self: Any, ledger: Any, function: Any, *given: Any, **options: Any) -> Any:
    with ledger.stage("apart"):
        return function(self, *given, **options)


@pytest.mark.parametrize("algorithm", ["auto", "exact"])
@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("where", ["another device", "a stream of its own"])
@pytest.mark.covering(1)
def test_the_callers_device_and_stream_are_used(strict_cupy: Any, where: str, place: str, algorithm: str) -> None:
    """Threads begin on the first device and its null stream, and neither is where the caller's rows are."""
    cuda, expected = strict_cupy.cuda, fitted(arrays(), engine="native", algorithm=algorithm)
    gpuvgm.engines.get_engine("cuda")  # on the first device
    with cuda.Device(1) if where == "another device" else cuda.Stream(non_blocking=True):
        given = resident(arrays()) if place == "device" else arrays()
        found = fitted(given, engine="cuda", algorithm=algorithm)
        for name, column in expected.columns_.items():
            if hasattr(column, "means"):
                np.testing.assert_allclose(found.columns_[name].means, column.means, rtol=1e-9)
        encoded = clone_on(expected, "cuda").transform(given)
        assert_same(encoded, expected.transform(arrays()))
        matrix = clone_on(expected, "cuda").transform(given, layout="onehot")
        np.testing.assert_array_equal(host(matrix), expected.transform(arrays(), layout="onehot"))
        assert_same(
            clone_on(expected, "cuda").inverse_transform(encoded),
            expected.inverse_transform(expected.transform(arrays())),
        )
        list(found.iter_batches(given, 1000))
        found.evaluate(given)
        found.partial_fit(given)


def test_rows_of_another_device_than_the_current_one_are_refused(strict_cupy: Any, cudf: Any) -> None:
    """Before CuPy or cuDF meet them, whose errors say less."""
    names = ("gaps", "large", "range")
    fitted_here = TableTransformer(**SETTINGS).fit({name: up(arrays()[name]) for name in names})
    with strict_cupy.cuda.Device(1):
        there = {name: up(arrays()[name]) for name in names}
        matrix, frame = up(np.stack([arrays()["gaps"], arrays()["range"]], axis=1)), DataFrame(there)
        encoded, encoded_frame = fitted_here.transform(there), fitted_here.transform(frame)
    calls = [
        *(
            partial(TableTransformer(**SETTINGS).fit, given)
            for given in (there, matrix, frame, {"gaps": arrays()["gaps"], **there})
        ),
        *(partial(fitted_here.transform, given) for given in (there, frame)),
        *(partial(fitted_here.inverse_transform, given) for given in (encoded, encoded_frame)),
        partial(fitted_here.evaluate, there),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"lie on device 1, but device 0 is the current one: .*cuda\.Device\(1\)"):
            call()


@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize(
    ("kernel", "stage"),
    [
        ("summarise", "fit"),
        ("carry", "fit"),
        ("em_", "best"),
        ("e_step", "exact"),
        ("encode", "transform"),
        ("encode", "onehot"),
        ("decode", "inverse"),
    ],
)
@pytest.mark.covering(1)
def test_a_kernel_that_fails_is_heard_of_late_and_never_overheard(
    strict_cupy: Any, kernel: str, stage: str, place: str
) -> None:
    rows = {name: arrays()[name] for name in ("amount", "single", "large")}
    rows = rows if place == "host" else {name: up(values) for name, values in rows.items()}
    quick: dict[str, Any] = {"effort": "research", "max_iter": 3, "engine": "cuda"}
    model = TableTransformer(**quick).fit(rows)
    encoded = model.transform(rows)
    stages = {
        "fit": lambda: TableTransformer(**quick).fit(rows),
        "best": lambda: TableTransformer(engine="cuda", effort="auto").fit(rows),
        "exact": lambda: TableTransformer(**quick, algorithm="exact").fit(rows),
        "transform": lambda: model.transform(rows),
        "onehot": lambda: model.transform(rows, layout="onehot"),
        "inverse": lambda: model.inverse_transform(encoded),
    }
    strict_cupy.hardware.breaking = f"gpuvgm_{kernel}"
    for _ in range(2):  # nothing that CUDA is asked after it is done
        with pytest.raises(strict_cupy.cuda.runtime.CUDARuntimeError, match="illegal memory access"):
            stages[stage]()


def test_a_matrix(place: Any) -> None:
    values = np.stack([arrays()["amount"], arrays()["range"]], axis=1)
    expected = TableTransformer(**SETTINGS).fit(values)
    found = TableTransformer(engine="cuda", **SETTINGS).fit(place.up(values))
    assert columns_of(found) == columns_of(expected)
    assert_same(found.transform(place.up(values), layout="compact"), expected.transform(values, layout="compact"))


def test_exact_fit_and_more_rows(place: Any) -> None:
    x = {"gaps": arrays()["gaps"], "single": arrays()["single"].astype(np.float64)}
    exact = {"algorithm": "exact"}
    expected = TableTransformer(**SETTINGS, **exact).fit(x)
    found = TableTransformer(engine="cuda", **SETTINGS, **exact).fit(place.resident(x))
    for name in x:
        np.testing.assert_allclose(found.columns_[name].means, expected.columns_[name].means, rtol=1e-9)
        assert found.columns_[name].order == expected.columns_[name].order
    expected = TableTransformer(**SETTINGS).fit(x).partial_fit(x)
    found = TableTransformer(engine="cuda", **SETTINGS).fit(place.resident(x)).partial_fit(place.resident(x))
    assert columns_of(found) == columns_of(expected)


def test_evaluate(place: Any, baseline: TableTransformer) -> None:
    expected = baseline.evaluate(arrays()).to_dict()
    assert clone_on(baseline, "cuda").evaluate(place.resident(arrays())).to_dict() == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("amount", np.inf, 'column "amount": 1 value is infinite.*row 4500'),
        ("amount", np.nan, 'column "amount": 1 value is missing.*row 4500'),
        ("range", np.nan, 'column "range": 1 value is missing.*row 4500'),
        ("category", 77, 'column "category".*77.*row 4500'),
    ],
)
def test_wrong_rows_are_named(place: Any, baseline: TableTransformer, name: str, value: float, message: str) -> None:
    rows = arrays()
    rows[name] = rows[name].copy()
    rows[name][4500] = value
    with pytest.raises(InputError, match=message) as here:
        clone_on(baseline, "cuda").transform(place.resident(rows))
    with pytest.raises(InputError) as there:
        baseline.transform(rows)
    assert str(here.value) == str(there.value)


def test_infinite_rows_stop_the_fit(place: Any) -> None:
    rows = {"x": arrays()["amount"]}
    rows["x"][4500] = np.inf
    with pytest.raises(InputError, match=r'"x": 1 value is infinite \(first at dict, row 4500\)'):
        TableTransformer(engine="cuda", **SETTINGS).fit(place.resident(rows))
    expected = TableTransformer(inf="missing", **SETTINGS).fit(rows)
    found = TableTransformer(engine="cuda", inf="missing", **SETTINGS).fit(place.resident(rows))
    assert columns_of(found) == columns_of(expected)


@pytest.mark.parametrize("wrong", [100, -1])
def test_a_mode_that_does_not_exist(place: Any, baseline: TableTransformer, wrong: int) -> None:
    encoded = baseline.transform(arrays())
    encoded["single.mode"] = encoded["single.mode"].copy()
    encoded["single.mode"][4700] = wrong
    for modes in (encoded["single.mode"], encoded["single.mode"].astype(np.int64)):
        with pytest.raises(InputError, match=rf"single.mode.*{wrong} at row 4700"):
            clone_on(baseline, "cuda").inverse_transform(place.resident(encoded | {"single.mode": modes}))


def test_given_uniforms(place: Any, baseline: TableTransformer) -> None:
    uniforms = {"gaps": np.random.default_rng(0).random(ROWS)}
    expected = baseline.transform(arrays(), uniforms=uniforms)
    here = clone_on(baseline, "cuda")
    assert_same(here.transform(place.resident(arrays()), uniforms=uniforms), expected)
    assert_same(here.transform(place.resident(arrays()), uniforms=place.resident(uniforms)), expected)


@pytest.mark.parametrize("engine", ["cuda", "reference"])
def test_no_rows(place: Any, baseline: TableTransformer, engine: str) -> None:
    none = {name: values[:0] for name, values in arrays().items()}
    here = clone_on(baseline, engine)
    found = here.transform(place.resident(none))
    assert_same(found, baseline.transform(none))
    assert all(isinstance(values, place.kind) for values in found.values())
    matrix = here.transform(place.resident(none), layout="onehot")
    assert isinstance(matrix, place.kind) and matrix.shape == baseline.transform(none, layout="onehot").shape
    assert_same(here.inverse_transform(found), baseline.inverse_transform(baseline.transform(none)))


def test_memory_that_runs_out(place: Any, baseline: TableTransformer, monkeypatch: Any, caplog: Any) -> None:
    engine = gpuvgm.engines.get_engine("cuda")
    encode = engine.encode

    def short(values: Any, *given: Any) -> Any:
        if len(values) > 5000:
            raise MemoryError
        return encode(values, *given)

    monkeypatch.setattr(engine, "encode", short)
    found = clone_on(baseline, "cuda").set_params(block_rows=None).transform(place.resident(arrays()))
    assert_same(found, baseline.transform(arrays()))
    assert "memory ran out: going on with blocks of 4500 rows" in caplog.text


def test_a_matrix_that_the_device_can_never_hold(device: Any, baseline: TableTransformer) -> None:
    here, given = clone_on(baseline, "cuda"), resident(arrays())
    width = len(here.get_feature_names_out(layout="onehot"))
    launches, memory = len(device.launches), device.memory
    device.memory = 4 * ROWS * width - 1
    with pytest.raises(InputError, match=f"matrix of {ROWS} rows and {width} columns takes {4 * ROWS * width} bytes"):
        here.transform(given, layout="onehot")
    assert len(device.launches) == launches, "nothing is begun"
    device.memory = memory
    batches = list(here.iter_batches(given, 1000))
    assert sum(map(len, batches)) == ROWS


def test_set_output_and_files(place: Any, baseline: TableTransformer, tmp_path: Any) -> None:
    here, given = clone_on(baseline, "cuda"), place.resident(arrays())
    table = clone_on(here, "cuda").set_output(transform="pyarrow").transform(given)
    assert table.equals(baseline.set_output(transform="pyarrow").transform(arrays()))
    baseline.set_output(transform="default")
    here.transform(given, out=tmp_path / "here.parquet")
    baseline.transform(arrays(), out=tmp_path / "there.parquet")
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


@pytest.mark.parametrize("out", ["one.parquet", "folder"])
@pytest.mark.parametrize("where", ["another device", "another stream"])
def test_files_are_written_by_the_callers_stream_with_no_more_waits(
    strict_cupy: Any, monkeypatch: pytest.MonkeyPatch, baseline: TableTransformer, tmp_path: Path, where: str, out: str
) -> None:
    cuda, here = strict_cupy.cuda, clone_on(baseline, "cuda")
    with cuda.Device(1) if where == "another device" else cuda.Stream(non_blocking=True):
        given = resident(arrays())
        here.transform(given)  # the engine begins with a row, once
        with strict_cupy.hardware.ledger.stage("ahead") as ahead:
            here.transform(given, out=tmp_path / f"ahead-{out}")
        monkeypatch.setattr(Run, "writer", property(lambda run: run.executor))
        with strict_cupy.hardware.ledger.stage("caller") as caller:
            here.transform(given, out=tmp_path / f"caller-{out}")
    assert ahead == caller and ahead.synchronisations
    baseline.transform(arrays(), out=tmp_path / f"host-{out}")
    found = [tmp_path / f"{who}-{out}" for who in ("ahead", "caller", "host")]
    parts = [path if path.is_file() else path / "part-00000.parquet" for path in found]
    assert parts[0].read_bytes() == parts[1].read_bytes() == parts[2].read_bytes()


def frame() -> pd.DataFrame:
    random = np.random.default_rng(8)
    nullable = pd.array(random.integers(2**60, 2**60 + 9999, ROWS), dtype="Int64")
    nullable[::9] = pd.NA
    moments = pd.Series(np.datetime64("2024-01-01", "ns") + random.integers(0, 10**15, ROWS).astype("m8[ns]"))
    moments[3::8] = pd.NaT
    doubt = pd.array(random.random(ROWS) < 0.5, dtype="boolean")
    doubt[::5] = pd.NA
    return pd.DataFrame(
        {
            "nullable": nullable,
            "moment": moments,
            "length": random.integers(0, 10**9, ROWS).astype("m8[us]"),
            "zoned": moments.dt.tz_localize("Europe/Berlin", ambiguous="NaT", nonexistent="NaT"),
            "price": pd.array(random.normal(5, 2, ROWS), dtype="Float64"),
            "single": random.normal(5, 2, ROWS).astype(np.float32),
            "word": random.choice(["a", "b", "c"], ROWS),
            "kind": pd.Categorical(random.choice(["x", "yy", "z"], ROWS), categories=["z", "unused", "yy", "x"]),
            "shared": pd.Categorical(random.choice(["p", "q", None], ROWS)),
            "truth": random.random(ROWS) < 0.3,
            "doubt": doubt,
            "whole": random.integers(0, 50_000, ROWS),
        }
    ).set_index(np.arange(ROWS) * 2)


@pytest.mark.parametrize("engine", ["cuda", "native"])
def test_cudf_frames_come_back_as_cudf_frames(device: Any, cudf: Any, engine: str) -> None:
    rows = frame()
    table = pa.Table.from_pandas(rows, preserve_index=False)
    wide = [field.with_type(with_wide_index(field.type)) for field in table.schema]
    table = table.cast(pa.schema(wide).with_metadata(table.schema.metadata))
    expected = TableTransformer({"whole": "pass"}, **SETTINGS).fit(table)
    given = DataFrame.from_pandas(rows)
    found = TableTransformer({"whole": "pass"}, engine=engine, **SETTINGS).fit(given)
    assert columns_of(found) == columns_of(expected)
    encoded, encoded_there = found.transform(given), expected.transform(table)
    assert isinstance(encoded, cudf.DataFrame)
    assert encoded.index == given.index
    assert_frames(encoded, encoded_there)
    back = found.inverse_transform(encoded)
    assert isinstance(back, cudf.DataFrame)
    assert back.index == given.index
    assert_frames(back, expected.inverse_transform(encoded_there))


def test_categories_and_booleans_are_encoded_on_the_device(device: Any, cudf: Any) -> None:
    """Of words only the dictionary comes to the host, of other categories the values that occur."""
    rows = frame()[["kind", "shared", "truth", "doubt"]]
    rows["few"] = np.arange(ROWS) % 5
    table = pa.Table.from_pandas(rows, preserve_index=False)
    columns = {"kind": "categorical", "shared": "categorical", "few": "categorical"}
    expected = TableTransformer(columns, **SETTINGS).fit(table)
    here = clone_on(expected, "cuda")
    given = DataFrame.from_pandas(rows)
    with device.ledger.stage("encode") as encode:
        found = here.transform(given)
    assert encode.bytes_down < ROWS
    assert_frames(found, expected.transform(table))
    with device.ledger.stage("encode") as encode:
        matrix = here.transform(given, layout="onehot")
    assert encode.bytes_down < 2 * ROWS
    np.testing.assert_array_equal(host(matrix), expected.transform(table, layout="onehot"))
    rows["kind"] = rows["kind"].cat.rename_categories({"x": "new"})
    with pytest.raises(InputError, match='column "kind".*new.*no category') as there:
        expected.transform(pa.Table.from_pandas(rows, preserve_index=False))
    with pytest.raises(InputError) as found_there:
        here.transform(DataFrame.from_pandas(rows))
    assert str(found_there.value).partition("(first")[0] == str(there.value).partition("(first")[0]


def test_decimals_and_categories_are_fitted_on_the_device(
    device: Any, cudf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of the fit, and those that are encoded, leave summaries and the values that occur."""
    random, rows = np.random.default_rng(5), 6000
    cents = random.normal(5000, 900, rows).astype(np.int64)
    gaps = np.arange(rows) % 7 == 0
    columns = {
        "price": decimals(cents, decimal_type(64, 12, 2), None),
        "gaps": decimals(5 * cents, decimal_type(32, 9, 2), gaps),
        "wide": decimals(cents, pa.decimal128(10, 1), None),
        "kind": pa.array(random.choice(["x", "yy", " "], rows)).dictionary_encode().cast(WORDS),
        "some": pa.array(random.choice(["x", "yy", "z"], rows), mask=gaps).dictionary_encode().cast(WORDS),
        "few": pa.array(random.integers(0, 5, rows), mask=gaps),
        "doubt": pa.array(random.random(rows) < 0.5, mask=gaps),
    }
    table, given = pa.table(columns), DataFrame.from_arrow(pa.table(columns))
    settings: dict[str, Any] = SETTINGS | {"max_iter": 3}
    expected = TableTransformer({"few": "categorical"}, **settings).fit(table)
    sample = ArraySource.sample
    monkeypatch.setattr(ArraySource, "sample", lambda *given: _in_stage(device.ledger, sample, *given))
    with device.ledger.stage("fit") as fit:
        found = TableTransformer({"few": "categorical"}, engine="cuda", **settings).fit(given)
    assert columns_of(found) == columns_of(expected)
    categories = [name for name in columns if found.columns_[name].kind == "categorical"]
    assert categories == ["kind", "some", "few", "doubt"]
    with device.ledger.stage("encode") as encode:
        encoded = found.transform(given)
    assert encode.bytes_down < rows
    assert_frames(encoded, expected.transform(table))
    assert_frames(found.inverse_transform(encoded), expected.inverse_transform(expected.transform(table)))
    only = TableTransformer({"few": "categorical"}, engine="cuda", **settings)
    with device.ledger.stage("counts") as counts:
        only.fit(DataFrame({name: given[name] for name in categories}))
    assert counts.bytes_down - device.ledger.stages["sample"].bytes_down < rows
    assert fit.kernels
    assert not any(owner.exposed for name in columns for owner in given[name].buffers)


def categories_of_every_type(rows: int) -> dict[str, Any]:
    """Columns of few values, of every type that cuDF has on the device; half of them have missing rows."""
    random = np.random.default_rng(11)
    gaps, places = random.random(rows) < 0.1, random.integers(0, 6, rows)
    floats = np.array([0.1, -0.0, 0.0, 1e-40, np.nan, 2.5])
    numbers = np.array([3, -2, 2**40, 0, 17, 5])[places]
    moments = np.datetime64("2024-01-01", "ns").astype(np.int64) + numbers
    words = pa.array(["b", "a", "unused", "ä", " ", "z"])
    return {
        "integers": pa.array(numbers),
        "booleans": pa.array(places < 2, mask=gaps),
        "floats": pa.array(floats[places].astype(np.float32)),
        "doubles": pa.array(floats[places], mask=gaps),
        "moments": pa.array(moments, mask=gaps).cast(pa.timestamp("ns")),
        "lengths": pa.array(numbers).cast(pa.duration("us")),
        "cents": decimals(numbers, decimal_type(64, 14, 2), gaps),
        "words": pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32), mask=gaps), words),
    }


@pytest.mark.parametrize("name", categories_of_every_type(1))
@pytest.mark.parametrize("encoding", ["onehot", "interval"])
def test_rows_of_categories_never_leave_the_device(
    device: Any, cudf: Any, monkeypatch: pytest.MonkeyPatch, name: str, encoding: str
) -> None:
    """What is copied are samples, counts, and each value once: no 2 % of the rows."""
    monkeypatch.setattr(sampling, "SAMPLE_RUNS", 4)
    monkeypatch.setattr(sampling, "RUN_ROWS", 64)
    to_arrow, sample, rows, lengths = DeviceColumn.to_arrow, ArraySource.sample, 200_000, list[int]()
    table = pa.table({name: categories_of_every_type(rows)[name]})
    specs: dict[str, Any] = {name: {"kind": "categorical", "encoding": encoding}}
    settings = SETTINGS | {"block_rows": 1 << 16}
    expected = TableTransformer(specs, **settings).fit(table)
    here, given = TableTransformer(specs, engine="cuda", **settings), DataFrame.from_arrow(table)
    with monkeypatch.context() as patch:
        patch.setattr(DeviceColumn, "to_arrow", lambda self: lengths.append(len(self)) or to_arrow(self))
        patch.setattr(ArraySource, "sample", lambda *given: _in_stage(device.ledger, sample, *given))
        with device.ledger.stage("fit"):
            here.fit(given)
        with device.ledger.stage("transform"):
            encoded = here.transform(given)
        with device.ledger.stage("inverse"):
            back = here.inverse_transform(encoded)
    assert columns_of(here) == columns_of(expected)
    assert_frames(encoded, expected.transform(table))
    assert_frames(back, expected.inverse_transform(expected.transform(table)))
    stages = device.ledger.stages
    copied = {stage: stages[stage].bytes_up + stages[stage].bytes_down for stage in ("fit", "transform", "inverse")}
    copied["fit"] -= stages["sample"].bytes_up + stages["sample"].bytes_down
    if encoding == "interval":
        del copied["transform"]  # the uniforms of places in intervals are drawn on the host
    row_bytes = 1 if name == "booleans" else 4 if name in ("floats", "words") else 8
    assert max(copied.values()) <= 0.02 * row_bytes * rows, copied
    assert max(lengths) <= 4 * 64, "a column was copied to the host"


def test_categories_in_arrays_never_leave_the_device(place: Any) -> None:
    rows = {"category": arrays()["category"], "truth": arrays()["truth"], "floats": arrays()["category"] / 7}
    kinds: dict[str, Any] = dict.fromkeys(rows, "categorical")
    expected = TableTransformer(kinds, **SETTINGS).fit(rows)
    here, given = clone_on(expected, "cuda"), place.resident(rows)
    here.transform(given)  # the engine begins with a row, once
    ledger = sys.modules["cupy"].hardware.ledger if hasattr(place.kind, "strict") else Ledger()
    with ledger.stage("rows") as entry:
        found = here.transform(given)
        back = here.inverse_transform(found)
        matrix_back = here.inverse_transform(here.transform(given, layout="onehot"))
    assert entry.bytes_up + entry.bytes_down < 0.02 * 3 * 17 * ROWS
    assert all(isinstance(values, place.kind) for values in (*back.values(), *matrix_back.values()))
    assert_same(found, expected.transform(rows))
    for decoded in (back, matrix_back):
        assert_same(decoded, expected.inverse_transform(expected.transform(rows)))


def _in_stage(ledger: Any, function: Any, *given: Any) -> Any:
    with ledger.stage("sample"):
        return function(*given)


def assert_frames(found: Any, expected: pa.Table) -> None:
    assert list(found.columns) == expected.column_names
    for name in found.columns:
        here, there = found[name].to_arrow(), expected[name].combine_chunks()
        here = pa.concat_arrays(here.chunks) if isinstance(here, pa.ChunkedArray) else here
        if pa.types.is_dictionary(here.type):  # cuDF numbers few words with 8 bits
            here = here.cast(there.type)
        assert here.type == there.type, name
        assert here.equals(there), name


@pytest.mark.parametrize("stream", ["null", "own"])
def test_parquet_through_cudf(
    strict_cupy: Any, device: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, stream: str
) -> None:
    with strict_cupy.cuda.Stream(non_blocking=True) if stream == "own" else nullcontext():
        parquet_through_cudf(device, monkeypatch, tmp_path)


def parquet_through_cudf(device: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    table = pa.Table.from_pandas(frame(), preserve_index=False)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=2500)
    expected = TableTransformer(**SETTINGS).fit(tmp_path / "rows.parquet")
    use_strict_cudf(monkeypatch)
    found = TableTransformer(engine="cuda", **SETTINGS).fit(tmp_path / "rows.parquet")
    assert columns_of(found) == columns_of(expected)
    pieces = [size for size in device.uploads if size in (4096, ROWS % 4096)]  # the others are cells of summaries
    assert sum(pieces) == 2 * ROWS  # what Arrow reads: the moments with a time zone, and the durations
    encoded = expected.transform(tmp_path / "rows.parquet")
    assert found.transform(tmp_path / "rows.parquet").equals(encoded)
    pq.write_table(encoded, tmp_path / "encoded.parquet")
    assert found.inverse_transform(tmp_path / "encoded.parquet").equals(expected.inverse_transform(encoded))
    found.transform(tmp_path / "rows.parquet", out=tmp_path / "ahead.parquet")
    expected.transform(tmp_path / "rows.parquet", out=tmp_path / "host.parquet")
    assert (tmp_path / "ahead.parquet").read_bytes() == (tmp_path / "host.parquet").read_bytes()
    batches = list(found.iter_batches(tmp_path / "rows.parquet", 700))
    whole = expected.transform(tmp_path / "rows.parquet", layout="onehot")
    np.testing.assert_array_equal(np.concatenate([host(batch) for batch in batches]), whole)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_columns_of_files_share_the_memory_for_cells(
    device: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, share: float
) -> None:
    """With room for all, each is read at the end; without, each but one with every block."""
    names = ["nullable", "moment", "price", "single", "whole"]
    frame()[names].to_parquet(tmp_path / "rows.parquet", index=False)
    kinds = dict.fromkeys(names, "continuous")
    expected = TableTransformer(kinds, **SETTINGS).fit(tmp_path / "rows.parquet")
    use_strict_cudf(monkeypatch)
    monkeypatch.setattr(summary, "LENT_SHARE", share)
    found = TableTransformer(kinds, engine="cuda", **SETTINGS).fit(tmp_path / "rows.parquet")
    assert columns_of(found) == columns_of(expected)
    blocks = -(-ROWS // 4096)
    gathered = [name for name, _ in device.launches].count("gpuvgm_gather")
    assert gathered == (len(names) if share else 1 + (len(names) - 1) * blocks)


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_memory_that_runs_out_in_the_scan_of_a_file(
    device: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: Any, when: str
) -> None:
    """A block comes again in halves; columns that had it whole do not count it twice, nor one that had some of it."""
    names = ["price", "whole", "single"]
    frame()[names].to_parquet(tmp_path / "rows.parquet", index=False)
    kinds = dict.fromkeys(names, "continuous")
    expected = TableTransformer(kinds, **SETTINGS).fit(tmp_path / "rows.parquet")
    use_strict_cudf(monkeypatch)
    add, added = summary.CellTable.add, list[int]()

    def short(self: Any, x: Any, missing: Any = None) -> None:
        added.append(len(x))
        runs_out = len(added) == 2  # the second column of the first block
        if not runs_out or when == "after":
            add(self, x, missing)
        elif when == "between":
            add(self, x[: len(x) // 3], None if missing is None else missing[: len(x) // 3])
        if runs_out:
            raise MemoryError

    monkeypatch.setattr(summary.CellTable, "add", short)
    monkeypatch.setattr(local, "LEAST_ROWS", 1024)
    found = TableTransformer(kinds, engine="cuda", **SETTINGS).fit(tmp_path / "rows.parquet")
    assert columns_of(found) == columns_of(expected)
    assert "going on with blocks of 2048 rows" in caplog.text
    whole, halves = [4096, 4096], [2048] * 4
    rest = [2048] * 6 + [ROWS - 8192] * 3
    again = [] if when == "before" else [4096, 4096, ROWS - 8192]
    assert added == whole + halves + rest + again


def test_memory_that_runs_out_at_the_end_of_a_scan(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even the cells find room, blocks are looked at one by one."""
    values, settings = arrays()["amount"], SETTINGS | {"block_rows": 4096}
    expected = TableTransformer({"x": "continuous"}, **settings).fit({"x": values})
    whole, asked = summary.CellTable.summary, list[int]()

    def short(self: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            raise MemoryError
        return whole(self)

    monkeypatch.setattr(summary.CellTable, "summary", short)
    found = TableTransformer({"x": "continuous"}, engine="cuda", **settings).fit({"x": up(values)})
    assert columns_of(found) == columns_of(expected)
    assert len(asked) == 1 + -(-ROWS // 4096)


@pytest.mark.parametrize("rows", [1, 4096])
def test_ends_of_large_integers_where_blocks_have_none(device: Any, rows: int) -> None:
    values = np.random.default_rng(2).integers(-(2**61), 2**61, ROWS)
    values[:rows] = values[-rows:] = 5
    kinds, settings = {"x": {"kind": "mixed", "modal": [5]}}, SETTINGS | {"block_rows": 4096}
    expected = TableTransformer(kinds, **settings).fit({"x": values})
    assert columns_of(TableTransformer(kinds, engine="cuda", **settings).fit({"x": up(values)})) == columns_of(expected)
    assert expected.columns_["x"].minimum == min(values)


ODD = {"off the step": 0.125, "off an inferred step": 0.125, "rounded": 2**60 + 1, "overflow": 1e308}


@pytest.mark.parametrize("odd", ODD)
def test_a_later_row_that_the_sample_has_not_seen(
    device: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any, odd: str
) -> None:
    """Such columns are looked at block by block, and come out as on the host."""
    monkeypatch.setattr(sampling, "SAMPLE_RUNS", 4)
    monkeypatch.setattr(sampling, "RUN_ROWS", 512)
    values = arrays()["category" if odd == "rounded" else "amount"]
    values = 1e-300 * values if odd == "overflow" else values
    values[-3] = ODD[odd]
    kinds = None if odd == "off an inferred step" else {"x": "continuous"}
    settings, told = SETTINGS | {"effort": "auto"}, []  # which learns steps
    for engine, rows in (("native", values), ("cuda", up(values))):
        caplog.clear()
        try:
            found = columns_of(TableTransformer(kinds, engine=engine, **settings).fit({"x": rows}))
        except InputError as problem:
            found = [str(problem)]
        told.append((found, [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]))
    assert told[0] == told[1]
    blocks = -(-ROWS // 4096)
    gathered = [name for name, _ in device.launches].count("gpuvgm_gather")
    looked_at = 0 if odd == "rounded" else blocks  # whose ends are found in the one scan
    assert gathered == 1 + looked_at + (kinds is None), "another plan is scanned at once"


def test_cudf_may_spill_before_every_kernel(strict_cupy: Any, cudf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel works on is pinned; all else goes to the host as others of the process ask for memory."""
    rows = {name: arrays()[name] for name in ("gaps", "amount", "large", "category", "range")}
    specs = {name: spec for name, spec in KINDS.items() if name in rows}
    given, spilled = DataFrame({name: up(values) for name, values in rows.items()}), []

    def under_pressure(run: Any) -> Any:
        def spill_and_run(*arguments: Any) -> None:
            for column in given.items():
                for owner in column[1].buffers[:1]:
                    if owner.spillable:
                        owner.spill()
                        spilled.append(column[0])
            run(*arguments)

        return spill_and_run

    for name in ("run_rows", "run_blocks"):
        monkeypatch.setattr(cuda_device.Device, name, under_pressure(getattr(cuda_device.Device, name)))
    found = TableTransformer(specs, engine="cuda", **SETTINGS).fit(given)
    expected = TableTransformer(specs, engine="native", **SETTINGS).fit(rows)
    assert columns_of(found) == columns_of(expected)
    encoded = found.transform(given)
    for name, values in expected.transform(rows).items():
        np.testing.assert_array_equal(encoded[name].values.get(), values, err_msg=name)
    assert set(spilled) == set(rows)
    owners = [series.buffers[0] for _, series in given.items()]
    assert all(owner.spillable and not owner.exposed for owner in owners)


@pytest.mark.gpu
@needs_gpu
@needs("torch")
def test_tensors_on_a_gpu(baseline: TableTransformer) -> None:
    import torch

    columns = {name: values for name, values in arrays().items() if values.dtype != np.uint64}
    model = TableTransformer(KINDS, **SETTINGS).fit(columns)
    tensors = {name: torch.as_tensor(values, device="cuda") for name, values in columns.items()}
    assert_same(clone_on(model, "cuda").transform(tensors), model.transform(columns))


@needs_compiler
@pytest.mark.parametrize("modal", [2**60 + 7, 2**60])
@pytest.mark.usefixtures("strict_cupy")
def test_whole_numbers_beside_modal_values_keep_their_digits(modal: int) -> None:
    values = 2**60 + np.random.default_rng(0).integers(0, 50, 3000)
    declared = {"i": {"kind": "mixed", "modal": [modal]}}
    transformer = TableTransformer(declared, engine="cuda", tails="exact").fit({"i": up(values)})
    back = transformer.inverse_transform(transformer.transform({"i": up(values)}, dtype="float64"))["i"]
    assert back.dtype == np.int64
    np.testing.assert_array_equal(back.get(), values)


@needs_compiler
@pytest.mark.usefixtures("strict_cupy")
def test_scalars_and_modes_may_lie_apart() -> None:
    values = np.random.default_rng(0).normal(size=3000)
    transformer = TableTransformer({"f": "continuous"}, engine="cuda").fit({"f": up(values)})
    encoded = transformer.transform({"f": up(values)})
    whole = transformer.inverse_transform(encoded)["f"].get()
    for part in encoded:
        mixed = {**encoded, part: encoded[part].get()}
        np.testing.assert_array_equal(transformer.inverse_transform(mixed)["f"].get(), whole)
