"""Orders: columns that nobody declared keys, though the rows of each value share a moment."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.synthesis.keys.orders import OrderEvidence, hashes_of_values
from gpuvgm.synthesis.learning import samples

FEW, MANY = 4_000, 100_000


def order_lines(rows: int, *, text: bool = False, shuffled: bool = False) -> pd.DataFrame:
    """Lines of a shop's orders, 1 to 20 each, whose numbers rise; 300 articles have a price each."""
    random = np.random.default_rng(rows)
    sizes = random.integers(1, 21, rows)
    orders = int(np.searchsorted(np.cumsum(sizes), rows)) + 1
    of_row = np.repeat(np.arange(orders), sizes[:orders])[:rows]
    seconds = np.sort(random.integers(0, 365, orders) * 86_400 + random.integers(8 * 3600, 22 * 3600, orders))
    numbers, article = 100_000 + np.cumsum(random.integers(1, 9, orders)), random.integers(0, 300, rows)
    table = pd.DataFrame(
        {
            "order": np.array([f"A{number:07d}" for number in numbers] if text else numbers)[of_row],
            "time": (np.datetime64("2024-01-01T00:00:00") + seconds)[of_row],
            "age": random.integers(18, 90, orders)[of_row],
            "fee": random.choice([0.0, 3.9, 6.9], orders)[of_row],
            "article": np.array([f"X{number}" for number in random.integers(10_000, 99_999, 300)])[article],
            "price": random.lognormal(2.5, 0.8, 300).round(2)[article],
            "pieces": random.integers(1, 6, rows),
        }
    )
    return table.sample(frac=1, random_state=0, ignore_index=True) if shuffled else table


def receipts(rows: int, *, text: bool = False, shuffled: bool = False) -> pd.DataFrame:
    """Rows of a café's receipts in the rush hours, to the millisecond, whose numbers are in no order."""
    random = np.random.default_rng(rows + 1)
    sizes = 1 + random.poisson(3.5, rows)
    count = int(np.searchsorted(np.cumsum(sizes), rows)) + 1
    of_row = np.repeat(np.arange(count), sizes[:count])[:rows]
    hours = random.choice([8, 12, 13, 17], count) * 3_600_000 + random.integers(0, 3_600_000, count)
    moments = np.datetime64("2025-03-01T00:00:00.000") + np.sort(random.integers(0, 120, count)) * 86_400_000 + hours
    numbers = random.permutation(np.arange(1_000_000, 1_000_000 + 7 * count, 7))
    table = pd.DataFrame(
        {
            "receipt": np.array([f"R-{number}" for number in numbers] if text else numbers)[of_row],
            "at": moments[of_row],
            "shop": random.choice(["north", "south", "station"], count)[of_row],
            "tip": random.exponential(1.5, count).round(1)[of_row],
            "amount": random.choice([1.1, 2.2, 2.9, 3.4, 4.1], rows),
        }
    )
    return table.sample(frac=1, random_state=0, ignore_index=True) if shuffled else table


def proposed(table: Any, *columns: Any, **settings: Any) -> tuple[gpuvgm.TableSynthesizer, list[str]]:
    """A fit, and what it says of columns that may be keys."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = gpuvgm.TableSynthesizer(*columns, **settings).fit(table)
    return fitted, [str(one.message) for one in caught if "share their" in str(one.message)]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("rows", [FEW, pytest.param(MANY, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(("make", "names"), [(order_lines, ("order", "time")), (receipts, ("receipt", "at"))])
def test_a_fit_proposes_orders_and_nothing_else_and_no_moment_of_one_comes_back(
    make: Callable[..., pd.DataFrame], names: tuple[str, str], rows: int, text: bool, shuffled: bool
) -> None:
    table = make(rows, text=text, shuffled=shuffled)
    fitted, told = proposed(table)
    assert [*fitted._fitted.orders] == [names[0]]
    assert len(told) == 1
    assert told[0].startswith(f'"{names[0]}" may be a key: rows with the same value share their "{names[1]}"; declare')
    moments = fitted.sample(rows)[names[1]]
    assert table.groupby(names[1])[names[0]].nunique().max() < 5
    assert moments.value_counts(normalize=True).max() < 0.002
    assert moments.isin(table[names[1]]).mean() < 0.01


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    return order_lines(FEW, shuffled=True)


@pytest.fixture(scope="module")
def fitted(lines: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return proposed(lines)[0]


def test_its_remedies_can_be_typed(lines: pd.DataFrame) -> None:
    rows = lines.rename(columns={"order": "No. of 'order'"})
    _, (told,) = proposed(rows)
    in_python = re.search("columns=(.*), so that", told)[1]  # type: ignore[index]
    columns = eval(in_python)  # noqa: S307
    assert columns == {"No. of 'order'": {"key": True}}
    declared, told_again = proposed(rows, columns)
    assert not told_again
    sample = declared.sample(FEW)
    assert sample.groupby("No. of 'order'")["time"].nunique().max() == 1


def test_print_and_the_report_say_it_too_and_a_file_keeps_it(fitted: Any, reloaded: Any) -> None:
    for one in (fitted, reloaded(fitted)):
        for text in (str(one), str(one.fit_report_)):
            assert 'declare columns={"order": {"key": True}}, so that' in " ".join(text.split())


def test_columns_that_are_declared_are_not_proposed(lines: pd.DataFrame) -> None:
    for kind in ("continuous", "drop", {"key": True}):
        assert not proposed(lines, {"order": kind})[1]


@pytest.mark.parametrize(
    "columns",
    [{"order": "drop"}, ["time", "pieces"], {"order": "categorical"}, {"order": "id"}, {"order": {"key": True}}],
)
def test_no_moment_of_an_order_comes_back_however_its_number_is_declared(columns: Any, lines: pd.DataFrame) -> None:
    declared, told = proposed(lines.assign(order="N" + lines["order"].astype(str)), columns)
    assert not told
    assert declared.sample(FEW)["time"].isin(lines["time"]).mean() < 0.01
    assert not any("time" in law.operands for law in declared.laws_)


def test_what_one_customer_has_in_all_lines_does_not_come_back(lines: pd.DataFrame) -> None:
    """Such as a weight in grams, and a birth date, which hardly any two customers share."""
    random, (of_row, orders) = np.random.default_rng(7), pd.factorize(lines["order"])
    own = {
        "grams": random.integers(45_000, 110_000, len(orders))[of_row],
        "born": (np.datetime64("1930-01-01") + random.integers(0, 28_000, len(orders)))[of_row],
        "limit": (random.integers(1, 9, len(orders)) * 500)[of_row],
    }
    sample = proposed(lines.assign(**own))[0].sample(FEW)
    for name, different in (("grams", 65_000), ("born", 28_000)):
        by_chance = len(np.unique(own[name])) / different
        assert np.isin(sample[name], own[name]).mean() < 4 * by_chance
    assert {*sample["limit"]} <= {*own["limit"].tolist()}


def test_a_sample_in_any_order_shows_few_repeats_and_suffices(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Of a sample of 2 % of the rows hardly any repeats an order's number."""
    rows = 5 * FEW
    monkeypatch.setattr(samples, "TREE_ROWS", rows // 50)
    for make, name in ((order_lines, "order"), (receipts, "receipt")):
        pq.write_table(pa.Table.from_pandas(make(rows, shuffled=True)), tmp_path / "rows.parquet")
        assert [*proposed(tmp_path / "rows.parquet")[0]._fitted.orders] == [name]


def test_evidence_does_not_depend_on_blocks_or_their_order(lines: pd.DataFrame, fitted: Any) -> None:
    columns, table = fitted.transformer_.model_.by_name, pa.Table.from_pandas(lines)
    orders = {"order": (("time",),), "pieces": (("time",),)}

    def evidence(rows: pa.Table) -> OrderEvidence:
        return OrderEvidence.of(columns, orders, lambda name: rows.column(name).combine_chunks())

    whole, blocks = evidence(table), [evidence(table.slice(start, 777)) for start in range(0, FEW, 777)]
    for merged in (reduce(OrderEvidence.merge, blocks), reduce(OrderEvidence.merge, blocks[::-1])):
        assert merged.confirmed(orders) == whole.confirmed(orders) == {"order": (("time",),)}
        for mine, other in zip(merged.values.values(), whole.values.values(), strict=True):
            assert all(
                np.array_equal(getattr(mine, part), getattr(other, part)) for part in ("hashes", "rows", "lowest")
            )


def test_missing_values_have_no_hash(fitted: Any) -> None:
    columns = fitted.transformer_.model_.by_name
    assert hashes_of_values(columns["order"], pa.array([100_004, None, 100_004])).tolist().count(0) == 1
    assert hashes_of_values(columns["article"], pa.array([None, "no article"])).tolist() == [0, 0]


def other_forms() -> dict[str, Callable[[pd.DataFrame], pd.DataFrame]]:
    """Ways in which tables hold orders."""
    return {
        "text": lambda t: t.assign(order=t["order"].astype(str), time=t["time"].astype(str)),
        "floats with gaps": lambda t: t.assign(order=t["order"].where(np.arange(FEW) % 17 > 0)),
        "a time zone": lambda t: t.assign(time=t["time"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")),
        "days and times": lambda t: t.assign(day=t["time"].dt.date, time=t["time"].dt.time),
        "an amount of each": lambda t: t.assign(total=t["order"] ** 2 * 7_919 % 1_000_003),
    }


@pytest.mark.parametrize("form", other_forms())
def test_orders_are_found_in_whatever_form(form: str, lines: pd.DataFrame) -> None:
    assert [*proposed(other_forms()[form](lines))[0]._fitted.orders] == ["order"]


def other_tables() -> dict[str, dict[str, Any]]:
    """Tables whose numbers share moments, or look like orders', and are none."""
    random, start = np.random.default_rng(5), np.datetime64("2024-01-01T00:00:00")
    readings, flights = np.sort(random.integers(0, 10**7, 300)), random.integers(0, 10**5, 6_000)
    article, days = random.integers(0, 1_000, 6_000), np.arange(250) // 5 * 7 + np.arange(250) % 5
    return {
        "stations that share the times of their readings": {
            "station": np.tile(np.arange(20) + 1_000, 300),
            "time": start + np.repeat(readings, 20),
            "value": random.normal(size=6_000).round(3),
        },
        "seconds beside their moment": {
            "epoch": np.repeat(readings, 20) + 1_704_067_200,
            "time": start + np.repeat(readings, 20),
            "value": random.normal(size=6_000).round(3),
        },
        "flights of aircraft at whole hours": {
            "tail": np.array([f"N{number:04d}" for number in range(400)])[random.integers(0, 400, 6_000)],
            "flight": random.integers(1, 3_000, 6_000),
            "hour": start + flights // 50 * 3600,
            "delay": random.integers(-10, 90, 6_000),
        },
        "closing prices": {
            "day": np.repeat(np.arange(250) * 3 + random.integers(0, 3, 250), 20),
            "close": start + np.repeat(days * 86_400 + 17 * 3600 + 30 * 60, 20),
            "price": random.normal(100, 5, 5_000).round(2),
        },
        "articles that have one price": {
            "article": 10**12 + 7_919 * article,
            "price": random.lognormal(2, 1, 1_000).round(2)[article],
            "sold": start + random.integers(0, 10**7, 6_000),
        },
    }


@pytest.mark.parametrize("name", other_tables())
def test_what_shares_moments_otherwise_is_no_order(name: str) -> None:
    fitted, told = proposed(other_tables()[name])
    assert (fitted._fitted.orders, told) == ({}, [])


@pytest.mark.parametrize("orders", [{"nobody": (("time",),)}, {"order": (("nothing",),)}, {"order": "time"}, 3])
def test_loaded_orders_are_checked(orders: Any, fitted: Any, tmp_path: Any, reloaded: Any) -> None:
    wrong = reloaded(fitted)
    wrong._with(replace(wrong._fitted, orders=orders))
    with pytest.raises(InputError, match="it could not be read again: .*(orders|iterable)"):
        wrong.save(tmp_path / "wrong.gpuvgm")
    assert not (tmp_path / "wrong.gpuvgm").exists()
