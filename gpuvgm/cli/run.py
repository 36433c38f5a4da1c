"""One run of a command: what it shows, what is recorded of it, and its exit code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from gpuvgm.cli.console import Outcome, Terminal, explained, json_text
from gpuvgm.cli.record import RunRecord
from gpuvgm.cli.stages import Stages
from gpuvgm.files import working
from gpuvgm.io import check_document, write_bytes
from gpuvgm.table.description import jsonable

_LOG = logging.getLogger("gpuvgm")


def run_command(
    function: Callable[..., Outcome],
    options: Mapping[str, Any],
    common: Mapping[str, Any],
    warnings: Iterable[str] = (),
) -> int:
    """Run a command, and give its exit code.

    Parameters
    ----------
    function : callable
        The command; it takes a `Terminal` and the options.
    options, common : mapping of str to object
        Its own options, and those of every command.
    warnings : iterable of str
        What is said before it begins.
    """
    told = ("json", "quiet", "debug", "progress", "log_format")
    stages = Stages()
    terminal = Terminal(**{name: common[name] for name in told}, stages=stages)
    record = RunRecord(function.__name__, jsonable(options), stages)
    target, error = None, None
    found: Mapping[str, Any] = {}
    with terminal.messages():
        for line in warnings:
            _LOG.warning("%s", line)
        try:
            with working():
                if common["record"] is not None:  # what could not be written at the end is refused before the work
                    target = check_document(common["record"])
                outcome = function(terminal, **options)
                code, found = outcome.code, outcome.document
                terminal.show(replace(outcome, document={**found, "run": record.figures()}))
        except (Exception, KeyboardInterrupt) as problem:
            code, error = terminal.fail(problem), {"kind": type(problem).__name__, "message": explained(problem)}
        record.finish(code, found, error)
        try:
            if terminal.log_format == "json":  # people see the last line as the outcome
                _log_end(record)
            if target is not None:
                write_bytes(target, json_text(record.document()).encode())
        except Exception as problem:  # the document is printed already
            code = code or replace(terminal, json=False).fail(problem)
    return code


def _log_end(record: RunRecord) -> None:
    ended = "%s: exit code %d after %.2f s"
    fields = {"command": record.command, "exit_code": record.exit_code, **record.figures()}
    _LOG.info(ended, record.command, record.exit_code, record.seconds, extra=fields)
