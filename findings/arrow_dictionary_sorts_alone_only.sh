#!/usr/bin/env bash
# pyarrow 26.0.1: an array of a dictionary type, as pandas' categories have, is sorted by its values if it is sorted alone.
# The same column as the key of a record batch, of a table, in two chunks, or in `rank` raises, so that a table with
# categories is sorted by them in no other way than through `take` of the indices of one array.
# Seen:
#   array: [1, 0, 2]
#   chunked array: ArrowNotImplementedError
#   record batch: ArrowTypeError
#   table: ArrowNotImplementedError
#   rank: ArrowNotImplementedError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import pyarrow as pa
import pyarrow.compute as pc

print("pyarrow", pa.__version__)
city = pa.array(["Rome", "Bern", "Wien"]).dictionary_encode()
keys = [("city", "ascending"), ("number", "ascending")]
calls = {
    "array": lambda: pc.sort_indices(city),
    "chunked array": lambda: pc.sort_indices(pa.chunked_array([city, city])),
    "record batch": lambda: pc.sort_indices(pa.record_batch({"city": city, "number": [1, 2, 3]}), sort_keys=keys),
    "table": lambda: pc.sort_indices(pa.table({"city": city}), sort_keys=keys[:1]),
    "rank": lambda: pc.rank(city),
}
seen = {}
for name, call in calls.items():
    try:
        seen[name] = str(call().to_pylist())
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as problem:
        seen[name] = type(problem).__name__
    print(f"{name}: {seen[name]}")
assert seen == {
    "array": "[1, 0, 2]",
    "chunked array": "ArrowNotImplementedError",
    "record batch": "ArrowTypeError",
    "table": "ArrowNotImplementedError",
    "rank": "ArrowNotImplementedError",
}
PYTHON
