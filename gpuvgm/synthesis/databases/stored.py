"""Models of databases in files: a model within which those of the tables are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import pyarrow as pa

from gpuvgm.arrow_bytes import ArrowBytes
from gpuvgm.columns import TableModel
from gpuvgm.errors import ModelFileError
from gpuvgm.records import document_of, read_as
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.synthesis.databases.held_out import HeldOutRows
from gpuvgm.synthesis.databases.model import DatabaseModel, TablePart, TableRecord
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.learning import SynthesizerSettings
from gpuvgm.synthesis.sequences import read_sequences
from gpuvgm.table import ModelFile, TableTransformer, load_as

Path_ = str | PathLike[str]
TEXT: Any = pa.string()
BINARY: Any = pa.large_binary()
BODIES = pa.schema([("table", TEXT), ("body", BINARY), ("schema", BINARY)])  # of models, and of tables that are kept
DATABASE = "database"  # name of this generator in files
PARAMETERS = ("bins", "safer", "random_state", "laws")  # as models of rows are stored with


@dataclass(frozen=True, slots=True)
class DatabaseRecord:
    """What a file has of a database beside the models of its tables; see `DatabaseModel`."""

    plan: DatabasePlan
    tables: Mapping[str, TableRecord]
    flavours: Mapping[str, str]
    held_out: HeldOutRows


def stored_database(model: DatabaseModel) -> TableModel:
    """The model as a file has it: in that of the first table's columns."""
    bodies = {name: _packed(table) for name, table in model.kept.items()}
    for name, part in model.parts.items():
        parameters = {parameter: getattr(part.settings, parameter) for parameter in PARAMETERS}
        bodies[name] = ModelFile.packed(part.model.stored(parameters))
    schemas = [schema.serialize().to_pybytes() for schema in model.schemas.values()]
    columns = [pa.array(model.names), pa.array(map(bodies.get, model.names), BINARY), pa.array(schemas, BINARY)]
    body = _packed(pa.table(columns, schema=BODIES))
    # Parents before their children.
    records = {name: part.record for name, part in model.parts.items()}
    record = DatabaseRecord(model.plan, records, model.flavours, model.held_out)
    first: TableTransformer = next(iter(model.parts.values())).model.transformer
    return first._generator({"with": DATABASE, DATABASE: document_of(record)}, body)


def read_database(model: TableModel, path: Path_, settings: SynthesizerSettings) -> DatabaseModel:
    """What is learnt of a stored database.

    Raises
    ------
    ModelFileError
        For parts that do not fit together.
    """
    try:
        document: Any = model.settings["synthesizer"]
        record = read_as(DatabaseRecord, document[DATABASE], "the database")
        tables, packed, columns = ArrowBytes.of(model.network).table(BODIES).to_pydict().values()
        bodies: dict[str, bytes] = dict(zip(tables, packed, strict=True))
        schemas = {name: pa.ipc.read_schema(pa.py_buffer(of)) for name, of in zip(tables, columns, strict=True)}
        parts = {name: _part(bodies[name], path, settings, of_table) for name, of_table in record.tables.items()}
        kept = {name: pa.ipc.open_file(pa.py_buffer(bodies[name])).read_all() for name in record.plan.kept}
        if not {*schemas} == {*record.flavours} == {*parts, *kept}:
            raise ValueError("its tables are not those of its models")
    except (ValueError, LookupError, TypeError, ArithmeticError, *ARROW_PROBLEMS) as problem:
        raise ModelFileError(f"{path}: its database is inconsistent ({problem}); write it again") from problem
    return DatabaseModel(record.plan, parts, kept, schemas, record.flavours, record.held_out)


def _part(body: bytes, path: Path_, settings: SynthesizerSettings, record: TableRecord) -> TablePart:
    """A table's model within the model."""
    part = ModelFile.at(path).unpacked(body)
    parameters, learnt = read_sequences(load_as(TableTransformer, path, part), part, path)
    return TablePart(learnt, replace(settings, **{name: parameters[name] for name in PARAMETERS}), record)


def _packed(table: pa.Table) -> bytes:
    """A table as the bytes of a file of Arrow."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
