"""The estimator's parameters: checked against the rows and earlier fits; priors left out come from the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuvgm.arrays import to_numpy
from gpuvgm.errors import InputError
from gpuvgm.mixture.initialization import is_far_from_zero
from gpuvgm.mixture.posterior import StickBreaking
from gpuvgm.mixture.posterior_nd import FORMS, CovarianceType, GaussianPosterior, GaussianPrior
from gpuvgm.mixture.rows import Moments, Rows, host_floats
from gpuvgm.summary.grid import Floats


def checked_prior(estimator: Any, moments: Moments) -> GaussianPrior:
    """Prior of a fit, in the rows' own units.

    Parameters
    ----------
    estimator : BayesianGaussianMixture
        Its parameters.
    moments : Moments
        Moments of the rows.

    Raises
    ------
    ValueError
        For a prior of the wrong shape, or one that is no covariance.
    """
    features = len(moments.mean)
    concentration, precision = estimator.weight_concentration_prior, estimator.mean_precision_prior
    return GaussianPrior(
        covariance_type=estimator.covariance_type,
        concentration_type=estimator.weight_concentration_prior_type,
        weight_concentration=1.0 / estimator.n_components if concentration is None else concentration,
        mean=moments.mean if estimator.mean_prior is None else _given(estimator.mean_prior, (features,), "means"),
        mean_precision=1.0 if precision is None else precision,
        degrees_of_freedom=_degrees_of_freedom(estimator.degrees_of_freedom_prior, features),
        covariance=_covariance(
            estimator.covariance_prior, estimator.covariance_type, moments.scatter / (moments.total - 1)
        ),
        reg_covar=estimator.reg_covar,
        origin=moments.mean if is_far_from_zero(moments.mean, moments.deviations) else np.zeros(features),
    )


def _degrees_of_freedom(given: float | None, features: int) -> float:
    if given is None:
        return features
    if given <= features - 1.0:
        raise ValueError(
            f"The parameter 'degrees_of_freedom_prior' should be greater than {features - 1}, but got {given:.3f}."
        )
    return given


def _covariance(given: Any, covariance_type: CovarianceType, of_rows: Floats) -> Floats:
    features = len(of_rows)
    if given is None:
        variances = np.diagonal(of_rows).copy()
        forms = {"diag": variances, "spherical": np.mean(variances)}
        return np.asarray(forms.get(covariance_type, of_rows))
    if covariance_type == "spherical":
        return np.asarray(given, dtype=np.float64)
    diagonal = FORMS[covariance_type].diagonal
    shape = (features,) if diagonal else (features, features)
    covariance = _given(given, shape, f"{covariance_type} covariance_prior")
    if diagonal:
        if np.any(covariance <= 0):
            raise ValueError(f"'{covariance_type} precision' should be positive")
    elif not np.allclose(covariance, covariance.T) or np.any(np.linalg.eigvalsh(covariance) <= 0):
        raise ValueError(f"'{covariance_type} precision' should be symmetric, positive-definite")
    return covariance


def _given(values: Any, shape: tuple[int, ...], name: str) -> Floats:
    from sklearn.utils import check_array

    array: Floats = check_array(values, dtype=[np.float64, np.float32], ensure_2d=False)
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    return array


# parameters that may not change between calls of partial_fit
KEPT = (
    "n_components", "covariance_type", "weight_concentration_prior_type", "weight_concentration_prior",
    "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior", "reg_covar", "init_params",
)  # fmt: skip


def refuse_few(estimator: Any, rows: Rows) -> None:
    """Refuse fewer rows than components; a row with a weight stands for so many."""
    positive = rows.count if rows.weight is None else int(np.count_nonzero(to_numpy(rows.weight)))
    most = max(positive, int(rows.total))
    if most < estimator.n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {estimator.n_components}, n_samples = {most}"
        )


def refuse_summary(estimator: Any, features: int) -> None:
    """Refuse the summary for several features."""
    if estimator.algorithm == "summary" and features > 1:
        raise InputError(f'algorithm="summary" needs one feature, but X has {features}; use "exact" or "auto"')


def refuse_precision(estimator: Any) -> None:
    """Refuse float32 arithmetic, with the reason."""
    if isinstance(estimator.precision, str) and estimator.precision == "float32":
        raise InputError(
            'precision="float32" is for transform of TableTransformer only: a fit sums over rows, which takes float64; '
            "rows of float32 are widened exactly"
        )


def kept_settings(estimator: Any) -> dict[str, Any]:
    """Parameters that later calls of partial_fit are compared with."""
    return {name: getattr(estimator, name) for name in KEPT}


def refuse_changes(estimator: Any, before: dict[str, Any]) -> None:
    """Refuse other parameters than those that rows seen before were taken in with."""
    for name, value in before.items():
        now = getattr(estimator, name)
        if now is not value and not np.array_equal(now, value):
            raise InputError(f"{name} has changed since the first partial_fit: call fit, or use a new estimator")


def refuse_other_form(estimator: Any, warm: GaussianPosterior, features: int) -> None:
    """Refuse a warm start with another kind of mixture."""
    process = estimator.weight_concentration_prior_type == "dirichlet_process"
    same = {
        "n_components": warm.means.shape[0] == estimator.n_components,
        "covariance_type": warm.covariance_type == estimator.covariance_type,
        "weight_concentration_prior_type": isinstance(warm.concentration, StickBreaking) == process,
        "the number of features": warm.means.shape[1] == features,
    }
    for name, kept in same.items():
        if not kept:
            raise InputError(f"{name} has changed since the last fit: go on from it no more, and set warm_start=False")


def init_of(estimator: Any, features: int) -> str | Floats:
    """How to start: the name of a method, or centres in float64."""
    if isinstance(estimator.init_params, str):
        return estimator.init_params
    centres = host_floats(estimator.init_params)
    if centres.shape != (estimator.n_components, features):
        raise InputError(
            f"init_params holds centres of shape {centres.shape}, but n_components and the features of X ask for "
            f"{(estimator.n_components, features)}"
        )
    if not np.all(np.isfinite(centres)):
        raise InputError("init_params holds centres that are not finite")
    return centres
