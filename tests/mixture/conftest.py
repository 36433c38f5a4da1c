"""Rows that tests of several features share."""

from __future__ import annotations

import pytest
from numpy.typing import NDArray

from tests.mixture.cases import rows_of


@pytest.fixture
def x(features: int) -> NDArray:
    """Rows of as many features as the test is given."""
    return rows_of(features)
