"""Fit, encode and decode frames of Spark where their rows are: on the executors, partition by partition."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from gpuvgm.config import InvalidRows, Layout, ModeChoice, ScalarType
from gpuvgm.errors import InputError, SourceChangedError, counted, printable
from gpuvgm.execution import RemoteBlocks
from gpuvgm.io import Block, Packed, Runs, Source, check_unique, spark_batch
from gpuvgm.rules import choice, whole
from gpuvgm.table import TableTransformer

try:
    from pyspark.errors import PySparkTypeError
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import from_arrow_schema
except ModuleNotFoundError as error:
    if error.name != "pyspark":
        raise
    raise ModuleNotFoundError(
        'gpuvgm.integrations.spark needs PySpark: pip install "pyspark>=4.1"', name="pyspark"
    ) from error

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ENCODED_ROWS = 1 << 16  # encoded together on an executor
BRANCHES = 8  # results that one task merges
_RESULTS = "part int, result binary"
R = TypeVar("R")


def fit(transformer: TableTransformer, frame: DataFrame) -> TableTransformer:
    """Fit every column on all rows of a frame.

    The executors count each partition, and the counts are merged there: only a sample of 131,072 rows and the merged
    counts come to the driver. The model is the same to the bit as that of one process with these rows in the order of
    the partitions. With `algorithm="exact"` the driver reads the numbers of a column in the place of its counts.

    Parameters
    ----------
    transformer : TableTransformer
        Transformer to fit. Its `threads` are those of the driver.
    frame : pyspark.sql.DataFrame
        The rows. They are read several times: persist what is expensive, or depends on a shuffle.

    Returns
    -------
    TableTransformer
        The transformer itself.

    Raises
    ------
    InputError
        For rows that cannot be fitted; the message names column and row.
    SourceChangedError
        If the partitions have other rows when they are read again.

    Examples
    --------
    >>> import gpuvgm
    >>> from gpuvgm.integrations import spark
    >>> from pyspark.sql import SparkSession
    >>> session = SparkSession.builder.master("local[1]").getOrCreate()
    >>> frame = session.createDataFrame([("red",), ("red",), ("blue",), ("red",)], ["colour"])
    >>> spark.fit(gpuvgm.TableTransformer(), frame).fit_report_.rows
    4
    """
    return transformer.fit(_open_frame(frame).counted())


def encode(
    transformer: TableTransformer,
    frame: DataFrame,
    *,
    mode: ModeChoice | None = None,
    layout: Layout | None = None,
    dtype: ScalarType | None = None,
    seed: int | None = None,
    first_row: int = 0,
) -> DataFrame:
    """Encode the rows of a frame as scalars and modes, lazily.

    The rows of the partitions are counted at once, because the random draw of a row depends on its number. The result
    is the same to the bit as from one process, for any partitions.

    Parameters
    ----------
    transformer : TableTransformer
        A fitted transformer. It goes to the executors, which need gpuvgm too.
    frame : pyspark.sql.DataFrame
        The rows.
    mode, layout, dtype, seed, first_row : optional
        As for `TableTransformer.transform`.

    Returns
    -------
    pyspark.sql.DataFrame
        The encoded columns, with the partitions and the order of the rows.

    Raises
    ------
    InputError
        If the frame lacks fitted columns, or has them with other types. What is wrong with single rows ends the job
        that computes the result.

    Examples
    --------
    >>> import gpuvgm
    >>> from gpuvgm.integrations import spark
    >>> from pyspark.sql import SparkSession
    >>> session = SparkSession.builder.master("local[1]").getOrCreate()
    >>> frame = session.createDataFrame([("red",), ("red",), ("blue",), ("red",)], ["colour"])
    >>> transformer = gpuvgm.TableTransformer().fit({"colour": ["red", "red", "blue"]})
    >>> [row["colour.mode"] for row in spark.encode(transformer, frame).collect()]
    [0, 0, 1, 0]
    """
    portable = transformer._alone().set_output(transform="pyarrow")
    source = _open_frame(frame)
    source.check_request(portable.model_.names)
    rows = source.of(portable.model_.names)
    options = {"mode": mode, "layout": layout, "dtype": dtype, "seed": seed}
    work = partial(_encode_block, portable, options, whole()(first_row, "first_row"))
    return rows.map(work, work(Block(0, rows.nothing)).schema, numbered=(mode or portable.mode) != "argmax")


def decode(transformer: TableTransformer, frame: DataFrame, *, invalid: InvalidRows = "mask") -> DataFrame:
    """Decode rows to values of the columns' own types, lazily.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted transformer.
    frame : pyspark.sql.DataFrame
        What `encode` gave, in either layout, or generated rows in the same columns.
    invalid : {"mask", "drop"}
        Whether rows outside the training range are kept or left out.

    Returns
    -------
    pyspark.sql.DataFrame
        The columns in the types that Spark has for them: the next larger signed type for unsigned integers,
        microseconds for other units of time, text for times of the day, UUIDs and decimals of more than 38 digits.

    Raises
    ------
    InputError
        If the frame lacks encoded columns.

    Examples
    --------
    >>> import gpuvgm
    >>> from gpuvgm.integrations import spark
    >>> from pyspark.sql import SparkSession
    >>> session = SparkSession.builder.master("local[1]").getOrCreate()
    >>> frame = session.createDataFrame([("red",), ("red",), ("blue",), ("red",)], ["colour"])
    >>> transformer = gpuvgm.TableTransformer().fit({"colour": ["red", "red", "blue"]})
    >>> [row.colour for row in spark.decode(transformer, spark.encode(transformer, frame)).collect()]
    ['red', 'red', 'blue', 'red']
    """
    choice(InvalidRows)(invalid, "invalid")
    portable, rows = transformer._alone(), _open_frame(frame)
    work = partial(_decode_block, portable, invalid)
    numbered = bool(portable.model_.running_identifiers(rows.schema.names))
    return rows.map(work, _spark_schema(work(Block(0, rows.nothing)).schema), numbered=numbered)


@dataclass(frozen=True, slots=True, eq=False)
class SparkFrame(Source):
    """A frame of Spark whose partitions are read by the executors.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The frame.
    schema : pyarrow.Schema
        Columns and types.
    lengths : dict of int to int
        Rows of the partitions that have some, once they are counted.
    """

    frame: DataFrame
    schema: pa.Schema
    lengths: Mapping[int, int] | None = None
    name: str = "pyspark.DataFrame"
    flavour: str = "spark"

    @property
    def nothing(self) -> pa.RecordBatch:
        """The columns without rows."""
        return pa.RecordBatch.from_pylist([], self.schema)

    @property
    def rows(self) -> int | None:
        """Rows of all partitions, once they are counted."""
        return None if self.lengths is None else sum(self.lengths.values())

    def counted(self) -> SparkFrame:
        """The frame with the rows of each partition.

        The executors read all its columns: with fewer of them Spark could make other partitions of a shuffle.
        """
        if self.lengths is not None:
            return self
        lengths = dict(self.results(self.schema.names, _number_of_rows))
        return SparkFrame(self.frame, self.schema, lengths)

    def of(self, names: Sequence[str]) -> SparkFrame:
        """The frame, of which these columns alone are read."""
        return SparkFrame(self.frame, self.fields(names))

    def map(self, work: Callable[[Block], pa.Table], schema: pa.Schema, *, numbered: bool) -> DataFrame:
        """A lazy frame of a function's results for blocks; without numbers a partition begins with row 0."""
        rows = self.counted() if numbered else self
        reading = rows.reading(self.schema.names, ENCODED_ROWS)
        return _number_rows(self.frame, self.schema.names).mapInArrow(
            partial(_map_partition, reading, work, schema), from_arrow_schema(schema)
        )

    def reading(self, columns: Sequence[str], block_rows: int) -> PartitionReader:
        """Record of how an executor reads a partition."""
        schema = self.fields(columns)
        if self.lengths is None:
            return PartitionReader(schema, block_rows)
        order = sorted(self.lengths)
        starts = accumulate((self.lengths[number] for number in order), initial=0)
        return PartitionReader(schema, block_rows, dict(zip(order, starts, strict=False)), self.lengths)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks: on the executors if their results are merged, else in this process."""
        self.check_request(columns, block_rows)
        return SparkBlocks(self, tuple(columns), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other."""
        self.check_sample(columns, runs)
        take = partial(_take_runs, self.reading(columns, ENCODED_ROWS), tuple(runs))
        pieces_of_runs = (piece for _, pieces in self.results(columns, take) for piece in pieces)
        tables = [table for *_, table in sorted(pieces_of_runs, key=lambda piece: piece[:2])]
        schema = self.fields(columns)
        return pa.concat_tables([pa.Table.from_batches([], schema), *tables])

    def results(self, columns: Sequence[str], function: PartFunction) -> list[tuple[int, Any]]:
        """Results of a function for the batches of each partition that has rows, with the partition's number."""
        return _collect(_results_of(self.frame, columns, function))


class SparkBlocks(RemoteBlocks):
    """Blocks of a frame of Spark.

    Parameters
    ----------
    source : SparkFrame
        The frame, with the rows of its partitions.
    columns : tuple of str
        The columns to read.
    block_rows : int
        Rows of a block; blocks end where partitions do.
    """

    def __init__(self, source: SparkFrame, columns: tuple[str, ...], block_rows: int) -> None:
        self._source, self._columns, self._block_rows = source, columns, block_rows
        self._iterator: Iterator[Block] | None = None

    def __next__(self) -> Block:
        if self._iterator is None:
            self._iterator = self._to_driver()
        return next(self._iterator)

    def _to_driver(self) -> Iterator[Block]:
        """The blocks one by one, in row order."""
        reading = self._source.reading(self._columns, self._block_rows)
        rows = _results_of(self._source.frame, self._columns, partial(_partition_blocks, reading)).toLocalIterator()
        return (block for row in rows for block in _result_of_row(row.result))

    def map_merge(self, function: Callable[[Block], R], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks on the executors, in row order."""
        reading = self._source.reading(self._columns, self._block_rows)
        results = _results_of(self._source.frame, self._columns, partial(_merge_partition, reading, function, merge))

        def merge_group(rows: pa.Table) -> pa.Table:  # Spark wants a function with such annotations
            return _merge_group(merge, rows)

        width, count = 1, max(reading.starts or (), default=0) + 1
        while count > width * BRANCHES:
            width *= BRANCHES
            # Neighbouring partitions are merged, which keeps the order of the rows.
            groups = functions.floor(results["part"] / width)
            results = results.groupBy(groups).applyInArrow(merge_group, _RESULTS)
        merged = [result for _, result in _collect(results)]
        return reduce(merge, merged) if merged else None


@dataclass(frozen=True, slots=True)
class PartitionReader:
    """How an executor reads a partition.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns and types.
    block_rows : int
        Rows of a block.
    starts : mapping of int to int
        The first rows of the partitions that have rows; none where nothing depends on numbers.
    lengths : mapping of int to int, optional
        Their rows, once they are counted.
    """

    schema: pa.Schema
    block_rows: int
    starts: Mapping[int, int] | None = None
    lengths: Mapping[int, int] | None = None

    def blocks(self, part: int, batches: Iterable[pa.RecordBatch]) -> Iterator[Block]:
        """Blocks of one partition, with global row numbers.

        Raises
        ------
        SourceChangedError
            Where it has other rows than were counted.
        """
        starts, lengths = self.starts or {}, self.lengths
        typed_batches = (self._typed(batch) for batch in batches)
        rows = 0
        for block in Block.cut(typed_batches, self.block_rows):
            rows += block.rows
            # Rows beyond the count would take the numbers of the next partition.
            if lengths is not None and rows > lengths.get(part, 0):
                break
            yield Block(starts.get(part, 0) + block.first_row, block.table)
        if lengths is not None and rows != lengths.get(part, 0):
            raise SourceChangedError(
                f"partition {part} of the Spark frame has another number of rows than the "
                f"{counted(lengths.get(part, 0), 'row')} that were counted: persist the frame, or write it and read "
                "it again"
            )

    def _typed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of a batch with their names and types, without the row numbers."""
        columns = [array.cast(field.type) for array, field in zip(batch.columns[:-1], self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


PartFunction = Callable[[int, Iterator[pa.RecordBatch]], Any]


def _open_frame(frame: DataFrame) -> SparkFrame:
    """A source over a frame whose rows are not counted yet."""
    if not hasattr(frame, "mapInArrow"):
        raise InputError(f"a {type(frame).__name__} is no frame of Spark; give a pyspark.sql.DataFrame")
    check_unique("pyspark.DataFrame", frame.columns)
    return SparkFrame(frame, _arrow_schema(frame))


def _arrow_schema(frame: DataFrame) -> pa.Schema:
    """Columns of a frame in Arrow's types.

    Raises
    ------
    InputError
        For a type that Spark does not convert to Arrow, naming the column.
    """
    try:
        schema: pa.Schema = frame.limit(0).toArrow().schema
        return schema
    except PySparkTypeError:
        for field in frame.schema:
            try:
                frame.select(_quoted(field.name)).limit(0).toArrow()
            except PySparkTypeError as problem:
                kind = field.dataType.simpleString()
                remedy = 'months, .cast("int")' if kind.startswith("interval") else "another type"
                raise InputError(
                    f'pyspark.DataFrame: column "{printable(field.name)}" has type {kind}, which Spark does not give '
                    f"to Python: cast it to {remedy}, or leave it out"
                ) from problem
        raise


def _quoted(name: str) -> str:
    """Name of a column as Spark takes it whatever it holds."""
    return "`" + name.replace("`", "``") + "`"


def _number_rows(frame: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Columns of a frame, and at last for each row its partition's number times 2^33 and its place there.

    These are Spark's own, which stay right where the frame becomes a part of a union or is coalesced. The columns get
    names without dots, which `mapInArrow` would take for fields.
    """
    selection = [functions.col(_quoted(name)).alias(f"c{i}") for i, name in enumerate(columns)]
    return frame.select(*selection, functions.monotonically_increasing_id().alias("number"))


def _number_partition(batches: Iterable[pa.RecordBatch]) -> tuple[int, Iterator[pa.RecordBatch]]:
    """The number of the partition of consecutive batches, and these; -1 where there are no rows."""
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return -1, iter(())
    return first.column(first.num_columns - 1)[0].as_py() >> 33, chain([first], filled)


def _results_of(frame: DataFrame, columns: Sequence[str], function: PartFunction) -> DataFrame:
    """A lazy frame of a function's results for the batches of each partition, or of its exceptions."""
    return _number_rows(frame, columns).mapInArrow(partial(_call, function), _RESULTS)


def _call(function: PartFunction, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Result of a function for a partition, as a row of a frame of results; none for a partition without rows."""
    part, rows = _number_partition(batches)
    if part < 0:
        return
    try:
        result = function(part, rows)
    except ValueError as problem:  # gpuvgm's own, which the driver shall see as it is
        result = problem
    yield _row(part, result).to_batches()[0]


def _row(part: int, result: Any) -> pa.Table:
    """The row of one partition in a frame of results."""
    columns: Any = [pa.array([part], pa.int32()), pa.array([pickle.dumps(Packed(result))], pa.binary())]
    return pa.Table.from_arrays(columns, names=["part", "result"])


def _result_of_row(result: bytes) -> Any:
    """A result, of a frame of results; a failure is raised."""
    value = Packed.unpack(pickle.loads(result))  # what the same job has pickled
    if isinstance(value, Exception):
        raise value
    return value


def _collect(results: DataFrame) -> list[tuple[int, Any]]:
    """The rows of a frame of results, by the number of the partition."""
    return [(row.part, _result_of_row(row.result)) for row in sorted(results.collect(), key=lambda row: row.part)]


def _merge_group(merge: Callable[[Any, Any], Any], rows: pa.Table) -> pa.Table:
    """Results of several partitions as one, in row order; a failure wins."""
    in_row_order = rows.sort_by("part")
    try:
        merged = reduce(merge, (_result_of_row(result.as_py()) for result in in_row_order["result"]))
    except ValueError as problem:
        merged = problem
    return _row(in_row_order["part"][0].as_py(), merged)


def _number_of_rows(_: int, batches: Iterable[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)


def _partition_blocks(reading: PartitionReader, part: int, batches: Iterable[pa.RecordBatch]) -> list[Block]:
    return list(reading.blocks(part, batches))


def _take_runs(
    reading: PartitionReader, runs: Runs, part: int, batches: Iterable[pa.RecordBatch]
) -> list[tuple[int, int, pa.Table]]:
    """Rows of runs that lie in a partition: number of the run, first row, rows."""
    return [
        (number, block.first_row + low, pa.Table.from_batches([block.batch]).slice(low, rows))
        for block in reading.blocks(part, batches)
        for number, (low, rows) in block.shares_of(runs)
    ]


def _merge_partition(
    reading: PartitionReader,
    function: Callable[[Block], R],
    merge: Callable[[R, R], R],
    part: int,
    batches: Iterable[pa.RecordBatch],
) -> R:
    """The results of a partition's blocks as one."""
    return reduce(merge, map(function, reading.blocks(part, batches)))


def _map_partition(
    reading: PartitionReader, work: Callable[[Block], pa.Table], schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Results of a function for the blocks of a partition, in the schema of the results."""
    part, rows = _number_partition(batches)
    for block in reading.blocks(part, rows) if part >= 0 else ():
        try:
            table = work(block)
        except InputError as problem:
            where = f"partition {part}" if reading.starts is None else f"the block that begins at row {block.first_row}"
            raise InputError(f"{where} of the Spark frame: {problem}") from problem
        for batch in table.to_batches():
            yield from pa.Table.from_batches([spark_batch(batch)]).cast(schema).to_batches()


def _encode_block(transformer: TableTransformer, options: Mapping[str, Any], first_row: int, block: Block) -> pa.Table:
    """A block, encoded."""
    encoded: pa.Table = transformer.transform(block.batch, **options, first_row=first_row + block.first_row)
    return encoded


def _decode_block(transformer: TableTransformer, invalid: InvalidRows, block: Block) -> pa.Table:
    """A block, decoded; identifiers that run are numbered with the rows of the frame."""
    values, valid = transformer.inverse_transform(pa.Table.from_batches([block.batch]), return_valid=True)
    for column in transformer.model_.running_identifiers(block.batch.schema.names):
        numbers = column.absent(block.first_row, block.rows).passthrough
        values = values.set_column(values.schema.names.index(column.name), column.name, numbers)
    rows: pa.Table = values.filter(pa.array(valid)) if invalid == "drop" else values
    return rows


_SIGNED: dict[Any, Any] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20),
}


def _spark_schema(schema: pa.Schema) -> pa.Schema:
    """Columns in the types that Spark has for them."""
    written_schema = spark_batch(pa.RecordBatch.from_pylist([], schema)).schema
    return pa.schema([(field.name, _spark_type(field.type)) for field in written_schema])


def _spark_type(type_: Any) -> Any:
    if pa.types.is_dictionary(type_):
        return _spark_type(type_.value_type)
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", type_.tz)
    if pa.types.is_duration(type_):
        return pa.duration("us")
    if pa.types.is_date(type_):
        return pa.date32()
    return _SIGNED.get(type_, type_)
