"""Dask's frames as sources, and lazy results of them: partitions of pandas or cuDF are read where they are."""

from __future__ import annotations

import weakref
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import namespace_of
from gpuvgm.errors import InputError
from gpuvgm.execution.dask_rows import DaskPartition, DaskRows, as_argument, forget, give_back, overlaps_of, task_key
from gpuvgm.execution.partitions import Reading
from gpuvgm.io import DeclaredColumns, Runs, holds_device_rows, row_bytes
from gpuvgm.shortage import machine_memory

MOST_COUNTED = 64  # frames whose lengths are remembered
KEPT_SHARE = 0.25  # of all memory: partitions of a sample may take so much until the fit is done
KEPT_BYTES = 1 << 26  # the same of each worker, where that is less: a large partition takes twice as much when read
_COUNTED: dict[str, tuple[int, ...]] = {}  # rows of partitions, by the token of the frame


# Dask's frames compare by element, so eq is off; `keep_sampled` needs weak references.
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class DaskFrame(DaskRows):
    """A frame of Dask, of pandas' frames or cuDF's, or an array whose chunks became such.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        The frame.
    declared : DeclaredColumns
        Columns and types, which all partitions must have.
    kept : dict
        Partitions that are in memory already, by number.
    """

    frame: Any
    declared: DeclaredColumns
    kept: Mapping[int, Any] = field(default_factory=dict)
    name: str = "dask.DataFrame"
    flavour: str = "dask"
    identified: ClassVar[bool] = True

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of all partitions."""
        return self.declared.schema

    @property
    def lengths(self) -> tuple[int, ...]:
        """Rows of the partitions: known from the files' metadata, or counted once."""
        return lengths_of(self.frame)

    @property
    def partitions_on_device(self) -> bool:
        """Return whether the partitions lie on devices."""
        return type(self.frame._meta).__module__.partition(".")[0] == "cudf"

    @property
    def dtypes(self) -> dict[str, Any]:
        """Dtypes of the columns, for pandas' frames."""
        return {} if self.partitions_on_device else {str(name): dtype for name, dtype in self.frame.dtypes.items()}

    @property
    def labels(self) -> dict[str, Any]:
        """Labels of columns that are no text, by their names."""
        return {str(label): label for label in self.frame.columns if not isinstance(label, str)}

    def partitions(self, reading: Reading) -> Iterator[DaskPartition]:
        """The partitions that have rows."""
        offsets = accumulate(self.lengths, initial=0)
        labels = [label for label in self.frame.columns if str(label) in reading.columns]
        reads_all = len(labels) == len(self.frame.columns) or type(self.frame.expr).__name__ == "FromGraph"
        # Of frames in memory the task that reads a partition picks the columns: picking here would cost tasks.
        frame = self.frame if reads_all else self.frame[labels]
        parts = zip(delayed_partitions(frame), offsets, self.lengths, strict=False)
        for number, (delayed, first, rows) in enumerate(parts):
            if rows:
                computed = self.kept.get(number, delayed)
                yield DaskPartition(number, first, rows, reading, self.declared, computed)

    def keep_sampled(self, columns: Sequence[str], runs: Runs, room: int | None) -> DaskFrame:
        """The frame with the first partitions that a sample reads persisted, as many as fit the memory.

        Dask forgets what it computed, and a fit would compute these partitions again.

        Parameters
        ----------
        columns : sequence of str
            Columns that are read.
        runs : sequence of (int, int)
            Start and stop of each run of the sample.
        room : int, optional
            Bytes that they may take; by default a share of the memory of the workers, or of this machine, and 64 MiB a
            worker at most.
        """
        import dask

        client = getattr(dask.base.get_scheduler(), "__self__", None)
        on_cluster = hasattr(client, "scheduler_info")
        persisted = type(self.frame.expr).__name__ == "FromGraph" and self.flavour != "matrix"
        if persisted or (self.partitions_on_device and not on_cluster):
            return self  # in memory already, or on a device of this process, which does not spill
        ends = np.cumsum(np.reshape(runs, (-1, 2)), axis=1)
        parts = self.partitions(Reading("reference", tuple(columns), 1))
        hits = [part for part in parts if overlaps_of(ends, part.first_row, part.rows)]
        if room is None:
            memory = _memories_of(client) if on_cluster else [machine_memory()]
            room = round(min(KEPT_SHARE * sum(memory), KEPT_BYTES * len(memory)))
        if not hits or row_bytes(self.fields(columns)) * hits[0].rows > room:
            return self
        (first,) = dask.persist(hits[0].delayed)
        # Bytes of a row are measured on one partition, since the type of text does not tell them.
        row = dask.delayed(_bytes_of, pure=False)(as_argument(first)).compute() / hits[0].rows
        head = [hit for hit, end in zip(hits, accumulate(hit.rows for hit in hits), strict=True) if row * end <= room]
        if not head:
            forget([first.dask])
            return self
        frames = [first, *dask.persist(*(part.delayed for part in head[1:]))]
        frame = replace(self, kept=dict(zip((part.number for part in head), frames, strict=True)))
        # Dask's objects lie in cycles, which wait for the garbage collector.
        weakref.finalize(frame, forget, [part.dask for part in frames])
        return frame

    def map(self, function: PartFunction, *, numbered: bool) -> Any:
        """A lazy frame of a function's results for each partition, with the partitions, index and divisions of these.

        Parameters
        ----------
        function : callable
            From a partition and its first row to a frame or series of the same library; its result without rows gives
            the types.
        numbered : bool
            Whether the function needs the first row, for which the rows are counted where they are not known; else it
            is 0.
        """
        import dask.dataframe as dd
        import pandas

        meta = function(self.frame._meta, 0)
        frame, call = as_tasks(self.frame), partial(_call_function, function)
        if not numbered:
            return frame.map_partitions(call, 0, meta=meta)
        starts = list(accumulate(self.lengths, initial=0))[: len(self.lengths)]
        offsets = dd.from_map(lambda start: pandas.Series([start]), starts, meta=pandas.Series([0]))
        # The offsets have no divisions, and belong to partitions by position.
        return frame.map_partitions(partial(_call_at_offset, call), offsets, meta=meta, align_dataframes=False)

    def fingerprint(self) -> dict[str, Any]:
        """Kind and shape of the frame, and Dask's token of its graph."""
        return {"kind": self.name, "rows": self.rows, "columns": len(self.schema.names), "token": self.frame._name}


def _memories_of(client: Any) -> list[int]:
    """Bytes that each worker of a cluster may take; for one without a limit the memory of this machine."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return [int(worker["memory_limit"]) or machine_memory() for worker in workers]


def _bytes_of(frame: Any) -> int:
    """Bytes of a partition in memory, by Dask's estimate."""
    from dask.sizeof import sizeof

    return int(sizeof(frame))


def frame_source(frame: Any) -> DaskFrame:
    """A source over a frame of Dask.

    Raises
    ------
    InputError
        For duplicate names of columns.
    """
    with suppress(ImportError):
        import distributed  # noqa: F401  # its settings are lost where Dask first loads it to read statistics of files
    # Optimised once: the divisions that `set_index` computes differ with the columns that are read.
    optimized_frame = optimized(frame, fuse=False)
    declared = DeclaredColumns.of("dask.DataFrame", optimized_frame._meta)
    return DaskFrame(optimized_frame, _with_types_of_rows(declared, optimized_frame))


def _with_types_of_rows(declared: DeclaredColumns, frame: Any) -> DeclaredColumns:
    """The columns with types widened to those of the files that a frame reads.

    Of Python objects, and of columns without any values, they are those of the first partition that has some.
    """
    objects = [str(label) for label, dtype in frame.dtypes.items() if str(dtype) == "object"]

    def partitions() -> Iterator[Any]:
        parts = delayed_partitions(frame)
        return (parts[number].compute() for number, rows in enumerate(lengths_of(frame)) if rows)

    return _with_types_of_files(declared, frame).with_values(objects, partitions)


def _with_types_of_files(declared: DeclaredColumns, frame: Any) -> DeclaredColumns:
    """The columns with the common types of Parquet files that a frame reads without further work; all are checked."""
    from dask.dataframe.dask_expr.io.parquet import ReadParquet
    from pyarrow.dataset import FileSystemDataset

    own_columns = declared
    for reader in frame.expr.find_operations(ReadParquet):
        about = reader._dataset_info
        fragments = [entry.fragment for entry in about.get("fragments", ())]
        dataset = about["ds"] if "ds" in about else FileSystemDataset(fragments, about["schema"], fragments[0].format)
        typed = declared.with_files(reader.path, dataset, reader.columns, has_one_schema=bool(fragments))
        own_columns = typed if reader is frame.expr else own_columns
    return own_columns


def whole_rows(array: Any) -> Any:
    """A Dask array of rows and columns in chunks of whole rows.

    Raises
    ------
    InputError
        For another number of dimensions, or an unknown number of columns.
    """
    if array.ndim != 2:
        raise InputError(f"a Dask array with {array.ndim} dimensions is no table: reshape it to (rows, columns)")
    if np.isnan(array.shape[1]):
        raise InputError("the number of columns of the Dask array is not known: call its compute_chunk_sizes() first")
    return array.rechunk({1: -1})


def array_source(array: Any) -> DaskFrame:
    """A source over a Dask array of rows and columns: a frame of its chunks, with columns "0", "1" and so on."""
    import dask.dataframe as dd
    from dask.array.optimization import optimize

    row_chunks = whole_rows(array)
    sizes = row_chunks.chunks[0]
    has_sizes = not np.isnan(sizes).any()
    firsts = np.cumsum([0, *sizes])[:-1] if has_sizes else np.zeros(len(sizes))
    empty = namespace_of(row_chunks._meta).zeros((0, row_chunks.shape[1]), dtype=row_chunks.dtype)
    parts = row_chunks.map_blocks(_frame_of_chunk, firsts.astype(np.int64).tolist(), drop_axis=1, meta=empty[:, 0])
    keys = parts.__dask_keys__()
    graph = NamedGraph(parts.name, optimize(parts.dask, keys))
    frame = dd.from_graph(graph, _frame_of_chunk(empty, [0]), (None,) * (len(keys) + 1), keys, "chunk")
    if has_sizes:
        _note_lengths(frame._name, tuple(map(int, sizes)))
    return replace(frame_source(frame), name="dask.Array", flavour="matrix")


def _frame_of_chunk(chunk: Any, firsts: Sequence[int], block_id: tuple[int, ...] = (0,)) -> Any:
    """A chunk as a frame of pandas, or of cuDF if it lies on a device; `firsts` are the first rows of all chunks."""
    first_row = firsts[block_id[0]]
    library = import_module("cudf" if holds_device_rows(chunk) else "pandas")
    names = [str(column) for column in range(chunk.shape[1])]
    return library.DataFrame(chunk, index=range(first_row, first_row + len(chunk)), columns=names)


def optimized(frame: Any, *, fuse: bool = True) -> Any:
    """The frame with columns and filters pushed down to the files, and with its partitions unchanged.

    Dask's optimisation also joins small files, by the columns that are read, so that lengths, offsets and results of
    one frame would have different partitions.
    """
    import dask

    with dask.config.set({"optimization.tune.active": False}):
        return frame.optimize(fuse=fuse)


def delayed_partitions(frame: Any) -> list[Any]:
    """Each partition as a delayed object."""
    delayed: list[Any] = optimized(frame).to_delayed(optimize_graph=False)  # else Dask would optimise again
    return delayed


class NamedGraph(UserDict[Any, Any]):
    """The tasks of a frame, with the frame's name as their token: Dask would hash all that they hold.

    Parameters
    ----------
    name : str
        Dask's name of the frame.
    tasks : mapping
        The tasks by key.
    """

    def __init__(self, name: str, tasks: Mapping[Any, Any]) -> None:
        self.name = name
        super().__init__(tasks)

    def __dask_tokenize__(self) -> str:
        return self.name


def as_tasks(frame: Any) -> Any:
    """A frame over a graph of tasks, which no later optimisation changes, and which can be pickled.

    Frames of `read_parquet(filesystem="arrow")` cannot, as they hold Arrow's records of files.
    """
    import dask.dataframe as dd

    optimized_frame = optimized(frame)
    tasks = NamedGraph(optimized_frame._name, optimized_frame.__dask_graph__())
    return dd.from_graph(tasks, optimized_frame._meta, frame.divisions, optimized_frame.__dask_keys__(), "partition")


def lengths_of(frame: Any) -> tuple[int, ...]:
    """Rows of each partition, counted once a frame."""
    token = frame._name  # holds a hash of how the frame is computed
    if token not in _COUNTED:
        lengths = _from_metadata(frame)
        if lengths is None:
            import dask

            count = dask.delayed(len, pure=False)
            tasks = [
                count(as_argument(part), dask_key_name=task_key("count rows")) for part in delayed_partitions(frame)
            ]
            lengths = dask.compute(*tasks)
        _note_lengths(token, lengths)
    return _COUNTED[token]


def _note_lengths(token: str, lengths: tuple[int, ...]) -> None:
    """Remember the rows of a frame's partitions."""
    while len(_COUNTED) >= MOST_COUNTED:
        _COUNTED.pop(next(iter(_COUNTED)))
    _COUNTED[token] = lengths


def _from_metadata(frame: Any) -> tuple[int, ...] | None:
    """Rows of the partitions if Dask knows them without a read, as of Parquet files and frames in memory."""
    try:
        from dask.dataframe.dask_expr._expr import Lengths, Literal
    except ImportError:  # these are private to Dask, and may move
        return None
    lengths = Lengths(frame.expr).optimize()
    return tuple(int(rows) for rows in lengths.value) if isinstance(lengths, Literal) else None


PartFunction = Callable[[Any, int], Any]  # a partition's frame and the global index of its first row


def _call_function(function: PartFunction, frame: Any, first: int) -> Any:
    """Call a function after Arrow has returned the memory that reading the partition took."""
    give_back()
    return function(frame, first)


def _call_at_offset(function: PartFunction, frame: Any, start: Any) -> Any:
    """Call a function with the offset, which Dask passes as a series of one row."""
    first = int(start.iloc[0])
    try:
        return function(frame, first)
    except InputError as problem:
        raise InputError(f"the partition that begins at row {first}: {problem}") from problem
