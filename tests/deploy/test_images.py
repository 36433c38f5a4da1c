"""The Dockerfiles, the compose file and the scripts, held against what linters and schemas know."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import gpuvgm
from tests.deploy.commands import COMPOSE, DOCKERFILES, FOLDER
from tests.packaging.project import EXTRAS, PROJECT, ROOT

SCRIPTS = [FOLDER / "check", FOLDER / "debian-base", FOLDER / "slurm" / "gpuvgm.sbatch"]
BUILDERS = ("docker", "podman", "buildah")


def linted(tool, *arguments):
    """Run a linter of the extra dev."""
    found = shutil.which(tool, path=os.pathsep.join([os.fspath(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{tool} is not installed: pip install gpuvgm[dev]")
    done = subprocess.run([found, *map(os.fspath, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("linter", "files"), [("hadolint", DOCKERFILES), ("shellcheck", SCRIPTS)])
def test_linters_find_nothing(linter, files):
    assert linted(linter, *files) == (0, "")


def test_compose_by_its_schema():
    code, output = linted("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FOLDER / "compose.yaml")
    assert code == 0, output


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(script):
    subprocess.run(["bash", "-n", os.fspath(script)], check=True)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfile(path):
    text = path.read_text(encoding="utf-8")
    first, last = text.split("AS build", 1)
    runtime = last[last.rindex("\nFROM ") :]
    assert "ARG BASE_IMAGE=" in first and ":latest" not in text
    assert "g++" not in runtime and "pip install" not in runtime
    assert "PIP_NO_CACHE_DIR=1" in text and "GPUVGM_REQUIRE_NATIVE=1" in text
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{label}=" in runtime
    assert "VOLUME /scratch" in runtime and "TMPDIR=/scratch" in runtime
    assert "HEALTHCHECK" in runtime


def test_what_is_copied_is_let_through():
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for path in DOCKERFILES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("COPY") and "--from" not in line:
                *sources, _ = line.split()[1:]
                for source in sources:
                    package = Path(gpuvgm.__file__).parent  # the tree of tests may be without it
                    assert f"!{source}" in kept and (package if source == package.name else ROOT / source).exists()
    assert kept[1] == "*"


@pytest.mark.parametrize("cuda", ["12", "13"])
def test_versions_of_the_gpu_image_are_those_that_gpuvgm_allows(cuda):
    lines = (FOLDER / f"constraints-cu{cuda}.txt").read_text(encoding="utf-8").splitlines()
    versions = dict(line.split(";")[0].strip().split("==") for line in lines)
    asked = [*PROJECT["dependencies"], *EXTRAS[f"cu{cuda}"], *EXTRAS["dask"], *EXTRAS["serve"]]
    for needed in map(Requirement, asked):
        assert needed.specifier.contains(versions[needed.name]), needed


def test_compose_services():
    services = COMPOSE["services"]
    for name, service in services.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert set(service.get("depends_on", ())) <= services.keys()
        assert (FOLDER / service["build"]["dockerfile"].removeprefix("docker/")).exists()
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        assert [device["capabilities"] for device in devices] == ([["gpu"]] if name.endswith("-gpu") else [])
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:8787:8787", "127.0.0.1:8080:8080"]  # for this machine alone


def test_compose_enables_what_a_service_depends_on():
    """Naming a service enables its profiles, and not those of its dependencies."""
    services = COMPOSE["services"]
    for name, service in services.items():
        for other in service.get("depends_on", ()):
            needed = set(services[other].get("profiles", ()))
            assert not needed or needed & set(service.get("profiles", ())), f"{name} needs {other}"


def answering_builder():
    for name in BUILDERS:
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0:
            return name
    return None


@pytest.mark.slow
@pytest.mark.container
def test_the_image_is_built_and_does_a_job():
    options = os.environ.get("CONTAINER_OPTIONS")
    if options is None:
        pytest.skip(
            "CONTAINER_OPTIONS is not set: the options of docker/check, which may be empty (docs/how-to/deploy.md)"
        )
    if answering_builder() is None:
        pytest.skip(f"none of {', '.join(BUILDERS)} answers here")
    done = subprocess.run([os.fspath(FOLDER / "check"), *shlex.split(options)], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "a job of 200000 rows" in done.stdout
