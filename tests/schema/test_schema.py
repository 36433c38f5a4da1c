"""Declared and inferred columns."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuvgm.config import EncodingRules, FitConfig
from gpuvgm.errors import InputError
from gpuvgm.schema import ColumnSpec, TableSchema

NUMBERS = pa.schema([("Amount", pa.float64()), ("count", pa.int32()), ("nothing", pa.null())])
MIXED = pa.schema([("Amount", pa.float64()), ("carrier", pa.string()), ("when", pa.timestamp("us")), ("n", pa.int8())])


def declare(columns, schema=NUMBERS):
    return TableSchema.declare(columns, schema, "flights.parquet")


def test_none_takes_every_numeric_column_with_the_reason():
    schema = declare(None)
    assert schema.names == ("Amount", "count", "nothing")
    assert [column.reason for column in schema.columns] == [
        "numeric column: double",
        "numeric column: int32",
        "numeric column: null",
    ]


def test_none_refuses_other_columns_and_names_the_remedy():
    with pytest.raises(InputError) as caught:
        declare(None, MIXED)
    message = str(caught.value)
    for part in (
        "flights.parquet",
        '"carrier" (string)',
        '"when" (timestamp[us])',
        'columns=["Amount", "n"]',
        "2 of 4",
    ):
        assert part in message


def test_names_take_those_columns_in_that_order():
    schema = declare(["n", "Amount"], MIXED)
    assert schema.names == ("n", "Amount")
    assert {column.reason for column in schema.columns} == {"declared"}


def test_mapping_declares_some_columns_and_infers_the_others():
    schema = declare({"count": {"tails": "exact"}, "nothing": "drop"})
    assert schema.names == ("Amount", "count")
    assert schema["count"].options == {"tails": "exact"}
    assert schema["count"].reason == "declared"
    assert schema["Amount"].reason == "numeric column: double"
    assert schema["nothing"].kind == "drop"
    with pytest.raises(KeyError):
        schema["other"]


def test_mapping_must_drop_what_is_no_number():
    with pytest.raises(InputError, match='or declare the others "drop"'):
        declare({"n": "continuous"}, MIXED)
    assert declare({"carrier": "drop", "when": "drop"}, MIXED).names == ("Amount", "n")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["amount"], 'flights.parquet: no column "amount"; did you mean "Amount"'),
        (["Amount", "Amount"], '"Amount" given more than once'),
        ("Amount", r'give a list of names, \["Amount"\]'),
        ([1], "names are strings, got 1"),
        (3, "not int"),
        ([], "no column is left"),
        ({"Amount": "drop", "count": "drop", "nothing": "drop"}, "no column is left"),
        ({"Amount": 3}, 'column "Amount": declare a kind'),
        ({"Amount": "contin"}, "kind 'contin' is unknown; did you mean \"continuous\""),
        ({"Amount": "categorical"}, 'column "Amount": kind "categorical" is not in this version'),
        ({"Amount": {"kind": "mixed", "modal": [0]}}, 'kind "mixed" is not in this version'),
        ({"Amount": {"modal": [0]}}, 'column "Amount": option "modal" is not in this version'),
        ({"Amount": {"standardise": True}}, 'option "standardise" is unknown; did you mean "standardize"'),
        ({"Amount": {"kind": "drop", "scale": 2}}, "a dropped column has no options, got scale"),
        ({"Amount": {"scale": 0}}, 'column "Amount": scale must be a positive number, got 0'),
        ({"Amount": {"scale": float("nan")}}, "scale must be"),
        ({"Amount": {"n_components": 2.5}}, "n_components must be a whole number from 1 to 255"),
        ({"Amount": {"n_components": True}}, "n_components must be"),
        ({"Amount": {"n_components": 256}}, "n_components must be"),
        ({"Amount": {"tails": "cut"}}, 'tails must be "clip" or "exact"'),
        ({"Amount": {"standardize": 1}}, "standardize must be"),
        ({"Amount": {"floor": 1}}, "floor must be"),
        ({"Amount": {"tol": -1}}, "tol must be"),
    ],
)
def test_refusals(columns, message):
    with pytest.raises(InputError, match=message):
        declare(columns)


def test_a_declared_column_that_is_no_number_is_refused():
    with pytest.raises(InputError, match='flights.parquet: column "carrier" holds string values'):
        declare(["carrier"], MIXED)


def test_options_win_over_the_tables_settings():
    spec = ColumnSpec.declare(
        "x",
        {"n_components": 3, "standardize": True, "scale": 2, "floor": None, "inf": "missing", "tol_per_row": "none"},
    )
    config = spec.fit_config(FitConfig(max_iter=7, tol_per_row=1e-9))
    assert (config.n_components, config.standardize, config.max_iter, config.tol_per_row) == (3, True, 7, None)
    assert spec.encoding_rules(EncodingRules(tails="exact")) == EncodingRules(2.0, "exact", None)
    assert spec.inf("error") == "missing"
    plain = ColumnSpec("y")
    assert plain.fit_config(FitConfig()) == FitConfig()
    assert plain.inf("error") == "error"


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "standardize": st.sampled_from(["auto", True, False]),
        "tails": st.sampled_from(["clip", "exact"]),
        "scale": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        "floor": st.none() | st.floats(0, 1, exclude_max=True),
        "n_components": st.integers(1, 255),
        "max_iter": st.integers(1, 10_000),
        "tol": st.floats(min_value=0, allow_infinity=False),
    },
)


@given(st.dictionaries(st.text(), st.just("drop") | OPTIONS, max_size=5))
def test_json_round_trip(columns):
    schema = TableSchema(tuple(ColumnSpec.declare(name, declared) for name, declared in columns.items()))
    again = TableSchema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False)))
    assert again == schema


def test_json_is_checked_when_read():
    document = declare(["Amount"]).to_json()
    document[0]["options"] = {"scale": -1}
    with pytest.raises(InputError, match="scale"):
        TableSchema.from_json(document)
