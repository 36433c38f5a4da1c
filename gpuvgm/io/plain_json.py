"""Values as JSON documents, exact to the last bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpuvgm.errors import InputError


def plain(value: Any, where: str = "model") -> Any:
    """JSON-able form of a value; a float that JSON lacks becomes ``{"$float": "inf"}``.

    Raises
    ------
    InputError
        For what is no number, string, boolean, None, array, list or mapping; `where` says which value it is.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist(), where)
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part, where) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part, f"{where}: {key}") for key, part in value.items()}
    raise InputError(f"{where}: a {type(value).__name__} cannot be stored in a model file")


def from_plain(document: dict[str, Any]) -> Any:
    """What `plain` wrote; for ``json.loads(..., object_hook=from_plain)``."""
    if document.keys() != {"$float"}:
        return document
    if document["$float"] not in ("inf", "-inf", "nan"):
        raise ValueError(f"{document['$float']!r:.60} is no number")
    return float(document["$float"])
