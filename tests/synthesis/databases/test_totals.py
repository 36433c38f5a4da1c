"""Totals of parents that are a sum over their children and something of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gpuvgm

KEYS = {"visits.vet": "vets.id", "treatments.visit": "visits.id"}


def practice() -> dict[str, pd.DataFrame]:
    """Vets, visits that cost a fee and what is given there, and what is given, if anything is."""
    random = np.random.default_rng(0)
    vets = pd.DataFrame({"id": ["V1", "V2", "V3"], "fee": [45.0, 80.0, 95.0]})
    vet, counts = random.choice(3, 400, p=[0.5, 0.3, 0.2]), random.poisson(1.2, 400)
    visit = np.repeat(np.arange(400), counts)
    amount = random.lognormal(3, 0.5, len(visit)).round(2)
    given = np.bincount(visit, amount, minlength=400)
    visits = pd.DataFrame({"id": 7000 + 3 * np.arange(400), "vet": vets.id.to_numpy()[vet]})
    visits["total"] = (vets.fee.to_numpy()[vet] + given).round(2)
    return {"vets": vets, "visits": visits, "treatments": pd.DataFrame({"visit": 7000 + 3 * visit, "amount": amount})}


def test_visits_without_treatments_cost_the_fee(tmp_path: Path) -> None:
    """Whether samples are written as they are drawn, or not."""
    synthesizer: Any = gpuvgm.DatabaseSynthesizer(keep=["vets"], threads=1, random_state=0).fit(practice(), keys=KEYS)
    assert "visit.total = sum(amount) + visit.vet.fee" in str(synthesizer)
    synthesizer.save(tmp_path / "practice.gpuvgm")
    paths = gpuvgm.load(tmp_path / "practice.gpuvgm").sample(out=tmp_path / "sample")
    for tables in (synthesizer.sample(), {name: pd.read_parquet(path) for name, path in paths.items()}):
        visits = tables["visits"].set_index("id")
        given = tables["treatments"].groupby("visit").amount.sum().reindex(visits.index).fillna(0)
        fees = tables["vets"].set_index("id").fee.reindex(visits.vet).to_numpy()
        np.testing.assert_allclose(visits.total, fees + given, atol=0.005)
        assert (given == 0).mean() > 0.2
