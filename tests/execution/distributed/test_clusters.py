"""Starting clusters, connecting to one that runs, GPUs with a substitute for dask-cuda, and the options of commands."""

from __future__ import annotations

import importlib.machinery
import os
import socket
import subprocess
import sys
import types
from importlib import util
from pathlib import Path

import pytest
from distributed import WorkerPlugin

import gpuvgm
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.execution import local_cluster as clusters
from gpuvgm.execution.dask import ClusterExecutor, DaskExecutor
from tests.cli.running import document, invoke, run
from tests.execution.distributed.working import wait_until

ROWS = 5000


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("cli") / "t.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).normal(size=ROWS)}), path)
    return path


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler in a process of its own, with one worker in another."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    paths = os.pathsep.join([str(Path(gpuvgm.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = {"env": {**os.environ, "PYTHONPATH": paths}, **quiet}
    dask = [sys.executable, "-m", "dask"]
    place = ["--host", "127.0.0.1"]
    first = subprocess.Popen(
        [*dask, "scheduler", *place, "--port", str(port), "--dashboard-address", "127.0.0.1:0"], **options
    )
    second = subprocess.Popen([*dask, "worker", address, *place, "--nthreads", "1", "--no-nanny"], **options)
    yield address
    for process in (second, first):
        process.terminate()
        process.wait(20)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_cluster_here_ends_with_its_client():
    with gpuvgm.cluster(workers=2, threads=1, memory="1GiB") as client:
        workers = client.scheduler_info()["workers"].values()
        assert [(worker["nthreads"], worker["memory_limit"]) for worker in workers] == [(1, 2**30)] * 2
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        assert DaskExecutor().client is client
        pids = list(client.run(os.getpid).values())
        assert os.getpid() not in pids
        cluster = client.cluster
    assert client.status == "closed"
    assert cluster.status.name == "closed"
    wait_until(lambda: not any(map(alive, pids)))


def test_by_default_there_is_a_worker_for_each_core(monkeypatch):
    pytest.importorskip("distributed")
    seen = {}
    monkeypatch.setattr(clusters, "_client", lambda started: started)
    monkeypatch.setattr(clusters, "available_threads", lambda: 6)
    monkeypatch.setattr("distributed.LocalCluster", lambda **settings: seen.update(settings))
    gpuvgm.cluster()
    assert (seen["n_workers"], seen["threads_per_worker"], seen["memory_limit"]) == (6, 1, "auto")
    gpuvgm.cluster(workers=2, local_directory="/scratch", dashboard_address=":1234")
    assert (seen["n_workers"], seen["threads_per_worker"]) == (2, 3)
    assert (seen["local_directory"], seen["dashboard_address"]) == ("/scratch", ":1234")


def test_a_client_that_fails_leaves_no_cluster(monkeypatch):
    distributed = pytest.importorskip("distributed")
    started = distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0")
    monkeypatch.setattr(type(started), "scheduler_address", "nonsense://x")
    with pytest.raises(ValueError, match="nonsense"):
        clusters._client(started)
    assert started.status.name == "closed"
    closed = []
    with pytest.raises(TypeError):
        clusters._client(types.SimpleNamespace(close=lambda: closed.append(True), scheduler_address=5))
    assert closed == [True]


def test_connecting_to_a_scheduler_that_runs(scheduler, table):
    with gpuvgm.cluster(scheduler) as client:
        executor = DaskExecutor(client, partition_rows=700)
        assert ClusterExecutor.of(executor).worker_threads == 1
        assert gpuvgm.TableTransformer(executor=executor).fit(table).model_.rows == ROWS
    with gpuvgm.cluster(scheduler) as client:  # it goes on when a client leaves
        assert len(client.scheduler_info()["workers"]) == 1


def test_no_scheduler_is_there(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(clusters, "ANSWER", "1s")
    with pytest.raises(EnvironmentProblem, match=f"no Dask scheduler answers at {address} .*start one with `dask sch"):
        gpuvgm.cluster(address)
    with pytest.raises(EnvironmentProblem, match="no Dask scheduler answers at nonsense://x"):
        gpuvgm.cluster("nonsense://x")


def test_a_client_that_cannot_connect_is_not_the_current_one():
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")

    def current():
        try:
            return distributed.Client.current()
        except ValueError:
            return None

    before, scheduler = current(), dask.config.get("scheduler", None)
    with pytest.raises(EnvironmentProblem) as problem:
        gpuvgm.cluster("nonsense://x")
    assert current() is before, problem  # whose frames still hold the client
    assert dask.config.get("scheduler", None) == scheduler


@pytest.mark.parametrize("options", [{"workers": 2}, {"memory": "1GiB"}, {"gpus": True}])
def test_what_belongs_to_a_cluster_of_its_own_is_refused_for_one_that_runs(options):
    with pytest.raises(InputError, match=f"{next(iter(options))} is for clusters that are started here"):
        gpuvgm.cluster("tcp://127.0.0.1:1", **options)


@pytest.mark.parametrize("name", ["workers", "threads"])
def test_a_number_of_workers_and_threads_is_positive(name):
    with pytest.raises(InputError, match=f"{name} must be at least 1, got 0"):
        gpuvgm.cluster(**{name: 0})


def test_dask_is_not_installed(monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(clusters.util, "find_spec", lambda name: None if name == "distributed" else find(name))
    with pytest.raises(EnvironmentProblem, match=r'Dask is not installed: pip install "gpuvgm\[dask\]"'):
        gpuvgm.cluster()


@pytest.fixture
def dask_cuda(monkeypatch):
    """A module in the place of dask_cuda, and what it was called with."""
    seen = {}
    module = types.ModuleType("dask_cuda")
    module.__spec__ = importlib.machinery.ModuleSpec("dask_cuda", None)
    module.LocalCUDACluster = lambda **settings: seen.update(settings) or "a cluster"
    monkeypatch.setitem(sys.modules, "dask_cuda", module)
    monkeypatch.setattr(clusters, "cuda_problem", lambda: None)
    monkeypatch.setattr(clusters, "_client", lambda started: started)
    return seen


def test_where_there_are_gpus_each_gets_a_worker_with_a_pool_that_spills(dask_cuda, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(clusters.util, "find_spec", lambda name: name == "distributed_ucxx" or find(name))
    assert gpuvgm.cluster(protocol="ucx", device_memory_limit="20GB") == "a cluster"
    assert dask_cuda == {
        "rmm_pool_size": 0.9,
        "rmm_allocator_external_lib_list": ["cupy"],
        "rmm_track_allocations": True,
        "enable_cudf_spill": True,
        "threads_per_worker": 1,
        "preload_nanny": ["gpuvgm.execution.local_cluster"],
        "protocol": "ucx",
        "device_memory_limit": "20GB",
    }


def test_ucx_is_not_installed(dask_cuda):
    with pytest.raises(
        EnvironmentProblem, match=r'protocol="ucx" needs distributed-ucxx.*pip install distributed-ucxx-'
    ):
        gpuvgm.cluster(protocol="ucx")
    assert not dask_cuda


def test_workers_with_gpus_can_be_counted_and_their_pool_chosen(dask_cuda):
    gpuvgm.cluster(workers=2, threads=3, memory="9GiB", rmm_pool_size=0.5)
    assert (dask_cuda["n_workers"], dask_cuda["threads_per_worker"]) == (2, 3)
    assert (dask_cuda["memory_limit"], dask_cuda["rmm_pool_size"]) == ("9GiB", 0.5)


@pytest.mark.parametrize("options", [{"rmm_async": True}, {"rmm_async": True, "rmm_release_threshold": "1GB"}])
def test_workers_with_gpus_may_take_cudas_asynchronous_pool(dask_cuda, options):
    """Which dask-cuda refuses to combine with a pool of RMM."""
    gpuvgm.cluster(**options)
    assert "rmm_pool_size" not in dask_cuda and "rmm_track_allocations" not in dask_cuda
    assert dask_cuda.items() >= {"rmm_allocator_external_lib_list": ["cupy"], **options}.items()


def failing(*causes):
    """A cluster whose worker fails, as Dask tells it."""
    problem = None
    for cause in causes:
        cause.__cause__, problem = problem, cause

    def start(**_):
        raise problem

    return start


def test_arrays_of_the_client_that_leave_no_room_for_a_pool_are_named(strict_cupy, dask_cuda, monkeypatch):
    lack = MemoryError("std::bad_alloc: out_of_memory: CUDA error")
    started = failing(lack, RuntimeError("Worker failed to start."), RuntimeError("Nanny failed to start."))
    monkeypatch.setattr(sys.modules["dask_cuda"], "LocalCUDACluster", started)
    with pytest.raises(EnvironmentProblem, match=r"rmm_pool_size=0.9.*: end what else uses the GPUs"):
        gpuvgm.cluster()
    held = strict_cupy.empty(3 << 30, "uint8")
    with pytest.raises(EnvironmentProblem, match=r"hold 3\.0 GiB of GPU 0: delete them and call .*free_all_blocks"):
        gpuvgm.cluster()
    assert held.nbytes
    with pytest.raises(RuntimeError, match="Nanny failed"):
        gpuvgm.cluster(rmm_async=True)


def test_a_worker_that_fails_for_another_reason_says_so_itself(strict_cupy, dask_cuda, monkeypatch):
    started = failing(OSError("no port"), RuntimeError("Nanny failed to start."))
    monkeypatch.setattr(sys.modules["dask_cuda"], "LocalCUDACluster", started)
    with pytest.raises(RuntimeError, match="Nanny failed"):
        gpuvgm.cluster()


class Unlucky(WorkerPlugin):
    """As dask-cuda's, which sets up the pool in the worker."""

    def setup(self, worker):
        raise MemoryError("std::bad_alloc")


def test_dask_says_what_a_worker_failed_from():
    with pytest.raises(RuntimeError) as problem:
        gpuvgm.cluster(workers=1, gpus=False, plugins={Unlucky()})
    assert clusters._is_lack_of_memory(problem.value)


def test_without_a_pool_of_rmm_cupy_keeps_its_own(dask_cuda):
    gpuvgm.cluster(rmm_pool_size=None)
    assert dask_cuda["rmm_pool_size"] is None and "rmm_allocator_external_lib_list" not in dask_cuda


def test_gpus_can_be_left_alone(dask_cuda, monkeypatch):
    monkeypatch.setattr("distributed.LocalCluster", lambda **settings: "processes")
    assert gpuvgm.cluster(gpus=False) == "processes"
    assert not dask_cuda


def test_gpus_that_are_not_there(monkeypatch):
    monkeypatch.setattr(clusters, "cuda_problem", lambda: "there is no GPU")
    with pytest.raises(EnvironmentProblem, match="there is no GPU"):
        gpuvgm.cluster(gpus=True)
    monkeypatch.setattr(clusters, "cuda_problem", lambda: None)
    find = util.find_spec
    monkeypatch.setattr(clusters.util, "find_spec", lambda name: None if name == "dask_cuda" else find(name))
    with pytest.raises(EnvironmentProblem, match="dask-cuda is not installed: pip install"):
        gpuvgm.cluster(gpus=True)


def test_commands_on_workers_and_on_a_scheduler(scheduler, table, tmp_path):
    alone = document("fit", table, "--model", tmp_path / "one")
    _, err = run("fit", table, "--model", tmp_path / "m", "--workers", "2")
    assert "Dask dashboard: http://127.0.0.1:" in err
    there = document("fit", table, "--model", tmp_path / "there", "--scheduler", scheduler)
    left_out = {"seconds", "model", "run"}
    assert {k: v for k, v in there.items() if k not in left_out} == {
        k: v for k, v in alone.items() if k not in left_out
    }
    for name, options in (("a.parquet", []), ("b.parquet", ["--scheduler", scheduler])):
        invoke("transform", table, tmp_path / name, "--model", tmp_path / "m", *options)
        invoke("inverse", tmp_path / name, tmp_path / f"{name}.back", "--model", tmp_path / "m", *options)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.parquet.back").read_bytes() == (tmp_path / "b.parquet.back").read_bytes()
    reports = [document("evaluate", table, "--model", tmp_path / "m", *o) for o in ([], ["--scheduler", scheduler])]
    assert [report.pop("run")["stages"][0]["rows"] for report in reports] == [5000, 5000]
    assert reports[0] == reports[1]


def test_a_scheduler_and_workers_together_are_refused(table, tmp_path):
    result = invoke("fit", table, "--model", tmp_path / "m", "--workers", 2, "--scheduler", "tcp://x:1", code=2)
    assert "--scheduler and --workers exclude each other; give one of them" in result.stderr


def test_a_greeting_that_goes_wrong_is_tried_again(monkeypatch):
    """Dask's client asserts that the scheduler's first message comes alone, which another client's end may spoil."""
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    tries = []

    def start(client, timeout):
        tries.append((client._start_arg, f"{timeout}s"))
        assert len(tries) > spoilt

    monkeypatch.setattr(distributed.Client, "start", start)
    with dask.config.set(scheduler=None):  # which clients that never began do not set back
        spoilt = 1
        assert isinstance(gpuvgm.cluster("tcp://10.0.0.1:8786"), distributed.Client)
        assert tries == [("tcp://10.0.0.1:8786", clusters.ANSWER)] * 2
        spoilt = 9
        with pytest.raises(EnvironmentProblem, match="no Dask scheduler answers"):
            gpuvgm.cluster("tcp://10.0.0.1:8786")


def test_a_scheduler_that_is_not_there_is_a_problem_of_the_environment(table, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "ANSWER", "1s")
    result = invoke("fit", table, "--model", tmp_path / "m", "--scheduler", "tcp://127.0.0.1:1", code=3)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in result.stderr
