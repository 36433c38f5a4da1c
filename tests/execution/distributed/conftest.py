"""Clusters of real worker processes on loopback, shared by the tests of a file and closed at their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.execution.distributed.working import Clusters


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing here can run without Dask's scheduler."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        for item in items:
            if "tests/execution/distributed/" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason="Dask is not installed: pip install gpuvgm[dask]"))


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    """Clusters by their number of workers, each started when first asked for; the last one is Dask's current one."""
    started = Clusters()
    yield started
    started.close()


@pytest.fixture
def client(clusters: Clusters) -> Iterator[Any]:
    """The client of two workers, current for the test."""
    with clusters[2].as_current():
        yield clusters[2]
