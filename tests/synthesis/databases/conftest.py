"""A shop, and what is learnt of it."""

from __future__ import annotations

from typing import Any

import pytest

import gpuvgm
from tests.synthesis.databases.shop import INDEX, SHOP, Tables, shop


@pytest.fixture(scope="session")
def tables() -> Tables:
    """Customers, their orders, the lines of these, and products."""
    return shop(300, 0)


@pytest.fixture(scope="session")
def synthesizer(tables: Tables) -> gpuvgm.DatabaseSynthesizer:
    """Fitted to the shop, whose products are kept."""
    return gpuvgm.DatabaseSynthesizer(sequence_index=INDEX, keep=["products"], threads=1).fit(tables, keys=SHOP)


@pytest.fixture(scope="session")
def sample(synthesizer: gpuvgm.DatabaseSynthesizer) -> Tables:
    """Another shop, as large."""
    return synthesizer.sample(seed=1)


@pytest.fixture(scope="session")
def comparison(tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer, sample: Tables) -> Any:
    """The sample beside the tables."""
    return synthesizer.evaluate(tables, sample)
