"""The C++ and CUDA sources travel with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

import gpuvgm
from gpuvgm import kernels

SUFFIXES = {".cuh", ".hpp", ".cpp"}
IN_TREE = sorted(file.name for file in (Path(gpuvgm.__file__).parent / "kernels").iterdir() if file.suffix in SUFFIXES)


def test_sources_are_listed_as_resources():
    listed = {file.name for file in resources.files("gpuvgm.kernels").iterdir()}
    assert {"vgm_math.cuh", "host.hpp", "host.cpp", "native.cpp"} <= listed


@pytest.mark.parametrize("name", IN_TREE)
def test_source_is_readable(name):
    assert kernels.source(name).strip()


def test_missing_source_is_an_error():
    with pytest.raises(FileNotFoundError, match="no_such_kernel"):
        kernels.source("no_such_kernel.cuh")
