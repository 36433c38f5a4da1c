"""Orders and their lines for measurements at size."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import databases_large as benchmark, sequences_large


def test_lines_refer_to_orders_whose_totals_they_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences_large, "BLOCK_ORDERS", 50)
    benchmark.write(str(tmp_path), "100", "both")
    orders, lines = (pd.read_parquet(tmp_path / path) for path in benchmark.TABLES.values())
    assert orders.order.is_unique
    assert not lines.order.is_monotonic_increasing
    totals = lines.groupby("order").net.sum().reindex(orders.order)
    pd.testing.assert_series_equal(totals.reset_index(drop=True), orders.total, check_names=False)


def test_lines_have_articles_of_their_own_category(tmp_path: Path) -> None:
    benchmark.write(str(tmp_path), "500", "articles")
    orders, lines, articles = (pd.read_parquet(tmp_path / path) for path in benchmark.STAR.values())
    beside = lines.merge(articles, left_on="article", right_on="id").merge(orders, on="order")
    assert len(beside) == len(lines)
    assert ((beside.price * beside.pieces).round(2) == beside.net).all()
    totals = lines.groupby("order").net.sum().reindex(orders.order)
    pd.testing.assert_series_equal(totals.reset_index(drop=True), orders.total, check_names=False)
    assert beside.groupby("channel").category.nunique().max() == 4  # each channel sells some of them


def test_costs_are_compared_with_those_of_both_tables() -> None:
    alone = {
        name: sequences_large.Cost(seconds, 0, 0, 0) for name, seconds in (("orders", 1), ("lines", 3), ("rows", 2))
    }
    needed = benchmark.figures("fit", {"orders": 10, "lines": 50}, sequences_large.Cost(6, 0, 0, 0), alone)
    assert (needed["to_alone"], needed["to_plain"]) == (1.5, 2)
