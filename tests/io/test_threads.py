"""Work on pieces of files side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from gpuvgm.io.threads import in_order


def test_results_come_in_the_order_of_the_pieces() -> None:
    """However long each of them takes."""

    def later_ones_first(piece: int) -> int:
        time.sleep(0.002 * (7 - piece))
        return piece * piece

    assert list(in_order(later_ones_first, range(8))) == [piece * piece for piece in range(8)]
    assert list(in_order(later_ones_first, [])) == []


def test_few_pieces_are_read_before_the_first_result_is_taken() -> None:
    """Memory holds as many as are worked on, and two more."""
    read: list[int] = []

    def pieces() -> Iterator[int]:
        for piece in range(100):
            read.append(piece)
            yield piece

    results = in_order(abs, pieces())
    assert next(results) == 0
    assert len(read) == pa.cpu_count() + 2
    results.close()
    assert len(read) == pa.cpu_count() + 2


def test_what_a_piece_raises_comes_in_its_turn() -> None:
    """After the results before it, and no thread is left."""
    before = threading.active_count()

    def fails_at_two(piece: int) -> int:
        if piece == 2:
            raise ValueError("no third")
        return piece

    results = in_order(fails_at_two, range(4))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="no third"):
        next(results)
    assert threading.active_count() == before


def test_what_reading_raises_comes_in_its_turn() -> None:
    """After the results of all that was read, whatever is wrong with these."""
    before = threading.active_count()

    def pieces() -> Iterator[int]:
        yield from (0, 1)
        raise OSError("gone")

    results = in_order(abs, pieces())
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(OSError, match="gone"):
        next(results)
    with pytest.raises(ZeroDivisionError):
        next(in_order(lambda piece: 1 // piece, pieces()))
    assert threading.active_count() == before
