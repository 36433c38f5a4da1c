"""Batches of `TrainingRows` as PyTorch's tensors, for a DataLoader and for several processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpuvgm.errors import InputError
from gpuvgm.table import TrainingBatch, TrainingRows

try:
    import torch
    from torch import distributed
    from torch.utils.data import IterableDataset, get_worker_info
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError("gpuvgm.integrations.torch needs PyTorch: pip install torch", name="torch") from error


class TrainingDataset(IterableDataset):  # type: ignore[misc]  # PyTorch may be missing where types are checked
    """Every row once an epoch, in batches of tensors, shared out to processes and to the workers of their loaders.

    ``DataLoader(TrainingDataset(rows, 500), batch_size=None, num_workers=4)``. Batches come in the same order and with
    the same bits whatever the number of workers. The seed of their order is that of the rows. Tensors lie in the memory
    of the matrices that are made; only what a worker makes is sent to its process, as PyTorch sends tensors.

    Workers that are forked share the rows. Those that are spawned get a copy of rows in memory each; rows on the disk
    are mapped by all of them. Rows with place="cuda" give tensors on the device, and take no workers.

    Parameters
    ----------
    rows : TrainingRows
        The rows, with the same seed in all processes.
    batch_rows : int
        Rows of a batch.
    num_replicas : int, optional
        Number of processes; by default that of `torch.distributed`, or 1. All get as many batches: a shorter one, and
        batches that not all can have, are left out.
    rank : int, optional
        Number of this process; by default that of `torch.distributed`, or 0.
    shuffle : bool
        Take the rows in random order, another one each epoch; else in that of the source.
    drop_last : bool
        Leave out a last batch that is shorter.

    Examples
    --------
    >>> from torch.utils.data import DataLoader
    >>> import gpuvgm
    >>> from gpuvgm.integrations.torch import TrainingDataset
    >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
    >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
    >>> [tuple(batch.rows.shape) for batch in DataLoader(TrainingDataset(rows, 150), batch_size=None)]
    [(150, 2), (150, 2), (100, 2)]
    """

    def __init__(
        self,
        rows: TrainingRows,
        batch_rows: int,
        *,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        process, count = processes()
        self._rows, self._batch_rows = rows, batch_rows
        self._rank = (process if rank is None else rank, count if num_replicas is None else num_replicas)
        self._shuffle, self._drop_last = shuffle, drop_last
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that live on see it change
        next(self._batches((0, 1)), None)  # refuses here what it would refuse in a worker

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration, as for PyTorch's DistributedSampler.

        Parameters
        ----------
        epoch : int
            Number of the epoch.

        Examples
        --------
        >>> import gpuvgm
        >>> from gpuvgm.integrations.torch import TrainingDataset
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> dataset = TrainingDataset(gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table), 150)
        >>> for epoch in range(2):
        ...     dataset.set_epoch(epoch)
        ...     print(sum(len(batch.rows) for batch in dataset))
        400
        400
        """
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return self._rows.batch_count(self._batch_rows, self._rank[1], drop_last=self._drop_last)

    def __iter__(self) -> Iterator[TrainingBatch]:
        worker = get_worker_info()
        if worker is not None and self._rows.place == "cuda":
            raise InputError("rows on the device are batched there, by no workers: give the DataLoader num_workers=0")
        for batch in self._batches((0, 1) if worker is None else (worker.id, worker.num_workers)):
            tensors: Any = TrainingBatch(*(torch.from_dlpack(array) for array in batch))
            yield tensors

    def _batches(self, worker: tuple[int, int]) -> Iterator[TrainingBatch]:
        return self._rows.batches(
            self._batch_rows,
            epoch=int(self._epoch),
            shuffle=self._shuffle,
            rank=self._rank,
            worker=worker,
            drop_last=self._drop_last,
        )


def processes() -> tuple[int, int]:
    """Number of this process of a distributed training, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
