"""The checks of a GPU on the software device, and the command that runs them, which `make test-gpu` does on a GPU."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.cli import gpu_checks
from gpuvgm.cli.gpu_checks import CHECKS, CLUSTER, FAILED, NOT_RUN, OK, RAPIDS, Check
from tests.cli.running import invoke
from tests.engines.kernels.building import needs_compiler
from tests.harness.device import checks as on_software
from tests.harness.device.frames import DataFrame, dask_frame, use_strict_cudf
from tests.harness.device.hardware import Hardware
from tests.harness.device.module import TrackingResourceAdaptor, forget_engines, use_strict_device, use_strict_rmm

BY_NAME = {check.name: check for check in CHECKS}
#: What the software device has nothing to stand for: other allocators, and spilling.
ON_A_GPU_ALONE = ("cuDF, RMM's pool", "cuDF, asynchronous memory", "cuDF, spilling", "cluster of all GPUs")
ignore_unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(name="cupy")
def _cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The software device, with memory for short arrays, and what stands for cuDF."""
    cupy = use_strict_device(monkeypatch, Hardware(memory=on_software.MEMORY))
    use_strict_cudf(monkeypatch)
    yield cupy
    forget_engines()
    assert not cupy.hardware.faults


@needs_compiler
@ignore_unfinished
@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in (*ON_A_GPU_ALONE, "cluster of one GPU")])
def test_on_the_software_device(name: str) -> None:
    BY_NAME[name].run()


@needs_compiler
@ignore_unfinished
def test_the_cluster_on_the_software_device(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers in this process, whose frames stand for cuDF's."""
    distributed = pytest.importorskip("distributed")

    def cluster(**_: Any) -> Any:
        options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "processes": False}
        return distributed.Client(distributed.LocalCluster(dashboard_address="127.0.0.1:0", **options))

    def read_parquet(folder: str) -> Any:
        files = sorted(gpu_checks.Path(folder).iterdir())
        return dask_frame([DataFrame.from_arrow(pq.read_table(file)) for file in files])

    dask_cudf = ModuleType("dask_cudf")
    vars(dask_cudf)["read_parquet"] = read_parquet
    use_strict_rmm(monkeypatch, cupy, TrackingResourceAdaptor, pool=on_software.MEMORY)
    monkeypatch.setitem(gpu_checks.sys.modules, "dask_cudf", dask_cudf)
    monkeypatch.setattr(gpuvgm, "cluster", cluster)
    monkeypatch.setattr(gpu_checks, "FILES", 4)
    found = BY_NAME["cluster of one GPU"].run()
    assert found["workers"] == 1
    (counted,) = (told for told in found.values() if isinstance(told, dict))
    assert counted["waits"] > 10 and counted["bytes_down"] > 1000
    assert not gpu_checks._WATCHED, "what was counted with is taken away"


@pytest.fixture(name="apart")
def _apart(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of checks have the software device too, and three checks that go wrong."""
    monkeypatch.setattr(gpu_checks, "START", on_software.START)


@needs_compiler
@pytest.mark.usefixtures("apart")
def test_the_command_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    device, summary, second = (BY_NAME[name] for name in (CHECKS[0].name, "summary", "a second device"))
    four = Check("four devices", (), second.run, gpus=4)
    lacking = Check("lacking", ("no_such_package",), second.run)
    fails, crashes, _ = on_software.BROKEN
    monkeypatch.setattr(gpu_checks, "CHECKS", (device, fails, crashes, four, lacking, summary))
    path = tmp_path / "doctor.json"
    result = invoke("doctor", "--gpu", "--json", path, code=1)
    document = json.loads(path.read_text())
    told = {one["name"]: one for one in document["checks"]}
    statuses = [one["status"] for one in told.values()]
    assert statuses == [OK, FAILED, FAILED, NOT_RUN, NOT_RUN, OK]
    assert told["fails"]["error"] == "ValueError: two bits differ" and "in fail" in told["fails"]["traceback"]
    assert told["crashes"]["error"] == "its process ended with exit code 7: Illegal address"
    assert told["four devices"]["error"] == "it needs 4 GPUs, and finds 2"
    assert told["lacking"]["error"].startswith("no_such_package is not installed: pip install")
    assert told["summary"]["found"]["cells"] > 1000
    assert document["device"]["device"] == "a strict device" and document["device"]["nvrtc"] == "13.0"
    assert document["versions"]["gpuvgm"] == gpuvgm.__version__ and {"cupy", "cudf"} <= document["versions"].keys()
    assert {"commit", "system"} <= document.keys()
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if "ok" in line] == [device.name, "summary"]
    assert any(line.startswith("fails") and "ValueError: two bits differ" in line for line in lines)
    assert "failed: crashes" in lines
    assert "gpuvgm: fails: failed (" in result.stderr, "each is told when it ends"


@pytest.mark.usefixtures("apart")
def test_a_check_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_checks, "TIMEOUT", 2.0)
    result = gpu_checks.run_check(on_software.BROKEN[2])
    assert (result.status, result.error) == (FAILED, "it had not ended after 2 s")


@needs_compiler
@pytest.mark.usefixtures("apart")
def test_compiling_alone() -> None:
    document = json.loads(invoke("doctor", "--gpu", "--compile-only", "--json").stdout)
    ((one),) = document["checks"]
    assert one["name"] == "every kernel compiles" and one["status"] == OK
    assert len(one["found"]["seconds"]) == one["found"]["kernels"] > 40


@pytest.mark.usefixtures("cupy")
def test_clusters_are_checked_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run_check(check: Check) -> gpu_checks.Result:
        asked.append(check.name)
        return gpu_checks.Result(check.name, OK)

    monkeypatch.setattr(gpu_checks, "run_check", run_check)
    invoke("doctor", "--gpu")
    assert asked == [check.name for check in CHECKS if not check.cluster]
    asked.clear()
    invoke("doctor", "--gpu", "--cluster")
    assert asked == [check.name for check in CHECKS]


def test_without_a_gpu_there_is_one_line(cupy: Any) -> None:
    cupy.cuda.is_available = lambda: False
    result = invoke("doctor", "--gpu", code=3)
    (line,) = result.stderr.splitlines()
    assert "needs an NVIDIA GPU" in line and "nvidia-smi" in line and not result.stdout


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--cluster"], "--cluster and --compile-only belong to --gpu; add it"),
        (["--compile-only"], "--cluster and --compile-only belong to --gpu; add it"),
        (["found.json"], "doctor writes a file with --json alone; give --json found.json"),
        (["--json", "found.txt"], "found.txt"),
    ],
)
def test_wrong_usage(given: list[str], message: str) -> None:
    assert message in invoke("doctor", *given, code=2).stderr


def test_the_diagnosis_goes_to_a_file_too(tmp_path: Any) -> None:
    result = invoke("doctor", "--json", tmp_path / "found.json")
    assert json.loads((tmp_path / "found.json").read_text())["version"] == gpuvgm.__version__
    assert result.stdout.startswith("gpuvgm ")


def test_every_check_says_what_it_needs() -> None:
    assert len(BY_NAME) == len(CHECKS)
    assert {check.needs for check in CHECKS} == {(), RAPIDS, CLUSTER}
    assert all(check.cluster == (check.needs == CLUSTER) for check in CHECKS)
    assert [check.name for check in CHECKS if check.gpus > 1] == ["a second device", "cluster of all GPUs"]
