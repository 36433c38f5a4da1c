"""Conditional tables from counts: every probability backs off to those of larger groups of rows.

The probability of a bin k in a context c, whose groups are g_1(c), g_2(c), … from the coarsest, is P_L with

    P_0 = 1 / K,    P_l(k | c) = (n_l(k, g_l) + m_l P_(l-1)(k | c)) / (N_l(g_l) + m_l),    m_l = w_l d_l(g_l),

n_l the rows of the group in the bin, N_l all its rows, and d_l the number of bins that occur in it (Witten & Bell
1991). The weight w_l is the one of `WEIGHTS` with the higher leave-one-out log-likelihood, in which each row's
probability is taken from the counts of all other rows. No probability is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.summary import Floats, Ints

WEIGHTS = (0.25, 1.0)
LEAST = 1e-9  # bins that count as occurring where none is left: the level above decides


@dataclass(frozen=True, slots=True)
class ConditionalTable:
    """Probabilities of bins in contexts.

    Parameters
    ----------
    table : ndarray of shape (contexts, bins)
        Probabilities.
    leave_one_out : ndarray of shape (contexts, bins)
        Probabilities for a row that is left out of the counts.
    likelihoods : tuple of float
        Log-likelihood of all rows, each left out of the counts for itself, in nats: without a level, by the first one,
        by the first two, and so on.
    """

    table: Floats
    leave_one_out: Floats
    likelihoods: tuple[float, ...]


def backed_off(counts: Ints, levels: Sequence[Ints], starts: Ints | None = None) -> ConditionalTable:
    """Conditional table of counts.

    Parameters
    ----------
    counts : ndarray of shape (contexts, bins), int64
        Rows.
    levels : sequence of ndarray of shape (contexts,), int64
        For each level the group of each context, from the coarsest.
    starts : ndarray of shape (blocks,), int64, optional
        First bin of each block of bins, where a row is known to lie in its block: the probabilities of each block add
        up to 1. By default all bins are one block.
    """
    starts = np.zeros(1, np.int64) if starts is None else starts
    sizes = np.diff(np.append(starts, counts.shape[1]))
    table: Floats = np.broadcast_to(np.repeat(1.0 / sizes, sizes), counts.shape)
    leave_one_out, occurring = table, counts > 0
    likelihoods = [_likelihood(counts, table, occurring)]
    for groups in levels:
        rows = _of_groups(counts, groups)
        n = rows[groups]  # this, totals and kinds are n, N and d of the formula at the top, for each context
        totals, kinds = (
            np.repeat(np.add.reduceat(part, starts, axis=1), sizes, axis=1)[groups]
            for part in (rows, (rows > 0).astype(np.int64))
        )
        trials = [left_out(n, totals, kinds, weight, leave_one_out) for weight in WEIGHTS]
        of_trials = [_likelihood(counts, trial, occurring) for trial in trials]
        best = int(np.argmax(of_trials))
        mass = WEIGHTS[best] * np.maximum(kinds, 1)
        table, leave_one_out = (n + mass * table) / (totals + mass), trials[best]
        likelihoods.append(of_trials[best])
    return ConditionalTable(table, leave_one_out, tuple(likelihoods))


def _of_groups(counts: Ints, groups: Ints) -> Floats:
    """Sums of the rows of counts in each group, 0 where a group has none."""
    sums = np.zeros((int(groups.max(initial=0)) + 1, counts.shape[1]))
    if len(groups):
        order = np.argsort(groups, kind="stable")
        first = np.flatnonzero(np.diff(groups[order], prepend=-1))
        sums[groups[order[first]]] = np.add.reduceat(counts[order], first, axis=0)
    return sums


def counts_of_keys(rows: Ints, rows_per_key: float) -> Ints:
    """Counts of keys from those of their rows: quotients that are rounded up or down, as the place in a table has it.

    Rows of one key are no evidence of their own: they would make what a few keys have look certain.
    """
    if rows_per_key == 1:
        return rows
    uniforms = mixed(np.arange(rows.size, dtype=np.uint64), 0).reshape(rows.shape) * 2.0**-64
    return np.floor(rows / rows_per_key + uniforms).astype(np.int64)


def left_out(n: Floats, totals: Floats, kinds: NDArray[Any], weight: float, coarser: Floats) -> Floats:
    """Probability of a row by all other rows.

    Parameters
    ----------
    n, totals, kinds : ndarray
        Rows of its group in its bin, all of its group, and bins that occur there.
    weight : float
        Weight of the level above.
    coarser : ndarray
        This probability one level up.
    """
    mass = weight * np.maximum(kinds - (n == 1), LEAST)
    with np.errstate(divide="ignore", invalid="ignore"):  # where there is no row
        return np.asarray((n - 1 + mass * coarser) / (totals - 1 + mass))


def _likelihood(counts: Ints, table: Floats, occurring: NDArray[np.bool_]) -> float:
    """Sum of the logarithms of the rows' probabilities."""
    return float(np.sum(counts[occurring] * np.log(table[occurring])))
