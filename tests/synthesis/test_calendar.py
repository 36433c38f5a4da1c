"""Datetimes that keep to a calendar: days, hours, and what other columns have to do with them, are right in samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.synthesis.bins.clock import Clock, Part, days_of, parts_of_days

ROWS = 12_000
DAYS = 731
MONTHS = "2023-01-01"
KINDS = {"card": 0.5, "transfer": 0.25, "rent": 0.08, "savings": 0.07, "salary": 0.06, "pension": 0.04}


def _bank(rows: int = ROWS) -> pd.DataFrame:
    """Bookings of two years: each kind has its days and its hours."""
    random = np.random.default_rng(3)
    days = pd.date_range(MONTHS, periods=DAYS, freq="D")
    last = pd.date_range(MONTHS, days[-1], freq="BME")
    kind = random.choice([*KINDS], rows, p=[*KINDS.values()])
    of_kind = {
        "card": (days, random.normal(15, 3, rows).clip(7, 23.9) * 3600),
        "transfer": (days[days.day_of_week < 5], random.uniform(8, 18, rows) * 3600),
        "rent": (days[days.day == 1], np.full(rows, 6 * 3600)),
        "savings": (days[days.day == 15], np.full(rows, 6 * 3600)),
        "salary": (days[days.day == 28], random.uniform(3, 3.5, rows) * 3600),
        "pension": (last, random.uniform(4, 4.5, rows) * 3600),
    }
    booked = np.empty(rows, "M8[s]")
    for name, (own, seconds) in of_kind.items():
        is_own = kind == name
        times = np.where(random.random(rows) < 0.02, random.uniform(0, 6, rows) * 3600, seconds)
        seconds = times if name == "card" else seconds
        day = random.choice(own.to_numpy().astype("M8[s]"), is_own.sum())
        booked[is_own] = day + seconds[is_own].astype(np.int64).astype("m8[s]")
    amount = random.lognormal(3 + pd.Series(kind).map(dict(zip(KINDS, range(6), strict=True))) / 2, 0.5).round(2)
    return pd.DataFrame({"booked": booked, "kind": kind, "amount": amount})


def _shares(rows: pd.DataFrame) -> dict[str, float]:
    """Shares of rows that keep to the calendar, as a bank's clerk would count them; and of each kind."""
    booked = rows.booked.dt.tz_localize(None) if rows.booked.dt.tz is not None else rows.booked
    kind, hour, day = rows.kind, booked.dt.hour, booked.dt.day
    at_six = (hour == 6) & (booked.dt.minute == 0) & (booked.dt.second == 0)
    last_working_day = booked.dt.normalize() + pd.offsets.BMonthEnd(0) == booked.dt.normalize()
    shares = {
        "salary day": (day == 28)[kind == "salary"].mean(),
        "salary hour": (hour == 3)[kind == "salary"].mean(),
        "pension day": last_working_day[kind == "pension"].mean(),
        "rent": (at_six & (day == 1))[kind == "rent"].mean(),
        "savings": (at_six & (day == 15))[kind == "savings"].mean(),
        "weekend": (booked.dt.day_of_week < 5)[kind == "transfer"].mean(),
        "office": ((hour >= 8) & (hour < 18))[kind == "transfer"].mean(),
        "day cards": (hour >= 6)[kind == "card"].mean(),
    }
    return {name: float(share) for name, share in shares.items()}


@pytest.fixture(scope="module")
def bank() -> pd.DataFrame:
    return _bank()


@pytest.fixture(scope="module")
def fitted(bank: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer().fit(bank)


def test_samples_keep_to_the_calendar_of_a_bank(bank: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    table, sample = _shares(bank), fitted.sample(ROWS)
    shares = _shares(sample)
    assert {name: share for name, share in shares.items() if abs(share - table[name]) > 0.03} == {}
    frequencies = sample.kind.value_counts(normalize=True)
    assert all(abs(frequencies[kind] - share) < 0.015 for kind, share in KINDS.items())
    days = [rows.booked.dt.day_of_week.value_counts(normalize=True).sort_index() for rows in (bank, sample)]
    assert np.abs(days[0] - days[1]).max() < 0.015
    assert 'calendar: "weekday", "day"' in str(fitted.network_)


@pytest.mark.parametrize("zone", ["America/New_York", "+05:30"])
def test_days_and_hours_are_local(zone: str) -> None:
    rows = _bank()
    rows["booked"] = rows.booked.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    sample = gpuvgm.TableSynthesizer().fit(rows.dropna()).sample(ROWS)
    assert str(sample.booked.dt.tz) == str(rows.booked.dt.tz)
    table, shares = _shares(rows.dropna()), _shares(sample)
    assert {name: share for name, share in shares.items() if abs(share - table[name]) > 0.03} == {}


def test_dates_without_a_time_keep_to_their_days(bank: pd.DataFrame) -> None:
    rows = bank.assign(booked=bank.booked.dt.normalize())
    sample = gpuvgm.TableSynthesizer().fit(rows).sample(ROWS)
    shares = _shares(sample)
    assert (sample.booked == sample.booked.dt.normalize()).all()
    assert min(shares["salary day"], shares["pension day"], shares["weekend"]) > 0.97


def test_columns_made_of_a_date_agree_with_it(bank: pd.DataFrame) -> None:
    booked = bank.booked
    rows = bank.assign(month=booked.dt.month, day=booked.dt.day, weekday=booked.dt.day_name(), hour=booked.dt.hour)
    sample = gpuvgm.TableSynthesizer().fit(rows).sample(4000)
    own = sample.booked.dt
    for name, values in {"day": own.day, "weekday": own.day_name(), "hour": own.hour}.items():
        assert (sample[name] == values).mean() > 0.97, name


def test_missing_and_modal_dates_stay_what_they_are(bank: pd.DataFrame) -> None:
    random = np.random.default_rng(0)
    chosen = random.random(ROWS)
    rows = bank.assign(booked=bank.booked.where(chosen > 0.1).mask(chosen > 0.9, pd.Timestamp("2099-12-31")))
    sample = gpuvgm.TableSynthesizer().fit(rows).sample(ROWS)
    assert abs(sample.booked.isna().mean() - 0.1) < 0.02
    assert abs((sample.booked == pd.Timestamp("2099-12-31")).mean() - 0.1) < 0.02
    others = sample[sample.booked < "2099"]
    assert _shares(others)["salary day"] > 0.97


def test_conditions_on_dates_and_what_depends_on_them(fitted: gpuvgm.TableSynthesizer) -> None:
    march = ("2024-03-01", "2024-03-31 23:59:59")
    sample = fitted.sample(3000, conditions={"booked": march})
    assert sample.booked.between(*march).all()
    assert _shares(sample)["salary day"] > 0.97
    salaries = fitted.sample(500, conditions={"booked": march, "kind": "salary"})
    assert salaries.booked.between(*march).all() and (salaries.kind == "salary").all()
    assert (salaries.booked.dt.day == 28).mean() > 0.97
    later = fitted.sample(50, conditions={"booked": ("2024-03-01", None)})  # no end, and no overflow on the way there
    assert later.booked.min() >= pd.Timestamp("2024-03-01")
    moment = fitted.sample(50, conditions={"booked": "2024-03-01 06:00:00"})
    assert (moment.booked == pd.Timestamp("2024-03-01 06:00:00")).all() and (moment.kind == "rent").mean() > 0.9
    sundays = fitted.sample(50, conditions={"booked": ["2024-03-03 13:17:05", "2024-03-10 09:10:11"]})
    assert set(sundays.booked.dt.day_of_week) == {6} and "transfer" not in set(sundays.kind)


def test_dates_that_are_drawn_after_others_keep_to_their_kind() -> None:
    """Bins of dates end where hardly any rows are, and frequent moments have their own."""
    shares = _shares(gpuvgm.TableSynthesizer(conditions_on=["kind"]).fit(_bank(24_000)).sample(24_000))
    assert min(shares["salary day"], shares["pension day"]) > 0.96
    assert min(shares["rent"], shares["savings"]) > 0.98
    assert min(shares["salary hour"], shares["weekend"]) > 0.94


def test_conditions_have_the_distribution_of_rows_that_meet_them(fitted: gpuvgm.TableSynthesizer) -> None:
    every = fitted.sample(200_000, seed=1)
    summer = every[every.booked.between("2023-06-01", "2023-08-31 23:59:59") & (every.kind != "card")]
    condition = {"booked": ("2023-06-01", "2023-08-31 23:59:59"), "kind": [kind for kind in KINDS if kind != "card"]}
    drawn = fitted.sample(len(summer), conditions=condition)
    for part in (lambda rows: rows.kind, lambda rows: rows.booked.dt.month, lambda rows: rows.booked.dt.hour):
        one, other = (part(rows).value_counts(normalize=True) for rows in (summer, drawn))
        assert one.sub(other, fill_value=0).abs().sum() / 2 < 0.03


def test_conditions_that_one_row_of_a_thousand_meets_are_told_of(
    bank: pd.DataFrame, fitted: gpuvgm.TableSynthesizer, caplog: pytest.LogCaptureFixture
) -> None:
    low, high = bank.amount.quantile([0.9975, 0.9983])
    rare = fitted.sample(300, conditions={"amount": (low, high)})
    assert rare.amount.between(low, high).all()
    assert min(_shares(rare)["salary day"], _shares(rare)["pension day"]) > 0.95
    part = fitted.sample(5, first_row=120, conditions={"amount": (low, high)})
    pd.testing.assert_frame_equal(part, rare[120:125].reset_index(drop=True))
    assert 'few rows meet those on "amount", so that hundreds are drawn for each; fit with' in caplog.text
    caplog.clear()
    fitted.sample(5, conditions={"kind": "salary"})
    assert not caplog.text


def test_parts_of_fits_add_up(bank: pd.DataFrame, fitted: gpuvgm.TableSynthesizer, tmp_path: Path) -> None:
    fitted.save(tmp_path / "bank.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "bank.gpuvgm")
    expected = fitted.sample(500)
    pd.testing.assert_frame_equal(loaded.sample(500), expected)
    halves = [gpuvgm.TableSynthesizer(like=loaded).fit(rows) for rows in (bank[:5000], bank[5000:])]
    pd.testing.assert_frame_equal(halves[0].merge(halves[1]).sample(500), expected)
    pd.testing.assert_frame_equal(halves[0].partial_fit(bank[5000:]).sample(500), expected)
    rest = fitted.sample(200, first_row=300)
    pd.testing.assert_frame_equal(rest.reset_index(drop=True), expected[300:].reset_index(drop=True))


def test_scores_know_the_calendar(bank: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    salaries = bank[bank.kind == "salary"]
    moved = salaries.assign(booked=salaries.booked + pd.Timedelta("3D"))
    later = salaries.assign(booked=pd.Timestamp("2035-01-01"))
    scores = [fitted.score_samples(rows) for rows in (salaries, moved, later)]
    assert all(np.isfinite(one).all() for one in scores)
    assert scores[0].mean() > scores[1].mean() + 3 > scores[2].mean()


@pytest.mark.parametrize(("weekends", "days"), [(0.1, 90), (0.3, 365), (0.1, 250)])
def test_days_of_few_rows_keep_their_share(weekends: float, days: int) -> None:
    random = np.random.default_rng(0)
    every = pd.date_range("2021-01-01", periods=days)
    weights = np.where(every.day_of_week >= 5, weekends, 1.0)
    dates = pd.Series(random.choice(every, ROWS, p=weights / weights.sum()))
    kind = np.where(dates.dt.day_of_week >= 5, "weekend", "week")
    synthesizer = gpuvgm.TableSynthesizer().fit({"date": dates, "kind": kind})
    sample = pd.Series(synthesizer.sample(50_000)["date"])
    expected = float(np.mean(dates.dt.day_of_week >= 5))
    assert float(np.mean(sample.dt.day_of_week >= 5)) == pytest.approx(expected, rel=0.1)


def test_the_probabilities_of_all_dates_add_up_to_one() -> None:
    random = np.random.default_rng(0)
    working = pd.bdate_range("2021-01-01", "2021-03-31")
    dates = working[random.integers(0, len(working), ROWS)]
    kind = np.where(dates.day_of_week == 0, "Monday", "other")
    synthesizer = gpuvgm.TableSynthesizer().fit({"date": dates, "kind": kind})
    every = pd.date_range(dates.min(), dates.max())
    probabilities = [
        np.exp(synthesizer.score_samples({"date": every, "kind": [one] * len(every)})) for one in ("Monday", "other")
    ]
    assert np.sum(probabilities) == pytest.approx(1, abs=1e-9)
    of_first = np.mean(pd.Series(synthesizer.sample(50_000)["date"]) == every[0])
    assert np.sum(probabilities, axis=0)[0] == pytest.approx(float(of_first), rel=0.15)


@pytest.mark.parametrize("step", ["s", "D"])
def test_plain_dates_have_no_calendar(step: str) -> None:
    random = np.random.default_rng(5)
    seconds = random.integers(0, 400 * 86_400, 5000)
    moments = pd.to_datetime("2022-05-05") + pd.to_timedelta(seconds, unit="s")
    rows = pd.DataFrame(
        {"at": moments.floor(step), "x": random.normal(0, 1, 5000).round(2), "c": random.choice([*"ab"], 5000)}
    )
    structure = gpuvgm.TableSynthesizer().fit(rows).network_.structure
    assert structure.parts == () and all(bins.clock is None for bins in structure.bins)


def test_days_of_reports_bring_forth_no_others() -> None:
    random = np.random.default_rng(6)
    days = pd.to_datetime(random.choice(pd.date_range("2020-01-01", periods=900), 30, replace=False))
    rows = pd.DataFrame({"loaded": random.choice(days, 4000), "x": random.normal(0, 1, 4000).round(2)})
    sample = gpuvgm.TableSynthesizer().fit(rows).sample(4000)
    assert set(sample.loaded) <= set(days)


def test_parts_of_days_are_those_of_pandas() -> None:
    days = pd.date_range("1999-11-17", periods=1700, freq="D")
    parts = parts_of_days(int(days[0].timestamp()) // 86_400, len(days))
    np.testing.assert_array_equal(parts["weekday"], days.day_of_week)
    np.testing.assert_array_equal(parts["day"], days.day - 1)
    np.testing.assert_array_equal(parts["day from the end"], days.days_in_month - days.day)
    np.testing.assert_array_equal(parts["month"], days.month - 1)
    works = days.day_of_week < 5
    np.testing.assert_array_equal(
        parts["working day"] == 1, days.isin(pd.date_range("1999-11-01", days[-1], freq="BMS"))
    )
    ends = days.isin(pd.date_range(days[0], "2005-01-01", freq="BME"))
    np.testing.assert_array_equal(parts["working day from the end"] == 1, ends)
    assert not parts["working day"][~works].any() and parts["working day"][works].all()


def _clock(fitted: gpuvgm.TableSynthesizer) -> Clock:
    clock = next(bins for bins in fitted.network_.structure.bins if bins.name == "booked").clock
    assert clock is not None
    return clock


def test_readings_ascend_and_come_back(fitted: gpuvgm.TableSynthesizer) -> None:
    clock = _clock(fitted)
    numbers = np.sort(np.random.default_rng(0).integers(clock.starts[0], clock.starts[-1], 20_000)).astype(np.float64)
    readings, half = clock.spans(numbers)
    assert (np.diff(readings) >= 0).all() and (half > 0).all()
    np.testing.assert_array_equal(clock.numbers(readings), numbers)
    assert clock.spans(clock.starts[:1] - 1)[0] < readings[0] < readings[-1] < clock.spans(clock.starts[-1:] + 9)[0]
    low, high = clock.interval(numbers[5], numbers[5] + 0.5)
    np.testing.assert_allclose([low, high], [readings[5] - half[5], readings[5] + half[5]])
    assert np.isnan(clock.readings(np.array([np.nan]))[0])


def test_days_have_the_offset_of_their_noon() -> None:
    rows = pd.DataFrame({"at": pd.date_range("2024-03-01", periods=800, freq="h", tz="Europe/Berlin"), "x": range(800)})
    column: Any = gpuvgm.TableTransformer().fit(rows).model_.by_name["at"]
    ends = (column.codec.number(value) for value in (column.minimum, column.maximum))
    first, starts = days_of(column, *ends)
    assert pd.Timestamp(first, unit="D") == pd.Timestamp("2024-03-01")
    unit = pd.Timedelta("1h") // pd.Timedelta(1, unit=column.type.unit)
    hours = np.diff(starts) / unit
    # Summer time begins on 31 March: all of that day has its offset, and the day before an hour less.
    assert hours[29] == 23 and np.delete(hours, 29).tolist() == [24.0] * (len(hours) - 1)


def test_clocks_whose_parts_do_not_fit_are_refused(fitted: gpuvgm.TableSynthesizer) -> None:
    clock = _clock(fitted)
    clock.check()
    damaged = (
        {"rows": clock.rows[:-1]},
        {"starts": clock.starts[::-1]},
        {"kinds": clock.kinds + 99},
        {"shares": clock.shares[:-1]},
        {"shares": clock.shares * 0},
        {"cells": clock.cells + 1},
        {"tick": 0.0},
    )
    for part in damaged:
        with pytest.raises(ValueError, match="clock"):
            replace(clock, **part).check()


def test_parts_without_a_clock_are_refused(fitted: gpuvgm.TableSynthesizer) -> None:
    network = fitted.network_
    structure = replace(network.structure, parts=(*network.structure.parts, Part("amount", "weekday")))
    with pytest.raises(ValueError, match="no clock"):
        structure.check()


def test_conditions_on_seconds_in_microseconds_overflow_nowhere() -> None:
    """Pieces of no single value, which stand as infinite, have no reading of a clock."""
    random = np.random.default_rng(0)
    days = pd.date_range("2023-01-01", periods=731)
    days = days[days.day_of_week < 5]
    seconds = pd.to_timedelta(random.integers(28_800, 64_800, ROWS), unit="s")
    frame = pd.DataFrame({"booked": (days[random.integers(0, len(days), ROWS)] + seconds).astype("datetime64[us]")})
    frame["x"] = random.normal(size=ROWS)
    condition = {"booked": ("2024-12-01", "2024-12-24")}
    drawn = gpuvgm.TableSynthesizer().fit(frame).sample(500, conditions=condition)["booked"]
    assert drawn.min() >= pd.Timestamp("2024-12-01")
    assert drawn.max() <= pd.Timestamp("2024-12-24")


OPEN = {"north": range(5), "south": range(1, 7), "fair": (5, 6)}  # weekdays of each branch


def loans(home: float) -> pd.DataFrame:
    """Loans of customers, who go to a branch of their own as often as `home` says, on days on which it is open."""
    random = np.random.default_rng(3)
    days = pd.date_range("2023-01-01", "2023-12-31")
    open_days = {branch: days[np.isin(days.day_of_week, weekdays)] for branch, weekdays in OPEN.items()}
    rows = []
    for customer in range(500):
        own = random.choice([*OPEN], p=[0.5, 0.3, 0.2])
        for _ in range(random.integers(2, 7)):
            branch = own if random.random() < home else random.choice([*OPEN])
            day = open_days[branch][random.integers(len(open_days[branch]))]
            rows += [(f"K{customer:05d}", branch, day, random.gamma(2, 10))] * random.integers(1, 3)
    return pd.DataFrame(rows, columns=["customer", "branch", "day", "amount"]).round({"amount": 2})


@pytest.mark.parametrize("home", [0.0, 0.85, 1.0])
def test_branches_of_keys_are_open_on_their_weekdays(home: float, tmp_path: Path) -> None:
    table = loans(home)
    fitted = gpuvgm.TableSynthesizer({"customer": "key"}, random_state=0).fit(table)
    fitted.save(tmp_path / "loans.gpuvgm")
    rows = gpuvgm.load(tmp_path / "loans.gpuvgm").sample(6_000)
    pd.testing.assert_frame_equal(rows, fitted.sample(6_000))
    for branch, weekdays in OPEN.items():
        drawn, real = (rows.day[rows.branch == branch].dt.day_of_week for rows in (rows, table))
        shares = np.array([np.bincount(of, minlength=7) / len(of) for of in (drawn, real)])
        assert shares[0, [*weekdays]].sum() > 0.995 and np.abs(shares[0] - shares[1]).max() < 0.06
    months = [one.day.dt.month.value_counts(normalize=True).sort_index() for one in (rows, table)]
    assert np.abs(months[0] - months[1]).max() < 0.03
    if home == 1.0:
        assert fitted.attributes_ == {"branch": "customer"}


def test_dates_follow_no_calendar_away_from_a_column_of_weekdays() -> None:
    table = loans(0.85)
    table["weekday"] = table["day"].dt.day_name()
    rows = gpuvgm.TableSynthesizer({"customer": "key"}, random_state=0).fit(table).sample(6_000)
    assert np.mean(rows["weekday"] == rows["day"].dt.day_name()) > 0.99
    is_open = [day.weekday() in OPEN[branch] for branch, day in zip(rows["branch"], rows["day"], strict=True)]
    assert np.mean(is_open) > 0.99
