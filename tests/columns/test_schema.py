"""Declared columns: names, kinds and options, and what they are once a sample is there."""

from __future__ import annotations

import datetime
import inspect
import json
import re
from dataclasses import fields
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm import TableTransformer
from gpuvgm.cli import commands
from gpuvgm.columns.mixture_model import EncodingRules
from gpuvgm.columns.options import KIND_NAMES, SETTINGS, check_settings
from gpuvgm.columns.schema import TableSchema
from gpuvgm.columns.specs import ColumnSpec
from gpuvgm.config import FitConfig
from gpuvgm.errors import InputError

ROWS = 300
SOURCE = "trips.parquet"
TABLE = pa.table(
    {
        "Amount": np.arange(ROWS) + 0.25,
        "few": [0, 1, 2] * (ROWS // 3),
        "carrier": ["UA", "B6", None] * (ROWS // 3),
        "when": pa.array([datetime.datetime(2024, 1, 31)] * ROWS, pa.timestamp("us")),
        "price": pa.array([Decimal("12.50")] * ROWS, pa.decimal128(10, 2)),
        "wide": pa.array([Decimal("12.50")] * ROWS, pa.decimal256(50, 2)),
        "paid": [True, False, None] * (ROWS // 3),
        "tags": [["a"]] * ROWS,
        "nothing": pa.nulls(ROWS),
    }
)


def declare(columns, table=TABLE):
    return TableSchema.declare(columns, table.schema, SOURCE)


def infer(columns, table=TABLE):
    return declare(columns, table).inferred(table, SOURCE)


def refusal(columns, table=TABLE):
    with pytest.raises(InputError) as caught:
        infer(columns, table)
    return str(caught.value)


def test_the_index_that_pandas_writes_is_no_column_to_fit():
    index = np.random.default_rng(0).permutation(ROWS)
    table = pa.table({"": index, "x": TABLE["Amount"], "__index_level_0__": index})
    kinds = {spec.name: spec.kind for spec in infer(None, table).columns}
    assert kinds == {"": "id", "x": "continuous", "__index_level_0__": "pass"}
    assert infer({"__index_level_0__": "continuous"}, table)["__index_level_0__"].kind == "continuous"
    assert infer(None, pa.table({"": index % 100}))[""].kind == "continuous"


def test_none_takes_every_column():
    schema = declare(None)
    assert schema.names == tuple(TABLE.column_names)
    assert {spec.kind for spec in schema.columns} == {"infer"}
    kinds = {spec.name: spec.kind for spec in schema.inferred(TABLE, SOURCE).columns}
    assert kinds == {
        "Amount": "continuous",
        "few": "categorical",
        "carrier": "categorical",
        "when": "continuous",
        "price": "continuous",
        "wide": "pass",
        "paid": "categorical",
        "tags": "pass",
        "nothing": "continuous",
    }


def test_names_take_those_columns_in_that_order():
    schema = infer(["few", "Amount"])
    assert schema.names == ("few", "Amount")
    assert [spec.kind for spec in schema.columns] == ["categorical", "continuous"]


def test_mapping_declares_some_columns_and_infers_the_others():
    schema = infer({"few": {"kind": "continuous", "tails": "exact"}, "nothing": "drop", "tags": "pass"})
    assert [spec.name for spec in schema.columns] == TABLE.column_names
    assert schema.names == tuple(name for name in TABLE.column_names if name != "nothing")
    assert (schema["few"].kind, schema["few"].reason) == ("continuous", "declared")
    assert schema["few"].options == {"tails": "exact"}
    assert schema["Amount"].reason == "float64 with 300 distinct values in 300"
    with pytest.raises(KeyError):
        schema["other"]


def test_dropped_and_passed_columns_need_no_reading():
    schema = declare({name: "drop" if name < "Z" else "pass" for name in TABLE.column_names if name != "few"})
    assert schema.needed == ("few",)
    inferred = schema.inferred(TABLE.select(["few"]), SOURCE)
    assert inferred["few"].kind == "categorical"
    assert inferred["tags"].kind == "pass"
    assert "Amount" not in inferred.names


def test_needed_leaves_out_what_a_sample_passes_on():
    schema = infer(["tags", "few"])
    assert declare(["tags", "few"]).needed == ("tags", "few")
    assert (schema.needed, schema.names) == (("few",), ("tags", "few"))


def test_a_table_of_passed_columns_is_fine():
    assert infer({name: "pass" for name in TABLE.column_names}).needed == ()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["amount"], 'trips.parquet: no column "amount"; did you mean "Amount"'),
        (["Amount", "Amount"], '"Amount" given more than once'),
        ("Amount", 'give a list of names, ["Amount"]'),
        ([1], 'trips.parquet: no column "1"'),
        (3, "not int"),
        ([], "no column is left"),
        (dict.fromkeys(TABLE.column_names, "drop"), "no column is left"),
        ({"Amount": 3}, 'column "Amount": declare a kind'),
        ({"Amount": "contin"}, "kind 'contin' is unknown; did you mean \"continuous\""),
        ({"Amount": "number"}, 'kinds: "continuous", "mixed", "categorical", "general", "id", "drop", "pass"'),
        ({"Amount": {"kind": None}}, "kind None is unknown"),
        ({"Amount": {"standardise": True}}, 'option "standardise" is unknown; did you mean "standardize"'),
        ({"Amount": {"kind": "drop", "scale": 2}}, 'a "drop" column has no option "scale"'),
        ({"Amount": {"kind": "pass", "unknown": "ignore"}}, 'a "pass" column has no option "unknown"'),
        ({"Amount": {"kind": "general", "n_components": 3}}, '"continuous" and "mixed" columns have it'),
        ({"Amount": {"kind": "continuous", "clip": True}}, '"general" columns have it'),
        ({"Amount": {"kind": "general", "modal": [0]}}, 'a "general" column has no option "modal"'),
        ({"Amount": {"kind": "mixed", "categories": ["a"]}}, '"categorical" columns have it'),
        ({"Amount": {"clip": True, "scale": 2}}, 'no kind has both options "clip" and "scale"'),
        ({"Amount": {"inf": "missing", "unknown": "ignore"}}, 'no kind has both options "unknown" and "inf"'),
        ({"Amount": {"scale": 0}}, 'column "Amount": scale must be a positive number, got 0'),
    ],
)
def test_wrong_declarations_are_refused(columns, message):
    with pytest.raises(InputError, match=re.escape(message)):
        declare(columns)


@pytest.mark.parametrize(
    ("given", "kind", "options"),
    [
        ({"modal": [0]}, "mixed", {"modal": [0]}),
        ({"modal": 0, "n_components": 3}, "mixed", {"modal": [0], "n_components": 3}),
        ({"kind": "continuous", "modal": [0]}, "mixed", {"modal": [0]}),
        ({"kind": "continuous", "modal": []}, "continuous", {"modal": []}),
        ({"categories": [0, 1]}, "categorical", {"categories": [0, 1]}),
        ({"unknown": "ignore"}, "categorical", {"unknown": "ignore"}),
        ({"clip": True}, "general", {"clip": True}),
        ({"clip": False, "log": True}, "general", {"clip": False, "log": True}),
        ({"log": True, "modal": [0]}, "mixed", {"log": True, "modal": [0]}),
        ({"scale": 2}, "continuous", {"scale": 2.0}),
        ({"log": True}, "continuous", {"log": True}),
        ({"integer": True}, "continuous", {"integer": True}),
        ({"inf": "missing"}, "continuous", {"inf": "missing"}),
        ({}, "categorical", {}),
    ],
)
def test_options_without_a_kind_narrow_it(given, kind, options):
    spec = infer({"few": given})["few"]
    assert (spec.kind, spec.options) == (kind, options)
    assert TABLE.column("few").type == pa.int64()


def test_the_reason_says_which_option_decided():
    assert infer({"few": {"modal": [0]}})["few"].reason == 'option "modal"'
    assert infer({"few": {"clip": True, "log": True}})["few"].reason == 'option "clip"'
    assert infer({"few": {"scale": 2}})["few"].reason == (
        "int64 with 3 distinct values in 300; its options are not for categorical columns"
    )


def test_number_options_leave_spikes_to_the_sample():
    table = pa.table({"x": [0.0] * 500 + list(range(1, 501))})
    spec = infer({"x": {"scale": 2}}, table)["x"]
    assert (spec.kind, spec.options) == ("mixed", {"scale": 2.0, "modal": [0.0]})
    assert infer({"x": {"modal": []}}, table)["x"].kind == "continuous"
    assert infer({"x": "continuous"}, table)["x"].modal == ()


def test_a_mixed_column_without_modal_values_takes_the_spikes():
    table = pa.table({"x": [0] * 500 + list(range(1, 501)), "y": range(1000), "few": [1, 2] * 500})
    schema = infer(dict.fromkeys(table.column_names, "mixed"), table)
    assert schema["x"].options == {"modal": [0]}
    assert schema["x"].reason.startswith("declared; 50.0 % of the sampled values are 0")
    assert {schema[name].reason for name in ("y", "few")} == {"declared; no value stands out in the sample"}
    assert "needs its modal values" in refusal({"when": "mixed"})
    assert infer({"when": {"kind": "mixed", "modal": "2024-01-31"}})["when"].modal == ("2024-01-31",)


@pytest.mark.parametrize("kind", ["continuous", "mixed", "general"])
def test_number_kinds_need_number_types(kind):
    columns = {name: kind if name != "mixed" else "drop" for name in ("Amount", "few", "nothing")}
    assert infer(columns)["few"].kind == kind
    message = refusal({"carrier": kind})
    assert message == (
        f'trips.parquet: column "carrier" holds string values; a "{kind}" column holds numbers, decimals, dates or '
        'times: declare it "categorical", "pass" or "drop", or convert it first'
    )
    assert 'declare it "pass" or "drop", or convert it first' in refusal({"tags": kind})
    assert "convert it to decimal128 or to floating-point numbers" in refusal({"wide": kind})
    assert 'declare it "categorical"' in refusal({"paid": kind})


def test_categorical_columns_need_values_that_can_be_levels():
    fine = ["Amount", "few", "carrier", "when", "price", "paid", "nothing"]
    assert {spec.kind for spec in infer(dict.fromkeys(fine, "categorical")).columns if spec.name in fine} == {
        "categorical"
    }
    for name in ("tags", "wide"):
        message = refusal({name: "categorical"})
        assert f'column "{name}" holds' in message
        assert 'declare it "pass" or "drop", or convert it first' in message


@pytest.mark.parametrize("kind", ["drop", "pass"])
def test_any_type_can_be_dropped_or_passed(kind):
    assert {spec.kind for spec in infer({**dict.fromkeys(TABLE.column_names, kind), "few": "general"}).columns} == {
        kind,
        "general",
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"carrier": {"scale": 2}},
            'trips.parquet: column "carrier" is "categorical" (string with 2 distinct values, 100 of 300 missing) and '
            'has no option "scale", which "continuous" and "mixed" columns have',
        ),
        ({"tags": {"log": True}}, 'column "tags" is "pass" (list<'),
        ({"carrier": {"modal": [0]}}, 'column "carrier" holds string values; a "mixed" column (option "modal") holds'),
        ({"paid": {"clip": True}}, 'a "general" column (option "clip") holds'),
        ({"tags": {"unknown": "ignore"}}, "a categorical column holds text"),
        ({"when": {"log": True}}, 'holds timestamp[us] values; option "log" is for amounts'),
        ({"when": {"kind": "general", "log": True}}, 'option "log" is for amounts'),
        ({"price": {"integer": True}}, 'option "integer" is for floating-point numbers'),
    ],
)
def test_options_that_do_not_fit_the_values_are_refused(columns, message):
    assert message in refusal(columns)


def test_options_that_change_nothing_are_fine():
    assert infer({"few": {"integer": True}})["few"].integer
    assert infer({"when": {"log": False}})["when"].curve is None
    assert infer({"price": {"log": True}})["price"].curve == ("log", True)
    assert infer({"nothing": {"integer": True}})["nothing"].kind == "continuous"


STRAYS = pa.table({"amount": [str(value) if value != 6 else "n/k" for value in range(ROWS)], "n": range(ROWS)})


def test_a_word_among_numbers_that_are_not_read_is_named():
    hint = 'if they are numbers, write "n/k" as "0" is written, or list it in na_values'
    assert refusal({"amount": "continuous"}, STRAYS).endswith(hint)


@pytest.mark.parametrize("kind", ["categorical", "pass", "drop"])
def test_declared_text_columns_may_hold_numbers(kind):
    assert infer({"amount": kind}, STRAYS)["amount"].kind == kind


def test_options_win_over_the_tables_settings():
    spec = ColumnSpec.declare(
        "x",
        {"n_components": 3, "standardize": True, "scale": 2, "floor": None, "inf": "missing", "tol_per_row": "none"},
    )
    config = spec.fit_config(FitConfig(max_iter=7, tol_per_row=1e-9))
    assert (config.n_components, config.standardize, config.max_iter, config.tol_per_row) == (3, True, 7, None)
    settings = {"scale": 4.0, "tails": "exact", "floor": 1e-6}
    assert spec.encoding_rules(settings, "research") == EncodingRules(2.0, "exact", None)
    open_ = settings | {"tails": None, "floor": None}
    assert ColumnSpec("y").encoding_rules(open_, "research") == EncodingRules(4.0, "clip", 1e-6)
    assert ColumnSpec("y").encoding_rules(open_, "best") == EncodingRules(4.0, "modes", None)
    assert ColumnSpec.declare("y", {"effort": "research"}).encoding_rules(open_, "best").tails == "clip"
    z = ColumnSpec.declare("z", {"unknown": "ignore"})
    asked = [one.request(TableTransformer().get_params()) for one in (spec, z, ColumnSpec("y"))]
    assert [one.infinite_is_missing for one in asked] == [True, False, False]
    assert [one.unknown for one in asked] == ["error", "ignore", "error"]
    plain = ColumnSpec("y")
    assert plain.kind == "continuous"
    assert plain.fit_config(FitConfig()) == FitConfig()
    assert (plain.modal, plain.categories, plain.integer, plain.curve, plain.clip) == ((), None, False, None, False)


def test_every_setting_has_a_rule_and_one_default():
    unchecked = {"columns", "executor", "progress"} | {"random_state", "sample_rows", "stratified", "memory"}
    signature = inspect.signature(TableTransformer).parameters
    defaults = {name: parameter.default for name, parameter in signature.items() if name not in unchecked}
    assert defaults.keys() == SETTINGS.keys()
    check_settings(defaults)
    fit = {field.name: field.default for field in fields(FitConfig) if field.name in defaults}
    assert fit == {name: defaults[name] for name in fit}
    assert ColumnSpec("x").encoding_rules(defaults, defaults["effort"]) == EncodingRules()
    command = inspect.signature(commands.fit).parameters
    assert all(
        command[name].default == default for name, default in defaults.items() if name in command.keys() - {"seed"}
    )


def test_settings_of_a_table_are_checked():
    check_settings({"scale": 4.0, "unknown": "ignore", "engine": "auto"})
    for wrong in ({"unknown": "skip"}, {"scale": -1}):
        with pytest.raises(InputError, match=f"^{next(iter(wrong))} must be"):
            check_settings(wrong)


NUMBER = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
MIXTURE_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "standardize": st.sampled_from(["auto", True, False]),
        "tails": st.sampled_from(["modes", "clip", "exact"]),
        "scale": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        "floor": st.none() | st.floats(0, 1, exclude_max=True),
        "n_components": st.integers(1, 255),
        "max_iter": st.integers(1, 10_000),
        "tol": st.floats(min_value=0, allow_infinity=False),
        "modal": st.lists(NUMBER | st.none() | st.dates(), unique_by=lambda value: value),
        "log": st.booleans(),
    },
)
CATEGORICAL_OPTIONS = st.fixed_dictionaries(
    {"kind": st.just("categorical")},
    optional={
        "categories": st.lists(st.text() | NUMBER | st.none(), min_size=1, unique=True),
        "unknown": st.sampled_from(["error", "ignore"]),
    },
)
DECLARED = st.sampled_from(KIND_NAMES) | MIXTURE_OPTIONS | CATEGORICAL_OPTIONS


@given(st.dictionaries(st.text(), DECLARED, max_size=5))
def test_json_round_trip(columns):
    schema = TableSchema(tuple(ColumnSpec.declare(name, declared) for name, declared in columns.items()))
    again = TableSchema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False)))
    assert again == schema


def test_json_is_checked_when_read():
    document = declare(["Amount"]).to_json()
    document[0]["options"] = {"scale": -1}
    with pytest.raises(InputError, match="scale"):
        TableSchema.from_json(document)
