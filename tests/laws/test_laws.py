"""Laws between columns: every sampled row keeps what every fitted row does."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp, norm
from sklearn.base import clone

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.laws import search, sorts
from gpuvgm.laws.codes import Columns
from gpuvgm.laws.law import Law
from gpuvgm.laws.laws import Laws
from gpuvgm.laws.numeric import Equation
from gpuvgm.laws.sample import LawSample, Targets
from gpuvgm.laws.sorts import Difference, Equality, Lookup, Order, Product, Sum
from gpuvgm.laws.texts import equations, splits
from gpuvgm.summary import Floats
from gpuvgm.synthesis.drawing import conditioned
from gpuvgm.synthesis.learning import samples

ROWS = 2500
LAWS = {
    "product -> price",
    "product -> category",
    "price * pieces = net",
    "net + tax = gross",
    "opened <= closed",
    "lowest <= highest",
}


def _invoices(rows: int = ROWS, seed: int = 3) -> pd.DataFrame:
    """Invoices of 40 products. Some have no tax, and so no sum; opened and closed are missing apart from each other."""
    random = np.random.default_rng(seed)
    prices, product = np.random.default_rng(1).lognormal(3, 1, 40).round(2), random.integers(0, 40, rows)
    opened = pd.to_datetime("2021-01-01") + pd.to_timedelta(random.integers(0, 900 * 1440, rows), unit="min")
    closed = opened + pd.to_timedelta(random.integers(1, 3000, rows), unit="min")
    pieces, lowest = random.integers(1, 60, rows), random.gamma(3, 500, rows).round()
    net = (prices[product] * pieces).round(2)
    tax = pd.Series((net * random.choice([0.07, 0.19], rows) + random.normal(0, 1, rows)).round(2))
    tax = tax.where(random.random(rows) > 0.2)
    return pd.DataFrame(
        {
            "product": [f"P{number:02d}" for number in product],
            "category": np.array(list("abcdefg"))[product % 7],
            "price": prices[product],
            "pieces": pieces,
            "net": net,
            "tax": tax,
            "gross": (net + tax).round(2),
            "opened": pd.Series(opened).where(random.random(rows) > 0.2),
            "closed": pd.Series(closed).where(random.random(rows) > 0.3),
            "lowest": lowest,
            "highest": lowest + random.gamma(1, 300, rows).round(),
        }
    )


def _kept(rows: pd.DataFrame, table: pd.DataFrame) -> dict[str, bool]:
    """Whether all rows keep each law."""
    of_product = table.groupby("product").first()
    both = rows["opened"].notna() & rows["closed"].notna()
    assert both.any()
    return {
        "product -> price": (rows["product"].map(of_product["price"]) == rows["price"]).all(),
        "product -> category": (rows["product"].map(of_product["category"]) == rows["category"]).all(),
        "price * pieces = net": ((rows["price"] * rows["pieces"] - rows["net"]).abs() < 0.00501).all(),
        "net + tax = gross": (rows["net"] + rows["tax"]).round(2).equals(rows["gross"]),
        "opened <= closed": (rows["opened"] <= rows["closed"])[both].all(),
        "lowest <= highest": (rows["lowest"] <= rows["highest"]).all(),
    }


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """The training rows."""
    return _invoices()


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer of them."""
    return gpuvgm.TableSynthesizer(laws=["auto", "price * pieces = net", "lowest <= highest"]).fit(table)


@pytest.fixture(scope="module")
def sample(fitted: gpuvgm.TableSynthesizer) -> pd.DataFrame:
    """Rows of it."""
    rows: pd.DataFrame = fitted.sample(4000)
    return rows


def test_laws_are_found_told_and_kept(table: pd.DataFrame, fitted: Any, sample: pd.DataFrame) -> None:
    assert sorted(map(str, fitted.laws_)) == sorted(LAWS)
    assert {*fitted.fit_report_.laws} == LAWS
    assert "product -> price; " in str(fitted) and "net + tax = gross" in str(fitted.fit_report_)
    assert all(_kept(sample, table).values())
    without = gpuvgm.TableSynthesizer(laws="off").fit(table)
    assert without.laws_ == () and "laws:" not in str(without)
    assert not any(
        _kept(without.sample(3000), table)[law] for law in LAWS - {"product -> category", "opened <= closed"}
    )


def _bands(rows: int = 3000) -> pd.DataFrame:
    """Products and sums, which some rows lack, and what depends on these alone."""
    random = np.random.default_rng(12)
    price, pieces, charge = (
        random.gamma(4, 5, rows).round(2),
        random.integers(1, 30, rows),
        random.integers(0, 90, rows),
    )
    net, charge = (price * pieces).round(2), pd.Series(charge.astype(float)).where(random.random(rows) > 0.3)
    rows_ = {"net": net, "price": price, "sum": (charge + net).round(2), "pieces": pieces, "charge": charge}
    return pd.DataFrame({"band": _bands_of(net), **rows_, "charged": _charged(net, charge)})


def _bands_of(net: Any) -> np.ndarray:
    return np.searchsorted([60, 120, 240, 480, 960], net).astype(str)


def _charged(net: Any, charge: Any) -> np.ndarray:
    return np.where(charge.isna(), "none", np.where(charge + net > 400, "much", "little"))


@pytest.fixture(scope="module")
def bands() -> pd.DataFrame:
    """Training rows whose computed columns others depend on."""
    return _bands()


@pytest.fixture(scope="module")
def fitted_bands(bands: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer of them."""
    return gpuvgm.TableSynthesizer().fit(bands)


def _shares_of_bands(rows: pd.DataFrame) -> dict[str, float]:
    """Share of rows that keep each law, and in which other columns agree with computed ones."""
    agree = {
        "net": (rows["price"] * rows["pieces"] - rows["net"]).abs() < 0.00501,
        "sum": (rows["net"] + rows["charge"]).round(2).fillna(-1) == rows["sum"].fillna(-1),
        "band": _bands_of(rows["net"]) == rows["band"],
        "charged": _charged(rows["net"], rows["charge"]) == rows["charged"],
    }
    return {name: float(np.mean(share)) for name, share in agree.items()}


def test_later_columns_are_drawn_given_computed_values(bands: pd.DataFrame, fitted_bands: Any) -> None:
    assert {*fitted_bands.fit_report_.laws} == {"price * pieces = net", "net + charge = sum"}
    structure = fitted_bands.network_.structure
    order = [structure.bins[place].name for place in structure.order]
    for operands, target, follower in (("price", "pieces"), "net", "band"), (("net", "charge"), "sum", "charged"):
        places = [order.index(name) for name in (*operands, target, follower)]
        assert max(places[:2]) < places[2] < places[3]
    rows = fitted_bands.sample(5000)
    shares = _shares_of_bands(rows)
    assert shares["net"] == shares["sum"] == 1
    assert shares["band"] > 0.97 and shares["charged"] > 0.99
    assert rows["sum"].isna().mean() == pytest.approx(bands["sum"].isna().mean(), abs=0.02)
    parts = [fitted_bands.sample(stop - start, first_row=start) for start, stop in ((0, 1), (1, 700), (700, 5000))]
    assert pd.concat(parts, ignore_index=True).equals(rows)


@pytest.mark.parametrize(
    ("condition", "threshold"),
    [
        ({"band": "5"}, 0.95),
        ({"band": ["0", "1"], "charged": "none"}, 0.97),
        ({"charged": "much", "price": (10, 12)}, 0.9),
        ({"net": (100, 200)}, 0.97),
        ({"sum": (100, 200)}, 0.97),
        ({"pieces": 7}, 0.97),
    ],
)
def test_conditions_and_computed_values(condition: dict[str, Any], threshold: float, fitted_bands: Any) -> None:
    """Before computed columns, on them, and on what depends on them, in three columns' bins and many."""
    rows = fitted_bands.sample(600, conditions=condition)
    shares = _shares_of_bands(rows)
    assert shares["net"] == shares["sum"] == 1
    assert min(shares.values()) > threshold
    for name, asked in condition.items():
        assert (rows[name].between(*asked) if isinstance(asked, tuple) else rows[name].isin(np.atleast_1d(asked))).all()
    parts = [
        fitted_bands.sample(stop - start, first_row=start, conditions=condition) for start, stop in ((0, 9), (9, 600))
    ]
    assert pd.concat(parts, ignore_index=True).equals(rows)


def test_rows_under_conditions_are_those_of_all_rows_that_meet_them(fitted_bands: Any) -> None:
    """Columns before and after a computed one have the distributions that they have in samples."""
    every = fitted_bands.sample(60_000)
    meets = {"band": every["band"] == "3", "charged": every["charged"] == "much", "pieces": every["pieces"] == 7}
    meets |= {name: every[name].between(100.5, 203) for name in ("net", "sum")}
    asked = {"band": "3", "charged": "much", "pieces": 7, "net": (100.5, 203), "sum": (100.5, 203)}
    for name, condition in asked.items():
        expected, rows = every[meets[name]], fitted_bands.sample(6000, conditions={name: condition})
        for other in ("price", "pieces", "net", "sum"):
            assert ks_2samp(expected[other].dropna(), rows[other].dropna()).pvalue > 1e-4
        shares = [one["charged"].value_counts(normalize=True) for one in (expected, rows)]
        assert shares[0].sub(shares[1], fill_value=0).abs().max() < 0.04


@pytest.mark.parametrize("condition", [{"band": "4"}, {"charged": "much", "pieces": 7}, {"net": (100, 200)}])
def test_laws_hold_in_rows_of_the_network(
    condition: dict[str, Any], fitted_bands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From which rows are drawn that hardly any row is like."""
    monkeypatch.setattr(conditioned, "MOST_COMBINATIONS", 0)
    monkeypatch.setattr(conditioned, "LEAST_WITH_VALUES", 2.0)
    rows = fitted_bands.sample(600, conditions=condition)
    shares = _shares_of_bands(rows)
    assert shares["net"] == shares["sum"] == 1
    assert shares["band"] > 0.8
    parts = [fitted_bands.sample(9, conditions=condition), fitted_bands.sample(591, first_row=9, conditions=condition)]
    assert pd.concat(parts, ignore_index=True).equals(rows)


def test_calendars_of_computed_dates() -> None:
    """A date is computed of another one, and what depends on its weekday is drawn given that."""
    random = np.random.default_rng(3)
    booked = pd.Timestamp("2023-01-02") + pd.to_timedelta(random.integers(0, 400, 8000), unit="D")
    days = random.integers(0, 600, 8000)
    due = booked + pd.to_timedelta(days, unit="D")
    desk = np.where(due.day_of_week >= 5, "night", np.where(random.random(8000) < 0.5, "north", "south"))
    table = pd.DataFrame({"booked": booked, "days": days, "due": due, "desk": desk})
    fitted = gpuvgm.TableSynthesizer(laws="booked + days = due in days").fit(table)
    assert {part.column for part in fitted.network_.structure.parts} == {"due"}
    for condition in (None, {"desk": "night"}, {"desk": "north", "days": (300, 400)}):
        rows = fitted.sample(500, conditions=condition)
        assert (rows["booked"] + pd.to_timedelta(rows["days"], unit="D") == rows["due"]).all()
        assert ((rows["due"].dt.day_of_week >= 5) == (rows["desk"] == "night")).mean() > 0.99


def test_computed_attributes_of_keys() -> None:
    """They are computed once for each key; of them and of columns of rows others are computed for each row."""
    random = np.random.default_rng(3)
    base, bonus, customer = (
        random.gamma(4, 50, 1500).round(),
        random.gamma(2, 40, 1500).round(),
        random.integers(0, 1500, 6000),
    )
    total = pd.Series(base + bonus).where(random.random(1500) > 0.15)
    spent = random.gamma(3, 20, 6000).round(2)
    left = (base[customer] + spent).round(2)
    table = pd.DataFrame(
        {
            "customer": [f"user{number}@mail{number % 7}.com" for number in customer],
            "grade": np.searchsorted([200, 300, 400], total[customer]).astype(str),
            "total": total[customer].to_numpy(),
            "base": base[customer],
            "bonus": bonus[customer],
            "left": left,
            "spent": spent,
            "flag": np.where(left > 260, "high", "low"),
        }
    )
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert {law.target for law in fitted.laws_ if law.decides} == {"base", "left", "grade"}
    assert {"total", "base", "bonus", "grade"} == {*fitted.attributes_}
    rows = fitted.sample(5000)
    assert (rows.groupby("customer")[[*fitted.attributes_]].nunique(dropna=False) == 1).all(axis=None)
    assert (rows["total"].isna() | (rows["base"] + rows["bonus"] == rows["total"])).all()
    assert ((rows["base"] + rows["spent"]).round(2) == rows["left"]).all()
    assert rows["total"].isna().mean() == pytest.approx(table["total"].isna().mean(), abs=0.03)
    assert (rows[rows["total"].isin(_usual(table["total"]))].groupby("total")["grade"].nunique() == 1).all()
    assert (np.searchsorted([200, 300, 400], rows["total"]).astype(str) == rows["grade"]).mean() > 0.985
    assert ((rows["left"] > 260) == (rows["flag"] == "high")).mean() > 0.985
    parts = [fitted.sample(stop - start, first_row=start) for start, stop in ((0, 3), (3, 900), (900, 5000))]
    assert pd.concat(parts, ignore_index=True).equals(rows)


def test_densities_of_all_rows_add_up() -> None:
    """Also where a sum is missing apart from its parts, and others depend on it."""
    random = np.random.default_rng(1)
    one, two = random.integers(0, 4, 3000), random.integers(0, 3, 3000)
    total = pd.Series((one * 10 + two).astype(float)).where(random.random(3000) > 0.2)
    other = np.where(total > 15, "b", np.where(random.random(3000) < 0.1, "b", "a"))
    table = pd.DataFrame({"ten": one * 10, "two": two, "total": total, "other": other})
    fitted = gpuvgm.TableSynthesizer(columns={"total": "continuous"}, laws="ten + two = total").fit(table)
    (law,) = fitted.laws_
    assert law.apart == total.isna().sum()
    every = [
        (ten, two, total, other)
        for ten in range(0, 40, 10)
        for two in range(3)
        for total in (ten + two, None)
        for other in "ab"
    ]
    scores = fitted.score_samples(pd.DataFrame(every, columns=["ten", "two", "total", "other"]))
    assert np.exp(scores).sum() == pytest.approx(1, abs=1e-9)
    assert np.isneginf(fitted.score_samples(pd.DataFrame({"ten": [10], "two": [2], "total": [13.0], "other": ["a"]})))


def test_columns_keep_types_ranges_and_what_is_missing(table: pd.DataFrame, sample: pd.DataFrame) -> None:
    assert (sample.dtypes == table.dtypes).all()
    for name in ("net", "gross", "price", "highest"):
        assert table[name].min() <= sample[name].min() and sample[name].max() <= table[name].max()
        assert (sample[name] * 100 - (sample[name] * 100).round()).abs().max() < 1e-6
    for name in table:
        assert sample[name].isna().mean() == pytest.approx(table[name].isna().mean(), abs=0.02)
    for name in ("net", "tax", "gross", "lowest", "highest"):
        assert sample[name].mean() == pytest.approx(table[name].mean(), rel=0.1)
    hours = [(rows["closed"] - rows["opened"]).dt.total_seconds().median() for rows in (sample, table)]
    assert hours[0] == pytest.approx(hours[1], rel=0.1)


def test_rows_are_functions_of_their_number(fitted: Any, sample: pd.DataFrame, reloaded: Any) -> None:
    parts = [fitted.sample(stop - start, first_row=start) for start, stop in ((0, 1), (1, 3100), (3100, 4000))]
    assert pd.concat(parts, ignore_index=True).equals(sample)
    loaded = reloaded(fitted)
    assert loaded.laws_ == fitted.laws_ and [*loaded.laws] == [*fitted.laws]
    assert loaded.sample(3000).equals(sample[:3000])


def test_counts_of_breaches_add_up(table: pd.DataFrame, fitted: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Parts give the fit of the whole; a later row that breaks a law ends it, with a warning."""
    like = gpuvgm.TableSynthesizer(like=fitted)
    halves = [clone(like).fit(table[: ROWS // 2]), clone(like).fit(table[ROWS // 2 :])]
    assert halves[0].merge(halves[1]).laws_ == fitted.laws_
    odd = table[:50].assign(gross=table["gross"] + 0.01)
    broken = odd["gross"].notna().sum()
    with caplog.at_level(logging.WARNING, "gpuvgm"):
        added = clone(like).fit(table).partial_fit(odd)
    assert f'the law "net + tax = gross" is broken by {broken} rows: samples do not keep it' in caplog.messages
    assert added.laws_ == clone(like).fit(pd.concat([table, odd])).laws_
    assert added.laws_ == clone(like).fit(odd).merge(fitted).laws_
    assert {*added.fit_report_.laws} == LAWS - {"net + tax = gross"}
    rows = added.sample(2000)
    assert not _kept(rows, table)["net + tax = gross"] and _kept(rows, table)["price * pieces = net"]


def test_all_rows_prove_a_law(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sample suggests and one row breaks is no law, and other columns may depend on the sum again."""
    monkeypatch.setattr(samples, "TREE_ROWS", 1000)
    table = _invoices(20_000)[["net", "tax", "gross"]].dropna()
    table.iloc[11_111, 2] += 0.01
    with caplog.at_level(logging.INFO, "gpuvgm"):
        fitted = gpuvgm.TableSynthesizer(laws="auto; not tax <= net; not net <= gross; not tax <= gross").fit(table)
    assert 'the law "net + tax = gross" is broken by 1 row: samples do not keep it' in caplog.messages
    assert fitted.laws_ == ()
    same = gpuvgm.TableSynthesizer(laws="off").fit(table)
    assert same.sample(500).equals(fitted.sample(500))


def test_densities(table: pd.DataFrame, fitted: Any) -> None:
    """What is computed is certain, what breaks a law impossible."""
    scores = fitted.score_samples(table)
    assert np.isfinite(scores).all()
    wrong = {
        "price": table["price"] + 0.01,
        "category": table["category"].map(lambda letter: "b" if letter == "a" else "a"),
        "net": table["net"] + 0.02,
        "gross": table["gross"] + 0.01,
        "lowest": table["highest"] + 1,
    }
    for name, values in wrong.items():
        broken = fitted.score_samples(table.assign(**{name: values}))
        assert (np.isneginf(broken) == values.notna().to_numpy()).all()
    pair = table[["product", "price"]]
    both = gpuvgm.TableSynthesizer().fit(pair).score_samples(pair)
    assert np.exp(both).mean() == pytest.approx(1 / 40, rel=0.02)  # the product alone


@pytest.mark.parametrize(
    "condition",
    [
        {"category": "c"},
        {"price": (20, 40)},
        {"price": (20, 40), "category": ["a", "b"]},
        {"gross": (300, 600)},
        {"net": (300, 600)},
        {"lowest": (1000, 1200)},
        {"opened": ("2022-01-01", "2022-03-01"), "closed": None},
    ],
)
def test_conditions_and_laws_hold_together(condition: dict[str, Any], table: pd.DataFrame, fitted: Any) -> None:
    rows = fitted.sample(1000, conditions=condition)
    kept = _kept(rows.assign(closed=rows["opened"]) if "closed" in condition else rows, table)
    assert all(kept.values())
    for name, asked in condition.items():
        values = rows[name]
        if isinstance(asked, tuple):
            assert values.between(*(pd.Timestamp(end) if isinstance(end, str) else end for end in asked)).all()
        else:
            assert values.isna().all() if asked is None else values.isin([*asked]).all()
    parts = [fitted.sample(700, conditions=condition), fitted.sample(300, first_row=700, conditions=condition)]
    assert pd.concat(parts, ignore_index=True).equals(rows)


def test_conditions_that_break_a_law_are_refused(table: pd.DataFrame, fitted: Any) -> None:
    price = float(table["price"][table["category"] == "a"].iloc[0])
    with pytest.raises(InputError, match='"category": no row meets .b. and keeps the law "product -> category"'):
        fitted.sample(10, conditions={"price": price, "category": "b"})


def test_columns_with_conditions_are_drawn(table: pd.DataFrame) -> None:
    """Of a sum another column is computed."""
    part = table[["net", "tax", "gross"]]
    fitted = gpuvgm.TableSynthesizer(conditions_on=["gross"]).fit(part)
    assert "gross - tax = net" in {str(law) for law in fitted.laws_}
    rows = fitted.sample(500, conditions={"gross": (300, 330)})
    assert rows["gross"].between(300, 330).all()
    assert (rows["gross"] - rows["tax"]).round(2).equals(rows["net"])


def _usual(values: pd.Series) -> Any:
    """Values of a column that five of its rows have."""
    counts = values.value_counts()
    return counts[counts >= 5].index


def _planes() -> pd.DataFrame:
    """Planes, 5 % of them of models with few rows each, which all gliders, rotorcraft and ceilings are of."""
    random = np.random.default_rng(0)
    model = random.permutation(
        np.concatenate([np.repeat(np.arange(40), 50), np.repeat(np.arange(40, 90), 2), [90] * 3])
    )
    kinds = np.array(["jet", "propeller"] * 20 + ["rotorcraft"] * 20 + ["glider"] * 10 + ["jet"] * 20 + ["kite"])
    kind = kinds[model]
    span = random.normal(pd.Series(kind).map({"jet": 30, "propeller": 20, "glider": 15, "kite": 5, "rotorcraft": 9}), 2)
    ceiling = np.where(kind == "rotorcraft", 1000.0 + 50 * model, np.nan)
    return pd.DataFrame({"model": [f"M{n}" for n in model], "kind": kind, "span": span.round(1), "ceiling": ceiling})


@pytest.fixture(scope="module")
def planes() -> pd.DataFrame:
    """Training rows, some of whose deciding values are rare."""
    return _planes()


@pytest.fixture(scope="module")
def fitted_planes(planes: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer of them."""
    return gpuvgm.TableSynthesizer().fit(planes)


def _assert_shares(rows: pd.Series, table: pd.Series) -> None:
    """No share of a category of five rows and more is further from the table's than three standard errors, or chance.

    Of many categories one of them may be.
    """
    expected = table.value_counts(normalize=True)
    expected = expected[expected * len(table) >= 5]
    errors = np.sqrt(expected * (1 - expected) / len(rows))
    shares = rows.value_counts(normalize=True).reindex(expected.index).fillna(0)
    most = norm.isf(norm.sf(3) / len(expected))
    assert ((shares - expected).abs() < most * errors).all(), (shares, expected)


def test_no_category_of_rare_values_vanishes(planes: pd.DataFrame, fitted_planes: Any) -> None:
    """What they decide comes in the share of all their rows, and goes with the columns before it."""
    assert {*fitted_planes.fit_report_.laws} == {"model -> kind", "model -> ceiling"}
    usual, of_model = _usual(planes["model"]), planes.groupby("model")["kind"].first()
    for seed in range(4):
        rows = fitted_planes.sample(len(planes), seed=seed)
        parts = [fitted_planes.sample(stop - start, first_row=start, seed=seed) for start, stop in ((0, 1), (1, 2103))]
        assert pd.concat(parts, ignore_index=True).equals(rows) and "kite" not in {*rows["kind"]}
        _assert_shares(rows["kind"], planes["kind"])
        _assert_shares(rows["ceiling"].notna(), planes["ceiling"].notna())
        is_usual = rows["model"].isin(usual)
        assert (rows["model"].map(of_model) == rows["kind"])[is_usual].all()
        assert rows["ceiling"][is_usual].isna().all() and is_usual.mean() == pytest.approx(2000 / 2103, abs=0.02)
        spans = rows.groupby("kind")["span"].mean()
        assert spans["rotorcraft"] < 12 < spans["propeller"] < 24 < spans["jet"]


def test_rare_values_tell_nothing_of_their_own_rows(planes: pd.DataFrame) -> None:
    """Nor does a value that is as rare stand beside them; whole and in parts the counts are the same."""
    pairs = planes[["model", "kind"]]
    fitted = gpuvgm.TableSynthesizer().fit(pairs)
    rows = fitted.sample(20_000)
    rare = rows[~rows["model"].isin(_usual(planes["model"]))]
    own = rare["model"].map(planes.groupby("model")["kind"].first()) == rare["kind"]
    shares = planes["kind"][~planes["model"].isin(_usual(planes["model"]))].value_counts(normalize=True)
    assert own.mean() == pytest.approx((shares**2).sum(), abs=0.06)
    assert rare["model"].nunique() == 51 and "kite" not in {*rare["kind"]}
    like = gpuvgm.TableSynthesizer(like=fitted)
    halves = clone(like).fit(pairs[:700]).merge(clone(like).fit(pairs[700:]))
    added = clone(like).fit(pairs[:700]).partial_fit(pairs[700:])
    assert halves.sample(500).equals(rows[:500]) and added.sample(500).equals(rows[:500])


def test_rare_values_under_conditions(planes: pd.DataFrame, fitted_planes: Any, reloaded: Any) -> None:
    usual, of_model = _usual(planes["model"]), planes.groupby("model")["kind"].first()
    for condition in ({"kind": "rotorcraft"}, {"kind": ["glider", "jet"]}, {"span": (8, 12)}, {"model": ["M45", "M3"]}):
        rows = fitted_planes.sample(300, conditions=condition)
        for name, asked in condition.items():
            assert (
                rows[name].between(*asked) if isinstance(asked, tuple) else rows[name].isin(np.atleast_1d(asked))
            ).all()
        is_usual = rows["model"].isin(usual)
        assert (rows["model"].map(of_model) == rows["kind"])[is_usual].all() and "kite" not in {*rows["kind"]}
        assert reloaded(fitted_planes).sample(300, conditions=condition).equals(rows)
        every = fitted_planes.sample(20_000)
        if "kind" in condition:
            assert is_usual.mean() == pytest.approx(
                every["model"][every["kind"].isin(np.atleast_1d(condition["kind"]))].isin(usual).mean(), abs=0.08
            )


def test_densities_of_rare_values_add_up(planes: pd.DataFrame) -> None:
    fitted = gpuvgm.TableSynthesizer(conditions_on=["model"]).fit(planes[["model", "kind"]])
    every = pd.MultiIndex.from_product([planes["model"].unique(), planes["kind"].unique()], names=["model", "kind"])
    scores = fitted.score_samples(every.to_frame(index=False))
    assert np.exp(scores).sum() == pytest.approx(1, abs=1e-9)
    of_rare = ~every.get_level_values("model").isin(_usual(planes["model"]))
    assert np.isfinite(scores[of_rare]).all() and np.isneginf(scores[~of_rare]).sum() == 40 * 4


def test_rare_values_of_chains_and_of_laws_that_users_write(planes: pd.DataFrame) -> None:
    """What is decided by a rare value decides others, as far as it is usual; so it is in more than 256 models."""
    more = planes.assign(model=planes["model"] + pd.Series(np.arange(len(planes)) % 8).astype(str))
    more["wing"] = (
        more["kind"].map({"jet": "swept", "propeller": "straight", "glider": "long", "kite": "soft"}).fillna("-")
    )
    fitted = gpuvgm.TableSynthesizer({"model": "categorical"}, laws=["model -> kind", "kind -> wing"]).fit(more)
    assert more["model"].nunique() > 256
    rows = fitted.sample(len(more))
    _assert_shares(rows["kind"], more["kind"])
    _assert_shares(rows["wing"], more["wing"])
    assert {*zip(rows["kind"], rows["wing"], strict=True)} <= {*zip(more["kind"], more["wing"], strict=True)}
    is_usual = rows["model"].isin(_usual(more["model"]))
    assert (rows["model"].map(more.groupby("model")["kind"].first()) == rows["kind"])[is_usual].all()


def test_a_category_that_is_rare_itself_may_be_asked_for(fitted_planes: Any) -> None:
    rows = fitted_planes.sample(50, conditions={"kind": "kite"})
    assert (rows["kind"] == "kite").all() and rows["model"].nunique() > 10


@pytest.mark.parametrize("text", [False, True])
def test_no_category_of_rare_numbers_vanishes(text: bool) -> None:
    """New customers have few rows each, and numbers between those of others; rates of a grade lie side by side."""
    random = np.random.default_rng(1)
    numbers = random.permutation(3000)
    which = random.permutation(np.concatenate([random.integers(0, 100, 3000), np.arange(100, 143).repeat(3)]))
    segment, number = np.where(which < 100, np.where(which < 50, "north", "south"), "new"), numbers[which]
    grades = np.searchsorted(np.arange(150, 3000, 150), number).astype(str)
    table = pd.DataFrame({"number": number, "segment": segment, "grade": grades})
    table["number"] = table["number"].map("{:05d}".format) if text else table["number"]
    fitted = gpuvgm.TableSynthesizer(laws=["number -> segment", "number -> grade"]).fit(table)
    rows = fitted.sample(3 * len(table))
    is_usual = rows["number"].isin(_usual(table["number"]))
    for name in ("segment", "grade"):
        right = rows["number"].map(table.groupby("number")[name].first()) == rows[name]
        assert right[is_usual].all() and {*rows[name]} == {*table[name]}
    assert (rows["segment"] == "new")[~is_usual].mean() > 0.97 and (~is_usual).mean() > 0.01
    _assert_shares(rows["grade"], table["grade"])
    if text:  # of a list of numbers hardly any others are drawn
        _assert_shares(rows["segment"], table["segment"])


def test_numbers_decide_too() -> None:
    """A year decides a generation also where it is in order with another; rare numbers lie between their neighbours."""
    random = np.random.default_rng(8)
    born, weeks = random.integers(1950, 1991, 2000), random.geometric(0.1, 2000)
    table = pd.DataFrame(
        {
            "born": born,
            "generation": np.array(["boomer", "x", "millennial"])[np.searchsorted([1965, 1981], born, side="right")],
            "hired": np.minimum(born + random.integers(1, 50, 2000), 2020),
            "weeks": weeks,
            "log": np.log(weeks + 3),
        }
    )
    fitted = gpuvgm.TableSynthesizer(conditions_on=["generation"]).fit(table)
    assert {"born -> generation", "born <= hired", "weeks -> log"} == {str(law) for law in fitted.laws_}
    rows = fitted.sample(3000)
    assert (rows.groupby("weeks")["log"].nunique() == 1).all()
    usual = rows[rows["weeks"] <= table["weeks"].quantile(0.99)]
    assert (usual["log"] - np.log(usual["weeks"] + 3)).abs().max() < 0.02
    rows = fitted.sample(500, conditions={"generation": "x"})
    assert rows["born"].between(1965, 1980).all() and (rows["generation"] == "x").all()
    assert (rows["born"] <= rows["hired"]).all()


@pytest.mark.parametrize(("rows", "customers"), [(8000, 900), (30_000, 2000)])
def test_numbers_of_customers_decide_too(rows: int, customers: int) -> None:
    """Each number has few rows, and no number two zips but those of fewer than five."""
    random = np.random.default_rng(3)
    names, zips = np.arange(customers).astype(str), random.integers(10_000, 99_999, customers)
    numbers = 10_000 + 7 * np.arange(customers)
    at = random.integers(0, customers, rows)
    table = pd.DataFrame(
        {
            "number": numbers[at],
            "name": np.char.add("Firm ", names)[at],
            "zip": zips[at],
            "paid": random.gamma(2, 9, rows),
        }
    )
    fitted = gpuvgm.TableSynthesizer({"name": "categorical"}).fit(table)
    assert {str(law) for law in fitted.laws_} == {"name -> number", "number -> zip"}
    drawn = fitted.sample(5000)
    right = pd.Series(zips, numbers).reindex(drawn["number"]).to_numpy() == drawn["zip"].to_numpy()
    assert right.mean() > 0.97
    usual = drawn[drawn["name"].isin(_usual(table["name"]))]
    assert (usual.groupby("number")["zip"].nunique() == 1).all() and len(usual) > 0.97 * len(drawn)
    assert (usual.groupby("name")[["number", "zip"]].nunique() == 1).all(axis=None)


def test_thresholds_of_numbers_with_few_rows_are_no_evidence() -> None:
    """Where one threshold parts them, ten rows tell whether the number there decides; ten thresholds tell more."""
    random = np.random.default_rng(4)
    amount = random.integers(0, 300, 3000)
    table = pd.DataFrame({"amount": amount, "is_large": amount >= 90, "other": random.normal(size=3000)})
    assert gpuvgm.TableSynthesizer().fit(table).laws_ == ()
    table["band"] = np.array(list("abcdefghij"))[amount // 30]
    assert {str(law) for law in gpuvgm.TableSynthesizer().fit(table).laws_} == {"amount -> band", "band -> is_large"}


def _taxed(rows: int = 4000) -> pd.DataFrame:
    """Net amounts, and taxes on them at a rate in percent."""
    random = np.random.default_rng(6)
    rate, net = random.choice([19, 7, 0], rows, p=[0.6, 0.3, 0.1]), random.lognormal(5, 1.3, rows).round(2)
    return pd.DataFrame({"net": net, "rate": rate, "tax": (net * rate / 100).round(2), "day": np.arange(rows) % 28})


def test_products_with_a_rate_in_percent(reloaded: Any) -> None:
    table = _taxed().assign(thousandths=lambda rows: rows["rate"] * 10 + 0.0)
    fitted = gpuvgm.TableSynthesizer(laws="auto; not net * thousandths / 1000 = tax").fit(table)
    assert {*fitted.fit_report_.laws} >= {"net * rate / 100 = tax"}
    rows = fitted.sample(3000)
    assert rows.equals(reloaded(fitted).sample(3000))
    assert ((rows["net"] * rows["rate"] / 100 - rows["tax"]).abs() < 0.00501).all()
    assert rows["tax"].nunique() > 1000 and {*rows["rate"]} == {0, 7, 19}
    scores = fitted.score_samples(table.assign(tax=table["tax"].where(table["day"] > 0, table["tax"] + 0.01)))
    assert np.isneginf(scores[table["day"] == 0]).all() and np.isfinite(scores[table["day"] > 0]).all()


@pytest.mark.parametrize(
    ("law", "power"),
    [("net * rate / 100 = tax", -2), ("net * share = tax", 0), ("dozens * net * 10 = total", 1)],
)
def test_products_with_powers_of_ten_are_declared(law: str, power: int) -> None:
    table = _taxed().assign(share=lambda rows: rows["rate"] / 100, dozens=lambda rows: rows["day"] % 3)
    table["total"] = [
        Decimal(f"{net:.2f}") * dozens * 10 for net, dozens in zip(table["net"], table["dozens"], strict=True)
    ]
    fitted = gpuvgm.TableSynthesizer(laws=law).fit(table)
    assert [(str(one), one.power, one.breaches) for one in fitted.laws_] == [(law, power, 0)]
    assert clone(fitted).fit(table).laws_ == fitted.laws_
    assert fitted.laws_[0].refute(fitted.transformer_.model_.by_name, _rows_of(fitted.sample(500))).holds


TASKS = ["task 1", "task 2", "task 3"]


def _exams(rows: int = 3000) -> pd.DataFrame:
    """Points of three tasks, of which absent students have none; sums of them, and of what is a sum already."""
    random = np.random.default_rng(7)
    points = pd.DataFrame({name: random.integers(0, 41, rows) / 2 for name in TASKS})
    points.loc[random.random(rows) < 0.1] = np.nan
    total, bonus, home = points.sum(axis=1, skipna=False), random.integers(0, 5, rows), random.integers(0, 31, rows)
    oral = random.integers(0, 21, rows)
    others = {"bonus": bonus, "home": home, "work": home + bonus, "oral": oral, "credit": oral + home + bonus}
    return points.assign(total=total, twice=2 * total, **others, age=random.integers(18, 40, rows))


def test_sums_of_three_and_more() -> None:
    table = _exams()
    fitted = gpuvgm.TableSynthesizer().fit(table)
    sums = {law.target: law for law in fitted.laws_ if law.sign in ("+", "-")}
    assert str(sums["total"]) == "task 1 + task 2 + task 3 = total" and len(sums) == 3
    rows = fitted.sample(4000)
    assert rows[TASKS].sum(axis=1, skipna=False).equals(rows["total"])
    assert rows["total"].isna().mean() == pytest.approx(0.1, abs=0.03)
    assert (rows["home"] + rows["bonus"] == rows["work"]).all()
    assert (rows["work"] + rows["oral"] == rows["credit"]).all()
    rows = fitted.sample(400, conditions={"total": (30, 33), "task 2": (5, 10)})
    assert rows["total"].between(30, 33).all() and rows["task 2"].between(5, 10).all()
    assert rows[TASKS].sum(axis=1).equals(rows["total"])


def test_twelve_months_make_a_year(reloaded: Any) -> None:
    """They are all found although they go with each other, and with what is a mean of them."""
    random = np.random.default_rng(9)
    months = [f"month {number}" for number in range(1, 13)]
    sales = (random.lognormal(4, 0.5, (3000, 1)) * random.lognormal(0, 0.3, (3000, 12))).round(2)
    table = pd.DataFrame(sales, columns=months).assign(staff=random.integers(1, 50, 3000))
    table = table.assign(
        year=sales.sum(axis=1).round(2), mean=(sales.mean(axis=1) + random.normal(0, 3, 3000)).round(1)
    )
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert f"{' + '.join(months)} = year" in fitted.fit_report_.laws
    rows = fitted.sample(2000)
    assert ((rows[months].sum(axis=1) - rows["year"]).abs() < 0.00501).all()


@pytest.mark.parametrize(
    ("law", "target"), [("task 3 + task 2 + task 1 = total", "total"), ("total - task 1 - task 3 = task 2", "task 2")]
)
def test_sums_of_three_are_declared(law: str, target: str) -> None:
    fitted = gpuvgm.TableSynthesizer(laws=law).fit(_exams())
    (found,) = fitted.laws_
    assert str(found) == law and found.target == target and found.holds
    assert len({*map(str, found.forms)}) == 4 == len({form.target for form in found.forms})
    rows = _rows_of(fitted.sample(1000))
    assert all(form.refute(fitted.transformer_.model_.by_name, rows).breaches == 0 for form in found.forms)


def _payslips(rows: int = 3000) -> pd.DataFrame:
    """What is earned and taken off; of one payslip in a hundred the wage is above what insurance takes a share of."""
    random = np.random.default_rng(11)
    basic, overtime = random.gamma(20, 150, rows).round(2), random.integers(0, 20, rows) * 31.25
    bonus = np.where(random.random(rows) < 0.1, random.gamma(5, 100, rows).round(2), 0)
    gross = (basic + overtime + bonus).round(2)
    pension = np.minimum(0.093 * gross, (0.093 * np.quantile(gross, 0.99)).round(2)).round(2)
    tax = (gross * random.uniform(0.1, 0.3, rows)).round(2)
    parts = {"basic": basic, "overtime": overtime, "bonus": bonus, "gross": gross, "tax": tax, "pension": pension}
    return pd.DataFrame({**parts, "net": (gross - tax - pension).round(2)})


def test_a_column_may_be_two_sums() -> None:
    table = _payslips()
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert {*map(str, fitted.laws_)} >= {"basic + overtime + bonus = gross", "gross - tax - pension = net"}
    rows = fitted.sample(2000)
    assert np.allclose(rows.basic + rows.overtime + rows.bonus, rows.gross, atol=1e-6)
    assert np.allclose(rows.gross - rows.tax - rows.pension, rows.net, atol=1e-6)


def test_few_rows_show_that_a_share_is_clipped() -> None:
    table = _payslips()
    fitted = gpuvgm.TableSynthesizer().fit(table)
    limit = table.pension.max()
    assert 20 <= (table.pension == limit).sum() <= 40
    assert f"min({limit:g}, 0.093 * gross) = pension" in map(str, fitted.laws_)
    rows = fitted.sample(2000)
    assert ((0.093 * rows.gross).clip(upper=limit) - rows.pension).abs().max() <= 0.0051


def test_laws_of_other_columns_make_room() -> None:
    """Of two laws that would compute a column, the first one found computes another one where the second cannot."""
    random = np.random.default_rng(2)
    rate, hours = random.integers(1500, 4000, 3000) / 100, random.integers(80, 160, 3000)
    basic, travel, meals = (rate * hours).round(2), *(random.gamma(4, 20, (2, 3000)).round(2))
    gross = (basic + travel + meals).round(2)
    taken_off = pd.DataFrame(random.gamma(20, 20, (3000, 3)).round(2), columns=["tax", "pension", "health"])
    table = taken_off.assign(net=(gross - taken_off.sum(axis=1)).round(2), gross=gross)
    table = table.assign(rate=rate, hours=hours, basic=basic, travel=travel, meals=meals)
    laws = {*map(str, gpuvgm.TableSynthesizer().fit(table).laws_)}
    assert laws >= {"rate * hours = basic", "basic + travel + meals = gross"}
    assert "gross - tax - pension - health = net" in laws


def test_weights_that_are_no_sum_are_no_law() -> None:
    random = np.random.default_rng(1)
    parts = random.integers(0, 100, (3000, 3))
    noise, rare = random.integers(0, 2, 3000), np.where(random.random(3000) < 0.001, random.normal(size=3000), np.nan)
    table = pd.DataFrame(parts, columns=["a", "b", "c"]).assign(
        noisy=parts.sum(axis=1) + noise,
        mean=parts.mean(axis=1),
        weighted=parts @ [1, 1, 2],
        positive=noise * parts[:, 0],
        rare=rare,
    )
    laws = [law for law in gpuvgm.TableSynthesizer().fit(table).laws_ if law.sign in ("+", "-", "=")]
    assert [*map(str, laws)] == ["a or 0 = positive"]


def _rows_of(table: pd.DataFrame) -> Any:
    rows = pa.Table.from_pandas(table, preserve_index=False)
    return lambda name: rows.column(name).combine_chunks()


def test_numbers_of_all_types() -> None:
    """Decimals, large whole numbers and dates of other units; a column that equals another one."""
    random = np.random.default_rng(5)
    base, gain = 2**60 + random.integers(0, 10**6, 2000), random.integers(1, 5000, 2000)
    fee = [Decimal(int(cents)) / 100 for cents in random.integers(100, 99_999, 2000)]
    days = random.integers(0, 3000, 2000)
    started = np.datetime64("2010-01-01") + days
    seconds = started.astype("datetime64[s]") + random.integers(0, 10**9, 2000)
    table = pa.table(
        {
            "before": base,
            "gain": gain,
            "after": base + gain,
            "fee": pa.array(fee, pa.decimal128(9, 2)),
            "charged": pa.array([value.quantize(Decimal("0.1")) for value in fee], pa.decimal128(9, 1)),
            "started": pa.array(started, pa.date32()),
            "ended": pa.array(seconds, pa.timestamp("s")),
        }
    )
    fitted = gpuvgm.TableSynthesizer(laws=["auto", "before + gain = after"]).fit(table)
    texts = {str(law) for law in fitted.laws_}
    assert texts == {"before + gain = after", "fee = charged", "started <= ended"}
    rows = fitted.sample(3000)
    before, gain, after = (rows.column(name).to_numpy() for name in ("before", "gain", "after"))
    assert np.all(np.abs(before + gain - after) <= 0)
    assert rows.column("charged").to_pylist() == [
        value.quantize(Decimal("0.1")) for value in rows.column("fee").to_pylist()
    ]
    assert np.all(rows.column("started").to_numpy() <= rows.column("ended").to_numpy())


def test_time_between_dates() -> None:
    """Of two dates and the time between, in days or as a duration, a date is computed."""
    random = np.random.default_rng(6)
    day, stay, minutes = (random.integers(0, most, 2000) for most in (900, 40, 600))
    start = np.datetime64("2020-01-01") + day
    begun = start.astype("datetime64[m]") + random.integers(0, 1440, 2000)
    table = pd.DataFrame(
        {
            "start": start.astype("datetime64[s]"),
            "nights": stay.astype(float),
            "end": (start + stay).astype("datetime64[s]"),
            "begun": begun.astype("datetime64[s]"),
            "over": (begun + minutes).astype("datetime64[s]"),
            "took": minutes.astype("timedelta64[m]").astype("timedelta64[s]"),
        }
    )
    table.loc[::9, ["nights", "end"]] = [np.nan, pd.NaT]
    fitted = gpuvgm.TableSynthesizer().fit(table)
    texts = {str(law) for law in fitted.laws_}
    assert texts & {"nights + start = end in days", "end - nights = start in days"}
    assert texts & {"took + begun = over", "over - took = begun"}
    rows = fitted.sample(2000)
    whole = rows[["start", "nights", "end"]].dropna()
    assert len(whole) == pytest.approx(2000 * 8 / 9, rel=0.05)
    assert ((whole["end"] - whole["start"]).dt.days == whole["nights"]).all()
    assert (rows["over"] - rows["begun"] == rows["took"]).all()
    declared = gpuvgm.TableSynthesizer(laws=["end - start = nights in days"]).fit(table)
    assert [str(law) for law in declared.laws_] == ["end - start = nights in days"]


@pytest.mark.parametrize(
    ("span", "of_span", "step"),
    [("hours", 3600, 0.1), ("minutes", 60, 1.0), ("days", 86_400, 1.0), ("hours", 3600, 0.25)],
)
def test_dates_go_with_lengths_that_are_coarser(span: str, of_span: int, step: float) -> None:
    """Hours to tenths: the second at which a trip ends lies within six minutes, and where in these is drawn."""
    random, rows = np.random.default_rng(4), 3000
    began = np.datetime64("2025-03-03") + random.integers(0, 90 * 86_400, rows).astype("timedelta64[s]")
    seconds = (random.lognormal(0.5, 0.6, rows) * 4 * of_span).astype(int)
    took = np.rint(seconds / of_span / step) * step
    table = pd.DataFrame({"began": began, "took": took.round(2), "ended": began + seconds.astype("timedelta64[s]")})
    fitted = gpuvgm.TableSynthesizer(threads=1).fit(table)
    texts = {str(law) for law in fitted.laws_}
    assert texts & {
        f"took + began = ended in {span}",
        f"ended - took = began in {span}",
        f"began + took = ended in {span}",
    }
    sample = fitted.sample(3000)
    off = (sample.ended - sample.began).dt.total_seconds() / of_span - sample.took
    assert off.abs().max() < step / 2 * 1.0001
    assert abs(off.std() - step / np.sqrt(12)) < step / 30  # as evenly spread as in the table
    assert sample.ended.dt.second.nunique() == 60
    written = fitted.evaluate(table)
    assert not [law for law in written.laws if law.is_broken]


def test_a_coarser_length_that_some_row_breaks_is_no_law() -> None:
    random, rows = np.random.default_rng(4), 3000
    began = np.datetime64("2025-03-03") + random.integers(0, 90 * 1440, rows).astype("timedelta64[m]")
    minutes = random.integers(1, 900, rows)
    hours = (minutes / 60).round(1)
    hours[7] += 0.2
    table = pd.DataFrame({"began": began, "hours": hours, "ended": began + minutes.astype("timedelta64[m]")})
    fitted = gpuvgm.TableSynthesizer(threads=1).fit(table)
    assert not [law for law in fitted.laws_ if "hours" in str(law)]


@pytest.mark.parametrize("kind", ["durations", "seconds", "text"])
def test_several_lengths_lie_between_dates(kind: str) -> None:
    """Calls: a wait and a talk, as durations, whole seconds, or text of pandas; and the talk in minutes beside them."""
    random, rows = np.random.default_rng(8), 3000
    wait, talk = random.exponential(90, rows).astype(int), random.lognormal(5.3, 0.6, rows).astype(int)
    begun = np.datetime64("2025-03-03") + random.integers(0, 120 * 86_400, rows).astype("timedelta64[s]")
    lengths = {"wait": wait, "talk": talk}
    if kind != "seconds":
        lengths = {name: pd.Series(pd.to_timedelta(length, "s")) for name, length in lengths.items()}
    if kind == "text":
        lengths = {name: length.astype(str) for name, length in lengths.items()}
    over = begun + (wait + talk).astype("timedelta64[s]")
    table = pd.DataFrame({"begun": begun, "over": over, "minutes": np.round(talk / 60, 1), **lengths})
    fitted = gpuvgm.TableSynthesizer().fit(table)
    texts = {str(law) for law in fitted.laws_}
    if kind == "seconds":
        assert "begun + wait + talk = over in seconds" in texts
    else:
        assert {"begun + wait + talk = over", "talk = minutes in minutes"} <= texts
    sample = fitted.sample(rows)
    unit = "s" if kind == "seconds" else None
    wait, talk = (pd.to_timedelta(sample[name], unit=unit) for name in ("wait", "talk"))
    assert (sample["over"] - sample["begun"] == wait + talk).all()
    assert (np.abs(talk.dt.total_seconds() / 60 - sample["minutes"]) <= 0.0501).all()
    law = "over - begun - wait = talk" + " in seconds" * (kind == "seconds")
    declared = gpuvgm.TableSynthesizer(laws=[law]).fit(table)
    assert [str(law) for law in declared.laws_] == [law]


def test_text_of_hours_and_minutes_is_a_length_between_dates() -> None:
    """A stay as 2:30, which alone may be a time of the day."""
    random, rows = np.random.default_rng(9), 2000
    begun = np.datetime64("2025-01-02") + random.integers(0, 200 * 1440, rows).astype("timedelta64[m]")
    minutes = random.integers(20, 300, rows)
    stay = [f"{length // 60}:{length % 60:02}" for length in minutes]
    over = (begun + minutes.astype("timedelta64[m]")).astype("datetime64[s]")
    table = pd.DataFrame({"begun": begun.astype("datetime64[s]"), "stay": stay, "over": over, "paid": minutes})
    fitted = gpuvgm.TableSynthesizer().fit(table)
    texts = {str(law) for law in fitted.laws_}
    assert "stay = paid in minutes" in texts and texts & {"stay + begun = over", "over - stay = begun"}
    sample = fitted.sample(rows)
    length = pd.to_timedelta(sample["stay"] + ":00")
    assert (sample["over"] - sample["begun"] == length).all()
    assert (length.dt.total_seconds() == 60 * sample["paid"]).all()


@pytest.mark.parametrize("law", ["over - begun = minutes + minutes", "begun + over + talk = talk", "talk = begun"])
def test_dates_and_lengths_that_do_not_go_together_are_refused(law: str) -> None:
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(400), "h")
    talk = pd.to_timedelta(np.arange(400) % 90, "s")
    table = pd.DataFrame({"begun": day, "over": day + talk, "talk": talk, "minutes": np.arange(400) % 7})
    with pytest.raises(InputError, match="laws: "):
        gpuvgm.TableSynthesizer(laws=[law]).fit(table)


def test_categories_that_decide_others_leave_the_order_of_columns() -> None:
    """Trees draw the others nearly so by themselves, and what depends on these is drawn as without the law."""
    random = np.random.default_rng(4)
    town = random.integers(0, 60, 4000)
    region = town % 6
    income = random.lognormal(region, 0.3).round(2)
    table = pd.DataFrame({"town": [f"T{n}" for n in town], "region": [f"R{n}" for n in region], "income": income})
    fitted, without = gpuvgm.TableSynthesizer().fit(table), gpuvgm.TableSynthesizer(laws="off").fit(table)
    assert [str(law) for law in fitted.laws_] == ["town -> region"]
    assert fitted.network_.structure.order == without.network_.structure.order
    rows, others = fitted.sample(4000), without.sample(4000)
    assert (rows["town"].str[1:].astype(int) % 6 == rows["region"].str[1:].astype(int)).all()
    assert rows[["town", "income"]].equals(others[["town", "income"]])


def _twins(fitted: gpuvgm.TableSynthesizer) -> dict[str, str]:
    return {bins.name: bins.twin for bins in fitted.network_.structure.bins if bins.twin is not None}


@pytest.mark.parametrize("laws", ["auto", "paid <= billed"])
def test_columns_in_order_that_are_often_equal(laws: str) -> None:
    """Nearly a third is; what is drawn the wrong way round is swapped, so that no more is."""
    random = np.random.default_rng(5)
    billed = random.gamma(3, 50, 3000).round(2)
    paid = np.where(random.random(3000) < 0.3, billed, (billed * random.random(3000)).round(2))
    table = pd.DataFrame({"billed": billed, "paid": paid})
    (law,) = (fitted := gpuvgm.TableSynthesizer(laws=laws).fit(table)).laws_
    assert str(law) == "paid <= billed" and _twins(fitted) == {"paid": "billed"}
    rows, others = fitted.sample(4000), gpuvgm.TableSynthesizer(laws="off").fit(table).sample(4000)
    wrong = others["paid"] > others["billed"]
    assert 0 < wrong.mean() < 0.02
    assert (rows["paid"] == rows["billed"]).mean() == pytest.approx((paid == billed).mean(), abs=0.06)
    assert rows["paid"].equals(others["paid"].where(~wrong, others["billed"]))
    assert rows["billed"].equals(others["billed"].where(~wrong, others["paid"]))


@pytest.mark.parametrize("type_", [np.int64, np.float64])
@pytest.mark.parametrize("is_often_equal", [True, False])
def test_columns_in_order_of_different_steps_keep_their_distributions(type_: Any, is_often_equal: bool) -> None:
    """What is drawn the wrong way round is put in order; drawn again, it would prefer rows of one kind to others."""
    random = np.random.default_rng(6)
    is_late = random.random(4000) < 0.5
    last = np.where(is_late, random.integers(300, 6000, 4000), random.integers(1, 60, 4000))
    first = np.where(is_late, last - (not is_often_equal), np.floor(last * random.random(4000)))
    first = np.maximum(first - 0.5 * (random.random(4000) < 0.3), 0)
    table = pd.DataFrame({"first": first, "last": last.astype(type_)})
    (law,) = (fitted := gpuvgm.TableSynthesizer().fit(table)).laws_
    assert str(law) == "first <= last" and bool(_twins(fitted)) == is_often_equal
    rows = fitted.sample(8000)
    assert (rows["first"] <= rows["last"]).all()
    assert (rows["first"] * 2 % 1 == 0).all() and rows["last"].dtype == type_ and (rows["last"] % 1 == 0).all()
    assert (rows["first"] % 1).mean() == pytest.approx((first % 1).mean(), abs=0.05)
    for name, values in table.items():
        assert (rows[name] > values.median()).mean() == pytest.approx((values > values.median()).mean(), abs=0.03)


@pytest.mark.parametrize("laws", ["auto", ["start <= end"]])
def test_whole_numbers_in_order_have_more_digits_than_floats(laws: Any) -> None:
    """Such as nanoseconds since 1970: where two are equal, their floats may not be."""
    random = np.random.default_rng(6)
    start = 1_700_000_000_000_000_000 + random.integers(0, 3 * 10**16, 3000)
    end = start + np.where(random.random(3000) < 0.3, 0, random.integers(0, 10**15, 3000))
    fitted = gpuvgm.TableSynthesizer(laws=laws).fit({"start": start, "end": end})
    assert [str(law) for law in fitted.laws_] == ["start <= end"]
    rows = fitted.sample(4000)
    assert (rows["start"] <= rows["end"]).all() and rows["end"].dtype == np.int64


def test_columns_with_few_different_values_are_drawn_and_others_computed() -> None:
    """A score ends in two thousandths; centred on the mean of its group it has all digits, also near 0."""
    random = np.random.default_rng(8)
    group = random.integers(0, 40, 4000)
    score = ((random.normal(0, 60, 4000) + 12 * (group % 7)).round() / 100 + 0.002).round(3)
    mean = pd.Series(score).groupby(group).transform("mean").to_numpy()
    mark = np.where(score - mean + random.normal(0, 0.2, 4000) > 0, "a", "b")  # so that centred scores come first
    centred = np.where(np.arange(4000) % 500, score - mean, 1e-9)
    dust = random.uniform(-1, 1, 4000) * 1e-15
    table = pd.DataFrame({"score": score, "mean": score - centred, "centred": centred + dust, "mark": mark})
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert [str(law) for law in fitted.laws_] == ["score - mean = centred"]
    assert (np.rint(fitted.sample(2000)["score"] * 1000) % 10 == 2).mean() > 0.99


def test_columns_that_are_never_there_together_have_no_laws() -> None:
    """No row says anything of them, as where a panel has other columns in other years."""
    random = np.random.default_rng(7)
    year = random.integers(0, 3, 3000)
    one, two, three = (pd.Series(random.integers(1, 90, 3000).astype(float)) for _ in range(3))
    table = pd.DataFrame({"one": one.where(year == 0), "two": two.where(year == 0), "three": three.where(year == 1)})
    assert gpuvgm.TableSynthesizer().fit(table).laws_ == ()


def test_equal_columns_are_in_no_order() -> None:
    """Rows drawn until both orders hold would have other values than the table; one is computed of the other."""
    random = np.random.default_rng(5)
    grade = random.normal(50, 15, 4000).round(1)
    table = pd.DataFrame({"grade": grade, "again": grade, "mark": (grade + random.normal(0, 1, 4000)).round(1)})
    table.loc[random.random(4000) < 0.5, "again"] = np.nan
    table["seen"] = np.where(table["again"].isna(), "once", "twice")
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert [str(law) for law in fitted.laws_] == ["grade = again"]
    rows = fitted.sample(3000)
    assert (rows["again"].isna() | (rows["again"] == rows["grade"])).all()
    assert (rows["again"].isna() == (rows["seen"] == "once")).mean() > 0.99
    assert gpuvgm.TableSynthesizer(laws="auto; not grade = again").fit(table).laws_ == ()


def test_independent_columns_have_no_laws() -> None:
    """Neither by chance, nor as ranges do not overlap, nor where a column hardly varies."""
    random = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "age": random.integers(18, 90, 3000),
            "income": random.lognormal(8, 1, 3000).round(2) + 100,
            "city": random.choice([f"city {number}" for number in range(40)], 3000),
            "rare": random.random(3000) < 0.002,
            "zero": np.where(random.random(3000) < 0.002, 1.5, 0.0),
        }
    )
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert fitted.laws_ == ()
    assert fitted.sample(300).equals(gpuvgm.TableSynthesizer(laws="off").fit(table).sample(300))


@pytest.mark.parametrize(
    ("laws", "expected"),
    [
        ("net + tax = gross", {"net + tax = gross"}),
        (["gross - tax = net", "tax <= gross"], {"gross - tax = net", "tax <= gross"}),
        ("auto; not gross - tax = net", {"tax <= net", "net <= gross"}),
        (["net <= gross"], {"net <= gross"}),
    ],
)
def test_laws_are_declared_and_forbidden(laws: Any, expected: set[str], table: pd.DataFrame) -> None:
    part = table[["net", "tax", "gross"]].dropna()
    part = part[part["tax"] > 0]
    fitted = gpuvgm.TableSynthesizer(laws=laws).fit(part)
    assert {str(law) for law in fitted.laws_} == expected
    if "<=" in str(laws):
        rows = fitted.sample(1000)
        assert (rows["net"] <= rows["gross"]).all()


@pytest.mark.parametrize(
    ("laws", "problem"),
    [
        ("net + tax = sum", "'net \\+ tax = sum' is no law of the modelled columns"),
        ("net+tax=gross", "is no law of the modelled columns"),
        ("product + net = gross", 'column "product" is not modelled as numbers'),
        ("net <= opened", '"opened" holds moments without a time zone; an order takes columns of one sort'),
        ("closed - opened = net", "dates and times have orders, and a time between"),
        ("opened + closed = net in days", "dates and times have orders, and a time between"),
        ("net + tax = gross; gross - tax = net", '"gross - tax = net" cannot be kept beside the others: "net" is'),
        ("net * tax / 0 = gross", "is no law of the modelled columns"),
        ("net + tax + product = gross", 'column "product" is not modelled as numbers'),
        ("net + tax + opened = closed", "dates and times have orders, and a time between"),
        ("net * tax * pieces * price = gross", "is no law of the modelled columns"),
        ("net + tax / 100 = gross", "is no law of the modelled columns"),
        (3, 'laws must be "auto", "off", or a list of texts of laws and of objects with holds\\(rows\\), got 3'),
    ],
)
def test_what_is_no_law_is_refused(laws: Any, problem: str, table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=problem):
        gpuvgm.TableSynthesizer(laws=laws).fit(table)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("gross == net+tax", "net + tax = gross"),
        ('"Net" + "Tax" = "grss"', "net + tax = gross"),
        ("gross = sum(net, tax)", "net + tax = gross"),
        ("net + tax - gross = 0", "net + tax = gross"),
        ("end>start", "start <= end"),
        ("unit-price*pieces=net", "unit-price * pieces = net"),
        ("net**2 = gross", "net^2 = gross"),
        ("pieces x unit-price = net", "pieces * unit-price = net"),
        ("product=>unit-price", "product -> unit-price"),
        ("product determines unit price", "product -> unit-price"),
        ("product -> step(net)", "product -> steps(net)"),
    ],
)
def test_texts_that_are_nearly_laws_are_told_which(text: str, meant: str) -> None:
    names = ["net", "tax", "gross", "start", "end", "unit-price", "pieces", "product"]
    with pytest.raises(InputError, match="is no law of the modelled columns") as refused:
        sorts.law_of_text(text, names)
    assert str(refused.value).endswith(f'; did you mean "{meant}"?')
    assert str(sorts.law_of_text(meant, names)) == meant


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("net + tax <= gross", 'the nearest laws are written "a <= b"; what no text says, an object with holds'),
        ("gross = net + 2 * tax", 'the nearest laws are written "1000 \\* a \\+ b = c", "a \\* \\(1 \\+ b'),
        ("net != gross", 'what no text says, an object with holds\\(rows\\) does; laws are written "a \\+ b = c"'),
        ("net is missing", "what no text says, an object with holds\\(rows\\) does; laws are written"),
    ],
)
def test_what_no_text_says_is_refused_with_the_nearest_forms(text: str, advice: str) -> None:
    with pytest.raises(InputError, match=f"is no law of the modelled columns net, tax, gross; {advice}"):
        sorts.law_of_text(text, ["net", "tax", "gross"])


def test_loaded_laws_are_checked(fitted: Any, tmp_path: Any) -> None:
    wrong = clone(fitted)
    for laws in (
        [Order(("net",), "nothing")],
        [Sum(("net",), "gross")],
        [Product(("price", "pieces", "tax", "net"), "gross")],
        [Sum(("net", "tax"), "gross", shift=2.0)],
        [Sum(("net", "tax", "tax"), "gross")],
        [Difference(("gross", "tax"), "net", function="-+")],
        [Difference(("gross", "tax"), "net", function="+--")],
        [Order(("net", "tax"), "gross")],
        [Lookup(("product",), "price", keys=(2.0, 1.0), values=(1.0, 1.0))],
        [Order(("product",), "net")],
        [Sum(("net", "tax"), "gross", power=-2)],
        [Product(("price", "pieces"), "net", power=10**9)],
        [Equality(("net",), "gross"), Equality(("gross",), "net")],
        [Equality(("net",), "gross"), Equality(("tax",), "gross")],
    ):
        wrong._with(replace(fitted._fitted, laws=Laws(laws)))
        with pytest.raises(InputError, match="it could not be read again: .*(laws?|numbers)"):
            wrong.save(tmp_path / "wrong.gpuvgm")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (3, "a law is 3, not an object"),
        ({"operands": ["net"], "target": "gross"}, 'a law: sign must be "\\+", .*"steps" or "within", got None'),
        ({"sign": ["+"]}, "a law: sign must be .* got \\['\\+'\\]"),
        ({"sign": "=", "operands": ["net"]}, "a law lacks target"),
    ],
)
def test_documents_that_are_no_laws_are_refused(document: Any, problem: str, fitted: Any) -> None:
    with pytest.raises(ValueError, match=problem):
        Laws.of_documents([document], fitted.transformer_.model_.by_name)


def test_the_page_on_counts_has_all_sorts() -> None:
    page = (Path(__file__).parents[2] / "docs/explanation/counts.md").read_text(encoding="utf-8")
    assert [text for sort in sorts.LAWS for text in sort.examples if f"`{text}`" not in page] == []


class Maximum(Equation):
    """The target is the larger one of two operands: a made-up sort of law."""

    sign = "max"
    examples = ("a max b = c",)
    arity = range(2, 3)

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[list[Maximum]]:
        targets = Targets.of(sample, sample.numeric(sample.number_columns))
        for operands in combinations(sample.number_columns, 2):
            for target in targets.equal_to(sample.first_amounts(operands).max(axis=0)):
                if target not in operands and (law := cls(operands, target)).is_evident(sample):
                    yield [law]

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        return (cls(pair, right, span) for left, right, span in equations(text, names) for pair in splits(left, "max"))

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        *units, target = self._units(columns)
        first, second = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        largest: Floats = np.maximum(first, second) / float(target.factor) - target.base
        return largest


def test_a_new_sort_of_law_is_a_class_and_a_line_of_the_table(monkeypatch: pytest.MonkeyPatch, reloaded: Any) -> None:
    """It is found, told, declared, forbidden, kept, scored, refuted, saved and loaded; nothing else knows of it."""
    table = (*sorts.LAWS, Maximum)
    for module in (sorts, search):
        monkeypatch.setattr(module, "LAWS", table)
    random = np.random.default_rng(0)
    quote, offer = random.gamma(3, 50, (2, 2000)).round(2)
    table = pd.DataFrame({"quote": quote, "offer": offer, "price": np.maximum(quote, offer)})
    text = "quote max offer = price"
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert fitted.fit_report_.laws == (text,)
    loaded = reloaded(fitted)
    assert loaded.laws_ == fitted.laws_ == (Maximum(("quote", "offer"), "price"),)
    for condition in ({}, {"price": (100, 150)}):
        rows = loaded.sample(1000, conditions=condition)
        assert rows[["quote", "offer"]].max(axis=1).equals(rows["price"])
    wrong = table.assign(price=table["price"] + 0.01 * (np.arange(2000) % 2))
    assert np.isneginf(fitted.score_samples(wrong)).tolist() == [False, True] * 1000
    assert fitted.partial_fit(wrong[:10]).laws_[0].breaches == 5
    for wanted, found in ((text, [text]), (f"auto; not {text}", ["quote <= price", "offer <= price"])):
        assert [str(law) for law in gpuvgm.TableSynthesizer(laws=wanted).fit(table).laws_] == found
    with pytest.raises(
        InputError, match='"a -> steps\\(b\\)", "a max b = c", "a -> code\\(b\\)" and "end - start = stay in days"'
    ):
        gpuvgm.TableSynthesizer(laws="quote max bid = price").fit(table)


def test_numbers_that_64_bits_with_a_sign_lack_are_no_dates() -> None:
    codes = np.random.default_rng(0).integers(2**63, 2**64, 500, dtype=np.uint64)
    table = pd.DataFrame({"code": codes, "text": [f"n{code % 97:02}" for code in codes]})
    fitted = gpuvgm.TableTransformer(columns={"code": "continuous"}).fit(table)
    assert fitted.evaluate(table, compare=table[:250]).laws is not None
