#!/usr/bin/env bash
# dask and distributed 2026.8.0: the name of a task loses each word of eight letters that begins with one of a to f, as
# if it were the hash at the end of a key. So tasks that load customers, employees and categories one by one are all
# called "load": the scheduler takes them for one kind of task and estimates their time together, and the dashboard shows
# them as one. Tasks that load products, or Customer with a capital, keep their names.
# Seen:
#   load-customer-1 is called load, load-products-1 is called load-products, load-Customer-1 is called load-Customer
#   tasks by name at the scheduler: {'load': 3, 'load-products': 1}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dask==2026.8.0 distributed==2026.8.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from collections import Counter

import dask
from dask.utils import key_split
from distributed import Client, wait

print("dask", dask.__version__)
names = {key: key_split(key) for key in ("load-customer-1", "load-products-1", "load-Customer-1")}
print(", ".join(f"{key} is called {name}" for key, name in names.items()))
assert [*names.values()] == ["load", "load-products", "load-Customer"]
with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    keys = [f"load-{table}-1" for table in ("customer", "employee", "category", "products")]
    futures = [client.submit(len, key, key=key) for key in keys]
    wait(futures)
    counted = Counter(task.prefix.name for task in client.cluster.scheduler.tasks.values())
print("tasks by name at the scheduler:", dict(counted))
assert counted == {"load": 3, "load-products": 1}
PYTHON
