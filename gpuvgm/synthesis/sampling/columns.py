"""Columns of drawn rows: bins and places in them, and the values that they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import Codes
from gpuvgm.synthesis.drawing import Drawn, Values
from gpuvgm.synthesis.keys import KeyNumbers
from gpuvgm.synthesis.sampling.keeper import LawKeeper


@dataclass(frozen=True, slots=True)
class DrawnRows:
    """Rows that are drawn: bins and places by node, and numbers of keys by group and level."""

    nodes: Drawn
    keys: KeyNumbers


@dataclass(frozen=True, slots=True)
class SampledColumns:
    """Values of the columns of drawn rows, each made once.

    A closure that knows itself would keep what was drawn until Python collects garbage.

    Parameters
    ----------
    ways : mapping of str to (int, callable)
        Node of each column, and the function that makes its values.
    bins_and_places : mapping of int to (ndarray, ndarray)
        Bins and places of the rows, by node.
    keeper : LawKeeper
        Laws, which columns are computed by.
    """

    ways: Mapping[str, tuple[int, Values]]
    bins_and_places: Mapping[int, tuple[Codes, Floats]]
    keeper: LawKeeper
    cache: dict[str, Any] = field(default_factory=dict)
    computed: dict[str, Any] = field(default_factory=dict)
    beyond: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __call__(self, name: str) -> Any:
        """The values of a column, as others are counted from it: those drawn where it is computed of these."""
        return self.kept(name) if name in self.keeper.computed and not self.keeper.is_circular(name) else self.own(name)

    def own(self, name: str) -> Any:
        """The values of a column as they are drawn."""
        if name not in self.cache:
            place, values = self.ways[name]
            self.cache[name] = values(*self.bins_and_places[place], self)
        return self.cache[name]

    def kept(self, name: str) -> Any:
        """The values of a column, computed if it is by a law."""
        if name not in self.keeper.computed:
            return self.own(name)
        if name not in self.computed:
            self.computed[name], self.beyond[name] = self.keeper.values(name, self.kept, self.own)
        return self.computed[name]
