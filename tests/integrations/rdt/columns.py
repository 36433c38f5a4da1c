"""Columns for the tests, and the two normalizers side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def two_modes(rows: int = 2_000) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rows of two modes that overlap, with two decimals."""
    draws = np.random.default_rng(0)
    x = np.concatenate([draws.normal(0, 1, rows - rows // 3), draws.normal(4, 2, rows // 3)])
    draws.shuffle(x)
    return np.round(x, 2)


def with_gaps(rows: int = 2_000) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The same, every tenth row missing."""
    x = two_modes(rows)
    x[::10] = np.nan
    return x


COLUMNS: dict[str, pd.Series[Any]] = {
    "float": pd.Series(two_modes()),
    "float with gaps": pd.Series(with_gaps()),
    "float32": pd.Series(two_modes().astype(np.float32)),
    "float16": pd.Series(two_modes().astype(np.float16)),
    "int": pd.Series((10 * two_modes()).astype(np.int64)),
    "int8": pd.Series(two_modes().astype(np.int8)),
    "bool": pd.Series(two_modes() > 1),
    "Int64": pd.Series((10 * two_modes()).round()).astype("Int64"),
    "Int64 with gaps": pd.Series((10 * with_gaps()).round()).astype("Int64"),
    "Float64 with gaps": pd.Series(with_gaps()).astype("Float64"),
    "arrow with gaps": pd.Series(with_gaps()).astype("double[pyarrow]"),
    "object with gaps": pd.Series([None, *two_modes(200)], dtype=object),
    "two values": pd.Series([0.0, 1.0] * 40),
    "constant": pd.Series([3.0] * 40),
    "constant with gaps": pd.Series([3.0, np.nan] * 20),
    "all missing": pd.Series([np.nan] * 20),
    "names as index": pd.Series(two_modes(50), index=[f"r{i}" for i in range(50)]),
    "one label": pd.Series(two_modes(50), index=[7] * 50),
}


def frame_of(column: pd.Series[Any]) -> pd.DataFrame:
    """A frame of the column "a" behind another one."""
    return pd.DataFrame({"b": np.arange(len(column)), "a": column.array}, index=column.index)


def fitted(data: pd.DataFrame, **settings: Any) -> Any:
    """The drop-in, fitted to the column "a"."""
    from gpuvgm.integrations.rdt import ClusterBasedNormalizer

    ours = ClusterBasedNormalizer(**settings)
    ours.fit(data, "a")
    return ours
