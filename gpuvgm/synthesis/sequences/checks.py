"""What cannot be learnt of rows that belong to keys: refused by name, or told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import CategoricalColumn, FittedColumn, TableModel
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.errors import InferenceWarning, InputError, counted, listed, suggestion, warn
from gpuvgm.io import Source, is_number_type, is_text_type, plain_type
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings
from gpuvgm.synthesis.sequences.model import LEAST_KEYS
from gpuvgm.synthesis.sequences.plan import LEAST_CONSTANT, SequencePlan, is_constant
from gpuvgm.synthesis.sequences.rows import KeyRows, codes_of
from gpuvgm.synthesis.sequences.sorting import is_ordered, is_read_as_numbers
from gpuvgm.synthesis.sequences.source import KeySample
from gpuvgm.synthesis.sequences.tables import SequenceTables

LEAST_ROWS_OF_FINER = 1.1  # of a key within keys, on average


def checked_columns(table: Source, settings: SynthesizerSettings) -> tuple[str, str | None]:
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
    if not isinstance(settings.laws, str) and not all(isinstance(law, str) for law in settings.laws):
        raise InputError("laws: with sequence_key give texts, not objects, which judge each row by itself")
    if settings.columns is not None and not isinstance(settings.columns, Mapping):
        raise InputError("columns: with sequence_key give None or a dict, not a list or a fitted transformer")
    return key, index


def with_key(table: Source, settings: SynthesizerSettings, key: str, index: str | None) -> dict[Any, Any]:
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


def tell_of_order(table: Source, columns: Mapping[str, FittedColumn], index: str | None) -> None:
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


def check_keys(table: Source, key: str, sample: KeySample) -> None:
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


def check_names_made(table: Source, plan: SequencePlan) -> None:
    """Refuse columns that have the name of one that is made."""
    taken_names = sorted(plan.reserved.intersection(table.schema.names))
    if taken_names:
        raise InputError(f'column "{taken_names[0]}": the name is that of a column made for sequences: rename it')


def check_kinds(columns: Mapping[str, FittedColumn], key: str, index: str | None) -> None:
    """Refuse keys and an index that are left out, and keys whose values are to be kept."""
    for parameter, name in (("sequence_key", key), ("sequence_index", index)):
        if name is not None and name not in columns:
            raise InputError(f'{parameter}: "{name}" is declared "drop": declare it otherwise, or leave it undeclared')
    if isinstance(columns[key], CategoricalColumn):
        raise InputError(
            f'sequence_key: "{key}" is declared as categories, and samples have new keys in place of these: leave it '
            "undeclared, and copy it to another column to keep its values"
        )


def check_plan(rows: KeyRows, plan: SequencePlan, settings: SynthesizerSettings) -> None:
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


def check_form(keys: RowModel, key: str) -> None:
    """Refuse keys in whose place samples have missing values."""
    if keys.forms[key].kind in ("missing", "moment"):
        raise InputError(
            f'sequence_key: of values such as those of "{key}" (dates, names, or text of no form) no new ones are '
            "made: give a column of numbers or codes, or number the keys"
        )


def check_finer_keys(rows: KeyRows, plan: SequencePlan, model: TableModel) -> None:
    """Refuse keys within keys: rows of such a key belong together, too, and would be drawn each for itself."""
    keys = {column.name for column in model.identifiers if column.regenerate == "key"}
    for name in filter(keys.__contains__, plan.varying):
        codes = codes_of(rows.table.column(name))
        pairs = np.unique(np.stack([codes, rows.keys])[:, codes >= 0], axis=1)
        different, known = len(np.unique(pairs[0])), np.count_nonzero(codes >= 0)
        if LEAST_CONSTANT * pairs.shape[1] <= different and known >= LEAST_ROWS_OF_FINER * different > 0:
            raise InputError(
                f'sequence_key: the rows of one "{name}" are of one "{plan.key}": give the finer key, '
                f'sequence_key="{name}", with columns={{"{plan.key}": {{"key": True}}}} for that above it, or declare '
                f'"{name}" "drop"'
            )


def check_orders(laws: Sequence[str], tables: SequenceTables, plan: SequencePlan) -> None:
    """Refuse orders between a column of rows and one that is drawn before them."""
    names = {*tables.keys.schema.names, *tables.steps.schema.names}
    for text in laws:
        if "<=" in text and not text.startswith("not "):
            sides = {side.strip() for side in text.split("<=")} & names
            drawn_before = sorted(sides - plan.drawn)
            if drawn_before:
                raise InputError(
                    f"laws: {text!r} orders columns of a row with {listed(drawn_before)}, which is drawn before: "
                    "samples keep such orders of a number and that of the row before by themselves, and no others: "
                    "leave it out"
                )
