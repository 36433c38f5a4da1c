"""The command serve: from its options to a running service."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gpuvgm.cli.console import CommandOutcome, Terminal
from gpuvgm.errors import EnvironmentProblem, InputError, counted, pip_command

TOKEN_VARIABLE = "GPUVGM_TOKEN"
LEAST_TOKEN = 16
_LOG = logging.getLogger("gpuvgm.service")


def run_service(
    place: Path,
    address: tuple[str, int],
    token_file: Path | None,
    limits: Mapping[str, int | float | None],
    terminal: Terminal,
) -> CommandOutcome:
    """Serve until a signal arrives.

    Parameters
    ----------
    place : path
        A model, or a folder of models.
    address : pair of str and int
        Host and port to listen on.
    token_file : path, optional
        Holds the token; else the environment may.
    limits : mapping of str to number
        The fields of `gpuvgm.service.limits.Limits`; None takes the default.
    terminal : Terminal
        Terminal on which the address of the service is printed.

    Raises
    ------
    EnvironmentProblem
        Without the packages of the extra.
    InputError
        For models, tokens and addresses that cannot be used.
    """
    try:
        from gpuvgm.service import Service
    except ModuleNotFoundError as problem:
        raise EnvironmentProblem(f"serve needs {problem.name}: {pip_command('serve')}") from problem
    token = token_of(token_file)
    settings: Any = {name: value for name, value in limits.items() if value is not None}
    service = Service.of(place)
    if token is None and not _is_loopback(address[0]):
        _LOG.warning("anyone who can reach %s can use the models; set a token (--token-file)", address[0])
    start = time.perf_counter()
    requests = service.run(address, settings, token, terminal.tell)
    seconds = time.perf_counter() - start
    document = {"models": list(service.models), "requests": requests, "seconds": seconds}
    return CommandOutcome(document, [f"stopped after {counted(requests, 'request')} in {seconds:.0f} s"])


def token_of(file: Path | None) -> str | None:
    """Token that clients must send, from a file or the environment; None where there is none.

    Raises
    ------
    InputError
        For one that is empty, short, or cannot stand in a header.
    """
    if file is not None:
        try:
            token, origin = file.read_text().strip(), str(file)
        except (OSError, UnicodeDecodeError) as problem:
            raise InputError(f"{file}: the token cannot be read: {problem}") from problem
    elif TOKEN_VARIABLE in os.environ:
        token, origin = os.environ[TOKEN_VARIABLE].strip(), TOKEN_VARIABLE
    else:
        return None
    if len(token) < LEAST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError(
            f"{origin}: a token needs at least {LEAST_TOKEN} ASCII characters and no spaces; try: openssl rand -hex 32"
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
