"""Ways to run the command line."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

from typer.testing import CliRunner

import gpuvgm
from gpuvgm.cli.commands import app

ROOT = Path(gpuvgm.__file__).parents[1]


def invoke(*arguments, code=0, env=None):
    """Run in this process; the result, whose exit code was checked."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env, prog_name="gpuvgm")
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr, result.exception)
    return result


def document(*arguments, code=0, env=None):
    """The one JSON document that a command prints."""
    return json.loads(invoke(*arguments, "--json", code=code, env=env).stdout)


def run_python(*arguments, **environment):
    """Standard output of this interpreter, run with -P: the working folder is not on its path."""
    command = [sys.executable, "-P", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_without_site(code, folder):
    """What code prints, as JSON, with gpuvgm from a folder: -S keeps out the finder of an editable installation."""
    paths = [os.fspath(folder), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return json.loads(run_python("-S", "-c", code, PYTHONPATH=os.pathsep.join(paths)))


def copy_without_extension(folder):
    """The package's tree in a folder, without the compiled engine."""
    shutil.copytree(
        ROOT / "gpuvgm", folder / "gpuvgm", ignore=shutil.ignore_patterns("*.so", "__pycache__", "_native*")
    )
    return folder


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def start(*arguments, **options):
    """Start a process of its own; variables that are None in `env` are not there."""
    command = [sys.executable, "-m", "gpuvgm", *(str(argument) for argument in arguments)]
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), os.fspath(ROOT)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **options.pop("env", {})}
    env = {name: value for name, value in env.items() if value is not None}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, text=True, env=env, **options)


def run(*arguments, code=0, **options):
    """Run in a process of its own; (stdout, stderr)."""
    with start(*arguments, **options) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == code, (process.returncode, out, err)
    return out, err
