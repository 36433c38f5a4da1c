"""Transform and inverse of Dask's frames: a fitted transformer is called for each partition, in the user's graph."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from gpuvgm.errors import InputError


def encode_lazily(transformer: Any, table: Any, settings: Mapping[str, Any]) -> Any:
    """A lazy frame of the encoded partitions.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted transformer, without its cluster, listener and summaries, which stay in this process.
    table : DaskFrame
        The rows.
    settings : mapping
        Keywords of `transform`; `first_row` is the global index of the frame's first row.
    """
    # Numbered, since the modes that are drawn depend on the number of a row in the whole table.
    return table.map(partial(_encode_part, transformer, settings), numbered=True)


def decode_lazily(transformer: Any, table: Any, template: str, invalid: str, *, return_valid: bool) -> Any:
    """A lazy frame of the decoded partitions; with `return_valid` also a lazy series of which rows are valid.

    Parameters
    ----------
    transformer, table : object
        As for `encode_lazily`.
    template : str
        Template of the encoded columns' names.
    invalid : {"mask", "drop"}
        Whether rows outside the training range are left out.
    return_valid : bool
        Whether to give both.
    """
    names, columns = table.schema.names, {}
    if table.flavour == "matrix":
        names = transformer.get_feature_names_out(layout="onehot", names=template).tolist()
        if len(names) != len(table.schema.names):
            raise InputError(f"the array has {len(table.schema.names)} columns, but the onehot layout has {len(names)}")
        columns = dict(zip(table.schema.names, names, strict=True))
    # Only identifiers that are numbered through need the rows of a frame counted.
    numbered = bool(transformer.model_.running_identifiers(names))
    decode = partial(_decode_part, transformer, {"names": template, "invalid": invalid, "columns": columns})
    frames = [table.map(partial(decode, n), numbered=numbered) for n in range(1 + return_valid)]
    return tuple(frames) if return_valid else frames[0]


def _encode_part(transformer: Any, settings: Mapping[str, Any], frame: Any, start: int) -> Any:
    """One encoded partition, as a frame of its library with its index."""
    encoded = transformer.transform(frame, **{**settings, "first_row": settings["first_row"] + start})
    if settings["layout"] == "compact" or settings["keep_original"]:
        return encoded
    names = list(transformer.get_feature_names_out(layout="onehot", names=settings["names"]))
    return type(frame)(encoded, columns=names, index=frame.index)


def _decode_part(transformer: Any, settings: Mapping[str, Any], place: int, frame: Any, start: int) -> Any:
    """One decoded partition (`place` 0), or the series of its valid rows (1); its columns are renamed first."""
    columns, drop = settings["columns"], settings["invalid"] == "drop"
    frame = frame.rename(columns=columns) if columns else frame
    with_valid = place == 1 or drop
    decoded = transformer.inverse_transform(frame, names=settings["names"], return_valid=with_valid)
    values, valid = decoded if with_valid else (decoded, None)
    for column in transformer.model_.running_identifiers(frame.columns) if start else ():
        label = transformer.labels_.get(column.name, column.name)
        series = values[label]
        numbers: Any = column.absent(start, len(values)).passthrough
        values[label] = type(series)(numbers.to_pandas().to_numpy(), index=values.index).astype(series.dtype)
    result = values if place == 0 else type(frame.iloc[:, 0])(valid, index=values.index, name="valid")
    return result[valid] if drop else result  # with the index that the frame's divisions speak of
