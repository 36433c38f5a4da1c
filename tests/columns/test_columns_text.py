"""What --columns takes."""

from __future__ import annotations

import datetime
import re

import pytest

from gpuvgm.cli.options import parse_columns
from gpuvgm.columns.specs import ColumnSpec
from gpuvgm.errors import InputError


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (None, None),
        ("price", ["price"]),
        (" price , day of week", ["price", "day of week"]),
        ("price=continuous, id=drop", {"price": "continuous", "id": "drop"}),
        ("price = mixed", {"price": "mixed"}),
        ("a=b=general", {"a=b": "general"}),
        (
            'price = {modal = [0, "missing"], log = true}, "a,b" = "drop"',
            {"price": {"modal": [0, "missing"], "log": True}, "a,b": "drop"},
        ),
    ],
)
def test_names_or_kinds_by_name(text, columns):
    assert parse_columns(text) == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price,id=drop", '--columns "price,id=drop": "price" has no kind; give names only'),
        ("price,id=drop", 'NAME=KIND for each (other kinds are inferred). For names that contain a comma, "=" or "{"'),
        (
            "price=number",
            '"number" is not a kind; choose from continuous, mixed, categorical, general, id, drop, pass.',
        ),
        ("price=infer", '"infer" is not a kind'),
        ("price=", '"" is not a kind'),
        ("=drop", '"=drop" has no column name'),
        ("price=drop,price=pass", '"price" appears more than once'),
        ("price,,id", "a column name is empty; remove the extra comma"),
        ("price,", "remove the extra comma"),
        ("", "a column name is empty"),
        ("price = {modal = [0}", "--columns 'price = {modal = [0}': not valid TOML ("),
        ("price = {modal = [0]}, note = drop", "write for example --columns 'amount = {modal = [0]}, note ="),
    ],
)
def test_refusals(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_columns(text)


def test_a_file_says_everything(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(
        "[columns]\n"
        'id = "drop"\n'
        '"a,b=c" = "pass"\n'
        'price = {modal = [0, "missing", nan], log = true}\n'
        "day = {modal = 2024-01-31}\n"
        'grade = {categories = ["A", "B", nan], unknown = "ignore"}\n'
    )
    columns = parse_columns(str(path))
    assert columns["day"] == {"modal": datetime.date(2024, 1, 31)}
    assert columns["a,b=c"] == "pass"
    del columns["price"]["modal"][2]
    specs = {name: ColumnSpec.declare(name, declared) for name, declared in columns.items()}
    assert specs["price"].modal == (0, None)
    assert specs["day"].modal == ("2024-01-31",)
    assert specs["grade"].categories == ("A", "B", None)


def test_a_file_may_list_names(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('columns = ["a,b", "c=d"]\n')
    assert parse_columns(str(path)) == ["a,b", "c=d"]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("x = 1\n", 'nothing else; found "x"'),
        ("columns = 3\n", "nothing else; found neither"),
        ("", "nothing else; found neither"),
    ],
)
def test_wrong_files_are_refused(tmp_path, content, wrong):
    path = tmp_path / "spec.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=wrong):
        parse_columns(str(path))
