"""Tables of trades whose rows belong to keys: lines of orders, stays of patients, bookings of accounts, claims."""

from __future__ import annotations

import numpy as np
import pandas as pd

DAY = pd.Timedelta(days=1)


def order_lines(orders: int, seed: int) -> pd.DataFrame:
    """Lines that are numbered from 1 on; no article twice in an order, whose total is the sum of its lines."""
    rng = np.random.default_rng(seed)
    prices = rng.lognormal(2.5, 0.8, 30).round(2)
    rows = []
    for order in range(orders):
        articles = rng.choice(30, 1 + min(rng.poisson(1.7), 7), replace=False)
        pieces = 1 + rng.geometric(0.6, len(articles))
        nets = (prices[articles] * pieces).round(2)
        head = f"O-{100_000 + 7 * order}", pd.Timestamp("2025-01-01") + rng.integers(0, 365) * DAY, rng.choice([*"cip"])
        rows += [
            (*head, line + 1, f"A{article:03}", prices[article], pieces[line], nets[line], round(float(nets.sum()), 2))
            for line, article in enumerate(articles)
        ]
    columns = ["order", "ordered", "payment", "line", "article", "price", "pieces", "net", "total"]
    return pd.DataFrame(rows, columns=columns).assign(lines=lambda rows: rows.groupby("order").line.transform("size"))


def hospital_stays(patients: int, seed: int) -> pd.DataFrame:
    """Stays that do not overlap; nights are the days between arrival and departure."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        born = pd.Timestamp("1930-01-01") + rng.integers(0, 30_000) * DAY
        arrival = pd.Timestamp("2024-01-01") + rng.integers(0, 600) * DAY
        for _ in range(1 + rng.poisson(1.5)):
            nights = 1 + int(rng.exponential(4))
            departure = arrival + nights * DAY
            ward = rng.choice(["surgery", "cardiology", "paediatrics"])
            rows.append((f"P{patient:05}", rng.choice([*"fm"]), born, arrival, departure, nights, ward))
            arrival = departure + (1 + int(rng.exponential(60))) * DAY
    columns = ["patient", "sex", "born", "arrival", "departure", "nights", "ward"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(sex=table.groupby("patient").sex.transform("first"))


def bookings(accounts: int, seed: int) -> pd.DataFrame:
    """Balances that are the balance before and the amount; kinds of amounts that follow each other."""
    rng = np.random.default_rng(seed)
    rows = []
    for account in range(accounts):
        balance, booked = round(float(rng.lognormal(6, 1)), 2), pd.Timestamp("2025-01-01") + rng.integers(0, 60) * DAY
        kind, sort = rng.choice(["private", "business"], p=[0.8, 0.2]), "card"
        for number in range(3 + rng.poisson(5)):
            sort = sort if rng.random() < 0.8 else str(rng.choice(["card", "transfer", "cash"]))
            amount = round(float(rng.normal(-20, 80) if sort != "transfer" else rng.normal(900, 300)), 2)
            balance = round(balance + amount, 2)
            rows.append((f"DE{account:06}", kind, booked, number + 1, sort, amount, balance))
            booked += int(rng.geometric(0.3)) * DAY
    return pd.DataFrame(rows, columns=["account", "kind", "booked", "number", "sort", "amount", "balance"])


def appointments(patients: int, seed: int) -> pd.DataFrame:
    """Appointments weeks apart; patients come minutes before or after, and are gone some time later."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        day = pd.Timestamp("2023-01-02") + rng.integers(0, 300) * DAY
        for _ in range(2 + rng.poisson(3)):
            due = day + (480 + 15 * rng.integers(0, 32)) * pd.Timedelta(minutes=1)
            came = due + round(rng.normal(0, 8)) * pd.Timedelta(minutes=1)
            gone = came + (5 + int(rng.gamma(3, 10))) * pd.Timedelta(minutes=1)
            rows.append((f"P{patient:05}", due, came, gone, rng.choice([*"ABC"])))
            day += (1 + int(rng.gamma(2, 14))) * DAY
    return pd.DataFrame(rows, columns=["patient", "due", "came", "gone", "reason"])


def ferry_trips(tours: int, seed: int) -> pd.DataFrame:
    """Trips of a tour within hours: some leave two minutes before they are due; times between are of a timetable."""
    rng = np.random.default_rng(seed)
    rows = []
    for tour in range(tours):
        due = pd.Timestamp("2024-03-01") + rng.integers(0, 300) * DAY + pd.Timedelta(minutes=rng.integers(300, 420))
        for trip in range(3 + rng.poisson(4)):
            late = int(rng.gamma(1.5, 3)) - 2 * (rng.random() < 0.3)
            left = due + pd.Timedelta(minutes=late)
            rows.append((f"T{tour:06}", due, left, ("North", "Mole", "Isle")[trip % 3], rng.poisson(60)))
            due += pd.Timedelta(minutes=rng.choice([20, 30, 40, 60]))
    return pd.DataFrame(rows, columns=["tour", "due", "left", "pier", "guests"])


def school_buses(runs: int, seed: int) -> pd.DataFrame:
    """Runs begin from six to seven on weekdays, none of them in July and August; stops are minutes apart."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2024-01-01", "2024-12-31")
    days = days[~days.month.isin([7, 8])]
    rows = []
    for run in range(runs):
        at = days[rng.integers(len(days))] + pd.Timedelta(minutes=int(rng.integers(360, 420)))
        for stop in range(3 + rng.poisson(4)):
            rows.append((f"R{run:06}", at, ("Green", "Mill", "Hill", "School")[stop % 4], rng.poisson(6)))
            at += pd.Timedelta(minutes=int(rng.choice([3, 5, 8, 12])))
    return pd.DataFrame(rows, columns=["run", "at", "stop", "pupils"])


def order_events(orders: int, seed: int) -> pd.DataFrame:
    """What happens to orders: paid once, then shipped once, then delivered, with calls and notes between."""
    rng = np.random.default_rng(seed)
    rows = []
    for order in range(orders):
        events, at = ["placed"], pd.Timestamp("2026-01-01") + pd.Timedelta(minutes=int(rng.integers(0, 400_000)))
        while events[-1] != "delivered" and len(events) < 14:
            following = next(step for step in ("paid", "shipped", "delivered") if step not in events)
            events.append(following if rng.random() < 0.4 else str(rng.choice(["call", "mail", "note"])))
        for event in events:
            rows.append((f"O{order:06}", at, event, str(rng.choice(["web", "shop", "agent"]))))
            at += pd.Timedelta(minutes=1 + int(rng.exponential(300)))
    return pd.DataFrame(rows, columns=["order", "at", "event", "channel"])


def payments(cards: int, seed: int) -> pd.DataFrame:
    """Payments of cards, each of which comes back to a few of 150 shops, mostly of its region."""
    shops, rng = 150, np.random.default_rng(7)
    trades, prices = rng.integers(0, 6, shops), np.exp(rng.normal(3, 0.8, shops))
    rng, rows = np.random.default_rng(seed), []
    for card in range(cards):
        region, day = rng.integers(0, 5), int(rng.integers(0, 200))
        weights = 1 / np.arange(1, shops + 1) ** 0.8 * np.where(np.arange(shops) % 5 == region, 8, 1)
        visited: list[int] = []
        for place in range(min(2 + rng.negative_binomial(2, 0.08), 80)):
            day += 1 + int(rng.exponential(6))
            is_new = rng.random() < 1.5 / (1.5 + place)
            shop = int(rng.choice(shops, p=weights / weights.sum()) if is_new else rng.choice(visited))
            visited.append(shop)
            amount = round(float(prices[shop] * np.exp(rng.normal(0, 0.4))), 2)
            rows.append((f"K{card:05}", "NESWC"[region], day, f"M{shop:03}", "ABCDEF"[trades[shop]], amount))
    return pd.DataFrame(rows, columns=["card", "region", "day", "shop", "trade", "amount"])


def claims(keys: int, seed: int) -> pd.DataFrame:
    """Movements of claims: what is paid is taken off what is set aside; of closed ones nothing is left."""
    random, rows = np.random.default_rng(seed), []
    for claim in range(keys):
        day, left, paid = pd.Timestamp("2023-01-01") + random.integers(0, 400) * DAY, random.lognormal(7, 1), 0.0
        reserve = round(left * random.uniform(0.7, 1.3), -1)
        rows.append((f"C-{20_000 + 7 * claim}", day, "open", 0.0, reserve, 0.0, reserve))
        parts = random.integers(0, 4)
        for part in range(parts + 1):
            day += int(1 + random.exponential(20)) * DAY
            amount = round(left if part == parts else left * random.uniform(0.2, 0.7), 2)
            left, paid = left - amount, round(paid + amount, 2)
            reserve = 0.0 if part == parts else round(max(reserve - amount, left / 2), 2)
            status = "closed" if part == parts else "part payment"
            rows.append((rows[-1][0], day, status, amount, reserve, paid, round(paid + reserve, 2)))
    names = ["claim", "day", "status", "payment", "reserve", "paid", "incurred"]
    return pd.DataFrame(rows, columns=names)
