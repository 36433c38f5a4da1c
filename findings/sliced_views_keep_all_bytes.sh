#!/usr/bin/env bash
# pyarrow 26.0.1: a slice of a string_view column keeps the bytes of all rows through what trims slices of other types.
# A pickle of a slice holds the whole column whatever the type (GH-26685), and the ways around it are pa.concat_arrays and
# IPC, which copy the rows alone. Of string_view they do not: 100 of 300,000 rows as an IPC stream take 7.7 MB, the same
# rows of string 3 kB. What frees the other rows is a cast to large_string and back; of string that cast keeps them.
#
# Seen with Python 3.11.7:
#   bytes of 100 rows                string  string_view
#   IPC stream                        3,128    7,694,696
#   pa.concat_arrays of two parts     2,804    7,690,490
#   cast to large_string and back 7,689,294        4,000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pyarrow==26.0.1"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import pyarrow as pa

print(f"Python {sys.version.split()[0]}, pyarrow {pa.__version__}")
TEXTS = [f"text number {i} of many" for i in range(300_000)]


def stream_bytes(rows):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("x", rows.type)])) as writer:
        writer.write_batch(pa.record_batch({"x": rows}))
    return sink.getvalue().size


def joined_bytes(rows):
    return pa.concat_arrays([rows.slice(0, 50), rows.slice(50)]).get_total_buffer_size()


def cast_bytes(rows):
    return rows.cast(pa.large_string()).cast(rows.type).get_total_buffer_size()


slices = [pa.array(TEXTS, type_).slice(1000, 100) for type_ in (pa.string(), pa.string_view())]
found = {}
print(f"{'bytes of 100 rows':30}{'string':>9}{'string_view':>13}")
for name, size in {
    "IPC stream": stream_bytes,
    "pa.concat_arrays of two parts": joined_bytes,
    "cast to large_string and back": cast_bytes,
}.items():
    found[name] = [size(rows) for rows in slices]
    print(f"{name:30}{found[name][0]:>9,}{found[name][1]:>13,}")
(stream, joined, cast) = found.values()
same = stream[0] < 10_000 < 1_000_000 < stream[1] and joined[0] < 10_000 < 1_000_000 < joined[1]
same = same and cast[1] < 10_000 < 1_000_000 < cast[0]
print("as described" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
