"""How the blocks of a table are encoded and handed out, in this process or built anew on workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns.base import EncodingOptions
from gpuvgm.columns.model import TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.io import Source
from gpuvgm.table.decode import CompactReader, OnehotReader, encoded_reader
from gpuvgm.table.encode import Decoded, TableDecoder, TableEncoder
from gpuvgm.table.layout import CompactLayout, Layout, OnehotLayout
from gpuvgm.table.serialization import document_digest


class OnWorker:
    """A function that is built where it is first called; only how to build it travels.

    Parameters
    ----------
    build : callable
        Gives the function.
    """

    def __init__(self, build: Callable[[], Callable[[Any], Any]]) -> None:
        self._build = build
        self._built: Callable[[Any], Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return OnWorker, (self._build,)

    def __call__(self, block: Any) -> Any:
        """What the function gives."""
        if self._built is None:
            self._built = self._build()
        return self._built(block)


@dataclass(frozen=True, slots=True)
class Coding:
    """Encoding of a table's blocks.

    Parameters
    ----------
    engine : str
        Name of the engine.
    model : TableModel
        The fitted table.
    options : EncodingOptions
        How to encode.
    uniforms : mapping of str to ndarray
        Uniforms instead of the generator's.
    layout, dtype : str
        How encoded rows are handed out.
    metadata : mapping of str to str
        Metadata of the Arrow schema.
    schema : pyarrow.Schema
        Columns of the source.
    """

    engine: str
    model: TableModel
    options: EncodingOptions
    uniforms: Mapping[str, np.ndarray]
    layout: str
    dtype: str
    metadata: Mapping[str, str]
    schema: pa.Schema

    def asked(self, table: Source) -> dict[str, Any]:
        """What decides the encoded rows, for a manifest."""
        return {
            "command": "transform",
            "model": document_digest(self.model),
            "inputs": table.fingerprint(),
            "layout": self.layout,
            "dtype": self.dtype,
            "mode": "argmax" if self.options.most_probable else "sample",
            "seed": self.options.seed,
            "first_row": self.options.first_row,
            "uniforms": {name: sha256(values.tobytes()).hexdigest() for name, values in self.uniforms.items()},
        }

    def encoder(self) -> TableEncoder:
        """What encodes blocks."""
        return TableEncoder(self.engine, self.model, self.options, self.uniforms)

    def form(self, table: Source | None = None) -> Layout:
        """How encoded rows are handed out; a matrix lies where the rows of the table do."""
        if self.layout == "onehot":
            return OnehotLayout(get_engine(self.engine), self.model, self.dtype, self.metadata, table)
        return CompactLayout(self.model, self.dtype, self.metadata, self.schema)

    @property
    def encoded_schema(self) -> pa.Schema:
        """Columns of encoded rows."""
        form = replace(self, engine="reference").form()
        return form.schema

    def parts(self) -> Callable[[Any], Any]:
        """From blocks to encoded rows as they are kept in memory."""
        encode, form = self.encoder(), self.form()
        return lambda block: form.part(encode(block))

    def batches(self) -> Callable[[Any], pa.RecordBatch]:
        """From blocks to encoded Arrow batches."""
        encode, form = self.encoder(), self.form()
        return lambda block: form.batch(encode(block))


@dataclass(frozen=True, slots=True)
class EncodedTable(Source):
    """What a reader of encoded rows has to know of their table; see `Source`."""

    name: str
    flavour: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoding of encoded blocks.

    Parameters
    ----------
    engine : str
        Name of the engine.
    model : TableModel
        The fitted table.
    table : Source or EncodedTable
        The encoded rows.
    check : bool
        Whether to look at bounds.
    drop : bool
        Leave out what lies outside them.
    """

    engine: str
    model: TableModel
    table: Any
    check: bool
    drop: bool

    def asked(self, table: Source) -> dict[str, Any]:
        """What decides the decoded rows, for a manifest."""
        return {
            "command": "inverse",
            "model": document_digest(self.model),
            "inputs": table.fingerprint(),
            "drop": self.drop,
        }

    def reader(self) -> CompactReader | OnehotReader:
        """What reads encoded rows from blocks."""
        return encoded_reader(get_engine(self.engine), self.model, self.table)

    def rows(self) -> Callable[[Any], Decoded]:
        """From blocks to decoded rows."""
        read = self.reader()
        decode = TableDecoder(self.engine, self.model, check=self.check or self.drop)

        def decoded(block: Any) -> Decoded:
            try:
                rows = decode(read(block))
            except InputError as problem:
                raise InputError(f"{self.table.name}: {problem}") from problem
            return rows.kept() if self.drop else rows

        return decoded

    def batches(self) -> Callable[[Any], pa.RecordBatch]:
        """From blocks to Arrow batches of decoded rows."""
        decoded = self.rows()
        return lambda block: decoded(block).batch
