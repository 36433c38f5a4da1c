"""Which of several parents tells most of a child: by whose rows what comes next goes with what came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS
from gpuvgm.io import Source, is_datetime_type, is_number_type, plain_values_of, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.joins import codes_of, codes_together, decides, keys_in, numbers_of, whole_array
from gpuvgm.synthesis.databases.keyed import HASH, KeyedSource, hashes_in, rows_of
from gpuvgm.synthesis.databases.references import Reference

GROUPS = 16  # of numbers of about as many rows, or of categories, of which the last has all rare ones
MOST_ROWS = 1 << 16  # that are looked at, all of some parents
LEAST_MORE = 0.02  # nats, by which a parent of fewer rows has to tell more
LEAST_TOLD = 0.01  # nats, that a row tells of the next one of its parent, beside what is told by chance
PAIRS_OF_CELL = 20  # of rows, on average, in each cell of two groups
BY_CHANCE = 4.0  # standard deviations of what is told by chance
LEAST_RETURNING = 0.02  # of the rows after the first ones of their parents, that have what one before has


@dataclass(frozen=True, slots=True)
class SomeChildren:
    """All children of some rows of a parent, in the order of the child.

    Parameters
    ----------
    reference : Reference
        The reference to the parent.
    parents : int
        Rows of the parent.
    rows : pyarrow.Table
        The children.
    owners : ndarray of shape (rows,), int64
        The same number for those of the same parent.
    """

    reference: Reference
    parents: int
    rows: pa.Table
    owners: Ints

    @classmethod
    def of(cls, reference: Reference, child: Source, parent: Source, names: Sequence[str]) -> SomeChildren:
        """Some columns of children of parents that are there: of about so many rows as are looked at.

        Raises
        ------
        InputError
            For columns of keys of other types.
        """
        share = MOST_ROWS / max(rows_of(child), 1)
        of_child = KeyedSource(child, lambda batch, _: keys_in(batch, reference, of=parent.schema), (*names,))
        of_parent = KeyedSource(parent, lambda batch, _: keys_in(batch, reference), ())
        children, here = [of_child.schema.empty_table()], [np.zeros(0, np.uint64)]
        for block in of_child.blocks(of_child.schema.names, BLOCK_ROWS):
            hashes = hashes_in(rows := pa.Table.from_batches([block.batch]))
            children.append(taken(rows, np.flatnonzero(_are_looked_at(hashes, share))))
        for block in of_parent.blocks([HASH], BLOCK_ROWS):
            hashes = hashes_in(pa.Table.from_batches([block.batch]))
            here.append(hashes[_are_looked_at(hashes, share)])
        looked_at = pa.concat_tables(children)
        looked_at = taken(looked_at, np.flatnonzero(np.isin(hashes_in(looked_at), np.concatenate(here))))
        owners = np.unique(hashes_in(looked_at), return_inverse=True)[1]
        return cls(reference, rows_of(parent), looked_at.select([*names]), owners)

    def has_returning(self, columns: Sequence[str]) -> bool:
        """Whether rows of a parent have what another one has in these columns more often than any rows by chance."""
        codes = [codes_of(whole_array(self.rows.column(name))) for name in columns]
        known = np.flatnonzero(np.logical_and.reduce([of_column >= 0 for of_column in codes]))
        owners, keys = self.owners[known], codes_together([of_column[known] for of_column in codes])
        mixed = np.random.default_rng(0).permutation(keys)
        back, by_chance = (len(known) - len(np.unique(codes_together([owners, of]))) for of in (keys, mixed))
        least = max(LEAST_RETURNING * (len(known) - len(np.unique(owners))), BY_CHANCE * (by_chance + 1) ** 0.5)
        return bool(back - by_chance >= least)

    def told(self, names: Sequence[str], index: str | None) -> float:
        """Mutual information of each row and the row before of its parent, beyond that of rows of any parent, in nats.

        What rows of a parent have in common, in whatever order, is not counted either: its columns tell that of any
        parent.
        """
        number = len(self.owners)
        order = np.argsort(_ranks(self.rows.column(index)), kind="stable") if index else np.arange(number)
        mixed, owners = np.random.default_rng(0).permutation(number), self.owners[order]
        by_owner = np.argsort(owners, kind="stable")
        in_any_order, of_any = (rows[np.argsort(owners[mixed], kind="stable")] for rows in (mixed, np.arange(number)))
        after, told = 1 + np.flatnonzero(np.diff(owners[by_owner]) == 0), 0.0
        most = max(most_groups(len(after)), 2)
        for name in names:
            column = self.rows.column(name)
            if decides(self.owners, whole_array(column)):
                continue
            codes = groups_of(column, most)[order]
            mine, *others = ((codes[of][after - 1], codes[of][after]) for of in (by_owner, in_any_order, of_any))
            told += min(_beyond_chance(mine, by_chance) for by_chance in others)
        return told


def most_telling(parents: Sequence[SomeChildren], names: Sequence[str], index: str | None) -> Reference:
    """The parent by whose rows most is known of a child's rows from the row before; of equal ones that of most rows.

    Parameters
    ----------
    parents : sequence of SomeChildren
        Children of each parent.
    names : sequence of str
        Columns of the child that refer to none.
    index : str, optional
        The column by which its rows are in order.
    """
    by_rows = sorted(parents, key=lambda children: -children.parents)
    told = [children.told(names, index) for children in by_rows]
    return by_rows[0 if max(told) < told[0] + LEAST_MORE else int(np.argmax(told))].reference


def _are_looked_at(hashes: Any, share: float) -> Any:
    """Which keys are among those whose children are looked at; none without a key."""
    return (hashes != 0) & ((hashes >> np.uint64(32)) < np.uint64(min(share, 1.0) * 2.0**32))


def forgotten(child: Source, owner: str, names: Sequence[str], index: str | None) -> tuple[str, ...]:
    """Columns of which a row tells nothing of the next one of its parent, of whatever column.

    Parameters
    ----------
    child : Source
        The child, of which the first rows are looked at.
    owner : str
        Its column with the numbers of its parents.
    names : sequence of str
        Columns that may be forgotten.
    index : str, optional
        The column by which its rows are in order.
    """
    asked = [*dict.fromkeys((owner, *names, *([index] if index else ())))]
    blocks = (block.batch for block in child.blocks(asked, MOST_ROWS))
    rows = pa.Table.from_batches([*islice(blocks, 1)], child.fields(asked))
    owners = np.asarray(rows.column(owner).combine_chunks(), np.int64)
    order = np.lexsort((_ranks(rows.column(index)) if index else np.arange(len(owners)), owners))
    places = 1 + np.flatnonzero(np.diff(owners[order]) == 0)
    after = order[places - 1], order[places]
    most = most_groups(len(after[1]))
    if most < 2:
        return ()
    mixed = np.random.default_rng(0).permutation(after[1])
    codes = {name: groups_of(rows.column(name), most) for name in names}
    former, following, by_chance = ({name: of[at] for name, of in codes.items()} for at in (*after, mixed))
    return tuple(name for name in names if not any(told_of(former[name], following[of], by_chance[of]) for of in names))


def told_of(first: Ints, second: Ints, mixed: Ints) -> float:
    """Information of groups on others in nats, but for that on them in any order; 0 where it is no more than chance."""
    return _beyond_chance((first, second), (first, mixed))


def _beyond_chance(groups: tuple[Ints, Ints], by_chance: tuple[Ints, Ints]) -> float:
    """Mutual information of two groups beyond that of others, which is by chance; 0 where it is no more than that."""
    told = _information(*groups) - _information(*by_chance)
    cells = float(groups[0].max(initial=0)) * float(groups[1].max(initial=0))
    return told if told >= max(LEAST_TOLD, BY_CHANCE * (cells / 2) ** 0.5 / max(len(groups[0]), 1)) else 0.0


def _information(first: Ints, second: Ints) -> float:
    """Mutual information of two groups in nats."""
    counts = np.bincount(first * GROUPS + second, minlength=GROUPS**2).reshape(GROUPS, GROUPS).astype(np.float64)
    shares = counts / max(len(first), 1)
    expected = shares.sum(1, keepdims=True) * shares.sum(0, keepdims=True)
    known = shares > 0
    return float(np.sum(shares[known] * np.log(shares[known] / expected[known])))


def most_groups(pairs: int) -> int:
    """How many groups so many pairs of rows can tell of each other."""
    return min(int((pairs / PAIRS_OF_CELL) ** 0.5), GROUPS)


def groups_of(column: Any, most: int = GROUPS) -> Ints:
    """Numbers in groups of about as many rows; the most frequent categories, and all others as one."""
    values = plain_values_of(column.combine_chunks())
    if is_number_type(values.type) or is_datetime_type(values.type):
        ranks = _ranks(column)
        return ranks * most // max(len(ranks), 1)
    codes = codes_of(values) + 1
    by_rows = np.argsort(-np.bincount(codes), kind="stable")
    places = np.empty(len(by_rows), np.int64)
    places[by_rows] = np.arange(len(by_rows))
    return np.minimum(places, most - 1)[codes]


def _ranks(column: Any) -> Ints:
    """Rank of each row, of equal ones the least; missing ones are last."""
    values = plain_values_of(column.combine_chunks())
    if not (is_number_type(values.type) or is_datetime_type(values.type)):
        values = values.dictionary_encode().indices
    numbers = numbers_of(values)
    return np.searchsorted(np.sort(numbers), numbers)
