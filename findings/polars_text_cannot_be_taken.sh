#!/usr/bin/env bash
# polars 2.1.0 with pyarrow 26.0.1: pa.table(frame) has text as string_view, of which pyarrow casts, slices and counts rows,
# but takes none: `take` and `filter` of the table raise. frame.to_arrow() has text as large_string, and all of them work.
# Seen:
#   pa.table(frame): string_view; take ArrowNotImplementedError, filter ArrowNotImplementedError
#   frame.to_arrow(): large_string; take 1 row, filter 1 row
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1 polars==2.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import polars as pl
import pyarrow as pa

print("pyarrow", pa.__version__, "polars", pl.__version__)
frame = pl.DataFrame({"name": ["a", "b"], "x": [1, 2]})
seen = {}
for how, table in {"pa.table(frame)": pa.table(frame), "frame.to_arrow()": frame.to_arrow()}.items():
    found = []
    for name, call in {"take": lambda: table.take([1]), "filter": lambda: table.filter(pa.array([False, True]))}.items():
        try:
            found.append(f"{name} {call().num_rows} row")
        except pa.ArrowNotImplementedError as problem:
            found.append(f"{name} {type(problem).__name__}")
    seen[how] = f"{table.schema.field('name').type}; {', '.join(found)}"
    print(f"{how}: {seen[how]}")
assert seen == {
    "pa.table(frame)": "string_view; take ArrowNotImplementedError, filter ArrowNotImplementedError",
    "frame.to_arrow()": "large_string; take 1 row, filter 1 row",
}
PYTHON
