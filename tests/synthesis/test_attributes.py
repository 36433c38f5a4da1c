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
