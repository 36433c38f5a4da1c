"""Stages from the rows of a table to a model of its keys and their rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn, TableModel
from gpuvgm.errors import InferenceWarning
from gpuvgm.execution import any_source
from gpuvgm.io import Source
from gpuvgm.laws import Laws
from gpuvgm.synthesis.keys import tell_of_samples
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings, fitted_columns, learn_rows, read_twice
from gpuvgm.synthesis.sequences.checks import (
    check_finer_keys,
    check_form,
    check_keys,
    check_kinds,
    check_names_made,
    check_orders,
    check_plan,
    checked_columns,
    tell_of_order,
    with_key,
)
from gpuvgm.synthesis.sequences.kinds import kinds_of
from gpuvgm.synthesis.sequences.model import SequenceModel, layout_of, without_missing
from gpuvgm.synthesis.sequences.names import COUNT, since
from gpuvgm.synthesis.sequences.plan import SequencePlan, plan_of, with_counters
from gpuvgm.synthesis.sequences.sorting import RowOrder
from gpuvgm.synthesis.sequences.source import KeySample, rows_in_order
from gpuvgm.synthesis.sequences.tables import SequenceTables, with_first_steps
from gpuvgm.synthesis.sequences.totals import columns_of_laws, kept_laws, laws_of_keys
from gpuvgm.table import TableTransformer

SAMPLE_ROWS = 1 << 17  # of whole keys, that show of longer tables what is learnt


def learn_sequences(table: Source, settings: SynthesizerSettings) -> SequenceModel:
    """A model of the rows of a table, which belong to keys.

    Up to a million rows are held in memory. Of more, all is learnt of whole keys, those with the smallest hashes, and
    then counted of all rows, which are read in the order of the keys.

    Raises
    ------
    InputError
        For columns that the table lacks, fewer than five keys, and keys of which none has several rows.
    """
    key, index = checked_columns(table, settings)
    rule = settings.rule(table)
    with read_twice(table, rule) as rows:
        settings = replace(settings, columns=with_key(rows, settings, key, index))
        transformer = _fitted_in_any_order(settings, rows)
        check_kinds(transformer.model_.by_name, key, index)
        with rows_in_order(rows, key, index, transformer.model_.by_name, settings) as in_order:
            tell_of_order(rows, transformer.model_.by_name, index)
            order = RowOrder(key, index, None if index is None else transformer.model_.by_name[index])
            sample = KeySample.of(in_order, order, transformer.model_.by_name[key], SAMPLE_ROWS)
            if not settings.given:  # rows of parents that are few, or have one row each, are learnt as well
                check_keys(table, key, sample)
            declared = with_counters(sample.rows, settings.columns, transformer.model_.by_name, index)
            if declared != settings.columns:
                settings = replace(settings, columns=declared)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", InferenceWarning)  # of the same columns
                    transformer = _fitted_in_any_order(settings, rows)
            plan = plan_of(sample.rows, key, index, transformer.model_.by_name, settings.given, settings.forgotten)
            if "auto" in settings.laws:
                plan = plan.without_computed_steps(sample.rows, transformer.model_.by_name)
            plan = with_first_steps(plan, sample.rows, transformer.model_.by_name)
            check_names_made(table, plan)
            check_plan(sample.rows, plan, settings)
            check_finer_keys(sample.rows, plan, transformer.model_)
            transformer._note_sequence(plan.key, plan.index)
            model = _model_of(transformer, sample, plan, settings)
    if rule is not None:
        transformer._note_hold_out(rule, table)
    tell_of_samples(model.table, model.forms, model.attributes, fitted_by_user=False)
    return model


def _fitted_in_any_order(settings: SynthesizerSettings, table: Source) -> TableTransformer:
    """The fitted columns, whose categories do not depend on the order of the rows."""
    transformer = fitted_columns(settings, table)
    columns = tuple(map(_in_order_of_texts, transformer.model_.columns))
    transformer.model_ = replace(transformer.model_, columns=columns)
    return transformer


def _in_order_of_texts(column: FittedColumn) -> FittedColumn:
    """The column with categories of equal frequency in the order of their texts, not in that of their first rows."""
    if not isinstance(column, CategoricalColumn):
        return column
    parts = zip(column.categories, column.counts, column.appearance, column.texts, strict=True)
    ordered = sorted(parts, key=lambda part: (-part[1], part[3]))
    categories, counts, appearance, _ = zip(*ordered, strict=True) if ordered else ((), (), (), ())
    return replace(column, categories=categories, counts=counts, appearance=appearance)


def _model_of(
    transformer: TableTransformer, sample: KeySample, plan: SequencePlan, settings: SynthesizerSettings
) -> SequenceModel:
    """A model of a sample of keys, with the counts of all rows."""
    columns, key = transformer.model_.by_name, plan.key
    tables = SequenceTables(sample.rows, plan, columns)
    laws, laws_of_rows = Laws.by_names(settings.laws, tables.keys.schema.names)
    check_orders(laws_of_rows, tables, plan)
    keys = _model(
        tables.keys, transformer.model_, plan, {key: "id"}, replace(settings, given=(COUNT, *plan.given), laws=laws)
    )
    check_form(keys, key)
    # Rows of one customer are one person's, however many orders they are of.
    plan = replace(plan, above=tuple(name for name in keys.keys_of_persons if name in plan.constants))
    tables, keys = SequenceTables(sample.rows, plan, columns), _without_keys(keys, plan.given)
    of_steps = replace(
        settings,
        given=tuple(name for name in tables.steps.schema.names if name not in (key, *plan.above, *plan.drawn)),
        conditions_on=_drawn_first(plan),
        undecided=(*(name for recency in plan.recencies for name in recency.drawn), *plan.taken_over),
        laws=[*laws_of_rows, *plan.laws],
    )
    declared = dict.fromkeys((key, *plan.above), {"key": True})
    steps = _without_keys(_model(tables.steps, transformer.model_, plan, declared, of_steps), (key, *plan.above))
    if plan.recencies and steps.attributes:  # what other keys of a row decide comes first, and back with these
        return _model_of(transformer, sample, replace(plan, recencies=()), settings)
    steps = _with_curves(steps, columns, sample, plan)
    totals = laws_of_keys(sample.rows, plan, columns)
    if (rows := sample.source) is not None:
        keys = keys.of_rows(rows.made(plan, columns, "keys", tables.keys.schema), settings)
        steps = steps.of_rows(rows.made(plan, columns, "steps", tables.steps.schema), settings)
        kept = partial(kept_laws, totals, columns)
        for laws_kept in rows.of_keys(columns_of_laws(key, totals), kept) if totals else ():
            totals = tuple(law for law in totals if law in laws_kept)
    layout = layout_of(sample.counts, key)
    model = SequenceModel(transformer, plan, layout, without_missing(keys, key), steps, totals)
    return model.free_of_laws(keys.kept_laws)


def _with_curves(
    steps: RowModel, columns: Mapping[str, FittedColumn], sample: KeySample, plan: SequencePlan
) -> RowModel:
    """The model of rows, with the times with which numbers rise that run on over all keys."""
    rows, in_all = sample.rows, sum(rows * keys for rows, keys in sample.counts.items())
    times = dict[str, FittedColumn]()
    for name in sorted(plan.asked, key=lambda name: name != plan.index):
        column, times[name] = columns[name], steps.columns[name]
        if isinstance(column, NumericColumn):
            # Rows have times of the whole table, which the column of a sample of its keys may not reach.
            of_steps: Any = steps.columns[name]
            times[name] = replace(of_steps, minimum=column.minimum, maximum=column.maximum)
    forms = {
        name: form.with_curve(columns[name], times, rows.table, rows.keys, in_all) if name in columns else form
        for name, form in steps.forms.items()
    }
    return replace(steps, forms=forms)


def _model(
    table: pa.Table,
    columns: TableModel,
    plan: SequencePlan,
    declared: Mapping[str, Any],
    settings: SynthesizerSettings,
) -> RowModel:
    """Model of a table that is made, given columns that are not drawn.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    columns : TableModel
        The fitted columns of the table that it is made of.
    plan : SequencePlan
        What it is made by.
    declared : mapping of str to object
        Columns that are declared in another way.
    settings : SynthesizerSettings
        What the user asks for, and which columns are not drawn.
    """
    made = tuple(name for name in table.schema.names if name not in columns.by_name)
    kinds = kinds_of(table.schema.names, plan, columns) | dict(declared)
    settings = replace(settings, columns=kinds, made=(*settings.made, *made))
    source = any_source(table)
    transformer = fitted_columns(settings, source)
    encoded = {column.name for column in transformer.model_.columns if column.is_encoded}
    given = tuple(name for name in settings.given if name in encoded)
    return learn_rows(transformer, source, replace(settings, given=given))


def _drawn_first(plan: SequencePlan) -> tuple[str, ...]:
    """Of a row what it takes over comes first, then when it is, which no law computes, then what comes back."""
    recencies = tuple(name for recency in plan.recencies for name in (*recency.drawn, recency.column))
    known = (*plan.taken_over, *plan.numbering, *(number.column for number in plan.running))
    if not plan.index or plan.index in known:
        return (*plan.taken_over, *recencies)
    return (*plan.taken_over, since(plan.index) if plan.index in plan.moving else plan.index, *recencies)


def _without_keys(model: RowModel, keys: tuple[str, ...]) -> RowModel:
    """The model without what keys decide of it: all that is given to rows, and not drawn again."""
    forms = {name: form for name, form in model.forms.items() if name not in keys}
    attributes = {name: first for name, first in model.attributes.items() if first not in keys}
    structure, rows_per_key = model.network.structure, model.network.rows_per_key
    habits = tuple(habit for habit in structure.habits if habit.key not in keys)
    network = replace(
        model.network,
        structure=replace(structure, habits=habits),
        rows_per_key={name: rows for name, rows in rows_per_key.items() if name in attributes},
    )
    return replace(model, forms=forms, attributes=attributes, network=network)
