"""Clock times written as numbers, and minutes between them: 1515 and 30 minutes of delay are 1545."""

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

ROWS = 3_000


def _clock(minutes: Any, midnight: int = 0) -> Any:
    times = minutes % 1440 // 60 * 100 + minutes % 60
    return np.where(times == 0, midnight, times)


def flights(random: np.random.Generator) -> pd.DataFrame:
    """Flights as airlines report them: midnight is 2400; what is cancelled does not depart."""
    planned = 5 * random.integers(60, 288, ROWS)
    delay = np.round(random.gamma(0.6, 40, ROWS) - 8)
    left = _clock(planned + delay.astype(int), 2400).astype(float)
    is_cancelled = random.random(ROWS) < 0.05
    left[is_cancelled] = delay[is_cancelled] = np.nan
    return pd.DataFrame(
        {"carrier": random.choice(["AA", "UA"], ROWS), "planned": _clock(planned, 2400), "delay": delay, "left": left}
    )


def wards(random: np.random.Generator) -> pd.DataFrame:
    """Operations, which begin around the clock and take minutes."""
    start, minutes = random.integers(0, 1440, ROWS), random.integers(15, 400, ROWS)
    return pd.DataFrame(
        {"room": random.integers(1, 7, ROWS), "begin": _clock(start), "end": _clock(start + minutes)}
    ).assign(minutes=minutes, staff=random.integers(2, 9, ROWS))


def lessons(random: np.random.Generator) -> pd.DataFrame:
    """Lessons of a school, which begin at twenty times and have three lengths: all are categories."""
    start, minutes = 480 + 15 * random.integers(0, 20, ROWS), random.choice([45, 60, 90], ROWS)
    return pd.DataFrame(
        {"start": _clock(start), "length": minutes, "stop": _clock(start + minutes), "pupils": random.poisson(22, ROWS)}
    )


TRADES: list[tuple[Callable[[np.random.Generator], pd.DataFrame], str, tuple[str, str, str]]] = [
    (flights, "clock(planned) + delay = clock(left)", ("planned", "delay", "left")),
    (wards, "clock(begin) + minutes = clock(end)", ("begin", "minutes", "end")),
    (lessons, "clock(start) + length = clock(stop)", ("start", "length", "stop")),
]
IDS = [trade.__name__ for trade, *_ in TRADES]


def _minutes(times: Any) -> Any:
    return times // 100 * 60 + times % 100


def _share(rows: pd.DataFrame, columns: tuple[str, str, str]) -> float:
    """Share of the rows with all values that keep the law and are clock times."""
    rows = rows[[*columns]].dropna()
    start, between, end = (rows[name] for name in columns)
    are_times = (start % 100 < 60) & (end % 100 < 60) & (start <= 2400) & (end <= 2400)
    return float(np.mean(are_times & ((_minutes(start) + between - _minutes(end)) % 1440 == 0)))


@pytest.mark.parametrize(("trade", "law", "columns"), TRADES, ids=IDS)
def test_clock_times_and_minutes_agree_in_samples(trade: Any, law: str, columns: Any, reloaded: Any) -> None:
    table = trade(np.random.default_rng(1))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert law in fitted.fit_report_.laws
    rows = fitted.sample(2 * ROWS)
    assert _share(table, columns) == 1 and _share(rows, columns) == 1
    for name in columns:
        assert ks_2samp(rows[name].dropna(), table[name].dropna()).statistic < 0.05
        assert (rows[name].max() == 2400) == (table[name].max() == 2400)
        assert abs(rows[name].isna().mean() - table[name].isna().mean()) < 0.02
    written = gpuvgm.TableSynthesizer(laws=[law]).fit(table)
    assert written.fit_report_.laws == (law,)
    assert np.isfinite(fitted.score_samples(table)).mean() > 0.99
    later = table.assign(**{columns[2]: _clock(_minutes(table[columns[2]]) + 15, int(table[columns[2]].max() == 2400))})
    assert np.isneginf(fitted.score_samples(later)).mean() > 0.9


@pytest.mark.parametrize(("trade", "law", "columns"), TRADES, ids=IDS)
def test_clock_times_that_rows_break_are_no_law(trade: Any, law: str, columns: Any) -> None:
    table = trade(np.random.default_rng(2))
    moved = table[columns[2]].sample(frac=1, random_state=1).to_numpy()
    for broken in (np.random.default_rng(3).random(ROWS) < 0.03, np.ones(ROWS, bool)):
        wrong = table.assign(**{columns[2]: np.where(broken, moved, table[columns[2]])})
        assert not any("clock" in text for text in gpuvgm.TableSynthesizer().fit(wrong).fit_report_.laws)
    few = table[: 9 if trade is not lessons else 25]  # of three lengths and five times, many agree by chance
    assert not any("clock" in text for text in gpuvgm.TableSynthesizer().fit(few).fit_report_.laws)


def test_the_comparison_names_a_law_that_is_broken() -> None:
    table = wards(np.random.default_rng(4))
    spoilt = table.assign(end=table["end"].sample(frac=1, random_state=1).to_numpy())
    compared = gpuvgm.TableTransformer().fit(table).evaluate(table, compare=spoilt)
    law = compared.broken_law
    assert law is not None and law.law == "clock(begin) + minutes = clock(end)" and law.original == 1 and law.is_broken


@pytest.mark.parametrize(
    ("written", "law"),
    [
        ("clock(end) = clock(begin) + minutes", "clock(begin) + minutes = clock(end)"),
        ("minutes + clock(begin) = clock(end)", "clock(begin) + minutes = clock(end)"),
        ("clock(end) - minutes = clock(begin)", "clock(end) - minutes = clock(begin)"),
        ("clock(end) - clock(begin) = minutes", "clock(begin) + minutes = clock(end)"),
    ],
)
def test_clocks_are_read_in_any_notation(written: str, law: str) -> None:
    assert str(law_of_text(written, ["begin", "minutes", "end"])) == law


def test_columns_without_clock_times_are_refused() -> None:
    table = wards(np.random.default_rng(5)).assign(begin=1570)
    with pytest.raises(InputError, match='column "begin" has 1570, which is no clock time'):
        gpuvgm.TableSynthesizer({"begin": "continuous"}, laws=["clock(begin) + minutes = clock(end)"]).fit(table)


def test_the_earlier_time_is_computed_where_the_later_one_is_not_free() -> None:
    table = wards(np.random.default_rng(6))
    fitted = gpuvgm.TableSynthesizer(conditions_on=["end"]).fit(table)
    assert "clock(end) - minutes = clock(begin)" in fitted.fit_report_.laws
    assert _share(fitted.sample(500, conditions={"end": (0, 600)}), ("begin", "minutes", "end")) == 1


def _seconds_of(times: Any) -> Any:
    """Seconds since midnight of numbers such as 150530, and of times and texts such as 15:05:30."""
    if pd.api.types.is_integer_dtype(times):
        return times // 10_000 * 3600 + times // 100 % 100 * 60 + times % 100
    texts = times.astype(str)
    return pd.to_timedelta(texts.where(texts.str.len() == 8, texts + ":00")).dt.total_seconds().astype(int)


def _texts(seconds: Any, length: int = 8) -> list[str]:
    return [f"{at // 3600 % 24:02}:{at // 60 % 60:02}:{at % 60:02}"[:length] for at in seconds]


def calls(kind: str, random: np.random.Generator) -> tuple[pd.DataFrame, Any, int]:
    """Calls around the clock, with what lies between, and the seconds of its unit."""
    grain = 1 if kind in ("numbers", "texts") else 60
    begin, length = grain * random.integers(0, 86_400 // grain, ROWS), grain * random.integers(1, 9_000 // grain, ROWS)
    end = (begin + length) % 86_400
    numbers = [at // 3600 * 10_000 + at // 60 % 60 * 100 + at % 60 for at in (begin, end)]
    texts = [_texts(begin, 8 if grain == 1 else 5), _texts(end, 8 if grain == 1 else 5)]
    pair = {"numbers": numbers, "texts": texts}.get(kind, texts)
    if kind in ("times", "durations"):
        pair = [[pd.Timestamp(text).time() for text in column] for column in texts]
    between = pd.to_timedelta(length, "s") if kind == "durations" else length // grain
    if kind == "hours":
        between, pair[1] = (length / 3600).round(2), _texts(begin + (36 * (length / 36).round()).astype(int))
    frame = pd.DataFrame({"line": random.integers(1, 9, ROWS), "begin": pair[0], "end": pair[1], "between": between})
    return frame, length, grain


@pytest.mark.parametrize(
    ("kind", "unit", "seconds"),
    [
        ("numbers", " in seconds", 1),
        ("texts", " in seconds", 1),
        ("short texts", "", 60),
        ("times", "", 60),
        ("durations", "", None),
        ("hours", " in hours", 3600),
    ],
)
def test_times_of_the_day_go_with_what_lies_between(kind: str, unit: str, seconds: int | None, reloaded: Any) -> None:
    table, _, _ = calls(kind, np.random.default_rng(7))
    law = f"clock(begin) + between = clock(end){unit}"
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert fitted.fit_report_.laws == (law,)
    for rows in (table, fitted.sample(2 * ROWS)):
        length = rows["between"].dt.total_seconds() if seconds is None else (rows["between"] * seconds).round()
        off = (_seconds_of(rows["begin"]) + length - _seconds_of(rows["end"])) % 86_400
        assert (off == 0).all()
    assert gpuvgm.TableSynthesizer(laws=[law]).fit(table).fit_report_.laws == (law,)
    moved = table.assign(end=table["end"].sample(frac=1, random_state=1).to_numpy())
    assert not gpuvgm.TableSynthesizer().fit(moved).fit_report_.laws
    assert np.isneginf(fitted.score_samples(moved)).mean() > 0.9


def test_clocks_of_other_values_are_refused() -> None:
    table, _, _ = calls("numbers", np.random.default_rng(8))
    table["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS) % 90, "D")
    for law, why in (
        (
            "clock(day) + between = clock(end)",
            '"day" holds moments without a time zone.*clock\\(\\) takes times of the day',
        ),
        (
            "clock(begin) + day = clock(end)",
            '"day" holds moments.*what lies between is minutes, or a unit that is written behind',
        ),
        ("clock(begin) + between = clock(end) in days", "is no law of the modelled columns"),
    ):
        with pytest.raises(InputError, match=why):
            gpuvgm.TableSynthesizer(laws=[law]).fit(table)
    table.loc[5, "begin"] = 150_575
    with pytest.raises(
        InputError, match='column "begin" has 150575, which is no clock time: .* or 150530 for 15:05:30'
    ):
        gpuvgm.TableSynthesizer(laws=["clock(begin) + between = clock(end) in seconds"]).fit(table)
