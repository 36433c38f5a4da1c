"""Texts that hold a date of another column, such as the numbers of invoices: new ones hold the date of their row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError

ROWS = 4_000
LETTERS = {"red": "R", "white": "W", "rose": "P"}
Random = np.random.Generator


def numbered(*groups: Any) -> Any:
    """Running numbers from 1 on within groups of rows."""
    rows = pd.DataFrame({str(place): group for place, group in enumerate(groups)})
    return (rows.groupby([*rows.columns]).cumcount() + 1).to_numpy()


def days_of(random: Random, first: str, days: int) -> pd.Series:
    return pd.Series(pd.Timestamp(first) + pd.to_timedelta(np.sort(random.integers(0, days, ROWS)), "D"))


def sales(random: Random) -> pd.DataFrame:
    """Sales of a shop: numbers run anew each day, each year and each month."""
    date = days_of(random, "2023-06-01", 500)
    day, year, month = (date.dt.strftime(form) for form in ("%Y-%m-%d", "%Y", "%y/%m"))
    return pd.DataFrame(
        {
            "receipt": [f"{one}-{number:03}" for one, number in zip(day, numbered(day), strict=True)],
            "invoice": [f"INV-{one}-{number:04}" for one, number in zip(year, numbered(year), strict=True)],
            "voucher": [f"{one}/{number:03}" for one, number in zip(month, numbered(month), strict=True)],
            "date": date,
            "branch": random.choice(["north", "south"], ROWS, p=[0.7, 0.3]),
            "amount": random.lognormal(4, 1, ROWS).round(2),
        }
    )


def casks(random: Random) -> pd.DataFrame:
    """Casks of a winery: a letter for the colour, the moment of filling, and random numbers; some are of nobody."""
    filled = days_of(random, "2022-11-20", 700) + pd.to_timedelta(random.integers(6 * 60, 18 * 60, ROWS), "min")
    colour = random.choice([*LETTERS], ROWS, p=[0.5, 0.3, 0.2])
    letters = [LETTERS[one] for one in colour]
    number = random.integers(0, 10_000, ROWS)
    labels = [f"{one}{day}-{n:04}" for one, day, n in zip(letters, filled.dt.strftime("%Y%m%d"), number, strict=True)]
    lots = [f"{time}.{n}" for time, n in zip(filled.dt.strftime("%H%M/%d%m%y"), numbered(filled), strict=True)]
    is_bought = random.random(ROWS) < 0.1
    table = pd.DataFrame({"label": labels, "lot": lots, "filled": filled, "colour": colour})
    table["label"] = np.where(is_bought, [f"X-{n:06}" for n in random.permutation(900_000)[:ROWS]], table["label"])
    table["tasted"] = table["filled"] + pd.to_timedelta(random.integers(5, 90, ROWS), "D")
    table["litres"] = random.gamma(2, 90, ROWS).round()
    return table.drop_duplicates("label", ignore_index=True)


def _in(rows: pd.DataFrame, form: str, name: str) -> Any:
    return rows[name].dt.strftime(form)


#: Tables, the column of texts, that of dates, and the texts of some rows without their numbers.
CODES: list[tuple[Callable[[Random], pd.DataFrame], str, str, str, Callable[[pd.DataFrame], Any]]] = [
    (sales, "receipt", "date", r"-\d{3}$", lambda rows: _in(rows, "%Y-%m-%d", "date")),
    (sales, "invoice", "date", r"-\d{4}$", lambda rows: "INV-" + _in(rows, "%Y", "date")),
    (sales, "voucher", "date", r"/\d{3}$", lambda rows: _in(rows, "%y/%m", "date")),
    (casks, "label", "filled", r"-\d{4}$", lambda rows: rows["colour"].map(LETTERS) + _in(rows, "%Y%m%d", "filled")),
    (casks, "lot", "filled", r"\.\d+$", lambda rows: _in(rows, "%H%M/%d%m%y", "filled")),
]
NAMES = [name for _, name, *_ in CODES]


def _share(rows: pd.DataFrame, name: str, number: str, coded: Callable[[pd.DataFrame], Any]) -> float:
    """Share of the rows whose text has the form, and holds what other columns have."""
    rows = rows[~rows[name].str.startswith("X-")]
    has_form = rows[name].str.contains(number)
    return float(np.mean(has_form & (rows[name].str.replace(number, "", regex=True) == coded(rows))))


@pytest.fixture(scope="module")
def fitted_tables() -> dict[Any, tuple[pd.DataFrame, gpuvgm.TableSynthesizer]]:
    tables = {table_of: table_of(np.random.default_rng(3)) for table_of in (sales, casks)}
    return {table_of: (table, gpuvgm.TableSynthesizer().fit(table)) for table_of, table in tables.items()}


@pytest.mark.parametrize(("table_of", "name", "date", "number", "coded"), CODES, ids=NAMES)
def test_new_texts_hold_the_date_of_their_row(
    table_of: Any, name: str, date: str, number: str, coded: Any, fitted_tables: Any, reloaded: Any
) -> None:
    table, fitted = fitted_tables[table_of]
    fitted = reloaded(fitted)
    assert f"{date} -> code({name})" in fitted.fit_report_.laws and f"{date} -> code({name})" in str(fitted)
    rows = fitted.sample(len(table))
    assert _share(table, name, number, coded) == 1 and _share(rows, name, number, coded) > 0.99
    assert rows[name].is_unique and not {*rows[name]} & {*table[name]}
    some = pd.concat([fitted.sample(70), fitted.sample(len(table) - 70, first_row=70)], ignore_index=True)
    assert some.equals(rows) and not len(fitted.sample(0))


@pytest.mark.parametrize("rows", [140_000])
def test_texts_of_many_rows_are_as_different(rows: int, fitted_tables: Any) -> None:
    """Rows are numbered in periods of 65,536; each has numbers of its own."""
    table, fitted = fitted_tables[sales]
    with pytest.warns(UserWarning, match='column "voucher": some new values are longer than those of the table'):
        sample = fitted.sample(rows)
    for name in ("receipt", "invoice", "voucher"):
        assert sample[name].is_unique and not {*sample[name]} & {*table[name]}
    assert (sample["receipt"].str[:10] == sample["date"].dt.strftime("%Y-%m-%d")).all()
    for first in (65_500, 131_060):
        part = fitted.sample(60, first_row=first)
        assert part.equals(sample[first : first + 60].reset_index(drop=True))


def test_texts_hold_dates_under_conditions(fitted_tables: Any) -> None:
    table, fitted = fitted_tables[sales]
    conditions = {"branch": "south", "date": ("2024-01-01", "2024-01-31")}
    rows = fitted.sample(1_500, conditions=conditions)
    assert rows["receipt"].is_unique and not {*rows["receipt"]} & {*table["receipt"]}
    assert (rows["receipt"].str[:10] == rows["date"].dt.strftime("%Y-%m-%d")).all()
    assert (rows["voucher"].str[:5] == "24/01").all()
    both = pd.DataFrame({"branch": ["south", "north"] * 50, "date": pd.Timestamp("2024-01-05")})
    rows = fitted.sample(100, conditions=both)
    assert rows["receipt"].is_unique and (rows["receipt"].str[:10] == "2024-01-05").all()
    assert (rows["branch"] == both["branch"]).all()


def orders(random: Random) -> pd.DataFrame:
    """Lines of orders, whose number has the letter of the branch and the date of the order."""
    one_of_each = sales(random)[["receipt", "date", "branch"]]
    one_of_each["order"] = one_of_each["branch"].str[0].str.upper() + one_of_each.pop("receipt")
    lines = one_of_each.loc[one_of_each.index.repeat(random.integers(1, 4, ROWS))].reset_index(drop=True)
    return lines.assign(price=random.lognormal(3, 0.7, len(lines)).round(2))


def _agree(rows: pd.DataFrame) -> bool:
    """Whether each order has one date and one branch, which its number says."""
    says = rows["branch"].str[0].str.upper() + rows["date"].dt.strftime("%Y-%m-%d")
    return bool((rows["order"].str[:11] == says).all() and rows["order"].str.fullmatch(r"[NS][\d-]{10}-\d{3}").all())


def test_keys_hold_the_date_that_all_their_rows_have() -> None:
    table = orders(np.random.default_rng(2))
    fitted = gpuvgm.TableSynthesizer({"order": {"key": True}}).fit(table)
    assert {"date -> code(order)", "branch -> code(order)"} <= {*fitted.fit_report_.laws}
    rows = fitted.sample(len(table))
    assert _agree(table) and _agree(rows) and not {*rows["order"]} & {*table["order"]}
    assert abs(rows["order"].nunique() / table["order"].nunique() - 1) < 0.02
    some = pd.concat([fitted.sample(500), fitted.sample(len(table) - 500, first_row=500)], ignore_index=True)
    assert some.equals(rows)
    dear = {"price": (30, None)}
    rows = fitted.sample(900, conditions=dear)
    assert _agree(rows) and rows["order"].nunique() > 400
    parts = [fitted.sample(250, conditions=dear), fitted.sample(650, first_row=250, conditions=dear)]
    assert pd.concat(parts, ignore_index=True).equals(rows)
    frame = pd.DataFrame({"branch": ["south", "north"] * 20, "date": pd.Timestamp("2024-02-05")})
    assert _agree(fitted.sample(40, conditions=frame))


def test_keys_of_sequences_hold_dates_as_well() -> None:
    table = orders(np.random.default_rng(4))
    wanted = ["auto", "date -> code(order)", "not branch -> code(order)"]
    fitted = gpuvgm.TableSynthesizer(sequence_key="order", laws=wanted).fit(table)
    laws = fitted.fit_report_.laws
    assert "date -> code(order)" in laws and "branch -> code(order)" not in laws
    assert f"laws: {'; '.join(laws)}" in str(fitted)
    rows = fitted.sample(2_000)
    assert (rows["order"].str[1:11] == rows["date"].dt.strftime("%Y-%m-%d")).all()
    assert rows.groupby("order")["date"].nunique().max() == 1 and not {*rows["order"]} & {*table["order"]}
    assert pd.concat([fitted.sample(77), fitted.sample(1_923, first_row=77)], ignore_index=True).equals(rows)


@pytest.mark.parametrize("dates", ["text", "numbers", "zone", "missing", "months"])
def test_dates_of_any_kind_are_found(dates: str) -> None:
    table = sales(np.random.default_rng(5))[["receipt", "voucher", "date", "amount"]]
    forms = {"text": "%d.%m.%Y", "numbers": "%Y%m%d"}
    if dates in forms:
        table["date"] = table["date"].dt.strftime(forms[dates])
    if dates == "numbers":
        table["date"] = table["date"].astype(np.int64)
    if dates == "zone":  # a day in Sydney begins while it is the day before in Greenwich
        table["date"] = (table["date"] + pd.Timedelta(hours=7)).dt.tz_localize("Australia/Sydney").astype("M8[s, UTC]")
        table["date"] = table["date"].dt.tz_convert("Australia/Sydney")
    if dates == "missing":
        table["date"] = table["date"].where(np.random.default_rng(0).random(ROWS) > 0.2)
    if dates == "months":
        table["voucher"] = table["date"].dt.strftime("%V/%j/") + table["receipt"].str[-3:]
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert {"date -> code(receipt)", "date -> code(voucher)"} <= {*fitted.fit_report_.laws}
    rows = fitted.sample(ROWS)
    present = rows[rows["date"].notna()]
    moments = pd.to_datetime(present["date"].astype(str), format=forms[dates]) if dates in forms else present["date"]
    assert (present["receipt"].str[:10] == moments.dt.strftime("%Y-%m-%d")).all()
    form = "%V/%j" if dates == "months" else "%y/%m"
    assert (present["voucher"].str[: len(moments.dt.strftime(form).iloc[0])] == moments.dt.strftime(form)).all()
    assert rows["receipt"].is_unique and not {*rows["receipt"]} & {*table["receipt"]}
    lacking = rows[rows["date"].isna()]
    assert len(lacking) == (0 if dates != "missing" else len(lacking)) and lacking["receipt"].notna().all()


@pytest.mark.parametrize("type_", ["int64", "str"])
def test_whole_numbers_that_identify_begin_with_dates(type_: str) -> None:
    table = sales(np.random.default_rng(6))
    table["receipt"] = table["receipt"].str.replace("-", "").astype(type_)
    fitted = gpuvgm.TableSynthesizer({"receipt": "id"}).fit(table)
    rows = fitted.sample(ROWS)
    assert rows["receipt"].dtype == table["receipt"].dtype
    assert (rows["receipt"].astype(str).str[:8] == rows["date"].dt.strftime("%Y%m%d")).all()
    assert rows["receipt"].is_unique and not {*rows["receipt"]} & {*table["receipt"]}


def test_dates_by_chance_or_that_a_row_breaks_are_no_law() -> None:
    table = sales(np.random.default_rng(7))
    permuted = table.assign(date=table["date"].sample(frac=1, random_state=1).to_numpy())
    assert not [law for law in gpuvgm.TableSynthesizer().fit(permuted).fit_report_.laws if "code" in law]
    long = pd.concat([table] * 8, ignore_index=True)[["receipt", "date", "amount"]]
    long["receipt"] = [f"{text[:10]}-{number:05}" for number, text in enumerate(long["receipt"])]
    is_unread = np.arange(len(long)) // 64 % 2 == 1  # by the sample that shows forms
    for share, kept in ((0.004, True), (0.03, False)):
        off = is_unread & (np.random.default_rng(1).random(len(long)) < 2 * share)
        fitted = gpuvgm.TableSynthesizer().fit(long.assign(date=long["date"] + pd.to_timedelta(off.astype(int), "D")))
        assert fitted.identifiers_["receipt"].date == ("date" if kept else "")
        rows = fitted.sample(len(long))
        assert rows["receipt"].is_unique and not {*rows["receipt"]} & {*long["receipt"]}
        assert (rows["receipt"].str[:10] == rows["date"].dt.strftime("%Y-%m-%d")).all() == kept


def test_further_rows_end_the_law(caplog: Any, fitted_tables: Any, reloaded: Any) -> None:
    table = sales(np.random.default_rng(8))
    fitted = gpuvgm.TableSynthesizer().fit(table)
    more = gpuvgm.TableSynthesizer(like=fitted).fit(sales(np.random.default_rng(9)))
    both = fitted.merge(more)
    assert both.identifiers_["receipt"].date == "date"
    late = table.assign(date=table["date"].where(table.index % 20 > 0, table["date"] + pd.Timedelta(days=1)))
    broken = gpuvgm.TableSynthesizer(like=fitted).fit(late)
    caplog.clear()
    fitted.partial_fit(late)
    assert 'the law "date -> code(receipt)" is broken by 200 rows: samples do not keep it' in caplog.text
    for ended in (fitted, broken, both.merge(broken), broken.merge(both)):
        assert ended.identifiers_["receipt"].date == "" and ended.identifiers_["invoice"].date == "date"
        rows = reloaded(ended).sample(2_000)
        assert rows["receipt"].str.fullmatch(r"\d{4}-\d\d-\d\d-\d{3,}").all() and rows["receipt"].is_unique
        assert not {*rows["receipt"]} & {*table["receipt"]}


def test_laws_about_texts_are_written_found_and_forbidden() -> None:
    table = sales(np.random.default_rng(10))

    def laws(wanted: Any) -> Sequence[str]:
        return gpuvgm.TableSynthesizer(laws=wanted).fit(table).fit_report_.laws

    assert laws(["date -> code(receipt)"]) == ("date -> code(receipt)",) and laws("off") == ()
    assert laws("auto; not date -> code(invoice)") == ("date -> code(receipt)", "date -> code(voucher)")
    table["articles in stock"] = [f"KX-{n:05}-{of[0]}" for n, of in zip(range(ROWS), table["branch"], strict=True)]
    assert laws(["branch -> code(articles in stock)"]) == ("branch -> code(articles in stock)",)


@pytest.mark.parametrize(
    ("law", "why"),
    [
        ("date -> code(branch)", '"branch" is modelled, .* write "date -> branch", or declare columns=.*"id"'),
        ("amount -> code(receipt)", '"amount" has neither dates nor categories; declare its kind'),
        ("branch -> code(receipt)", 'the values of "receipt" have no codes or forms that go with .* of "branch"'),
        ("paid -> code(receipt)", 'the values of "receipt" do not hold the year, the month or another part of "paid"'),
        ("invoice -> code(receipt)", '"invoice" is not modelled; give a column of dates or categories'),
        ("date -> code(receipts)", 'there is no column "receipts"; did you mean "receipt"?'),
        ("dat -> code(receipt)", 'there is no column "dat"; did you mean "date"?'),
        ("date -> kode(receipt)", 'the nearest laws are written .*"a -> code\\(b\\)"'),
    ],
)
def test_laws_that_texts_do_not_keep_are_refused(law: str, why: str) -> None:
    table = sales(np.random.default_rng(11)).head(400)
    table["paid"] = table["date"] + pd.to_timedelta(np.random.default_rng(0).integers(1, 40, len(table)), "D")
    with pytest.raises(InputError, match=why):
        gpuvgm.TableSynthesizer(laws=[law]).fit(table)


def test_of_a_key_only_what_all_its_rows_have_is_held() -> None:
    table = orders(np.random.default_rng(12))
    table["date"] += pd.to_timedelta(np.arange(len(table)) % 2, "D")
    with pytest.raises(InputError, match='"order" is a key, and "date" is not one of each'):
        gpuvgm.TableSynthesizer({"order": {"key": True}}, laws=["date -> code(order)"]).fit(table)


@pytest.mark.parametrize("name", ["receipt", "article"])
def test_the_comparison_names_codes_that_are_broken(name: str) -> None:
    table = sales(np.random.default_rng(13))
    numbers = np.random.default_rng(0).permutation(90_000)[:ROWS]
    table["article"] = [f"KX-{n:05}-{of[0].upper()}" for n, of in zip(numbers, table["branch"], strict=True)]
    law = {"receipt": "date -> code(receipt)", "article": "branch -> code(article)"}[name]
    fitted = gpuvgm.TableSynthesizer().fit(table)
    compared = fitted.evaluate(table)
    assert compared.broken_law is None and {one.law: one.synthetic for one in compared.laws}[law] == 1
    spoilt = table.assign(**{name: table[name].sample(frac=1, random_state=1).to_numpy()})
    broken = gpuvgm.TableTransformer().fit(table).evaluate(table, compare=spoilt).broken_law
    assert broken is not None and broken.law == law and broken.is_broken and broken.declared


def test_letters_with_little_room_go_with_their_category() -> None:
    """A tenth of all numbers is left, so that rows of a letter are numbered beside each other."""
    table = sales(np.random.default_rng(14))
    numbers = np.random.default_rng(0).permutation(90_000)[:ROWS]
    texts = (f"{n // 100:03}.{n % 100:02}" for n in numbers)
    table["article"] = [f"{text}-{of[0].upper()}" for text, of in zip(texts, table["branch"], strict=True)]
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert fitted.identifiers_["article"].in_groups
    rows = fitted.sample(ROWS)
    assert (rows["article"].str[-1] == rows["branch"].str[0].str.upper()).all() and rows["article"].is_unique
    assert not {*rows["article"]} & {*table["article"]} and rows["article"].str.len().max() == 8


def test_prefixes_of_running_numbers_go_with_their_category() -> None:
    table = sales(np.random.default_rng(15))
    table["claim"] = [f"{of[:2].upper()}{number:06}" for number, of in enumerate(table["branch"], 1)]
    fitted = gpuvgm.TableSynthesizer().fit(table)
    assert fitted.identifiers_["claim"].kind == "number" and "branch -> code(claim)" in fitted.fit_report_.laws
    rows = fitted.sample(3_000)
    assert (rows["claim"].str[:2] == rows["branch"].str[:2].str.upper()).all() and rows["claim"].is_unique
    assert rows["claim"].str[2:].astype(int).min() == ROWS + 1


def test_forged_dates_are_refused(tmp_path: Any, fitted_tables: Any) -> None:
    _, fitted = fitted_tables[sales]
    form = fitted.identifiers_["receipt"]
    pattern = form.patterns[0]
    for wrong, why in (
        (replace(form, date=""), "its patterns hold dates of no column"),
        (replace(form, in_groups=False), "its patterns hold dates of no column"),
        (replace(form, date="branch"), '"branch" has not the dates that "receipt" holds'),
        (replace(form, date="x"), '"x" has not the dates that "receipt" holds'),
        (replace(form, patterns=(replace(pattern, text=r"\%Q\n"),)), "tokens that are not known"),
    ):
        model = gpuvgm.TableSynthesizer(like=fitted)
        model._with(replace(fitted._fitted, forms={**fitted.identifiers_, "receipt": wrong}))
        with pytest.raises(InputError, match=why):
            model.save(tmp_path / "wrong.gpuvgm")
