"""Peak resident memory of each stage in a fresh process, for several block lengths and threads.

    python -m benchmarks.memory FILE [--stages fit,transform,inverse,evaluate] [--block-rows 65536] [--threads 1,2]

`gpuvgm/execution/memory.py` takes its constants from these figures: see there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import found_by, memory_figure, peak_memory

STAGES = ("import", "fit", "exact", "transform", "parts", "onehot", "inverse", "evaluate", "batches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--stages", default="import,fit,transform,inverse,evaluate")
    parser.add_argument("--block-rows", default="0")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--memory", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        _child(given.file, model, "fit", {"block_rows": 1 << 16, "threads": 2, "save": 1})
        _child(given.file, model, "transform", {"block_rows": 1 << 16, "threads": 2, "keep": 1})
        rows = [int(text) or None for text in given.block_rows.split(",")]
        for stage, block_rows, threads in itertools.product(
            given.stages.split(","), rows, map(int, given.threads.split(","))
        ):
            settings = {"block_rows": block_rows, "threads": threads, "memory": given.memory or None}
            found = _child(given.file, model, stage, settings)
            print(json.dumps({"stage": stage, **settings, **found}), flush=True)


def _child(file: str, model: Path, stage: str, settings: dict[str, object]) -> dict[str, object]:
    return found_by("benchmarks.memory", "--child", str(Path(file).absolute()), str(model), stage, json.dumps(settings))


def child(file: str, model: str, stage: str, settings: dict[str, object]) -> dict[str, object]:
    import gpuvgm

    before, start = (memory_figure("VmRSS") or 0) / (1 << 20), time.perf_counter()
    _run(gpuvgm, file, Path(model), stage, settings)
    seconds = round(time.perf_counter() - start, 2)
    peak = peak_memory() / (1 << 20)
    return {"mib": round(peak), "after_import": round(before), "seconds": seconds}


def _run(gpuvgm: object, file: str, model: Path, stage: str, settings: dict[str, object]) -> None:
    if stage == "import":
        return
    machine = {name: settings[name] for name in ("block_rows", "threads", "memory") if settings.get(name)}
    if stage in ("fit", "exact"):
        algorithm = "exact" if stage == "exact" else "summary"
        fitted = gpuvgm.TableTransformer(effort="research", algorithm=algorithm, max_iter=5, **machine).fit(file)
        if settings.get("save"):
            fitted.save(str(model))
        return
    fitted = gpuvgm.load(str(model)).set_params(**machine)
    encoded = str(model.with_name("encoded.parquet"))
    if stage in ("transform", "parts", "onehot"):
        name = "parts" if stage == "parts" else "out.parquet"
        out = encoded if settings.get("keep") else str(model.with_name(name))
        fitted.transform(file, layout="onehot" if stage == "onehot" else "compact", out=out)
    elif stage == "inverse":
        fitted.inverse_transform(encoded, out=str(model.with_name("back.parquet")))
    elif stage == "batches":
        for _ in fitted.iter_batches(file, 4096):
            pass
    else:
        fitted.evaluate(file)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(*sys.argv[2:5], json.loads(sys.argv[5]))))
    else:
        main()
