"""pyproject.toml, environment.yml and the version: each fact in one place, and the places agree."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import gpuvgm

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
REQUIRED = {"numpy", "scipy", "scikit-learn", "pyarrow", "typer", "rich"}


def conda_requirements():
    """Name -> conda version text of every dependency in environment.yml."""
    text = (ROOT / "environment.yml").read_text(encoding="utf-8").partition("dependencies:")[2]
    lines = re.findall(r"^  - ([a-z0-9-]+)(\S*)$", text, flags=re.MULTILINE)
    return dict(lines)


def extra(name):
    requirements = map(Requirement, PROJECT["optional-dependencies"][name])
    return {requirement.name: requirement.specifier for requirement in requirements}


def test_version_is_a_literal_in_one_place():
    literal = re.compile(rf"""["']{re.escape(gpuvgm.__version__)}["']""")
    files = [
        *(ROOT / "gpuvgm").rglob("*.py"),
        ROOT / "pyproject.toml",
        ROOT / "CMakeLists.txt",
        ROOT / "environment.yml",
    ]
    assert [file.name for file in files if literal.search(file.read_text(encoding="utf-8"))] == ["__init__.py"]
    assert "version" in PROJECT["dynamic"]


def test_installed_version_is_the_literal():
    assert metadata.version("gpuvgm") == gpuvgm.__version__


def test_changelog_has_the_version():
    assert f"## [{gpuvgm.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_required_dependencies_are_the_agreed_ones():
    requirements = [Requirement(text) for text in PROJECT["dependencies"]]
    assert {requirement.name for requirement in requirements} == REQUIRED
    assert all(re.fullmatch(r">=[\d.]+", str(requirement.specifier)) for requirement in requirements)


def test_cuda_extras_conflict():
    assert [{"extra": "cu12"}, {"extra": "cu13"}] in PYPROJECT["tool"]["uv"]["conflicts"]


@pytest.mark.parametrize("name", ["cu12", "cu13"])
def test_cuda_extra_caps_numpy(name):
    assert extra(name)["numpy"] == SpecifierSet("<2.5")
    assert {other for other in ("cu12", "cu13") if any(other in text for text in extra(name))} == {name}


def test_every_extra_is_offered():
    offered = {"cu12", "cu13", "dask", "s3", "gcs", "azure", "demo", "report", "rdt", "ctgan", "kernels", "test", "dev"}
    offered |= {"serve"}
    assert set(PROJECT["optional-dependencies"]) == offered | {"test-ctgan", "test-rdt1"}


def test_environment_has_the_lower_bounds_of_pyproject():
    conda = conda_requirements()
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        assert conda[requirement.name].split(",")[0] == str(requirement.specifier)
    assert f">={PROJECT['requires-python'].removeprefix('>=')}" in conda["python"].split(",")


def test_environment_has_the_gpu_stack_of_the_extras():
    conda, cuda = conda_requirements(), extra("cu13")
    assert SpecifierSet(conda["cupy"]) == cuda["cupy-cuda13x"]
    assert "<2.5" in conda["numpy"].split(",")
    for package, wheel in [("cudf", "cudf-cu13"), ("dask-cudf", "dask-cudf-cu13"), ("dask-cuda", "dask-cuda")]:
        assert SpecifierSet(f"={conda[package]}") == cuda[wheel]
    assert SpecifierSet(conda["dask"]) == SpecifierSet(conda["distributed"]) == extra("dask")["dask"]
