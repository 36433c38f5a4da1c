"""The conda environments ask for what pyproject.toml asks for, no more and no less."""

from __future__ import annotations

import re
from itertools import chain

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.packaging.project import EXTRAS, PROJECT, PYTHONS, ROOT

#: What conda calls the wheels that have another name.
CONDA_NAMES = {
    "cupy-cuda13x": "cupy",
    "cudf-cu13": "cudf",
    "dask-cudf-cu13": "dask-cudf",
    "duckdb": "python-duckdb",
    "prometheus-client": "prometheus_client",
}
#: What pip, a machine's compilers and wheels bring otherwise.
TOOLS = {"python", "pip", "make", "cxx-compiler", "cuda-version"}
ENVIRONMENTS = {"environment.yml": ("cu13", "test-suite"), "docker/environment-cpu.yml": ("dask",)}


def environment(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def conda(name):
    """Version of every package that an environment asks for; conda's = is pip's ==."""
    found = {}
    for line in environment(name)["dependencies"]:
        package, version = re.fullmatch(r"([a-z0-9_-]+)(.*)", line).groups()
        assert package not in found
        found[package] = SpecifierSet(re.sub(r"(^|,)=(?!=)", r"\1==", version))
    return found


def asked_for(extra):
    """Requirements of an extra and of the extras that it names."""
    for requirement in map(Requirement, EXTRAS[extra]):
        if requirement.name == PROJECT["name"]:
            for inner in requirement.extras:
                yield from asked_for(inner)
        else:
            yield requirement


def pip(extras):
    """The same of the package and its extras, with conda's names."""
    found = {}
    for requirement in (*map(Requirement, PROJECT["dependencies"]), *chain.from_iterable(map(asked_for, extras))):
        name = CONDA_NAMES.get(requirement.name, requirement.name)
        found[name] = found.get(name, SpecifierSet()) & requirement.specifier
        if "distributed" in requirement.extras:
            found["distributed"] = requirement.specifier
    return found


@pytest.mark.parametrize(("name", "extras"), ENVIRONMENTS.items())
def test_same_packages_with_the_same_bounds(name, extras):
    wanted = conda(name)
    assert {package: wanted[package] for package in wanted.keys() - TOOLS} == pip(extras)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_python(name):
    text = conda(name)["python"]
    lowest = SpecifierSet(PROJECT["requires-python"])
    allowed = [version for version in PYTHONS if text.contains(version)]
    assert set(lowest) <= set(text)
    assert allowed == (["3.11", "3.12"] if name == "environment.yml" else PYTHONS)
    assert not text.contains("3.15")


def test_channels():
    assert environment("environment.yml")["channels"] == ["rapidsai", "conda-forge", "nvidia"]
    assert environment("docker/environment-cpu.yml")["channels"] == ["conda-forge", "nodefaults"]
    names = [environment(name)["name"] for name in ENVIRONMENTS]
    assert len(set(names)) == len(names)


def test_cuda_version_is_that_of_the_extra():
    (version,) = conda("environment.yml")["cuda-version"]
    assert version.version.startswith("13.")
