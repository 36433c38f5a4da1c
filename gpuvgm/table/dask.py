"""Transform and inverse of Dask's frames: one call of a fitted transformer a partition, in the user's own graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from gpuvgm.columns.identifiers import IdColumn
from gpuvgm.errors import InputError
from gpuvgm.execution.dask_frames import map_frames


def encode_lazily(alone: Any, table: Any, options: Mapping[str, Any], first_row: int) -> Any:
    """A lazy frame of the encoded partitions.

    Parameters
    ----------
    alone : TableTransformer
        The fitted transformer, without what stays in this process.
    table : DaskFrame
        The rows.
    options : mapping
        Keywords of `transform`.
    first_row : int
        Global index of the frame's first row.
    """
    return map_frames(table, partial(_encoded_part, alone, options, first_row), numbered=True)


def decode_lazily(alone: Any, table: Any, template: str, invalid: str, *, return_valid: bool) -> Any:
    """A lazy frame of the decoded partitions; with `return_valid` also a lazy series of which rows are valid.

    Parameters
    ----------
    alone, table : object
        As for `encode_lazily`.
    template : str
        What encoded columns are called.
    invalid : {"mask", "drop"}
        Whether rows outside the training range are left out.
    return_valid : bool
        Whether to give both.
    """
    names, columns = table.schema.names, {}
    if table.flavour == "matrix":
        names = alone.get_feature_names_out(layout="onehot", names=template).tolist()
        if len(names) != len(table.schema.names):
            raise InputError(f"the array has {len(table.schema.names)} columns, but the onehot layout has {len(names)}")
        columns = dict(zip(table.schema.names, names, strict=True))
    numbered = bool(running_identifiers(alone, names))
    decode = partial(_decoded_part, alone, template, invalid, columns)
    found = [map_frames(table, partial(decode, n), numbered=numbered) for n in range(1 + return_valid)]
    return tuple(found) if return_valid else found[0]


def running_identifiers(alone: Any, names: Iterable[str]) -> list[IdColumn]:
    """Identifiers that these encoded columns lack, and that get running numbers."""
    there = set(names)
    return [c for c in alone.model_.identifiers if c.regenerate == "sequence" and c.name not in there]


def _encoded_part(alone: Any, options: Mapping[str, Any], first_row: int, frame: Any, start: int) -> Any:
    """One encoded partition, as a frame of its library with its index."""
    encoded = alone.transform(frame, **options, first_row=first_row + start)
    if options["layout"] == "compact" or options["keep_original"]:
        return encoded
    names = list(alone.get_feature_names_out(layout="onehot", names=options["names"]))
    return type(frame)(encoded, columns=names, index=frame.index)


def _decoded_part(  # noqa: PLR0913 - what Dask hands over comes after what was asked for
    alone: Any, template: str, invalid: str, columns: Mapping[str, str], place: int, frame: Any, start: int
) -> Any:
    """One decoded partition, whose columns may get other names first, or which of its rows are valid."""
    frame = frame.rename(columns=columns) if columns else frame
    checked = place == 1 or invalid == "drop"
    decoded = alone.inverse_transform(frame, names=template, return_valid=checked)
    values, valid = decoded if checked else (decoded, None)
    for column in running_identifiers(alone, frame.columns) if start else ():
        there = values[column.name]
        numbers: Any = column.absent(start, len(values)).passthrough
        values[column.name] = type(there)(numbers.to_pandas().to_numpy(), index=values.index).astype(there.dtype)
    found = values if place == 0 else type(frame.iloc[:, 0])(valid, index=values.index, name="valid")
    return found[valid] if invalid == "drop" else found  # with the index that the frame's divisions speak of
