"""Codecs on columns of a device: the numbers and values of the host, to the bit, at the ends of every type too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.arrays import DeviceColumn, beside, column_of, decimals, narrowed, on_host, to_numpy, widened
from gpuvgm.codecs import LogCodec, codec_for, ends_of
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.frames import decimal_type
from tests.harness.device.module import is_strict, up

pytestmark = pytest.mark.usefixtures("strict_cupy")
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
MOMENTS = [pa.timestamp("s"), pa.timestamp("ns"), pa.duration("ms"), pa.date32(), pa.time64("us")]


def resident(array: pa.Array) -> DeviceColumn:
    """A column of the host on the device; what lies under a null is anything."""
    stored = array
    if pa.types.is_temporal(array.type):
        stored = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    missing = stored.is_null().to_numpy(zero_copy_only=False) if stored.null_count else None
    values = np.frombuffer(stored.buffers()[1], stored.type.to_pandas_dtype())[stored.offset :][: len(stored)]
    return DeviceColumn(up(values), array.type, None if missing is None else up(missing))


def integers(name: str) -> pa.Array:
    limits = np.iinfo(name)
    inside = np.random.default_rng(0).integers(limits.min, limits.max, 50, dtype=name, endpoint=True)
    values = np.concatenate([inside, np.array([limits.min, limits.max, 0], name)])
    return pa.array(values, mask=np.arange(53) % 5 == 1)


def columns() -> list[pa.Array]:
    random = np.random.default_rng(1)
    real = random.normal(0, 1e3, 60)
    real[::7] = np.nan
    found = [integers(name) for name in INTEGERS]
    found += [pa.array(real.astype(kind), mask=np.arange(60) % 6 == 1) for kind in ("float16", "float32", "float64")]
    moments = random.integers(0, 10**6, 60)
    for type_ in MOMENTS:
        stored = pa.array(moments, pa.int32() if type_.bit_width == 32 else pa.int64())
        found.append(pa.array(stored.to_numpy(), stored.type, mask=np.arange(60) % 6 == 1).view(type_))
    return [*found, found[3].drop_null()]


@pytest.mark.parametrize("array", columns(), ids=lambda array: str(array.type))
def test_numbers_and_values_are_those_of_the_host(array: pa.Array) -> None:
    codec, given = codec_for("x", pa.chunked_array([array])), resident(array)
    bases = [codec] if not hasattr(codec, "base") or codec.name == "float" else []
    for base in [] if bases else [codec.base, *codec.limits, 0]:
        bases.append(replace(codec, base=int(base)))
    for one in bases:
        expected, found = one.encode(array), one.encode(given)
        assert is_strict(found)
        np.testing.assert_array_equal(found.get().astype(np.float64), expected)
        steps = np.concatenate([expected, [-1e300, 1e300, 0.5, 1.5, np.nan]]) if one.name != "float" else expected
        there, here = one.decode(steps), one.decode(up(steps))
        assert isinstance(here, DeviceColumn) == (str(array.type) != "halffloat")
        assert on_host(here).equals(there)
        for value in (one.value(float(expected[~np.isnan(expected)][0])), *one.limits):
            np.testing.assert_array_equal(one.equals(given, value).get(), one.equals(array, value))
        finite = expected[np.isfinite(expected)]
        ends = (float(finite.min()), float(finite.max()))
        assert ends_of(one, given, found, *ends) == ends_of(one, array, expected, *ends)


def test_values_of_another_type_than_the_fitted_one() -> None:
    whole = pa.array([1, None, 3, 200], pa.int64())
    double = codec_for("x", pa.chunked_array([[0.5]], pa.float64()))
    np.testing.assert_array_equal(double.encode(resident(whole)).get(), double.encode(whole))
    byte = codec_for("x", pa.chunked_array([[3]], pa.int8()))
    np.testing.assert_array_equal(byte.encode(resident(whole)).get(), byte.encode(whole))
    truth = pa.array([True, None, False])
    given = DeviceColumn(up([True, True, False]), pa.bool_(), up([False, True, False]))
    np.testing.assert_array_equal(byte.encode(given).get(), byte.encode(truth))
    seconds = codec_for("x", pa.chunked_array([[3]], pa.timestamp("s")))
    for exact in (pa.array([5000, None], pa.timestamp("ms")), pa.array([5], pa.date32())):
        np.testing.assert_array_equal(seconds.encode(resident(exact)).get(), seconds.encode(exact))
    with pytest.raises(InputError, match=r"1 value of timestamp\[ms\] that timestamp\[s\] cannot hold exactly"):
        seconds.encode(resident(pa.array([5001, None], pa.timestamp("ms"))))
    with pytest.raises(InputError, match="holds timestamp"):
        double.encode(resident(pa.array([5], pa.timestamp("s"))))


def test_infinite_values_as_missing_ones() -> None:
    array = pa.array([1.0, np.inf, -np.inf, np.nan], pa.float32())
    codec = codec_for("x", pa.chunked_array([array]), infinite_is_missing=True)
    np.testing.assert_array_equal(codec.encode(resident(array)).get(), [1.0, np.nan, np.nan, np.nan])
    assert not codec.equals(resident(array), np.inf).any()


SHORT_DECIMALS = [decimal_type(32, 7, 2), decimal_type(64, 18, 3), pa.decimal128(10, 0), pa.decimal128(12, -2)]


def decimals_of(type_: Any, unscaled: np.ndarray) -> tuple[pa.Array, DeviceColumn]:
    """Decimals on the host and on the device; what lies under a null there is anything."""
    missing = np.arange(len(unscaled)) % 5 == 1
    anything = np.where(missing, -7, unscaled)
    held = anything.astype(np.int32) if type_.bit_width == 32 else anything
    return decimals(unscaled, type_, missing), DeviceColumn(up(held), type_, up(missing))


@pytest.mark.parametrize("type_", SHORT_DECIMALS, ids=str)
@pytest.mark.parametrize("step", [1, 25])
def test_short_decimals_are_worked_on_where_they_lie(type_: Any, step: int) -> None:
    end = min(10**type_.precision, 2**62) // 25 - 1
    wholes = np.random.default_rng(2).integers(-end, end, 60) * step
    wholes[:3] = end * step, -end * step, 0
    array, given = decimals_of(type_, wholes)
    assert given.to_arrow().equals(array)
    codec = replace(codec_for("x", pa.chunked_array([array])), step=step)
    for one in (codec, replace(codec, integer=True)):
        assert one.rows_of(given) is given
        expected, found = one.encode(array), one.encode(given)
        assert is_strict(found)
        np.testing.assert_array_equal(found.get(), expected)
        there, here = one.decode(expected + 0.4), one.decode(found + 0.4)
        assert isinstance(here, DeviceColumn)
        assert here.to_arrow().equals(there) and there.null_count == array.null_count
        for value in (int(wholes[0]), int(wholes[5]), 10**19):
            np.testing.assert_array_equal(one.equals(given, value).get(), one.equals(array, value))
        ends = float(np.nanmin(expected)), float(np.nanmax(expected))
        assert ends_of(one, given, found, *ends) == ends_of(one, array, expected, *ends)
    if step > 1:
        stray, there = decimals_of(type_, wholes + (np.arange(60) % 4 == 2))
        numbers = codec.encode(stray)
        off: Any = codec.off_step(there, up(numbers))
        np.testing.assert_array_equal(off.get(), codec.off_step(stray, numbers))
        assert 0 < off.sum() < 60


def test_decimals_that_another_codec_or_type_was_fitted_to_come_to_the_host() -> None:
    array, given = decimals_of(decimal_type(64, 9, 2), np.arange(-300, 300) * 100)
    scaled = decimal_type(64, 9, 3)
    for type_ in (pa.int64(), pa.float64(), scaled, pa.decimal128(30, 2)):
        codec = codec_for("x", pa.chunked_array([array.cast(type_)]))
        rows = codec.rows_of(given)
        assert isinstance(rows, pa.Array)
        np.testing.assert_array_equal(codec.encode(rows), codec.encode(array))
        np.testing.assert_array_equal(codec.equals(rows, 7), codec.equals(array, 7))


@needs_compiler
@pytest.mark.parametrize("type_", [pa.float64(), pa.int64()])
def test_wide_decimals_come_to_the_host_and_logarithms_of_an_engine_stay(type_: pa.DataType) -> None:
    array = pa.array([1, 2, None, 400], type_)
    given = resident(array)
    decimal = codec_for("x", pa.chunked_array([array.cast(pa.decimal128(21, 2))]))
    rows = decimal.rows_of(given)
    assert isinstance(rows, pa.Array)
    np.testing.assert_array_equal(decimal.encode(rows), decimal.encode(array))
    np.testing.assert_array_equal(decimal.equals(rows, 2), decimal.equals(array, 2))
    log = LogCodec.around(codec_for("x", pa.chunked_array([array])), None, 1)
    assert log.rows_of(given) is given
    numbers, which = log.ordinary_numbers(given, (2,), get_engine("cuda"))
    expected, expected_which = log.ordinary_numbers(array, (2,))
    assert is_strict(numbers) and is_strict(which)
    np.testing.assert_array_equal(to_numpy(numbers), expected)
    np.testing.assert_array_equal(to_numpy(which), expected_which)
    np.testing.assert_array_equal(log.equals(given, 2).get(), log.equals(array, 2))
    for codec, values in ((decimal, decimal.encode(array)), (log, log.encode(array))):
        assert codec.decode(up(values)).equals(codec.decode(values))


def test_one_value_in_some_rows() -> None:
    array = pa.array([2**60 + 1, None, 5], pa.int64())
    codec = codec_for("x", pa.chunked_array([array]))
    rows = np.array([False, True, True])
    expected = codec.with_value(array, rows, 2**60 + 7)
    assert on_host(codec.with_value(resident(array), up(rows), 2**60 + 7)).equals(expected)


def test_arrays_beside_others() -> None:
    here, there = np.arange(3), up(np.arange(3))
    assert beside(here, here) is here
    assert beside(there, there) is there
    assert is_strict(beside(here, there))
    assert type(beside(there, here)) is np.ndarray
    assert isinstance(column_of(here, pa.int64(), None), pa.Array)
    assert isinstance(column_of(there, pa.int64(), None), DeviceColumn)


@pytest.mark.parametrize("offset", [0.0, 3.7, 1e3, 12345.6])
def test_bounds_are_not_rounded_to_the_precision_of_the_rows(offset: float) -> None:
    x = (np.random.default_rng(int(offset)).normal(offset, 1, 400)).astype(np.float32)
    (column,) = TableTransformer(effort="research", max_iter=3).fit({"x": x}).columns_.values()
    for end in (column.minimum, column.maximum):
        near = np.float32(end) + np.arange(-400, 400) * np.spacing(np.float32(end))
        numbers = near.astype(np.float32)
        codes = np.full(len(numbers), len(column.modal_values), column.code_dtype)
        expected: Any = column.within_bounds(numbers.astype(np.float64), codes)
        assert 0 < np.count_nonzero(expected) < len(numbers)
        np.testing.assert_array_equal(column.within_bounds(up(numbers), up(codes)).get(), expected)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("place", [lambda array: array, resident])
def test_differences_that_no_integer_holds(name: str, place: Any) -> None:
    array = integers(name).drop_null()
    codec = codec_for("x", pa.chunked_array([array]))
    for base in codec.limits:
        numbers = to_numpy(replace(codec, base=int(base)).encode(place(array)))
        np.testing.assert_allclose(numbers, [float(value - base) for value in array.to_pylist()], rtol=4e-16)


def test_subnormal_numbers_are_no_zeros() -> None:
    values = np.array([0.0, -0.0, 1e-45, -1e-40, np.nan, 2.5], np.float32)
    codec = codec_for("x", pa.chunked_array([pa.array(values)]))
    for value in (0.0, 1e-45, 2.5):
        value = float(np.float32(value))
        found = codec.equals(resident(pa.array(values)), value)
        assert list(to_numpy(found)) == list(codec.equals(pa.array(values), value)), value


def test_floats_widen_and_narrow_exactly() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    bits[:2000] &= 0x807FFFFF  # subnormal ones
    bits[:8] = 0, 0x80000000, 1, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F800000, 0xFF7FFFFF
    floats = bits.view(np.float32)
    floats = floats[~np.isnan(floats)]
    wide = widened(up(floats))
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide.get().view(np.uint64), floats.astype(np.float64).view(np.uint64))
    numbers = np.concatenate((wide.get(), wide.get() * 0.75, np.random.default_rng(1).normal(0, 1e-40, 5000), [np.nan]))
    numbers = np.concatenate((numbers, (np.arange(100) + 0.5) * 2.0**-149))  # ties
    with np.errstate(under="ignore"):
        expected = numbers.astype(np.float32)
    np.testing.assert_array_equal(narrowed(up(numbers)).get().view(np.uint32), expected.view(np.uint32))
