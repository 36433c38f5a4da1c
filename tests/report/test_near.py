"""Rows that repeat original ones but for small changes: cells against a count of their own; what stands out."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report.near import near_rows

ROWS = 4_000
HOUR = 3600


def stays(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Stays in hospital: moments, costs, categories."""
    random = np.random.default_rng(seed)
    return {
        "admitted": random.integers(10**9, 10**9 + 3 * 10**7, rows) // 60 * 60,
        "cost": random.lognormal(6, 1, rows).round(2),
        "ward": random.choice([f"w{i}" for i in range(12)], rows),
        "fee": random.choice([9.99, 19.99, 49.5], rows),
    }


def as_table(columns: dict[str, np.ndarray]) -> pa.Table:
    return pa.table(columns | {"admitted": pa.array(columns["admitted"], pa.timestamp("s"))})


@pytest.fixture(scope="module")
def transformer() -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer(effort="research", max_iter=5).fit(as_table(stays(ROWS, 0)))


@pytest.mark.parametrize("share", [0.05, 0.1, 1])
@pytest.mark.parametrize("moved", ["hour", "cents", "both", "noise"])
def test_rows_that_are_moved_a_little_stand_out(share: float, moved: str, transformer: gpuvgm.TableTransformer) -> None:
    random, count, near = np.random.default_rng(1), round(share * ROWS), stays(ROWS, 0)
    sign = random.choice([-1, 1], ROWS)
    if moved in ("hour", "both"):
        near["admitted"] = near["admitted"] + sign * HOUR
    if moved in ("cents", "both"):
        near["cost"], near["fee"] = near["cost"] + 0.01, near["fee"] + 0.01 * sign
    if moved == "noise":
        near["cost"] = near["cost"] * random.normal(1, 1e-3, ROWS)
    honest = stays(ROWS, 2)
    sample = {name: np.concatenate([near[name][:count], honest[name][count:]]) for name in near}
    found = transformer.evaluate(as_table(stays(ROWS, 0)), compare=as_table(sample))
    assert found.copies.copied_rows == 0
    assert found.near.share == pytest.approx(share, abs=0.04)
    assert found.verdict.startswith(found.near.share_text)
    assert found.near.text in found.to_text().replace("\n", " ")
    assert json.loads(json.dumps(found.to_dict()))["near"]["stand_out"] is True


def test_cells_are_those_of_bins_between_the_widest_gaps() -> None:
    x = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2, np.nan, np.inf] * 50)
    other = np.array([0.05, 5.3, 2.0, np.nan, np.inf])
    found = near_rows(
        [{"x": x, "c": np.zeros(400, np.int32)}, {"x": other, "c": np.array([0, 0, 1, 0, 0], np.int32)}], None
    )
    assert found.copied_rows == 4, "2.0 is of another category"
    assert found.columns == ("x", "c")
    assert near_rows([{"c": np.zeros(9, np.int32)}] * 2, None) is None, "equal rows are copies"


def test_rows_of_one_key_are_no_yardstick() -> None:
    """Each person's rows are alike; a sample of other persons has nothing near, and copies stand out."""
    random = np.random.default_rng(3)
    who = np.repeat(np.arange(2_000, dtype=np.uint64), 4)
    mine, others = (
        {name: np.repeat(random.normal(size=2_000), 4) + 1e-4 * random.normal(size=8_000) for name in "xyz"}
        for _ in "ab"
    )
    mixed = {name: np.concatenate([mine[name][:400] + 1e-4, others[name][400:]]) for name in mine}
    assert not near_rows([mine, others], who + 1).stand_out
    assert near_rows([mine, mixed], who + 1).stand_out
    assert near_rows([mine, mixed], None) is None, "where rows are not known to be one person's"


def test_bins_of_single_values_tell_nothing() -> None:
    """Of one column of numbers, also beside a few categories, any row lies in the cell of an original one."""
    random = np.random.default_rng(4)
    original, honest = (
        {"amount": random.lognormal(3, 1, 5_000).round(2), "kind": random.integers(0, 3, 5_000)} for _ in "ab"
    )
    assert near_rows([original, honest], None) is None
    assert near_rows([{"amount": original["amount"]}, {"amount": honest["amount"]}], None) is None
