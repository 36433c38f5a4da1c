"""Stages from the rows of a table to a model of its keys and their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn
from gpuvgm.errors import InputError, suggestion
from gpuvgm.execution import any_source
from gpuvgm.io import Source, is_number_type
from gpuvgm.summary import Ints
from gpuvgm.synthesis.keys import KeyLayout
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings, fitted_columns, learn_rows
from gpuvgm.synthesis.sequences.model import SequenceModel
from gpuvgm.synthesis.sequences.plan import COUNT, HAS_KEY, PLACE, REMAINING, SequencePlan, before, plan_of, since
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.tables import SequenceTables
from gpuvgm.synthesis.sequences.totals import laws_of_keys

LEAST_KEYS = 5  # that have a number of rows which samples have


def learn_sequences(table: Source, settings: SynthesizerSettings) -> SequenceModel:
    """A model of the rows of a table, which belong to keys.

    Raises
    ------
    InputError
        For columns that the table lacks, fewer than five keys, and keys of which none has several rows.
    """
    key, index = _checked_columns(table, settings)
    settings = replace(settings, columns=_with_key(table, settings, key, index))
    transformer = fitted_columns(settings, table)
    columns = transformer.model_.by_name
    rows = _rows_of(table, key, index)
    plan = plan_of(rows, key, index, columns)
    _check_names(table, plan)
    tables = SequenceTables.of(rows, plan, columns)
    schema, of_table = transformer.schema_, replace(settings, conditions_on=())
    of_keys = _model(tables.keys, columns, schema, plan, {key: "id"}, replace(of_table, given=(COUNT,)))
    of_rows = replace(
        of_table,
        given=tuple(name for name in tables.steps.schema.names if name not in plan.drawn and name != key),
        conditions_on=_drawn_first(plan),
        laws=[*_texts(settings.laws), *plan.laws],
    )
    of_steps = _model(tables.steps, columns, schema, plan, {key: {"key": True}}, of_rows)
    # Which keys are missing is a column of its own, as only those of one row may be.
    forms = {name: replace(form, missing=0) if name == key else form for name, form in of_keys.forms.items()}
    return SequenceModel(
        transformer,
        plan,
        layout_of(rows.counts, key),
        replace(of_keys, forms=forms),
        _without_key(of_steps, key),
        laws_of_keys(rows, plan, columns),
    )


def _texts(laws: Any) -> list[str]:
    """Laws as a list of texts."""
    return [laws] if isinstance(laws, str) else [*laws]


def _checked_columns(table: Source, settings: SynthesizerSettings) -> tuple[str, str | None]:
    """Columns of keys and of the order of their rows."""
    key, index = settings.sequence_key, settings.sequence_index
    assert key is not None
    for parameter, name in (("sequence_key", key), ("sequence_index", index)):
        if name is not None and name not in table.schema.names:
            near = suggestion(name, table.schema.names)
            raise InputError(f'{parameter}: {table.name} has no column "{name}"{near}')
    if key == index:
        raise InputError(f'sequence_index: "{key}" is the column of the keys: give the column that orders their rows')
    if not all(isinstance(law, str) for law in _texts(settings.laws)):
        raise InputError("laws: with sequence_key give texts, not objects, which judge each row by itself")
    if settings.columns is not None and not isinstance(settings.columns, Mapping):
        raise InputError("columns: with sequence_key give None or a dict, not a list or a fitted transformer")
    return key, index


def _with_key(table: Source, settings: SynthesizerSettings, key: str, index: str | None) -> dict[Any, Any]:
    """Declared columns: keys are keys, and an index of numbers is counted, however few values it has."""
    declared: dict[Any, Any] = {key: {"key": True}, **(settings.columns or {})}
    if index is not None and is_number_type(table.schema.field(index).type):
        declared.setdefault(index, "continuous")
    return declared


def _rows_of(table: Source, key: str, index: str | None) -> KeyRows:
    """All rows, key after key."""
    rows = KeyRows.read(table, key, index)
    if len(rows.starts) < LEAST_KEYS:
        raise InputError(
            f'sequence_key: {table.name} has {len(rows.starts)} keys in "{key}"; samples of fewer than {LEAST_KEYS} '
            "would tell of each: give the column of finer keys, or no sequence_key"
        )
    if len(rows.starts) == rows.table.num_rows:
        raise InputError(
            f'sequence_key: each value of "{key}" has one row: give the column whose values several rows share, or no '
            "sequence_key"
        )
    return rows


def _check_names(table: Source, plan: SequencePlan) -> None:
    """Refuse columns that have the name of one that is made."""
    taken_names = sorted(plan.reserved.intersection(table.schema.names))
    if taken_names:
        raise InputError(f'column "{taken_names[0]}": the name is that of a column made for sequences: rename it')


def _model(
    table: pa.Table,
    columns: Mapping[str, FittedColumn],
    schema: Any,
    plan: SequencePlan,
    declared: Mapping[str, Any],
    settings: SynthesizerSettings,
) -> RowModel:
    """Model of a table that is made, given columns that are not drawn.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    columns : mapping of str to FittedColumn
        The fitted columns of the table that it is made of.
    schema : TableSchema
        Their kinds.
    plan : SequencePlan
        What it is made by.
    declared : mapping of str to object
        Columns that are declared in another way.
    settings : SynthesizerSettings
        What the user asks for, and which columns are not drawn.
    """
    originals = {before(name): name for name in plan.asked}
    kinds = {
        name: _kind(name, plan) or _like(originals.get(name, name), columns, schema, lacks_some=name in originals)
        for name in table.schema.names
    }
    settings = replace(settings, columns={**kinds, **declared})
    source = any_source(table)
    transformer = fitted_columns(settings, source)
    encoded = {column.name for column in transformer.model_.columns if column.is_encoded}
    given = tuple(name for name in settings.given if name in encoded)
    return learn_rows(transformer, source, replace(settings, given=given))


def _like(name: str, columns: Mapping[str, FittedColumn], schema: Any, *, lacks_some: bool) -> Any:
    """How a column is declared that has values of another one, of which any may be lacking, and rows may lack all."""
    column = columns.get(name)
    if not isinstance(column, CategoricalColumn):
        return schema[name]
    values = [None if category is MISSING else category for category in column.categories]
    return {"kind": "categorical", "categories": [*values, *([None] if lacks_some and None not in values else [])]}


def _drawn_first(plan: SequencePlan) -> tuple[str, ...]:
    """Of a row when it is comes first, which no law computes."""
    if plan.index in dict(plan.running) or not plan.index:
        return ()
    return (since(plan.index),) if plan.index in plan.moving else (plan.index,)


def _kind(name: str, plan: SequencePlan) -> Any:
    """How a column is declared that has no counterpart in the table."""
    if name in (COUNT, PLACE, REMAINING):
        return {"kind": "continuous", "integer": True}
    if name == HAS_KEY or name in {usual.name for usual in plan.usual}:
        return "categorical"
    return "continuous" if name in map(since, plan.moving) else None


def _without_key(model: RowModel, key: str) -> RowModel:
    """The model without what keys decide of it: all that is given to rows, and not drawn again."""
    forms = {name: form for name, form in model.forms.items() if name != key}
    attributes = {name: first for name, first in model.attributes.items() if first != key}
    structure, rows_per_key = model.network.structure, model.network.rows_per_key
    habits = tuple(habit for habit in structure.habits if habit.key != key)
    network = replace(
        model.network,
        structure=replace(structure, habits=habits),
        rows_per_key={name: rows for name, rows in rows_per_key.items() if name in attributes},
    )
    return replace(model, forms=forms, attributes=attributes, network=network)


def layout_of(counts: Ints, key: str) -> KeyLayout:
    """Distribution of rows per key; numbers of rows that few keys have are their means in groups."""
    ordered = np.sort(counts)
    # A group ends where a number of rows ends, at least five keys are in it, and five are left or none.
    ends = np.flatnonzero(np.append(np.diff(ordered) > 0, True)) + 1
    begin, sizes = 0, dict[int, int]()
    for end in ends.tolist():
        left = len(ordered) - end
        if end - begin >= LEAST_KEYS and (left >= LEAST_KEYS or not left):
            size = round(float(ordered[begin:end].mean()))
            sizes[size] = sizes.get(size, 0) + end - begin
            begin = end
    return KeyLayout(key, rows=int(counts.sum()), sizes=tuple(sizes), keys=tuple(sizes.values()), columns=((key,),))
