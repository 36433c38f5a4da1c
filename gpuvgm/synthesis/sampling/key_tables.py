"""Keys of rows, of which attributes are drawn once for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gpuvgm.synthesis.drawing import KeyTable
from gpuvgm.synthesis.keys import IdentifierForm, KeyNumbers, layouts_of, levels_of_attributes


def key_tables(
    forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str], numbers: KeyNumbers, seed: int
) -> dict[str, KeyTable]:
    """For each attribute the keys to draw it for.

    Parameters
    ----------
    forms : mapping of str to IdentifierForm
        Forms of the keys.
    attributes : mapping of str to str
        Columns that keys determine, each with the first column of these keys.
    numbers : mapping of (str, int) to ndarray of shape (rows,)
        Numbers of the rows' keys by group and level.
    seed : int
        Seed of the draws.
    """
    levels, layouts = levels_of_attributes(forms, attributes), layouts_of(forms)
    tables: dict[tuple[str, int], KeyTable] = {}
    for group, level in sorted({(group, path[0]) for group, path in levels.values()}):
        layout, of_rows = layouts[group], numbers[group, level]
        below = {key: table for key, table in tables.items() if key[0] == group and level in layout.path(key[1])}
        above = [layout.numbers_above(table.numbers, key[1], level) for key, table in below.items()]
        every = KeyTable.of(np.concatenate([of_rows, *above]), seed)
        starts = np.cumsum([len(of_rows), *map(len, above)])
        lacking = layout.lacking_of(every.numbers, level)
        tables[group, level] = replace(every, places=every.places[: len(of_rows)], level=level, lacking=lacking)
        for (key, table), places in zip(below.items(), np.split(every.places, starts[:-1])[1:], strict=True):
            tables[key] = replace(table, above={**table.above, level: places})
    return {name: tables[group, path[0]] for name, (group, path) in levels.items()}
