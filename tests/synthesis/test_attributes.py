"""Attributes of keys: drawn once for each key; keys that determine others still do in samples."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning
from gpuvgm.synthesis.keys import with_check_digits

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
    far = fitted.sample(60, first_row=10**9)
    pd.testing.assert_frame_equal(far[20:].reset_index(drop=True), fitted.sample(40, first_row=10**9 + 20))


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
        assert rows["mail"].nunique() < 1000
        if on:
            low, high = (pd.Timestamp(end) if end else pd.Timestamp("1900") for end in span)
            assert rows[on].between(low, high).all()
        part = fitted.sample(100, first_row=4000, conditions=conditions)
        pd.testing.assert_frame_equal(part, rows[4000:4100].reset_index(drop=True))
