"""Made-up tables of several trades, with keys, and halves of them that share no key: chosen before they were judged.

Each table is a function of a seed and of a number of persons or things. `KNOWN` says by which columns someone who does
not know the table may know a row; `KEYS` which column names the persons or things that rows belong to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

DAY = pd.Timedelta(days=1)
Random = np.random.Generator


def _days(random: Random, rows: int, first: str, days: int) -> pd.Series:
    return pd.Series(pd.Timestamp(first) + random.integers(0, days, rows) * DAY)


def _moments(random: Random, rows: int, first: str, days: int) -> pd.Series:
    minutes = np.clip(random.normal(13 * 60, 150, rows), 0, 1439).astype(int)
    return _days(random, rows, first, days) + pd.to_timedelta(minutes, unit="min")


def _names(random: Random, count: int, letters: str, digits: int) -> np.ndarray:
    """Different texts: letters and digits that do not run in steps."""
    numbers = random.choice(9 * 10 ** (digits - 1), count, replace=False) + 10 ** (digits - 1)
    return np.array([f"{letters}{number}" for number in numbers.tolist()])


def _skewed(random: Random, rows: int, kinds: int, word: str) -> np.ndarray:
    shares = 1 / (3 + np.arange(kinds))
    return np.array([f"{word}{i:03d}" for i in range(kinds)])[random.choice(kinds, rows, p=shares / shares.sum())]


def patients(random: Random, count: int) -> pd.DataFrame:
    """Stays in hospital, 2.2 for each patient."""
    stays = 1 + random.poisson(1.2, count)
    who = np.repeat(np.arange(count), stays)
    rows, birth = len(who), _days(random, count, "1930-01-01", 29_000)
    severity = random.gamma(2, 1, rows)
    return pd.DataFrame(
        {
            "insurance": _names(random, count, "K", 9)[who],
            "born": birth.to_numpy()[who],
            "sex": random.choice(["f", "m"], count)[who],
            "postcode": _skewed(random, count, 180, "80")[who],
            "admitted": _moments(random, rows, "2024-01-01", 700),
            "ward": _skewed(random, rows, 14, "ward "),
            "days": 1 + random.poisson(2 * severity),
            "cost": (900 * severity * random.lognormal(0, 0.3, rows)).round(2),
        }
    )


def payments(random: Random, count: int) -> pd.DataFrame:
    """Card payments, some for each account."""
    who = np.repeat(np.arange(count), 1 + random.poisson(3, count))
    rows = len(who)
    return pd.DataFrame(
        {
            "account": _names(random, count, "DE", 12)[who],
            "branch": _skewed(random, count, 60, "branch ")[who],
            "opened": _days(random, count, "1995-01-01", 10_000).to_numpy()[who],
            "paid": _moments(random, rows, "2025-01-01", 365),
            "shop": _skewed(random, rows, 120, "shop "),
            "amount": random.lognormal(3, 1, rows).round(2),
            "online": random.random(rows) < 0.3,
        }
    )


def members(random: Random, count: int) -> pd.DataFrame:
    """Members of a library, one row each."""
    age = random.gamma(9, 4.5, count)
    return pd.DataFrame(
        {
            "card": _names(random, count, "", 8),
            "born": (pd.Timestamp("2025-06-30") - pd.to_timedelta((age * 365.25).astype(int), unit="D")),
            "joined": _days(random, count, "2005-01-01", 7_400),
            "district": _skewed(random, count, 45, "district "),
            "household": random.integers(1, 7, count),
            "loans": random.negative_binomial(1.5, 0.05, count),
            "fines": np.where(random.random(count) < 0.6, 0.0, random.exponential(6, count)).round(2),
            "weight": random.normal(72, 14, count).round(1),
        }
    )


def employees(random: Random, count: int) -> pd.DataFrame:
    """Employees, one row each, numbered."""
    grade = random.choice(12, count, p=np.arange(12, 0, -1) / 78)
    return pd.DataFrame(
        {
            "number": np.arange(count) + 1,
            "born": _days(random, count, "1960-01-01", 15_000),
            "hired": _days(random, count, "2000-01-01", 9_000),
            "site": _skewed(random, count, 25, "site "),
            "grade": grade,
            "job": _skewed(random, count, 90, "job "),
            "salary": (30_000 * 1.12**grade * random.lognormal(0, 0.08, count)).round(2),
            "sick": random.poisson(7, count),
        }
    )


def weather(random: Random, count: int) -> pd.DataFrame:
    """Each day at each of some stations: every combination comes once."""
    days = max(count // 20, 2)
    station, day = np.repeat(np.arange(20), days), np.tile(np.arange(days), 20)
    season = np.cos(2 * np.pi * day / 365)
    heat = 11 - 9 * season + station / 3 + random.normal(0, 3, len(day))
    return pd.DataFrame(
        {
            "station": np.array([f"station {i}" for i in range(20)])[station],
            "day": pd.Series(pd.Timestamp("2024-01-01") + day * DAY),
            "heat": heat.round(1),
            "rain": np.where(random.random(len(day)) < 0.55, 0.0, random.exponential(4, len(day))).round(1),
            "wind": random.weibull(2, len(day)).round(2) * 12,
        }
    )


def sales(random: Random, count: int) -> pd.DataFrame:
    """Each week of the articles that each store has."""
    pairs = np.unique(random.integers(0, (80, 900), (max(count // 26, 2), 2)), axis=0)
    which, week = np.repeat(np.arange(len(pairs)), 26), np.tile(np.arange(26), len(pairs))
    level = random.gamma(2, 6, len(pairs))[which]
    pieces = random.poisson(level * (1 + 0.3 * np.sin(week / 4)))
    price = random.choice([0.99, 1.49, 2.99, 4.99, 9.99], 900)[pairs[which, 1]]
    return pd.DataFrame(
        {
            "store": np.array([f"store {i}" for i in range(80)])[pairs[which, 0]],
            "article": pairs[which, 1] + 10_000,
            "week": week,
            "pieces": pieces,
            "price": price,
            "turnover": (pieces * price).round(2),
        }
    )


def bookings(random: Random, count: int) -> pd.DataFrame:
    """Bookings of a hotel, one row for each guest."""
    nights = 1 + random.poisson(1.6, count)
    arrives = _days(random, count, "2025-01-01", 365)
    return pd.DataFrame(
        {
            "booking": _names(random, count, "B-", 9),
            "arrives": arrives,
            "leaves": arrives + nights * DAY,
            "booked": _moments(random, count, "2024-09-01", 450),
            "country": _skewed(random, count, 50, "country "),
            "born": 1940 + random.binomial(70, 0.5, count),
            "room": random.choice(["single", "double", "suite"], count, p=[0.3, 0.6, 0.1]),
            "bill": (nights * random.lognormal(4.6, 0.35, count)).round(2),
        }
    )


def trips(random: Random, count: int) -> pd.DataFrame:
    """Trips with rented bicycles: begin, end, stations."""
    begins = _moments(random, count, "2025-03-01", 200)
    minutes = random.lognormal(2.6, 0.6, count)
    return pd.DataFrame(
        {
            "begins": begins,
            "ends": begins + pd.to_timedelta((minutes * 60).round(), unit="s"),
            "from": _skewed(random, count, 150, "stop "),
            "to": _skewed(random, count, 150, "stop "),
            "born": 2007 - random.poisson(22, count),
            "sex": random.choice(["f", "m", "x"], count, p=[0.46, 0.5, 0.04]),
            "metres": (minutes * random.normal(210, 40, count)).round(),
        }
    )


def pupils(random: Random, count: int) -> pd.DataFrame:
    """Marks of pupils: whole numbers and categories, some of which repeat whole rows."""
    talent = random.normal(0, 1, count)
    marks = {f"mark {name}": np.clip((10 + 2.5 * talent + random.normal(0, 2, count)).round(), 0, 15) for name in "abc"}
    return pd.DataFrame(
        {
            "school": _skewed(random, count, 12, "school "),
            "year": random.integers(5, 13, count),
            "born": _days(random, count, "2007-06-01", 3_000),
            "sex": random.choice(["f", "m"], count),
            **{name: of.astype(int) for name, of in marks.items()},
            "missed": random.negative_binomial(1, 0.2, count),
        }
    )


def wells(random: Random, count: int) -> pd.DataFrame:
    """Measurements of wells: floats alone, and two categories."""
    depth = random.gamma(3, 20, count)
    return pd.DataFrame(
        {
            "rock": _skewed(random, count, 6, "rock "),
            "owner": _skewed(random, count, 30, "owner "),
            "depth": depth.round(1),
            "lat": random.normal(48.2, 0.8, count).round(5),
            "lon": random.normal(11.6, 1.1, count).round(5),
            "iron": random.lognormal(-2 + depth / 200, 0.9, count).round(4),
            "ph": random.normal(7.2, 0.4, count).round(2),
        }
    )


TABLES: dict[str, Callable[[Random, int], pd.DataFrame]] = {
    table.__name__: table
    for table in (patients, payments, members, employees, weather, sales, bookings, trips, pupils, wells)
}
KEYS = {"patients": "insurance", "payments": "account"}
KNOWN = {
    "patients": ["born", "sex", "postcode", "admitted"],
    "payments": ["branch", "opened", "shop"],
    "members": ["born", "district", "household"],
    "employees": ["born", "hired", "job"],
    "bookings": ["arrives", "country", "born", "room"],
    "trips": ["from", "to", "born"],
    "pupils": ["school", "born", "sex"],
}


def halves(name: str, seed: int, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of about so many rows each: halves of the rows in random order, or of the persons where rows have any.

    Running numbers begin at 1 in both.
    """
    random = np.random.default_rng(seed)
    table = TABLES[name](random, 2 * rows)
    who = table[KEYS[name]] if name in KEYS else pd.Series(np.arange(len(table)))
    is_first = who.map(dict(zip(who.unique(), random.permutation(who.nunique()) % 2 == 0, strict=True)))
    first, second = (table[is_first == half].reset_index(drop=True)[:rows] for half in (True, False))
    if "number" in table:
        first["number"], second["number"] = np.arange(len(first)) + 1, np.arange(len(second)) + 1
    return first, second
