"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings, strategies as st
from threadpoolctl import threadpool_limits

import gpuvgm
from gpuvgm.engines import Engine, get_engine, native_is_built
from tests.engines.kernels.building import needs_compiler
from tests.harness import covering
from tests.harness.device.frames import use_strict_cudf
from tests.harness.device.module import forget_engines, use_strict_device

# In the background, and under nohup, signals may be ignored, and the processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# Dask's processes look at themselves many times a second, which costs a tenth of a core each.
for name, value in {
    "WORKER__PROFILE__ENABLED": "False",
    "ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "ADMIN__TICK__INTERVAL": "500ms",
}.items():
    os.environ.setdefault(f"DASK_DISTRIBUTED__{name}", value)


def gpu_is_usable() -> bool:
    """Whether CuPy is there and finds a device."""
    try:
        import cupy

        return bool(cupy.cuda.is_available())
    except Exception:  # a broken installation of CuPy may raise anything
        return False


#: Packages for GPUs that must work: a test that needs one fails without it. `make test-gpu` sets it.
REQUIRED = os.environ.get("REQUIRE_GPU", "").split(",")


def needs(package: str) -> pytest.MarkDecorator:
    """What skips a test where a package for GPUs is neither installed nor required."""
    missing = package not in REQUIRED and util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


needs_gpu = pytest.mark.skipif("cupy" not in REQUIRED and not gpu_is_usable(), reason="no GPU that CuPy can use")

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # for the workers of Spark; by default the python3 of the path

#: What is costly to start is started once: the tests that share it run in one process.
TOGETHER = {
    "execution/distributed/": "clusters",
    "io/storage/": "store",
    "integrations/spark/": "spark",
    "engines/kernels/test_budgets.py": "cubins",
    "engines/kernels/test_compiled.py": "cubins",
}
#: On a busy machine any example may take long. All clones have the same examples, so that a failure is of the change
#: that is tested; `full` takes new ones each time.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None)
settings.register_profile("default", PATIENT)
settings.register_profile("quick", PATIENT, max_examples=25)
settings.register_profile("full", PATIENT, max_examples=200, derandomize=False)
settings.load_profile("default")


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note each test that this process begins, for .ci/run: of a process that dies nothing else is left."""
    if (folder := os.environ.get("TESTS_BEGUN")) and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
        with Path(folder, f"{worker}.tests").open("a", encoding="utf-8") as tests:
            tests.write(f"{nodeid}\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the sets of parameters that `make test` does not need."""
    covering.mark_exhaustive(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build Hypothesis' tables of characters, which takes seconds on a fresh machine, before a test needs them."""
    if any(is_hypothesis_test(getattr(item, "obj", None)) for item in session.items):
        st.text().validate()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadfile: the tests of a file run in one process, and so do those of `TOGETHER`."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # files of few tests, which may be long ones, would come last

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            name = file.removeprefix("tests/")
            return next((group for start, group in TOGETHER.items() if name.startswith(start)), file)

    return Scheduling(config, log)


def native_names() -> list[str]:
    """The native engine on every instruction set of this machine; nothing where it was not built."""
    if not native_is_built():
        return []
    from gpuvgm import _native

    return [f"native-{name}" for name in _native.instruction_sets()]


def cuda_names() -> list[Any]:
    """The CUDA engine, given arrays of the host and arrays on the device: on the strict device, and on a GPU."""
    names = [f"cuda-{device}{suffix}" for device in ("strict", "gpu") for suffix in ("", "-resident")]
    marks = {"strict": needs_compiler, "gpu": [pytest.mark.gpu, needs_gpu]}
    return [pytest.param(name, marks=marks[name.split("-")[1]]) for name in names]


def make_engine(name: str) -> Engine:
    """Engine by the name that the lists above give it; for cuda-strict the strict device must stand for CuPy."""
    kind, _, choice = name.partition("-")
    if kind == "reference":
        return get_engine("reference")
    if kind == "native":
        from gpuvgm.engines.native import NativeEngine

        return NativeEngine(choice)
    from gpuvgm.engines.cuda import CudaEngine
    from tests.engines.kernels.resident import ResidentEngine

    host = get_engine("native" if native_is_built() else "reference")
    engine: Any = CudaEngine(host)
    return ResidentEngine(engine) if choice.endswith("resident") else engine  # type: ignore[no-any-return]


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_of_dask() -> Iterator[None]:
    """The tests of one file leave no client, and no scheduler of one, to those of the next."""
    yield
    dask = sys.modules.get("dask")
    assert dask is None or dask.config.get("scheduler", None) is None


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the test stands in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def reloaded(tmp_path: Path) -> Callable[..., Any]:
    """A model as it comes back from its file."""

    def reload(model: Any, **options: Any) -> Any:
        model.save(tmp_path / "model.gpuvgm", **options)
        return gpuvgm.load(tmp_path / "model.gpuvgm")

    return reload


@pytest.fixture
def random() -> np.random.Generator:
    """Draws that begin alike in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Other libraries compute on one thread: scikit-learn's k-means gives other bits on several."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def strict_cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The strict device in the place of CuPy; a fault on it fails the test, whoever caught it."""
    with strictly(monkeypatch) as module:
        yield module


@pytest.fixture
def cudf(strict_cupy: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Frames on the strict device in the place of cuDF's."""
    return use_strict_cudf(monkeypatch)


@contextmanager
def strictly(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The strict device in the place of CuPy within."""
    module = use_strict_device(monkeypatch)
    try:
        yield module
        assert not module.hardware.faults
    finally:
        forget_engines()


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk that is mounted with the options of the parameter; it takes root to mount one."""
    target = tmp_path / "disk"
    target.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", target], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a disk: {mounted.stderr.decode().strip()}")
    yield target
    subprocess.run(["umount", target], check=True)


@pytest.fixture(params=["reference", *native_names(), *cuda_names()])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every engine in turn."""
    return _engine_of(request)


@pytest.fixture(params=[*native_names(), *cuda_names()])
def candidate(request: pytest.FixtureRequest) -> Engine:
    """Every engine but the reference in turn."""
    return _engine_of(request)


def _engine_of(request: pytest.FixtureRequest) -> Engine:
    if request.param.startswith("cuda-strict"):
        request.getfixturevalue("strict_cupy")
    return make_engine(request.param)


@pytest.fixture(params=native_names())
def native(request: pytest.FixtureRequest) -> Engine:
    """The native engine on every instruction set in turn."""
    return make_engine(request.param)
