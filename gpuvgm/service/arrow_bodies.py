"""Tables from and to Arrow IPC streams; data of clients is validated in full before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from gpuvgm.arrow_bytes import ArrowBytes
from gpuvgm.errors import InputError, printable
from gpuvgm.io import UntrustedStream
from gpuvgm.service.limits import ANSWER_SHARE, Deadline, check_width
from gpuvgm.service.refusals import Refused
from gpuvgm.shortage import damage_as, reason

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
MOST_BATCHES = 1 << 13  # each costs some 0.1 ms, whatever it holds


def read_stream(body: bytearray | bytes, limit: int, deadline: Deadline) -> pa.Table:
    """The table of a stream; uncompressed, it uses the memory of the body.

    Parameters
    ----------
    body : bytes
        The stream.
    limit : int
        Bytes that it may have once decompressed.
    deadline : Deadline
        Deadline of the request.

    Raises
    ------
    InputError
        For what is no valid stream.
    Refused
        For one that is too large, or takes too long.
    """
    stream = pa.py_buffer(body)
    with damage_as(lambda problem: InputError(f"the body is not a valid Arrow IPC stream: {reason(problem)}")):
        _check_size(stream, limit, deadline)
        return _read_table(stream, limit, deadline)


def _check_size(stream: pa.Buffer, limit: int, deadline: Deadline) -> None:
    total = 0
    for number, size in enumerate(ArrowBytes(stream).sizes()):
        deadline.check()
        if number > MOST_BATCHES:
            raise Refused(413, "TooLarge", f"the stream has more than {MOST_BATCHES} batches; send larger ones")
        total += size
        if total > limit:
            raise Refused(413, "TooLarge", f"the stream has more than {limit} bytes when decompressed; send fewer rows")


def _read_table(stream: pa.Buffer, limit: int, deadline: Deadline) -> pa.Table:
    batches, budget = [], ANSWER_SHARE * limit
    with UntrustedStream.open(stream) as rows:
        check_width(len(rows.schema))
        rows.check_types()
        for batch, columns in rows.batches():
            budget -= _check_batch_of_client(columns, budget, deadline)
            batches.append(batch)
        return pa.Table.from_batches(batches, rows.schema)


def _check_batch_of_client(columns: Iterator[tuple[str, int]], limit: int, deadline: Deadline) -> int:
    """Validate the columns of a batch, and return the bytes of their views, limited as checking them takes time."""
    total = 0
    for name, viewed in columns:
        deadline.check()
        total += viewed
        if total > limit:
            text = f'views up to column "{printable(name)}" stand for too many bytes; send fewer rows'
            raise Refused(413, "TooLarge", text)
    return total


def write_stream(table: pa.Table) -> memoryview:
    """A table as a stream, in memory of exactly its size."""
    # The first time only counts bytes.
    size = pa.MockOutputStream()
    _write_to(table, size)
    target = pa.allocate_buffer(size.size())
    _write_to(table, pa.FixedSizeBufferWriter(target))
    return memoryview(target).cast("B")


def _write_to(table: pa.Table, sink: Any) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
