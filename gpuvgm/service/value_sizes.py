"""Size of values written out one by one; Arrow may store one long value, or an empty one, for many rows.

A stream of some bytes may so hold any number of letters and of values.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.io.arrow import child_arrays, has_offsets, is_shared, is_view, viewed_bytes
from gpuvgm.service.limits import JSON_VALUE_BYTES


def written_bytes(array: pa.Array[Any]) -> int:
    """Maximum bytes of an array in JSON, with the Python objects on the way; 0 for types of a few bytes a row."""
    return _json_bytes(array) if is_shared(array.type) else 0


def _json_bytes(array: Any) -> int:
    type_ = array.type
    base = JSON_VALUE_BYTES * len(array)
    if pa.types.is_dictionary(type_):
        return len(array) * _widest(array.dictionary)
    if pa.types.is_run_end_encoded(type_):
        return len(array) * _widest(array.values)
    if pa.types.is_union(type_):
        return base + len(array) * max((_widest(part) for part in child_arrays(array)), default=0)
    if is_view(type_):
        return base + viewed_bytes(array)
    if pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_):
        return base + int(pc.sum(array.sizes).as_py() or 0) * _widest(array.values)
    if pa.types.is_nested(type_) or isinstance(type_, pa.BaseExtensionType):
        return base + sum(map(_json_bytes, child_arrays(array)))
    return base + (array.nbytes if has_offsets(type_) else 0)


def _widest(array: Any) -> int:
    """Maximum bytes of one value in JSON."""
    if not len(array):
        return 0
    if has_offsets(array.type):
        return JSON_VALUE_BYTES + int(pc.max(pc.binary_length(array)).as_py() or 0)
    return JSON_VALUE_BYTES if not is_shared(array.type) else _json_bytes(array)
