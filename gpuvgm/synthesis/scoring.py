"""Log densities of rows: what bins, trees and laws say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import FittedColumn
from gpuvgm.engines import Engine, get_engine
from gpuvgm.execution import any_source
from gpuvgm.io import Block, Source
from gpuvgm.laws import Laws
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import Codes, Part, Rows, origins_of, part_finder
from gpuvgm.synthesis.counts import Network, density_finder
from gpuvgm.synthesis.keys import IdentifierForm, lacking_keys
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings
from gpuvgm.synthesis.sampling import LawKeeper
from gpuvgm.synthesis.sequences import SequenceModel

Mask = NDArray[np.bool_]
FindCertain = Callable[[Rows], Mapping[str, Mask]]


def no_column(_: Rows) -> Mapping[str, Mask]:
    """No column has certain values in some rows alone."""
    return {}


def score_rows(model: RowModel | SequenceModel, table: Source, settings: SynthesizerSettings) -> Floats:
    """Logarithm of the density of each row of a table, of rows that belong to keys given those before."""
    if isinstance(model, RowModel):
        return _score_rows(model, table, settings)
    model.table.check_source(table)
    of_sequences = model.scored(table)
    keys = _score_rows(model.keys, any_source(of_sequences.keys), settings)
    of_steps = any_source(of_sequences.steps)
    steps = _score_rows(model.steps, of_steps, settings, model.given, model.plan.certain)
    steps[of_sequences.rows.starts] += keys
    scores = np.empty_like(steps)
    scores[of_sequences.rows.order] = steps
    return scores


def _score_rows(
    model: RowModel,
    table: Source,
    settings: SynthesizerSettings,
    given: frozenset[str] = frozenset(),
    certain: FindCertain = no_column,
) -> Floats:
    """Logarithm of the density of each row of a table, given some columns."""
    structure, columns = model.network.structure, model.columns
    names = [bins.name for bins in structure.bins]
    model.table.check_source(table)
    forms = {name: form for name, form in model.forms.items() if form.key and structure.keys_asked}
    parts: list[Floats] = []
    with settings.run("score", table) as run:
        of_names = {name: column for name, column in columns.items() if name in names}
        build = partial(
            RowScorer, of_names, model.network, forms, model.kept_laws, settings.machine["engine"], given, certain
        )
        run.executor.map_blocks(run.prepared(build), run.blocks([*names, *forms]), parts.append)
    return np.concatenate([np.empty(0), *parts])


@dataclass(frozen=True)  # no slots: what finds codes is cached
class RowScorer:
    """Computes log densities of blocks of rows, on the host.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The modelled columns.
    network : Network
        Their bins, trees and counts.
    forms : mapping of str to IdentifierForm
        Forms of the keys, of which trees ask whether rows lack them.
    laws : Laws
        Laws that rows keep.
    engine_name : str
        Name of the engine that computes.
    given : frozenset of str
        Columns whose values are certain.
    certain : callable
        Gives which rows have a certain value, by column of which some have.
    """

    columns: Mapping[str, FittedColumn]
    network: Network
    forms: Mapping[str, IdentifierForm]
    laws: Laws
    engine_name: str
    given: frozenset[str] = frozenset()
    certain: FindCertain = no_column

    def __call__(self, block: Block) -> Floats:
        """Log density of each row of a block."""
        rows: Rows = block.batch.column
        codes, densities = self._codes_and_densities(rows)
        outcomes = [law.score(self.columns, rows) for law in self.laws]
        certain = {
            self.network.structure.place_of[law.target]: outcome.certain
            for law, outcome in zip(self.laws, outcomes, strict=True)
            if law.decides
        }
        in_some_rows = {self.network.structure.place_of[name]: mask for name, mask in self.certain(rows).items()}
        certain |= in_some_rows | {place: np.ones(block.rows, np.bool_) for place in self._given_places}
        log_density = self._density_in_bins(codes, densities, certain, block.rows)
        for outcome in outcomes:
            log_density[outcome.broken] = -np.inf
        known = self._known(codes, certain, self._final_places.union(in_some_rows), block.rows)
        return self.network.log_probability(codes, block.rows, self._engine, known) + log_density

    @cached_property
    def _engine(self) -> Engine:
        return get_engine(self.engine_name)

    @cached_property
    def _finders(self) -> list[tuple[Callable[[Rows], tuple[Codes, Floats]], Callable[[Rows], dict[Part, Codes]]]]:
        """For each column what finds bins and densities in them, and what finds codes of its parts."""
        structure = self.network.structure
        return [
            (
                density_finder(self.columns, bins, self._engine),
                part_finder(self.columns, bins, structure.parts),
            )
            for bins in structure.bins
        ]

    @cached_property
    def _final_places(self) -> frozenset[int]:
        """Columns of which it is said how likely the value is once it is drawn, not before a law computes it.

        Where further columns depend on a column that is not computed in its turn, they say how likely its value was.
        """
        structure = self.network.structure
        keeper = LawKeeper(self.columns, self.laws, origins_of(structure.bins))
        in_turn = keeper.in_turn([structure.bins[place].name for place in structure.order]).computed
        asked = {place for trees in structure.trees for place in trees.asked}
        places = structure.place_of.items()
        return self._given_places.union(place for name, place in places if name in in_turn or place not in asked)

    @cached_property
    def _given_places(self) -> frozenset[int]:
        return frozenset(self.network.structure.place_of[name] for name in self.given)

    def _codes_and_densities(self, rows: Rows) -> tuple[dict[int, Codes], list[Floats]]:
        """Codes of columns and their parts by place, and the density of each column's values in their bins."""
        structure = self.network.structure
        found = [(find_codes(rows), find_parts(rows)) for find_codes, find_parts in self._finders]
        lacking = lacking_keys(self.forms, structure.keys_asked.values(), rows)
        codes = structure.with_parts([(codes, parts) for (codes, _), parts in found], lacking)
        return dict(enumerate(codes)), [densities for (_, densities), _ in found]

    def _density_in_bins(
        self, codes: Mapping[int, Codes], densities: Sequence[Floats], certain: Mapping[int, Mask], rows: int
    ) -> Floats:
        """Sum of the densities of values that are neither decided by laws nor a twin's."""
        # The number of a twin is as certain as what a law decides, once it is known that a row has it.
        twins = {place: codes[part] > 0 for place, part in self.network.structure.twins.items()}
        log_density, decided = np.zeros(rows), {**certain, **twins}
        for place, density in enumerate(densities):
            log_density += np.where(decided[place], 0.0, density) if place in decided else density
        return log_density

    def _known(
        self, codes: Mapping[int, Codes], certain: Mapping[int, Mask], final: Set[int], rows: int
    ) -> dict[int, Floats]:
        """Log probability of the bins that are decided, by place of those that are final; NaN where trees say it."""
        bins = self.network.structure.bins
        known = {place: np.where(mask, 0.0, np.nan) for place, mask in certain.items() if place in final}
        for law in self.laws.deciding:
            place = self.network.structure.place_of[law.target]
            if law.apart and place in known and bins[place].has_missing:  # trees say whether there is a value
                missing = np.full(rows, bins[place].codes[0], np.uint16)
                is_missing = self.network.log_shares(place, {**codes, place: missing}, self._engine)
                known[place] = known[place] + np.log1p(-np.exp(is_missing))
        return known
