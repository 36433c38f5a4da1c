#!/usr/bin/env bash
# pyarrow 26.0.1: count_rows() of a fragment of one row group, or of a dataset of such, counts the rows of the whole file,
# while to_table() reads those of the row group alone.
# Seen:
#   rows of the second row group: 1 read, 4 counted; of the dataset: 1 read, 4 counted
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
pq.write_table(pa.table({"x": [1, 2, 3, 4]}), "t.parquet", row_group_size=3)
whole = ds.dataset("t.parquet")
(file,) = whole.get_fragments()
part = file.subset(row_group_ids=[1])
some = ds.FileSystemDataset([part], whole.schema, whole.format, whole.filesystem)
read, counted = [part.to_table().num_rows, some.to_table().num_rows], [part.count_rows(), some.count_rows()]
print(
    f"rows of the second row group: {read[0]} read, {counted[0]} counted; "
    f"of the dataset: {read[1]} read, {counted[1]} counted"
)
assert read == [1, 1] and counted == [4, 4]
PYTHON
