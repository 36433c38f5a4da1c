"""Arrow types and their texts."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuvgm.io.arrow import type_of

UNITS = st.sampled_from(["s", "ms", "us", "ns"])
ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "+01:00", "-09:30"])
ALIASES = (
    "null bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 halffloat float double string large_string "
    "string_view binary large_binary binary_view date32[day] date64[ms] time32[s] time32[ms] time64[us] time64[ns] "
    "month_day_nano_interval"
).split()


@st.composite
def decimals(draw: st.DrawFn) -> pa.DataType:
    bits, digits = draw(st.sampled_from([(32, 9), (64, 18), (128, 38), (256, 76)]))
    return getattr(pa, f"decimal{bits}")(draw(st.integers(1, digits)), draw(st.integers(-20, 60)))


PLAIN = st.one_of(
    st.sampled_from([type_of(alias) for alias in ALIASES]),
    st.builds(pa.timestamp, UNITS, ZONES),
    st.builds(pa.duration, UNITS),
    st.builds(pa.binary, st.integers(1, 100)),
    decimals(),
)
KEYS = st.sampled_from([pa.string(), pa.int8(), pa.timestamp("us", "UTC")])
FIELDS = st.text("abc _", min_size=1, max_size=5)


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    field = st.builds(
        lambda name, type_, null: pa.field(name, type_, null or type_ == pa.null()), FIELDS, inner, st.booleans()
    )
    return st.one_of(
        st.builds(pa.list_, field),
        st.builds(pa.large_list, field),
        st.builds(pa.list_, field, st.integers(1, 9)),
        st.builds(pa.struct, st.lists(field, max_size=4)),
        st.builds(lambda key, item: pa.map_(key, item, keys_sorted=True), KEYS, inner),
        st.builds(pa.map_, KEYS, inner),
    )


TYPES = st.recursive(
    PLAIN | st.builds(pa.dictionary, st.sampled_from([pa.int8(), pa.uint16(), pa.int32()]), PLAIN, st.booleans()),
    nested,
    max_leaves=5,
)


@given(TYPES)
def test_a_type_comes_back_from_its_text(type_: pa.DataType) -> None:
    assert type_of(str(type_)) == type_


@pytest.mark.parametrize(
    "text",
    ["", "str", "INT8", "decimal128(99, 2)", "decimal16(3, 1)", "timestamp[h, tz=UTC]", "map<>", "list<int8>",
     "struct<a>", "map<int8>", "dictionary<values=string, indices=float, ordered=0>", "extension<arrow.uuid>",
     "fixed_size_binary[-1]"],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no Arrow type"):
        type_of(text)
