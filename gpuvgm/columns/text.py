"""Values of columns as people read them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from gpuvgm.codecs import DatetimeCodec, shorten_float
from gpuvgm.columns.base import MISSING, Category
from gpuvgm.columns.categories import categories_of, is_category_type, plain_values, value_type
from gpuvgm.errors import printable

LONGEST_CATEGORY = 40


def texts_of(values: pa.Array[Any]) -> list[str]:
    """Values of any column; "missing" where there is none."""
    if not is_category_type(values.type):
        return [category_text(pa.string(), None if value is None else str(value)) for value in values.to_pylist()]
    plain = plain_values(values)
    texts = ((value, category_text(plain.type, value)) for value in categories_of(plain))
    return [
        shorten_float(value, text.removesuffix(".0")) if isinstance(value, float) else text for value, text in texts
    ]


def category_text(type_: pa.DataType, category: Category) -> str:
    """A category of a categorical column of this Arrow type."""
    if category is MISSING:
        return "missing"
    values = value_type(type_)
    if pa.types.is_temporal(values) and isinstance(category, int):
        return DatetimeCodec(values, 0).show(category)
    text = printable(category if isinstance(category, str) else str(category))
    return text if len(text) <= LONGEST_CATEGORY else text[: LONGEST_CATEGORY - 3] + "..."


def html_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts as HTML."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def type_name(type_: pa.DataType) -> str:
    """A type for people: "float64" where Arrow says "double"."""
    if pa.types.is_dictionary(type_):
        return f"dictionary of {type_name(type_.value_type)}"
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(type_), str(type_))
