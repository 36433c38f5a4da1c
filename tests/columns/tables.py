"""Tables with columns of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

DECLARED: dict[str, Any] = {
    "price": "continuous",
    "delay": {"kind": "mixed", "modal": [0, -1]},
    "income": {"kind": "continuous", "log": True},
    "when": "continuous",
    "count": {"kind": "mixed", "modal": [7, None]},
    "city": "categorical",
    "ratio": "general",
    "age": "general",
    "note": "pass",
    "key": "drop",
}
ENCODED = [name for name, kind in DECLARED.items() if kind not in ("pass", "drop")]


def table(rows: int, seed: int, missing: float = 0.1) -> pa.Table:
    """Rows of a table with a column of every kind.

    Parameters
    ----------
    rows, seed : int
        Number of rows and seed of their values.
    missing : float
        Share of missing values in the columns that may have some.
    """
    random = np.random.default_rng(seed)
    second = random.integers(0, 10**9, rows)

    def holes() -> np.ndarray:
        return random.random(rows) < missing

    delay = np.where(random.random(rows) < 0.4, random.choice([0.0, -1.0], rows), random.normal(30, 20, rows))
    return pa.table(
        {
            "key": pa.array(np.arange(rows)),
            "price": pa.array(np.round(random.lognormal(3, 1, rows), 2)),
            "delay": pa.array(delay, mask=holes()),
            "income": pa.array(np.round(random.pareto(1.5, rows) * 1000, 2)),
            "when": pa.array(1_577_836_800_000_000 + 10**6 * second, pa.timestamp("us", "Europe/Berlin")),
            "count": pa.array(random.poisson(7, rows), pa.int32()),
            "city": pa.array(
                random.choice(["Ulm", "Köln", "Bonn", "東京"], rows, p=[0.5, 0.3, 0.15, 0.05]), mask=holes()
            ),
            "ratio": pa.array(random.uniform(-3, 9, rows)),
            "age": pa.array(random.integers(18, 99, rows), pa.int8()),
            "note": pa.array([f"row {i}" for i in range(rows)]),
        }
    )
