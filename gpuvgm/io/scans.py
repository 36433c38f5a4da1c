"""Tables that other libraries scan: Arrow streams and datasets, DuckDB relations, and polars lazy frames."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError, SourceChangedError, check_present, listed
from gpuvgm.io.arrow import exactly_cast, is_text_type, with_wide_index
from gpuvgm.io.block import Block, Runs
from gpuvgm.io.frames import polars_source
from gpuvgm.io.lakes import refuse_lakes_of
from gpuvgm.io.parquet import INT96_UNIT, holds_int96, schemas_of
from gpuvgm.io.parts import check_same, common_schema
from gpuvgm.io.restoring import to_polars
from gpuvgm.io.source import Lazily, Source, check_unique, rows_of_runs
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as, reason

Scan = Callable[[Sequence[str], int], Iterable[pa.RecordBatch]]
BATCH_ROWS = 1 << 16  # at most; the libraries read several batches ahead


@dataclass(frozen=True, slots=True)
class ScanSource(Source):
    """A table that is scanned anew for every read.

    Parameters
    ----------
    name, flavour, schema, rows, repeatable : object
        See `Source`.
    scan : callable
        (columns, rows) -> batches of these columns, in row order; `rows` is the length of the blocks to be made.
    part_flavour : str, optional
        Flavour of the first part of an iterator.
    is_query : bool
        Whether the rows are those of a query of a lazy library.
    lazily : callable, optional
        (schema, batches) -> a lazy table of the same library, for which `batches` is called whenever it is computed.
    labels : mapping, optional
        Labels of the first part of an iterator that are no text, by name.
    dtypes : mapping of str to dtype, optional
        Dtypes of polars' columns that have categories of their own.
    """

    name: str
    flavour: str
    schema: pa.Schema
    scan: Scan
    rows: int | None = None
    repeatable: bool = True
    part_flavour: str | None = None
    is_query: bool = False
    lazily: Lazily | None = None
    labels: Mapping[str, Any] | None = None
    dtypes: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_unique(self.name, self.schema.names)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Scan the columns in blocks; without columns, the first one is scanned for the number of rows."""
        self.check_request(columns, block_rows)
        batches = self.scan(columns or self.schema.names[:1], block_rows)
        return Block.cut(self._check_batches(batches, columns), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; the scan ends after the last of them, and they are copied."""
        self.check_sample(columns, runs)
        pieces = rows_of_runs((block.batch for block in self.blocks(columns, BATCH_ROWS)), runs)
        schema = self.fields(columns)
        return pa.Table.from_batches([batch for run in pieces for batch in run], schema)

    def _check_batches(self, batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        schema = self.fields(columns)
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            if not columns:
                yield batch.select([])
            elif batch.schema.types == schema.types:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
            else:
                raise SourceChangedError(f"{self.name}: its columns changed between two scans; give a table that stays")
        if self.rows not in (None, rows):
            raise SourceChangedError(
                f"{self.name}: a scan gave {rows} rows, its count {self.rows}; the rows of a query must stay: "
                "compute it once and give the table"
            )


def stream_source(stream: Any) -> ScanSource:
    """A source over a RecordBatchReader, read once, or an object that gives a new Arrow stream for every read.

    Raises
    ------
    InputError
        For a stream of a single column without a name.
    """
    name = f"{'pyarrow.' * isinstance(stream, pa.RecordBatchReader)}{type(stream).__name__}"
    repeatable = not (isinstance(stream, Iterator) or _is_reader(stream))
    unread = [_stream_reader(name, stream)]
    schema = unread[0].schema

    def scan(columns: Sequence[str], _rows: int) -> Iterator[pa.RecordBatch]:
        if not unread and not repeatable:
            raise refuse_second_reading(name)
        # The first scan takes the reader that was opened for the schema.
        try:
            reader = unread.pop() if unread else _stream_reader(name, stream)
        except InputError as problem:  # a stream that does not say that it is read once
            raise refuse_second_reading(name, "pyarrow.RecordBatchReader.from_stream(stream)") from problem
        if not reader.schema.equals(schema):
            raise SourceChangedError(f"{name}: its columns changed between two scans; give a table that stays")
        return (batch.select(list(columns)) for batch in reader)

    return ScanSource(name, "stream", schema, scan, repeatable=repeatable)


def _is_reader(stream: Any) -> bool:
    """Return whether an object reads a stream, as those of pyarrow, arro3 and nanoarrow do: once."""
    return any(hasattr(type(stream), method) for method in ("read_all", "get_next"))


def refuse_second_reading(name: str, instead: str = "a new iterator") -> InputError:
    """The error for a second read."""
    return InputError(f"{name}: can be read only once; give a file, a table or {instead}")


def iterator_source(parts: Iterator[Any], open_part: Callable[[object], Source]) -> ScanSource:
    """A source over an iterator of tables, or of anything else that `open_part` takes; read once.

    All have the columns of the first; types may differ where the cast to those of the first loses nothing.

    Raises
    ------
    InputError
        For an iterator that gives nothing.
    """
    name = type(parts).__name__

    def open_numbered(number: int, part: Any) -> Source:
        try:
            return open_part(part)
        except InputError as problem:
            raise InputError(f"{name}, part {number}: {problem}") from problem

    start = next(parts, None)
    if start is None:
        raise InputError(f"{name}: the iterator gave nothing; it may have been read before, give a new one")
    first = open_numbered(0, start)
    unread = [chain([first], parts)]

    def scan(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        if not unread:
            raise refuse_second_reading(name)
        return batches(unread.pop(), columns, rows)

    def batches(tables: Iterator[Any], columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([first.schema.field(column) for column in columns])
        for number, part in enumerate(tables):
            source = open_numbered(number, part)
            check_present(f"{name}, part {number}", columns, source.schema.names)
            for block in source.blocks(columns, rows):
                yield _as_first(f"{name}, part {number}", block.batch, schema)

    labels: Mapping[str, Any] | None = getattr(first, "labels", None)
    return ScanSource(name, "stream", first.schema, scan, repeatable=False, part_flavour=first.flavour, labels=labels)


def _as_first(name: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a part with the types of the first part."""
    if batch.schema.types == schema.types:
        return batch
    try:
        columns = [exactly_cast(*pair) for pair in zip(batch.columns, schema.types, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=schema)
    except ARROW_PROBLEMS:
        check_same(name, "part 0", schema, batch.schema)
        raise


def _stream_reader(name: str, stream: Any) -> pa.RecordBatchReader:
    if isinstance(stream, pa.RecordBatchReader):
        return stream
    try:
        return pa.RecordBatchReader.from_stream(stream)
    except (*ARROW_PROBLEMS, TypeError, ValueError, RuntimeError) as problem:
        raise InputError(f"{name}: its Arrow stream is not a table ({reason(problem)}); it needs columns") from problem


def dataset_source(dataset: Any) -> ScanSource:
    """A source over a pyarrow.dataset.Dataset; its files are scanned in the order of the dataset."""
    name = "pyarrow.dataset.Dataset"
    with _explain_scan(name):
        dataset = _with_int96(dataset)
        options = _fragment_options(dataset)
        # Not count_rows: it counts all rows of files of which a dataset has a few row groups, and NaN as rows that meet
        # a filter where the statistics of the other numbers do.
        with dataset.scanner(columns=[], **options).to_reader() as reader:
            rows = sum(batch.num_rows for batch in reader)

    def scan(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        with _explain_scan(name):
            scanner = dataset.scanner(columns=list(columns), batch_size=min(rows, BATCH_ROWS), **options)
            with scanner.to_reader() as reader:
                yield from reader

    return ScanSource(name, "pyarrow", dataset.schema, scan, rows)


def _with_int96(dataset: Any) -> Any:
    """The dataset with INT96 timestamps of Parquet files in microseconds: in nanoseconds distant ones wrap around."""
    kinds = sys.modules["pyarrow.dataset"]
    if not isinstance(dataset, (kinds.FileSystemDataset, kinds.UnionDataset)):
        return dataset  # it has no such files; one of Lance's has no other schema either
    if "timestamp[ns" not in str(dataset.schema.types) and "timestamp[us" not in str(dataset.schema.types):
        return dataset
    unfiltered, row_filter = dataset.replace_schema(dataset.schema), dataset._scan_options.get("filter")
    unfiltered._scan_options = {}  # pyarrow gives the files of a filtered dataset without its filter alone
    result = _in_microseconds(unfiltered)
    if result is unfiltered:
        return dataset
    return result if row_filter is None else result.filter(row_filter)


def _in_microseconds(dataset: Any) -> Any:
    """A dataset without a filter; the same object where no file has INT96, or its reader has a unit already."""
    kinds = sys.modules["pyarrow.dataset"]
    if isinstance(dataset, kinds.UnionDataset):
        pairs = [(child, _in_microseconds(child)) for child in dataset.children]
        if all(old is new for old, new in pairs):
            return dataset
        schema = _as_inferred(dataset.schema, [(old.schema, new.schema) for old, new in pairs])
        return kinds.UnionDataset(schema, [new.replace_schema(schema) for _, new in pairs])
    options: Any = getattr(getattr(dataset, "format", None), "read_options", None)  # a copy
    if getattr(options, "coerce_int96_timestamp_unit", None) != "ns":
        return dataset
    fragments = list(dataset.get_fragments())
    if not holds_int96(fragments):
        return dataset
    options.coerce_int96_timestamp_unit = INT96_UNIT
    form = kinds.ParquetFileFormat(options, default_fragment_scan_options=dataset.format.default_fragment_scan_options)
    new_fragments = [
        form.make_fragment(
            fragment.path,
            fragment.filesystem,
            fragment.partition_expression,
            [group.id for group in fragment.row_groups],
        )
        for fragment in fragments
    ]
    pairs = [(old.physical_schema, new.physical_schema) for old, new in zip(fragments, new_fragments, strict=True)]
    return kinds.FileSystemDataset(new_fragments, _as_inferred(dataset.schema, pairs), form, dataset.filesystem)


def _as_inferred(schema: pa.Schema, pairs: Iterable[tuple[pa.Schema, pa.Schema]]) -> pa.Schema:
    """A schema in which types that a change gave other schemas replace their old types."""
    types = {(field.name, field.type): new.field(field.name).type for old, new in pairs for field in old}
    return pa.schema([field.with_type(types.get((field.name, field.type), field.type)) for field in schema])


def types_in_pandas(path: Any, dataset: Any, columns: Sequence[str], *, has_one_schema: bool) -> dict[str, pa.DataType]:
    """Common types of columns whose types differ between the Parquet files that Dask reads, as pandas has them.

    Parameters
    ----------
    path : str or list of str
        What Dask was given.
    dataset : pyarrow.dataset.FileSystemDataset
        The files, with the types of one of them.
    columns : sequence of str
        Columns that are read.
    has_one_schema : bool
        Whether Dask gives all rows the types of the dataset, as it does with `filesystem="arrow"`.

    Raises
    ------
    InputError
        For files that Dask reads wrongly: those of a table of Delta Lake and the like; INT96 timestamps, which it
        always reads as nanoseconds; and types that do not hold the values of other files.
    """
    refuse_lakes_of([*([path] if isinstance(path, str) else map(str, path)), *dataset.files])
    remedy = "pass the path itself; with executor=client workers read it"
    schema = dataset.schema
    int96 = [name for name in columns if _with_int96(dataset).schema.field(name).type != schema.field(name).type]
    if int96:
        raise InputError(
            f"dask.DataFrame: {path} holds {listed(int96)} as INT96 timestamps, of which Dask makes others where "
            f"they lie before 1677 or after 2262: {remedy}"
        )
    files = list(dataset.get_fragments())
    schemas = [pa.schema([part.field(name) for name in columns if name in part.names]) for part in schemas_of(files)]
    common = common_schema([(file.path, part) for file, part in zip(files, schemas, strict=True)])
    types = {field.name: field.type for field in common if any(part.field(field.name) != field for part in schemas)}
    narrow = [name for name, type_ in types.items() if schema.field(name).type != type_]
    if has_one_schema and narrow:
        raise InputError(
            f"dask.DataFrame: files of {path} differ in the types of {listed(narrow)}, and Dask's "
            f'filesystem="arrow" gives all rows those of one file, which may lose digits: {remedy}'
        )
    return {name: _type_in_pandas(type_) for name, type_ in types.items()}


def _type_in_pandas(type_: Any) -> Any:
    """Type of a column once pandas has read it, as far as text goes."""
    if pa.types.is_dictionary(type_):
        return with_wide_index(pa.dictionary(type_.index_type, _type_in_pandas(type_.value_type), type_.ordered))
    return pa.large_string() if is_text_type(type_) else type_


def _fragment_options(dataset: Any) -> dict[str, Any]:
    """Options for scanning Parquet files: without pre-buffering, which holds a file until it is read to its end.

    A dataset that has options of its own keeps these.
    """
    kind = sys.modules["pyarrow.dataset"].ParquetFragmentScanOptions
    options = getattr(getattr(dataset, "format", None), "default_fragment_scan_options", None)
    return {"fragment_scan_options": kind(pre_buffer=False)} if isinstance(options, kind) and options == kind() else {}


def relation_source(relation: Any) -> ScanSource:
    """A source over a DuckDB relation; its query runs once for the number of rows, and once for every scan."""
    name, problem = "duckdb.DuckDBPyRelation", sys.modules["duckdb"].Error

    def scan(columns: Sequence[str], _rows: int) -> Iterator[pa.RecordBatch]:
        numbers = [f"#{schema.get_field_index(column) + 1}" for column in columns]  # of the columns, from 1
        query = relation.project(", ".join(numbers))
        with _explain_scan(name, problem), pa.RecordBatchReader.from_stream(query) as reader:
            yield from reader

    with _explain_scan(name, problem):
        types = _stream_reader(name, relation.limit(0)).schema.types  # its names differ where some are alike
        ((rows,),) = relation.aggregate("count(*)").fetchall()
    schema = pa.schema(list(zip(relation.columns, types, strict=True)))
    return ScanSource(name, "pyarrow", schema, scan, rows, is_query=True)


def lazy_source(frame: Any) -> ScanSource:
    """A source over a polars LazyFrame; its query runs once for the number of rows, and once for every scan."""
    name, polars = "polars.LazyFrame", sys.modules["polars"]
    problem = polars.exceptions.PolarsError

    def scan(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        query = frame.select(polars.nth([schema.get_field_index(column) for column in columns]))
        with _explain_scan(name, problem):
            for part in query.collect_batches(chunk_size=min(rows, BATCH_ROWS), maintain_order=True):
                yield from (block.batch for block in polars_source(part, name).blocks(columns, rows))

    with _explain_scan(name, problem):
        empty = polars.DataFrame(schema=frame.collect_schema())
        rows = frame.select(polars.len()).collect().item()
    table = polars_source(empty, name)
    schema = table.schema
    return ScanSource(
        name, "polars", schema, scan, rows, is_query=True, lazily=_lazy_frame_of, dtypes=table.dtypes or {}
    )


def _lazy_frame_of(schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Any:
    """A LazyFrame that takes its rows from batches."""
    from polars.io.plugins import register_io_source

    def rows(columns: list[str] | None, predicate: Any, n_rows: int | None, _batch_rows: int | None) -> Iterator[Any]:
        remaining = sys.maxsize if n_rows is None else n_rows
        for batch in batches() if remaining else ():
            part = to_polars(pa.Table.from_batches([batch]), {}).head(remaining)
            remaining -= len(part)
            part = part if predicate is None else part.filter(predicate)
            yield part if columns is None else part.select(columns)
            if not remaining:
                return

    return register_io_source(rows, schema=to_polars(schema.empty_table(), {}).schema)


def _explain_scan(name: str, *problems: type[Exception]) -> AbstractContextManager[None]:
    """Raise errors of the library that scans with the name of the source."""
    return damage_as(
        lambda problem: InputError(
            f"{name}: its scan failed: {reason(problem)}; correct it, or pass its rows as a table"
        ),
        *problems,
    )
