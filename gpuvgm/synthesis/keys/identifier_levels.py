"""Groups of columns of keys that belong together, and the numbers of their keys in rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.datasets import RowRange
from gpuvgm.errors import warn
from gpuvgm.io import plain_values_of
from gpuvgm.synthesis.bins import Part
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.keys import LONGEST_PERIOD, MOST_COLUMNS, KeyLayout, codes_of_lacking

KeyNumbers = Mapping[tuple[str, int], NDArray[np.uint64]]  # of rows, by group and level


def levels_of_keys(forms: Mapping[str, IdentifierForm]) -> dict[tuple[str, int], list[str]]:
    """Columns of each level of each group of keys, by group and level."""
    levels = defaultdict[tuple[str, int], list[str]](list)
    for name, form in forms.items():
        if form.key is not None:
            levels[form.key.group, form.level].append(name)
    return levels


def layouts_of(forms: Mapping[str, IdentifierForm]) -> dict[str, KeyLayout]:
    """Layout of each group of keys."""
    return {form.key.group: form.key for form in forms.values() if form.key is not None}


def columns_of_levels(levels: Mapping[tuple[str, int], list[str]], layout: KeyLayout) -> list[list[str]]:
    """By level, the columns of a group whose missing values are told apart: the first, and others up to a limit."""
    by_level = [levels[layout.group, level] for level in range(len(layout.above) + 1)]
    further = [name for names in by_level for name in names[1:]][: MOST_COLUMNS - len(by_level)]
    return [[name for name in names if name == names[0] or name in further] for names in by_level]


def lacking_keys(
    forms: Mapping[str, IdentifierForm], keys: Iterable[str], rows: Callable[[str], Any]
) -> dict[Part, NDArray[np.uint16]]:
    """For rows that lack keys, a code of all keys of their group that they lack, by first column of these keys.

    The codes are those of `codes_of_lacking`.

    Parameters
    ----------
    forms : mapping of str to IdentifierForm
        Forms of all columns of keys.
    keys : iterable of str
        First columns of keys.
    rows : callable
        Gives the rows of a column, on the host.
    """
    levels, lacking = levels_of_keys(forms), dict[Part, NDArray[np.uint16]]()
    for key in keys:
        layout, level = forms[key].key, forms[key].level
        assert layout is not None
        masks = [
            np.logical_and.reduce([np.asarray(plain_values_of(rows(column)).is_null()) for column in columns])
            for columns in columns_of_levels(levels, layout)
        ]
        lacking[Part(key, "missing")] = codes_of_lacking(masks, level)
    return lacking


def key_numbers(forms: Mapping[str, IdentifierForm], rows: NDArray[np.uint64], seed: int) -> KeyNumbers:
    """Numbers of the keys of rows, by their numbers, by group and level, as `KeyLayout.numbers` gives them.

    The bits of the columns that rows lack, which it gives behind the numbers, stand at the level after the last one.
    """
    return {
        (group, level): numbers
        for group, layout in layouts_of(forms).items()
        for level, numbers in enumerate(layout.numbers(rows, seed))
    }


def tell_of_longer(forms: Mapping[str, IdentifierForm], part: RowRange, seed: int) -> None:
    """Warn of new values that are longer than those of the table, because too few others are surely of no row."""
    for name, form in forms.items():
        if form.curve is not None:  # of more digits anyway
            continue
        if form.in_groups:
            period, keys = (1, 1) if form.key is None else form.key.period_lengths(form.level)
            if (part.first_row + part.rows) * keys > form.unlengthened_in_groups * period:
                warn(
                    f'column "{name}": some new values are longer than those of the table; of their length about '
                    f"{form.unlengthened_in_groups:,} are known to be in no row"
                )
            continue
        counts = np.zeros(2, np.int64)
        for numbers in _numbers_of(form, part, seed):
            counts += (form.longer(name, numbers, seed), len(numbers))
        if counts[0]:
            warn(
                f'column "{name}": {counts[0]:,} of {counts[1]:,} new values are longer than those of the table; of '
                f"their length {form.unlengthened:,} are known to be in no row"
            )


def _numbers_of(form: IdentifierForm, part: RowRange, seed: int) -> Iterator[NDArray[np.uint64]]:
    """Different numbers of the values of consecutive rows, if some may be longer than those of the table."""
    if form.key is None:
        first, stop = part.first_row, part.first_row + part.rows
    else:
        period, keys = form.key.period_lengths(form.level)
        first, stop = part.first_row // period * keys, -(-(part.first_row + part.rows) // period) * keys
    if stop <= form.unlengthened:
        return
    if form.key is not None and part.rows <= LONGEST_PERIOD:
        yield np.unique(form.key.numbers(part.numbers, seed)[form.level])
        return
    for start in range(first, stop, LONGEST_PERIOD):
        yield np.arange(start, min(start + LONGEST_PERIOD, stop), dtype=np.uint64)


def levels_of_attributes(
    forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str]
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Group of the keys that determine each attribute, and their level with those above it."""
    of_keys = {
        name: (form.key.group, form.key.path(form.level)) for name, form in forms.items() if form.key is not None
    }
    return {name: of_keys[key] for name, key in attributes.items()}


def rows_per_key(forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str]) -> dict[str, float]:
    """How many rows the keys of each attribute have on average."""
    of_keys = {name: form.key.rows_per_key(form.level) for name, form in forms.items() if form.key is not None}
    return {name: of_keys[key] for name, key in attributes.items()}
