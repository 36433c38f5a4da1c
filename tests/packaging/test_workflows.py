"""What GitHub builds, tests and releases: the workflows, and cibuildwheel's table in pyproject.toml."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.packaging.project import PYPROJECT, PYTHONS, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow(name):
    """A workflow; YAML reads its key `on` as true."""
    document = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in document.items()}


def steps(job):
    return [step.get("uses") or step["run"] for step in job["steps"]]


def test_all_of_them_are_known():
    assert [path.stem for path in WORKFLOWS] == ["tests", "wheels"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_by_the_schema(path):
    tool = shutil.which("check-jsonschema", path=os.fspath(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("check-jsonschema is not installed: pip install gpuvgm[dev]")
    command = [tool, "--builtin-schema", "vendor.github-workflows", os.fspath(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_major_version(path):
    used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    assert used
    assert [action for action in used if not re.fullmatch(r"[a-z-]+/[a-z-]+@(v\d+|release/v\d+)", action)] == []


def test_wheels_are_built_for_every_python_and_machine():
    table = PYPROJECT["tool"]["cibuildwheel"]
    assert table["build"] == [f"cp{version.replace('.', '')}-manylinux_*" for version in PYTHONS]
    assert table["linux"]["archs"] == ["x86_64", "aarch64"]
    machines = workflow("wheels")["jobs"]["wheels"]["strategy"]["matrix"]["machine"]
    assert [machine.endswith("-arm") for machine in machines] == [False, True]


def test_wheels_have_the_native_engine_and_are_run():
    table = PYPROJECT["tool"]["cibuildwheel"]
    assert table["environment"] == {"GPUVGM_REQUIRE_NATIVE": "1"}
    native, doctor, demo = table["test-command"]
    assert "import gpuvgm._native" in native
    assert doctor == "gpuvgm doctor"
    assert demo.startswith("gpuvgm demo --rows 20000 ")


def test_other_systems_get_a_wheel_without_compiled_code():
    jobs = workflow("wheels")["jobs"]
    assert "python -m build --wheel -C wheel.cmake=false -C wheel.py-api=py3" in steps(jobs["everywhere"])
    assert jobs["others"]["strategy"]["matrix"]["machine"] == ["macos-latest", "windows-latest"]
    assert steps(jobs["others"])[-2:] == ["gpuvgm doctor", "gpuvgm demo --rows 20000 --out demonstrated --quiet"]


def test_only_a_published_release_is_uploaded():
    wheels = workflow("wheels")
    publish = wheels["jobs"]["publish"]
    assert wheels["on"]["release"] == {"types": ["published"]}
    assert publish["if"] == "github.event_name == 'release' && github.event.action == 'published'"
    assert publish["needs"] == ["wheels", "everywhere"]
    assert publish["environment"] == "pypi"
    assert steps(publish)[-1] == "pypa/gh-action-pypi-publish@release/v1"


def test_only_that_job_may_ask_for_a_token():
    asking = [
        (path.stem, name)
        for path in WORKFLOWS
        for name, job in workflow(path.stem)["jobs"].items()
        if "permissions" in job
    ]
    assert asking == [("wheels", "publish")]
    assert workflow("wheels")["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert all(workflow(path.stem)["permissions"] == {"contents": "read"} for path in WORKFLOWS)


def test_tests_are_those_of_ci_on_every_python():
    (job,) = workflow("tests")["jobs"].values()
    assert steps(job)[-1] == ".ci/run"
    (versions,) = [step["with"]["python-version"].splitlines() for step in job["steps"] if "setup-python" in str(step)]
    supported = re.search(r"^supported=\((.*)\)$", (ROOT / ".ci" / "environments").read_text(), re.MULTILINE)[1]
    assert sorted(versions) == supported.split() == PYTHONS
