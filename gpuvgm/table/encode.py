"""Rows to scalars and codes: blocks encoded with a fitted model, and the layouts of encoded rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, column_of, namespace_of, to_numpy
from gpuvgm.codecs import UnreadText
from gpuvgm.columns import Coded, EncodingOptions, NameTemplate, Slice, TableModel, check_settings
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError, counted_values, naming
from gpuvgm.execution import Need
from gpuvgm.io import Block, Source, device_rows, holds_device_rows, restore
from gpuvgm.rules import whole
from gpuvgm.summary import Floats
from gpuvgm.table.model_file import MODEL_KEY, NAMES_KEY
from gpuvgm.table.unseen import UnseenRows

_WITHOUT_METADATA = ("pandas", "polars", "dict", "matrix", "cudf")  # kinds of tables
_ARROW_TYPES: dict[str, pa.DataType] = {"float32": pa.float32(), "float64": pa.float64()}


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded rows: scalars and codes of each column, or the values of passthrough columns.

    `originals` holds the original columns that the result has too, on the host.
    """

    first_row: int
    rows: int
    columns: dict[str, Coded]
    originals: Mapping[str, pa.Array[Any]] = field(default_factory=dict)

    @property
    def unseen(self) -> UnseenRows:
        """Counts of values that the fit had not seen, by column and sort."""
        return {name: part.unseen for name, part in self.columns.items() if part.unseen}


def _pending_counts(columns: Mapping[str, Coded]) -> list[tuple[str, NDArray[Any]]]:
    """Columns whose counts are pending on a device, with the counts; one transfer fetches them all."""
    pending = {name: part.pending.counts for name, part in columns.items() if part.pending is not None}
    if not pending:
        return []
    first, *further = counts = list(pending.values())
    host_counts = to_numpy(namespace_of(first).concatenate(counts) if further else first)
    return list(zip(pending, np.split(host_counts, np.cumsum([len(array) for array in counts])[:-1]), strict=True))


def checked_uniforms(
    model: TableModel, uniforms: Mapping[str, NDArray[Any]] | None, rows: int | None
) -> dict[str, Floats]:
    """Uniforms as float64, one a row of the source.

    Raises
    ------
    InputError
        For columns that take no uniforms, a wrong number of values, or values outside [0, 1).
    """
    checked = {}
    for name, array in (uniforms or {}).items():
        if name not in model.names or not model[name].takes_uniforms:
            reason = "which draws nothing" if name in model.names else "which was not fitted"
            raise InputError(f'uniforms are given for column "{name}", {reason}')
        host_array = to_numpy(device_rows(f'uniforms of column "{name}"', array)) if holds_device_rows(array) else array
        values = np.ascontiguousarray(host_array, dtype=np.float64)
        if values.ndim != 1 or (rows is not None and len(values) != rows):
            raise InputError(f'column "{name}": uniforms need one value a row ({rows}), not shape {values.shape}')
        outside = np.flatnonzero(~((values >= 0) & (values < 1)))
        if len(outside):
            raise InputError(f'column "{name}": the uniform {values[outside[0]]} at row {outside[0]} is not in [0, 1)')
        checked[name] = values
    return checked


# -- layouts


def encoded_schema(
    model: TableModel, settings: Mapping[str, Any], source: pa.Schema, names: NameTemplate, *, to_file: bool = False
) -> pa.Schema:
    """Columns of encoded rows.

    Parameters
    ----------
    model : TableModel
        The fitted table.
    settings : mapping
        Layout of the encoded rows, and the type ("dtype") of the scalars; those of general columns are float64.
    source : pyarrow.Schema
        Columns of the source, for passthrough columns.
    names : NameTemplate
        Template of the columns' names.
    to_file : bool
        Whether the rows go to a file. Scalars and modes that are never missing are declared so then: that takes a
        quarter off the time to write them, and half off the time to read them.
    """
    dtype = settings["dtype"]
    if settings["layout"] == "onehot":
        return pa.schema([pa.field(name, _ARROW_TYPES[dtype], not to_file) for name in model.onehot_names(names)])
    fields: list[pa.Field[Any]] = []
    for column in model.columns:
        if not column.is_encoded:
            fields.append(source.field(column.name).with_nullable(True))  # noqa: FBT003
        if column.has_scalar:
            kind = _ARROW_TYPES[column.scalar_dtype or dtype]
            fields.append(pa.field(names.scalar(column.name), kind, not to_file))
        if column.width:
            optional = not (to_file and column.all_known)
            fields.append(pa.field(names.mode(column.name), pa.from_numpy_dtype(column.code_dtype), optional))
    return pa.schema(fields)


def template_of(names: str | None) -> NameTemplate:
    """The template of a text; by default that of all names."""
    return NameTemplate.DEFAULT if names is None else NameTemplate(names)


def encoded_names(model: TableModel, layout: str, names: NameTemplate) -> list[str]:
    """Names of the columns of encoded rows."""
    if layout == "onehot":
        return model.onehot_names(names)
    return [name for column in model.columns for name in column.compact_names(names)]


def original_columns(model: TableModel, layout: str, source: pa.Schema) -> tuple[str, ...]:
    """Columns of a source that its encoded rows do not contain already."""
    encoded = set() if layout == "onehot" else {column.name for column in model.columns if not column.is_encoded}
    return tuple(name for name in source.names if name not in encoded)


def check_distinct(schema: pa.Schema, names: NameTemplate) -> pa.Schema:
    """Return a schema of encoded rows in which no two columns have the same name.

    Raises
    ------
    InputError
        Naming one that two would have.
    """
    duplicates = [name for name, count in Counter(schema.names).items() if count > 1]
    if duplicates:
        raise InputError(
            f'names {names.text!r}: two encoded or original columns would be called "{duplicates[0]}"; give another '
            "template, such as {column}_encoded_{part}"
        )
    return schema


def refuse_unknown(name: str, scalar: Floats | None, first_row: int) -> None:
    """Refuse scalars of values that are no category, which are NaN.

    Parameters
    ----------
    name : str
        A column that has scalars for its categories.
    scalar : ndarray of shape (rows,), optional
        Its scalars.
    first_row : int
        Global index of the first row, for the error.

    Raises
    ------
    InputError
        Where there is one.
    """
    unknown = np.flatnonzero(np.isnan(to_numpy(scalar)))
    if len(unknown):
        count = counted_values(len(unknown), "values are not among the categories of the fit")
        raise InputError(
            f'column "{name}": {count} (first at row {first_row + int(unknown[0])}), for which its scalar has no '
            'place: transform with layout="compact", fit with rows that have them, or give the column max_categories'
        )


@dataclass(frozen=True, slots=True)
class CompactLayout:
    """Columns `<column>.scalar` and `<column>.mode`, as far as a column has them; passthrough columns keep their name.

    Parameters
    ----------
    model : TableModel
        The fitted table.
    schema : pyarrow.Schema
        Columns of encoded rows; see `encoded_schema`.
    """

    model: TableModel
    schema: pa.Schema

    def part(self, encoded: Encoded, matrix: Floats | None = None) -> Block:
        """A block as Arrow columns, or as columns on the device if any of them lies there.

        A value that is no category has no mode.
        """
        columns: list[Column] = []
        for column in self.model.columns:
            part = encoded.columns[column.name]
            if part.passthrough is not None:
                columns.append(part.passthrough)
            if part.scalar is not None:
                columns.append(_as_column(part.scalar))
            if part.code is not None and column.width:
                missing = None if column.all_known else part.code == column.width
                columns.append(_as_column(part.code, missing))
        return Block.of(encoded.first_row, dict(zip(self.schema.names, columns, strict=True)), encoded.rows)

    def batch(self, part: Block) -> pa.RecordBatch:
        """A block in the memory of the host, with the metadata of the schema."""
        return pa.RecordBatch.from_arrays(part.batch.columns, schema=self.schema)

    def join(self, parts: Sequence[Block], like: Source, flavour: str | None) -> Any:
        """All blocks as a table of the caller's kind, or of `flavour`."""
        return restore(Block.joined(parts, self.schema), like, flavour=flavour)


def _as_column(values: Any, missing: Any = None) -> Column:
    """Scalars or modes as a column on their own device."""
    return column_of(values, pa.from_numpy_dtype(values.dtype), missing)


class OnehotLayout:
    """A matrix: for each column its scalar, then its one-hot columns.

    `model` and `schema` are those of `CompactLayout`.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    dtype : str
        Type of the matrix.
    source : Source, optional
        The table that is encoded; the matrix lies where its rows do if the engine runs there.
    """

    def __init__(
        self, engine: Engine, model: TableModel, schema: pa.Schema, dtype: str, source: Source | None = None
    ) -> None:
        self._engine, self._model, self._dtype, self.schema = engine, model, dtype, schema
        self._namespace: Any = source.arrays if source is not None and engine.runs_on_device else np

    def empty(self, rows: int) -> Floats:
        """An empty matrix of so many rows."""
        room: Floats = self._namespace.empty((rows, len(self.schema)), dtype=self._dtype)
        return room

    def full_matrix(self, rows: int) -> Floats:
        """An empty matrix for all rows of a table.

        Raises
        ------
        InputError
            Where a device could not hold them even if it were empty.
        """
        most = None if self._namespace is np else self._engine.device_memory
        size = rows * len(self.schema) * np.dtype(self._dtype).itemsize
        if most is not None and size > most:
            raise InputError(
                f"the onehot matrix of {rows} rows and {len(self.schema)} columns takes {size} bytes, and the device "
                f'has {most}: take it in batches (iter_batches), write it to files (out=), or use layout="compact"'
            )
        return self.empty(rows)

    def part(self, encoded: Encoded, matrix: Floats | None = None) -> Floats:
        """Encode a block as a matrix, or into its rows of the table's `matrix`, to whose device its parts are copied.

        Raises
        ------
        InputError
            For values that are no category of a column that has scalars for its categories: no matrix has a place for
            them.
        """
        end = encoded.first_row + encoded.rows
        out = self.empty(encoded.rows) if matrix is None else matrix[encoded.first_row : end]
        parts = []
        for column in self._model.encoded:
            part = encoded.columns[column.name]
            if not column.all_known and not column.has_codes:
                refuse_unknown(column.name, part.scalar, encoded.first_row)
            parts.append((part.scalar, part.code, column.width))
        self._engine.fill_onehot(parts, out)
        return out

    def batch(self, part: Floats) -> pa.RecordBatch:
        """A block as Arrow columns, each in memory of its own, on the host."""
        columns = np.ascontiguousarray(to_numpy(part).T)
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=self.schema)

    def join(self, parts: Sequence[Floats], like: Source, flavour: str | None) -> Any:
        """All blocks as one matrix, or as a table of `flavour`."""
        matrix = parts[0] if len(parts) == 1 else namespace_of(parts[0]).concatenate(parts) if parts else self.empty(0)
        if flavour is None:
            array: Floats = like.arrays.asarray(matrix)
            return array
        return restore(pa.Table.from_batches([self.batch(matrix)]), like, flavour=flavour)


@dataclass(frozen=True, slots=True)
class KeptLayout:
    """A table of original columns, followed by the columns of another layout.

    Parameters
    ----------
    encoded : CompactLayout or OnehotLayout
        The other layout.
    schema : pyarrow.Schema
        All columns.
    """

    encoded: Any  # CompactLayout or OnehotLayout
    schema: pa.Schema

    def part(self, encoded: Encoded, matrix: Floats | None = None) -> Block:
        """A block as Arrow columns, in the memory of the host."""
        columns = [*encoded.originals.values(), *self.encoded.batch(self.encoded.part(encoded)).columns]
        return Block(encoded.first_row, pa.RecordBatch.from_arrays(columns, schema=self.schema))

    def batch(self, part: Block) -> pa.RecordBatch:
        """The block's batch, which has the metadata of the schema already."""
        return part.batch

    def join(self, parts: Sequence[Block], like: Source, flavour: str | None) -> Any:
        """All blocks as a table of the caller's kind, or of `flavour`."""
        return restore(Block.joined(parts, self.schema), like, flavour=flavour)


Layout = CompactLayout | OnehotLayout | KeptLayout


# -- in this process, or built anew on workers


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
    layout : str
        Layout of the encoded rows.
    schema : pyarrow.Schema
        Columns of encoded rows.
    originals : tuple of str
        Original columns that stay, in front of them.
    """

    engine: str
    model: TableModel
    options: EncodingOptions
    uniforms: Mapping[str, np.ndarray]
    layout: str
    schema: pa.Schema
    originals: tuple[str, ...] = ()
    stage: ClassVar[str] = "transform"

    @classmethod
    def of(cls, engine: str, model: TableModel, table: Source, settings: Mapping[str, Any], *, to_file: bool) -> Coding:
        """The coding of a table.

        Parameters
        ----------
        engine : str
            Name of the engine.
        model : TableModel
            The fitted table.
        table : Source
            The rows.
        settings : mapping
            The arguments of `TableTransformer.transform` that say how rows are encoded, by their names.
        to_file : bool
            As for `encoded_schema`.

        Raises
        ------
        InputError
            For impossible settings, and a table that lacks columns.
        """
        check_settings(settings)
        model.check_source(table)
        layout, seed, names = settings["layout"], settings["seed"], template_of(settings.get("names"))
        options = EncodingOptions(
            seed=model.seed if seed is None else int(seed),
            most_probable=settings["mode"] == "argmax",
            dtype=settings["dtype"],
            first_row=whole()(settings["first_row"], "first_row"),
            place=table.place,
        )
        uniforms = checked_uniforms(model, settings.get("uniforms"), table.rows)
        originals = original_columns(model, layout, table.schema) if settings.get("keep_original") else ()
        encoded = encoded_schema(model, settings, table.schema, names, to_file=to_file)
        schema = check_distinct(pa.schema([*table.fields(originals), *encoded]), names)
        return cls(engine, model, options, uniforms, layout, schema, originals)

    def keeps_metadata(self, table: Source, flavour: str | None) -> bool:
        """Return whether rows in the form of the caller's table, or in that of `flavour`, have metadata."""
        default = "matrix" if self.layout == "onehot" and not self.originals else table.flavour
        return (flavour or default) not in _WITHOUT_METADATA

    def marked(self, fingerprint: str, names: str | None) -> Coding:
        """The coding, with the fingerprint of the model and the template of names in the metadata of the rows."""
        template = template_of(names)
        marks = {MODEL_KEY: fingerprint} | ({} if template == NameTemplate.DEFAULT else {NAMES_KEY: template.text})
        return replace(self, schema=self.schema.with_metadata(marks))

    def need(self, table: Source, *, to_file: bool = False, group_rows: int | None = None) -> Need:
        """Memory that encoding the table takes, to memory or to files."""
        return Need.transform(table.fields(self.columns), self.schema, to_file=to_file, group_rows=group_rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns to read."""
        return tuple(dict.fromkeys([*self.model.names, *self.originals]))

    @property
    def categories(self) -> list[str]:
        """Columns of categories whose values are not handed on."""
        encoded = (column for column in self.model.columns if column.family == "categories" and column.is_encoded)
        return [column.name for column in encoded if column.name not in self.originals]

    def asked(self, table: Source) -> dict[str, Any]:
        """Record for a manifest of all that determines the encoded rows."""
        return {
            "command": self.stage,
            "model": self.model.digest(),
            "inputs": table.fingerprint(),
            "layout": self.layout,
            "dtype": self.options.dtype,
            "mode": "argmax" if self.options.most_probable else "sample",
            "seed": self.options.seed,
            "first_row": self.options.first_row,
            "uniforms": {name: sha256(values.tobytes()).hexdigest() for name, values in self.uniforms.items()},
        }

    def _call_naming(self, name: str, block: Block, work: Callable[[Any], Coded], values: Any) -> Coded:
        """Result of work on a column of a block; an error names the column, and the place of the rows."""
        place = self.options.place
        try:
            return work(values)
        except UnreadText as problem:
            raise problem.at(
                name, place(block.first_row + problem.row), "correct them, or fit again with rows like these"
            ) from None
        except InputError as problem:
            detailed = naming(name, problem)
            if detailed is not problem:  # raised by a codec, which does not know the rows' numbers
                detailed = InputError(f"{detailed} (in the rows from {place(block.first_row)} on)")
            raise detailed from None

    def _uniforms_of(self, name: str, block: Block) -> Floats | None:
        """The caller's uniforms for a block of a column."""
        if name not in self.uniforms:
            return None
        uniforms = self.uniforms[name][block.first_row : block.first_row + block.rows]
        if len(uniforms) != block.rows:
            raise InputError(f'column "{name}": uniforms has fewer values than the source has rows')
        return uniforms

    def form(self, table: Source | None = None) -> Layout:
        """The layout of encoded rows; a matrix lies where the rows of the table do."""
        schema = pa.schema([*self.schema][len(self.originals) :]) if self.originals else self.schema
        layout: CompactLayout | OnehotLayout = CompactLayout(self.model, schema)
        if self.layout == "onehot":
            layout = OnehotLayout(get_engine(self.engine), self.model, schema, self.options.dtype, table)
        return KeptLayout(layout, self.schema) if self.originals else layout

    def parts(
        self, form: Layout | None = None, matrix: Floats | None = None
    ) -> Callable[[Any], tuple[Any, UnseenRows]]:
        """A function from blocks to encoded rows and counts of unseen values.

        `matrix` is one of all rows to write to. A value that the model cannot encode raises an InputError that
        names column and row.
        """
        form, engine = form or self.form(), get_engine(self.engine)
        encoders = {column.name: column.encoder(engine, self.options) for column in self.model.columns}

        def part(block: Block) -> tuple[Any, UnseenRows]:
            columns = {}
            for name, encoder in encoders.items():
                rows = Slice(block.column(name), block.first_row, self._uniforms_of(name, block))
                columns[name] = self._call_naming(name, block, encoder, rows)
            for name, counts in _pending_counts(columns):
                columns[name] = self._call_naming(name, block, columns[name].with_counts, counts)
            originals = {name: block.host_column(name) for name in self.originals}
            encoded = Encoded(block.first_row, block.rows, columns, originals)
            return form.part(encoded, matrix), encoded.unseen

        return part

    def batches(self) -> Callable[[Any], tuple[pa.RecordBatch, UnseenRows]]:
        """A function from blocks to encoded Arrow batches and counts of unseen values."""
        form = self.form()
        parts = self.parts(form)

        def batch(block: Block) -> tuple[pa.RecordBatch, UnseenRows]:
            part, unseen = parts(block)
            return form.batch(part), unseen

        return batch
