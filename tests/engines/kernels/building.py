"""What tests compile for the host, kept in a folder from one run to the next."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

COMPILER = os.environ.get("CXX") or next((name for name in ("g++", "c++", "clang++") if shutil.which(name)), None)
_CPUINFO = Path("/proc/cpuinfo")

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler to run kernels on the host with")


@cache
def fused_flags() -> tuple[str, ...]:
    """Flags by which fma is an instruction where this processor has one: else it is a function, slow but as exact."""
    return ("-mfma",) if _CPUINFO.exists() and "fma" in _CPUINFO.read_text().split() else ()


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """A file of the folder, made if it is not there; a name that holds a hash of all it is made from."""
    folder = Path(tempfile.gettempdir()) / f"gpuvgm-emulated-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    path = folder / name
    if not path.exists():  # processes side by side may all make it
        unfinished = folder / f"{os.getpid()}-{threading.get_ident()}-{name}"
        make(unfinished)
        unfinished.replace(path)
    return path


def build(name: str, source: Path | str, flags: Sequence[str]) -> Path:
    """Shared library of a C++ file or text, by a name that holds a hash of it and of the flags."""
    assert COMPILER is not None

    def compile_to(path: Path) -> None:
        given = ["-"] if isinstance(source, str) else [str(source)]
        command = [str(COMPILER), *flags, "-x", "c++", *given, "-o", str(path)]
        text = source if isinstance(source, str) else None
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return kept(f"{name}.so", compile_to)
