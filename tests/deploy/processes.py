"""Commands of containers as processes of this machine: other ports, folders and addresses, the same options."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import util
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cli.running import free_port
from tests.deploy.commands import Command

ROOT = Path(__file__).parents[2]
PROGRAMS = {"gpuvgm": ("-m", "gpuvgm"), "dask": ("-m", "dask"), "python": ()}
SECONDS = 120  # far more than anything here takes

needs_dask = pytest.mark.skipif(
    util.find_spec("distributed") is None, reason="Dask is not installed: pip install gpuvgm[dask]"
)


class Machine:
    """A folder for what containers see below /, and ports for theirs."""

    def __init__(self, folder: Path, ports: tuple[int, ...], variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.ports = {str(port): str(free_port()) for port in ports}
        self.variables = dict(variables or {})
        for name in ("tables", "etc/gpuvgm", "scratch"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("GPUVGM_")}
        self.environment = {**inherited, "PYTHONPATH": os.fspath(ROOT), "TMPDIR": os.fspath(folder / "scratch")}

    def placed(self, text: str) -> str:
        """A word of a command, or the text of a file, as it is on this machine."""
        for name, value in self.variables.items():
            text = text.replace(f"$({name})", value)
        for host in ("tcp://scheduler:", "tcp://gpuvgm-scheduler:"):
            text = text.replace(host, "tcp://127.0.0.1:")
        for port, other in self.ports.items():
            text = text.replace(port, other)
        for top in ("/tables", "/etc/gpuvgm", "/scratch"):
            text = text.replace(top, os.fspath(self.folder) + top)
        return text

    def words(self, command: Command) -> list[str]:
        """The command with this interpreter."""
        program, *rest = command.words
        return [sys.executable, *PROGRAMS[program], *map(self.placed, rest)]

    def run(self, command: Command, code: int = 0) -> str:
        """Run to the end; what it printed."""
        done = subprocess.run(
            self.words(command), env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, *commands: Command) -> Iterator[None]:
        """Services, until the end of the block."""
        variables = {name: self.placed(value) for name, value in self.variables.items()}
        with ExitStack() as stack:
            for number, command in enumerate(commands):
                log = stack.enter_context((self.folder / f"log-{number}.txt").open("w"))
                started = subprocess.Popen(
                    self.words(command),
                    env=self.environment | variables,
                    cwd=self.folder / "scratch",
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                stack.callback(stop, started)
            yield

    def healthy(self, port: int) -> None:
        """Wait until a service answers where its probe asks."""
        end = time.monotonic() + SECONDS
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{self.ports[str(port)]}/health", timeout=5) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                logs = "\n".join(path.read_text() for path in self.folder.glob("log-*.txt"))
                assert time.monotonic() < end, f"nothing answers for port {port}\n{logs}"
                time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a service as a container is ended, and whatever it left."""
    process.terminate()
    try:
        process.wait(20)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def on_path(folder: Path, name: str, text: str) -> None:
    """A program of one's own."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
