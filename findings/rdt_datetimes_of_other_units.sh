#!/usr/bin/env bash
# rdt 2.0.0 takes the integers of datetimes for nanoseconds whatever their unit, so that dates in microseconds come back as
# January 1970, without a warning. pandas 2 and later have such columns from Parquet, pandas 3 from read_csv and to_datetime
# as well. SDV 2.0.0 encodes datetimes with these transformers: all that it samples of such a column lies in 1970. What
# helps is frame.astype({"column": "datetime64[ns]"}) before the fit.
#
# Seen with Python 3.11.7, pandas 2.3.3:
#   datetime64[ns]: 2024-03-01 12:00:00 comes back as 2024-03-01 12:00:00
#   datetime64[us]: 2024-03-01 12:00:00 comes back as 1970-01-20 18:48:14
#   datetime64[s]: 2024-03-01 12:00:00 comes back as 1970-01-01 00:00:01
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "rdt==2.0.0" "pandas==2.3.3"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
import rdt
from rdt.transformers.datetime import UnixTimestampEncoder

print(f"Python {sys.version.split()[0]}, rdt {rdt.__version__}, pandas {pd.__version__}")
back = {}
for unit in ("ns", "us", "s"):
    rows = pd.DataFrame({"day": pd.to_datetime(["2024-03-01 12:00", "2024-03-02 12:00"]).astype(f"datetime64[{unit}]")})
    encoder = UnixTimestampEncoder()
    back[unit] = encoder.reverse_transform(encoder.fit_transform(rows, "day"))["day"][0]
    print(f"datetime64[{unit}]: {rows['day'][0]} comes back as {back[unit]}")
same = [str(moment)[:10] for moment in back.values()] == ["2024-03-01", "1970-01-20", "1970-01-01"]
print("as described" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
