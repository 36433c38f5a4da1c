"""What a row takes over from the row before, what running numbers begin with, and what is used up in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.synthesis.sequences.balance import BalancedSum
from gpuvgm.synthesis.sequences.handing import HandedOver, _step, _unit
from gpuvgm.synthesis.sequences.running import RunningNumber
from tests.synthesis.sequences.trades import DAY, contracts, loans, shifts, stock_cards, ward_transfers


def fitted(table: Any, key: str, index: str | None = None) -> gpuvgm.TableSynthesizer[Any]:
    return gpuvgm.TableSynthesizer(sequence_key=key, sequence_index=index, threads=1).fit(table)


def ends(rows: pd.DataFrame, key: str, column: str) -> tuple[pd.Series, pd.Series]:
    """Which rows have one of their key before them, and what this one has in a column."""
    return rows[key].duplicated(), rows.groupby(key)[column].shift()


def are_handed_over(rows: pd.DataFrame, key: str, column: str, former: str) -> bool:
    has_former, values = ends(rows, key, former)
    return bool((rows[column] == values)[has_former].all())


def test_each_row_opens_with_what_the_one_before_closed_with(tmp_path: Path) -> None:
    table = stock_cards(150, 0)
    synthesizer = fitted(table, "article")
    sample = synthesizer.sample(keys=200)
    assert are_handed_over(table, "article", "opening", "closing")
    assert are_handed_over(sample, "article", "opening", "closing")
    assert (sample.opening + sample.received - sample.sold == sample.closing).all()
    assert (sample.closing >= 0).all()
    assert "previous(closing) = opening" in str(synthesizer)
    synthesizer.save(tmp_path / "model")
    loaded = gpuvgm.load(tmp_path / "model")
    assert loaded.sample(100).equals(synthesizer.sample(100))
    assert synthesizer.sample(50, first_row=70).equals(synthesizer.sample(120).iloc[70:].reset_index(drop=True))


def test_stays_begin_where_and_when_the_one_before_ended() -> None:
    table = ward_transfers(400, 1)
    sample = fitted(table, "case").sample(keys=500)
    assert are_handed_over(sample, "case", "came", "went")
    has_former, to = ends(sample, "case", "to")
    # A row that is not the last one of its case leads home by chance in few cases: the next one cannot begin there.
    leads_home = has_former & (to == "home")
    assert leads_home.mean() < 0.005
    assert (sample.ward == to)[has_former & ~leads_home].all()
    assert not (sample.ward == "home").any()
    # Beds tell their ward, which is taken over: they are drawn given it, by trees.
    assert (sample.bed.str[:2] == sample.ward.str[:2].str.upper()).mean() > 0.97


def test_ends_follow_from_rounded_lengths() -> None:
    """Hours to tenths do not tell the minute, but go with it."""
    table = ward_transfers(400, 1)
    synthesizer = fitted(table, "case")
    assert "hours + came = went in hours" in [str(law) for law in synthesizer.laws_]
    sample = synthesizer.sample(keys=500)
    hours = (sample.went - sample.came) / pd.Timedelta(hours=1)
    assert (abs(hours - sample.hours) < 0.0501).all()
    assert sample.went.dt.minute.nunique() == 60
    assert (sample.went.dt.second == 0).all()


@pytest.mark.parametrize("end", [None, pd.Timestamp("2099-12-31")])
def test_contracts_begin_on_the_day_after_the_one_before(end: pd.Timestamp | None) -> None:
    table = contracts(300, 2, end)
    synthesizer = fitted(table, "employee", "start")
    assert "previous(stop) + 1 = start in days" in str(synthesizer)
    sample = synthesizer.sample(keys=400)
    has_former, stop = ends(sample, "employee", "stop")
    follows = (sample.start - stop)[has_former] == DAY
    # Of a contract without an end, which few rows but last ones have by chance, none can begin after.
    assert follows.mean() > 0.99
    assert (follows | (stop.isna() if end is None else stop == end)[has_former]).all()
    assert sample.start.notna().all()


def test_first_rows_are_drawn_as_they_are_in_the_table() -> None:
    table = stock_cards(300, 3)
    sample = fitted(table, "article").sample(keys=600)
    first = [rows[~rows.article.duplicated()].opening for rows in (table, sample)]
    assert abs(first[0].mean() - first[1].mean()) < 10
    assert first[1].nunique() > 100


def test_columns_that_only_seem_to_be_handed_over_are_not() -> None:
    """One row that breaks it ends it, and so do columns that are nearly constant."""
    table = stock_cards(150, 0)
    table.loc[table.index[table.article.duplicated()][40], "opening"] += 1
    assert "previous(closing)" not in str(fitted(table, "article"))
    table = stock_cards(150, 0).assign(unit="piece", unit_before="piece")
    table.loc[5, ["unit", "unit_before"]] = "box"
    assert "previous(unit)" not in str(fitted(table, "article"))


def test_instalments_pay_off_what_is_lent() -> None:
    table = loans(300, 4)
    synthesizer = fitted(table, "loan")
    laws = [str(law) for law in synthesizer.laws_]
    assert "previous(owed) - principal = owed" in laws
    assert "rate * previous(owed) / 1200 = interest" in laws
    sample = synthesizer.sample(keys=400)
    owed = sample.groupby("loan").owed.shift().fillna(sample.lent)
    assert np.allclose(owed - sample.principal, sample.owed, atol=0.006)
    assert np.allclose(owed * sample.rate / 1200, sample.interest, atol=0.0051)
    assert np.allclose(sample.instalment, sample.interest + sample.principal, atol=0.006)
    by_loan = sample.groupby("loan")
    assert (by_loan.owed.last() == 0).all()
    assert np.allclose(by_loan.principal.sum(), by_loan.lent.first(), atol=0.006)


def test_what_is_left_to_pay_is_paid_in_the_last_row() -> None:
    random = np.random.default_rng(5)
    rows = []
    for order in range(400):
        left = total = round(float(random.lognormal(6, 0.7)), 2)
        count = int(random.integers(1, 6))
        for number in range(count):
            paid = left if number == count - 1 else round(left * float(random.uniform(0.2, 0.6)), 2)
            left = round(left - paid, 2)
            rows.append((10_000 + order, total, paid, left))
    table = pd.DataFrame(rows, columns=["order", "total", "paid", "left"])
    sample = fitted(table, "order").sample(keys=500)
    by_order, is_last = sample.groupby("order"), ~sample.order.duplicated(keep="last")
    assert np.allclose(by_order.paid.sum(), by_order.total.first(), atol=0.006)
    assert (by_order.left.last() == 0).all()
    assert (sample.left[~is_last] > 0).mean() > 0.99
    assert (sample.paid > 0).mean() > 0.99


def test_days_leave_room_for_those_that_follow() -> None:
    """Thirty working days need six weeks: a worker who began late had two rows of one day."""
    sample = fitted(shifts(150, 6), "worker", "day").sample(keys=300)
    assert sample.duplicated(["worker", "day"]).mean() < 0.005
    assert (sample.day.dt.day_of_week < 5).mean() > 0.99


@pytest.mark.parametrize("part", ["handed_over", "balanced", "running"])
def test_laws_of_files_are_of_columns_that_there_are(part: str) -> None:
    parts = {
        "handed_over": (HandedOver("opening", "closed"),),
        "balanced": (BalancedSum("sold", "bought"),),
        "running": (RunningNumber("closing", ("received",), (), start="lent"),),
    }
    model = fitted(stock_cards(60, 0), "article")._fitted
    model.check()
    with pytest.raises(ValueError, match="laws between rows"):
        replace(model, plan=replace(model.plan, **{part: parts[part]})).check()


@pytest.mark.parametrize(
    ("values", "former", "text"),
    [
        (pa.array([5, 7, 9], pa.int32()), pa.array([4, 6, 8], pa.int32()), "previous(to) + 1 = from"),
        (pa.array([3, 5, 7], pa.int64()), pa.array([4, 6, 8], pa.int64()), "previous(to) - 1 = from"),
        (pa.array([2, 3, 4], pa.date32()), pa.array([1, 2, 3], pa.date32()), "previous(to) + 1 = from in days"),
        (
            pa.array([60, 120, 180], pa.timestamp("s")),
            pa.array([0, 60, 120], pa.timestamp("s")),
            "previous(to) + 60 = from in seconds",
        ),
        (
            pa.array([9, 10, 11], pa.time32("s")),
            pa.array([8, 9, 10], pa.time32("s")),
            "previous(to) + 1 = from in seconds",
        ),
    ],
)
def test_steps_between_rows_of_any_type(values: Any, former: Any, text: str) -> None:
    step = _step(pa.concat_arrays([values[:1], values]), pa.concat_arrays([former, former[:1]]), np.array([1, 2, 3]))
    handed = HandedOver("from", "to", step, _unit(values.type))
    assert str(handed) == text
    assert handed._above(former).equals(values)
