#!/usr/bin/env bash
# pyarrow 26.0.1 (22.0.0 too): a dictionary whose values are of an extension type, such as uuid, is valid and is written to
# an IPC stream and to Parquet without a word. Neither can be read back, nor can its schema alone: the schema names the
# extension of the field, and the reader takes the dictionary itself for the storage of the extension.
# Seen:
#   IPC: Invalid storage type for UuidType: dictionary<values=fixed_size_binary[16], indices=int8, ordered=0>
#   Parquet: Invalid storage type for UuidType: dictionary<values=fixed_size_binary[16], indices=int8, ordered=0>
#   schema: Invalid storage type for UuidType: dictionary<values=fixed_size_binary[16], indices=int8, ordered=0>
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
values = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, b"1" * 16], pa.binary(16)))
table = pa.table({"id": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), values)})
table.validate(full=True)
with pa.OSFile("t.arrows", "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
    writer.write_table(table)
pq.write_table(table, "t.parquet")
readers = {
    "IPC": lambda: pa.ipc.open_stream(pa.memory_map("t.arrows")).read_all(),
    "Parquet": lambda: pq.read_table("t.parquet"),
    "schema": lambda: pa.ipc.read_schema(table.schema.serialize()),
}
for name, read in readers.items():
    try:
        read()
    except pa.ArrowInvalid as problem:
        print(f"{name}: {problem}")
        assert "Invalid storage type" in str(problem)
    else:
        raise SystemExit(f"{name}: is read")
PYTHON
