#!/usr/bin/env bash
# pyarrow 26.0.1: a struct that is null in some row, with a field of fixed-size lists that is declared as never null, is
# valid (below a null the field holds a list all the same) and is written to Parquet without a word; the file cannot be
# read. Where the field may be null it can. Columns of embeddings within an optional struct are such.
# Seen:
#   the field may be null: [{'vector': [1, 2]}, None]
#   the field is never null: Expected all lists to be of size=2 but index 2 had size=0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pyarrow as pa
import pyarrow.parquet as pq

print("pyarrow", pa.__version__)
vectors = pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2))


def read_back(nullable):
    field = pa.field("vector", vectors.type, nullable=nullable)
    structs = pa.StructArray.from_arrays([vectors], fields=[field], mask=pa.array([False, True]))
    structs.validate(full=True)
    pq.write_table(pa.table({"struct": structs}), "t.parquet")
    return pq.read_table("t.parquet")["struct"].to_pylist()


found = read_back(True)
print("the field may be null:", found)
assert found == [{"vector": [1, 2]}, None]
try:
    print("the field is never null:", read_back(False))
except pa.ArrowInvalid as problem:
    print("the field is never null:", problem)
    assert "Expected all lists to be of size=2" in str(problem)
else:
    raise SystemExit("the file is read")
PYTHON
