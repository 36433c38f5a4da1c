"""Numbers that run on within a period and begin anew with the next one: month to date, or since a service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning
from gpuvgm.synthesis.sequences import source

#: How long readings are apart where numbers begin anew with a unit, and its periods in pandas.
UNITS = {"year": (60, "Y"), "quarter": (20, "Q"), "month": (7, "M"), "week": (2, "W"), "day": (0.2, "D")}
LAWS = ("previous(to_date) within month(at) + kwh = to_date", "place() within month(at) = reading")


def readings(meters: int, unit: str = "month", seed: int = 0) -> pd.DataFrame:
    """What meters count in a period up to each reading, and which of its readings it is."""
    random = np.random.default_rng(seed)
    days, frequency = UNITS[unit]
    rows = []
    for meter in range(meters):
        at, to_date, reading, period = pd.Timestamp("2024-01-01"), 0.0, 0, None
        at += pd.Timedelta(hours=int(random.integers(0, 20 * 24 * days)))
        usual, kind = random.lognormal(2, 0.5), str(random.choice(["house", "shop"]))
        for _ in range(8 + random.poisson(10)):
            if at.to_period(frequency) != period:
                to_date, reading, period = 0.0, 0, at.to_period(frequency)
            kwh = round(float(usual * random.lognormal(0, 0.3)), 1)
            to_date, reading = round(to_date + kwh, 1), reading + 1
            rows.append((f"M{meter:05}", kind, at, kwh, to_date, reading))
            at += pd.Timedelta(hours=1 + int(random.exponential(24 * days)))
    return pd.DataFrame(rows, columns=["meter", "kind", "at", "kwh", "to_date", "reading"])


def drives(cars: int, seed: int = 0) -> pd.DataFrame:
    """What cars have driven, and of what fuel is left, since a service; and which drive since then it is."""
    random = np.random.default_rng(seed)
    rows = []
    for car in range(cars):
        day = service = pd.Timestamp("2023-01-01") + pd.Timedelta(days=int(random.integers(0, 200)))
        driven = left = drive = 0
        for _ in range(10 + random.poisson(10)):
            if driven > 2_000:
                service, driven, left, drive = day, 0, 0, 0
            day += pd.Timedelta(days=1 + int(random.exponential(20)))
            km, filled, used = (int(random.integers(*ends)) for ends in ((50, 600), (30, 60), (0, 30)))
            driven, left, drive = driven + km, left + filled - used, drive + 1
            rows.append((f"C{car:04}", day, service, km, filled, used, driven, left, drive))
    return pd.DataFrame(rows, columns=["car", "day", "service", "km", "filled", "used", "driven", "left", "drive"])


def fitted(table: Any, key: str = "meter", index: str = "at", **parameters: Any) -> gpuvgm.TableSynthesizer[Any]:
    return gpuvgm.TableSynthesizer(sequence_key=key, sequence_index=index, threads=1, **parameters).fit(table)


def laws(synthesizer: Any) -> Sequence[str]:
    return [str(law) for law in synthesizer.laws_]


def are_kept(rows: pd.DataFrame, name: str, steps: Any, periods: pd.Series, key: str = "meter") -> bool:
    """Whether a number is that of the row before and a step within a key and period, and else the step alone."""
    goes_on = (rows[key] == rows[key].shift()) & (periods == periods.shift())
    assert 0.1 < goes_on.mean() < 0.95
    return bool(np.allclose(rows[name], rows[name].shift().where(goes_on, 0) + steps))


def are_kept_by_months(rows: pd.DataFrame) -> bool:
    months = rows["at"].dt.to_period("M")
    return are_kept(rows, "to_date", rows.kwh, months) and are_kept(rows, "reading", 1, months)


@pytest.fixture(scope="module")
def meters() -> tuple[pd.DataFrame, Any]:
    table = readings(150)
    return table, fitted(table)


def test_numbers_begin_anew_with_each_month(meters: Any) -> None:
    """Their laws are told, and kept by all rows of samples."""
    table, synthesizer = meters
    assert are_kept_by_months(table)
    assert laws(synthesizer) == [*LAWS]
    assert set(LAWS) <= {*synthesizer.fit_report_.laws}
    assert f"laws: {'; '.join(LAWS)}" in str(synthesizer)
    sample = synthesizer.sample(3_000, seed=1)
    assert are_kept_by_months(sample)
    assert list(sample) == list(table)
    assert 0.9 < sample.reading.mean() / table.reading.mean() < 1.1


@pytest.mark.parametrize("unit", ["year", "quarter", "week", "day"])
def test_numbers_begin_anew_with_each_unit(unit: str) -> None:
    synthesizer = fitted(readings(80, unit))
    assert laws(synthesizer) == [law.replace("month", unit) for law in LAWS]
    sample = synthesizer.sample(1_500, seed=1)
    periods = sample["at"].dt.to_period(UNITS[unit][1])
    assert are_kept(sample, "to_date", sample.kwh, periods)
    assert are_kept(sample, "reading", 1, periods)


def test_any_cut_has_the_same_bits(meters: Any, tmp_path: Path) -> None:
    """Under conditions, too, and of a model that is read from its file."""
    _, synthesizer = meters
    sample = synthesizer.sample(900, seed=2)
    for first, stop in ((0, 11), (11, 500), (499, 900)):
        rows = synthesizer.sample(stop - first, first_row=first, seed=2)
        assert rows.equals(sample.iloc[first:stop].reset_index(drop=True))
    assert are_kept_by_months(synthesizer.sample(keys=20, conditions={"kind": "shop"}))
    assert are_kept_by_months(synthesizer.sample(keys=20, conditions={"any(kwh)": (15, None)}))
    synthesizer.save(tmp_path / "meters.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "meters.gpuvgm")
    assert laws(loaded) == [*LAWS]
    assert loaded.sample(900, seed=2).equals(sample)


def test_further_rows_keep_or_break_it(meters: Any, caplog: pytest.LogCaptureFixture) -> None:
    table, synthesizer = meters
    is_first = table.meter < "M00075"
    first, second = (gpuvgm.TableSynthesizer(like=synthesizer).fit(table[rows]) for rows in (is_first, ~is_first))
    assert are_kept_by_months(first.merge(second).sample(500))
    first.partial_fit(table[~is_first])
    assert are_kept_by_months(first.sample(500))
    assert not caplog.messages
    broken = table[~is_first].copy()
    broken.iloc[100, broken.columns.get_loc("to_date")] += 5
    second.partial_fit(broken.assign(meter="N" + broken.meter.str[1:]))
    assert f'the law "{LAWS[0]}" is broken by 1 row: samples do not keep it' in caplog.messages


def test_rows_in_files_have_the_same_model(meters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table, synthesizer = meters
    monkeypatch.setattr(source, "MOST_HELD", 100)
    assert fitted(table).sample(500, seed=1).equals(synthesizer.sample(500, seed=1))


def test_a_number_that_begins_anew_in_nearly_all_rows_is_told(meters: Any) -> None:
    table = meters[0].copy()
    row = int(np.flatnonzero((table.reading == 1) & (table.meter == table.meter.shift()))[3])
    table.loc[row, "to_date"] += 5
    with pytest.warns(InferenceWarning, match=re.escape(LAWS[0]) + '" holds in all rows but 2 of'):
        fitted(table)


def test_few_restarts_among_many_rows_are_none_that_break_it() -> None:
    """Of days, years begin anew in fewer rows than a law may be broken in that is told of."""
    random, days = np.random.default_rng(0), pd.date_range("2022-03-01", periods=700)
    table = pd.DataFrame({"car": np.repeat([f"C{car:03}" for car in range(12)], 700), "day": np.tile(days, 12)})
    table["km"] = random.integers(0, 90, len(table))
    table["to_date"] = table.groupby(["car", table.day.dt.year]).km.cumsum()
    assert laws(fitted(table, "car", "day")) == ["previous(to_date) within year(day) + km = to_date"]


def test_what_goes_on_before_the_first_row_is_drawn() -> None:
    """A table that begins within months: first rows have what they have, all others keep the law."""
    table = readings(150)
    table = table[table.groupby("meter").cumcount() >= 3].reset_index(drop=True)
    synthesizer = fitted(table)
    assert laws(synthesizer) == [LAWS[0]]
    sample = synthesizer.sample(2_000, seed=1)
    is_first = sample.meter != sample.meter.shift()
    months = sample["at"].dt.to_period("M")
    before = sample.to_date.shift().where(months == months.shift(), 0)
    assert np.allclose(sample.to_date[~is_first], (before + sample.kwh)[~is_first])
    assert 0.2 < (sample.to_date > sample.kwh)[is_first].mean() < 0.95


def test_numbers_begin_anew_with_another_value() -> None:
    """Such as the date of the last service; also those of which one is added and one taken off."""
    table = drives(150)
    synthesizer = fitted(table, "car", "day")
    assert "previous(driven) within service + km = driven" in laws(synthesizer)
    assert "place() within service = drive" in laws(synthesizer)
    sample = synthesizer.sample(2_000, seed=1)
    assert are_kept(sample, "driven", sample.km, sample.service, "car")
    assert are_kept(sample, "left", sample.filled - sample.used, sample.service, "car")
    assert are_kept(sample, "drive", 1, sample.service, "car")


@pytest.mark.parametrize("seasons", ["text", "number", "missing"])
def test_numbers_begin_anew_with_each_season(seasons: str) -> None:
    """Text, whole numbers, and text that is missing in one season; goals are numbers of lines in tens as well."""
    random, rows = np.random.default_rng(0), list[Any]()
    for player in range(150):
        for season in range(int(random.integers(2015, 2020)), 2023):
            points = 0
            for match in range(int(random.integers(4, 9))):
                scored = int(random.integers(0, 30))
                points += scored
                rows.append((f"P{player:04}", len(rows), season, 10 * match + 7, scored, points))
    table = pd.DataFrame(rows, columns=["player", "match", "season", "number", "scored", "points"])
    written = table.season.map("{}/xx".format)
    table["season"] = {"text": written, "number": table.season, "missing": written.where(table.season != 2020)}[seasons]
    synthesizer = fitted(table, "player", "match", columns={"number": "continuous"})
    assert "previous(points) within season + scored = points" in laws(synthesizer)
    assert "10 * place() within season - 3 = number" in laws(synthesizer)
    sample = synthesizer.sample(2_000, seed=1)
    of_season = sample.season.astype("str").fillna("")
    assert are_kept(sample, "points", sample.scored, of_season, "player")
    assert (sample.number % 10 == 7).all()
    assert are_kept(sample.assign(number=sample.number + 3), "number", 10, of_season, "player")


def test_few_different_numbers_are_counted_where_they_begin_anew() -> None:
    """As categories, samples could have no more goals in a season than the table; those that are declared stay such."""
    random, rows = np.random.default_rng(0), list[Any]()
    for player in range(120):
        usual = random.gamma(2, 0.15)
        for season in range(int(random.integers(2018, 2021)), 2023):
            goals = random.poisson(usual, int(random.integers(6, 16)))
            matches = zip(goals, goals.cumsum(), range(1, len(goals) + 1), strict=True)
            rows += [(f"P{player:04}", f"{season}/{season % 100 + 1}", *match) for match in matches]
    table = pd.DataFrame(rows, columns=["player", "season", "goals", "in_season", "match"])
    assert table.in_season.nunique() < 20
    synthesizer = fitted(table, "player", None)
    of_season = ["previous(in_season) within season + goals = in_season", "place() within season = match"]
    assert laws(synthesizer) == of_season
    sample = synthesizer.sample(3_000, seed=1)
    assert are_kept(sample, "in_season", sample.goals, sample.season, "player")
    assert are_kept(sample, "match", 1, sample.season, "player")
    declared = fitted(table, "player", None, columns={"in_season": "categorical"})
    assert laws(declared) == of_season[1:]


def test_what_lacks_numbers_goes_on_where_they_are_known() -> None:
    table = readings(150)
    table["to_date"] = table.to_date.where(np.random.default_rng(1).random(len(table)) > 0.03)
    synthesizer = fitted(table)
    assert LAWS[0] in laws(synthesizer)
    sample = synthesizer.sample(2_000, seed=1)
    months, before = sample["at"].dt.to_period("M"), sample.to_date.shift()
    known = sample.to_date.notna() & before.notna() & (sample.meter == sample.meter.shift())
    expected = before.where(months == months.shift(), 0) + sample.kwh
    assert np.allclose(sample.to_date[known], expected[known])
    assert 0.01 < sample.to_date.isna().mean() < 0.06


def test_dates_of_any_type_begin_months() -> None:
    """Days, text, and moments of a zone, by its clock."""
    table = readings(100)
    zoned = table.assign(at=table["at"].dt.tz_localize("America/New_York"))
    sample = fitted(zoned).sample(800)
    assert are_kept_by_months(sample.assign(at=sample["at"].dt.tz_localize(None)))
    written = table.assign(at=table["at"].dt.strftime("%d.%m.%Y %H:%M"))
    sample = fitted(written).sample(800)
    assert are_kept_by_months(sample.assign(at=pd.to_datetime(sample["at"], format="%d.%m.%Y %H:%M")))
    days = table.assign(at=table["at"].dt.normalize()).drop_duplicates(["meter", "at"], ignore_index=True)
    of_months = days.groupby(["meter", days["at"].dt.to_period("M")])
    days = days.assign(to_date=of_months.kwh.cumsum().round(1), reading=of_months.cumcount() + 1)
    sample = fitted(days.assign(at=days["at"].dt.date)).sample(800)
    assert are_kept_by_months(sample.assign(at=pd.to_datetime(sample["at"])))


def test_decimals_begin_at_zero() -> None:
    """Also those that go on in all rows."""
    table = readings(100)
    arrow = pa.Table.from_pandas(table.assign(total=table.groupby("meter").kwh.cumsum()), preserve_index=False)
    for name in ("kwh", "to_date", "total"):
        tenths = pa.array([f"{number:.1f}" for number in arrow[name].to_pylist()]).cast(pa.decimal128(9, 1))
        arrow = arrow.set_column(arrow.schema.get_field_index(name), name, tenths)
    synthesizer = fitted(arrow)
    assert {LAWS[0], "previous(total) + kwh = total"} <= {*laws(synthesizer)}
    sample = synthesizer.sample(800).to_pandas().astype({"kwh": float, "to_date": float, "total": float})
    assert are_kept_by_months(sample)
    assert np.allclose(sample.total, sample.groupby("meter").kwh.cumsum())


def test_names_with_the_words_of_laws() -> None:
    names = {"at": "what is due", "kwh": "a = b", "to_date": "x if y else 0"}
    sample = fitted(readings(80).rename(columns=names), index="what is due").sample(800)
    assert are_kept_by_months(sample.rename(columns={name: original for original, name in names.items()}))
