"""Tables that refer to each other: a shop, visits to branches, and flights with the weather of their hour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

DAY = pd.Timedelta(days=1)
Tables = dict[str, Any]

SHOP = {"orders.customer": "customers.id", "lines.order": "orders.id", "lines.product": "products.id"}
INDEX = {"lines": "number"}
VISITS = {"visits.customer": "customers.id", "visits.branch": "branches.code"}
LIBRARY = {"loans.card": "members.card", "loans.isbn": "books.isbn"}
FLIGHTS = {"flights.(airport, departs)": "weather.(airport, hour)"}


def shop(customers: int, seed: int) -> Tables:
    """Totals of orders are sums of their lines; nobody orders before the day of joining, and Italians order most."""
    rng = np.random.default_rng(seed)
    countries = rng.choice(["DE", "FR", "IT"], customers, p=[0.5, 0.3, 0.2])
    joined = pd.Timestamp("2024-01-01") + rng.integers(0, 365, customers) * DAY
    ids = [f"C-{20_000 + 7 * number}" for number in range(customers)]
    categories, prices = rng.choice(["toys", "books", "food"], 40), rng.lognormal(2.5, 0.8, 40).round(2)
    products = pd.DataFrame({"id": [f"P{number:03}" for number in range(40)], "category": categories, "price": prices})
    orders, lines = list[Any](), list[Any]()
    for customer, country, since in zip(ids, countries, joined, strict=True):
        for _ in range(rng.poisson(4.5 if country == "IT" else 1.5)):
            order, bought = (
                f"O-{500_000 + 3 * len(orders)}",
                rng.choice(40, 1 + min(rng.poisson(1.2), 5), replace=False),
            )
            pieces = 1 + rng.geometric(0.6, len(bought))
            amounts = (prices[bought] * pieces).round(2)
            day = since + int(rng.integers(0, 400)) * DAY
            orders.append((order, customer, day, round(float(amounts.sum()), 2), len(bought)))
            of_order = zip(products.id[bought], prices[bought], pieces, amounts, strict=True)
            lines += [(order, number, *line) for number, line in enumerate(of_order, 1)]
    return {
        "customers": pd.DataFrame({"id": ids, "country": countries, "joined": joined}),
        "orders": pd.DataFrame(orders, columns=["id", "customer", "day", "total", "lines"]),
        "lines": pd.DataFrame(lines, columns=["order", "number", "product", "price", "pieces", "amount"]),
        "products": products,
    }


def pair(customers: int, seed: int) -> Tables:
    """Customers, and orders of which each has but a channel: what is fitted fastest."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"C-{20_000 + 7 * number}" for number in range(customers)])
    orders = {"customer": ids[np.sort(rng.integers(0, customers, 3 * customers))]}
    return {
        "customers": pd.DataFrame({"id": ids, "country": rng.choice(["DE", "FR", "IT"], customers)}),
        "orders": pd.DataFrame({**orders, "channel": rng.choice(["web", "shop", "phone"], 3 * customers)}),
    }


def visits(customers: int, seed: int) -> Tables:
    """Visits of customers to branches, of which large ones sell for five times as much."""
    rng = np.random.default_rng(seed)
    ids, sizes = pair(customers, seed)["customers"], rng.choice(["small", "large"], 60)
    branches = pd.DataFrame({"code": [f"S{number:04}" for number in range(60)], "size": sizes})
    chosen = rng.integers(0, 60, 4 * customers)
    amounts = np.where(sizes[chosen] == "large", 100, 20) + rng.normal(0, 5, len(chosen)).round(2)
    of_visits = {"customer": ids.id.to_numpy()[np.sort(rng.integers(0, customers, len(chosen)))]}
    rows = pd.DataFrame({**of_visits, "branch": branches.code.to_numpy()[chosen], "amount": amounts})
    return {"customers": ids, "branches": branches, "visits": rows}


def flights(hours: int, seed: int) -> Tables:
    """Flights that are late where the wind of their airport and hour is strong."""
    rng = np.random.default_rng(seed)
    places = rng.choice(3_000, hours, replace=False)
    weather = pd.DataFrame({"airport": np.array(["EWR", "JFK", "LGA"])[places % 3], "hour": places // 3})
    weather["wind"] = rng.normal(10, 3, hours).round(1)
    rows = weather.iloc[np.sort(rng.integers(0, hours, 3 * hours))].reset_index(drop=True)
    delays = (2 * rows.wind + rng.normal(0, 1, len(rows))).round(1)
    return {
        "weather": weather,
        "flights": pd.DataFrame({"airport": rows.airport, "departs": rows.hour, "delay": delays}),
    }


def library(members: int, seed: int) -> Tables:
    """Loans of books to members, none before they joined; there are more books than members."""
    rng = np.random.default_rng(seed)
    cards, isbns = [f"L-{10_000 + 13 * number}" for number in range(members)], 97_800_000 + np.arange(2 * members) * 3
    joined = pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 1400, members), "D")
    ages = rng.choice(["adult", "child"], members, p=[0.7, 0.3])
    genres = rng.choice(["novel", "travel", "picture book"], len(isbns))
    chances = np.where(genres == "picture book", 8.0, 1.0), np.where(genres == "picture book", 0.1, 1.0)
    loans = list[Any]()
    for card, day, age in zip(cards, joined, ages, strict=True):
        shares = chances[0 if age == "child" else 1]
        for _ in range(1 + rng.poisson(4)):
            day += int(rng.integers(3, 90)) * DAY
            loans.append((card, rng.choice(isbns, p=shares / shares.sum()), day, day + int(1 + rng.gamma(4, 5)) * DAY))
    return {
        "members": pd.DataFrame({"card": cards, "joined": joined, "age": ages}),
        "books": pd.DataFrame({"isbn": isbns, "genre": genres}),
        "loans": pd.DataFrame(loans, columns=["card", "isbn", "lent", "returned"]),
    }


def lost(keys: pd.Series[Any], share_elsewhere: float, share_none: float, unknown: list[str]) -> pd.Series[Any]:
    """Keys of which some lead to no row of the table, and some are missing."""
    lots = np.random.default_rng(1).random(len(keys))
    elsewhere = pd.Series(np.resize(unknown, len(keys)), keys.index)
    return keys.mask(lots < share_elsewhere, elsewhere).mask(lots > 1 - share_none, None)
