"""Those that are measured beside each other, with the same three methods: fit, transform and inverse.

`mixtures` gives the fitted weights, means and standard deviations of the continuous columns, `scalars` what of the
encoded rows is a scalar.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import digamma

from gpuvgm import TableTransformer


class Mixture(NamedTuple):
    """Weights, means and standard deviations of all components."""

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray


def mixture_of(estimator: Any) -> Mixture:
    """The mixture of an estimator of one feature."""
    return Mixture(estimator.weights_, estimator.means_.ravel(), np.sqrt(estimator.covariances_.ravel()))


@dataclass
class Side:
    """What all have: rows of the type that they take, and what their fit saw."""

    names: list[str]
    discrete: list[str]
    sample: ClassVar[int | None] = None  # rows that are fitted on; None means all
    iterations: ClassVar[int | None] = None  # of the fit of the one column that there is

    def prepare(self, table: pa.Table) -> Any:
        """The rows as they lie in memory before anything is timed; a DataFrame where pandas is installed."""
        return table.to_pandas() if find_spec("pandas") else table

    def collected(self, rows: Any) -> Any:
        """Decoded rows as something that maps names to columns."""
        return rows


@dataclass
class Normalizer(Side):
    """A ClusterBasedNormalizer, RDT's or ours, of the one column that there is."""

    module: str = ""

    def fit(self, rows: Any) -> None:
        self.fitted = import_module(self.module).ClusterBasedNormalizer()
        self.fitted.fit(rows, self.names[0])
        self.iterations = int(self.fitted._bgm_transformer.n_iter_)

    def transform(self, rows: Any) -> Any:
        return self.fitted.transform(rows)

    def inverse(self, encoded: Any) -> Any:
        return self.fitted.reverse_transform(encoded)

    def mixtures(self) -> dict[str, Mixture]:
        return {self.names[0]: mixture_of(self.fitted._bgm_transformer)}

    def scalars(self, encoded: Any) -> list[np.ndarray]:
        return [np.asarray(encoded[f"{self.names[0]}.normalized"])]


@dataclass
class Matrix(Side):
    """A DataTransformer, CTGAN's or ours."""

    module: str = ""

    def fit(self, rows: Any) -> None:
        self.fitted = import_module(self.module).DataTransformer()
        self.fitted.fit(rows, self.discrete)
        self.iterations = self._iterations() if len(self.names) == 1 else None

    def transform(self, rows: Any) -> np.ndarray:
        return self.fitted.transform(rows)

    def inverse(self, encoded: np.ndarray) -> Any:
        return self.fitted.inverse_transform(encoded)

    def mixtures(self) -> dict[str, Mixture]:
        columns = {one.column_name: one.transform for one in self.fitted._column_transform_info_list}
        return {name: self._mixture(columns[name]) for name in self.names}

    def _iterations(self) -> int | None:
        (column,) = (one.transform for one in self.fitted._column_transform_info_list if one.column_name in self.names)
        return int(column._bgm_transformer.n_iter_) if hasattr(column, "_bgm_transformer") else column.fit.iterations

    @staticmethod
    def _mixture(column: Any) -> Mixture:
        if hasattr(column, "_bgm_transformer"):
            return mixture_of(column._bgm_transformer)
        return Mixture(column.weights, column.means, column.stds)

    def scalars(self, encoded: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([0, *(sum(span.dim for span in spans) for spans in self.fitted.output_info_list)])
        continuous = [spans[0].activation_fn == "tanh" for spans in self.fitted.output_info_list]
        return [encoded[:, end] for end, has_scalar in zip(ends[:-1], continuous, strict=True) if has_scalar]


@dataclass
class Table(Side):
    """A TableTransformer."""

    layout: str = "compact"
    effort: str = "research"

    def fit(self, rows: Any) -> None:
        kinds = {**dict.fromkeys(self.names, "continuous"), **dict.fromkeys(self.discrete, "categorical")}
        self.fitted = TableTransformer(kinds, effort=self.effort, threads=1).fit(rows)
        self.iterations = self.fitted.columns_[self.names[0]].fit.iterations if len(self.names) == 1 else None

    def transform(self, rows: Any) -> Any:
        return self.fitted.transform(rows, layout=self.layout)

    def inverse(self, encoded: Any) -> Any:
        return self.fitted.inverse_transform(encoded)

    def mixtures(self) -> dict[str, Mixture]:
        columns: dict[str, Any] = dict(self.fitted.columns_)
        return {name: Mixture(columns[name].weights, columns[name].means, columns[name].stds) for name in self.names}

    def scalars(self, encoded: Any) -> list[np.ndarray]:
        if self.layout == "compact":
            return [np.asarray(encoded[f"{name}.scalar"]) for name in self.names]
        return [encoded[:, self.fitted.layout_[name][0][0]] for name in self.names]


def numbers_of(rows: Any, name: str) -> np.ndarray:
    """A column as float64."""
    column = rows[name]
    return np.asarray(column.to_numpy() if isinstance(column, pa.ChunkedArray) else column, dtype=np.float64)


FLOOR, LIMIT, SCALE, LEAST_WEIGHT, COMPONENTS, ITERATIONS = 1e-6, 0.99, 4.0, 0.005, 10, 100
SAMPLE_ROWS = 20_000  # of those that fit on a sample
PARTITIONS = 8


@dataclass
class Drawn(Side):
    """One column, whose active modes are those of the research code: weights above 0.005."""

    most_iterations: int = ITERATIONS

    def keep(self, mixture: Mixture) -> None:
        """Remember what was fitted."""
        self.mixture, self.active = mixture, mixture.weights > LEAST_WEIGHT
        self.means, self.widths = mixture.means[self.active], SCALE * mixture.deviations[self.active]
        self.random = np.random.default_rng(0)

    def encoded(self, x: np.ndarray, shares: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scalars, and modes that are drawn from the posterior `shares` of all components."""
        cumulative = np.cumsum(shares[:, self.active] + FLOOR, axis=1)
        mode = np.sum(cumulative[:, :-1] <= (uniforms * cumulative[:, -1])[:, None], axis=1)
        return np.clip((x - self.means[mode]) / self.widths[mode], -LIMIT, LIMIT), mode

    def decoded(self, scalar: np.ndarray, mode: np.ndarray) -> np.ndarray:
        """Values."""
        return np.clip(scalar, -1, 1) * self.widths[mode] + self.means[mode]

    def mixtures(self) -> dict[str, Mixture]:
        return {self.names[0]: self.mixture}

    def scalars(self, encoded: Any) -> list[np.ndarray]:
        return [np.asarray(encoded["scalar"])]


@dataclass
class ScikitLearn(Drawn):
    """Fit and `predict_proba` of scikit-learn, one draw for all rows."""

    def fit(self, rows: Any) -> None:
        self.fit_numbers(numbers_of(rows, self.names[0]))

    def fit_numbers(self, x: np.ndarray) -> None:
        """Fit with the parameters of the research code."""
        from sklearn.mixture import BayesianGaussianMixture

        self.fitted = BayesianGaussianMixture(
            n_components=min(COMPONENTS, len(x)),
            weight_concentration_prior=0.001,
            max_iter=self.most_iterations,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fitted.fit(x[:, None])
        self.keep(mixture_of(self.fitted))
        self.iterations = int(self.fitted.n_iter_)

    def shares(self, x: np.ndarray) -> np.ndarray:
        """Posterior of all components."""
        return self.fitted.predict_proba(x[:, None])

    def transform(self, rows: Any) -> Any:
        x = numbers_of(rows, self.names[0])
        scalar, mode = self.encoded(x, self.shares(x), self.random.random(len(x)))
        return {"scalar": scalar, "mode": mode}

    def inverse(self, encoded: Any) -> Any:
        return {self.names[0]: self.decoded(encoded["scalar"], encoded["mode"])}


@dataclass
class Research(ScikitLearn):
    """The fit by scikit-learn and the posterior's formula in NumPy."""

    def shares(self, x: np.ndarray) -> np.ndarray:
        """Bishop 2006, equations 10.46, 10.49 and 10.64, with the stick-breaking weights of Blei and Jordan 2006."""
        fitted = self.fitted
        first, second = fitted.weight_concentration_
        total = digamma(first + second)
        left = np.concatenate([[0.0], np.cumsum(digamma(second) - total)[:-1]])
        constants = digamma(first) - total + left + 0.5 * digamma(0.5 * fitted.degrees_of_freedom_)
        constants -= np.log(self.mixture.deviations) + 0.5 * np.log(fitted.degrees_of_freedom_)
        constants -= 0.5 / fitted.mean_precision_
        z = (x[:, None] - self.mixture.means) / self.mixture.deviations
        logs = constants - 0.5 * z * z
        share = np.exp(logs - np.max(logs, axis=1, keepdims=True))
        return share / np.sum(share, axis=1, keepdims=True)

    def transform_row_by_row(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """As the research code does: one draw, and one normalised vector of probabilities, a row."""
        x = numbers_of(rows, self.names[0]).reshape(-1, 1)
        scalars = (x - self.means) / self.widths
        share = self.fitted.predict_proba(x)[:, self.active]
        mode = np.zeros(len(x), np.int64)
        for row in range(len(x)):
            p = share[row] + FLOOR
            p = p / np.sum(p)
            mode[row] = np.random.choice(np.arange(len(self.means)), p=p)
        return np.clip(scalars[np.arange(len(x)), mode], -LIMIT, LIMIT), mode


@dataclass
class Polars(ScikitLearn):
    """A fit on a sample, `map_batches`, and expressions for the way back."""

    sample = SAMPLE_ROWS

    def prepare(self, table: pa.Table) -> Any:
        import polars

        return polars.from_arrow(table)

    def fit(self, rows: Any) -> None:
        self.fit_numbers(rows[self.names[0]].sample(min(SAMPLE_ROWS, len(rows)), seed=0).to_numpy())

    def transform(self, rows: Any) -> Any:
        import polars

        fields = polars.Struct({"scalar": polars.Float64, "mode": polars.Int64})
        encoded = polars.col(self.names[0]).map_batches(self._batch, return_dtype=fields)
        return rows.select(encoded.alias("encoded")).unnest("encoded")

    def _batch(self, column: Any) -> Any:
        import polars

        return polars.DataFrame(super().transform({self.names[0]: column.to_numpy()})).to_struct("encoded")

    def inverse(self, encoded: Any) -> Any:
        import polars

        widths, means = (
            polars.lit(polars.Series(part)).gather(polars.col("mode")) for part in (self.widths, self.means)
        )
        return encoded.select((polars.col("scalar").clip(-1, 1) * widths + means).alias(self.names[0]))


@dataclass
class Dask(ScikitLearn):
    """A fit on a sample, and `map_partitions` both ways; partitions stay in memory."""

    sample = SAMPLE_ROWS

    def prepare(self, table: pa.Table) -> Any:
        from dask import dataframe

        return _persisted(dataframe.from_pandas(table.to_pandas(), npartitions=PARTITIONS))

    def collected(self, rows: Any) -> Any:
        return rows.compute(scheduler="synchronous")

    def fit(self, rows: Any) -> None:
        column = rows[self.names[0]]
        share = min(1.0, SAMPLE_ROWS / len(rows))
        self.fit_numbers(column.sample(frac=share, random_state=0).compute(scheduler="synchronous").to_numpy())

    def transform(self, rows: Any) -> Any:
        return _persisted(rows.map_partitions(self._part, meta={"scalar": "f8", "mode": "i8"}))

    def _part(self, frame: Any, partition_info: Any = None) -> Any:
        import pandas as pd

        x, random = frame[self.names[0]].to_numpy(), np.random.default_rng([0, partition_info["number"]])
        scalar, mode = self.encoded(x, self.shares(x), random.random(len(x)))
        return pd.DataFrame({"scalar": scalar, "mode": mode}, index=frame.index)

    def inverse(self, encoded: Any) -> Any:
        return _persisted(encoded.map_partitions(self._back, meta={self.names[0]: "f8"}))

    def _back(self, frame: Any) -> Any:
        import pandas as pd

        values = self.decoded(frame["scalar"].to_numpy(), frame["mode"].to_numpy())
        return pd.DataFrame({self.names[0]: values}, index=frame.index)

    def scalars(self, encoded: Any) -> list[np.ndarray]:
        return super().scalars(self.collected(encoded))


def _persisted(frame: Any) -> Any:
    return frame.persist(scheduler="synchronous")


#: Lightning's trainer on one core, without bars, checkpoints and logs.
TRAINER = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
}


@dataclass
class TorchMixture(Drawn):
    """One column as a float32 tensor, as torchgmm wants it."""

    def prepare(self, table: pa.Table) -> Any:
        import torch

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        torch.set_num_threads(1)
        return torch.from_numpy(numbers_of(table, self.names[0]).astype(np.float32)[:, None])

    def fit(self, rows: Any) -> None:
        import torch
        from torchgmm.bayes import GaussianMixture

        random.seed(0)  # both generators choose the start
        torch.manual_seed(0)
        trainer = TRAINER | {"max_epochs": self.most_iterations}
        self.fitted = GaussianMixture(COMPONENTS, covariance_type="diag", trainer_params=trainer).fit(rows)
        model, self.iterations = self.fitted.model_, int(self.fitted.num_iter_)
        parts = (model.component_probs, model.means[:, 0], model.covariances[:, 0].sqrt())
        self.keep(Mixture(*(part.double().numpy() for part in parts)))
        kept = [torch.from_numpy(part.astype(np.float32)) for part in (self.means, self.widths)]
        self.chosen, (self.mean_tensor, self.width_tensor) = torch.from_numpy(self.active), kept

    def transform(self, rows: Any) -> Any:
        import torch

        mode = torch.multinomial(self.fitted.predict_proba(rows)[:, self.chosen] + FLOOR, 1)[:, 0]
        scalar = (rows[:, 0] - self.mean_tensor[mode]) / self.width_tensor[mode]
        return {"scalar": scalar.clamp(-LIMIT, LIMIT), "mode": mode}

    def inverse(self, encoded: Any) -> Any:
        mode = encoded["mode"]
        return {self.names[0]: encoded["scalar"].clamp(-1, 1) * self.width_tensor[mode] + self.mean_tensor[mode]}


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


SLOW_ROWS = 500_000  # more are not given to sides that take minutes for them


class Known(NamedTuple):
    """A side."""

    words: str
    make: Callable[[list[str], list[str]], Side]
    packages: tuple[str, ...] = ()
    ours: bool = False
    is_slow: bool = False


def _of(kind: Callable[..., Side], **options: str) -> Callable[[list[str], list[str]], Side]:
    return lambda names, discrete: kind(names, discrete, **options)


KNOWN: dict[str, Known] = {
    "scikit-learn": Known("scikit-learn", ScikitLearn),
    "rdt": Known("RDT", _of(Normalizer, module="rdt.transformers"), ("rdt",), is_slow=True),
    "ctgan": Known("CTGAN", _of(Matrix, module="ctgan.data_transformer"), ("ctgan",), is_slow=True),
    "research": Known("NumPy formula", Research),
    "torchgmm": Known("torchgmm", TorchMixture, ("torch", "torchgmm")),
    "spark": Known("Spark ML", Spark, ("pyspark", "pandas"), is_slow=True),
    "polars": Known("Polars, sample", Polars, ("polars",)),
    "dask": Known("Dask, sample", Dask, ("dask", "pandas")),
    "rdt drop-in": Known("drop-in for RDT", _of(Normalizer, module="gpuvgm.integrations.rdt"), ("rdt",), ours=True),
    "ctgan drop-in": Known("drop-in for CTGAN", _of(Matrix, module="gpuvgm.integrations.ctgan"), ("ctgan",), ours=True),
    "compact": Known("TableTransformer, research", Table, ours=True),
    "onehot": Known("TableTransformer, research, onehot", _of(Table, layout="onehot"), ours=True),
    "auto": Known("TableTransformer, auto", _of(Table, effort="auto"), ours=True),
    "best": Known("TableTransformer, best", _of(Table, effort="best"), ours=True),
}


def side_of(side: str, names: list[str], discrete: list[str]) -> Side:
    """A side by name; `names` are the continuous columns."""
    return KNOWN[side].make(names, discrete)


def reason_not_to_run(side: str, rows: int) -> str | None:
    """Why a side is left out, None where it can run."""
    if missing := [package for package in KNOWN[side].packages if not find_spec(package)]:
        return f"no {missing[0]}"
    if side == "spark" and not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        return "no Java"
    if KNOWN[side].is_slow and rows > SLOW_ROWS:
        return f"more than {SLOW_ROWS:,} rows"
    return None
