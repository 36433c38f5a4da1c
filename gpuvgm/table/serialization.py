"""Digests of fitted models: the fingerprint, and one over every parameter."""

from __future__ import annotations

import hashlib
import json

from gpuvgm.columns.model import TableModel
from gpuvgm.io.plain_json import plain


def fingerprint(model: TableModel) -> str:
    """SHA-256 over everything that decides what an encoded row means.

    Two models with the same fingerprint can invert each other's files; time, source, start, counts and bounds of the
    fit do not take part.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    columns = [column.meaning() for column in model.columns]
    text = json.dumps(plain(columns), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def document_digest(model: TableModel) -> str:
    """SHA-256 over every parameter of every column: also over those that only some runs depend on."""
    text = json.dumps(plain([column.to_json() for column in model.columns]), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
