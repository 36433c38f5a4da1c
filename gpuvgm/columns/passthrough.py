"""Passthrough columns: their values are handed on as they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Column, mixed
from gpuvgm.codecs import missing_rows
from gpuvgm.columns.base import (
    Coded,
    ColumnPlan,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    FittedColumn,
    Slice,
    Values,
)
from gpuvgm.columns.categories import plain_values
from gpuvgm.engines import Engine
from gpuvgm.io import is_text_type
from gpuvgm.summary import Ints

_LONGEST = 256  # bytes that are hashed together
_FACTORS = mixed(np.arange(_LONGEST, dtype=np.uint64), 0) | np.uint64(1)
_ROWS = 1 << 14  # that are hashed at once


@dataclass(frozen=True, slots=True, repr=False)
class PassthroughColumn(FittedColumn):
    """A passthrough column; the onehot matrix leaves it out.

    Parameters
    ----------
    name : str
        The column.
    type : pyarrow.DataType
        Its Arrow type.
    fit : FitRecord
        Rows.
    """

    name: str
    type: pa.DataType
    fit: FitRecord
    kind: ClassVar[str] = "pass"
    width: ClassVar[int] = 0
    without_meaning: ClassVar[tuple[str, ...]] = ("fit", "type")

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """Return a function that passes parts of the column through."""
        return handed_through

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """Return a function that passes parts of the column back."""
        return handed_back

    def plan(self) -> ColumnPlan:
        """Plan for more rows."""
        return PassthroughPlan(self.name, self.type)

    @staticmethod
    def hashes(values: pa.Array[Any]) -> NDArray[np.uint64]:
        """Hashes of values, the same for a value of any type; 0 for missing ones, blank text among them.

        Values that Arrow writes as no text, such as lists, have one hash.
        """
        plain = _plain(values)
        texts = _as_bytes_or_text(plain)
        missing = missing_rows(plain)
        # Odd, so that none is the 0 of missing values.
        hashes = hashes_of_text(texts) | np.uint64(1)
        return hashes if missing is None else np.where(missing, np.uint64(0), hashes)

    def lengths(self, values: pa.Array[Any]) -> NDArray[np.int64]:
        """Characters of text; -1 for missing values, and for values of other types."""
        plain = _plain(values)
        if not is_text_type(plain.type):
            return np.full(len(values), -1)
        lengths: Any = pc.utf8_length(plain.cast(pa.large_string()))
        return np.asarray(lengths.cast(pa.int64()).fill_null(-1))


def _plain(values: Any) -> Any:
    """Values without what a dictionary or a run holds them in."""
    with suppress(pa.ArrowNotImplementedError):  # of a dictionary whose entries Arrow does not take
        return plain_values(values)
    return values


def _as_bytes_or_text(values: Any) -> pa.Array[Any]:
    """Values as bytes, or as the text that Arrow writes; of other types only which rows have a value."""
    texts: pa.Array[Any] = values.is_valid().cast(pa.large_string())
    for type_ in (pa.large_string(), pa.large_binary()):
        with suppress(pa.ArrowNotImplementedError, pa.ArrowInvalid):  # no text
            texts = values.cast(type_)
    return texts


def handed_through(part: Slice) -> Coded:
    """The values as they are."""
    return Coded(passthrough=part.values)


def handed_back(part: Coded, first_row: int) -> Values:
    """The values as they are."""
    assert part.passthrough is not None
    return Values(part.passthrough)


@dataclass(frozen=True, slots=True)
class RowCount:
    """Rows of a column."""

    rows: int

    def merge(self, count: RowCount) -> RowCount:
        """Add both counts."""
        return RowCount(self.rows + count.rows)


@dataclass(frozen=True, slots=True)
class PassthroughPlan(ColumnPlan):
    """A passthrough column."""

    name: str
    type: pa.DataType
    needs_rows: ClassVar[bool] = False

    def statistics(self, engine: Engine, values: Column, first_row: int) -> RowCount:
        """Rows."""
        return RowCount(len(values))

    def fit(self, rows: int) -> PassthroughColumn:
        """The column's model."""
        return PassthroughColumn(self.name, self.type, FitRecord("none", rows, 0))


def hashes_of_text(values: pa.Array[Any]) -> NDArray[np.uint64]:
    """Hashes of texts: sums of their bytes, each with a factor of its place, modulo 2^64; of long ones by pieces."""
    parts = [_hashes_of_few(values[at : at + _ROWS]) for at in range(0, len(values), _ROWS)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _hashes_of_few(values: pa.Array[Any]) -> NDArray[np.uint64]:
    binary: Any = values.cast(pa.large_string() if is_text_type(values.type) else pa.large_binary())
    binary = binary.cast(pa.large_binary())
    offsets = np.frombuffer(binary.buffers()[1], np.int64, len(binary) + 1, 8 * binary.offset)
    body_bytes = np.frombuffer(binary.buffers()[2] or b"", np.uint8)
    pieces = np.maximum(-(-np.diff(offsets) // _LONGEST), 1)
    if np.all(pieces == 1):
        return mixed(_text_sums(offsets, body_bytes, _FACTORS), 0)
    firsts = np.cumsum(pieces) - pieces
    places = np.arange(pieces.sum()) - np.repeat(firsts, pieces)
    starts = np.repeat(offsets[:-1], pieces) + places * _LONGEST
    sums = _text_sums(np.append(starts, offsets[-1]), body_bytes, _FACTORS)
    sums += places.astype(np.uint64) * _FACTORS[0]
    return np.add.reduceat(mixed(sums, 0), firsts)


def _text_sums_in_numpy(offsets: Ints, texts: NDArray[np.uint8], factors: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sums of the bytes of texts that lie between offsets, of those of one length at once."""
    lengths = np.minimum(np.diff(offsets), len(factors))
    sums = np.empty(len(lengths), np.uint64)
    for length in np.flatnonzero(np.bincount(lengths)):
        rows = np.flatnonzero(lengths == length)
        if len(rows) == len(lengths) and len(rows) * length == offsets[-1] - offsets[0]:  # none is cut off
            letters = texts[offsets[0] : offsets[-1]].reshape(len(rows), length).astype(np.uint64)
        else:
            letters = texts[offsets[rows, None] + np.arange(length)].astype(np.uint64)
        # Each byte counts one more, so that zero bytes count too.
        sums[rows] = letters @ factors[:length] + (factors[:length].sum() + np.uint64(length))
    return sums


_Sums = Callable[[Ints, NDArray[np.uint8], NDArray[np.uint64]], NDArray[np.uint64]]
_text_sums: _Sums = (
    _text_sums_in_numpy if find_spec("gpuvgm._native") is None else import_module("gpuvgm._native").text_sums
)
