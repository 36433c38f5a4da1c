"""Keys that repeat original ones: by what they are described, and which answer is told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.report import near_keys as judge
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
    honest = near_keys([original, other, held_out], "account", are_ordered=True)
    assert honest.bins and honest.how == "but for small changes"
    assert not honest.stand_out
    assert honest.rows == honest.synthetic_rows == KEYS
    assert honest.held_out_share is not None
    copied = near_keys([original, original, held_out], "account", are_ordered=True)
    assert not copied.bins and copied.how == "exactly"  # exactly is said where small changes add nothing
    assert copied.share == 1
    assert copied.stand_out
    rows, values = original
    moved = near_keys(
        [original, (rows, {**values, ("amount", ""): values["amount", ""] + 0.01})], "account", are_ordered=True
    )
    assert moved.bins
    assert moved.stand_out
    assert moved.share > 0.9


def test_the_order_of_rows_counts_only_where_it_says_something() -> None:
    rows, values = bookings(0)
    random = np.random.default_rng(3)
    shuffled = rows.sorted_by(random.random(len(rows.keys)))
    copies = shuffled, {name: of_rows[shuffled.places] for name, of_rows in values.items()}
    assert near_keys([(rows, values), copies], "account", are_ordered=False).share > 0.9
    assert near_keys([(rows, values), copies], "account", are_ordered=True).share < 0.9
    columns = near_keys([(rows, values), copies], "account", are_ordered=False).columns
    assert {"number of rows", "mean of amount", "span of amount", "most frequent value of channel"} <= {*columns}
    assert not {"first value of amount", "last value of amount", "changes of channel"} & {*columns}


def test_keys_described_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [bookings(0), bookings(1, 90), bookings(2, 70)]
    whole = near_keys(tables, "account", are_ordered=True)
    monkeypatch.setattr(judge, "KEYS_AT_ONCE", 7)
    assert near_keys(tables, "account", are_ordered=True) == whole


def test_keys_that_little_tells_apart_are_compared_exactly() -> None:
    """Anyone's keys would be near: nothing but a number of rows is known of them."""
    rows = WholeKeys.all_of(np.repeat(np.arange(60), np.arange(60) % 3 + 1))
    found = near_keys([(rows, {}), (rows, {})], "account", are_ordered=False)
    assert not found.stand_out


def test_rows_without_a_key_belong_to_none() -> None:
    rows = WholeKeys.all_of(np.array([7, -1, 3, 7, -1, 3, 3]))
    assert rows.keys.tolist() == [0, 0, 0, 1, 1]
    assert rows.places.tolist() == [2, 5, 6, 0, 3]


ACCOUNTS = 300


def booked(seed: int, first: int = 0) -> pd.DataFrame:
    """Bookings of accounts, by time; each account has a level of its own."""
    random = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(ACCOUNTS), 1 + random.poisson(4, ACCOUNTS))
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(random.integers(0, 365 * 24 * 60, len(numbers))), "min")
    rows = pd.DataFrame(
        {
            "account": [f"A{first + number:05d}" for number in numbers],
            "booked": days,
            "amount": random.lognormal(random.normal(4, 1, ACCOUNTS)[numbers], 0.3).round(2),
            "channel": random.choice(["desk", "phone", "web"], len(numbers)),
        }
    )
    return rows.sort_values(["account", "booked"], ignore_index=True)


def moved(rows: pd.DataFrame, share: float) -> pd.DataFrame:
    """Accounts with new numbers; of a share of them all times and amounts are a little others, the rest are new."""
    copies = rows.assign(
        account="B" + rows.account.str.slice(1),
        booked=rows.booked + pd.Timedelta(minutes=7),
        amount=rows.amount * 1.0005,
    )
    taken = copies.account.str.slice(1).astype(int) < share * ACCOUNTS
    others = booked(7, ACCOUNTS)
    return pd.concat([copies[taken], others[others.account >= f"A{int((1 + share) * ACCOUNTS):05d}"]])


@pytest.fixture(scope="module")
def sequences() -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="booked", hold_out=0.3).fit(booked(0))


def test_an_account_that_is_copied_under_a_new_number_is_told(sequences: gpuvgm.TableSynthesizer) -> None:
    """Whose rows these are no single row may say: the keys are new, and each row is a common one."""
    rows, transformer = booked(0), sequences.transformer_
    honest = sequences.evaluate(rows)
    assert honest.near_keys is not None and not honest.near_keys.stand_out
    assert honest.near_keys not in honest.repeated and honest.near_keys.text in " ".join(honest.to_text().split())
    found = transformer.evaluate(rows, compare=moved(rows, 0.3))
    keys = found.near_keys
    assert keys.stand_out and keys.key == "account" and keys.bins
    assert "amount" in {column.rpartition(" ")[2] for column in keys.columns} and "account" not in keys.columns
    assert 0.15 < keys.share < 0.35 and keys.held_out_share < 0.02
    assert "repeat an original account with all of its rows but for small changes" in keys.text
    assert "of the original keys so" in keys.text and "of the other half's keys and " in keys.text
    document = json.loads(json.dumps(found.to_dict()))["near_keys"]
    assert document["key"] == "account" and document["stand_out"] and document["share"] == keys.share


def test_the_verdict_and_the_page_tell_of_keys(sequences: gpuvgm.TableSynthesizer) -> None:
    rows = booked(0)
    found = sequences.transformer_.evaluate(rows, compare=moved(rows, 0.3))
    only_keys = replace(found, near=None, combinations=())
    assert only_keys.repeated[-1] == found.near_keys
    assert found.near_keys.share_text in only_keys.verdict
    page = only_keys.to_html()
    assert found.near_keys.REMEDY in page and found.near_keys.TITLE in page


def test_rows_without_keys_have_no_near_keys() -> None:
    rows = booked(0)
    plain = rows.drop(columns="account")
    found = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(plain).evaluate(plain, compare=plain)
    assert found.near_keys is None and "near_keys" not in found.to_dict()
    few = rows[rows.account < "A00015"]
    transformer = gpuvgm.TableTransformer({"account": {"key": True}}, effort="research", max_iter=5).fit(rows)
    assert transformer.evaluate(rows, compare=few).near_keys is None
    blank = rows.assign(account=rows.account.where(np.arange(len(rows)) % 2 == 0, None))
    keys = transformer.evaluate(rows, compare=blank).near_keys
    assert keys.synthetic_rows == blank.account.nunique()  # rows without a key are no keys
