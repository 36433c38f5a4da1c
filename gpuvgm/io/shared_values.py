"""Values that several rows of an Arrow array may share: which types have them, and views that point to nothing.

Views, dictionaries, runs and unions point to values that others point to as well, and lists of nothing take no bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_VIEW_WORDS = 4  # of 32 bits in a view
_INLINE_BYTES = 12  # of texts that stand in the view itself


def is_shared(type_: pa.DataType) -> bool:
    """Whether values of a type may point to what others point to, or hold any number of values."""
    return not (pa.types.is_primitive(type_) or pa.types.is_null(type_) or has_offsets(type_) or _is_fixed(type_))


def viewed_bytes(array: Any) -> int:
    """Bytes of the texts that views in an array stand for; those of missing rows count.

    Parameters
    ----------
    array : pyarrow.Array
        One whose buffers have the lengths that they need.
    """
    if is_view(array.type):
        return int(np.sum(np.maximum(_words(array)[:, 0], 0), dtype=np.int64))
    return sum(viewed_bytes(part) for part in parts(array))


def check_views(array: Any) -> None:
    """Refuse views that point out of their buffers, those of missing rows too: Arrow's casts follow them.

    Raises
    ------
    pyarrow.ArrowInvalid
        Where there are any.
    """
    if is_view(array.type):
        words = _words(array).astype(np.int64)
        length, _, index, start = words[words[:, 0] > _INLINE_BYTES].T
        sizes = np.array([buffer.size for buffer in array.buffers()[2:]] or [0])
        is_there = (index >= 0) & (index < len(sizes)) & (start >= 0)
        ends = sizes[np.clip(index, 0, len(sizes) - 1)]
        if np.any(words[:, 0] < 0) or not np.all(is_there & (start + length <= ends)):
            raise pa.ArrowInvalid("a view points to what is not there")
    for part in parts(array):
        check_views(part)


def _words(array: Any) -> NDArray[np.int32]:
    """Length, prefix, buffer and place of each view."""
    buffer = array.buffers()[1]
    count = _VIEW_WORDS * (array.offset + len(array)) if buffer is not None else 0
    words = np.frombuffer(buffer or b"", np.int32, count)
    return words.reshape(-1, _VIEW_WORDS)[array.offset :]


def parts(array: Any) -> list[pa.Array[Any]]:
    """Arrays that an array consists of."""
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        return [array.storage]
    if pa.types.is_dictionary(type_):
        return [array.dictionary]
    if pa.types.is_map(type_):
        return [array.keys, array.items]
    if pa.types.is_struct(type_) or pa.types.is_union(type_):
        return [array.field(i) for i in range(type_.num_fields)]
    return [array.values] if pa.types.is_nested(type_) or pa.types.is_run_end_encoded(type_) else []


def is_view(type_: pa.DataType) -> bool:
    """Whether values are views of bytes elsewhere."""
    return pa.types.is_string_view(type_) or pa.types.is_binary_view(type_)


def has_offsets(type_: pa.DataType) -> bool:
    """Whether values are bytes between two offsets."""
    return any(
        is_one(type_)
        for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _is_fixed(type_: pa.DataType) -> bool:
    return pa.types.is_fixed_size_binary(type_) or pa.types.is_decimal(type_)
