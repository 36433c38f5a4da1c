"""Laws by which two columns decide a third: a combination of values that five rows have goes with one value."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp
from sklearn.base import clone

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.laws.pairs import Agreement, PairLookup
from gpuvgm.laws.sample import LawSample
from gpuvgm.laws.sorts import law_of_text

ROUTES = "origin, dest -> distance"
AIRPORTS, ROWS = 30, 4_000


def _routes(rows: int = 3000, seed: int = 3) -> pd.DataFrame:
    """Flights on 400 routes, few of which have most of them. Some lack a distance, and few a destination."""
    random, places = np.random.default_rng(seed), np.random.default_rng(1).uniform(0, 4000, (AIRPORTS, 2))
    of_routes = np.random.default_rng(2).permutation(AIRPORTS * (AIRPORTS - 1))[:400]
    origins, to = np.divmod(of_routes, AIRPORTS - 1)
    dests = to + (to >= origins)
    share = 1 / np.arange(1, 401)
    route = random.choice(400, rows, p=share / share.sum())
    origin, dest = origins[route], dests[route]
    distance = pd.Series(np.hypot(*(places[origin] - places[dest]).T).round())
    delay = pd.Series(random.gamma(2, 12, rows).round() - 10)
    return pd.DataFrame(
        {
            "carrier": np.array(list("ABCDE"))[(origin + random.integers(0, 2, rows)) % 5],
            "origin": [f"O{number:02d}" for number in origin],
            "dest": pd.Series([f"D{number:02d}" for number in dest]).where(random.random(rows) > 0.02),
            "distance": distance.where(random.random(rows) > 0.03),
            "haul": np.where(distance > 1500, "long", "short"),
            "delay": delay.where(random.random(rows) > 0.05),
        }
    ).assign(distance=lambda table: table["distance"].where(table["dest"].notna(), 0.0))


def _shop(rows: int = 4000, seed: int = 4) -> pd.DataFrame:
    """Order lines of 60 articles, whose list prices some months raise; the net amount is a product."""
    random, prices = np.random.default_rng(seed), np.random.default_rng(5).lognormal(3, 1, 60).round(2)
    raised = (np.random.default_rng(6).random((60, 12)) < 0.3).cumsum(axis=1)
    article, month = random.integers(0, 60, rows), random.integers(0, 12, rows)
    price, pieces = (prices[article] * (1 + 0.05 * raised[article, month])).round(2), random.integers(1, 60, rows)
    return pd.DataFrame(
        {
            "article": [f"A{number:02d}" for number in article],
            "month": 1 + month,
            "price": price,
            "pieces": pieces,
            "net": (price * pieces).round(2),
            "paid": random.choice(["card", "cash", "invoice"], rows),
        }
    )


def _of_usual(rows: pd.DataFrame, table: pd.DataFrame, law: str) -> tuple[pd.Series, pd.Series]:
    """What rows have as a law's target, and what combinations that five rows with a target have decide of it."""
    operands, target = law.split(" -> ")
    by = operands.split(", ")
    groups = table[table[target].notna()].groupby(by, dropna=False)[target]
    decided = groups.first()[groups.size() >= 5].rename("decided").reset_index()
    beside = rows.merge(decided, on=by)
    return beside[target], beside["decided"]


def _texts(fitted: gpuvgm.TableSynthesizer) -> list[str]:
    return [str(law) for law in fitted.laws_]


@pytest.fixture(scope="module")
def routes() -> pd.DataFrame:
    """Training rows."""
    return _routes()


@pytest.fixture(scope="module")
def fitted(routes: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer of them."""
    return gpuvgm.TableSynthesizer().fit(routes)


@pytest.fixture(scope="module")
def fitted_distances(routes: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer whose distances are to have conditions."""
    fitted = gpuvgm.TableSynthesizer(conditions_on=["distance"]).fit(routes)
    assert _texts(fitted) == [ROUTES]
    return fitted


def _assert_kept(rows: pd.DataFrame, table: pd.DataFrame, law: str, least: float = 0.5) -> None:
    """All rows with a combination that five rows have keep the law, and a good share has such a combination."""
    values, decided = _of_usual(rows, table, law)
    assert ((values == decided) | values.isna()).all()
    assert len(values) > least * len(rows)


def test_two_columns_decide_a_third(routes: pd.DataFrame, fitted: Any, reloaded: Any) -> None:
    assert fitted.fit_report_.laws == (ROUTES,)
    rows = fitted.sample(5000)
    _assert_kept(rows, routes, ROUTES, 0.7)
    assert rows["distance"].isna().mean() == pytest.approx(routes["distance"].isna().mean(), abs=0.01)
    assert ((rows["distance"] > 1500) == (rows["haul"] == "long"))[rows["distance"].notna()].mean() > 0.9
    loaded = reloaded(fitted)
    assert loaded.laws_ == fitted.laws_ and loaded.sample(3000).equals(rows[:3000])
    parts = [fitted.sample(stop - start, first_row=start) for start, stop in ((0, 1), (1, 900), (900, 5000))]
    assert pd.concat(parts, ignore_index=True).equals(rows)
    without = gpuvgm.TableSynthesizer(laws="off").fit(routes).sample(5000)
    values, decided = _of_usual(without, routes, ROUTES)
    assert (values == decided).mean() < 0.9


def test_prices_of_articles_and_months_make_net_amounts() -> None:
    table = _shop()
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert {*_texts(fitted)} == {"article, month -> price", "price * pieces = net"}
    rows = fitted.sample(4000)
    _assert_kept(rows, table, "article, month -> price", 0.6)
    assert ((rows["price"] * rows["pieces"] - rows["net"]).abs() < 0.00501).all()


@pytest.mark.parametrize("rows", [200, 1000])
def test_few_rows_are_evidence(rows: int) -> None:
    for seed in range(3):
        assert ROUTES in _texts(gpuvgm.TableSynthesizer().fit(_routes(rows, seed).drop(columns="haul")))


def _pairs_of(fitted: gpuvgm.TableSynthesizer, table: dict[str, Any]) -> list[str]:
    """Lookups by two columns that are found in a table with the columns of a fitted one."""
    columns = fitted.transformer_.model_.by_name
    sample = LawSample(columns, table.__getitem__)
    return [str(law) for (law,) in PairLookup.find(sample)]


def test_permuted_targets_are_not_decided(routes: pd.DataFrame, fitted: Any) -> None:
    """Neither in many tables nor in few rows, nor where a column decides nearly all by itself."""

    def column(values: pd.Series) -> Any:
        return pa.Array.from_pandas(values)

    whole = {name: column(values) for name, values in routes.items()}
    assert ROUTES in _pairs_of(fitted, whole)
    for seed in range(40):
        part = routes.sample(200 if seed % 2 else len(routes), random_state=seed)
        places = np.random.default_rng(seed).permutation(len(part))
        table = {name: column(values) for name, values in part.items()}
        table |= {"distance": table["distance"].take(pa.array(places)), "haul": table["haul"].take(pa.array(places))}
        assert not _pairs_of(fitted, table)


def test_a_law_that_few_rows_break_is_none() -> None:
    table = _routes().drop(columns="haul")
    wrong = np.random.default_rng(0).random(len(table)) < 0.03
    assert not _texts(gpuvgm.TableSynthesizer().fit(table.assign(distance=table["distance"] + wrong)))


def test_what_one_column_decides_needs_no_second() -> None:
    """Nor is one frequent combination a proof, beside which all others have one value."""
    random = np.random.default_rng(1)
    town, colour = random.integers(0, 40, 3000), random.integers(0, 12, 3000)
    is_odd = (town == 7) & (colour == 3)
    is_odd[:500] = True
    town[:500], colour[:500] = 7, 3
    table = pd.DataFrame({"town": [f"T{n}" for n in town], "colour": [f"C{n}" for n in colour]})
    table["region"], table["flag"] = (town % 5).astype(str), np.where(is_odd, "yes", "no")
    assert _texts(gpuvgm.TableSynthesizer().fit(table)) == ["town -> region"]


def test_evidence_is_what_one_column_does_not_tell() -> None:
    """Of the further rows of a combination, given all rows but its own, of which the first one stays."""
    random = np.random.default_rng(3)
    first, second = random.integers(0, 6, 200), random.integers(0, 5, 200)
    target = np.random.default_rng(4).integers(0, 4, (6, 5))[first, second]
    expected = []
    for a, b in sorted({*zip(first.tolist(), second.tolist(), strict=True)}):
        repeated = (first == a) & (second == b)
        beside = [~repeated & (first == a), ~repeated & (second == b), ~repeated]
        value = target[repeated][0]
        shares = [(np.sum(target[rows] == value) + 1) / (np.sum(rows) + 1) for rows in beside]
        expected.append((repeated.sum() - 1) * -np.log(max(shares)))
    assert Agreement(first, second, target).evidence() == pytest.approx(np.array(expected), rel=1e-12)
    assert Agreement(first, second, first).evidence() == pytest.approx(0)


@pytest.mark.parametrize(
    "condition",
    [
        {"origin": "O03"},
        {"origin": ["O03", "O07"], "carrier": "A"},
        {"distance": (500, 900)},
        {"distance": (500, 2500), "dest": ["D01", "D09", "D20"]},
        {"haul": "long", "delay": (0, 20)},
    ],
)
def test_conditions_and_the_law_hold_together(
    condition: dict[str, Any], routes: pd.DataFrame, fitted: Any, fitted_distances: Any
) -> None:
    """Whether the target was to have conditions or not."""
    for model in (fitted, fitted_distances):
        rows = model.sample(600, conditions=condition)
        _assert_kept(rows, routes, ROUTES, 0.3)
        for name, asked in condition.items():
            values = rows[name]
            assert (values.between(*asked) if isinstance(asked, tuple) else values.isin(np.atleast_1d(asked))).all()
        parts = [model.sample(9, conditions=condition), model.sample(591, first_row=9, conditions=condition)]
        assert pd.concat(parts, ignore_index=True).equals(rows)


def test_densities(routes: pd.DataFrame, fitted: Any) -> None:
    """What is looked up is certain, what breaks the law impossible; rare combinations are as likely as without it."""
    (law,) = fitted.laws_
    scores = fitted.score_samples(routes)
    assert np.isfinite(scores).all()
    wrong = fitted.score_samples(routes.assign(distance=routes["distance"] + 1))
    keys = {*zip(law.keys[::2], law.keys[1::2], strict=True)}
    origins, dests = (fitted.transformer_.model_.by_name[name].categories for name in law.operands)
    known = np.array(
        [
            (origins.index(origin), dests.index(None if pd.isna(dest) else dest)) in keys
            for origin, dest in zip(routes["origin"], routes["dest"], strict=True)
        ]
    )
    assert (np.isneginf(wrong) == (known & routes["distance"].notna())).all()


def test_densities_of_all_rows_add_up() -> None:
    random = np.random.default_rng(1)
    make, trim = random.integers(0, 6, 3000), random.integers(0, 4, 3000)
    make[(trim == 3) & (make == 5)] = 0
    make[:3], trim[:3] = 5, 3
    price = np.random.default_rng(2).integers(0, 7, (6, 4))[make, trim].astype(str)
    table = pd.DataFrame({"make": make.astype(str), "trim": trim.astype(str), "price": price})
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert _texts(fitted) == ["make, trim -> price"] and len(fitted.laws_[0].values) == 23
    every = pd.MultiIndex.from_product([table[name].unique() for name in table], names=[*table])
    scores = fitted.score_samples(every.to_frame(index=False))
    assert np.exp(scores).sum() == pytest.approx(1, abs=1e-9)


def test_counts_add_up_and_later_rows_break_the_law(
    routes: pd.DataFrame, fitted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    like = gpuvgm.TableSynthesizer(like=fitted)
    halves = clone(like).fit(routes[:1500]).merge(clone(like).fit(routes[1500:]))
    added = clone(like).fit(routes[:1500]).partial_fit(routes[1500:])
    assert halves.laws_ == added.laws_ == fitted.laws_
    assert halves.sample(500).equals(fitted.sample(500)) and added.sample(500).equals(fitted.sample(500))
    usual = routes[routes.groupby(["origin", "dest"])["distance"].transform("size") >= 9].dropna()[:7]
    with caplog.at_level(logging.WARNING, "gpuvgm"):
        broken = added.partial_fit(usual.assign(distance=usual["distance"] + 5))
    assert f'the law "{ROUTES}" is broken by 7 rows: samples do not keep it' in caplog.messages
    assert broken.fit_report_.laws == ()


def test_rare_combinations_are_not_in_the_table(routes: pd.DataFrame, fitted: Any) -> None:
    (law,) = fitted.laws_
    rows = routes[routes["distance"].notna()].groupby(["origin", "dest"], dropna=False).size()
    assert len(law.values) == (rows >= 5).sum() > 100 and len(law.keys) == 2 * len(law.values)


def test_what_few_customers_buy_is_not_in_the_table() -> None:
    """In however many rows; and rows of one customer are no evidence of what goes with an article and a month."""
    random, table = np.random.default_rng(0), _shop(6000)
    customer = random.integers(0, 300, len(table))
    table.loc[:29, ["article", "month", "price"]], customer[:30] = ["A60", 1, 12.34], 7
    table = table.assign(customer=[f"user{number}@mail{number % 7}.com" for number in customer])
    fitted = gpuvgm.TableSynthesizer(laws=["auto", "article, month -> price"]).fit(table.drop(columns=["net", "paid"]))
    (law,) = fitted.laws_
    article = fitted.transformer_.model_.by_name["article"].categories.index("A60")
    assert article not in law.keys[::2] and len({*law.keys[::2]}) == 60


@pytest.mark.parametrize("text", [ROUTES, "dest, origin -> distance", "distance <- origin, dest"])
def test_pairs_are_declared_and_forbidden(text: str, routes: pd.DataFrame) -> None:
    assert _texts(gpuvgm.TableSynthesizer(laws=text).fit(routes)) == [ROUTES]
    assert _texts(gpuvgm.TableSynthesizer(laws=f"auto; not {text}").fit(routes)) == []


def test_names_with_commas_and_arrows() -> None:
    names = ["a, b", "a", "b", "b, c", "d -> e", "e"]
    assert law_of_text("a, b -> e", names).operands == ("a, b",)
    assert law_of_text("a, b, c -> d -> e", names).names == ("a", "b, c", "d -> e")
    assert law_of_text("e <- b, a", names).names == ("a", "b", "e")
    with pytest.raises(InputError, match='"a, b -> c"'):
        law_of_text("a, x -> e", names)


def test_a_law_without_a_usual_combination_is_refused(routes: pd.DataFrame) -> None:
    few = routes.drop_duplicates(["origin", "dest"])
    with pytest.raises(InputError, match='no value of "origin" and "dest" has 5 rows'):
        gpuvgm.TableSynthesizer(laws=ROUTES).fit(few)


def test_loaded_pairs_are_checked(fitted: Any) -> None:
    columns, (law,) = fitted.transformer_.model_.by_name, fitted.laws_
    law.check(columns)
    for wrong in (
        replace(law, keys=law.keys[:-1]),
        replace(law, keys=law.keys[2:] + law.keys[:2]),
        replace(law, keys=law.keys[:2] + law.keys[:-2]),
        replace(law, operands=("origin",)),
        replace(law, operands=("origin", "origin")),
        replace(law, operands=("origin", "dest", "carrier")),
        replace(law, keys=(), values=()),
    ):
        with pytest.raises(ValueError, match='"?(the law|the numbers of) '):
            wrong.check(columns)


def claims(random: np.random.Generator) -> pd.DataFrame:
    """What is claimed, up to the limit of a grade in a region."""
    limits = np.random.default_rng(9).integers(30, 300, (12, 12)) * 10
    grade, region = random.integers(0, 12, (2, ROWS))
    limit = limits[grade, region]
    claim = np.round(limit * random.beta(4, 1.2, ROWS), 2)
    names = {"grade": [f"G{place}" for place in grade], "region": [f"R{place}" for place in region]}
    return pd.DataFrame({"claim": claim, **names, "limit": limit, "age": random.integers(18, 70, ROWS)})


def detours(random: np.random.Generator) -> pd.DataFrame:
    """Kilometres that are flown, which are no less than the distance."""
    distances = np.random.default_rng(8).integers(100, 3000, (12, 12))
    origin, dest = random.integers(0, 12, (2, ROWS))
    flown = distances[origin, dest] + random.gamma(2, 40, ROWS).round()
    names = {"origin": [f"O{place}" for place in origin], "dest": [f"D{place}" for place in dest]}
    return pd.DataFrame(names | {"distance": distances[origin, dest], "flown": flown})


@pytest.mark.parametrize(
    ("trade", "pair", "low", "high"),
    [(claims, "grade, region -> limit", "claim", "limit"), (detours, "origin, dest -> distance", "distance", "flown")],
)
def test_orders_hold_beside_what_pairs_decide(trade: Any, pair: str, low: str, high: str, reloaded: Any) -> None:
    """Rows that break the order are drawn again: exchanged, the column would be none of its table."""
    table = trade(np.random.default_rng(1))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert {*fitted.fit_report_.laws} == {pair, f"{low} <= {high}"}
    rows = fitted.sample(2 * ROWS)
    assert (rows[low] <= rows[high]).all()
    first, second = pair.partition(" -> ")[0].split(", ")
    decided = table.groupby([first, second])[pair.rpartition(" ")[2]].first()
    assert (decided[pd.MultiIndex.from_frame(rows[[first, second]])].to_numpy() == rows[decided.name]).mean() > 0.999
    for name in (low, high):
        assert ks_2samp(rows[name], table[name]).statistic < 0.05
    some = fitted.sample(200, conditions={high: (table[high].median(), None)})
    assert (some[low] <= some[high]).all() and (some[high] >= table[high].median()).all()
