"""Conditions where keys have attributes: rows are those of a sample without conditions that meet them."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from sklearn.base import clone

import gpuvgm
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InferenceWarning, InputError
from gpuvgm.synthesis.drawing import conditioned, filtered as filtering
from gpuvgm.synthesis.sampling.conditions import sampler_under
from tests.conftest import native_names
from tests.synthesis.test_attributes import bank as accounts

ROWS, CUSTOMERS = 12_000, 900
ATTRIBUTES = ["born", "city", "segment"]


def bookings() -> pd.DataFrame:
    """Bookings of customers: transfers in office hours, amounts and kinds by segment, and a fee of each."""
    random = np.random.default_rng(17)
    weights = random.lognormal(0, 0.8, CUSTOMERS)
    who = random.choice(CUSTOMERS, ROWS, p=weights / weights.sum())
    place = random.choice(3, CUSTOMERS, p=[0.6, 0.15, 0.25])
    city = random.choice(["Bern", "Basel", "Zug", "Chur", "Thun"], CUSTOMERS, p=[0.3, 0.3, 0.2, 0.1, 0.1])
    age = random.integers(np.array([25, 35, 18])[place], np.array([90, 70, 30])[place])
    born = np.datetime64("2025-01-01") - (age * 365 + random.integers(0, 365, CUSTOMERS)).astype("m8[D]")
    shares = np.array([[0.6, 0.3, 0.1], [0.2, 0.75, 0.05], [0.8, 0.1, 0.1]])[place[who]]
    kind = (random.random(ROWS)[:, None] > np.cumsum(shares, axis=1)[:, :2]).sum(axis=1)
    days = pd.date_range("2023-01-01", periods=731, freq="D")
    working = random.choice(days[days.day_of_week < 5].to_numpy(), ROWS)
    day = np.where(kind == 1, working, random.choice(days.to_numpy(), ROWS)).astype("M8[s]")
    hour = np.choose(
        kind, [random.normal(15, 3, ROWS).clip(7, 23.9), random.uniform(8, 18, ROWS), random.uniform(6, 23, ROWS)]
    )
    amount = random.lognormal(np.where(kind == 1, 5, 3) + np.where(place[who] == 1, 1.5, 0), 0.7).round(2)
    fee = random.integers(0, 5, ROWS) / 4
    return pd.DataFrame(
        {
            "customer": np.array([f"C-{number:06d}" for number in random.choice(10**6, CUSTOMERS, replace=False)])[who],
            "born": born[who],
            "city": city[who],
            "segment": np.array(["private", "business", "student"])[place[who]],
            "booked": day + (hour * 3600).astype(np.int64).astype("m8[s]"),
            "kind": np.array(["card", "transfer", "cash"])[kind],
            "amount": amount,
            "fee": fee,
            "total": (amount + fee).round(2),
        }
    )


def fit(table: pd.DataFrame, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        return gpuvgm.TableSynthesizer({"customer": {"key": True}}, **settings).fit(table)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return fit(bookings())


@pytest.fixture(scope="module")
def sample(fitted: Any) -> pd.DataFrame:
    drawn: pd.DataFrame = fitted.sample(20 * ROWS, seed=5)
    return drawn


@pytest.fixture(scope="module")
def with_accounts() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        return gpuvgm.TableSynthesizer().fit(accounts())


SPRING = ("2024-03-01", "2024-05-31 23:59:59")
CONDITIONS: dict[str, tuple[dict[str, Any], Callable[[pd.DataFrame], Any]]] = {
    "an attribute": ({"segment": "business"}, lambda rows: rows["segment"] == "business"),
    "an attribute and a number": (
        {"city": "Bern", "amount": (100, 500)},
        lambda rows: (rows["city"] == "Bern") & rows["amount"].between(100, 500),
    ),
    "dates": ({"booked": SPRING}, lambda rows: rows["booked"].between(*SPRING)),
    "a category": ({"kind": "transfer"}, lambda rows: rows["kind"] == "transfer"),
    "part of a bin of an attribute": (
        {"born": ("1990-01-10", "1997-06-03"), "kind": ["card", "transfer"]},
        lambda rows: rows["born"].between("1990-01-10", "1997-06-03") & rows["kind"].isin(["card", "transfer"]),
    ),
    "what a law computes": ({"total": (200, 400)}, lambda rows: rows["total"].between(200, 400)),
}


def in_groups(rows: pd.DataFrame, like: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Numbers and dates by tenths of another table, and categories, as text."""

    def grouped(name: str) -> Any:
        if pd.api.types.is_string_dtype(like[name].dtype):
            return rows[name].astype(str)
        ends = np.quantile(like[name].dropna().to_numpy().astype(np.float64), np.arange(0.1, 1, 0.1))
        return pd.Series(np.searchsorted(ends, rows[name].to_numpy().astype(np.float64)), rows.index).astype(str)

    return pd.DataFrame({name: grouped(name) for name in rows.columns.drop(keys)})


def total_variation(one: pd.Series, other: pd.Series) -> float:
    shares = [rows.value_counts(normalize=True) for rows in (one, other)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def office(rows: pd.DataFrame) -> float:
    """Share of transfers on working days in office hours."""
    booked = rows["booked"][rows["kind"] == "transfer"]
    return float(((booked.dt.hour >= 8) & (booked.dt.hour < 18) & (booked.dt.day_of_week < 5)).mean())


def compare(rows: pd.DataFrame, met: pd.DataFrame, keys: list[str]) -> None:
    """Columns, pairs and rows a key agree as nearly as two samples of as many keys do."""
    own, other = (in_groups(one, met, keys) for one in (rows, met))
    sizes = met[keys[-1]].value_counts()
    number = sizes.sum() ** 2 / (sizes**2).sum()  # of keys that are worth as much, were each of them as long
    pairs = {(first, second) for first in own for second in own}
    for first, second in pairs:
        together = [one[first] + "/" + one[second] for one in (own, other)]
        cells = together[1].nunique()
        # Two samples of n independent rows lie sqrt(cells / (pi n)) apart, and rows of one key may be alike.
        most = (1.2 + 3 / np.sqrt(cells)) * np.sqrt(cells / (np.pi * number))
        assert total_variation(*together) <= most, (first, second)
    for key in keys:
        test = ks_2samp(rows[key].value_counts(), met[key].value_counts())
        assert test.pvalue > 1e-3, (key, test)
        of_key = [len(one) / one[key].nunique() for one in (rows, met)]
        assert of_key[0] == pytest.approx(of_key[1], rel=0.05), key


@pytest.mark.parametrize("case", CONDITIONS)
def test_rows_under_conditions_are_those_of_all_rows_that_meet_them(case: str, fitted: Any, sample: Any) -> None:
    conditions, meets = CONDITIONS[case]
    met = sample[meets(sample)]
    rows = fitted.sample(len(met), conditions=conditions)
    assert len(rows) == len(met) and meets(rows).all()
    compare(rows, met, ["customer"])
    assert (rows.groupby("customer")[ATTRIBUTES].nunique() == 1).all(axis=None)
    assert office(rows) == pytest.approx(office(met), abs=0.012) and office(rows) > 0.975
    np.testing.assert_allclose(rows["total"], rows["amount"] + rows["fee"], rtol=0, atol=0.006)
    assert not {*rows["customer"]} & {*bookings()["customer"]}


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", CONDITIONS)
def test_rows_under_conditions_are_those_of_a_million_that_meet_them(case: str, fitted: Any) -> None:
    conditions, meets = CONDITIONS[case]
    every = fitted.sample(10**6, seed=6)
    met = every[meets(every)]
    rows = fitted.sample(len(met), conditions=conditions, seed=9)
    assert meets(rows).all()
    compare(rows, met, ["customer"])
    assert office(rows) == pytest.approx(office(met), abs=0.004) and office(rows) > 0.975


@pytest.mark.parametrize("conditions", [{"segment": "business"}, {"limit": (1000, 3000), "amount": (50, 400)}])
def test_customers_have_as_many_accounts_and_rows_that_meet_conditions(conditions: Any, with_accounts: Any) -> None:
    every = with_accounts.sample(120_000, seed=4)
    mask = np.ones(len(every), np.bool_)
    for name, condition in conditions.items():
        mask &= every[name].between(*condition) if isinstance(condition, tuple) else every[name] == condition
    met = every[mask]
    rows = with_accounts.sample(len(met), conditions=conditions)
    compare(rows, met, ["iban", "customer"])
    assert rows.groupby("iban")["customer"].nunique().max() == 1
    counts = [one.groupby("customer")["iban"].nunique() for one in (rows, met)]
    assert ks_2samp(*counts).statistic < 0.03
    assert (rows.groupby("customer")[["born", "segment", "sex"]].nunique(dropna=False) == 1).all(axis=None)
    assert (rows.groupby("iban")[["limit", "opened"]].nunique() == 1).all(axis=None)


@pytest.mark.parametrize("case", ["an attribute and a number", "dates", "what a law computes"])
def test_rows_are_functions_of_the_seed_and_their_number(case: str, fitted: Any, tmp_path: Any) -> None:
    conditions = CONDITIONS[case][0]
    rows = fitted.sample(6_000, conditions=conditions, seed=3)
    for first, count in ((0, 1), (2_345, 700), (5_999, 1)):
        part = fitted.sample(count, first_row=first, conditions=conditions, seed=3)
        pd.testing.assert_frame_equal(part, rows[first : first + count].reset_index(drop=True))
    assert list(fitted.sample(0, first_row=77, conditions=conditions).columns) == [*rows]
    fitted.sample(6_000, conditions=conditions, seed=3, out=tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "rows.parquet"), rows, check_dtype=False)
    far = fitted.sample(300, first_row=10**15, conditions=conditions)
    pd.testing.assert_frame_equal(
        far[200:].reset_index(drop=True), fitted.sample(100, first_row=10**15 + 200, conditions=conditions)
    )
    assert not {*far["customer"]} & {*rows["customer"]}


def test_rows_do_not_depend_on_how_many_candidates_are_drawn_together(fitted: Any, monkeypatch: Any) -> None:
    conditions = CONDITIONS["part of a bin of an attribute"][0]
    rows = fitted.sample(2_000, conditions=conditions)
    monkeypatch.setattr(filtering, "MOST_AT_ONCE", 700)
    pd.testing.assert_frame_equal(fitted.sample(2_000, conditions=conditions), rows)


@pytest.mark.parametrize("engine", ["reference", *native_names()])
def test_engines_draw_the_same_under_conditions(engine: str, fitted: Any) -> None:
    other = clone(fitted).set_params(engine=engine.partition("-")[0])._with(fitted._fitted)
    for case in ("an attribute and a number", "what a law computes"):
        conditions = CONDITIONS[case][0]
        pd.testing.assert_frame_equal(
            other.sample(400, conditions=conditions), fitted.sample(400, conditions=conditions)
        )


def test_keys_differ_between_the_windows_of_rows(fitted: Any) -> None:
    """Each has keys of its own; a key that comes back in another one would have other attributes."""
    rows = fitted.sample(30_000, conditions={"kind": "cash"})
    assert (rows.groupby("customer")[ATTRIBUTES].nunique() == 1).all(axis=None)
    firsts = rows["customer"].drop_duplicates().index
    assert (firsts < 5_000).sum() < len(firsts) / 4 and (firsts > 25_000).any()


def test_rows_with_the_values_of_a_table_have_keys_of_their_own_and_calendars(fitted: Any) -> None:
    frame = bookings()[["segment", "kind"]][:3_000]
    rows = fitted.sample(3_000, conditions=frame)
    for name in frame:
        assert (rows[name].to_numpy() == frame[name].to_numpy()).all()
    assert office(rows) > 0.975
    assert (rows.groupby("customer")[ATTRIBUTES].nunique() == 1).all(axis=None)
    assert rows["customer"].nunique() < 1_500
    assert (rows.groupby("customer")["kind"].nunique() == 1).all()

    amounts = np.sort(bookings()["amount"])[[5_000, -20]].tolist()
    rare = pd.DataFrame({"amount": amounts, "city": ["Bern", "Zug"], "kind": ["card", "transfer"]}, index=[4, 2])
    both = fitted.sample(4, conditions=pd.concat([rare, rare]))
    assert both["amount"].tolist() == amounts * 2
    assert not {*both["customer"][::2]} & {*both["customer"][1::2]}


def test_rare_conditions_are_told_of(fitted: Any, caplog: pytest.LogCaptureFixture) -> None:
    fitted.sample(10, conditions={"segment": "business"})
    assert not caplog.records
    born = "1978-01-01", "1983-12-31"
    rare = {"segment": "business", "born": born, "kind": "card"}
    rows = fitted.sample(40, conditions=rare)
    assert "so that hundreds are drawn for each" in caplog.text
    assert (rows["kind"] == "card").all() and rows["born"].between(*born).all()
    caplog.clear()
    rows = fitted.sample(500, conditions={"amount": (4_000, 4_001), "city": "Thun"})
    assert "which are drawn from a network with two parents a column" in caplog.text
    assert rows["amount"].between(4_000, 4_001).all() and (rows["city"] == "Thun").all()
    assert (rows.groupby("customer")[ATTRIBUTES].nunique() == 1).all(axis=None)
    with pytest.raises(InputError, match='there is no modelled column "customer"'):
        fitted.sample(10, conditions={"customer": "C-000001"})
    with pytest.raises(InputError, match="no value of the model meets"):
        fitted.sample(10, conditions={"amount": (10**9, None)})


def test_columns_that_come_first_have_rarer_values(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """Without calendars the limit is one row of 64; of 4,096 where few columns with few values come first."""
    monkeypatch.setattr(conditioned, "MOST_COMBINATIONS", 100)
    table = bookings()[["customer", "city", "segment", "kind", "amount"]]
    is_rare = np.random.default_rng(1).random(ROWS) < 0.004
    table["kind"] = np.where(is_rare, "cheque", table["kind"])
    table["amount"] = np.where(is_rare, (9.7 * table["amount"]).round(2), table["amount"])
    fit(table).sample(5, conditions={"kind": "cheque"})
    assert "conditions_on=['kind'] to have them drawn from the trees" in caplog.text
    caplog.clear()
    rows = fit(table, conditions_on=["kind"]).sample(400, conditions={"kind": "cheque"})
    assert [record.getMessage() for record in caplog.records] == [
        'conditions: few rows meet those on "kind", so that hundreds are drawn for each'
    ]
    medians = [one["amount"].median() for one in (rows, table[table["kind"] == "cheque"])]
    assert medians[0] == pytest.approx(medians[1], rel=0.5)
    assert (rows.groupby("customer")[["city", "segment"]].nunique() == 1).all(axis=None)


def test_a_sampler_with_conditions_travels_to_other_processes(fitted: Any) -> None:
    model = fitted._fitted
    sampler = replace(sampler_under(model, {"kind": "cash"}, "auto"), unconditioned=sampler_under(model, {}, "auto"))
    rows = sampler.rows(0, 200, 1)
    assert pickle.loads(pickle.dumps(sampler)).rows(0, 200, 1).equals(rows)
    assert sampler.made(RowRange(0, 200), 1).arrays["amount"].equals(rows.column("amount"))
