"""The conda recipe asks for what pyproject.toml asks for, no more and no less."""

from __future__ import annotations

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import gpuvgm
from tests.packaging.project import PROJECT, PYPROJECT, ROOT

RECIPE = yaml.safe_load((ROOT / "conda-recipe" / "recipe.yaml").read_text(encoding="utf-8"))


def asked_for(section):
    """Version of every package in a section of the requirements; conda puts a space before it."""
    parts = [line.partition(" ") for line in RECIPE["requirements"][section] if not line.startswith("$")]
    assert len({name for name, _, _ in parts}) == len(parts)
    return {name: SpecifierSet(version) for name, _, version in parts}


def test_it_is_of_the_format_and_the_version():
    assert RECIPE["schema_version"] == 1
    assert RECIPE["package"] == {"name": "gpuvgm", "version": "${{ version }}"}
    assert RECIPE["context"] == {"version": gpuvgm.__version__}
    assert RECIPE["source"]["path"] == ".."
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert RECIPE["about"]["summary"] == PROJECT["description"]


@pytest.mark.parametrize(
    ("section", "requirements", "beside"),
    [
        ("run", PROJECT["dependencies"], {"python"}),
        ("host", PYPROJECT["build-system"]["requires"], {"python", "pip"}),
        ("build", ["cmake" + PYPROJECT["tool"]["scikit-build"]["cmake"]["version"]], {"ninja"}),
    ],
)
def test_same_packages_with_the_same_bounds(section, requirements, beside):
    wanted = {requirement.name: requirement.specifier for requirement in map(Requirement, requirements)}
    assert asked_for(section) == wanted | dict.fromkeys(beside, SpecifierSet())


def test_it_compiles_the_native_engine():
    assert "${{ compiler('cxx') }}" in RECIPE["requirements"]["build"]
    assert RECIPE["build"]["script"]["env"] == {"GPUVGM_REQUIRE_NATIVE": "1"}


def test_what_it_built_is_run():
    imports, commands = RECIPE["tests"]
    assert imports["python"] == {"imports": ["gpuvgm", "gpuvgm._native"], "pip_check": True}
    assert commands["script"][0] == "gpuvgm doctor"


@pytest.mark.parametrize("platform", ["linux-64", "linux-aarch64"])
def test_rattler_build_renders_it(platform):
    """With the variants beside it, which it takes from conda-forge there; nothing is solved or built."""
    rattler_build = pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")
    variants = rattler_build.VariantConfig.from_file(ROOT / "conda-recipe" / "variants.yaml")
    config = rattler_build.RenderConfig(rattler_build.PlatformConfig(target_platform=platform))
    (rendered,) = rattler_build.Stage0Recipe.from_file(ROOT / "conda-recipe" / "recipe.yaml").render(variants, config)
    document = rendered.recipe.to_dict()
    assert document["package"] == {"name": "gpuvgm", "version": gpuvgm.__version__}
    assert document["requirements"]["build"][:2] == [f"gxx_{platform}", f"sysroot_{platform} 2.17.*"]
