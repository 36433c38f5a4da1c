"""Values, lengths and categories as reports write them."""

from __future__ import annotations

import pytest

from gpuvgm.columns.text import length_text


@pytest.mark.parametrize(
    ("type_", "length", "text"),
    [
        ("double", 2.5, "2.5"),
        ("decimal128(12, 2)", 12346.0, "123.5"),
        ("timestamp[s]", 7200.0, "2 h"),
        ("date32[day]", 3.0, "3 d"),
        ("time64[us]", 1500.0, "1.5 ms"),
        ("timestamp[ns]", 0.0, "0 s"),
    ],
)
def test_lengths_have_the_unit_of_their_column(type_: str, length: float, text: str) -> None:
    assert length_text(type_, length) == text
