"""Fits of more rows than are held in memory: learnt of some keys, counted of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.execution import any_source
from gpuvgm.synthesis.sampling import RowDrawer
from gpuvgm.synthesis.sequences import learning, source
from gpuvgm.synthesis.sequences.model import layout_of
from gpuvgm.synthesis.sequences.sorting import RowOrder, sorted_by
from gpuvgm.synthesis.sequences.source import KeySample, SortedRows
from tests.synthesis.sequences.trades import bookings


@pytest.fixture
def few_rows_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if hardly any rows could be held."""
    monkeypatch.setattr(source, "MOST_HELD", 100)
    monkeypatch.setattr(learning, "SAMPLE_ROWS", 900)
    monkeypatch.setattr(source, "KEY_ROWS", 300)


def test_all_rows_are_counted(few_rows_fit: None, tmp_path: Path) -> None:
    table = bookings(300, 0).sample(frac=1, random_state=0).reset_index(drop=True)
    column: Any = gpuvgm.TableTransformer({"account": {"key": True}}).fit(table[["account"]]).columns_["account"]
    accounts = table.account.unique()
    # The last keys by their hashes have a usual category, and missing values, which the sample has not.
    rare = accounts[np.argsort(column.hashes(pa.array(accounts, pa.string())))][-3:]
    table.loc[table.account.isin(rare), "sort"] = "cheque"
    table.loc[table.account.isin(rare[:1]), "booked"] = None
    table.to_parquet(tmp_path / "rows.parquet")
    fitted: Any = gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="number", threads=1)
    rows = fitted.fit(tmp_path / "rows.parquet").sample(keys=300, seed=0).to_pandas()
    model = fitted._model
    assert model.keys.network.counts.rows == 300
    assert model.steps.network.counts.rows == len(table)
    assert not rows.account.isin(table.account).any()
    before = rows.groupby("account", sort=False).balance.shift()
    np.testing.assert_allclose((before + rows.amount)[before.notna()], rows.balance[before.notna()], atol=1e-6)
    assert (rows.number == rows.groupby("account", sort=False).cumcount() + 1).all()
    frame: Any = gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="number", threads=1).fit(table)
    pd.testing.assert_frame_equal(frame.sample(200, seed=0), fitted.sample(200, seed=0).to_pandas())


def test_ends_of_blocks_change_nothing(few_rows_fit: None, monkeypatch: pytest.MonkeyPatch) -> None:
    table, samples = bookings(300, 0), list[pd.DataFrame]()
    for rows in (300, 130):
        monkeypatch.setattr(source, "KEY_ROWS", rows)
        fitted = gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="number", threads=1).fit(table)
        samples.append(fitted.sample(500, seed=0))
    pd.testing.assert_frame_equal(*samples)


def test_numbers_that_rise_are_compared_with_those_of_one_origin(
    few_rows_fit: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows have other origins of times than the table: else none would seem to rise, and all be drawn again."""
    table = bookings(300, 0).assign(booked=lambda rows: rows.booked + pd.Timedelta(minutes=1) * rows.number)
    fitted: Any = gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="number", threads=1).fit(table)
    model, drawn, draw = fitted._model, list[int](), RowDrawer.rows

    def counted(drawer: RowDrawer, numbers: Any, *given: Any) -> Any:
        drawn.append(len(numbers))
        return draw(drawer, numbers, *given)

    monkeypatch.setattr(RowDrawer, "rows", counted)
    rows = fitted.sample(keys=100, seed=0)
    one = pa.array(table.booked[:1])
    assert model.columns["booked"].all_numbers(one) != model.steps.columns["booked"].all_numbers(one)
    assert "booked" in [rise.column for rise in model.plan.rising]
    assert rows.groupby("account").booked.is_monotonic_increasing.all()
    assert sum(drawn) < 2 * model.layout.rows


def test_the_last_key_may_have_one_row(few_rows_fit: None) -> None:
    table = bookings(300, 0).sort_values(["account", "number"], ignore_index=True)
    last = pd.DataFrame([{**table.iloc[0].to_dict(), "account": "DE999999"}])
    table = pd.concat([table, last], ignore_index=True)
    table.loc[table.account == table.account[0], "number"] += 1  # the place of a row does not say it
    fitted: Any = gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="number", threads=1).fit(table)
    assert fitted._model.plan.moving
    assert fitted._model.steps.network.counts.rows == len(table)


def test_rows_in_some_order_of_keys_are_learnt_as_sorted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not sorted into files, but in memory if they are few."""
    of_keys: Any = {"sequence_key": "account", "sequence_index": "number", "threads": 1}
    expected = gpuvgm.TableSynthesizer(**of_keys).fit(bookings(200, 0)).sample(keys=200)
    monkeypatch.setattr(source, "MOST_HELD", 100)
    sample = gpuvgm.TableSynthesizer(**of_keys).fit(bookings(200, 0)).sample(keys=200)
    pd.testing.assert_frame_equal(sample, expected)


def test_rows_are_cut_between_keys() -> None:
    table = bookings(40, 0)
    key = gpuvgm.TableTransformer({"account": {"key": True}}).fit(table[["account"]]).columns_["account"]
    with sorted_by(any_source(table), "account", "number") as source:
        rows = SortedRows(source, "account")
        pieces = [*rows.of_keys(["account", "number"], lambda piece: piece)]
        sample = KeySample.of(rows, RowOrder("account", "number"), key, 50)
    assert sum(piece.table.num_rows for piece in pieces) == len(table)
    assert sample.source is rows
    assert 50 <= sample.rows.table.num_rows < 100
    sizes = table.groupby("account").size().value_counts()
    assert dict(sample.counts) == sizes.to_dict()


def test_numbers_of_rows_of_few_keys_are_in_groups() -> None:
    layout = layout_of({2: 1, 7: 1, 9: 2, 12: 40}, "key")
    assert (layout.sizes, layout.keys) == ((12,), (44,))
    layout = layout_of({1: 50, 20: 2, 30: 2, 40: 2}, "key")
    assert (layout.sizes, layout.keys) == ((1, 30), (50, 6))
    assert layout.rows == 230
    assert layout_of({3: 2, 4: 2}, "key").keys == (4,)
