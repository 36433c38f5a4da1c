"""What transform and inverse refuse before they begin."""

from __future__ import annotations

import numpy as np

from gpuvgm.columns.model import TableModel
from gpuvgm.errors import InputError
from gpuvgm.io import Source
from gpuvgm.io.source import check_request
from gpuvgm.table.model_file import fingerprint
from gpuvgm.table.write import MODEL_KEY


def check_columns(table: Source, model: TableModel) -> None:
    """Refuse a table that lacks fitted columns, and columns fitted as numbers that hold something else here.

    A file that has the name of a fitted one and is another is noted in the log.
    """
    table.note_changes(model.source)
    check_request(table.name, table.schema, model.names)
    for column in model.columns:
        column.refuse_type(table.name, table.schema.field(column.name).type)


def check_origin(table: Source, model: TableModel) -> None:
    """Refuse what another model encoded."""
    for name, pairs in table.metadata().items():
        found = pairs.get(MODEL_KEY)
        if found is not None and found != fingerprint(model):
            raise InputError(f"{name}: encoded with another model; use the one with fingerprint {found[:16]}…")


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is none of those allowed."""
    if value not in allowed:
        raise InputError(f"{name} is {value!r}: choose from {', '.join(map(repr, allowed))}")


def checked_seed(seed: object, end: int = 2**64, name: str = "the seed") -> int:
    """A whole number from 0 to below `end`."""
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= int(seed) < end:
        raise InputError(f"{name} must be an integer from 0 to {end - 1}, got {seed!r}")
    return int(seed)
