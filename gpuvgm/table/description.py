"""Fitted models as documents for people and other programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpuvgm.errors import counted

if TYPE_CHECKING:
    from gpuvgm.columns.model import TableModel
    from gpuvgm.columns.schema import TableSchema


WIDEST = 3  # columns that are named
WIDE = 1000  # a matrix with more columns is warned about


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
    dropped = {spec.name: spec.reason for spec in schema.columns if spec.kind == "drop"}
    columns = {
        column.name: {"kind": column.kind, "reason": reasons.get(column.name, "")} | column.describe()
        for column in model.columns
    }
    facts = {"rows": model.rows, "seed": model.seed, "source": model.source, "width": model.onehot_width}
    return facts | {"columns": columns, "dropped": dropped}


def width_line(model: TableModel) -> str:
    """How wide the one-hot matrix is, which a network sees, and because of which columns."""
    widths = sorted(((column.has_scalar + column.width, column.name) for column in model.encoded), reverse=True)
    widest = ", ".join(f"{name} {width:,}" for width, name in widths[:WIDEST])
    return f"the one-hot matrix has {counted(model.onehot_width, 'column')}, the widest: {widest}"
