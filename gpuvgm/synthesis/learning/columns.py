"""Fitted columns: which texts are keys, and which frequent values are those of few persons."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc

from gpuvgm.columns import CategoricalColumn, NumericColumn, TableModel, TableSchema
from gpuvgm.errors import InferenceWarning, InputError
from gpuvgm.io import Source, is_plain_number_type, is_text_type, plain_type
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import LEAST_KEYS, Persons
from gpuvgm.synthesis.keys import find_orders, keys_found
from gpuvgm.synthesis.learning.key_forms import keys_that_count
from gpuvgm.synthesis.learning.samples import TableSample
from gpuvgm.synthesis.learning.settings import SynthesizerSettings
from gpuvgm.table import TableTransformer

LEAST_COPIED = 100  # rows of a sample that have the numbers of others
Options = dict[str, tuple[Mapping[str, Any], str]]  # of columns that are not declared, with the reasons


def fitted_columns(settings: SynthesizerSettings, table: Source) -> TableTransformer:
    """The columns, fitted to a table; those that the user has fitted are checked."""
    with warnings.catch_warnings():
        for name in settings.made:
            warnings.filterwarnings("ignore", f'column "{re.escape(name)}"', InferenceWarning)
        return _fitted_columns(settings, table)


def _fitted_columns(settings: SynthesizerSettings, table: Source) -> TableTransformer:
    """The same, with warnings of all columns."""
    columns = settings.columns
    if isinstance(columns, TableTransformer):
        return _checked_columns(columns, table)
    options = {"random_state": settings.random_state, **settings.machine}
    keys = _options_of_keys(settings, table)
    transformer = TableTransformer(columns, **options)._fit_for_samples(table, keys)
    found = _options_of_copies(settings, transformer.model_, table) | _modal_options(transformer.model_, table)
    if not found:
        return transformer
    return TableTransformer(columns, **options)._fit_for_samples(table, keys | found)


def _checked_columns(transformer: TableTransformer, table: Source) -> TableTransformer:
    """A transformer that the user has fitted, if it fits the table and has summaries."""
    model = transformer._fitted()
    lacking = [column.name for column in model.numeric if column.name not in transformer.summaries_]
    if lacking:
        raise InputError(f'columns: the transformer has no summary of "{lacking[0]}": fit it, or save it with them')
    model.check_source(table)
    return transformer


def _options_of_keys(settings: SynthesizerSettings, table: Source) -> Options:
    """Columns that are keys, of those whose kind is not declared."""
    declared = TableSchema.declare(settings.columns, table.schema, table.name)
    open_specs = {spec.name: spec for spec in declared.columns if spec.is_open}
    texts = [name for name in open_specs if is_text_type(plain_type(table.schema.field(name).type))]
    if not texts:
        return {}
    sample = TableSample.of(table, texts, settings.random_state or 0)
    columns = {name: sample.rows.column(name) for name in texts}
    of_persons = {name: column for name, column in columns.items() if not open_specs[name].numbers_things(column)}
    reasons = keys_found(of_persons, whole=sample.is_whole)
    return {name: ({"key": True}, reason) for name, reason in reasons.items()}


def _options_of_copies(settings: SynthesizerSettings, model: TableModel, table: Source) -> Options:
    """Categories that are numbers of rows of other tables, as prices of articles: samples may have new ones there."""
    numbers = [column for column in model.columns if is_plain_number_type(table.schema.field(column.name).type)]
    of_others = [of.name for of in numbers if isinstance(of, NumericColumn) and of.name in settings.made]
    open_ones = (column for column in numbers if isinstance(column, CategoricalColumn))
    own = [of.name for of in open_ones if of.name not in settings.made and not model.schema[of.name].is_declared]
    if not of_others or not own:
        return {}
    sample = TableSample.of(table, [*own, *of_others], settings.random_state or 0)

    def is_copy(name: str, other: str) -> bool:
        are_equal = pc.equal(sample.rows.column(name), sample.rows.column(other)).drop_null()
        return len(are_equal) >= LEAST_COPIED and bool(pc.all(are_equal).as_py())

    copied = {name: next((other for other in of_others if is_copy(name, other)), None) for name in own}
    return {
        name: ({"kind": model.schema[other].kind}, f'has the numbers of "{other}"')
        for name, other in copied.items()
        if other is not None
    }


def _modal_options(model: TableModel, table: Source) -> Options:
    """Columns with modal values that few persons have, each with its remaining modal values."""
    columns = [column for column in model.numeric if column.modal_numbers and not model.schema[column.name].is_declared]
    if not columns:
        return {}
    sample = TableSample.of_model(table, model)
    orders = find_orders(model.by_name, (), sample.rows, whole=sample.is_whole)
    persons = Persons.of([*keys_that_count(model, {}), *orders], sample.rows, whole=sample.is_whole)
    if not persons.keys:
        return {}
    few = {column.name: _modal_values_of_few(column, sample, persons) for column in columns}
    return {
        column.name: (
            {"modal": _remaining_modal_values(model, column, few[column.name])},
            "few persons have its frequent values",
        )
        for column in columns
        if few[column.name]
    }


def _modal_values_of_few(column: NumericColumn, sample: TableSample, persons: Persons) -> set[float]:
    """Numbers of a column's modal values that fewer persons have than `LEAST_KEYS`."""
    which = column.plain_numbers(sample.column(column.name))[1]
    things: Ints = np.full(sample.rows.num_rows, -1) if which is None else np.asarray(which, np.int64)
    counts = persons.counts(things, len(column.modal_numbers))
    return {value for value, count in zip(column.modal_numbers, counts, strict=True) if count < LEAST_KEYS}


def _remaining_modal_values(model: TableModel, column: NumericColumn, few: set[float]) -> list[Any]:
    """Modal values of a column without some, as they are declared."""
    modal = model.schema[column.name].modal
    return [value for value in modal if value is None or column.codec.parse(value) not in few]
