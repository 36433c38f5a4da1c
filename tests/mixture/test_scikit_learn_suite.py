"""scikit-learn's own tests of its mixtures, run with our class in the place of its BayesianGaussianMixture."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import sklearn

ROOT = Path(__file__).parents[2]
MODULES = ("test_bayesian_mixture", "test_mixture", "test_gaussian_mixture")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outcome:
    """What the run printed, how often our class was fitted, and the tests of each module by outcome."""

    output: str
    fits: int
    modules: dict[str, Counter[str]]


def _outcomes(report: Path) -> dict[str, Counter[str]]:
    modules: dict[str, Counter[str]] = {}
    for test in ElementTree.parse(report).iter("testcase"):
        module = test.get("classname", "").rpartition("mixture.tests.")[2].split(".")[0]
        outcomes = {child.tag for child in test} & {"failure", "error", "skipped"}
        modules.setdefault(module, Counter())[min(outcomes, default="passed")] += 1
    return modules


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run of all the files."""
    folder = tmp_path_factory.mktemp("scikit-learn")
    (folder / "pytest.ini").write_text("[pytest]\n")
    report = folder / "report.xml"
    modules = [f"sklearn.mixture.tests.{module}" for module in MODULES]
    options = ["-q", "-ra", "-p", "no:cacheprovider", f"--junitxml={report}", "-c", str(folder / "pytest.ini")]
    options.append(f"--rootdir={Path(sklearn.__file__).parents[1]}")  # names of tests are paths below it
    command = [sys.executable, "-m", "pytest", *options, "-p", "tests.mixture.substitute", "--pyargs", *modules]
    paths = [str(ROOT), *(path for path in sys.path if path)]
    env = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    output = run.stdout + run.stderr
    fits = re.search(r"^substituted fits: (\d+)$", output, re.MULTILINE)
    assert report.exists() and fits, output
    return Outcome(output, int(fits[1]), _outcomes(report))


@pytest.mark.parametrize("module", MODULES)
def test_scikit_learns_tests_pass(outcome: Outcome, module: str) -> None:
    results = outcome.modules[module]
    assert not results["failure"] and not results["error"], outcome.output
    assert results["passed"] > 0
    if module != "test_gaussian_mixture":
        assert not results["skipped"], outcome.output


def test_our_class_was_fitted(outcome: Outcome) -> None:
    assert outcome.fits > 100
