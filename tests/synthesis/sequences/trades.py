"""Tables of trades whose rows belong to keys: lines of orders, stays of patients, bookings of accounts, claims."""

from __future__ import annotations

import numpy as np
import pandas as pd

DAY, MINUTE = pd.Timedelta(days=1), pd.Timedelta(minutes=1)


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


def stock_cards(articles: int, seed: int) -> pd.DataFrame:
    """Each week opens with what the last one closed with; what comes in and goes out is in between."""
    rng = np.random.default_rng(seed)
    rows = []
    for article in range(articles):
        stock, group = int(rng.integers(0, 200)), rng.choice(["tools", "paint", "garden"])
        for week in range(int(rng.integers(8, 26))):
            sold, received = min(stock, int(rng.poisson(9))), 20 * int(rng.integers(1, 6)) if stock < 30 else 0
            start = pd.Timestamp("2025-01-01") + 7 * week * DAY
            rows.append((f"A-{2000 + 3 * article}", group, start, stock, received, sold, stock + received - sold))
            stock += received - sold
    return pd.DataFrame(rows, columns=["article", "sort", "week", "opening", "received", "sold", "closing"])


def ward_transfers(cases: int, seed: int) -> pd.DataFrame:
    """Each stay begins at the time and in the ward to which the one before led; hours are rounded to tenths."""
    rng, wards = np.random.default_rng(seed), ["intensive", "surgery", "medicine", "maternity", "rehabilitation"]
    rows = []
    for case in range(cases):
        ward = str(rng.choice(["emergency", "maternity", "surgery"], p=[0.7, 0.1, 0.2]))
        came, stays = pd.Timestamp("2025-01-01") + int(rng.integers(0, 200_000)) * MINUTE, 1 + rng.poisson(1.2)
        for stay in range(stays):
            went = came + (10 + int(rng.exponential(300 if ward == "emergency" else 5000))) * MINUTE
            following = "home" if stay == stays - 1 else str(rng.choice([other for other in wards if other != ward]))
            bed = f"{ward[:2].upper()}{rng.integers(1, 9):02}"
            hours = round((went - came) / pd.Timedelta(hours=1), 1)
            rows.append((f"C{9000 + case}", ward, came, went, following, hours, bed))
            ward, came = following, went
    return pd.DataFrame(rows, columns=["case", "ward", "came", "went", "to", "hours", "bed"])


def contracts(employees: int, seed: int, end: pd.Timestamp | None = None) -> pd.DataFrame:
    """Each contract begins on the day after the one before; the last one of most has no end, or one far off."""
    rng = np.random.default_rng(seed)
    rows = []
    for employee in range(employees):
        start, pay = pd.Timestamp("2012-01-01") + int(rng.integers(0, 3000)) * DAY, int(rng.integers(22, 60)) * 100
        count = 1 + rng.poisson(2)
        for contract in range(count):
            stop = start + int(rng.integers(90, 900)) * DAY
            is_open = contract == count - 1 and rng.random() < 0.7
            rows.append((f"E{1000 + employee}", start, end if is_open else stop, pay, rng.choice(["full", "part"])))
            start, pay = stop + DAY, round(pay * float(rng.uniform(1.01, 1.12)), -1)
    return pd.DataFrame(rows, columns=["employee", "start", "stop", "pay", "hours"])


def loans(keys: int, seed: int) -> pd.DataFrame:
    """Instalments: interest is that of what is owed before, the rest is paid off, and at last nothing is owed."""
    rng = np.random.default_rng(seed)
    rows = []
    for loan in range(keys):
        lent, rate = 100.0 * rng.integers(10, 400), float(rng.choice([3.9, 4.5, 5.25, 6.9]))
        months, monthly = int(rng.choice([6, 12])), rate / 1200
        instalment, owed = round(lent * monthly / (1 - (1 + monthly) ** -months), 2), lent
        for number in range(1, months + 1):
            interest = round(owed * rate / 1200, 2)
            paid = instalment if number < months else round(owed + interest, 2)
            owed = round(owed + interest - paid, 2)
            head = f"L{50_000 + loan}", lent, rate, months, number
            rows.append((*head, paid, interest, round(paid - interest, 2), owed))
    columns = ["loan", "lent", "rate", "months", "number", "instalment", "interest", "principal", "owed"]
    return pd.DataFrame(rows, columns=columns)


def shifts(workers: int, seed: int) -> pd.DataFrame:
    """Days of work, one row each, of the weekdays of six weeks."""
    rng, days = np.random.default_rng(seed), pd.bdate_range("2025-03-03", periods=30)
    rows = []
    for worker in range(workers):
        usual = rng.normal(480, 15)
        for day in days[rng.random(30) < 0.93]:
            rows.append((f"W{100 + worker}", day, int(5 * round(float(rng.normal(usual, 40)) / 5))))
    return pd.DataFrame(rows, columns=["worker", "day", "minutes"])


def journal(entries: int, seed: int) -> pd.DataFrame:
    """Entries of double-entry bookkeeping: what is debited is credited."""
    rng = np.random.default_rng(seed)
    sides = {"sale": [1, -1, -1], "purchase": [1, 1, -1], "payment": [1, -1]}
    accounts = {
        "sale": ["receivables", "sales", "vat"],
        "purchase": ["goods", "input vat", "payables"],
        "payment": ["bank", "receivables"],
    }
    rows = []
    for entry in range(entries):
        kind, net = str(rng.choice([*sides], p=[0.5, 0.3, 0.2])), round(float(rng.lognormal(5.5, 1)), 2)
        tax = round(0.19 * net, 2)
        whole = round(net + tax, 2)
        amounts = {"sale": [whole, net, tax], "purchase": [net, tax, whole], "payment": [net, net]}[kind]
        for line, (account, side, amount) in enumerate(zip(accounts[kind], sides[kind], amounts, strict=True)):
            debit, credit = (amount, 0.0) if side > 0 else (0.0, amount)
            rows.append((f"J{10_000 + entry}", kind, line + 1, account, debit, credit))
    return pd.DataFrame(rows, columns=["entry", "kind", "line", "account", "debit", "credit"])
