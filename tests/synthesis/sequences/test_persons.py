"""Whose rows of keys are: those of one customer's orders are one person's, however many orders these are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm

OFTEN = 777.77  # what one customer pays in each line of 300 orders
CUSTOMERS = 400


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Lines of orders of customers, of whom the first has as many orders as a quarter of the others."""
    random = np.random.default_rng(0)
    rows, order = list[Any](), 500_000
    for customer in range(CUSTOMERS):
        for _ in range(300 if customer == 0 else random.poisson(3)):
            order += 3
            for number in range(1 + random.poisson(1)):
                price = OFTEN if customer == 0 else round(float(random.lognormal(3, 1)), 2)
                rows.append((f"O-{order}", f"C-{20_000 + 7 * customer}", number + 1, price))
    return pd.DataFrame(rows, columns=["order", "customer", "number", "price"])


def fitted(lines: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer(sequence_key="order", sequence_index="number").fit(lines)


def test_what_one_customer_has_in_many_orders_is_not_drawn_by_its_count(lines: pd.DataFrame, tmp_path: Path) -> None:
    assert (lines.price == OFTEN).mean() > 0.15
    synthesizer = fitted(lines)
    rows = synthesizer.sample(len(lines))
    assert (rows.price == OFTEN).mean() < 0.01
    assert rows.groupby("order").customer.nunique().max() == 1 and not {*rows.customer} & {*lines.customer}
    synthesizer.save(tmp_path / "lines.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "lines.gpuvgm")
    assert loaded.sample(500, seed=1).equals(synthesizer.sample(500, seed=1))


def test_what_many_customers_have_is_drawn_by_its_count(lines: pd.DataFrame) -> None:
    shuffled = lines.assign(price=np.random.default_rng(1).permutation(lines.price))
    rows = fitted(shuffled).sample(len(lines))
    assert (rows.price == OFTEN).mean() == pytest.approx((lines.price == OFTEN).mean(), abs=0.03)


def test_keys_of_customers_are_added(lines: pd.DataFrame) -> None:
    first = fitted(lines)
    again = gpuvgm.TableSynthesizer(like=first).fit(lines.assign(order="P" + lines.order.str[1:]))
    rows = first.merge(again).sample(500)
    assert (rows.price == OFTEN).mean() < 0.01 and rows.customer.notna().all()
