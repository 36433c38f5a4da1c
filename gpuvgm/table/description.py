"""Fitted models as documents for people and other programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuvgm.columns.model import TableModel


def jsonable(value: Any) -> Any:
    """Convert a value to types of JSON: arrays become lists, infinite and undefined numbers null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(part) for part in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def model_document(model: TableModel) -> dict[str, Any]:
    """Document of a fitted model."""
    reasons = model.schema.reasons
    dropped = {spec.name: spec.reason for spec in model.schema.columns if spec.kind == "drop"}
    columns = {
        column.name: {"kind": column.kind, "reason": reasons.get(column.name, "")} | column.describe()
        for column in model.columns
    }
    facts = {"rows": model.rows, "seed": model.seed, "source": model.source, "width": model.onehot_width}
    return facts | {"columns": columns, "dropped": dropped}
