"""Kinds of laws: each is found in tables of two trades, holds in samples, is written by users, and is not made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.laws.sorts import law_of_text

Table = dict[str, Any]
ROWS = 2_000


def _cents(amounts: Any) -> Any:
    return np.round(amounts, 2)


def till(random: np.random.Generator) -> Table:
    """Lines of a shop's till: value-added tax in percent, and what is free of it."""
    net, rate = _cents(random.lognormal(3, 1, ROWS)), random.choice([0, 7, 19], ROWS, p=[0.1, 0.4, 0.5])
    shop = random.choice(["north", "south"], ROWS)
    return {"net": net, "shop": shop, "rate": rate, "gross": _cents(net * (1 + rate / 100))}


def salaries(random: np.random.Generator) -> Table:
    """Raises as shares; some employees have no bonus, and so no pay."""
    base, bonus = random.integers(2_000, 9_000, ROWS), random.uniform(0, 0.3, ROWS).round(3)
    bonus[random.random(ROWS) < 0.1] = np.nan
    return {"base": base, "bonus": bonus, "age": random.integers(20, 65, ROWS), "pay": _cents(base * (1 + bonus))}


def order_lines(random: np.random.Generator) -> Table:
    """Order lines with a discount that most do not get."""
    price, pieces = _cents(random.lognormal(3, 1, ROWS)), random.integers(1, 30, ROWS)
    discount = random.choice([0, 0.05, 0.1, 0.25], ROWS, p=[0.6, 0.2, 0.1, 0.1])
    return {
        "pieces": pieces,
        "discount": discount,
        "price": price,
        "total": _cents(price * pieces * (1 - discount)),
        "channel": random.choice(["web", "phone"], ROWS),
    }


def hotels(random: np.random.Generator) -> Table:
    """Nights at a rate, less percents for members."""
    rate, nights = random.integers(40, 400, ROWS), random.integers(1, 60, ROWS)
    off = random.choice([0.0, 7.5, 15.0], ROWS)
    return {"rate": rate, "nights": nights, "off": off, "paid": _cents(rate * nights * (1 - off / 100))}


def crates(random: np.random.Generator) -> Table:
    length, width, height = random.integers(10, 120, (3, ROWS))
    weight = random.gamma(3, 4, ROWS).round(1)
    return {"length": length, "width": width, "height": height, "weight": weight, "volume": length * width * height}


def loans(random: np.random.Generator) -> Table:
    amount, share, years = (
        random.integers(1, 90, ROWS) * 100,
        random.uniform(0, 1, ROWS).round(2),
        random.integers(1, 30, ROWS),
    )
    return {"amount": amount, "share": share, "years": years, "cost": _cents(amount * share * years)}


def power(random: np.random.Generator) -> Table:
    """Shares of sources of power in percent, each rounded."""
    shares = 100 * random.dirichlet([4, 3, 2, 1], ROWS)
    return {"gwh": random.lognormal(5, 1, ROWS).round(1)} | dict(
        zip(["coal", "gas", "wind", "sun"], shares.T.round(1), strict=True)
    )


def schools(random: np.random.Generator) -> Table:
    """Two parts of 600 pupils, and two shares of a whole."""
    girls, share = random.integers(100, 500, ROWS), random.uniform(0.2, 0.8, ROWS).round(3)
    return {"girls": girls, "boys": 600 - girls, "pass": share, "fail": (1 - share).round(3)}


def stays(random: np.random.Generator) -> Table:
    """Stays in a hospital with times of the day; few different nights."""
    start = np.datetime64("2024-03-01T00:00") + random.integers(0, 500, ROWS).astype("m8[D]")
    nights = random.integers(0, 12, ROWS)
    hours = random.integers(0, 12 * 60, ROWS)
    arrival = start + hours.astype("m8[m]")
    departure = start + nights.astype("m8[D]") + (hours + random.integers(1, 12 * 60, ROWS)).astype("m8[m]")
    ward = random.choice(["a", "b", "c"], ROWS)
    return {"ward": ward, "arrival": arrival.astype("M8[s]"), "departure": departure.astype("M8[s]"), "nights": nights}


def rentals(random: np.random.Generator) -> Table:
    """Cars that are rented for many days, some not yet back."""
    start = np.datetime64("2023-01-01T00:00:00") + random.integers(0, 86_400 * 700, ROWS).astype("m8[s]")
    end = start + random.integers(3_600, 86_400 * 90, ROWS).astype("m8[s]")
    days = (end.astype("M8[D]") - start.astype("M8[D]")).astype(float)
    days[random.random(ROWS) < 0.1] = np.nan
    return {"out": start, "back": pd.Series(end).where(~np.isnan(days)), "days": days, "km": random.gamma(2, 300, ROWS)}


def families(random: np.random.Generator) -> Table:
    """Numbers of few values, which are categories."""
    adults, children = random.integers(1, 4, ROWS), random.integers(0, 5, ROWS)
    income = random.lognormal(8, 0.5, ROWS).round()
    return {"adults": adults, "children": children, "income": income, "persons": adults + children}


def brewery(random: np.random.Generator) -> Table:
    """Batches whose costs stand beside the kilograms that they come from: a sum has no other weights for that."""
    litres, malt, hops = random.integers(900, 9_000, (3, ROWS))
    malt_cost, hop_cost, energy = _cents(0.62 * malt), _cents(0.025 * hops), _cents(random.lognormal(4, 0.5, ROWS))
    total = _cents(malt_cost + hop_cost + energy)
    columns = {"litres": litres, "malt": malt, "malt_cost": malt_cost, "hops": hops, "hop_cost": hop_cost}
    return columns | {"energy": energy, "total": total, "each": np.round(total / litres, 4)}


def league(random: np.random.Generator) -> Table:
    """Matches won in percent of those played; who has played none has no percentage."""
    played = random.integers(0, 60, ROWS)
    won = random.binomial(played, 0.5)
    share = np.round(100 * won / np.where(played > 0, played, np.nan), 1)
    return {"club": random.choice(list("abcd"), ROWS), "played": played, "won": won, "share": share}


def counties(random: np.random.Generator) -> Table:
    """Numbers of counties, into which that of their state is written."""
    state = random.choice([1, 6, 12, 36, 48], ROWS)
    number = 2 * random.integers(0, 120, ROWS) + 1
    return {"state": state, "number": number, "county": 1000 * state + number, "cases": random.poisson(5, ROWS)}


def warehouse(random: np.random.Generator) -> Table:
    """Days of a store's articles: what was there, came, left and spoilt."""
    opening, received, lost = random.integers(0, 900, ROWS), random.poisson(60, ROWS), random.binomial(12, 0.2, ROWS)
    issued = random.binomial(opening + received, 0.3)
    spoilt = np.minimum(lost, opening + received - issued)
    columns = {"article": random.choice(list("abcd"), ROWS), "opening": opening, "received": received}
    return columns | {"issued": issued, "spoilt": spoilt, "closing": opening + received - issued - spoilt}


def payslips(random: np.random.Generator) -> Table:
    """Wages with a bonus that few have, less tax and insurance."""
    gross, some = _cents(random.lognormal(8, 0.3, ROWS)), random.random(ROWS) < 0.3
    bonus = _cents(random.gamma(1, 200, ROWS) * some)
    tax = _cents((gross + bonus) * random.uniform(0.1, 0.4, ROWS))
    insurance = _cents(0.09 * gross * random.uniform(0.8, 1.2, ROWS))
    columns = {"gross": gross, "bonus": bonus, "tax": tax, "insurance": insurance}
    return columns | {"paid": _cents(gross + bonus - tax - insurance)}


def timetable(random: np.random.Generator) -> Table:
    """Clock times as numbers, and rides in minutes."""
    hour, minute = random.integers(5, 24, ROWS), random.integers(0, 60, ROWS)
    hours, minutes = random.integers(0, 4, ROWS), random.integers(0, 60, ROWS)
    columns = {"hour": hour, "minute": minute, "leaves": 100 * hour + minute}
    return columns | {"hours": hours, "minutes": minutes, "ride": 60 * hours + minutes}


def days_between(table: Any, end: str, start: str) -> Any:
    return (table[end].dt.normalize() - table[start].dt.normalize()).dt.days


Holds = Callable[[pd.DataFrame], Any]
LAWS: dict[Callable[[np.random.Generator], Table], dict[str, Holds]] = {
    till: {"net * (1 + rate / 100) = gross": lambda t: t.net * (1 + t.rate / 100) - t.gross},
    salaries: {"base * (1 + bonus) = pay": lambda t: t.base * (1 + t.bonus) - t.pay},
    order_lines: {"pieces * price * (1 - discount) = total": lambda t: t.pieces * t.price * (1 - t.discount) - t.total},
    hotels: {"rate * nights * (1 - off / 100) = paid": lambda t: t.rate * t.nights * (1 - t.off / 100) - t.paid},
    crates: {"length * width * height = volume": lambda t: t.length * t.width * t.height - t.volume},
    loans: {"amount * share * years = cost": lambda t: t.amount * t.share * t.years - t.cost},
    power: {"coal + gas + wind + sun = 100": lambda t: (t.coal + t.gas + t.wind + t.sun - 100).round(1) / 50},
    schools: {
        "girls + boys = 600": lambda t: t.girls + t.boys - 600,
        "pass + fail = 1": lambda t: (t["pass"] + t.fail - 1).round(3) / 2,
    },
    stays: {"days(departure) - days(arrival) = nights": lambda t: days_between(t, "departure", "arrival") - t.nights},
    rentals: {"days(back) - days(out) = days": lambda t: days_between(t, "back", "out") - t.days},
    brewery: {
        "malt_cost + hop_cost + energy = total": lambda t: t.malt_cost + t.hop_cost + t.energy - t.total,
        "total / litres = each": lambda t: 100 * (t.total / t.litres - t.each),
    },
    league: {"won / played * 100 = share": lambda t: (100 * t.won / t.played.where(t.played > 0) - t.share) / 10},
    counties: {"1000 * state + number = county": lambda t: 1000 * t.state + t.number - t.county},
    timetable: {
        "100 * hour + minute = leaves": lambda t: 100 * t.hour + t.minute - t.leaves,
        "60 * hours + minutes = ride": lambda t: 60 * t.hours + t.minutes - t.ride,
    },
    warehouse: {
        "opening + received - issued - spoilt = closing": lambda t: (
            t.opening + t.received - t.issued - t.spoilt - t.closing
        )
    },
    payslips: {
        "gross + bonus - tax - insurance = paid": lambda t: t.gross + t.bonus - t.tax - t.insurance - t.paid,
    },
    families: {"persons - children = adults": lambda t: t.adults + t.children - t.persons},
}


def parts_of(law: str) -> tuple[str, ...]:
    """The columns of a law in any order, as it may be written in several forms."""
    return tuple(sorted(law.replace("=", "+").replace("-", "+").split()))


@pytest.mark.parametrize("trade", LAWS, ids=lambda trade: trade.__name__)
def test_laws_of_a_trade_hold_in_samples(trade: Any, reloaded: Any) -> None:
    table = pd.DataFrame(trade(np.random.default_rng(5)))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    found = {parts_of(law) for law in fitted.fit_report_.laws}
    assert found >= {parts_of(law) for law in LAWS[trade]}
    sample = fitted.sample(1_500)
    for off in (law(sample) for law in LAWS[trade].values()):
        assert off.notna().mean() > 0.8 and off.abs().max() < 0.00501
    written = gpuvgm.TableSynthesizer(laws=[*LAWS[trade]]).fit(table)
    assert {*written.fit_report_.laws} == {*LAWS[trade]}
    for name in table.select_dtypes("number"):
        assert ks_2samp(sample[name].dropna(), table[name].dropna()).statistic < 0.08, name


@pytest.mark.parametrize("trade", LAWS, ids=lambda trade: trade.__name__)
def test_laws_that_some_rows_break_or_none_shows_are_not_found(trade: Any) -> None:
    random = np.random.default_rng(6)
    table = pd.DataFrame(trade(random))
    for law in LAWS[trade]:
        target = law.rpartition("=")[2].strip()
        target = law.split()[0] if target.isdigit() else target
        moved = table[target].sample(frac=1, random_state=1).to_numpy()
        for broken in (random.random(ROWS) < 0.03, np.ones(ROWS, bool)):
            wrong = table.assign(**{target: np.where(broken, moved, table[target])})
            found = {parts_of(text) for text in gpuvgm.TableSynthesizer().fit(wrong).fit_report_.laws}
            assert parts_of(law) not in found


@pytest.mark.parametrize(
    ("written", "law"),
    [
        ("gross = net * (1 + rate/100)", "net * (1 + rate / 100) = gross"),
        ("gross = net * (1 + rate / 100)", "net * (1 + rate / 100) = gross"),
        ("net * (1 - rate) = gross", "net * (1 - rate) = gross"),
        ("100 = net + rate + gross", "net + rate + gross = 100"),
        ("net + gross = -1.5", "net + gross = -1.5"),
        ("gross = net + rate", "net + rate = gross"),
    ],
)
def test_laws_are_read_either_way_round(written: str, law: str) -> None:
    assert str(law_of_text(written, ["net", "rate", "gross"])) == law
    assert str(law_of_text(law, ["net", "rate", "gross"])) == law


def _bills(rows: int = ROWS) -> pd.DataFrame:
    """Bills with a fee and a discount, and what is due of them less what was paid before."""
    random = np.random.default_rng(7)
    net, fee, off, before = _cents(random.gamma(2, [[900.0], [60.0], [40.0], [300.0]], (4, rows)))
    net += off + before
    total = _cents(net + fee - off)
    columns = {"net": net, "fee": fee, "off": off, "total": total, "tip": _cents(random.gamma(1, 9, rows))}
    return pd.DataFrame(columns | {"before": before, "due": _cents(total + columns["tip"] - before)})


def test_sums_with_signs_that_share_columns_are_found_as_they_are_made() -> None:
    fitted = gpuvgm.TableSynthesizer().fit(_bills())
    found = {parts_of(law) for law in fitted.fit_report_.laws if "=" in law.split()}
    assert found == {parts_of("net + fee - off = total"), parts_of("total + tip - before = due")}


@pytest.mark.parametrize("text", ["net + fee - off = total", "fee - off + net = total", "off = net - total + fee"])
def test_sums_with_signs_are_written_and_forbidden_in_any_order(text: str) -> None:
    table = _bills(400)
    others = gpuvgm.TableSynthesizer(laws=["auto", f"not {text}"]).fit(table).fit_report_.laws
    found = [parts_of(law) for law in others if "=" in law.split()]
    assert found == [parts_of("total + tip - before = due")]
    written = gpuvgm.TableSynthesizer(laws=[text]).fit(table)
    sample = written.sample(300)
    assert len(written.fit_report_.laws) == 1
    assert (sample["net"] + sample["fee"] - sample["off"] - sample["total"]).abs().max() < 0.00501


def test_wholes_and_shifts_are_told_rather_than_sums_that_follow_from_them() -> None:
    """Two columns beside the same whole, or the same shift, make a sum with signs."""
    girls, passed, first, last = np.random.default_rng(8).integers(100, 500, (4, ROWS))
    pupils = pd.DataFrame({"girls": girls, "boys": 600 - girls, "passed": passed, "failed": 600 - passed})
    assert {law.sign for law in gpuvgm.TableSynthesizer().fit(pupils).laws_} == {"+ ="}
    years = pd.DataFrame({"first": first, "since": first + 1900, "last": last, "until": last + 1900})
    laws = gpuvgm.TableSynthesizer().fit(years).laws_
    assert {law.sign for law in laws} == {"line"} and len(laws) == 2


def test_comparisons_name_a_sum_with_signs_that_samples_break() -> None:
    table = _bills()
    wrong = table.assign(off=table["off"].to_numpy()[::-1])
    fitted = gpuvgm.TableTransformer().fit(table)
    laws = {parts_of(law.law): law.is_broken for law in fitted.evaluate(table, compare=wrong).laws}
    assert laws[parts_of("net + fee - off = total")] and not laws[parts_of("total + tip - before = due")]


@pytest.mark.parametrize("written", ["days(shop) - days(net) = rate", "net + shop = 100", "net * (1 + shop) = gross"])
def test_laws_of_other_kinds_of_columns_are_refused(written: str) -> None:
    with pytest.raises(InputError, match=r"^laws: "):
        gpuvgm.TableSynthesizer(laws=[written]).fit(till(np.random.default_rng(5)))


@pytest.mark.parametrize("rows", [12, 20, 58])
def test_few_rows_prove_an_equation_and_nothing_else(rows: int) -> None:
    """Votes of districts: their sum is exact. What columns of chance have in common is no law."""
    for seed in range(4):
        random = np.random.default_rng(seed)
        left, right, none = random.integers(100, 9_000, (3, rows))
        votes = pd.DataFrame({"left": left, "right": right, "none": none, "all": left + right + none})
        assert gpuvgm.TableSynthesizer().fit(votes).fit_report_.laws == ("left + right + none = all",)
        chance = {str(most): random.integers(0, most, rows) for most in (2, 3, 5, 8, 20)}
        assert gpuvgm.TableSynthesizer().fit(chance).fit_report_.laws == ()
        shuffled = {name: random.permutation(votes[name]) for name in votes}
        assert gpuvgm.TableSynthesizer().fit(shuffled).fit_report_.laws == ()
