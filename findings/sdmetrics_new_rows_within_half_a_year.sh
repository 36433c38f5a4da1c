#!/usr/bin/env bash
# sdmetrics 0.32.0: NewRowSynthesis calls a row new if no row of the original matches it. Numbers match within 1 % of the new
# one. Dates are taken for the time since 1970, of which 1 % is half a year today. So a date of 2024 is new only if the
# original has none within half a year of it, while half of the same dates of 1970 are new. One day is the tolerance in
# 2024 with numerical_match_tolerance=5e-5.
#
# Seen with Python 3.11.7, pandas 2.3.3 (share of new rows):
#   year 1970: 0.50
#   year 2024: 0.00
#   year 2024, tolerance of one day: 1.00
#   190 days after the only date of the original: 0.00; 210 days after it: 1.00
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
from sdmetrics.single_table import NewRowSynthesis

print(f"Python {sys.version.split()[0]}, sdmetrics {sdmetrics.__version__}, pandas {pd.__version__}")
metadata = {"columns": {"day": {"sdtype": "datetime"}}}


def new(year, original, sample, **options):
    tables = [
        pd.DataFrame({"day": pd.Timestamp(year, 1, 1) + pd.to_timedelta(days, unit="D")}) for days in (original, sample)
    ]
    return NewRowSynthesis.compute(*tables, metadata, **options)


original = np.arange(0, 1000, 10)
shares = {
    "year 1970": new(1970, original, original + 5),
    "year 2024": new(2024, original, original + 5),
    "year 2024, tolerance of one day": new(2024, original, original + 5, numerical_match_tolerance=5e-5),
}
for name, share in shares.items():
    print(f"{name}: {share:.2f}")
near, far = new(2024, [0], [190]), new(2024, [0], [210])
print(f"190 days after the only date of the original: {near:.2f}; 210 days after it: {far:.2f}")
same = [*shares.values(), near, far] == [0.5, 0, 1, 0, 1]
print("as described" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
