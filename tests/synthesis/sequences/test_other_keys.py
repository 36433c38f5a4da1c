"""Keys of other things in rows that belong together: articles of an order's lines, and orders within a customer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError

ARTICLES = 60


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Lines of orders of customers; an article has a price and a group."""
    random, rows = np.random.default_rng(0), []
    prices, groups = random.lognormal(3, 1, ARTICLES).round(2), random.choice(list("xyz"), ARTICLES)
    order = 0
    for customer in range(250):
        day = int(random.integers(0, 300))
        for _ in range(1 + random.poisson(0.8)):
            order, day = order + 1, day + int(random.integers(1, 40))
            for line in range(1 + random.poisson(1.5)):
                article = int(random.integers(ARTICLES))
                of_article = f"A{article:04d}X", prices[article], groups[article]
                rows.append((f"C{customer:05d}", f"O{order:06d}", day, line + 1, *of_article, random.integers(1, 9)))
    return pd.DataFrame(rows, columns=["customer", "order", "day", "line", "article", "price", "group", "pieces"])


def test_an_article_has_one_price_in_all_rows_of_all_orders(lines: pd.DataFrame) -> None:
    made = gpuvgm.TableSynthesizer(
        columns={"article": {"key": True}, "customer": "drop"}, sequence_key="order", sequence_index="line"
    ).fit(lines)
    rows = made.sample(keys=400)
    by_article = rows.groupby("article")
    assert (by_article[["price", "group"]].nunique() == 1).all(axis=None)
    assert len(by_article) < len(rows) / 4
    assert not {*rows.article} & {*lines.article}
    again = made.sample(keys=20, first_key=100)
    pd.testing.assert_frame_equal(again, rows[rows.order.isin(again.order)].reset_index(drop=True))


def test_keys_within_keys_are_to_be_the_sequence_key(lines: pd.DataFrame) -> None:
    within = gpuvgm.TableSynthesizer(columns={"order": {"key": True}}, sequence_key="customer", sequence_index="day")
    with pytest.raises(InputError, match='rows of one "order" are of one "customer": give the finer key, sequence_key'):
        within.fit(lines)
    finer = gpuvgm.TableSynthesizer(columns={"customer": {"key": True}}, sequence_key="order", sequence_index="line")
    rows = finer.fit(lines).sample(500)
    assert (rows.groupby("order")[["customer", "day"]].nunique() == 1).all(axis=None)
    assert rows.groupby("customer").order.nunique().max() > 1
