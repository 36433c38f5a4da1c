"""Re-blocking keeps every row, in order, whatever the lengths of the batches."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm.io.block import Block, join_batches, rows_only


@given(lengths=st.lists(st.integers(0, 40), max_size=12), block_rows=st.integers(1, 50))
def test_blocks_are_exact_and_in_order(lengths, block_rows):
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    batches = [
        pa.record_batch({"row": pa.array(range(a, a + n), pa.int64())}) for a, n in zip(starts, lengths, strict=True)
    ]
    blocks = list(Block.cut(batches, block_rows))
    total = sum(lengths)
    assert [block.first_row for block in blocks] == list(range(0, total, block_rows))
    assert [block.rows for block in blocks[:-1]] == [block_rows] * (len(blocks) - 1)
    assert [value for block in blocks for value in block.table.column(0).to_pylist()] == list(range(total))


def test_blocks_inside_a_batch_share_its_memory():
    batch = pa.record_batch({"row": pa.array(range(100), pa.int64())})
    addresses = [block.table.column(0).buffers()[1].address for block in Block.cut([batch], 30)]
    assert set(addresses) == {batch.column(0).buffers()[1].address}


def test_at_most_the_batches_of_one_block_are_held():
    pulled = []

    def batches():
        for number in range(10):
            pulled.append(number)
            yield pa.record_batch({"row": pa.array([number] * 10)})

    blocks = Block.cut(batches(), 15)
    next(blocks)
    assert pulled == [0, 1]


@pytest.mark.parametrize("rows", [0, 7])
def test_rows_without_columns_are_counted(rows):
    assert rows_only(rows).num_rows == rows
    assert join_batches([rows_only(rows), rows_only(2)]).num_rows == rows + 2
