"""Trained networks in a model file: the numbers of their weights as an Arrow file, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrow_bytes import ArrowBytes

_WEIGHTS = pa.schema(
    [("name", pa.string()), ("dtype", pa.string()), ("shape", pa.list_(pa.int64())), ("values", pa.large_binary())]
)
_DTYPES = ("float32", "float64", "int64")


def write_weights(weights: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays by their names as the bytes of an Arrow file."""
    rows = [
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "values": array.tobytes()}
        for name, array in weights.items()
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, _WEIGHTS) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=_WEIGHTS))
    return sink.getvalue().to_pybytes()


def read_weights(body: bytes) -> dict[str, NDArray[Any]]:
    """Arrays from what `write_weights` gave.

    Raises
    ------
    ValueError
        For another table, or arrays whose parts do not fit together.
    """
    table = ArrowBytes.of(body).table(_WEIGHTS)
    weights = {}
    for row in table.to_pylist():
        if row["dtype"] not in _DTYPES:
            raise ValueError(f"weights of type {row['dtype']!r:.60}")
        # Copied, as arrays over bytes are read-only, which torch.from_numpy does not support.
        weights[row["name"]] = np.frombuffer(row["values"], row["dtype"]).reshape(row["shape"]).copy()
    return weights
