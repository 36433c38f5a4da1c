"""Tables from and to Arrow IPC streams; what comes from a client is validated in full before it is used."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError, printable
from gpuvgm.io.arrow import check_buffers, check_schema, check_values, is_shared, reading_options, viewed_bytes
from gpuvgm.service.ipc_sizes import decoded_bytes
from gpuvgm.service.limits import ANSWER_SHARE, Deadline, check_width
from gpuvgm.service.refusals import Refused
from gpuvgm.shortage import damage_as, reason

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
MOST_BATCHES = 1 << 13  # each costs some 0.1 ms, whatever it holds


def read_stream(body: bytearray | bytes, most: int, deadline: Deadline) -> pa.Table:
    """The table of a stream, over the body's own memory where it is not compressed.

    Parameters
    ----------
    body : bytes
        The stream.
    most : int
        Bytes that it may have once decompressed.
    deadline : Deadline
        When to give up.

    Raises
    ------
    InputError
        For what is no valid stream.
    Refused
        For one that is too large, or takes too long.
    """
    stream = pa.py_buffer(body)
    with damage_as(lambda problem: InputError(f"the body is not a valid Arrow IPC stream: {reason(problem)}")):
        _check_size(stream, most, deadline)
        return _read_table(stream, most, deadline)


def _check_size(stream: pa.Buffer, most: int, deadline: Deadline) -> None:
    total = 0
    for number, size in enumerate(decoded_bytes(stream)):
        deadline.check()
        if number > MOST_BATCHES:
            raise Refused(413, "TooLarge", f"the stream has more than {MOST_BATCHES} batches; send larger ones")
        total += size
        if total > most:
            raise Refused(413, "TooLarge", f"the stream has more than {most} bytes when decompressed; send fewer rows")


def _read_table(stream: pa.Buffer, most: int, deadline: Deadline) -> pa.Table:
    batches, left = [], ANSWER_SHARE * most
    with pa.ipc.open_stream(stream, options=reading_options(use_threads=False)) as reader:
        schema = reader.schema
        check_width(len(schema))
        check_schema(schema)
        for batch in reader:
            left -= _check_batch_of_client(batch, left, deadline)
            batches.append(batch)
    return pa.Table.from_batches(batches, schema)


def _check_batch_of_client(batch: pa.RecordBatch, most: int, deadline: Deadline) -> int:
    """Bytes of the texts that views stand for: to look through all of them may take for ever, so they are bounded."""
    viewed = 0
    for field, column in zip(batch.schema, batch.columns, strict=True):
        deadline.check()
        check_buffers(field, column)
        if is_shared(field.type):
            viewed += viewed_bytes(column)
        if viewed > most:
            text = f'views up to column "{printable(field.name)}" stand for too many bytes; send fewer rows'
            raise Refused(413, "TooLarge", text)
        check_values(field, column)
    return viewed


def write_stream(table: pa.Table) -> memoryview:
    """A table as a stream, in memory of just its size."""
    size = pa.MockOutputStream()
    _write_to(table, size)
    target = pa.allocate_buffer(size.size())
    _write_to(table, pa.FixedSizeBufferWriter(target))
    return memoryview(target).cast("B")


def _write_to(table: pa.Table, sink: Any) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
