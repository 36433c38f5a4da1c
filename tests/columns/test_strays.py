"""A few values off the step that all others lie on: modes of their own, or rounded to it where they are dust."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.codecs import MOST_STRAYS, FloatCodec, are_dust, codec_for, with_learned_step
from gpuvgm.errors import InferenceWarning
from gpuvgm.execution import LocalExecutor

RANDOM = np.random.default_rng(8)
ROWS = 300_000
SAMPLED, UNSAMPLED = 300, 201_003  # row 201,003 is not in the sample of so many rows, with the default seed
CENTS = np.round(RANDOM.lognormal(3, 1, ROWS), 2)
COLUMNS: dict[str, tuple[pa.Array[Any], list[Any], str]] = {
    "cents": (pa.array(CENTS), [1 / 3, 12.345], "0.01"),
    "cents in float32": (pa.array(CENTS.astype(np.float32)), [np.float32(1 / 3).item(), 12.34375], "0.01"),
    "whole numbers": (pa.array(np.round(CENTS * 9)), [0.25, 17.125], "1"),
    "fives": (pa.array(5 * RANDOM.integers(1, 2_000, ROWS)), [3, 8], "5"),
    "minutes": (
        pa.array((np.datetime64("2020-01-01T00:00") + RANDOM.integers(0, 10**6, ROWS)).astype("M8[us]")),
        [np.datetime64("2020-03-01T10:11:12", "us").item(), np.datetime64("2021-03-01T10:11:13.5", "us").item()],
        "PT1M",
    ),
    "twenties": (
        pa.array([Decimal(20 * int(i)).scaleb(-2) for i in RANDOM.integers(1, 999, ROWS)]),
        [Decimal("3.01"), Decimal("4.02")],
        "0.2",
    ),
    "decimal commas": (pa.array([f"{v:.2f}".replace(".", ",") for v in np.round(CENTS * 20) / 20]), ["3,01"], "0.05"),
}


def table(name: str, first_row: int) -> pa.Table:
    """A column with its strays from a row on."""
    values, strays, _ = COLUMNS[name]
    strays = pa.array(strays, values.type)
    return pa.table({"x": pa.concat_arrays([values[:first_row], strays, values[first_row + len(strays) :]])})


@pytest.mark.parametrize("first_row", [SAMPLED, UNSAMPLED])
@pytest.mark.parametrize("name", COLUMNS)
def test_strays_have_modes_of_their_own_wherever_they_stand(name: str, first_row: int) -> None:
    rows, (_, strays, step) = table(name, first_row), COLUMNS[name]
    transformer = TableTransformer(block_rows=1 << 16).fit(rows)
    column, spec = transformer.columns_["x"], transformer.schema_["x"]
    assert column.codec.step_text == step
    assert (spec.kind, len(column.modal_values), column.modal_counts) == ("mixed", len(strays), (1,) * len(strays))
    assert f"multiple{'s' * (len(strays) > 1)} of {step}, as all others are" in spec.reason
    assert ("as those of the sample are" in spec.reason) == (first_row == UNSAMPLED)
    encoded, unseen = transformer.transform(rows, seed=1, return_unseen=True)
    assert unseen == {}
    assert transformer.inverse_transform(encoded).equals(rows)


def test_dust_is_on_the_step() -> None:
    """What lies further off is a value of its own; tails="exact" keeps dust too."""
    values = np.round(CENTS[:5_000], 1)
    values[:30], values[30:60] = np.nextafter(np.nextafter(5.7, 0), 0), 5.7 - 1e-12
    fitted = TableTransformer().fit({"x": values})
    column = fitted.columns_["x"]
    assert (column.codec.step_text, column.modal_values) == ("0.1", (5.7 - 1e-12,))
    back = fitted.inverse_transform(fitted.transform({"x": values}))["x"]
    np.testing.assert_array_equal(back[:30], 5.7)
    np.testing.assert_array_equal(back[30:], values[30:])
    exact = TableTransformer(tails="exact").fit({"x": values})
    np.testing.assert_array_equal(exact.inverse_transform(exact.transform({"x": values}))["x"], values)


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (pa.float64(), 0.1 + 0.2, True),
        (pa.float64(), 0.3 + 1e-12, False),
        (pa.float32(), float(np.float32(0.3) + 2 * np.spacing(np.float32(0.3))), True),
        (pa.float32(), float(np.float32(0.3) + 9 * np.spacing(np.float32(0.3))), False),
        (pa.float64(), 1e13 + 2**-9, False),  # where the step is but 51 distances of neighbouring floats
    ],
)
def test_what_is_dust(type_: Any, value: float, expected: bool) -> None:
    codec = FloatCodec(str(type_), step="0.1")
    assert are_dust(codec, [value]).tolist() == [expected]


@pytest.mark.parametrize("workers", [1, 3])
def test_any_blocks_and_any_order_give_the_same_kind(workers: int) -> None:
    found = []
    for first_row, block_rows in [(SAMPLED, 1 << 18), (UNSAMPLED, 1 << 14), (UNSAMPLED, 1 << 18)]:
        executor = LocalExecutor(workers)
        fitted = TableTransformer(block_rows=block_rows, executor=executor).fit(table("cents", first_row))
        column = fitted.columns_["x"]
        found.append((fitted.schema_["x"].kind, column.modal_values, column.modal_counts, column.codec.step_text))
    assert found[0] == found[1] == found[2]


def test_more_strays_than_have_modes_mean_another_step_or_none(caplog: pytest.LogCaptureFixture) -> None:
    for strays, step in [(np.arange(9) + 0.125, "0.005"), (RANDOM.normal(size=9), "")]:
        values = CENTS.copy()
        values[UNSAMPLED : UNSAMPLED + 9] = strays
        with caplog.at_level("INFO", "gpuvgm"):
            fitted = TableTransformer().fit({"x": values})
        column = fitted.columns_["x"]
        assert (fitted.schema_["x"].kind, column.codec.step_text) == ("continuous", step)
        assert 'column "x": 9 values are no multiples of 0.01, as those of the sample are; it is plan' in caplog.text


def test_what_another_plan_does_not_mend_has_no_step() -> None:
    """The least nine lie on a step of their own, others not."""
    values = CENTS.copy()
    values[UNSAMPLED : UNSAMPLED + 9] = np.arange(9) + 0.125
    values[UNSAMPLED + 9 : UNSAMPLED + 20] = 1_000 + RANDOM.uniform(size=11)
    told = "values are no multiples of 0.005, as those of the sample are; it has no step"
    with pytest.warns(InferenceWarning, match=told):
        fitted = TableTransformer().fit({"x": values})
    assert fitted.columns_["x"].codec.step_text == ""


def test_rows_that_come_once_have_no_second_plan() -> None:
    values = np.round(RANDOM.lognormal(3, 1, 2 * ROWS), 2)
    values[-5] = 1 / 3
    rows = pa.table({"x": values})
    told = 'column "x": 1 value is no multiple of 0.01, as those of the sample are; it has no step'
    with pytest.warns(InferenceWarning, match=told):
        fitted = TableTransformer().fit(iter(rows.to_batches(50_000)))
    assert (fitted.schema_["x"].kind, fitted.columns_["x"].codec.step_text) == ("continuous", "")


def learned(values: Any) -> tuple[str, list[Any]]:
    """Step and strays of a sample."""
    sample = pa.chunked_array([pa.array(values)])
    codec = codec_for("x", sample)
    codec, strays = with_learned_step(codec, sample, np.isfinite(codec.encode(sample.chunk(0))), MOST_STRAYS)
    return codec.step_text, strays


def of_digits(digits: int, low: float, high: float) -> Any:
    """Numbers of so many significant digits."""
    return np.array([float(f"{number:.{digits - 1}e}") for number in RANDOM.uniform(low, high, 500)])


@pytest.mark.parametrize("type_", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("small", "others", "step", "strays"),
    [
        ([0.007882, 0.009539], of_digits(4, 0.01, 0.09), "0.000001", 0),
        ([0.007882], of_digits(4, 0.01, 0.09), "0.00001", 1),  # alone, and all others in one power of ten
        ([0.009737], of_digits(4, 0.1, 3), "0.000001", 0),
        ([3.21, 4.2], np.repeat([0.0, 5.0, 6.0, 7.0], 250), "1", 2),  # others are no larger
        ([0.5], np.arange(1.0, 90.0), "1", 1),
        ([0.17, 0.33, 0.8], np.arange(1.0, 90.0), "1", 3),
        ([12.345, 98.765], RANDOM.integers(1_000, 99_999, 500) / 100, "0.01", 2),
        ([12.345, 98.765], RANDOM.integers(100_000, 999_999, 500) / 100, "0.01", 2),  # others have a digit more
    ],
)
def test_small_numbers_of_as_many_digits_are_no_strays(small, others, step, strays, type_) -> None:
    found = learned(np.concatenate([np.tile(others, 4), small]).astype(type_))
    assert (found[0], len(found[1])) == (step, strays)


@pytest.mark.parametrize(("type_", "step", "strays"), [(np.float64, "0.0000001", 0), (np.float32, "0.01", 1)])
def test_they_are_where_the_type_has_no_step_for_them(type_, step, strays) -> None:
    found = learned(np.concatenate([np.tile(of_digits(3, 1, 40), 4), [0.0000973]]).astype(type_))
    assert (found[0], len(found[1])) == (step, strays)


@pytest.mark.parametrize("strays", range(MOST_STRAYS + 2))
def test_so_many_strays_at_most(strays: int) -> None:
    fives = 5 * RANDOM.integers(0, 400, 4_000)
    fives[:strays] = 5_001 + 5 * np.arange(strays)
    few = strays <= MOST_STRAYS
    assert learned(fives) == (("5", fives[:strays].tolist()) if few else ("1", []))
    assert learned(fives / 100) == (("0.05", (fives[:strays] / 100).tolist()) if few else ("0.01", []))


def test_strays_are_rare() -> None:
    """Eight values that many rows hold are no accident."""
    fives = 5 * RANDOM.integers(0, 400, 4_000)
    fives[:41] = 7
    assert learned(fives) == ("1", [])
    fives[0] = 10
    assert learned(fives) == ("5", [7])


def test_a_step_with_strays_needs_more_values() -> None:
    """Of many values without a step some lie on one by accident."""
    for seed in range(20):
        whole = np.random.default_rng(seed).integers(0, 10**6, 16)
        assert learned(np.repeat(whole, 99)) == ("1", [])
    few = np.repeat(5 * np.arange(1, 20), 99)
    assert learned(few)[0] == "5"
    assert learned(np.append(few, 7)) == ("1", [])
