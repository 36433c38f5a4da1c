"""Steps of columns: whole numbers, cents, minutes, multiples of five; learned from a sample, checked on every row."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns.codecs import moments
from gpuvgm.columns.codecs.arrays import filled
from gpuvgm.columns.codecs.base import Codec
from gpuvgm.columns.codecs.curves import CurvedCodec, plain
from gpuvgm.columns.codecs.datetimes import DatetimeCodec, step_of, stored
from gpuvgm.columns.codecs.decimals import DecimalCodec
from gpuvgm.columns.codecs.floats import FloatCodec
from gpuvgm.columns.codecs.words import Words, words_of
from gpuvgm.io.arrow import type_of
from gpuvgm.summary.grid import Floats

CHANCE = 40  # bits: values without a step lie all on multiples of one with a probability of 2^-40
FIRST = 64  # values that are tried before all of them
MOST_PLACES = 22  # 10^22 is the largest power of ten that is a float
ROOM = 4  # a step is at least so many times as long as the distance of neighbouring floats


def with_learned_step(codec: Codec, sample: pa.ChunkedArray[Any], ordinary: NDArray[np.bool_]) -> Codec:
    """The codec with the longest step that a sample of its column lies on, and a base that is a multiple of it.

    Parameters
    ----------
    codec : Codec
        Without a logarithm. A float codec that gives whole numbers stays as it is.
    sample : pyarrow.ChunkedArray
        The sample.
    ordinary : ndarray of shape (rows,), bool
        Rows of the sample with a number that is neither missing, nor infinite, nor modal.
    """
    assert not isinstance(codec, CurvedCodec)
    if isinstance(codec, FloatCodec):
        numbers = np.concatenate([np.empty(0), *map(codec.encode, sample.chunks)])
        step = None if codec.integer else _step_of_floats(np.unique(numbers[ordinary]), codec)
        return codec if step is None else replace(codec, step=step)
    values = [_integers(codec, chunk) for chunk in sample.chunks]
    if not values or any(part is None for part in values):
        return codec
    unit = _common_step(np.unique(np.concatenate(values)[ordinary]))
    if unit == 1:
        return codec
    base = codec.base - codec.base % unit
    base += unit * (base < codec.limits[0])
    return replace(codec, step=unit, base=base)  # type: ignore[type-var]  # all codecs are dataclasses


def _integers(codec: Codec, chunk: pa.Array[Any]) -> Any:
    """Values in the unit of their type, 0 for null; None for decimals of more than 64 bits."""
    if isinstance(codec, DatetimeCodec):
        return filled(stored(chunk))
    if not isinstance(codec, DecimalCodec):
        return filled(chunk)
    return None if isinstance(words := words_of(chunk), Words) else words


def without_step(codec: Codec) -> Codec:
    """The codec without the step that was learned."""
    if isinstance(codec, CurvedCodec):
        return replace(codec, inner=without_step(codec.inner))  # type: ignore[type-var]
    return replace(codec, step=None if isinstance(codec, FloatCodec) else 1)  # type: ignore[type-var]


def _common_step(whole: NDArray[Any]) -> int:
    """Greatest common divisor of different whole numbers; 1 where it may be an accident."""
    if len(whole) < 2:
        return 1
    step = abs(int(np.gcd.reduce(whole)))
    return step if (len(whole) - 1) * math.log2(step) >= CHANCE else 1


def _step_of_floats(distinct: Floats, codec: FloatCodec) -> str | None:
    """The step of different floats as decimal text; None where they have none."""
    if len(distinct) < 2:
        return None
    largest = codec.precision(np.max(np.abs(distinct)))
    with np.errstate(over="ignore"):  # of the largest float
        spacing = float(np.spacing(largest))
    tried = distinct[:: -(-len(distinct) // FIRST)], distinct
    for places in range(MOST_PLACES + 1):
        unit = 1 / 10.0**places
        if unit < ROOM * spacing:
            return None
        if all(_are_multiples(some, 10.0**places, codec) for some in tried):
            break
    else:
        return None
    if (len(distinct) - 1) * math.log2(unit / spacing) < CHANCE:
        return None
    step = Fraction(_common_step(np.rint(distinct * 10.0**places).astype(np.int64)), 10**places)
    return _decimal_text(step)


def _are_multiples(numbers: Floats, parts: float, codec: FloatCodec) -> bool:
    """Whether all numbers are the floats nearest to whole numbers of equal parts of 1."""
    nearest = (np.rint(numbers * parts) / parts).astype(codec.precision)
    return bool(np.all(nearest == numbers))


def _decimal_text(step: Fraction) -> str:
    """Decimal digits of a fraction that has such."""
    places = next(n for n in range(MOST_PLACES + 1) if 10**n % step.denominator == 0)
    digits = str(step.numerator * (10**places // step.denominator)).rjust(places + 1, "0")
    return f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")


def step_text(codec: Codec) -> str:
    """The step as people write it; "" for a codec without one."""
    inner = plain(codec)
    if isinstance(inner, FloatCodec):
        return "1" if inner.integer else inner.step or ""
    if isinstance(inner, DatetimeCodec):
        return moments.length_text(inner.step * step_of(type_of(inner.type)))
    return inner.show(int(inner.spacing))
