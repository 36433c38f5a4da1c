"""Bins of rows that meet conditions, as the trees draw them: of the columns up to the last one with a condition.

Where these columns have few combinations of bins, the exact share of each is known. Otherwise rows are drawn until one
meets the conditions; of each row's candidates the first that does is taken, so that it is a function of its number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines import Engine, Lottery, philox_words
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Codes
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.drawing.coded_rows import CodedRows
from gpuvgm.synthesis.keys import column_number, seed_of_attempt

MOST_COMBINATIONS = 1 << 20  # of bins, whose shares are computed
PILOT_ROWS = 1 << 15  # which show the share of the rows that meet conditions
LEAST_SHARE = 1 / 64  # of the pilot rows: where fewer meet the conditions, candidates would cost too much
#: The same where columns are computed, or trees ask for parts of datetimes, so that no table of shares can help.
LEAST_WITH_VALUES = 1 / 4096
CANDIDATES = 4  # of a row that are expected to meet the conditions: a further draw for a single row is slow
RARE_SHARE = 1 / 512  # of the pilot rows: where fewer meet the conditions, further draws are faster than candidates
MOST_CANDIDATES = 1 << 18  # that are drawn at once
STREAM = "conditions"  # of random numbers that no column takes
DrawCodes = Callable[[int, CodedRows, NDArray[np.uint64], int], CodedRows]


@dataclass(frozen=True)  # no slots: shares are cached
class ConditionedTrees:
    """Trees whose rows are to meet conditions.

    Parameters
    ----------
    network : Network
        Order and trees of the columns.
    evidence : mapping of int to ndarray of shape (bins,)
        Share of each bin's values that meet a condition, by column.
    draw : callable
        Draws the bins of a column, given those of columns before it, numbers of the rows, and seed. Of datetimes with
        parts it gives the codes of these, too, and the places in the bins. The bins may be drawn before.
    engine : Engine
        Engine that computes probabilities.
    computed : frozenset of int
        Columns whose bins are those of values that laws compute.
    """

    network: Network
    evidence: Mapping[int, Floats]
    draw: DrawCodes
    engine: Engine
    computed: frozenset[int] = frozenset()

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Columns in their order, up to the last one with a condition."""
        order = self.network.structure.order
        return order[: 1 + max((order.index(place) for place in self.evidence), default=-1)]

    @property
    def is_exact(self) -> bool:
        """Whether rows can be drawn that meet the conditions."""
        return self._combinations is not None or self._candidates > 0

    @property
    def is_helped(self) -> bool:
        """Whether rows would be drawn faster, or from trees, if columns with conditions came first."""
        return True

    @property
    def come_first(self) -> bool:
        """Whether `places` have few combinations of bins, as columns of `conditions_on` have."""
        return not self._needs_values and self._options is not None

    @property
    def least_share(self) -> float:
        """Share of the rows that meet the conditions, below which candidates cost too much."""
        return LEAST_WITH_VALUES if self._needs_values or self._options is not None else LEAST_SHARE

    @property
    def is_slow(self) -> bool:
        """Whether many rows are drawn for each that meets the conditions."""
        return self._combinations is None and self._candidates > CANDIDATES / LEAST_SHARE

    def codes(self, numbers: NDArray[np.uint64], seed: int) -> CodedRows:
        """Bins of `places` for rows, on the host; and what else is drawn of them."""
        if self._combinations is None:
            return self._first_that_meet(numbers, seed)
        codes, lottery = self._combinations
        words = philox_words(numbers, column_number(STREAM), seed)[0]
        chosen = lottery.draw(np.zeros(len(numbers), np.int64), words)
        return CodedRows({place: column[chosen] for place, column in codes.items()})

    @cached_property
    def _combinations(self) -> tuple[dict[int, Codes], Lottery] | None:
        """Bins that may meet the conditions together, and how they are drawn; None where there are too many."""
        if not self.come_first:
            return None
        grids = np.meshgrid(*(self._options or ()), indexing="ij")
        codes = {place: grid.ravel().astype(np.uint16) for place, grid in zip(self.places, grids, strict=True)}
        rows = len(codes[self.places[0]])
        log_shares = self.network.log_probability(codes, rows, self.engine)
        shares = np.exp(log_shares - np.max(log_shares)) * _share_that_meets(self.evidence, codes, rows)
        return codes, Lottery.of(shares, np.zeros(1, np.int64))

    @cached_property
    def _options(self) -> list[Ints] | None:
        """Bins of each of `places` that may meet the conditions; None where they have too many combinations."""
        bins = self.network.structure.bins
        options = [
            np.flatnonzero(self.evidence[place]) if place in self.evidence else np.arange(len(bins[place]))
            for place in self.places
        ]
        return options if np.prod([float(len(option)) for option in options]) <= MOST_COMBINATIONS else None

    @property
    def _needs_values(self) -> bool:
        """Whether trees ask for parts of datetimes, or columns are computed."""
        structure = self.network.structure
        return not self.computed.isdisjoint(self.places) or any(
            asked >= len(structure.bins) for place in self.places for asked in structure.trees[place].asked
        )

    @cached_property
    def _first(self) -> Lottery:
        """Bins of the first column, which meet a condition on it."""
        place = self.places[0]
        bins = np.arange(len(self.network.structure.bins[place])).astype(np.uint16)
        shares = np.exp(self.network.log_probability({place: bins}, len(bins), self.engine))
        return Lottery.of(shares * self.evidence[place], np.zeros(1, np.int64))

    @cached_property
    def _candidates(self) -> int:
        """Candidates that are drawn at once for each row; 0 where too few meet the conditions."""
        numbers = np.arange(PILOT_ROWS, dtype=np.uint64)
        met = int(np.count_nonzero(self._are_met(self._candidate_codes(numbers, 0), numbers, 0)))
        on_average = 1 if met < RARE_SHARE * PILOT_ROWS else CANDIDATES
        return 0 if met < self.least_share * PILOT_ROWS else -(-on_average * PILOT_ROWS // met)

    def _candidate_codes(self, numbers: NDArray[np.uint64], seed: int) -> CodedRows:
        """Bins of candidates; a condition on the first column is met by all of them."""
        candidates = CodedRows()
        if self.places[0] in self.evidence:
            words = philox_words(numbers, column_number(f"{STREAM}/first"), seed)[0]
            codes = self._first.draw(np.zeros(len(numbers), np.int64), words).astype(np.uint16)
            candidates = CodedRows({self.places[0]: codes})
        for place in self.places:
            candidates = candidates | self.draw(place, candidates, numbers, seed)
        return candidates.on_host

    def _are_met(self, candidates: CodedRows, numbers: NDArray[np.uint64], seed: int) -> NDArray[np.bool_]:
        """Mark candidates that meet the conditions: in each bin as large a share as its values that meet them."""
        rows, words = len(numbers), philox_words(numbers, column_number(STREAM), seed)[0]
        further = {place: evidence for place, evidence in self.evidence.items() if place != self.places[0]}
        share = np.ones(rows)
        for place in self.network.structure.twins.keys() & {*further}:
            of_bins = further.pop(place)[candidates.codes[place]]
            # A row with its twin's number meets the condition, or is in a bin that does not.
            share *= np.where(np.isinf(candidates.readings[place]), of_bins > 0, of_bins)
        taken: NDArray[np.bool_] = words < share * _share_that_meets(further, candidates.codes, rows) * 2.0**32
        return taken

    def _first_that_meet(self, numbers: NDArray[np.uint64], seed: int) -> CodedRows:
        """Bins of each row's first candidate that meets the conditions."""
        codes, readings, rows = dict[int, Codes](), dict[int, Floats](), len(numbers)
        at_once, unmet = max(1, MOST_CANDIDATES // self._candidates), np.arange(rows)
        for attempt in itertools.count(1):
            if not len(unmet):
                break
            left = []
            for part in np.array_split(unmet, range(at_once, len(unmet), at_once)):
                candidates, met = self._attempt(numbers[part], seed_of_attempt(seed, attempt))
                _fill(codes, candidates.codes, part, met, rows)
                _fill(readings, candidates.readings, part, met, rows)
                left.append(part[~met])
            unmet = np.concatenate(left)
        return CodedRows(codes, readings)

    def _attempt(self, numbers: NDArray[np.uint64], seed: int) -> tuple[CodedRows, NDArray[np.bool_]]:
        """Bins of the first candidate of each row that meets the conditions, and whether there is one."""
        several = np.arange(self._candidates, dtype=np.uint64)
        of_candidates: NDArray[np.uint64] = (numbers[:, None] * np.uint64(len(several)) + several).ravel()
        candidates = self._candidate_codes(of_candidates, seed)
        met = self._are_met(candidates, of_candidates, seed).reshape(len(numbers), self._candidates)
        chosen = np.arange(len(numbers)) * self._candidates + np.argmax(met, axis=1)
        is_met = np.asarray(met.any(axis=1))
        return candidates.at(chosen), is_met


def _fill(
    columns: dict[int, Any], candidates: Mapping[int, Any], part: Ints, met: NDArray[np.bool_], rows: int
) -> None:
    """Write some rows, where their candidates meet the conditions, by column."""
    for place, column in candidates.items():
        of_rows = columns.setdefault(place, np.zeros(rows, column.dtype))
        of_rows[part[met]] = column[met]


def _share_that_meets(evidence: Mapping[int, Floats], codes: Mapping[int, Codes], rows: int) -> Floats:
    """Share of the values in rows' bins that meet all conditions, in proportion to the bins that meet them best."""
    share = np.ones(rows)
    for place, of_bins in evidence.items():
        share *= of_bins[codes[place]] / np.max(of_bins)
    return share
