"""What a training loop reads: matrices, batches, fresh draws for every epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from tests.columns.tables import DECLARED, table

ROWS = 5000


@pytest.fixture(scope="module")
def transformer() -> TableTransformer:
    return TableTransformer(DECLARED, effort="research").fit(table(ROWS, 0))


@pytest.mark.parametrize("batch_rows", [1, 7, 500, 4096, ROWS, 10**6])
def test_batches_are_the_rows_of_one_transform(transformer: TableTransformer, batch_rows: int) -> None:
    rows = table(ROWS, 0)
    batches = list(transformer.iter_batches(rows, batch_rows))
    assert [len(batch) for batch in batches[:-1]] == [batch_rows] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate(batches), transformer.transform(rows, layout="onehot"))


def test_batches_of_files_and_streams(transformer: TableTransformer, tmp_path) -> None:
    rows = table(ROWS, 0)
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=333)
    expected = transformer.transform(rows, layout="onehot")
    stream = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=777))
    for source in (tmp_path / "rows.parquet", stream, iter([rows.slice(0, 10), rows.slice(10)])):
        np.testing.assert_array_equal(np.concatenate(list(transformer.iter_batches(source, 600))), expected)


def test_compact_batches_keep_the_type(transformer: TableTransformer) -> None:
    frame = table(ROWS, 0).to_pandas()
    batches = list(transformer.iter_batches(frame, 999, layout="compact"))
    assert all(isinstance(batch, pd.DataFrame) for batch in batches)
    whole = pd.concat(batches, ignore_index=True)
    pd.testing.assert_frame_equal(whole, transformer.transform(frame))


def test_compact_batches_have_an_index_of_their_own(transformer: TableTransformer) -> None:
    frame = table(ROWS, 0).to_pandas().set_index(np.arange(ROWS) + 7)
    batches = list(transformer.iter_batches(frame, 500, layout="compact"))
    (whole,) = transformer.iter_batches(frame, ROWS, layout="compact")
    for start, batch in zip(range(0, ROWS, 500), batches, strict=True):
        expected = whole.iloc[start : start + 500].reset_index(drop=True)
        pd.testing.assert_frame_equal(batch, expected)
    assert list(whole.index) == list(frame.index)
    dropped = list(transformer.iter_batches(frame, 500, layout="compact", drop_last=True))
    assert [len(batch) for batch in dropped] == [500] * (ROWS // 500)


def test_the_short_last_batch_may_be_dropped(transformer: TableTransformer) -> None:
    batches = list(transformer.iter_batches(table(1050, 1), 500, drop_last=True))
    assert [len(batch) for batch in batches] == [500, 500]


def test_every_epoch_may_draw_anew(transformer: TableTransformer) -> None:
    rows = table(ROWS, 0)
    epochs = [np.concatenate(list(transformer.iter_batches(rows, 512, seed=seed))) for seed in (1, 2, 1)]
    np.testing.assert_array_equal(epochs[0], epochs[2])
    assert np.mean(np.any(epochs[0] != epochs[1], axis=1)) > 0.01
    np.testing.assert_array_equal(epochs[1], transformer.transform(rows, layout="onehot", seed=2))


def test_an_iteration_may_be_left(transformer: TableTransformer) -> None:
    batches = transformer.iter_batches(iter([table(500, seed) for seed in range(50)]), 100)
    next(batches)
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)


def test_batches_need_rows(transformer: TableTransformer) -> None:
    with pytest.raises(InputError, match="batch_rows must be a whole number, at least 1, got 0"):
        next(transformer.iter_batches(table(10, 0), 0))


def test_matrices_are_handed_over_without_a_copy(transformer: TableTransformer) -> None:
    matrix = transformer.transform(table(100, 0), layout="onehot")
    assert matrix.flags.c_contiguous
    taken = np.from_dlpack(matrix)
    assert np.shares_memory(taken, matrix)


def test_output_may_be_chosen(transformer: TableTransformer) -> None:
    rows = table(50, 0)
    chosen = clone(transformer).set_output(transform="pandas").fit(rows)
    matrix = chosen.transform(rows, layout="onehot")
    assert list(matrix.columns) == list(chosen.get_feature_names_out(layout="onehot"))
    assert isinstance(chosen.transform(rows), pd.DataFrame)
    assert isinstance(clone(chosen).fit(rows).transform(rows), pd.DataFrame), "clone keeps the choice"
    assert isinstance(chosen.set_output(transform="default").transform(rows), pa.Table)
    assert type(chosen.set_output(transform="polars").transform(rows)).__module__.startswith("polars")
    with pytest.raises(InputError, match=r'transform must be "default", "pandas", "polars" or "pyarrow", got'):
        chosen.set_output(transform="spark")
