"""The order of names in a set, which differs from process to process, changes no bit of a model or a sample."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FIT = """
import hashlib
import warnings

import numpy as np
import pandas as pd

import gpuvgm

warnings.simplefilter("ignore")
random = np.random.default_rng(0)
rows = 3000
def shop() -> pd.DataFrame:
    table = pd.DataFrame({f"part_{letter}": random.integers(0, 90, rows) for letter in "abcdef"})
    table["parts"] = table.sum(axis=1)
    table["price"] = random.lognormal(3, 1, rows).round(2)
    table["pieces"] = random.integers(1, 9, rows)
    table["net"] = (table.price * table.pieces).round(2)
    table["gross"] = (table.net * 1.2).round(2)
    table["shop"] = random.choice([f"S{number}" for number in range(40)], rows)
    table["town"] = table.shop.str[1:].astype(int).mod(9).map("town {}".format)
    return table


def log_book() -> pd.DataFrame:
    table = pd.DataFrame({"car": np.repeat([f"C{number:04}" for number in range(300)], 10)})
    table["trip"] = np.tile(np.arange(1, 11), 300)
    away = random.integers(3, 90, rows)
    table["end_km"] = np.repeat(random.integers(1000, 9000, 300), 10) + away.reshape(300, 10).cumsum(axis=1).ravel()
    table["start_km"] = table.end_km - away
    table["out_at"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(24 * table.trip + random.integers(6, 18, rows), "h")
    table["back_at"] = table.out_at + pd.to_timedelta(away, "min")
    table["purpose"] = random.choice(["visit", "delivery", "repair"], rows)
    return table


print(hashlib.sha256(TABLE.pipe(KIND.fit).sample(500).to_csv().encode()).hexdigest())
"""


def digests(table: str, settings: str) -> set[str]:
    """Digests of a sample that three processes draw, each with another order of sets."""
    environments = [{**os.environ, "PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"} for seed in range(3)]
    command = [
        sys.executable,
        "-c",
        FIT.replace("TABLE", table).replace("KIND", f"gpuvgm.TableSynthesizer({settings})"),
    ]
    return {
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=300).stdout
        for environment in environments
    }


@pytest.mark.parametrize(
    ("table", "settings"),
    [("shop()", "threads=1"), ("log_book()", 'sequence_key="car", sequence_index="trip", threads=1')],
)
def test_samples_do_not_depend_on_the_order_of_sets(table: str, settings: str) -> None:
    assert len(digests(table, settings)) == 1
