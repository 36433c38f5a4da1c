"""Evaluating columns of every type that numbers can have, extreme ones included."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report.figures import NumberFigures

ROWS = 1500
RANDOM = np.random.default_rng(0)
WHOLE = RANDOM.integers(-(10**9), 10**9, ROWS)
COLUMNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "int64 of all sizes": (RANDOM.integers(-(2**63), 2**63 - 1, ROWS), {}),
    "uint64 of all sizes": (RANDOM.integers(0, 2**64 - 1, ROWS, dtype=np.uint64), {}),
    "nanoseconds": (pa.array(WHOLE + 10**18, pa.timestamp("ns")), {}),
    "whole days": (pa.array(WHOLE // 10**5 * 86_400_000, pa.date64()), {}),
    "times": (pa.array(RANDOM.integers(0, 86_400, ROWS).astype(np.int32), pa.time32("s")), {}),
    "durations": (pa.array(WHOLE, pa.duration("us")), {}),
    "half": (RANDOM.normal(size=ROWS).astype(np.float16), {}),
    "single": (RANDOM.normal(size=ROWS).astype(np.float32), {}),
    "wide decimals": (pa.array([Decimal(10**20 + int(i)) for i in WHOLE], pa.decimal128(38, 2)), {}),
    "decimals of negative scale": (pa.array([Decimal(int(i) * 100) for i in WHOLE], pa.decimal128(20, -2)), {}),
    "moments and infinity": (pa.array(np.where(WHOLE % 50, WHOLE, 2**63 - 1), pa.timestamp("us")), {}),
    "moments and one infinity": (pa.array(np.append(WHOLE[1:], 1 - 2**63), pa.timestamp("us", "UTC")), {}),
    "days and infinity": (pa.array(np.where(WHOLE % 50, WHOLE // 10**6, 2**31 - 1), pa.int32()).cast(pa.date32()), {}),
    "nothing": (pa.nulls(ROWS), {}),
    "huge": (RANDOM.normal(size=ROWS) * 1e300, {}),
    "tiny": (RANDOM.normal(size=ROWS) * 1e-300, {"tails": "exact"}),
    "constant": (np.full(ROWS, 3.5), {"kind": "continuous"}),
    "negative log": (-RANDOM.lognormal(0, 2, ROWS), {"kind": "continuous", "log": True}),
    "log of counts": (RANDOM.poisson(3, ROWS), {"kind": "continuous", "log": True}),
    "whole floats": (np.round(RANDOM.normal(0, 50, ROWS)), {"kind": "continuous", "integer": True}),
    "range of moments": (pa.array(WHOLE, pa.timestamp("s")), {"kind": "general"}),
    "constant range": (np.full(ROWS, 7), {"kind": "general"}),
    "modal beyond 2^53": (np.where(WHOLE > 0, 2**60 + 1, WHOLE), {"modal": [2**60 + 1, None]}),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_figures_of_a_type(name: str) -> None:
    values, options = COLUMNS[name]
    table = pa.table({name: values})
    fitted = gpuvgm.TableTransformer({name: options} if options else None, effort="research").fit(table)
    for rows in (table, table.slice(3, 1)):
        report = fitted.evaluate(rows)
        figures = report.columns[name]
        assert isinstance(figures, NumberFigures)
        assert figures.rows == len(rows)
        assert np.isfinite([figures.sd, figures.maximum_error, figures.ks, figures.wasserstein]).all()
        assert figures.median_error < 1e-6
        json.dumps(report.to_dict(), allow_nan=False)
        assert max(map(len, str(report).splitlines())) <= 80
    if name in ("whole days", "times", "whole floats", "constant", "constant range", "range of moments"):
        assert figures.maximum_error == figures.ks == 0
    if name == "modal beyond 2^53":
        held = int(np.count_nonzero(WHOLE > 0))
        counts = fitted.evaluate(table).columns[name].modal
        assert [(count.rows_before, count.rows_after) for count in counts] == [(held, held), (0, 0)]
