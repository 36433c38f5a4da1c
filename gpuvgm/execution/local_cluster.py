"""Clients of Dask clusters: of one with a worker for each GPU, of one of worker processes, or of one that runs."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module, util
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from gpuvgm.engines import cuda_problem
from gpuvgm.errors import EnvironmentProblem, InputError, pip_command
from gpuvgm.execution.local import available_threads

if TYPE_CHECKING:
    from distributed import Client

INSTALL_UCX = "pip install distributed-ucxx-cu13==0.52.* (or distributed-ucxx-cu12), which belongs to RAPIDS 26.10"
ANSWER = "10s"  # how long a scheduler may take to answer
POOL_SHARE = 0.9  # of a GPU's memory, that RMM takes at once; the rest is for contexts and the client


def cluster(
    scheduler: str | None = None,
    *,
    workers: int | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    gpus: bool | None = None,
    **options: Any,
) -> Client:
    """A Dask client: of a cluster on this machine, or of one that runs.

    It is the current client from then on, which `TableTransformer` uses for Dask's frames, and `DaskExecutor` for
    everything else. Use it in a ``with`` statement, or close it: that ends a cluster that was started here.

    Parameters
    ----------
    scheduler : str, optional
        Address of a scheduler that runs, for example ``"tcp://10.0.0.1:8786"``; nothing is started then.
    workers : int, optional
        Worker processes; by default one a GPU, or one a core.
    threads : int, optional
        Threads of each worker; by default 1 with GPUs, else the cores shared out.
    memory : str or int, optional
        Memory of each worker, for example ``"4GiB"``: Dask spills to disk before it is used up. By default an equal
        share of the machine's.
    gpus : bool, optional
        Whether to start workers with GPUs; by default where there are any.
    **options
        Of `dask_cuda.LocalCUDACluster` or `distributed.LocalCluster`: `rmm_pool_size`, by default 0.9 of the GPU,
        or `rmm_async=True`, CUDA's asynchronous pool, which takes memory as it is needed; `device_memory_limit`,
        `enable_cudf_spill`, `protocol="ucx"` (NVLink, InfiniBand; it needs distributed-ucxx, which no extra installs),
        `dashboard_address`, `local_directory` and others. CuPy allocates from the workers' pool, as cuDF does.

    Returns
    -------
    distributed.Client
        Its `dashboard_link` is the address of Dask's dashboard.

    Raises
    ------
    EnvironmentProblem
        Where Dask is not installed, no scheduler answers, GPUs are asked for and there are none, or a worker cannot
        take its pool of GPU memory.
    InputError
        For fewer than one worker or thread, and for options of workers beside a scheduler, which has its own.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> with gpuvgm.cluster(workers=1, gpus=False, processes=False):  # processes=False: a worker in this process
    ...     transformer = gpuvgm.TableTransformer(executor=gpuvgm.DaskExecutor())
    ...     transformer = transformer.fit({"amount": np.arange(1000) / 4})
    >>> list(transformer.columns_)
    ['amount']
    """
    for name, count in (("workers", workers), ("threads", threads)):
        if count is not None and count < 1:
            raise InputError(f"{name} must be at least 1, got {count}")
    if util.find_spec("distributed") is None:
        raise EnvironmentProblem(f"Dask is not installed: {pip_command('dask')}")
    if scheduler is not None:
        worker_options = {"workers": workers, "threads": threads, "memory": memory, "gpus": gpus} | options
        for name in (name for name, value in worker_options.items() if value is not None):
            raise InputError(f"{name} is for clusters that are started here; {scheduler} has its own workers")
        return _connect(scheduler)
    problem = cuda_problem()
    if gpus and problem is not None:
        raise EnvironmentProblem(str(problem))
    if gpus or (gpus is None and problem is None and util.find_spec("dask_cuda") is not None):
        return _client(_with_gpus(workers, threads, memory, options))
    return _client(_with_processes(workers, threads, memory, options))


def _connect(address: str) -> Client:
    try:
        with suppress(AssertionError):  # where the scheduler tells all clients of something before it greets this one
            return _client(address, timeout=ANSWER)
        return _client(address, timeout=ANSWER)
    except (AssertionError, OSError, ValueError, TimeoutError) as problem:
        raise EnvironmentProblem(
            f"no Dask scheduler answers at {address} ({type(problem).__name__}): start one with `dask scheduler` and "
            "workers with `dask worker`, or give the right address"
        ) from problem


def _with_gpus(workers: int | None, threads: int | None, memory: str | int | None, options: dict[str, Any]) -> Any:
    """One worker a GPU, each with one pool for CuPy and cuDF, which spills to the host where memory runs out."""
    if util.find_spec("dask_cuda") is None:
        raise EnvironmentProblem(f"dask-cuda is not installed: {pip_command('cuda')}")
    if str(options.get("protocol")).startswith("ucx") and util.find_spec("distributed_ucxx") is None:
        raise EnvironmentProblem(f'protocol="ucx" needs distributed-ucxx, which is not installed: {INSTALL_UCX}')
    settings: dict[str, Any] = {
        "enable_cudf_spill": True,
        "threads_per_worker": threads or 1,
        "preload_nanny": [__name__],
    }
    if not options.get("rmm_async"):  # which dask-cuda refuses to combine with a pool
        settings["rmm_pool_size"] = POOL_SHARE
    if workers is not None:
        settings["n_workers"] = workers
    if memory is not None:
        settings["memory_limit"] = memory
    settings |= options
    if settings.get("rmm_async") or settings.get("rmm_pool_size"):
        # CuPy would keep a pool of its own beside RMM's.
        settings.setdefault("rmm_allocator_external_lib_list", ["cupy"])
    if settings.get("rmm_pool_size"):
        settings.setdefault("rmm_track_allocations", True)  # nothing else tells how much of the pool is free
    try:
        return import_module("dask_cuda").LocalCUDACluster(**settings)
    except RuntimeError as problem:  # the nanny's, whose cause is the worker's error
        if not (settings.get("rmm_pool_size") and _is_lack_of_memory(problem)):
            raise
        raise EnvironmentProblem(
            f"a worker could not take its pool of GPU memory (rmm_pool_size={settings['rmm_pool_size']}): "
            f"{_find_memory_holders()}, or give a smaller rmm_pool_size, or rmm_async=True"
        ) from problem


def _is_lack_of_memory(problem: BaseException | None) -> bool:
    """Return whether an exception is a MemoryError, or is caused by one."""
    return problem is not None and (isinstance(problem, MemoryError) or _is_lack_of_memory(problem.__cause__))


def _find_memory_holders() -> str:
    """Advice that says which arrays of this process hold memory of GPUs, and how to free it."""
    cupy: Any = sys.modules.get("cupy")
    pools = []
    for number in range(cupy.cuda.runtime.getDeviceCount() if cupy else 0):
        with cupy.cuda.Device(number):
            size = cupy.get_default_memory_pool().total_bytes()
        if size:
            pools.append(f"{size / (1 << 30):.1f} GiB of GPU {number}")
    if not pools:
        return "end what else uses the GPUs (nvidia-smi lists processes)"
    return (
        f"arrays of CuPy in this process hold {' and '.join(pools)}: delete them and call "
        "cupy.get_default_memory_pool().free_all_blocks()"
    )


def _with_processes(workers: int | None, threads: int | None, memory: str | int | None, options: dict[str, Any]) -> Any:
    count = workers or available_threads()
    settings: dict[str, Any] = {
        "n_workers": count,
        "threads_per_worker": threads or max(1, available_threads() // count),
        "memory_limit": "auto" if memory is None else memory,
        "dashboard_address": "127.0.0.1:0",  # any free port, which other machines do not reach
    }
    # Workers in this process, or of a class of the caller's, may have no nanny.
    if options.get("processes") is not False and "worker_class" not in options:
        settings["preload_nanny"] = [__name__]
    return import_module("distributed").LocalCluster(**(settings | options))


def dask_setup(_: object) -> None:
    """Block Ctrl-C in the workers that this thread is going to start; Dask calls this in every nanny.

    A terminal sends SIGINT to all processes of a command. The client ends its workers; on its own each would end with a
    traceback. Processes inherit the signals that the thread which starts them blocks.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is threading.main_thread():
        return
    with suppress(OSError):
        resource_tracker.ensure_running()  # multiprocessing lets the signal through again after it has started this
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _client(at: Any, **options: Any) -> Client:
    """A client of a scheduler's address, or of a cluster that ends with the client."""
    from distributed import Client

    class WholeClient(Client):  # type: ignore[misc]  # distributed ships no types
        """A client that leaves nothing behind: neither its cluster nor, where it cannot connect, itself."""

        def start(self, **options: Any) -> None:
            """Connect, or close this client, which Dask would keep as its current one."""
            try:
                super().start(**options)
            except BaseException:
                super().close()
                raise

        def close(self, *arguments: Any, **options: Any) -> Any:
            """Close the client, then the cluster."""
            cluster = self.cluster
            closing = super().close(*arguments, **options)
            if cluster is not None:
                cluster.close()
            return closing

    try:
        return WholeClient(at, **options)
    except BaseException:
        if not isinstance(at, str):
            at.close()
        raise
