"""Clusters that may be broken: each test has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Starts clusters that end with the test."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install gpuvgm[dask]")
    import gpuvgm

    started: list[Any] = []

    def start(**options: Any) -> Any:
        started.append(gpuvgm.cluster(**{"workers": 2, "threads": 1, "memory": "2GiB"} | options))
        return started[-1]

    yield start
    for client in reversed(started):  # each sets Dask's scheduler back to what it was
        client.close()
