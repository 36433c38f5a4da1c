#!/usr/bin/env bash
# pyarrow 26.0.1: a date that databases use for "no end", the largest of 32 bits (DuckDB's and PostgreSQL's 'infinity'), is
# written to CSV as the text "<value out of range: 2147483647>", without an error or a warning; so is a timestamp of seconds
# in the year 40000. What reads the file finds a column of text. Parquet and IPC keep both.
# Seen:
#   "day","moment"
#   <value out of range: 2147483647>,<value out of range: 1200000000000>
#   2024-01-01,2024-01-01 00:00:00
#   read again: string string
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pyarrow as pa
from pyarrow import csv

print("pyarrow", pa.__version__)
day, moment = pa.array([2**31 - 1, 19723], pa.int32()), pa.array([12 * 10**11, 1704067200])
table = pa.table({"day": day.cast(pa.date32()), "moment": moment.cast(pa.timestamp("s"))})
csv.write_csv(table, "t.csv")
text = open("t.csv").read()
print(text, end="")
again = csv.read_csv("t.csv").schema
print("read again:", *again.types)
assert text.splitlines()[1] == "<value out of range: 2147483647>,<value out of range: 1200000000000>"
assert again.types == [pa.string(), pa.string()]
PYTHON
