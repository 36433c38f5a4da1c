"""Judges of databases: what they say of the fitted tables, and of a library that is not installed here."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from benchmarks import databases as benchmark


class Copying:
    """In place of TabularARGN: gives what it was fitted to, with keys of its own."""

    def __init__(self, random_state: int, tgt_primary_key: str, tgt_context_key: str = "", **_: Any) -> None:
        assert random_state == 0
        self.key, self.context = tgt_primary_key, tgt_context_key

    def fit(self, rows: pd.DataFrame) -> Copying:
        self.rows = rows
        return self

    def sample(self, n_samples: int | None = None, ctx_data: pd.DataFrame | None = None) -> pd.DataFrame:
        drawn = self.rows.assign(**{self.key: [f"new-{number}" for number in range(len(self.rows))]})
        assert n_samples in (None, len(drawn))
        if ctx_data is None:
            return drawn
        numbers = pd.factorize(drawn[self.context])[0]
        return drawn.assign(**{self.context: ctx_data.id.to_numpy()[numbers]}).astype({"total": "Float64"})


@pytest.fixture(scope="module")
def database() -> benchmark.Database:
    return benchmark.pair()


def test_fitted_tables_are_hardly_told_from_others(database: benchmark.Database) -> None:
    figures = benchmark.split(database, "training", 0)
    assert 0.45 < figures["told"]["orders.customer"] < 0.55
    assert figures["here"] == 0 and figures["keys"] and figures["children"] == {"orders.customer": 0}


def test_children_of_another_library_are_given_their_parents(
    database: benchmark.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ModuleType("mostlyai.engine")
    engine.TabularARGN = Copying  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mostlyai", ModuleType("mostlyai"))
    monkeypatch.setitem(sys.modules, "mostlyai.engine", engine)
    fitted, _ = database.halves(0)
    sample = benchmark.mostly(fitted, database)(1)
    assert sample["orders"].customer.isin(sample["customers"].id).all()
    assert sample["orders"].total.dtype == float
    assert sample["orders"].order.str.startswith("new-").all()  # orders have numbers of their own, too
    assert {*sample} == {*fitted}
