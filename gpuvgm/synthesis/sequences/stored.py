"""Models of sequences in files: a model within which the models of keys and of rows are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from gpuvgm.arrow_bytes import ArrowBytes
from gpuvgm.columns import TableModel
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.records import read_as
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.synthesis.learning import RowModel, read_model
from gpuvgm.synthesis.sequences.model import PARTS, SEQUENCE, SequenceModel, SequenceRecord
from gpuvgm.table import ModelFile, TableTransformer, load_as

Path_ = str | PathLike[str]


def read_sequences(
    transformer: TableTransformer, model: TableModel, path: Path_, laws: Sequence[Any] = ()
) -> tuple[dict[str, Any], RowModel | SequenceModel]:
    """Parameters of a stored synthesizer, and what it has learnt; see `read_model`."""
    settings = model.settings.get("synthesizer")
    if not isinstance(settings, Mapping) or SEQUENCE not in settings:
        return read_model(transformer, model, path, laws)
    if laws:
        raise InputError(f"{path}: laws that are objects are not of rows that belong to keys")
    try:
        record = read_as(SequenceRecord, settings[SEQUENCE], "the sequences")
        table = ArrowBytes.of(model.network).table(PARTS)
        (parameters, keys), (_, steps) = (_part(table.column(name)[0].as_py(), path) for name in PARTS.names)
        sequences = SequenceModel(transformer, record.plan, record.layout, keys, steps, record.totals)
        sequences.check()
    except (ValueError, LookupError, TypeError, ArithmeticError, *ARROW_PROBLEMS) as problem:
        raise ModelFileError(f"{path}: its sequences are inconsistent ({problem}); write it again") from problem
    rule = transformer._hold_out
    of_sequences = {"sequence_key": record.plan.key, "sequence_index": record.plan.index or None}
    return parameters | of_sequences | {"hold_out": 0.0 if rule is None else rule.share}, sequences


def _part(body: bytes, path: Path_) -> tuple[dict[str, Any], RowModel]:
    """A model within the model."""
    part = ModelFile.at(path).unpacked(body)
    return read_model(load_as(TableTransformer, path, part), part, path)
