"""Rows without conditions, key after key, of which those are taken that meet conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gpuvgm.datasets import RowRange
from gpuvgm.synthesis.bins import Finder
from gpuvgm.synthesis.drawing import MOST_PILOT_ROWS, PILOT_ROWS, CodedRows, MadeRows, Window
from gpuvgm.synthesis.keys import KeyLayout, KeyNumbers, key_numbers, layouts_of, levels_of_attributes
from gpuvgm.synthesis.sampling.columns import DrawnRows, SampledColumns
from gpuvgm.synthesis.sampling.rows import RowDrawer

#: By which the share of rows is found that meet conditions; where rows of keys of further groups depend on it, more.
PILOT_KEYS, MANY_PILOT_KEYS = 1 << 10, 1 << 14


@dataclass(frozen=True)  # no slots: the layout of keys is cached
class KeyAfterKey:
    """The `Candidates` of a model.

    Parameters
    ----------
    drawer : RowDrawer
        Draws rows without conditions.
    """

    drawer: RowDrawer

    @property
    def period(self) -> int:
        """As of `Candidates`."""
        return self._in_turn.period_lengths(0)[0]

    @property
    def keys_in_turn(self) -> list[tuple[str, int]]:
        """As of `Candidates`."""
        return [(self._in_turn.group, level) for level in range(len(self._in_turn.above) + 1)]

    @cached_property
    def _in_turn(self) -> KeyLayout:
        """Keys that have most attributes, whose rows follow each other."""
        forms = self.drawer.identifiers
        groups = [group for group, _ in levels_of_attributes(forms, self.drawer.attributes).values()]
        return layouts_of(forms)[max(groups, key=groups.count)]

    @cached_property
    def pilot(self) -> tuple[MadeRows, int]:
        """As of `Candidates`."""
        keys = PILOT_KEYS if len(layouts_of(self.drawer.identifiers)) == 1 else MANY_PILOT_KEYS
        rows = int(min(max(PILOT_ROWS, keys * self._in_turn.rows_per_owner), MOST_PILOT_ROWS))
        return self.that_meet(Window(0), RowRange(0, rows), {})[0], rows

    def that_meet(
        self, window: Window, part: RowRange, tests: Mapping[str, Finder], passed: int = 0
    ) -> tuple[MadeRows, int]:
        """As of `Candidates`."""
        drawer, plain, seed = self.drawer, self._plain & tests.keys(), window.seed
        order = drawer.network.structure.order
        stop = 1 + max((order.index(drawer.place_of[name]) for name in plain), default=-1)
        numbers = self._numbers(window, part)
        part_numbers = replace(part, first_row=window.first_row + part.first_row).numbers
        first = drawer.drawing.rows(part_numbers, seed, drawer.keys(numbers, seed), stop=stop)
        values = SampledColumns(drawer.values, dict(enumerate(first)), drawer.keeper)
        met = np.ones(part.rows, np.bool_)
        for name in plain:
            met &= tests[name](values.own(name))
        at = np.flatnonzero(met)
        numbers = {level: of_level[at] for level, of_level in numbers.items()}
        keys = drawer.keys(numbers, seed)
        drawn = [place for place in order[:stop] if place not in keys]
        of_rows = CodedRows(
            {place: first[place][0] for place in drawn}, {place: first[place][1] for place in drawn}
        ).at(at)
        met_numbers = RowRange(window.first_row + passed, len(at)).numbers
        rows = drawer.drawing.rows(met_numbers, seed, keys, of_rows)
        made, unmet = drawer.made(DrawnRows(drawer.habits.rows(rows, numbers, met_numbers, seed), numbers), 0)
        for name, test in tests.items():
            unmet = unmet | ~test(made.arrays[name])
        return made.taken(np.flatnonzero(~unmet)), len(at)

    def _numbers(self, window: Window, part: RowRange) -> KeyNumbers:
        """Numbers of the keys of consecutive rows of a window."""
        laps = [key_numbers(self.drawer.identifiers, lap.numbers, seed) for lap, seed in window.laps(part)]
        numbers = {level: np.concatenate([lap[level] for lap in laps]) for level in laps[0]}
        rows = replace(part, first_row=window.first_row + part.first_row)
        in_turn = self._in_turn.numbers(rows.numbers, window.own_seed, by_key=True)
        return numbers | {(self._in_turn.group, level): of_level for level, of_level in enumerate(in_turn)}

    @cached_property
    def _plain(self) -> frozenset[str]:
        """Columns whose values are those that are drawn, by themselves: no law, habit or other column changes them."""
        keeper, structure = self.drawer.keeper, self.drawer.network.structure
        changed = keeper.changed.union(keeper.computed, (habit.column for habit in structure.habits))
        return frozenset(bins.name for bins in structure.bins if bins.made_of is None) - changed
