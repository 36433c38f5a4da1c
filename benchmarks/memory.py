"""Peak resident memory of each stage in a fresh process, for several block lengths and threads.

    python -m benchmarks.memory FILE [--stages fit,transform,inverse,evaluate] [--block-rows 65536] [--threads 1,2]
    python -m benchmarks.memory dask [--stages read,fit,transform,inverse,evaluate,synthesizer] [--types text,list]

`gpuvgm/execution/memory.py` takes its constants from these figures: see there.

With `dask` the rows are a Dask frame of three partitions of 500,000 rows of 300 bytes, from files, and one worker works
on them. Its peak above what it has when idle is told in partitions, that of the client in samples of the frame. `read`
is what Dask itself takes to compute the partitions.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather

import gpuvgm
from benchmarks.machine import found_by, memory_figure, peak_memory

STAGES = ("import", "fit", "exact", "transform", "parts", "onehot", "inverse", "evaluate", "batches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--stages", default="import,fit,transform,inverse,evaluate")
    parser.add_argument("--block-rows", default="0")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--memory", default="")
    parser.add_argument("--types", default=",".join(TYPES))
    given = parser.parse_args()
    if given.file == "dask":
        stages = DASK_STAGES if given.stages == parser.get_default("stages") else given.stages.split(",")
        for type_, stage in itertools.product(given.types.split(","), stages):
            print(json.dumps(found_by("benchmarks.memory", "--dask", type_, stage)), flush=True)
        return
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


DASK_STAGES = ("read", "fit", "transform", "inverse", "evaluate", "synthesizer")
PARTITIONS, PARTITION_ROWS, SAMPLED = 3, 500_000, 1 << 17
WORDS = 500_000
TYPES: dict[str, pa.DataType] = {
    "text": pa.large_string(),
    "objects": pa.string(),
    "arrow": pa.string(),
    "binary": pa.binary(),
    "list": pa.list_(pa.string()),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
}


def write_part(folder: Path, number: int, type_: str) -> Path:
    """A file of one partition: numbers, and text, or what stands for it, of 300 bytes a row."""
    path, random = folder / f"{number}.parquet", np.random.default_rng(number)
    numbers = random.integers(0, 10**9, PARTITION_ROWS)
    columns: dict[str, Any] = {"amount": np.round(random.lognormal(3, 1, PARTITION_ROWS), 2)}
    if type_ == "dictionary":
        words = pa.array([f"{word:010d} of very many words; " * 6 for word in range(WORDS)])
        places = pa.array(random.integers(0, WORDS, PARTITION_ROWS).astype(np.int32))
        columns["t"] = pa.DictionaryArray.from_arrays(places, words)
    else:
        text = pa.array([f"{one:010d} " * 27 for one in numbers])
        columns["t"] = (
            pa.ListArray.from_arrays(pa.array(range(PARTITION_ROWS + 1), pa.int32()), text)
            if type_ == "list"
            else text.cast(TYPES[type_])
        )
    pa.feather.write_feather(pa.table(columns), path, compression="uncompressed")
    return path


def read_part(path: Path, type_: str) -> Any:
    """The rows of a file as a pandas frame."""
    import pandas

    mapper = pandas.ArrowDtype if type_ in ("arrow", "binary", "list") else None
    frame = pa.feather.read_table(path).to_pandas(types_mapper=mapper)
    return frame.astype({"t": object}) if type_ == "objects" else frame


def sizes_of(path: Path, type_: str) -> tuple[tuple[int, int], Any]:
    """Bytes of a partition as Dask reckons, and of a sample of the frame in Arrow, its dictionary once; some rows."""
    from dask.sizeof import sizeof

    frame, table = read_part(path, type_), pa.feather.read_table(path)
    rows = SAMPLED / len(frame)
    words = table["t"].chunk(0).dictionary.nbytes if type_ == "dictionary" else 0
    own = table.nbytes - words * table["t"].num_chunks  # each counts the whole dictionary
    return (int(sizeof(frame)), round(rows * own) + words), frame.iloc[:5000]


def prepare(stage: str, rows: Any) -> Any:
    """What a stage needs beside the rows."""
    if stage in ("read", "fit", "synthesizer"):
        return None
    fitted = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(rows)
    return fitted, fitted.transform(rows) if stage == "inverse" else None


def work(stage: str, rows: Any, prepared: Any) -> None:
    """A stage over a frame of Dask; of results that are frames too, the worker makes one partition after the other."""
    if stage == "read":
        rows.map_partitions(len).compute()
    elif stage == "fit":
        gpuvgm.TableTransformer(effort="research", max_iter=5).fit(rows)
    elif stage == "transform":
        prepared[0].transform(rows).map_partitions(len).compute()
    elif stage == "inverse":
        prepared[0].inverse_transform(prepared[1]).map_partitions(len).compute()
    elif stage == "evaluate":
        prepared[0].evaluate(rows)
    else:
        gpuvgm.TableSynthesizer().fit(rows)


def idle_memory() -> int:
    """Resident memory of this process, from which its peak is counted from now on."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return memory_figure("VmRSS") or 0


def dask_child(type_: str, stage: str) -> dict[str, object]:
    import dask.dataframe as dd

    with tempfile.TemporaryDirectory() as name, gpuvgm.cluster(workers=1, threads=1, memory="8GiB") as client:
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # whose memory is given back
            files = [apart.submit(write_part, Path(name), number, type_).result() for number in range(PARTITIONS)]
            (partition, sample), meta = apart.submit(sizes_of, files[0], type_).result()
        frame = dd.from_map(partial(read_part, type_=type_), files, meta=meta[:0])
        for little in (True, False):
            rows = dd.from_pandas(meta, npartitions=2) if little else frame
            prepared = prepare(stage, rows)
            idle, here = client.run(idle_memory), idle_memory()
            start = time.perf_counter()
            work(stage, rows, prepared)
            seconds = time.perf_counter() - start
        (worker,) = [peak - idle[address] for address, peak in client.run(peak_memory).items()]
        client_peak = peak_memory() - here
    return {
        "type": type_,
        "stage": stage,
        "partition_mib": partition >> 20,
        "sample_mib": sample >> 20,
        "worker": round(worker / partition, 2),
        "client": round(client_peak / sample, 2),
        "client_mib": client_peak >> 20,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(*sys.argv[2:5], json.loads(sys.argv[5]))))
    elif sys.argv[1:2] == ["--dask"]:
        print(json.dumps(dask_child(*sys.argv[2:4])))
    else:
        main()
