#!/usr/bin/env bash
# pyarrow 26.0.1: count_rows() of a filtered dataset counts NaN as rows that meet the filter where the statistics of a row
# group say that all its other numbers do, while to_table() leaves them out; a scan of one column counts 4, too.
# Seen:
#   rows with x > 0: 3 read, 4 counted by the dataset, 4 by its scanner
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print("pyarrow", pa.__version__)
pq.write_table(pa.table({"x": [1.0, float("nan"), 2.0, 3.0]}), "t.parquet")
positive = ds.dataset("t.parquet").filter(ds.field("x") > 0)
read = positive.to_table().num_rows
counted, scanned = positive.count_rows(), positive.scanner(columns=["x"]).count_rows()
print(f"rows with x > 0: {read} read, {counted} counted by the dataset, {scanned} by its scanner")
assert (read, counted, scanned) == (3, 4, 4)
PYTHON
