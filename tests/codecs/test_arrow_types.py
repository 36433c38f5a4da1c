"""Arrow types in documents: in Arrow's own bytes, whatever their names and fields are."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import from_plain, plain
from tests.io.arrow_types import ALL, OWN, type_of

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
FIELDS = st.text("abc _:,<> not null", min_size=1, max_size=9)


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    field = st.builds(
        lambda name, type_, null: pa.field(name, type_, null or type_ == pa.null(), {"unit": "m"}),
        FIELDS, inner, st.booleans(),
    )  # fmt: skip
    return st.one_of(
        st.builds(pa.list_, field),
        st.builds(pa.large_list, field),
        st.builds(pa.list_view, field),
        st.builds(pa.list_, field, st.integers(1, 9)),
        st.builds(pa.struct, st.lists(field, max_size=4)),
        st.builds(lambda key, item: pa.map_(key, item.with_name("value"), keys_sorted=True), KEYS, field),
        st.builds(pa.map_, KEYS, inner),
        st.builds(pa.dense_union, st.lists(field, min_size=1, max_size=3)),
        st.builds(lambda inner: pa.run_end_encoded(pa.int32(), inner), inner),
    )


TYPES = st.recursive(
    PLAIN | st.builds(pa.dictionary, st.sampled_from([pa.int8(), pa.uint16(), pa.int32()]), PLAIN, st.booleans()),
    nested,
    max_leaves=5,
)


def reread(document: object) -> Any:
    """What a document, or a type, comes back as from JSON."""
    return json.loads(json.dumps(plain(document)), object_hook=from_plain)


def is_same(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether types are the same, with names, nullability and metadata of their fields."""
    return pa.schema([("", one)]).equals(pa.schema([("", other)]), check_metadata=True)


@given(TYPES)
def test_a_type_comes_back_from_its_bytes(type_: pa.DataType) -> None:
    assert is_same(reread(type_), type_)


@pytest.mark.parametrize("name", ALL)
def test_every_type_comes_back_from_its_bytes(name: str) -> None:
    assert is_same(reread(ALL[name].type), ALL[name].type)
    assert plain(reread(ALL[name].type)) == plain(ALL[name].type)


def bytes_of(*types: pa.DataType) -> str:
    return b64encode(pa.schema([(str(place), type_) for place, type_ in enumerate(types)]).serialize()).decode()


@pytest.mark.parametrize(
    "written",
    ["", "int64", "AAAA", "no base64", 7, None, [], bytes_of(), bytes_of(pa.int8())[:-8],
     bytes_of(pa.decimal128(38, -100))],
)  # fmt: skip
def test_other_bytes_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match="no Arrow type"):
        from_plain({"$type": written})


class Unread(pa.ExtensionType):
    """An extension type that cannot be read again."""

    def __init__(self) -> None:
        super().__init__(pa.int8(), "gpuvgm.tests.unread")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> Unread:
        raise RuntimeError("not today")


def too_deep() -> pa.DataType:
    type_: pa.DataType = pa.int8()
    for _ in range(140):
        type_ = pa.list_(type_)
    return type_


@pytest.mark.parametrize("declared", [None, {"odd": "pass"}])
@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (Unread(), 'column "odd" is of type .*Unread.*cannot hold .*not today.*: convert it, or declare it "drop"'),
        (too_deep(), 'column "odd" is of type list<.*cannot hold'),
        (pa.run_end_encoded(pa.int16(), pa.int8()), 'column "odd" .* at most 32,767 rows: decode it with .*"drop"'),
    ],
)
def test_types_that_no_model_holds_are_refused_before_rows_are_read(type_: Any, told: str, declared: Any) -> None:
    registered = isinstance(type_, Unread)
    if registered:
        pa.register_extension_type(type_)
    try:
        odd = pa.chunked_array([], type_)
        table = pa.table({"n": pa.chunked_array([], pa.float64()), "odd": odd})
        with pytest.raises(InputError, match=told):
            gpuvgm.TableTransformer(declared).fit(table)
        with pytest.raises(InputError, match=told):
            gpuvgm.TableSynthesizer(declared).fit(table)
    finally:
        if registered:
            pa.unregister_extension_type(type_.extension_name)


def test_a_dropped_column_may_be_of_any_type() -> None:
    odd = pa.run_end_encoded(pa.int16(), pa.int8())
    table = pa.table({"n": np.arange(40.0), "odd": pa.RunEndEncodedArray.from_arrays([40], [1], odd)})
    assert gpuvgm.TableTransformer({"odd": "drop"}).fit(table).model_.names == ("n",)


def test_an_extension_type_that_is_not_registered_where_it_is_read_is_its_storage() -> None:
    document = plain(OWN)
    pa.unregister_extension_type(OWN.extension_name)
    try:
        assert from_plain(document) == OWN.storage_type
    finally:
        pa.register_extension_type(OWN)
