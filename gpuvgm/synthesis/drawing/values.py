"""Values of columns, in the columns' types, from the pieces that are drawn; and columns that no network holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column
from gpuvgm.codecs import FloatCodec
from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, IdColumn, NumericColumn
from gpuvgm.datasets import RowRange
from gpuvgm.engines import Engine
from gpuvgm.io import is_text_type, plain_type, replaced_rows, taken
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes, Rows, are_singles, origin_of, start_finder, twin_numbers
from gpuvgm.synthesis.keys import IdentifierForm, RowsBeside, key_numbers, levels_of_keys

DUST = 1e-6  # of a step: values may be so far off it by rounding
Values = Callable[[Codes, Floats, Rows], Any]
NO_BIN = -1  # of a row with its twin's number


def value_maker(
    columns: Mapping[str, FittedColumn],
    bins: Bins,
    engine: Engine,
    drawn: Bins | None = None,
    *,
    is_given: bool = False,
) -> Values:
    """Return a function that makes a column's values from drawn pieces, given the other columns.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        All columns.
    bins : Bins
        Bins of the column.
    engine : Engine
        Finds the pieces of numbers.
    drawn : Bins, optional
        Bins with the pieces that are drawn from, where a condition leaves others than those of `bins`.
    is_given : bool
        Whether the column is not drawn: places are its numbers, or its categories.
    """
    column, origin = columns[bins.name], origin_of(columns, bins)
    if isinstance(column, CategoricalColumn):
        categories = column.category_values()
        return lambda _, places, __: categories(places.astype(np.int64))
    assert isinstance(column, NumericColumn)
    separate_bins = bins.codes[: len(column.modal_values)] if column.modal_values else bins.codes[:0]
    values = [*[MISSING] * bins.has_missing, *column.modal_numbers]
    value_of_bin = dict(zip(separate_bins.tolist(), values, strict=True))
    if is_given:
        return lambda codes, places, _: _values_of_numbers(column, value_of_bin, codes, places.copy())
    number_of = _number_maker(bins, drawn or bins, len(column.modal_values), engine)
    if bins.twin is not None:
        return _beside_twin(columns, bins, number_of, partial(_draw_numbers, column, value_of_bin))
    if origin is None:
        return lambda codes, places, _: _draw_numbers(column, value_of_bin, codes, number_of(places))

    def beside_origin(codes: Codes, numbers: Floats, rows: Rows) -> Column:
        first = origin.numbers(rows)
        earliest = replace(origin, by_days=False).numbers(rows) if origin.by_days else first
        ends = (-np.inf, first) if origin.back else (np.nan_to_num(earliest, nan=-np.inf), np.inf)
        return _draw_numbers(
            column, value_of_bin, codes, origin.datetimes(np.maximum(number_of(numbers), 0.0), first), ends
        )

    return beside_origin


def _number_maker(bins: Bins, pieces: Bins, modal_values: int, engine: Engine) -> Callable[[Floats], Floats]:
    """Return what makes a column's numbers of drawn places."""
    if bins.clock is not None:
        return partial(bins.clock.numbers, engine=engine)
    place, round_ = _placing(pieces, modal_values, engine), _rounding(pieces)
    return lambda places: round_(place(places))


def _beside_twin(
    columns: Mapping[str, Any], bins: Bins, number_of: Callable[[Floats], Floats], draw: Callable[..., Column]
) -> Values:
    """As `value_maker` for a column with a twin, whose number rows with an infinite place have."""
    assert bins.twin is not None
    column, twin, middle = columns[bins.name], columns[bins.twin], len(bins.low) // 2
    read_twin, (low, high) = twin_numbers(twin, column), column.plain_range
    has_same_values = twin.type == twin.decoded_type == column.type == column.decoded_type  # text has its own form
    has_same_step = bins.single is None and twin.codec.plain.spacing == column.codec.plain.spacing
    round_ = _rounding(bins)

    def make(codes: Codes, places: Floats, rows: Rows) -> Column:
        is_twins = np.isinf(places)
        numbers_of_twin = round_(read_twin(rows))
        # Where the twin's number is missing, which trees hardly ever draw, a row has a number from the middle.
        numbers = number_of(np.where(is_twins, bins.low[middle], places))
        numbers = np.where(is_twins & ~np.isnan(numbers_of_twin), numbers_of_twin, numbers)
        # A row with its twin's number is in no bin, so that the value is neither missing nor a modal one.
        values: Any = draw(np.where(is_twins, NO_BIN, codes.astype(np.int64)), numbers)
        if has_same_values and has_same_step:  # with all digits, of which numbers may lack some
            copied = np.flatnonzero(is_twins & (numbers_of_twin >= low) & (numbers_of_twin <= high))
            values = replaced_rows(values, copied, taken(rows(twin.name), copied))
        made: Column = values
        return made

    return make


def _placing(bins: Bins, modal_values: int, engine: Engine) -> Callable[[Floats], Floats]:
    """Return what puts numbers on steps, as often on each as the forms say, within the pieces that are drawn."""
    forms = bins.forms
    if forms is None:
        return lambda numbers: numbers
    is_drawn = bins.ordinary_pieces(modal_values) & (bins.mass > 0)
    points = np.unique(bins.low[is_drawn & (bins.low == bins.high)])
    intervals = np.flatnonzero(is_drawn & (bins.low < bins.high))
    intervals = intervals[np.argsort(bins.low[intervals], kind="stable")]
    if not len(intervals):
        return lambda numbers: numbers
    low, high, dust = bins.low[intervals], bins.high[intervals], DUST * forms.step
    start_of, point_of = start_finder(low, engine), start_finder(points, engine)
    place_in = forms.placing(low, high, engine)

    def piece_of(numbers: Floats) -> tuple[Ints, NDArray[np.bool_]]:
        pieces = np.maximum(start_of(numbers), 0)
        return pieces, (numbers >= low[pieces] - dust) & (numbers <= high[pieces] + dust)

    def place(numbers: Floats) -> Floats:
        pieces, is_placed = piece_of(numbers)
        placed = place_in(numbers, pieces)
        # The step may lie in a neighbouring piece, or in none: then the number stays.
        misplaced = np.flatnonzero(is_placed & ((placed < low[pieces]) | (placed > high[pieces])))
        is_placed[misplaced] = piece_of(placed[misplaced])[1]
        if len(points):
            is_placed &= points[np.maximum(point_of(numbers), 0)] != numbers
        return np.where(is_placed, placed, numbers)

    return place


def _rounding(bins: Bins) -> Callable[[Floats], Floats]:
    """Return what numbers are rounded to where all of them have 32 bits."""
    if bins.single is None:
        return lambda numbers: numbers
    codec = FloatCodec(pa.float32(), step=bins.single or None)

    def rounded(numbers: Floats) -> Floats:
        singles = codec.encode(codec.decode(numbers))
        # A value of the table stays as it was read from text.
        return np.where(are_singles(numbers), numbers, singles)

    return rounded


def _draw_numbers(
    column: NumericColumn,
    value_of_bin: dict[int, Any],
    codes: Codes,
    numbers: Floats,
    ends: tuple[Floats | float, Floats | float] = (-np.inf, np.inf),
) -> Column:
    """Values of a column of numbers: those on its step that are nearest to numbers, within the training range.

    None lies beyond `ends`, whatever the range.
    """
    plain = column.codec.plain
    if column.minimum is not None and column.maximum is not None:
        numbers = np.clip(numbers, plain.number(column.minimum), plain.number(column.maximum))
        numbers = np.clip(numbers, *ends)
    return _values_of_numbers(column, value_of_bin, codes, numbers)


def _values_of_numbers(column: NumericColumn, value_of_bin: dict[int, Any], codes: Codes, numbers: Floats) -> Column:
    """Values of a column of numbers, modal ones by their bins."""
    plain = column.codec.plain
    for code, value in value_of_bin.items():
        # A placeholder that the codec can decode; `with_value` sets modal values in the array.
        numbers[codes == code] = np.nan if value is MISSING else 0.0
    array = plain.decode(numbers)
    for code, value in value_of_bin.items():
        has_value: Ints = codes == code
        if value is not MISSING and has_value.any():
            array = column.codec.with_value(array, has_value, value)
    return array


def within_range(column: FittedColumn, values: Any) -> Any:
    """Values on the host, of which numbers outside the training range are moved to its ends; modal values stay."""
    if not isinstance(column, NumericColumn) or column.minimum is None or column.maximum is None:
        return values
    plain = column.codec.plain
    numbers = column.plain_numbers(values)[0]  # NaN for modal and missing ones
    clipped = np.clip(numbers, plain.number(column.minimum), plain.number(column.maximum))
    outside = np.flatnonzero(clipped - numbers)
    outside = outside[~np.isnan(numbers[outside])]
    if not len(outside):
        return values
    return replaced_rows(values, outside, plain.decode(clipped[outside]))


def unmodelled_columns(
    columns: Sequence[FittedColumn],
    forms: Mapping[str, IdentifierForm],
    part: RowRange,
    seed: int,
    beside: RowsBeside | None = None,
) -> dict[str, Any]:
    """Rows of columns that are not modelled: new values in their forms, running numbers, or else missing values.

    A column with a form has as many missing values as in the table: a column of keys where `KeyLayout` says so, any
    other in rows that are drawn for it.

    Parameters
    ----------
    columns : sequence of FittedColumn
        The columns.
    forms : mapping of str to IdentifierForm
        Forms of those that have one.
    part : RowRange
        The rows.
    seed : int
        Seed of the values.
    beside : RowsBeside, optional
        These rows and those before that matter, with their keys, and what they have in modelled columns, on which
        forms may depend; without it keys are those that `key_numbers` gives.
    """
    numbers = key_numbers(forms, part.numbers, seed) if beside is None else beside.last_keys(part.rows)
    distinct = {level: np.unique(numbers[level], return_inverse=True) for level in levels_of_keys(forms)}
    arrays = {}
    for column in columns:
        form = forms.get(column.name)
        if form is None or form.key is None:
            arrays[column.name] = _values_of_rows(column, form, part, seed, beside)
            continue
        numbers_of_keys, places = distinct[form.key.group, form.level]
        bits = numbers[form.key.group, len(form.key.above) + 1]  # of the columns that each row lacks
        lacks = bits >> np.uint64(form.key.bit_of(column.name, form.level)) & np.uint64(1)
        if beside is not None and form.is_beside:
            values, places = (
                _of_texts(column, form, beside.texts(column.name, form, part.rows, seed)),
                np.arange(part.rows),
            )
        else:
            values = _new_values(column, form, numbers_of_keys, seed)
        arrays[column.name] = taken(values, pa.array(places, pa.int64(), mask=lacks.astype(np.bool_)))
    return arrays


def _values_of_rows(
    column: FittedColumn, form: IdentifierForm | None, part: RowRange, seed: int, beside: RowsBeside | None
) -> Any:
    """New values of consecutive rows, missing as often as in the table."""
    if form is None:
        coded = column.absent(part.first_row, part.rows)
        return missing_values(part.rows, column.decoded_type) if coded is None else coded.passthrough
    numbers = part.numbers
    if beside is not None and form.is_beside:
        values = _beside_rows(column, form, part, seed, beside)
    else:
        values = _new_values(column, form, numbers, seed)
    if not form.missing or not part.rows:
        return values
    return taken(values, pa.array(np.arange(part.rows), mask=form.lacking(column.name, numbers, seed)))


def _new_values(column: Any, form: IdentifierForm, numbers: NDArray[np.uint64], seed: int) -> Any:
    """Values by their numbers, ascending: those of rows, or of keys."""
    if not _is_whole(column) or not form.is_plain:
        return _of_texts(column, form, form.values(column.name, numbers, seed))
    if not len(numbers):
        return form.values(column.name, numbers, seed).cast(column.decoded_type)
    first, last = int(numbers[0]), int(numbers[-1])
    running = replace(column, first=form.largest + column.step).absent(first, last - first + 1).passthrough
    return running.take(pa.array(numbers - np.uint64(first)))


def _beside_rows(column: FittedColumn, form: IdentifierForm, part: RowRange, seed: int, beside: RowsBeside) -> Any:
    """Values that depend on what their rows have in modelled columns."""
    return _of_texts(column, form, beside.texts(column.name, form, part.rows, seed))


def _is_whole(column: FittedColumn) -> bool:
    """Whether a column holds whole numbers that identify."""
    return isinstance(column, IdColumn) and not (column.holds_text or is_text_type(plain_type(column.decoded_type)))


def _of_texts(column: Any, form: IdentifierForm, texts: Any) -> Any:
    """Values of a column whose texts these are."""
    if _is_whole(column):
        return column.of_numbers(texts, int(10**form.length))
    if column.decoded_type == pa.uuid():
        storage = pa.array((UUID(text).bytes for text in texts.to_pylist()), pa.binary(16))
        return pa.ExtensionArray.from_storage(pa.uuid(), storage)
    return texts.cast(column.decoded_type)


def missing_values(rows: int, type_: Any) -> Any:
    """Rows without a value; below them, fields that are declared as never null have blank values."""
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, missing_values(rows, type_.storage_type))
    nulls: Any = pa.nulls(rows, type_)
    if not _holds_a_value_of_each_field(type_):
        return nulls
    return pa.Array.from_buffers(type_, rows, nulls.buffers()[:1], rows, children=_fields_of_missing(rows, type_))


def _holds_a_value_of_each_field(type_: Any) -> bool:
    """Return whether rows of a type hold values of their fields even where the rows are missing."""
    return bool(pa.types.is_struct(type_) or pa.types.is_fixed_size_list(type_))


def _fields_of_missing(rows: int, type_: Any) -> list[Any]:
    """Values of the fields of rows: missing where they may be, else blank."""
    count = rows * type_.list_size if pa.types.is_fixed_size_list(type_) else rows
    fields = [type_.field(place) for place in range(type_.num_fields)]
    return [(missing_values if field.nullable else _blank_values)(count, field.type) for field in fields]


def _blank_values(rows: int, type_: Any) -> Any:
    """Rows that hold a blank value: 0, empty text, an empty list, or fields of these; unions hold missing ones."""
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, _blank_values(rows, type_.storage_type))
    single = min(rows, 1)
    if pa.types.is_dictionary(type_):
        indices, entries = _blank_values(rows, type_.index_type), _blank_values(single, type_.value_type)
        return pa.DictionaryArray.from_arrays(indices, entries, ordered=type_.ordered)
    if pa.types.is_run_end_encoded(type_):
        ends: Any = pa.array([rows][:single], type_.run_end_type)
        return pa.RunEndEncodedArray.from_arrays(ends, _blank_values(single, type_.value_type))
    blank: Any = pa.nulls(rows, type_)
    if pa.types.is_union(type_):
        return blank
    if _holds_a_value_of_each_field(type_):
        children = _fields_of_missing(rows, type_)
    elif pa.types.is_map(type_):
        children = [_blank_values(0, pa.struct([type_.key_field, type_.item_field]))]
    else:
        children = [blank.values] if pa.types.is_nested(type_) else []
    # None: without a validity bitmap every row holds a value.
    buffers = [None, *blank.buffers()[1 : type_.num_buffers]]
    return pa.Array.from_buffers(type_, rows, buffers, 0, children=children)
