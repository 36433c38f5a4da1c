"""Rows by their numbers: drawn, and drawn again until they keep all laws and meet all conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import TableModel
from gpuvgm.datasets import RowRange
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError, listed
from gpuvgm.laws import Laws
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import Bins, Codes, Finder, code_finder, finder_of, origins_of
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.drawing import CodedRows, ComputedColumn, Drawing, KeyTable, MadeRows, Values, value_maker
from gpuvgm.synthesis.keys import IdentifierForm, KeyNumbers, key_numbers, seed_of_attempt
from gpuvgm.synthesis.sampling.columns import DrawnRows, SampledColumns
from gpuvgm.synthesis.sampling.habits import KeyHabits
from gpuvgm.synthesis.sampling.keeper import LawKeeper
from gpuvgm.synthesis.sampling.key_tables import key_tables

MOST_WITHIN = 32  # attempts for a row to have computed values that are in the range of their column
TRIES_WITH_KEY = 16  # times as many attempts as a row takes on average, in which it has its own key
MOST_WITHIN_GIVEN = 8  # where what is beyond may be moved to the ends of the range
FIRST_ATTEMPTS = 1000  # in which one of the rows must meet the conditions
MOST_ATTEMPTS = 10_000  # for a row; where one row of 400 meets the conditions, one of 10^10 is not drawn in so many
LEAST_KEPT, SURELY_KEPT = 1 / 64, 1 / 16  # of the rows that are drawn, that keep laws which only tell whether they do
FEW_TRIED, MANY_TRIED = 1 << 10, 1 << 14  # rows that show it; the latter where so few of the former do
LEAST_TRIED = 1 << 8  # of them, that meet all conditions


@dataclass(frozen=True)  # no slots: what draws rows is cached
class RowDrawer:
    """Draws rows of a model.

    Parameters
    ----------
    model : TableModel
        The fitted columns.
    network : Network
        The network of those that are modelled.
    conditions : mapping of int to Bins
        See `Drawing`.
    identifiers : mapping of str to IdentifierForm
        Forms of identifiers of text.
    attributes : mapping of str to str
        Columns that keys determine, each with the first column of these keys.
    engine : str
        Name of the engine that draws.
    tested : mapping of str to tuple
        What meets conditions on columns whose values others change, as `read_condition` gives it: rows are drawn until
        they meet it.
    laws : Laws
        Laws between columns, which all rows keep.
    given : frozenset of str
        Columns that are not drawn, but given to `rows`.
    """

    model: TableModel
    network: Network
    conditions: Mapping[int, Bins]
    identifiers: Mapping[str, IdentifierForm]
    attributes: Mapping[str, str]
    engine: str
    tested: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    laws: Laws = Laws()
    given: frozenset[str] = frozenset()

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the rest is made again in another process."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def place_of(self) -> dict[str, int]:
        """Place of each modelled column among the nodes."""
        return self.network.structure.place_of

    @cached_property
    def drawing(self) -> Drawing:
        """Drawing of bins and of places in them."""
        bins, barred = self.network.structure.bins, dict[int, NDArray[np.bool_]]()
        for law in self.laws:
            if law.bars_rare(self.model.by_name) and law.target not in self.tested:
                place = self.place_of[law.target]
                barred[place] = bins[place].are_rare(self.model.by_name[law.target])
        return Drawing(self.network, self.conditions, get_engine(self.engine), self._computed, barred)

    def _computed(self, order: Sequence[int]) -> dict[int, ComputedColumn]:
        """Columns that are computed in their turn, in an order of the nodes."""
        structure = self.network.structure
        keeper = self.keeper.in_turn([structure.bins[place].name for place in order])
        deciding = keeper.laws.deciding
        of_laws = {
            self.place_of[law.target]: self._computed_column(
                keeper, law.target, is_drawn=law.leaves_rows(keeper.columns), is_learnt=law.is_learnt
            )
            for law in deciding
        }
        without_orders, rank = replace(keeper, laws=deciding), {place: at for at, place in enumerate(order)}
        made = {
            place: self._computed_column(without_orders, structure.bins[place].name, is_drawn=True, is_learnt=False)
            for place in structure.made
            if structure.bins[place].name not in self.given
        }
        return of_laws | {
            place: column for place, column in made.items() if all(rank[at] < rank[place] for at in column.sources)
        }

    def _computed_column(self, keeper: LawKeeper, name: str, *, is_drawn: bool, is_learnt: bool) -> ComputedColumn:
        sources = tuple(sorted(self.place_of[source] for source in keeper.sources(name)))
        codes = partial(self._computed_codes, keeper, self.network.structure.bins[self.place_of[name]])
        return ComputedColumn(sources, is_drawn, is_learnt, codes)

    def _computed_codes(
        self, keeper: LawKeeper, bins: Bins, columns: Mapping[int, tuple[Codes, Floats]]
    ) -> tuple[Codes, dict[int, Codes]]:
        """Bins of the values of a computed column, and codes of its parts by place."""
        structure = self.network.structure
        find = code_finder(self.model.by_name, bins, structure.parts, get_engine(self.engine))
        values = SampledColumns(self.values, columns, keeper)
        codes, parts = find(values.kept)
        if bins.twin is not None and bins.name in self._tests:
            # A twin's number may lie in a bin that meets the condition in part.
            shares = self.conditions[self.place_of[bins.name]].shares
            meets = self._tests[bins.name](values.kept(bins.name))
            codes = np.where(meets, codes, codes.dtype.type(np.argmin(shares)))
        return codes, {structure.place_of_part[part]: part_codes for part, part_codes in parts.items()}

    @cached_property
    def values(self) -> dict[str, tuple[int, Values]]:
        """Node of each modelled column, and the function that makes its values."""
        columns = self.model.by_name
        nodes = enumerate(self.network.structure.bins)
        make = partial(value_maker, columns, engine=get_engine(self.engine))
        return {
            bins.name: (place, make(bins, drawn=self.conditions.get(place), is_given=bins.name in self.given))
            for place, bins in nodes
        }

    @cached_property
    def _tests(self) -> dict[str, Finder]:
        """Functions that mark the rows that meet a condition, by column."""
        return self.finders(self.tested)

    def finders(self, criteria: Mapping[str, tuple[Any, ...]]) -> dict[str, Finder]:
        """Functions that mark the rows that meet criteria, by column."""
        columns: Any = self.model
        return {name: finder_of(columns[name], met) for name, met in criteria.items()}

    @cached_property
    def keeper(self) -> LawKeeper:
        """What makes rows keep the laws."""
        return LawKeeper(self.model.by_name, self.laws, origins_of(self.network.structure.bins))

    @cached_property
    def habits(self) -> KeyHabits:
        """What keys have of their own, in columns whose values are not tested."""
        structure, columns = self.network.structure, self.model.by_name
        free = (habit for habit in structure.habits if habit.column not in {*self.tested, *self.given})
        habits = tuple(free)
        return KeyHabits(habits, columns, structure, self.conditions, self.identifiers, self.drawing)

    def rows(
        self,
        numbers: NDArray[np.uint64],
        seed: int,
        given: CodedRows | None = None,
        seed_of_attributes: int | None = None,
    ) -> MadeRows:
        """Rows by their numbers, each drawn again with further seeds until it meets all conditions and keeps all laws.

        A row that is drawn again has another key, so that attributes are those of its key. Where objects judge
        rows, it has its own key at first, so that keys have as many rows as in the table. What keys have is drawn by a
        seed of its own where one is given, so that they have it in rows of other seeds, too.
        """
        key_seed = seed if seed_of_attributes is None else seed_of_attributes
        made, unmet = self.made(self._draw(numbers, seed, key_seed, seed, given), 0)
        for attempt in range(1, MOST_ATTEMPTS):
            if not unmet.any():
                return made
            places, attempt_seed = np.flatnonzero(unmet), seed_of_attempt(seed, attempt)
            seed_of_keys = seed if self._keeps_keys(attempt) else attempt_seed
            drawn = self._draw(numbers[places], attempt_seed, key_seed, seed_of_keys, given and given.at(places))
            redrawn, are_unmet = self.made(drawn, attempt)
            accepted = np.flatnonzero(~are_unmet)
            if len(accepted):
                made = made.replaced(places[accepted], redrawn, accepted)
            unmet[places[accepted]] = False
            if attempt == FIRST_ATTEMPTS and unmet.all():
                break
        of_laws = f" and keeps {listed(map(str, self.laws.judging))}" if self.laws.judging else ""
        on = f"that on {listed([*self.tested])}" if self.tested else "all conditions"
        raise InputError(f"conditions: hardly any row of the model meets {on}{of_laws}; loosen it")

    def _keeps_keys(self, attempt: int) -> bool:
        """Whether rows that are drawn again have their own keys: only what keys have can make a law impossible."""
        return bool(self.laws.judging) and (
            not self.attributes or attempt * self._share_that_keeps_laws < TRIES_WITH_KEY
        )

    def _draw(
        self, numbers: NDArray[np.uint64], seed: int, key_seed: int, seed_of_keys: int, given: CodedRows | None = None
    ) -> DrawnRows:
        """Rows with these numbers; which keys they have depends on the last seed, what each has on the one before."""
        of_keys = key_numbers(self.identifiers, numbers, seed_of_keys)
        rows = self.drawing.rows(numbers, seed, self.keys(of_keys, key_seed), given)
        return DrawnRows(self.habits.rows(rows, of_keys, numbers, key_seed), of_keys)

    def keys(self, numbers: KeyNumbers, seed: int) -> dict[int, KeyTable]:
        """By node, the keys that attributes are drawn for."""
        tables = key_tables(self.identifiers, self.attributes, numbers, seed)
        nodes = enumerate(self.network.structure.nodes)
        return {place: tables[node.name] for place, node in nodes if node.name in tables}

    def check_laws(self) -> None:
        """Raise InputError where fewer than one row of 64 keeps the laws that only tell whether rows keep them."""
        if self._share_that_keeps_laws >= LEAST_KEPT:
            return
        of_laws = ", ".join(f'{np.count_nonzero(keep):,} keep "{law}"' for law, keep in self._first_answers.items())
        rows, of_all = len(next(iter(self._first_answers.values()))), ""
        if len(self._first_answers) > 1:
            of_all = f", {round(self._share_that_keeps_laws * rows):,} keep all"
        which = "that meet the conditions" if self.conditions or self.tested else "of the model"
        raise InputError(
            f"laws: of {rows:,} rows {which}, {of_laws}{of_all}, and one of 64 must, as the others are drawn "
            "again; write equations and lookups in it as texts, so that they are computed, or loosen it"
        )

    @cached_property
    def _share_that_keeps_laws(self) -> float:
        """Share of the rows that keep laws which only tell whether rows keep them; 1 where too few show it."""
        keep = np.logical_and.reduce([*self._first_answers.values()])
        return float(np.mean(keep)) if np.size(keep) >= LEAST_TRIED else 1.0

    @cached_property
    def _first_answers(self) -> dict[str, NDArray[np.bool_]]:
        """Which of the first rows keep each of these laws: of few rows, or of many where few keep all."""
        tried = dict[str, NDArray[np.bool_]]()
        for count in (FEW_TRIED, MANY_TRIED) if self.laws.judging else ():
            made, unmet = self._made(self._draw(RowRange(0, count).numbers, 0, 0, 0), 0)
            rows = made.taken(np.flatnonzero(~unmet))
            tried = {str(law): ~self._broken(law, rows) for law in self.laws.judging}
            if np.count_nonzero(np.logical_and.reduce([*tried.values()])) >= SURELY_KEPT * len(rows):
                break
        return tried

    def _broken(self, law: Any, rows: MadeRows) -> NDArray[np.bool_]:
        """Which rows break a law."""
        broken: NDArray[np.bool_] = law.score(self.model.by_name, rows.arrays.__getitem__).broken
        return broken

    def made(self, rows: DrawnRows, attempt: int) -> tuple[MadeRows, NDArray[np.bool_]]:
        """Values of drawn rows that keep the laws, and which rows meet not all conditions and laws."""
        made, unmet = self._made(rows, attempt)
        for law in self.laws.judging:
            unmet = unmet | self._broken(law, made)
        return made, unmet

    def _made(self, rows: DrawnRows, attempt: int) -> tuple[MadeRows, NDArray[np.bool_]]:
        """The same without laws that only tell whether rows keep them."""
        values = SampledColumns(self.values, dict(enumerate(rows.nodes)), self.keeper)
        unmet = np.zeros(len(rows.nodes[0][0]) if rows.nodes else 0, np.bool_)
        arrays, unordered = self.keeper.ordered(values)
        arrays |= {name: values.kept(name) for name in self.values if name not in arrays}
        unmet |= unordered | self.keeper.breaking(arrays.__getitem__)
        for beyond in values.beyond.values() if attempt < (MOST_WITHIN_GIVEN if self.given else MOST_WITHIN) else ():
            unmet |= beyond
        for name, test in self._tests.items():
            unmet = unmet | ~test(arrays[name])
        return MadeRows(arrays, rows.keys), unmet
