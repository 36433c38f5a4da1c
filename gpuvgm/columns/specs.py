"""One declared or inferred column: its kind, the settings of its own, and the request for its fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from gpuvgm.codecs import SCALES, Number, Value, different_texts, unread_values
from gpuvgm.columns.categories import is_category_type
from gpuvgm.columns.digits import are_whole, digits_of
from gpuvgm.columns.inference import Column, InferenceSettings, Sample, recognise
from gpuvgm.columns.mixture_model import EncodingRules
from gpuvgm.columns.options import (
    INFER,
    KIND_NAMES,
    MIXTURE,
    NUMBERS,
    Setting,
    checked_option,
    fitting_kind,
    holders,
    kinds_with,
    narrowed_kind,
    toml_text,
)
from gpuvgm.columns.text import type_name
from gpuvgm.columns.things import LOOKED_AT, number_things
from gpuvgm.config import RESEARCH_FLOOR, FitConfig
from gpuvgm.errors import InputError, listed, suggestion
from gpuvgm.io import is_datetime_type, is_number_type, is_plain_number_type, is_text_type, plain_type

SHAPES = {"integer", "modal", *SCALES}  # options that leave no scale to choose
INFERRED = "inferred"  # of a column in a file: what it was inferred to be, and why


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column: its kind, the reason for it, and its own settings.

    Parameters
    ----------
    name : str
        The column.
    kind : {"continuous", "mixed", "categorical", "general", "id", "drop", "pass", "infer"}
        "id" tells rows apart and is not modelled, "drop" leaves the column out, "pass" hands it on as it is; "infer"
        until a sample has decided.
    reason : str
        "declared", or what the kind was inferred from.
    options : mapping
        Settings that win over the table's, and those that only a column has. Continuous and mixed columns have
        standardize, tails, scale, floor, n_components, weight_threshold, weight_concentration_prior,
        max_iter, tol, tol_per_row, effort, modal and asinh; these and general columns have inf, integer, log, parse and
        na_values; general ones have clip; categorical ones have categories, unknown, max_categories, encoding and
        keep; identifiers have regenerate and key. Not to be modified.
    remark : str, optional
        Of text whose kind all rows are yet to decide: what its reason says beside the numbers, or "".
    expected : ColumnSpec, optional
        Of a column that is inferred again: what it was inferred to be, and is declared to be if it is no longer that.
    """

    name: str
    kind: str = "continuous"
    reason: str = "declared"
    options: Mapping[str, Setting] = field(default_factory=dict)
    remark: str | None = None
    expected: ColumnSpec | None = None

    @classmethod
    def declare(
        cls, name: str, declared: str | Mapping[str, Any] | ColumnSpec, reason: str | None = None
    ) -> ColumnSpec:
        """Declare a column by a kind, by a mapping of kind and options, or by what another fit or `kinds` made of it.

        Without a kind the options decide as far as they can: modal values make the column mixed, categories make it
        categorical. Modal values make a continuous column mixed, too. "key" is an "id" with the option key. The entry
        "inferred" of a mapping, which `to_toml` writes, says that kind and options are not declared, if they are still
        those that were inferred.

        Raises
        ------
        InputError
            For an unknown kind, an unknown option, an option of other kinds or an impossible value; the message names
            the column.
        """
        if isinstance(declared, ColumnSpec):
            return replace(declared, name=name).proposal
        if not isinstance(declared, (str, Mapping)):
            raise InputError(
                f'column "{name}": declare a kind or a dict of kind and options, not {type(declared).__name__}'
            )
        declaration = {"kind": declared} if isinstance(declared, str) else dict(declared)
        inference = str(declaration.pop(INFERRED, ""))
        if declaration.get("kind") == "key":
            declaration |= {"kind": "id", "key": True}
        kind = _checked_kind(name, declaration.pop("kind", INFER))
        options = {key: checked_option(name, key, value) for key, value in declaration.items()}
        if options.get("encoding") == "interval" and options.get("max_categories") is not None:
            raise InputError(
                f'column "{name}": option "max_categories" makes one-hot columns, encoding="interval" makes none: '
                "leave one of them out"
            )
        kind, kind_reason = (
            narrowed_kind(name, options) if kind == INFER else (fitting_kind(name, kind, options), "declared")
        )
        spec = cls(name, kind, kind_reason if reason is None else reason, options)
        is_unchanged = inference.startswith(f"{spec.choice}: ")
        return replace(spec, reason=inference).proposal if is_unchanged else spec

    @property
    def proposal(self) -> ColumnSpec:
        """The column for another fit: it is inferred again, and expected to be the same, unless it was declared."""
        if self.is_declared or self.kind == INFER:
            return self
        # Missing rows alone make a column mixed, and will again.
        kind = "continuous" if self.kind == "mixed" and "modal" not in self.options else self.kind
        return replace(ColumnSpec.declare(self.name, INFER), expected=ColumnSpec(self.name, kind, options=self.options))

    def accepts(self, inferred: ColumnSpec) -> bool:
        """Return whether an inferred spec is what was expected of the column, if anything was."""
        if self.expected is None:
            return True
        kinds = {self.expected.kind, inferred.kind}
        return (len(kinds) == 1 or kinds == {*MIXTURE}) and dict(self.expected.options) == dict(inferred.options)

    @property
    def choice(self) -> str:
        """Kind and options, by which a file tells whether what was inferred has been changed."""
        return ", ".join([self.kind, *(f"{key} = {toml_text(value)}" for key, value in self.options.items())])

    @property
    def toml(self) -> str:
        """The column in a file of columns: its kind, its options, and why it was inferred if it was."""
        if None in (self.categories or ()):
            raise InputError(f'column "{self.name}": categories holds None, which TOML cannot: declare it in Python')
        if self.is_declared and not self.options:
            return toml_text(self.kind)
        entries: dict[str, Setting] = {"kind": self.kind, **self.options}
        if not self.is_declared:
            entries[INFERRED] = f"{self.choice}: {self.reason}"
        return f"{{{', '.join(f'{key} = {toml_text(value)}' for key, value in entries.items())}}}"

    def inference_settings(self, settings: Mapping[str, Any], rows: int | None) -> InferenceSettings:
        """What inference recognises beside the type: nothing with the effort of the research code.

        Parameters
        ----------
        settings : mapping
            The table's settings.
        rows : int or None
            Rows of the source, where they are known.
        """
        if self.options.get("effort", settings["effort"]) == "research":
            return InferenceSettings()
        return InferenceSettings(
            texts=True,
            identifiers=True,
            rows=rows,
            components=self.fit_config(FitConfig.of(settings)).n_components,
            is_exact=self.options.get("tails", settings["tails"]) == "exact",
            parse=self.parse,
            na_values=self.na_values,
        )

    def fit_config(self, config: FitConfig) -> FitConfig:
        """The table's `config` with this column's own settings."""
        column_settings = {key: value for key, value in self.options.items() if key in FitConfig.__dataclass_fields__}
        return replace(config, **column_settings)  # type: ignore[arg-type]

    def encoding_rules(self, settings: Mapping[str, Any], effort: str) -> EncodingRules:
        """The table's settings with this column's own.

        Rules left to the effort are those of the research code, or those that bring every row back.
        """
        rules = {part: self.options.get(part, settings[part]) for part in EncodingRules.__dataclass_fields__}
        research = self.options.get("effort", effort) == "research"
        if rules["tails"] is None:
            rules["tails"] = "clip" if research else "modes"
        if rules["floor"] is None and "floor" not in self.options and research:
            rules["floor"] = RESEARCH_FLOOR
        rules["floor"] = rules["floor"] or None  # without one, components that are not active take no part
        return EncodingRules(**rules)

    def request(self, settings: Mapping[str, Any], *, final: bool = True) -> ColumnRequest:
        """Request for the column, from the table's settings and its own; a plan that is not final may be refuted."""
        table_config = FitConfig.of(settings)
        config = self.fit_config(table_config)
        every = settings.get("sample_rows") is None  # a step is checked on the rows that are read
        return ColumnRequest(
            self,
            config,
            self.encoding_rules(settings, table_config.effort),
            self.options.get("inf", settings["inf"]) == "missing",
            str(self.options.get("unknown", settings["unknown"])),
            self.encoding(table_config.effort),
            self.max_categories(settings.get("max_categories")),
            every and config.effort != "research",
            final or self.is_declared,
        )

    def encoding(self, effort: str) -> str:
        """Encoding of categories: the column's own, else one-hot with the research code, else by their number."""
        return str(self.options.get("encoding", "onehot" if effort == "research" else "auto"))

    def max_categories(self, setting: int | None) -> int | None:
        """Largest number of one-hot columns of categories; the table's `setting` does not count for intervals."""
        default = None if self.options.get("encoding") == "interval" else setting
        limit = self.options.get("max_categories", default)
        return None if limit is None else int(limit)  # type: ignore[arg-type]  # the option is a whole number

    @property
    def modal(self) -> tuple[Value, ...]:
        """Modal values as they were given: numbers, text for dates and decimals, None for missing."""
        return self._values_of("modal")

    @property
    def categories(self) -> tuple[Value, ...] | None:
        """Categories that were given, None among them for missing; None where the rows decide."""
        return self._values_of("categories") if "categories" in self.options else None

    @property
    def integer(self) -> bool:
        """True if decoded values are rounded to whole numbers."""
        return bool(self.options.get("integer", False))

    @property
    def parse(self) -> str | None:
        """Reading of text that can be read in several ways."""
        return str(self.options["parse"]) if "parse" in self.options else None

    @property
    def na_values(self) -> tuple[str, ...]:
        """Text that means a missing value."""
        return tuple(map(str, self._values_of("na_values")))

    @property
    def curve(self) -> tuple[str, Setting] | None:
        """The function of the values that is fitted, and its setting; None: the values themselves are."""
        return next(((name, self.options[name]) for name in SCALES if self.options.get(name)), None)

    @property
    def needs_lowest(self) -> bool:
        """True if the fitted function of the values depends on the least value of all rows."""
        return self.curve is not None and SCALES[self.curve[0]].needs_lowest

    @property
    def clip(self) -> bool:
        """True if values beyond the training range are clipped when encoded."""
        return bool(self.options.get("clip", False))

    @property
    def regenerate(self) -> str:
        """Values of rows without an identifier: "sequence" (running numbers), "key" (so too) or "missing"."""
        return "key" if self.options.get("key") else str(self.options.get("regenerate", "sequence"))

    @property
    def keeps(self) -> bool:
        """True if the values are categories however many there are, and samples have real ones."""
        return bool(self.options.get("keep", False))

    def numbers_things(self, values: Column) -> bool:
        """Whether values, which are text, number articles, books or places; see `gpuvgm.columns.things`."""
        return number_things(self.name, digits_of(values.slice(0, LOOKED_AT)).drop_null().to_pylist())

    @property
    def is_declared(self) -> bool:
        """True if the user declared the column's kind, at least by its options."""
        return self.says_declared(self.reason)

    @staticmethod
    def says_declared(reason: str) -> bool:
        """Whether a user declared a kind, by the reason for it."""
        return reason.startswith(("declared", "option "))

    @property
    def is_open(self) -> bool:
        """True if nothing of the column is declared, and its kind is yet to be inferred."""
        return self.kind == INFER and not self.options

    def is_like(self, spec: ColumnSpec | None) -> bool:
        """Return whether another spec gives the column the same kind and options."""
        return spec is not None and (self.kind, dict(self.options)) == (spec.kind, dict(spec.options))

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"name": self.name, "kind": self.kind, "reason": self.reason, "options": dict(self.options)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ColumnSpec:
        """Read a column that `to_json` wrote, and check it again."""
        declared = {"kind": document["kind"], **document["options"]}
        return cls.declare(str(document["name"]), declared, str(document["reason"]))

    def _values_of(self, key: str) -> tuple[Value, ...]:
        values = self.options.get(key)
        return tuple(values) if isinstance(values, list) else ()


@dataclass(frozen=True, slots=True)
class ColumnRequest:
    """Request for one column: how to fit and encode it.

    Parameters
    ----------
    spec : ColumnSpec
        Its kind and own options.
    config : FitConfig
        Settings of the fit.
    rules : EncodingRules
        Rules for its scalars.
    infinite_is_missing : bool
        Take infinities for missing values instead of refusing them.
    unknown : {"error", "ignore"}
        Treatment of a value that is no category.
    encoding : {"auto", "onehot", "interval"}
        Encoding of categories; see `CategoricalPlan`.
    max_categories : int, optional
        At most so many one-hot columns of categories.
    learns_steps : bool
        Whether to look for a step that its numbers lie on.
    is_final : bool
        Whether what the sample says is not looked at again where the rows refute it: the user declared the kind, or
        this is the second plan.
    lowest : int or float, optional
        For log columns: the smallest ordinary value of all rows.
    """

    spec: ColumnSpec
    config: FitConfig
    rules: EncodingRules
    infinite_is_missing: bool = False
    unknown: str = "error"
    encoding: str = "auto"
    max_categories: int | None = None
    learns_steps: bool = False
    is_final: bool = True
    lowest: Number | None = None

    @property
    def keeps_dust(self) -> bool:
        """True if multiples of the step with floating-point noise come back with the noise."""
        return self.spec.is_declared or self.rules.tails == "exact"

    @property
    def name(self) -> str:
        """The column."""
        return self.spec.name


def _checked_kind(name: str, kind: object) -> str:
    if not isinstance(kind, str) or kind not in (*KIND_NAMES, INFER):
        hint = suggestion(str(kind), KIND_NAMES) or ";"
        raise InputError(f'column "{name}": kind {kind!r} is unknown{hint} kinds: {listed(KIND_NAMES)}')
    return kind


def with_kind(spec: ColumnSpec, column: Column, source_name: str, settings: InferenceSettings) -> ColumnSpec:
    """A column with its kind, which its type and its options allow."""
    where = f'{source_name}: column "{spec.name}"'
    sample = _sample(spec, column, settings)
    if spec.kind == INFER:
        spec = _with_inferred_kind(spec, sample, where)
    elif spec.kind in NUMBERS and not is_number_type(column.type) and sample.form is None:
        raise InputError(_no_number(spec, column, where))
    elif spec.kind == "categorical" and not is_category_type(column.type):
        raise InputError(
            f"{where} holds {type_name(column.type)} values; a categorical column holds text, numbers, dates, times or "
            'booleans: declare it "pass" or "drop", or convert it first'
        )
    elif spec.kind == "id" and not _can_identify(column):
        raise InputError(
            f"{where} holds {type_name(column.type)} values; an identifier holds whole numbers or text: declare it "
            '"pass" or "drop", or convert it first'
        )
    elif spec.kind == "mixed" and "modal" not in spec.options:
        spec = _with_spikes(spec, sample, where)
    form = sample.form if spec.kind in NUMBERS and spec.curve else None
    _check_type_options(spec, column.type if form is None else form.value_type, where)
    return spec


def _sample(spec: ColumnSpec, column: Column, settings: InferenceSettings) -> Sample:
    """Sample for recognisers, which keep to what was declared."""
    options, is_open = spec.options, spec.kind == INFER
    settings = replace(
        settings,
        identifiers=settings.identifiers and is_open and not options,
        categorical=is_open and "categorical" in kinds_with(options),
        spikes="modal" not in options,
        components=settings.components if is_open and not SHAPES & options.keys() else None,
    )
    return Sample(column, settings, spec.name if is_open and not options else None)


def _with_inferred_kind(spec: ColumnSpec, sample: Sample, where: str) -> ColumnSpec:
    """Kind from the sample, among those that have the column's options."""
    finding = recognise(sample)
    foreign = [option for option in spec.options if finding.kind not in kinds_with([option])]
    if foreign:
        raise InputError(
            f'{where} is "{finding.kind}" ({finding.reason}) and has no option "{foreign[0]}", which '
            f"{holders(foreign[0])} have: leave the option out, or convert the column first"
        )
    return ColumnSpec(spec.name, finding.kind, finding.reason, {**spec.options, **finding.options}, finding.remark)


def _with_spikes(spec: ColumnSpec, sample: Sample, where: str) -> ColumnSpec:
    """A mixed column without modal values with those that the sample shows."""
    type_ = sample.column.type
    if is_datetime_type(type_) or pa.types.is_decimal(type_):
        raise InputError(
            f"{where} holds {type_name(type_)} values; a mixed column of these needs its modal values: declare "
            '{"kind": "mixed", "modal": [...]}, or "continuous"'
        )
    finding = recognise(sample)
    if finding.kind == "mixed":
        return replace(spec, reason=f"{spec.reason}; {finding.reason}", options={**spec.options, **finding.options})
    return replace(spec, reason=f"{spec.reason}; no value stands out in the sample")


def _can_identify(column: Column) -> bool:
    """Return whether an identifier can hold the values: whole numbers, which floats and decimals may be, and text."""
    type_ = plain_type(column.type)
    is_of_numbers = pa.types.is_floating(type_) or pa.types.is_decimal(type_)
    return is_text_type(type_) or bool(pa.types.is_integer(type_)) or (is_of_numbers and are_whole(column))


def _no_number(spec: ColumnSpec, column: Column, where: str) -> str:
    """Message on why a column cannot have its kind of numbers, with a remedy."""
    type_ = column.type
    hint = unread_values(different_texts(column)) if is_text_type(type_) else ""
    why = "" if spec.reason == "declared" else f" ({spec.reason})"
    if pa.types.is_decimal256(type_):
        remedy = 'convert it to decimal128 or to floating-point numbers, or declare it "pass" or "drop"'
    else:
        kinds = ('"categorical", ' if is_category_type(type_) else "") + '"pass" or "drop"'
        remedy = f"declare it {kinds}, or convert it first"
    return (
        f'{where} holds {type_name(type_)} values; a "{spec.kind}" column{why} holds numbers, decimals, dates or '
        f"times: {remedy}{f'; {hint}' if hint else ''}"
    )


def _check_type_options(spec: ColumnSpec, type_: pa.DataType, where: str) -> None:
    """Refuse options that mean nothing for a column's type."""
    curves = [name for name in SCALES if spec.options.get(name)]
    if curves and is_datetime_type(type_):
        raise InputError(
            f'{where} holds {type_name(type_)} values; option "{curves[0]}" is for amounts, not for dates, times and '
            "durations: leave it out, or convert the column to numbers first"
        )
    if len(curves) > 1:
        raise InputError(
            f'{where}: option "{curves[0]}" is for amounts, and not for option "{curves[1]}": leave one of them out'
        )
    if spec.integer and not is_plain_number_type(type_) and not pa.types.is_null(type_):
        raise InputError(
            f'{where} holds {type_name(type_)} values; option "integer" is for floating-point numbers: leave it out'
        )
