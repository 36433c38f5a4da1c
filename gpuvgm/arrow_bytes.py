"""Arrow IPC of someone else: its size once decompressed, read before anything is decompressed, and its tables.

Buffers of compressed record batches begin with their decompressed length (Arrow columnar format, "Serialization and
interprocess communication"), which Arrow allocates at once, however large it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gpuvgm.shortage import damage_as, reason

DICTIONARY_BATCH, RECORD_BATCH = "dictionary", "record batch"  # types of messages
_HEADER = 2  # field of Message
_BUFFERS, _COMPRESSION = 2, 3  # fields of RecordBatch
_DATA = 1  # field of DictionaryBatch, a RecordBatch
_BUFFER_BYTES = 16  # two int64: where it begins in the body, and its length
PREFIX = struct.Struct("<q")
FILE_MAGIC = b"ARROW1\0\0"  # at the beginning of an Arrow file, where a stream follows
LEAST_UNPACKED, MOST_UNPACKED = 1 << 26, 200  # bytes of a small file, and for each stored byte of a larger one


@dataclass(frozen=True, slots=True)
class ArrowBytes:
    """An Arrow IPC file or stream of someone else.

    Parameters
    ----------
    buffer : pyarrow.Buffer
        The bytes.
    """

    buffer: pa.Buffer

    @classmethod
    def of(cls, body: bytes) -> ArrowBytes:
        """The stream in an Arrow file; what its footer says of places is not used.

        Raises
        ------
        pyarrow.ArrowInvalid
            For what is no Arrow file.
        """
        if not body.startswith(FILE_MAGIC):
            raise pa.ArrowInvalid("it is no Arrow file")
        return cls(pa.py_buffer(body).slice(len(FILE_MAGIC)))

    @staticmethod
    def most_unpacked(stored: int) -> int:
        """Return the most bytes that a file of a model may hold, decompressed, from the bytes that are stored."""
        return max(LEAST_UNPACKED, MOST_UNPACKED * stored)

    def sizes(self) -> Iterator[int]:
        """Bytes that each message takes in memory once decompressed.

        Its messages are verified by Arrow, not decoded.

        Raises
        ------
        pyarrow.ArrowInvalid
            For what is no stream, or one of an Arrow before 1.0.
        """
        for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(self.buffer)):
            if message.metadata_version != pa.ipc.MetadataVersion.V5:
                raise pa.ArrowInvalid("streams of versions before Arrow 1.0 are not read")
            yield _decoded_bytes(message)

    def table(self, schema: pa.Schema) -> pa.Table:
        """All rows, validated in full: no offset leads elsewhere, and text is UTF-8.

        Parameters
        ----------
        schema : pyarrow.Schema
            The columns and types that it must have, apart from metadata: numbers, text, and lists of them.

        Raises
        ------
        pyarrow.ArrowInvalid
            For what is damaged, has other columns, or would take more bytes than `most_unpacked`.
        """
        with damage_as(lambda problem: pa.ArrowInvalid(reason(problem)), stored=self.buffer.size):
            most = self.most_unpacked(self.buffer.size)
            if sum(self.sizes()) > most:
                raise pa.ArrowInvalid(f"it would unpack to more than {most:,} bytes")
            with pa.ipc.open_stream(pa.BufferReader(self.buffer)) as reader:
                if reader.schema.remove_metadata() != schema:
                    raise pa.ArrowInvalid("its columns are not those that belong there")
                table = reader.read_all()
            table.validate(full=True)
            if any(_lacks_values(chunk) for column in table.columns for chunk in column.chunks):
                raise pa.ArrowInvalid("it holds missing values")
        return table


def _lacks_values(array: Any) -> bool:
    """Return whether values are missing, or are within lists."""
    is_list = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
    return array.null_count > 0 or (is_list and _lacks_values(array.values))


def _decoded_bytes(message: pa.ipc.Message) -> int:
    body = memoryview(message.body) if message.body is not None else memoryview(b"")
    if message.type not in (DICTIONARY_BATCH, RECORD_BATCH):
        return len(body)
    batch = _FlatTable.at(memoryview(message.metadata), 0).table(_HEADER)
    if batch is not None and message.type == DICTIONARY_BATCH:
        batch = batch.table(_DATA)
    if batch is None or batch.table(_COMPRESSION) is None:
        return len(body)
    return len(body) + sum(_prefix(body, *place) for place in batch.pairs(_BUFFERS))


def _prefix(body: memoryview, start: int, length: int) -> int:
    """Decompressed length that a buffer claims; -1 there marks one that is not compressed."""
    if length < PREFIX.size or not 0 <= start <= len(body) - PREFIX.size:
        return 0  # empty, or refused by Arrow
    size: int = PREFIX.unpack_from(body, start)[0]
    return max(size, 0)


class _FlatTable:
    """A table of a flatbuffer that Arrow has verified."""

    def __init__(self, metadata: memoryview, start: int) -> None:
        self._metadata, self._start = metadata, start
        self._fields = start - _number_at("<i", metadata, start)

    @classmethod
    def at(cls, metadata: memoryview, place: int) -> _FlatTable:
        """The table that an offset at this place points to."""
        return cls(metadata, place + _number_at("<I", metadata, place))

    def table(self, field: int) -> _FlatTable | None:
        """A field that is a table, if it is there."""
        place = self._place(field)
        return None if place is None else _FlatTable.at(self._metadata, place)

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """A field that is a vector of pairs of int64."""
        place = self._place(field)
        if place is None:
            return
        vector = place + _number_at("<I", self._metadata, place)
        for i in range(_number_at("<I", self._metadata, vector)):
            yield struct.unpack_from("<qq", self._metadata, vector + 4 + i * _BUFFER_BYTES)

    def _place(self, field: int) -> int | None:
        # A vtable has two sizes, then an offset for each field, all of 16 bits.
        slot = 4 + 2 * field
        if slot >= _number_at("<H", self._metadata, self._fields):
            return None
        offset = _number_at("<H", self._metadata, self._fields + slot)
        return self._start + offset if offset else None  # a field that is absent has 0


def _number_at(form: str, metadata: memoryview, place: int) -> int:
    value: int = struct.unpack_from(form, metadata, place)[0]
    return value
