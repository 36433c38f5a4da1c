"""Conditions of `gpuvgm sample --where`."""

from __future__ import annotations

import re

import pytest

from gpuvgm.cli.where import parse_where
from gpuvgm.errors import InputError


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        (None, {}),
        ("age >= 30 and city in (a, b)", {"age": ("30", None), "city": ["a", "b"]}),
        ("age>=30 AND age<=40", {"age": ("30", "40")}),
        ("'two words' = 'it''s' and x is missing", {"two words": ["it's"], "x": [None]}),
        ('city IN (Rome, "New ""York""", \'a, b\')', {"city": ["Rome", 'New "York"', "a, b"]}),
        ("day <= 2020-01-01", {"day": (None, "2020-01-01")}),
        ("a == -3.5e2 and in in (in) and is = is", {"a": ["-3.5e2"], "in": ["in"], "is": ["is"]}),
        ("any(kind) = refund and any ( 'net, EUR' ) >= 3", {"any(kind)": ["refund"], "any(net, EUR)": ("3", None)}),
        ("any = 3 and 'any(x)' in (1, 2)", {"any": ["3"], "any(x)": ["1", "2"]}),
        ("x = 'and' and y = 'missing'", {"x": ["and"], "y": ["missing"]}),
    ],
)
def test_conditions(text, conditions):
    assert parse_where(text) == conditions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age > 30", '"age > 30": ranges include their ends; write >= and'),
        ("x = 1 and age < 30", '"age < 30": ranges include their ends; write <= and'),
        ("", "a condition is empty"),
        ("age >= 30 and", "a condition is empty"),
        ("age", '"age" is no condition'),
        ("city in (a b)", '"city in ( a b )" is no condition'),
        ("city in ()", '"city in ( )" is no condition'),
        ("city in (a,)", '"city in ( a , )" is no condition'),
        ("city in (a", '"city in ( a" is no condition'),
        ("city 'in' (a)", "\"city 'in' ( a )\" is no condition"),
        ("x is 'missing'", "\"x is 'missing'\" is no condition"),
        ("city = New York", '"city = New York" is no condition'),
        (">= 3", '">= 3" is no condition'),
        ("x != 3", '"x != 3" is no condition'),
        ("__import__('os').system('x')", "is no condition"),
        ("x = 'a", "a quote is not closed, from 'a on"),
        ("a = 1 and a = 2", 'column "a" has two conditions'),
        ("a >= 1 and a >= 2", 'column "a" has two conditions'),
    ],
)
def test_what_is_no_condition_is_named(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_where(text)
