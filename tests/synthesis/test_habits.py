"""Days and times that keys have of their own, as accounts have those of their standing orders."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.synthesis.keys import habit_search
from gpuvgm.synthesis.keys.habits import Habit

ROWS, KEYS = 12_000, 600
DAYS = pd.date_range("2023-01-01", periods=731).to_numpy().astype("M8[D]")
WEEKDAYS = (DAYS.astype(int) + 3) % 7
NOON = (15, 3)  # hours: mean and standard deviation


def bookings(case: str, rows: int = ROWS, keys: int = KEYS) -> pd.DataFrame:
    """Bookings of keys, of which orders, or all, have days and hours of their key."""
    random = np.random.default_rng(59)
    key, day = random.integers(0, keys, rows), random.choice(DAYS, rows)
    kind = random.choice(["card", "order", "transfer"], rows, p=[0.5, 0.3, 0.2])
    seconds, is_order = random.integers(0, 86400, rows), kind == "order"
    if case not in ("orders", "often", "moved"):
        seconds = (random.normal(*NOON, rows).clip(8, 20) * 3600).astype(int)
    if case in ("orders", "often", "moved", "named", "months"):
        own_day, own_hour = random.integers(1, 29, keys)[key], random.integers(8, 18, keys)[key]
        if case == "often":
            is_order &= random.random(rows) < 0.7
        meant = day.astype("M8[M]").astype("M8[D]") + (own_day - 1)
        if case == "moved":
            day = random.choice(DAYS[WEEKDAYS < 5], rows)
            meant = day.astype("M8[M]").astype("M8[D]") + (own_day - 1)
            meant += np.array([0, 0, 0, 0, 0, 2, 1])[(meant.astype(int) + 3) % 7]
        day = np.where(is_order, np.minimum(meant, DAYS[-1]), day)
        seconds = np.where(is_order, own_hour * 3600, seconds)
    if case == "weekdays":
        own, comes = random.integers(0, 7, keys)[key], random.random(rows) < 0.8
        day = np.where(comes, day + (own - (day.astype(int) + 3)) % 7, day)
    values: dict[str, Any] = {}
    if case in ("values", "told"):
        amount, payee = random.lognormal(5, 1, keys).round(2), random.choice([f"P{one}" for one in range(40)], keys)
        grade = random.choice(["a", "b", "c"], keys)
        if case == "told":
            amount = (amount * np.array([1, 5, 25])[np.searchsorted(["a", "b", "c"], grade)]).round(2)
        often = is_order | (random.random(rows) < 0.3)
        values = {
            "amount": np.where(is_order, amount[key], random.lognormal(4, 1, rows).round(2)),
            "payee": np.where(often, payee[key], random.choice([f"P{one}" for one in range(40)], rows)),
            "grade": grade[key],
        }
    if case == "visits":  # all rows of a key within a week
        day = DAYS[random.integers(0, 700, keys)[key] + random.integers(0, 7, rows)]
    when = pd.Series(day.astype("M8[s]") + seconds.astype("m8[s]"))
    beside = {"named": {"weekday": when.dt.day_name()}, "months": {"month": when.dt.month_name()}}.get(case, {})
    mail = [f"c{number}@example.org" for number in key]
    return pd.DataFrame(
        {"when": when, "mail": mail, "kind": kind, "x": random.normal(size=rows).round(2)} | beside | values
    )


@cache
def fitted(case: str) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer().fit(bookings(case))


def agree(rows: pd.DataFrame, what: Any, kind: str = "order") -> float:
    """Share of the rows of a kind that have the most frequent of their key, of keys with several."""
    own = rows[rows.kind == kind]
    counts = what(own.when.dt).groupby(own.mail).agg(lambda one: (one.value_counts().iloc[0], len(one)))
    most, every = np.array([one for one in counts if one[1] > 1]).T
    return float(most.sum() / every.sum())


PARTS = {"day": lambda when: when.day, "hour": lambda when: when.hour, "weekday": lambda when: when.day_of_week}


@pytest.mark.parametrize("case", ["orders", "often", "moved", "weekdays", "none"])
def test_rows_of_a_key_are_as_alike_as_in_the_table(case: str) -> None:
    table, sample = bookings(case), fitted(case).sample(ROWS, seed=1)
    for name, part in PARTS.items():
        for kind in ("card", "order"):
            assert abs(agree(table, part, kind) - agree(sample, part, kind)) < 0.04, (name, kind)
    assert not {*sample.mail} & {*table.mail}


def test_what_rows_of_a_kind_have_is_as_in_the_table() -> None:
    """Days and hours as often; weekends, on which nothing is booked, stay free."""
    table, sample = bookings("moved"), fitted("moved").sample(ROWS, seed=2)
    assert (sample.when.dt.day_of_week < 5).mean() > 0.998
    for part in PARTS.values():
        of_table, of_sample = (
            part(rows.when[rows.kind == "order"].dt).value_counts(normalize=True) for rows in (table, sample)
        )
        assert of_table.sub(of_sample, fill_value=0).abs().sum() / 2 < 0.09
    months = [rows.when.dt.month.value_counts(normalize=True) for rows in (table, sample)]
    assert months[0].sub(months[1], fill_value=0).abs().sum() / 2 < 0.03


@pytest.mark.parametrize("case", ["none", "visits"])
def test_there_is_no_habit_where_rows_are_alike_by_chance_or_near_in_time(case: str) -> None:
    assert not fitted(case).network_.structure.habits


@pytest.mark.parametrize("case", ["named", "months"])
def test_rows_are_not_moved_away_from_columns_that_name_their_date(case: str) -> None:
    sample = fitted(case).sample(ROWS, seed=3)
    names = {"weekday": sample.when.dt.day_name(), "month": sample.when.dt.month_name()}
    (name,) = {*names} & {*sample.columns}
    assert (names[name] == sample[name]).mean() > 0.99


def same(rows: pd.DataFrame, column: str) -> float:
    """Share of the keys with several orders that have one value in all of them."""
    counts = rows[rows.kind == "order"].groupby("mail")[column].agg(["nunique", "size"])
    return float((counts["nunique"] == 1)[counts["size"] > 1].mean())


def test_keys_have_values_of_their_own() -> None:
    table, sample = bookings("values"), fitted("values").sample(2 * ROWS, seed=7)
    assert same(table, "amount") == same(sample, "amount") == same(sample, "payee") == 1
    for kind in ("order", "card"):
        amounts = [rows.amount[rows.kind == kind].quantile([0.1, 0.25, 0.5, 0.75, 0.9]) for rows in (table, sample)]
        np.testing.assert_allclose(*amounts, rtol=0.2)
    payees = [rows.payee[rows.kind == "order"].value_counts(normalize=True) for rows in (table, sample)]
    assert payees[0].sub(payees[1], fill_value=0).abs().sum() / 2 < 0.12
    assert (sample.amount.mul(100).round() / 100 == sample.amount).all()
    sample = fitted("values").sample(2000, seed=7, conditions={"amount": (100, 200)})
    assert sample.amount.between(100, 200).all()


def test_a_value_that_other_columns_tell_of_stays_with_them() -> None:
    """An amount that depends on the key's grade is drawn given the grade, for each row."""
    table, sample = bookings("told"), fitted("told").sample(2 * ROWS, seed=8)
    assert [habit.column for habit in fitted("told").network_.structure.habits] == ["payee"]
    medians = [rows[rows.kind == "order"].groupby("grade").amount.median() for rows in (table, sample)]
    np.testing.assert_allclose(*medians, rtol=0.2)


def test_accounts_that_keep_their_names_have_habits_too() -> None:
    """More of them than trees can tell the days of."""
    table = bookings("orders", keys=1500).assign(
        account=lambda rows: "A" + rows.mail.str.extract(r"(\d+)")[0].str.zfill(4)
    )
    table = table.drop(columns="mail").assign(kind=lambda rows: rows.kind.astype("category"))
    with pytest.warns(match="real values"):
        synthesizer = gpuvgm.TableSynthesizer({"account": {"keep": True}}).fit(table)
    assert {habit.key for habit in synthesizer.network_.structure.habits} == {"account"}
    sample = synthesizer.sample(ROWS, seed=4)
    assert {*sample.account} <= {*table.account}
    assert agree(sample.rename(columns={"account": "mail"}), PARTS["day"]) > 0.98


def test_rows_are_functions_of_their_numbers_and_models_come_back(tmp_path: Path) -> None:
    synthesizer = fitted("often")
    whole = synthesizer.sample(3000, seed=5)
    parts = [synthesizer.sample(1000, seed=5, first_row=first) for first in (0, 1000, 2000)]
    pd.testing.assert_frame_equal(whole, pd.concat(parts, ignore_index=True))
    synthesizer.save(tmp_path / "model.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "model.gpuvgm")
    assert isinstance(loaded, gpuvgm.TableSynthesizer)
    assert loaded.network_.structure.habits == synthesizer.network_.structure.habits
    pd.testing.assert_frame_equal(loaded.sample(3000, seed=5), whole)
    assert "habits: day of when (of each mail where kind is order), time of when (" in str(loaded)
    like = gpuvgm.TableSynthesizer(like=synthesizer).fit(bookings("often")[:6000])
    assert like.network_.structure.habits == synthesizer.network_.structure.habits


@pytest.mark.parametrize(
    "conditions",
    [
        {"kind": "order"},
        {"when": ("2023-03-01", "2023-03-31")},
        {"when": ("2023-03-01", "2023-03-31"), "kind": "order"},
    ],
)
def test_conditions_hold_and_so_do_habits(conditions: dict[str, Any]) -> None:
    sample = fitted("orders").sample(4000, seed=6, conditions=conditions)
    if "kind" in conditions:
        assert (sample.kind == "order").all()
    if "when" in conditions:
        assert sample.when.between("2023-03-01", "2023-03-31 23:59:59").all()
    assert agree(sample, PARTS["day"]) > 0.98


@pytest.mark.parametrize(
    "spoilt",
    [
        {"column": "x"},
        {"part": "month"},
        {"key": "x"},
        {"beside": "when"},
        {"category": 3},
        {"codes": (200,), "weights": (9.0,)},
        {"codes": ()},
        {"weights": (0.0,), "codes": (3,)},
        {"share": 0.1},
    ],
)
def test_spoilt_habits_are_refused(spoilt: dict[str, Any], tmp_path: Path) -> None:
    synthesizer = fitted("orders")
    network, habit = synthesizer.network_, synthesizer.network_.structure.habits[0]
    assert isinstance(habit, Habit)
    wrong = replace(network, structure=replace(network.structure, habits=(replace(habit, **spoilt),)))
    copy = gpuvgm.TableSynthesizer(like=synthesizer)._with(replace(synthesizer._fitted, network=wrong))
    with pytest.raises(InputError, match="could not be read again: the (habits of|network: habits)"):
        copy.save(tmp_path / "model.gpuvgm")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("later", ["ends", "is often the same"])
def test_dates_that_follow_move_with_them(later: str) -> None:
    table, random = bookings("orders"), np.random.default_rng(9)
    days = random.exponential(3, ROWS) if later == "ends" else random.choice([0, 1, 2, 3], ROWS, p=[0.7, 0.1, 0.1, 0.1])
    table["end"] = table.when + pd.to_timedelta(days, "D").round("s")
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    sample = synthesizer.sample(ROWS, seed=10)
    assert agree(sample, PARTS["day"]) > 0.98
    assert (sample.end >= sample.when).all()
    assert abs((sample.end == sample.when).mean() - (table.end == table.when).mean()) < 0.03


@pytest.mark.parametrize("case", ["dates", "zones", "some are missing"])
def test_dates_of_all_types_have_habits(case: str) -> None:
    table, random = bookings("orders"), np.random.default_rng(11)
    if case == "dates":
        table["when"] = table.when.dt.date
    elif case == "zones":
        table["when"] = table.when.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    else:
        for name in ("when", "mail", "kind"):
            table.loc[random.random(ROWS) < 0.1, name] = None
    sample = gpuvgm.TableSynthesizer().fit(table).sample(ROWS, seed=12)
    sample = sample[sample.when.notna()]
    assert agree(sample.assign(when=pd.to_datetime(sample.when)), PARTS["day"]) > 0.98


def test_the_finest_keys_that_have_a_habit_have_it() -> None:
    """Accounts have days of their own, and their customers several."""
    table, random = bookings("none"), np.random.default_rng(13)
    account, owner, own_day = random.integers(0, 900, ROWS), random.integers(0, 300, 900), random.integers(1, 29, 900)
    meant = table.when.to_numpy().astype("M8[M]").astype("M8[D]") + (own_day[account] - 1)
    table["when"] = np.where(table.kind == "order", meant.astype("M8[s]"), table.when)
    table["mail"] = [f"c{owner[one]}@example.org" for one in account]
    table["iban"] = [f"DE{one % 90 + 10}{one * 7919 + 10**15:018d}" for one in account]
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    assert {habit.key for habit in synthesizer.network_.structure.habits} == {"iban"}
    sample = synthesizer.sample(ROWS, seed=14)
    assert agree(sample.drop(columns="mail").rename(columns={"iban": "mail"}), PARTS["day"]) > 0.98
    assert abs(agree(sample, PARTS["day"]) - agree(table, PARTS["day"])) < 0.05


def test_a_category_of_keys_that_are_left_out_has_no_habits(monkeypatch: pytest.MonkeyPatch) -> None:
    table = bookings("orders", 2_000, 200)
    rare = table.mail.map(len).idxmin()  # pairs are made of few keys, of which this one is none
    table.loc[[rare], "kind"] = "cheque"
    monkeypatch.setattr(habit_search, "MOST_KEPT", 1_000)
    habits = gpuvgm.TableSynthesizer(threads=1).fit(table)._model.network.structure.habits
    assert {"order"} == {table.kind.value_counts().index[habit.category] for habit in habits}
