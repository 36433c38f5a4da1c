"""Tables spoilt in one way each: what is spoilt is named first, honest halves are praised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import verdict


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(4)
    size = random.lognormal(3, 0.5, 4_000)
    return pd.DataFrame(
        {
            "colour": random.choice(["red", "green", "blue"], 4_000, p=[0.5, 0.3, 0.2]),
            "size": size.round(2),
            "price": (size * random.lognormal(0, 0.1, 4_000)).round(2),
            "age": random.integers(18, 80, 4_000),
        }
    )


@pytest.mark.parametrize("at", range(len(verdict.WAYS)))
def test_what_is_spoilt_is_named_first_and_honest_halves_are_praised(
    at: int, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "public", lambda name: frame)
    honest, spoilt = verdict.judge(at, "a table")
    assert (honest["right"], honest["named"]) == (True, []), honest["verdict"]
    assert spoilt["right"], spoilt["verdict"]
    assert spoilt["spoilt"] == verdict.WAYS[at].__name__


@pytest.mark.parametrize("way", verdict.WAYS)
def test_a_way_spoils_nothing_else(way: Any, frame: pd.DataFrame) -> None:
    whole = verdict.with_keys(verdict.with_hours(frame))
    original, other = whole[:2_000].reset_index(drop=True), whole[2_000:].reset_index(drop=True)
    assert not {*original["mail"]} & {*other["mail"]}
    rows, names = way(other, original, np.random.default_rng(0))
    assert [*rows] == [*other] and len(rows) == len(other)
    if names and way is not verdict.shuffled:
        changed = {name for name in rows if not rows[name].equals(other[name])}
        assert changed and changed <= names


@pytest.mark.parametrize("name", ["bookings", "sales"])
def test_who_is_given_away_is_told_and_honest_halves_are_not(name: str) -> None:
    original, honest = verdict.made_up.halves(name, 3, 1_500)
    judged = [*verdict.judge_persons((name, original, honest, verdict.made_up.KNOWN.get(name, [])))]
    assert [found["verdict"] for found in judged if not found["right"]] == []
    assert [found["spoilt"] for found in judged][:5] == [
        "",
        "copies 5%",
        "copies 10%",
        "near copies 5%",
        "near copies 10%",
    ]


def test_halves_of_made_up_tables_share_no_keys() -> None:
    for name, key in verdict.made_up.KEYS.items():
        original, honest = verdict.made_up.halves(name, 1, 500)
        assert not {*original[key]} & {*honest[key]}
        assert original[key].nunique() < 0.7 * len(original)
