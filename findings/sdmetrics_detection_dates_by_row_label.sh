#!/usr/bin/env bash
# sdmetrics 0.32.0: LogisticDetection and SVCDetection number the dates of n rows from 0 to n - 1, and then put them back by
# the label of the row. A row with another label gets the date of another row, or the mean if its label is not below n, as
# in the second half of a split, without a warning. Two halves of one table are then told apart, and dates 200 days too
# late are not. What helps is reset_index(drop=True) of both tables.
#
# Seen with Python 3.11.7, pandas 2.3.3 (1: not told apart, 0: told apart):
#   two halves of a table, SVCDetection: 0.05; with new indices 0.98
#   dates 200 days too late, LogisticDetection: 1.00; with new indices 0.20
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "sdmetrics==0.32.0" "pandas==2.3.3"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
import sdmetrics
from sdmetrics.single_table import LogisticDetection, SVCDetection

print(f"Python {sys.version.split()[0]}, sdmetrics {sdmetrics.__version__}, pandas {pd.__version__}")
random = np.random.default_rng(0)
days = pd.to_timedelta(random.integers(0, 365, 2000), unit="D")
rows = pd.DataFrame({"day": pd.Timestamp("2024-01-01") + days, "number": random.normal(size=2000)})
metadata = {"columns": {"day": {"sdtype": "datetime"}, "number": {"sdtype": "numerical"}}}


def scores(metric, *tables):
    renumbered = [table.reset_index(drop=True) for table in tables]
    return metric.compute(*tables, metadata), metric.compute(*renumbered, metadata)


halves = scores(SVCDetection, rows[:1000], rows[1000:])
print("two halves of a table, SVCDetection: {:.2f}; with new indices {:.2f}".format(*halves))
labelled = rows.set_index(rows.index + 5000)
late = scores(LogisticDetection, labelled, labelled.assign(day=labelled["day"] + pd.Timedelta(days=200)))
print("dates 200 days too late, LogisticDetection: {:.2f}; with new indices {:.2f}".format(*late))
same = halves[0] < 0.2 and halves[1] > 0.8 and late[0] > 0.9 and late[1] < 0.4
print("as described" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
