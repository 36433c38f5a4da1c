"""Checks of a model's document when it is loaded: names, types, lengths and ranges of every part."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa

from gpuvgm.io.arrow_types import is_number_type, type_of

MOST = 2**63 - 1
MOST_TYPE = 100_000  # letters of the text of a type
_SHOWN = 60

Check = Callable[[Any, str], None]  # the value, and where it stands


def refuse(value: object, where: str, wanted: str) -> NoReturn:
    """Raise a ValueError that says what stands where, and what may."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # integers of very many digits, deep lists
        shown = f"a {type(value).__name__}"
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
    raise ValueError(f"{where} is {shown}, not {wanted}")


def text(value: Any, where: str) -> None:
    """Text that can be written as UTF-8."""
    if not isinstance(value, str):
        refuse(value, where, "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(value, where, "text that can be written as UTF-8")


def boolean(value: Any, where: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        refuse(value, where, "true or false")


def number(value: Any, where: str) -> None:
    """Any number that a float holds, infinities and NaN too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (isinstance(value, int) and abs(value) > MOST):
        refuse(value, where, "a number")


def anything(value: Any, where: str) -> None:
    """No check here: it is checked together with what stands beside it."""


def finite(value: Any, where: str) -> None:
    """A finite number that a float holds."""
    number(value, where)
    if not math.isfinite(value):
        refuse(value, where, "a finite number")


def positive(value: Any, where: str) -> None:
    """A finite number above 0."""
    finite(value, where)
    if value <= 0:
        refuse(value, where, "a number above 0")


def not_negative(value: Any, where: str) -> None:
    """A finite number of at least 0."""
    finite(value, where)
    if value < 0:
        refuse(value, where, "a number of at least 0")


def share(value: Any, where: str) -> None:
    """A number from 0 to below 1."""
    not_negative(value, where)
    if value >= 1:
        refuse(value, where, "a number below 1")


def whole(low: int = 0, high: int = MOST) -> Check:
    """A whole number between two others."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            refuse(value, where, f"a whole number from {low} to {high}")

    return check


def one_of(*values: str) -> Check:
    """One of these texts."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in values:
            refuse(value, where, f"one of {', '.join(values)}")

    return check


def optional(check: Check) -> Check:
    """None, or what the check lets pass."""

    def check_or_none(value: Any, where: str) -> None:
        if value is not None:
            check(value, where)

    return check_or_none


def listed(check: Check) -> Check:
    """A list of what the check lets pass."""

    def check_all(value: Any, where: str) -> None:
        if not isinstance(value, list):
            refuse(value, where, "a list")
        for position, part in enumerate(value):
            check(part, f"{where}[{position}]")

    return check_all


def mapped(check: Check) -> Check:
    """An object of any names, each with what the check lets pass."""

    def check_all(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            refuse(value, where, "an object")
        for name, part in value.items():
            text(name, f"a name in {where}")
            check(part, f"{where}: {name}")

    return check_all


@dataclass(frozen=True, slots=True)
class Record:
    """An object with these names and no others.

    Parameters
    ----------
    parts : mapping of str to Check
        What stands under each name.
    left_out : frozenset of str
        Names that older formats, or values that are the default, leave out.
    """

    parts: Mapping[str, Check]
    left_out: frozenset[str] = frozenset()

    def __call__(self, value: Any, where: str) -> None:
        """Check an object."""
        if not isinstance(value, dict):
            refuse(value, where, "an object")
        for name in value:
            if name not in self.parts:
                raise ValueError(f"{where} holds {name!r:.60}, which is not known")
        for name, check in self.parts.items():
            if name in value:
                check(value[name], f"{where}: {name}")
            elif name not in self.left_out:
                raise ValueError(f"{where} lacks {name}")


def arrow_type(value: Any, where: str) -> None:
    """The text of an Arrow type that a column may have."""
    text(value, where)
    if len(value) > MOST_TYPE:
        refuse(value, where, "an Arrow type")
    if "extension<" in value:  # of another library, such as pandas' intervals: told when its values are decoded
        return
    try:
        type_of(value)
    except RecursionError:
        refuse(value, where, "an Arrow type of moderate depth")


def number_type(value: Any, where: str) -> None:
    """The text of an Arrow type of numbers, decimals or datetimes."""
    arrow_type(value, where)
    if not is_number_type(type_of(value)):
        refuse(value, where, "an Arrow type of numbers")


def level(value: Any, where: str) -> None:
    """A level: text, a boolean, a number other than NaN, or None for missing values."""
    if isinstance(value, str):
        text(value, where)
    elif value is not None and not isinstance(value, bool):
        if not isinstance(value, (int, float)) or value != value or (isinstance(value, int) and abs(value) >= 2**64):
            refuse(value, where, "a level")


WIDE = 10**38  # a decimal of 38 digits
CODECS = {
    "float": Record(
        {"name": text, "type": number_type, "infinite_is_missing": boolean, "integer": boolean}, frozenset({"integer"})
    ),
    "integer": Record({"name": text, "type": number_type, "base": whole(-(2**63), 2**64 - 1)}),
    "datetime": Record({"name": text, "type": number_type, "base": whole(-MOST)}),
    "decimal": Record(
        {"name": text, "type": number_type, "base": whole(1 - WIDE, WIDE - 1), "integer": boolean},
        frozenset({"integer"}),
    ),
}


def codec(value: Any, where: str) -> None:
    """A codec, and at most one logarithm around it."""
    if isinstance(value, dict) and value.get("name") == "log":
        Record({"name": text, "inner": plain_codec, "low": anything})(value, where)
        low = value["low"]
        if low is not None:
            codec_value(value["inner"], low, f"{where}: low")
    else:
        plain_codec(value, where)


def plain_codec(value: Any, where: str) -> None:
    """A codec that is no logarithm."""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in CODECS:
        refuse(value, where, f"a codec ({', '.join(CODECS)} or log)")
    CODECS[name](value, where)


def codec_value(document: Mapping[str, Any], value: Any, where: str, *, infinite: bool = False) -> None:
    """A value in the unit of a codec, whose document was checked: a float for floats, else an integer of the type."""
    inner = document["inner"] if document["name"] == "log" else document
    if inner["name"] == "float":
        number(value, where)
        if math.isnan(value) or (math.isinf(value) and not infinite):
            refuse(value, where, "a value of the column")
        return
    whole(*_ends(type_of(inner["type"])))(value, where)


def _ends(type_: pa.DataType) -> tuple[int, int]:
    """Least and largest integer of a type, in its own unit."""
    if pa.types.is_decimal(type_):
        return 1 - 10**type_.precision, 10**type_.precision - 1
    bits = type_.bit_width
    if pa.types.is_unsigned_integer(type_):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


FIT = Record(
    {
        "algorithm": one_of("summary", "exact", "none"),
        "rows": whole(),
        "missing": whole(),
        "iterations": whole(),
        "converged": boolean,
        "lower_bound": number,
        "fit_error": number,
        "cells": whole(),
        "refinements": whole(),
        "effort": one_of("research", "best"),
        "bound_with_fewer": optional(number),
    },
    frozenset(
        {"iterations", "converged", "lower_bound", "fit_error", "cells", "refinements", "effort", "bound_with_fewer"}
    ),
)
RULES = Record(
    {
        "scale": positive,
        "tails": one_of("clip", "exact"),
        "floor": optional(share),
        "precision": one_of("float64", "float32"),
    },
    frozenset({"precision"}),
)
POSTERIOR = Record(
    {
        "sticks": listed(listed(positive)),
        "mean_precision": listed(positive),
        "means": listed(finite),
        "degrees_of_freedom": listed(positive),
        "covariances": listed(positive),
    }
)
MIXTURE = Record(
    {
        "frame": Record({"scale": positive, "centre": finite}),
        "posterior": POSTERIOR,
        "centres": listed(finite),
        "counts": listed(not_negative),
        "active": listed(boolean),
        "active_counts": listed(not_negative),
    }
)
NUMBERS = Record(
    {
        "name": text,
        "kind": one_of("continuous", "mixed"),
        "codec": codec,
        "rules": RULES,
        "mixture": optional(MIXTURE),
        "modal_values": listed(anything),
        "modal_counts": listed(whole()),
        "order": listed(whole(0, 2**16)),
        "minimum": anything,
        "maximum": anything,
        "fit": FIT,
    },
    frozenset({"modal_counts"}),
)
WRITTEN_BESIDE = {"has_scalar": boolean, "width": whole()}  # of the kind, not of the column: not read
LEVELS = Record(
    {
        **WRITTEN_BESIDE,
        "name": text,
        "kind": one_of("categorical"),
        "type": arrow_type,
        "levels": listed(level),
        "counts": listed(whole()),
        "first_rows": listed(whole(-1)),
        "unknown": one_of("error", "ignore"),
        "dictionary": optional(listed(level)),
        "declared": boolean,
        "fit": FIT,
    },
    frozenset(WRITTEN_BESIDE),
)
RANGE = Record(
    {
        **WRITTEN_BESIDE,
        "name": text,
        "kind": one_of("general"),
        "codec": codec,
        "minimum": anything,
        "maximum": anything,
        "margin": not_negative,
        "clip": boolean,
        "fit": FIT,
    },
    frozenset(WRITTEN_BESIDE),
)
PASSED = Record(
    {**WRITTEN_BESIDE, "name": text, "kind": one_of("pass"), "type": arrow_type, "fit": FIT}, frozenset(WRITTEN_BESIDE)
)
COLUMNS: Mapping[str, Record] = {
    "continuous": NUMBERS,
    "mixed": NUMBERS,
    "categorical": LEVELS,
    "general": RANGE,
    "pass": PASSED,
}


def check_column(document: Any, where: str) -> None:
    """Check a column's document; `model_trial` checks whether its parts fit together.

    Raises
    ------
    ValueError
        Saying what is wrong, and where.
    """
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in COLUMNS:
        refuse(document, where, f"a column ({', '.join(COLUMNS)})")
    name = document.get("name")
    place = f'column "{name}"' if isinstance(name, str) else where
    COLUMNS[kind](document, place)
    if "codec" in document:
        _check_values(document, place)


def _check_values(document: Mapping[str, Any], where: str) -> None:
    """Check values against the codec: the range's ends, both or none, and modal values."""
    low, high = document["minimum"], document["maximum"]
    if (low is None) != (high is None):
        raise ValueError(f"{where} has one end of its range only")
    if low is not None:
        codec_value(document["codec"], low, f"{where}: minimum")
        codec_value(document["codec"], high, f"{where}: maximum")
        if low > high:
            raise ValueError(f"{where}: minimum is above maximum")
    modal = document.get("modal_values", [])
    for value in modal:
        if value is not None:
            codec_value(document["codec"], value, f"{where}: modal_values", infinite=True)
    if len(set(modal)) < len(modal):
        raise ValueError(f"{where} has a modal value twice")


COLUMN_SPEC = Record({"name": text, "kind": text, "reason": text, "options": mapped(anything)})
MODEL = Record(
    {
        "format": whole(1),
        "library": text,
        "version": text,
        "created": text,
        "settings": mapped(anything),
        "schema": listed(COLUMN_SPEC),
        "seed": whole(0, 2**64 - 1),
        "rows": whole(),
        "source": mapped(anything),
        "columns": listed(anything),
        "summaries": mapped(text),
        "failed": mapped(text),
    },
    frozenset({"library", "version", "created", "failed"}),
)
MOST_DEPTH = 32


def check_model(document: Any) -> None:
    """Check all of a model's document but its columns.

    Raises
    ------
    ValueError
        Saying what is wrong, and where.
    """
    _check_plain(document)
    MODEL(document, "the model")
    for part in ("columns", "schema"):
        names = [column.get("name") for column in document[part] if isinstance(column, dict)]
        if len({str(name) for name in names}) < len(names):
            raise ValueError(f"{part} has a name twice")


def _check_plain(document: Any) -> None:
    """Refuse deep nesting, and text and whole numbers that cannot be written or shown."""
    level = [document]
    for _ in range(MOST_DEPTH):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise ValueError("the model is nested too deeply")


def _parts(value: Any) -> list[Any]:
    """What a value holds; the value itself is checked."""
    if isinstance(value, dict):
        for name in value:
            text(name, "a name")
        return list(value.values())
    if isinstance(value, str):
        text(value, "a text")
    elif isinstance(value, int) and abs(value) > WIDE:
        refuse(value, "a value", "a whole number of at most 38 digits")
    return value if isinstance(value, list) else []
