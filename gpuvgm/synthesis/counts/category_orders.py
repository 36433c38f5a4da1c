"""Orders of many categories by another column, where trees then tell more of them than in the order of their frequency.

Trees draw a category by halving the bins of all categories again and again. In the order of their frequency neighbours
have nothing in common, and each of hundreds of cuts has to learn anew which of its categories go with what. Categories
that go with the same bins of another column are put side by side here: by the first axis of a correspondence analysis,
found by reciprocal averaging (Hill 1973) in whole numbers, so that all machines find the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gpuvgm.engines import AskedColumn, Engine, GrowthRules
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.counts.structure import Dependence
from gpuvgm.synthesis.counts.trees import CANDIDATES, ORDER_GROUPS, NodeTrees, TreeSettings, halved_ranges, order_of

BY_FREQUENCY = 64  # bins of categories, at most, that stay in the order of their frequency
GROUPS = 64  # of the other column's bins, about
TURNS = 100  # of averaging
SCALE = 1 << 30  # of the scores of categories and bins
LEAST_GAIN = 0.02  # nats for each row that are gained by another order


def reordered_bins(
    bins: Mapping[str, Bins],
    codes: Mapping[str, AskedColumn],
    dependence: Dependence,
    engine: Engine,
    rules: GrowthRules,
) -> dict[str, Bins]:
    """Bins of columns of many categories that are in another order than that of frequency.

    Parameters
    ----------
    bins : mapping of str to Bins
        Bins of each column.
    codes : mapping of str to AskedColumn
        The bin of each row of a sample.
    dependence : Dependence
        Which columns may depend on which.
    engine : Engine
        Engine that grows trees.
    rules : GrowthRules
        What splits may be.
    """
    names = [*codes]
    many = [name for name in names if codes[name].is_category and codes[name].size > BY_FREQUENCY]
    if not many:
        return {}
    order, allowed = order_of(codes, dependence, engine), dependence.mask(names)
    information = engine.information([column.grouped(ORDER_GROUPS) for column in codes.values()])
    reordered = dict[str, Bins]()
    for name in many:
        told, may_tell = information[names.index(name)], allowed[names.index(name)]
        former = [at for at in map(names.index, order[: order.index(name)]) if may_tell[at] and told[at] > 0]
        nearest, rows = sorted(former, key=lambda at: (-told[at], at))[:CANDIDATES], dependence.rows_of(name)
        asked = [_at_rows(codes[names[at]], rows) for at in nearest]
        own = _at_rows(codes[name], rows)
        if asked and (places := order_by(own, asked[0].grouped(GROUPS), rules.least_rows)) is not None:
            by_order = AskedColumn(np.argsort(places).astype(np.uint16)[own.codes], own.size, is_category=True)
            likelihoods = (_likelihood(column, asked, engine, rules) for column in (own, by_order))
            by_frequency, likelihood = likelihoods
            if likelihood > by_frequency + LEAST_GAIN * len(own.codes):
                reordered[name] = bins[name].reordered(places)
    return reordered


def order_by(column: AskedColumn, near: AskedColumn, least_rows: int) -> Ints | None:
    """Codes of a column of categories, those that go with the same codes of another one side by side.

    Rare ones come last, as they were: beside others each would tell what its own rows go with. None where all go with
    the same.

    Parameters
    ----------
    column, near : AskedColumn
        Both columns.
    least_rows : int
        Rows of a category that is not rare.
    """
    pairs = column.codes.astype(np.int64) * near.size + near.codes
    rows = np.bincount(pairs, minlength=column.size * near.size).reshape(column.size, near.size)
    is_rare = rows.sum(axis=1) < least_rows
    rows[is_rare] = 0
    of_column, of_near = np.maximum(rows.sum(axis=1), 1), np.maximum(rows.sum(axis=0), 1)
    scores_of_near = np.arange(near.size) * (SCALE // near.size)
    for _ in range(TURNS):
        scores = rows @ scores_of_near // of_column
        scores -= np.sum(rows.sum(axis=1) * scores) // max(int(np.sum(rows)), 1)
        scores[is_rare] = 0
        largest = int(np.max(np.abs(scores)))
        if not largest:
            return None
        scores = scores * SCALE // largest
        scores_of_near = scores @ rows // of_near
    return np.lexsort((scores, is_rare))


def _at_rows(column: AskedColumn, rows: Ints | slice) -> AskedColumn:
    return AskedColumn(column.codes[rows], column.size, column.is_category, column.missing)


def _likelihood(column: AskedColumn, asked: Sequence[AskedColumn], engine: Engine, rules: GrowthRules) -> float:
    """Log-likelihood of a column's rows by trees over others, each row left out of the counts for itself."""
    ranges = halved_ranges(np.bincount(column.codes, minlength=column.size))
    trees = engine.grow_trees(column.codes, ranges, asked, rules)
    counts = engine.count_in_trees(column.codes, trees, [other.codes for other in asked])
    return NodeTrees((), trees).likelihood(counts, TreeSettings.of(safer=False).weights)
