"""Those that are measured beside each other, with the same three methods: fit, transform and inverse.

`mixtures` gives the fitted weights, means and standard deviations of the continuous columns, `scalars` what of the
encoded rows is a scalar.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

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
