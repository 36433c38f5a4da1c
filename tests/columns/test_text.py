"""Values, lengths and categories as reports write them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from gpuvgm.columns.text import length_text


@pytest.mark.parametrize(
    ("type_", "length", "text"),
    [
        (pa.float64(), 2.5, "2.5"),
        (pa.decimal128(12, 2), 12346.0, "123.5"),
        (pa.timestamp("s"), 7200.0, "2 h"),
        (pa.date32(), 3.0, "3 d"),
        (pa.time64("us"), 1500.0, "1.5 ms"),
        (pa.timestamp("ns"), 0.0, "0 s"),
    ],
)
def test_lengths_have_the_unit_of_their_column(type_: pa.DataType, length: float, text: str) -> None:
    assert length_text(type_, length) == text
