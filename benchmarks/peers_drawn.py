"""Sides that fit somebody's mixture and encode one column by hand: scikit-learn's, in NumPy, with Polars and Dask."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import digamma

from benchmarks.peers_sides import Mixture, Side, mixture_of, numbers_of

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
