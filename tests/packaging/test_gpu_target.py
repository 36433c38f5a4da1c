"""`make test-gpu`: the CUDA that fits the driver, and tests that fail where they would be skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.deploy.processes import on_path
from tests.engines.kernels.building import needs_compiler
from tests.packaging.project import ROOT

SMI = """#!/usr/bin/env bash
echo '| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06    {} |'
"""
LIBRARY = """
extern "C" int cuDriverGetVersion(int *version) {{ *version = {version}; return {failure}; }}
"""


def made(tmp_path, *words):
    """What make prints and ends with, where programs and libraries of the folder come first."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    variables = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "LD_LIBRARY_PATH": os.fspath(tmp_path)}
    inherited = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "CUDA", "RAPIDS", "VENV")}
    command = ["make", "--silent", *words, f"PYTHON={sys.executable}"]
    return subprocess.run(command, env=inherited | variables, cwd=ROOT, capture_output=True, text=True, timeout=60)


def chosen(tmp_path, *words):
    """What `make test-gpu` would make."""
    done = made(tmp_path, "test-gpu", "MAKE=echo", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def library(folder, version, failure=0):
    """A driver's library that states a version."""
    source = folder / "libcuda.cpp"
    source.write_text(LIBRARY.format(version=version, failure=failure))
    subprocess.run(["c++", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", source], check=True)


@pytest.mark.parametrize(
    ("printed", "cuda"),
    [("CUDA Version: 13.0", "13"), ("CUDA Version: 12.4", "12"), ("CUDA UMD Version : 14.1", "13")],
)
def test_nvidia_smi_tells_which_cuda(tmp_path, printed, cuda):
    on_path(tmp_path, "nvidia-smi", SMI.format(printed))
    (tmp_path / "libcuda.so.1").write_text("no library")
    assert chosen(tmp_path) == ["test-one-gpu", f"VENV=.venv-cu{cuda}", f"EXTRA=test-cu{cuda}"]


@needs_compiler
def test_the_drivers_library_comes_first(tmp_path):
    on_path(tmp_path, "nvidia-smi", SMI.format("CUDA Version: 12.4"))
    library(tmp_path, 13000)
    assert "EXTRA=test-cu13" in chosen(tmp_path)
    library(tmp_path, 13000, failure=3)
    assert "EXTRA=test-cu12" in chosen(tmp_path)


def test_cuda_and_rapids_can_be_chosen(tmp_path):
    found = chosen(tmp_path, "CUDA=12", "RAPIDS=1", "VENV=/elsewhere")
    assert found == ["test-one-gpu", "VENV=/elsewhere-cu12", "EXTRA=test-cu12,cu12"]


@pytest.mark.parametrize(
    ("smi", "words", "reason"),
    [
        (SMI.format("CUDA Version: 11.8"), ["CUDA=11"], "CUDA is 12 or 13, not 11"),
        (SMI.format("CUDA Version: 11.8"), [], "the NVIDIA driver of this machine is for CUDA 11"),
        ("#!/usr/bin/env bash\nexit 9\n", [], "no NVIDIA driver answers here"),
    ],
)
def test_what_cannot_be_installed_is_refused(tmp_path, smi, words, reason):
    on_path(tmp_path, "nvidia-smi", smi)
    (tmp_path / "libcuda.so.1").write_text("no library")
    done = made(tmp_path, "test-gpu", "MAKE=echo", *words)
    assert done.returncode != 0 and reason in done.stderr and not done.stdout


@pytest.mark.parametrize(
    ("extra", "rapids", "required"),
    [("test-cu13", [], "cupy"), ("test-cu12,cu12", ["RAPIDS=1"], "cupy,cudf,rmm,dask_cudf,dask_cuda")],
)
def test_what_is_installed_is_required(tmp_path, extra, rapids, required):
    words = ["--dry-run", "--old-file=gpuvgm/__init__.py", "test-one-gpu", "VENV=/elsewhere", f"EXTRA={extra}", *rapids]
    done = made(tmp_path, *words)
    assert f'--editable ".[{extra}]"' in done.stdout, done.stderr
    assert f"REQUIRE_GPU={required} /elsewhere/bin/python -m pytest -m gpu" in done.stdout


@pytest.mark.parametrize(("required", "outcome"), [("cupy", "1 failed"), ("", "1 skipped")])
def test_a_test_fails_for_want_of_what_is_required(tmp_path, required, outcome):
    """As on a machine whose GPUs CuPy cannot use: none is visible."""
    test = "tests/benchmarks/test_gpu.py::test_measuring_on_the_device"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test],
        env=os.environ | {"REQUIRE_GPU": required, "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert outcome in done.stdout, done.stdout
