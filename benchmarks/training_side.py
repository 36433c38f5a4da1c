"""CTGAN alone: ``python -m benchmarks.training_side steps FILE PLACE STEPS DISCRETE...``, or epoch."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ctgan
import numpy as np

from benchmarks.machine import peak_memory
from benchmarks.training import FLIGHTS_DISCRETE, flights
from gpuvgm import TrainingRows
from gpuvgm.integrations.ctgan import CTGAN, installed


class Anonymous(threading.Thread):
    """Watches the memory of this process that is no file's: mapped files can be given back at any time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.start()

    def run(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            self.peak = max(self.peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")))
            time.sleep(0.02)


def steps(source: str, place: Any, count: str, *discrete: str) -> dict[str, Any]:
    """Seconds to the first step, of a step, and memory."""
    warm = {"x": np.arange(500.0), "c": ["a", "b"] * 250}
    CTGAN(epochs=1).fit(warm, ["c"])
    watched, kept, times = Anonymous(), [], [time.perf_counter()]
    making = TrainingRows.__init__

    def made(self: TrainingRows, *arguments: Any, **options: Any) -> None:
        making(self, *arguments, **options)
        kept.append(self.nbytes / len(self))
        times.append(time.perf_counter())

    TrainingRows.__init__ = made  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
        where = {"place": place, "folder": folder if place == "disk" else None}
        done = CTGAN(epochs=1)
        done.fit(source, discrete, steps=int(count), **where, progress=lambda *_: times.append(time.perf_counter()))
    return {
        "first_step": times[2] - times[0],
        "encoded": times[1] - times[0],
        "step": (times[-1] - times[2]) / (len(times) - 3),
        "row_bytes": kept[0],
        "peak": peak_memory(),
        "anonymous": watched.peak,
        "losses": done.loss_values.to_numpy().tolist(),
    }


def epoch() -> dict[str, Any]:
    """Seconds of the training alone, ours and ctgan's by turns, and the losses of both."""
    frame = flights()
    module: Any = ctgan.synthesizers.ctgan
    begun: list[float] = []
    making, sampler = module.Generator.__init__, module.DataSampler

    def clocked(*arguments: Any) -> None:
        begun.append(time.perf_counter())
        making(*arguments)

    def trained(kind: Any) -> tuple[float, list[list[float]]]:
        model = kind(epochs=1)
        model.set_random_state(0)
        with installed(compact=False):
            module.DataSampler = sampler
            model.fit(frame, FLIGHTS_DISCRETE)
        seconds = time.perf_counter() - begun.pop()
        return seconds, model.loss_values.to_numpy(float).tolist()

    module.Generator.__init__ = clocked
    turns = [[trained(kind) for kind in (CTGAN, ctgan.CTGAN)] for _ in range(2)]
    return {
        "rows": len(frame),
        "seconds": [min(seconds for seconds, _ in turn) for turn in zip(*turns, strict=True)],
        "losses": [losses for _, losses in turns[0]],
    }


if __name__ == "__main__":
    print(json.dumps(epoch() if sys.argv[1] == "epoch" else steps(*sys.argv[2:])))
