"""Which parent comes first, and what a child keeps of its parents, first and further ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.io import open_source
from gpuvgm.synthesis.databases import plan
from gpuvgm.synthesis.databases.joins import Links
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.telling import forgotten
from tests.synthesis.databases.shop import LIBRARY, SHOP, VISITS, Tables, library, shop, visits


def fitted(tables: Tables, keys: dict[str, str], **parameters: Any) -> gpuvgm.DatabaseSynthesizer:
    return gpuvgm.DatabaseSynthesizer(threads=1, **parameters).fit(tables, keys=keys)


def firsts(synthesizer: gpuvgm.DatabaseSynthesizer) -> dict[str, str]:
    return {child: reference.parent for child, reference in synthesizer._fitted.plan.first.items()}


def joined(tables: Tables) -> pd.DataFrame:
    return tables["loans"].merge(tables["members"], on="card").merge(tables["books"], on="isbn")


@pytest.mark.parametrize("order", ["of members", "of days"])
def test_loans_belong_to_members(order: str) -> None:
    """Though there are more books: a loan goes with the member's loan before, not with that of the book."""
    tables = library(300, 0)
    if order == "of days":
        tables["loans"] = tables["loans"].sort_values("lent", ignore_index=True)
    synthesizer = fitted(tables, LIBRARY, sequence_index={"loans": "lent"})
    assert firsts(synthesizer) == {"loans": "members"}
    real, rows = joined(tables), joined(synthesizer.sample())
    assert (rows.lent >= rows.joined).mean() > 0.995
    assert (rows.returned >= rows.lent).all()
    shares = [table[table.age == "child"].genre.eq("picture book").mean() for table in (real, rows)]
    assert shares[0] == pytest.approx(shares[1], abs=0.1)


def test_orders_between_a_child_and_a_further_parent_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "most_telling", lambda some, *_: max(some, key=lambda of: of.parents).reference)
    tables = library(300, 0)
    synthesizer = fitted(tables, LIBRARY, sequence_index={"loans": "lent"})
    assert firsts(synthesizer) == {"loans": "books"}
    rows = joined(synthesizer.sample())
    assert (rows.lent >= rows.joined).mean() > 0.98


def test_lines_belong_to_orders_and_visits_to_the_table_of_more_rows() -> None:
    assert firsts(fitted(shop(200, 0), SHOP)) == {"orders": "customers", "lines": "orders"}
    assert firsts(fitted(visits(200, 0), VISITS)) == {"visits": "customers"}


def test_further_parents_have_the_children_that_were_drawn_for_them() -> None:
    """Within what differs between two tables of so few rows."""
    tables = visits(300, 0)
    synthesizer = fitted(tables, VISITS)
    sample = synthesizer.sample()
    counts = sample["visits"].branch.value_counts().reindex(sample["branches"].code).fillna(0).to_numpy()
    real = tables["visits"].branch.value_counts().to_numpy()
    assert counts.std() < 2 * real.std()
    large = sample["visits"].merge(sample["branches"], left_on="branch", right_on="code")
    means = large.groupby("size").amount.mean()
    assert means["large"] > 3 * means["small"]


def test_what_is_charged_is_the_fee_of_the_doctor() -> None:
    """Laws decide columns of a further parent by what was drawn of the child: those that fit are chosen."""
    random = np.random.default_rng(0)
    doctors = pd.DataFrame({"id": 100 + np.arange(80), "fee": random.choice([40.0, 55.0, 70.0, 90.0], 80)})
    patient, doctor = np.sort(random.integers(0, 400, 1600)), random.integers(0, 80, 1600)
    rows = {"patient": patient, "doctor": 100 + doctor, "charged": doctors.fee.to_numpy()[doctor]}
    tables = {"patients": pd.DataFrame({"id": np.arange(400)}), "doctors": doctors, "visits": pd.DataFrame(rows)}
    synthesizer = fitted(tables, {"visits.patient": "patients.id", "visits.doctor": "doctors.id"})
    sample = synthesizer.sample(seed=1)
    beside = sample["visits"].merge(sample["doctors"], left_on="doctor", right_on="id")
    assert (beside.charged == beside.fee).mean() > 0.99
    counts = sample["visits"].doctor.value_counts().reindex(sample["doctors"].id).fillna(0)
    assert counts.std() < 2 * tables["visits"].doctor.value_counts().std()


def test_no_team_plays_itself() -> None:
    """Two references to one table lead to two rows where they do in all rows of the table."""
    random = np.random.default_rng(0)
    teams = pd.DataFrame(
        {"id": [f"T{number}" for number in range(100, 200)], "city": random.choice(["Rome", "Bonn"], 100)}
    )
    home = random.integers(0, 100, 1000)
    away = (home + random.integers(1, 100, 1000)) % 100
    ids = teams.id.to_numpy()
    matches = pd.DataFrame({"home": ids[home], "away": ids[away], "goals": random.poisson(1.5, 1000)})
    keys = {"matches.home": "teams.id", "matches.away": "teams.id"}
    rows = fitted({"teams": teams, "matches": matches}, keys).sample(2)["matches"]
    assert (rows.home != rows.away).all()
    by_lot = matches.assign(away=random.permutation(matches.home))
    rows = fitted({"teams": teams, "matches": by_lot}, keys).sample(4)["matches"]
    assert (rows.home == rows.away).any()


def test_children_of_a_parent_are_numbered() -> None:
    links = Links(Reference("lines", ("order",), "orders", ("id",)), np.array([1, 0, 1, -1, 1, -1]), 2)
    assert links.places.tolist() == [1, 1, 2, 1, 3, 2]


def test_goals_go_with_the_strength_of_both_teams() -> None:
    """That of the further parent nearly as much as that of the first one."""
    random = np.random.default_rng(0)
    teams = pd.DataFrame({"id": [f"T{number}" for number in range(100, 250)], "strength": random.normal(50, 10, 150)})
    home = random.integers(0, 150, 1800)
    away = (home + random.integers(1, 150, 1800)) % 150
    strength, ids = teams.strength.to_numpy(), teams.id.to_numpy()
    goals = random.poisson(np.exp(0.3 + 0.05 * (strength[home] - strength[away])))
    matches = pd.DataFrame({"home": ids[home], "away": ids[away], "goals": goals})
    tables = {"teams": teams.round(1), "matches": matches}
    sample = fitted(tables, {"matches.home": "teams.id", "matches.away": "teams.id"}).sample()

    def correlations(shop: Tables) -> Any:
        of_teams = shop["teams"].set_index("id").strength
        sides = [of_teams.reindex(shop["matches"][side]).to_numpy() for side in ("home", "away")]
        return np.corrcoef([shop["matches"].goals, *sides])[0, 1:]

    real, drawn = correlations(tables), correlations(sample)
    assert (np.abs(real) > 0.35).all()
    assert (drawn / real > 0.7).all()


def test_columns_whose_row_before_tells_nothing_are_forgotten() -> None:
    random = np.random.default_rng(0)
    usual = np.repeat(random.integers(0, 3, 300), 3)
    rows = {"usual": usual, "by lot": random.normal(size=900), "next": random.choice([*"abc"], 900)}
    rows["tells"] = np.roll(rows["next"], -1)  # what the next row has as another column
    lines = pa.table({**rows, "order": np.arange(900) // 3, "place": np.arange(900) % 3})
    for given in (lines, lines.take(random.permutation(900))):
        assert forgotten(open_source(given), "order", [*rows], "place") == ("by lot", "next")
