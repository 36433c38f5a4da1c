"""Sums of chunks of rows, added in a fixed binary tree over the numbers of the chunks."""

from __future__ import annotations

import numpy as np

from gpuvgm.summary import Floats


class ChunkSums:
    """Sums of chunks that follow one another.

    Node i of level l is the sum of the chunks i 2^l to (i + 1) 2^l - 1: its left half plus its right half, or the left
    half alone where the right one has no chunk. So the bits of the total depend only on the chunks, and not on the
    blocks, threads or workers that they came from, and rounding errors grow with the logarithm of their number: Higham
    1993, SIAM Journal on Scientific Computing 14 (4), section 2. Of n chunks at most 2 log2(n) + 1 nodes are kept.

    Parameters
    ----------
    width : int
        Number of sums of a chunk.
    first : int
        Number of the first chunk.
    """

    __slots__ = ("_nodes", "next", "width")

    def __init__(self, width: int, first: int = 0) -> None:
        self.width, self.next = width, first
        self._nodes: list[tuple[int, Floats]] = []  # level and sums of each node that waits for its other half

    @property
    def nodes(self) -> Floats:
        """Nodes of all chunks added, shape (nodes, 1 + width): the level of each, and its sums."""
        nodes = np.empty((len(self._nodes), 1 + self.width))
        for row, (level, sums) in zip(nodes, self._nodes, strict=True):
            row[0], row[1:] = level, sums
        return nodes

    @property
    def total(self) -> Floats:
        """Sum of all chunks, shape (1, width), if the first one was chunk 0."""
        total = np.zeros((1, self.width))
        for _, sums in reversed(self._nodes):  # from the smallest to the largest
            total = sums + total
        return total

    def add(self, sums: Floats, level: int = 0) -> None:
        """Add nodes of one level, by default chunks, from chunk `next` on.

        Parameters
        ----------
        sums : ndarray of shape (nodes, width)
            Their sums.
        level : int
            Their level, of which chunk `next` begins a node.
        """
        left_halves = []  # of each level the last node, where its right half is to come
        while len(sums):
            if self.next >> level & 1:
                self._add(level, sums[0])
                sums = sums[1:]
            even = len(sums) & ~1
            if even < len(sums):
                left_halves.append((level, sums[even]))
            sums, level = sums[0:even:2] + sums[1:even:2], level + 1
        for node in reversed(left_halves):
            self._add(*node)

    def add_nodes(self, nodes: Floats) -> None:
        """Add the `nodes` of other sums, whose first chunk was `next`."""
        for node in nodes:
            self._add(int(node[0]), node[1:])

    def _add(self, level: int, sums: Floats) -> None:
        """Add one node, and every node that it completes."""
        self.next += 1 << level
        while self._nodes and self._nodes[-1][0] == level and self.next >> level & 1 == 0:
            sums, level = self._nodes.pop()[1] + sums, level + 1
        self._nodes.append((level, sums))
