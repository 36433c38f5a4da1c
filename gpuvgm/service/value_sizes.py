"""How large values are once each is written out: Arrow's types may say one long value, or an empty one, many times.

A stream of some bytes may so hold any number of letters and of values.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.io.arrow import child_arrays, has_offsets, is_shared, is_view, viewed_bytes
from gpuvgm.service.limits import JSON_VALUE_BYTES


def written_bytes(array: pa.Array[Any]) -> int:
    """Bytes of an array in JSON at most, and of Python's objects on the way there; 0 for what takes a few a row."""
    return _json_bytes(array) if is_shared(array.type) else 0


def _json_bytes(array: Any) -> int:
    type_ = array.type
    own = JSON_VALUE_BYTES * len(array)
    if pa.types.is_dictionary(type_):
        return len(array) * _widest(array.dictionary)
    if pa.types.is_run_end_encoded(type_):
        return len(array) * _widest(array.values)
    if pa.types.is_union(type_):
        return own + len(array) * max((_widest(part) for part in child_arrays(array)), default=0)
    if is_view(type_):
        return own + viewed_bytes(array)
    if pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_):
        return own + int(pc.sum(array.sizes).as_py() or 0) * _widest(array.values)
    if pa.types.is_nested(type_) or isinstance(type_, pa.BaseExtensionType):
        return own + sum(map(_json_bytes, child_arrays(array)))
    return own + (array.nbytes if has_offsets(type_) else 0)


def _widest(array: Any) -> int:
    """Bytes of one value in JSON at most."""
    if not len(array):
        return 0
    if has_offsets(array.type):
        return JSON_VALUE_BYTES + int(pc.max(pc.binary_length(array)).as_py() or 0)
    return JSON_VALUE_BYTES if not is_shared(array.type) else _json_bytes(array)
