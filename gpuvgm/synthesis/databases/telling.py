"""Which of several parents tells most of a child: by whose rows what comes next goes with what came before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.io import Source, is_datetime_type, is_number_type, plain_values_of
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.joins import Links, codes_of, numbers_of

GROUPS = 16  # of numbers of about as many rows, or of categories, of which the last has all rare ones
MOST_ROWS = 1 << 16  # that are looked at, all of some parents
LEAST_MORE = 0.02  # nats, by which a parent of fewer rows has to tell more
LEAST_TOLD = 0.01  # nats, that a row tells of the next one of its parent, beside what is told by chance
PAIRS_OF_CELL = 20  # of rows, on average, in each cell of two groups
BY_CHANCE = 4.0  # standard deviations of what is told by chance


def most_telling(parents: Sequence[Links], child: pa.Table, names: Sequence[str], index: str | None) -> Links:
    """The parent by whose rows most is known of a child's rows from the row before; of equal ones that of most rows.

    Parameters
    ----------
    parents : sequence of Links
        Which rows of the parents the rows of the child refer to.
    child : pyarrow.Table
        The child.
    names : sequence of str
        Its columns that refer to none.
    index : str, optional
        The column by which its rows are in order.
    """
    by_rows = sorted(parents, key=lambda links: -links.parents)
    if len(by_rows) == 1:
        return by_rows[0]
    order = np.argsort(_ranks(child.column(index)), kind="stable") if index else np.arange(child.num_rows)
    codes = [groups_of(child.column(name)) for name in names]
    told = [
        _told(
            links, order, [of for of, name in zip(codes, names, strict=True) if not links.decides(child.column(name))]
        )
        for links in by_rows
    ]
    return by_rows[0] if max(told) < told[0] + LEAST_MORE else by_rows[int(np.argmax(told))]


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
    most = min(int((len(after[1]) / PAIRS_OF_CELL) ** 0.5), GROUPS)
    if most < 2:
        return ()
    mixed = np.random.default_rng(0).permutation(after[1])
    codes = {name: groups_of(rows.column(name), most) for name in names}
    former, following, by_chance = ({name: of[at] for name, of in codes.items()} for at in (*after, mixed))
    return tuple(name for name in names if not any(told_of(former[name], following[of], by_chance[of]) for of in names))


def told_of(first: Ints, second: Ints, mixed: Ints) -> float:
    """Information of groups on others in nats, but for that on them in any order; 0 where it is no more than chance."""
    told = _information(first, second) - _information(first, mixed)
    cells = float(first.max(initial=0)) * float(second.max(initial=0))
    return told if told >= max(LEAST_TOLD, BY_CHANCE * (cells / 2) ** 0.5 / max(len(first), 1)) else 0.0


def _told(links: Links, order: Ints, columns: Sequence[Ints]) -> float:
    """Mutual information of each row and the row before of its parent, beyond that of rows of any parent, in nats.

    What rows of a parent have in common, in whatever order, is not counted either: its columns tell that of any parent.
    """
    random = np.random.default_rng(0)
    rows = _looked_at(links, order, random)
    mixed = random.permutation(len(rows))
    by_owner = rows[np.argsort(links.rows[rows], kind="stable")]
    in_any_order = rows[mixed][np.argsort(links.rows[rows[mixed]], kind="stable")]
    of_any = rows[np.argsort(links.rows[rows][mixed], kind="stable")]
    after = 1 + np.flatnonzero(np.diff(links.rows[by_owner]) == 0)
    told = 0.0
    for codes in columns:
        known, *by_chance = (
            _information(codes[of][after - 1], codes[of][after]) for of in (by_owner, in_any_order, of_any)
        )
        told += max(known - max(by_chance), 0.0)
    return told


def _looked_at(links: Links, order: Ints, random: np.random.Generator) -> Ints:
    """Rows of some parents that are there, in an order of all rows."""
    share = MOST_ROWS / max(len(order), 1)
    is_looked_at = np.append(random.random(links.parents) < share, False)
    rows: Ints = order[is_looked_at[np.where(links.is_here, links.rows, -1)][order]]
    return rows


def _information(first: Ints, second: Ints) -> float:
    """Mutual information of two groups in nats."""
    counts = np.bincount(first * GROUPS + second, minlength=GROUPS**2).reshape(GROUPS, GROUPS).astype(np.float64)
    shares = counts / max(len(first), 1)
    expected = shares.sum(1, keepdims=True) * shares.sum(0, keepdims=True)
    known = shares > 0
    return float(np.sum(shares[known] * np.log(shares[known] / expected[known])))


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
