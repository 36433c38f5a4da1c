"""Categories that come back within a key: the shops of a card, the places that an aircraft serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.io import open_source
from gpuvgm.synthesis.sequences.recency import MOST_RECENT, NEW, Recency, RecentValues, ranks_of
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.sorting import RowOrder
from tests.synthesis.sequences.trades import payments


def shops_a_row(rows: pd.DataFrame) -> float:
    """Mean share of different shops in the rows of a card."""
    cards = rows.groupby("card")
    return float((cards.shop.nunique() / cards.size()).mean())


@pytest.fixture(scope="module")
def synthesizer() -> Any:
    return gpuvgm.TableSynthesizer(sequence_key="card", sequence_index="day", random_state=0).fit(payments(300, 0))


def test_cards_come_back_to_their_shops(synthesizer: Any) -> None:
    """Each has few of many; a model that knows the shop before alone draws twice as many, and other towns' ones."""
    assert [recency.column for recency in synthesizer._model.plan.recencies] == ["shop"]
    table, sample = payments(300, 0), synthesizer.sample(keys=300)
    assert abs(shops_a_row(sample) - shops_a_row(table)) <= 0.04

    def back(rows: pd.DataFrame) -> float:
        """Share of payments at the shop of the payment but one before, where the one before was elsewhere."""
        shop, former, card = rows.shop, rows.shop.shift(2), rows.card
        known = (card == card.shift(2)) & (shop != shop.shift(1))
        return float((shop == former)[known].mean())

    assert abs(back(sample) - back(table)) <= 0.05
    assert (sample.trade == sample.shop.map(dict(zip(table.shop, table.trade, strict=True)))).mean() >= 0.99


def test_any_cut_has_the_same_bits(synthesizer: Any, tmp_path: Path) -> None:
    """Rows of any range, samples of a saved model, on one thread and on several."""
    sample = synthesizer.sample(600)
    for first, stop in ((0, 17), (17, 300), (299, 600)):
        rows = synthesizer.sample(stop - first, first_row=first)
        assert rows.equals(sample.iloc[first:stop].reset_index(drop=True))
    synthesizer.save(tmp_path / "cards.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "cards.gpuvgm")
    assert loaded.sample(600).equals(sample)
    assert loaded.set_params(threads=2).sample(600).equals(sample)


def test_further_cards_and_scores(synthesizer: Any) -> None:
    """Counts of two parts are those of both; a shop that comes back is likelier than another one."""
    settings: Any = {"sequence_key": "card", "sequence_index": "day", "random_state": 0}
    known = payments(300, 0).shop
    first, second = (table[table.shop.isin(known)] for table in (payments(150, 3), payments(150, 4)))
    second = second.assign(card="N" + second.card.str[1:])
    added = gpuvgm.TableSynthesizer(like=synthesizer, **settings).fit(first).partial_fit(second)
    merged = gpuvgm.TableSynthesizer(like=synthesizer, **settings).fit(first)
    merged = merged.merge(gpuvgm.TableSynthesizer(like=synthesizer, **settings).fit(second))
    assert added.sample(keys=100).equals(merged.sample(keys=100))
    card = first[first.card == first.card.value_counts().index[0]].reset_index(drop=True)
    at = int(np.flatnonzero(card.shop.duplicated() & (card.shop != card.shop.shift()))[-1])
    scores = synthesizer.score_samples(card)
    elsewhere = next(shop for shop in first.shop[first.trade == card.trade[at]] if shop not in [*card.shop])
    others = card.assign(shop=[*card.shop[:at], elsewhere, *card.shop[at + 1 :]])
    assert np.isfinite(scores).all() and synthesizer.score_samples(others)[at] < scores[at] - 2


def test_a_column_that_another_one_decides_is_computed_of_what_comes_back() -> None:
    """Shops have one house each: both would come back, and the house follows from its shop."""
    table = payments(300, 0)
    houses = {shop: f"{place % 40 + 1} {'abcd'[place % 4]}" for place, shop in enumerate(sorted(set(table.shop)))}
    table = table.assign(house=table.shop.map(houses))
    model = gpuvgm.TableSynthesizer(sequence_key="card", sequence_index="day", random_state=0).fit(table)
    sample = model.sample(keys=200)
    assert (sample.house == sample.shop.map(houses)).mean() >= 0.99
    assert abs(shops_a_row(sample) - shops_a_row(table)) <= 0.05


def test_values_by_lot_do_not_come_back() -> None:
    """Of a column that has nothing to do with the key nothing is asked."""
    random = np.random.default_rng(0)
    shops = [f"S{shop:02}" for shop in range(30)]
    table = pd.DataFrame({"card": np.repeat(np.arange(300), 6), "shop": random.choice(shops, 1800)})
    model = gpuvgm.TableSynthesizer(sequence_key="card", random_state=0).fit(table)._model
    assert model.plan.recencies == ()


def test_ranks_are_those_of_a_list_moved_to_the_front() -> None:
    random = np.random.default_rng(0)
    codes, are_first = random.integers(0, 25, 4000), random.random(4000) < 0.01
    are_first[0] = True
    ranks, recent = ranks_of(codes, are_first)
    latest: list[int] = []
    for row, (code, is_first) in enumerate(zip(codes.tolist(), are_first, strict=True)):
        latest = [] if is_first else latest
        rank = latest.index(code) + 1 if code in latest[:MOST_RECENT] else NEW
        assert ranks[row] == rank
        assert [codes[rows[row]] for rows in recent if rows[row] >= 0] == latest[:MOST_RECENT]
        latest = [code, *(other for other in latest if other != code)]


def test_recent_values_follow_rows() -> None:
    """As ranks of rows say; of a key without rows none comes back."""
    random = np.random.default_rng(1)
    codes = random.integers(0, 20, (50, 40))
    ranks, _ = ranks_of(codes.ravel(), np.arange(codes.size) % 40 == 0)
    recent, no_rank = RecentValues.of_none(50), np.full(50, NEW)
    assert recent.lack(np.full(50, 1), recent.recalled(np.full(50, 1))).all()
    for place in range(40):
        rank, values = ranks.reshape(50, 40)[:, place], codes[:, place]
        old = rank != NEW
        assert np.array_equal(recent.recalled(np.maximum(rank, 1))[old], values[old])
        assert np.array_equal(recent.lack(no_rank, values), old)
        recent = recent.followed_by(values)
    assert recent.varieties.tolist() == [min(len(set(values)), MOST_RECENT) for values in codes.tolist()]


def test_what_comes_back_is_of_the_first_row_that_had_it() -> None:
    """A rank beyond the values of a key is a new one."""
    random = np.random.default_rng(2)
    codes, are_first = random.integers(0, 12, 3000), random.random(3000) < 0.05
    are_first[0] = True
    ranks, _ = ranks_of(codes, are_first)
    sources, keys = Recency.sources(ranks, are_first), np.cumsum(are_first)
    seen: dict[tuple[int, int], int] = {}
    assert sources.tolist() == [seen.setdefault(of, row) for row, of in enumerate(zip(keys, codes, strict=True))]
    assert Recency.sources(np.array([1, 0, 5, 1]), np.array([True, False, False, False])).tolist() == [0, 1, 2, 2]


def test_columns_of_rows_say_what_comes_back(synthesizer: Any) -> None:
    """Missing values are one value, which may come back as well."""
    column = synthesizer._model.columns["shop"]
    shops = [str(category) for category in column.categories[:3]]
    table = pd.DataFrame({"card": [*"aaaab"], "shop": [shops[0], shops[1], shops[0], shops[2], shops[0]]})
    rows = Recency("shop").of_rows(KeyRows.read(open_source(table), RowOrder("card")), column)
    assert rows["recency(shop)"].to_pylist() == ["new", "new", "2 back", "new", "new"]
    assert rows["novelty(shop)"].to_pylist() == ["yes", "yes", "no", "yes", "yes"]
    assert rows["variety(shop)"].to_pylist() == [0, 1, 2, 2, 0]


def test_rows_reach_from_the_first_to_the_last_time_of_keys() -> None:
    """Cards are used at their own pace over the same months: each row is drawn given how long the card has still."""
    random = np.random.default_rng(0)
    rows = [
        (f"C{card:04}", day, round(float(random.lognormal(3, 1)), 2))
        for card in range(300)
        for day in sorted(random.integers(0, 360, 3 + random.geometric(0.1)).tolist())
    ]
    table = pd.DataFrame(rows, columns=["card", "day", "amount"])
    model = gpuvgm.TableSynthesizer(sequence_key="card", sequence_index="day", random_state=0).fit(table)
    assert model._model.plan.is_paced

    def spans(rows: pd.DataFrame) -> Any:
        days = rows.groupby("card").day
        return days.max() - days.min()

    sample = model.sample(keys=300)
    assert abs(spans(sample).mean() - spans(table).mean()) <= 12
    assert abs(spans(sample).std() - spans(table).std()) <= 12


def test_keys_that_grow_go_on_to_grow() -> None:
    """Each at a rate of its own, which no column tells; one step says little of the next one."""
    random, rows = np.random.default_rng(0), list[Any]()
    for town in range(300):
        people, growth = float(random.lognormal(9, 1)), random.normal(0, 0.03)
        for year in range(2000, 2015):
            rows.append((f"T{town:04}", year, round(people)))
            people *= np.exp(growth + random.normal(0, 0.03))
    table = pd.DataFrame(rows, columns=["town", "year", "people"])
    sample = gpuvgm.TableSynthesizer(sequence_key="town", sequence_index="year").fit(table).sample(keys=300)

    def growth_of(rows: pd.DataFrame) -> float:
        people = rows.groupby("town").people
        return float(np.std(np.log(people.last() / people.first())))

    assert abs(growth_of(sample) / growth_of(table) - 1) <= 0.2


def test_trips_begin_where_the_one_before_has_ended() -> None:
    """Places come back, too; but the column of the row before that says which one tells more."""
    random, rows = np.random.default_rng(0), list[Any]()
    for car in range(250):
        place, day, served = int(random.integers(0, 40)), 0, list[int]()
        for _ in range(3 + int(random.negative_binomial(2, 0.12))):
            day += 1 + int(random.exponential(5))
            start = place if random.random() < 0.85 else int(random.integers(0, 40))
            place = int(random.choice(served) if served and random.random() < 0.7 else random.integers(0, 40))
            served.append(place)
            rows.append((f"C{car:04}", day, f"B{start:02}", f"B{place:02}"))
    table = pd.DataFrame(rows, columns=["car", "day", "pickup", "drop"])
    sample = gpuvgm.TableSynthesizer(sequence_key="car", sequence_index="day").fit(table).sample(keys=250)

    def chained(rows: pd.DataFrame) -> float:
        former = rows.groupby("car")["drop"].shift()
        return float((rows.pickup == former)[former.notna()].mean())

    assert abs(chained(sample) - chained(table)) <= 0.05
