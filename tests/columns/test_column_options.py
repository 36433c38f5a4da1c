"""Options of a column: the values they take and how they are kept."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from gpuvgm.codecs import json_value
from gpuvgm.columns.options import KIND_NAMES, checked_option, kinds_with
from gpuvgm.errors import InputError

DAY = datetime.date(2024, 1, 31)


@pytest.mark.parametrize(
    ("option", "given", "kept"),
    [
        ("modal", [0, -1.5], [0, -1.5]),
        ("modal", 0, [0]),
        ("modal", "2024-01-31", ["2024-01-31"]),
        ("modal", (0, 1), [0, 1]),
        ("modal", [], []),
        ("modal", None, [None]),
        ("modal", [None], [None]),
        ("modal", ["missing", 0], [None, 0]),
        ("modal", "missing", [None]),
        ("modal", float("nan"), [None]),
        ("modal", [np.nan, 3], [None, 3]),
        ("modal", pd.NA, [None]),
        ("modal", [pd.NaT], [None]),
        ("modal", np.array([0, 9]), [0, 9]),
        ("modal", np.array([0.5], np.float32), [0.5]),
        ("modal", [np.int8(3), np.float64(0.25), np.str_("12.50")], [3, 0.25, "12.50"]),
        ("modal", 2**70, [2**70]),
        ("modal", [Decimal("12.50"), Decimal("1E+2")], ["12.50", "100"]),
        ("modal", [Decimal("NaN")], [None]),
        ("modal", DAY, ["2024-01-31"]),
        ("modal", [datetime.datetime(2024, 1, 31, 12, 30)], ["2024-01-31T12:30:00"]),
        ("modal", [datetime.datetime(2024, 1, 31, tzinfo=datetime.UTC)], ["2024-01-31T00:00:00+00:00"]),
        ("modal", [datetime.time(12, 30)], ["12:30:00"]),
        ("modal", [pd.Timestamp("2024-01-31T00:00:00.000000001")], ["2024-01-31T00:00:00.000000001"]),
        ("modal", [np.datetime64("2024-01-31"), np.datetime64("NaT", "s")], ["2024-01-31", None]),
        ("modal", [np.datetime64("2024"), np.datetime64("2024-01-31T12", "h")], ["2024-01-01", "2024-01-31T12:00"]),
        ("modal", [datetime.timedelta(days=1, milliseconds=500)], ["P1DT0.5S"]),
        ("modal", [datetime.timedelta(seconds=-1)], ["-PT1S"]),
        ("modal", [np.timedelta64(3, "m"), np.timedelta64("NaT", "s")], ["PT3M", None]),
        ("modal", [pd.Timedelta(1, "ns")], ["PT0.000000001S"]),
        ("categories", ["a", "b", None], ["a", "b", None]),
        ("categories", ["missing", "", float("nan")], ["missing", "", None]),
        ("categories", [True, False], [True, False]),
        ("categories", np.array(["a", "b"]), ["a", "b"]),
        ("categories", np.array([True]), [True]),
        ("categories", pd.Series([1, 2]), [1, 2]),
        ("categories", [1, "1"], [1, "1"]),
        ("categories", [DAY], ["2024-01-31"]),
        ("categories", range(65_537), list(range(65_537))),
    ],
)
def test_listed_values_are_kept_as_json_has_them(option, given, kept):
    values = checked_option("x", option, given)
    assert values == kept
    assert [type(value) for value in values] == [type(value) for value in kept]
    assert json.loads(json.dumps(values, allow_nan=False)) == kept
    assert checked_option("x", option, values) == kept


def test_what_was_given_is_not_changed():
    given = [0, None]
    checked_option("x", "modal", given).append(1)
    assert given == [0, None]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("modal", [0, 0.0], "modal holds 0 more than once"),
        ("modal", [None, "missing"], "modal holds the missing value more than once"),
        ("modal", [True], "modal holds True: a modal value is a number, a date or a time"),
        ("modal", {0, 1}, "modal must be a list of numbers, dates or times"),
        ("modal", {"a": 1}, "modal must be a list"),
        ("modal", [[1]], r"modal holds \[1\], a list"),
        ("modal", b"a", "modal holds b'a', a bytes"),
        ("modal", 1j, "modal holds 1j, a complex"),
        ("modal", float("inf"), "modal holds inf: infinities cannot be listed"),
        ("modal", Decimal("-Infinity"), "modal holds -Infinity"),
        ("categories", "abc", "categories must be a list of categories, got 'abc'"),
        ("categories", 3, "categories must be a list of categories, got 3"),
        ("categories", None, "categories must be a list of categories"),
        ("categories", [], "categories is empty"),
        ("categories", ["a", "b", "a"], "categories holds 'a' more than once; list every value once"),
        ("categories", [1, True], "categories holds 1 more than once"),
        ("categories", [["a"]], "a list"),
        ("categories", range(2**18 + 1), "categories holds 262,145 values: at most 262,144 categories can be listed"),
        ("encoding", "auto", 'encoding must be "onehot" or "interval"'),
        ("max_categories", 0, "max_categories must be a whole number, at least 1 or None"),
        ("unknown", "skip", 'unknown must be "error" or "ignore"'),
        ("clip", 1, "clip must be true or false, got 1"),
        ("log", "yes", "log must be true or false"),
        ("integer", None, "integer must be true or false"),
        ("scale", 0, "scale must be a positive number, got 0"),
        ("scale", float("nan"), "scale must be"),
        ("n_components", 2.5, "n_components must be a whole number from 1 to 255"),
        ("n_components", True, "n_components must be"),
        ("n_components", 256, "n_components must be"),
        ("tails", "cut", 'tails must be "modes", "clip" or "exact"'),
        ("standardize", 1, "standardize must be"),
        ("floor", 1, "floor must be"),
        ("tol", -1, "tol must be"),
        ("modl", 0, 'option "modl" is unknown; did you mean "modal"'),
        (3, 0, 'option "3" is unknown'),
    ],
)
def test_refusals_name_the_column(key, value, message):
    with pytest.raises(InputError, match=f'^column "x": {message if key != "categories" else ".*" + message}'):
        checked_option("x", key, value)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ([], tuple(KIND_NAMES)),
        (["scale"], ("continuous", "mixed")),
        (["modal", "log"], ("continuous", "mixed")),
        (["log", "inf", "integer"], ("continuous", "mixed", "general")),
        (["clip", "log"], ("general",)),
        (["unknown", "categories"], ("categorical",)),
        (["unknown", "inf"], ()),
    ],
)
def test_kinds_with_options(options, kinds):
    assert kinds_with(options) == kinds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.timedelta64(2**50, "h"), "P46912496118442DT16H"),
        (np.timedelta64(3, "10m"), "PT30M"),
        (np.datetime64(7, "h"), "1970-01-01T07:00"),
        (np.timedelta64(7, "ps"), None),
        (np.timedelta64(7, "Y"), None),
        (np.datetime64(2**62, "h"), None),
    ],
)
def test_a_value_that_a_user_gives_is_exact_or_refused(value, text):
    if text is None:
        with pytest.raises(ValueError, match="nanoseconds|beyond"):
            json_value(value)
    else:
        assert json_value(value) == text
