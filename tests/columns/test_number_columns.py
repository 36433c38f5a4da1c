"""Modal values, logarithms, ranges, whole numbers and datetimes: what columns of numbers do beside their mixture."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError

RANDOM = np.random.default_rng(0)
DAY = dt.date(1900, 1, 1)
MODAL: dict[str, tuple[pa.Array, list[Any], list[Any]]] = {
    # rows, what the user lists, and the same as values
    "float": (pa.array([*RANDOM.normal(5, 1, 300), *[0.0] * 50]), [0, 99.5], [0.0, 99.5]),
    "beyond 2^53": (
        pa.array([*(2**62 + RANDOM.integers(0, 1000, 300)).tolist(), *[2**53 + 1] * 50]),
        [2**53 + 1],
        [2**53 + 1],
    ),
    "unsigned": (pa.array([*range(300), *[2**64 - 1] * 9], pa.uint64()), [2**64 - 1], [2**64 - 1]),
    "date": (pa.array([dt.date(2000 + i % 20, 1 + i % 12, 3) for i in range(300)] + [DAY] * 9), ["1900-01-01"], [DAY]),
    "timestamp": (
        pa.array([10**18 + i for i in range(300)] + [0] * 9, pa.timestamp("ns", "UTC")),
        ["1970-01-01T00:00:00Z"],
        [0],
    ),
    "decimal": (
        pa.array([Decimal(i) / 4 for i in range(300)] + [Decimal("-1.00")] * 9, pa.decimal128(10, 2)),
        ["-1.00"],
        [Decimal("-1.00")],
    ),
    "missing listed first": (pa.array([*RANDOM.normal(size=300), *[0.0] * 5, None]), [None, 0], [None, 0.0]),
}


@pytest.mark.parametrize("name", MODAL)
@pytest.mark.parametrize("layout", ["compact", "onehot"])
def test_modal_values_of_any_type_come_back_exactly(name: str, layout: str) -> None:
    rows, listed, values = MODAL[name]
    table = pa.table({"x": rows})
    transformer = TableTransformer({"x": {"kind": "mixed", "modal": listed}}, effort="research").fit(table)
    column = transformer.columns_["x"]
    assert len(column.modal_values) == len(listed)
    held = np.array([value in values for value in rows.cast(pa.int64()).to_pylist()]) if name == "timestamp" else None
    held = np.array([value in values for value in rows.to_pylist()]) if held is None else held
    assert sum(column.modal_counts) == held.sum() > 0
    encoded = transformer.transform(table, layout=layout)
    back, valid = transformer.inverse_transform(encoded, return_valid=True)
    assert np.all(valid)
    if layout == "compact":
        assert np.all(encoded["x.scalar"].to_numpy()[held] == 0)
        assert back["x"].filter(pa.array(held)).equals(pa.chunked_array([rows.filter(pa.array(held))]))


def test_a_modal_value_that_is_absent_has_a_code_all_the_same() -> None:
    table = {"x": RANDOM.normal(size=500)}
    transformer = TableTransformer({"x": {"kind": "mixed", "modal": [7, None]}}, effort="research").fit(table)
    column = transformer.columns_["x"]
    assert column.modal_values == (7.0, None)
    assert column.order[-2:] == (0, 1), "nothing is rarer"
    encoded = transformer.transform({"x": np.array([7.0, np.nan])})
    assert [column.order[code] for code in encoded["x.mode"]] == [0, 1]
    np.testing.assert_array_equal(transformer.inverse_transform(encoded)["x"], [7.0, np.nan])


def test_batches_of_modal_or_of_ordinary_rows_only() -> None:
    x = np.where(RANDOM.random(2000) < 0.5, 0.0, RANDOM.normal(10, 1, 2000))
    transformer = TableTransformer({"x": {"kind": "mixed", "modal": [0]}}, effort="research").fit({"x": x})
    for rows in (np.zeros(5), x[x != 0][:5]):
        encoded = transformer.transform({"x": rows})
        np.testing.assert_allclose(transformer.inverse_transform(encoded)["x"], rows, atol=1e-5)


def test_rows_that_come_later_keep_the_counts_of_modal_values() -> None:
    x = np.r_[np.zeros(5), np.full(4, 7.0), np.full(3, 9.0), np.random.default_rng(0).normal(3, 0.5, 50)]
    transformer = TableTransformer({"x": {"kind": "mixed", "modal": [0.0, 7.0, 9.0]}}, effort="research").fit({"x": x})
    assert transformer.columns_["x"].modal_counts == (5, 4, 3)
    transformer.partial_fit({"x": np.array([0.0, 2.5])})
    assert transformer.columns_["x"].modal_counts == (6, 4, 3)


def test_only_modal_values() -> None:
    transformer = TableTransformer({"x": {"kind": "mixed", "modal": [1, 2]}}).fit({"x": np.array([1.0, 2.0, 2.0])})
    encoded = transformer.transform({"x": np.array([1.0, 2.0])})
    np.testing.assert_array_equal(transformer.inverse_transform(encoded)["x"], [1.0, 2.0])
    with pytest.raises(InputError, match='column "x": 1 value .such as 3. is present in a column that had none'):
        transformer.transform({"x": np.array([1.0, 3.0])})


def test_the_old_sentinel_is_an_ordinary_number_unless_listed() -> None:
    x = np.r_[RANDOM.normal(size=500), [-9999999.0] * 20]
    plain = TableTransformer({"x": "continuous"}, effort="research").fit({"x": x}).columns_["x"]
    assert plain.minimum == -9999999
    listed = TableTransformer({"x": {"modal": [-9999999]}}, effort="research").fit({"x": x}).columns_["x"]
    assert listed.minimum == x[:500].min()
    assert listed.kind == "mixed"


def test_modal_values_that_the_type_cannot_hold_are_refused() -> None:
    spec = {"x": {"kind": "mixed", "modal": [0.5]}}
    with pytest.raises(InputError, match='column "x": the modal value 0.5 is no value of a column of type int64'):
        TableTransformer(spec).fit({"x": np.arange(50)})
    with pytest.raises(InputError, match='column "x": .*twice'):
        TableTransformer({"x": {"kind": "mixed", "modal": ["1.50", 1.5]}}).fit(
            MODAL["decimal"][0:1] and {"x": [1.5] * 9}
        )


@pytest.mark.parametrize("lowest", [2.5, 0.0, -40.0])
def test_logarithms_by_the_smallest_value(lowest: float) -> None:
    x = np.r_[lowest, lowest + RANDOM.lognormal(3, 2, 3000)]
    spec = {"x": {"kind": "continuous", "log": True}}
    transformer = TableTransformer(spec, effort="research", tails="exact").fit({"x": x})
    column = transformer.columns_["x"]
    assert column.minimum == pytest.approx(lowest)
    numbers = np.log(x) if lowest > 0 else np.log1p(x - lowest)
    assert np.sum(column.weights * column.means) == pytest.approx(np.mean(numbers), rel=1e-2)
    encoded = transformer.transform({"x": x}, dtype="float64")
    np.testing.assert_allclose(transformer.inverse_transform(encoded)["x"], x, rtol=1e-11, atol=1e-9)
    with pytest.raises(InputError, match="too small for the logarithm"):
        transformer.transform({"x": np.array([lowest - 3 if lowest <= 0 else 0.0])})


def test_logarithms_leave_modal_and_missing_values_out() -> None:
    x = np.r_[[-1.0] * 50, [np.nan] * 9, RANDOM.lognormal(2, 1, 500)]
    spec = {"x": {"kind": "mixed", "modal": [-1], "log": True}}
    transformer = TableTransformer(spec, effort="research").fit({"x": x})
    assert transformer.columns_["x"].codec.low is None, "the ordinary values are above 0"
    back = transformer.inverse_transform(transformer.transform({"x": x}, dtype="float64"))["x"]
    np.testing.assert_array_equal(back[:59], x[:59])


def test_logarithms_need_two_readings() -> None:
    rows = pa.table({"x": RANDOM.lognormal(size=100)})
    with pytest.raises(InputError, match="needs the smallest value before the fit"):
        TableTransformer({"x": {"kind": "continuous", "log": True}}).fit(iter([rows]))


def test_a_minimum_beyond_the_sample_decides_the_logarithm() -> None:
    x = RANDOM.lognormal(0, 1, 300_000) + 1
    x[200_001] = -5.0
    transformer = TableTransformer({"x": {"kind": "continuous", "log": True}}, effort="research").fit({"x": x})
    assert transformer.columns_["x"].codec.low == -5.0


def test_general_columns_span_their_range() -> None:
    x = RANDOM.uniform(-3, 9, 1000)
    transformer = TableTransformer({"x": "general"}).fit({"x": x})
    assert transformer.layout_ == {"x": [(0, 1, "tanh")]}
    encoded = transformer.transform({"x": x})
    assert list(encoded) == ["x.scalar"]
    scalar = encoded["x.scalar"]
    assert scalar.dtype == np.float64
    np.testing.assert_allclose(scalar, 2 * (x - x.min()) / (x.max() - x.min()) - 1, atol=1e-15)
    np.testing.assert_allclose(transformer.inverse_transform(encoded)["x"], x, rtol=1e-14, atol=1e-14)
    outside = transformer.transform({"x": np.array([-4.0, 11.0])})["x.scalar"]
    assert outside[0] < -1 < 1 < outside[1]
    np.testing.assert_allclose(transformer.inverse_transform({"x.scalar": outside})["x"], [x.min(), x.max()])
    clipped = TableTransformer({"x": {"kind": "general", "clip": True}}).fit({"x": x})
    np.testing.assert_array_equal(clipped.transform({"x": np.array([-4.0, 11.0])})["x.scalar"], [-1, 1])


def test_general_whole_numbers_have_a_margin_once() -> None:
    x = np.arange(10, 20)
    transformer = TableTransformer({"x": "general"}).fit({"x": x})
    expected = 2 * (x - 9.999) / (19.001 - 9.999) - 1
    for _ in range(2):
        np.testing.assert_allclose(transformer.transform({"x": x})["x.scalar"], expected, atol=1e-15)
    np.testing.assert_array_equal(transformer.inverse_transform(transformer.transform({"x": x}))["x"], x)


@pytest.mark.parametrize("value", [5.0, 7, 10**18 + 1])
def test_a_constant_general_column(value: Any) -> None:
    rows = {"x": np.array([value] * 5)}
    transformer = TableTransformer({"x": "general"}).fit(rows)
    encoded = transformer.transform(rows)
    np.testing.assert_allclose(encoded["x.scalar"], 0, atol=1e-12)
    np.testing.assert_array_equal(transformer.inverse_transform(encoded)["x"], rows["x"])


def test_a_general_column_with_missing_values_becomes_mixed() -> None:
    for where in (5, 250_000):  # within the sample, and probably not
        x = RANDOM.normal(size=300_000)
        x[where] = np.nan
        transformer = TableTransformer({"x": "general"}, effort="research").fit({"x": x})
        assert transformer.columns_["x"].kind == "mixed"
        assert transformer.schema_["x"].reason == "declared; 1 row is missing"
        assert transformer.columns_["x"].fit.fit_error < 1e-8


@pytest.mark.parametrize(("option", "dtype"), [("log", np.int64), ("integer", np.float64)])
def test_whole_numbers_come_back_whole(option: str, dtype: Any) -> None:
    x = RANDOM.poisson(40, 2000).astype(dtype)
    spec = {"x": {"kind": "continuous", option: True}}
    transformer = TableTransformer(spec, effort="research", tails="exact").fit({"x": x})
    back = transformer.inverse_transform(transformer.transform({"x": x}))["x"]
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_datetimes_keep_unit_and_zone_within_their_resolution(unit: str, zone: str | None) -> None:
    ticks = 10 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    rows = pa.array(RANDOM.integers(10**9, 17 * 10**8, 2000) * ticks, pa.timestamp(unit, zone))
    transformer = TableTransformer(effort="research", tails="exact").fit(pa.table({"x": rows}))
    back = transformer.inverse_transform(transformer.transform(pa.table({"x": rows})))["x"]
    assert back.type == rows.type
    error = np.abs(back.to_numpy().astype(np.int64) - rows.to_numpy(zero_copy_only=False).astype(np.int64))
    assert np.max(error) <= transformer.columns_["x"].resolution


def test_a_column_of_another_sort_is_refused_by_name() -> None:
    transformer = TableTransformer(effort="research").fit(
        pa.table({"x": pa.array(np.arange(100), pa.timestamp("s")), "y": np.arange(100.0)})
    )
    zoned = pa.table({"x": pa.array(np.arange(5), pa.timestamp("s", "UTC")), "y": np.arange(5.0)})
    with pytest.raises(InputError, match='column "x": holds .*zone'):
        transformer.transform(zoned)
    with pytest.raises(InputError, match='column "y" holds string values, but double was fitted'):
        transformer.transform(pa.table({"x": pa.array(np.arange(2), pa.timestamp("s")), "y": ["a", "b"]}))
