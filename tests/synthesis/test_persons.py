"""What one person alone has does not come out by its count, however many rows she has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.synthesis.bins.calendar import _of_several
from gpuvgm.synthesis.bins.clock import Clock, moments_with_own_counts
from gpuvgm.synthesis.bins.edge_places import without_dominance
from gpuvgm.synthesis.bins.forms import forms_of
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, KeysOfThings, Persons
from gpuvgm.synthesis.counts.state import write_network
from gpuvgm.synthesis.learning import samples

HEAVY = 10  # patients with many rows each
PRICES = np.unique(np.round(np.random.default_rng(3).lognormal(3, 1, 60) * 2) / 2)
DAY = 86_400


def patients(rows: int, count: int = 4_000, *, adjacent: bool = False) -> pd.DataFrame:
    """Visits of patients, the first ten of whom have 0.75 % of the rows each."""
    random = np.random.default_rng(7)
    light = random.multinomial(rows - HEAVY * (rows * 3 // 400), random.dirichlet(np.full(count - HEAVY, 3.0)))
    who = np.repeat(random.permutation(count), np.append(np.full(HEAVY, rows * 3 // 400), light))
    who = np.sort(who) if adjacent else random.permutation(who)
    birth = np.datetime64("1930-01-01", "D") + random.integers(0, 29_000, count)
    text = np.datetime_as_string(birth)
    cents, weight = 2 * random.permutation(count) + 1, random.normal(75, 12, count)  # of each patient others
    start = np.datetime64("2024-01-01", "s")
    admitted = start + random.integers(0, 365 * DAY, count)
    hours = start + random.integers(0, 250, rows) * DAY + random.integers(8 * 3_600, 18 * 3_600, rows)
    keeps = random.random(rows) < 0.9
    columns = {
        "patient": [f"p{one:05d}@mail{one % 7}.org" for one in who],
        "birth": birth[who].astype("M8[s]"),
        "written": text[who],
        "number": np.array([int(one.replace("-", "")) for one in text])[who],
        "weight": weight[who],
        "amount": np.where(keeps, cents[who], np.rint(random.lognormal(4, 0.8, rows) * 50) * 2) / 100,
        "admitted": np.where(keeps, admitted[who], hours),
        "price": random.choice(PRICES, rows),
    }
    return pd.DataFrame(columns)


def shares_of_heavy(table: pd.DataFrame, sample: pd.DataFrame, name: str) -> np.ndarray[Any, Any]:
    """Share of a sample's patients with a value of each of the ten that have the most rows: what most of these have."""
    heavy = table["patient"].value_counts().index[:HEAVY]
    own = [table.loc[table["patient"] == one, name].mode()[0] for one in heavy]
    pairs = sample[["patient", name]].drop_duplicates()
    return np.array([np.sum(pairs[name] == value) for value in own]) / sample["patient"].nunique()


def check_patients(table: pd.DataFrame, sample: pd.DataFrame) -> None:
    """Assert that the ten are not given away, and that prices, which many have, are drawn by their counts."""
    for name in ("birth", "written", "number", "weight", "amount", "admitted"):
        shares = shares_of_heavy(table, sample, name)
        assert shares.max() < 0.002 and shares.sum() < 0.004, name
    original, drawn = (one["price"].value_counts(normalize=True) for one in (table, sample))
    assert set(drawn.index) <= set(PRICES)
    assert original.sub(drawn, fill_value=0).abs().sum() / 2 < 0.04


def test_patients_with_many_rows_are_not_given_away() -> None:
    table = patients(20_000)
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    check_patients(table, synthesizer.sample(20_000))
    like = gpuvgm.TableSynthesizer(like=synthesizer).fit(table[:5_000])
    assert like.network_.structure.equals(synthesizer.network_.structure)
    both = like.merge(synthesizer).partial_fit(table[5_000:9_000])
    check_patients(table, both.sample(20_000, seed=1))


@pytest.mark.parametrize(
    "settings", [{}, pytest.param({"safer": True, "conditions_on": ["birth"]}, marks=pytest.mark.exhaustive)]
)
def test_patients_whose_rows_are_adjacent_are_not_given_away(tmp_path: Path, settings: dict[str, Any]) -> None:
    table = patients(20_000, adjacent=True)
    table.to_parquet(tmp_path / "visits.parquet")
    synthesizer = gpuvgm.TableSynthesizer(**settings).fit(tmp_path / "visits.parquet")
    check_patients(table, synthesizer.sample(20_000).to_pandas())


@pytest.mark.exhaustive
@pytest.mark.parametrize("adjacent", [False, True])
def test_patients_of_long_tables_are_not_given_away(tmp_path: Path, *, adjacent: bool) -> None:
    table = patients(200_000, adjacent=adjacent)
    check_patients(table, gpuvgm.TableSynthesizer().fit(table).sample(20_000))
    table.to_parquet(tmp_path / "visits.parquet")
    check_patients(table, gpuvgm.TableSynthesizer().fit(tmp_path / "visits.parquet").sample(20_000).to_pandas())


def test_all_rows_say_whose_values_are_where_the_sample_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a CSV file are sampled from its beginning: later ones have other prices, and a patient with many rows."""
    monkeypatch.setattr(samples, "TREE_ROWS", 4_000)
    random, table = np.random.default_rng(1), patients(12_000, 1_500, adjacent=True)
    table["price"] = np.where(np.arange(12_000) < 5_000, table["price"], table["price"] + 1_000)
    table = table[["patient", "birth", "weight", "price"]]
    table.loc[11_000:, ["patient", "birth", "weight"]] = ["late@mail.org", pd.Timestamp("1961-02-03"), 71.25]
    table.loc[11_000:, "price"] = random.choice(PRICES, 1_000) + 1_000
    table.to_csv(tmp_path / "visits.csv", index=False)
    synthesizer = gpuvgm.TableSynthesizer().fit(tmp_path / "visits.csv")
    sample = synthesizer.sample(12_000).to_pandas()
    assert {*sample["price"]} <= {*PRICES, *(PRICES + 1_000)}
    birth = pd.to_datetime(sample.drop_duplicates("patient")["birth"])
    assert np.mean(np.abs(birth - pd.Timestamp("1961-02-03")) <= pd.Timedelta(2, "D")) < 0.01
    assert np.mean(np.abs(sample.drop_duplicates("patient")["weight"] - 71.25) < 0.01) < 0.01
    batches = pa.Table.from_pandas(table[:6_000]).to_batches
    networks = [gpuvgm.TableSynthesizer().fit(iter(batches(max_chunksize=rows))).network_ for rows in (997, 4_000)]
    assert write_network(networks[0]) == write_network(networks[1])


def test_the_amount_of_one_person_is_no_modal_value() -> None:
    random, table = np.random.default_rng(5), patients(8_000, 1_000)[["patient", "weight", "amount", "price"]]
    mine = random.random(8_000) < 0.08
    table.loc[mine, ["patient", "weight", "amount"]] = ["many@mail.org", 61.234567, 777.77]
    table.loc[random.random(8_000) < 0.2, "amount"] = 0.0
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    sample = synthesizer.sample(8_000)
    assert np.mean(sample["weight"] == 61.234567) < 0.002
    assert np.mean(sample["amount"] == 777.77) < 0.002
    assert np.mean(sample["amount"] == 0) == pytest.approx(0.2, abs=0.02)


def test_no_interval_is_dominated_by_values_of_few_persons() -> None:
    rows = np.full(64, 10)
    rows[[5, 20, 21]] = 90, 35, 35
    rows_of_few = np.where(rows > 10, rows, 0)
    kept = without_dominance(np.arange(3, 63, 4), rows, rows_of_few)  # intervals of four values
    # 90 of 120, then of 160 rows, then 90 of 240; 70 of 90, then 70 of 130
    assert kept.tolist() == [15, *range(23, 63, 4)]
    assert without_dominance(np.arange(7, 63, 8), np.full(64, 10), np.full(64, 10)).tolist() == [*range(7, 63, 8)]
    random = np.random.default_rng(0)
    for intervals in (1, 2, 5, 37, 300):
        rows = np.rint(random.lognormal(2, 1.5, 4 * intervals)).astype(np.int64) + 1
        rows_of_few = rows * (random.random(len(rows)) < 0.5)
        places = np.arange(3, 4 * intervals - 1, 4)
        kept = without_dominance(places, rows, rows_of_few)
        assert {*kept} <= {*places}
        for total, few in zip(np.split(rows, kept + 1), np.split(rows_of_few, kept + 1), strict=True):
            largest = np.cumsum(np.sort(few)[::-1][:4])
            assert len(kept) == 0 or np.all(largest <= np.sum(total) * np.arange(1, 5) / np.arange(2, 6))


# -- who has something


def test_the_smallest_keys_are_the_same_for_any_parts() -> None:
    random = np.random.default_rng(0)
    things, keys = random.integers(-1, 40, 3_000), random.integers(0, 30, 3_000).astype(np.uint64)
    hashes = keys * np.uint64(0x9E3779B97F4A7C15)
    whole = KeysOfThings.of(things, 40, [hashes])
    parts = [KeysOfThings.of(things[at::3], 40, [hashes[at::3]]) for at in range(3)]
    for one in (parts[0].merge(parts[1]).merge(parts[2]), parts[2].merge(parts[1].merge(parts[0]))):
        assert np.array_equal(one.smallest[0], whole.smallest[0]) and np.array_equal(one.rows, whole.rows)
        assert np.array_equal(one.persons([False]), whole.persons([False]))
    different = [len(np.unique(keys[(things == thing) & (keys > 0)])) for thing in range(40)]
    assert np.array_equal(whole.persons([False]), np.minimum(different, LEAST_KEYS))


def persons_of(**columns: Any) -> Persons:
    """Persons of rows by some columns of keys."""
    return Persons.of(columns, pa.Table.from_pandas(pd.DataFrame(columns)))


def test_each_column_of_keys_needs_several() -> None:
    customers = np.repeat(np.arange(100), 6)  # each with three cards
    cards = customers * 3 + np.tile(np.repeat(np.arange(3), 2), 100)
    things = np.where(customers < 4, 0, np.where(customers < 9, 1, 2))
    assert persons_of(card=cards).counts(things, 3).tolist() == [LEAST_KEYS, LEAST_KEYS, LEAST_KEYS]
    assert persons_of(card=cards, customer=customers).counts(things, 3).tolist() == [4, LEAST_KEYS, LEAST_KEYS]
    assert persons_of(card=cards, branch=customers % 40).names == ("card",)  # few branches name no one
    assert persons_of(row=np.arange(600)).keys == ()
    few = pa.table({"branch": np.arange(40).repeat(15)})  # of a sorted table there may be others elsewhere
    assert Persons.of(few.column_names, few).names == ()
    assert Persons.of(few.column_names, few, whole=False).names == ("branch",)
    assert Persons.of(few.column_names, few.take(np.arange(600) * 15 % 599), whole=False).names == ()


def test_rows_without_a_key_are_nobodys_unless_most_lack_it() -> None:
    keys = np.repeat(np.arange(100.0), 4)
    things = np.repeat([0, 1, 2], [40, 8, 352])
    some = np.where(np.arange(400) < 36, np.nan, keys)  # of thing 0 only one key is left
    assert persons_of(key=some).counts(things, 3).tolist() == [1, 2, LEAST_KEYS]
    few = np.append(some, np.full(1_000, np.nan))
    counts = persons_of(key=few).counts(np.append(things, np.repeat([3, 1], [990, 10])), 4)
    assert counts.tolist() == [LEAST_KEYS, 2, LEAST_KEYS, LEAST_KEYS]  # thing 1 has eight rows of two keys


def test_moments_times_and_remainders_need_several_persons() -> None:
    one, several = (persons_of(key=np.append(own, np.repeat(np.arange(100, 160), 2))) for own in ([1] * 60, range(60)))
    others = np.random.default_rng(0).integers(0, 24 * 3_600, 120)
    times = np.append(np.full(60, 13_337), others).astype(np.float64)
    clock = Clock(19_000, np.array([0.0, DAY]), 1.0, np.zeros(1, np.int64), np.array([180.0]), np.zeros(1), np.ones(1))
    assert moments_with_own_counts(clock, times, one).tolist() == []
    assert moments_with_own_counts(clock, times, several).tolist() == [13_337]
    cells = np.array([0.0, 13_337.0, 13_338.0, 50_000.0])
    assert _of_several(cells, times, one).tolist() == [0.0, 13_338.0, 50_000.0]
    assert _of_several(cells, times, several).tolist() == cells.tolist()
    random = np.random.default_rng(0)
    amounts = np.append(np.arange(60) * 100 + 37, random.integers(0, 6_000, 120)).astype(np.float64)
    rare = np.ones(180, np.bool_)
    forms = [forms_of(amounts, persons, rare, 1.0, 0, None) for persons in (one, several)]
    assert forms[0] is None or 37 not in forms[0].remainders
    assert forms[1] is not None and forms[1].period == 100 and forms[1].remainders == (37,)
