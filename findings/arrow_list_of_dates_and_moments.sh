#!/usr/bin/env bash
# pyarrow 26.0.1, pandas 3.1.1: what pa.array makes of a list of Python's dates and times depends on the first value, and parts
# of the others go without a word. After a date the times of all datetimes are gone; the same values in the other order raise.
# After a datetime without a zone, one with a zone becomes the time of day in UTC, without a zone (10:30 at +02:00 is 08:30);
# in the other order the one without a zone is taken for one of UTC, in the zone of the first (10:30 is 12:30+02:00). A pandas
# Timestamp loses its nanoseconds, though Arrow has a type that holds them.
# Seen:
#   date, datetime: date32[day] ['2024-01-05', '2024-01-05']
#   datetime, date: ArrowTypeError
#   naive, aware: timestamp[us] ['2024-01-05 10:30:00', '2024-01-05 08:30:00']
#   aware, naive: timestamp[us, tz=+02:00] ['2024-01-05 10:30:00+02:00', '2024-01-05 12:30:00+02:00']
#   Timestamp: timestamp[us], 123456 of 123456789 nanoseconds
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1 pandas==3.1.1
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
from datetime import date, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa

day, naive = date(2024, 1, 5), datetime(2024, 1, 5, 10, 30)
aware = naive.replace(tzinfo=timezone(timedelta(hours=2)))
lists = {
    "date, datetime": [day, naive],
    "datetime, date": [naive, day],
    "naive, aware": [naive, aware],
    "aware, naive": [aware, naive],
}
for name, values in lists.items():
    try:
        array = pa.array(values)
        print(f"{name}: {array.type} {[str(value) for value in array.to_pylist()]}")
    except pa.ArrowTypeError as problem:
        print(f"{name}: {type(problem).__name__}")
stamp = pa.array([pd.Timestamp("2024-01-05 10:15:00.123456789")])
print(f"Timestamp: {stamp.type}, {stamp[0].as_py().microsecond} of 123456789 nanoseconds")
PYTHON
diff "$folder/seen" - <<'SEEN'
date, datetime: date32[day] ['2024-01-05', '2024-01-05']
datetime, date: ArrowTypeError
naive, aware: timestamp[us] ['2024-01-05 10:30:00', '2024-01-05 08:30:00']
aware, naive: timestamp[us, tz=+02:00] ['2024-01-05 10:30:00+02:00', '2024-01-05 12:30:00+02:00']
Timestamp: timestamp[us], 123456 of 123456789 nanoseconds
SEEN
