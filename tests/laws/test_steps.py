"""Steps by category: whole yen among cents, laboratory values with as many decimal places as their code has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

import gpuvgm
from gpuvgm.errors import InputError

ROWS = 4_000


def bureau(random: np.random.Generator) -> pd.DataFrame:
    """Amounts of money; Swiss ones are paid in steps of five centimes."""
    currency = random.choice(["EUR", "JPY", "CHF", "USD"], ROWS, p=[0.4, 0.3, 0.2, 0.1])
    amount = random.lognormal(4, 1, ROWS)
    amount = np.select(
        [currency == "JPY", currency == "CHF"],
        [np.round(100 * amount), np.round(20 * amount) / 20],
        np.round(amount, 2),
    )
    return pd.DataFrame({"currency": currency, "amount": np.round(amount, 2), "desk": random.integers(1, 9, ROWS)})


def laboratory(random: np.random.Generator) -> pd.DataFrame:
    """Values with no, one or three decimal places; some are missing."""
    code = random.choice(["HB", "CRP", "TSH"], ROWS)
    value = np.select(
        [code == "HB", code == "CRP"], [random.normal(140, 15, ROWS).round(), random.gamma(2, 3, ROWS).round(1)]
    )
    value = np.where(code == "TSH", random.gamma(4, 0.5, ROWS).round(3), value)
    return pd.DataFrame({"code": code, "value": np.where(random.random(ROWS) < 0.1, np.nan, value)})


def packs(random: np.random.Generator) -> pd.DataFrame:
    """Whole numbers of pieces: cartons of 24, bags of 10, single ones."""
    unit = random.choice(["carton", "bag", "piece"], ROWS)
    size = np.select([unit == "carton", unit == "bag"], [24, 10], 1)
    return pd.DataFrame(
        {"unit": unit, "pieces": size * random.integers(1, 400, ROWS), "shop": random.integers(0, 99, ROWS)}
    )


Off = Callable[[pd.DataFrame], Any]


def off_steps(column: str, by: str, steps: dict[str, float]) -> Off:
    """How far numbers are from multiples of the steps of their categories."""

    def off(rows: pd.DataFrame) -> Any:
        multiples = rows[column] / rows[by].map(steps)
        return (multiples - multiples.round()).abs().max()

    return off


TRADES: list[tuple[Callable[[np.random.Generator], pd.DataFrame], str, Off]] = [
    (
        bureau,
        "currency -> steps(amount)",
        off_steps("amount", "currency", {"JPY": 1, "CHF": 0.05, "EUR": 0.01, "USD": 0.01}),
    ),
    (laboratory, "code -> steps(value)", off_steps("value", "code", {"HB": 1, "CRP": 0.1, "TSH": 0.001})),
    (packs, "unit -> steps(pieces)", off_steps("pieces", "unit", {"carton": 24, "bag": 10, "piece": 1})),
]


@pytest.mark.parametrize(("trade", "law", "off"), TRADES, ids=lambda one: getattr(one, "__name__", ""))
def test_samples_have_the_steps_of_their_categories(trade: Any, law: str, off: Off, reloaded: Any) -> None:
    table = trade(np.random.default_rng(1))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert law in fitted.fit_report_.laws
    rows = fitted.sample(3 * ROWS)
    assert off(table) < 1e-6 and off(rows) < 1e-6
    (by, _, name) = law.partition(" -> steps(")
    name = name.rstrip(")")
    assert abs(rows[name].isna().mean() - table[name].isna().mean()) < 0.03
    for category, part in table.groupby(by):
        assert ks_2samp(rows[rows[by] == category][name].dropna(), part[name].dropna()).statistic < 0.08
    declared = gpuvgm.TableSynthesizer(laws=[law]).fit(table)
    assert declared.laws_ == tuple(one for one in fitted.laws_ if str(one) == law)
    assert np.isfinite(fitted.score_samples(table)).all()
    step = fitted.transformer_.model_.by_name[name].codec.plain.spacing
    moved = table.assign(**{name: table[name] + step})
    assert np.isneginf(fitted.score_samples(moved)).mean() > 0.25


@pytest.mark.parametrize(
    ("trade", "law"), [trade[:2] for trade in TRADES], ids=lambda one: getattr(one, "__name__", "")
)
def test_steps_that_a_row_breaks_or_chance_makes_are_not_found(trade: Any, law: str) -> None:
    table = trade(np.random.default_rng(2))
    name = law.partition("steps(")[2].rstrip(")")
    for share in (0.02, 1.0):
        moved = table[name].sample(frac=1, random_state=1).to_numpy()
        wrong = table.assign(**{name: np.where(np.random.default_rng(3).random(ROWS) < share, moved, table[name])})
        assert law not in gpuvgm.TableSynthesizer().fit(wrong).fit_report_.laws


def test_a_late_row_refutes_them(caplog: pytest.LogCaptureFixture) -> None:
    many = pd.concat([bureau(np.random.default_rng(seed)) for seed in range(90)], ignore_index=True)
    many = many[many["currency"] != "CHF"].reset_index(drop=True)
    many.loc[many.index[many["currency"] == "JPY"][-1], "amount"] = 99.01
    fitted = gpuvgm.TableSynthesizer().fit(many)
    assert fitted.fit_report_.laws == ()
    assert "is broken by 1 row" in caplog.text


def test_conditions_merges_and_further_rows() -> None:
    table = bureau(np.random.default_rng(4))
    fitted = gpuvgm.TableSynthesizer().fit(table)
    off = TRADES[0][2]
    rows = fitted.sample(500, conditions={"currency": "JPY", "amount": (5_000, None)})
    assert (rows["currency"] == "JPY").all() and (rows["amount"] >= 5_000).all() and off(rows) < 1e-6
    rows = fitted.sample(500, conditions={"amount": (None, 20)})
    assert (rows["amount"] <= 20).all() and off(rows) < 1e-6
    other = gpuvgm.TableSynthesizer(like=fitted).fit(bureau(np.random.default_rng(5)))
    assert [law.holds for law in fitted.merge(other).laws_] == [True]
    wrong = table.assign(amount=table["amount"] + 0.01)
    assert [law.holds for law in gpuvgm.TableSynthesizer(like=fitted).fit(wrong).laws_] == [False]


def test_a_column_may_be_called_as_steps_are_written() -> None:
    """Both laws of one text are kept, and what is said of the text is said of the column's."""
    table = bureau(np.random.default_rng(6))
    steps = {"JPY": 1.0, "CHF": 0.05, "EUR": 0.01, "USD": 0.02}
    table["steps(amount)"] = table["currency"].map(steps)
    fitted = gpuvgm.TableSynthesizer().fit(table)
    names = {law.names for law in fitted.laws_ if str(law) == "currency -> steps(amount)"}
    assert names == {("currency", "amount"), ("currency", "steps(amount)")}
    rows = fitted.sample(ROWS)
    assert TRADES[0][2](rows) < 1e-6 and (rows["steps(amount)"] == rows["currency"].map(steps)).all()
    without = gpuvgm.TableSynthesizer(laws=["auto", "not currency -> steps(amount)"]).fit(table)
    assert ("currency", "amount") in {law.names for law in without.laws_}
    assert ("currency", "steps(amount)") not in {law.names for law in without.laws_}


def ledger(random: np.random.Generator) -> pd.DataFrame:
    """What was paid of bills, with fees: all in steps of their currency, in order and with a sum."""
    bills = bureau(random).drop(columns="desk")
    step = bills["currency"].map({"JPY": 1.0, "CHF": 0.05}).fillna(0.01)
    rounded = {"paid": bills["amount"] * random.uniform(0.2, 1.3, ROWS), "fee": step * random.integers(100, 900, ROWS)}
    bills = bills.assign(**{name: (np.round(numbers / step) * step).round(2) for name, numbers in rounded.items()})
    bills["paid"] = bills[["paid", "amount"]].min(axis=1)
    return bills.assign(total=(bills["amount"] + bills["fee"]).round(2))


def test_columns_in_order_and_sums_have_steps(reloaded: Any) -> None:
    table = ledger(np.random.default_rng(7))
    fitted = reloaded(gpuvgm.TableSynthesizer(random_state=0).fit(table))
    assert {"currency -> steps(paid)", "paid <= amount"} <= {*fitted.fit_report_.laws}
    rows = fitted.sample(2 * ROWS)
    assert max(TRADES[0][2](rows.assign(amount=rows[name])) for name in ("amount", "paid", "total", "fee")) < 1e-6
    assert (rows["paid"] <= rows["amount"]).all()
    assert np.allclose(rows["amount"] + rows["fee"], rows["total"])
    assert np.isfinite(fitted.score_samples(table)).all()
    rows = fitted.sample(300, conditions={"currency": "CHF", "amount": (100, None)})
    assert (rows["amount"] >= 100).all() and TRADES[0][2](rows) < 1e-6 and (rows["paid"] <= rows["amount"]).all()


def test_few_persons_show_no_step() -> None:
    """Of four customers' amounts in a currency a table says nothing."""
    table = bureau(np.random.default_rng(6)).assign(customer=np.arange(ROWS) % 700 + 10**7)
    table.loc[table["currency"] == "CHF", "customer"] = np.arange((table["currency"] == "CHF").sum()) % 4 + 10**7
    (law,) = gpuvgm.TableSynthesizer({"customer": {"key": True}}).fit(table).laws_
    assert str(law) == "currency -> steps(amount)" and [*law.values] == [100.0]


@pytest.mark.parametrize(
    ("law", "why"),
    [
        ("amount -> steps(currency)", "has not up to 64 categories"),
        ("desk -> steps(currency)", "has no numbers with a step"),
        ("desk -> steps(amount)", 'no category of "desk" has a longer step'),
    ],
)
def test_what_has_no_steps_is_refused(law: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        gpuvgm.TableSynthesizer(laws=[law]).fit(bureau(np.random.default_rng(7)))


def test_numbers_beyond_whole_ones_have_no_steps() -> None:
    """Of the largest floats nobody can say what they are multiples of."""
    random = np.random.default_rng(8)
    kind = random.choice(["a", "b", "c"], ROWS)
    large = np.select(
        [kind == "a", kind == "b"], [10.0 ** random.integers(15, 300, ROWS), 3.0 * random.integers(1, 99, ROWS)], 7
    )
    fitted = gpuvgm.TableSynthesizer().fit({"kind": kind, "x": large + random.integers(0, 2, ROWS)})
    assert fitted.sample(100)["x"].shape == (100,)
