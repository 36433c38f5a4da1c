#!/usr/bin/env bash
# dask 2026.8.0: of files whose types differ, read_parquet(filesystem="arrow") gives all rows the types of one file. Which one
# depends on a hash of names and times, not on the order of the names. If it is the narrower one, the others' values are
# rounded without a word: 0.1 of float64 becomes 0.10000000149011612. The default filesystem reads each file in its own
# type, and pyarrow.dataset takes the types of the first name.
#
# Seen with Python 3.11.7:
#   folder 0: type of all rows float32, the value that was 0.1 in float64: 0.10000000149011612
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "dask[dataframe]==2026.8.0" "pyarrow==26.0.1"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import dask
import dask.dataframe as dd
import pyarrow as pa
import pyarrow.parquet as pq

print(f"Python {sys.version.split()[0]}, dask {dask.__version__}, pyarrow {pa.__version__}")
dask.config.set(scheduler="synchronous")
narrowed = None
for number in range(40):
    folder = Path(f"rows{number}").absolute()
    folder.mkdir()
    pq.write_table(pa.table({"x": pa.array([0.1], pa.float64())}), folder / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([0.5], pa.float32())}), folder / "b.parquet")
    frame = dd.read_parquet(folder, filesystem="arrow")
    if frame.dtypes["x"] == "float32":
        narrowed = max(set(frame["x"].compute().tolist()) - {0.5})
        break
print(f"folder {number}: type of all rows {frame.dtypes['x']}, the value that was 0.1 in float64: {narrowed}")
same = narrowed is not None and narrowed != 0.1
print("as described" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
