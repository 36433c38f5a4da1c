"""Many categories lie beside those that go with the same values of another column, where that tells more of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.engines import AskedColumn
from gpuvgm.synthesis.counts import category_orders
from gpuvgm.synthesis.counts.category_orders import order_by


def _seasons(rows: int = 4_000, *, names_tell: bool = True) -> pd.DataFrame:
    """Names of storms: those of a list come in every sixth year, whatever their frequency; or in any year."""
    random = np.random.default_rng(5)
    year, number = random.integers(0, 24, rows), random.geometric(0.12, rows).clip(1, 20) - 1
    of_list = year % 6 if names_tell else random.integers(0, 6, rows)
    return pd.DataFrame({"year": 1998 + year, "name": [f"n{a:02d}{b}" for a, b in zip(number, of_list, strict=True)]})


def _bins(synthesizer: gpuvgm.TableSynthesizer, name: str) -> Any:
    return next(bins for bins in synthesizer.network_.structure.bins if bins.name == name)


@pytest.fixture(scope="module")
def fitted() -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer({"year": "continuous"}, laws="off", conditions_on=["year"]).fit(_seasons())


def test_categories_of_the_same_years_lie_side_by_side(fitted: gpuvgm.TableSynthesizer) -> None:
    bins, column = _bins(fitted, "name"), fitted.transformer_.columns_["name"]
    lists = [column.categories[int(place)][-1] for place in bins.low[bins.rows >= 5]]
    assert len(bins) > len(lists) > 100 and np.all(bins.rows[len(lists) :] < 5)  # rare ones are beside no others
    assert np.count_nonzero(np.array(lists[1:]) != np.array(lists[:-1])) == 5
    assert np.array_equal(bins.rows, np.array(column.counts)[bins.low.astype(int)])
    assert np.array_equal(bins.low[bins.codes], np.arange(len(bins)))


def test_trees_are_smaller_and_names_are_those_of_their_year(
    fitted: gpuvgm.TableSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(category_orders, "BY_FREQUENCY", 10**6)
    by_frequency = gpuvgm.TableSynthesizer({"year": "continuous"}, laws="off", conditions_on=["year"])
    by_frequency.fit(_seasons())
    assert np.all(np.diff(_bins(by_frequency, "name").low) > 0)
    shares, sizes, held_out = [], [], _seasons(9_000)[4_000:]
    for synthesizer in (fitted, by_frequency):
        rows = synthesizer.sample(10_000, seed=1)
        shares.append(np.mean(rows["year"] % 6 == rows["name"].str[-1].astype(int)))
        sizes.append(sum(len(node.trees.nodes) for node in synthesizer.network_.structure.trees))
    assert shares[0] > 0.99 and sizes[0] < sizes[1] / 2
    known = held_out[held_out["name"].isin(_seasons()["name"])]
    assert fitted.score_samples(known).mean() > by_frequency.score_samples(known).mean() + 0.02


def test_conditions_and_archives_know_the_order(fitted: gpuvgm.TableSynthesizer, tmp_path: Path) -> None:
    rows = fitted.sample(300, conditions={"name": ["n002", "n013"]})
    assert {*rows["name"]} == {"n002", "n013"} and np.mean((rows["year"] % 6).isin([2, 3])) > 0.95
    fitted.save(tmp_path / "storms.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "storms.gpuvgm")
    assert loaded.network_.structure.equals(fitted.network_.structure)
    assert loaded.sample(300, seed=2).equals(fitted.sample(300, seed=2))


def test_other_categories_stay_in_the_order_of_their_frequency() -> None:
    """Those of which no column tells, and those of few."""
    for table in (_seasons(names_tell=False), _seasons()[lambda rows: rows["name"].str[1:3] < "08"]):
        synthesizer = gpuvgm.TableSynthesizer({"year": "continuous"}, laws="off", conditions_on=["year"]).fit(table)
        assert np.all(np.diff(_bins(synthesizer, "name").low) > 0)


def test_order_by_another_column() -> None:
    """Rare ones come last in any case; none by a column that tells nothing."""
    random = np.random.default_rng(1)
    codes = np.append(np.repeat(np.arange(90), 20), np.repeat(np.arange(90, 95), 4))
    near = codes % 3 * 2 + random.integers(0, 2, len(codes))
    column = AskedColumn(codes.astype(np.uint16), 95, is_category=True)
    places = order_by(column, AskedColumn(near.astype(np.uint16), 6, is_category=True), 5)
    assert places is not None and places[90:].tolist() == [*range(90, 95)]
    assert sorted(places) == [*range(95)] and np.count_nonzero(np.diff(places[:90] % 3)) == 2
    same = AskedColumn(np.zeros(len(codes), np.uint16), 1, is_category=True)
    assert order_by(column, same, 5) is None
