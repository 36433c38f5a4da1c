"""Models of a service: found once at its start, and addressed by name alone."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

import gpuvgm
from gpuvgm.columns import TableModel
from gpuvgm.errors import InputError
from gpuvgm.execution import Stages
from gpuvgm.io import is_text_type, row_bytes
from gpuvgm.service.refusals import Refused
from gpuvgm.table import ModelFile, TableTransformer, jsonable, load_as

_LOG = logging.getLogger("gpuvgm.service")


@dataclass(frozen=True, slots=True)
class Served:
    """A model that requests name.

    Parameters
    ----------
    name : str
        Its file name without ending.
    transformer : TableTransformer
        The model, loaded.
    document : dict
        Document of `gpuvgm info --json`, without the path.
    widths : mapping of str to float
        Bytes of a row of an answer at most: "compact", "onehot", and "inverse".
    types : mapping of str to pyarrow.DataType
        Types of fitted columns, and of the compact layout's.
    synthesizer : TableSynthesizer, optional
        What draws rows, of models that do.
    """

    name: str
    transformer: TableTransformer
    document: Mapping[str, Any]
    widths: Mapping[str, float]
    types: Mapping[str, pa.DataType]
    synthesizer: gpuvgm.TableSynthesizer | None = None

    @classmethod
    def of(cls, name: str, model: TableTransformer | gpuvgm.TableSynthesizer) -> Served:
        """Prepare a loaded model; encoding no rows loads everything that the first request needs."""
        if isinstance(model, TableTransformer):
            return cls._of_transformer(name, model)
        model.engine, model.threads, model.transformer_.frame_ = "auto", 1, "pyarrow"
        return replace(cls._of_transformer(name, model.transformer_), synthesizer=model)

    @classmethod
    def _of_transformer(cls, name: str, transformer: TableTransformer) -> Served:
        transformer.engine, transformer.threads = "auto", 1
        transformer.set_output(transform="pyarrow")
        model = transformer.model_
        types = {column.name: column.row_type for column in model.columns}
        empty = pa.Table.from_batches([], pa.schema(list(types.items())))
        layouts = {
            layout: transformer.transform(empty, layout=layout, dtype="float64") for layout in ("compact", "onehot")
        }
        widths = {layout: row_bytes(table.schema) for layout, table in layouts.items()}
        widths["inverse"] = _decoded_width(model, types)
        types |= {field.name: field.type for field in layouts["compact"].schema}
        document = {"model": name, **model.describe()}
        return cls(name, transformer, jsonable(document), widths, types)

    def reporting(self, progress: Callable[..., None]) -> TableTransformer:
        """A copy of the model for one request, which reports progress after every block."""
        # Requests run side by side, each with a progress of its own.
        transformer = copy.copy(self.transformer)
        transformer.progress = Stages(listener=progress, level=logging.DEBUG)  # a request has a line of its own
        return transformer

    def sample(self, rows: int, first_row: int, seed: int | None, progress: Callable[..., None]) -> pa.Table:
        """Draw rows, and report progress after every block.

        Raises
        ------
        Refused
            With 404 for a model that draws none.
        """
        if self.synthesizer is None:
            text = f'the model "{self.name}" encodes rows and draws none; models of `gpuvgm train` draw rows'
            raise Refused(404, "NotFound", text)
        synthesizer = copy.copy(self.synthesizer)
        synthesizer.progress = progress
        table: pa.Table = synthesizer.sample(rows, first_row=first_row, seed=seed)
        return table


def _decoded_width(model: TableModel, types: Mapping[str, pa.DataType]) -> float:
    """Maximum bytes of a decoded row; columns of text count with their longest category."""
    width = row_bytes(model.decoded_schema({name: pa.field(name, types[name]) for name in model.names}))
    for column in model.categorical:
        if is_text_type(column.type):
            width += max((len(str(category).encode()) for category in column.categories), default=0)
    return width


def load_models(place: Path) -> dict[str, Served]:
    """Load one model, or all models of a folder, by name.

    Parameters
    ----------
    place : path
        A `.gpuvgm` file, a model that is a folder, or a folder that holds such.

    Raises
    ------
    InputError
        For a place without models, and for two models of one name.
    """
    models: dict[str, Served] = {}
    for path in _paths(place):
        name = ModelFile(path).name
        if name in models:
            raise InputError(f'{place}: two models are called "{name}"; rename one of them')
        model = gpuvgm.load(path)
        if not isinstance(model, gpuvgm.TableSynthesizer | TableTransformer):
            model = load_as(TableTransformer, path)  # which refuses it
        if hasattr(model, "unfinished_"):
            _LOG.warning("%s: not served, some of its columns are not fitted yet (gpuvgm fit --failed)", path)
        else:
            models[name] = Served.of(name, model)
    if not models:
        remedy = f"give a file that ends in {ModelFile.SUFFIX}, a model folder, or a folder of models"
        raise InputError(f"{place}: no model found; {remedy}")
    return models


def _paths(place: Path) -> Iterator[Path]:
    if not place.exists():
        raise InputError(f"{place}: no such file or folder; give a model, or a folder of models")
    if place.is_file() or ModelFile(place).is_local:
        yield place.resolve()
        return
    for path in sorted(place.iterdir()):
        if not path.name.startswith(".") and ModelFile(path).is_local:
            yield path
