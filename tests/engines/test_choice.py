"""Which engine runs a job, and what is said where the one asked for cannot."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpuvgm import TableTransformer, engines
from gpuvgm.engines import DEVICE_VALUES, choose_engine, cuda_problem, get_engine, native_is_built, runs_on_device
from gpuvgm.errors import EnvironmentProblem
from gpuvgm.execution.context import Run, engine_for
from gpuvgm.execution.sources import open_source

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
    ("name", "values", "on_device", "expected"),
    [
        ("auto", None, False, HOST),
        ("auto", 10**6, False, HOST),
        ("auto", DEVICE_VALUES - 1, False, HOST),
        ("auto", DEVICE_VALUES, False, "cuda"),
        ("auto", None, True, "cuda"),
        ("auto", 1, True, "cuda"),
        ("native", DEVICE_VALUES, True, "native"),
        ("cuda", 1, False, "cuda"),
        ("reference", DEVICE_VALUES, False, "reference"),
    ],
)
def test_the_size_and_the_place_of_the_values_decide(
    monkeypatch: pytest.MonkeyPatch, name: str, values: int | None, on_device: bool, expected: str
) -> None:
    install(monkeypatch, USABLE)
    monkeypatch.setattr(engines, "_cuda_starts", lambda: True)
    assert choose_engine(name, values, on_device=on_device) == expected


def test_a_device_that_runs_no_kernel_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, USABLE)
    monkeypatch.setattr("gpuvgm.engines.cuda.started", lambda host: fail(RuntimeError("no libnvrtc-builtins")))
    with caplog.at_level("WARNING", "gpuvgm"):
        assert [choose_engine("auto", DEVICE_VALUES) for _ in range(2)] == [HOST, HOST]
    assert caplog.text.count("no libnvrtc-builtins") == 1 and "the host works instead" in caplog.text
    with pytest.raises(EnvironmentProblem, match=r"cannot start.*no libnvrtc-builtins.*gpuvgm\[cu13\]"):
        get_engine("cuda")


def test_small_jobs_do_not_look_for_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cuda_problem", lambda: pytest.fail("a device was looked for"))
    assert choose_engine("auto", DEVICE_VALUES - 1) == HOST


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
    assert choose_engine("auto", DEVICE_VALUES, on_device=True) == HOST
    values = {"x": np.random.default_rng(0).normal(size=500)}
    TableTransformer(effort="research").fit(values)


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = engines.util.find_spec
    monkeypatch.setattr(engines.util, "find_spec", lambda name: None if name == "cupy" else found(name))
    with pytest.raises(EnvironmentProblem, match=r'CuPy, which is not installed: pip install "gpuvgm\[cu13\]"'):
        get_engine("cuda")
    assert choose_engine("auto", DEVICE_VALUES) == HOST


def test_an_engine_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SimpleNamespace(is_available=lambda: True, memory=None))
    with pytest.raises(EnvironmentProblem, match=r'engine "cuda" cannot start \(AttributeError.*gpuvgm doctor'):
        get_engine("cuda")


def test_engines_of_the_host_take_no_arrays_of_a_device() -> None:
    assert not runs_on_device(get_engine("auto"))
    assert not runs_on_device(get_engine("reference"))


def test_the_size_of_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, USABLE)
    monkeypatch.setattr(engines, "_cuda_starts", lambda: True)
    monkeypatch.setattr(engines, "DEVICE_VALUES", 1000)
    table = open_source({"a": np.zeros(500), "b": np.zeros(500)})
    assert engine_for("auto", table) == "cuda"
    assert engine_for("auto", open_source({"a": np.zeros(500)})) == HOST
    assert engine_for("auto", open_source(iter([{"a": np.zeros(5000)}]))) == HOST
    assert Run.over(table, "native" if native_is_built() else "reference").engine != "cuda"
