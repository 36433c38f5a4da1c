"""Tables of orders for measurements at size: their rows, and each stage once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import sequences_large as benchmark

ROWS = 3_000


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, pd.DataFrame]:
    monkeypatch.setattr(benchmark, "BLOCK_ORDERS", 250)
    for kind in ("sorted", "unsorted"):
        benchmark.write(str(tmp_path / f"{kind}.parquet"), kind, str(ROWS))
    in_order, in_any_order = (pd.read_parquet(tmp_path / f"{kind}.parquet") for kind in ("sorted", "unsorted"))
    return in_order, in_any_order


def test_both_files_have_the_same_lines_of_whole_orders(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    in_order, in_any_order = tables
    assert ROWS <= len(in_order) < ROWS + 40
    assert not in_any_order.order.is_monotonic_increasing
    pd.testing.assert_frame_equal(in_any_order.sort_values(["order", "line"], ignore_index=True), in_order)
    of_orders = in_order.groupby("order", sort=False)
    assert (in_order.line == of_orders.cumcount() + 1).all()
    assert of_orders.time.is_monotonic_increasing.all()
    pd.testing.assert_series_equal(of_orders.net.sum(), of_orders.total.first(), check_names=False)


def test_stages_fit_and_sample(tables: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    table, model, sample = (str(tmp_path / name) for name in ("unsorted.parquet", "orders.gpuvgm", "sample.parquet"))
    benchmark.fit(table, model, "order")
    benchmark.sample(model, "500", sample)
    rows = pd.read_parquet(sample)
    assert list(rows) == list(tables[0])
    assert len(rows) == 500
    assert rows.order.is_unique is False


def test_costs_are_those_of_the_process(tmp_path: Path) -> None:
    cost = benchmark.cost(tmp_path, "write", "orders.parquet", "sorted", 100)
    assert (tmp_path / "orders.parquet").is_file()
    assert 0 < cost.processor_seconds
    assert cost.peak_memory > 1 << 20
    assert cost.temporary_bytes == 0


def test_a_long_key_is_among_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "LONG_KEY", 700)
    monkeypatch.setattr(benchmark, "SHORT_KEYS", 10)
    (counts,) = benchmark.counts_with_long_key()
    assert len(counts) == 11
    assert counts[5] == counts.max() == 700
