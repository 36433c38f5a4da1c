"""Which forms columns have that are not modelled, as a sample of the rows shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.io import plain_values_of
from gpuvgm.synthesis.keys.attributes import find_attributes
from gpuvgm.synthesis.keys.dated_forms import CodeSearch, CodeTexts
from gpuvgm.synthesis.keys.identifier_levels import levels_of_attributes, levels_of_keys
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.key_search import Claims, keys_that_determine, trees_of_keys
from gpuvgm.synthesis.keys.keys import KeyLayout
from gpuvgm.synthesis.keys.patterns import NUMBER, Pattern
from gpuvgm.synthesis.keys.text_forms import form_of_mails, identifier_form, shape_of_texts, texts_in


def find_forms(
    model: TableModel, rows: pa.Table, many: pa.Table, refuted: Claims = frozenset(), codes: CodeTexts | None = None
) -> tuple[dict[str, IdentifierForm], dict[str, str]]:
    """Forms of the columns that are not modelled, where a sample of the rows shows one, and attributes of keys.

    Columns that keys determine, such as names beside customer numbers, are made once for each key.

    Parameters
    ----------
    model : TableModel
        The fitted columns.
    rows : pyarrow.Table
        The sample that shows the forms.
    many : pyarrow.Table
        A larger sample, which says what keys determine and how many values are missing.
    refuted : set of (str, str)
        Columns of keys that do not determine another one, and columns whose dates another one does not hold, whatever
        the samples say.
    codes : CodeTexts, optional
        Which columns may hold dates of others, or codes of their categories; none by default.

    Returns
    -------
    forms : dict of str to IdentifierForm
        By column; see `IdentifierForm.refined`.
    attributes : dict of str to str
        Modelled columns that have one value for each key, each with the first column of these keys.
    """
    forms = _forms_by_themselves(model, rows, many, refuted)
    firsts = [names[0] for names in levels_of_keys(forms).values()]
    attributes = find_attributes(model.by_name, firsts, many, refuted)
    if codes is not None:
        search, of_levels = CodeSearch(model, rows, refuted, codes), levels_of_attributes(forms, attributes)
        forms = {name: search.form_of(name, form, _attributes_of(form, of_levels)) for name, form in forms.items()}
    lacking = {name: plain_values_of(many.column(name)).null_count for name in forms}
    of_rows = max(many.num_rows, 1)
    return {name: replace(form, missing=(lacking[name] << 32) // of_rows) for name, form in forms.items()}, attributes


def _attributes_of(form: IdentifierForm, of_levels: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[str] | None:
    """Attributes of the keys of a form, and of those above them; None where it is of no key."""
    if form.key is None:
        return None
    group, path = form.key.group, form.key.path(form.level)
    return [name for name, (of_group, levels) in of_levels.items() if of_group == group and levels[0] in path]


def _forms_by_themselves(
    model: TableModel, rows: pa.Table, many: pa.Table, refuted: Claims
) -> dict[str, IdentifierForm]:
    """Forms of columns without what other columns say of them."""
    identifiers = _identifiers_of(model, many)
    keys = {column.name: many.column(column.name) for column in identifiers if column.regenerate == "key"}
    forms: dict[str, IdentifierForm | None] = {
        column.name: identifier_form(rows.column(column.name), is_key=column.name in keys)
        or IdentifierForm("number", (Pattern(NUMBER),), largest=column.first - column.step)
        for column in identifiers
    }
    for column in model.columns:
        if column.kind == "pass" and column.name in rows.column_names:
            texts = texts_in(rows.column(column.name))
            forms[column.name] = form_of_mails(texts, shape_of_texts) or shape_of_texts(texts)
    dependents = {name: many.column(name) for name, form in forms.items() if form is not None and name not in keys}
    for name, (layout, level) in _levels_of_columns(keys, dependents, refuted).items():
        forms[name] = replace(forms[name] or IdentifierForm("missing"), key=layout, level=level)
    return {name: form for name, form in forms.items() if form is not None}


def _identifiers_of(model: TableModel, rows: pa.Table) -> list[Any]:
    """Columns of identifiers that have values in samples, those that stand for others first.

    The first column of a level of keys stands for it: one that most rows have, and that tells most of them apart.
    """
    identifiers = [column for column in model.identifiers if column.regenerate != "missing"]
    names = [column.name for column in identifiers if column.regenerate == "key"]
    different = {name: len(plain_values_of(rows.column(name)).unique()) for name in names}
    return sorted(identifiers, key=lambda column: (column.fit.missing, -different.get(column.name, 0)))


def _levels_of_columns(
    keys: Mapping[str, Any], dependents: Mapping[str, Any], refuted: Claims
) -> dict[str, tuple[KeyLayout, int]]:
    """Layout and level of each column of keys, and of the dependents that such a column determines."""
    levels = trees_of_keys(keys, refuted)
    firsts = {level: name for name, level in reversed(levels.items())}
    determined = keys_that_determine({name: keys[name] for name in firsts.values()}, dependents, refuted)
    return levels | {name: levels[key] for name, key in determined.items()}
