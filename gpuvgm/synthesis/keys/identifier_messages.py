"""What users are told of columns that are not modelled."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping

import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.errors import InferenceWarning, declaration, listed, warn
from gpuvgm.io import plain_values_of
from gpuvgm.synthesis.keys.identifiers import MADE, IdentifierForm
from gpuvgm.synthesis.keys.key_search import NEARLY_AS_MANY
from gpuvgm.table import warnings_of_samples

_LOG = logging.getLogger("gpuvgm")

MOSTLY_ONCE = 0.95  # of the rows have a value of their own where identifiers do not repeat


def ways_of_unmodelled(model: TableModel, forms: Mapping[str, IdentifierForm]) -> dict[str, str]:
    """Descriptions of how values of unmodelled columns are made, by column."""
    ways = {column.name: MADE["number"] for column in model.identifiers if column.regenerate != "missing"}
    ways |= {column.name: "its one value" for column in model.categorical if not column.is_encoded}
    ways |= {name: MADE[form.kind] for name, form in forms.items()}
    ways |= {name: f"{ways[name]} that rise with {form.curve.column}" for name, form in forms.items() if form.curve}
    ways |= {name: f"{ways[name]}, one for each key" for name, form in forms.items() if form.key and form.patterns}
    return {column.name: ways.get(column.name, MADE["missing"]) for column in model.columns if not column.is_encoded}


def tell_of_samples(
    model: TableModel,
    forms: Mapping[str, IdentifierForm],
    attributes: Mapping[str, str],
    *,
    fitted_by_user: bool,
    network: bool = False,
) -> None:
    """Warn of choices that may not be wanted in samples, and log how columns are made that are not modelled.

    Where the user fitted the columns, that fit has warned of its choices.
    """
    lost = _left_out(model, forms)
    if lost:
        warn(describe_left_out(model, forms), InferenceWarning, ("lost", *lost))
    if model.real_values:
        warn(model.describe_real_values(), InferenceWarning)
    keys = [spec.name for spec in model.schema.columns if spec.kind == "id" and spec.regenerate == "key"]
    if text := _describe_inferred_keys(model, keys):
        warn(text, InferenceWarning, ("keys", *keys))
    if not fitted_by_user:
        numbered = [name for name, form in forms.items() if form.curve]  # as their table has them
        for text, cause in warnings_of_samples(model, [*lost, *keys, *numbered], network=network):
            warn(text, InferenceWarning, cause)
    if ways_of_unmodelled(model, forms):
        _LOG.info("%s", describe_unmodelled(model, forms, attributes))


def _describe_inferred_keys(model: TableModel, keys: Collection[str]) -> str:
    """What is said of keys that nobody declared, with the remedy; else empty."""
    inferred = {spec.name: spec.reason for spec in model.schema.columns if spec.name in keys and not spec.is_declared}
    if not inferred:
        return ""
    reasons = ", ".join(f'"{name}" ({reason})' for name, reason in inferred.items())
    remedy = declaration(inferred, {"keep": True})
    return (
        f"samples have new values of {reasons}, each of which names someone in several rows: declare {remedy} for the "
        'real ones, and {"key": True} for others such'
    )


def tell_of_numbers(model: TableModel, attributes: Mapping[str, str], rows: pa.Table) -> None:
    """Warn of whole numbers that nearly each key has others of in a sample: they may be numbers of these keys."""
    declared = {spec.name for spec in model.schema.columns if spec.is_declared}
    different = {name: len(plain_values_of(rows.column(name)).unique()) for name in {*attributes.values()}}
    columns = model.by_name
    numbers = [
        name
        for name, key in attributes.items()
        if pa.types.is_integer(columns[name].decoded_type)
        and name not in declared
        and not columns[name].numbers_things
        and len(rows.column(name).unique()) >= NEARLY_AS_MANY * different[key]
    ]
    if numbers:
        fact = f"samples may have real values of {listed(numbers)}: whole numbers of which nearly each key has others"
        remedy = declaration(numbers, {"key": True})
        warn(f"{fact}; declare {remedy} for new ones, where they name someone", InferenceWarning)


def tell_of_repeats(model: TableModel, rows: pa.Table) -> None:
    """Warn of declared identifiers that repeat in a sample, while samples have another one in each row."""
    ids = [spec.name for spec in model.schema.columns if spec.kind == "id" and spec.regenerate == "sequence"]
    values = {name: plain_values_of(rows.column(name)).drop_null() for name in ids if name in rows.column_names}
    repeated = [name for name, column in values.items() if len(column.unique()) < MOSTLY_ONCE * len(column)]
    if repeated:
        fact = f"samples have another value of {listed(repeated)} in each row, while values repeat in the table"
        warn(f"{fact}; declare {declaration(repeated, {'key': True})} for new ones in as many rows", InferenceWarning)


def describe_left_out(model: TableModel, forms: Mapping[str, IdentifierForm]) -> str:
    """Which columns have no values in samples though nobody declared it, with the remedy; else empty."""
    names = _left_out(model, forms)
    moments = [name for name in names if name in forms and forms[name].kind == "moment"]
    unmodelled = [name for name in names if name not in moments]
    sentences = []
    if moments:
        sentences.append(
            f"samples have no values of {listed(moments)}, which look like dates or times but are not read as such, so "
            'that none is made up: convert them first, or declare parse="day_first" or parse="month_first" where '
            "only that is open"
        )
    if unmodelled:
        sentences.append(
            f"samples have no values of {listed(unmodelled)}, which the model does not see: declare "
            f'"categorical" for the real ones, {declaration(unmodelled, {"key": True})} for new ones in their form, '
            'or "drop"'
        )
    return "; ".join(sentences)


def _left_out(model: TableModel, forms: Mapping[str, IdentifierForm]) -> list[str]:
    """Columns that have no values in samples, without those that are declared so."""
    ways, moments = ways_of_unmodelled(model, forms), {name for name, form in forms.items() if form.kind == "moment"}
    return [
        spec.name
        for spec in model.schema.columns
        if ways.get(spec.name) == MADE["missing"] and (not spec.is_declared or spec.name in moments)
    ]


def describe_unmodelled(model: TableModel, forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str]) -> str:
    """Description of how columns are made that are not modelled, or once for each key; empty without such."""
    unmodelled = [f"{name} ({how})" for name, how in ways_of_unmodelled(model, forms).items()]
    names_by_key = defaultdict[str, list[str]](list)
    for name, key in attributes.items():
        names_by_key[key].append(name)
    keys = [f"{', '.join(names)} (of each {key})" for key, names in names_by_key.items()]
    descriptions = {
        "columns that are not modelled": unmodelled,
        "columns with one value for each key": keys,
    }
    return "; ".join(f"{title}: {', '.join(texts)}" for title, texts in descriptions.items() if texts)
