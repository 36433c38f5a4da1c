"""Formulas of trades: rounded products and quotients with a constant, and what is clipped at a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.laws.sorts import law_of_text

ROWS = 3_000
Rows = pd.DataFrame


def winery(random: np.random.Generator) -> Rows:
    """Bottles of what is left of the must."""
    must, size = random.integers(300, 9_000, ROWS), random.choice([0.375, 0.75, 1.5], ROWS)
    return Rows({"must": must, "size": size, "bottles": np.floor(0.92 * must / size + 1e-9).astype(int)})


def tiler(random: np.random.Generator) -> Rows:
    """Boxes of tiles for floors, with a tenth for cuts, and hours by the square metre."""
    length, width = random.integers(20, 160, (2, ROWS)) / 10
    boxes = np.ceil(np.round(1.1 * length * width, 6)).astype(int)
    return Rows({"length": length, "width": width, "boxes": boxes, "wage": np.round(17.5 * length * width, 2)})


def library(random: np.random.Generator) -> Rows:
    """Days by which books are late, some of which are not yet back."""
    due = np.datetime64("2024-01-01T18:00:00") + random.integers(0, 400, ROWS).astype("m8[D]")
    back = due + random.integers(-20 * 86_400, 14 * 86_400, ROWS).astype("m8[s]")
    late = np.maximum(0, (back.astype("M8[D]") - due.astype("M8[D]")).astype(int)).astype(float)
    is_out = random.random(ROWS) < 0.1
    returned = pd.Series(back).where(~is_out)
    return Rows({"due": due, "returned": returned, "late": pd.Series(late).where(~is_out)})


def insurance(random: np.random.Generator) -> Rows:
    """What is paid of a damage beyond the deductible."""
    damage, deductible = random.lognormal(6, 1, ROWS).round(2), random.choice([150, 300, 500], ROWS)
    return Rows({"damage": damage, "deductible": deductible, "paid": np.maximum(0, damage - deductible).round(2)})


def fines(random: np.random.Generator) -> Rows:
    """A fee by the day, up to ten."""
    rate, days = random.choice([0.25, 0.4, 1.0], ROWS), random.integers(0, 60, ROWS)
    return Rows({"rate": rate, "days": days, "fee": np.minimum(10, rate * days).round(2)})


def parking(random: np.random.Generator) -> Rows:
    """Hours at a price of their zone, up to a price for the day."""
    price, hours = random.choice([1.5, 2.0, 3.5], ROWS), (random.gamma(2, 3, ROWS) * 4).round() / 4
    zone = np.where(price > 3, "centre", "edge")
    return Rows({"zone": zone, "price": price, "hours": hours, "charge": np.minimum(24, price * hours).round(2)})


def payroll(random: np.random.Generator) -> Rows:
    """Wages, which are insured up to a limit, and what is left of hours beyond those agreed."""
    wage, balance = random.lognormal(8, 0.5, ROWS).round(2), random.normal(4, 9, ROWS).round(1)
    return Rows({"wage": wage, "insured": np.minimum(wage, 5_300), "balance": balance, "extra": balance.clip(0)})


def school(random: np.random.Generator) -> Rows:
    """Lessons of 45 minutes, begun ones too, and the classes that pupils fill."""
    minutes, pupils = random.integers(20, 4_000, ROWS), random.integers(10, 900, ROWS)
    return Rows({"minutes": minutes, "lessons": -(-minutes // 45), "pupils": pupils, "classes": pupils // 25})


def repairs(random: np.random.Generator) -> Rows:
    """What the way costs, but twenty at least, and minutes beyond an hour."""
    km, minutes = random.lognormal(3.5, 0.8, ROWS).round(1), random.gamma(4, 20, ROWS).round()
    call_out, extra = np.maximum(20, 0.85 * km).round(2), np.maximum(0, minutes - 60)
    return Rows({"km": km, "call_out": call_out, "minutes": minutes, "extra": extra})


def shop(random: np.random.Generator) -> Rows:
    """Prices that end in .99, and vouchers that end in .50."""
    cost = random.lognormal(3, 0.6, ROWS).round(2)
    price = (np.ceil((1.6 * cost).round(6)) - 0.01).round(2)
    return Rows({"cost": cost, "price": price, "voucher": np.floor((2.5 * cost).round(6)) + 0.5})


Holds = Callable[[Rows], Any]
TRADES: list[tuple[Callable[[np.random.Generator], Rows], dict[str, Holds]]] = [
    (winery, {"floor(0.92 * must / size) = bottles": lambda t: np.floor(0.92 * t.must / t["size"] + 1e-9) - t.bottles}),
    (
        tiler,
        {
            "ceil(1.1 * length * width) = boxes": lambda t: np.ceil(np.round(1.1 * t.length * t.width, 6)) - t.boxes,
            "17.5 * length * width = wage": lambda t: 17.5 * t.length * t.width - t.wage,
        },
    ),
    (
        library,
        {
            "max(0, days(returned) - days(due)) = late": lambda t: (
                (t.returned.dt.normalize() - t.due.dt.normalize()).dt.days.clip(lower=0).sub(t.late)
            )
        },
    ),
    (insurance, {"max(0, damage - deductible) = paid": lambda t: (t.damage - t.deductible).clip(lower=0) - t.paid}),
    (fines, {"min(10, rate * days) = fee": lambda t: (t.rate * t.days).clip(upper=10) - t.fee}),
    (
        payroll,
        {
            "min(5300, wage) = insured": lambda t: t.wage.clip(upper=5_300) - t.insured,
            "max(0, balance) = extra": lambda t: t.balance.clip(lower=0) - t.extra,
        },
    ),
    (
        school,
        {
            "ceil(minutes / 45) = lessons": lambda t: -(-t.minutes // 45) - t.lessons,
            "floor(0.04 * pupils) = classes": lambda t: t.pupils // 25 - t.classes,
        },
    ),
    (
        repairs,
        {
            "max(20, 0.85 * km) = call_out": lambda t: np.maximum(20, 0.85 * t.km) - t.call_out,
            "max(0, minutes - 60) = extra": lambda t: np.maximum(0, t.minutes - 60) - t.extra,
        },
    ),
    (
        shop,
        {
            "ceil(1.6 * cost) - 0.01 = price": lambda t: np.ceil((1.6 * t.cost).round(6)) - 0.01 - t.price,
            "floor(2.5 * cost) + 0.5 = voucher": lambda t: np.floor((2.5 * t.cost).round(6)) + 0.5 - t.voucher,
        },
    ),
    (parking, {"min(24, price * hours) = charge": lambda t: (t.price * t.hours).clip(upper=24) - t.charge}),
]
IDS = [trade.__name__ for trade, _ in TRADES]


@pytest.mark.parametrize(("trade", "laws"), TRADES, ids=IDS)
def test_formulas_hold_in_samples(trade: Any, laws: dict[str, Holds], reloaded: Any) -> None:
    table = trade(np.random.default_rng(1))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert {*fitted.fit_report_.laws} >= {*laws}
    rows = fitted.sample(2 * ROWS)
    for off in laws.values():
        assert off(table).abs().max() < 0.00501 and off(rows).abs().max() < 0.00501 and off(rows).notna().mean() > 0.8
    for name in table.select_dtypes("number"):
        assert ks_2samp(rows[name].dropna(), table[name].dropna()).statistic < 0.06, name
    written = gpuvgm.TableSynthesizer(laws=[*laws]).fit(table)
    assert {*written.fit_report_.laws} == {*laws}
    target = next(iter(laws)).rpartition(" = ")[2]
    moved = table[target].sample(frac=1, random_state=1).to_numpy()
    assert np.isneginf(fitted.score_samples(table.assign(**{target: moved}))).mean() > 0.5


@pytest.mark.parametrize(("trade", "laws"), TRADES, ids=IDS)
def test_formulas_that_rows_break_are_not_found(trade: Any, laws: dict[str, Holds]) -> None:
    table = trade(np.random.default_rng(2))
    for law in laws:
        target = law.rpartition(" = ")[2]
        moved = table[target].sample(frac=1, random_state=1).to_numpy()
        for broken in (np.random.default_rng(3).random(ROWS) < 0.03, np.ones(ROWS, bool)):
            wrong = table.assign(**{target: np.where(broken, moved, table[target])})
            found = gpuvgm.TableSynthesizer().fit(wrong).fit_report_.laws
            assert not any(text.endswith(f"= {target}") for text in found)


def test_chance_makes_no_formula() -> None:
    for rows in (30, 120, 1_000):
        for seed in range(3):
            random = np.random.default_rng(seed)
            sizes = (2, 3, 4, 6, 9, 15, 40)
            table = {f"x{most}": np.minimum(random.integers(0, most, rows), most - 2) for most in sizes}
            assert gpuvgm.TableSynthesizer().fit(table).fit_report_.laws == ()


def test_a_column_of_four_numbers_may_be_clipped() -> None:
    """Three of them, and the rows at its end, are fewer rows than columns are tried on at first."""
    rng = np.random.default_rng(0)
    table = {"days": rng.integers(0, 4, 400), "weeks": rng.integers(0, 9, 400), "rooms": rng.integers(0, 6, 400)}
    assert not gpuvgm.TableSynthesizer().fit(table).laws_


def test_the_comparison_names_a_formula_that_is_broken() -> None:
    table = insurance(np.random.default_rng(4))
    spoilt = table.assign(deductible=table["deductible"].sample(frac=1, random_state=1).to_numpy())
    law = gpuvgm.TableTransformer().fit(table).evaluate(table, compare=spoilt).broken_law
    assert law is not None and law.law == "max(0, damage - deductible) = paid" and law.original == 1


@pytest.mark.parametrize(
    ("written", "law"),
    [
        ("c = floor(0.92 * a / b)", "floor(0.92 * a / b) = c"),
        ("max(days(a) - days(b), 0) = c", "max(0, days(a) - days(b)) = c"),
        ("min(10, 0.5 * a) = c", "min(10, 0.5 * a) = c"),
        ("max(-1.5, a + b) = c", "max(-1.5, a + b) = c"),
        ("ceil(a * b) = c", "ceil(a * b) = c"),
        ("0.25 * a * b = c", "0.25 * a * b = c"),
        ("0.01 * a / b = c", "0.01 * a / b = c"),
        ("floor(a / 2) = c", "floor(0.5 * a) = c"),
        ("floor(a * b / 3) = c", "floor(a * b / 3) = c"),
        ("c = ceil(a / 0.45)", "ceil(a / 0.45) = c"),
        ("min(b, 10) = c", "min(10, b) = c"),
        ("max(2 * a + 3, 10) = c", "max(10, 2 * a + 3) = c"),
        ("c = max(0, a - 40)", "max(0, a - 40) = c"),
        ("max(-5, -0.5 * a - 3) = c", "max(-5, -0.5 * a - 3) = c"),
        ("floor(a) + 0.99 = c", "floor(a) + 0.99 = c"),
        ("ceil(1.6 * a * b) - 0.01 = c", "ceil(1.6 * a * b) - 0.01 = c"),
    ],
)
def test_formulas_are_read_in_any_notation(written: str, law: str) -> None:
    assert str(law_of_text(written, ["a", "b", "c"])) == law
    assert str(law_of_text(law, ["a", "b", "c"])) == law


def test_what_rounding_adds_is_the_difference() -> None:
    random = np.random.default_rng(7)
    net = random.lognormal(2, 0.6, ROWS).round(2)
    to_pay = (np.floor(net / 0.05 + 0.5 + 1e-9) * 0.05).round(2)
    table = Rows({"net": net, "to_pay": to_pay, "rounding": (to_pay - net).round(2)})
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert {*fitted.fit_report_.laws} == {"net = to_pay", "to_pay - net = rounding"}
    rows = fitted.sample(ROWS)
    assert (rows.to_pay - rows.net - rows.rounding).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"limits": ()}, "has no such limit"),
        ({"limits": (0.0, 1.0)}, "has no such limit"),
        ({"limits": (np.inf,)}, "has no such limit"),
        ({"shift": 2.0}, "has a number that is added"),
    ],
)
def test_clipped_laws_of_files_have_one_limit(wrong: dict[str, Any], problem: str) -> None:
    table = insurance(np.random.default_rng(5))
    fitted = gpuvgm.TableSynthesizer().fit(table)
    (law,) = fitted.laws_
    with pytest.raises(ValueError, match=problem):
        replace(law, **wrong).check(fitted.transformer_.columns_)


def test_rounded_columns_are_taken_for_lines() -> None:
    with pytest.raises(InputError, match='did you mean "0.5 \\* damage = paid"'):
        gpuvgm.TableSynthesizer(laws=["round(damage / 2) = paid"]).fit(insurance(np.random.default_rng(5)))


@pytest.mark.parametrize("written", ["max(0, days(damage) - days(paid)) = deductible", "floor(damage - x) = paid"])
def test_formulas_of_other_columns_are_refused(written: str) -> None:
    with pytest.raises(InputError, match=r"^laws: "):
        gpuvgm.TableSynthesizer(laws=[written]).fit(insurance(np.random.default_rng(5)))
