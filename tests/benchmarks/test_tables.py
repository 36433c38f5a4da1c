"""The study of public tables: kinds in the words of labels, round trips, held-out gains, made columns, and one run."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pandas as pd
import pytest

from benchmarks import tables, tables_points
from benchmarks.__main__ import main
from benchmarks.public_tables import Label, labels, public_table
from benchmarks.tables import agrees, differences_table, facts, goals, held_out, round_trip
from benchmarks.tables_held_out import AUTO, BIC, RESEARCH, likelihoods
from benchmarks.tables_sentinels import MadeColumn, judge, made_columns

pytestmark = pytest.mark.usefixtures("one_thread")  # threads of small fits wait longer than they compute
WINE = "sklearn/wine"


def columns_of(frame: pd.DataFrame, kinds: dict[str, Label]) -> dict[str, dict[str, object]]:
    return {one["column"]: one for one in facts(frame, kinds)["columns"]}


def test_kinds_are_told_in_the_words_of_labels(random: np.random.Generator) -> None:
    x = random.normal(size=2_000)
    frame = pd.DataFrame(
        {
            "bell": x,
            "with zeros": np.where(random.random(2_000) < 0.3, 0.0, x),
            "with gaps": np.where(random.random(2_000) < 0.3, np.nan, x),
            "row": np.arange(2_000),
            "sex": random.choice(["f", "m"], 2_000),
            "day": [f"{day:%Y-%m-%d}" for day in pd.date_range("2001-01-01", periods=2_000)],
            "share": [f"{value:.1f} %" for value in random.uniform(0, 90, 2_000)],
        }
    )
    kinds = ("continuous", "mixed", "continuous", "id", "categorical", "date text", "number text")
    labelled = {name: Label((kind,)) for name, kind in zip(frame, kinds, strict=True)}
    found = columns_of(frame, labelled)
    assert {name: one["kind"] for name, one in found.items()} == dict(zip(frame, kinds, strict=True))
    assert all(map(agrees, found.values()))
    assert not agrees(found["row"] | {"label": ["continuous"]})


def test_codes_may_be_numbers_with_a_hint() -> None:
    code = {"label": ["id"], "code": True, "kind": "continuous", "hinted": True}
    assert agrees(code)
    assert not agrees(code | {"hinted": False}) and not agrees(code | {"code": False})


def test_one_hot_columns_for_few_rows_and_for_dust_are_found() -> None:
    made = {name: (label, values) for name, label, values in tables_points.points()}
    label, values = made["tenths with dust in six rows, 5,000 rows"]
    assert len(values) == 5_000 and np.count_nonzero(values != np.round(values, 1)) == 6
    strays = np.round(np.random.default_rng(0).gamma(3, 5, 5_000), 2)
    strays[:3] = 1.2345
    frame = pd.DataFrame({"dust": values, "strays": strays})
    columns = columns_of(frame, dict.fromkeys(frame, label))
    modal = [column.modal_values for column in tables._fit(frame).columns_.values()]
    for one, values in zip(columns.values(), modal, strict=True):
        assert {*one["dust"], *one["few rows"]} <= set(map(str, values))
    dusty = [str(value) for value in modal[0] if abs(value - round(value, 1)) < 1e-12 and value != round(value, 1)]
    assert columns["dust"]["dust"] == dusty and columns["strays"]["dust"] == []


def test_round_trips_tell_how_far_the_farthest_row_is() -> None:
    whole = pd.Series([1, 2, 3, 9])
    assert round_trip(whole, whole) == {"equal": True}
    moved = round_trip(whole, pd.Series([1, 2, 3, 10]))
    assert not moved["equal"] and moved["whole"] and moved["farthest, sd"] == pytest.approx(1 / np.std(whole))
    assert round_trip(whole, whole.astype(float)) == {"equal": False}
    gap = pd.Series([1.0, np.nan])
    assert round_trip(gap, gap.copy())["equal"] and not round_trip(gap, pd.Series([1.0, 2.0]))["equal"]


def test_gains_are_paired_by_split() -> None:
    x = np.random.default_rng(0).standard_normal(600)
    found = likelihoods(x, 3)
    assert {name: len(values) for name, values in found.items()} == {AUTO: 3, RESEARCH: 3, BIC: 3}
    entropy = -0.5 * np.log(2 * np.pi * np.e)
    assert np.mean(found[BIC]) == pytest.approx(entropy, abs=0.1)
    gain = np.subtract(found[AUTO], found[BIC])
    assert held_out(x, 3)[BIC] == pytest.approx({"mean": np.mean(gain), "error": np.std(gain, ddof=1) / np.sqrt(3)})


def test_densities_and_probabilities_agree_where_a_step_is_narrow() -> None:
    x = np.exp(np.random.default_rng(0).standard_normal(3_000))
    free, stepped = likelihoods(x, 2), likelihoods(np.round(x, 4), 2)
    for name in (AUTO, BIC):
        assert np.add(free[name], np.log(1e-4)) == pytest.approx(stepped[name], abs=0.02)


def test_spikes_without_a_step_are_not_compared(random: np.random.Generator) -> None:
    assert likelihoods(np.where(random.random(2_000) < 0.3, 0.0, random.standard_normal(2_000)), 2) == {}


@pytest.mark.parametrize("made", [MadeColumn("bell", "float", (97, 98, 99), 0.2, 2_000)], ids=str)
def test_frequent_sentinels_have_columns_of_their_own(made: MadeColumn) -> None:
    x = made.values()
    assert [np.count_nonzero(x == value) for value in made.sentinels] == [400] * 3
    assert made.is_aimed_at
    assert judge(made) == {"own": 3, "others": [], "scale": False, "decoded": 1.0}


def test_other_values_of_made_columns_are_far_from_sentinels() -> None:
    for made in made_columns():
        if made.rows <= 2_000:
            x = made.values()
            ordinary = x[~np.isin(x, made.sentinels)]
            assert ordinary.min() >= 12 and ordinary.max() <= 86
            assert x.dtype == (np.int64 if made.type == "whole" else np.float64)


def test_a_table_that_is_refused_is_told() -> None:
    found = facts(pd.DataFrame({"x": [1.0, np.inf, 2.0]}), {"x": Label(("continuous",))})
    assert "infinite" in found["refused"]


def test_one_table_is_measured_and_held_against_the_goals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = MadeColumn("skewed", "whole", (-999,), 0.2, 200)
    monkeypatch.setattr(tables, "public_tables", lambda: [(WINE, public_table(WINE))])
    monkeypatch.setattr(tables, "made_columns", lambda: [few, MadeColumn("bell", "float", (), 0.0, 200)])
    monkeypatch.setattr(tables, "points", lambda: islice(tables_points.points(), 1))
    assert main(["tables", "--splits", "1", "--json"]) == 0
    wine, sentinels, point, last = json.loads(capsys.readouterr().out)
    assert {one["benchmark"] for one in (wine, sentinels, point, last)} == {"tables"}
    columns = wine["details"]["columns"]
    assert [one["column"] for one in columns] == list(labels()[WINE])
    assert columns[-1]["kind"] == "categorical" and "held out" not in columns[-1]
    assert all(one["equal"] for one in columns)
    assert [one["own"] for one in sentinels["details"]["made"]] == [1, 0]
    figures = {figure: measured for figure, measured, _ in last["details"]["goals"]}
    assert figures["tables that fit with no argument"] == "1 of 1 (100 %)"
    assert figures["columns equal to the bit"] == f"{len(columns)} of {len(columns)} (100 %)"


def test_tables_of_differences_name_each_column_of_another_kind() -> None:
    frame = public_table(WINE)[["alcohol", "target"]]
    labelled = {"alcohol": Label(("categorical",)), "target": Label(("categorical",))}
    row = tables.Measurement("wine", len(frame), 1.0, details=facts(frame, labelled))
    table = differences_table([row])
    assert list(table.columns[1].cells) == ["alcohol"]
    assert ("tables that fit with no argument", "1 of 1 (100 %)", "all") in list(goals([row], 0.1))


def test_refused_tables_count_as_such() -> None:
    row = tables.Measurement("one", 3, 1.0, details={"refused": "why"})
    fitted = tables.Measurement(WINE, 3, 1.0, details=facts(public_table(WINE), labels()[WINE]))
    assert next(iter(goals([row, fitted], 0.1)))[1] == "1 of 2 (50 %)"
