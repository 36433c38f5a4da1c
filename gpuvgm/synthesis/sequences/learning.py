"""Stages from the rows of a table to a model of its keys and their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa

from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.errors import InferenceWarning, InputError, counted, listed, suggestion, warn
from gpuvgm.execution import any_source
from gpuvgm.io import Source, is_number_type, is_text_type, plain_type
from gpuvgm.synthesis.keys import tell_of_samples
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings, fitted_columns, learn_rows, read_twice
from gpuvgm.synthesis.sequences.model import LEAST_KEYS, SequenceModel, layout_of, without_missing
from gpuvgm.synthesis.sequences.names import COUNT, HAS_KEY, PLACE, REMAINING, before, since
from gpuvgm.synthesis.sequences.plan import SequencePlan, is_constant, plan_of
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.sorting import is_ordered, is_read_as_numbers
from gpuvgm.synthesis.sequences.source import KeySample, SequenceSource, rows_in_order, whole_keys
from gpuvgm.synthesis.sequences.tables import SequenceTables
from gpuvgm.synthesis.sequences.totals import laws_of_keys
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
    key, index = _checked_columns(table, settings)
    with read_twice(table) as rows:
        settings = replace(settings, columns=_with_key(rows, settings, key, index))
        transformer = fitted_columns(settings, rows)
        _check_kinds(transformer.model_.by_name, key, index)
        with rows_in_order(rows, key, index, transformer.model_.by_name) as in_order:
            _tell_of_order(rows, transformer.model_.by_name, index)
            sample = KeySample.of(in_order, key, transformer.model_.by_name[key], SAMPLE_ROWS)
            _check_keys(table, key, sample)
            plan = plan_of(sample.rows, key, index, transformer.model_.by_name)
            _check_names(table, plan)
            _check_plan(sample.rows, plan, settings)
            transformer._note_sequence(plan.key, plan.index)
            model = _model_of(transformer, sample, plan, settings)
    tell_of_samples(model.table, model.forms, model.attributes, fitted_by_user=False)
    return model


def _model_of(
    transformer: TableTransformer, sample: KeySample, plan: SequencePlan, settings: SynthesizerSettings
) -> SequenceModel:
    """A model of a sample of keys, with the counts of all rows."""
    columns, schema, key = transformer.model_.by_name, transformer.schema_, plan.key
    tables = SequenceTables.of(sample.rows, plan, columns)
    of_keys = replace(settings, given=(COUNT,), laws=_laws_of(settings.laws, tables, plan, of="keys"))
    keys = _model(tables.keys, columns, schema, plan, {key: "id"}, of_keys)
    _check_form(keys, key)
    of_steps = replace(
        settings,
        given=tuple(name for name in tables.steps.schema.names if name not in plan.drawn and name != key),
        conditions_on=_drawn_first(plan),
        laws=[*_laws_of(settings.laws, tables, plan, of="rows"), *plan.laws],
    )
    steps = _without_key(_model(tables.steps, columns, schema, plan, {key: {"key": True}}, of_steps), key)
    totals = laws_of_keys(sample.rows, plan, columns)
    if sample.source is not None:
        made = [
            SequenceSource(sample.source, plan, columns, "keys", tables.keys.schema),
            SequenceSource(sample.source, plan, columns, "steps", tables.steps.schema),
        ]
        keys, steps = keys.of_rows(made[0], settings), steps.of_rows(made[1], settings)
        for rows in whole_keys(sample.source, key, sample.source.schema.names) if totals else ():
            totals = tuple(law for law in totals if law.is_kept(columns, rows))
    layout = layout_of(sample.counts, key)
    return SequenceModel(transformer, plan, layout, without_missing(keys, key), steps, totals)


def _texts(laws: Any) -> list[str]:
    """Laws as a list of texts."""
    return laws.split(";") if isinstance(laws, str) else [*laws]


def _laws_of(laws: Any, tables: SequenceTables, plan: SequencePlan, *, of: Literal["keys", "rows"]) -> list[str]:
    """Texts of laws between columns of keys alone, or of all others; those that name no column are of both.

    Parameters
    ----------
    laws : str or sequence of str
        All texts.
    tables : SequenceTables
        The columns.
    plan : SequencePlan
        Which of them are drawn.
    of : {"keys", "rows"}
        Which of them.
    """
    of_keys, names = {*tables.keys.schema.names}, {*tables.keys.schema.names, *tables.steps.schema.names}
    chosen = list[str]()
    for text in _texts(laws):
        named, remaining = set[str](), text
        for name in sorted(names, key=len, reverse=True):  # a name may be part of a longer one
            if name in remaining:
                named.add(name)
                remaining = remaining.replace(name, "\0")
        if of == "rows" and "<=" in text and named - of_keys and named - plan.drawn and "not" not in text.split():
            drawn_before = listed(sorted(named - plan.drawn))
            raise InputError(
                f"laws: {text.strip()!r} orders columns of a row with {drawn_before}, which is drawn before: samples "
                "keep such orders of a number and that of the row before by themselves, and no others: leave it out"
            )
        if not named or (named <= of_keys) == (of == "keys"):
            chosen.append(text)
    return chosen


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
    type_ = plain_type(table.schema.field(key).type)
    if pa.types.is_temporal(type_) or pa.types.is_boolean(type_):
        raise InputError(
            f'sequence_key: "{key}" holds {type_} values, and keys are whole numbers or text of a form: number the keys'
        )
    if not all(isinstance(law, str) for law in _texts(settings.laws)):
        raise InputError("laws: with sequence_key give texts, not objects, which judge each row by itself")
    if settings.columns is not None and not isinstance(settings.columns, Mapping):
        raise InputError("columns: with sequence_key give None or a dict, not a list or a fitted transformer")
    return key, index


def _with_key(table: Source, settings: SynthesizerSettings, key: str, index: str | None) -> dict[Any, Any]:
    """Declared columns: keys are keys, and an index of numbers is counted, however few values it has."""
    declared: dict[Any, Any] = {key: {"key": True}, **(settings.columns or {})}
    if index is not None and (is_number_type(table.schema.field(index).type) or _begins_with_numbers(table, index)):
        declared.setdefault(index, "continuous")
    return declared


def _begins_with_numbers(table: Source, name: str) -> bool:
    """Whether the first texts of a column are numbers."""
    block = next(iter(table.blocks([name], BLOCK_ROWS)), None)
    if block is None or not is_text_type(block.batch.schema.field(name).type):
        return False
    column: Any = block.host_column(name)
    texts = {text for text in column.to_pylist() if text and not text.isspace()}
    try:
        return len(pa.array(texts, pa.string()).cast(pa.float64())) > 0
    except pa.ArrowInvalid:
        return False


def _tell_of_order(table: Source, columns: Mapping[str, FittedColumn], index: str | None) -> None:
    """Warn of an index that lacks values, or is text that is no numbers, and has no order but that of its letters."""
    if index is None:
        return
    missing = columns[index].fit.missing
    if missing:
        warn(
            f'sequence_index: "{index}" lacks {counted(missing, "value")}: rows without one come last in their key, '
            "and may break laws from row to row; drop these rows, or fill them in",
            InferenceWarning,
            ("index", index, "missing"),
        )
    type_ = table.schema.field(index).type
    if is_text_type(plain_type(type_)) and not is_ordered(type_) and not is_read_as_numbers(columns[index]):
        warn(
            f'sequence_index: "{index}" is text that is no dates or numbers: rows of a key are in the order of its '
            'letters, "v10" before "v9"; give a column of times or numbers if that is another one',
            InferenceWarning,
            ("index", index, "text"),
        )


def _check_keys(table: Source, key: str, sample: KeySample) -> None:
    """Refuse few keys, and keys of one row."""
    keys = sum(sample.counts.values())
    if keys < LEAST_KEYS:
        raise InputError(
            f'sequence_key: {table.name} has {keys} keys in "{key}"; samples of fewer than {LEAST_KEYS} would tell of '
            "each: give the column of finer keys, or no sequence_key"
        )
    if {*sample.counts} == {1}:
        raise InputError(
            f'sequence_key: each value of "{key}" has one row: give the column whose values several rows share, or no '
            "sequence_key"
        )


def _check_names(table: Source, plan: SequencePlan) -> None:
    """Refuse columns that have the name of one that is made."""
    taken_names = sorted(plan.reserved.intersection(table.schema.names))
    if taken_names:
        raise InputError(f'column "{taken_names[0]}": the name is that of a column made for sequences: rename it')


def _check_kinds(columns: Mapping[str, FittedColumn], key: str, index: str | None) -> None:
    """Refuse keys and an index that are left out, and keys whose values are to be kept."""
    for parameter, name in (("sequence_key", key), ("sequence_index", index)):
        if name is not None and name not in columns:
            raise InputError(f'{parameter}: "{name}" is declared "drop": declare it otherwise, or leave it undeclared')
    if isinstance(columns[key], CategoricalColumn):
        raise InputError(
            f'sequence_key: "{key}" is declared as categories, and samples have new keys in place of these: leave it '
            "undeclared, and copy it to another column to keep its values"
        )


def _check_plan(rows: KeyRows, plan: SequencePlan, settings: SynthesizerSettings) -> None:
    """Refuse tables without columns of rows, an index that orders none, and columns of rows that are drawn first."""
    if not plan.varying:
        raise InputError(
            f'sequence_key: no column differs among the rows of a "{plan.key}": give a column of finer keys, or no '
            "sequence_key"
        )
    if plan.index and is_constant(rows, plan.index):
        raise InputError(
            f'sequence_index: "{plan.index}" has one value in (nearly) each "{plan.key}", so that it orders none: give '
            "the column that orders them, or no sequence_index"
        )
    for name in settings.conditions_on:
        if name not in plan.constants:
            near = suggestion(name, plan.constants) or f"; there are {listed(plan.constants) or 'none'}"
            raise InputError(f'conditions_on: "{name}" is no column with one value for each "{plan.key}"{near}')


def _check_form(keys: RowModel, key: str) -> None:
    """Refuse keys in whose place samples have missing values."""
    if keys.forms[key].kind in ("missing", "moment"):
        raise InputError(
            f'sequence_key: of values such as those of "{key}" (dates, names, or text of no form) no new ones are '
            "made: give a column of numbers or codes, or number the keys"
        )


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
        name: _kind(name, plan, columns)
        or _like(originals.get(name, name), columns, schema, lacks_some=name in originals)
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
    column, spec = columns.get(name), schema[name]
    if isinstance(column, NumericColumn) and MISSING in column.modal_values:
        modal = [value for value in spec.options.get("modal", ()) if value is not None]
        return {**spec.options, "modal": [*modal, None]}  # rows lack values that a sample may all have
    if not isinstance(column, CategoricalColumn):
        return spec
    values = [None if category is MISSING else category for category in column.categories]
    return {"kind": "categorical", "categories": [*values, *([None] if lacks_some and None not in values else [])]}


def _drawn_first(plan: SequencePlan) -> tuple[str, ...]:
    """Of a row when it is comes first, which no law computes."""
    if not plan.index or any(number.column == plan.index for number in plan.running):
        return ()
    return (since(plan.index),) if plan.index in plan.moving else (plan.index,)


def _kind(name: str, plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> Any:
    """How a column is declared that has no counterpart in the table."""
    if name in (COUNT, PLACE, REMAINING):
        return {"kind": "continuous", "integer": True}
    usual = next((usual for usual in plan.usual if usual.name == name), None)
    if usual is not None:
        return {"kind": "categorical", "categories": usual.texts(columns[usual.column])}
    if name == HAS_KEY:
        return "categorical"
    return "continuous" if name in map(since, plan.stepping) else None


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
