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
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of
from gpuvgm.errors import InputError, counted, listed
from gpuvgm.execution.partitions import HeldRows, Reading
from gpuvgm.io import lies_on_device
from gpuvgm.io.arrow import Packed, row_bytes
from gpuvgm.io.block import Block, reblock
from gpuvgm.io.lakes import refuse_lakes_of
from gpuvgm.io.source import Runs, Source, check_request, check_same, check_unique
from gpuvgm.shortage import machine_memory

Opener = Callable[[Any], Source]
MOST_COUNTED = 64
KEPT_SHARE = 0.25  # of the memory that there is, that partitions of a sample may take until the fit is done
KEPT_BYTES = 1 << 26  # the same of each worker, where that is less: a large partition takes twice as much when read
_COUNTED: dict[str, tuple[int, ...]] = {}  # rows of partitions, by the token of the frame


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class DaskFrame(Source):
    """A frame of Dask, of pandas' frames or cuDF's, or an array whose chunks became such.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        The frame.
    schema : pyarrow.Schema
        Columns and types, which all partitions must have.
    open : callable
        Makes a source of one partition.
    kept : dict
        How partitions are computed that are in memory already, by number.
    """

    frame: Any
    schema: pa.Schema
    open: Opener
    kept: Mapping[int, Any] = field(default_factory=dict)
    name: str = "dask.DataFrame"
    flavour: str = "dask"
    identified: ClassVar[bool] = True
    lazy: ClassVar[bool] = True

    @property
    def lengths(self) -> tuple[int, ...]:
        """Rows of the partitions: known from the files' metadata, or counted once."""
        return lengths_of(self.frame)

    @property
    def rows(self) -> int:
        """Rows of all partitions."""
        return sum(self.lengths)

    @property
    def partitions_on_device(self) -> bool:
        """Whether the partitions lie on devices."""
        return type(self.frame._meta).__module__.partition(".")[0] == "cudf"

    @property
    def dtypes(self) -> dict[str, Any]:
        """Dtypes of the columns, for pandas' frames."""
        return {} if self.partitions_on_device else {str(name): dtype for name, dtype in self.frame.dtypes.items()}

    def partitions(self, reading: Reading) -> Iterator[DaskPartition]:
        """The partitions that have rows."""
        offsets = accumulate(self.lengths, initial=0)
        wanted = [label for label in self.frame.columns if str(label) in reading.columns]
        whole = len(wanted) == len(self.frame.columns) or type(self.frame.expr).__name__ == "FromGraph"
        frame = self.frame if whole else self.frame[wanted]  # of what is in memory columns are picked by who reads it
        parts = zip(delayed_partitions(frame), offsets, self.lengths, strict=False)
        for number, (delayed, first, rows) in enumerate(parts):
            if rows:
                computed = self.kept.get(number, delayed)
                yield DaskPartition(number, first, rows, reading, self.schema, self.open, computed)

    def keep_sampled(self, columns: Sequence[str], runs: Runs, room: int | None) -> DaskFrame:
        """The frame with the first partitions that a sample reads in memory, or on their way there, as many as fit it.

        So that they are not read again: Dask forgets what it computed.

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
            return self  # in memory already, or where nothing spills
        ends = np.cumsum(np.reshape(runs, (-1, 2)), axis=1)
        read = self.partitions(Reading("reference", tuple(columns), 1))
        met = [one for one in read if _overlaps(ends, one.first_row, one.rows)]
        if room is None:
            memory = _memories_of(client) if on_cluster else [machine_memory()]
            room = round(min(KEPT_SHARE * sum(memory), KEPT_BYTES * len(memory)))
        if not met or row_bytes(pa.schema([self.schema.field(name) for name in columns])) * met[0].rows > room:
            return self
        (first,) = dask.persist(met[0].delayed)
        row = dask.delayed(_bytes_of, pure=False)(as_argument(first)).compute() / met[0].rows  # of text no type says it
        fitting = [one for one, end in zip(met, accumulate(one.rows for one in met), strict=True) if row * end <= room]
        if not fitting:
            _forget([first.dask])
            return self
        kept = [first, *dask.persist(*(one.delayed for one in fitting[1:]))]
        keeping = replace(self, kept=dict(zip((one.number for one in fitting), kept, strict=True)))
        weakref.finalize(keeping, _forget, [one.dask for one in kept])  # Dask's objects wait for the garbage collector
        return keeping

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in this process, a partition after the other."""
        check_request(self.name, self.schema, columns, block_rows)
        reading = Reading("reference", tuple(columns), block_rows)
        read = (partition.of(partition.delayed.compute()).read() for partition in self.partitions(reading))
        return reblock((block.batch for one in read for block in one.blocks), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; only the partitions that hold some are computed."""
        self.check_sample(columns, runs)
        ends = np.cumsum(np.reshape(runs, (-1, 2)), axis=1)
        read = self.partitions(Reading("reference", tuple(columns), 1))
        met = [(one, wanted) for one in read if (wanted := _overlaps(ends, one.first_row, one.rows))]
        schema = pa.schema([self.schema.field(name) for name in columns])
        tables = _sampled_tables(met, schema)
        pieces = [piece for (_, wanted), table in zip(met, tables, strict=True) for piece in _cut(table, wanted)]
        ordered = [rows for *_, rows in sorted(pieces, key=lambda piece: piece[:2])]
        return pa.concat_tables([pa.Table.from_batches([], schema), *ordered])

    def fingerprint(self) -> dict[str, Any]:
        """Kind and shape, and Dask's own token of how it is computed."""
        return {"kind": self.name, "rows": self.rows, "columns": len(self.schema.names), "token": self.frame._name}


@dataclass(frozen=True, slots=True, eq=False)
class DaskPartition:
    """One partition: rows to be computed where a worker is.

    Parameters
    ----------
    number : int
        Its position among the partitions.
    first_row, rows : int
        Its rows, globally.
    reading : Reading
        What is read of it.
    schema : pyarrow.Schema
        Columns and types of the frame.
    open : callable
        Makes a source of what it is computed to.
    delayed : dask.delayed.Delayed, optional
        How it is computed.
    """

    number: int
    first_row: int
    rows: int
    reading: Reading
    schema: pa.Schema
    open: Opener
    delayed: Any = None

    @property
    def computed(self) -> Any:
        """What a task gets for the rows."""
        return as_argument(self.delayed)

    @property
    def alone(self) -> DaskPartition:
        """What a task needs beside the computed rows."""
        return replace(self, delayed=None)

    def of(self, frame: Any) -> HeldRows:
        """The partition with its rows.

        Raises
        ------
        InputError
            Where it has other columns, types or rows than the frame said.
        """
        _give_back()
        wanted = pa.schema([self.schema.field(name) for name in self.reading.columns])
        labels = [label for label in frame.columns if str(label) in self.reading.columns]
        frame = frame if len(labels) == len(frame.columns) else frame[labels]
        source = self.open(frame)
        typed = _typed(frame, source.schema, wanted)
        source = source if typed is frame else self.open(typed)
        held = pa.schema([field for field in source.schema if field.name in self.reading.columns])
        check_same(f"partition {self.number}", "the first partition that has rows", wanted, held)
        if source.rows != self.rows:
            raise InputError(
                f"partition {self.number} has {counted(source.rows or 0, 'row')} now, "
                f"and had {self.rows:,} when they were counted: "
                "persist the frame, or make what it is computed from stay the same"
            )
        return HeldRows(source, self.first_row, self.reading)


def _typed(frame: Any, held: pa.Schema, wanted: pa.Schema) -> Any:
    """A frame whose columns of objects or categories have the wanted types, where they hold nothing that shows them."""
    types = {field.name: field.type for field in wanted if not _is_silent(wanted, field.name)}
    silent = [label for label in frame.columns if str(label) in types and _is_silent(held, str(label))]
    if not silent:
        return frame
    import pandas

    nothing = {label: pa.nulls(len(frame), types[str(label)]) for label in silent}
    columns = {label: pandas.Series(pandas.arrays.ArrowExtensionArray(v), frame.index) for label, v in nothing.items()}
    return pandas.DataFrame({label: columns.get(label, frame[label]) for label in frame.columns}, frame.index)


def _is_silent(schema: pa.Schema, name: str) -> bool:
    type_: Any = schema.field(name).type
    return pa.types.is_null(type_.value_type if pa.types.is_dictionary(type_) else type_)


def _forget(graphs: Sequence[dict[Any, Any]]) -> None:
    """Let go of what partitions were computed to: frames in this process, or futures of a cluster."""
    for graph in graphs:
        for held in graph.values():
            if hasattr(held, "release"):
                held.release()
        graph.clear()


def _memories_of(client: Any) -> list[int]:
    """Bytes that each worker of a cluster may take; a worker without a limit, as much as this machine has."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return [int(worker["memory_limit"]) or machine_memory() for worker in workers]


def _give_back() -> None:
    """Have Arrow give back what reading a partition took and freed, which may be as much as the partition."""
    pa.default_memory_pool().release_unused()


def _bytes_of(frame: Any) -> int:
    """What a partition takes in memory, as Dask reckons it."""
    from dask.sizeof import sizeof

    return int(sizeof(frame))


def as_argument(partition: Any) -> Any:
    """What a task gets for a delayed partition: the future of a persisted one, whose name in the frame costs a task."""
    there = partition.dask[partition.key]
    there = partition.dask.get(there.target) if hasattr(there, "target") else there
    return there if type(there).__module__.partition(".")[0] == "distributed" else partition


Piece = tuple[int, int, int]  # what a partition has of a run: which one, first row, end


def _overlaps(runs: NDArray[np.int64], first_row: int, rows: int) -> list[Piece]:
    """What consecutive rows hold of runs, shape (runs, 2), start and stop."""
    low, high = np.maximum(runs[:, 0], first_row), np.minimum(runs[:, 1], first_row + rows)
    return [(int(order), int(low[order]), int(high[order])) for order in np.flatnonzero(low < high)]


def _sampled_tables(met: Sequence[tuple[DaskPartition, list[Piece]]], schema: pa.Schema) -> list[pa.Table]:
    """What partitions have of runs: a table each, computed where the partitions are.

    The dictionaries of one partition are mostly those of all: its own come here by themselves, and of the others' equal
    ones the codes alone.
    """
    import dask

    known: Any = {}
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    if coded and met:
        first = met[0][0]
        known = dask.delayed(partial(_read_dictionaries, first.alone, coded), pure=False)(first.computed)
    read = [
        dask.delayed(partial(_read_runs, one.alone, wanted), pure=False)(one.computed, known) for one, wanted in met
    ]
    entries, *tables = map(Packed.unpack, dask.compute(known, *read))
    return [_decoded(table, schema, entries) for table in tables]


def _read_dictionaries(partition: DaskPartition, columns: Sequence[str], frame: Any) -> Packed:
    """The dictionaries of a partition by column."""
    row: Any = partition.of(frame).source.sample(columns, [(0, 1)])
    return Packed({name: row.column(name).chunk(0).dictionary for name in columns})


def _read_runs(partition: DaskPartition, wanted: list[Piece], frame: Any, known: Any) -> Packed:
    """What a partition has of runs, one after the other, as a table; columns with a known dictionary as their codes.

    Slices of a partition would hold all of it, here and on the way.
    """
    runs = [(low - partition.first_row, high - low) for _, low, high in wanted]
    rows = partition.of(frame).source.sample(partition.reading.columns, runs)
    entries = Packed.unpack(known)
    return Packed(pa.table({name: _as_codes(rows.column(name), entries.get(name)) for name in rows.column_names}))


def _as_codes(column: Any, entries: Any) -> Any:
    """A column in one piece, as codes where it has the known dictionary; as it is where it has others."""
    if pa.types.is_dictionary(column.type):
        if entries is None or not all(chunk.dictionary.equals(entries) for chunk in column.chunks):
            return column
        column = pa.chunked_array([chunk.indices for chunk in column.chunks], column.type.index_type)
    return pa.table([column], ["rows"]).combine_chunks().column(0)  # in several where one cannot hold all


def _decoded(table: pa.Table, schema: pa.Schema, entries: Mapping[str, pa.Array[Any]]) -> pa.Table:
    """A table with the types of the schema, where columns of other types are codes."""
    columns: list[Any] = [
        column
        if column.type == field.type
        else pa.chunked_array([_with_entries(chunk, entries[field.name], field.type) for chunk in column.chunks])
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _with_entries(codes: Any, entries: Any, type_: Any) -> Any:
    return pa.DictionaryArray.from_arrays(codes, entries, ordered=type_.ordered)


def _cut(table: pa.Table, wanted: Sequence[Piece]) -> Iterator[tuple[int, int, pa.Table]]:
    """The rows of a table by what they are of runs: which one, first row, rows."""
    starts = accumulate((high - low for _, low, high in wanted), initial=0)
    for (order, low, high), start in zip(wanted, starts, strict=False):
        yield order, low, table.slice(start, high - low)


def dask_source(frame: Any, opener: Opener) -> DaskFrame:
    """A source over a frame of Dask.

    Raises
    ------
    InputError
        For duplicate names of columns.
    """
    with suppress(ImportError):
        import distributed  # noqa: F401  # its settings are lost where Dask first loads it to read statistics of files
    check_unique("dask.DataFrame", [str(name) for name in frame.columns])
    best = optimized(frame, fuse=False)  # once: what `set_index` finds of the rows differs by what is read of them
    _check_files(best, opener)
    return DaskFrame(best, _schema_of(best, opener), opener)


def _check_files(frame: Any, opener: Opener) -> None:
    """Refuse frames of Parquet files that Dask does not read rightly.

    Raises
    ------
    InputError
        For files of a table of Delta Lake and the like, and for timestamps as INT96, which Dask reads as nanoseconds,
        whatever it is told.
    """
    from dask.dataframe.dask_expr.io.parquet import ReadParquet
    from pyarrow.dataset import FileSystemDataset

    for read in frame.expr.find_operations(ReadParquet):
        about, given = read._dataset_info, read.path
        fragments = [one.fragment for one in about.get("fragments", ())]
        dataset = about["ds"] if "ds" in about else FileSystemDataset(fragments, about["schema"], fragments[0].format)
        refuse_lakes_of([*([given] if isinstance(given, str) else map(str, given)), *dataset.files])
        schema = opener(dataset).schema if "timestamp" in str(dataset.schema.types) else dataset.schema
        names = [name for name in read.columns if schema.field(name).type != dataset.schema.field(name).type]
        if names:
            raise InputError(
                f"dask.DataFrame: {given} holds {listed(names)} as INT96 timestamps, of which Dask makes others where "
                "they lie before 1677 or after 2262: pass the path itself; with executor=client workers read it"
            )


def whole_rows(array: Any) -> Any:
    """A Dask array of rows and columns, each chunk of which holds whole rows.

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


def array_source(array: Any, opener: Opener) -> DaskFrame:
    """A source over a Dask array of rows and columns: the frame of its chunks, with columns "0", "1" and so on."""
    import dask.dataframe as dd
    from dask.array.optimization import optimize

    whole = whole_rows(array)
    sizes = whole.chunks[0]
    known = not np.isnan(sizes).any()
    firsts = np.cumsum([0, *sizes])[:-1] if known else np.zeros(len(sizes))
    nothing = namespace_of(whole._meta).zeros((0, whole.shape[1]), dtype=whole.dtype)
    parts = whole.map_blocks(_frame_of_chunk, firsts.astype(np.int64).tolist(), drop_axis=1, meta=nothing[:, 0])
    keys = parts.__dask_keys__()
    graph = NamedGraph(parts.name, optimize(parts.dask, keys))
    frame = dd.from_graph(graph, _frame_of_chunk(nothing, [0]), (None,) * (len(keys) + 1), keys, "chunk")
    if known:
        _note_lengths(frame._name, tuple(map(int, sizes)))
    return replace(dask_source(frame, opener), name="dask.Array", flavour="matrix")


def _frame_of_chunk(chunk: Any, firsts: Sequence[int], block_id: tuple[int, ...] = (0,)) -> Any:
    """A chunk as a frame of the library that works where it lies; `firsts` are the first rows of all chunks."""
    first_row = firsts[block_id[0]]
    library = import_module("cudf" if lies_on_device(chunk) else "pandas")
    names = [str(column) for column in range(chunk.shape[1])]
    return library.DataFrame(chunk, index=range(first_row, first_row + len(chunk)), columns=names)


def _schema_of(frame: Any, opener: Opener) -> pa.Schema:
    """Types as the declared frame has them; columns of Python objects are those of the first partition with rows."""
    declared = opener(frame._meta).schema
    if not any(_is_silent(declared, name) for name in declared.names) and "object" not in map(str, frame.dtypes):
        return declared
    first = next((i for i, rows in enumerate(lengths_of(frame)) if rows), None)
    return declared if first is None else opener(delayed_partitions(frame)[first].compute()).schema


def optimized(frame: Any, *, fuse: bool = True) -> Any:
    """The frame with columns and filters taken to the files, and with the partitions that it says it has.

    Dask's optimisation also joins small files where it sees what is read of them, so that lengths, offsets and results
    of one frame would have different partitions.
    """
    import dask

    with dask.config.set({"optimization.tune.active": False}):
        return frame.optimize(fuse=fuse)


def delayed_partitions(frame: Any) -> list[Any]:
    """How each partition is computed."""
    delayed: list[Any] = optimized(frame).to_delayed(optimize_graph=False)
    return delayed


class NamedGraph(UserDict[Any, Any]):
    """The tasks of a frame, known to Dask by the frame's name: else it hashes all that they hold.

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
    """A frame whose partitions stay what they are whatever it becomes a part of, and which travels to a scheduler.

    Frames of `read_parquet(filesystem="arrow")` do not: they hold Arrow's records of files, which cannot be pickled.
    """
    import dask.dataframe as dd

    best = optimized(frame)
    tasks = NamedGraph(best._name, best.__dask_graph__())
    return dd.from_graph(tasks, best._meta, frame.divisions, best.__dask_keys__(), "partition")


def lengths_of(frame: Any) -> tuple[int, ...]:
    """Rows of each partition, counted once for a frame."""
    token = frame._name
    if token not in _COUNTED:
        known = _from_metadata(frame)
        if known is None:
            import dask

            counted = [dask.delayed(len, pure=False)(as_argument(part)) for part in delayed_partitions(frame)]
            known = dask.compute(*counted)
        _note_lengths(token, known)
    return _COUNTED[token]


def _note_lengths(token: str, lengths: tuple[int, ...]) -> None:
    """Remember the rows of a frame's partitions."""
    while len(_COUNTED) >= MOST_COUNTED:
        _COUNTED.pop(next(iter(_COUNTED)))
    _COUNTED[token] = lengths


def _from_metadata(frame: Any) -> tuple[int, ...] | None:
    """Rows of the partitions where they are known without reading: of Parquet files, and of frames in memory."""
    try:
        from dask.dataframe.dask_expr._expr import Lengths, Literal
    except ImportError:
        return None
    found = Lengths(frame.expr).optimize()
    return tuple(int(rows) for rows in found.value) if isinstance(found, Literal) else None


PartFunction = Callable[[Any, int], Any]  # a partition's frame and the global index of its first row


def map_frames(source: DaskFrame, function: PartFunction, *, numbered: bool) -> Any:
    """A lazy frame of what a function gives for each partition, with the partitions, index and divisions of the source.

    Parameters
    ----------
    source : DaskFrame
        The frame.
    function : callable
        From a partition and its first row to a frame or series of the same library; on no rows it says the types.
    numbered : bool
        Whether the function needs the first row, for which the rows are counted where they are not known; else it is 0.
    """
    import dask.dataframe as dd
    import pandas

    meta = function(source.frame._meta, 0)
    frame, call = as_tasks(source.frame), partial(_called, function)
    if not numbered:
        return frame.map_partitions(call, 0, meta=meta)
    starts = list(accumulate(source.lengths, initial=0))[: len(source.lengths)]
    offsets = dd.from_map(lambda start: pandas.Series([start]), starts, meta=pandas.Series([0]))
    return frame.map_partitions(partial(_at, call), offsets, meta=meta, align_dataframes=False)


def _called(function: PartFunction, frame: Any, first: int) -> Any:
    """The function's result, in memory that the reading of the partition has given back."""
    _give_back()
    return function(frame, first)


def _at(function: PartFunction, frame: Any, start: Any) -> Any:
    """The function's result, with the offset as Dask hands it over."""
    first = int(start.iloc[0])
    try:
        return function(frame, first)
    except InputError as problem:
        raise InputError(f"the partition that begins at row {first}: {problem}") from problem
