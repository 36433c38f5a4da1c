"""Columns that run on from row to row are told of."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm

ROWS = 3000


def statements(seed: int = 0) -> dict[str, np.ndarray]:
    """Amounts of accounts, with the balance of each and that of all."""
    draws = np.random.default_rng(seed)
    accounts, cents = draws.integers(0, 60, ROWS), draws.integers(-50_000, 50_000, ROWS)
    balances, own = np.zeros(60, np.int64), np.empty(ROWS, np.int64)
    for row, (account, amount) in enumerate(zip(accounts, cents, strict=True)):
        balances[account] += amount
        own[row] = balances[account]
    ibans = np.array([f"person{account}@example.org" for account in range(60)])
    return {"mail": ibans[accounts], "amount": cents / 100, "own": own / 100, "all": np.cumsum(cents) / 100}


def told(columns: dict[str, np.ndarray]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gpuvgm.TableSynthesizer(threads=1).fit(pa.table(columns))
    return [str(one.message) for one in caught if "runs on" in str(one.message)]


def test_balances_are_told_of() -> None:
    of_all, of_each = told(statements())
    assert of_all.startswith('"all" runs on from row to row by "amount"')
    assert of_each.startswith('"own" runs on from row to row of each "mail" by "amount"')


def test_debits_and_missing_values() -> None:
    columns = statements()
    columns["amount"] = np.abs(columns["amount"])
    columns["all"][::50] = np.nan
    assert [text.split('"')[1] for text in told(columns)] == ["all", "own"]


@pytest.mark.parametrize("spoilt", ["shuffled", "constant", "few rows"])
def test_others_are_not(spoilt: str) -> None:
    columns = statements()
    if spoilt == "shuffled":
        order = np.random.default_rng(1).permutation(ROWS)
        columns = {name: values[order] for name, values in columns.items()}
    elif spoilt == "constant":
        columns = {"one": np.ones(ROWS), "number": np.arange(ROWS) / 4 * 4, "amount": columns["amount"]}
    else:
        columns = {name: values[:15] for name, values in columns.items()}
    assert told(columns) == []


def visits(*, by: str, seed: int = 0) -> pa.Table:
    """Visits of people, whose times rise along the rows of each, or not."""
    draws = np.random.default_rng(seed)
    people = np.repeat(np.arange(120), draws.integers(1, 9, 120))
    times = np.datetime64("2026-01-01", "s") + draws.integers(0, 10**7, len(people))
    order = {"nothing": draws.permutation(len(people)), "time": np.argsort(times), "both": np.lexsort((times, people))}
    places = np.concatenate([np.arange(count) for count in np.bincount(people)]) + 1
    mails = np.array([f"person{number}@example.org" for number in people])
    columns = {"mail": mails, "time": times, "cost": draws.normal(50, 9, len(people)).round(2)}
    columns = {name: values[order[by]] for name, values in columns.items()}
    return pa.table({**columns, "visit": places} if by == "both" else columns)


def proposed(table: pa.Table, **settings: object) -> list[str]:
    """What the fit says of rows that are in an order."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gpuvgm.TableSynthesizer(threads=1, **settings).fit(table)
    return [str(warning.message) for warning in caught if "sequence_key" in str(warning.message)]


@pytest.mark.parametrize("by", ["time", "both"])
def test_keys_whose_rows_are_in_order_are_proposed(by: str) -> None:
    (text,) = proposed(visits(by=by))
    assert text.startswith('rows of "mail" are in the order of "time"')
    assert 'sequence_key="mail", sequence_index="time"' in text


def test_line_numbers_and_categories_are_proposed() -> None:
    table = visits(by="both")
    (text,) = proposed(table.drop_columns(["time"]))
    assert 'sequence_key="mail", sequence_index="visit"' in text
    years = pa.table(
        {"state": np.repeat([f"state {number}" for number in range(40)], 17), "year": np.tile(np.arange(17), 40)}
    )
    (text,) = proposed(years.append_column("value", pa.array(np.random.default_rng(0).normal(0, 1, 680))))
    assert 'sequence_key="state", sequence_index="year"' in text


def test_no_key_is_proposed_without_an_order_or_again() -> None:
    assert proposed(visits(by="nothing")) == []
    assert proposed(visits(by="both"), sequence_key="mail", sequence_index="time") == []
