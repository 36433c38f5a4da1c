"""Sums of chunks: the tree by its definition, for any cut, and its error."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, strategies as st

from gpuvgm.engines.chunk_sums import ChunkSums


def node(chunks: np.ndarray, level: int, index: int) -> np.ndarray:
    """The definition."""
    if level == 0:
        return chunks[index]
    left = node(chunks, level - 1, 2 * index)
    beyond = (2 * index + 1) << (level - 1) >= len(chunks)
    return left if beyond else left + node(chunks, level - 1, 2 * index + 1)


def uneven(chunks: int) -> np.ndarray:
    """Sums whose order shows."""
    g = np.random.default_rng(chunks)
    return g.normal(size=(chunks, 3)) * 10.0 ** g.integers(-8, 8, (chunks, 3))


@given(st.integers(1, 300), st.lists(st.integers(0, 300), max_size=8), st.integers(1, 4))
def test_any_cut_gives_the_tree_of_the_definition(count: int, cuts: list[int], parts: int) -> None:
    chunks = uneven(count)
    blocks, workers = ChunkSums(3), ChunkSums(3)
    for partition in np.split(chunks, sorted(min(cut, count) for cut in cuts)):
        blocks.add(partition)
        worker = ChunkSums(3, workers.next)
        for part in np.array_split(partition, parts):
            worker.add(part)
        assert len(worker.nodes) <= 2 * np.log2(max(1, len(partition))) + 1
        workers.add_nodes(worker.nodes)
    expected = node(chunks, 9, 0)
    assert blocks.next == workers.next == count
    assert blocks.total.tobytes() == workers.total.tobytes() == expected.tobytes()


@given(st.integers(0, 40), st.integers(0, 3), st.integers(0, 40))
def test_whole_nodes_stand_for_their_chunks(tiles: int, level: int, rest: int) -> None:
    size = 1 << level
    chunks = uneven(tiles * size + rest)
    found, expected = ChunkSums(3), ChunkSums(3)
    found.add(np.array([node(chunks[i * size :][:size], level, 0) for i in range(tiles)]).reshape(-1, 3), level)
    found.add(chunks[tiles * size :])
    expected.add(chunks)
    assert found.nodes.tobytes() == expected.nodes.tobytes()


def test_no_chunk_is_zero() -> None:
    empty = ChunkSums(2)
    empty.add(np.empty((0, 2)))
    empty.add_nodes(ChunkSums(2).nodes)
    assert empty.total.tobytes() == np.zeros((1, 2)).tobytes() and empty.next == 0


def test_errors_do_not_grow_with_the_chunks() -> None:
    chunks = np.random.default_rng(0).gamma(2, 1000, (50_000, 1))
    sums = ChunkSums(1)
    sums.add(chunks)
    assert abs(sums.total[0, 0] / math.fsum(chunks[:, 0]) - 1) < 4e-16
