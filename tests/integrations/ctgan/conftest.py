from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="package")
def flights():
    """Rows of every type that CTGAN's users have, with an index that must not matter."""
    random = np.random.default_rng(1)
    rows = 1_500
    mode = random.integers(0, 3, rows)
    return pd.DataFrame(
        {
            "delay": random.normal(np.array([-5.0, 40.0, 300.0])[mode], np.array([2.0, 15.0, 30.0])[mode]),
            "carrier": random.choice(["UA", "AA", "B6"], rows, p=[0.2, 0.7, 0.1]),
            "distance": np.where(mode == 0, 187, random.integers(500, 2_500, rows)),
            "late": random.random(rows) < 0.3,
            "time": random.gamma(2.0, 30.0, rows).astype(np.float32),
            "stops": random.choice(np.array([0, 1, 2], np.int8), rows, p=[0.2, 0.3, 0.5]),
        },
        index=np.arange(rows) * 3 + 7,
    )


@pytest.fixture(scope="session")
def ctgan():
    """CTGAN's own module of its transformer."""
    return pytest.importorskip("ctgan.data_transformer", reason="ctgan is not installed")
