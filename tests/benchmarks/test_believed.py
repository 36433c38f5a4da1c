"""The measures of what somebody of the domain would believe."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import believed


def test_a_bank_keeps_its_own_rules_and_shuffled_columns_break_them():
    table = believed.bank(0, rows=4000)
    shares = {name: share for name, (share, _) in believed.bank_rules(table).items() if not name.startswith("cards")}
    assert min(shares.values()) == 1
    assert believed.orders_agree(table) == 1
    shuffled = table.assign(booked=table.booked.sample(frac=1, random_state=0).to_numpy(), fee=3.0)
    broken = believed.bank_rules(shuffled)
    assert max(share for name, (share, _) in broken.items() if name in shares) < 0.8
    assert broken["fees of the tariff"][0] == 0


def test_forms_are_those_of_the_values():
    random = np.random.default_rng(0)
    prices = random.integers(1, 90, 2000) + 0.99
    forms = believed.forms_of(prices)
    assert forms["frequent remainders by 100 steps"](np.array([3.99, 4.0, 4.98])).tolist() == [True, False, False]
    assert forms["2 decimals at most"](np.array([3.99, 3.991])).tolist() == [True, False]
    assert forms["listed values"](np.array([3.99, 3.5])).tolist() == [True, False]
    assert believed.decimals(np.array([1.0, 0.1, np.float32(40.6), 1e-3, 1 / 3])).tolist() == [0, 1, 1, 3, 7]


def test_values_in_gaps_that_no_row_fills_are_in_a_void():
    fitted, whole = np.array([0.0, 1.0, 2.0, 50.0, 60.0]), np.array([0.0, 1.0, 1.5, 2.0, 50.0, 55.0, 60.0])
    values = np.array([-1.0, 0.5, 1.2, 1.0, 30.0, 52.0, 61.0])
    assert believed.in_void(values, fitted, whole).tolist() == [True, True, False, False, True, False, True]


def test_ends_tell_how_often_the_outermost_comes_and_how_far_tails_are():
    random = np.random.default_rng(0)
    fitted, held_out, sample = random.normal(0, 1, (3, 20_000)).clip(-2, 9)
    least, largest = believed.ends_of(fitted, held_out, sample)
    assert least["outermost, sample"] == pytest.approx(least["outermost, held out"], rel=0.2)
    assert largest["times as far"] < 2
    assert believed.ends_of(fitted, held_out, sample / 2)[1]["times as far"] > 3


def test_pairs_are_often_equal_where_both_are_there():
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0, np.nan], "y": [1.0, 2.0, 5.0, np.nan], "z": [9.0, 8.0, 7.0, 6.0]})
    assert believed.equal_share(rows, ("x", "y")) == (pytest.approx(2 / 3), 3)
    assert believed.equal_pairs(rows, ["x", "y", "z"]) == [("x", "y")]


def test_each_part_runs(tmp_path):
    table = pd.DataFrame({"value": np.random.default_rng(0).normal(0, 1, 3000).round(2)})
    halves = [*believed.halves("normal", table)]
    assert [columns for *_, columns in halves] == [["value"], ["value"]]
    assert {len(fitted) for fitted, *_ in halves} == {1500}
    results = next(believed.tails(1))
    assert results["sample"] <= 0.01
