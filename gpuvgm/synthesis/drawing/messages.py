"""Exact propagation of conditions to all columns: sums over tables, from the last column to the first.

Given the columns before it, a column that is summed out leaves a factor of its parents. These are neighbours of each
other in a 2-tree, so that the factor belongs to the table of the later one (Koller & Friedman 2009, chapter 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gpuvgm.errors import InputError
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.counts import Network


@dataclass(frozen=True, slots=True)
class Factors:
    """Factors on a column and its parents, from later columns and from the column's condition.

    Parameters
    ----------
    unary : ndarray of shape (bins,), optional
        Factor of the column alone.
    parents : tuple of ndarray of shape (bins of the parent, bins), or None
        Factors of the column and each parent.
    """

    unary: Floats | None
    parents: tuple[Floats | None, ...]

    @property
    def are_one(self) -> bool:
        """True if no factor is set."""
        return self.unary is None and all(factor is None for factor in self.parents)

    def weighted(self, inside: Floats) -> Floats:
        """Probabilities of bins in their groups times the factors of the column and of its first parent."""
        weights = inside if self.unary is None else inside * self.unary
        return weights * self.parents[0] if self.parents and self.parents[0] is not None else weights


@dataclass(frozen=True, slots=True)
class Messages:
    """Factors of each node of a network.

    Parameters
    ----------
    network : Network
        The network.
    factors : tuple of Factors
        By node.
    log_mass : float
        Logarithm of the probability of the conditions.
    """

    network: Network
    factors: tuple[Factors, ...]
    log_mass: float

    def concern(self, place: int) -> bool:
        """Return whether conditions change the distribution of a node."""
        return not self.factors[place].are_one

    def table(self, place: int) -> tuple[Floats, int, Ints]:
        """Weights of a node's bins in each context, proportional to their probabilities.

        Returns
        -------
        table : ndarray of shape (contexts, bins)
            In each bin of the first parent with each one, or each group, of the second parent.
        width : int
            Contexts of each bin of the first parent.
        second : ndarray of shape (bins of the second parent,)
            Context of each bin of the second parent.
        """
        structure, factors = self.network.structure, self.factors[place]
        tables, axis = self.network.tables[place], structure.axes[place]
        parents = structure.parents[place]
        inside = factors.weighted(tables.inside)
        group_of = structure.axes[parents[1]].parent if len(parents) > 1 else np.empty(0, np.int64)
        of_second = factors.parents[1] if len(parents) > 1 else None
        if of_second is None:
            return tables.groups[:, :, axis.child] * inside[:, None], tables.groups.shape[1], group_of
        # A factor of the second parent's bins: contexts are these, and not their groups.
        table = tables.groups[:, group_of][:, :, axis.child] * inside[:, None] * of_second
        return table, len(group_of), np.arange(len(group_of))


def propagate(network: Network, evidence: Mapping[int, Floats]) -> Messages:
    """Factors that conditions leave on all nodes: each node is summed out, from the last one to the first.

    Parameters
    ----------
    network : Network
        The network.
    evidence : mapping of int to ndarray of shape (bins,)
        Share of each bin that meets the condition, for nodes with one.

    Raises
    ------
    InputError
        Where no row can meet all conditions.
    """
    parents = network.structure.parents
    unary: list[Floats | None] = [evidence.get(place) for place in range(len(parents))]
    pairs: list[list[Floats | None]] = [[None] * len(node_factors) for node_factors in parents]
    log_mass = 0.0
    for place in reversed(range(len(parents))):
        factors = Factors(unary[place], tuple(pairs[place]))
        if factors.are_one:
            continue
        message = _sum_out(network, place, factors)
        largest = float(np.max(message))
        if not largest > 0:
            raise InputError("no row of the model meets all conditions; loosen one of them")
        log_mass += float(np.log(largest))
        # Products of many small factors would underflow; their scale is kept as a logarithm.
        message = message / largest
        if len(parents[place]) == 1:
            unary[parents[place][0]] = _product(unary[parents[place][0]], message[:, 0])
        elif parents[place]:
            first, second = parents[place]
            later, earlier = max(first, second), min(first, second)
            parent_index = parents[later].index(earlier)
            by_earlier = message if first == earlier else message.T
            pairs[later][parent_index] = _product(pairs[later][parent_index], by_earlier)
    factors_of_nodes = (Factors(factor, tuple(of_parents)) for factor, of_parents in zip(unary, pairs, strict=True))
    return Messages(network, tuple(factors_of_nodes), log_mass)


def _product(factor: Floats | None, message: Floats) -> Floats:
    return message if factor is None else factor * message


def _sum_out(network: Network, place: int, factors: Factors) -> Floats:
    """Sum over the bins of a node, shape (bins of the first parent, bins of the second)."""
    tables, axis = network.tables[place], network.structure.axes[place]
    parents = network.structure.parents[place]
    inside = factors.weighted(tables.inside)
    of_second = factors.parents[1] if len(parents) > 1 else None
    if len(parents) < 2 or of_second is None:
        of_groups = np.add.reduceat(inside, axis.starts, axis=1)
        message = np.einsum("pg,pcg->pc", of_groups, tables.groups)
        return np.asarray(message[:, network.structure.axes[parents[1]].parent] if len(parents) > 1 else message)
    group_of = network.structure.axes[parents[1]].parent
    message = np.empty((len(inside), len(group_of)))
    for group in range(tables.groups.shape[1]):
        in_group = group_of == group
        message[:, in_group] = (inside * tables.groups[:, group][:, axis.child]) @ of_second[in_group].T
    return message
