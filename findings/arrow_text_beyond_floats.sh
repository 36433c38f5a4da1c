#!/usr/bin/env bash
# pyarrow 23.0.0 and 23.0.1: a patch release changed what text of a number beyond the largest float is, such as "1e999". In
# 23.0.0 its cast to float64 raises, and a CSV column with it is text; from 23.0.1 on it is infinite, and the column of floats.
# Seen:
#   pyarrow 23.0.0: cast raises ArrowInvalid; a CSV column of it is of string
#   pyarrow 23.0.1: cast gives inf; a CSV column of it is of double
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
for version in 23.0.0 23.0.1; do
    "$folder/venv/bin/pip" install --quiet "pyarrow==$version"
    "$folder/venv/bin/python" - "$version" <<'PYTHON'
import io
import sys

import pyarrow as pa
import pyarrow.csv

type_in_csv = str(pa.csv.read_csv(io.BytesIO(b"x\n1.5\n1e999\n")).schema.field("x").type)
try:
    seen = f"gives {pa.array(['1e999']).cast(pa.float64())[0].as_py()}"
except pa.ArrowInvalid:
    seen = "raises ArrowInvalid"
print(f"pyarrow {pa.__version__}: cast {seen}; a CSV column of it is of {type_in_csv}")
expected = {"23.0.0": ("raises ArrowInvalid", "string"), "23.0.1": ("gives inf", "double")}
assert (seen, type_in_csv) == expected[sys.argv[1]]
PYTHON
done
