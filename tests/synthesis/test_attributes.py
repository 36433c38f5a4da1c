"""Attributes of keys: drawn once for each key; keys that determine others still do in samples."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone

import gpuvgm
from gpuvgm.errors import InferenceWarning, ModelFileError
from gpuvgm.records import document_of
from gpuvgm.synthesis.counts.state import write_network
from gpuvgm.synthesis.counts.tables import counts_of_keys
from gpuvgm.synthesis.drawing.drawing import KeyTable
from gpuvgm.synthesis.keys import form_search, key_search
from gpuvgm.synthesis.keys.attributes import WITNESSES, Evidence
from gpuvgm.synthesis.keys.key_counts import COUNTED_KEYS, KeyCounts
from gpuvgm.synthesis.keys.key_search import trees_of_keys
from gpuvgm.synthesis.keys.keys import KeyLayout, period_of
from gpuvgm.table import ModelFile
from tests.conftest import native_names
from tests.synthesis.checked import with_check_digits

ROWS, CUSTOMERS = 12_000, 800
OF_CUSTOMER = ["born", "segment", "sex", "score"]
OF_ACCOUNT = ["limit", "opened"]


def bank() -> pd.DataFrame:
    """Bookings of accounts: one, two or three of each customer."""
    random = np.random.default_rng(3)
    owner = np.repeat(np.arange(CUSTOMERS), random.choice([1, 2, 3], CUSTOMERS, p=[0.6, 0.3, 0.1]))
    weights = random.lognormal(0, 0.8, CUSTOMERS)[owner] * random.lognormal(0, 0.5, len(owner))
    account = random.choice(len(owner), ROWS, p=weights / weights.sum())
    who = owner[account]
    segment = random.choice(["business", "private", "retail"], CUSTOMERS, p=[0.15, 0.25, 0.6])
    age = np.where(segment == "business", 60, 30) + random.integers(0, 15, CUSTOMERS)
    day = pd.Timestamp("2024-06-30")
    born = (day - pd.to_timedelta(age * 365 + random.integers(0, 365, CUSTOMERS), unit="D")).to_numpy()
    opened = (day - pd.to_timedelta(random.integers(1, 3000, len(owner)), unit="D")).to_numpy()
    sex = np.where(random.random(CUSTOMERS) < 0.1, None, random.choice(["f", "m"], CUSTOMERS))
    digits = ["".join(map(str, row)) for row in random.integers(0, 10, (len(owner), 18))]
    numbers = random.choice(10**6, CUSTOMERS, replace=False)
    return pd.DataFrame(
        {
            "customer": np.array([f"C{number:06d}" for number in numbers])[who],
            "iban": np.array([with_check_digits(f"DE00{text}", "iban") for text in digits])[account],
            "born": born[who],
            "segment": segment[who],
            "sex": sex[who],
            "score": np.where(random.random(CUSTOMERS) < 0.2, np.nan, random.normal(500, 90, CUSTOMERS).round())[who],
            "limit": (random.integers(1, 40, len(owner)) * np.where(segment[owner] == "business", 1000, 100))[account],
            "opened": opened[account],
            "amount": random.lognormal(np.where(segment[who] == "business", 6, 3), 1).round(2),
            "booked": day + pd.to_timedelta(random.integers(0, 90, ROWS), unit="D"),
            "channel": random.choice(["web", "atm", "branch"], ROWS),
        }
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return bank()


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        return gpuvgm.TableSynthesizer().fit(table)


@pytest.fixture(scope="module")
def sample(fitted: Any) -> pd.DataFrame:
    drawn: pd.DataFrame = fitted.sample(2 * ROWS)
    return drawn


def values_per_key(rows: pd.DataFrame, key: str, name: str) -> int:
    """Most values of a column that one key has, missing ones among them."""
    return int(rows.groupby(key)[name].nunique(dropna=False).max())


def test_a_fit_finds_what_keys_determine(fitted: Any) -> None:
    expected = {name: "customer" for name in OF_CUSTOMER} | {name: "iban" for name in OF_ACCOUNT}
    assert fitted.attributes_ == expected
    text = "born, segment, sex, score (of each customer), limit, opened (of each iban)"
    assert f"columns with one value for each key: {text}" in str(fitted)


def test_all_rows_of_a_key_have_the_same_attributes(sample: Any) -> None:
    assert {name: values_per_key(sample, "customer", name) for name in OF_CUSTOMER} == dict.fromkeys(OF_CUSTOMER, 1)
    assert {name: values_per_key(sample, "iban", name) for name in OF_ACCOUNT} == dict.fromkeys(OF_ACCOUNT, 1)
    assert sample["born"].nunique() > CUSTOMERS / 2


def test_other_columns_differ_in_the_rows_of_a_key(sample: Any) -> None:
    assert sample.groupby("customer")["channel"].nunique().mean() > 2
    assert sample.groupby("customer")["booked"].nunique().mean() > 8


def test_rows_often_have_the_number_of_an_attribute(table: Any) -> None:
    is_spent = np.random.default_rng(8).random(ROWS) < 0.4
    rows = table.assign(amount=np.where(is_spent, table["limit"], table["amount"]))
    found = gpuvgm.TableSynthesizer().fit(rows)
    assert found.attributes_["limit"] == "iban"
    assert {bins.name: bins.twin for bins in found.network_.structure.bins}["amount"] == "limit"
    drawn = found.sample(ROWS)
    assert values_per_key(drawn, "iban", "limit") == 1
    assert (drawn["amount"] == drawn["limit"]).mean() == pytest.approx(is_spent.mean(), abs=0.03)


def test_attributes_keep_their_distributions_and_depend_on_each_other(table: Any, sample: Any) -> None:
    for name in ("segment", "sex"):
        real, drawn = (rows[name].value_counts(normalize=True, dropna=False) for rows in (table, sample))
        assert (real - drawn).abs().max() < 0.06, name
    assert abs(table["score"].isna().mean() - sample["score"].isna().mean()) < 0.05
    customers = sample.drop_duplicates("customer")
    late = customers["born"] > pd.Timestamp("1972-01-01")
    assert np.mean(late == (customers["segment"] != "business")) > 0.97
    accounts = sample.drop_duplicates("iban")
    large = accounts["limit"] > 4000
    assert np.mean(accounts["segment"][large] == "business") > 0.97
    medians = sample.groupby("segment")["amount"].median() / table.groupby("segment")["amount"].median()
    assert medians.between(0.8, 1.25).all()


@pytest.mark.parametrize("name", ["customer", "iban"])
def test_accounts_have_one_customer_and_both_as_many_rows(name: str, table: Any, sample: Any) -> None:
    assert values_per_key(sample, "iban", "customer") == 1
    assert not {*sample[name]} & {*table[name]}
    assert abs(sample[name].nunique() / table[name].nunique() / 2 - 1) < 0.02
    real, drawn = (np.sort(rows[name].value_counts().to_numpy()) for rows in (table, sample))
    at = np.union1d(real, drawn)
    shares = [np.searchsorted(sizes, at, "right") / len(sizes) for sizes in (real, drawn)]
    assert np.abs(shares[0] - shares[1]).max() <= 0.02


def test_customers_have_as_many_accounts(table: Any, sample: Any) -> None:
    real, drawn = (
        rows.groupby("customer")["iban"].nunique().value_counts(normalize=True).reindex([1, 2, 3])
        for rows in (table, sample)
    )
    assert (real - drawn).abs().max() < 0.02


def test_rows_with_attributes_are_functions_of_the_seed_and_their_number(
    fitted: Any, sample: Any, reloaded: Any
) -> None:
    for first, rows in ((0, 1), (ROWS - 300, 700), (17, 40)):
        part = fitted.sample(rows, first_row=first)
        pd.testing.assert_frame_equal(part, sample[first : first + rows].reset_index(drop=True))
    assert reloaded(fitted).sample(500).equals(sample[:500])
    with pytest.warns(UserWarning, match='column "customer": .* new values are longer than those of the table'):
        far, end = fitted.sample(60, first_row=10**9), fitted.sample(40, first_row=10**9 + 20)
    pd.testing.assert_frame_equal(far[20:].reset_index(drop=True), end)


def test_conditions_on_attributes_are_met_by_all_rows_of_their_keys(fitted: Any) -> None:
    conditions = {"segment": "business", "limit": (5000, None), "score": [None, 480, 510], "channel": ["web", "atm"]}
    rows = fitted.sample(3000, conditions=conditions)
    assert {*rows["segment"]} == {"business"}
    assert rows["limit"].min() >= 5000
    assert {*rows["score"].dropna()} <= {480, 510}
    assert {*rows["channel"]} <= {"web", "atm"}
    assert values_per_key(rows, "customer", "born") == values_per_key(rows, "customer", "score") == 1
    part = fitted.sample(50, first_row=1000, conditions=conditions)
    pd.testing.assert_frame_equal(part, rows[1000:1050].reset_index(drop=True))


def test_under_conditions_on_other_columns_attributes_follow_and_stay_the_same_in_a_key(fitted: Any) -> None:
    rows = fitted.sample(3000, conditions={"amount": (300, None)})
    assert rows["amount"].min() >= 300
    assert np.mean(rows["segment"] == "business") > 0.5
    assert {values_per_key(rows, "customer", name) for name in OF_CUSTOMER} == {1}


def test_rows_with_the_values_of_a_table_have_keys_with_the_same_attributes(fitted: Any, table: Any) -> None:
    frame = table[["segment", "channel"]][:600]
    rows = fitted.sample(600, conditions=frame)
    assert (rows["segment"].to_numpy() == frame["segment"].to_numpy()).all()
    assert (rows["channel"].to_numpy() == frame["channel"].to_numpy()).all()
    assert rows["customer"].duplicated().any()
    assert {values_per_key(rows, "customer", name) for name in OF_CUSTOMER} == {1}
    assert values_per_key(rows, "iban", "customer") == 1


def contracts() -> pd.DataFrame:
    """Contracts of persons: from their birth a start, from which an end and payments are counted."""
    random = np.random.default_rng(8)
    persons = 600
    who = random.integers(0, persons, 9_000)
    start = pd.Timestamp("2010-01-01") + pd.to_timedelta(random.integers(0, 3000, persons), unit="D")
    end = start + pd.to_timedelta(random.integers(1, 1500, persons), unit="D")
    paid = (start[who] + pd.to_timedelta(random.integers(0, 900, len(who)), unit="D")).to_numpy()
    mails = np.array([f"user{number:04d}@web.example" for number in random.choice(10_000, persons, replace=False)])
    return pd.DataFrame({"mail": mails[who], "start": start[who], "end": end[who], "paid": paid})


def test_datetimes_that_follow_attributes_keep_them_under_conditions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        fitted = gpuvgm.TableSynthesizer().fit(contracts())
    assert fitted.attributes_ == {"start": "mail", "end": "mail"}
    since = {bins.name: bins.since for bins in fitted.network_.structure.bins}
    assert since == {"start": None, "end": "start", "paid": "start"}
    limits = [("2012-01-01", "2012-12-31"), (None, "2011-06-30"), None]
    for on, span in zip(("paid", "end", None), limits, strict=True):
        conditions = {on: span} if on else None
        rows = fitted.sample(6000, conditions=conditions)
        assert (rows["start"] <= rows["end"]).all() and (rows["start"] <= rows["paid"]).all()
        assert values_per_key(rows, "mail", "start") == values_per_key(rows, "mail", "end") == 1
        if on:
            low, high = (pd.Timestamp(end) if end else pd.Timestamp("1900") for end in span)
            assert rows[on].between(low, high).all()
            every = fitted.sample(60_000)
            met = every[every[on].between(low, high)]
            assert len(rows) / rows["mail"].nunique() == pytest.approx(len(met) / met["mail"].nunique(), rel=0.06)
        part = fitted.sample(100, first_row=4000, conditions=conditions)
        pd.testing.assert_frame_equal(part, rows[4000:4100].reset_index(drop=True))


# -- engines, files, parts


@pytest.mark.parametrize("engine", ["reference", *native_names()])
def test_engines_draw_the_same(engine: str, fitted: Any, sample: Any) -> None:
    other = clone(fitted).set_params(engine=engine.partition("-")[0])._with(fitted._fitted)
    pd.testing.assert_frame_equal(other.sample(3000), sample[:3000])


def test_fits_do_not_depend_on_row_groups_threads_and_workers(tmp_path: Path, table: Any) -> None:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        for blocks, threads in ((1, 1), (7, 3)):
            path = tmp_path / f"{blocks}.parquet"
            table.to_parquet(path, row_group_size=-(-len(table) // blocks))
            one = gpuvgm.TableSynthesizer(threads=threads).fit(path)
            found.append((write_network(one.network_), one.identifiers_, one.attributes_, one.sample(300)))
    assert found[0][:3] == found[1][:3] and found[0][3].equals(found[1][3])


def test_parts_of_a_table_keep_keys_and_attributes_of_the_first_fit(table: Any, fitted: Any) -> None:
    like = gpuvgm.TableSynthesizer(like=fitted)
    halves = [clone(like).fit(table[: ROWS // 2]), clone(like).fit(table[ROWS // 2 :])]
    merged = halves[0].merge(halves[1])
    assert merged.attributes_ == fitted.attributes_
    assert merged.identifiers_["iban"].key == fitted.identifiers_["iban"].key
    assert merged.sample(500).equals(fitted.sample(500))
    added = clone(like).partial_fit(table[: ROWS // 2]).partial_fit(table[ROWS // 2 :])
    assert added.sample(500).equals(fitted.sample(500))


def damaged(fitted: Any, path: Path, attributes: Any) -> Path:
    """File of a synthesizer with other attributes."""
    forms = {name: document_of(form) for name, form in fitted.identifiers_.items()}
    settings = {
        "bins": 64,
        "safer": False,
        "laws": "auto",
        "proven": (),
        "orders": {},
        "random_state": 0,
        "hold_out": None,
        "identifiers": forms,
        "attributes": attributes,
    }
    stored, network = fitted.transformer_._stored(summaries=False), write_network(fitted.network_)
    ModelFile.at(path).save(replace(stored, settings=stored.settings | {"synthesizer": settings}, network=network))
    return path


@pytest.mark.parametrize(
    "attributes",
    [{"amount": "customer"}, {"born": "amount"}, {"nothing": "customer"}, ["born"], {"born": ["customer"]}],
)
def test_attributes_that_do_not_fit_are_refused(attributes: Any, fitted: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"damaged\.gpuvgm: its network is inconsistent"):
        gpuvgm.load(damaged(fitted, tmp_path / "damaged.gpuvgm", attributes))
    right = gpuvgm.load(damaged(fitted, tmp_path / "right.gpuvgm", fitted.attributes_))
    assert right.attributes_ == fitted.attributes_


def test_layouts_that_do_not_fit_are_refused() -> None:
    for layout in (
        KeyLayout("k", (), 3, (1, 2), (1,)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (1,), ((0, 1),)),
        KeyLayout("k", (1,), 3, (1, 2), (1, 1), (2, 0), ((0, 1),)),
        KeyLayout("k", (1,), 3, (1, 2), (1, 1)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0,),)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 2),)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ()),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 1), (0, 1))),
        KeyLayout("k", (0,), 3, (1, 2), (1,), (2,), ((0, 1),)),
        KeyLayout("k", (2,), 3, (1, 2), (1,), (2,), ((0, 1),)),
    ):
        with pytest.raises(ValueError, match='keys of "k"'):
            layout.check()
    columns = ("k",), ("owner",)
    for layout in (
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 1),)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 1),), columns, (1,)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 1),), columns, (1, 4)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 1),), columns, (), ((3,),)),
        KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 1),), columns, (), ((4, 1),)),
    ):
        with pytest.raises(ValueError, match='missing of the keys of "k"'):
            layout.check()
    KeyLayout("k", (1,), 3, (1, 2), (1,), (2,), ((0, 1),), columns, (0, 1), ((3, 1),)).check()


# -- what determines what


def test_what_the_sample_suggests_and_rows_refute_is_learnt_again(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a sample may make a column look like an attribute, and keys like one."""
    find, determines = form_search.find_attributes, key_search._determines

    def find_more(columns: Any, names: Any, rows: Any, refuted: Any) -> dict[str, str]:
        claimed = {} if (names[0], "channel") in refuted else {"channel": names[0]}
        return claimed | find(columns, names, rows, refuted)

    monkeypatch.setattr(form_search, "find_attributes", find_more)
    monkeypatch.setattr(key_search, "_determines", lambda one, other: len(other.texts) > 255 or determines(one, other))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        found = gpuvgm.TableSynthesizer().fit(table)
    assert "channel" not in found.attributes_
    levels = {name: (form.key.group, form.level) for name, form in found.identifiers_.items()}
    assert levels == {"customer": ("iban", 1), "iban": ("iban", 0)}
    assert found.attributes_ == {name: "customer" for name in OF_CUSTOMER} | {name: "iban" for name in OF_ACCOUNT}


def test_rare_values_and_constants_are_no_attributes(table: Any) -> None:
    random = np.random.default_rng(2)
    flags = {"rare": random.random(ROWS) < 0.002, "often": random.random(ROWS) < 0.02}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        found = gpuvgm.TableSynthesizer().fit(table[["customer", "iban", "born"]].assign(**flags))
    assert found.attributes_ == {"born": "customer"}


def test_a_few_errors_leave_a_column_an_attribute(table: Any) -> None:
    random = np.random.default_rng(2)
    wrong = table["born"].where(random.random(ROWS) > 0.0003, pd.Timestamp("1950-01-01"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        found = gpuvgm.TableSynthesizer().fit(table[["customer", "iban"]].assign(born=wrong))
    assert found.attributes_ == {"born": "customer"}


def test_two_groups_of_keys_have_attributes_of_their_own(table: Any) -> None:
    """Attributes of one depend on none of the other, which would differ in the rows of a key."""
    random = np.random.default_rng(2)
    partners = random.integers(0, 400, ROWS)
    names = np.array([f"shop{number:03d}@web.example" for number in random.permutation(400)])
    country = np.array(["DE", "FR", "IT"])[random.integers(0, 3, 400)]
    both = table[["customer", "iban", "segment"]].assign(shop=names[partners], country=country[partners])
    both["fee"] = random.normal(np.where(both["country"] == "FR", 9, 2), 0.1).round(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        rows = gpuvgm.TableSynthesizer().fit(both).sample(ROWS)
    assert values_per_key(rows, "customer", "segment") == values_per_key(rows, "shop", "country") == 1
    assert rows.groupby("customer")["shop"].nunique().mean() > 5
    assert np.mean((rows["fee"] > 6) == (rows["country"] == "FR")) > 0.97


def test_attributes_are_learnt_of_keys_not_of_their_rows() -> None:
    """Few keys with many rows each do not make independent attributes look like functions of each other."""
    random = np.random.default_rng(4)
    who = random.integers(0, 300, 15_000)
    mails = np.array([f"user{number:03d}@web.example" for number in random.permutation(300)])
    attributes = {name: random.normal(0, 1, 300).round(2)[who] for name in ("height", "weight", "income")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        found = gpuvgm.TableSynthesizer().fit({"mail": mails[who]} | attributes)
    assert [node.parents for node in found.network_.nodes] == [(), (), ()]
    counts = random.integers(0, 60, (64, 90))
    assert abs(counts_of_keys(counts, 20.0).sum() / (counts.sum() / 20) - 1) < 0.02
    assert counts_of_keys(counts, 1) is counts


def test_what_few_keys_have_is_not_drawn_by_its_rows(table: Any, sample: Any) -> None:
    """One customer's date of birth is in many rows, and is no frequent one for that."""
    born = sample.drop_duplicates("customer")["born"]
    assert born.isin(table["born"]).mean() < 0.2
    assert born.nunique() > 0.8 * len(born)
    rows = contracts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        drawn = gpuvgm.TableSynthesizer().fit(rows).sample(9_000).drop_duplicates("mail")
    real = (rows["end"] - rows["start"]).drop_duplicates()
    assert (drawn["end"] - drawn["start"]).isin(real).mean() < 0.45


# -- chains of keys


def three_levels() -> Iterator[np.ndarray]:
    """Hashes of cards, of their accounts, and of the customers of these."""
    random = np.random.default_rng(6)
    owner, holder = np.sort(random.integers(0, 900, 2_000)), np.sort(random.integers(0, 2_000, 3_000))
    card = random.integers(0, 3_000, 40_000)
    for numbers in (card, holder[card], owner[holder[card]]):
        yield random.integers(1, 2**63, 3_000).astype(np.uint64)[numbers]


def test_layouts_of_chains_do_not_depend_on_blocks_and_have_the_rows_of_all_levels() -> None:
    levels = [*three_levels()]
    levels[0][::50] = 0
    levels[1][7::50] = 0
    above = (1, 2)
    whole = KeyCounts.of([[level] for level in levels], above)
    parts = [KeyCounts.of([[level[at::7]] for level in levels], above) for at in (3, 0, 6, 5, 1, 2, 4)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    layout = whole.layout("card", [["card"], ["account"], ["customer"]])
    assert merged.layout("card", [["card"], ["account"], ["customer"]]) == layout and layout.rows == 40_000
    layout.check()
    period = period_of(layout)
    sizes = np.diff(period.stops, prepend=0)
    for level, of_level in zip(levels, period.levels, strict=True):
        real = np.sort(np.unique(level[level != 0], return_counts=True)[1])
        rows = np.bincount(of_level.keys.astype(np.int64), sizes)
        assert np.array_equal(np.sort(rows[of_level.lacking == 0]), real)
    assert [keys.lacking.any() for keys in period.levels] == [True, True, False]
    assert [sizes[period.missing == bits].sum() for bits in range(8)] == [38_400, 800, 800, 0, 0, 0, 0, 0]
    card, account = period.levels[:2]
    known = (card.lacking[card.keys] == 0) & (account.lacking[account.keys] == 0)
    assert np.array_equal(card.above[card.keys[known]], account.keys[known])
    numbers = np.arange(3 * len(period.levels[0].lacking), dtype=np.uint64)
    owners = 3 * len(np.unique(levels[2]))
    assert np.array_equal(np.unique(layout.numbers_above(numbers, 0, 2)), np.arange(owners))
    accounts = layout.numbers_above(numbers, 0, 1)
    assert np.array_equal(layout.numbers_above(accounts, 1, 2), layout.numbers_above(numbers, 0, 2))
    assert layout.rows_per_key(2) == pytest.approx(40_000 * 3 / owners)


def test_counts_of_chains_take_bounded_memory() -> None:
    """The keys of the last level whose keys below may not all be counted are left out."""
    random = np.random.default_rng(6)
    accounts = random.integers(1, 2**63, 60_000).astype(np.uint64)
    customers = random.integers(1, 2**63, 20_000).astype(np.uint64)
    rows = np.concatenate((np.arange(60_000), random.integers(0, 60_000, 60_000)))
    counts = KeyCounts.of([[accounts[rows]], [customers[rows // 3]]], (1,))
    assert counts.hashes.shape == (3, COUNTED_KEYS)
    layout = counts.layout("account", [["account"], ["customer"]])
    assert {*layout.members} == {3}
    assert abs(len(period_of(layout).stops) / 60_000 - 1) < 0.02


def test_evidence_does_not_depend_on_blocks_and_takes_bounded_memory() -> None:
    random = np.random.default_rng(1)
    names = random.integers(1, 2**63, 3_000).astype(np.uint64)
    who = random.integers(0, 3_000, 200_000)
    hashes = names[who]
    hashes[::9] = 0
    columns = [mixed_up(who // 2), mixed_up(random.integers(0, 2**40, 200_000)), mixed_up(who * 0)]
    whole = Evidence.of(hashes, [column.__getitem__ for column in columns])
    assert len(whole.hashes) == WITNESSES
    assert whole.confirms.tolist() == [True, False, True]
    assert whole.suggests.tolist() == [True, False, False]
    merged = Evidence.of(hashes[:5], [column[:5].__getitem__ for column in columns])
    for start, stop in ((5, 5), (5, 120_000), (120_000, 200_000)):
        merged = merged.merge(Evidence.of(hashes[start:stop], [one[start:stop].__getitem__ for one in columns]))
    for part in ("hashes", "rows", "lowest", "highest"):
        assert np.array_equal(getattr(merged, part), getattr(whole, part)), part


def mixed_up(numbers: np.ndarray) -> np.ndarray:
    return (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


def levels_of(columns: Any, refuted: Any = frozenset()) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Group of each column of keys, its level and those above it."""
    trees = trees_of_keys(columns, refuted)
    return {name: (layout.group, layout.path(level)) for name, (layout, level) in trees.items()}


def test_chains_are_found_in_a_sample() -> None:
    card, account, customer = ([f"{one}" for one in level] for level in three_levels())
    columns = {name: pa.chunked_array([texts]) for name, texts in (("customer", customer), ("card", card))}
    columns |= {"account": pa.chunked_array([account]), "number": pa.chunked_array([[text[::-1] for text in account]])}
    assert levels_of(columns) == {
        "customer": ("card", (2,)),
        "card": ("card", (0, 1, 2)),
        "account": ("card", (1, 2)),
        "number": ("card", (1, 2)),
    }
    assert levels_of(columns, {("card", "customer")}) == levels_of(columns)
    assert levels_of(columns, {("account", "customer")}) == {
        "customer": ("card", (1,)),
        "card": ("card", (0, 1)),
        "account": ("account", (0,)),
        "number": ("account", (0,)),
    }


def test_keys_that_determine_two_others_have_one_of_each() -> None:
    """Some customers share a phone, and others a mail: neither determines the other."""
    random = np.random.default_rng(1)
    who = random.integers(0, 2_000, 15_000)
    numbers = {"customer": who, "phone": who - who % 10 // 5, "mail": who - who % 7 // 4, "card": who * 3 + who % 2}
    columns = {name: pa.chunked_array([[f"{number:05d}" for number in own]]) for name, own in numbers.items()}
    levels = levels_of(columns)
    assert levels["customer"] == levels["card"] == ("customer", (0, 1))
    assert {levels["phone"], levels["mail"]} == {("customer", (0, 1)), ("customer", (1,))}


# -- several keys of one owner


KEYS = ["customer", "card", "iban"]


def wallets(lacking: float = 0.3) -> pd.DataFrame:
    """Bookings of customers by any of their cards, or by none, from any of their accounts."""
    random, customers = np.random.default_rng(21), 700
    weights = random.lognormal(0, 0.8, customers)
    who = random.choice(customers, ROWS, p=weights / weights.sum())
    card = 3 * who + random.integers(0, 1 + random.choice(3, customers, p=[0.5, 0.3, 0.2])[who])
    account = 2 * who + random.integers(0, 1 + random.choice(2, customers, p=[0.6, 0.4])[who])
    digits = ["".join(map(str, row)) for row in random.integers(0, 10, (3 * customers, 18))]
    cards = [with_check_digits(f"4{text[:3]} {text[3:7]} {text[7:11]} {text[11:14]}0", "luhn") for text in digits]
    born = np.datetime64("1950-01-01") + random.integers(0, 20_000, customers)
    limits, opened = random.integers(1, 40, 3 * customers) * 100, random.integers(0, 9_000, 2 * customers)
    return pd.DataFrame(
        {
            "customer": [f"C{one:06d}" for one in random.choice(10**6, customers, replace=False)[who]],
            "card": np.where(random.random(ROWS) < lacking, None, np.array(cards)[card]),
            "iban": np.array([with_check_digits(f"DE00{text}", "iban") for text in digits[::-1]])[account],
            "born": born[who],
            "limit": limits[card],
            "opened": (np.datetime64("1995-01-01") + opened)[account],
            "amount": random.lognormal(3, 1, ROWS).round(2),
        }
    )


@pytest.fixture(scope="module")
def of_owners() -> tuple[pd.DataFrame, Any, pd.DataFrame]:
    """A table, what was fitted to it, and a sample."""
    table = wallets()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        fitted = gpuvgm.TableSynthesizer().fit(table)
    return table, fitted, fitted.sample(ROWS)


def ks(real: Any, drawn: Any) -> float:
    """Kolmogorov-Smirnov distance."""
    real, drawn = (np.sort(np.asarray(one)) for one in (real, drawn))
    at = np.union1d(real, drawn)
    shares = [np.searchsorted(one, at, "right") / len(one) for one in (real, drawn)]
    return float(np.abs(shares[0] - shares[1]).max())


def test_keys_of_one_owner_that_do_not_determine_each_other_belong_to_it(of_owners: Any) -> None:
    table, fitted, sample = of_owners
    forms = fitted.identifiers_
    assert {forms[name].key.group for name in ("customer", "card", "iban")} == {"iban"}, "which all rows have"
    assert [forms[name].key.path(forms[name].level) for name in ("iban", "card", "customer")] == [(0, 2), (1, 2), (2,)]
    assert fitted.attributes_ == {"born": "customer", "limit": "card", "opened": "iban"}
    for rows in (sample, fitted.sample(3 * ROWS)):
        assert values_per_key(rows, "card", "customer") == values_per_key(rows, "iban", "customer") == 1
        assert values_per_key(rows, "customer", "born") == values_per_key(rows, "iban", "opened") == 1
        assert values_per_key(rows, "card", "limit") == 1
    for name in ("customer", "card", "iban"):
        assert not {*sample[name].dropna()} & {*table[name].dropna()}
        assert abs(sample[name].nunique() / table[name].nunique() - 1) < 0.02
        assert ks(table[name].value_counts(), sample[name].value_counts()) <= 0.02
    assert abs(sample["card"].isna().mean() - table["card"].isna().mean()) < 0.01


@pytest.mark.parametrize("name", ["card", "iban"])
def test_owners_have_as_many_of_each_of_their_keys(name: str, of_owners: Any) -> None:
    table, _, sample = of_owners
    assert ks(*(rows.groupby("customer")[name].nunique() for rows in (table, sample))) <= 0.02
    pairs = [rows.dropna().groupby("customer")[["card", "iban"]] for rows in (table, sample)]
    assert ks(*(len_of.apply(lambda one: len(one.drop_duplicates())) for len_of in pairs)) <= 0.02


def test_rows_without_some_keys_say_nothing_of_them(of_owners: Any) -> None:
    """Customer numbers that some rows lack, and accounts of rows that have one, are still those of the customer."""
    random, table = np.random.default_rng(5), of_owners[0]
    lacking = {
        name: table[name].where(random.random(ROWS) > part) for name, part in (("customer", 0.03), ("iban", 0.4))
    }
    who = pd.factorize(table["customer"])[0]
    rows = table.assign(mail=[f"user{7 * one + 11:04d}@web.example" for one in who], **lacking)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        fitted = gpuvgm.TableSynthesizer().fit(rows)
    sample = fitted.sample(ROWS)
    levels = {name: form.key.path(form.level)[-1] for name, form in fitted.identifiers_.items()}
    assert {*levels.values()} == {levels["mail"]}, "all have one owner"
    assert fitted.attributes_["born"] == "mail", "which all rows have"
    for name in ("card", "iban"):
        assert values_per_key(sample, name, "mail") == sample.groupby(name)["customer"].nunique().max() == 1
        assert ks(*(one.groupby("mail")[name].nunique() for one in (rows, sample))) <= 0.02
    for name in ("mail", "card", "iban", "customer"):
        assert abs(sample[name].nunique() / rows[name].nunique() - 1) < 0.05
    shares = [one[KEYS].isna().value_counts(normalize=True) for one in (rows, sample)]
    assert (shares[0] - shares[1]).abs().max() < 0.01


MISSING = {
    "customer and card": [(("customer", "card"), 0.2)],
    "owner": [(("customer",), 0.2)],
    "owner, all keys": [(("customer", "card", "iban"), 0.15), (("card",), 0.3)],
    "some with and some without": [(("customer", "card"), 0.1), (("customer", "iban"), 0.1), (("iban",), 0.2)],
}


@pytest.mark.parametrize("case", MISSING)
def test_keys_are_missing_together_as_in_the_table(case: str, of_owners: Any) -> None:
    random, rows = np.random.default_rng(9), of_owners[0].assign(card=wallets(lacking=0.0)["card"])
    for names, share in MISSING[case]:
        rows.loc[random.random(ROWS) < share, [*names]] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        fitted = gpuvgm.TableSynthesizer({name: {"key": True} for name in KEYS}).fit(rows)
    sample = fitted.sample(ROWS)
    shares = [one[KEYS].isna().value_counts(normalize=True) for one in (rows, sample)]
    assert (shares[0] - shares[1].reindex(shares[0].index, fill_value=0)).abs().max() < 0.01
    assert all(sample.groupby(name)["customer"].nunique().max() == 1 for name in ("card", "iban"))
    for name in KEYS:
        assert not {*sample[name].dropna()} & {*rows[name].dropna()}
        assert abs(sample[name].nunique() / rows[name].nunique() - 1) < 0.05
        assert ks(rows[name].value_counts(), sample[name].value_counts()) <= 0.03
    assert ks(*(one.groupby("customer")["card"].nunique() for one in (rows, sample))) <= 0.03


ATTRIBUTES = ["born", "limit", "opened"]


def test_attributes_are_missing_with_their_keys_as_in_the_table(of_owners: Any, reloaded: Any, tmp_path: Path) -> None:
    """All of a customer, or the customer alone; limits where there is no card; some limits beside a card."""
    random, rows = np.random.default_rng(12), of_owners[0].astype({"limit": "float64"})
    rows.loc[rows["card"].isna(), "limit"] = np.nan
    rows.loc[rows["limit"] % 500 == 0, "limit"] = np.nan
    unknown = random.random(ROWS)
    rows.loc[unknown < 0.15, [*KEYS, *ATTRIBUTES]] = None
    rows.loc[unknown > 0.9, ["customer", "born"]] = None
    rows.loc[(unknown > 0.5) & (unknown < 0.6), ["customer", "card"]] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        fitted = gpuvgm.TableSynthesizer({name: {"key": True} for name in KEYS}).fit(rows)
    assert fitted.attributes_ == {"born": "customer", "limit": "card", "opened": "iban"}
    sample = fitted.sample(ROWS)
    shares = [one[KEYS + ATTRIBUTES].isna().value_counts(normalize=True) for one in (rows, sample)]
    shares = [one.reindex(shares[0].index.union(shares[1].index), fill_value=0) for one in shares]
    assert (shares[0] - shares[1]).abs().max() < 0.015
    for name, key in fitted.attributes_.items():
        assert values_per_key(sample, key, name) == 1
    assert reloaded(fitted).sample(500).equals(sample[:500])
    assert fitted.score_samples(rows).mean() == pytest.approx(reloaded(fitted).score_samples(rows).mean())
    with pytest.raises(ModelFileError, match='"limit" asks for keys that it is no attribute of'):
        gpuvgm.load(damaged(fitted, tmp_path / "damaged.gpuvgm", fitted.attributes_ | {"limit": "iban"}))
    halves = [clone(gpuvgm.TableSynthesizer(like=fitted)).fit(rows[half::2]) for half in (0, 1)]
    assert halves[0].merge(halves[1]).sample(500).equals(sample[:500])


def test_rows_of_such_keys_are_functions_of_the_seed_and_their_number(of_owners: Any, reloaded: Any) -> None:
    table, fitted, sample = of_owners
    part = fitted.sample(900, first_row=ROWS - 900).reset_index(drop=True)
    pd.testing.assert_frame_equal(part, sample[ROWS - 900 :].reset_index(drop=True))
    assert reloaded(fitted).sample(500).equals(sample[:500])
    like = gpuvgm.TableSynthesizer(like=fitted)
    halves = [clone(like).fit(table[half::2]) for half in (0, 1)]
    assert halves[0].merge(halves[1]).sample(500).equals(sample[:500])
    rows = fitted.sample(3_000, conditions={"opened": ("2000-01-01", None), "limit": (1_000, None)})
    assert rows["opened"].min() >= pd.Timestamp("2000-01-01") and rows["limit"].min() >= 1_000
    assert values_per_key(rows, "iban", "opened") == values_per_key(rows, "customer", "born") == 1


def test_tables_of_keys_hold_all_keys_of_rows_and_few_others() -> None:
    random = np.random.default_rng(1)
    for size in (0, 1, 50, 5_000):
        numbers = random.integers(0, 10**6, size).astype(np.uint64) + np.uint64(2**40)
        drawn = KeyTable.of(numbers, 0)
        assert np.array_equal(drawn.numbers[drawn.places], numbers)
        assert len(drawn.numbers) <= 2 * size


def test_no_rows_and_one_row_can_be_drawn(fitted: Any, sample: Any) -> None:
    assert len(fitted.sample(0)) == 0
    assert [*fitted.sample(0)] == [*sample]
    pd.testing.assert_frame_equal(fitted.sample(1, first_row=77), sample[77:78].reset_index(drop=True))


def test_texts_that_are_not_modelled_are_new_once_for_each_key(table: Any) -> None:
    random = np.random.default_rng(7)
    who = pd.factorize(table["customer"])[0]
    passports = np.array([f"{chr(65 + k % 26)}{number:07d}" for k, number in enumerate(random.integers(0, 10**7, 900))])
    rows = table[["customer", "iban", "amount"]].assign(
        passport=passports[who],
        member=random.choice(10**6, 900, replace=False)[who],
        token=[f"t{number:09d}" for number in random.choice(10**9, ROWS, replace=False)],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        fitted = gpuvgm.TableSynthesizer({"passport": "pass", "member": "id", "token": "pass"}).fit(rows)
    drawn = fitted.sample(ROWS)
    assert values_per_key(drawn, "customer", "passport") == values_per_key(drawn, "customer", "member") == 1
    assert not {*drawn["passport"]} & {*rows["passport"]} and not {*drawn["member"]} & {*rows["member"]}
    assert drawn["passport"].nunique() == drawn["customer"].nunique() == drawn["member"].nunique()
    assert drawn["token"].nunique() == ROWS
    assert "passport (random letters and digits, one for each key)" in str(fitted)


def test_attributes_of_all_types_come_back_in_theirs() -> None:
    random = np.random.default_rng(0)
    persons = 500
    who = random.integers(0, persons, 6_000)
    values = {
        "price": [Decimal(int(number)) / 100 for number in random.integers(0, 10**6, persons)],
        "member": [None if number > 1 else bool(number) for number in random.integers(0, 3, persons)],
        "wakes": [time(int(number) // 60, int(number) % 60) for number in random.integers(0, 1440, persons)],
        "since": [f"{1950 + number // 12}-{1 + number % 12:02d}-11" for number in random.integers(0, 600, persons)],
        "debt": [f"{number / 100:.2f} €" for number in random.integers(0, 10**5, persons)],
        "weight": [None if number < -1 else float(number) for number in random.normal(0, 1, persons)],
        "takes": [timedelta(seconds=int(number)) for number in random.integers(0, 10**6, persons)],
    }
    arrays = {"mail": pa.array([f"user{7 * number:05d}@web.example" for number in range(persons)]).dictionary_encode()}
    arrays |= {name: pa.array(own) for name, own in values.items()}
    arrays["group"] = pa.array([f"g{number % 9}" for number in range(persons)]).dictionary_encode()
    rows = pa.table({name: array.take(pa.array(who)) for name, array in arrays.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        drawn = gpuvgm.TableSynthesizer().fit(rows).sample(2_000)
    assert drawn.schema.equals(rows.schema)
    frame = drawn.to_pandas().astype({"mail": str})
    assert {name: values_per_key(frame, "mail", name) for name in [*values, "group"]} == dict.fromkeys(
        [*values, "group"], 1
    )
