"""Laws of columns that are 0 in some rows instead: discounts of members, fees that are waived, orders not yet paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError

LAWS = {
    "price * pieces = goods",
    "goods - discount + shipping = total",
    "0.1 * goods or 0 = discount",
    "total / 6.26316 or 0 = vat",
    "max(0.5, 0.014 * total) or 0 = fee",
    "total or 0 = paid",
    "floor(goods) or 0 = points",
}


def _orders(rows: int = 3000) -> pd.DataFrame:
    """Members have a discount and points, what is canceled or open is not paid, and some orders bear no tax."""
    random = np.random.default_rng(5)
    price, pieces = random.gamma(4, 10, rows).round(2), random.integers(1, 6, rows)
    goods, member = (price * pieces).round(2), random.random(rows) < 0.3
    discount = np.where(member & (goods > 50), (0.1 * goods).round(2), 0)
    shipping = random.choice([3.9, 5.9], rows)
    total = (goods - discount + shipping).round(2)
    status = random.choice(["paid", "open", "canceled"], rows, p=[0.7, 0.2, 0.1])
    return pd.DataFrame(
        {
            "price": price,
            "pieces": pieces,
            "goods": goods,
            "member": member,
            "discount": discount,
            "shipping": shipping,
            "total": total,
            "status": status,
            "paid": np.where(status == "paid", total, 0),
            "fee": np.where(status == "paid", np.maximum(0.5, 0.014 * total).round(2), 0),
            "vat": np.where(random.random(rows) < 0.1, 0, (total * 0.19 / 1.19).round(2)),
            "points": np.where(member, np.floor(goods), 0),
        }
    )


def _off(rows: pd.DataFrame) -> dict[str, float]:
    """How far columns are from what their laws say at most, where they are not 0."""
    expected = {
        "discount": 0.1 * rows.goods,
        "paid": rows.total,
        "fee": (0.014 * rows.total).clip(lower=0.5),
        "vat": rows.total * 0.19 / 1.19,
        "points": np.floor(rows.goods),
    }
    return {name: float((rows[name] - values)[rows[name] != 0].abs().max()) for name, values in expected.items()}


@pytest.fixture(scope="module", name="table")
def table_of_orders() -> pd.DataFrame:
    return _orders()


@pytest.fixture(scope="module", name="fitted")
def fitted_orders(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer().fit(table)


def test_laws_with_zeros_are_found_and_kept(table: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    laws = {str(law): law for law in fitted.laws_}
    assert {*laws} >= LAWS - {"goods - discount + shipping = total", "floor(goods) or 0 = points"}
    assert all(law.or_zero == (" or 0 = " in text) for text, law in laws.items())
    assert all([*law.forms] == [law] for law in laws.values() if law.or_zero)
    rows = fitted.sample(4000)
    assert max(_off(rows).values()) <= 0.0051 and max(_off(table).values()) <= 0.0051
    for name in _off(rows):
        assert (rows[name] == 0).mean() == pytest.approx((table[name] == 0).mean(), abs=0.04)
    assert ((rows.paid > 0) == (rows.status == "paid")).mean() > 0.99
    assert (rows.member | (rows.discount == 0)).mean() > 0.99


def test_stored_laws_have_zeros(fitted: gpuvgm.TableSynthesizer, reloaded: Any) -> None:
    again = reloaded(fitted)
    assert again.laws_ == fitted.laws_
    pd.testing.assert_frame_equal(again.sample(500), fitted.sample(500))


def test_laws_with_zeros_are_scored(table: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    rows = table.head(200)
    scores = fitted.score_samples(rows)
    assert np.isfinite(scores).all()
    changed = rows.assign(paid=np.where(rows.paid > 0, (rows.paid + 1).round(2), 0))
    assert (np.isfinite(fitted.score_samples(changed)) == (rows.paid == 0)).all()


def test_one_row_breaks_a_law_with_zeros(table: pd.DataFrame) -> None:
    table = table.copy()
    table.loc[17, "paid"] = 1.23
    laws = {*map(str, gpuvgm.TableSynthesizer().fit(table).laws_)}
    assert "total or 0 = paid" not in laws and "0.1 * goods or 0 = discount" in laws


def test_laws_with_zeros_are_declared(table: pd.DataFrame) -> None:
    names = ["goods", "discount", "total"]
    for text in ("0.1 * goods or 0 = discount", "discount = 0.1 * goods or 0"):
        fitted = gpuvgm.TableSynthesizer(laws=[text]).fit(table[names])
        assert [*map(str, fitted.laws_)] == ["0.1 * goods or 0 = discount"]
    renamed = table[names].rename(columns={"discount": "less or 0"})
    fitted = gpuvgm.TableSynthesizer(laws=['0.1 * goods or 0 = "less or 0"']).fit(renamed)
    rows = fitted.sample(500)
    assert ((rows["less or 0"] - 0.1 * rows.goods).abs()[rows["less or 0"] != 0] <= 0.0051).all()
    with pytest.raises(InputError, match="is no law"):
        gpuvgm.TableSynthesizer(laws=["discount or 0 <= goods"]).fit(table[names])


def test_categories_are_zero_instead() -> None:
    """Columns of few different numbers are categories; a fee for each unit is waived for some."""
    random = np.random.default_rng(1)
    units, rate = random.integers(1, 7, 2000), random.choice([5, 7], 2000)
    waived = random.random(2000) < 0.4
    table = pd.DataFrame({"units": units, "rate": rate, "fee": np.where(waived, 0, rate * units), "waived": waived})
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert fitted.transformer_.columns_["fee"].kind == "categorical"
    assert "units * rate or 0 = fee" in map(str, fitted.laws_)
    rows = fitted.sample(1000)
    assert ((rows.fee == 0) | (rows.fee == rows.rate * rows.units)).all()
    assert ((rows.fee == 0) == rows.waived).mean() > 0.99


@pytest.mark.parametrize("condition", [{"status": "paid"}, {"paid": 0}, {"total": (100, 200)}])
def test_conditions_beside_zeros(condition: dict[str, Any], fitted: gpuvgm.TableSynthesizer) -> None:
    rows = fitted.sample(300, conditions=condition)
    assert max(off for off in _off(rows).values() if off == off) <= 0.0051
    if "paid" in condition:
        assert (rows.paid == 0).all() and (rows.status != "paid").mean() > 0.98
