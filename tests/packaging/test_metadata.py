"""pyproject.toml and the version: each fact in one place, and the places agree."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import gpuvgm
from tests.packaging.project import EXTRAS, PROJECT, PYPROJECT, ROOT

REQUIRED = {"numpy", "scipy", "scikit-learn", "pyarrow", "typer", "rich", "lazy-loader"}
OFFERED = {"cu12", "cu13", "dask", "s3", "gcs", "azure", "demo", "report", "notebooks", "serve", "rdt", "ctgan"}


def extra(name):
    requirements = map(Requirement, EXTRAS[name])
    return {requirement.name: requirement.specifier for requirement in requirements}


def test_version_is_a_literal_in_one_place():
    literal = re.compile(rf"""["']{re.escape(gpuvgm.__version__)}["']""")
    files = [
        *Path(gpuvgm.__file__).parent.rglob("*.py"),
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


def test_citation_names_version_and_license():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^([a-z-]+): (\S.*)$", citation, flags=re.MULTILINE))
    assert stated["cff-version"] == "1.2.0"
    assert (stated["version"], stated["license"]) == (gpuvgm.__version__, PROJECT["license"])
    assert {"message", "title", "type"} <= stated.keys()


def test_license_is_the_one_named():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in text[:100] and "Version 2.0, January 2004" in text[:200]


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
    development = {
        "docs",
        "kernels",
        "test",
        "test-suite",
        "test-cu12",
        "test-cu13",
        "test-ctgan",
        "test-peers",
        "test-rdt1",
        "test-sdv",
        "test-spark",
        "test-tables",
        "dev",
    }
    assert set(EXTRAS) == OFFERED | {"all"} | development


def test_all_is_every_offered_extra_without_cuda():
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == OFFERED - {"cu12", "cu13"}
