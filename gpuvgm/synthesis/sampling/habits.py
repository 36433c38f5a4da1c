"""Days, times and values that keys have of their own, in drawn rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.counts import Structure
from gpuvgm.synthesis.drawing import Drawing, Drawn, KeyTable
from gpuvgm.synthesis.keys import Habit, IdentifierForm, KeyNumbers, with_habits


@dataclass(frozen=True, slots=True)
class KeyHabits:
    """Habits of keys.

    Parameters
    ----------
    habits : tuple of Habit
        The habits.
    columns : mapping of str to FittedColumn
        All columns.
    structure : Structure
        Bins of the nodes.
    conditions : mapping of int to Bins
        See `Drawing`.
    identifiers : mapping of str to IdentifierForm
        Forms of the keys.
    drawing : Drawing
        Draws places of values.
    """

    habits: tuple[Habit, ...]
    columns: Mapping[str, FittedColumn]
    structure: Structure
    conditions: Mapping[int, Bins]
    identifiers: Mapping[str, IdentifierForm]
    drawing: Drawing

    def rows(self, rows: Drawn, key_numbers: KeyNumbers, numbers: NDArray[np.uint64], seed: int) -> Drawn:
        """Drawn rows with what their keys have, as far as conditions allow.

        Parameters
        ----------
        rows : list of (ndarray, ndarray)
            Bins and places of rows, by node.
        key_numbers : mapping of (str, int) to ndarray of shape (rows,)
            Numbers of the rows' keys by group and level.
        numbers : ndarray of shape (rows,), uint64
            Numbers of the rows.
        seed : int
            Seed of what each key has.
        """
        if not self.habits:
            return rows
        readings = {name: rows[place][1] for name, place in self.structure.place_of.items()}
        keys = {
            name: self._keys(name, readings, key_numbers)
            for name in {habit.key for habit in self.habits if not habit.is_calendar}
        }
        clocks = {bins.name: bins.clock for bins in self.structure.bins if bins.clock is not None}
        rows_of_habits = [
            (habit, habit.rows(readings, keys, numbers, seed)) for habit in self.habits if not habit.is_calendar
        ]
        changed = [*rows]
        for name, moved in with_habits(rows_of_habits, clocks, readings, keys, seed).items():
            place = self.structure.place_of[name]
            if place in self.conditions:
                moved = np.where(self.conditions[place].hold(moved), moved, readings[name])
            changed[place] = rows[place][0], moved
        for habit, at in rows_of_habits:
            place = self.structure.place_of[habit.column]
            if habit.part == "value" and place not in self.conditions:
                changed[place] = self._with_values(changed[place], habit, keys[habit.key][0], at, seed)
        return self._in_calendars(changed, readings, numbers, seed)

    def _in_calendars(self, rows: Drawn, before: Mapping[str, Floats], numbers: NDArray[np.uint64], seed: int) -> Drawn:
        """Rows on weekdays that their categories have: those of categories that keys have, or have had put there."""
        moved, values = [*rows], {habit.column for habit in self.habits if habit.part == "value"}
        for habit in (habit for habit in self.habits if habit.is_calendar):
            place, categories = self.structure.place_of[habit.column], rows[self.structure.place_of[habit.beside]][1]
            is_meant = categories == habit.category
            if habit.beside in values:
                is_meant &= before[habit.beside] != habit.category
            at, clock = np.flatnonzero(is_meant), self.structure.bins[place].clock
            codes, readings = moved[place]
            assert clock is not None
            changed = habit.in_calendar(clock, readings[at], numbers[at], seed)
            if place in self.conditions:
                changed = np.where(self.conditions[place].hold(changed), changed, readings[at])
            moved[place] = codes, _with(readings, at, changed)
        return moved

    def _with_values(
        self, column: tuple[Codes, Floats], habit: Habit, keys: NDArray[np.uint64], at: Ints, seed: int
    ) -> tuple[Codes, Floats]:
        """Bins of a column and places in them, at some rows those of the values that their keys have."""
        table = KeyTable.of(keys[at], seed)
        place = self.structure.place_of[habit.column]
        codes, readings = self.drawing.of_keys(place, habit.codes_of(table.numbers, seed), table, habit.stream)
        return _with(column[0], at, codes), _with(column[1], at, readings)

    def _keys(
        self, name: str, readings: Mapping[str, Floats], numbers: KeyNumbers
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Number of each row's key, of a column of keys or of categories, and whether it has one."""
        column = self.columns[name]
        if isinstance(column, CategoricalColumn):
            is_key = np.array([*(category is not MISSING for category in column.categories), False])
            categories = np.minimum(readings[name].astype(np.int64), len(column.categories))
            return categories.astype(np.uint64), is_key[categories]
        layout, level = self.identifiers[name].key, self.identifiers[name].level
        assert layout is not None
        of_rows = numbers[layout.group, level]
        return of_rows, layout.lacking_of(of_rows, level) == 0


def _with(values: NDArray[Any], places: Ints, replacements: NDArray[Any]) -> NDArray[Any]:
    """Values with others at some places."""
    changed = values.copy()
    changed[places] = replacements
    return changed
