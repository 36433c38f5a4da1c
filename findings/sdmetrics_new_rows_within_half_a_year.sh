#!/usr/bin/env bash
# sdmetrics 0.32.0: NewRowSynthesis calls a row new if no row of the original matches it, and a number matches within 1 % of
# itself. Dates are compared as numbers since 1970, so that of today's dates all within half a year match, however short
# the table's time is: a date that the original lacks is not new, and the score of dates alone is 0. The same dates of
# 1970 are half new. A tolerance of one day in 2024 is numerical_match_tolerance=5e-5.
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
