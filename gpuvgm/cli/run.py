"""One run of a command: its output, its record, and its exit code."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from gpuvgm.cli.console import CommandOutcome, Terminal, explain, json_text
from gpuvgm.cli.record import RunRecord
from gpuvgm.files import SIGNALS
from gpuvgm.io import Document

_LOG = logging.getLogger("gpuvgm")


def run_command(
    function: Callable[..., CommandOutcome],
    options: Mapping[str, Any],
    common: Mapping[str, Any],
    warnings: Iterable[str] = (),
) -> int:
    """Run a command, and return its exit code.

    Parameters
    ----------
    function : callable
        The command; it takes a `Terminal` and the options.
    options, common : mapping of str to object
        Its own options, and those of every command.
    warnings : iterable of str
        Warnings to print before it begins.
    """
    _keep_pandas_out()
    if not gc.isenabled():  # as `__main__` left it, for the imports
        gc.freeze()  # modules are never searched for garbage
        gc.enable()
    terminal = Terminal(**{name: common[name] for name in ("json", "quiet", "debug", "progress", "log_format")})
    record = RunRecord(function.__name__, options, terminal.stages)
    target, error = None, None
    document: Mapping[str, Any] = {}
    with terminal.messages():
        for line in warnings:
            _LOG.warning("%s", line)
        try:
            with SIGNALS.working():
                if common["record"] is not None:  # what could not be written at the end is refused before the work
                    target = Document.json(common["record"])
                outcome = function(terminal, **options)
                code, document = outcome.code, outcome.document
                terminal.show(replace(outcome, document={**document, "run": record.figures()}))
        except (Exception, KeyboardInterrupt) as problem:
            code, error = terminal.fail(problem), {"kind": type(problem).__name__, "message": explain(problem)}
        figures = record.figures()
        try:
            if terminal.log_format == "json":  # people see the last line as the outcome
                fields = {"command": record.command, "exit_code": code, **figures}
                _LOG.info("%s: exit code %d after %.2f s", record.command, code, figures["seconds"], extra=fields)
            if target is not None:
                target.write(json_text(record.document(code, error, figures, document)))
        except Exception as problem:  # the document is printed already
            code = code or replace(terminal, json=False).fail(problem)
    return code


class _NoPandas(MetaPathFinder):
    """A finder that hides pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        """Return None; raise for pandas."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _keep_pandas_out() -> None:
    """Hide pandas from pyarrow, which would import it to recognise pandas' objects, of which commands have none.

    Where cuDF is installed it stays: cuDF gives such objects to pyarrow.
    """
    if "pandas" in sys.modules or find_spec("cudf") is not None:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(pa.array([0.0])[0].as_py())  # each looks for pandas once in a process
    finally:
        sys.meta_path.remove(finder)
