"""Laws that make a column of one other column: functions such as logarithms, and lines such as other units."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.laws.laws import Laws
from gpuvgm.laws.sorts import law_of_text
from gpuvgm.laws.unary import Unary
from gpuvgm.records import document_of

Law = tuple[str, float, Callable[[pd.DataFrame], Any]]  # target, step of the target, and what it is before rounding
CLINIC: dict[str, Law] = {
    "log(cost) = lcost": ("lcost", 1e-5, lambda rows: np.log(rows["cost"].where(rows["cost"] > 0))),
    "abs(balance) = size": ("size", 0, lambda rows: rows["balance"].abs()),
    "floor(age) = years": ("years", 0, lambda rows: np.floor(rows["age"] + 1e-9)),
    "2.2046 * kilos = pounds": ("pounds", 0.01, lambda rows: 2.2046 * rows["kilos"]),
    "1.8 * celsius + 32 = fahrenheit": ("fahrenheit", 0, lambda rows: 1.8 * rows["celsius"] + 32),
}
FLIGHTS: dict[str, Law] = {
    "miles^2 = milesq": ("milesq", 0, lambda rows: rows["miles"] ** 2),
    "sqrt(seats) = root": ("root", 1e-4, lambda rows: np.sqrt(rows["seats"])),
    "log(1 + bags) = lbags": ("lbags", 1e-6, lambda rows: np.log1p(rows["bags"])),
    "log10(weight) = digits": ("digits", 0, lambda rows: np.log10(rows["weight"])),
    "0.01 * percent = share": ("share", 0, lambda rows: rows["percent"] / 100),
    "number + 2200000 = ticket": ("ticket", 0, lambda rows: rows["number"] + 2_200_000),
    "miles / 0.62137 = km": ("km", 0.01, lambda rows: rows["miles"] / 0.62137),
}


def _clinic(rows: int = 3000, seed: int = 4) -> pd.DataFrame:
    """Stays of patients, some of whom have no weight or paid nothing, which has no logarithm."""
    random = np.random.default_rng(seed)
    ward = random.integers(0, 6, rows)
    cost = (random.lognormal(6 + ward / 4, 1).round(1) * (random.random(rows) > 0.05)).round(1)
    kilos = pd.Series(random.normal(75, 14, rows).round(1)).where(random.random(rows) > 0.2)
    age, celsius = random.gamma(9, 5, rows).round(1), random.normal(37.5, 0.9, rows).round(1)
    balance = random.normal(0, 300, rows).round(2)
    table = pd.DataFrame({"ward": [f"W{n}" for n in ward], "cost": cost, "kilos": kilos, "age": age})
    with np.errstate(divide="ignore"):
        logarithm = pd.Series(np.log(cost).round(5)).where(cost > 0)
    return table.assign(
        balance=balance,
        size=np.abs(balance),
        years=np.floor(age + 1e-9).astype(int),
        lcost=logarithm,
        pounds=(2.2046 * kilos).round(2),
        celsius=celsius,
        fahrenheit=(1.8 * celsius + 32).round(2),
    )


def _flights(rows: int = 3000, seed: int = 5) -> pd.DataFrame:
    """Flights on routes, with whole numbers, others of all digits, and shares in two units."""
    random = np.random.default_rng(seed)
    miles, seats, bags = random.integers(80, 2600, rows), random.integers(9, 420, rows), random.poisson(40, rows)
    weight, number = random.lognormal(9, 0.7, rows), random.integers(0, 900_000, rows)
    percent = (100 * random.beta(6, 2, rows)).round(2)
    late = pd.Series(random.normal(0, 20, rows).round()).where(random.random(rows) > 0.1)
    table = pd.DataFrame({"number": number, "miles": miles, "milesq": miles**2, "seats": seats, "late": late})
    return table.assign(
        root=np.sqrt(seats).round(4),
        bags=bags,
        lbags=np.log1p(bags).round(6),
        weight=weight,
        digits=np.log10(weight),
        percent=percent,
        share=(percent / 100).round(4),
        ticket=number + 2_200_000,
        km=(miles / 0.62137).round(2),
    )


def _assert_kept(rows: pd.DataFrame, laws: dict[str, Law]) -> None:
    for text, (target, step, law) in laws.items():
        off = np.abs(rows[target] - law(rows))
        assert off.max() <= step / 2 + 1e-8 and off.isna().equals(rows[target].isna()), text


@pytest.mark.parametrize(("table", "laws"), [(_clinic(), CLINIC), (_flights(), FLIGHTS)])
def test_laws_of_two_columns_are_found_kept_and_read_again(
    table: pd.DataFrame, laws: dict[str, Law], reloaded: Any
) -> None:
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    unary = {str(law) for law in fitted.laws_ if isinstance(law, Unary)}
    assert unary == {*laws}
    rows = fitted.sample(4000)
    _assert_kept(rows, laws)
    for law in fitted.laws_:
        assert law_of_text(str(law), [*table]).uncounted == replace(law.uncounted, keys=(), values=())
    parts = [fitted.sample(700), fitted.sample(3300, first_row=700)]
    assert pd.concat(parts, ignore_index=True).equals(rows)
    assert np.isfinite(fitted.score_samples(table)).all()
    first, *_ = next(iter(laws.values()))
    wrong = table.assign(**{first: table[first] + 1})
    assert (np.isneginf(fitted.score_samples(wrong)) == wrong[first].notna()).all()


def test_conditions_on_what_functions_and_lines_compute() -> None:
    table = _clinic()
    fitted = gpuvgm.TableSynthesizer().fit(table)
    for condition in ({"lcost": (6, 6.5)}, {"pounds": (150, 170), "ward": ["W1", "W2"]}, {"years": (50, 52)}):
        rows = fitted.sample(500, conditions=condition)
        _assert_kept(rows, CLINIC)
        for name, values in condition.items():
            met = rows[name].between(*values) if isinstance(values, tuple) else rows[name].isin(values)
            assert met.all()
    # A column with conditions is drawn; what says the same computes the other column, if it is as exact.
    fitted = gpuvgm.TableSynthesizer(conditions_on=["ticket", "root"]).fit(_flights())
    texts = {str(law) for law in fitted.laws_}
    assert {"ticket - 2200000 = number", "root^2 = seats"} <= texts


def test_rare_values_have_functions_too() -> None:
    """Looked up, their logarithms would be those of other rows; a lookup of what is no function is as before."""
    random = np.random.default_rng(8)
    weeks = random.geometric(0.1, 2000)
    table = pd.DataFrame({"weeks": weeks, "log": np.log(weeks), "curve": np.log(weeks) + weeks**0.7})
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert {*map(str, fitted.laws_)} == {"log(weeks) = log", "weeks -> curve"}
    rows = fitted.sample(4000)
    assert np.allclose(rows["log"], np.log(rows["weeks"]), rtol=1e-12, atol=0)


def test_numbers_of_32_bits_are_rounded_to_their_digits() -> None:
    """Also those that a table of 64 bits has from such a file; a factor of many digits is none that somebody wrote."""
    random = np.random.default_rng(9)
    wage = random.lognormal(2, 0.6, 2000).round(2).astype(np.float32)
    table = pd.DataFrame({"wage": wage, "lwage": np.log(wage), "hours": random.integers(1, 99, 2000)})
    table["pay"] = np.float32(1.25) * table["wage"]
    for rows in (table, table.astype({name: np.float64 for name in ("wage", "lwage", "pay")})):
        fitted = gpuvgm.TableSynthesizer().fit(rows.assign(odd=rows["hours"] * 1.357913579135))
        assert {str(law) for law in fitted.laws_ if isinstance(law, Unary)} == {
            "log(wage) = lwage",
            "1.25 * wage = pay",
        }
        sample = fitted.sample(2000)
        assert sample["wage"].dtype == rows["wage"].dtype
        assert np.allclose(sample["lwage"], np.log(sample["wage"].astype(float)), rtol=1e-7, atol=1e-7)


def test_logarithms_of_seven_digits() -> None:
    """Those above 10 have a decimal place less than the column has steps."""
    income = np.random.default_rng(2).lognormal(10, 1, 1000).round()
    table = pd.DataFrame({"income": income, "lincome": [float(f"{number:.7g}") for number in np.log(income)]})
    assert gpuvgm.TableSynthesizer().fit(table).fit_report_.laws == ("log(income) = lincome",)


def test_lines_hold_beside_sums_and_products_of_their_columns() -> None:
    """Where either column of a line may be computed, the sums and products say which one."""
    random = np.random.default_rng(7)
    points, price = random.integers(0, 4000, (3000, 2)) / 2, random.gamma(4, 5, 3000).round(2)
    pieces, total = random.integers(1, 30, 3000), points.sum(axis=1)
    net = (price * pieces).round(2)
    table = pd.DataFrame(points, columns=["one", "two"])
    table = table.assign(third=3 * net, price=price, pieces=pieces, net=net, twice=2 * total, total=total)
    rows = gpuvgm.TableSynthesizer().fit(table).sample(2000)
    assert (rows["one"] + rows["two"] == rows["total"]).all() and (2 * rows["total"] == rows["twice"]).all()
    assert ((rows["price"] * rows["pieces"] - rows["net"]).abs() < 0.00501).all()
    assert np.allclose(3 * rows["net"], rows["third"], rtol=0, atol=1e-6)


def _near_laws(rows: int) -> pd.DataFrame:
    """Columns that nearly are functions and lines of others, but are none."""
    random = np.random.default_rng(11)
    mass = random.normal(75, 14, rows)
    price = random.lognormal(3, 1, rows).round(2)
    table = pd.DataFrame({"kilos": mass.round(), "pounds": (mass * 2.2046).round(), "price": price})
    age = random.integers(15, 50, rows)
    table = table.assign(age=age, born=2026 - age - random.integers(0, 2, rows))  # 2025.5 - age, to half a year
    late = random.random((4, rows)) < 0.03
    broken = {
        "lprice": np.log(price).round(6) + 1e-5 * late[0],
        "square": price**2 + late[1],
        "rounded": np.floor(price) + late[2],
        "euros": (price * 1.1 + late[3]).round(2),
    }
    other = random.permutation(price)
    permuted = {"lother": np.log(other), "other2": other**2, "half": other / 2}
    large = {"is_large": (price > 20).astype(int), "flag": price > 20, "hundred": np.where(price > 20, 100, 0)}
    return table.assign(**broken, **{name: random.permutation(values) for name, values in permuted.items()}, **large)


@pytest.mark.parametrize("rows", [150, 3000])
def test_what_is_no_law_is_not_found(rows: int) -> None:
    """Of columns that are both rounded, that 3 % of the rows break, with permuted or two values, or with few rows."""
    fitted = gpuvgm.TableSynthesizer().fit(_near_laws(rows))
    assert [str(law) for law in fitted.laws_ if isinstance(law, Unary)] == []


def test_few_rows_are_no_evidence_and_equal_columns_no_functions() -> None:
    random, clinic = np.random.default_rng(1), _clinic(60)
    assert {str(law) for law in gpuvgm.TableSynthesizer().fit(clinic).laws_} <= {*CLINIC}
    permuted = clinic.apply(random.permutation)
    assert gpuvgm.TableSynthesizer().fit(permuted).laws_ == gpuvgm.TableSynthesizer().fit(clinic[:9]).laws_ == ()
    size = random.gamma(3, 20, 2000).round(2)
    table = pd.DataFrame({"size": size, "again": size, "rounded": size.round(1), "bit": random.integers(0, 2, 2000)})
    table["bits"] = table["bit"] ** 2
    fitted = gpuvgm.TableSynthesizer({"bit": "continuous", "bits": "continuous"}).fit(table)
    assert not [law for law in fitted.laws_ if isinstance(law, Unary)]


def test_laws_are_found_in_few_rows() -> None:
    """A hundred rows of both columns are enough."""
    for seed in range(3):
        for table, laws in ((_clinic(160, seed), CLINIC), (_flights(160, seed), FLIGHTS)):
            assert {str(law) for law in gpuvgm.TableSynthesizer().fit(table).laws_} >= {*laws}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("log(a) = b", ""),
        ("log(1 + a) = b", ""),
        ("log10(a) = b", ""),
        ("exp(a) = b", ""),
        ("a^2 = b", ""),
        ("a^3 = b", ""),
        ("sqrt(a) = b", ""),
        ("abs(a) = b", ""),
        ("floor(a) = b", ""),
        ("ceil(a) = b", ""),
        ("round(a) = b", "a = b"),
        ("2.2046 * a = b", ""),
        ("a * 2.2046 = b", "2.2046 * a = b"),
        ("a / 100 = b", "0.01 * a = b"),
        ("a / 3 = b", ""),
        ("0.000000000000012345678901234567 * a = b", "0.000000000000012345678901234567 * a = b"),
        ("1.8 * a + 32 = b", ""),
        ("(a - 32) / 1.8 = b", ""),
        ("a - 1900 = b", ""),
        ("-1 * a + 0.5 = b", ""),
        ("a / 3 + 2 = b", "(a + 6) / 3 = b"),
        ("(a + 5) / 10 = b", "0.1 * a + 0.5 = b"),
        ("12 + 30 = b", ""),
        ("12 * 30 = b", ""),
        ("12 - 30 = b", ""),
    ],
)
def test_texts_of_laws(text: str, shown: str) -> None:
    """Each law has one notation; a number that is the name of a column is this column."""
    names = ["a", "b", "12", "30"]
    law = law_of_text(text, names)
    assert str(law) == (shown or text) and law_of_text(str(law), names) == law
    for form in law.forms:
        assert law_of_text(str(form), names) == form
    assert isinstance(law, Unary) == (not text.startswith(("12", "round")))


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("0 * a = b", "a * b = c"),
        ("1 * a + 0 = b", "1.8 * a + 32 = b"),
        ("log2(a) = b", "log(a) = b"),
        ("a / 0 = b", "a / b = c"),
        ("a^4 = b", "a^2 = b"),
        ("2 * a = b in days", "1.8 * a + 32 = b"),
    ],
)
def test_texts_that_are_no_laws(text: str, near: str) -> None:
    with pytest.raises(InputError, match=f'is no law of .*; the nearest laws are written .*"{re.escape(near)}"'):
        law_of_text(text, ["a", "b"])


def test_absolute_values_are_found_declared_and_forbidden() -> None:
    """Of columns with negative numbers; the sign is drawn, the absolute value computed."""
    random = np.random.default_rng(10)
    deviation = random.normal(0, 20, 2000).round(2)
    deviation[::9] = np.nan
    table = pd.DataFrame({"deviation": deviation, "abs_deviation": np.abs(deviation), "age": random.permutation(2000)})
    text = "abs(deviation) = abs_deviation"
    for laws in ("auto", text):
        fitted = gpuvgm.TableSynthesizer(laws=laws).fit(table)
        assert fitted.fit_report_.laws == (text,)
        rows = fitted.sample(1000)
        assert rows["deviation"].abs().equals(rows["abs_deviation"]) and (rows["deviation"] < 0).any()
    wrong = table.assign(abs_deviation=table["deviation"])
    assert np.isneginf(fitted.score_samples(wrong)).tolist() == (deviation < 0).tolist()
    assert text not in gpuvgm.TableSynthesizer(laws=f"auto; not {text}").fit(table).fit_report_.laws
    positive = gpuvgm.TableSynthesizer().fit(table[table["deviation"] > 0])
    assert positive.fit_report_.laws in (("deviation = abs_deviation",), ("abs_deviation = deviation",))


def test_functions_and_lines_of_files_are_checked() -> None:
    fitted = gpuvgm.TableSynthesizer(laws=["2.2046 * kilos = pounds", "log(cost) = lcost"]).fit(_clinic(500))
    columns = fitted.transformer_.model_.by_name
    line, function = (
        document_of(law) | {"operands": [*law.operands], "keys": [], "values": [], "limits": []} for law in fitted.laws_
    )
    assert Laws.of_documents([line, function], columns) == fitted.laws_
    for document, problem in (
        (function | {"function": "sinh"}, "unknown function, 'sinh'"),
        (line | {"function": "log"}, "unknown function"),
        (line | {"sign": "*", "operands": ["kilos", "cost"]}, "unknown function"),
        (line | {"sign": "=", "function": ""}, "a factor or a shift, which such laws have not"),
        (function | {"limits": [0.0, -2.0]}, "has limits, which such laws have not"),
        (function | {"factor": 2.0}, "a factor or a shift, which such laws have not"),
        (line | {"factor": 0.0}, "is no line in the notation of lines"),
        (line | {"factor": 5e-324, "function": "/"}, "is no line in the notation of lines"),
        (line | {"factor": 100.0, "function": "/"}, "is no line in the notation of lines"),
        (line | {"shift": float("nan")}, "a law: shift must be a finite number"),
        (line | {"factor": "2"}, "a law: factor must be a finite number"),
        (function | {"target": "ward"}, "is not modelled as numbers"),
    ):
        with pytest.raises(ValueError, match=problem):
            Laws.of_documents([document], columns)
