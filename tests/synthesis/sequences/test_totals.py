"""Sums over the rows of a key to which its keys add something: what is paid for sending, vouchers, taxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm

ORDERS = 250


def orders(kind: str) -> pd.DataFrame:
    """Lines of orders, whose total is made of what they cost and of something else."""
    random = np.random.default_rng(1)
    order = np.repeat(np.arange(ORDERS), 1 + random.poisson(1.5, ORDERS))
    net = random.lognormal(3, 0.6, len(order)).round(2)
    goods = pd.Series(net).groupby(order).sum().round(2).to_numpy()
    of_orders = {
        "sending": lambda: {"sending": (added := random.choice([0, 4.9, 9.9], ORDERS)), "total": goods + added},
        "voucher": lambda: {"voucher": (off := random.uniform(0, 5, ORDERS).round(2)), "total": goods - off},
        "tax": lambda: {"goods": goods, "tax": (tax := (0.2 * goods).round(2)), "total": goods + tax},
    }[kind]()
    return pd.DataFrame(
        {"order": 1000 + order, "net": net, **{name: of.round(2)[order] for name, of in of_orders.items()}}
    )


@pytest.mark.parametrize(
    ("kind", "laws"),
    [
        ("sending", "total = sum(net) + sending"),
        ("voucher", "total = sum(net) - voucher"),
        ("tax", "goods = sum(net)"),  # the total is the sum of two columns of the order
    ],
)
def test_totals_of_sums_and_something_else(kind: str, laws: str, tmp_path: Path) -> None:
    table = orders(kind)
    synthesizer: Any = gpuvgm.TableSynthesizer(sequence_key="order", random_state=0, threads=1).fit(table)
    assert [str(law) for law in synthesizer._model.totals] == [laws]
    synthesizer.save(tmp_path / "orders.gpuvgm")
    of_orders = gpuvgm.load(tmp_path / "orders.gpuvgm").sample(keys=300).groupby("order")
    net, of_keys = of_orders.net.sum(), of_orders.first()
    added = {"sending": 1, "voucher": -1, "tax": 1}[kind] * of_keys[kind]
    np.testing.assert_allclose(of_keys.total, net + added, atol=0.005)
    if kind == "tax":
        np.testing.assert_allclose(of_keys.tax, 0.2 * of_keys.goods, atol=0.0051)


def test_totals_on_coarser_steps_are_the_sums_of_their_rows() -> None:
    """Bills of five cents and more, paid in parts of cents: one part takes what rounding adds."""
    random = np.random.default_rng(6)
    rows = []
    for bill in range(400):
        total = round(0.05 * int(random.lognormal(8, 0.6)), 2)
        shares = random.dirichlet(np.ones(1 + random.poisson(1)) * 5)
        parts = (total * shares).round(2)
        parts[0] = round(total - parts[1:].sum(), 2)
        rows += [(f"B{bill:05}", total, round(float(part), 2)) for part in parts]
    table = pd.DataFrame(rows, columns=["bill", "total", "paid"])
    synthesizer = gpuvgm.TableSynthesizer(sequence_key="bill", threads=1).fit(table)
    assert "total = sum(paid)" in str(synthesizer)
    bills = synthesizer.sample(keys=500).groupby("bill")
    assert np.allclose(bills.paid.sum(), bills.total.first(), atol=0.001, rtol=0)
    assert np.allclose(np.rint(bills.total.first() / 0.05) * 0.05, bills.total.first(), atol=0.001, rtol=0)
