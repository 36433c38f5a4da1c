"""Judges of sequences: real keys are not told from real ones, and each fault is told by the figure that is about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import sequences as judges
from benchmarks.sequences_tables import Panel, orders

KEYS = 400
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


@pytest.fixture(scope="module")
def table() -> Panel:
    rows = orders(KEYS, 5)
    return Panel(rows.assign(number=rows.groupby("customer").cumcount()), "customer", "day")


@pytest.fixture(scope="module")
def sides(table: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    return table.halves(0)


def changed(sides: tuple[pd.DataFrame, pd.DataFrame], table: Panel, change: Change) -> judges.Figures:
    """Figures of two changed samples of new customers, in which nothing else is wrong."""
    random = np.random.default_rng(1)
    samples = [orders(KEYS // 2, seed) for seed in (6, 7)]
    samples = [change(rows.assign(number=rows.groupby("customer").cumcount()), random) for rows in samples]
    return judges.judge(table, *sides, samples, 0)


@pytest.fixture(scope="module")
def honest(sides: tuple[pd.DataFrame, pd.DataFrame], table: Panel) -> judges.Figures:
    return changed(sides, table, lambda rows, _: rows)


def test_new_keys_of_the_same_kind_are_not_told_from_real_ones(honest: judges.Figures) -> None:
    assert 0.4 < honest["keys"] < 0.6 and 0.4 < honest["pairs"] < 0.6
    assert 0.4 < honest["nearer"] < 0.6
    assert [honest[name] for name in ("unique", "order", "constant", "rising")] == [1] * 4
    assert honest["rows"] > 0.85 and honest["lag"] < 0.1
    assert honest["lag_1"] > 0.9 and honest["same_channel"] > 0.85


def shuffled(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Amounts in another order."""
    return rows.assign(amount=random.permutation(rows.amount.to_numpy()))


def repeated(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Half of the rows once more."""
    return pd.concat([rows, rows[random.random(len(rows)) < 0.5]])


def moved(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Regions drawn for each row."""
    return rows.assign(region=random.permutation(rows.region.to_numpy()))


def reordered(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Rows in another order."""
    return rows.iloc[random.permutation(len(rows))]


def later(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """A tenth of the days after the last one, and numbers that fall."""
    is_late = np.arange(len(rows)) % 10 == 0
    return rows.assign(day=rows.day + 10_000 * is_late, number=rows.number % 2)


def longer(rows: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """Two customers in one."""
    return rows.assign(customer=(rows.customer.str[1:].astype(int) // 2).astype(str))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (shuffled, {"keys", "pairs", "lag", "lag_1"}),
        (repeated, {"unique", "pairs"}),
        (moved, {"constant", "keys", "pairs"}),
        (reordered, {"order"}),
        (later, {"beyond", "rising"}),
        (longer, {"rows", "keys"}),
    ],
)
def test_what_is_wrong_is_told_by_the_figures_about_it(
    change: Change, told: set[str], sides: tuple[pd.DataFrame, pd.DataFrame], table: Panel, honest: judges.Figures
) -> None:
    figures = changed(sides, table, change)
    worse = {"keys": 0.15, "pairs": 0.1, "lag": 0.1, "beyond": 0.05} | dict.fromkeys(
        ("unique", "constant", "rising", "order", "rows", "lag_1"), -0.1
    )
    for name in told:
        assert (figures[name] - honest[name]) / worse[name] > 1, (name, figures[name], honest[name])
    if change is reordered:
        assert {**figures, "order": 1} == pytest.approx({**honest, "order": 1}, abs=0.02, nan_ok=True)


def test_fitted_keys_are_nearer_to_fitted_keys() -> None:
    fitted, held_out, new = np.random.default_rng(0).normal(size=(3, 200, 4))
    fitted[:20, 0] = np.nan
    assert judges.nearer(fitted, held_out, fitted) > 0.95
    assert judges.nearer(fitted, held_out, held_out) < 0.05
    assert 0.4 < judges.nearer(fitted, held_out, new) < 0.6
    assert judges.nearer(fitted, fitted, new) == 0.5


def test_folds_have_whole_keys() -> None:
    """Each key has rows of its own kind: folds of rows would tell one half of them from the other."""
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"key": np.repeat(np.arange(60), 40), "at": np.tile(np.arange(40), 60)})
    rows["level"] = random.normal(0, 1, 60)[rows.key]
    table = Panel(rows, "key", "at")
    fitted, held_out = table.halves(0)
    assert judges.judge(table, fitted, held_out, [fitted], 0)["pairs"] < 0.65


def test_few_keys_have_no_auc_and_neither_need_a_time() -> None:
    rows = pd.DataFrame({"key": np.repeat(list("abcdefghij"), 3), "value": np.arange(30.0)})
    table = Panel(rows, "key")
    fitted, held_out = table.halves(0)
    figures = judges.judge(table, fitted, held_out, [fitted], 0)
    assert np.isnan(figures["keys"]) and np.isnan(figures["pairs"])
    assert figures["rows"] == 1 and "order" not in figures


def test_a_run_judges_a_generator_and_writes_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judges, "SPLITS", 2)
    monkeypatch.setattr(judges, "EXTRA_TREES", 30)
    monkeypatch.setattr(judges, "panel", lambda name: Panel(orders(120, 0), "customer", "day"))
    lines = tmp_path / "lines.jsonl"
    judges.main(lines, "today", "orders")
    judges.main(lines, "training", "orders")
    ours, real = map(json.loads, lines.read_text().splitlines())
    assert ours["mean"]["keys"][0] > 0.8 > real["mean"]["keys"][0]
    assert len(ours["splits"]) == 2 and ours["mean"]["fit_cpu"][0] > 0
    assert "orders, training: keys 0." in capsys.readouterr().out
