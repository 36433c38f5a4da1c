"""The C++ and CUDA sources travel with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

import gpuvgm
from gpuvgm.engines import kernels

SUFFIXES = {".cuh", ".hpp", ".cpp"}
FOLDER = Path(gpuvgm.__file__).parent / "engines" / "kernels"
IN_TREE = sorted(str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*") if file.suffix in SUFFIXES)


def test_sources_are_listed_as_resources():
    folder = resources.files("gpuvgm.engines.kernels")
    listed = [{file.name for file in folder.joinpath(name).iterdir()} for name in (".", "host", "cuda")]
    for name, found in zip(["vgm_math.cuh", "native.cpp", "encode.cuh"], listed, strict=True):
        assert name in found


@pytest.mark.parametrize("name", IN_TREE)
def test_source_is_readable(name):
    assert kernels.source(name).strip()


def test_missing_source_is_an_error():
    with pytest.raises(FileNotFoundError, match="no_such_kernel"):
        kernels.source("no_such_kernel.cuh")
