"""Laws that a comparison finds in the original table, and what it says where a sample breaks them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report import Comparison
from gpuvgm.report.laws.rows import ean, forms_of, luhn
from tests.report.documents import parsed
from tests.synthesis.sequences.trades import bookings, journal, loans, order_lines, stock_cards, ward_transfers

ROWS = 3_000


def bakery(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Deliveries of a bakery, with a law of each kind."""
    random = np.random.default_rng(seed)
    shop = random.integers(0, 12, rows)
    kind = random.choice(["roll", "cake"], rows)
    pieces, price = random.integers(1, 40, rows), np.where(kind == "cake", 24.5, 0.55)
    day = pd.Timestamp("2023-01-02") + pd.to_timedelta(7 * random.integers(0, 90, rows), unit="D")
    weekday = np.where(kind == "cake", random.integers(4, 6, rows), random.integers(0, 6, rows))
    numbers = random.integers(0, 10**5, rows)
    code = [f"C{one:05}" if of == "cake" else f"{one}-R" for one, of in zip(numbers, kind, strict=True)]
    complains = random.random(rows) < 0.4
    amount = np.where(kind == "cake", random.uniform(1, 9, rows), random.normal(300, 20, rows)).round(3)
    return pd.DataFrame(
        {
            "shop": shop,
            "town": np.array("Ulm Bonn Kiel Jena".split())[shop % 4],
            "kind": kind,
            "pieces": pieces,
            "total": (pieces * price).round(2),
            "baked": day + pd.to_timedelta(weekday, unit="D"),
            "batch": code,
            "complaint": pd.Series(random.choice(["late", "dry", "few"], rows)).where(complains),
            "refund": pd.Series(random.integers(1, 50, rows) / 2).where(complains),
            "weight": amount,
        }
    )


def exchanged(frame: pd.DataFrame, column: str, share: float = 0.2) -> pd.DataFrame:
    """The rows, some with another row's value in a column."""
    random = np.random.default_rng(1)
    places = random.permutation(len(frame))[: int(share * len(frame))]
    values = frame[column].copy()
    values.iloc[places] = values.iloc[random.permutation(places)].array
    return frame.assign(**{column: values})


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    return bakery()


@pytest.fixture(scope="module")
def fitted(original: pd.DataFrame) -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer().fit(original)


@pytest.fixture(scope="module")
def honest(original: pd.DataFrame, fitted: gpuvgm.TableTransformer) -> Comparison:
    return fitted.evaluate(original, compare=bakery(1))


FOUND = {
    "shop -> town",
    "kind -> weekday(baked)",
    "kind -> form(batch)",
    "kind -> range(weight)",
    "missing(complaint) = missing(refund)",
}


def test_laws_of_every_kind_are_found_and_hold_in_honest_rows(honest: Comparison) -> None:
    laws = {law.law: law for law in honest.laws}
    assert {*laws} >= FOUND
    assert any({"pieces", "total"} <= {*law.columns} and law.declared for law in honest.laws)
    assert honest.broken_law is None and min(law.synthetic for law in honest.laws) > 0.99
    assert all(law.original == 1 for law in honest.laws)
    assert "the law" not in honest.verdict


@pytest.mark.parametrize(
    ("column", "law"),
    [
        ("town", "shop -> town"),
        ("baked", "kind -> weekday(baked)"),
        ("batch", "kind -> form(batch)"),
        ("weight", "kind -> range(weight)"),
        ("refund", "missing(complaint) = missing(refund)"),
    ],
)
def test_the_law_that_is_broken_is_named_first(
    column: str, law: str, original: pd.DataFrame, fitted: gpuvgm.TableTransformer
) -> None:
    found = fitted.evaluate(original, compare=exchanged(bakery(1), column))
    assert found.broken_law is not None and found.broken_law.law == law
    line = found.verdict.partition(";")[0]
    assert line.startswith(f'The law "{law}" holds in') and line.endswith("of the rows, in the original in all")
    assert "no column stands out" not in found.verdict
    lines = str(found).splitlines()
    first = next(place for place, text in enumerate(lines) if text.split()[:1] == ["law"]) + 1
    assert lines[first].startswith(law) and max(map(len, lines)) <= 80
    page = parsed(found.to_html())
    assert page.all("ul", "warning")[0].all("li")[0].text.startswith(line)
    assert "Laws of the original table, and the shares" in page.text
    document = json.loads(json.dumps(found.to_dict()))["laws"][0]
    assert document["law"] == law and document["columns"] == [*found.broken_law.columns]
    assert document["synthetic"] < 0.97 * document["original"]


def test_what_can_be_declared_is_told(original: pd.DataFrame, fitted: gpuvgm.TableTransformer) -> None:
    found = fitted.evaluate(original, compare=exchanged(bakery(1), "town"))
    assert 'Declare it: laws=["auto", "shop -> town"].' in parsed(found.to_html()).text
    found = fitted.evaluate(original, compare=exchanged(bakery(1), "batch"))
    assert "The generator does not keep it." in parsed(found.to_html()).text


def test_permuted_columns_have_no_laws_of_each_other(original: pd.DataFrame) -> None:
    random = np.random.default_rng(2)
    permuted = pd.DataFrame({name: original[name].to_numpy()[random.permutation(ROWS)] for name in original})
    found = gpuvgm.TableTransformer().fit(permuted).evaluate(permuted, compare=permuted)
    assert {law.law for law in found.laws if len(law.columns) > 1} == set()


def test_equations_that_few_rows_break_are_told(original: pd.DataFrame) -> None:
    """No sample keeps a law that the table breaks; the comparison says so."""
    table = original.assign(half=(original["total"] / 2).round(2), whole=0.0)
    table["whole"] = (table["total"] + table["half"] + table["weight"]).round(3)
    wrong = np.random.default_rng(4).random(ROWS) < 0.005
    table.loc[wrong, "whole"] += 1
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert not any("whole" in law and " = " in law for law in fitted.fit_report_.laws)
    found = fitted.evaluate(table)
    (law,) = (law for law in found.laws if {"whole", "half", "weight"} <= {*law.columns})
    assert law.original == 1 - wrong.mean() and law.synthetic < 0.5 and not law.declared
    assert law.law in found.verdict


def test_values_that_the_table_lacks_are_not_judged(original: pd.DataFrame, fitted: gpuvgm.TableTransformer) -> None:
    rows = bakery(1)
    found = fitted.evaluate(original, compare=rows.assign(kind=np.where(rows["kind"] == "cake", "tart", "roll")))
    of_weekdays = next(law for law in found.laws if law.law == "kind -> weekday(baked)")
    assert of_weekdays.rows == (rows["kind"] == "roll").sum() and of_weekdays.synthetic == 1


def panel(seed: int, stores: int = 60, weeks: int = 52) -> pd.DataFrame:
    """One row for each store and week, those of a store in order."""
    random = np.random.default_rng(seed)
    store, week = np.divmod(np.arange(stores * weeks), weeks)
    frame = pd.DataFrame({"store": store + 401, "week": week + 1, "sales": random.gamma(3, 40, len(store)).round(1)})
    return frame.assign(receipt=random.permutation(len(frame)) + 10_000)


def test_pairs_that_come_once_and_rows_in_order() -> None:
    table = panel(0)
    fitted = gpuvgm.TableTransformer().fit(table)
    laws = {law.law: law for law in fitted.evaluate(table, compare=panel(1)).laws}
    assert {"unique(store, week)", "week rises along store", "unique(receipt)"} <= {*laws}
    assert laws["unique(store, week)"].synthetic == laws["week rises along store"].synthetic == 1
    drawn = table.assign(week=np.random.default_rng(3).permutation(table["week"]))
    found = fitted.evaluate(table, compare=drawn)
    of_drawn = {law.law: law for law in found.laws}
    repeats = drawn.duplicated(["store", "week"], keep=False)
    assert of_drawn["unique(store, week)"].synthetic == pytest.approx(1 - repeats.mean())
    assert 0.4 < of_drawn["week rises along store"].synthetic < 0.6
    larger = fitted.evaluate(table, compare=pd.concat([table, panel(1)], ignore_index=True))
    of_larger = [law for law in larger.laws if law.law.startswith("unique")]
    assert of_larger and not any(law.is_broken for law in of_larger), "so many rows cannot be unique"
    assert {(law.synthetic, law.rows, law.synthetic_text) for law in of_larger} == {(None, 0, "–")}
    backwards = table[::-1].reset_index(drop=True)
    falling = gpuvgm.TableTransformer().fit(backwards).evaluate(backwards, compare=backwards)
    assert "week falls along store" in {law.law for law in falling.laws}


def lendings(seed: int, rows: int = ROWS) -> pd.DataFrame:
    """Loans of a library: a card is of one reader, who is of one street, in one district."""
    random = np.random.default_rng(seed)
    reader = random.integers(0, 400, rows)
    street = random.integers(0, 60, 400)
    columns = {"card": reader + 7_000_000, "name": [f"Reader {one}" for one in reader], "street": street[reader]}
    return pd.DataFrame(columns | {"district": street[reader] % 9, "days": random.integers(1, 60, rows)})


def test_what_a_key_decides_is_told_whatever_the_keys_are() -> None:
    """Rows of one card have one name; of new cards too, of which the table has none."""
    table, fresh = lendings(0), lendings(1).assign(card=lambda rows: rows["card"] + 10_000)
    fitted = gpuvgm.TableTransformer({"name": "pass"}).fit(table)
    laws = {law.law: law for law in fitted.evaluate(table, compare=fresh).laws}
    of_keys = {law for law in laws if " -> " in law and laws[law].columns[1] in {"name", "street", "card"}}
    assert of_keys == {"card -> name", "card -> street", "name -> card", "name -> street"}
    assert not {"card -> district", "card -> days", "name -> district"} & {*laws}, "a street says it, or nothing does"
    assert laws["card -> name"].synthetic == 1 and laws["card -> name"].rows > 2_000
    found = fitted.evaluate(table, compare=exchanged(fresh, "name"))
    assert found.broken_law.law in {"card -> name", "name -> card", "name -> street"}
    assert 0.5 < {law.law: law.synthetic for law in found.laws}["card -> name"] < 0.8
    once = fitted.evaluate(table, compare=fresh.assign(card=np.arange(ROWS) + 10**7))
    assert {law.law: law.synthetic for law in once.laws}["card -> name"] is None


def test_nothing_is_unique_by_chance() -> None:
    """Random moments are all different, and so is each with anything beside it."""
    random = np.random.default_rng(0)
    moments = pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 10**8, ROWS), unit="s")
    table = pd.DataFrame({"when": moments, "shelf": random.integers(0, 9, ROWS), "x": random.normal(size=ROWS)})
    found = gpuvgm.TableTransformer().fit(table).evaluate(table, compare=table)
    assert not any(law.law.startswith("unique") for law in found.laws)


def test_check_digits() -> None:
    assert luhn([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3]) and not luhn([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 4])
    assert ean([4, 0, 0, 6, 3, 8, 1, 3, 3, 3, 9, 3, 1]) and not ean([4, 0, 0, 6, 3, 8, 1, 3, 3, 3, 9, 3, 2])
    random = np.random.default_rng(0)
    bodies = random.integers(0, 10, (ROWS, 12)).tolist()
    cards = ["".join(map(str, [*body, next(d for d in range(10) if luhn([*body, d]))])) for body in bodies]
    table = {"card": cards}
    spoilt = {"card": [card[:-1] + str((int(card[-1]) + (place % 2)) % 10) for place, card in enumerate(cards)]}
    fitted = gpuvgm.TableTransformer({"card": "pass", "x": "continuous"}).fit(with_numbers(table))
    found = fitted.evaluate(with_numbers(table), compare=with_numbers(spoilt))
    of_digits = {law.law: law for law in found.laws}
    assert of_digits["check digit(card)"].synthetic == pytest.approx(0.5, abs=0.01)
    assert "EAN check digit(card)" not in of_digits


def with_numbers(table: dict[str, Any]) -> dict[str, Any]:
    """A table beside a column that is modelled."""
    return table | {"x": np.random.default_rng(1).normal(size=ROWS)}


def test_forms() -> None:
    texts = pa.array(["Ab-12", "ÉÈ é9", "", None, "x_٣"])
    assert forms_of(texts).to_pylist() == ["Aa-99", "AA a9", "", None, "a_٣"]


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_the_laws_of_files_are_those_of_tables(form: str, tmp_path: Any, original: pd.DataFrame) -> None:
    few = original[["shop", "town", "pieces", "total"]]
    table = pa.Table.from_pandas(few, preserve_index=False)
    path = tmp_path / f"rows.{form}"
    if form == "csv":
        few.to_csv(path, index=False)
    elif form == "parquet":
        few.to_parquet(path, index=False)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    fitted = gpuvgm.TableTransformer().fit(path)
    assert (
        fitted.evaluate(path, compare=path).laws == gpuvgm.TableTransformer().fit(few).evaluate(few, compare=few).laws
    )


def test_a_sample_of_our_own_keeps_what_it_can(original: pd.DataFrame) -> None:
    found = gpuvgm.TableSynthesizer().fit(original).evaluate(original)
    laws = {law.law: law.synthetic for law in found.laws}
    assert laws["shop -> town"] == 1 and laws["missing(complaint) = missing(refund)"] > 0.97


def test_other_forms_and_values_are_told_however_many_there_are() -> None:
    random = np.random.default_rng(0)
    table = with_numbers({"code": [f"K{number:05}" for number in range(ROWS)]})
    odd = ["".join(random.choice(list("Ka1-"), random.integers(1, 9))) + str(place) for place in range(ROWS)]
    fitted = gpuvgm.TableTransformer({"code": "pass", "x": "continuous"}).fit(table)
    (law,) = (law for law in fitted.evaluate(table, compare=with_numbers({"code": odd})).laws if "form" in law.law)
    assert (law.law, law.original, law.rows) == ("form(code)", 1, ROWS) and law.synthetic < 0.01
    numbers = with_numbers({"text": [f"{number / 100:.2f}" for number in random.integers(0, 10**6, ROWS)]})
    words = with_numbers({"text": [*numbers["text"][: ROWS // 2], *["about five"] * (ROWS // 2)]})
    fitted = gpuvgm.TableTransformer({"text": "pass", "x": "continuous"}).fit(numbers)
    laws = {law.law: law.synthetic for law in fitted.evaluate(numbers, compare=words).laws}
    assert laws["decimals(text)"] == laws["form(text)"] == 0.5
    shops = bakery()
    more = shops.assign(
        kind=np.where(random.random(ROWS) < 0.5, shops["kind"], [f"k{place % 90}" for place in range(ROWS)])
    )
    found = gpuvgm.TableTransformer().fit(shops).evaluate(shops, compare=more)
    law = next(law for law in found.laws if law.law == "kind -> form(batch)")
    assert law.rows == more["kind"].isin(["roll", "cake"]).sum() and law.synthetic == 1


def test_what_is_missing_nowhere_keeps_no_law_of_missing_values(original: pd.DataFrame) -> None:
    fitted = gpuvgm.TableTransformer().fit(original)
    filled = original.assign(refund=original["refund"].fillna(1.0))
    law = next(law for law in fitted.evaluate(original, compare=filled).laws if "missing" in law.law)
    assert law.synthetic == original["complaint"].notna().mean()


def told(table: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """Laws of a table, by their texts, as a comparison with another one tells them."""
    return {law.law: law for law in gpuvgm.TableTransformer().fit(table).evaluate(table, compare=other).laws}


def test_one_of_two_columns_is_always_there() -> None:
    """That is no law of values that are missing together."""
    random = np.random.default_rng(0)
    for ways in (2, 3):
        way = random.integers(0, ways, ROWS)
        phone, mail = (np.where(way == one, np.nan, random.normal(size=ROWS)) for one in (0, 1))
        table = pd.DataFrame({"phone": phone, "mail": mail})
        assert not any("missing" in law for law in told(table, table))


def test_columns_without_any_value_judge_nothing(original: pd.DataFrame) -> None:
    empty = original.assign(kind=pd.Series([None] * ROWS, dtype="string"))
    for other in (empty, empty[:1]):
        laws = told(original, other)
        assert laws["kind -> range(weight)"].synthetic is laws["kind -> form(batch)"].synthetic is None


def test_values_that_are_no_category_keep_no_law() -> None:
    random = np.random.default_rng(1)
    x, y = random.integers(0, 5, ROWS), random.integers(0, 4, ROWS)
    table = pd.DataFrame({"x": x, "y": y, "z": x + y, "w": random.normal(size=ROWS)})
    (law,) = (law for text, law in told(table, table.assign(z=50)).items() if " + " in text or " - " in text)
    assert law.synthetic in (0, None), "whichever column the law computes"


def test_steps_are_judged_beside_their_categories_alone() -> None:
    random = np.random.default_rng(2)
    currency = random.choice(["EUR", "JPY", None], ROWS, p=[0.7, 0.1, 0.2]).astype(object)
    cents = random.lognormal(4, 1, ROWS).round(2)
    amount = np.where(
        currency == "JPY", np.round(100 * cents), np.where(currency == "EUR", cents, np.round(cents / 5) * 5)
    )
    table = pd.DataFrame({"currency": currency, "amount": amount, "x": random.normal(size=ROWS)})
    wrong = table.assign(amount=table["amount"] + 0.01)
    law = told(table, wrong)["currency -> steps(amount)"]
    assert law.synthetic == 0 and law.rows == (currency != "EUR").sum()
    others = told(table, table.assign(currency="CHF"))["currency -> steps(amount)"]
    assert others.synthetic is None


def test_what_keys_decide_does_not_depend_on_the_order_of_rows() -> None:
    table = lendings(3)
    shares = [
        told(rows, rows)["card -> name"].original for rows in (table, table.sort_values("card", ignore_index=True))
    ]
    assert shares == [1, 1]
    random = np.random.default_rng(5)
    person = np.repeat(np.arange(40), 120)
    people = pd.DataFrame({"person": person, "age": random.integers(20, 60, 40)[person], "x": random.normal(size=4800)})
    assert "age -> person" not in told(people, people), "ages are shared"


def test_few_persons_say_nothing_of_categories() -> None:
    """Thirty patients are all that a ward has; others have other ages."""
    random = np.random.default_rng(6)
    patient = np.repeat(np.arange(30), 70)
    ward, age = random.integers(0, 5, 30), random.integers(1, 95, 30)
    rows = {"patient": patient + 1000, "ward": ward[patient], "age": age[patient], "x": random.normal(size=2100)}
    laws = told(pd.DataFrame(rows), pd.DataFrame(rows))
    assert not any("range" in law or "form" in law for law in laws)


def test_what_a_key_has_alone_decides_nothing_that_it_has() -> None:
    """Tickets were opened at a minute each: of the few that a sample has opened at such a minute a team was no law."""
    random, tickets = np.random.default_rng(3), 400
    rows = np.repeat(np.arange(tickets), random.integers(5, 9, tickets))
    opened = np.datetime64("2025-01-01") + random.permutation(20_000)[:tickets].astype("timedelta64[m]")
    team, place = random.choice(["desk", "net", "shop"], tickets), random.choice(["Ulm", "Kiel"], tickets)
    table = pd.DataFrame(
        {
            "ticket": rows + 1000,
            "opened": opened[rows],
            "team": team[rows],
            "place": place[rows],
            "country": np.where(place == "Ulm", "south", "north")[rows],
            "state": random.choice([*"abc"], len(rows)),
        }
    )
    fitted = gpuvgm.TableSynthesizer(sequence_key="ticket", threads=1).fit(table)
    sample = fitted.sample(keys=tickets)
    first = sample.groupby("ticket").opened.transform("first")
    known = dict(zip(first.unique()[:30], opened[:30], strict=True))  # minutes that tickets of the table have, too
    found = fitted.transformer_.evaluate(table, compare=sample.assign(opened=first.replace(known)))
    laws = {law.law: law for law in found.laws}
    assert {"place -> country", "country -> place"} & {*laws}
    assert not [text for text, law in laws.items() if text.startswith("opened ->") and law.is_broken]


def of_keys(laws: Any, key: str) -> dict[str, Any]:
    """The laws over the rows of a key, without its name."""
    return {law.law.removesuffix(f" in each {key}"): law for law in laws if law.law.endswith(f" in each {key}")}


@pytest.mark.parametrize(
    ("make", "key", "texts"),
    [
        (order_lines, "order", {"lines = count()", "total = sum(net)"}),
        (bookings, "account", {"previous(balance) + amount = balance"}),
        (stock_cards, "article", {"previous(closing) = opening"}),
        (ward_transfers, "case", {"previous(to) = ward", "previous(went) = came"}),
        (journal, "entry", {"sum(debit) = sum(credit)"}),
        (loans, "loan", {"lent = sum(principal)", "previous(owed) - principal = owed"}),
    ],
)
def test_laws_over_the_rows_of_a_key(make: Any, key: str, texts: set[str]) -> None:
    """Rows that are drawn one by one break them, and the verdict says which."""
    table = make(200, 0)
    fitted = gpuvgm.TableTransformer({key: "id"}).fit(table)
    same = of_keys(fitted.evaluate(table, compare=table).laws, key)
    assert {*same} == texts and all(law.synthetic == law.original == 1 for law in same.values())
    others = [name for name in table if name != key]
    mixed = table.assign(
        **{name: table[name].sample(frac=1, random_state=place).array for place, name in enumerate(others)}
    )
    found = fitted.evaluate(table, compare=mixed)
    assert {*of_keys(found.laws, key)} == texts
    assert all(law.is_broken for law in of_keys(found.laws, key).values() if law.synthetic is not None)
    assert "law" in found.verdict


def test_rows_of_keys_are_in_the_order_of_their_index() -> None:
    table = bookings(100, 1)
    fitted = gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="number", threads=1).fit(table)
    shuffled = fitted.evaluate(table.sample(frac=1, random_state=0, ignore_index=True))
    assert of_keys(shuffled.laws, "account")["previous(balance) + amount = balance"].original == 1


def test_what_differs_within_keys_is_no_total_of_those_in_which_it_does_not() -> None:
    """Counties without murders have a rate of 0 in all years."""
    random = np.random.default_rng(7)
    murders = random.poisson(np.repeat(random.choice([0.0, 6.0], 1600), 5))
    table = pd.DataFrame({"county": np.repeat(np.arange(1600), 5), "murders": murders, "rate": (murders / 5).round(2)})
    fitted = gpuvgm.TableTransformer({"county": "id"}).fit(table)
    assert not of_keys(fitted.evaluate(table, compare=table).laws, "county")


def test_few_keys_and_nearly_constant_columns_have_no_laws_of_keys() -> None:
    table = pd.DataFrame({"key": np.repeat(np.arange(300), 2), "one": 1, "two": 2, "x": np.arange(600) % 7})
    fitted = gpuvgm.TableTransformer({"key": "id"}).fit(table)
    assert not of_keys(fitted.evaluate(table, compare=table).laws, "key")
