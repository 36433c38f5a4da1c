#!/usr/bin/env bash
# pyarrow 26.0.1: read_dictionary names columns of text that are to come as dictionaries. A column that its own writer stored
# as DELTA_BYTE_ARRAY or DELTA_LENGTH_BYTE_ARRAY, which the same ParquetFile reads as text, is not encoded then, nor read as
# text: the whole read ends with an OSError, as that of a damaged file does. What asks for dictionaries must look at the
# encodings of each column first.
# Seen:
#   PLAIN: dictionary<values=string, indices=int32, ordered=0>
#   DELTA_BYTE_ARRAY: as text 3 rows; as a dictionary OSError: Not yet implemented
#   DELTA_LENGTH_BYTE_ARRAY: as text 3 rows; as a dictionary OSError: Not yet implemented
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pyarrow as pa
from pyarrow import parquet as pq

print("pyarrow", pa.__version__)
table = pa.table({"x": ["red", "blue", "red"]})
pq.write_table(table, "plain.parquet", use_dictionary=False)
plain = pq.ParquetFile("plain.parquet", read_dictionary=["x"]).read()
print("PLAIN:", plain.schema.field("x").type)
assert pa.types.is_dictionary(plain.schema.field("x").type)
for encoding in ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
    pq.write_table(table, "delta.parquet", use_dictionary=False, column_encoding={"x": encoding})
    text = pq.ParquetFile("delta.parquet").read()
    assert text["x"].to_pylist() == table["x"].to_pylist()
    try:
        pq.ParquetFile("delta.parquet", read_dictionary=["x"]).read()
    except OSError as problem:
        assert "Not yet implemented" in str(problem)
        print(f"{encoding}: as text {len(text)} rows; as a dictionary OSError: Not yet implemented")
    else:
        raise AssertionError(f"{encoding} is read as a dictionary")
PYTHON
