"""RDT's cluster-based normalizer on gpuvgm's engines: same columns, same draws, in a fraction of the time.

For RDT 1.18 and later, RDT 2 included. What concerns missing values, rounding and bounds is RDT's own.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from gpuvgm.config import RESEARCH_FLOOR, SUMMARY_ROWS
from gpuvgm.engines import get_engine
from gpuvgm.engines.tables import Draw, DrawTable
from gpuvgm.errors import InputError
from gpuvgm.mixture.accumulate import summarise_rows
from gpuvgm.mixture.estimator import BayesianGaussianMixture
from gpuvgm.mixture.fits import Estimate, Problem, config_of, estimate_of, outcome_of, plan
from gpuvgm.mixture.posterior_nd import one_posterior
from gpuvgm.mixture.summary_fit import ColumnFit, fit_cells
from gpuvgm.summary.grid import Floats, Frame

try:
    from rdt import transformers
except ModuleNotFoundError as error:
    if error.name != "rdt":
        raise
    raise ModuleNotFoundError('gpuvgm.integrations.rdt needs RDT: pip install "gpuvgm[rdt]"', name="rdt") from error

WEIGHT_CONCENTRATION = 1e-3
PLANNING_ROWS = 1 << 14  # rows of the sample that k-means runs on and cells are made from
LARGEST_END_ERROR = 1e-6  # in sigma; 100 iterations end much further than that from where EM would settle
LEAST_VARIANCE = 1e-6  # scikit-learn's reg_covar
LARGEST_NUMBER = 1e150  # sums of squares must not overflow
LIMIT = 0.99  # of the normalized values
ROWS = Frame(1.0, 0.0)
CHOICES = {
    "effort": ("research", "best"),
    "standardize": (True, False, "auto"),
    "algorithm": ("auto", "exact", "summary"),
}


def _takes_settings_of(base: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a constructor the signature of another class, its own keywords behind; RDT's differs between versions."""
    theirs = inspect.signature(base.__init__)  # type: ignore[misc]

    def describe(constructor: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(constructor).parameters.values() if p.kind is p.KEYWORD_ONLY]
        described: Any = constructor
        described.__signature__ = theirs.replace(parameters=[*theirs.parameters.values(), *own])
        return constructor

    return describe


class OnePassMixture(BayesianGaussianMixture):
    """The estimator with a summary that is planned on fewer rows, and whose error is looked at only where EM ends.

    `fit_error_` of a summary is what the cells cost in the last iterations; where that is more than 1e-6 sigma, the
    estimator's own fit follows.
    """

    def _estimate(self, problem: Problem) -> Estimate:
        few = problem.rows.count < SUMMARY_ROWS
        if self.effort == "best" or self.algorithm == "exact" or (self.algorithm == "auto" and few):
            return super()._estimate(problem)
        frame, starts, grid = plan(replace(problem, rows=problem.rows.sample(PLANNING_ROWS)))
        sums = summarise_rows(problem.engine, problem.rows, grid, problem.pool)
        column = ColumnFit(grid, sums, tuple(starts), config_of(problem, frame, best=False, checked="end"))
        outcome = outcome_of(fit_cells(problem.engine, column, problem.narrator))
        if outcome.error > LARGEST_END_ERROR:
            return super()._estimate(problem)
        return estimate_of(problem, frame, outcome)


class ClusterBasedNormalizer(transformers.ClusterBasedNormalizer):  # type: ignore[misc]  # RDT ships no types
    """Normalize a numerical column by its modes: `rdt.transformers.ClusterBasedNormalizer`, fast.

    Stands wherever RDT's class does, and takes its arguments in its order. ``<column>.normalized`` is
    (x - mean) / (4 sd) of the component drawn, within ±0.99, ``<column>.component`` the index of that component among
    the valid ones, and ``<column>.is_null``, with missing_value_generation="from_column", where the column was missing.
    With ``algorithm="exact"`` fit and draws are RDT's to rounding; its random states are those of RDT.

    Parameters
    ----------
    model_missing_values : bool, optional
        RDT 1 only, the first argument there; see RDT.
    learn_rounding_scheme : bool
        Round what is transformed back to the decimals of the column.
    enforce_min_max_values : bool
        Clip what is transformed back to the range of the column.
    max_clusters : int
        Upper limit of components. A column of fewer rows gets one a row.
    weight_threshold : float
        Components of more weight are valid; the heaviest one always is.
    missing_value_generation : {"random", "from_column", None}
        How missing values come back.
    effort : {"research", "best"}
        As in `gpuvgm.BayesianGaussianMixture`: 100 iterations from one k-means start, or a search.
    standardize : bool or "auto"
        Let the least variance of a component be 1e-6 of the column's variance, not 1e-6: for columns of small numbers.
        "auto": where the column's standard deviation is below 1.
    algorithm : {"auto", "exact", "summary"}
        "exact": RDT's fit. "summary": k-means on a sample, one scan over the rows, and EM on its cells, within about
        1e-6 sigma of EM on the rows from the same centres. "auto": the summary from 200,000 rows on.

    Attributes
    ----------
    valid_component_indicator : ndarray of bool
        Which components rows may be given to.
    null_transformer : rdt.transformers.null.NullTransformer
        What RDT knows of missing values.

    Examples
    --------
    >>> import pandas as pd
    >>> from gpuvgm.integrations.rdt import ClusterBasedNormalizer
    >>> frame = pd.DataFrame({"amount": [1.0, 2.0, 50.0, 51.0] * 10})
    >>> ClusterBasedNormalizer().fit_transform(frame, "amount").columns.tolist()
    ['amount.normalized', 'amount.component']
    """

    _bgm_transformer: BayesianGaussianMixture
    valid_component_indicator: NDArray[np.bool_]

    @_takes_settings_of(transformers.ClusterBasedNormalizer)
    def __init__(
        self,
        *args: Any,
        effort: str = "research",
        standardize: bool | str = False,
        algorithm: str = "auto",
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.effort = effort
        self.standardize = standardize
        self.algorithm = algorithm
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, not {getattr(self, name)!r}")

    def _fit(self, data: Any) -> None:
        self.output_properties.pop("is_null", None)  # of an earlier fit
        transformers.FloatFormatter._fit(self, data)
        numbers = self._numbers(np.asarray(transformers.FloatFormatter._transform(self, data)))
        if len(numbers) == 0:
            raise InputError(f'column "{self._column}" has no row to fit a mixture to')
        if np.max(np.abs(numbers)) > LARGEST_NUMBER:
            raise InputError(
                f'column "{self._column}" has numbers beyond {LARGEST_NUMBER:g}: divide them before the fit'
            )
        few = isinstance(self.max_clusters, (int, np.integer)) and len(numbers) < self.max_clusters
        mixture = OnePassMixture(
            n_components=len(numbers) if few else self.max_clusters,
            weight_concentration_prior=WEIGHT_CONCENTRATION,
            reg_covar=self._least_variance(numbers),
            random_state=int(self.random_states["fit"].get_state()[1][0]),
            algorithm=self.algorithm,
            effort=self.effort,
        )
        rows = numbers if len(numbers) > 1 else np.repeat(numbers, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows.reshape(-1, 1))
        valid = mixture.weights_ > self.weight_threshold
        heaviest = np.arange(len(valid)) == np.argmax(mixture.weights_)
        self._bgm_transformer = mixture
        self.valid_component_indicator = valid if np.any(valid) else heaviest

    def _transform(self, data: Any) -> Floats:
        formatted = np.asarray(transformers.FloatFormatter._transform(self, data))
        numbers = self._numbers(formatted)
        table = self._draw_table()
        encoded = np.empty((len(numbers), 2 if formatted.ndim == 1 else 3), order="F")
        component: NDArray[Any] = np.empty(len(numbers), np.uint8 if len(table.cells) <= 256 else np.uint16)
        draw = Draw(uniforms=np.random.random_sample(len(numbers)))  # RDT has set NumPy's state to this column's
        get_engine().transform(numbers, table, draw, encoded[:, 0], component)
        encoded[:, 1] = component
        if formatted.ndim == 2:
            encoded[:, 2] = formatted[:, 1]
        return encoded

    def _reverse_transform(self, data: Any) -> Any:
        encoded = np.asarray(data, dtype=np.float64)
        mixture, valid = self._bgm_transformer, self.valid_component_indicator
        means, deviations = mixture.means_[valid, 0], np.sqrt(mixture.covariances_[valid, 0, 0])
        drawn = np.clip(np.rint(encoded[:, 1]), 0, len(means) - 1)
        unknown = np.isnan(drawn)
        component = np.where(unknown, 0, drawn).astype(np.intp)
        numbers = np.clip(encoded[:, 0], -1, 1) * (self.STD_MULTIPLIER * deviations)[component] + means[component]
        numbers[unknown] = np.nan
        if str(self._dtype).startswith("bool"):
            numbers = np.clip(np.rint(numbers), 0, 1)  # else all but an exact 0 would be true
        nulls = encoded[:, 2:]
        return transformers.FloatFormatter._reverse_transform(
            self, np.column_stack((numbers, nulls)) if nulls.size else numbers
        )

    def _draw_table(self) -> DrawTable:
        posterior = one_posterior(self._bgm_transformer._posterior())
        valid = np.flatnonzero(self.valid_component_indicator)
        others = np.flatnonzero(~self.valid_component_indicator)
        return DrawTable(
            mixture=posterior.kernel_table(ROWS).take(np.concatenate((valid, others))),
            widths=self.STD_MULTIPLIER * np.sqrt(posterior.covariances[valid]),
            cells=np.arange(len(valid), dtype=np.float64),
            floor=RESEARCH_FLOOR,
            limit=LIMIT,
            missing_cell=-1,
        )

    def _numbers(self, formatted: NDArray[Any]) -> Floats:
        """The column's numbers from what RDT made of it: numbers, and a column of their own for missing ones."""
        numbers = np.ascontiguousarray(formatted if formatted.ndim == 1 else formatted[:, 0], dtype=np.float64)
        if not np.all(np.isfinite(numbers)):
            wrong = np.flatnonzero(~np.isfinite(numbers))
            raise InputError(
                f'column "{self._column}": {len(wrong)} values are infinite or missing (first at row {wrong[0]}); '
                "replace infinite ones, and let missing_value_replacement stand for missing ones"
            )
        return numbers

    def _least_variance(self, numbers: Floats) -> float:
        deviation = float(np.std(numbers))
        standardize = deviation < 1 if self.standardize == "auto" else self.standardize
        return LEAST_VARIANCE * deviation**2 if standardize and deviation > 0 else LEAST_VARIANCE

    @property
    def _column(self) -> str:
        return str(self.get_input_column())
