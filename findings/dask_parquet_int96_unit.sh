#!/usr/bin/env bash
# dask 2026.8.0 with pyarrow 26.0.1: read_parquet(dataset={"format": ParquetFileFormat(coerce_int96_timestamp_unit="us")})
# declares a column of INT96 as datetime64[us], as it was told, but reads its values in nanoseconds, so that 9999-12-31
# is 1816-03-29 in the partitions, within a column whose type could hold it. pyarrow's dataset of the same format reads it.
# Seen:
#   pyarrow's dataset: datetime64[us] 9999-12-31 00:00:00
#   dask: datetime64[us] 1816-03-29 05:56:08.066277376
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "dask[dataframe]==2026.8.0" pyarrow==26.0.1 pandas==3.1.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from datetime import datetime

import dask
import dask.dataframe as dd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print("dask", dask.__version__, "pyarrow", pa.__version__)
table = pa.table({"t": pa.array([datetime(9999, 12, 31)], pa.timestamp("us"))})
pq.write_table(table, "t.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
told = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")
expected = ds.dataset("t.parquet", format=told).to_table().to_pandas()["t"]
frame = dd.read_parquet("t.parquet", dataset={"format": told})
found = frame["t"].compute()
print("pyarrow's dataset:", expected.dtype, expected[0])
print("dask:", frame["t"].dtype, found[0])
assert str(expected[0]).startswith("9999-12-31") and str(frame["t"].dtype) == "datetime64[us]"
assert str(found[0]).startswith("1816-03-29")
PYTHON
