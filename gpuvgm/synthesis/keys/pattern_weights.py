"""Columns whose categories say which patterns text has, as a country says those of plates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, PassthroughColumn, TableModel
from gpuvgm.io import plain_values_of
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.patterns import Pattern
from gpuvgm.synthesis.keys.shapes import LEAST_OF_EACH

MOST_PATTERNS = 32  # with a code each
ROOM = 6  # times as many values as texts, that a pattern with a code must have: at most half of those left are made
MOST_GIVEN = 64  # categories of a column that may say which patterns there are
EVIDENCE = 20.0  # nats that these tell of all patterns, beyond what as many numbers tell by chance
Weights = tuple[tuple[int, ...], ...]  # of the patterns, by category


def with_categories(
    name: str, form: IdentifierForm, model: TableModel, rows: pa.Table, allowed: Collection[str]
) -> IdentifierForm:
    """The form by the categories that tell most of the patterns of a column's different values; the same without such.

    Codes within patterns, such as a letter that stands for a colour, are patterns of their own if they tell more. Of
    each category the different values of each pattern are known; those of fewer than five, and of fewer than five keys
    of any other column of keys, count as none.

    Parameters
    ----------
    name : str
        The column.
    form : IdentifierForm
        Its form; a value is of the first pattern that it has.
    model : TableModel
        The fitted columns.
    rows : pyarrow.Table
        A sample of the rows.
    allowed : collection of str
        Columns whose categories may tell it.
    """
    columns = [column for column in model.categorical if column.name in allowed and column.name in rows.column_names]
    information, given, weights = _weights_of(name, form.patterns, model, rows, columns)
    by_code = _by_code(form, rows.column(name))
    if by_code != form.patterns:
        of_codes = _weights_of(name, by_code, model, rows, columns)
        if of_codes[0] > information:
            form, (_, given, weights) = replace(form, patterns=by_code), of_codes
    return replace(form, given=given, weights=weights, in_groups=form.in_groups or bool(given and form.key))


def _by_code(form: IdentifierForm, values: Any) -> tuple[Pattern, ...]:
    """Patterns for each of their codes; the same where these are many, or have room for few of the values."""
    with_codes = [one for pattern in form.patterns for one in pattern.by_code()]
    if not len(form.patterns) < len(with_codes) <= MOST_PATTERNS:
        return form.patterns
    pattern_of = _different_values(values, with_codes)[1]
    counts = np.bincount(pattern_of + 1, minlength=len(with_codes) + 1)[1:].tolist()
    needed = [ROOM * count * form.busiest / 2**32 for count in counts]
    if form.kind == "shape" and any(one.values < least for one, least in zip(with_codes, needed, strict=True)):
        return form.patterns
    return tuple(replace(one, weight=count) for one, count in zip(with_codes, counts, strict=True) if count)


def _weights_of(
    name: str, patterns: Sequence[Pattern], model: TableModel, rows: pa.Table, columns: Sequence[CategoricalColumn]
) -> tuple[float, str, Weights]:
    """How much a column's categories tell of patterns, in nats, the column and what they tell."""
    first, pattern_of = _different_values(rows.column(name), patterns)
    of_keys = [column.name for column in model.identifiers if column.regenerate == "key" and column.name != name]
    keys = [
        PassthroughColumn.hashes(rows.column(key).combine_chunks())[first]
        for key in of_keys
        if key in rows.column_names
    ]
    most, best = 0.0, ("", Weights())
    for column in columns if len(patterns) > 1 else ():
        size = len(column.categories)
        if size <= MOST_GIVEN:
            codes = np.asarray(column.index.find(rows.column(column.name).combine_chunks()), np.int64)[first]
            known = (codes >= 0) & (codes < size) & (pattern_of >= 0)
            cells = codes[known] * len(patterns) + pattern_of[known]
            counts = np.bincount(cells, minlength=size * len(patterns)).reshape(size, -1)
            if (information := _information(counts)) > most:
                persons = [counts, *(_keys_of_cells(cells, of_values[known], counts) for of_values in keys)]
                weights = np.where(np.min(persons, axis=0) < LEAST_OF_EACH, 0, counts).tolist()
                most, best = information, (column.name, tuple(map(tuple, weights)))
    return most, *best


def _different_values(values: Any, patterns: Sequence[Pattern]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each different value, and the place of its pattern; -1 for values without one."""
    coded: Any = plain_values_of(values.combine_chunks()).cast(pa.string()).dictionary_encode()
    texts, pattern_of = coded.dictionary, np.full(len(coded.dictionary), -1)
    for place, pattern in enumerate(patterns):
        pattern_of[(pattern_of < 0) & np.asarray(pc.match_substring_regex(texts, pattern.expression))] = place
    places, first = np.unique(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), return_index=True)
    return first[places >= 0], pattern_of[places[places >= 0]]


def _keys_of_cells(cells: NDArray[np.int64], keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> Any:
    """How many different keys the values of each cell have."""
    distinct = np.unique(np.stack([cells.astype(np.uint64), keys]), axis=1)[0].astype(np.int64)
    return np.bincount(distinct, minlength=counts.size).reshape(counts.shape)


def _information(counts: NDArray[np.int64]) -> float:
    """How much categories tell of patterns, in nats of all values; 0 where that may be chance.

    Parameters
    ----------
    counts : ndarray of shape (categories, patterns), int64
        Values of each.
    """
    total = int(np.sum(counts))
    expected = counts.sum(axis=1, keepdims=True) * (counts.sum(axis=0) / max(total, 1))
    has_values = counts > 0
    information = float(np.sum(counts[has_values] * np.log(counts[has_values] / expected[has_values])))
    parameters = np.prod([np.count_nonzero(counts.sum(axis=axis)) - 1 for axis in (0, 1)])
    return information if information >= EVIDENCE + parameters * np.log(max(total, 1)) / 2 else 0.0  # as BIC has it
