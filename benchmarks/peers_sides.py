"""Those that are measured beside each other, with the same three methods: fit, transform and inverse.

`mixtures` gives the fitted weights, means and standard deviations of the continuous columns, `scalars` what of the
encoded rows is a scalar.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from gpuvgm import TableTransformer

FLOOR, LIMIT, SCALE, LEAST_WEIGHT = 1e-6, 0.99, 4.0, 0.005


class Mixture(NamedTuple):
    """Weights, means and standard deviations of all components."""

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray


def mixture_of(estimator: Any) -> Mixture:
    """The mixture of an estimator of one feature."""
    return Mixture(estimator.weights_, estimator.means_.ravel(), np.sqrt(estimator.covariances_.ravel()))


@dataclass
class Normalizer:
    """A ClusterBasedNormalizer, RDT's or ours, of the one column that there is."""

    module: str
    names: list[str]
    discrete: list[str]

    def fit(self, rows: Any) -> None:
        self.fitted = import_module(self.module).ClusterBasedNormalizer()
        self.fitted.fit(rows, self.names[0])

    def transform(self, rows: Any) -> Any:
        return self.fitted.transform(rows)

    def inverse(self, encoded: Any) -> Any:
        return self.fitted.reverse_transform(encoded)

    def mixtures(self) -> dict[str, Mixture]:
        return {self.names[0]: mixture_of(self.fitted._bgm_transformer)}

    def scalars(self, encoded: Any) -> list[np.ndarray]:
        return [np.asarray(encoded[f"{self.names[0]}.normalized"])]


@dataclass
class Matrix:
    """A DataTransformer, CTGAN's or ours."""

    module: str
    names: list[str]
    discrete: list[str]

    def fit(self, rows: Any) -> None:
        self.fitted = import_module(self.module).DataTransformer()
        self.fitted.fit(rows, self.discrete)

    def transform(self, rows: Any) -> np.ndarray:
        return self.fitted.transform(rows)

    def inverse(self, encoded: np.ndarray) -> Any:
        return self.fitted.inverse_transform(encoded)

    def mixtures(self) -> dict[str, Mixture]:
        columns = {one.column_name: one.transform for one in self.fitted._column_transform_info_list}
        return {name: self._mixture(columns[name]) for name in self.names}

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
class Table:
    """A TableTransformer with effort="research"."""

    layout: str
    names: list[str]
    discrete: list[str]

    def fit(self, rows: Any) -> None:
        kinds = {**dict.fromkeys(self.names, "continuous"), **dict.fromkeys(self.discrete, "categorical")}
        self.fitted = TableTransformer(kinds, effort="research", threads=1).fit(rows)

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


@dataclass
class Research:
    """The fit by scikit-learn and the formula in NumPy over all rows at once, of the one column that there is."""

    names: list[str]
    discrete: list[str]

    def fit(self, rows: Any) -> None:
        from sklearn.mixture import BayesianGaussianMixture

        mixture = BayesianGaussianMixture(n_components=10, weight_concentration_prior=0.001, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mixture.fit(self._numbers(rows).reshape(-1, 1))
        active = mixture.weights_ > LEAST_WEIGHT
        self.fitted, self.active, (_, means, deviations) = mixture, active, mixture_of(mixture)
        self.means, self.widths = means[active], SCALE * deviations[active]
        self.random = np.random.default_rng(0)

    def transform(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        x = self._numbers(rows).reshape(-1, 1)
        share = self.fitted.predict_proba(x)[:, self.active] + FLOOR
        cumulative = np.cumsum(share, axis=1)
        drawn = self.random.random(len(x)) * cumulative[:, -1]
        mode = np.sum(cumulative[:, :-1] <= drawn[:, None], axis=1)
        return np.clip((x[:, 0] - self.means[mode]) / self.widths[mode], -LIMIT, LIMIT), mode

    def transform_row_by_row(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """As the research code does: one draw, and one normalised vector of probabilities, a row."""
        x = self._numbers(rows).reshape(-1, 1)
        scalars = (x - self.means) / self.widths
        share = self.fitted.predict_proba(x)[:, self.active]
        mode = np.zeros(len(x), np.int64)
        for row in range(len(x)):
            p = share[row] + FLOOR
            p = p / np.sum(p)
            mode[row] = np.random.choice(np.arange(len(self.means)), p=p)
        return np.clip(scalars[np.arange(len(x)), mode], -LIMIT, LIMIT), mode

    def inverse(self, encoded: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
        scalar, mode = encoded
        return {self.names[0]: np.clip(scalar, -1, 1) * self.widths[mode] + self.means[mode]}

    def mixtures(self) -> dict[str, Mixture]:
        return {self.names[0]: mixture_of(self.fitted)}

    def scalars(self, encoded: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
        return [encoded[0]]

    def _numbers(self, rows: Any) -> np.ndarray:
        return numbers_of(rows, self.names[0])


def side_of(side: str, names: list[str], discrete: list[str]) -> Any:
    """A side by name; `names` are the continuous columns."""
    if side == "research":
        return Research(names, discrete)
    if side in ("compact", "onehot"):
        return Table(side, names, discrete)
    modules = {
        "rdt": (Normalizer, "rdt.transformers"),
        "rdt drop-in": (Normalizer, "gpuvgm.integrations.rdt"),
        "ctgan": (Matrix, "ctgan.data_transformer"),
        "ctgan drop-in": (Matrix, "gpuvgm.integrations.ctgan"),
    }
    kind, module = modules[side]
    return kind(module, names, discrete)


def numbers_of(rows: Any, name: str) -> np.ndarray:
    """A column as float64."""
    column = rows[name]
    return np.asarray(column.to_numpy() if isinstance(column, pa.ChunkedArray) else column, dtype=np.float64)
