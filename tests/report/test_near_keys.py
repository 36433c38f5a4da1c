"""Keys that repeat original ones: by what they are described, and which answer is told."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm.report import near_keys as judge
from gpuvgm.report.near import NearRows
from gpuvgm.report.near_keys import near_keys
from gpuvgm.report.sequences import RowFeatures, WholeKeys

KEYS = 400


def bookings(seed: int, keys: int = KEYS) -> RowFeatures:
    """Amounts and channels of accounts; those of each have a level of their own."""
    random = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(keys), 1 + random.poisson(4, keys))
    amounts = random.lognormal(random.normal(4, 1, keys)[numbers], 0.3).round(2)
    return WholeKeys.all_of(numbers), {("amount", ""): amounts, ("channel", ""): random.integers(0, 6, len(numbers))}


def test_copies_are_told_and_other_keys_are_not() -> None:
    original, other, held_out = bookings(0), bookings(1), bookings(2)
    honest = near_keys([original, other, held_out], are_ordered=True)
    assert isinstance(honest, NearRows)
    assert not honest.stand_out
    assert honest.rows == honest.synthetic_rows == KEYS
    assert honest.held_out_share is not None
    copied = near_keys([original, original, held_out], are_ordered=True)
    assert not isinstance(copied, NearRows)  # exactly is said where small changes add nothing
    assert copied.share == 1
    assert copied.stand_out
    rows, values = original
    moved = near_keys([original, (rows, {**values, ("amount", ""): values["amount", ""] + 0.01})], are_ordered=True)
    assert isinstance(moved, NearRows)
    assert moved.stand_out
    assert moved.share > 0.9


def test_the_order_of_rows_counts_only_where_it_says_something() -> None:
    rows, values = bookings(0)
    random = np.random.default_rng(3)
    shuffled = rows.sorted_by(random.random(len(rows.keys)))
    copies = shuffled, {name: of_rows[shuffled.places] for name, of_rows in values.items()}
    assert near_keys([(rows, values), copies], are_ordered=False).share > 0.9
    assert near_keys([(rows, values), copies], are_ordered=True).share < 0.9
    columns = near_keys([(rows, values), copies], are_ordered=False).columns
    assert {"number of rows", "mean of amount", "span of amount", "most frequent value of channel"} <= {*columns}
    assert not {"first value of amount", "last value of amount", "changes of channel"} & {*columns}


def test_keys_described_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [bookings(0), bookings(1, 90), bookings(2, 70)]
    whole = near_keys(tables, are_ordered=True)
    monkeypatch.setattr(judge, "KEYS_AT_ONCE", 7)
    assert near_keys(tables, are_ordered=True) == whole


def test_keys_that_little_tells_apart_are_compared_exactly() -> None:
    """Anyone's keys would be near: nothing but a number of rows is known of them."""
    rows = WholeKeys.all_of(np.repeat(np.arange(60), np.arange(60) % 3 + 1))
    found = near_keys([(rows, {}), (rows, {})], are_ordered=False)
    assert not found.stand_out


def test_rows_without_a_key_belong_to_none() -> None:
    rows = WholeKeys.all_of(np.array([7, -1, 3, 7, -1, 3, 3]))
    assert rows.keys.tolist() == [0, 0, 0, 1, 1]
    assert rows.places.tolist() == [2, 5, 6, 0, 3]
