"""Spark ML's GaussianMixture on one local core: maximum likelihood by EM, draws with a vectorised Python function."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers_drawn import COMPONENTS, Drawn
from benchmarks.peers_sides import Mixture

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "4g",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.shuffle.partitions": "1",
}


@cache
def session() -> Any:
    """Spark within this process's core."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[1]").appName("peers")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    opened = builder.getOrCreate()
    opened.sparkContext.setLogLevel("ERROR")
    return opened


@dataclass
class Spark(Drawn):
    """One column of a DataFrame whose rows are in Spark's memory before and after each step."""

    kept: dict[str, Any] = field(default_factory=dict)

    def prepare(self, table: pa.Table) -> Any:
        from pyspark.ml.feature import VectorAssembler

        with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
            source = Path(folder) / "rows.parquet"
            pq.write_table(table, source)
            rows = session().read.parquet(str(source)).coalesce(1)
            return self._computed("rows", VectorAssembler(inputCols=self.names, outputCol="features").transform(rows))

    def fit(self, rows: Any) -> None:
        from pyspark.ml.clustering import GaussianMixture

        self.fitted = GaussianMixture(k=COMPONENTS, maxIter=self.most_iterations, seed=0).fit(rows)
        self.iterations = int(self.fitted.summary.numIter)
        gaussians = self.fitted.gaussians
        means = np.array([one.mean[0] for one in gaussians])
        deviations = np.sqrt([one.cov.toArray()[0, 0] for one in gaussians])
        self.keep(Mixture(np.array(self.fitted.weights), means, deviations))

    def transform(self, rows: Any) -> Any:
        from pyspark.ml.functions import vector_to_array

        shares = vector_to_array("probability").alias("shares")
        predicted = self.fitted.transform(rows).select(self.names[0], shares)
        return self._computed("encoded", predicted.mapInPandas(self._batches, "scalar double, mode long"))

    def _batches(self, frames: Iterator[Any]) -> Iterator[Any]:
        import pandas as pd

        for frame in frames:
            x, shares = frame[self.names[0]].to_numpy(), np.stack(frame["shares"].to_numpy())
            scalar, mode = self.encoded(x, shares, self.random.random(len(x)))
            yield pd.DataFrame({"scalar": scalar, "mode": mode})

    def inverse(self, encoded: Any) -> Any:
        from pyspark.sql import functions

        means, widths = (
            functions.array(*(functions.lit(float(one)) for one in part))[functions.col("mode").cast("int")]
            for part in (self.means, self.widths)
        )
        scalar = functions.least(functions.greatest("scalar", functions.lit(-1.0)), functions.lit(1.0))
        return self._computed("back", encoded.select((scalar * widths + means).alias(self.names[0])))

    def collected(self, rows: Any) -> Any:
        return rows.toPandas()

    def scalars(self, encoded: Any) -> list[np.ndarray]:
        return super().scalars(encoded.select("scalar").toPandas())

    def _computed(self, step: str, frame: Any) -> Any:
        """The frame in memory; what an earlier call left there is dropped, or Spark would give it back."""
        if step in self.kept:
            self.kept[step].unpersist(blocking=True)
        self.kept[step] = frame.persist()
        frame.count()
        return frame

    def __getstate__(self) -> dict[str, Any]:
        """What Python workers need; what is of the JVM stays there."""
        return {key: value for key, value in self.__dict__.items() if key not in ("fitted", "kept")}
