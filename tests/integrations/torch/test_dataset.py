"""Batches of training rows as tensors: the same ones for any number of workers and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuvgm import TableTransformer, TrainingRows
from gpuvgm.errors import InputError
from tests.conftest import needs_gpu
from tests.docs.pages import python_blocks, run_python

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.utils.data import DataLoader  # noqa: E402

from gpuvgm.integrations.torch import TrainingDataset  # noqa: E402

ROWS = 1500


def table() -> dict[str, Any]:
    random = np.random.default_rng(2)
    return {"x": random.lognormal(size=ROWS), "word": random.choice(["a", "b", "c"], ROWS), "n": np.arange(ROWS) * 1.0}


@pytest.fixture(scope="module")
def fitted() -> TableTransformer:
    return TableTransformer({"n": "general"}, effort="research", max_iter=5).fit(table())


@pytest.fixture(scope="module", params=["memory", "disk"])
def rows(request: pytest.FixtureRequest, fitted: TableTransformer) -> TrainingRows:
    return TrainingRows(fitted, table(), place=request.param, seed=3)


def loaded(rows: TrainingRows, workers: int, *, epoch: int = 1, how: str | None = None, **options: Any) -> list[Any]:
    dataset = TrainingDataset(rows, 100, **options)
    dataset.set_epoch(epoch)
    with_workers = {"multiprocessing_context": how} if workers else {}
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, **with_workers)
    assert len(loader) == len(dataset)
    batches = list(loader)
    assert len(batches) == len(dataset)
    return batches


def assert_equal(batches: list[Any], expected: list[Any]) -> None:
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        assert all(isinstance(tensor, torch.Tensor) for tensor in batch)
        for tensor, array in zip(batch, other, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array, strict=True)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 2, 7])
def test_workers_make_the_same_batches(rows: TrainingRows, workers: int) -> None:
    expected = list(rows.batches(100, epoch=1))
    assert_equal(loaded(rows, workers, how="fork"), expected)


def test_workers_that_are_spawned(fitted: TableTransformer) -> None:
    rows = TrainingRows(fitted, table(), place="disk")
    assert_equal(loaded(rows, 1, how="spawn"), list(rows.batches(100, epoch=1)))


def test_processes_have_shares_of_their_own(rows: TrainingRows) -> None:
    """As many batches each, and no row twice, in workers or not."""
    shares = [loaded(rows, workers, how="fork", num_replicas=2, rank=rank) for rank, workers in ((0, 2), (1, 0))]
    assert [len(share) for share in shares] == [7, 7]
    numbers = torch.cat([batch.rows[:, -1] for share in shares for batch in share])
    assert len(torch.unique(numbers)) == len(numbers) == 1400


def test_workers_that_live_on_see_the_epoch(rows: TrainingRows) -> None:
    dataset = TrainingDataset(rows, 100)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, persistent_workers=True, multiprocessing_context="fork"
    )
    for epoch in (0, 5):
        dataset.set_epoch(epoch)
        assert_equal(list(loader), list(rows.batches(100, epoch=epoch)))
    del loader


def test_tensors_are_not_copies(rows: TrainingRows, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list(rows.batches(100))
    monkeypatch.setattr(rows, "batches", lambda *_, **__: iter(made))
    for batch, arrays in zip(TrainingDataset(rows, 100), made, strict=True):
        assert [tensor.data_ptr() for tensor in batch] == [array.ctypes.data for array in arrays]


def test_order_and_last_batch(rows: TrainingRows, fitted: TableTransformer) -> None:
    dataset = TrainingDataset(rows, 400, shuffle=False, drop_last=True)
    matrix = fitted.transform(table(), layout="onehot")
    assert len(dataset) == 3
    np.testing.assert_array_equal(torch.cat([batch.rows for batch in dataset]).numpy(), matrix[:1200])


def test_without_conditions(fitted: TableTransformer) -> None:
    (batch,) = TrainingDataset(TrainingRows(fitted, table(), columns=[]), ROWS)
    assert batch.rows.shape[0] == ROWS and tuple(batch.vectors.shape) == tuple(batch.mask.shape) == (ROWS, 0)


def test_pages(working_folder: Path) -> None:
    (block,) = python_blocks({"torch"})
    assert run_python(block)["batch"].rows.shape[1] > 3


def test_rows_of_the_device_take_no_workers(fitted: TableTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = TrainingRows(fitted, table())
    monkeypatch.setattr(rows, "place", "cuda")
    assert len(loaded(rows, 0)) == 15
    with pytest.raises(InputError, match="num_workers=0"):
        loaded(rows, 1, how="fork")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_tensors_of_the_device(fitted: TableTransformer) -> None:
    here, there = (TrainingRows(fitted, table(), place=place) for place in ("memory", "cuda"))
    batches = list(TrainingDataset(there, 100))
    assert all(tensor.is_cuda for batch in batches for tensor in batch)
    assert_equal([type(batch)(*(tensor.cpu() for tensor in batch)) for batch in batches], list(here.batches(100)))


def test_what_is_refused_is_refused_at_once(rows: TrainingRows) -> None:
    for options in ({"rank": 2, "num_replicas": 2}, {"rank": -1}):
        with pytest.raises(InputError, match="less than the second"):
            TrainingDataset(rows, 100, **options)
    with pytest.raises(InputError, match="a whole number, at least 1"):
        TrainingDataset(rows, 0)
