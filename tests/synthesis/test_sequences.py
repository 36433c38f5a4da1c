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
