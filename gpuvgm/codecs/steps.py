"""Steps of columns: whole numbers, cents, minutes, multiples of five; learned from a sample, checked on every row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import SHORT, distinct_values
from gpuvgm.codecs.arrays import WIDEST, filled, whole_units
from gpuvgm.codecs.base import Codec, Number
from gpuvgm.codecs.curves import CurvedCodec
from gpuvgm.codecs.datetimes import DatetimeCodec, stored
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.codecs.floats import FloatCodec
from gpuvgm.codecs.moments import ATOMS
from gpuvgm.engines import Step
from gpuvgm.summary import STRAYS, Floats

CHANCE = 40  # bits: values without a step lie all on multiples of one with a probability of 2^-40
USUAL = 19  # the same of few values and a step that people use: a decimal place, a second, an hour, a day
FEW = 3  # different values
SPANS = [ATOMS[unit] for unit in ("D", "h", "m", "s", "ms")]  # nanoseconds
MOST_STRAYS = STRAYS - 1  # different values that are no multiples of the step of all others
STRAY_ROWS = 0.01  # of the rows at most
FIRST = 64  # values that are tried before all of them
MOST_PLACES = 22  # 10^22 is the largest power of ten that is a float
LONGEST_STEP = 2**63  # of 64 bits
MOSTLY = 0.5  # of numbers of so many significant digits, those that do not end in zeros
ROOM = 4  # a step is at least so many times as long as the distance of neighbouring floats of 64 bits
DUST, DUSTY_STEP = 8, 1_600  # distances of neighbouring floats: rounding adds so many at most, and a step has so many


def with_learned_step(
    codec: Codec, sample: pa.ChunkedArray[Any], ordinary: NDArray[np.bool_], most_strays: int = 0
) -> tuple[Codec, list[Number]]:
    """The codec with the longest step that a sample of its column lies on, and a base that is a multiple of it.

    Parameters
    ----------
    codec : Codec
        Without a logarithm. A float codec that gives whole numbers stays as it is.
    sample : pyarrow.ChunkedArray
        The sample.
    ordinary : ndarray of shape (rows,), bool
        Rows of the sample with a number that is neither missing, nor infinite, nor modal.
    most_strays : int
        Different values, all of them rare, that need not lie on the step.

    Returns
    -------
    codec : Codec
        With the step, if there is one.
    strays : list of int or float
        The values that are off it in the codec's unit, ascending.
    """
    assert not isinstance(codec, CurvedCodec)
    if isinstance(codec, FloatCodec):
        values = _DistinctValues.of(codec.encode_chunks(sample)[ordinary], most_strays)
        text, off = (None, values.none) if codec.integer else _step_of_floats(values, codec)
        return (codec if text is None else replace(codec, step=text)), values.distinct[off].tolist()
    integers, unit = _integers(codec, sample, ordinary)
    values = _DistinctValues.of(integers, most_strays)
    common, off = _common_step(values)
    step = common * unit
    if step == 1 or not values.lie_on(off, math.log2(step)):
        step = _usual_step(codec, values)
        off = values.none
    if step == 1:
        return codec, []
    base = codec.base - codec.base % step
    base += step * (base < codec.limits[0])
    return replace(codec, step=step, base=base), [unit * value for value in values.distinct[off].tolist()]


@dataclass(frozen=True, slots=True)
class _DistinctValues:
    """Different values of a sample, ascending, the rows of each, and how many of them may be off a step."""

    distinct: NDArray[Any]
    counts: NDArray[np.int64]
    most_strays: int

    @classmethod
    def of(cls, values: NDArray[Any], most_strays: int) -> _DistinctValues:
        """Distinct values of rows."""
        return cls(*distinct_values(values), most_strays)

    @property
    def none(self) -> NDArray[np.bool_]:
        """No value is off."""
        return np.zeros(len(self.distinct), np.bool_)

    def on_step(self, off: NDArray[np.bool_]) -> _DistinctValues:
        """The values on a step, with so many fewer strays allowed off a longer one."""
        return _DistinctValues(self.distinct[~off], self.counts[~off], self.most_strays - int(np.count_nonzero(off)))

    def lie_on(self, off: NDArray[np.bool_], bits: Floats | float, *, usual: bool = False) -> bool:
        """Return whether so few are off a step that it is no chance; a value is on it with probability 2^-bits.

        With `usual` the step is one that people use, and less has to tell of it where few values are all on it.
        """
        strays, bits_on = int(np.count_nonzero(off)), np.broadcast_to(bits, len(off))[~off]
        if strays > self.most_strays or strays and self.counts[off].sum() > STRAY_ROWS * self.counts.sum():
            return False
        evidence = np.sum(bits_on) - np.max(bits_on, initial=0.0)  # one value is on many steps
        least = USUAL if usual and not strays and len(off) <= FEW else CHANCE
        return bool(evidence - strays * math.log2(len(off)) >= least)


def _integers(
    codec: Codec, sample: pa.ChunkedArray[Any], ordinary: NDArray[np.bool_]
) -> tuple[NDArray[np.integer[Any]], int]:
    """Ordinary values, and their unit in that of their type; none for decimals that 64 bits cannot hold."""
    column = sample.filter(pa.array(ordinary))
    if not len(column):
        return np.empty(0, np.int64), 1
    if isinstance(codec, DatetimeCodec):
        return np.concatenate([filled(stored(chunk)) for chunk in column.chunks]), 1
    if not isinstance(codec, DecimalCodec):
        return np.concatenate([filled(chunk) for chunk in column.chunks]), 1
    zeros = _zeros_of(column)
    parts = [whole_units(chunk, zeros) for chunk in column.chunks]
    if any(is_inexact.any() for _, is_inexact in parts):
        return np.empty(0, np.int64), 1
    return np.concatenate([values for values, _ in parts]), 10**zeros


def _zeros_of(column: pa.ChunkedArray[Any]) -> int:
    """Zeros that all decimals end in, where they may need more than 64 bits; 0 elsewhere."""
    zeros = 0 if column.type.precision <= SHORT else column.type.precision
    for part in (column.slice(0, FIRST), column):
        while zeros and not _end_in(part, zeros):
            zeros -= 1
    return zeros


def _end_in(column: pa.ChunkedArray[Any], zeros: int) -> bool:
    """Return whether all decimals end in so many zeros."""
    try:
        column.cast(pa.decimal128(WIDEST, column.type.scale - zeros))
    except pa.ArrowInvalid:
        return False
    return True


def _common_step(values: _DistinctValues) -> tuple[int, NDArray[np.bool_]]:
    """Greatest divisor of all whole numbers but the strays, and which these are; 1 where it may be an accident.

    Where n may be strays, one of n + 1 parts of the numbers has none.
    """
    integers = values.distinct
    if len(integers) < 2:
        return 1, values.none
    common = [abs(int(np.gcd.reduce(part))) for part in np.array_split(integers, values.most_strays + 1)]
    divisor = math.gcd(*common)
    for step in sorted({step for step in common if divisor < step < LONGEST_STEP}, reverse=True):
        off = integers % step != 0
        if values.lie_on(off, math.log2(step)):
            return step, off
    step = divisor if values.lie_on(values.none, math.log2(divisor)) else 1
    return step, values.none


def _usual_step(codec: Codec, values: _DistinctValues) -> int:
    """The longest span of a clock that all of a few datetimes are multiples of; 1 where it may be an accident."""
    if not isinstance(codec, DatetimeCodec) or len(values.distinct) < 2:
        return 1
    for span in SPANS:
        step = span // codec.nanoseconds
        if step > 1 and not np.any(values.distinct % step) and values.lie_on(values.none, math.log2(step), usual=True):
            return step
    return 1


def _step_of_floats(values: _DistinctValues, codec: FloatCodec) -> tuple[str | None, NDArray[np.bool_]]:
    """The step of floats as decimal text, None where they have none, and which of them are off it.

    Floats that are further apart than the step are all on it, and tell nothing of it: of cents in 32 bits those below
    100,000 tell that there are cents.
    """
    distinct = values.distinct
    if len(distinct) < 2:
        return None, values.none
    first, sizes = distinct[:: -(-len(distinct) // FIRST)], np.abs(distinct)
    # Multiples of shorter units cannot be computed; of 16 and 32 bits they are computed in 64.
    shortest = ROOM * _spacing(np.max(sizes), codec) if codec.precision is np.float64 else 0.0
    step_and_strays: tuple[str | None, NDArray[np.bool_]] = None, values.none
    for places in range(MOST_PLACES + 1):
        unit = 1 / 10.0**places
        if unit < shortest:
            break
        if np.count_nonzero(_are_off(first, Fraction(1, 10**places), codec)) > values.most_strays:
            continue
        bits = np.log2(np.maximum(unit / _spacing(np.maximum(sizes, unit), codec), 1.0))
        if not values.lie_on(values.none, bits, usual=True):
            break  # nor would those of a shorter unit
        off = _are_off(distinct, Fraction(1, 10**places), codec)
        if not values.lie_on(off, bits, usual=True):
            continue
        are_of_digits = _are_of_digits(distinct, off, codec)
        step, off = _longest_step(values, off, bits > 0, places, codec)
        step_and_strays = _decimal_text(step), off
        if not are_of_digits:
            break
        values = replace(values, most_strays=0)  # a finer step has all of them
    return step_and_strays


def _longest_step(
    values: _DistinctValues, off: NDArray[np.bool_], are_single: NDArray[np.bool_], places: int, codec: FloatCodec
) -> tuple[Fraction, NDArray[np.bool_]]:
    """The longest step of floats that have so many decimal places, but for those off, and which ones are off it.

    A single float stands for one decimal number alone: its neighbours are less than a place apart.
    """
    on = values.on_step(off)
    numbers, rows = on.distinct[are_single[~off]], on.counts[are_single[~off]]
    units = np.rint(numbers * 10.0**places).astype(np.int64)
    common, _ = _common_step(replace(on, distinct=units, counts=rows))
    step = Fraction(common, 10**places)
    off_step = _are_off(values.distinct, step, codec)
    if np.any(off_step & ~off & ~are_single):
        return Fraction(1, 10**places), off
    return step, off_step


def _spacing(sizes: Floats, codec: FloatCodec) -> Floats:
    """Distance from floats to the next larger one, in the column's precision."""
    with np.errstate(over="ignore", under="ignore"):  # of the largest float, and of units that 16 bits do not hold
        return np.asarray(np.spacing(sizes.astype(codec.precision)), np.float64)


def _are_of_digits(distinct: Floats, off: NDArray[np.bool_], codec: FloatCodec) -> bool:
    """Return whether strays are the small ones among numbers of equally many digits: 0.0079 beside 0.031.

    Most of the next larger ones have as many. One alone may be a stray, unless others are in several powers of ten.
    """
    if not off.any():
        return False
    sizes, strays = np.abs(distinct), np.abs(distinct[off])
    decade = 10.0 ** (math.floor(math.log10(strays.max())) + 1)
    small = np.count_nonzero((sizes > 0) & (sizes < decade))
    if 2 * len(strays) <= small or sizes.max() < (decade if len(strays) > 1 else 10 * decade):
        return False
    most_digits = max(_digits(value, codec) for value in strays)
    larger = np.sort(sizes[~off & (sizes >= decade)])
    digits = np.array([_digits(value, codec) for value in larger])
    next_ones = larger < 10.0 ** (math.floor(math.log10(larger[0])) + 1)
    return bool(np.all(digits <= most_digits) and np.mean(digits[next_ones] == most_digits) >= MOSTLY)


def _digits(number: float, codec: FloatCodec) -> int:
    """Significant digits of a float."""
    return len(np.format_float_scientific(codec.precision(number), trim="-").partition("e")[0].replace(".", ""))


def _are_off(numbers: Floats, step: Fraction, codec: FloatCodec) -> NDArray[np.bool_]:
    """Mask of numbers that are not the floats nearest to multiples of a step."""
    return Step(step.numerator, step.denominator, codec.precision.__name__).is_off(numbers)


def _decimal_text(step: Fraction) -> str:
    """Decimal digits of a fraction that has such."""
    places = next(n for n in range(MOST_PLACES + 1) if 10**n % step.denominator == 0)
    digits = str(step.numerator * (10**places // step.denominator)).rjust(places + 1, "0")
    return f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")


def are_dust(codec: Codec, values: Sequence[Number]) -> NDArray[np.bool_]:
    """Mask of multiples of the codec's step with floating-point noise, such as 5.699999999999999."""
    inner, numbers = codec.plain, np.array(values, np.float64)
    if not isinstance(inner, FloatCodec) or inner.decoded_step is None:
        return np.zeros(len(numbers), np.bool_)
    spacing = np.spacing(np.abs(numbers).astype(inner.precision)).astype(np.float64)
    is_near = np.abs(inner.decoded_step.nearest(numbers) - numbers) <= DUST * spacing
    return np.asarray(is_near & (inner.spacing >= DUSTY_STEP * spacing))
