"""Declared and inferred columns: which take part, of which kind, with which settings of their own."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

import pyarrow as pa

from gpuvgm.config import EncodingRules, FitConfig
from gpuvgm.errors import InputError

Setting = str | int | float | bool | None
Declared = Sequence[str] | Mapping[str, str | Mapping[str, Any]] | None
Explain = Callable[[str], str | None]

KINDS = ("continuous", "drop")
LATER_KINDS = ("mixed", "categorical", "general", "pass")
LATER_OPTIONS = ("modal", "integer", "log", "categories", "clip", "unknown")


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column: its kind, why it has it, and what it sets for itself.

    Parameters
    ----------
    name : str
        The column.
    kind : {"continuous", "drop"}
        "drop" leaves the column out.
    reason : str
        "declared", or what the kind was inferred from.
    options : mapping
        Settings that win over the table's: standardize, tails, scale, floor, inf, n_components, weight_threshold,
        weight_concentration_prior, max_iter, tol, tol_per_row, effort. Not to be modified.
    """

    name: str
    kind: str = "continuous"
    reason: str = "declared"
    options: Mapping[str, Setting] = field(default_factory=dict)

    @classmethod
    def declare(cls, name: str, declared: str | Mapping[str, Any], reason: str = "declared") -> ColumnSpec:
        """Column from what the user says of it: a kind, or a mapping of kind and options.

        Raises
        ------
        InputError
            For an unknown kind, an unknown option or an impossible value; the message names the column.
        """
        if not isinstance(declared, (str, Mapping)):
            raise InputError(
                f'column "{name}": declare a kind or a dict of kind and options, not {type(declared).__name__}'
            )
        given = {"kind": declared} if isinstance(declared, str) else dict(declared)
        kind = _checked_kind(name, given.pop("kind", "continuous"))
        options = {key: _checked_option(name, key, value) for key, value in given.items()}
        if kind == "drop" and options:
            raise InputError(f'column "{name}": a dropped column has no options, got {", ".join(options)}')
        return cls(name, kind, reason, options)

    def fit_config(self, config: FitConfig) -> FitConfig:
        """The table's `config` with this column's own settings."""
        own = {key: value for key, value in self.options.items() if key in FitConfig.__dataclass_fields__}
        return replace(config, **own)  # type: ignore[arg-type]

    def encoding_rules(self, rules: EncodingRules) -> EncodingRules:
        """The table's `rules` with this column's own settings."""
        own = {key: value for key, value in self.options.items() if key in EncodingRules.__dataclass_fields__}
        return replace(rules, **own)  # type: ignore[arg-type]

    def inf(self, setting: str) -> str:
        """What infinite values are: "error" or "missing"; `setting` is the table's."""
        return str(self.options.get("inf", setting))

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"name": self.name, "kind": self.kind, "reason": self.reason, "options": dict(self.options)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ColumnSpec:
        """Column from what `to_json` gave, checked again."""
        declared = {"kind": document["kind"], **document["options"]}
        return cls.declare(str(document["name"]), declared, str(document["reason"]))


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The columns of a table, in the order of the source, dropped ones included.

    Parameters
    ----------
    columns : tuple of ColumnSpec
        The columns.
    """

    columns: tuple[ColumnSpec, ...]

    def __getitem__(self, name: str) -> ColumnSpec:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def used(self) -> tuple[ColumnSpec, ...]:
        """Columns that take part."""
        return tuple(column for column in self.columns if column.kind != "drop")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that take part."""
        return tuple(column.name for column in self.used)

    @classmethod
    def declare(
        cls, columns: Declared, arrow_schema: pa.Schema, source_name: str, explain: Explain | None = None
    ) -> TableSchema:
        """Columns of a source.

        Parameters
        ----------
        columns : None, sequence of str, or mapping
            None takes every column, and each must be numeric. Names take those columns and no other. A mapping of name
            to kind, or to a dict of kind and options, declares some columns; the others are inferred as with None.
        arrow_schema : pyarrow.Schema
            The source's columns.
        source_name : str
            The source, for messages.
        explain : callable, optional
            Called with the name of a column that is not numeric; says where its text comes from, if that is known.

        Raises
        ------
        InputError
            For names that are not there, columns that are no numbers, or when no column is left.
        """
        declared = _declarations(columns)
        _check_there(declared, arrow_schema.names, source_name)
        if isinstance(columns, Mapping) or columns is None:
            specs = _with_inferred(declared, arrow_schema, source_name, explain)
        else:
            specs = list(declared.values())
        for spec in specs:
            _check_numeric(spec, arrow_schema.field(spec.name).type, source_name, explain)
        schema = cls(tuple(specs))
        if not schema.used:
            raise InputError(f"{source_name}: no column is left to fit; it has {_quoted(arrow_schema.names)}")
        return schema

    def to_json(self) -> list[dict[str, Any]]:
        """JSON-able form."""
        return [column.to_json() for column in self.columns]

    @classmethod
    def from_json(cls, document: Iterable[Mapping[str, Any]]) -> TableSchema:
        """Schema from what `to_json` gave."""
        return cls(tuple(ColumnSpec.from_json(column) for column in document))


def is_numeric(type_: pa.DataType) -> bool:
    """Whether this version fits columns of the type: integers, floating-point numbers, and columns without values."""
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_null(type_))


def _declarations(columns: Declared) -> dict[str, ColumnSpec]:
    """What the user said, by name."""
    if columns is None:
        return {}
    if isinstance(columns, str):
        raise InputError(f'columns="{columns}": give a list of names, ["{columns}"]')
    if isinstance(columns, Mapping):
        items = [(name, declared) for name, declared in columns.items()]
    elif isinstance(columns, Sequence):
        items = [(name, "continuous") for name in columns]
    else:
        raise InputError(f"columns: give a list of names or a dict of name and kind, not {type(columns).__name__}")
    for name, _ in items:
        if not isinstance(name, str):
            raise InputError(f"columns: names are strings, got {name!r}")
    double = [name for name, count in Counter(name for name, _ in items).items() if count > 1]
    if double:
        raise InputError(f"columns: {_quoted(double)} given more than once; name every column once")
    return {name: ColumnSpec.declare(name, declared) for name, declared in items}


def _with_inferred(
    declared: Mapping[str, ColumnSpec], arrow_schema: pa.Schema, source_name: str, explain: Explain | None
) -> list[ColumnSpec]:
    """Declared columns and, for the others, what their types say; in the order of the source."""
    foreign = [f for f in arrow_schema if f.name not in declared and not is_numeric(f.type)]
    if foreign:
        some = ", ".join(f'"{f.name}" ({f.type})' for f in foreign[:20])
        more = f" and {len(foreign) - 20} more" if len(foreign) > 20 else ""
        numeric = [f.name for f in arrow_schema if is_numeric(f.type)]
        remedy = f"name the numeric ones: {_naming(numeric)}" if numeric else "there is none to fit"
        dropping = f', or declare the others "{KINDS[1]}"' if declared else ""
        counts = f"{len(foreign)} of {len(arrow_schema)} columns {'is' if len(foreign) == 1 else 'are'} not numeric"
        raise InputError(f"{source_name}: {counts}: {some}{more}; {remedy}{dropping}{_strays(foreign, explain)}")
    return [declared.get(f.name) or ColumnSpec(f.name, "continuous", f"numeric column: {f.type}") for f in arrow_schema]


def _naming(names: Sequence[str], limit: int = 5) -> str:
    """How to name columns, in Python and on the command line."""
    more = ",…" if len(names) > limit else ""
    return f"columns=[{_quoted(names, limit)}] or --columns {','.join(names[:limit])}{more}"


def _check_there(declared: Iterable[str], names: Sequence[str], source_name: str) -> None:
    for name in declared:
        if name not in names:
            raise InputError(f'{source_name}: no column "{name}"{_suggestion(name, names)}; it has {_quoted(names)}')


def _strays(foreign: Iterable[pa.Field[Any]], explain: Explain | None) -> str:
    """Where text stands in a column of numbers, for the first such column."""
    for one in foreign:
        found = explain(one.name) if explain is not None and pa.types.is_string(one.type) else None
        if found:
            return f"; {found}: correct it, or leave the cell empty if it is missing"
    return ""


def _check_numeric(spec: ColumnSpec, type_: pa.DataType, source_name: str, explain: Explain | None) -> None:
    if spec.kind != "drop" and not is_numeric(type_):
        raise InputError(
            f'{source_name}: column "{spec.name}" holds {type_} values; a continuous column holds integers or '
            "floating-point numbers: leave it out, or convert it first" + _strays([pa.field(spec.name, type_)], explain)
        )


def _checked_kind(name: str, kind: object) -> str:
    if kind in LATER_KINDS:
        raise InputError(f'column "{name}": kind "{kind}" is not in this version, which has {_quoted(KINDS)}')
    if not isinstance(kind, str) or kind not in KINDS:
        hint = _suggestion(str(kind), KINDS)
        raise InputError(f'column "{name}": kind {kind!r} is unknown{hint}; this version has {_quoted(KINDS)}')
    return kind


def check_settings(settings: Mapping[str, object]) -> None:
    """Check the settings of a whole table.

    Raises
    ------
    InputError
        For an impossible value; the message names the setting.
    """
    for key, option in _OPTIONS.items():
        try:
            option.take(settings[key])
        except ValueError:
            raise InputError(f"{key} must be {option.text}, got {settings[key]!r}") from None


def _checked_option(name: str, key: str, value: object) -> Setting:
    if key in LATER_OPTIONS:
        raise InputError(f'column "{name}": option "{key}" is not in this version')
    if key not in _OPTIONS:
        hint = _suggestion(str(key), list(_OPTIONS))
        raise InputError(f'column "{name}": option "{key}" is unknown{hint}; options: {", ".join(_OPTIONS)}')
    try:
        return _OPTIONS[key].take(value)
    except ValueError:
        raise InputError(f'column "{name}": {key} must be {_OPTIONS[key].text}, got {value!r}') from None


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers from `least` (without it if `open`) to below `end`; if `optional` also None, in a file "none"."""

    text: str
    least: float = 0.0
    end: float = math.inf
    open: bool = False
    whole: bool = False
    optional: bool = False

    def take(self, value: object) -> Setting:
        if self.optional and (value is None or value == "none"):
            return None
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            raise ValueError
        number = float(value)
        if not self.least <= number < self.end or (self.open and number == self.least):
            raise ValueError
        return int(number) if self.whole else number


@dataclass(frozen=True, slots=True)
class _Choices:
    """One of some values."""

    text: str
    values: tuple[Setting, ...]

    def take(self, value: object) -> Setting:
        if not any(type(value) is type(one) and value == one for one in self.values):
            raise ValueError
        return value  # type: ignore[return-value]


_OPTIONS: dict[str, _Numbers | _Choices] = {
    "standardize": _Choices('"auto", true or false', ("auto", True, False)),
    "tails": _Choices('"clip" or "exact"', ("clip", "exact")),
    "scale": _Numbers("a positive number", open=True),
    "floor": _Numbers('a number from 0 to below 1, or None ("none" in a file)', end=1.0, optional=True),
    "inf": _Choices('"error" or "missing"', ("error", "missing")),
    "n_components": _Numbers("a whole number from 1 to 255", least=1, end=256, whole=True),
    "weight_threshold": _Numbers("a number from 0 to below 1", end=1.0),
    "weight_concentration_prior": _Numbers("a positive number", open=True),
    "max_iter": _Numbers("a whole number, at least 1", least=1, whole=True),
    "tol": _Numbers("a number, at least 0"),
    "tol_per_row": _Numbers('a number, at least 0, or None ("none" in a file)', optional=True),
    "effort": _Choices('"best" or "research"', ("best", "research")),
}


def _suggestion(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {_quoted(close)}?" if close else ""


def _quoted(names: Sequence[str], limit: int = 20) -> str:
    text = ", ".join(f'"{name}"' for name in names[:limit])
    return text + (f" and {len(names) - limit} more" if len(names) > limit else "")
