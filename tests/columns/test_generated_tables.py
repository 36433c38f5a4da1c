"""Tables of any kinds, as hypothesis invents them."""

from __future__ import annotations

import datetime as dt
import string
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from gpuvgm import TableTransformer
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.general import GeneralColumn
from gpuvgm.errors import InputError

FLOATS = st.floats(-1e6, 1e6, allow_subnormal=False)
VALUES: dict[str, tuple[pa.DataType, Any]] = {
    "float": (pa.float64(), FLOATS),
    "float32": (pa.float32(), st.floats(-1e6, 1e6, width=32, allow_subnormal=False)),
    "int": (pa.int64(), st.integers(-(2**40), 2**40)),
    "large int": (pa.int64(), st.integers(2**62, 2**62 + 10**6)),
    "small int": (pa.uint8(), st.integers(0, 255)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(string.ascii_letters + "äöé東", min_size=1, max_size=3)),
    "large text": (pa.large_string(), st.sampled_from(["a", "b"])),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["low", "high"])),
    "timestamp": (pa.timestamp("us"), st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))),
    "zoned": (pa.timestamp("s", "UTC"), st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1))),
    "date": (pa.date32(), st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))),
    "time": (pa.time32("s"), st.times().map(lambda t: t.replace(microsecond=0))),
    "duration": (pa.duration("ms"), st.timedeltas(dt.timedelta(0), dt.timedelta(9)).map(lambda d: d - d % STEP)),
    "decimal": (pa.decimal128(12, 2), st.integers(-(10**9), 10**9).map(lambda n: Decimal(n).scaleb(-2))),
}
STEP = dt.timedelta(milliseconds=1)
NUMBERS = [name for name in VALUES if name not in ("bool", "text", "large text", "dictionary")]
NAMES = st.text(min_size=1, max_size=5).filter(lambda name: "." not in name)


@st.composite
def tables(draw: Any) -> tuple[pa.Table, dict[str, Any]]:
    """A table, and a declaration for some of its columns."""
    rows = draw(st.integers(1, 40))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    columns, declared = {}, {}
    for name in names:
        sort = draw(st.sampled_from(list(VALUES)))
        type_, values = VALUES[sort]
        missing = draw(st.sampled_from(["none", "some", "all"]))
        cell = st.none() if missing == "all" else values if missing == "none" else st.none() | values
        columns[name] = pa.array(draw(st.lists(cell, min_size=rows, max_size=rows)), type_)
        kinds = ["categorical", "pass", None]
        if sort in NUMBERS:
            kinds += ["continuous", "mixed", "general"]
        kind = draw(st.sampled_from(kinds))
        if kind is not None:
            declared[name] = {"kind": kind, **({"modal": []} if kind == "mixed" else {})}
    return pa.table(columns), declared


@given(tables(), st.sampled_from(["clip", "exact"]))
@settings(max_examples=150, deadline=None)
def test_round_trip(case: tuple[pa.Table, dict[str, Any]], tails: str) -> None:
    rows, declared = case
    transformer = TableTransformer(declared, effort="research", tails=tails, max_iter=20).fit(rows)
    encoded = transformer.transform(rows)
    back, valid = transformer.inverse_transform(encoded, return_valid=True)
    assert back.schema.types == rows.schema.types
    assert back.schema.names == rows.schema.names
    assert valid.all()
    for column in transformer.model_.columns:
        given_, found = rows[column.name], back[column.name]
        assert found.null_count == given_.null_count
        if column.kind in ("categorical", "pass"):
            assert found.to_pylist() == given_.to_pylist()
        else:
            assert isinstance(column, MixtureColumn | GeneralColumn)
            plain = getattr(column.codec, "inner", column.codec)
            before, after = (np.concatenate([plain.encode(part) for part in rows.chunks]) for rows in (given_, found))
            error = np.abs(after - before)
            scalar = encoded[f"{column.name}.scalar"].to_numpy()
            kept = ~np.isnan(error) & ((np.abs(scalar) < np.float32(0.99)) | (tails == "exact") | (column.width == 0))
            assert np.max(error[kept], initial=0) <= column.resolution * (1 + 2.0**-40)
    matrix = transformer.transform(rows, layout="onehot")
    assert matrix.shape == (rows.num_rows, len(transformer.get_feature_names_out(layout="onehot")))
    for spans in transformer.layout_.values():
        for start, stop, activation in spans:
            if activation == "softmax":
                np.testing.assert_array_equal(matrix[:, start:stop].sum(axis=1), 1)


@given(tables())
@settings(max_examples=40, deadline=None)
def test_no_rows_can_be_encoded(case: tuple[pa.Table, dict[str, Any]]) -> None:
    rows, declared = case
    transformer = TableTransformer(declared, effort="research", max_iter=5).fit(rows)
    empty = rows.slice(0, 0)
    encoded = transformer.transform(empty)
    assert encoded.num_rows == 0
    assert encoded.schema.names == transformer.transform(rows).schema.names
    assert transformer.inverse_transform(encoded).schema.types == rows.schema.types
    assert transformer.transform(empty, layout="onehot").shape == (
        0,
        len(transformer.get_feature_names_out(layout="onehot")),
    )


@given(tables())
@settings(max_examples=10, deadline=None)
def test_no_rows_cannot_be_fitted(case: tuple[pa.Table, dict[str, Any]]) -> None:
    rows, declared = case
    with pytest.raises(InputError, match="no rows to fit on"):
        TableTransformer(declared).fit(rows.slice(0, 0))
