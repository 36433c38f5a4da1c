"""Fitted models as documents for people and other programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpuvgm.columns.codecs import codec_document
from gpuvgm.columns.model import CategoricalColumn, ColumnModel, GeneralColumn, MixtureColumn, TableModel
from gpuvgm.columns.text import (
    level_text,
    modal_text,
    value_text,
)

if TYPE_CHECKING:
    from gpuvgm.columns.schema import TableSchema


def jsonable(value: Any) -> Any:
    """The same without anything that JSON lacks: arrays become lists, infinite and undefined numbers null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(part) for part in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def model_document(model: TableModel, schema: TableSchema) -> dict[str, Any]:
    """A fitted model."""
    reasons = schema.reasons
    columns = {column.name: column_document(column, reasons.get(column.name, "")) for column in model.columns}
    dropped = {spec.name: spec.reason for spec in schema.columns if spec.kind == "drop"}
    return {"rows": model.rows, "seed": model.seed, "source": model.source, "columns": columns, "dropped": dropped}


def column_document(column: ColumnModel, reason: str) -> dict[str, Any]:
    """One fitted column."""
    fit = column.fit
    document = {
        "kind": column.kind,
        "reason": reason,
        "type": column.type,
        "rows": fit.rows,
        "missing": fit.missing,
        "fit": {part: getattr(fit, part) for part in type(fit).__dataclass_fields__},
    }
    if isinstance(column, MixtureColumn):
        return document | _range_document(column) | _mixture_document(column)
    if isinstance(column, GeneralColumn):
        ends = {"margin": column.margin, "clip": column.clip, "low": column.low, "high": column.high}
        return document | _range_document(column) | ends
    if isinstance(column, CategoricalColumn):
        apart = {"unknown": column.unknown, "declared": column.declared, "dictionary": column.dictionary}
        return document | apart | {"levels": levels(column)}
    return document


def _range_document(column: MixtureColumn | GeneralColumn) -> dict[str, Any]:
    ends = {"minimum": column.minimum, "maximum": column.maximum}
    texts = {f"{end}_text": value_text(column.codec, value) for end, value in ends.items()}
    return {**ends, **texts, "resolution": column.resolution, "codec": codec_document(column.codec)}


def _mixture_document(column: MixtureColumn) -> dict[str, Any]:
    return {
        "components": len(column.means),
        "modes": modes(column),
        "scale": column.rules.scale,
        "tails": column.rules.tails,
        "floor": column.rules.floor,
        "precision": column.rules.precision,
    }


def modes(column: MixtureColumn) -> list[dict[str, Any]]:
    """The cells of a column, in the order of its encoding; means and deviations of log columns are of logarithms."""
    active = column.active_components
    modal = len(column.modal_values)
    out: list[dict[str, Any]] = []
    for cell, (index, rows) in enumerate(zip(column.order, column.cell_counts, strict=True)):
        if index < modal:
            value = column.modal_values[index]
            out.append({"cell": cell, "modal_value": value, "text": modal_text(column.codec, value), "rows": int(rows)})
            continue
        k = int(active[index - modal])
        figures = {"mean": column.means[k], "sd": column.stds[k], "weight": column.weights[k]}
        out.append({"cell": cell, "component": k, **{name: float(value) for name, value in figures.items()}})
        out[-1]["rows"] = int(rows)
    return out


def levels(column: CategoricalColumn) -> list[dict[str, Any]]:
    """The levels of a column, by falling frequency; `first_row` is -1 for those that did not occur."""
    texts = (level_text(column.type, level) for level in column.levels)
    parts = zip(column.levels, texts, column.counts, column.first_rows, strict=True)
    return [
        {"cell": cell, "level": level, "text": text, "rows": rows, "first_row": first}
        for cell, (level, text, rows, first) in enumerate(parts)
    ]
