"""Row groups that were written separately, joined into one Parquet file.

Each is a whole file in memory at first, so that threads can write some at a time. In the file the pages of all follow
each other; its footer is that of a file without rows, with what the others' footers say of their row groups, and
offsets that say where the pages lie now.

Footers are structs in Thrift's compact protocol (thrift-compact-protocol.md of github.com/apache/thrift); the numbers
of fields are those of parquet.thrift of github.com/apache/parquet-format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from gpuvgm.io.checksums import MAGIC, TRAILER_BYTES

_BYTE, _DOUBLE, _BINARY, _LIST, _STRUCT = 3, 7, 8, 9, 12  # types; below are booleans, 4 to 6 are whole numbers
_LONG_LIST = 15  # in the place of the number of elements, which follows
Fields: TypeAlias = "Mapping[int, tuple[str, Fields]]"  # fields of a struct, or of the structs of a list
_OFFSET: tuple[str, Fields] = ("offset", {})
_COLUMN: Fields = {9: _OFFSET, 11: _OFFSET}  # pages, and dictionary
_CHUNK: Fields = {2: _OFFSET, 3: ("metadata", _COLUMN), 4: _OFFSET, 6: _OFFSET}  # metadata, and two indices of pages
_GROUP: Fields = {1: ("chunks", _CHUNK), 5: _OFFSET}
_FILE: Fields = {3: ("rows", {}), 4: ("groups", _GROUP)}


class _Place(NamedTuple):
    """Position of a field's value."""

    start: int
    stop: int
    name: str


def parted(file: memoryview) -> tuple[memoryview, bytes]:
    """Pages and footer of a Parquet file in memory."""
    end = len(file) - TRAILER_BYTES
    start = end - int.from_bytes(file[end : end + 4], "little")
    return file[len(MAGIC) : start], bytes(file[start:end])


def moved_group(footer: bytes, by: int) -> bytes:
    """Metadata of the only row group in a footer, with offsets for another place in a file.

    Parameters
    ----------
    footer : bytes
        Footer of a file of one row group.
    by : int
        Bytes to add to the offsets of its pages.
    """
    places = _places(footer)
    groups = next(place for place in places if place.name == "groups")
    parts, position = [], groups.start + 1  # after the byte that says that there is one
    for place in places:
        offset = _varint(footer, place.start)[0] >> 1 if place.name == "offset" else 0
        if offset:  # 0 says that there is none
            parts += [footer[position : place.start], _as_varint(offset + by << 1)]
            position = place.stop
    return b"".join([*parts, footer[position : groups.stop]])


def with_groups(footer: bytes, groups: Sequence[bytes], rows: int) -> bytes:
    """The footer of a file without rows, with row groups added.

    Parameters
    ----------
    footer : bytes
        The footer.
    groups : sequence of bytes
        Metadata of each row group.
    rows : int
        Rows of all of them.
    """
    number, none = (next(place for place in _places(footer) if place.name == name) for name in ("rows", "groups"))
    short = len(groups) < _LONG_LIST
    size = bytes([(len(groups) if short else _LONG_LIST) << 4 | _STRUCT]) + (b"" if short else _as_varint(len(groups)))
    middle, tail = footer[number.stop : none.start], footer[none.stop :]
    # Thrift writes whole numbers zigzag, so that positive ones are doubled.
    return b"".join([footer[: number.start], _as_varint(rows << 1), middle, size, *groups, tail])


def _places(footer: bytes) -> list[_Place]:
    """Positions of the fields that change, in order; a struct or list comes after its fields."""
    places: list[_Place] = []
    _skip_struct(footer, 0, _FILE, places)
    return places


def _skip_value(data: bytes, at: int, kind: int, fields: Fields, places: list[_Place]) -> int:
    """Return the position after a value, and collect the positions of some of its fields."""
    if _BYTE < kind < _DOUBLE:
        while data[at] > 0x7F:
            at += 1
        return at + 1
    if kind == _BINARY:
        length, at = _varint(data, at)
        return at + length
    if kind == _LIST:
        size, kind = data[at] >> 4, data[at] & 15
        at += 1
        if size == _LONG_LIST:
            size, at = _varint(data, at)
        for _ in range(size):
            at = _skip_value(data, at, kind, fields, places)
        return at
    if kind == _STRUCT:
        return _skip_struct(data, at, fields, places)
    return at + {_BYTE: 1, _DOUBLE: 8}.get(kind, 0)  # booleans lie in their types


def _skip_struct(data: bytes, at: int, fields: Fields, places: list[_Place]) -> int:
    number = 0
    while head := data[at]:
        step, start = head >> 4, at + 1
        number += step
        if not step:  # to a number that is written out, doubled
            double, start = _varint(data, start)
            number = double >> 1
        name, inner = fields.get(number, ("", {}))
        at = _skip_value(data, start, head & 15, inner, places)
        if name:
            places.append(_Place(start, at, name))
    return at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and the position after it."""
    value = shift = 0
    while data[at] > 0x7F:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | data[at] << shift, at + 1


def _as_varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
