"""RDT's cluster-based normalizer on gpuvgm's engines: the columns and draws of RDT, in a fraction of the time.

For RDT 1.18 and later, RDT 2 included. What concerns missing values, rounding and bounds is RDT's own.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from gpuvgm.codecs import Codec, FloatCodec, LogCodec
from gpuvgm.columns import ColumnSpec
from gpuvgm.config import RESEARCH_FLOOR, SUMMARY_ROWS, Algorithm, Standardize
from gpuvgm.engines import Draw, EncodeTable, RowRules, get_engine
from gpuvgm.errors import InputError, counted_values, pip_command
from gpuvgm.estimator import BayesianGaussianMixture, MixtureEffort
from gpuvgm.mixture import Estimate, Problem
from gpuvgm.summary import Floats

try:
    from rdt import transformers
except ModuleNotFoundError as error:
    if error.name != "rdt":
        raise
    raise ModuleNotFoundError(f"gpuvgm.integrations.rdt needs RDT: {pip_command('rdt')}", name="rdt") from error

WEIGHT_CONCENTRATION = 1e-3
PLANNING_ROWS = 1 << 14  # rows of the sample that k-means runs on and cells are made from
LARGEST_END_ERROR = 1e-6  # in sigma; 100 iterations end much further than that from where EM would settle
LEAST_VARIANCE = 1e-6  # scikit-learn's reg_covar
LARGEST_NUMBER = 1e150  # sums of squares must not overflow
LIMIT = 0.99  # of the normalized values
FLOATS = FloatCodec(pa.float64())
CHOICES = {
    "effort": get_args(MixtureEffort),
    "standardize": (True, False, "auto"),
    "algorithm": get_args(Algorithm),
}


class OnePassMixture(BayesianGaussianMixture):
    """BayesianGaussianMixture whose summary is planned on fewer rows, and its error estimated only where EM ends.

    `fit_error_` of a summary is what the cells cost in the last iterations; where that is more than 1e-6 sigma, the
    estimator's own fit follows.
    """

    def _estimate(self, problem: Problem) -> Estimate:
        is_small = problem.rows.count < SUMMARY_ROWS
        if self.effort == "best" or self.algorithm == "exact" or (self.algorithm == "auto" and is_small):
            return super()._estimate(problem)
        estimate = problem.fit_in_one_scan(PLANNING_ROWS)
        return super()._estimate(problem) if estimate.error > LARGEST_END_ERROR else estimate


class ClusterBasedNormalizer(transformers.ClusterBasedNormalizer):  # type: ignore[misc]  # RDT ships no types
    """Normalize a numerical column by its modes: `rdt.transformers.ClusterBasedNormalizer`, fast.

    It can replace RDT's class and has the same arguments in the same order. Its columns are ``<column>.normalized``,
    (x - mean) / (4 sd) of the drawn component, clipped to ±0.99; ``<column>.component``, the index of that component
    among the valid ones; and, with missing_value_generation="from_column", ``<column>.is_null``, which says where
    values were missing. Its random states are RDT's. With ``algorithm="exact"`` fit and draws are RDT's to rounding.

    Parameters
    ----------
    model_missing_values : bool, optional
        RDT 1 only, the first argument there; see RDT.
    learn_rounding_scheme : bool
        Round decoded values to the decimal places of the column.
    enforce_min_max_values : bool
        Clip decoded values to the range of the column.
    max_clusters : int
        Largest number of components, and no more than the column has rows.
    weight_threshold : float
        Components of larger weight are valid. The heaviest one is always valid.
    missing_value_generation : {"random", "from_column", None}
        Treatment of missing values when they are decoded.
    effort : {"research", "best"}
        As in `gpuvgm.BayesianGaussianMixture`: 100 iterations from one k-means start, or a search.
    standardize : bool or "auto"
        Whether the smallest variance of a component is 1e-6 of the column's variance instead of 1e-6. This helps
        columns of small numbers. "auto": if the column's standard deviation is below 1.
    algorithm : {"auto", "exact", "summary"}
        "exact": RDT's fit. "summary": k-means on a sample, then the rows are counted in one scan and EM works on the
        counts; the result is within about 1e-6 standard deviations of EM on the rows from the same centres. "auto":
        "summary" for at least 200,000 rows, else "exact".
    log : bool
        Fit the mixture to logarithms: of x if all values are above 0, of x + 1 if the smallest is 0, and of
        x - smallest + 1 if it is below 0. Modal values do not count for this.
    modal : sequence of numbers
        Values that get a component each. These follow the components of the mixture, in the order of this list, and
        their normalized value is 0. They come back exactly if the fitted rows have them; otherwise they are rounded and
        clipped like other values. None for missing values is not allowed here: RDT fills missing values in first.
    integer : bool
        Round decoded values to whole numbers, half to even. Modal values are not rounded.

    Attributes
    ----------
    valid_component_indicator : ndarray of bool
        Mask of the valid components of the mixture.
    null_transformer : rdt.transformers.null.NullTransformer
        RDT's treatment of missing values.

    Examples
    --------
    >>> import pandas as pd
    >>> from gpuvgm.integrations.rdt import ClusterBasedNormalizer
    >>> frame = pd.DataFrame({"amount": [1.0, 2.0, 50.0, 51.0] * 10})
    >>> ClusterBasedNormalizer().fit_transform(frame, "amount").columns.tolist()
    ['amount.normalized', 'amount.component']
    """

    _bgm_transformer: BayesianGaussianMixture
    _codec: Codec = FLOATS
    _modal: tuple[float, ...] = ()
    valid_component_indicator: NDArray[np.bool_]

    def __init__(
        self,
        *args: Any,
        effort: MixtureEffort = "research",
        standardize: Standardize = False,
        algorithm: Algorithm = "auto",
        log: bool = False,
        modal: Sequence[float] = (),
        integer: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.effort = effort
        self.standardize = standardize
        self.algorithm = algorithm
        self.log = log
        self.modal = modal
        self.integer = integer
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, not {getattr(self, name)!r}")

    def _fit(self, data: Any) -> None:
        self.output_properties.pop("is_null", None)  # of an earlier fit
        transformers.FloatFormatter._fit(self, data)
        values = self._values(np.asarray(transformers.FloatFormatter._transform(self, data)))
        if len(values) == 0:
            raise InputError(f'column "{self._column}" has no row to fit a mixture to')
        numbers = self._learn_values(values)
        if np.max(np.abs(numbers)) > LARGEST_NUMBER:
            raise InputError(
                f'column "{self._column}" has numbers beyond {LARGEST_NUMBER:g}: divide them before the fit'
            )
        lacks_rows = isinstance(self.max_clusters, (int, np.integer)) and len(numbers) < self.max_clusters
        mixture = OnePassMixture(
            n_components=len(numbers) if lacks_rows else self.max_clusters,
            weight_concentration_prior=WEIGHT_CONCENTRATION,
            reg_covar=self._least_variance(numbers),
            random_state=int(self.random_states["fit"].get_state()[1][0]),
            algorithm=self.algorithm,
            effort=self.effort,
        )
        # The estimator refuses a single row; two equal ones have its mean and variance.
        rows = numbers if len(numbers) > 1 else np.repeat(numbers, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows.reshape(-1, 1))
        valid = mixture.weights_ > self.weight_threshold
        heaviest = np.arange(len(valid)) == np.argmax(mixture.weights_)
        self._bgm_transformer = mixture
        self.valid_component_indicator = valid if np.any(valid) else heaviest

    def _learn_values(self, values: Floats) -> Floats:
        """Set codec and modal values from the options; return the numbers that the mixture is fitted to."""
        column = self._column
        spec = ColumnSpec.declare(column, {"log": self.log, "integer": self.integer, "modal": self.modal})
        precision = {"float16": pa.float16(), "float32": pa.float32()}.get(str(self._dtype).lower(), pa.float64())
        modal: Any = FloatCodec(precision).modal_values(column, spec.modal)
        if None in modal:
            raise InputError(
                f'column "{column}": modal holds the missing value; leave it out, missing_value_generation says what '
                "becomes of missing ones"
            )
        self._modal = modal
        self._codec = replace(FLOATS, integer=spec.integer)
        ordinary = values[~np.isin(values, modal)]
        fitted = ordinary if len(ordinary) else values  # of modal values alone: a component that gets no row
        if spec.curve:
            self._codec = LogCodec.around(self._codec, spec.curve[1], float(np.min(fitted)))
        return self._codec.encode(pa.array(fitted))

    def _transform(self, data: Any) -> Floats:
        formatted = np.asarray(transformers.FloatFormatter._transform(self, data))
        numbers, modal = self._codec.ordinary_numbers(pa.array(self._values(formatted)), self._modal)
        self._refuse(np.isinf(numbers), LogCodec.infinite, "fit again with these rows, or clean them")
        table = self._encode_table()
        encoded = np.empty((len(numbers), 2 if formatted.ndim == 1 else 3), order="F")
        component: NDArray[Any] = np.empty(len(numbers), np.int16)
        draw = Draw(uniforms=np.random.random_sample(len(numbers)))  # RDT has set NumPy's state to this column's
        get_engine().encode(numbers, RowRules(), table, draw, (encoded[:, 0], component))
        encoded[:, 1] = component if modal is None else np.where(modal < 0, component, len(table.codes) + modal)
        if formatted.ndim == 2:
            encoded[:, 2] = formatted[:, 1]
        return encoded

    def _reverse_transform(self, data: Any) -> Any:
        encoded = np.asarray(data, dtype=np.float64)
        mixture, valid = self._bgm_transformer, self.valid_component_indicator
        no_width = np.zeros(len(self._modal))
        means = np.append(mixture.means_[valid, 0], no_width)
        deviations = np.append(np.sqrt(mixture.covariances_[valid, 0, 0]), no_width)
        codes = np.clip(np.rint(encoded[:, 1]), 0, len(means) - 1)
        unknown = np.isnan(codes)
        component = np.where(unknown, 0, codes).astype(np.intp)
        numbers = np.clip(encoded[:, 0], -1, 1) * (self.STD_MULTIPLIER * deviations)[component] + means[component]
        numbers = np.array(FLOATS.encode(self._codec.decode(numbers)))
        for index, value in enumerate(self._modal, len(means) - len(self._modal)):
            numbers[component == index] = value
        numbers[unknown] = np.nan
        if str(self._dtype).startswith("bool"):
            numbers = np.clip(np.rint(numbers), 0, 1)  # else all but an exact 0 would be true
        nulls = encoded[:, 2:]
        return transformers.FloatFormatter._reverse_transform(
            self, np.column_stack((numbers, nulls)) if nulls.size else numbers
        )

    def _encode_table(self) -> EncodeTable:
        posterior = self._bgm_transformer._posterior()
        valid = np.flatnonzero(self.valid_component_indicator)
        invalid = np.flatnonzero(~self.valid_component_indicator)
        return EncodeTable(
            mixture=posterior.kernel_table().take(np.concatenate((valid, invalid))),
            widths=self.STD_MULTIPLIER * np.sqrt(posterior.covariances[valid]),
            codes=np.arange(len(valid)),
            floor=RESEARCH_FLOOR,
            limit=LIMIT,
            missing_code=len(valid) if self._modal else -1,  # modal rows are NaN
        )

    def _values(self, formatted: NDArray[Any]) -> Floats:
        """Values of the column from RDT's formatted data: numbers, and perhaps a second column for missing ones."""
        values = np.ascontiguousarray(formatted if formatted.ndim == 1 else formatted[:, 0], dtype=np.float64)
        remedy = "replace infinite ones, and let missing_value_replacement stand for missing ones"
        self._refuse(~np.isfinite(values), "values are infinite or missing", remedy)
        return values

    def _refuse(self, rows: NDArray[np.bool_], problem: str, remedy: str) -> None:
        if np.any(rows):
            wrong = np.flatnonzero(rows)
            problem_count = counted_values(len(wrong), problem)
            raise InputError(f'column "{self._column}": {problem_count} (first at row {wrong[0]}); {remedy}')

    def _least_variance(self, numbers: Floats) -> float:
        deviation = float(np.std(numbers))
        standardize = deviation < 1 if self.standardize == "auto" else self.standardize
        return LEAST_VARIANCE * deviation**2 if standardize and deviation > 0 else LEAST_VARIANCE

    @property
    def _column(self) -> str:
        return str(self.get_input_column())


#: The constructor has the signature of RDT's, which differs between versions, with its own keywords behind.
_keyword_only = [
    p for p in inspect.signature(ClusterBasedNormalizer.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY
]
_rdt_signature = inspect.signature(transformers.ClusterBasedNormalizer.__init__)
_constructor: Any = ClusterBasedNormalizer.__init__
_constructor.__signature__ = _rdt_signature.replace(parameters=[*_rdt_signature.parameters.values(), *_keyword_only])
