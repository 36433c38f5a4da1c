#!/usr/bin/env bash
# pyarrow 22.0.0: read_table(coerce_int96_timestamp_unit="us") gives other moments for INT96 timestamps before 1970 that are
# not at midnight: 1900-05-06 07:08:09.123456 becomes a moment in the year 2484. Nanoseconds, the default, are right, and so
# are microseconds from pyarrow 23.0.0 on.
# Seen:
#   22.0.0: us 16248580962833007, ns // 1000 -2198163110876544
#   23.0.0: us -2198163110876544, ns // 1000 -2198163110876544
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >seen.py <<'PYTHON'
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({"t": pa.array([datetime(1900, 5, 6, 7, 8, 9, 123456)], pa.timestamp("us"))})
pq.write_table(table, "t.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
fine = pq.read_table("t.parquet")["t"].cast(pa.int64())[0].as_py() // 1000
told = pq.read_table("t.parquet", coerce_int96_timestamp_unit="us")["t"].cast(pa.int64())[0].as_py()
print(f"{pa.__version__}: us {told}, ns // 1000 {fine}")
assert fine == -2198163110876544 and (told == fine) == (pa.__version__ != "22.0.0")
PYTHON
for version in 22.0.0 23.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "pyarrow==$version"
    "$folder/$version/bin/python" seen.py
done
