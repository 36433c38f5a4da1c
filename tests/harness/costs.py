"""CPU seconds of each test and fixture, by file: `python -m pytest -p tests.harness.costs --costs build/costs ...`.

`python -m tests.harness.costs build/costs` prints them, the most costly files and fixtures first. They are seconds of
this process and of the children that have ended, so that they depend little on what else the machine does.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COSTS = pytest.StashKey[list[tuple[str, str, float]]]()  # (file, test or fixture, seconds)


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def pytest_addoption(parser: pytest.Parser) -> None:
    """The folder that files with costs are written to, one for each process."""
    parser.addoption("--costs", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Nothing was measured so far."""
    config.stash[COSTS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test with its fixtures."""
    start = _cpu_seconds()
    result = yield
    item.config.stash[COSTS].append((item.location[0], item.location[2], _cpu_seconds() - start))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """A fixture, with those that it asks for."""
    start = _cpu_seconds()
    result = yield
    seconds = _cpu_seconds() - start
    request.config.stash[COSTS].append((request.node.nodeid.split("::")[0], f"fixture {fixturedef.argname}", seconds))
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was measured."""
    folder = session.config.getoption("--costs")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{os.getpid()}.json").write_text(json.dumps(session.config.stash[COSTS]))


def main(folder: Path) -> None:
    """Print the costs of a run."""
    costs = [tuple(cost) for path in sorted(folder.glob("*.json")) for cost in json.loads(path.read_text())]
    files, fixtures, tests = Counter[str](), Counter[str](), Counter[str]()
    for file, name, seconds in costs:
        if name.startswith("fixture "):
            fixtures[f"{file} {name}"] += seconds
        else:
            files[file] += seconds
            tests[f"{file}::{name.split('[')[0]}"] += seconds
    print(f"{sum(files.values()):9.1f} all tests")
    for title, counted, most in ("files", files, 400), ("fixtures", fixtures, 60), ("tests", tests, 200):
        print(f"\n{title}")
        for name, seconds in counted.most_common(most):
            print(f"{seconds:9.1f} {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
