"""Values, lengths and categories as reports write them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from gpuvgm.codecs import Codec, DatetimeCodec, FloatCodec
from gpuvgm.codecs.decimals import DecimalCodec


@pytest.mark.parametrize(
    ("codec", "length", "text"),
    [
        (FloatCodec(pa.float64()), 2.5, "2.5"),
        (DecimalCodec(pa.decimal128(12, 2), 0), 12346.0, "123.5"),
        (DatetimeCodec(pa.timestamp("s"), 0), 7200.0, "2 h"),
        (DatetimeCodec(pa.date32(), 0), 3.0, "3 d"),
        (DatetimeCodec(pa.time64("us"), 0), 1500.0, "1.5 ms"),
        (DatetimeCodec(pa.timestamp("ns"), 0), 0.0, "0 s"),
    ],
)
def test_lengths_have_the_unit_of_their_column(codec: Codec, length: float, text: str) -> None:
    assert codec.length_text(length) == text
