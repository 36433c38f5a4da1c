"""The cluster of a command, from its start to its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import gpuvgm
from gpuvgm.cli.console import Terminal
from gpuvgm.errors import InputError
from gpuvgm.files import SIGNALS


@contextmanager
def executor_of(
    terminal: Terminal, scheduler: str | None, workers: int | None, threads: int | None
) -> Iterator[gpuvgm.DaskExecutor | None]:
    """Start the executor of a command: None for this process alone.

    Parameters
    ----------
    terminal : Terminal
        Terminal on which the address of the dashboard is printed.
    scheduler : str, optional
        Address of a cluster that runs.
    workers : int, optional
        Processes to start here.
    threads : int, optional
        Threads of each process that is started; by default 1.

    Raises
    ------
    InputError
        For both a scheduler and workers.
    """
    if scheduler is None and workers is None:
        yield None
        return
    if scheduler is not None and workers is not None:
        raise InputError("--scheduler and --workers exclude each other; give one of them")
    threads_of_each = None if workers is None else threads or 1
    with ExitStack() as exits:
        with nullcontext() if workers is None else SIGNALS.deferred():  # Dask cannot end workers that are being started
            client = exits.enter_context(gpuvgm.cluster(scheduler, workers=workers, threads=threads_of_each))
        for logger in (logging.getLogger("tornado.application"), *logging.getLogger("distributed").handlers):
            logger.addFilter(_before_interruptions)
        if workers is not None:
            client.run(_silence_ends)
        terminal.tell(f"Dask dashboard: {client.dashboard_link}")
        yield gpuvgm.DaskExecutor(client)


def _silence_ends() -> None:
    """Have a worker, which ends with its command, not log that its scheduler is gone and its tasks are cancelled."""
    for name in ("distributed.worker", "distributed.worker.state_machine"):  # the filter of one is not for those below
        logging.getLogger(name).addFilter(logging.Filter("none of it"))


def _before_interruptions(_: logging.LogRecord) -> bool:
    """Return whether to log: once a command ends, cancelled work and killed workers are no news."""
    return not SIGNALS.arrived
