"""Rows that the tests share."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.integrations.rdt.columns import two_modes


@pytest.fixture
def data() -> pd.DataFrame:
    """A column of two modes."""
    return pd.DataFrame({"a": two_modes()})
