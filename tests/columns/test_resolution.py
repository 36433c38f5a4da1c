"""`resolution` is true: no value that was not cut comes back further away than it says, and it is not far too large."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer

ROWS = 400
Make = Callable[[np.random.Generator], pa.Array]


def two_modes(random: np.random.Generator) -> np.ndarray:
    return np.where(random.random(ROWS) < 0.5, random.normal(-1, 0.02, ROWS), random.normal(1, 0.3, ROWS))


def decimals(unscaled: np.ndarray, digits: int, scale: int) -> pa.Array:
    return pa.array([Decimal(int(value)).scaleb(-scale) for value in unscaled], pa.decimal128(digits, scale))


def with_far_rows(random: np.random.Generator) -> pa.Array:
    x = two_modes(random)
    x[:3] = 1e6, -3e4, 12345.678
    return pa.array(x)


COLUMNS: dict[str, Make] = {
    "two modes": lambda random: pa.array(two_modes(random)),
    "far rows": with_far_rows,
    "heavy tails": lambda random: pa.array(random.lognormal(0, 5, ROWS)),
    "offset": lambda random: pa.array(1e12 + two_modes(random)),
    "tiny": lambda random: pa.array(1e-300 * (3 + two_modes(random))),
    "huge": lambda random: pa.array(1e200 * two_modes(random)),
    "widest": lambda random: pa.array(1.7e308 * random.uniform(-1, 1, ROWS)),
    "subnormal": lambda random: pa.array(random.integers(1, 1000, ROWS) * 5e-324),
    "one value": lambda random: pa.array(np.full(ROWS, 0.1)),
    "cents": lambda random: pa.array(np.round(random.lognormal(3, 1, ROWS), 2)),
    "float32": lambda random: pa.array(random.lognormal(0, 3, ROWS).astype(np.float32)),
    "float16": lambda random: pa.array(two_modes(random).astype(np.float16)),
    "whole floats": lambda random: pa.array(np.floor(random.lognormal(5, 1, ROWS))),
    "counts": lambda random: pa.array(1 + random.poisson(30, ROWS)),
    "wide integers": lambda random: pa.array(random.integers(1, 10**17, ROWS)),
    "integers near 2^62": lambda random: pa.array(2**62 + random.integers(0, 1000, ROWS)),
    "unsigned": lambda random: pa.array(random.integers(1, 2**64 - 1, ROWS, dtype=np.uint64)),
    "nanoseconds": lambda random: pa.array(random.integers(10**18, 17 * 10**17, ROWS), pa.timestamp("ns")),
    "seconds": lambda random: pa.array(random.integers(10**9, 17 * 10**8, ROWS), pa.timestamp("s", "UTC")),
    "dates": lambda random: pa.array(random.integers(0, 20_000, ROWS).astype(np.int32)).cast(pa.date32()),
    "days of 64 bits": lambda random: pa.array(random.integers(-(10**4), 10**8, ROWS) * 86_400_000, pa.date64()),
    "durations": lambda random: pa.array(random.integers(1, 10**12, ROWS), pa.duration("us")),
    "money": lambda random: decimals(random.integers(1, 10**6, ROWS), 12, 2),
    "long decimals": lambda random: decimals(random.integers(1, 10**18, ROWS), 38, 10),
}

WITHOUT_LOGARITHM = ("two modes", "far rows", "huge", "widest", "float16")
FORMS: dict[str, dict[str, Any]] = {
    "cut": {"kind": "continuous"},
    "exact tails": {"kind": "continuous", "tails": "exact"},
    "logarithms": {"kind": "continuous", "log": True, "tails": "exact"},
    "range": {"kind": "general"},
    "range of logarithms": {"kind": "general", "log": True},
    "whole": {"kind": "continuous", "integer": True, "tails": "exact"},
}

#: Columns with rows wherever the error is large, and how many times it the resolution may be.
SPREAD = dict.fromkeys(("two modes", "heavy tails", "cents", "wide integers", "durations"), {"cut": 4, "range": 4})


def forms(name: str, column: pa.Array) -> dict[str, dict[str, Any]]:
    """The forms that a column may have."""
    refused = set()
    if pa.types.is_temporal(column.type) or name in WITHOUT_LOGARITHM:
        refused |= {"logarithms", "range of logarithms"}
    if name == "widest":
        refused.add("range")  # further than a range can span
    if name != "whole floats":
        refused.add("whole")
    return {form: options for form, options in FORMS.items() if form not in refused}


def in_own_unit(column: pa.Array) -> list[Any]:
    """Values as exact numbers: floats, and integers in the column's own unit."""
    kind: Any = column.type
    if pa.types.is_decimal(kind):
        return [int(value.scaleb(kind.scale)) for value in column.to_pylist()]
    if pa.types.is_temporal(kind):
        return list(column.view(pa.int32() if kind.bit_width == 32 else pa.int64()).to_pylist())
    return list(column.to_pylist())


def errors(before: pa.Array, after: pa.Array) -> np.ndarray:
    """Distances of values, exact for integers."""
    pairs = zip(in_own_unit(before), in_own_unit(after), strict=True)
    return np.array([float(abs(one - other)) for one, other in pairs])


def largest_errors(transformer: TableTransformer, rows: pa.Table, **options: Any) -> dict[str, float]:
    """Largest distance of a value that was not cut from what came back, by column, in either layout."""
    encoded = transformer.transform(rows, **options)
    table = transformer.inverse_transform(encoded)
    matrix = transformer.inverse_transform(transformer.transform(rows, layout="onehot", **options))
    found = {}
    for name in transformer.columns_:
        before = rows[name].combine_chunks()
        cut = np.abs(encoded[f"{name}.scalar"].to_numpy()) > 0.98999 if name == "cut" else np.zeros(len(before), bool)
        error = np.maximum(
            errors(before, table[name].combine_chunks()), errors(before, pa.array(matrix[name]).cast(before.type))
        )
        found[name] = float(np.max(error[~cut], initial=0))
    return found


@pytest.mark.parametrize("name", COLUMNS)
def test_values_come_back_within_the_resolution(name: str) -> None:
    column = COLUMNS[name](np.random.default_rng(5))
    declared = forms(name, column)
    rows = pa.table(dict.fromkeys(declared, column))
    transformer = TableTransformer(declared, effort="research", max_iter=10, n_components=3).fit(rows)
    narrow, wide = (largest_errors(transformer, rows, dtype=dtype) for dtype in ("float32", "float64"))
    for form, fitted in transformer.columns_.items():
        resolution = fitted.resolution  # type: ignore[union-attr]
        assert max(narrow[form], wide[form]) <= resolution, form
        if name in SPREAD:
            assert resolution <= SPREAD[name].get(form, 20) * narrow[form], form


@pytest.mark.parametrize("type_", [pa.float32(), pa.int64()])
def test_a_column_without_an_ordinary_value_loses_nothing(type_: pa.DataType) -> None:
    rows = pa.table({"x": pa.array([None, None, None], type_), "y": [0.0, 1.0, 2.0]})
    transformer = TableTransformer({"x": "mixed", "y": "continuous"}, effort="research").fit(rows)
    assert transformer.columns_["x"].resolution == 0  # type: ignore[union-attr]
