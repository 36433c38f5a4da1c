"""Which engine runs a job, and what is said where the one asked for cannot."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer
from gpuvgm.engines import choice as engines, choose_engine, cuda_problem, get_engine, native_is_built
from gpuvgm.errors import EnvironmentProblem
from gpuvgm.execution import Run, any_source

HOST = "native" if native_is_built() else "auto"


def fail(problem: Exception) -> Any:
    raise problem


def cupy_with(cuda: Any) -> ModuleType:
    """A module that stands for CuPy."""
    module = ModuleType("cupy")
    module.__spec__ = ModuleSpec("cupy", None)
    if cuda is not None:
        module.cuda = cuda  # type: ignore[attr-defined]
    return module


@pytest.fixture(autouse=True)
def _forget() -> Any:
    for cached in (cuda_problem, engines._cuda_starts):
        cached.cache_clear()
    yield
    for cached in (cuda_problem, engines._cuda_starts, get_engine):
        cached.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, cuda: Any) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy_with(cuda))


USABLE = SimpleNamespace(is_available=lambda: True)


@pytest.mark.parametrize(
    ("name", "on_device", "expected"),
    [
        ("auto", False, HOST),
        ("auto", True, "cuda"),
        ("native", True, "native"),
        ("cuda", False, "cuda"),
        ("reference", False, "reference"),
    ],
)
def test_the_place_of_the_rows_decides(
    monkeypatch: pytest.MonkeyPatch, name: str, on_device: bool, expected: str
) -> None:
    install(monkeypatch, USABLE)
    monkeypatch.setattr(engines, "_cuda_starts", lambda: True)
    assert choose_engine(name, on_device=on_device) == expected


def test_a_device_that_runs_no_kernel_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, USABLE)
    monkeypatch.setattr("gpuvgm.engines.cuda.started", lambda host: fail(RuntimeError("no libnvrtc-builtins")))
    assert [choose_engine("auto", on_device=True) for _ in range(2)] == [HOST, HOST]
    assert caplog.text.count("no libnvrtc-builtins") == 1 and "the host works instead" in caplog.text
    with pytest.raises(EnvironmentProblem, match=r"cannot start.*no libnvrtc-builtins.*gpuvgm\[cu13\]"):
        get_engine("cuda")


def test_rows_of_the_host_do_not_look_for_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cuda_problem", lambda: pytest.fail("a device was looked for"))
    assert choose_engine("auto") == HOST


BROKEN = [
    (None, r"needs CuPy, which fails here \(AttributeError: .*cuda.*\).*gpuvgm\[cu13\]"),
    (SimpleNamespace(is_available=lambda: fail(RuntimeError("bad\ndriver"))), r"RuntimeError: bad driver"),
    (
        SimpleNamespace(
            is_available=lambda: False,
            runtime=SimpleNamespace(getDeviceCount=lambda: fail(OSError("cudaErrorNoDevice: no CUDA device"))),
        ),
        r"needs an NVIDIA GPU.*cudaErrorNoDevice.*nvidia-smi",
    ),
    (
        SimpleNamespace(is_available=lambda: False, runtime=SimpleNamespace(getDeviceCount=lambda: 0)),
        r"needs an NVIDIA GPU.*0 devices.*nvidia-smi",
    ),
]


@pytest.mark.parametrize(("cuda", "message"), BROKEN)
def test_importable_is_not_usable(monkeypatch: pytest.MonkeyPatch, cuda: Any, message: str) -> None:
    install(monkeypatch, cuda)
    with pytest.raises(EnvironmentProblem, match=message):
        get_engine("cuda")
    assert choose_engine("auto", on_device=True) == HOST
    values = {"x": np.random.default_rng(0).normal(size=500)}
    TableTransformer(effort="research").fit(values)


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = engines.util.find_spec
    monkeypatch.setattr(engines.util, "find_spec", lambda name: None if name == "cupy" else found(name))
    with pytest.raises(EnvironmentProblem, match=r'CuPy, which is not installed: pip install "gpuvgm\[cu13\]"'):
        get_engine("cuda")
    assert choose_engine("auto", on_device=True) == HOST


def test_an_engine_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SimpleNamespace(is_available=lambda: True, memory=None))
    with pytest.raises(EnvironmentProblem, match=r'engine "cuda" cannot start \(AttributeError.*gpuvgm doctor'):
        get_engine("cuda")


def test_engines_of_the_host_take_no_arrays_of_a_device() -> None:
    assert not get_engine("auto").runs_on_device
    assert not get_engine("reference").runs_on_device


def test_large_tables_and_files_of_the_host_stay_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, USABLE)
    monkeypatch.setattr(engines, "_cuda_starts", lambda: True)
    one = np.broadcast_to(np.float64(1), (1 << 29,))  # 4 GiB of values in 8 bytes
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "a.parquet")
    for table in (any_source({"a": one}), any_source(str(tmp_path / "a.parquet"))):
        assert Run.over(table, "auto").engine == HOST
        assert Run.over(table, "reference").engine == "reference"
